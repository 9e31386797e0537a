//! An independent judge: sees orders, every command, every reply and the box itself, and knows the rules of safety by
//! heart. It shares nothing with the gate.

use super::peer::Peer;
use crate::archon::controller::{Answer, Order, OrderKey, Report};
use crate::units::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const FRESH: Duration = Duration::from_secs(10);

/// What it knows, all of it from orders, commands and replies.
#[derive(Default)]
pub struct Judge {
    open: BTreeMap<u64, Order>,
    /// Orders answered early that may still set AutoFlush.
    tail: Option<Mono>,
    poweron_of: BTreeSet<u64>,
    status: BTreeMap<String, String>,
    status_at: Option<Mono>,
    count_moved: Option<Mono>,
    count_since: Option<Mono>,
    system: BTreeMap<String, String>,
    /// Lines as read back since the last write, by index; cleared by writes.
    read: BTreeMap<usize, String>,
    read_whole: bool,
    applied: bool,
    half_written: bool,
    locked: Option<u8>,
    /// (buffer, frame) read out for us and not yet given free.
    unsaved: BTreeSet<(u8, u64)>,
    polled_off: bool,
    held_by: Option<u64>,
    up: bool,
    pub limited: bool,
    pub violations: Vec<String>,
}

impl Judge {
    fn blame(&mut self, text: String) {
        self.violations.push(text);
    }

    pub fn order(&mut self, key: OrderKey, order: &Order) {
        self.open.insert(key.0, order.clone());
    }

    pub fn link(&mut self, up: bool) {
        self.up = up;
        self.count_moved = None;
    }

    pub fn booted(&mut self) {
        self.applied = false;
        self.half_written = false;
        self.read_whole = false;
        self.held_by = None;
        self.polled_off = false;
    }

    /// Orders without an answer.
    pub fn open_orders(&self) -> usize {
        self.open.len()
    }

    fn ordered(&self, fits: impl Fn(&Order) -> bool) -> bool {
        self.open.values().any(fits)
    }

    fn typed(&self, word: &str) -> bool {
        self.ordered(|o| matches!(o, Order::Talk(t) if t.trim().to_ascii_uppercase().starts_with(word)))
    }

    /// A command leaves; the box has not seen it yet.
    pub fn command(&mut self, text: &str, peer: &Peer, now: Mono) {
        let question = ["SYSTEM", "STATUS", "FRAME", "TIMER", "FETCH", "RCONFIG"];
        if question.iter().any(|q| text.starts_with(q)) {
            return;
        }
        let upper = text.to_ascii_uppercase();
        for word in ["FLASH", "ERASE", "REBOOT", "WARMBOOT"] {
            if upper.starts_with(word) {
                self.blame(format!("{text} left"));
            }
        }
        if self.open.is_empty() {
            self.without_order(text, now);
        }
        match () {
            () if upper.starts_with("POWERON") => self.power_on(peer, now),
            () if upper.starts_with("POWEROFF") => {
                let ours = |o: &Order| matches!(o, Order::Power { .. }) || loads_power(o);
                if !self.ordered(ours) && !self.typed("POWEROFF") && !self.typed("POWERON") {
                    self.blame("POWEROFF without an order".into());
                }
            }
            () if upper.starts_with("APPLYALL") || upper.starts_with("CLEARCONFIG") => {
                self.apply_all(&upper, peer)
            }
            () if upper.starts_with("LOADTIMING") => {
                let asked = |o: &Order| matches!(o, Order::Load { apply, .. } if apply.iter().any(|a| a == "LOADTIMING"));
                if !self.ordered(asked) && !self.typed("LOADTIMING") {
                    self.blame("LOADTIMING without an order".into());
                }
            }
            () if upper.starts_with("RESETTIMING") => {
                if !self.ordered(|o| matches!(o, Order::Reset { timing: true })) && !self.typed("RESETTIMING")
                {
                    self.blame("RESETTIMING without an order".into());
                }
            }
            () if upper.starts_with("LOCK") => self.lock(&upper),
            () if upper.starts_with("WCONFIG") => self.write(text),
            () if upper.starts_with("POLLOFF") => self.polled_off = true,
            () if upper.starts_with("POLLON") => self.polled_off = false,
            () if upper == "HOLDTIMING" => self.held_by = self.first_that_holds(),
            () if upper == "RELEASETIMING" => self.held_by = None,
            () => {}
        }
        let applies = ["APPLY", "POWERON", "LOAD"].iter().any(|w| upper.starts_with(w));
        if applies && self.half_written {
            self.blame(format!("{text} with configuration memory half written"));
        }
    }

    /// Orders run in turn: the oldest that holds timing.
    fn first_that_holds(&self) -> Option<u64> {
        let holds = |o: &Order| {
            matches!(
                o,
                Order::Load { .. }
                    | Order::Reset { .. }
                    | Order::Flush { .. }
                    | Order::Prepare { .. }
                    | Order::Readout { .. }
            )
        };
        let typed = self.typed("HOLDTIMING");
        self.open.iter().find(|(_, o)| holds(o)).map(|(k, _)| *k).filter(|_| !typed)
    }

