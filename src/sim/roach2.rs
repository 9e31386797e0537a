//! A ROACH2's KATCP server with a board in memory behind it. Pure: bytes and time in, bytes out.
//!
//! ```text
//! bytes -> Client (lines, output in time) -> commands::TABLE -> Board
//!            ^ faults on the way out                             | events: started, stopped
//! ```
//!
//! v4 (default) greets, answers and stays silent as the C server of the hardware does: no ids, one
//! request at a time per client, the reason of a failure in a `#log` line before the reply. v5 has
//! ids, times in seconds and the reason in the reply. Either answers a connection in strict order.

mod client;
mod commands;
mod delivery;
mod faults;
mod images;
mod numbers;
mod registers;
mod sampling;
mod sensors;
mod tap;
#[cfg(test)]
mod tests;
mod upload;
mod valon;

pub use faults::{Fault, Faults};
pub use images::MAX_IMAGE;

use crate::fpga::model::{Board, BoardConfig, BoardEvent};
use crate::proto::katcp::{Kind, Message};
use crate::sim::valon::LockFault;
use crate::units::{Mono, Now, Utc};
use client::Client;
use commands::{Exchange, Reply};
use numbers::Numbers;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Clients at a time; the next one evicts one of them, as the hardware does.
pub const MAX_CLIENTS: usize = 32;
/// Lines kept for inspection.
pub const MAX_TRANSCRIPT: usize = 4096;
/// How long the server of the hardware stands still when a design with running taps goes.
pub const TAP_DRAIN: Duration = Duration::from_secs(3);

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// As tcpborphserver3.
    V4,
    /// `5.0-MI`.
    V5,
}

/// Options of the simulator.
#[derive(Clone, Debug)]
pub struct RoachConfig {
    /// Protocol.
    pub speaks: Speaks,
    /// The board.
    pub board: BoardConfig,
    /// How long programming takes.
    pub program_time: Duration,
    /// Faults to inject.
    pub faults: Faults,
    /// Seed of everything random.
    pub seed: u64,
    /// Answer `bulkread`, which the C server does not have.
    pub bulkread: bool,
    /// What is no number counts as the digits before it, or 0, as to the C server.
    pub sloppy_numbers: bool,
    /// Stand still for [`TAP_DRAIN`] when a design with running taps goes.
    pub tap_drain: bool,
}

impl Default for RoachConfig {
    fn default() -> Self {
        RoachConfig {
            speaks: Speaks::V4,
            board: BoardConfig::default(),
            program_time: Duration::ZERO,
            faults: Faults::default(),
            seed: 1,
            bulkread: false,
            sloppy_numbers: false,
            tap_drain: false,
        }
    }
}

/// Names a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// An order for the owner of the connections, or a fact about the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these bytes.
    Send(ClientId, Vec<u8>),
    /// Drop the connection now.
    Close(ClientId),
    /// The instrument started or stopped.
    Board(BoardEvent),
    /// Listen on this port for one upload, on any if it is 0; answer by [`Roach::upload_listening`].
    /// The first connection is the upload.
    Listen(u16),
    /// Close that listener, and the connection of the upload.
    StopUpload,
}

/// Who asked what.
#[derive(Clone, Debug)]
struct Asked {
    client: ClientId,
    name: String,
    mid: Option<u32>,
}

impl Asked {
    fn inform<A: Into<Vec<u8>>>(&self, args: impl IntoIterator<Item = A>) -> Message {
        Message::new(Kind::Inform, self.name.clone()).args(args).with_id(self.mid)
    }
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Utc,
    /// Whose.
    pub client: ClientId,
    /// As on the wire, at most 200 bytes, printable.
    pub text: String,
}

/// The server.
#[derive(Debug)]
pub struct Roach {
    config: RoachConfig,
    board: Board,
    valon: valon::Valon,
    clients: BTreeMap<ClientId, Client>,
    outputs: VecDeque<Output>,
    transcript: VecDeque<Line>,
    requests: u64,
    rounds: u64,
    random: u64,
    log_level: String,
    upload: Option<upload::Upload>,
    /// Nobody is served before.
    still: Mono,
}

impl Roach {
    /// A server with nobody connected and no design loaded.
    pub fn new(config: RoachConfig) -> Roach {
        let mut board = config.board.clone();
        board.stuck.extend(config.faults.stuck());
        board.seed = config.seed;
        Roach {
            board: Board::new(board),
            valon: valon::Valon::new(config.faults.lock()),
            clients: BTreeMap::new(),
            outputs: VecDeque::new(),
            transcript: VecDeque::new(),
            requests: 0,
            rounds: 0,
            random: config.seed | 1,
            log_level: "info".into(),
            upload: None,
            still: Mono(0),
            config,
        }
    }

    /// Frequency of synthesizer A, the clock of the converters, MHz; `None` until it is set.
    pub fn clock_mhz(&self) -> Option<f64> {
        self.valon.frequency_mhz("synth_a")
    }

    /// From now on the synthesizer locks like this; `None`: as it should. Looks are counted from now on.
    pub fn set_lock_fault(&mut self, fault: Option<LockFault>) {
        self.valon.set_fault(fault);
    }

