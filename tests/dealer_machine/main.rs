//! The role of the dealer proxy on a virtual clock, over players that are state machines of this test: no socket, no
//! process, no sleep.
//!
//! - [`world`]: the dealer, the time between it and its players, and what can go wrong there;
//! - [`player`]: one player, ours or one like the reference's;
//! - `calls`, `starts`, `modes`: one behaviour a test;
//! - `control`: leases passed on to players;
//! - `node`: faces, role and links together, over players that are sessions;
//! - `restarts`: a proxy that is killed, and a clock that is set;
//! - `link`: the link to one player against serving sessions; `links`: those to all players;
//! - `matrix`: every fault at every step of a start and of a mode change, alone and in twos, and a judge.

mod calls;
mod control;
mod link;
mod links;
mod matrix;
mod modes;
mod node;
mod player;
mod restarts;
mod starts;
mod world;
