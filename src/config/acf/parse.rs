//! Text of an ACF file to [`Acf`].

use super::keys::normal;
use super::line::{problem, unsendable};
use super::{Acf, AcfError, Line, Mode};
use crate::config::finding::{Finding, Severity};
use crate::proto::archon::CONFIG_LINES;
use std::collections::HashMap;

/// What is stripped around keys and values.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

/// Length a FITS keyword is cut to, as camera-interface does.
const KEYWORD_MAX: usize = 8;

impl Acf {
    /// Reads a file. Findings are what was tolerated; the error is what makes it no configuration.
    pub fn parse(text: &str) -> Result<(Acf, Vec<Finding>), AcfError> {
        let mut reader = Reader::default();
        for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            reader.number = number + 1;
            reader.line(line.trim_matches(BLANKS)).map_err(|e| AcfError { line: number + 1, ..e })?;
        }
        if !reader.has_config {
            return Err(problem(
                "The config file does not have a CONFIG section.".to_owned(),
                "an ACF file has the configuration in lines KEY=VALUE below [CONFIG]",
            ));
        }
        Ok((reader.acf, reader.findings))
    }

    /// Text of a file: UTF-8, else Latin-1 as the vendor's GUI writes it.
    pub fn decode(bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
        }
    }
}

/// Source line of each key of `[CONFIG]` in its [`normal`] form: for findings about an [`Acf`].
pub fn source_lines(text: &str) -> HashMap<String, usize> {
    let mut lines = HashMap::new();
    let mut inside = false;
    for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_matches(BLANKS);
        if line.starts_with('[') {
            inside = line.eq_ignore_ascii_case("[CONFIG]");
        } else if inside
            && !is_comment(line)
            && let Some((key, _)) = line.split_once('=')
        {
            lines.insert(normal(key.trim_matches(BLANKS)), number + 1);
        }
    }
    lines
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with(['#', ';'])
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Section {
    #[default]
    Before,
    Config,
    System,
    /// Index in `modes`.
    Mode(usize),
    Foreign,
}

