//! Calls to many: entries, deadlines, policies, shared reads, turns, active sets, waits.

use super::world::{Fault, Kindness, Moment, World, bank, entries, forward, is_yes, ms, only, text_of};
use appliance::api::{CallError, Class};
use appliance::dealer::fanout::Policy;
use appliance::dealer::messages::Kind;
use appliance::dealer::methods::{Pick, What};
use appliance::dealer::rules::Rules;
use appliance::units::NANOS;
use appliance::value::Value;
use std::time::Duration;

fn set_param() -> What {
    forward("set_param", Class::Write)
}

#[test]
fn a_lost_player_has_an_entry_at_once_and_the_others_do_it() {
    let mut w = World::ours(3);
    w.strike(1, Kindness::Lost);
    let reply = w.done(set_param());
    let all = entries(&reply);
    assert_eq!(all.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["BANKA", "BANKB", "BANKC"]);
    assert_eq!(text_of(&all[1].1), "Lost connection to server for BANKB.");
    assert!(is_yes(&all[0].1) && is_yes(&all[2].1), "{reply}");
    // It comes back by itself.
    w.run(ms(5000));
    assert!(entries(&w.done(set_param())).iter().all(|(_, e)| is_yes(e)));
}

#[test]
fn a_hung_player_is_late_at_the_deadline_given() {
    let mut w = World::ours(3);
    w.strike(2, Kindness::Hung);
    let pick = Pick { deadline: Some(ms(700)), policy: Policy::BestEffort, ..Pick::default() };
    let began = w.now.mono;
    let ticket = w.call_with(set_param(), pick);
    let reply = w.answer(ticket, ms(5000)).expect("a result");
    assert!(w.now.mono.since(began) < ms(750));
    let all = entries(&reply);
    assert_eq!(text_of(&all[2].1), "No reply from BANKC within 0.7 s; the request may still be running");
    assert!(is_yes(&all[0].1));
}

#[test]
fn policies() {
    let refusing = |policy| {
        let mut w = World::ours(3);
        w.faults.push(Fault {
            player: 1,
            method: "prepare",
            moment: Moment::Asked,
            kind: Kindness::Refusing,
        });
        let ticket = w.call_with(forward("prepare", Class::Write), only(&[], policy));
        w.answer(ticket, ms(1000))
    };
    assert_eq!(text_of(&entries(&refusing(Policy::All).expect("reported"))[1].1), "Exception: it cannot");
    assert!(refusing(Policy::Quorum(2)).is_ok());
    for policy in [Policy::Strict, Policy::Quorum(3)] {
        let error = refusing(policy).expect_err("one failed");
        assert!(error.message.starts_with("1 of 3 players failed (BANKB: Exception: it cannot)"), "{error}");
    }
}

#[test]
fn nobody_sets_what_one_would_refuse_unless_best_effort() {
    for (policy, set) in [(Policy::All, 0), (Policy::BestEffort, 3)] {
        let mut w = World::ours(3);
        w.faults.push(Fault { player: 0, method: "would", moment: Moment::Asked, kind: Kindness::SayingNo });
        let ticket = w.call_with(set_param(), only(&[], policy));
        let reply = w.answer(ticket, ms(1000)).expect("a result");
        let counted: usize = w.players.iter().map(|p| p.counted("set_param")).sum();
        assert_eq!(counted, set, "{policy:?}: {reply}");
        if set == 0 {
            assert_eq!(text_of(&entries(&reply)[0].1), "it will not");
            assert_eq!(text_of(&entries(&reply)[1].1), "not done: BANKA would refuse it");
        }
    }
}

#[test]
fn the_same_read_of_several_clients_is_one_request_and_writes_make_it_old() {
    let mut w = World::ours(2);
    let tickets: Vec<u64> = (0..10).map(|_| w.call(What::GetMode)).collect();
    w.run(ms(50));
    for ticket in tickets {
        let reply = w.reply(ticket).expect("answered").clone().expect("a mode");
        assert_eq!(reply, Value::List(vec![Value::Bool(true), "HBW".into()]));
    }
    w.done(What::GetMode);
    assert_eq!(w.players[0].counted("get_mode"), 1, "less than 100 ms old");
    w.done(set_param());
    w.done(What::GetMode);
    assert_eq!(w.players[0].counted("get_mode"), 2, "a write makes it old");
    w.run(ms(200));
    w.done(What::GetMode);
    assert_eq!(w.players[0].counted("get_mode"), 3);
}

