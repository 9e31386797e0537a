//! Typed reads of one section: every problem becomes a finding, every key read is remembered.

use super::{Finding, Severity, text};
use crate::proto::dibas_conf::{Document, Section};
use std::collections::BTreeSet;

/// Must a key be there?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Absent or `N/A` makes the section unusable.
    Required,
    /// May be absent.
    Optional,
}

impl Need {
    /// `Required` if `condition`.
    pub fn when(condition: bool) -> Need {
        if condition { Need::Required } else { Need::Optional }
    }
}

/// Reads one section.
pub struct Reader<'a> {
    document: &'a Document,
    section: &'a Section,
    findings: Vec<Finding>,
    /// Mandatory keys that are missing or unreadable, in order of reading.
    bad: Vec<String>,
    /// Other reasons why the section cannot be used.
    refusals: Vec<String>,
    used: BTreeSet<String>,
}

/// What came out of a section.
pub struct Verdict {
    /// Remarks.
    pub findings: Vec<Finding>,
    /// Why it cannot be used.
    pub usable: Result<(), String>,
    /// Lower-case keys that were looked at.
    pub used: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// A reader of `section`.
    pub fn new(document: &'a Document, section: &'a Section) -> Reader<'a> {
        let (findings, bad, refusals) = (Vec::new(), Vec::new(), Vec::new());
        Reader { document, section, findings, bad, refusals, used: BTreeSet::new() }
    }

    /// Line of a key, or of the section header when it is absent.
    pub fn line_of(&self, key: &str) -> usize {
        self.document.entry(self.section, key).map_or(self.section.line, |e| e.line)
    }

    /// Adds a remark about `key`.
    pub fn remark(
        &mut self,
        severity: Severity,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (problem, remedy) = (problem.into(), remedy.into());
        let (line, section) = (self.line_of(key), self.section.name.clone());
        self.findings.push(Finding { severity, line, section, key: key.to_owned(), problem, remedy });
    }

    /// Makes the section unusable, with a finding.
    pub fn refuse(&mut self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let problem = problem.into();
        self.refusals.push(format!("{key}: {problem}"));
        self.remark(Severity::Error, key, problem, remedy);
    }

    /// Text of a key: interpolated, trimmed, then all quotes at both ends stripped. `N/A` and absent
    /// keys are `None`; an empty value is `Some("")`.
    pub fn text(&mut self, key: &str, need: Need) -> Option<String> {
        self.used.insert(key.to_ascii_lowercase());
        let raw = self.document.entry(self.section, key).map(|e| e.value.clone());
        let value = raw.and_then(|raw| self.interpolated(key, &raw)).filter(|v| v != "N/A");
        if value.is_none() && need == Need::Required && !self.bad.iter().any(|b| b == key) {
            self.bad.push(key.to_owned());
            self.remark(Severity::Error, key, "the key is required here", format!("add '{key} = ...'"));
        }
        value
    }

    fn interpolated(&mut self, key: &str, raw: &str) -> Option<String> {
        match self.document.interpolate(self.section, raw) {
            Ok(value) => Some(value.trim().trim_matches('"').to_owned()),
            Err(e) => {
                self.remark(
                    Severity::Error,
                    key,
                    e.to_string(),
                    "define the key that is referred to, or write the value out",
                );
                None
            }
        }
    }

    /// A value of some type; `wanted` names the type in the message.
    pub fn typed<T>(
        &mut self,
        key: &str,
        need: Need,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(key, need)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            let severity = if need == Need::Required { Severity::Error } else { Severity::Warning };
            if need == Need::Required {
                self.bad.push(key.to_owned());
            }
            self.remark(
                severity,
                key,
                format!("'{value}' is not {wanted}"),
                format!("write {wanted}, or N/A for 'not set'"),
            );
        }
        parsed
    }

    /// A required text; empty when bad (the section is then unusable).
    pub fn required(&mut self, key: &str) -> String {
        self.text(key, Need::Required).unwrap_or_default()
    }

    /// A decimal integer.
    pub fn int(&mut self, key: &str, need: Need) -> Option<i64> {
        self.typed(key, need, "a whole decimal number", text::int)
    }

    /// A finite number.
    pub fn float(&mut self, key: &str, need: Need) -> Option<f64> {
        self.typed(key, need, "a number", text::float)
    }

    /// A port.
    pub fn port(&mut self, key: &str, need: Need) -> Option<u16> {
        self.typed(key, need, "a port (0 to 65535)", text::port)
    }

    /// The pairs of a key of keys: names with the case of the list, values as text.
    pub fn key_list(&mut self, key: &str) -> Vec<(String, String)> {
        let Some(names) = self.text(key, Need::Optional) else {
            return Vec::new();
        };
        let mut pairs: Vec<(String, String)> = Vec::new();
        for name in text::list(&names) {
            if let Some(value) = self.listed(key, &name) {
                pairs.retain(|(n, _)| *n != name);
                pairs.push((name, value));
            }
        }
        pairs
    }

    fn listed(&mut self, list: &str, name: &str) -> Option<String> {
        if name.is_empty() {
            self.remark(Severity::Warning, list, "an empty name in the list", "remove the surplus comma");
            return None;
        }
        let value = self.text(name, Need::Optional).filter(|v| !v.is_empty());
        if value.is_none() {
            let problem = format!("'{name}' is listed but has no value; this one pair is left out");
            self.remark(
                Severity::Warning,
                list,
                problem,
                format!("add '{name} = ...' or take it off the list"),
            );
        }
        value
    }

    /// Ends the section.
    pub fn finish(mut self) -> Verdict {
        if !self.bad.is_empty() {
            let keys: Vec<String> = self.bad.iter().map(|k| format!("'{k}'")).collect();
            self.refusals
                .insert(0, format!("Bad keys found in section {}: [{}]", self.section.name, keys.join(", ")));
        }
        let usable = if self.refusals.is_empty() { Ok(()) } else { Err(self.refusals.join("; ")) };
        Verdict { findings: self.findings, usable, used: self.used }
    }
}
