//! Parameter engines: what the parameters of a mode mean for status memory, registers and IF bits.
//!
//! An [`Engine`] is pure. `set_param` only stores (and refuses nonsense); [`Engine::prepare`] computes
//! everything in a fixed order and hands it over as a [`Prepared`], so a refusal never leaves the
//! hardware half set. Pushing it out, programming and arming are the player's.

pub mod common;
pub mod coordinates;
pub mod hbw;
pub mod parameters;
pub mod status;
pub mod switching;
#[cfg(test)]
mod tests;
pub mod vegas;

use crate::api::{CallError, ErrorClass, Family, Outcome};
use crate::config::dibas::{Bank, Dibas, Mode, PhaseStep, RegisterValue};
use crate::value::Value;
use common::Set;
pub use parameters::Parameter;
use std::net::Ipv4Addr;
use std::time::Duration;
use switching::SsgPhase;

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

/// Upper half of the MAC of every 10 GbE core; the lower 32 bits are its IPv4 address.
const MAC_BASE: u64 = 0x0202_0000_0000;

/// Frequencies above this are in Hz, others in MHz.
const MHZ_MAX: f64 = 5000.0;

/// A parameter engine together with what the player needs to know about its FPGA.
#[derive(Clone, Debug)]
pub struct Engine {
    family: EngineFamily,
    fpga: FpgaFacts,
    initial: Prepared,
}

/// The engines there are.
#[derive(Clone, Debug)]
enum EngineFamily {
    /// `h1k`, `h16k`.
    VegasHbw(hbw::VegasHbw),
}

impl Engine {
    /// The engine for `mode` on `bank`. `frequency_override` replaces the mode's frequency
    /// (`set_mode(bandwidth=...)`), MHz, or Hz above 5000.
    ///
    /// As the old Player did, the first `prepare` runs on the single switching phase of no length (its
    /// result is [`Engine::initial`]); then one phase of 1 s is defined, to be prepared by the user.
    pub fn new(
        bank: &Bank,
        mode: &Mode,
        frequency_override: Option<f64>,
        site: &Site,
    ) -> Result<Engine, CallError> {
        let frequency = frequency_override.unwrap_or(mode.frequency);
        check_usable(bank, mode, frequency)?;
        let (mut family, initial) = match mode.modename.as_str() {
            name if hbw::MODENAMES.contains(&name) => {
                let engine = hbw::VegasHbw::new(bank, mode, frequency, site)?;
                let initial = engine.prepare()?;
                (EngineFamily::VegasHbw(engine), initial)
            }
            other => return Err(no_engine(mode, other)),
        };
        family.vegas_mut().switching.clear();
        family.vegas_mut().add_switching_state(1.0, SsgPhase::default())?;
        Ok(Engine { family, fpga: facts(bank, mode, frequency, site), initial })
    }

    /// What the construction prepares, before the 1 s phase is defined.
    pub fn initial(&self) -> &Prepared {
        &self.initial
    }

    /// Stores one parameter. `Ok(true)`, or the setter's own reply such as `[false, "..."]`.
    pub fn set_param(&mut self, name: &str, value: &Value) -> Outcome {
        self.set_params(&[(name.to_owned(), value.clone())])
    }

    /// Validates all, then applies all. `Ok(true)`, or the first setter's own refusal; nothing is
    /// applied unless everything is. No pair at all: `Null`.
    pub fn set_params(&mut self, pairs: &[(String, Value)]) -> Outcome {
        if pairs.is_empty() {
            return Ok(Value::Null);
        }
        let mut next = self.family.clone();
        for (name, value) in pairs {
            match next.vegas_mut().set(name, value)? {
                Set::Done => {}
                Set::Refused(reply) => return Ok(reply),
                Set::Unknown => return Err(self.no_such_parameter(name)),
            }
        }
        self.family = next;
        Ok(Value::Bool(true))
    }

    /// Current value; `Null` for an unknown name or a value never given; a map of all for `None`.
    pub fn get_param(&self, name: Option<&str>) -> Outcome {
        let get = |name: &str| self.family.vegas().get(name).unwrap_or_default();
        Ok(match name {
            Some(name) => get(name),
            None => Value::Map(self.parameters().iter().map(|p| (p.name.to_owned(), get(p.name))).collect()),
        })
    }

    /// Help text of one parameter, a map of all for `None`. Unknown name: the error of `set_param`.
    pub fn help_param(&self, name: Option<&str>) -> Outcome {
        let parameters = self.parameters();
        match name {
            None => Ok(Value::Map(parameters.iter().map(|p| (p.name.to_owned(), p.help.into())).collect())),
            Some(name) => match parameters.iter().find(|p| p.name == name) {
                Some(p) => Ok(p.help.into()),
                None => Err(self.no_such_parameter(name)),
            },
        }
    }

