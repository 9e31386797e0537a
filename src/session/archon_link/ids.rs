//! The 256 ids of a link: which are free, in use, or spoilt by a reply that may still come.

use super::Token;
use crate::proto::archon::{Colon, Command};
use crate::units::Mono;
use std::time::Duration;

/// A command on the wire.
#[derive(Debug)]
pub(super) struct Sent {
    pub token: Token,
    pub command: Command,
    pub since: Mono,
    pub deadline: Mono,
    pub timeout: Duration,
}

#[derive(Debug)]
enum Slot {
    Free,
    Used(Sent),
    /// Given up; its reply may come and must not be taken for another's.
    Spoilt(Command),
}

/// What a reply with some id belongs to.
#[derive(Debug)]
pub(super) enum Owner {
    Command(Sent),
    GivenUp(Command),
    Nobody,
}

#[derive(Debug)]
pub(super) struct Ids {
    slots: Vec<Slot>,
    next: u8,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids { slots: (0..256).map(|_| Slot::Free).collect(), next: 0 }
    }
}

impl Ids {
    /// The id of a command now in flight; the command back if none is free.
    pub fn take(&mut self, sent: Sent) -> Result<u8, Sent> {
        let start = self.next;
        for offset in 0..=255u8 {
            let id = start.wrapping_add(offset);
            if matches!(self.slots[usize::from(id)], Slot::Free) {
                self.slots[usize::from(id)] = Slot::Used(sent);
                self.next = id.wrapping_add(1);
                return Ok(id);
            }
        }
        Err(sent)
    }

    /// The reply of this id has come: it is free again.
    pub fn answered(&mut self, id: u8) -> Owner {
        match std::mem::replace(&mut self.slots[usize::from(id)], Slot::Free) {
            Slot::Used(sent) => Owner::Command(sent),
            Slot::Spoilt(command) => Owner::GivenUp(command),
            Slot::Free => Owner::Nobody,
        }
    }

    /// Nobody waits for the reply of this id, but it may come.
    pub fn spoil(&mut self, id: u8) -> Option<Sent> {
        let slot = &mut self.slots[usize::from(id)];
        let Slot::Used(sent) = slot else { return None };
        let spoilt = Slot::Spoilt(sent.command.clone());
        match std::mem::replace(slot, spoilt) {
            Slot::Used(sent) => Some(sent),
            _ => None,
        }
    }

    /// Ids that cannot be used until their reply comes.
    pub fn spoilt(&self) -> usize {
        self.slots.iter().filter(|s| matches!(s, Slot::Spoilt(_))).count()
    }

    /// What `<XX:` with this id begins while the FETCH with the id `fetching` runs.
    pub fn colon(&self, id: u8, fetching: Option<u8>) -> Colon {
        match (fetching, &self.slots[usize::from(id)]) {
            (Some(fetch), _) if fetch == id => Colon::Block,
            (None, Slot::Used(_)) => Colon::Text,
            _ => Colon::Stray,
        }
    }

    /// Gives up one command whose time is over.
    pub fn overdue(&mut self, now: Mono) -> Option<Sent> {
        let late = |s: &Slot| matches!(s, Slot::Used(sent) if sent.deadline <= now);
        let id = self.slots.iter().position(late)?;
        self.spoil(id as u8)
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.in_flight().map(|s| s.deadline).min()
    }

    /// Everybody waits from now on as if the command had just been sent.
    pub fn restart_waits(&mut self, now: Mono) {
        for slot in &mut self.slots {
            if let Slot::Used(sent) = slot {
                sent.deadline = now + sent.timeout;
            }
        }
    }

    fn in_flight(&self) -> impl Iterator<Item = &Sent> {
        self.slots.iter().filter_map(|s| match s {
            Slot::Used(sent) => Some(sent),
            _ => None,
        })
    }

    /// A new connection: everything in flight is given back in the order it was sent, every id is free.
    pub fn clear(&mut self) -> Vec<Sent> {
        let old = std::mem::take(&mut self.slots);
        *self = Ids { next: self.next, ..Ids::default() };
        let mut sent: Vec<Sent> = old
            .into_iter()
            .filter_map(|s| match s {
                Slot::Used(sent) => Some(sent),
                _ => None,
            })
            .collect();
        sent.sort_by_key(|s| (s.since, s.token));
        sent
    }
}
