//! What we ask without being asked: STATUS, the controller's log, FRAME while a readout of somebody else goes on.
//! A poll is sent when the one before it was answered: they never pile up behind a stream.

use super::messages::{Alarm, Fault, Order};
use super::procedure::{Procedure, Step};
use super::run::{Lane, Run};
use super::{Controller, Report};
use crate::archon::safety::Purpose;
use crate::archon::status_word::StatusWord;
use crate::proto::archon::Command;
use crate::units::{Mono, Now};
use std::time::Duration;

/// Log lines read in one go.
const LOG_LINES: u32 = 100;
/// POLLON is sent by ourselves when COUNT stands still this long, and once only.
const WAKE: Duration = Duration::from_secs(8);
/// STATUS older than this is an alarm; within the 30 s allowed.
pub(super) const STALE: Duration = Duration::from_secs(12);

/// Our own polls.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When STATUS is asked next.
    next: Option<Mono>,
    /// The poll that is on its way.
    polling: Option<u64>,
    /// Log lines left to read in this go.
    log_left: u32,
    /// POLLON was sent for this standstill.
    woken: bool,
    /// Since when nothing was heard of STATUS.
    since: Option<Mono>,
}

impl Controller {
    /// Sends one command without an order.
    pub(super) fn watch(&mut self, command: Command, now: Now) -> u64 {
        let id = self.next_run;
        self.next_run += 1;
        let procedure = Procedure::new(Purpose::Watch, [Step::Send(command)]);
        let run = Run::new(id, Lane::Watch, None, Order::Status, procedure, now);
        self.advance(run, now);
        id
    }

    pub(super) fn watch_begins(&mut self, now: Now) {
        self.watching = Watch {
            next: Some(now.mono + self.config.status_interval),
            since: Some(now.mono),
            ..Watch::default()
        };
    }

    pub(super) fn watch_ends(&mut self) {
        self.watching = Watch::default();
    }

    /// When the next poll is due.
    pub(super) fn watch_wakes_at(&self) -> Option<Mono> {
        if self.watching.polling.is_some() { None } else { self.watching.next }
    }

    pub(super) fn poll_if_due(&mut self, now: Now) {
        if !self.facts.connected
            || self.watching.polling.is_some()
            || self.watching.next.is_none_or(|t| now.mono < t)
        {
            return;
        }
        self.watching.next = Some(now.mono + self.config.status_interval);
        if self.facts.polling_off && self.writing_memory() {
            return;
        }
        let id = self.next_run;
        self.watching.polling = Some(id);
        self.watch(Command::Status, now);
        self.look_at_staleness(now);
    }

    /// A poll is answered, or not.
    pub(super) fn watched(&mut self, run: &Run, fault: Option<&Fault>, now: Now) {
        self.timer_answered(run.id, fault.is_none(), now);
        if self.watching.polling != Some(run.id) {
            return;
        }
        self.watching.polling = None;
        if fault.is_some() || !self.facts.connected {
            self.watching.log_left = 0;
            return;
        }
        self.wake_if_still(now);
        if !self.view.attached && !self.runs.iter().any(|r| r.order == Order::Attach) {
            self.attach_wanted = true;
            self.start_next(now);
        }
        self.poll_more(now);
    }

    /// What one STATUS leads to: log lines, FRAME.
    fn poll_more(&mut self, now: Now) {
        let waiting = self.facts.status.last.as_ref().map_or(0, |(s, _)| s.log_lines());
        if self.log_drained {
            self.watching.log_left = 0;
        } else if self.watching.log_left > 0 {
            self.watching.log_left -= 1;
            return self.ask(Command::FetchLog, now);
        }
        if waiting > 0 && self.watching.next.is_some() && !self.log_asked(now) {
            self.log_drained = false;
            self.watching.log_left = LOG_LINES;
            return self.ask(Command::FetchLog, now);
        }
        if self.baseline.is_some() && !self.runs.iter().any(Run::waits_for_frame) && !self.frame_asked(now) {
            self.ask(Command::Frame, now);
        }
        self.look_for_late_frame(now);
    }

    fn ask(&mut self, command: Command, now: Now) {
        self.watching.polling = Some(self.next_run);
        self.watch(command, now);
    }

    /// Once for each STATUS.
    fn log_asked(&mut self, _now: Now) -> bool {
        let at = self.facts.status.last.as_ref().map(|(_, at)| *at);
        std::mem::replace(&mut self.log_asked_for, at) == at
    }

    fn frame_asked(&mut self, _now: Now) -> bool {
        let at = self.facts.status.last.as_ref().map(|(_, at)| *at);
        std::mem::replace(&mut self.frame_asked_for, at) == at
    }

    /// COUNT stands still and no upload of ours is the cause: somebody left POLLOFF. Said, then woken.
    fn wake_if_still(&mut self, now: Now) {
        let still = self.facts.status.count_since.is_some_and(|t| now.mono.since(t) >= WAKE);
        if !still {
            self.watching.woken = false;
            return;
        }
        let uploading = self.facts.polling_off && self.writing_memory();
        if self.watching.woken || uploading || self.facts.read_only.is_some() {
            return;
        }
        self.watching.woken = true;
        self.report(Report::Log("COUNT of STATUS stands still: sending POLLON".into()));
        self.watch(Command::PollOn, now);
    }

    /// STATUS that does not come, or does not move, says nothing about now.
    pub(super) fn look_at_staleness(&mut self, now: Now) {
        let heard = self.facts.status.last.as_ref().map(|(_, at)| *at).max(self.watching.since);
        let silent = heard.is_some_and(|t| now.mono.since(t) > STALE);
        let moved = self.facts.status.count_since.max(self.watching.since);
        let frozen = moved.is_some_and(|t| now.mono.since(t) > STALE);
        let streaming = self.facts.word.has(StatusWord::FETCHING);
        let excused = streaming || (self.facts.polling_off && self.writing_memory());
        let stale = (silent || frozen) && !excused;
        let on = self.view.alarms.iter().any(|a| a.name == "status_stale");
        if stale == on || (on && excused) {
            return;
        }
        let what = if silent { "no valid STATUS for" } else { "COUNT of STATUS stands still for" };
        let since = if silent { heard } else { moved };
        let age = since.map_or(0.0, |t| now.mono.since(t).as_secs_f64());
        let text = if stale { format!("{what} {age:.0} s") } else { "STATUS is fresh again".into() };
        self.raise(Alarm { name: "status_stale", subject: String::new(), on: stale, text, at: now.utc });
    }
}
