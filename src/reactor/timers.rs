//! Timers: a queue per clock, and the timerfd that wakes the loop for its head.
//!
//! `epoll_wait` counts in milliseconds and rounds up; a timerfd is some tens of microseconds late.
//! The one on `CLOCK_REALTIME` is always armed (far ahead when nothing is due) because only an
//! armed one reports that the wall clock was set (`TFD_TIMER_CANCEL_ON_SET`).

use crate::units::NANOS;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Deadlines in nanoseconds of one clock; at the same deadline the one set first comes first.
pub(super) struct TimerQueue<K> {
    by_time: BTreeMap<(i64, u64), K>,
    by_key: HashMap<K, (i64, u64)>,
    serial: u64,
}

impl<K: Copy + Eq + Hash> TimerQueue<K> {
    pub(super) fn new() -> Self {
        TimerQueue { by_time: BTreeMap::new(), by_key: HashMap::new(), serial: 0 }
    }

    /// Sets or replaces.
    pub(super) fn set(&mut self, key: K, at: i64) {
        self.cancel(key);
        self.serial += 1;
        self.by_time.insert((at, self.serial), key);
        self.by_key.insert(key, (at, self.serial));
    }

    pub(super) fn cancel(&mut self, key: K) {
        if let Some(place) = self.by_key.remove(&key) {
            self.by_time.remove(&place);
        }
    }

    pub(super) fn earliest(&self) -> Option<i64> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// A mark for [`pop_due`](Self::pop_due): timers set after it wait for the next turn, so that an
    /// app which re-arms a timer in the past cannot starve everything else.
    pub(super) fn mark(&self) -> u64 {
        self.serial
    }

    pub(super) fn pop_due(&mut self, now: i64, mark: u64) -> Option<K> {
        let (&(at, serial), &key) = self.by_time.first_key_value()?;
        if at > now || serial > mark {
            return None;
        }
        self.cancel(key);
        Some(key)
    }
}

/// A timerfd and what it is armed for.
pub(super) struct ClockTimer {
    fd: TimerFd,
    flags: TimerSetTimeFlags,
    idle: Option<i64>,
    armed: Option<i64>,
}

/// 2200-01-01: what the wall timer waits for when nothing else is due.
const FAR_AHEAD: i64 = 7_258_118_400 * NANOS;

impl ClockTimer {
    pub(super) fn monotonic() -> io::Result<Self> {
        Self::new(ClockId::CLOCK_MONOTONIC, TimerSetTimeFlags::TFD_TIMER_ABSTIME, None)
    }

    pub(super) fn wall() -> io::Result<Self> {
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        Self::new(ClockId::CLOCK_REALTIME, flags, Some(FAR_AHEAD))
    }

    fn new(clock: ClockId, flags: TimerSetTimeFlags, idle: Option<i64>) -> io::Result<Self> {
        let fd = TimerFd::new(clock, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(ClockTimer { fd, flags, idle, armed: None })
    }

    pub(super) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.fd.as_fd().as_raw_fd()), token, Interest::READABLE)
    }

    /// Arms for `deadline`; one system call, and only if that changed. `true`: the clock was set.
    pub(super) fn arm(&mut self, deadline: Option<i64>) -> io::Result<bool> {
        let wanted = deadline.or(self.idle);
        if wanted == self.armed {
            return Ok(false);
        }
        self.armed = wanted;
        let Some(at) = wanted else {
            self.fd.unset()?;
            return Ok(false);
        };
        // Zero would disarm: the beginning of time is as good as the past gets.
        let at = at.max(1);
        let at = TimeSpec::new(at / NANOS, at % NANOS);
        match self.fd.set(Expiration::OneShot(at), self.flags) {
            Ok(()) => Ok(false),
            Err(Errno::ECANCELED) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes the expiry off the descriptor. `true`: the clock was set.
    pub(super) fn acknowledge(&mut self) -> io::Result<bool> {
        self.armed = None;
        match nix::unistd::read(&self.fd, &mut [0; 8]) {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(Errno::ECANCELED) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_and_ties_in_order_of_setting() {
        let mut q = TimerQueue::new();
        for (key, at) in [('c', 30), ('b', 20), ('a', 10), ('d', 20)] {
            q.set(key, at);
        }
        assert_eq!(q.earliest(), Some(10));
        let mark = q.mark();
        let order: String = std::iter::from_fn(|| q.pop_due(30, mark)).collect();
        assert_eq!(order, "abdc");
        assert_eq!(q.earliest(), None);
    }

    #[test]
    fn setting_replaces_and_cancelling_forgets() {
        let mut q = TimerQueue::new();
        q.set('a', 10);
        q.set('a', 50);
        q.set('b', 20);
        q.cancel('b');
        q.cancel('x');
        assert_eq!(q.pop_due(49, q.mark()), None);
        assert_eq!(q.pop_due(50, q.mark()), Some('a'));
        assert!(q.by_key.is_empty() && q.by_time.is_empty());
    }

    #[test]
    fn what_is_set_while_firing_waits_for_the_next_turn() {
        let mut q = TimerQueue::new();
        q.set('a', 10);
        let mark = q.mark();
        assert_eq!(q.pop_due(10, mark), Some('a'));
        q.set('a', 5);
        assert_eq!(q.pop_due(10, mark), None);
        assert_eq!(q.pop_due(10, q.mark()), Some('a'));
    }

    #[test]
    fn both_timerfds_accept_any_deadline() {
        for mut timer in [ClockTimer::monotonic().unwrap(), ClockTimer::wall().unwrap()] {
            for at in [Some(i64::MIN), Some(0), Some(i64::MAX), None] {
                assert!(!timer.arm(at).unwrap(), "{at:?}");
            }
            assert!(!timer.acknowledge().unwrap());
        }
    }
}
