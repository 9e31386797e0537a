//! `appliance demo` as somebody who has just built it runs it: it ends well, what it lists exists, the
//! pictures are pictures, astropy reads the files, and nothing is left behind.

mod leftovers;

use appliance::daq::sdfits::read::Recording;
use leftovers::Place;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the demo records: length, requested exposure, s.
const SCAN_LENGTH_S: f64 = 6.0;
const EXPOSURE_S: f64 = 0.5;
/// A fraction of the data rate: a laptop, also when other tests run beside.
const RATE_DIVISOR: f64 = 8.0;
/// The tone of the packet source, at a quarter of 1024 channels.
const TONE_CHANNEL: usize = 256;

#[test]
fn the_demo_leaves_its_files_and_nothing_else() {
    let place = Place::new();
    let files = run(&place, &["player", "--rate-divisor", &RATE_DIVISOR.to_string()], "player.log");
    for kind in ["fits", "png", "jsonl", "log"] {
        assert!(files.iter().any(|f| f.extension().is_some_and(|e| e == kind)), "no .{kind} in {files:?}");
    }
    let with =
        |kind: &str| files.iter().find(|f| f.extension().is_some_and(|e| e == kind)).expect("asserted above");
    the_picture_is_one(with("png"));
    the_scan_is_whole(with("fits"));
    let left = place.left(&[place.out.join("player.log")]);
    assert!(left.is_empty(), "left behind: {left:#?}");
}

#[test]
fn the_demo_of_a_ccd_host_leaves_its_images_and_nothing_else() {
    let place = Place::new();
    let files = run(&place, &["archon"], "archon.log");
    let of = |kind: &str| {
        let is = |f: &&PathBuf| f.to_string_lossy().ends_with(kind);
        files.iter().filter(is).cloned().collect::<Vec<_>>()
    };
    assert_eq!((of(".fits.gz").len(), of(".png").len(), of(".jsonl").len()), (8, 4, 1), "{files:?}");
    for image in of(".fits.gz") {
        appliance::frames::whole(&image).expect("its sums agree");
    }
    astronomers_accept(&of(".fits.gz"));
    for picture in of(".png") {
        png::Decoder::new(BufReader::new(File::open(&picture).expect("there"))).read_info().expect("a PNG");
    }
    let left = place.left(&[]);
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// astropy (warnings are errors, sums compared) and fitsverify, on the files of a real night.
fn astronomers_accept(images: &[PathBuf]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let script = "import sys, warnings; from astropy.io import fits; warnings.simplefilter('error')\n\
        for path in sys.argv[1:]:\n  with fits.open(path, checksum=True) as f:\n    f.verify('exception')\n    \
        assert f[0].data.std() > 0 and f[0].header['SIMULATE'] is True, path\nprint(len(sys.argv) - 1)";
    match Command::new(&python).args(["-c", script]).args(images).output() {
        Ok(done) if String::from_utf8_lossy(&done.stderr).contains("No module named 'astropy'") => {
            println!("SKIPPED: {} has no astropy; set APPLIANCE_PYTHON", python.display());
        }
        Err(e) => println!("SKIPPED: {}: {e}; set APPLIANCE_PYTHON", python.display()),
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
    }
    let program = std::env::var_os("APPLIANCE_FITSVERIFY").unwrap_or_else(|| "fitsverify".into());
    for image in images {
        let Ok(done) = Command::new(&program).arg(image).output() else {
            return println!("SKIPPED: no {}; set APPLIANCE_FITSVERIFY", program.display());
        };
        let text = String::from_utf8_lossy(&done.stdout);
        let complaint = |l: &&str| l.starts_with("*** ") && !l.contains("has a null value");
        assert!(!text.lines().any(|l| complaint(&l)) && text.contains("Error Summary"), "{text}");
    }
}

/// Runs a demonstration that ends well; the files it lists, which are there.
fn run(place: &Place, words: &[&str], log: &str) -> Vec<PathBuf> {
    let done = place
        .command(Path::new(env!("CARGO_BIN_EXE_appliance")))
        .arg("demo")
        .args(words)
        .arg("--out")
        .arg(&place.out)
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    println!("{said}");
    let trouble = String::from_utf8_lossy(&done.stderr);
    let log_text = std::fs::read_to_string(place.out.join(log)).unwrap_or_default();
    assert!(done.status.success(), "{}\n{trouble}\nits node:\n{log_text}", done.status);
    let files = listed(&said);
    for file in &files {
        assert!(file.is_file(), "{} is listed but not there", file.display());
    }
    files
}

/// The paths below `Files:`.
fn listed(said: &str) -> Vec<PathBuf> {
    let list = said.split("\nFiles:\n").nth(1).expect("a list of files");
    list.lines().filter_map(|line| line.split_whitespace().next()).map(PathBuf::from).collect()
}

fn the_picture_is_one(path: &Path) {
    let file = BufReader::new(File::open(path).expect("there"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let frame = reader.next_frame(&mut pixels).expect("whole");
    assert!(frame.width >= 320 && frame.height >= 200, "{} x {}", frame.width, frame.height);
    let first = pixels[0];
    assert!(pixels[..frame.buffer_size()].iter().any(|p| *p != first), "an empty picture");
}

fn the_scan_is_whole(path: &Path) {
    let recording = Recording::open(path).expect("one of ours");
    let number = |keyword| recording.number(keyword).expect(keyword);
    let (exposure_s, spectrum_s) = (number("REQEXPO"), number("HWEXPOSR") * RATE_DIVISOR);
    assert!((exposure_s - EXPOSURE_S).abs() < number("HWEXPOSR"), "whole spectra nearest to what was asked");
    let rows = (SCAN_LENGTH_S / exposure_s).ceil() as usize;
    assert_eq!(recording.rows(), rows);
    let total: f64 = recording.numbers("EXPOSURE").expect("a column").iter().sum();
    assert!((total - SCAN_LENGTH_S).abs() <= spectrum_s, "{total} s, one spectrum is {spectrum_s} s");
    astropy_agrees(path, rows, spectrum_s);
}

fn astropy_agrees(file: &Path, rows: usize, tolerance_s: f64) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let probe = Command::new(&python).args(["-c", "import astropy"]).output();
    if !probe.is_ok_and(|p| p.status.success()) {
        println!("SKIPPED: {} has no astropy; run scripts/test, or set APPLIANCE_PYTHON", python.display());
        return;
    }
    let judged = Command::new(&python)
        .arg(root.join("tests/interop/check_sdfits.py"))
        .arg(file)
        .args([
            rows.to_string(),
            SCAN_LENGTH_S.to_string(),
            tolerance_s.to_string(),
            TONE_CHANNEL.to_string(),
        ])
        .output()
        .expect("Python runs");
    print!("{}", String::from_utf8_lossy(&judged.stdout));
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}

/// The check of the test above is worth something.
#[test]
fn what_is_left_behind_is_found() {
    let place = Place::new();
    assert!(place.left(&[]).is_empty());
    let mut sleeper = place.command(Path::new("sleep")).arg("60").spawn().expect("sleep runs");
    std::fs::write(place.tmp.join("forgotten"), "").expect("written");
    // A process that was just started has its environment a moment later.
    let left = (0..200)
        .map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            place.left(&[])
        })
        .find(|left| left.len() == 2)
        .unwrap_or_default();
    sleeper.kill().expect("it runs");
    sleeper.wait().expect("reaped");
    assert!(left.len() == 2 && left[0].starts_with("process") && left[1].contains("forgotten"), "{left:?}");
}
