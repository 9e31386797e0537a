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

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, NamedSem) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let sem = NamedSem::open_or_create(&dir.path().join("sem.test")).expect("create");
        (dir, sem)
    }

    fn bytes(sem: &NamedSem) -> Vec<u8> {
        std::fs::read(sem.path()).expect("the file")
    }

    #[test]
    fn names_lead_to_the_files_of_glibc() {
        let path = |name: &str| sem_path(name).map(|p| p.display().to_string());
        assert_eq!(path("/a_status_0").expect("a name"), "/dev/shm/sem.a_status_0");
        assert_eq!(path("a_status_0").expect("a name"), "/dev/shm/sem.a_status_0");
        assert!(path("/a/b").is_err());
        assert!(path("/").is_err());
        assert!(path(&"x".repeat(251)).is_ok());
        assert!(path(&"x".repeat(252)).is_err());
    }

    #[test]
    fn the_bytes_are_those_of_glibc() {
        let (_dir, sem) = fresh();
        let mut expected = [0u8; 32];
        expected[0] = 1;
        expected[8] = 0x80;
        assert_eq!(bytes(&sem), expected);
        assert!(sem.try_wait());
        expected[0] = 0;
        assert_eq!(bytes(&sem), expected);
        assert!(!sem.try_wait());
        sem.post();
        sem.post();
        expected[0] = 2;
        assert_eq!(bytes(&sem), expected);
        assert!(sem.lower_excess());
        assert!(!sem.lower_excess());
        assert_eq!(sem.word(), SemWord { value: 1, waiters: 0 });
    }

    #[test]
    fn opening_twice_finds_the_same_and_leaves_no_draft() {
        let (dir, sem) = fresh();
        assert!(sem.try_wait());
        let again = NamedSem::open_or_create(sem.path()).expect("open");
        assert!(!again.try_wait());
        assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 1);
        assert!(again.is_current());
        sem.remove().expect("remove");
        assert!(!again.is_current());
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_takes_its_mark_back() {
        let (_dir, sem) = fresh();
        assert!(sem.try_wait());
        assert!(!sem.wait_until(clock::mono() + Duration::from_millis(5)));
        assert_eq!(sem.word(), SemWord { value: 0, waiters: 0 });
    }

    #[test]
    fn a_waiter_is_woken_by_post_and_by_repair() {
        for wake in [NamedSem::post as fn(&NamedSem), |sem| assert!(sem.repair())] {
            let (_dir, sem) = fresh();
            assert!(sem.try_wait());
            let path = sem.path().to_owned();
            let waiter = std::thread::spawn(move || {
                let sem = NamedSem::open(&path).expect("open");
                sem.wait_until(clock::mono() + Duration::from_secs(60))
            });
            while sem.word().waiters == 0 {
                std::thread::yield_now();
            }
            wake(&sem);
            assert!(waiter.join().expect("no panic"));
            assert_eq!(sem.word(), SemWord { value: 0, waiters: 0 });
        }
    }

    #[test]
    fn repair_leaves_a_free_lock_alone() {
        let (_dir, sem) = fresh();
        assert!(!sem.repair());
        assert_eq!(sem.word().value, 1);
    }

    #[test]
    fn what_is_no_semaphore_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("sem.short");
        assert_eq!(NamedSem::open(&path).expect_err("missing").kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, b"short").expect("write");
        assert_eq!(NamedSem::open(&path).expect_err("short").kind(), io::ErrorKind::InvalidData);
        let link = dir.path().join("sem.link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(NamedSem::open(&link).is_err());
    }
}
