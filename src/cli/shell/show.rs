//! Results for people: tables for objects of objects, a line for each player, a mark on what was refused.

use crate::cli::paint::Paint;
use crate::value::Value;
use std::fmt::Write;

/// Widest cell of a table; longer texts are cut there, and seen whole when the value is asked for alone.
const CELL_MAX: usize = 40;
/// Most columns of a table; objects with more members are shown one below the other.
const COLUMNS_MAX: usize = 8;

/// A result as text, without a line end; `width`: columns of the terminal.
pub fn result(value: &Value, width: usize, paint: Paint) -> String {
    let mut out = String::new();
    block(&mut out, value, 0, width, paint);
    out.trim_end().to_owned()
}

/// `[true|false, text]`: what most methods of a player answer.
pub fn verdict(value: &Value) -> Option<(bool, &str)> {
    match value {
        Value::List(items) => match &items[..] {
            [Value::Bool(ok), Value::Str(text)] => Some((*ok, text)),
            _ => None,
        },
        _ => None,
    }
}

/// Does a result say no? `[false, text]`, or an object in which somebody has such an entry. Other lists that begin with
/// false are no refusals: `scan_status` says with one that no scan runs.
pub fn refused(value: &Value) -> bool {
    let no = |v: &Value| verdict(v).is_some_and(|(ok, _)| !ok);
    match value {
        Value::Map(members) => members.iter().any(|(_, v)| no(v)),
        other => no(other),
    }
}

fn block(out: &mut String, value: &Value, indent: usize, width: usize, paint: Paint) {
    match value {
        Value::Map(members) if members.is_empty() => line(out, indent, "{}"),
        Value::Map(members) => match table_of(members) {
            Some((heads, rows)) => table(out, indent, &heads, &rows, paint),
            None => pairs(out, members, indent, width, paint),
        },
        Value::List(items) if is_laid_out(value, items) => list(out, items, indent, width, paint),
        other => line(out, indent, &inline(other, paint)),
    }
}

/// Is a list more than one line? A verdict and a note are not.
fn is_laid_out(value: &Value, items: &[Value]) -> bool {
    let worth = |item: &Value| matches!(item, Value::Map(_)) || note(item).is_some();
    verdict(value).is_none() && note(value).is_none() && (items.len() > 1 || items.iter().any(worth))
}

/// `[time, text]`, as warnings and errors are kept: the time to the second, and the text.
fn note(value: &Value) -> Option<(String, &str)> {
    let Value::List(items) = value else { return None };
    let [Value::Str(time), Value::Str(text)] = &items[..] else { return None };
    let time: jiff::civil::DateTime = time.parse().ok()?;
    Some((time.strftime("%Y-%m-%d %H:%M:%S").to_string(), text))
}

/// One member a line, the names in a column.
fn pairs(out: &mut String, members: &[(String, Value)], indent: usize, width: usize, paint: Paint) {
    let names = members.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(CELL_MAX);
    for (name, value) in members {
        let name = clean(name);
        let short = inline(value, paint);
        let is_nested = matches!(value, Value::Map(_) | Value::List(_))
            && verdict(value).is_none()
            && note(value).is_none();
        if is_nested && indent + names + 2 + short.chars().count() > width {
            line(out, indent, &paint.name(&name));
            block(out, value, indent + 2, width, paint);
        } else {
            let gap = " ".repeat(names.saturating_sub(name.chars().count()));
            line(out, indent, &format!("{}{gap}  {short}", paint.name(&name)));
        }
    }
}

fn list(out: &mut String, items: &[Value], indent: usize, width: usize, paint: Paint) {
    let whole = inline(&Value::List(items.to_vec()), paint);
    let rows: Option<Vec<(String, Value)>> =
        items.iter().map(|v| matches!(v, Value::Map(_)).then(|| (String::new(), v.clone()))).collect();
    if let Some((heads, rows)) = rows.as_deref().and_then(table_of) {
        table(out, indent, &heads, &rows, paint);
    } else if items.iter().all(|v| v.as_str().is_some()) {
        columns(out, items, indent, width);
    } else if indent + whole.chars().count() <= width && !items.iter().any(|i| note(i).is_some()) {
        line(out, indent, &whole);
    } else {
        for (n, item) in items.iter().enumerate() {
            // What has several lines of its own is kept apart from the next.
            if n > 0 && matches!(item, Value::Map(_)) {
                line(out, 0, "");
            }
            block(out, item, indent, width, paint);
        }
    }
}

