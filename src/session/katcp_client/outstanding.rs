//! Requests that have no reply yet: queued behind the window, or on the wire.
//!
//! Without ids the wire is a FIFO and only its head is on the clock: the server works in order, so
//! a read behind a long `progdev` is not late. With ids every request has its own clock, which starts
//! after the long requests sent before it.

use super::{Answer, Class, Config, MAX_INFORM_BYTES, MAX_INFORMS, MAX_QUEUED, MAX_QUEUED_BYTES};
use crate::proto::katcp::{MAX_ID, Message};
use crate::units::Mono;
use std::collections::{HashSet, VecDeque};

/// Most error texts of the server kept for the replies to come.
const MAX_LOG: usize = 64;

/// Names a request of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A request without reply.
#[derive(Debug)]
pub(super) struct Entry {
    id: Option<RequestId>,
    request: Message,
    class: Class,
    queued: Mono,
    sent: Option<Mono>,
    /// With ids: the clock starts here.
    clock: Mono,
    bytes: usize,
    informs: Vec<Vec<Vec<u8>>>,
    inform_bytes: usize,
    log_mark: u64,
}

impl Entry {
    pub(super) fn new(id: RequestId, request: Message, class: Class, queued: Mono) -> Entry {
        Entry { id: Some(id), ..Entry::internal(request, class, queued) }
    }

    /// A request of the session itself: its reply is not reported.
    pub(super) fn internal(request: Message, class: Class, queued: Mono) -> Entry {
        let bytes = request.args.iter().map(|a| a.len() + 1).sum::<usize>() + request.name.len() + 14;
        Entry {
            id: None,
            request,
            class,
            queued,
            sent: None,
            clock: queued,
            bytes,
            informs: Vec::new(),
            inform_bytes: 0,
            log_mark: 0,
        }
    }

    pub(super) fn public_id(&self) -> Option<RequestId> {
        self.id
    }
    fn is_long(&self) -> bool {
        self.class != Class::Normal
    }
    pub(super) fn name(&self) -> &str {
        &self.request.name
    }
    pub(super) fn on_wire(&self) -> bool {
        self.sent.is_some()
    }
    pub(super) fn sent_at(&self) -> Mono {
        self.sent.unwrap_or(self.queued)
    }
    pub(super) fn waiting_since(&self) -> Mono {
        self.clock
    }
}

/// What one call of [`Outstanding::send`] did.
pub(super) struct Sent {
    pub(super) requests: u64,
    pub(super) from_idle: bool,
}

/// Which request a reply belongs to.
pub(super) enum Match {
    Entry(Box<Entry>),
    /// To one given up before.
    Late,
    /// To none: the peer is confused.
    Broken(String),
}

/// Who is told about a reply.
pub(super) enum Finished {
    Internal,
    Request(RequestId, Box<Answer>),
}

/// Whether an inform belonged to a request.
pub(super) enum Attached {
    Yes,
    TooMany(String),
    NotOurs(Message),
}

#[derive(Debug, Default)]
pub(super) struct Outstanding {
    last_id: u64,
    last_mid: u32,
    queue: VecDeque<Entry>,
    queue_bytes: usize,
    wire: VecDeque<Entry>,
    wire_bytes: usize,
    /// Requests on the wire that are not [`Class::Normal`].
    wire_long: usize,
    mids: HashSet<u32>,
    /// When the head of the FIFO became the head.
    head_since: Mono,
    log: VecDeque<(u64, String)>,
    log_count: u64,
}

