//! From exposure to pixels.

use super::*;

#[test]
fn an_exposure_waits_for_its_readout_and_fetch_gives_its_pixels() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL"]);
    desk.expose(5);
    assert_eq!(desk.archon.doing(), "pending");
    desk.read_out();
    let frame = desk.frame(1);
    assert_eq!((frame.width(), frame.height(), frame.integration_ms), (80, 10, 50));
    assert_eq!(desk.number("FRAME", "BUF1FRAME"), 1);
    desk.done(&["LOCK1"]);
    let payload = desk.fetch(0xA000_0000, 2);
    assert_eq!(payload[..1600], frame.whole()[..]);
    assert!(payload[1600..].iter().all(|b| *b == 0xFF), "padding");
    assert_eq!(desk.fetch(0xA000_0400, 1), payload[1024..], "from any block on");
    assert_eq!(desk.fetch(0xA000_0007, 1), payload[7..1031], "from any byte on");
}

#[test]
fn readout_ordered_with_the_exposure_follows_it() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "HOLDTIMING", "FASTLOADPARAM ReadOut 1", "FASTLOADPARAM IntCS 10"]);
    desk.done(&["FASTLOADPARAM Exposures 1", "RELEASETIMING"]);
    assert_eq!(desk.archon.doing(), "integrating");
    desk.wait(100);
    assert_eq!(desk.archon.doing(), "reading");
    desk.wait(2);
    assert_eq!((desk.archon.doing(), desk.frame(1).integration_ms), ("idle", 100));
}

#[test]
fn two_exposures_without_readout_add_up() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL"]);
    desk.expose(5);
    desk.expose(7);
    desk.read_out();
    assert_eq!((desk.frame(1).frame, desk.frame(1).integration_ms), (1, 120));
}

#[test]
fn continuous_exposures_read_themselves_out() {
    let acf = ACF.replace("PARAMETERS=9", "PARAMETER9=\"ContinuousExposures=1\"\nPARAMETERS=10");
    let mut desk = Desk::of(&acf.replace("IntCS=0", "IntCS=1"), &[], ArchonSimConfig::default());
    desk.done(&["APPLYALL"]);
    for _ in 0..60 {
        desk.wait(1);
    }
    assert_eq!(desk.number("FRAME", "BUF2FRAME"), 5, "one in 12 ms");
}

#[test]
fn an_abort_ends_the_integration_and_keeps_its_charge() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "FASTLOADPARAM IntCS 1000", "FASTLOADPARAM Exposures 1"]);
    desk.wait(250);
    desk.done(&["FASTLOADPARAM AbortExposure 1"]);
    assert_eq!(desk.archon.doing(), "pending");
    desk.read_out();
    assert_eq!(desk.frame(1).integration_ms, 250);
}

#[test]
fn a_flush_takes_its_time_and_the_charge() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL"]);
    desk.expose(1);
    desk.done(&["HOLDTIMING", "FASTLOADPARAM FlushCount 3", "FASTLOADPARAM DoFlush 1", "RELEASETIMING"]);
    desk.wait(299);
    assert_eq!(desk.archon.doing(), "flushing");
    desk.wait(1);
    assert_eq!(desk.archon.doing(), "idle");
}

#[test]
fn progress_is_told_and_edges_are_those_of_the_integration() {
    let mut desk = Desk::with(&["slow-readout=98"]);
    desk.done(&["APPLYALL"]);
    desk.wait(1000);
    desk.expose(5);
    desk.wait(10);
    desk.done(&["FASTLOADPARAM ReadOut 1"]);
    desk.wait(50);
    let told = ["WBUF", "BUF1COMPLETE", "BUF1PIXELS", "BUF1LINES"].map(|k| desk.number("FRAME", k));
    assert_eq!(told, [1, 0, 80, 5]);
    desk.wait(50);
    let told = ["WBUF", "BUF1COMPLETE", "BUF1PIXELS", "BUF1LINES"].map(|k| desk.number("FRAME", k));
    assert_eq!(told, [1, 1, 80, 10]);
    let text = desk.ask("FRAME");
    let ticks = |key: &str| {
        let word = text.split(' ').find_map(|w| w.strip_prefix(&format!("BUF1{key}=")));
        u64::from_str_radix(word.expect("told").trim(), 16).expect("hexadecimal")
    };
    assert_eq!(
        ["RETIMESTAMP", "FETIMESTAMP", "TIMESTAMP"].map(ticks),
        [1000, 1050, 1060].map(|ms| ms * 100_000)
    );
}

