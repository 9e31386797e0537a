//! The status memory as the recording program sees it, and the board its threads write on.
//!
//! Threads never touch the status memory: they pin their values on the [`Board`], and the control thread
//! carries what changed to the memory at most ten times a second. So a lock held by somebody else never
//! stops the data.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// Reads and writes status keys. Values are text; numbers are written as they print.
pub trait StatusPort {
    /// The value of a key, or `None` when it is absent.
    fn get(&mut self, key: &str) -> Option<String>;
    /// Writes all pairs under one lock.
    fn put(&mut self, pairs: &[(&str, String)]);
}

/// A status memory that lives in this process; for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryStatus(pub BTreeMap<String, String>);

impl StatusPort for MemoryStatus {
    fn get(&mut self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }
    fn put(&mut self, pairs: &[(&str, String)]) {
        self.0.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    }
}

/// Values waiting to be written. Keys are constants of the program, so the board cannot grow.
#[derive(Debug, Default)]
pub struct Board {
    pinned: Mutex<BTreeMap<&'static str, String>>,
}

impl Board {
    /// Pins a value; a value not yet carried away is replaced.
    pub fn pin(&self, key: &'static str, value: impl ToString) {
        self.lock().insert(key, value.to_string());
    }

    /// Takes everything pinned since the last time.
    pub fn take(&self) -> BTreeMap<&'static str, String> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        // A panic between two inserts leaves a valid map.
        self.pinned.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
