//! Which pixels of a frame belong to which CCD, and where.
//!
//! ```text
//! top (0), t > 1        frame: | bottom half of the taps | top half |      image: top, columns reversed
//!                                                                                 bottom, rows reversed
//! top (0), t = 1        the strip as it is
//! bottom (1)            the strip as it is
//! split (2)             frame: half of the taps above, half below          image: the same columns, all rows
//! ```
//!
//! CCDs lie side by side in configuration order; where one begins is the sum of the taps before it, so CCDs
//! may have different numbers of taps. A site may give `areas` instead.

use crate::config::archon::{Area, Detector};
use crate::proto::archon::Sample;

/// What a frame looks like, as FRAME and the configuration tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameGeometry {
    /// Pixels of a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bits of a pixel.
    pub sample: Sample,
    /// FRAMEMODE: 0 top, 1 bottom, 2 split.
    pub mode: u8,
    /// PIXELCOUNT: pixels of a tap's line.
    pub pixel_count: u32,
    /// LINECOUNT: lines of a tap.
    pub line_count: u32,
}

impl FrameGeometry {
    /// Bytes of the frame, padding not counted.
    pub fn bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * self.sample.bytes() as u64
    }
}

/// One CCD cut out of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Name of the CCD.
    pub ccd: String,
    /// Columns of the image.
    pub width: u32,
    /// Rows of the image.
    pub height: u32,
    /// Where its pixels come from; together they fill the image exactly once.
    pub areas: Vec<Area>,
}

impl Cut {
    /// Bytes of the image's pixels in the file.
    pub fn bytes(&self, sample: Sample) -> u64 {
        u64::from(self.width) * u64::from(self.height) * sample.bytes() as u64
    }

    /// In words why this cut cannot be taken out of that frame, if so: every area inside the frame and
    /// inside the image, no pixel of the image missing, none filled twice.
    pub fn check(&self, frame: &FrameGeometry) -> Result<(), String> {
        let ccd = &self.ccd;
        if self.width == 0 || self.height == 0 {
            return Err(format!("CCD '{ccd}' has no pixels"));
        }
        for (i, area) in self.areas.iter().enumerate() {
            check_area(area, frame).map_err(|why| format!("area {} of CCD '{ccd}' {why}", i + 1))?;
        }
        for (i, a) in self.areas.iter().enumerate() {
            if let Some(j) = self.areas[..i].iter().position(|b| overlap(a, b)) {
                return Err(format!("areas {} and {} of CCD '{ccd}' fill the same pixels", j + 1, i + 1));
            }
        }
        let filled: u64 = self.areas.iter().map(|a| u64::from(a.x1 - a.x0) * u64::from(a.y1 - a.y0)).sum();
        let wanted = u64::from(self.width) * u64::from(self.height);
        let outside = self.areas.iter().any(|a| {
            u64::from(a.to_x) + u64::from(a.x1 - a.x0) > u64::from(self.width)
                || u64::from(a.to_y) + u64::from(a.y1 - a.y0) > u64::from(self.height)
        });
        if outside || filled != wanted {
            return Err(format!(
                "the areas of CCD '{ccd}' fill {filled} of the {wanted} pixels of its image ({} x {})",
                self.width, self.height
            ));
        }
        Ok(())
    }
}

/// Cuts for these CCDs, or in words why the frame does not fit them.
pub fn cuts(detectors: &[Detector], frame: &FrameGeometry) -> Result<Vec<Cut>, String> {
    let mut first_tap = 0;
    let mut cuts = Vec::with_capacity(detectors.len());
    for detector in detectors {
        let cut =
            if detector.areas.is_empty() { by_mode(detector, first_tap, frame)? } else { by_areas(detector) };
        cut.check(frame)?;
        cuts.push(cut);
        first_tap += detector.taps;
    }
    Ok(cuts)
}

