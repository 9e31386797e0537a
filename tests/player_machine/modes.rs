//! `set_mode` and `prepare`: what refuses, what reloads, what a failure leaves behind.

use crate::world::*;
use appliance::api::ErrorClass;
use appliance::plan::Child;
use appliance::player::bank::Input;
use appliance::player::methods::PlayerCall;
use appliance::player::state::Link;
use appliance::value::Value;

fn with_bandwidth(mode: &str, bandwidth: impl Into<Value>) -> PlayerCall {
    PlayerCall::SetMode { mode: mode.into(), bandwidth: bandwidth.into(), force: false }
}

const ALREADY: &str = "Mode MODE1 is already set! Use 'force=True' to force.";

#[test]
fn a_mode_is_set_in_order() {
    let mut world = World::new();
    world.ask_ok(set_mode("MODE1"));
    assert_eq!(world.state(), "READY");
    assert_eq!(world.programmed.as_deref(), Some("h1k_example.bof"));
    let order =
        ["valon-set-frequency", "image: None", "h1k_example.bof", "TapStart", "SetArp", "\"acc_len\""];
    let order = order.iter().chain(&["\"sg_sync\"", "I2cWrite", "DAQ program: spawn", "FITS writer: spawn"]);
    let places: Vec<_> = order
        .map(|text| world.log.iter().position(|l| l.contains(text)).unwrap_or_else(|| panic!("no {text}")))
        .collect();
    assert!(places.is_sorted(), "{places:?} {:?}", world.log);
    assert!(world.is_alive(Child::Daq) && world.is_alive(Child::FitsWriter));
}

#[test]
fn the_current_mode_is_not_set_again_unless_forced() {
    let mut world = World::ready();
    assert_eq!(world.ask_ok(set_mode("MODE1")), Value::verdict(false, ALREADY));
    assert_eq!(world.ask_ok(with_bandwidth("MODE1", false)), Value::verdict(false, ALREADY));
    assert_eq!(world.ask_ok(with_bandwidth("MODE1", 1500)), Value::verdict(false, ALREADY));
    assert!(world.log.is_empty(), "{:?}", world.log);
    assert_eq!(world.ask_ok(force_mode("MODE1")), Value::verdict(true, "New mode MODE1 set!"));
    assert!(world.ordered("h1k_example.bof"));
}

#[test]
fn the_compatibility_switch_reloads_every_time() {
    let config = appliance::player::config::PlayerConfig { set_mode_always_reloads: true, ..site_config() };
    let mut world = World::with(config).in_mode1();
    assert_eq!(world.ask_ok(set_mode("MODE1")), Value::verdict(true, "New mode MODE1 set!"));
}

#[test]
fn a_bandwidth_of_true_means_force() {
    let mut world = World::ready();
    let reply = world.ask_ok(with_bandwidth("MODE1", true));
    assert_eq!(reply, Value::verdict(true, "New mode MODE1 set!"));
    assert!(world.ordered(&format!("{:?}", "1500.0".as_bytes())), "the frequency is still the mode's");
}

#[test]
fn a_new_frequency_reloads_and_is_remembered_with_the_mode() {
    let mut world = World::ready();
    let new = Value::verdict(true, "New mode MODE1 set!");
    assert_eq!(world.ask_ok(with_bandwidth("MODE1", 1440)), new);
    assert_eq!(world.ask_ok(with_bandwidth("MODE1", 1440)), Value::verdict(false, ALREADY));
    world.ask_ok(set_mode("MODE2"));
    world.log.clear();
    assert_eq!(world.ask_ok(set_mode("MODE1")), new);
    assert!(world.ordered(&format!("{:?}", "1440.0".as_bytes())), "{:?}", world.log);
}

#[test]
fn bandwidths_that_are_none_are_refused() {
    let mut world = World::ready();
    let zero = world.ask_err(with_bandwidth("MODE2", 0));
    assert_eq!(zero.class, ErrorClass::ValueError);
    let nan = world.ask_err(with_bandwidth("MODE2", f64::NAN));
    assert_eq!(nan.class, ErrorClass::ValueError);
    let text = world.ask_err(with_bandwidth("MODE2", "wide"));
    assert_eq!(text.class, ErrorClass::TypeError);
    assert_eq!(world.ask_ok(PlayerCall::GetMode), "MODE1".into());
}

