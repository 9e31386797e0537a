//! The synchronised start, behaviour by behaviour.

use super::player::Doing;
use super::world::{Fault, Kindness, Moment, World, entries, forward, is_yes, ms, only, text_of};
use appliance::api::Class;
use appliance::dealer::fanout::Policy;
use appliance::dealer::messages::{Index, Kind};
use appliance::dealer::methods::What;
use appliance::dealer::rules::{HealthGate, Rules};
use appliance::dealer::start::seven;
use appliance::units::Utc;
use appliance::value::Value;
use std::collections::BTreeMap;

fn start() -> What {
    What::Start(Value::Null)
}

fn scanning(w: &World) -> usize {
    w.players.iter().filter(|p| matches!(p.doing, Doing::Scanning(_))).count()
}

fn fault(player: usize, method: &'static str, moment: Moment, kind: Kindness) -> Fault {
    Fault { player, method, moment, kind }
}

#[test]
fn all_start_in_the_same_second_and_the_scan_is_in_the_journal_when_it_has_ended() {
    let mut w = World::ours(3);
    let reply = w.done(start());
    let second = w.second.expect("asked");
    for (_, entry) in entries(&reply) {
        assert_eq!(text_of(&entry), format!("Successfully started roach for starttime={second}"));
    }
    assert!(w.players.iter().all(|p| p.doing == Doing::Scanning(second)));
    w.run_to(second + ms(4000));
    assert_eq!(w.done(What::LastWarnings), Value::List(vec![]));
    assert_eq!(w.done(What::LastStart).get("start"), Some(&second.to_string().into()));
    let [begun] = w.journal.as_slice() else { panic!("one scan: {:?}", w.journal) };
    assert_eq!(begun.get("event"), Some(&"begun".into()));
    w.done(forward("stop", Class::Write));
    w.run(ms(1100));
    let [_, line] = w.journal.as_slice() else { panic!("one scan: {:?}", w.journal) };
    assert_eq!(line.get("event"), Some(&"ended".into()));
    assert_eq!(line.get("start"), Some(&second.to_string().into()));
    let ended = line.get("ends").and_then(|e| e.get("BANKC")).and_then(|e| e.get("ended"));
    assert_eq!(ended, Some(&"stopped".into()));
}

#[test]
fn a_scan_that_was_stopped_before_it_was_looked_at_is_no_warning() {
    let mut w = World::ours(2);
    w.done(start());
    w.done(forward("stop", Class::Write));
    w.run_to(w.second.expect("asked") + ms(4000));
    assert_eq!(w.done(What::LastWarnings), Value::List(vec![]));
    // Nor when the next one is under way by then.
    w.done(start());
    w.done(forward("stop", Class::Write));
    let first = w.second.expect("asked");
    w.done(start());
    w.run_to(first + ms(2500));
    assert_eq!(w.done(What::LastWarnings), Value::List(vec![]));
}

#[test]
fn one_that_scans_without_packets_is_told_of_2_s_after_the_start() {
    let mut w = World::ours(2);
    w.players[1].net = "NETSTAT=waiting";
    let reply = w.done(start());
    assert!(entries(&reply).iter().all(|(_, e)| is_yes(e)), "{reply}");
    w.run_to(w.second.expect("sent") + ms(2100));
    let said = w.done(What::LastWarnings).to_string();
    assert!(said.contains("BANKB 2 s after the start: no data comes in, NETSTAT=waiting"), "{said}");
    assert!(!said.contains("BANKA"), "{said}");
    let last = w.done(What::LastStart);
    for key in ["called", "sent", "answered"] {
        assert!(last.get(key).and_then(Value::as_str).is_some(), "{key}: {last}");
    }
}

#[test]
fn a_time_that_is_too_early_is_refused_in_the_words_of_the_reference() {
    let mut w = World::ours(2);
    let at = Utc::from_seconds(w.now.utc.seconds());
    let reply = w.done(What::Start(seven(at)));
    assert!(
        text_of(&reply).starts_with(&format!("Start time {at}+00:00 is earlier that earliest possible")),
        "{reply}"
    );
    assert!(w.second.is_none());
}

#[test]
fn one_that_refuses_keeps_all_from_it() {
    for kind in [Kindness::Refusing, Kindness::SayingNo, Kindness::Lost, Kindness::Restarted] {
        let mut w = World::ours(3);
        w.faults.push(fault(1, "start", Moment::Asked, kind));
        let reply = w.done(start());
        assert_eq!(entries(&reply).len(), 3);
        assert!(entries(&reply).iter().all(|(_, e)| !is_yes(e)), "{kind:?}: {reply}");
        w.run(ms(20_000));
        assert_eq!(scanning(&w), 0, "{kind:?}");
    }
}

