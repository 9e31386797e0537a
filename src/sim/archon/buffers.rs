//! Frame memory: the upper 1.5 GB as three buffers, or two big ones.

use super::sky::FrameSpec;
use crate::proto::archon::BLOCK;
use std::fmt::Write;

const BASE: u64 = 0xA000_0000;
const SIZE: u64 = 512 << 20;
const BIG_SIZE: u64 = 768 << 20;

/// One buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    /// The frame that is in it or on its way into it.
    pub spec: Option<FrameSpec>,
    /// What is still in the lines that are not written yet.
    pub before: Option<FrameSpec>,
    pub complete: bool,
    /// Start of the frame, ticks.
    pub timestamp: u64,
    /// Edges of the trigger around the integration, ticks.
    pub rising: u64,
    pub falling: u64,
    /// Lines of each tap that are in so far.
    pub lines: u32,
    /// Width as FRAME tells it, if a fault makes it tell another.
    pub told_width: Option<u32>,
}

impl Buffer {
    /// The frame whose pixels row `y` holds now; `None`: never written.
    pub fn at_row(&self, y: u32) -> Option<&FrameSpec> {
        let spec = self.spec.as_ref()?;
        if self.complete || y % spec.lines.max(1) < self.lines {
            return Some(spec);
        }
        let same_shape =
            |b: &&FrameSpec| (b.width(), b.height(), b.sample) == (spec.width(), spec.height(), spec.sample);
        self.before.as_ref().filter(same_shape)
    }

    /// Rows of the frame that are in, of its HEIGHT.
    fn rows(&self) -> u64 {
        let fields = |s: &FrameSpec| u64::from(s.height() / s.lines.max(1));
        u64::from(self.lines) * self.spec.as_ref().map_or(1, fields)
    }
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

    fn base(&self, number: u8) -> u64 {
        BASE + u64::from(number.saturating_sub(1)) * self.size()
    }

    pub fn size(&self) -> u64 {
        if self.big { BIG_SIZE } else { SIZE }
    }

    /// The buffer a new frame goes to: the next one that is not locked. One is locked at most, so there always
    /// is one.
    pub fn begin_frame(&mut self) -> u8 {
        let count = self.all.len() as u8;
        let next = |n: u8| n % count + 1;
        let after = next(self.written);
        self.written = if after == self.locked { next(after) } else { after };
        self.last_frame += 1;
        self.written
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
        for group in GROUPS {
            for (n, buffer) in (1u8..).zip(&self.all) {
                for (key, value) in *group {
                    let value = value(self, n, buffer);
                    // Writing to a String cannot fail.
                    let _ = match key.ends_with("TIMESTAMP") {
                        true => write!(text, " BUF{n}{key}={value:016X}"),
                        false => write!(text, " BUF{n}{key}={value}"),
                    };
                }
            }
        }
        text
    }
}

type Show = fn(&Buffers, u8, &Buffer) -> u64;

fn of_spec(buffer: &Buffer, value: impl Fn(&FrameSpec) -> u64) -> u64 {
    buffer.spec.as_ref().map_or(0, value)
}

/// Keys that the hardware names together for each buffer, in its order.
const GROUPS: &[&[(&str, Show)]] = &[
    &[("SAMPLE", |_, _, b| of_spec(b, |s| u64::from(s.sample.bytes() == 4)))],
    &[("COMPLETE", |_, _, b| u64::from(b.complete))],
    &[("MODE", |_, _, b| of_spec(b, |s| u64::from(s.mode)))],
    &[("BASE", |all, n, _| all.base(n))],
    &[("FRAME", |_, _, b| of_spec(b, |s| s.frame))],
    &[
        ("WIDTH", |_, _, b| b.told_width.map_or_else(|| of_spec(b, |s| u64::from(s.width())), u64::from)),
        ("HEIGHT", |_, _, b| of_spec(b, |s| u64::from(s.height()))),
    ],
    // As recorded: a complete frame tells its width and its height here.
    &[
        ("PIXELS", |_, _, b| if b.lines > 0 { of_spec(b, |s| u64::from(s.width())) } else { 0 }),
        ("LINES", |_, _, b| b.rows()),
    ],
    &[("RAWBLOCKS", |_, _, _| 0), ("RAWLINES", |_, _, _| 0)],
    &[("RAWOFFSET", |_, _, _| 0)],
    &[("TIMESTAMP", |_, _, b| b.timestamp)],
    &[("RETIMESTAMP", |_, _, b| b.rising)],
    &[("FETIMESTAMP", |_, _, b| b.falling)],
    &[("REATIMESTAMP", |_, _, _| 0)],
    &[("FEATIMESTAMP", |_, _, _| 0)],
    &[("REBTIMESTAMP", |_, _, _| 0)],
    &[("FEBTIMESTAMP", |_, _, _| 0)],
];
