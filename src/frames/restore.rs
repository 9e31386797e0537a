//! Completes what an exposure that did not end has left behind, as far as the disk alone can: nothing here talks
//! to a controller. What is published has proven itself by its own checksums first.

use super::disk::Disk;
use super::jobs::{FileError, Found, Lost, Naming, Published};
use super::lock::{self, Lock};
use super::publish::{self, Whole};
use super::reserve::night_of;
use super::verify;

/// What to do when the disk alone cannot help.
const FETCH: &str = "fetch the frame again while the controller holds it";

/// See [`super::jobs::Job::Restore`].
pub(super) fn restore(
    disk: &Disk,
    lost: &Lost,
    naming: &Naming,
    checksum: bool,
    keep_lock: bool,
) -> Result<Published, FileError> {
    let sjd = std::fs::read(&lost.lock).ok().and_then(|text| Lock::parse(&text).ok()).and_then(|l| l.sjd);
    let own = lock::part_of(&lost.image);
    let part = if let Found::WholePart(part) = &lost.found { part } else { &own };
    let whole = Whole {
        ccd: &lost.ccd,
        image: &lost.image,
        part,
        lock: &lost.lock,
        sjd: sjd.or_else(|| night_of(&lost.image)),
        keep_lock,
    };
    let refuse = |why: &str, remedy: &str| Err(FileError::new("cannot restore", &lost.image, why, remedy));
    match &lost.found {
        Found::WholePart(part) => match verify::whole(part) {
            Ok(()) => publish::image(disk, &whole, naming, checksum),
            Err(why) => refuse(&why, FETCH),
        },
        // Looked at again: a partial file that is the only copy must not be removed.
        Found::Image if own.exists() && !verify::same(&lost.image, &own) => {
            refuse("its partial file is not the same image", "compare both, and move one away")
        }
        Found::Image => match verify::whole(&lost.image) {
            Ok(()) => publish::left_over(disk, &whole, naming, checksum),
            Err(why) => refuse(&why, "move the image away, and recover again"),
        },
        Found::Incomplete(_) | Found::Promised => refuse("it is not whole", FETCH),
        Found::Stray(part) => {
            refuse("it has no lock file", &format!("look into {}, then move it away", part.display()))
        }
        Found::Unreadable(why) => refuse(why, "look into it, then move it away"),
    }
}
