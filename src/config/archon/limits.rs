//! The site's limits file: what a detector survives. Nobody else checks this.
//!
//! ```toml
//! [controller.sp1]
//! temperature_unit = "C"                  # of every sensor below; never guessed
//! [controller.sp1.key."MOD4/LVLC_V1"]     # bias or clock value, V
//! min = -1.0
//! max = 5.0
//! [controller.sp1.sensor."MOD2/TEMPA"]    # CCD temperature
//! min = -130.0
//! max = -90.0
//! max_rate_per_min = 2.0
//! ccd = true                              # POWERON demands it in range
//! ```

use std::collections::BTreeMap;

/// Limits of all controllers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// By controller.
    pub controllers: BTreeMap<String, ControllerLimits>,
}

/// Limits of one controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControllerLimits {
    /// `C` or `K`.
    pub temperature_unit: Option<TemperatureUnit>,
    /// Configuration keys (as on the wire, upper case) and their range.
    pub keys: BTreeMap<String, Range>,
    /// Sensors by STATUS key.
    pub sensors: BTreeMap<String, SensorLimits>,
    /// Supply rails by STATUS key (`P5V_V`).
    pub rails: BTreeMap<String, Range>,
    /// A bias counts as reached within this of its setting, V.
    pub bias_tolerance_v: Option<f64>,
}

/// Inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// Unit of temperatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemperatureUnit {
    /// degrees Celsius
    Celsius,
    /// kelvin
    Kelvin,
}

/// A temperature sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SensorLimits {
    /// Allowed temperature.
    pub range: Range,
    /// Alarm above this change a minute.
    pub max_rate_per_min: Option<f64>,
    /// It measures a CCD: POWERON demands it in range.
    pub ccd: bool,
}
