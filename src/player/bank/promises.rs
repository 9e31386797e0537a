//! Answers that wait until what they say is in the file of the state: whoever hears that something was set, or that a
//! scan runs, may count on it, whatever happens to this process then.

use crate::api::Outcome;
use crate::player::bank::Ticket;
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// A file that takes longer is on a disk that hangs: the answer is given without it, and that is said.
const SAVED_WITHIN: Duration = Duration::from_secs(3);

/// One answer.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) ticket: Ticket,
    pub(super) outcome: Outcome,
    /// It says that a scan has begun.
    pub(super) of_scan: bool,
    /// The state it waits for.
    save: u64,
    until: Option<Mono>,
}

/// States on their way to the file, which arrive in their order, and who waits for them.
#[derive(Debug, Default)]
pub(super) struct Promises {
    ordered: u64,
    arrived: u64,
    waiting: VecDeque<Promise>,
}

impl Promises {
    /// One more state is on its way.
    pub(super) fn ordered(&mut self) {
        self.ordered += 1;
    }

    /// Nothing is on its way.
    pub(super) fn all_arrived(&self) -> bool {
        self.arrived >= self.ordered
    }

    /// To be said when the last state that is on its way has arrived.
    pub(super) fn wait(&mut self, ticket: Ticket, outcome: Outcome, of_scan: bool) {
        self.waiting.push_back(Promise { ticket, outcome, of_scan, save: self.ordered, until: None });
    }

    /// The next state is in the file: what may be said now.
    pub(super) fn arrived(&mut self) -> Vec<Promise> {
        self.arrived += 1;
        let count = self.waiting.partition_point(|p| p.save <= self.arrived);
        self.waiting.drain(..count).collect()
    }

    /// Those that have waited too long. Whoever is new here is given its time.
    pub(super) fn overdue(&mut self, now: Now) -> Vec<Promise> {
        for p in self.waiting.iter_mut().rev().take_while(|p| p.until.is_none()) {
            p.until = Some(now.mono + SAVED_WITHIN);
        }
        let count = self.waiting.partition_point(|p| p.until.is_some_and(|until| until <= now.mono));
        self.waiting.drain(..count).collect()
    }

    /// When [`Promises::overdue`] has something to give.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.waiting.front()?.until
    }

    /// All of them.
    pub(super) fn take(&mut self) -> Vec<Promise> {
        self.waiting.drain(..).collect()
    }
}
