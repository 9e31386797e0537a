//! Procedures on the board and on the synthesizer: calls of `bank.roach` and `bank.valon`, and what the player
//! itself needs of the synthesizer.
//!
//! Those that only look run at any time. Those that may change hardware are writes: they have their turn when no
//! plan runs, no plan begins before they end, and while a scan runs they are refused.

use super::Player;
use super::calls::{Answer, CallResult};
use super::messages::{FpgaKey, Output, StepKey, Ticket, WorkId};
use crate::api::{CallError, Outcome};
use crate::config::dibas::SynthAt;
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::plan::runner::Done;
use crate::player::board::{BoardCall, News, Next, Procedure};
use crate::player::state::{Link, State};
use crate::player::synth::{self, SynthWork};
use crate::player::writes::Target;
use crate::proto::valon::Synth;
use crate::proto::valon::order::{Answer as SynthAnswer, Order, SynthError};
use crate::units::{Mono, Now};
use crate::value::Value;

/// Most procedures at work at one time; more calls are refused.
pub const MOST_CALLS: usize = 64;

/// What a procedure waits for.
#[derive(Clone, Debug, PartialEq)]
enum Waits {
    Reply,
    /// The answer to an order to the synthesizer, on whichever way.
    Synth(Order),
    Until(Mono),
    Link {
        until: Mono,
    },
}

/// Whose procedure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Owner {
    Client(Ticket),
    Step(StepKey),
    /// The synthesizer gets what the configuration says.
    SetUp,
}

/// A procedure at work.
#[derive(Debug)]
pub(super) struct Running {
    id: WorkId,
    owner: Owner,
    /// What it is, and who wants it, for the list of writes.
    title: String,
    client: Option<String>,
    changes: bool,
    /// It programs the FPGA: the mode's design is gone, however it ends.
    programs: bool,
    procedure: Procedure,
    waits: Waits,
}

impl Player {
    pub(super) fn board_call(&mut self, ticket: Ticket, call: BoardCall, now: Now) -> CallResult {
        let BoardCall { interface, method, changes, procedure } = call;
        if changes && matches!(self.state, State::Scanning(_) | State::Starting(_)) {
            return Err(CallError::exception(format!(
                "{interface}.{method} may change hardware and is refused while a scan runs; call stop() first"
            )));
        }
        if self.procedures.len() >= MOST_CALLS {
            return Err(CallError::exception(format!(
                "busy: {MOST_CALLS} calls are at work on the board already"
            )));
        }
        let title = format!("{interface}.{method}");
        self.begin_procedure(Owner::Client(ticket), title, changes, procedure, now);
        Ok(Answer::Later)
    }

    /// A plan's step: the frequency, and the lock looked at.
    pub(super) fn set_frequency(&mut self, key: StepKey, channel: u8, mhz: f64, now: Now) {
        let synth = Synth::of(i64::from(channel)).unwrap_or(Synth::A);
        let work = Procedure::Synth(Box::new(SynthWork::frequency(synth, mhz)));
        let title = self.job_title().unwrap_or_default().to_owned();
        self.begin_procedure(Owner::Step(key), title, false, work, now);
    }

    /// Gives the synthesizer what the configuration says, once the way to it is open and nothing else goes on.
    pub(super) fn set_up_synth(&mut self, now: Now) {
        let resting =
            matches!(self.state, State::NoMode | State::Ready | State::Monitoring) && !self.is_busy();
        let Some(settings) = self.bank.synth.as_ref().filter(|_| self.synth_due && resting) else { return };
        self.synth_due = false;
        let orders = synth::set_up(settings);
        let port = (settings.where_ == SynthAt::Katcp).then(|| settings.port.clone());
        let steps = orders.iter().map(|o| Value::Str(o.to_string())).collect();
        let entry = [("plan", Value::from("synthesizer set-up")), ("steps", Value::List(steps))];
        self.outputs.push_back(Output::Record(Value::Map(entry.map(|(k, v)| (k.to_owned(), v)).to_vec())));
        let work = Procedure::Synth(Box::new(SynthWork::set_up(orders, port)));
        self.begin_procedure(Owner::SetUp, "synthesizer set-up".into(), true, work, now);
    }

    fn begin_procedure(
        &mut self,
        owner: Owner,
        title: String,
        changes: bool,
        procedure: Procedure,
        now: Now,
    ) {
        self.last_work += 1;
        let id = WorkId(self.last_work);
        let client = match owner {
            Owner::Client(ticket) => self.client_of(ticket),
            Owner::Step(_) => self.job_client(),
            Owner::SetUp => None,
        };
        let waits = Waits::Reply;
        self.procedures.push(Running {
            id,
            owner,
            title,
            client,
            changes,
            programs: false,
            procedure,
            waits,
        });
        self.tell_procedure(self.procedures.len() - 1, News::Begin, now);
    }

    /// Does a procedure hold up writes?
    pub(super) fn hardware_is_changing(&self) -> bool {
        self.procedures.iter().any(|c| c.changes)
    }

    pub(super) fn board_answered(&mut self, id: WorkId, result: Result<FpgaReply, FpgaError>, now: Now) {
        if self.board_said_for_proof(id, &result, now) {
            return;
        }
        let Some(at) = self.procedures.iter().position(|c| c.id == id) else { return };
        let news = match &self.procedures[at].waits {
            Waits::Synth(order) => News::Synth(synth::katcp::answer(order, result)),
            _ => News::Reply(result),
        };
        self.tell_procedure(at, news, now);
    }

