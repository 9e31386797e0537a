//! A client's end of one KATCP link: finds out which protocol the server speaks, pairs replies with
//! requests, gives up on time, and comes back after a loss.
//!
//! ```text
//! Waiting --(back-off over)--> Connecting --connected--> Negotiating --version or 1 s--> Ready
//!    ^------------- closed, protocol error, v4 timeout, missed watchdog ------------------'
//! ```
//!
//! v4 servers (the C server of a ROACH) know no ids: replies come in order, so a request that timed
//! out leaves the pairing ambiguous and the link is re-opened. v5 servers repeat the id; a late reply
//! is recognised and dropped. Pure: the owner carries out the [`Output`]s. `connected`, `closed` and
//! `receive` must be about the connection of the latest [`Output::Connect`]; after
//! [`Output::Disconnect`] nothing about it may come any more.

mod counters;
mod link;
mod outstanding;
#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use link::{Backoff, LinkState, Protocol};
pub use outstanding::RequestId;

use crate::proto::katcp::{Decoder, Dialect, Kind, LINE_LIMIT, LineError, Message};
use crate::units::{Mono, Now};
use outstanding::{Entry, Outstanding};
use std::collections::VecDeque;
use std::time::Duration;
use thiserror::Error;

/// Most requests waiting behind the window.
pub const MAX_QUEUED: usize = 65_536;
/// Most bytes waiting behind the window.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;
/// Most informs kept for one request.
pub const MAX_INFORMS: usize = 65_536;
/// Most bytes of informs kept for one request.
pub const MAX_INFORM_BYTES: usize = 64 << 20;
/// Unanswered keep-alive requests until the link counts as lost.
pub const MISSED_WATCHDOGS: u32 = 2;

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Register access and questions.
    Normal,
    /// Programming: the reference server may first stop for 3 s.
    Program,
    /// Transfers of images.
    Upload,
    /// Starting or stopping a 10 GbE core.
    Tap,
}

/// Times, bounds and the seed of a link.
#[derive(Clone, Debug)]
pub struct Config {
    /// Limit for [`Class::Normal`].
    pub timeout_normal: Duration,
    /// Limit for [`Class::Program`].
    pub timeout_program: Duration,
    /// Limit for [`Class::Upload`].
    pub timeout_upload: Duration,
    /// Limit for [`Class::Tap`].
    pub timeout_tap: Duration,
    /// For the owner's TCP connect.
    pub timeout_connect: Duration,
    /// Without a version by then the server is a v4 server.
    pub negotiation: Duration,
    /// Silence after which the server is asked for a sign of life.
    pub keep_alive: Duration,
    /// First pause before a reconnect; doubles.
    pub backoff_first: Duration,
    /// Longest pause.
    pub backoff_limit: Duration,
    /// Most requests on the wire.
    pub window_requests: usize,
    /// Most request bytes on the wire (a single larger request goes alone).
    pub window_bytes: usize,
    /// Longest line accepted, bytes.
    pub line_limit: usize,
    /// Seed of the back-off's jitter.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            timeout_normal: Duration::from_secs(5),
            timeout_program: Duration::from_secs(30),
            timeout_upload: Duration::from_secs(60),
            timeout_tap: Duration::from_secs(10),
            timeout_connect: Duration::from_secs(5),
            negotiation: Duration::from_secs(1),
            keep_alive: Duration::from_secs(15),
            backoff_first: Duration::from_millis(500),
            backoff_limit: Duration::from_secs(30),
            window_requests: 1024,
            window_bytes: 256 << 10,
            line_limit: LINE_LIMIT,
            seed: 0,
        }
    }
}

impl Config {
    /// The limit of a class.
    pub fn timeout(&self, class: Class) -> Duration {
        match class {
            Class::Normal => self.timeout_normal,
            Class::Program => self.timeout_program,
            Class::Upload => self.timeout_upload,
            Class::Tap => self.timeout_tap,
        }
    }
}

/// A reply with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request as sent, for error texts.
    pub request: Message,
    /// The reply.
    pub reply: Message,
    /// Arguments of the informs of the same name that came before.
    pub informs: Vec<Vec<Vec<u8>>>,
    /// `#log` texts of level error and fatal since the request: v4 servers give their reasons there.
    pub log: Vec<String>,
}

