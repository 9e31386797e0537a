//! All players, and which of them a call is for.

use super::messages::Index;
use super::seat::Seat;
use crate::api::CallError;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The players of the configuration, in its order, and the sets that are active.
#[derive(Clone, Debug)]
pub struct Roster {
    seats: Vec<Seat>,
    /// Named sets of players.
    groups: BTreeMap<String, Vec<Index>>,
    /// Active unless a client has chosen otherwise.
    default: Vec<Index>,
    /// Chosen by clients, by the name they give themselves, and when they called last.
    chosen: BTreeMap<String, (Vec<Index>, Mono)>,
}

/// Clients whose choice is remembered. One that is still used is never forgotten for another: its next call would go to
/// other players than it thinks.
const SESSIONS_MAX: usize = 256;
/// A choice that was not used for so long gives its place to another.
const UNUSED_FOR: Duration = Duration::from_secs(86_400);

impl Roster {
    /// `default`: empty for all.
    pub fn new(
        names: &[String],
        groups: &BTreeMap<String, Vec<String>>,
        default: &[String],
        now: Now,
    ) -> Result<Roster, String> {
        let seats: Vec<Seat> = names.iter().map(|n| Seat::new(n, now)).collect();
        let mut roster =
            Roster { seats, groups: BTreeMap::new(), default: Vec::new(), chosen: BTreeMap::new() };
        for (group, members) in groups {
            if roster.seats.iter().any(|s| s.name == *group) {
                return Err(format!("group '{group}' has the name of a player"));
            }
            let members = roster.indices(members).map_err(|e| format!("group {group}: {}", e.message))?;
            roster.groups.insert(group.clone(), members);
        }
        roster.default = match default {
            [] => roster.all().collect(),
            names => roster.indices(names).map_err(|e| format!("default_active: {}", e.message))?,
        };
        Ok(roster)
    }

    /// Every player.
    pub fn all(&self) -> impl Iterator<Item = Index> + use<> {
        (0..self.seats.len()).map(Index)
    }

    /// A player.
    pub fn seat(&self, player: Index) -> &Seat {
        &self.seats[player.0]
    }

    /// The same, to tell it something.
    pub fn seat_mut(&mut self, player: Index) -> &mut Seat {
        &mut self.seats[player.0]
    }

    /// Its name.
    pub fn name(&self, player: Index) -> &str {
        &self.seats[player.0].name
    }

    /// By name.
    pub fn find(&self, name: &str) -> Option<Index> {
        self.seats.iter().position(|s| s.name == name).map(Index)
    }

