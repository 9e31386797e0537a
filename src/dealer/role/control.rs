//! What the role asks of players by itself: control passed on, and the scan number told to those that came back.

use super::super::answer::succeeded;
use super::super::lease;
use super::super::messages::{Index, Lane, Output};
use super::super::procedure::bank;
use super::super::rules::within;
use super::{CONTROL, Dealer, NO_CALL, NUMBER, Told};
use crate::units::Now;
use crate::value::Value;

impl Dealer {
    /// Asks players for what is wanted of them; the number goes to one that is back after the lease has. `false`: there
    /// is nothing to ask.
    pub(super) fn pass_control(&mut self, now: Now) -> bool {
        let mut asked = false;
        for player in self.roster.all() {
            if let Some((round, call)) = self.lease.next(player, self.roster.seat(player), now) {
                self.ask(CONTROL, player, round, call, Lane::Write, lease::WITHIN, now);
                asked = true;
            } else if !self.lease.is_asking(player) && self.unnumbered.remove(&player) {
                self.tell_number(player, now);
                asked = true;
            } else if !self.lease.is_asking(player)
                && let Some(again) = self.bare.remove(&player)
            {
                self.run(NO_CALL, vec![player], Box::new(again), true);
                asked = true;
            }
        }
        if let Some((waiting, players)) = self.lease.settled(&self.roster) {
            self.out.push_back(Output::ControlPassed { waiting, players });
        }
        let binds = self.lease.binds();
        if std::mem::replace(&mut self.binds, binds) != binds {
            self.out.push_back(Output::ControlBinds(binds));
        }
        asked
    }

    fn tell_number(&mut self, player: Index, now: Now) {
        if let Some(number) = self.scan_number {
            let call = bank("set_scan_number", vec![Value::Int(number)]);
            self.ask(NUMBER, player, 0, call, Lane::Write, within("set_scan_number"), now);
        }
    }

    /// It says so itself.
    fn has_number(&self, player: Index) -> bool {
        let state = self.roster.seat(player).state.as_ref();
        let said = state.and_then(|(state, _)| state.get("scan_number"));
        said.is_some() && said == self.scan_number.map(Value::Int).as_ref()
    }

    /// The answer to an ask of our own.
    pub(super) fn own_answer(&mut self, id: u64, told: &Told, now: Now) {
        let Told::Answer { player, round, answer } = told else { return };
        if id == CONTROL {
            let name = self.roster.name(*player).to_owned();
            self.unsaved = true;
            if self.lease.answered(*player, &name, *round, answer) && self.deaf.remove(player) {
                self.unnumbered.insert(*player);
            }
        } else if !succeeded(answer) && !self.has_number(*player) {
            // Perhaps for want of a lease: again, when there is one.
            self.deaf.insert(*player);
            let why = super::super::answer::complaint(self.roster.name(*player), answer);
            let text = format!("{} does not know the scan number: {why}", self.roster.name(*player));
            self.notices.warn(now.utc, text);
        }
    }
}
