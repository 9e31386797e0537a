//! What a start comes to, in entries, warnings and the journal; and the look at everybody 2 s after it.

use super::super::answer::{Answer, Failure, complaint};
use super::super::gathered::Gathered;
use super::super::messages::{Index, Lane};
use super::super::procedure::{Action, View, ask_all, bank};
use super::super::rules::READ_WITHIN;
use super::{Phase, Start, VERIFY};
use crate::api::Outcome;
use crate::value::Value;

/// `NETSTAT` of a DAQ program that receives; of VEGAS and GUPPI, and of hashpipe's network threads.
const RECEIVING: [&str; 2] = ["receiving", "running"];

impl Start {
    /// A scan goes on, or is about to begin: nothing is sent, so that it is not disturbed.
    pub(super) fn running_already(&self, running: &[Index], view: &View<'_>) -> Outcome {
        let others = format!("not started: {} is scanning already", view.roster.names(running).join(", "));
        let text = |p: &Index| if running.contains(p) { "Scan already started." } else { others.as_str() };
        self.outcome(view, |p| text(&p))
    }

    /// The same entry for everybody: nothing was sent.
    pub(super) fn nobody(&self, view: &View<'_>, why: &str) -> Outcome {
        self.outcome(view, |_| why)
    }

    /// The result when nothing was sent, as the policy has it.
    pub(super) fn outcome<'t>(&self, view: &View<'_>, why: impl Fn(Index) -> &'t str) -> Outcome {
        let mut all = self.dropped.clone();
        for player in &self.players {
            all.put(*player, Ok(Value::verdict(false, why(*player))));
        }
        self.policy.outcome(&all, view)
    }

    /// 2 s after the start: does everybody take data?
    pub(super) fn verify(&mut self) -> Vec<Action> {
        self.phase = Phase::Verifying;
        self.looks = Gathered::from(&self.players);
        ask_all(&self.players, VERIFY, &bank("scan_status", Vec::new()), Lane::Read, READ_WITHIN)
    }

    pub(super) fn verified(&mut self, view: &View<'_>) -> Vec<Action> {
        self.phase = Phase::Over;
        let complaint = |(player, answer): (Index, &Answer)| {
            let wrong = self.not_receiving(player, answer, view)?;
            Some(Action::Warn(format!("{} 2 s after the start: {wrong}", view.roster.name(player))))
        };
        let mut actions: Vec<Action> = self.looks.iter().filter_map(complaint).collect();
        actions.push(Action::LastStart(self.describe(view, None)));
        actions.push(Action::End);
        actions
    }

    /// What is wrong with a player that should take data; nothing, if somebody has stopped it meanwhile.
    fn not_receiving(&self, player: Index, answer: &Answer, view: &View<'_>) -> Option<String> {
        let seat = view.roster.seat(player);
        let Ok(Value::List(items)) = answer else { return Some(complaint(&seat.name, answer)) };
        if items.first() != Some(&Value::Bool(true)) {
            let stopped = seat.last_scan_ended(self.start).is_some_and(|how| how.starts_with("stopped"));
            // The next one may have begun already.
            let past = stopped || seat.scan_start().is_some_and(|next| next != self.start.to_string());
            return (!past).then(|| format!("no scan, {}", seat.state_name().unwrap_or("state unknown")));
        }
        let network = items.iter().filter_map(Value::as_str).find_map(|t| t.strip_prefix("NETSTAT="))?;
        (!RECEIVING.contains(&network)).then(|| format!("no data comes in, NETSTAT={network}"))
    }

    /// One entry for everybody that was asked for, also for those who were left out.
    pub(super) fn result(&self, view: &View<'_>) -> Outcome {
        let mut all = self.dropped.clone();
        for (player, answer) in self.arms.iter() {
            all.put(player, answer.clone());
        }
        self.policy.outcome(&all, view)
    }

    pub(super) fn describe(&self, view: &View<'_>, failed: Option<&str>) -> Value {
        let text = |t: String| Value::Str(t);
        let one = |p: &Index| {
            let seat = view.roster.seat(*p);
            let scan = seat.state.as_ref().and_then(|(s, _)| s.get("scan")).filter(|s| **s != Value::Null);
            let part = |key: &str| scan.and_then(|s| s.get(key)).cloned().unwrap_or(Value::Null);
            let entry = vec![
                ("mode".to_owned(), seat.mode().map_or(Value::Null, Value::from)),
                (
                    "scan_number".to_owned(),
                    seat.state
                        .as_ref()
                        .and_then(|(s, _)| s.get("scan_number"))
                        .cloned()
                        .unwrap_or(Value::Null),
                ),
                ("arm_late_us".to_owned(), part("arm_late_us")),
                ("margin_ms".to_owned(), part("arm_margin_ms")),
                (
                    "clock_offset_ms".to_owned(),
                    seat.clock.map_or(Value::Null, |c| Value::Float(c.offset_ns as f64 / 1e6)),
                ),
            ];
            (seat.name.clone(), Value::Map(entry))
        };
        Value::Map(vec![
            ("start".to_owned(), text(self.start.to_string())),
            ("asked".to_owned(), self.asked.map_or(Value::Null, |t| text(t.to_string()))),
            ("called".to_owned(), text(self.began.utc.to_string())),
            ("sent".to_owned(), self.sent.map_or(Value::Null, |at| text(at.to_string()))),
            ("answered".to_owned(), self.answered.map_or(Value::Null, |at| text(at.to_string()))),
            ("failed".to_owned(), failed.map_or(Value::Null, Value::from)),
            ("players".to_owned(), Value::Map(self.players.iter().map(one).collect())),
        ])
    }
}

/// Why a player did not say when it could start.
pub(super) fn reason(name: &str, answer: &Answer) -> String {
    match answer {
        Err(Failure::Lost(why)) => format!("is not connected ({why})"),
        Err(Failure::Late(limit)) => format!("did not answer within {} s", limit.as_secs_f64()),
        other => format!("cannot start: {}", complaint(name, other)),
    }
}
