//! One trial: up to the phase, the blow, what is heard of it, what becomes of the scan, and a whole observation after it.

use super::cells::{Cell, Fault, Phase};
use super::entries;
use crate::driver::{Call, Driver, Heard};
use crate::processes::{send, wait_for};
use crate::site::{Instrument, Site};
use crate::want::{STARVED_MAX, Want, is_starved, last_scans};
use appliance::sys::clock;
use appliance::units::Utc;
use appliance::value::Value;
use nix::sys::signal::Signal;
use std::time::Duration;

/// Lost players are noticed, found again and known within this, on a busy machine.
const WITHIN: Duration = Duration::from_secs(40);
/// So long after the second of a start everybody takes data, or nobody does.
const JUDGED_AFTER: Duration = Duration::from_secs(5);

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Of the players that live: the scan is there on all (`Some(true)`), or on nobody; `None`: none was asked for.
    pub scan: Option<bool>,
    pub half_started: bool,
    /// Struck after the second, not before it as was meant.
    pub late: bool,
    /// How often its set-up was made again.
    pub again: usize,
    /// What each player had of the scan.
    had: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scan = match (self.half_started, self.scan) {
            (true, _) => "HALF STARTED",
            (_, None) => "no scan was begun",
            (_, Some(true)) => "all the others have the scan",
            (_, Some(false)) => "nobody has the scan",
        };
        write!(f, "{scan}{}{}", if self.late { ", struck late" } else { "" }, self.had)
    }
}

pub struct Trial<'a> {
    site: &'a mut Site,
    driver: &'a mut dyn Driver,
    cell: Cell,
    instrument: Instrument,
    victim: &'static str,
    /// Stopped processes of the victim.
    frozen_daq: Option<u32>,
    again: usize,
}

/// What came of the blow.
#[derive(Default)]
struct Struck {
    /// The second of the scan that was asked for, if one was.
    start: Option<Utc>,
    /// What the reply says of it: all armed, or nobody.
    armed: Option<bool>,
    late: bool,
}

