//! [`Acf`] to text of a file, as the vendor's GUI writes it.

use super::parse::BLANKS;
use super::{Acf, Mode};

impl Acf {
    /// A file that is read back as this configuration.
    ///
    /// Exception: lines without a key (holes and what is no `KEY=VALUE`; only configurations read from a controller
    /// have them) cannot be in a file. Holes are left out, the others become comments; see [`Acf::without_holes`].
    pub fn to_text(&self) -> String {
        let mut out = String::from("[CONFIG]\n");
        for (index, line) in self.lines.iter().enumerate() {
            if !line.key.is_empty() {
                push_pair(&mut out, &line.key, &line.value);
            } else if !line.value.is_empty() {
                out.push_str(&format!(
                    "; line {index} of the controller is no KEY=VALUE: {:?}\n",
                    line.value
                ));
            }
        }
        out.push_str("\n[SYSTEM]\n");
        for (key, value) in &self.system {
            push_pair(&mut out, key, value);
        }
        for mode in &self.modes {
            push_mode(&mut out, mode);
        }
        out
    }

    /// The same without lines that cannot be in a file: what its text is read back as.
    pub fn without_holes(&self) -> Acf {
        let lines = self.lines.iter().filter(|line| !line.key.is_empty()).cloned().collect();
        Acf { lines, system: self.system.clone(), modes: self.modes.clone(), source: self.source }
    }
}

fn push_mode(out: &mut String, mode: &Mode) {
    out.push_str(&format!("\n[MODE_{}]\n", mode.name));
    for (tag, pairs) in [("ACF", &mode.settings), ("ARCH", &mode.architecture)] {
        for (key, value) in pairs {
            out.push_str(tag);
            out.push(':');
            push_pair(out, key, value);
        }
    }
    for (keyword, value, comment) in &mode.cards {
        let slash = if comment.is_empty() { "" } else { "/" };
        out.push_str(&format!("FITS:{keyword}={value}{slash}{comment}\n"));
    }
}

fn push_pair(out: &mut String, key: &str, value: &str) {
    let quote = if needs_quotes(value) { "\"" } else { "" };
    out.push_str(&format!("{}={quote}{value}{quote}\n", key.replace('/', "\\")));
}

/// As the GUI does for `;`, `=` and `,`; also where the reader would strip something.
fn needs_quotes(value: &str) -> bool {
    value.contains([';', '=', ','])
        || value.trim_matches(BLANKS) != value
        || (value.len() > 1 && value.starts_with('"') && value.ends_with('"'))
}
