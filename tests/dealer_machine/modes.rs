//! Mode changes in the order a shared board needs.

use super::world::{Fault, Kindness, Moment, World, entries, is_yes, ms, only, text_of};
use appliance::dealer::fanout::Policy;
use appliance::dealer::messages::{Index, Kind};
use appliance::dealer::methods::What;
use appliance::dealer::rules::Rules;
use std::collections::BTreeMap;

pub fn codd() -> Rules {
    Rules { masters: BTreeMap::from([("CODD".to_owned(), Index(0))]), ..Rules::default() }
}

fn set(mode: &str) -> What {
    What::SetMode(vec![mode.into()])
}

#[test]
fn boards_of_the_others_are_silenced_then_the_master_then_the_others() {
    let mut w = World::new(&[Kind::Ours; 4], Some("HBW"), codd());
    let reply = w.done(set("CODD"));
    assert!(entries(&reply).iter().all(|(_, e)| is_yes(e)), "{reply}");
    let order: Vec<(usize, &str)> =
        w.asked.iter().filter(|(_, c)| c.method != "would").map(|(p, c)| (*p, c.method.as_str())).collect();
    let wanted = [
        (1, "progdev"),
        (2, "progdev"),
        (3, "progdev"),
        (0, "set_mode"),
        (1, "set_mode"),
        (2, "set_mode"),
        (3, "set_mode"),
    ];
    assert_eq!(order, wanted);
}

#[test]
fn a_master_that_fails_keeps_the_others_from_it() {
    let mut w = World::new(&[Kind::Ours; 3], Some("HBW"), codd());
    w.faults.push(Fault { player: 0, method: "set_mode", moment: Moment::Asked, kind: Kindness::Refusing });
    let reply = w.done(set("CODD"));
    let all = entries(&reply);
    assert_eq!(text_of(&all[1].1), "not done: BANKA, which programs the board, failed: Exception: it cannot");
    assert_eq!(w.players[1].mode.as_deref(), Some("HBW"));
}

#[test]
fn boards_are_left_alone_when_the_master_is_away_or_not_among_the_players() {
    let mut w = World::new(&[Kind::Ours; 3], Some("HBW"), codd());
    let without = w.call_with(set("CODD"), only(&["BANKB", "BANKC"], Policy::All));
    let reply = w.answer(without, ms(100)).expect("a result");
    assert!(text_of(&entries(&reply)[0].1).contains("CODD needs BANKA"), "{reply}");
    w.strike(0, Kindness::Lost);
    let reply = w.done(set("CODD"));
    assert_eq!(entries(&reply).len(), 3);
    assert!(entries(&reply).iter().all(|(_, e)| !is_yes(e)), "{reply}");
    assert_eq!(w.players.iter().map(|p| p.counted("progdev") + p.counted("set_mode")).sum::<usize>(), 0);
}

#[test]
fn one_that_would_refuse_keeps_all_from_it() {
    let mut w = World::new(&[Kind::Ours; 3], Some("HBW"), codd());
    w.faults.push(Fault { player: 2, method: "would", moment: Moment::Asked, kind: Kindness::SayingNo });
    let reply = w.done(set("CODD"));
    assert_eq!(text_of(&entries(&reply)[2].1), "it will not");
    assert_eq!(text_of(&entries(&reply)[0].1), "not done: BANKC would refuse it");
    assert!(w.players.iter().all(|p| p.mode.as_deref() == Some("HBW")));
}

#[test]
fn a_master_that_has_the_mode_already_does_not_keep_it_from_one_that_was_restarted() {
    let mut w = World::new(&[Kind::Ours; 3], Some("CODD"), codd());
    w.strike(2, Kindness::Restarted);
    w.run(ms(3000));
    let reply = w.done(set("CODD"));
    let all = entries(&reply);
    assert!(text_of(&all[0].1).starts_with("Mode CODD is already set!"), "{reply}");
    assert!(is_yes(&all[2].1), "{reply}");
    assert!(w.players.iter().all(|p| p.mode.as_deref() == Some("CODD")));
}
