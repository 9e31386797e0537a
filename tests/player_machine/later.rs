//! Starts for later, the schedule that survives its client, raw commands, and what the player says it is doing.

use crate::world::*;
use appliance::api::{ErrorClass, Family};
use appliance::player::bank::Input;
use appliance::player::methods::PlayerCall;
use appliance::player::scan::civil_value;
use appliance::player::state::State;
use appliance::units::Utc;
use appliance::value::Value;
use std::time::Duration;

fn start_in(in_secs: f64, dur_secs: f64) -> PlayerCall {
    PlayerCall::StartIn { in_secs, dur_secs }
}

fn map(members: &[(&str, Value)]) -> Value {
    Value::Map(members.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
}

/// A scan some seconds after the next whole second.
fn later(world: &World, seconds: u64, length: f64) -> Value {
    let start = world.now.utc.ceil_second() + Duration::from_secs(seconds);
    map(&[("start", civil_value(start)), ("length", length.into())])
}

fn schedule(scans: Vec<Value>) -> PlayerCall {
    PlayerCall::Schedule(Value::List(scans))
}

/// State and result of every scan of the schedule.
fn fates(world: &mut World) -> Vec<(String, String)> {
    let Value::List(all) = world.ask_ok(PlayerCall::Scheduled) else { panic!("a list") };
    let text = |v: &Value, key: &str| v.get(key).map(Value::to_string).expect("a member");
    all.iter().map(|v| (text(v, "state"), text(v, "result"))).collect()
}

fn why(world: &mut World, key: &str) -> String {
    let why = world.ask_ok(PlayerCall::Why);
    why.get(key).map(Value::to_string).unwrap_or_else(|| panic!("{key} in {why}"))
}

// ---------------------------------------------------------------------- startin

#[test]
fn startin_starts_a_scan_of_that_length_then() {
    let mut world = World::ready();
    let due = (world.now.utc + Duration::from_secs_f64(7.5)).ceil_second();
    let reply = world.ask_ok(start_in(7.5, 3.0));
    assert_eq!(reply, Value::verdict(true, format!("Successfully started roach for starttime={due}")));
    let State::Scanning(scan) = world.player.state() else { panic!("{}", world.state()) };
    assert_eq!((scan.start, scan.length), (due, Duration::from_secs(3)));
    assert_eq!(world.ask_ok(PlayerCall::GetParam(Some("scan_length".into()))), Value::Float(3.0));
    assert_eq!(world.status["SCANLEN"], "3.0");
    assert_eq!(world.status["STRTDMJD"], format!("{:.10}", due.mjd()));
    assert!(world.status.contains_key("REQSTI"));
}

#[test]
fn a_startin_that_is_refused_changes_nothing() {
    let mut world = World::ready();
    let length = world.ask_ok(PlayerCall::GetParam(Some("scan_length".into())));
    let too_soon = world.ask_err(start_in(1.0, 3.0));
    assert!(too_soon.message.starts_with("Not enough time to arm ROACH."), "{too_soon}");
    for in_secs in [-1.0, f64::NAN, 1e300] {
        assert_eq!(world.ask_err(start_in(in_secs, 3.0)).class, ErrorClass::ValueError);
    }
    let negative = world.ask(start_in(10.0, -3.0));
    assert_ne!(negative, Ok(Value::Bool(true)));
    assert_eq!(world.state(), "READY");
    assert_eq!(world.ask_ok(PlayerCall::GetParam(Some("scan_length".into()))), length);
    assert_eq!(World::new().ask_ok(start_in(10.0, 3.0)), Value::Null, "no mode");
    let already = Value::verdict(false, "Scan already started.");
    assert_eq!(World::scanning().ask_ok(start_in(10.0, 3.0)), already);
}

// ---------------------------------------------------------------------- commands

#[test]
fn write_cmd_reaches_the_programs_but_cannot_belie_the_state() {
    let mut world = World::ready();
    assert_eq!(world.ask_ok(PlayerCall::WriteCmd("INIT_GPU".into())), Value::Null);
    world.run_for(3.0);
    assert!(world.ordered("DAQ program: INIT_GPU") && world.ordered("FITS writer: INIT_GPU"));
    for line in ["", "  ", "a\nb", "a\rb", &"x".repeat(201)] {
        assert_eq!(
            world.ask_err(PlayerCall::WriteCmd(line.into())).class,
            ErrorClass::ValueError,
            "{line:?}"
        );
    }
    let mut world = World::scanning();
    for line in ["stop", "STOP", " quit "] {
        let error = world.ask_err(PlayerCall::WriteCmd(line.into()));
        assert_eq!(error.family, Family::Refused);
        assert!(error.message.contains("SCANNING: call stop() first"), "{error}");
    }
    world.ask_ok(PlayerCall::WriteCmd("whatever".into()));
    assert_eq!(world.state(), "SCANNING");
    assert_eq!(World::new().ask_ok(PlayerCall::WriteCmd("x".into())), Value::Null, "no mode");
}

#[test]
fn set_cov_mode_writes_its_key() {
    let mut world = World::ready();
    assert_eq!(world.ask_ok(PlayerCall::SetCovMode(2)), Value::Null);
    assert_eq!(world.status["COVMODE"], "PAF_CAL");
    for n in [0, 7, -1, i64::MIN] {
        let error = world.ask_err(PlayerCall::SetCovMode(n));
        assert!(error.message.contains("1 HI, 2 PAF_CAL"), "{error}");
    }
    assert_eq!(world.status["COVMODE"], "PAF_CAL");
}

// ---------------------------------------------------------------------- the schedule

#[test]
fn the_schedule_is_worked_off_without_its_client() {
    let mut world = World::ready();
    world.client = Some("10.16.96.7:4711".into());
    let params = map(&[("observer", "Grace".into()), ("exposure", Value::Float(0.5))]);
    let mut first = later(&world, 30, 5.0);
    if let Value::Map(members) = &mut first {
        members.extend([("params".to_owned(), params), ("scan_number".to_owned(), Value::Int(41))]);
    }
    let second = later(&world, 60, 4.0);
    // In any order.
    let ids = world.ask_ok(schedule(vec![second, first]));
    assert_eq!(ids, Value::List(vec![Value::Int(1), Value::Int(2)]));
    let starts: Vec<Utc> = [30, 60].map(|s| world.now.utc.ceil_second() + Duration::from_secs(s)).to_vec();
    assert_eq!(
        fates(&mut world),
        [("waiting".to_owned(), "None".to_owned()), ("waiting".into(), "None".into())]
    );
    assert_eq!(why(&mut world, "waiting_for"), "scheduled scan 2");
    let mut seen = Vec::new();
    for _ in 0..200 {
        world.run_for(0.5);
        if let State::Scanning(scan) = world.player.state()
            && seen.last() != Some(&(scan.start, scan.length.as_secs()))
        {
            seen.push((scan.start, scan.length.as_secs()));
            assert_eq!(scan.client.as_deref(), Some("10.16.96.7:4711"));
        }
    }
    assert_eq!(seen, [(starts[0], 5), (starts[1], 4)]);
    assert_eq!(
        fates(&mut world),
        [("ended".to_owned(), "complete".to_owned()), ("ended".into(), "complete".into())]
    );
    assert_eq!(world.status["OBSERVER"], "Grace", "prepared");
    assert_eq!(world.status["SCANNUM"], "41");
    assert_eq!(world.state(), "READY");
    world.end();
}

#[test]
fn a_list_with_one_bad_scan_is_refused_whole() {
    let mut world = World::ready();
    let good = later(&world, 100, 10.0);
    let bad = [
        (later(&world, 10, 1.0), "cannot be scheduled: the earliest is"),
        (later(&world, 112, 5.0), "is too near to scan 1"),
        (later(&world, 93, 5.0), "is too near to scan 1"),
        (later(&world, 200, -1.0), "'length' must be a number"),
        (later(&world, 200, f64::INFINITY), "'length' must be a number"),
        (map(&[("length", 3.0.into())]), "'start' is missing"),
        (map(&[("start", Value::Null), ("length", 3.0.into())]), "starttime must be a datetime"),
        (map(&[("begin", Value::Null)]), "unknown member 'begin'"),
        (Value::Int(3), "an object {start, length, params} is needed"),
    ];
    for (scan, text) in bad {
        let error = world.ask_err(schedule(vec![good.clone(), scan]));
        assert!(error.message.contains(text), "{error} for {text}");
        assert!(fates(&mut world).is_empty());
    }
    let mut wrong_name = later(&world, 200, 3.0);
    if let Value::Map(members) = &mut wrong_name {
        members.push(("params".into(), map(&[("obsrver", "x".into())])));
    }
    let error = world.ask_err(schedule(vec![wrong_name]));
    assert!(error.message.starts_with("No such parameter 'obsrver'"), "{error}");
    assert!(world.ask_err(PlayerCall::Schedule(Value::Int(1))).message.contains("must be a list"));
    assert!(World::new().ask_err(schedule(vec![])).message.contains("until a mode is selected"));
    assert!(fates(&mut world).is_empty());
}

#[test]
fn a_scan_that_waits_can_be_taken_back() {
    let mut world = World::ready();
    let scans = [40, 80, 120].map(|s| later(&world, s, 5.0)).to_vec();
    world.ask_ok(schedule(scans));
    assert_eq!(world.ask_ok(PlayerCall::Unschedule(2)), Value::verdict(true, "1 scheduled scans cancelled."));
    let again = Value::verdict(false, "Scan 2 does not wait any more: cancelled.");
    assert_eq!(world.ask_ok(PlayerCall::Unschedule(2)), again);
    assert_eq!(
        world.ask_ok(PlayerCall::Unschedule(9)),
        Value::verdict(false, "There is no scheduled scan 9.")
    );
    world.run_for(37.0);
    assert_eq!(world.state(), "STARTING");
    let busy = Value::verdict(false, "Scan 1 is starting: call stop() to end it.");
    assert_eq!(world.ask_ok(PlayerCall::Unschedule(1)), busy);
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(true, "Pending start cancelled."));
    assert_eq!(world.ask_ok(PlayerCall::Unschedule(0)), Value::verdict(true, "1 scheduled scans cancelled."));
    world.run_for(120.0);
    let states: Vec<_> = fates(&mut world).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["failed", "cancelled", "cancelled"]);
    assert!(!world.ordered("\"arm\""));
}

