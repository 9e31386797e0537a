//! Every fault at every step of `set_mode` and `start`, in every mode family; and of what goes on beside them.
//!
//! A step is whatever the world sees: an order, or time that passes. First the procedure runs undisturbed and
//! its steps are counted - those at which something is seen to move - then it runs once for each step and fault.
//! The judge (`judge`) knows the rules, not the procedure.
//!
//! `set_mode` and `start` get all of [`faults::OF_THE_ISSUE`] at all steps in all families, the first family all
//! faults in all procedures. Of the rest, and of pairs of faults, a seeded part is run.

mod families;
mod faults;
mod judge;
mod procedures;

use appliance::player::bank::Input;
use appliance::player::methods::PlayerCall;
use appliance::value::Value;
use families::{FAMILIES, Family};
use faults::{ALL, Fault, OF_THE_ISSUE};
use judge::Judge;
use procedures::{PROCEDURES, Procedure};
use std::collections::BTreeMap;

/// Of the cases that are not run whole, one in so many is run.
const ONE_IN: u64 = 12;
/// Of those that are run whole, when the board is behind its server: a request is many steps there.
const OVER_KATCP_ONE_IN: u64 = 4;
/// Of all cases, one in so many is followed by a whole scan.
const SCAN_ONE_IN: u64 = 5;
/// Pairs of faults per family and procedure.
const PAIRS: u64 = 12;

/// Seeded, and the same wherever the case stands in the list.
fn dice(parts: [u64; 4]) -> u64 {
    parts.iter().fold(0x9E37_79B9_7F4A_7C15, |hash, part| {
        let mixed = (hash ^ part).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (mixed >> 32)
    })
}

/// A procedure of a family, struck at some steps.
#[derive(Clone)]
struct Case {
    family: &'static Family,
    procedure: &'static Procedure,
    strikes: Vec<(usize, Fault)>,
    /// A scan follows.
    scan_after: bool,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}: {:?}", self.family.name, self.procedure.name, self.strikes)
    }
}

/// Steps of the undisturbed procedure at which something moves.
fn steps_of(family: &'static Family, procedure: &Procedure) -> Vec<usize> {
    let mut world = (procedure.world)(family);
    let began = procedure.begin(&mut world, family);
    let (mut steps, mut points, mut seen) = (0, vec![0], None);
    while !procedure.is_over(&mut world, &began) {
        assert!(procedure.step(&mut world), "undisturbed, it hangs in {}", world.state());
        steps += 1;
        let now = (world.state(), world.log.len(), world.phase());
        if seen.as_ref() != Some(&now) {
            points.push(steps);
            seen = Some(now);
        }
    }
    if let Some(ticket) = began.ticket {
        world.answer(ticket).expect("undisturbed");
    }
    points
}

fn cases_of(family: &'static Family) -> Vec<Case> {
    let mut cases = Vec::new();
    let name = family.name.bytes().fold(7, |n, b| n * 31 % 1_000_003 + u64::from(b));
    for (p, procedure) in PROCEDURES.iter().enumerate().filter(|(_, p)| (p.suits)(family)) {
        let points = steps_of(family, procedure);
        let faults: Vec<(usize, Fault)> =
            ALL.iter().copied().enumerate().filter(|(_, fault)| fault.suits(family)).collect();
        for (at, (f, fault)) in points.iter().flat_map(|at| faults.iter().map(move |f| (*at, *f))) {
            let dice = dice([name, p as u64, at as u64, f as u64]);
            let every = if family.wire { OVER_KATCP_ONE_IN } else { 1 };
            let wanted =
                procedure.whole && OF_THE_ISSUE.contains(&fault) && (dice >> 16).is_multiple_of(every);
            if wanted || family.whole || dice.is_multiple_of(ONE_IN) {
                let scan_after = (dice >> 8).is_multiple_of(SCAN_ONE_IN);
                cases.push(Case { family, procedure, strikes: vec![(at, fault)], scan_after });
            }
        }
        for n in 0..PAIRS {
            let pick = |what: u64, of: usize| dice([name, p as u64, 1000 + n, what]) as usize % of;
            let mut at = [points[pick(0, points.len())], points[pick(1, points.len())]];
            at.sort_unstable();
            let two = [faults[pick(2, faults.len())].1, faults[pick(3, faults.len())].1];
            let strikes = vec![(at[0], two[0]), (at[1], two[1])];
            cases.push(Case { family, procedure, strikes, scan_after: n % SCAN_ONE_IN == 0 });
        }
    }
    cases
}

fn run(case: &Case) {
    let procedure = case.procedure;
    let mut world = (procedure.world)(case.family);
    let began = procedure.begin(&mut world, case.family);
    let mut judge = Judge::new(case.family);
    let mut steps = 0;
    for (at, fault) in &case.strikes {
        while steps < *at && !world.finished {
            // The first of two faults may have ended everything that would ever happen.
            if !procedure.step(&mut world) {
                break;
            }
            steps += 1;
        }
        if world.finished {
            break;
        }
        judge.note(*fault, &world);
        fault.strike(&mut world, began.ticket);
    }
    let limit = judge.limit(world.now);
    while !world.finished && !procedure.is_over(&mut world, &began) {
        assert!(world.now.mono < limit, "not over in time: {}", world.state());
        assert!(procedure.step(&mut world), "it hangs in {}", world.state());
    }
    judge.sentence(&mut world, case.scan_after);
}

