//! `kill -9` of the board, the DAQ program and the player itself, in every state of the player.

use super::processes::{PATIENCE, is_gone, send, wait_for};
use super::rig::{LONG_SCAN, Pending, Rig, SCAN_LENGTH, failure};
use appliance::api::Outcome;
use appliance::daq::sdfits::read::Recording;
use appliance::shm::LockState;
use appliance::value::Value;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

/// A call that has lost its board is answered by then: well within the time limit of a KATCP request.
const SOON: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    NoMode,
    SettingMode,
    Ready,
    Preparing,
    Starting,
    Scanning,
    Monitoring,
}
use Moment::*;

const MOMENTS: [Moment; 7] = [NoMode, SettingMode, Ready, Preparing, Starting, Scanning, Monitoring];

impl Moment {
    fn name(self) -> &'static str {
        match self {
            NoMode => "NO_MODE",
            SettingMode => "SETTING_MODE",
            Ready => "READY",
            Preparing => "PREPARING",
            Starting => "STARTING",
            Scanning => "SCANNING",
            Monitoring => "MONITORING",
        }
    }

    /// A rig in this state, and the call that is being answered then. Short states are made long by a board
    /// that stands still ([`Rig::thaw_board`]).
    fn reach(self) -> (Rig, Option<Pending>) {
        let rig = Rig::start();
        if !matches!(self, NoMode | SettingMode) {
            rig.set_mode();
            rig.done("prepare", vec![]);
        }
        if matches!(self, SettingMode | Preparing) {
            rig.freeze_board();
        }
        let pending = match self {
            NoMode | Ready => None,
            SettingMode => Some(rig.begin("set_mode", vec!["MODE1".into()])),
            Preparing => Some(rig.begin("prepare", vec![])),
            Starting => Some(rig.begin("start", vec![])),
            Scanning => {
                rig.begin_long_scan();
                None
            }
            Monitoring => {
                rig.done("monitor", vec![]);
                None
            }
        };
        rig.await_state(self.name());
        (rig, pending)
    }
}

/// All states at once, each on a rig of its own.
fn in_every_state(act: impl Fn(Moment) + Sync) {
    std::thread::scope(|scope| {
        for moment in MOMENTS {
            let act = &act;
            let thread = std::thread::Builder::new().name(format!("in {}", moment.name()));
            thread.spawn_scoped(scope, move || act(moment)).expect("the system has threads");
        }
    });
}

fn answer(pending: Pending) -> Outcome {
    wait_for("the call is answered", PATIENCE, || pending.is_finished().then_some(()));
    pending.join().expect("no panic")
}

// ---------------------------------------------------------------------- the board

#[test]
fn the_board_is_killed() {
    in_every_state(|moment| {
        let (mut rig, pending) = moment.reach();
        let began = Instant::now();
        rig.roach.kill();
        if let Some(pending) = pending {
            let why = failure("the call", answer(pending));
            assert!(why.contains("ROACH") || why.contains("127.0.0.1"), "{moment:?}: {why}");
            assert!(began.elapsed() < SOON, "{moment:?}: answered after {:?}", began.elapsed());
        }
        let state = rig.await_that("the loss is noticed", |s| s.text("roach").starts_with("down: "));
        let expected = match moment {
            NoMode | SettingMode => "NO_MODE",
            Scanning | Monitoring => moment.name(),
            _ => "READY",
        };
        assert_eq!(state.name(), expected, "{moment:?}");
        let why = state.text("last_error");
        assert!(why.contains("ROACH") || why.contains("not connected to 127.0.0.1"), "{moment:?}: {why}");
        refuses_what_needs_the_board(&rig, moment);

        rig.restart_board();
        if expected != "NO_MODE" {
            rig.await_that("the empty board is noticed", |s| s.text("roach").contains("not programmed"));
            let why = rig.refused("start", vec![]);
            assert!(why.contains("set_mode again"), "{moment:?}: {why}");
            // That needs no force.
            rig.done("set_mode", vec!["MODE1".into()]);
        }
        rig.observe();
    });
}

