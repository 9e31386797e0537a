//! Status keys as documentation: one table beside each program that writes them, and `KEYS.md` from these.
//!
//! Not here: reading and writing status memory, and the values themselves.

use std::fmt::Write;

/// Stands for a decimal digit in the name of a key.
const DIGIT: char = '#';

/// What a status key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDoc {
    /// As in status memory; `#` stands for a digit: `_SCAL_##`.
    pub name: &'static str,
    /// Unit, or empty.
    pub unit: &'static str,
    /// Type or the values it takes.
    pub values: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

impl KeyDoc {
    /// Is this the entry of a key?
    pub fn describes(&self, key: &str) -> bool {
        self.name.len() == key.len()
            && self
                .name
                .chars()
                .zip(key.chars())
                .all(|(n, c)| if n == DIGIT { c.is_ascii_digit() } else { n == c.to_ascii_uppercase() })
    }
}

/// The entry of a key.
pub fn find<'a>(table: &'a [KeyDoc], key: &str) -> Option<&'a KeyDoc> {
    table.iter().find(|entry| entry.describes(key))
}

/// The keys of one writer at one occasion.
#[derive(Clone, Copy, Debug)]
pub struct KeyGroup {
    /// Heading.
    pub title: &'static str,
    /// Who writes them, when and why.
    pub about: &'static str,
    /// The keys.
    pub keys: &'static [KeyDoc],
}

/// The reference of all status keys as Markdown.
pub fn keys_md(groups: &[KeyGroup]) -> String {
    let mut out = String::from(
        "# Status keys\n\nWritten by `appliance gen-docs` from the tables of the programs that write them. `#` stands for \
         a digit. Values are text in status memory; a text of one minus sign, `-`, says that there is nothing to say yet, \
         `unspecified` that nobody has given a value. `appliance shm status` shows what is there; `set_status` writes any key, and one of these \
         lasts until its writer writes it again.\n",
    );
    for group in groups {
        push(&mut out, format_args!("\n## {}\n\n{}\n", group.title, group.about));
        push(&mut out, format_args!("| key | unit | values | meaning |\n|---|---|---|---|"));
        for key in group.keys {
            let cell = |text: &str| text.replace('|', "\\|");
            let (values, meaning) = (cell(key.values), cell(key.meaning));
            push(&mut out, format_args!("| `{}` | {} | {values} | {meaning} |", key.name, key.unit));
        }
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyDoc = KeyDoc { name: "_SCAL_##", unit: "", values: "0|1", meaning: "cal" };

    #[test]
    fn a_digit_stands_for_a_digit() {
        for (key, is) in [("_SCAL_01", true), ("_scal_99", true), ("_SCAL_1", false), ("_SCAL_0X", false)] {
            assert_eq!(KEY.describes(key), is, "{key}");
        }
        assert_eq!(find(&[KEY], "_SCAL_07"), Some(&KEY));
        assert_eq!(find(&[KEY], "SCAL_07"), None);
    }

    #[test]
    fn one_line_a_key() {
        let text = keys_md(&[KeyGroup { title: "Player", about: "At prepare.", keys: &[KEY] }]);
        assert!(text.contains("\n## Player\n\nAt prepare.\n\n| key |"), "{text}");
        assert!(text.contains("\n| `_SCAL_##` |  | 0\\|1 | cal |\n"), "{text}");
    }
}
