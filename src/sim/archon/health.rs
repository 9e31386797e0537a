//! SYSTEM and STATUS: what the controller is made of, and how it is.

use super::faults::{Fault, Faults};
use crate::config::acf::Acf;
use crate::units::Mono;
use std::fmt::Write;
use std::time::Duration;

/// `POWER` while a transition runs.
const INTERMEDIATE: u8 = 3;
/// STATUS counts up this often.
const COUNT_EVERY: Duration = Duration::from_millis(100);
/// From this revision (F) on the backplane tells its fan.
const FAN_REVISION: u8 = 5;
/// Type of a module that the backplane cannot identify.
const DEAD: u16 = 16;

/// Power to the CCD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    NotConfigured,
    Off,
    Rising { until: Mono },
    On { since: Mono },
}

/// The modules a controller has unless its ACF says otherwise: (slot, type).
const MODULES: &[(u8, u16)] = &[(1, 12), (2, 11), (3, 1), (4, 9), (5, 2), (6, 2), (9, 8), (11, 3)];
const SLOTS: u8 = 12;

/// The text of SYSTEM: the ACF's `[SYSTEM]` if it says something about modules, else a usual X12 box.
pub(super) fn system(acf: Option<&Acf>, revision: u8, id: u64, dead: Option<u8>) -> String {
    let of_acf = |key: &str| {
        acf.and_then(|a| a.system.iter().find(|(k, _)| k.eq_ignore_ascii_case(key))).map(|(_, v)| v.clone())
    };
    let told = (1..=SLOTS).any(|slot| of_acf(&format!("MOD{slot}_TYPE")).is_some());
    let or = |key: &str, usual: String| of_acf(key).unwrap_or(usual);
    let mut text = format!(
        "BACKPLANE_TYPE={} BACKPLANE_REV={revision} BACKPLANE_VERSION={} BACKPLANE_ID={} POWER_ID={}",
        or("BACKPLANE_TYPE", "1".into()),
        or("BACKPLANE_VERSION", "1.0.1104".into()),
        or("BACKPLANE_ID", format!("{id:016X}")),
        or("POWER_ID", "0000014A46C4".into()),
    );
    let usual = |slot: u8| MODULES.iter().find(|(s, _)| *s == slot && !told).map_or(0, |(_, t)| *t);
    let kind =
        |slot: u8| of_acf(&format!("MOD{slot}_TYPE")).and_then(|t| t.parse().ok()).unwrap_or(usual(slot));
    let present = (1..=SLOTS).filter(|s| kind(*s) != 0).fold(0u32, |bits, slot| bits | 1 << (slot - 1));
    let _ = write!(text, " MOD_PRESENT={}", or("MOD_PRESENT", format!("{present:X}")));
    for slot in 1..=SLOTS {
        let (there, is_dead) = (kind(slot) != 0, dead == Some(slot));
        let or_none = |usual: String, none: &str| if there { usual } else { none.to_owned() };
        let own_id = or_none(format!("{:016X}", id ^ u64::from(slot) << 40), "0000000000000000");
        for (key, usual, of_dead) in [
            ("TYPE", kind(slot).to_string(), DEAD.to_string()),
            ("REV", "0".into(), "0".into()),
            ("VERSION", or_none("1.0.1104".into(), "0.0.0"), "0.0.0".into()),
            ("ID", own_id, "0".repeat(16)),
        ] {
            let key = format!("MOD{slot}_{key}");
            let value = if is_dead { of_dead } else { or(&key, usual) };
            let _ = write!(text, " {key}={value}");
        }
    }
    text.push(' ');
    text
}

/// (slot, type) of what the text of SYSTEM names.
pub(super) fn modules(system: &str) -> Vec<(u8, u16)> {
    let kind = |slot: u8| {
        let key = format!("MOD{slot}_TYPE=");
        system.split(' ').find_map(|w| w.strip_prefix(&key)).and_then(|t| t.parse().ok()).unwrap_or(0)
    };
    (1..=SLOTS).map(|slot| (slot, kind(slot))).filter(|(_, kind)| *kind != 0).collect()
}

/// What STATUS depends on.
#[derive(Clone, Debug)]
pub(super) struct Health {
    pub power: Power,
    pub power_time: Duration,
    pub revision: u8,
    /// Background polling is off: what it told last.
    pub frozen: Option<Polled>,
    pub booted: Mono,
    /// COUNT stands still since then: a fault.
    pub still: Option<Mono>,
    /// (slot, type) of the modules there are.
    pub modules: Vec<(u8, u16)>,
    /// Bias channels as applied.
    pub biases: Vec<Bias>,
}

/// STATUS, without LOG between its two parts.
#[derive(Clone, Debug)]
pub(super) struct Polled {
    head: String,
    rest: String,
}

/// A bias channel: its keys in STATUS and what it is set to.
#[derive(Clone, Debug)]
pub(super) struct Bias {
    slot: u8,
    volts_key: String,
    amps_key: String,
    volts: f64,
}

