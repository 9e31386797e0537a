//! `appliance preflight` before a night: what is well, what is wrong and what to do about it; it changes nothing.

use super::processes::appliance;
use super::programs::script;
use super::rig::Rig;
use appliance::config::dibas::Dibas;
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;

/// Requests that change nothing on a board.
const READING: &[&str] = &["?listbof", "?listdev", "?read"];

/// Stands between a program and the board, and tells what the program asks for.
fn between(board: u16) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let board = TcpStream::connect((Ipv4Addr::LOCALHOST, board)).expect("it runs");
            let (mut answers, mut back) =
                (board.try_clone().expect("ours"), client.try_clone().expect("ours"));
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            let (mut board, mut lines) = (board, BufReader::new(client));
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
                board.write_all(line.as_bytes()).expect("it runs");
                if tell.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
            // The board hangs up on the other thread.
            let _ = board.shutdown(std::net::Shutdown::Both);
        }
    });
    (port, told)
}

/// A site whose programs are all there.
fn site(rig: &Rig) -> PathBuf {
    let site = rig.dir.path().join("site");
    let exec = site.join("exec/x86_64-linux");
    std::fs::create_dir_all(&exec).expect("created");
    let text = std::fs::read_to_string(rig.dir.path().join("dibas.conf")).expect("there");
    let dibas = Dibas::load(&text, "dibas.conf").expect("sound");
    for mode in &dibas.modes {
        script(&exec, &mode.hpc_program, "exec cat");
    }
    script(&exec, "vegasFitsWriter", "exec cat");
    site
}

/// Exit status and what was found.
fn preflight(rig: &Rig, settings: &[(&str, &str)]) -> (i32, Vec<Json>) {
    let mut command = appliance();
    command.args(["preflight", "--json"]);
    let player = rig.player_command();
    let given: Vec<_> = player.get_args().collect();
    for pair in given.windows(2).filter(|pair| pair[0] == "--set") {
        command.args(pair);
    }
    for (key, value) in settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let found = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (output.status.code().expect("it ends by itself"), found)
}

fn result<'a>(found: &'a [Json], what: &str) -> Vec<&'a str> {
    found.iter().filter(|c| c["check"] == what).filter_map(|c| c["result"].as_str()).collect()
}

/// Small buffers under keys of this process, of which none are made.
fn layouts() -> String {
    let key = 0x5E10_0000 | (std::process::id() & 0xffff) << 4;
    let layout = |program: &str, n: u32| {
        format!("{{program='{program}',family='vegas',key={},buffers=[{{blocks=2,block_kib=4}}]}}", key + n)
    };
    format!("[{},{}]", layout("vegas_", 0), layout("guppi_", 4))
}

fn point_at(rig: &Rig, from: u16, to: u16) {
    let conf = rig.dir.path().join("dibas.conf");
    let text = std::fs::read_to_string(&conf).expect("there");
    let changed = text.replace(&format!("katcp_port = {from}"), &format!("katcp_port = {to}"));
    assert_ne!(text, changed);
    std::fs::write(conf, changed).expect("written");
}

#[test]
fn a_bank_that_is_well_is_found_well_and_nothing_is_written_to_its_board() {
    let rig = Rig::start();
    rig.set_mode();
    let site = site(&rig).display().to_string();
    let (port, told) = between(rig.roach_port);
    point_at(&rig, rig.roach_port, port);
    let layouts = layouts();
    let settings = [
        ("player.daq", "site"),
        ("player.dibas_dir", site.as_str()),
        ("player.data_buffers", "auto"),
        ("player.data_buffer_layouts", layouts.as_str()),
    ];
    let (status, found) = preflight(&rig, &settings);
    assert_eq!(status, 0, "{found:#?}");
    for what in [
        "configuration",
        "data root",
        "shared memory",
        "data buffers",
        "DAQ program",
        "ROACH",
        "registers",
        "FPGA clock",
    ] {
        let results = result(&found, what);
        assert!(!results.is_empty() && results.iter().all(|r| *r == "ok"), "{what}: {found:#?}");
    }
    assert!(found.iter().all(|c| (c["result"] == "ok") == (c["remedy"] == "")), "{found:#?}");
    let asked: Vec<String> = told.try_iter().collect();
    assert!(asked.len() >= 4, "{asked:?}");
    let changing = asked.iter().find(|line| !READING.contains(&line.split_whitespace().next().unwrap_or("")));
    assert_eq!(changing, None, "{asked:?}");
    assert_eq!(rig.state().name(), "READY", "the player has not noticed");
}

#[test]
fn everything_that_is_wrong_is_named_with_its_remedy() {
    let rig = Rig::start().stopped();
    let site = site(&rig);
    std::fs::remove_file(site.join("exec/x86_64-linux/vegasFitsWriter")).expect("there");
    // A port of ours at which nobody listens.
    let closed =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound").port();
    point_at(&rig, rig.roach_port, closed);
    let site = site.display().to_string();
    let huge =
        "[{program='vegas_',family='vegas',key=0x5E2FFFF0,buffers=[{blocks=32000,block_kib=1073741823}]}]";
    let (status, found) = preflight(
        &rig,
        &[
            ("player.daq", "site"),
            ("player.dibas_dir", &site),
            ("player.data_root", "/nonexistent/data"),
            ("player.data_buffer_layouts", huge),
            ("player.program.vegas_hpc_server", "{cpus=[1023]}"),
            ("player.program.vegasFitsWriter", "{dir='/nonexistent/dir'}"),
        ],
    );
    assert_eq!(status, 1, "{found:#?}");
    let wrong = |what: &str, said: &str| {
        let text = |c: &Json| format!("{} -> {}", c["found"], c["remedy"]);
        let one = found.iter().filter(|c| c["check"] == what && c["result"] == "FAILURE");
        let texts: Vec<String> = one.map(text).collect();
        assert!(texts.iter().any(|t| t.contains(said)), "{what}, {said}: {found:#?}");
    };
    wrong("data root", "/nonexistent/data");
    wrong("shared memory", "MiB are available");
    wrong("DAQ program", "vegasFitsWriter");
    wrong("program start", "player.program.vegas_hpc_server.cpus");
    wrong("program start", "player.program.vegasFitsWriter.dir");
    wrong("ROACH", "check power, network and katcp_ip");
    assert!(found.iter().all(|c| (c["result"] == "ok") == (c["remedy"] == "")), "{found:#?}");
    assert!(!PathBuf::from("/nonexistent").exists(), "nothing was made");

    let (status, _) = preflight(&rig, &[("player.dibas_conf", "/nonexistent/dibas.conf")]);
    assert_eq!(status, 1);
    let (status, _) = preflight(&rig, &[("player.nonsense", "1")]);
    assert_eq!(status, 2, "no such key");
}

#[test]
fn a_simulation_is_always_well() {
    let rig = Rig::start().stopped();
    let (status, found) = preflight(&rig, &[("player.simulate", "true")]);
    assert_eq!(status, 0, "{found:#?}");
    assert!(found.iter().any(|c| c["found"] == "simulated"), "{found:#?}");
}
