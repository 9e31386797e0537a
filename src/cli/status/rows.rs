//! What a node says of itself as rows of a table: one for each player of a proxy, one for a player, one for each
//! controller of a CCD host.

use crate::cli::paint::Paint;
use crate::cli::shell::show::{clean, inline};
use crate::value::Value;

/// What shows at a glance how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing to be said.
    Plain,
    /// Headings and names.
    Name,
    /// At work, and well.
    Good,
    /// In between.
    Busy,
    /// Needs somebody.
    Bad,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Player or controller; the key of its detail.
    pub name: String,
    /// By the columns of the look.
    pub cells: Vec<String>,
    /// Colour of its state.
    pub tone: Tone,
    /// What is wrong, whole; empty: nothing is known to be.
    pub trouble: String,
}

/// Columns: heading and width; the last one takes what is left.
pub type Columns = &'static [(&'static str, usize)];

/// Columns of players.
pub const PLAYERS: Columns = &[
    ("BANK", 7),
    ("STATE", 12),
    ("MODE", 10),
    ("LEFT", 5),
    ("NETSTAT", 9),
    ("DISKSTAT", 9),
    ("DROPS", 6),
    ("LEASE", 6),
    ("LAST ERROR", 8),
];
/// The column of the lease, and what it says when nobody has one.
const LEASE: usize = 7;
const FREE: &str = "free";
/// Columns of controllers.
pub const CONTROLLERS: Columns =
    &[("CONTROLLER", 12), ("STATE", 24), ("LEFT", 7), ("EXPOSURE", 10), ("LAST ERROR", 20)];

/// Status keys that the rows of players show.
pub const KEYS: [&str; 3] = ["NETSTAT", "DISKSTAT", "NDROP"];

/// The state of what does not answer.
pub const NO_ANSWER: &str = "NO ANSWER";
/// Stands for what is not known.
pub const UNKNOWN: &str = "-";

/// What one look at a target gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Headings.
    pub columns: Columns,
    /// One for each player or controller.
    pub rows: Vec<Row>,
    /// What concerns all of them.
    pub warnings: Vec<String>,
    /// Name and status keys of the row whose detail was asked for.
    pub detail: Option<(String, Vec<(String, String)>)>,
    /// Did everybody answer?
    pub complete: bool,
}

impl Look {
    /// Nobody answers.
    pub fn silent(columns: Columns, name: &str, why: &str) -> Look {
        Look {
            columns,
            rows: vec![lost(columns, name, why)],
            warnings: vec![],
            detail: None,
            complete: false,
        }
    }

    /// Only the rows of these names, in any case of letters; a name that is not there has a row that says so.
    pub fn only(mut self, names: &[String]) -> Look {
        if names.is_empty() {
            return self;
        }
        let is = |row: &Row, name: &str| row.name.eq_ignore_ascii_case(name);
        let all = std::mem::take(&mut self.rows);
        let there = all.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
        let absent = names.iter().filter(|name| !all.iter().any(|row| is(row, name)));
        let absent =
            absent.map(|name| lost(self.columns, name, &format!("not known here; there are: {there}")));
        let absent: Vec<Row> = absent.collect();
        self.rows = all.into_iter().filter(|row| names.iter().any(|name| is(row, name))).collect();
        self.rows.extend(absent);
        self.complete = !self.rows.iter().any(|row| row.cells[1] == NO_ANSWER);
        self
    }
}

/// Nobody answers for this row.
fn lost(columns: Columns, name: &str, why: &str) -> Row {
    let why = clean(why);
    let mut cells = vec![UNKNOWN.to_owned(); columns.len()];
    cells[0] = name.to_owned();
    cells[1] = NO_ANSWER.to_owned();
    cells[columns.len() - 1].clone_from(&why);
    Row { name: name.to_owned(), cells, tone: Tone::Bad, trouble: why }
}

/// A player by its `player_state` and its status keys.
pub fn player(name: &str, state: &Value, keys: Option<&Value>) -> Row {
    let state_name = text(state, "state").unwrap_or_else(|| "UNKNOWN".into());
    let trouble = trouble(state);
    let key = |k: &str| keys.and_then(|keys| text(keys, k)).unwrap_or_else(|| UNKNOWN.into());
    let left = match state_name.as_str() {
        "SCANNING" => state.get("scan").and_then(|scan| text(scan, "remaining_s")).map(|s| format!("{s} s")),
        "STARTING" => until_start(state).map(|s| format!("T-{s}")),
        _ => None,
    };
    let cells = vec![
        name.to_owned(),
        state_name.clone(),
        text(state, "mode").unwrap_or_else(|| UNKNOWN.into()),
        left.unwrap_or_else(|| UNKNOWN.into()),
        key("NETSTAT"),
        key("DISKSTAT"),
        key("NDROP"),
        lease(state),
        if trouble.is_empty() { UNKNOWN.into() } else { trouble.clone() },
    ];
    let tone = match state_name.as_str() {
        _ if !trouble.is_empty() => Tone::Bad,
        "READY" | "SCANNING" | "MONITORING" => Tone::Good,
        "NO_MODE" => Tone::Plain,
        _ => Tone::Busy,
    };
    Row { name: name.to_owned(), cells, tone, trouble }
}

