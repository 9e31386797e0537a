//! Scans: their start, their watchdog, their end.

use super::Player;
use super::calls::{Answer, CallResult, no_backend, now_is};
use super::jobs::{Job, Kind, step_error};
use super::messages::{Output, StatusKey, StatusOrder, Ticket};
use super::programs::DIED;
use super::space::{SPACE, no_space};
use crate::api::{CallError, ErrorClass, Family};
use crate::plan::Child;
use crate::plan::runner::{Failure, Runner};
use crate::player::clock;
use crate::player::compile;
use crate::player::guard;
use crate::player::scan::{self, Scan};
use crate::player::space::{Check, Need};
use crate::player::state::{Link, State};
use crate::player::verdict::Ending;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::time::Duration;

/// How often the watchdog looks at a scan.
const WATCHDOG: Duration = Duration::from_secs(1);
/// How long after a scan the DAQ program may take to report `DAQSTATE=stopped`.
const DAQ_STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A clock that moves by more than this from one second to the next was set; slewing is slower.
pub(super) const CLOCK_STEP: Duration = Duration::from_millis(50);

/// The step that a start ends at when the arm phase takes too long.
pub(super) const LATE: &str = "arm time";

impl Player {
    /// `start`; `length_told`: the keys of a FITS writer that wants to know the length beforehand are written, too.
    /// Nobody waits for a start without a ticket.
    pub(super) fn begin_start(
        &mut self,
        ticket: Option<Ticket>,
        starttime: &Value,
        length_told: bool,
        now: Now,
    ) -> CallResult {
        let Some(active) = &self.mode else { return now_is(Value::Null) };
        if matches!(self.state, State::Starting(_) | State::Scanning(_)) {
            return now_is(Value::verdict(false, "Scan already started."));
        }
        let start = scan::start_second(starttime, now.utc, active.mode.needed_arm_delay)?;
        let overrides = self.require_clock(start, now)?;
        self.require_link(true)?;
        let length = Duration::try_from_secs_f64(active.engine.scan_length()).map_err(|_| {
            CallError::exception(format!(
                "scan_length {} s is no length of a scan",
                active.engine.scan_length()
            ))
        })?;
        let client = match ticket {
            Some(ticket) => self.client_of(ticket),
            None => self.schedule.at_work().and_then(|entry| entry.client.clone()),
        };
        let need = Need::of(&active.engine, &self.applied.status, length, self.config.scan.disk_free_min);
        let directory = self.applied.status.get("DATADIR").filter(|d| d.starts_with('/'));
        let directory = directory.unwrap_or(&self.config.data_root).clone();
        let space = Some(Check { need, directory: directory.clone(), free: None });
        let scan = Scan { overrides, client, space, ..Scan::new(start, length, now) };
        let resolve = |host: &str| self.address_of(host);
        let monitoring = self.state == State::Monitoring;
        let mut plan = compile::start(
            &self.plan_site(&resolve),
            &active.mode,
            active.engine.fpga(),
            start,
            scan.arm_at,
            monitoring,
        );
        if length_told || active.engine.fpga().conduct.tells_length {
            self.announce_length(&mut plan, start);
        }
        self.after_stop = None;
        let root = Some(self.config.data_root.clone());
        self.outputs.push_back(Output::MeasureSpace { directory, root });
        let kind = Kind::Start { cancelled: false, writer_again: false };
        self.run(kind, plan, ticket, State::Starting(scan), now);
        Ok(Answer::Later)
    }

    /// Refuses a start by a clock that is not kept. What is allowed all the same is an override.
    pub(super) fn require_clock(&self, start: Utc, now: Now) -> Result<Vec<String>, CallError> {
        self.clock.refuse_leap(start, now)?;
        let Some(problem) = self.clock.problem(now.mono) else { return Ok(Vec::new()) };
        let allowed = match (self.config.simulate, self.config.scan.require_clock) {
            (true, _) => "a simulation may do so",
            (false, false) => "allowed by player.require_clock = false",
            (false, true) => return Err(clock::refusal(&problem)),
        };
        Ok(vec![format!("{problem}; {allowed}")])
    }

