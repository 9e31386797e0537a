//! [`RpcLink`]: one connection of the binary RPC from hello to end, the same for both sides.
//!
//! Both sides send their hello at once; pings are answered here; a farewell or a broken rule closes. Frames are
//! parsed when they are asked for. Not here: what requests and replies mean.

use super::liveness::{HANDSHAKE, Liveness, Verdict};
use crate::proto::inbox::Inbox;
use crate::proto::rpc_frame::{
    self, BodyError, Frame, FrameError, HELLO_MAX, Hello, HelloError, Kind, PING_MAX, body,
};
use crate::units::Mono;

/// Why a connection ends. The text is for the log, and for the peer in a farewell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No hello.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// A body that does not decode.
    #[error("{kind:?}: {error}")]
    Body {
        /// Of this frame.
        kind: Kind,
        /// Why.
        error: BodyError,
    },
    /// A frame out of place.
    #[error("{0:?} frame where none may come")]
    Unexpected(Kind),
    /// A ping beyond the limit.
    #[error("ping of {0} bytes, at most {PING_MAX} are allowed")]
    LongPing(usize),
    /// Two calls in flight by one name.
    #[error("correlation {0} is in flight already")]
    Correlation(u32),
    /// The peer said goodbye.
    #[error("peer closes: {0}")]
    GoAway(String),
    /// Too slow.
    #[error("no hello within {} s", HANDSHAKE.as_secs())]
    HandshakeTimeout,
    /// Nothing heard.
    #[error("nothing heard from the peer for too long")]
    Silent,
    /// Our own wish.
    #[error("{0}")]
    Local(String),
}

/// A frame for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Request, Reply, Error, Event or Cancel.
    pub kind: Kind,
    /// Names the call.
    pub correlation: u32,
    /// Undecoded.
    pub body: Vec<u8>,
}

#[derive(Debug)]
enum Phase {
    Hello,
    Open,
    Closed,
}

/// One connection.
#[derive(Debug)]
pub struct RpcLink {
    /// Largest body accepted once the peer has said hello.
    limit: usize,
    phase: Phase,
    peer: Hello,
    inbox: Inbox,
    out: Vec<u8>,
    handshake_by: Mono,
    liveness: Liveness,
    fault: Option<Fault>,
}

impl RpcLink {
    /// A fresh connection on which we are `me`.
    pub fn new(me: &Hello, limit: usize, now: Mono) -> RpcLink {
        let mut link = RpcLink {
            limit,
            phase: Phase::Hello,
            peer: Hello::default(),
            inbox: Inbox::default(),
            out: Vec::new(),
            handshake_by: now + HANDSHAKE,
            liveness: Liveness::new(now, true),
            fault: None,
        };
        link.send(Kind::Hello, 0, &me.encode());
        link
    }

    /// Bytes from the peer; then ask for frames.
    pub fn receive(&mut self, bytes: &[u8], now: Mono) {
        if !matches!(self.phase, Phase::Closed) {
            self.inbox.push(bytes);
            self.liveness.heard(now);
        }
    }

    /// The next frame for the owner.
    pub fn next_frame(&mut self, now: Mono) -> Option<Incoming> {
        loop {
            match self.step(now) {
                Ok(Step::More) => {}
                Ok(Step::Starved) => return None,
                Ok(Step::Frame(incoming)) => return Some(incoming),
                Err(fault) => {
                    self.close(fault);
                    return None;
                }
            }
        }
    }

    /// Appends a frame.
    pub fn send(&mut self, kind: Kind, correlation: u32, body: &[u8]) {
        Frame { kind, correlation, body }.push(&mut self.out);
    }

    /// The hello of the peer has come.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Who the peer is; empty before its hello.
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// What must be written.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Why the link has closed; given once.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// The owner stops (or resumes) reading.
    pub fn set_paused(&mut self, paused: bool, now: Mono) {
        self.liveness.set_deaf(paused, now);
    }

    /// Says why and closes.
    pub fn close(&mut self, fault: Fault) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if !matches!(fault, Fault::GoAway(_)) {
            self.send(Kind::GoAway, 0, &body::encode(&fault.to_string()));
        }
        self.phase = Phase::Closed;
        self.inbox.clear();
        self.fault = Some(fault);
    }

    /// Deadlines and pings.
    pub fn tick(&mut self, now: Mono) {
        match self.phase {
            Phase::Hello if now >= self.handshake_by => self.close(Fault::HandshakeTimeout),
            Phase::Open => match self.liveness.check(now) {
                Verdict::Fine => {}
                Verdict::Ask => self.send(Kind::Ping, 0, &[]),
                Verdict::Gone => self.close(Fault::Silent),
            },
            _ => {}
        }
    }

    /// When to tick at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match self.phase {
            Phase::Hello => Some(self.handshake_by),
            Phase::Open => self.liveness.deadline(),
            Phase::Closed => None,
        }
    }

    fn step(&mut self, now: Mono) -> Result<Step, Fault> {
        let limit = match self.phase {
            Phase::Closed => return Ok(Step::Starved),
            Phase::Hello => HELLO_MAX,
            Phase::Open => self.limit,
        };
        let Some(frame) = rpc_frame::read(self.inbox.waiting(), limit)? else { return Ok(Step::Starved) };
        let len = frame.wire_len();
        let step = match (&self.phase, frame.kind) {
            (Phase::Hello, Kind::Hello) => {
                self.peer = Hello::decode(frame.body)?;
                self.liveness = Liveness::new(now, true);
                self.phase = Phase::Open;
                Step::More
            }
            (_, Kind::GoAway) => {
                let reason = body::decode_text(frame.body).unwrap_or_else(|_| "no reason given".into());
                return Err(Fault::GoAway(reason));
            }
            (Phase::Hello, kind) | (_, kind @ Kind::Hello) => return Err(Fault::Unexpected(kind)),
            (_, Kind::Ping) if frame.body.len() > PING_MAX => return Err(Fault::LongPing(frame.body.len())),
            (_, Kind::Ping) => {
                Frame { kind: Kind::Pong, ..frame }.push(&mut self.out);
                Step::More
            }
            (_, Kind::Pong) => Step::More,
            (_, kind) => {
                Step::Frame(Incoming { kind, correlation: frame.correlation, body: frame.body.to_vec() })
            }
        };
        self.inbox.consume(len);
        Ok(step)
    }
}

enum Step {
    More,
    Starved,
    Frame(Incoming),
}
