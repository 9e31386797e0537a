//! Orders and progress in words.

use super::messages::Order;
use crate::value::Value;

/// What an order is called in messages and in the record.
pub(super) fn order(order: &Order) -> &'static str {
    match order {
        Order::System => "system",
        Order::Status => "status",
        Order::Frame => "frame",
        Order::ReadConfig => "read configuration",
        Order::Talk(_) => "talk",
        Order::Attach => "attach",
        Order::Reset { .. } => "reset",
        Order::Load { .. } => "load",
        Order::Diff { .. } => "diff",
        Order::Power { on: true, .. } => "power on",
        Order::Power { on: false, .. } => "power off",
        Order::Flush { .. } => "flush",
        Order::SetWindow(_) => "set window",
        Order::SetParameter { .. } => "set parameter",
        Order::WriteLine { .. } => "write line",
        Order::Prepare { .. } => "prepare",
        Order::Release => "release",
        Order::Unprepare => "unprepare",
        Order::Abort { .. } => "abort",
        Order::Readout { .. } => "readout",
        Order::Discard => "discard",
        Order::Lock(_) => "lock",
        Order::Fetch { .. } => "fetch",
        Order::StopFetch => "stop fetch",
        Order::Unlock => "unlock",
    }
}

/// Body of a progress report.
pub(super) fn progress(phase: &str, fraction: f64, more: Option<(&str, f64)>) -> Value {
    let mut map = vec![
        ("phase".to_owned(), Value::Str(phase.to_owned())),
        ("fraction".to_owned(), Value::Float(fraction.clamp(0.0, 1.0))),
    ];
    if let Some((key, number)) = more {
        map.push((key.to_owned(), Value::Float(number)));
    }
    Value::Map(map)
}
