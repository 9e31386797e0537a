//! What `prepare` would do, without its being done; parameters all at once.

use crate::world::*;
use appliance::player::methods::PlayerCall;
use appliance::value::Value;

fn map(members: &[(&str, Value)]) -> Value {
    Value::Map(members.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
}

fn set(name: &str, value: impl Into<Value>) -> PlayerCall {
    PlayerCall::SetParam(vec![(name.into(), value.into())])
}

/// `what name: now -> then` of every change.
fn changes(answer: &Value) -> Vec<String> {
    let Some(Value::List(all)) = answer.get("changes") else { panic!("changes in {answer}") };
    let text = |v: &Value, key: &str| v.get(key).map(Value::to_string).expect("a member");
    all.iter()
        .map(|v| {
            format!("{} {}: {} -> {}", text(v, "what"), text(v, "name"), text(v, "now"), text(v, "then"))
        })
        .collect()
}

fn member<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |v, key| v.get(key).unwrap_or_else(|| panic!("{path} in {value}")))
}

#[test]
fn a_dry_run_says_what_prepare_would_change_and_changes_nothing() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Prepare);
    assert_eq!(changes(&world.ask_ok(PlayerCall::PrepareDry)), Vec::<String>::new(), "just prepared");
    world.ask_ok(set("source", "M31"));
    world.log.clear();
    let answer = world.ask_ok(PlayerCall::PrepareDry);
    let told = changes(&answer);
    assert!(
        told.iter().any(|line| line.starts_with("status SRC_NAME: ") && line.ends_with(" -> M31")),
        "{told:?}"
    );
    assert!(!told.iter().any(|line| line.starts_with("register")), "{told:?}");
    assert_eq!(world.log, Vec::<String>::new(), "nothing was ordered");
    assert_ne!(world.status.get("SRC_NAME").map(String::as_str), Some("M31"));
    assert_eq!(world.state(), "READY");
    let Value::List(steps) = member(&answer, "steps") else { panic!("{answer}") };
    let registers = steps.iter().filter(|s| member(s, "do") == &"set_register".into());
    assert!(registers.count() >= 5, "{answer}");
    // What it says is what happens.
    world.ask_ok(PlayerCall::Prepare);
    assert_eq!(world.status["SRC_NAME"], "M31");
    assert_eq!(changes(&world.ask_ok(PlayerCall::PrepareDry)), Vec::<String>::new());
}

#[test]
fn what_a_parameter_does_to_the_registers_is_told_with_both_values() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Prepare);
    world.ask_ok(set("noise_source", 1));
    let told = changes(&world.ask_ok(PlayerCall::PrepareDry));
    assert!(told.contains(&"i2c 0x38: 0x09 -> 0x08".to_owned()), "{told:?}");
}

#[test]
fn what_is_not_known_is_not_taken_for_equal() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Prepare);
    world.board = Board::FailsOnce;
    world.ask_err(PlayerCall::Prepare);
    let told = changes(&world.ask_ok(PlayerCall::PrepareDry));
    assert!(told.iter().any(|l| l.starts_with("register ") && l.contains(": None -> 0x")), "{told:?}");
    world.ask_ok(PlayerCall::Prepare);
    assert_eq!(changes(&world.ask_ok(PlayerCall::PrepareDry)), Vec::<String>::new());
}

#[test]
fn a_dry_run_is_answered_in_every_state_with_a_mode() {
    let mut world = World::new();
    let error = world.ask_err(PlayerCall::PrepareDry);
    assert_eq!(error.message, "Cannot prepare until a mode is selected");
    let (mut world, start) = World::starting();
    let at = world.now;
    changes(&world.ask_ok(PlayerCall::PrepareDry));
    assert_eq!((world.now, world.state()), (at, "STARTING"), "at once");
    world.answer(start).expect("not disturbed");
    changes(&world.ask_ok(PlayerCall::PrepareDry));
    assert_eq!(world.state(), "SCANNING");
    world.drop_link();
    changes(&world.ask_ok(PlayerCall::PrepareDry));
    world.end();
}

#[test]
fn parameters_are_set_all_or_none_and_the_answer_says_what_follows() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Prepare);
    let params = |x: f64| map(&[("exposure", Value::Float(x)), ("source", "M31".into())]);
    let call = |params, dry_run| PlayerCall::SetParams { params, dry_run };
    let dry = world.ask_ok(call(params(0.5), true));
    assert_eq!(
        world.ask_ok(PlayerCall::GetParam(Some("source".into()))),
        Value::from("unspecified"),
        "untouched"
    );
    let real = world.ask_ok(call(params(0.5), false));
    assert_eq!(changes(&dry), changes(&real));
    assert_eq!(member(&real, "set"), &Value::Bool(true));
    assert!(
        changes(&real).iter().any(|l| l.starts_with("status EXPOSURE: ") && l.ends_with("-> 0.500170752")),
        "{real}"
    );
    assert_eq!(world.ask_ok(PlayerCall::GetParam(Some("source".into()))), Value::from("M31"));

    let half = map(&[("source", "M33".into()), ("exposre", Value::Float(1.0))]);
    assert!(world.ask_err(call(half, false)).message.starts_with("No such parameter 'exposre'"));
    let refused = map(&[("source", "M33".into()), ("filter_bw", Value::Int(7))]);
    let answer = world.ask_ok(call(refused, false));
    assert!(member(&answer, "set").to_string().contains("Filter bandwidth must be one of"), "{answer}");
    assert_eq!(world.ask_ok(PlayerCall::GetParam(Some("source".into()))), Value::from("M31"));
    assert!(world.ask_err(call(Value::Int(1), false)).message.contains("params must be an object"));
}

