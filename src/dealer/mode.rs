//! A mode change of several players, in the order a shared board needs.
//!
//! ```text
//!   would everybody? ─► in a mode with a master:  silence the others' boards ─► master ─► the others
//!                    └► in any other mode:        everybody at once
//! ```
//!
//! Boards of the others may have the addresses of the master's eight interfaces from the mode before: they are
//! deprogrammed first. A master that fails keeps the others from changing anything.

use super::answer::{Answer, Failure, complaint, succeeded};
use super::fanout::Policy;
use super::gathered::Gathered;
use super::messages::{Index, Kind, Lane};
use super::procedure::{Action, Event, Procedure, Round, View, ask_all, bank};
use super::rules::{READ_WITHIN, within};
use crate::api::{Call, CallError};
use crate::value::Value;
use std::time::Duration;

const BEFOREHAND: Round = 0;
const SILENCE: Round = 1;
const MASTER: Round = 2;
const OTHERS: Round = 3;

/// Deprogramming a board takes no longer.
const SILENCE_WITHIN: Duration = Duration::from_secs(15);

/// A mode change.
#[derive(Debug)]
pub struct SetMode {
    players: Vec<Index>,
    mode: String,
    args: Vec<Value>,
    policy: Policy,
    within: Duration,
    master: Option<Index>,
    would: Gathered,
    silenced: Gathered,
    answers: Gathered,
}

impl SetMode {
    /// `args` as for `bank.set_mode`: mode, bandwidth, force.
    pub fn new(players: Vec<Index>, args: Vec<Value>, policy: Policy, limit: Option<Duration>) -> SetMode {
        let mode = args.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        SetMode {
            would: Gathered::default(),
            silenced: Gathered::default(),
            answers: Gathered::from(&players),
            players,
            mode,
            args,
            policy,
            within: limit.unwrap_or_else(|| within("set_mode")),
            master: None,
        }
    }

    fn call(&self) -> Call {
        bank("set_mode", self.args.clone())
    }

    fn others(&self) -> Vec<Index> {
        self.players.iter().copied().filter(|p| Some(*p) != self.master).collect()
    }

    fn begin(&mut self, view: &View<'_>) -> Vec<Action> {
        if self.players.is_empty() {
            return self.finish(view);
        }
        self.master = view.rules.master_of(&self.mode);
        if let Some(master) = self.master.filter(|m| !self.players.contains(m)) {
            let text = format!(
                "{} needs {}, which programs the board of all; it is not among the players",
                self.mode,
                view.roster.name(master)
            );
            return self.nobody(&text, view);
        }
        let can = |p: &Index| {
            let seat = view.roster.seat(*p);
            seat.kind() == Some(Kind::Ours) && seat.can("would") && self.policy != Policy::BestEffort
        };
        let asked: Vec<Index> = self.players.iter().copied().filter(can).collect();
        self.would = Gathered::from(&asked);
        if asked.is_empty() {
            return self.agreed(view);
        }
        let arguments = vec!["set_mode".into(), Value::List(self.args.clone()), Value::Map(Vec::new())];
        ask_all(&asked, BEFOREHAND, &bank("would", arguments), Lane::Read, READ_WITHIN)
    }

    fn agreed(&mut self, view: &View<'_>) -> Vec<Action> {
        let unheard = |a: Option<&Answer>| matches!(a, Some(Err(Failure::Lost(_) | Failure::Late(_))));
        if let Some(refusal) = self.would.refusal(&self.players, view.roster) {
            self.answers = refusal;
            return self.finish(view);
        }
        match self.master {
            None => ask_all(&self.players, OTHERS, &self.call(), Lane::Write, self.within),
            // Boards of the others are not touched for a master that will not come.
            Some(master) if unheard(self.would.of(master)) || !view.roster.seat(master).is_up() => {
                self.ask_master()
            }
            Some(_) => self.silence(view),
        }
    }

