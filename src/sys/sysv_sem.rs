//! System V semaphore sets: `semget`, `semctl`. Data buffers have one for each block: 0 is free, 1 is filled.
//!
//! A set has no owner in memory: it stays until somebody calls [`SysvSem::remove`].

use std::io;

/// Read and write for everybody: pipeline programs run under other users.
const MODE: libc::c_int = 0o666;

/// A set that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysvSem {
    id: i32,
}

impl SysvSem {
    /// Makes a set of `count` semaphores, all 0. Fails with `AlreadyExists` if the key is taken.
    pub fn create(key: u32, count: u32) -> io::Result<SysvSem> {
        let id = get(key, count, libc::IPC_CREAT | libc::IPC_EXCL | MODE)?;
        Ok(SysvSem { id })
    }

    /// The set of a key, if there is one.
    pub fn find(key: u32) -> io::Result<Option<SysvSem>> {
        match get(key, 0, 0) {
            Ok(id) => Ok(Some(SysvSem { id })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The kernel's number of the set; 0 is one, too.
    pub fn id(self) -> i32 {
        self.id
    }

    /// Semaphores.
    pub fn count(self) -> io::Result<u64> {
        // SAFETY: the structure is plain data of integers, for which zero is a value; IPC_STAT fills it.
        let ds = unsafe {
            let mut ds: libc::semid_ds = std::mem::zeroed();
            check(libc::semctl(self.id, 0, libc::IPC_STAT, &mut ds))?;
            ds
        };
        Ok(ds.sem_nsems)
    }

    /// Value of one.
    pub fn value(self, at: u32) -> io::Result<i32> {
        // SAFETY: GETVAL takes no buffer.
        check(unsafe { libc::semctl(self.id, at as libc::c_int, libc::GETVAL) })
    }

    /// Removes the set; whoever waits on it gets an error.
    pub fn remove(self) -> io::Result<()> {
        // SAFETY: IPC_RMID takes no buffer.
        check(unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) }).map(drop)
    }
}

fn get(key: u32, count: u32, flags: libc::c_int) -> io::Result<i32> {
    let count = libc::c_int::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: plain values, no memory involved.
    check(unsafe { libc::semget(key as libc::key_t, count, flags) })
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_made_once_found_by_key_and_gone_after_remove() {
        let key = 0x5B00_0000 | (std::process::id() & 0xffff) << 4;
        assert_eq!(SysvSem::find(key).expect("asked"), None);
        let set = SysvSem::create(key, 24).expect("created");
        assert_eq!(SysvSem::create(key, 24).expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(SysvSem::find(key).expect("asked"), Some(set));
        assert_eq!((set.count().expect("asked"), set.value(23).expect("asked")), (24, 0));
        set.remove().expect("removed");
        assert_eq!(SysvSem::find(key).expect("asked"), None);
    }
}
