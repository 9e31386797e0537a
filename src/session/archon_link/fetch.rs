//! The FETCH that is running: what is still to come, and the piece being filled.

use super::Token;
use crate::proto::archon::BLOCK;

#[derive(Debug)]
pub(super) struct Fetch {
    pub token: Token,
    pub id: u8,
    /// Bytes still to come.
    pub left: u64,
    total: u64,
    piece: Vec<u8>,
}

impl Fetch {
    pub fn new(token: Token, id: u8, blocks: u32) -> Fetch {
        let total = u64::from(blocks) * BLOCK as u64;
        Fetch { token, id, left: total, total, piece: Vec::new() }
    }

    /// Some of it has come.
    pub fn has_begun(&self) -> bool {
        self.left < self.total
    }

    /// Copies what fits into the piece; gives back the rest.
    pub fn fill<'a>(&mut self, bytes: &'a [u8], size: usize, spare: &mut Vec<Vec<u8>>) -> &'a [u8] {
        if self.piece.capacity() == 0 {
            self.piece = spare.pop().unwrap_or_else(|| Vec::with_capacity(size));
        }
        let room = size.saturating_sub(self.piece.len()).max(1);
        let (now, rest) = bytes.split_at(room.min(bytes.len()));
        self.piece.extend_from_slice(now);
        self.left = self.left.saturating_sub(now.len() as u64);
        rest
    }

    /// The piece, if it is full or the last one.
    pub fn full_piece(&mut self, size: usize) -> Option<Vec<u8>> {
        let full = self.piece.len() >= size || self.left == 0;
        (full && !self.piece.is_empty()).then(|| std::mem::take(&mut self.piece))
    }
}
