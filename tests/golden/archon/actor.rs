//! What the reference's actor said and wrote, command by command, against our role on a virtual clock.
//!
//! Compared: keywords and their values, errors, and the cards of the files - the reference's in their order, ours
//! may be among them. Wording of `text` is not part of the contract.

#[path = "../../archon_machine/world.rs"]
#[allow(dead_code)]
mod world;

use crate::report::{GoldenFile, Report};
use appliance::archon::methods::{Ask, ExposeAsk, Flavour};
use appliance::config::archon::WindowKey;
use appliance::proto::archon::Sample;
use appliance::proto::json;
use appliance::value::Value as Ours;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use world::{World, expose};

const YML: &str = "controllers:\n  sp1:\n    host: 127.0.0.1\n    port: 4242\n    detectors:\n      \
    r1: {taps: 1, serial: STA29687, gain: [2.8, 2.9], readnoise: 3, type: STA4850}\n      b1: {taps: 1, gain: 2.81}\n\
    window_modes:\n  test_mode: {lines: 20}\n\
    archon:\n  acf_file: DIR/test.acf\nfiles:\n  data_dir: DIR/images\n  template: 'sdR-{ccd}-{exposure_no:08d}.fits'\n\
    observatory: LCO\nactor: {run_recovery_on_start: false}\n\
    header:\n  CCDTEMP1:\n    command: status\n    detectors:\n      r1: ['mod2/tempa', 'Temperature of the sensor', 2]\n      \
    b1: ['mod2/tempb', 'LN2 temp', 2]\n  PROJECT: ['TEST', 'A project']\n  SIMPLEST: 'abc'\n";

/// Commands we end otherwise, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("expose 0.1 --dark -W", "the reference writes the file although it is told not to"),
    ("expose 0.1 -n 2 --flat", "the reference runs into its own file"),
    (
        "talk NONSENSEX",
        "hardware meets an unknown command with silence, the recorded controller with a refusal",
    ),
    ("config read", "keeps the case of the file"),
    ("status", "another controller's STATUS"),
    ("system", "another controller's modules"),
    ("frame status sp1", "another controller's clock"),
    ("talk TIMER", "another controller's clock"),
    ("wait-until-idle", "tells in words"),
    ("init", "tells in words"),
];

/// Cards whose value is the exposure's own, or another controller's.
const OWN: &[&str] = &[
    "SIMPLE", "V_ARCHON", "OBSTIME", "MJD", "INTSTART", "INTEND", "ARCHBACK", "ARCHBVER", "ARCHACF",
    "BUFFER", "NAXIS1", "NAXIS2", "CHECKSUM", "DATASUM",
];

/// Runs `{"runs": [...], "files": {...}}`.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(json) = file.json().filter(|v| v.get("runs").is_some() && v.get("files").is_some()) else {
        return false;
    };
    let mut world = World::with(1, &world::acf(Sample::U16), YML);
    world.init();
    for run in json["runs"].as_array().into_iter().flatten() {
        let command = run["command"].as_str().unwrap_or_default();
        let case = format!("{} {command}", file.name);
        let outcome = ask(command).map(|(who, ask)| {
            let ticket = world.begin_on(who, ask);
            (ticket, world.answer(ticket))
        });
        match (outcome, OTHERWISE.iter().find(|(c, _)| command.starts_with(c))) {
            (_, Some((_, why))) => report.skip(&case, why),
            (None, None) => report.skip(&case, "of the actor's bus, or of a state only the recording had"),
            (Some((ticket, outcome)), None) => {
                report.check(&case, same_end(run, outcome.as_ref().err().map(|e| e.message.as_str())));
                report.check(&format!("{case} (keywords)"), same_keywords(run, &world, ticket));
            }
        }
    }
    for (name, recorded) in json["files"].as_object().into_iter().flatten() {
        let case = format!("{} {name}", file.name);
        if name.ends_with("-00000004.fits") {
            report.skip(&case, "the reference writes this file although it is told not to");
        } else if let Some(cards) = recorded.get("cards").and_then(Value::as_array) {
            let base = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
            report.check(&case, same_cards(cards, &world, &base));
        } else if name.ends_with("sum") {
            report.check(&case, same_sums(recorded["text"].as_str().unwrap_or_default(), &world));
        } else {
            let counter = std::fs::read_to_string(world.images().join("nextExposureNumber"));
            let want = recorded["text"].as_str().unwrap_or_default();
            // The reference's last exposure, which it aborts, burns a number, too.
            let ours = counter.unwrap_or_default();
            let near = ours == want || ours.parse::<u64>().ok().map(|n| n + 1) == want.parse().ok();
            report.check(&case, if near { Ok(()) } else { Err(format!("{ours:?}, expected {want:?}")) });
        }
    }
    true
}

