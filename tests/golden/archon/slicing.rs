//! CCDs cut out of frames: the cut is carried out through files, as the product does it.

use crate::report::{GoldenFile, Report};
use appliance::config::archon::{Checksum, ChecksumMode, Detector, Files};
use appliance::frames::geometry::{FrameGeometry, cuts};
use appliance::frames::jobs::{Done, FrameId, FramePlan, ImageSpec, Job, Naming, Overscan, work};
use appliance::proto::archon::Sample;
use serde_json::Value as Json;
use std::path::Path;

/// `ccd-slicing.json`: cases with a frame mode and the cut CCDs.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(cases) = file.json().and_then(|j| j["cases"].as_array()) else { return false };
    if !cases.iter().all(|c| c["framemode"].is_u64() && c["ccds"].is_object()) {
        return false;
    }
    for (i, case) in cases.iter().enumerate() {
        let name = format!("{} {i} (mode {})", file.name, case["framemode"]);
        let errors = case["ccds"].as_object().into_iter().flatten().any(|(_, c)| c["error"].is_string());
        if errors && case["framemode"] == 1 {
            // We support what the reference refuses: the strip as it is delivered.
            report.check(&name, bottom(case));
        } else {
            report.check(&name, check(case, |ccd| rows(&case["ccds"][ccd]["data"])));
        }
    }
    true
}

/// The reference has no answer in bottom mode: the rows as delivered.
fn bottom(case: &Json) -> Result<(), String> {
    let shape = (number(&case["frame_shape"][0]), number(&case["frame_shape"][1]));
    check(case, |_| (0..shape.0).map(|y| (0..shape.1).map(|x| y * shape.1 + x).collect()).collect())
}

fn check(case: &Json, wanted: impl Fn(&str) -> Vec<Vec<u64>>) -> Result<(), String> {
    let detectors: Vec<Detector> =
        case["detectors"].as_object().into_iter().flatten().map(detector).collect();
    let frame = FrameGeometry {
        width: number(&case["frame_shape"][1]) as u32,
        height: number(&case["frame_shape"][0]) as u32,
        sample: Sample::U16,
        mode: number(&case["framemode"]) as u8,
        pixel_count: number(&case["pixelcount"]) as u32,
        line_count: number(&case["linecount"]) as u32,
    };
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    write(&detectors, &frame, dir.path())?;
    for d in &detectors {
        let found = image(&dir.path().join(format!("{}.fits", d.name)))?;
        let wanted = wanted(&d.name);
        if found != wanted {
            return Err(format!("{}: {found:?} instead of {wanted:?}", d.name));
        }
    }
    Ok(())
}

/// `data[y][x] = y*W + x` through the writer.
fn write(detectors: &[Detector], frame: &FrameGeometry, dir: &Path) -> Result<(), String> {
    let images = cuts(detectors, frame)?.into_iter().map(|cut| ImageSpec {
        path: dir.join(format!("{}.fits", cut.ccd)),
        cut,
        cards: Vec::new(),
        discard: false,
    });
    let plan = FramePlan {
        id: FrameId { controller: "sp1".into(), buffer: 1, frame: 1, ..FrameId::default() },
        exposure: 1,
        geometry: *frame,
        base: 0,
        images: images.collect(),
        overscan: Overscan::default(),
        naming: naming(dir),
    };
    let Done::Opened(handle) = work(Job::Open(Box::new(plan))) else { return Err("not opened".into()) };
    let handle = handle.map_err(|e| e.to_string())?;
    let pixels = frame.width * frame.height;
    let bytes = (0..pixels).flat_map(|v| (v as u16).to_le_bytes()).collect();
    let Done::Written { error: None, .. } = work(Job::Write { handle: handle.clone(), bytes }) else {
        return Err("not written".into());
    };
    let Done::Secured(secured) = work(Job::Secure { handle: handle.clone(), cards: Vec::new() }) else {
        return Err("not secured".into());
    };
    secured.map_err(|e| e.to_string())?;
    match work(Job::Publish { handle }) {
        Done::Published(published) => published.map(|_| ()).map_err(|e| e.to_string()),
        other => Err(format!("{other:?}")),
    }
}

fn naming(dir: &Path) -> Naming {
    Naming {
        files: Files {
            data_dir: dir.to_owned(),
            template: "{ccd}-{exposure_no}.fits".into(),
            use_sjd: false,
            write_async: true,
        },
        checksum: Checksum { write: false, mode: ChecksumMode::Md5, file: "sums".into() },
        observatory: "LCO".into(),
        require_mount: false,
        spare_bytes: 0,
    }
}

/// Rows of an image of ours: two header blocks at most, found by END.
fn image(path: &Path) -> Result<Vec<Vec<u64>>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let card = |key: &str| {
        let mut cards = bytes.chunks(80).map(String::from_utf8_lossy);
        let card = cards.find(|c| c.starts_with(key)).ok_or(format!("no {key}"))?;
        card[10..30].trim().parse::<usize>().map_err(|e| format!("{key}: {e}"))
    };
    let (width, height) = (card("NAXIS1")?, card("NAXIS2")?);
    let end = bytes.chunks(80).position(|c| c.starts_with(b"END ")).ok_or("no END")?;
    let data = &bytes[((end + 1) * 80).next_multiple_of(2880)..];
    let pixels: Vec<u64> =
        data.chunks_exact(2).map(|p| u64::from(u16::from_be_bytes([p[0], p[1]]) ^ 0x8000)).collect();
    Ok(pixels.chunks(width).take(height).map(<[u64]>::to_vec).collect())
}

fn detector((name, d): (&String, &Json)) -> Detector {
    Detector {
        name: name.clone(),
        taps: number(&d["taps"]) as u32,
        sensor: String::new(),
        serial: "?".into(),
        kind: "?".into(),
        gain: Vec::new(),
        readnoise: Vec::new(),
        areas: Vec::new(),
    }
}

fn rows(data: &Json) -> Vec<Vec<u64>> {
    data.as_array()
        .into_iter()
        .flatten()
        .map(|r| r.as_array().into_iter().flatten().map(number).collect())
        .collect()
}

fn number(json: &Json) -> u64 {
    json.as_u64().unwrap_or(0)
}
