//! Running procedures: one timing, one fetch procedure at a time, questions beside them, all by one interpreter.

use super::messages::{Answer, Fault, Level, Order, OrderKey, Output, Report};
use super::procedure::{Procedure, READ_DEPTH, Step, changes, describe};
use super::{Controller, names};
use crate::archon::safety::{self, Grant};
use crate::proto::archon::Command;
use crate::session::archon_link::{LinkError, Token};
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
enum Waiting {
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
    waiting: Waiting,
    outstanding: usize,
    deadline: Mono,
    poll_deadline: Option<Mono>,
    failure: Option<Fault>,
    cleaning: bool,
    recorded: bool,
    progressed: Option<Mono>,
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

    /// `true`: it is over.
    fn step_through(&mut self, run: &mut Run, now: Now) -> bool {
        loop {
            if self.overdue(run, now) {
                continue;
            }
            match run.waiting {
                Waiting::Until(t) if now.mono < t => return false,
                Waiting::Until(_) => run.waiting = Waiting::Nothing,
                Waiting::Replies if run.outstanding > 0 && !self.may_send_more(run) => return false,
                Waiting::Replies | Waiting::Nothing => {}
            }
            if run.failure.is_some() && !run.cleaning {
                if run.outstanding > 0 {
                    run.waiting = Waiting::Replies;
                    return false;
                }
                self.begin_cleanup(run);
                continue;
            }
            let Some(step) = run.procedure.steps.pop_front() else { return run.outstanding == 0 };
            if !self.step(run, step, now) {
                return false;
            }
        }
    }

    fn may_send_more(&self, run: &Run) -> bool {
        run.failure.is_none()
            && match run.procedure.steps.front() {
                Some(Step::Batch { commands, depth, .. }) => !commands.is_empty() && run.outstanding < *depth,
                Some(Step::ReadConfig(_)) => run.outstanding < READ_DEPTH,
                _ => false,
            }
    }

    /// Its time, or that of its poll, is up: it fails.
    fn overdue(&mut self, run: &mut Run, now: Now) -> bool {
        if run.failure.is_some() || run.cleaning {
            return false;
        }
        let text = match (run.poll_deadline, run.procedure.steps.front()) {
            (Some(t), Some(Step::Poll { limit, what, .. })) if now.mono >= t => {
                let why = run.not_yet.take().map(|w| format!(": {w}")).unwrap_or_default();
                Some(format!("Timed out waiting for {what} ({} s){why}", limit.as_secs_f64()))
            }
            _ if now.mono >= run.deadline => Some(format!(
                "{} was not over within {} s",
                names::order(&run.order),
                run.procedure.limit.as_secs_f64()
            )),
            _ => None,
        };
        let Some(text) = text else { return false };
        run.poll_deadline = None;
        run.waiting = Waiting::Nothing;
        let fault = Fault::Timeout { controller: self.name().to_owned(), text };
        self.fail(run, fault);
        true
    }

    /// One step, already taken off. `false`: nothing more can be done now.
    fn step(&mut self, run: &mut Run, step: Step, now: Now) -> bool {
        match step {
            Step::Say(level, text) => {
                self.say(run, level, text);
                true
            }
            Step::Mark(mark) => {
                self.mark(run, mark, now);
                true
            }
            Step::Cleanup(commands) => {
                run.procedure.cleanup = commands;
                true
            }
            Step::Answer(answer) => {
                if let Some(key) = run.key.take() {
                    self.report(Report::Done { key, result: Ok(answer) });
                }
                true
            }
            Step::Check(check) => {
                if let Err(fault) = self.check(&check) {
                    self.fail(run, fault);
                }
                true
            }
            Step::Compile => {
                self.lay_out(run, now);
                true
            }
            Step::Pause { time, what } => self.pause(run, time, what, now),
            Step::Batch { .. } | Step::ReadConfig(_) => self.fill_window(run, step, now),
            Step::Poll { .. } => self.poll_once(run, step, now),
            Step::Send(_) | Step::Attempt(_) | Step::Try(_) | Step::Talk { .. } => {
                self.send_one(run, step, now)
            }
        }
    }

    fn lay_out(&mut self, run: &mut Run, now: Now) {
        match self.compile(&run.order) {
            Ok(rest) => {
                let Procedure { steps, cleanup, grant, limit } = rest;
                run.procedure.steps = steps;
                run.procedure.cleanup = cleanup;
                run.procedure.grant = grant;
                run.procedure.limit = limit;
                run.deadline = now.mono + limit;
            }
            Err(fault) => self.fail(run, fault),
        }
    }

    /// The first time the step stays in place as `Poll { limit: 0 }` does: it waits, then goes.
    fn pause(&mut self, run: &mut Run, time: Duration, what: &'static str, now: Now) -> bool {
        match run.poll_deadline {
            None => {
                run.poll_deadline = Some(now.mono + time);
                run.waiting = Waiting::Until(now.mono + time);
                run.procedure.steps.push_front(Step::Pause { time, what });
                false
            }
            Some(t) if now.mono < t => {
                run.waiting = Waiting::Until(t);
                run.procedure.steps.push_front(Step::Pause { time, what });
                false
            }
            Some(_) => {
                run.poll_deadline = None;
                true
            }
        }
    }

