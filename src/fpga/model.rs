//! A board in memory: gateware catalogue, registers, 10 GbE cores, the arm logic.
//!
//! ```text
//! down --program--> loaded -> mapped -> ready      registers exist from `mapped`, are accessible in `ready`
//! arm 0->1: Armed { at: next PPS } --advance past it--> Running { since }
//! S_ctrl 0->1: a snapshot block fills
//! ```
//!
//! The KATCP simulator serves it. Pure: the wall clock is passed in. What single bits of `sg_sync` mean
//! to the fabric is not modelled, they are only stored.

mod access;
mod arm;
mod catalogue;
mod cells;
mod edges;
mod memory;
mod snapshot;
mod ten_gbe;
#[cfg(test)]
mod tests;

pub use access::AccessError;
pub use arm::{Arm, Pps};
pub use catalogue::{Catalogue, Design, dibas_registers};
pub use ten_gbe::Tap;

use crate::proto::gateware::{Access, Register, RegisterMap, WINDOW_LIMIT};
use crate::units::Utc;
use cells::Cells;
use edges::{Action, Edges};
use snapshot::Capture;
use std::time::Duration;

/// Most registers of a design, also after `register` requests.
pub const MAX_REGISTERS: usize = 65_536;

/// How far programming is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No design.
    Down,
    /// A bitstream runs, registers unknown.
    Loaded,
    /// Registers known.
    Mapped,
    /// Registers accessible.
    Ready,
}

impl State {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            State::Down => "down",
            State::Loaded => "loaded",
            State::Mapped => "mapped",
            State::Ready => "ready",
        }
    }
}

/// Something the board did by itself, or in consequence of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardEvent {
    /// The instrument started at this PPS.
    Started(Utc),
    /// A running instrument was re-armed or lost its design.
    Stopped(Utc),
}

/// What the board is made of.
#[derive(Clone, Debug)]
pub struct BoardConfig {
    /// Images it can be programmed with.
    pub catalogue: Catalogue,
    /// Where the PPS comes from.
    pub pps: Pps,
    /// Rate of `sys_clkcounter`, Hz.
    pub clock_hz: u64,
    /// Bits that stay as they are although written, by register: the mask is 1 where stuck.
    pub stuck: Vec<(String, u32)>,
    /// How long a snapshot block takes to fill.
    pub snapshot_time: Duration,
    /// Seed of what snapshot blocks capture.
    pub seed: u64,
}

impl Default for BoardConfig {
    fn default() -> Self {
        BoardConfig {
            catalogue: Catalogue::default(),
            pps: Pps::Clock,
            clock_hz: 200_000_000,
            stuck: vec![],
            snapshot_time: Duration::from_millis(1),
            seed: 1,
        }
    }
}

/// The board.
#[derive(Debug)]
pub struct Board {
    config: BoardConfig,
    state: State,
    image: Option<String>,
    cells: Cells,
    edges: Edges,
    captures: Vec<Capture>,
    captured: u64,
    meta: Vec<(String, Vec<String>)>,
    taps: Vec<Tap>,
    arm: Arm,
    programmed: Utc,
    events: Vec<BoardEvent>,
    i2c: Vec<(u8, Vec<u8>)>,
}

impl Board {
    /// A board just switched on.
    pub fn new(config: BoardConfig) -> Board {
        Board {
            config,
            state: State::Down,
            image: None,
            cells: Cells::default(),
            edges: Edges::default(),
            captures: Vec::new(),
            captured: 0,
            meta: Vec::new(),
            taps: Vec::new(),
            arm: Arm::Idle,
            programmed: Utc(0),
            events: Vec::new(),
            i2c: Vec::new(),
        }
    }

    /// How far programming is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Name of the running image.
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    /// Images it can be programmed with.
    pub fn catalogue(&self) -> &Catalogue {
        &self.config.catalogue
    }

    /// Images it can be programmed with.
    pub fn catalogue_mut(&mut self) -> &mut Catalogue {
        &mut self.config.catalogue
    }

    /// Arm logic.
    pub fn arm(&self) -> Arm {
        self.arm
    }

    /// Running 10 GbE cores.
    pub fn taps(&self) -> &[Tap] {
        &self.taps
    }

