//! The command line: one file per subcommand, parsed by clap, thin.

pub mod bank_choice;
pub mod board_lock;
pub mod call;
pub mod check;
pub mod client;
pub mod daemon;
pub mod daq;
pub mod demo;
pub mod fpga;
pub mod gen_docs;
pub mod identity;
pub mod keep;
pub mod logging;
pub mod old_names;
pub mod paint;
pub mod plan;
pub mod preflight;
pub mod remedy;
pub mod remote_table;
pub mod shell;
pub mod shm;
pub mod sim;
pub mod sim_archon;
pub mod sim_daq;
pub mod sim_packets;
pub mod sim_players;
pub mod sim_roach;
pub mod status;
pub mod status_memory;
pub mod target;
pub mod usual_target;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// The software that runs the machine beside the telescope.
///
/// With `--role` it is the daemon of a node; with a subcommand it is a tool.
#[derive(Parser, Debug)]
#[command(name = "appliance", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Options of the daemon.
    #[command(flatten)]
    pub daemon: daemon::DaemonArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the whole machine on simulators and record a real file
    Demo(demo::DemoArgs),
    /// Make one call and print the result as JSON
    Call(call::CallArgs),
    /// Show how players, the players of a proxy or CCD controllers are; with --watch on the whole screen
    Status(status::StatusArgs),
    /// Talk to a node: its methods with completion, help and history; or a script of calls
    Shell(shell::ShellArgs),
    /// The recording program: packets into SDFITS files, as a child of the player
    Daq(daq::DaqArgs),
    /// Say what is wrong or odd in configuration files, line by line
    Check(check::CheckArgs),
    /// Look, without touching anything, whether tonight's observation would find what it needs
    Preflight(preflight::PreflightArgs),
    /// Print what prepare or set_mode would do
    Plan(plan::PlanArgs),
    /// Look at and change the registers of an FPGA
    Fpga(fpga::FpgaArgs),
    /// Be the parent of a program that outlives the daemon (started by the player)
    #[command(hide = true)]
    Keep(keep::KeepArgs),
    /// Look at and change shared memory
    Shm(shm::ShmArgs),
    /// Run simulated hardware in the foreground
    Sim(sim::SimArgs),
    /// Write man pages, completions and the method reference
    GenDocs(gen_docs::GenDocsArgs),
}

/// Parses the command line and runs it. Exit status: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    if let Err(database) = crate::sys::nss::pin() {
        eprintln!("name service database {database:?} could not be pinned");
    }
    let cli = match old_names::translate(std::env::args_os().collect()) {
        Ok(words) => Cli::parse_from(words),
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    if !matches!(cli.command, None | Some(Command::Daq(_) | Command::Sim(_) | Command::Keep(_))) {
        crate::sys::broken_pipe::ends_the_command();
    }
    match cli.command {
        None if cli.daemon.is_given() => daemon::run(cli.daemon),
        None => {
            let _ = Cli::command().print_help();
            ExitCode::from(2)
        }
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::Call(args)) => call::run(args),
        Some(Command::Status(args)) => status::run(args),
        Some(Command::Shell(args)) => shell::run(args),
        Some(Command::Daq(args)) => daq::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Plan(args)) => plan::run(args),
        Some(Command::Preflight(args)) => preflight::run(args),
        Some(Command::Fpga(args)) => fpga::run(args),
        Some(Command::Keep(args)) => keep::run(args),
        Some(Command::Shm(args)) => shm::run(args),
        Some(Command::Sim(args)) => sim::run(args),
        Some(Command::GenDocs(args)) => gen_docs::run(args),
    }
}
