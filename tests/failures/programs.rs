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
    rig.start_scan();
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
pub fn script(exec: &Path, name: &str, text: &str) {
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

/// Programs as a site has them: they ask for a signal on their parent's death, and read commands from its pipe.
#[test]
fn a_sites_programs_go_on_when_the_player_is_killed() {
    let mut rig = Rig::start().stopped();
    let site = rig.dir.path().join("site");
    let exec = site.join("exec/x86_64-linux");
    std::fs::create_dir_all(&exec).expect("created");
    let told = |name: &str| rig.dir.path().join(format!("{name}.told"));
    let reads = |name: &str| {
        let log = told(name).display().to_string();
        format!(
            "exec setpriv --pdeathsig TERM sh -c 'while read line; do echo \"$(date +%s.%N) $line\" >> {log}; \
             test \"$line\" = quit && exit 0; done; echo \"0 end of input\" >> {log}'"
        )
    };
    script(&exec, "vegas_hpc_server", &reads("daq"));
    script(&exec, "vegasFitsWriter", &reads("writer"));
    let logs = [told("daq"), told("writer")];
    let settings: &[(&str, &Path)] = &[("player.daq", Path::new("site")), ("player.dibas_dir", &site)];
    rig.restart_player_with(settings);
    rig.set_mode();
    rig.set_param(&[("scan_length", 4.0)]);
    rig.done("prepare", vec![]);
    let reply = rig.done("start", vec![]).to_string();
    let before = rig.state();
    rig.player.kill();
    rig.restart_player_with(settings);
    let state = rig.state();
    assert_eq!((state.name(), state.daq("pid")), ("SCANNING".into(), before.daq("pid")));
    let state = rig.await_state("READY");
    assert_eq!(state.last_scan_ended(), "complete");
    let start = reply.split("starttime=").nth(1).expect("a time").chars().take(19).collect::<String>();
    let start =
        std::process::Command::new("date").args(["-u", "+%s", "-d", &start]).output().expect("date runs");
    let start: f64 = String::from_utf8_lossy(&start.stdout).trim().parse().expect("seconds");
    for log in &logs {
        let text = wait_for("both programs are told to stop", PATIENCE, || {
            std::fs::read_to_string(log).ok().filter(|t| t.contains(" stop"))
        });
        let lines: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once(' ')).collect();
        let words: Vec<&str> = lines.iter().map(|(_, word)| *word).collect();
        assert_eq!(words, ["START", "stop"], "{}", log.display());
        let late = lines[1].0.parse::<f64>().expect("seconds") - (start + 4.0 + 1.0);
        assert!((-0.01..2.0).contains(&late), "{}: told {late} s after its time", log.display());
    }
    // They obey the new player as they did the old one.
    rig.player.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(rig.player.exit().success());
    for log in &logs {
        let text = std::fs::read_to_string(log).expect("there");
        assert!(text.trim_end().ends_with("quit"), "{text}");
    }
}
