//! Images of a CCD as others see them: astropy and fitsverify are the judges.

use appliance::config::archon::{Checksum, ChecksumMode, Detector, Files};
use appliance::frames::geometry::{FrameGeometry, cuts};
use appliance::frames::jobs::{
    Card, Done, FrameHandle, FrameId, FramePlan, ImageSpec, Job, Naming, Overscan, work,
};
use appliance::proto::archon::Sample;
use appliance::value::Value;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// PIXELCOUNT and LINECOUNT: odd, so that images end in the middle of a word of the checksum.
const P: u32 = 37;
const N: u32 = 21;

struct Case {
    name: &'static str,
    mode: u8,
    sample: Sample,
    /// Taps of each CCD.
    taps: &'static [u32],
    template: &'static str,
    cards: Vec<Card>,
    /// Cards that come with Secure.
    late: Vec<Card>,
    /// The fetch ends before the last line.
    short: bool,
}

fn card(key: &str, value: impl Into<Value>, comment: &str) -> Card {
    Card { key: key.into(), value: value.into(), comment: comment.into() }
}

/// As the reference writes them, and whatever else may come.
fn many_cards() -> Vec<Card> {
    let long = "/home/sdss/config/acf/".repeat(9);
    vec![
        card("V_ARCHON", "0.15.5", ""),
        card("FILENAME", "sdR-b1-00000001.fits", "File basename"),
        card("EXPOSURE", 1, "Exposure number"),
        card("OBSTIME", "2026-11-21T02:50:01.864", "Start of the observation [UTC]"),
        card("EXPTIME", 0.1, "Exposure time"),
        card("DARKTIME", 900.0, "Dark time"),
        card("SMALL", 1.5e-7, "a small number"),
        card("LARGE", -6.02214076e23, "a large number"),
        card("SIXTEEN", 1e16, ""),
        card("THIRD", 1.0 / 3.0, "a number with many digits"),
        card("NEGATIVE", -12, "an integer"),
        card("SIMULATE", true, "this is no star"),
        card("SHUTTER", false, ""),
        card("UNKNOWN", Value::Null, "a sensor that does not answer"),
        card("EMPTY", "", "an empty text"),
        card("QUOTES", "it's the 'best'", "quotes"),
        card("ARCHACF", long.as_str(), "Archon ACF file"),
        card("LONGTEXT", format!("{}'''{}", "x".repeat(65), "y".repeat(70)).as_str(), ""),
        card("SIXTY", "z".repeat(60).as_str(), "a comment that has to be cut because the text is long"),
        card("SIXTYSVN", "z".repeat(67).as_str(), "no room for this one"),
        card("SIXTY8", "z".repeat(68).as_str(), "nor for this one"),
        card("EXPOSURE_MEASURED", 1.25, "s"),
        card("LONG KEYWORD NAME", "text", ""),
    ]
}

fn cases() -> Vec<Case> {
    let base = Case {
        name: "split",
        mode: 2,
        sample: Sample::U16,
        taps: &[4, 4],
        template: "{name}-{ccd}.fits",
        cards: many_cards(),
        late: vec![
            card("INTEND", "2026-11-21T02:50:02.000", "End of the integration"),
            card("SMALL", 2.5e-7, ""),
        ],
        short: false,
    };
    let late: Vec<Card> =
        (0..100).map(|i| card(&format!("LATE{i}"), i64::from(i), "came with the end")).collect();
    vec![
        Case { name: "top", mode: 0, taps: &[4, 2, 1], template: "{name}-{ccd}.fits.gz", ..clone(&base) },
        Case { name: "top32", mode: 0, sample: Sample::U32, ..clone(&base) },
        Case { name: "bottom", mode: 1, taps: &[1, 3], ..clone(&base) },
        Case { name: "split6", taps: &[2, 6], sample: Sample::U32, ..clone(&base) },
        Case { name: "none", cards: Vec::new(), late: Vec::new(), ..clone(&base) },
        // More cards than there is room for: the data move.
        Case { name: "late", cards: Vec::new(), late, ..clone(&base) },
        Case { name: "short", cards: Vec::new(), late: Vec::new(), short: true, ..clone(&base) },
        base,
    ]
}

fn clone(case: &Case) -> Case {
    Case { cards: case.cards.clone(), late: case.late.clone(), ..*case }
}

fn detector(number: usize, taps: u32) -> Detector {
    Detector {
        name: format!("ccd{number}"),
        taps,
        sensor: String::new(),
        serial: "?".into(),
        kind: "?".into(),
        gain: Vec::new(),
        readnoise: Vec::new(),
        areas: Vec::new(),
    }
}

