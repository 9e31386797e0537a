//! The registers of one design: names for pieces of one byte space. Registers that overlap in the map
//! share their bytes, as on the bus.

use super::AccessError;
use super::memory::Memory;
use crate::proto::gateware::{Access, Register, RegisterMap};
use std::collections::BTreeMap;
use std::ops::Range;

/// Where a register is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) offset: u32,
    pub(super) size: u32,
    pub(super) access: Access,
}

impl Cell {
    pub(super) fn describe(&self, name: &str) -> Register {
        Register { name: name.to_owned(), offset: self.offset, size: self.size, access: self.access }
    }

    /// All its addresses.
    pub(super) fn span(&self) -> Range<usize> {
        self.offset as usize..self.offset as usize + self.size as usize
    }

    /// Addresses of a part of it.
    pub(super) fn range(&self, register: &str, offset: u64, len: u64) -> Result<Range<usize>, AccessError> {
        let start = self.span().start;
        match offset.checked_add(len) {
            Some(end) if end <= u64::from(self.size) => Ok(start + offset as usize..start + end as usize),
            _ => Err(AccessError::Range { register: register.to_owned(), offset, len, size: self.size }),
        }
    }

    /// Address of the byte that holds bit 0 of the first word; `None` for a register of no bytes.
    pub(super) fn lowest_bit(&self) -> Option<usize> {
        (self.size > 0).then(|| self.span().start + self.size.min(4) as usize - 1)
    }
}

/// All registers, sorted by the bytes of their names as `listdev` wants them, and their memory.
#[derive(Debug, Default)]
pub(super) struct Cells {
    by_name: BTreeMap<String, Cell>,
    memory: Memory,
}

impl Cells {
    /// All zero.
    pub(super) fn of(map: &RegisterMap) -> Cells {
        let mut cells = Cells::default();
        map.iter().for_each(|register| {
            cells.add(register);
        });
        cells
    }

    /// False: the name is taken.
    pub(super) fn add(&mut self, register: &Register) -> bool {
        if self.by_name.contains_key(&register.name) {
            return false;
        }
        let cell = Cell { offset: register.offset, size: register.size, access: register.access };
        self.by_name.insert(register.name.clone(), cell);
        true
    }

    pub(super) fn get(&self, name: &str) -> Option<Cell> {
        self.by_name.get(name).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Cell)> {
        self.by_name.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The bytes at addresses of a register.
    pub(super) fn read(&self, range: &Range<usize>) -> Vec<u8> {
        self.memory.read(range.start, range.len())
    }

    pub(super) fn byte(&self, address: usize) -> u8 {
        self.memory.byte(address)
    }

    /// `stuck`: registers and the bits of each of their words that keep their value.
    pub(super) fn write(&mut self, address: usize, bytes: &[u8], stuck: &[(String, u32)]) {
        let stuck: Vec<(Range<usize>, [u8; 4])> =
            stuck.iter().filter_map(|(r, mask)| Some((self.get(r)?.span(), mask.to_be_bytes()))).collect();
        let keep = |at: usize| {
            let of = |(span, mask): &(Range<usize>, [u8; 4])| {
                if span.contains(&at) { mask[(at - span.start) % 4] } else { 0 }
            };
            stuck.iter().map(of).fold(0, |all, mask| all | mask)
        };
        self.memory.write(address, bytes, keep);
    }
}
