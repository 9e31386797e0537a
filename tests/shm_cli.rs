//! `appliance shm` as a script sees it: output, exit status, and what is left behind.

use appliance::shm::{Dialect, Location, StatusMemory, key_file};
use std::path::Path;
use std::process::Command;

/// Standard output and exit status.
fn shm(args: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appliance"));
    let output = command.arg("shm").args(args).output().expect("the program runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().expect("not killed"))
}

fn memory(dir: &Path) -> StatusMemory {
    let location = Location::File { dir: dir.to_owned() };
    let mut memory = StatusMemory::create(&location, Dialect::Hashpipe, 0).expect("create");
    memory.try_set_all(&[("OBJECT", "3C286"), ("NETSTAT", "idle")]).expect("set");
    memory
}

#[test]
fn a_missing_buffer_is_not_created() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let keyfile = dir.path().join("keyfile");
    key_file::make(&keyfile).expect("a key file");
    let keyfile = keyfile.to_str().expect("UTF-8");
    for options in [&["-Q", "A"][..], &["-k", "A", "-s", "x"], &[], &["-C"]] {
        let (text, status) = shm(&[&["status", "-K", keyfile, "-I", "5"], options].concat());
        assert!(text.starts_with("status buffer 0x45"), "{text}");
        assert!(text.ends_with(" for instance 5 does not exist\n"), "{text}");
        assert_eq!(status, 1);
    }
    let (key, status) = shm(&["status", "-K", keyfile, "-I", "5", "-S"]);
    assert!(key.starts_with("0x45") && status == 0, "{key}");
}

#[test]
fn options_act_in_order() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _memory = memory(dir.path());
    let at = ["status", "--dir", dir.path().to_str().expect("UTF-8")];
    let run = |options: &[&str]| shm(&[&at, options].concat());
    assert_eq!(run(&["OBJECT"]), ("3C286\n".into(), 0));
    assert_eq!(run(&["-Q", "OBJECT", "NETSTAT"]), ("3C286\nidle\n".into(), 0));
    assert_eq!(
        run(&["-Q", "NETSTAT", "-k", "NETSTAT", "-s", "busy", "-Q", "NETSTAT"]),
        ("idle\nbusy\n".into(), 0)
    );
    assert_eq!(
        run(&["-k", "X", "-d", "0.1", "-g", "X", "-D", "-k", "N", "-i", "-5", "-Q", "N"]),
        ("0.1\n-5\n".into(), 0)
    );
    assert_eq!(run(&["--json", "OBJECT", "N"]), ("{\"OBJECT\":\"3C286\",\"N\":-5}\n".into(), 0));
    assert_eq!(run(&["--delete", "N", "--set", "A=b=c", "A"]), ("b=c\n".into(), 0));
    let (_, status) = run(&["--dir"]);
    assert_eq!(status, 2);
}

#[test]
fn a_missing_key_ends_with_two_and_prints_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _memory = memory(dir.path());
    let at = ["status", "--dir", dir.path().to_str().expect("UTF-8")];
    for options in
        [&["-Q", "OBJECT", "-Q", "MISSING"][..], &["-g", "MISSING"], &["--json", "MISSING"], &["-s", "x"]]
    {
        assert_eq!(shm(&[&at, options].concat()), (String::new(), 2), "{options:?}");
    }
}

#[test]
fn clearing_and_cleaning_ask_first() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut memory = memory(dir.path());
    let at = ["--dir", dir.path().to_str().expect("UTF-8")];
    let status = |options: &[&str]| shm(&[&["status"], &at[..], options].concat());
    assert_eq!(status(&["--clear"]), (String::new(), 2));
    assert_eq!(status(&["--clear", "--yes"]), (String::new(), 0));
    assert_eq!(status(&["--json"]), ("{\"INSTANCE\":0}\n".into(), 0));
    let lock = format!("status buffer {} unlocked (1)\n", dir.path().join("status.mem").display());
    assert_eq!(status(&["-L"]), (lock, 0));
    assert!(memory.try_snapshot().is_ok());
    let clean = || shm(&["clean", at[0], at[1]]);
    assert_eq!(clean(), ("Deleted status shared memory and semaphore.\n".into(), 0));
    assert!(clean().0.ends_with("nothing to delete.\n"));
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0);
}

#[test]
fn memory_in_use_is_not_cleaned_without_force() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let keyfile = dir.path().join("keyfile");
    key_file::make(&keyfile).expect("a key file");
    let location = appliance::shm::keys::status_location(Some(&keyfile), 63, &|_| None).expect("a key");
    let memory = StatusMemory::create(&location, Dialect::Hashpipe, 63).expect("create");
    let at = ["clean", "-I", "63", "-K", keyfile.to_str().expect("UTF-8")];
    assert_eq!(shm(&at), (String::new(), 1));
    assert!(memory.is_current());
    let (text, status) = shm(&[&at[..], &["--force"]].concat());
    assert_eq!((text.as_str(), status), ("Deleted status shared memory and semaphore.\n", 0));
    assert!(!memory.is_current());
}
