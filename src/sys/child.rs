//! What a child process must do between `fork` and `exec`: lead its own process group (so that
//! the whole tree can be signalled) and, if asked, die with this process.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the child the leader of a process group of its own.
pub fn own_process_group(command: &mut Command) {
    command.process_group(0);
}

/// Makes the child the leader of a session of its own: nothing that happens to our terminal or group reaches it.
pub fn own_session(command: &mut Command) {
    let before_exec = || nix::unistd::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: the closure runs in the forked child and makes one async-signal-safe system call (setsid); it neither
    // allocates nor takes a lock.
    unsafe { command.pre_exec(before_exec) };
}

/// Asks the kernel to send the child SIGTERM when the *thread* that starts it ends
/// (`PR_SET_PDEATHSIG`); started from the loop's thread that means: when the loop is gone.
pub fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let before_exec = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(io::Error::from)?;
        // The parent may have died before the line above; then nobody would ever tell us.
        if nix::unistd::getppid() != parent {
            return Err(io::Error::from(nix::errno::Errno::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure runs in the forked child and makes only async-signal-safe system calls
    // (prctl, getppid); it neither allocates nor takes a lock.
    unsafe { command.pre_exec(before_exec) };
}

/// Lets the child run on these processors only; none: on all that we may.
///
/// # Errors
/// One of them is not there, or this process may not use it.
pub fn run_on(command: &mut Command, cpus: &[u32]) -> io::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let ours = sched_getaffinity(Pid::from_raw(0))?;
    let mut set = CpuSet::new();
    for cpu in cpus {
        if !ours.is_set(*cpu as usize).unwrap_or(false) {
            let text = format!("processor {cpu} is not there, or this process may not use it (see cpus)");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        set.set(*cpu as usize)?;
    }
    let before_exec = move || sched_setaffinity(Pid::from_raw(0), &set).map_err(io::Error::from);
    // SAFETY: the closure runs in the forked child and makes one async-signal-safe system call (sched_setaffinity) on
    // a mask it owns; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(before_exec) };
    Ok(())
}

/// Signals every process of the group led by `pid`. A group that is already gone is not an error.
pub fn signal_group(pid: u32, signal: Signal) -> io::Result<()> {
    let group = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match killpg(Pid::from_raw(group), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Asks one process to end in order (SIGTERM). One that is already gone is not an error.
pub fn terminate(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGTERM) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
