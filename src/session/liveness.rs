//! Is the peer still there? Asks after a silence, gives up after a longer one.

use crate::units::Mono;
use std::time::Duration;

/// A silence after which the peer is asked.
pub const ASK_AFTER: Duration = Duration::from_secs(10);
/// A silence after which it counts as gone.
pub const GONE_AFTER: Duration = Duration::from_secs(30);
/// How soon a silent peer is asked, and given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A silence after which the peer is asked.
    pub ask_after: Duration,
    /// A silence after which it counts as gone.
    pub gone_after: Duration,
}

impl Pace {
    /// For servers whose end must be noticed within three seconds.
    pub const QUICK: Pace = Pace { ask_after: Duration::from_secs(1), gone_after: Duration::from_secs(3) };
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { ask_after: ASK_AFTER, gone_after: GONE_AFTER }
    }
}

/// A peer that does not finish the handshake by then is closed, as libzmq does.
pub const HANDSHAKE: Duration = Duration::from_secs(30);

/// What a silence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to do.
    Fine,
    /// Send a ping.
    Ask,
    /// Close.
    Gone,
}

/// Watches one peer.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    heard: Mono,
    asked: Mono,
    /// We ask on our own account.
    asks: bool,
    /// The peer's own wish to be dropped after this silence.
    wish: Option<Duration>,
    /// We do not read: silence means nothing.
    deaf: bool,
    pace: Pace,
}

impl Liveness {
    /// Starts with a peer that has just been heard. `asks`: the peer answers pings.
    pub fn new(now: Mono, asks: bool) -> Liveness {
        Liveness::paced(now, asks, Pace::default())
    }

    /// The same at another pace.
    pub fn paced(now: Mono, asks: bool, pace: Pace) -> Liveness {
        Liveness { heard: now, asked: now, asks, wish: None, deaf: false, pace }
    }

    /// Anything arrived.
    pub fn heard(&mut self, now: Mono) {
        self.heard = now;
        self.asked = now;
    }

    /// The peer wishes to be dropped after a silence of `ttl`; zero ends the wish.
    pub fn wish(&mut self, ttl: Duration) {
        self.wish = (!ttl.is_zero()).then_some(ttl);
    }

    /// While reading is stopped nobody is gone; on resumption the clock starts anew.
    pub fn set_deaf(&mut self, deaf: bool, now: Mono) {
        self.deaf = deaf;
        self.heard(now);
    }

    /// To be called at [`deadline`](Liveness::deadline); `Ask` is given once per [`Pace::ask_after`].
    pub fn check(&mut self, now: Mono) -> Verdict {
        if self.gone_at().is_some_and(|at| now >= at) {
            Verdict::Gone
        } else if self.ask_at().is_some_and(|at| now >= at) {
            self.asked = now;
            Verdict::Ask
        } else {
            Verdict::Fine
        }
    }

    /// When to check next.
    pub fn deadline(&self) -> Option<Mono> {
        [self.gone_at(), self.ask_at()].into_iter().flatten().min()
    }

    fn gone_at(&self) -> Option<Mono> {
        let ours = self.asks.then_some(self.pace.gone_after);
        let patience = [ours, self.wish].into_iter().flatten().min()?;
        (!self.deaf).then(|| self.heard + patience)
    }

    fn ask_at(&self) -> Option<Mono> {
        (self.asks && !self.deaf).then(|| self.asked + self.pace.ask_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono(s * 1_000_000_000)
    }

    #[test]
    fn asks_each_ten_seconds_and_gives_up_after_thirty() {
        let mut l = Liveness::new(at(0), true);
        assert_eq!(l.check(at(9)), Verdict::Fine);
        assert_eq!(l.deadline(), Some(at(10)));
        assert_eq!(l.check(at(10)), Verdict::Ask);
        assert_eq!(l.check(at(11)), Verdict::Fine);
        assert_eq!(l.check(at(20)), Verdict::Ask);
        assert_eq!(l.check(at(30)), Verdict::Gone);
        l.heard(at(30));
        assert_eq!(l.check(at(39)), Verdict::Fine);
    }

    #[test]
    fn the_peers_wish_counts_even_if_we_do_not_ask() {
        let mut l = Liveness::new(at(0), false);
        assert_eq!(l.deadline(), None);
        l.wish(Duration::from_secs(2));
        assert_eq!(l.check(at(1)), Verdict::Fine);
        assert_eq!(l.check(at(2)), Verdict::Gone);
        l.wish(Duration::ZERO);
        assert_eq!(l.check(at(99)), Verdict::Fine);
    }

    #[test]
    fn deaf_means_patient() {
        let mut l = Liveness::new(at(0), true);
        l.set_deaf(true, at(1));
        assert_eq!((l.deadline(), l.check(at(500))), (None, Verdict::Fine));
        l.set_deaf(false, at(500));
        assert_eq!(l.deadline(), Some(at(510)));
    }
}
