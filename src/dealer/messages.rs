//! What the role is told, and what it orders.

use super::lease::Held;
use super::saved::Saved;
use crate::api::{Call, CallError, Outcome, Ticket};
use crate::value::Value;
use std::time::Duration;

/// A player: its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub usize);

/// Names an ask to one player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Who answers at a player's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A player of this program: several calls at once, states told as they change, deadlines kept.
    Ours,
    /// The reference's Python player, or one that behaves like it: one call at a time, blocked while it works.
    Reference,
}

/// One method a player has.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteMethod {
    /// `bank`, `bank.roach` or `bank.valon`.
    pub interface: String,
    /// As the player describes it (`rpc.describe`), or name and doc only.
    pub description: Value,
}

/// What a player's link says.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent {
    /// Connected, and known for what it is.
    Up {
        /// Who answers.
        kind: Kind,
        /// What it can do.
        methods: Vec<RemoteMethod>,
    },
    /// Not connected (any more); asks without an answer are answered by this.
    Down(String),
    /// The answer to an ask.
    Reply {
        /// Which.
        id: AskId,
        /// Result or error.
        outcome: Outcome,
    },
    /// `player_state` of a player of ours, told or asked for; what a reference player says of itself, in the same
    /// words (`mode`, `state`).
    State(Value),
    /// How far the player's clock is ahead of ours, nanoseconds, and how wrong that may be.
    Clock {
        /// Player minus us.
        offset_ns: i64,
        /// Half of the round trip.
        uncertainty_ns: i64,
    },
}

/// Whether an ask may change something. Reads do not wait behind writes where the player allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// From memory.
    Read,
    /// Changes something, or takes long.
    Write,
}

/// Input of the role.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<C> {
    /// A call, in the order of arrival; `who` is the client's own name for itself, empty if it gave none.
    Call {
        /// Its name.
        ticket: Ticket,
        /// What.
        call: C,
        /// Session.
        who: String,
    },
    /// May a write begin whose turn has come ([`Output::Turn`])? Who called may have left or lost control meanwhile.
    Turn {
        /// Which.
        ticket: Ticket,
        /// The reason why not is its answer.
        go: Result<(), CallError>,
    },
    /// The client withdraws a call.
    Cancel {
        /// Which.
        ticket: Ticket,
    },
    /// Control of the proxy is with somebody else, or was prolonged.
    Control {
        /// With whom; `None`: with nobody.
        held: Option<Held>,
        /// Names of clients that wait until players have been told; answered by [`Output::ControlPassed`].
        waiting: Vec<u64>,
    },
    /// The oldest [`Output::Save`] that was not answered is in the file (or could not be written).
    Saved,
    /// The wall clock was set.
    ClockSet,
    /// A link says something.
    Link {
        /// Whose.
        player: Index,
        /// What.
        event: LinkEvent,
    },
}

/// Orders of the role.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The answer to a call.
    Reply {
        /// Which.
        ticket: Ticket,
        /// Result or error.
        outcome: Outcome,
    },
    /// The turn of a write has come; answered by [`Input::Turn`] before anything else is told.
    Turn(Ticket),
    /// Ask a player. Answered by [`LinkEvent::Reply`] or [`LinkEvent::Down`].
    Ask {
        /// Whom.
        player: Index,
        /// Name of the ask.
        id: AskId,
        /// What.
        call: Call,
        /// May it change something?
        lane: Lane,
        /// The player need not begin later than this.
        within: Duration,
    },
    /// Nobody waits for this answer any longer: take it back if it can be, else replace the connection it is on, so
    /// that nothing queues behind it.
    Abandon {
        /// Whom.
        player: Index,
        /// Which.
        id: AskId,
    },
    /// Players have been told who has control.
    ControlPassed {
        /// The clients that waited for it.
        waiting: Vec<u64>,
        /// `{player: [true|false, text]}`
        players: Value,
    },
    /// Nobody but who has control may change anything (or: as the proxy's own rule says), since it is so at players.
    ControlBinds(bool),
    /// What a proxy after this one must know; answered by [`Input::Saved`].
    Save(Saved),
    /// A line of the scan journal.
    Journal(Value),
    /// What subscribers are told (`dealer.snapshot`) has changed.
    Changed,
    /// The methods of a player have changed.
    Methods(Index),
}
