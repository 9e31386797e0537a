//! `appliance sim ...`: a simulator in the foreground.

use super::{sim_packets, sim_roach};
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Which simulator.
#[derive(Args, Debug)]
pub struct SimArgs {
    /// What to simulate.
    #[command(subcommand)]
    pub what: Simulator,
}

/// Simulators.
#[derive(Subcommand, Debug)]
pub enum Simulator {
    /// The packets of a VEGAS spectrometer
    Packets(sim_packets::SimPacketsArgs),
    /// A ROACH2 board behind its KATCP server
    Roach(sim_roach::SimRoachArgs),
}

/// Runs the simulator until it is stopped.
pub fn run(args: SimArgs) -> ExitCode {
    match args.what {
        Simulator::Packets(args) => sim_packets::run(args),
        Simulator::Roach(args) => sim_roach::run(args),
    }
}
