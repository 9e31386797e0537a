//! Readout windows: ten numbers, and what they become on the controller.
//!
//! Eight or ten parameters of the timing script, and two lines of configuration memory:
//! `LINECOUNT = floor((lines + overscanlines) / vbin)`, `PIXELCOUNT = floor((pixels + overscanpixels) / hbin)`.

use crate::config::acf::Parameter;
use crate::config::archon::WindowKey;
use crate::proto::archon::PARAMETER_MAX;

/// Most lines or pixels of a tap the controller takes.
pub const COUNT_MAX: i64 = 65_535;

/// Members and their parameters, in the order they are sent; the last two are optional in an ACF.
pub const PARAMETERS: [(WindowKey, &str); 10] = [
    (WindowKey::Lines, "Lines"),
    (WindowKey::Pixels, "Pixels"),
    (WindowKey::PreSkipLines, "PreSkipLines"),
    (WindowKey::PostSkipLines, "PostSkipLines"),
    (WindowKey::PreSkipPixels, "PreSkipPixels"),
    (WindowKey::PostSkipPixels, "PostSkipPixels"),
    (WindowKey::VBin, "VerticalBinning"),
    (WindowKey::HBin, "HorizontalBinning"),
    (WindowKey::OverscanPixels, "OverscanPixels"),
    (WindowKey::OverscanLines, "OverscanLines"),
];

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
    /// The window an ACF's parameters describe.
    pub fn of_parameters(parameters: &[Parameter]) -> Window {
        let mut window = Window {
            lines: -1,
            pixels: -1,
            preskiplines: 0,
            postskiplines: 0,
            preskippixels: 0,
            postskippixels: 0,
            overscanpixels: 0,
            overscanlines: 0,
            hbin: 1,
            vbin: 1,
        };
        for (key, name) in PARAMETERS {
            if let Some(p) = parameters.iter().rev().find(|p| p.name.eq_ignore_ascii_case(name)) {
                window.set(key, p.value);
            }
        }
        window
    }

    /// Sets one member.
    pub fn set(&mut self, key: WindowKey, value: i64) {
        *self.member(key) = value;
    }

    /// One member.
    pub fn get(mut self, key: WindowKey) -> i64 {
        *self.member(key)
    }

    /// LINECOUNT; `None` while `lines` is unknown.
    pub fn line_count(self) -> Option<i64> {
        count(self.lines, self.overscanlines, self.vbin)
    }

    /// PIXELCOUNT; `None` while `pixels` is unknown.
    pub fn pixel_count(self) -> Option<i64> {
        count(self.pixels, self.overscanpixels, self.hbin)
    }

    /// Says in words what the controller could not do with this window.
    pub fn check(self) -> Result<(), String> {
        for (key, name) in PARAMETERS {
            let value = self.get(key);
            let unknown = value == -1 && matches!(key, WindowKey::Lines | WindowKey::Pixels);
            let least = i64::from(matches!(key, WindowKey::HBin | WindowKey::VBin));
            if !unknown && !(least..=i64::from(PARAMETER_MAX)).contains(&value) {
                return Err(format!("{name} = {value} is outside {least}..{PARAMETER_MAX}"));
            }
        }
        let counts = [("LINECOUNT", self.line_count()), ("PIXELCOUNT", self.pixel_count())];
        for (name, value) in counts {
            if value.is_some_and(|v| !(1..=COUNT_MAX).contains(&v)) {
                return Err(format!("{name} would be {}, outside 1..{COUNT_MAX}", value.unwrap_or_default()));
            }
        }
        Ok(())
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

fn count(extent: i64, overscan: i64, binning: i64) -> Option<i64> {
    (extent >= 0 && binning >= 1).then(|| extent.saturating_add(overscan).div_euclid(binning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, value: i64) -> Parameter {
        Parameter { name: name.into(), value, line: 0 }
    }

    #[test]
    fn counts_are_floors_and_unknown_without_the_parameter() {
        let mut w = Window::of_parameters(&[
            parameter("LINES", 20),
            parameter("Pixels", 10),
            parameter("OverscanPixels", 5),
        ]);
        w.set(WindowKey::HBin, 2);
        w.set(WindowKey::VBin, 2);
        assert_eq!((w.line_count(), w.pixel_count()), (Some(10), Some(7)));
        let bare = Window::of_parameters(&[]);
        assert_eq!((bare.line_count(), bare.pixel_count(), bare.lines, bare.hbin), (None, None, -1, 1));
        assert_eq!(bare.check(), Ok(()));
    }

    #[test]
    fn impossible_windows_are_refused_with_the_number() {
        let mut w = Window::of_parameters(&[parameter("Lines", 20), parameter("Pixels", 10)]);
        w.set(WindowKey::VBin, 0);
        assert!(w.check().is_err_and(|e| e.contains("VerticalBinning = 0")));
        w.set(WindowKey::VBin, 30);
        assert!(w.check().is_err_and(|e| e.contains("LINECOUNT would be 0")));
        w.set(WindowKey::VBin, 1);
        w.set(WindowKey::Lines, 70_000);
        assert!(w.check().is_err_and(|e| e.contains("70000")));
        w.set(WindowKey::Lines, -3);
        assert!(w.check().is_err());
    }
}
