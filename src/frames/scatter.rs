//! From the lines of a frame to contiguous pieces of images.
//!
//! Areas of an image that lie side by side (the same lines, going to the same rows) make a *strip*: its rows are
//! collected, some at a time, and leave as one contiguous piece. In split mode a CCD is one strip; in top mode its
//! two halves are one each, the lower one filled from its end.

use super::geometry::{Cut, FrameGeometry};
use super::pixels::{DataSum, convert};
use super::taps::{Overscan, Piece, Taps};
use crate::config::archon::Area;
use crate::proto::archon::Sample;

/// A piece of a strip this large is written at once; small enough to stay in the second level of the cache.
const BATCH_BYTES: usize = 256 << 10;

/// A run of a frame line and where it goes in its strip.
#[derive(Debug)]
struct Run {
    piece: Piece,
    /// Column of the strip where its left end goes, or its right end if `flip`.
    at: u32,
    flip: bool,
}

/// Lines of the frame with the same runs.
#[derive(Debug)]
struct Band {
    y1: u32,
    runs: Vec<Run>,
}

/// Rows of an image that are filled from the same lines of the frame.
#[derive(Debug)]
struct Strip {
    y0: u32,
    y1: u32,
    flip_y: bool,
    to_x: u32,
    to_y: u32,
    /// Columns.
    width: u32,
    bands: Vec<Band>,
    /// Rows collected in `batch`, of at most `batch_rows`.
    rows: u32,
    batch_rows: u32,
    batch: Vec<u8>,
}

/// Everything about the pixels of one image.
#[derive(Debug)]
pub(super) struct Scatter {
    sample: Sample,
    /// Columns of the image.
    width: u32,
    strips: Vec<Strip>,
    /// Sum of the pixels so far.
    pub sum: DataSum,
    /// Statistics so far.
    pub taps: Taps,
}

/// Bytes that belong at a place of the image's data.
pub(super) struct Block<'a> {
    /// From the first pixel.
    pub at: u64,
    /// Big-endian pixels.
    pub bytes: &'a [u8],
}

impl Scatter {
    /// For a cut that [`Cut::check`] has nothing against.
    pub fn new(cut: &Cut, frame: &FrameGeometry, overscan: &Overscan) -> Scatter {
        let taps = Taps::new(cut, frame);
        let mut groups: Vec<Vec<Area>> = Vec::new();
        for area in &cut.areas {
            let same =
                |b: &Area| (b.y0, b.y1, b.flip_y, b.to_y) == (area.y0, area.y1, area.flip_y, area.to_y);
            match groups.iter_mut().find(|g| same(&g[0])) {
                Some(group) => group.push(*area),
                None => groups.push(vec![*area]),
            }
        }
        let strips = groups.into_iter().flat_map(side_by_side);
        let strips = strips.map(|areas| Strip::new(&areas, frame, overscan, &taps)).collect();
        Scatter { sample: frame.sample, width: cut.width, strips, sum: DataSum::default(), taps }
    }

    /// Pixels `x0..` of line `y`. Strips that are full, or at their end, go out.
    pub fn line<E>(
        &mut self,
        y: u32,
        x0: u32,
        pixels: &[u8],
        last: bool,
        out: &mut impl FnMut(Block) -> Result<(), E>,
    ) -> Result<(), E> {
        let Scatter { sample, width, strips, sum, taps } = self;
        for strip in strips.iter_mut().filter(|s| (s.y0..s.y1).contains(&y)) {
            strip.take(*sample, *width, y, x0, pixels, sum, taps);
            if last {
                strip.rows += 1;
                if strip.rows == strip.batch_rows || y + 1 == strip.y1 {
                    strip.flush(*sample, *width, y, out)?;
                }
            }
        }
        Ok(())
    }

    /// What is collected and not yet out, after `y` whole lines.
    pub fn flush<E>(&mut self, y: u32, out: &mut impl FnMut(Block) -> Result<(), E>) -> Result<(), E> {
        for strip in self.strips.iter_mut().filter(|s| s.rows > 0) {
            strip.flush(self.sample, self.width, y.saturating_sub(1), out)?;
        }
        Ok(())
    }
}