#[test]
fn a_refusal_leaves_the_old_mode() {
    let mut conf = dibas();
    for mode in &mut conf.modes {
        match mode.name.as_str() {
            "MODE2" => mode.usable = Err("line 90: nchan is missing".into()),
            "MODE3" => mode.modename = "l9/lbw9".into(),
            _ => {}
        }
    }
    let mut world = World::unconnected(site_config(), conf, false);
    world.tell(Input::Link(Link::Up));
    let mut world = world.in_mode1();
    let false_modes = [Value::Null, false.into(), "".into(), 0.into()];
    for mode in false_modes {
        let call = PlayerCall::SetMode { mode, bandwidth: Value::Null, force: true };
        assert_eq!(world.ask_ok(call), Value::verdict(false, "Mode is 'None', doing nothing."));
    }
    assert_eq!(world.ask_ok(set_mode("X")), Value::verdict(false, "Mode X is not supported."));
    let broken = Value::verdict(false, "Mode MODE2 is not usable: line 90: nchan is missing");
    assert_eq!(world.ask_ok(set_mode("MODE2")), broken);
    let no_engine = world.ask_err(set_mode("MODE3"));
    assert!(no_engine.message.contains("no engine for MODENAME 'l9/lbw9'"), "{no_engine}");
    world.drop_link();
    let no_link = world.ask_err(force_mode("MODE1"));
    assert_eq!(no_link.class, ErrorClass::RuntimeError);
    assert!(no_link.message.contains("the cable was pulled"), "{no_link}");
    assert_eq!(world.ask_ok(PlayerCall::GetMode), "MODE1".into());
    assert_eq!(world.state(), "READY");
    assert!(world.is_alive(Child::Daq), "untouched");
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_failure_at_the_hardware_leaves_no_mode_and_no_program() {
    let mut world = World::ready();
    world.board = Board::FailsOnce;
    let error = world.ask_err(set_mode("MODE2"));
    assert_eq!(error.class, ErrorClass::RuntimeError);
    assert!(error.message.starts_with("MODE2 failed at synthesizer: "), "{error}");
    assert_eq!(world.state(), "NO_MODE");
    assert_eq!(world.ask_ok(PlayerCall::GetMode), Value::Null);
    assert!(!world.is_alive(Child::Daq) && !world.is_alive(Child::FitsWriter));
    assert!(world.shown("last_error").contains("MODE2 failed at synthesizer"));
}

#[test]
fn a_failure_after_the_programs_started_stops_them_again() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), 5.into())]));
    let ticket = world.call(force_mode("MODE1"));
    while !world.ordered("DAQ program: spawn") {
        assert!(world.step());
    }
    world.spawn_fails = true;
    let error = world.answer(ticket).expect_err("the FITS writer is missing");
    assert_eq!(error.message, "MODE1 failed at start_programs: start FITS writer: No such file or directory");
    assert_eq!(error.class, ErrorClass::Exception);
    assert!(!world.is_alive(Child::Daq) && !world.is_alive(Child::FitsWriter));
    assert_eq!(world.state(), "NO_MODE");
}

#[test]
fn a_daq_program_that_ends_at_once_fails_the_mode_change() {
    let mut world = World::new();
    let ticket = world.call(set_mode("MODE1"));
    while world.phase() != "daq_ready" {
        assert!(world.step());
        // It has not come up to `stopped`, so that the player is still waiting for it.
        world.status.remove("DAQSTATE");
    }
    world.kill(Child::Daq);
    let error = world.answer(ticket).expect_err("there is nothing to record with");
    assert_eq!(error.message, "MODE1 failed at daq_ready: DAQ program: it died: killed by signal 11");
    assert_eq!(world.state(), "NO_MODE");
    assert!(!world.is_alive(Child::FitsWriter));
}

#[test]
fn a_registers_failure_names_every_register() {
    let mut world = World::new();
    let ticket = world.call(set_mode("MODE1"));
    while world.phase() != "registers" {
        assert!(world.step());
    }
    world.drop_link();
    let error = world.answer(ticket).expect_err("no link");
    assert!(error.message.starts_with("MODE1 failed at registers: "), "{error}");
    for register in ["acc_len", "fftshift", "sg_period"] {
        assert!(error.message.contains(register), "{error}");
    }
}

