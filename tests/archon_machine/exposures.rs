//! Exposures that go as they should, and calls that are refused without disturbing them.

use crate::world::{Fits, World, expose};
use appliance::archon::methods::{Ask, ExposeAsk, Flavour};
use appliance::proto::archon::Sample;
use appliance::value::Value;
use std::time::Duration;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let Value::Map(pairs) = value else { panic!("{value:?}") };
    let found = pairs.iter().find(|(k, _)| k == key).and_then(|(_, v)| v.as_str());
    found.unwrap_or_else(|| panic!("{key} in {value:?}"))
}

fn names(world: &World) -> Vec<String> {
    let files = world.files(".fits");
    files.iter().map(|p| p.file_name().expect("a name").to_string_lossy().into_owned()).collect()
}

#[test]
fn an_exposure_becomes_one_file_for_each_ccd_pixel_by_pixel() {
    let mut world = World::ready();
    let reply = world.done(Ask::Expose(Box::new(expose(200))));
    assert_eq!(text(&reply, "verdict"), "complete");
    assert_eq!(names(&world), ["sdR-b_sp1-00000001.fits", "sdR-r_sp1-00000001.fits"]);
    let files = world.files(".fits");
    let frame = world.frame(0, 1);
    assert_eq!(frame.integration_ms, 200);
    for (file, tap) in files.iter().zip([1, 0]) {
        let fits = Fits::read(file);
        assert!(fits.is_tap(&frame, tap), "{}", file.display());
        assert_eq!((fits.number("EXPOSURE"), fits.card("IMAGETYP"), fits.card("SPEC")), (1, "object", "sp1"));
        assert_eq!((fits.number("ARCHFRM"), fits.card("SIMULATE"), fits.card("PROJECT")), (1, "T", "test"));
        assert_eq!(fits.card("EXPMEAS"), "0.2");
    }
    assert!(world.files(".lock").is_empty() && world.files(".part").is_empty());
    assert_eq!(world.boxes[0].locked(), 0, "the buffer is free again");
}

#[test]
fn a_parameter_that_is_not_there_is_null() {
    let mut world = World::ready();
    let exposures = world.done(Ask::GetParam("exposures".into()));
    assert_eq!(exposures.get("sp1"), Some(&Value::Int(0)), "{exposures}");
    let nothing = world.done(Ask::GetParam("NoSuchParameter".into()));
    assert_eq!(nothing.get("sp1"), Some(&Value::Null), "{nothing}");
}

#[test]
fn thirty_two_bits() {
    let mut world = World::new(&["sp1"], Sample::U32);
    world.init();
    world.done(Ask::Expose(Box::new(expose(50))));
    let frame = world.frame(0, 1);
    let files = world.files(".fits");
    assert!(Fits::read(&files[0]).is_tap(&frame, 1) && Fits::read(&files[1]).is_tap(&frame, 0));
}

#[test]
fn two_controllers_start_together_and_each_has_its_files() {
    let mut world = World::new(&["sp1", "sp2"], Sample::U16);
    world.init();
    world.commands.clear();
    world.done(Ask::Expose(Box::new(expose(100))));
    assert_eq!(names(&world).len(), 4);
    let releases: Vec<usize> = world
        .commands
        .iter()
        .enumerate()
        .filter(|(_, (_, c))| c == "RELEASETIMING")
        .map(|(i, _)| i)
        .take(2)
        .collect();
    assert_eq!(releases[1], releases[0] + 1, "back to back: {:?}", world.commands);
    for (n, files) in [(0, ["b_sp1", "r_sp1"]), (1, ["b_sp2", "r_sp2"])] {
        let frame = world.frame(n, 1);
        for (ccd, tap) in files.iter().zip([1, 0]) {
            let file = world.files(&format!("sdR-{ccd}-00000001.fits")).remove(0);
            assert!(Fits::read(&file).is_tap(&frame, tap), "{ccd}");
        }
    }
}

#[test]
fn count_and_with_dark_number_on() {
    let mut world = World::ready();
    let ask = ExposeAsk { count: 2, with_dark: true, ..expose(50) };
    let reply = world.done(Ask::Expose(Box::new(ask)));
    assert_eq!(text(&reply, "verdict"), "complete");
    let types: Vec<String> = (1..=4)
        .map(|n| Fits::read(&world.files(&format!("r_sp1-{n:08}.fits"))[0]).card("IMAGETYP").to_owned())
        .collect();
    assert_eq!(types, ["object", "dark", "object", "dark"]);
    for n in 1..=4u64 {
        let frame = world.frame(0, n);
        assert!(Fits::read(&world.files(&format!("r_sp1-{n:08}.fits"))[0]).is_tap(&frame, 0), "{n}");
    }
}

