//! `appliance shell [TARGET]`: talk to a node. What it offers comes from the table of methods of the node itself, over
//! either protocol; a player of the reference can be talked to as well.
//!
//! On a terminal there is a line editor; otherwise standard input is a script, one call a line.

pub mod ask;
pub mod complete;
pub mod help;
pub mod line;
pub mod literal;
pub mod run;
pub mod script;
pub mod show;
pub mod terminal;

use super::call::parse_seconds;
use super::client::TIMEOUT;
use super::identity::Identity;
use super::target::Target;
use super::usual_target::or_usual;
use run::Talk;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

/// What `--help` says of the end.
const EXIT_STATUS: &str = "\
Exit status:
  0  all done
  1  a call of a script failed, or the node cannot be reached
  2  usage";

/// Talk to a node: its methods with completion, help and history; or a script of calls.
///
/// Both `set_mode MODE1 force=True` and `bank.set_mode('MODE1', force=True)` are understood; `help` says more. When
/// standard input is no terminal it is a script, one call a line, that stops at the first call that fails. After
/// `rpc.acquire` further calls of the shell are made under that lease.
#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_STATUS)]
pub struct ShellArgs {
    /// tcp://host:port (JSON), rpc://host:port or unix:/path (binary) [default: the node of this computer]
    target: Option<Target>,
    /// Begin with this interface in use (as `use` does)
    #[arg(long = "use", value_name = "INTERFACE")]
    interface: Option<String>,
    /// Wait so many seconds for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT.as_secs_f64(), value_parser = parse_seconds)]
    timeout: f64,
    /// Show what the node says while a call runs (progress, messages); binary targets only
    #[arg(long)]
    watch: bool,
    /// In a script, go on after a call that failed
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    identity: Identity,
}

/// Runs the command.
pub fn run(args: ShellArgs) -> ExitCode {
    match talk(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("appliance shell: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Did all calls of a script succeed? A session at a terminal always ends well.
fn talk(args: &ShellArgs) -> Result<bool, String> {
    let target = or_usual(args.target.as_ref())?;
    let mut talk = Talk::with(&args.identity, &target, Duration::from_secs_f64(args.timeout), args.watch)?;
    if let Some(interface) = &args.interface {
        talk.use_interface(interface)?;
    }
    match io::stdin().is_terminal() {
        true => terminal::session(talk).map(|()| true),
        false => script::run(&mut talk, io::stdin().lock(), args.keep_going),
    }
}
