//! From exposure to pixels.

use super::*;

#[test]
fn an_exposure_waits_for_its_readout_and_fetch_gives_its_pixels() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL"]);
    desk.expose(5);
    assert_eq!(desk.archon.doing(), "pending");
    desk.read_out();
    let frame = desk.archon.frame(1).cloned().expect("complete");
    assert_eq!((frame.width(), frame.height(), frame.integration_ms), (80, 10, 50));
    assert_eq!(desk.number("FRAME", "BUF1FRAME"), 1);
    desk.done(&["LOCK1"]);
    let blocks = desk.bytes("FETCHA000000000000002");
    assert_eq!(blocks.len(), 2 * 1028);
    let payload = [&blocks[4..1028], &blocks[1032..]].concat();
    assert_eq!(payload[..1600], frame.whole()[..]);
    assert!(payload[1600..].iter().all(|b| *b == 0xFF), "padding");
    let second = desk.bytes("FETCHA000040000000001");
    assert_eq!(second[4..], payload[1024..], "from any block on");
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
fn autoflush_between_integration_and_readout_shifts_the_image() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "FASTLOADPARAM AutoFlush 1"]);
    desk.expose(1);
    desk.read_out();
    assert_eq!(desk.archon.frame(1).map(|f| f.shifted), Some(90));
}