fn refuses_what_needs_the_board(rig: &Rig, moment: Moment) {
    match moment {
        Scanning => {
            assert_eq!(rig.refused("start", vec![]), "Scan already started.");
            let ended = rig.await_state("READY").last_scan_ended();
            assert!(ended.contains("ROACH"), "{ended}");
        }
        Monitoring => {
            rig.done("stop", vec![]);
            rig.await_state("READY");
        }
        _ => {}
    }
    let method = if matches!(moment, NoMode | SettingMode) { "set_mode" } else { "prepare" };
    let args = if method == "set_mode" { vec!["MODE1".into()] } else { vec![] };
    let why = rig.refused(method, args);
    assert!(why.contains("No connection to the ROACH"), "{moment:?}: {why}");
    // What needs no board goes on.
    rig.done("list_modes", vec![]);
    rig.call("get_status", vec![Value::Null]).expect("status memory is there");
}

// ---------------------------------------------------------------------- the DAQ program

#[test]
fn the_daq_program_is_killed() {
    in_every_state(|moment| match moment {
        NoMode => daq_not_started_yet(),
        SettingMode => daq_hung_while_it_is_replaced(),
        _ => daq_killed(moment),
    });
}

fn daq_not_started_yet() {
    let rig = Rig::start();
    assert_eq!(rig.state().daq("state"), "absent".into());
}

/// An old DAQ program that does not obey holds a mode change up until it is gone, and no longer.
fn daq_hung_while_it_is_replaced() {
    let rig = Rig::start();
    rig.set_mode();
    let old = rig.daq_pid().expect("runs");
    send(old, Signal::SIGSTOP);
    let pending = rig.begin("set_mode", vec!["MODE1".into(), Value::Null, true.into()]);
    rig.await_that("the old program is being stopped", |s| s.daq("state") == "stopping".into());
    send(old, Signal::SIGKILL);
    super::rig::succeeded("set_mode", answer(pending));
    assert_ne!(rig.daq_pid(), Some(old));
    rig.observe();
}

fn daq_killed(moment: Moment) {
    let (rig, pending) = moment.reach();
    let pid = rig.daq_pid().expect("runs");
    send(pid, Signal::SIGKILL);
    let state = rig.await_that("the death is noticed", |s| s.daq("state") == "absent".into());
    assert_eq!(state.daq("last_exit"), "killed by signal 9".into(), "{moment:?}");
    let why = state.text("last_error");
    assert!(why.contains("DAQ program died"), "{moment:?}: {why}");
    rig.thaw_board();
    match (moment, pending) {
        (Starting, Some(pending)) => {
            let why = failure("start", answer(pending));
            assert!(why.contains("DAQ program died"), "{why}");
        }
        // Preparing needs no DAQ program.
        (_, Some(pending)) => assert_eq!(answer(pending), Ok(Value::Null)),
        (Scanning, None) => {
            let ended = rig.await_state("READY").last_scan_ended();
            assert!(ended.contains("killed by signal 9"), "{ended}");
            assert_eq!(rig.await_key("SCANREM", "scan"), "scan terminated");
        }
        _ => {}
    }
    rig.await_state("READY");
    // The next start brings it back; then the whole way from set_mode again.
    rig.scan();
    rig.observe();
}

// ---------------------------------------------------------------------- the player

/// The DAQ program, and with it the scan, does not notice; the next player goes on where this one has ended.
#[test]
fn the_player_is_killed() {
    in_every_state(|moment| {
        let (mut rig, pending) = moment.reach();
        if moment == Starting {
            // Nobody has been promised this scan yet; here it is to be one that the next player can know of.
            rig.await_saved_scan();
        }
        let mut memory = rig.memory();
        memory.set_all(PATIENCE, &[("KEPT", "by somebody else")]).expect("the lock");
        let daq = rig.daq_pid();
        rig.player.kill();
        rig.thaw_board();
        if let Some(pending) = pending {
            assert!(answer(pending).is_err(), "{moment:?}: nobody can have answered");
        }
        rig.restart_player();
        let state = rig.state();
        match moment {
            NoMode => assert_eq!(state.name(), "NO_MODE"),
            // Half a mode is none: its programs are stopped.
            SettingMode => {
                let state = rig.await_state("NO_MODE");
                assert_eq!(state.daq("state"), "absent".into());
            }
            Ready | Preparing | Monitoring => {
                let name = if moment == Monitoring { "MONITORING" } else { "READY" };
                assert_eq!((state.name(), state.text("mode")), (name.into(), "MODE1".into()), "{moment:?}");
                assert_eq!(rig.daq_pid(), daq, "{moment:?}");
                let length = rig.call("get_param", vec!["scan_length".into()]).expect("a parameter");
                assert_eq!(length, SCAN_LENGTH.into(), "{moment:?}");
            }
            Starting => the_scan_goes_on(&rig, moment, SCAN_LENGTH, daq),
            _ => the_scan_goes_on(&rig, moment, LONG_SCAN, daq),
        }
        // The attachment from before still leads to what everybody uses.
        assert!(memory.is_current(), "{moment:?}");
        assert_eq!(memory.lock_state(), LockState::Unlocked { value: 1 }, "{moment:?}");
        assert_eq!(rig.key("KEPT"), "by somebody else", "{moment:?}");
        assert_eq!(rig.key("INSTANCE"), rig.instance().to_string(), "{moment:?}");
        rig.observe();
    });
}

