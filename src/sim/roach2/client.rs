//! One client of the simulator: its lines in, its output in time.

use super::{Faults, Speaks};
use crate::proto::katcp::{BadLine, Decoder, Dialect, LINE_LIMIT, LineError, Message};
use crate::units::Mono;
use std::collections::VecDeque;

/// Most output held back for a client (a fault that delays, a client that floods); bytes.
const MAX_HELD: usize = 256 << 20;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: String,
    decoder: Decoder,
    /// Output and when it is due, in order.
    held: VecDeque<(Mono, Vec<u8>)>,
    held_bytes: usize,
    /// Until then the next request waits.
    busy: Mono,
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
            too_long: false,
            sent: 0,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes);
    }

    pub(super) fn next_line(&mut self, now: Mono) -> Option<Result<Message, BadLine>> {
        if now < self.busy || self.hopeless() {
            return None;
        }
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

    /// Output that is due by `now`.
    pub(super) fn due(&mut self, now: Mono) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((_, bytes)) = self.held.pop_front_if(|(at, _)| *at <= now) {
            self.held_bytes -= bytes.len();
            all.extend(bytes);
        }
        all
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.held.front().map(|(at, _)| *at)
    }

    /// A line beyond the limit, more output or input held than allowed: the connection ends.
    pub(super) fn hopeless(&self) -> bool {
        self.too_long || self.held_bytes > MAX_HELD || self.decoder.held() > MAX_HELD
    }
}