#[derive(Default)]
struct Reader {
    acf: Acf,
    findings: Vec<Finding>,
    section: Section,
    name: String,
    has_config: bool,
    number: usize,
    /// Index of each key seen in `[CONFIG]`.
    config_keys: HashMap<String, usize>,
    /// Index of each key seen in `[SYSTEM]`.
    system_keys: HashMap<String, usize>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), AcfError> {
        if is_comment(line) {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').ok_or_else(|| {
                problem(
                    format!("'{}' is no section", line.escape_debug()),
                    "write [CONFIG] on a line of its own",
                )
            })?;
            return self.begin(name.trim_matches(BLANKS));
        }
        match self.section {
            Section::Before => Err(problem(
                format!("'{}' stands before any section", line.escape_debug()),
                "begin the file with [CONFIG]",
            )),
            Section::Config => self.config(line),
            Section::System => self.system(line),
            Section::Mode(index) => self.mode(index, line),
            Section::Foreign => Ok(()),
        }
    }

    fn begin(&mut self, name: &str) -> Result<(), AcfError> {
        name.clone_into(&mut self.name);
        let upper = name.to_ascii_uppercase();
        self.section = match upper.as_str() {
            "CONFIG" => {
                self.has_config = true;
                Section::Config
            }
            "SYSTEM" => Section::System,
            other => match other.strip_prefix("MODE_") {
                Some(mode) => self.begin_mode(mode)?,
                None => {
                    self.remark(
                        Severity::Warning,
                        "",
                        "unknown section, not read",
                        "known are [CONFIG], [SYSTEM] and [MODE_name]",
                    );
                    Section::Foreign
                }
            },
        };
        Ok(())
    }

    fn begin_mode(&mut self, name: &str) -> Result<Section, AcfError> {
        if name.is_empty() || unsendable(name).is_some() {
            return Err(problem(
                format!("mode '{}' has no usable name", name.escape_debug()),
                "write [MODE_DEFAULT]",
            ));
        }
        if self.acf.modes.iter().any(|m| m.name == name) {
            return Err(problem(
                format!("mode {name} is there twice"),
                "give each [MODE_name] a name of its own",
            ));
        }
        self.acf.modes.push(Mode { name: name.to_owned(), ..Mode::default() });
        Ok(Section::Mode(self.acf.modes.len() - 1))
    }

    fn config(&mut self, line: &str) -> Result<(), AcfError> {
        let (key, value) = pair(line)?;
        let line = Line { key, value };
        line.check()?;
        if let Some(&at) = self.config_keys.get(&normal(&line.key)) {
            let old = std::mem::replace(&mut self.acf.lines[at].value, line.value);
            let problem = format!("duplicate key; its first value '{old}' is not used");
            self.remark(Severity::Warning, &line.key, &problem, "keep one of the lines");
            return Ok(());
        }
        if self.acf.lines.len() == usize::from(CONFIG_LINES) {
            return Err(problem(
                format!("more than {CONFIG_LINES} configuration lines"),
                "configuration memory has no room for this file",
            ));
        }
        self.config_keys.insert(normal(&line.key), self.acf.lines.len());
        self.acf.lines.push(line);
        Ok(())
    }

    fn system(&mut self, line: &str) -> Result<(), AcfError> {
        let (key, value) = pair(line)?;
        Line { key: key.clone(), value: value.clone() }.check()?;
        match self.system_keys.get(&normal(&key)) {
            Some(&at) => {
                self.acf.system[at].1 = value;
                self.remark(
                    Severity::Warning,
                    &key,
                    "duplicate key; the last value is used",
                    "keep one of the lines",
                );
            }
            None => {
                self.system_keys.insert(normal(&key), self.acf.system.len());
                self.acf.system.push((key, value));
            }
        }
        Ok(())
    }

    /// `ACF:KEY=VALUE`, `ARCH:KEY=VALUE` or `FITS:KEYWORD=VALUE/COMMENT`.
    fn mode(&mut self, index: usize, line: &str) -> Result<(), AcfError> {
        let (tag, rest) = line.split_once(':').unwrap_or((line, ""));
        let mode = &mut self.acf.modes[index];
        match tag.trim_matches(BLANKS).to_ascii_uppercase().as_str() {
            "ACF" => mode.settings.push(checked(rest)?),
            "ARCH" => mode.architecture.push(checked(rest)?),
            "FITS" => mode.cards.push(card(rest)?),
            _ => self.remark(
                Severity::Warning,
                tag,
                "line without ACF:, ARCH: or FITS:, not read",
                "write for example ACF:LINECOUNT=2048",
            ),
        }
        Ok(())
    }

    fn remark(&mut self, severity: Severity, key: &str, problem: &str, remedy: &str) {
        self.findings.push(Finding {
            severity,
            line: self.number,
            section: self.name.clone(),
            key: key.to_owned(),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        });
    }
}

/// Splits at the first `=`; `\` in the key becomes `/`, one pair of quotes around the value goes.
fn pair(line: &str) -> Result<(String, String), AcfError> {
    let (key, value) = line.split_once('=').ok_or_else(|| {
        problem(format!("'{}' is not KEY=VALUE", line.escape_debug()), "comments begin with # or ;")
    })?;
    Ok((key.trim_matches(BLANKS).replace('\\', "/"), unquoted(value.trim_matches(BLANKS)).to_owned()))
}

fn checked(text: &str) -> Result<(String, String), AcfError> {
    let (key, value) = pair(text)?;
    let line = Line { key, value };
    line.check()?;
    Ok((line.key, line.value))
}

/// `KEYWORD=VALUE/COMMENT`
fn card(text: &str) -> Result<(String, String, String), AcfError> {
    let wrong =
        || problem(format!("'FITS:{}' is no card", text.escape_debug()), "write FITS:KEYWORD=VALUE/COMMENT");
    let (keyword, rest) = text.split_once('=').ok_or_else(wrong)?;
    let keyword: String = keyword.trim_matches(BLANKS).chars().take(KEYWORD_MAX).collect();
    let (value, comment) = rest.split_once('/').unwrap_or((rest, ""));
    if keyword.is_empty() || unsendable(text).is_some() {
        return Err(wrong());
    }
    let clean = |text: &str| text.trim_matches(BLANKS).to_owned();
    Ok((clean(&keyword), clean(value), clean(comment)))
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}
