//! Status memory whose lock somebody else holds: what needs it waits, everything else goes on.

use super::processes::{PATIENCE, Process, wait_for};
use super::rig::{Rig, succeeded};
use appliance::shm::{Location, LockState};
use appliance::sys::named_sem::{NamedSem, sem_path};
use appliance::value::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What does not need the lock is answered within this.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Shorter than what counts as stale (2 s).
const SHORT_HOLD: Duration = Duration::from_secs(1);

fn lock_name(rig: &Rig) -> String {
    match rig.location() {
        Location::SysV { lock_name, .. } => lock_name,
        Location::File { dir } => panic!("not in files: {}", dir.display()),
    }
}

/// Asks for the state until `done`, and measures the answers.
fn answers_at_once_until(rig: &Rig, mut done: impl FnMut() -> bool) {
    let mut client = rig.client();
    let (mut all, mut slow) = (0, 0);
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "the lock does not come back");
        let asked = Instant::now();
        succeeded("player_state", client.call("bank", "player_state", vec![], vec![]));
        all += 1;
        slow += u32::from(asked.elapsed() > AT_ONCE);
    }
    // A busy machine delays some; a loop that waits for the lock would delay the only one there is.
    assert!(slow * 2 < all, "{slow} of {all} answers took more than {AT_ONCE:?}");
}

#[test]
fn a_lock_held_for_a_second_only_delays() {
    let rig = Rig::start();
    rig.set_mode();
    let lock = NamedSem::open(&sem_path(&lock_name(&rig)).expect("a name")).expect("the lock");
    wait_for("the lock is ours", PATIENCE, || lock.try_wait().then_some(()));
    let held = Instant::now();
    let write = rig.begin("set_scan_number", vec![Value::Int(7)]);
    let read = rig.begin("get_status", vec!["BACKEND".into()]);
    answers_at_once_until(&rig, || held.elapsed() > SHORT_HOLD);
    assert!(!write.is_finished() && !read.is_finished(), "answered without the lock");
    lock.post();
    succeeded("set_scan_number", write.join().expect("no panic"));
    succeeded("get_status", read.join().expect("no panic"));
    assert!(!rig.log().contains("lock repaired"), "a live holder is no dead one");
    assert_eq!(rig.key("SCANNUM"), "7");
}

#[test]
fn a_lock_whose_holder_was_killed_is_repaired_and_that_is_said() {
    let rig = Rig::start();
    rig.set_mode();
    let Some(program) = stranger(&rig) else { return };
    let log = rig.dir.path().join("holder.log");
    let mut holder = Process::start(Command::new(program).args(["hold", &lock_name(&rig)]), &log);
    assert_eq!(holder.line(), "held");
    holder.kill();
    assert_eq!(rig.memory().lock_state(), LockState::Locked { waiters: 0 });
    let write = rig.begin("set_scan_number", vec![Value::Int(8)]);
    let read = rig.begin("get_status", vec!["BACKEND".into()]);
    answers_at_once_until(&rig, || write.is_finished() && read.is_finished());
    succeeded("set_scan_number", write.join().expect("no panic"));
    succeeded("get_status", read.join().expect("no panic"));
    assert_eq!(rig.key("SCANNUM"), "8");
    // The player or its DAQ program, whoever was faster.
    assert!(rig.log().contains("lock repaired"), "not said");
    assert_eq!(rig.memory().lock_state(), LockState::Unlocked { value: 1 });
    rig.observe();
}

/// A program with the C library's semaphores, or `None` (said aloud) where there is no C compiler.
fn stranger(rig: &Rig) -> Option<PathBuf> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sem_peer.c");
    let program = rig.dir.path().join("sem_peer");
    match Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(&source).arg("-pthread").status() {
        Ok(status) => {
            assert!(status.success(), "cc failed on {}", source.display());
            Some(program)
        }
        Err(e) => {
            println!("SKIPPED: no C compiler (cc: {e}), no lock was left behind by a killed stranger");
            None
        }
    }
}
