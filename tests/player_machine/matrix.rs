//! Every fault at every step of `set_mode`, `prepare` and `start`.
//!
//! A step is whatever the world sees: an order, or time that passes. First the procedure runs undisturbed and
//! its steps are counted; then it runs once for each step and fault.

use crate::world::*;
use appliance::plan::Child;
use appliance::player::bank::Input;
use appliance::player::methods::PlayerCall;
use appliance::value::Value;

/// A call is answered within this, whatever happens: 15 s for our own DAQ program to quit, 4 s to be killed,
/// twice (the mode change and the clean-up after it), and two time limits of the board.
const WITHIN_S: f64 = 50.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    LinkDrops,
    LinkDropsAndReturns,
    BoardFails,
    BoardSilent,
    StatusFails,
    SpawnFails,
    DaqDies,
    FitsWriterDies,
    NeedsTerm,
    NeedsKill,
    Immortal,
    Stop,
    ClockForward,
    ClockBack,
    Shutdown,
}

const FAULTS: [Fault; 15] = [
    Fault::LinkDrops,
    Fault::LinkDropsAndReturns,
    Fault::BoardFails,
    Fault::BoardSilent,
    Fault::StatusFails,
    Fault::SpawnFails,
    Fault::DaqDies,
    Fault::FitsWriterDies,
    Fault::NeedsTerm,
    Fault::NeedsKill,
    Fault::Immortal,
    Fault::Stop,
    Fault::ClockForward,
    Fault::ClockBack,
    Fault::Shutdown,
];

fn strike(fault: Fault, world: &mut World) {
    match fault {
        Fault::LinkDrops => world.drop_link(),
        Fault::LinkDropsAndReturns => {
            world.drop_link();
            world.programmed = None;
            world.link_back();
        }
        Fault::BoardFails => world.board = Board::FailsOnce,
        Fault::BoardSilent => world.board = Board::SilentOnce,
        Fault::StatusFails => world.status_fails = true,
        Fault::SpawnFails => world.spawn_fails = true,
        Fault::DaqDies => world.kill(Child::Daq),
        Fault::FitsWriterDies => world.kill(Child::FitsWriter),
        Fault::NeedsTerm => world.temper = Temper::NeedsTerm,
        Fault::NeedsKill => world.temper = Temper::NeedsKill,
        Fault::Immortal => world.temper = Temper::Immortal,
        Fault::Stop => drop(world.call(PlayerCall::Stop)),
        Fault::ClockForward => world.set_clock(3.0),
        Fault::ClockBack => world.set_clock(-3.0),
        Fault::Shutdown => world.tell(Input::Shutdown),
    }
}

/// The states in which a procedure may end.
const RESTS: [&str; 4] = ["NO_MODE", "READY", "SCANNING", "MONITORING"];

struct Procedure {
    name: &'static str,
    begin: fn(&mut World) -> u64,
}

const PROCEDURES: [Procedure; 5] = [
    Procedure { name: "set_mode", begin: |w| w.call(set_mode("MODE2")) },
    Procedure {
        name: "set_mode during a scan",
        begin: |w| {
            w.ask_ok(PlayerCall::Start(Value::Null));
            w.call(force_mode("MODE2"))
        },
    },
    Procedure { name: "prepare", begin: |w| w.call(PlayerCall::Prepare) },
    Procedure { name: "start", begin: |w| w.call(PlayerCall::Start(Value::Null)) },
    Procedure {
        name: "start with new programs",
        begin: |w| {
            w.kill(Child::Daq);
            w.kill(Child::FitsWriter);
            w.call(PlayerCall::Start(Value::Null))
        },
    },
];

fn fresh(builtin: bool) -> World {
    let mut world = World::with(if builtin { builtin_config() } else { site_config() }).in_mode1();
    world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), 3.into())]));
    world
}

fn steps_of(procedure: &Procedure, builtin: bool) -> usize {
    let mut world = fresh(builtin);
    let ticket = (procedure.begin)(&mut world);
    let mut steps = 0;
    while world.is_open(ticket) {
        assert!(world.step());
        steps += 1;
    }
    world.answer(ticket).expect("undisturbed");
    steps
}

fn run(procedure: &Procedure, builtin: bool, at: usize, fault: Fault) {
    let mut world = fresh(builtin);
    let ticket = (procedure.begin)(&mut world);
    for _ in 0..at {
        world.step();
    }
    let (struck, struck_at) = (world.now.mono, world.phase());
    strike(fault, &mut world);
    while world.is_open(ticket) {
        assert!(world.step(), "it hangs in {}", world.state());
    }
    // A clock set back makes a start wait for that much longer; everything else is bounded.
    let took = world.now.mono.since(struck).as_secs_f64();
    assert!(took < WITHIN_S, "{took} s");
    if fault == Fault::Shutdown {
        return world.end_of_shutdown();
    }
    world.run_for(0.1);
    assert!(RESTS.contains(&world.state()), "ends in {}", world.state());
    assert!(!world.player.is_busy(), "a job is left");
    check_agreement(&mut world);
    rest(&mut world);
    recover(&mut world, fault, &struck_at);
    world.end();
}

/// The state says what is: the mode with it, no program without one.
fn check_agreement(world: &mut World) {
    let mode = world.ask_ok(PlayerCall::GetMode);
    assert_eq!(mode == Value::Null, world.state() == "NO_MODE", "{mode} in {}", world.state());
    if world.state() == "NO_MODE" && world.temper != Temper::Immortal {
        assert!(!world.is_alive(Child::Daq) && !world.is_alive(Child::FitsWriter), "programs left behind");
        assert_ne!(world.shown("last_error"), "None");
    }
}

/// Nobody asks for anything: the board and the programs are left alone, once what is due has gone.
fn rest(world: &mut World) {
    world.run_for(15.0);
    world.log.clear();
    world.run_for(30.0);
    let busy: Vec<_> = world.log.iter().filter(|l| !l.starts_with("status")).collect();
    assert!(busy.is_empty(), "orders at rest: {busy:?}");
    assert_eq!(world.unanswered(), Vec::<u64>::new());
}

fn recover(world: &mut World, fault: Fault, _struck_at: &str) {
    world.repair();
    if fault == Fault::Immortal {
        world.kill(Child::Daq);
        world.kill(Child::FitsWriter);
    }
    world.run_for(1.0);
    let reply = world.ask_ok(force_mode("MODE1"));
    assert_eq!(reply, Value::verdict(true, "New mode MODE1 set!"));
    world.ask_ok(PlayerCall::Prepare);
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert_eq!(world.state(), "SCANNING");
}

impl World {
    fn end_of_shutdown(&mut self) {
        self.run_for(60.0);
        assert!(self.finished, "it does not end");
        self.end();
    }
}

#[test]
fn every_fault_at_every_step() {
    let mut cases = 0;
    let mut failed = Vec::new();
    for builtin in [false, true] {
        for procedure in &PROCEDURES {
            let steps = steps_of(procedure, builtin);
            for (at, fault) in (0..=steps).flat_map(|at| FAULTS.map(|f| (at, f))) {
                cases += 1;
                let case = std::panic::AssertUnwindSafe(|| run(procedure, builtin, at, fault));
                if std::panic::catch_unwind(case).is_err() {
                    failed.push(format!("{} (builtin: {builtin}), step {at}: {fault:?}", procedure.name));
                }
            }
            println!("{} (builtin: {builtin}): {steps} steps", procedure.name);
        }
    }
    println!("fault matrix: {cases} cases");
    assert!(failed.is_empty(), "{} of {cases}:\n{}", failed.len(), failed.join("\n"));
}
