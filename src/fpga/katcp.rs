//! Registers of a board behind a KATCP server.
//!
//! An operation becomes a script of requests ([`requests`]) that go out together: the read that
//! verifies a write leaves right behind it. Operations that must look before they write (ARP table,
//! register flush) take several rounds; what was submitted later waits for them, so that the order
//! of submission stays the order of execution.

mod requests;
mod rounds;
#[cfg(test)]
mod tests;

use super::{Fpga, FpgaError, FpgaOp, FpgaReply, OpId};
use crate::proto::katcp::{Message, printable};
use crate::session::katcp_client::{
    Answer, Config, Counters, KatcpClient, LinkState, Output, Protocol, RequestError, RequestId,
};
use crate::units::{Mono, Now};
pub(super) use requests::compare;
use requests::{Ask, Collected};
pub(super) use rounds::ARP_TABLE;
use rounds::Rounds;
use std::collections::{HashMap, VecDeque};

/// Most operations waiting for an operation of several rounds.
pub const MAX_WAITING: usize = 4096;
/// Most bytes of a request or reply shown in an error text.
const QUOTE: usize = 240;

/// Options of the backend.
#[derive(Clone, Debug, Default)]
pub struct KatcpFpgaConfig {
    /// The board's name, for error texts.
    pub board: String,
    /// The link.
    pub link: Config,
    /// Registers whose writes are never read back: the fabric changes them.
    pub unverified: Vec<String>,
}

/// What the owner of the connection must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkOutput {
    /// Open a connection and report `connected` or `closed`; give up after the time given.
    Connect {
        /// For the connect.
        timeout: std::time::Duration,
    },
    /// Write these bytes.
    Send(Vec<u8>),
    /// Drop the connection now.
    Disconnect(String),
    /// Up or down.
    StateChanged(LinkState),
    /// Something the board said by itself (`#fpga ready`).
    Inform(Message),
    /// For the log; `peer`: the board's own words.
    Log {
        /// How serious.
        level: log::Level,
        /// The text.
        text: String,
        /// From the server's `#log`.
        peer: bool,
    },
}

/// The backend.
#[derive(Debug)]
pub struct KatcpFpga {
    config: KatcpFpgaConfig,
    client: KatcpClient,
    last_op: u64,
    running: HashMap<OpId, Running>,
    by_request: HashMap<RequestId, (OpId, usize)>,
    waiting: VecDeque<(OpId, FpgaOp)>,
    /// The operation of several rounds that holds back the others.
    barrier: Option<OpId>,
    done: VecDeque<(OpId, Result<FpgaReply, FpgaError>)>,
    outputs: VecDeque<LinkOutput>,
}

/// An operation whose requests are out.
#[derive(Debug)]
struct Running {
    asks: Vec<Ask>,
    left: usize,
    collected: Collected,
    rounds: Option<Rounds>,
}