    fn send_one(&mut self, run: &mut Run, step: Step, now: Now) -> bool {
        let command = match &step {
            Step::Send(c) | Step::Attempt(c) | Step::Try(c) => c.clone(),
            Step::Talk { command, .. } => command.clone(),
            _ => return true,
        };
        let optional = matches!(step, Step::Try(_));
        run.procedure.steps.push_front(step);
        match self.issue(run, command, now) {
            Ok(()) => {
                run.waiting = Waiting::Replies;
                false
            }
            Err(fault) => {
                run.procedure.steps.pop_front();
                if optional {
                    self.say(run, Level::Warning, fault.to_string());
                } else {
                    self.fail(run, fault);
                }
                true
            }
        }
    }

    fn poll_once(&mut self, run: &mut Run, step: Step, now: Now) -> bool {
        let Step::Poll { ask, limit, .. } = &step else { return true };
        let ask = ask.clone();
        if run.poll_deadline.is_none() {
            run.poll_deadline = Some(now.mono + *limit);
            run.poll_began = now.mono;
            run.not_yet = None;
        }
        run.procedure.steps.push_front(step);
        match self.issue(run, ask, now) {
            Ok(()) => {
                run.waiting = Waiting::Replies;
                false
            }
            Err(fault) => {
                self.fail(run, fault);
                true
            }
        }
    }

    /// Sends what the window allows.
    fn fill_window(&mut self, run: &mut Run, mut step: Step, now: Now) -> bool {
        loop {
            let next = match &mut step {
                Step::Batch { commands, depth, .. } if run.outstanding < *depth => commands.pop_front(),
                Step::ReadConfig(read) if run.outstanding < READ_DEPTH => {
                    read.wanted().map(|line| Command::ReadConfig { line })
                }
                _ => None,
            };
            let Some(command) = next else { break };
            if let Err(fault) = self.issue_of(run, &step, command, now) {
                self.fail(run, fault);
                break;
            }
        }
        let over = match &mut step {
            Step::Batch { commands, .. } => commands.is_empty() && run.outstanding == 0,
            Step::ReadConfig(read) => run.outstanding == 0 && read.complete(),
            _ => true,
        };
        if over && run.failure.is_none() {
            if let Step::ReadConfig(read) = step {
                self.memory_read(read);
            }
            return true;
        }
        run.procedure.steps.push_front(step);
        if run.outstanding == 0 {
            return true;
        }
        run.waiting = Waiting::Replies;
        false
    }

    fn issue(&mut self, run: &mut Run, command: Command, now: Now) -> Result<(), Fault> {
        if !run.recorded && changes(&command) {
            run.recorded = true;
            let entry = describe(self.name(), names::order(&run.order), &run.procedure);
            self.gate(&command, &run.procedure.grant, now)?;
            self.out.push_back(Output::Record(entry));
        }
        self.send(run, command, now)
    }

    /// As [`Controller::issue`], for a batch whose first command is off its list already.
    fn issue_of(&mut self, run: &mut Run, step: &Step, command: Command, now: Now) -> Result<(), Fault> {
        if !run.recorded && changes(&command) {
            run.procedure.steps.push_front(step.clone());
            let result = self.issue(run, command, now);
            run.procedure.steps.pop_front();
            return result;
        }
        self.send(run, command, now)
    }

    fn gate(&self, command: &Command, grant: &Grant, now: Now) -> Result<(), Fault> {
        safety::gate(command, &self.facts, grant, now.mono).map_err(|r| Fault::refused(self.name(), &r))
    }

    /// The only place a command leaves.
    fn send(&mut self, run: &mut Run, command: Command, now: Now) -> Result<(), Fault> {
        self.gate(&command, &run.procedure.grant, now)?;
        self.leaving(&command, now);
        let token = Token(self.next_token);
        self.next_token += 1;
        run.outstanding += 1;
        self.flights.insert(token, Flight { run: run.id, command: command.clone() });
        self.out.push_back(Output::Command { token, command });
        Ok(())
    }

    /// A reply, or that there is none.
    pub(super) fn reply(&mut self, token: Token, result: Result<String, LinkError>, now: Now) {
        let Some(flight) = self.flights.remove(&token) else { return };
        let Some(mut run) = self.take_run(flight.run) else { return };
        run.outstanding = run.outstanding.saturating_sub(1);
        let learned = match &result {
            Ok(text) => self.learned(&flight.command, text, now),
            Err(error) => {
                self.not_answered(&flight.command, error);
                Ok(())
            }
        };
        self.answered(&mut run, &flight.command, result, learned, now);
        self.advance(run, now);
    }

