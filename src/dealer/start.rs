//! The synchronised start: all in the same second, or none.
//!
//! ```text
//!   query ──► choose ──► arm ──────────► all armed ──► (reply) ──► verify at S + 2 s
//!     │          │         │ one refuses, is lost, or has not begun by S - 1.5 s
//!     └──────────┴─ refused└──► roll back: stop() to everybody else ──► (reply)
//! ```
//!
//! Players arm themselves before the same 1 PPS; that they do is all the synchronism there is. A player of ours shows in
//! its state that it has accepted; one of the reference answers only when it has armed, so that it can be stopped only
//! then. A player whose link is lost on the way is stopped when it comes back with this scan. A scan that is not of this
//! start is never stopped: a player that has not answered is stopped only when it shows, or says, that it has taken it.

use super::answer::{Answer, Failure, complaint, succeeded};
use super::gathered::Gathered;
use super::messages::{Index, Kind, Lane};
use super::procedure::{Action, Event, Procedure, Round, View, ask_all, bank};
use super::rules::{HealthGate, READ_WITHIN};
use super::seat::Seat;
use super::{fanout::Policy, health};
use crate::api::{CallError, Outcome};
use crate::units::{Civil, Mono, NANOS, Now, Utc};
use crate::value::Value;
use std::time::Duration;

const QUERY: Round = 0;
const ARM: Round = 1;
const STOP: Round = 2;
const LOOK: Round = 3;

/// A player that has not accepted by then will not arm in time.
const ACCEPT_BEFORE: Duration = Duration::from_millis(1500);
/// When it is looked whether all take data.
const VERIFY_AFTER: Duration = Duration::from_secs(2);
/// A reply later than this after the start is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long stopping may take.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Clock offsets that are said, and that are refused: the arm window has 0.9 s.
const OFFSET_WARN_NS: i64 = 20_000_000;
const OFFSET_MAX_NS: i64 = 400_000_000;

#[derive(Debug, PartialEq)]
enum Phase {
    /// Whoever was scanning when it was last heard is asked whether it still is.
    Look,
    Query,
    Arm,
    RollBack {
        why: String,
    },
    Verify,
    Over,
}

/// A start of several players.
#[derive(Debug)]
pub struct Start {
    players: Vec<Index>,
    policy: Policy,
    asked: Option<Utc>,
    phase: Phase,
    looks: Gathered,
    earliest: Gathered,
    arms: Gathered,
    stops: Gathered,
    start: Utc,
    began: Now,
    /// Who left before anything was sent (policy quorum).
    dropped: Gathered,
}

impl Start {
    /// `at`: the second asked for; `None`: the earliest possible.
    pub fn new(players: Vec<Index>, at: Option<Utc>, policy: Policy) -> Start {
        Start {
            looks: Gathered::default(),
            earliest: Gathered::from(&players),
            arms: Gathered::default(),
            stops: Gathered::default(),
            dropped: Gathered::from(&players),
            players,
            policy,
            asked: at,
            phase: Phase::Look,
            start: Utc(0),
            began: Now::default(),
        }
    }

    fn begin(&mut self, view: &View<'_>) -> Vec<Action> {
        self.began = view.now;
        if self.players.is_empty() {
            return refuse(Err(CallError::exception("no player is active: add_active_player")));
        }
        if let Some(text) = self.missing_master(view) {
            return refuse(self.nobody(view, &text));
        }
        let last_heard = |names: &[&str]| -> Vec<Index> {
            let fits = |p: &Index| {
                let seat = view.roster.seat(*p);
                seat.is_up() && seat.state_name().is_some_and(|state| names.contains(&state))
            };
            self.players.iter().copied().filter(fits).collect()
        };
        if !last_heard(&["STARTING"]).is_empty() {
            // One is looked at before the other: that it is said to scan already is the same start.
            return refuse(self.running_already(&last_heard(&["STARTING", "SCANNING"]), view));
        }
        // That may have been a second ago: the scan that was waited for has ended since.
        let scanning = last_heard(&["SCANNING"]);
        if scanning.is_empty() {
            return self.query(view);
        }
        self.looks = Gathered::from(&scanning);
        ask_all(&scanning, LOOK, &bank("scan_status", Vec::new()), Lane::Read, READ_WITHIN)
    }

