//! Grammar of `dibas.conf`: text to sections, keys and raw values, each with its line.
//!
//! The dialect is that of Python 2.7's `ConfigParser` as the old Player read it:
//!
//! ```text
//! # comment, ; comment, rem comment      only in the first column
//! [BANKA]                                repeated sections are merged
//! Key = value ; comment                  keys are folded to lower case, ` ;` cuts the first line
//! list: one,                             `=` or `:`, whichever comes first
//!       two                              starts with white space: continues the value after `\n`
//! path = %(root)s/data                   interpolated when read, same section, then [DEFAULT]
//! ```
//!
//! Not here: what a key means (`config::dibas`). Bounds: [`TEXT_BYTES_MAX`], [`VALUE_BYTES_MAX`],
//! [`INTERPOLATION_DEPTH_MAX`].

#[cfg(test)]
mod tests;

/// Largest file accepted, bytes. The shipped files have 98 kB.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Largest value after interpolation, bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Rounds of `%(name)s` replacement, as in Python.
pub const INTERPOLATION_DEPTH_MAX: usize = 10;

/// The section whose keys stand in for missing ones everywhere.
const FALLBACK_SECTION: &str = "DEFAULT";

/// A parsed file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Sections in order of first appearance; `[DEFAULT]` is among them if present.
    pub sections: Vec<Section>,
    /// Keys given more than once in one section, in file order.
    pub repeats: Vec<Repeat>,
}

/// One section, all its appearances merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name as written; case counts.
    pub name: String,
    /// Line of the first header.
    pub line: usize,
    /// Lines of later headers of the same name.
    pub reopened: Vec<usize>,
    /// Keys in order of first appearance.
    pub entries: Vec<Entry>,
}

/// One key with its last value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Lower case.
    pub key: String,
    /// As written where the value comes from.
    pub written: String,
    /// Trimmed; lines of a continued value are joined by `\n`. Not interpolated, quotes kept.
    pub value: String,
    /// Line of the key.
    pub line: usize,
}

/// A key that was given again; the later value counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Section name.
    pub section: String,
    /// Key, lower case.
    pub key: String,
    /// Where the value that lost was.
    pub earlier_line: usize,
    /// The value that lost.
    pub earlier_value: String,
    /// Where the value that counts is.
    pub line: usize,
}

/// A line that breaks the grammar; the whole file is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// Which rule it breaks.
    pub rule: Rule,
}

/// The rules a line can break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The file is not text of a sane size.
    #[error("the file is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// A NUL byte.
    #[error("a NUL character; this is not a text file")]
    Nul,
    /// A key, or an indented header, before any section.
    #[error("'{0}' stands before any [section] header (headers start in the first column)")]
    NoSection(String),
    /// Neither header nor `key = value`.
    #[error("'{0}' is neither '[section]' nor 'key = value' nor a comment")]
    NotAnEntry(String),
}

/// Why a value cannot be read although it is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterpolationError {
    /// `%(name)s` names nothing.
    #[error("%({0})s refers to a key that neither this section nor [DEFAULT] has")]
    Missing(String),
    /// Replacement does not end.
    #[error("%(..)s is nested deeper than {INTERPOLATION_DEPTH_MAX} levels")]
    TooDeep,
    /// Replacement grows without end.
    #[error("the value is longer than {VALUE_BYTES_MAX} bytes once %(..)s is replaced")]
    TooLong,
    /// `%(` without `)s`.
    #[error("'%(' without a closing ')s'")]
    Open,
}

/// Parses a file. All bad lines are reported together.
pub fn parse(text: &str) -> Result<Document, Vec<SyntaxError>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(vec![SyntaxError { line: 1, rule: Rule::TooLong }]);
    }
    let mut parser = Parser::default();
    for (i, line) in text.split('\n').enumerate() {
        parser.line(i + 1, line.strip_suffix('\r').unwrap_or(line));
    }
    if parser.errors.is_empty() { Ok(parser.document) } else { Err(parser.errors) }
}

impl Document {
    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// The entry of `section`, or of `[DEFAULT]`. `key` in any case.
    pub fn entry<'a>(&'a self, section: &'a Section, key: &str) -> Option<&'a Entry> {
        section.entry(key).or_else(|| self.section(FALLBACK_SECTION)?.entry(key))
    }

    /// The value of an entry of `section` with every `%(name)s` replaced.
    pub fn interpolate(&self, section: &Section, raw: &str) -> Result<String, InterpolationError> {
        let mut value = raw.to_owned();
        for _ in 0..INTERPOLATION_DEPTH_MAX {
            if !value.contains("%(") {
                return Ok(value);
            }
            value = self.replace_once(section, &value)?;
        }
        if value.contains("%(") { Err(InterpolationError::TooDeep) } else { Ok(value) }
    }

