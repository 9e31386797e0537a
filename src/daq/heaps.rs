//! Packets to spectra: a window of open heaps, each with a bitmap of the packets it has.
//!
//! ```text
//!   late <|  base                    base + WINDOW  |> closes the oldest
//!         |  [#### done][##.# ][#... ][     ] ...   |
//! ```
//!
//! Heaps are handed on in order. A heap that is complete at the head of the window goes at once; a packet
//! beyond the window closes the oldest heaps, complete or not. So packets may come in any order within the
//! window, and the result is the same. An incomplete heap is never handed on: its packets that are missing
//! are counted as lost, never read as zeros.
//!
//! Not here: when an observation begins ([`super::start_rule`]) and what happens to spectra
//! ([`super::accumulate`]).

use super::start_rule::StartRule;
use crate::proto::spead::{BYTES_PER_CHANNEL, Description, PAYLOAD_BYTES, Packet};
use std::collections::VecDeque;

/// Packets that the window of open heaps covers at least.
const WINDOW_PACKETS: usize = 128;
/// Heaps in the window at least.
const WINDOW_HEAPS_MIN: usize = 4;
/// A step forward of more heaps than this is believed only when a second packet confirms it.
const WILD_HEAPS: u32 = 1 << 16;
/// Most payload bytes in one heap: 32768 channels × 8 sub-bands.
pub const HEAP_BYTES_MAX: usize = 32768 * 8 * BYTES_PER_CHANNEL;

/// Totals since the observation started; all in packets unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Stored in a heap.
    pub received: u64,
    /// Never arrived, or too late.
    pub lost: u64,
    /// Arrived after their heap was closed.
    pub late: u64,
    /// Arrived twice.
    pub duplicate: u64,
    /// Not of the format, or of another heap size than expected.
    pub bad: u64,
    /// Arrived before the counters restarted (free-running).
    pub idle: u64,
    /// Heaps handed on complete.
    pub heaps: u64,
    /// Heaps given up for missing packets.
    pub heaps_lost: u64,
}

/// One complete spectrum as it came from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spectrum {
    /// Number of the heap.
    pub heap: u32,
    /// What the packets said about it.
    pub description: Description,
    /// Heaps lost since the spectrum before (or since the start).
    pub lost_before: u64,
    /// Big-endian i32: channel, sub-band, product.
    pub data: Vec<u8>,
}

/// What came of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The counters restarted at zero: an observation begins with this packet.
    Started,
    /// The next spectrum, in order.
    Spectrum(Spectrum),
}

struct Open {
    have: Vec<bool>,
    missing: usize,
    description: Option<Description>,
    data: Vec<u8>,
}

/// The assembler. Feed it packets; take outputs.
pub struct Heaps {
    heap_bytes: usize,
    packets_per_heap: usize,
    window: usize,
    rule: StartRule,
    started: bool,
    base: u32,
    open: VecDeque<Option<Open>>,
    wild: Option<u32>,
    lost_before: u64,
    spare: Vec<Vec<u8>>,
    counters: Counters,
}

impl Heaps {
    /// For spectra of `channels` × `subbands`.
    ///
    /// # Errors
    /// The size is zero, above [`HEAP_BYTES_MAX`], or no whole number of packets.
    pub fn new(channels: usize, subbands: usize) -> Result<Heaps, String> {
        let heap_bytes = channels.saturating_mul(subbands).saturating_mul(BYTES_PER_CHANNEL);
        if heap_bytes == 0 || heap_bytes > HEAP_BYTES_MAX || !heap_bytes.is_multiple_of(PAYLOAD_BYTES) {
            return Err(format!(
                "NCHAN {channels} x NSUBBAND {subbands} gives spectra of {heap_bytes} bytes; \
                 a multiple of {PAYLOAD_BYTES} up to {HEAP_BYTES_MAX} is needed"
            ));
        }
        let packets_per_heap = heap_bytes / PAYLOAD_BYTES;
        Ok(Heaps {
            heap_bytes,
            packets_per_heap,
            window: (WINDOW_PACKETS / packets_per_heap).max(WINDOW_HEAPS_MIN),
            rule: StartRule::default(),
            started: false,
            base: 0,
            open: VecDeque::new(),
            wild: None,
            lost_before: 0,
            spare: Vec::new(),
            counters: Counters::default(),
        })
    }

    /// Totals since the start of the observation (of the free run before that).
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether the counters have restarted, that is: packets are real.
    pub fn started(&self) -> bool {
        self.started
    }

    /// The commanded second is near: the next packet with a number near zero is a start, however few packets came
    /// before it. (By the rule of [`super::start_rule`] alone, if packet 0 is lost, it would be a late packet of a false
    /// start of less than [`JUMP`](super::start_rule::JUMP) packets.) What does not begin near zero goes on as before.
    pub fn expect_restart(&mut self) {
        self.rule = StartRule::default();
    }

    /// Gives back the buffer of a spectrum that is done with.
    pub fn recycle(&mut self, data: Vec<u8>) {
        if self.spare.len() < self.window && data.len() == self.heap_bytes {
            self.spare.push(data);
        }
    }

