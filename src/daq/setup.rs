//! What a scan needs to know, read once from the status memory at START.
//!
//! Status values are text; a key that is absent, empty or says `unspecified` takes its default. Numbers
//! that make no sense are refused here, before any thread starts.

use super::sdfits::utc_of_mjd;
use crate::units::Utc;
use std::collections::BTreeMap;

/// Arrival of the first packet and commanded start may differ by this much, s.
pub(super) const START_TOLERANCE_S: f64 = 0.5;

/// Keys copied into the file header as they are (when present).
pub const HEADER_KEYS: &[&str] = &[
    "TELESCOP", "OBSBW", "TSYS", "PROJID", "FRONTEND", "OBSFREQ", "SCANNUM", "INSTRUME", "CAL_MODE",
    "CAL_FREQ", "CAL_DCYC", "CAL_PHS", "NPOL", "CHAN_BW", "FILTNEP", "STTMJD", "OBJECT", "SRC_NAME", "AZ",
    "ELEV", "RA", "DEC", "BMAJ", "BMIN", "BPA", "OBSERVER", "OBSID", "BANKNAM", "MODENUM", "BOFFILE",
    "BACKEND", "_MFQR_01", "SUB0FREQ", "SUB1FREQ", "SUB2FREQ", "SUB3FREQ", "SUB4FREQ", "SUB5FREQ",
    "SUB6FREQ", "SUB7FREQ", "SIMULATE", "DATE-OBS",
];

/// The parameters of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Channels of a spectrum.
    pub nchan: usize,
    /// Sub-bands.
    pub nsubband: usize,
    /// Length of an exposure, s.
    pub exposure_s: f64,
    /// Length of one hardware spectrum, s.
    pub hwexposr_s: f64,
    /// Sampling frequency, Hz; the sign is the sense of the band.
    pub efsampfr_hz: f64,
    /// Rate of the time counter, Hz.
    pub fpgaclk_hz: f64,
    /// Length of the scan, s; 0 = until STOP.
    pub scanlen_s: f64,
    /// Status bits inverted by the site (`_SWSGPLY`).
    pub polarity: u8,
    /// UDP port.
    pub dataport: u16,
    /// Address the packets come from, as written.
    pub datahost: Option<String>,
    /// Where files go.
    pub datadir: String,
    /// The text of [`HEADER_KEYS`] that are present.
    pub header: BTreeMap<&'static str, String>,
}

impl Setup {
    /// From the status keys.
    ///
    /// # Errors
    /// Says which key has which impossible value.
    pub fn read(status: &BTreeMap<String, String>) -> Result<Setup, String> {
        let keys = Keys(status);
        let fpgaclk = keys.positive("FPGACLK", 325e6)?;
        if keys.number("OBSBW", 1.0)? == 0.0 {
            return Err("OBSBW is 0: set a mode and prepare before START".into());
        }
        let setup = Setup {
            nchan: keys.positive("NCHAN", 1024.0)? as usize,
            nsubband: keys.positive("NSUBBAND", 1.0)? as usize,
            exposure_s: keys.positive("EXPOSURE", 1.0)?,
            hwexposr_s: keys.positive("HWEXPOSR", 0.0005)?,
            efsampfr_hz: keys.non_zero("EFSAMPFR", 3e9)?,
            fpgaclk_hz: if fpgaclk < 50_000.0 { fpgaclk * 1e6 } else { fpgaclk },
            scanlen_s: keys.number("SCANLEN", 0.0)?,
            polarity: keys.number("_SWSGPLY", 0.0)? as u8,
            dataport: keys.port("DATAPORT", 50_000)?,
            datahost: keys.text("DATAHOST"),
            datadir: keys.text("DATADIR").unwrap_or_else(|| ".".into()),
            header: HEADER_KEYS.iter().filter_map(|&k| Some((k, keys.text(k)?))).collect(),
        };
        if setup.scanlen_s < 0.0 {
            return Err(format!("SCANLEN is {}; it cannot be negative", setup.scanlen_s));
        }
        Ok(setup)
    }

