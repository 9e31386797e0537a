//! Every change of the disk goes through here, one function a step: what a step failed on is said in words, and
//! tests can end the world before any of them.

use super::jobs::FileError;
use nix::fcntl::{AT_FDCWD, RenameFlags, posix_fallocate, renameat2};
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Looks at each step before it is taken; an error is what the step then fails with.
pub(super) trait Gate: Debug + Send + Sync {
    /// `what` is about to be done to `path`.
    fn pass(&self, what: &'static str, path: &Path) -> io::Result<()>;
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    gate: Option<Arc<dyn Gate>>,
}

/// An open file and its name.
#[derive(Debug)]
pub(super) struct Named {
    /// The file.
    pub file: File,
    /// Its name, for messages.
    pub path: PathBuf,
}

type Result<T> = std::result::Result<T, FileError>;

impl Disk {
    /// A disk whose steps a test looks at.
    #[cfg(test)]
    pub fn watched(gate: Arc<dyn Gate>) -> Disk {
        Disk { gate: Some(gate) }
    }

    fn step<T>(&self, what: &'static str, path: &Path, act: impl FnOnce() -> io::Result<T>) -> Result<T> {
        let passed = match &self.gate {
            Some(gate) => gate.pass(what, path),
            None => Ok(()),
        };
        passed.and_then(|()| act()).map_err(|e| FileError::io(what, path, &e))
    }

    /// A file of ours that may be left over from a try before: emptied.
    pub fn create_over(&self, path: &Path) -> Result<Named> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = self.step("cannot create", path, || options.open(path))?;
        Ok(Named { file, path: path.to_owned() })
    }

    /// A directory below one that exists; `false`: it was there.
    pub fn make_dir(&self, path: &Path) -> Result<bool> {
        self.step("cannot create the directory", path, || match fs::create_dir(path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            Err(e) => Err(e),
        })
    }

    /// Takes the blocks now: a full disk is noticed here, not in the middle of the frame.
    pub fn allocate(&self, to: &Named, bytes: u64) -> Result<()> {
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.step("cannot reserve space for", &to.path, || {
            posix_fallocate(&to.file, 0, length).map_err(io::Error::from)
        })
    }

    /// Bytes at a place.
    pub fn write_at(&self, to: &Named, bytes: &[u8], at: u64) -> Result<()> {
        self.step("cannot write", &to.path, || to.file.write_all_at(bytes, at))
    }

    /// Bytes at the end (a compressed stream).
    pub fn write(&self, to: &mut Named, bytes: &[u8]) -> Result<()> {
        let Named { file, path } = to;
        self.step("cannot write", path, || file.write_all(bytes))
    }

    /// Everything written so far is on the medium.
    pub fn sync(&self, file: &Named) -> Result<()> {
        self.step("cannot sync", &file.path, || file.file.sync_all())
    }

    /// Names in this directory are on the medium.
    pub fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.step("cannot sync the directory", dir, || File::open(dir)?.sync_all())
    }

    /// Gives a file its name unless that is taken.
    pub fn publish(&self, from: &Path, to: &Path) -> Result<()> {
        self.step("cannot publish", to, || rename_new(from, to))
    }

    /// Replaces a small file at once: whoever reads sees the old or the new one. The directory is not synced.
    pub fn replace(&self, path: &Path, text: &[u8]) -> Result<()> {
        let draft = with_suffix(path, ".new");
        let mut file = self.create_over(&draft)?;
        self.write(&mut file, text)?;
        self.sync(&file)?;
        self.step("cannot replace", path, || fs::rename(&draft, path))
    }

    /// Removes a name; one that is not there is no error.
    pub fn remove(&self, path: &Path) -> Result<()> {
        self.step("cannot remove", path, || match fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
    }

    /// A line at the end of a file, in one piece, synced.
    pub fn append(&self, path: &Path, line: &str) -> Result<()> {
        self.step("cannot append to", path, || {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            // One write: lines of several programs do not mix.
            file.write_all(line.as_bytes())?;
            file.sync_all()
        })
    }
}

/// Renames without replacing, also where the file system cannot do that in one step.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Err(nix::Error::EINVAL | nix::Error::ENOSYS | nix::Error::EOPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        other => other.map_err(io::Error::from),
    }
}

/// `NAME` with something behind it.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Why, and what to do about it; by error number where the text of the system does not say it.
const REMEDIES: &[(i32, &str, &str)] = &[
    (
        libc::ENOSPC,
        "no space left on the disk",
        "free space there and try again; the controller still holds the frame",
    ),
    (
        libc::EDQUOT,
        "the quota is used up",
        "free space or raise the quota; the controller still holds the frame",
    ),
    (
        libc::EFBIG,
        "the file would be larger than this process may write",
        "raise the limit (ulimit -f, LimitFSIZE=)",
    ),
    (
        libc::EACCES,
        "permission denied",
        "let the user of this program write there (see User= and Group= of the service)",
    ),
    (libc::EPERM, "not permitted", "let the user of this program write there (chattr, mount options)"),
    (libc::EROFS, "the file system is read-only", "mount it read-write; see dmesg why it is not"),
    (
        libc::ENOENT,
        "no such file or directory",
        "mount or create the directory; the root of the images is never created here",
    ),
    (libc::ENOTDIR, "a part of the path is no directory", "correct the path"),
    (libc::EEXIST, "it already exists", "move that file away; it is not overwritten"),
    (libc::EIO, "input/output error", "the disk or the network share fails: see dmesg, write elsewhere"),
    (libc::ESTALE, "the network share has lost it", "mount the share again"),
    (libc::EMFILE, "too many open files", "raise the limit (ulimit -n, LimitNOFILE=)"),
];

impl FileError {
    /// From what the system said.
    pub(super) fn io(what: &str, path: &Path, error: &io::Error) -> FileError {
        let known = error.raw_os_error().and_then(|n| REMEDIES.iter().find(|(number, ..)| *number == n));
        let (why, remedy) = match known {
            Some((_, why, remedy)) => ((*why).to_owned(), *remedy),
            None => (error.to_string(), "see the system log and try again"),
        };
        FileError::new(what, path, why, remedy)
    }

    /// In the words of the reference.
    pub(super) fn exists(path: &Path) -> FileError {
        FileError::new("File", path, "already exists", "Check the nextExposureNumber file.")
    }

    /// In words.
    pub(super) fn new(what: &str, path: &Path, why: impl Into<String>, remedy: &str) -> FileError {
        FileError { what: what.to_owned(), path: path.to_owned(), why: why.into(), remedy: remedy.to_owned() }
    }
}
