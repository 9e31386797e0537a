//! Data buffers made before programs start, and the methods around shared memory.

use super::world::*;
use appliance::player::config::PlayerConfig;
use appliance::player::methods::PlayerCall;
use appliance::player::surroundings::{Buffers, Surroundings};
use appliance::shm::databuf::Layouts;
use appliance::value::Value;

const WANTED: &str = "32 x 32768 KiB, 32 x 32768 KiB, 24 x 16384 KiB";

fn config(buffers: fn(Layouts) -> Buffers) -> PlayerConfig {
    let buffers = buffers(Layouts::with_standard(Vec::new()));
    PlayerConfig { surroundings: Surroundings { buffers, ..Surroundings::default() }, ..site_config() }
}

fn world() -> World {
    World::with(config(Buffers::Made))
}

/// Where in the log.
fn at(world: &World, text: &str) -> usize {
    let found = world.log.iter().position(|line| line.contains(text));
    found.unwrap_or_else(|| panic!("no '{text}' in {:#?}", world.log))
}

fn reformat(mode: &str) -> PlayerCall {
    PlayerCall::ReformatDataBuffers(mode.into())
}

#[test]
fn buffers_are_made_between_the_end_of_the_old_programs_and_the_start_of_the_new() {
    let mut world = world().in_mode1();
    world.ask_ok(set_mode("MODE2"));
    let (stop, made) = (at(&world, "quit"), at(&world, WANTED));
    assert!(stop < made && made < at(&world, "DAQ program: spawn"), "{:#?}", world.log);
}

#[test]
fn status_memory_is_emptied_with_buffers_that_were_made_anew_only() {
    for (anew, left) in [(true, None), (false, Some("x"))] {
        let mut world = world();
        world.buffers = Some(Ok(anew));
        world.status.insert("OLD".into(), "x".into());
        world.ask_ok(set_mode("MODE1"));
        assert_eq!(world.status.get("OLD").map(String::as_str), left, "made anew: {anew}");
        assert!(world.status.contains_key("BACKEND"), "written after it");
    }
}

#[test]
fn a_program_that_is_attached_is_the_error_of_set_mode() {
    let mut world = world();
    world.buffers = Some(Err("data buffer 0x00c62c70 is in use by pid 7 (vegas_hpc)".into()));
    let error = world.ask_err(set_mode("MODE1"));
    assert!(error.message.contains("MODE1 failed at data_buffers: "), "{error}");
    assert!(error.message.contains("pid 7 (vegas_hpc)"), "{error}");
    assert_eq!(world.state(), "NO_MODE");
    assert!(!world.ordered("DAQ program: spawn"));
}

#[test]
fn a_worker_that_never_answers_is_given_up() {
    let mut world = world();
    world.buffers = None;
    let begun = world.now.mono;
    let error = world.ask_err(set_mode("MODE1"));
    assert!(error.message.contains("no answer in time"), "{error}");
    assert_eq!(world.now.mono.since(begun).as_secs(), 60);
}

#[test]
fn nothing_is_made_where_buffers_are_left() {
    for buffers in [Buffers::Left, |_| Buffers::None] {
        let mut world = World::with(config(buffers));
        world.ask_ok(set_mode("MODE1"));
        assert!(!world.ordered("KiB"), "{:#?}", world.log);
    }
    let mut world = World::with(config(Buffers::Left)).in_mode1();
    let error = world.ask_err(reformat("MODE1"));
    assert!(error.message.contains("player.data_buffers"), "{error}");
    let mut world = World::with(config(|_| Buffers::None)).in_mode1();
    assert_eq!(world.ask(reformat("MODE1")), Ok(Value::Null));
}

#[test]
fn buffers_are_made_by_hand_without_programs() {
    let mut world = world();
    assert_eq!(world.ask_err(reformat("MODE1")).message, "No current mode is selected");
    let mut world = world.in_mode1();
    assert_eq!(world.ask_err(reformat("MODE99")).message, "Mode MODE99 is not supported.");
    assert_eq!(world.ask(reformat("INCO_MODE_64")), Ok(Value::Null));
    assert!(at(&world, "quit") < at(&world, "8 x 131072 KiB, 8 x 262144 KiB"), "{:#?}", world.log);
    assert_eq!(world.state(), "READY");
    // The programs come back with the next start.
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert_eq!(world.state(), "SCANNING");
}

#[test]
fn shared_memory_is_left_alone_during_a_scan() {
    let scanning = || {
        let mut world = world().in_mode1();
        world.ask_ok(PlayerCall::Start(Value::Null));
        world.log.clear();
        world
    };
    for call in [reformat("MODE1"), PlayerCall::ClearSharedMemory] {
        let mut world = scanning();
        let error = world.ask_err(call);
        assert!(error.message.contains("call stop() first"), "{error}");
        assert_eq!((world.state(), world.ordered("KiB")), ("SCANNING", false));
    }
    let mut world = world().in_mode1();
    world.ask_ok(PlayerCall::Monitor);
    assert!(world.ask_err(PlayerCall::ClearSharedMemory).message.contains("monitoring"));
}

#[test]
fn shared_memory_is_looked_at_in_every_state_and_changed_by_no_look() {
    let look = PlayerCall::CheckSharedMemory;
    let mut world = world();
    assert_eq!(world.ask(look.clone()), Ok(Value::Null), "no mode, no buffers to look at");
    let mut world = world.in_mode1();
    assert_eq!(world.ask(look.clone()), Ok(Value::Null));
    assert!(world.ordered("looked at") && !world.ordered("wanted"), "{:#?}", world.log);
    world.buffers = Some(Err("data buffer 2 is not there".into()));
    assert!(world.ask_err(look.clone()).message.contains("data buffer 2 is not there"));
    world.buffers = None;
    let open = world.call(look.clone());
    world.tell(appliance::player::bank::Input::Shutdown);
    assert!(world.answer(open).is_err_and(|e| e.message.contains("shutting down")));

    let blind = PlayerConfig { status_memory: "none: no space".into(), ..config(Buffers::Made) };
    assert!(World::with(blind).ask_err(look).message.contains("no space"));
}

#[test]
fn status_memory_is_emptied_by_hand() {
    let mut world = world().in_mode1();
    assert_eq!(world.ask(PlayerCall::ClearSharedMemory), Ok(Value::Null));
    assert_eq!(world.status.len(), 0);
}
