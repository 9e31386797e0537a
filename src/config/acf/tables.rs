//! Tables of a configuration: parameters, constants, taps; the frame they make.

use super::{Acf, Constant, Parameter, Tap};
use crate::proto::archon::Sample;

/// What a frame looks like on paper; the controller's FRAME has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameShape {
    /// Pixels of a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bits of a pixel (`SAMPLEMODE`).
    pub sample: Sample,
    /// `FRAMEMODE`: 0 top, 1 bottom, 2 split.
    pub mode: u8,
}

impl FrameShape {
    /// Bytes of the frame.
    pub fn bytes(&self) -> u64 {
        let pixel = match self.sample {
            Sample::U16 => 2,
            Sample::U32 => 4,
        };
        u64::from(self.width).saturating_mul(u64::from(self.height)).saturating_mul(pixel)
    }
}

/// Buffers of a controller in either mode: the upper 1.5 GiB, in three or (`BIGBUF`) two parts.
const BUFFER_BYTES: u64 = 512 << 20;
const BIG_BUFFER_BYTES: u64 = 768 << 20;

impl Acf {
    /// Parameters by number. Empty entries and comments are no parameters; those at or above `PARAMETERS` are not
    /// compiled; of two with one name the last counts.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut found: Vec<Parameter> = Vec::new();
        for (_, line, text) in self.entries("PARAMETER", "PARAMETERS") {
            if let Some((name, value)) = assignment(text)
                && let Ok(value) = value.parse()
            {
                found.retain(|p| !p.name.eq_ignore_ascii_case(name));
                found.push(Parameter { name: name.to_owned(), value, line });
            }
        }
        found
    }

    /// A parameter by name in any case.
    pub fn parameter(&self, name: &str) -> Option<Parameter> {
        self.parameters().into_iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// Constants by number, those at or above `CONSTANTS` left out.
    pub fn constants(&self) -> Vec<Constant> {
        let entries = self.entries("CONSTANT", "CONSTANTS").into_iter();
        let typed = entries.filter_map(|(_, line, text)| {
            let (name, value) = assignment(text)?;
            let value: f64 = value.parse().ok()?;
            value.is_finite().then(|| Constant { name: name.to_owned(), value, line })
        });
        typed.collect()
    }

    /// Taps that are used, by number; one that cannot be read is left out (but counted by [`Acf::tap_count`]).
    pub fn taps(&self) -> Vec<Tap> {
        self.entries("TAPLINE", "TAPLINES").into_iter().filter_map(|(_, _, text)| Tap::of(text)).collect()
    }

    /// Places (0-based, as [`Acf::tap_count`] counts) of the taps read to the right: the frame holds their lines mirrored.
    pub fn mirrored_taps(&self) -> Vec<u32> {
        let used =
            self.entries("TAPLINE", "TAPLINES").into_iter().filter(|(_, _, text)| !text.trim().is_empty());
        let right = |text: &str| Tap::of(text).and_then(|t| t.parts().map(|p| p.2)).unwrap_or(false);
        used.zip(0..).filter(|((_, _, text), _)| right(text)).map(|(_, place)| place).collect()
    }

    /// Taps that are used: each contributes `PIXELCOUNT` columns.
    pub fn tap_count(&self) -> usize {
        self.entries("TAPLINE", "TAPLINES").iter().filter(|(_, _, text)| !text.trim().is_empty()).count()
    }

    /// The frame of so many pixels and lines a tap: FRAMEMODE 0 and 1 T·P × N, 2 (split) T/2·P × 2N.
    pub fn frame_shape(&self, pixelcount: u32, linecount: u32) -> FrameShape {
        let taps = u32::try_from(self.tap_count()).unwrap_or(u32::MAX);
        let mode = self.int("FRAMEMODE").and_then(|m| u8::try_from(m).ok()).unwrap_or(0);
        let (across, down) = if mode == 2 { (taps / 2, 2) } else { (taps, 1) };
        let sample = if self.int("SAMPLEMODE") == Some(1) { Sample::U32 } else { Sample::U16 };
        FrameShape {
            width: across.saturating_mul(pixelcount),
            height: linecount.saturating_mul(down),
            sample,
            mode,
        }
    }

    /// Bytes of one frame buffer, by `BIGBUF`.
    pub fn buffer_bytes(&self) -> u64 {
        if self.int("BIGBUF") == Some(1) { BIG_BUFFER_BYTES } else { BUFFER_BYTES }
    }

    /// (number, index of the line, text) of `<stem>k`, by number, below the count that `<count>` says, if it says one.
    pub(super) fn entries(&self, stem: &str, count: &str) -> Vec<(u32, u16, &str)> {
        let below = self.int(count).map_or(u32::MAX, |n| u32::try_from(n.max(0)).unwrap_or(u32::MAX));
        let mut found: Vec<_> =
            self.numbered(stem).into_iter().filter(|(number, ..)| *number < below).collect();
        found.sort_by_key(|(number, ..)| *number);
        found
    }

    /// The same in file order, whatever the count says.
    pub(super) fn numbered(&self, stem: &str) -> Vec<(u32, u16, &str)> {
        let numbered = (0u16..).zip(&self.lines).filter_map(|(index, line)| {
            let number = number_of(&line.key, stem)?;
            Some((number, index, line.value.as_str()))
        });
        numbered.collect()
    }
}

/// k of `<stem>k`.
pub(super) fn number_of(key: &str, stem: &str) -> Option<u32> {
    let head = key.get(..stem.len())?;
    let digits = &key[stem.len()..];
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (head.eq_ignore_ascii_case(stem) && all_digits).then(|| digits.parse().ok()).flatten()
}

/// `Name=value` with a name `[A-Za-z_][A-Za-z0-9_]*`.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let starts = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    (plain && starts).then(|| (name, value.trim()))
}

impl Tap {
    /// `AD5L, -1, 1000`: channel and direction, gain, offset.
    pub fn of(text: &str) -> Option<Tap> {
        let mut parts = text.split(',').map(str::trim);
        let (channel, gain, offset) = (parts.next()?, parts.next()?, parts.next()?);
        let gain: f64 = gain.parse().ok()?;
        let tap = Tap { channel: channel.to_owned(), gain, offset: offset.parse().ok()? };
        (parts.next().is_none() && gain.is_finite() && tap.parts().is_some()).then_some(tap)
    }

    /// `AD` or `AM`, number of the channel from 1, read to the right.
    pub fn parts(&self) -> Option<(&str, u32, bool)> {
        let kind = self.channel.get(..2).filter(|k| ["AD", "AM"].contains(k))?;
        let rest = &self.channel[2..];
        let right = rest.ends_with('R');
        let digits = rest.strip_suffix(['L', 'R'])?;
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let number = plain.then(|| digits.parse().ok()).flatten()?;
        (number > 0).then_some((kind, number, right))
    }
}
