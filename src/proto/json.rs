//! JSON text and [`Value`].
//!
//! Reading: serde_json's grammar (at most 128 levels, no NaN, last duplicate key wins), whole numbers within
//! 64 bits. Writing: as Python's `json.dumps` prints it, `", "` and `": "`, everything ASCII.

use crate::value::Value;
use std::io::Write;

/// Text that is not a JSON value for us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, not UTF-8, nested deeper than 128, something after the value, ...
    #[error("not JSON: {0}")]
    Syntax(String),
    /// A whole number beyond 64 bits.
    #[error("whole number {0} does not fit 64 bits")]
    Integer(String),
}

/// A value JSON has no word for: NaN or an infinity.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} cannot be written as JSON")]
pub struct NotJson(pub f64);

/// Reads one JSON value with nothing but white space around it.
pub fn read(text: &[u8]) -> Result<Value, JsonError> {
    let json: serde_json::Value =
        serde_json::from_slice(text).map_err(|e| JsonError::Syntax(e.to_string()))?;
    // serde_json turns whole numbers beyond u64 into floats: look for them in the text.
    if let Some(number) = long_numbers(text).find(|n| n.parse::<i64>().is_err()) {
        return Err(JsonError::Integer(shorten(number)));
    }
    Ok(from_serde(json))
}

fn from_serde(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => Value::Int(i),
            None => Value::Float(n.as_f64().expect("a number of serde_json is i64, u64 or f64")),
        },
        Json::String(s) => Value::Str(s),
        Json::Array(items) => Value::List(items.into_iter().map(from_serde).collect()),
        Json::Object(members) => Value::Map(members.into_iter().map(|(k, v)| (k, from_serde(v))).collect()),
    }
}

/// Digits a number must have before it can exceed 64 bits.
const SUSPECT_DIGITS: usize = 19;

/// The whole numbers of at least [`SUSPECT_DIGITS`] characters in valid JSON, strings skipped.
fn long_numbers(text: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|b| matches!(b, b'"' | b'-' | b'0'..=b'9'))?;
            rest = &rest[start..];
            let len = if rest[0] == b'"' { string_len(rest) } else { number_len(rest) };
            let (token, after) = rest.split_at(len);
            rest = after;
            let whole = token[0] != b'"' && !token.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
            if whole && len >= SUSPECT_DIGITS {
                return std::str::from_utf8(token).ok();
            }
        }
    })
}

fn string_len(text: &[u8]) -> usize {
    let mut escaped = false;
    for (i, b) in text.iter().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

fn number_len(text: &[u8]) -> usize {
    let of_number = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    text.iter().position(|b| !of_number(b)).unwrap_or(text.len())
}

fn shorten(number: &str) -> String {
    match number.get(..40) {
        Some(head) if number.len() > 40 => format!("{head}.."),
        _ => number.to_owned(),
    }
}

/// Appends a value as JSON text. On error `out` holds a torn beginning.
pub fn write(out: &mut Vec<u8>, value: &Value) -> Result<(), NotJson> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(i) => print(out, format_args!("{i}")),
        Value::Float(x) if x.is_finite() => print(out, format_args!("{x:?}")),
        Value::Float(x) => return Err(NotJson(*x)),
        Value::Str(s) => write_string(out, s.chars()),
        Value::Bytes(bytes) => write_string(out, bytes.iter().map(|b| char::from(*b))),
        Value::List(items) => write_items(out, items)?,
        Value::Map(members) => {
            out.push(b'{');
            for (i, (key, value)) in members.iter().enumerate() {
                separate(out, i);
                write_string(out, key.chars());
                out.extend_from_slice(b": ");
                write(out, value)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Appends a JSON array of `items`.
pub fn write_items(out: &mut Vec<u8>, items: &[Value]) -> Result<(), NotJson> {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        separate(out, i);
        write(out, item)?;
    }
    out.push(b']');
    Ok(())
}

/// A value as JSON text.
pub fn to_text(value: &Value) -> Result<String, NotJson> {
    let mut out = Vec::new();
    write(&mut out, value)?;
    Ok(String::from_utf8(out).expect("the writer emits ASCII only"))
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

fn write_string(out: &mut Vec<u8>, text: impl Iterator<Item = char>) {
    out.push(b'"');
    for c in text {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            ' '..='\u{7f}' => out.push(c as u8),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    print(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
pub(crate) mod tests;
