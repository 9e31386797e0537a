//! Control of the proxy, passed on to its players.

use super::world::{Kindness, World, entries, forward, is_yes, ms, only, text_of};
use appliance::api::Class;
use appliance::config::settings::LeaseRule;
use appliance::dealer::fanout::Policy;
use appliance::dealer::lease::Held;
use appliance::dealer::messages::Kind;
use appliance::dealer::methods::What;
use appliance::dealer::rules::Rules;
use appliance::node::leases::Leases;
use appliance::value::Value;
use std::time::Duration;

fn world(kinds: &[Kind], rule: LeaseRule) -> World {
    let rules = Rules { name: "control".into(), ..Rules::default() };
    let mut w = World::new(kinds, Some("HBW"), rules);
    w.players.iter_mut().for_each(|p| p.leases = Leases::new(rule));
    w
}

fn held(w: &World, who: &str, seconds: u64) -> Option<Held> {
    let until = w.now.mono + Duration::from_secs(seconds);
    Some(Held { token: format!("of {who}"), who: who.into(), purpose: "tests".into(), until })
}

fn holder(w: &World, player: usize) -> Option<String> {
    w.players[player].leases.holder(w.now).map(|lease| lease.holder())
}

fn prepare(w: &mut World) -> Value {
    w.done(forward("prepare", Class::Write))
}

fn all_do_it(reply: &Value) -> bool {
    entries(reply).iter().all(|(_, e)| is_yes(e))
}

#[test]
fn players_know_who_has_control_of_them_and_until_when() {
    let mut w = world(&[Kind::Ours; 2], LeaseRule::Cooperative);
    let ann = held(&w, "ann", 600);
    assert!(all_do_it(&w.control(ann.clone())));
    for player in 0..2 {
        assert_eq!(holder(&w, player).as_deref(), Some("ann via control (tests)"));
    }
    assert!(!w.binds, "at these players a lease binds nobody who knows nothing of leases");
    // Renewed, on another end.
    let longer = ann.map(|h| Held { until: h.until + Duration::from_secs(600), ..h });
    w.run(ms(300_000));
    assert!(all_do_it(&w.control(longer)));
    w.run(ms(400_000));
    assert!(holder(&w, 1).is_some());
    w.control(None);
    assert_eq!((holder(&w, 0), holder(&w, 1)), (None, None));
}

#[test]
fn nothing_is_changed_at_players_that_require_a_lease_but_under_that_of_the_proxy() {
    let mut w = world(&[Kind::Ours; 2], LeaseRule::Required);
    let reply = prepare(&mut w);
    assert_eq!(
        text_of(&entries(&reply)[1].1),
        "Exception: bank.prepare refused: nothing may be changed without a lease here (listen.lease); call \
         rpc.acquire(who, seconds) at the proxy control, which passes it on to its players"
    );
    let ann = held(&w, "ann", 600);
    w.control(ann);
    assert!(w.binds, "whoever has no lease would act under hers");
    let reply = prepare(&mut w);
    assert!(all_do_it(&reply), "{reply}");
    w.control(None);
    assert!(!w.binds);
    assert!(!is_yes(&entries(&prepare(&mut w))[0].1));
}

#[test]
fn a_player_that_is_somebody_elses_is_named_and_taken_when_it_is_free() {
    let mut w = world(&[Kind::Ours; 3], LeaseRule::Binding);
    let now = w.now;
    let bob = w.players[1].leases.acquire("bob", 60.0, "at the board", None, now).expect("free");
    let ann = held(&w, "ann", 600);
    let players = entries(&w.control(ann));
    assert!(is_yes(&players[0].1) && is_yes(&players[2].1), "{players:?}");
    let refusal = text_of(&players[1].1);
    assert_eq!(refusal, format!("control is with {}", bob.in_words(now)));
    let reply = prepare(&mut w);
    let text = text_of(&entries(&reply)[1].1);
    assert!(
        text.starts_with("Exception: bank.prepare refused: control is with bob (at the board)"),
        "{text}"
    );
    assert!(is_yes(&entries(&reply)[2].1));
    w.run(ms(62_000));
    assert_eq!(holder(&w, 1).as_deref(), Some("ann via control (tests)"));
    assert!(all_do_it(&prepare(&mut w)));
}

#[test]
fn a_player_that_comes_back_gets_it_and_hears_the_scan_number_then() {
    for kind in [Kindness::Lost, Kindness::Restarted, Kindness::Hung] {
        let mut w = world(&[Kind::Ours; 2], LeaseRule::Required);
        let ann = held(&w, "ann", 600);
        w.control(ann);
        w.done(What::SetScanNumber(42));
        w.strike(0, kind);
        w.run(ms(12_000));
        assert_eq!(holder(&w, 0).as_deref(), Some("ann via control (tests)"), "{kind:?}");
        let numbers: Vec<_> = w.players[0].took.iter().filter(|c| c.method == "set_scan_number").collect();
        assert_eq!(numbers.len(), 2, "{kind:?}: set, and set again under the lease");
        let reply = prepare(&mut w);
        assert!(all_do_it(&reply), "{kind:?}: {reply}");
    }
}

#[test]
fn a_player_that_would_not_hear_the_scan_number_is_told_of_and_hears_it_under_the_next_lease() {
    for kind in [Kindness::Lost, Kindness::Restarted] {
        let mut w = world(&[Kind::Ours; 2], LeaseRule::Required);
        let ann = held(&w, "ann", 600);
        w.control(ann);
        w.done(What::SetScanNumber(42));
        w.control(None);
        w.strike(0, kind);
        w.run(ms(6000));
        let forgot = kind == Kindness::Restarted;
        let said = w.done(What::LastWarnings).to_string();
        assert_eq!(said.contains("BANKA does not know the scan number"), forgot, "{kind:?}: {said}");
        assert_eq!(w.done(What::Snapshot).get("scan_number"), Some(&Value::Int(42)));
        let ben = held(&w, "ben", 600);
        w.control(ben);
        w.run(ms(100));
        assert_eq!(w.players[0].scan_number, Value::Int(42), "{kind:?}");
    }
}

#[test]
fn a_player_that_is_away_is_named_and_gets_it_later() {
    let mut w = world(&[Kind::Ours; 2], LeaseRule::Binding);
    w.strike(1, Kindness::Lost);
    let ann = held(&w, "ann", 600);
    let players = w.control(ann);
    assert_eq!(
        text_of(&entries(&players)[1].1),
        "Lost connection to server for BANKB. It gets the lease when it is back."
    );
    w.run(ms(6000));
    assert_eq!(holder(&w, 1).as_deref(), Some("ann via control (tests)"));
    // Given back while it is away: when it is back, too.
    w.strike(1, Kindness::Lost);
    w.control(None);
    assert!(holder(&w, 1).is_some());
    w.run(ms(6000));
    assert_eq!(holder(&w, 1), None);
}

#[test]
fn reference_players_have_no_leases_and_stop_always_passes() {
    let mut w = world(&[Kind::Ours, Kind::Reference], LeaseRule::Required);
    let ann = held(&w, "ann", 600);
    let players = w.control(ann);
    assert_eq!(entries(&players).len(), 1, "{players}");
    assert!(w.asked.iter().all(|(p, c)| *p == 0 || c.interface != "rpc"));
    w.done(What::Start(Value::Null));
    w.control(None);
    let ticket = w.call_with(forward("stop", Class::Write), only(&["BANKA"], Policy::All));
    assert!(all_do_it(&w.answer(ticket, ms(100)).expect("stopped")));
}
