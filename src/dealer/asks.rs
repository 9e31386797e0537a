//! What players have been asked and have not answered, and reads that several want.
//!
//! A read that is on its way, or was answered less than [`SHARED`] ago, is not asked again: whoever wants the same
//! gets the same answer. Each asker keeps its own deadline. Nobody gets an answer from before a write that has been
//! answered meanwhile: a player has an *age*, which ends when a write is sent to it and when one is over, and only
//! reads of one age are shared.

use super::answer::Answer;
use super::messages::{AskId, Index, Lane};
use super::procedure::Round;
use crate::api::Call;
use crate::units::Mono;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How old a shared answer may be.
pub const SHARED: Duration = Duration::from_millis(100);
/// Answers of a player that are kept for sharing; the oldest go.
const KEPT_MAX: usize = 16;

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The procedure.
    pub procedure: u64,
    /// Its round.
    pub round: Round,
    /// An answer later than this is none.
    pub deadline: Mono,
    /// How long that is.
    pub within: Duration,
}

/// One ask.
#[derive(Clone, Debug)]
pub struct Open {
    /// Whom.
    pub player: Index,
    /// May it change something?
    pub lane: Lane,
    /// What, for sharing and for messages.
    pub call: Call,
    /// Who waits.
    pub askers: Vec<Asker>,
    /// The age of the player it was asked in.
    age: u64,
}

/// How an ask goes on.
#[derive(Debug, PartialEq)]
pub enum Placed {
    /// It leaves, under this name.
    New(AskId),
    /// Another one that is the same is on its way.
    Shared,
    /// It was answered a moment ago.
    Answered(Answer),
}

/// An answer that may be shared.
#[derive(Debug)]
struct Kept {
    call: Call,
    answer: Answer,
    at: Mono,
}

/// All asks.
#[derive(Debug, Default)]
pub struct Asks {
    next: u64,
    open: BTreeMap<AskId, Open>,
    /// Of each player, the oldest first: a call to many must not cost a look at the answers of all.
    answered: BTreeMap<Index, VecDeque<Kept>>,
    ages: BTreeMap<Index, u64>,
}

impl Asks {
    /// Places an ask.
    pub fn place(&mut self, player: Index, call: Call, lane: Lane, asker: Asker, now: Mono) -> Placed {
        if lane == Lane::Write {
            self.outdate(player);
        }
        let age = self.age(player);
        if lane == Lane::Read {
            if let Some(kept) = self.answered.get_mut(&player) {
                while kept.front().is_some_and(|k| now.since(k.at) > SHARED) {
                    kept.pop_front();
                }
                if let Some(found) = kept.iter().find(|k| k.call == call) {
                    return Placed::Answered(found.answer.clone());
                }
            }
            let same =
                |o: &&mut Open| o.lane == Lane::Read && o.player == player && o.age == age && o.call == call;
            if let Some(open) = self.open.values_mut().find(same) {
                open.askers.push(asker);
                return Placed::Shared;
            }
        }
        self.next += 1;
        let id = AskId(self.next);
        self.open.insert(id, Open { player, lane, call, askers: vec![asker], age });
        Placed::New(id)
    }

    fn age(&self, player: Index) -> u64 {
        self.ages.get(&player).copied().unwrap_or_default()
    }

    /// What was read of this player until now is old.
    fn outdate(&mut self, player: Index) {
        *self.ages.entry(player).or_default() += 1;
        self.answered.remove(&player);
    }

    /// It is answered: who waited.
    pub fn answered(&mut self, id: AskId, answer: &Answer, now: Mono) -> Option<Open> {
        let open = self.open.remove(&id)?;
        match open.lane {
            Lane::Write => self.outdate(open.player),
            Lane::Read if open.age == self.age(open.player) => {
                let kept = self.answered.entry(open.player).or_default();
                if kept.len() >= KEPT_MAX {
                    kept.pop_front();
                }
                kept.push_back(Kept { call: open.call.clone(), answer: answer.clone(), at: now });
            }
            Lane::Read => {}
        }
        Some(open)
    }

    /// Everything on its way to a player that is gone.
    pub fn lost(&mut self, player: Index) -> Vec<Open> {
        self.outdate(player);
        let ids: Vec<AskId> =
            self.open.iter().filter(|(_, o)| o.player == player).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| self.open.remove(id)).collect()
    }

    /// The askers whose time is over; asks nobody waits for any longer are given as abandoned.
    pub fn overdue(&mut self, now: Mono) -> Vec<(AskId, Index, Call, Lane, Asker, bool)> {
        let mut late = Vec::new();
        for (id, open) in &mut self.open {
            let (over, left): (Vec<Asker>, Vec<Asker>) =
                open.askers.drain(..).partition(|a| now >= a.deadline);
            open.askers = left;
            let last = open.askers.is_empty();
            late.extend(over.into_iter().map(|a| (*id, open.player, open.call.clone(), open.lane, a, last)));
        }
        self.open.retain(|_, o| !o.askers.is_empty());
        // Who is told that a write is late reads what may be before or after it.
        for (_, player, _, lane, ..) in &late {
            if *lane == Lane::Write {
                self.outdate(*player);
            }
        }
        late
    }

    /// The asks of a round have other deadlines.
    pub fn extend(&mut self, procedure: u64, round: Round, deadline: Mono, within: Duration) {
        let askers = self.open.values_mut().flat_map(|o| &mut o.askers);
        for asker in askers.filter(|a| a.procedure == procedure && a.round == round) {
            (asker.deadline, asker.within) = (deadline, within);
        }
    }

    /// A procedure has ended: what only it waited for is abandoned.
    pub fn forget(&mut self, procedure: u64) -> Vec<(AskId, Open)> {
        for open in self.open.values_mut() {
            open.askers.retain(|a| a.procedure != procedure);
        }
        let idle: Vec<AskId> =
            self.open.iter().filter(|(_, o)| o.askers.is_empty()).map(|(id, _)| *id).collect();
        idle.into_iter().filter_map(|id| self.open.remove(&id).map(|o| (id, o))).collect()
    }

    /// The first deadline.
    pub fn deadline(&self) -> Option<Mono> {
        self.open.values().flat_map(|o| &o.askers).map(|a| a.deadline).min()
    }
}
