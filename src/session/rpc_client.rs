//! [`RpcClient`]: calls a server over the binary RPC, many calls in flight.

use super::client::{self, Client, ClientOutput, connection_lost, too_many_calls};
use super::rpc_link::{Fault, Incoming, RpcLink};
use super::rpc_server::CALLS_MAX;
use crate::api::{Call, CallError, Family, Outcome};
use crate::proto::rpc_frame::{Hello, Kind, REPLY_MAX, REQUEST_MAX, RequestBody, body};
use crate::units::{Mono, Now};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// A calling session.
#[derive(Debug)]
pub struct RpcClient {
    link: RpcLink,
    waiting: VecDeque<(u64, Vec<u8>)>,
    in_flight: BTreeSet<u64>,
    next_seq: u64,
    opened: bool,
    events: VecDeque<ClientOutput>,
}

impl RpcClient {
    /// On a connection that was just made; `me` is what the server is told about us.
    pub fn new(me: &Hello, now: Now) -> RpcClient {
        RpcClient {
            link: RpcLink::new(me, REPLY_MAX, now.mono),
            waiting: VecDeque::new(),
            in_flight: BTreeSet::new(),
            next_seq: 1,
            opened: false,
            events: VecDeque::new(),
        }
    }

    /// Who the server says it is; empty before its hello.
    pub fn peer(&self) -> &Hello {
        self.link.peer()
    }

    fn place(&mut self, call: Call, deadline_ms: u32, now: Now) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let Call { interface, method, args, kwargs } = call;
        let body = body::encode(&RequestBody { interface, method, args, kwargs, deadline_ms });
        let refusal = if body.len() > REQUEST_MAX {
            Some(CallError::value_error(format!(
                "request of {} bytes, at most {REQUEST_MAX} are allowed",
                body.len()
            )))
        } else if self.waiting.len() >= client::CALLS_MAX {
            Some(too_many_calls())
        } else {
            None
        };
        match refusal {
            Some(error) => self.events.push_back(ClientOutput::Reply { seq, outcome: Err(error) }),
            None => self.waiting.push_back((seq, body)),
        }
        self.pump(now.mono);
        seq
    }

    fn pump(&mut self, now: Mono) {
        while let Some(incoming) = self.link.next_frame(now) {
            if let Err(fault) = self.accept(incoming) {
                self.link.close(fault);
            }
        }
        if self.link.is_open() && !self.opened {
            self.opened = true;
            self.events.push_back(ClientOutput::Open);
        }
        while self.link.is_open()
            && self.in_flight.len() < CALLS_MAX
            && let Some((seq, body)) = self.waiting.pop_front()
        {
            self.link.send(Kind::Request, correlation(seq), &body);
            self.in_flight.insert(seq);
        }
        if let Some(fault) = self.link.take_fault() {
            self.fail_all(&fault.to_string());
        }
    }

    fn accept(&mut self, incoming: Incoming) -> Result<(), Fault> {
        let Incoming { kind, correlation: name, body } = incoming;
        let broken = |error| Fault::Body { kind, error };
        match kind {
            Kind::Reply => {
                let value = body::decode_value(&body).map_err(broken)?;
                self.answer(name, Ok(value));
            }
            Kind::Error => {
                let error = body::decode_error(&body).map_err(broken)?;
                let mut answer = CallError::from_peer(&error.class, &error.message);
                answer.family = Family::from_name(&error.family).unwrap_or(answer.family);
                self.answer(name, Err(answer));
            }
            Kind::Event => {
                let event = body::decode_event(&body).map_err(broken)?;
                let (topic, lost, body) = (event.topic, event.lost, event.body);
                self.events.push_back(ClientOutput::Event { topic, lost, body });
            }
            other => return Err(Fault::Unexpected(other)),
        }
        Ok(())
    }

    /// An answer to a call nobody made is passed over.
    fn answer(&mut self, name: u32, outcome: Outcome) {
        let seq = self.in_flight.iter().copied().find(|seq| correlation(*seq) == name);
        if let Some(seq) = seq {
            self.in_flight.remove(&seq);
            self.events.push_back(ClientOutput::Reply { seq, outcome });
        }
    }

    fn fail_all(&mut self, reason: &str) {
        let in_flight = std::mem::take(&mut self.in_flight);
        for seq in in_flight.into_iter().chain(self.waiting.drain(..).map(|(seq, _)| seq)) {
            self.events.push_back(ClientOutput::Reply { seq, outcome: Err(connection_lost(reason)) });
        }
        self.events.push_back(ClientOutput::Close(reason.to_owned()));
    }
}

/// Names a call on the wire. At most [`CALLS_MAX`] are in flight, so that wrapping is harmless.
fn correlation(seq: u64) -> u32 {
    seq as u32
}

impl Client for RpcClient {
    fn call(&mut self, call: Call, now: Now) -> u64 {
        self.place(call, 0, now)
    }

    fn call_within(&mut self, call: Call, within: Duration, now: Now) -> u64 {
        // 0 is "none" on the wire.
        let deadline_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX).max(1);
        self.place(call, deadline_ms, now)
    }

    fn cancel(&mut self, seq: u64, now: Now) {
        if self.in_flight.contains(&seq) {
            self.link.send(Kind::Cancel, correlation(seq), &[]);
        } else if let Some(at) = self.waiting.iter().position(|(s, _)| *s == seq) {
            self.waiting.remove(at);
            let outcome = Err(CallError::exception("cancelled"));
            self.events.push_back(ClientOutput::Reply { seq, outcome });
        }
        self.pump(now.mono);
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
