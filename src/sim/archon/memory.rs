//! Configuration memory, and what of it was applied.

use super::script::Parameter;
use crate::config::acf::{Acf, Line};
use crate::proto::archon::{CONFIG_LINES, LINE_MAX};

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

    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(Option::is_none)
    }

    /// What an apply takes over.
    pub fn snapshot(&self) -> Acf {
        let lines = self.lines.iter().flatten().map(|text| Line::of_wire(text)).collect();
        Acf { lines, ..Acf::default() }
    }

    /// The parameters of the timing script.
    pub fn parameters(&self) -> Vec<Parameter> {
        let value = |v: i64| u32::try_from(v).unwrap_or(0);
        let parameters = self.snapshot().parameters();
        parameters.into_iter().map(|p| Parameter { name: p.name, value: value(p.value) }).collect()
    }
}
