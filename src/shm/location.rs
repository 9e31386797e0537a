//! Where status memory is, and the bytes found there.

use super::StatusError;
use crate::proto::status_cards::STATUS_SIZE;
use crate::sys::mapped_file::MappedFile;
use crate::sys::named_sem::{NamedSem, sem_path};
use crate::sys::region::Region;
use crate::sys::sysv_shm::SysvShm;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Name of the memory file in a [`Location::File`].
const MEMORY_FILE: &str = "status.mem";
/// Name of the lock file in a [`Location::File`].
const LOCK_FILE: &str = "status.sem";

/// Where status memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A System V segment and a named semaphore: what pipeline programs use.
    SysV {
        /// Key of the segment.
        key: u32,
        /// Name of the lock, with or without the leading slash.
        lock_name: String,
    },
    /// Two files in a directory of ours, with the same bytes: for simulation, and for hosts without
    /// System V memory.
    File {
        /// The directory; it must exist.
        dir: PathBuf,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::SysV { key, .. } => write!(f, "status buffer {key:#08x}"),
            Location::File { dir } => write!(f, "status buffer {}", dir.join(MEMORY_FILE).display()),
        }
    }
}

impl Location {
    /// File of the lock.
    pub fn lock_path(&self) -> io::Result<PathBuf> {
        match self {
            Location::SysV { lock_name, .. } => sem_path(lock_name),
            Location::File { dir } => Ok(dir.join(LOCK_FILE)),
        }
    }

    pub(super) fn open_lock(&self, create: bool) -> Result<NamedSem, StatusError> {
        let open = if create { NamedSem::open_or_create } else { NamedSem::open };
        let opened = self.lock_path().and_then(|path| open(&path));
        opened.map_err(|source| StatusError::Lock { location: self.clone(), source })
    }

    pub(super) fn create(&self) -> Result<Backing, StatusError> {
        let made = match self {
            Location::SysV { key, .. } => SysvShm::create(*key, STATUS_SIZE).map(Backing::SysV),
            Location::File { dir } => {
                MappedFile::create(&dir.join(MEMORY_FILE), STATUS_SIZE, &[]).map(Backing::File)
            }
        };
        self.checked(made)
    }

    pub(super) fn attach(&self) -> Result<Backing, StatusError> {
        let found = match self {
            Location::SysV { key, .. } => SysvShm::attach(*key).map(Backing::SysV),
            Location::File { dir } => MappedFile::open(&dir.join(MEMORY_FILE)).map(Backing::File),
        };
        self.checked(found)
    }

    fn checked(&self, backing: io::Result<Backing>) -> Result<Backing, StatusError> {
        let location = || self.clone();
        let backing = backing.map_err(|source| match source.kind() {
            ErrorKind::NotFound => StatusError::Missing { location: location() },
            ErrorKind::AlreadyExists => StatusError::Exists { location: location() },
            _ => StatusError::Memory { location: location(), source },
        })?;
        match backing.region().len() {
            STATUS_SIZE => Ok(backing),
            size => Err(StatusError::Size { location: location(), size }),
        }
    }
}

/// The bytes, wherever they are.
#[derive(Debug)]
pub(super) enum Backing {
    SysV(SysvShm),
    File(MappedFile),
}

impl Backing {
    pub(super) fn region(&self) -> &Region {
        match self {
            Backing::SysV(shm) => shm.region(),
            Backing::File(file) => file.region(),
        }
    }

    pub(super) fn region_mut(&mut self) -> &mut Region {
        match self {
            Backing::SysV(shm) => shm.region_mut(),
            Backing::File(file) => file.region_mut(),
        }
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match self {
            Backing::SysV(shm) => shm.remove(),
            Backing::File(file) => file.remove(),
        }
    }

    /// Whether key or name still lead here.
    pub(super) fn is_current(&self) -> bool {
        match self {
            Backing::SysV(shm) => SysvShm::attach(shm.key()).is_ok_and(|other| other.id() == shm.id()),
            Backing::File(file) => file.is_current(),
        }
    }

    /// Other processes that have it attached; 0 where nobody counts.
    pub(super) fn others_attached(&self) -> io::Result<u64> {
        match self {
            Backing::SysV(shm) => Ok(shm.stat()?.attached.saturating_sub(1)),
            Backing::File(_) => Ok(0),
        }
    }
}
