//! Telling the kernel to begin writing a file to the medium now, so that a later sync has little left to wait for.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Begins to write what is dirty in this file; waits for nothing. It is advice: whether it is taken shows the sync,
/// and its errors are those that the sync reports.
pub fn begin(file: &File) {
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the call touches no memory of ours.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}
