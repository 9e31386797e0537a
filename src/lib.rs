//! `appliance`: the node software beside the telescope.
//!
//! The folder list is the table of contents; arrows point downwards only (see `ARCHITECTURE.md`):
//!
//! - [`cli`] what a person types; [`node`] composes sessions, role and jobs; roles: [`player`], [`dealer`], [`archon`]
//! - [`frames`] images of a CCD on disk
//! - [`daq`] the recording program, a child of the player; [`sim`] simulated hardware, a product
//! - [`plan`] hardware procedures as data; [`api`] the one table of methods
//! - [`fpga`], [`shm`], [`session`], [`record`], [`config`] what the roles stand on
//! - [`proto`] pure codecs; [`reactor`] the loop; [`sys`] the only unsafe code
//! - [`value`], [`units`] the vocabulary

pub mod api;
pub mod archon;
pub mod cli;
pub mod config;
pub mod daq;
pub mod dealer;
pub mod fpga;
pub mod frames;
pub mod keep;
pub mod node;
pub mod plan;
pub mod player;
pub mod proto;
pub mod reactor;
pub mod record;
pub mod session;
pub mod shm;
pub mod sim;
pub mod sys;
pub mod units;
pub mod value;
