//! What programming, networking and conducting a mode need to know; fixed when the engine is made.

use super::beamformer::cov_mode;
use super::{Site, address, signed_mhz};
use crate::config::dibas::{Bank, Cdd, Mode};
use std::net::Ipv4Addr;

/// Upper half of the MAC of every 10 GbE core; the lower 32 bits are its IPv4 address.
const MAC_BASE: u64 = 0x0202_0000_0000;

/// How a family of engines is conducted: what its programs and designs want around the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// Status `BACKEND`, written before anything else.
    pub backend: &'static str,
    /// A FITS writer runs beside a site's DAQ program.
    pub fits_writer: bool,
    /// `appliance daq` can record what the design sends.
    pub builtin_records: bool,
    /// The DAQ program sets up its GPU when a mode is set.
    pub gpu_init: bool,
    /// Setting the mode prepares it too.
    pub prepare_when_set: bool,
    /// Setting the mode runs the arm phase: the design sends packets from then on.
    pub arm_when_set: bool,
    /// A start waits until packets arrive (`NETSTAT=receiving`).
    pub await_receiving: bool,
    /// `ACCBLKOU` and `DISKSTAT` are wiped at start and end of a scan.
    pub wipes_counters: bool,
    /// A start tells the FITS writer second and length beforehand.
    pub tells_length: bool,
}

/// One 10 GbE core of the board.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    /// Name of the tap: `tap0`.
    pub tap: String,
    /// Register of the core.
    pub device: String,
    /// Host name of the core as configured, for messages.
    pub host: String,
    /// Its address; `None`: the name is unknown.
    pub ip: Option<Ipv4Addr>,
    /// Its UDP port.
    pub port: u16,
}

impl Tap {
    /// 48-bit MAC of a core with this address: `02:02` and the four bytes.
    pub fn mac(ip: Ipv4Addr) -> u64 {
        MAC_BASE | u64::from(u32::from(ip))
    }
}

/// Where the board sends data.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Bank that receives.
    pub bank: String,
    /// Host name as configured, for messages.
    pub host: String,
    /// Its address; `None`: the name is unknown.
    pub ip: Option<Ipv4Addr>,
    /// Its UDP port.
    pub port: u16,
    /// Register of the address.
    pub ip_register: String,
    /// Register of the port.
    pub port_register: String,
}

/// What the player needs for programming and networking.
#[derive(Clone, Debug, PartialEq)]
pub struct FpgaFacts {
    /// This bank programs and arms a board in this mode. `false`: it has none, or (CODD) another bank's feeds it.
    pub drives_board: bool,
    /// Synthesizer A, MHz, positive.
    pub valon_mhz: f64,
    /// 10 GbE cores to start.
    pub taps: Vec<Tap>,
    /// Where they send.
    pub destinations: Vec<Destination>,
    /// The packetizers of the beamformer, which have cores of another kind; none in other modes.
    pub packetizers: Option<Packetizers>,
    /// How the family is conducted.
    pub conduct: Conduct,
}

/// The boards that pack the samples for the X engines.
#[derive(Clone, Debug, PartialEq)]
pub struct Packetizers {
    /// Number of this bank's X engine.
    pub xid: u8,
    /// Instance of its pipeline.
    pub instance: u8,
    /// One board, which the player programs; `false`: the site's boards.
    pub sim3: bool,
    /// Every X engine receives on this UDP port.
    pub port: u16,
    /// Status `COVMODE`.
    pub cov_mode: Option<&'static str>,
    /// The site's program that sets its boards up; `None`: they are set up by somebody else, or are not the site's.
    pub setup: Option<Vec<String>>,
    /// The site's program that arms them; `None`: the arm phase does.
    pub arm: Option<Vec<String>>,
}

/// The facts of a mode on a bank.
pub fn facts(bank: &Bank, mode: &Mode, frequency: f64, conduct: Conduct, site: &Site) -> FpgaFacts {
    let packetizers = packetizers(bank, mode);
    let (taps, destinations) = match &mode.cdd {
        Some(cdd) => (cdd_taps(cdd, bank, mode, site), cdd_destinations(cdd, mode, site)),
        None if packetizers.is_some() => (Vec::new(), Vec::new()),
        None => (vec![tap(bank, mode, site)], vec![destination(bank, mode, "", site)]),
    };
    FpgaFacts {
        drives_board: mode.drives_board(bank),
        valon_mhz: signed_mhz(frequency).abs(),
        taps,
        destinations,
        packetizers,
        conduct,
    }
}

fn packetizers(bank: &Bank, mode: &Mode) -> Option<Packetizers> {
    let (x, beamformer) = (bank.x_engine.as_ref()?, mode.beamformer.as_ref()?);
    let by_site = x.has_roaches && !beamformer.sim3;
    Some(Packetizers {
        xid: x.xid,
        instance: x.instance,
        sim3: beamformer.sim3,
        port: bank.data_destination_port,
        cov_mode: cov_mode(&mode.modename),
        setup: by_site.then(|| x.setup.clone()),
        arm: by_site.then(|| x.arm.clone()),
    })
}

fn tap(bank: &Bank, mode: &Mode, site: &Site) -> Tap {
    let host = bank.data_source_host.clone().unwrap_or_else(|| "(not configured)".to_owned());
    Tap {
        tap: "tap0".to_owned(),
        device: mode.gigabit_interface_name.clone(),
        ip: address(&host, site),
        host,
        port: bank.data_source_port,
    }
}

fn destination(bank: &Bank, mode: &Mode, suffix: &str, site: &Site) -> Destination {
    Destination {
        bank: bank.name.clone(),
        host: bank.data_destination_host.clone(),
        ip: address(&bank.data_destination_host, site),
        port: bank.data_destination_port,
        ip_register: format!("{}{suffix}", mode.dest_ip_register_name),
        port_register: format!("{}{suffix}", mode.dest_port_register_name),
    }
}

/// One core per bank that is fed, numbered in the order of the banks' names.
fn cdd_taps(cdd: &Cdd, bank: &Bank, mode: &Mode, site: &Site) -> Vec<Tap> {
    let mut hosts: Vec<(&String, &String)> = cdd.hpcs.iter().zip(&cdd.data_interfaces).collect();
    hosts.sort();
    let one = |(i, (_, host)): (usize, (&String, &String))| Tap {
        tap: format!("tap{i}"),
        device: format!("{}{i}", mode.gigabit_interface_name),
        host: host.clone(),
        ip: address(host, site),
        port: bank.data_source_port,
    };
    hosts.into_iter().enumerate().map(one).collect()
}

/// Registers in the order of `cdd_hpcs`. A bank that is missing makes the whole mode unusable when the file is read.
fn cdd_destinations(cdd: &Cdd, mode: &Mode, site: &Site) -> Vec<Destination> {
    let banks = cdd.hpcs.iter().enumerate().filter_map(|(i, name)| Some((i, site.dibas.bank(name)?)));
    banks.map(|(i, bank)| destination(bank, mode, &i.to_string(), site)).collect()
}
