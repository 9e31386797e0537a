//! One exposure from attach to unlock.

use super::bench::Bench;
use crate::archon::controller::{Answer, Fault, Order, Report, Which};
use crate::archon::status_word::StatusWord;
use std::time::Duration;

fn text(fault: Result<Answer, Fault>) -> String {
    fault.expect_err("it must be refused").to_string()
}

fn words(bench: &Bench) -> Vec<&'static str> {
    bench.controller.view().word.names()
}

/// Prepares, releases, waits for the end of the integration.
fn integrate(bench: &mut Bench, seconds: f64) {
    let integration = Duration::from_secs_f64(seconds);
    bench.does(Order::Prepare { integration, exposure: 1 }).expect("prepared");
    bench.does(Order::Release).expect("released");
    bench.run_for(integration + Duration::from_millis(100));
}

#[test]
fn attach_writes_nothing() {
    let bench = Bench::attached();
    assert_eq!(bench.changes(0), Vec::<String>::new());
    assert_eq!(words(&bench), ["IDLE", "POWERON"]);
    let view = bench.controller.view();
    assert_eq!(view.config.as_ref().map(|c| c.lines.len()), Some(super::bench::acf().lines.len()));
    let frame = bench.controller.expected_frame().expect("known");
    assert_eq!((frame.width, frame.height), (70, 40));
}

#[test]
fn an_exposure_from_prepare_to_unlock() {
    let mut bench = Bench::attached();
    let from = bench.sent.len();
    bench.does(Order::Prepare { integration: Duration::from_millis(1234), exposure: 7 }).expect("prepared");
    assert_eq!(
        bench.changes(from),
        [
            "HOLDTIMING",
            "FASTLOADPARAM AutoFlush 0",
            "FASTLOADPARAM Exposures 0",
            "FASTLOADPARAM ReadOut 0",
            "FASTLOADPARAM AbortExposure 0",
            "FASTLOADPARAM DoFlush 0",
            "FASTLOADPARAM WaitCount 0",
            "FASTLOADPARAM ReadOut 0",
            "FASTLOADPARAM IntCS 123",
            "FASTLOADPARAM Exposures 1",
        ]
    );
    let Ok(Answer::Started(at)) = bench.does(Order::Release) else { panic!("not started") };
    assert_eq!(words(&bench), ["EXPOSING", "READOUT_PENDING", "POWERON"]);
    bench.run_for(Duration::from_millis(1233));
    assert!(bench.controller.view().word.has(StatusWord::EXPOSING));
    bench.run_for(Duration::from_millis(2));
    let over = bench.reports.iter().find_map(|r| match r {
        Report::IntegrationOver { at } => Some(*at),
        _ => None,
    });
    assert_eq!(over.map(|o| o.mono.since(at.mono)), Some(Duration::from_millis(1234)));
    assert_eq!(words(&bench), ["IDLE", "READOUT_PENDING", "POWERON"]);

    let from = bench.sent.len();
    let Ok(Answer::ReadOut { buffer, frame, .. }) = bench.does(Order::Readout { delay: 3 }) else {
        panic!("not read out: {:?}", bench.reports)
    };
    assert_eq!((buffer, frame), (1, 1));
    let sent = bench.changes(from);
    let at = |t: &str| sent.iter().position(|s| s == t).unwrap_or_else(|| panic!("{t} not in {sent:?}"));
    assert!(at("FASTLOADPARAM WaitCount 3") < at("RELEASETIMING"), "the script looks at it when timing runs");
    assert!(at("RELEASETIMING") < at("FASTLOADPARAM AutoFlush 1"));
    assert_eq!(words(&bench), ["IDLE", "POWERON"]);
    assert!(bench.said("Reading frame to buffer 1."));

    let Ok(Answer::Locked(locked)) = bench.does(Order::Lock(Which::Newest)) else { panic!("not locked") };
    assert_eq!((locked.id.frame, locked.id.buffer, locked.blocks), (1, 1, 6));
    assert_eq!((locked.geometry.width, locked.geometry.height), (70, 40));
    let Ok(Answer::Fetched { bytes }) = bench.does(Order::Fetch { from_block: 0 }) else {
        panic!("not fetched")
    };
    assert_eq!(bytes, 70 * 40 * 2, "the padding of the last block is not passed on");
    assert_eq!(bench.peer.locked, 1, "locked until it is safe");
    let from = bench.sent.len();
    bench.does(Order::Unlock).expect("unlocked");
    assert_eq!(bench.changes(from), ["LOCK0"]);
    assert_eq!(bench.peer.locked, 0);
    assert_eq!(words(&bench), ["IDLE", "POWERON"]);
    assert!(bench.records.len() >= 4, "prepare, release, readout, lock, unlock are recorded");
}

