//! `appliance sim daq`: a site's DAQ program without its data path.

use super::status_memory::{self, StatusArgs};
use crate::daq::listen::Reading;
use crate::sim::daq::behaviour::{Behaviour, Family, Fault, seconds};
use crate::sim::daq::{self, End};
use clap::Args;
use std::process::ExitCode;
use std::time::Duration;

/// Play a site's DAQ program: commands START, MONITOR, STOP, INIT_GPU, QUIT on standard input, answers in
/// status memory; nothing is received or recorded
#[derive(Args, Debug)]
pub struct SimDaqArgs {
    /// Which status memory.
    #[command(flatten)]
    pub status: StatusArgs,
    /// Whose program
    #[arg(long, value_enum, default_value_t = Family::Vegas)]
    pub family: Family,
    /// Obey one command a read and lose the others, as the real programs do
    #[arg(long)]
    pub lossy: bool,
    /// From START to NETSTAT=receiving, s
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    pub net_delay: Duration,
    /// From INIT_GPU to GPUCTXIN=TRUE, s
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    pub gpu_delay: Duration,
    /// Both delays are longer by a random part of this, s
    #[arg(long, value_name = "S", default_value = "0", value_parser = seconds)]
    pub jitter: Duration,
    /// Seed of what is random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Misbehave: hang, die-after=S (both from the first START on), no-netstat, slow-gpu=S, ignore-quit
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
}

/// Runs until QUIT, end of input or SIGTERM.
pub fn run(args: SimDaqArgs) -> ExitCode {
    match play(args) {
        Ok(End::InOrder) => ExitCode::SUCCESS,
        Ok(End::Died) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("appliance sim daq: {why}");
            ExitCode::FAILURE
        }
    }
}

fn play(args: SimDaqArgs) -> Result<End, String> {
    let mut memory = args.status.open()?;
    let behaviour = Behaviour {
        family: args.family,
        net_delay: args.net_delay,
        gpu_delay: args.gpu_delay,
        jitter: args.jitter,
        seed: args.seed,
        faults: args.fault,
    };
    let reading = if args.lossy { Reading::FirstOfRead } else { Reading::EveryLine };
    daq::run(&mut memory, behaviour, reading, status_memory::standard_input()?).map_err(|e| e.to_string())
}
