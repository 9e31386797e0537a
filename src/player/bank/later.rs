//! Starts for later: `startin`, and the schedule the player works off by itself.

use super::Player;
use super::calls::{Answer, CallResult, now_is};
use super::jobs::{Job, Kind};
use super::messages::{StatusKey, StatusOrder, Ticket};
use crate::api::{CallError, ErrorClass, Family};
use crate::plan::{Plan, Step};
use crate::player::saved::Change;
use crate::player::scan;
use crate::player::schedule::{Fate, PREPARE_AHEAD, Scheduled};
use crate::player::state::State;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::time::Duration;

/// How often a scan that is due is tried while the player is not free.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Farther in the future nobody means a start.
const IN_SECS_MAX: f64 = 31_536_000.0;
/// Parameters that are the integration time of their engines: what `REQSTI` tells the FITS writer.
const INTEGRATION: &[&str] = &["int_length", "integration_time", "exposure"];

impl Player {
    /// `startin`: `start` with a length, some seconds from now.
    pub(super) fn start_in(&mut self, ticket: Ticket, in_secs: f64, dur_secs: f64, now: Now) -> CallResult {
        let Some(active) = &mut self.mode else { return now_is(Value::Null) };
        if matches!(self.state, State::Starting(_) | State::Scanning(_)) {
            return now_is(Value::verdict(false, "Scan already started."));
        }
        if !(0.0..=IN_SECS_MAX).contains(&in_secs) {
            let text = format!("inSecs must be a number of seconds from 0 to {IN_SECS_MAX}, not {in_secs}");
            return Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text));
        }
        let before = active.engine.scan_length();
        let set = active.engine.set_param("scan_length", &Value::Float(dur_secs))?;
        if set != Value::Bool(true) {
            return now_is(set);
        }
        let start = (now.utc + Duration::from_secs_f64(in_secs)).ceil_second();
        let begun = self.begin_start(Some(ticket), &scan::civil_value(start), true, now);
        if begun.is_ok() {
            self.asked.insert("scan_length".into());
            self.changed(Change::Parameter("scan_length".into(), Value::Float(dur_secs)));
        } else if let Some(active) = &mut self.mode {
            // Refused: nothing has changed. The old value was accepted once.
            let _ = active.engine.set_param("scan_length", &Value::Float(before));
        }
        begun
    }

    /// What the FITS writers of beam former modes want to know of the start.
    pub(super) fn announce_length(&self, plan: &mut Plan, start: Utc) {
        let Some(active) = &self.mode else { return };
        let length = Value::Float(active.engine.scan_length()).to_string();
        let mut keys =
            vec![("STRTDMJD".to_owned(), format!("{:.10}", start.mjd())), ("SCANLEN".to_owned(), length)];
        let given = |name: &&str| active.engine.get_param(Some(name)).ok().filter(|v| *v != Value::Null);
        if let Some(time) = INTEGRATION.iter().find_map(given) {
            keys.push(("REQSTI".into(), time.to_string()));
        }
        let steps = plan.phases.iter_mut().filter(|p| p.name == "announce_start").flat_map(|p| &mut p.steps);
        for step in steps {
            if let Step::Status(pairs) = step {
                pairs.append(&mut keys);
            }
        }
    }

    // ------------------------------------------------------------------ the schedule

    pub(super) fn schedule(&mut self, ticket: Ticket, scans: &Value, now: Now) -> CallResult {
        let client = self.client_of(ticket);
        let Some(active) = &self.mode else {
            return Err(CallError::exception("Cannot schedule scans until a mode is selected"));
        };
        let mut next = self.schedule.clone();
        let ids = next.add(scans, client, now.utc, active.mode.needed_arm_delay)?;
        // A name that is wrong now is better known now than tonight.
        for name in names(scans) {
            active.engine.help_param(Some(name))?;
        }
        self.schedule = next;
        self.unsaved = true;
        let ids = ids.into_iter().map(Value::Int).collect::<Vec<_>>();
        self.reply_saved(Some(ticket), Ok(ids.into()));
        Ok(Answer::Later)
    }

    pub(super) fn unschedule(&mut self, ticket: Ticket, id: i64) -> CallResult {
        match self.schedule.cancel(id) {
            Ok(n) => {
                self.unsaved = true;
                let answer = Value::verdict(true, format!("{n} scheduled scans cancelled."));
                self.reply_saved(Some(ticket), Ok(answer));
                Ok(Answer::Later)
            }
            Err(why) => now_is(Value::verdict(false, why)),
        }
    }

    fn schedule_due(&self) -> Option<Utc> {
        let delay = self.mode.as_ref().map_or(Duration::ZERO, |m| m.mode.needed_arm_delay);
        let next = self.schedule.next().filter(|_| self.schedule.at_work().is_none())?;
        Some(next.start - delay - PREPARE_AHEAD)
    }

    /// When the schedule is to be looked at on the wall clock, or soon because the player is not free.
    pub(super) fn schedule_deadline(&self) -> (Option<Mono>, Option<Utc>) {
        if self.state == State::ShuttingDown {
            return (None, None);
        }
        match self.schedule_look {
            Some(at) => (Some(at), None),
            None => (None, self.schedule_due()),
        }
    }

    /// Begins the next scan of the schedule when it is due; those whose time has gone by have failed.
    pub(super) fn work_off_schedule(&mut self, now: Now) {
        self.schedule_look = None;
        while self.state != State::ShuttingDown && self.schedule_due().is_some_and(|due| due <= now.utc) {
            let Some(next) = self.schedule.next().cloned() else { return };
            let delay = self.mode.as_ref().map_or(Duration::ZERO, |m| m.mode.needed_arm_delay);
            let free = self.job.is_none() && self.waiting_for_hosts.is_none();
            let at_rest = matches!(self.state, State::Ready | State::Monitoring) || self.mode.is_none();
            if next.start < scan::earliest(now.utc, delay) {
                let doing = self.job_title().map_or_else(|| self.state.name().to_owned(), str::to_owned);
                let why = format!("its time of arming went by; the player was at {doing}");
                self.schedule_failed(next.id, why, now);
            } else if !(free && at_rest) {
                self.schedule_look = Some(now.mono + TRY_AGAIN);
                return;
            } else if let Err(error) = self.prepare_scheduled(&next, now) {
                self.schedule_failed(next.id, error.message, now);
            }
        }
    }

    fn prepare_scheduled(&mut self, next: &Scheduled, now: Now) -> Result<(), CallError> {
        let engine = self.engine("no mode is set")?;
        let mut pairs = next.params.clone();
        pairs.push(("scan_length".into(), Value::Float(next.length)));
        let set = engine.set_params(&pairs)?;
        if set != Value::Bool(true) {
            return Err(CallError::exception(format!("its parameters were refused: {set}")));
        }
        self.asked.extend(pairs.iter().map(|(name, _)| name.clone()));
        pairs.into_iter().for_each(|(name, value)| self.changed(Change::Parameter(name, value)));
        if let Some(n) = next.scan_number {
            self.scan_number = n;
            let text = n.to_string();
            let keys = vec![("SCANNUM".to_owned(), text.clone()), ("SCAN".to_owned(), text)];
            self.order_status(StatusKey::Quiet, StatusOrder::Put(keys));
        }
        self.set_fate(next.id, Fate::Preparing);
        self.begin_prepare(None, now).map(|_| ())
    }

    /// A job that belongs to the schedule has ended; the next one begins in the same moment.
    pub(super) fn scheduled_job_done(&mut self, went_well: bool, now: Now) {
        let Some(entry) = self.schedule.at_work().cloned() else { return };
        if self.job.is_some() || self.state == State::ShuttingDown {
            return;
        }
        if let State::Scanning(_) = self.state {
            self.set_fate(entry.id, Fate::Running(self.open_scan_id().unwrap_or_default()));
        } else if went_well && entry.fate == Fate::Preparing {
            self.set_fate(entry.id, Fate::Starting);
            match self.begin_start(None, &scan::civil_value(entry.start), true, now) {
                Ok(Answer::Later) => {}
                Ok(Answer::Now(refused)) => self.schedule_failed(entry.id, refused.to_string(), now),
                Err(error) => self.schedule_failed(entry.id, error.message, now),
            }
        } else {
            let why = self.last_error.as_ref().map_or("it did not start", |(_, text)| text.as_str());
            self.schedule_failed(entry.id, why.to_owned(), now);
        }
    }

    /// The scan that was to be prepared cannot be: the next one is not to wait for it.
    pub(super) fn scheduled_prepare_refused(&mut self, error: CallError, now: Now) {
        if let Some(id) = self.schedule.at_work().map(|entry| entry.id) {
            self.schedule_failed(id, error.message, now);
        }
    }

    fn set_fate(&mut self, id: i64, fate: Fate) {
        self.schedule.set(id, fate);
        self.unsaved = true;
    }

    fn schedule_failed(&mut self, id: i64, why: String, now: Now) {
        self.note_error(format!("scheduled scan {id}: {why}"), now);
        self.set_fate(id, Fate::Failed(why));
        self.outputs.push_back(super::Output::Changed);
    }

    /// Is this job one of the schedule's? Nobody else waits for it.
    pub(super) fn is_scheduled(job: &Job) -> bool {
        job.ticket.is_none() && matches!(job.kind, Kind::Prepare | Kind::Start { .. })
    }
}

/// Names of all parameters of a list of scans.
fn names(scans: &Value) -> impl Iterator<Item = &str> {
    let items = match scans {
        Value::List(items) => items.as_slice(),
        _ => &[],
    };
    let pairs = items.iter().filter_map(|item| match item.get("params") {
        Some(Value::Map(pairs)) => Some(pairs),
        _ => None,
    });
    pairs.flatten().map(|(name, _)| name.as_str())
}