#[test]
fn writes_reach_players_in_the_order_of_arrival_and_never_interleave() {
    let mut w = World::ours(3);
    w.faults.push(Fault { player: 0, method: "prepare", moment: Moment::Asked, kind: Kindness::Slow });
    let first = w.call(forward("prepare", Class::Write));
    let second = w.call_with(forward("reset_roach", Class::Write), only(&["BANKB"], Policy::All));
    let third = w.call(forward("arm_roach", Class::Write));
    w.run(ms(1000));
    assert_eq!(w.players[1].counted("reset_roach"), 0, "BANKA still prepares, and this came later");
    for ticket in [first, second, third] {
        w.answer(ticket, ms(5000)).expect("done");
    }
    let order: Vec<&str> = w.players[1].took.iter().map(|c| c.method.as_str()).collect();
    assert_eq!(order, ["prepare", "reset_roach", "arm_roach"]);
}

#[test]
fn disjoint_writes_do_not_wait_for_each_other() {
    let mut w = World::ours(2);
    w.faults.push(Fault { player: 0, method: "prepare", moment: Moment::Asked, kind: Kindness::Slow });
    w.call_with(forward("prepare", Class::Write), only(&["BANKA"], Policy::All));
    let other = w.call_with(forward("prepare", Class::Write), only(&["BANKB"], Policy::All));
    w.answer(other, ms(50)).expect("done");
}

#[test]
fn a_call_is_taken_back_before_its_turn() {
    let mut w = World::ours(2);
    w.faults.push(Fault { player: 0, method: "prepare", moment: Moment::Asked, kind: Kindness::Slow });
    w.call(forward("prepare", Class::Write));
    let second = w.call(forward("reset_roach", Class::Write));
    w.cancel(second);
    let error = w.answer(second, ms(10)).expect_err("cancelled");
    assert_eq!(error.message, "cancelled before its turn had come");
    w.run(ms(5000));
    assert_eq!(w.players[0].counted("reset_roach"), 0);
}

#[test]
fn stop_does_not_wait_for_a_turn() {
    let mut w = World::ours(2);
    let start = w.call(What::Start(Value::Null));
    w.run(ms(200));
    let stopped = w.done(forward("stop", Class::Write));
    assert!(entries(&stopped).iter().all(|(_, e)| is_yes(e)), "{stopped}");
    let reply = w.answer(start, ms(1000)).expect("a result");
    assert!(entries(&reply).iter().all(|(_, e)| !is_yes(e)), "{reply}");
}

#[test]
fn a_reference_player_that_gave_no_answer_is_uncertain_until_it_says_what_it_does() {
    let mut w = World::new(&[Kind::Ours, Kind::Reference], Some("HBW"), Rules::default());
    w.faults.push(Fault { player: 1, method: "set_mode", moment: Moment::Taken, kind: Kindness::Slow });
    let pick = Pick { deadline: Some(ms(1000)), ..Pick::default() };
    let ticket = w.call_with(What::SetMode(vec!["LBW".into()]), pick);
    let reply = w.answer(ticket, ms(3000)).expect("a result");
    assert!(!is_yes(&entries(&reply)[1].1), "{reply}");
    let health = w.done(What::Health).to_string();
    assert!(health.contains("BANKB: what it does is uncertain"), "{health}");
    w.run(ms(4000));
    let health = w.done(What::Health).to_string();
    assert!(!health.contains("uncertain"), "{health}");
}

#[test]
fn a_player_that_comes_back_without_its_mode_needs_setup_and_hears_the_scan_number() {
    let mut w = World::ours(2);
    w.done(What::SetScanNumber(42));
    w.strike(0, Kindness::Restarted);
    w.run(ms(3000));
    let warnings = w.done(What::LastWarnings).to_string();
    assert!(warnings.contains("BANKA: it had HBW, now no mode is set: set_mode"), "{warnings}");
    let pushed: Vec<_> = w.players[0].took.iter().filter(|c| c.method == "set_scan_number").collect();
    assert_eq!(pushed.len(), 2, "set, and set again");
    assert_eq!(pushed[1].args, [Value::Int(42)]);
    w.done(What::SetMode(vec!["HBW".into()]));
    let shown = w.done(What::Snapshot).to_string();
    assert!(!shown.contains("needs_setup"), "{shown}");
}

