//! Orderly ends: nothing is left behind that was not there before.

use super::processes::{PATIENCE, Process, appliance, is_gone, wait_for};
use super::rig::{Rig, State, connect, succeeded};
use appliance::shm::{Location, LockState, keys};
use appliance::sys::sysv_shm::SysvShm;
use nix::sys::signal::Signal;
use std::io::ErrorKind;
use std::path::Path;

fn entries(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).expect("there").map(|e| e.expect("an entry").file_name());
    names.map(|n| n.to_string_lossy().into_owned()).collect()
}

/// Everything of a simulated player is its own: directory, segment, lock, programs.
#[test]
fn a_simulated_player_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (temporary, data) = (dir.path().join("tmp"), dir.path().join("data"));
    for made in [&temporary, &data] {
        std::fs::create_dir(made).expect("created");
    }
    let mut command = appliance();
    command.env("TMPDIR", &temporary).args(["--role", "player", "--announce"]);
    for (key, value) in [
        ("player.simulate", "true".to_owned()),
        ("player.bank", "BANKA".into()),
        ("player.rate_divisor", "64".into()),
        ("player.data_root", data.display().to_string()),
        ("record.dir", dir.path().join("record").display().to_string()),
    ] {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    let mut player = Process::start(&mut command, &dir.path().join("log"));
    let ready = player.ready().expect("it comes up");
    let address = ready.split_whitespace().find_map(|w| w.strip_prefix("json=")).expect("a JSON port");
    let mut client = connect(address);
    let mut ask = |method: &str, args| client.call("bank", method, args, vec![]);
    let state = |outcome| State::of(succeeded("player_state", outcome));
    wait_for("the board", PATIENCE, || {
        (state(ask("player_state", vec![])).text("roach") == "connected").then_some(())
    });
    succeeded("set_mode", ask("set_mode", vec!["MODE1".into()]));
    succeeded("prepare", ask("prepare", vec![]));
    succeeded("start", ask("start", vec![]));
    let daq = state(ask("player_state", vec![])).daq("pid").as_f64().expect("runs") as u32;

    let private = entries(&temporary);
    assert_eq!(private.len(), 1, "{private:?}");
    let keyfile = temporary.join(&private[0]).join("keyfile");
    let Location::SysV { key, lock_name } =
        keys::status_location(Some(&keyfile), 0, &|_| None).expect("a key")
    else {
        panic!("the rule of hashpipe gives a key")
    };
    let lock = Path::new("/dev/shm").join(format!("sem.{}", &lock_name[1..]));
    let in_system_v = SysvShm::attach(key).is_ok();
    assert!(!in_system_v || lock.exists(), "{}", lock.display());

    player.signal(Signal::SIGTERM);
    assert!(player.exit().success());
    assert!(is_gone(daq), "its DAQ program is reaped before it ends");
    assert_eq!(entries(&temporary), Vec::<String>::new());
    assert!(!lock.exists(), "{}", lock.display());
    assert_eq!(SysvShm::attach(key).expect_err("removed").kind(), ErrorKind::NotFound);
    let whole = |name: &String| name.ends_with(".fits") || name.ends_with(".scan.json");
    assert!(entries(&data).iter().all(whole), "{:?}", entries(&data));
}

/// Status memory of a real node belongs to everybody and stays; programs, files and calls are finished.
#[test]
fn a_player_told_to_end_finishes_the_scan() {
    let mut rig = Rig::start();
    rig.set_mode();
    rig.prepare_long_scan();
    rig.start_scan();
    rig.await_key("DISKSTAT", "writing");
    let daq = rig.daq_pid().expect("runs");
    rig.player.signal(Signal::SIGTERM);
    assert!(rig.player.exit().success());
    assert!(is_gone(daq));
    assert_eq!((rig.files(".fits").len(), rig.files(".part").len()), (1, 0));
    assert_eq!(rig.memory().lock_state(), LockState::Unlocked { value: 1 });
    assert_eq!(rig.key("DAQSTATE"), "exiting");
    rig.restart_player();
    rig.observe();
}
