//! All players, and which of them a call is for.

use super::messages::Index;
use super::seat::Seat;
use crate::api::CallError;
use crate::units::Now;
use crate::value::Value;
use std::collections::BTreeMap;

/// The players of the configuration, in its order, and the sets that are active.
#[derive(Clone, Debug)]
pub struct Roster {
    seats: Vec<Seat>,
    /// Named sets of players.
    groups: BTreeMap<String, Vec<Index>>,
    /// Active unless a client has chosen otherwise.
    default: Vec<Index>,
    /// Chosen by clients, by the name they give themselves.
    chosen: BTreeMap<String, Vec<Index>>,
}

/// Clients whose choice is remembered; more replace the first by name.
const SESSIONS_MAX: usize = 256;

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
        self.chosen.get(who).unwrap_or(&self.default)
    }

    /// Adds players to a client's active ones; all names are known, or nothing changes.
    pub fn activate(&mut self, who: &str, names: &[String]) -> Result<(), CallError> {
        let mut set = self.active(who).to_vec();
        set.extend(self.indices(names)?);
        set.sort_unstable();
        set.dedup();
        self.choose(who, set);
        Ok(())
    }

    /// Takes players from a client's active ones; all names are known, or nothing changes.
    pub fn deactivate(&mut self, who: &str, names: &[String]) -> Result<(), CallError> {
        let gone = self.indices(names)?;
        let set = self.active(who).iter().filter(|p| !gone.contains(p)).copied().collect();
        self.choose(who, set);
        Ok(())
    }

    fn choose(&mut self, who: &str, set: Vec<Index>) {
        if self.chosen.len() >= SESSIONS_MAX && !self.chosen.contains_key(who) {
            self.chosen.pop_first();
        }
        self.chosen.insert(who.to_owned(), set);
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
        roster.deactivate("ann", &words("BANKB")).expect("known");
        assert_eq!(roster.names(roster.active("ann")), ["BANKA", "BANKC"]);
        assert_eq!(roster.active("").len(), 3, "others keep theirs");
        roster.activate("ann", &words("pair")).expect("known");
        assert_eq!(roster.active("ann").len(), 3);
    }

    #[test]
    fn unknown_names_are_all_named_and_change_nothing() {
        let mut roster = roster();
        let error = roster.deactivate("", &words("BANKA BANKX nobody")).expect_err("unknown");
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
