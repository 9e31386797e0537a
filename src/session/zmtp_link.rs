//! [`Link`]: one ZMTP connection from greeting to end, the same for both sides.
//!
//! ```text
//!   Greeting --64 bytes--> Ready --READY--> Open --anything wrong--> Closed
//!      \           handshake deadline          PING/PONG, messages
//!       `--12 bytes--> Identity --frame--> Open           a peer of ZMTP 2.0: no commands
//! ```
//!
//! Messages are parsed when they are asked for ([`Link::next_message`]), so that an owner whose queue is full
//! simply does not ask. Not here: what a message means.

use super::liveness::{GONE_AFTER, HANDSHAKE, Liveness, Pace, Verdict};
use crate::proto::inbox::Inbox;
use crate::proto::zmtp::{
    self, Command, CommandError, Envelope, EnvelopeError, Greeting, GreetingError, Header, Message, Side,
    command, frame, greeting,
};
use crate::units::Mono;
use std::time::Duration;

/// A READY longer than this is not one.
const READY_MAX: u64 = 8 * 1024;
/// Time-to-live in our PINGs, in tenths of a second.
const PING_TTL_DS: u16 = (GONE_AFTER.as_secs() * 10) as u16;

/// Why a connection ends. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The greeting does not fit.
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    /// A command contradicts itself.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// An envelope beyond the limits.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The claimed length of a frame.
    #[error("frame of {length} bytes, at most {limit} are allowed here")]
    FrameTooLong {
        /// As claimed.
        length: u64,
        /// Allowed.
        limit: u64,
    },
    /// A ZMTP 2.0 peer began with something else than its identity.
    #[error("peer of ZMTP 2.0 did not begin with an identity of at most {} bytes", command::IDENTITY_MAX)]
    NotIdentity,
    /// Something else came first.
    #[error("peer did not begin with READY")]
    NotReady,
    /// Commands cannot have the MORE bit.
    #[error("command frame with the MORE bit")]
    CommandWithMore,
    /// PUB, ROUTER, ...
    #[error("peer is a {0} socket, which cannot talk to this one")]
    SocketType(String),
    /// ERROR arrived.
    #[error("peer refused the connection: {0}")]
    Refused(String),
    /// Too slow.
    #[error("handshake not finished within {} s", HANDSHAKE.as_secs())]
    HandshakeTimeout,
    /// Heartbeats unanswered, or the time-to-live the peer asked for passed.
    #[error("nothing heard from the peer for too long")]
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Ready {
        minor: u8,
    },
    /// ZMTP 2.0.
    Identity,
    Open,
    Closed,
}

/// Things libzmq passes over silently, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Messages without delimiter or without body.
    pub messages: u64,
    /// Unknown commands, a second READY.
    pub commands: u64,
    /// Frames with reserved flag bits.
    pub reserved_bits: u64,
}

/// One ZMTP connection.
#[derive(Debug)]
pub struct Link {
    side: Side,
    /// Bytes of one message, all frames.
    limit: usize,
    phase: Phase,
    greeting_sent: usize,
    inbox: Inbox,
    envelope: Envelope,
    out: Vec<u8>,
    handshake_by: Mono,
    liveness: Liveness,
    pace: Pace,
    /// ZMTP 3: there are commands.
    commands: bool,
    ignored: Ignored,
    fault: Option<Fault>,
}

impl Link {
    /// A fresh connection; `limit` bytes are allowed in one message from the peer.
    pub fn new(side: Side, limit: usize, now: Mono) -> Link {
        let mut link = Link {
            side,
            limit,
            phase: Phase::Greeting,
            greeting_sent: 0,
            inbox: Inbox::default(),
            envelope: Envelope::default(),
            out: Vec::new(),
            handshake_by: now + HANDSHAKE,
            liveness: Liveness::new(now, false),
            pace: Pace::default(),
            commands: true,
            ignored: Ignored::default(),
            fault: None,
        };
        link.advance_greeting();
        link
    }

    /// Bytes from the peer; then ask for messages.
    pub fn receive(&mut self, bytes: &[u8], now: Mono) {
        if self.phase != Phase::Closed {
            self.inbox.push(bytes);
            self.liveness.heard(now);
        }
    }

    /// The next complete message, if there is one. Handshake and heartbeats are served on the way.
    pub fn next_message(&mut self, now: Mono) -> Option<Message> {
        loop {
            match self.step(now) {
                Ok(Step::More) => {}
                Ok(Step::Message(message)) => return Some(message),
                Ok(Step::Starved) => return None,
                Err(fault) => {
                    self.close(fault);
                    return None;
                }
            }
        }
    }

    /// Appends a message: `prefix` (framed already) and one body frame.
    pub fn send(&mut self, prefix: &[u8], body: &[u8]) {
        self.out.extend_from_slice(prefix);
        frame::push(&mut self.out, false, body);
    }

    /// The handshake is done.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// What must be written.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Why the link has closed; given once, after the last output.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// How soon a silent peer is asked and given up; before the handshake is done.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// What was passed over so far.
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    /// The owner stops (or resumes) reading: a silence then is our doing.
    pub fn set_paused(&mut self, paused: bool, now: Mono) {
        self.liveness.set_deaf(paused, now);
    }

    /// Deadlines and heartbeats.
    pub fn tick(&mut self, now: Mono) {
        match self.phase {
            Phase::Greeting | Phase::Ready { .. } | Phase::Identity if now >= self.handshake_by => {
                self.close(Fault::HandshakeTimeout)
            }
            Phase::Open => match self.liveness.check(now) {
                Verdict::Fine => {}
                Verdict::Ask => command::push_ping(&mut self.out, PING_TTL_DS),
                Verdict::Gone => self.close(Fault::Silent),
            },
            _ => {}
        }
    }