/// Writes the frame and its images; what is to be found in them.
fn write(case: &Case, dir: &Path) -> Vec<Json> {
    let taps: u32 = case.taps.iter().sum();
    let halves = if case.mode == 2 { 2 } else { 1 };
    let frame = FrameGeometry {
        width: taps / halves * P,
        height: N * halves,
        sample: case.sample,
        mode: case.mode,
        pixel_count: P,
        line_count: N,
    };
    let detectors: Vec<Detector> = case.taps.iter().enumerate().map(|(i, t)| detector(i, *t)).collect();
    let cuts = cuts(&detectors, &frame).expect("they fit");
    let path = |ccd: &str| dir.join(case.template.replace("{name}", case.name).replace("{ccd}", ccd));
    let images = cuts.into_iter().map(|cut| ImageSpec {
        path: path(&cut.ccd),
        cut,
        cards: case.cards.clone(),
        discard: false,
    });
    let files =
        Files { data_dir: dir.to_owned(), template: String::new(), use_sjd: false, write_async: true };
    let plan = FramePlan {
        id: FrameId { controller: "sp1".into(), buffer: 3, frame: 5, ..FrameId::default() },
        exposure: 1,
        geometry: frame,
        base: 0,
        images: images.collect(),
        overscan: Overscan::default(),
        naming: Naming {
            files,
            checksum: Checksum {
                write: true,
                mode: ChecksumMode::Sha1,
                file: format!("{}.sha1sum", case.name),
            },
            observatory: "APO".into(),
            require_mount: false,
            spare_bytes: 0,
        },
    };
    // Pixels that differ in every byte, extremes among them.
    let mut state = 7u32;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 30 == 0 { 0xff } else { (state >> 16) as u8 }
    })
    .take(frame.bytes() as usize)
    .collect();
    let raw = dir.join(format!("{}.raw", case.name));
    let Done::Opened(Ok(handle)) = work(Job::Open(Box::new(plan))) else {
        panic!("{} is not opened", case.name)
    };
    let came = if case.short { bytes.len() / 2 } else { bytes.len() };
    for piece in bytes[..came].chunks(1000) {
        let written = work(Job::Write { handle: handle.clone(), bytes: piece.to_vec() });
        assert!(matches!(written, Done::Written { error: None, .. }), "{written:?}");
    }
    let paths = finish(case, handle, &path);
    if case.short {
        // Split frames come line by line; what has not come is 0 in the file, hence 2^15.
        let line = frame.width as usize * 2;
        for (i, byte) in bytes.iter_mut().enumerate().skip(came / line * line) {
            *byte = if i % 2 == 1 { 0x80 } else { 0 };
        }
    }
    std::fs::write(&raw, &bytes).expect("written");

    let mut first_tap = 0;
    let all = paths.into_iter().zip(case.taps).map(|(path, taps)| {
        let image = json!({"path": path, "frame": raw, "bits": 8 * case.sample.bytes(), "width": frame.width,
            "height": frame.height, "mode": case.mode, "first_tap": first_tap, "taps": taps, "p": P, "n": N,
            "cards": cards(case)});
        first_tap += taps;
        image
    });
    all.collect()
}

/// Secures and publishes; a frame that came short stays in its partial files.
fn finish(case: &Case, handle: FrameHandle, path: &dyn Fn(&str) -> PathBuf) -> Vec<PathBuf> {
    let names = (0..case.taps.len()).map(|i| format!("ccd{i}"));
    let late = names.clone().map(|ccd| (ccd, case.late.clone())).collect();
    let Done::Secured(secured) = work(Job::Secure { handle: handle.clone(), cards: late }) else { panic!() };
    if case.short {
        let why = secured.expect_err("it is short").to_string();
        assert!(why.contains("the frame is shorter than"), "{why}");
        // fitsverify looks at the name.
        let parts = names.map(|ccd| {
            let image = path(&ccd);
            std::fs::rename(image.with_extension("fits.part"), &image).expect("there");
            image
        });
        return parts.collect();
    }
    secured.expect("secured");
    let Done::Published(Ok(published)) = work(Job::Publish { handle }) else {
        panic!("{} is not published", case.name)
    };
    published.into_iter().map(|p| p.path).collect()
}

/// Keys, values and comments as they must be read.
fn cards(case: &Case) -> Vec<Json> {
    let mut cards = case.cards.clone();
    for late in &case.late {
        match cards.iter_mut().find(|c| c.key == late.key) {
            Some(card) => card.value = late.value.clone(),
            None => cards.push(late.clone()),
        }
    }
    if case.short {
        cards.push(card("ARCHPART", true, "only 6216 of 12432 bytes came"));
    }
    let json = |v: &Value| match v {
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Float(x) => json!(x),
        Value::Str(s) => json!(s),
        _ => Json::Null,
    };
    cards.iter().map(|c| json!([c.key, json(&c.value), c.comment])).collect()
}

fn expected(dir: &Path) -> Vec<Json> {
    cases().iter().flat_map(|case| write(case, dir)).collect()
}

#[test]
fn astropy_reads_every_image_without_a_warning_and_finds_the_same_pixels() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let probe = Command::new(&python).args(["-c", "import astropy"]).output();
    if !probe.is_ok_and(|p| p.status.success()) {
        println!("SKIPPED: {} has no astropy; set APPLIANCE_PYTHON", python.display());
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let list = dir.path().join("expected.json");
    std::fs::write(&list, json!(expected(dir.path())).to_string()).expect("written");
    let script = root.join("tests/interop/check_image.py");
    let output = Command::new(&python).arg(script).arg(&list).output().expect("python runs");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn fitsverify_finds_neither_errors_nor_warnings() {
    let program = std::env::var_os("APPLIANCE_FITSVERIFY").unwrap_or_else(|| "fitsverify".into());
    let dir = tempfile::tempdir().expect("a directory");
    let mut seen = 0;
    for image in expected(dir.path()) {
        let path = image["path"].as_str().expect("a path");
        let output = match Command::new(&program).arg(path).output() {
            Ok(output) => output,
            Err(e) => {
                println!(
                    "SKIPPED: {}: {e}; install it (apt-get install fitsverify) or set APPLIANCE_FITSVERIFY",
                    program.display()
                );
                return;
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let complaints = |l: &&str| l.starts_with("***") && !l.starts_with("****");
        // Values that are not known are undefined cards, by intention.
        let wrong: Vec<&str> =
            text.lines().filter(complaints).filter(|l| !l.contains("has a null value")).collect();
        assert!(wrong.is_empty() && text.contains("Error Summary"), "{text}");
        seen += 1;
    }
    assert!(seen > 10, "{seen} images");
}
