//! Scans for later, kept by the player: they are started whether whoever ordered them is still there or not.
//!
//! ```text
//!  waiting ──(start - arm delay - 10 s)──► preparing ──► starting ──► running ──► ended
//!     │ unschedule                             │ refused, failed, busy until too late
//!     ▼                                        ▼
//!  cancelled                                 failed
//! ```
//!
//! The list is saved with the player's state. The next player goes on with it; a scan whose time has passed
//! meanwhile is `missed`, never run late.

use super::scan;
use crate::api::{CallError, ErrorClass, Family};
use crate::units::Utc;
use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Scans that wait, at most; more are refused.
const WAITING_MAX: usize = 500;
/// Scans that are over and still shown.
const PAST_MAX: usize = 100;
/// What preparing may take before the arm delay begins.
pub const PREPARE_AHEAD: Duration = Duration::from_secs(10);
/// Between the end of a scan and the arm delay of the next: the programs stop, the parameters are written.
const BETWEEN: Duration = Duration::from_secs(3);

/// Where a scan for later stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its time has not come.
    Waiting,
    /// Its parameters are written.
    Preparing,
    /// Waits for its arm time, or is armed.
    Starting,
    /// Data are taken, under this id.
    Running(String),
    /// Over, with this verdict.
    Ended(String),
    /// It never ran, for this reason.
    Failed(String),
    /// Its time went by while no player was there to start it.
    Missed(String),
    /// Taken back.
    Cancelled,
}

impl Fate {
    fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Fate::Waiting => ("waiting", None),
            Fate::Preparing => ("preparing", None),
            Fate::Starting => ("starting", None),
            Fate::Running(id) => ("running", Some(id)),
            Fate::Ended(verdict) => ("ended", Some(verdict)),
            Fate::Failed(why) => ("failed", Some(why)),
            Fate::Missed(why) => ("missed", Some(why)),
            Fate::Cancelled => ("cancelled", None),
        }
    }

    fn is_past(&self) -> bool {
        matches!(self, Fate::Ended(_) | Fate::Failed(_) | Fate::Missed(_) | Fate::Cancelled)
    }
}

/// A scan for later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Its number in this list, from 1.
    pub id: i64,
    /// Start second; in a file as nanoseconds since 1970.
    #[serde(with = "nanoseconds")]
    pub start: Utc,
    /// Length of the data, s.
    pub length: f64,
    /// Parameters to be set before.
    pub params: Vec<(String, Value)>,
    /// Scan number, if it is to be set.
    pub scan_number: Option<i64>,
    /// Who ordered it.
    pub client: Option<String>,
    /// Where it stands.
    pub fate: Fate,
}

impl Scheduled {
    fn end(&self) -> Utc {
        self.start
            + Duration::try_from_secs_f64(self.length).unwrap_or(Duration::MAX)
            + Duration::from_secs(1)
    }

    fn to_value(&self) -> Value {
        let (state, what) = self.fate.words();
        Value::Map(vec![
            ("id".into(), Value::Int(self.id)),
            ("start".into(), scan::civil_value(self.start)),
            ("length".into(), Value::Float(self.length)),
            ("params".into(), Value::Map(self.params.clone())),
            ("scan_number".into(), self.scan_number.map_or(Value::Null, Value::Int)),
            ("client".into(), self.client.as_deref().map_or(Value::Null, Value::from)),
            ("state".into(), state.into()),
            ("result".into(), what.map_or(Value::Null, Value::from)),
        ])
    }
}

/// All scans for later, in order of their start, and those that are over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    last_id: i64,
    entries: Vec<Scheduled>,
}

impl Schedule {
    /// Takes all scans of a list, or none; their ids.
    ///
    /// # Errors
    /// One has a bad shape, comes too soon, or overlaps another.
    pub fn add(
        &mut self,
        list: &Value,
        client: Option<String>,
        now: Utc,
        arm_delay: Duration,
    ) -> Result<Vec<i64>, CallError> {
        let Value::List(items) = list else {
            return Err(invalid("scans must be a list of objects {start, length, params}".into()));
        };
        let mut next = self.clone();
        let mut ids = Vec::new();
        for (i, item) in items.iter().enumerate() {
            next.last_id += 1;
            let entry = parse(item, next.last_id, client.clone()).map_err(|e| CallError {
                message: format!("scan {} of the list: {}", i + 1, e.message),
                ..e
            })?;
            next.refuse(&entry, now, arm_delay)?;
            ids.push(entry.id);
            next.entries.push(entry);
        }
        next.entries.sort_by_key(|e| (e.start, e.id));
        *self = next;
        Ok(ids)
    }

    fn refuse(&self, entry: &Scheduled, now: Utc, arm_delay: Duration) -> Result<(), CallError> {
        let refused = |text: String| Err(CallError::new(ErrorClass::Exception, Family::Refused, text));
        let earliest = now.ceil_second() + arm_delay + PREPARE_AHEAD;
        if entry.start < earliest {
            return refused(format!(
                "a scan at {} cannot be scheduled: the earliest is {earliest}. Call start() for one that is nearer",
                entry.start
            ));
        }
        if self.open().count() >= WAITING_MAX {
            return refused(format!("{WAITING_MAX} scans already wait; unschedule() some"));
        }
        let lead = arm_delay + BETWEEN;
        let overlaps = |o: &&Scheduled| entry.start - lead < o.end() && o.start - lead < entry.end();
        match self.open().find(overlaps) {
            Some(o) => refused(format!(
                "a scan at {} for {} s is too near to scan {} at {} for {} s: {} s must lie between them",
                entry.start,
                entry.length,
                o.id,
                o.start,
                o.length,
                (lead + Duration::from_secs(1)).as_secs()
            )),
            None => Ok(()),
        }
    }

