//! How a scan ended, and what its data are worth: the same words in its proof, in `player_state` and in the log.

use std::fmt;

/// Why data are no longer taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Its length is over.
    Length,
    /// Its length is over, but something was lost on the way.
    LengthBut(String),
    /// Somebody called `stop`.
    Stopped(Option<String>),
    /// Ended before its time by something that was ordered: another mode, the end of the player.
    Cut(String),
    /// Ended by the guard over the data flow.
    Guard(String),
    /// Something broke.
    Fault(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Length => f.write_str("complete"),
            Ending::Stopped(_) => f.write_str("stopped"),
            Ending::LengthBut(text) | Ending::Cut(text) | Ending::Guard(text) | Ending::Fault(text) => {
                f.write_str(text)
            }
        }
    }
}

/// What the data of a scan are worth.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// As far as can be known from here, nothing is missing.
    Complete,
    /// Usable, with these reservations.
    Degraded(Vec<String>),
    /// Not what was asked for, for these reasons.
    Failed(Vec<String>),
}

impl Verdict {
    /// From what speaks against the scan as a whole, and against parts of it.
    pub fn of(failures: Vec<String>, reservations: Vec<String>) -> Verdict {
        if !failures.is_empty() {
            Verdict::Failed(failures)
        } else if reservations.is_empty() {
            Verdict::Complete
        } else {
            Verdict::Degraded(reservations)
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Complete => f.write_str("complete"),
            Verdict::Degraded(why) => write!(f, "degraded ({})", why.join("; ")),
            Verdict::Failed(why) => write!(f, "failed ({})", why.join("; ")),
        }
    }
}
