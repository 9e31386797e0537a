//! What the two GUPPI engines share: observing modes, folding, polarization of the feed, status keys.

pub mod codd;
mod fft;
pub mod inco;
pub mod par_file;

pub use codd::GuppiCodd;
pub use inco::GuppiInco;

use super::common::{Common, Set, number_above_zero, number_kept, out_of_range, positive, whole, wrong_type};
use super::place::{Place, write_position};
use super::status::StatusMap;
use super::{Site, signed_mhz};
use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::{Bank, Mode, RegisterValue};
use crate::value::Value;

/// Default of `integration_time`, s.
const INTEGRATION_S: f64 = 40.96e-6;
const POLARIZATION_REFUSED: &str = "bad value: legal values are 'LIN' (linear) or 'CIRC' (circular)";
/// Fraction bits of a scale register.
const SCALE_ONE: f64 = 65_536.0;

/// What the engines are different in.
#[derive(Clone, Copy, Debug)]
struct Variety {
    /// Legal values of `obs_mode`; the first is the default.
    obs_modes: &'static [&'static str],
    /// Default of `obs_frequency`, MHz.
    obs_frequency: f64,
}

/// State both engines have.
#[derive(Clone, Debug)]
struct Guppi {
    common: Common,
    mode: Mode,
    place: Place,
    variety: Variety,
    /// MHz, with its sign: also the bandwidth.
    frequency_mhz: f64,
    etc_config: String,
    integration_time: Value,
    obs_frequency: Value,
    obs_mode: String,
    only_i: bool,
    nbin: i64,
    tfold: Value,
    par_file: String,
    feed_polarization: &'static str,
}

impl Guppi {
    fn new(bank: &Bank, mode: &Mode, frequency: f64, place: Place, site: &Site, variety: Variety) -> Guppi {
        Guppi {
            common: Common::new(bank, mode),
            mode: mode.clone(),
            place,
            variety,
            frequency_mhz: signed_mhz(frequency),
            etc_config: format!("{}/etc/config/", site.dibas_dir.trim_end_matches('/')),
            integration_time: Value::Float(INTEGRATION_S),
            obs_frequency: Value::Float(variety.obs_frequency),
            obs_mode: variety.obs_modes[0].to_owned(),
            only_i: false,
            nbin: 256,
            tfold: Value::Float(1.0),
            par_file: "example.par".to_owned(),
            feed_polarization: "LIN",
        }
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<Set, CallError> {
        match name {
            "integration_time" => self.integration_time = number_above_zero(name, value)?,
            "obs_frequency" => self.obs_frequency = number_above_zero(name, value)?,
            "obs_mode" => self.obs_mode = self.obs_mode_of(value)?,
            "only_i" => self.only_i = zero_or_one(name, value)?,
            "nbin" => self.nbin = positive(name, value)?,
            "tfold" => self.tfold = number_above_zero(name, value)?,
            "par_file" => self.par_file = file_name(name, value)?,
            "feed_polarization" => self.feed_polarization = polarization(value)?,
            _ => return self.common.set(name, value),
        }
        Ok(Set::Done)
    }

    fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "integration_time" => self.integration_time.clone(),
            "obs_frequency" => self.obs_frequency.clone(),
            "obs_mode" => self.obs_mode.as_str().into(),
            "only_i" => i64::from(self.only_i).into(),
            "nbin" => self.nbin.into(),
            "tfold" => self.tfold.clone(),
            "par_file" => self.par_file.as_str().into(),
            "feed_polarization" => self.feed_polarization.into(),
            _ => return self.common.get(name),
        })
    }

    fn obs_mode_of(&self, value: &Value) -> Result<String, CallError> {
        let wanted = value.as_str().map(str::to_ascii_uppercase);
        wanted.filter(|w| self.variety.obs_modes.contains(&w.as_str())).ok_or_else(|| {
            let legal: Vec<String> = self.variety.obs_modes.iter().map(|m| format!("'{m}'")).collect();
            let text = format!("set_obs_mode: mode must be one of [{}]", legal.join(", "));
            CallError::new(ErrorClass::Exception, Family::Invalid, text)
        })
    }

    /// Integration time wanted, s.
    fn integration_s(&self) -> f64 {
        self.integration_time.as_f64().unwrap_or(INTEGRATION_S)
    }

    /// MHz.
    fn obs_frequency_mhz(&self) -> f64 {
        self.obs_frequency.as_f64().unwrap_or(self.variety.obs_frequency)
    }

    /// Only total intensity is kept: an option of searching.
    fn only_i_in_effect(&self) -> bool {
        self.only_i && self.obs_mode.contains("SEARCH")
    }

    /// Absolute path of the par file; names without a directory are those of the site.
    fn par_path(&self) -> String {
        if self.par_file.starts_with('/') {
            return self.par_file.clone();
        }
        format!("{}{}", self.etc_config, self.par_file)
    }

    /// The keys both write; the engine's own follow.
    fn status(&self) -> StatusMap {
        let mut map = StatusMap::default();
        self.place.write_defaults(&mut map, &self.mode);
        self.place.write_observation(&mut map, &self.common);
        write_position(&mut map, &self.common);
        for (key, value) in CONSTANT_KEYS {
            map.set(key, *value);
        }
        for i in 0..4 {
            map.set(&format!("OFFSET{i}"), "0.0");
            map.set(&format!("SCALE{i}"), "1.0");
        }
        map.set("CAL_MODE", if self.obs_mode.contains("CAL") { "ON" } else { "OFF" });
        map.set("FD_POLN", self.feed_polarization);
        map.set("NBIN", self.nbin);
        map.set("OBS_MODE", self.obs_mode.as_str());
        map.set("ONLY_I", i64::from(self.only_i_in_effect()));
        map.set("PARFILE", self.par_path());
        map.set("TFOLD", self.tfold.clone());
        map
    }
}

/// Keys whose text never changes.
const CONSTANT_KEYS: &[(&str, &str)] =
    &[("BACKEND", "GUPPI"), ("NBITS", "8"), ("NRCVR", "2"), ("PFB_OVER", "12")];

/// A scale: a number of 0 to 65535.99998, which becomes a register with 16 fraction bits.
fn scale(name: &str, value: &Value) -> Result<f64, CallError> {
    let x = number_kept(name, value, 0.0)?.as_f64().unwrap_or(0.0);
    if x * SCALE_ONE >= f64::from(u32::MAX) + 1.0 {
        return Err(out_of_range(name, "a number of 0 to 65535.99998", value));
    }
    Ok(x)
}

fn scale_register(scale: f64) -> RegisterValue {
    RegisterValue::Word((scale * SCALE_ONE) as u32) // in range, checked by scale()
}

fn zero_or_one(name: &str, value: &Value) -> Result<bool, CallError> {
    match whole(name, value)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(out_of_range(name, "0 or 1", value)),
    }
}

fn file_name(name: &str, value: &Value) -> Result<String, CallError> {
    let text = value.as_str().ok_or_else(|| wrong_type(name, "a file name", value))?;
    if text.is_empty() || text.contains(char::is_control) {
        return Err(out_of_range(name, "a file name", value));
    }
    Ok(text.to_owned())
}

/// Any spelling; kept in upper case (BE-05).
fn polarization(value: &Value) -> Result<&'static str, CallError> {
    let wanted = value.as_str().unwrap_or("");
    let legal = ["LIN", "CIRC"].into_iter().find(|l| l.eq_ignore_ascii_case(wanted));
    legal.ok_or_else(|| CallError::new(ErrorClass::Exception, Family::Invalid, POLARIZATION_REFUSED))
}
