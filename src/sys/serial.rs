//! A serial port, raw, 9600 8N1, without waiting.

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::termios::{FlushArg, tcflush};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An open port.
#[derive(Debug)]
pub struct SerialPort(File);

impl SerialPort {
    /// Opens a port and throws away what has come in before.
    ///
    /// # Errors
    /// No such device, no permission, or no serial port.
    pub fn open(path: &Path) -> io::Result<SerialPort> {
        let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)?;
        let mut settings = settings(&file)
            .map_err(|e| io::Error::other(format!("{} is no serial port: {e}", path.display())))?;
        make_raw(&mut settings);
        apply(&file, &settings)?;
        tcflush(&file, FlushArg::TCIOFLUSH)?;
        Ok(SerialPort(file))
    }
}

// The C library's functions for the speed exist in versions that a static link does not find; the kernel's own
// calls have one.
nix::ioctl_read_bad!(
    /// Reads the settings of a terminal.
    tcgets2,
    libc::TCGETS2,
    libc::termios2
);
nix::ioctl_write_ptr_bad!(
    /// Sets a terminal at once.
    tcsets2, libc::TCSETS2, libc::termios2);

fn settings(file: &File) -> io::Result<libc::termios2> {
    // SAFETY: plain numbers, for which zero is a value.
    let mut settings: libc::termios2 = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open for the call, and the kernel writes one structure of this type.
    unsafe { tcgets2(file.as_raw_fd(), &raw mut settings) }?;
    Ok(settings)
}

fn apply(file: &File, settings: &libc::termios2) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call, and the kernel reads one structure of this type.
    unsafe { tcsets2(file.as_raw_fd(), settings) }?;
    Ok(())
}

/// Bytes as they are, 9600 8N1, without flow control; the modem lines are not wired and are ignored.
fn make_raw(settings: &mut libc::termios2) {
    settings.c_iflag = 0;
    settings.c_oflag &= !libc::OPOST;
    settings.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
    let other = libc::CSIZE | libc::PARENB | libc::CSTOPB | libc::CRTSCTS | libc::CBAUD;
    settings.c_cflag = settings.c_cflag & !other | libc::CS8 | libc::CLOCAL | libc::CREAD | libc::B9600;
    (settings.c_ispeed, settings.c_ospeed) = (9600, 9600);
    // With 0 a read without data would look like the end of the device.
    settings.c_cc[libc::VMIN] = 1;
    settings.c_cc[libc::VTIME] = 0;
}

impl AsRawFd for SerialPort {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Read for SerialPort {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for SerialPort {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_is_no_serial_port_says_so() {
        let error = SerialPort::open(Path::new("/dev/null")).expect_err("no terminal");
        assert!(error.to_string().starts_with("/dev/null is no serial port"), "{error}");
        let error = SerialPort::open(&PathBuf::from("/dev/no-such-port")).expect_err("not there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
