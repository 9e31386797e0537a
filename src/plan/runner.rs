//! The one interpreter for plans.
//!
//! Pure: completions and time in, [`Order`]s out. The owner carries out each order and answers with
//! [`Runner::done`] and the same [`StepId`]; it calls [`Runner::tick`] when [`Runner::deadline`] has
//! passed, and drains [`Runner::poll`] after every call. [`Runner::outcome`] is set once.
//!
//! ```text
//!            start ──► phase 0 ──► phase 1 ──► … ──► Ok
//!                        │ a step failed (Abort)      ▲
//!                        ├──────────────► Err(Failure)│ warnings collected
//!   cancel ──────────────┴──────────────► Err(cancelled)
//! ```
//!
//! After a failure or cancel nothing more is ordered; completions still on their way are ignored.

use super::{OnFailure, Order as PhaseOrder, Plan, Step};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::reactor::When;
use crate::units::{Mono, Now, Utc};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How often a status key is looked at while waiting for it.
const STATUS_POLL: Duration = Duration::from_millis(50);
/// A moment of the wall clock noticed later than this has been missed.
const LATE_MAX: Duration = Duration::from_millis(400);

/// Names a step of the running plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepId {
    phase: usize,
    step: usize,
}

/// What the owner has to do for a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Submit to the FPGA backend.
    Fpga(FpgaOp),
    /// Anything that is not an FPGA operation and not a wait: status, children, synthesizer.
    Other(Step),
    /// Read a status key; answer with [`Done::Status`].
    ReadStatus(String),
}

/// The completion of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// Of [`Order::Fpga`].
    Fpga(Result<FpgaReply, FpgaError>),
    /// Of [`Order::Other`]; the error is text for the operator.
    Other(Result<(), String>),
    /// Of [`Order::ReadStatus`]: the value, if the key exists.
    Status(Option<String>),
}

/// Why a plan ended early.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The phase.
    pub phase: &'static str,
    /// What failed, with every failing step of the phase.
    pub problems: Vec<Problem>,
    /// Ended by [`Runner::cancel`].
    pub cancelled: bool,
}

/// One failed step.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The step in words.
    pub step: String,
    /// The error in words.
    pub error: String,
    /// It came from the FPGA link.
    pub fpga: bool,
}

/// When a step began and ended, for the record and for arm margins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Name of the phase.
    pub phase: &'static str,
    /// Order given.
    pub began: Now,
    /// Completion seen.
    pub ended: Now,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Pending,
    /// First order of the step is out.
    Ordered,
    /// `SetRegister`: read came back different, the write is out.
    Writing,
    /// A wait, due then.
    Sleeping(When),
    /// `WaitStatus`, `WaitChange`: look again at `next`, give up at `until`.
    Polling {
        next: Mono,
        until: Mono,
        reading: bool,
    },
    Finished,
}

/// Runs one plan.
#[derive(Debug)]
pub struct Runner {
    plan: Plan,
    phase: usize,
    states: Vec<State>,
    /// What steps that wait for a change saw first, by step of the phase.
    seen: BTreeMap<usize, Option<String>>,
    began: Vec<Option<Now>>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    timings: Vec<Timing>,
    orders: VecDeque<(StepId, Order)>,
    outcome: Option<Result<(), Failure>>,
}

impl Runner {
    /// Begins.
    pub fn start(plan: Plan, now: Now) -> Runner {
        let mut runner = Runner {
            plan,
            phase: 0,
            states: Vec::new(),
            seen: BTreeMap::new(),
            began: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            timings: Vec::new(),
            orders: VecDeque::new(),
            outcome: None,
        };
        runner.enter_phase();
        runner.advance(now);
        runner
    }

    /// The next order, if any.
    pub fn poll(&mut self) -> Option<(StepId, Order)> {
        self.orders.pop_front()
    }

    /// The end of the plan, once it has come.
    pub fn outcome(&self) -> Option<&Result<(), Failure>> {
        self.outcome.as_ref()
    }

    /// Failures of phases that only warn, in words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The plan being run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The step behind an order of the phase being run.
    pub fn step_of(&self, id: StepId) -> Option<&Step> {
        self.plan.phases.get(id.phase)?.steps.get(id.step)
    }

