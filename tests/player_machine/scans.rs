//! `start`, `stop`, `monitor`, the watchdog and the wall clock.

use crate::world::*;
use appliance::api::{ErrorClass, Family};
use appliance::player::bank::{Input, Ticket};
use appliance::player::methods::PlayerCall;
use appliance::player::state::State;
use appliance::units::Utc;
use appliance::value::Value;
use std::time::Duration;

fn time(fields: &[i64]) -> Value {
    Value::List(fields.iter().map(|n| Value::Int(*n)).collect())
}

fn arm_at(world: &World) -> Utc {
    match world.player.state() {
        State::Starting(scan) => scan.arm_at,
        other => panic!("{other:?}"),
    }
}

/// Moves to a moment of the wall clock.
fn run_to(world: &mut World, at: Utc) {
    world.run_for(at.nanos_since(world.now.utc) as f64 / 1e9);
}

#[test]
fn a_start_arms_in_the_last_second_before() {
    let mut world = World::ready();
    let ticket = world.call(PlayerCall::Start(Value::Null));
    let at = arm_at(&world);
    assert_eq!(at.to_string(), "2026-11-21 02:35:24.100000");
    run_to(&mut world, Utc(at.0 - 1));
    assert!(!world.ordered("\"arm\""), "not a moment too soon");
    world.answer(ticket).expect("armed");
    assert_eq!(world.log.iter().filter(|l| l.contains("fpga: Write")).count(), 7);
    assert!(world.now.utc < at + Duration::from_millis(400));
    assert_eq!(world.status["ACCBLKOU"], "-");
    assert_eq!(world.status["STTMJD"], "61365.1079282407");
    assert_eq!(world.shown("last_error"), "None");
}

#[test]
fn start_times_too_early_or_of_a_bad_shape_are_refused() {
    let mut world = World::ready();
    let table = [
        (
            3.into(),
            ErrorClass::Exception,
            "starttime must be a datetime or datetime compatible tuple or list.",
        ),
        (time(&[2026, 1]), ErrorClass::TypeError, "Required argument 'day' (pos 3) not found"),
        (time(&[]), ErrorClass::TypeError, "Required argument 'year' (pos 1) not found"),
        (time(&[2026, 13, 1]), ErrorClass::ValueError, "month must be in 1..12"),
        (time(&[2026, 2, 30]), ErrorClass::ValueError, "day is out of range for month"),
        (
            time(&[2020, 1, 1]),
            ErrorClass::Exception,
            "Not enough time to arm ROACH. Start: 2020-01-01 00:00:00, earliest possible start: 2026-11-21 02:35:25",
        ),
        (
            time(&[2026, 11, 21, 2, 35, 24]),
            ErrorClass::Exception,
            "Not enough time to arm ROACH. Start: 2026-11-21 02:35:24, earliest possible start: 2026-11-21 02:35:25",
        ),
    ];
    let begin = world.now.utc;
    for (starttime, class, text) in table {
        let error = world.ask_err(PlayerCall::Start(starttime));
        assert_eq!((error.class, error.message.as_str()), (class, text));
        assert_eq!(world.now.utc, begin, "refused at once");
    }
    assert!(world.log.is_empty());
    assert_eq!(world.state(), "READY");
}

#[test]
fn fractions_of_a_start_time_are_rounded_up() {
    let mut world = World::ready();
    let reply = world.ask_ok(PlayerCall::Start(time(&[2026, 11, 21, 2, 35, 30, 1])));
    let text = "Successfully started roach for starttime=2026-11-21 02:35:31";
    assert_eq!(reply, Value::verdict(true, text));
}

#[test]
fn a_second_start_is_told_that_there_is_one() {
    let already = Value::verdict(false, "Scan already started.");
    assert_eq!(World::starting().0.ask_ok(PlayerCall::Start(Value::Null)), already);
    assert_eq!(World::scanning().ask_ok(PlayerCall::Start(Value::Null)), already);
}

#[test]
fn a_scan_length_that_is_none_is_refused() {
    let mut world = World::ready();
    for length in [-1.0, 1e300] {
        let set = world.ask(PlayerCall::SetParam(vec![("scan_length".into(), length.into())]));
        if matches!(set, Ok(Value::Bool(true))) {
            let error = world.ask_err(PlayerCall::Start(Value::Null));
            assert!(error.message.contains("is no length of a scan"), "{error}");
        }
        assert_eq!(world.state(), "READY");
    }
}

