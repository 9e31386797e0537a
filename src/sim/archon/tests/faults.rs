//! Every fault does what it says.

use super::*;

#[test]
fn faults_of_commands() {
    let mut desk = Desk::with(&["silent=TIMER", "refuse=LOCK:2", "lose-reply=APPLYALL"]);
    assert_eq!(desk.ask("TIMER"), "");
    assert_eq!(
        (desk.ask("LOCK0"), desk.ask("LOCK0"), desk.ask("LOCK0")),
        ("<0A\n".into(), "?0A\n".into(), "<0A\n".into())
    );
    assert_eq!(desk.ask("APPLYALL"), "");
    assert_eq!(desk.number("STATUS", "POWER"), 2, "carried out all the same");
}

#[test]
fn a_hanging_box_keeps_its_connections() {
    let mut desk = Desk::with(&["hang=3"]);
    desk.done(&["LOCK1", "LOCK2"]);
    assert_eq!(desk.ask("LOCK3"), "");
    assert_eq!((desk.archon.locked(), desk.closed), (2, false));
}

#[test]
fn faults_of_a_stream_strike_once() {
    for (fault, length, closes) in
        [("drop-in-fetch=1", 1028, true), ("cut-fetch=1", 1028, false), ("garbage-in-fetch=1", 2056, false)]
    {
        let mut desk = Desk::with_frame(&[fault]);
        let bytes = desk.bytes("FETCHA000000000000002");
        assert_eq!((bytes.len(), desk.closed), (length, closes), "{fault}");
        if let Some(second) = bytes.get(1028..1032) {
            assert_eq!(second, b"<zz:", "{fault}");
        }
        if closes {
            desk.archon.connect(ME);
        }
        assert_eq!(desk.fetch(0xA000_0000, 2).len(), 2048, "{fault}: the second time it is well");
    }
}

#[test]
fn replies_between_the_blocks_if_asked_to() {
    let mut desk =
        Desk::of(ACF, &["interleave"], ArchonSimConfig { segment: 1028, ..ArchonSimConfig::default() });
    desk.archon.receive(ME, b">0AFETCHA000000000000002\n", desk.now());
    assert!(matches!(desk.archon.poll(), Some(Output::Send(_, bytes)) if bytes.starts_with(b"<0A:")));
    desk.archon.receive(ME, b">0BLOCK0\n", desk.now());
    assert!(matches!(desk.archon.poll(), Some(Output::Send(_, bytes)) if bytes.starts_with(b"<0B\n<0A:")));
    assert_eq!(desk.archon.poll(), None);
}

#[test]
fn a_short_frame_is_told_shorter() {
    let mut desk = Desk::with_frame(&["short-frame=2"]);
    assert_eq!((desk.number("FRAME", "BUF1WIDTH"), desk.frame(1).width()), (78, 80));
}

#[test]
fn a_frame_can_be_overwritten_before_it_is_locked() {
    let mut desk = Desk::with_frame(&["overwrite"]);
    assert_eq!(desk.number("FRAME", "BUF1FRAME"), 1);
    let before = desk.fetch(0xA000_0000, 2);
    desk.done(&["LOCK1"]);
    assert_eq!(desk.number("FRAME", "BUF1FRAME"), 2);
    assert_ne!(desk.fetch(0xA000_0000, 2), before);
    desk.done(&["LOCK1"]);
    assert_eq!(desk.number("FRAME", "BUF1FRAME"), 2, "once");
}

#[test]
fn a_slow_readout_takes_longer() {
    let mut desk = Desk::with(&["slow-readout=500"]);
    desk.done(&["APPLYALL"]);
    desk.expose(1);
    desk.read_out();
    desk.wait(490);
    assert_eq!(desk.archon.doing(), "reading");
    desk.wait(2);
    assert_eq!(desk.archon.doing(), "idle");
}

#[test]
fn a_stuck_readout_never_ends_and_the_next_one_is_well() {
    let mut desk = Desk::with(&["stuck-readout"]);
    desk.done(&["APPLYALL"]);
    desk.expose(1);
    desk.read_out();
    desk.wait(60_000);
    assert_eq!(["WBUF", "BUF1COMPLETE", "BUF1FRAME"].map(|k| desk.number("FRAME", k)), [1, 0, 1]);
    desk.expose(1);
    desk.read_out();
    assert_eq!(desk.number("FRAME", "BUF2COMPLETE"), 1);
}

#[test]
fn the_log_can_be_flooded() {
    let mut desk = Desk::with(&["log-flood=300"]);
    assert_eq!(desk.number("STATUS", "LOG"), 300);
    assert_eq!(desk.logged().len(), 300);
    let mut empty = Archon::new(
        ArchonSimConfig { faults: vec![Fault::LogFlood(5000)], ..ArchonSimConfig::default() },
        Now::default(),
    );
    empty.connect(ME);
    let mut desk = Desk { archon: empty, ms: 0, sent: Vec::new(), closed: false };
    assert_eq!(desk.number("STATUS", "LOG"), LOG_MAX as u64, "without a configuration too, and bounded");
}