    /// The parameters of this engine.
    pub fn parameters(&self) -> &'static [Parameter] {
        match self.family {
            EngineFamily::VegasHbw(_) => &parameters::VEGAS_HBW,
        }
    }

    fn no_such_parameter(&self, name: &str) -> CallError {
        let legal: Vec<String> = self.parameters().iter().map(|p| format!("'{}'", p.name)).collect();
        let text =
            format!("No such parameter '{name}'. Legal parameters in this mode are: [{}]", legal.join(", "));
        CallError::new(ErrorClass::Exception, Family::Invalid, text)
    }

    /// Forgets all switching phases: `[true, 0]`.
    pub fn clear_switching_states(&mut self) -> Outcome {
        Ok(self.family.vegas_mut().clear_switching_states())
    }

    /// Appends a phase of `duration` seconds: `[true, n]`.
    pub fn add_switching_state(&mut self, duration: f64, blank: bool, cal: bool, sig_ref_1: bool) -> Outcome {
        let flags = SsgPhase { blanking: blank, cal, sig_ref_1, ..SsgPhase::default() };
        self.family.vegas_mut().add_switching_state(duration, flags)
    }

    /// Replaces all phases by a GBT cycle; `ss_list` rows are (start fraction, sig_ref, cal, blanking s).
    pub fn set_gbt_ss(&mut self, period: f64, ss_list: &Value) -> Outcome {
        self.family.vegas_mut().set_gbt_ss(period, ss_list)
    }

    /// Computes everything; changes nothing.
    pub fn prepare(&self) -> Result<Prepared, CallError> {
        match &self.family {
            EngineFamily::VegasHbw(engine) => engine.prepare(),
        }
    }

    /// `scan_length`, s.
    pub fn scan_length(&self) -> f64 {
        self.family.vegas().common.scan_length_s()
    }

    /// The frequency in effect, MHz, with its sign.
    pub fn frequency_mhz(&self) -> f64 {
        self.family.vegas().frequency_mhz
    }

    /// The mode this engine was made for, as configured.
    pub fn mode(&self) -> &Mode {
        &self.family.vegas().mode
    }

    /// What programming and networking need.
    pub fn fpga(&self) -> &FpgaFacts {
        &self.fpga
    }

    /// The switching phases.
    pub fn phases(&self) -> &[SsgPhase] {
        self.family.vegas().switching.phases()
    }
}

impl EngineFamily {
    fn vegas(&self) -> &vegas::Vegas {
        match self {
            EngineFamily::VegasHbw(engine) => &engine.vegas,
        }
    }

    fn vegas_mut(&mut self) -> &mut vegas::Vegas {
        match self {
            EngineFamily::VegasHbw(engine) => &mut engine.vegas,
        }
    }
}

/// Frequency in MHz with its sign; above 5000 the number is in Hz.
pub fn signed_mhz(frequency: f64) -> f64 {
    if frequency.abs() > MHZ_MAX { frequency / 1e6 } else { frequency }
}

/// A dotted quad, or what the site makes of the name.
fn address(host: &str, site: &Site) -> Option<Ipv4Addr> {
    host.parse().ok().or_else(|| (site.resolve)(host))
}

fn check_usable(bank: &Bank, mode: &Mode, frequency: f64) -> Result<(), CallError> {
    if let Err(why) = &bank.usable {
        return Err(CallError::exception(format!("Bank {} is not usable: {why}", bank.name)));
    }
    if let Err(why) = &mode.usable {
        return Err(CallError::exception(format!("Mode {} is not usable: {why}", mode.name)));
    }
    if !frequency.is_finite() || frequency == 0.0 {
        let text = format!("bandwidth {frequency} is not a frequency: give MHz, or Hz above {MHZ_MAX}");
        return Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text));
    }
    Ok(())
}

fn no_engine(mode: &Mode, modename: &str) -> CallError {
    CallError::exception(format!(
        "Mode {} is not usable: this version has no engine for MODENAME '{modename}' (it has: {})",
        mode.name,
        hbw::MODENAMES.join(", ")
    ))
}

fn facts(bank: &Bank, mode: &Mode, frequency: f64, site: &Site) -> FpgaFacts {
    let data_ip = bank.data_source_host.as_deref().and_then(|host| address(host, site));
    FpgaFacts {
        bof_file: mode.bof_file.clone(),
        valon_mhz: signed_mhz(frequency).abs(),
        gigabit_interface_name: mode.gigabit_interface_name.clone(),
        data_ip,
        data_port: bank.data_source_port,
        data_mac: data_ip.map(|ip| MAC_BASE | u64::from(u32::from(ip))),
        dest_ip: address(&bank.data_destination_host, site),
        dest_port: bank.data_destination_port,
        dest_ip_register_name: mode.dest_ip_register_name.clone(),
        dest_port_register_name: mode.dest_port_register_name.clone(),
        config_registers: mode.roach_regs.clone(),
        reset_phase: mode.reset_phase.clone(),
        arm_phase: mode.arm_phase.clone(),
        postarm_phase: mode.postarm_phase.clone(),
        needed_arm_delay: mode.needed_arm_delay,
        first_status: vec![("BACKEND".to_owned(), "VEGAS".to_owned())],
    }
}