#[test]
fn stop_cancels_a_pending_start() {
    let (mut world, start) = World::starting();
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(true, "Pending start cancelled."));
    let error = world.answer(start).expect_err("cancelled");
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Exception, "start(): cancelled by stop()")
    );
    assert_eq!(world.state(), "READY");
    world.run_for(30.0);
    assert!(world.ordered("DAQ program: STOP"));
    assert!(!world.ordered("\"arm\""), "{:?}", world.log);
    assert_eq!(world.status["DAQSTATE"], "stopped");
}

#[test]
fn the_client_of_a_start_can_withdraw_it() {
    let (mut world, start) = World::starting();
    world.tell(Input::Cancel { ticket: Ticket(start + 7) });
    assert_eq!(world.state(), "STARTING", "another's ticket");
    world.tell(Input::Cancel { ticket: Ticket(start) });
    assert!(world.answer(start).is_err());
    assert_eq!(world.state(), "READY");
}

#[test]
fn stop_while_arming_lets_the_board_finish_and_starts_nothing() {
    let (mut world, start) = World::starting();
    while world.phase() != "arm" {
        assert!(world.step());
    }
    world.step();
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(true, "Pending start cancelled."));
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(true, "Pending start cancelled."), "again");
    let error = world.answer(start).expect_err("cancelled");
    assert_eq!(error.message, "start(): cancelled by stop()");
    assert_eq!(world.log.iter().filter(|l| l.contains("fpga: Write")).count(), 7, "the whole arm phase");
    assert_eq!(world.state(), "READY");
    world.run_for(3.0);
    assert!(world.ordered("DAQ program: STOP"));
}

#[test]
fn a_program_that_starts_too_slowly_misses_the_deadline() {
    let mut world = World::ready();
    world.kill(appliance::plan::Child::Daq);
    let at = world.now;
    let ticket = world.call(PlayerCall::Start(Value::Null));
    // Everybody slept until after the arm time: the machine was suspended.
    world.set_clock(5.0);
    let error = world.answer(ticket).expect_err("too late");
    assert_eq!(error.message, "start(): deadline missed, arm time is in the past.");
    assert_eq!(error.family, Family::Timeout);
    assert_eq!(world.state(), "READY");
    assert!(world.now.mono.since(at.mono) < Duration::from_secs(1));
}

#[test]
fn a_board_too_slow_to_arm_in_time_is_not_armed_for_the_wrong_second() {
    let (mut world, start) = World::starting();
    world.board_takes = Duration::from_millis(300);
    let error = world.answer(start).expect_err("too late");
    assert!(error.message.starts_with("start(): armed too late"), "{error}");
    assert_eq!(error.family, Family::Timeout);
    assert_eq!(world.state(), "READY");
    world.run_for(5.0);
    assert!(world.ordered("DAQ program: STOP"));
}

#[test]
fn the_last_arm_write_answered_late_is_too_late() {
    let (mut world, start) = World::starting();
    while !world.ordered("\"sg_sync\", offset: 0, data: [0, 0, 0, 20]") {
        if world.log.iter().filter(|l| l.contains("fpga: Write")).count() == 6 {
            world.board_takes = Duration::from_millis(900);
        }
        assert!(world.step());
    }
    let error = world.answer(start).expect_err("too late");
    assert!(error.message.starts_with("start(): armed too late by "), "{error}");
    assert_eq!(world.state(), "READY");
}

#[test]
fn a_clock_set_forward_while_starting_misses_the_start() {
    let (mut world, start) = World::starting();
    world.set_clock(3.9);
    let error = world.answer(start).expect_err("missed");
    assert!(error.message.contains("was the clock set?"), "{error}");
    assert_eq!(world.state(), "READY");
    assert!(!world.ordered("\"arm\""));
}

#[test]
fn a_clock_set_back_while_starting_moves_the_arm_time_with_it() {
    let (mut world, start) = World::starting();
    let (at, begin) = (arm_at(&world), world.now.mono);
    world.set_clock(-3.0);
    world.answer(start).expect("armed");
    assert!(world.now.utc > at, "by the clock as it is now");
    let took = world.now.mono.since(begin).as_secs_f64();
    assert!((5.0..6.5).contains(&took), "{took} s");
    assert_eq!(world.state(), "SCANNING");
}

