//! Nowhere to write: the directory is missing, vanishes, or is full. The scan goes on, what is lost is said,
//! and the next scan is whole once there is room again.

use super::processes::{PATIENCE, wait_for};
use super::rig::Rig;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Prepared for a scan, which is started whatever room there is: the disk may fill while it runs.
fn prepared() -> Rig {
    prepared_with(&["player.require_space=false"])
}

fn prepared_with(settings: &[&str]) -> Rig {
    let rig = Rig::start_with(settings);
    rig.set_mode();
    rig.done("prepare", vec![]);
    rig
}

/// The end of a scan whose data could not be written is seen in the state, not only in a key.
fn scan_ends_with_a_complaint(rig: &Rig) {
    rig.await_state("READY");
    let why = rig.await_that("what was lost is said", |s| s.verdict().contains("DISKSTAT="));
    assert!(why.verdict().contains("missing"), "{}", why.verdict());
    assert_eq!(why.daq("state"), "running".into(), "the DAQ program lives on");
}

#[test]
fn a_missing_directory_is_said_and_the_next_scan_is_recorded() {
    let rig = prepared();
    rig.prepare_long_scan();
    fs::remove_dir(rig.data()).expect("empty until now");
    rig.start_scan();
    rig.await_key("DISKSTAT", "error: cannot write");
    let status = rig.done("scan_status", vec![]).to_string();
    assert!(status.contains("DISKSTAT=error"), "{status}");
    scan_ends_with_a_complaint(&rig);
    assert!(!rig.data().exists(), "a file system that is not mounted must not fill the disk below");
    fs::create_dir(rig.data()).expect("created");
    rig.scan();
}

#[test]
fn a_directory_that_vanishes_under_a_scan_is_said() {
    let rig = prepared();
    rig.prepare_long_scan();
    rig.start_scan();
    rig.await_key("DISKSTAT", "writing");
    // The player may be writing the proof of the scan there: then it is not empty yet.
    wait_for("it is removed", PATIENCE, || fs::remove_dir_all(rig.data()).ok());
    rig.await_key("DISKSTAT", "error: ");
    scan_ends_with_a_complaint(&rig);
    fs::create_dir(rig.data()).expect("created");
    rig.scan();
}

/// A small file system; unmounted at the end.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// `None`, said aloud, where mounting is not allowed.
    fn mount(at: &'a Path) -> Option<Small<'a>> {
        let options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs"];
        let done = Command::new("mount").args(options).arg(at).output();
        match done {
            Ok(output) if output.status.success() => Some(Small(at)),
            other => {
                let why = other.map(|o| String::from_utf8_lossy(&o.stderr).trim().to_owned());
                println!("SKIPPED: no small file system to fill (mount: {why:?}), a full disk was not tried");
                None
            }
        }
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Lazily: the DAQ program may still hold a file when a test failed.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Takes all the room there is.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).expect("created");
    let block = [0; 4096];
    while file.write_all(&block).is_ok() {}
}

#[test]
fn a_full_disk_is_said_and_the_next_scan_is_recorded() {
    let rig = prepared();
    let data = rig.data();
    let Some(_small) = Small::mount(&data) else { return };
    let filler = data.join("filler");
    fill(&filler);
    rig.prepare_long_scan();
    rig.start_scan();
    rig.await_key("DISKSTAT", "error: cannot write");
    scan_ends_with_a_complaint(&rig);
    assert!(rig.files(".part").is_empty(), "{:?}", rig.files(".part"));
    fs::remove_file(&filler).expect("removed");
    rig.scan();
}

#[test]
fn a_disk_that_gets_room_again_during_a_scan_is_written_again() {
    let rig = prepared();
    let data = rig.data();
    let Some(_small) = Small::mount(&data) else { return };
    let filler = data.join("filler");
    fill(&filler);
    rig.prepare_long_scan();
    rig.start_scan();
    rig.await_key("DISKSTAT", "error: cannot write");
    fs::remove_file(&filler).expect("removed");
    rig.await_key("DISKSTAT", "writing");
    scan_ends_with_a_complaint(&rig);
    assert_eq!(rig.files(".fits").len(), 1, "the rest of the scan");
}

#[test]
fn a_scan_that_does_not_fit_is_refused_before_it_starts() {
    let rig = prepared_with(&[]);
    let data = rig.data();
    let Some(_small) = Small::mount(&data) else { return };
    fill(&data.join("filler"));
    let refusal = rig.refused("start", vec![]);
    assert!(refusal.contains("require_space"), "it says what to do: {refusal}");
    rig.await_state("READY");
    assert!(rig.files(".fits").is_empty());
}
