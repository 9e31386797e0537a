//! What the faults strike: calls until they are answered, and what goes on by itself.

use super::families::{Family, Roach};
use crate::world::*;
use appliance::plan::Child;
use appliance::player::methods::PlayerCall;
use appliance::player::scan::civil_value;
use appliance::units::Mono;
use appliance::value::Value;
use std::time::Duration;

/// A procedure that has begun.
pub struct Began {
    /// The call, if there is one.
    pub ticket: Option<u64>,
    at: Mono,
}

/// When a procedure is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With the answer.
    Answered,
    /// When the scan is over.
    Scan,
    /// When no scan waits or is at work.
    Schedule,
    /// After so many seconds, when the player is not busy.
    After(u64),
}

pub struct Procedure {
    pub name: &'static str,
    /// Struck by all faults of the issue at all steps, in every family.
    pub whole: bool,
    pub suits: fn(&Family) -> bool,
    pub world: fn(&Family) -> World,
    begins: fn(&mut World, &Family) -> Option<u64>,
    ends: Ends,
}

fn start(world: &mut World) -> u64 {
    world.call(PlayerCall::Start(Value::Null))
}

fn always(_: &Family) -> bool {
    true
}

pub static PROCEDURES: [Procedure; 8] = [
    Procedure {
        name: "set_mode",
        whole: true,
        suits: always,
        world: Family::before,
        begins: |w, family| Some(w.call(set_mode(family.mode))),
        ends: Ends::Answered,
    },
    Procedure {
        name: "start",
        whole: true,
        suits: always,
        world: Family::ready,
        begins: |w, _| Some(start(w)),
        ends: Ends::Answered,
    },
    Procedure {
        name: "set_mode during a scan",
        whole: false,
        suits: always,
        world: Family::ready,
        begins: |w, family| {
            w.ask_ok(PlayerCall::Start(Value::Null));
            Some(w.call(force_mode(family.mode)))
        },
        ends: Ends::Answered,
    },
    Procedure {
        name: "prepare",
        whole: false,
        suits: always,
        world: Family::ready,
        begins: |w, _| Some(w.call(PlayerCall::Prepare)),
        ends: Ends::Answered,
    },
    Procedure {
        name: "start with new programs",
        whole: false,
        suits: always,
        world: Family::ready,
        begins: |w, _| {
            w.kill(Child::Daq);
            w.kill(Child::FitsWriter);
            Some(start(w))
        },
        ends: Ends::Answered,
    },
    Procedure {
        name: "a scan",
        whole: false,
        suits: always,
        world: Family::ready,
        begins: |w, _| {
            w.ask_ok(PlayerCall::Start(Value::Null));
            None
        },
        ends: Ends::Scan,
    },
    Procedure {
        name: "two scheduled scans",
        whole: false,
        suits: always,
        world: Family::ready,
        begins: |w, _| {
            let at = |seconds| {
                let start = w.now.utc.ceil_second() + Duration::from_secs(seconds);
                let members = [("start", civil_value(start)), ("length", Value::Int(2))];
                Value::Map(members.map(|(k, v)| (k.to_owned(), v)).to_vec())
            };
            let scans = vec![at(15), at(35)];
            w.ask_ok(PlayerCall::Schedule(Value::List(scans)));
            None
        },
        ends: Ends::Schedule,
    },
    Procedure {
        name: "synthesizer set-up",
        whole: false,
        suits: |family| family.roach == Roach::Driven,
        world: Family::ready,
        begins: |w, _| {
            let now = w.now;
            match &mut w.synth {
                Some(synth) => {
                    synth.pull_out(now);
                    synth.repair();
                    w.tick();
                }
                None => {
                    w.drop_link();
                    w.link_back();
                }
            }
            None
        },
        ends: Ends::After(3),
    },
];

impl Procedure {
    pub fn begin(&self, world: &mut World, family: &Family) -> Began {
        let ticket = (self.begins)(world, family);
        Began { ticket, at: world.now.mono }
    }

    /// Moves to the next thing due; `false`: nothing ever happens, and something should.
    pub fn step(&self, world: &mut World) -> bool {
        let waits = matches!(self.ends, Ends::After(_));
        world.step() || {
            world.run_for(0.5);
            waits
        }
    }

    pub fn is_over(&self, world: &mut World, began: &Began) -> bool {
        let busy = world.player.is_busy();
        match self.ends {
            Ends::Answered => began.ticket.is_none_or(|ticket| !world.is_open(ticket)),
            Ends::Scan => world.state() != "SCANNING" && !busy,
            Ends::Schedule => !busy && world.state() != "SCANNING" && fates(world).iter().all(|f| is_past(f)),
            Ends::After(seconds) => !busy && world.now.mono.since(began.at) >= Duration::from_secs(seconds),
        }
    }
}

/// Where every scan of the schedule stands.
pub fn fates(world: &mut World) -> Vec<String> {
    match world.ask_ok(PlayerCall::Scheduled) {
        Value::List(all) => all.iter().filter_map(|v| v.get("state").map(Value::to_string)).collect(),
        other => panic!("{other} is no list"),
    }
}

pub fn is_past(fate: &str) -> bool {
    ["ended", "failed", "cancelled"].contains(&fate)
}
