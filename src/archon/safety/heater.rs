//! Heaters: what an enabled heater or a new target needs.
//!
//! `MODm/HEATERxSENSOR` 0, 1, 2 is `MODm/TEMPA`, `TEMPB`, `TEMPC`; the ramp is `HEATERxRAMPRATE` mK an update, an
//! update every `HEATERUPDATETIME` ms (vendor's manual), so K/min = RAMPRATE x 60 / UPDATETIME. A heater that is
//! off in the configuration and stays so may be configured freely, but for its target.

use super::{Asked, Lack, Purpose, Reading, reading};
use crate::config::acf::Acf;
use crate::config::archon::limits::{ControllerLimits, SensorLimits};
use crate::proto::archon::Command;

/// A heater by its key: `MOD2/HEATERATARGET` is (2, 'A', "TARGET").
pub fn heater_key(key: &str) -> Option<(u8, char, String)> {
    let upper = key.to_ascii_uppercase();
    let (module, rest) = upper.split_once('/')?;
    let module: u8 = module.strip_prefix("MOD")?.parse().ok()?;
    let rest = rest.strip_prefix("HEATER")?;
    let which = rest.chars().next().filter(|c| matches!(c, 'A' | 'B'))?;
    Some((module, which, rest.get(1..)?.to_owned()))
}

/// One heater as configured.
struct Heater<'a> {
    acf: &'a Acf,
    module: u8,
    which: char,
}

impl Heater<'_> {
    fn key(&self, field: &str) -> String {
        format!("MOD{}/HEATER{}{field}", self.module, self.which)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.acf.get(key).map(str::trim)
    }

    fn number(&self, key: &str) -> Result<f64, Lack> {
        let value = self.text(key).and_then(|t| t.parse::<f64>().ok()).filter(|v| v.is_finite());
        value.ok_or_else(|| {
            Lack::new(format!("{key} is not a number in the configuration"), "set it in the ACF")
        })
    }

    fn on(&self, field: &str) -> bool {
        self.text(&self.key(field)).is_some_and(|t| t != "0" && !t.is_empty())
    }

    fn sensor(&self) -> Result<String, Lack> {
        let key = self.key("SENSOR");
        let letter = match self.text(&key) {
            Some("0") => 'A',
            Some("1") => 'B',
            Some("2") => 'C',
            _ => return Err(Lack::new(format!("{key} assigns no sensor"), "set it to 0, 1 or 2 in the ACF")),
        };
        Ok(format!("MOD{}/TEMP{letter}", self.module))
    }

    /// Sensor assigned, unit declared, target in range, ramp on and slow enough, output limited.
    fn check(&self, limits: Option<&ControllerLimits>) -> Result<(), Lack> {
        let remedy = "set HEATERxSENSOR, TARGET, RAMP, RAMPRATE, LIMIT and HEATERUPDATETIME in the ACF, within the limits file";
        let sensor = self.sensor()?;
        let limit = sensor_limits(limits, &sensor)?;
        let target = self.number(&self.key("TARGET"))?;
        if !(limit.range.min..=limit.range.max).contains(&target) {
            let (min, max) = (limit.range.min, limit.range.max);
            let why = format!("{} = {target} is outside {min}..{max} of {sensor}", self.key("TARGET"));
            return Err(Lack::new(why, remedy));
        }
        if !self.on("RAMP") {
            return Err(Lack::new(format!("{} is off", self.key("RAMP")), remedy));
        }
        let rate = self.number(&self.key("RAMPRATE"))?;
        let update = self.number(&format!("MOD{}/HEATERUPDATETIME", self.module))?;
        let per_minute = rate * 60.0 / update;
        let allowed = limit.max_rate_per_min.ok_or_else(|| {
            Lack::new(
                format!("the limits file has no max_rate_per_min for {sensor}"),
                format!("write max_rate_per_min under [controller.NAME.sensor.\"{sensor}\"]"),
            )
        })?;
        if !(per_minute > 0.0 && per_minute <= allowed) {
            return Err(Lack::new(
                format!("its ramp is {per_minute:.3} K/min, allowed are {allowed}"),
                remedy,
            ));
        }
        if self.number(&self.key("LIMIT"))? <= 0.0 {
            return Err(Lack::new(format!("{} is not set", self.key("LIMIT")), remedy));
        }
        Ok(())
    }
}