    fn looked(&mut self, view: &View<'_>) -> Vec<Action> {
        // Who does not say is taken for what it was.
        let idle =
            |a: &Answer| matches!(a, Ok(Value::List(items)) if items.first() == Some(&Value::Bool(false)));
        let running: Vec<Index> = self.looks.iter().filter(|(_, a)| !idle(a)).map(|(p, _)| p).collect();
        match running.is_empty() {
            true => self.query(view),
            false => refuse(self.running_already(&running, view)),
        }
    }

    fn query(&mut self, view: &View<'_>) -> Vec<Action> {
        self.phase = Phase::Query;
        let mut actions = Vec::new();
        if view.rules.health != HealthGate::Off {
            let ill = health::complaints(&self.players, view);
            if !ill.is_empty() && view.rules.health == HealthGate::Refuse {
                return refuse(self.nobody(view, &format!("not started: {}", ill.join("; "))));
            }
            actions.extend(ill.into_iter().map(Action::Warn));
        }
        let call = bank("earliest_start", Vec::new());
        actions.extend(ask_all(&self.players, QUERY, &call, Lane::Read, READ_WITHIN));
        actions
    }

    /// In a mode with a master nobody takes data unless the master arms.
    fn missing_master(&self, view: &View<'_>) -> Option<String> {
        self.players.iter().find_map(|p| {
            let mode = view.roster.seat(*p).mode()?;
            let master = view.rules.master_of(mode)?;
            (!self.players.contains(&master)).then(|| {
                format!(
                    "not started: {mode} is armed by {}, which is not among {}",
                    view.roster.name(master),
                    view.roster.names(&self.players).join(", ")
                )
            })
        })
    }

    /// A scan goes on, or is about to begin: nothing is sent, so that it is not disturbed.
    fn running_already(&self, running: &[Index], view: &View<'_>) -> Outcome {
        let others = format!("not started: {} is scanning already", view.roster.names(running).join(", "));
        let text = |p: &Index| if running.contains(p) { "Scan already started." } else { others.as_str() };
        self.outcome(view, |p| text(&p))
    }

    /// The same entry for everybody: nothing was sent.
    fn nobody(&self, view: &View<'_>, why: &str) -> Outcome {
        self.outcome(view, |_| why)
    }

