//! After a restart: the mode, the programs and the scan of the process before us.

use super::dry::parameters_of;
use super::jobs::Kind;
use super::messages::{Output, Ticket};
use super::{ActiveMode, Player};
use crate::api::{CallError, Outcome};
use crate::plan::Child;
use crate::player::compile;
use crate::player::engine::{self, Engine};
use crate::player::saved::{Change, Saved, SavedScan};
use crate::player::scan::{self, Scan};
use crate::player::state::State;
use crate::units::Now;
use std::time::Duration;

/// A start that was pending is taken up again if this much time is left until its arm phase.
const TAKE_UP_AHEAD: Duration = Duration::from_millis(300);

/// A program that runs already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adopted {
    /// Which.
    pub child: Child,
    /// Its process id.
    pub pid: u32,
    /// Since when.
    pub since: Now,
}

impl Player {
    /// What is to be known again if this process ends now.
    pub fn saved(&self) -> Saved {
        let now_on = || (self.state.scan().map(SavedScan::of), self.state == State::Monitoring);
        let (scan, monitoring) = self.handed_over.clone().unwrap_or_else(now_on);
        let mut frequencies: Vec<(String, f64)> =
            self.frequencies.iter().map(|(m, f)| (m.clone(), *f)).collect();
        frequencies.sort_by(|a, b| a.0.cmp(&b.0));
        Saved {
            bank: self.bank.name.clone(),
            mode: self.mode.as_ref().map(|m| m.mode.name.clone()),
            frequencies,
            last_program: self.last_program.clone(),
            changes: self.changes.clone(),
            scan_number: self.scan_number,
            scan,
            monitoring,
            schedule: self.schedule.clone(),
        }
    }

    /// Orders the state to be saved, if it is another one than last time.
    pub(super) fn save(&mut self) {
        if !std::mem::take(&mut self.unsaved) {
            return;
        }
        let saved = self.saved();
        if self.last_saved.as_ref() != Some(&saved) {
            self.last_saved = Some(saved.clone());
            self.promises.ordered();
            self.outputs.push_back(Output::Save(Box::new(saved)));
        }
    }

    /// A state is in its file: what was to be said after it is said.
    pub(super) fn saved_now(&mut self) {
        for promise in self.promises.arrived() {
            self.reply(Some(promise.ticket), promise.outcome);
        }
    }

    /// Answers those for whom the state takes too long, and says so.
    pub(super) fn saves_overdue(&mut self, now: Now) {
        let overdue = self.promises.overdue(now);
        if !overdue.is_empty() {
            let text = "the state is not in its file yet, a restart would not know of the last changes: \
                        does the disk of the runtime directory answer?";
            self.note_error(text.into(), now);
        }
        for promise in overdue {
            self.reply(Some(promise.ticket), promise.outcome);
        }
    }

    /// Replies when the state is saved: whoever hears it may count on it, whatever happens to this process.
    pub(super) fn reply_saved(&mut self, ticket: Option<Ticket>, outcome: Outcome) {
        self.promise(ticket, outcome, false);
    }

    /// The same for the word that a scan has begun.
    pub(super) fn reply_scan_saved(&mut self, ticket: Option<Ticket>, outcome: Outcome) {
        self.promise(ticket, outcome, true);
    }

    fn promise(&mut self, ticket: Option<Ticket>, outcome: Outcome, of_scan: bool) {
        self.save();
        // At its end the node saves after the last word.
        let to_wait = !self.promises.all_arrived() && self.state != State::ShuttingDown;
        match ticket {
            Some(ticket) if to_wait => self.promises.wait(ticket, outcome, of_scan),
            ticket => self.reply(ticket, outcome),
        }
    }

    /// Goes on where another process has left off. Nothing is written to hardware for it.
    pub fn restore(&mut self, saved: &Saved, adopted: &[Adopted], now: Now) {
        if saved.bank != self.bank.name {
            return;
        }
        self.scan_number = saved.scan_number;
        self.frequencies = saved.frequencies.iter().cloned().collect();
        self.last_program = saved.last_program.clone();
        self.schedule = saved.schedule.clone();
        for a in adopted {
            log::info!("{}: the {} (pid {}) still runs and is taken over", self.bank.name, a.child, a.pid);
            self.slot(a.child).adopt(a.pid, a.since);
        }
        let mode = saved.mode.as_ref().map(|name| self.restored_mode(name, saved));
        match mode {
            Some(Ok(active)) => {
                self.mode = Some(active);
                self.changes = saved.changes.clone();
                self.asked = saved.changes.parameters().map(str::to_owned).collect();
                self.probe_due = true;
                self.enter(State::Ready, now);
                self.restore_activity(saved, now);
            }
            Some(Err(why)) => {
                self.note_error(format!("after the restart: {why}"), now);
                self.stop_what_runs(&why, adopted, now);
            }
            None => self.stop_what_runs("no mode was set", adopted, now),
        }
        self.resume_schedule(now);
        self.settle(now);
    }

