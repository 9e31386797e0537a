//! The reply of every exported call, without a mode and with one.

use crate::world::*;
use appliance::api::ErrorClass;
use appliance::player::methods::{BANK, PlayerCall};
use appliance::value::Value;

fn pairs(list: &[(&str, Value)]) -> Vec<(String, Value)> {
    list.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
}

fn switching() -> PlayerCall {
    PlayerCall::AddSwitchingState { duration: 0.1, blank: false, cal: false, sig_ref_1: false }
}

fn gbt(rows: Vec<Value>) -> PlayerCall {
    PlayerCall::SetGbtSs { period: 1.0, ss_list: Value::List(rows) }
}

fn no_backend() -> Value {
    Value::verdict(false, "No backend selected!")
}

#[test]
fn without_a_mode_calls_answer_the_fixed_values() {
    let mut world = World::new();
    let table = [
        (PlayerCall::GetMode, Value::Null),
        (
            PlayerCall::ListModes,
            Value::List(
                ["CODD_MODE_64", "INCO_MODE_64", "MODE1", "MODE2", "MODE3", "MODE4", "MODE5", "MODE6"]
                    .map(Value::from)
                    .to_vec(),
            ),
        ),
        (PlayerCall::Start(Value::Null), Value::Null),
        (PlayerCall::Stop, no_backend()),
        (PlayerCall::Monitor, no_backend()),
        (PlayerCall::ScanStatus, no_backend()),
        (PlayerCall::EarliestStart, no_backend()),
        (PlayerCall::SetStatus(pairs(&[("A", 1.into())])), Value::Null),
        (PlayerCall::GetStatus(Value::Null), Value::Null),
        (PlayerCall::GetStatus("NETSTAT".into()), Value::Null),
        (PlayerCall::SetScanNumber(7), Value::Null),
        (PlayerCall::IncrementScanNumber, Value::Null),
        (PlayerCall::ResetRoach, Value::Null),
        (PlayerCall::ArmRoach, Value::Null),
        (PlayerCall::DisarmRoach, Value::Null),
        (PlayerCall::ReadConfigFile, "config file loaded.".into()),
    ];
    for (call, want) in table {
        let what = format!("{call:?}");
        assert_eq!(world.ask(call), Ok(want), "{what}");
    }
    assert_eq!(world.shown("scan_number"), "8", "counted although nothing is written");
    // The synthesizer gets what the configuration says as soon as the board is there, without any call.
    world.log.retain(|order| !order.contains("valon-"));
    assert!(world.status.is_empty() && world.log.is_empty(), "nothing is touched: {:?}", world.log);
}

#[test]
fn without_a_mode_calls_raise_the_fixed_texts() {
    let mut world = World::new();
    let set = "Cannot set parameters until a mode is selected";
    let table = [
        (PlayerCall::SetParam(pairs(&[("scan_length", 5.into())])), set),
        (PlayerCall::GetParam(None), "Cannot get parameters until a mode is selected"),
        (PlayerCall::GetParam(Some("scan_length".into())), "Cannot get parameters until a mode is selected"),
        (PlayerCall::HelpParam(None), set),
        (PlayerCall::Prepare, "Cannot prepare until a mode is selected"),
        (PlayerCall::ClearSwitchingStates, "Cannot clear switcvhing states until a mode has been selected"),
        (switching(), "Cannot add switching states until a mode has been selected."),
        (gbt(vec![]), "Cannot set switching states until a mode has been selected."),
    ];
    for (call, want) in table {
        let what = format!("{call:?}");
        let error = world.ask_err(call);
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Exception, want), "{what}");
    }
}

