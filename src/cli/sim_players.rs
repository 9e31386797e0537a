//! `appliance sim players`: many players in one process, until they are stopped.

use crate::reactor::{self, Options};
use crate::sim::players::Fault;
use crate::sim::players::app::{PLAYERS_MAX, PlayersApp, PlayersConfig, Ports};
use clap::Args;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Serve many simulated players, without banks, for a dealer proxy to command
#[derive(Args, Debug)]
pub struct SimPlayersArgs {
    /// How many, at most 500
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count)]
    pub count: usize,
    /// They are called NAME01, NAME02, ...
    #[arg(long, default_value = "SIM")]
    pub name: String,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    /// Port of the first player, the others count on; 0 picks each
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Listen on Unix sockets NAME01.sock, ... in this directory instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["bind", "port", "json"])]
    pub unix: Option<PathBuf>,
    /// Speak JSON over ZeroMQ instead of the binary RPC
    #[arg(long)]
    pub json: bool,
    /// The mode that is set when they start
    #[arg(long)]
    pub mode: Option<String>,
    /// How long set_mode takes, ms
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub mode_time: u64,
    /// A fault, for example delay=5-20, SIM03/silent=start, kill=set_mode:2; a wrong one lists them all
    #[arg(long, value_name = "[PLAYER/]FAULT")]
    pub fault: Vec<Fault>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Descriptor that gets `ready NAME01=ADDRESS ...` when all listen
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<i32>,
    /// Print `ready NAME01=ADDRESS ...` when all listen
    #[arg(long)]
    pub announce: bool,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|n| (1..=PLAYERS_MAX).contains(n));
    count.ok_or_else(|| format!("1 to {PLAYERS_MAX} players in one process"))
}

/// Serves until it is told to stop.
pub fn run(args: SimPlayersArgs) -> ExitCode {
    super::logging::init();
    let last = usize::from(args.port) + args.count - 1;
    if args.port > 0 && last > usize::from(u16::MAX) {
        eprintln!("appliance sim players: the last port would be {last}: begin lower, or write --port 0");
        return ExitCode::from(2);
    }
    let config = PlayersConfig {
        count: args.count,
        name: args.name,
        ports: args.unix.map_or(Ports::Tcp(args.bind, args.port), Ports::Unix),
        json: args.json,
        mode: args.mode,
        mode_takes: Duration::from_millis(args.mode_time),
        faults: args.fault,
        seed: args.seed,
    };
    let mut app = PlayersApp::new(config, super::sim::ready("players", args.announce, args.ready_fd));
    match reactor::run(&mut app, Options::default()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("appliance sim players: the loop cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}