    pub(super) fn synth_answered(&mut self, id: WorkId, result: Result<SynthAnswer, SynthError>, now: Now) {
        if self.synth_said_for_proof(id, &result, now) {
            return;
        }
        let ended = result.as_ref().map(|_| ()).map_err(SynthError::to_string);
        self.writes.ended_as(FpgaKey::Work(id), ended);
        if let Some(at) = self.procedures.iter().position(|c| c.id == id) {
            self.tell_procedure(at, News::Synth(result), now);
        }
    }

    /// The serial line to the synthesizer came or went.
    pub(super) fn synth_line(&mut self, state: Result<(), String>, now: Now) {
        match state {
            Ok(()) => self.synth_due = true,
            Err(why) => self.note_error(format!("the synthesizer cannot be reached: {why}"), now),
        }
    }

    /// Procedures whose pause is over, and those that wait for the link.
    pub(super) fn wake_procedures(&mut self, now: Now) {
        let up = self.link == Link::Up;
        while let Some((at, news)) =
            self.procedures.iter().enumerate().find_map(|(at, call)| match call.waits {
                Waits::Until(due) if due <= now.mono => Some((at, News::Paused)),
                Waits::Link { until } if up || until <= now.mono => Some((at, News::Link(up))),
                _ => None,
            })
        {
            self.tell_procedure(at, news, now);
        }
    }

    pub(super) fn procedures_deadline(&self) -> Option<Mono> {
        let due = self.procedures.iter().filter_map(|call| match call.waits {
            Waits::Reply | Waits::Synth(_) => None,
            Waits::Until(due) | Waits::Link { until: due } => Some(due),
        });
        due.min()
    }

    /// Ends calls early: all of them, or the one its client withdraws.
    pub(super) fn end_calls(&mut self, which: Option<Ticket>, error: &CallError, now: Now) {
        let ends = |c: &Running| match c.owner {
            Owner::Client(ticket) => which.is_none_or(|t| t == ticket),
            Owner::Step(_) | Owner::SetUp => which.is_none(),
        };
        while let Some(at) = self.procedures.iter().position(ends) {
            self.end_procedure(at, Err(error.clone()), now);
        }
    }

    fn tell_procedure(&mut self, at: usize, news: News, now: Now) {
        let call = &mut self.procedures[at];
        let id = call.id;
        let (waits, order) = match call.procedure.next(news, now.mono) {
            Ok(Next::Ask(op)) => {
                call.programs |= matches!(op, FpgaOp::Program { .. });
                self.applied.touched(&op);
                let target = Target::of(&op).or_else(|| Target::raw(&op).filter(|_| call.changes));
                if let Some(target) = target {
                    self.writes.begin(FpgaKey::Work(id), target, &call.title, call.client.clone(), now.utc);
                }
                (Waits::Reply, Some(Output::Fpga { key: FpgaKey::Work(id), op }))
            }
            Ok(Next::Synth(order)) => {
                if let Some(target) = Target::of_synth(&order) {
                    self.writes.begin(FpgaKey::Work(id), target, &call.title, call.client.clone(), now.utc);
                }
                let local = self.bank.synth.as_ref().is_some_and(|s| s.where_ == SynthAt::Local);
                let out = match local {
                    true => Output::Synth { id, order: order.clone() },
                    false => Output::Fpga { key: FpgaKey::Work(id), op: synth::katcp::request(&order) },
                };
                (Waits::Synth(order), Some(out))
            }
            Ok(Next::Pause(until)) => (Waits::Until(until), None),
            Ok(Next::AwaitLink(until)) => (Waits::Link { until }, None),
            Ok(Next::Done(value)) => return self.end_procedure(at, Ok(value), now),
            Err(error) => return self.end_procedure(at, Err(error), now),
        };
        let for_link = matches!(waits, Waits::Link { .. });
        call.waits = waits;
        self.outputs.extend(order);
        if for_link {
            self.wake_procedures(now);
        }
    }

    fn end_procedure(&mut self, at: usize, outcome: Outcome, now: Now) {
        let call = self.procedures.remove(at);
        self.record_writes();
        if call.programs && self.mode.is_some() {
            self.stale = true;
            self.note_error("the FPGA was programmed by hand: call set_mode again before a scan".into(), now);
        }
        match (call.owner, outcome) {
            (Owner::Client(ticket), outcome) => self.reply(Some(ticket), outcome),
            // The synthesizer is part of the hardware whose failures are RuntimeErrors.
            (Owner::Step(key), Err(e)) => {
                self.step_done(key, Done::Fpga(Err(FpgaError::Invalid(e.message))), now)
            }
            (Owner::Step(key), Ok(locked)) => {
                self.unlocked = locked.as_str().map(str::to_owned);
                self.step_done(key, Done::Other(Ok(())), now)
            }
            (Owner::SetUp, Ok(Value::List(failures))) if failures.is_empty() => {
                log::info!("{}: the synthesizer is set up", self.bank.name);
            }
            (Owner::SetUp, Ok(failures)) => self.note_error(format!("synthesizer set-up: {failures}"), now),
            (Owner::SetUp, Err(e)) => self.note_error(format!("synthesizer set-up: {e}"), now),
        }
    }
}