    /// From now on these faults. Registers that are stuck stay what they were made.
    pub fn set_faults(&mut self, faults: Faults) {
        self.config.faults = faults;
    }

    /// The board behind the server.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The board, to pulse or poke it from a test.
    pub fn board_mut(&mut self) -> &mut Board {
        &mut self.board
    }

    /// Requests and replies so far, at most [`MAX_TRANSCRIPT`] of them.
    pub fn transcript(&self) -> impl Iterator<Item = &Line> {
        self.transcript.iter()
    }

    /// Requests answered.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Deliveries of bytes that held at least one request: round trips, if the client waits.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Somebody connected.
    pub fn connect(&mut self, id: ClientId, peer: &str, now: Now) {
        if self.clients.len() >= MAX_CLIENTS {
            self.evict(now);
        }
        let mut client = Client::new(self.config.speaks, peer.to_owned());
        client.busy_until(self.still);
        for line in greeting(self.config.speaks) {
            client.queue(&line, now.mono.max(self.still), &self.config.faults);
        }
        self.clients.insert(id, client);
        self.flush(now);
    }

    /// Bytes from a client.
    pub fn receive(&mut self, id: ClientId, bytes: &[u8], now: Now) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.feed(bytes);
        self.board.advance(now.utc);
        self.rounds += u64::from(self.serve(id, now) > 0);
        self.flush(now);
    }

    /// A client is gone.
    pub fn closed(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.cancel_upload_of(id);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.board.advance(now.utc);
        self.tick_upload(now);
        let waiting: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in waiting {
            self.serve(id, now);
        }
        self.sample(now);
        self.flush(now);
    }

    /// When to call [`Roach::tick`]: for output held back, requests that wait, readings and uploads; and
    /// for what the board does by itself.
    pub fn deadlines(&self) -> (Option<Mono>, Option<Utc>) {
        let clients = self.clients.values().filter_map(Client::deadline).min();
        let upload = self.upload.as_ref().map(upload::Upload::deadline);
        (clients.into_iter().chain(upload).min(), self.board.deadline())
    }

    /// Drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Answers what a client sent, in order, until it has to wait. Returns the number of requests.
    fn serve(&mut self, id: ClientId, now: Now) -> u64 {
        let before = self.requests;
        while let Some(item) = self.clients.get_mut(&id).and_then(|c| c.next_line(now.mono)) {
            match item {
                Ok(message) if message.kind == Kind::Request => self.request(id, message, now),
                Ok(_) => {}
                Err(bad) => self.bad_line(id, &bad.error.to_string(), now),
            }
        }
        self.requests - before
    }

    fn bad_line(&mut self, id: ClientId, why: &str, now: Now) {
        if self.config.speaks == Speaks::V5 {
            let line = self.log_line("error", why, now.utc);
            self.queue(id, &line, now.mono);
        }
    }

    fn request(&mut self, id: ClientId, request: Message, now: Now) {
        self.requests += 1;
        self.note(id, &request, now.utc);
        let faults = self.config.faults.clone();
        if faults.mute(self.requests) {
            return;
        }
        for n in 0..faults.log_flood() {
            let line = self.log_line("info", &format!("chatter {n}"), now.utc);
            self.queue(id, &line, now.mono);
        }
        let mid = request.id.filter(|_| self.config.speaks == Speaks::V5);
        let mut exchange = Exchange::new(Asked { client: id, name: request.name.clone(), mid }, now);
        let reply = match faults.refuse(self.requests) {
            true => Reply::fail("injected fault"),
            false => commands::run(self, &request, &mut exchange),
        };
        self.deliver(exchange, reply, now);
    }

    /// Nobody is served before this time.
    fn stand_still(&mut self, until: Mono) {
        self.still = until;
        self.clients.values_mut().for_each(|client| client.busy_until(until));
    }

    fn numbers(&self) -> Numbers {
        if self.config.sloppy_numbers { Numbers::Sloppy } else { Numbers::Strict }
    }

    fn evict(&mut self, now: Now) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let victim = self.clients.keys().nth(self.random as usize % self.clients.len()).copied();
        let Some(victim) = victim else { return };
        let line = Message::new(Kind::Inform, "client-disconnected").arg("overloaded");
        self.queue(victim, &line, now.mono);
        self.flush(now);
        self.closed(victim);
        self.outputs.push_back(Output::Close(victim));
    }
}

fn greeting(speaks: Speaks) -> Vec<Message> {
    let inform = |name: &str, args: &[&str]| Message::new(Kind::Inform, name).args(args.iter().copied());
    let version = env!("CARGO_PKG_VERSION");
    match speaks {
        Speaks::V4 => vec![inform("version", &["appliance-roach"]), inform("build-state", &[version])],
        Speaks::V5 => vec![
            inform("version-connect", &["katcp-protocol", "5.0-MI"]),
            inform("version-connect", &["katcp-library", "appliance", version]),
            inform("version-connect", &["katcp-device", "roach2-simulator", version]),
        ],
    }
}
