//! Frequency and divider words of a synthesizer.
//!
//! ```text
//! e = reference (doubled, halved, divided by r)      MHz, at the phase detector
//! output divider d = 1, 2, .. 16: the least with f d > VCO minimum
//! f = (N + fraction / modulus) e / d
//! ```
//!
//! The rounding is that of the synthesizer's own control program: the grid is the channel spacing at the VCO.

use super::registers::Options;
use thiserror::Error;

/// Largest modulus the words hold.
pub const MOST_MODULUS: u32 = 4095;
/// Largest output divider.
const MOST_DIVIDER: u32 = 16;

/// What sets a frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Whole periods of the phase detector.
    pub n: u32,
    /// Part of a period, over the modulus.
    pub fraction: u32,
    /// Parts of a period.
    pub modulus: u32,
    /// Output divider: 1, 2, 4, 8 or 16.
    pub divider: u32,
}

/// A frequency that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum TuneError {
    /// Not a frequency at all.
    #[error("{0} MHz is no frequency")]
    NoFrequency(f64),
    /// The VCO would have to run outside its limits.
    #[error(
        "{mhz} MHz needs the VCO at {vco} MHz, which runs from {least} to {most} MHz; choose another frequency, or set_vco_range() first"
    )]
    Vco {
        /// Wanted.
        mhz: f64,
        /// What the VCO would do, MHz.
        vco: f64,
        /// Its lower limit, MHz.
        least: u16,
        /// Its upper limit, MHz.
        most: u16,
    },
    /// The grid is too fine.
    #[error(
        "a channel spacing of {spacing} MHz needs a modulus of {modulus}, which ends at {MOST_MODULUS}; choose a larger spacing"
    )]
    Spacing {
        /// Wanted, MHz.
        spacing: f64,
        /// What it would take.
        modulus: f64,
    },
    /// The reference makes no sense.
    #[error("with a reference of {reference_hz} Hz {mhz} MHz cannot be made")]
    Reference {
        /// As set, Hz.
        reference_hz: u32,
        /// Wanted.
        mhz: f64,
    },
}

/// Frequency at the phase detector, MHz.
pub fn detector_mhz(reference_hz: u32, options: &Options) -> f64 {
    let mut mhz = f64::from(reference_hz) / 1e6;
    if options.double {
        mhz *= 2.0;
    }
    if options.half {
        mhz /= 2.0;
    }
    if options.r > 1 {
        mhz /= f64::from(options.r);
    }
    mhz
}

impl Tuning {
    /// The words for a frequency; `spacing` in MHz, `vco` its limits in MHz.
    ///
    /// # Errors
    /// The frequency cannot be made.
    pub fn of(
        mhz: f64,
        spacing: f64,
        reference_hz: u32,
        options: &Options,
        vco: (u16, u16),
    ) -> Result<Tuning, TuneError> {
        if !(mhz.is_finite() && mhz > 0.0) {
            return Err(TuneError::NoFrequency(mhz));
        }
        let (least, most) = (f64::from(vco.0), f64::from(vco.1));
        let mut divider = 1;
        while mhz * f64::from(divider) <= least && divider < MOST_DIVIDER {
            divider *= 2;
        }
        let at_vco = mhz * f64::from(divider);
        if at_vco < least || at_vco > most {
            return Err(TuneError::Vco { mhz, vco: at_vco, least: vco.0, most: vco.1 });
        }
        let detector = detector_mhz(reference_hz, options);
        let n = (at_vco / detector).trunc();
        if detector <= 0.0 || !(1.0..=65_535.0).contains(&n) {
            return Err(TuneError::Reference { reference_hz, mhz });
        }
        let modulus = (detector / spacing + 0.5).trunc();
        if !(0.0..=f64::from(MOST_MODULUS)).contains(&modulus) {
            return Err(TuneError::Spacing { spacing, modulus });
        }
        let fraction = ((at_vco - n * detector) / spacing + 0.5).trunc();
        Ok(Tuning { divider, ..reduced(n as u32, fraction as u32, modulus as u32) })
    }

    /// The frequency, MHz.
    pub fn mhz(&self, detector_mhz: f64) -> f64 {
        let part = if self.modulus == 0 { 0.0 } else { f64::from(self.fraction) / f64::from(self.modulus) };
        (f64::from(self.n) + part) * detector_mhz / f64::from(self.divider)
    }

    /// What the VCO does, MHz.
    pub fn vco_mhz(&self, detector_mhz: f64) -> f64 {
        self.mhz(detector_mhz) * f64::from(self.divider)
    }
}

/// Common factors of two taken out; a whole period is carried.
fn reduced(n: u32, mut fraction: u32, mut modulus: u32) -> Tuning {
    let carried = n + u32::from(modulus > 0 && fraction >= modulus);
    if fraction == 0 || modulus == 0 || carried != n {
        return Tuning { n: carried, fraction: 0, modulus: 1, divider: 1 };
    }
    while fraction.is_multiple_of(2) && modulus.is_multiple_of(2) {
        fraction /= 2;
        modulus /= 2;
    }
    Tuning { n, fraction, modulus, divider: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Options = Options { double: false, half: false, r: 1, low_spur: false };
    const VCO: (u16, u16) = (2200, 4400);

    fn tune(mhz: f64, spacing: f64) -> Result<Tuning, TuneError> {
        Tuning::of(mhz, spacing, 10_000_000, &PLAIN, VCO)
    }

    #[test]
    fn a_rounded_up_fraction_is_carried() {
        let tuning = tune(999.9999, 0.01).expect("can be made");
        assert_eq!(tuning, Tuning { n: 400, fraction: 0, modulus: 1, divider: 4 });
        assert_eq!(tuning.mhz(10.0), 1000.0);
    }

    #[test]
    fn what_cannot_be_made_is_refused_with_the_reason() {
        for (mhz, spacing, wanted) in [
            (f64::NAN, 10.0, "is no frequency"),
            (-5.0, 10.0, "is no frequency"),
            (4400.5, 10.0, "needs the VCO at 4400.5 MHz"),
            (137.4, 10.0, "needs the VCO at 2198.4 MHz"),
            (1500.0, 0.001, "needs a modulus of 10000"),
            (1500.0, 0.0, "needs a modulus of inf"),
            (1500.0, -1.0, "needs a modulus of -9"),
        ] {
            let text = tune(mhz, spacing).expect_err("cannot be made").to_string();
            assert!(text.contains(wanted), "{text}");
        }
        let error = Tuning::of(1500.0, 10.0, 0, &PLAIN, VCO).expect_err("no reference");
        assert_eq!(error, TuneError::Reference { reference_hz: 0, mhz: 1500.0 });
    }
}
