//! VEGAS low bandwidth: `l1/lbw1`, `l8/lbw1`, `l8/lbw8`. The FPGA mixes subbands down and sends samples; the HPC
//! makes the spectra on its GPU.

use super::common::{Set, out_of_range, whole, wrong_type};
use super::lbw_mixer::{LocalOscillator, MIXER_COUNT};
use super::parameters::{self, Parameter};
use super::switching::SsgPhase;
use super::vegas::{Design, SUBBAND_CARDS, Vegas};
use super::{ParameterEngine, Prepared, Site, put, signed_mhz};
use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::{Bank, Mode, RegisterValue};
use crate::value::Value;

/// Quantizer gain when the mode gives none.
const GAIN_DEFAULT: i64 = 1024;
/// Samples of a spec tick.
const SAMPLES_PER_TICK: f64 = 1024.0;

const SUBBANDS_REFUSED: &str =
    "The parameter 'subband_frq_list' must be a list of 1 or 8 frequencies for each bank subband";

/// The two FPGA designs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// One subband of an eighth of the band.
    L1,
    /// One or eight subbands of a sixty-fourth of the band, each with a local oscillator.
    L8,
}

/// A VEGAS LBW engine.
#[derive(Clone, Debug)]
pub struct VegasLbw {
    vegas: Vegas,
    layout: Layout,
    subbands: usize,
    /// Per subband; at least as many as there are subbands.
    gain: Vec<i64>,
    /// Hz, wanted.
    subband_freq: Vec<f64>,
}

impl VegasLbw {
    /// `l1/lbw1`.
    pub fn l1(bank: &Bank, mode: &Mode, frequency: f64, site: &Site) -> Result<VegasLbw, CallError> {
        VegasLbw::new(bank, mode, frequency, site, Layout::L1, 1)
    }

    /// `l8/lbw1` and `l8/lbw8`.
    pub fn l8(bank: &Bank, mode: &Mode, frequency: f64, site: &Site) -> Result<VegasLbw, CallError> {
        let subbands = if mode.modename.contains("lbw8") { 8 } else { 1 };
        VegasLbw::new(bank, mode, frequency, site, Layout::L8, subbands)
    }

    fn new(
        bank: &Bank,
        mode: &Mode,
        frequency: f64,
        site: &Site,
        layout: Layout,
        subbands: usize,
    ) -> Result<VegasLbw, CallError> {
        let design = design(layout, subbands, signed_mhz(frequency).abs());
        let mut vegas = Vegas::new(bank, mode, frequency, design, site)?;
        // Unlike HBW, these prepare the 1 s phase when they are made.
        vegas.switching.clear();
        vegas.add_switching_state(1.0, SsgPhase::default())?;
        let subband_freq = vec![vegas.centre_hz(); subbands];
        let mut engine = VegasLbw { vegas, layout, subbands, gain: Vec::new(), subband_freq };
        let gain = if mode.gain.is_empty() { vec![GAIN_DEFAULT; subbands] } else { mode.gain.clone() };
        engine.set_gain(&Value::List(gain.into_iter().map(Value::Int).collect()))?;
        Ok(engine)
    }

    /// One number per subband (more do no harm), or one number.
    fn set_gain(&mut self, value: &Value) -> Result<(), CallError> {
        let one = std::slice::from_ref(value);
        let items = if let Value::List(items) = value { items.as_slice() } else { one };
        let gains = items.iter().map(|item| whole("gain", item)).collect::<Result<Vec<i64>, _>>()?;
        if gains.len() < self.subbands || !gains.iter().all(|g| u32::try_from(*g).is_ok()) {
            let range = format!("at least {} numbers of 0 to 2^32-1, one per subband", self.subbands);
            return Err(out_of_range("gain", &range, value));
        }
        self.gain = gains;
        Ok(())
    }

