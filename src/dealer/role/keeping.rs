//! What the role keeps for a proxy after it, and takes up from the one before; and what it does when the clock is set.

use super::super::messages::{Index, Output};
use super::super::saved::{Saved, SavedStart};
use super::{Dealer, Told};
use crate::units::{Now, Utc};

impl Dealer {
    /// Goes on where a proxy before this one has left off; before any player is there.
    pub fn restore(&mut self, saved: &Saved, now: Now) {
        self.scan_number = saved.scan_number;
        let mut unknown = Vec::new();
        let mut find = |name: &str| -> Option<Index> {
            let found = self.roster.find(name);
            if found.is_none() {
                unknown.push(name.to_owned());
            }
            found
        };
        for start in &saved.starts {
            if let Some(player) = find(&start.player) {
                self.orphans.inherit(player, Utc(start.start_ns), start.taken_back);
            }
        }
        for (name, token) in &saved.leases {
            if let Some(player) = find(name) {
                self.lease.inherited(player, token);
            }
        }
        if !unknown.is_empty() {
            let text = format!("not watched any longer, no such players: {}", unknown.join(", "));
            self.notices.warn(now.utc, text);
        }
    }

    fn kept(&self) -> Saved {
        let name = |p: Index| self.roster.name(p).to_owned();
        let start = |o: &super::super::orphans::Orphan| SavedStart {
            player: name(o.player),
            start_ns: o.start.0,
            taken_back: o.taken_back,
        };
        Saved {
            scan_number: self.scan_number,
            starts: self.orphans.iter().map(start).collect(),
            leases: self.lease.tokens().map(|(p, token)| (name(p), token.to_owned())).collect(),
        }
    }

    /// Orders a save if anything has changed. `false`: nothing has.
    pub(super) fn save(&mut self) -> bool {
        let waited_for = self.noting.iter().any(|(_, save)| save.is_none());
        if !(self.orphans.take_changed() | std::mem::take(&mut self.unsaved) | waited_for) {
            return false;
        }
        self.saves.0 += 1;
        self.noting.iter_mut().for_each(|(_, save)| *save = Some(save.unwrap_or(self.saves.0)));
        self.out.push_back(Output::Save(self.kept()));
        true
    }

    /// The oldest save is done: who waited for it goes on.
    pub(super) fn saved(&mut self) {
        self.saves.1 += 1;
        let done = self.saves.1;
        for (id, _) in self.noting.extract_if(.., |(_, save)| save.is_some_and(|n| n <= done)) {
            self.told.push_back((id, Told::Noted));
        }
    }

    /// Waits for seconds of the wall clock are reckoned anew; what was measured with the old clock is forgotten.
    pub(super) fn clock_set(&mut self) {
        for player in self.roster.all() {
            self.roster.seat_mut(player).clock = None;
        }
        self.told.extend(self.running.keys().map(|id| (*id, Told::ClockSet)));
        self.out.push_back(Output::Changed);
    }
}