/// A player of the reference, of which less is known.
pub fn reference(name: &str, mode: &Value, scan: &Value, keys: &Value) -> Row {
    let running = matches!(scan, Value::List(l) if l.first() == Some(&Value::Bool(true)));
    let state = match (running, mode.as_str()) {
        (true, _) => "SCANNING",
        (false, Some(_)) => "READY",
        (false, None) => "NO_MODE",
    };
    let mode = mode.as_str().map_or(Value::Null, Value::from);
    let left = keys.get("SCANREM").cloned().unwrap_or_default();
    let scan = Value::Map(vec![("remaining_s".into(), left)]);
    let state =
        Value::Map(vec![("state".into(), state.into()), ("mode".into(), mode), ("scan".into(), scan)]);
    player(name, &state, Some(keys))
}

/// The players of a proxy by `dealer.snapshot` and `dealer.get_status`.
pub fn players(snapshot: &Value, keys: &Value) -> Vec<Row> {
    let Some(Value::Map(players)) = snapshot.get("players") else { return Vec::new() };
    // Who has control of the proxy has it of a player that nobody else has.
    let held = snapshot.get("lease").filter(|lease| **lease != Value::Null);
    let one = |(name, seat): &(String, Value)| {
        if seat.get("connected") != Some(&Value::Bool(true)) {
            return lost(PLAYERS, name, &text(seat, "why").unwrap_or_else(|| "not connected".into()));
        }
        let state = seat.get("player_state").cloned().unwrap_or_default();
        let mut row = player(name, &state, keys.get(name));
        if matches!(row.cells[LEASE].as_str(), UNKNOWN | FREE) && held.is_some() {
            row.cells[LEASE] = lease(snapshot);
        }
        let more = ["needs_setup", "uncertain"].into_iter().filter_map(|k| text(seat, k));
        let stale = seat.get("stale") == Some(&Value::Bool(true));
        let more: Vec<String> = more.chain(stale.then(|| "its state is old".to_owned())).collect();
        if !more.is_empty() {
            row.tone = Tone::Bad;
            row.trouble = more
                .into_iter()
                .chain((!row.trouble.is_empty()).then(|| row.trouble.clone()))
                .collect::<Vec<_>>()
                .join("; ");
            row.cells[PLAYERS.len() - 1].clone_from(&row.trouble);
        }
        row
    };
    players.iter().map(one).collect()
}

/// The controllers of a CCD host by `archon.state`.
pub fn controllers(state: &Value) -> Vec<Row> {
    let Some(Value::Map(controllers)) = state.get("controllers") else { return Vec::new() };
    let last = text(state, "last_exposure_no").filter(|n| n != "-1");
    let one = |(name, said): &(String, Value)| {
        if said.get("connected") != Some(&Value::Bool(true)) {
            return lost(CONTROLLERS, name, &text(said, "why").unwrap_or_else(|| "not connected".into()));
        }
        let words = texts(said.get("status_names"));
        let has = |word: &str| words.iter().any(|w| w == word);
        let unread = said.get("attached") != Some(&Value::Bool(true));
        let unread = unread.then(|| "it has not said yet what it is and how it is configured".to_owned());
        // While it is at work a frame waits its turn; that is nobody's trouble.
        let at_work = text(said, "exposure").is_some() || !texts(said.get("running")).is_empty();
        let unsaved = text(said, "unsaved").filter(|_| !at_work);
        let unsaved = unsaved.map(|what| format!("not saved: {what}; `recover` fetches it"));
        let read_only = text(said, "read_only").map(|why| format!("read-only: {why}"));
        let trouble: Vec<String> =
            texts(said.get("alarms")).into_iter().chain(read_only).chain(unsaved).chain(unread).collect();
        let trouble = trouble.join("; ");
        let tone = match () {
            () if !trouble.is_empty() || has("ERROR") || has("POWERBAD") => Tone::Bad,
            () if has("IDLE") => Tone::Good,
            () => Tone::Busy,
        };
        let left = said.get("integration_left_s").and_then(Value::as_f64);
        let exposure = text(said, "exposure").or_else(|| last.clone());
        let cells = vec![
            name.clone(),
            words.join(" "),
            left.map_or_else(|| UNKNOWN.into(), |s| format!("{s:.1} s")),
            exposure.unwrap_or_else(|| UNKNOWN.into()),
            if trouble.is_empty() { UNKNOWN.into() } else { trouble.clone() },
        ];
        Row { name: name.clone(), cells, tone, trouble }
    };
    controllers.iter().map(one).collect()
}

