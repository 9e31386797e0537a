//! A file mapped for sharing: status memory on hosts where System V memory is not to be had.

use super::region::Region;
use memmap2::MmapRaw;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A whole file, mapped read-write and shared.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    /// Device and inode when it was mapped.
    identity: (u64, u64),
    region: Region,
    /// Keeps the mapping that `region` points into.
    _map: MmapRaw,
}

impl MappedFile {
    /// Makes a file of `len` bytes that everybody may use, `head` followed by zeros; `AlreadyExists` if
    /// there is one. It is written under another name and then linked, so nobody sees it half made.
    pub fn create(path: &Path, len: usize, head: &[u8]) -> io::Result<MappedFile> {
        let draft = draft_of(path);
        let made = write_draft(&draft, len, head).and_then(|()| std::fs::hard_link(&draft, path));
        // The draft has done its work, or there is none.
        let _ = std::fs::remove_file(&draft);
        made?;
        MappedFile::open(path)
    }

    /// Maps an existing file whole; `NotFound` if there is none. Symbolic links are not followed.
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        let file = options().open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file with content"));
        }
        let len = usize::try_from(meta.len()).map_err(io::Error::other)?;
        map(path, &file, len)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the file that is mapped.
    pub fn is_current(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }

    /// Its bytes.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Its bytes, for writing.
    pub fn region_mut(&mut self) -> &mut Region {
        &mut self.region
    }

    /// Deletes the file's name; who has it mapped keeps the bytes.
    pub fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// A name in the same directory that no other thread or process uses.
fn draft_of(path: &Path) -> PathBuf {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let number = DRAFTS.fetch_add(1, Relaxed);
    path.with_file_name(format!(".appliance-draft-{}-{number}", std::process::id()))
}

fn write_draft(draft: &Path, len: usize, head: &[u8]) -> io::Result<()> {
    // Left by a process of the same number that died between two system calls.
    let _ = std::fs::remove_file(draft);
    let mut file = options().create_new(true).mode(0o666).open(draft)?;
    // The umask has cut the mode; foreign programs need all of it.
    file.set_permissions(std::fs::Permissions::from_mode(0o666))?;
    file.write_all(head)?;
    // Not a hole: writing to a mapped hole of a full disk would kill the process.
    nix::fcntl::posix_fallocate(&file, 0, len as libc::off_t)?;
    Ok(())
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options
}

fn map(path: &Path, file: &File, len: usize) -> io::Result<MappedFile> {
    let meta = file.metadata()?;
    let map = memmap2::MmapOptions::new().len(len).map_raw(file)?;
    let start = NonNull::new(map.as_mut_ptr()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
    // SAFETY: `_map` keeps the `len` bytes mapped read-write as long as the region; no references are made.
    // A file that somebody truncates would raise SIGBUS: it is ours, in a private directory, or a semaphore
    // file that every C program maps the same way.
    let region = unsafe { Region::new(start, len) };
    Ok(MappedFile { path: path.to_owned(), identity: (meta.dev(), meta.ino()), region, _map: map })
}