impl<'a> Trial<'a> {
    pub fn new(site: &'a mut Site, driver: &'a mut dyn Driver, cell: Cell) -> Trial<'a> {
        let (instrument, victim) = (cell.victim.instrument(), cell.victim.name());
        Trial { site, driver, cell, instrument, victim, frozen_daq: None, again: 0 }
    }

    pub fn run(mut self) -> Outcome {
        let struck = self.unless_starved(|trial| {
            trial.lead_up()?;
            trial.strike()
        });
        self.while_away();
        if self.cell.fault == Fault::Hang {
            self.site.signal(self.victim, Signal::SIGCONT);
        }
        let mut outcome = struck.start.map(|s| self.judge(s)).unwrap_or_default();
        outcome.late = struck.late;
        if let (Some(said), Some(is)) = (struck.armed, outcome.scan) {
            assert!(said == is || outcome.half_started, "{}: the reply says {said}, {outcome}", self.cell);
        }
        self.bring_back();
        self.unless_starved(Trial::observe_again);
        outcome.again = self.again;
        outcome
    }

    /// Again, from a set-up that is whole, when the machine has no time for players and proxy: they refuse then.
    fn unless_starved<T>(&mut self, what: impl Fn(&mut Self) -> Result<T, String>) -> T {
        loop {
            match what(self) {
                Ok(done) => return done,
                Err(why) if self.again < STARVED_MAX => println!("{}: again: {why}", self.cell),
                Err(why) => panic!("{}: {why}", self.cell),
            }
            self.again += 1;
            self.settle();
        }
    }

    // ------------------------------------------------------------------ calls

    /// Must go well, unless the machine is starved: that is the error.
    fn does(&mut self, call: Call, want: &Want) -> Result<(), String> {
        let heard = self.driver.call(&call);
        match want.misses(&heard, self.instrument.banks()) {
            Ok(()) => Ok(()),
            Err(why) if is_starved(&heard) => Err(format!("{}: {why}: {heard:?}", call.method)),
            Err(why) => panic!("{}: {}: {why}: {heard:?}", self.cell, call.method),
        }
    }

    fn set_mode(&self) -> Call {
        Call::new("set_mode").arg(self.instrument.mode()).arg(false).arg(true)
    }

    fn set_length(&mut self, seconds: f64) -> Result<(), String> {
        let call = Call::new("set_param").with("scan_length", Value::Float(seconds));
        self.does(call, &Want::Each(Value::Bool(true)))
    }

    fn starts(&mut self) -> Result<Utc, String> {
        self.does(Call::new("start"), &Want::Done("Successfully started roach for starttime="))?;
        Ok(self.second_of(self.victim))
    }

    /// The second of the scan that a player runs or is about to.
    fn second_of(&self, name: &str) -> Utc {
        wait_for(&format!("{}: {name} says when its scan begins", self.cell), WITHIN, || {
            let state = self.site.says(name)?;
            utc(state.get("scan")?.get("start")?.as_str()?)
        })
    }

    /// Which of these states it comes to first.
    fn await_state(&self, name: &str, wanted: &[&'static str]) -> &'static str {
        wait_for(&format!("{}: {name} is {wanted:?}", self.cell), WITHIN, || {
            let state = self.site.says(name)?;
            let state = state.get("state")?.as_str()?;
            wanted.iter().copied().find(|w| *w == state)
        })
    }

    /// Checks the answer of the call that was under way.
    fn heard(&self, heard: &Heard) {
        if let Err(why) = entries::of_call(self.cell, heard, self.instrument.banks()) {
            panic!("{}: {why}: {heard:?}", self.cell);
        }
    }

    fn others(&self) -> impl Iterator<Item = &'static str> + use<> {
        let victim = self.victim;
        self.instrument.banks().iter().copied().filter(move |name| *name != victim)
    }

    // ------------------------------------------------------------------ up to the phase, and the blow

    fn lead_up(&mut self) -> Result<(), String> {
        // What a player had before is what it is known to lack when it comes back.
        self.does(self.set_mode(), &Want::Done("New mode"))?;
        if self.cell.phase >= Phase::Preparing {
            self.set_length(self.cell.phase.scan_length_s())?;
        }
        if self.cell.phase >= Phase::Starting {
            self.does(Call::new("prepare"), &Want::Each(Value::Null))?;
        }
        Ok(())
    }

    /// When the blow came.
    fn hit(&mut self) -> Utc {
        match self.cell.fault {
            Fault::Hang => self.site.signal(self.victim, Signal::SIGSTOP),
            Fault::Kill | Fault::Restart => self.site.kill(self.victim),
        }
        let at = clock::now().utc;
        if self.cell.fault == Fault::Restart {
            self.site.restart(self.victim);
        }
        if let Some(pid) = self.frozen_daq.take() {
            send(pid, Signal::SIGCONT);
        }
        at
    }

    fn strike(&mut self) -> Result<Struck, String> {
        let call = Call::new;
        match self.cell.phase {
            Phase::BeforeSetMode => {
                self.hit();
                let heard = self.driver.call(&self.set_mode());
                self.heard(&heard);
            }
            Phase::SettingMode => {
                self.freeze_daq();
                self.driver.begin(&self.set_mode());
                self.await_state(self.victim, &["SETTING_MODE"]);
                self.hit_and_hear();
            }
            Phase::BeforeSetParam => {
                self.hit();
                let heard = self.driver.call(&call("set_param").with("scan_length", Value::Float(5.0)));
                self.heard(&heard);
            }
            Phase::Preparing => self.strike_unanswered(&call("prepare")),
            Phase::Starting => {
                self.driver.begin(&call("start"));
                let start = self.second_of(self.victim);
                self.hit_and_hear();
                return Ok(Struck { start: Some(start), armed: Some(false), late: false });
            }
            Phase::Armed => return self.strike_armed(),
            Phase::Scanning | Phase::Waiting | Phase::Stopping => {
                let start = self.strike_scan()?;
                return Ok(Struck { start: Some(start), ..Struck::default() });
            }
        }
        Ok(Struck::default())
    }

    fn hit_and_hear(&mut self) {
        self.hit();
        let heard = self.driver.finish();
        self.heard(&heard);
    }

    /// Its DAQ program does not end, so that a mode change takes its time.
    fn freeze_daq(&mut self) {
        let state = self.site.says(self.victim).expect("it answers");
        let pid = state.get("programs").and_then(|p| p.get("daq")).and_then(|d| d.get("pid"));
        let Some(Value::Int(pid)) = pid else { panic!("{}: it has no DAQ program: {state}", self.cell) };
        let pid = u32::try_from(*pid).expect("a process id");
        send(pid, Signal::SIGSTOP);
        self.frozen_daq = Some(pid);
    }

    /// The call is on its way to the victim, which does not answer any more.
    fn strike_unanswered(&mut self, asked: &Call) {
        self.site.signal(self.victim, Signal::SIGSTOP);
        let since = clock::now().utc;
        self.driver.begin(asked);
        wait_for("the proxy is asked", WITHIN, || self.site.was_asked(asked.method, since).then_some(()));
        self.hit_and_hear();
    }

    fn strike_armed(&mut self) -> Result<Struck, String> {
        self.driver.begin(&Call::new("start"));
        let start = self.second_of(self.victim);
        let state = self.await_state(self.victim, &["SCANNING", "READY"]);
        let at = if state == "SCANNING" { Some(self.hit()) } else { None };
        let heard = self.driver.finish();
        let armed = entries::armed_alike(&heard, self.instrument.banks());
        let armed = armed.unwrap_or_else(|why| panic!("{}: {why}: {heard:?}", self.cell));
        let Some(at) = at else { return Err(format!("it was not armed: {heard:?}")) };
        Ok(Struck { start: Some(start), armed: Some(armed), late: at >= start })
    }

    fn strike_scan(&mut self) -> Result<Utc, String> {
        let start = self.starts()?;
        wait_until(start + Duration::from_millis(300));
        match self.cell.phase {
            Phase::Scanning => {
                self.hit();
            }
            Phase::Waiting => {
                let since = clock::now().utc;
                let wait = Call::new("wait_for_scan").with("timeout_s", Value::Float(60.0));
                self.driver.begin(&wait);
                wait_for("the proxy waits", WITHIN, || self.site.was_asked(wait.method, since).then_some(()));
                self.hit_and_hear();
            }
            _ => {
                self.site.signal(self.victim, Signal::SIGSTOP);
                self.driver.begin(&Call::new("stop"));
                for name in self.others() {
                    self.await_state(name, &["READY"]);
                }
                self.hit_and_hear();
            }
        }
        Ok(start)
    }

    // ------------------------------------------------------------------ what is heard of it, and of the scan

    /// Reads answer for everybody; nobody can be started without it.
    fn while_away(&mut self) {
        if self.cell.fault == Fault::Restart {
            return;
        }
        let heard = self.driver.call(&Call::new("scan_status"));
        if let Err(why) = entries::of_status(self.cell, &heard, self.instrument.banks()) {
            panic!("{}: {why}: {heard:?}", self.cell);
        }
        if self.cell.phase <= Phase::Preparing {
            let heard = self.driver.call(&Call::new("start"));
            let refused = Want::Refused("not started: ").misses(&heard, self.instrument.banks());
            refused.unwrap_or_else(|why| panic!("{}: start without it: {why}: {heard:?}", self.cell));
            for name in self.others() {
                let state = self.site.says(name).unwrap_or_default();
                assert!(state.get("scan") == Some(&Value::Null), "{}: {name}: {state}", self.cell);
            }
        }
    }

    fn judge(&self, start: Utc) -> Outcome {
        wait_until(start + JUDGED_AFTER);
        // A victim that was stopped for a while is one of them; one that was started again has lost it.
        let whole: Vec<&str> = match self.cell.fault {
            Fault::Hang => self.instrument.banks().to_vec(),
            _ => self.others().collect(),
        };
        let seen: Vec<(&str, Option<Value>)> =
            whole.iter().map(|name| (*name, self.site.says(name))).collect();
        let has: Vec<bool> =
            seen.iter().map(|(_, s)| s.as_ref().is_some_and(|s| has_scan(s, start))).collect();
        let back = match self.cell.fault {
            Fault::Restart => self.site.says(self.victim).is_some_and(|s| has_scan(&s, start)),
            _ => false,
        };
        let half_started = has.iter().any(|h| *h != has[0]) || back;
        let wanted = match self.cell.phase {
            Phase::Scanning | Phase::Waiting => Some(true),
            Phase::Starting | Phase::Stopping => Some(false),
            _ => None,
        };
        let had: Vec<String> = seen.iter().map(|(name, s)| format!("{name} {}", told(s.as_ref()))).collect();
        assert!(wanted.is_none_or(|w| w == has[0]) || half_started, "{}: {had:?}", self.cell);
        let had = if half_started { format!(": {had:?}") } else { String::new() };
        Outcome { scan: Some(has[0]), half_started, had, ..Outcome::default() }
    }

    // ------------------------------------------------------------------ afterwards

    fn bring_back(&mut self) {
        if self.cell.fault == Fault::Kill {
            self.site.restart(self.victim);
        }
        self.site.await_all_up(WITHIN);
        let state = self.site.says(self.victim).expect("it is up");
        if self.cell.fault != Fault::Hang && state.get("mode") == Some(&Value::Null) {
            wait_for(&format!("{}: it is said to need its mode", self.cell), WITHIN, || {
                self.site.player(self.victim).get("needs_setup").cloned()
            });
        }
        self.settle();
    }

    /// Everybody is there, and nobody runs.
    fn settle(&mut self) {
        self.site.await_all_up(WITHIN);
        let heard = self.driver.call(&Call::new("stop")).expect("no error");
        assert!(matches!(heard, Value::Map(_)), "{}: stop: {heard}", self.cell);
        wait_for("nobody runs", WITHIN, || self.site.nobody_runs().then_some(()));
    }

    /// The player can be set up again, and is one of all.
    fn observe_again(&mut self) -> Result<(), String> {
        self.does(self.set_mode(), &Want::Done("New mode"))?;
        self.set_length(1.0)?;
        self.does(Call::new("prepare"), &Want::Each(Value::Null))?;
        self.starts()?;
        self.does(Call::new("wait_for_scan").with("timeout_s", Value::Float(60.0)), &Want::Over)?;
        let whole = last_scans(self.site, self.instrument, "complete");
        whole.unwrap_or_else(|why| panic!("{}: {why}", self.cell));
        Ok(())
    }
}