#[test]
fn with_a_mode_calls_answer_in_the_documented_shapes() {
    let mut world = World::ready();
    let row = |start: f64| Value::List(vec![start.into(), 0.into(), 0.into(), 0.0025.into()]);
    let table = [
        (PlayerCall::GetMode, "MODE1".into()),
        (PlayerCall::SetParam(pairs(&[("scan_length", 12.into())])), true.into()),
        (PlayerCall::SetParam(vec![]), Value::Null),
        (PlayerCall::GetParam(Some("scan_length".into())), 12.into()),
        (PlayerCall::GetParam(Some("nope".into())), Value::Null),
        (PlayerCall::Prepare, Value::Null),
        (PlayerCall::ClearSwitchingStates, Value::List(vec![true.into(), 0.into()])),
        (switching(), Value::List(vec![true.into(), 1.into()])),
        (gbt(vec![row(0.0), row(0.5)]), Value::List(vec![true.into(), 4.into()])),
        (gbt(vec![]), Value::List(vec![true.into(), 0.into()])),
        (PlayerCall::Stop, Value::verdict(false, "No scan running!")),
        (PlayerCall::SetStatus(pairs(&[("OBSERVER", "me".into()), ("N", 3.into())])), Value::Null),
        (PlayerCall::SetScanNumber(41), Value::Null),
        (PlayerCall::IncrementScanNumber, Value::Null),
        (PlayerCall::ResetRoach, Value::Null),
        (PlayerCall::ArmRoach, Value::Null),
        (PlayerCall::DisarmRoach, Value::Null),
        (PlayerCall::Monitor, Value::verdict(true, "Start monitor mode.")),
        (PlayerCall::Stop, Value::verdict(true, "Ending monitor mode.")),
        (PlayerCall::ReadConfigFile, "config file loaded.".into()),
    ];
    for (call, want) in table {
        let what = format!("{call:?}");
        assert_eq!(world.ask(call), Ok(want), "{what}");
    }
    assert_eq!(world.status["OBSERVER"], "me");
    assert_eq!(world.status["N"], "3", "stored as text");
}

#[test]
fn a_scan_answers_with_its_start_and_its_end() {
    let mut world = World::scanning();
    let scan_started = world.answers.values().last().cloned().flatten();
    let text = "Successfully started roach for starttime=2026-11-21 02:35:25";
    assert_eq!(scan_started, Some(Ok(Value::verdict(true, text))));
    assert_eq!(world.ask_ok(PlayerCall::Start(Value::Null)), Value::verdict(false, "Scan already started."));
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(true, "Scan ended"));
    assert_eq!(world.ask_ok(PlayerCall::Stop), Value::verdict(false, "No scan running!"));
}

#[test]
fn parameters_nobody_knows_are_named_with_those_there_are() {
    let mut world = World::ready();
    for call in
        [PlayerCall::SetParam(pairs(&[("nope", 1.into())])), PlayerCall::HelpParam(Some("nope".into()))]
    {
        let error = world.ask_err(call);
        let head = "No such parameter 'nope'. Legal parameters in this mode are: ['";
        assert!(error.message.starts_with(head), "{}", error.message);
        assert_eq!(error.class, ErrorClass::Exception);
    }
    let wrong = world.ask_ok(PlayerCall::SetParam(pairs(&[("filter_bw", 7.into())])));
    assert!(matches!(&wrong, Value::List(l) if l[0] == Value::Bool(false)), "{wrong}");
    let all = world.ask_ok(PlayerCall::GetParam(None));
    let help = world.ask_ok(PlayerCall::HelpParam(None));
    assert!(all.get("scan_length").is_some() && help.get("scan_length").is_some());
}

#[test]
fn nothing_of_set_param_is_applied_when_one_value_is_refused() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::SetParam(pairs(&[("scan_length", 12.into())])));
    world.ask_err(PlayerCall::SetParam(pairs(&[("scan_length", 99.into()), ("nope", 1.into())])));
    assert_eq!(world.ask_ok(PlayerCall::GetParam(Some("scan_length".into()))), 12.into());
}

#[test]
fn a_bad_list_of_switching_states_is_an_error_with_a_hint() {
    let mut world = World::ready();
    let error = world.ask_err(PlayerCall::SetGbtSs { period: 1.0, ss_list: 3.into() });
    assert!(
        error.message.starts_with("Possible syntax error with parameter 'ss_list'."),
        "{}",
        error.message
    );
}

