//! The first bytes of a data buffer, little-endian, and where its blocks are.
//!
//! ```text
//!          guppi (104 bytes)   vegas (128 bytes)
//!   text       0                   0               "unknown"
//!   kind       -                  64  u32          then 4 bytes of padding
//!   whole      -                  72  u64          bytes of the segment
//!   struct    64  u64             80  u64          8192: from here to the first block header
//!   block     72  u64             88  u64          bytes of a block
//!   header    80  u64             96  u64          184320: of each block, a copy of the status memory
//!   index      -                 104  u64          65544, of each block
//!   shmid     88  i32            112  i32
//!   semid     92  i32            116  i32
//!   blocks    96  i32            120  i32
//! ```
//!
//! Then the headers of all blocks, the indexes of all blocks (vegas), the data of all blocks.

use super::layout::{Buffer, Family, Kind};
use crate::proto::status_cards::{CARD, STATUS_SIZE};

/// From the start of a segment to the header of its first block.
pub const STRUCT_SIZE: u64 = 8192;
/// Header of a block.
pub const HEADER_SIZE: u64 = STATUS_SIZE as u64;
/// Index of a block (vegas).
pub const INDEX_SIZE: u64 = 65_544;
/// Bytes that are looked at.
pub const LENGTH: usize = 128;
/// Semaphores of a disk buffer, however many blocks it has.
const DISK_SEMAPHORES: u32 = 1024;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Kind (vegas).
    pub kind: Option<u32>,
    /// Bytes of the segment (vegas).
    pub whole: Option<u64>,
    /// Should be [`STRUCT_SIZE`].
    pub struct_size: u64,
    /// Bytes of a block.
    pub block_size: u64,
    /// Should be [`HEADER_SIZE`].
    pub header_size: u64,
    /// Should be [`INDEX_SIZE`] (vegas).
    pub index_size: Option<u64>,
    /// Blocks.
    pub blocks: i32,
}

impl Buffer {
    fn per_block(&self, family: Family) -> u64 {
        let index = if family == Family::Vegas { INDEX_SIZE } else { 0 };
        HEADER_SIZE + index + self.block_size
    }

    /// Bytes of its segment.
    pub fn segment_size(&self, family: Family) -> u64 {
        u64::from(self.blocks).saturating_mul(self.per_block(family)).saturating_add(STRUCT_SIZE)
    }

    /// How many semaphores it has.
    pub fn semaphores(&self, family: Family) -> u32 {
        match (family, self.kind) {
            (Family::Vegas, Kind::Disk) => DISK_SEMAPHORES,
            _ => self.blocks,
        }
    }

    /// Where the header of a block is.
    pub fn block_header_at(&self, block: u32) -> u64 {
        STRUCT_SIZE + u64::from(block) * HEADER_SIZE
    }

    /// The header it should have.
    pub fn header(&self, family: Family) -> Header {
        let vegas = family == Family::Vegas;
        Header {
            kind: vegas.then_some(self.kind as u32),
            whole: vegas.then(|| self.segment_size(family)),
            struct_size: STRUCT_SIZE,
            block_size: self.block_size,
            header_size: HEADER_SIZE,
            index_size: vegas.then_some(INDEX_SIZE),
            blocks: i32::try_from(self.blocks).unwrap_or(i32::MAX),
        }
    }
}

impl Header {
    /// As bytes.
    pub fn to_bytes(self, shmid: i32, semid: i32) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        out[..7].copy_from_slice(b"unknown");
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        let shift = match (self.kind, self.whole, self.index_size) {
            (Some(kind), Some(whole), Some(index)) => {
                put(64, &kind.to_le_bytes());
                put(72, &whole.to_le_bytes());
                put(104, &index.to_le_bytes());
                16
            }
            _ => 0,
        };
        put(64 + shift, &self.struct_size.to_le_bytes());
        put(72 + shift, &self.block_size.to_le_bytes());
        put(80 + shift, &self.header_size.to_le_bytes());
        let ids = if shift > 0 { 112 } else { 88 };
        put(ids, &shmid.to_le_bytes());
        put(ids + 4, &semid.to_le_bytes());
        put(ids + 8, &self.blocks.to_le_bytes());
        out
    }

    /// From bytes; any bytes give some header.
    pub fn from_bytes(bytes: &[u8; LENGTH], family: Family) -> Header {
        let long = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let vegas = family == Family::Vegas;
        let (shift, blocks_at) = if vegas { (16, 120) } else { (0, 96) };
        Header {
            kind: vegas.then(|| long(64) as u32),
            whole: vegas.then(|| long(72)),
            struct_size: long(64 + shift),
            block_size: long(72 + shift),
            header_size: long(80 + shift),
            index_size: vegas.then(|| long(104)),
            blocks: long(blocks_at) as u32 as i32,
        }
    }

    /// Is it what a buffer should say? A disk buffer may be cut into any blocks: the program does so itself.
    pub fn fits(self, buffer: &Buffer, family: Family) -> bool {
        let mut wanted = buffer.header(family);
        if family == Family::Vegas && buffer.kind == Kind::Disk {
            (wanted.block_size, wanted.blocks) = (self.block_size, self.blocks);
        }
        self == wanted
    }
}

/// Could a data buffer of either family begin so? One that was never finished begins with zeros.
pub fn is_plausible(bytes: &[u8; LENGTH]) -> bool {
    let family = |family| Header::from_bytes(bytes, family).struct_size == STRUCT_SIZE;
    bytes.iter().all(|b| *b == 0) || family(Family::Guppi) || family(Family::Vegas)
}

/// The header of a block that holds nothing: an END card.
pub fn empty_block_header() -> [u8; CARD] {
    let mut card = [b' '; CARD];
    card[..3].copy_from_slice(b"END");
    card
}