    /// When to tick at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match self.phase {
            Phase::Greeting | Phase::Ready { .. } | Phase::Identity => Some(self.handshake_by),
            Phase::Open => self.liveness.deadline(),
            Phase::Closed => None,
        }
    }

    fn close(&mut self, fault: Fault) {
        self.phase = Phase::Closed;
        self.inbox.clear();
        self.envelope = Envelope::default();
        self.fault = Some(fault);
    }

    fn step(&mut self, now: Mono) -> Result<Step, Fault> {
        match self.phase {
            Phase::Greeting => self.step_greeting(),
            Phase::Ready { minor } => self.step_ready(minor, now),
            Phase::Identity => self.step_identity(now),
            Phase::Open => self.step_frame(),
            Phase::Closed => Ok(Step::Starved),
        }
    }

    fn step_greeting(&mut self) -> Result<Step, Fault> {
        let read = greeting::read(self.inbox.waiting())?;
        self.advance_greeting();
        let Some(peer) = read else { return Ok(Step::Starved) };
        self.inbox.consume(peer.wire_len());
        match peer {
            Greeting::Three { minor } => {
                self.out.extend_from_slice(&self.side.ready());
                self.phase = Phase::Ready { minor };
            }
            Greeting::Two { socket_type, .. } if !greeting::v2_accepts(self.side, socket_type) => {
                return Err(Fault::SocketType(format!("number {socket_type}")));
            }
            Greeting::Two { .. } => {
                self.out.extend_from_slice(&greeting::v2_answer(self.side));
                self.commands = false;
                self.phase = Phase::Identity;
            }
        }
        Ok(Step::More)
    }

    fn advance_greeting(&mut self) {
        let may = greeting::may_send(self.inbox.waiting()).max(self.greeting_sent);
        self.out.extend_from_slice(&greeting::ours()[self.greeting_sent..may]);
        self.greeting_sent = may;
    }

    /// The name a ZMTP 2.0 peer gives itself; nothing is done with it.
    fn step_identity(&mut self, now: Mono) -> Result<Step, Fault> {
        let Some(head) = Header::read(self.inbox.waiting()).map(Header::without_commands) else {
            return Ok(Step::Starved);
        };
        if head.more || head.body_len > command::IDENTITY_MAX as u64 {
            return Err(Fault::NotIdentity);
        }
        let Some(body) = body_of(self.inbox.waiting(), head, command::IDENTITY_MAX as u64)? else {
            return Ok(Step::Starved);
        };
        let consumed = head.head_len + body.len();
        self.inbox.consume(consumed);
        self.liveness = Liveness::paced(now, false, self.pace);
        self.phase = Phase::Open;
        Ok(Step::More)
    }

    fn step_ready(&mut self, minor: u8, now: Mono) -> Result<Step, Fault> {
        let Some(head) = Header::read(self.inbox.waiting()) else { return Ok(Step::Starved) };
        if !head.command || head.more {
            return Err(Fault::NotReady);
        }
        let Some(body) = body_of(self.inbox.waiting(), head, READY_MAX)? else { return Ok(Step::Starved) };
        let consumed = head.head_len + body.len();
        match command::read(body)? {
            Command::Ready(ready) if self.side.accepts(ready.socket_type) => {}
            Command::Ready(ready) => {
                let name = ready.socket_type.escape_ascii().to_string();
                command::push_error(&mut self.out, "Invalid socket type");
                return Err(Fault::SocketType(name));
            }
            Command::Error(reason) => return Err(Fault::Refused(reason.escape_ascii().to_string())),
            _ => return Err(Fault::NotReady),
        }
        self.inbox.consume(consumed);
        self.liveness = Liveness::paced(now, minor >= 1, self.pace);
        self.phase = Phase::Open;
        Ok(Step::More)
    }

    fn step_frame(&mut self) -> Result<Step, Fault> {
        let Some(head) = Header::read(self.inbox.waiting()) else { return Ok(Step::Starved) };
        let head = if self.commands { head } else { head.without_commands() };
        let Some(body) = body_of(self.inbox.waiting(), head, self.limit as u64)? else {
            return Ok(Step::Starved);
        };
        let consumed = head.head_len + body.len();
        self.ignored.reserved_bits += u64::from(head.reserved);
        let step = if head.command {
            if head.more {
                return Err(Fault::CommandWithMore);
            }
            match command::read(body)? {
                Command::Ping { ttl_ds, context } => {
                    command::push_pong(&mut self.out, context);
                    self.liveness.wish(Duration::from_millis(u64::from(ttl_ds) * 100));
                }
                Command::Pong => {}
                Command::Error(reason) => return Err(Fault::Refused(reason.escape_ascii().to_string())),
                Command::Ready(_) | Command::Other => self.ignored.commands += 1,
            }
            Step::More
        } else {
            match self.envelope.push(head.more, body, self.limit)? {
                None => Step::More,
                Some(Message::Dropped) => {
                    self.ignored.messages += 1;
                    Step::More
                }
                Some(message) => Step::Message(message),
            }
        };
        self.inbox.consume(consumed);
        Ok(step)
    }
}

enum Step {
    More,
    Starved,
    Message(zmtp::Message),
}

/// The body behind `head`, once it is complete. The length is judged as soon as it is known.
fn body_of(bytes: &[u8], head: Header, limit: u64) -> Result<Option<&[u8]>, Fault> {
    if head.body_len > limit {
        return Err(Fault::FrameTooLong { length: head.body_len, limit });
    }
    Ok(bytes.get(head.head_len..).and_then(|rest| rest.get(..head.body_len as usize)))
}
