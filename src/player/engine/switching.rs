//! Switching signals: the phases of the FPGA's switching-signal generator (SSG), its look-up table,
//! and the GBT phases they amount to.
//!
//! ```text
//! word = (duration << 5 | adv_sig_ref << 4 | sig_ref_2 << 3 | sig_ref_1 << 2 | cal << 1 | blank) ^ 0x6
//! ```
//!
//! A GBT phase is a run of SSG phases that differ in blanking only.

use crate::api::{CallError, ErrorClass, Family};
use crate::value::Value;

/// Largest duration of one phase in spec ticks: 27 bits of the table word.
pub const DURATION_TICKS_MAX: u64 = (1 << 27) - 1;
/// Most SSG phases held. The depth of the hardware's table is not documented; no site uses ten.
pub const PHASES_MAX: usize = 1024;
/// Most GBT phases: the number is two digits in the status keys.
pub const GBT_PHASES_MAX: usize = 99;

/// `cal` and `sig_ref_1` are inverted on the wire.
const WIRE_INVERSION: u32 = 0x6;

/// One phase of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SsgPhase {
    /// Duration, spec ticks, at most [`DURATION_TICKS_MAX`].
    pub ticks: u32,
    /// Data are not accumulated.
    pub blanking: bool,
    /// Calibration signal.
    pub cal: bool,
    /// Signal/reference.
    pub sig_ref_1: bool,
    /// Second signal/reference.
    pub sig_ref_2: bool,
    /// Advanced signal/reference.
    pub adv_sig_ref: bool,
}

impl SsgPhase {
    /// The word of the look-up table.
    pub fn word(&self) -> u32 {
        let flags = u32::from(self.adv_sig_ref) << 4
            | u32::from(self.sig_ref_2) << 3
            | u32::from(self.sig_ref_1) << 2
            | u32::from(self.cal) << 1
            | u32::from(self.blanking);
        (self.ticks << 5 | flags) ^ WIRE_INVERSION
    }

    /// Everything but blanking and duration.
    fn state(&self) -> [bool; 4] {
        [self.cal, self.sig_ref_1, self.sig_ref_2, self.adv_sig_ref]
    }
}

/// The phases of one switching cycle, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Switching {
    phases: Vec<SsgPhase>,
}

/// One GBT phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GbtPhase {
    /// Start as a fraction of the cycle.
    pub start: f64,
    /// Calibration signal.
    pub cal: bool,
    /// Signal/reference.
    pub sig_ref: bool,
    /// Blanking at its start, s.
    pub blanking_s: f64,
}

impl Switching {
    /// What a fresh engine holds: one phase of no duration.
    pub fn fresh() -> Switching {
        Switching { phases: vec![SsgPhase::default()] }
    }

    /// Exactly these phases (no checks: for tables that come from elsewhere).
    pub fn of(phases: Vec<SsgPhase>) -> Switching {
        Switching { phases }
    }

    /// The phases.
    pub fn phases(&self) -> &[SsgPhase] {
        &self.phases
    }

    /// Forgets all phases.
    pub fn clear(&mut self) {
        self.phases.clear();
    }

    /// Appends a phase; refuses what the hardware cannot hold.
    pub fn push(&mut self, ticks: u64, flags: SsgPhase) -> Result<(), CallError> {
        if ticks > DURATION_TICKS_MAX {
            return Err(invalid(format!(
                "The switching phase is too long: {ticks} ticks, the hardware holds {DURATION_TICKS_MAX}"
            )));
        }
        if self.phases.len() >= PHASES_MAX {
            return Err(invalid(format!("There are {PHASES_MAX} switching phases already")));
        }
        let ticks = ticks as u32; // 27 bits, checked above
        self.phases.push(SsgPhase { ticks, ..flags });
        if self.total_ticks() > u64::from(u32::MAX) {
            self.phases.pop();
            return Err(invalid("The switching cycle is too long for the 32 bits of ssg_length".to_owned()));
        }
        Ok(())
    }

    /// Sum of all durations: register `ssg_length`.
    pub fn total_ticks(&self) -> u64 {
        self.phases.iter().map(|p| u64::from(p.ticks)).sum()
    }

    /// Register `ssg_lut_bram`.
    pub fn lut(&self) -> Vec<u8> {
        self.phases.iter().flat_map(|p| p.word().to_be_bytes()).collect()
    }

    /// Length of the cycle in seconds; the integer 1 for fewer than two phases.
    pub fn total_duration(&self, spec_tick_s: f64) -> Value {
        if self.phases.len() < 2 {
            return Value::Int(1);
        }
        Value::Float(self.total_ticks() as f64 * spec_tick_s)
    }

    /// The GBT phases of the cycle.
    pub fn gbt_phases(&self, spec_tick_s: f64) -> Vec<GbtPhase> {
        let total = self.total_duration(spec_tick_s).as_f64().unwrap_or(1.0);
        let mut gbt: Vec<GbtPhase> = Vec::new();
        let mut state = None;
        let mut elapsed = 0.0;
        for phase in &self.phases {
            let duration = f64::from(phase.ticks) * spec_tick_s;
            if state != Some(phase.state()) {
                state = Some(phase.state());
                gbt.push(GbtPhase {
                    start: elapsed / total,
                    cal: phase.cal,
                    sig_ref: phase.sig_ref_1,
                    blanking_s: if phase.blanking { duration } else { 0.0 },
                });
            }
            elapsed += duration;
        }
        gbt
    }
}

