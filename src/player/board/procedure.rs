//! [`Procedure`]: what a method does, one order to the board at a time.

use super::snapshot::Snapshot;
use super::values::Give;
use crate::api::{CallError, ErrorClass, Family};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::player::synth::SynthWork;
use crate::proto::valon::order::{Answer, Order, SynthError};
use crate::units::Mono;
use crate::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// No call waits longer for the board or for the link, whatever was asked: clients give up after 60 s.
pub const LONGEST_WAIT: Duration = Duration::from_secs(55);

/// What a procedure is told.
#[derive(Debug)]
pub enum News {
    /// Begin.
    Begin,
    /// How the last order ended.
    Reply(Result<FpgaReply, FpgaError>),
    /// How the last order to the synthesizer ended.
    Synth(Result<Answer, SynthError>),
    /// The pause asked for is over.
    Paused,
    /// The link is up (`true`), or did not come in time.
    Link(bool),
}

/// What a procedure wants next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// This order; then [`News::Reply`].
    Ask(FpgaOp),
    /// This order to the synthesizer; then [`News::Synth`].
    Synth(Order),
    /// This moment; then [`News::Paused`].
    Pause(Mono),
    /// The link, until then at the latest; then [`News::Link`].
    AwaitLink(Mono),
    /// Nothing more: the answer.
    Done(Value),
}

/// What comes of telling a procedure something.
pub type Told = Result<Next, CallError>;

/// A method at work.
#[derive(Clone, Debug, PartialEq)]
pub enum Procedure {
    /// Steps one after the other; what their replies mean is told at the end.
    Script(Script),
    /// Arm, wait, read.
    Snapshot(Box<Snapshot>),
    /// Orders to the synthesizer.
    Synth(Box<SynthWork>),
    /// Is the link up, or will it be within this time?
    Link(Duration),
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// An order.
    Ask(FpgaOp),
    /// Let time pass.
    Pause(Duration),
}

/// Steps and what has come of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    steps: VecDeque<Step>,
    replies: Vec<(FpgaReply, Mono)>,
    give: Give,
}

impl Procedure {
    /// These orders; then `give` makes the answer of the replies.
    pub fn orders(orders: impl IntoIterator<Item = FpgaOp>, give: Give) -> Procedure {
        Procedure::steps(orders.into_iter().map(Step::Ask), give)
    }

    /// These steps; then `give` makes the answer of the replies.
    pub fn steps(steps: impl IntoIterator<Item = Step>, give: Give) -> Procedure {
        Procedure::Script(Script { steps: steps.into_iter().collect(), replies: Vec::new(), give })
    }

    /// One turn. After `Done` or an error it must not be called again.
    ///
    /// # Errors
    /// The board refused or did not answer, or its answer makes no sense.
    pub fn next(&mut self, news: News, now: Mono) -> Told {
        match self {
            Procedure::Script(script) => script.next(news, now),
            Procedure::Snapshot(snapshot) => snapshot.next(news, now),
            Procedure::Synth(work) => work.next(news, now),
            Procedure::Link(within) => match news {
                News::Link(up) => Ok(Next::Done(Value::Bool(up))),
                _ => Ok(Next::AwaitLink(now + *within)),
            },
        }
    }
}

impl Script {
    fn next(&mut self, news: News, now: Mono) -> Told {
        if let News::Reply(result) = news {
            self.replies.push((result.map_err(|e| board_error(&e))?, now));
        }
        match self.steps.pop_front() {
            Some(Step::Ask(op)) => Ok(Next::Ask(op)),
            Some(Step::Pause(time)) => Ok(Next::Pause(now + time)),
            None => self.give.value(&std::mem::take(&mut self.replies)).map(Next::Done),
        }
    }
}

/// An error of the board as clients see it: `RuntimeError` with the text they know.
pub fn board_error(error: &FpgaError) -> CallError {
    let family = match error {
        FpgaError::Timeout { .. } => Family::Timeout,
        FpgaError::NotConnected { .. } => Family::Environment,
        FpgaError::Invalid(_) => Family::Invalid,
        FpgaError::Unsupported(_) | FpgaError::Cancelled => Family::Refused,
        _ => Family::Peer,
    };
    CallError::new(ErrorClass::RuntimeError, family, error.to_string())
}
