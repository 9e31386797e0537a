//! A frame being written: partial files, sums and statistics, chunk by chunk.

use super::disk::{Disk, parent};
use super::image::Image;
use super::jobs::{Card, FileError, FramePlan, TapStatistics};
use super::lock::State;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The state of one frame being written.
#[derive(Debug)]
pub struct Writer {
    pub(super) plan: FramePlan,
    pub(super) disk: Disk,
    pub(super) images: Vec<Image>,
    /// Bytes of the frame taken in; padding counts, too.
    total: u64,
    /// The first bytes of a pixel whose rest has not come yet.
    rest: Vec<u8>,
    /// The first thing that went wrong: nothing is written after it.
    failed: Option<FileError>,
    /// Synced and whole.
    pub(super) secured: bool,
}

impl Writer {
    /// Lock files first, then partial files with all their space; everything synced before the first pixel.
    pub(super) fn open(plan: FramePlan, disk: Disk, sjd: i64) -> Result<Writer, FileError> {
        let first = plan.images.first().map_or(Path::new(""), |i| i.path.as_path()).to_owned();
        for image in &plan.images {
            image.cut.check(&plan.geometry).map_err(|why| {
                FileError::new("cannot cut", &image.path, why, "correct `detectors` of the configuration")
            })?;
        }
        if plan.geometry.bytes() == 0 {
            return Err(FileError::new(
                "cannot cut",
                &first,
                "the frame is empty",
                "see FRAME of the controller",
            ));
        }
        let mut images: Vec<Image> = plan.images.iter().map(|spec| Image::new(spec, &plan, sjd)).collect();
        let opened = open_all(&mut images, &plan, &disk);
        if let Err(error) = opened {
            for image in &images {
                image.undo(&disk);
            }
            return Err(error);
        }
        Ok(Writer { plan, disk, images, total: 0, rest: Vec::new(), failed: None, secured: false })
    }

    /// The next bytes of the frame, any number of them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<u64, FileError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Err(error) = self.take(bytes) {
            self.failed = Some(error.clone());
            return Err(error);
        }
        Ok(self.total)
    }

    /// Bytes so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let wanted = self.plan.geometry.bytes().saturating_sub(self.total);
        // Behind the last pixel comes the padding of the last block.
        let mut bytes = &bytes[..bytes.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))];
        let size = self.plan.geometry.sample.bytes();
        while !self.rest.is_empty() && !bytes.is_empty() {
            self.rest.push(bytes[0]);
            bytes = &bytes[1..];
            self.total += 1;
            if self.rest.len() == size {
                let pixel = std::mem::take(&mut self.rest);
                self.pixels(self.total - size as u64, &pixel)?;
            }
        }
        let whole = bytes.len() / size * size;
        self.pixels(self.total, &bytes[..whole])?;
        self.rest.extend_from_slice(&bytes[whole..]);
        self.total += bytes.len() as u64;
        Ok(())
    }

    /// Whole pixels, the first of them `at` bytes into the frame.
    fn pixels(&mut self, at: u64, mut bytes: &[u8]) -> Result<(), FileError> {
        let size = self.plan.geometry.sample.bytes();
        let width = u64::from(self.plan.geometry.width);
        let mut pixel = at / size as u64;
        while !bytes.is_empty() {
            // Inside the frame: `take` has cut what lies behind it.
            let (y, x) = ((pixel / width) as u32, pixel % width);
            let count = ((width - x) as usize).min(bytes.len() / size);
            let (line, tail) = bytes.split_at(count * size);
            let last = x + count as u64 == width;
            for image in &mut self.images {
                image.line(&self.disk, y, x as u32, line, last)?;
            }
            pixel += count as u64;
            bytes = tail;
        }
        Ok(())
    }

    /// Final headers, everything synced: from here on the frame is safe.
    pub(super) fn secure(
        &mut self,
        cards: Vec<(String, Vec<Card>)>,
    ) -> Result<Vec<TapStatistics>, FileError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        for (ccd, cards) in cards {
            for image in self.images.iter_mut().filter(|i| i.spec.cut.ccd == ccd) {
                image.put(&cards);
            }
        }
        if self.total < self.plan.geometry.bytes() {
            let error = self.too_short();
            self.keep_partial(&error.why);
            self.failed = Some(error.clone());
            return Err(error);
        }
        for image in &mut self.images {
            image.finish(&self.disk, &self.plan.id)?;
        }
        for image in &self.images {
            image.mark(&self.disk, State::Whole, "")?;
        }
        for dir in self.directories() {
            self.disk.sync_dir(&dir)?;
        }
        self.secured = true;
        Ok(self.images.iter().flat_map(|i| i.scatter.taps.statistics()).collect())
    }

    fn too_short(&self) -> FileError {
        let path = self.images.first().map_or(Path::new(""), |i| i.spec.path.as_path());
        FileError::new(
            "cannot complete",
            path,
            format!("the frame is shorter than {} bytes: {} came", self.plan.geometry.bytes(), self.total),
            "fetch it again; what came is kept with ARCHPART = T",
        )
    }

    /// Keeps what came as a readable image with `ARCHPART`; errors do not matter any more.
    fn keep_partial(&mut self, why: &str) {
        let lines = self.whole_lines();
        for image in &mut self.images {
            let _ = image.finish_partial(&self.disk, &self.plan, self.total, lines);
            let _ = image.mark(&self.disk, State::Partial, why);
        }
        for dir in self.directories() {
            let _ = self.disk.sync_dir(&dir);
        }
    }

    fn whole_lines(&self) -> u32 {
        let line = u64::from(self.plan.geometry.width) * self.plan.geometry.sample.bytes() as u64;
        (self.total / line) as u32
    }

    /// The fetch failed.
    pub(super) fn abandon(&mut self, keep: bool, why: &str) {
        if self.secured {
            // Whole images are not thrown away because something else went wrong: they wait for recovery.
            return;
        }
        if keep {
            self.keep_partial(why);
            return;
        }
        for image in &self.images {
            image.discard(&self.disk);
        }
        for dir in self.directories() {
            let _ = self.disk.sync_dir(&dir);
        }
    }

    /// Directories with files of this frame.
    pub(super) fn directories(&self) -> BTreeSet<PathBuf> {
        directories(&self.images)
    }
}

fn directories(images: &[Image]) -> BTreeSet<PathBuf> {
    images.iter().filter(|i| !i.spec.discard).map(|i| parent(&i.spec.path).to_owned()).collect()
}

fn open_all(images: &mut [Image], plan: &FramePlan, disk: &Disk) -> Result<(), FileError> {
    for image in images.iter_mut() {
        image.lock(disk, plan)?;
    }
    for image in images.iter_mut() {
        image.open(disk, plan)?;
    }
    // The names of locks and partial files are on the medium before the first pixel.
    directories(images).iter().try_for_each(|dir| disk.sync_dir(dir))
}
