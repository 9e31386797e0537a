//! A board that comes back empty, a DAQ program that refuses or ends at once: neither is taken for a scan.

use super::processes::{PATIENCE, wait_for};
use super::rig::{Rig, failure};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn prepared() -> Rig {
    let rig = Rig::start();
    rig.set_mode();
    rig.done("prepare", vec![]);
    rig
}

#[test]
fn a_board_that_restarts_during_a_start_fails_it() {
    let mut rig = prepared();
    let pending = rig.begin("start", vec![]);
    rig.await_state("STARTING");
    rig.roach.kill();
    rig.restart_board();
    wait_for("start is answered", PATIENCE, || pending.is_finished().then_some(()));
    let why = failure("start", pending.join().expect("no panic"));
    assert!(why.contains("set_mode again") || why.contains("failed at arm"), "{why}");
    rig.await_that("the empty board is noticed", |s| s.text("roach").contains("not programmed"));
    assert_eq!(rig.state().name(), "READY");
    rig.observe();
}

#[test]
fn a_board_that_restarts_during_a_scan_ends_it() {
    let mut rig = prepared();
    rig.set_param(&[("scan_length", 60.0)]);
    rig.done("prepare", vec![]);
    rig.done("start", vec![]);
    rig.roach.kill();
    rig.restart_board();
    let state = rig.await_state("READY");
    assert!(state.last_scan_ended().contains("set_mode again"), "{}", state.last_scan_ended());
    rig.observe();
}

#[test]
fn a_daq_program_that_cannot_receive_fails_the_start() {
    let rig = prepared();
    let squatter = UdpSocket::bind((Ipv4Addr::LOCALHOST, rig.data_port)).expect("free until now");
    for method in ["start", "monitor"] {
        let why = rig.refused(method, vec![]);
        assert!(why.contains("DAQSTATE=running"), "{method}: {why}");
        assert_eq!(rig.state().name(), "READY", "{method}");
        assert!(rig.state().text("last_error").contains("DAQSTATE=running"), "{method}");
    }
    assert!(rig.log().contains("is another program using it?"));
    drop(squatter);
    // A process that another test is starting has a copy until its exec.
    wait_for("the port is free", PATIENCE, || (!is_bound(rig.data_port)).then_some(()));
    rig.scan();
}

fn is_bound(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/udp").expect("Linux");
    sockets.contains(&format!("0100007F:{port:04X} "))
}

/// START is ignored by a program that runs: monitor mode must end first.
#[test]
fn a_scan_out_of_monitor_mode_is_recorded() {
    let rig = prepared();
    rig.done("monitor", vec![]);
    rig.await_state("MONITORING");
    rig.scan();
}

/// A site's program, replaced by a script.
fn script(exec: &Path, name: &str, text: &str) {
    let path = exec.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn a_daq_program_that_ends_at_once_leaves_no_half_mode() {
    let mut rig = Rig::start().stopped();
    let site = rig.dir.path().join("site");
    let exec = site.join("exec/x86_64-linux");
    std::fs::create_dir_all(&exec).expect("created");
    script(&exec, "vegas_hpc_server", "echo 'no GPU' >&2; exit 3");
    script(&exec, "vegasFitsWriter", "exec cat");
    rig.restart_player_with(&[("player.daq", Path::new("site")), ("player.dibas_dir", &site)]);
    let why = rig.refused("set_mode", vec!["MODE1".into()]);
    assert!(why.contains("DAQ program") && why.contains("died: exit status 3"), "{why}");
    let state = rig.state();
    assert_eq!((state.name(), state.text("mode")), ("NO_MODE".into(), String::new()));
    assert!(state.text("last_error").contains("exit status 3"), "{}", state.text("last_error"));
    assert!(rig.log().contains("no GPU"), "what the program said is in the log");

    // Mended on disk; the player is the same.
    script(&exec, "vegas_hpc_server", "exec cat");
    rig.done("set_mode", vec!["MODE1".into()]);
    assert_eq!(rig.state().name(), "READY");
}