    fn without_order(&mut self, text: &str, now: Mono) {
        let still = self.count_since.is_some_and(|t| now.since(t) >= Duration::from_secs(5));
        let again = self.locked.map(|n| format!("LOCK{n}"));
        let tail = text.starts_with("FASTLOADPARAM AutoFlush 1") && self.tail.is_some_and(|t| now <= t);
        let allowed = (text == "POLLON" && still) || again.as_deref() == Some(text) || tail;
        if !allowed {
            self.blame(format!("{text} without an order"));
        }
    }

    fn power_on(&mut self, peer: &Peer, now: Mono) {
        let orders: Vec<(u64, Order)> = self
            .open
            .iter()
            .filter(|(_, o)| {
                matches!(o, Order::Power { on: true, .. })
                    || loads_power(o)
                    || matches!(o, Order::Talk(t) if t.trim().eq_ignore_ascii_case("POWERON"))
            })
            .map(|(k, o)| (*k, o.clone()))
            .collect();
        let Some((key, order)) = orders.iter().find(|(k, _)| !self.poweron_of.contains(k)).cloned() else {
            return self.blame("POWERON without an order, or again".into());
        };
        self.poweron_of.insert(key);
        let consent = match order {
            Order::Power { consent, .. } | Order::Load { consent, .. } => consent,
            _ => Default::default(),
        };
        if !self.applied {
            self.blame("POWERON without an ACF applied and read back since boot".into());
        }
        if self.status_at.is_none_or(|t| now.since(t) > FRESH) || self.told("VALID") != Some("1") {
            self.blame("POWERON on an old or invalid STATUS".into());
        }
        if self.count_moved.is_none_or(|t| now.since(t) > FRESH) {
            self.blame("POWERON while COUNT stands still".into());
        }
        if self.told("POWER") != Some("2")
            || self.told("POWERGOOD") != Some("1")
            || self.told("OVERHEAT") != Some("0")
        {
            self.blame("POWERON in the wrong state of the supply".into());
        }
        if self.polled_off {
            self.blame("POWERON while polling is off".into());
        }
        for (slot, kind) in [(2, "11"), (4, "9"), (5, "2")] {
            if self.system.get(&format!("MOD{slot}_TYPE")).map(String::as_str) != Some(kind) {
                self.blame(format!("POWERON although module {slot} is not what the ACF is for"));
            }
        }
        if !self.limited && !consent.unchecked {
            self.blame("POWERON without limits and without consent".into());
        }
        let cold = self.told("MOD2/TEMPA").and_then(|t| t.parse::<f64>().ok());
        if self.limited && consent.warm.is_none() && !cold.is_some_and(|t| (-130.0..=-90.0).contains(&t)) {
            self.blame("POWERON of a warm CCD".into());
        }
        self.biases(peer);
    }

    fn told(&self, key: &str) -> Option<&str> {
        self.status.get(key).map(String::as_str)
    }

    fn biases(&mut self, peer: &Peer) {
        let volts = peer.memory.iter().find_map(|l| l.strip_prefix("MOD4/LVLC_V1=")?.parse::<f64>().ok());
        if self.limited && volts.is_some_and(|v| !(-1.0..=5.0).contains(&v)) {
            self.blame(format!("a bias of {volts:?} V comes into force"));
        }
    }

    fn apply_all(&mut self, text: &str, peer: &Peer) {
        let asked = |o: &Order| matches!(o, Order::Load { .. });
        if !(self.ordered(asked) || text.starts_with("APPLYALL") && self.typed("APPLYALL")) {
            self.blame(format!("{text} without an order"));
        }
        if !matches!(peer.script, super::peer::Script::Idle | super::peer::Script::Waiting) {
            self.blame(format!("{text} while {:?}", peer.script));
        }
        if !self.unsaved.is_empty() || self.locked.is_some() {
            self.blame(format!("{text} while {:?} is not saved", self.unsaved));
        }
        if text.starts_with("APPLYALL") {
            self.applied = false;
            self.biases(peer);
        } else {
            self.half_written = true;
            self.read.clear();
            self.read_whole = false;
        }
    }

    fn lock(&mut self, text: &str) {
        let n: Option<u8> = text.trim_start_matches("LOCK").parse().ok();
        let free = self.ordered(|o| matches!(o, Order::Unlock | Order::Discard));
        if let Some(held) = self.locked
            && n != Some(held)
            && !free
        {
            self.blame(format!("{text} although buffer {held} is locked and not saved"));
        }
    }

