//! What a player must know again after its process was killed or replaced: enough to go on with a scan that the
//! DAQ program records meanwhile, and with the mode as it was set.
//!
//! Kept in a file of the runtime directory, which does not survive a reboot: neither do the programs.

use super::scan::Scan;
use super::schedule::Schedule;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A change of the engine, to be made again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// `set_param`
    Parameter(String, Value),
    /// `clear_switching_states`
    ClearStates,
    /// `add_switching_state`
    AddState(f64, bool, bool, bool),
    /// `set_gbt_ss`
    GbtStates(f64, Value),
}

/// Changes since the mode was set, the superseded ones left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes(Vec<Change>);

/// Switching states beyond any real cycle.
const CHANGES_MAX: usize = 4096;

impl Changes {
    /// One more that has been made.
    pub fn push(&mut self, change: Change) {
        let states = |c: &Change| !matches!(c, Change::Parameter(..));
        match &change {
            Change::Parameter(name, _) => {
                self.0.retain(|c| !matches!(c, Change::Parameter(n, _) if n == name));
            }
            Change::ClearStates | Change::GbtStates(..) => self.0.retain(|c| !states(c)),
            Change::AddState(..) => {}
        }
        if self.0.len() < CHANGES_MAX {
            self.0.push(change);
        }
    }

    /// Names of the parameters that were set.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|c| match c {
            Change::Parameter(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// In the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }
}

/// A scan, in numbers that mean the same to the next process of this boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedScan {
    start_ns: i64,
    length_ns: u64,
    /// First and last moment of the arm phase: monotonic and UTC.
    armed: Option<[(u64, i64); 2]>,
    ends_mono_ns: Option<u64>,
    accepted: (u64, i64),
    client: Option<String>,
    overrides: Vec<String>,
}

impl SavedScan {
    /// Of this scan.
    pub fn of(scan: &Scan) -> SavedScan {
        let pair = |now: Now| (now.mono.0, now.utc.0);
        SavedScan {
            start_ns: scan.start.0,
            length_ns: u64::try_from(scan.length.as_nanos()).unwrap_or(u64::MAX),
            armed: scan.armed.map(|(first, last)| [pair(first), pair(last)]),
            ends_mono_ns: scan.ends.map(|m| m.0),
            accepted: pair(scan.accepted),
            client: scan.client.clone(),
            overrides: scan.overrides.clone(),
        }
    }

    /// The scan again.
    pub fn scan(&self) -> Scan {
        let now = |(mono, utc)| Now { mono: Mono(mono), utc: Utc(utc) };
        let mut scan =
            Scan::new(Utc(self.start_ns), Duration::from_nanos(self.length_ns), now(self.accepted));
        scan.armed = self.armed.map(|[first, last]| (now(first), now(last)));
        scan.ends = self.ends_mono_ns.map(Mono);
        scan.client = self.client.clone();
        scan.overrides = self.overrides.clone();
        scan
    }
}

/// What is saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The bank.
    pub bank: String,
    /// Mode set, if any.
    pub mode: Option<String>,
    /// `bandwidth` (Valon frequency, MHz) by mode.
    pub frequencies: Vec<(String, f64)>,
    /// The DAQ program that ran last.
    pub last_program: Option<String>,
    /// Parameters and switching states.
    pub changes: Changes,
    /// Scan number.
    pub scan_number: i64,
    /// Pending or running.
    pub scan: Option<SavedScan>,
    /// Data flow, not recorded.
    pub monitoring: bool,
    /// Scans for later, and those that are over.
    #[serde(default)]
    pub schedule: Schedule,
}

impl Saved {
    /// As a file.
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// From a file.
    ///
    /// # Errors
    /// It is not what [`Saved::text`] writes: in words.
    pub fn parse(text: &[u8]) -> Result<Saved, String> {
        serde_json::from_slice(text).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_later_supersedes_what_was_set_before() {
        let mut changes = Changes::default();
        let exposure = |x: f64| Change::Parameter("exposure".into(), x.into());
        for change in [
            exposure(1.0),
            Change::AddState(0.1, false, false, true),
            Change::Parameter("source".into(), "M31".into()),
            Change::ClearStates,
            Change::AddState(0.2, true, false, true),
            exposure(2.0),
        ] {
            changes.push(change);
        }
        let left: Vec<Change> = changes.iter().cloned().collect();
        let source = Change::Parameter("source".into(), "M31".into());
        assert_eq!(
            left,
            [source, Change::ClearStates, Change::AddState(0.2, true, false, true), exposure(2.0)]
        );
    }

    #[test]
    fn a_scan_comes_back_as_it_was() {
        let at =
            |s: u64| Now { mono: Mono(s * 1_000_000_000), utc: Utc::from_seconds(1_800_000_000 + s as i64) };
        let mut scan = Scan::new(at(20).utc, Duration::from_millis(30_500), at(1));
        let pending = Saved { scan: Some(SavedScan::of(&scan)), ..Saved::default() };
        assert_eq!(Saved::parse(&pending.text()), Ok(pending.clone()));
        assert_eq!(pending.scan.as_ref().map(SavedScan::scan), Some(scan.clone()));
        scan.arm_done(at(18), at(19), at(19));
        let saved = Saved {
            bank: "BANKA".into(),
            mode: Some("MODE1".into()),
            changes: Changes(vec![Change::GbtStates(1.0, Value::List(vec![0.5.into()]))]),
            scan: Some(SavedScan::of(&scan)),
            ..Saved::default()
        };
        assert_eq!(Saved::parse(&saved.text()), Ok(saved.clone()));
        assert_eq!(saved.scan.as_ref().map(SavedScan::scan), Some(scan));
    }
}
