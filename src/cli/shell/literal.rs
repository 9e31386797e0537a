//! Values as people write them: Python's literals and JSON's.

use crate::value::Value;

/// Deepest nesting of brackets.
const DEPTH_MAX: usize = 32;

/// Reads one value from the beginning of a text; gives the rest. Words (`MODE1`) are no literals.
///
/// # Errors
/// What is wrong, in words.
pub fn read(text: &str) -> Result<(Value, &str), String> {
    value(text.trim_start(), 0)
}

/// The whole text as a value.
///
/// # Errors
/// It is no literal, or there is more than one.
pub fn read_all(text: &str) -> Result<Value, String> {
    match read(text)? {
        (value, rest) if rest.trim().is_empty() => Ok(value),
        (_, rest) => Err(format!("'{}' is one too many", rest.trim())),
    }
}

fn value(text: &str, depth: usize) -> Result<(Value, &str), String> {
    if depth > DEPTH_MAX {
        return Err(format!("brackets are nested deeper than {DEPTH_MAX}"));
    }
    match text.chars().next() {
        None => Err("a value is missing".into()),
        Some(quote @ ('\'' | '"')) => quoted(&text[1..], quote).map(|(text, rest)| (Value::Str(text), rest)),
        Some('[') => items(&text[1..], ']', depth).map(|(items, rest)| (Value::List(items), rest)),
        Some('(') => items(&text[1..], ')', depth).map(|(items, rest)| (Value::List(items), rest)),
        Some('{') => members(&text[1..], depth),
        Some(_) => plain(text),
    }
}

/// `a, b, c]`; a comma at the end is allowed.
fn items(text: &str, close: char, depth: usize) -> Result<(Vec<Value>, &str), String> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    loop {
        if let Some(rest) = rest.strip_prefix(close) {
            return Ok((found, rest));
        }
        let (item, after) = value(rest, depth + 1)?;
        found.push(item);
        rest = separated(after, close)?;
    }
}

/// `"a": 1, "b": 2}`
fn members(text: &str, depth: usize) -> Result<(Value, &str), String> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((Value::Map(found), rest));
        }
        let (key, after) = value(rest, depth + 1)?;
        let Value::Str(key) = key else { return Err(format!("the key {key} must be a text in quotes")) };
        let after =
            after.trim_start().strip_prefix(':').ok_or_else(|| format!("':' is missing after '{key}'"))?;
        let (member, after) = value(after.trim_start(), depth + 1)?;
        found.push((key, member));
        rest = separated(after, '}')?;
    }
}

/// Takes a comma, or stands before the closing bracket.
fn separated(text: &str, close: char) -> Result<&str, String> {
    let rest = text.trim_start();
    match rest.strip_prefix(',') {
        Some(after) => Ok(after.trim_start()),
        None if rest.starts_with(close) => Ok(rest),
        None => Err(format!("'{close}' is missing")),
    }
}

/// A text up to its closing quote, which is not part of what is given.
pub(super) fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, c @ ('\\' | '\'' | '"'))) => out.push(c),
                Some((_, c)) => out.extend(['\\', c]),
                None => break,
            },
            c if c == quote => return Ok((out, &text[at + c.len_utf8()..])),
            c => out.push(c),
        }
    }
    Err(format!("the closing {quote} is missing"))
}

/// A number or one of the words that are values.
fn plain(text: &str) -> Result<(Value, &str), String> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
    let end = text.find(|c: char| !in_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = match word {
        "True" | "true" => Value::Bool(true),
        "False" | "false" => Value::Bool(false),
        "None" | "null" => Value::Null,
        "" => return Err(format!("a value is missing before '{text}'")),
        _ => number(word).ok_or_else(|| format!("{word} is no value: a text needs quotes here"))?,
    };
    Ok((value, rest))
}

/// Also `0x1f`. Not `nan` and `inf`, which JSON cannot carry.
fn number(word: &str) -> Option<Value> {
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok().map(Value::Int);
    }
    if let Ok(whole) = word.parse::<i64>() {
        return Some(Value::Int(whole));
    }
    let starts = word.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    word.parse::<f64>().ok().filter(|x| starts && x.is_finite()).map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_are_read() {
        let list = |items: &[Value]| Value::List(items.to_vec());
        for (text, want) in [
            ("12", Value::Int(12)),
            ("0x10", Value::Int(16)),
            ("-1.5e3", Value::Float(-1500.0)),
            ("True", true.into()),
            ("null", Value::Null),
            ("'it\\'s'", "it's".into()),
            ("\"a b\"", "a b".into()),
            ("[1, 'x', [None,],]", list(&[Value::Int(1), "x".into(), list(&[Value::Null])])),
            ("(1, 2)", list(&[Value::Int(1), Value::Int(2)])),
            (
                "{'a': 1, \"b\": {}}",
                Value::Map(vec![("a".into(), Value::Int(1)), ("b".into(), Value::Map(vec![]))]),
            ),
        ] {
            assert_eq!(read_all(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_said() {
        for (text, says) in [
            ("MODE1", "quotes"),
            ("'open", "closing '"),
            ("[1", "']' is missing"),
            ("{1: 2}", "must be a text"),
            ("{'a' 2}", "':' is missing"),
            ("1 2", "one too many"),
            ("nan", "no value"),
            ("99999999999999999999x", "no value"),
            ("", "missing"),
        ] {
            let error = read_all(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(read_all(&"[".repeat(500)).is_err_and(|e| e.contains("deeper")));
    }
}
