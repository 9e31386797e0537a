//! Everything a simulated player needs around it, in this process: a ROACH on a loopback address, and
//! packets from it when it is armed.
//!
//! Every process has a loopback address of its own (`127.64.0.0/10` and the process id), so that many
//! simulated players run side by side with the same port numbers and never meet.

use super::packets::{self, PacketSource, Start};
use super::roach_app::{BoardHook, Hooks, RoachApp};
use super::roach2::{Roach, RoachConfig};
use crate::config::dibas::{Bank, Synth, SynthAt};
use crate::fpga::model::{BoardConfig, Catalogue};
use crate::reactor::{Handle, Options, spawn_thread};
use crate::units::Utc;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// The simulator's listener must be open by then.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// UDP port of the data, on the station's own address.
const DATA_PORT: u16 = 60_000;
/// Assumed until the synthesizer is set, MHz.
const DEFAULT_CLOCK_MHZ: f64 = 1500.0;

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct StationOptions {
    /// Seed of the simulated data.
    pub seed: u64,
    /// Send every n-th part of the data rate.
    pub rate_divisor: u32,
}

/// Running simulators; dropping it ends them.
pub struct Station {
    address: Ipv4Addr,
    katcp: SocketAddr,
    _roach: Handle,
}

impl Station {
    /// Starts them.
    pub fn start(options: StationOptions) -> io::Result<Station> {
        let address = own_address(std::process::id());
        let source = packet_source(options);
        let (told, ready) = sync_channel(1);
        let hooks = Hooks {
            ready: Some(Box::new(move |result| {
                // The receiver waits for one answer only.
                let _ = told.try_send(result);
            })),
            ..packet_hooks(&source, address)
        };
        let bind = SocketAddr::from((address, 0));
        let app = RoachApp::new(bind, roach_config(options.seed), hooks);
        let roach = spawn_thread(app, Options::default(), "sim-roach")?;
        let katcp = ready
            .recv_timeout(READY_WITHIN)
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the simulated ROACH does not come up"))?
            .map_err(io::Error::other)?;
        Ok(Station { address, katcp, _roach: roach })
    }

    /// The loopback address of this station.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Points a bank at the simulated hardware.
    pub fn take_over(&self, bank: &mut Bank) {
        bank.katcp = Some((self.address.to_string(), self.katcp.port()));
        bank.data_source_host = Some(self.address.to_string());
        bank.data_destination_host = self.address.to_string();
        bank.data_destination_port = DATA_PORT;
        match &mut bank.synth {
            Some(synth) => synth.where_ = SynthAt::Katcp,
            None => bank.synth = Some(default_synth()),
        }
        if bank.filter_bits.is_empty() {
            bank.filter_bits = vec![(450, 0x00), (1450, 0x08), (1900, 0x18)];
        }
    }
}

fn default_synth() -> Synth {
    Synth {
        where_: SynthAt::Katcp,
        port: "/dev/ttyS1".into(),
        external_ref: true,
        ref_freq_hz: 10_000_000,
        vco_range_mhz: (2200, 4400),
        rf_level_dbm: 5,
        options: [0, 0, 1, 0],
    }
}

/// `127.64.0.0` plus the process id (22 bits on Linux): no two processes share it.
fn own_address(pid: u32) -> Ipv4Addr {
    let [_, high, mid, low] = pid.to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 0x3f), mid, low)
}

fn roach_config(seed: u64) -> RoachConfig {
    let board = BoardConfig { catalogue: Catalogue::accepting_any(), ..BoardConfig::default() };
    RoachConfig { board, seed, ..RoachConfig::default() }
}

/// A packet source that has not started yet.
pub fn packet_source(options: StationOptions) -> Arc<PacketSource> {
    let options =
        packets::Options { seed: options.seed, divisor: options.rate_divisor, ..packets::Options::default() };
    Arc::new(PacketSource::spawn(options))
}

/// Hooks that send packets while the instrument runs, from `source_ip` to where the registers say.
pub fn packet_hooks(source: &Arc<PacketSource>, source_ip: Ipv4Addr) -> Hooks {
    let starting = Arc::clone(source);
    let stopping = Arc::clone(source);
    let started: BoardHook = Box::new(move |roach, at| match scan_of(roach, at, source_ip) {
        Ok(start) => {
            if let Err(e) = starting.start(start) {
                log::warn!("no packets: {e}");
            }
        }
        Err(why) => log::info!("the armed design sends no packets: {why}"),
    });
    let stopped: BoardHook = Box::new(move |_, _| stopping.stop());
    Hooks { ready: None, started: Some(started), stopped: Some(stopped) }
}

/// What the armed design would send, from its registers. Only the VEGAS HBW designs are known.
fn scan_of(roach: &Roach, at: Utc, source_ip: Ipv4Addr) -> Result<Start, String> {
    let board = roach.board();
    let image = board.image().unwrap_or("");
    let nchan = match image {
        i if i.starts_with("h1k") => 1024,
        i if i.starts_with("h16k") => 16_384,
        other => return Err(format!("'{other}' is no VEGAS HBW design")),
    };
    let word = |register: &str| {
        let bytes = board.read(register, 0, 4, at).map_err(|e| e.to_string())?;
        let bytes: [u8; 4] = bytes.try_into().map_err(|_| format!("{register} is not a word"))?;
        Ok::<u32, String>(u32::from_be_bytes(bytes))
    };
    let port = u16::try_from(word("dest_port")?).map_err(|_| "dest_port is no port".to_owned())?;
    Ok(Start {
        at,
        nchan,
        acc_len: word("acc_len")?,
        frequency_hz: roach.clock_mhz().unwrap_or(DEFAULT_CLOCK_MHZ) * 1e6,
        dest: SocketAddrV4::new(Ipv4Addr::from(word("dest_ip")?), port),
        source_ip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_has_a_loopback_address_of_its_own() {
        assert_eq!(own_address(1), Ipv4Addr::new(127, 64, 0, 1));
        assert_eq!(own_address(4_194_303), Ipv4Addr::new(127, 127, 255, 255));
        assert_ne!(own_address(70_000), own_address(4_464));
        assert!(own_address(4_194_303).is_loopback());
    }
}