/// Areas of the same rows, grouped into neighbours; usually all are.
fn side_by_side(mut areas: Vec<Area>) -> Vec<Vec<Area>> {
    areas.sort_by_key(|a| a.to_x);
    let mut groups: Vec<Vec<Area>> = Vec::new();
    for area in areas {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|l| l.to_x + (l.x1 - l.x0) == area.to_x) => {
                group.push(area)
            }
            _ => groups.push(vec![area]),
        }
    }
    groups
}

impl Strip {
    fn new(areas: &[Area], frame: &FrameGeometry, overscan: &Overscan, taps: &Taps) -> Strip {
        let first = areas[0];
        let width: u32 = areas.iter().map(|a| a.x1 - a.x0).sum();
        let row = width as usize * frame.sample.bytes();
        let rows = (BATCH_BYTES / row).clamp(1, (first.y1 - first.y0) as usize);
        let mut bands = Vec::new();
        let mut y = first.y0;
        while y < first.y1 {
            let y1 = Taps::next_band(frame, y).min(first.y1);
            let of_area = |a: &Area| {
                let a = *a;
                let pieces = taps.pieces(frame, overscan, y, a.x0, a.x1);
                pieces.into_iter().map(move |piece| {
                    let from_edge = if a.flip_x { a.x1 - piece.x1 } else { piece.x0 - a.x0 };
                    Run { piece, at: a.to_x - first.to_x + from_edge, flip: a.flip_x }
                })
            };
            bands.push(Band { y1, runs: areas.iter().flat_map(of_area).collect() });
            y = y1;
        }
        Strip {
            y0: first.y0,
            y1: first.y1,
            flip_y: first.flip_y,
            to_x: first.to_x,
            to_y: first.to_y,
            width,
            bands,
            rows: 0,
            batch_rows: rows as u32,
            batch: vec![0; rows * row],
        }
    }

    /// Row of the image that line `y` becomes.
    fn row(&self, y: u32) -> u32 {
        self.to_y + if self.flip_y { self.y1 - 1 - y } else { y - self.y0 }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a Scatter, borrowed one by one")]
    fn take(
        &mut self,
        sample: Sample,
        image_width: u32,
        y: u32,
        x0: u32,
        pixels: &[u8],
        sum: &mut DataSum,
        taps: &mut Taps,
    ) {
        let size = sample.bytes();
        let x1 = x0 + (pixels.len() / size) as u32;
        let row_start = u64::from(self.row(y)) * u64::from(image_width) + u64::from(self.to_x);
        // Upside down, the batch is filled from its end.
        let slot = if self.flip_y { self.batch_rows - 1 - self.rows } else { self.rows };
        let line = slot as usize * self.width as usize;
        let Some(band) = self.bands.iter().find(|b| y < b.y1) else { return };
        for Run { piece, at, flip } in &band.runs {
            let (a, b) = (piece.x0.max(x0), piece.x1.min(x1));
            if a >= b {
                continue;
            }
            let count = b - a;
            let column = at + if *flip { piece.x1 - b } else { a - piece.x0 };
            let start = (line + column as usize) * size;
            let from = (a - x0) as usize * size..(b - x0) as usize * size;
            let to = &mut self.batch[start..start + count as usize * size];
            let sums = convert(sample, &pixels[from], to, *flip);
            let first = if *flip { column + count - 1 } else { column };
            sum.add(sample, row_start + u64::from(first), &sums);
            taps.add(piece.account, u64::from(count), &sums);
        }
    }

    /// The rows collected, the last of them from line `y`.
    fn flush<E>(
        &mut self,
        sample: Sample,
        image_width: u32,
        y: u32,
        out: &mut impl FnMut(Block) -> Result<(), E>,
    ) -> Result<(), E> {
        let size = sample.bytes();
        let rows = std::mem::take(&mut self.rows);
        let row = self.width as usize * size;
        let (first, skip) =
            if self.flip_y { (self.row(y), self.batch_rows - rows) } else { (self.row(y + 1 - rows), 0) };
        let bytes = &self.batch[skip as usize * row..(skip + rows) as usize * row];
        let place = |r: u32| (u64::from(r) * u64::from(image_width) + u64::from(self.to_x)) * size as u64;
        if self.width == image_width {
            return out(Block { at: place(first), bytes });
        }
        bytes.chunks_exact(row).zip(first..).try_for_each(|(bytes, r)| out(Block { at: place(r), bytes }))
    }
}