    fn replace_once(&self, section: &Section, value: &str) -> Result<String, InterpolationError> {
        let mut out = String::new();
        let mut rest = value;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(named) = after.strip_prefix('(') {
                let (name, tail) = named.split_once(")s").ok_or(InterpolationError::Open)?;
                let entry =
                    self.entry(section, name).ok_or_else(|| InterpolationError::Missing(name.to_owned()))?;
                out.push_str(&entry.value);
                rest = tail;
            } else {
                // Where there is something to interpolate, Python reads `%%` as one percent sign.
                out.push('%');
                rest = after.strip_prefix('%').unwrap_or(after);
            }
            if out.len() > VALUE_BYTES_MAX {
                return Err(InterpolationError::TooLong);
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

impl Section {
    /// The entry of this key, in any case.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key.eq_ignore_ascii_case(key))
    }
}

#[derive(Default)]
struct Parser {
    document: Document,
    errors: Vec<SyntaxError>,
    /// Index of the section being filled.
    section: Option<usize>,
    /// Index of the entry that a continuation line would extend.
    entry: Option<usize>,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) {
        if line.contains('\0') {
            return self.refuse(number, Rule::Nul);
        }
        if is_blank_or_comment(line) {
            return;
        }
        if line.starts_with(is_space) && self.continue_value(line) {
            return;
        }
        if let Some(name) = header(line) {
            return self.open_section(number, name);
        }
        let Some(section) = self.section else {
            return self.refuse(number, Rule::NoSection(excerpt(line)));
        };
        match key_and_value(line) {
            Some((written, value)) => self.set(section, number, written, value),
            None => self.refuse(number, Rule::NotAnEntry(excerpt(line))),
        }
    }

    fn refuse(&mut self, line: usize, rule: Rule) {
        self.errors.push(SyntaxError { line, rule });
    }

    fn continue_value(&mut self, line: &str) -> bool {
        let (Some(section), Some(entry)) = (self.section, self.entry) else {
            return false;
        };
        let value = &mut self.document.sections[section].entries[entry].value;
        value.push('\n');
        value.push_str(line.trim_matches(is_space));
        true
    }

    fn open_section(&mut self, line: usize, name: &str) {
        self.entry = None;
        if let Some(i) = self.document.sections.iter().position(|s| s.name == name) {
            self.document.sections[i].reopened.push(line);
            self.section = Some(i);
            return;
        }
        self.section = Some(self.document.sections.len());
        self.document.sections.push(Section {
            name: name.to_owned(),
            line,
            reopened: Vec::new(),
            entries: Vec::new(),
        });
    }

    fn set(&mut self, section: usize, line: usize, written: &str, value: &str) {
        let entry = Entry {
            key: written.to_ascii_lowercase(),
            written: written.to_owned(),
            value: value.to_owned(),
            line,
        };
        let section = &mut self.document.sections[section];
        let at = section.entries.iter().position(|e| e.key == entry.key);
        match at {
            Some(i) => {
                let earlier = std::mem::replace(&mut section.entries[i], entry);
                self.document.repeats.push(Repeat {
                    section: section.name.clone(),
                    key: earlier.key,
                    earlier_line: earlier.line,
                    earlier_value: earlier.value,
                    line,
                });
                self.entry = Some(i);
            }
            None => {
                section.entries.push(entry);
                self.entry = Some(section.entries.len() - 1);
            }
        }
    }
}

/// White space of the C locale, as Python's byte strings see it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c' | '\n')
}

fn is_blank_or_comment(line: &str) -> bool {
    if line.starts_with(['#', ';']) || line.chars().all(is_space) {
        return true;
    }
    let first_word = line.split(is_space).next().unwrap_or("");
    first_word.eq_ignore_ascii_case("rem")
}

fn header(line: &str) -> Option<&str> {
    let (name, _ignored) = line.strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then_some(name)
}

fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(['=', ':'])?;
    if key.is_empty() || key.starts_with(is_space) {
        return None;
    }
    let value = cut_inline_comment(value.trim_matches(is_space));
    Some((key.trim_end_matches(is_space), if value == "\"\"" { "" } else { value }))
}

/// Only the first semicolon is examined, and it must follow white space.
fn cut_inline_comment(value: &str) -> &str {
    match value.find(';') {
        Some(at) if value[..at].ends_with(is_space) => value[..at].trim_end_matches(is_space),
        _ => value,
    }
}

/// At most 60 characters of a line for a message.
fn excerpt(line: &str) -> String {
    line.trim().chars().take(60).collect()
}