    /// Scans for later whose time has passed were missed; one that runs or is being started is gone on with.
    fn resume_schedule(&mut self, now: Now) {
        let id =
            self.open_scan_id().or_else(|| self.closing.as_ref().map(|c| c.scan_id())).unwrap_or_default();
        let running = matches!(self.state, State::Scanning(_)) || self.closing.is_some();
        let start =
            self.state.scan().map(|scan| scan.start).or_else(|| self.closing.as_ref().map(|c| c.start()));
        let scan = start.map(|start| (id.as_str(), start, running));
        let delay = self.mode.as_ref().map_or(Duration::ZERO, |m| m.mode.needed_arm_delay);
        let missed = self.schedule.resume(scan, scan::earliest(now.utc, delay));
        if !missed.is_empty() {
            let missed: Vec<String> = missed.iter().map(i64::to_string).collect();
            let text = format!("scheduled scans missed while no player ran: {}", missed.join(", "));
            self.note_error(text, now);
        }
        self.unsaved = true;
    }

    fn restored_mode(&self, name: &str, saved: &Saved) -> Result<ActiveMode, String> {
        let mode = self.dibas.mode(name).cloned();
        let mode = mode.ok_or_else(|| format!("mode {name} is no longer in the configuration"))?;
        let resolve = |host: &str| self.address_of(host);
        let site = engine::Site {
            dibas: &self.dibas,
            resolve: &resolve,
            dibas_dir: &self.config.dibas_dir,
            data_root: &self.config.data_root,
            reference_rounding: self.config.reference_rounding,
        };
        let frequency = self.frequencies.get(name).copied();
        let mut engine = Engine::new(&self.bank, &mode, frequency, &site).map_err(|e| e.message)?;
        let defaults = parameters_of(&engine);
        for change in saved.changes.iter() {
            let outcome = match change {
                Change::Parameter(key, value) => engine.set_param(key, value),
                Change::ClearStates => engine.clear_switching_states(),
                Change::AddState(duration, blank, cal, sig_ref) => {
                    engine.add_switching_state(*duration, *blank, *cal, *sig_ref)
                }
                Change::GbtStates(period, list) => engine.set_gbt_ss(*period, list),
            };
            if let Err(error) = outcome {
                log::warn!("{name}: {change:?} was not taken again: {}", error.message);
            }
        }
        Ok(ActiveMode { mode, engine, dibas_hash: self.dibas.hash.clone(), defaults })
    }

    fn restore_activity(&mut self, saved: &Saved, now: Now) {
        let Some(scan) = saved.scan.as_ref().map(SavedScan::scan) else {
            if saved.monitoring && self.daq.is_running() {
                self.enter(State::Monitoring, now);
            }
            return;
        };
        let number = self.scan_number;
        if !self.daq.is_running() {
            let text = format!("scan {number} was lost: the DAQ program ended while the player was away");
            self.lose_scan(scan, &text, now);
        } else if scan.ends.is_some() {
            log::info!("{}: scan {number} goes on, {} s left", self.bank.name, scan.seconds_left(now));
            self.next_watchdog = Some(now.mono);
            self.resume_proof(&scan, now);
            self.enter(State::Scanning(scan), now);
        } else if now.utc + TAKE_UP_AHEAD <= scan.arm_at {
            log::info!("{}: the start at {} is taken up again", self.bank.name, scan.start);
            self.take_up_start(scan, now);
        } else {
            let text = format!("scan {number} was lost: the player was restarted while it was being armed");
            self.lose_scan(scan, &text, now);
        }
    }

    /// The programs have their START, which they ignore the second time; what is left is to wait and to arm.
    fn take_up_start(&mut self, scan: Scan, now: Now) {
        let Some(active) = &self.mode else { return };
        let resolve = |host: &str| self.address_of(host);
        let plan = compile::start(
            &self.plan_site(&resolve),
            &active.mode,
            active.engine.fpga(),
            scan.start,
            scan.arm_at,
            false,
        );
        let kind = Kind::Start { cancelled: false, writer_again: false };
        self.run(kind, plan, None, State::Starting(scan), now);
    }

    fn lose_scan(&mut self, scan: Scan, text: &str, now: Now) {
        self.resume_proof(&scan, now);
        self.enter(State::Scanning(scan), now);
        self.end_scan(text, now);
        self.note_error(text.to_owned(), now);
    }

    /// Programs without a mode are of no use, and would be in the way of the next one.
    fn stop_what_runs(&mut self, why: &str, adopted: &[Adopted], now: Now) {
        if !adopted.is_empty() {
            let error = CallError::exception(why.to_owned());
            let state = State::SettingMode("none".into());
            self.run(Kind::Cleanup(error), compile::stop_programs(), None, state, now);
        }
    }
}
