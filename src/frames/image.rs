//! One image of a frame on its way to the disk: lock file, partial file, header.

use super::disk::{Disk, Named};
use super::geometry::FrameGeometry;
use super::header::{self, BLOCK, card, put};
use super::jobs::{Card, FileError, FrameId, FramePlan, ImageSpec, Published};
use super::lock::{self, Lock, State};
use super::pixels::fold;
use super::scatter::{Block, Scatter};
use crate::proto::archon::Sample;
use crate::sys::{clock, write_back};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// So many bytes are given to the file system before it is told to begin with them: at the end of the frame the
/// sync has this much to wait for, not all of it.
const WRITE_BACK_EVERY: u64 = 4 << 20;
/// Bytes moved or read at once.
const PIECE: usize = 1 << 20;

/// An image being written; nothing of it is on disk if it is to be discarded.
#[derive(Debug)]
pub(super) struct Image {
    pub spec: ImageSpec,
    pub lock: Lock,
    pub lock_path: PathBuf,
    pub part_path: PathBuf,
    pub scatter: Scatter,
    sample: Sample,
    /// The lock file, if written: `Some(true)` it is new, `Some(false)` there was one of this frame.
    locked: Option<bool>,
    part: Option<Part>,
    /// It has its name.
    pub published: Option<Published>,
}

/// The partial file.
#[derive(Debug)]
struct Part {
    file: Named,
    /// Place of the first pixel.
    data_at: u64,
    /// Bytes that the file system has not been told to begin with.
    idle: u64,
}

impl Image {
    pub fn new(spec: &ImageSpec, plan: &FramePlan, sjd: i64) -> Image {
        let part_path = lock::part_of(&spec.path);
        Image {
            lock: Lock {
                id: plan.id.clone(),
                exposure: plan.exposure,
                image: spec.path.clone(),
                cut: Some(spec.cut.clone()),
                cards: spec.cards.clone(),
                geometry: Some(plan.geometry),
                base: plan.base,
                ccd: spec.cut.ccd.clone(),
                part: Some(part_path.clone()),
                state: State::Writing,
                why: String::new(),
                sjd: Some(sjd),
            },
            lock_path: lock::path_of(&spec.path),
            part_path,
            scatter: Scatter::new(&spec.cut, &plan.geometry, &plan.overscan),
            sample: plan.geometry.sample,
            spec: spec.clone(),
            locked: None,
            part: None,
            published: None,
        }
    }

    /// Writes the lock file, unless one of another frame is there.
    pub fn lock(&mut self, disk: &Disk, plan: &FramePlan) -> Result<(), FileError> {
        if self.spec.discard {
            return Ok(());
        }
        if self.spec.path.exists() {
            return Err(FileError::exists(&self.spec.path));
        }
        let is_new = self.may_lock(plan)?;
        disk.replace(&self.lock_path, &self.lock.text())?;
        self.locked = Some(is_new);
        Ok(())
    }

