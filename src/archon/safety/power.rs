//! What POWERON needs.

use super::{Asked, Lack, Reading, bias_value_key, reading};
use crate::config::acf::{Acf, Family, Source, family};
use crate::config::archon::limits::ControllerLimits;
use crate::proto::archon::{Power, Status, System};

/// All of it.
pub(super) fn allowed(asked: &Asked<'_>) -> Result<(), Lack> {
    applied(asked)?;
    let status = asked
        .facts
        .status
        .fresh(asked.now)
        .map_err(|why| Lack::new(why, "wait for STATUS; POLLON if it stands still"))?;
    supply(status)?;
    let acf =
        asked.facts.acf().ok_or_else(|| Lack::new("the configuration is unknown", "load an ACF (init)"))?;
    modules(asked, acf)?;
    match &asked.facts.limits {
        None if asked.grant.consent.unchecked => Ok(()),
        None => Err(Lack::new(
            "there is no limits file for this controller",
            "write one (see docs: limits file), or say unchecked",
        )),
        Some(limits) => {
            biases(asked, acf, limits)?;
            temperature(asked, status, limits)
        }
    }
}

fn applied(asked: &Asked<'_>) -> Result<(), Lack> {
    if asked.facts.acf().is_some_and(|acf| acf.lines.is_empty()) {
        return Err(Lack::new("configuration memory is empty", "load an ACF (init)"));
    }
    let Some(applied) = &asked.facts.applied else {
        return Err(Lack::new(
            "no ACF was applied and read back since the controller booted",
            "load one (init); nobody can tell from outside what a controller was told before",
        ));
    };
    // No consent helps here: `unchecked` is about a limits file that is missing, not about what was applied.
    if !applied.verified {
        return Err(Lack::new(
            "what was applied was not read back",
            "load the ACF (init) with verify_config = true",
        ));
    }
    let powers = |key: &&String| !matches!(family(key), Family::Timing | Family::Frame | Family::Other);
    match applied.unapplied.iter().find(powers) {
        None => Ok(()),
        Some(key) => {
            Err(Lack::new(format!("{key} was written but not applied"), "apply it, or load the ACF (init)"))
        }
    }
}

fn supply(status: &Status) -> Result<(), Lack> {
    match status.power() {
        Power::Off => {}
        Power::On => return Err(Lack::new("POWER is on already", "nothing needs to be done")),
        other => {
            return Err(Lack::new(
                format!("POWER is {other:?}, not OFF"),
                "see the controller's log; power off",
            ));
        }
    }
    if !status.power_good() {
        return Err(Lack::new("POWERGOOD is not 1", "check the supply"));
    }
    match status.get("OVERHEAT") {
        Some("0") => Ok(()),
        Some(_) => Err(Lack::new("OVERHEAT", "let it cool down")),
        None => Err(Lack::new("STATUS does not say OVERHEAT", "check the controller")),
    }
}

/// The modules an ACF was made for and those that are there, by type and id.
fn modules(asked: &Asked<'_>, acf: &Acf) -> Result<(), Lack> {
    let system = asked.facts.system.as_ref().ok_or_else(|| Lack::new("SYSTEM was not read", "attach"))?;
    let mut compared = 0;
    for slot in 1..=16u8 {
        let (kind, id) = (format!("MOD{slot}_TYPE"), format!("MOD{slot}_ID"));
        let Some(want) = acf_system(acf, &kind) else { continue };
        compared += 1;
        same(system, acf, &kind, want)?;
        if let Some(want) = acf_system(acf, &id) {
            same(system, acf, &id, want)?;
        }
    }
    match acf.source {
        _ if compared > 0 => Ok(()),
        Source::File if asked.grant.consent.unchecked => Ok(()),
        Source::File => Err(Lack::new(
            "the ACF does not say which modules it is for",
            "save it with its [SYSTEM] section, or say unchecked",
        )),
        // No consent helps here: nobody has chosen this configuration for this box.
        Source::Controller => Err(Lack::new(
            "the configuration was read from the controller, nothing says which modules it is for",
            "load an ACF (init)",
        )),
    }
}

fn acf_system<'a>(acf: &'a Acf, key: &str) -> Option<&'a str> {
    acf.system.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.trim())
}

fn same(system: &System, acf: &Acf, key: &str, want: &str) -> Result<(), Lack> {
    let is = system.get(key).unwrap_or("absent").trim();
    let empty = |t: &str| t.bytes().all(|b| b == b'0') || t == "absent";
    if is.eq_ignore_ascii_case(want) || (empty(is) && empty(want)) {
        return Ok(());
    }
    let slot = key.trim_end_matches("_TYPE").trim_end_matches("_ID");
    let id = system.get(&format!("{slot}_ID")).unwrap_or("absent");
    let dead = acf_system(acf, &format!("{slot}_TYPE")).is_some_and(|t| t != "0") && empty(id);
    Err(Lack::new(
        format!("{key} is {is}, the ACF is for {want}{}", if dead { " (the module looks dead)" } else { "" }),
        "use the ACF of this box, or repair the module",
    ))
}

/// Every bias that will be driven has a limit, and is within it.
fn biases(asked: &Asked<'_>, acf: &Acf, limits: &ControllerLimits) -> Result<(), Lack> {
    super::check_acf(acf, limits).map_err(|(why, remedy)| Lack { why, remedy })?;
    if asked.grant.consent.unchecked {
        return Ok(());
    }
    let unlimited = acf.lines.iter().find(|line| {
        bias_value_key(&line.key)
            && line.value.trim().parse::<f64>().is_ok_and(|v| v != 0.0)
            && !limits.keys.contains_key(&line.key.to_ascii_uppercase())
    });
    match unlimited {
        None => Ok(()),
        Some(line) => Err(Lack::new(
            format!("the limits file says nothing about {} = {}", line.key, line.value),
            format!("write [controller.NAME.key.\"{}\"] with min and max, or say unchecked", line.key),
        )),
    }
}

fn temperature(asked: &Asked<'_>, status: &Status, limits: &ControllerLimits) -> Result<(), Lack> {
    if asked.grant.consent.warm.as_ref().is_some_and(|reason| !reason.trim().is_empty()) {
        return Ok(());
    }
    let remedy = "cool the CCD, or say warm with a reason";
    let mut sensors = limits.sensors.iter().filter(|(_, s)| s.ccd).peekable();
    if sensors.peek().is_none() {
        return Err(Lack::new("the limits file names no CCD temperature sensor", remedy));
    }
    if limits.temperature_unit.is_none() {
        return Err(Lack::new("the limits file has no temperature_unit", "write C or K"));
    }
    for (key, sensor) in sensors {
        match reading(status, key, limits.temperature_unit) {
            Reading::Value(t) if (sensor.range.min..=sensor.range.max).contains(&t) => {}
            Reading::Value(t) => {
                let (min, max) = (sensor.range.min, sensor.range.max);
                return Err(Lack::new(format!("{key} is {t}, outside {min}..{max}"), remedy));
            }
            Reading::Invalid => return Err(Lack::new(format!("{key} reads nothing (open sensor)"), remedy)),
            Reading::Absent => return Err(Lack::new(format!("STATUS does not have {key}"), remedy)),
        }
    }
    Ok(())
}
