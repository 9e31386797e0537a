//! Procedures on their way: one timing, one fetch procedure at a time, questions and our own polls beside them.

use super::messages::{Answer, Fault, Level, Order, OrderKey, Output, Report};
use super::procedure::{Procedure, Step};
use super::{Controller, names};
use crate::proto::archon::Command;
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// Which kind of procedure may run beside which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Everything that touches timing, power or configuration: one at a time.
    Timing,
    /// Locks and fetches: one at a time, beside timing.
    Fetch,
    /// Reads only.
    Question,
    /// Our own polls.
    Watch,
}

/// What a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Nothing,
    Replies,
    Until(Mono),
}

/// A procedure on its way.
#[derive(Debug)]
pub(super) struct Run {
    pub id: u64,
    pub lane: Lane,
    pub key: Option<OrderKey>,
    pub order: Order,
    pub procedure: Procedure,
    pub answer: Option<Answer>,
    pub began: Mono,
    pub waiting: Waiting,
    pub outstanding: usize,
    pub deadline: Mono,
    pub poll_deadline: Option<Mono>,
    pub failure: Option<Fault>,
    pub cleaning: bool,
    pub recorded: bool,
    pub progressed: Option<Mono>,
    /// When the poll it is in began.
    pub poll_began: Mono,
    /// Why its poll has not what it waits for.
    pub not_yet: Option<String>,
}

impl Run {
    pub fn new(
        id: u64,
        lane: Lane,
        key: Option<OrderKey>,
        order: Order,
        procedure: Procedure,
        now: Now,
    ) -> Run {
        let deadline = now.mono + procedure.limit;
        Run {
            id,
            lane,
            key,
            order,
            procedure,
            answer: None,
            began: now.mono,
            waiting: Waiting::Nothing,
            outstanding: 0,
            deadline,
            poll_deadline: None,
            failure: None,
            cleaning: false,
            recorded: false,
            progressed: None,
            poll_began: now.mono,
            not_yet: None,
        }
    }

    /// It only lets time pass or asks again and again: another order may take its place.
    pub fn interruptible(&self) -> bool {
        let waits = matches!(self.procedure.steps.front(), Some(Step::Poll { .. } | Step::Pause { .. }));
        waits
            && !self.cleaning
            && matches!(self.order, Order::Readout { .. } | Order::Flush { .. } | Order::Abort { .. })
    }

    /// It polls for a frame.
    pub fn waits_for_frame(&self) -> bool {
        matches!(
            self.procedure.steps.front(),
            Some(Step::Poll { until: super::procedure::Until::NewFrame(_), .. })
        )
    }

    /// No reply will come.
    pub fn link_is_gone(&mut self) {
        self.outstanding = 0;
        self.waiting = Waiting::Nothing;
    }

    /// When it must be looked at.
    pub fn wakes_at(&self) -> Option<Mono> {
        let limit = (!self.cleaning && self.failure.is_none()).then_some(self.deadline);
        let wait = match self.waiting {
            Waiting::Until(t) => Some(t),
            Waiting::Nothing | Waiting::Replies => None,
        };
        [limit, wait, self.poll_deadline].into_iter().flatten().min()
    }
}

/// A command on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub run: u64,
    pub command: Command,
}

impl Controller {
    /// Lets a run go as far as it can; it is finished or put back.
    pub(super) fn advance(&mut self, mut run: Run, now: Now) {
        if self.step_through(&mut run, now) {
            self.finish(run, now);
        } else {
            self.runs.push(run);
        }
    }

    pub(super) fn take_run(&mut self, id: u64) -> Option<Run> {
        let at = self.runs.iter().position(|r| r.id == id)?;
        Some(self.runs.swap_remove(at))
    }

    /// Begins the tidying up of a run; what is in flight is waited for first.
    pub(super) fn fail(&mut self, run: &mut Run, fault: Fault) {
        if run.failure.is_none() {
            run.failure = Some(fault);
        }
        run.waiting = Waiting::Nothing;
        run.poll_deadline = None;
    }

    pub(super) fn begin_cleanup(&mut self, run: &mut Run) {
        run.cleaning = true;
        run.waiting = Waiting::Nothing;
        let commands =
            if self.facts.connected { std::mem::take(&mut run.procedure.cleanup) } else { Vec::new() };
        // Nothing of it left before anything changed.
        run.procedure.steps =
            if run.recorded { commands.into_iter().map(Step::Try).collect() } else { VecDeque::new() };
    }

    fn finish(&mut self, mut run: Run, now: Now) {
        let result = match run.failure.take() {
            Some(fault) => Err(fault),
            None => Ok(run.answer.take().unwrap_or(Answer::Done)),
        };
        if let Err(fault) = &result {
            self.went_wrong(&run, fault);
        }
        if run.lane == Lane::Timing {
            self.power_in_order = false;
            self.timing_ended = Some(now.mono);
        }
        if run.lane == Lane::Watch {
            self.watched(&run, result.as_ref().err(), now);
        }
        if let Some(key) = run.key {
            self.report(Report::Done { key, result });
        } else if let Err(fault) = &result
            && run.lane != Lane::Watch
        {
            self.report(Report::Log(fault.to_string()));
        }
        self.start_next(now);
    }

    pub(super) fn say(&mut self, run: &Run, level: Level, text: String) {
        match run.key {
            Some(key) => self.report(Report::Step { key, level, text }),
            None => self.report(Report::Log(text)),
        }
    }

    /// At most every half second.
    pub(super) fn progress(
        &mut self,
        run: &mut Run,
        phase: &str,
        fraction: f64,
        more: Option<(&str, f64)>,
        now: Now,
    ) {
        const EVERY: Duration = Duration::from_millis(500);
        let Some(key) = run.key else { return };
        if run.progressed.is_some_and(|t| now.mono.since(t) < EVERY) {
            return;
        }
        run.progressed = Some(now.mono);
        self.report(Report::Progress { key, body: names::progress(phase, fraction, more) });
    }

    pub(super) fn report(&mut self, report: Report) {
        self.out.push_back(Output::Report(report));
    }
}
