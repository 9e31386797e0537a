//! The timing script: not an interpreter, but the contract the reference's scripts keep.
//!
//! ```text
//!            Exposures > 0             time over, AbortExposure          ReadOut
//!   idle ──────────────────► integrating ───────────────────► pending ────────────► reading ──► idle
//!    │ DoFlush ▲                                                  │ DoFlush             (a new frame)
//!    └─► flushing ◄───────────────────────────────────────────────┘
//! ```

use crate::units::Mono;
use std::time::Duration;

/// Lines an idle flush shifts the charge by while it waits for its readout.
const FLUSH_SHIFT: u32 = 90;

/// What the script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Integrating { since: Mono, until: Mono },
    Pending { began: Mono, ended: Mono, shifted: u32 },
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
    /// Names are matched letter by letter.
    case_sensitive: bool,
}

impl Parameters {
    pub fn new(case_sensitive: bool) -> Parameters {
        Parameters { case_sensitive, ..Parameters::default() }
    }

    pub fn replace(&mut self, all: Vec<Parameter>) {
        self.all = all;
    }

    fn find(&self, name: &str) -> Option<usize> {
        let same = |p: &Parameter| {
            if self.case_sensitive { p.name == name } else { p.name.eq_ignore_ascii_case(name) }
        };
        self.all.iter().position(same)
    }

    /// `false`: unknown.
    pub fn set(&mut self, name: &str, value: u32) -> bool {
        self.find(name).is_some_and(|i| {
            self.all[i].value = value;
            true
        })
    }

    pub fn get(&self, name: &str) -> u32 {
        self.all.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map_or(0, |p| p.value)
    }

    pub fn integration(&self) -> Duration {
        Duration::from_millis(u64::from(self.get("IntMS")) + 10 * u64::from(self.get("IntCS")))
    }
}

/// What a step of the script wants from frame memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Begin a frame: integration from `began` to `ended`; `shifted` lines.
    Begin { began: Mono, ended: Mono, shifted: u32 },
    /// The frame in this buffer is complete.
    Complete { buffer: u8 },
}

/// The timing cores.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub state: State,
    pub held: bool,
    pub flush: Duration,
}

impl Script {
    pub fn new(flush: Duration) -> Script {
        Script { state: State::Idle, held: false, flush }
    }

    /// RESETTIMING, LOADTIMING: the script begins anew; a readout that runs is cut off.
    pub fn restart(&mut self) {
        self.state = State::Idle;
    }

    /// One transition, if one is due.
    pub fn step(&mut self, p: &mut Parameters, now: Mono) -> Option<Wish> {
        if self.held {
            return None;
        }
        match self.state {
            State::Idle if p.get("DoFlush") > 0 => self.flush(p, now),
            State::Idle if p.get("Exposures") > 0 => {
                p.set("Exposures", p.get("Exposures") - 1);
                self.state = State::Integrating { since: now, until: now + p.integration() };
                None
            }
            State::Idle if p.get("ReadOut") > 0 => self.read(p, now, now, 0),
            State::Integrating { since, .. } if p.get("AbortExposure") > 0 => {
                p.set("AbortExposure", 0);
                self.state = State::Pending { began: since, ended: now, shifted: 0 };
                None
            }
            State::Integrating { since, until } if until <= now => {
                self.state = State::Pending { began: since, ended: until, shifted: 0 };
                None
            }
            State::Pending { began, ended, shifted } => self.pending(p, began, ended, shifted, now),
            State::Flushing { until } if until <= now => {
                self.state = State::Idle;
                None
            }
            State::Reading { until, buffer, .. } if until <= now => {
                self.state = State::Idle;
                Some(Wish::Complete { buffer })
            }
            _ => None,
        }
    }

    fn pending(
        &mut self,
        p: &mut Parameters,
        began: Mono,
        ended: Mono,
        shifted: u32,
        now: Mono,
    ) -> Option<Wish> {
        if p.get("DoFlush") > 0 {
            return self.flush(p, now);
        }
        if p.get("ReadOut") > 0 {
            return self.read(p, began, ended, shifted);
        }
        if p.get("Exposures") > 0 {
            self.state = State::Idle;
        } else if p.get("AutoFlush") > 0 {
            self.state = State::Pending { began, ended, shifted: FLUSH_SHIFT };
        }
        None
    }

    fn flush(&mut self, p: &mut Parameters, now: Mono) -> Option<Wish> {
        p.set("DoFlush", 0);
        self.state = State::Flushing { until: now + self.flush * p.get("FlushCount").max(1) };
        None
    }

    fn read(&mut self, p: &mut Parameters, began: Mono, ended: Mono, shifted: u32) -> Option<Wish> {
        p.set("ReadOut", 0);
        Some(Wish::Begin { began, ended, shifted })
    }

    /// Is another transition due by itself, and when?
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            _ if self.held => None,
            State::Integrating { until, .. } | State::Flushing { until } | State::Reading { until, .. } => {
                Some(until)
            }
            State::Idle | State::Pending { .. } => None,
        }
    }
}