/// Short texts side by side.
fn columns(out: &mut String, items: &[Value], indent: usize, width: usize) {
    let texts: Vec<String> = items.iter().map(|v| clean(v.as_str().unwrap_or_default())).collect();
    let widest = texts.iter().map(|t| t.chars().count()).max().unwrap_or(0) + 2;
    let in_row = (width.saturating_sub(indent) / widest).max(1);
    for row in texts.chunks(in_row) {
        let cells: String = row.iter().map(|t| format!("{t:<widest$}")).collect();
        line(out, indent, cells.trim_end());
    }
}

type Rows = Vec<Vec<String>>;

/// Objects with few and mostly the same members, as a table; the first column holds their names.
fn table_of(members: &[(String, Value)]) -> Option<(Vec<String>, Rows)> {
    let mut heads: Vec<String> = Vec::new();
    for (_, value) in members {
        let Value::Map(inner) = value else { return None };
        for (key, cell) in inner {
            if matches!(cell, Value::Map(_)) {
                return None;
            }
            if !heads.contains(key) {
                heads.push(key.clone());
            }
        }
    }
    if heads.is_empty() || heads.len() > COLUMNS_MAX || members.len() < 2 {
        return None;
    }
    let cell = |value: &Value, head: &String| value.get(head).map_or("-".into(), |v| inline(v, Paint::PLAIN));
    let row = |(name, value): &(String, Value)| {
        std::iter::once(clean(name)).chain(heads.iter().map(|h| cell(value, h))).collect()
    };
    let rows = members.iter().map(row).collect();
    Some((std::iter::once(String::new()).chain(heads.iter().map(|h| clean(h))).collect(), rows))
}

fn table(out: &mut String, indent: usize, heads: &[String], rows: &Rows, paint: Paint) {
    let last = heads.len() - 1;
    let width = |n: usize| {
        let widest =
            rows.iter().map(|r| r[n].chars().count()).max().unwrap_or(0).max(heads[n].chars().count());
        if n == last { widest } else { widest.min(CELL_MAX) }
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let laid = |cells: &[String]| {
        let cell = |(n, text): (usize, &String)| fit(text, widths[n]);
        // A list has no names: its first column is empty.
        let cells: Vec<String> = cells.iter().enumerate().filter(|(n, _)| widths[*n] > 0).map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    };
    line(out, indent, &paint.name(&laid(heads)));
    rows.iter().for_each(|row| line(out, indent, &laid(row)));
}

/// Exactly so many characters; what is cut ends in `~`.
pub fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text}{}", " ".repeat(width - length));
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { String::new() } else { format!("{kept}~") }
}

