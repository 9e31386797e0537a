//! The player and its node as state machines: a virtual clock, a world of fakes, no socket, no process, no
//! sleep.
//!
//! - [`world`]: board, programs, status memory and clock, which check the rules that always hold;
//! - `clock`: the wall clock, kept or not, and set at the wrong moment;
//! - `replies`, `modes`, `scans`, `programs`, `links`: one behaviour a test;
//! - `proof`: what a scan leaves beside its data, and the guard over the data flow;
//! - `buffers`: data buffers made before programs start, and the methods around shared memory;
//! - `later`: starts for later, the schedule, raw commands, and what the player says it is doing;
//! - `dry`: what would happen without its happening, and the list of what has happened to the hardware;
//! - `matrix`: every fault at every step of `set_mode` and `start` in every mode family, and an independent judge;
//! - `serial`, `wire`: the synthesizer on its line and the board behind its server, both simulated in bytes;
//! - `saves`: what was acknowledged survives the process;
//! - `random`: any calls, facts and times in any order;
//! - `node`: the node around the player, spoken to in bytes.

mod buffers;
mod by_hand;
mod clock;
mod dry;
mod later;
mod links;
mod matrix;
mod modes;
mod node;
mod programs;
mod proof;
mod random;
mod replies;
mod saves;
mod scans;
mod serial;
mod simulated_board;
mod wire;
mod world;
