//! The reference's own client, `sdss-archon`, on our simulated controller: its start, upload, exposure,
//! readout and fetch, and the pixels it gets. Says SKIPPED aloud where there is no interpreter.

use appliance::config::acf::Acf;
use appliance::proto::archon::Sample;
use appliance::reactor::{Handle, Options, spawn_thread};
use appliance::sim::archon::{ArchonSimConfig, FrameSpec};
use appliance::sim::archon_app::ArchonApp;
use appliance::sys::clock;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const SEED: u64 = 11;

/// Frame of 2 taps, 70 columns with 5 overscan pixels each, 40 lines; 0.5 s.
const ACF: &str = r#"[CONFIG]
BIGBUF=0
FRAMEMODE=0
LINE0=Main:
LINES=1
LINECOUNT=40
MOD4\LVLC_LABEL1="OG, left"
MOD4\LVLC_V1=1.5
PARAMETER0="Exposures=0"
PARAMETER1="IntCS=0"
PARAMETER2="NoIntMS=10"
PARAMETER3="Pixels=30"
PARAMETER4="Lines=40"
PARAMETER5="HorizontalBinning=1"
PARAMETER6="VerticalBinning=1"
PARAMETER7="AbortExposure=0"
PARAMETER8="ReadOut=0"
PARAMETER9="DoFlush=0"
PARAMETER10="AutoFlush=1"
PARAMETER11="FlushCount=2"
PARAMETER12="PreSkipPixels=0"
PARAMETER13="PostSkipPixels=0"
PARAMETER14="PreSkipLines=0"
PARAMETER15="PostSkipLines=0"
PARAMETER16="OverscanPixels=5"
PARAMETER17="OverscanLines=0"
PARAMETER18="WaitCount=0"
PARAMETERS=19
PIXELCOUNT=35
SAMPLEMODE=%SAMPLE%
TAPLINE0="AD5L, -1, 1000"
TAPLINE1="AD5R, 1, 1000"
TAPLINES=2
[SYSTEM]
BACKPLANE_TYPE=1
"#;

fn python() -> Option<PathBuf> {
    let given = std::env::var_os("APPLIANCE_PYTHON").map(PathBuf::from);
    let found = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"));
    let usable =
        Command::new(&found).args(["-c", "import archon"]).output().is_ok_and(|o| o.status.success());
    if !usable {
        println!("SKIPPED: no Python with sdss-archon (scripts/test makes one)");
    }
    usable.then_some(found)
}

fn simulator(faults: &[&str]) -> (Handle, SocketAddr) {
    let (tell, told) = channel();
    let faults = faults.iter().map(|f| f.parse().expect("a fault")).collect();
    let config = ArchonSimConfig { seed: SEED, faults, ..ArchonSimConfig::default() };
    let ready = Box::new(move |at| tell.send(at).expect("the test waits"));
    let app = ArchonApp::new(SocketAddr::from(([127, 0, 0, 1], 0)), config, Some(ready), clock::now());
    let handle = spawn_thread(app, Options::default(), "archon").expect("a thread");
    (handle, told.recv_timeout(PATIENCE).expect("listening").expect("a port"))
}

/// What the client saw, or its own last words.
fn session(python: &Path, address: SocketAddr, acf: &str, int_param: &str) -> Result<Value, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("session.acf");
    std::fs::write(&path, acf).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sdss_archon_client.py");
    let output = Command::new(python)
        .arg(script)
        .args([address.ip().to_string(), address.port().to_string()])
        .arg(&path)
        .args(["0.5", int_param])
        .env("HOME", dir.path())
        .output()
        .expect("python runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(words);
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("{e}: {words}"))
}

