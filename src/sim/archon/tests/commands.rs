//! Commands, configuration, power, clients.

use super::*;

#[test]
fn unknown_commands_and_rubbish_are_met_with_silence() {
    let mut desk = Desk::with(&[]);
    for command in ["NONSENSE", "status", "FETCH12", "FETCH0000000000000001", ""] {
        assert_eq!(desk.ask(command), "", "{command}");
    }
    assert_eq!(desk.ask("FETCHLOG"), "<0A(null)\n");
    assert_eq!(desk.ask("LOCK9"), "?0A\n");
}

#[test]
fn configuration_memory_is_text_until_it_is_applied() {
    let mut desk = Desk::with(&[]);
    assert_eq!(desk.ask("RCONFIG0001"), "<0AFRAMEMODE=0\n");
    assert_eq!(desk.ask("RCONFIG3000"), "<0A\n");
    assert_eq!(desk.ask("RCONFIG4000"), "?0A\n");
    assert_eq!(desk.ask("POWERON"), "?0A\n", "before the first APPLYALL");
    assert_eq!(desk.ask("FASTLOADPARAM Exposures 1"), "?0A\n", "no script is loaded");
    desk.done(&["WCONFIG0002LINECOUNT=20", "APPLYALL", "POWERON"]);
    assert_eq!(desk.number("STATUS", "POWER"), 3);
    desk.wait(200);
    assert_eq!(desk.number("STATUS", "POWER"), 4);
    assert_eq!(desk.ask("fastloadparam x 1"), "");
    assert_eq!(desk.ask("FASTLOADPARAM EXPOSURES 0"), "<0A\n", "any case");
    desk.done(&["APPLYALL"]);
    assert_eq!(desk.number("STATUS", "POWER"), 2, "APPLYALL drops power");
}

#[test]
fn only_the_first_client_of_a_revision_f_box_is_heard() {
    let mut desk = Desk::with(&[]);
    desk.archon.connect(ClientId(2));
    desk.archon.receive(ClientId(2), b">01STATUS\n", desk.now());
    desk.settle();
    assert!(desk.sent.is_empty());
    desk.archon.closed(ME);
    desk.archon.receive(ClientId(2), b">01FETCHLOG\n", desk.now());
    desk.settle();
    assert_eq!(desk.sent, b"<01(null)\n");
}

#[test]
fn polloff_freezes_status() {
    let mut desk = Desk::with(&[]);
    desk.done(&["POLLOFF"]);
    let count = desk.number("STATUS", "COUNT");
    desk.wait(5000);
    assert_eq!(desk.number("STATUS", "COUNT"), count);
    desk.done(&["POLLON"]);
    assert!(desk.number("STATUS", "COUNT") > count);
}
