//! From a whole partial file to an image with its name: compressed, never over another file, with its line in the
//! checksum file. The lock file goes last.
//!
//! ```text
//! X.fits.part ──────────────────────────────► X.fits        rename, never replacing
//! X.fits.part ── gzip ─► X.fits.gz.part ────► X.fits.gz     then X.fits.part is removed
//! ```
//!
//! The process may end between any two steps: what is on disk then, [`super::survey`] finds and
//! [`super::restore`] completes.

use super::disk::{Disk, Named, parent, with_suffix};
use super::jobs::{FileError, Naming, Published};
use super::reserve::night_of;
use super::writer::Writer;
use crate::config::archon::ChecksumMode;
use flate2::{Compression, GzBuilder};
use sha1::Digest;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

/// Bytes read and compressed at once.
const PIECE: usize = 1 << 20;

/// A whole image to be published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'a> {
    pub ccd: &'a str,
    /// Where to.
    pub image: &'a Path,
    /// Where it is, uncompressed.
    pub part: &'a Path,
    pub lock: &'a Path,
    /// For the name of the checksum file.
    pub sjd: Option<i64>,
    /// The lock file stays.
    pub keep_lock: bool,
}

/// All images of a frame, several at a time if the site wants that.
pub(super) fn frame(writer: &mut Writer) -> Result<Vec<Published>, FileError> {
    let first = writer.images.first().map_or(Path::new(""), |i| &i.spec.path);
    if !writer.secured {
        return Err(FileError::new("cannot publish", first, "it is not secured", "secure it first"));
    }
    let whole: Vec<Whole> = writer
        .images
        .iter()
        .filter(|i| !i.spec.discard && i.published.is_none())
        .map(|i| Whole {
            ccd: &i.spec.cut.ccd,
            image: &i.spec.path,
            part: &i.part_path,
            lock: &i.lock_path,
            sjd: i.lock.sjd,
            keep_lock: false,
        })
        .collect();
    let (disk, naming) = (&writer.disk, &writer.plan.naming);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let at_once = if naming.files.write_async { cores } else { 1 };
    let mut results = Vec::new();
    for group in whole.chunks(at_once.max(1)) {
        results.extend(thread::scope(|scope| {
            let publish = |w| image(disk, w, naming, naming.checksum.write);
            let threads: Vec<_> = group.iter().map(|w| scope.spawn(move || publish(w))).collect();
            let joined =
                threads.into_iter().zip(group).map(|(t, w)| t.join().unwrap_or_else(|_| panicked(w)));
            joined.collect::<Vec<_>>()
        }));
    }
    // Every image that could be published is, whatever happened to another, which may be tried again.
    let open = writer.images.iter_mut().filter(|i| !i.spec.discard && i.published.is_none());
    let mut failed = None;
    for (image, result) in open.zip(results) {
        match result {
            Ok(published) => image.published = Some(published),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(writer.images.iter().filter_map(|i| i.published.clone()).collect()),
    }
}

fn panicked(whole: &Whole) -> Result<Published, FileError> {
    Err(FileError::new("cannot publish", whole.image, "the worker failed", "recover it from its lock file"))
}

/// One image, its lock file included.
pub(super) fn image(
    disk: &Disk,
    whole: &Whole,
    naming: &Naming,
    checksum: bool,
) -> Result<Published, FileError> {
    let (bytes, sum) = named(disk, whole, naming, checksum)?;
    let mut published = Published {
        ccd: whole.ccd.to_owned(),
        path: whole.image.to_owned(),
        bytes,
        sum: sum.clone(),
        warnings: Vec::new(),
    };
    if let Some(sum) = sum {
        note_sum(disk, whole, naming, &sum, &mut published.warnings);
    }
    tidy(disk, whole, &mut published.warnings);
    Ok(published)
}

/// An image that has its name already: its line in the checksum file, and nothing left over.
pub(super) fn left_over(
    disk: &Disk,
    whole: &Whole,
    naming: &Naming,
    checksum: bool,
) -> Result<Published, FileError> {
    let mut sum = checksum.then(|| Sum::new(naming.checksum.mode));
    let bytes = read(whole.image, sum.as_mut())?;
    let sum = sum.map(Sum::hex);
    let (ccd, path) = (whole.ccd.to_owned(), whole.image.to_owned());
    let mut published = Published { ccd, path, bytes, sum: sum.clone(), warnings: Vec::new() };
    if let Some(sum) = sum {
        note_sum(disk, whole, naming, &sum, &mut published.warnings);
    }
    tidy(disk, whole, &mut published.warnings);
    Ok(published)
}

/// Gives the image its name; its size and sum.
fn named(
    disk: &Disk,
    whole: &Whole,
    naming: &Naming,
    checksum: bool,
) -> Result<(u64, Option<String>), FileError> {
    let mut sum = checksum.then(|| Sum::new(naming.checksum.mode));
    let is_gzip = whole.image.extension().is_some_and(|e| e == "gz");
    let from = if is_gzip { with_suffix(whole.image, ".part") } else { whole.part.to_owned() };
    let bytes =
        if is_gzip { compress(disk, whole.part, &from, sum.as_mut())? } else { read(&from, sum.as_mut())? };
    disk.publish(&from, whole.image).map_err(|e| refused(whole.image, e))?;
    disk.sync_dir(parent(whole.image))?;
    Ok((bytes, sum.map(Sum::hex)))
}

/// The reference's words when the name is taken.
fn refused(image: &Path, error: FileError) -> FileError {
    if image.exists() {
        let why = format!("Cannot overwrite file {}.", image.display());
        return FileError::new(
            "cannot publish",
            image,
            why,
            "move that file away and recover; nothing is lost",
        );
    }
    error
}

/// gzip level 1 with no name and no time in it: the same image gives the same file.
fn compress(disk: &Disk, from: &Path, to: &Path, sum: Option<&mut Sum>) -> Result<u64, FileError> {
    let out = disk.create_over(to)?;
    let sink = Sink { disk, out, sum, bytes: 0, failed: None };
    let mut gzip = GzBuilder::new().mtime(0).write(sink, Compression::fast());
    let copied = copy(from, &mut gzip);
    if let Some(error) = gzip.get_mut().failed.take() {
        return Err(error);
    }
    copied?;
    let finished = gzip.finish().map_err(|e| FileError::io("cannot compress", to, &e))?;
    let Sink { out, bytes, failed, .. } = finished;
    if let Some(error) = failed {
        return Err(error);
    }
    disk.sync(&out)?;
    Ok(bytes)
}

fn copy(from: &Path, to: &mut impl Write) -> Result<(), FileError> {
    let failed = |e: io::Error| FileError::io("cannot read", from, &e);
    let mut file = File::open(from).map_err(failed)?;
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(()),
            n => to.write_all(&buffer[..n]).map_err(|e| FileError::io("cannot compress", from, &e))?,
        }
    }
}

