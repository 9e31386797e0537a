//! Meaning of `dibas.conf`: banks, modes, switching master, MAC table.
//!
//! The grammar (sections, keys, raw values, line numbers) is [`crate::proto::dibas_conf`]; here the
//! values get types. Nothing stops at the first problem: everything wrong is collected as a
//! [`Finding`] with line and remedy. A broken `[DEFAULTS]` or `[HPCMACS]` fails the whole file; a
//! broken bank or mode is kept, listed and unusable ([`Bank::usable`], [`Mode::usable`]).
//!
//! Not here: name resolution (the caller resolves lazily).

mod bank;
mod beamformer;
mod lint;
mod load;
mod mode;
mod reader;
#[cfg(test)]
mod tests;
pub mod text;

pub use super::finding::{Finding, Severity};
pub use beamformer::{BEAMFORMERS, Beamformer, XEngine};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A `dibas.conf`, understood.
#[derive(Clone, Debug)]
pub struct Dibas {
    /// File name used in messages.
    pub path: String,
    /// `[DEFAULTS] telescope`.
    pub telescope: String,
    /// Section name of the switching-signal master bank.
    pub who_is_master: String,
    /// `[DEFAULTS] player_port`: RPC port of a Player started without a bank name.
    pub player_port: Option<u16>,
    /// `[HPCMACS]` in file order.
    pub hpc_macs: Vec<HpcMac>,
    /// `[DEALER] players`.
    pub dealer_players: Vec<String>,
    /// Bank sections in file order, unusable ones included.
    pub banks: Vec<Bank>,
    /// Mode sections in file order, unusable ones included.
    pub modes: Vec<Mode>,
    /// Everything worth saying about the file, by line.
    pub findings: Vec<Finding>,
    /// 16 hex digits; changes whenever the content of the file does.
    pub hash: String,
}

/// One entry of the table that fills the ROACH's ARP memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpcMac {
    /// Host name or dotted quad, lower case.
    pub host: String,
    /// 48-bit MAC address.
    pub mac: u64,
    /// Source line.
    pub line: usize,
}

/// Where the frequency synthesizer is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynthAt {
    /// Serial port of this host.
    Local,
    /// Serial port of the ROACH, through KATCP.
    Katcp,
}

/// The Valon synthesizer of a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synth {
    /// Which side it hangs on.
    pub where_: SynthAt,
    /// Serial device.
    pub port: String,
    /// External reference selected.
    pub external_ref: bool,
    /// Reference, Hz.
    pub ref_freq_hz: i64,
    /// VCO range (min, max), MHz.
    pub vco_range_mhz: (i64, i64),
    /// Output level, dBm: -4, -1, 2 or 5.
    pub rf_level_dbm: i64,
    /// Doubler, halver, reference divider, low-spur flag.
    pub options: [i64; 4],
}

/// A `[BANKx]` section.
#[derive(Clone, Debug)]
pub struct Bank {
    /// Section name.
    pub name: String,
    /// Host that runs the Player.
    pub hpc_host: String,
    /// RPC port of the Player.
    pub player_port: u16,
    /// The bank controls a ROACH.
    pub has_roach: bool,
    /// KATCP end point of the ROACH.
    pub katcp: Option<(String, u16)>,
    /// 10 GbE address of the ROACH.
    pub data_source_host: Option<String>,
    /// UDP port on the ROACH.
    pub data_source_port: u16,
    /// 10 GbE address of the HPC.
    pub data_destination_host: String,
    /// UDP port on the HPC.
    pub data_destination_port: u16,
    /// Frequency synthesizer; none when `synth` is neither `local` nor `katcp`.
    pub synth: Option<Synth>,
    /// Filter bandwidth in MHz to the bits for the I2C port, in file order.
    pub filter_bits: Vec<(i64, u8)>,
    /// `shmkeys` pairs (parsed, without use for banks).
    pub shm_keys: Vec<(String, String)>,
    /// What the beamformer modes need; none: they refuse this bank.
    pub x_engine: Option<XEngine>,
    /// `Err` says why no Player can run this bank.
    pub usable: Result<(), String>,
    /// Line of the section header.
    pub line: usize,
}

impl Bank {
    /// Status memory instance: that of the X engine where the bank is one (its program uses no other), else
    /// [`Bank::letter`].
    pub fn instance(&self) -> u8 {
        self.x_engine.as_ref().map_or_else(|| self.letter(), |x| x.instance)
    }

    /// Last letter of the name minus `A`, modulo nothing: `BANKA` 0 .. `BANKZ` 25.
    pub fn letter(&self) -> u8 {
        let last = self.name.bytes().last().unwrap_or(b'A').to_ascii_uppercase();
        last.checked_sub(b'A').filter(|i| *i < 26).unwrap_or(0)
    }
}

/// One step of a reset, arm or post-arm phase.
#[derive(Clone, Debug, PartialEq)]
pub enum PhaseStep {
    /// One 32-bit register write, unconditional.
    Write {
        /// Register name on the ROACH.
        register: String,
        /// Value.
        value: u32,
    },
    /// A pause that is part of the hardware sequence.
    Wait(Duration),
}

/// What is written into a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterValue {
    /// A 32-bit word, big endian on the wire.
    Word(u32),
    /// Bytes at offset 0.
    Blob(Vec<u8>),
}

