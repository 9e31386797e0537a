//! Can the wall clock of this host be trusted to name the second of a start?
//!
//! The hardware starts on the pulse after it is armed, and it is the clock of this host that decides which pulse
//! that is. A clock that nobody keeps, or that may be wrong by more than [`ERROR_MAX`], would choose another second.

use crate::api::{CallError, ErrorClass, Family};
use crate::sys::realtime::ClockQuality;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::time::Duration;

/// The largest error of the clock with which a scan is started (`maxerror` of `adjtimex`).
pub const ERROR_MAX: Duration = Duration::from_millis(100);
/// What is known is no longer believed after this time; it is read once a second.
const BELIEVED: Duration = Duration::from_secs(10);
/// A start this near to an announced leap second would be armed in a second that comes twice, or not at all.
const LEAP_NEAR: Duration = Duration::from_secs(1);
const DAY_S: i64 = 86_400;

/// The last that was heard of the clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockWatch {
    last: Option<(Mono, Result<ClockQuality, String>)>,
}

impl ClockWatch {
    /// The clock was looked at.
    pub fn heard(&mut self, quality: Result<ClockQuality, String>, now: Mono) {
        self.last = Some((now, quality));
    }

    /// What speaks against starting a scan by this clock; `None`: nothing.
    pub fn problem(&self, now: Mono) -> Option<String> {
        let (at, quality) = match &self.last {
            None => return Some("nothing is known of the clock of this host yet".into()),
            Some((_, Err(why))) => return Some(format!("the clock of this host cannot be judged: {why}")),
            Some((at, Ok(quality))) => (at, quality),
        };
        let age = now.since(*at);
        let error_ms = quality.error_max.as_secs_f64() * 1e3;
        if age > BELIEVED {
            Some(format!(
                "the clock of this host was looked at {:.0} s ago for the last time",
                age.as_secs_f64()
            ))
        } else if !quality.synchronised {
            Some(format!("the clock of this host is not synchronised (it may be wrong by {error_ms:.0} ms)"))
        } else if quality.error_max > ERROR_MAX {
            let limit = ERROR_MAX.as_millis();
            Some(format!("the clock of this host may be wrong by {error_ms:.0} ms, more than {limit} ms"))
        } else {
            None
        }
    }

    /// Refuses a start second beside an announced leap second: with the clock set back at midnight the time of
    /// arming comes twice, and the first time it is a second too early.
    ///
    /// # Errors
    /// The start is that near.
    pub fn refuse_leap(&self, start: Utc, now: Now) -> Result<(), CallError> {
        let announced = matches!(&self.last, Some((_, Ok(quality))) if quality.leap_pending);
        let midnight = Utc::from_seconds((now.utc.seconds().div_euclid(DAY_S) + 1) * DAY_S);
        if !announced || start.nanos_since(midnight).unsigned_abs() > LEAP_NEAR.as_nanos() as u64 {
            return Ok(());
        }
        let text = format!(
            "start(): {start} is beside the leap second announced for {midnight}: the time of arming is ambiguous. Start at {} or later",
            midnight + LEAP_NEAR + LEAP_NEAR
        );
        Err(CallError::new(ErrorClass::Exception, Family::Refused, text))
    }

    /// Is a leap second announced for a midnight between the two times, `from` being today?
    pub fn leap_between(&self, from: Utc, to: Utc) -> bool {
        let announced = matches!(&self.last, Some((_, Ok(quality))) if quality.leap_pending);
        announced && from.mjd_day() != to.mjd_day()
    }

    /// For `player_state` and the record of a scan.
    pub fn to_value(&self, now: Mono) -> Value {
        let Some((at, Ok(q))) = &self.last else { return Value::Null };
        let source = match (q.synchronised, q.pps) {
            (false, _) => "none",
            (true, true) => "pulse per second",
            (true, false) => "daemon (NTP or PTP)",
        };
        Value::Map(vec![
            ("synchronised".into(), q.synchronised.into()),
            ("source".into(), source.into()),
            ("offset_us".into(), q.offset_us.into()),
            ("max_error_us".into(), Value::Int(i64::try_from(q.error_max.as_micros()).unwrap_or(i64::MAX))),
            ("leap_pending".into(), q.leap_pending.into()),
            ("age_s".into(), Value::Float((now.since(*at).as_secs_f64() * 10.0).round() / 10.0)),
        ])
    }
}

/// A start refused for this problem of the clock.
pub fn refusal(problem: &str) -> CallError {
    let text = format!(
        "start(): refused: {problem}; the scan could begin on another second. Look at `chronyc tracking` (or `timedatectl`) and let the clock be set; `player.require_clock = false` starts all the same"
    );
    CallError::new(ErrorClass::Exception, Family::Refused, text)
}
