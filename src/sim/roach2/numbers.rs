//! Numbers as C's `strtoul` with base 0 reads them, except that garbage is refused unless it is to be
//! what it is to the C server: the digits before it, or 0.

/// What happens to garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// It is refused.
    Strict,
    /// It ends the number.
    Sloppy,
}

impl Numbers {
    pub(super) fn parse(self, text: &[u8]) -> Option<u32> {
        match self {
            Numbers::Strict => parse(text),
            Numbers::Sloppy => Some(prefix(text)),
        }
    }

    /// `BYTES` or `BYTES:BITS` with zero bits, or `:0`.
    pub(super) fn position(self, text: &[u8]) -> Option<u32> {
        match text.iter().position(|b| *b == b':') {
            None => self.parse(text),
            Some(at) if self.parse(&text[at + 1..]) != Some(0) => None,
            Some(0) => Some(0),
            Some(at) => self.parse(&text[..at]),
        }
    }
}

/// The longest beginning that is a number; too large a number is the largest.
fn prefix(text: &[u8]) -> u32 {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let sign = usize::from(text.starts_with(b"-"));
    let radix = match &text[sign..] {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => 16,
        [b'0', ..] => 8,
        _ => 10,
    };
    let start = sign + if radix == 16 { 2 } else { 0 };
    let digit = |b: &u8| char::from(*b).to_digit(radix);
    let digits = text[start..].iter().map_while(digit);
    let value =
        digits.fold(0u32, |v, d| v.checked_mul(radix).and_then(|v| v.checked_add(d)).unwrap_or(u32::MAX));
    if sign == 1 { value.wrapping_neg() } else { value }
}

/// Decimal, `0x` hex, leading `0` octal, `-1` is 0xFFFFFFFF.
pub(super) fn parse(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let value = magnitude(digits)?;
    Some(if negative { value.wrapping_neg() } else { value })
}

fn magnitude(digits: &str) -> Option<u32> {
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    // `from_str_radix` would take a second sign.
    let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_strtoul_but_without_garbage() {
        let table: &[(&str, Option<u32>)] = &[
            ("", None),
            ("zzz", None),
            ("0x", None),
            ("+1", None),
            ("--1", None),
            ("1 ", None),
            ("4294967296", None),
            ("0", Some(0)),
            ("010", Some(8)),
            ("0xc8e", Some(0xc8e)),
            ("-1", Some(u32::MAX)),
        ];
        for (text, value) in table {
            assert_eq!(parse(text.as_bytes()), *value, "{text}");
        }
        assert_eq!(Numbers::Strict.position(b"12:0"), Some(12));
        assert_eq!(Numbers::Strict.position(b":8"), None);
    }

    #[test]
    fn garbage_ends_a_sloppy_number() {
        let table: &[(&str, u32)] = &[
            ("", 0),
            ("zzz", 0),
            ("12abc", 12),
            ("0x", 0),
            ("0x1g", 1),
            ("019", 1),
            (" +7", 7),
            ("-1", u32::MAX),
            ("99999999999", u32::MAX),
        ];
        for (text, value) in table {
            assert_eq!(prefix(text.as_bytes()), *value, "{text}");
        }
        assert_eq!(Numbers::Sloppy.position(b"x:y"), Some(0));
        assert_eq!(Numbers::Sloppy.position(b"12:8"), None);
    }
}
