//! Statistics of the taps and pictures: numbers that can be worked out by hand.

use super::*;
use crate::frames::quicklook::{self, Picture, Stretch};

/// One CCD of four taps of 10 x 4 pixels, split: tap t holds 1000 (t + 1), its last columns 100 (t + 1).
fn frame_of_four() -> (FrameGeometry, Vec<u16>) {
    let frame =
        FrameGeometry { width: 20, height: 8, sample: Sample::U16, mode: 2, pixel_count: 10, line_count: 4 };
    let pixel = |y: u32, x: u32| {
        let tap = (y / 4 * 2 + x / 10 + 1) as u16;
        if x % 10 >= 8 { 100 * tap } else { 1000 * tap + if (x + y).is_multiple_of(2) { 5 } else { 0 } }
    };
    (frame, (0..8).flat_map(|y| (0..20).map(move |x| pixel(y, x))).collect())
}

fn written(
    root: &Path,
    frame: FrameGeometry,
    pixels: &[u16],
    overscan: Overscan,
) -> (FrameHandle, Vec<TapStatistics>) {
    let naming = naming(root, "{ccd}-{exposure_no}.fits");
    let cut = cuts(&[detector("a")], &frame).expect("it fits").remove(0);
    let image = ImageSpec { path: root.join("a.fits"), cut, cards: Vec::new(), discard: false };
    let id = FrameId { controller: "sp1".into(), buffer: 1, frame: 1, ..FrameId::default() };
    let plan = FramePlan { id, exposure: 1, geometry: frame, base: 0, images: vec![image], overscan, naming };
    let handle = open(plan);
    let bytes: Vec<u8> = pixels.iter().flat_map(|p| p.to_le_bytes()).collect();
    feed(&handle, &bytes, &[33]);
    let statistics = secure(&handle, Vec::new()).expect("whole");
    (handle, statistics)
}

#[test]
fn every_tap_has_its_mean_sigma_and_overscan() {
    let root = tempfile::tempdir().expect("a directory");
    let (frame, mut pixels) = frame_of_four();
    pixels[0] = u16::MAX;
    let overscan = Overscan { columns: 2, mirrored: vec![] };
    let (_, taps) = written(root.path(), frame, &pixels, overscan);
    assert_eq!(taps.iter().map(|t| t.overscan).collect::<Vec<_>>(), [100.0, 200.0, 300.0, 400.0].map(Some));
    for t in &taps[1..] {
        // Half of the pixels are 5 higher than the others.
        assert_eq!((t.mean, t.sigma, t.saturated), (1000.0 * f64::from(t.tap + 1) + 2.5, 2.5, 0));
    }
    assert_eq!(taps[0].saturated, 1);
    assert_eq!(taps[0].mean, 1002.5 + f64::from(u16::MAX - 1005) / 32.0);
}

#[test]
fn mirrored_taps_have_their_overscan_at_the_other_side_and_without_any_there_is_none() {
    let root = tempfile::tempdir().expect("a directory");
    let (frame, mut pixels) = frame_of_four();
    for line in pixels.chunks_mut(20) {
        line[10..].reverse();
    }
    let (_, taps) = written(root.path(), frame, &pixels, Overscan { columns: 2, mirrored: vec![1, 3] });
    assert_eq!(taps.iter().map(|t| t.overscan).collect::<Vec<_>>(), [100.0, 200.0, 300.0, 400.0].map(Some));
    assert_eq!(taps[3].mean, 4002.5);
    let root = tempfile::tempdir().expect("a directory");
    let (_, taps) = written(root.path(), frame, &pixels, Overscan::default());
    assert!(taps.iter().all(|t| t.overscan.is_none()));
    assert_eq!(taps[0].mean, (1002.5 * 32.0 + 100.0 * 8.0) / 40.0);
    let text = quicklook::summary(&taps);
    assert_eq!(text.lines().count(), 5);
    assert!(text.contains("a     0      822.0"), "{text}");
}

#[test]
fn pictures_are_smaller_and_the_first_row_is_at_the_bottom() {
    let root = tempfile::tempdir().expect("a directory");
    let frame = FrameGeometry {
        width: 4000,
        height: 40,
        sample: Sample::U16,
        mode: 2,
        pixel_count: 2000,
        line_count: 20,
    };
    // Brightness grows with the rows.
    let pixels: Vec<u16> = (0..40u16).flat_map(|y| std::iter::repeat_n(100 * y, 4000)).collect();
    let (handle, _) = written(root.path(), frame, &pixels, Overscan::default());
    publish(&handle).expect("published");
    let image = root.path().join("a.fits");
    let picture = Picture::read(&image).expect("ours");
    assert_eq!((picture.width, picture.height), (1000, 10));
    assert_eq!((picture.means[0], picture.means[9999]), (3750.0, 150.0));
    for (stretch, first, last) in
        [(Stretch::Auto, 255, 0), (Stretch::Root, 255, 0), (Stretch::Range(150.0, 7350.0), 128, 0)]
    {
        let bytes = quicklook::png(&image, stretch).expect("a picture");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut grey = vec![0; 10_000];
        reader.next_frame(&mut grey).expect("pixels");
        assert_eq!((grey[0], grey[9999]), (first, last), "{stretch:?}");
    }
    let why = quicklook::png(&root.path().join("nothing.fits"), Stretch::Auto).expect_err("not there");
    assert!(why.contains("nothing.fits"), "{why}");
    fs::write(root.path().join("b.fits"), vec![b'x'; 5000]).expect("written");
    let why = quicklook::png(&root.path().join("b.fits"), Stretch::Auto).expect_err("no FITS");
    assert!(why.contains("no FITS header"), "{why}");
}
