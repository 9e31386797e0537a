//! The command line: one file per subcommand, parsed by clap, thin.

pub mod shm;

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
    /// Status memory: look, change, clean up.
    Shm(shm::ShmArgs),
}

/// Parses the command line and runs it. Exit status: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Some(Command::Shm(args)) => shm::run(args),
        None => ExitCode::SUCCESS,
    }
}
