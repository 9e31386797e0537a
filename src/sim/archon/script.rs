//! The timing script: not an interpreter, but the contract the reference's scripts keep.
//!
//! ```text
//!            Exposures > 0             time over, AbortExposure
//!   main ──────────────────────► integrating ─────────────────► main, with charge in the CCD
//!    │ ▲                                 │ ContinuousExposures
//!    │ └── flushing ◄── DoFlush          ▼
//!    └──── ReadOut ────────────────► reading (a new frame) ──► main, without
//! ```
//!
//! Main looks at its parameters in this order: ContinuousExposures, Exposures, ReadOut, DoFlush, AutoFlush.
//! Each run through a branch takes one off its parameter.

use crate::units::Mono;
use std::time::Duration;

/// Lines an idle flush shifts the charge by while it waits for its readout.
const FLUSH_SHIFT: u32 = 90;

/// An integration that waits in the CCD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub began: Mono,
    pub ended: Mono,
    /// Lines it was shifted by.
    pub shifted: u32,
}

/// What the script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Main { charge: Option<Charge> },
    Integrating { before: Option<Charge>, since: Mono, until: Mono, continuous: bool },
    Flushing { until: Mono },
    Reading { since: Mono, until: Mono, buffer: u8 },
}

/// A running parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub name: String,
    pub value: u32,
}

/// The running parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    all: Vec<Parameter>,
    /// To be set with the next load.
    prepared: Vec<Parameter>,
    /// Names are matched letter by letter.
    case_sensitive: bool,
}

impl Parameters {
    pub fn new(case_sensitive: bool) -> Parameters {
        Parameters { case_sensitive, ..Parameters::default() }
    }

    pub fn replace(&mut self, all: Vec<Parameter>) {
        self.prepared.clear();
        self.all = all;
    }

    fn find(&self, name: &str) -> Option<usize> {
        let same = |p: &Parameter| {
            if self.case_sensitive { p.name == name } else { p.name.eq_ignore_ascii_case(name) }
        };
        self.all.iter().position(same)
    }

    /// `false`: unknown. What was prepared comes into force with it.
    pub fn load(&mut self, name: &str, value: u32) -> bool {
        let Some(at) = self.find(name) else { return false };
        for p in std::mem::take(&mut self.prepared) {
            self.set(&p.name, p.value);
        }
        self.all[at].value = value;
        true
    }

    /// `false`: unknown.
    pub fn prepare(&mut self, name: &str, value: u32) -> bool {
        let Some(at) = self.find(name) else { return false };
        let name = self.all[at].name.clone();
        self.prepared.retain(|p| p.name != name);
        self.prepared.push(Parameter { name, value });
        true
    }

    pub fn get(&self, name: &str) -> u32 {
        self.all.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map_or(0, |p| p.value)
    }

    /// As the script itself changes it.
    fn set(&mut self, name: &str, value: u32) {
        if let Some(p) = self.all.iter_mut().find(|p| p.name.eq_ignore_ascii_case(name)) {
            p.value = value;
        }
    }

    /// `Name--`
    fn take_one(&mut self, name: &str) {
        self.set(name, self.get(name).saturating_sub(1));
    }

    fn integration(&self) -> Duration {
        Duration::from_millis(u64::from(self.get("IntMS")) + 10 * u64::from(self.get("IntCS")))
    }
}

/// What a step of the script wants from frame memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Begin a frame of this charge.
    Begin(Charge),
    /// The frame in this buffer is complete.
    Complete { buffer: u8 },
}

/// The timing cores.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub state: State,
    /// Held since then.
    held: Option<Mono>,
    flush: Duration,
}

impl Script {
    pub fn new(flush: Duration) -> Script {
        Script { state: State::Main { charge: None }, held: None, flush }
    }

    /// RESETTIMING, LOADTIMING: the script begins anew; a readout that runs is cut off.
    pub fn restart(&mut self) {
        self.state = State::Main { charge: None };
    }

    /// HOLDTIMING: everything stands still.
    pub fn hold(&mut self, now: Mono) {
        self.held.get_or_insert(now);
    }

    /// RELEASETIMING: it goes on where it stood.
    pub fn release(&mut self, now: Mono) {
        let Some(held) = self.held.take() else { return };
        let pause = now.since(held);
        match &mut self.state {
            State::Main { .. } => {}
            State::Integrating { until, .. } | State::Flushing { until } => *until = *until + pause,
            State::Reading { since, until, .. } => (*since, *until) = (*since + pause, *until + pause),
        }
    }

    /// The time on the cores' own watch.
    pub fn now(&self, now: Mono) -> Mono {
        self.held.map_or(now, |held| held.min(now))
    }

    /// One transition, if one is due.
    pub fn step(&mut self, p: &mut Parameters, now: Mono) -> Option<Wish> {
        if self.held.is_some() {
            return None;
        }
        match self.state {
            State::Main { charge } => return self.main(p, charge, now),
            State::Integrating { before, since, until, continuous } => {
                let aborted = p.get("AbortExposure") > 0;
                if aborted || until <= now {
                    let began = before.map_or(since, |b| b.began);
                    let ended = until.min(now);
                    return self.integrated(p, Charge { began, ended, shifted: 0 }, aborted, continuous);
                }
            }
            State::Flushing { until } if until <= now => self.restart(),
            State::Reading { until, buffer, .. } if until <= now => {
                self.restart();
                return Some(Wish::Complete { buffer });
            }
            State::Flushing { .. } | State::Reading { .. } => {}
        }
        None
    }

    fn main(&mut self, p: &mut Parameters, charge: Option<Charge>, now: Mono) -> Option<Wish> {
        let continuous = p.get("ContinuousExposures") > 0;
        if continuous || p.get("Exposures") > 0 {
            let until = now + p.integration();
            self.state = State::Integrating { before: charge, since: now, until, continuous };
        } else if p.get("ReadOut") > 0 {
            p.take_one("ReadOut");
            return Some(Wish::Begin(charge.unwrap_or(Charge { began: now, ended: now, shifted: 0 })));
        } else if p.get("DoFlush") > 0 {
            p.take_one("DoFlush");
            self.state = State::Flushing { until: now + self.flush * p.get("FlushCount").max(1) };
        } else if p.get("AutoFlush") > 0 {
            self.state = State::Main { charge: charge.map(|c| Charge { shifted: FLUSH_SHIFT, ..c }) };
        }
        None
    }

    fn integrated(
        &mut self,
        p: &mut Parameters,
        charge: Charge,
        aborted: bool,
        continuous: bool,
    ) -> Option<Wish> {
        if aborted {
            p.take_one("AbortExposure");
        }
        self.state = State::Main { charge: Some(charge) };
        if continuous {
            p.take_one("ReadOut");
            return Some(Wish::Begin(charge));
        }
        p.take_one("Exposures");
        None
    }

    /// Is another transition due by itself, and when?
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            _ if self.held.is_some() => None,
            State::Integrating { until, .. } | State::Flushing { until } | State::Reading { until, .. } => {
                Some(until)
            }
            State::Main { .. } => None,
        }
    }
}
