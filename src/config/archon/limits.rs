//! The site's limits file: what a detector survives. Nobody else checks this.
//!
//! ```toml
//! [controller.sp1]
//! temperature_unit = "C"                  # of every sensor below; never guessed
//! [controller.sp1.key."MOD4/LVLC_V1"]     # bias or clock value, V
//! min = -1.0
//! max = 5.0
//! [controller.sp1.key."STATE/MOD1/3"]     # driver channel 3 of module 1, in every state
//! min = -7.0
//! max = 5.0
//! [controller.sp1.sensor."MOD2/TEMPA"]    # CCD temperature
//! min = -130.0
//! max = -90.0
//! max_rate_per_min = 2.0
//! ccd = true                              # POWERON demands it in range
//! ```

use crate::config::acf::{Acf, Family, family, normal};
use crate::config::suggest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;

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
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// Unit of temperatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TemperatureUnit {
    /// degrees Celsius
    #[serde(rename = "C")]
    Celsius,
    /// kelvin
    #[serde(rename = "K")]
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

/// Why a value is not allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The key as given.
    pub key: String,
    /// The value, or the part of it that is meant.
    pub value: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// Not within the limits.
    Outside(Range),
    /// There are limits, but this is no number (nor the name of a constant).
    NotANumber,
    /// A voltage or heater target the file says nothing about.
    Unlisted,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { key, value, reason } = self;
        match reason {
            Reason::Outside(range) => {
                write!(f, "{key} = {value} is outside {}..{} of the limits file", range.min, range.max)
            }
            Reason::NotANumber => {
                write!(f, "{key} = '{value}' is no number and cannot be held against the limits file")
            }
            Reason::Unlisted => write!(f, "the limits file says nothing about {key}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    #[serde(default)]
    controller: BTreeMap<String, Spanned<RawController>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawController {
    temperature_unit: Option<TemperatureUnit>,
    bias_tolerance_v: Option<f64>,
    #[serde(default)]
    key: BTreeMap<String, Spanned<Range>>,
    #[serde(default)]
    sensor: BTreeMap<String, Spanned<RawSensor>>,
    #[serde(default)]
    rail: BTreeMap<String, Spanned<Range>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSensor {
    min: f64,
    max: f64,
    max_rate_per_min: Option<f64>,
    #[serde(default)]
    ccd: bool,
}

impl Limits {
    /// Reads a limits file. The error is one text: file, line, what is wrong and what to write.
    pub fn load(text: &str, path: &str) -> Result<Limits, String> {
        let raw: RawLimits = toml::from_str(text).map_err(|e| format!("{path}: {e}{}", hint(e.message())))?;
        let place = |at: usize, what: String| {
            let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
            format!("{path}: at line {line}: {what}")
        };
        let mut limits = Limits::default();
        for (name, raw) in raw.controller {
            let at = raw.span().start;
            let controller = controller(raw.into_inner(), at)
                .map_err(|(at, what)| place(at, format!("controller.{name}: {what}")))?;
            limits.controllers.insert(name, controller);
        }
        if limits.controllers.is_empty() {
            return Err(format!(
                "{path}: it names no controller; write [controller.sp1.key.\"MOD4/LVLC_V1\"] with min and max"
            ));
        }
        Ok(limits)
    }
}

/// For `unknown field` messages: the nearest key there is.
fn hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(wrong) if message.contains("unknown field") => suggest::hint(wrong, quoted),
        _ => String::new(),
    }
}

type Wrong = (usize, String);

fn controller(raw: RawController, at: usize) -> Result<ControllerLimits, Wrong> {
    if let Some(tolerance) = raw.bias_tolerance_v
        && !(tolerance.is_finite() && tolerance > 0.0)
    {
        return Err((at, format!("bias_tolerance_v = {tolerance}: must be a positive number of volts")));
    }
    if !raw.sensor.is_empty() && raw.temperature_unit.is_none() {
        return Err((
            at,
            "there are sensors, but no temperature_unit; write \"C\" or \"K\", it is never guessed".into(),
        ));
    }
    let sensors = raw.sensor.into_iter().map(|(key, sensor)| {
        let span = sensor.span();
        let RawSensor { min, max, max_rate_per_min, ccd } = sensor.into_inner();
        if max_rate_per_min.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return Err((span.start, format!("{key}: max_rate_per_min must be positive")));
        }
        let range = sane(&key, Range { min, max }, span.start)?;
        Ok((key, SensorLimits { range, max_rate_per_min, ccd }, span.start))
    });
    let ranges = |table: BTreeMap<String, Spanned<Range>>| {
        let sane_ones = table.into_iter().map(|(key, range)| {
            let start = range.span().start;
            Ok((key.clone(), sane(&key, range.into_inner(), start)?, start))
        });
        collected(sane_ones)
    };
    Ok(ControllerLimits {
        temperature_unit: raw.temperature_unit,
        keys: ranges(raw.key)?,
        sensors: collected(sensors)?,
        rails: ranges(raw.rail)?,
        bias_tolerance_v: raw.bias_tolerance_v,
    })
}

