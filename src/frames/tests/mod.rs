//! A whole frame through the jobs, as the role orders them.

mod crash;
mod looks;
mod troubles;

use super::geometry::{Cut, FrameGeometry, cuts};
use super::jobs::*;
use crate::config::archon::{Checksum, ChecksumMode, Detector, Files};
use crate::proto::archon::Sample;
use crate::units::{MJD_OF_EPOCH, Utc};
use crate::value::Value;
use fitsio_pure::checksum::checksum_blocks;
use std::fs;
use std::io::Read;
use std::path::Path;

pub(super) const NIGHT: i64 = 61_365;

pub(super) fn at() -> Utc {
    Utc::from_seconds((NIGHT - MJD_OF_EPOCH) * 86_400 + 3600)
}

pub(super) fn naming(root: &Path, template: &str) -> Naming {
    Naming {
        files: Files {
            data_dir: root.to_owned(),
            template: template.into(),
            use_sjd: true,
            write_async: true,
        },
        checksum: Checksum { write: true, mode: ChecksumMode::Md5, file: "{SJD}.md5sum".into() },
        observatory: "LCO".into(),
        require_mount: false,
        spare_bytes: 0,
    }
}

pub(super) fn geometry(mode: u8, sample: Sample) -> FrameGeometry {
    let (width, height) = if mode == 2 { (28, 10) } else { (56, 5) };
    FrameGeometry { width, height, sample, mode, pixel_count: 7, line_count: 5 }
}

pub(super) fn two_ccds(frame: &FrameGeometry) -> Vec<Cut> {
    cuts(&[detector("b1"), detector("r1")], frame).expect("they fit")
}

/// Four taps.
pub(super) fn detector(name: &str) -> Detector {
    Detector {
        name: name.into(),
        taps: 4,
        sensor: String::new(),
        serial: "?".into(),
        kind: "?".into(),
        gain: vec![],
        readnoise: vec![],
        areas: vec![],
    }
}

pub(super) fn card(key: &str, value: impl Into<Value>) -> Card {
    Card { key: key.into(), value: value.into(), comment: "a comment".into() }
}

pub(super) fn reserved(naming: &Naming) -> Reservation {
    let images = ["b1", "r1"].map(|ccd| ("sp1".to_owned(), ccd.to_owned())).to_vec();
    match work(Job::Reserve { naming: naming.clone(), seqno: None, images, bytes: 1000, at: at() }) {
        Done::Reserved(Ok(r)) => r,
        other => panic!("{other:?}"),
    }
}

pub(super) fn plan(naming: &Naming, frame: FrameGeometry, reservation: &Reservation) -> FramePlan {
    let images =
        two_ccds(&frame).into_iter().zip(&reservation.paths).map(|(cut, (_, ccd, path))| ImageSpec {
            cards: vec![card("CCD", ccd.as_str()), card("EXPTIME", 0.1), card("INTEND", Value::Null)],
            cut,
            path: path.clone(),
            discard: false,
        });
    FramePlan {
        id: FrameId {
            controller: "sp1".into(),
            backplane: "00003FFF1A9902F6".into(),
            buffer: 2,
            frame: 7,
            timestamp: 0x1234_5678_9abc,
        },
        exposure: reservation.number,
        geometry: frame,
        base: 0xA000_0000,
        images: images.collect(),
        overscan: Overscan::default(),
        naming: naming.clone(),
    }
}

/// Pseudo-random pixels, the same every time.
pub(super) fn pixels(frame: &FrameGeometry) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(frame.bytes() as usize).collect()
}

pub(super) fn open(plan: FramePlan) -> FrameHandle {
    match work(Job::Open(Box::new(plan))) {
        Done::Opened(Ok(handle)) => handle,
        other => panic!("{other:?}"),
    }
}

pub(super) fn feed(handle: &FrameHandle, bytes: &[u8], sizes: &[usize]) {
    let (mut left, mut sizes) = (bytes, sizes.iter().cycle());
    while !left.is_empty() {
        let (piece, tail) = left.split_at((*sizes.next().expect("it cycles")).min(left.len()));
        match work(Job::Write { handle: handle.clone(), bytes: piece.to_vec() }) {
            Done::Written { error: None, bytes, .. } => assert!(bytes.is_empty()),
            other => panic!("{other:?}"),
        }
        left = tail;
    }
}

pub(super) fn secure(
    handle: &FrameHandle,
    cards: Vec<(String, Vec<Card>)>,
) -> Result<Vec<TapStatistics>, FileError> {
    match work(Job::Secure { handle: handle.clone(), cards }) {
        Done::Secured(result) => result,
        other => panic!("{other:?}"),
    }
}

pub(super) fn publish(handle: &FrameHandle) -> Result<Vec<Published>, FileError> {
    match work(Job::Publish { handle: handle.clone() }) {
        Done::Published(result) => result,
        other => panic!("{other:?}"),
    }
}