#[test]
fn seqno_sets_the_number_and_the_counter() {
    let mut world = World::ready();
    world.done(Ask::Expose(Box::new(ExposeAsk { seqno: Some(77), count: 2, ..expose(10) })));
    world.done(Ask::Expose(Box::new(expose(10))));
    let numbers: Vec<i64> = world.files("fits").iter().map(|f| Fits::read(f).number("EXPOSURE")).collect();
    assert_eq!(numbers, [77, 78, 79, 77, 78, 79]);
    let words = world.refused(Ask::Expose(Box::new(ExposeAsk { seqno: Some(78), ..expose(10) })));
    assert!(words.contains("already exists"), "{words}");
}

#[test]
fn without_readout_the_charge_waits_for_read() {
    let mut world = World::ready();
    world.done(Ask::Expose(Box::new(ExposeAsk { readout: false, ..expose(100) })));
    assert!(names(&world).is_empty());
    assert_eq!(world.boxes[0].doing(), "pending");
    let words = world.refused(Ask::Expose(Box::new(expose(10))));
    assert_eq!(words, "The expose delegate is locked.");
    world.pass(Duration::from_secs(30));
    let header = Value::Map(vec![("OBSERVER".into(), "me".into())]);
    let reply = world.done(Ask::Read { header, delay: 0 });
    assert_eq!(text(&reply, "verdict"), "complete");
    let fits = Fits::read(&world.files("r_sp1-00000001.fits")[0]);
    assert_eq!(fits.card("OBSERVER"), "me");
    assert!(fits.is_tap(&world.frame(0, 1), 0), "not shifted by an idle flush");
    assert_eq!(world.refused(Ask::Read { header: Value::Null, delay: 0 }), "Expose delegator is not locked.");
}

#[test]
fn async_readout_answers_early_and_the_next_exposure_overlaps() {
    let mut world = World::ready();
    let reply = world.done(Ask::Expose(Box::new(ExposeAsk { async_readout: true, ..expose(50) })));
    assert_eq!(text(&reply, "verdict"), "reading");
    assert!(names(&world).is_empty());
    world.done(Ask::WaitUntilIdle { allow_errored: false, timeout: Duration::from_secs(60) });
    assert_eq!(names(&world).len(), 2);
}

#[test]
fn windows_and_binning_reach_the_image_and_its_header() {
    let mut world = World::ready();
    world.done(Ask::Expose(Box::new(ExposeAsk { window_mode: Some("small".into()), ..expose(10) })));
    let fits = Fits::read(&world.files("r_sp1-00000001.fits")[0]);
    assert_eq!((fits.width, fits.height, fits.card("CCDSUM")), (14, 6, "1 1"));
    assert!(fits.is_tap(&world.frame(0, 1), 0));
    world.done(Ask::Expose(Box::new(ExposeAsk { window_mode: Some("binned".into()), ..expose(10) })));
    let fits = Fits::read(&world.files("r_sp1-00000002.fits")[0]);
    assert_eq!((fits.width, fits.height, fits.card("CCDSUM")), (12, 6, "2 2"));
    assert!(fits.is_tap(&world.frame(0, 2), 0));
    world.done(Ask::Expose(Box::new(ExposeAsk { window_mode: Some("default".into()), ..expose(10) })));
    assert_eq!(Fits::read(&world.files("r_sp1-00000003.fits")[0]).width, 24);
    let words =
        world.refused(Ask::Expose(Box::new(ExposeAsk { window_mode: Some("no".into()), ..expose(10) })));
    assert_eq!(words, "Invalid window mode 'no'.");
}

#[test]
fn no_write_leaves_no_file_and_burns_the_number() {
    let mut world = World::ready();
    world.done(Ask::Expose(Box::new(ExposeAsk { no_write: true, ..expose(10) })));
    assert!(names(&world).is_empty());
    world.done(Ask::Expose(Box::new(expose(10))));
    assert!(names(&world)[0].contains("00000002"));
}

#[test]
fn what_is_asked_wrongly_is_refused_before_anything_moves() {
    let mut world = World::ready();
    world.commands.clear();
    for (ask, words) in [
        (ExposeAsk { time: None, ..expose(0) }, "Exposure time required for flavour 'object'."),
        (ExposeAsk { count: 2, readout: false, ..expose(10) }, "--count > 1 requires readout."),
        (
            ExposeAsk { with_dark: true, readout: false, ..expose(10) },
            "--with-dark cannot be used with --no-readout.",
        ),
    ] {
        assert_eq!(world.refused(Ask::Expose(Box::new(ask))), words);
    }
    assert!(world.commands.iter().all(|(_, c)| c == "STATUS"), "{:?}", world.commands);
    assert_eq!(world.refused(Ask::Abort { flush: false, reset: false }), "Expose command is not running.");
}

