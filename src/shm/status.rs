//! [`StatusMemory`]: one attachment to status memory, and its lock.

use super::location::Backing;
use super::recovery::{LOOK_EVERY, Policy, Recovery, Step};
use super::{Location, Snapshot, StatusError};
use crate::proto::status_cards::{
    CARD, CARDS, CardError, Cards, Dialect, STATUS_SIZE, StatusEditor, find_end,
};
use crate::sys::clock;
use crate::sys::named_sem::NamedSem;
use crate::units::Mono;
use std::time::Duration;

/// Cards copied at a time while looking for `END`: the usual buffer comes in one go.
const CHUNK: usize = 64;
/// Long enough for a stale lock to be found and repaired on the way.
const INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How a lock looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Nobody holds it.
    Unlocked {
        /// 1; more after somebody posted once too often.
        value: u32,
    },
    /// Somebody holds it.
    Locked {
        /// Processes waiting for it.
        waiters: u32,
    },
}

/// What [`StatusMemory::stale_probe`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The lock can be had: try again.
    TryNow,
    /// Held; probe again at this time.
    Until(Mono),
}

/// Status memory of one instance.
///
/// Changes are made on a private copy of the used cards while the lock is held, and only the changed cards
/// are written back. An edit that fails writes nothing.
#[derive(Debug)]
pub struct StatusMemory {
    location: Location,
    dialect: Dialect,
    instance: u8,
    created: bool,
    backing: Backing,
    lock: NamedSem,
    recovery: Recovery,
    repairs: u64,
    scratch: Box<[u8]>,
}

impl StatusMemory {
    /// Makes new memory; refuses if there is some.
    pub fn create(location: &Location, dialect: Dialect, instance: u8) -> Result<StatusMemory, StatusError> {
        // In this order: what is somebody else's gets no lock from us.
        let backing = location.create()?;
        let lock = location.open_lock(true).inspect_err(|_| drop(backing.remove()))?;
        StatusMemory::new(location, dialect, instance, (backing, lock), true).initialised()
    }

    /// Attaches to existing memory and changes nothing in it. Never creates, not even the lock.
    pub fn attach(location: &Location, dialect: Dialect, instance: u8) -> Result<StatusMemory, StatusError> {
        let backing = location.attach()?;
        let lock = location.open_lock(false)?;
        Ok(StatusMemory::new(location, dialect, instance, (backing, lock), false))
    }

    /// Attaches, creating what is missing, and initialises the text if it has no `END`; in the hashpipe
    /// dialect `INSTANCE` is made right. Waits up to 5 s for the lock.
    pub fn open_or_create(
        location: &Location,
        dialect: Dialect,
        instance: u8,
    ) -> Result<StatusMemory, StatusError> {
        let lock = location.open_lock(true)?;
        let (backing, created) = match location.attach() {
            Err(StatusError::Missing { .. }) => match location.create() {
                // Another process was faster.
                Err(StatusError::Exists { .. }) => (location.attach()?, false),
                made => (made?, true),
            },
            found => (found?, false),
        };
        StatusMemory::new(location, dialect, instance, (backing, lock), created).initialised()
    }

    fn new(
        location: &Location,
        dialect: Dialect,
        instance: u8,
        (backing, lock): (Backing, NamedSem),
        created: bool,
    ) -> StatusMemory {
        StatusMemory {
            location: location.clone(),
            dialect,
            instance: instance & super::keys::INSTANCE_MASK,
            created,
            backing,
            lock,
            recovery: Recovery::new(Policy::default()),
            repairs: 0,
            scratch: vec![0; STATUS_SIZE].into_boxed_slice(),
        }
    }

    fn initialised(mut self) -> Result<StatusMemory, StatusError> {
        self.update(INIT_TIMEOUT, |editor| {
            if editor.cards().end().is_none() {
                editor.clear();
            } else if editor.ensure_instance() {
                log::warn!("status buffer: INSTANCE was missing or another's; corrected");
            }
            Ok(())
        })?;
        Ok(self)
    }

