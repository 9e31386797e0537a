//! [`RpcServer`]: serves the binary RPC to one client: many calls in flight, cancel, subscriptions.
//!
//! ```text
//!   request --> Call{seq} .. reply(seq) --> reply | error      any order, named by correlation
//!   cancel  --> Cancel{seq}                                    the reply still comes
//!   rpc.subscribe(topic) --> Subscribe{topic} .. publish() --> event
//! ```

use super::rpc_link::{Fault, Incoming, RpcLink};
use super::{Server, ServerOutput};
use crate::api::{Call, CallError, ErrorClass, Family, Outcome, Terms, builtin};
use crate::proto::json_rpc::{EXTRA_MAX, LIST_METHODS};
use crate::proto::rpc_frame::{ErrorBody, EventBody, Hello, Kind, REPLY_MAX, REQUEST_MAX, RequestBody, body};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Calls in flight on one connection; then we stop reading.
pub const CALLS_MAX: usize = 32;
/// Subscriptions of one connection.
pub const TOPICS_MAX: usize = 64;
/// Events kept for a slow reader; then the oldest go.
pub const EVENTS_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Pending {
    correlation: u32,
    /// The caller's own deadline.
    by: Option<(Mono, u32)>,
}

/// A serving session.
#[derive(Debug)]
pub struct RpcServer {
    link: RpcLink,
    calls: BTreeMap<u64, Pending>,
    next_seq: u64,
    orders: VecDeque<ServerOutput>,
    topics: Vec<String>,
    congested: bool,
    held: VecDeque<(String, Value)>,
    lost: u64,
    paused: bool,
}

impl RpcServer {
    /// For a client that has just connected; `me` is what it is told about us.
    pub fn new(me: &Hello, now: Now) -> RpcServer {
        RpcServer {
            link: RpcLink::new(me, REQUEST_MAX, now.mono),
            calls: BTreeMap::new(),
            next_seq: 1,
            orders: VecDeque::new(),
            topics: Vec::new(),
            congested: false,
            held: VecDeque::new(),
            lost: 0,
            paused: false,
        }
    }

    /// Who the client says it is; empty before its hello.
    pub fn peer(&self) -> &Hello {
        self.link.peer()
    }

    /// Says goodbye (shutdown, restart) and closes.
    pub fn go_away(&mut self, reason: &str, now: Now) {
        self.link.close(Fault::Local(reason.to_owned()));
        self.pump(now.mono);
    }

    fn pump(&mut self, now: Mono) {
        while self.calls.len() < CALLS_MAX {
            let Some(incoming) = self.link.next_frame(now) else { break };
            if let Err(fault) = self.accept(incoming, now) {
                self.link.close(fault);
            }
        }
        let full = self.calls.len() >= CALLS_MAX;
        if full != self.paused {
            self.paused = full;
            self.link.set_paused(full, now);
            self.orders.push_back(ServerOutput::PauseReading(full));
        }
        if let Some(fault) = self.link.take_fault() {
            self.calls.clear();
            self.held.clear();
            self.topics.clear();
            self.orders.push_back(ServerOutput::Close(fault.to_string()));
        }
    }

    fn accept(&mut self, incoming: Incoming, now: Mono) -> Result<(), Fault> {
        let Incoming { kind, correlation, body } = incoming;
        match kind {
            Kind::Request => {
                let request = body::decode_request(&body).map_err(|error| Fault::Body { kind, error })?;
                self.request(correlation, request, now)
            }
            Kind::Cancel => {
                // A cancel that crosses the reply finds nothing: fine.
                if let Some(seq) = self.seq_of(correlation) {
                    self.orders.push_back(ServerOutput::Cancel { seq });
                }
                Ok(())
            }
            other => Err(Fault::Unexpected(other)),
        }
    }

    fn seq_of(&self, correlation: u32) -> Option<u64> {
        self.calls.iter().find(|(_, p)| p.correlation == correlation).map(|(seq, _)| *seq)
    }

