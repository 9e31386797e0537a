//! The byte space of a design: sparse, zero until written.

use std::collections::BTreeMap;

/// Bytes that come into being together.
const PAGE: usize = 4096;

/// Pages by number. Whoever admits registers bounds the space.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pages: BTreeMap<usize, Box<[u8; PAGE]>>,
}

impl Memory {
    pub(super) fn read(&self, address: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for (page, at, range) in pieces(address, len) {
            if let Some(page) = self.pages.get(&page) {
                let piece = range.len();
                bytes[range].copy_from_slice(&page[at..at + piece]);
            }
        }
        bytes
    }

    /// `keep`: bits of the byte at an address that stay as they are.
    pub(super) fn write(&mut self, address: usize, bytes: &[u8], keep: impl Fn(usize) -> u8) {
        for (page, at, range) in pieces(address, bytes.len()) {
            let page = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            for (n, to) in range.zip(&mut page[at..]) {
                let mask = keep(address + n);
                *to = *to & mask | bytes[n] & !mask;
            }
        }
    }

    pub(super) fn byte(&self, address: usize) -> u8 {
        self.pages.get(&(address / PAGE)).map_or(0, |page| page[address % PAGE])
    }
}

/// Page, place in the page, and place in the span of each piece of a span.
fn pieces(address: usize, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = (address + done) % PAGE;
        let piece = (PAGE - at).min(len - done);
        let from = done;
        done += piece;
        (piece > 0).then(|| ((address + from) / PAGE, at, from..done))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cross_pages_and_unwritten_bytes_are_zero() {
        let mut memory = Memory::default();
        memory.write(PAGE - 2, &[1, 2, 3, 4], |_| 0);
        assert_eq!(memory.read(PAGE - 3, 6), [0, 1, 2, 3, 4, 0]);
        assert_eq!((memory.byte(PAGE), memory.byte(9 * PAGE)), (3, 0));
        memory.write(PAGE, &[0xFF], |at| if at == PAGE { 0x0F } else { 0 });
        assert_eq!(memory.byte(PAGE), 0xF3);
        assert!(memory.read(7, 0).is_empty());
    }
}
