//! Numbers as C's `strtoul` with base 0 reads them, except that garbage is refused.

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

/// `BYTES` or `BYTES:BITS` with zero bits, or `:0`.
pub(super) fn position(text: &[u8]) -> Option<u32> {
    match text.iter().position(|b| *b == b':') {
        None => parse(text),
        Some(at) if parse(&text[at + 1..]) != Some(0) => None,
        Some(0) => Some(0),
        Some(at) => parse(&text[..at]),
    }
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
        assert_eq!(position(b"12:0"), Some(12));
        assert_eq!(position(b":8"), None);
    }
}
