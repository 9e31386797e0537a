//! What one call makes happen over several players: a state machine that asks and is answered.

use super::answer::Answer;
use super::messages::{Index, Lane};
use super::roster::Roster;
use super::rules::Rules;
use crate::api::{Call, Outcome};
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::time::Duration;

/// Distinguishes the rounds of a procedure; its own business.
pub type Round = u32;

/// What a procedure is told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Its turn has come.
    Begin,
    /// A player has answered, was lost, or is late. Once for each ask.
    Answer {
        /// Who.
        player: Index,
        /// What it was asked in.
        round: Round,
        /// What it said.
        answer: &'a Answer,
    },
    /// A player says something new of itself.
    State(Index),
    /// What [`Action::Arming`] has to say is in the file.
    Noted,
    /// The wall clock was set: seconds are not when they were thought to be.
    ClockSet,
    /// The time asked for by [`Action::Wake`] has come.
    Wake,
    /// The client withdraws its call.
    Cancel,
    /// Somebody has called `stop` for one of the players, which is about to be asked.
    Stopped,
}

/// What a procedure wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask a player.
    Ask {
        /// Whom.
        player: Index,
        /// Which round this belongs to.
        round: Round,
        /// What.
        call: Call,
        /// May it change something?
        lane: Lane,
        /// An answer later than this is none.
        within: Duration,
    },
    /// Tell me when this time has come; replaces an earlier wish.
    Wake(Mono),
    /// The answer to the client. Once.
    Reply(Outcome),
    /// The players may be written to by others from now on, although I go on looking.
    TurnOver,
    /// Something the operator should know; kept in `last_warnings`.
    Warn(String),
    /// What this start came to: kept for `last_start`.
    LastStart(Value),
    /// These players are about to be asked to start; answered by [`Event::Noted`] when a proxy that takes over from
    /// this one would know.
    Arming {
        /// Who.
        players: Vec<Index>,
        /// Start of the scan.
        start: Utc,
    },
    /// This start is not to be.
    TakenBack(Utc),
    /// What is known of this start is known.
    StartOver(Utc),
    /// The asks of this round may take so long from now.
    Extend {
        /// Which.
        round: Round,
        /// From now.
        within: Duration,
    },
    /// If this player turns out to run the scan of this second, stop it.
    Orphan {
        /// Who.
        player: Index,
        /// Start of the scan.
        start: Utc,
    },
    /// The scan number of all players is this.
    ScanNumber(i64),
    /// A scan has begun with these players; it goes into the journal when it has ended.
    Journal {
        /// Who takes part.
        players: Vec<Index>,
        /// What is known at the start.
        begun: Value,
    },
    /// It is over. Asks without an answer are abandoned.
    End,
}

/// What a procedure can see.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The players.
    pub roster: &'a Roster,
    /// The site's rules.
    pub rules: &'a Rules,
    /// Now.
    pub now: Now,
}

/// A state machine over several players.
pub trait Procedure: std::fmt::Debug {
    /// Something has happened.
    fn handle(&mut self, event: Event<'_>, view: &View<'_>) -> Vec<Action>;

    /// `stop` was called for one of the players while this waited for its turn: its answer, if it is over with that.
    fn stopped(&self, _view: &View<'_>) -> Option<Outcome> {
        None
    }
}

/// A call of the interface `bank`, arguments by position.
pub fn bank(method: &str, args: Vec<Value>) -> Call {
    Call { interface: "bank".into(), method: method.into(), args, kwargs: Vec::new() }
}

/// Asks several players the same.
pub fn ask_all(players: &[Index], round: Round, call: &Call, lane: Lane, within: Duration) -> Vec<Action> {
    let ask = |player: &Index| Action::Ask { player: *player, round, call: call.clone(), lane, within };
    players.iter().map(ask).collect()
}