fn names(seen: &Value, key: &str) -> Vec<String> {
    seen[key].as_array().into_iter().flatten().filter_map(|n| n.as_str().map(str::to_owned)).collect()
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The pixels the client has are those of this frame.
fn same_image(seen: &Value, key: &str, frame: &FrameSpec) {
    assert_eq!(seen[key]["shape"], serde_json::json!([frame.height(), frame.width()]), "{key}");
    assert_eq!(seen[key]["sha256"], sum(&frame.whole()).as_str(), "{key}: every pixel");
}

/// A session of the client on a box that was just switched on; `frame`: its first exposure, of 0.5 s.
fn whole_session(acf: &str, int_param: &str, frame: &FrameSpec) {
    let Some(python) = python() else { return };
    let (_handle, address) = simulator(&[]);
    let seen = session(&python, address, acf, int_param).expect("the client's session goes well");

    assert_eq!(seen["lines_before"], 0, "a box that was just switched on has no configuration");
    let own = Acf::parse(acf).expect("read by us too").0;
    assert_eq!(seen["lines_after"], own.lines.len());
    assert_eq!(names(&seen, "powered"), ["IDLE", "POWERON"]);
    for prefix in ["", "window_"] {
        let step = |name: &str| names(&seen, &format!("{prefix}{name}"));
        assert_eq!(step("exposing"), ["EXPOSING", "READOUT_PENDING", "POWERON"], "{prefix}");
        assert_eq!(step("exposed"), ["IDLE", "READOUT_PENDING", "POWERON"], "{prefix}");
        assert_eq!(step("fetched"), ["IDLE", "POWERON"], "{prefix}");
    }
    assert_eq!(names(&seen, "aborted"), ["IDLE", "READOUT_PENDING", "POWERON"]);
    assert_eq!(names(&seen, "powered_off"), ["IDLE", "POWEROFF"]);
    assert_eq!(seen["system"]["mod2_name"], "HEATERX");
    assert_eq!(
        (&seen["frame"]["buf1complete"], &seen["frame"]["buf1frame"]),
        (&Value::from(1), &Value::from(1))
    );

    same_image(&seen, "image", frame);
    // 20 lines of 15 pixels, overscan added; 0.1 s.
    let window =
        FrameSpec { frame: 2, pixels: 15 + frame.overscan, lines: 20, integration_ms: 100, ..frame.clone() };
    same_image(&seen, "window_image", &window);

    // Its APPLYMOD4 is no command of a slot; ours is, and takes over the line it wrote.
    assert!(seen["apply"].as_str().is_some_and(|e| e.contains("Failed applying")), "{}", seen["apply"]);
    assert!(seen["log"].as_str().is_some_and(|l| l.contains("APPLYMOD4")), "{}", seen["log"]);
    assert_eq!(seen["volts"], 1.25);
}

fn own_frame(sample: Sample) -> FrameSpec {
    FrameSpec {
        seed: SEED,
        frame: 1,
        taps: 2,
        pixels: 35,
        lines: 40,
        mode: 0,
        sample,
        overscan: 5,
        integration_ms: 500,
        shifted: 0,
        counter: false,
    }
}

#[test]
fn the_reference_client_runs_its_session_and_gets_every_pixel() {
    whole_session(&ACF.replace("%SAMPLE%", "0"), "IntCS", &own_frame(Sample::U16));
}

#[test]
fn also_with_32_bits() {
    whole_session(&ACF.replace("%SAMPLE%", "1"), "IntCS", &own_frame(Sample::U32));
}

#[test]
fn the_configuration_of_a_real_instrument_in_split_mode() {
    let shared = std::env::var_os("APPLIANCE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join("data/archon/BOSS_extra.acf");
    let Ok(bytes) = std::fs::read(&path) else {
        println!("SKIPPED: no {}", path.display());
        return;
    };
    let frame =
        FrameSpec { taps: 8, pixels: 400, lines: 400, mode: 2, overscan: 0, ..own_frame(Sample::U16) };
    whole_session(&Acf::decode(&bytes), "IntMS", &frame);
}

#[test]
fn the_reference_client_notices_a_refused_upload() {
    let Some(python) = python() else { return };
    let (_handle, address) = simulator(&["refuse=WCONFIG0005"]);
    let words =
        session(&python, address, &ACF.replace("%SAMPLE%", "0"), "IntCS").expect_err("a line was refused");
    assert!(words.contains("WCONFIG0005"), "{words}");
}
