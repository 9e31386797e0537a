//! `appliance daq`: the recording program, as the player starts it.

use super::status_memory::{self, StatusArgs};
use crate::daq::program::{self, Options};
use crate::daq::sdfits::Style;
use clap::{Args, ValueEnum};
use std::net::IpAddr;
use std::process::ExitCode;

/// Conventions of the files.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SdfitsArg {
    /// True dimensions, loss columns
    Correct,
    /// As the reference writes
    Legacy,
}

/// Record VEGAS packets into SDFITS files; commands START, STOP, MONITOR, QUIT on standard input
#[derive(Args, Debug)]
pub struct DaqArgs {
    /// Which status memory.
    #[command(flatten)]
    pub status: StatusArgs,
    /// Address to receive on [default: all, or loopback when DATAHOST is loopback]
    #[arg(long, value_name = "IP")]
    pub bind: Option<IpAddr>,
    /// Conventions of the files
    #[arg(long, value_enum, default_value_t = SdfitsArg::Correct)]
    pub sdfits: SdfitsArg,
    /// Say less on standard error
    #[arg(long)]
    pub quiet: bool,
    /// Flags of the site's own program, after ours: taken, named and ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub site: Vec<String>,
}

/// Runs until QUIT, end of input or SIGTERM.
pub fn run(args: DaqArgs) -> ExitCode {
    if !args.site.is_empty() {
        eprintln!("daq: flags of another program ignored: {}", args.site.join(" "));
    }
    match record(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("daq: {why}");
            ExitCode::FAILURE
        }
    }
}

fn record(args: &DaqArgs) -> Result<(), String> {
    let mut memory = args.status.open()?;
    let style = match args.sdfits {
        SdfitsArg::Correct => Style::Correct,
        SdfitsArg::Legacy => Style::Legacy,
    };
    let options = Options { bind: args.bind, style, quiet: args.quiet };
    program::run(&mut memory, &options, status_memory::standard_input()?).map_err(|e| e.to_string())
}
