//! System V shared memory segments: `shmget`, `shmat`, `shmctl`, `shmdt`.
//!
//! Dropping a [`SysvShm`] detaches. The segment itself stays until somebody calls
//! [`remove`](SysvShm::remove), as its users in other processes expect.

use super::region::Region;
use std::io;
use std::ptr::NonNull;

/// Read and write for everybody: pipeline programs run under other users. (The umask does not apply here.)
const MODE: libc::c_int = 0o666;

/// An attached segment.
#[derive(Debug)]
pub struct SysvShm {
    id: i32,
    key: u32,
    region: Region,
}

/// What the kernel says about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShmStat {
    /// Bytes.
    pub size: usize,
    /// Processes attached, this one included.
    pub attached: u64,
    /// User that owns it.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Process that created it.
    pub creator: i32,
}

impl SysvShm {
    /// Makes a segment of exactly `len` zero bytes. Fails with `AlreadyExists` if the key is taken.
    pub fn create(key: u32, len: usize) -> io::Result<SysvShm> {
        attach(key, get(key, len, libc::IPC_CREAT | libc::IPC_EXCL | MODE)?)
    }

    /// Attaches to an existing segment of any size; `NotFound` if there is none. Never creates.
    pub fn attach(key: u32) -> io::Result<SysvShm> {
        attach(key, get(key, 0, 0)?)
    }

    /// Kernel number and state of a segment, without attaching; `None`: there is none.
    pub fn look(key: u32) -> io::Result<Option<(i32, ShmStat)>> {
        match get(key, 0, 0) {
            Ok(id) => stat(id).map(|found| Some((id, found))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Keeps its pages in memory (`SHM_LOCK`); needs the right to lock that much.
    pub fn lock_in_memory(&self) -> io::Result<()> {
        // SAFETY: SHM_LOCK takes no buffer.
        check(unsafe { libc::shmctl(self.id, libc::SHM_LOCK, std::ptr::null_mut()) }).map(drop)
    }

    /// Pages that do not exist yet are to come from this node of a machine with several memories, whoever touches
    /// them first (`mbind` of the attachment: the policy of shared memory belongs to the segment).
    pub fn bind_to_node(&self, node: u32) -> io::Result<()> {
        const MPOL_BIND: libc::c_ulong = 2;
        const BITS: u32 = libc::c_ulong::BITS;
        let mut mask: [libc::c_ulong; 16] = [0; 16];
        let word = mask.get_mut((node / BITS) as usize).ok_or(io::ErrorKind::InvalidInput)?;
        *word = 1 << (node % BITS);
        let bits = (mask.len() as u32 * BITS) as libc::c_ulong;
        let (start, len) = (self.region.start().as_ptr(), self.region.len() as libc::c_ulong);
        // SAFETY: the range is our attachment; the kernel only reads the mask, which is longer than it is told to
        // look (it reads one bit less).
        let result = unsafe { libc::syscall(libc::SYS_mbind, start, len, MPOL_BIND, mask.as_ptr(), bits, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The kernel's number of the segment.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The key it was found by.
    pub fn key(&self) -> u32 {
        self.key
    }

    /// Its bytes.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Its bytes, for writing.
    pub fn region_mut(&mut self) -> &mut Region {
        &mut self.region
    }

    /// Asks the kernel.
    pub fn stat(&self) -> io::Result<ShmStat> {
        stat(self.id)
    }

    /// Marks the segment for deletion: the key is free at once, the memory goes with the last process.
    pub fn remove(&self) -> io::Result<()> {
        // SAFETY: IPC_RMID takes no buffer.
        check(unsafe { libc::shmctl(self.id, libc::IPC_RMID, std::ptr::null_mut()) }).map(drop)
    }
}

impl Drop for SysvShm {
    fn drop(&mut self) {
        // SAFETY: the address came from shmat and is detached once; the region dies with `self`.
        unsafe { libc::shmdt(self.region.start().as_ptr().cast()) };
    }
}

fn get(key: u32, len: usize, flags: libc::c_int) -> io::Result<i32> {
    // SAFETY: plain values, no memory involved.
    check(unsafe { libc::shmget(key as libc::key_t, len, flags) })
}

fn attach(key: u32, id: i32) -> io::Result<SysvShm> {
    let len = stat(id)?.size;
    // SAFETY: a null address lets the kernel choose free address space.
    let start = unsafe { libc::shmat(id, std::ptr::null(), 0) };
    if start as isize == -1 {
        return Err(io::Error::last_os_error());
    }
    let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("shmat returned address 0"))?;
    // SAFETY: the kernel mapped `len` bytes read-write (the size of a segment never changes), detached only
    // in Drop; nobody makes references into it.
    Ok(SysvShm { id, key, region: unsafe { Region::new(start, len) } })
}

fn stat(id: i32) -> io::Result<ShmStat> {
    // SAFETY: the structure is plain data of integers, for which zero is a value; IPC_STAT fills it.
    let ds = unsafe {
        let mut ds: libc::shmid_ds = std::mem::zeroed();
        check(libc::shmctl(id, libc::IPC_STAT, &mut ds))?;
        ds
    };
    Ok(ShmStat {
        size: ds.shm_segsz,
        attached: ds.shm_nattch,
        uid: ds.shm_perm.uid,
        mode: u32::from(ds.shm_perm.mode) & 0o777,
        creator: ds.shm_cpid,
    })
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of this process only: other tests and users of the machine keep theirs.
    fn private_key(n: u32) -> u32 {
        0x5A00_0000 | (std::process::id() & 0xffff) << 4 | n
    }

    #[test]
    fn a_segment_is_zero_shared_by_key_and_gone_after_remove() {
        let key = private_key(1);
        let mut a = SysvShm::create(key, 4096).expect("create");
        assert_eq!(SysvShm::create(key, 4096).expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        let b = SysvShm::attach(key).expect("attach");
        let stat = b.stat().expect("stat");
        assert_eq!((stat.size, stat.attached, stat.mode), (4096, 2, 0o666));
        a.region_mut().write(4090, b"after!");
        let mut out = [9; 8];
        b.region().read(4088, &mut out);
        assert_eq!(&out, b"\0\0after!");
        a.remove().expect("remove");
        assert_eq!(SysvShm::attach(key).expect_err("removed").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_segment_is_looked_at_without_attaching() {
        let key = private_key(3);
        assert_eq!(SysvShm::look(key).expect("asked"), None);
        let shm = SysvShm::create(key, 4096).expect("create");
        // A kernel without NUMA does not know the call.
        if let Err(e) = shm.bind_to_node(0) {
            assert_eq!(e.raw_os_error(), Some(libc::ENOSYS), "node 0 is always there: {e}");
        }
        let (id, stat) = SysvShm::look(key).expect("asked").expect("it is there");
        assert_eq!((id, stat.size, stat.attached), (shm.id(), 4096, 1));
        shm.remove().expect("remove");
    }

    #[test]
    #[should_panic(expected = "not inside")]
    fn reading_outside_is_refused() {
        let shm = SysvShm::create(private_key(2), 64).expect("create");
        shm.remove().expect("remove");
        shm.region().read(60, &mut [0; 8]);
    }
}
