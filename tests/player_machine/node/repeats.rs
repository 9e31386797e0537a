//! Requests with an id that come twice: carried out once, answered twice.

use super::handmade::Handmade;
use super::house::*;
use appliance::value::Value;

const ID: &str = r#", "id": "3f2a-1""#;

fn error_of(reply: &Value) -> String {
    reply.get("EXCEPTION").map(Value::to_string).unwrap_or_else(|| panic!("no error: {reply}"))
}

#[test]
fn who_lost_the_answer_asks_again_on_another_connection() {
    let mut house = House::new();
    let first = Handmade::new(&mut house);
    let answer = first.ask(&mut house, "increment_scan_number", ID).expect("a short write");
    let number = house.shown("scan_number");
    house.hang_up(first.0);
    let second = Handmade::new(&mut house);
    assert_eq!(second.ask(&mut house, "increment_scan_number", ID), Some(answer.clone()));
    assert_eq!(house.shown("scan_number"), number, "counted once");
    assert!(house.record[0].contains(r#""request": "3f2a-1""#), "{}", house.record[0]);
    assert!(house.record.iter().any(|line| line.contains(r#""kind": "repeat""#)), "{:?}", house.record);

    let other = second.ask(&mut house, "prepare", ID).expect("refused at once");
    assert!(error_of(&other).contains("bank.increment_scan_number"), "{other}");
    house.run_for(601.0);
    let third = Handmade::new(&mut house);
    third.ask(&mut house, "increment_scan_number", ID).expect("a new call");
    assert_ne!(house.shown("scan_number"), number, "after ten minutes it is a new request");
}

#[test]
fn who_asks_again_while_it_runs_gets_the_same_answer() {
    let mut house = House::new();
    house.spawns = false;
    let (busy, first) = (house.dealer(), Handmade::new(&mut house));
    let job = house.call(busy, "set_mode", &["MODE1".into()]);
    assert_eq!(first.ask(&mut house, "increment_scan_number", ID), None, "waits behind set_mode");
    // The client has given up and comes back: its call keeps its place, though the first connection is gone.
    house.hang_up(first.0);
    let (second, third) = (Handmade::new(&mut house), Handmade::new(&mut house));
    let number = house.shown("scan_number");
    for again in [&second, &third] {
        assert_eq!(again.ask(&mut house, "increment_scan_number", ID), None);
    }
    house.children_start();
    assert_eq!(house.wait(busy, job), new_mode());
    let answers = [second.reply(&mut house), third.reply(&mut house)];
    assert!(answers[0].is_some() && answers[0] == answers[1], "{answers:?}");
    let next = house.shown("scan_number");
    assert_eq!(next.parse::<i64>().unwrap(), number.parse::<i64>().unwrap() + 1);
}

#[test]
fn what_was_dropped_or_came_too_late_may_be_asked_again() {
    let mut house = House::new();
    house.spawns = false;
    let (busy, first) = (house.dealer(), Handmade::new(&mut house));
    let job = house.call(busy, "set_mode", &["MODE1".into()]);
    first.ask(&mut house, "increment_scan_number", ID);
    house.hang_up(first.0);
    let late = Handmade::new(&mut house);
    late.ask(&mut house, "increment_scan_number", r#", "id": "late", "deadline_ms": 500"#);
    house.run_for(0.6);
    error_of(&late.reply(&mut house).expect("too late"));
    house.children_start();
    assert_eq!(house.wait(busy, job), new_mode());
    let number = house.shown("scan_number");
    for id in [ID, r#", "id": "late""#] {
        let answer = late.ask(&mut house, "increment_scan_number", id).expect("carried out now");
        assert!(answer.get("EXCEPTION").is_none(), "{answer}");
    }
    let next = house.shown("scan_number");
    assert_eq!(next.parse::<i64>().unwrap(), number.parse::<i64>().unwrap() + 2);
}

#[test]
fn stop_is_carried_out_every_time() {
    let mut house = House::new();
    let hand = Handmade::new(&mut house);
    for _ in 0..2 {
        hand.ask(&mut house, "stop", ID).expect("answered");
    }
    let stops = house.record.iter().filter(|line| line.contains(r#""kind": "call""#)).count();
    assert_eq!(stops, 2, "{:?}", house.record);
}
