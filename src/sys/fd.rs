//! File descriptors handed to us by number.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::FromRawFd;

/// Writes to a descriptor inherited from our parent and closes it (`--ready-fd`).
pub fn write_and_close(fd: i32, bytes: &[u8]) -> io::Result<()> {
    if fd < 3 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "descriptors 0, 1 and 2 are not handed over",
        ));
    }
    // SAFETY: the number was given on our command line by whoever opened it for us; nothing else in
    // this process knows it, and it is used once. A wrong number makes the write fail.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes)
}