#[test]
fn a_mode_that_was_just_set_is_missed_although_no_state_has_told_of_it() {
    let mut w = World::new(&[Kind::Ours, Kind::Ours], None, Rules::default());
    w.done(What::SetMode(vec!["HBW".into()]));
    w.strike(0, Kindness::Restarted);
    w.run(ms(3000));
    let warnings = w.done(What::LastWarnings).to_string();
    assert!(warnings.contains("BANKA: it had HBW, now no mode is set: set_mode"), "{warnings}");
}

#[test]
fn clients_choose_their_players_and_groups_are_names() {
    let mut w = World::ours(3);
    let gone = w.call_of(What::Remove(vec!["pair".into()]), Pick::default(), "ann");
    assert_eq!(
        w.answer(gone, ms(1)).expect("known").to_string(),
        Value::List(vec!["BANKC".into()]).to_string()
    );
    let hers = w.call_of(set_param(), Pick::default(), "ann");
    assert_eq!(entries(&w.answer(hers, ms(1000)).expect("done")).len(), 1);
    assert_eq!(entries(&w.done(set_param())).len(), 3, "others keep theirs");
    let pair = w.call_with(set_param(), only(&["pair"], Policy::All));
    assert_eq!(entries(&w.answer(pair, ms(1000)).expect("done")).len(), 2);
    let unknown = w.call_with(set_param(), only(&["BANKX"], Policy::All));
    assert!(w.answer(unknown, ms(1)).expect_err("unknown").message.contains("BANKX"));
}

#[test]
fn get_mode_of_players_that_differ_is_that_of_each() {
    let mut w = World::ours(2);
    let one = w.call_with(What::SetMode(vec!["LBW".into()]), only(&["BANKB"], Policy::All));
    w.answer(one, ms(5000)).expect("set");
    let Value::List(pair) = w.done(What::GetMode) else { panic!("a pair") };
    assert_eq!(pair[0], Value::Bool(false));
    assert_eq!(entries(&pair[1])[1], ("BANKB".to_owned(), "LBW".into()));
}

#[test]
fn wait_for_scan_ends_when_nobody_runs_when_time_is_over_or_when_it_is_taken_back() {
    let mut w = World::ours(2);
    assert!(is_yes(&w.done(What::WaitForScan { timeout: None, poll: ms(500) })), "nobody runs");
    w.done(What::Start(Value::Null));
    let over = w.call(What::WaitForScan { timeout: Some(ms(3000)), poll: ms(500) });
    let reply = w.answer(over, ms(3100)).expect("a result");
    assert!(!is_yes(&reply), "time is over: {reply}");
    let held = w.call(What::WaitForScan { timeout: None, poll: ms(500) });
    let withdrawn = w.call(What::WaitForScan { timeout: None, poll: ms(500) });
    w.run(ms(1000));
    w.cancel(withdrawn);
    w.answer(withdrawn, ms(1)).expect_err("cancelled");
    let first = w.call_with(forward("stop", Class::Write), only(&["BANKA"], Policy::All));
    w.answer(first, ms(1000)).expect("stopped");
    w.run(ms(2000));
    assert!(w.reply(held).is_none(), "BANKB still runs");
    w.done(forward("stop", Class::Write));
    assert!(is_yes(&w.answer(held, ms(1000)).expect("a result")));
}

#[test]
fn the_latest_earliest_start_counts() {
    let mut w = World::ours(2);
    w.players[1].clock_ns = 10 * NANOS;
    let reply = w.done(What::EarliestStart);
    let Value::List(pair) = &reply else { panic!("{reply}") };
    let at = appliance::dealer::start::utc_of(&pair[1]).expect("a time");
    assert!(at > w.now.utc + Duration::from_secs(14), "{at}");
}

#[test]
fn who_could_not_say_is_told_of_where_one_answer_speaks_for_all() {
    for what in [What::EarliestStart, What::ListModes { detail: false }, What::ListModes { detail: true }] {
        let mut w = World::ours(2);
        w.strike(1, Kindness::Lost);
        w.done(what.clone());
        let said = w.done(What::LastWarnings).to_string();
        assert!(
            said.contains("could not say: BANKB: Lost connection to server for BANKB."),
            "{what:?}: {said}"
        );
        let ticket = w.call_with(what, only(&[], Policy::Strict));
        w.answer(ticket, ms(1000)).expect_err("strict");
    }
}

