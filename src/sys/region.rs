//! Memory that other processes write: bytes go in and out by copy, never by reference.
//!
//! A `&[u8]` into such memory would promise the compiler that nobody changes it. [`Region`] therefore
//! only copies. What is copied while another process writes may be torn; the lock that belongs to the
//! memory, or a check afterwards, is the caller's business.

use std::ptr::NonNull;

/// Mapped memory of a fixed size. The owner (a mapping or an attachment) keeps it mapped.
#[derive(Debug)]
pub struct Region {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a `Region` is an address range valid in the whole process, and holds no thread-bound state.
// All access is by volatile-free bulk copy; exclusion between writers is the job of the lock next to it.
unsafe impl Send for Region {}

impl Region {
    /// # Safety
    /// `start..start + len` must be mapped readable, and writable if [`Region::write`] is ever called, for
    /// as long as the region lives, and no Rust reference into it may exist.
    pub(super) unsafe fn new(start: NonNull<u8>, len: usize) -> Region {
        Region { start, len }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// First byte, for code in this folder that needs atomics.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Copies bytes `at..at + out.len()` out.
    ///
    /// # Panics
    /// When the range is not inside the region.
    pub fn read(&self, at: usize, out: &mut [u8]) {
        self.check(at, out.len());
        // SAFETY: the range was checked against the mapping; `out` is private, so the two cannot overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.start.as_ptr().add(at), out.as_mut_ptr(), out.len()) }
    }

    /// Copies `bytes` to `at..`.
    ///
    /// # Panics
    /// When the range is not inside the region.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        self.check(at, bytes.len());
        // SAFETY: as in `read`; `new` demands writable memory of whoever calls this.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(at), bytes.len()) }
    }

    fn check(&self, at: usize, len: usize) {
        let inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        assert!(inside, "{len} bytes at {at} are not inside a region of {}", self.len);
    }
}
