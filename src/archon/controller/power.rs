//! Power: one attempt, confirmed within 30 s or taken back.

use super::Controller;
use super::procedure::{Mark, Procedure, Step, Until};
use crate::archon::safety::{Class, Consent, Grant, Purpose, bias_value_key};
use crate::config::acf::Acf;
use crate::proto::archon::{Command, Power, Status};
use std::time::Duration;

/// POWER must be 4 by then.
const CONFIRM: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(500);

impl Controller {
    pub(super) fn power(&self, on: bool, consent: &Consent) -> Procedure {
        if on {
            let grant = Grant::with(Purpose::Power, &[Class::PowerOn, Class::PowerOff], consent);
            return self.power_on_steps(Step::Attempt(Command::PowerOn), grant);
        }
        let grant = Grant::with(Purpose::Power, &[Class::PowerOff], consent);
        let steps = [
            Step::Mark(Mark::PowerChanging),
            Step::Attempt(Command::PowerOff),
            poll(Until::PowerOff, "POWER to be OFF"),
        ];
        Procedure::new(Purpose::Power, steps).granted(grant)
    }

    /// POWERON by `send`, then STATUS until it is on; else one POWEROFF.
    pub(super) fn power_on_steps(&self, send: Step, grant: Grant) -> Procedure {
        Procedure::new(grant.purpose, self.power_on(send)).granted(grant)
    }

    pub(super) fn power_on(&self, send: Step) -> [Step; 5] {
        [
            Step::Mark(Mark::PowerChanging),
            Step::Cleanup(vec![Command::PowerOff, Command::Status]),
            send,
            poll(Until::PowerOn, "POWER to be ON and the biases to be reached"),
            Step::Cleanup(Vec::new()),
        ]
    }

    /// On, supply good, biases where they should be; why not yet, if not.
    pub(super) fn power_reached(&self, status: &Status) -> Result<(), String> {
        if status.power() != Power::On {
            return Err(format!("POWER is {:?}", status.power()));
        }
        if !status.power_good() {
            return Err("POWERGOOD is 0".into());
        }
        let (Some(acf), Some(limits)) = (self.facts.acf(), &self.facts.limits) else { return Ok(()) };
        acf.lines.iter().filter(|l| bias_value_key(&l.key) && enabled(acf, &l.key)).try_for_each(|line| {
            let (Some(tolerance), Ok(want)) = (limits.bias_tolerance_v, line.value.trim().parse::<f64>())
            else {
                return Ok(());
            };
            match status.number(&line.key.to_ascii_uppercase()) {
                Some(is) if (is - want).abs() > tolerance => {
                    Err(format!("{} is {is} V, set are {want} V, tolerance {tolerance} V", line.key))
                }
                _ => current(acf, status, &line.key),
            }
        })
    }

    /// An order of ours changes power now: INTERMEDIATE is no alarm.
    pub(super) fn power_changing(&self) -> bool {
        self.power_in_order
    }
}

fn poll(until: Until, what: &str) -> Step {
    Step::Poll { ask: Command::Status, every: EVERY, limit: CONFIRM, until, what: what.into() }
}

/// `MOD4/LVHC_V1` has `MOD4/LVHC_ENABLE1`; outputs without that key are always on.
fn enabled(acf: &Acf, key: &str) -> bool {
    let enable = sibling(key, "ENABLE").and_then(|k| acf.get(&k).map(|v| v.trim() != "0"));
    enable.unwrap_or(true)
}

/// `MOD4/LVHC_IL1` mA against `MOD4/LVHC_I1`.
fn current(acf: &Acf, status: &Status, key: &str) -> Result<(), String> {
    let limit = sibling(key, "IL").and_then(|k| acf.get(&k)?.trim().parse::<f64>().ok());
    let is = sibling(key, "I").and_then(|k| status.number(&k.to_ascii_uppercase()));
    match (limit, is) {
        (Some(limit), Some(is)) if is.abs() > limit => {
            Err(format!("{key} draws {is} mA, its limit is {limit} mA"))
        }
        _ => Ok(()),
    }
}

fn sibling(key: &str, field: &str) -> Option<String> {
    let at = key.to_ascii_uppercase().rfind("_V")?;
    Some(format!("{}_{field}{}", key.get(..at)?, key.get(at + 2..)?))
}