#[test]
fn who_was_stopped_by_the_roll_back_says_why_and_who_refused_keeps_its_own_reason() {
    let mut w = World::ours(3);
    let at = Utc::from_seconds(w.now.utc.seconds() + 60);
    let ticket = w.call_with(What::Start(seven(at)), only(&["BANKA", "BANKC"], Policy::All));
    w.run(ms(200));
    w.cancel(ticket);
    let reply = w.answer(ticket, ms(1000)).expect("a result");
    for (_, entry) in entries(&reply) {
        assert_eq!(text_of(&entry), "not started: cancelled by the client; stopped");
    }
    w.faults.push(fault(1, "start", Moment::Asked, Kindness::SayingNo));
    let reply = w.done(What::Start(seven(at)));
    let all = entries(&reply);
    assert_eq!(text_of(&all[1].1), "it will not");
    for n in [0, 2] {
        assert_eq!(text_of(&all[n].1), "not started: BANKB: it will not; stopped", "{reply}");
    }
}

#[test]
fn who_was_stopped_by_somebody_else_keeps_that_as_its_reason() {
    let mut w = World::ours(2);
    let ticket = w.call(start());
    w.run(ms(200));
    let stopped = w.call_with(forward("stop", Class::Write), only(&["BANKA"], Policy::All));
    w.answer(stopped, ms(100)).expect("stopped");
    let reply = w.answer(ticket, ms(1000)).expect("a result");
    let all = entries(&reply);
    assert_eq!(text_of(&all[0].1), "Exception: start(): cancelled by stop()");
    assert_eq!(
        text_of(&all[1].1),
        "not started: BANKA: Exception: start(): cancelled by stop(); stopped",
        "{reply}"
    );
}

#[test]
fn a_quorum_starts_without_one_that_refuses() {
    let mut w = World::ours(3);
    w.faults.push(fault(1, "start", Moment::Asked, Kindness::SayingNo));
    let ticket = w.call_with(start(), only(&[], Policy::Quorum(2)));
    let reply = w.answer(ticket, ms(20_000)).expect("a result");
    let all = entries(&reply);
    assert!(is_yes(&all[0].1) && is_yes(&all[2].1), "{reply}");
    assert_eq!(text_of(&all[1].1), "left out of the start: it will not");
    assert_eq!(scanning(&w), 2);
}

#[test]
fn a_quorum_starts_without_one_that_hangs_and_stops_it_when_it_goes_on() {
    let mut w = World::ours(3);
    w.faults.push(fault(2, "start", Moment::Asked, Kindness::Hung));
    let ticket = w.call_with(start(), only(&[], Policy::Quorum(2)));
    let reply = w.answer(ticket, ms(20_000)).expect("a result");
    assert_eq!(entries(&reply).len(), 3);
    w.run(ms(20_000));
    assert_eq!(scanning(&w), 2);
    assert!(!w.players[2].runs());
}

#[test]
fn no_quorum_starts_without_the_master() {
    let masters = BTreeMap::from([("CODD".to_owned(), Index(0))]);
    let rules = Rules { masters, health: HealthGate::Off, ..Rules::default() };
    let mut w = World::new(&[Kind::Ours; 3], Some("CODD"), rules);
    w.faults.push(fault(0, "start", Moment::Asked, Kindness::SayingNo));
    let ticket = w.call_with(start(), only(&[], Policy::Quorum(1)));
    let error = w.answer(ticket, ms(20_000)).expect_err("no quorum");
    assert!(error.message.starts_with("3 of 3 players failed (BANKA: it will not"), "{error}");
    assert_eq!(scanning(&w), 0);
    let without = w.call_with(start(), only(&["BANKB", "BANKC"], Policy::All));
    let reply = w.answer(without, ms(100)).expect("a result");
    assert!(text_of(&entries(&reply)[0].1).contains("CODD is armed by BANKA"), "{reply}");
}

#[test]
fn strict_makes_an_error_of_it() {
    let mut w = World::ours(2);
    w.faults.push(fault(1, "earliest_start", Moment::Asked, Kindness::Refusing));
    let ticket = w.call_with(start(), only(&[], Policy::Strict));
    assert!(w.answer(ticket, ms(5000)).expect_err("strict").message.contains("BANKB"));
}

#[test]
fn a_scan_that_goes_on_is_not_disturbed() {
    let mut w = World::ours(2);
    w.done(start());
    let reply = w.done(start());
    assert_eq!(text_of(&entries(&reply)[0].1), "Scan already started.");
    w.run(ms(10_000));
    assert_eq!(scanning(&w), 2);
}

#[test]
fn clocks_that_are_apart_keep_all_from_it() {
    let mut w = World::ours(2);
    w.strike(1, Kindness::ClockOff);
    let reply = w.done(start());
    assert!(
        text_of(&entries(&reply)[0].1).contains("the clock of BANKB is +600.0 ms from the others'"),
        "{reply}"
    );
    assert!(w.second.is_none());
}