    /// Registers in byte order of their names, once mapped.
    pub fn registers(&self) -> impl Iterator<Item = Register> + '_ {
        self.cells.iter().map(|(name, cell)| cell.describe(name))
    }

    /// Key and fields of each `meta` entry, in order of arrival.
    pub fn meta(&self) -> &[(String, Vec<String>)] {
        &self.meta
    }

    /// Adds a `meta` entry; false when there is no room.
    pub fn add_meta(&mut self, key: String, fields: Vec<String>) -> bool {
        let room = self.meta.len() < MAX_REGISTERS;
        if room {
            self.meta.push((key, fields));
        }
        room
    }

    /// Takes the design away.
    pub fn deprogram(&mut self, now: Utc) {
        if matches!(self.arm, Arm::Running { .. }) {
            self.events.push(BoardEvent::Stopped(now));
        }
        self.arm = Arm::Idle;
        self.state = State::Down;
        self.image = None;
        self.cells = Cells::default();
        self.edges = Edges::default();
        self.captures.clear();
        self.meta.clear();
        self.taps.clear();
    }

    /// Programs an image of the catalogue; false: there is none, or it is too large. The old design
    /// is gone in any case.
    pub fn program(&mut self, image: &str, now: Utc) -> bool {
        self.deprogram(now);
        let map = self.config.catalogue.find(image);
        map.is_some_and(|map| self.load(image, &map, now))
    }

    /// Programs a design that is not in the catalogue; false: it is too large. The old design is gone
    /// in any case.
    pub fn load(&mut self, image: &str, map: &RegisterMap, now: Utc) -> bool {
        self.deprogram(now);
        if map.window() > WINDOW_LIMIT || map.len() > MAX_REGISTERS {
            return false;
        }
        self.cells = Cells::of(map);
        self.edges = Edges::of(&self.cells);
        self.image = Some(image.to_owned());
        self.programmed = now;
        self.state = State::Ready;
        true
    }

    /// Programs a bare bitstream: its registers have to be added and made accessible ([`Board::finalise`]).
    pub fn load_bitstream(&mut self, image: &str, now: Utc) {
        self.load(image, &RegisterMap::default(), now);
        self.state = State::Mapped;
    }

    /// Makes mapped registers accessible; false: the board is not in that state.
    pub fn finalise(&mut self) -> bool {
        let mapped = self.state == State::Mapped;
        if mapped {
            self.state = State::Ready;
        }
        mapped
    }

    /// Adds a register to the running design; false: duplicate, too large, or nothing runs.
    pub fn add_register(&mut self, register: Register) -> bool {
        let fits = u64::from(register.offset) + u64::from(register.size) <= WINDOW_LIMIT;
        let runs = self.state != State::Down && self.cells.len() < MAX_REGISTERS;
        let added = runs && fits && self.cells.add(&register);
        if added {
            self.edges = Edges::of(&self.cells);
        }
        added
    }

    /// Does what is due by `now`.
    pub fn advance(&mut self, now: Utc) {
        if let (Pps::Clock, Arm::Armed { at: Some(at) }) = (self.config.pps, self.arm)
            && at <= now
        {
            self.start(at);
        }
        self.finish_captures(now);
    }

    /// A PPS by hand ([`Pps::Manual`]).
    pub fn pulse(&mut self, at: Utc) {
        if matches!(self.arm, Arm::Armed { .. }) {
            self.start(at);
        }
    }

    /// When [`Board::advance`] has something to do.
    pub fn deadline(&self) -> Option<Utc> {
        let pulse = match self.arm {
            Arm::Armed { at } => at,
            _ => None,
        };
        [pulse, self.capture_due()].into_iter().flatten().min()
    }

    /// What happened, oldest first.
    pub fn take_events(&mut self) -> Vec<BoardEvent> {
        std::mem::take(&mut self.events)
    }

    /// Bytes last written to an I2C address, empty at first.
    pub fn i2c_read(&self, address: u8) -> &[u8] {
        self.i2c.iter().find(|(a, _)| *a == address).map_or(&[], |(_, d)| d)
    }

    /// Writes to an I2C address; at most 128 addresses exist.
    pub fn i2c_write(&mut self, address: u8, data: Vec<u8>) {
        self.i2c.retain(|(a, _)| *a != address);
        self.i2c.push((address, data));
    }

    fn act(&mut self, action: Action, now: Utc) {
        match action {
            Action::Arm => self.armed(now),
            Action::Reset => self.clear_error(),
            Action::Capture(block) => self.capture(block, now),
        }
    }

    fn armed(&mut self, now: Utc) {
        if matches!(self.arm, Arm::Running { .. }) {
            self.events.push(BoardEvent::Stopped(now));
        }
        self.arm = Arm::armed(self.config.pps, now);
    }

    fn start(&mut self, at: Utc) {
        self.arm = Arm::Running { since: at };
        self.events.push(BoardEvent::Started(at));
    }

    /// Bit 0 of `status` is the error flag; a reset pulse clears it.
    fn clear_error(&mut self) {
        let status = self.word("status") & !1;
        self.poke("status", 0, &status.to_be_bytes());
    }
}

/// A register for maps written by hand.
pub fn register(name: impl Into<String>, offset: u32, size: u32) -> Register {
    Register { name: name.into(), offset, size, access: Access::ReadWrite }
}

/// `r000` ... of 4 bytes each, read and write: the map of the id session and of load tests.
pub fn numbered_registers(count: u32) -> RegisterMap {
    let registers = (0..count).map(|n| register(format!("r{n:03}"), 4 * n, 4)).collect();
    RegisterMap::new(registers).expect("numbered names are unique and small")
}
