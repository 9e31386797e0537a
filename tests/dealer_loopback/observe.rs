//! One observation, written down once and made in four ways: what is called, and what must be answered.

use crate::driver::{Call, Heard, Way};
use crate::processes::{PATIENCE, wait_for};
use crate::site::{Instrument, Site};
use crate::want::{STARVED_MAX, Want, is_starved, last_scans};
use appliance::daq::sdfits::read::Recording;
use appliance::value::Value;
use std::collections::BTreeMap;
use std::path::Path;

struct Step {
    call: Call,
    want: Want,
}

fn step(call: Call, want: Want) -> Step {
    Step { call, want }
}

/// Two scans: one to its end, one that is stopped.
fn observation(instrument: Instrument) -> Vec<Step> {
    let (banks, mode) = (instrument.banks(), instrument.mode());
    let last = banks[banks.len() - 1];
    let call = Call::new;
    let names = |names: &[&'static str]| Want::Names(names.to_vec());
    let length = |seconds: f64| call("set_param").with("scan_length", Value::Float(seconds));
    let prepare = || step(call("prepare"), Want::Each(Value::Null));
    let start = || step(call("start"), Want::Done("Successfully started roach for starttime="));
    vec![
        step(call("list_available_players"), names(banks)),
        step(call("remove_active_player").arg(last), names(&banks[..banks.len() - 1])),
        step(call("add_active_player").arg("BANKX"), Want::Error("ValueError")),
        step(call("add_active_player").arg(last), names(banks)),
        step(call("list_active_players"), names(banks)),
        step(call("set_mode").arg("NO_SUCH_MODE"), Want::Refused("Mode NO_SUCH_MODE is not supported")),
        step(call("set_mode").arg(mode).arg(false).arg(true), Want::Done("New mode")),
        step(call("get_mode"), Want::Agreed(mode)),
        step(length(2.0), Want::Each(Value::Bool(true))),
        step(call("set_param").with("observer", "Jansky".into()), Want::Each(Value::Bool(true))),
        step(call("get_param").arg("observer"), Want::Each("Jansky".into())),
        step(
            call("set_param").with("nonsense", Value::Int(1)),
            Want::Refused("Exception: No such parameter 'nonsense'"),
        ),
        prepare(),
        step(call("scan_status"), Want::Scan { running: false }),
        step(call("earliest_start"), Want::Time),
        start(),
        step(call("start"), Want::Refused("Scan already started.")),
        step(call("scan_status"), Want::Scan { running: true }),
        step(call("wait_for_scan").with("timeout_s", Value::Float(60.0)), Want::Over),
        step(length(60.0), Want::Each(Value::Bool(true))),
        prepare(),
        start(),
        step(call("stop"), Want::Done("")),
        step(call("wait_for_scan").with("timeout_s", Value::Float(60.0)), Want::Over),
        step(call("scan_status"), Want::Scan { running: false }),
    ]
}

/// The answer without what is another one each time: times, and how far the programs are.
fn fingerprint(heard: &Heard) -> String {
    let Ok(value) = heard else { return format!("{:?}", heard.as_ref().map_err(|c| &c.class)) };
    let mut text = value.to_string().replace(|c: char| c.is_ascii_digit(), "#");
    while text.contains("##") {
        text = text.replace("##", "#");
    }
    let mut out = String::new();
    for part in text.split_inclusive("STAT=") {
        let rest = match out.ends_with("STAT=") {
            true => part.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-'),
            false => part,
        };
        out.push_str(rest);
    }
    out
}

/// The whole observation; every answer.
fn observe(way: Way, site: &Site, instrument: Instrument) -> Option<Vec<Heard>> {
    let mut driver = way.open(site)?;
    let mut heard = Vec::new();
    for (number, step) in observation(instrument).iter().enumerate() {
        let mut answer = driver.call(&step.call);
        for _ in 0..STARVED_MAX {
            // Refused by all for want of time, on a machine that has none: that is right, and it is asked again.
            if !matches!(step.want, Want::Done(_)) || !is_starved(&answer) {
                break;
            }
            println!("{way:?}, {instrument:?}, step {number}: again: {answer:?}");
            site.await_all_up(PATIENCE);
            wait_for("nobody runs", PATIENCE, || site.nobody_runs().then_some(()));
            answer = driver.call(&step.call);
        }
        if let Err(why) = step.want.misses(&answer, instrument.banks()) {
            panic!("{way:?}, {instrument:?}, step {number}, {}: {why}: {answer:?}", step.call.method);
        }
        let ended = match step.call.method {
            "wait_for_scan" if heard.iter().filter(|(m, _)| *m == "wait_for_scan").count() == 0 => "complete",
            "wait_for_scan" => "stopped",
            _ => "",
        };
        if !ended.is_empty() {
            last_scans(site, instrument, ended).unwrap_or_else(|e| panic!("{way:?}, {instrument:?}: {e}"));
        }
        if ended == "complete" && instrument.records() {
            let files = || site.recordings().iter().filter(|path| has_rows(path)).count();
            wait_for("a file of every bank", PATIENCE, || {
                (files() == instrument.banks().len()).then_some(())
            });
        }
        heard.push((step.call.method, answer));
    }
    Some(heard.into_iter().map(|(_, answer)| answer).collect())
}

/// A file with spectra. One that is being written is none yet.
fn has_rows(path: &Path) -> bool {
    Recording::open(path).is_ok_and(|recording| recording.rows() > 0)
}

fn in_every_way(instrument: Instrument) {
    // Each way has a site of its own, so that none waits for another.
    let heard: BTreeMap<Way, Vec<String>> = std::thread::scope(|scope| {
        let one = |way: Way| observe(way, &Site::recording(instrument), instrument);
        let all = Way::ALL.map(|way| (way, scope.spawn(move || one(way))));
        let joined = all.map(|(way, thread)| (way, thread.join().expect("why is above")));
        let heard = |answers: Vec<Heard>| answers.iter().map(fingerprint).collect();
        joined.into_iter().filter_map(|(way, answers)| Some((way, heard(answers?)))).collect()
    });
    let (first, wanted) = heard.first_key_value().expect("two ways need no Python");
    for (way, answers) in &heard {
        for (n, step) in observation(instrument).iter().enumerate() {
            assert_eq!(answers[n], wanted[n], "{way:?} and {first:?} differ on {}", step.call.method);
        }
    }
    println!("{instrument:?}: {} ways, {} calls each, answered alike", heard.len(), wanted.len());
}

#[test]
fn a_wide_band_on_three_banks_is_observed_alike_in_four_ways() {
    in_every_way(Instrument::Hbw);
}

#[test]
fn coherent_dedispersion_on_eight_banks_is_observed_alike_in_four_ways() {
    in_every_way(Instrument::Codd);
}