    /// What a reply means for the step that waits for it.
    fn answered(
        &mut self,
        run: &mut Run,
        command: &Command,
        result: Result<String, LinkError>,
        learned: Result<(), String>,
        now: Now,
    ) {
        if run.failure.is_some() && !run.cleaning {
            return;
        }
        let Some(step) = run.procedure.steps.pop_front() else { return };
        let garbled = learned.err().map(|text| Fault::Failed { controller: self.name().to_owned(), text });
        match (step, result) {
            (Step::Talk { typed, .. }, result) => self.talked(run, &typed, result),
            (Step::Try(c), Err(e)) => {
                self.say(run, Level::Warning, format!("{} while tidying up: {e}", c.text()));
            }
            (Step::Attempt(_), Err(e @ LinkError::Timeout { .. })) => {
                self.say(run, Level::Warning, format!("{e}; finding out"));
            }
            (step @ (Step::Batch { .. } | Step::ReadConfig(_)), result) => {
                self.batch_answered(run, step, command, result, now);
            }
            (step @ Step::Poll { .. }, result) => self.poll_answered(run, step, result, garbled, now),
            (Step::Send(_) | Step::Attempt(_), Err(e)) => {
                let fault = self.link_fault(&run.order, &e);
                self.fail(run, fault);
            }
            (Step::Send(c), Ok(text)) => match garbled {
                Some(fault) => self.fail(run, fault),
                None => self.note_answer(run, &c, text, now),
            },
            _ => {}
        }
    }

    fn batch_answered(
        &mut self,
        run: &mut Run,
        mut step: Step,
        command: &Command,
        result: Result<String, LinkError>,
        now: Now,
    ) {
        let failed = match (&mut step, command, result) {
            (Step::ReadConfig(read), Command::ReadConfig { line }, Ok(text)) => {
                read.take(*line, &text);
                None
            }
            // An emulator refuses lines that are not set.
            (Step::ReadConfig(read), Command::ReadConfig { line }, Err(LinkError::Refused { .. })) => {
                read.take(*line, "");
                None
            }
            (_, _, Err(e)) => Some(e),
            _ => None,
        };
        if let Step::Batch { commands, total, phase, .. } = &step {
            let left = commands.len() + run.outstanding;
            let fraction = 1.0 - left as f64 / (*total).max(1) as f64;
            self.progress(run, phase, fraction, None, now);
        }
        run.procedure.steps.push_front(step);
        if let Some(error) = failed {
            let fault = match command {
                Command::WriteConfig { .. } => Fault::Failed {
                    controller: self.name().to_owned(),
                    text: format!("Failed sending line '{}' (FAILED): {error}", command.text()),
                },
                _ => self.link_fault(&run.order, &error),
            };
            self.fail(run, fault);
        }
    }

    fn poll_answered(
        &mut self,
        run: &mut Run,
        step: Step,
        result: Result<String, LinkError>,
        garbled: Option<Fault>,
        now: Now,
    ) {
        if let Err(e @ (LinkError::Down { .. } | LinkError::Refused { .. } | LinkError::Full { .. })) =
            &result
        {
            let fault = self.link_fault(&run.order, e);
            self.fail(run, fault);
            return;
        }
        let Step::Poll { every, until, .. } = &step else { return };
        let verdict = match (&result, garbled) {
            (Ok(_), None) => self.reached(until, run, now),
            // Silence or garbage: the poll's own deadline decides.
            _ => Ok(false),
        };
        match verdict {
            Ok(true) => run.poll_deadline = None,
            Ok(false) => {
                run.waiting = Waiting::Until(now.mono + *every);
                run.procedure.steps.push_front(step);
            }
            Err(fault) => {
                run.poll_deadline = None;
                self.fail(run, fault);
            }
        }
    }

    fn talked(&mut self, run: &mut Run, typed: &str, result: Result<String, LinkError>) {
        let id = (self.next_token & 0xff) as u8;
        let line =
            |response: String, ok: bool| Answer::Talk { command: format!(">{id:02X}{typed}"), response, ok };
        match result {
            Ok(text) => run.answer = Some(line(format!("<{id:02X}{text}"), true)),
            Err(LinkError::Refused { .. }) => run.answer = Some(line(format!("?{id:02X}"), false)),
            Err(error) => {
                let fault = self.link_fault(&run.order, &error);
                self.fail(run, fault);
            }
        }
    }

    /// Begins the tidying up of a run; what is in flight is waited for first.
    pub(super) fn fail(&mut self, run: &mut Run, fault: Fault) {
        if run.failure.is_none() {
            run.failure = Some(fault);
        }
        run.waiting = Waiting::Nothing;
        run.poll_deadline = None;
    }

    fn begin_cleanup(&mut self, run: &mut Run) {
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

    fn link_fault(&self, order: &Order, error: &LinkError) -> Fault {
        let controller = self.name().to_owned();
        if self.fetch_stopped && matches!(order, Order::Fetch { .. }) {
            return Fault::Aborted { controller, text: "the fetch was stopped".into() };
        }
        let text = format!("{}: {error}", names::order(order));
        match error {
            LinkError::Timeout { .. } => Fault::Timeout { controller, text },
            _ => Fault::Failed { controller, text },
        }
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
