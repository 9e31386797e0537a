//! The six words of a synthesizer: fields of an ADF4350-style PLL.
//!
//! | field | where | | field | where |
//! |---|---|---|---|---|
//! | N | R0, 30-15 | | doubler, halver | R2, 25 and 24 |
//! | fraction | R0, 14-3 | | divider of the reference | R2, 23-14 |
//! | modulus | R1, 14-3 | | output divider 2^n | R4, 22-20 |
//! | low spurs | R2, 30-29 | | output level | R4, 4-3 |
//!
//! What is written keeps every other bit as it was read.

use super::tuning::Tuning;

/// Output levels, dBm, by their code.
pub const LEVELS_DBM: [i64; 4] = [-4, -1, 2, 5];
/// Largest divider of the reference.
pub const MOST_R: u32 = 1023;

/// R0 to R5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers(pub [u32; 6]);

/// How the reference is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Doubled.
    pub double: bool,
    /// Halved.
    pub half: bool,
    /// Divided by this, 0 and 1 are the same.
    pub r: u32,
    /// Low spurs rather than low noise.
    pub low_spur: bool,
}

impl Registers {
    /// Bytes on the line.
    pub const LEN: usize = 24;

    /// As on the line; bytes that are missing count as 0.
    pub fn from_bytes(bytes: &[u8]) -> Registers {
        let mut words = [0; 6];
        for (word, four) in words.iter_mut().zip(bytes.chunks(4)) {
            *word = four.iter().fold(0, |w, b| w << 8 | u32::from(*b));
        }
        Registers(words)
    }

    /// As on the line.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// What sets the frequency.
    pub fn tuning(&self) -> Tuning {
        Tuning {
            n: self.0[0] >> 15 & 0xFFFF,
            fraction: self.0[0] >> 3 & 0xFFF,
            modulus: self.0[1] >> 3 & 0xFFF,
            divider: 1 << (self.0[4] >> 20 & 7).min(4),
        }
    }

    /// The same words at another frequency.
    pub fn with_tuning(mut self, tuning: &Tuning) -> Registers {
        self.0[0] = self.0[0] & 0x8000_0007 | (tuning.n & 0xFFFF) << 15 | (tuning.fraction & 0xFFF) << 3;
        self.0[1] = self.0[1] & 0xFFFF_8007 | (tuning.modulus & 0xFFF) << 3;
        self.0[4] = self.0[4] & 0xFF8F_FFFF | (tuning.divider.trailing_zeros() & 7) << 20;
        self
    }

    /// How the reference is used.
    pub fn options(&self) -> Options {
        let word = self.0[2];
        Options {
            double: word >> 25 & 1 == 1,
            half: word >> 24 & 1 == 1,
            r: word >> 14 & 0x3FF,
            low_spur: word >> 30 & 1 == 1 && word >> 29 & 1 == 1,
        }
    }

    /// The same words with other options.
    pub fn with_options(mut self, options: &Options) -> Registers {
        let low_spur = if options.low_spur { 3 << 29 } else { 0 };
        let reference = u32::from(options.double) << 25 | u32::from(options.half) << 24;
        self.0[2] = self.0[2] & 0x9C00_3FFF | low_spur | reference | (options.r & MOST_R) << 14;
        self
    }

    /// Output level, dBm.
    pub fn level_dbm(&self) -> i64 {
        LEVELS_DBM[(self.0[4] >> 3 & 3) as usize]
    }

    /// The same words with another output level; `None` if there is no such level.
    pub fn with_level_dbm(mut self, dbm: i64) -> Option<Registers> {
        let code = LEVELS_DBM.iter().position(|level| *level == dbm)? as u32;
        self.0[4] = self.0[4] & 0xFFFF_FFE7 | code << 3;
        Some(self)
    }
}
