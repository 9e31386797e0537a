//! The small value languages of `dibas.conf`: numbers, lists, phases, key lists, MAC addresses.

use super::{PhaseStep, RegisterValue};
use std::time::Duration;

/// Longest pause a phase may contain, s.
const WAIT_S_MAX: f64 = 60.0;

/// Python `int()`: decimal, blanks around allowed.
pub fn int(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// A UDP or TCP port.
pub fn port(text: &str) -> Option<u16> {
    int(text).and_then(|i| u16::try_from(i).ok())
}

/// Python `float()`, finite only.
pub fn float(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|x: &f64| x.is_finite())
}

/// `1 yes true on` or `0 no false off`, any case.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// An integer in any base C knows: `0x1f`, `017`, `31`; also `0b`, `0o` and a sign.
pub fn c_int(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_str() {
        d if d.starts_with("0x") => (16, &d[2..]),
        d if d.starts_with("0b") => (2, &d[2..]),
        d if d.starts_with("0o") => (8, &d[2..]),
        d if d.len() > 1 && d.starts_with('0') => (8, &d[1..]),
        d => (10, d),
    };
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None; // a second sign
    }
    i64::from_str_radix(digits, base).ok().map(|v| sign * v)
}

/// A register word: any C base, -2^31 .. 2^32-1, negative as two's complement.
pub fn word(text: &str) -> Option<u32> {
    let value = c_int(text)?;
    u32::try_from(value).ok().or_else(|| i32::try_from(value).ok().map(|v| v as u32))
}

/// A register value: a word where the text is a number, else its bytes.
pub fn register_value(text: &str) -> RegisterValue {
    match word(text) {
        Some(word) => RegisterValue::Word(word),
        None => RegisterValue::Blob(text.as_bytes().to_vec()),
    }
}

/// Comma list, blanks and line ends around the items trimmed. Empty text: no items.
pub fn list(text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

/// Comma list of decimal integers; `Err` is the first item that is none.
pub fn int_list(text: &str) -> Result<Vec<i64>, String> {
    list(text).into_iter().map(|item| int(&item).ok_or(item)).collect()
}

/// 48-bit MAC: hex digits with optional `0x`, or six pairs with `:` or `-`.
pub fn mac(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits: String = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => digits.to_owned(),
        None => text.chars().filter(|c| !matches!(c, ':' | '-')).collect(),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(&digits, 16).ok()
}

/// `bw, bits, ..`: decimal MHz and hex bits.
pub fn filter_bits(text: &str) -> Result<Vec<(i64, u8)>, String> {
    let items = list(text);
    if !items.len().is_multiple_of(2) {
        return Err(format!("{} elements are no pairs of bandwidth and bits", items.len()));
    }
    items.chunks_exact(2).map(|pair| filter_pair(&pair[0], &pair[1])).collect()
}

fn filter_pair(bandwidth: &str, bits: &str) -> Result<(i64, u8), String> {
    let mhz = int(bandwidth).ok_or_else(|| format!("'{bandwidth}' is no bandwidth in whole MHz"))?;
    let digits = bits.strip_prefix("0x").or_else(|| bits.strip_prefix("0X")).unwrap_or(bits);
    let byte = u8::from_str_radix(digits, 16).map_err(|_| format!("'{bits}' is no hex byte"))?;
    Ok((mhz, byte))
}

/// A phase: pairs `register,value` or `wait,seconds`. The second member is a word left over at the
/// end (`nop`), which means nothing.
pub fn phase(text: &str) -> Result<(Vec<PhaseStep>, Option<String>), String> {
    let items = list(text);
    let steps = items.chunks_exact(2).map(|pair| step(&pair[0], &pair[1])).collect::<Result<_, _>>()?;
    let left_over = items.chunks_exact(2).remainder().first().filter(|word| !word.is_empty()).cloned();
    Ok((steps, left_over))
}

fn step(command: &str, argument: &str) -> Result<PhaseStep, String> {
    if command == "wait" {
        return match float(argument) {
            Some(s) if (0.0..=WAIT_S_MAX).contains(&s) => Ok(PhaseStep::Wait(Duration::from_secs_f64(s))),
            _ => Err(format!("'wait,{argument}': a pause is 0 to {WAIT_S_MAX} seconds")),
        };
    }
    if command.is_empty() {
        return Err(format!("a register name is missing before ',{argument}'"));
    }
    match word(argument) {
        Some(value) => Ok(PhaseStep::Write { register: command.to_owned(), value }),
        None => Err(format!("'{command},{argument}': '{argument}' is no 32-bit number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        assert_eq!(
            [int("010"), int(" 7 "), int("0x10"), int("7.0"), int("\"7\"")],
            [Some(10), Some(7), None, None, None]
        );
        assert_eq!([float("1e3"), float("nan"), float("inf"), float("")], [Some(1000.0), None, None, None]);
        assert_eq!(
            [boolean("TRUE"), boolean("off"), boolean("\"true\""), boolean("2")],
            [Some(true), Some(false), None, None]
        );
        assert_eq!(
            [c_int("0x12"), c_int("017"), c_int("0"), c_int("-1"), c_int("08")],
            [Some(18), Some(15), Some(0), Some(-1), None]
        );
        assert_eq!([c_int(""), c_int("0x"), c_int("--1"), c_int("0x-1")], [None; 4]);
        assert_eq!(
            [word("0xaaaaaaaa"), word("-1"), word("4294967296")],
            [Some(0xaaaa_aaaa), Some(u32::MAX), None]
        );
        assert_eq!([port("7147"), port("65536"), port("-1")], [Some(7147), None, None]);
    }

    #[test]
    fn macs() {
        assert_eq!(mac("0x000F530CA600"), Some(0x000f_530c_a600));
        assert_eq!(mac("000F530CA600"), Some(0x000f_530c_a600));
        assert_eq!(mac("00:0f:53:0c:a6:00"), Some(0x000f_530c_a600));
        assert_eq!([mac(""), mac("zz"), mac("11112222333344445")], [None; 3]);
    }

    #[test]
    fn phases() {
        let write = |register: &str, value| PhaseStep::Write { register: register.into(), value };
        assert_eq!(
            phase("sg_sync,0x12, arm,1,wait,0.2"),
            Ok((
                vec![write("sg_sync", 0x12), write("arm", 1), PhaseStep::Wait(Duration::from_millis(200))],
                None
            ))
        );
        assert_eq!(phase("nop"), Ok((Vec::new(), Some("nop".into()))));
        assert_eq!(phase(""), Ok((Vec::new(), None)));
        assert!(phase("arm,x").is_err());
        assert!(phase("wait,-1").is_err());
        assert!(phase("wait,1e300").is_err());
        assert!(phase(",1").is_err());
    }

    #[test]
    fn filters() {
        assert_eq!(filter_bits("450, 0x00, 1450, 18"), Ok(vec![(450, 0), (1450, 0x18)]));
        assert!(filter_bits("450").is_err());
        assert!(filter_bits("450,0x100").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = (int(&text), float(&text), boolean(&text), word(&text), mac(&text));
            let _ = (list(&text), int_list(&text), phase(&text), filter_bits(&text), register_value(&text));
        }
    }
}
