//! Calls: answered from memory, or begun as procedures.

use super::super::fanout::{Fanout, Policy};
use super::super::gathered::Gathered;
use super::super::health;
use super::super::messages::{Index, Lane, Output};
use super::super::methods::{DealerCall, Pick, What};
use super::super::mode::SetMode;
use super::super::procedure::{Action, Procedure, View, bank};
use super::super::rules::{READ_WITHIN, within};
use super::super::start::{Start, seven, utc_of};
use super::super::wait::WaitForScan;
use super::Dealer;
use crate::api::{Call, CallError, Class, Outcome, Ticket};
use crate::units::{Now, Utc};
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A call passed through to a player that works takes as long as it takes; a blocked one must end some time.
const PASS_JOB_WITHIN: Duration = Duration::from_secs(180);
const PASS_WRITE_WITHIN: Duration = Duration::from_secs(60);
/// Methods players can judge beforehand.
const JUDGED: &[&str] = &["set_param", "set_params"];

impl Dealer {
    pub(super) fn call(&mut self, ticket: Ticket, call: DealerCall, who: &str, now: Now) {
        self.roster.called(who, now);
        let outcome = match call {
            DealerCall::Pass { player, call, class } => self.pass(ticket, player, call, class, who, now),
            DealerCall::Own(what, pick) => self.own(ticket, what, &pick, who, now),
        };
        match outcome {
            Ok(Some(value)) => self.reply(ticket, Ok(value)),
            Ok(None) => {}
            Err(error) => self.reply(ticket, Err(error)),
        }
    }

    /// `None`: answered later.
    fn own(
        &mut self,
        ticket: Ticket,
        what: What,
        pick: &Pick,
        who: &str,
        now: Now,
    ) -> Result<Option<Value>, CallError> {
        let players = match &pick.players {
            Some(names) => self.roster.indices(names)?,
            None => self.roster.active(who).to_vec(),
        };
        let list = |names: Vec<String>| Value::List(names.into_iter().map(Value::Str).collect());
        let read = |call: Call| {
            Fanout::new(players.clone(), call, Lane::Read, pick.deadline.unwrap_or(READ_WITHIN), pick.policy)
        };
        let (procedure, writes): (Box<dyn Procedure>, bool) = match what {
            What::Available => {
                let all: Vec<Index> = self.roster.all().collect();
                return Ok(Some(list(self.roster.names(&all))));
            }
            What::Active => return Ok(Some(list(self.roster.names(self.roster.active(who))))),
            What::Add(names) => {
                self.roster.activate(who, &names, now)?;
                return Ok(Some(list(self.roster.names(self.roster.active(who)))));
            }
            What::Remove(names) => {
                self.roster.deactivate(who, &names, now)?;
                return Ok(Some(list(self.roster.names(self.roster.active(who)))));
            }
            What::Groups => return Ok(Some(self.roster.groups())),
            What::Snapshot => return Ok(Some(self.snapshot(now))),
            What::LastWarnings => return Ok(Some(self.notices.warnings())),
            What::LastErrors => return Ok(Some(self.notices.errors())),
            What::LastStart => return Ok(Some(self.notices.last_start())),
            What::Journal(limit) => return Ok(Some(self.journal.last(limit))),
            What::ScanSummary => return Ok(Some(self.scan_summary(&players))),
            What::Health => {
                let view = View { roster: &self.roster, rules: &self.rules, now };
                let ill = health::complaints(&players, &view);
                return Ok(Some(Value::List(vec![Value::Bool(ill.is_empty()), list(ill)])));
            }
            _ if players.is_empty() => {
                return Err(CallError::exception("no player is active: add_active_player"));
            }
            What::GetMode => (Box::new(read(bank("get_mode", vec![])).shaped(one_mode)), false),
            What::ListModes { detail: true } => {
                (Box::new(read(bank("list_modes", vec![])).shaped(modes_by_player).telling(silent)), false)
            }
            What::ListModes { detail: false } => {
                (Box::new(read(bank("list_modes", vec![])).shaped(common_modes).telling(silent)), false)
            }
            What::EarliestStart => {
                (Box::new(read(bank("earliest_start", vec![])).shaped(latest_start).telling(silent)), false)
            }
            What::FirstOf(call) => (Box::new(read(call).shaped(first_of).telling(others_say)), false),
            What::Start(at) => {
                (Box::new(Start::new(players.clone(), start_time(&at)?, pick.policy, pick.deadline)), true)
            }
            What::SetMode(args) => {
                (Box::new(SetMode::new(players.clone(), args, pick.policy, pick.deadline)), true)
            }
            What::WaitForScan { timeout, poll } => {
                (Box::new(WaitForScan::new(players.clone(), poll, timeout)), false)
            }
            What::SetScanNumber(number) => {
                let call = bank("set_scan_number", vec![Value::Int(number)]);
                let fanout = self.fanout(&players, call, Class::Write, pick);
                (Box::new(fanout.then(pick.players.is_none().then_some(Action::ScanNumber(number)))), true)
            }
            What::Forward { call, class } => {
                // `stop` never waits for a turn: what is to be stopped may be what has it.
                let writes = class != Class::Read && call.method != "stop";
                if call.method == "stop" {
                    self.stop_called(&players, now);
                }
                let call = if pick.players.is_none() { self.next_number(call) } else { call };
                (Box::new(self.fanout(&players, call, class, pick)), writes)
            }
        };
        self.run(ticket, players, procedure, writes);
        Ok(None)
    }