fn sane(key: &str, range: Range, at: usize) -> Result<Range, Wrong> {
    if range.min.is_finite() && range.max.is_finite() && range.min <= range.max {
        return Ok(range);
    }
    Err((at, format!("{key}: min = {} and max = {} are no range", range.min, range.max)))
}

/// Keys in the form they are compared in; two spellings of one key are an error, or one would be lost.
fn collected<T>(
    items: impl Iterator<Item = Result<(String, T, usize), Wrong>>,
) -> Result<BTreeMap<String, T>, Wrong> {
    let mut table = BTreeMap::new();
    for item in items {
        let (key, value, at) = item?;
        if table.insert(normal(&key), value).is_some() {
            return Err((at, format!("{key} is there twice, in different spelling")));
        }
    }
    Ok(table)
}

impl ControllerLimits {
    /// Holds one value against the limits. Keys that neither are listed nor drive a voltage or heater are fine.
    pub fn check_value(&self, key: &str, value: &str) -> Result<(), Violation> {
        self.check_with(key, value, &|_| None)
    }

    /// Everything of a configuration that is outside its limits, or that the file should say something about; names of
    /// constants and parameters count as their values.
    pub fn check_acf(&self, acf: &Acf) -> Vec<Violation> {
        let constants = acf.constants().into_iter().map(|c| (c.name.to_ascii_uppercase(), c.value));
        let parameters = acf.parameters().into_iter().map(|p| (p.name.to_ascii_uppercase(), p.value as f64));
        let names: BTreeMap<String, f64> = parameters.chain(constants).collect();
        let resolve = |name: &str| names.get(&name.to_ascii_uppercase()).copied();
        let lines = acf.lines.iter().filter(|line| !line.key.is_empty());
        lines.filter_map(|line| self.check_with(&line.key, &line.value, &resolve).err()).collect()
    }

    fn check_with(
        &self,
        key: &str,
        value: &str,
        resolve: &dyn Fn(&str) -> Option<f64>,
    ) -> Result<(), Violation> {
        let key_normal = normal(key);
        let violation =
            |value: &str, reason| Err(Violation { key: key.to_owned(), value: value.to_owned(), reason });
        let number = |text: &str| {
            text.trim().parse().ok().or_else(|| resolve(text.trim())).filter(|v: &f64| v.is_finite())
        };
        if let Some(range) = self.keys.get(&key_normal) {
            return match number(value) {
                Some(v) if (range.min..=range.max).contains(&v) => Ok(()),
                Some(_) => violation(value, Reason::Outside(*range)),
                None => violation(value, Reason::NotANumber),
            };
        }
        if let Some(module) = state_of_module(&key_normal) {
            for (range, level) in self.levels(&module, value) {
                match number(level) {
                    Some(v) if (range.min..=range.max).contains(&v) => {}
                    Some(_) => return violation(level, Reason::Outside(range)),
                    None => return violation(level, Reason::NotANumber),
                }
            }
            return Ok(());
        }
        let zero = number(value).is_some_and(|v| v == 0.0);
        if drives(&key_normal) && !zero { violation(value, Reason::Unlisted) } else { Ok(()) }
    }

    /// Levels a state gives to limited channels of a driver: `level,slew,keep` for each channel; an empty level is kept.
    fn levels<'a>(&self, module: &str, value: &'a str) -> Vec<(Range, &'a str)> {
        let levels = value.split(',').step_by(3).map(str::trim).zip(1..);
        let limited = levels.filter_map(|(level, channel)| {
            let range = self.keys.get(&format!("STATE/{module}/{channel}"))?;
            (!level.is_empty()).then_some((*range, level))
        });
        limited.collect()
    }
}