impl Health {
    /// Takes over what a configuration says about bias channels, of one slot or of all.
    pub fn apply(&mut self, acf: &Acf, only: Option<u8>) {
        let value = |key: &str| acf.get(key).and_then(|v| v.parse::<f64>().ok());
        self.biases.retain(|b| only.is_some_and(|slot| b.slot != slot));
        for (slot, kind) in self.modules.iter().filter(|(slot, _)| only.is_none_or(|o| o == *slot)) {
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

    /// APPLYALL went through.
    pub fn configured(&mut self) {
        self.power = Power::Off;
    }

    pub fn power_on(&mut self, now: Mono) -> Result<(), String> {
        match self.power {
            Power::NotConfigured => return Err("not before APPLYALL".into()),
            Power::Off => self.power = Power::Rising { until: now + self.power_time },
            Power::Rising { .. } | Power::On { .. } => {}
        }
        Ok(())
    }

    pub fn power_off(&mut self) {
        if self.power != Power::NotConfigured {
            self.power = Power::Off;
        }
    }

    pub fn settle(&mut self, now: Mono, faults: &mut Faults) {
        let stale = faults.has(&Fault::StatusStale);
        self.still = stale.then(|| self.still.unwrap_or(now));
        if let Power::Rising { until } = self.power
            && until <= now
            && !faults.has(&Fault::PowerHalf)
        {
            self.power = Power::On { since: until };
        }
        if self.drop_due(faults).is_some_and(|at| at <= now) {
            faults.once(|f| matches!(f, Fault::PowerDrop(_)).then_some(()));
            self.power = Power::Off;
        }
    }

    fn drop_due(&self, faults: &Faults) -> Option<Mono> {
        let Power::On { since } = self.power else { return None };
        faults.find(|f| if let Fault::PowerDrop(d) = f { Some(since + *d) } else { None })
    }

    pub fn deadline(&self, faults: &Faults) -> Option<Mono> {
        match self.power {
            Power::Rising { until } if !faults.has(&Fault::PowerHalf) => Some(until),
            _ => self.drop_due(faults),
        }
    }

    /// POLLOFF: STATUS stands still, but for the log.
    pub fn freeze(&mut self, faults: &Faults, now: Mono) {
        if self.frozen.is_none() {
            self.frozen = Some(self.polled(faults, now));
        }
    }

    /// The text of STATUS.
    pub fn status(&self, log: usize, faults: &Faults, now: Mono) -> String {
        let fresh;
        let Polled { head, rest } = match &self.frozen {
            Some(frozen) => frozen,
            None => {
                fresh = self.polled(faults, now);
                &fresh
            }
        };
        format!("{head} LOG={log} {rest}")
    }

    fn polled(&self, faults: &Faults, now: Mono) -> Polled {
        let seen = self.still.unwrap_or(now);
        let count = seen.since(self.booted).as_nanos() / COUNT_EVERY.as_nanos() + 1;
        let valid = u8::from(!faults.has(&Fault::StatusInvalid));
        let power = match self.power {
            Power::NotConfigured => 1,
            Power::Off => 2,
            Power::Rising { .. } => INTERMEDIATE,
            Power::On { .. } => 4,
        };
        let on = power == 4;
        let good = !(on && faults.has(&Fault::PowerBad));
        let mut rest = format!(
            "POWER={power} POWERGOOD={} OVERHEAT={} BACKPLANE_TEMP=28.187",
            u8::from(good),
            u8::from(faults.has(&Fault::Overheat)),
        );
        // Writing to a String cannot fail, here and below.
        for (rail, volts) in RAILS {
            let _ = write!(rest, " {rail}_V={volts:.3} {rail}_I=0.100");
        }
        if self.revision >= FAN_REVISION {
            rest.push_str(" FANTACH=2400");
        }
        for (slot, kind) in &self.modules {
            self.module(&mut rest, *slot, *kind, on, faults);
        }
        Polled { head: format!("VALID={valid} COUNT={count}"), rest }
    }

    /// What a module tells, in the order of the hardware.
    fn module(&self, text: &mut String, slot: u8, kind: u16, on: bool, faults: &Faults) {
        let _ = write!(text, " MOD{slot}/TEMP=26.250");
        if matches!(kind, 5 | 11) {
            heater(text, slot, faults);
        }
        for bias in self.biases.iter().filter(|b| b.slot == slot) {
            let is_dead =
                |f: &Fault| matches!(f, Fault::BiasOff(k) if k.eq_ignore_ascii_case(&bias.volts_key));
            let dead = faults.find(|f| is_dead(f).then_some(())).is_some();
            let volts = if on && !dead { bias.volts } else { 0.0 };
            let _ = write!(text, " {}={volts:.3} {}=0.002", bias.volts_key, bias.amps_key);
        }
        match kind {
            3 | 5 | 9 | 11 => text.push_str(&format!(" MOD{slot}/DINPUTS=00000101")),
            7 | 10 => text.push_str(&format!(" MOD{slot}/DINPUTS=0101")),
            _ => return,
        }
        for register in 0..16 {
            let _ = write!(text, " MOD{slot}/VCPU_OUTREG{register}=0");
        }
    }
}

fn heater(text: &mut String, slot: u8, faults: &Faults) {
    for (sensor, celsius) in [("TEMPA", -110.15), ("TEMPB", -183.15), ("TEMPC", -110.05)] {
        let key = format!("MOD{slot}/{sensor}");
        let open = faults.has(&Fault::SensorOpen(key.clone()));
        let value = if open { -273.150_016 } else { celsius };
        let _ = write!(text, " {key}={value:.6}");
    }
    for output in ["HEATERAOUTPUT", "HEATERBOUTPUT"] {
        let _ = write!(text, " MOD{slot}/{output}=0.900");
    }
    for term in ["HEATERAP", "HEATERAI", "HEATERAD", "HEATERBP", "HEATERBI", "HEATERBD"] {
        let _ = write!(text, " MOD{slot}/{term}=0");
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