#[test]
fn a_scheduled_scan_that_cannot_start_says_why_and_the_next_one_does() {
    type Fault = fn(&mut World);
    let table: [(Fault, &str); 4] = [
        (|w| w.drop_link(), "No connection to the ROACH"),
        (|w| w.board = Board::FailsOnce, "prepare(MODE1) failed"),
        (|w| w.clock = Some(Err("no adjtimex".into())), "cannot be judged: no adjtimex"),
        (
            |w| {
                w.call(PlayerCall::SetParam(vec![("scan_length".into(), Value::Int(60))]));
                w.call(PlayerCall::Start(Value::Null));
            },
            "its time of arming went by; the player was at SCANNING",
        ),
    ];
    for (fault, text) in table {
        let mut world = World::ready();
        let scans = vec![later(&world, 40, 5.0), later(&world, 120, 5.0)];
        world.ask_ok(schedule(scans));
        world.run_for(25.0);
        fault(&mut world);
        world.run_for(30.0);
        let (state, result) = fates(&mut world)[0].clone();
        assert_eq!(state, "failed", "{text}: {result}");
        assert!(result.contains(text), "{result} for {text}");
        assert!(world.shown("last_error").contains("scheduled scan 1"), "{}", world.shown("last_error"));
        world.repair();
        world.clock = Some(Ok(good_clock()));
        world.run_for(100.0);
        assert_eq!(fates(&mut world)[1], ("ended".to_owned(), "complete".to_owned()), "{text}");
    }
}

