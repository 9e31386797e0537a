//! Bodies of messages: what the actor's keywords hold.

use super::context::Context;
use super::messages::Index;
use crate::archon::controller::{Alarm, View};
use crate::archon::status_word::StatusWord;
use crate::archon::window::Window;
use crate::config::archon::WindowKey;
use crate::proto::archon::{Frame, Status, System};
use crate::value::Value;

/// Members of a window, in the order of replies.
pub(in crate::archon) const WINDOW: [(WindowKey, &str); 10] = [
    (WindowKey::Lines, "lines"),
    (WindowKey::Pixels, "pixels"),
    (WindowKey::PreSkipLines, "preskiplines"),
    (WindowKey::PostSkipLines, "postskiplines"),
    (WindowKey::PreSkipPixels, "preskippixels"),
    (WindowKey::PostSkipPixels, "postskippixels"),
    (WindowKey::OverscanPixels, "overscanpixels"),
    (WindowKey::OverscanLines, "overscanlines"),
    (WindowKey::HBin, "hbin"),
    (WindowKey::VBin, "vbin"),
];

/// `status`, `status_names`.
pub(super) fn word(word: StatusWord) -> Vec<(String, Value)> {
    let names = word.names().into_iter().map(Value::from).collect();
    vec![("status".into(), Value::Int(i64::from(word.0))), ("status_names".into(), Value::List(names))]
}

/// `status` of a controller: the word and, unless `simple`, every key of STATUS.
pub(super) fn status(cx: &Context, n: Index, fresh: Option<&Status>) -> Value {
    let view = cx.controllers[n.0].view();
    let mut rest = word(view.word);
    rest.push(("last_exposure_no".into(), Value::Int(cx.last_exposure)));
    if let Some(status) = fresh {
        rest.extend(status.describe());
    }
    cx.about(n, rest)
}

/// `system`
pub(super) fn system(cx: &Context, n: Index, system: &System) -> Value {
    cx.about(n, system.describe())
}

/// `frame`
pub(super) fn frame(cx: &Context, n: Index, frame: &Frame) -> Value {
    let numbers = frame.numbers.iter().map(|(k, v)| (k.clone(), Value::Int(*v as i64)));
    cx.about(n, numbers.collect())
}

/// The ten numbers.
pub(super) fn window(window: Window) -> Value {
    Value::Map(WINDOW.iter().map(|(key, name)| ((*name).to_owned(), Value::Int(window.get(*key)))).collect())
}

/// `Controller power is on.`
pub(super) fn power(view: &View) -> &'static str {
    if view.word.has(StatusWord::POWERBAD) {
        "Controller power is bad."
    } else if view.word.has(StatusWord::POWERON) {
        "Controller power is on."
    } else if view.word.has(StatusWord::POWEROFF) {
        "Controller power is off."
    } else {
        "Controller power is unknown."
    }
}

/// An alarm.
pub(super) fn alarm(controller: &str, alarm: &Alarm) -> Value {
    Value::Map(vec![
        ("controller".into(), controller.into()),
        ("name".into(), alarm.name.into()),
        ("subject".into(), Value::Str(alarm.subject.clone())),
        ("on".into(), Value::Bool(alarm.on)),
        ("text".into(), Value::Str(alarm.text.clone())),
        ("at".into(), Value::Str(alarm.at.to_string())),
    ])
}