#[test]
fn a_clock_set_while_scanning_does_not_move_the_end() {
    for step in [3.0, -3.0, 86_400.0] {
        let mut world = World::scanning();
        let State::Scanning(scan) = world.player.state() else { panic!("scanning") };
        let end = scan.ends.expect("known once armed");
        world.set_clock(step);
        while world.state() == "SCANNING" {
            assert!(world.step());
        }
        assert_eq!(world.now.mono, end, "clock set by {step} s");
        assert_eq!(world.status["SCANREM"], "scan terminated");
    }
}

#[test]
fn the_watchdog_counts_down_and_ends_the_scan() {
    let mut world = World::scanning();
    let start = match world.player.state() {
        State::Scanning(scan) => scan.start,
        other => panic!("{other:?}"),
    };
    let mut seen = vec![world.status["SCANREM"].clone()];
    while world.state() == "SCANNING" {
        assert!(world.step());
        if seen.last() != world.status.get("SCANREM") {
            seen.push(world.status["SCANREM"].clone());
        }
    }
    assert_eq!(seen, ["5", "4", "3", "2", "1", "0", "scan terminated"]);
    assert_eq!(world.now.utc, start + Duration::from_secs(6), "length and a second");
    assert_eq!(world.status["DISKSTAT"], "-");
    assert!(world.shown("last_scan").contains("complete"), "{}", world.shown("last_scan"));
    assert!(world.ordered("DAQ program: stop") && world.ordered("FITS writer: stop"));
    world.run_for(20.0);
    assert_eq!(world.shown("last_error"), "None", "an end in order is no error");
}

#[test]
fn a_scan_stopped_by_hand_is_kept_as_that() {
    let mut world = World::scanning();
    world.run_for(2.0);
    world.ask_ok(PlayerCall::Stop);
    assert_eq!(world.state(), "READY");
    assert!(world.shown("last_scan").contains("stopped"));
    world.run_for(20.0);
    assert_ne!(world.status["SCANREM"], "scan terminated");
    assert_eq!(world.shown("last_error"), "None");
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert_eq!(world.state(), "SCANNING");
}

#[test]
fn a_daq_program_that_does_not_report_stopped_is_said() {
    let mut world = World::scanning();
    world.ask_ok(PlayerCall::Stop);
    world.run_for(0.1);
    world.status.insert("DAQSTATE".into(), "running".into());
    world.run_for(9.0);
    assert_eq!(world.shown("last_error"), "None");
    world.run_for(2.0);
    assert!(
        world.shown("last_error").contains("DAQSTATE=stopped within 10 s"),
        "{}",
        world.shown("last_error")
    );
}

#[test]
fn monitor_runs_until_stop() {
    let mut world = World::ready();
    assert_eq!(world.ask_ok(PlayerCall::Monitor), Value::verdict(true, "Start monitor mode."));
    assert_eq!(world.state(), "MONITORING");
    assert!(world.ordered("DAQ program: monitor"));
    world.ask_ok(PlayerCall::Prepare);
    world.ask_ok(PlayerCall::ResetRoach);
    assert_eq!(world.state(), "MONITORING", "the DAQ program is still at it");
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(true, "Ending monitor mode."));
    world.run_for(3.0);
    assert!(world.ordered("DAQ program: stop"));
    assert_eq!(world.state(), "READY");
}

#[test]
fn a_start_ends_monitor_mode_first() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Monitor);
    world.run_for(5.0);
    world.log.clear();
    world.ask_ok(PlayerCall::Start(Value::Null));
    let lines: Vec<_> = world.log.iter().filter(|l| l.starts_with("DAQ program: ")).collect();
    assert_eq!(lines, ["DAQ program: stop", "DAQ program: START"], "a running program passes START over");
}

#[test]
fn player_state_tells_of_the_scan() {
    let world = World::scanning();
    let scan = world.shown("scan");
    for part in ["'remaining_s': 5", "'length_s': 5.0", "arm_late_us", "arm_margin_ms", "02:35:25"] {
        assert!(scan.contains(part), "{part} in {scan}");
    }
}