fn the_scan_goes_on(rig: &Rig, moment: Moment, length: f64, daq: Option<u32>) {
    let state = rig.await_that("the scan is ended in time", |s| s.name() == "READY");
    assert_eq!(state.last_scan_ended(), "complete", "{moment:?}");
    assert_eq!(rig.daq_pid(), daq, "{moment:?}: the same program");
    wait_for("the file of the scan", PATIENCE, || (!rig.files(".fits").is_empty()).then_some(()));
    let recording = Recording::open(&rig.files(".fits")[0]).expect("whole");
    let wanted = (length / 0.25) as u64;
    let rows = recording.rows() as u64;
    assert!((wanted..=wanted + 1).contains(&rows), "{moment:?}: {rows} rows of {wanted}");
    // One proof for the scan, whoever has written it, with a verdict at its end.
    let proof = wait_for("the verdict is on the disk", PATIENCE, || {
        let files = rig.files(".scan.json");
        let text = std::fs::read_to_string(files.first()?).ok()?;
        assert_eq!(files.len(), 1, "{moment:?}: {files:?}");
        text.contains("\"verdict\"").then_some(text).filter(|t| !t.contains("\"running\""))
    });
    assert!(proof.contains("complete") || proof.contains("degraded"), "{moment:?}: {proof}");
}

/// `player.keep = false`: programs end with their player, files are finished first.
#[test]
fn without_keepers_programs_end_with_their_player() {
    let mut rig = Rig::start().stopped();
    let settings: &[(&str, &Path)] = &[("player.keep", Path::new("false"))];
    rig.restart_player_with(settings);
    rig.set_mode();
    rig.begin_long_scan();
    let daq = rig.daq_pid().expect("runs");
    rig.player.kill();
    wait_for("the DAQ program ends by itself", PATIENCE, || is_gone(daq).then_some(()));
    assert_eq!(rig.key("DAQSTATE"), "exiting");
    assert!(Recording::open(&rig.files(".fits")[0]).expect("finished").rows() >= 2);
    // Of the proof, which only the player writes, it may have been killed in the middle.
    assert!(rig.files(".fits.part").is_empty());
    rig.restart_player_with(settings);
    assert_eq!(rig.state().name(), "NO_MODE");
    rig.observe();
}

/// An upgrade: the player is told that another takes its place (SIGQUIT), and leaves scan and programs to it.
#[test]
fn a_player_that_hands_over_leaves_its_scan_to_the_next() {
    let mut rig = Rig::start();
    rig.set_mode();
    rig.begin_long_scan();
    let daq = rig.daq_pid();
    rig.player.signal(Signal::SIGQUIT);
    assert!(rig.player.exit().success());
    rig.restart_player();
    assert_eq!(rig.state().name(), "SCANNING");
    the_scan_goes_on(&rig, Scanning, LONG_SCAN, daq);
    rig.observe();
}

/// The DAQ program ends while no player is there: the next one says so.
#[test]
fn a_program_that_ends_meanwhile_is_reported_by_the_next_player() {
    let mut rig = Rig::start();
    rig.set_mode();
    rig.prepare_long_scan();
    rig.start_scan();
    let daq = rig.daq_pid().expect("runs");
    rig.player.kill();
    send(daq, Signal::SIGKILL);
    wait_for("it is gone", PATIENCE, || is_gone(daq).then_some(()));
    rig.restart_player();
    let state = rig.await_state("READY");
    assert!(state.last_scan_ended().contains("killed by signal 9"), "{}", state.last_scan_ended());
    rig.observe();
}