#[test]
fn preconditions_have_the_words_of_the_reference_and_set_no_error() {
    let mut bench = Bench::attached();
    assert_eq!(text(bench.does(Order::Readout { delay: 0 })), "sp1 - Controller is not in a readable state.");
    assert_eq!(text(bench.does(Order::Abort { readout: false })), "sp1 - Controller is not exposing.");
    assert_eq!(text(bench.does(Order::Release)), "sp1 - No exposure is prepared.");
    let prepare = Order::Prepare { integration: Duration::from_secs(5), exposure: 1 };
    bench.does(prepare.clone()).expect("prepared");
    bench.does(Order::Release).expect("released");
    assert_eq!(text(bench.does(prepare.clone())), "sp1 - The controller is not idle.");
    bench.run_for(Duration::from_secs(6));
    assert_eq!(
        text(bench.does(prepare)),
        "sp1 - Controller has a readout pending. Read the device or flush."
    );
    assert!(!bench.controller.view().word.has(StatusWord::ERROR));
    bench.does(Order::Reset { timing: false }).expect("reset");
    bench.peer.power = 2;
    bench.run_for(Duration::from_secs(2));
    let off = Order::Prepare { integration: Duration::ZERO, exposure: 2 };
    assert_eq!(text(bench.does(off)), "sp1 - Controller power is off or invalid.");
}

#[test]
fn too_long_for_the_parameter_is_said_with_the_number() {
    let mut bench = Bench::attached();
    let long = Order::Prepare { integration: Duration::from_secs(10_486), exposure: 1 };
    assert!(text(bench.does(long)).contains("10485.75 s"));
    assert!(bench.changes(0).is_empty());
}

#[test]
fn a_long_integration_is_ended_by_the_controllers_clock() {
    let mut bench = Bench::attached();
    integrate(&mut bench, 60.0);
    assert!(bench.sent.iter().filter(|c| c.text() == "TIMER").count() == 2);
    assert!(!bench.controller.view().word.has(StatusWord::EXPOSING));
}

#[test]
fn abort_leaves_charge_and_abort_with_readout_reads() {
    let mut bench = Bench::attached();
    bench.does(Order::Prepare { integration: Duration::from_secs(50), exposure: 1 }).expect("prepared");
    bench.does(Order::Release).expect("released");
    let from = bench.sent.len();
    bench.does(Order::Abort { readout: false }).expect("aborted");
    assert_eq!(bench.changes(from), ["FASTLOADPARAM ReadOut 0", "FASTLOADPARAM AbortExposure 1"]);
    assert_eq!(words(&bench), ["IDLE", "READOUT_PENDING", "POWERON"]);
    bench.does(Order::Reset { timing: true }).expect("reset");
    bench.does(Order::Prepare { integration: Duration::from_secs(50), exposure: 2 }).expect("prepared");
    bench.does(Order::Release).expect("released");
    assert!(matches!(bench.does(Order::Abort { readout: true }), Ok(Answer::ReadOut { frame: 1, .. })));
}

#[test]
fn abort_in_a_readout_gives_the_frame_up() {
    let mut bench = Bench::attached();
    integrate(&mut bench, 0.1);
    let readout = bench.order(Order::Readout { delay: 0 });
    bench.run_for(Duration::from_millis(500));
    let abort = bench.order(Order::Abort { readout: false });
    bench.run_for(Duration::from_millis(300));
    assert!(matches!(bench.result(readout), Some(Err(Fault::Aborted { .. }))), "{:?}", bench.result(readout));
    assert_eq!(bench.result(abort), Some(Ok(Answer::Done)));
    assert!(bench.controller.view().word.has(StatusWord::READING), "the controller reads on");
    bench.run_for(Duration::from_secs(5));
    assert_eq!(words(&bench), ["IDLE", "POWERON"]);
    assert!(bench.controller.describe(bench.now).get("unsaved") == Some(&crate::value::Value::Null));
}

#[test]
fn an_unfetched_frame_is_not_overwritten() {
    let mut bench = Bench::attached();
    for _ in 0..3 {
        integrate(&mut bench, 0.1);
        bench.does(Order::Readout { delay: 0 }).expect("read out");
    }
    let next = Order::Prepare { integration: Duration::ZERO, exposure: 4 };
    let refused = text(bench.does(next.clone()));
    assert!(refused.contains("overwrite frame 1 in buffer 1"), "{refused}");
    assert!(
        text(bench.does(Order::Load {
            acf: super::bench::acf(),
            path: String::new(),
            apply_all: true,
            apply: Vec::new(),
            power: false,
            overrides: Vec::new(),
            init: true,
            consent: Default::default(),
        }))
        .contains("exists nowhere else")
    );
    bench.does(Order::Discard).expect("discarded");
    bench.does(next).expect("prepared");
}

