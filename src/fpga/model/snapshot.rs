//! Snapshot blocks: a rising edge of bit 0 of `S_ctrl` fills `S_bram` and counts in `S_status`.
//!
//! ```text
//! S_ctrl 0->1   S_status = 1<<31                       running
//! a while later S_bram = start, start+1, ... (32 bit)  S_status = bytes, S_tr_en_cnt = bytes + offset
//! ```
//! Older clients look at `S_addr`, which has the last word written instead of the bytes. The trigger always comes at once and every sample is valid, whatever bits 1 to 3 of `S_ctrl` ask for.

use super::Board;
use super::cells::Cells;
use crate::units::Utc;

/// Bit 31 of `S_status`.
const RUNNING: u32 = 1 << 31;

/// A block, by the part of the names its registers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotBlock(String);

impl SnapshotBlock {
    /// The block of a control register, if its status and memory exist as well.
    pub(super) fn controlled_by(register: &str, cells: &Cells) -> Option<SnapshotBlock> {
        let block = SnapshotBlock(register.strip_suffix("_ctrl")?.to_owned());
        let complete = ["status", "bram"].iter().all(|part| cells.get(&block.part(part)).is_some());
        complete.then_some(block)
    }

    fn part(&self, part: &str) -> String {
        format!("{}_{part}", self.0)
    }
}

/// A block that is filling.
#[derive(Debug)]
pub(super) struct Capture {
    block: SnapshotBlock,
    done: Utc,
}

impl Board {
    /// Starts (or restarts) a capture.
    pub(super) fn capture(&mut self, block: SnapshotBlock, now: Utc) {
        self.captures.retain(|c| c.block != block);
        self.poke(&block.part("status"), 0, &RUNNING.to_be_bytes());
        self.poke(&block.part("addr"), 0, &RUNNING.to_be_bytes());
        let nanos = i64::try_from(self.config.snapshot_time.as_nanos()).unwrap_or(i64::MAX);
        self.captures.push(Capture { block, done: Utc(now.0.saturating_add(nanos)) });
        self.finish_captures(now);
    }

    pub(super) fn finish_captures(&mut self, now: Utc) {
        let due: Vec<Capture> = self.captures.extract_if(.., |c| c.done <= now).collect();
        due.iter().for_each(|c| self.fill(&c.block));
    }

    /// When the first capture ends.
    pub(super) fn capture_due(&self) -> Option<Utc> {
        self.captures.iter().map(|c| c.done).min()
    }

    fn fill(&mut self, block: &SnapshotBlock) {
        let bram = block.part("bram");
        let Some(cell) = self.cells.get(&bram) else { return };
        self.captured += 1;
        let start = first_word(self.config.seed, self.captured);
        let words = (0..cell.size.div_ceil(4)).flat_map(|n| start.wrapping_add(n).to_be_bytes());
        let data: Vec<u8> = words.take(cell.size as usize).collect();
        self.poke(&bram, 0, &data);
        let offset = self.word(&block.part("trig_offset"));
        self.poke(&block.part("tr_en_cnt"), 0, &cell.size.wrapping_add(offset).to_be_bytes());
        self.poke(&block.part("status"), 0, &cell.size.to_be_bytes());
        let last = (cell.size / 4).saturating_sub(1);
        self.poke(&block.part("addr"), 0, &last.to_be_bytes());
    }
}

/// Where the counter stands when a capture begins: differs from capture to capture, repeats with the seed.
fn first_word(seed: u64, captured: u64) -> u32 {
    let mixed = (seed ^ captured.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}
