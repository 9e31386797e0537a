//! VEGAS high bandwidth: `h1k`, `h16k`. The FPGA makes the spectra; the HPC adds them up.

use super::common::Set;
use super::parameters::{self, Parameter};
use super::vegas::{Design, SUBBAND_CARDS, Vegas};
use super::{ParameterEngine, Prepared, Site, put, signed_mhz};
use crate::api::CallError;
use crate::config::dibas::{Bank, Mode, RegisterValue};
use crate::value::Value;

/// Samples per FPGA clock and channel pair.
const CHANNELS_PER_CLOCK: i64 = 8;

/// A VEGAS HBW engine.
#[derive(Clone, Debug)]
pub struct VegasHbw {
    vegas: Vegas,
}

impl VegasHbw {
    /// A fresh engine, holding the single phase of no length.
    pub fn new(bank: &Bank, mode: &Mode, frequency: f64, site: &Site) -> Result<VegasHbw, CallError> {
        let vegas = Vegas::new(bank, mode, frequency, design(mode.nchan, signed_mhz(frequency)), site)?;
        Ok(VegasHbw { vegas })
    }

    /// `sg_period` must hold a whole number of accumulations, or arming drifts against them.
    fn sync_warning(&self, prepared: &Prepared) -> Option<String> {
        let sync_unit = u64::from(self.vegas.acc_len) * 32 * 16 * 7 * 256;
        let sg_period = prepared.registers.iter().find(|(name, _)| name == "sg_period");
        let Some((_, RegisterValue::Word(period))) = sg_period else {
            return None;
        };
        let left_over = (u64::from(*period) + 2) % sync_unit;
        (left_over != 0).then(|| {
            format!(
                "sg_period {period} does not fit acc_len {}: sg_period + 2 should be a multiple of {sync_unit}",
                self.vegas.acc_len
            )
        })
    }
}

impl ParameterEngine for VegasHbw {
    fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        self.vegas.set(name, value)
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.vegas.get(name)
    }

    fn parameters(&self) -> &'static [Parameter] {
        &parameters::VEGAS_HBW
    }

    fn prepare(&self) -> Result<Prepared, CallError> {
        let mut prepared = self.vegas.prepare(&[self.vegas.centre_hz(); SUBBAND_CARDS])?;
        put(&mut prepared.registers, "acc_len", RegisterValue::Word(self.vegas.acc_len));
        prepared.warnings.extend(self.sync_warning(&prepared));
        Ok(prepared)
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

fn design(nchan: i64, signed_mhz: f64) -> Design {
    Design {
        spec_tick_s: nchan as f64 / (signed_mhz.abs() * 1e6),
        clocks_per_tick: (nchan / CHANNELS_PER_CLOCK).unsigned_abs(),
        sampler_frequency_hz: signed_mhz * 1e6 * 2.0,
        bw_mode: "high",
        obs_mode: "HBW",
        subbands: 1,
        channels_per_tick: None,
    }
}
