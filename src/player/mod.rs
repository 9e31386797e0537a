//! The role of an HPC node of a radio spectrometer: NRAO's DIBAS Player ("Bank").
//!
//! [`bank::Player`] is the state machine; [`engine`] computes what a mode's parameters mean;
//! [`compile`] turns both into plans; [`children`] supervises the programs; [`scan`] holds the
//! timing contract; [`guard`] watches the data flow, [`proof`] is what a scan leaves beside its data, with a [`verdict`];
//! [`board`] is the board by hand; [`methods`] is the table every face is derived from, [`keys`] that of the status keys.

pub mod applied;
pub mod bank;
pub mod board;
pub mod children;
pub mod clock;
pub mod compile;
pub mod config;
pub mod engine;
pub mod evidence;
pub mod guard;
pub mod keys;
pub mod methods;
pub mod proof;
pub mod saved;
pub mod scan;
pub mod schedule;
pub mod space;
pub mod state;
pub mod surroundings;
pub mod synth;
pub mod verdict;
pub mod writes;
