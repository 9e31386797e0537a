//! A connection: command lines in, answers and blocks out, in order and in time.

use super::faults::Fault;
use super::stream::Stream;
use super::{Archon, ClientId, Output};
use crate::proto::archon::{BLOCK, host};
use crate::units::Mono;
use std::collections::VecDeque;

/// Answers waiting for a client; with more it is cut off.
const WAITING_MAX: usize = 16_384;
/// FETCHes of a client that wait for their turn; more get no answer.
const STREAMS_MAX: usize = 8;
/// Bytes of a block with its header.
const BLOCK_ON_WIRE: usize = BLOCK + 4;

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub lines: host::Lines,
    waiting: VecDeque<Outgoing>,
    pub congested: bool,
    /// Bytes handed out.
    sent: u64,
    /// Place in the order of arrival.
    pub arrived: u64,
}

#[derive(Debug)]
struct Outgoing {
    due: Mono,
    what: What,
}

#[derive(Debug)]
enum What {
    Text(Vec<u8>),
    Blocks(Stream),
}

impl Client {
    pub fn new(arrived: u64) -> Client {
        Client { arrived, ..Client::default() }
    }

    /// When something that is held back may go.
    pub fn deadline(&self) -> Option<Mono> {
        self.waiting.front().filter(|_| !self.congested).map(|o| o.due)
    }

    /// `false`: too much waits already.
    fn answer(&mut self, due: Mono, bytes: Vec<u8>) -> bool {
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push_back(Outgoing { due, what: What::Text(bytes) });
        }
        room
    }

    fn fetch(&mut self, due: Mono, stream: Stream) {
        let streams = self.waiting.iter().filter(|o| matches!(o.what, What::Blocks(_))).count();
        if streams < STREAMS_MAX {
            self.waiting.push_back(Outgoing { due, what: What::Blocks(stream) });
        }
    }

    /// The answers that come first and may go.
    fn texts(&mut self, now: Mono, bytes: &mut Vec<u8>) {
        let may_go = |o: &mut Outgoing| o.due <= now && matches!(o.what, What::Text(_));
        while let Some(Outgoing { what: What::Text(text), .. }) = self.waiting.pop_front_if(may_go) {
            bytes.extend(text);
        }
    }

    /// Every answer that may go, those behind a stream too.
    fn texts_between_blocks(&mut self, now: Mono, bytes: &mut Vec<u8>) {
        self.waiting.retain(|o| match &o.what {
            What::Text(text) if o.due <= now => {
                bytes.extend(text);
                false
            }
            _ => true,
        });
    }

    /// The stream whose turn it is.
    fn stream(&mut self, now: Mono) -> Option<&mut Stream> {
        match self.waiting.front_mut() {
            Some(Outgoing { due, what: What::Blocks(stream) }) if *due <= now => Some(stream),
            _ => None,
        }
    }
}

impl Archon {
    pub(super) fn answer(&mut self, id: ClientId, bytes: Vec<u8>) {
        let due = self.now + self.faults.delay();
        if let Some(client) = self.clients.get_mut(&id)
            && !client.answer(due, bytes)
        {
            self.clients.remove(&id);
            self.closing.push_back(id);
        }
    }

    pub(super) fn begin_stream(&mut self, id: ClientId, stream: Stream) {
        let due = self.now + self.faults.delay();
        if let Some(client) = self.clients.get_mut(&id) {
            client.fetch(due, stream);
        }
    }

    /// What a client gets next, if anything: answers, then at most a segment of a stream.
    pub(super) fn output_of(&mut self, id: ClientId) -> Option<Output> {
        let limit = self.faults.find(|f| if let Fault::DropAfter(n) = f { Some(*n) } else { None });
        let client = self.clients.get_mut(&id).filter(|c| !c.congested)?;
        let mut bytes = Vec::new();
        match self.faults.has(&Fault::Interleave) {
            true => client.texts_between_blocks(self.now, &mut bytes),
            false => client.texts(self.now, &mut bytes),
        }
        let mut end = self.blocks(id, &mut bytes);
        let client = self.clients.get_mut(&id)?;
        if bytes.is_empty() {
            // A stream that ended without a block held these up.
            client.texts(self.now, &mut bytes);
        }
        if let Some(limit) = limit
            && client.sent + bytes.len() as u64 >= limit
        {
            bytes.truncate(limit.saturating_sub(client.sent) as usize);
            self.faults.once(|f| matches!(f, Fault::DropAfter(_)).then_some(()));
            end = true;
        }
        client.sent += bytes.len() as u64;
        if end {
            self.clients.remove(&id);
            self.closing.push_back(id);
        }
        match (bytes.is_empty(), end) {
            (false, _) => Some(Output::Send(id, bytes)),
            (true, true) => self.closing.pop_front().map(Output::Close),
            (true, false) => None,
        }
    }

    /// Appends a segment of the stream; `true`: the connection ends here.
    fn blocks(&mut self, id: ClientId, bytes: &mut Vec<u8>) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        let mut left = (self.config.segment / BLOCK_ON_WIRE).max(1);
        let Some(stream) = client.stream(self.now) else { return false };
        bytes.reserve(left.min(stream.left()) * BLOCK_ON_WIRE);
        while left > 0 && !stream.is_done() {
            let here = stream.block;
            let at = |wanted: u32| (wanted == here).then_some(());
            let faults = &mut self.faults;
            if faults.once(|f| if let Fault::DropInFetch(b) = f { at(*b) } else { None }).is_some() {
                return true;
            }
            if faults.once(|f| if let Fault::CutFetch(b) = f { at(*b) } else { None }).is_some() {
                client.waiting.pop_front();
                return false;
            }
            let garbage =
                faults.once(|f| if let Fault::GarbageInFetch(b) = f { at(*b) } else { None }).is_some();
            stream.next_block(&self.buffers, bytes, garbage);
            left -= 1;
        }
        if stream.is_done() {
            client.waiting.pop_front();
        }
        false
    }
}
