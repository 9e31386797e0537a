//! A dealer proxy and its players as processes on loopback: an observation made in four ways, with three banks that have a
//! board each and with eight that share one; a player that is killed, stopped or started again at every phase of it; and
//! players of the old kind among ours.

mod driver;
mod fault;
mod observe;
#[path = "../failures/processes.rs"]
#[allow(dead_code, reason = "shared with tests that kill more")]
mod processes;
mod site;
mod want;

use appliance::value::Value;
use processes::{Process, appliance, wait_for};
use site::{Site, is_yes, python};
use std::process::Command;
use std::time::Duration;

const BANKS: [&str; 8] = ["BANKA", "BANKB", "BANKC", "BANKD", "BANKE", "BANKF", "BANKG", "BANKH"];
const MODE: &str = "CODD_MODE_64";
/// A lost player is noticed, found again and known within this, on a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// `appliance call`: what it prints, and that it ended well.
fn call(site: &Site, args: &[&str]) -> String {
    let output = appliance().args(["call", &site.json]).args(args).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn eight_banks_observe_through_appliance_call_and_through_pyzmq() {
    let site = Site::new(&BANKS);
    let all = |reply: &Value| {
        let Value::Map(entries) = reply else { panic!("an object: {reply}") };
        assert_eq!(entries.len(), 8, "{reply}");
        assert!(entries.iter().all(|(_, e)| !site::is_no(e)), "{reply}");
    };
    call(&site, &["dealer.set_mode", MODE]);
    call(&site, &["dealer.set_param", "scan_length=30.0"]);
    call(&site, &["dealer.prepare"]);
    assert!(call(&site, &["dealer.get_mode"]).contains(MODE));
    all(&site.done("start", vec![]));
    let seconds: Vec<String> = BANKS.iter().map(|bank| site.scan_start(bank)).collect();
    assert!(seconds.iter().all(|s| *s == seconds[0] && !s.is_empty()), "{seconds:?}");
    call(&site, &["dealer.stop"]);
    assert!(is_yes(&site.done("wait_for_scan", vec![])), "nobody runs");

    let Some(python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/proxy_observer.py");
    let output = Command::new(python).args([script, &site.json, MODE]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}

/// A player of the old kind, asleep while it works; `None` without a Python.
fn old_player(log: &tempfile::TempDir, more: &[&str]) -> Option<(Process, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/reference_player.py");
    let mut command = Command::new(python()?);
    command.arg(script).args(more);
    let process = Process::start(&mut command, &log.path().join("old.log"));
    let address = process.ready().expect("it comes up").trim().to_owned();
    Some((process, address))
}

#[test]
fn two_of_ours_and_one_of_the_old_kind_are_one_instrument() {
    let log = tempfile::tempdir().expect("a directory");
    let Some((_old, address)) = old_player(&log, &[]) else { return };
    let site = Site::with(&BANKS[..2], &[("BANKC", &address)]);
    site.done("set_mode", vec![MODE.into()]);
    site.set_param("scan_length", Value::Float(30.0));
    site.done("prepare", vec![]);
    let reply = site.done("start", vec![]);
    let Value::Map(entries) = &reply else { panic!("{reply}") };
    assert!(entries.iter().all(|(_, e)| is_yes(e)), "{reply}");
    let texts: Vec<String> = entries.iter().map(|(_, e)| e.to_string()).collect();
    assert!(texts.iter().all(|t| *t == texts[0]), "the same second: {texts:?}");
    let stopped = site.done("stop", vec![]);
    let Value::Map(entries) = &stopped else { panic!("{stopped}") };
    assert!(entries.len() == 3 && entries.iter().all(|(_, e)| is_yes(e)), "{stopped}");
    assert!(is_yes(&site.done("wait_for_scan", vec![])));
}

#[test]
fn an_old_player_that_refuses_keeps_ours_from_scanning() {
    let log = tempfile::tempdir().expect("a directory");
    let Some((_old, address)) = old_player(&log, &["--refuse-start"]) else { return };
    let site = Site::with(&BANKS[..2], &[("BANKC", &address)]);
    site.done("set_mode", vec![MODE.into()]);
    let reply = site.done("start", vec![]);
    let Value::Map(entries) = &reply else { panic!("{reply}") };
    assert!(entries.len() == 3 && !entries.iter().any(|(_, e)| is_yes(e)), "{reply}");
    wait_for("nobody scans", BACK_WITHIN, || site.nobody_runs().then_some(()));
}
