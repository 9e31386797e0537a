//! The proxy is killed, or the clock is set, while a start is on its way.

use super::player::Doing;
use super::world::{Fault, Kindness, Moment, World, entries, is_yes, ms, only, text_of};
use appliance::config::settings::LeaseRule;
use appliance::dealer::fanout::Policy;
use appliance::dealer::lease::Held;
use appliance::dealer::messages::Kind;
use appliance::dealer::methods::What;
use appliance::dealer::rules::Rules;
use appliance::dealer::start::seven;
use appliance::node::leases::Leases;
use appliance::units::Utc;
use appliance::value::Value;
use std::time::Duration;

fn ahead(w: &World, seconds: i64) -> Utc {
    Utc::from_seconds(w.now.utc.seconds() + seconds)
}

fn warnings(w: &mut World) -> String {
    w.done(What::LastWarnings).to_string()
}

#[test]
fn what_was_taken_back_is_stopped_by_the_next_proxy_and_what_is_anothers_is_not() {
    for anothers in [false, true] {
        let mut w = World::ours(2);
        let at = ahead(&w, 60);
        w.faults.push(Fault { player: 1, method: "start", moment: Moment::Asked, kind: Kindness::Hung });
        let ticket = w.call(What::Start(seven(at)));
        w.answer(ticket, ms(5000)).expect("a result");
        w.kill_proxy();
        if anothers {
            w.players[1].doing = Doing::Starting(at + ms(5000));
        }
        w.run(ms(10_000));
        match anothers {
            false => assert!(!w.players[1].runs(), "it had the order in its hands"),
            true => assert_eq!(w.players[1].doing, Doing::Starting(at + ms(5000))),
        }
        w.run_to(at + ms(8000));
        if anothers {
            w.players[1].doing = Doing::Ready;
            w.run(ms(2000));
        }
        assert!(w.saved.starts.is_empty(), "seen idle after the second: {:?}", w.saved);
    }
}

#[test]
fn a_start_that_all_players_have_goes_on_without_the_proxy_and_one_that_some_have_does_not() {
    for (kind, goes_on) in [(None, true), (Some(Kindness::Lost), false)] {
        let mut w = World::ours(3);
        let at = ahead(&w, 30);
        if let Some(kind) = kind {
            // The order to BANKC is lost with its connection in the moment in which the proxy is killed.
            w.faults.push(Fault { player: 2, method: "start", moment: Moment::Asked, kind });
        }
        w.call(What::Start(seven(at)));
        while w.players[1].counted("start") == 0 {
            w.run(ms(1));
        }
        w.kill_proxy();
        w.run_to(at + ms(2000));
        let scans = w.players.iter().filter(|p| p.doing == Doing::Scanning(at)).count();
        assert_eq!(scans, if goes_on { 3 } else { 0 });
        assert_eq!(warnings(&mut w).contains("all players have it: it goes on"), goes_on);
        w.run(ms(5000));
        assert!(w.saved.starts.is_empty(), "{:?}", w.saved);
    }
}

#[test]
fn the_proxy_killed_at_every_moment_of_a_start_leaves_it_everywhere_or_nowhere() {
    // Over the whole start, and through a roll-back.
    for refused in [false, true] {
        for after in (0..7000).step_by(50).chain(0..40) {
            let mut w = World::ours(3);
            if refused {
                let kind = Kindness::Slow;
                w.faults.push(Fault { player: 1, method: "start", moment: Moment::Asked, kind });
                w.faults.push(Fault {
                    player: 1,
                    method: "start",
                    moment: Moment::Taken,
                    kind: Kindness::Hung,
                });
            }
            w.call(What::Start(Value::Null));
            w.run(ms(after));
            w.kill_proxy();
            w.run(ms(20_000));
            let scans = w.players.iter().filter(|p| p.runs()).count();
            assert!(matches!(scans, 0 | 3), "killed after {after} ms, refused {refused}: {scans} of 3 scan");
        }
    }
}

#[test]
fn a_reference_player_that_does_not_say_what_it_runs_is_not_stopped_by_the_next_proxy() {
    let mut w = World::new(&[Kind::Ours, Kind::Reference], Some("HBW"), Rules::default());
    let at = ahead(&w, 60);
    w.faults.push(Fault { player: 1, method: "start", moment: Moment::Asked, kind: Kindness::Lost });
    let ticket = w.call(What::Start(seven(at)));
    w.answer(ticket, ms(5000)).expect("a result");
    w.kill_proxy();
    w.players[1].doing = Doing::Scanning(at - ms(30_000));
    w.run(ms(10_000));
    assert!(w.players[1].runs(), "it may be another's");
    let said = warnings(&mut w);
    assert_eq!(said.matches("BANKB runs a scan and does not say which").count(), 1, "{said}");
}

