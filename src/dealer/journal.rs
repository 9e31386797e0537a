//! The scan journal: one line for each scan of the instrument, when it has ended everywhere.

use super::messages::Index;
use super::roster::Roster;
use crate::units::Now;
use crate::value::Value;
use std::collections::BTreeMap;

/// Scans that wait for their end; more close the oldest.
const OPEN_MAX: usize = 16;

/// A scan that goes on.
#[derive(Debug)]
struct OpenScan {
    players: Vec<Index>,
    begun: Value,
    /// Start as players print it.
    start: String,
    seen: Vec<Index>,
    ended: BTreeMap<Index, Value>,
}

/// Scans that have begun and not ended everywhere.
#[derive(Debug, Default)]
pub struct Journal {
    open: Vec<OpenScan>,
    /// Lines written by this process, newest last.
    written: Vec<Value>,
}

/// Lines kept in memory for `journal`.
const KEPT_MAX: usize = 1000;

impl Journal {
    /// A scan has begun.
    pub fn begin(&mut self, players: Vec<Index>, begun: Value, roster: &Roster, now: Now) -> Vec<Value> {
        let start = begun.get("start").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.open.push(OpenScan { seen: players.clone(), players, begun, start, ended: BTreeMap::new() });
        let mut lines = Vec::new();
        if self.open.len() > OPEN_MAX {
            let oldest = self.open.remove(0);
            lines.push(oldest.line(roster, now));
        }
        self.keep(&lines);
        lines
    }

    /// A player says something new; lines of scans that have now ended everywhere.
    pub fn told(&mut self, player: Index, roster: &Roster, now: Now) -> Vec<Value> {
        let Some((state, _)) = &roster.seat(player).state else { return Vec::new() };
        let name = state.get("state").and_then(Value::as_str).unwrap_or_default();
        let scan_start = state.get("scan").and_then(|s| s.get("start")).and_then(Value::as_str);
        for scan in &mut self.open {
            let running = matches!(name, "STARTING" | "SCANNING");
            let other = running && scan_start.is_some_and(|s| s != scan.start);
            if scan.players.contains(&player) && (!running || other) {
                let last = state.get("last_scan").cloned().unwrap_or(Value::Null);
                // Of the reference there is no more than that it has stopped.
                let fits = last.get("start").is_none_or(|s| s.as_str() == Some(scan.start.as_str()));
                let end = if fits { last } else { Value::Null };
                scan.ended.entry(player).or_insert(end);
            }
        }
        let (over, open): (Vec<OpenScan>, Vec<OpenScan>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|s| s.players.iter().all(|p| s.ended.contains_key(p)));
        self.open = open;
        let lines: Vec<Value> = over.iter().map(|s| s.line(roster, now)).collect();
        self.keep(&lines);
        lines
    }

    fn keep(&mut self, lines: &[Value]) {
        self.written.extend_from_slice(lines);
        let over = self.written.len().saturating_sub(KEPT_MAX);
        self.written.drain(..over);
    }

    /// The last lines, newest last.
    pub fn last(&self, limit: usize) -> Value {
        let from = self.written.len().saturating_sub(limit);
        Value::List(self.written[from..].to_vec())
    }
}

impl OpenScan {
    fn line(&self, roster: &Roster, now: Now) -> Value {
        let Value::Map(mut line) = self.begun.clone() else { return self.begun.clone() };
        line.retain(|(key, _)| key != "failed");
        let one = |p: &Index| {
            let end = self.ended.get(p).cloned().unwrap_or_else(|| "unknown: it was not seen again".into());
            (roster.name(*p).to_owned(), end)
        };
        line.push(("ended".to_owned(), Value::Str(now.utc.to_string())));
        line.push(("ends".to_owned(), Value::Map(self.seen.iter().map(one).collect())));
        Value::Map(line)
    }
}
