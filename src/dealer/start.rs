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
use super::{clocks, fanout::Policy, health};
use crate::api::{CallError, Outcome};
use crate::units::{Now, Utc};
use crate::value::Value;
use std::time::Duration;

mod report;
mod second;

use report::reason;
use second::{mono_of, time_of, until};
pub use second::{seven, utc_of};

const QUERY: Round = 0;
const ARM: Round = 1;
const STOP: Round = 2;
const LOOK: Round = 3;
const VERIFY: Round = 4;

/// Why a start is taken back whose client does not want it any longer.
const CANCELLED: &str = "cancelled";

/// A clock that is not known by then is not waited for.
const CLOCKS_WITHIN: Duration = Duration::from_millis(1500);
/// A file that is not written by then is not waited for.
const NOTE_WITHIN: Duration = Duration::from_millis(500);
/// A player that has not accepted by then will not arm in time.
const ACCEPT_BEFORE: Duration = Duration::from_millis(1500);
/// A player that has not said by then, after the second, that it has armed, is not waited for.
const ARMED_BY: Duration = Duration::from_secs(1);
/// When it is looked whether all take data.
const VERIFY_AFTER: Duration = Duration::from_secs(2);
/// A reply later than this after the start is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long stopping may take.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// A start is not accepted further ahead: it keeps everybody else from writing to its players.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);

#[derive(Debug, PartialEq)]
enum Phase {
    /// Whoever was scanning when it was last heard is asked whether it still is.
    Look,
    Query,
    /// The clock was set: players' clocks are measured anew before they are believed.
    Clocks,
    /// The start goes into the file first: a proxy that takes over must know of it.
    Note,
    Arm,
    RollBack {
        why: String,
    },
    Verify,
    /// They are asked whether they receive.
    Verifying,
    Over,
}

/// A start of several players.
#[derive(Debug)]
pub struct Start {
    players: Vec<Index>,
    policy: Policy,
    limit: Option<Duration>,
    asked: Option<Utc>,
    phase: Phase,
    looks: Gathered,
    earliest: Gathered,
    arms: Gathered,
    stops: Gathered,
    start: Utc,
    began: Now,
    /// When players were told the second, and when the last had answered.
    sent: Option<Utc>,
    answered: Option<Utc>,
    /// Clocks were waited for once.
    waited_for_clocks: bool,
    /// Who left before anything was sent (policy quorum).
    dropped: Gathered,
}