/// A value in one line.
pub fn inline(value: &Value, paint: Paint) -> String {
    if let Some((ok, text)) = verdict(value) {
        let mark = if ok { paint.good("ok:") } else { paint.bad("FAILED:") };
        return format!("{mark} {}", clean(text));
    }
    if let Some((time, text)) = note(value) {
        return format!("{time}  {}", clean(text));
    }
    match value {
        Value::Null => "None".into(),
        Value::Str(text) => clean(text),
        Value::Bytes(bytes) => hex(bytes),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|v| nested(v, paint)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(members) => {
            let one = |(name, v): &(String, Value)| format!("{}: {}", clean(name), nested(v, paint));
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Texts inside of lists and objects have quotes: an empty one, or one with a comma, is still seen as one.
fn nested(value: &Value, paint: Paint) -> String {
    match value {
        Value::Str(text) => format!("'{}'", clean(text)),
        other => inline(other, paint),
    }
}

fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let mut out = format!("{} bytes:", bytes.len());
    for byte in bytes.iter().take(SHOWN) {
        write!(out, " {byte:02x}").expect("writing to memory cannot fail");
    }
    if bytes.len() > SHOWN { out + " .." } else { out }
}

/// Nothing that a terminal would obey.
pub fn clean(text: &str) -> String {
    let one = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

fn line(out: &mut String, indent: usize, text: &str) {
    writeln!(out, "{:indent$}{text}", "").expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::json;

    fn shown(json_text: &str) -> String {
        result(&json::read(json_text.as_bytes()).expect("JSON"), 80, Paint::PLAIN)
    }

    #[test]
    fn verdicts_are_marked() {
        assert_eq!(shown(r#"[true, "New mode MODE1 set!"]"#), "ok: New mode MODE1 set!");
        let many = shown(r#"{"BANKA": [true, "done"], "BANKB": [false, "Lost connection"], "C": null}"#);
        assert_eq!(many, "BANKA  ok: done\nBANKB  FAILED: Lost connection\nC      None");
        let refused = result(&Value::verdict(false, "no"), 80, Paint::COLOUR);
        assert!(refused.starts_with("\x1b[") && refused.contains("FAILED:"), "{refused:?}");
    }

    #[test]
    fn objects_of_objects_are_tables() {
        let text = shown(r#"{"BANKA": {"state": "READY", "mode": "MODE1"}, "BANKB": {"state": "NO_MODE"}}"#);
        assert_eq!(text, "       state    mode\nBANKA  READY    MODE1\nBANKB  NO_MODE  -");
        let text = shown(r#"[{"id": 1, "state": "waiting"}, {"id": 12, "state": "done"}]"#);
        assert_eq!(text, "id  state\n1   waiting\n12  done");
    }

    #[test]
    fn everything_else_is_readable_too() {
        assert_eq!(shown("1.5"), "1.5");
        assert_eq!(shown("null"), "None");
        assert_eq!(shown(r#"["MODE1", "MODE2"]"#), "MODE1  MODE2");
        assert_eq!(shown("[true, [2026, 11, 21]]"), "[True, [2026, 11, 21]]");
        assert_eq!(
            shown(r#"{"scan": null, "clock": {"source": "none"}}"#),
            "scan   None\nclock  {source: 'none'}"
        );
        assert_eq!(result(&Value::Bytes(vec![1, 255]), 80, Paint::PLAIN), "2 bytes: 01 ff");
        let long = format!(r#"{{"wrong": ["{}", "b"]}}"#, "x".repeat(90));
        assert!(shown(&long).starts_with("wrong\n  xxx"), "{}", shown(&long));
    }

    #[test]
    fn notes_are_a_line_each_with_the_time_first() {
        let long = "x".repeat(100);
        let one = format!(r#"["2026-11-21 19:01:24.388794", "{long}"]"#);
        let line = format!("2026-11-21 19:01:24  {long}");
        assert_eq!(shown(&one), line);
        assert_eq!(shown(&format!("[{one}]")), line);
        assert_eq!(shown(&format!("[{one}, {one}]")), format!("{line}\n{line}"));
        assert_eq!(
            shown(&format!(r#"{{"BANKA": {one}, "B": {one}}}"#)),
            format!("BANKA  {line}\nB      {line}")
        );
        assert_eq!(shown(r#"["MODE1", "MODE2"]"#), "MODE1  MODE2");
    }

    #[test]
    fn one_line_of_a_journal_is_readable_too() {
        let scan = r#"{"start": "2026-11-21 19:01:24", "players": {"BANKA": {"mode": "MODE1", "margin_ms": 648.2}, "BANKB": {"mode": "MODE1", "margin_ms": 650.1}}, "asked": null}"#;
        let want = "start    2026-11-21 19:01:24\nplayers\n         mode   margin_ms\n  BANKA  MODE1  648.2\n  BANKB  MODE1  650.1\nasked    None";
        assert_eq!(shown(&format!("[{scan}]")), want);
        assert_eq!(shown(&format!("[{scan}, {scan}]")), format!("{want}\n\n{want}"));
    }

    #[test]
    fn a_terminal_is_not_given_orders() {
        assert_eq!(shown("\"a\\u001b[2Jb\""), "a\\u{1b}[2Jb");
    }

    #[test]
    fn one_player_that_refuses_is_no_success() {
        let value = |text: &str| json::read(text.as_bytes()).expect("JSON");
        for no in [r#"[false, "no"]"#, r#"{"BANKA": [true, ""], "BANKB": [false, "lost"]}"#] {
            assert!(refused(&value(no)), "{no}");
        }
        for yes in [
            "null",
            "false",
            r#"[true, "done"]"#,
            r#"[false, "NETSTAT=idle", "DISKSTAT=idle"]"#,
            r#"{"BANKA": [false, "NETSTAT=idle", "DISKSTAT=idle"], "BANKB": false}"#,
        ] {
            assert!(!refused(&value(yes)), "{yes}");
        }
    }

    #[test]
    fn cells_have_their_width() {
        assert_eq!([fit("abc", 5), fit("abcdef", 4), fit("a", 0)], ["abc  ", "abc~", ""]);
    }
}
