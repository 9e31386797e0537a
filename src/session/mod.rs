//! Codec + time -> events: the sessions a node holds with its peers. Pure: bytes, time and orders
//! in; bytes, calls and closings out.

pub mod archon_link;
pub mod client;
pub mod katcp_client;
pub mod liveness;
pub mod rpc_client;
pub mod rpc_link;
pub mod rpc_server;
pub mod valon_line;
pub mod zmq_rep;
pub mod zmq_req;
pub mod zmtp_link;

use crate::api::{Call, Outcome, Terms};
use crate::units::{Mono, Now};

/// What a serving session (JSON over ZMTP, binary RPC) asks of its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerOutput {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Somebody calls; answer with [`Server::reply`] and the same `seq`.
    Call {
        /// Names the call within the session.
        seq: u64,
        /// The call.
        call: Call,
        /// What the client says beside it.
        terms: Terms,
    },
    /// `list_methods` of an interface; answer with [`Server::reply`].
    ListMethods {
        /// Names the call within the session.
        seq: u64,
        /// Interface asked about.
        interface: String,
    },
    /// The client withdraws a call (binary RPC).
    Cancel {
        /// Which call.
        seq: u64,
    },
    /// The client wants state changes (binary RPC); publish with [`Server::publish`].
    Subscribe {
        /// Topic name, empty for all.
        topic: String,
    },
    /// Stop or resume reading: the request queue is full or free again.
    PauseReading(bool),
    /// Close the connection after what was sent; the reason is for the log.
    Close(String),
}

/// A serving session.
pub trait Server {
    /// Bytes from the peer, in any pieces.
    fn receive(&mut self, bytes: &[u8], now: Now);
    /// The answer to call `seq`; answers may come in any order, the session restores its own.
    fn reply(&mut self, seq: u64, outcome: Outcome, now: Now);
    /// An event for subscribers; faces without subscriptions ignore it.
    fn publish(&mut self, topic: &str, body: &crate::value::Value, now: Now);
    /// The connection's output queue is long (or short again): events wait meanwhile, the oldest are dropped
    /// and counted. Faces without subscriptions ignore it.
    fn set_congested(&mut self, _congested: bool, _now: Now) {}
    /// Time has passed.
    fn tick(&mut self, now: Now);
    /// Program and version of the client, as far as it said; faces without a hello do not know.
    fn software(&self) -> &str {
        ""
    }
    /// When to call [`Server::tick`] at the latest.
    fn deadline(&self) -> Option<Mono>;
    /// Drain to `None` after every other call.
    fn poll(&mut self) -> Option<ServerOutput>;
}
