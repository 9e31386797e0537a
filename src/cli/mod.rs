//! The command line: one file per subcommand, parsed by clap, thin.

pub mod call;
pub mod client;
pub mod daq;
pub mod gen_docs;
pub mod sim;
pub mod sim_packets;
pub mod target;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The software that runs the machine beside the telescope.
#[derive(Parser, Debug)]
#[command(name = "appliance", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make one call and print the result as JSON
    Call(call::CallArgs),
    /// Record VEGAS packets into SDFITS files, as the child of a player
    Daq(daq::DaqArgs),
    /// A simulator in the foreground
    Sim(sim::SimArgs),
    /// Write man pages, completions and the method reference
    GenDocs(gen_docs::GenDocsArgs),
}

/// Parses the command line and runs it. Exit status: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        None => ExitCode::SUCCESS,
        Some(Command::Call(args)) => call::run(args),
        Some(Command::Daq(args)) => daq::run(args),
        Some(Command::Sim(args)) => sim::run(args),
        Some(Command::GenDocs(args)) => gen_docs::run(args),
    }
}
