//! One order to several controllers at the same time.

use super::context::Context;
use super::messages::Index;
use super::task::TaskId;
use crate::archon::controller::{Answer, Fault, Order, OrderKey};
use crate::units::Now;

/// Orders on their way, and how they ended.
#[derive(Debug, Default)]
pub(in crate::archon) struct Group {
    waiting: Vec<(Index, OrderKey)>,
    /// In the order they ended.
    pub results: Vec<(Index, Result<Answer, Fault>)>,
}

impl Group {
    /// Gives every controller its order, back to back.
    pub fn order(
        cx: &mut Context,
        task: TaskId,
        controllers: &[Index],
        order: impl Fn(Index) -> Order,
        now: Now,
    ) -> Group {
        let waiting = controllers.iter().map(|n| (*n, cx.order(task, *n, order(*n), now))).collect();
        Group { waiting, results: Vec::new() }
    }

    /// The end of an order: `false` if it is none of ours.
    pub fn take(&mut self, n: Index, key: OrderKey, result: &Result<Answer, Fault>) -> bool {
        let Some(at) = self.waiting.iter().position(|w| *w == (n, key)) else { return false };
        self.waiting.remove(at);
        self.results.push((n, result.clone()));
        true
    }

    /// All have ended.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those that failed.
    pub fn faults(&self) -> Vec<(Index, Fault)> {
        let fault = |(n, r): &(Index, Result<Answer, Fault>)| r.as_ref().err().map(|f| (*n, f.clone()));
        self.results.iter().filter_map(fault).collect()
    }

    /// Those that went well.
    pub fn well(&self) -> Vec<Index> {
        self.results.iter().filter(|(_, r)| r.is_ok()).map(|(n, _)| *n).collect()
    }
}
