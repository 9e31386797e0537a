//! What all VEGAS engines share: timing, exposure, switching states, the status keys.
//!
//! An engine (HBW, LBW) brings its [`Design`], the constants of its FPGA image.
//! Formulas are evaluated in f64 in the order the old Player used, so that results agree to the bit;
//! with `reference_rounding` its truncations are kept too.

mod states;
mod status;

use super::common::{Common, Set, number_above_zero, out_of_range, positive, wrong_type};
use super::place::Place;
use super::switching::{GBT_PHASES_MAX, GbtPhase, Switching};
use super::{Prepared, Site, put, signed_mhz};
use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::{Bank, Mode, RegisterValue};
use crate::value::Value;

/// Status cards exist for this many subbands, used or not.
pub const SUBBAND_CARDS: usize = 8;

/// Constants of an FPGA design at the mode's frequency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Design {
    /// Unit of all hardware durations, s.
    pub spec_tick_s: f64,
    /// FPGA clocks in a spec tick.
    pub clocks_per_tick: u64,
    /// Effective sampling frequency, Hz; negative with an inverted sideband.
    pub sampler_frequency_hz: f64,
    /// Status `BW_MODE`.
    pub bw_mode: &'static str,
    /// Status `OBS_MODE`.
    pub obs_mode: &'static str,
    /// 1 or 8.
    pub subbands: i64,
    /// LBW, where the HPC makes the spectra: one of them lasts `nchan` / this many spec ticks. `None`: the FPGA
    /// makes them.
    pub channels_per_tick: Option<u64>,
}

impl Design {
    /// The HPC makes the spectra (LBW), not the FPGA.
    pub fn hpc_spectra(&self) -> bool {
        self.channels_per_tick.is_some()
    }
}

/// State of a VEGAS engine.
#[derive(Clone, Debug)]
pub struct Vegas {
    /// Common parameters.
    pub common: Common,
    /// The mode.
    pub mode: Mode,
    /// MHz, with its sign.
    pub frequency_mhz: f64,
    design: Design,
    polarization: Polarization,
    nchan: i64,
    exposure: Value,
    /// Actual hardware exposure, s: `acc_len` spec ticks.
    hwexposr_s: f64,
    /// Spectra accumulated by the FPGA.
    pub acc_len: u32,
    num_spectra: i64,
    /// The phases of a switching cycle.
    pub switching: Switching,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Polarization {
    Cross,
    SelfBoth,
    Self1,
    Self2,
}

/// Name and number of Stokes products.
const POLARIZATIONS: [(Polarization, &str, i64); 4] = [
    (Polarization::Cross, "CROSS", 4),
    (Polarization::SelfBoth, "SELF", 2),
    (Polarization::Self1, "SELF1", 1),
    (Polarization::Self2, "SELF2", 1),
];

/// The numbers `prepare` works out first.
struct Timing {
    fpga_clock_hz: f64,
    chan_bw_hz: f64,
    obs_bw_hz: f64,
    expoclks: f64,
    exposure_s: f64,
    /// s; integer 1 for a single phase.
    period: Value,
    gbt: Vec<GbtPhase>,
}

impl Vegas {
    /// Defaults of `mode` on `bank`, with the single zero-length phase of a fresh engine.
    pub fn new(
        bank: &Bank,
        mode: &Mode,
        frequency: f64,
        design: Design,
        site: &Site,
    ) -> Result<Vegas, CallError> {
        let mut vegas = Vegas {
            common: Common::new(bank, mode),
            mode: mode.clone(),
            frequency_mhz: signed_mhz(frequency),
            design,
            polarization: Polarization::SelfBoth,
            nchan: mode.nchan,
            exposure: Value::Float(1.0),
            hwexposr_s: 0.0,
            acc_len: 0,
            num_spectra: 1,
            switching: Switching::fresh(),
            place: Place::new(bank, site),
        };
        vegas.set_hwexposr(&Value::Float(mode.hwexposr.unwrap_or(0.0)))?;
        Ok(vegas)
    }

