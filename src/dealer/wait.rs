//! `wait_for_scan`: until no player runs, or is about to.

use super::answer::Answer;
use super::gathered::Gathered;
use super::messages::{Index, Lane};
use super::procedure::{Action, Event, Procedure, Round, View, ask_all, bank};
use super::rules::READ_WITHIN;
use crate::api::CallError;
use crate::units::Mono;
use crate::value::Value;
use std::time::Duration;

/// Nobody that answers runs, but some do not answer: so long it is waited for their word.
const UNHEARD_FOR: Duration = Duration::from_secs(10);

/// Waits for the end of the scan of several players.
#[derive(Debug)]
pub struct WaitForScan {
    players: Vec<Index>,
    /// Since then nobody that answers runs, and not all answer.
    unheard_since: Option<Mono>,
    every: Duration,
    timeout: Option<Duration>,
    until: Option<Mono>,
    round: Round,
    answers: Gathered,
}

impl WaitForScan {
    /// Asks each `every`; gives up after `timeout`.
    pub fn new(players: Vec<Index>, every: Duration, timeout: Option<Duration>) -> WaitForScan {
        WaitForScan {
            answers: Gathered::from(&players),
            players,
            unheard_since: None,
            every,
            timeout,
            until: None,
            round: 0,
        }
    }

    fn ask(&mut self) -> Vec<Action> {
        self.round += 1;
        self.answers = Gathered::from(&self.players);
        let call = bank("scan_status", Vec::new());
        ask_all(&self.players, self.round, &call, Lane::Read, READ_WITHIN)
    }

    fn heard(&mut self, view: &View<'_>) -> Vec<Action> {
        // A start that is under way is no scan yet, and not the end of one either.
        let starting = |p: Index| {
            let seat = view.roster.seat(p);
            seat.is_up() && seat.state_name() == Some("STARTING")
        };
        let running = self.answers.iter().filter(|(p, a)| is_running(a) || starting(*p)).count();
        let unheard = self.answers.iter().filter(|(_, a)| a.is_err()).count();
        let reply = |ok: bool| {
            let result = Value::List(vec![Value::Bool(ok), self.answers.result(view.roster)]);
            vec![Action::Reply(Ok(result)), Action::End]
        };
        let late = self.until.is_some_and(|t| view.now.mono >= t);
        if running > 0 {
            self.unheard_since = None;
        }
        match (running, unheard) {
            (0, 0) => reply(true),
            _ if late => reply(false),
            // Whether the others run nobody can say.
            (0, _)
                if view.now.mono.since(*self.unheard_since.get_or_insert(view.now.mono)) >= UNHEARD_FOR =>
            {
                reply(false)
            }
            _ => {
                let next = view.now.mono + self.every;
                vec![Action::Wake(self.until.map_or(next, |t| t.min(next)))]
            }
        }
    }
}

/// `[true, "NETSTAT=..", ..]`
fn is_running(answer: &Answer) -> bool {
    matches!(answer, Ok(Value::List(items)) if items.first() == Some(&Value::Bool(true)))
}

impl Procedure for WaitForScan {
    fn handle(&mut self, event: Event<'_>, view: &View<'_>) -> Vec<Action> {
        match event {
            Event::Begin => {
                self.until = self.timeout.map(|t| view.now.mono + t);
                self.ask()
            }
            Event::Wake => self.ask(),
            Event::Answer { player, round, answer } if round == self.round => {
                self.answers.take(player, answer.clone());
                if self.answers.complete() { self.heard(view) } else { Vec::new() }
            }
            Event::Cancel => vec![Action::Reply(Err(CallError::exception("cancelled"))), Action::End],
            Event::Answer { .. } | Event::State(_) | Event::Stopped | Event::Noted | Event::ClockSet => {
                Vec::new()
            }
        }
    }
}
