//! Statistics of each tap (amplifier), from the pixels as they pass.
//!
//! A tap is a rectangle of the frame: PIXELCOUNT columns and LINECOUNT lines. Its overscan are the columns it
//! read last: the last ones of the rectangle, or the first if the ACF has the tap read to the other side.

use super::geometry::{Cut, FrameGeometry};
use super::jobs::TapStatistics;
use super::pixels::Sums;
use crate::proto::archon::Sample;

/// Where the overscan of the taps is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overscan {
    /// Columns of a tap that are overscan, after binning.
    pub columns: u32,
    /// Taps of the frame (0-based, in TAPLINE order) whose lines the frame holds mirrored.
    pub mirrored: Vec<u32>,
}

/// A rectangle of the frame: column strip and line band, each counted in taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    band: u32,
    strip: u32,
}

/// Exact sums of a set of pixels.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    pixels: u64,
    offset: i128,
    squares: u128,
    saturated: u64,
}

/// The taps of one CCD.
#[derive(Debug)]
pub(super) struct Taps {
    ccd: String,
    sample: Sample,
    cells: Vec<Cell>,
    /// Active columns and overscan of each.
    accounts: Vec<[Account; 2]>,
}

/// Columns of a line that belong to the same account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// First column.
    pub x0: u32,
    /// One past the last.
    pub x1: u32,
    /// Which account; to be given to [`Taps::add`].
    pub account: usize,
}

impl Taps {
    /// Of this CCD.
    pub fn new(cut: &Cut, frame: &FrameGeometry) -> Taps {
        let mut cells = Vec::new();
        for a in &cut.areas {
            for band in a.y0 / lines(frame)..=(a.y1 - 1) / lines(frame) {
                for strip in a.x0 / columns(frame)..=(a.x1 - 1) / columns(frame) {
                    cells.push(Cell { band, strip });
                }
            }
        }
        cells.sort();
        cells.dedup();
        let accounts = vec![[Account::default(); 2]; cells.len()];
        Taps { ccd: cut.ccd.clone(), sample: frame.sample, cells, accounts }
    }

    /// Lines at which the taps change, above `y`.
    pub fn next_band(frame: &FrameGeometry, y: u32) -> u32 {
        (y / lines(frame) + 1).saturating_mul(lines(frame))
    }

    /// The columns `x0..x1` of line `y`, cut where the account changes.
    pub fn pieces(&self, frame: &FrameGeometry, overscan: &Overscan, y: u32, x0: u32, x1: u32) -> Vec<Piece> {
        let p = columns(frame);
        let band = y / lines(frame);
        let mut pieces = Vec::new();
        let mut x = x0;
        while x < x1 {
            let strip = x / p;
            let tap = band * frame.width.div_ceil(p) + strip;
            let (start, end) = (strip * p, (strip + 1).saturating_mul(p));
            let width = overscan.columns.min(p);
            // Overscan and its edge inside the tap.
            let (is_overscan, edge) = if overscan.mirrored.contains(&tap) {
                (x < start + width, start + width)
            } else {
                (x >= end - width, end - width)
            };
            let stop = if x < edge { edge } else { end }.min(x1);
            let cell = self.cells.iter().position(|c| *c == Cell { band, strip }).unwrap_or(0);
            pieces.push(Piece { x0: x, x1: stop, account: 2 * cell + usize::from(is_overscan) });
            x = stop;
        }
        pieces
    }

    /// A run of pixels.
    pub fn add(&mut self, account: usize, pixels: u64, sums: &Sums) {
        let to = &mut self.accounts[account / 2][account % 2];
        to.pixels += pixels;
        to.offset += i128::from(sums.offset);
        to.squares += sums.squares;
        to.saturated += sums.saturated;
    }

    /// What it comes to.
    pub fn statistics(&self) -> impl Iterator<Item = TapStatistics> + '_ {
        let middle = match self.sample {
            Sample::U16 => f64::from(1u32 << 15),
            Sample::U32 => f64::from(1u32 << 31),
        };
        self.accounts.iter().zip(0..).map(move |([active, overscan], tap)| TapStatistics {
            ccd: self.ccd.clone(),
            tap,
            mean: active.mean() + middle,
            sigma: active.sigma(),
            saturated: active.saturated + overscan.saturated,
            overscan: (overscan.pixels > 0).then(|| overscan.mean() + middle),
        })
    }
}

impl Account {
    /// 0 without pixels.
    fn mean(&self) -> f64 {
        self.offset as f64 / self.pixels.max(1) as f64
    }

    /// Of the population; n Σd² − (Σd)² is exact.
    fn sigma(&self) -> f64 {
        let n = u128::from(self.pixels.max(1));
        let square = self.offset.unsigned_abs().saturating_mul(self.offset.unsigned_abs());
        let spread = n.saturating_mul(self.squares).saturating_sub(square);
        (spread as f64).sqrt() / n as f64
    }
}

/// Columns of a tap; a frame nobody has told us about is one tap.
fn columns(frame: &FrameGeometry) -> u32 {
    if frame.pixel_count == 0 { frame.width.max(1) } else { frame.pixel_count }
}

fn lines(frame: &FrameGeometry) -> u32 {
    if frame.line_count == 0 { frame.height.max(1) } else { frame.line_count }
}
