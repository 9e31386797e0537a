//! How much disk a scan needs, from what was prepared; told and refused with numbers before it starts.

use super::engine::Engine;
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of a spectral value in a FITS table (32-bit float).
const FLOAT_BYTES: f64 = 4.0;

/// What a scan needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Bytes.
    pub bytes: u64,
    /// How that was found, in words.
    pub basis: String,
    /// The rate is not known: it may be more.
    pub at_least: bool,
}

impl Need {
    /// Of a scan of this length in the mode of `engine`, with the status keys that were prepared. Where the rate is
    /// not known the site's `least` stands for it, as a lower bound.
    pub fn of(engine: &Engine, status: &BTreeMap<String, String>, length: Duration, least: u64) -> Need {
        let number = |key: &str| status.get(key)?.parse::<f64>().ok().filter(|x| x.is_finite() && *x > 0.0);
        let observing = status.get("OBS_MODE").map_or("", String::as_str);
        let rate = match engine.fpga().conduct.backend {
            "VEGAS" => spectra(engine, number),
            "GUPPI" if observing.ends_with("SEARCH") => search(status, number),
            _ => None,
        };
        match rate {
            Some((rate, basis)) => {
                let bytes = (rate * length.as_secs_f64()).min(1e18) as u64;
                Need { bytes, basis: format!("{basis}: {:.3} MB/s", rate / 1e6), at_least: false }
            }
            None => {
                let basis =
                    "the rate of this mode is not known; player.disk_free_min_gb stands for it".into();
                Need { bytes: least, basis, at_least: true }
            }
        }
    }
}

/// A row of every unblanked switching state and sub-band for every exposure: channels times polarisation products.
fn spectra(engine: &Engine, number: impl Fn(&str) -> Option<f64>) -> Option<(f64, String)> {
    let (channels, products) = (number("NCHAN")?, number("NMSTOKES")?);
    let (subbands, exposure) = (number("NSUBBAND")?, number("EXPOSURE")?);
    let states = engine.phases().iter().filter(|phase| !phase.blanking).count().max(1);
    let rate = channels * products * subbands * states as f64 * FLOAT_BYTES / exposure;
    let basis = format!(
        "{channels} channels x {products} products x {subbands} sub-bands x {states} states x {FLOAT_BYTES} bytes every {exposure} s"
    );
    Some((rate, basis))
}

/// A sample of every channel and product every `TBIN`, `DS_TIME` of them summed.
fn search(status: &BTreeMap<String, String>, number: impl Fn(&str) -> Option<f64>) -> Option<(f64, String)> {
    let only_i = status.get("ONLY_I").is_some_and(|v| v == "1");
    let products = if only_i { 1.0 } else { number("NPOL")? };
    let (channels, bits) = (number("OBSNCHAN")?, number("NBITS").unwrap_or(8.0));
    let every = number("TBIN")? * number("DS_TIME").unwrap_or(1.0);
    let rate = channels * products * bits / 8.0 / every;
    let basis =
        format!("{channels} channels x {products} products x {bits} bits every {:.3} us", every * 1e6);
    Some((rate, basis))
}

/// The check of one scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What it needs.
    pub need: Need,
    /// Where.
    pub directory: String,
    /// Bytes free, or why that is not known; `None`: no answer yet.
    pub free: Option<Result<u64, String>>,
}

impl Check {
    /// Why the scan will not fit, if that is known.
    pub fn problem(&self) -> Option<String> {
        let gb = |bytes: u64| bytes as f64 / 1e9;
        match &self.free {
            Some(Ok(free)) if *free < self.need.bytes => Some(format!(
                "the scan needs {} {:.3} GB ({}), and {:.3} GB are free in {}",
                if self.need.at_least { "at least" } else { "about" },
                gb(self.need.bytes),
                self.need.basis,
                gb(*free),
                self.directory
            )),
            _ => None,
        }
    }

    /// For the proof of the scan.
    pub fn to_value(&self) -> Value {
        let free = match &self.free {
            Some(Ok(free)) => Value::Int(i64::try_from(*free).unwrap_or(i64::MAX)),
            Some(Err(why)) => Value::Str(format!("not known: {why}")),
            None => "not known: no answer in time".into(),
        };
        let members = [
            ("needed_bytes", Value::Int(i64::try_from(self.need.bytes).unwrap_or(i64::MAX))),
            ("at_least", Value::Bool(self.need.at_least)),
            ("basis", self.need.basis.as_str().into()),
            ("directory", self.directory.as_str().into()),
            ("free_bytes", free),
        ];
        Value::Map(members.map(|(k, v)| (k.to_owned(), v)).to_vec())
    }
}
