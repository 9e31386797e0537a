//! Switching states of the VEGAS engines: durations in seconds into ticks of the hardware.

use super::{Vegas, whole_units};
use crate::api::{CallError, ErrorClass, Family, Outcome};
use crate::player::engine::common::out_of_range;
use crate::player::engine::switching::{RowError, SsgPhase, gbt_rows, gbt_states};
use crate::value::Value;

const NESTING: &str = "Possible syntax error with parameter 'ss_list'. If 'ss_list' only has one phase \
                       element, please use the '((),)' syntax instead of '(())'";

impl Vegas {
    /// Appends a state of `duration` seconds, rounded up to what the hardware can do.
    pub fn add_switching_state(&mut self, duration_s: f64, flags: SsgPhase) -> Outcome {
        if !duration_s.is_finite() || duration_s < 0.0 {
            return Err(out_of_range("duration", "a number of seconds >= 0", &Value::Float(duration_s)));
        }
        let ticks = self.ticks(duration_s, flags.blanking);
        self.switching.push(ticks, flags)?;
        Ok(self.phase_count())
    }

    /// Whole hardware exposures; where the HPC makes the spectra, blanking lasts whole ones of those.
    fn ticks(&self, duration_s: f64, blanking: bool) -> u64 {
        match self.design.channels_per_tick.filter(|_| blanking) {
            Some(channels_per_tick) => self.blanking_ticks(duration_s, channels_per_tick),
            None => self.exposure_ticks(duration_s),
        }
    }

    fn exposure_ticks(&self, duration_s: f64) -> u64 {
        let exposures = duration_s / self.hwexposr_s;
        if self.place.reference_rounding {
            // One tick short now and then: the product lands just under the integer (BE-13).
            return (exposures.ceil() * self.hwexposr_s / self.design.spec_tick_s) as u64;
        }
        whole_units(exposures).saturating_mul(u64::from(self.acc_len))
    }

    fn blanking_ticks(&self, duration_s: f64, channels_per_tick: u64) -> u64 {
        let chan_bw_hz = self.chan_bw_hz();
        let spectra = duration_s * chan_bw_hz;
        if self.place.reference_rounding {
            return (spectra.ceil() / (self.design.spec_tick_s * chan_bw_hz)) as u64;
        }
        whole_units(spectra).saturating_mul(self.nchan.unsigned_abs()) / channels_per_tick
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
            if duration_s > 0.0 || self.place.reference_rounding {
                let flags =
                    SsgPhase { blanking, cal: row.cal, sig_ref_1: row.sig_ref, ..SsgPhase::default() };
                next.add_switching_state(duration_s, flags)?;
            }
        }
        *self = next;
        Ok(self.phase_count())
    }
}
