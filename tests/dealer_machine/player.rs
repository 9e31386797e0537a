//! One simulated player with its link: ours, which answers while it works, or one like the reference's, which does one
//! call after the other and is blocked until it has armed.

use appliance::api::{Call, CallError, Outcome};
use appliance::config::settings::LeaseRule;
use appliance::dealer::messages::{AskId, Kind, RemoteMethod};
use appliance::dealer::start::{seven, utc_of};
use appliance::node::leases::Leases;
use appliance::player::methods::{BANK, SCANS};
use appliance::units::{Now, Utc};
use appliance::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// A start sooner than this is refused.
pub const ARM_DELAY: Duration = Duration::from_secs(3);
/// Arming begins so long before the start.
pub const ARM_BEFORE: Duration = Duration::from_millis(900);
/// How long a mode takes.
pub const MODE_TAKES: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doing {
    NoMode,
    Ready,
    SettingMode,
    Starting(Utc),
    Scanning(Utc),
}

/// What becomes of a call that was taken.
pub enum Taken {
    Now(Outcome),
    /// Answered when the mode is set.
    Mode(String),
    /// Answered when it has armed.
    Arming(Utc),
}

pub struct Player {
    pub kind: Kind,
    pub doing: Doing,
    pub mode: Option<String>,
    /// Counts restarts: what an earlier life meant to do is not done.
    pub life: u32,
    /// Counts connections: answers of an earlier one reach nobody.
    pub wire: u32,
    pub up: bool,
    pub hung: bool,
    /// How far its clock is ahead of the dealer's, nanoseconds.
    pub clock_ns: i64,
    /// A reference player works on this call and takes no other.
    pub busy: bool,
    pub backlog: VecDeque<(u32, AskId, Call)>,
    /// The start that has not been answered.
    pub arming: Option<(u32, AskId)>,
    /// Everything it was asked to do and took, in order.
    pub took: Vec<Call>,
    pub last_scan: Value,
    pub scan_number: Value,
    /// What it says of its packets.
    pub net: &'static str,
    /// Who has control of it; a restart ends that.
    pub leases: Leases,
    /// The lease a connection has.
    lease_of: (u32, Option<String>),
}

impl Player {
    pub fn new(kind: Kind, mode: Option<&str>) -> Player {
        Player {
            kind,
            doing: if mode.is_some() { Doing::Ready } else { Doing::NoMode },
            mode: mode.map(str::to_owned),
            life: 0,
            wire: 0,
            up: false,
            hung: false,
            clock_ns: 0,
            busy: false,
            backlog: VecDeque::new(),
            arming: None,
            took: Vec::new(),
            last_scan: Value::Null,
            scan_number: Value::Int(1),
            net: "NETSTAT=receiving",
            leases: Leases::new(LeaseRule::Cooperative),
            lease_of: (0, None),
        }
    }

    pub fn utc(&self, now: Now) -> Utc {
        Utc(now.utc.0 + self.clock_ns)
    }

    pub fn methods(&self) -> Vec<RemoteMethod> {
        let ours: &[&str] = if self.kind == Kind::Ours { &["would", "player_state"] } else { &[] };
        let all = ["set_mode", "get_mode", "start", "stop", "earliest_start", "scan_status", "set_param"];
        let one = |interface: &str, name: &str| RemoteMethod {
            interface: interface.into(),
            description: Value::Map(vec![("name".into(), name.into())]),
        };
        let bank = all.iter().chain(ours).map(|name| one("bank", name));
        bank.chain(std::iter::once(one("bank.roach", "progdev"))).collect()
    }

    /// What its link says of it.
    pub fn state(&self, now: Now) -> Value {
        let (name, scan) = match self.doing {
            Doing::NoMode => ("NO_MODE", None),
            Doing::Ready => ("READY", None),
            Doing::SettingMode => ("SETTING_MODE", None),
            Doing::Starting(at) => ("STARTING", Some(at)),
            Doing::Scanning(at) => ("SCANNING", Some(at)),
        };
        let mode = self.mode.as_deref().map_or(Value::Null, Value::from);
        let mut all = vec![("mode".to_owned(), mode), ("state".to_owned(), name.into())];
        if self.kind == Kind::Ours {
            let scan = scan.map(|at| Value::Map(vec![("start".into(), at.to_string().into())]));
            all.push(("scan".into(), scan.unwrap_or(Value::Null)));
            all.push(("last_scan".into(), self.last_scan.clone()));
            all.push(("scan_number".into(), self.scan_number.clone()));
            all.push(("lease".into(), self.leases.describe(now)));
        }
        Value::Map(all)
    }