    fn open(&self) -> impl Iterator<Item = &Scheduled> {
        self.entries.iter().filter(|e| !e.fate.is_past())
    }

    /// The next that waits.
    pub fn next(&self) -> Option<&Scheduled> {
        self.entries.iter().find(|e| e.fate == Fate::Waiting)
    }

    /// The one that is being prepared or started.
    pub fn at_work(&self) -> Option<&Scheduled> {
        self.entries.iter().find(|e| matches!(e.fate, Fate::Preparing | Fate::Starting))
    }

    /// Where a scan stands from now on.
    pub fn set(&mut self, id: i64, fate: Fate) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.id == id) {
            entry.fate = fate;
        }
        let past = self.entries.iter().filter(|e| e.fate.is_past()).count();
        if past > PAST_MAX
            && let Some(oldest) = self.entries.iter().position(|e| e.fate.is_past())
        {
            self.entries.remove(oldest);
        }
    }

    /// The scan that ran under this id is over.
    pub fn ended(&mut self, scan_id: &str, verdict: String) {
        let found = self.entries.iter().find(|e| matches!(&e.fate, Fate::Running(id) if id == scan_id));
        if let Some(id) = found.map(|e| e.id) {
            self.set(id, Fate::Ended(verdict));
        }
    }

    /// Another process goes on with it. `scan`: id and start of the scan it goes on with, if there is one, and
    /// whether data are taken already. What was being prepared waits again; what can no longer be armed at `earliest`
    /// was missed. Gives the ids of those.
    pub fn resume(&mut self, scan: Option<(&str, Utc, bool)>, earliest: Utc) -> Vec<i64> {
        let mut missed = Vec::new();
        for entry in &mut self.entries {
            let goes_on = scan.filter(|(_, start, _)| *start == entry.start);
            let next = match (&entry.fate, goes_on) {
                (Fate::Starting | Fate::Running(_), Some((id, _, true))) => Fate::Running(id.to_owned()),
                (Fate::Starting, Some(_)) => continue,
                (Fate::Waiting | Fate::Preparing, _) if entry.start >= earliest => Fate::Waiting,
                (Fate::Waiting | Fate::Preparing, _) => {
                    missed.push(entry.id);
                    Fate::Missed("its time of arming went by while no player ran".into())
                }
                (Fate::Starting | Fate::Running(_), _) => {
                    Fate::Failed("the player was restarted, and the scan could not be gone on with".into())
                }
                _ => continue,
            };
            entry.fate = next;
        }
        missed
    }

    /// Takes one back, or all that wait for id 0; how many.
    ///
    /// # Errors
    /// It is not known, or does not wait any more: in words.
    pub fn cancel(&mut self, id: i64) -> Result<usize, String> {
        let waiting: Vec<i64> = self
            .entries
            .iter()
            .filter(|e| e.fate == Fate::Waiting && (id == 0 || e.id == id))
            .map(|e| e.id)
            .collect();
        if id != 0 && waiting.is_empty() {
            return Err(match self.entries.iter().find(|e| e.id == id) {
                None => format!("There is no scheduled scan {id}."),
                Some(e) => match e.fate.words() {
                    (state @ ("preparing" | "starting" | "running"), _) => {
                        format!("Scan {id} is {state}: call stop() to end it.")
                    }
                    (state, _) => format!("Scan {id} does not wait any more: {state}."),
                },
            });
        }
        for id in &waiting {
            self.set(*id, Fate::Cancelled);
        }
        Ok(waiting.len())
    }

    /// For `scheduled()`.
    pub fn to_value(&self) -> Value {
        Value::List(self.entries.iter().map(Scheduled::to_value).collect())
    }
}

/// A time as a number of nanoseconds.
mod nanoseconds {
    use crate::units::Utc;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Utc, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Utc, D::Error> {
        i64::deserialize(from).map(Utc)
    }
}

fn invalid(text: String) -> CallError {
    CallError::new(ErrorClass::ValueError, Family::Invalid, text)
}

fn parse(item: &Value, id: i64, client: Option<String>) -> Result<Scheduled, CallError> {
    let Value::Map(members) = item else {
        return Err(invalid(format!("an object {{start, length, params}} is needed, not {}", item.kind())));
    };
    if let Some((key, _)) = members.iter().find(|(k, _)| !MEMBERS.contains(&k.as_str())) {
        return Err(invalid(format!("unknown member '{key}'; there are {}", MEMBERS.join(", "))));
    }
    let start = item.get("start").ok_or_else(|| invalid("'start' is missing".into()))?;
    let length = item.get("length").and_then(Value::as_f64);
    let length = length.filter(|s| Duration::try_from_secs_f64(*s).is_ok() && *s <= LENGTH_MAX_S);
    let params = match item.get("params") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Map(pairs)) => pairs.clone(),
        Some(other) => return Err(invalid(format!("'params' must be an object, not {}", other.kind()))),
    };
    let scan_number = match item.get("scan_number") {
        None | Some(Value::Null) => None,
        Some(Value::Int(n)) => Some(*n),
        Some(other) => {
            return Err(invalid(format!("'scan_number' must be a whole number, not {}", other.kind())));
        }
    };
    Ok(Scheduled {
        id,
        start: scan::parse_start(start)?.ceil_second(),
        length: length.ok_or_else(|| {
            invalid(format!("'length' must be a number of seconds from 0 to {LENGTH_MAX_S}"))
        })?,
        params,
        scan_number,
        client,
        fate: Fate::Waiting,
    })
}

const MEMBERS: &[&str] = &["start", "length", "params", "scan_number"];
/// A scheduled scan must have an end: a week.
const LENGTH_MAX_S: f64 = 604_800.0;
