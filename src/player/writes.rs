//! The list of what was written to hardware: registers, gateware, network cores, I2C, synthesizer.
//!
//! Bounded, newest last. The player hands every finished part of it to the record, and takes up the end of the
//! record when it begins.

use super::applied::{Content, hex};
use super::bank::FpgaKey;
use crate::fpga::{FpgaError, FpgaOp};
use crate::proto::valon::order::Order;
use crate::units::Utc;
use crate::value::Value;
use std::collections::{HashMap, VecDeque};

/// Writes kept; the oldest go first.
pub const KEPT_MAX: usize = 2000;

/// What is written where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `register acc_len`, `gateware`, `I2C 0x38`, `synthesizer`, ...
    pub target: String,
    /// The value in words.
    pub value: String,
    /// It is read back: success means that it is there.
    pub verifies: bool,
}

impl Target {
    /// Of an order to the board; `None`: it changes nothing, or is a raw request that nobody can judge.
    pub fn of(op: &FpgaOp) -> Option<Target> {
        let target = |target: String, value: String, verifies| Some(Target { target, value, verifies });
        match op {
            FpgaOp::Write { register, offset, data, verify } => {
                let at = if *offset == 0 { String::new() } else { format!(" at offset {offset}") };
                target(format!("register {register}{at}"), Content::of(data).text, *verify)
            }
            FpgaOp::WriteChanged { words, blobs } => {
                let words = words.iter().map(|(name, value)| format!("{name}=0x{value:08x}"));
                let blobs = blobs.iter().map(|(name, data)| format!("{name}={}", Content::of(data).text));
                target("registers".into(), words.chain(blobs).collect::<Vec<_>>().join(" "), true)
            }
            FpgaOp::Program { image } => {
                target("gateware".into(), image.clone().unwrap_or_else(|| "deprogrammed".into()), false)
            }
            FpgaOp::TapStart { device, mac, ip, port, .. } => {
                target(format!("10 GbE core {device}"), format!("{ip}:{port}, MAC {mac:012x}"), false)
            }
            FpgaOp::TapStop { tap } => target(format!("tap {tap}"), "stopped".into(), false),
            FpgaOp::SetArp { device, entries } => {
                let entries = entries.iter().map(|(octet, mac)| format!(".{octet}={mac:012x}"));
                target(format!("ARP table of {device}"), entries.collect::<Vec<_>>().join(" "), true)
            }
            FpgaOp::I2cWrite { address, data } => target(format!("I2C {address:#04x}"), hex(data), false),
            _ => None,
        }
    }

    /// A request of the board's server, as it stands.
    pub fn raw(op: &FpgaOp) -> Option<Target> {
        let FpgaOp::Raw { name, args } = op else { return None };
        let args: Vec<_> = args.iter().map(|a| String::from_utf8_lossy(a)).collect();
        Some(Target { target: format!("request {name}"), value: args.join(" "), verifies: false })
    }