#[test]
fn keys_of_frame_are_grouped_as_the_hardware_does() {
    let text = Desk::with(&[]).ask("FRAME");
    let keys: Vec<&str> = text[3..].split(' ').filter_map(|w| w.split('=').next()).collect();
    let begin = ["TIMER", "RBUF", "WBUF", "BUF1SAMPLE", "BUF2SAMPLE", "BUF3SAMPLE", "BUF1COMPLETE"];
    assert_eq!(keys[..7], begin);
    let shape = keys.iter().position(|k| *k == "BUF1WIDTH").expect("told");
    assert_eq!(keys[shape..shape + 3], ["BUF1WIDTH", "BUF1HEIGHT", "BUF2WIDTH"]);
    assert_eq!(keys.last(), Some(&"BUF3FEBTIMESTAMP"));
}

#[test]
fn split_frames_and_32_bits_reach_the_wire() {
    for (mode, sample) in [(0, 1), (2, 0), (2, 1)] {
        let acf = ACF.replace("FRAMEMODE=0", &format!("FRAMEMODE={mode}"));
        let acf = acf.replace("SAMPLEMODE=0", &format!("SAMPLEMODE={sample}"));
        let mut desk = Desk::of(&acf, &[], ArchonSimConfig::default());
        desk.done(&["APPLYALL"]);
        desk.expose(5);
        desk.read_out();
        let (width, height) = if mode == 2 { (40, 20) } else { (80, 10) };
        let told = ["BUF1WIDTH", "BUF1HEIGHT", "BUF1LINES", "BUF1SAMPLE"].map(|k| desk.number("FRAME", k));
        assert_eq!(told, [width, height, height, sample]);
        let frame = desk.frame(1).whole();
        let blocks = frame.len().div_ceil(1024) as u32;
        assert_eq!(desk.fetch(0xA000_0000, blocks)[..frame.len()], frame[..]);
    }
}

#[test]
fn two_big_buffers() {
    let mut desk = Desk::of(&ACF.replace("BIGBUF=0", "BIGBUF=1"), &[], ArchonSimConfig::default());
    desk.done(&["APPLYALL"]);
    assert!(!desk.ask("FRAME").contains("BUF3"));
    assert_eq!(desk.number("FRAME", "BUF2BASE"), 0xD000_0000);
    assert_eq!(desk.ask("LOCK3"), "?0A\n");
    desk.done(&["LOCK2"]);
    for _ in 0..2 {
        desk.expose(1);
        desk.read_out();
        assert_eq!(desk.number("FRAME", "WBUF"), 1);
    }
}

#[test]
fn fetches_beyond_a_buffer_get_no_answer() {
    let mut desk = Desk::with_frame(&[]);
    for bad in
        ["FETCH9FFFFC0000000001", "FETCHBFFFFC0000000002", "FETCHA0000000FFFFFFFF", "FETCHFFFFFFFF00000001"]
    {
        assert_eq!(desk.ask(bad), "", "{bad}");
    }
    desk.archon.receive(ME, b">0AFETCHA000000000000000\n>0BLOCK1\n", desk.now());
    desk.settle();
    assert_eq!(std::mem::take(&mut desk.sent), b"<0B\n", "of no blocks");
    assert!(desk.fetch(0xE000_0000, 1).iter().all(|b| *b == 0xFF), "never written");
}

#[test]
fn the_writer_goes_round_the_locked_buffer() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "LOCK2"]);
    for buffer in [1, 3, 1] {
        desk.expose(1);
        desk.read_out();
        assert_eq!(desk.number("FRAME", "WBUF"), buffer);
    }
    assert_eq!(desk.number("FRAME", "RBUF"), 2);
}

