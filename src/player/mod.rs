//! player (being built)
pub mod engine;