#[test]
fn what_is_scheduled_does_not_hold_up_the_end() {
    let mut world = World::ready();
    let scans = vec![later(&world, 100, 5.0)];
    world.ask_ok(schedule(scans));
    world.end();
}

// ---------------------------------------------------------------------- a restart

#[test]
fn the_schedule_survives_a_restart_and_what_was_missed_is_not_run_late() {
    let mut world = World::ready();
    world.client = Some("10.16.96.7:4711".into());
    let params = map(&[("observer", "Grace".into())]);
    let mut third = later(&world, 200, 5.0);
    if let Value::Map(members) = &mut third {
        members.push(("params".to_owned(), params));
    }
    let scans = vec![later(&world, 40, 5.0), later(&world, 90, 5.0), third];
    world.ask_ok(schedule(scans));
    world.ask_ok(PlayerCall::Unschedule(1));
    world.restart(site_config(), 120.0);
    let states: Vec<_> = fates(&mut world).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["cancelled", "missed", "waiting"]);
    assert!(fates(&mut world)[1].1.contains("while no player ran"), "{:?}", fates(&mut world));
    assert!(world.shown("last_error").contains("scheduled scans missed while no player ran: 2"));
    world.run_for(100.0);
    assert_eq!(fates(&mut world)[2], ("ended".to_owned(), "complete".to_owned()));
    assert_eq!(world.status["OBSERVER"], "Grace");
    // Ids go on where they were.
    let next = vec![later(&world, 60, 1.0)];
    assert_eq!(world.ask_ok(schedule(next)), Value::List(vec![Value::Int(4)]));
    world.end();
}