    /// Once a number was set here, it is this one that counts: players that count for themselves may disagree.
    fn next_number(&mut self, call: Call) -> Call {
        let Some(next) = self.scan_number.and_then(|n| n.checked_add(1)) else { return call };
        if call.method != "increment_scan_number" {
            return call;
        }
        self.number_is(Some(next));
        bank("set_scan_number", vec![Value::Int(next)])
    }

    /// As it was set here; else what all players say.
    fn known_number(&self) -> Value {
        let said = |p: Index| {
            let (state, _) = self.roster.seat(p).state.as_ref()?;
            state.get("scan_number").cloned()
        };
        let mut all = self.roster.all().filter_map(said);
        match (self.scan_number, all.next()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(first)) if all.all(|n| n == first) => first,
            (None, _) => Value::Null,
        }
    }

    fn fanout(&self, players: &[Index], call: Call, class: Class, pick: &Pick) -> Fanout {
        let lane = if class == Class::Read { Lane::Read } else { Lane::Write };
        let limit = pick.deadline.unwrap_or_else(|| match call.method.as_str() {
            "startin" => startin_limit(&call),
            method => within(method),
        });
        let judged = JUDGED.contains(&call.method.as_str());
        let fanout = Fanout::new(players.to_vec(), call, lane, limit, pick.policy);
        if judged { fanout.beforehand() } else { fanout }
    }

    fn pass(
        &mut self,
        ticket: Ticket,
        player: Option<String>,
        call: Call,
        class: Class,
        who: &str,
        now: Now,
    ) -> Result<Option<Value>, CallError> {
        let player = match player {
            Some(name) => self.roster.find(&name).ok_or_else(|| CallError::key_error(&name))?,
            None => self.roster.active(who).first().copied().ok_or_else(|| {
                CallError::exception("no player is active: add_active_player, or call a player by its name")
            })?,
        };
        let urgent = call.method == "stop" && call.interface == "bank";
        if urgent {
            self.stop_called(&[player], now);
        }
        let (lane, limit) = match class {
            Class::Read => (Lane::Read, READ_WITHIN),
            Class::Write => (Lane::Write, PASS_WRITE_WITHIN),
            Class::Job => (Lane::Write, PASS_JOB_WITHIN),
        };
        let limit = match call.method.as_str() {
            "start" => start_limit(&call, now),
            "startin" => startin_limit(&call),
            _ => limit,
        };
        let one = Fanout::new(vec![player], call, lane, limit, Policy::BestEffort).shaped(alone);
        self.run(ticket, vec![player], Box::new(one), class != Class::Read && !urgent);
        Ok(None)
    }

    /// All there is to know, from memory.
    pub fn snapshot(&self, now: Now) -> Value {
        let one = |p: Index| (self.roster.name(p).to_owned(), self.roster.seat(p).describe(now));
        let all: Vec<Index> = self.roster.all().collect();
        Value::Map(vec![
            ("time".to_owned(), Value::Str(now.utc.to_string())),
            ("scan_number".to_owned(), self.known_number()),
            ("summary".to_owned(), self.scan_summary(&all)),
            ("warnings".to_owned(), self.notices.warnings()),
            ("lease".to_owned(), self.control.clone()),
            ("players".to_owned(), Value::Map(all.into_iter().map(one).collect())),
        ])
    }

    fn scan_summary(&self, players: &[Index]) -> Value {
        let mut states: BTreeMap<String, i64> = BTreeMap::new();
        let mut remaining: Vec<i64> = Vec::new();
        let mut running = 0;
        for player in players {
            let seat = self.roster.seat(*player);
            let state = match seat.is_up() {
                true => seat.state_name().unwrap_or("UNKNOWN"),
                false => "LOST",
            };
            *states.entry(state.to_owned()).or_default() += 1;
            running += usize::from(state == "SCANNING");
            let left = seat.state.as_ref().and_then(|(s, _)| s.get("scan")?.get("remaining_s").cloned());
            if let (Some(Value::Int(left)), true) = (left, seat.is_up()) {
                remaining.push(left);
            }
        }
        let number = |n: Option<&i64>| n.map_or(Value::Null, |n| Value::Int(*n));
        Value::Map(vec![
            ("running_all".to_owned(), Value::Bool(running > 0 && running == players.len())),
            ("running_any".to_owned(), Value::Bool(running > 0)),
            ("states".to_owned(), Value::Map(states.into_iter().map(|(k, v)| (k, Value::Int(v))).collect())),
            ("remaining_min_s".to_owned(), number(remaining.iter().min())),
            ("remaining_max_s".to_owned(), number(remaining.iter().max())),
        ])
    }

    /// Takes back a call that still waits for its turn; it is answered.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> bool {
        let waiting = self.turns.withdraw_where(|w| w.ticket == ticket);
        if waiting.is_some() {
            let outcome = Err(CallError::exception("cancelled before its turn had come"));
            self.out.push_back(Output::Reply { ticket, outcome });
        }
        waiting.is_some()
    }
}