/// One row of `set_gbt_ss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GbtRow {
    /// Start as a fraction of the period.
    pub start: f64,
    /// Signal/reference.
    pub sig_ref: bool,
    /// Calibration signal.
    pub cal: bool,
    /// Blanking at its start, s.
    pub blanking_s: f64,
}

/// Why a list of rows was not understood.
#[derive(Clone, Debug, PartialEq)]
pub enum RowError {
    /// Not a list of lists: the old Player resets the states for it.
    Nesting,
    /// Anything else.
    Bad(CallError),
}

/// Reads the rows of `set_gbt_ss`.
pub fn gbt_rows(list: &Value) -> Result<Vec<GbtRow>, RowError> {
    let Value::List(rows) = list else {
        return Err(RowError::Nesting);
    };
    if rows.len() > GBT_PHASES_MAX {
        return Err(RowError::Bad(invalid(format!(
            "ss_list has {} rows, at most {GBT_PHASES_MAX} are possible",
            rows.len()
        ))));
    }
    rows.iter().enumerate().map(|(i, row)| gbt_row(i, row)).collect()
}

fn gbt_row(index: usize, row: &Value) -> Result<GbtRow, RowError> {
    let Value::List(fields) = row else {
        return Err(RowError::Nesting);
    };
    let numbers: Option<Vec<f64>> = fields.iter().map(number).collect();
    match numbers.as_deref() {
        Some(&[start, sig_ref, cal, blanking_s])
            if start.is_finite() && blanking_s >= 0.0 && blanking_s.is_finite() =>
        {
            Ok(GbtRow { start, sig_ref: sig_ref != 0.0, cal: cal != 0.0, blanking_s })
        }
        _ => Err(RowError::Bad(invalid(format!(
            "Row {index} of ss_list is {row}: it must be [start fraction, sig_ref, cal, blanking in seconds >= 0]"
        )))),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        v => v.as_f64(),
    }
}

/// The states (duration s, blank, row) of a GBT cycle: blanking, then the rest, per row. Refuses a
/// blanking longer than its phase.
pub fn gbt_states(period_s: f64, rows: &[GbtRow]) -> Result<Vec<(f64, bool, GbtRow)>, CallError> {
    /// Rounding noise of fractions times period, s.
    const NOISE_S: f64 = 1e-12;
    let mut states = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let next = rows.get(i + 1).map_or(1.0, |r| r.start);
        let duration = next * period_s - row.start * period_s;
        let rest = duration - row.blanking_s;
        if rest < -NOISE_S {
            return Err(invalid(format!(
                "Row {i} of ss_list lasts {duration} s but blanks {} s; starts must increase and blanking must fit",
                row.blanking_s
            )));
        }
        states.push((row.blanking_s, true, *row));
        states.push((rest.max(0.0), false, *row));
    }
    Ok(states)
}

/// `ValueError`, the caller's fault.
fn invalid(message: String) -> CallError {
    CallError::new(ErrorClass::ValueError, Family::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_by_hand() {
        assert_eq!(Switching::fresh().lut(), [0, 0, 0, 6]);
        let mut s = Switching::default();
        s.push(1_465_344, SsgPhase::default()).expect("fits");
        assert_eq!(s.lut(), [0x02, 0xcb, 0x80, 0x06]);
        let all = SsgPhase {
            ticks: 1,
            blanking: true,
            cal: true,
            sig_ref_1: true,
            sig_ref_2: true,
            adv_sig_ref: true,
        };
        assert_eq!(all.word(), 0x39);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut s = Switching::default();
        assert!(s.push(DURATION_TICKS_MAX + 1, SsgPhase::default()).is_err());
        for _ in 0..32 {
            s.push(DURATION_TICKS_MAX, SsgPhase::default()).expect("below 32 bits");
        }
        assert!(s.push(DURATION_TICKS_MAX, SsgPhase::default()).is_err());
        assert_eq!(s.phases().len(), 32);
    }

    #[test]
    fn rows_are_checked() {
        let row =
            |b: f64| Value::List(vec![Value::Float(0.0), Value::Int(0), Value::Int(1), Value::Float(b)]);
        assert_eq!(gbt_rows(&row(0.002)), Err(RowError::Nesting));
        assert_eq!(gbt_rows(&Value::Null), Err(RowError::Nesting));
        assert!(matches!(gbt_rows(&Value::List(vec![row(-1.0)])), Err(RowError::Bad(_))));
        assert!(matches!(gbt_rows(&Value::List(vec![Value::List(vec![])])), Err(RowError::Bad(_))));
        let rows = gbt_rows(&Value::List(vec![row(0.2)])).expect("good");
        assert!(gbt_states(0.1, &rows).is_err());
        assert_eq!(gbt_states(0.5, &rows).expect("fits").len(), 2);
    }
}