    /// The result when nothing was sent, as the policy has it.
    fn outcome<'t>(&self, view: &View<'_>, why: impl Fn(Index) -> &'t str) -> Outcome {
        let mut all = self.dropped.clone();
        for player in &self.players {
            all.put(*player, Ok(Value::verdict(false, why(*player))));
        }
        match self.policy {
            Policy::Strict => self.policy.outcome(&all, view),
            _ => Ok(all.result(view.roster)),
        }
    }

    fn choose(&mut self, view: &View<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut silent = Vec::new();
        let mut earliest: Option<Utc> = None;
        for player in self.players.clone() {
            let name = view.roster.name(player);
            let answer = self.earliest.of(player).cloned();
            match answer.as_ref().map(|a| (time_of(a), a)) {
                Some((Some(at), _)) => earliest = earliest.max(Some(at)),
                Some((None, answer)) => silent.push((player, reason(name, answer))),
                None => {}
            }
        }
        if !silent.is_empty() {
            let quorum = matches!(self.policy, Policy::Quorum(n) if self.players.len() - silent.len() >= n);
            let text: Vec<String> =
                silent.iter().map(|(p, why)| format!("{} {why}", view.roster.name(*p))).collect();
            let text = text.join("; ");
            if !quorum {
                return refuse(self.nobody(view, &format!("not started: {text}")));
            }
            for (player, why) in silent {
                self.dropped.put(player, Err(Failure::NotAsked(format!("left out of the start: it {why}"))));
                self.players.retain(|p| *p != player);
            }
            actions.push(Action::Warn(format!("started without: {text}")));
            if let Some(text) = self.missing_master(view) {
                return refuse(self.nobody(view, &text));
            }
        }
        let Some(earliest) = earliest else {
            return refuse(self.nobody(view, "not started: no player said when it could"));
        };
        self.start = self.asked.map_or(earliest, Utc::ceil_second);
        if self.start < earliest {
            // The words of the reference, its slip included: scripts look for them.
            let text = format!(
                "Start time {}+00:00 is earlier that earliest possible start time {earliest}+00:00",
                self.asked.unwrap_or(self.start)
            );
            return refuse(Ok(Value::verdict(false, text)));
        }
        match self.clocks(view) {
            Err(text) => return refuse(self.nobody(view, &text)),
            Ok(warnings) => actions.extend(warnings.into_iter().map(Action::Warn)),
        }
        actions.extend(self.arm(view.now));
        actions
    }

    /// Players whose clocks are off: those that must not start, or what is said of the others.
    fn clocks(&self, view: &View<'_>) -> Result<Vec<String>, String> {
        let mut warnings = Vec::new();
        for player in &self.players {
            let Some(clock) = view.roster.seat(*player).clock else { continue };
            // Only what is certain counts: a slow round trip proves nothing.
            let least = clock.offset_ns.abs() - clock.uncertainty_ns;
            let name = view.roster.name(*player);
            let text = format!(
                "the clock of {name} is {:+.1} ms from ours (+-{:.1} ms)",
                clock.offset_ns as f64 / 1e6,
                clock.uncertainty_ns as f64 / 1e6
            );
            if least > OFFSET_MAX_NS {
                return Err(format!("not started: {text}; set the clocks right (chronyc tracking)"));
            }
            if least > OFFSET_WARN_NS {
                warnings.push(text);
            }
        }
        Ok(warnings)
    }

    fn arm(&mut self, now: Now) -> Vec<Action> {
        self.phase = Phase::Arm;
        self.arms = Gathered::from(&self.players);
        let call = bank("start", vec![seven(self.start)]);
        let mut actions = ask_all(&self.players, ARM, &call, Lane::Write, until(self.start, now) + PATIENCE);
        actions.push(Action::Wake(mono_of(self.start, now, -(ACCEPT_BEFORE.as_nanos() as i64))));
        actions
    }

    fn armed(&mut self, player: Index, answer: &Answer, view: &View<'_>) -> Vec<Action> {
        self.arms.take(player, answer.clone());
        match self.phase {
            Phase::Arm if !succeeded(answer) => {
                let name = view.roster.name(player);
                let why = complaint(name, answer);
                match self.spares(&[player], view) {
                    true => self.leave_out(&[player], &why, view),
                    false => self.roll_back(format!("{name}: {why}"), view),
                }
            }
            Phase::RollBack { .. } => {
                let mut actions = if succeeded(answer) { self.stop(&[player]) } else { Vec::new() };
                actions.extend(self.look(view));
                actions
            }
            _ => self.look(view),
        }
    }

    /// What the answers there are come to.
    fn look(&mut self, view: &View<'_>) -> Vec<Action> {
        match &self.phase {
            Phase::Arm if self.arms.complete() => self.all_armed(view),
            Phase::RollBack { why } if self.arms.complete() && self.stops.complete() => {
                let why = why.clone();
                self.rolled_back(&why, view)
            }
            _ => Vec::new(),
        }
    }

    /// 1.5 s before the start: who has not accepted will not arm.
    fn late(&mut self, view: &View<'_>) -> Vec<Action> {
        let start = self.start.to_string();
        let accepted = |p: &Index| self.arms.of(*p).is_some() || scan_start(*p, view) == Some(start.as_str());
        let ours = |p: &Index| view.roster.seat(*p).kind() != Some(Kind::Reference);
        let late: Vec<Index> = self.players.iter().filter(|p| ours(p) && !accepted(p)).copied().collect();
        if late.is_empty() {
            return Vec::new();
        }
        if self.spares(&late, view) {
            return self.leave_out(&late, "it had not accepted 1.5 s before the second", view);
        }
        let names = view.roster.names(&late).join(", ");
        self.roll_back(format!("{names}: the start was not accepted 1.5 s before the second"), view)
    }

    /// Can the others take data without these? With a quorum, and if nobody needs one of them to be armed.
    fn spares(&self, without: &[Index], view: &View<'_>) -> bool {
        let Policy::Quorum(n) = self.policy else { return false };
        let left: Vec<Index> = self.players.iter().copied().filter(|p| !without.contains(p)).collect();
        let armed_by = |p: &Index| view.rules.master_of(view.roster.seat(*p).mode()?);
        left.len() >= n.max(1) && left.iter().filter_map(armed_by).all(|m| left.contains(&m))
    }

    /// The start goes on without these; one that turns out to have it is stopped.
    fn leave_out(&mut self, players: &[Index], why: &str, view: &View<'_>) -> Vec<Action> {
        let names = view.roster.names(players).join(", ");
        let mut actions = vec![Action::Warn(format!("started without {names}: {why}"))];
        for player in players {
            let text = format!("left out of the start: {why}");
            self.dropped.put(*player, Err(Failure::NotAsked(text)));
            self.arms.leave_out(*player);
            self.players.retain(|p| p != player);
            actions.push(Action::Orphan { player: *player, start: self.start });
        }
        actions.extend(self.look(view));
        actions
    }

    /// Stops everybody who has this start. Those who have not said yet are stopped when they do.
    fn roll_back(&mut self, why: String, view: &View<'_>) -> Vec<Action> {
        self.phase = Phase::RollBack { why };
        let start = self.start.to_string();
        let has_it = |p: &Index| match self.arms.of(*p) {
            Some(answer) => succeeded(answer),
            None => scan_start(*p, view) == Some(start.as_str()),
        };
        let running: Vec<Index> = self.players.iter().copied().filter(has_it).collect();
        let mut actions = self.stop(&running);
        let unknown = self.players.iter().filter(|p| may_have_it(self.arms.of(**p)));
        actions.extend(unknown.map(|p| Action::Orphan { player: *p, start: self.start }));
        let more = self.look(view);
        actions.extend(more);
        actions
    }

    /// Each once.
    fn stop(&mut self, players: &[Index]) -> Vec<Action> {
        let new: Vec<Index> = players.iter().copied().filter(|p| !self.stops.players().contains(p)).collect();
        self.stops.want(&new);
        ask_all(&new, STOP, &bank("stop", Vec::new()), Lane::Write, STOP_WITHIN)
    }

    fn rolled_back(&mut self, why: &str, view: &View<'_>) -> Vec<Action> {
        self.phase = Phase::Over;
        for player in self.players.clone() {
            let name = view.roster.name(player);
            let started = self.arms.of(player).is_none_or(succeeded);
            if !started {
                continue;
            }
            let stopped = self.stops.of(player).is_none_or(succeeded);
            let text = match stopped {
                true => format!("not started: {why}; stopped"),
                false => {
                    let failed = self.stops.of(player).map(|a| complaint(name, a)).unwrap_or_default();
                    format!("not started: {why}; IT MAY BE SCANNING ALONE, stop failed: {failed}")
                }
            };
            self.arms.put(player, Ok(Value::verdict(false, text)));
        }
        vec![
            Action::LastStart(self.describe(view, Some(why))),
            Action::Warn(format!("the start was taken back: {why}")),
            Action::Reply(self.result(view)),
            Action::End,
        ]
    }

    fn all_armed(&mut self, view: &View<'_>) -> Vec<Action> {
        self.phase = Phase::Verify;
        let at = mono_of(self.start, view.now, VERIFY_AFTER.as_nanos() as i64);
        vec![
            Action::LastStart(self.describe(view, None)),
            Action::Reply(self.result(view)),
            Action::Journal { players: self.players.clone(), begun: self.describe(view, None) },
            Action::TurnOver,
            Action::Wake(at),
        ]
    }

    /// 2 s after the start: does everybody take data?
    fn verify(&mut self, view: &View<'_>) -> Vec<Action> {
        self.phase = Phase::Over;
        let mut actions = Vec::new();
        for player in &self.players {
            let seat = view.roster.seat(*player);
            let text = match (seat.is_up(), seat.state_name()) {
                (false, _) => format!("{}: {}", seat.name, seat.why_down()),
                (true, Some("SCANNING")) => continue,
                (true, _) if self.is_past(seat) => continue,
                (true, state) => {
                    format!("{}: {} 2 s after the start", seat.name, state.unwrap_or("state unknown"))
                }
            };
            actions.push(Action::Warn(text));
        }
        actions.push(Action::LastStart(self.describe(view, None)));
        actions.push(Action::End);
        actions
    }

    /// Somebody has stopped this scan, and perhaps begun the next one.
    fn is_past(&self, seat: &Seat) -> bool {
        let start = self.start.to_string();
        let last = seat.state.as_ref().and_then(|(state, _)| state.get("last_scan"));
        let text = |key: &str| last.and_then(|scan| scan.get(key)).and_then(Value::as_str);
        seat.scan_start().is_some_and(|next| next != start)
            || text("start") == Some(&start) && text("ended").is_some_and(|how| how.starts_with("stopped"))
    }

    /// One entry for everybody that was asked for, also for those who were left out.
    fn result(&self, view: &View<'_>) -> Outcome {
        let mut all = self.dropped.clone();
        for (player, answer) in self.arms.iter() {
            all.put(player, answer.clone());
        }
        match self.policy {
            Policy::Strict => self.policy.outcome(&all, view),
            _ => Ok(all.result(view.roster)),
        }
    }

    fn describe(&self, view: &View<'_>, failed: Option<&str>) -> Value {
        let text = |t: String| Value::Str(t);
        let one = |p: &Index| {
            let seat = view.roster.seat(*p);
            let scan = seat.state.as_ref().and_then(|(s, _)| s.get("scan")).filter(|s| **s != Value::Null);
            let part = |key: &str| scan.and_then(|s| s.get(key)).cloned().unwrap_or(Value::Null);
            let entry = vec![
                ("mode".to_owned(), seat.mode().map_or(Value::Null, Value::from)),
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
            ("failed".to_owned(), failed.map_or(Value::Null, Value::from)),
            ("players".to_owned(), Value::Map(self.players.iter().map(one).collect())),
        ])
    }
}