/// `MOD1` of `STATE12/MOD1`.
fn state_of_module(key: &str) -> Option<String> {
    let (state, module) = key.split_once('/')?;
    let number = state.strip_prefix("STATE")?;
    let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (numbered && module.starts_with("MOD")).then(|| module.to_owned())
}

/// Is it a voltage of a bias, or the target of a heater? The file has to say something about those.
fn drives(key: &str) -> bool {
    let name = key.split_once('/').map_or("", |(_, name)| name);
    match family(key) {
        Family::Bias => {
            name.split_once("_V").is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        }
        Family::Clock => name.starts_with("MAG_V") || name.starts_with("OFS_V"),
        Family::Heater => name.ends_with("TARGET"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../config/archon.example.limits.toml");
    const ACF: &str = include_str!("../../../config/archon.example.acf");

    fn example() -> ControllerLimits {
        Limits::load(EXAMPLE, "limits.toml").expect("our own file").controllers["sp1"].clone()
    }

    fn acf() -> Acf {
        Acf::parse(ACF).expect("our own file").0
    }

    #[test]
    fn our_own_configuration_is_within_our_own_limits() {
        let limits = example();
        assert_eq!(limits.temperature_unit, Some(TemperatureUnit::Celsius));
        assert!(limits.sensors["MOD2/TEMPA"].ccd && !limits.sensors["MOD2/TEMPB"].ccd);
        assert_eq!(limits.check_acf(&acf()), []);
    }

    #[test]
    fn values_are_held_against_their_range() {
        let limits = example();
        assert_eq!(limits.check_value("mod4\\lvlc_v1", "1.5"), Ok(()));
        assert_eq!(limits.check_value("MOD4/LVLC_LABEL1", "x"), Ok(()));
        assert_eq!(limits.check_value("MOD4/LVLC_V24", "0.0"), Ok(()));
        for (key, value, wanted) in [
            ("MOD4/LVLC_V1", "3.1", "outside 0..3"),
            ("MOD4/LVLC_V1", "nan", "no number"),
            ("MOD4/LVLC_V1", "", "no number"),
            ("MOD4/LVLC_V23", "0.1", "says nothing"),
            ("MOD7/HEATERATARGET", "-100", "says nothing"),
            ("MOD2/HEATERATARGET", "20", "outside -130..-90"),
            ("STATE0/MOD1", "9.5,1,0", "outside -7..5"),
            ("STATE0/MOD1", "WHO,1,0", "no number"),
        ] {
            let said = limits.check_value(key, value).expect_err(key).to_string();
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn a_level_by_name_is_looked_up() {
        let mut acf = acf();
        acf.set("CONSTANT0", "CLOCK_HIGH=11").expect("there");
        let found = example().check_acf(&acf);
        assert!(!found.is_empty() && found.iter().all(|v| v.value == "CLOCK_HIGH"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_used_says_where_and_why() {
        for (text, words) in [
            ("", ["names no controller", ""]),
            ("[controller.a]\nbias_tolerance = 1\n", ["line 2", "did you mean 'bias_tolerance_v'"]),
            ("[controller.a.key.K]\nmin = 1\nmax = 0\n", ["line 1", "no range"]),
            ("[controller.a.key.K]\nmin = 1\n", ["line 1", "missing field `max`"]),
            ("[controller.a.key.K]\nmin = nan\nmax = 0\n", ["line 1", "no range"]),
            ("[controller.a.sensor.S]\nmin = 1\nmax = 2\n", ["temperature_unit", "never guessed"]),
            ("[controller.a]\ntemperature_unit = \"F\"\n", ["line 2", "unknown variant `F`"]),
            ("[controller.a]\nbias_tolerance_v = 0\n", ["line 1", "positive"]),
            ("[controller.a.key]\nk = {min=0,max=1}\nK = {min=0,max=2}\n", ["twice", "a"]),
        ] {
            let error = Limits::load(text, "l.toml").expect_err(text);
            assert!(words.iter().all(|w| error.contains(w)) && error.starts_with("l.toml"), "{error}");
        }
    }
}
