//! Every fault at every step of a start and of a mode change, alone and in twos; an independent judge.
//!
//! The judge knows nothing of the dealer's inside: one answer a call, one entry for each player, in time, nothing left
//! that keeps the next call waiting, and a scan runs everywhere or nowhere.

use super::modes::codd;
use super::player::{Doing, Player};
use super::world::{Fault, Kindness, Moment, TRAVEL, World, entries, forward, is_yes, ms, name, only};
use appliance::api::{Class, Outcome};
use appliance::dealer::fanout::Policy;
use appliance::dealer::messages::Kind;
use appliance::dealer::methods::What;
use appliance::dealer::rules::Rules;
use appliance::value::Value;
use std::time::Duration;

const KINDS: [Kindness; 8] = [
    Kindness::Lost,
    Kindness::Hung,
    Kindness::Refusing,
    Kindness::SayingNo,
    Kindness::Slow,
    Kindness::Late,
    Kindness::Restarted,
    Kindness::ClockOff,
];
const MOMENTS: [Moment; 3] = [Moment::Asked, Moment::Taken, Moment::Replied];
/// By then everything that went away has come back.
const HEALED: Duration = Duration::from_secs(40);

/// How exactly half a scan is measured.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Who has not armed 1 s after the second keeps the others from going on; they have to hear of it.
const HALF_MAX: Duration = Duration::from_millis(1250);

/// A set of players and the mode they are in.
struct Family {
    title: &'static str,
    kinds: &'static [Kind],
    mode: &'static str,
}

const OURS: Kind = Kind::Ours;
const THEIRS: Kind = Kind::Reference;
const FAMILIES: [Family; 4] = [
    Family { title: "three of ours", kinds: &[OURS; 3], mode: "HBW" },
    Family { title: "four with one master", kinds: &[OURS; 4], mode: "CODD" },
    Family { title: "two of ours and one of the reference", kinds: &[OURS, OURS, THEIRS], mode: "HBW" },
    Family { title: "two of the reference", kinds: &[THEIRS; 2], mode: "HBW" },
];

impl Family {
    fn world(&self, mode: &str) -> World {
        let rules = if self.mode == "CODD" { codd() } else { Rules::default() };
        World::new(self.kinds, Some(mode), rules)
    }

