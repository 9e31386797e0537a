//! Registers of a device in the address space: a memory node (`/dev/roach/mem`), a PCI BAR
//! (`.../resourceN`), a UIO map (`/dev/uioN`), or a file in their place.
//!
//! Every access is one aligned 32-bit volatile load or store. There is never a Rust reference into the
//! mapping: the compiler could then split, widen, repeat or drop accesses, and each of them has effects.

use memmap2::{MmapOptions, MmapRaw};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};

/// Bytes of a register word.
const WORD: u64 = 4;
/// Where the kernel describes the maps of UIO devices.
const UIO_CLASS: &str = "/sys/class/uio";

/// What to map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The device or file.
    pub path: PathBuf,
    /// First byte, counted from the start of the file or of the UIO map; a multiple of 4.
    pub offset: u64,
    /// Bytes; `None`: what the file or the UIO map has from there on, or else [`Place::otherwise`].
    pub len: Option<u64>,
    /// Bytes to map of a device that does not tell its size.
    pub otherwise: u64,
    /// Which map of a UIO device. The kernel selects it by page number, so map 1 of a plain file begins at
    /// its second page.
    pub window: Option<u64>,
    /// Map for reading only.
    pub read_only: bool,
}

/// A mapped device.
#[derive(Debug)]
pub struct DeviceMap {
    file: File,
    map: MmapRaw,
    /// From the start of the mapping to the first word.
    skip: usize,
    /// Bytes, a multiple of 4.
    len: usize,
    /// Size the file must keep; devices have none.
    file_end: Option<u64>,
    read_only: bool,
}

impl DeviceMap {
    /// Maps a device.
    pub fn open(place: &Place) -> io::Result<DeviceMap> {
        let mut options = OpenOptions::new();
        options.read(true).write(!place.read_only).custom_flags(libc::O_SYNC | libc::O_CLOEXEC);
        let file = options.open(&place.path)?;
        let meta = file.metadata()?;
        let kind = meta.file_type();
        if !(kind.is_file() || kind.is_char_device()) {
            return Err(invalid("neither a file nor a character device"));
        }
        let page = page_size()?;
        let size = kind.is_file().then_some(meta.len());
        let at = match (place.window, size) {
            (Some(window), None) => {
                uio_extent(Path::new(UIO_CLASS), &place.path, window)?.placed(page, place)?
            }
            (window, size) => plain_extent(window, size, page, place)?,
        };
        let total = usize::try_from(at.skip + at.len).map_err(|_| invalid("more than can be mapped"))?;
        let mut mapping = MmapOptions::new();
        mapping.offset(at.start).len(total);
        let map = if place.read_only { mapping.map_raw_read_only(&file)? } else { mapping.map_raw(&file)? };
        Ok(DeviceMap {
            file,
            map,
            skip: at.skip as usize,
            len: at.len as usize,
            file_end: size.map(|_| at.start + at.skip + at.len),
            read_only: place.read_only,
        })
    }

    /// Bytes, a multiple of 4.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no words.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Stores are refused.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Still as large as it was when it was mapped? Touching what was cut off a file would end this process
    /// (SIGBUS). A device cannot be asked.
    pub fn is_whole(&self) -> bool {
        match self.file_end {
            Some(end) => self.file.metadata().is_ok_and(|meta| meta.len() >= end),
            None => true,
        }
    }

    /// The word at byte `at`, in the byte order of this machine.
    ///
    /// # Panics
    /// When the word is not inside the map, or `at` is no multiple of 4.
    pub fn load(&self, at: usize) -> u32 {
        let word = self.word(at);
        // SAFETY: `word` checked the range against the mapping, which lives as long as `self`, and the
        // alignment; the mapping is readable; every bit pattern is a u32; no reference is made.
        unsafe { word.read_volatile() }
    }