    /// Boards that are driven by nobody in this mode.
    fn silence(&mut self, view: &View<'_>) -> Vec<Action> {
        let has_board = |p: &Index| {
            let seat = view.roster.seat(*p);
            let name = |m: &super::messages::RemoteMethod| {
                m.description.get("name").and_then(Value::as_str) == Some("progdev")
            };
            seat.is_up() && seat.methods.iter().any(|m| m.interface == "bank.roach" && name(m))
        };
        let boards: Vec<Index> = self.others().into_iter().filter(has_board).collect();
        self.silenced = Gathered::from(&boards);
        if boards.is_empty() {
            return self.ask_master();
        }
        let call = Call {
            interface: "bank.roach".into(),
            method: "progdev".into(),
            args: vec!["".into()],
            kwargs: Vec::new(),
        };
        ask_all(&boards, SILENCE, &call, Lane::Write, SILENCE_WITHIN)
    }

    fn ask_master(&mut self) -> Vec<Action> {
        let master: Vec<Index> = self.master.into_iter().collect();
        ask_all(&master, MASTER, &self.call(), Lane::Write, self.within)
    }

    fn master_answered(&mut self, player: Index, answer: &Answer, view: &View<'_>) -> Vec<Action> {
        self.answers.take(player, answer.clone());
        if !succeeded(answer) && !self.is_set_already(answer) && self.policy != Policy::BestEffort {
            let name = view.roster.name(player).to_owned();
            let text =
                format!("not done: {name}, which programs the board, failed: {}", complaint(&name, answer));
            for other in self.others() {
                self.answers.put(other, Err(Failure::NotAsked(text.clone())));
            }
            return self.finish(view);
        }
        let others = self.others();
        if others.is_empty() {
            return self.finish(view);
        }
        ask_all(&others, OTHERS, &self.call(), Lane::Write, self.within)
    }

    /// The master has this mode and keeps it: that is a no, but nothing that keeps the others from it.
    fn is_set_already(&self, answer: &Answer) -> bool {
        let words = format!("Mode {} is already set!", self.mode);
        answer.is_ok() && complaint("", answer).starts_with(&words)
    }

    fn nobody(&mut self, text: &str, view: &View<'_>) -> Vec<Action> {
        for player in self.players.clone() {
            self.answers.put(player, Err(Failure::NotAsked(text.to_owned())));
        }
        self.finish(view)
    }

    fn finish(&self, view: &View<'_>) -> Vec<Action> {
        vec![Action::Reply(self.policy.outcome(&self.answers, view)), Action::End]
    }
}

impl Procedure for SetMode {
    fn handle(&mut self, event: Event<'_>, view: &View<'_>) -> Vec<Action> {
        match event {
            Event::Begin => self.begin(view),
            Event::Answer { player, round: BEFOREHAND, answer } => {
                self.would.take(player, answer.clone());
                if self.would.complete() { self.agreed(view) } else { Vec::new() }
            }
            Event::Answer { player, round: SILENCE, answer } => {
                self.silenced.take(player, answer.clone());
                let mut actions = Vec::new();
                if !succeeded(answer) {
                    let name = view.roster.name(player);
                    actions.push(Action::Warn(format!(
                        "the board of {name} could not be silenced, its addresses may clash: {}",
                        complaint(name, answer)
                    )));
                }
                if self.silenced.complete() {
                    actions.extend(self.ask_master());
                }
                actions
            }
            Event::Answer { player, round: MASTER, answer } => self.master_answered(player, answer, view),
            Event::Answer { player, answer, .. } => {
                self.answers.take(player, answer.clone());
                if self.answers.complete() { self.finish(view) } else { Vec::new() }
            }
            // Players set their modes to the end; the client is told that it does not wait for them.
            Event::Cancel => {
                let text = "cancelled; players that were asked already go on: see get_mode";
                vec![Action::Reply(Err(CallError::exception(text))), Action::End]
            }
            Event::State(_) | Event::Stopped | Event::Wake | Event::Noted | Event::ClockSet => Vec::new(),
        }
    }
}
