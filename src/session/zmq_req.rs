//! [`ZmqReq`]: calls a JSON server over ZMTP as a REQ socket does: one call in flight, further ones wait.

use super::client::{CALLS_MAX, Client, ClientOutput, connection_lost, too_many_calls};
use super::liveness::Pace;
use super::zmtp_link::Link;
use crate::api::{Call, CallError, ErrorClass, Family, Outcome};
use crate::proto::json_rpc::{self, Extras};
use crate::proto::zmtp::{Message, Side};
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of one reply.
pub const REPLY_MAX: usize = 64 << 20;
/// The empty frame that every request begins with.
const DELIMITER: [u8; 2] = [1, 0];

/// A calling session.
#[derive(Debug)]
pub struct ZmqReq {
    link: Link,
    waiting: VecDeque<(u64, Vec<u8>)>,
    in_flight: Option<u64>,
    next_seq: u64,
    opened: bool,
    /// Said with every call; nothing to a peer that was not told who we are.
    extras: Extras,
    events: VecDeque<ClientOutput>,
}

impl ZmqReq {
    /// On a connection that was just made.
    pub fn new(now: Now) -> ZmqReq {
        ZmqReq {
            link: Link::new(Side::Req, REPLY_MAX, now.mono),
            waiting: VecDeque::new(),
            in_flight: None,
            next_seq: 1,
            opened: false,
            extras: Extras::default(),
            events: VecDeque::new(),
        }
    }

    /// The same for a server whose end must be noticed within seconds, although it may be busy for minutes; `who` is
    /// said with every call.
    pub fn watchful(who: &str, now: Now) -> ZmqReq {
        let mut session = ZmqReq::named(who, now);
        session.link.set_pace(Pace::QUICK);
        session
    }

    /// `who` is said with every call.
    pub fn named(who: &str, now: Now) -> ZmqReq {
        let mut session = ZmqReq::new(now);
        session.extras.who = who.chars().filter(|c| !c.is_control()).take(json_rpc::EXTRA_MAX).collect();
        session
    }

    fn pump(&mut self, now: Mono) {
        while let Some(message) = self.link.next_message(now) {
            // An answer nobody waits for is passed over.
            if let Some(seq) = self.in_flight.take() {
                self.events.push_back(ClientOutput::Reply { seq, outcome: outcome(message) });
            }
        }
        if self.link.is_open() {
            if !self.opened {
                self.opened = true;
                self.events.push_back(ClientOutput::Open);
            }
            if self.in_flight.is_none()
                && let Some((seq, body)) = self.waiting.pop_front()
            {
                self.link.send(&DELIMITER, &body);
                self.in_flight = Some(seq);
            }
        }
        if let Some(fault) = self.link.take_fault() {
            self.fail_all(&fault.to_string());
        }
    }

    fn place(&mut self, call: Call, deadline_ms: u32, now: Now) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let Call { interface, method, args, kwargs } = call;
        let extras = Extras { deadline_ms, ..self.extras.clone() };
        let body = json_rpc::write_request_with(&interface, &method, &args, &kwargs, &extras);
        match body {
            Ok(body) if self.waiting.len() < CALLS_MAX => self.waiting.push_back((seq, body)),
            Ok(_) => self.events.push_back(ClientOutput::Reply { seq, outcome: Err(too_many_calls()) }),
            Err(error) => {
                let outcome = Err(CallError::value_error(format!("argument: {error}")));
                self.events.push_back(ClientOutput::Reply { seq, outcome });
            }
        }
        self.pump(now.mono);
        seq
    }

    fn fail_all(&mut self, reason: &str) {
        let unanswered = self.in_flight.take().into_iter().chain(self.waiting.drain(..).map(|(seq, _)| seq));
        for seq in unanswered {
            self.events.push_back(ClientOutput::Reply { seq, outcome: Err(connection_lost(reason)) });
        }
        self.events.push_back(ClientOutput::Close(reason.to_owned()));
    }
}

fn outcome(message: Message) -> Outcome {
    let broken = |text: String| CallError::new(ErrorClass::Exception, Family::Peer, text);
    match message {
        Message::Body { body, .. } => match json_rpc::read_reply(&body) {
            Ok(reply) => reply.map_err(|fault| CallError::from_peer(&fault.class, &fault.message)),
            Err(error) => Err(broken(format!("the server's reply is broken: {error}"))),
        },
        Message::Parts { parts, .. } => Err(broken(format!("the server's reply has {parts} body frames"))),
        Message::Dropped => Err(broken("the server's reply has no body".into())),
    }
}

impl Client for ZmqReq {
    fn call(&mut self, call: Call, now: Now) -> u64 {
        self.place(call, 0, now)
    }

    /// Only a peer that was told who we are is told this, too: other clients speak as those of the reference do.
    fn call_within(&mut self, call: Call, within: Duration, now: Now) -> u64 {
        let told = !self.extras.who.is_empty();
        let deadline_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX).max(1);
        self.place(call, if told { deadline_ms } else { 0 }, now)
    }

    fn set_lease(&mut self, token: &str) {
        token.clone_into(&mut self.extras.lease);
    }

    fn receive(&mut self, bytes: &[u8], now: Now) {
        self.link.receive(bytes, now.mono);
        self.pump(now.mono);
    }

    fn tick(&mut self, now: Now) {
        self.link.tick(now.mono);
        self.pump(now.mono);
    }

    fn deadline(&self) -> Option<Mono> {
        self.link.deadline()
    }

    fn poll(&mut self) -> Option<ClientOutput> {
        let bytes = self.link.take_output();
        if bytes.is_empty() { self.events.pop_front() } else { Some(ClientOutput::Send(bytes)) }
    }
}

#[cfg(test)]
mod tests;
