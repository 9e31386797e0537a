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
fn faults_of_a_stream_strike_once() {
    for (fault, length, closes) in
        [("drop-in-fetch=1", 1028, true), ("cut-fetch=1", 1028, false), ("garbage-in-fetch=1", 2056, false)]
    {
        let mut desk = Desk::with(&[fault]);
        desk.done(&["APPLYALL"]);
        desk.expose(1);
        desk.read_out();
        let bytes = desk.bytes("FETCHA000000000000002");
        assert_eq!((bytes.len(), desk.closed), (length, closes), "{fault}");
        if closes {
            desk.archon.connect(ME);
        }
        assert_eq!(desk.bytes("FETCHA000000000000002").len(), 2056, "{fault}: the second time it is well");
    }
}

#[test]
fn faults_of_health() {
    let mut desk = Desk::with(&["power-half", "overheat", "status-stale", "sensor-open=MOD2/TEMPA"]);
    desk.done(&["APPLYALL", "POWERON"]);
    let count = desk.number("STATUS", "COUNT");
    desk.wait(5000);
    assert_eq!(desk.number("STATUS", "POWER"), 3);
    assert_eq!(desk.number("STATUS", "OVERHEAT"), 1);
    assert_eq!(desk.number("STATUS", "COUNT"), count);
    assert!(desk.ask("STATUS").contains("MOD2/TEMPA=-273.150016"));
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
    let mut desk = Desk::with(&["delay=50"]);
    assert_eq!(desk.ask("TIMER"), "");
    assert_eq!(desk.archon.deadline(), Some(Mono(50_000_000)));
    desk.wait(50);
    assert!(desk.sent.starts_with(b"<0ATIMER="));
}