    /// Stores the word at byte `at`, after everything this thread did before.
    ///
    /// # Panics
    /// When the word is not inside the map, `at` is no multiple of 4, or the map is for reading only.
    pub fn store(&mut self, at: usize, value: u32) {
        assert!(!self.read_only, "a store to a map for reading only");
        let word = self.word(at);
        // A volatile store alone may overtake ordinary ones on weakly ordered processors.
        fence(Ordering::SeqCst);
        // SAFETY: as in `load`; the mapping is writable unless `read_only`, and shared with nobody in this
        // process: `self` is borrowed mutably.
        unsafe { word.write_volatile(value) }
    }

    fn word(&self, at: usize) -> *mut u32 {
        let inside = at.checked_add(WORD as usize).is_some_and(|end| end <= self.len);
        assert!(inside && at.is_multiple_of(WORD as usize), "no word at {at} of a map of {}", self.len);
        // SAFETY: `skip + len` bytes are mapped, and `at` was just checked; so this stays inside. The
        // mapping begins on a page, `skip` and `at` are multiples of 4: the pointer is aligned.
        unsafe { self.map.as_mut_ptr().add(self.skip + at).cast::<u32>() }
    }
}

/// What to ask `mmap` for, and what of it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    /// Page-aligned offset for `mmap`.
    start: u64,
    /// Bytes of the mapping before the first word.
    skip: u64,
    /// Bytes of ours.
    len: u64,
}

/// A file, or a device that is mapped by byte offset.
fn plain_extent(window: Option<u64>, size: Option<u64>, page: u64, place: &Place) -> io::Result<Extent> {
    let start = window.unwrap_or(0).checked_mul(page).ok_or_else(|| invalid("no such window"))?;
    let first = start.checked_add(place.offset).ok_or_else(|| invalid("the offset is too large"))?;
    let there = size.map(|size| size.saturating_sub(first));
    let len = place.len.or(there).unwrap_or(place.otherwise);
    if let Some(there) = there.filter(|there| len > *there || *there < WORD) {
        return Err(invalid(&format!("{len} bytes from {first} on are wanted, {there} are there")));
    }
    let skip = first % page;
    words(Extent { start: first - skip, skip, len })
}

/// What the kernel says of one map of a UIO device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UioMap {
    window: u64,
    size: u64,
    /// Where the device's first byte lies in its first page.
    offset: u64,
}

impl UioMap {
    fn placed(self, page: u64, place: &Place) -> io::Result<Extent> {
        let there = self.size.saturating_sub(place.offset);
        let len = place.len.unwrap_or(there);
        if len > there {
            let text =
                format!("{len} bytes from {} on are wanted, map {} has {there}", place.offset, self.window);
            return Err(invalid(&text));
        }
        let start = self.window.checked_mul(page).ok_or_else(|| invalid("no such window"))?;
        words(Extent { start, skip: self.offset + place.offset, len })
    }
}

fn uio_extent(class: &Path, device: &Path, window: u64) -> io::Result<UioMap> {
    let name = device.file_name().ok_or_else(|| invalid("no name of a UIO device"))?;
    let dir = class.join(name).join(format!("maps/map{window}"));
    let read = |attribute: &str| -> io::Result<u64> {
        let path = dir.join(attribute);
        let text = std::fs::read_to_string(&path)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        let digits = text.trim().trim_start_matches("0x");
        u64::from_str_radix(digits, 16)
            .map_err(|_| invalid(&format!("{}: '{}'", path.display(), text.trim())))
    };
    Ok(UioMap { window, size: read("size")?, offset: read("offset")? })
}

/// Whole words only.
fn words(extent: Extent) -> io::Result<Extent> {
    if !extent.skip.is_multiple_of(WORD) {
        return Err(invalid("the offset is no multiple of 4"));
    }
    let len = extent.len - extent.len % WORD;
    if len == 0 {
        return Err(invalid("the device does not tell its size: say length=BYTES"));
    }
    Ok(Extent { len, ..extent })
}

