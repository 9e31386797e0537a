//! Colours of a terminal, or none.

use std::ffi::OsStr;

/// How names, good and bad things are marked. What they say is in the words as well: a screen without colour loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// No colours.
    pub const PLAIN: Paint = Paint { colour: false };
    /// Colours.
    pub const COLOUR: Paint = Paint { colour: true };

    /// Colours on a terminal that has some, unless `NO_COLOR` is set.
    pub fn of_terminal(is_terminal: bool) -> Paint {
        Paint::of(is_terminal, std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
    }

    /// The same, by the values of `NO_COLOR` (any text but an empty one) and `TERM`.
    pub fn of(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Paint {
        let forbidden = no_color.is_some_and(|v| !v.is_empty());
        let able = term.is_some_and(|t| !t.is_empty() && t != "dumb");
        Paint { colour: is_terminal && able && !forbidden }
    }

    /// Are there colours?
    pub fn has_colour(self) -> bool {
        self.colour
    }

    /// Names and headings.
    pub fn name(self, text: &str) -> String {
        self.with("36", text)
    }

    /// What went well.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What did not.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.colour && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let of = |tty, no_color: Option<&str>, term: &str| {
            Paint::of(tty, no_color.map(OsStr::new), Some(OsStr::new(term))).has_colour()
        };
        assert!(of(true, None, "xterm") && of(true, Some(""), "tmux"));
        assert!(!of(false, None, "xterm") && !of(true, Some("1"), "xterm") && !of(true, None, "dumb"));
    }
}