#[test]
fn once_a_scan_number_was_set_the_proxy_counts() {
    let mut w = World::ours(2);
    assert_eq!(w.done(What::Snapshot).get("scan_number"), Some(&Value::Int(1)), "what all players say");
    w.players[1].scan_number = Value::Int(2);
    w.run(ms(1100));
    assert_eq!(w.done(What::Snapshot).get("scan_number"), Some(&Value::Null), "they do not agree");
    w.done(forward("increment_scan_number", Class::Write));
    assert_eq!(w.players[1].counted("increment_scan_number"), 1, "they count for themselves");
    w.done(What::SetScanNumber(41));
    w.strike(0, Kindness::Lost);
    w.done(forward("increment_scan_number", Class::Write));
    w.run(ms(6000));
    for player in &w.players {
        let last = player.took.iter().rfind(|c| c.method == "set_scan_number").expect("told");
        assert_eq!(last.args, [Value::Int(42)], "also one that was away");
    }
    assert_eq!(w.done(What::Snapshot).get("scan_number"), Some(&Value::Int(42)));
}

#[test]
fn what_was_set_here_is_set_again_at_one_that_comes_back_without_if_the_site_wants_it() {
    for (reapply, shared) in [(true, false), (false, false), (true, true)] {
        let masters = shared.then(|| ("LBW".to_owned(), appliance::dealer::messages::Index(0)));
        let rules = Rules { reapply, masters: masters.into_iter().collect(), ..Rules::default() };
        let mut w = World::new(&[Kind::Ours; 2], Some("HBW"), rules);
        w.done(What::SetMode(vec!["LBW".into()]));
        for (name, value) in [("scan_length", 30.0), ("exposure", 1.0), ("scan_length", 60.0)] {
            let mut call = bank("set_param", vec![]);
            call.kwargs.push((name.into(), Value::Float(value)));
            w.done(What::Forward { call, class: Class::Write });
        }
        w.strike(1, Kindness::Restarted);
        w.run(ms(6000));
        let player = &w.players[1];
        let wanted = reapply && !shared;
        assert_eq!(player.mode.as_deref(), wanted.then_some("LBW"));
        let set: Vec<_> = player.took.iter().filter(|c| c.method == "set_param").skip(3).collect();
        let names: Vec<&str> = set.iter().map(|c| c.kwargs[0].0.as_str()).collect();
        assert_eq!(names, if wanted { vec!["exposure", "scan_length"] } else { vec![] });
        if wanted {
            assert_eq!(set[1].kwargs[0].1, Value::Float(60.0), "what was set last");
        }
        let said = w.done(What::LastWarnings).to_string();
        assert_eq!(said.contains("BANKB: LBW was set again, with its parameters"), wanted, "{said}");
    }
}

#[test]
fn nothing_is_set_again_at_one_that_somebody_has_set_up_meanwhile() {
    let mut w = World::new(&[Kind::Ours; 2], Some("HBW"), Rules { reapply: true, ..Rules::default() });
    w.done(What::SetMode(vec!["LBW".into()]));
    // A write to BANKB goes on while it comes back: setting it up waits for its turn.
    w.faults.push(Fault { player: 0, method: "prepare", moment: Moment::Asked, kind: Kindness::Hung });
    w.call(forward("prepare", Class::Write));
    w.strike(1, Kindness::Restarted);
    w.run(ms(2100));
    (w.players[1].mode, w.players[1].doing) = (Some("OTHER".into()), super::player::Doing::Ready);
    w.run(ms(10_000));
    assert_eq!(w.players[1].mode.as_deref(), Some("OTHER"));
}

#[test]
fn a_start_passed_through_far_ahead_waits_for_it() {
    use appliance::api::Ticket;
    use appliance::dealer::messages::Input;
    use appliance::dealer::methods::DealerCall;
    let mut w = World::ours(2);
    let at = appliance::units::Utc::from_seconds(w.now.utc.seconds() + 3 * 86_400);
    let call = bank("start", vec![appliance::dealer::start::seven(at)]);
    let call = DealerCall::Pass { player: Some("BANKB".into()), call, class: Class::Job };
    w.dealer.handle(Input::Call { ticket: Ticket(900), call, who: String::new() }, w.now);
    w.run_to(at);
    assert!(is_yes(w.reply(900).expect("armed").as_ref().expect("a result")));
}

