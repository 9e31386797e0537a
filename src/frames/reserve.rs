//! The next exposure number, the directory of the night, and the proof that nothing is in the way.
//!
//! A number is used once: it is burnt here, whatever becomes of the exposure. The root of the images is never
//! created, because a file system that is not mounted must not fill the disk beneath it.

use super::disk::{Disk, parent};
use super::jobs::{FileError, Naming, Reservation};
use super::lock;
use super::names::Pattern;
use super::promise;
use crate::config::archon::night::night;
use crate::config::archon::template::{Fields, FileTemplate};
use crate::units::Utc;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Holds the next number as text.
const COUNTER: &str = "nextExposureNumber";
/// Held while the counter is read and written; the counter itself is replaced.
const COUNTER_LOCK: &str = ".nextExposureNumber.flock";
/// Others hold it for milliseconds.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

type Result<T> = std::result::Result<T, FileError>;

/// See [`super::jobs::Job::Reserve`].
pub(super) fn reserve(
    disk: &Disk,
    naming: &Naming,
    seqno: Option<u64>,
    images: &[(String, String)],
    bytes: u64,
    at: Utc,
) -> Result<Reservation> {
    let root = &naming.files.data_dir;
    let template = FileTemplate::parse(&naming.files.template)
        .map_err(|why| FileError::new("cannot name images in", root, why, "correct `files.template`"))?;
    check_root(naming)?;
    let dir = night_dir(naming, at);
    if disk.make_dir(&dir)? {
        disk.sync_dir(root)?;
    }
    let _held = hold(root)?;
    let mut warnings = Vec::new();
    let number = match seqno {
        Some(number) => number,
        None => next_number(root, &Pattern::of(&template, &naming.observatory), &mut warnings)?,
    };
    let paths = images.iter().map(|(controller, ccd)| {
        let fields = Fields { ccd, controller, observatory: &naming.observatory, exposure_no: number };
        (controller.clone(), ccd.clone(), dir.join(template.render(&fields)))
    });
    let paths: Vec<(String, String, PathBuf)> = paths.collect();
    nothing_in_the_way(&paths)?;
    check_space(&dir, naming, bytes)?;
    let controllers = images.iter().map(|(controller, _)| controller.as_str()).collect();
    let unkept = promise::unkept(&dir, &controllers)?;
    let counter = root.join(COUNTER);
    let next = number.checked_add(1).ok_or_else(|| {
        FileError::new("cannot count on in", &counter, "the number is too large", "use a smaller --seqno")
    })?;
    disk.replace(&counter, next.to_string().as_bytes())?;
    disk.sync_dir(root)?;
    Ok(Reservation { number, dir, paths, warnings, unkept })
}

/// The counter, if it is there and holds a number.
pub(super) fn told_number(naming: &Naming) -> Option<u64> {
    fs::read_to_string(naming.files.data_dir.join(COUNTER)).ok()?.trim().parse().ok()
}

/// The root exists, and is a mounted file system of its own if that is asked for.
pub(super) fn check_root(naming: &Naming) -> Result<()> {
    let root = &naming.files.data_dir;
    let found = fs::metadata(root).map_err(|e| FileError::io("cannot use", root, &e))?;
    if !found.is_dir() {
        return Err(FileError::new("cannot use", root, "it is no directory", "correct `files.data_dir`"));
    }
    if !naming.require_mount {
        return Ok(());
    }
    let above = root.join("..");
    let above = fs::metadata(&above).map_err(|e| FileError::io("cannot use", &above, &e))?;
    if above.dev() == found.dev() {
        return Err(FileError::new(
            "cannot use",
            root,
            "no file system is mounted there (require_mount)",
            "mount it, or take `require_mount` off",
        ));
    }
    Ok(())
}

/// Excludes other programs until it is dropped.
fn hold(root: &Path) -> Result<File> {
    let path = root.join(COUNTER_LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(|e| FileError::io("cannot open", &path, &e))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(e)) => return Err(FileError::io("cannot lock", &path, &e)),
        }
    }
    Err(FileError::new("cannot lock", &path, "another program holds it", "find it (fuser) and end it"))
}

/// From the counter; a counter that is missing, empty or damaged is rebuilt from the images that are there.
fn next_number(root: &Path, names: &Pattern, warnings: &mut Vec<String>) -> Result<u64> {
    let path = root.join(COUNTER);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            warnings.push(format!("{} not found. Creating it.", path.display()));
            String::new()
        }
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => "?".to_owned(),
        Err(e) => return Err(FileError::io("cannot read", &path, &e)),
    };
    if let Ok(number) = text.trim().parse() {
        return Ok(number);
    }
    let number = highest(root, names)?.map_or(1, |n| n.saturating_add(1));
    if !text.trim().is_empty() {
        let text = text.trim().chars().take(40).collect::<String>();
        warnings.push(format!(
            "{} holds {text:?}, which is no number; counting on from {number}",
            path.display()
        ));
    }
    Ok(number)
}

/// Highest number of an image, lock or partial file in the directories of nights.
fn highest(root: &Path, names: &Pattern) -> Result<Option<u64>> {
    let mut highest = None;
    for dir in list(root)? {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.bytes().all(|b| b.is_ascii_digit()) && dir.is_dir() {
            let numbers =
                list(&dir)?.into_iter().filter_map(|f| names.number_in(&f.file_name()?.to_string_lossy()));
            highest = highest.max(numbers.max());
        }
    }
    Ok(highest)
}

/// What is in a directory, sorted.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = |e: std::io::Error| FileError::io("cannot list", dir, &e);
    let entries = fs::read_dir(dir).map_err(read)?;
    let mut found =
        entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>().map_err(read)?;
    found.sort();
    Ok(found)
}

fn nothing_in_the_way(paths: &[(String, String, PathBuf)]) -> Result<()> {
    for (i, (_, _, image)) in paths.iter().enumerate() {
        if paths[..i].iter().any(|(_, _, other)| other == image) {
            return Err(FileError::new(
                "cannot use",
                image,
                "two CCDs would have this name",
                "put {ccd} (or {controller}) into `files.template`",
            ));
        }
        for path in [image.clone(), lock::path_of(image), lock::part_of(image)] {
            // Not `exists`: a dangling link is in the way, too.
            if fs::symlink_metadata(&path).is_ok() {
                return Err(FileError::exists(&path));
            }
        }
    }
    Ok(())
}

/// Room for all images, compressed copies beside them included, and what the site keeps free.
fn check_space(dir: &Path, naming: &Naming, bytes: u64) -> Result<()> {
    let stat = nix::sys::statvfs::statvfs(dir);
    let stat = stat.map_err(|e| FileError::io("cannot ask for free space of", dir, &e.into()))?;
    // The types of the fields differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    let free = (stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64);
    let copies = if naming.files.template.ends_with(".gz") { 2 } else { 1 };
    let wanted = bytes.saturating_mul(copies).saturating_add(naming.spare_bytes);
    if free < wanted {
        return Err(FileError::new(
            "not enough space in",
            dir,
            format!("{} MB are free, the exposure needs {} MB", free / 1_000_000, wanted.div_ceil(1_000_000)),
            "free space there; nothing has been exposed",
        ));
    }
    Ok(())
}

/// Directory of the night, for a survey.
pub(super) fn night_dir(naming: &Naming, at: Utc) -> PathBuf {
    naming.files.data_dir.join(night(at, &naming.observatory, naming.files.use_sjd).to_string())
}

/// The number of the night a directory is named after.
pub(super) fn night_of(image: &Path) -> Option<i64> {
    parent(image).file_name()?.to_str()?.parse().ok()
}
