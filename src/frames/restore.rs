//! Completes what an exposure that did not end has left behind, as far as the disk alone can.

use super::disk::Disk;
use super::jobs::{FileError, Found, Lost, Naming, Published};
use super::lock;
use super::publish::{self, Whole};

/// See [`super::jobs::Job::Restore`].
pub(super) fn restore(
    disk: &Disk,
    lost: &Lost,
    naming: &Naming,
    checksum: bool,
    _keep_lock: bool,
) -> Result<Published, FileError> {
    let part = lock::part_of(&lost.image);
    let whole = Whole { ccd: &lost.ccd, image: &lost.image, part: &part, lock: &lost.lock, sjd: None };
    match &lost.found {
        Found::WholePart(_) => publish::image(disk, &whole, naming, checksum),
        _ => Err(FileError::new("cannot restore", &lost.image, "it is not whole", "fetch the frame again")),
    }
}
