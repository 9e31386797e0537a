//! Replies: what they mean for the step that waits for them.

use super::messages::{Answer, Fault, Level, Order};
use super::procedure::Step;
use super::run::{Run, Waiting};
use super::{Controller, names};
use crate::proto::archon::Command;
use crate::session::archon_link::{LinkError, Token};
use crate::units::Now;

impl Controller {
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
}