    /// Name of the phase being run (of the last one when finished).
    pub fn phase_name(&self) -> &'static str {
        let last = self.plan.phases.len().saturating_sub(1);
        self.plan.phases.get(self.phase.min(last)).map_or("nothing", |p| p.name)
    }

    /// Steps finished and steps in all.
    pub fn progress(&self) -> (usize, usize) {
        let before: usize = self.plan.phases[..self.phase].iter().map(|p| p.steps.len()).sum();
        let here = self.states.iter().filter(|s| **s == State::Finished).count();
        let all = self.plan.phases.iter().map(|p| p.steps.len()).sum();
        ((before + here).min(all), all)
    }

    /// When finished steps began and ended.
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// When to call [`Runner::tick`] at the latest.
    pub fn deadline(&self) -> Option<When> {
        if self.outcome.is_some() {
            return None;
        }
        // Waits stand alone in strict phases, so there is at most one clock to look at in practice;
        // in `Any` phases the earliest monotonic one wins and wall-clock waits are re-checked then.
        let due = |s: &State| match s {
            State::Sleeping(w) => Some(*w),
            State::Polling { next, until, reading } => {
                Some(When::Mono(if *reading { *until } else { (*next).min(*until) }))
            }
            _ => None,
        };
        self.states.iter().filter_map(due).min_by_key(|w| match w {
            When::Mono(m) => (0, m.0),
            When::Utc(u) => (1, u.0.max(0) as u64),
        })
    }

    /// Gives up: nothing more is ordered.
    pub fn cancel(&mut self) {
        if self.outcome.is_none() {
            let problems = std::mem::take(&mut self.problems);
            self.finish(Err(Failure { phase: self.phase_name(), problems, cancelled: true }));
        }
    }

    /// Ends the plan for a reason from outside its steps: `what` went wrong, and how. Nothing more is ordered.
    pub fn abort(&mut self, what: &str, error: String) {
        if self.outcome.is_none() {
            let mut problems = std::mem::take(&mut self.problems);
            problems.push(Problem { step: what.to_owned(), error, fpga: false });
            self.finish(Err(Failure { phase: self.phase_name(), problems, cancelled: false }));
        }
    }

    /// The answer to an order.
    pub fn done(&mut self, id: StepId, done: Done, now: Now) {
        if self.outcome.is_some() || id.phase != self.phase {
            return;
        }
        match (self.states[id.step], done) {
            (State::Polling { until, .. }, Done::Status(value)) => {
                self.status_seen(id.step, value, until, now)
            }
            (State::Ordered, Done::Fpga(Ok(FpgaReply::Bytes(bytes)))) => {
                self.register_read(id.step, &bytes, now)
            }
            (_, Done::Fpga(Err(e))) => self.fail(id.step, e.to_string(), true, now),
            (_, Done::Other(Err(e))) => self.fail(id.step, e, false, now),
            (_, Done::Fpga(Ok(_)) | Done::Other(Ok(())) | Done::Status(_)) => self.complete(id.step, now),
        }
        self.advance(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        if self.outcome.is_some() {
            return;
        }
        for step in 0..self.states.len() {
            match self.states[step] {
                State::Sleeping(When::Mono(due)) if due <= now.mono => self.complete(step, now),
                State::Sleeping(When::Utc(due)) if due <= now.utc => self.moment_come(step, due, now),
                State::Polling { until, .. } if until <= now.mono => self.gave_up(step, now),
                State::Polling { next, until, reading: false } if next <= now.mono => {
                    self.states[step] = State::Polling { next: now.mono + STATUS_POLL, until, reading: true };
                    self.order_status_read(step);
                }
                _ => {}
            }
        }
        self.advance(now);
    }

    fn id(&self, step: usize) -> StepId {
        StepId { phase: self.phase, step }
    }

    fn step(&self, step: usize) -> &Step {
        &self.plan.phases[self.phase].steps[step]
    }

    fn enter_phase(&mut self) {
        let count = self.plan.phases.get(self.phase).map_or(0, |p| p.steps.len());
        self.states = vec![State::Pending; count];
        self.seen.clear();
        self.began = vec![None; count];
    }

    /// Orders whatever may be ordered now; moves to the next phase when this one is over.
    fn advance(&mut self, now: Now) {
        while self.outcome.is_none() {
            let Some(phase) = self.plan.phases.get(self.phase) else {
                self.finish(Ok(()));
                return;
            };
            let strict = phase.order == PhaseOrder::Strict;
            let abort = phase.on_failure == OnFailure::Abort;
            if abort && !self.problems.is_empty() && (strict || self.all_finished()) {
                let problems = std::mem::take(&mut self.problems);
                self.finish(Err(Failure { phase: self.phase_name(), problems, cancelled: false }));
                return;
            }
            if self.all_finished() {
                self.leave_phase();
                continue;
            }
            for step in 0..self.states.len() {
                if self.states[step] == State::Pending {
                    self.begin(step, now);
                }
                if strict && self.states[step] != State::Finished {
                    break;
                }
            }
            if !self.all_finished() {
                return;
            }
        }
    }

    fn all_finished(&self) -> bool {
        self.states.iter().all(|s| *s == State::Finished)
    }

    fn leave_phase(&mut self) {
        let name = self.phase_name();
        let problems = std::mem::take(&mut self.problems);
        self.warnings.extend(problems.into_iter().map(|p| format!("{name}: {}: {}", p.step, p.error)));
        self.phase += 1;
        self.enter_phase();
    }

    fn finish(&mut self, outcome: Result<(), Failure>) {
        self.orders.clear();
        self.outcome = Some(outcome);
    }

    fn begin(&mut self, step: usize, now: Now) {
        self.began[step] = Some(now);
        let (state, order) = match self.step(step) {
            Step::Wait(d) if d.is_zero() => (State::Finished, None),
            Step::Wait(d) => (State::Sleeping(When::Mono(now.mono + *d)), None),
            Step::WaitUntil(t) if *t < now.utc => {
                self.fail(step, "deadline missed, arm time is in the past.".into(), false, now);
                return;
            }
            Step::WaitUntil(t) => (State::Sleeping(When::Utc(*t)), None),
            Step::SetRegister { register, .. } => {
                let read = FpgaOp::Read { register: register.clone(), offset: 0, len: 4 };
                (State::Ordered, Some(Order::Fpga(read)))
            }
            Step::Fpga(op) => (State::Ordered, Some(Order::Fpga(op.clone()))),
            Step::WaitStatus { key, within, .. } | Step::WaitChange { key, within } => (
                State::Polling { next: now.mono + STATUS_POLL, until: now.mono + *within, reading: true },
                Some(Order::ReadStatus(key.clone())),
            ),
            other => (State::Ordered, Some(Order::Other(other.clone()))),
        };
        self.states[step] = state;
        if state == State::Finished {
            self.note_timing(step, now);
        }
        if let Some(order) = order {
            let id = self.id(step);
            self.orders.push_back((id, order));
        }
    }

    fn register_read(&mut self, step: usize, bytes: &[u8], now: Now) {
        let Step::SetRegister { register, value } = self.step(step) else {
            self.complete(step, now);
            return;
        };
        let wanted = value.to_be_bytes();
        if bytes == wanted {
            self.complete(step, now);
            return;
        }
        let write =
            FpgaOp::Write { register: register.clone(), offset: 0, data: wanted.to_vec(), verify: true };
        self.states[step] = State::Writing;
        let id = self.id(step);
        self.orders.push_back((id, Order::Fpga(write)));
    }

    fn status_seen(&mut self, step: usize, value: Option<String>, until: Mono, now: Now) {
        let come = match self.step(step) {
            Step::WaitStatus { value: wanted, .. } => value.as_ref() == Some(wanted),
            Step::WaitChange { .. } => {
                let first = self.seen.entry(step).or_insert_with(|| value.clone());
                value.is_some() && *first != value
            }
            _ => return,
        };
        if come {
            self.complete(step, now);
        } else {
            self.states[step] = State::Polling { next: now.mono + STATUS_POLL, until, reading: false };
        }
    }

    fn order_status_read(&mut self, step: usize) {
        let (Step::WaitStatus { key, .. } | Step::WaitChange { key, .. }) = self.step(step) else { return };
        let order = Order::ReadStatus(key.clone());
        let id = self.id(step);
        self.orders.push_back((id, order));
    }

    fn moment_come(&mut self, step: usize, due: Utc, now: Now) {
        let late = now.utc.nanos_since(due);
        if late > LATE_MAX.as_nanos() as i64 {
            let text = format!("deadline missed by {} s: was the clock set?", late as f64 / 1e9);
            self.fail(step, text, false, now);
        } else {
            self.complete(step, now);
        }
    }

    fn gave_up(&mut self, step: usize, now: Now) {
        let text = match self.step(step) {
            Step::WaitStatus { key, value, within } => {
                format!("timed out waiting for '{key}={value}' after {} s", within.as_secs_f64())
            }
            Step::WaitChange { key, within } => {
                format!("{key} has not changed for {} s: nobody writes it", within.as_secs_f64())
            }
            _ => return,
        };
        self.fail(step, text, false, now);
    }

    fn complete(&mut self, step: usize, now: Now) {
        self.states[step] = State::Finished;
        self.note_timing(step, now);
    }

    fn fail(&mut self, step: usize, error: String, fpga: bool, now: Now) {
        let text = self.step(step).to_string();
        self.problems.push(Problem { step: text, error, fpga });
        self.complete(step, now);
    }

    fn note_timing(&mut self, step: usize, now: Now) {
        if let Some(began) = self.began[step] {
            self.timings.push(Timing { phase: self.phase_name(), began, ended: now });
        }
    }
}

#[cfg(test)]
mod tests;
