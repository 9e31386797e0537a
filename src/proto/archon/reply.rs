//! Replies of SYSTEM and STATUS as types, and how all such replies are read: `KEY=VALUE` pairs. Unknown keys and
//! types never fail; an absent number is `None`.

use crate::value::Value;

/// Parsed SYSTEM.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct System {
    /// Every key as sent (upper case), with its text.
    pub pairs: Vec<(String, String)>,
}

/// Type of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleType(pub u16);

/// Value of `POWER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// 0, or a number nobody knows.
    Unknown,
    /// 1
    NotConfigured,
    /// 2
    Off,
    /// 3
    Intermediate,
    /// 4
    On,
    /// 5
    Standby,
}

/// Parsed STATUS.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Status {
    /// Every key as sent, with its text.
    pub pairs: Vec<(String, String)>,
}

/// Most characters of a reply in an error.
const EXCERPT: usize = 40;

/// By number. The vendor's manual leaves out 6.
const MODULE_TYPES: [&str; 20] = [
    "NONE", "DRIVER", "AD", "LVBIAS", "HVBIAS", "HEATER", "ATLAS", "HS", "HVXBIAS", "LVXBIAS", "LVDS",
    "HEATERX", "XVBIAS", "ADF", "ADX", "ADLN", "DRIVERX", "ADM", "HVYBIAS", "ADQ",
];

/// `KEY=VALUE` pairs, blank separated.
pub(super) fn pairs(command: &'static str, text: &str) -> Result<Vec<(String, String)>, ReplyError> {
    let pair = |word: &str| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(ReplyError::at(command, "no KEY=VALUE", word)),
    };
    text.split_ascii_whitespace().map(pair).collect()
}

/// Digits are an integer, `DINPUTS` is a row of bits and stays text, what is no number stays text.
fn status_value(key: &str, text: &str) -> Value {
    if key.ends_with("DINPUTS") {
        return text.into();
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(number) = text.parse()
    {
        return Value::Int(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::Float(number),
        _ => text.into(),
    }
}

/// Why a reply cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{command}: {why} in the reply {excerpt:?}")]
pub struct ReplyError {
    /// `SYSTEM`, `STATUS`, `FRAME`.
    pub command: &'static str,
    /// What is wrong.
    pub why: String,
    /// The place.
    pub excerpt: String,
}

impl ReplyError {
    pub(super) fn at(command: &'static str, why: impl Into<String>, place: &str) -> ReplyError {
        ReplyError { command, why: why.into(), excerpt: place.chars().take(EXCERPT).collect() }
    }
}

impl System {
    /// Parses the reply text.
    pub fn parse(text: &str) -> Result<System, ReplyError> {
        Ok(System { pairs: pairs("SYSTEM", text)? })
    }
    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// Type of the module in a slot (1..=16); `None`: no such slot in the reply.
    pub fn module_type(&self, slot: u8) -> Option<ModuleType> {
        self.get(&format!("MOD{slot}_TYPE"))?.parse().ok().map(ModuleType)
    }
    /// Id of the module in a slot, 16 hex digits.
    pub fn module_id(&self, slot: u8) -> Option<&str> {
        self.get(&format!("MOD{slot}_ID"))
    }
    /// As replies of the actor show it: lower-case keys, texts, `modN_name` after each `modN_type`.
    pub fn describe(&self) -> Vec<(String, Value)> {
        let mut shown = Vec::with_capacity(self.pairs.len() + 16);
        for (key, text) in &self.pairs {
            shown.push((key.to_ascii_lowercase(), Value::Str(text.clone())));
            if let Some(module) = key.strip_suffix("_TYPE").filter(|m| m.starts_with("MOD")) {
                let name = text.parse().map_or("UNKNOWN", |t| ModuleType(t).name());
                shown.push((format!("{}_name", module.to_ascii_lowercase()), name.into()));
            }
        }
        shown
    }
}

impl ModuleType {
    /// `HEATERX`; `UNKNOWN` for a number nobody knows.
    pub fn name(self) -> &'static str {
        MODULE_TYPES.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }
}

impl Status {
    /// Parses the reply text.
    pub fn parse(text: &str) -> Result<Status, ReplyError> {
        Ok(Status { pairs: pairs("STATUS", text)? })
    }
    /// The text of a key (`MOD2/TEMPA`).
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// The number of a key; `None` when it is absent or no number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(|t| t.parse().ok()).filter(|x: &f64| x.is_finite())
    }
    /// `VALID=1`: the rest means something.
    pub fn valid(&self) -> bool {
        self.get("VALID") == Some("1")
    }
    /// Update counter: unchanged = stale.
    pub fn count(&self) -> Option<u64> {
        self.get("COUNT").and_then(|t| t.parse().ok())
    }
    /// Log lines waiting.
    pub fn log_lines(&self) -> u64 {
        self.get("LOG").and_then(|t| t.parse().ok()).unwrap_or(0)
    }
    /// Power state.
    pub fn power(&self) -> Power {
        match self.get("POWER") {
            Some("1") => Power::NotConfigured,
            Some("2") => Power::Off,
            Some("3") => Power::Intermediate,
            Some("4") => Power::On,
            Some("5") => Power::Standby,
            _ => Power::Unknown,
        }
    }
    /// Supply good.
    pub fn power_good(&self) -> bool {
        self.get("POWERGOOD") == Some("1")
    }
    /// As replies of the actor show it: lower-case keys; digits are integers, other numbers floats, `dinputs` text.
    pub fn describe(&self) -> Vec<(String, Value)> {
        self.pairs.iter().map(|(key, text)| (key.to_ascii_lowercase(), status_value(key, text))).collect()
    }
}

impl Power {
    /// As the vendor's manual names it.
    pub fn name(self) -> &'static str {
        match self {
            Power::Unknown => "UNKNOWN",
            Power::NotConfigured => "NOT_CONFIGURED",
            Power::Off => "OFF",
            Power::Intermediate => "INTERMEDIATE",
            Power::On => "ON",
            Power::Standby => "STANDBY",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_nobody_knows_have_a_name_too() {
        let system = System::parse("BACKPLANE_REV=5 MOD1_TYPE=11 MOD2_TYPE=17 MOD3_TYPE=99 MOD4_TYPE=x ")
            .expect("fine");
        let names: Vec<Value> =
            system.describe().into_iter().filter(|(k, _)| k.ends_with("_name")).map(|(_, v)| v).collect();
        assert_eq!(names, ["HEATERX", "ADM", "UNKNOWN", "UNKNOWN"].map(Value::from));
        assert_eq!(system.module_type(2), Some(ModuleType(17)));
        assert_eq!(system.module_type(4), None);
    }

    #[test]
    fn numbers_of_status() {
        let status = Status::parse("VALID=1 POWER=3 MOD2/DINPUTS=00000101 MOD2/TEMPA=-273.15 P5V_I=+4 X=nan")
            .expect("fine");
        let shown = status.describe();
        assert_eq!(shown[2], ("mod2/dinputs".into(), "00000101".into()), "bits, not one hundred and one");
        assert_eq!(shown[3], ("mod2/tempa".into(), Value::Float(-273.15)));
        assert_eq!(shown[4], ("p5v_i".into(), Value::Int(4)));
        assert_eq!(shown[5], ("x".into(), "nan".into()));
        assert_eq!((status.number("X"), status.number("MOD2/TEMPA")), (None, Some(-273.15)));
        assert_eq!((status.power(), status.valid()), (Power::Intermediate, true));
    }
}
