//! The CCD host as people run it: the daemon, simulated controllers as processes of their own, `appliance call`
//! and a Python client on its ports.

mod hooks;
mod house;
mod kills;

use appliance::value::Value;
use flate2::read::GzDecoder;
use house::{House, Process, address, appliance, await_result, call, refusal, result, root};
use md5::{Digest, Md5};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Nothing in the tests exceeds this, and a real site asks more.
const CONSENT: [&str; 3] = ["unchecked=true", "thermal=true", "bias_consent=true"];

/// A daemon whose controllers are configured and powered.
fn observing(house: &House, settings: &[&str]) -> Process {
    let daemon = house.daemon(settings);
    await_result(&daemon, &["archon.status", "simple=true"]);
    result(&daemon, &[&["archon.init"], &CONSENT[..]].concat());
    daemon
}

fn filenames(reply: &Value) -> Vec<PathBuf> {
    let Some(Value::List(names)) = reply.get("filenames") else { panic!("no files in {reply}") };
    names.iter().map(|n| PathBuf::from(n.as_str().expect("a name"))).collect()
}

/// A FITS file as it is on disk, taken out of its compression.
fn image(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).expect("there")).read_to_end(&mut bytes).expect("whole");
    bytes
}

fn card<'a>(image: &'a [u8], key: &str) -> &'a str {
    let cards = image.chunks(80).map(|c| std::str::from_utf8(c).expect("ASCII"));
    let mut header = cards.take_while(|c| !c.starts_with("END "));
    let value = header.find_map(|c| c.strip_prefix(&format!("{key:8}= "))).expect(key);
    value.split(" /").next().unwrap_or_default().trim()
}

#[test]
fn an_exposure_from_configuration_to_files() {
    let house = House::new(&[]);
    let daemon = observing(&house, &[]);
    let status = result(&daemon, &["archon.sp1.status"]);
    assert!(status.to_string().contains("POWERON") || status.to_string().contains("power"), "{status}");
    let reply = result(&daemon, &["archon.expose", "0.5", "flavour=dark"]);
    assert_eq!(reply.get("verdict").map(Value::to_string).as_deref(), Some("complete"), "{reply}");
    let files = filenames(&reply);
    let names: Vec<_> = files.iter().map(|f| f.file_name().expect("a name").to_string_lossy()).collect();
    assert_eq!(names.len(), 4, "two controllers with two CCDs each: {names:?}");
    assert!(
        names[0].starts_with("sdR-bsp1-") && names[3].starts_with("sdR-rsp2-"),
        "in their order: {names:?}"
    );
    let sums = files[0].parent().expect("a directory").read_dir().expect("readable");
    let sums =
        sums.map(|e| e.expect("an entry").path()).find(|p| p.extension().is_some_and(|e| e == "md5sum"));
    let sums = fs::read_to_string(sums.expect("a checksum file")).expect("readable");
    for file in &files {
        let image = image(file);
        assert_eq!(image.len() % 2880, 0);
        assert_eq!(card(&image, "IMAGETYP"), "'dark    '");
        assert_eq!(card(&image, "EXPTIME").parse::<f64>(), Ok(0.5));
        let sum: String =
            Md5::digest(fs::read(file).expect("there")).iter().map(|b| format!("{b:02x}")).collect();
        let name = file.file_name().expect("a name").to_string_lossy();
        assert!(sums.contains(&format!("{sum}  {name}\n")), "{name} is not in\n{sums}");
    }
    let left: Vec<_> = files[0].parent().expect("a directory").read_dir().expect("readable").collect();
    assert_eq!(left.len(), files.len() + 1, "no lock or partial file is left: {left:?}");
    the_record_is_complete(&house);
    daemon.stop();
}

/// Every call that changed something, and every procedure with the controller it was for.
fn the_record_is_complete(house: &House) {
    // The reply leaves before its entry is written: only what changes something waits for the record.
    let reply = r#""kind": "reply", "id": "#;
    let began = std::time::Instant::now();
    while house.record().lines().filter(|l| l.contains(reply) && l.contains("archon.expose")).count() == 0 {
        assert!(began.elapsed() < house::WITHIN, "{}", house.record());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let record = house.record();
    let entries: Vec<Value> =
        record.lines().map(|l| appliance::proto::json::read(l.as_bytes()).expect("JSON")).collect();
    let of = |kind: &str, key: &str, value: &str| {
        let is = |e: &&Value, k: &str, v: &str| e.get(k).is_some_and(|found| found.to_string() == v);
        entries.iter().filter(|e| is(e, "kind", kind) && is(e, key, value)).count()
    };
    assert_eq!(of("call", "method", "archon.expose"), 1, "{record}");
    assert_eq!(of("reply", "method", "archon.expose"), 1, "{record}");
    assert!(of("plan", "controller", "sp1") > 0 && of("plan", "controller", "sp2") > 0, "{record}");
}

/// Killed in the middle of a fetch and started again: every image is there, once, and whole.
#[test]
fn what_a_killed_daemon_was_fetching_is_recovered_by_the_next() {
    let house = House::new(&["--fault", "cut-fetch=3"]);
    let daemon = observing(&house, &[]);
    let target = address(&daemon, "json").to_owned();
    let exposing = std::thread::spawn(move || {
        appliance().args(["call", &target, "archon.expose", "flavour=bias"]).output().expect("runs")
    });
    // Both controllers have stopped sending: partial images, and a lock file for each.
    while house.files(".lock").len() < 4 || house.files(".part").len() < 4 {
        assert!(!exposing.is_finished(), "it ended: {}", daemon.log_text());
    }
    daemon.signal(Signal::SIGKILL);
    daemon.gone();
    assert!(!exposing.join().expect("joined").status.success());
    assert_eq!(house.files(".fits.gz").len(), 0);
    let daemon = house.daemon(&[]);
    await_result(&daemon, &["archon.status", "simple=true"]);
    // The recovery of the start, or else this one.
    let began = std::time::Instant::now();
    while house.files(".fits.gz").len() < 4 || !house.files(".lock").is_empty() {
        call(&daemon, &["archon.recover"]);
        assert!(began.elapsed() < house::WITHIN, "{:?}\n{}", house.files(""), daemon.log_text());
    }
    let images = house.files(".fits.gz");
    assert_eq!((images.len(), house.files(".part").len()), (4, 0), "{images:?}");
    for file in &images {
        appliance::frames::whole(file).expect("its sums agree");
        assert_eq!(card(&image(file), "EXPOSURE"), "1");
    }
    // A stream that broke during the recovery leaves its controller marked until somebody has looked.
    result(&daemon, &["archon.reset"]);
    result(&daemon, &["archon.expose", "flavour=bias"]);
    assert_eq!(house.files(".fits.gz").len(), 8);
    daemon.stop();
}

#[test]
fn a_read_only_port_reads_only() {
    let house = House::new(&[]);
    let port = "unix:".to_owned() + &house.dir.path().join("ro.sock").display().to_string();
    let lists = [format!("listen.rpc=[\"{port}\"]"), format!("listen.read_only=[\"{port}\"]")];
    let daemon = house.daemon(&[&lists[0], &lists[1]]);
    await_result(&daemon, &["archon.status", "simple=true"]);
    let on_port = |method: &str| appliance().args(["call", &port, method]).output().expect("runs");
    assert!(on_port("archon.status").status.success());
    let refused = on_port("archon.reset");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("not allowed"), "{why}");
    daemon.stop();
}