#[test]
fn a_mode_change_waits_for_host_names_but_not_for_ever() {
    let mut conf = dibas();
    conf.banks[0].data_source_host = Some("roach-10ge".into());
    let hosts = || vec![("ROACH-10GE".to_owned(), Some([10, 0, 0, 7].into()))];
    let mut world = World::unconnected(site_config(), conf.clone(), true);
    world.tell(Input::Link(Link::Up));
    let ticket = world.call(set_mode("MODE1"));
    world.run_for(3.0);
    assert!(world.is_open(ticket) && world.player.is_busy());
    world.tell(Input::Hosts(hosts()));
    assert_eq!(world.answer(ticket), Ok(Value::verdict(true, "New mode MODE1 set!")));

    let mut world = World::unconnected(site_config(), conf, true);
    world.tell(Input::Link(Link::Up));
    let ticket = world.call(set_mode("MODE1"));
    let error = world.answer(ticket).expect_err("the names never came");
    assert!(
        error.message.contains("host 'roach-10ge' (BANKA.data_source_host) has no known address"),
        "{error}"
    );
    assert_eq!(world.state(), "NO_MODE");
    assert!(!world.player.is_busy());
    world.tell(Input::Hosts(hosts()));
    world.ask_ok(set_mode("MODE1"));
}

#[test]
fn shutdown_answers_a_mode_change_that_waits_for_host_names() {
    let mut world = World::unconnected(site_config(), dibas(), true);
    world.tell(Input::Link(Link::Up));
    let ticket = world.call(set_mode("MODE1"));
    world.tell(Input::Shutdown);
    world.tell(Input::Hosts(Vec::new()));
    world.end();
    assert!(world.answer(ticket).is_err());
    assert!(!world.ordered("spawn"), "{:?}", world.log);
}

#[test]
fn prepare_writes_only_what_differs() {
    let mut world = World::ready();
    world.ask_ok(PlayerCall::Prepare);
    world.log.clear();
    world.ask_ok(PlayerCall::Prepare);
    let writes: Vec<_> = world.log.iter().filter(|l| l.contains(" Write {")).collect();
    assert!(writes.iter().all(|l| l.contains("ssg_lut_bram")), "blobs are not read first: {writes:?}");
    assert!(world.ordered("Read"));
    world.registers.insert("acc_len".into(), vec![0; 4]);
    world.ask_ok(PlayerCall::Prepare);
    assert!(world.ordered("Write { register: \"acc_len\""));
}

#[test]
fn prepare_that_fails_leaves_the_mode() {
    let mut world = World::ready();
    world.board = Board::FailsOnce;
    let error = world.ask_err(PlayerCall::Prepare);
    assert!(error.message.starts_with("prepare(MODE1) failed at if_filter: "), "{error}");
    assert_eq!(world.state(), "READY");
    assert_eq!(world.ask_ok(PlayerCall::GetMode), "MODE1".into());
    world.ask_ok(PlayerCall::Prepare);
}

#[test]
fn status_memory_that_fails_is_named() {
    let mut world = World::ready();
    world.status_fails = true;
    let error = world.ask_err(PlayerCall::Prepare);
    assert!(error.message.starts_with("prepare(MODE1) failed at status: "), "{error}");
    assert!(error.message.ends_with("the lock is lost"), "{error}");
    let error = world.ask_err(PlayerCall::GetStatus(Value::Null));
    assert_eq!(error.message, "status memory: the lock is lost");
    world.status_fails = false;
    world.ask_ok(PlayerCall::Prepare);
}

#[test]
fn scans_refuse_what_would_disturb_them() {
    for mut world in [World::scanning(), World::starting().0] {
        let state = world.state();
        let calls = [set_mode("MODE2"), PlayerCall::Prepare, PlayerCall::ArmRoach, PlayerCall::ResetRoach];
        for call in calls.into_iter().chain([PlayerCall::DisarmRoach, PlayerCall::Monitor]) {
            let error = world.ask_err(call);
            assert!(error.message.contains("is refused while a scan is"), "{error}");
            assert_eq!(world.state(), state);
        }
    }
}

#[test]
fn a_forced_mode_change_ends_the_scan_and_says_so() {
    let mut world = World::scanning();
    assert_eq!(world.ask_ok(force_mode("MODE2")), Value::verdict(true, "New mode MODE2 set!"));
    assert_eq!(world.status["SCANREM"], "scan terminated");
    assert!(world.shown("last_scan").contains("set_mode"), "{}", world.shown("last_scan"));
    assert_eq!(world.state(), "READY");
}

