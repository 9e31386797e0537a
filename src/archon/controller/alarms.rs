//! Alarms from STATUS, the link and the configuration: raised once, cleared once, two readings in a row each.

use super::Controller;
use super::messages::Alarm;
use crate::archon::safety::{Reading, reading};
use crate::config::archon::limits::ControllerLimits;
use crate::proto::archon::{Power, Status};
use crate::units::{Mono, Now, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// Readings in a row until a condition counts, and until it counts as gone.
const IN_A_ROW: u32 = 2;
/// Changes of temperature are taken over at least this time.
const RATE_OVER: Duration = Duration::from_secs(60);
/// After an order of ours POWER may change for this long.
const OURS: Duration = Duration::from_secs(60);

/// What is wrong by one STATUS.
struct Wrong {
    name: &'static str,
    subject: String,
    text: String,
}

/// Memory of the alarms.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// Readings in a row that contradict what is shown.
    streak: BTreeMap<(&'static str, String), u32>,
    /// A temperature a minute or so ago.
    temperatures: BTreeMap<String, (f64, Mono)>,
    /// POWER as it was when it last changed by our order, or was first seen.
    power: Option<Power>,
}

impl Controller {
    /// One STATUS against the rules.
    pub(super) fn look_at_alarms(&mut self, now: Now) {
        let Some((status, _)) = self.facts.status.last.clone() else { return };
        let mut wrong = Vec::new();
        self.power_watch(&status, now, &mut wrong);
        if status.get("OVERHEAT").is_some_and(|v| v != "0") {
            wrong.push(Wrong { name: "overheat", subject: String::new(), text: "OVERHEAT".into() });
        }
        if !status.power_good() {
            wrong.push(Wrong { name: "rail", subject: "POWERGOOD".into(), text: "POWERGOOD is 0".into() });
        }
        if let Some(limits) = self.facts.limits.clone() {
            rails(&status, &limits, &mut wrong);
            self.sensors(&status, &limits, now.mono, &mut wrong);
            self.heaters(&status, &mut wrong);
        }
        self.modules(&status, &mut wrong);
        self.weigh(wrong, now.utc);
    }

    /// Conditions become alarms, or alarms go, after two readings in a row.
    fn weigh(&mut self, wrong: Vec<Wrong>, at: Utc) {
        let of_status = |name: &str| !matches!(name, "status_stale" | "link_lost" | "boot_keys");
        let shown: Vec<(&'static str, String)> = self
            .view
            .alarms
            .iter()
            .filter(|a| of_status(a.name))
            .map(|a| (a.name, a.subject.clone()))
            .collect();
        let is_wrong =
            |key: &(&'static str, String)| wrong.iter().any(|w| (w.name, &w.subject) == (key.0, &key.1));
        let mut contradicted: Vec<(&'static str, String)> =
            shown.iter().filter(|k| !is_wrong(k)).cloned().collect();
        contradicted.extend(wrong.iter().map(|w| (w.name, w.subject.clone())).filter(|k| !shown.contains(k)));
        self.alarm_memory.streak.retain(|key, _| contradicted.contains(key));
        for key in contradicted {
            let streak = self.alarm_memory.streak.entry(key.clone()).or_insert(0);
            *streak += 1;
            if *streak < IN_A_ROW {
                continue;
            }
            self.alarm_memory.streak.remove(&key);
            let cause = wrong.iter().find(|w| (w.name, &w.subject) == (key.0, &key.1));
            let text = cause.map_or_else(|| "it is over".to_owned(), |w| w.text.clone());
            self.raise(Alarm { name: key.0, subject: key.1, on: cause.is_some(), text, at });
        }
    }

    fn power_watch(&mut self, status: &Status, now: Now, wrong: &mut Vec<Wrong>) {
        let power = status.power();
        let ours = self.power_in_order || self.power_by_us.is_some_and(|t| now.mono.since(t) < OURS);
        let before = *self.alarm_memory.power.get_or_insert(power);
        if ours {
            self.alarm_memory.power = Some(power);
        } else if before != power {
            let text = format!("POWER went from {before:?} to {power:?} without an order of ours");
            wrong.push(Wrong { name: "power_changed", subject: "POWER".into(), text });
        }
    }

    fn sensors(&mut self, status: &Status, limits: &ControllerLimits, now: Mono, wrong: &mut Vec<Wrong>) {
        for (key, sensor) in &limits.sensors {
            let mut add = |name, text: String| wrong.push(Wrong { name, subject: key.clone(), text });
            let t = match reading(status, key, limits.temperature_unit) {
                Reading::Value(t) => t,
                Reading::Invalid => {
                    add("sensor_invalid", format!("{key} reads nothing (open sensor)"));
                    continue;
                }
                Reading::Absent => {
                    add("sensor_invalid", format!("STATUS does not have {key}"));
                    continue;
                }
            };
            if !(sensor.range.min..=sensor.range.max).contains(&t) {
                add(
                    "temperature",
                    format!("{key} is {t}, outside {}..{}", sensor.range.min, sensor.range.max),
                );
            }
            let memory = &mut self.alarm_memory.temperatures;
            let (before, at) = *memory.entry(key.clone()).or_insert((t, now));
            let past = now.since(at);
            if let Some(most) = sensor.max_rate_per_min
                && past >= Duration::from_secs(10)
            {
                let rate = (t - before).abs() * 60.0 / past.as_secs_f64().max(RATE_OVER.as_secs_f64());
                if rate > most {
                    add("temperature_rate", format!("{key} changes {rate:.2} a minute, allowed are {most}"));
                }
            }
            if past >= RATE_OVER {
                memory.insert(key.clone(), (t, now));
            }
        }
    }

    /// An enabled heater at full output, or at none.
    fn heaters(&self, status: &Status, wrong: &mut Vec<Wrong>) {
        let Some(acf) = self.facts.acf() else { return };
        for line in &acf.lines {
            let key = line.key.to_ascii_uppercase();
            let Some(heater) = key.strip_suffix("ENABLE").filter(|k| k.contains("/HEATER")) else { continue };
            if line.value.trim() != "1" {
                continue;
            }
            let output = format!("{heater}OUTPUT");
            let limit = acf.get(&format!("{heater}LIMIT")).and_then(|v| v.trim().parse::<f64>().ok());
            let Some(is) = status.number(&output) else { continue };
            let text = match limit {
                Some(limit) if is >= limit * 0.99 => format!("{output} is {is} V, its limit is {limit} V"),
                _ if is <= 0.0 => format!("{output} is 0 V while the heater is enabled"),
                _ => continue,
            };
            wrong.push(Wrong { name: "heater", subject: output, text });
        }
    }

    /// A module that SYSTEM names but STATUS no longer tells the temperature of.
    fn modules(&self, status: &Status, wrong: &mut Vec<Wrong>) {
        let Some(system) = &self.facts.system else { return };
        for slot in 1..=16 {
            let key = format!("MOD{slot}/TEMP");
            let was = self.told_temperature.contains(&slot);
            let present = system.get(&format!("MOD{slot}_TYPE")).is_some_and(|t| t != "0");
            if was && present && status.get(&key).is_none() {
                let text = format!("module {slot} is gone from STATUS");
                wrong.push(Wrong { name: "module_lost", subject: format!("MOD{slot}"), text });
            }
        }
    }

    /// `POWERON=1`, `APPLYALL=1` in configuration memory: at boot the controller acts by itself.
    pub(super) fn look_at_boot_keys(&mut self, now: Now) {
        let Some(acf) = self.facts.acf().cloned() else { return };
        for key in ["POWERON", "APPLYALL"] {
            let on = acf.get(key).is_some_and(|v| !matches!(v.trim(), "0" | ""));
            let text = if on {
                format!("{key}={}: the controller acts by itself at boot", acf.get(key).unwrap_or_default())
            } else {
                format!("{key} is 0")
            };
            let shown = self.view.alarms.iter().any(|a| a.name == "boot_keys" && a.subject == key);
            if on != shown {
                self.raise(Alarm { name: "boot_keys", subject: key.into(), on, text, at: now.utc });
            }
        }
    }

    pub(super) fn link_alarm(&mut self, on: bool, text: &str, now: Now) {
        let shown = self.view.alarms.iter().any(|a| a.name == "link_lost");
        if on != shown {
            self.raise(Alarm {
                name: "link_lost",
                subject: String::new(),
                on,
                text: text.into(),
                at: now.utc,
            });
        }
    }
}

fn rails(status: &Status, limits: &ControllerLimits, wrong: &mut Vec<Wrong>) {
    for (key, range) in &limits.rails {
        match status.number(key) {
            Some(v) if (range.min..=range.max).contains(&v) => {}
            Some(v) => {
                let text = format!("{key} is {v}, outside {}..{}", range.min, range.max);
                wrong.push(Wrong { name: "rail", subject: key.clone(), text });
            }
            None => {
                let text = format!("STATUS does not have {key}");
                wrong.push(Wrong { name: "rail", subject: key.clone(), text });
            }
        }
    }
}