fn page_size() -> io::Result<u64> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).map_err(io::Error::from)?;
    size.and_then(|s| u64::try_from(s).ok()).ok_or_else(|| io::Error::other("the page size is unknown"))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path) -> Place {
        Place { path: path.to_owned(), offset: 0, len: None, otherwise: 0, window: None, read_only: false }
    }

    fn file(bytes: usize) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("device");
        std::fs::write(&path, vec![0; bytes]).expect("written");
        (dir, path)
    }

    #[test]
    fn words_go_where_they_belong() {
        let (_dir, path) = file(10_002);
        let mut map = DeviceMap::open(&Place { offset: 4100, ..place(&path) }).expect("mapped");
        assert_eq!(map.len(), 5900, "whole words of what the file has");
        map.store(4, 0x0102_0304);
        assert_eq!(map.load(4), 0x0102_0304);
        map.store(5896, 7);
        let bytes = std::fs::read(&path).expect("read");
        assert_eq!(bytes[4104..4108], 0x0102_0304u32.to_ne_bytes());
        assert_eq!(bytes[9996..10_000], 7u32.to_ne_bytes());
    }

    #[test]
    fn a_window_is_counted_in_pages_as_uio_does() {
        let page = page_size().expect("known") as usize;
        let (_dir, path) = file(3 * page);
        let mut map = DeviceMap::open(&Place { window: Some(2), offset: 8, len: Some(64), ..place(&path) })
            .expect("mapped");
        map.store(0, u32::from_be_bytes(*b"here"));
        let bytes = std::fs::read(&path).expect("read");
        assert_eq!(bytes[2 * page + 8..][..4], u32::from_be_bytes(*b"here").to_ne_bytes());
    }

    #[test]
    fn the_kernels_description_of_a_uio_map_is_used() {
        let class = tempfile::tempdir().expect("a directory");
        let dir = class.path().join("uio3/maps/map1");
        std::fs::create_dir_all(&dir).expect("made");
        std::fs::write(dir.join("size"), "0x0000000000001000\n").expect("written");
        std::fs::write(dir.join("offset"), "0x40\n").expect("written");
        let uio = uio_extent(class.path(), Path::new("/dev/uio3"), 1).expect("described");
        assert_eq!(uio, UioMap { window: 1, size: 0x1000, offset: 0x40 });
        let device = Path::new("/dev/uio3");
        let wanted = Extent { start: 4096, skip: 0x50, len: 0xFF0 };
        assert_eq!(uio.placed(4096, &Place { offset: 0x10, ..place(device) }).expect("fits"), wanted);
        uio.placed(4096, &Place { len: Some(0x1004), ..place(device) }).expect_err("beyond the map");
        let error = uio_extent(class.path(), device, 2).expect_err("no such map");
        assert!(error.to_string().contains("uio3/maps/map2/size"), "{error}");
    }

    #[test]
    fn what_cannot_be_mapped_is_refused_with_a_reason() {
        let (dir, path) = file(100);
        let refused = |place: Place| DeviceMap::open(&place).expect_err("refused").to_string();
        assert!(
            refused(Place { len: Some(104), ..place(&path) }).contains("104 bytes from 0 on are wanted, 100")
        );
        assert!(refused(Place { offset: 100, ..place(&path) }).contains("0 are there"));
        assert!(refused(Place { offset: 2, len: Some(8), ..place(&path) }).contains("multiple of 4"));
        assert!(refused(Place { offset: u64::MAX, window: Some(1), ..place(&path) }).contains("too large"));
        assert!(refused(place(dir.path())).contains("directory"));
        assert!(refused(place(Path::new("/dev/null"))).contains("length=BYTES"));
    }

    #[test]
    #[should_panic(expected = "no word at 8 of a map of 8")]
    fn beyond_the_end_there_is_nothing() {
        let (_dir, path) = file(8);
        DeviceMap::open(&place(&path)).expect("mapped").load(8);
    }

    #[test]
    fn a_file_cut_short_is_noticed() {
        let (_dir, path) = file(8192);
        let map = DeviceMap::open(&Place { read_only: true, ..place(&path) }).expect("mapped");
        assert!(map.is_whole() && map.read_only());
        File::options().write(true).open(&path).and_then(|f| f.set_len(4096)).expect("cut");
        assert!(!map.is_whole());
    }
}
