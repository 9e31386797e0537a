//! Local oscillators of the LBW mixers: which frequencies there are, and the tables that make them.
//!
//! ```text
//! fs     = 2 * synthesizer frequency
//! steps  = round(f / fs * 16384)          half away from zero
//! actual = fs * steps / 16384
//! word k = trunc(32767 cos a) << 16 + trunc(32767 sin a),  a = 2 pi steps k / 16384
//! ```
//!
//! The sum is one of signed numbers: a negative sine borrows one from the upper half, which the FPGA
//! designs were tuned with (BE-26). The words are dealt to 16 memories in turn.

use crate::config::dibas::RegisterValue;
use std::f64::consts::PI;

/// Words of a table, and steps the sampling frequency is divided into.
pub const TABLE_WORDS: u32 = 16_384;
/// Memories a table is dealt to.
pub const MEMORIES: u32 = 16;
/// Register `s{i}_mixer_cnt`: the last index but one of a memory.
pub const MIXER_COUNT: u32 = TABLE_WORDS / MEMORIES - 2;

/// Largest value of a half word.
const AMPLITUDE: f64 = 32_767.0;

/// An oscillator frequency the hardware can make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalOscillator {
    /// Sampling frequency, Hz.
    pub sampling_hz: f64,
    /// Steps of `sampling_hz / 16384`.
    pub steps: f64,
}

impl LocalOscillator {
    /// The nearest to `wanted_hz`; both in Hz, `wanted_hz` in 0..=`sampling_hz`.
    pub fn nearest(wanted_hz: f64, sampling_hz: f64) -> LocalOscillator {
        let steps = ((wanted_hz / sampling_hz) * f64::from(TABLE_WORDS)).round();
        LocalOscillator { sampling_hz, steps }
    }

    /// Its frequency, Hz.
    pub fn frequency_hz(&self) -> f64 {
        self.sampling_hz * self.steps / f64::from(TABLE_WORDS)
    }

    /// Word `index` of the table.
    pub fn word(&self, index: u32) -> i32 {
        // The exact residue: the angle stays small, and the same angle gives the same word.
        let residue = (self.steps as u64 * u64::from(index)) % u64::from(TABLE_WORDS);
        let angle = 2.0 * PI * residue as f64 / f64::from(TABLE_WORDS);
        if self.steps == 0.0 {
            // Nothing is mixed: both halves full, as the designs expect it.
            return (AMPLITUDE as i32) << 16 | AMPLITUDE as i32;
        }
        let half = |x: f64| (x * AMPLITUDE).trunc() as i32; // within 16 bits
        (half(angle.cos()) << 16).wrapping_add(half(angle.sin()))
    }

    /// Bytes of memory `memory` (0..16): every 16th word from there, big endian.
    pub fn memory(&self, memory: u32) -> Vec<u8> {
        let indices = (memory..TABLE_WORDS).step_by(MEMORIES as usize);
        indices.flat_map(|index| self.word(index).to_be_bytes()).collect()
    }

    /// The registers of subband `subband`: name and contents.
    pub fn registers(&self, subband: usize) -> impl Iterator<Item = (String, RegisterValue)> {
        let lo = *self;
        (0..MEMORIES).map(move |m| (format!("s{subband}_lo_{m}_lo_ram"), RegisterValue::Blob(lo.memory(m))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_sampling_frequency() {
        let lo = LocalOscillator::nearest(750e6, 3e9);
        assert_eq!((lo.steps, lo.frequency_hz()), (4096.0, 750e6));
        let words: Vec<u32> = (0..5).map(|k| lo.word(k) as u32).collect();
        assert_eq!(words, [0x7FFF_0000, 0x0000_7FFF, 0x8001_0000, 0xFFFF_8001, 0x7FFF_0000]);
        assert_eq!(lo.memory(2).len(), 4096);
        assert_eq!(lo.registers(3).next().map(|(name, _)| name).as_deref(), Some("s3_lo_0_lo_ram"));
    }

    #[test]
    fn no_frequency_fills_both_halves() {
        let lo = LocalOscillator::nearest(0.0, 3e9);
        assert!((0..TABLE_WORDS).all(|k| lo.word(k) == 0x7FFF_7FFF));
    }
}
