//! A key file of one's own, for simulations and tests: real nodes share the file that all programs of the site agree on.

use super::keys;
use crate::sys::ftok::ftok;
use crate::sys::sysv_shm::SysvShm;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Inodes looked at before giving up.
const ATTEMPTS: usize = 1024;

/// Makes an empty file at `path`, of which no key leads to memory that is already there, neither status memory nor
/// data buffers of any instance.
///
/// A key holds 16 bits of an inode, and file systems give inodes of removed files away again: a new file can have the
/// keys of one that is long gone, and with them whatever a killed program has left behind.
///
/// # Errors
/// The file is there already or cannot be made; or `AlreadyExists` after 1024 inodes whose keys were all in use.
pub fn make(path: &Path) -> io::Result<()> {
    // They keep their inodes until the end, so that the next file has another.
    let mut in_use = Vec::new();
    let made = loop {
        File::options().write(true).create_new(true).open(path)?;
        if is_free(path)? {
            break Ok(());
        }
        if in_use.len() >= ATTEMPTS {
            fs::remove_file(path)?;
            let text = format!("{}: the keys of {ATTEMPTS} files in a row are in use", path.display());
            break Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let aside = PathBuf::from(format!("{}.in-use-{}", path.display(), in_use.len()));
        fs::rename(path, &aside)?;
        in_use.push(aside);
    };
    in_use.iter().try_for_each(fs::remove_file)?;
    made
}

fn is_free(path: &Path) -> io::Result<bool> {
    for id in keys::STATUS_ID..=(keys::DATABUF_ID | keys::INSTANCE_MASK) {
        // Where there is no System V memory nothing is in use.
        if matches!(SysvShm::look(ftok(path, id)?), Ok(Some(_))) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_lead_to_something_are_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keyfile");
        File::create(&path).expect("made");
        // What a killed program leaves.
        let id = keys::STATUS_ID + 3;
        let Ok(left) = SysvShm::create(ftok(&path, id).expect("there"), 16) else {
            return println!("SKIPPED: there is no System V memory here");
        };
        assert!(!is_free(&path).expect("looked at"));
        assert_eq!(make(&path).expect_err("not ours").kind(), io::ErrorKind::AlreadyExists);
        // Its inode is given away again, on most file systems to the very next file.
        fs::remove_file(&path).expect("removed");
        make(&path).expect("made");
        assert_ne!(ftok(&path, id).expect("there"), left.key());
        assert!(is_free(&path).expect("looked at"));
        left.remove().expect("ours");
        let files = fs::read_dir(dir.path()).expect("there").count();
        assert_eq!(files, 1, "what was set aside is gone");
    }
}