/// What `start` was asked for.
fn start_time(at: &Value) -> Result<Option<Utc>, CallError> {
    if *at == Value::Null {
        return Ok(None);
    }
    utc_of(at).map(Some).ok_or_else(|| {
        CallError::value_error(
            "'starttime' must be a time of UTC as [year, month, day, hour, minute, second, microsecond]",
        )
    })
}

/// It answers when it has armed.
fn startin_limit(call: &Call) -> Duration {
    let ahead = call.args.first().and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 86_400.0);
    PASS_WRITE_WITHIN + Duration::from_secs_f64(ahead)
}

/// A start far in the future answers when it has armed.
fn start_limit(call: &Call, now: Now) -> Duration {
    let left = call.args.first().and_then(utc_of).map_or(0, |at| at.nanos_since(now.utc).max(0));
    PASS_JOB_WITHIN + Duration::from_nanos(left.unsigned_abs())
}

// ---------------------------------------------------------------------- results of other shapes

fn alone(gathered: &Gathered, view: &View<'_>, _: Policy) -> Outcome {
    use super::super::answer::Failure;
    let Some(player) = gathered.players().first() else { return Ok(Value::Null) };
    match gathered.of(*player) {
        Some(Ok(value)) => Ok(value.clone()),
        Some(Err(Failure::Raised(error))) => Err(error.clone()),
        Some(Err(failure)) => Err(CallError::exception(failure.text(view.roster.name(*player)))),
        None => Ok(Value::Null),
    }
}

