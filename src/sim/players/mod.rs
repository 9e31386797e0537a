//! Players without a bank: many in one process, to see what one proxy does with them.
//!
//! Each answers as a player of ours does - its table of methods, its states, its times - but computes nothing and has
//! neither board nor programs nor files: one costs some kilobytes and some microseconds a call. Faults on request.

pub mod app;
mod fault;
mod player;

pub use fault::Fault;
pub use player::{Caller, SimPlayer};
