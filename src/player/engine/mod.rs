//! Parameter engines: what the parameters of a mode mean for status memory, registers and IF bits.
//!
//! An [`Engine`] is pure. `set_param` only stores (and refuses nonsense); [`Engine::prepare`] computes
//! everything in a fixed order and hands it over as a [`Prepared`], so a refusal never leaves the
//! hardware half set. Pushing it out, programming and arming are the player's.

pub mod beamformer;
pub mod common;
pub mod coordinates;
pub mod facts;
pub mod guppi;
pub mod hbw;
pub mod lbw;
pub mod lbw_mixer;
pub mod parameters;
pub mod place;
pub mod status;
pub mod switching;
#[cfg(test)]
mod tests;
pub mod vegas;

use crate::api::{CallError, ErrorClass, Family, Outcome};
use crate::config::dibas::{BEAMFORMERS, Bank, Dibas, Mode, RegisterValue};
use crate::plan::Child;
use crate::value::Value;
use common::Set;
pub use facts::{Conduct, FpgaFacts};
pub use parameters::Parameter;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use switching::SsgPhase;
use vegas::Vegas;

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

/// A program of the site with its arguments, to be started without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// A bare name is looked for on the path; `false`: it is beside the site's DAQ programs.
    pub on_path: bool,
}

/// Frequencies above this are in Hz, others in MHz.
const MHZ_MAX: f64 = 5000.0;

/// What a family of engines computes.
pub trait ParameterEngine: Debug + Send {
    /// Stores a parameter.
    fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError>;
    /// Current value; `None`: there is no such parameter.
    fn get(&self, name: &str) -> Option<Value>;
    /// The parameters there are.
    fn parameters(&self) -> &'static [Parameter];
    /// Computes everything; changes nothing.
    fn prepare(&self) -> Result<Prepared, CallError>;
    /// `scan_length`, s.
    fn scan_length_s(&self) -> f64;
    /// The VEGAS part, which has the switching states; `None`: this family has none.
    fn vegas(&self) -> Option<&Vegas> {
        None
    }
    /// The same, to be changed.
    fn vegas_mut(&mut self) -> Option<&mut Vegas> {
        None
    }
    /// Absolute path of the par file that `prepare` needs the text of; `None`: it needs none.
    fn par_file_wanted(&self) -> Option<String> {
        None
    }
    /// The text of that file, or why there is none.
    fn par_file_read(&mut self, _path: &str, _text: Result<&str, String>) {}
    /// How a site starts a program in this mode; `None`: as the mode says, without arguments of the engine's.
    fn command_line(&self, _child: Child) -> Option<CommandLine> {
        None
    }
    /// A copy.
    fn boxed(&self) -> Box<dyn ParameterEngine>;
}

/// Makes an engine for a mode on a bank; the frequency in MHz, or Hz above 5000.
type Make = fn(&Bank, &Mode, f64, &Site) -> Result<Box<dyn ParameterEngine>, CallError>;

/// A family of engines.
struct EngineFamily {
    /// `MODENAME`s, lower case.
    modenames: &'static [&'static str],
    conduct: Conduct,
    make: Make,
}

const VEGAS: Conduct = Conduct {
    backend: "VEGAS",
    fits_writer: true,
    builtin_records: true,
    gpu_init: false,
    prepare_when_set: true,
    arm_when_set: false,
    await_receiving: false,
    wipes_counters: true,
    tells_length: false,
};

/// The HPC makes the spectra on its GPU.
const LBW: Conduct = Conduct { gpu_init: true, builtin_records: false, ..VEGAS };

const GUPPI: Conduct = Conduct {
    backend: "GUPPI",
    fits_writer: false,
    builtin_records: false,
    gpu_init: false,
    prepare_when_set: false,
    arm_when_set: true,
    await_receiving: true,
    wipes_counters: false,
    tells_length: false,
};

/// The FITS writer wants to know the length of a scan before it.
const FLAG: Conduct = Conduct { builtin_records: false, tells_length: true, ..VEGAS };

