//! Values of biases and clocks against the site's limits: on ACF, override and single write alike.

use super::{Asked, Lack, Purpose};
use crate::config::acf::{Acf, Family, family};
use crate::config::archon::limits::{ControllerLimits, Reason, TemperatureUnit, Violation};
use crate::proto::archon::{Command, Status};

/// What a sensor says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// A temperature, in the unit of the limits file.
    Value(f64),
    /// Nothing connected, or not a number.
    Invalid,
    /// The controller does not name it.
    Absent,
}

/// A sensor's temperature. An open sensor reads absolute zero (-273.15 degrees Celsius, 0 K).
pub fn reading(status: &Status, key: &str, unit: Option<TemperatureUnit>) -> Reading {
    let Some(text) = status.get(key) else { return Reading::Absent };
    let zero = match unit {
        Some(TemperatureUnit::Kelvin) => 0.0,
        Some(TemperatureUnit::Celsius) | None => -273.15,
    };
    match text.parse::<f64>() {
        Ok(t) if t.is_finite() && t > zero + 0.5 => Reading::Value(t),
        _ => Reading::Invalid,
    }
}

/// `MOD4/LVLC_V1`: the voltage of a bias output.
pub fn bias_value_key(key: &str) -> bool {
    let upper = key.to_ascii_uppercase();
    let Some((module, rest)) = upper.split_once('/') else { return false };
    let Some((output, number)) = rest.split_once("_V") else { return false };
    module.starts_with("MOD")
        && matches!(output, "LVLC" | "LVHC" | "HVLC" | "HVHC" | "XVP" | "XVN" | "MAG" | "OFS")
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// What a limit forbids; that the file says nothing about a key is a matter of consent.
fn forbidden(violation: &Violation) -> bool {
    violation.reason != Reason::Unlisted
}

fn lack(violation: &Violation) -> Lack {
    Lack::new(violation.to_string(), "correct the value, or the limits file if the detector allows it")
}

/// One line: the value itself, or, if it is a state, a constant or a parameter, what it makes of the levels that name it.
fn line_within(asked: &Asked<'_>, limits: &ControllerLimits, key: &str, value: &str) -> Result<(), Lack> {
    let whole = asked.facts.acf().filter(|_| asked.grant.purpose != Purpose::Load);
    let changed =
        whole.and_then(|acf| Some((acf, acf.with_overrides(&[(key.to_owned(), value.to_owned())]).ok()?)));
    let Some((before, after)) = changed else {
        // Of an upload the whole was checked before its first line, and is again before it comes into force: names of
        // constants are known then.
        return match limits.check_value(key, value) {
            Err(v) if matches!(v.reason, Reason::Outside(_)) => Err(lack(&v)),
            _ => Ok(()),
        };
    };
    let known = limits.check_acf(before);
    let new = limits.check_acf(&after).into_iter().find(|v| forbidden(v) && !known.contains(v));
    new.map_or(Ok(()), |v| Err(lack(&v)))
}

/// A line to be written.
pub(super) fn write_within_limits(asked: &Asked<'_>) -> Result<(), Lack> {
    let Command::WriteConfig { text, .. } = asked.command else { return Ok(()) };
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let key = key.trim().replace('\\', "/");
    let listed = match &asked.facts.limits {
        Some(limits) => {
            line_within(asked, limits, &key, value)?;
            limits.keys.contains_key(&key.to_ascii_uppercase())
        }
        None => false,
    };
    if asked.grant.purpose == Purpose::Load || listed {
        return Ok(());
    }
    let upper = key.to_ascii_uppercase();
    if matches!(upper.as_str(), "POWERON" | "APPLYALL") && value.trim() != "0" {
        return Err(Lack::new(format!("{key} makes the controller act by itself at boot"), "leave it 0"));
    }
    match family_of_write(asked, &key, value) {
        Family::Bias | Family::Clock if !asked.grant.consent.unchecked => Err(Lack::new(
            match asked.facts.limits {
                None => "there is no limits file for this controller".to_owned(),
                Some(_) => format!("the limits file says nothing about {key}"),
            },
            format!("write [controller.NAME.key.\"{key}\"] with min and max, or say unchecked"),
        )),
        _ => Ok(()),
    }
}

/// What a write is about: a constant that a bias names is of the bias.
fn family_of_write(asked: &Asked<'_>, key: &str, value: &str) -> Family {
    let changed = asked.facts.acf().and_then(|acf| {
        let new = acf.with_overrides(&[(key.to_owned(), value.to_owned())]).ok()?;
        acf.diff(&new).first().map(|d| d.family)
    });
    changed.unwrap_or_else(|| family(key))
}

/// Every limited key of a configuration, clock levels and the constants they name included; the first that is
/// outside is named.
pub fn check_acf(acf: &Acf, limits: &ControllerLimits) -> Result<(), (String, String)> {
    match limits.check_acf(acf).iter().find(|v| forbidden(v)) {
        None => Ok(()),
        Some(violation) => {
            let Lack { why, remedy } = lack(violation);
            Err((why, remedy))
        }
    }
}

/// What is in configuration memory comes into force with an apply or load, whoever wrote it.
pub(super) fn memory_within_limits(asked: &Asked<'_>) -> Result<(), Lack> {
    match (asked.facts.acf(), &asked.facts.limits) {
        (Some(acf), Some(limits)) => check_acf(acf, limits).map_err(|(why, remedy)| Lack { why, remedy }),
        _ => Ok(()),
    }
}
