//! The DAQ program and the FITS writer: deaths, deaf ears, and the end of everything.

use crate::world::*;
use appliance::plan::Child;
use appliance::player::bank::Input;
use appliance::player::methods::PlayerCall;
use appliance::value::Value;

#[test]
fn the_death_of_the_daq_program_ends_a_scan() {
    let mut world = World::scanning();
    world.run_for(2.0);
    world.kill(Child::Daq);
    assert_eq!(world.state(), "READY");
    world.run_for(0.1);
    assert_eq!(world.status["SCANREM"], "scan terminated");
    assert!(world.shown("last_error").contains("the DAQ program died: killed by signal 11"));
    assert!(world.shown("last_scan").contains("died"));
    assert!(world.shown("programs").contains("killed by signal 11"));
    world.run_for(20.0);
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert!(world.is_alive(Child::Daq), "started again by the next start");
}

#[test]
fn the_death_of_the_daq_program_ends_a_pending_start() {
    let (mut world, start) = World::starting();
    world.kill(Child::Daq);
    let error = world.answer(start).expect_err("nothing records");
    assert_eq!(error.message, "start(): the DAQ program died: killed by signal 11");
    assert_eq!(world.state(), "READY");
    world.run_for(30.0);
    assert!(!world.ordered("\"arm\""));
}

#[test]
fn the_death_of_the_daq_program_ends_monitor_mode() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Monitor);
    world.kill(Child::Daq);
    assert_eq!(world.state(), "READY");
    world.ask_ok(PlayerCall::Monitor);
    assert_eq!(world.state(), "MONITORING");
}

#[test]
fn a_death_at_rest_is_noted_and_healed() {
    let mut world = World::ready();
    world.kill(Child::Daq);
    world.kill(Child::FitsWriter);
    assert_eq!(world.state(), "READY");
    assert!(world.shown("last_error").contains("the FITS writer died: killed by signal 11"));
    world.ask_ok(PlayerCall::Prepare);
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert_eq!(world.state(), "SCANNING");
    assert!(world.is_alive(Child::Daq) && world.is_alive(Child::FitsWriter));
}

#[test]
fn a_death_during_prepare_does_not_disturb_it() {
    let mut world = World::ready();
    let ticket = world.call(PlayerCall::Prepare);
    world.kill(Child::Daq);
    assert_eq!(world.answer(ticket), Ok(Value::Null));
    assert_eq!(world.state(), "READY");
}

#[test]
fn a_program_that_is_not_there_fails_the_start() {
    let mut world = World::ready();
    world.kill(Child::Daq);
    world.spawn_fails = true;
    let error = world.ask_err(PlayerCall::Start(Value::Null));
    assert!(error.message.contains("start_programs: start DAQ program: No such file"), "{error}");
    assert_eq!(world.state(), "READY");
    world.repair();
    world.ask_ok(PlayerCall::Start(Value::Null));
}

#[test]
fn deaf_programs_are_ended_by_force() {
    for (temper, signals) in [(Temper::NeedsTerm, vec!["Term"]), (Temper::NeedsKill, vec!["Term", "Kill"])] {
        let mut world = World::ready();
        world.temper = temper;
        world.ask_ok(set_mode("MODE2"));
        let sent: Vec<_> = world.log.iter().filter_map(|l| l.strip_prefix("DAQ program: ")).collect();
        let want: Vec<_> = ["quit"].into_iter().chain(signals).chain(["spawn"]).collect();
        assert_eq!(sent, want);
    }
}

#[test]
fn a_program_that_cannot_be_killed_is_never_doubled() {
    let mut world = World::ready();
    world.temper = Temper::Immortal;
    let error = world.ask_err(set_mode("MODE2"));
    assert!(error.message.starts_with("MODE2 failed at stop_programs: stop DAQ program: "), "{error}");
    assert!(error.message.contains("cannot be killed"), "{error}");
    assert_eq!(world.state(), "NO_MODE");
    let again = world.ask_err(set_mode("MODE2"));
    assert!(again.message.contains("cannot be killed"), "{again}");
    world.temper = Temper::Good;
    world.kill(Child::Daq);
    world.kill(Child::FitsWriter);
    world.ask_ok(set_mode("MODE2"));
}

