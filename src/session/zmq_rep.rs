//! [`ZmqRep`]: serves the JSON face to one ZeroMQ client.
//!
//! ```text
//!   Link --message--> queue (16) --first--> Call{seq} .. reply(seq) --> Link
//! ```
//!
//! One call runs at a time and answers leave in the order of the requests; heartbeats are answered all the
//! while. A full queue stops the reading. Not here: who may run what when (the node), abandoned calls (the
//! queue goes down with the session).

use super::zmtp_link::{Ignored, Link};
use super::{Server, ServerOutput};
use crate::api::error::python_repr;
use crate::api::{Call, CallError, Outcome, Terms};
use crate::proto::json_rpc::{self, Extras, Fault, LIST_METHODS, Request};
use crate::proto::zmtp::{Message, Side};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of one request.
pub const REQUEST_MAX: usize = 1 << 20;
/// Bytes of one reply; a longer one becomes an error.
pub const REPLY_MAX: usize = 64 << 20;
/// Requests that wait behind the running one.
pub const QUEUE_MAX: usize = 16;

/// A request in its place in the queue.
#[derive(Debug)]
struct Slot {
    prefix: Vec<u8>,
    work: Result<Request, Fault>,
    arrived: Mono,
}

/// The request whose answer is due.
#[derive(Debug)]
struct Running {
    seq: u64,
    prefix: Vec<u8>,
    /// `bank.set_mode`, for error lines.
    place: String,
}

/// A serving session.
#[derive(Debug)]
pub struct ZmqRep {
    link: Link,
    queue: VecDeque<Slot>,
    running: Option<Running>,
    next_seq: u64,
    orders: VecDeque<ServerOutput>,
    paused: bool,
}

impl ZmqRep {
    /// For a client that has just connected.
    pub fn new(now: Now) -> ZmqRep {
        ZmqRep::with_limit(REQUEST_MAX, now)
    }

    /// As [`new`](ZmqRep::new) with another limit of the bytes in a request.
    pub fn with_limit(request_max: usize, now: Now) -> ZmqRep {
        ZmqRep {
            link: Link::new(Side::Rep, request_max, now.mono),
            queue: VecDeque::new(),
            running: None,
            next_seq: 1,
            orders: VecDeque::new(),
            paused: false,
        }
    }

    /// What was passed over, for statistics.
    pub fn ignored(&self) -> Ignored {
        self.link.ignored()
    }

    /// Starts what can start, reads what there is room for, says whether to go on reading.
    fn pump(&mut self, now: Mono) {
        loop {
            self.start_next(now);
            if self.queue.len() >= QUEUE_MAX {
                break;
            }
            let Some(message) = self.link.next_message(now) else { break };
            self.queue.extend(slot(message, now));
        }
        let full = self.queue.len() >= QUEUE_MAX;
        if full != self.paused {
            self.paused = full;
            self.link.set_paused(full, now);
            self.orders.push_back(ServerOutput::PauseReading(full));
        }
        if let Some(fault) = self.link.take_fault() {
            self.queue.clear();
            self.running = None;
            self.orders.push_back(ServerOutput::Close(fault.to_string()));
        }
    }

    fn start_next(&mut self, now: Mono) {
        while self.running.is_none()
            && let Some(Slot { prefix, work, arrived }) = self.queue.pop_front()
        {
            let seq = self.next_seq;
            let (place, order) = match work {
                Err(fault) => {
                    self.send(&prefix, &Err(fault), "request");
                    continue;
                }
                Ok(Request::ListMethods { name }) => {
                    (format!("{name}.{LIST_METHODS}"), ServerOutput::ListMethods { seq, interface: name })
                }
                Ok(Request::Call { name, proc, args, kwargs, extras }) => {
                    let place = format!("{name}.{proc}");
                    let terms = terms_of(extras, arrived);
                    if terms.begin_by.is_some_and(|by| now >= by) {
                        self.send(
                            &prefix,
                            &Err(fault_of(CallError::too_late(&printable(&place)), &place)),
                            &place,
                        );
                        continue;
                    }
                    let call = Call { interface: name, method: proc, args, kwargs };
                    (place, ServerOutput::Call { seq, call, terms })
                }
            };
            self.next_seq += 1;
            self.running = Some(Running { seq, prefix, place });
            self.orders.push_back(order);
        }
    }

    fn send(&mut self, prefix: &[u8], reply: &json_rpc::Reply, place: &str) {
        let mut body = json_rpc::write_reply(reply, place);
        if body.len() > REPLY_MAX {
            let text = format!("reply of {} bytes, at most {REPLY_MAX} are allowed", body.len());
            body = json_rpc::write_reply(&Err(Fault::new("ValueError", place, text)), place);
        }
        self.link.send(prefix, &body);
    }
}

fn slot(message: Message, arrived: Mono) -> Option<Slot> {
    match message {
        Message::Body { prefix, body } => Some(Slot { prefix, work: json_rpc::read_request(&body), arrived }),
        Message::Parts { prefix, parts } => {
            let text = format!("expected one body frame, got {parts}");
            Some(Slot { prefix, work: Err(Fault::new("ValueError", "request", text)), arrived })
        }
        Message::Dropped => None,
    }
}

fn terms_of(extras: Extras, arrived: Mono) -> Terms {
    let Extras { who, lease, deadline_ms, id } = extras;
    let begin_by = (deadline_ms > 0).then(|| arrived + Duration::from_millis(u64::from(deadline_ms)));
    Terms { who, lease, begin_by, id }
}

fn fault_of(error: CallError, place: &str) -> Fault {
    Fault::new(error.class.name(), &printable(place), error.message)
}

/// A peer chose this text; control characters have no place in a line.
fn printable(place: &str) -> String {
    if place.chars().any(char::is_control) { python_repr(place) } else { place.to_owned() }
}

impl Server for ZmqRep {
    fn receive(&mut self, bytes: &[u8], now: Now) {
        self.link.receive(bytes, now.mono);
        self.pump(now.mono);
    }

    fn reply(&mut self, seq: u64, outcome: Outcome, now: Now) {
        let Some(Running { prefix, place, .. }) = self.running.take_if(|r| r.seq == seq) else { return };
        let reply = outcome.map_err(|error| fault_of(error, &place));
        self.send(&prefix, &reply, &place);
        self.pump(now.mono);
    }

    fn publish(&mut self, _topic: &str, _body: &Value, _now: Now) {}

    fn tick(&mut self, now: Now) {
        self.link.tick(now.mono);
        self.pump(now.mono);
    }

    fn deadline(&self) -> Option<Mono> {
        self.link.deadline()
    }

    fn poll(&mut self) -> Option<ServerOutput> {
        let bytes = self.link.take_output();
        if bytes.is_empty() { self.orders.pop_front() } else { Some(ServerOutput::Send(bytes)) }
    }
}

#[cfg(test)]
mod older;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
