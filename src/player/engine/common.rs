//! Parameters that every engine has (spec: "common base"): storage, checks, IF bits.

use super::coordinates::Position;
use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::{Bank, Mode};
use crate::value::Value;

/// I2C address of the IF port.
pub const IF_PORT: u8 = 0x38;
const IF_NOISE_OFF: u8 = 0x01;
const IF_TONE_1: u8 = 0x02;
const IF_TONE_2: u8 = 0x04;

/// Text for "never given".
pub const UNSPECIFIED: &str = "unspecified";
const POSITION_REFUSED: &str =
    "source_ra_dec must be specified as a string. See help for this parameter for details.";

/// What a setter says.
pub enum Set {
    /// Stored.
    Done,
    /// Not stored; this is the reply (`[false, "..."]`), not an exception.
    Refused(Value),
    /// Not a parameter of this part.
    Unknown,
}

/// The common parameters of an engine.
#[derive(Clone, Debug)]
pub struct Common {
    filter_bits: Vec<(i64, u8)>,
    /// MHz.
    pub filter_bw: i64,
    observer: Value,
    project_id: Value,
    noise_tone_1: bool,
    noise_tone_2: bool,
    /// The noise source is on.
    pub noise_source: bool,
    /// Hz; `None`: never given.
    pub cal_freq: Option<Value>,
    scan_length: Value,
    source: Value,
    /// As given, and what it means.
    pub position: Option<(String, Position)>,
    /// `None`: never given.
    pub telescope: Option<Value>,
}

impl Common {
    /// Defaults of a mode on a bank.
    pub fn new(bank: &Bank, mode: &Mode) -> Common {
        Common {
            filter_bits: bank.filter_bits.clone(),
            filter_bw: mode.filter_bw,
            observer: UNSPECIFIED.into(),
            project_id: "JUNK".into(),
            noise_tone_1: false,
            noise_tone_2: false,
            noise_source: false,
            cal_freq: None,
            scan_length: Value::Float(30.0),
            source: UNSPECIFIED.into(),
            position: None,
            telescope: None,
        }
    }

    /// Stores a parameter.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        match name {
            "filter_bw" => return self.set_filter(value),
            "observer" => self.observer = label(name, value)?,
            "project_id" => self.project_id = label(name, value)?,
            "noise_tone_1" => self.noise_tone_1 = zero_or_one(name, value)?,
            "noise_tone_2" => self.noise_tone_2 = zero_or_one(name, value)?,
            "noise_source" => self.noise_source = zero_or_one(name, value)?,
            "cal_freq" => self.cal_freq = Some(number_kept(name, value, 0.0)?),
            "scan_length" => self.scan_length = number_kept(name, value, 0.0)?,
            "source" => self.source = label(name, value)?,
            "source_ra_dec" => self.position = Some(position(value)?),
            "telescope" => self.telescope = Some(label(name, value)?),
            _ => return Ok(Set::Unknown),
        }
        Ok(Set::Done)
    }

    fn set_filter(&mut self, value: &Value) -> Result<Set, CallError> {
        let wanted = whole("filter_bw", value)?;
        if self.filter_bits.iter().any(|(bw, _)| *bw == wanted) {
            self.filter_bw = wanted;
            return Ok(Set::Done);
        }
        let legal: Vec<String> = self.filter_bits.iter().map(|(bw, _)| bw.to_string()).collect();
        let text = format!("Filter bandwidth must be one of [{}]", legal.join(", "));
        Ok(Set::Refused(Value::verdict(false, text)))
    }

    /// Current value; `None`: not a parameter of this part.
    pub fn get(&self, name: &str) -> Option<Value> {
        let unspecified = || Value::from(UNSPECIFIED);
        Some(match name {
            "filter_bw" => self.filter_bw.into(),
            "observer" => self.observer.clone(),
            "project_id" => self.project_id.clone(),
            "noise_tone_1" => i64::from(self.noise_tone_1).into(),
            "noise_tone_2" => i64::from(self.noise_tone_2).into(),
            "noise_source" => i64::from(self.noise_source).into(),
            "cal_freq" => self.cal_freq.clone().unwrap_or_else(unspecified),
            "scan_length" => self.scan_length.clone(),
            "source" => self.source.clone(),
            "source_ra_dec" => self.position.as_ref().map_or(Value::Null, |(text, _)| text.as_str().into()),
            "telescope" => self.telescope.clone().unwrap_or_else(unspecified),
            _ => return None,
        })
    }

    /// Scan length, s.
    pub fn scan_length_s(&self) -> f64 {
        self.scan_length.as_f64().unwrap_or(0.0)
    }

    /// The byte for the IF port.
    pub fn if_bits(&self) -> Result<u8, CallError> {
        let filter = self.filter_bits.iter().find(|(bw, _)| *bw == self.filter_bw).map(|(_, bits)| *bits);
        let filter = filter.ok_or_else(|| {
            let text = format!("The bank has no filter of {} MHz; set filter_bw first", self.filter_bw);
            CallError::new(ErrorClass::ValueError, Family::Invalid, text)
        })?;
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        Ok(filter
            | flag(!self.noise_source, IF_NOISE_OFF)
            | flag(self.noise_tone_1, IF_TONE_1)
            | flag(self.noise_tone_2, IF_TONE_2))
    }
}

