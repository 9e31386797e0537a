//! The status memory as the recording program sees it, and the board its threads write on.
//!
//! Threads never touch the status memory: they pin their values on the [`Board`], and the control thread
//! carries what changed to the memory at most ten times a second. So a lock held by somebody else never
//! stops the data.

use super::keys::KEYS;
use crate::api::keys::find;
use crate::shm::StatusMemory;
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Values by key, to be written.
pub type Values = BTreeMap<&'static str, Value>;

/// Reads and writes status keys. Reading gives text; the kind of a value written decides its card.
pub trait StatusPort {
    /// Everything there is, by key.
    ///
    /// # Errors
    /// The memory is gone or stays locked.
    fn read(&mut self) -> Result<BTreeMap<String, String>, String>;

    /// Writes all pairs under one lock.
    ///
    /// # Errors
    /// As [`read`](Self::read); nothing was written.
    fn write(&mut self, pairs: &Values) -> Result<(), String>;
}

/// A status memory that lives in this process; for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryStatus(pub BTreeMap<String, String>);

impl StatusPort for MemoryStatus {
    fn read(&mut self) -> Result<BTreeMap<String, String>, String> {
        Ok(self.0.clone())
    }
    fn write(&mut self, pairs: &Values) -> Result<(), String> {
        for (key, value) in pairs {
            let text = if let Value::Str(text) = value { text.clone() } else { value.to_string() };
            self.0.insert((*key).to_owned(), text);
        }
        Ok(())
    }
}

/// How long the control thread waits for the lock of the status memory: long enough for a stale lock to
/// be found and repaired on the way.
const LOCK_TIMEOUT: Duration = Duration::from_millis(2500);

impl StatusPort for StatusMemory {
    fn read(&mut self) -> Result<BTreeMap<String, String>, String> {
        let snapshot = self.snapshot(LOCK_TIMEOUT).map_err(|e| e.to_string())?;
        let mut keys = BTreeMap::new();
        for card in snapshot.cards() {
            // Of duplicates the first counts, as for every reader.
            keys.entry(card.keyword().to_ascii_uppercase())
                .or_insert_with(|| String::from_utf8_lossy(card.text()).into_owned());
        }
        Ok(keys)
    }

    fn write(&mut self, pairs: &Values) -> Result<(), String> {
        self.update(LOCK_TIMEOUT, |editor| pairs.iter().try_for_each(|(k, v)| editor.set_value(k, v)))
            .map_err(|e| e.to_string())
    }
}

/// Values waiting to be written. Keys are constants of the program, so the board cannot grow.
#[derive(Debug, Default)]
pub struct Board {
    pinned: Mutex<Values>,
}

impl Board {
    /// Pins a value; a value not yet carried away is replaced.
    pub fn pin(&self, key: &'static str, value: impl Into<Value>) {
        debug_assert!(find(KEYS, key).is_some(), "{key} is not in daq::keys, and so not in KEYS.md");
        self.lock().insert(key, value.into());
    }

    /// Takes everything pinned since the last time.
    pub fn take(&self) -> Values {
        std::mem::take(&mut self.lock())
    }

    /// Puts back what could not be written, unless a newer value has come.
    pub fn put_back(&self, values: Values) {
        let mut pinned = self.lock();
        for (key, value) in values {
            pinned.entry(key).or_insert(value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        // A panic between two inserts leaves a valid map.
        self.pinned.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
