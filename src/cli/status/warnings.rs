//! Warnings of a proxy as they are shown: the time of the day and the text, the recent ones.

use crate::cli::paint::Paint;
use crate::cli::shell::show::{clean, inline};
use crate::value::Value;
use jiff::civil::DateTime;

/// Older ones are not shown, s.
const RECENT_S: i64 = 3600;
/// More are not shown.
const RECENT_MAX: usize = 5;

/// `[[time, text], ..]` as `19:01:24 text`, with the day if it is another one than that of `now`, the node's own time. Unless
/// `all` are wanted, those of the last hour, five at most; a line before them says how many there are besides.
pub fn lines(warnings: Option<&Value>, now: Option<&str>, all: bool) -> Vec<String> {
    let Some(Value::List(warnings)) = warnings else { return Vec::new() };
    let now: Option<DateTime> = now.and_then(|now| now.parse().ok());
    let is_recent = |warning: &&Value| match (time(warning), now) {
        (Some(at), Some(now)) => (now - at).total(jiff::Unit::Second).is_ok_and(|s| s <= RECENT_S as f64),
        _ => true,
    };
    let shown: Vec<&Value> = match all {
        true => warnings.iter().collect(),
        false => {
            let recent: Vec<&Value> = warnings.iter().filter(is_recent).collect();
            let from = recent.len().saturating_sub(RECENT_MAX);
            recent[from..].to_vec()
        }
    };
    let more = warnings.len() - shown.len();
    let older = (more > 0).then(|| format!("{more} older: --all-warnings shows them"));
    older.into_iter().chain(shown.into_iter().map(|w| line(w, now))).collect()
}

fn time(warning: &Value) -> Option<DateTime> {
    match warning {
        Value::List(pair) => pair.first()?.as_str()?.parse().ok(),
        _ => None,
    }
}

fn line(warning: &Value, now: Option<DateTime>) -> String {
    let text = match warning {
        Value::List(pair) => pair.get(1).and_then(Value::as_str),
        _ => None,
    };
    match (time(warning), text) {
        (Some(at), Some(text)) if now.is_none_or(|now| now.date() == at.date()) => {
            format!("{} {}", at.strftime("%H:%M:%S"), clean(text))
        }
        (Some(at), Some(text)) => format!("{} {}", at.strftime("%Y-%m-%d %H:%M:%S"), clean(text)),
        _ => inline(warning, Paint::PLAIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::json;

    fn shown(warnings: &str, all: bool) -> Vec<String> {
        let warnings = json::read(warnings.as_bytes()).expect("JSON");
        lines(Some(&warnings), Some("2026-11-21 19:30:00.500000"), all)
    }

    #[test]
    fn a_warning_is_the_time_of_the_day_and_its_text() {
        let one = r#"[["2026-11-21 19:01:24.388794", "BANKB: 120 packets lost"]]"#;
        assert_eq!(shown(one, false), ["19:01:24 BANKB: 120 packets lost"]);
        assert_eq!(shown(r#"["a text"]"#, false), ["a text"]);
        assert_eq!(lines(None, None, true), [""; 0]);
    }

    #[test]
    fn old_ones_and_more_than_five_are_only_counted() {
        let old = r#"["2026-11-21 18:29:59.000000", "old"], ["2026-11-20 19:10:00.000000", "older"]"#;
        let new: Vec<String> =
            (10..17).map(|m| format!(r#"["2026-11-21 19:{m}:00.000000", "{m}"]"#)).collect();
        let list = format!("[{old}, {}]", new.join(", "));
        let recent = shown(&list, false);
        assert_eq!(recent.len(), 6, "{recent:?}");
        assert_eq!(recent[..2], ["4 older: --all-warnings shows them", "19:12:00 12"]);
        let all = shown(&list, true);
        assert_eq!((all.len(), all[1].as_str()), (9, "2026-11-20 19:10:00 older"));
    }
}
