//! SYSTEM and STATUS: what the controller is made of, and how it is.

use super::faults::{Fault, Faults};
use crate::config::acf::Acf;
use crate::units::Mono;
use std::time::Duration;

/// `POWER` while a transition runs.
const INTERMEDIATE: u8 = 3;
/// STATUS counts up this often.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// Power to the CCD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    NotConfigured,
    Off,
    Rising { until: Mono },
    On,
}

/// The modules a controller has unless its ACF says otherwise: (slot, type).
const MODULES: &[(u8, u16)] = &[(1, 12), (2, 11), (3, 1), (4, 9), (5, 2), (6, 2), (9, 8), (11, 3)];
const SLOTS: u8 = 12;

/// The text of SYSTEM: the ACF's `[SYSTEM]` if it says something about modules, else a usual X12 box.
pub(super) fn system(acf: Option<&Acf>, revision: u8, id: u64) -> String {
    let of_acf = |key: &str| {
        acf.and_then(|a| a.system.iter().find(|(k, _)| k.eq_ignore_ascii_case(key))).map(|(_, v)| v.clone())
    };
    let told = of_acf("MOD1_TYPE").is_some();
    let or = |key: &str, usual: String| of_acf(key).unwrap_or(usual);
    let mut text = format!(
        "BACKPLANE_TYPE={} BACKPLANE_REV={revision} BACKPLANE_VERSION={} BACKPLANE_ID={} POWER_ID={}",
        or("BACKPLANE_TYPE", "1".into()),
        or("BACKPLANE_VERSION", "1.0.1104".into()),
        or("BACKPLANE_ID", format!("{id:016X}")),
        or("POWER_ID", "0000014A46C4".into()),
    );
    let present = MODULES.iter().fold(0u32, |bits, (slot, _)| bits | 1 << (slot - 1));
    text.push_str(&format!(" MOD_PRESENT={}", or("MOD_PRESENT", format!("{present:X}"))));
    for slot in 1..=SLOTS {
        let kind = MODULES.iter().find(|(s, _)| *s == slot && !told).map_or(0, |(_, t)| *t);
        let usual_id =
            if kind == 0 { "0".repeat(16) } else { format!("{:016X}", id ^ u64::from(slot) << 40) };
        let version = if kind == 0 { "0.0.0" } else { "1.0.1104" };
        for (key, usual) in
            [("TYPE", kind.to_string()), ("REV", "0".into()), ("VERSION", version.into()), ("ID", usual_id)]
        {
            let key = format!("MOD{slot}_{key}");
            text.push_str(&format!(" {key}={}", or(&key, usual)));
        }
    }
    text.push(' ');
    text
}

/// What STATUS depends on.
#[derive(Clone, Debug)]
pub(super) struct Health {
    pub power: Power,
    pub power_time: Duration,
    /// Background polling is off: everything stands still since then.
    pub frozen: Option<Mono>,
    pub booted: Mono,
    /// (slot, type) of the modules there are.
    pub modules: Vec<(u8, u16)>,
    /// Bias channels as applied.
    pub biases: Vec<Bias>,
}

/// A bias channel: its keys in STATUS and what it is set to.
#[derive(Clone, Debug)]
pub(super) struct Bias {
    slot: u8,
    volts_key: String,
    amps_key: String,
    volts: f64,
}

/// (slot, type) of what the text of SYSTEM names.
pub(super) fn modules(system: &str) -> Vec<(u8, u16)> {
    let kind = |slot: u8| {
        let key = format!("MOD{slot}_TYPE=");
        system.split(' ').find_map(|w| w.strip_prefix(&key)).and_then(|t| t.parse().ok()).unwrap_or(0)
    };
    (1..=SLOTS).map(|slot| (slot, kind(slot))).filter(|(_, kind)| *kind != 0).collect()
}