#[test]
fn without_a_lock_a_fetch_mixes_two_frames() {
    for (lock, mixed) in [(false, true), (true, false)] {
        let config = ArchonSimConfig { segment: 1028, ..ArchonSimConfig::default() };
        let acf = ACF.replace("LINECOUNT=10", "LINECOUNT=1000");
        let mut desk = Desk::of(&acf, &[], config);
        desk.done(&["APPLYALL"]);
        for _ in 0..3 {
            desk.expose(1);
            desk.done(&["FASTLOADPARAM ReadOut 1"]);
            desk.wait(200);
        }
        let first = desk.frame(1);
        if lock {
            desk.done(&["LOCK1"]);
        }
        let blocks = first.bytes().div_ceil(1024) as usize;
        desk.archon.receive(ME, format!(">0BFETCHA0000000{blocks:08X}\n").as_bytes(), desk.now());
        let mut payload = Vec::new();
        let take = |desk: &mut Desk, blocks: usize, payload: &mut Vec<u8>| {
            while payload.len() < blocks * 1024 {
                match desk.archon.poll() {
                    Some(Output::Send(_, bytes)) => payload.extend_from_slice(&bytes[4..]),
                    other => panic!("{other:?} after {}", payload.len()),
                }
            }
        };
        take(&mut desk, 20, &mut payload);
        // The client is slow, and the next frame comes.
        desk.archon.set_congested(ME, true);
        desk.archon.receive(ME, b">0CFASTLOADPARAM IntCS 0\n>0DFASTLOADPARAM ReadOut 1\n", desk.now());
        desk.wait(100);
        desk.archon.set_congested(ME, false);
        take(&mut desk, blocks, &mut payload);
        payload.truncate(first.bytes() as usize);
        assert_eq!(payload != first.whole(), mixed, "locked: {lock}");
        // Half of the next frame was in when the rest was fetched.
        let (row, next) =
            (first.width() as usize * 2, FrameSpec { frame: 4, integration_ms: 0, ..first.clone() });
        if mixed {
            assert_eq!(payload[..20 * 1024], first.whole()[..20 * 1024]);
            assert_eq!(payload[row * 200..row * 499], next.whole()[row * 200..row * 499]);
            assert_eq!(payload[row * 501..], first.whole()[row * 501..]);
        }
    }
}

#[test]
fn fetches_are_answered_one_after_the_other() {
    let mut desk = Desk::with_frame(&[]);
    let asked = b">0AFETCHA000000000000001\n>0BTIMER\n>0CFETCHA000040000000001\n>0DLOCK0\n";
    desk.archon.receive(ME, asked, desk.now());
    desk.settle();
    let sent = std::mem::take(&mut desk.sent);
    assert_eq!(sent[..4], *b"<0A:");
    assert_eq!(sent[1028..1037], *b"<0BTIMER=");
    assert_eq!(sent[1054..1058], *b"<0C:");
    assert_eq!(sent[1054 + 1028..], *b"<0D\n");
}

#[test]
fn no_more_is_made_than_is_taken() {
    let config = ArchonSimConfig { segment: 4096, ..ArchonSimConfig::default() };
    let mut desk = Desk::of(ACF, &[], config);
    desk.archon.receive(ME, b">0AFETCHA000000000080000\n", desk.now());
    assert!(matches!(desk.archon.poll(), Some(Output::Send(_, bytes)) if bytes.len() == 3 * 1028));
    desk.archon.set_congested(ME, true);
    assert_eq!((desk.archon.poll(), desk.archon.deadline()), (None, None));
    desk.archon.set_congested(ME, false);
    assert!(desk.archon.deadline().is_some());
    assert!(matches!(desk.archon.poll(), Some(Output::Send(..))));
}

#[test]
fn autoflush_between_integration_and_readout_shifts_the_image() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "FASTLOADPARAM AutoFlush 1"]);
    desk.expose(1);
    desk.read_out();
    assert_eq!(desk.frame(1).shifted, 90);
}

#[test]
fn a_frame_larger_than_a_buffer_is_lost_and_logged() {
    let acf = ACF.replace("LINECOUNT=10", "LINECOUNT=65535").replace("PIXELCOUNT=40", "PIXELCOUNT=65535");
    let mut desk = Desk::of(&acf, &[], ArchonSimConfig::default());
    desk.done(&["APPLYALL", "FASTLOADPARAM ReadOut 1"]);
    assert_eq!((desk.archon.doing(), desk.number("FRAME", "WBUF")), ("idle", 0));
    assert!(desk.logged()[0].contains("larger than a buffer"));
}