    /// The players of these names and groups, once each, in the order of the configuration. `ValueError` names all
    /// that are unknown.
    pub fn indices(&self, names: &[String]) -> Result<Vec<Index>, CallError> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for name in names {
            match (self.find(name), self.groups.get(name)) {
                (Some(player), _) => found.push(player),
                (None, Some(members)) => found.extend(members),
                (None, None) => unknown.push(name.as_str()),
            }
        }
        if !unknown.is_empty() {
            let known: Vec<&str> = self.seats.iter().map(|s| s.name.as_str()).collect();
            let groups: Vec<&str> = self.groups.keys().map(String::as_str).collect();
            let mut text = format!("unknown players {unknown:?}; there are {}", known.join(", "));
            if !groups.is_empty() {
                text.push_str(&format!("; groups {}", groups.join(", ")));
            }
            return Err(CallError::value_error(text));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The players that are active for a client.
    pub fn active(&self, who: &str) -> &[Index] {
        self.chosen.get(who).map_or(&self.default, |(set, _)| set)
    }

    /// A client has called.
    pub fn called(&mut self, who: &str, now: Now) {
        if let Some((_, used)) = self.chosen.get_mut(who) {
            *used = now.mono;
        }
    }

    /// A client will not call again.
    pub fn forget(&mut self, who: &str) {
        self.chosen.remove(who);
    }

    /// Adds players to a client's active ones; all names are known, or nothing changes.
    pub fn activate(&mut self, who: &str, names: &[String], now: Now) -> Result<(), CallError> {
        let mut set = self.active(who).to_vec();
        set.extend(self.indices(names)?);
        set.sort_unstable();
        set.dedup();
        self.choose(who, set, now)
    }

    /// Takes players from a client's active ones; all names are known, or nothing changes.
    pub fn deactivate(&mut self, who: &str, names: &[String], now: Now) -> Result<(), CallError> {
        let gone = self.indices(names)?;
        let set = self.active(who).iter().filter(|p| !gone.contains(p)).copied().collect();
        self.choose(who, set, now)
    }

    fn choose(&mut self, who: &str, set: Vec<Index>, now: Now) -> Result<(), CallError> {
        if self.chosen.len() >= SESSIONS_MAX && !self.chosen.contains_key(who) {
            self.chosen.retain(|_, (_, used)| now.mono.since(*used) < UNUSED_FOR);
        }
        if self.chosen.len() >= SESSIONS_MAX && !self.chosen.contains_key(who) {
            return Err(CallError::exception(format!(
                "{SESSIONS_MAX} clients have active players of their own already: name players with each call (players=..)"
            )));
        }
        self.chosen.insert(who.to_owned(), (set, now.mono));
        Ok(())
    }

    /// `{group: [names]}`
    pub fn groups(&self) -> Value {
        let one = |(group, members): (&String, &Vec<Index>)| {
            (group.clone(), Value::List(self.names(members).into_iter().map(Value::Str).collect()))
        };
        Value::Map(self.groups.iter().map(one).collect())
    }

    /// Names of players, sorted.
    pub fn names(&self, players: &[Index]) -> Vec<String> {
        let mut names: Vec<String> = players.iter().map(|p| self.name(*p).to_owned()).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        let names = ["BANKA", "BANKB", "BANKC"].map(String::from);
        let groups = BTreeMap::from([("pair".to_owned(), vec!["BANKB".to_owned(), "BANKA".to_owned()])]);
        Roster::new(&names, &groups, &[], Now::default()).expect("sound")
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn all_are_active_until_a_client_chooses() {
        let mut roster = roster();
        roster.deactivate("ann", &words("BANKB"), Now::default()).expect("known");
        assert_eq!(roster.names(roster.active("ann")), ["BANKA", "BANKC"]);
        assert_eq!(roster.active("").len(), 3, "others keep theirs");
        roster.activate("ann", &words("pair"), Now::default()).expect("known");
        assert_eq!(roster.active("ann").len(), 3);
    }

    #[test]
    fn a_choice_in_use_is_not_forgotten_for_another() {
        let at = |s: u64| Now { mono: Mono(s * 1_000_000_000), ..Now::default() };
        let mut roster = roster();
        for n in 0..SESSIONS_MAX {
            roster.deactivate(&format!("client {n:03}"), &words("BANKB"), at(0)).expect("room");
        }
        assert!(roster.deactivate("late", &words("BANKB"), at(10)).is_err());
        assert_eq!(roster.active("client 000").len(), 2);
        roster.called("client 000", at(80_000));
        roster.deactivate("late", &words("BANKC"), at(86_400)).expect("places of a day ago are free");
        assert_eq!((roster.active("client 000").len(), roster.active("client 001").len()), (2, 3));
    }

    #[test]
    fn unknown_names_are_all_named_and_change_nothing() {
        let mut roster = roster();
        let error = roster.deactivate("", &words("BANKA BANKX nobody"), Now::default()).expect_err("unknown");
        assert_eq!(
            error.message,
            "unknown players [\"BANKX\", \"nobody\"]; there are BANKA, BANKB, BANKC; groups pair"
        );
        assert_eq!(roster.active("").len(), 3);
    }

    #[test]
    fn a_group_cannot_have_the_name_of_a_player() {
        let groups = BTreeMap::from([("BANKA".to_owned(), vec![])]);
        assert!(Roster::new(&words("BANKA"), &groups, &[], Now::default()).is_err());
    }
}