#[test]
fn the_scan_number_and_the_leases_outlive_the_proxy() {
    let mut w = World::ours(2);
    w.players.iter_mut().for_each(|p| p.leases = Leases::new(LeaseRule::Binding));
    let until = w.now.mono + Duration::from_secs(3600);
    let held = Held { token: "t".into(), who: "ann".into(), purpose: String::new(), until };
    w.control(Some(held));
    w.done(What::SetScanNumber(42));
    w.run(ms(100));
    w.kill_proxy();
    w.run(ms(1000));
    assert_eq!(w.done(What::Snapshot).get("scan_number"), Some(&Value::Int(42)));
    for player in &w.players {
        assert!(player.leases.holder(w.now).is_none(), "nobody holds the lease of a proxy that is gone");
        assert_eq!(player.counted("set_scan_number"), 2, "set, and pushed to a player that comes back");
    }
}

#[test]
fn a_start_waits_for_its_second_on_a_clock_that_is_set() {
    for by in [-60i64, -5, 5, 30] {
        let mut w = World::ours(2);
        let at = ahead(&w, 40);
        let ticket = w.call(What::Start(seven(at)));
        w.run(ms(1000));
        w.set_clock(by * 1_000_000_000, true);
        let reply = w.answer(ticket, Duration::from_secs(120)).expect("a result");
        assert!(entries(&reply).iter().all(|(_, e)| is_yes(e)), "{by} s: {reply}");
        assert!(w.now.utc >= at - ms(1000) && w.now.utc < at, "{by} s: {}", w.now.utc);
    }
}

#[test]
fn who_has_not_accepted_in_time_by_the_clock_that_was_set_keeps_all_from_it() {
    let mut w = World::ours(2);
    let at = ahead(&w, 20);
    w.faults.push(Fault { player: 1, method: "start", moment: Moment::Asked, kind: Kindness::Slow });
    let ticket = w.call(What::Start(seven(at)));
    w.run(ms(200));
    // 1.7 s are left, and BANKB has heard nothing.
    let left = at.nanos_since(w.now.utc);
    w.set_clock(left - 1_700_000_000, true);
    w.run(ms(150));
    assert_eq!(w.players[0].counted("stop"), 0);
    w.run(ms(100));
    assert_eq!(w.players[0].counted("stop"), 1, "1.5 s before the second");
    let reply = w.answer(ticket, ms(5000)).expect("a result");
    assert_eq!(
        text_of(&entries(&reply)[0].1),
        "not started: BANKB had not accepted 1.5 s before the second; stopped"
    );
}

#[test]
fn players_are_looked_at_2_s_after_the_second_by_the_clock_that_was_set() {
    for by in [-20_000i64, -1000, 1000] {
        let mut w = World::ours(2);
        w.done(What::Start(Value::Null));
        let second = w.second.expect("sent");
        w.set_clock(by * 1_000_000, true);
        w.players[1].doing = Doing::Ready;
        w.run_to(second + ms(1900));
        assert!(!warnings(&mut w).contains("after the start"), "{by} ms: too early");
        w.run_to(second + ms(2100));
        let said = warnings(&mut w);
        assert!(said.contains("BANKB 2 s after the start: no scan, READY"), "{by} ms: {said}");
    }
}

#[test]
fn clocks_of_players_are_measured_anew_before_they_are_believed() {
    // The proxy was 0.6 s behind its player, and is set right.
    let alone = |w: &mut World| {
        let ticket = w.call_with(What::Start(Value::Null), only(&["BANKA"], Policy::All));
        w.run(ms(1));
        ticket
    };
    let mut w = World::ours(2);
    w.strike(0, Kindness::ClockOff);
    let ticket = alone(&mut w);
    let reply = w.answer(ticket, ms(5000)).expect("a result");
    assert!(text_of(&entries(&reply)[0].1).contains("+600.0 ms from ours"), "{reply}");
    w.set_clock(600_000_000, false);
    let ticket = alone(&mut w);
    let reply = w.answer(ticket, ms(20_000)).expect("a result");
    assert!(entries(&reply).iter().all(|(_, e)| is_yes(e)), "{reply}");

    // And the other way round: it is set wrong while the player is asked when it could start.
    let mut w = World::ours(2);
    let ticket = alone(&mut w);
    w.set_clock(600_000_000, false);
    let reply = w.answer(ticket, ms(5000)).expect("a result");
    assert!(text_of(&entries(&reply)[0].1).contains("-600.0 ms"), "{reply}");
    assert!(w.second.is_none());
}