fn ask(command: &str) -> Option<(Vec<String>, Ask)> {
    let all = |ask| Some((Vec::new(), ask));
    let shot = |ask: ExposeAsk| Ask::Expose(Box::new(ask));
    let window = |mode: Option<&str>, members| Ask::SetWindow { mode: mode.map(str::to_owned), members };
    let consent = Default::default;
    match command {
        "frame status nope" => Some((vec!["nope".into()], Ask::FrameStatus)),
        "status -c nope" => Some((vec!["nope".into()], Ask::Status { simple: false, debug: false })),
        "get-window" => all(Ask::GetWindow),
        "set-window test_mode" => all(window(Some("test_mode"), Vec::new())),
        "set-window --hbin 2" => all(window(None, vec![(WindowKey::HBin, 2)])),
        "set-window" => all(window(None, Vec::new())),
        "set-window bogus" => all(window(Some("bogus"), Vec::new())),
        "power" => all(Ask::Power(None, consent())),
        "power on" => all(Ask::Power(Some(true), consent())),
        "expose --bias" => all(shot(ExposeAsk { flavour: Flavour::Bias, time: None, ..expose(0) })),
        "expose" => all(shot(ExposeAsk { time: None, ..expose(0) })),
        "expose 0.1 -R" => all(shot(ExposeAsk { readout: false, ..expose(100) })),
        "read" => all(Ask::Read { header: Ours::Null, delay: 0 }),
        "expose 0.1 --count 2 -R" => all(shot(ExposeAsk { count: 2, readout: false, ..expose(100) })),
        "expose 0.1 -s 77" => all(shot(ExposeAsk { seqno: Some(77), ..expose(100) })),
        first if first.starts_with("expose 0.1 --header") => {
            let header = Ours::Map(vec![
                ("OBSERVER".into(), Ours::List(vec!["me".into(), "who".into()])),
                ("b1".into(), Ours::Map(vec![("FOO".into(), Ours::Int(1))])),
            ]);
            all(shot(ExposeAsk { header, ..expose(100) }))
        }
        _ => None,
    }
}

fn same_end(run: &Value, error: Option<&str>) -> Result<(), String> {
    let replies = run["replies"].as_array().ok_or("no replies")?;
    let theirs =
        replies.iter().find(|r| r["code"] == "f").map(|r| r["message"]["error"].as_str().unwrap_or("?"));
    let same = match (theirs, error) {
        (None, None) => true,
        // One path is a placeholder, and the reference has two texts for one thing.
        (Some(a), Some(b)) if a.starts_with("File ") => {
            b.starts_with("File ") && b.contains("already exists")
        }
        (Some(a), Some(b)) => a == b || (a.contains("does not exist") && b.starts_with("Invalid controller")),
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("ended with {error:?}, expected {theirs:?}")) }
}

