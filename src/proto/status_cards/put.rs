//! The setters of the C libraries, character for character.
//!
//! They write what they are told, also what no reader understands; programs use
//! [`StatusEditor`](super::StatusEditor).

use super::edit::Field;
use super::number::{self, StackText};
use super::{CardError, Cards, Dialect, STRING_MAX};

/// Most decimals a caller may ask for.
const DECIMALS_MAX: usize = 30;

impl Cards<'_> {
    /// `hputs`: text between quotes, cut to 67 bytes, padded to 8.
    pub fn put_string(&mut self, key: &str, text: &str) -> Result<(), CardError> {
        self.put(key, Field::Text(text.as_bytes()))
    }

    /// `hputi4`, `hputi8`: `%d`.
    pub fn put_i64(&mut self, key: &str, x: i64) -> Result<(), CardError> {
        self.put_number(key, &StackText::of(format_args!("{x}")))
    }

    /// `hputu4`, `hputu8`: `%u`.
    pub fn put_u64(&mut self, key: &str, x: u64) -> Result<(), CardError> {
        self.put_number(key, &StackText::of(format_args!("{x}")))
    }

    /// `hputr4`: `%.9f`, legacy `%f`.
    pub fn put_f32(&mut self, key: &str, x: f32) -> Result<(), CardError> {
        let text = float32_text(self.dialect(), x);
        self.put_number(key, &text)
    }

    /// `hputr8`: `%.17g`, legacy `%g`.
    pub fn put_f64(&mut self, key: &str, x: f64) -> Result<(), CardError> {
        let text = float64_text(self.dialect(), x);
        self.put_number(key, &text)
    }

    /// `hputnr8`: that many decimals; a negative count asks for significant digits.
    pub fn put_f64_decimals(&mut self, key: &str, x: f64, decimals: i32) -> Result<(), CardError> {
        self.put_number(key, &decimals_text(x, decimals))
    }

    /// `hputl`: `T` or `F`.
    pub fn put_logical(&mut self, key: &str, x: bool) -> Result<(), CardError> {
        self.put(key, Field::Number(if x { b"T" } else { b"F" }))
    }

    /// `hputra`: right ascension in degrees as `hh:mm:ss.sss`.
    pub fn put_ra(&mut self, key: &str, degrees: f64) -> Result<(), CardError> {
        let milliseconds = (degrees.rem_euclid(360.0) / 15.0 * 3_600_000.0).round() as u64 % 86_400_000;
        self.put(key, Field::Text(sexagesimal("", milliseconds, 1000, 3).as_bytes()))
    }

    /// `hputdec`: declination in degrees as `±dd:mm:ss.ss`.
    pub fn put_dec(&mut self, key: &str, degrees: f64) -> Result<(), CardError> {
        let hundredths = (degrees.abs() * 360_000.0).round() as u64;
        let sign = if degrees < 0.0 { "-" } else { "+" };
        self.put(key, Field::Text(sexagesimal(sign, hundredths, 100, 2).as_bytes()))
    }

    /// `hputm`: long text over cards `ROOT_1`, `ROOT_2`, ... of 67 bytes each.
    pub fn put_multi_line(&mut self, root: &str, text: &str) -> Result<(), CardError> {
        let root: String = root.chars().take(6).collect();
        for (i, part) in text.as_bytes().chunks(STRING_MAX).enumerate() {
            self.put(&format!("{root}_{}", i + 1), Field::Text(part))?;
        }
        Ok(())
    }

    pub(super) fn put_number(&mut self, key: &str, text: &StackText) -> Result<(), CardError> {
        self.put(key, Field::Number(text.as_bytes()))
    }
}

pub(super) fn float32_text(dialect: Dialect, x: f32) -> StackText {
    let decimals = match dialect {
        Dialect::Hashpipe => 9,
        Dialect::Legacy => 6,
    };
    number::fixed(f64::from(x), decimals)
}

pub(super) fn float64_text(dialect: Dialect, x: f64) -> StackText {
    let digits = match dialect {
        Dialect::Hashpipe => 17,
        Dialect::Legacy => 6,
    };
    number::general(x, digits)
}

pub(super) fn decimals_text(x: f64, decimals: i32) -> StackText {
    let count = (decimals.unsigned_abs() as usize).min(DECIMALS_MAX);
    if decimals < 0 { number::upper_exponent(number::general(x, count)) } else { number::fixed(x, count) }
}

/// `parts` counts units of `1/scale` second.
fn sexagesimal(sign: &str, parts: u64, scale: u64, decimals: usize) -> StackText {
    let (seconds, fraction) = (parts / scale, parts % scale);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    StackText::of(format_args!("{sign}{h:02}:{m:02}:{s:02}.{fraction:0decimals$}"))
}