/// It takes data for this second, or has taken them to the end.
fn has_scan(state: &Value, start: Utc) -> bool {
    let of = |scan: &str| state.get(scan).filter(|s| s.get("start") == Some(&start.to_string().into()));
    let runs = of("scan").is_some() && state.get("state") == Some(&"SCANNING".into());
    runs || of("last_scan").is_some_and(|s| s.get("ended") == Some(&"complete".into()))
}

fn told(state: Option<&Value>) -> String {
    let part = |key: &str| state.and_then(|s| s.get(key)).map(Value::to_string).unwrap_or_default();
    format!("{} scan {} last {}", part("state"), part("scan"), part("last_scan"))
}

fn wait_until(at: Utc) {
    let left = at.nanos_since(clock::now().utc).max(0) as u64;
    wait_for("that time", Duration::from_nanos(left) + WITHIN, || (clock::now().utc >= at).then_some(()));
}

/// `2026-11-21 02:36:11`
fn utc(text: &str) -> Option<Utc> {
    let numbers: Vec<u32> = text.split(['-', ' ', ':']).filter_map(|n| n.parse().ok()).collect();
    let [year, month, day, hour, minute, second] = numbers[..] else { return None };
    let year = i64::from(year);
    let civil = appliance::units::Civil { year, month, day, hour, minute, second, microsecond: 0 };
    Utc::from_civil(civil)
}