/// The coherent-dedispersion (CODD) part of a mode: one ROACH feeds several banks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cdd {
    /// Bank names in port order.
    pub hpcs: Vec<String>,
    /// 10 GbE addresses of the ROACH, one per bank.
    pub data_interfaces: Vec<String>,
    /// The bank that programs the ROACH.
    pub master: String,
}

/// A mode section.
#[derive(Clone, Debug)]
pub struct Mode {
    /// Section name.
    pub name: String,
    /// `MODENAME`, lower case: selects the engine.
    pub modename: String,
    /// `BACKEND`: `VEGAS` or `GUPPI`.
    pub backend: String,
    /// Initial filter bandwidth, MHz.
    pub filter_bw: i64,
    /// Synthesizer output as written; above 5000 it means Hz, else MHz; negative inverts the sideband.
    pub frequency: f64,
    /// Channels of the FPGA design.
    pub nchan: i64,
    /// FPGA image on the ROACH.
    pub bof_file: String,
    /// Data-taking program.
    pub hpc_program: String,
    /// Its arguments.
    pub hpc_program_flags: Vec<String>,
    /// Time the hardware needs between preparation and start.
    pub needed_arm_delay: Duration,
    /// 10 GbE core; CODD: prefix of an index.
    pub gigabit_interface_name: String,
    /// Register of the destination address; CODD: prefix of an index.
    pub dest_ip_register_name: String,
    /// Register of the destination port; CODD: prefix of an index.
    pub dest_port_register_name: String,
    /// Run once after programming.
    pub reset_phase: Vec<PhaseStep>,
    /// Run 0.9 s before a start.
    pub arm_phase: Vec<PhaseStep>,
    /// Run by `disarm_roach`.
    pub postarm_phase: Vec<PhaseStep>,
    /// Switching-signal source words: master int/int, int/ext, ext/ext, then slave likewise.
    pub master_slave_sel: [u32; 6],
    /// Shortest hardware exposure, s.
    pub hwexposr: Option<f64>,
    /// `gain` values (LBW).
    pub gain: Vec<i64>,
    /// `sg_period` (HBW), documentation of the design; reaches the FPGA through `roach_regs` only.
    pub sg_period: Option<i64>,
    /// Status pairs: name as written in `shmkeys`, value as written.
    pub shm_keys: Vec<(String, String)>,
    /// FPGA registers of `roach_reg_keys`.
    pub roach_regs: Vec<(String, RegisterValue)>,
    /// CODD set-up.
    pub cdd: Option<Cdd>,
    /// What the beamformer's modes have beside; none in other modes.
    pub beamformer: Option<Beamformer>,
    /// `Err` says why `set_mode` refuses it.
    pub usable: Result<(), String>,
    /// Line of the section header.
    pub line: usize,
}

impl Mode {
    /// This bank programs and arms its board in this mode: it has one, and (CODD) is the master of those that one
    /// board feeds.
    pub fn drives_board(&self, bank: &Bank) -> bool {
        bank.has_roach && self.cdd.as_ref().is_none_or(|cdd| cdd.master == bank.name)
    }
}

impl Dibas {
    /// Understands the text of a file. `Err`: the file as a whole is unusable (grammar, `[DEFAULTS]`,
    /// `[HPCMACS]`); all findings are in it. `path` is for messages only.
    pub fn load(text: &str, path: &str) -> Result<Dibas, Vec<Finding>> {
        load::load(text, path)
    }

    /// The bank of this section name.
    pub fn bank(&self, name: &str) -> Option<&Bank> {
        self.banks.iter().find(|b| b.name == name)
    }

    /// The mode of this section name.
    pub fn mode(&self, name: &str) -> Option<&Mode> {
        self.modes.iter().find(|m| m.name == name)
    }

    /// All mode names, sorted byte by byte, unusable modes included.
    pub fn mode_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.modes.iter().map(|m| m.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The ROACH's ARP table: last octet of the host's address to its MAC, in file order, and the
    /// hosts that could not be entered. An octet taken by two hosts keeps the first.
    pub fn arp_table(&self, resolve: &dyn Fn(&str) -> Option<Ipv4Addr>) -> (Vec<(u8, u64)>, Vec<Finding>) {
        let mut table: Vec<(u8, u64)> = Vec::new();
        let mut findings = Vec::new();
        for entry in &self.hpc_macs {
            let address = entry.host.parse().ok().or_else(|| resolve(&entry.host));
            match address.map(|a: Ipv4Addr| a.octets()[3]) {
                None => findings.push(entry.remark(
                    Severity::Warning,
                    "the name has no IPv4 address; the ROACH cannot send to this host",
                    "check the name, or add it to [resolve] of our configuration",
                )),
                Some(octet) if table.iter().any(|(o, _)| *o == octet) => findings.push(entry.remark(
                    Severity::Error,
                    &format!("another host has the last octet {octet} already"),
                    "the ARP table has one entry per last octet: give the host another address",
                )),
                Some(octet) => table.push((octet, entry.mac)),
            }
        }
        (table, findings)
    }
}

impl HpcMac {
    fn remark(&self, severity: Severity, problem: &str, remedy: &str) -> Finding {
        Finding {
            severity,
            line: self.line,
            section: "HPCMACS".to_owned(),
            key: self.host.clone(),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}
