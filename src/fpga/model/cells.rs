//! The memory of the registers of one design.

use super::AccessError;
use crate::proto::gateware::{Access, Register, RegisterMap};
use std::collections::BTreeMap;
use std::ops::Range;

/// One register.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) offset: u32,
    pub(super) access: Access,
    /// Big-endian.
    pub(super) data: Vec<u8>,
}

impl Cell {
    pub(super) fn describe(&self, name: &str) -> Register {
        Register {
            name: name.to_owned(),
            offset: self.offset,
            size: self.data.len() as u32,
            access: self.access,
        }
    }

    pub(super) fn range(&self, register: &str, offset: u64, len: u64) -> Result<Range<usize>, AccessError> {
        let size = self.data.len() as u64;
        match offset.checked_add(len) {
            Some(end) if end <= size => Ok(offset as usize..end as usize),
            _ => Err(AccessError::Range { register: register.to_owned(), offset, len, size: size as u32 }),
        }
    }

    /// The first word.
    pub(super) fn word(&self) -> u32 {
        self.data.iter().take(4).fold(0, |w, b| w << 8 | u32::from(*b))
    }

    /// `stuck`: bits of every word that keep their value.
    pub(super) fn store(&mut self, range: Range<usize>, data: &[u8], stuck: Option<u32>) {
        let keep = stuck.unwrap_or(0).to_be_bytes();
        for (at, byte) in range.zip(data) {
            let mask = keep[at % 4];
            self.data[at] = self.data[at] & mask | byte & !mask;
        }
    }
}

/// All registers, sorted by the bytes of their names as `listdev` wants them.
#[derive(Debug, Default)]
pub(super) struct Cells {
    by_name: BTreeMap<String, Cell>,
    bytes: u64,
}

impl Cells {
    /// All zero. Maps whose registers together exceed their window (by overlap) are cut there.
    pub(super) fn of(map: &RegisterMap) -> Cells {
        let mut cells = Cells::default();
        let window = map.window();
        for register in map.iter() {
            if cells.bytes + u64::from(register.size) <= window {
                cells.add(register);
            }
        }
        cells
    }

    /// False: the name is taken.
    pub(super) fn add(&mut self, register: &Register) -> bool {
        if self.by_name.contains_key(&register.name) {
            return false;
        }
        self.bytes += u64::from(register.size);
        let data = vec![0; register.size as usize];
        let cell = Cell { offset: register.offset, access: register.access, data };
        self.by_name.insert(register.name.clone(), cell);
        true
    }

    pub(super) fn get(&self, name: &str) -> Option<&Cell> {
        self.by_name.get(name)
    }
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Cell> {
        self.by_name.get_mut(name)
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Cell)> {
        self.by_name.iter()
    }
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
