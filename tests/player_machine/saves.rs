//! What was acknowledged is in the file of the state: `kill -9` right after an answer loses nothing.

use crate::world::World;
use appliance::player::bank::Input;
use appliance::player::methods::PlayerCall;
use appliance::value::Value;

fn exposure(seconds: f64) -> PlayerCall {
    PlayerCall::SetParam(vec![("exposure".into(), Value::Float(seconds))])
}

#[test]
fn what_changes_the_state_is_answered_when_it_is_in_the_file() {
    let set_mode = PlayerCall::SetMode { mode: "MODE1".into(), bandwidth: Value::Null, force: true };
    for call in [exposure(0.5), PlayerCall::SetScanNumber(7), PlayerCall::Monitor, set_mode] {
        let mut world = World::ready();
        world.saving = false;
        let what = format!("{call:?}");
        let ticket = world.call(call);
        world.run_for(2.0);
        assert!(world.is_open(ticket), "{what}");
        world.tell(Input::Saved);
        // A mode has been saved twice on its way.
        for _ in 0..4 {
            world.tell(Input::Saved);
        }
        assert!(!world.is_open(ticket), "{what}");
        world.answer(ticket).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

#[test]
fn reads_and_the_end_of_a_scan_wait_for_no_file() {
    let mut world = World::scanning();
    world.saving = false;
    for call in [PlayerCall::GetMode, PlayerCall::PlayerState, PlayerCall::GetParam(None), PlayerCall::Stop] {
        let what = format!("{call:?}");
        let ticket = world.call(call);
        assert!(!world.is_open(ticket), "{what}");
    }
}

/// However many write at once: nobody waits for the changes of others after him.
#[test]
fn everybody_waits_for_the_own_change_only() {
    let mut world = World::ready();
    world.saving = false;
    let (first, second) = (world.call(exposure(0.5)), world.call(exposure(0.75)));
    world.tell(Input::Saved);
    assert!(!world.is_open(first) && world.is_open(second));
    let third = world.call(exposure(1.0));
    world.tell(Input::Saved);
    assert!(!world.is_open(second) && world.is_open(third));
    // What changes nothing has nothing to wait for, but what it says is true only when the change before it is.
    let same = world.call(exposure(1.0));
    world.tell(Input::Saved);
    assert!(!world.is_open(third) && !world.is_open(same));
}

/// Nobody comes to tell that the last state is saved: the loop has ended by then, and the node saves it.
#[test]
fn a_player_that_ends_answers_at_once() {
    for end in [Input::HandOver, Input::Shutdown] {
        let mut world = World::ready();
        world.saving = false;
        let waiting = world.call(exposure(0.5));
        world.tell(end);
        assert_eq!(world.answer(waiting), Ok(Value::Bool(true)), "it was done");
        let late = world.call(exposure(0.75));
        assert!(!world.is_open(late));
    }
}

#[test]
fn a_disk_that_hangs_delays_an_answer_for_three_seconds_and_that_is_said() {
    let mut world = World::ready();
    world.saving = false;
    let ticket = world.call(exposure(0.5));
    world.run_for(2.9);
    assert!(world.is_open(ticket));
    world.run_for(0.2);
    assert!(!world.is_open(ticket));
    assert_eq!(world.answer(ticket), Ok(Value::Bool(true)));
    let state = world.ask_ok(PlayerCall::PlayerState);
    let error = state.get("last_error").map(Value::to_string).unwrap_or_default();
    assert!(error.contains("a restart would not know"), "{error}");
    // It comes back; what was given up is not answered twice.
    world.tell(Input::Saved);
    world.saving = true;
    world.ask_ok(exposure(0.75));
}