impl Procedure for Start {
    fn handle(&mut self, event: Event<'_>, view: &View<'_>) -> Vec<Action> {
        match event {
            Event::Begin => self.begin(view),
            Event::Answer { player, round: LOOK, answer } => {
                self.looks.take(player, answer.clone());
                if self.looks.complete() { self.looked(view) } else { Vec::new() }
            }
            Event::Answer { player, round: QUERY, answer } => {
                self.earliest.take(player, answer.clone());
                if self.phase == Phase::Query && self.earliest.complete() {
                    self.choose(view)
                } else {
                    Vec::new()
                }
            }
            Event::Answer { player, round: ARM, answer } => self.armed(player, answer, view),
            Event::Answer { player, answer, .. } => {
                self.stops.take(player, answer.clone());
                let mut actions = Vec::new();
                if !succeeded(answer) {
                    actions.push(Action::Orphan { player, start: self.start });
                }
                actions.extend(self.look(view));
                actions
            }
            Event::Wake if self.phase == Phase::Arm => self.late(view),
            Event::Wake if self.phase == Phase::Verify => self.verify(view),
            Event::Cancel if matches!(self.phase, Phase::Look | Phase::Query) => {
                refuse(self.nobody(view, "not started: cancelled"))
            }
            Event::Cancel if self.phase == Phase::Arm => {
                self.roll_back("cancelled by the client".into(), view)
            }
            // It shows now that it has this start.
            Event::State(player) if matches!(self.phase, Phase::RollBack { .. }) => {
                let mine = scan_start(player, view) == Some(self.start.to_string().as_str());
                if mine && self.arms.of(player).is_none() { self.stop(&[player]) } else { Vec::new() }
            }
            Event::Wake | Event::State(_) | Event::Cancel => Vec::new(),
        }
    }
}

