use super::*;

fn ccd(name: &str, taps: u32) -> Detector {
    Detector {
        name: name.into(),
        taps,
        sensor: String::new(),
        serial: "?".into(),
        kind: "?".into(),
        gain: vec![],
        readnoise: vec![],
        areas: vec![],
    }
}

fn frame(mode: u8, width: u32, height: u32, p: u32, n: u32) -> FrameGeometry {
    FrameGeometry { width, height, sample: Sample::U16, mode, pixel_count: p, line_count: n }
}

#[test]
fn ccds_with_different_numbers_of_taps_begin_where_the_one_before_ends() {
    let cuts = cuts(&[ccd("a", 2), ccd("b", 4), ccd("c", 1)], &frame(0, 70, 5, 10, 5)).expect("they fit");
    let starts: Vec<(u32, u32)> = cuts.iter().map(|c| (c.areas[c.areas.len() - 1].x0, c.width)).collect();
    assert_eq!(starts, [(0, 10), (20, 20), (60, 10)]);
    assert_eq!(cuts.iter().map(|c| c.height).collect::<Vec<_>>(), [10, 10, 5]);
}

#[test]
fn split_frames_have_two_halves_of_lines_whatever_the_number_of_taps() {
    let cuts = cuts(&[ccd("a", 2), ccd("b", 6)], &frame(2, 40, 8, 10, 4)).expect("they fit");
    assert_eq!((cuts[0].width, cuts[0].height), (10, 8));
    assert_eq!((cuts[1].width, cuts[1].height, cuts[1].areas[0].x0), (30, 8, 10));
}

#[test]
fn what_does_not_fit_is_said_with_the_numbers() {
    let cases: [(&[Detector], FrameGeometry, &str); 7] = [
        (&[ccd("a", 8)], frame(0, 70, 5, 10, 5), "ends at column 80"),
        (&[ccd("a", 2)], frame(0, 20, 5, 10, 6), "HEIGHT 5"),
        (&[ccd("a", 2)], frame(2, 10, 5, 10, 5), "10 lines in split mode"),
        (&[ccd("a", 3)], frame(0, 30, 5, 10, 5), "even number"),
        (&[ccd("a", 0)], frame(0, 30, 5, 10, 5), "no taps"),
        (&[ccd("a", 2)], frame(7, 30, 5, 10, 5), "frame mode 7"),
        (&[ccd("a", 2)], frame(0, 30, 5, 0, 5), "PIXELCOUNT is 0"),
    ];
    for (detectors, frame, said) in cases {
        let why = cuts(detectors, &frame).expect_err(said);
        assert!(why.contains(said), "{why}");
    }
}

#[test]
fn areas_must_fill_the_image_exactly_once_and_stay_in_the_frame() {
    let area = |x0, x1, to_x| Area { x0, x1, y0: 0, y1: 4, flip_x: false, flip_y: false, to_x, to_y: 0 };
    let with = |areas: Vec<Area>| cuts(&[Detector { areas, ..ccd("a", 2) }], &frame(0, 20, 4, 10, 4));
    let good = with(vec![area(10, 20, 0), area(0, 10, 10)]).expect("they exchange the halves");
    assert_eq!((good[0].width, good[0].height), (20, 4));
    for (areas, said) in [
        (vec![area(0, 10, 0), area(10, 20, 9)], "fill the same pixels"),
        (vec![area(0, 10, 0), area(10, 20, 11)], "fill 80 of the 84 pixels"),
        (vec![area(0, 10, 0), area(10, 21, 10)], "outside the frame"),
        (vec![area(5, 5, 0)], "no pixels"),
        (vec![area(0, 10, u32::MAX)], "fill 40 of"),
    ] {
        let why = with(areas).expect_err(said);
        assert!(why.contains(said), "{why}");
    }
}
