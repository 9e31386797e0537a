//! Reading and writing registers, with all that a board checks and does.

use super::cells::Cell;
use super::{Board, State};
use crate::units::Utc;
use std::ops::Range;
use thiserror::Error;

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

impl Board {
    /// Bytes of a register, as [`Board::advance`] left them.
    pub fn read(&self, register: &str, offset: u64, len: u64, now: Utc) -> Result<Vec<u8>, AccessError> {
        let cell = self.cell(register)?;
        if !cell.access.readable() {
            return Err(AccessError::NotReadable(register.to_owned()));
        }
        let range = cell.range(register, offset, len)?;
        let mut bytes = self.cells.read(&range);
        self.show_clock_counter(&range, &mut bytes, now);
        Ok(bytes)
    }

    /// Writes bytes with all consequences; parts of words are merged. Empty data does nothing.
    pub fn write(&mut self, register: &str, offset: u64, data: &[u8], now: Utc) -> Result<(), AccessError> {
        self.advance(now);
        let cell = self.cell(register)?;
        if !cell.access.writable() {
            return Err(AccessError::NotWritable(register.to_owned()));
        }
        let range = cell.range(register, offset, data.len() as u64)?;
        let low = self.edges.low(&range, &self.cells);
        self.cells.write(range.start, data, &self.config.stuck);
        for (at, action) in low {
            if self.cells.byte(at) & 1 == 1 {
                self.act(action, now);
            }
        }
        Ok(())
    }

    /// Stores into a register whatever its access, without consequences: the fabric's own side.
    pub fn poke(&mut self, register: &str, offset: usize, data: &[u8]) {
        let Some(cell) = self.cells.get(register) else { return };
        if let Ok(range) = cell.range(register, offset as u64, data.len() as u64) {
            self.cells.write(range.start, data, &[]);
        }
    }

    fn cell(&self, register: &str) -> Result<Cell, AccessError> {
        if self.state != State::Ready {
            return Err(AccessError::NotProgrammed);
        }
        self.cells.get(register).ok_or_else(|| AccessError::NoSuchRegister(register.to_owned()))
    }

    /// The first word of a register, 0 when there is none.
    pub(super) fn word(&self, register: &str) -> u32 {
        let Some(cell) = self.cells.get(register) else { return 0 };
        let first = cell.span().take(4);
        first.fold(0, |word, at| word << 8 | u32::from(self.cells.byte(at)))
    }

    /// Where `sys_clkcounter` lies among the addresses read, its bytes are those of the counter.
    fn show_clock_counter(&self, range: &Range<usize>, bytes: &mut [u8], now: Utc) {
        let Some(counter) = self.cells.get("sys_clkcounter") else { return };
        let nanos = i128::from(now.nanos_since(self.programmed).max(0));
        let ticks = (nanos * i128::from(self.config.clock_hz) / 1_000_000_000) as u32;
        for (at, byte) in counter.span().zip(ticks.to_be_bytes()).filter(|(at, _)| range.contains(at)) {
            bytes[at - range.start] = byte;
        }
    }
}