impl Answer {
    /// First argument is `ok`.
    pub fn is_ok(&self) -> bool {
        self.reply.args.first().is_some_and(|a| a == b"ok")
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The link is down, or went down before the reply.
    #[error("{request}: not connected ({why})")]
    NotConnected {
        /// Request name.
        request: String,
        /// Why the link is down.
        why: String,
    },
    /// No reply in time.
    #[error("{request}: no reply within {waited_ms} ms")]
    Timeout {
        /// Request name.
        request: String,
        /// How long we waited, ms.
        waited_ms: u64,
    },
    /// The peer broke the protocol.
    #[error("{0}")]
    Protocol(String),
    /// Too much is queued already.
    #[error("{request}: {MAX_QUEUED} requests or {MAX_QUEUED_BYTES} bytes are queued already")]
    QueueFull {
        /// Request name.
        request: String,
    },
}

/// Level of a [`Output::Log`].
pub type Level = log::Level;

/// An order or a fact for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a connection (resolve the name anew) and report `connected` or `closed`.
    Connect {
        /// Give up after this and report `closed`.
        timeout: Duration,
    },
    /// Write these bytes.
    Send(Vec<u8>),
    /// Drop the connection now.
    Disconnect(String),
    /// A request is finished.
    Done {
        /// Which.
        request: RequestId,
        /// Reply or reason.
        result: Result<Box<Answer>, RequestError>,
    },
    /// The link changed; not repeated for retries.
    StateChanged(LinkState),
    /// An inform that belongs to no request (`#fpga`, `#client-connected`, ...), not `#log`.
    Inform(Message),
    /// Something for the log; `peer`: said by the server itself.
    Log {
        /// How serious.
        level: Level,
        /// The text.
        text: String,
        /// From the server's `#log`.
        peer: bool,
    },
}

/// The link. Starts down; the first [`KatcpClient::tick`] connects.
#[derive(Debug)]
pub struct KatcpClient {
    config: Config,
    state: link::State,
    backoff: Backoff,
    decoder: Decoder,
    outstanding: Outstanding,
    outputs: VecDeque<Output>,
    unsent: Vec<u8>,
    counters: Counters,
    announced: LinkState,
    last_traffic: Mono,
    missed_watchdogs: u32,
    complained: bool,
}

impl KatcpClient {
    /// A link that will connect at the first tick.
    pub fn new(config: Config) -> KatcpClient {
        KatcpClient {
            state: link::State::Waiting { until: Mono(0), why: "not yet tried".into() },
            backoff: Backoff::new(config.backoff_first, config.backoff_limit, config.seed),
            decoder: Decoder::new(config.line_limit, Dialect::V4_PEER),
            outstanding: Outstanding::default(),
            outputs: VecDeque::new(),
            unsent: Vec::new(),
            counters: Counters::default(),
            announced: LinkState::Down,
            last_traffic: Mono(0),
            missed_watchdogs: 0,
            complained: false,
            config,
        }
    }