/// Status keys as texts, in the order they have in the status memory.
pub fn keys(status: &Value) -> Vec<(String, String)> {
    let Value::Map(members) = status else { return Vec::new() };
    members.iter().map(|(k, v)| (clean(k), inline(v, Paint::PLAIN))).collect()
}

/// Texts of a list.
pub fn texts(list: Option<&Value>) -> Vec<String> {
    match list {
        Some(Value::List(items)) => items.iter().map(|v| inline(v, Paint::PLAIN)).collect(),
        _ => Vec::new(),
    }
}

/// The last error, else what speaks against an observation now.
fn trouble(state: &Value) -> String {
    let first = |key: &str| texts(state.get(key)).into_iter().next();
    text(state, "last_error").or_else(|| first("wrong")).or_else(|| first("warnings")).unwrap_or_default()
}

/// Seconds until the second a scan shall begin, by the player's own clock.
fn until_start(state: &Value) -> Option<i64> {
    let Some(Value::Int(now_ns)) = state.get("utc_ns") else { return None };
    let start: jiff::civil::DateTime = state.get("scan")?.get("start")?.as_str()?.parse().ok()?;
    let start = start.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((start.as_second() - now_ns / 1_000_000_000).max(0))
}

/// Who has the right to change things, of a player that gives it to one client at a time.
fn lease(state: &Value) -> String {
    match state.get("lease") {
        None => UNKNOWN.into(),
        Some(Value::Null) => FREE.into(),
        Some(lease @ Value::Map(_)) => ["holder", "who", "client"]
            .into_iter()
            .find_map(|k| text(lease, k))
            .unwrap_or_else(|| FREE.into()),
        Some(other) => inline(other, Paint::PLAIN),
    }
}

