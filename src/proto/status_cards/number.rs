//! Numbers as C's `printf`, `atof` and `strtoll` write and read them, without allocation.

use std::fmt::{self, Write};

/// Longest text a conversion may give: `%.30f` of the largest double.
const TEXT_MAX: usize = 352;

/// A short text on the stack.
pub(super) struct StackText {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl StackText {
    pub(super) fn new() -> StackText {
        StackText { bytes: [0; TEXT_MAX], len: 0 }
    }

    /// Formats into a fresh text; what does not fit is dropped.
    pub(super) fn of(args: fmt::Arguments<'_>) -> StackText {
        let mut text = StackText::new();
        let _ = text.write_fmt(args);
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("only whole &str are pushed")
    }

    /// Removes zeros at the end of a decimal fraction, and then the point.
    fn trim_fraction(&mut self) {
        if !self.as_bytes().contains(&b'.') {
            return;
        }
        while self.as_bytes().ends_with(b"0") {
            self.len -= 1;
        }
        if self.as_bytes().ends_with(b".") {
            self.len -= 1;
        }
    }

    /// `-0.000` becomes `0.000` (as both C libraries do; `-inf` becomes `inf` by the same rule).
    fn drop_sign_of_zero(mut self) -> StackText {
        let digits = self.as_bytes().split(|b| matches!(b, b'd' | b'e' | b'E' | b' ')).next().unwrap_or(&[]);
        if digits.starts_with(b"-") && !digits.iter().any(|b| matches!(b, b'1'..=b'9')) {
            self.bytes.copy_within(1..self.len, 0);
            self.len -= 1;
        }
        self
    }
}

impl Write for StackText {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// `%.{decimals}f`, sign of zero dropped.
pub(super) fn fixed(x: f64, decimals: usize) -> StackText {
    if !x.is_finite() {
        return not_finite(x);
    }
    StackText::of(format_args!("{x:.decimals$}")).drop_sign_of_zero()
}

/// `%.{digits}g`, sign of zero dropped.
pub(super) fn general(x: f64, digits: usize) -> StackText {
    if !x.is_finite() {
        return not_finite(x);
    }
    let digits = digits.max(1);
    let scientific = StackText::of(format_args!("{x:.*e}", digits - 1));
    let (mantissa, exponent) = scientific.as_str().split_once('e').expect("{:e} always prints an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} prints a decimal exponent");
    if exponent < -4 || exponent >= digits as i32 {
        let mut text = StackText::of(format_args!("{mantissa}"));
        text.trim_fraction();
        push_exponent(&mut text, exponent);
        return text.drop_sign_of_zero();
    }
    let decimals = (digits as i32 - 1 - exponent) as usize;
    let mut text = StackText::of(format_args!("{x:.decimals$}"));
    text.trim_fraction();
    text.drop_sign_of_zero()
}

/// `%g` as C prints it, for people and scripts: six significant digits.
pub fn format_general(x: f64) -> String {
    let sign = if x == f64::NEG_INFINITY { "-" } else { "" };
    format!("{sign}{}", general(x, 6).as_str())
}

fn push_exponent(text: &mut StackText, exponent: i32) {
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(text, "e{sign}{:02}", exponent.abs());
}

fn not_finite(x: f64) -> StackText {
    StackText::of(format_args!("{}", if x.is_nan() { "nan" } else { "inf" }))
}

/// `e` written as `E`, as the setter with a number of decimals does.
pub(super) fn upper_exponent(mut text: StackText) -> StackText {
    text.bytes[..text.len].make_ascii_uppercase();
    text
}

/// The longest prefix C's `strtod` would take; 0 when there is none.
pub(super) fn atof(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = sign(text);
    let magnitude = if has_prefix(digits, b"inf") {
        f64::INFINITY
    } else if has_prefix(digits, b"nan") {
        f64::NAN
    } else if has_prefix(digits, b"0x") {
        hexadecimal(&digits[2..])
    } else {
        decimal(digits)
    };
    if negative { -magnitude } else { magnitude }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn has_prefix(text: &[u8], lower: &[u8]) -> bool {
    text.get(..lower.len()).is_some_and(|head| head.eq_ignore_ascii_case(lower))
}

fn run(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn decimal(text: &[u8]) -> f64 {
    let mut end = run(text);
    let mut digits = end;
    if text.get(end) == Some(&b'.') {
        let fraction = run(&text[end + 1..]);
        digits += fraction;
        end += 1 + fraction;
    }
    if digits == 0 {
        return 0.0;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = run(text.get(end + 1 + signed..).unwrap_or(&[]));
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    std::str::from_utf8(&text[..end]).ok().and_then(|t| t.parse().ok()).unwrap_or(0.0)
}

/// Hexadecimal without the `0x`; a fraction or a `p` exponent ends it (no writer of status text uses them).
fn hexadecimal(text: &[u8]) -> f64 {
    let digits = text.iter().map_while(|&b| char::from(b).to_digit(16));
    digits.fold(0.0, |sum, digit| sum * 16.0 + f64::from(digit))
}

/// What `strtoll(text, &end, 0)` sees: sign, magnitude (saturated) and whether nothing followed.
pub(super) struct Integer {
    pub(super) negative: bool,
    pub(super) magnitude: u128,
    pub(super) complete: bool,
}

/// C integer, base by prefix (`0x` hexadecimal, `0` octal).
pub(super) fn integer(text: &[u8]) -> Integer {
    let (negative, digits) = sign(text.trim_ascii_start());
    let hex = has_prefix(digits, b"0x") && digits.get(2).is_some_and(u8::is_ascii_hexdigit);
    let (radix, digits) = match digits {
        _ if hex => (16, &digits[2..]),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    let valid = digits.iter().map_while(|&b| char::from(b).to_digit(radix));
    let taken = valid.clone().count();
    let magnitude = valid
        .fold(0u128, |sum, digit| sum.saturating_mul(u128::from(radix)).saturating_add(u128::from(digit)));
    Integer { negative, magnitude, complete: taken == digits.len() && (taken > 0 || text.is_empty()) }
}

/// `(int64_t)x` as x86-64 does it: out of range gives the smallest value.
pub(super) fn truncate_i64(x: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&x) { x as i64 } else { i64::MIN }
}

/// `(uint64_t)x` as compilers do it for x86-64.
pub(super) fn truncate_u64(x: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if x >= HALF { (truncate_i64(x - HALF) as u64) ^ (1 << 63) } else { truncate_i64(x) as u64 }
}
