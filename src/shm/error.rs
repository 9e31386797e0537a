//! What can go wrong with status memory, and what to do about it.

use super::Location;
use crate::proto::status_cards::{CardError, STATUS_SIZE};
use std::io;
use std::time::Duration;

/// What went wrong with status memory.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// There is no such memory.
    #[error("{location} does not exist")]
    Missing {
        /// Where it should be.
        location: Location,
    },
    /// It was to be created, and is there.
    #[error("{location} exists already; attach to it, or remove it with `appliance shm clean`")]
    Exists {
        /// Where it is.
        location: Location,
    },
    /// Something else has this key.
    #[error(
        "{location} has {size} bytes instead of {STATUS_SIZE}: another program's memory, left alone; use another key file"
    )]
    Size {
        /// Where it is.
        location: Location,
        /// Bytes.
        size: usize,
    },
    /// The system refused the memory.
    #[error("{location}: {source}")]
    Memory {
        /// Where it is.
        location: Location,
        /// Why.
        source: io::Error,
    },
    /// The system refused the lock.
    #[error("lock of {location}: {source}")]
    Lock {
        /// Where the memory is.
        location: Location,
        /// Why.
        source: io::Error,
    },
    /// Somebody holds the lock at this moment: try again soon.
    #[error("{location} is locked at the moment")]
    Busy {
        /// Where it is.
        location: Location,
    },
    /// The lock could not be had in time.
    #[error("{location} stayed locked for {} ms; `appliance shm status --lock` shows by how many", waited.as_millis())]
    Timeout {
        /// Where it is.
        location: Location,
        /// How long we tried.
        waited: Duration,
    },
    /// Only who created it may remove it.
    #[error("{location} was not created here and is not removed; `appliance shm clean` does that")]
    NotOurs {
        /// Where it is.
        location: Location,
    },
    /// The edit was refused; nothing was written.
    #[error(transparent)]
    Card(#[from] CardError),
}

impl StatusError {
    /// Whether trying again soon is the answer.
    pub fn is_busy(&self) -> bool {
        matches!(self, StatusError::Busy { .. } | StatusError::Timeout { .. })
    }
}
