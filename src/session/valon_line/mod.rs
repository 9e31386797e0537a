//! A synthesizer at the end of a serial line: orders one after the other, each request with a deadline, the
//! line opened again after a loss.
//!
//! The line has no framing: after a reply that is late or wrong everything that comes is thrown away until
//! the line is quiet.
//!
//! ```text
//! Closed --(back-off)--> Opening --opened--> Ready --order--> asking ... --> Ready
//!    ^------ closed ---------'                 ^--- 100 ms of silence --- late or wrong reply
//! ```

pub mod exchange;
#[cfg(test)]
mod tests;

use super::katcp_client::Backoff;
use crate::proto::valon::Request;
use crate::proto::valon::order::{Answer, Order, SynthError};
use crate::units::{Mono, Now};
use exchange::{Exchange, Next};
use std::collections::VecDeque;
use std::time::Duration;

/// Longest wait for the reply to one request.
pub const REPLY_WITHIN: Duration = Duration::from_secs(1);
/// Longest wait for an order, its turn included.
pub const ORDER_WITHIN: Duration = Duration::from_secs(10);
/// Silence after which the line is trusted again.
pub const QUIET: Duration = Duration::from_millis(100);
/// Most orders that wait.
pub const MOST_ORDERS: usize = 64;
/// Longest wait for the port to open.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// Pauses between attempts to open the port.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Names an order.
pub type OrderId = u64;

/// What the owner of the port has to do, or wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open the port and report `opened` or `closed`.
    Open {
        /// Give up after this.
        timeout: Duration,
    },
    /// Write these bytes.
    Send(Vec<u8>),
    /// The port is open, or is not for this reason; not repeated.
    State(Result<(), String>),
    /// An order is finished.
    Done(OrderId, Result<Answer, SynthError>),
}

#[derive(Debug)]
enum Line {
    Closed { again: Mono, why: String },
    Opening { until: Mono },
    Open { quiet_until: Option<Mono> },
}

#[derive(Debug)]
struct Waiting {
    id: OrderId,
    order: Order,
    until: Mono,
}

/// The order at work.
#[derive(Debug)]
struct Working {
    id: OrderId,
    exchange: Exchange,
    request: Request,
    got: Vec<u8>,
    until: Mono,
    order_until: Mono,
}

/// The line.
#[derive(Debug)]
pub struct ValonLine {
    line: Line,
    announced: Option<bool>,
    backoff: Backoff,
    waiting: VecDeque<Waiting>,
    working: Option<Working>,
    outputs: VecDeque<Output>,
}

impl ValonLine {
    /// A line that is opened at the first tick.
    pub fn new() -> ValonLine {
        ValonLine {
            line: Line::Closed { again: Mono(0), why: "its port has not been opened yet".into() },
            announced: None,
            backoff: Backoff::new(PAUSES.0, PAUSES.1, 1),
            waiting: VecDeque::new(),
            working: None,
            outputs: VecDeque::new(),
        }
    }

    /// Queues an order; [`Output::Done`] answers it.
    pub fn submit(&mut self, id: OrderId, order: Order, now: Now) {
        if let Line::Closed { why, .. } = &self.line {
            let error = SynthError::Unreachable(why.clone());
            return self.finish(id, Err(error));
        }
        if self.waiting.len() >= MOST_ORDERS {
            let text = format!("{MOST_ORDERS} orders wait for the synthesizer already");
            return self.finish(id, Err(SynthError::Impossible(text)));
        }
        self.waiting.push_back(Waiting { id, order, until: now.mono + ORDER_WITHIN });
        self.turn(now);
    }

    /// The port is open.
    pub fn opened(&mut self, now: Now) {
        self.backoff.reset();
        // What the synthesizer said to somebody before us is not for us.
        self.line = Line::Open { quiet_until: Some(now.mono + QUIET) };
        self.announce(Ok(()));
    }

    /// The port could not be opened, or is gone.
    pub fn closed(&mut self, why: &str, now: Now) {
        if matches!(self.line, Line::Closed { .. }) {
            return;
        }
        let again = now.mono + self.backoff.next_pause();
        self.line = Line::Closed { again, why: why.to_owned() };
        let lost = self.working.take().map(|w| w.id).into_iter();
        let lost: Vec<OrderId> = lost.chain(self.waiting.drain(..).map(|w| w.id)).collect();
        for id in lost {
            self.finish(id, Err(SynthError::Unreachable(why.to_owned())));
        }
        self.announce(Err(why.to_owned()));
    }

