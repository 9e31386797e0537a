//! What the role says while it works: for subscribers, for the log, and (its procedures) for the record.

use crate::api::Ticket;
use crate::archon::controller::Level;
use crate::value::Value;

/// Topic of how far something is.
const PROGRESS: &str = "progress";
/// Topic of everything else that is said.
const MESSAGE: &str = "message";
/// Keywords that repeat a reply of a controller.
const ANSWERS: [&str; 4] = ["status", "system", "frame", "config"];

/// The actor's code of a level.
fn code(level: Level) -> &'static str {
    match level {
        Level::Debug => "d",
        Level::Info => "i",
        Level::Warning => "w",
        Level::Error => "e",
    }
}

/// Topic and body of a message for subscribers: `{call, level, <keyword>: value, ...}`.
pub fn event(
    ticket: Option<Ticket>,
    level: Level,
    body: Vec<(&'static str, Value)>,
) -> (&'static str, Value) {
    let topic = if body.iter().any(|(key, _)| *key == PROGRESS) { PROGRESS } else { MESSAGE };
    let call = ticket.map_or(Value::Null, |t| Value::Int(t.0 as i64));
    let mut map = vec![("call".to_owned(), call), ("level".to_owned(), code(level).into())];
    map.extend(body.into_iter().map(|(key, value)| (key.to_owned(), value)));
    (topic, Value::Map(map))
}

/// The same for the log.
pub fn log(call: Option<&str>, level: Level, body: &[(&'static str, Value)]) {
    let level = log_level(level, body);
    if log::log_enabled!(level) {
        let words: Vec<String> = body.iter().map(|(key, value)| words(key, value)).collect();
        log::log!(level, "{}{}", call.map(|c| format!("{c}: ")).unwrap_or_default(), words.join(" "));
    }
}

/// How far something is, and what a question was answered with (thousands of characters, every second when a client
/// polls), only for those who ask for details.
fn log_level(level: Level, body: &[(&'static str, Value)]) -> log::Level {
    let has = |keys: &[&str]| body.iter().any(|(key, _)| keys.contains(key));
    match level {
        Level::Debug | Level::Info if has(&[PROGRESS]) => log::Level::Trace,
        Level::Info if has(&ANSWERS) => log::Level::Debug,
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warning => log::Level::Warn,
        Level::Error => log::Level::Error,
    }
}

/// Text as it is, with its controller; other keywords by name.
fn words(key: &str, value: &Value) -> String {
    match (key, value, value.get("controller")) {
        ("text", Value::Str(text), _) => text.clone(),
        ("text" | "error" | "log", Value::Map(_), Some(controller)) => {
            format!("{controller}: {}", value.get(key).map(Value::to_string).unwrap_or_default())
        }
        _ => format!("{key}={value}"),
    }
}

/// A procedure's entry with the name of its controller.
pub fn of_controller(entry: Value, name: &str) -> Value {
    match entry {
        Value::Map(mut fields) if fields.iter().all(|(key, _)| key != "controller") => {
            fields.insert(0, ("controller".to_owned(), name.into()));
            Value::Map(fields)
        }
        Value::Map(fields) => Value::Map(fields),
        other => Value::Map(vec![("controller".to_owned(), name.into()), ("plan".to_owned(), other)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, Value)]) -> Value {
        Value::Map(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
    }

    #[test]
    fn progress_has_a_topic_of_its_own() {
        let body = map(&[("phase", "readout".into())]);
        let (topic, event) = event(Some(Ticket(7)), Level::Info, vec![("progress", body.clone())]);
        let want = map(&[("call", Value::Int(7)), ("level", "i".into()), ("progress", body)]);
        assert_eq!((topic, event), ("progress", want));
        let (topic, event) = super::event(None, Level::Warning, vec![("text", "hot".into())]);
        let want = map(&[("call", Value::Null), ("level", "w".into()), ("text", "hot".into())]);
        assert_eq!((topic, event), ("message", want));
    }

    #[test]
    fn the_log_shows_text_as_text() {
        assert_eq!(words("text", &"Reading out CCDs.".into()), "Reading out CCDs.");
        let of = map(&[("controller", "sp1".into()), ("text", "Powering on".into())]);
        assert_eq!(words("text", &of), "sp1: Powering on");
        assert_eq!(words("next_exposure_no", &Value::Int(3)), "next_exposure_no=3");
    }

    #[test]
    fn what_questions_are_answered_with_does_not_fill_the_log() {
        let level = |level, key| log_level(level, &[(key, Value::Null)]);
        assert_eq!(level(Level::Info, "status"), log::Level::Debug);
        assert_eq!(level(Level::Info, "config"), log::Level::Debug);
        assert_eq!(level(Level::Info, "progress"), log::Level::Trace);
        assert_eq!(level(Level::Info, "filenames"), log::Level::Info);
        assert_eq!(level(Level::Error, "status"), log::Level::Error);
        assert_eq!(level(Level::Warning, "progress"), log::Level::Warn);
    }

    #[test]
    fn an_entry_names_its_controller_once() {
        let named = map(&[("controller", "sp1".into()), ("procedure", "power".into())]);
        assert_eq!(of_controller(map(&[("procedure", "power".into())]), "sp1"), named);
        assert_eq!(of_controller(named.clone(), "other"), named);
        assert_eq!(of_controller("x".into(), "sp1").get("plan"), Some(&"x".into()));
    }
}
