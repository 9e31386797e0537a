//! What all VEGAS engines share: timing, exposure, switching states, the status keys.
//!
//! An engine (HBW now, LBW later) brings its [`Design`], the constants of its FPGA image.
//! Formulas are evaluated in f64 in the order the old Player used, so that results agree to the bit;
//! with `reference_rounding` its truncations are kept too.

use super::common::{Common, Set, UNSPECIFIED, number_kept, out_of_range, whole, wrong_type};
use super::status::StatusMap;
use super::switching::{GBT_PHASES_MAX, GbtPhase, RowError, SsgPhase, Switching, gbt_rows, gbt_states};
use super::{Prepared, Site, address, signed_mhz};
use crate::api::{CallError, ErrorClass, Family, Outcome};
use crate::config::dibas::{Bank, Mode, RegisterValue};
use crate::value::Value;

/// Status cards exist for this many subbands, used or not.
const SUBBAND_CARDS: usize = 8;

const NESTING: &str = "Possible syntax error with parameter 'ss_list'. If 'ss_list' only has one phase \
                       element, please use the '((),)' syntax instead of '(())'";

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
    site: VegasSite,
}

/// What an engine keeps of the site.
#[derive(Clone, Debug)]
struct VegasSite {
    bank: String,
    switching_master: bool,
    telescope: String,
    data_host: Value,
    data_port: u16,
    data_root: String,
    reference_rounding: bool,
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
        let data_host = bank.data_source_host.as_deref().and_then(|host| address(host, site));
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
            site: VegasSite {
                bank: bank.name.clone(),
                switching_master: bank.name == site.dibas.who_is_master,
                telescope: site.dibas.telescope.clone(),
                data_host: data_host.map_or(Value::Null, |a| a.to_string().into()),
                data_port: bank.data_source_port,
                data_root: site.data_root.to_owned(),
                reference_rounding: site.reference_rounding,
            },
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

    // ---- switching states -------------------------------------------------------------------

    /// Appends a state of `duration` seconds, rounded up to whole hardware exposures.
    pub fn add_switching_state(&mut self, duration_s: f64, flags: SsgPhase) -> Outcome {
        if !duration_s.is_finite() || duration_s < 0.0 {
            return Err(out_of_range("duration", "a number of seconds >= 0", &Value::Float(duration_s)));
        }
        let ticks = self.ticks(duration_s);
        self.switching.push(ticks, flags)?;
        Ok(self.phase_count())
    }

    fn ticks(&self, duration_s: f64) -> u64 {
        let exposures = duration_s / self.hwexposr_s;
        if self.site.reference_rounding {
            // One tick short now and then: the product lands just under the integer (BE-13).
            return (exposures.ceil() * self.hwexposr_s / self.design.spec_tick_s) as u64;
        }
        whole_exposures(exposures).saturating_mul(u64::from(self.acc_len))
    }

    fn phase_count(&self) -> Value {
        Value::List(vec![Value::Bool(true), Value::Int(self.switching.phases().len() as i64)])
    }

    /// Forgets all states.
    pub fn clear_switching_states(&mut self) -> Value {
        self.switching.clear();
        self.phase_count()
    }

    /// Replaces all states by a GBT cycle. A refusal changes nothing, but for the wrong nesting,
    /// which resets to one reference state of 1 s as it always did.
    pub fn set_gbt_ss(&mut self, period_s: f64, ss_list: &Value) -> Outcome {
        let rows = match gbt_rows(ss_list) {
            Ok(rows) => rows,
            Err(RowError::Bad(error)) => return Err(error),
            Err(RowError::Nesting) => {
                self.switching.clear();
                self.add_switching_state(1.0, SsgPhase { sig_ref_1: true, ..SsgPhase::default() })?;
                return Err(CallError::new(ErrorClass::Exception, Family::Invalid, NESTING));
            }
        };
        if !(period_s.is_finite() && period_s > 0.0) {
            return Err(out_of_range("period", "a number of seconds > 0", &Value::Float(period_s)));
        }
        let mut next = self.clone();
        next.switching.clear();
        for (duration_s, blanking, row) in gbt_states(period_s, &rows)? {
            // A table entry of no length has no meaning for the hardware (BE-34).
            if duration_s > 0.0 || self.site.reference_rounding {
                let flags =
                    SsgPhase { blanking, cal: row.cal, sig_ref_1: row.sig_ref, ..SsgPhase::default() };
                next.add_switching_state(duration_s, flags)?;
            }
        }
        *self = next;
        Ok(self.phase_count())
    }

