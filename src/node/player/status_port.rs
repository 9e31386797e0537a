//! The node's access to status memory: orders in turn, never waiting for the lock.
//!
//! The lock is held by others for microseconds, so an order is normally carried out at once. When it
//! is held, the order waits in the queue and is tried again in moments; a lock whose holder is dead is
//! repaired (and said aloud) by the memory's own recovery. Without memory every order fails with the
//! reason.

use crate::player::bank::{StatusAnswer, StatusKey, StatusOrder};
use crate::shm::{StatusError, StatusMemory, Wait};
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// Orders waiting for the lock; more are refused.
const QUEUE_MAX: usize = 1024;
/// An order that could not be carried out in this time fails; longer than the recovery of a stale lock.
const GIVE_UP: Duration = Duration::from_secs(5);
/// First look at a busy lock again.
const RETRY: Duration = Duration::from_millis(1);

/// Orders to the status memory of this node.
pub struct StatusPort {
    memory: Result<StatusMemory, String>,
    queue: VecDeque<(StatusKey, StatusOrder, Mono)>,
    retry_at: Option<Mono>,
}

impl StatusPort {
    /// Over memory, or over the reason why there is none.
    pub fn new(memory: Result<StatusMemory, String>) -> StatusPort {
        StatusPort { memory, queue: VecDeque::new(), retry_at: None }
    }

    /// The memory, if there is some.
    pub fn into_memory(self) -> Option<StatusMemory> {
        self.memory.ok()
    }

    /// Takes an order; answers come out of [`StatusPort::pump`].
    pub fn order(
        &mut self,
        key: StatusKey,
        order: StatusOrder,
        now: Now,
    ) -> Option<(StatusKey, StatusAnswer)> {
        if self.queue.len() >= QUEUE_MAX {
            return Some((key, Err(format!("{QUEUE_MAX} orders already wait for the lock"))));
        }
        self.queue.push_back((key, order, now.mono));
        None
    }

    /// Carries out what can be carried out now.
    pub fn pump(&mut self, now: Now) -> Vec<(StatusKey, StatusAnswer)> {
        let mut answers = Vec::new();
        while let Some((_, order, since)) = self.queue.front() {
            let answer = match &mut self.memory {
                Err(why) => Err(why.clone()),
                Ok(memory) => match carry_out(memory, order) {
                    Err(e) if e.is_busy() && now.mono.since(*since) < GIVE_UP => {
                        self.retry_at = Some(match memory.stale_probe(now.mono) {
                            Wait::TryNow => now.mono + RETRY,
                            Wait::Until(at) => at.min(now.mono + RETRY.saturating_mul(20)),
                        });
                        return answers;
                    }
                    other => other.map_err(|e| e.to_string()),
                },
            };
            if let Some((key, _, _)) = self.queue.pop_front() {
                answers.push((key, answer));
            }
        }
        self.retry_at = None;
        answers
    }

    /// The end: what still waits for the lock gets no more of it.
    pub fn give_up(&mut self) -> Vec<(StatusKey, StatusAnswer)> {
        self.retry_at = None;
        let why = "the player ends, and the lock was not to be had before";
        self.queue.drain(..).map(|(key, ..)| (key, Err(why.to_owned()))).collect()
    }

    /// When to call [`StatusPort::pump`] again.
    pub fn deadline(&self) -> Option<Mono> {
        self.retry_at
    }
}

fn carry_out(
    memory: &mut StatusMemory,
    order: &StatusOrder,
) -> Result<Vec<(String, crate::value::Value)>, StatusError> {
    match order {
        StatusOrder::Put(pairs) => memory.try_set_all(pairs).map(|()| Vec::new()),
        StatusOrder::Read(None) => memory.try_snapshot().map(|s| s.to_pairs()),
        StatusOrder::Read(Some(keys)) => memory.try_snapshot().map(|s| s.pairs_of(keys)),
        StatusOrder::Clear => memory
            .try_update(|editor| {
                editor.clear();
                Ok(())
            })
            .map(|()| Vec::new()),
    }
}
