//! What an operator may want to read later: warnings, errors, the last start. Bounded, newest last.

use crate::units::Utc;
use crate::value::Value;
use std::collections::{BTreeMap, VecDeque};

/// Lines kept.
const KEPT_MAX: usize = 100;

/// Notices of the role.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    warnings: VecDeque<(Utc, String)>,
    /// Per player: the last error, in full.
    errors: BTreeMap<String, (Utc, String)>,
    last_start: Option<Value>,
}

impl Notices {
    /// Something the operator should know.
    pub fn warn(&mut self, at: Utc, text: String) {
        log::warn!("{text}");
        if self.warnings.len() >= KEPT_MAX {
            self.warnings.pop_front();
        }
        self.warnings.push_back((at, text));
    }

    /// A player failed.
    pub fn failed(&mut self, player: &str, at: Utc, text: String) {
        self.errors.insert(player.to_owned(), (at, text));
    }

    /// What a start came to.
    pub fn started(&mut self, what: Value) {
        self.last_start = Some(what);
    }

    /// `[[time, text], ..]`
    pub fn warnings(&self) -> Value {
        let one = |(at, text): &(Utc, String)| Value::List(vec![at.to_string().into(), text.as_str().into()]);
        Value::List(self.warnings.iter().map(one).collect())
    }

    /// `{player: [time, text]}`
    pub fn errors(&self) -> Value {
        let one = |(player, (at, text)): (&String, &(Utc, String))| {
            (player.clone(), Value::List(vec![at.to_string().into(), text.as_str().into()]))
        };
        Value::Map(self.errors.iter().map(one).collect())
    }

    /// The last start, `null` before the first.
    pub fn last_start(&self) -> Value {
        self.last_start.clone().unwrap_or(Value::Null)
    }
}
