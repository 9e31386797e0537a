//! The player in words, for `player_state` and for subscribers.

use super::Player;
use super::messages::StepKey;
use crate::player::children::{ChildSlot, exit_text};
use crate::player::scan::Scan;
use crate::player::state::Link;
use crate::units::Now;
use crate::value::Value;

impl Player {
    /// The answer of `player_state`.
    pub fn describe(&self, now: Now) -> Value {
        let text = |s: &str| Value::Str(s.to_owned());
        let optional = |v: Option<Value>| v.unwrap_or(Value::Null);
        let scan = self.state.scan().map(|s| {
            let mut value = describe_scan(s, "", self.scan_number);
            if let Value::Map(m) = &mut value {
                m.push(("remaining_s".into(), s.seconds_left(now).parse().map_or(Value::Null, Value::Int)));
            }
            value
        });
        let job = self.job.as_ref().map(|j| {
            let (done, all) = j.runner.progress();
            Value::Map(vec![
                ("title".into(), text(&j.runner.plan().title)),
                ("phase".into(), text(j.runner.phase_name())),
                ("steps_done".into(), Value::Int(done as i64)),
                ("steps".into(), Value::Int(all as i64)),
            ])
        });
        let link = match &self.link {
            Link::Absent => "absent".to_owned(),
            Link::Up if self.stale => "connected, but the FPGA is not programmed".to_owned(),
            Link::Up => "connected".to_owned(),
            Link::Down(why) => format!("down: {why}"),
        };
        let mut all = vec![
            ("bank".into(), text(&self.bank.name)),
            ("state".into(), text(self.state.name())),
            ("since".into(), text(&self.since.utc.to_string())),
            ("utc_ns".into(), Value::Int(now.utc.0)),
            ("simulate".into(), Value::Bool(self.config.simulate)),
            ("mode".into(), optional(self.mode.as_ref().map(|m| text(&m.mode.name)))),
            ("job".into(), optional(job)),
            ("scan_number".into(), Value::Int(self.scan_number)),
            ("scan".into(), optional(scan)),
            ("last_scan".into(), optional(self.last_scan.clone())),
            (
                "programs".into(),
                Value::Map(vec![
                    ("daq".into(), self.describe_daq()),
                    ("fits_writer".into(), describe_child(&self.writer)),
                ]),
            ),
            ("roach".into(), text(&link)),
            ("warnings".into(), Value::List(self.flow_warnings())),
            ("clock".into(), self.clock.to_value(now.mono)),
            ("lease".into(), self.control.clone()),
            ("status_memory".into(), text(&self.config.status_memory)),
            (
                "last_error".into(),
                optional(self.last_error.as_ref().map(|(at, e)| text(&format!("{at} UTC: {e}")))),
            ),
        ];
        all.extend(self.why(now).into_iter().filter(|(key, _)| key != "since"));
        Value::Map(all)
    }
}

impl Player {
    /// With the kind of program the mode has: `site`, `builtin`, or `simulated`, which records nothing.
    fn describe_daq(&self) -> Value {
        let mut value = describe_child(&self.daq);
        if let Value::Map(pairs) = &mut value {
            let kind = self.daq_kind().map_or(Value::Null, |kind| kind.name().into());
            pairs.push(("kind".into(), kind));
        }
        value
    }
}

pub(super) fn describe_child(slot: &ChildSlot<StepKey>) -> Value {
    let pid = slot.running().map_or(Value::Null, |(pid, _)| Value::Int(i64::from(pid)));
    let since = slot.running().map_or(Value::Null, |(_, since)| Value::Str(since.utc.to_string()));
    let exit = slot.last_exit().map_or(Value::Null, |e| Value::Str(exit_text(e)));
    Value::Map(vec![
        ("state".into(), slot.phase_name().into()),
        ("pid".into(), pid),
        ("since".into(), since),
        ("last_exit".into(), exit),
    ])
}

pub(super) fn describe_scan(scan: &Scan, ended: &str, number: i64) -> Value {
    let mut map = vec![
        ("number".to_owned(), Value::Int(number)),
        ("start".to_owned(), Value::Str(scan.start.to_string())),
        ("length_s".to_owned(), Value::Float(scan.length.as_secs_f64())),
    ];
    if let (Some((first, last)), Some(margin)) = (scan.armed, scan.margin_ms()) {
        let late_us = first.utc.nanos_since(scan.arm_at) / 1000;
        map.push(("arm_began".into(), Value::Str(first.utc.to_string())));
        map.push(("arm_ended".into(), Value::Str(last.utc.to_string())));
        map.push(("arm_late_us".into(), Value::Int(late_us)));
        map.push(("arm_margin_ms".into(), Value::Float(margin)));
    }
    if !ended.is_empty() {
        map.push(("ended".into(), ended.into()));
    }
    Value::Map(map)
}
