//! Configuration memory, and what an apply takes out of it.

use super::script::Parameter;
use crate::config::acf::{Acf, Line};
use crate::proto::archon::{CONFIG_LINES, LINE_MAX, Sample};

/// Most lines and pixels of a tap.
const COUNT_MAX: i64 = 65_535;

/// 16384 lines of text.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    lines: Vec<Option<String>>,
}

impl Memory {
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// `false`: no such line, or too long.
    pub fn write(&mut self, line: u16, text: &str) -> bool {
        if line >= CONFIG_LINES || text.chars().count() > LINE_MAX {
            return false;
        }
        let at = usize::from(line);
        if self.lines.len() <= at {
            self.lines.resize(at + 1, None);
        }
        self.lines[at] = Some(text.to_owned());
        true
    }

    /// Empty if unset.
    pub fn read(&self, line: u16) -> Option<&str> {
        (line < CONFIG_LINES)
            .then(|| self.lines.get(usize::from(line)).and_then(Option::as_deref).unwrap_or(""))
    }

    /// All of it; `None` if there is nothing.
    pub fn snapshot(&self) -> Option<Acf> {
        let lines: Vec<Line> = self.lines.iter().flatten().map(|text| Line::of_wire(text)).collect();
        (!lines.is_empty()).then(|| Acf { lines, ..Acf::default() })
    }

    /// The parameters of the timing script.
    pub fn parameters(&self) -> Vec<Parameter> {
        let value = |v: i64| u32::try_from(v).unwrap_or(0);
        let parameters = self.snapshot().unwrap_or_default().parameters();
        parameters.into_iter().map(|p| Parameter { name: p.name, value: value(p.value) }).collect()
    }
}

/// Shape of a frame: what APPLYCDS takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Geometry {
    pub taps: u32,
    /// PIXELCOUNT and LINECOUNT.
    pub pixels: u32,
    pub lines: u32,
    /// FRAMEMODE.
    pub mode: u8,
    /// SAMPLEMODE.
    pub sample: Sample,
    /// BIGBUF.
    pub big: bool,
}

impl Geometry {
    /// What a configuration says, or which of its keys says what cannot be.
    pub fn of(acf: &Acf) -> Result<Geometry, String> {
        let number = |key: &str, least: i64, most: i64| match (acf.get(key), acf.int(key)) {
            (None, _) => Ok(0),
            (_, Some(n)) if (least..=most).contains(&n) => Ok(n as u32),
            (Some(text), _) => Err(format!("{key}={text} is not {least} to {most}")),
        };
        Ok(Geometry {
            taps: u32::try_from(acf.tap_count()).unwrap_or(u32::MAX),
            pixels: number("PIXELCOUNT", 1, COUNT_MAX)?,
            lines: number("LINECOUNT", 1, COUNT_MAX)?,
            mode: number("FRAMEMODE", 0, 2)? as u8,
            sample: if number("SAMPLEMODE", 0, 1)? == 0 { Sample::U16 } else { Sample::U32 },
            big: number("BIGBUF", 0, 1)? == 1,
        })
    }
}