/// The families there are.
const FAMILIES: &[EngineFamily] = &[
    EngineFamily {
        modenames: &["h1k", "h16k"],
        conduct: VEGAS,
        make: |bank, mode, frequency, site| Ok(Box::new(hbw::VegasHbw::new(bank, mode, frequency, site)?)),
    },
    EngineFamily {
        modenames: &["l1/lbw1"],
        conduct: LBW,
        make: |bank, mode, frequency, site| Ok(Box::new(lbw::VegasLbw::l1(bank, mode, frequency, site)?)),
    },
    EngineFamily {
        modenames: &["l8/lbw1", "l8/lbw8"],
        conduct: LBW,
        make: |bank, mode, frequency, site| Ok(Box::new(lbw::VegasLbw::l8(bank, mode, frequency, site)?)),
    },
    EngineFamily {
        modenames: &["guppi-inco"],
        conduct: GUPPI,
        make: |bank, mode, frequency, site| Ok(Box::new(guppi::GuppiInco::new(bank, mode, frequency, site)?)),
    },
    EngineFamily {
        modenames: &["guppi-codd"],
        conduct: GUPPI,
        make: |bank, mode, frequency, site| Ok(Box::new(guppi::GuppiCodd::new(bank, mode, frequency, site)?)),
    },
    EngineFamily {
        modenames: &BEAMFORMERS,
        conduct: FLAG,
        make: |bank, mode, frequency, site| {
            Ok(Box::new(beamformer::FlagBeamformer::new(bank, mode, frequency, site)?))
        },
    },
];

fn family_of(modename: &str) -> Option<&'static EngineFamily> {
    FAMILIES.iter().find(|family| family.modenames.contains(&modename))
}

/// Is there an engine for this `MODENAME` (lower case)?
pub fn exists_for(modename: &str) -> bool {
    family_of(modename).is_some()
}

/// A parameter engine together with what the player needs to know about its FPGA.
#[derive(Debug)]
pub struct Engine {
    engine: Box<dyn ParameterEngine>,
    mode: Mode,
    frequency_mhz: f64,
    fpga: FpgaFacts,
    initial: Prepared,
}

impl Clone for Engine {
    fn clone(&self) -> Engine {
        Engine {
            engine: self.engine.boxed(),
            mode: self.mode.clone(),
            frequency_mhz: self.frequency_mhz,
            fpga: self.fpga.clone(),
            initial: self.initial.clone(),
        }
    }
}

impl Engine {
    /// The engine for `mode` on `bank`. `frequency_override` replaces the mode's frequency
    /// (`set_mode(bandwidth=...)`), MHz, or Hz above 5000.
    ///
    /// As the old Player did, what a VEGAS engine prepares when it is made (see [`Engine::initial`]) is what it was
    /// made with: HBW a single switching phase of no length. One phase of 1 s is there afterwards, to be prepared by
    /// the user.
    pub fn new(
        bank: &Bank,
        mode: &Mode,
        frequency_override: Option<f64>,
        site: &Site,
    ) -> Result<Engine, CallError> {
        let frequency = frequency_override.unwrap_or(mode.frequency);
        check_usable(bank, mode, frequency)?;
        let family = family_of(&mode.modename).ok_or_else(|| no_engine(mode))?;
        let mut engine = (family.make)(bank, mode, frequency, site)?;
        let conduct = family.conduct;
        let initial = if conduct.prepare_when_set { engine.prepare()? } else { Prepared::default() };
        if let Some(vegas) = engine.vegas_mut() {
            vegas.switching.clear();
            vegas.add_switching_state(1.0, SsgPhase::default())?;
        }
        Ok(Engine {
            engine,
            mode: mode.clone(),
            frequency_mhz: signed_mhz(frequency),
            fpga: facts::facts(bank, mode, frequency, conduct, site),
            initial,
        })
    }