impl Outstanding {
    pub(super) fn new_id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.wire.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_QUEUED || self.queue_bytes >= MAX_QUEUED_BYTES
    }

    pub(super) fn queue(&mut self, entry: Entry) {
        self.queue_bytes += entry.bytes;
        self.queue.push_back(entry);
    }

    /// Puts queued requests on the wire while the window has room.
    pub(super) fn send(&mut self, ids: bool, config: &Config, now: Mono, out: &mut Vec<u8>) -> Sent {
        let from_idle = self.wire.is_empty();
        let mut requests = 0;
        while let Some(entry) = self.next_within(config) {
            self.launch(entry, ids, config, now, out);
            requests += 1;
        }
        Sent { requests, from_idle: from_idle && requests > 0 }
    }

    fn next_within(&mut self, config: &Config) -> Option<Entry> {
        let next = self.queue.front()?;
        let room =
            self.wire.len() < config.window_requests && self.wire_bytes + next.bytes <= config.window_bytes;
        if !room && !self.wire.is_empty() {
            return None;
        }
        let entry = self.queue.pop_front()?;
        self.queue_bytes -= entry.bytes;
        Some(entry)
    }

    fn launch(&mut self, mut entry: Entry, ids: bool, config: &Config, now: Mono, out: &mut Vec<u8>) {
        if ids {
            entry.request.id = Some(self.free_mid());
        }
        entry.sent = Some(now);
        entry.clock = self.long_work_until(config).map_or(now, |until| until.max(now));
        entry.log_mark = self.log_count;
        if self.wire.is_empty() {
            self.head_since = now;
        }
        entry.request.emit(out);
        self.wire_bytes += entry.bytes;
        self.wire_long += usize::from(entry.is_long());
        self.wire.push_back(entry);
    }

    /// The latest deadline of a long request on the wire: what comes after may have to wait for it.
    fn long_work_until(&self, config: &Config) -> Option<Mono> {
        if self.wire_long == 0 {
            // A thousand register accesses do not each look at the thousand before them.
            return None;
        }
        let long = self.wire.iter().filter(|e| e.is_long());
        long.map(|e| e.clock + config.timeout(e.class)).max()
    }

    /// 1 to [`MAX_ID`], then from 1 again, never one in flight.
    fn free_mid(&mut self) -> u32 {
        loop {
            self.last_mid = if self.last_mid >= MAX_ID { 1 } else { self.last_mid + 1 };
            if self.mids.insert(self.last_mid) {
                return self.last_mid;
            }
        }
    }

    pub(super) fn take_for(&mut self, reply: &Message, ids: bool, now: Mono) -> Match {
        let at = match (ids, reply.id) {
            (true, Some(mid)) => match self.wire.iter().position(|e| e.request.id == Some(mid)) {
                Some(at) => at,
                None => return Match::Late,
            },
            _ => 0,
        };
        match self.wire.get(at) {
            None => Match::Broken(format!("reply {} to no request", reply.name)),
            Some(e) if e.request.name != reply.name => {
                Match::Broken(format!("reply {} where {} was due", reply.name, e.request.name))
            }
            Some(_) => Match::Entry(Box::new(self.take_wire(at, now))),
        }
    }

    fn take_wire(&mut self, at: usize, now: Mono) -> Entry {
        let entry = self.wire.remove(at).expect("the position was found in this queue");
        self.wire_bytes -= entry.bytes;
        self.wire_long -= usize::from(entry.is_long());
        if let Some(mid) = entry.request.id {
            self.mids.remove(&mid);
        }
        if at == 0 {
            self.head_since = now;
        }
        entry
    }

    /// Completes an entry. Error texts of the server go to the request that was being worked on.
    pub(super) fn answer(&mut self, entry: Entry, reply: Message) -> Finished {
        let log =
            self.log.iter().filter(|(n, _)| *n > entry.log_mark).map(|(_, text)| text.clone()).collect();
        if entry.request.id.is_none() {
            self.log.clear();
        }
        let Entry { id, request, informs, .. } = entry;
        match id {
            None => Finished::Internal,
            Some(id) => Finished::Request(id, Box::new(Answer { request, reply, informs, log })),
        }
    }

    pub(super) fn remember_log(&mut self, text: String) {
        if self.log.len() == MAX_LOG {
            self.log.pop_front();
        }
        self.log_count += 1;
        self.log.push_back((self.log_count, text));
    }

    pub(super) fn attach(&mut self, inform: Message, ids: bool) -> Attached {
        let entry = match (ids, inform.id) {
            (true, Some(mid)) => self.wire.iter_mut().find(|e| e.request.id == Some(mid)),
            _ => self.wire.front_mut(),
        };
        match entry {
            Some(entry) if entry.request.name == inform.name => {
                entry.inform_bytes += inform.args.iter().map(|a| a.len() + 24).sum::<usize>();
                if entry.informs.len() >= MAX_INFORMS || entry.inform_bytes > MAX_INFORM_BYTES {
                    return Attached::TooMany(inform.name);
                }
                entry.informs.push(inform.args);
                Attached::Yes
            }
            _ => Attached::NotOurs(inform),
        }
    }

    /// When the next request is late.
    pub(super) fn deadline(&self, ids: bool, config: &Config) -> Option<Mono> {
        let wire = match ids {
            true => self.wire.iter().map(|e| e.clock + config.timeout(e.class)).min(),
            false => self.wire.front().map(|e| self.head_since.max(e.sent_at()) + config.timeout(e.class)),
        };
        // What waits for the negotiation is bounded too; behind a busy wire the wire's clock counts.
        let waiting = self.queue.front().filter(|_| self.wire.is_empty());
        let queue =
            waiting.map(|e| e.queued + config.timeout_connect + config.negotiation + config.timeout(e.class));
        [wire, queue].into_iter().flatten().min()
    }

    /// One request that is late.
    pub(super) fn take_expired(&mut self, now: Mono, ids: bool, config: &Config) -> Option<Entry> {
        if self.deadline(ids, config).is_none_or(|at| at > now) {
            return None;
        }
        if self.wire.is_empty() {
            let entry = self.queue.pop_front()?;
            self.queue_bytes -= entry.bytes;
            return Some(entry);
        }
        let due = |e: &Entry| e.clock + config.timeout(e.class) <= now;
        let at = if ids { self.wire.iter().position(due)? } else { 0 };
        let since = self.head_since;
        let mut entry = self.take_wire(at, now);
        if !ids {
            entry.clock = since.max(entry.sent_at());
        }
        Some(entry)
    }

    /// Forgets everything; yields what the owner must be told about, oldest first.
    pub(super) fn take_all(&mut self) -> Vec<(RequestId, String)> {
        let all = self.wire.drain(..).chain(self.queue.drain(..));
        let told = all.filter_map(|e| e.id.map(|id| (id, e.request.name))).collect();
        self.wire_bytes = 0;
        self.wire_long = 0;
        self.queue_bytes = 0;
        self.mids.clear();
        self.log.clear();
        told
    }
}
