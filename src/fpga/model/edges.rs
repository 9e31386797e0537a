//! Bits the fabric watches: bit 0 of a few registers does something when it rises.

use super::cells::Cells;
use super::snapshot::SnapshotBlock;
use std::ops::Range;

/// What a rising edge does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// `arm`, `ARM`: the instrument starts with the next PPS.
    Arm,
    /// `reset`: the error flag goes.
    Reset,
    /// `S_ctrl`: the snapshot block captures.
    Capture(SnapshotBlock),
}

/// A watched bit: the address of its byte, and what its rise does.
type Watched = (usize, Action);

/// The watched bits of a design. They are found by address: writing through another name counts.
#[derive(Debug, Default)]
pub(super) struct Edges(Vec<Watched>);

impl Edges {
    pub(super) fn of(cells: &Cells) -> Edges {
        let watched =
            cells.iter().filter_map(|(name, cell)| Some((cell.lowest_bit()?, action(name, cells)?)));
        Edges(watched.collect())
    }

    /// The bits among these addresses that are low.
    pub(super) fn low(&self, range: &Range<usize>, cells: &Cells) -> Vec<Watched> {
        let low = |(at, _): &&Watched| range.contains(at) && cells.byte(*at) & 1 == 0;
        self.0.iter().filter(low).cloned().collect()
    }
}

fn action(name: &str, cells: &Cells) -> Option<Action> {
    match name {
        "arm" | "ARM" => Some(Action::Arm),
        "reset" => Some(Action::Reset),
        _ => SnapshotBlock::controlled_by(name, cells).map(Action::Capture),
    }
}