    /// What setting the mode prepares; empty where that prepares nothing.
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
        let mut next = self.engine.boxed();
        for (name, value) in pairs {
            match next.set(name, value)? {
                Set::Done => {}
                Set::Refused(reply) => return Ok(reply),
                Set::Unknown => return Err(self.no_such_parameter(name)),
            }
        }
        self.engine = next;
        Ok(Value::Bool(true))
    }

    /// Current value; `Null` for an unknown name or a value never given; a map of all for `None`.
    pub fn get_param(&self, name: Option<&str>) -> Outcome {
        let get = |name: &str| self.engine.get(name).unwrap_or_default();
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
        self.engine.parameters()
    }

    fn no_such_parameter(&self, name: &str) -> CallError {
        let legal: Vec<String> = self.parameters().iter().map(|p| format!("'{}'", p.name)).collect();
        let text =
            format!("No such parameter '{name}'. Legal parameters in this mode are: [{}]", legal.join(", "));
        CallError::new(ErrorClass::Exception, Family::Invalid, text)
    }

    fn switching(&mut self) -> Result<&mut Vegas, CallError> {
        let without = || CallError::exception("This backend does not support switching signals.");
        self.engine.vegas_mut().ok_or_else(without)
    }

    /// Forgets all switching phases: `[true, 0]`.
    pub fn clear_switching_states(&mut self) -> Outcome {
        self.switching().map(Vegas::clear_switching_states)
    }

    /// Appends a phase of `duration` seconds: `[true, n]`.
    pub fn add_switching_state(&mut self, duration: f64, blank: bool, cal: bool, sig_ref_1: bool) -> Outcome {
        let flags = SsgPhase { blanking: blank, cal, sig_ref_1, ..SsgPhase::default() };
        self.switching()?.add_switching_state(duration, flags)
    }

    /// Replaces all phases by a GBT cycle; `ss_list` rows are (start fraction, sig_ref, cal, blanking s).
    pub fn set_gbt_ss(&mut self, period: f64, ss_list: &Value) -> Outcome {
        self.switching()?.set_gbt_ss(period, ss_list)
    }

    /// Computes everything; changes nothing.
    pub fn prepare(&self) -> Result<Prepared, CallError> {
        self.engine.prepare()
    }

    /// Absolute path of a file whose text [`Engine::prepare`] needs now; `None`: none.
    pub fn par_file_wanted(&self) -> Option<String> {
        self.engine.par_file_wanted()
    }

    /// The text of that file, or why there is none.
    pub fn par_file_read(&mut self, path: &str, text: Result<&str, String>) {
        self.engine.par_file_read(path, text);
    }

    /// `scan_length`, s.
    pub fn scan_length(&self) -> f64 {
        self.engine.scan_length_s()
    }

    /// How a site starts a program in this mode; `None`: as the mode says.
    pub fn command_line(&self, child: Child) -> Option<CommandLine> {
        self.engine.command_line(child)
    }

    /// The frequency in effect, MHz, with its sign.
    pub fn frequency_mhz(&self) -> f64 {
        self.frequency_mhz
    }

    /// The mode this engine was made for, as configured.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// What programming and networking need.
    pub fn fpga(&self) -> &FpgaFacts {
        &self.fpga
    }

    /// The switching phases; none where there are no switching signals.
    pub fn phases(&self) -> &[SsgPhase] {
        self.engine.vegas().map_or(&[], |vegas| vegas.switching.phases())
    }
}

/// Replaces or appends a register.
pub fn put(registers: &mut Vec<(String, RegisterValue)>, name: &str, value: RegisterValue) {
    match registers.iter_mut().find(|(n, _)| n == name) {
        Some(entry) => entry.1 = value,
        None => registers.push((name.to_owned(), value)),
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

fn no_engine(mode: &Mode) -> CallError {
    let known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.modenames).copied().collect();
    CallError::exception(format!(
        "Mode {} is not usable: there is no engine for MODENAME '{}' (there are: {})",
        mode.name,
        mode.modename,
        known.join(", ")
    ))
}
