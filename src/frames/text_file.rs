//! Small text files (ACF), and names of raw frames.

use super::disk::{Disk, parent};
use super::jobs::FileError;
use super::reserve::list;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest text that is read: an ACF of 16384 lines of 2048 characters.
const TEXT_MAX: u64 = 16_384 * 2048;
const NUMBERS_MAX: u32 = 9999;

/// A whole text; bytes that are no UTF-8 are taken for Latin-1.
pub(super) fn read(path: &Path) -> Result<String, FileError> {
    let failed = |e: std::io::Error| FileError::io("cannot read", path, &e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(FileError::new("cannot read", path, "it is no regular file", "name a text file"));
    }
    file.take(TEXT_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > TEXT_MAX {
        return Err(FileError::new(
            "cannot read",
            path,
            "it is too large to be a configuration",
            "name an ACF",
        ));
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().map(|b| char::from(*b)).collect()))
}

/// A text, new or replaced at once.
pub(super) fn write(disk: &Disk, path: &Path, text: &str) -> Result<PathBuf, FileError> {
    let path = home(path)?;
    disk.replace(&path, text.as_bytes())?;
    disk.sync_dir(parent(&path))?;
    Ok(path)
}

/// The path of a raw frame: the one asked for, if it can be created, or the next number in the home directory.
pub(super) fn raw_path(path: Option<PathBuf>, controller: &str) -> Result<PathBuf, FileError> {
    let Some(path) = path else { return next_raw(&home_dir()?, controller) };
    let path = home(&path)?;
    if path.file_name().is_none() || !parent(&path).is_dir() {
        return Err(FileError::new(
            "cannot create",
            &path,
            "Parent of file does not exists or file is badly formatted.",
            "name a file in a directory that exists",
        ));
    }
    if fs::symlink_metadata(&path).is_ok() {
        return Err(FileError::new("cannot create", &path, "it already exists", "name another file"));
    }
    Ok(path)
}

/// The highest `archon_<controller>_NNNN.fits` and one.
pub(super) fn next_raw(dir: &Path, controller: &str) -> Result<PathBuf, FileError> {
    let prefix = format!("archon_{}_", controller.replace('/', "_"));
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix(&prefix)?.split('.').next()?;
        name.parse::<u32>().ok()
    };
    let next = list(dir)?.iter().filter_map(number).max().unwrap_or(0) + 1;
    if next > NUMBERS_MAX {
        return Err(FileError::new(
            "cannot name a raw frame in",
            dir,
            "all numbers are used",
            "move old ones away",
        ));
    }
    Ok(dir.join(format!("{prefix}{next:04}.fits")))
}

/// With `~/` replaced.
fn home(path: &Path) -> Result<PathBuf, FileError> {
    match path.strip_prefix("~") {
        Ok(rest) => Ok(home_dir()?.join(rest)),
        Err(_) => Ok(path.to_owned()),
    }
}

fn home_dir() -> Result<PathBuf, FileError> {
    let home = std::env::var_os("HOME").filter(|h| !h.is_empty()).map(PathBuf::from);
    home.ok_or_else(|| {
        FileError::new("cannot find", Path::new("~"), "HOME is not set", "set it, or name a path")
    })
}
