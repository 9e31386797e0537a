//! Removing status memory: segment and lock, by key and name.

use super::{Location, StatusError};
use std::io;

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cleaned {
    /// The memory was there.
    pub memory: bool,
    /// The lock was there.
    pub lock: bool,
}

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// Programs use it.
    #[error("{location} is in use by {processes} process(es); stop them first, or use --force")]
    InUse {
        /// Where it is.
        location: Location,
        /// Attached processes.
        processes: u64,
    },
    /// The system, or what was found there, refused.
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// Removes memory and lock. Refuses while programs are attached, unless forced: those would go on with
/// memory and a lock that nobody else can find.
pub fn clean(location: &Location, force: bool) -> Result<Cleaned, CleanError> {
    let memory_error = |source| StatusError::Memory { location: location.clone(), source };
    let lock_error = |source| StatusError::Lock { location: location.clone(), source };
    let mut cleaned = Cleaned::default();
    match location.attach() {
        Err(StatusError::Missing { .. }) => {}
        found => {
            let backing = found?;
            let processes = backing.others_attached().map_err(memory_error)?;
            if processes > 0 && !force {
                return Err(CleanError::InUse { location: location.clone(), processes });
            }
            backing.remove().map_err(memory_error)?;
            cleaned.memory = true;
        }
    }
    match location.lock_path().and_then(std::fs::remove_file) {
        Ok(()) => cleaned.lock = true,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(lock_error(e).into()),
    }
    Ok(cleaned)
}
