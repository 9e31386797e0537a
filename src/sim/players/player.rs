//! One simulated player: calls in, answers out, now or when their time has come.
//!
//! ```text
//!   NO_MODE ──set_mode──► SETTING_MODE ──mode time──► READY ──start──► STARTING ──S - 0.9 s──► SCANNING ──┐
//!                                                       ▲                 └────────stop────┬──length──────┘
//!                                                       └──────────────────────────────────┘
//! ```

use super::fault::{Fate, Fault, Faults};
use crate::api::bind::{Bound, bind};
use crate::api::table::Table;
use crate::api::{Call, CallError, ErrorClass, Method, Outcome, builtin};
use crate::dealer::start::{seven, utc_of};
use crate::player::methods;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A start sooner than this is refused, and `earliest_start` says two seconds more.
const ARM_DELAY: Duration = Duration::from_secs(3);
/// It has armed so long before the start.
const ARM_BEFORE: Duration = Duration::from_millis(900);
/// Length of a scan unless `scan_length` says otherwise, seconds.
const SCAN_LENGTH: f64 = 30.0;
/// The modes it has.
const MODES: [&str; 3] = ["MODE1", "MODE2", "MODE3"];
/// Parameters and status keys that are kept; more are refused.
const NAMES_MAX: usize = 1024;

/// Names an open call; the owner's.
pub type Caller = (u64, u64);

/// What it does.
#[derive(Clone, Debug, PartialEq)]
enum Doing {
    NoMode,
    Ready,
    SettingMode { mode: String, until: Mono, caller: Option<Caller> },
    Starting { start: Utc, armed: Mono, caller: Option<Caller> },
    Scanning { start: Utc, until: Mono },
}

/// What the owner has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Answer a call.
    Reply(Caller, Outcome),
    /// End the connection of a call.
    Kill(Caller),
    /// Tell subscribers of `player_state`.
    Changed,
}

/// A simulated player.
#[derive(Debug)]
pub struct SimPlayer {
    name: String,
    table: Table,
    doing: Doing,
    since: Utc,
    mode: Option<String>,
    mode_takes: Duration,
    params: BTreeMap<String, Value>,
    status: BTreeMap<String, Value>,
    scan_number: i64,
    last_scan: Value,
    faults: Faults,
    /// Answers that come later, earliest first.
    late: VecDeque<(Mono, Output)>,
    out: VecDeque<Output>,
}