    /// One datagram in; outputs are appended in order.
    pub fn datagram(&mut self, bytes: &[u8], out: &mut Vec<Output>) {
        match Packet::parse(bytes) {
            Ok(packet) if self.fits(&packet) => self.packet(&packet, out),
            _ => self.counters.bad += 1,
        }
    }

    /// Closes every open heap: nothing that arrived complete is lost at the end.
    pub fn flush(&mut self, out: &mut Vec<Output>) {
        while let Some(head) = self.open.pop_front() {
            self.close(head, out);
        }
    }

    fn fits(&self, packet: &Packet<'_>) -> bool {
        packet.heap_size == self.heap_bytes as u64
            && packet.payload.len() == PAYLOAD_BYTES
            && packet.offset.is_multiple_of(PAYLOAD_BYTES as u64)
    }

    fn packet(&mut self, packet: &Packet<'_>, out: &mut Vec<Output>) {
        let index = (packet.offset / PAYLOAD_BYTES as u64) as usize;
        let sequence = packet.heap.wrapping_mul(self.packets_per_heap as u32).wrapping_add(index as u32);
        let ahead = packet.heap.wrapping_sub(self.base);
        if self.started && ahead <= u32::MAX / 2 && !self.believable(packet.heap, ahead) {
            self.counters.bad += 1;
            return;
        }
        if self.rule.restarted(sequence) {
            self.start(out);
        }
        let ahead = packet.heap.wrapping_sub(self.base);
        if !self.started {
            self.counters.idle += 1;
        } else if ahead > u32::MAX / 2 {
            self.counters.late += 1;
        } else {
            self.make_room(ahead as usize, out);
            self.store(packet, index);
            self.hand_on_complete(out);
        }
    }

    fn start(&mut self, out: &mut Vec<Output>) {
        self.flush(out);
        self.started = true;
        self.base = 0;
        self.wild = None;
        self.lost_before = 0;
        self.counters = Counters::default();
        out.push(Output::Started);
    }

    /// One damaged counter must not close the window over everything that follows.
    fn believable(&mut self, heap: u32, ahead: u32) -> bool {
        if ahead <= WILD_HEAPS {
            self.wild = None;
            return true;
        }
        let confirmed = self.wild.is_some_and(|w| heap.wrapping_sub(w) <= self.window as u32);
        self.wild = Some(heap);
        confirmed
    }

    /// Moves the window so that the heap `ahead` of its base lies inside.
    fn make_room(&mut self, ahead: usize, out: &mut Vec<Output>) {
        let mut excess = (ahead + 1).saturating_sub(self.window);
        while excess > 0 {
            let Some(head) = self.open.pop_front() else { break };
            self.close(head, out);
            excess -= 1;
        }
        // Heaps that nobody has heard of.
        self.give_up_unseen(excess as u64);
    }

    fn give_up_unseen(&mut self, heaps: u64) {
        self.base = self.base.wrapping_add(heaps as u32);
        self.counters.lost += heaps * self.packets_per_heap as u64;
        self.counters.heaps_lost += heaps;
        self.lost_before += heaps;
    }

    fn store(&mut self, packet: &Packet<'_>, index: usize) {
        let place = packet.heap.wrapping_sub(self.base) as usize;
        while self.open.len() <= place {
            self.open.push_back(None);
        }
        let (heap_bytes, packets, spare) = (self.heap_bytes, self.packets_per_heap, &mut self.spare);
        let open = self.open[place].get_or_insert_with(|| Open {
            have: vec![false; packets],
            missing: packets,
            description: None,
            data: spare.pop().unwrap_or_else(|| vec![0; heap_bytes]),
        });
        if open.have[index] {
            self.counters.duplicate += 1;
            return;
        }
        open.have[index] = true;
        open.missing -= 1;
        open.description = open.description.or(packet.description);
        let at = index * PAYLOAD_BYTES;
        open.data[at..at + PAYLOAD_BYTES].copy_from_slice(packet.payload);
        self.counters.received += 1;
    }

    fn hand_on_complete(&mut self, out: &mut Vec<Output>) {
        while matches!(self.open.front(), Some(Some(open)) if open.missing == 0) {
            let head = self.open.pop_front().expect("the loop condition saw it");
            self.close(head, out);
        }
    }

    /// The heap at the base is done: hand it on or give it up.
    fn close(&mut self, head: Option<Open>, out: &mut Vec<Output>) {
        let Some(open) = head else { return self.give_up_unseen(1) };
        let heap = self.base;
        self.base = self.base.wrapping_add(1);
        self.counters.lost += open.missing as u64;
        match open.description {
            Some(description) if open.missing == 0 => {
                self.counters.heaps += 1;
                let lost_before = std::mem::take(&mut self.lost_before);
                out.push(Output::Spectrum(Spectrum { heap, description, lost_before, data: open.data }));
            }
            _ => {
                self.counters.heaps_lost += 1;
                self.lost_before += 1;
                self.recycle(open.data);
            }
        }
    }
}

#[cfg(test)]
mod tests;