#[test]
fn the_next_client_waits_for_a_slow_release() {
    let mut desk = Desk::with(&["slow-release=10000"]);
    desk.archon.connect(ClientId(2));
    desk.archon.closed(ClientId(2));
    desk.done(&["LOCK0"]);
    desk.archon.closed(ME);
    desk.archon.connect(ME);
    desk.wait(9999);
    assert_eq!(desk.ask("LOCK0"), "");
    desk.wait(1);
    desk.done(&["LOCK0"]);
}

#[test]
fn faults_of_health() {
    let mut desk =
        Desk::with(&["power-half", "overheat", "status-stale", "sensor-open=mod2/tempa", "status-invalid"]);
    desk.done(&["APPLYALL", "POWERON"]);
    let count = desk.number("STATUS", "COUNT");
    desk.wait(5000);
    assert_eq!(desk.number("STATUS", "POWER"), 3);
    assert_eq!(desk.number("STATUS", "OVERHEAT"), 1);
    assert_eq!(desk.number("STATUS", "COUNT"), count);
    let status = desk.ask("STATUS");
    assert!(status.contains("MOD2/TEMPA=-273.150016") && status.contains("MOD2/TEMPB=-183.15"));
    assert!(status.starts_with("<0AVALID=0 "));
    assert_eq!(desk.archon.deadline(), None, "nothing comes of it");
}

#[test]
fn faults_of_power() {
    let mut desk = Desk::with(&["power-bad", "bias-off=mod4/lvlc_v1", "power-drop=3000"]);
    desk.done(&["APPLYALL"]);
    assert_eq!(desk.number("STATUS", "POWERGOOD"), 1);
    desk.done(&["POWERON"]);
    desk.wait(200);
    assert_eq!(["POWER", "POWERGOOD"].map(|k| desk.number("STATUS", k)), [4, 0]);
    assert!(desk.ask("STATUS").contains(" MOD4/LVLC_V1=0.000 "));
    assert_eq!(desk.archon.deadline(), Some(Mono(3_200_000_000)));
    desk.wait(3000);
    assert_eq!(["POWER", "POWERGOOD"].map(|k| desk.number("STATUS", k)), [2, 1], "power went by itself");
    desk.done(&["POWERON"]);
    desk.wait(10_000);
    assert_eq!(desk.number("STATUS", "POWER"), 4, "once");
}

#[test]
fn a_dead_module_has_no_id() {
    let mut desk = Desk::with(&["dead-module=4"]);
    let system = desk.ask("SYSTEM");
    assert!(system.contains(" MOD4_TYPE=16 ") && system.contains(" MOD4_ID=0000000000000000 "), "{system}");
    assert!(system.contains(" MOD5_TYPE=2 "));
    assert!(!desk.ask("STATUS").contains("MOD4/LVLC"));
}

#[test]
fn a_reboot_in_the_readout_loses_the_frame_and_its_numbers() {
    for (fault, kept) in [("reboot-in-readout", 0), ("warmboot-in-readout", 1)] {
        let mut desk = Desk::with(&["slow-readout=100"]);
        desk.done(&["APPLYALL"]);
        desk.expose(1);
        desk.done(&["FASTLOADPARAM ReadOut 1"]);
        desk.wait(200);
        assert_eq!(desk.number("FRAME", "BUF1FRAME"), 1);
        desk.archon.faults().add(fault.parse().expect("a fault"));
        desk.expose(1);
        desk.done(&["FASTLOADPARAM ReadOut 1"]);
        desk.wait(60);
        assert!(desk.closed, "{fault}");
        desk.archon.connect(ME);
        assert_eq!(desk.number("FRAME", "BUF1COMPLETE"), kept, "{fault}");
        assert_eq!(desk.number("STATUS", "POWER"), 1, "{fault}");
    }
}

#[test]
fn the_connection_ends_after_so_many_bytes() {
    let mut desk = Desk::with(&["drop-after=10"]);
    assert_eq!(desk.ask("FETCHLOG"), "<0A(null)\n");
    assert!(desk.closed);
}

#[test]
fn replies_are_late_if_asked_to_be() {
    // Blocks too.
    let mut slow = Desk::with(&["delay=50"]);
    assert!(slow.bytes("FETCHA000000000000001").is_empty());
    slow.wait(50);
    assert_eq!(slow.sent.len(), 1028);
    let mut desk = Desk::with(&["delay=50"]);
    assert_eq!(desk.ask("TIMER"), "");
    assert_eq!(desk.archon.deadline(), Some(Mono(50_000_000)));
    desk.wait(50);
    assert!(desk.sent.starts_with(b"<0ATIMER="));
}