/// The writer goes around a buffer whoever has locked it, and so comes round sooner to a frame of ours.
#[test]
fn a_lock_of_another_client_is_reckoned_with() {
    let mut bench = Bench::attached();
    integrate(&mut bench, 0.1);
    bench.does(Order::Readout { delay: 0 }).expect("read out");
    bench.does(Order::Lock(Which::Newest)).expect("locked");
    bench.does(Order::Unlock).expect("saved");
    bench.peer.locked = 1;
    for _ in 0..2 {
        integrate(&mut bench, 0.1);
        bench.does(Order::Readout { delay: 0 }).expect("read out");
    }
    let next = Order::Prepare { integration: Duration::ZERO, exposure: 4 };
    let refused = text(bench.does(next.clone()));
    assert!(refused.contains("overwrite frame 2 in buffer 2"), "{refused}");
    bench.peer.locked = 0;
    bench.does(next).expect("buffer 1 is free");
}

#[test]
fn the_next_exposure_runs_while_the_last_is_fetched() {
    let mut bench = Bench::attached();
    integrate(&mut bench, 0.1);
    bench.does(Order::Readout { delay: 0 }).expect("read out");
    bench.does(Order::Lock(Which::Newest)).expect("locked");
    bench.hold_fetch = true;
    let fetch = bench.order(Order::Fetch { from_block: 0 });
    integrate(&mut bench, 1.0);
    bench.does(Order::Readout { delay: 0 }).expect("read out beside the fetch");
    bench.finish_fetch();
    assert!(matches!(bench.wait(fetch), Ok(Answer::Fetched { .. })));
    let other = bench.does(Order::Lock(Which::Newest));
    assert!(text(other).contains("save it or discard it"), "the first is not safe yet");
    bench.does(Order::Unlock).expect("unlocked");
    let Ok(Answer::Locked(second)) = bench.does(Order::Lock(Which::Newest)) else { panic!("not locked") };
    assert_eq!((second.id.frame, second.missed), (2, 0));
}

#[test]
fn a_lost_link_keeps_the_lock_and_takes_it_again_first() {
    let mut bench = Bench::attached();
    integrate(&mut bench, 0.1);
    bench.does(Order::Readout { delay: 0 }).expect("read out");
    bench.does(Order::Lock(Which::Newest)).expect("locked");
    bench.hold_fetch = true;
    let fetch = bench.order(Order::Fetch { from_block: 0 });
    bench.link_down();
    assert!(matches!(bench.result(fetch), Some(Err(Fault::Failed { .. }))));
    bench.peer.locked = 0;
    let from = bench.sent.len();
    bench.hold_fetch = false;
    bench.link_up();
    bench.run_for(Duration::from_secs(2));
    assert_eq!(bench.sent[from].text(), "LOCK1");
    assert_eq!(bench.changes(from), ["LOCK1"]);
    assert!(matches!(bench.does(Order::Fetch { from_block: 2 }), Ok(Answer::Fetched { .. })));
}

#[test]
fn a_stopped_fetch_opens_the_link_anew() {
    let mut bench = Bench::attached();
    integrate(&mut bench, 0.1);
    bench.does(Order::Readout { delay: 0 }).expect("read out");
    bench.does(Order::Lock(Which::Newest)).expect("locked");
    bench.hold_fetch = true;
    let fetch = bench.order(Order::Fetch { from_block: 0 });
    assert_eq!(bench.does(Order::StopFetch), Ok(Answer::Done));
    assert_eq!(bench.relinks, 1);
    assert!(matches!(bench.result(fetch), Some(Err(Fault::Aborted { .. }))));
}

#[test]
fn a_failure_with_timing_held_releases_it() {
    let mut bench = Bench::attached();
    bench.peer.refuse.insert("FASTLOADPARAM IntCS".into());
    let from = bench.sent.len();
    let refused = bench.does(Order::Prepare { integration: Duration::from_secs(1), exposure: 1 });
    assert!(matches!(refused, Err(Fault::Failed { .. })));
    assert_eq!(bench.changes(from).last().map(String::as_str), Some("RELEASETIMING"));
    assert!(bench.controller.view().word.has(StatusWord::ERROR), "the hardware failed");
    bench.does(Order::Reset { timing: false }).expect("reset");
    assert_eq!(words(&bench), ["IDLE", "POWERON"]);
}

#[test]
fn a_readout_that_never_ends_is_a_timeout() {
    let mut bench = Bench::attached();
    bench.peer.read_time = Duration::from_secs(1000);
    integrate(&mut bench, 0.1);
    let fault = bench.does(Order::Readout { delay: 0 });
    assert!(matches!(fault, Err(Fault::Timeout { .. })));
    assert!(text(fault).contains("Timed out waiting for controller to finish reading."));
}