    pub(super) fn stop(&mut self, by: Option<String>, now: Now) -> CallResult {
        if self.cancel_start() {
            return now_is(Value::verdict(true, "Pending start cancelled."));
        }
        match self.state {
            State::Scanning(_) => {
                self.end_scan_as(Ending::Stopped(by), now);
                now_is(Value::verdict(true, "Scan ended"))
            }
            State::Monitoring => {
                self.tell(&[Child::Daq], "stop", now);
                self.enter(State::Ready, now);
                now_is(Value::verdict(true, "Ending monitor mode."))
            }
            _ if self.mode.is_none() && self.job.is_none() => no_backend(),
            _ => now_is(Value::verdict(false, "No scan running!")),
        }
    }

    /// Withdraws a start that has not armed yet. `false`: there is none.
    pub(super) fn cancel_start(&mut self) -> bool {
        let Some(Job { kind: Kind::Start { cancelled, .. }, runner, .. }) = &mut self.job else {
            return false;
        };
        *cancelled = true;
        // Half an arm phase would leave the hardware in between: it is finished, then undone by STOP.
        if runner.phase_name() != "arm" {
            runner.cancel();
        }
        true
    }

    pub(super) fn cancel(&mut self, ticket: Ticket) {
        if self.job.as_ref().is_some_and(|j| j.ticket == Some(ticket)) {
            self.cancel_start();
        }
    }

    /// Sends a line to those of the programs that run.
    pub(super) fn tell(&mut self, children: &[Child], line: &str, now: Now) {
        for child in children {
            if self.slot(*child).is_running()
                && let Err(e) = self.slot(*child).command(line, now)
            {
                self.note_error(format!("'{line}' did not reach the {child}: {e}"), now);
            }
            while self.pass_child_order(*child, now) {}
        }
    }

    /// Something broke.
    pub(super) fn end_scan(&mut self, fault: &str, now: Now) {
        self.end_scan_as(Ending::Fault(fault.to_owned()), now);
    }

    pub(super) fn end_scan_as(&mut self, ending: Ending, now: Now) {
        let stopped = matches!(ending, Ending::Stopped(_));
        let left_alone = !matches!(ending, Ending::Cut(_));
        self.end_proof(ending, now);
        if left_alone {
            self.look_at_synth(true);
        }
        self.tell(&[Child::Daq, Child::FitsWriter], "stop", now);
        // What the disk thread says is read before it is wiped.
        self.read_status(StatusKey::DiskAtEnd, guard::KEYS);
        let mut keys = Vec::new();
        if self.mode.as_ref().is_some_and(|active| active.engine.fpga().conduct.wipes_counters) {
            keys.push(("DISKSTAT".to_owned(), "-".to_owned()));
        }
        if !stopped {
            keys.push(("SCANREM".into(), "scan terminated".into()));
        }
        if !keys.is_empty() {
            self.order_status(StatusKey::Quiet, StatusOrder::Put(keys));
        }
        self.next_watchdog = None;
        self.after_stop = Some((now.mono + WATCHDOG, now.mono + DAQ_STOPPED_WITHIN));
        self.enter(State::Ready, now);
    }

    pub(super) fn scan_end(&self) -> Option<Mono> {
        match &self.state {
            State::Scanning(scan) => scan.ends,
            _ => None,
        }
    }

    pub(super) fn watchdog(&mut self, now: Now) {
        if self.scan_end().is_some_and(|end| end <= now.mono) {
            let reason = match &self.link {
                Link::Down(why) if self.mode_drives_board() => {
                    Ending::LengthBut(format!("its time is over, but the ROACH is lost: {why}"))
                }
                // What another bank's board sends does not end with the link to ours.
                Link::Absent | Link::Down(_) | Link::Up => Ending::Length,
            };
            self.end_scan_as(reason, now);
            return;
        }
        if self.next_watchdog.is_none_or(|due| due > now.mono) {
            return;
        }
        self.next_watchdog = Some(now.mono + WATCHDOG);
        self.write_remaining(now);
        self.watch_scan(now);
    }

