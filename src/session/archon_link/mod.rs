//! A client's end of one link to an Archon controller: pairs replies with commands by id, gives up on
//! time, streams FETCH, and comes back after a loss.
//!
//! 256 ids; the id of a command that timed out stays unused until its reply came or the link was opened
//! anew. While blocks of a FETCH arrive, deadlines of other commands are counted from the last byte: the
//! controller may answer them after the stream. Lost framing or a silent FETCH drop the connection.
//! Pure: the owner carries out the [`Output`]s.

use crate::proto::archon::{Command, Timeouts};
use crate::units::{Mono, Now};
use std::time::Duration;

/// Names a command until it is answered; the owner's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Times and bounds of a link.
#[derive(Clone, Debug)]
pub struct Config {
    /// Waits for replies.
    pub timeouts: Timeouts,
    /// For the owner's TCP connect.
    pub connect_timeout: Duration,
    /// First pause before a reconnect; doubles.
    pub backoff_first: Duration,
    /// Longest pause.
    pub backoff_limit: Duration,
    /// Payload of a FETCH is handed on in pieces of about this size, bytes.
    pub chunk: usize,
    /// Seed of the back-off's jitter.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            timeouts: Timeouts::default(),
            connect_timeout: Duration::from_secs(5),
            backoff_first: Duration::from_millis(250),
            backoff_limit: Duration::from_secs(8),
            chunk: 256 << 10,
            seed: 0,
        }
    }
}

/// Why a command has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// `?`: the controller refused it.
    #[error("{command}: refused by the controller (its log may say why)")]
    Refused {
        /// The command's text.
        command: String,
    },
    /// No reply in time.
    #[error("{command}: no reply within {waited_ms} ms")]
    Timeout {
        /// The command's text.
        command: String,
        /// How long we waited, ms.
        waited_ms: u64,
    },
    /// The link is down, or went down before the reply: whether it was carried out is not known.
    #[error("{command}: not connected ({why})")]
    Down {
        /// The command's text.
        command: String,
        /// Why.
        why: String,
        /// It had been sent.
        sent: bool,
    },
    /// All ids are in use.
    #[error("{command}: too many commands wait already")]
    Full {
        /// The command's text.
        command: String,
    },
}

/// A fact for the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The connection is there; nothing was sent yet.
    Up,
    /// It is gone; every command in flight was answered with [`LinkError::Down`] before this.
    Down {
        /// Why.
        why: String,
    },
    /// A command is finished. For FETCH after its last byte.
    Reply {
        /// Which.
        token: Token,
        /// Text of the reply, or why there is none.
        result: Result<String, LinkError>,
    },
    /// Payload of a FETCH.
    Data {
        /// Which FETCH.
        token: Token,
        /// The bytes, padding of the last block included.
        bytes: Vec<u8>,
    },
    /// Something for the log.
    Note(String),
}

/// An order for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a connection and report `connected` or `closed`.
    Connect {
        /// Give up after this.
        timeout: Duration,
    },
    /// Write these bytes.
    Send(Vec<u8>),
    /// Drop the connection now.
    Disconnect(String),
    /// Stop or resume reading from the socket.
    PauseReading(bool),
    /// A fact for the role.
    Event(LinkEvent),
}

/// One link.
#[derive(Debug)]
pub struct ArchonLink {}

impl ArchonLink {
    /// A link that begins to connect with the first [`ArchonLink::tick`].
    pub fn new(_config: Config) -> ArchonLink {
        unimplemented!("owner: codec")
    }
    /// The connection of the latest [`Output::Connect`] is open.
    pub fn connected(&mut self, _now: Now) {
        unimplemented!("owner: codec")
    }
    /// It could not be opened or is gone.
    pub fn closed(&mut self, _why: &str, _now: Now) {
        unimplemented!("owner: codec")
    }
    /// Bytes from the controller, in any pieces.
    pub fn receive(&mut self, _bytes: &[u8], _now: Now) {
        unimplemented!("owner: codec")
    }
    /// Sends a command (many may be in flight); the answer comes as [`LinkEvent::Reply`].
    pub fn submit(&mut self, _token: Token, _command: Command, _now: Now) {
        unimplemented!("owner: codec")
    }
    /// Leave the link closed until [`ArchonLink::open`]: `disconnect` of an operator.
    pub fn close(&mut self, _why: &str, _now: Now) {
        unimplemented!("owner: codec")
    }
    /// Connect again, at once.
    pub fn open(&mut self, _now: Now) {
        unimplemented!("owner: codec")
    }
    /// The consumer of a FETCH is (not) full: reading pauses, and no wait counts meanwhile.
    pub fn set_paused(&mut self, _paused: bool, _now: Now) {
        unimplemented!("owner: codec")
    }
    /// Gives an empty piece of [`LinkEvent::Data`] back, to be filled again.
    pub fn recycle(&mut self, _bytes: Vec<u8>) {
        unimplemented!("owner: codec")
    }
    /// Time has passed.
    pub fn tick(&mut self, _now: Now) {
        unimplemented!("owner: codec")
    }
    /// When to call [`ArchonLink::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        unimplemented!("owner: codec")
    }
    /// The next order; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        unimplemented!("owner: codec")
    }
}