    /// A lock file that is there must be of this very frame: a second try after a fetch that failed, or recovery.
    /// `true`: there is none.
    fn may_lock(&self, plan: &FramePlan) -> Result<bool, FileError> {
        let text = match std::fs::read(&self.lock_path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                if self.part_path.exists() {
                    return Err(FileError::exists(&self.part_path));
                }
                return Ok(true);
            }
            Err(e) => return Err(FileError::io("cannot read", &self.lock_path, &e)),
        };
        let refuse =
            |why: &str, remedy: &str| Err(FileError::new("cannot use", &self.lock_path, why, remedy));
        match Lock::parse(&text) {
            Ok(old) if !old.is_of(&plan.id, &self.spec.cut.ccd, plan.exposure) => refuse(
                "it is about another frame that was not saved",
                "recover that exposure, or move its .lock and .part files away",
            ),
            Ok(old) if old.state == State::Whole && self.part_path.exists() => refuse(
                "the image is already whole in its partial file",
                "recover it: it only has to be published",
            ),
            Ok(_) => Ok(false),
            Err(why) => refuse(&why, "look into it, then move it away with its .part file"),
        }
    }

    /// The partial file with all its space.
    pub fn open(&mut self, disk: &Disk, plan: &FramePlan) -> Result<(), FileError> {
        if self.spec.discard {
            return Ok(());
        }
        let data_at = header::room(self.frame(&plan.id), &self.spec.cards);
        let part = disk.create_over(&self.part_path)?;
        let part = self.part.insert(Part { file: part, data_at, idle: 0 });
        disk.allocate(&part.file, data_at + padded(self.spec.cut.bytes(plan.geometry.sample)))
    }

    fn frame<'a>(&self, id: &'a FrameId) -> header::Frame<'a> {
        header::Frame { width: self.spec.cut.width, height: self.spec.cut.height, sample: self.sample, id }
    }

    /// Pixels `x0..` of line `y` of the frame.
    pub fn line(&mut self, disk: &Disk, y: u32, x0: u32, pixels: &[u8], last: bool) -> Result<(), FileError> {
        let part = &mut self.part;
        self.scatter.line(y, x0, pixels, last, &mut |block| store(disk, part, block))
    }

    /// Cards that became known since.
    pub fn put(&mut self, cards: &[Card]) {
        for card in cards {
            put(&mut self.spec.cards, card.clone());
        }
    }

    /// All pixels are there: header and sync.
    pub fn finish(&mut self, disk: &Disk, id: &FrameId) -> Result<(), FileError> {
        self.write_header(disk, id, self.scatter.sum.value())
    }

    /// What came, as a readable image that says so.
    pub fn finish_partial(
        &mut self,
        disk: &Disk,
        plan: &FramePlan,
        total: u64,
        lines: u32,
    ) -> Result<(), FileError> {
        let Image { scatter, part, .. } = self;
        scatter.flush(lines, &mut |block| store(disk, part, block))?;
        let comment = format!("only {total} of {} bytes came", plan.geometry.bytes());
        self.put(&[card("ARCHPART", true, &comment)]);
        // Pixels of a line that was not finished are in the sums, but not in the file.
        let datasum = self.read_sum()?;
        self.write_header(disk, &plan.id, datasum)
    }

    fn write_header(&mut self, disk: &Disk, id: &FrameId, datasum: u32) -> Result<(), FileError> {
        let frame = self.frame(id);
        let Some(Part { file: part, data_at, .. }) = &mut self.part else { return Ok(()) };
        let header = header::whole(frame, &self.spec.cards, datasum, *data_at, clock::utc());
        let length = header.len() as u64;
        if length > *data_at {
            shift(disk, part, *data_at, length, padded(self.spec.cut.bytes(self.sample)))?;
            *data_at = length;
        }
        disk.write_at(part, &header, 0)?;
        disk.sync(part)
    }

    /// DATASUM of the file as it is.
    fn read_sum(&self) -> Result<u32, FileError> {
        let Some(Part { file: part, data_at, .. }) = &self.part else { return Ok(0) };
        let mut left = padded(self.spec.cut.bytes(self.sample));
        let (mut buffer, mut at, mut sum) = (vec![0; PIECE], *data_at, 0u128);
        while left > 0 {
            let piece = &mut buffer[..left.min(PIECE as u64) as usize];
            let read = part.file.read_exact_at(piece, at);
            read.map_err(|e| FileError::io("cannot read", &part.path, &e))?;
            sum += u128::from(header::sum(piece));
            at += piece.len() as u64;
            left -= piece.len() as u64;
        }
        Ok(fold(sum))
    }

    /// How far the image is, into the lock file.
    pub fn mark(&self, disk: &Disk, state: State, why: &str) -> Result<(), FileError> {
        if self.spec.discard {
            return Ok(());
        }
        let cards = self.spec.cards.clone();
        let lock = Lock { state, why: why.to_owned(), cards, ..self.lock.clone() };
        disk.replace(&self.lock_path, &lock.text())
    }

    /// It could not be opened: removes what was made. A lock file that was there before stays, because it still
    /// says which frame to fetch. Errors leave something for the next survey to find.
    pub fn undo(&self, disk: &Disk) {
        if self.part.is_some() {
            let _ = disk.remove(&self.part_path);
        }
        if self.locked == Some(true) {
            let _ = disk.remove(&self.lock_path);
        }
    }

    /// Nobody wants it.
    pub fn discard(&self, disk: &Disk) {
        if self.locked.is_some() {
            let _ = disk.remove(&self.part_path);
            let _ = disk.remove(&self.lock_path);
        }
    }
}

/// Bytes of a data unit: whole blocks.
pub(super) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK)
}

/// Nothing is stored of an image that is discarded.
fn store(disk: &Disk, part: &mut Option<Part>, block: Block) -> Result<(), FileError> {
    let Some(part) = part else { return Ok(()) };
    disk.write_at(&part.file, block.bytes, part.data_at + block.at)?;
    part.idle += block.bytes.len() as u64;
    if part.idle >= WRITE_BACK_EVERY {
        part.idle = 0;
        write_back::begin(&part.file.file);
    }
    Ok(())
}

/// Moves the data up, from the end, to make room for a longer header.
fn shift(disk: &Disk, part: &Named, from: u64, to: u64, length: u64) -> Result<(), FileError> {
    disk.allocate(part, to + length)?;
    let mut buffer = vec![0; PIECE];
    let mut left = length;
    while left > 0 {
        let piece = &mut buffer[..left.min(PIECE as u64) as usize];
        left -= piece.len() as u64;
        let read = part.file.read_exact_at(piece, from + left);
        read.map_err(|e| FileError::io("cannot read", &part.path, &e))?;
        disk.write_at(part, piece, to + left)?;
    }
    Ok(())
}

impl FrameGeometry {
    /// The whole frame as one image: raw fetches.
    pub fn uncut(&self, name: &str) -> super::geometry::Cut {
        let area = crate::config::archon::Area {
            x0: 0,
            x1: self.width,
            y0: 0,
            y1: self.height,
            flip_x: false,
            flip_y: false,
            to_x: 0,
            to_y: 0,
        };
        super::geometry::Cut {
            ccd: name.to_owned(),
            width: self.width,
            height: self.height,
            areas: vec![area],
        }
    }
}