#[test]
fn a_scheduled_scan_that_runs_when_the_player_is_restarted_is_gone_on_with() {
    let mut world = World::ready();
    let scans = vec![later(&world, 40, 20.0)];
    world.ask_ok(schedule(scans));
    world.run_for(45.0);
    assert_eq!(world.state(), "SCANNING");
    world.restart(site_config(), 3.0);
    assert_eq!((world.state(), fates(&mut world)[0].0.clone()), ("SCANNING", "running".to_owned()));
    world.run_for(40.0);
    let (state, verdict) = fates(&mut world)[0].clone();
    assert_eq!(state, "ended");
    assert!(verdict.starts_with("complete"), "{verdict}");
    assert_eq!(world.ask_ok(PlayerCall::GetParam(Some("scan_length".into()))), Value::Float(20.0));
}

#[test]
fn a_scheduled_scan_is_started_whenever_the_player_is_restarted_before() {
    // While it waits, is prepared, waits for its arm time.
    for seconds in [5.0, 27.0, 34.0] {
        let mut world = World::ready();
        let scans = vec![later(&world, 40, 5.0)];
        world.ask_ok(schedule(scans));
        world.run_for(seconds);
        let before = world.state();
        world.restart(site_config(), 0.5);
        world.run_for(60.0);
        let fate = fates(&mut world)[0].clone();
        assert_eq!(fate, ("ended".to_owned(), "complete".to_owned()), "restarted in {before}");
    }
}

// ---------------------------------------------------------------------- why

#[test]
fn why_tells_what_is_waited_for_in_every_state() {
    let mut world = World::new();
    assert_eq!(why(&mut world, "doing"), "nothing: no mode is set");
    assert_eq!(why(&mut world, "waiting_for"), "set_mode()");
    world.call(set_mode("MODE1"));
    assert!(why(&mut world, "doing").starts_with("setting MODE1: "), "{}", why(&mut world, "doing"));
    world.run_for(5.0);
    assert_eq!(why(&mut world, "waiting_for"), "start()");
    assert_eq!((why(&mut world, "until"), why(&mut world, "wrong")), ("None".into(), "[]".into()));
    world.call(PlayerCall::Start(Value::Null));
    world.run_for(3.0);
    let State::Starting(scan) = world.player.state() else { panic!("{}", world.state()) };
    let (arm_at, start) = (scan.arm_at, scan.start);
    assert_eq!(why(&mut world, "waiting_for"), "the time of arming");
    assert_eq!(why(&mut world, "until"), arm_at.to_string());
    world.run_for(3.0);
    assert_eq!(why(&mut world, "doing"), format!("taking data of scan 1 since {start}"));
    assert_eq!(world.shown("waiting_for"), "the end of the scan", "in player_state, too");
    world.ask_ok(PlayerCall::Stop);
    assert_eq!(why(&mut world, "waiting_for"), "the DAQ program to report DAQSTATE=stopped");
    world.run_for(3.0);
    world.ask_ok(PlayerCall::Monitor);
    assert_eq!(why(&mut world, "waiting_for"), "stop()");
    world.ask_ok(PlayerCall::Stop);
    world.run_for(3.0);
    world.drop_link();
    world.clock = Some(Err("no adjtimex".into()));
    let wrong = why(&mut world, "wrong");
    for part in
        ["the ROACH is not connected: the cable was pulled", "no scan can start: the clock of this host"]
    {
        assert!(wrong.contains(part), "{part} in {wrong}");
    }
    world.tell(Input::Shutdown);
    assert!(why(&mut world, "doing").starts_with("leaving"));
}

#[test]
fn a_scan_that_is_not_complete_is_wrong_until_the_next() {
    let mut world = World::scanning();
    world.run_for(2.0);
    world.kill(appliance::plan::Child::Daq);
    world.run_for(1.0);
    assert!(why(&mut world, "wrong").contains("the last scan is failed (the DAQ program died"));
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(2.0);
    world.ask_ok(PlayerCall::Stop);
    world.run_for(5.0);
    assert_eq!(why(&mut world, "wrong"), "[]");
}