/// Header text and pixels of an image; its checksums are right.
pub(super) fn read(path: &Path) -> (String, Vec<u8>) {
    let mut bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_some_and(|e| e == "gz") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).expect("gzip");
        bytes = plain;
    }
    assert_eq!(checksum_blocks(&bytes), u32::MAX, "the sum of a file with a right CHECKSUM is minus zero");
    let end = bytes.chunks(80).position(|c| c == format!("{:80}", "END").as_bytes()).expect("END");
    let data = ((end + 1) * 80).next_multiple_of(2880);
    let header = String::from_utf8(bytes[..data].to_vec()).expect("ASCII");
    let datasum: u32 = value(&header, "DATASUM").trim_matches([' ', '\'']).parse().expect("a number");
    assert_eq!(datasum, checksum_blocks(&bytes[data..]));
    (header, bytes[data..].to_vec())
}

pub(super) fn value(header: &str, key: &str) -> String {
    let cards = header.as_bytes().chunks(80).map(|c| std::str::from_utf8(c).expect("ASCII"));
    let card =
        cards.into_iter().find(|c| c.starts_with(&format!("{key:8}="))).unwrap_or_else(|| panic!("no {key}"));
    card[10..].split(" / ").next().expect("one").trim_end().to_owned()
}

/// The image as somebody would write it who has all the time of the world.
pub(super) fn expected(cut: &Cut, frame: &FrameGeometry, bytes: &[u8]) -> Vec<u8> {
    let size = frame.sample.bytes();
    let mut image = vec![0; (cut.bytes(frame.sample) as usize).next_multiple_of(2880)];
    for a in &cut.areas {
        for y in a.y0..a.y1 {
            for x in a.x0..a.x1 {
                let column = a.to_x + if a.flip_x { a.x1 - 1 - x } else { x - a.x0 };
                let row = a.to_y + if a.flip_y { a.y1 - 1 - y } else { y - a.y0 };
                let from = (y * frame.width + x) as usize * size;
                let to = (row * cut.width + column) as usize * size;
                let mut pixel: Vec<u8> = bytes[from..from + size].iter().rev().copied().collect();
                pixel[0] ^= 0x80;
                image[to..to + size].copy_from_slice(&pixel);
            }
        }
    }
    image
}

#[test]
fn a_frame_becomes_images_however_its_bytes_come() {
    for (mode, sample, template, sizes) in [
        (0, Sample::U16, "sdR-{ccd}-{exposure_no:08d}.fits.gz", &[1usize][..]),
        (0, Sample::U32, "sdR-{ccd}-{exposure_no:08d}.fits", &[3, 1, 7, 64]),
        (1, Sample::U16, "sdR-{ccd}-{exposure_no:08d}.fits", &[1024]),
        (2, Sample::U16, "sdR-{ccd}-{exposure_no:08d}.fits.gz", &[1000, 13]),
        (2, Sample::U32, "sdR-{ccd}-{exposure_no:08d}.fits", &[5]),
    ] {
        let root = tempfile::tempdir().expect("a directory");
        let naming = naming(root.path(), template);
        let frame = geometry(mode, sample);
        let reservation = reserved(&naming);
        assert_eq!(reservation.number, 1);
        let mut bytes = pixels(&frame);
        let handle = open(plan(&naming, frame, &reservation));
        let night = root.path().join(NIGHT.to_string());
        assert!(night.join("sdR-b1-00000001.lock").exists(), "before the first pixel");
        let padding = [0xff; 300];
        bytes.extend(padding);
        feed(&handle, &bytes, sizes);
        let last = vec![("r1".to_owned(), vec![card("INTEND", "now"), card("EXTRA", 5)])];
        let statistics = secure(&handle, last).expect("all is there");
        assert_eq!(statistics.len(), 8);
        let published = publish(&handle).expect("published");
        assert_eq!(published.iter().map(|p| p.ccd.as_str()).collect::<Vec<_>>(), ["b1", "r1"]);

        for ((cut, (_, _, path)), published) in
            two_ccds(&frame).iter().zip(&reservation.paths).zip(&published)
        {
            let (header, data) = read(path);
            assert_eq!(data, expected(cut, &frame, &bytes), "mode {mode} {sample:?}");
            assert_eq!(value(&header, "BUFFER").trim(), "2");
            assert_eq!(published.bytes, fs::metadata(path).expect("there").len());
            assert_eq!(published.warnings, [""; 0]);
        }
        let (header, _) = read(&reservation.paths[1].2);
        assert_eq!((value(&header, "INTEND"), value(&header, "EXTRA").trim()), ("'now     '".into(), "5"));
        let sums = fs::read_to_string(night.join("61365.md5sum")).expect("written");
        assert_eq!(sums.lines().count(), 2);
        let mut names: Vec<_> =
            fs::read_dir(&night).expect("there").map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        assert_eq!(names.len(), 3, "nothing else is left: {names:?}");
        assert_eq!(fs::read_to_string(root.path().join("nextExposureNumber")).expect("there"), "2");
    }
}
