//! daq (being built)

pub mod accumulate;
pub mod heaps;
pub mod setup;
pub mod start_rule;
pub mod status;