#[test]
fn a_refused_second_expose_does_not_disturb_the_first() {
    let mut world = World::ready();
    let first = world.begin(Ask::Expose(Box::new(expose(5000))));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.refused(Ask::Expose(Box::new(expose(10)))), "The expose delegate is locked.");
    for ask in [Ask::Reset { timing: false }, Ask::SetParam("IntMS".into(), 5), Ask::Flush(1)] {
        let words = world.refused(ask);
        assert!(words.starts_with("Exposure 1 is going on"), "{words}");
    }
    world.answer(first).expect("undisturbed");
    assert_eq!(names(&world).len(), 2);
}

#[test]
fn abort_at_every_moment_ends_the_call_and_leaves_a_machine_that_works() {
    for ms in [0, 1, 5, 20, 50, 100, 150, 200, 203, 206, 210, 220, 250, 400] {
        let mut world = World::ready();
        let ticket = world.begin(Ask::Expose(Box::new(expose(200))));
        world.pass(Duration::from_millis(ms));
        let already = world.outcomes.contains_key(&ticket);
        if !already {
            world.done(Ask::Abort { flush: false, reset: true });
            let error = world.answer(ticket).expect_err("aborted");
            assert_eq!(error.message, "Exposure was aborted", "after {ms} ms");
        }
        world.done(Ask::WaitUntilIdle { allow_errored: false, timeout: Duration::from_secs(60) });
        for file in world.files(".fits") {
            let fits = Fits::read(&file);
            let frame = world.frame(0, fits.number("ARCHFRM") as u64);
            let tap = u32::from(file.to_string_lossy().contains("b_sp1"));
            assert!(fits.is_tap(&frame, tap), "after {ms} ms: {}", file.display());
        }
        let reply = world.done(Ask::Expose(Box::new(expose(10))));
        assert_eq!(text(&reply, "verdict"), "complete", "after {ms} ms");
    }
}

#[test]
fn a_bias_takes_no_time_and_a_dark_says_so() {
    let mut world = World::ready();
    world.done(Ask::Expose(Box::new(ExposeAsk { flavour: Flavour::Bias, time: None, ..expose(0) })));
    let fits = Fits::read(&world.files("r_sp1-00000001.fits")[0]);
    assert_eq!((fits.card("IMAGETYP"), fits.card("EXPTIME")), ("bias", "0.0"));
}

#[test]
fn the_overscan_of_a_tap_read_to_the_right_is_at_its_beginning() {
    let mut world = World::ready();
    let reply = world.done(Ask::Expose(Box::new(expose(50))));
    let Some(Value::List(shots)) = reply.get("exposures") else { panic!("{reply:?}") };
    let Some(Value::List(taps)) = shots[0].get("statistics") else { panic!("{shots:?}") };
    // AD5L is r_sp1, AD5R b_sp1; four columns of overscan.
    for (ccd, columns) in [("r_sp1", 20..24), ("b_sp1", 0..4)] {
        let fits = Fits::read(&world.files(&format!("{ccd}-00000001.fits"))[0]);
        let all = fits.pixels.iter().enumerate().filter(|(i, _)| columns.contains(&(i % fits.width)));
        let overscan: Vec<f64> = all.map(|(_, v)| f64::from(*v)).collect();
        let mean = overscan.iter().sum::<f64>() / overscan.len() as f64;
        let told = taps.iter().find(|t| t.get("ccd") == Some(&ccd.into())).and_then(|t| t.get("overscan"));
        let told = told.and_then(Value::as_f64).expect("overscan");
        assert!((told - mean).abs() < 1e-6, "{ccd}: {told}, in the file {mean}");
    }
}

#[test]
fn a_long_integration_tells_how_far_it_is_and_the_last_number_is_remembered() {
    let mut world = World::ready();
    world.done(Ask::Expose(Box::new(expose(4500))));
    let told: Vec<f64> = world
        .said
        .iter()
        .filter(|(_, _, key, body)| key == "progress" && body.get("phase") == Some(&"integration".into()))
        .filter_map(|(_, _, _, body)| body.get("remaining_s").and_then(Value::as_f64))
        .collect();
    let round: Vec<i64> = told.iter().map(|s| (s * 10.0).round() as i64).collect();
    assert_eq!(round, [35, 25, 15, 5]);
    world.kill();
    let state = world.done(Ask::State);
    assert_eq!(state.get("last_exposure_no"), Some(&Value::Int(1)));
}