    /// Up, down, or in between.
    pub fn state(&self) -> LinkState {
        self.state.public()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Requests that are queued or on the wire.
    pub fn pending(&self) -> usize {
        self.outstanding.len()
    }

    /// Queues a request. It fails at once when the link is down, and waits for the negotiation.
    pub fn request(&mut self, request: Message, class: Class, now: Now) -> RequestId {
        let id = self.outstanding.new_id();
        let name = request.name.clone();
        if let link::State::Waiting { why, .. } = &self.state {
            let error = RequestError::NotConnected { request: name, why: why.clone() };
            self.finish(id, Err(error));
        } else if self.outstanding.is_full() {
            self.finish(id, Err(RequestError::QueueFull { request: name }));
        } else {
            self.outstanding.queue(Entry::new(id, request, class, now.mono));
            self.pump(now);
        }
        id
    }

    /// The connection asked for is there.
    pub fn connected(&mut self, now: Now) {
        self.decoder = Decoder::new(self.config.line_limit, Dialect::V4_PEER);
        self.complained = false;
        self.missed_watchdogs = 0;
        self.last_traffic = now.mono;
        self.enter(link::State::Negotiating { until: now.mono + self.config.negotiation });
    }

    /// The connection could not be made, or is gone.
    pub fn closed(&mut self, why: &str, now: Now) {
        if !matches!(self.state, link::State::Waiting { .. }) {
            self.lose(why, now);
        }
    }

    /// Bytes from the server, in any pieces.
    pub fn receive(&mut self, bytes: &[u8], now: Now) {
        if matches!(self.state, link::State::Waiting { .. } | link::State::Connecting { .. }) {
            return;
        }
        self.last_traffic = now.mono;
        self.missed_watchdogs = 0;
        self.counters.bytes_received += bytes.len() as u64;
        self.decoder.feed(bytes);
        while let Some(item) = self.decoder.next_message() {
            match item {
                Ok(message) => self.message(message, now),
                Err(bad) => {
                    self.complain(&format!("{}: '{}'", bad.error, bad.quote));
                    if matches!(bad.error, LineError::TooLong { .. }) {
                        self.protocol_error(&bad.error.to_string(), now);
                    }
                }
            }
            if matches!(self.state, link::State::Waiting { .. }) {
                return;
            }
        }
        self.pump(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        match self.state.deadline() {
            Some(at) if at <= now.mono => self.state_due(now),
            _ => {}
        }
        self.expire(now);
        if self.watchdog_at().is_some_and(|at| at <= now.mono) {
            self.ask_for_life(now);
        }
        self.pump(now);
    }

    /// When to call [`KatcpClient::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let request = self.outstanding.deadline(self.state.uses_ids(), &self.config);
        [self.state.deadline(), request, self.watchdog_at()].into_iter().flatten().min()
    }

    /// Drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        if !self.unsent.is_empty() {
            self.counters.bytes_sent += self.unsent.len() as u64;
            self.outputs.push_back(Output::Send(std::mem::take(&mut self.unsent)));
        }
        self.outputs.pop_front()
    }

    fn state_due(&mut self, now: Now) {
        match self.state {
            link::State::Waiting { .. } => {
                let until = now.mono + self.config.timeout_connect * 2;
                self.enter(link::State::Connecting { until });
                self.counters.connects += 1;
                self.outputs.push_back(Output::Connect { timeout: self.config.timeout_connect });
            }
            link::State::Connecting { .. } => {
                self.drop_link("the connection attempt was never answered", now)
            }
            link::State::Negotiating { .. } => self.negotiated(Protocol::V4, now),
            link::State::Ready { .. } => {}
        }
    }

    fn negotiated(&mut self, protocol: Protocol, now: Now) {
        let dialect = if protocol == Protocol::V4 { Dialect::V4_PEER } else { Dialect::STRICT };
        self.decoder.set_dialect(dialect);
        self.enter(link::State::Ready { protocol });
        self.pump(now);
    }

    fn enter(&mut self, state: link::State) {
        self.state = state;
        let public = self.state.public();
        let steps = matches!(public, LinkState::Down | LinkState::Up(_));
        if steps && public != self.announced {
            self.announced = public;
            self.outputs.push_back(Output::StateChanged(public));
        }
    }

    /// Moves queued requests onto the wire as far as the window allows.
    fn pump(&mut self, now: Now) {
        let link::State::Ready { protocol } = self.state else { return };
        let sent = self.outstanding.send(protocol.ids(), &self.config, now.mono, &mut self.unsent);
        if sent.requests > 0 {
            self.last_traffic = now.mono;
            self.counters.requests += sent.requests;
            self.counters.bursts += u64::from(sent.from_idle);
        }
    }

    fn message(&mut self, message: Message, now: Now) {
        match message.kind {
            Kind::Reply => self.reply(message, now),
            Kind::Inform => self.inform(message, now),
            Kind::Request => self.complain(&format!("a server sends no requests: '{message}'")),
        }
    }

    fn reply(&mut self, reply: Message, now: Now) {
        match self.outstanding.take_for(&reply, self.state.uses_ids(), now.mono) {
            outstanding::Match::Entry(entry) => self.answered(*entry, reply, now),
            outstanding::Match::Late => {
                self.counters.late_replies += 1;
                self.log(Level::Debug, format!("late reply dropped: {}", reply.name));
            }
            outstanding::Match::Broken(why) => self.protocol_error(&why, now),
        }
    }

    fn answered(&mut self, entry: Entry, reply: Message, now: Now) {
        self.counters.replied(now.mono.since(entry.sent_at()));
        let answer = self.outstanding.answer(entry, reply);
        match answer {
            outstanding::Finished::Internal => {}
            outstanding::Finished::Request(id, answer) => self.finish(id, Ok(answer)),
        }
    }

    fn inform(&mut self, inform: Message, now: Now) {
        match inform.name.as_str() {
            "log" => self.peer_log(&inform),
            "version-connect" => self.version_connect(&inform, now),
            "version" | "build-state" if self.state.negotiating() => self.negotiated(Protocol::V4, now),
            "disconnect" => self.drop_link(&format!("the server says goodbye: {}", inform.text(0)), now),
            "client-disconnected" if inform.args.first().is_some_and(|a| a == b"overloaded") => {
                self.log(Level::Warn, "the server has too many clients and evicts us".into());
                self.outputs.push_back(Output::Inform(inform));
            }
            _ => self.inform_of_request(inform, now),
        }
    }

    fn inform_of_request(&mut self, inform: Message, now: Now) {
        match self.outstanding.attach(inform, self.state.uses_ids()) {
            outstanding::Attached::Yes => {}
            outstanding::Attached::TooMany(name) => {
                self.protocol_error(&format!("{name}: more informs than {MAX_INFORMS}"), now);
            }
            outstanding::Attached::NotOurs(inform) => self.outputs.push_back(Output::Inform(inform)),
        }
    }

    fn version_connect(&mut self, inform: &Message, now: Now) {
        if inform.args.first().is_none_or(|a| a != b"katcp-protocol") || !self.state.negotiating() {
            return;
        }
        match Protocol::parse(&inform.text(1)) {
            Some(protocol) => self.negotiated(protocol, now),
            None => self.protocol_error(&format!("unknown protocol version '{}'", inform.text(1)), now),
        }
    }

    fn peer_log(&mut self, inform: &Message) {
        let level = link::log_level(&inform.text(0));
        let text = format!("{}: {}", inform.text(2), inform.text(3));
        if level == Level::Error {
            self.outstanding.remember_log(inform.text(3).into_owned());
        }
        self.outputs.push_back(Output::Log { level, text, peer: true });
    }

    /// Ends what waited too long: one by one where ids tell replies apart, else with the link.
    fn expire(&mut self, now: Now) {
        let ids = self.state.uses_ids();
        while let Some(entry) = self.outstanding.take_expired(now.mono, ids, &self.config) {
            self.counters.timeouts += 1;
            let waited_ms = now.mono.since(entry.waiting_since()).as_millis() as u64;
            let error = RequestError::Timeout { request: entry.name().to_owned(), waited_ms };
            let on_wire = entry.on_wire();
            match entry.public_id() {
                Some(id) => self.finish(id, Err(error.clone())),
                None => self.missed_watchdogs += 1,
            }
            let lost = self.missed_watchdogs >= MISSED_WATCHDOGS;
            if on_wire && (!ids || lost) {
                self.drop_link(&error.to_string(), now);
                return;
            }
            if entry.public_id().is_none() {
                self.ask_for_life(now);
            }
        }
    }

    fn watchdog_at(&self) -> Option<Mono> {
        let idle = matches!(self.state, link::State::Ready { .. }) && self.outstanding.len() == 0;
        idle.then(|| self.last_traffic + self.config.keep_alive)
    }

    fn ask_for_life(&mut self, now: Now) {
        let request = Message::new(Kind::Request, "watchdog");
        self.outstanding.queue(Entry::internal(request, Class::Normal, now.mono));
        self.pump(now);
    }

    fn complain(&mut self, text: &str) {
        self.counters.bad_lines += 1;
        if !std::mem::replace(&mut self.complained, true) {
            self.log(Level::Warn, format!("not KATCP (reported once per connection): {text}"));
        }
    }

    fn protocol_error(&mut self, why: &str, now: Now) {
        self.counters.protocol_errors += 1;
        for (id, _) in self.outstanding.take_all() {
            self.finish(id, Err(RequestError::Protocol(why.to_owned())));
        }
        self.drop_link(why, now);
    }

    fn drop_link(&mut self, why: &str, now: Now) {
        self.outputs.push_back(Output::Disconnect(why.to_owned()));
        self.lose(why, now);
    }

    /// The connection is gone: what waited for it fails now.
    fn lose(&mut self, why: &str, now: Now) {
        if self.announced != LinkState::Down || self.counters.connects == 1 {
            self.log(Level::Warn, format!("link down: {why}"));
        }
        if self.state.was_up() {
            self.counters.losses += 1;
            self.backoff.reset();
        }
        self.unsent.clear();
        for (id, request) in self.outstanding.take_all() {
            self.finish(id, Err(RequestError::NotConnected { request, why: why.to_owned() }));
        }
        let until = now.mono + self.backoff.next_pause();
        self.enter(link::State::Waiting { until, why: why.to_owned() });
    }

    fn finish(&mut self, request: RequestId, result: Result<Box<Answer>, RequestError>) {
        self.outputs.push_back(Output::Done { request, result });
    }

    fn log(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Log { level, text, peer: false });
    }
}
