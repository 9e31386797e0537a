//! The scan journal: of each scan of the instrument one line when it has begun, and one when it has ended everywhere.

use super::messages::Index;
use super::roster::Roster;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Scans that wait for their end; more close the oldest.
const OPEN_MAX: usize = 16;
/// Lines kept in memory for `journal`.
const KEPT_MAX: usize = 1000;
/// A player tells its verdict within 30 s after the end, when hardware and programs have told their last numbers.
const VERDICT_WITHIN: Duration = Duration::from_secs(40);
/// What is told in full at the end.
const AT_THE_END: [&str; 2] = ["margin_ms", "arm_late_us"];

/// A scan that goes on.
#[derive(Debug)]
struct OpenScan {
    players: Vec<Index>,
    begun: Vec<(String, Value)>,
    /// Start as players print it.
    start: String,
    ended: BTreeMap<Index, Value>,
    /// When it was seen that it has ended everywhere.
    over: Option<(Mono, Utc)>,
}

/// Scans that have begun and not ended everywhere.
#[derive(Debug, Default)]
pub struct Journal {
    open: Vec<OpenScan>,
    /// Lines written by this process about scans that have ended, newest last.
    written: Vec<Value>,
}

impl Journal {
    /// A scan has begun. The lines to be written.
    pub fn begin(&mut self, players: Vec<Index>, begun: Value, roster: &Roster) -> Vec<Value> {
        let start = begun.get("start").and_then(Value::as_str).unwrap_or_default().to_owned();
        let begun = match begun {
            Value::Map(members) => {
                members.into_iter().filter(|(k, _)| k != "failed").map(shortened).collect()
            }
            _ => Vec::new(),
        };
        self.open.push(OpenScan { players, begun, start, ended: BTreeMap::new(), over: None });
        let mut lines = Vec::new();
        if self.open.len() > OPEN_MAX {
            let oldest = self.open.remove(0);
            lines.push(oldest.ended(roster));
            self.keep(&lines);
        }
        lines.extend(self.open.last().map(|scan| scan.line("begun")));
        lines
    }

    /// A player says something new; lines of scans that have now ended everywhere.
    pub fn told(&mut self, player: Index, roster: &Roster, now: Now) -> Vec<Value> {
        let Some((state, _)) = &roster.seat(player).state else { return Vec::new() };
        for scan in self.open.iter_mut().filter(|s| s.players.contains(&player)) {
            scan.told(player, state, now);
        }
        let (over, open): (Vec<OpenScan>, Vec<OpenScan>) =
            std::mem::take(&mut self.open).into_iter().partition(|s| s.is_closed(now));
        self.open = open;
        let lines: Vec<Value> = over.iter().map(|s| s.ended(roster)).collect();
        self.keep(&lines);
        lines
    }

    fn keep(&mut self, lines: &[Value]) {
        self.written.extend_from_slice(lines);
        let over = self.written.len().saturating_sub(KEPT_MAX);
        self.written.drain(..over);
    }

    /// The last scans, newest last; those that go on are at the end.
    pub fn last(&self, limit: usize) -> Value {
        let all: Vec<Value> =
            self.written.iter().cloned().chain(self.open.iter().map(|s| s.line("begun"))).collect();
        let from = all.len().saturating_sub(limit);
        Value::List(all[from..].to_vec())
    }
}

impl OpenScan {
    fn told(&mut self, player: Index, state: &Value, now: Now) {
        let name = state.get("state").and_then(Value::as_str).unwrap_or_default();
        let running = matches!(name, "STARTING" | "SCANNING");
        let scan_start = state.get("scan").and_then(|s| s.get("start")).and_then(Value::as_str);
        let another = running && scan_start.is_some_and(|s| s != self.start);
        if running && !another {
            return;
        }
        let last = state.get("last_scan").cloned().unwrap_or(Value::Null);
        // Of the reference there is no more than that it has stopped.
        let fits = last.get("start").is_none_or(|s| s.as_str() == Some(self.start.as_str()));
        let end = if fits { last } else { Value::Null };
        if fits || !self.ended.contains_key(&player) {
            self.ended.insert(player, end);
        }
        if self.over.is_none() && self.players.iter().all(|p| self.ended.contains_key(p)) {
            self.over = Some((now.mono, now.utc));
        }
    }

    /// Ended everywhere, and nothing more is to be learnt.
    fn is_closed(&self, now: Now) -> bool {
        let open = |end: &Value| end.get("verdict").and_then(Value::as_str) == Some("not known yet");
        self.over
            .is_some_and(|(at, _)| !self.ended.values().any(open) || now.mono.since(at) >= VERDICT_WITHIN)
    }

    fn line(&self, event: &str) -> Value {
        let mut line = vec![("event".to_owned(), Value::from(event))];
        line.extend(self.begun.iter().cloned());
        Value::Map(line)
    }

    fn ended(&self, roster: &Roster) -> Value {
        let Value::Map(mut line) = self.line("ended") else { return Value::Null };
        let number = self.ended.values().filter_map(|end| end.get("number")).next();
        line.insert(1, ("number".to_owned(), number.cloned().unwrap_or(Value::Null)));
        let one = |p: &Index| {
            let end = self.ended.get(p).cloned().unwrap_or_else(|| "unknown: it was not seen again".into());
            (roster.name(*p).to_owned(), end)
        };
        let at = self.over.map_or(Value::Null, |(_, at)| Value::Str(at.to_string()));
        line.push(("ended".to_owned(), at));
        line.push(("ends".to_owned(), Value::Map(self.players.iter().map(one).collect())));
        Value::Map(line)
    }
}

/// A member of what is known at the begin, without what is not known yet.
fn shortened((key, value): (String, Value)) -> (String, Value) {
    let Value::Map(players) = value else { return (key, value) };
    let one = |(name, entry): (String, Value)| match entry {
        Value::Map(mut entry) => {
            entry.retain(|(k, _)| !AT_THE_END.contains(&k.as_str()));
            (name, Value::Map(entry))
        }
        other => (name, other),
    };
    (key, Value::Map(players.into_iter().map(one).collect()))
}