#[test]
fn get_params_tells_current_prepared_and_default() {
    let mut world = World::ready();
    let of = |world: &mut World, path: &str| member(&world.ask_ok(PlayerCall::GetParams), path).clone();
    assert_eq!(of(&mut world, "scan_length.pending"), Value::Bool(false), "set_mode prepares");
    let default = of(&mut world, "scan_length.current");
    world.ask_ok(set("scan_length", 7));
    assert_eq!(of(&mut world, "scan_length.current"), Value::Int(7));
    assert_eq!(of(&mut world, "scan_length.prepared"), default);
    assert_eq!(of(&mut world, "scan_length.default"), default);
    assert_eq!(of(&mut world, "scan_length.pending"), Value::Bool(true));
    assert_eq!(of(&mut world, "scan_length.unit"), Value::from("s"));
    world.ask_ok(PlayerCall::Prepare);
    assert_eq!(of(&mut world, "scan_length.pending"), Value::Bool(false));
    assert_eq!(of(&mut world, "scan_length.prepared"), Value::Int(7));
    assert!(World::new().ask_err(PlayerCall::GetParams).message.contains("until a mode is selected"));
}

#[test]
fn a_dry_run_reads_the_par_file_and_keeps_nothing_of_it() {
    let mut world = World::new();
    world.ask_ok(set_mode("CODD_MODE_64"));
    let pairs = vec![("obs_mode".into(), "COHERENT_FOLD".into()), ("par_file".into(), "/p/1937.par".into())];
    world.ask_ok(PlayerCall::SetParam(pairs));
    world.par_file = Some(Ok("DM 71.0237\n".into()));
    world.log.clear();
    let told = changes(&world.ask_ok(PlayerCall::PrepareDry));
    assert!(told.iter().any(|l| l.starts_with("status CHAN_DM: ") && l.ends_with(" -> 71.0237")), "{told:?}");
    assert_eq!(world.log, ["read /p/1937.par"]);
    // It never comes: an answer all the same.
    world.par_file = None;
    let open = world.call(PlayerCall::PrepareDry);
    assert!(world.is_open(open));
    world.run_for(6.0);
    assert!(!world.is_open(open));
    let open = world.call(PlayerCall::PrepareDry);
    world.end();
    assert!(!world.is_open(open));
}

// ---------------------------------------------------------------------- the list of hardware writes

fn writes(world: &mut World, limit: i64) -> Vec<Value> {
    match world.ask_ok(PlayerCall::HardwareWrites(limit)) {
        Value::List(all) => all,
        other => panic!("{other}"),
    }
}

fn told(write: &Value, key: &str) -> String {
    write.get(key).map(Value::to_string).unwrap_or_else(|| panic!("{key} in {write}"))
}

#[test]
fn every_write_of_a_mode_change_is_listed_with_who_wanted_it() {
    let mut world = World::new();
    world.client = Some("10.16.96.7:4711".into());
    world.ask_ok(set_mode("MODE1"));
    let asks = ["Read {", "Raw {", "Status"];
    let is_write = |l: &&String| l.starts_with("fpga: ") && !asks.iter().any(|ask| l.contains(ask));
    let ordered = world.log.iter().filter(is_write).count();
    let all = writes(&mut world, 2000);
    let of_mode = |w: &&Value| told(w, "job") == "set_mode(MODE1)";
    let of_synth = |w: &&Value| told(w, "target") == "synthesizer";
    assert_eq!(all.iter().filter(of_mode).filter(of_synth).count(), 1, "its frequency");
    let on_board: Vec<&Value> = all.iter().filter(of_mode).filter(|w| !of_synth(w)).collect();
    assert_eq!(on_board.len(), ordered, "{:?}", world.log);
    for write in &on_board {
        assert_eq!(told(write, "client"), "10.16.96.7:4711");
        assert_ne!(told(write, "verified"), "None", "{write}");
        assert_eq!(told(write, "error"), "None", "{write}");
    }
    let image = on_board.iter().find(|w| told(w, "value") == "h1k_example.bof").expect("the gateware");
    assert_eq!(told(image, "target"), "gateware");
    let register = on_board.iter().find(|w| told(w, "target") == "register fftshift").expect("a register");
    assert_eq!((told(register, "value"), told(register, "verified")), ("0x00005555".into(), "True".into()));
    assert_eq!(writes(&mut world, 1)[0], all[all.len() - 1], "the newest");
    for limit in [0, -1, 2001] {
        assert!(world.ask_err(PlayerCall::HardwareWrites(limit)).message.contains("from 1 to 2000"));
    }
}

#[test]
fn only_what_differs_is_written_and_a_failure_is_in_the_list() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Prepare);
    let before = writes(&mut world, 2000).len();
    world.ask_ok(PlayerCall::Prepare);
    let second: Vec<String> = writes(&mut world, 2000)[before..].iter().map(|w| told(w, "target")).collect();
    assert_eq!(second, ["I2C 0x38", "register ssg_lut_bram"], "the registers are as they should be");
    world.board = Board::FailsOnce;
    world.ask_err(PlayerCall::Prepare);
    let failed = writes(&mut world, 1).remove(0);
    assert_eq!((told(&failed, "target"), told(&failed, "verified")), ("I2C 0x38".into(), "False".into()));
    assert!(told(&failed, "error").contains("fail"), "{failed}");
}
