//! Readout windows: ten numbers, and what they become on the controller.

use crate::config::archon::WindowKey;

/// A readout window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Lines of a tap; -1: the ACF has no such parameter.
    pub lines: i64,
    /// Pixels of a tap's line; -1: the ACF has no such parameter.
    pub pixels: i64,
    /// Lines skipped before.
    pub preskiplines: i64,
    /// Lines skipped after.
    pub postskiplines: i64,
    /// Pixels skipped before.
    pub preskippixels: i64,
    /// Pixels skipped after.
    pub postskippixels: i64,
    /// Overscan pixels.
    pub overscanpixels: i64,
    /// Overscan lines.
    pub overscanlines: i64,
    /// Horizontal binning.
    pub hbin: i64,
    /// Vertical binning.
    pub vbin: i64,
}

impl Window {
    /// Sets one member.
    pub fn set(&mut self, key: WindowKey, value: i64) {
        *self.member(key) = value;
    }
    fn member(&mut self, key: WindowKey) -> &mut i64 {
        match key {
            WindowKey::Lines => &mut self.lines,
            WindowKey::Pixels => &mut self.pixels,
            WindowKey::PreSkipLines => &mut self.preskiplines,
            WindowKey::PostSkipLines => &mut self.postskiplines,
            WindowKey::PreSkipPixels => &mut self.preskippixels,
            WindowKey::PostSkipPixels => &mut self.postskippixels,
            WindowKey::OverscanPixels => &mut self.overscanpixels,
            WindowKey::OverscanLines => &mut self.overscanlines,
            WindowKey::HBin => &mut self.hbin,
            WindowKey::VBin => &mut self.vbin,
        }
    }
}
