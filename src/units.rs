//! Times and frequencies with the unit in the type.
//!
//! [`Mono`] never goes back and is only good for waiting; [`Utc`] is what the telescope means by
//! "now" and may be stepped by an operator or NTP. [`Now`] carries both: it is the only clock that
//! state machines ever see.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// Time from `earlier` to `self`; zero if `earlier` is in fact later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Nanoseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted (POSIX time).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Utc(pub i64);

/// Nanoseconds in a second.
pub const NANOS: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Modified Julian Date of 1970-01-01.
pub const MJD_OF_EPOCH: i64 = 40_587;

/// A UTC civil time as the JSON face carries it: `[year, month, day, hour, minute, second, microsecond]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Gregorian year.
    pub year: i64,
    /// 1..=12
    pub month: u32,
    /// 1..=31
    pub day: u32,
    /// 0..=23
    pub hour: u32,
    /// 0..=59
    pub minute: u32,
    /// 0..=59
    pub second: u32,
    /// 0..=999999
    pub microsecond: u32,
}

impl Utc {
    /// Rounded up to a whole second; a whole second stays as it is.
    pub fn ceil_second(self) -> Utc {
        Utc(self.0.div_euclid(NANOS) * NANOS + if self.0.rem_euclid(NANOS) == 0 { 0 } else { NANOS })
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Nanoseconds within the second, 0..1e9.
    pub fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS) as u32
    }

    /// From whole seconds since the epoch.
    pub const fn from_seconds(s: i64) -> Utc {
        Utc(s * NANOS)
    }

    /// Signed difference `self - earlier` in nanoseconds.
    pub fn nanos_since(self, earlier: Utc) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Modified Julian Date (UTC), fraction included; precise to about a microsecond.
    pub fn mjd(self) -> f64 {
        let day = self.mjd_day();
        let of_day = self.0 - (day - MJD_OF_EPOCH) * SECONDS_PER_DAY * NANOS;
        day as f64 + of_day as f64 / (SECONDS_PER_DAY as f64 * 1e9)
    }

    /// Integer part of the MJD.
    pub fn mjd_day(self) -> i64 {
        self.seconds().div_euclid(SECONDS_PER_DAY) + MJD_OF_EPOCH
    }

    /// Whole seconds since midnight UTC.
    pub fn seconds_of_day(self) -> i64 {
        self.seconds().rem_euclid(SECONDS_PER_DAY)
    }

    /// Civil fields, microseconds truncated.
    pub fn civil(self) -> Civil {
        let (year, month, day) = civil_from_days(self.seconds().div_euclid(SECONDS_PER_DAY));
        let s = self.seconds_of_day() as u32;
        Civil {
            year,
            month,
            day,
            hour: s / 3600,
            minute: s / 60 % 60,
            second: s % 60,
            microsecond: self.subsec_nanos() / 1000,
        }
    }

    /// From civil fields; `None` if a field is out of range (no such day, hour 24, ...).
    pub fn from_civil(c: Civil) -> Option<Utc> {
        let valid = (1..=9999).contains(&c.year)
            && (1..=12).contains(&c.month)
            && (1..=days_in_month(c.year, c.month)).contains(&c.day)
            && c.hour < 24
            && c.minute < 60
            && c.second < 60
            && c.microsecond < 1_000_000;
        if !valid {
            return None;
        }
        let days = days_from_civil(c.year, c.month, c.day);
        let s = days * SECONDS_PER_DAY + i64::from(c.hour * 3600 + c.minute * 60 + c.second);
        s.checked_mul(NANOS)?.checked_add(i64::from(c.microsecond) * 1000).map(Utc)
    }
}

impl Add<Duration> for Utc {
    type Output = Utc;
    fn add(self, d: Duration) -> Utc {
        Utc(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Utc {
    type Output = Utc;
    fn sub(self, d: Duration) -> Utc {
        Utc(self.0.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// `2026-11-21 02:36:11`, with `.ffffff` appended when there is a fraction (Python's `str(datetime)`).
impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(f, "{:04}-{:02}-{:02} {:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second)?;
        if c.microsecond != 0 {
            write!(f, ".{:06}", c.microsecond)?;
        }
        Ok(())
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(y: i64, m: u32, d: u32) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let mp = i64::from((m + 9) % 12);
    let doy = (153 * mp + 2) / 5 + i64::from(d) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

fn civil_from_days(z: i64) -> (i64, u32, u32) {
    let z = z + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let m = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

fn days_in_month(y: i64, m: u32) -> u32 {
    match m {
        2 if y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The only clock a state machine sees: both times, read together by the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For waiting.
    pub mono: Mono,
    /// For scheduling and for the record.
    pub utc: Utc,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceil_second_rounds_up_and_keeps_whole_seconds() {
        assert_eq!(Utc(1).ceil_second(), Utc(NANOS));
        assert_eq!(Utc(NANOS).ceil_second(), Utc(NANOS));
        assert_eq!(Utc(-1).ceil_second(), Utc(0));
    }

    #[test]
    fn civil_times_round_trip_and_reject_nonsense() {
        let t = Utc::from_seconds(1_772_600_774);
        assert_eq!(t.to_string(), "2026-03-04 05:06:14");
        assert_eq!(Utc::from_civil(t.civil()), Some(t));
        let mut c = t.civil();
        c.month = 13;
        assert_eq!(Utc::from_civil(c), None);
        c.month = 2;
        c.day = 29;
        assert_eq!(Utc::from_civil(c), None);
    }

    #[test]
    fn mjd_of_a_known_day() {
        // 2026-11-21 is MJD 61365 (used in the GUPPI RAW file names of the reference).
        let t = Utc::from_civil(Civil {
            year: 2026,
            month: 11,
            day: 21,
            hour: 12,
            minute: 0,
            second: 0,
            microsecond: 0,
        });
        let t = t.expect("a valid date");
        assert_eq!(t.mjd_day(), 61_365);
        assert_eq!(t.mjd(), 61_365.5);
    }
}
