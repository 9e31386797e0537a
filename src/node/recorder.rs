//! Waiting for the record: nothing happens before its entry is written, but nothing waits for ever.
//!
//! A write call waits for its own entry; the hardware orders of a procedure wait for the procedure's. When
//! the recorder does not answer (a disk that hangs), the wait ends with a loud word and the observation goes
//! on: a missing line in the record is better than a `stop` that does not get through.

use crate::api::Ticket;
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// The longest wait for the record.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// Whose entry is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A write call.
    Call(Ticket),
    /// A procedure whose orders to this hardware are held back.
    Orders {
        /// The role's own number of the hardware.
        lane: usize,
    },
}

/// Entries on their way, and the orders that wait for them: never more than a procedure gives before its
/// first answer, for only one runs at a time on a piece of hardware.
#[derive(Debug)]
pub struct Recorder<O> {
    lane_of: fn(&O) -> Option<usize>,
    waiting: VecDeque<(Waiting, Mono)>,
    held: VecDeque<(usize, O)>,
}

impl<O> Recorder<O> {
    /// Nothing on its way. `lane_of`: the hardware an order may change, if any.
    pub fn new(lane_of: fn(&O) -> Option<usize>) -> Recorder<O> {
        Recorder { lane_of, waiting: VecDeque::new(), held: VecDeque::new() }
    }

    /// An entry was handed to the writer.
    pub fn submitted(&mut self, what: Waiting, now: Now) {
        self.waiting.push_back((what, now.mono + WRITTEN_WITHIN));
    }

    /// The writer has answered (written or failed); entries are answered in order.
    pub fn answered(&mut self, what: Waiting) {
        if let Some(i) = self.waiting.iter().position(|(w, _)| *w == what) {
            self.waiting.remove(i);
        }
    }

    /// Those who have waited long enough.
    pub fn overdue(&mut self, now: Now) -> Vec<Waiting> {
        let late = |(_, due): &(Waiting, Mono)| *due <= now.mono;
        let overdue = self.waiting.iter().filter(|w| late(w)).map(|(w, _)| *w).collect();
        self.waiting.retain(|w| !late(w));
        overdue
    }

    /// All who wait (the writer has died).
    pub fn give_up(&mut self) -> Vec<Waiting> {
        self.waiting.drain(..).map(|(w, _)| w).collect()
    }

    /// When to look for [`Recorder::overdue`].
    pub fn deadline(&self) -> Option<Mono> {
        self.waiting.front().map(|(_, due)| *due)
    }

    /// Holds a hardware order back while an entry of its lane is on its way; gives anything else back.
    pub fn hold(&mut self, order: O) -> Option<O> {
        match (self.lane_of)(&order) {
            Some(lane) if self.waits(lane) || self.held.iter().any(|(l, _)| *l == lane) => {
                self.held.push_back((lane, order));
                None
            }
            _ => Some(order),
        }
    }

    fn waits(&self, lane: usize) -> bool {
        self.waiting.iter().any(|(w, _)| *w == Waiting::Orders { lane })
    }

    /// The next order that may go out now; each lane in its order.
    pub fn release(&mut self) -> Option<O> {
        let free = self.held.iter().position(|(lane, _)| !self.waits(*lane))?;
        self.held.remove(free).map(|(_, order)| order)
    }

    /// The orders held back of a lane, which will not go out: the way to its hardware is gone.
    pub fn withdraw(&mut self, lane: usize) -> Vec<O> {
        let (withdrawn, kept) = self.held.drain(..).partition(|(l, _)| *l == lane);
        self.held = kept;
        let withdrawn: VecDeque<(usize, O)> = withdrawn;
        withdrawn.into_iter().map(|(_, order)| order).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orders are text: a digit (the lane) and words, or words for nobody's hardware.
    fn lane(order: &&'static str) -> Option<usize> {
        order.split_once(' ').and_then(|(lane, _)| lane.parse().ok())
    }
    fn at(s: u64) -> Now {
        Now { mono: Mono(s * 1_000_000_000), ..Now::default() }
    }

    #[test]
    fn orders_of_a_procedure_wait_for_its_entry_and_keep_their_order() {
        let mut r = Recorder::new(lane);
        assert_eq!(r.hold("0 before"), Some("0 before"));
        r.submitted(Waiting::Orders { lane: 0 }, at(0));
        assert_eq!(r.hold("0 a"), None);
        assert_eq!(r.hold("changed"), Some("changed"), "words to subscribers do not wait");
        assert_eq!(r.release(), None);
        r.answered(Waiting::Orders { lane: 0 });
        assert_eq!(r.hold("0 b"), None, "not past the one that waits");
        assert_eq!([r.release(), r.release(), r.release()], [Some("0 a"), Some("0 b"), None]);
    }

    #[test]
    fn one_piece_of_hardware_does_not_wait_for_another() {
        let mut r = Recorder::new(lane);
        r.submitted(Waiting::Orders { lane: 0 }, at(0));
        r.submitted(Waiting::Orders { lane: 1 }, at(0));
        assert_eq!([r.hold("0 a"), r.hold("1 a"), r.hold("0 b")], [None, None, None]);
        assert_eq!(r.hold("2 a"), Some("2 a"));
        r.answered(Waiting::Orders { lane: 1 });
        assert_eq!([r.release(), r.release()], [Some("1 a"), None]);
        assert_eq!(r.withdraw(0), ["0 a", "0 b"]);
        r.answered(Waiting::Orders { lane: 0 });
        assert_eq!(r.release(), None, "what was withdrawn does not go out later");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut r = Recorder::new(lane);
        r.submitted(Waiting::Call(Ticket(7)), at(0));
        r.submitted(Waiting::Orders { lane: 0 }, at(1));
        assert_eq!(r.deadline(), Some(at(2).mono));
        assert_eq!(r.overdue(at(1)), []);
        assert_eq!(r.overdue(at(2)), [Waiting::Call(Ticket(7))]);
        assert_eq!(r.give_up(), [Waiting::Orders { lane: 0 }]);
        assert_eq!(r.deadline(), None);
    }
}