/// `TypeError`, naming the parameter and what it wants.
pub fn wrong_type(name: &str, wanted: &str, value: &Value) -> CallError {
    let text = format!("Parameter '{name}' must be {wanted}, not {} ({})", value, value.kind());
    CallError::new(ErrorClass::TypeError, Family::Invalid, text)
}

/// `ValueError`, naming the parameter and its range.
pub fn out_of_range(name: &str, range: &str, value: &Value) -> CallError {
    CallError::new(
        ErrorClass::ValueError,
        Family::Invalid,
        format!("Parameter '{name}' must be {range}, not {value}"),
    )
}

/// A text, or a number that is kept as it is for the status card.
fn label(name: &str, value: &Value) -> Result<Value, CallError> {
    match value {
        Value::Str(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Null => Ok(value.clone()),
        _ => Err(wrong_type(name, "text", value)),
    }
}

/// A whole number; floats without fraction count.
pub fn whole(name: &str, value: &Value) -> Result<i64, CallError> {
    match value {
        Value::Int(i) => Ok(*i),
        Value::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => Ok(*x as i64),
        _ => Err(wrong_type(name, "a whole number", value)),
    }
}

/// A finite number of at least `min`, with its kind (int or float) kept.
pub fn number_kept(name: &str, value: &Value, min: f64) -> Result<Value, CallError> {
    let x = value.as_f64().ok_or_else(|| wrong_type(name, "a number", value))?;
    if !x.is_finite() || x < min {
        return Err(out_of_range(name, &format!("a number of at least {min}"), value));
    }
    Ok(value.clone())
}

fn zero_or_one(name: &str, value: &Value) -> Result<bool, CallError> {
    match value {
        Value::Bool(b) => Ok(*b),
        Value::Int(0) => Ok(false),
        Value::Int(1) => Ok(true),
        _ => Err(out_of_range(name, "0 or 1", value)),
    }
}

fn position(value: &Value) -> Result<(String, Position), CallError> {
    let parsed = value.as_str().and_then(|text| Some((text.to_owned(), Position::parse(text)?)));
    let refused = || CallError::new(ErrorClass::Exception, Family::Invalid, POSITION_REFUSED);
    parsed.ok_or_else(refused)
}

/// Channel and spectrum counts fit 31 bits everywhere they go.
pub fn positive(name: &str, value: &Value) -> Result<i64, CallError> {
    let n = whole(name, value)?;
    if !(1..=i64::from(i32::MAX)).contains(&n) {
        return Err(out_of_range(name, "at least 1", value));
    }
    Ok(n)
}

/// A finite number above 0, with its kind kept.
pub fn number_above_zero(name: &str, value: &Value) -> Result<Value, CallError> {
    number_kept(name, value, f64::MIN_POSITIVE).map_err(|e| match value.as_f64() {
        Some(_) => out_of_range(name, "a number above 0", value),
        None => e,
    })
}