#[test]
fn without_controllers_the_daemon_runs_and_says_so() {
    let mut house = House::new(&[]);
    house.controllers.clear();
    let daemon = house.daemon(&[]);
    let why = refusal(&daemon, &["archon.status"]);
    assert!(why.contains("is not connected"), "{why}");
    result(&daemon, &["archon.state"]);
    daemon.stop();
}

#[test]
fn a_controller_that_comes_back_is_attached_again() {
    let mut house = House::new(&[]);
    let daemon = house.daemon(&[]);
    await_result(&daemon, &["archon.status", "simple=true"]);
    let first = house.controllers.remove(0);
    first.signal(Signal::SIGKILL);
    first.gone();
    let port = house.ports[0].to_string();
    let mut again = appliance();
    again.args(["sim", "archon", "--announce", "--port", &port, "--acf"]).arg(house::acf());
    let _again = Process::start(&mut again, house.dir.path().join("again.log"));
    await_result(&daemon, &["archon.sp1.status", "simple=true"]);
    daemon.stop();
}

#[test]
fn a_wrong_configuration_is_exit_status_2_and_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = |set: &str| {
        let mut command = appliance();
        command.args(["--role", "archon", "--set", "listen.json=tcp://127.0.0.1:0", "--set", set]);
        let done = command.stdin(Stdio::null()).output().expect("runs");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let missing = dir.path().join("nowhere.yml");
    let (code, text) = run(&format!("archon.config={}", missing.display()));
    assert!(code == Some(2) && text.contains("nowhere.yml") && text.contains("archon.config"), "{text}");
    let broken = dir.path().join("broken.yml");
    fs::write(&broken, "controllers:\n  sp1:\n    host: [1\n").expect("written");
    let (code, text) = run(&format!("archon.config={}", broken.display()));
    assert!(code == Some(2) && text.contains("broken.yml"), "{text}");
    let (code, text) = run("archon.upload_depth=0");
    assert!(code == Some(2) && text.contains("upload_depth"), "{text}");
}

#[test]
fn a_python_client_exposes_through_the_json_face() {
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    let found = Command::new(&python).args(["-c", "import zmq"]).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        println!("SKIPPED: {} has no pyzmq; run scripts/test, or set APPLIANCE_PYTHON", python.display());
        return;
    }
    let house = House::new(&[]);
    let daemon = observing(&house, &[]);
    let session = Command::new(python)
        .arg(root().join("tests/interop/archon_session.py"))
        .arg(address(&daemon, "json"))
        .output()
        .expect("Python runs");
    let seen = String::from_utf8_lossy(&session.stdout);
    println!("{seen}");
    let trouble = String::from_utf8_lossy(&session.stderr);
    assert!(session.status.success(), "{seen}\n{trouble}\nlog of the daemon:\n{}", daemon.log_text());
    daemon.stop();
}

#[test]
fn status_is_answered_and_abort_gets_in_while_an_exposure_runs() {
    let house = House::new(&[]);
    let daemon = observing(&house, &[]);
    let target = address(&daemon, "json").to_owned();
    let long = std::thread::spawn(move || {
        appliance().args(["call", &target, "archon.expose", "600", "flavour=dark"]).output().expect("runs")
    });
    // Integrating, as others see it.
    while !result(&daemon, &["archon.status", "simple=true"]).to_string().contains("EXPOSING") {
        assert!(!long.is_finished(), "it ended at once: {}", daemon.log_text());
    }
    let refused = refusal(&daemon, &["archon.expose", "1", "flavour=dark", "--timeout", "1"]);
    println!("a second exposure meanwhile: {refused}");
    result(&daemon, &["archon.abort"]);
    let ended = long.join().expect("joined");
    let why = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && why.contains("abort"), "{why}");
    assert!(call(&daemon, &["archon.reset"]).status.success());
    daemon.stop();
}
