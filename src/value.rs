//! [`Value`]: what methods take and return on every face (JSON shim, binary RPC, command line).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A dynamically typed argument or result. Integers and floats stay distinct: the kind decides the
/// status text (`SCANLEN` `30` is not `30.0`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
pub enum Value {
    /// Python `None`, JSON `null`.
    #[default]
    Null,
    /// true or false
    Bool(bool),
    /// 64-bit signed integer
    Int(i64),
    /// IEEE double; never NaN or infinite on the JSON face
    Float(f64),
    /// Unicode text
    Str(String),
    /// Raw bytes; on the JSON face a string with one character U+0000..U+00FF per byte
    Bytes(Vec<u8>),
    /// Python list or tuple
    List(Vec<Value>),
    /// Object with keys in order
    Map(Vec<(String, Value)>),
}

impl Value {
    /// `[ok, "text"]`, the reply shape of most Player methods.
    pub fn verdict(ok: bool, text: impl Into<String>) -> Value {
        Value::List(vec![Value::Bool(ok), Value::Str(text.into())])
    }

    /// Python truth: `None`, `False`, 0, empty text and empty containers are false.
    pub fn truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            Value::Float(x) => *x != 0.0,
            Value::Str(s) => !s.is_empty(),
            Value::Bytes(b) => !b.is_empty(),
            Value::List(l) => !l.is_empty(),
            Value::Map(m) => !m.is_empty(),
        }
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// A number as f64 (integers converted); `None` for anything else, booleans included.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(i) => Some(*i as f64),
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// Member of a map.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(m) => m.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// What this is called in messages: `null`, `bool`, `int`, `float`, `str`, `bytes`, `list`, `map`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "map",
        }
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Value {
        Value::Str(s.to_owned())
    }
}
impl From<String> for Value {
    fn from(s: String) -> Value {
        Value::Str(s)
    }
}
impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}
impl From<i64> for Value {
    fn from(i: i64) -> Value {
        Value::Int(i)
    }
}
impl From<f64> for Value {
    fn from(x: f64) -> Value {
        Value::Float(x)
    }
}
impl From<Vec<Value>> for Value {
    fn from(l: Vec<Value>) -> Value {
        Value::List(l)
    }
}

/// Python-2 `str()` of the value: this is the text that enters status memory.
///
/// Floats: 12 significant digits, positional for exponents -4..=10, `.0` appended to whole numbers,
/// otherwise scientific with at least two exponent digits (`1e+11`, `4.096e-05`).
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Float(x) => f.write_str(&float_text(*x)),
            Value::Str(s) => f.write_str(s),
            Value::Bytes(b) => f.write_str(&String::from_utf8_lossy(b)),
            Value::List(l) => {
                f.write_str("[")?;
                for (i, v) in l.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    match v {
                        Value::Str(s) => write!(f, "'{s}'")?,
                        v => write!(f, "{v}")?,
                    }
                }
                f.write_str("]")
            }
            Value::Map(m) => {
                f.write_str("{")?;
                for (i, (k, v)) in m.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    match v {
                        Value::Str(s) => write!(f, "'{k}': '{s}'")?,
                        v => write!(f, "'{k}': {v}")?,
                    }
                }
                f.write_str("}")
            }
        }
    }
}

/// Python-2 `str(float)`; see [`Value`]'s `Display`.
pub fn float_text(x: f64) -> String {
    // d.ddddddddddde±x : 12 significant digits, correctly rounded
    if x.is_finite() { python_layout(&format!("{x:.11e}"), 11) } else { not_finite(x).into() }
}

/// Python-3 `str(float)`: the shortest text that is read back as this number; positional for exponents -4..=15.
pub fn float_repr(x: f64) -> String {
    if x.is_finite() { python_layout(&format!("{x:e}"), 16) } else { not_finite(x).into() }
}

fn not_finite(x: f64) -> &'static str {
    if x.is_nan() {
        "nan"
    } else if x > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

/// `d.ddde±x` as Python writes it: positional below the given exponent.
fn python_layout(sci: &str, scientific_from: i32) -> String {
    let (mantissa, exponent) = sci.split_once('e').expect("{:e} always prints an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} prints a decimal exponent");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(m) => ("-", m),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    if !(-4..scientific_from).contains(&exponent) {
        let (head, tail) = digits.split_at(1);
        let point = if tail.is_empty() { "" } else { "." };
        let esign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{head}{point}{tail}e{esign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        format!("{sign}{digits}{}.0", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_two_prints_them() {
        for (x, text) in [
            (1500e6, "1500000000.0"),
            (1e10, "10000000000.0"),
            (1e11, "1e+11"),
            (123456789012.5, "1.23456789012e+11"),
            (0.1 + 0.2, "0.3"),
            (4.096e-05, "4.096e-05"),
            (1e-5, "1e-05"),
            (1e-4, "0.0001"),
            (100.0, "100.0"),
            (-0.0, "-0.0"),
            (0.0, "0.0"),
            (f64::INFINITY, "inf"),
            (0.108385621333, "0.108385621333"),
            (1464843.75, "1464843.75"),
        ] {
            assert_eq!(float_text(x), text);
        }
    }

    #[test]
    fn floats_print_as_python_three_prints_them() {
        for (x, text) in [
            (-115.5, "-115.5"),
            (1.0, "1.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (1e-4, "0.0001"),
            (-0.0, "-0.0"),
            (123456789012.5, "123456789012.5"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float_repr(x), text);
        }
    }

    #[test]
    fn truth_is_pythons() {
        assert!(!Value::Str(String::new()).truthy());
        assert!(!Value::Float(0.0).truthy());
        assert!(Value::Str("False".into()).truthy());
    }
}
