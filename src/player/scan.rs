//! The timing contract of a scan: everything is counted from the 1 PPS on which the hardware starts.
//!
//! ```text
//! E = ceil(now) + arm delay          earliest start
//! S = ceil(requested) or E           start; refused when S < E
//! A = S - 0.9 s                      first write of the arm phase, 0.1 s after the last PPS but one
//! S + length + 1 s                   end: the programs are told to stop
//! ```

use super::space::Check;
use crate::api::{CallError, ErrorClass, Family};
use crate::units::{Civil, Mono, Now, Utc};
use crate::value::Value;
use std::time::Duration;

/// How long before the start second the arm phase begins.
pub const ARM_AHEAD: Duration = Duration::from_millis(900);
/// Added by `earliest_start` for the round trips of whoever asks.
const ROUND_TRIPS: Duration = Duration::from_secs(2);
/// The scan ends this long after its length, so that the last data arrive.
const TAIL: Duration = Duration::from_secs(1);

/// A scan from its acceptance to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The second on which data begin.
    pub start: Utc,
    /// Length of the data.
    pub length: Duration,
    /// When the arm phase begins.
    pub arm_at: Utc,
    /// When, on the monotonic clock, the scan is over; known once armed, so that a step of the wall
    /// clock cannot cut it.
    pub ends: Option<Mono>,
    /// First and last moment of the arm phase.
    pub armed: Option<(Now, Now)>,
    /// The last `SCANREM` written.
    pub remaining: Option<String>,
    /// When it was accepted.
    pub accepted: Now,
    /// Who asked for it, if known.
    pub client: Option<String>,
    /// What would have been refused but for the configuration.
    pub overrides: Vec<String>,
    /// Whether its data fit on the disk; `None`: not looked at.
    pub space: Option<Check>,
}

impl Scan {
    /// A scan that will start at `start`, accepted `now`.
    pub fn new(start: Utc, length: Duration, now: Now) -> Scan {
        Scan {
            start,
            length,
            arm_at: start - ARM_AHEAD,
            ends: None,
            armed: None,
            remaining: None,
            accepted: now,
            client: None,
            overrides: Vec::new(),
            space: None,
        }
    }

    /// How far the wall clock was set since the scan was accepted, in ns; also what it was slewed by.
    pub fn clock_moved(&self, now: Now) -> i64 {
        let passed = i64::try_from(now.mono.since(self.accepted.mono).as_nanos()).unwrap_or(i64::MAX);
        now.utc.nanos_since(self.accepted.utc).saturating_sub(passed)
    }

    /// [`Scan::clock_moved`] until it was armed.
    pub fn clock_moved_until_armed(&self) -> i64 {
        self.armed.map_or(0, |(_, last)| self.clock_moved(last))
    }

    /// Armed: from now on the end is fixed.
    pub fn arm_done(&mut self, first: Now, last: Now, now: Now) {
        let left = (self.start + self.length + TAIL).nanos_since(now.utc).max(0) as u64;
        self.ends = Some(now.mono + Duration::from_nanos(left));
        self.armed = Some((first, last));
    }

    /// Time between the end of the arm phase and the start, in milliseconds; negative: too late.
    pub fn margin_ms(&self) -> Option<f64> {
        self.armed.map(|(_, last)| self.start.nanos_since(last.utc) as f64 / 1e6)
    }

    /// `SCANREM`: whole seconds left, the scan length before the start, never negative.
    pub fn seconds_left(&self, now: Now) -> String {
        let whole = self.length.as_secs();
        let left = match self.ends {
            Some(ends) => ends.since(now.mono).saturating_sub(TAIL).as_secs(),
            None => whole,
        };
        left.min(whole).to_string()
    }
}

/// `E`: the earliest second a scan can start when asked now.
pub fn earliest(now: Utc, arm_delay: Duration) -> Utc {
    now.ceil_second() + arm_delay
}

/// What `earliest_start()` answers.
pub fn earliest_advised(now: Utc, arm_delay: Duration) -> Utc {
    (now + arm_delay + ROUND_TRIPS).ceil_second()
}

/// The start second for a requested time (`null`: as early as possible).
pub fn start_second(requested: &Value, now: Utc, arm_delay: Duration) -> Result<Utc, CallError> {
    let earliest = earliest(now, arm_delay);
    let start = match requested {
        Value::Null => earliest,
        other => parse_start(other)?.ceil_second(),
    };
    if start < earliest {
        return Err(CallError::exception(format!(
            "Not enough time to arm ROACH. Start: {start}, earliest possible start: {earliest}"
        )));
    }
    Ok(start)
}