    /// One frequency too few is only noticed by `prepare`, as the old Player did.
    fn set_subbands(&mut self, value: &Value) -> Result<(), CallError> {
        let refused = || CallError::new(ErrorClass::Exception, Family::Invalid, SUBBANDS_REFUSED);
        let Value::List(items) = value else { return Err(refused()) };
        if ![1, SUBBAND_CARDS].contains(&items.len()) {
            return Err(refused());
        }
        if items.len() > self.subbands {
            return Err(out_of_range("subband_freq", "one frequency: the mode has one subband", value));
        }
        self.subband_freq = items.iter().map(|item| self.subband_hz(item)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// MHz, or Hz above 5000. Beyond half the sampling frequency the mixer makes the mirror image: accepted, as it
    /// always was, and warned about by `prepare`.
    fn subband_hz(&self, value: &Value) -> Result<f64, CallError> {
        let given = value.as_f64().ok_or_else(|| wrong_type("subband_freq", "a list of numbers", value))?;
        let hz = signed_mhz(given) * 1e6;
        let limit_hz = self.sampling_hz();
        if !(0.0..=limit_hz).contains(&hz) {
            let range = format!("frequencies of 0 to {} MHz", limit_hz / 1e6);
            return Err(out_of_range("subband_freq", &range, value));
        }
        Ok(hz)
    }

    fn sampling_hz(&self) -> f64 {
        2.0 * (self.vegas.frequency_mhz.abs() * 1e6)
    }

    fn oscillators(&self) -> Result<Vec<LocalOscillator>, CallError> {
        if self.subband_freq.len() != self.subbands {
            let text = format!("The number of subband frequencies is not {}", self.subbands);
            return Err(CallError::new(ErrorClass::Exception, Family::Invalid, text));
        }
        let sampling_hz = self.sampling_hz();
        Ok(self.subband_freq.iter().map(|hz| LocalOscillator::nearest(*hz, sampling_hz)).collect())
    }

    fn prepare_l1(&self) -> Result<Prepared, CallError> {
        let mut prepared = self.vegas.prepare(&[self.vegas.centre_hz(); SUBBAND_CARDS])?;
        put(&mut prepared.registers, "gain", self.gain_of(0));
        Ok(prepared)
    }

    fn prepare_l8(&self) -> Result<Prepared, CallError> {
        let oscillators = self.oscillators()?;
        // A single subband is told in all eight cards.
        let centre_hz = |i: usize| oscillators[i.min(self.subbands - 1)].frequency_hz();
        let mut prepared = self.vegas.prepare(&std::array::from_fn(centre_hz))?;
        for (i, oscillator) in oscillators.iter().enumerate() {
            prepared.registers.extend(oscillator.registers(i));
            put(&mut prepared.registers, &format!("s{i}_quant_gain"), self.gain_of(i));
            put(&mut prepared.registers, &format!("s{i}_mixer_cnt"), RegisterValue::Word(MIXER_COUNT));
        }
        prepared.warnings.extend(oscillators.iter().enumerate().filter_map(|(i, lo)| mirrored(i, lo)));
        let single = u32::from(self.subbands == 1);
        put(&mut prepared.registers, "mode_sel", RegisterValue::Word(single));
        Ok(prepared)
    }

    fn gain_of(&self, subband: usize) -> RegisterValue {
        RegisterValue::Word(self.gain[subband] as u32) // in range, checked by set_gain()
    }
}

impl ParameterEngine for VegasLbw {
    fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        match (name, self.layout) {
            ("gain", _) => self.set_gain(value)?,
            ("subband_freq", Layout::L8) => self.set_subbands(value)?,
            _ => return self.vegas.set(name, value),
        }
        Ok(Set::Done)
    }

    fn get(&self, name: &str) -> Option<Value> {
        match (name, self.layout) {
            ("gain", _) => Some(Value::List(self.gain.iter().map(|g| Value::Int(*g)).collect())),
            ("subband_freq", Layout::L8) => {
                Some(Value::List(self.subband_freq.iter().map(|hz| Value::Float(*hz)).collect()))
            }
            _ => self.vegas.get(name),
        }
    }

    fn parameters(&self) -> &'static [Parameter] {
        match self.layout {
            Layout::L1 => &parameters::VEGAS_L1LBW,
            Layout::L8 => &parameters::VEGAS_L8LBW,
        }
    }

    fn prepare(&self) -> Result<Prepared, CallError> {
        match self.layout {
            Layout::L1 => self.prepare_l1(),
            Layout::L8 => self.prepare_l8(),
        }
    }

    fn scan_length_s(&self) -> f64 {
        self.vegas.common.scan_length_s()
    }

    fn vegas(&self) -> Option<&Vegas> {
        Some(&self.vegas)
    }

    fn vegas_mut(&mut self) -> Option<&mut Vegas> {
        Some(&mut self.vegas)
    }

    fn boxed(&self) -> Box<dyn ParameterEngine> {
        Box::new(self.clone())
    }
}

fn mirrored(subband: usize, lo: &LocalOscillator) -> Option<String> {
    let (mhz, half_mhz) = (lo.frequency_hz() / 1e6, lo.sampling_hz / 2e6);
    (mhz > half_mhz).then(|| {
        format!(
            "subband {subband} at {mhz} MHz is above the {half_mhz} MHz that are sampled: it is the mirror image of {} MHz",
            2.0 * half_mhz - mhz
        )
    })
}

/// Decimation of the synthesizer frequency, and how many channels of the HPC one spec tick is.
fn design(layout: Layout, subbands: usize, mhz: f64) -> Design {
    let (decimation, channels_per_tick) = match layout {
        Layout::L1 => (4.0, 128),
        Layout::L8 => (32.0, 16),
    };
    Design {
        spec_tick_s: SAMPLES_PER_TICK / (mhz * 1e6),
        clocks_per_tick: 128,
        sampler_frequency_hz: mhz * 1e6 / decimation,
        bw_mode: "low",
        obs_mode: "LBW",
        subbands: subbands as i64,
        channels_per_tick: Some(channels_per_tick),
    }
}
