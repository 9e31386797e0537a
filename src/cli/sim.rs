//! `appliance sim ...`: a simulator in the foreground.

use super::{sim_archon, sim_daq, sim_packets, sim_players, sim_roach};
use crate::sys::fd;
use clap::{Args, Subcommand};
use std::fmt::Display;
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
    /// A CCD controller
    Archon(sim_archon::SimArchonArgs),
    /// A site's DAQ program, without its data path
    Daq(sim_daq::SimDaqArgs),
    /// The packets of a VEGAS spectrometer
    Packets(sim_packets::SimPacketsArgs),
    /// Many players without banks, for a dealer proxy
    Players(sim_players::SimPlayersArgs),
    /// A ROACH2 board behind its KATCP server
    Roach(sim_roach::SimRoachArgs),
}

/// Runs the simulator until it is stopped.
pub fn run(args: SimArgs) -> ExitCode {
    match args.what {
        Simulator::Archon(args) => sim_archon::run(args),
        Simulator::Daq(args) => sim_daq::run(args),
        Simulator::Packets(args) => sim_packets::run(args),
        Simulator::Players(args) => sim_players::run(args),
        Simulator::Roach(args) => sim_roach::run(args),
    }
}

/// Tells whoever asked where a simulator listens.
pub(super) fn ready<T: Display>(
    what: &'static str,
    announce: bool,
    mut descriptor: Option<i32>,
) -> Box<dyn FnMut(Result<T, String>) + Send> {
    Box::new(move |result| match result {
        Ok(address) => {
            if announce {
                println!("ready {address}");
            }
            if let Some(Err(error)) =
                descriptor.take().map(|n| fd::write_and_close(n, format!("ready {address}\n").as_bytes()))
            {
                eprintln!("appliance sim {what}: cannot write to --ready-fd: {error}");
            }
        }
        Err(why) => eprintln!("appliance sim {what}: cannot listen: {why}"),
    })
}