#[test]
fn a_write_whose_turn_comes_too_late_is_answered_and_not_carried_out() {
    let mut w = World::ours(2);
    w.faults.push(Fault { player: 0, method: "prepare", moment: Moment::Asked, kind: Kindness::Slow });
    w.call(forward("prepare", Class::Write));
    let second = w.call(set_param());
    let third = w.call(forward("reset_roach", Class::Write));
    w.refused.insert(second, CallError::exception("control is with ben"));
    let error = w.answer(second, ms(5000)).expect_err("refused");
    assert_eq!(error.message, "control is with ben");
    w.answer(third, ms(1000)).expect("its turn has come");
    assert_eq!((w.players[0].counted("set_param"), w.players[0].counted("reset_roach")), (0, 1));
}

#[test]
fn what_is_read_after_a_write_is_from_after_it() {
    let mut w = World::ours(2);
    // A read that is on its way when the write comes, and one while the write is.
    w.faults.push(Fault { player: 0, method: "get_mode", moment: Moment::Asked, kind: Kindness::Slow });
    let before = w.call(What::GetMode);
    w.run(ms(1));
    let write = w.call(forward("reset_roach", Class::Write));
    w.run(ms(1));
    let meanwhile = w.call(What::GetMode);
    w.answer(write, ms(100)).expect("done");
    let asked = w.players[0].counted("get_mode");
    let after = w.call(What::GetMode);
    w.answer(after, ms(100)).expect("a mode");
    assert!(w.players[0].counted("get_mode") > asked, "neither joined to one from before, nor out of memory");
    for ticket in [before, meanwhile] {
        w.answer(ticket, ms(5000)).expect("a mode");
    }
}

#[test]
fn who_could_not_say_when_it_can_start_is_in_the_warnings() {
    let mut w = World::ours(2);
    w.strike(1, Kindness::Lost);
    assert!(is_yes(&w.done(What::EarliestStart)));
    let warnings = w.done(What::LastWarnings).to_string();
    assert!(warnings.contains("could not say: BANKB: Lost connection"), "{warnings}");
}

#[test]
fn the_scan_number_of_all_is_what_all_were_told() {
    let mut w = World::ours(2);
    let number = |w: &mut World| w.done(What::Snapshot).get("scan_number").cloned();
    let set = |w: &mut World, n| w.done(What::SetScanNumber(n));
    w.call_with(What::SetScanNumber(7), only(&["BANKA"], Policy::All));
    w.run(ms(100));
    assert_eq!(number(&mut w), Some(Value::Null), "of one player only");
    set(&mut w, i64::MAX);
    w.done(forward("increment_scan_number", Class::Write));
    assert_eq!(number(&mut w), Some(Value::Int(i64::MAX)), "it stays where it is, as the players' does");
}

#[test]
fn without_active_players_every_call_to_them_says_so() {
    let mut w = World::ours(2);
    w.done(What::Remove(vec!["BANKA".into(), "BANKB".into()]));
    let timeout = None;
    let wait = What::WaitForScan { timeout, poll: ms(100) };
    for what in [What::GetMode, What::EarliestStart, wait, set_param(), What::SetMode(vec!["HBW".into()])] {
        let ticket = w.call(what);
        let error = w.answer(ticket, ms(10)).expect_err("nobody");
        assert_eq!(error.message, "no player is active: add_active_player");
    }
}

#[test]
fn a_start_that_is_under_way_is_not_the_end_of_a_scan() {
    let mut w = World::ours(2);
    let start = w.call(What::Start(Value::Null));
    w.run(ms(1500));
    let wait = w.call(What::WaitForScan { timeout: None, poll: ms(100) });
    w.run(ms(500));
    assert!(w.reply(start).is_none() && w.reply(wait).is_none());
    w.answer(start, ms(20_000)).expect("started");
    w.run(ms(3000));
    w.done(forward("stop", Class::Write));
    assert!(is_yes(&w.answer(wait, ms(2000)).expect("over")));
}

#[test]
fn a_player_that_is_away_for_a_moment_does_not_end_the_wait() {
    let mut w = World::ours(2);
    w.strike(1, Kindness::Lost);
    let wait = w.call(What::WaitForScan { timeout: None, poll: ms(500) });
    w.run(ms(3000));
    assert!(w.reply(wait).is_none());
    assert!(is_yes(&w.answer(wait, ms(8000)).expect("it is back")));
}
