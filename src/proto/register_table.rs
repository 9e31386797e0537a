//! A register map written by hand: one register a line, `name offset size [access]`.
//!
//! ```text
//! # the design of the card
//! acc_len   0x1000  4          read and write unless said
//! status    0x1004  4     r    r, w or rw
//! lut       8192    0x800
//! ```
//! Offsets and sizes are bytes, decimal or hexadecimal with `0x`. `#` begins a comment.

use super::gateware::{Access, GatewareError, Register, RegisterMap};

/// Parses a table. Lines are counted from 1 in errors.
pub fn parse(text: &str) -> Result<RegisterMap, TableError> {
    let mut registers = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default();
        let fields: Vec<&str> = text.split_whitespace().collect();
        if !fields.is_empty() {
            registers.push(register(&fields).map_err(|what| TableError::Line { line, what })?);
        }
    }
    match registers.is_empty() {
        true => Err(TableError::Empty),
        false => RegisterMap::new(registers).map_err(TableError::Map),
    }
}

fn register(fields: &[&str]) -> Result<Register, String> {
    let (name, offset, size, access) = match fields {
        [name, offset, size] => (name, offset, size, "rw"),
        [name, offset, size, access] => (name, offset, size, *access),
        _ => return Err("write: name offset size [r|w|rw]".into()),
    };
    let bytes = |what: &str, text: &str| {
        let value = number(text).and_then(|n| u32::try_from(n).ok());
        value.ok_or_else(|| format!("{what} '{text}' is no number of bytes below 2^32"))
    };
    let access = match access {
        "r" | "ro" => Access::Read,
        "w" | "wo" => Access::Write,
        "rw" => Access::ReadWrite,
        other => return Err(format!("access '{other}' is none of r, w, rw")),
    };
    let (offset, size) = (bytes("offset", offset)?, bytes("size", size)?);
    if size == 0 {
        return Err(format!("register {name} has no bytes"));
    }
    Ok(Register { name: (*name).to_owned(), offset, size, access })
}

/// A number as people write it: decimal, or hexadecimal with `0x`.
pub fn number(text: &str) -> Option<u64> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((text, 10), |digits| (digits, 16));
    // `from_str_radix` would take a sign.
    let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// Why a text is no register map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A line that cannot be understood.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// No register at all.
    #[error("the table names no register")]
    Empty,
    /// Names or extents that contradict each other.
    #[error("{0}")]
    Map(GatewareError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_by_hand() {
        let map = parse("# a card\nacc_len 0x1000 4\n\nstatus 4100 4 r # fabric's\nlut\t0x2000 0x800 rw\n");
        let map = map.expect("well-formed");
        let seen: Vec<_> = map.iter().map(|r| (r.name.as_str(), r.offset, r.size, r.access)).collect();
        let wanted = [
            ("acc_len", 0x1000, 4, Access::ReadWrite),
            ("status", 4100, 4, Access::Read),
            ("lut", 0x2000, 0x800, Access::ReadWrite),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn refusals_name_the_line() {
        let cases = [
            ("", "the table names no register"),
            ("a 0 4\nb 4", "line 2: write: name offset size [r|w|rw]"),
            ("a -1 4", "line 1: offset '-1' is no number of bytes below 2^32"),
            ("a 0 0x100000000", "line 1: size '0x100000000' is no number of bytes below 2^32"),
            ("a 0 0", "line 1: register a has no bytes"),
            ("a 0 4 x", "line 1: access 'x' is none of r, w, rw"),
            ("a 0 4\na 4 4", "register a is there twice"),
            ("a 0xFFFFFFFF 4", "register a exceeds the register space"),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse(text).expect_err(text).to_string(), wanted);
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(["12", "0x1F", "0Xff", "010"].map(number), [Some(12), Some(31), Some(255), Some(10)]);
        for bad in ["", "0x", "+1", "-1", "1 ", "zzz", "0x+1", "18446744073709551616"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
