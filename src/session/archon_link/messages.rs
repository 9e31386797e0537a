//! What goes in and out of a link.

use crate::proto::archon::Timeouts;
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
    /// The reply is of another kind than the command asks for.
    #[error("{command}: {why}")]
    Garbled {
        /// The command's text.
        command: String,
        /// What came instead.
        why: String,
    },
    /// It cannot be said on the wire; nothing was sent.
    #[error("{command}: not sent: {why}")]
    Malformed {
        /// The command's text.
        command: String,
        /// What is wrong with it.
        why: String,
    },
    /// All ids are in use, or a FETCH is already running; nothing was sent.
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
