//! Remarks about a configuration file: how bad, where, what is wrong and what to write instead.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something named in the file cannot be used.
    Error,
    /// Probably not what was meant.
    Warning,
    /// Has no effect, or is only odd.
    Note,
}

/// One remark about a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Source line, from 1; 0 when the remark is about something absent.
    pub line: usize,
    /// Section, empty for the file as a whole.
    pub section: String,
    /// Key, empty for the section as a whole.
    pub key: String,
    /// What is wrong, with the text found and the type wanted.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// `LINE: severity: section.key: problem; remedy` - the file name goes in front.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.section.is_empty() || self.key.is_empty() { "" } else { "." };
        write!(f, "{}: {}: {}{dot}{}: {}", self.line, self.severity, self.section, self.key, self.problem)?;
        if !self.remedy.is_empty() {
            let stop = if self.problem.ends_with('?') { "" } else { ";" };
            write!(f, "{stop} {}", self.remedy)?;
        }
        Ok(())
    }
}