impl Start {
    /// `at`: the second asked for; `None`: the earliest possible. `limit`: how long a player may take until it has armed.
    pub fn new(players: Vec<Index>, at: Option<Utc>, policy: Policy, limit: Option<Duration>) -> Start {
        Start {
            looks: Gathered::default(),
            earliest: Gathered::from(&players),
            arms: Gathered::default(),
            stops: Gathered::default(),
            dropped: Gathered::from(&players),
            players,
            policy,
            limit,
            asked: at,
            phase: Phase::Look,
            start: Utc(0),
            began: Now::default(),
            sent: None,
            answered: None,
            waited_for_clocks: false,
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
        if until(self.start, view.now) > AHEAD_MAX {
            let text = format!(
                "not started: {} is more than a day ahead, and a start that waits keeps others from writing: use schedule",
                self.start
            );
            return refuse(self.nobody(view, &text));
        }
        let unmeasured = self.unmeasured(view);
        if !unmeasured.is_empty() && !std::mem::replace(&mut self.waited_for_clocks, true) {
            // The next look measures them.
            self.phase = Phase::Clocks;
            actions.push(Action::Wake(view.now.mono + CLOCKS_WITHIN));
            return actions;
        }
        let unknown = |p: &Index| Action::Warn(format!("the clock of {} is not known", view.roster.name(*p)));
        actions.extend(unmeasured.iter().map(unknown));
        match clocks::compare(&self.players, view.roster) {
            Err(text) => return refuse(self.nobody(view, &text)),
            Ok(warnings) => actions.extend(warnings.into_iter().map(Action::Warn)),
        }
        self.phase = Phase::Note;
        actions.push(Action::Arming { players: self.players.clone(), start: self.start });
        actions.push(Action::Wake(view.now.mono + NOTE_WITHIN));
        actions
    }

    /// Clocks of players of ours that are not known.
    fn unmeasured(&self, view: &View<'_>) -> Vec<Index> {
        let unknown = |p: &Index| {
            let seat = view.roster.seat(*p);
            seat.kind() == Some(Kind::Ours) && seat.clock.is_none()
        };
        self.players.iter().copied().filter(unknown).collect()
    }

    /// What players said before is old by now: they are asked again.
    fn query_again(&mut self) -> Vec<Action> {
        self.earliest = Gathered::from(&self.players);
        self.phase = Phase::Query;
        ask_all(&self.players, QUERY, &bank("earliest_start", Vec::new()), Lane::Read, READ_WITHIN)
    }

    /// The wall clock was set: the second comes at another time than was thought.
    fn clock_set(&mut self, view: &View<'_>) -> Vec<Action> {
        let accept = mono_of(self.start, view.now, -(ACCEPT_BEFORE.as_nanos() as i64));
        let extend = Action::Extend {
            round: ARM,
            within: self.limit.unwrap_or(until(self.start, view.now) + PATIENCE),
        };
        match self.phase {
            Phase::Arm => vec![extend, Action::Wake(accept)],
            Phase::RollBack { .. } => vec![extend],
            Phase::Verify => {
                vec![Action::Wake(mono_of(self.start, view.now, VERIFY_AFTER.as_nanos() as i64))]
            }
            _ => Vec::new(),
        }
    }

    fn arm(&mut self, now: Now) -> Vec<Action> {
        self.phase = Phase::Arm;
        self.sent = Some(now.utc);
        self.arms = Gathered::from(&self.players);
        let call = bank("start", vec![seven(self.start)]);
        let within = self.limit.unwrap_or(until(self.start, now) + PATIENCE);
        let mut actions = ask_all(&self.players, ARM, &call, Lane::Write, within);
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
                if may_have_it(answer) {
                    actions.push(Action::Orphan { player, start: self.start });
                }
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

    /// 1.5 s before the second: who has not accepted will not arm. 1 s after it: who has not armed keeps the others from
    /// going on alone.
    fn late(&mut self, view: &View<'_>) -> Vec<Action> {
        let begun = view.now.utc >= self.start + ARMED_BY;
        let start = self.start.to_string();
        let in_time = |p: &Index| {
            let ours = view.roster.seat(*p).kind() != Some(Kind::Reference);
            let accepted = !ours || scan_start(*p, view) == Some(start.as_str());
            self.arms.of(*p).is_some() || (accepted && !begun)
        };
        let late: Vec<Index> = self.players.iter().filter(|p| !in_time(p)).copied().collect();
        let what = match begun {
            false => "had not accepted 1.5 s before the second",
            true => "had not armed 1 s after the second",
        };
        let mut actions = if late.is_empty() {
            Vec::new()
        } else if self.spares(&late, view) {
            self.leave_out(&late, &format!("it {what}"), view)
        } else {
            let names = view.roster.names(&late).join(", ");
            return self.roll_back(format!("{names} {what}"), view);
        };
        if !begun && self.phase == Phase::Arm {
            actions.push(Action::Wake(mono_of(self.start, view.now, ARMED_BY.as_nanos() as i64)));
        }
        actions
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

    /// The client, or somebody with a `stop`, takes the start back. Players who have it by now tell of the stop themselves.
    fn taken_back(&mut self, why: &str, view: &View<'_>) -> Vec<Action> {
        let mut actions = match self.phase {
            Phase::Look | Phase::Query | Phase::Clocks => Vec::new(),
            Phase::Note => vec![Action::StartOver(self.start)],
            Phase::Arm if why == CANCELLED => return self.roll_back("cancelled by the client".into(), view),
            _ => return Vec::new(),
        };
        actions.extend(refuse(self.nobody(view, &format!("not started: {why}"))));
        actions
    }

    /// Stops everybody who has this start. Those who have not said yet are stopped when they do.
    fn roll_back(&mut self, why: String, view: &View<'_>) -> Vec<Action> {
        let said = Action::Warn(format!("the start was taken back: {why}"));
        self.phase = Phase::RollBack { why };
        let taken_back = Action::TakenBack(self.start);
        let start = self.start.to_string();
        let has_it = |p: &Index| match self.arms.of(*p) {
            Some(answer) => succeeded(answer),
            None => scan_start(*p, view) == Some(start.as_str()),
        };
        let running: Vec<Index> = self.players.iter().copied().filter(has_it).collect();
        let mut actions = vec![said, taken_back];
        actions.extend(self.stop(&running));
        // Who has not answered yet is looked at from here; what becomes of the others is the orphans' business.
        let unknown = self.players.iter().filter(|p| self.arms.of(**p).is_some_and(may_have_it));
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
            let stop = self.stops.of(player);
            // One that was stopped by us says so itself ("cancelled by stop()"): that is not why.
            let by_us = stop.is_some_and(succeeded);
            let started = self.arms.of(player).is_none_or(succeeded);
            if !started && !by_us {
                continue;
            }
            let seat = view.roster.seat(player);
            let idle = seat.is_up() && matches!(seat.state_name(), Some("READY" | "NO_MODE"));
            let text = match stop.filter(|_| !by_us).map(|answer| complaint(name, answer)) {
                None => format!("not started: {why}; stopped"),
                Some(said) if idle => format!("not started: {why}; nothing runs there: {said}"),
                Some(failed) => {
                    format!("not started: {why}; IT MAY BE SCANNING ALONE, stop failed: {failed}")
                }
            };
            self.arms.put(player, Ok(Value::verdict(false, text)));
        }
        vec![
            Action::LastStart(self.describe(view, Some(why))),
            Action::StartOver(self.start),
            Action::Reply(self.result(view)),
            Action::End,
        ]
    }

    fn all_armed(&mut self, view: &View<'_>) -> Vec<Action> {
        self.phase = Phase::Verify;
        self.answered = Some(view.now.utc);
        let at = mono_of(self.start, view.now, VERIFY_AFTER.as_nanos() as i64);
        vec![
            Action::LastStart(self.describe(view, None)),
            Action::Reply(self.result(view)),
            Action::StartOver(self.start),
            Action::Journal { players: self.players.clone(), begun: self.describe(view, None) },
            Action::TurnOver,
            Action::Wake(at),
        ]
    }
}

impl Procedure for Start {
    fn stopped(&self, view: &View<'_>) -> Option<Outcome> {
        Some(self.nobody(view, "not started: cancelled by stop()"))
    }

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
            Event::Answer { player, round: VERIFY, answer } => {
                self.looks.take(player, answer.clone());
                if self.looks.complete() { self.verified(view) } else { Vec::new() }
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
            Event::Noted | Event::Wake if self.phase == Phase::Note => self.arm(view.now),
            Event::ClockSet => self.clock_set(view),
            Event::Wake if self.phase == Phase::Clocks => self.query_again(),
            Event::State(_) if self.phase == Phase::Clocks && self.unmeasured(view).is_empty() => {
                self.query_again()
            }
            Event::Wake if self.phase == Phase::Arm => self.late(view),
            Event::Wake if self.phase == Phase::Verify => self.verify(),
            Event::Cancel => self.taken_back(CANCELLED, view),
            Event::Stopped => self.taken_back("cancelled by stop()", view),
            // It shows now that it has this start.
            Event::State(player) if matches!(self.phase, Phase::RollBack { .. }) => {
                let mine = scan_start(player, view) == Some(self.start.to_string().as_str());
                if mine && self.arms.of(player).is_none() { self.stop(&[player]) } else { Vec::new() }
            }
            Event::Noted | Event::Wake | Event::State(_) => Vec::new(),
        }
    }
}

fn refuse(outcome: Outcome) -> Vec<Action> {
    vec![Action::Reply(outcome), Action::End]
}

fn scan_start<'a>(player: Index, view: &View<'a>) -> Option<&'a str> {
    view.roster.seat(player).scan_start()
}

/// It was asked to start, and nobody knows what became of it.
fn may_have_it(answer: &Answer) -> bool {
    matches!(answer, Err(Failure::Lost(_) | Failure::Late(_)))
}
