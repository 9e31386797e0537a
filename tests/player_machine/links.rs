//! The link to the board: lost, back, and what the board runs then.

use crate::world::*;
use appliance::api::ErrorClass;
use appliance::player::bank::Input;
use appliance::player::methods::PlayerCall;
use appliance::player::state::Link;
use appliance::value::Value;

#[test]
fn what_needs_the_board_is_refused_without_it() {
    let mut world = World::ready();
    world.drop_link();
    for call in
        [PlayerCall::Prepare, PlayerCall::Start(Value::Null), PlayerCall::ArmRoach, force_mode("MODE1")]
    {
        let error = world.ask_err(call);
        assert_eq!(error.class, ErrorClass::RuntimeError);
        assert!(
            error.message.starts_with("No connection to the ROACH of BANKA: the cable was pulled."),
            "{error}"
        );
    }
    assert!(world.shown("roach").starts_with("down: the cable was pulled"));
    assert_eq!(world.state(), "READY");
    world.link_back();
    world.run_for(1.0);
    assert_eq!(world.shown("roach"), "connected");
    world.ask_ok(PlayerCall::Prepare);
}

#[test]
fn before_the_first_connection_nothing_is_set() {
    let mut world = World::unconnected(site_config(), dibas(), false);
    let error = world.ask_err(set_mode("MODE1"));
    assert!(error.message.contains("not connected yet"), "{error}");
    assert_eq!(world.state(), "NO_MODE");
    world.link_back();
    world.ask_ok(set_mode("MODE1"));
}

#[test]
fn a_board_that_was_restarted_wants_its_mode_again() {
    let mut world = World::ready();
    world.drop_link();
    world.programmed = None;
    world.link_back();
    world.run_for(1.0);
    assert_eq!(world.shown("roach"), "connected, but the FPGA is not programmed");
    for call in [PlayerCall::Prepare, PlayerCall::Start(Value::Null), PlayerCall::ResetRoach] {
        let error = world.ask_err(call);
        assert!(error.message.contains("call set_mode again"), "{error}");
    }
    let reply = world.ask_ok(set_mode("MODE1"));
    assert_eq!(reply, Value::verdict(true, "New mode MODE1 set!"), "although it is the current one");
    world.ask_ok(PlayerCall::Prepare);
}

#[test]
fn a_scan_goes_on_without_the_link() {
    let mut world = World::scanning();
    world.drop_link();
    world.run_for(1.0);
    assert_eq!(world.state(), "SCANNING");
    assert!(world.shown("last_error").contains("lost the ROACH: the cable was pulled"));
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(true, "Scan ended"));
}

#[test]
fn a_link_lost_while_arming_fails_the_start() {
    let (mut world, start) = World::starting();
    while world.phase() != "arm" {
        assert!(world.step());
    }
    world.drop_link();
    let error = world.answer(start).expect_err("half armed");
    assert!(error.message.starts_with("start() failed at arm: "), "{error}");
    assert_eq!(world.state(), "READY");
}

#[test]
fn a_link_that_comes_back_while_a_job_runs_is_looked_at_afterwards() {
    let mut world = World::new();
    let ticket = world.call(set_mode("MODE1"));
    while world.phase() != "start_programs" {
        assert!(world.step());
    }
    world.drop_link();
    world.programmed = None;
    world.link_back();
    world.answer(ticket).expect("nothing more was asked of the board");
    world.run_for(1.0);
    assert_eq!(world.shown("roach"), "connected, but the FPGA is not programmed");
}

#[test]
fn the_look_at_the_board_is_not_lost_to_a_job_that_begins_meanwhile() {
    let mut world = World::ready();
    world.drop_link();
    world.programmed = None;
    world.link_back();
    let ticket = world.call(PlayerCall::Prepare);
    drop(world.answer(ticket));
    world.run_for(1.0);
    assert_eq!(world.shown("roach"), "connected, but the FPGA is not programmed");
}

#[test]
fn a_bank_without_a_board_has_no_link_to_lose() {
    let mut conf = dibas();
    conf.banks[0].has_roach = false;
    let mut world = World::unconnected(site_config(), conf, false).in_mode1();
    world.tell(Input::Link(Link::Down("what link?".into())));
    assert_eq!(world.shown("roach"), "absent");
    world.ask_ok(PlayerCall::Prepare);
    world.ask_ok(PlayerCall::ArmRoach);
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert_eq!(world.state(), "SCANNING");
    world.end();
    assert!(!world.ordered("fpga"), "{:?}", world.log);
}

/// It is said and the mode is set: whether the data are good is for the observer to tell.
#[test]
fn a_synthesizer_that_does_not_lock_is_said_until_it_does() {
    let mut world = World::new();
    world.locked = false;
    let begin = world.now.mono;
    world.ask_ok(set_mode("MODE1"));
    assert!(world.now.mono.since(begin).as_secs_f64() > 1.0, "it was given a second");
    let said = world.shown("wrong");
    assert!(said.contains("the synthesizer: not locked 1 s after its frequency was set"), "{said}");
    world.locked = true;
    world.ask_ok(force_mode("MODE1"));
    assert_eq!(world.shown("wrong"), "[]");
}
