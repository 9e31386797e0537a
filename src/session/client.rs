//! What a calling session (JSON over ZMTP, binary RPC) offers its owner.

use crate::api::{Call, CallError, ErrorClass, Family, Outcome};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::time::Duration;

/// What a calling session asks of its owner, or tells it.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutput {
    /// Write these bytes.
    Send(Vec<u8>),
    /// The handshake is done.
    Open,
    /// The answer to call `seq`.
    Reply {
        /// As [`Client::call`] gave it.
        seq: u64,
        /// Result or error.
        outcome: Outcome,
    },
    /// A state change subscribed to (binary RPC).
    Event {
        /// Topic.
        topic: String,
        /// Events left out before this one because we read too slowly.
        lost: u64,
        /// What changed.
        body: Value,
    },
    /// Close the connection; the reason is for the log. Calls without an answer have had `Reply` with an
    /// error before.
    Close(String),
}

/// A calling session.
pub trait Client {
    /// Places a call and names it. It is sent when the handshake and the calls before it allow; a call
    /// that cannot be sent is answered by an error.
    fn call(&mut self, call: Call, now: Now) -> u64;
    /// The same; a server that knows deadlines does not begin it later than this.
    fn call_within(&mut self, call: Call, _within: Duration, now: Now) -> u64 {
        self.call(call, now)
    }
    /// Takes a call back, where the protocol can. Its reply (often an error) still comes.
    fn cancel(&mut self, _seq: u64, _now: Now) {}
    /// The lease all further calls are made under, where the protocol says it with each; the binary RPC does not: there
    /// the connection that acquired a lease has it.
    fn set_lease(&mut self, _token: &str) {}
    /// Bytes from the peer, in any pieces.
    fn receive(&mut self, bytes: &[u8], now: Now);
    /// Time has passed.
    fn tick(&mut self, now: Now);
    /// When to call [`Client::tick`] at the latest.
    fn deadline(&self) -> Option<Mono>;
    /// Drain to `None` after every other call.
    fn poll(&mut self) -> Option<ClientOutput>;
}

/// Calls that may wait in a client; more are refused at once.
pub const CALLS_MAX: usize = 64;

pub(super) fn too_many_calls() -> CallError {
    CallError::exception(format!("{CALLS_MAX} calls wait on this connection already"))
}

pub(crate) fn connection_lost(reason: &str) -> CallError {
    CallError::new(ErrorClass::Exception, Family::Peer, format!("connection lost: {reason}"))
}
