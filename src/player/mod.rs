//! The role of an HPC node of a radio spectrometer: NRAO's DIBAS Player ("Bank").
//!
//! [`bank::Player`] is the state machine; [`engine`] computes what a mode's parameters mean;
//! [`compile`] turns both into plans; [`children`] supervises the programs; [`scan`] holds the
//! timing contract; [`board`] is the board by hand; [`methods`] is the table every face is derived from, [`keys`] that of the status keys.

pub mod bank;
pub mod board;
pub mod children;
pub mod compile;
pub mod config;
pub mod engine;
pub mod keys;
pub mod methods;
pub mod saved;
pub mod scan;
pub mod state;
pub mod synth;
