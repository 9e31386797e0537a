//! A file descriptor that becomes readable when a process ends (`pidfd_open`, Linux 5.3).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Opens one for a child of ours that was not reaped yet. Older kernels answer `Unsupported`
/// (`ENOSYS`): the caller then relies on SIGCHLD.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: pidfd_open takes two integers and touches no memory of ours. Flags 0: the descriptor
    // is only ever polled, never read, and is close-on-exec by definition.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