    fn single(&self, methods: &[&'static str]) -> Vec<Vec<Fault>> {
        let mut all = Vec::new();
        for player in 0..self.kinds.len() {
            for &method in methods {
                for moment in MOMENTS {
                    for kind in KINDS {
                        all.push(vec![Fault { player, method, moment, kind }]);
                    }
                }
            }
        }
        all
    }

    /// Two faults at once, drawn from all.
    fn twos(&self, methods: &[&'static str], count: usize, seed: &mut u64) -> Vec<Vec<Fault>> {
        let all = self.single(methods).concat();
        let mut draw = || all[(next(seed) % all.len() as u64) as usize];
        (0..count).map(|_| vec![draw(), draw()]).collect()
    }
}

/// A generator that is the same everywhere (splitmix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Default)]
struct Count {
    runs: usize,
    all: usize,
    none: usize,
    /// Longest time some took data and others did not.
    half: Duration,
}

/// What a call came to: an entry for every player, or one refusal for all.
fn verdicts(w: &World, outcome: &Outcome, story: &str) -> Vec<bool> {
    let value = outcome.as_ref().unwrap_or_else(|e| panic!("{story}: {e}"));
    if let Value::List(_) = value {
        assert!(!is_yes(value), "{story}: {value}");
        return vec![false; w.players.len()];
    }
    let all = entries(value);
    let names: Vec<&str> = all.iter().map(|(n, _)| n.as_str()).collect();
    let wanted: Vec<String> = (0..w.players.len()).map(name).collect();
    assert_eq!(names, wanted, "{story}: {value}");
    all.iter().map(|(_, e)| is_yes(e)).collect()
}

/// Nothing is left that waits, and the next write of everybody gets through.
fn at_rest(w: &mut World, story: &str) {
    assert_eq!(w.dealer.deadline(), None, "{story}: something is left open");
    w.faults.clear();
    let ticket = w.call_with(forward("prepare", Class::Write), only(&[], Policy::BestEffort));
    let reply = w.answer(ticket, ms(1000)).unwrap_or_else(|e| panic!("{story}: {e}"));
    assert!(entries(&reply).iter().all(|(_, e)| is_yes(e)), "{story}: afterwards {reply}");
    for ticket in w.replies.keys() {
        w.reply(*ticket);
    }
}

/// For how long players that can be reached scan while another one does not, until the call is answered.
fn half_scanning(w: &mut World, ticket: u64) -> Duration {
    let mut half = Duration::ZERO;
    let end = w.now.mono + Duration::from_secs(75);
    while w.reply(ticket).is_none() && w.now.mono < end {
        w.run(LOOK_EVERY);
        let Some(second) = w.second.filter(|second| w.now.utc >= *second) else { continue };
        let scans = |p: &Player| matches!(p.doing, Doing::Scanning(at) if at == second);
        let alone = w.players.iter().any(|p| p.up && !p.hung && !p.busy && scans(p));
        if alone && !w.players.iter().all(scans) {
            half += LOOK_EVERY;
        }
    }
    half
}

fn judge_start(family: &Family, faults: Vec<Fault>, count: &mut Count) {
    let story = format!("{}: {faults:?}", family.title);
    let mut w = family.world(family.mode);
    // One that refuses to stop is asked again, later.
    let stubborn = |p: usize, faults: &[Fault]| {
        let no = |f: &Fault| matches!(f.kind, Kindness::Refusing | Kindness::SayingNo | Kindness::Slow);
        faults.iter().any(|f| f.player == p && f.method == "stop" && no(f))
    };
    let stubborn: Vec<bool> = (0..w.players.len()).map(|p| stubborn(p, &faults)).collect();
    w.faults = faults;
    let ticket = w.call(What::Start(Value::Null));
    let half = half_scanning(&mut w, ticket);
    // Query 2 s, the earliest second 6 s ahead, 30 s of patience, stopping 30 s.
    let outcome = w.answer(ticket, Duration::from_secs(75));
    let verdicts = verdicts(&w, &outcome, &story);
    let all = verdicts.iter().all(|v| *v);
    assert!(all || verdicts.iter().all(|v| !*v), "{story}: half of a start is reported: {outcome:?}");
    if !all && !stubborn.contains(&true) {
        assert!(half <= HALF_MAX, "{story}: some scan for {half:?} while others do not");
        count.half = count.half.max(half);
    }
    if let Some(second) = w.second {
        // One that was lost for 4 s may come back at this very moment: it has to hear of the stop.
        w.run_to(second + Duration::from_secs(5) + TRAVEL * 20);
        for (p, player) in w.players.iter().enumerate() {
            let scans = matches!(player.doing, Doing::Scanning(at) if at == second);
            match all {
                true => assert!(scans || player.life > 0, "{story}: {} does not scan", name(p)),
                false => {
                    assert!(!player.runs() || !player.up || stubborn[p], "{story}: {} runs alone", name(p))
                }
            }
        }
    }
    w.run(HEALED);
    for (p, player) in w.players.iter().enumerate().filter(|_| !all) {
        assert!(!player.runs(), "{story}: {} still runs", name(p));
    }
    at_rest(&mut w, &story);
    count.runs += 1;
    *(if all { &mut count.all } else { &mut count.none }) += 1;
}

fn judge_mode(family: &Family, faults: Vec<Fault>, count: &mut Count) {
    let story = format!("{}: {faults:?}", family.title);
    let mut w = family.world("OLD");
    w.faults = faults;
    let ticket = w.call(What::SetMode(vec![family.mode.into()]));
    // Would 2 s, silencing 15 s, the master and the others 120 s each.
    let outcome = w.answer(ticket, Duration::from_secs(260));
    let verdicts = verdicts(&w, &outcome, &story);
    for (p, yes) in verdicts.iter().enumerate() {
        let player = &w.players[p];
        let has = player.mode.as_deref() == Some(family.mode);
        assert!(!yes || has || player.life > 0, "{story}: {} says it has the mode", name(p));
    }
    if family.mode == "CODD" && !verdicts[0] {
        for player in &w.players[1..] {
            assert_eq!(player.counted("set_mode"), 0, "{story}: without its master");
        }
    }
    w.run(HEALED);
    at_rest(&mut w, &story);
    count.runs += 1;
    let all = verdicts.iter().all(|v| *v);
    *(if all { &mut count.all } else { &mut count.none }) += 1;
}

#[test]
fn a_start_is_everywhere_or_nowhere() {
    let mut seed = 4;
    let mut count = Count::default();
    for family in &FAMILIES {
        for faults in family.single(&["earliest_start", "start"]) {
            judge_start(family, faults, &mut count);
        }
        for faults in family.twos(&["earliest_start", "start", "stop"], 1500, &mut seed) {
            judge_start(family, faults, &mut count);
        }
    }
    println!("starts: {} runs, {} started, {} did not", count.runs, count.all, count.none);
    println!("some took data while others did not for at most {:?}", count.half);
    assert!(
        count.half >= Duration::from_secs(1),
        "one that is late is waited for until 1 s after the second"
    );
    assert!(count.all > 100 && count.none > 1000, "the faults do what they should");
}

#[test]
fn a_mode_change_answers_for_everybody_and_leaves_nothing_open() {
    let mut seed = 5;
    let mut count = Count::default();
    for family in &FAMILIES {
        for faults in family.single(&["would", "progdev", "set_mode"]) {
            judge_mode(family, faults, &mut count);
        }
        for faults in family.twos(&["would", "progdev", "set_mode"], 1000, &mut seed) {
            judge_mode(family, faults, &mut count);
        }
    }
    println!("mode changes: {} runs, {} whole, {} not", count.runs, count.all, count.none);
    assert!(count.all > 100 && count.none > 100, "the faults do what they should");
}
