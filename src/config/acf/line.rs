//! One line of configuration memory, and what may be in it.

use super::{Acf, AcfError, Line, Source};
use crate::proto::archon::{CONFIG_LINES, LINE_MAX};
use sha2::{Digest, Sha256};
use std::fmt::Write;

impl Line {
    /// Text after `WCONFIGnnnn`.
    pub fn wire(&self) -> String {
        if self.key.is_empty() { self.value.clone() } else { format!("{}={}", self.key, self.value) }
    }

    /// A line as a controller has it. What could not be in a file keeps its text, with an empty key.
    pub fn of_wire(text: &str) -> Line {
        match text.split_once('=') {
            Some((key, value)) if is_key(key) && unsendable(value).is_none() => {
                Line { key: key.to_owned(), value: value.to_owned() }
            }
            _ => Line { key: String::new(), value: text.to_owned() },
        }
    }

    /// Characters on the wire.
    pub fn chars(&self) -> usize {
        self.value.chars().count() + if self.key.is_empty() { 0 } else { self.key.chars().count() + 1 }
    }

    /// Refuses what a controller cannot take.
    pub(super) fn check(&self) -> Result<(), AcfError> {
        if !is_key(&self.key) {
            return Err(problem(
                format!("'{}' is no key", self.key.escape_debug()),
                "a key is printable text without blanks around it, '=' or '\\', and does not begin with '[', '#' or ';'",
            ));
        }
        if let Some(c) = unsendable(&self.value) {
            return Err(problem(
                format!("the value of {} holds the character {c:?}", self.key),
                "a controller knows printable Latin-1 only",
            ));
        }
        if self.chars() > LINE_MAX {
            return Err(problem(
                format!("{} is {} characters long", self.key, self.chars()),
                &format!("configuration memory takes {LINE_MAX} characters a line"),
            ));
        }
        Ok(())
    }
}

/// An error that is not about a source line.
pub(super) fn problem(problem: String, remedy: &str) -> AcfError {
    AcfError { line: 0, problem, remedy: remedy.to_owned() }
}

/// Can a file hold this key, so that it is read back as it is?
fn is_key(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(['[', '#', ';'])
        && key.trim_matches(super::parse::BLANKS) == key
        && !key.contains(['=', '\\'])
        && unsendable(key).is_none()
}

/// The first character that is no printable Latin-1 (tab allowed).
pub(super) fn unsendable(text: &str) -> Option<char> {
    text.chars().find(|&c| c > '\u{ff}' || (c.is_control() && c != '\t'))
}

impl Acf {
    /// `KEY=VALUE` of each line in order: what follows `WCONFIGnnnn`.
    pub fn wire_lines(&self) -> Vec<String> {
        self.lines.iter().map(Line::wire).collect()
    }

    /// SHA-256 of the wire lines joined by LF, hex: the identity of a configuration.
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(self.wire_lines().join("\n").as_bytes());
        digest.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to memory cannot fail");
            hex
        })
    }

    /// What a controller holds: the reply of RCONFIG for line 0, 1, ... `None` (unset or not asked for) between set lines
    /// stays an empty line, so that indices remain those of the controller; holes at the end are dropped.
    pub fn from_wire(mut replies: Vec<Option<String>>) -> Acf {
        replies.truncate(usize::from(CONFIG_LINES));
        while replies.last().is_some_and(|text| text.as_deref().unwrap_or_default().is_empty()) {
            replies.pop();
        }
        let lines = replies.iter().map(|text| Line::of_wire(text.as_deref().unwrap_or_default())).collect();
        Acf { lines, source: Source::Controller, ..Acf::default() }
    }
}
