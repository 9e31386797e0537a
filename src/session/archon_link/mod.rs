//! A client's end of one link to an Archon controller: pairs replies with commands by id, gives up on
//! time, streams FETCH, and comes back after a loss.
//!
//! 256 ids; the id of a command that timed out stays unused until its reply came or the link was opened
//! anew. While blocks of a FETCH arrive, deadlines of other commands are counted from the last byte: the
//! controller may answer them after the stream. Lost framing or a silent FETCH drop the connection.
//! Pure: the owner carries out the [`Output`]s.

mod fetch;
mod ids;
#[cfg(test)]
mod tests;

use super::katcp_client::Backoff;
use crate::proto::archon::{Command, Decoder, Expect, Item, Timeouts, host};
use crate::units::{Mono, Now};
use fetch::Fetch;
use ids::{Ids, Owner, Sent};
use std::collections::VecDeque;
use std::time::Duration;

/// Empty pieces kept to be filled again.
const SPARE_MAX: usize = 64;

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
    /// All ids are in use, or a FETCH is already running.
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

#[derive(Debug)]
enum State {
    /// An operator closed it.
    Closed {
        why: String,
    },
    /// Until the next attempt.
    Waiting {
        until: Mono,
        why: String,
    },
    Connecting,
    Up,
}

/// One link.
#[derive(Debug)]
pub struct ArchonLink {
    config: Config,
    state: State,
    backoff: Backoff,
    decoder: Decoder,
    ids: Ids,
    fetch: Option<Fetch>,
    spare: Vec<Vec<u8>>,
    paused: bool,
    outputs: VecDeque<Output>,
}

impl ArchonLink {
    /// A link that begins to connect with the first [`ArchonLink::tick`].
    pub fn new(config: Config) -> ArchonLink {
        ArchonLink {
            state: State::Waiting { until: Mono(0), why: "not connected yet".into() },
            backoff: Backoff::new(config.backoff_first, config.backoff_limit, config.seed),
            config,
            decoder: Decoder::default(),
            ids: Ids::default(),
            fetch: None,
            spare: Vec::new(),
            paused: false,
            outputs: VecDeque::new(),
        }
    }

    /// The connection of the latest [`Output::Connect`] is open.
    pub fn connected(&mut self, _now: Now) {
        if !matches!(self.state, State::Connecting) {
            return self.outputs.push_back(Output::Disconnect("nobody waits for this connection".into()));
        }
        self.state = State::Up;
        self.decoder = Decoder::default();
        self.paused = false;
        self.outputs.push_back(Output::Event(LinkEvent::Up));
    }

    /// It could not be opened or is gone.
    pub fn closed(&mut self, why: &str, now: Now) {
        match self.state {
            State::Up => self.lose(why, now),
            State::Connecting => self.wait(why, now),
            State::Closed { .. } | State::Waiting { .. } => {}
        }
    }

    /// Bytes from the controller, in any pieces.
    pub fn receive(&mut self, bytes: &[u8], now: Now) {
        if !matches!(self.state, State::Up) {
            return;
        }
        if let Err(why) = self.take_in(bytes, now) {
            self.outputs.push_back(Output::Disconnect(why.clone()));
            self.lose(&why, now);
        }
    }

    fn take_in(&mut self, mut input: &[u8], now: Now) -> Result<(), String> {
        let mut streamed = false;
        // The decoder is moved out while items borrow from it and from the input.
        let mut decoder = std::mem::take(&mut self.decoder);
        let result = loop {
            let fetching = self.fetch.as_ref().map(|f| f.id);
            match decoder.next(&mut input, |id| fetching == Some(id)) {
                Ok(None) => break Ok(()),
                Ok(Some(Item::Data { bytes, .. })) => {
                    streamed = true;
                    self.data(bytes);
                }
                Ok(Some(Item::Text { id, text })) => self.answer(id, Ok(text)),
                Ok(Some(Item::Refused { id })) => self.answer(id, Err(())),
                Err(lost) => break Err(lost.to_string()),
            }
        };
        self.decoder = decoder;
        if streamed {
            self.ids.restart_waits(now.mono);
        }
        result
    }

    /// Payload of the FETCH: copied once, into the piece being filled.
    fn data(&mut self, bytes: &[u8]) {
        let Some(fetch) = &mut self.fetch else { return };
        let (token, id) = (fetch.token, fetch.id);
        let mut left = bytes;
        while !left.is_empty() {
            left = fetch.fill(left, self.config.chunk, &mut self.spare);
            if let Some(piece) = fetch.full_piece(self.config.chunk) {
                self.outputs.push_back(Output::Event(LinkEvent::Data { token, bytes: piece }));
            }
        }
        if fetch.left == 0 {
            self.fetch = None;
            let _ = self.ids.answered(id);
            self.done(token, Ok(String::new()));
        }
    }

    fn answer(&mut self, id: u8, result: Result<String, ()>) {
        let sent = match self.ids.answered(id) {
            Owner::Command(sent) => sent,
            Owner::GivenUp => {
                return self.note(format!("the reply with id {id:02X} came too late and is dropped"));
            }
            Owner::Nobody => {
                return self.note(format!("a reply with id {id:02X} nobody asked for is dropped"));
            }
        };
        let command = sent.command.text();
        let streams = matches!(sent.command.expects(), Expect::Blocks(_));
        if streams {
            self.fetch = None;
        }
        let result = match result {
            // A FETCH answered in words is no frame.
            Ok(text) if !(streams) => Ok(text),
            _ => Err(LinkError::Refused { command }),
        };
        self.done(sent.token, result);
    }

