//! Looking up and changing lines by key.

use super::line::problem;
use super::{Acf, AcfError, Line};
use crate::config::suggest;
use crate::proto::archon::CONFIG_LINES;

/// A key in the form it is compared in: upper case, `/` for `\`.
pub fn normal(key: &str) -> String {
    key.trim().replace('\\', "/").to_ascii_uppercase()
}

impl Acf {
    /// Index on the wire of a key in any case, with `/` or `\`. Of duplicates (a controller may hold some) the last counts.
    pub fn index(&self, key: &str) -> Option<u16> {
        let wanted = normal(key);
        let found = self.lines.iter().rposition(|line| {
            line.key.len() == wanted.len()
                && line.key.bytes().zip(wanted.bytes()).all(|(a, b)| a.to_ascii_uppercase() == b)
        })?;
        (!wanted.is_empty()).then(|| u16::try_from(found).ok()).flatten()
    }

    /// Value of a key in any case, with `/` or `\`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.index(key).map(|index| self.lines[usize::from(index)].value.as_str())
    }

    /// Integer value of a key; `None` also if it is no integer.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.get(key)?.trim().parse().ok()
    }

    /// Sets an existing key, which keeps its spelling; the index of the line to send.
    pub fn set(&mut self, key: &str, value: &str) -> Result<u16, AcfError> {
        let index = self.index(key).ok_or_else(|| self.unknown(key))?;
        let line = &mut self.lines[usize::from(index)];
        let changed = Line { key: line.key.clone(), value: value.to_owned() };
        changed.check()?;
        *line = changed;
        Ok(index)
    }

    /// This configuration with some values replaced; keys it does not have are appended, `\` in them is `/`.
    pub fn with_overrides(&self, overrides: &[(String, String)]) -> Result<Acf, AcfError> {
        let mut changed = self.clone();
        for (key, value) in overrides {
            if changed.index(key).is_some() {
                changed.set(key, value)?;
                continue;
            }
            let line = Line { key: key.trim().replace('\\', "/"), value: value.clone() };
            line.check()?;
            if changed.lines.len() >= usize::from(CONFIG_LINES) {
                return Err(problem(
                    format!("no room for {key}: the configuration has {CONFIG_LINES} lines already"),
                    "override keys that the ACF has",
                ));
            }
            changed.lines.push(line);
        }
        Ok(changed)
    }

    fn unknown(&self, key: &str) -> AcfError {
        let key = normal(key);
        let hint = suggest::hint(&key, self.lines.iter().map(|line| line.key.as_str()));
        problem(
            format!("Invalid keyword {key}{hint}"),
            "name a key of the configuration, for example MOD11/HEATERAP",
        )
    }
}
