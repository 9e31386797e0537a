//! Frames of a CCD controller into images: the pass through memory, and files with checksums on a file system in
//! memory and on a disk.

use super::figures::Report;
use appliance::config::archon::{Checksum, ChecksumMode, Detector, Files};
use appliance::frames::geometry::{FrameGeometry, cuts};
use appliance::frames::jobs::{Done, FrameId, FramePlan, ImageSpec, Job, Naming, Overscan, work};
use appliance::proto::archon::Sample;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A frame of 8192 x 4096 pixels of 16 bit, two CCDs of four taps.
const TAP: u32 = 2048;
/// Bytes of a piece of a fetch.
const PIECE: usize = 1 << 20;
/// Frames before the clock starts.
const WARM_UP: u64 = 1;

/// What it took.
struct Times {
    write: Duration,
    secure: Duration,
}

/// MB/s of the pass, of files in memory, and of files in the temporary directory.
pub fn to_images(report: &mut Report, span: Duration) -> io::Result<()> {
    let pass = measure(Path::new("/nowhere"), true, span)?;
    report.row("frame pass in memory", rate(pass.write), "", "", ">= 1500 MB/s");
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        let dir = tempfile::tempdir_in(memory)?;
        let t = measure(dir.path(), false, span)?;
        report.row("frame to files, tmpfs", rate(t.write + t.secure), "", "", ">= 800 MB/s");
    }
    let dir = tempfile::tempdir()?;
    let t = measure(dir.path(), false, span)?;
    report.row(
        "frame to files, disk, synced",
        rate(t.write + t.secure),
        "sdss/archon elsewhere, not synced: 780 MB/s",
        "",
        ">= 800 MB/s",
    );
    let last = format!("{:.1} ms", t.secure.as_secs_f64() * 1e3);
    report.row("frame safe after the last block", last, "", "", "<= 50 ms");
    Ok(())
}

fn rate(time: Duration) -> String {
    format!("{:.0} MB/s", bytes() as f64 / 1e6 / time.as_secs_f64())
}

fn bytes() -> u64 {
    u64::from(TAP) * u64::from(TAP) * 8 * 2
}

/// The best of the frames that fit into the span.
fn measure(dir: &Path, discard: bool, span: Duration) -> io::Result<Times> {
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 58) as u8
    });
    let frame: Vec<u8> = noise.take(bytes() as usize).collect();
    let mut best: Option<Times> = None;
    let began = Instant::now();
    for number in 0.. {
        let times = one(dir, discard, number, &frame)?;
        let total = |t: &Times| t.write + t.secure;
        if number >= WARM_UP && best.as_ref().is_none_or(|b| total(&times) < total(b)) {
            best = Some(times);
        }
        if best.is_some() && began.elapsed() > span {
            break;
        }
    }
    best.ok_or_else(|| io::Error::other("nothing measured"))
}

fn one(dir: &Path, discard: bool, number: u64, frame: &[u8]) -> io::Result<Times> {
    let Done::Opened(opened) = work(Job::Open(Box::new(plan(dir, discard, number)))) else {
        return Err(io::Error::other("not opened"));
    };
    let handle = opened.map_err(io::Error::other)?;
    let (mut write, mut buffer) = (Duration::ZERO, Vec::with_capacity(PIECE));
    for piece in frame.chunks(PIECE) {
        // The copy stands for the socket and is not ours.
        buffer.extend_from_slice(piece);
        let began = Instant::now();
        match work(Job::Write { handle: handle.clone(), bytes: buffer }) {
            Done::Written { bytes, error: None, .. } => buffer = bytes,
            other => return Err(io::Error::other(format!("{other:?}"))),
        }
        write += began.elapsed();
    }
    let began = Instant::now();
    let Done::Secured(secured) = work(Job::Secure { handle: handle.clone(), cards: Vec::new() }) else {
        return Err(io::Error::other("not secured"));
    };
    secured.map_err(io::Error::other)?;
    let secure = began.elapsed();
    let Done::Published(published) = work(Job::Publish { handle }) else {
        return Err(io::Error::other("not published"));
    };
    for image in published.map_err(io::Error::other)? {
        std::fs::remove_file(image.path)?;
    }
    Ok(Times { write, secure })
}

fn plan(dir: &Path, discard: bool, number: u64) -> FramePlan {
    let geometry = FrameGeometry {
        width: 4 * TAP,
        height: 2 * TAP,
        sample: Sample::U16,
        mode: 2,
        pixel_count: TAP,
        line_count: TAP,
    };
    let ccd = |name: &str| Detector {
        name: name.into(),
        taps: 4,
        sensor: String::new(),
        serial: "?".into(),
        kind: "?".into(),
        gain: Vec::new(),
        readnoise: Vec::new(),
        areas: Vec::new(),
    };
    let cuts = cuts(&[ccd("b1"), ccd("r1")], &geometry).expect("eight taps fill the frame");
    let images = cuts.into_iter().map(|cut| ImageSpec {
        path: dir.join(format!("{}-{number}.fits", cut.ccd)),
        cut,
        cards: Vec::new(),
        discard,
    });
    let files =
        Files { data_dir: dir.to_owned(), template: String::new(), use_sjd: false, write_async: true };
    FramePlan {
        id: FrameId { controller: "sp1".into(), buffer: 1, frame: number, ..FrameId::default() },
        exposure: number,
        geometry,
        base: 0,
        images: images.collect(),
        overscan: Overscan { columns: 50, mirrored: Vec::new() },
        naming: Naming {
            files,
            checksum: Checksum { write: false, mode: ChecksumMode::Md5, file: "sums".into() },
            observatory: "LCO".into(),
            require_mount: false,
            spare_bytes: 0,
        },
    }
}