    /// What `rpc` says on this connection, and what is refused for want of a lease.
    fn at_the_desk(&mut self, call: &Call, wire: u32, now: Now) -> Option<Outcome> {
        if self.lease_of.0 != wire {
            self.lease_of = (wire, None);
        }
        let token = self.lease_of.1.clone();
        let text = |n: usize| call.args.get(n).and_then(Value::as_str).unwrap_or_default();
        let seconds = |n: usize| call.args.get(n).and_then(Value::as_f64).expect("seconds");
        if call.interface != "rpc" {
            let method = BANK.iter().chain(SCANS).find(|m| m.name == call.method)?;
            return self.leases.admit(method, token.as_deref(), now).err().map(Err);
        }
        let lease = match call.method.as_str() {
            "acquire" => self.leases.acquire(text(0), seconds(1), text(2), token.as_deref(), now),
            "renew" => self.leases.renew(text(0), seconds(1), now),
            "release" => return Some(Ok(Value::Bool(self.leases.release(text(0), now).is_some()))),
            other => return Some(Err(CallError::key_error(other))),
        };
        Some(lease.map(|lease| {
            self.lease_of.1 = Some(lease.token.clone());
            let Value::Map(mut fields) = lease.granted(now) else { panic!("an object") };
            fields.push(("rule".into(), self.leases.rule().name().into()));
            Value::Map(fields)
        }))
    }

    /// Does a call that came on this connection.
    pub fn take(&mut self, call: &Call, wire: u32, now: Now) -> Taken {
        if self.kind == Kind::Ours
            && let Some(outcome) = self.at_the_desk(call, wire, now)
        {
            return Taken::Now(outcome);
        }
        self.took.push(call.clone());
        let yes = |text: &str| Taken::Now(Ok(Value::verdict(true, text)));
        let no = |text: &str| Taken::Now(Ok(Value::verdict(false, text)));
        match call.method.as_str() {
            "get_mode" => Taken::Now(Ok(self.mode.as_deref().map_or(Value::Null, Value::from))),
            "earliest_start" => {
                let at = self.utc(now).ceil_second() + ARM_DELAY + Duration::from_secs(2);
                Taken::Now(Ok(Value::List(vec![Value::Bool(true), seven(at)])))
            }
            "scan_status" => {
                let running = matches!(self.doing, Doing::Scanning(_));
                Taken::Now(Ok(Value::List(vec![Value::Bool(running), self.net.into(), "DISKSTAT=x".into()])))
            }
            "set_mode" => match call.args.first().and_then(Value::as_str) {
                Some(_) if matches!(self.doing, Doing::Starting(_) | Doing::Scanning(_)) => no("scanning"),
                Some(mode) if self.mode.as_deref() == Some(mode) && call.args.len() < 3 => {
                    no(&format!("Mode {mode} is already set! Use 'force=True' to force."))
                }
                Some(mode) => {
                    self.doing = Doing::SettingMode;
                    Taken::Mode(mode.to_owned())
                }
                None => no("no mode"),
            },
            "start" => {
                let Some(start) = call.args.first().and_then(utc_of) else { return no("no time") };
                match self.doing {
                    Doing::Ready if start < self.utc(now).ceil_second() + ARM_DELAY => {
                        Taken::Now(Err(CallError::exception("Not enough time to arm ROACH.")))
                    }
                    Doing::Ready => {
                        self.doing = Doing::Starting(start);
                        Taken::Arming(start)
                    }
                    _ => no("Scan already started."),
                }
            }
            "set_scan_number" => {
                self.scan_number = call.args.first().cloned().unwrap_or(Value::Null);
                Taken::Now(Ok(Value::Null))
            }
            "stop" => match self.doing {
                Doing::Starting(at) | Doing::Scanning(at) => {
                    self.end(at, "stopped");
                    yes("stopped")
                }
                _ => no("not scanning"),
            },
            _ => yes("done"),
        }
    }

    pub fn end(&mut self, start: Utc, how: &str) {
        self.doing = Doing::Ready;
        self.last_scan =
            Value::Map(vec![("start".into(), start.to_string().into()), ("ended".into(), how.into())]);
    }

    /// Is it scanning, or about to?
    pub fn runs(&self) -> bool {
        matches!(self.doing, Doing::Starting(_) | Doing::Scanning(_))
    }

    pub fn counted(&self, method: &str) -> usize {
        self.took.iter().filter(|c| c.method == method).count()
    }
}