    /// Hardware spectra of one exposure, at least one.
    pub fn spectra_per_exposure(&self) -> u64 {
        ((self.exposure_s / self.hwexposr_s + 0.001) as u64).max(1)
    }

    /// Seconds that `integration_size` raw spectra last.
    pub fn seconds(&self, integration_size: u64) -> f64 {
        integration_size as f64 * 2.0 * self.nchan as f64 / self.efsampfr_hz.abs()
    }

    /// A header value as a number, or 0.
    pub fn header_number(&self, key: &str) -> f64 {
        self.header
            .get(key)
            .and_then(|t| t.trim().parse().ok())
            .filter(|v: &f64| v.is_finite())
            .unwrap_or(0.0)
    }

    /// A header value as text, or empty.
    pub fn header_text(&self, key: &str) -> &str {
        self.header.get(key).map_or("", String::as_str)
    }

    /// The commanded start as MJD, if the player wrote one.
    pub fn start_mjd(&self) -> Option<f64> {
        Some(self.header_number("STTMJD")).filter(|mjd| *mjd > 1.0)
    }

    /// From when on the counters may begin anew for the commanded start.
    pub fn start_expected(&self) -> Option<Utc> {
        self.start_mjd().map(|mjd| utc_of_mjd(mjd - START_TOLERANCE_S / 86_400.0))
    }

    /// Whether the data come from a simulator.
    pub fn simulated(&self) -> bool {
        matches!(
            self.header_text("SIMULATE").to_ascii_uppercase().as_str(),
            "T" | "TRUE" | "1" | "YES" | "ON"
        )
    }
}

struct Keys<'a>(&'a BTreeMap<String, String>);

impl Keys<'_> {
    fn text(&self, key: &str) -> Option<String> {
        let text = self.0.get(key)?.trim().to_owned();
        (!matches!(text.as_str(), "" | "-" | "unspecified")).then_some(text)
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, String> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let value: Option<f64> = text.parse().ok().filter(|v: &f64| v.is_finite());
        value.ok_or_else(|| format!("{key} is '{text}', not a number; set it with set_status"))
    }

    fn positive(&self, key: &str, default: f64) -> Result<f64, String> {
        let value = self.number(key, default)?;
        if value > 0.0 { Ok(value) } else { Err(format!("{key} is {value}; it must be greater than 0")) }
    }

    fn non_zero(&self, key: &str, default: f64) -> Result<f64, String> {
        let value = self.number(key, default)?;
        if value != 0.0 { Ok(value) } else { Err(format!("{key} is 0")) }
    }

    fn port(&self, key: &str, default: u16) -> Result<u16, String> {
        let value = self.number(key, f64::from(default))?;
        if (1.0..=65535.0).contains(&value) && value.fract() == 0.0 {
            Ok(value as u16)
        } else {
            Err(format!("{key} is {value}; a UDP port is 1 to 65535"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Setup, String> {
        Setup::read(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn no_start_second_is_too_absurd() {
        let expected = |mjd| with(&[("STTMJD", mjd)]).expect("text for the header").start_expected();
        assert_eq!(expected("61365.5").map(|at| at.to_string()), Some("2026-11-21 11:59:59.500000".into()));
        assert_eq!(expected("0"), None);
        assert_eq!(expected("1e300"), Some(Utc(i64::MAX)));
    }

    #[test]
    fn impossible_values_are_named() {
        for (key, value) in [("NCHAN", "many"), ("EXPOSURE", "-1"), ("DATAPORT", "70000"), ("SCANLEN", "nan")]
        {
            let error = with(&[(key, value)]).expect_err("refused");
            assert!(error.contains(key), "{error}");
        }
        assert!(with(&[("OBSBW", "0")]).is_err());
    }

    #[test]
    fn defaults_and_units() {
        let setup = with(&[("FPGACLK", "187.5"), ("EXPOSURE", "unspecified")]).expect("fine");
        assert_eq!((setup.fpgaclk_hz, setup.exposure_s, setup.nchan), (187.5e6, 1.0, 1024));
        assert_eq!(setup.spectra_per_exposure(), 2000);
    }
}