impl Health {
    /// Takes over what a configuration says about bias channels.
    pub fn apply(&mut self, acf: &Acf) {
        let value = |key: &str| acf.get(key).and_then(|v| v.parse::<f64>().ok());
        self.biases.clear();
        for (slot, kind) in &self.modules {
            for (family, channels) in bias_channels(*kind) {
                for n in 1..=*channels {
                    let key = |what: &str| format!("MOD{slot}/{family}_{what}{n}");
                    let enabled = value(&key("ENABLE")).is_none_or(|e| e == 1.0);
                    let volts = if enabled { value(&key("V")).unwrap_or(0.0) } else { 0.0 };
                    let (volts_key, amps_key) = (key("V"), key("I"));
                    self.biases.push(Bias { slot: *slot, volts_key, amps_key, volts });
                }
            }
        }
    }

    pub fn settle(&mut self, now: Mono, faults: &Faults) {
        if let Power::Rising { until } = self.power
            && until <= now
            && !faults.has(&Fault::PowerHalf)
        {
            self.power = Power::On;
        }
    }

    pub fn deadline(&self) -> Option<Mono> {
        match self.power {
            Power::Rising { until } => Some(until),
            _ => None,
        }
    }

    /// The text of STATUS.
    pub fn status(&self, log: usize, faults: &Faults, now: Mono) -> String {
        let seen = self.frozen.unwrap_or(now);
        let stale = faults.has(&Fault::StatusStale);
        let count = if stale { 7 } else { seen.since(self.booted).as_nanos() / COUNT_EVERY.as_nanos() + 1 };
        let power = match self.power {
            Power::NotConfigured => 1,
            Power::Off => 2,
            Power::Rising { .. } => INTERMEDIATE,
            Power::On => 4,
        };
        let on = self.power == Power::On;
        let good = !(on && faults.has(&Fault::PowerBad));
        let mut text = format!(
            "VALID={} COUNT={count} LOG={log} POWER={power} POWERGOOD={} OVERHEAT={} BACKPLANE_TEMP=28.187",
            u8::from(!faults.has(&Fault::StatusInvalid)),
            u8::from(good),
            u8::from(faults.has(&Fault::Overheat)),
        );
        for (rail, volts) in RAILS {
            text.push_str(&format!(" {rail}_V={volts:.3} {rail}_I=0.100"));
        }
        for (slot, kind) in &self.modules {
            self.module(&mut text, *slot, *kind, on, faults);
        }
        text
    }

    fn module(&self, text: &mut String, slot: u8, kind: u16, on: bool, faults: &Faults) {
        text.push_str(&format!(" MOD{slot}/TEMP=26.250"));
        if matches!(kind, 5 | 11) {
            for (sensor, celsius) in [("TEMPA", -110.15), ("TEMPB", -183.15), ("TEMPC", -110.05)] {
                let key = format!("MOD{slot}/{sensor}");
                let open =
                    faults.find(|f| matches!(f, Fault::SensorOpen(k) if *k == key).then_some(())).is_some();
                let value = if open { -273.150_016 } else { celsius };
                text.push_str(&format!(" {key}={value:.6}"));
            }
            text.push_str(&format!(" MOD{slot}/HEATERAOUTPUT=0.900 MOD{slot}/HEATERBOUTPUT=0.900"));
            text.push_str(&format!(" MOD{slot}/DINPUTS=00000101"));
        }
        for bias in self.biases.iter().filter(|b| b.slot == slot) {
            let volts = if on { bias.volts } else { 0.0 };
            text.push_str(&format!(" {}={volts:.3} {}=0.002", bias.volts_key, bias.amps_key));
        }
    }
}

const RAILS: &[(&str, f64)] = &[
    ("P2V5", 2.555),
    ("P5V", 4.997),
    ("P6V", 5.933),
    ("N6V", -6.046),
    ("P17V", 16.955),
    ("N17V", -17.080),
    ("P35V", 34.945),
    ("N35V", -35.010),
    ("P100V", 0.0),
    ("N100V", 0.0),
    ("USER", 0.0),
    ("HEATER", 27.883),
];

/// Bias channels by module type.
fn bias_channels(kind: u16) -> &'static [(&'static str, u8)] {
    match kind {
        3 | 9 => &[("LVLC", 24), ("LVHC", 6)],
        4 | 8 | 18 => &[("HVLC", 24), ("HVHC", 6)],
        12 => &[("XVP", 4), ("XVN", 4)],
        _ => &[],
    }
}
