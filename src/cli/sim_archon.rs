//! `appliance sim archon`: a CCD controller on a port, until it is stopped.

use crate::config::acf::Acf;
use crate::reactor::{self, Options};
use crate::sim::archon::{ArchonSimConfig, Fault};
use crate::sim::archon_app::ArchonApp;
use crate::sys::clock;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Serve a simulated STA Archon controller
#[derive(Args, Debug)]
pub struct SimArchonArgs {
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    /// Port to listen on; 0 picks one
    #[arg(long, default_value_t = 4242)]
    pub port: u16,
    /// Configuration in memory at boot, applied if it says APPLYALL=1; its [SYSTEM] section says what modules
    /// there are
    #[arg(long, value_name = "FILE")]
    pub acf: Option<PathBuf>,
    /// BACKPLANE_ID, hexadecimal
    #[arg(long, value_name = "HEX", value_parser = |t: &str| u64::from_str_radix(t, 16), default_value = "3FFF1A9902F6")]
    pub backplane: u64,
    /// BACKPLANE_REV: up to 5 (F) one client at a time, from 7 (H) four
    #[arg(long, default_value_t = 5)]
    pub revision: u8,
    /// Bytes handed to the network at once
    #[arg(long, value_name = "BYTES", default_value_t = 131_072)]
    pub segment: usize,
    /// Time to read one line of a tap, µs
    #[arg(long, value_name = "US", default_value_t = 200)]
    pub line_time: u64,
    /// Time of one flush, ms
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub flush_time: u64,
    /// Time from POWERON to power, ms
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub power_time: u64,
    /// Nobody is heard for so long after REBOOT and WARMBOOT, ms
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub boot_time: u64,
    /// Parameter names are matched letter by letter
    #[arg(long)]
    pub case_sensitive: bool,
    /// Pixels are only a counter: as fast as can be
    #[arg(long)]
    pub counter: bool,
    /// A fault, for example silent=POWERON, cut-fetch=7, sensor-open=MOD2/TEMPA; a wrong one lists them all
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// Seed of the sky
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
pub fn run(args: SimArchonArgs) -> ExitCode {
    super::logging::init();
    let acf = match args.acf.as_deref().map(read_acf).transpose() {
        Ok(acf) => acf,
        Err(why) => {
            eprintln!("appliance sim archon: {why}");
            return ExitCode::from(2);
        }
    };
    let config = ArchonSimConfig {
        seed: args.seed,
        acf,
        backplane: args.backplane,
        revision: args.revision,
        segment: args.segment,
        line_time: Duration::from_micros(args.line_time),
        flush_time: Duration::from_millis(args.flush_time),
        power_time: Duration::from_millis(args.power_time),
        boot_time: Duration::from_millis(args.boot_time),
        case_sensitive: args.case_sensitive,
        counter: args.counter,
        faults: args.fault.clone(),
    };
    let ready = super::sim::ready("archon", args.announce, args.ready_fd);
    let bind = SocketAddr::new(args.bind, args.port);
    let mut app = ArchonApp::new(bind, config, Some(ready), clock::now());
    match reactor::run(&mut app, Options::default()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("appliance sim archon: the loop cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read_acf(path: &Path) -> Result<Acf, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (acf, findings) = Acf::parse(&Acf::decode(&bytes)).map_err(|e| format!("{}: {e}", path.display()))?;
    for finding in findings {
        log::warn!("{}: {finding:?}", path.display());
    }
    Ok(acf)
}
