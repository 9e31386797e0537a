//! A named POSIX semaphore, in the memory layout of 64-bit glibc (2.21 and later).
//!
//! ```text
//! /dev/shm/sem.NAME   0 u32 value   4 u32 waiters   8 i32 = 0x80 (shared)   12..32 zero
//! ```
//!
//! Own code, because C libraries other than glibc use another file name and layout for `sem_open`, and
//! because every wait here has a deadline. Value and waiters are one 64-bit word for `wait`; the
//! futex is its low half.
//!
//! The semaphore is used as a lock: 1 free, 0 held. The file belongs to nobody; a process that dies
//! while holding leaves 0 behind, see [`NamedSem::repair`].

use super::clock;
use super::mapped_file::MappedFile;
use crate::units::Mono;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::time::Duration;

/// Bytes of the file.
const FILE_SIZE: usize = 32;
/// One waiter, in the 64-bit word.
const WAITER: u64 = 1 << 32;
/// A file name has 255 bytes, `sem.` takes four.
const NAME_MAX: usize = 251;

/// An open semaphore.
#[derive(Debug)]
pub struct NamedSem {
    file: MappedFile,
}

/// One look at a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemWord {
    /// 1 free, 0 held; more after somebody posted once too often.
    pub value: u32,
    /// Processes asleep in a wait (dead ones included).
    pub waiters: u32,
}

/// File of a named semaphore; leading slashes do not matter.
pub fn sem_path(name: &str) -> io::Result<PathBuf> {
    let name = name.trim_start_matches('/');
    if name.is_empty() || name.len() > NAME_MAX || name.contains(['/', '\0']) {
        let text =
            format!("'{name}' cannot name a semaphore: 1 to {NAME_MAX} characters, no '/' after the first");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(Path::new("/dev/shm").join(format!("sem.{name}")))
}

impl NamedSem {
    /// Opens an existing semaphore; `NotFound` if there is none.
    pub fn open(path: &Path) -> io::Result<NamedSem> {
        let file = MappedFile::open(path)?;
        if file.region().len() < FILE_SIZE {
            let text = format!("{} is too short for a semaphore", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(NamedSem { file })
    }

    /// Opens, or creates with value 1. Whoever comes second finds a complete semaphore: it is written
    /// under another name and linked.
    pub fn open_or_create(path: &Path) -> io::Result<NamedSem> {
        match NamedSem::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
        let mut unlocked = [0u8; FILE_SIZE];
        unlocked[0] = 1;
        unlocked[8] = 0x80;
        match MappedFile::create(path, FILE_SIZE, &unlocked) {
            Ok(file) => Ok(NamedSem { file }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => NamedSem::open(path),
            Err(e) => Err(e),
        }
    }

    /// Where its file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Deletes the name. Processes that have it open go on with a semaphore nobody else can find.
    pub fn remove(&self) -> io::Result<()> {
        self.file.remove()
    }

    /// Whether the name still leads to this semaphore (a cleaner may have deleted or replaced it).
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    fn data(&self) -> &AtomicU64 {
        // SAFETY: the mapping is page-aligned, at least 32 bytes, and lives as long as `self`; all processes
        // access these 8 bytes atomically.
        unsafe { AtomicU64::from_ptr(self.file.region().start().as_ptr().cast()) }
    }

    /// The low half: what the futex watches.
    fn value(&self) -> *const AtomicU32 {
        self.file.region().start().as_ptr().cast_const().cast()
    }

    /// Looks without changing anything.
    pub fn word(&self) -> SemWord {
        let data = self.data().load(Relaxed);
        SemWord { value: data as u32, waiters: (data >> 32) as u32 }
    }

    /// Takes one if there is one.
    pub fn try_wait(&self) -> bool {
        self.take(0)
    }

    /// Subtracts one from the value and `also` from the word, if the value is not 0.
    fn take(&self, also: u64) -> bool {
        let less = |data: u64| (data as u32 > 0).then(|| data - 1 - also);
        self.data().fetch_update(Acquire, Relaxed, less).is_ok()
    }

    /// Takes one, sleeping until `deadline` at most. `false`: none came.
    pub fn wait_until(&self, deadline: Mono) -> bool {
        if self.take(0) {
            return true;
        }
        self.data().fetch_add(WAITER, Relaxed);
        loop {
            if self.take(WAITER) {
                return true;
            }
            let left = deadline.since(clock::mono());
            if left.is_zero() {
                self.data().fetch_sub(WAITER, Relaxed);
                return false;
            }
            self.sleep(left);
        }
    }

    /// Sleeps while the value is 0; wakes early for any reason.
    fn sleep(&self, at_most: Duration) {
        let timeout = libc::timespec {
            tv_sec: at_most.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(at_most.subsec_nanos()),
        };
        // SAFETY: the address stays mapped during the call; FUTEX_WAIT (shared between processes) reads 4 bytes.
        unsafe { libc::syscall(libc::SYS_futex, self.value(), libc::FUTEX_WAIT, 0u32, &raw const timeout) };
    }

    /// Gives one back.
    pub fn post(&self) {
        let before = self.data().fetch_add(1, Release);
        if before >> 32 != 0 {
            self.wake_one();
        }
    }

    fn wake_one(&self) {
        // SAFETY: FUTEX_WAKE (shared) uses the address as a name only.
        unsafe { libc::syscall(libc::SYS_futex, self.value(), libc::FUTEX_WAKE, 1) };
    }

    /// Frees a lock whose holder is known to be gone: value 0 becomes 1, waiters stay. `false`: it was not 0
    /// any more, and nothing was changed.
    pub fn repair(&self) -> bool {
        let freed = |data: u64| (data as u32 == 0).then_some(data + 1);
        let done = self.data().fetch_update(Release, Relaxed, freed).is_ok();
        if done {
            self.wake_one();
        }
        done
    }

    /// Takes a value above 1 (posted once too often: two holders possible) down to 1.
    pub fn lower_excess(&self) -> bool {
        let lowered = |data: u64| (data as u32 > 1).then_some(data & !0xffff_ffff | 1);
        self.data().fetch_update(Relaxed, Relaxed, lowered).is_ok()
    }
}