    // ---- prepare ----------------------------------------------------------------------------

    /// Everything but the engine's own registers.
    pub fn prepare(&self) -> Result<Prepared, CallError> {
        let timing = self.timing()?;
        let if_bits = self.common.if_bits()?;
        let mut registers = self.mode.roach_regs.clone();
        put(&mut registers, "ssg_length", RegisterValue::Word(self.ssg_length()));
        put(&mut registers, "ssg_lut_bram", RegisterValue::Blob(self.switching.lut()));
        put(&mut registers, "ssg_ms_sel", RegisterValue::Word(self.source_select()));
        Ok(Prepared {
            status: self.status(&timing).into_pairs(),
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
        if self.site.switching_master { master_internal } else { slave_internal }
    }

    fn timing(&self) -> Result<Timing, CallError> {
        let spec_tick = self.design.spec_tick_s;
        let fpga_clock_hz = self.frequency_mhz.abs() * 1e6 / 8.0;
        let chan_bw_hz = self.design.sampler_frequency_hz / (self.nchan as f64 * 2.0);
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
                Ok(if self.site.reference_rounding {
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
                "nchan is {}, the FPGA design of {} has {}: hardware timing stays that of the design",
                self.nchan, self.mode.name, self.mode.nchan
            ));
        }
        warnings
    }

    // ---- status -----------------------------------------------------------------------------

    fn status(&self, t: &Timing) -> StatusMap {
        let mut map = StatusMap::default();
        for key in
            ["CAL_DCYC", "CAL_FREQ", "CAL_MODE", "CAL_PHS", "FILENUM", "NPKT", "OBSFREQ", "OBSID", "SWVER"]
        {
            map.set(key, UNSPECIFIED);
        }
        map.set("TELESCOP", self.default_telescope());
        for (key, value) in &self.mode.shm_keys {
            map.set(key, value.as_str());
        }
        self.status_of_mode(&mut map);
        self.status_of_observation(&mut map);
        self.status_of_timing(&mut map, t);
        self.status_of_switching(&mut map, t);
        map
    }

    fn default_telescope(&self) -> &str {
        if self.site.telescope.is_empty() { UNSPECIFIED } else { &self.site.telescope }
    }

    fn status_of_mode(&self, map: &mut StatusMap) {
        map.set("BACKEND", "VEGAS");
        map.set("BANKNAM", self.site.bank.as_str());
        map.set("MODENUM", self.mode.name.as_str());
        map.set("BOFFILE", self.mode.bof_file.as_str());
        map.set("BW_MODE", self.design.bw_mode);
        map.set("OBS_MODE", self.design.obs_mode);
        map.set("PKTFMT", "SPEAD");
        map.set("SWMASTER", "VEGAS");
        map.set("NBITS", 8i64);
        map.set("NBITSADC", 8i64);
        map.set("NPOL", 2i64);
        map.set("NSUBBAND", self.design.subbands);
        map.set("M_STTMJD", 0i64);
        map.set("M_STTOFF", 0i64);
        map.set("DATAHOST", self.site.data_host.clone());
        map.set("DATAPORT", i64::from(self.site.data_port));
        map.set("DATADIR", self.site.data_root.as_str());
    }

    fn status_of_observation(&self, map: &mut StatusMap) {
        let common = &self.common;
        let pass_through = [
            ("PROJID", "project_id"),
            ("OBSERVER", "observer"),
            ("SRC_NAME", "source"),
            ("SCANLEN", "scan_length"),
        ];
        for (key, parameter) in pass_through {
            map.set(key, common.get(parameter).unwrap_or_default());
        }
        map.set("BASE_BW", common.filter_bw);
        map.set("NOISESRC", if common.noise_source { "ON" } else { "OFF" });
        // What the user gave wins over the mode's own pairs (BE-09).
        if let Some(cal_freq) = &common.cal_freq {
            map.set("CAL_FREQ", cal_freq.clone());
        }
        if let Some(telescope) = &common.telescope {
            map.set("TELESCOP", telescope.clone());
        }
        match &common.position {
            Some((_, position)) => {
                map.set("RA", position.ra_deg());
                map.set("DEC", position.dec_deg());
                map.set("RA_STR", position.ra_text());
                map.set("DEC_STR", position.dec_text());
            }
            None => ["RA", "DEC", "RA_STR", "DEC_STR"].into_iter().for_each(|key| map.set(key, UNSPECIFIED)),
        }
    }

    fn status_of_timing(&self, map: &mut StatusMap, t: &Timing) {
        let (_, polarization, stokes) = self.polarization_row();
        map.set("POLARIZE", polarization);
        map.set("NMSTOKES", stokes);
        map.set("NCHAN", self.nchan);
        map.set("OBSNCHAN", self.nchan);
        map.set("CRPIX1", self.nchan / 2 + 1);
        map.set("CHAN_BW", t.chan_bw_hz);
        map.set("EFSAMPFR", self.design.sampler_frequency_hz);
        map.set("EXPOSURE", t.exposure_s);
        map.set("FPGACLK", t.fpga_clock_hz);
        map.set("HWEXPOSR", self.hwexposr_s);
        map.set("OBSBW", t.obs_bw_hz);
        let subband_centre_hz = self.frequency_mhz.abs() * 1e6 / 2.0;
        for i in 0..SUBBAND_CARDS {
            map.set(&format!("SUB{i}FREQ"), subband_centre_hz);
            map.set(&format!("_MCR1_{:02}", i + 1), t.chan_bw_hz);
            map.set(&format!("_MCDL_{:02}", i + 1), t.chan_bw_hz);
            map.set(&format!("_MFQR_{:02}", i + 1), t.chan_bw_hz.abs());
        }
    }

    fn status_of_switching(&self, map: &mut StatusMap, t: &Timing) {
        let period_s = t.period.as_f64().unwrap_or(1.0);
        map.set("NUMPHASE", t.gbt.len() as i64);
        map.set("SWPERIOD", t.period.clone());
        map.set("SWPERINT", (t.exposure_s / period_s + 0.5) as i64);
        let master = self.site.switching_master;
        for (i, phase) in t.gbt.iter().enumerate() {
            let n = i + 1;
            let (cal, sig_ref) = (i64::from(phase.cal), i64::from(phase.sig_ref));
            map.set(&format!("_SBLK_{n:02}"), phase.blanking_s);
            map.set(&format!("_SCAL_{n:02}"), cal);
            map.set(&format!("_SPHS_{n:02}"), phase.start);
            map.set(&format!("_SSRF_{n:02}"), sig_ref);
            // The master's signals are its own (internal); the others get theirs from outside.
            for (source, driven) in [('I', master), ('E', !master)] {
                map.set(&format!("_A{source}CL_{n:02}"), if driven { cal } else { 0 });
                map.set(&format!("_A{source}SA_{n:02}"), if driven { sig_ref } else { 0 });
                map.set(&format!("_A{source}SB_{n:02}"), 0i64);
            }
        }
    }
}

/// Replaces or appends a register.
pub fn put(registers: &mut Vec<(String, RegisterValue)>, name: &str, value: RegisterValue) {
    match registers.iter_mut().find(|(n, _)| n == name) {
        Some(entry) => entry.1 = value,
        None => registers.push((name.to_owned(), value)),
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
fn whole_exposures(x: f64) -> u64 {
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

/// Channel and spectrum counts fit 31 bits everywhere they go.
fn positive(name: &str, value: &Value) -> Result<i64, CallError> {
    let n = whole(name, value)?;
    if !(1..=i64::from(i32::MAX)).contains(&n) {
        return Err(out_of_range(name, "at least 1", value));
    }
    Ok(n)
}

fn number_above_zero(name: &str, value: &Value) -> Result<Value, CallError> {
    number_kept(name, value, f64::MIN_POSITIVE).map_err(|e| match value.as_f64() {
        Some(_) => out_of_range(name, "a number above 0", value),
        None => e,
    })
}