impl KatcpFpga {
    /// A backend that will connect at the first tick.
    pub fn new(config: KatcpFpgaConfig) -> KatcpFpga {
        let client = KatcpClient::new(config.link.clone());
        KatcpFpga {
            config,
            client,
            last_op: 0,
            running: HashMap::new(),
            by_request: HashMap::new(),
            waiting: VecDeque::new(),
            barrier: None,
            done: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Up, down, or in between.
    pub fn link(&self) -> LinkState {
        self.client.state()
    }

    /// What the link did so far.
    pub fn counters(&self) -> &Counters {
        self.client.counters()
    }

    /// The connection asked for is there.
    pub fn connected(&mut self, now: Now) {
        self.client.connected(now);
        self.turn(now);
    }

    /// The connection could not be made, or is gone.
    pub fn closed(&mut self, why: &str, now: Now) {
        self.client.closed(why, now);
        self.turn(now);
    }

    /// Bytes from the board.
    pub fn receive(&mut self, bytes: &[u8], now: Now) {
        self.client.receive(bytes, now);
        self.turn(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.client.tick(now);
        self.turn(now);
    }

    /// When to call [`KatcpFpga::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        self.client.deadline()
    }

    /// What the connection needs; drain to `None` after every other call.
    pub fn poll_link(&mut self) -> Option<LinkOutput> {
        self.outputs.pop_front()
    }

    /// Drains the link, feeds operations, until both rest.
    fn turn(&mut self, now: Now) {
        loop {
            while let Some(output) = self.client.poll() {
                self.take(output, now);
            }
            if self.barrier.is_some() {
                return;
            }
            let Some((id, op)) = self.waiting.pop_front() else { return };
            self.begin(id, op, now);
        }
    }

    fn take(&mut self, output: Output, now: Now) {
        let passed_on = match output {
            Output::Done { request, result } => return self.answered(request, result, now),
            Output::Connect { timeout } => LinkOutput::Connect { timeout },
            Output::Send(bytes) => LinkOutput::Send(bytes),
            Output::Disconnect(why) => LinkOutput::Disconnect(why),
            Output::StateChanged(state) => LinkOutput::StateChanged(state),
            Output::Inform(message) => LinkOutput::Inform(message),
            Output::Log { level, text, peer } => LinkOutput::Log { level, text, peer },
        };
        self.outputs.push_back(passed_on);
    }

    fn begin(&mut self, id: OpId, op: FpgaOp, now: Now) {
        if op == FpgaOp::CountsMilliseconds {
            let answer = self.counts_milliseconds();
            return self.done.push_back((id, answer));
        }
        match Rounds::of(&op, &self.config.unverified) {
            Some(mut rounds) => {
                let asks = rounds.first();
                self.barrier = Some(id);
                self.ask(id, asks, Some(rounds), now);
            }
            None => match requests::script(op, &self.config.unverified) {
                Ok(asks) => self.ask(id, asks, None, now),
                Err(error) => self.done.push_back((id, Err(error))),
            },
        }
    }

    fn counts_milliseconds(&self) -> Result<FpgaReply, FpgaError> {
        match self.client.state() {
            LinkState::Up(protocol) => Ok(FpgaReply::Flag(protocol == Protocol::V4)),
            _ => Err(FpgaError::NotConnected {
                op: "convert_seconds".into(),
                board: self.config.board.clone(),
                why: "its protocol is not known yet".into(),
            }),
        }
    }

    fn ask(&mut self, id: OpId, asks: Vec<Ask>, rounds: Option<Rounds>, now: Now) {
        let requests: Vec<_> = asks.iter().map(|a| (a.request(), a.class())).collect();
        let left = asks.len();
        self.running.insert(id, Running { asks, left, collected: Collected::default(), rounds });
        for (n, (request, class)) in requests.into_iter().enumerate() {
            let request = self.client.request(request, class, now);
            self.by_request.insert(request, (id, n));
        }
        if left == 0 {
            self.round_over(id, now);
        }
    }

    fn answered(&mut self, request: RequestId, result: Result<Box<Answer>, RequestError>, now: Now) {
        let Some((id, n)) = self.by_request.remove(&request) else { return };
        let Some(running) = self.running.get_mut(&id) else { return };
        let answer = result.map_err(|e| no_answer(e, &self.config.board));
        let ask = &running.asks[n];
        match answer.and_then(|a| ask.evaluate(*a, &mut running.collected)) {
            Ok(()) => {}
            Err(error) => running.collected.failures.push((ask.register().to_owned(), error)),
        }
        running.left -= 1;
        if running.left == 0 {
            self.round_over(id, now);
        }
    }

    /// All replies of a round are in.
    fn round_over(&mut self, id: OpId, now: Now) {
        let Some(Running { collected, rounds, .. }) = self.running.remove(&id) else { return };
        let Some(mut rounds) = rounds else {
            self.done.push_back((id, collected.reply()));
            return;
        };
        match rounds.next(collected) {
            rounds::Next::Ask(asks) => self.ask(id, asks, Some(rounds), now),
            rounds::Next::Done(result) => {
                self.barrier = None;
                self.done.push_back((id, result));
            }
        }
    }
}

impl Fpga for KatcpFpga {
    fn submit(&mut self, op: FpgaOp, now: Now) -> OpId {
        self.last_op += 1;
        let id = OpId(self.last_op);
        if self.waiting.len() >= MAX_WAITING {
            let text = format!("{MAX_WAITING} operations wait for the board already");
            self.done.push_back((id, Err(FpgaError::Invalid(text))));
            return id;
        }
        self.waiting.push_back((id, op));
        self.turn(now);
        id
    }

    fn poll(&mut self) -> Option<(OpId, Result<FpgaReply, FpgaError>)> {
        self.done.pop_front()
    }
}

fn no_answer(error: RequestError, board: &str) -> FpgaError {
    match error {
        RequestError::NotConnected { request, why } => {
            FpgaError::NotConnected { op: request, board: board.to_owned(), why }
        }
        RequestError::Timeout { request, waited_ms } => FpgaError::Timeout { op: request, waited_ms },
        RequestError::Protocol(why) => FpgaError::Protocol(why),
        full @ RequestError::QueueFull { .. } => FpgaError::Invalid(full.to_string()),
    }
}

/// A reply other than `ok`, in the words client scripts look for.
fn rejected(answer: Answer) -> FpgaError {
    let quote = |m: &Message| {
        let mut bytes = m.clone().with_id(None).to_bytes();
        bytes.pop();
        printable(&bytes, QUOTE)
    };
    FpgaError::Rejected {
        op: answer.request.name.clone(),
        request: quote(&answer.request),
        reply: quote(&answer.reply),
        log: answer.log,
    }
}
