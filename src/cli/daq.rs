//! `appliance daq`: the recording program, as the player starts it.

use crate::daq::program::{self, Options};
use crate::daq::sdfits::Style;
use crate::proto::status_cards::Dialect;
use crate::shm::{Location, StatusMemory, keys};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

/// Layout of the status memory.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DialectArg {
    /// hashpipe 1.x
    Hashpipe,
    /// guppi_daq and vegas_hpc_server
    Legacy,
}

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
    /// Instance, 0 to 63: which status memory
    #[arg(long, short = 'I', default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..64))]
    pub instance: u8,
    /// Address to receive on [default: all, or loopback when DATAHOST is loopback]
    #[arg(long, value_name = "IP")]
    pub bind: Option<IpAddr>,
    /// Layout of the status memory
    #[arg(long, value_enum, default_value_t = DialectArg::Hashpipe)]
    pub dialect: DialectArg,
    /// Status memory in files of this directory (simulation)
    #[arg(long, value_name = "DIR")]
    pub status_dir: Option<PathBuf>,
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
    let dialect = match args.dialect {
        DialectArg::Hashpipe => Dialect::Hashpipe,
        DialectArg::Legacy => Dialect::Legacy,
    };
    let location = location(args)?;
    let mut memory =
        StatusMemory::open_or_create(&location, dialect, args.instance).map_err(|e| e.to_string())?;
    let style = match args.sdfits {
        SdfitsArg::Correct => Style::Correct,
        SdfitsArg::Legacy => Style::Legacy,
    };
    let options = Options { bind: args.bind, style, quiet: args.quiet };
    // Unbuffered: a command must not wait in a buffer that `poll` cannot see.
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(|e| format!("standard input: {e}"))?;
    program::run(&mut memory, &options, File::from(input)).map_err(|e| e.to_string())
}

fn location(args: &DaqArgs) -> Result<Location, String> {
    match (&args.status_dir, args.dialect) {
        (Some(dir), _) => Ok(Location::File { dir: dir.clone() }),
        (None, DialectArg::Legacy) => Ok(keys::guppi_location()),
        (None, DialectArg::Hashpipe) => {
            keys::status_location(None, args.instance, &keys::process_env).map_err(|e| e.to_string())
        }
    }
}
