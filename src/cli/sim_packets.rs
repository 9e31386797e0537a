//! `appliance sim packets`: a packet source of its own, started by the command line instead of a player.

use crate::sim::packets::{Faults, Options, PacketSource, Start};
use crate::sys::clock;
use crate::units::Utc;
use clap::Args;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::time::Duration;

/// Send VEGAS packets: a tone on noise, in real time
#[derive(Args, Debug)]
pub struct SimPacketsArgs {
    /// Where to
    #[arg(long, default_value = "127.0.0.1:50000")]
    pub dest: SocketAddrV4,
    /// Address to send from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub source: Ipv4Addr,
    /// Start, seconds since 1970 UTC [default: the next whole second]
    #[arg(long, value_name = "SECONDS")]
    pub at: Option<i64>,
    /// For how long, s
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Channels of a spectrum, a multiple of 512
    #[arg(long, default_value_t = 1024)]
    pub nchan: u32,
    /// Raw spectra in one hardware spectrum
    #[arg(long, default_value_t = 768)]
    pub acc_len: u32,
    /// Synthesizer, MHz: half the sampling rate
    #[arg(long, default_value_t = 1500.0)]
    pub frequency_mhz: f64,
    /// Slow the spectrometer down by this factor
    #[arg(long, default_value_t = 1)]
    pub divisor: u32,
    /// Seed of noise and faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Place of the tone in the band, 0 to 1
    #[arg(long, default_value_t = 0.25)]
    pub tone: f64,
    /// Probability that a packet is lost
    #[arg(long, default_value_t = 0.0)]
    pub loss: f64,
    /// Probability that a packet is sent twice
    #[arg(long, default_value_t = 0.0)]
    pub duplicate: f64,
    /// Probability that two packets change places
    #[arg(long, default_value_t = 0.0)]
    pub reorder: f64,
    /// Begin with large counters, as an FPGA that was not armed
    #[arg(long)]
    pub free_run: bool,
    /// Allow destinations beyond this machine
    #[arg(long)]
    pub allow_remote: bool,
}

/// Sends for the time asked.
pub fn run(args: SimPacketsArgs) -> ExitCode {
    if !(0.0..=1e6).contains(&args.seconds) {
        eprintln!("sim packets: --seconds {} is not in 0 to 1000000", args.seconds);
        return ExitCode::from(2);
    }
    let options = Options {
        seed: args.seed,
        divisor: args.divisor,
        tone: args.tone,
        faults: Faults { loss: args.loss, duplicate: args.duplicate, reorder: args.reorder },
        free_run: args.free_run,
        allow_remote: args.allow_remote,
    };
    let at = args.at.map_or_else(|| clock::utc().ceil_second(), Utc::from_seconds);
    let start = Start {
        at,
        nchan: args.nchan,
        acc_len: args.acc_len,
        frequency_hz: args.frequency_mhz * 1e6,
        dest: args.dest,
        source_ip: args.source,
    };
    let source = PacketSource::spawn(options);
    if let Err(why) = source.start(start) {
        eprintln!("sim packets: {why}");
        return ExitCode::from(2);
    }
    println!("ready {} -> {} from {at} UTC for {} s", args.source, args.dest, args.seconds);
    let end = at + Duration::from_secs_f64(args.seconds);
    let wait = end.nanos_since(clock::utc());
    std::thread::sleep(Duration::from_nanos(u64::try_from(wait).unwrap_or(0)));
    source.stop();
    ExitCode::SUCCESS
}
