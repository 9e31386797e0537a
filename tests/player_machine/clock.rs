//! The wall clock of the host: a start needs one that is kept, and a clock that is set meanwhile moves the start
//! with it or ends it.

use crate::world::*;
use appliance::api::{CallError, Family};
use appliance::player::bank::Input;
use appliance::player::config::{PlayerConfig, ScanRules};
use appliance::player::methods::PlayerCall;
use appliance::player::state::State;
use appliance::sys::realtime::ClockQuality;
use appliance::units::Utc;
use appliance::value::Value;
use std::time::Duration;

/// What comes of a start by this clock.
fn start_by(config: PlayerConfig, clock: Option<Result<ClockQuality, String>>) -> (World, Option<CallError>) {
    let mut world = World::with(config).in_mode1();
    world.clock = None;
    if let Some(clock) = clock {
        world.tell(Input::Clock(clock));
    }
    let error = world.ask(PlayerCall::Start(Value::Null)).err();
    (world, error)
}

fn with_error(milliseconds: u64) -> ClockQuality {
    ClockQuality { error_max: Duration::from_millis(milliseconds), ..good_clock() }
}

#[test]
fn a_clock_that_is_not_kept_starts_nothing() {
    let loose = ClockQuality { synchronised: false, error_max: Duration::from_secs(16), ..good_clock() };
    let table = [
        (Ok(loose), "is not synchronised (it may be wrong by 16000 ms)"),
        (Ok(with_error(101)), "may be wrong by 101 ms, more than 100 ms"),
        (
            Err("adjtimex: Operation not permitted".to_owned()),
            "cannot be judged: adjtimex: Operation not permitted",
        ),
    ];
    for (clock, why) in table {
        let (world, error) = start_by(site_config(), Some(clock));
        let error = error.expect("refused");
        assert_eq!(error.family, Family::Refused);
        assert!(error.message.contains(why), "{error}");
        assert!(error.message.contains("chronyc tracking"), "it says what to do: {error}");
        assert_eq!(world.state(), "READY");
        assert!(world.log.is_empty(), "nothing was touched: {:?}", world.log);
    }
    assert_eq!(start_by(site_config(), Some(Ok(with_error(100)))).1, None, "the limit itself is allowed");
}

#[test]
fn what_was_heard_long_ago_is_not_believed() {
    let mut world = World::ready();
    world.clock = None;
    world.run_for(11.0);
    let error = world.ask_err(PlayerCall::Start(Value::Null));
    assert!(error.message.contains("looked at 11 s ago"), "{error}");
    world.tell(Input::Clock(Ok(good_clock())));
    world.ask_ok(PlayerCall::Start(Value::Null));
}

#[test]
fn the_override_is_kept_with_the_scan() {
    let rules = ScanRules { require_clock: false, ..ScanRules::default() };
    let simulated = PlayerConfig { simulate: true, ..site_config() };
    let lenient = PlayerConfig { scan: rules, ..site_config() };
    for (config, allowed) in [(simulated, "a simulation"), (lenient, "player.require_clock = false")] {
        let (world, error) = start_by(config, Some(Ok(with_error(500))));
        assert_eq!(error, None);
        let State::Scanning(scan) = world.player.state() else { panic!("{}", world.state()) };
        let [said] = scan.overrides.as_slice() else { panic!("{:?}", scan.overrides) };
        assert!(said.contains("wrong by 500 ms") && said.contains(allowed), "{said}");
    }
    let (world, _) = start_by(site_config(), Some(Ok(good_clock())));
    let State::Scanning(scan) = world.player.state() else { panic!("{}", world.state()) };
    assert!(scan.overrides.is_empty());
}

#[test]
fn player_state_shows_the_clock() {
    let mut world = World::ready();
    let clock = ClockQuality { leap_pending: true, pps: true, ..good_clock() };
    world.clock = None;
    world.tell(Input::Clock(Ok(clock)));
    let shown = world.shown("clock");
    for part in ["'synchronised': True", "pulse per second", "'max_error_us': 3000", "'leap_pending': True"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    world.tell(Input::Clock(Err("no".into())));
    assert_eq!(world.shown("clock"), "None");
}

/// The start second stays what it is by the clock as it is now; when its time of arming has gone by, there is no scan.
#[test]
fn a_clock_that_is_set_while_starting_moves_the_start_or_ends_it() {
    // Arming is 3 s away when the clock is set.
    for (step, armed) in
        [(1.0, true), (-1.0, true), (3.0, true), (-3.0, true), (3.9, false), (86_400.0, false)]
    {
        let (mut world, start) = World::starting();
        let State::Starting(scan) = world.player.state() else { panic!("{}", world.state()) };
        let (arm_at, begin) = (scan.arm_at, world.now);
        let away = arm_at.nanos_since(begin.utc) as f64 / 1e9;
        world.set_clock(step);
        let outcome = world.answer(start);
        assert_eq!(outcome.is_ok(), armed, "{step} s: {outcome:?}");
        assert_eq!(world.ordered("\"arm\""), armed);
        if !armed {
            assert!(outcome.expect_err("missed").message.contains("was the clock set?"));
            assert_eq!(world.state(), "READY");
            continue;
        }
        let State::Scanning(scan) = world.player.state() else { panic!("{}", world.state()) };
        let (first, _) = scan.armed.expect("armed");
        let late = first.utc.nanos_since(arm_at);
        assert!((0..400_000_000).contains(&late), "by the clock as it is now, {late} ns late");
        let waited = first.mono.since(begin.mono).as_secs_f64();
        assert!((waited - (away - step).max(0.0)).abs() < 0.4, "{step} s: waited {waited} s of {away} s");
        assert_eq!(scan.clock_moved(first), (step * 1e9) as i64);
    }
}

#[test]
fn a_leap_second_keeps_starts_away_from_midnight() {
    let leap = ClockQuality { leap_pending: true, ..good_clock() };
    let midnight = |s: i64| {
        // 2026-11-22 00:00:00 and `s`.
        Utc::from_seconds(1_795_305_600 + s)
    };
    assert_eq!(midnight(0).to_string(), "2026-11-22 00:00:00");
    for (second, leaps, allowed) in [
        (0, true, false),
        (1, true, false),
        (-1, true, false),
        (2, true, true),
        (-2, true, true),
        (0, false, true),
    ] {
        let mut world = World::ready();
        world.clock = Some(Ok(if leaps { leap } else { good_clock() }));
        world.set_clock(midnight(-30).nanos_since(world.now.utc) as f64 / 1e9);
        let time = appliance::player::scan::civil_value(midnight(second));
        let outcome = world.ask(PlayerCall::Start(time));
        assert_eq!(outcome.is_ok(), allowed, "{second} s from midnight: {outcome:?}");
        if let Err(error) = outcome {
            assert!(error.message.contains("Start at 2026-11-22 00:00:02 or later"), "{error}");
            assert_eq!(world.state(), "READY");
        }
    }
}