fn one_mode(gathered: &Gathered, view: &View<'_>, policy: Policy) -> Outcome {
    let result = policy.outcome(gathered, view)?;
    let first = gathered.players().first().and_then(|p| gathered.of(*p));
    match first {
        Some(Ok(mode)) if gathered.iter().all(|(_, a)| a.as_ref() == Ok(mode)) => {
            Ok(Value::List(vec![Value::Bool(true), mode.clone()]))
        }
        _ => Ok(Value::List(vec![Value::Bool(false), result])),
    }
}

/// Mode names by player; players that did not say are left out.
fn modes(gathered: &Gathered, view: &View<'_>) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (player, answer) in gathered.iter() {
        if let Ok(Value::List(names)) = answer {
            for name in names.iter().filter_map(Value::as_str) {
                all.entry(name.to_owned()).or_default().push(view.roster.name(player).to_owned());
            }
        }
    }
    all
}

fn modes_by_player(gathered: &Gathered, view: &View<'_>, policy: Policy) -> Outcome {
    policy.outcome(gathered, view)?;
    let one = |(mode, players): (String, Vec<String>)| {
        (mode, Value::List(players.into_iter().map(Value::Str).collect()))
    };
    Ok(Value::Map(modes(gathered, view).into_iter().map(one).collect()))
}

fn common_modes(gathered: &Gathered, view: &View<'_>, policy: Policy) -> Outcome {
    policy.outcome(gathered, view)?;
    let said = gathered.iter().filter(|(_, a)| a.is_ok()).count();
    if said == 0 {
        return Err(CallError::exception(format!(
            "no player could be asked for its modes: {}",
            gathered.complaints(view.roster)
        )));
    }
    let common = modes(gathered, view).into_iter().filter(|(_, players)| players.len() == said);
    Ok(Value::List(common.map(|(mode, _)| Value::Str(mode)).collect()))
}

fn latest_start(gathered: &Gathered, view: &View<'_>, policy: Policy) -> Outcome {
    policy.outcome(gathered, view)?;
    let time = |answer: &Result<Value, _>| match answer {
        Ok(Value::List(items)) if items.first() == Some(&Value::Bool(true)) => items.get(1).and_then(utc_of),
        _ => None,
    };
    match gathered.iter().filter_map(|(_, a)| time(a)).max() {
        Some(at) => Ok(Value::List(vec![Value::Bool(true), seven(at)])),
        None => {
            Ok(Value::verdict(false, format!("no player could say: {}", gathered.complaints(view.roster))))
        }
    }
}

/// Players without an answer, when the result speaks for all.
fn silent(gathered: &Gathered, view: &View<'_>) -> Vec<String> {
    match gathered.failed().is_empty() {
        true => Vec::new(),
        false => vec![format!("not counted, could not say: {}", gathered.complaints(view.roster))],
    }
}

/// Players whose answer is not that of the first.
fn others_say(gathered: &Gathered, view: &View<'_>) -> Vec<String> {
    let mut good = gathered.iter().filter_map(|(p, a)| a.as_ref().ok().map(|v| (p, v)));
    let Some((_, first)) = good.next() else { return Vec::new() };
    let others: Vec<Index> = good.filter(|(_, v)| *v != first).map(|(p, _)| p).collect();
    match others.is_empty() {
        true => Vec::new(),
        false => vec![format!("parameters are other ones for {}", view.roster.names(&others).join(", "))],
    }
}

/// The text of the first player that has one; players that say something else are named.
fn first_of(gathered: &Gathered, view: &View<'_>, policy: Policy) -> Outcome {
    policy.outcome(gathered, view)?;
    let mut good = gathered.iter().filter_map(|(p, a)| a.as_ref().ok().map(|v| (p, v)));
    let Some((_, first)) = good.next() else {
        return Err(CallError::exception(gathered.complaints(view.roster)));
    };
    let others: Vec<Index> = good.filter(|(_, v)| *v != first).map(|(p, _)| p).collect();
    match first {
        Value::Str(text) if !others.is_empty() => {
            Ok(Value::Str(format!("{text} (other for {})", view.roster.names(&others).join(", "))))
        }
        value => Ok(value.clone()),
    }
}
