//! `header` of `archon.yml`: keywords of the images. What cannot be used is left out with a warning: no exposure is
//! lost for a keyword.

use super::reader::{Reader, Section};
use super::yaml::{Kind, Node};
use super::{HeaderEntry, HeaderFrom, ReplyKey, ReplyOf};
use crate::config::finding::Severity;
use crate::value::Value;

/// Replies a value can come from.
const COMMANDS: [&str; 2] = ["status", "system"];
/// Most decimals that make sense of an f64.
const DIGITS_MAX: i64 = 17;
/// Longer keywords become HIERARCH cards.
const KEYWORD_MAX: usize = 8;

/// All of them, in file order.
pub(super) fn read(top: &mut Section<'_>, r: &mut Reader) -> Vec<HeaderEntry> {
    let section = top.section(r, "header");
    let mut found = Vec::new();
    for (name, node) in section.members() {
        let path = section.at(name);
        let key = name.to_ascii_uppercase();
        let from = if keyword(&key) { from(r, &path, node) } else { Err(format!("'{key}' is no keyword")) };
        let from = from.unwrap_or_else(|why| {
            r.warn(node.line, &path, why.clone(), "the keyword is left out");
            HeaderFrom::Unusable(why)
        });
        if key.len() > KEYWORD_MAX {
            let problem = format!("longer than {KEYWORD_MAX} characters");
            r.remark(Severity::Note, node.line, &path, problem, "it is written as a HIERARCH card");
        }
        found.push(HeaderEntry { key, from });
    }
    found
}

fn keyword(key: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !key.is_empty() && key.len() <= 60 && key.bytes().all(|b| plain(b) || b == b' ')
}

fn from(r: &mut Reader, path: &str, node: &Node) -> Result<HeaderFrom, String> {
    match &node.kind {
        Kind::Map(_) => reply(r, path, node),
        Kind::List(items) => match items.as_slice() {
            [value] => Ok(HeaderFrom::Fixed(fixed(value)?, String::new())),
            [value, comment] => Ok(HeaderFrom::Fixed(fixed(value)?, words(comment)?)),
            _ => Err("neither [value] nor [value, comment]".to_owned()),
        },
        _ => Ok(HeaderFrom::Fixed(fixed(node)?, String::new())),
    }
}

fn fixed(node: &Node) -> Result<Value, String> {
    match &node.kind {
        Kind::Bool(b) => Ok(Value::Bool(*b)),
        Kind::Int(i) => Ok(Value::Int(*i)),
        Kind::Float(x) => Ok(Value::Float(*x)),
        Kind::Text(t) => Ok(Value::Str(t.clone())),
        Kind::Null => Ok(Value::Null),
        other => Err(format!("{} cannot be the value of a keyword", other.name())),
    }
}

fn words(node: &Node) -> Result<String, String> {
    super::reader::scalar(&node.kind).ok_or_else(|| format!("{} cannot be a comment", node.kind.name()))
}

/// `{command: status, detectors: {ccd: [key, comment, digits]}}` or `{command: ..., value: [...]}`
fn reply(r: &mut Reader, path: &str, node: &Node) -> Result<HeaderFrom, String> {
    let mut s = Section::of(r, path, node);
    let command = s.take(r, "command", Reader::text);
    let (value, detectors) = (s.get("value"), s.get("detectors"));
    s.finish(r, &[]);
    let command = command.ok_or("the map has no command")?;
    if !COMMANDS.contains(&command.as_str()) {
        r.warn(
            node.line,
            path,
            format!("Invalid command {command}."),
            "write status or system; the value is N/A",
        );
    }
    let of = match (value, detectors) {
        (Some(value), _) => ReplyOf::Any(reply_key(value)?),
        (None, Some(map)) => ReplyOf::Each(by_ccd(r, &format!("{path}.detectors"), map)),
        (None, None) => return Err("the map has neither detectors nor value".to_owned()),
    };
    Ok(HeaderFrom::Reply { command, of })
}

fn by_ccd(r: &mut Reader, path: &str, map: &Node) -> Vec<(String, ReplyKey)> {
    let section = Section::of(r, path, map);
    let mut keys = Vec::new();
    for (ccd, node) in section.members() {
        match reply_key(node) {
            Ok(key) => keys.push((ccd.to_owned(), key)),
            Err(why) => r.warn(node.line, &section.at(ccd), why, "the CCD does not get the keyword"),
        }
    }
    keys
}

/// `[key, comment, digits]`, the last two optional.
fn reply_key(node: &Node) -> Result<ReplyKey, String> {
    let wrong = || "not [reply key, comment, digits]".to_owned();
    let Kind::List(items) = &node.kind else { return Err(wrong()) };
    let (key, comment, digits) = match items.as_slice() {
        [key] => (key, None, None),
        [key, comment] => (key, Some(comment), None),
        [key, comment, digits] => (key, Some(comment), Some(digits)),
        _ => return Err(wrong()),
    };
    let digits = match digits.map(|d| &d.kind) {
        None | Some(Kind::Null) => None,
        Some(Kind::Int(n)) if (0..=DIGITS_MAX).contains(n) => u32::try_from(*n).ok(),
        Some(_) => return Err(format!("the number of decimals is not 0..{DIGITS_MAX}")),
    };
    Ok(ReplyKey {
        key: words(key)?.to_ascii_lowercase(),
        comment: comment.map(words).transpose()?.unwrap_or_default(),
        digits,
    })
}
