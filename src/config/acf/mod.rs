//! ACF files: the configuration of an Archon controller, as the vendor's GUI writes it.
//!
//! ```text
//! [CONFIG]                                      on the wire
//! MOD4\LVLC_LABEL1="OG, left"                   WCONFIG000AMOD4/LVLC_LABEL1=OG, left
//! PARAMETER1="Exposures=0"                      WCONFIG000EPARAMETER1=Exposures=0
//! ```
//!
//! Lines keep their order (the index on the wire) and the case of keys and values. Keys match user
//! input without regard to case.

/// One line of configuration memory.
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
