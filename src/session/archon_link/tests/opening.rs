//! Opening, losing, closing; the pauses between attempts.

use super::*;
use std::time::Duration;

#[test]
fn what_an_operator_closed_stays_closed() {
    let mut rig = Rig::up();
    rig.link.close("disconnect", at(5));
    rig.settle();
    assert_eq!(rig.link.deadline(), None);
    rig.link.open(at(10));
    rig.settle();
    assert!(matches!(rig.orders.last(), Some(Output::Connect { .. })));
}

/// The pause before each of `n` attempts that fail, ms.
fn pauses(seed: u64, n: usize) -> Vec<u64> {
    let mut link = ArchonLink::new(Config { seed, ..Config::default() });
    let mut now = at(0);
    let mut pauses = Vec::new();
    link.tick(now);
    for _ in 0..n {
        link.closed("refused", now);
        let due = link.deadline().expect("it tries again");
        pauses.push(due.since(now.mono).as_millis() as u64);
        now.mono = due;
        link.tick(now);
    }
    pauses
}

#[test]
fn pauses_double_up_to_a_limit_and_differ_by_seed() {
    let first = pauses(7, 9);
    for (pause, base) in first.iter().zip([250u64, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]) {
        assert!((base * 8 / 10..=base * 12 / 10).contains(pause), "{first:?}");
    }
    assert_eq!(first, pauses(7, 9));
    assert_ne!(first, pauses(8, 9));
}

#[test]
fn only_a_controller_that_answers_makes_the_pause_short_again() {
    let mut rig = Rig::up();
    let mut ms = 0;
    let lose = |rig: &mut Rig, ms: u64| {
        rig.link.closed("gone", at(ms));
        rig.link.deadline().expect("it tries again").0 / 1_000_000 - ms
    };
    for _ in 0..6 {
        ms += lose(&mut rig, ms) + 1;
        rig.tick(ms);
        rig.link.connected(at(ms));
    }
    rig.settle();
    rig.submit(1, Command::Status, ms);
    rig.receive(b"?", ms);
    let pause = rig.link.backoff.clone().next_pause();
    assert!(pause > Duration::from_secs(5), "accepting and hanging up is no sign of life: {pause:?}");
    let line = rig.sent.last().expect("sent").clone();
    rig.receive(format!("{}\n", &line[1..3]).as_bytes(), ms);
    assert!(lose(&mut rig, ms) <= 300, "a refusal is");
}

#[test]
fn why_it_cannot_connect_is_said_once() {
    let mut rig = Rig::up();
    rig.link.closed("gone", at(0));
    rig.settle();
    rig.events.clear();
    let mut ms = 0;
    for why in ["refused", "refused", "refused", "no route", "no route"] {
        ms += 10_000;
        rig.tick(ms);
        rig.link.closed(why, at(ms));
        rig.settle();
    }
    assert_eq!(
        rig.notes(),
        ["no connection: refused; trying again", "no connection: no route; trying again"]
    );
    rig.submit(1, Command::Status, ms);
    let want = LinkError::Down { command: "STATUS".into(), why: "no route".into(), sent: false };
    assert!(matches!(rig.events.pop(), Some(LinkEvent::Reply { result: Err(e), .. }) if e == want));
}

#[test]
fn an_attempt_nobody_reports_about_is_given_up() {
    let mut link = ArchonLink::new(Config::default());
    link.tick(at(0));
    assert_eq!(link.poll(), Some(Output::Connect { timeout: Duration::from_secs(5) }));
    let until = link.deadline().expect("no wait without an end");
    link.tick(Now { mono: until, ..Now::default() });
    assert!(matches!(link.poll(), Some(Output::Disconnect(_))));
    assert!(link.deadline().is_some_and(|d| d > until), "and tried again");
    link.connected(at(16_000));
    while let Some(output) = link.poll() {
        assert!(!matches!(output, Output::Event(LinkEvent::Up)), "its late connection is not taken");
    }
}

#[test]
fn opened_anew_at_once_and_by_an_operator_only() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Status, 0);
    rig.link.open(at(1));
    rig.settle();
    assert!(matches!(rig.orders[..], [Output::Disconnect(_), Output::Connect { .. }]), "{:?}", rig.orders);
    assert!(matches!(rig.reply(), (1, Err(LinkError::Down { sent: true, .. }))));
    rig.link.close("disconnect", at(2));
    rig.link.closed("late news", at(3));
    rig.tick(60_000);
    rig.settle();
    assert_eq!(rig.link.deadline(), None);
    assert_eq!(rig.orders.iter().filter(|o| matches!(o, Output::Connect { .. })).count(), 1);
    rig.events.clear();
    rig.submit(2, Command::Status, 60_000);
    assert!(matches!(rig.reply(), (2, Err(LinkError::Down { why, sent: false, .. })) if why == "disconnect"));
}

#[test]
fn what_was_in_flight_is_answered_before_the_loss_is_told_in_the_order_it_was_sent() {
    let mut rig = Rig::up();
    for (token, ms) in [(9, 0), (3, 1), (5, 2)] {
        rig.submit(token, Command::Frame, ms);
    }
    rig.link.closed("gone", at(3));
    rig.settle();
    let order: Vec<u64> = (0..3).map(|_| rig.reply().0).collect();
    assert_eq!(order, [9, 3, 5]);
    assert_eq!(rig.events, [LinkEvent::Down { why: "gone".into() }]);
}
