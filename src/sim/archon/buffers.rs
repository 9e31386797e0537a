//! Frame memory: the upper 1.5 GB as three buffers, or two big ones.

use super::sky::FrameSpec;
use crate::proto::archon::BLOCK;

const BASE: u64 = 0xA000_0000;
const SIZE: u64 = 512 << 20;
const BIG_SIZE: u64 = 768 << 20;

/// One buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    pub spec: Option<FrameSpec>,
    pub complete: bool,
    /// Start of the frame, ticks.
    pub timestamp: u64,
    /// Edges of the trigger around the integration, ticks.
    pub rising: u64,
    pub falling: u64,
    /// Lines that are in so far.
    pub lines: u32,
    /// Shape as FRAME tells it, if a fault makes it tell another.
    pub told_width: Option<u32>,
}

/// All buffers.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    pub all: Vec<Buffer>,
    big: bool,
    /// 1-based; 0 = none.
    pub locked: u8,
    /// 1-based; 0 = none yet.
    pub written: u8,
    pub last_frame: u64,
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers { all: vec![Buffer::default(); 3], big: false, locked: 0, written: 0, last_frame: 0 }
    }
}

impl Buffers {
    /// `BIGBUF` was applied. The content of frame memory does not survive a change.
    pub fn set_big(&mut self, big: bool) {
        if big != self.big {
            *self = Buffers {
                all: vec![Buffer::default(); if big { 2 } else { 3 }],
                big,
                last_frame: self.last_frame,
                ..Buffers::default()
            };
        }
    }

    pub fn base(&self, number: u8) -> u64 {
        BASE + u64::from(number - 1) * self.size()
    }

    pub fn size(&self) -> u64 {
        if self.big { BIG_SIZE } else { SIZE }
    }

    /// The buffer a new frame goes to: the next one that is not locked. There always is one.
    pub fn begin_frame(&mut self) -> u8 {
        let count = self.all.len() as u8;
        let mut next = self.written;
        loop {
            next = next % count + 1;
            if next != self.locked {
                break;
            }
        }
        self.written = next;
        self.last_frame += 1;
        next
    }

    /// `false`: there is no such buffer.
    pub fn lock(&mut self, number: u8) -> bool {
        let exists = usize::from(number) <= self.all.len();
        if exists {
            self.locked = number;
        }
        exists
    }

    pub fn get(&self, number: u8) -> Option<&Buffer> {
        self.all.get(usize::from(number).checked_sub(1)?)
    }

    pub fn get_mut(&mut self, number: u8) -> Option<&mut Buffer> {
        self.all.get_mut(usize::from(number).checked_sub(1)?)
    }

    /// The buffer and the offset in it of an address, if this many blocks lie in one buffer.
    pub fn place(&self, address: u64, blocks: u64) -> Option<(u8, u64)> {
        let offset = address.checked_sub(BASE)?;
        let number = offset / self.size();
        let within = offset % self.size();
        let fits = within + blocks * BLOCK as u64 <= self.size() && number < self.all.len() as u64;
        fits.then_some((number as u8 + 1, within))
    }

    /// The text of FRAME: keys grouped by kind, as the hardware does.
    pub fn describe(&self, timer: u64) -> String {
        let mut text = format!("TIMER={timer:016X} RBUF={} WBUF={}", self.locked, self.written);
        let numbers = 1..=self.all.len() as u8;
        for (key, value) in KEYS {
            for n in numbers.clone() {
                let buffer = &self.all[usize::from(n) - 1];
                text.push_str(&format!(" BUF{n}{key}={}", value(self, n, buffer)));
            }
        }
        text
    }
}

type Show = fn(&Buffers, u8, &Buffer) -> String;

fn of_spec(buffer: &Buffer, value: impl Fn(&FrameSpec) -> u64) -> String {
    buffer.spec.as_ref().map_or(0, value).to_string()
}

const KEYS: &[(&str, Show)] = &[
    ("SAMPLE", |_, _, b| of_spec(b, |s| u64::from(s.sample.bytes() == 4))),
    ("COMPLETE", |_, _, b| u8::from(b.complete).to_string()),
    ("MODE", |_, _, b| of_spec(b, |s| u64::from(s.mode))),
    ("BASE", |all, n, _| all.base(n).to_string()),
    ("FRAME", |_, _, b| of_spec(b, |s| s.frame)),
    ("WIDTH", |_, _, b| b.told_width.map_or_else(|| of_spec(b, |s| u64::from(s.width())), |w| w.to_string())),
    ("HEIGHT", |_, _, b| of_spec(b, |s| u64::from(s.height()))),
    ("PIXELS", |_, _, b| of_spec(b, |s| u64::from(s.pixels) * u64::from(b.lines))),
    ("LINES", |_, _, b| b.lines.to_string()),
    ("RAWBLOCKS", |_, _, _| "0".into()),
    ("RAWLINES", |_, _, _| "0".into()),
    ("RAWOFFSET", |_, _, _| "0".into()),
    ("TIMESTAMP", |_, _, b| format!("{:016X}", b.timestamp)),
    ("RETIMESTAMP", |_, _, b| format!("{:016X}", b.rising)),
    ("FETIMESTAMP", |_, _, b| format!("{:016X}", b.falling)),
    ("REATIMESTAMP", |_, _, _| format!("{:016X}", 0)),
    ("FEATIMESTAMP", |_, _, _| format!("{:016X}", 0)),
    ("REBTIMESTAMP", |_, _, _| format!("{:016X}", 0)),
    ("FEBTIMESTAMP", |_, _, _| format!("{:016X}", 0)),
];