impl SimPlayer {
    /// Of this name, with a mode set or none; `mode_takes`: how long `set_mode` does.
    pub fn new(
        name: &str,
        mode: Option<&str>,
        mode_takes: Duration,
        faults: &[Fault],
        seed: u64,
    ) -> SimPlayer {
        SimPlayer {
            name: name.to_owned(),
            table: methods::table(),
            doing: if mode.is_some() { Doing::Ready } else { Doing::NoMode },
            since: Utc(0),
            mode: mode.map(str::to_owned),
            mode_takes,
            params: BTreeMap::new(),
            status: BTreeMap::from([("BANKNAM".to_owned(), Value::from(name))]),
            scan_number: 0,
            last_scan: Value::Null,
            faults: Faults::of(name, faults, seed),
            late: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    /// Its methods.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// A call has come.
    pub fn call(&mut self, caller: Caller, call: Call, now: Now) {
        let method = call.method.clone();
        let outcome = match self.faults.fate_of(&method) {
            Fate::Killed => return self.out.push_back(Output::Kill(caller)),
            Fate::Refused => Some(Ok(Value::verdict(false, format!("{method} is refused: simulated fault")))),
            Fate::Raised => Some(Err(CallError::exception(format!("{method} failed: simulated fault")))),
            // Done, and whoever waits for the answer waits on.
            Fate::Silent => self.bound(None, call, now).and(None),
            Fate::Fine => self.bound(Some(caller), call, now),
        };
        if let Some(outcome) = outcome {
            self.answer(Some(caller), outcome, now);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        match self.doing.clone() {
            Doing::SettingMode { mode, until, caller } if now.mono >= until => {
                self.mode = Some(mode.clone());
                self.go(Doing::Ready, now);
                self.answer(caller, Ok(Value::verdict(true, format!("{mode} is set."))), now);
            }
            Doing::Starting { start, armed, caller } if now.mono >= armed => {
                let length = self.params.get("scan_length").and_then(Value::as_f64).unwrap_or(SCAN_LENGTH);
                let length = Duration::try_from_secs_f64(length).unwrap_or(Duration::from_secs(1));
                self.go(Doing::Scanning { start, until: mono_of(start, now) + length }, now);
                let text = format!("Successfully started for starttime={start}");
                self.answer(caller, Ok(Value::verdict(true, text)), now);
            }
            Doing::Scanning { start, until } if now.mono >= until => self.ended(start, "complete", now),
            _ => {}
        }
        while self.late.front().is_some_and(|(due, _)| now.mono >= *due) {
            self.out.extend(self.late.pop_front().map(|(_, output)| output));
        }
    }

    /// When to call [`SimPlayer::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let own = match &self.doing {
            Doing::NoMode | Doing::Ready => None,
            Doing::SettingMode { until, .. } | Doing::Scanning { until, .. } => Some(*until),
            Doing::Starting { armed, .. } => Some(*armed),
        };
        own.into_iter().chain(self.late.front().map(|(due, _)| *due)).min()
    }

    /// Drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// `player_state`.
    pub fn state(&self, now: Now) -> Value {
        let (name, scan) = match &self.doing {
            Doing::NoMode => ("NO_MODE", None),
            Doing::Ready => ("READY", None),
            Doing::SettingMode { .. } => ("SETTING_MODE", None),
            Doing::Starting { start, .. } => ("STARTING", Some(*start)),
            Doing::Scanning { start, .. } => ("SCANNING", Some(*start)),
        };
        let scan = scan.map(|start| {
            Value::Map(vec![
                ("number".into(), Value::Int(self.scan_number)),
                ("start".into(), start.to_string().into()),
                ("remaining_s".into(), Value::Int(self.left(now).as_secs() as i64)),
            ])
        });
        Value::Map(vec![
            ("bank".into(), self.name.as_str().into()),
            ("state".into(), name.into()),
            ("since".into(), self.since.to_string().into()),
            ("utc_ns".into(), Value::Int(now.utc.0)),
            ("simulate".into(), true.into()),
            ("mode".into(), self.mode.as_deref().map_or(Value::Null, Value::from)),
            ("scan_number".into(), Value::Int(self.scan_number)),
            ("scan".into(), scan.unwrap_or(Value::Null)),
            ("last_scan".into(), self.last_scan.clone()),
            ("warnings".into(), Value::List(Vec::new())),
            ("last_error".into(), Value::Null),
        ])
    }

    // ------------------------------------------------------------------ calls

    /// `None`: answered later.
    fn bound(&mut self, caller: Option<Caller>, call: Call, now: Now) -> Option<Outcome> {
        let found = self.table.find(&call.interface, &call.method);
        let bound = found.and_then(|method| Ok((method, bind(method, call)?)));
        match bound {
            Ok((method, bound)) if method.interface == builtin::INTERFACE => {
                Some(builtin::answer(&self.table, method, &bound))
            }
            Ok((method, bound)) => self.take(caller, method, &bound, now),
            Err(error) => Some(Err(error)),
        }
    }

    fn take(
        &mut self,
        caller: Option<Caller>,
        method: &'static Method,
        bound: &Bound,
        now: Now,
    ) -> Option<Outcome> {
        let done = || Some(Ok(Value::verdict(true, "done (simulated)")));
        let no = |text: &str| Some(Ok(Value::verdict(false, text)));
        match (method.interface, method.name) {
            ("bank", "player_state") => Some(Ok(self.state(now))),
            ("bank", "get_mode") => Some(Ok(self.mode.as_deref().map_or(Value::Null, Value::from))),
            ("bank", "list_modes") => Some(Ok(Value::List(MODES.map(Value::from).to_vec()))),
            ("bank", "scan_status") => Some(Ok(self.scan_status())),
            ("bank", "earliest_start") => {
                let at = now.utc.ceil_second() + ARM_DELAY + Duration::from_secs(2);
                Some(Ok(Value::List(vec![Value::Bool(true), seven(at)])))
            }
            ("bank", "get_param") => Some(Ok(named(&self.params, bound.value("name")))),
            ("bank", "get_status") => Some(Ok(named(&self.status, bound.value("keys")))),
            ("bank", "set_param") => Some(keep(&mut self.params, bound.keywords(), Value::Bool(true))),
            ("bank", "set_status") => Some(keep(&mut self.status, bound.keywords(), Value::Null)),
            ("bank", "set_scan_number") => {
                self.scan_number = bound.int("num").unwrap_or_default();
                Some(Ok(Value::Null))
            }
            ("bank", "increment_scan_number") => {
                self.scan_number = self.scan_number.saturating_add(1);
                Some(Ok(Value::Null))
            }
            ("bank", "would" | "prepare" | "monitor") => done(),
            ("bank", "set_mode") => match (&self.doing, bound.text("mode")) {
                (Doing::NoMode | Doing::Ready, Some(mode)) if MODES.contains(&mode) => {
                    let until = now.mono + self.mode_takes;
                    self.go(Doing::SettingMode { mode: mode.to_owned(), until, caller }, now);
                    None
                }
                (Doing::NoMode | Doing::Ready, _) => no("Mode is not supported."),
                _ => no("The player is busy."),
            },
            ("bank", "start") => self.start(caller, bound.value("starttime"), now),
            ("bank", "stop") => match self.doing {
                Doing::Starting { start, caller, .. } => {
                    self.answer(caller, Ok(Value::verdict(false, "stopped")), now);
                    self.ended(start, "stopped", now);
                    done()
                }
                Doing::Scanning { start, .. } => {
                    self.ended(start, "stopped", now);
                    done()
                }
                _ => no("No scan is running."),
            },
            (interface, name) => {
                let class = ErrorClass::NotImplementedError;
                let text = format!("{interface}.{name} is not simulated");
                Some(Err(CallError::new(class, class.usual_family(), text)))
            }
        }
    }

    fn start(&mut self, caller: Option<Caller>, at: &Value, now: Now) -> Option<Outcome> {
        let earliest = now.utc.ceil_second() + ARM_DELAY;
        let start = if *at == Value::Null { Some(earliest) } else { utc_of(at) };
        match (&self.doing, start) {
            (Doing::Ready, Some(start)) if start >= earliest => {
                let armed = mono_of(start, now).since(Mono(0)).saturating_sub(ARM_BEFORE);
                self.go(Doing::Starting { start, armed: Mono(0) + armed, caller }, now);
                None
            }
            (Doing::Ready, Some(_)) => Some(Err(CallError::exception("Not enough time to arm ROACH."))),
            (Doing::Ready, None) => Some(Err(CallError::value_error("starttime must be a time of UTC"))),
            (Doing::NoMode, _) => Some(Ok(Value::verdict(false, "No mode is set."))),
            _ => Some(Ok(Value::verdict(false, "Scan already started."))),
        }
    }

    fn scan_status(&self) -> Value {
        let running = matches!(self.doing, Doing::Scanning { .. });
        Value::List(vec![
            Value::Bool(running),
            (if running { "NETSTAT=receiving" } else { "NETSTAT=waiting" }).into(),
            (if running { "DISKSTAT=writing" } else { "DISKSTAT=waiting" }).into(),
        ])
    }

    /// Of the scan it runs.
    fn left(&self, now: Now) -> Duration {
        match &self.doing {
            Doing::Scanning { until, .. } => until.since(now.mono),
            _ => Duration::ZERO,
        }
    }

    fn go(&mut self, doing: Doing, now: Now) {
        self.doing = doing;
        self.since = now.utc;
        self.out.push_back(Output::Changed);
    }

    fn ended(&mut self, start: Utc, how: &str, now: Now) {
        self.last_scan =
            Value::Map(vec![("start".into(), start.to_string().into()), ("ended".into(), how.into())]);
        self.go(Doing::Ready, now);
    }

    /// To nobody, if the call was to have no answer.
    fn answer(&mut self, caller: Option<Caller>, outcome: Outcome, now: Now) {
        let Some(caller) = caller else { return };
        let output = Output::Reply(caller, outcome);
        let delay = self.faults.delay();
        if delay.is_zero() {
            return self.out.push_back(output);
        }
        let due = now.mono + delay;
        let at = self.late.partition_point(|(other, _)| *other <= due);
        self.late.insert(at, (due, output));
    }
}

/// When it is `start` on the monotonic clock.
fn mono_of(start: Utc, now: Now) -> Mono {
    now.mono + Duration::from_nanos(start.nanos_since(now.utc).max(0).unsigned_abs())
}

/// The value of a name, an object of several, or of all.
fn named(of: &BTreeMap<String, Value>, names: &Value) -> Value {
    let pair = |name: &str| of.get(name).map(|v| (name.to_owned(), v.clone()));
    match names {
        Value::Str(name) => of.get(name).cloned().unwrap_or(Value::Null),
        Value::List(names) => Value::Map(names.iter().filter_map(|n| pair(n.as_str()?)).collect()),
        _ => Value::Map(of.iter().map(|(name, v)| (name.clone(), v.clone())).collect()),
    }
}

fn keep(of: &mut BTreeMap<String, Value>, new: &[(String, Value)], reply: Value) -> Outcome {
    if of.len() + new.len() > NAMES_MAX {
        return Err(CallError::exception(format!("a simulated player keeps {NAMES_MAX} names")));
    }
    of.extend(new.iter().cloned());
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dealer::procedure::bank;

    fn at(seconds: f64) -> Now {
        Now { mono: Mono((seconds * 1e9) as u64), utc: Utc((seconds * 1e9) as i64) }
    }

    fn player(faults: &[&str]) -> SimPlayer {
        let faults: Vec<Fault> = faults.iter().map(|t| t.parse().expect("a fault")).collect();
        SimPlayer::new("SIM01", Some("MODE1"), Duration::from_millis(500), &faults, 1)
    }

    /// What it says to a call, now.
    fn said(player: &mut SimPlayer, method: &str, args: Vec<Value>, now: Now) -> Vec<Output> {
        player.call((1, 1), bank(method, args), now);
        std::iter::from_fn(|| player.poll()).filter(|o| *o != Output::Changed).collect()
    }

    fn state(player: &SimPlayer, now: Now) -> String {
        player.state(now).get("state").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_scan_from_start_to_end() {
        let mut player = player(&[]);
        let start = seven(at(10.0).utc);
        assert_eq!(said(&mut player, "start", vec![start], at(1.0)), [], "answered when it has armed");
        assert_eq!(player.deadline(), Some(at(9.1).mono));
        player.tick(at(9.0));
        assert_eq!(state(&player, at(9.0)), "STARTING");
        player.tick(at(9.1));
        let answers: Vec<Output> = std::iter::from_fn(|| player.poll()).collect();
        assert!(matches!(&answers[..], [Output::Changed, Output::Reply((1, 1), Ok(_))]), "{answers:?}");
        assert_eq!(player.deadline(), Some(at(40.0).mono));
        player.tick(at(40.0));
        assert_eq!(state(&player, at(40.0)), "READY");
        assert_eq!(
            player.state(at(40.0)).get("last_scan").and_then(|s| s.get("ended")),
            Some(&"complete".into())
        );
    }

    #[test]
    fn stop_answers_the_start_too() {
        let mut player = player(&[]);
        said(&mut player, "start", vec![seven(at(10.0).utc)], at(1.0));
        let answers = said(&mut player, "stop", vec![], at(2.0));
        assert_eq!(answers.len(), 2, "{answers:?}");
        assert_eq!((state(&player, at(2.0)).as_str(), player.deadline()), ("READY", None));
        let late = said(&mut player, "start", vec![seven(at(5.0).utc)], at(3.0));
        assert!(matches!(&late[..], [Output::Reply(_, Err(_))]), "{late:?}");
    }

    #[test]
    fn what_was_set_is_read_back() {
        let mut player = player(&[]);
        let call = Call { kwargs: vec![("exposure".into(), Value::Float(0.5))], ..bank("set_param", vec![]) };
        player.call((1, 1), call, at(0.0));
        assert_eq!(player.poll(), Some(Output::Reply((1, 1), Ok(Value::Bool(true)))));
        let read = said(&mut player, "get_param", vec!["exposure".into()], at(0.0));
        assert_eq!(read, [Output::Reply((1, 1), Ok(Value::Float(0.5)))]);
        assert_eq!(said(&mut player, "set_mode", vec!["MODE2".into()], at(0.0)), []);
        player.tick(at(0.5));
        assert_eq!(
            said(&mut player, "get_mode", vec![], at(0.5)).last(),
            Some(&Output::Reply((1, 1), Ok("MODE2".into())))
        );
    }

    #[test]
    fn it_misbehaves_as_it_is_told() {
        let get = |faults: &[&str]| said(&mut player(faults), "get_mode", vec![], at(0.0));
        assert_eq!(get(&["kill=get_mode"]), [Output::Kill((1, 1))]);
        assert_eq!(get(&["silent=*"]), []);
        assert!(matches!(&get(&["raise=get_mode"])[..], [Output::Reply(_, Err(_))]));
        assert_eq!(get(&["SIM07/raise=get_mode"]), [Output::Reply((1, 1), Ok("MODE1".into()))]);
        let mut slow = player(&["delay=250"]);
        assert_eq!(said(&mut slow, "get_mode", vec![], at(0.0)), []);
        assert_eq!(slow.deadline(), Some(at(0.25).mono));
        slow.tick(at(0.25));
        assert_eq!(slow.poll(), Some(Output::Reply((1, 1), Ok("MODE1".into()))));
    }

    #[test]
    fn a_silent_start_is_carried_out() {
        let mut player = player(&["silent=start"]);
        assert_eq!(said(&mut player, "start", vec![seven(at(10.0).utc)], at(1.0)), []);
        player.tick(at(9.1));
        assert_eq!((player.poll(), player.poll()), (Some(Output::Changed), None));
        assert_eq!(state(&player, at(9.1)), "SCANNING");
    }
}
