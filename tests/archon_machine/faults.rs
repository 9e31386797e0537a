//! What goes wrong with a controller, its link or the disk: a clear word, no wrong image, and a way back.

use crate::world::{Fits, World, expose};
use appliance::archon::methods::{Ask, ExposeAsk};
use appliance::archon::safety::Consent;
use appliance::value::Value;
use std::time::Duration;

fn shoot(world: &mut World) -> Result<Value, String> {
    world.call(Ask::Expose(Box::new(expose(100)))).map_err(|e| e.message)
}

fn recover(world: &mut World) -> Value {
    world.done(Ask::Recover { path: None, checksum: true, keep_lock: false, trust_buffer: false })
}

fn fault(world: &mut World, text: &str) {
    world.boxes[0].faults().add(text.parse().expect("a fault"));
}

/// Every image is the frame its header says.
pub fn no_image_is_another(world: &World) {
    for file in world.files(".fits") {
        let fits = Fits::read(&file);
        let n = usize::from(fits.card("SPEC") == "sp2");
        let frames = &world.frames[&(n, fits.number("ARCHFRM") as u64)];
        let tap = u32::from(file.to_string_lossy().contains("sdR-b_"));
        assert!(
            frames.iter().any(|frame| fits.is_tap(frame, tap)),
            "{} is not frame {}",
            file.display(),
            fits.number("ARCHFRM")
        );
    }
}

#[test]
fn a_stream_that_breaks_is_fetched_again() {
    for broken in ["drop-in-fetch=0", "cut-fetch=0", "garbage-in-fetch=1", "drop-in-fetch=1"] {
        let mut world = World::ready();
        fault(&mut world, broken);
        let reply = shoot(&mut world).unwrap_or_else(|e| panic!("{broken}: {e}\n{}", world.story()));
        let Value::Map(pairs) = &reply else { panic!("{reply:?}") };
        assert_eq!(
            pairs.iter().find(|(k, _)| k == "verdict").map(|(_, v)| v),
            Some(&"recovered".into()),
            "{broken}"
        );
        assert_eq!(world.files(".fits").len(), 2);
        no_image_is_another(&world);
        assert!(world.files(".lock").is_empty() && world.files(".part").is_empty(), "{broken}");
        shoot(&mut world).unwrap_or_else(|e| panic!("{broken}: the controller is well again: {e}"));
    }
}

#[test]
fn a_frame_that_was_overwritten_is_never_taken_for_the_one_that_was_ordered() {
    let mut world = World::ready();
    fault(&mut world, "overwrite");
    let words = shoot(&mut world).expect_err("another frame is there");
    assert!(words.contains("sp1") && words.contains("is gone"), "{words}");
    assert!(world.files(".fits").is_empty());
}

#[test]
fn a_missing_reply_names_controller_command_and_wait() {
    let mut world = World::ready();
    fault(&mut world, "silent=HOLDTIMING:1");
    let words = shoot(&mut world).expect_err("silence");
    assert!(words.contains("sp1") && words.contains("HOLDTIMING") && words.contains("5000 ms"), "{words}");
    world.done(Ask::Reset { timing: true });
    shoot(&mut world).expect("afterwards it goes on");
    no_image_is_another(&world);
}

#[test]
fn a_box_that_reboots_in_the_readout_is_noticed_and_can_be_started_again() {
    for reboot in ["reboot-in-readout", "warmboot-in-readout"] {
        let mut world = World::ready();
        shoot(&mut world).expect("well");
        fault(&mut world, reboot);
        let words = shoot(&mut world).expect_err("the frame is lost");
        assert!(words.contains("sp1"), "{reboot}: {words}");
        world.pass(Duration::from_secs(20));
        let words = shoot(&mut world).expect_err("power is off");
        assert!(words.contains("sp1"), "{reboot}: {words}");
        world.init();
        shoot(&mut world).unwrap_or_else(|e| panic!("{reboot}: {e}\n{}", world.story()));
        no_image_is_another(&world);
    }
}

#[test]
fn power_that_half_succeeds_is_no_success() {
    for half in ["power-half", "power-bad"] {
        let mut world = World::ready();
        world.done(Ask::Power(Some(false), Consent::default()));
        fault(&mut world, half);
        let consent = Consent { unchecked: true, ..Consent::default() };
        let words = world.refused(Ask::Power(Some(true), consent));
        assert!(words.contains("sp1") && words.contains("POWER"), "{half}: {words}");
        assert!(!world.boxes[0].powered(), "{half}: our own attempt was taken back");
    }
}

#[test]
fn a_stale_status_forbids_power() {
    let mut world = World::ready();
    world.done(Ask::Power(Some(false), Consent::default()));
    fault(&mut world, "status-stale");
    world.pass(Duration::from_secs(15));
    let consent = Consent { unchecked: true, ..Consent::default() };
    let words = world.refused(Ask::Power(Some(true), consent));
    assert!(words.contains("sp1") && words.contains("COUNT"), "{words}");
}

#[test]
fn a_frame_of_the_wrong_size_is_not_cut_into_images() {
    let mut world = World::ready();
    fault(&mut world, "short-frame=2");
    let words = shoot(&mut world).expect_err("two pixels short");
    assert!(words.contains("sp1"), "{words}");
    no_image_is_another(&world);
    assert!(world.files(".fits").is_empty());
}