/// Only the sum of a file that goes out as it is.
fn read(path: &Path, sum: Option<&mut Sum>) -> Result<u64, FileError> {
    let failed = |e: io::Error| FileError::io("cannot read", path, &e);
    if let Some(sum) = sum {
        copy(path, sum)?;
    }
    Ok(std::fs::metadata(path).map_err(failed)?.len())
}

/// Where compressed bytes go: file and sum.
struct Sink<'a> {
    disk: &'a Disk,
    out: Named,
    sum: Option<&'a mut Sum>,
    bytes: u64,
    /// What the disk said, with its words.
    failed: Option<FileError>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.disk.write(&mut self.out, bytes) {
            self.failed = Some(error);
            return Err(io::Error::other("see `failed`"));
        }
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A checksum of a file.
pub(super) enum Sum {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
}

impl Sum {
    pub fn new(mode: ChecksumMode) -> Sum {
        match mode {
            ChecksumMode::Md5 => Sum::Md5(md5::Md5::new()),
            ChecksumMode::Sha1 => Sum::Sha1(sha1::Sha1::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Sum::Md5(sum) => sum.update(bytes),
            Sum::Sha1(sum) => sum.update(bytes),
        }
    }

    pub fn hex(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Sum::Md5(sum) => hex(&sum.finalize()),
            Sum::Sha1(sum) => hex(&sum.finalize()),
        }
    }
}

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file with the sums of a directory.
pub(super) fn sum_file(whole: &Whole, naming: &Naming) -> PathBuf {
    let night = whole.sjd.or_else(|| night_of(whole.image)).map_or("unknown".to_owned(), |n| n.to_string());
    parent(whole.image).join(naming.checksum.file.replace("{SJD}", &night))
}

/// A line of the checksum file, unless it is there already; failing costs a warning only.
fn note_sum(disk: &Disk, whole: &Whole, naming: &Naming, sum: &str, warnings: &mut Vec<String>) {
    let name = whole.image.file_name().unwrap_or_default().to_string_lossy();
    let (path, line) = (sum_file(whole, naming), format!("{sum}  {name}"));
    let text = std::fs::read(&path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    if text.lines().any(|l| l == line) {
        return;
    }
    // A line that a power cut has torn must not swallow ours.
    let torn = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    if let Err(e) = disk.append(&path, &format!("{torn}{line}\n")) {
        warnings.push(format!("Failed writing the checksum of {name}: {e}"));
    }
}

/// Removes what is no longer needed, the lock file last. What cannot be removed is found by the next survey.
fn tidy(disk: &Disk, whole: &Whole, warnings: &mut Vec<String>) {
    let result = remove_all(disk, whole);
    warnings.extend(result.err().map(|e| e.to_string()));
}

fn remove_all(disk: &Disk, whole: &Whole) -> Result<(), FileError> {
    disk.remove(whole.part)?;
    disk.remove(&with_suffix(whole.image, ".part"))?;
    disk.remove(&with_suffix(whole.lock, ".new"))?;
    disk.sync_dir(parent(whole.image))?;
    if whole.keep_lock {
        return Ok(());
    }
    disk.remove(whole.lock)?;
    disk.sync_dir(parent(whole.lock))
}