    /// Bytes from the synthesizer.
    pub fn receive(&mut self, bytes: &[u8], now: Now) {
        match &mut self.line {
            Line::Open { quiet_until: Some(until) } => *until = now.mono + QUIET,
            Line::Open { quiet_until: None } => self.take(bytes, now),
            _ => {}
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        match &self.line {
            Line::Closed { again, .. } if *again <= now.mono => {
                self.line = Line::Opening { until: now.mono + OPEN_WITHIN * 2 };
                self.outputs.push_back(Output::Open { timeout: OPEN_WITHIN });
            }
            Line::Opening { until } if *until <= now.mono => {
                self.closed("its port was never opened", now);
            }
            Line::Open { quiet_until: Some(until) } if *until <= now.mono => {
                self.line = Line::Open { quiet_until: None };
            }
            _ => {}
        }
        let late = self.working.as_ref().is_some_and(|w| w.until.min(w.order_until) <= now.mono);
        if late {
            self.give_up(SynthError::Timeout(REPLY_WITHIN.as_millis() as u64), now);
        }
        while self.waiting.front().is_some_and(|w| w.until <= now.mono) {
            if let Some(w) = self.waiting.pop_front() {
                self.finish(w.id, Err(SynthError::Timeout(ORDER_WITHIN.as_millis() as u64)));
            }
        }
        self.turn(now);
    }

    /// When to call [`ValonLine::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let line = match &self.line {
            Line::Closed { again, .. } => Some(*again),
            Line::Opening { until } => Some(*until),
            Line::Open { quiet_until } => *quiet_until,
        };
        let working = self.working.as_ref().map(|w| w.until.min(w.order_until));
        let waiting = self.waiting.front().map(|w| w.until);
        [line, working, waiting].into_iter().flatten().min()
    }

    /// Drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn take(&mut self, bytes: &[u8], now: Now) {
        let Some(working) = &mut self.working else { return };
        working.got.extend_from_slice(bytes);
        if working.got.len() < working.request.reply_len() {
            return;
        }
        match working.request.reply(&working.got) {
            Ok(reply) => {
                let next = working.exchange.next(reply);
                self.go_on(next, now);
            }
            Err(error) => {
                let text = format!("{error} to {:02x?}", working.request.bytes());
                self.give_up(SynthError::Reply(text), now);
            }
        }
    }

    fn go_on(&mut self, next: Result<Next, SynthError>, now: Now) {
        let Some(working) = &mut self.working else { return };
        let result = match next {
            Ok(Next::Ask(request)) => {
                self.outputs.push_back(Output::Send(request.bytes()));
                working.request = request;
                working.got.clear();
                working.until = now.mono + REPLY_WITHIN;
                return;
            }
            Ok(Next::Done(answer)) => Ok(answer),
            Err(error) => Err(error),
        };
        let id = working.id;
        self.working = None;
        self.finish(id, result);
        self.turn(now);
    }

    /// The order fails; what is still on its way is not for the next one.
    fn give_up(&mut self, error: SynthError, now: Now) {
        if let Some(working) = self.working.take() {
            self.finish(working.id, Err(error));
        }
        self.line = Line::Open { quiet_until: Some(now.mono + QUIET) };
    }

    /// Begins the next order if the line is free.
    fn turn(&mut self, now: Now) {
        while self.working.is_none() && matches!(self.line, Line::Open { quiet_until: None }) {
            let Some(Waiting { id, order, until }) = self.waiting.pop_front() else { return };
            let mut exchange = Exchange::new(order);
            match exchange.first() {
                Ok(Next::Ask(request)) => {
                    self.outputs.push_back(Output::Send(request.bytes()));
                    let got = Vec::with_capacity(request.reply_len());
                    let deadline = now.mono + REPLY_WITHIN;
                    self.working =
                        Some(Working { id, exchange, request, got, until: deadline, order_until: until });
                }
                Ok(Next::Done(answer)) => self.finish(id, Ok(answer)),
                Err(error) => self.finish(id, Err(error)),
            }
        }
    }

    fn finish(&mut self, id: OrderId, result: Result<Answer, SynthError>) {
        self.outputs.push_back(Output::Done(id, result));
    }

    fn announce(&mut self, state: Result<(), String>) {
        if self.announced != Some(state.is_ok()) {
            self.announced = Some(state.is_ok());
            self.outputs.push_back(Output::State(state));
        }
    }
}

impl Default for ValonLine {
    fn default() -> Self {
        ValonLine::new()
    }
}
