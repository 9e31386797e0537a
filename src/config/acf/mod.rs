//! ACF files: the configuration of an Archon controller, as the vendor's GUI writes it.
//!
//! ```text
//! [CONFIG]                                      on the wire
//! MOD4\LVLC_LABEL1="OG, left"                   WCONFIG000AMOD4/LVLC_LABEL1=OG, left
//! PARAMETER1="Exposures=0"                      WCONFIG000EPARAMETER1=Exposures=0
//! ```
//!
//! Lines keep their order (the index on the wire) and the case of keys and values. Keys match user
//! input without regard to case, and `\` in them is `/`.
//!
//! | file | what |
//! |---|---|
//! | `parse`, `text` | the file, in and out |
//! | `line` | one line of configuration memory; what may be in it |
//! | `keys` | look up and change by key |
//! | `tables` | parameters, constants, taps, shape of the frame |
//! | `family`, `diff` | what a change is about |
//! | `lint`, `vocabulary` | what is probably wrong with it |

mod diff;
mod family;
mod keys;
mod line;
mod lint;
mod parse;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod vocabulary;

pub use family::family;
pub use keys::normal;
pub use lint::About;
pub use parse::source_lines;
pub use tables::FrameShape;

use std::fmt;

/// One line of configuration memory.
///
/// A line read back from a controller that is empty (a hole) or no `KEY=VALUE` has an empty key, and its
/// whole text as value; such lines hold the place of those behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Key as on the wire: `MOD4/LVLC_LABEL1`.
    pub key: String,
    /// Value without its surrounding quotes.
    pub value: String,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Acf {
    /// `[CONFIG]`, in file order.
    pub lines: Vec<Line>,
    /// `[SYSTEM]`: what the file was made for.
    pub system: Vec<(String, String)>,
    /// `[MODE_name]` sections of camera-interface.
    pub modes: Vec<Mode>,
    /// Who says so.
    pub source: Source,
}

/// Where a configuration was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Source {
    /// A file: somebody chose it for this controller.
    #[default]
    File,
    /// The configuration memory of a controller, written by nobody knows whom.
    Controller,
}

/// A `[MODE_name]` section: what to set when the mode is selected.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mode {
    /// Upper case, without `MODE_`.
    pub name: String,
    /// `ACF:KEY=VALUE`
    pub settings: Vec<(String, String)>,
    /// `ARCH:KEY=VALUE`
    pub architecture: Vec<(String, String)>,
    /// `FITS:KEYWORD=VALUE/COMMENT` as (keyword, value, comment)
    pub cards: Vec<(String, String, String)>,
}

/// Why a text is no configuration, or a value cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcfError {
    /// Source line, from 1; 0 when it is not about a line.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for AcfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for AcfError {}

/// A parameter of the timing script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Spelled as in the file.
    pub name: String,
    /// Value.
    pub value: i64,
    /// Index of its line.
    pub line: u16,
}

/// A constant of the timing script.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Spelled as in the file.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Index of its line.
    pub line: u16,
}

/// A tap: an AD channel and the direction it is read in.
#[derive(Clone, Debug, PartialEq)]
pub struct Tap {
    /// `AD5L`
    pub channel: String,
    /// Sign flips.
    pub gain: f64,
    /// Offset, ADU.
    pub offset: i64,
}

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Key as on the wire.
    pub key: String,
    /// Value of the first; `None`: not there.
    pub old: Option<String>,
    /// Value of the second; `None`: not there.
    pub new: Option<String>,
    /// What kind of thing it changes.
    pub family: Family,
}

/// What a key is about; decides what consent a change needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Bias voltages, currents, enables, orders.
    Bias,
    /// Clock levels and slews, waveform states.
    Clock,
    /// Heaters.
    Heater,
    /// Temperature sensors.
    Sensor,
    /// `POWERON`, `APPLYALL`: what the controller does by itself at boot.
    Boot,
    /// Timing script, parameters, constants.
    Timing,
    /// Taps, frame geometry, sampling.
    Frame,
    /// Labels and everything else.
    Other,
}
