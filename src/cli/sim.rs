//! `appliance sim ...`: a simulator in the foreground.

use super::sim_packets;
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
}

/// Runs the simulator until it is stopped.
pub fn run(args: SimArgs) -> ExitCode {
    match args.what {
        Simulator::Packets(args) => sim_packets::run(args),
    }
}
