//! The answers of one round, until all are there.

use super::answer::{Answer, Failure, complaint, entry, succeeded};
use super::messages::Index;
use super::roster::Roster;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Answers by player; one for each that was asked.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    wanted: Vec<Index>,
    /// Of those, who has not answered: looked at with every answer.
    missing: BTreeSet<Index>,
    answers: BTreeMap<Index, Answer>,
}

impl Gathered {
    /// Waits for these.
    pub fn from(players: &[Index]) -> Gathered {
        Gathered {
            wanted: players.to_vec(),
            missing: players.iter().copied().collect(),
            answers: BTreeMap::new(),
        }
    }

    /// Waits for these, too.
    pub fn want(&mut self, players: &[Index]) {
        for player in players.iter().filter(|p| !self.answers.contains_key(p)) {
            if self.missing.insert(*player) {
                self.wanted.push(*player);
            }
        }
    }

    /// An answer. The first one counts.
    pub fn take(&mut self, player: Index, answer: Answer) {
        if self.missing.remove(&player) {
            self.answers.insert(player, answer);
        }
    }

    /// This one is not waited for any longer.
    pub fn leave_out(&mut self, player: Index) {
        self.wanted.retain(|p| *p != player);
        self.missing.remove(&player);
        self.answers.remove(&player);
    }

    /// Replaces what a player is said to have answered.
    pub fn put(&mut self, player: Index, answer: Answer) {
        self.missing.remove(&player);
        self.answers.insert(player, answer);
    }

    /// Have all answered?
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Who has not.
    pub fn missing(&self) -> impl Iterator<Item = Index> + '_ {
        self.missing.iter().copied()
    }

    /// Whose answers are waited for.
    pub fn players(&self) -> &[Index] {
        &self.wanted
    }

    /// What a player said.
    pub fn of(&self, player: Index) -> Option<&Answer> {
        self.answers.get(&player)
    }

    /// All answers that are there.
    pub fn iter(&self) -> impl Iterator<Item = (Index, &Answer)> {
        self.answers.iter().map(|(p, a)| (*p, a))
    }

    /// Who did not do it.
    pub fn failed(&self) -> Vec<Index> {
        self.iter().filter(|(_, a)| !succeeded(a)).map(|(p, _)| p).collect()
    }

    /// Who says no. One that could not be asked does not: it gets an entry of its own.
    pub fn against(&self) -> Vec<Index> {
        let unheard = |a: &Answer| matches!(a, Err(Failure::Lost(_) | Failure::Late(_)));
        self.iter().filter(|(_, a)| !succeeded(a) && !unheard(a)).map(|(p, _)| p).collect()
    }

    /// What everybody is answered when nobody is asked because some say no: their reasons, and to the others who it was.
    /// `None`: nobody says no.
    pub fn refusal(&self, players: &[Index], roster: &Roster) -> Option<Gathered> {
        let against = self.against();
        if against.is_empty() {
            return None;
        }
        let names = roster.names(&against).join(", ");
        let mut all = Gathered::from(players);
        for player in players {
            let answer = match self.of(*player) {
                Some(answer) if !succeeded(answer) => answer.clone(),
                _ => Err(Failure::NotAsked(format!("not done: {names} would refuse it"))),
            };
            all.put(*player, answer);
        }
        Some(all)
    }

    /// `BANKB: No such parameter 'x'; BANKC: ..`
    pub fn complaints(&self, roster: &Roster) -> String {
        let one = |p: Index| {
            let name = roster.name(p);
            self.of(p).map(|a| format!("{name}: {}", complaint(name, a)))
        };
        self.failed().into_iter().filter_map(one).collect::<Vec<_>>().join("; ")
    }

    /// `{player: entry}`: one for every player that was asked, never missing.
    pub fn result(&self, roster: &Roster) -> Value {
        let not_yet: Answer = Err(Failure::NotAsked("no answer was waited for".into()));
        let one = |p: &Index| {
            let name = roster.name(*p);
            (name.to_owned(), entry(name, self.of(*p).unwrap_or(&not_yet)))
        };
        Value::Map(self.wanted.iter().map(one).collect())
    }
}
