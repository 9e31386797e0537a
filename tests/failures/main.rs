//! What happens when things break: real processes on loopback, ended with `kill -9`, starved of disk,
//! locked out of memory, talked to by rude clients. The player must name a state and a reason, hang
//! nowhere, and recover without a restart once the cause is gone.
//!
//! Every test has a [`rig::Rig`] of its own: configuration, directories, status memory, ports, a simulated
//! board and a player on it. Nothing waits by sleeping: everything is polled against a deadline.

mod disk;
mod ends;
mod kills;
mod memory;
mod peers;
mod preflight;
mod processes;
mod programs;
mod refusals;
mod rig;
mod surroundings;
