//! The role `dealer-proxy`: all players as one instrument.
//!
//! ```text
//!   call ─► Dealer ─► turns (writes in order, per player) ─► procedure ─► asks to players
//!                                                               │  ▲
//!            one entry per player, always  ◄── done ────────────┘  └─ answers, lost, late
//! ```
//!
//! Pure: calls, what links say and time come in; asks and replies go out. A [`procedure::Procedure`] is what one
//! call makes happen over several players: a fan-out, a synchronised start, a mode change in the order that CODD
//! needs, a wait. Whatever a player does or does not do, each of its asks is answered exactly once: by its reply, by
//! the loss of its link, or by the deadline. Not here: sockets and sessions (`node::dealer`).

pub mod answer;
pub mod asks;
pub mod clocks;
pub mod fanout;
pub mod gathered;
pub mod health;
pub mod journal;
pub mod lease;
pub mod link;
pub mod messages;
pub mod methods;
pub mod mode;
pub mod notices;
pub mod orphans;
pub mod procedure;
pub mod reapply;
pub mod role;
pub mod roster;
pub mod rules;
pub mod saved;
pub mod seat;
pub mod start;
pub mod turns;
pub mod wait;

pub use role::Dealer;
