//! The interpreter: takes step after step of a procedure, as far as it can go now.

use super::messages::{Fault, Level, Output, Report};
use super::procedure::{Procedure, READ_DEPTH, Step, changes, describe};
use super::run::{Flight, Run, Waiting};
use super::{Controller, names};
use crate::archon::safety::{self, Grant};
use crate::proto::archon::Command;
use crate::session::archon_link::Token;
use crate::units::Now;
use std::time::Duration;

impl Controller {
    /// `true`: it is over.
    pub(super) fn step_through(&mut self, run: &mut Run, now: Now) -> bool {
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
}