/// `[year, month, day, hour, minute, second, microsecond]`; everything after the day is optional.
pub(super) fn parse_start(value: &Value) -> Result<Utc, CallError> {
    let Value::List(fields) = value else {
        return Err(CallError::new(
            ErrorClass::Exception,
            Family::Invalid,
            "starttime must be a datetime or datetime compatible tuple or list.",
        ));
    };
    let type_error = |text: String| CallError::new(ErrorClass::TypeError, Family::Invalid, text);
    let names = ["year", "month", "day", "hour", "minute", "second", "microsecond"];
    if fields.len() < 3 {
        let missing = names[fields.len()];
        return Err(type_error(format!(
            "Required argument '{missing}' (pos {}) not found",
            fields.len() + 1
        )));
    }
    if fields.len() > names.len() {
        return Err(type_error(format!("starttime takes at most 7 fields ({} given)", fields.len())));
    }
    let mut numbers = [0i64; 7];
    for (i, field) in fields.iter().enumerate() {
        numbers[i] = match field {
            Value::Int(n) => *n,
            other => {
                return Err(type_error(format!(
                    "an integer is required for '{}' (got {})",
                    names[i],
                    other.kind()
                )));
            }
        };
    }
    civil(numbers)
}

fn civil(n: [i64; 7]) -> Result<Utc, CallError> {
    let range_error = |text: &str| CallError::new(ErrorClass::ValueError, Family::Invalid, text);
    let limits = [
        (1, 9999, "year is out of range"),
        (1, 12, "month must be in 1..12"),
        (1, 31, "day is out of range for month"),
        (0, 23, "hour must be in 0..23"),
        (0, 59, "minute must be in 0..59"),
        (0, 59, "second must be in 0..59"),
        (0, 999_999, "microsecond must be in 0..999999"),
    ];
    for (value, (low, high, text)) in n.iter().zip(limits) {
        if !(low..=high).contains(value) {
            return Err(range_error(text));
        }
    }
    Utc::from_civil(Civil {
        year: n[0],
        month: n[1] as u32,
        day: n[2] as u32,
        hour: n[3] as u32,
        minute: n[4] as u32,
        second: n[5] as u32,
        microsecond: n[6] as u32,
    })
    .ok_or_else(|| range_error("day is out of range for month"))
}

/// The 7-element list the JSON face uses for times.
pub fn civil_value(t: Utc) -> Value {
    let c = t.civil();
    let rest = [c.month, c.day, c.hour, c.minute, c.second, c.microsecond];
    Value::List(std::iter::once(c.year).chain(rest.map(i64::from)).map(Value::Int).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Utc {
        let n: Vec<i64> =
            text.split(|c: char| !c.is_ascii_digit()).map(|s| s.parse().expect("digits")).collect();
        civil([n[0], n[1], n[2], n[3], n[4], n[5], n.get(6).copied().unwrap_or(0)]).expect("valid")
    }
    const DELAY: Duration = Duration::from_secs(4);

    #[test]
    fn earliest_times_of_the_reference_run() {
        let now = utc("2026-03-04 05:06:09.050000");
        assert_eq!(earliest_advised(now, DELAY), utc("2026-03-04 05:06:16"));
        assert_eq!(start_second(&Value::Null, now, DELAY), Ok(utc("2026-03-04 05:06:14")));
    }

    #[test]
    fn a_start_too_soon_names_both_times() {
        let now = utc("2026-11-21 02:35:20.5");
        let early = civil_value(utc("2020-01-01 00:00:00"));
        let error = start_second(&early, now, DELAY).expect_err("in the past");
        assert_eq!(
            error.message,
            "Not enough time to arm ROACH. Start: 2020-01-01 00:00:00, earliest possible start: 2026-11-21 02:35:25"
        );
    }

    #[test]
    fn bad_start_times_are_refused_in_pythons_words() {
        let list = |n: &[i64]| Value::List(n.iter().map(|i| Value::Int(*i)).collect());
        let message = |v: &Value| parse_start(v).expect_err("bad").message;
        assert_eq!(
            message(&Value::Int(3)),
            "starttime must be a datetime or datetime compatible tuple or list."
        );
        assert_eq!(message(&list(&[2026, 1])), "Required argument 'day' (pos 3) not found");
        assert_eq!(message(&list(&[2026, 13, 1])), "month must be in 1..12");
        assert_eq!(message(&list(&[2026, 2, 30])), "day is out of range for month");
        assert_eq!(parse_start(&list(&[2026, 2, 3])), Ok(utc("2026-02-03 00:00:00")));
    }

    #[test]
    fn the_end_does_not_move_with_the_wall_clock() {
        let mut scan = Scan::new(Utc::from_seconds(100), Duration::from_secs(10), Now::default());
        let armed = Now { mono: Mono(5_000_000_000), utc: Utc(99_500_000_000) };
        assert_eq!(scan.seconds_left(armed), "10");
        scan.arm_done(armed, armed, armed);
        assert_eq!(scan.ends, Some(Mono(16_500_000_000)));
        assert_eq!(scan.margin_ms(), Some(500.0));
        let stepped = Now { mono: Mono(8_000_000_000), utc: Utc::from_seconds(5000) };
        assert_eq!(scan.seconds_left(stepped), "7");
        assert_eq!(scan.seconds_left(Now { mono: Mono(60_000_000_000), utc: Utc(0) }), "0");
    }
}