#[test]
fn an_acf_with_a_typo_is_refused_with_its_line() {
    let mut world = World::ready();
    let path = world.dir.path().join("typo.acf");
    std::fs::write(&path, "[CONFG]\nLINECOUNT=3\n").expect("written");
    let ask = Ask::Init {
        acf: Some(path.display().to_string()),
        apply: vec![],
        power: false,
        consent: Consent::default(),
    };
    let words = world.refused(ask);
    assert!(words.contains("typo.acf") && words.contains("CONFIG"), "{words}");
}

#[test]
fn a_directory_that_disappears_keeps_the_frame_locked_and_recoverable() {
    let mut world = World::ready();
    shoot(&mut world).expect("well");
    let ticket = world.begin(Ask::Expose(Box::new(expose(1000))));
    world.pass(Duration::from_millis(500));
    let away = world.dir.path().join("away");
    std::fs::rename(world.images(), &away).expect("moved");
    let words = world.answer(ticket).expect_err("nowhere to write").message;
    assert!(words.contains("images") && words.contains("recover"), "{words}");
    assert_ne!(world.boxes[0].locked(), 0, "the frame is kept");
    std::fs::rename(&away, world.images()).expect("moved back");
    no_image_is_another(&world);
    let words = shoot(&mut world).expect_err("first things first");
    assert!(words.contains("Frame 2 in buffer 2 of sp1") && words.contains("recover"), "{words}");
    recover(&mut world);
    assert_eq!(world.files("00000002.fits").len(), 2, "{}", world.story());
    no_image_is_another(&world);
    assert!(world.files(".lock").is_empty() && world.files(".part").is_empty());
    shoot(&mut world).expect("and the night goes on");
}

#[test]
fn after_a_kill_at_any_moment_nothing_is_lost_or_overwritten() {
    for ms in [0, 2, 10, 50, 99, 101, 103, 105, 110, 120, 180, 200, 300] {
        let mut world = World::ready();
        shoot(&mut world).expect("well");
        let ticket = world.begin(Ask::Expose(Box::new(expose(100))));
        world.pass(Duration::from_millis(ms));
        let answered = world.outcomes.contains_key(&ticket);
        world.kill();
        world.done(Ask::WaitUntilIdle { allow_errored: true, timeout: Duration::from_secs(60) });
        recover(&mut world);
        world.call(Ask::Reset { timing: true }).expect("reset");
        no_image_is_another(&world);
        let second = world.files("00000002.fits").len();
        let read_out = world.frames.contains_key(&(0, 2));
        assert_eq!(second, if read_out { 2 } else { 0 }, "after {ms} ms\n{}", world.story());
        assert!(read_out || !answered, "after {ms} ms");
        assert!(world.files(".lock").is_empty(), "after {ms} ms: {:?}", world.files(".lock"));
        shoot(&mut world).unwrap_or_else(|e| panic!("after {ms} ms: {e}\n{}", world.story()));
        let numbers: std::collections::BTreeSet<i64> =
            world.files(".fits").iter().map(|f| Fits::read(f).number("EXPOSURE")).collect();
        assert_eq!(numbers.len() * 2, world.files(".fits").len(), "after {ms} ms: {numbers:?}");
        no_image_is_another(&world);
    }
}

#[test]
fn a_link_lost_in_the_readout_fails_the_call_but_not_the_image() {
    let mut world = World::ready();
    fault(&mut world, "slow-readout=3000");
    let ticket = world.begin(Ask::Expose(Box::new(expose(100))));
    world.pass(Duration::from_millis(400));
    assert_eq!(world.boxes[0].doing(), "reading");
    world.cut(0);
    let words = world.answer(ticket).expect_err("nobody saw the end of it").message;
    assert!(words.contains("sp1") && words.contains("link"), "{words}");
    assert_eq!(world.files(".lock").len(), 2, "whose frame it will be is on the disk");
    world.pass(Duration::from_secs(30));
    assert_eq!(world.files("00000001.fits").len(), 2, "{}", world.story());
    no_image_is_another(&world);
    assert!(world.files(".lock").is_empty());
}

#[test]
fn an_exposure_that_was_never_read_out_does_not_take_the_next_ones_frame() {
    let mut world = World::quiet();
    shoot(&mut world).expect("well");
    world.begin(Ask::Expose(Box::new(expose(5000))));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.files(".lock").len(), 2);
    world.kill();
    world.done(Ask::Reset { timing: true });
    assert_eq!(world.files(".lock").len(), 2, "nobody has looked yet");
    // Its number is 2 and its frame would have been 2, which is now that of exposure 3.
    shoot(&mut world).expect("well");
    assert!(world.files(".lock").is_empty());
    recover(&mut world);
    let numbers: Vec<i64> = world.files("fits").iter().map(|f| Fits::read(f).number("EXPOSURE")).collect();
    assert_eq!(numbers, [1, 3, 1, 3]);
    no_image_is_another(&world);
}

#[test]
fn an_exposure_that_is_aborted_leaves_no_promise() {
    let mut world = World::ready();
    for readout in [true, false] {
        let ask = ExposeAsk { readout, ..expose(if readout { 5000 } else { 100 }) };
        let ticket = world.begin(Ask::Expose(Box::new(ask)));
        world.pass(Duration::from_secs(1));
        assert_eq!(world.files(".lock").len(), 2);
        world.done(Ask::Abort { flush: false, reset: true });
        assert_eq!(world.answer(ticket).is_err(), readout);
        assert!(world.files(".lock").is_empty(), "{:?}", world.files(".lock"));
    }
}