/// `next_exposure_no`, `filenames` (their names), and windows.
fn same_keywords(run: &Value, world: &World, ticket: appliance::api::Ticket) -> Result<(), String> {
    let said = |key: &str| -> Vec<Value> {
        let mine = world.said.iter().filter(|(t, _, k, _)| *t == Some(ticket) && k == key);
        mine.filter_map(|(_, _, _, v)| serde_json::from_str(&json::to_text(v).ok()?).ok()).collect()
    };
    for reply in run["replies"].as_array().into_iter().flatten() {
        for (key, value) in reply["message"].as_object().into_iter().flatten() {
            match key.as_str() {
                "next_exposure_no" if !said(key).contains(value) => {
                    return Err(format!("{key}: {:?}, expected {value}", said(key)));
                }
                "filenames" => {
                    let (ours, theirs) = (bases(&said(key)), bases(std::slice::from_ref(value)));
                    if ours != theirs {
                        return Err(format!("{ours:?}, expected {theirs:?}"));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn bases(lists: &[Value]) -> Vec<String> {
    let paths = lists.iter().flat_map(|l| l.as_array().into_iter().flatten()).filter_map(Value::as_str);
    let mut names: Vec<String> = paths.map(|p| p.rsplit('/').next().unwrap_or(p).to_owned()).collect();
    names.sort();
    names
}

/// (key, value, comment) of a card's text.
fn parts(card: &str) -> (String, String, String) {
    let (key, rest) = card.split_once('=').unwrap_or((card, ""));
    let rest = rest.trim();
    let (value, comment) = match rest.strip_prefix('\'').and_then(|r| r.split_once('\'')) {
        Some((text, after)) => (text.trim_end().to_owned(), after),
        None => {
            let (value, comment) = rest.split_once('/').unwrap_or((rest, ""));
            (value.trim().to_owned(), comment)
        }
    };
    let comment = comment.trim().trim_start_matches('/').trim().to_owned();
    (key.trim().to_owned(), value, comment)
}

fn same_cards(theirs: &[Value], world: &World, base: &str) -> Result<(), String> {
    let path = world.files(base).pop().ok_or("there is no such file")?;
    let bytes = std::fs::read(&path).map_err(|e| e.to_string())?;
    let text: Vec<String> = bytes
        .chunks(80)
        .map(|c| String::from_utf8_lossy(c).into_owned())
        .take_while(|c| c.trim_end() != "END")
        .collect();
    let ours: Vec<_> = text.iter().map(|c| parts(c)).collect();
    let place: BTreeMap<&str, usize> = ours.iter().enumerate().map(|(i, (k, ..))| (k.as_str(), i)).collect();
    let mut last = 0;
    for card in theirs.iter().filter_map(Value::as_str) {
        let (key, value, comment) = parts(card);
        let at = *place.get(key.as_str()).ok_or(format!("no {key}"))?;
        if at < last && !["BSCALE", "BZERO"].contains(&key.as_str()) {
            return Err(format!("{key} comes too early"));
        }
        last = last.max(at);
        let (_, our_value, our_comment) = &ours[at];
        let numbers = (value.parse::<f64>(), our_value.parse::<f64>());
        let same = *our_value == value || matches!(numbers, (Ok(a), Ok(b)) if a == b);
        if !same && !OWN.contains(&key.as_str()) {
            return Err(format!("{key} = {our_value}, expected {value}"));
        }
        if comment != *our_comment
            && !OWN.contains(&key.as_str())
            && !key.starts_with("NAXIS")
            && key != "BITPIX"
            && key != "CCDTEMP1"
        {
            return Err(format!("{key}: comment {our_comment:?}, expected {comment:?}"));
        }
    }
    Ok(())
}

/// Sums of the same files, in md5sum's form.
fn same_sums(theirs: &str, world: &World) -> Result<(), String> {
    let path = world.files("md5sum").pop().ok_or("no checksum file")?;
    let ours = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let names = |text: &str| {
        let mut names: Vec<String> =
            text.lines().filter_map(|l| l.split_once("  ").map(|(_, n)| n.to_owned())).collect();
        names.retain(|n| !n.contains("-00000004"));
        names.sort();
        names
    };
    if ours.lines().any(|l| l.split_once("  ").is_none_or(|(sum, _)| sum.len() != 32)) {
        return Err(format!("no md5sum lines: {ours}"));
    }
    if names(theirs) == names(&ours) { Ok(()) } else { Err(format!("{ours:?}")) }
}
