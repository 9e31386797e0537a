//! Orders to the synthesizer as a procedure: one for a call, one with a look at the lock for a mode, several
//! for the start.

use super::{katcp, synth_error};
use crate::api::CallError;
use crate::player::board::{News, Next, Told, board_error};
use crate::proto::valon::Synth;
use crate::proto::valon::order::{Answer, Order, SynthError};
use crate::units::Mono;
use crate::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a synthesizer may take to lock to a new frequency.
pub const LOCKED_WITHIN: Duration = Duration::from_secs(1);
/// How often the lock is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What the orders are for.
#[derive(Clone, Debug, PartialEq)]
enum For {
    /// A call: the answer is the value.
    Call,
    /// A mode: true when locked, else why not in words. A refused frequency is an error.
    Lock { synth: Synth, until: Option<Mono> },
    /// The start: every order is tried, the value is the list of what failed.
    SetUp { failures: Vec<String> },
}

/// Orders at work.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthWork {
    /// To be told to the board first.
    port: Option<String>,
    orders: VecDeque<Order>,
    purpose: For,
    /// The order that waits for its answer.
    current: Option<Order>,
}

impl SynthWork {
    /// One order; its answer is the value.
    pub fn call(order: Order) -> SynthWork {
        SynthWork { port: None, orders: [order].into(), purpose: For::Call, current: None }
    }

    /// A frequency in MHz, and whether the synthesizer locks to it.
    pub fn frequency(synth: Synth, mhz: f64) -> SynthWork {
        let spacing = Value::Float(crate::proto::valon::order::SPACING_MHZ);
        let order = Order::SetFrequency { synth, mhz: Value::Float(mhz), spacing };
        let purpose = For::Lock { synth, until: None };
        SynthWork { port: None, orders: [order].into(), purpose, current: None }
    }

    /// Every order, whatever the others do; `port`: of the board, if the synthesizer hangs there.
    pub fn set_up(orders: Vec<Order>, port: Option<String>) -> SynthWork {
        let purpose = For::SetUp { failures: Vec::new() };
        SynthWork { port, orders: orders.into(), purpose, current: None }
    }

    /// One turn.
    pub(crate) fn next(&mut self, news: News, now: Mono) -> Told {
        match news {
            News::Begin => match self.port.take() {
                Some(port) => Ok(Next::Ask(katcp::port(&port))),
                None => self.go_on(),
            },
            News::Reply(Err(error)) => {
                self.failed(format!("its port: {}", error), board_error(&error))?;
                self.go_on()
            }
            News::Synth(result) => self.answered(result, now),
            News::Paused => self.look(),
            News::Reply(Ok(_)) | News::Link(_) => self.go_on(),
        }
    }

    fn go_on(&mut self) -> Told {
        match self.orders.pop_front() {
            Some(order) if order.refused_at_once() => self.answered(Ok(Answer::Flag(false)), Mono::default()),
            Some(order) => {
                self.current = Some(order.clone());
                Ok(Next::Synth(order))
            }
            None => Ok(Next::Done(match &mut self.purpose {
                For::SetUp { failures } => {
                    Value::List(std::mem::take(failures).into_iter().map(Value::Str).collect())
                }
                _ => Value::Null,
            })),
        }
    }

    fn answered(&mut self, result: Result<Answer, SynthError>, now: Mono) -> Told {
        let order = self.current.take();
        let name = order.map(|o| o.to_string()).unwrap_or_default();
        match (&mut self.purpose, result) {
            (For::Call, Ok(answer)) => Ok(Next::Done(answer.into())),
            (For::Lock { until: Some(until), .. }, result) => {
                let until = *until;
                Ok(locked(&name, result, until, now))
            }
            (For::Lock { until, .. }, Ok(Answer::Flag(true))) => {
                *until = Some(now + LOCKED_WITHIN);
                self.look()
            }
            (For::Lock { .. }, Ok(_)) => {
                Err(synth_error(&SynthError::Impossible(format!("{name}: refused"))))
            }
            (For::SetUp { .. }, Ok(answer)) => {
                if answer == Answer::Flag(false) {
                    let refused = SynthError::Impossible(format!("{name}: refused"));
                    self.failed(refused.to_string(), synth_error(&refused))?;
                }
                self.go_on()
            }
            (_, Err(error)) => {
                self.failed(format!("{name}: {error}"), synth_error(&error))?;
                self.go_on()
            }
        }
    }

    /// A set-up keeps the failure and goes on, everything else ends with it.
    fn failed(&mut self, text: String, error: CallError) -> Result<(), CallError> {
        match &mut self.purpose {
            For::SetUp { failures } => {
                failures.push(text);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn look(&mut self) -> Told {
        let For::Lock { synth, .. } = self.purpose else { return self.go_on() };
        let order = Order::PhaseLock(synth);
        self.current = Some(order.clone());
        Ok(Next::Synth(order))
    }
}

/// The answer to a look at the lock. That it cannot be told is no reason not to observe, but one to say so.
fn locked(name: &str, result: Result<Answer, SynthError>, until: Mono, now: Mono) -> Next {
    let why = match result {
        Ok(Answer::Flag(true)) => return Next::Done(Value::Bool(true)),
        Ok(_) if now < until => return Next::Pause((now + LOOK).min(until)),
        Ok(_) => format!("not locked {} s after its frequency was set", LOCKED_WITHIN.as_secs()),
        Err(error) => format!("whether it is locked is not known: {error}"),
    };
    log::warn!("{name}: {why}");
    Next::Done(Value::Str(why))
}
