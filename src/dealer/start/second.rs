//! Seconds of UTC as they travel, and when they come.

use super::super::answer::Answer;
use crate::units::{Civil, Mono, NANOS, Now, Utc};
use crate::value::Value;
use std::time::Duration;

/// `[true, [y, m, d, h, m, s, us]]`
pub(super) fn time_of(answer: &Answer) -> Option<Utc> {
    match answer {
        Ok(Value::List(items)) if items.first() == Some(&Value::Bool(true)) => utc_of(items.get(1)?),
        _ => None,
    }
}

/// A UTC time as it travels: 7 numbers.
pub fn utc_of(value: &Value) -> Option<Utc> {
    let Value::List(items) = value else { return None };
    let number = |n: usize| match items.get(n) {
        None => Some(0),
        Some(Value::Int(i)) => Some(*i),
        Some(_) => None,
    };
    let small = |n: usize| number(n).and_then(|v| u32::try_from(v).ok());
    if items.len() < 3 {
        return None;
    }
    Utc::from_civil(Civil {
        year: number(0)?,
        month: small(1)?,
        day: small(2)?,
        hour: small(3)?,
        minute: small(4)?,
        second: small(5)?,
        microsecond: small(6)?,
    })
}

/// The same, to send it.
pub fn seven(at: Utc) -> Value {
    let c = at.civil();
    let rest = [c.month, c.day, c.hour, c.minute, c.second, c.microsecond];
    let all = std::iter::once(c.year).chain(rest.into_iter().map(i64::from));
    Value::List(all.map(Value::Int).collect())
}

pub(super) fn until(start: Utc, now: Now) -> Duration {
    Duration::from_nanos(start.nanos_since(now.utc).max(0) as u64)
}

/// When it is `offset` nanoseconds after the start, on our monotonic clock; now, if that is over.
pub(super) fn mono_of(start: Utc, now: Now, offset: i64) -> Mono {
    let left = start.nanos_since(now.utc).saturating_add(offset).clamp(0, 366 * 86_400 * NANOS);
    now.mono + Duration::from_nanos(left as u64)
}