/// A member that says something.
fn text(of: &Value, key: &str) -> Option<String> {
    of.get(key).filter(|v| **v != Value::Null).map(|v| inline(v, Paint::PLAIN)).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::json;

    fn value(text: &str) -> Value {
        json::read(text.as_bytes()).expect("JSON")
    }

    #[test]
    fn a_player_in_one_row() {
        let state = value(
            r#"{"state": "SCANNING", "mode": "MODE1", "scan": {"remaining_s": 12}, "last_error": null, "wrong": []}"#,
        );
        let keys = value(r#"{"NETSTAT": "receiving", "DISKSTAT": "writing", "NDROP": "3"}"#);
        let row = player("BANKA", &state, Some(&keys));
        assert_eq!(row.cells, ["BANKA", "SCANNING", "MODE1", "12 s", "receiving", "writing", "3", "-", "-"]);
        assert_eq!((row.cells.len(), row.tone), (PLAYERS.len(), Tone::Good));
        // 2026-11-21 17:05:09 UTC
        let state = value(
            r#"{"state": "STARTING", "utc_ns": 1795280709670427039, "scan": {"start": "2026-11-21 17:05:20"}}"#,
        );
        assert_eq!(player("BANKA", &state, None).cells[3], "T-11");
        let row = player("BANKA", &value(r#"{"state": "READY", "last_error": "12:00 UTC: no disk"}"#), None);
        assert_eq!((row.tone, row.trouble.as_str()), (Tone::Bad, "12:00 UTC: no disk"));
        assert_eq!(row.cells[2..8], ["-"; 6]);
    }

    #[test]
    fn players_that_are_lost_or_need_somebody_say_so() {
        let snapshot = value(
            r#"{"players": {
                "BANKA": {"connected": true, "stale": false, "player_state": {"state": "READY", "mode": "MODE1", "lease": {"holder": "alice"}}},
                "BANKB": {"connected": true, "stale": true, "needs_setup": "it had MODE1", "player_state": {"state": "NO_MODE"}},
                "BANKC": {"connected": false, "why": "Connection refused", "player_state": null}}}"#,
        );
        let keys =
            value(r#"{"BANKA": {"NETSTAT": "waiting"}, "BANKB": {}, "BANKC": [false, "Lost connection"]}"#);
        let rows = players(&snapshot, &keys);
        let column = |n: usize| rows.iter().map(|r| r.cells[n].as_str()).collect::<Vec<_>>();
        assert_eq!(column(1), ["READY", "NO_MODE", "NO ANSWER"]);
        assert_eq!(column(4), ["waiting", "-", "-"]);
        assert_eq!(column(7), ["alice", "-", "-"]);
        assert_eq!(column(8), ["-", "it had MODE1; its state is old", "Connection refused"]);
        assert_eq!(rows[2].tone, Tone::Bad);
    }

    #[test]
    fn who_has_the_proxy_has_the_players_nobody_else_has() {
        assert_eq!(PLAYERS[LEASE].0, "LEASE");
        let snapshot = |lease: &str| {
            value(&format!(
                r#"{{"lease": {lease}, "players": {{
                    "BANKA": {{"connected": true, "player_state": {{"state": "READY", "lease": null}}}},
                    "BANKB": {{"connected": true, "player_state": {{"state": "READY"}}}},
                    "BANKC": {{"connected": true, "player_state": {{"state": "READY", "lease": {{"who": "ben"}}}}}}}}}}"#
            ))
        };
        let leases = |lease: &str| {
            players(&snapshot(lease), &Value::Null).iter().map(|r| r.cells[LEASE].clone()).collect::<Vec<_>>()
        };
        assert_eq!(leases(r#"{"who": "ann", "purpose": "", "until": "x"}"#), ["ann", "ann", "ben"]);
        assert_eq!(leases("null"), ["free", "-", "ben"]);
    }

    #[test]
    fn rows_are_chosen_by_name() {
        let row = |name: &str| Row {
            name: name.into(),
            cells: vec![name.into(); PLAYERS.len()],
            tone: Tone::Good,
            trouble: String::new(),
        };
        let look = Look { rows: vec![row("BANKA"), row("BANKB")], ..Look::silent(PLAYERS, "BANKC", "gone") };
        let names = |look: &Look| look.rows.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        let one = look.clone().only(&["bankb".into()]);
        assert_eq!((names(&one), one.complete), (vec!["BANKB".into()], true));
        let absent = look.clone().only(&["BANKA".into(), "X".into()]);
        assert_eq!((names(&absent), absent.complete), (vec!["BANKA".into(), "X".into()], false));
        assert!(absent.rows[1].trouble.contains("there are: BANKA, BANKB"));
        assert_eq!(look.clone().only(&[]), look);
    }

    #[test]
    fn the_reference_is_understood_as_far_as_it_tells() {
        let row = reference(
            "BANKA",
            &"MODE1".into(),
            &value(r#"[true, "NETSTAT=receiving", "DISKSTAT=waiting"]"#),
            &value(r#"{"NETSTAT": "receiving", "SCANREM": "7"}"#),
        );
        assert_eq!(row.cells[1..5], ["SCANNING", "MODE1", "7 s", "receiving"]);
    }

    #[test]
    fn controllers_have_columns_of_their_own() {
        let state = value(
            r#"{"last_exposure_no": 41, "controllers": {
                "sp1": {"connected": true, "attached": true, "status_names": ["IDLE", "POWERON"], "alarms": []},
                "sp2": {"connected": true, "attached": true, "status_names": ["EXPOSING"], "exposure": 42,
                        "integration_left_s": 12.04, "alarms": ["temperature : CCD too warm"]},
                "sp3": {"connected": true, "attached": false, "status_names": ["UNKNOWN"], "read_only": null},
                "sp4": {"connected": false, "why": "Connection refused", "status_names": ["UNKNOWN"]}}}"#,
        );
        let rows = controllers(&state);
        assert_eq!(rows[0].cells, ["sp1", "IDLE POWERON", "-", "41", "-"]);
        assert_eq!(rows[0].tone, Tone::Good);
        assert_eq!(rows[1].cells[..4], ["sp2", "EXPOSING", "12.0 s", "42"]);
        assert_eq!((rows[1].tone, rows[1].trouble.as_str()), (Tone::Bad, "temperature : CCD too warm"));
        assert!(rows[2].trouble.contains("not said yet"), "{:?}", rows[2]);
        assert_eq!(
            (rows[3].cells[1].as_str(), rows[3].trouble.as_str()),
            ("NO ANSWER", "Connection refused")
        );
        assert!(rows.iter().all(|r| r.cells.len() == CONTROLLERS.len()));
    }
}