#[test]
fn the_health_gate_refuses_with_one_list() {
    let mut w =
        World::new(&[Kind::Ours; 2], Some("HBW"), Rules { health: HealthGate::Refuse, ..Rules::default() });
    w.strike(1, Kindness::Lost);
    let reply = w.done(start());
    assert!(text_of(&entries(&reply)[0].1).contains("BANKB: not connected"), "{reply}");
    assert!(w.second.is_none());
}

#[test]
fn a_start_hours_ahead_is_held_and_can_be_taken_back() {
    let mut w = World::ours(2);
    let at = Utc::from_seconds(w.now.utc.seconds() + 20 * 3600);
    let ticket = w.call(What::Start(seven(at)));
    w.run(ms(3_600_000));
    assert!(w.reply(ticket).is_none());
    assert!(w.players.iter().all(|p| p.doing == Doing::Starting(at)));
    w.cancel(ticket);
    let reply = w.answer(ticket, ms(1000)).expect("a result");
    assert!(entries(&reply).iter().all(|(_, e)| text_of(e).contains("cancelled")), "{reply}");
    assert!(w.players.iter().all(|p| p.doing == Doing::Ready));
}

#[test]
fn one_that_obeys_a_start_only_after_it_was_taken_back_is_stopped() {
    // A start far ahead, so that it is still in time when the hung player goes on and finds the order in its hands.
    let mut w = World::ours(2);
    let at = Utc::from_seconds(w.now.utc.seconds() + 60);
    w.faults.push(fault(1, "start", Moment::Asked, Kindness::Hung));
    let ticket = w.call(What::Start(seven(at)));
    w.answer(ticket, ms(5000)).expect("a result");
    w.run(ms(4000));
    assert_eq!(w.players[1].counted("start"), 1, "it did take it");
    w.run_to(at + ms(5000));
    assert_eq!(scanning(&w), 0);
}

#[test]
fn one_lost_between_its_arming_and_the_roll_back_is_stopped_when_it_comes_back() {
    let mut w = World::ours(3);
    w.faults.push(fault(0, "start", Moment::Replied, Kindness::Lost));
    w.faults.push(fault(2, "start", Moment::Asked, Kindness::Slow));
    w.faults.push(fault(2, "start", Moment::Taken, Kindness::Hung));
    let reply = w.done(start());
    assert_eq!(entries(&reply).len(), 3);
    w.run(ms(20_000));
    assert_eq!(scanning(&w), 0, "{reply}");
}

#[test]
fn a_stop_by_somebody_is_no_reason_to_warn() {
    let mut w = World::ours(2);
    w.done(start());
    w.run_to(w.second.expect("asked") + ms(500));
    w.done(forward("stop", Class::Write));
    w.run(ms(5000));
    assert_eq!(w.done(What::LastWarnings), Value::List(vec![]));
}

#[test]
fn nobody_goes_on_alone_while_a_player_of_the_reference_is_late() {
    let mut w = World::new(&[Kind::Ours, Kind::Reference], Some("HBW"), Rules::default());
    let ticket = w.call(start());
    w.run(ms(100));
    let second = w.second.expect("asked");
    w.run_to(second - ms(1200));
    w.strike(1, Kindness::Hung);
    w.run_to(second + ms(1200));
    assert!(!w.players[0].runs(), "1 s after the second it is taken back");
    let reply = w.answer(ticket, ms(60_000)).expect("a result");
    assert!(
        text_of(&entries(&reply)[0].1).contains("BANKB had not armed 1 s after the second; stopped"),
        "{reply}"
    );
}

#[test]
fn a_stop_takes_back_the_start_that_waits_for_its_turn_and_the_one_that_asks_when() {
    let mut w = World::ours(2);
    w.faults.push(fault(0, "prepare", Moment::Asked, Kindness::Slow));
    w.call(forward("prepare", Class::Job));
    let waiting = w.call(start());
    w.run(ms(100));
    w.done(forward("stop", Class::Write));
    let reply = w.answer(waiting, ms(10)).expect("a result");
    assert!(entries(&reply).iter().all(|(_, e)| text_of(e) == "not started: cancelled by stop()"), "{reply}");
    w.run(ms(10_000));

    w.faults.push(fault(1, "earliest_start", Moment::Asked, Kindness::Slow));
    let asking = w.call(start());
    w.run(ms(100));
    w.call(forward("stop", Class::Write));
    let reply = w.answer(asking, ms(10)).expect("a result");
    assert!(entries(&reply).iter().all(|(_, e)| text_of(e) == "not started: cancelled by stop()"), "{reply}");
    w.run(ms(20_000));
    assert!(w.second.is_none(), "nobody was asked to start");
}

#[test]
fn a_start_more_than_a_day_ahead_is_for_the_schedule() {
    let mut w = World::ours(2);
    let at = Utc::from_seconds(w.now.utc.seconds() + 86_400 * 2);
    let reply = w.done(What::Start(seven(at)));
    assert!(entries(&reply).iter().all(|(_, e)| text_of(e).contains("use schedule")), "{reply}");
}