#[test]
fn shutdown_ends_in_every_state() {
    let worlds: [(&str, fn() -> World); 9] = [
        ("NO_MODE", World::new),
        ("READY", World::ready),
        ("STARTING", || World::starting().0),
        ("SCANNING", World::scanning),
        ("SETTING_MODE", || busy_with(set_mode("MODE2"))),
        ("PREPARING", || busy_with(PlayerCall::Prepare)),
        ("OPERATING", || busy_with(PlayerCall::ResetRoach)),
        ("MONITORING", || {
            let mut world = World::ready();
            world.ask_ok(PlayerCall::Monitor);
            world
        }),
        ("SETTING_MODE", || {
            // Cleaning up after a mode change that failed at its end.
            let mut world = World::ready();
            world.call(set_mode("MODE2"));
            while !world.ordered("DAQ program: spawn") {
                world.step();
            }
            world.spawn_fails = true;
            while !world.log.ends_with(&["DAQ program: quit".into()]) {
                world.step();
            }
            world
        }),
    ];
    for (state, make) in worlds {
        for temper in [Temper::Good, Temper::NeedsTerm, Temper::NeedsKill, Temper::Immortal] {
            let mut world = make();
            assert_eq!(world.state(), state);
            world.temper = temper;
            world.end();
            assert!(!world.is_alive(Child::Daq) || temper == Temper::Immortal, "{state}");
            assert!(!world.ordered("terminated") || state == "SCANNING");
        }
    }
}

fn busy_with(call: PlayerCall) -> World {
    let mut world = World::ready();
    world.call(call);
    assert!(world.player.is_busy());
    world
}

#[test]
fn nothing_begins_after_shutdown() {
    let mut world = World::ready();
    world.end();
    let lines = world.log.len();
    let calls = [set_mode("MODE1"), PlayerCall::Prepare, PlayerCall::Start(Value::Null), PlayerCall::Monitor];
    for call in calls.into_iter().chain([PlayerCall::ArmRoach]) {
        let error = world.ask_err(call);
        assert_eq!(error.message, "the player is shutting down");
    }
    world.ask_ok(PlayerCall::PlayerState);
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(false, "No scan running!"));
    world.tell(Input::Shutdown);
    assert_eq!(world.log.len(), lines, "{:?}", &world.log[lines..]);
    assert!(!world.player.is_busy(), "so that waiting calls get this answer");
}

#[test]
fn commands_to_a_site_program_keep_their_distance() {
    let (mut world, _) = World::starting();
    let begin = world.now.mono;
    world.ask_ok(PlayerCall::Stop);
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert!(world.now.mono.since(begin).as_secs_f64() > 2.0);
    let lines: Vec<_> = world.log.iter().filter(|l| l.starts_with("DAQ program: ")).collect();
    assert_eq!(lines, ["DAQ program: STOP", "DAQ program: START"]);
}

#[test]
fn a_fits_writer_that_ends_late_is_started_again() {
    let (mut world, _) = World::starting();
    world.ask_ok(PlayerCall::Stop);
    world.ask_ok(PlayerCall::Start(Value::Null));
    let lines: Vec<_> = world.log.iter().filter(|l| l.starts_with("FITS writer: ")).collect();
    assert_eq!(lines, ["FITS writer: STOP", "FITS writer: spawn", "FITS writer: START"]);
    assert_eq!(world.shown("last_error"), "None");

    let (mut world, _) = World::starting();
    world.ask_ok(PlayerCall::Stop);
    let start = world.call(PlayerCall::Start(Value::Null));
    world.spawn_fails = true;
    let error = world.answer(start).expect_err("nothing would be written");
    let text = "start(): the FITS writer has ended and does not start again: No such file or directory";
    assert_eq!(error.message, text);
    assert_eq!(world.state(), "READY");
}

#[test]
fn the_death_of_the_fits_writer_ends_a_pending_start() {
    let (mut world, start) = World::starting();
    world.kill(Child::FitsWriter);
    let error = world.answer(start).expect_err("nothing writes");
    assert_eq!(error.message, "start(): the FITS writer died: killed by signal 11");
}

#[test]
fn our_own_daq_program_has_no_fits_writer() {
    let mut world = World::with(builtin_config()).in_mode1();
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.ask_ok(PlayerCall::Stop);
    assert!(!world.is_alive(Child::FitsWriter));
    world.end();
}
