//! `CONFIG.md`, written from the commented file that is shipped. A test of [`super::settings`] sees that the
//! file shows every key with its default.

use std::fmt::Write;

/// The file as it is shipped.
pub const SHIPPED: &str = include_str!("../../config/appliance.toml");

/// The reference of all keys as Markdown.
pub fn config_md() -> String {
    let mut out = String::from(
        "# Configuration\n\nWritten by `appliance gen-docs` from `config/appliance.toml`. The file is \
         TOML; a key that does not exist is an error with line and column. `--set section.key=value` overrides it.\n",
    );
    let mut comments: Vec<&str> = Vec::new();
    let mut in_table = false;
    for line in SHIPPED.lines() {
        match Line::of(line) {
            Line::Comment(text) => comments.push(text),
            Line::Empty => push_prose(&mut out, &mut comments),
            Line::Section(name) => {
                push_prose(&mut out, &mut comments);
                push(&mut out, format_args!("\n## `[{name}]`"));
                in_table = false;
            }
            Line::Key { name, value, note } => {
                if !in_table {
                    push(&mut out, format_args!("\n| key | default | meaning |\n|---|---|---|"));
                    in_table = true;
                }
                let meaning: Vec<&str> = comments.drain(..).chain(note).collect();
                let meaning =
                    meaning.join(" ").split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
                push(&mut out, format_args!("| `{name}` | `{value}` | {meaning} |"));
            }
        }
    }
    push_prose(&mut out, &mut comments);
    out
}

/// A line of the shipped file: one key a line, no value over several.
enum Line<'a> {
    Empty,
    Comment(&'a str),
    Section(&'a str),
    Key { name: &'a str, value: &'a str, note: Option<&'a str> },
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Line<'a> {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            return Line::Comment(comment.trim());
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Line::Section(name);
        }
        let Some((name, rest)) = line.split_once('=') else { return Line::Empty };
        let (value, note) = match rest.split_once(" #") {
            Some((value, note)) => (value, Some(note.trim())),
            None => (rest, None),
        };
        Line::Key { name: name.trim(), value: value.trim(), note }
    }
}

/// Comments that stand alone are prose.
fn push_prose(out: &mut String, comments: &mut Vec<&str>) {
    if !comments.is_empty() {
        push(out, format_args!("\n{}", std::mem::take(comments).join("\n")));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_the_comments_above_and_beside_them() {
        let text = config_md();
        for wanted in [
            "\n## `[listen]`\n\n| key |",
            "\n| `simulate` | `false` | bring our own ROACH",
            "\n| `json` | `\"\"` | JSON over ZeroMQ for today's Python Dealers.",
            "\n## `[resolve]`\n\nHost names of dibas.conf",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
    }
}
