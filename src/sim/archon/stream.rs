//! FETCH: a piece of frame memory as blocks, made while it is sent.

use super::sky::FrameSpec;
use crate::proto::archon::BLOCK;

/// What the padding after the last pixel is made of.
const PADDING: u8 = 0xFF;

/// A FETCH that is being answered.
#[derive(Debug)]
pub(super) struct Stream {
    pub id: [u8; 2],
    spec: Option<FrameSpec>,
    /// Byte of the frame that comes next.
    position: u64,
    /// Block that comes next, and how many there are.
    pub block: u32,
    pub blocks: u32,
    row: Vec<u8>,
    row_number: Option<u64>,
}

impl Stream {
    pub fn new(id: [u8; 2], spec: Option<FrameSpec>, offset: u64, blocks: u32) -> Stream {
        Stream { id, spec, position: offset, block: 0, blocks, row: Vec::new(), row_number: None }
    }

    pub fn is_done(&self) -> bool {
        self.block >= self.blocks
    }

    /// Appends one block, header included.
    pub fn next_block(&mut self, out: &mut Vec<u8>, wrong_header: bool) {
        let id = if wrong_header { *b"zz" } else { self.id };
        out.extend_from_slice(&[b'<', id[0], id[1], b':']);
        let mut left = BLOCK;
        while left > 0 {
            let taken = self.pixels(left, out);
            left -= taken;
        }
        self.block += 1;
    }

    fn pixels(&mut self, most: usize, out: &mut Vec<u8>) -> usize {
        let row_bytes = self.spec.as_ref().map_or(0, |s| u64::from(s.width()) * s.sample.bytes() as u64);
        let total = self.spec.as_ref().map_or(0, FrameSpec::bytes);
        if self.position >= total {
            out.resize(out.len() + most, PADDING);
            self.position += most as u64;
            return most;
        }
        let (number, within) = (self.position / row_bytes, (self.position % row_bytes) as usize);
        if self.row_number != Some(number)
            && let Some(spec) = &self.spec
        {
            spec.row(number as u32, &mut self.row);
            self.row_number = Some(number);
        }
        let taken = most.min(self.row.len() - within);
        out.extend_from_slice(&self.row[within..within + taken]);
        self.position += taken as u64;
        taken
    }
}
