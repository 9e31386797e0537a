//! One client of the simulator: its lines in, its output in time.
//!
//! A request is taken up when the one before it is answered: `busy` until a time, `paused` until the
//! reply is given. With Nagle's algorithm on, output waits while earlier output is unacknowledged; what
//! a client sends acknowledges.

use super::sampling::Sampling;
use super::{Faults, Speaks};
use crate::proto::katcp::{BadLine, Decoder, Dialect, LINE_LIMIT, LineError, Message};
use crate::units::Mono;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Most output held back for a client (a fault that delays, a client that floods); bytes.
const MAX_HELD: usize = 256 << 20;
/// What the C server hands to the system at a time, bytes.
const BLOCK: usize = 4096;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: String,
    decoder: Decoder,
    /// Output and when it is due, in order.
    held: VecDeque<(Mono, Vec<u8>)>,
    held_bytes: usize,
    /// Until then the next request waits; zero: it does not.
    busy: Mono,
    /// The reply to a request comes later, and with it the next request.
    paused: bool,
    /// Until then output waits for its acknowledgement; zero: it does not.
    unacknowledged: Mono,
    /// Output was cut and its rest waits.
    cut: bool,
    /// Subscriptions by sensor.
    pub(super) sampling: BTreeMap<usize, Sampling>,
    too_long: bool,
    /// Bytes sent so far.
    pub(super) sent: u64,
}

impl Client {
    pub(super) fn new(speaks: Speaks, peer: String) -> Client {
        let dialect = match speaks {
            Speaks::V4 => Dialect::V4_SERVER,
            Speaks::V5 => Dialect::STRICT,
        };
        Client {
            peer,
            decoder: Decoder::new(LINE_LIMIT, dialect),
            held: VecDeque::new(),
            held_bytes: 0,
            busy: Mono(0),
            paused: false,
            unacknowledged: Mono(0),
            cut: false,
            sampling: BTreeMap::new(),
            too_long: false,
            sent: 0,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.unacknowledged = Mono(0);
        self.decoder.feed(bytes);
    }

    pub(super) fn next_line(&mut self, now: Mono) -> Option<Result<Message, BadLine>> {
        if now < self.busy || self.paused || self.hopeless() {
            return None;
        }
        self.busy = Mono(0);
        let item = self.decoder.next_message();
        if let Some(Err(BadLine { error: LineError::TooLong { .. }, .. })) = &item {
            self.too_long = true;
        }
        item
    }

    pub(super) fn queue(&mut self, line: &Message, ready: Mono, faults: &Faults) {
        let due = faults.due(ready);
        let due = self.held.back().map_or(due, |(last, _)| due.max(*last));
        match self.held.back_mut() {
            Some((at, bytes)) if *at == due => {
                let before = bytes.len();
                line.emit(bytes);
                self.held_bytes += bytes.len() - before;
            }
            _ => {
                let bytes = line.to_bytes();
                self.held_bytes += bytes.len();
                self.held.push_back((due, bytes));
            }
        }
    }

    pub(super) fn busy_until(&mut self, at: Mono) {
        self.busy = self.busy.max(at);
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Output that is due by `now`. `nagle`: how long an acknowledgement takes.
    pub(super) fn due(&mut self, now: Mono, nagle: Option<Duration>) -> Vec<u8> {
        let mut all = Vec::new();
        if now < self.unacknowledged {
            return all;
        }
        while let Some((_, bytes)) = self.held.pop_front_if(|(at, _)| *at <= now) {
            self.held_bytes -= bytes.len();
            all.extend(bytes);
        }
        if let Some(delay) = nagle.filter(|_| !all.is_empty()) {
            self.hold_rest(&mut all, now);
            self.unacknowledged = now + delay;
        }
        all
    }

    /// The first block leaves, the rest with the acknowledgement.
    fn hold_rest(&mut self, all: &mut Vec<u8>, now: Mono) {
        self.cut = !self.cut && all.len() > BLOCK;
        if self.cut {
            let rest = all.split_off(BLOCK);
            self.held_bytes += rest.len();
            self.held.push_front((now, rest));
        }
    }

    /// When there is something to do: output, a request that waited, a reading.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let output = self.held.front().map(|(at, _)| (*at).max(self.unacknowledged));
        let waits = self.busy > Mono(0) && !self.paused && self.decoder.held() > 0;
        let reading = self.sampling.values().map(Sampling::deadline).min();
        [output, waits.then_some(self.busy), reading].into_iter().flatten().min()
    }

    /// A line beyond the limit, more output or input held than allowed: the connection ends.
    pub(super) fn hopeless(&self) -> bool {
        self.too_long || self.held_bytes > MAX_HELD || self.decoder.held() > MAX_HELD
    }
}