/// Runs the cases of these families; how many there were of each fault, in words.
fn matrix(names: &[&str]) {
    let mut failed = Vec::new();
    let (mut all, mut pairs) = (0, 0);
    for family in FAMILIES.iter().filter(|f| names.contains(&f.name)) {
        let mut sizes: BTreeMap<Fault, usize> = BTreeMap::new();
        let cases = cases_of(family);
        for case in &cases {
            match case.strikes[..] {
                [(_, fault)] => *sizes.entry(fault).or_default() += 1,
                _ => pairs += 1,
            }
            if let Err(why) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(case))) {
                let why = why.downcast_ref::<String>().cloned();
                let why = why.unwrap_or_else(|| "see above".into());
                failed.push(format!("{case}: {}", why.chars().take(300).collect::<String>()));
            }
        }
        let sizes: Vec<String> = sizes.iter().map(|(fault, n)| format!("{fault:?} {n}")).collect();
        println!("{}: {} cases: {}", family.name, cases.len(), sizes.join(", "));
        all += cases.len();
    }
    println!("fault matrix: {all} cases, {pairs} of them with two faults");
    assert!(all > 100, "the matrix has shrunk to {all} cases");
    assert!(failed.is_empty(), "{} of {all}:\n{}", failed.len(), failed.join("\n"));
}

// One test a family or two, so that they run beside each other.

#[test]
fn every_fault_at_every_step_of_hbw() {
    matrix(&["HBW"]);
}

#[test]
fn every_fault_at_every_step_of_hbw_with_our_own_program_or_a_serial_synthesizer() {
    matrix(&["HBW, own DAQ program", "HBW, serial synthesizer"]);
}

#[test]
fn every_fault_at_every_step_of_lbw() {
    matrix(&["L1LBW", "L8LBW1", "L8LBW8"]);
}

#[test]
fn every_fault_at_every_step_of_inco() {
    matrix(&["INCO", "INCO, simulated DAQ program"]);
}

#[test]
fn faults_at_steps_over_katcp() {
    matrix(&["HBW over KATCP", "INCO over KATCP", "CODD master over KATCP"]);
}

#[test]
fn every_fault_at_every_step_of_codd() {
    matrix(&["CODD master", "CODD slave", "CODD slave with a board of its own"]);
}

/// The scans keep their seconds by the clock as it is then. The first may be missed, and says so; the second never is.
#[test]
fn scheduled_scans_outlive_a_clock_that_is_set_at_any_step() {
    let family = &FAMILIES[0];
    let procedure = PROCEDURES.iter().find(|p| p.name == "two scheduled scans").expect("in the table");
    let points = steps_of(family, procedure);
    let mut missed = 0;
    for (at, step) in points.iter().flat_map(|at| [(*at, 3.0), (*at, -3.0)]) {
        let mut world = (procedure.world)(family);
        let began = procedure.begin(&mut world, family);
        let mut steps = 0;
        while !procedure.is_over(&mut world, &began) {
            if steps == at {
                world.set_clock(step);
            }
            assert!(procedure.step(&mut world));
            steps += 1;
        }
        let Value::List(all) = world.ask_ok(PlayerCall::Scheduled) else { panic!("a list") };
        let shown = |n: usize, key: &str| all[n].get(key).map(Value::to_string).expect("a member");
        for n in [0, 1] {
            let (state, result) = (shown(n, "state"), shown(n, "result"));
            let said = result == "complete" || result.contains("the clock was set by");
            let complete = state == "ended" && said;
            let late = state == "failed"
                && ["was the clock set?", "arm time", "time of arming", "too late"]
                    .iter()
                    .any(|w| result.contains(w));
            assert!(complete || late, "set by {step} s at step {at}: scan {n} is {state}: {result}");
            missed += usize::from(late);
        }
    }
    assert!(missed < points.len() / 2, "{missed} scans missed in {} runs", 2 * points.len());
}

/// The board of another bank sends its data.
#[test]
fn the_scan_of_a_slave_does_not_end_with_the_link_to_its_own_board() {
    let family = FAMILIES.iter().find(|f| f.roach == families::Roach::Unreachable).expect("there is one");
    let mut world = family.ready();
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(10.0);
    assert_eq!(world.state(), "READY");
    let last = world.shown("last_scan");
    assert!(last.contains("complete") && !last.contains("ROACH"), "{last}");
}

/// Whoever is still waiting hears it from the process that goes, and hears what is true.
#[test]
fn every_open_call_is_answered_when_the_player_is_replaced() {
    let family = FAMILIES.iter().find(|f| f.folds).expect("there is one");
    let mut world = family.ready();
    world.par_file = None;
    let waiting = world.call(PlayerCall::Prepare);
    world.tell(Input::HandOver);
    let error = world.answer(waiting).expect_err("it was not prepared");
    assert_eq!(error.message, "the player is being restarted; ask again");

    for (input, outcome) in [(Input::HandOver, true), (Input::Shutdown, false)] {
        let mut world = family.ready();
        world.saving = false;
        let start = world.call(PlayerCall::Start(Value::Null));
        while world.state() != "SCANNING" {
            assert!(world.step());
        }
        assert!(world.is_open(start), "the state is on its way to the file");
        world.tell(input);
        assert_eq!(world.answer(start).is_ok(), outcome, "the scan goes on, or it does not");
    }
}

/// A site's programs take one command a second.
#[test]
fn a_stop_that_waits_for_its_turn_is_given_before_the_player_is_replaced() {
    let mut world = FAMILIES[0].ready();
    world.ask_ok(PlayerCall::Monitor);
    world.ask_ok(PlayerCall::Stop);
    world.tell(Input::HandOver);
    assert!(!world.finished && !world.ordered("DAQ program: stop"));
    world.run_for(2.0);
    assert!(world.finished);
    assert_eq!(world.status["DAQSTATE"], "stopped");
}