#[test]
fn the_status_memory_is_emptied_when_the_program_family_changes() {
    let mut conf = dibas();
    conf.modes[1].hpc_program = "guppi_hpc_server".into();
    let mut world = World::unconnected(site_config(), conf, false);
    world.tell(Input::Link(Link::Up));
    let mut world = world.in_mode1();
    world.ask_ok(PlayerCall::SetStatus(vec![("MINE".into(), "1".into())]));
    world.ask_ok(set_mode("MODE3"));
    assert!(world.status.contains_key("MINE"), "the same family");
    world.ask_ok(set_mode("MODE2"));
    assert!(!world.status.contains_key("MINE"));
}

#[test]
fn a_reloaded_configuration_leaves_the_mode_in_force() {
    let mut world = World::ready();
    let mut conf = dibas();
    conf.modes.truncate(1);
    world.tell(Input::Reloaded(Box::new(conf)));
    assert_eq!(world.ask_ok(PlayerCall::GetMode), "MODE1".into());
    assert_eq!(world.ask_ok(set_mode("MODE2")), Value::verdict(false, "Mode MODE2 is not supported."));
    world.ask_ok(PlayerCall::Prepare);
}

/// Every mode of the example is set, explains its parameters, and is prepared.
#[test]
fn every_mode_of_the_example_can_be_set() {
    let mut world = World::new();
    for mode in dibas().mode_names() {
        let reply = world.ask_ok(set_mode(&mode));
        assert_eq!(reply, Value::verdict(true, format!("New mode {mode} set!")));
        assert_eq!(world.ask_ok(PlayerCall::Prepare), Value::Null, "{mode}");
        assert!(world.status.contains_key("CHAN_BW"), "{mode}");
        assert_eq!(world.state(), "READY");
    }
    assert!(world.registers.contains_key("s7_lo_15_lo_ram"), "the mixers of MODE6");
    assert!(world.registers.contains_key("N_CHAN"), "BANKA is the master of CODD_MODE_64");
}

#[test]
fn guppi_has_no_fits_writer_and_is_armed_when_it_is_set() {
    let mut world = World::new();
    world.ask_ok(set_mode("INCO_MODE_64"));
    assert!(world.is_alive(Child::Daq) && !world.is_alive(Child::FitsWriter));
    assert_eq!(world.registers.get("ARM").map(Vec::as_slice), Some(&[0, 0, 0, 0][..]));
    assert_eq!(world.status.get("BACKEND").map(String::as_str), Some("GUPPI"));
    let refused = world.ask_err(PlayerCall::ClearSwitchingStates);
    assert_eq!(refused.message, "This backend does not support switching signals.");
    let late = world.ask_err(PlayerCall::Start(Value::Null));
    assert!(late.message.starts_with("start(): timed out waiting for 'NETSTAT=receiving'"), "{late}");
    world.status.insert("NETSTAT".into(), "receiving".into());
    world.ask_ok(PlayerCall::Start(Value::Null));
    assert_eq!(world.state(), "SCANNING");
}

#[test]
fn a_fold_takes_its_dispersion_from_the_par_file_at_every_prepare() {
    let mut world = World::new();
    world.ask_ok(set_mode("CODD_MODE_64"));
    let pairs = vec![("obs_mode".into(), "COHERENT_FOLD".into()), ("par_file".into(), "/p/1937.par".into())];
    world.ask_ok(PlayerCall::SetParam(pairs));
    for (text, dm) in [("DM 71.0237\n", "71.0237"), ("PSR x\nDM 3 1\n", "3.0")] {
        world.par_file = Some(Ok(text.into()));
        assert_eq!(world.ask_ok(PlayerCall::Prepare), Value::Null);
        assert_eq!(world.status.get("CHAN_DM").map(String::as_str), Some(dm));
    }
    assert!(world.ordered("read /p/1937.par"));
    world.par_file = Some(Err("No such file or directory".into()));
    let error = world.ask_err(PlayerCall::Prepare);
    assert!(error.message.contains("/p/1937.par: No such file"), "{error}");
    world.par_file = None;
    let error = world.ask_err(PlayerCall::Prepare);
    assert!(error.message.contains("could not be read within 5 s"), "{error}");
    assert_eq!(world.state(), "READY");
}
