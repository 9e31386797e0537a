//! What `appliance fpga` says: lines for people, the same as a value for programs.

use super::Told;
use super::inventory::Entry;
use crate::fpga::FpgaError;
use crate::proto::gateware::Access;
use crate::value::Value;
use std::fmt::Write;

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to memory cannot fail");
}

fn map(pairs: Vec<(&str, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn number(n: u64) -> Value {
    i64::try_from(n).map_or(Value::Null, Value::from)
}

fn list_of(words: &[u32]) -> Value {
    Value::List(words.iter().map(|w| i64::from(*w).into()).collect())
}

fn access(access: Option<Access>) -> &'static str {
    match access {
        None => "?",
        Some(Access::None) => "-",
        Some(Access::Read) => "r",
        Some(Access::Write) => "w",
        Some(Access::ReadWrite) => "rw",
    }
}

/// Names, places, sizes.
pub(super) fn list(entries: &[Entry]) -> Told {
    let width = width(entries.iter());
    let mut text = String::new();
    let shown = |n: Option<u64>, hex: bool| match (n, hex) {
        (None, _) => "?".to_owned(),
        (Some(n), true) => format!("{n:#x}"),
        (Some(n), false) => n.to_string(),
    };
    for e in entries {
        let (offset, size) = (shown(e.offset, true), shown(e.size, false));
        line(&mut text, format_args!("{:<width$}  {offset:>10}  {size:>8}  {}", e.name, access(e.access)));
    }
    let value = |e: &Entry| {
        let known = |n: Option<u64>| n.map_or(Value::Null, number);
        map(vec![
            ("name", e.name.as_str().into()),
            ("offset", known(e.offset)),
            ("size", known(e.size)),
            ("access", e.access.map_or(Value::Null, |a| access(Some(a)).into())),
        ])
    };
    Told { text, value: Value::List(entries.iter().map(value).collect()) }
}

fn width<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    entries.map(|e| e.name.len()).max().unwrap_or(0)
}

/// One word a line.
pub(super) fn words(name: &str, offset: u32, words: &[u32]) -> Told {
    let mut text = String::new();
    for (n, word) in words.iter().enumerate() {
        let at = u64::from(offset) + 4 * n as u64;
        line(&mut text, format_args!("{name}+{at:#x}  {word:#010x}  {word}"));
    }
    let value =
        map(vec![("register", name.into()), ("offset", i64::from(offset).into()), ("words", list_of(words))]);
    Told { text, value }
}

/// What was there and what is there now.
pub(super) fn written(name: &str, offset: u32, before: Option<&[u32]>, now: &[u32], verified: bool) -> Told {
    let mut text = String::new();
    let how = if verified { "written and read back" } else { "written, not read back" };
    for (n, word) in now.iter().enumerate() {
        let at = u64::from(offset) + 4 * n as u64;
        let was = before.and_then(|b| b.get(n)).map_or("?".into(), |b| format!("{b:#x} ({b})"));
        line(&mut text, format_args!("{name}+{at:#x}: {was} -> {word:#x} ({word}), {how}"));
    }
    let value = map(vec![
        ("register", name.into()),
        ("offset", i64::from(offset).into()),
        ("before", before.map_or(Value::Null, list_of)),
        ("words", list_of(now)),
        ("verified", verified.into()),
    ]);
    Told { text, value }
}

/// The first words of every register.
pub(super) fn dump(dumped: &[(Entry, Result<Vec<u32>, FpgaError>)]) -> Told {
    let width = width(dumped.iter().map(|(entry, _)| entry));
    let mut text = String::new();
    let mut pairs = Vec::new();
    for (entry, read) in dumped {
        let (shown, value) = match read {
            Ok(words) => {
                let all = entry.size.is_none_or(|size| size <= 4 * words.len() as u64);
                let list: Vec<String> = words.iter().map(|w| format!("{w:#010x}")).collect();
                (list.join(" ") + if all { "" } else { " ..." }, list_of(words))
            }
            Err(error) => (reason(error), map(vec![("error", error.to_string().into())])),
        };
        line(&mut text, format_args!("{:<width$}  {shown}", entry.name));
        pairs.push((entry.name.clone(), value));
    }
    Told { text, value: Value::Map(pairs) }
}

/// An error in one line.
fn reason(error: &FpgaError) -> String {
    match error {
        FpgaError::Rejected { log, .. } if !log.is_empty() => format!("({})", log.join("; ")),
        other => format!("({})", other.to_string().replace('\n', ";")),
    }
}

/// The board as a whole.
pub(super) fn status(runs: bool, registers: Option<usize>, images: &[String], holder: Option<&str>) -> Told {
    let mut text = String::new();
    let design = match (runs, registers) {
        (false, _) => "no design runs".to_owned(),
        (true, None) => "a design runs".to_owned(),
        (true, Some(n)) => format!("a design of {n} registers runs"),
    };
    line(&mut text, format_args!("the board answers, {design}"));
    match holder {
        Some(process) => line(&mut text, format_args!("driven by process {process} of this host")),
        None => line(&mut text, format_args!("no player of this host drives it")),
    }
    if !images.is_empty() {
        line(&mut text, format_args!("images: {}", images.join(" ")));
    }
    let value = map(vec![
        ("programmed", runs.into()),
        ("registers", registers.map_or(Value::Null, |n| number(n as u64))),
        ("images", Value::List(images.iter().map(|i| i.as_str().into()).collect())),
        ("driven_by", holder.map_or(Value::Null, Value::from)),
    ]);
    Told { text, value }
}

/// A design that runs.
pub(super) fn programmed(image: &str) -> Told {
    let text = format!("{image} is programmed and runs");
    Told { text, value: map(vec![("image", image.into()), ("programmed", true.into())]) }
}
