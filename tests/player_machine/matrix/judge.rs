//! The judge: what must hold after any fault, whatever it struck.

use super::families::Family;
use super::faults::Fault;
use super::procedures::{fates, is_past};
use crate::world::*;
use appliance::plan::Child;
use appliance::player::methods::PlayerCall;
use appliance::units::{Mono, Now};
use appliance::value::Value;
use std::time::Duration;

/// The states in which anything may end.
const RESTS: [&str; 4] = ["NO_MODE", "READY", "SCANNING", "MONITORING"];

/// After the last fault: a start that waits for its second, 15 s for our own DAQ program to quit, 4 s to be killed,
/// twice (the mode change and the clean-up after it), two time limits of the board; and two scheduled scans.
const WITHIN: Duration = Duration::from_secs(60);
/// The GPU gets so much longer.
const GPU: Duration = Duration::from_secs(75);

pub struct Judge<'a> {
    family: &'a Family,
    struck: Vec<Fault>,
}

impl Judge<'_> {
    pub fn new(family: &Family) -> Judge<'_> {
        Judge { family, struck: Vec::new() }
    }

    /// A fault is about to strike.
    pub fn note(&mut self, fault: Fault, _world: &World) {
        self.struck.push(fault);
    }

    /// When the procedure must be over.
    pub fn limit(&self, now: Now) -> Mono {
        now.mono + WITHIN + if self.family.gpu { GPU } else { Duration::ZERO }
    }

    fn was(&self, fault: Fault) -> bool {
        self.struck.contains(&fault)
    }

    pub fn sentence(&self, world: &mut World, scan_after: bool) {
        if self.was(Fault::Shutdown) {
            world.run_for(60.0);
            assert!(world.finished, "it does not end");
            return world.end();
        }
        if self.was(Fault::HandOver) {
            world.run_for(3.0);
            assert!(world.finished, "it does not go");
            assert_eq!(world.unanswered(), Vec::<u64>::new(), "nobody may wait for a process that is gone");
            world.succeed();
            self.settle_down(world);
        }
        world.run_for(0.1);
        assert!(RESTS.contains(&world.state()), "ends in {}", world.state());
        assert!(!world.player.is_busy(), "a job is left: {:?}", world.player.job_title());
        self.agreement(world);
        self.rest(world);
        self.programs(world);
        self.keys(world);
        self.next(world, scan_after);
        world.end();
    }

    /// What the next process has taken up comes to its end.
    fn settle_down(&self, world: &mut World) {
        // Its line to the synthesizer opens.
        world.run_for(1.0);
        let limit = self.limit(world.now);
        while world.player.is_busy() {
            assert!(world.now.mono < limit && world.step(), "the next process hangs in {}", world.state());
        }
    }

    /// The state says what is: the mode with it, no program without one.
    fn agreement(&self, world: &mut World) {
        let mode = world.ask_ok(PlayerCall::GetMode);
        assert_eq!(mode == Value::Null, world.state() == "NO_MODE", "{mode} in {}", world.state());
        if world.state() == "NO_MODE" && world.temper != Temper::Immortal {
            let left = [Child::Daq, Child::FitsWriter].map(|child| world.is_alive(child));
            assert_eq!(left, [false, false], "programs left behind");
        }
        match (world.state(), world.status.get("SCANREM")) {
            ("SCANNING", left) if !self.was(Fault::StatusFails) => {
                let left = left.and_then(|text| text.parse::<u64>().ok());
                assert!(left.is_some_and(|s| s <= 3), "SCANREM of a scan that runs: {left:?}");
            }
            _ => {}
        }
    }

    /// Nobody asks for anything: once what is due has gone, nothing is ordered and nothing is waited for.
    fn rest(&self, world: &mut World) {
        world.run_for(15.0);
        let limit = self.limit(world.now);
        while world.state() == "SCANNING"
            || world.player.is_busy()
            || !fates(world).iter().all(|f| is_past(f))
        {
            assert!(world.now.mono < limit && world.step(), "it does not come to rest: {}", world.state());
        }
        world.run_for(15.0);
        world.log.clear();
        world.run_for(30.0);
        let busy: Vec<_> = world.log.iter().filter(|l| !l.starts_with("status")).collect();
        assert!(busy.is_empty(), "orders at rest: {busy:?}");
        assert_eq!(world.unanswered(), Vec::<u64>::new());
        assert_eq!(
            world.player.deadlines(),
            Default::default(),
            "it waits for something in {}",
            world.state()
        );
    }

    /// What the player believes of its programs is so, and no program records what nobody asked for.
    fn programs(&self, world: &mut World) {
        let all = world.player.describe(world.now);
        for (child, key) in [(Child::Daq, "daq"), (Child::FitsWriter, "fits_writer")] {
            let shown = all.get("programs").and_then(|p| p.get(key)).and_then(|p| p.get("state"));
            let shown = shown.map(Value::to_string).expect("player_state has the programs");
            let alive = world.is_alive(child);
            let agrees = match shown.as_str() {
                "running" => alive,
                "absent" => !alive,
                "stuck" => true,
                _ => false,
            };
            assert!(agrees, "the {child} is {shown}, but alive: {alive}");
            let needed = child == Child::Daq || self.family.writer || self.was(Fault::Immortal);
            assert!(needed || !alive, "a FITS writer without need");
        }
        if let Some(wire) = &world.wire
            && world.state() == "READY"
            && world.shown("roach") == "connected"
        {
            assert!(wire.is_programmed(), "the board has lost its design, and nobody says so");
        }
        let blind = self.was(Fault::StatusFails) || world.is_hung();
        if world.is_alive(Child::Daq) && !blind && world.state() == "READY" {
            let daq = world.status.get("DAQSTATE").map(String::as_str);
            assert_eq!(daq, Some("stopped"), "the DAQ program records on");
        }
    }

    /// Keys of a scan that is over do not count on.
    fn keys(&self, world: &World) {
        let blind = self.was(Fault::StatusFails);
        let by_hand = self.was(Fault::Stop);
        if let Some(left) = world.status.get("SCANREM")
            && !blind
            && !by_hand
        {
            assert_eq!(left, "scan terminated", "SCANREM at rest in {}", world.state());
        }
    }

    /// The next mode can be set, and a scan runs to its end.
    fn next(&self, world: &mut World, scan_after: bool) {
        self.family.repair(world);
        if self.was(Fault::Immortal) || world.is_hung() {
            world.kill(Child::Daq);
            world.kill(Child::FitsWriter);
        }
        world.run_for(35.0);
        self.family.set(world);
        assert_eq!(world.state(), "READY");
        if !scan_after {
            return;
        }
        world.ask_ok(PlayerCall::Prepare);
        world.ask_ok(PlayerCall::Start(Value::Null));
        assert_eq!(world.state(), "SCANNING");
        world.run_for(12.0);
        assert_eq!(world.state(), "READY", "a scan of 3 s is over");
        assert_eq!(world.status["SCANREM"], "scan terminated");
        let last = world.shown("last_scan");
        assert!(last.contains("complete"), "{last}");
    }
}
