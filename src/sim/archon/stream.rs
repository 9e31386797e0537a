//! FETCH: a piece of frame memory as blocks, made while it is sent.
//!
//! Frame memory is read when a block is made, not when it is asked for: a buffer that nobody locked may
//! get the next frame meanwhile, and the image is then one half of each.

use super::buffers::{Buffer, Buffers};
use crate::proto::archon::BLOCK;

/// What the padding after the last pixel is made of, and memory that was never written.
const PADDING: u8 = 0xFF;

/// A FETCH that is being answered.
#[derive(Debug)]
pub(super) struct Stream {
    id: [u8; 2],
    buffer: u8,
    /// Byte of the buffer that comes next.
    position: u64,
    /// Block that comes next, and how many there are.
    pub block: u32,
    blocks: u32,
    row: Vec<u8>,
    /// What `row` is: number, frame.
    made: Option<(u64, u64)>,
}

impl Stream {
    pub fn new(id: [u8; 2], buffer: u8, offset: u64, blocks: u32) -> Stream {
        Stream { id, buffer, position: offset, block: 0, blocks, row: Vec::new(), made: None }
    }

    pub fn is_done(&self) -> bool {
        self.block >= self.blocks
    }

    /// Blocks still to come.
    pub fn left(&self) -> usize {
        self.blocks.saturating_sub(self.block) as usize
    }

    /// Appends one block, header included.
    pub fn next_block(&mut self, memory: &Buffers, out: &mut Vec<u8>, wrong_header: bool) {
        let id = if wrong_header { *b"zz" } else { self.id };
        out.extend_from_slice(&[b'<', id[0], id[1], b':']);
        let buffer = memory.get(self.buffer);
        let mut left = BLOCK;
        while left > 0 {
            let taken = self.bytes(buffer, left, out);
            self.position += taken as u64;
            left -= taken;
        }
        self.block += 1;
    }

    /// Appends what is in memory at `position`, at most to the end of the row.
    fn bytes(&mut self, buffer: Option<&Buffer>, most: usize, out: &mut Vec<u8>) -> usize {
        let spec = buffer.and_then(|b| b.spec.as_ref()).filter(|s| self.position < s.bytes());
        let (Some(buffer), Some(spec)) = (buffer, spec) else {
            out.resize(out.len() + most, PADDING);
            return most;
        };
        let row_bytes = u64::from(spec.width()) * spec.sample.bytes() as u64;
        let (number, within) = (self.position / row_bytes, self.position % row_bytes);
        let taken = most.min((row_bytes - within) as usize);
        let Some(held) = buffer.at_row(number as u32) else {
            out.resize(out.len() + taken, PADDING);
            return taken;
        };
        if self.made != Some((number, held.frame)) {
            held.row(number as u32, &mut self.row);
            self.made = Some((number, held.frame));
        }
        out.extend_from_slice(&self.row[within as usize..within as usize + taken]);
        taken
    }
}