    /// Stores a parameter.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        match name {
            "polarization" => self.polarization = polarization(value)?,
            "nchan" => self.nchan = positive("nchan", value)?,
            "exposure" => self.exposure = number_above_zero("exposure", value)?,
            "hwexposr" => self.set_hwexposr(value)?,
            "num_spectra" => self.num_spectra = positive("num_spectra", value)?,
            _ => return self.common.set(name, value),
        }
        Ok(Set::Done)
    }

    /// Current value of a parameter; `None`: there is no such parameter.
    pub fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "polarization" => self.polarization_row().1.into(),
            "nchan" => self.nchan.into(),
            "exposure" => self.exposure.clone(),
            "hwexposr" => self.hwexposr_s.into(),
            "num_spectra" => self.num_spectra.into(),
            _ => return self.common.get(name),
        })
    }

    fn polarization_row(&self) -> (Polarization, &'static str, i64) {
        let row = POLARIZATIONS.iter().find(|row| row.0 == self.polarization);
        *row.expect("the table has every polarization")
    }

    /// Rounds to whole spec ticks, half up.
    fn set_hwexposr(&mut self, value: &Value) -> Result<(), CallError> {
        let wanted = value.as_f64().ok_or_else(|| wrong_type("hwexposr", "a number of seconds", value))?;
        let quotient = wanted / self.design.spec_tick_s;
        let acc_len = quotient.floor() + if quotient.fract() >= 0.5 { 1.0 } else { 0.0 };
        if !(1.0..=f64::from(u32::MAX)).contains(&acc_len) {
            let range = format!("at least one and at most 2^32-1 spectra of {:e} s", self.design.spec_tick_s);
            return Err(out_of_range("hwexposr", &range, value));
        }
        self.acc_len = acc_len as u32; // in range, checked above
        self.hwexposr_s = self.design.spec_tick_s * acc_len;
        Ok(())
    }

    // ---- prepare ----------------------------------------------------------------------------

    /// Half the frequency, Hz: where a subband is unless it is put elsewhere.
    pub fn centre_hz(&self) -> f64 {
        self.frequency_mhz.abs() * 1e6 / 2.0
    }

    /// Everything but the engine's own registers; `subbands_hz` is where the subbands are.
    pub fn prepare(&self, subbands_hz: &[f64; SUBBAND_CARDS]) -> Result<Prepared, CallError> {
        let timing = self.timing()?;
        let if_bits = self.common.if_bits()?;
        let mut registers = self.mode.roach_regs.clone();
        put(&mut registers, "ssg_length", RegisterValue::Word(self.ssg_length()));
        put(&mut registers, "ssg_lut_bram", RegisterValue::Blob(self.switching.lut()));
        put(&mut registers, "ssg_ms_sel", RegisterValue::Word(self.source_select()));
        Ok(Prepared {
            status: self.status(&timing, subbands_hz).into_pairs(),
            registers,
            i2c: vec![(super::common::IF_PORT, vec![if_bits])],
            derived: self.derived(&timing),
            warnings: self.warnings(),
        })
    }

    fn ssg_length(&self) -> u32 {
        u32::try_from(self.switching.total_ticks()).expect("push() keeps the sum below 2^32")
    }

    /// Switching and blanking source are always internal.
    fn source_select(&self) -> u32 {
        let [master_internal, _, _, slave_internal, _, _] = self.mode.master_slave_sel;
        if self.place.switching_master { master_internal } else { slave_internal }
    }

    fn chan_bw_hz(&self) -> f64 {
        self.design.sampler_frequency_hz / (self.nchan as f64 * 2.0)
    }

    fn timing(&self) -> Result<Timing, CallError> {
        let spec_tick = self.design.spec_tick_s;
        let fpga_clock_hz = self.frequency_mhz.abs() * 1e6 / 8.0;
        let chan_bw_hz = self.chan_bw_hz();
        let expoclks = self.exposure_clocks(fpga_clock_hz)?;
        let gbt = self.switching.gbt_phases(spec_tick);
        if gbt.len() > GBT_PHASES_MAX {
            let text = format!("{} switching phases, at most {GBT_PHASES_MAX} are possible", gbt.len());
            return Err(CallError::new(ErrorClass::ValueError, Family::Invalid, text));
        }
        Ok(Timing {
            fpga_clock_hz,
            chan_bw_hz,
            obs_bw_hz: chan_bw_hz * self.nchan as f64,
            expoclks,
            exposure_s: expoclks / fpga_clock_hz,
            period: self.switching.total_duration(spec_tick),
            gbt,
        })
    }

    /// FPGA clocks in an exposure: whole switching cycles, or whole hardware exposures.
    fn exposure_clocks(&self, fpga_clock_hz: f64) -> Result<f64, CallError> {
        let wanted = self.exposure.as_f64().unwrap_or(1.0);
        let clocks_per_tick = self.design.clocks_per_tick as f64;
        match self.switching.phases().len() {
            0 => Err(CallError::exception("No switching states defined")),
            1 => {
                let n = repeats(wanted / self.hwexposr_s, wanted / 100.0);
                Ok(if self.place.reference_rounding {
                    (n * self.hwexposr_s * fpga_clock_hz).trunc()
                } else {
                    n * f64::from(self.acc_len) * clocks_per_tick
                })
            }
            _ => {
                let period = self.switching.total_ticks() as f64 * self.design.spec_tick_s;
                if period == 0.0 {
                    return Err(CallError::exception("All switching states have no duration"));
                }
                let n = repeats(wanted / period, period / 100.0);
                Ok(n * self.switching.total_ticks() as f64 * clocks_per_tick)
            }
        }
    }

    fn derived(&self, t: &Timing) -> Vec<(&'static str, f64)> {
        vec![
            ("acc_len", f64::from(self.acc_len)),
            ("chan_bw", t.chan_bw_hz),
            ("expoclks", t.expoclks),
            ("exposure", t.exposure_s),
            ("filter_bw", self.common.filter_bw as f64),
            ("fpga_clock", t.fpga_clock_hz),
            ("frequency", self.frequency_mhz),
            ("frequency_resolution", t.chan_bw_hz.abs()),
            ("hwexposr", self.hwexposr_s),
            ("nPhases", t.gbt.len() as f64),
            ("nchan", self.nchan as f64),
            ("nsubbands", self.design.subbands as f64),
            ("num_stokes", self.polarization_row().2 as f64),
            ("obs_bw", t.obs_bw_hz),
            ("sampler_frequency", self.design.sampler_frequency_hz),
            ("spec_tick", self.design.spec_tick_s),
            ("ss_number_phases", self.switching.phases().len() as f64),
            ("ss_total_duration", t.period.as_f64().unwrap_or(1.0)),
            ("ss_total_granules", self.switching.total_ticks() as f64),
        ]
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.nchan != self.mode.nchan {
            warnings.push(format!(
                "nchan is {}, mode {} has {}: {}",
                self.nchan,
                self.mode.name,
                self.mode.nchan,
                if self.design.hpc_spectra() {
                    "the DAQ program has set up its GPU for the latter"
                } else {
                    "hardware timing stays that of the FPGA design"
                }
            ));
        }
        warnings
    }
}

/// Whole repetitions nearest the wanted number: one more when the fraction exceeds `threshold`, at
/// least one. (The threshold is in seconds: an oddity of the old Player that observers rely on.)
fn repeats(ratio: f64, threshold: f64) -> f64 {
    let n = ratio.trunc();
    let n = if ratio - n > threshold { n + 1.0 } else { n };
    n.max(1.0)
}

/// Rounded up, but a number within rounding noise of a whole one is that whole number.
fn whole_units(x: f64) -> u64 {
    let near = x.round();
    let n = if (x - near).abs() <= 1e-9 * x.abs().max(1.0) { near } else { x.ceil() };
    n as u64 // saturates; push() refuses what is too long
}

fn polarization(value: &Value) -> Result<Polarization, CallError> {
    let row = POLARIZATIONS.iter().find(|(_, name, _)| value.as_str() == Some(name));
    row.map(|(p, _, _)| *p).ok_or_else(|| {
        let text = "polarization string must be one of: CROSS, SELF1, SELF2, or SELF";
        CallError::new(ErrorClass::Exception, Family::Invalid, text)
    })
}
