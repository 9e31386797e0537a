//! What an exposure came to: the reply, and its verdict.

use super::Shot;
use super::saving::{Saved, Saving};
use crate::frames::jobs::TapStatistics;
use crate::value::Value;

/// One shot's part of the reply; `name` gives a controller's name.
pub(super) fn of_shot(shot: &Shot, savings: &[Saving], name: impl Fn(&Saving) -> String) -> Value {
    let mine: Vec<&Saving> = savings.iter().filter(|s| s.shot.number == shot.number).collect();
    let saved = mine.iter().filter_map(|s| s.outcome.as_ref().and_then(|o| o.as_ref().ok()));
    let filenames = saved.clone().flat_map(|s| &s.published).map(|p| path(&p.path)).collect();
    let statistics = saved.clone().flat_map(|s| &s.statistics).map(statistics).collect();
    let frames = mine.iter().filter_map(|s| match &s.outcome {
        Some(Ok(saved)) => Some(frame(&name(s), saved)),
        _ => None,
    });
    let errors = mine.iter().filter_map(|s| match &s.outcome {
        Some(Err(why)) => Some(Value::Str(format!("{}: {why}", name(s)))),
        _ => None,
    });
    Value::Map(vec![
        ("exposure_no".into(), Value::Int(shot.number as i64)),
        ("flavour".into(), shot.flavour.name().into()),
        ("exposure_time".into(), Value::Float(shot.requested.as_secs_f64())),
        ("verdict".into(), verdict(&mine).into()),
        ("filenames".into(), Value::List(filenames)),
        ("frames".into(), Value::List(frames.collect())),
        ("statistics".into(), Value::List(statistics)),
        ("errors".into(), Value::List(errors.collect())),
    ])
}

/// complete, recovered (a second fetch), degraded (frames were missed), failed.
pub(super) fn verdict(savings: &[&Saving]) -> &'static str {
    let ends: Vec<Option<&Saved>> =
        savings.iter().map(|s| s.outcome.as_ref().and_then(|o| o.as_ref().ok())).collect();
    if ends.is_empty() || ends.iter().any(Option::is_none) {
        "failed"
    } else if ends.iter().flatten().any(|s| s.locked.missed > 0) {
        "degraded"
    } else if ends.iter().flatten().any(|s| s.again) {
        "recovered"
    } else {
        "complete"
    }
}

pub(super) fn path(path: &std::path::Path) -> Value {
    Value::Str(path.display().to_string())
}

fn frame(controller: &str, saved: &Saved) -> Value {
    Value::Map(vec![
        ("controller".into(), controller.into()),
        ("buffer".into(), Value::Int(i64::from(saved.locked.id.buffer))),
        ("frame".into(), Value::Int(saved.locked.id.frame as i64)),
        ("missed".into(), Value::Int(saved.locked.missed as i64)),
    ])
}

/// One tap's numbers, for `quicklook`.
pub(super) fn statistics(t: &TapStatistics) -> Value {
    Value::Map(vec![
        ("ccd".into(), Value::Str(t.ccd.clone())),
        ("tap".into(), Value::Int(i64::from(t.tap))),
        ("mean".into(), Value::Float(t.mean)),
        ("sigma".into(), Value::Float(t.sigma)),
        ("saturated".into(), Value::Int(t.saturated as i64)),
        ("overscan".into(), t.overscan.map_or(Value::Null, Value::Float)),
    ])
}
