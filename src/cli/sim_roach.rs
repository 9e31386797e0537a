//! `appliance sim roach`: a board behind its KATCP server, until it is stopped.

use crate::fpga::model::{BoardConfig, Catalogue, Design, dibas_registers};
use crate::proto::gateware;
use crate::reactor::{self, Options};
use crate::sim::roach_app::{Hooks, RoachApp};
use crate::sim::roach2::{Fault, Faults, RoachConfig, Speaks};
use crate::sim::station::{self, StationOptions};
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Largest image file read, bytes.
const MAX_IMAGE: u64 = 256 << 20;

/// Serve a simulated ROACH2 board over KATCP
#[derive(Args, Debug)]
pub struct SimRoachArgs {
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    /// Port to listen on; 0 picks one
    #[arg(long, default_value_t = 7147)]
    pub port: u16,
    /// KATCP version: 4 as the hardware, 5 with message ids
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=5))]
    pub protocol: u8,
    /// An image in the catalogue: a .bof file, or a name that gets the registers of the DIBAS family
    #[arg(long, value_name = "FILE|NAME")]
    pub bof: Vec<String>,
    /// Refuse images that were not named with --bof
    #[arg(long)]
    pub known_bof_only: bool,
    /// How long programming takes, ms
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub program_time: u64,
    /// A fault: drop-after=BYTES, delay=MS, fail=K, mute=K, split, merge=MS, nagle=MS, log-flood=N, unlocked, lock-lost=K, stuck=REGISTER:MASK
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// Answer `bulkread`, which the hardware's server does not have
    #[arg(long)]
    pub bulkread: bool,
    /// Take what is no number for the digits before it, or 0, as the hardware's server does
    #[arg(long)]
    pub sloppy_numbers: bool,
    /// Stand still for 3 s when a design with running taps goes, as the hardware's server does
    #[arg(long)]
    pub tap_drain: bool,
    /// Send VEGAS packets while the instrument runs, to the destination in its registers if that is on
    /// this machine; with a number only that part of the data rate
    #[arg(long, value_name = "DIVISOR", num_args = 0..=1, default_missing_value = "1",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub packets: Option<u32>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Descriptor that gets `ready ADDRESS` when the listener is there
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<i32>,
    /// Print `ready ADDRESS` when the listener is there
    #[arg(long)]
    pub announce: bool,
}

/// Serves until it is told to stop.
pub fn run(args: SimRoachArgs) -> ExitCode {
    super::logging::init();
    let catalogue = match catalogue(&args.bof, !args.known_bof_only) {
        Ok(catalogue) => catalogue,
        Err(why) => {
            eprintln!("appliance sim roach: {why}");
            return ExitCode::from(2);
        }
    };
    let config = RoachConfig {
        speaks: if args.protocol == 5 { Speaks::V5 } else { Speaks::V4 },
        board: BoardConfig { catalogue, ..BoardConfig::default() },
        program_time: Duration::from_millis(args.program_time),
        faults: Faults(args.fault.clone()),
        seed: args.seed,
        bulkread: args.bulkread,
        sloppy_numbers: args.sloppy_numbers,
        tap_drain: args.tap_drain,
    };
    let packets = args.packets.map_or_else(Hooks::default, |divisor| packet_hooks(&args, divisor));
    let hooks = Hooks { ready: Some(super::sim::ready("roach", args.announce, args.ready_fd)), ..packets };
    let mut app = RoachApp::new(SocketAddr::new(args.bind, args.port), config, hooks);
    match reactor::run(&mut app, Options::default()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("appliance sim roach: the loop cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Packets leave from the address the board is reached at.
fn packet_hooks(args: &SimRoachArgs, rate_divisor: u32) -> Hooks {
    let source = station::packet_source(StationOptions { seed: args.seed, rate_divisor });
    let address = match args.bind {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
    };
    station::packet_hooks(&source, address)
}

fn catalogue(images: &[String], any: bool) -> Result<Catalogue, String> {
    let mut catalogue = if any { Catalogue::accepting_any() } else { Catalogue::default() };
    for image in images {
        let design = design(image)?;
        if !catalogue.add(design) {
            return Err("too many images".into());
        }
    }
    Ok(catalogue)
}

/// What exists as a file is read; any other plain name gets the registers of the family.
fn design(image: &str) -> Result<Design, String> {
    let path = Path::new(image);
    let name = path.file_name().map_or_else(|| image.to_owned(), |n| n.to_string_lossy().into_owned());
    match std::fs::metadata(path) {
        Ok(about) if about.len() > MAX_IMAGE => Err(format!("{image}: larger than {MAX_IMAGE} bytes")),
        Ok(_) => {
            let file = std::fs::read(path).map_err(|e| format!("{image}: {e}"))?;
            let registers = gateware::register_map(&file).map_err(|e| format!("{image}: {e}"))?;
            Ok(Design { name, registers })
        }
        Err(_) if !image.contains('/') => Ok(Design { name, registers: dibas_registers() }),
        Err(e) => Err(format!("{image}: {e}")),
    }
}
