//! What calls must be answered, and what players must say of the scan that was.

use crate::driver::{Complaint, Heard};
use crate::site::{Instrument, Site};
use appliance::value::Value;

/// What a call must be answered.
pub enum Want {
    /// These names.
    Names(Vec<&'static str>),
    /// `{player: [true, "text ..."]}`: one entry for every player, which begins so.
    Done(&'static str),
    /// `{player: [false, "text ..."]}`
    Refused(&'static str),
    /// `{player: value}`
    Each(Value),
    /// `[true, text]`
    Agreed(&'static str),
    /// `[true, [year, month, day, hour, minute, second, microsecond]]`
    Time,
    /// `{player: [running, "NETSTAT=..", "DISKSTAT=.."]}`
    Scan { running: bool },
    /// `[true, {player: scan status}]`, nobody running.
    Over,
    /// An error of this class.
    Error(&'static str),
}

impl Want {
    /// Why this is not it.
    pub fn misses(&self, heard: &Heard, banks: &[&str]) -> Result<(), String> {
        let value = match (self, heard) {
            (Want::Error(class), Err(Complaint { class: found, text })) => {
                return check(found == class && !text.is_empty(), "another error");
            }
            (_, Err(_)) => return Err("an error".into()),
            (_, Ok(value)) => value,
        };
        match self {
            Want::Error(_) => Err("no error".into()),
            Want::Names(names) => {
                let names: Vec<Value> = names.iter().map(|n| Value::from(*n)).collect();
                check(*value == Value::List(names), "other names")
            }
            Want::Done(text) => each(value, banks, |e| says(e, true, text)),
            Want::Refused(text) => each(value, banks, |e| says(e, false, text)),
            Want::Each(wanted) => each(value, banks, |e| check(e == wanted, "another value")),
            Want::Agreed(text) => check(*value == Value::verdict(true, *text), "not agreed"),
            Want::Time => check(is_time(value), "no time"),
            Want::Scan { running } => each(value, banks, |e| is_scan_status(e, *running)),
            Want::Over => match value {
                Value::List(parts) if parts.len() == 2 && parts[0] == Value::Bool(true) => {
                    each(&parts[1], banks, |e| is_scan_status(e, false))
                }
                _ => Err("not over".into()),
            },
        }
    }
}

fn check(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

/// An entry for every player, in their order, and each as it should be.
pub fn each(
    value: &Value,
    banks: &[&str],
    entry: impl Fn(&Value) -> Result<(), String>,
) -> Result<(), String> {
    let Value::Map(entries) = value else { return Err("no object".into()) };
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    check(names == banks, "not one entry for every player")?;
    entries.iter().try_for_each(|(name, e)| entry(e).map_err(|why| format!("{name}: {why}")))
}

pub fn says(entry: &Value, done: bool, text: &str) -> Result<(), String> {
    match entry {
        Value::List(parts) => match &parts[..] {
            [Value::Bool(ok), Value::Str(said)] => {
                check(*ok == done && said.starts_with(text), "other words")
            }
            _ => Err("no [bool, text]".into()),
        },
        _ => Err("no [bool, text]".into()),
    }
}

pub fn is_scan_status(entry: &Value, running: bool) -> Result<(), String> {
    let key = |value: &Value, key: &str| value.as_str().is_some_and(|t| t.starts_with(key));
    match entry {
        Value::List(parts) if parts.len() == 3 => {
            check(parts[0] == Value::Bool(running), "running or not")?;
            check(key(&parts[1], "NETSTAT=") && key(&parts[2], "DISKSTAT="), "no state of the programs")
        }
        _ => Err("no [bool, text, text]".into()),
    }
}

fn is_time(value: &Value) -> bool {
    let Value::List(parts) = value else { return false };
    let [Value::Bool(true), Value::List(numbers)] = &parts[..] else { return false };
    let in_order =
        |n: usize, low: i64, high: i64| matches!(numbers[n], Value::Int(i) if (low..=high).contains(&i));
    numbers.len() == 7
        && in_order(0, 2026, 2200)
        && in_order(1, 1, 12)
        && in_order(2, 1, 31)
        && numbers[6] == Value::Int(0)
}

/// The last scan of all players began in the same second, and ended so.
pub fn last_scans(site: &Site, instrument: Instrument, ended: &str) -> Result<(), String> {
    let of = |name: &&str| {
        let state = site.says(name).unwrap_or_default();
        ["start", "ended"].map(|key| {
            let found = state.get("last_scan").and_then(|s| s.get(key)).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        })
    };
    let scans: Vec<[String; 2]> = instrument.banks().iter().map(of).collect();
    let alike = scans.iter().all(|[start, how]| !start.is_empty() && *start == scans[0][0] && how == ended);
    check(alike, &format!("the last scans are not all '{ended}': {scans:?}"))
}

/// How often something is tried again on a machine that has no time for it.
pub const STARVED_MAX: usize = 3;

/// Do the players refuse for want of time? Each entry that is a no has one of these reasons, and one has.
pub fn is_starved(heard: &Heard) -> bool {
    const REASONS: [&str; 6] = [
        "Lost connection to server",
        "No reply from",
        "deadline missed by",
        "armed too late",
        "cancelled by stop()",
        "not started: ",
    ];
    let Ok(Value::Map(entries)) = heard else { return false };
    let mut refusals = entries.iter().filter_map(|(_, entry)| match entry {
        Value::List(parts) if parts.first() == Some(&Value::Bool(false)) => parts.get(1)?.as_str(),
        _ => None,
    });
    let mut any = false;
    refusals.all(|text| {
        any = true;
        REASONS.iter().any(|reason| text.contains(reason))
    }) && any
}