    /// Sends a command (many may be in flight); the answer comes as [`LinkEvent::Reply`].
    pub fn submit(&mut self, token: Token, command: Command, now: Now) {
        let text = command.text();
        if let Some(why) = self.not_up() {
            return self.done(token, Err(LinkError::Down { command: text, why, sent: false }));
        }
        let timeout = command.timeout(&self.config.timeouts);
        let expects = command.expects();
        if matches!(expects, Expect::Blocks(_)) && self.fetch.is_some() {
            return self.done(token, Err(LinkError::Full { command: text }));
        }
        let sent = Sent { token, command, since: now.mono, deadline: now.mono + timeout, timeout };
        let Ok(id) = self.ids.take(sent) else {
            return self.done(token, Err(LinkError::Full { command: text }));
        };
        self.outputs.push_back(Output::Send(host::line(id, &text)));
        match expects {
            Expect::Text => {}
            Expect::Blocks(0) => {
                let _ = self.ids.answered(id);
                self.done(token, Ok(String::new()));
            }
            Expect::Blocks(blocks) => self.fetch = Some(Fetch::new(token, id, blocks)),
            Expect::Nothing => {
                let _ = self.ids.answered(id);
                self.done(token, Ok(String::new()));
            }
        }
    }

    /// Leave the link closed until [`ArchonLink::open`]: `disconnect` of an operator.
    pub fn close(&mut self, why: &str, now: Now) {
        if matches!(self.state, State::Up | State::Connecting) {
            self.outputs.push_back(Output::Disconnect(why.to_owned()));
        }
        if matches!(self.state, State::Up) {
            self.lose(why, now);
        }
        self.state = State::Closed { why: why.to_owned() };
    }

    /// Connect (again), at once.
    pub fn open(&mut self, now: Now) {
        match self.state {
            State::Closed { .. } | State::Waiting { .. } => {
                self.backoff.reset();
                self.connect();
            }
            State::Connecting => {}
            State::Up => {
                let why = "opened anew";
                self.outputs.push_back(Output::Disconnect(why.into()));
                self.lose(why, now);
            }
        }
    }

    /// The consumer of a FETCH is (not) full: reading pauses, and no wait counts meanwhile.
    pub fn set_paused(&mut self, paused: bool, now: Now) {
        if paused == self.paused || !matches!(self.state, State::Up) {
            return;
        }
        self.paused = paused;
        if !paused {
            self.ids.restart_waits(now.mono);
        }
        self.outputs.push_back(Output::PauseReading(paused));
    }

    /// Gives an empty piece of [`LinkEvent::Data`] back, to be filled again.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        match self.state {
            State::Waiting { until, .. } if until <= now.mono => self.connect(),
            State::Up if !self.paused => self.give_up_late(now),
            _ => {}
        }
    }

    fn give_up_late(&mut self, now: Now) {
        while let Some(sent) = self.ids.overdue(now.mono) {
            let command = sent.command.text();
            let streams = matches!(sent.command.expects(), Expect::Blocks(_));
            let waited = if streams { sent.timeout } else { now.mono.since(sent.since) };
            let waited_ms = waited.as_millis() as u64;
            self.done(sent.token, Err(LinkError::Timeout { command: command.clone(), waited_ms }));
            if streams {
                // The rest of the stream may still come: only a new connection is clean.
                let why = format!("{command}: silence for {waited_ms} ms in the middle of a frame");
                self.fetch = None;
                self.outputs.push_back(Output::Disconnect(why.clone()));
                return self.lose(&why, now);
            }
        }
    }

    /// When to call [`ArchonLink::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Waiting { until, .. } => Some(*until),
            State::Up if !self.paused => self.ids.deadline(),
            _ => None,
        }
    }

    /// The next order; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn not_up(&self) -> Option<String> {
        match &self.state {
            State::Up => None,
            State::Connecting => Some("connecting".into()),
            State::Closed { why } | State::Waiting { why, .. } => Some(why.clone()),
        }
    }

    fn connect(&mut self) {
        self.state = State::Connecting;
        self.outputs.push_back(Output::Connect { timeout: self.config.connect_timeout });
    }

    fn wait(&mut self, why: &str, now: Now) {
        let until = now.mono + self.backoff.next_pause();
        self.state = State::Waiting { until, why: why.to_owned() };
    }

    /// The connection is gone: everything in flight is answered, ids and framing begin anew.
    fn lose(&mut self, why: &str, now: Now) {
        self.fetch = None;
        for sent in self.ids.clear() {
            let error = LinkError::Down { command: sent.command.text(), why: why.to_owned(), sent: true };
            self.done(sent.token, Err(error));
        }
        self.outputs.push_back(Output::Event(LinkEvent::Down { why: why.to_owned() }));
        self.wait(why, now);
    }

    fn done(&mut self, token: Token, result: Result<String, LinkError>) {
        if result.is_ok() {
            // The peer answers: the next loss begins with the shortest pause again.
            self.backoff.reset();
        }
        self.outputs.push_back(Output::Event(LinkEvent::Reply { token, result }));
    }

    fn note(&mut self, text: String) {
        self.outputs.push_back(Output::Event(LinkEvent::Note(text)));
    }
}