fn refuse(outcome: Outcome) -> Vec<Action> {
    vec![Action::Reply(outcome), Action::End]
}

/// Why a player did not say when it could start.
fn reason(name: &str, answer: &Answer) -> String {
    match answer {
        Err(Failure::Lost(why)) => format!("is not connected ({why})"),
        Err(Failure::Late(limit)) => format!("did not answer within {} s", limit.as_secs_f64()),
        other => format!("cannot start: {}", complaint(name, other)),
    }
}

/// `[true, [y, m, d, h, m, s, us]]`
fn time_of(answer: &Answer) -> Option<Utc> {
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

fn scan_start<'a>(player: Index, view: &View<'a>) -> Option<&'a str> {
    view.roster.seat(player).scan_start()
}

/// It was asked to start and has not said that it does not.
fn may_have_it(answer: Option<&Answer>) -> bool {
    matches!(answer, None | Some(Err(Failure::Lost(_) | Failure::Late(_))))
}

fn until(start: Utc, now: Now) -> Duration {
    Duration::from_nanos(start.nanos_since(now.utc).max(0) as u64)
}

/// When it is `offset` nanoseconds after the start, on our monotonic clock; now, if that is over.
fn mono_of(start: Utc, now: Now, offset: i64) -> Mono {
    let left = start.nanos_since(now.utc).saturating_add(offset).clamp(0, 366 * 86_400 * NANOS);
    now.mono + Duration::from_nanos(left as u64)
}
