//! One player is killed, hung, or killed and started again, at every phase of an observation, and the observation is made in
//! four ways. Which phases, faults, victims and ways meet is in [`cells`]; what happens in one is in [`trial`].

mod cells;
mod entries;
mod trial;

use crate::driver::{Driver, Way};
use crate::site::{Instrument, Site, python};
use cells::{Cell, Fault, Phase, Victim, cells};
use std::collections::BTreeMap;
use trial::{Outcome, Trial};

/// Sites of each instrument that are tried side by side: most of a trial is waiting.
const LANES: [(Instrument, usize); 2] = [(Instrument::Hbw, 3), (Instrument::Codd, 4)];

/// The trials of one site, one after the other.
fn lane(instrument: Instrument, cells: &[Cell]) -> Vec<(Cell, Outcome)> {
    let mut site = Site::of(instrument);
    let mut drivers: BTreeMap<Way, Box<dyn Driver>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for cell in cells {
        let driver =
            drivers.entry(cell.way).or_insert_with(|| cell.way.open(&site).expect("it can be opened"));
        let outcome = Trial::new(&mut site, driver.as_mut(), *cell).run();
        println!("{cell}: {outcome}");
        outcomes.push((*cell, outcome));
    }
    outcomes
}

fn all_lanes(all: &[Cell]) -> Vec<(Cell, Outcome)> {
    std::thread::scope(|scope| {
        let mut lanes = Vec::new();
        for (instrument, count) in LANES {
            for n in 0..count {
                let of_instrument = all.iter().filter(|cell| cell.victim.instrument() == instrument);
                let mine: Vec<Cell> = of_instrument.skip(n).step_by(count).copied().collect();
                lanes.push(scope.spawn(move || lane(instrument, &mine)));
            }
        }
        lanes.into_iter().flat_map(|l| l.join().expect("why is above")).collect()
    })
}

/// How many trials there were of each kind.
fn tell(outcomes: &[(Cell, Outcome)]) {
    println!("{:16}{:>8}{:>8}{:>8}   HBW / slave / master", "phase", "kill", "hang", "restart");
    let count = |holds: &dyn Fn(&Cell) -> bool| outcomes.iter().filter(|(cell, _)| holds(cell)).count();
    for phase in Phase::ALL {
        let faults = Fault::ALL.map(|fault| count(&|c| c.phase == phase && c.fault == fault));
        let victims = Victim::ALL.map(|victim| count(&|c| c.phase == phase && c.victim == victim));
        let name = format!("{phase:?}");
        println!("{name:16}{:>8}{:>8}{:>8}   {victims:?}", faults[0], faults[1], faults[2]);
    }
    let ways =
        Way::ALL.map(|way| (way, Fault::ALL.map(|fault| count(&|c| c.way == way && c.fault == fault))));
    println!("kills, hangs and restarts seen through {ways:?}");
    let missed = outcomes.iter().filter(|(_, o)| o.late).count();
    let half = outcomes.iter().filter(|(_, o)| o.half_started).count();
    let again: usize = outcomes.iter().map(|(_, o)| o.again).sum();
    println!(
        "{} trials, {missed} struck later than meant, {again} set up again; half started: {half}",
        outcomes.len()
    );
}

#[test]
fn no_scan_is_half_started_whatever_happens_to_one_player_and_when() {
    let mut all = cells();
    if python().is_none() {
        for cell in &mut all {
            cell.way = match cell.way {
                Way::Module => Way::CommandLine,
                Way::Pyzmq => Way::Shell,
                other => other,
            };
        }
    }
    let outcomes = all_lanes(&all);
    tell(&outcomes);
    let half: Vec<String> =
        outcomes.iter().filter(|(_, o)| o.half_started).map(|(c, o)| format!("{c}: {o}")).collect();
    assert!(half.is_empty(), "{half:#?}");
    for phase in Phase::ALL {
        for fault in Fault::ALL {
            let met = outcomes.iter().any(|(c, o)| (c.phase, c.fault) == (phase, fault) && !o.late);
            assert!(met, "{fault:?} has not met {phase:?}");
        }
    }
}