    /// Sets when a lock counts as stale and whether it is repaired.
    pub fn set_policy(&mut self, policy: Policy) {
        self.recovery = Recovery::new(policy);
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Whether this call of ours created the memory.
    pub fn created(&self) -> bool {
        self.created
    }

    /// Stale locks repaired so far.
    pub fn repairs(&self) -> u64 {
        self.repairs
    }

    /// Whether key and lock name still lead to what we have: `hashpipe_clean_shmem` replaces both, and who
    /// stays attached talks to nobody. Costs some system calls; ask every few seconds.
    pub fn is_current(&self) -> bool {
        self.lock.is_current() && self.backing.is_current()
    }

    /// Edits under one hold of the lock. Does not wait: `Busy` if somebody holds it.
    ///
    /// When `edit` fails nothing is written. Keep it short: everybody else waits.
    pub fn try_update<R>(
        &mut self,
        edit: impl FnOnce(&mut StatusEditor<'_>) -> Result<R, CardError>,
    ) -> Result<R, StatusError> {
        self.try_lock()?;
        self.edit_locked(edit)
    }

    /// Edits under one hold of the lock, waiting up to `timeout` for it. A lock held for 2 s by nobody alive is
    /// repaired on the way (give more than 2.1 s to allow for it), with a warning in the log.
    pub fn update<R>(
        &mut self,
        timeout: Duration,
        edit: impl FnOnce(&mut StatusEditor<'_>) -> Result<R, CardError>,
    ) -> Result<R, StatusError> {
        self.wait_lock(timeout)?;
        self.edit_locked(edit)
    }

    /// Sets texts under one hold of the lock, without waiting.
    pub fn try_set_all<K: AsRef<str>, V: AsRef<str>>(&mut self, pairs: &[(K, V)]) -> Result<(), StatusError> {
        self.try_update(|editor| set_all(editor, pairs))
    }

    /// Sets texts under one hold of the lock.
    pub fn set_all<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        timeout: Duration,
        pairs: &[(K, V)],
    ) -> Result<(), StatusError> {
        self.update(timeout, |editor| set_all(editor, pairs))
    }

    /// A copy of the used cards. Does not wait.
    pub fn try_snapshot(&mut self) -> Result<Snapshot, StatusError> {
        self.try_lock()?;
        Ok(self.snapshot_locked())
    }

    /// A copy of the used cards, waiting up to `timeout` for the lock.
    pub fn snapshot(&mut self, timeout: Duration) -> Result<Snapshot, StatusError> {
        self.wait_lock(timeout)?;
        Ok(self.snapshot_locked())
    }

    /// The whole buffer, as it is, waiting up to `timeout` for the lock.
    pub fn dump(&mut self, timeout: Duration) -> Result<Vec<u8>, StatusError> {
        self.wait_lock(timeout)?;
        let _held = Held(&self.lock);
        self.backing.region().read(0, &mut self.scratch);
        Ok(self.scratch.to_vec())
    }

    /// Looks at the lock.
    pub fn lock_state(&self) -> LockState {
        match self.lock.word() {
            word if word.value > 0 => LockState::Unlocked { value: word.value },
            word => LockState::Locked { waiters: word.waiters },
        }
    }

    /// For the loop, after `Busy`: watches the lock without waiting, and repairs it when its holder must be
    /// dead. Call again at the time it says, until `TryNow`.
    pub fn stale_probe(&mut self, now: Mono) -> Wait {
        match self.look(now) {
            Some(until) => Wait::Until(until),
            None => Wait::TryNow,
        }
    }

    /// Deletes memory and lock, if this attachment created them. Others that are attached keep the bytes.
    pub fn remove(self) -> Result<(), StatusError> {
        if !self.created {
            return Err(StatusError::NotOurs { location: self.location });
        }
        let removed = self.backing.remove();
        removed.map_err(|source| StatusError::Memory { location: self.location.clone(), source })?;
        self.lock.remove().map_err(|source| StatusError::Lock { location: self.location, source })
    }

    fn try_lock(&mut self) -> Result<(), StatusError> {
        if self.lock.word().value > 1 {
            self.lower_excess();
        }
        if !self.lock.try_wait() {
            return Err(StatusError::Busy { location: self.location.clone() });
        }
        self.recovery.reset();
        Ok(())
    }

    fn wait_lock(&mut self, timeout: Duration) -> Result<(), StatusError> {
        if self.try_lock().is_ok() {
            return Ok(());
        }
        let start = clock::mono();
        let deadline = start + timeout;
        loop {
            let now = clock::mono();
            let until = self.look(now).unwrap_or(now + LOOK_EVERY);
            if self.lock.wait_until(until.min(deadline)) {
                self.recovery.reset();
                return Ok(());
            }
            if clock::mono() >= deadline {
                return Err(StatusError::Timeout { location: self.location.clone(), waited: timeout });
            }
        }
    }

    /// One step of the recovery. `None`: the lock may be had now.
    fn look(&mut self, now: Mono) -> Option<Mono> {
        match self.recovery.tick(now, self.lock.word()) {
            Step::Free => None,
            Step::Wait { until } => Some(until),
            Step::Repair => self.repair(),
            Step::Stale => {
                log::warn!(
                    "{}: lock held for too long; its holder seems dead, and repair is off",
                    self.location
                );
                Some(now + Policy::default().stale_after)
            }
            Step::LowerExcess => self.lower_excess(),
        }
    }

    fn repair(&mut self) -> Option<Mono> {
        if self.lock.repair() {
            self.repairs += 1;
            log::warn!("{}: lock repaired; its holder died without unlocking it", self.location);
        }
        None
    }

    fn lower_excess(&mut self) -> Option<Mono> {
        if self.lock.lower_excess() {
            log::warn!("{}: lock value was above 1 (unlocked twice by somebody); corrected", self.location);
        }
        None
    }

    /// The lock is held.
    fn edit_locked<R>(
        &mut self,
        edit: impl FnOnce(&mut StatusEditor<'_>) -> Result<R, CardError>,
    ) -> Result<R, StatusError> {
        let _held = Held(&self.lock);
        let end = load(&self.backing, &mut self.scratch);
        let cards = Cards::ending_at(&mut self.scratch, self.dialect, end);
        let mut editor = StatusEditor::of(cards, self.instance);
        let result = edit(&mut editor)?;
        let dirty = editor.cards().dirty();
        let bytes = dirty.start * CARD..dirty.end * CARD;
        self.backing.region_mut().write(bytes.start, &self.scratch[bytes]);
        Ok(result)
    }

    /// The lock is held; it is free again before the copy is looked at.
    fn snapshot_locked(&mut self) -> Snapshot {
        let held = Held(&self.lock);
        load(&self.backing, &mut self.scratch);
        drop(held);
        Snapshot::new(&self.scratch)
    }
}

fn set_all<K: AsRef<str>, V: AsRef<str>>(
    editor: &mut StatusEditor<'_>,
    pairs: &[(K, V)],
) -> Result<(), CardError> {
    pairs.iter().try_for_each(|(key, text)| editor.set_str(key.as_ref(), text.as_ref()))
}

/// Copies cards out up to the one after `END`, and says where `END` is; all of them if there is none.
fn load(backing: &Backing, scratch: &mut [u8]) -> Option<usize> {
    let mut have = 0;
    while have < CARDS {
        let want = (have + CHUNK).min(CARDS);
        backing.region().read(have * CARD, &mut scratch[have * CARD..want * CARD]);
        if let Some(end) = find_end(&scratch[..want * CARD], have) {
            if end + 1 == want && want < CARDS {
                backing.region().read(want * CARD, &mut scratch[want * CARD..(want + 1) * CARD]);
            }
            return Some(end);
        }
        have = want;
    }
    None
}

/// The lock is ours; dropping it gives it back, also when an edit panics.
struct Held<'a>(&'a NamedSem);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.post();
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