    fn write(&mut self, text: &str) {
        self.read_whole = false;
        let Some((key, value)) = text.get(11..).and_then(|t| t.split_once('=')) else { return };
        let key = key.to_ascii_uppercase();
        let number = value.parse::<f64>().ok();
        if self.limited && key == "MOD4/LVLC_V1" && !number.is_some_and(|v| (-1.0..=5.0).contains(&v)) {
            self.blame(format!("{text} is outside the limits"));
        }
        let loading = self.ordered(|o| matches!(o, Order::Load { .. }));
        if !self.limited && key == "MOD4/LVLC_V1" && !loading {
            let agreed = self.ordered(|o| matches!(o, Order::WriteLine { consent, .. } if consent.unchecked));
            if !agreed {
                self.blame(format!("{text} without limits"));
            }
        }
        if key == "MOD2/HEATERAFORCE" && number != Some(0.0) {
            self.blame(format!("{text} left"));
        }
        if key == "MOD2/HEATERATARGET" && !loading {
            let told = self.told("MOD2/TEMPA").and_then(|t| t.parse::<f64>().ok());
            let sane = number.is_some_and(|v| (-130.0..=-90.0).contains(&v));
            if !self.limited
                || !sane
                || !told.is_some_and(|t| (-130.0..=-90.0).contains(&t))
                || self.polled_off
            {
                self.blame(format!("{text} with the sensor at {told:?}"));
            }
        }
    }

    /// The reply to a command reached us.
    pub fn reply(&mut self, text: &str, reply: &str, peer: &Peer, now: Mono) {
        let upper = text.trim().to_ascii_uppercase();
        let text = upper.as_str();
        let pairs =
            || reply.split_whitespace().filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), v.into()));
        if text == "STATUS" {
            let new: BTreeMap<String, String> = pairs().collect();
            if new.get("COUNT") != self.status.get("COUNT") {
                self.count_since = Some(now);
                if !self.status.is_empty() {
                    self.count_moved = Some(now);
                }
            }
            self.status = new;
            self.status_at = Some(now);
        }
        if text == "FRAME" {
            let there: BTreeMap<String, String> = pairs().collect();
            let is = |n: u8, key: &str| there.get(&format!("BUF{n}{key}")).cloned().unwrap_or_default();
            let gone =
                |(n, frame): &(u8, u64)| is(*n, "FRAME") != frame.to_string() || is(*n, "COMPLETE") != "1";
            let lost: Vec<(u8, u64)> = self.unsaved.iter().filter(|f| gone(f)).copied().collect();
            for (n, frame) in lost {
                self.unsaved.remove(&(n, frame));
                self.locked = self.locked.filter(|l| *l != n);
            }
        }
        if text == "SYSTEM" {
            self.system = pairs().collect();
        }
        if let Some(line) = text.strip_prefix("RCONFIG").and_then(|l| usize::from_str_radix(l, 16).ok()) {
            self.read.insert(line, reply.to_owned());
            let all = peer.memory.iter().enumerate().all(|(n, l)| self.read.get(&n) == Some(l));
            self.read_whole |= all && self.read.len() >= peer.memory.len();
            if self.read_whole && !peer.memory.is_empty() && peer.polling {
                self.half_written = false;
            }
        }
        if text == "POLLON" && self.read_whole {
            self.half_written = false;
        }
        if text == "APPLYALL" {
            self.applied = self.read_whole;
        }
    }

    pub fn report(&mut self, report: &Report, now: Mono) {
        let Report::Done { key, result } = report else { return };
        let Some(order) = self.open.remove(&key.0) else { return };
        match (&order, result) {
            (
                Order::Readout { .. } | Order::Abort { readout: true },
                Ok(Answer::ReadOut { buffer, frame, .. }),
            ) => {
                self.unsaved.insert((*buffer, *frame));
            }
            (Order::Abort { .. }, Ok(_)) => self.tail = Some(now + Duration::from_secs(200)),
            (Order::Lock(_), Ok(Answer::Locked(l))) => {
                self.locked = Some(l.id.buffer);
                self.unsaved.insert((l.id.buffer, l.id.frame));
            }
            (Order::Unlock, Ok(_)) => {
                if let Some(n) = self.locked.take() {
                    self.unsaved.retain(|(b, _)| *b != n);
                }
            }
            (Order::Discard, Ok(_)) => {
                self.locked = None;
                self.unsaved.clear();
            }
            _ => {}
        }
        if result.is_err() && self.up {
            if matches!(order, Order::Load { .. }) && self.polled_off {
                self.blame("a load ended without POLLON".into());
            }
            if self.held_by == Some(key.0) {
                self.blame(format!("order {} ({result:?}) left timing held", key.0));
            }
        }
    }

    /// The box begins to write into a buffer.
    pub fn overwrites(&mut self, buffer: u8) {
        if let Some(lost) = self.unsaved.iter().find(|(b, _)| *b == buffer).copied() {
            self.blame(format!("frame {} in buffer {buffer} is overwritten", lost.1));
            self.unsaved.remove(&lost);
        }
    }
}

fn loads_power(order: &Order) -> bool {
    matches!(order, Order::Load { power: true, apply_all: true, .. })
}
