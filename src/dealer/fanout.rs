//! One call to many: always parallel, one entry for every player.
//!
//! ```text
//!   ours that can say beforehand ── would(..) ──► all agree ──► everybody is asked
//!                                               └► one does not: nobody is, unless best_effort
//! ```

use super::gathered::Gathered;
use super::messages::{Index, Kind, Lane};
use super::procedure::{Action, Event, Procedure, Round, View, ask_all, bank};
use super::rules::READ_WITHIN;
use crate::api::{Call, CallError, Outcome};
use crate::value::Value;
use std::time::Duration;

/// What failures of single players mean for the whole call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Report them, player by player; where players can say beforehand, all or none.
    #[default]
    All,
    /// Report them; every player does what it can.
    BestEffort,
    /// The call fails.
    Strict,
    /// The call fails with fewer successes than this.
    Quorum(usize),
}

impl Policy {
    /// `all`, `best_effort`, `strict`, `quorum=3`.
    pub fn parse(text: &str) -> Result<Policy, CallError> {
        match text {
            "all" => Ok(Policy::All),
            "best_effort" => Ok(Policy::BestEffort),
            "strict" => Ok(Policy::Strict),
            _ => text.strip_prefix("quorum=").and_then(|n| n.parse().ok()).map(Policy::Quorum).ok_or_else(
                || {
                    let known = "'all', 'best_effort', 'strict' or 'quorum=N'";
                    CallError::value_error(format!("policy '{text}' is unknown; write {known}"))
                },
            ),
        }
    }

    /// The outcome of a call with these answers.
    pub fn outcome(self, gathered: &Gathered, view: &View<'_>) -> Outcome {
        let failed = gathered.failed().len();
        let good = gathered.players().len() - failed;
        let result = gathered.result(view.roster);
        let short = match self {
            Policy::All | Policy::BestEffort => false,
            Policy::Strict => failed > 0,
            Policy::Quorum(n) => good < n,
        };
        if !short {
            return Ok(result);
        }
        let complaints = gathered.complaints(view.roster);
        let text = crate::proto::json::to_text(&result).unwrap_or_default();
        Err(CallError::exception(format!(
            "{failed} of {} players failed ({complaints}): {text}",
            gathered.players().len()
        )))
    }
}

const BEFOREHAND: Round = 0;
const DO: Round = 1;

/// One call to many.
#[derive(Debug)]
pub struct Fanout {
    players: Vec<Index>,
    call: Call,
    lane: Lane,
    within: Duration,
    policy: Policy,
    /// Players of ours are asked first whether they would.
    beforehand: bool,
    would: Gathered,
    answers: Gathered,
    /// What becomes of the result; the identity for most.
    shape: fn(&Gathered, &View<'_>, Policy) -> Outcome,
    /// What the operator is told beside it.
    tell: fn(&Gathered, &View<'_>) -> Vec<String>,
    /// What follows when a player has done it.
    then: Option<Action>,
}

impl Fanout {
    /// `call` is of the interface `bank`.
    pub fn new(players: Vec<Index>, call: Call, lane: Lane, within: Duration, policy: Policy) -> Fanout {
        Fanout {
            answers: Gathered::from(&players),
            would: Gathered::default(),
            players,
            call,
            lane,
            within,
            policy,
            beforehand: false,
            shape: |gathered, view, policy| policy.outcome(gathered, view),
            tell: |_, _| Vec::new(),
            then: None,
        }
    }

    /// Asks players of ours first whether they would do it; one that would not keeps all from it.
    pub fn beforehand(mut self) -> Fanout {
        self.beforehand = !matches!(self.policy, Policy::BestEffort);
        self
    }

    /// With a result of another shape than `{player: entry}`.
    pub fn shaped(mut self, shape: fn(&Gathered, &View<'_>, Policy) -> Outcome) -> Fanout {
        self.shape = shape;
        self
    }

    /// With this action if any player has done it.
    pub fn then(mut self, action: Option<Action>) -> Fanout {
        self.then = action;
        self
    }

    /// With warnings for the operator.
    pub fn telling(mut self, tell: fn(&Gathered, &View<'_>) -> Vec<String>) -> Fanout {
        self.tell = tell;
        self
    }

    fn begin(&mut self, view: &View<'_>) -> Vec<Action> {
        let can = |p: &&Index| {
            let seat = view.roster.seat(**p);
            seat.kind() == Some(Kind::Ours) && seat.can("would")
        };
        let asked: Vec<Index> = match self.beforehand {
            true => self.players.iter().filter(can).copied().collect(),
            false => Vec::new(),
        };
        self.would = Gathered::from(&asked);
        if asked.is_empty() {
            return self.ask(view);
        }
        let arguments = vec![
            Value::Str(self.call.method.clone()),
            Value::List(self.call.args.clone()),
            Value::Map(self.call.kwargs.clone()),
        ];
        ask_all(&asked, BEFOREHAND, &bank("would", arguments), Lane::Read, READ_WITHIN)
    }

    fn ask(&mut self, view: &View<'_>) -> Vec<Action> {
        if self.players.is_empty() {
            return self.finish(view);
        }
        ask_all(&self.players, DO, &self.call, self.lane, self.within)
    }

    fn agreed(&mut self, view: &View<'_>) -> Vec<Action> {
        match self.would.refusal(&self.players, view.roster) {
            None => self.ask(view),
            Some(refusal) => {
                self.answers = refusal;
                self.finish(view)
            }
        }
    }

    fn finish(&self, view: &View<'_>) -> Vec<Action> {
        let mut actions: Vec<Action> =
            (self.tell)(&self.answers, view).into_iter().map(Action::Warn).collect();
        if self.answers.failed().len() < self.answers.players().len() {
            actions.extend(self.then.clone());
        }
        actions.push(Action::Reply((self.shape)(&self.answers, view, self.policy)));
        actions.push(Action::End);
        actions
    }
}

impl Procedure for Fanout {
    fn stopped(&self, _: &View<'_>) -> Option<Outcome> {
        let start = self.call.interface == "bank" && matches!(self.call.method.as_str(), "start" | "startin");
        start.then(|| Ok(Value::verdict(false, "cancelled by stop() before its turn had come")))
    }

    fn handle(&mut self, event: Event<'_>, view: &View<'_>) -> Vec<Action> {
        match event {
            Event::Begin => self.begin(view),
            Event::Answer { player, round: BEFOREHAND, answer } => {
                self.would.take(player, answer.clone());
                if self.would.complete() { self.agreed(view) } else { Vec::new() }
            }
            Event::Answer { player, answer, .. } => {
                self.answers.take(player, answer.clone());
                if self.answers.complete() { self.finish(view) } else { Vec::new() }
            }
            Event::Cancel => vec![Action::Reply(Err(CallError::exception("cancelled"))), Action::End],
            Event::State(_) | Event::Stopped | Event::Wake | Event::Noted | Event::ClockSet => Vec::new(),
        }
    }
}