    fn request(&mut self, correlation: u32, request: RequestBody, now: Mono) -> Result<(), Fault> {
        if self.seq_of(correlation).is_some() {
            return Err(Fault::Correlation(correlation));
        }
        let RequestBody { interface, method, args, kwargs, deadline_ms } = request;
        if interface == builtin::INTERFACE && method == builtin::SUBSCRIBE {
            let outcome = self.subscribe(&args);
            self.send(correlation, outcome);
            return Ok(());
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        let by =
            (deadline_ms > 0).then(|| (now + Duration::from_millis(u64::from(deadline_ms)), deadline_ms));
        self.calls.insert(seq, Pending { correlation, by });
        self.orders.push_back(if method == LIST_METHODS {
            ServerOutput::ListMethods { seq, interface }
        } else {
            let who = self.peer().who().chars().filter(|c| !c.is_control()).take(EXTRA_MAX).collect();
            let begin_by = by.map(|(by, _)| by);
            let terms = Terms { who, begin_by, ..Terms::default() };
            ServerOutput::Call { seq, call: Call { interface, method, args, kwargs }, terms }
        });
        Ok(())
    }

    fn subscribe(&mut self, args: &[Value]) -> Outcome {
        let topic = match args {
            [] => "",
            [Value::Str(topic)] => topic,
            _ => return Err(CallError::type_error("rpc.subscribe() takes one argument, the topic as str")),
        };
        if !self.topics.iter().any(|t| t == topic) {
            if self.topics.len() >= TOPICS_MAX {
                return Err(CallError::exception(format!("{TOPICS_MAX} topics are subscribed already")));
            }
            self.topics.push(topic.to_owned());
            self.orders.push_back(ServerOutput::Subscribe { topic: topic.to_owned() });
        }
        Ok(Value::Null)
    }

    fn send(&mut self, correlation: u32, outcome: Outcome) {
        let outcome = outcome.and_then(|value| {
            let bytes = body::encode(&value);
            if bytes.len() <= REPLY_MAX {
                return Ok(bytes);
            }
            Err(CallError::value_error(format!(
                "reply of {} bytes, at most {REPLY_MAX} are allowed",
                bytes.len()
            )))
        });
        match outcome {
            Ok(bytes) => self.link.send(Kind::Reply, correlation, &bytes),
            Err(CallError { class, family, message }) => {
                let error = ErrorBody { class: class.name().into(), family: family.name().into(), message };
                self.link.send(Kind::Error, correlation, &body::encode(&error));
            }
        }
    }

    /// Answers the calls whose callers want to wait no longer, and withdraws them.
    fn expire(&mut self, now: Mono) {
        let due = |p: &Pending| p.by.is_some_and(|(by, _)| now >= by);
        let expired: Vec<(u64, Pending)> =
            self.calls.iter().filter(|(_, p)| due(p)).map(|(seq, p)| (*seq, *p)).collect();
        for (seq, Pending { correlation, by }) in expired {
            self.calls.remove(&seq);
            let text = format!("not finished within the caller's {} ms", by.map_or(0, |(_, ms)| ms));
            self.send(correlation, Err(CallError::new(ErrorClass::Exception, Family::Timeout, text)));
            self.orders.push_back(ServerOutput::Cancel { seq });
        }
    }

    fn flush_events(&mut self) {
        while let Some((topic, value)) = self.held.pop_front() {
            let event = EventBody { topic, lost: std::mem::take(&mut self.lost), body: value };
            let bytes = body::encode(&event);
            if bytes.len() > REPLY_MAX {
                self.lost = event.lost + 1;
            } else {
                self.link.send(Kind::Event, 0, &bytes);
            }
        }
    }
}

impl Server for RpcServer {
    fn receive(&mut self, bytes: &[u8], now: Now) {
        self.link.receive(bytes, now.mono);
        self.pump(now.mono);
    }

    fn reply(&mut self, seq: u64, outcome: Outcome, now: Now) {
        let Some(pending) = self.calls.remove(&seq) else { return };
        self.send(pending.correlation, outcome);
        self.pump(now.mono);
    }

    fn publish(&mut self, topic: &str, body: &Value, _now: Now) {
        if !self.topics.iter().any(|t| t.is_empty() || t == topic) {
            return;
        }
        if self.held.len() >= EVENTS_MAX {
            self.held.pop_front();
            self.lost += 1;
        }
        self.held.push_back((topic.to_owned(), body.clone()));
        if !self.congested {
            self.flush_events();
        }
    }

    fn set_congested(&mut self, congested: bool, _now: Now) {
        self.congested = congested;
        if !congested {
            self.flush_events();
        }
    }

    fn software(&self) -> &str {
        &self.link.peer().software
    }

    fn tick(&mut self, now: Now) {
        self.link.tick(now.mono);
        self.expire(now.mono);
        self.pump(now.mono);
    }

    fn deadline(&self) -> Option<Mono> {
        let calls = self.calls.values().filter_map(|p| p.by.map(|(by, _)| by));
        self.link.deadline().into_iter().chain(calls).min()
    }

    fn poll(&mut self) -> Option<ServerOutput> {
        let bytes = self.link.take_output();
        if bytes.is_empty() { self.orders.pop_front() } else { Some(ServerOutput::Send(bytes)) }
    }
}

#[cfg(test)]
mod tests;
