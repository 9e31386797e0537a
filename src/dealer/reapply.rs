//! What was set at players through this proxy, and setting it again when one comes back without (`dealer.reapply`).
//!
//! Only mode and parameters: switching states, status keys and the like are the observer's to set again. A mode in
//! which one player drives the board of all is left alone: setting it again would disturb the others.

use super::answer::{Answer, complaint, succeeded};
use super::messages::{Index, Lane};
use super::procedure::{Action, Event, Procedure, Round, View, bank};
use super::rules::within;
use crate::api::Call;
use crate::value::Value;
use std::collections::{BTreeMap, VecDeque};

/// Parameters remembered of a player; there are a few dozen.
const PARAMETERS_MAX: usize = 256;

/// What was set at one player.
#[derive(Clone, Debug, Default)]
struct Set {
    /// As given to `set_mode`.
    mode: Vec<Value>,
    parameters: BTreeMap<String, Value>,
}

/// What was set at each.
#[derive(Debug, Default)]
pub struct Applied(BTreeMap<Index, Set>);

impl Applied {
    /// A player has answered this.
    pub fn answered(&mut self, player: Index, call: &Call, answer: &Answer) {
        if call.interface != "bank" || !succeeded(answer) {
            return;
        }
        match call.method.as_str() {
            "set_mode" => {
                let set = Set { mode: call.args.clone(), parameters: BTreeMap::new() };
                self.0.insert(player, set);
            }
            "set_param" => {
                let Some(set) = self.0.get_mut(&player) else { return };
                for (name, value) in &call.kwargs {
                    if set.parameters.len() < PARAMETERS_MAX || set.parameters.contains_key(name) {
                        set.parameters.insert(name.clone(), value.clone());
                    }
                }
            }
            _ => {}
        }
    }

    /// What would set it again, if this is the mode it had.
    pub fn again(&self, player: Index, mode: &str) -> Option<Reapply> {
        let set = self.0.get(&player).filter(|set| set.mode.first().and_then(Value::as_str) == Some(mode))?;
        let one = |(name, value): (&String, &Value)| Call {
            kwargs: vec![(name.clone(), value.clone())],
            ..bank("set_param", Vec::new())
        };
        let calls = std::iter::once(bank("set_mode", set.mode.clone())).chain(set.parameters.iter().map(one));
        Some(Reapply { player, mode: mode.to_owned(), left: calls.collect(), round: 0 })
    }
}

/// Sets mode and parameters again, one after the other; the first that fails ends it.
#[derive(Debug)]
pub struct Reapply {
    player: Index,
    mode: String,
    left: VecDeque<Call>,
    round: Round,
}

impl Reapply {
    fn next(&mut self, view: &View<'_>) -> Vec<Action> {
        let player = self.player;
        let Some(call) = self.left.pop_front() else {
            let text =
                format!("{}: {} was set again, with its parameters", view.roster.name(player), self.mode);
            return vec![Action::Warn(text), Action::End];
        };
        self.round += 1;
        let within = within(&call.method);
        vec![Action::Ask { player, round: self.round, call, lane: Lane::Write, within }]
    }
}

impl Procedure for Reapply {
    fn handle(&mut self, event: Event<'_>, view: &View<'_>) -> Vec<Action> {
        match event {
            // Its turn may come late: somebody may have set it up, or it has gone again.
            Event::Begin => match view.roster.seat(self.player).needs_setup.is_some() {
                true => self.next(view),
                false => vec![Action::End],
            },
            Event::Answer { answer, .. } if succeeded(answer) => self.next(view),
            Event::Answer { answer, .. } => {
                let name = view.roster.name(self.player);
                let why = complaint(name, answer);
                vec![Action::Warn(format!("{name}: {} was not set again: {why}", self.mode)), Action::End]
            }
            Event::Cancel
            | Event::Stopped
            | Event::State(_)
            | Event::Wake
            | Event::Noted
            | Event::ClockSet => Vec::new(),
        }
    }
}