fn sensor_limits<'a>(limits: Option<&'a ControllerLimits>, sensor: &str) -> Result<&'a SensorLimits, Lack> {
    let write =
        || format!("write temperature_unit and [controller.NAME.sensor.\"{sensor}\"] into the limits file");
    let limits =
        limits.ok_or_else(|| Lack::new("heaters need a limits file for this controller", write()))?;
    if limits.temperature_unit.is_none() {
        return Err(Lack::new("the limits file does not say the unit of temperatures", write()));
    }
    limits
        .sensors
        .get(sensor)
        .ok_or_else(|| Lack::new(format!("the limits file does not know {sensor}"), write()))
}

/// Every heater of a configuration that is enabled, or only those of one module.
pub fn check_configuration(
    acf: &Acf,
    limits: Option<&ControllerLimits>,
    only: Option<u8>,
) -> Result<(), (String, String)> {
    for line in &acf.lines {
        let Some((module, which, field)) = heater_key(&line.key) else { continue };
        if only.is_some_and(|m| m != module) || matches!(line.value.trim(), "0" | "") {
            continue;
        }
        let heater = Heater { acf, module, which };
        let result = match field.as_str() {
            "FORCE" => Err(forced(&line.key)),
            "ENABLE" => heater.check(limits),
            _ => Ok(()),
        };
        result.map_err(|lack| (lack.why, lack.remedy))?;
    }
    Ok(())
}

fn forced(key: &str) -> Lack {
    Lack::new(
        format!("{key} drives the heater without a sensor"),
        "use the vendor's program, beside the dewar",
    )
}

/// A line to be written by itself.
pub(super) fn write_allowed(asked: &Asked<'_>) -> Result<(), Lack> {
    let Command::WriteConfig { text, .. } = asked.command else { return Ok(()) };
    let Some((key, value)) = text.split_once('=') else { return Ok(()) };
    let key = key.trim().replace('\\', "/");
    let value = value.trim();
    let Some((module, which, field)) = heater_key(&key) else { return Ok(()) };
    if asked.facts.polling_off && asked.grant.purpose != Purpose::Load {
        return Err(Lack::new("STATUS is frozen by POLLOFF", "wait for the upload to end"));
    }
    let harmless = matches!(field.as_str(), "ENABLE" | "FORCE" | "FORCELEVEL") && value == "0";
    if asked.grant.purpose == Purpose::Load || harmless || field == "LABEL" {
        return Ok(());
    }
    if matches!(field.as_str(), "FORCE" | "FORCELEVEL") {
        return Err(forced(&key));
    }
    let acf = asked.facts.acf().ok_or_else(|| Lack::new("the configuration is unknown", "attach"))?;
    let acf = acf
        .with_overrides(&[(key.clone(), value.to_owned())])
        .map_err(|e| Lack::new(e.to_string(), "correct the line"))?;
    let heater = Heater { acf: &acf, module, which };
    if !heater.on("ENABLE") && field != "TARGET" {
        return Ok(());
    }
    let limits = asked.facts.limits.as_deref();
    heater.check(limits)?;
    sensor_reads(asked, &heater, limits)
}

/// The assigned sensor is valid and within its limits now.
fn sensor_reads(
    asked: &Asked<'_>,
    heater: &Heater<'_>,
    limits: Option<&ControllerLimits>,
) -> Result<(), Lack> {
    let sensor = heater.sensor()?;
    let limit = sensor_limits(limits, &sensor)?;
    let wait = "wait for a valid STATUS";
    let status = asked.facts.status.fresh(asked.now).map_err(|why| Lack::new(why, wait))?;
    match reading(status, &sensor, limits.and_then(|l| l.temperature_unit)) {
        Reading::Value(t) if (limit.range.min..=limit.range.max).contains(&t) => Ok(()),
        Reading::Value(t) => {
            let (min, max) = (limit.range.min, limit.range.max);
            Err(Lack::new(
                format!("{sensor} is {t}, outside {min}..{max}"),
                "correct what is wrong there first",
            ))
        }
        Reading::Invalid | Reading::Absent => {
            Err(Lack::new(format!("{sensor} reads nothing (open sensor)"), "check the sensor"))
        }
    }
}

/// An apply puts what is in memory into force.
pub(super) fn apply_allowed(asked: &Asked<'_>) -> Result<(), Lack> {
    let only = match asked.command {
        Command::ApplyModule { slot } | Command::ApplyDio { slot } => Some(*slot),
        _ => None,
    };
    let Some(acf) = asked.facts.acf() else { return Ok(()) };
    check_configuration(acf, asked.facts.limits.as_deref(), only)
        .map_err(|(why, remedy)| Lack { why, remedy })
}