/// The rule of the frame mode; `first_tap` is the number of taps of the CCDs before this one.
fn by_mode(detector: &Detector, first_tap: u32, frame: &FrameGeometry) -> Result<Cut, String> {
    let (ccd, taps) = (&detector.name, detector.taps);
    if taps == 0 {
        return Err(format!("CCD '{ccd}' has no taps in the configuration"));
    }
    let halves = frame.mode == 2 || (frame.mode == 0 && taps > 1);
    if halves && taps % 2 != 0 {
        return Err(format!(
            "CCD '{ccd}' has {taps} taps: frame mode {} needs an even number, or `areas`",
            frame.mode
        ));
    }
    let rows = if frame.mode == 2 { 2 } else { 1 };
    fits_frame(ccd, first_tap, taps, rows, frame)?;
    let (p, n) = (frame.pixel_count, frame.line_count);
    // Inside the frame, hence no overflow: `fits_frame` has counted in 64 bits.
    let x0 = first_tap / rows * p;
    let strip = taps / rows * p;
    let plain = Area { x0, x1: x0 + strip, y0: 0, y1: n, flip_x: false, flip_y: false, to_x: 0, to_y: 0 };
    let (width, height, areas) = match frame.mode {
        0 if taps == 1 => (strip, n, vec![plain]),
        0 => {
            let middle = x0 + strip / 2;
            let top = Area { x0: middle, flip_x: true, ..plain };
            let bottom = Area { x1: middle, flip_y: true, to_y: n, ..plain };
            (strip / 2, 2 * n, vec![top, bottom])
        }
        1 => (strip, n, vec![plain]),
        2 => (strip, 2 * n, vec![Area { y1: 2 * n, ..plain }]),
        other => {
            return Err(format!("frame mode {other} is not known (0 top, 1 bottom, 2 split)"));
        }
    };
    Ok(Cut { ccd: ccd.clone(), width, height, areas })
}

/// Taps × PIXELCOUNT and LINECOUNT against WIDTH and HEIGHT of the frame.
fn fits_frame(ccd: &str, first_tap: u32, taps: u32, rows: u32, frame: &FrameGeometry) -> Result<(), String> {
    let (p, n) = (frame.pixel_count, frame.line_count);
    if p == 0 || n == 0 {
        return Err(format!("PIXELCOUNT is {p} and LINECOUNT {n}: there is nothing to cut"));
    }
    let columns = (u64::from(first_tap) + u64::from(taps)) / u64::from(rows) * u64::from(p);
    if columns > u64::from(frame.width) {
        return Err(format!(
            "CCD '{ccd}' ends at column {columns} (taps {} to {} of PIXELCOUNT {p}{}), but the frame has WIDTH {}: \
             see `taps` in the configuration and the TAPLINEs of the ACF",
            first_tap + 1,
            first_tap + taps,
            if rows == 2 { ", split" } else { "" },
            frame.width
        ));
    }
    // More lines than LINECOUNT would silently be left behind: the window was changed after the frame was taken.
    let lines = u64::from(rows) * u64::from(n);
    if lines != u64::from(frame.height) {
        return Err(format!(
            "LINECOUNT is {n}, which makes {lines} lines{}, but the frame has HEIGHT {}",
            if rows == 2 { " in split mode" } else { "" },
            frame.height
        ));
    }
    Ok(())
}

/// The site's areas; the image is as large as they reach.
fn by_areas(detector: &Detector) -> Cut {
    let reach = |from: u32, to: u32, at: u32| at.saturating_add(to.saturating_sub(from));
    let width = detector.areas.iter().map(|a| reach(a.x0, a.x1, a.to_x)).max().unwrap_or(0);
    let height = detector.areas.iter().map(|a| reach(a.y0, a.y1, a.to_y)).max().unwrap_or(0);
    Cut { ccd: detector.name.clone(), width, height, areas: detector.areas.clone() }
}

fn check_area(a: &Area, frame: &FrameGeometry) -> Result<(), String> {
    if a.x0 >= a.x1 || a.y0 >= a.y1 {
        return Err(format!("is empty (columns {}..{}, rows {}..{})", a.x0, a.x1, a.y0, a.y1));
    }
    if a.x1 > frame.width || a.y1 > frame.height {
        return Err(format!(
            "ends at column {} and row {}, outside the frame of {} x {}",
            a.x1, a.y1, frame.width, frame.height
        ));
    }
    Ok(())
}

/// Whether two areas fill a pixel of the image both.
fn overlap(a: &Area, b: &Area) -> bool {
    let meet = |a0: u32, al: u32, b0: u32, bl: u32| {
        u64::from(a0) < u64::from(b0) + u64::from(bl) && u64::from(b0) < u64::from(a0) + u64::from(al)
    };
    meet(a.to_x, a.x1 - a.x0, b.to_x, b.x1 - b.x0) && meet(a.to_y, a.y1 - a.y0, b.to_y, b.y1 - b.y0)
}

#[cfg(test)]
mod tests;