    pub(super) fn write_remaining(&mut self, now: Now) {
        if let State::Scanning(scan) = &mut self.state {
            let left = scan.seconds_left(now);
            if scan.remaining.as_ref() != Some(&left) {
                scan.remaining = Some(left.clone());
                self.order_status(StatusKey::Quiet, StatusOrder::Put(vec![("SCANREM".into(), left)]));
            }
        }
    }

    /// After a scan: does the DAQ program report that it has stopped?
    pub(super) fn watch_daq_stop(&mut self, now: Now) {
        let Some((next, until)) = self.after_stop else { return };
        if !self.daq.is_running() {
            self.after_stop = None;
        } else if until <= now.mono {
            self.after_stop = None;
            let text = format!(
                "the DAQ program has not reported DAQSTATE=stopped within {} s of the end of the scan",
                DAQ_STOPPED_WITHIN.as_secs()
            );
            self.note_error(text, now);
        } else if next <= now.mono {
            self.after_stop = Some((now.mono + WATCHDOG, until));
            self.read_status(StatusKey::AfterStop, guard::KEYS);
        }
    }

    pub(super) fn start_finished(
        &mut self,
        ticket: Option<Ticket>,
        runner: &Runner,
        cancelled: bool,
        outcome: Result<(), Failure>,
        now: Now,
    ) {
        let State::Starting(mut scan) = self.state.clone() else { return };
        if cancelled {
            self.give_up_start(ticket, CallError::exception("start(): cancelled by stop()"), now);
            return;
        }
        if let Err(failure) = outcome {
            self.give_up_start(ticket, start_error(&failure), now);
            return;
        }
        let mut arm = runner.timings().iter().filter(|t| t.phase == "arm");
        let first = arm.next().map_or(now, |t| t.began);
        let last = arm.next_back().map_or(first, |t| t.ended);
        scan.arm_done(first, last, now);
        let margin = scan.margin_ms().unwrap_or(0.0);
        if margin < 0.0 {
            let text = format!("start(): armed too late by {:.0} ms", -margin);
            self.give_up_start(ticket, CallError::new(ErrorClass::Exception, Family::Timeout, text), now);
            return;
        }
        let late_us = first.utc.nanos_since(scan.arm_at) / 1000;
        log::info!(
            "armed for {}: first write {late_us} us after its time, margin {margin:.0} ms",
            scan.start
        );
        let text = format!("Successfully started roach for starttime={}", scan.start);
        self.next_watchdog = Some(now.mono + WATCHDOG);
        self.last_error = None;
        self.begin_proof(&scan, now);
        self.look_at_hardware();
        self.enter(State::Scanning(scan), now);
        self.write_remaining(now);
        self.reply_scan_saved(ticket, Ok(Value::verdict(true, text)));
    }

    pub(super) fn give_up_start(&mut self, ticket: Option<Ticket>, error: CallError, now: Now) {
        self.tell(&[Child::Daq, Child::FitsWriter], "STOP", now);
        self.note_error(error.message.clone(), now);
        self.enter(State::Ready, now);
        self.reply(ticket, Err(error));
    }
}

pub(super) fn start_error(failure: &Failure) -> CallError {
    let Some(p) = failure.problems.first() else { return step_error("start()", failure) };
    let family = match p.step.as_str() {
        DIED => Family::Environment,
        SPACE => return no_space(&p.error),
        LATE => Family::Timeout,
        _ if ["await_arm_time", compile::PACKETS_PHASE].contains(&failure.phase) => Family::Timeout,
        _ => return step_error("start()", failure),
    };
    CallError::new(ErrorClass::Exception, family, format!("start(): {}", p.error))
}
