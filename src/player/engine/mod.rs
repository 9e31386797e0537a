//! Parameter engines: what the parameters of a mode mean for status memory, registers and IF bits.
//!
//! An [`Engine`] is pure. `set_param` only stores (and refuses nonsense); [`Engine::prepare`] computes
//! everything in a fixed order and hands it over as a [`Prepared`], so a refusal never leaves the
//! hardware half set. Pushing it out, programming and arming are the player's.

pub mod common;
pub mod coordinates;
pub mod hbw;
pub mod parameters;
pub mod switching;
pub mod vegas;

use crate::api::{CallError, Outcome};
use crate::config::dibas::{Bank, Dibas, Mode, PhaseStep, RegisterValue};
use crate::value::Value;
pub use parameters::Parameter;
use std::net::Ipv4Addr;
use std::time::Duration;

/// What an engine needs to know about the place it runs at.
pub struct Site<'a> {
    /// The site's configuration.
    pub dibas: &'a Dibas,
    /// Name to address; `None`: unknown name. Dotted quads are handled by the engine.
    pub resolve: &'a dyn Fn(&str) -> Option<Ipv4Addr>,
    /// `DIBAS_DIR`.
    pub dibas_dir: &'a str,
    /// `DIBAS_DATA`, becomes `DATADIR`.
    pub data_root: &'a str,
    /// Reproduce the truncations of the old player (BE-13, zero-length phases of BE-34).
    pub reference_rounding: bool,
}

/// Everything `prepare` would send, complete before the first byte leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// Status memory, key by key in the order of computation; no key twice.
    pub status: Vec<(String, String)>,
    /// FPGA registers; no name twice.
    pub registers: Vec<(String, RegisterValue)>,
    /// I2C writes: address, bytes.
    pub i2c: Vec<(u8, Vec<u8>)>,
    /// Intermediate values at full precision, for plans and tests.
    pub derived: Vec<(&'static str, f64)>,
    /// What an operator should know although it is allowed.
    pub warnings: Vec<String>,
}

/// What the player needs for programming and networking; fixed when the engine is made.
#[derive(Clone, Debug, PartialEq)]
pub struct FpgaFacts {
    /// FPGA image.
    pub bof_file: String,
    /// Synthesizer A, MHz, positive.
    pub valon_mhz: f64,
    /// 10 GbE core.
    pub gigabit_interface_name: String,
    /// Address of that core; `None` when the bank has none or its name is unknown.
    pub data_ip: Option<Ipv4Addr>,
    /// UDP port of that core.
    pub data_port: u16,
    /// 48-bit MAC of that core: `02:02` and the four bytes of `data_ip`.
    pub data_mac: Option<u64>,
    /// Address of the HPC; `None` when its name is unknown.
    pub dest_ip: Option<Ipv4Addr>,
    /// UDP port of the HPC.
    pub dest_port: u16,
    /// Register of `dest_ip`.
    pub dest_ip_register_name: String,
    /// Register of `dest_port`.
    pub dest_port_register_name: String,
    /// Registers from the configuration, written before the reset phase.
    pub config_registers: Vec<(String, RegisterValue)>,
    /// Run after programming.
    pub reset_phase: Vec<PhaseStep>,
    /// Run 0.9 s before the start.
    pub arm_phase: Vec<PhaseStep>,
    /// Run by `disarm_roach`.
    pub postarm_phase: Vec<PhaseStep>,
    /// Time the hardware needs before a start.
    pub needed_arm_delay: Duration,
    /// Status pairs to be written before anything else (`BACKEND`).
    pub first_status: Vec<(String, String)>,
}

/// The parameter engine of the current mode.
#[derive(Clone, Debug)]
pub enum Engine {
    /// VEGAS high bandwidth: `h1k`, `h16k`.
    VegasHbw(hbw::VegasHbw),
}

impl Engine {
    /// The engine for `mode` on `bank`. `frequency_override` replaces the mode's frequency
    /// (`set_mode(bandwidth=...)`), MHz or Hz as there.
    pub fn new(
        _bank: &Bank,
        _mode: &Mode,
        _frequency_override: Option<f64>,
        _site: &Site,
    ) -> Result<Engine, CallError> {
        Err(CallError::exception("engine: being built"))
    }

    /// Stores one parameter. `Ok(true)`, or the setter's own reply such as `[false, "..."]`.
    pub fn set_param(&mut self, name: &str, value: &Value) -> Outcome {
        self.set_params(&[(name.to_owned(), value.clone())])
    }

    /// Validates all, then applies all. `Ok(true)`, or the first setter's own refusal; nothing is
    /// applied unless everything is. No pair at all: `Null`.
    pub fn set_params(&mut self, _pairs: &[(String, Value)]) -> Outcome {
        Err(CallError::exception("engine: being built"))
    }

    /// Current value; `Null` for an unknown name or a value never given; a map of all for `None`.
    pub fn get_param(&self, _name: Option<&str>) -> Outcome {
        Err(CallError::exception("engine: being built"))
    }

    /// Help text of one parameter, a map of all for `None`. Unknown name: the error of `set_param`.
    pub fn help_param(&self, _name: Option<&str>) -> Outcome {
        Err(CallError::exception("engine: being built"))
    }

    /// The parameters of this engine.
    pub fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    /// Forgets all switching phases: `[true, 0]`.
    pub fn clear_switching_states(&mut self) -> Outcome {
        Err(CallError::exception("engine: being built"))
    }

    /// Appends a phase of `duration` seconds: `[true, n]`.
    pub fn add_switching_state(
        &mut self,
        _duration: f64,
        _blank: bool,
        _cal: bool,
        _sig_ref_1: bool,
    ) -> Outcome {
        Err(CallError::exception("engine: being built"))
    }

    /// Replaces all phases by a GBT cycle; `ss_list` rows are (start fraction, sig_ref, cal, blanking s).
    pub fn set_gbt_ss(&mut self, _period: f64, _ss_list: &Value) -> Outcome {
        Err(CallError::exception("engine: being built"))
    }

    /// Computes everything; changes nothing outside.
    pub fn prepare(&mut self) -> Result<Prepared, CallError> {
        Err(CallError::exception("engine: being built"))
    }

    /// `scan_length`, s.
    pub fn scan_length(&self) -> f64 {
        30.0
    }

    /// The frequency in effect, MHz, with its sign.
    pub fn frequency_mhz(&self) -> f64 {
        0.0
    }

    /// The mode this engine was made for.
    pub fn mode(&self) -> &Mode {
        unimplemented!("engine: being built")
    }

    /// What programming and networking need.
    pub fn fpga(&self) -> &FpgaFacts {
        unimplemented!("engine: being built")
    }

    /// Durations of the switching phases in spec ticks.
    pub fn phase_ticks(&self) -> Vec<u32> {
        Vec::new()
    }
}
