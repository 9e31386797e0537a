//! States of the link, the version rule, and the pauses between attempts.

use crate::units::Mono;
use std::time::Duration;

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// No ids, times in milliseconds.
    V4,
    /// Times in seconds; ids if the server announced flag `I`.
    V5 {
        /// Replies repeat the id of the request.
        ids: bool,
    },
}

impl Protocol {
    /// `MAJOR.MINOR[-FLAGS]`; `None` for other major versions. Unknown flags are ignored.
    pub fn parse(text: &str) -> Option<Protocol> {
        let (version, flags) = text.split_once('-').unwrap_or((text, ""));
        match version.split_once('.')?.0 {
            "4" => Some(Protocol::V4),
            "5" => Some(Protocol::V5 { ids: flags.contains('I') }),
            _ => None,
        }
    }

    /// Are ids in use?
    pub fn ids(self) -> bool {
        self == Protocol::V5 { ids: true }
    }
}

/// The link as the outside sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No connection; trying again.
    Down,
    /// Connecting or negotiating: requests wait.
    Opening,
    /// Requests go out.
    Up(Protocol),
}

/// The link as it is.
#[derive(Debug)]
pub(super) enum State {
    Waiting { until: Mono, why: String },
    Connecting { until: Mono },
    Negotiating { until: Mono },
    Ready { protocol: Protocol },
}

impl State {
    pub(super) fn public(&self) -> LinkState {
        match self {
            State::Waiting { .. } => LinkState::Down,
            State::Connecting { .. } | State::Negotiating { .. } => LinkState::Opening,
            State::Ready { protocol } => LinkState::Up(*protocol),
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        match self {
            State::Waiting { until, .. } | State::Connecting { until } | State::Negotiating { until } => {
                Some(*until)
            }
            State::Ready { .. } => None,
        }
    }

    pub(super) fn uses_ids(&self) -> bool {
        matches!(self, State::Ready { protocol } if protocol.ids())
    }

    pub(super) fn negotiating(&self) -> bool {
        matches!(self, State::Negotiating { .. })
    }

    pub(super) fn was_up(&self) -> bool {
        matches!(self, State::Ready { .. })
    }
}

/// Pauses that double up to a limit, each off by up to 20 %. Deterministic from the seed.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Begins with `first`.
    pub fn new(first: Duration, limit: Duration, seed: u64) -> Backoff {
        Backoff { first, limit, next: first, random: seed | 1 }
    }

    /// The link was up: begin anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait now.
    pub fn next_pause(&mut self) -> Duration {
        let base = self.next;
        self.next = (base * 2).min(self.limit);
        base.mul_f64(0.8 + 0.4 * self.fraction())
    }

    /// xorshift64*: uniform in [0, 1).
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// KATCP level words to ours; unknown ones count as info.
pub(super) fn log_level(word: &str) -> log::Level {
    match word {
        "fatal" | "error" => log::Level::Error,
        "warn" => log::Level::Warn,
        "debug" => log::Level::Debug,
        "trace" => log::Level::Trace,
        _ => log::Level::Info,
    }
}
