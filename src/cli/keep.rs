//! `appliance keep`: the parent of a program that outlives the daemon. Started by the player, not by hand.

use crate::keep::keeper::Keeper;
use crate::reactor::{self, Options, Program};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `keep`.
#[derive(Args, Debug)]
pub struct KeepArgs {
    /// Unix socket to listen on
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The program gets SIGTERM if the keeper itself is killed
    #[arg(long)]
    die_with_parent: bool,
    /// Processors the program may run on (repeatable) [default: any]
    #[arg(long = "cpu", value_name = "N")]
    cpus: Vec<u32>,
    /// Working directory of the program [default: the keeper's]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// Runs until the program has ended and its exit status was taken.
pub fn run(args: KeepArgs) -> ExitCode {
    super::logging::init();
    let mut words = args.program.into_iter();
    let program = Program {
        path: words.next().unwrap_or_default().into(),
        args: words.collect(),
        die_with_parent: args.die_with_parent,
        cpus: args.cpus,
        dir: args.dir,
        ..Program::default()
    };
    let mut keeper = Keeper::new(args.socket, program, nix::unistd::Uid::effective().as_raw());
    match reactor::run(&mut keeper, Options::default()) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            log::error!("the loop cannot run: {e}");
            ExitCode::FAILURE
        }
    }
}
