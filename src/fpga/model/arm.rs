//! The arm register and the pulse per second.

use crate::units::{NANOS, Utc};

/// Where the pulse per second comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pps {
    /// Boundaries of UTC seconds.
    Clock,
    /// Calls of [`super::Board::pulse`].
    Manual,
}

/// State of the arm logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// Never armed since programming.
    Idle,
    /// Waits for the next PPS, which is due then (`None`: comes by hand).
    Armed {
        /// The PPS awaited.
        at: Option<Utc>,
    },
    /// The instrument runs.
    Running {
        /// The PPS that started it.
        since: Utc,
    },
}

impl Arm {
    /// A rising edge at `now`: an edge at the very pulse waits for the next one.
    pub(super) fn armed(pps: Pps, now: Utc) -> Arm {
        let next = Utc(now.0.div_euclid(NANOS) * NANOS + NANOS);
        Arm::Armed { at: (pps == Pps::Clock).then_some(next) }
    }
}