#[test]
fn get_status_gives_all_a_list_or_one() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::SetStatus(pairs(&[("OBSERVER", "me".into()), ("SOURCE", "3C286".into())])));
    let all = world.ask_ok(PlayerCall::GetStatus(Value::Null));
    assert_eq!(all.get("OBSERVER"), Some(&"me".into()));
    assert!(matches!(&all, Value::Map(m) if m.len() == world.status.len()));
    let list = Value::List(vec!["source".into(), "NOPE".into(), "OBSERVER".into()]);
    let some = world.ask_ok(PlayerCall::GetStatus(list));
    let want = pairs(&[("source", "3C286".into()), ("OBSERVER", "me".into())]);
    assert_eq!(some, Value::Map(want), "the spelling of the request, without what is missing");
    assert_eq!(world.ask_ok(PlayerCall::GetStatus("OBSERVER".into())), "me".into());
    let missing = world.ask_err(PlayerCall::GetStatus("NOPE".into()));
    assert_eq!((missing.class, missing.message.as_str()), (ErrorClass::KeyError, "'NOPE'"));
}

#[test]
fn scan_numbers_are_written_to_both_keys() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::SetScanNumber(41));
    assert_eq!((world.status["SCANNUM"].as_str(), world.status["SCAN"].as_str()), ("41", "41"));
    world.ask_ok(PlayerCall::IncrementScanNumber);
    assert_eq!((world.status["SCANNUM"].as_str(), world.status["SCAN"].as_str()), ("42", "42"));
    world.ask_ok(PlayerCall::SetScanNumber(i64::MAX));
    world.ask_ok(PlayerCall::IncrementScanNumber);
    assert_eq!(world.status["SCAN"], i64::MAX.to_string(), "no overflow");
}

#[test]
fn scan_status_never_raises() {
    let mut world = World::ready();
    let say =
        |running: bool, net: &str, disk: &str| Value::List(vec![running.into(), net.into(), disk.into()]);
    let asked = world.ask_ok(PlayerCall::ScanStatus);
    assert_eq!(asked, say(false, "NETSTAT=unknown", "DISKSTAT=unknown"));
    world.status.insert("NETSTAT".into(), "receiving".into());
    world.status.insert("DISKSTAT".into(), "writing".into());
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert_eq!(world.ask_ok(PlayerCall::ScanStatus), say(true, "NETSTAT=receiving", "DISKSTAT=writing"));
}

#[test]
fn earliest_start_leaves_two_seconds_for_round_trips() {
    let mut world = World::ready();
    // Ask at 02:35:24.15: with 4 s of arm delay and 2 s to spare.
    let at = BEGIN.nanos_since(world.now.utc) + 4_750_000_000;
    world.run_for(at as f64 / 1e9);
    let reply = world.ask_ok(PlayerCall::EarliestStart);
    let time = [2026, 11, 21, 2, 35, 31, 0].map(Value::Int).to_vec();
    assert_eq!(reply, Value::List(vec![true.into(), Value::List(time)]));
}

#[test]
fn reads_answer_in_every_state() {
    let reads = || {
        [
            PlayerCall::GetMode,
            PlayerCall::ListModes,
            PlayerCall::EarliestStart,
            PlayerCall::ScanStatus,
            PlayerCall::GetStatus(Value::Null),
            PlayerCall::PlayerState,
        ]
    };
    let mut seen = Vec::new();
    let mut look = |world: &mut World| {
        let state = world.state();
        for call in reads() {
            let what = format!("{call:?} in {state}");
            let ticket = world.call(call);
            world.run_for(0.001);
            assert!(!world.is_open(ticket), "{what} has to wait");
            world.answer(ticket).unwrap_or_else(|e| panic!("{what}: {e}"));
        }
        seen.push(state);
    };
    let mut world = World::new();
    look(&mut world);
    world.call(set_mode("MODE1"));
    look(&mut world);
    world = World::ready();
    look(&mut world);
    world.call(PlayerCall::Prepare);
    look(&mut world);
    world = World::ready();
    world.call(PlayerCall::ResetRoach);
    look(&mut world);
    world = World::ready();
    world.ask_ok(PlayerCall::Monitor);
    look(&mut world);
    world = World::starting().0;
    look(&mut world);
    world = World::scanning();
    look(&mut world);
    world.tell(appliance::player::bank::Input::Shutdown);
    look(&mut world);
    let all = "NO_MODE SETTING_MODE READY PREPARING OPERATING MONITORING STARTING SCANNING SHUTTING_DOWN";
    assert_eq!(seen.join(" "), all);
}

#[test]
fn every_method_of_the_table_is_in_these_tests() {
    assert_eq!(BANK.len(), 24, "a new method wants its row in both tables of this file");
}
