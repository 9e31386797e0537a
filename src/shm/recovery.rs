//! When the holder of a lock must be dead: a small pure machine.
//!
//! ```text
//!           value 0             2 s of 0                 10 samples of 0 in 100 ms
//!  Free ───────────────> Held ───────────> Sampling ────────────────────────────────> Repair
//!    ^                    │ value >= 1        │ value >= 1
//!    └────────────────────┴───────────────────┘
//! ```
//!
//! In correct use the lock is held for microseconds, so a value that is 0 whenever we look, for seconds,
//! has lost its holder. The machine only decides; the semaphore is repaired by a compare-and-swap
//! that does nothing if the holder was alive after all.

use crate::sys::named_sem::SemWord;
use crate::units::Mono;
use std::time::Duration;

/// Samples that must all show a held lock.
const SAMPLES: u32 = 10;
/// Time between two of them.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);
/// How often to look before sampling begins: more looks find a live lock sooner.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// After such a gap between two looks the lock may have been free in between: begin anew.
const GAP_MAX: Duration = Duration::from_secs(1);

/// What the configuration says about stale locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A lock held for so long is suspicious. `shm.stale_lock_s`, 2 s.
    pub stale_after: Duration,
    /// Whether we may repair it. `shm.repair_stale_lock`, true.
    pub repair: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { stale_after: Duration::from_secs(2), repair: true }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The lock can be had: try it.
    Free,
    /// Held; look again at this time, or try to take it until then.
    Wait {
        /// When to look again.
        until: Mono,
    },
    /// The holder is gone: compare-and-swap 0 to 1.
    Repair,
    /// As `Repair`, but the policy forbids it: tell the operator.
    Stale,
    /// Somebody posted once too often: bring the value down to 1.
    LowerExcess,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Free,
    Held { since: Mono },
    Sampling { seen: u32, next: Mono },
}

/// Watches one lock that we want and do not get.
#[derive(Clone, Debug)]
pub struct Recovery {
    policy: Policy,
    state: State,
    last_look: Mono,
}

impl Recovery {
    /// Nothing seen yet.
    pub fn new(policy: Policy) -> Recovery {
        Recovery { policy, state: State::Free, last_look: Mono(0) }
    }

    /// We got the lock, so its users are alive.
    pub fn reset(&mut self) {
        self.state = State::Free;
    }

    /// Takes in one look at the semaphore. Call while the lock is wanted and not had.
    pub fn tick(&mut self, now: Mono, word: SemWord) -> Step {
        if now.since(self.last_look) > GAP_MAX {
            self.reset();
        }
        self.last_look = now;
        if word.value > 0 {
            self.reset();
            return if word.value > 1 { Step::LowerExcess } else { Step::Free };
        }
        match self.state {
            State::Free => {
                self.wait(State::Held { since: now }, now + LOOK_EVERY.min(self.policy.stale_after))
            }
            State::Held { since } => self.held(now, since),
            State::Sampling { next, .. } if now < next => Step::Wait { until: next },
            State::Sampling { seen, .. } if seen < SAMPLES => self.sample(now, seen + 1),
            State::Sampling { .. } => {
                self.reset();
                if self.policy.repair { Step::Repair } else { Step::Stale }
            }
        }
    }

    fn held(&mut self, now: Mono, since: Mono) -> Step {
        let suspicious = since + self.policy.stale_after;
        if now >= suspicious {
            return self.sample(now, 1);
        }
        Step::Wait { until: suspicious.min(now + LOOK_EVERY) }
    }

    fn sample(&mut self, now: Mono, seen: u32) -> Step {
        let next = now + SAMPLE_EVERY;
        self.wait(State::Sampling { seen, next }, next)
    }

    fn wait(&mut self, state: State, until: Mono) -> Step {
        self.state = state;
        Step::Wait { until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: SemWord = SemWord { value: 0, waiters: 1 };
    const FREE: SemWord = SemWord { value: 1, waiters: 0 };

    /// Follows the machine's own times until it decides; returns the decision and when.
    fn run(machine: &mut Recovery, mut now: Mono, word: impl Fn(Mono) -> SemWord) -> (Step, Mono) {
        for _ in 0..1000 {
            match machine.tick(now, word(now)) {
                Step::Wait { until } => now = until,
                step => return (step, now),
            }
        }
        panic!("no decision");
    }

    #[test]
    fn a_dead_holder_is_found_after_two_seconds_and_ten_samples() {
        let mut machine = Recovery::new(Policy::default());
        let (step, when) = run(&mut machine, Mono(0), |_| HELD);
        assert_eq!((step, when), (Step::Repair, Mono(2_100_000_000)));
    }

    #[test]
    fn one_look_at_a_free_lock_starts_all_over() {
        let blink = |now: Mono| if now == Mono(2_050_000_000) { FREE } else { HELD };
        let mut machine = Recovery::new(Policy::default());
        let (step, when) = run(&mut machine, Mono(0), blink);
        assert_eq!((step, when), (Step::Free, Mono(2_050_000_000)));
        let (step, when) = run(&mut machine, Mono(2_060_000_000), |_| HELD);
        assert_eq!((step, when), (Step::Repair, Mono(4_160_000_000)));
    }

    #[test]
    fn looking_too_often_does_not_hurry_it() {
        let mut machine = Recovery::new(Policy::default());
        for ms in 0..2_100 {
            let step = machine.tick(Mono(ms * 1_000_000), HELD);
            assert!(matches!(step, Step::Wait { .. }), "{step:?} at {ms} ms");
        }
    }

    #[test]
    fn a_gap_between_looks_starts_all_over() {
        let mut machine = Recovery::new(Policy::default());
        assert!(matches!(machine.tick(Mono(0), HELD), Step::Wait { .. }));
        let hour = Mono(3_600_000_000_000);
        assert_eq!(run(&mut machine, hour, |_| HELD), (Step::Repair, hour + Duration::from_millis(2_100)));
    }

    #[test]
    fn the_policy_may_forbid_repair() {
        let mut machine = Recovery::new(Policy { repair: false, ..Policy::default() });
        assert_eq!(run(&mut machine, Mono(0), |_| HELD).0, Step::Stale);
    }

    #[test]
    fn a_value_of_two_is_lowered() {
        let mut machine = Recovery::new(Policy::default());
        assert_eq!(machine.tick(Mono(0), SemWord { value: 2, waiters: 0 }), Step::LowerExcess);
    }
}
