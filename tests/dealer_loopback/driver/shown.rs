//! What the shell shows, as the value it was made of; as far as the results of the dealer go.

use super::{Complaint, Heard};
use appliance::proto::json;
use appliance::value::Value;

/// One answer, without the prompt after it.
pub fn read(text: &str) -> Heard {
    let text = plain(text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    if let Some(complaint) = lines.first().and_then(|line| complaint(line)) {
        return Err(complaint);
    }
    Ok(match &lines[..] {
        [] => Value::Null,
        // A list too long for one line has its items one below the other: `[true, {player: ..}]`.
        [first @ ("True" | "False"), rest @ ..] if !rest.is_empty() => {
            Value::List(vec![Value::Bool(*first == "True"), members(rest)])
        }
        [one] if !is_member(one) => single(one),
        many => members(many),
    })
}

/// Without what only moves the cursor or sets the terminal: `ESC [ ... letter`.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

/// `ValueError (invalid): words`
fn complaint(line: &str) -> Option<Complaint> {
    let (class, rest) = line.split_once(" (")?;
    let (_, text) = rest.split_once("): ")?;
    let named = class.ends_with("Error") || class == "Exception";
    named.then(|| Complaint { class: class.to_owned(), text: text.to_owned() })
}

/// `BANKA  ok: New mode MODE1 set!`
fn is_member(line: &str) -> bool {
    line.split_once("  ").is_some_and(|(_, rest)| {
        let rest = rest.trim_start();
        ["ok:", "FAILED:", "[", "{", "None"].iter().any(|mark| rest.starts_with(mark))
    })
}

fn members(lines: &[&str]) -> Value {
    let member = |line: &&str| {
        let (name, rest) = line.split_once("  ").unwrap_or_else(|| panic!("no member: {line}"));
        (name.to_owned(), inline(rest.trim_start()))
    };
    Value::Map(lines.iter().map(member).collect())
}

fn single(line: &str) -> Value {
    let names: Vec<&str> = line.split_whitespace().collect();
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match names.iter().all(is_name) && names.len() > 1 {
        true => Value::List(names.into_iter().map(Value::from).collect()),
        false => inline(line),
    }
}

fn inline(text: &str) -> Value {
    if let Some(text) = text.strip_prefix("ok: ") {
        return Value::verdict(true, text);
    }
    if let Some(text) = text.strip_prefix("FAILED: ") {
        return Value::verdict(false, text);
    }
    let in_json = text.replace("True", "true").replace("False", "false").replace("None", "null");
    let in_json = in_json.replace('\'', "\"");
    json::read(in_json.as_bytes()).unwrap_or_else(|_| text.into())
}

#[test]
fn what_is_shown_can_be_read() {
    let bank = |text: &str| read(text).expect("no complaint");
    let lost = Value::verdict(false, "Lost connection to server for BANKB.");
    assert_eq!(
        bank("BANKA  ok: New mode MODE1 set!\r\nBANKB  FAILED: Lost connection to server for BANKB.\r\n"),
        Value::Map(vec![
            ("BANKA".into(), Value::verdict(true, "New mode MODE1 set!")),
            ("BANKB".into(), lost.clone())
        ])
    );
    let status = Value::List(vec![false.into(), "NETSTAT=exiting".into(), "DISKSTAT=exiting".into()]);
    assert_eq!(
        bank(
            "False\r\nBANKA  [False, 'NETSTAT=exiting', 'DISKSTAT=exiting']\r\nBANKB  FAILED: Lost connection to server for BANKB.\r\n"
        ),
        Value::List(vec![false.into(), Value::Map(vec![("BANKA".into(), status), ("BANKB".into(), lost)])])
    );
    assert_eq!(bank("\u{1b}[?2004lBANKA  BANKB\r\n"), Value::List(vec!["BANKA".into(), "BANKB".into()]));
    assert_eq!(bank("ok: MODE1\r\n"), Value::verdict(true, "MODE1"));
    let wrong = read("ValueError (invalid): there is no 'x'\r\n  Nothing was done.\r\n");
    assert_eq!(wrong, Err(Complaint { class: "ValueError".into(), text: "there is no 'x'".into() }));
}