    /// Of an order to the synthesizer; `None`: it only asks.
    pub fn of_synth(order: &Order) -> Option<Target> {
        let changes = matches!(
            order,
            Order::SetFrequency { .. }
                | Order::SetLabel(..)
                | Order::SetOptions(..)
                | Order::SetExternal(_)
                | Order::SetReference(_)
                | Order::SetLevel(..)
                | Order::SetVco(..)
                | Order::Flash
        );
        changes.then(|| Target { target: "synthesizer".into(), value: order.to_string(), verifies: false })
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// No answer yet.
    Pending,
    /// Done; `true`: read back and equal.
    Done(bool),
    /// It failed, or may have.
    Failed(String),
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Write {
    at: Utc,
    job: String,
    client: Option<String>,
    target: Target,
    fate: Fate,
}

impl Write {
    fn to_value(&self) -> Value {
        let (verified, error) = match &self.fate {
            Fate::Pending => (Value::Null, Value::Null),
            Fate::Done(verified) => (Value::Bool(*verified), Value::Null),
            Fate::Failed(why) => (Value::Bool(false), why.as_str().into()),
        };
        let members = [
            ("at", self.at.to_string().into()),
            ("job", self.job.as_str().into()),
            ("client", self.client.as_deref().map_or(Value::Null, Value::from)),
            ("target", self.target.target.as_str().into()),
            ("value", self.target.value.as_str().into()),
            ("verified", verified),
            ("error", error),
        ];
        Value::Map(members.map(|(k, v)| (k.to_owned(), v)).to_vec())
    }
}

/// The list.
#[derive(Debug, Default)]
pub struct Writes {
    /// Of earlier processes, from the record.
    earlier: VecDeque<Value>,
    /// With a number of their own.
    own: VecDeque<(u64, Write)>,
    last: u64,
    /// Answers that are awaited.
    pending: HashMap<FpgaKey, u64>,
    /// The first that the record does not have.
    unrecorded: u64,
}

impl Writes {
    /// Something is about to be written.
    pub fn begin(&mut self, key: FpgaKey, target: Target, job: &str, client: Option<String>, at: Utc) {
        self.last += 1;
        self.pending.insert(key, self.last);
        let write = Write { at, job: job.to_owned(), client, target, fate: Fate::Pending };
        self.own.push_back((self.last, write));
        while self.own.len() + self.earlier.len() > KEPT_MAX {
            match self.earlier.pop_front() {
                Some(_) => {}
                None => drop(self.own.pop_front()),
            }
        }
    }

    /// An order was answered; one that is no write is nobody's.
    pub fn ended<T>(&mut self, key: FpgaKey, result: Result<&T, &FpgaError>) {
        self.ended_as(key, result.map(|_| ()).map_err(FpgaError::to_string));
    }

    /// The same, the failure in words.
    pub fn ended_as(&mut self, key: FpgaKey, result: Result<(), String>) {
        let Some(number) = self.pending.remove(&key) else { return };
        if let Some((_, write)) = self.own.iter_mut().find(|(n, _)| *n == number) {
            write.fate = match result {
                Ok(()) => Fate::Done(write.target.verifies),
                Err(why) => Fate::Failed(why),
            };
        }
    }

    /// What earlier processes have left in the record.
    pub fn learn(&mut self, earlier: Vec<Value>) {
        self.earlier.extend(earlier);
        while self.own.len() + self.earlier.len() > KEPT_MAX && self.earlier.pop_front().is_some() {}
    }

    /// What the record does not have yet, up to the first that has no answer; `None`: nothing.
    pub fn for_record(&mut self) -> Option<Value> {
        let first_pending = self.pending.values().min().copied().unwrap_or(u64::MAX);
        let fresh = |n: &u64| *n > self.unrecorded && *n < first_pending;
        let fresh: Vec<&(u64, Write)> = self.own.iter().filter(|(n, _)| fresh(n)).collect();
        let last = fresh.last()?.0;
        let all = Value::List(fresh.iter().map(|(_, write)| write.to_value()).collect());
        self.unrecorded = last;
        Some(all)
    }

    /// The newest `limit`, oldest of them first.
    pub fn to_value(&self, limit: usize) -> Value {
        let all = self.earlier.len() + self.own.len();
        let all_values = self.earlier.iter().cloned().chain(self.own.iter().map(|(_, w)| w.to_value()));
        Value::List(all_values.skip(all.saturating_sub(limit)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::bank::WorkId;

    fn key(n: u64) -> FpgaKey {
        FpgaKey::Work(WorkId(n))
    }

    fn register(n: u64) -> Target {
        let op = FpgaOp::Write { register: format!("r{n}"), offset: 0, data: vec![0, 0, 0, 7], verify: true };
        Target::of(&op).expect("a write")
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_newest() {
        let mut writes = Writes::default();
        writes.learn(vec!["old".into()]);
        for n in 0..KEPT_MAX as u64 + 5 {
            writes.begin(key(n), register(n), "test", None, Utc(0));
            writes.ended(key(n), Ok(&()));
        }
        let Value::List(all) = writes.to_value(usize::MAX) else { panic!("a list") };
        assert_eq!(all.len(), KEPT_MAX);
        assert_eq!(all[0].get("target"), Some(&"register r5".into()));
        let Value::List(two) = writes.to_value(2) else { panic!("a list") };
        assert_eq!(two, all[KEPT_MAX - 2..]);
    }

    #[test]
    fn the_record_gets_each_write_once_with_its_end() {
        let mut writes = Writes::default();
        writes.begin(key(1), register(1), "set_mode(M)", Some("me".into()), Utc(0));
        writes.begin(key(2), register(2), "set_mode(M)", None, Utc(0));
        assert_eq!(writes.for_record(), None, "no answer yet");
        writes.ended_as(key(1), Ok(()));
        writes.ended_as(key(9), Ok(()));
        let Some(Value::List(first)) = writes.for_record() else { panic!("one") };
        let of = |v: &Value, name: &str| v.get(name).map(Value::to_string).expect("a member");
        assert_eq!(first.len(), 1);
        assert_eq!((of(&first[0], "value"), of(&first[0], "verified")), ("0x00000007".into(), "True".into()));
        writes.ended_as(key(2), Err("the cable".into()));
        let Some(Value::List(second)) = writes.for_record() else { panic!("the other") };
        assert_eq!(of(&second[0], "error"), "the cable");
        assert_eq!(writes.for_record(), None);
    }
}
