//! Which pixels of a frame belong to which CCD, and where.

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

/// Cuts for these CCDs, or in words why the frame does not fit them.
pub fn cuts(_detectors: &[Detector], _frame: &FrameGeometry) -> Result<Vec<Cut>, String> {
    unimplemented!("owner: frames")
}
