//! A board in memory: gateware catalogue, registers, 10 GbE cores, the arm logic.
//!
//! ```text
//! down --program--> loaded -> mapped -> ready      registers exist from `mapped`, are accessible in `ready`
//! arm 0->1: Armed { at: next PPS } --advance past it--> Running { since }
//! ```
//!
//! The KATCP simulator serves it. Pure: the wall clock is passed in. Registers are separate pieces of
//! memory: overlapping entries of a map do not alias. What single bits of `sg_sync` mean to the fabric
//! is not modelled, they are only stored.

mod arm;
mod catalogue;
mod cells;
mod ten_gbe;
#[cfg(test)]
mod tests;

pub use arm::{Arm, Pps};
pub use catalogue::{Catalogue, Design, dibas_registers};
pub use ten_gbe::Tap;

use crate::proto::gateware::{Access, Register, RegisterMap, WINDOW_LIMIT};
use crate::units::Utc;
use cells::{Cell, Cells};
use thiserror::Error;

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

/// What an access did wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccessError {
    /// No design runs.
    #[error("fpga not programmed")]
    NotProgrammed,
    /// No such register.
    #[error("register {0} not defined")]
    NoSuchRegister(String),
    /// Reading what can only be written.
    #[error("register {0} is not marked readable")]
    NotReadable(String),
    /// Writing what can only be read.
    #[error("register {0} is not marked writeable")]
    NotWritable(String),
    /// Beyond the end.
    #[error("request for {len} bytes at {offset} exceeds register {register} of {size} bytes")]
    Range {
        /// Register.
        register: String,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Bytes there are.
        size: u32,
    },
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
}

impl Default for BoardConfig {
    fn default() -> Self {
        BoardConfig { catalogue: Catalogue::default(), pps: Pps::Clock, clock_hz: 200_000_000, stuck: vec![] }
    }
}

/// The board.
#[derive(Debug)]
pub struct Board {
    config: BoardConfig,
    state: State,
    image: Option<String>,
    cells: Cells,
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
        self.meta.clear();
        self.taps.clear();
    }

    /// Programs an image of the catalogue; false: there is none, or it is too large. The old design
    /// is gone in any case.
    pub fn program(&mut self, image: &str, now: Utc) -> bool {
        self.deprogram(now);
        let Some(map) = self.config.catalogue.find(image) else { return false };
        if map.window() > WINDOW_LIMIT || map.len() > MAX_REGISTERS {
            return false;
        }
        self.cells = Cells::of(&map);
        self.image = Some(image.to_owned());
        self.programmed = now;
        self.state = State::Ready;
        true
    }

    /// Adds a register to the running design; false: duplicate, too large, or nothing runs.
    pub fn add_register(&mut self, register: Register) -> bool {
        let fits = u64::from(register.offset) + u64::from(register.size) <= WINDOW_LIMIT;
        let held = self.cells.bytes() + u64::from(register.size);
        let runs = self.state != State::Down && self.cells.len() < MAX_REGISTERS;
        runs && fits && held <= WINDOW_LIMIT && self.cells.add(&register)
    }

    /// Bytes of a register.
    pub fn read(&self, register: &str, offset: u64, len: u64, now: Utc) -> Result<Vec<u8>, AccessError> {
        let cell = self.cell(register)?;
        if !cell.access.readable() {
            return Err(AccessError::NotReadable(register.to_owned()));
        }
        let range = cell.range(register, offset, len)?;
        if register == "sys_clkcounter" {
            let all = self.clock_counter(now).to_be_bytes();
            return Ok(all.get(range).unwrap_or(&all).to_vec());
        }
        Ok(cell.data[range].to_vec())
    }

    /// Writes bytes with all consequences; parts of words are merged. Empty data does nothing.
    pub fn write(&mut self, register: &str, offset: u64, data: &[u8], now: Utc) -> Result<(), AccessError> {
        self.advance(now);
        let cell = self.cell(register)?;
        if !cell.access.writable() {
            return Err(AccessError::NotWritable(register.to_owned()));
        }
        let range = cell.range(register, offset, data.len() as u64)?;
        let before = cell.word();
        let stuck = self.config.stuck.iter().find(|(r, _)| r == register).map(|(_, mask)| *mask);
        let cell = self.cells.get_mut(register).expect("looked up above");
        cell.store(range, data, stuck);
        let after = cell.word();
        self.consequences(register, before, after, now);
        Ok(())
    }

    /// Stores into a register whatever its access, without consequences: the fabric's own side.
    pub fn poke(&mut self, register: &str, offset: usize, data: &[u8]) {
        if let Some(target) =
            self.cells.get_mut(register).and_then(|c| c.data.get_mut(offset..offset + data.len()))
        {
            target.copy_from_slice(data);
        }
    }

    /// Does what is due by `now`.
    pub fn advance(&mut self, now: Utc) {
        if let (Pps::Clock, Arm::Armed { at: Some(at) }) = (self.config.pps, self.arm)
            && at <= now
        {
            self.start(at);
        }
    }

    /// A PPS by hand ([`Pps::Manual`]).
    pub fn pulse(&mut self, at: Utc) {
        if matches!(self.arm, Arm::Armed { .. }) {
            self.start(at);
        }
    }

    /// When [`Board::advance`] has something to do.
    pub fn deadline(&self) -> Option<Utc> {
        match self.arm {
            Arm::Armed { at } => at,
            _ => None,
        }
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

    fn cell(&self, register: &str) -> Result<&Cell, AccessError> {
        if self.state != State::Ready {
            return Err(AccessError::NotProgrammed);
        }
        self.cells.get(register).ok_or_else(|| AccessError::NoSuchRegister(register.to_owned()))
    }

    fn clock_counter(&self, now: Utc) -> u32 {
        let nanos = i128::from(now.nanos_since(self.programmed).max(0));
        (nanos * i128::from(self.config.clock_hz) / 1_000_000_000) as u32
    }

    fn consequences(&mut self, register: &str, before: u32, after: u32, now: Utc) {
        let rising = before & 1 == 0 && after & 1 == 1;
        match register {
            "arm" | "ARM" if rising => self.armed(now),
            "reset" if rising => self.clear_error(),
            _ => {}
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
        if let Some(last) = self.cells.get_mut("status").and_then(|c| c.data.get_mut(3)) {
            *last &= !1;
        }
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
