//! What a scan leaves beside its data, and the guard over the data flow that its verdict is made from.

use crate::world::*;
use appliance::plan::Child;
use appliance::player::bank::Input;
use appliance::player::config::{PlayerConfig, ScanRules};
use appliance::player::guard::OnAlarm;
use appliance::player::methods::PlayerCall;
use appliance::player::state::State;
use appliance::sys::realtime::ClockQuality;
use appliance::units::Mono;
use appliance::value::Value;

/// A member of a proof, by its path.
fn at<'a>(proof: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(proof, |v, key| v.get(key).unwrap_or_else(|| panic!("{path} in {proof}")))
}

fn last(world: &World) -> &Value {
    world.proofs.last().expect("a proof was written")
}

fn says(world: &World, path: &str) -> String {
    at(last(world), path).to_string()
}

/// A DAQ program as it should be.
fn healthy(world: &mut World) {
    for (key, value) in [("NETSTAT", "receiving"), ("DISKSTAT", "writing"), ("NDROP", "0"), ("NPKT", "0")] {
        world.status.insert(key.into(), value.into());
    }
}

/// With a scan of `length` seconds running and a DAQ program that is well.
fn scanning(config: PlayerConfig, length: i64) -> World {
    let mut world = World::with(config).in_mode1();
    let pairs =
        [("scan_length", Value::Int(length)), ("observer", "Grace".into()), ("project_id", "P1".into())];
    world.ask_ok(PlayerCall::SetParam(pairs.map(|(k, v)| (k.to_owned(), v)).to_vec()));
    healthy(&mut world);
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.log.clear();
    world
}

fn data_begin(world: &World) -> Mono {
    let State::Scanning(scan) = world.player.state() else { panic!("{}", world.state()) };
    Mono(scan.ends.expect("armed").0 - scan.length.as_nanos() as u64 - 1_000_000_000)
}

/// Second by second: the heartbeat beats while `alive`, packets are lost at this rate.
fn run(world: &mut World, seconds: u32, alive: bool, lost: u32) {
    for _ in 0..seconds {
        if alive {
            let text = format!("beat {}", world.now.mono.0);
            world.status.insert("DAQPULSE".into(), text);
        }
        let before: u32 = world.status["NDROP"].parse().expect("a number");
        world.status.insert("NDROP".into(), (before + lost).to_string());
        world.run_for(1.0);
    }
}

fn run_out(world: &mut World) {
    while world.state() == "SCANNING" {
        run(world, 1, true, 0);
    }
    world.run_for(3.0);
}

#[test]
fn a_scan_carries_its_proof_from_the_arm_to_the_verdict() {
    let mut world = scanning(site_config(), 5);
    world.run_for(0.1);
    assert_eq!(says(&world, "state"), "running");
    assert_eq!(at(last(&world), "verdict"), &Value::Null);
    assert_eq!(at(last(&world), "end"), &Value::Null);
    assert_eq!(says(&world, "files.directory"), "/data");
    assert_eq!(says(&world, "files.base"), "BANKA_1_20261121T023525Z");
    let id = says(&world, "id");
    world.status.insert("NPKT".into(), "12345".into());
    run_out(&mut world);
    assert_eq!(says(&world, "id"), id);
    let expected = [
        ("state", "ended"),
        ("verdict", "complete"),
        ("bank", "BANKA"),
        ("mode", "MODE1"),
        ("observer", "Grace"),
        ("project", "P1"),
        ("simulate", "False"),
        ("scan_number", "1"),
        ("dibas_conf", "example"),
        ("parameters.observer.default", "False"),
        ("parameters.scan_length.value", "5"),
        ("parameters.scan_length.unit", "s"),
        ("parameters.cal_freq.default", "True"),
        ("start.requested", "2026-11-21 02:35:25"),
        ("end.reason", "complete"),
        ("end.recorded_s", "5.0"),
        ("end.packets.expected", "12345"),
        ("end.packets.lost", "0"),
        ("end.packets.duplicate", "not verified"),
        ("end.first_packet_mjd", "not verified"),
        ("clock.synchronised", "True"),
    ];
    for (path, text) in expected {
        assert_eq!(says(&world, path), text, "{path}");
    }
    assert!(says(&world, "registers.arm").starts_with("0x"), "{}", says(&world, "registers"));
    assert!(says(&world, "start.arm_began.utc").starts_with("2026-11-21 02:35:24.1"));
    assert_eq!(says(&world, "dibas_conf_hash").len(), 16);
    assert_eq!(at(last(&world), "overrides"), &Value::List(vec![]));
    let shown = world.shown("last_scan");
    for part in [format!("'id': '{id}'"), "'verdict': 'complete'".into(), ".scan.json".into()] {
        assert!(shown.contains(&part), "{part} in {shown}");
    }
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(0.1);
    assert_ne!(says(&world, "id"), id, "unique");
}

#[test]
fn the_builtin_program_names_its_files_and_so_is_the_proof() {
    let mut world = World::with(builtin_config()).in_mode1();
    world.ask_ok(PlayerCall::SetScanNumber(7));
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(0.1);
    assert_eq!(says(&world, "files.base"), "vegas_211126_7.00");
}

#[test]
fn the_proof_says_who_began_and_who_stopped() {
    let mut world = World::ready();
    world.client = Some("10.16.96.7:4711".into());
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(1.0);
    world.client = Some("10.16.96.8:4711".into());
    world.ask_ok(PlayerCall::Stop);
    world.run_for(3.0);
    assert_eq!(says(&world, "client"), "10.16.96.7:4711");
    assert_eq!(says(&world, "end.by"), "10.16.96.8:4711");
    assert_eq!((says(&world, "end.reason"), says(&world, "verdict")), ("stopped".into(), "complete".into()));
}

#[test]
fn overrides_stand_in_the_proof() {
    let mut world = World::with(PlayerConfig { simulate: true, ..site_config() }).in_mode1();
    world.clock = Some(Ok(ClockQuality { synchronised: false, ..good_clock() }));
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(0.1);
    assert_eq!(says(&world, "simulate"), "True");
    assert!(says(&world, "overrides").contains("is not synchronised"), "{}", says(&world, "overrides"));
}

#[test]
fn every_other_end_has_its_verdict() {
    type Act = fn(&mut World);
    let table: [(Act, &str, &str); 5] = [
        (|w| w.kill(Child::Daq), "failed (the DAQ program died: killed by signal 11)", "died"),
        (
            |w| {
                w.call(force_mode("MODE2"));
            },
            "degraded (2.0 of 5.0 s: ended by set_mode(MODE2))",
            "set_mode",
        ),
        (|w| w.tell(Input::Shutdown), "degraded (2.0 of 5.0 s: the player was stopped)", "was stopped"),
        (
            |w| drop(w.status.insert("DISKSTAT".into(), "error: disk full".into())),
            "failed (data are missing: DISKSTAT=error: disk full)",
            "complete",
        ),
        (
            |w| {
                w.programmed = None;
                w.drop_link();
                w.link_back();
            },
            "failed (the FPGA is no longer programmed",
            "restarted",
        ),
    ];
    for (act, verdict, reason) in table {
        let mut world = scanning(site_config(), 5);
        let begin = data_begin(&world).since(world.now.mono);
        world.run_for(begin.as_secs_f64() + 2.0);
        act(&mut world);
        world.run_for(30.0);
        let said = says(&world, "verdict");
        assert!(said.starts_with(verdict), "{said} for {verdict}");
        assert!(says(&world, "end.reason").contains(reason), "{}", says(&world, "end.reason"));
        assert_eq!(says(&world, "state"), "ended");
    }
}

#[test]
fn packets_that_are_lost_are_counted_from_the_start_of_the_scan() {
    let mut world = World::ready();
    healthy(&mut world);
    world.status.insert("NDROP".into(), "500".into());
    world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), Value::Int(8))]));
    world.ask_ok(PlayerCall::Start(Value::Null));
    run(&mut world, 3, true, 0);
    assert_eq!(world.shown("warnings"), "[]", "lost before this scan");
    run(&mut world, 2, true, 6);
    assert_eq!(world.shown("warnings"), "['6 packets lost (NDROP)']");
    run_out(&mut world);
    assert_eq!(says(&world, "verdict"), "degraded (12 packets lost)");
    assert_eq!(says(&world, "end.packets.lost"), "12");
    let events = says(&world, "events");
    assert!(events.contains("6 packets lost") && events.contains("packet loss: in order again"), "{events}");
}

#[test]
fn a_heartbeat_that_stands_still_is_said_by_our_own_clock() {
    let mut world = scanning(site_config(), 12);
    run(&mut world, 4, true, 0);
    world.set_clock(-50.0);
    run(&mut world, 3, false, 0);
    assert_eq!(world.shown("warnings"), "[]", "3 s are allowed, whatever the wall clock says");
    run(&mut world, 2, false, 0);
    assert!(
        world.shown("warnings").contains("no heartbeat of the DAQ program"),
        "{}",
        world.shown("warnings")
    );
    run(&mut world, 1, true, 0);
    world.run_for(0.1);
    assert_eq!(world.state(), "SCANNING");
    run_out(&mut world);
    let verdict = says(&world, "verdict");
    assert!(verdict.starts_with("degraded (heartbeat of the DAQ program: out of order for "), "{verdict}");
    assert!(
        says(&world, "events").contains("the wall clock was set by -50.000 s"),
        "{}",
        says(&world, "events")
    );
}

#[test]
fn a_network_that_is_silent_has_three_seconds_of_grace() {
    let mut world = scanning(site_config(), 10);
    world.status.insert("NETSTAT".into(), "waiting".into());
    let begin = data_begin(&world).since(world.now.mono).as_secs_f64();
    world.run_for(begin + 2.9);
    assert_eq!(world.shown("warnings"), "[]");
    run(&mut world, 2, true, 0);
    assert_eq!(world.shown("warnings"), "['no data are received: NETSTAT=waiting']");
    run_out(&mut world);
    assert!(says(&world, "verdict").starts_with("degraded (network: out of order for "));
}

#[test]
fn keys_that_were_never_there_are_no_alarm() {
    let mut world = World::scanning();
    world.run_for(10.0);
    assert_eq!(says(&world, "verdict"), "complete");
    assert_eq!(says(&world, "end.packets.lost"), "not verified");
}

#[test]
fn a_disk_that_fills_is_said_before_it_is_full() {
    let mut world = scanning(site_config(), 20);
    world.space = 900_000_000;
    run(&mut world, 12, true, 0);
    assert_eq!(world.shown("warnings"), "['0.90 GB are free on disk, less than 1.00 GB']");
    world.space = 1 << 40;
    run_out(&mut world);
    assert!(says(&world, "verdict").starts_with("degraded (space on disk: out of order for "));
}

#[test]
fn the_guard_ends_the_scan_where_the_site_wants_that() {
    let rules = ScanRules { guard: OnAlarm::Stop, ..ScanRules::default() };
    let mut world = scanning(PlayerConfig { scan: rules, ..site_config() }, 30);
    run(&mut world, 5, true, 3);
    assert_eq!(world.state(), "SCANNING", "lost packets only warn");
    world.status.insert("NETSTAT".into(), "blocked".into());
    run(&mut world, 2, true, 0);
    assert_eq!(world.state(), "READY");
    assert!(world.ordered("DAQ program: stop"));
    world.run_for(3.0);
    let verdict = says(&world, "verdict");
    assert!(verdict.starts_with("degraded (") && verdict.contains("NETSTAT=blocked"), "{verdict}");
    assert!(says(&world, "end.reason").starts_with("ended by the guard"));
}

#[test]
fn a_first_packet_before_the_start_contradicts_it() {
    for (after, verdict) in [
        (-0.6, "failed (the first packet came 0.600 s before the start)"),
        (-0.4, "complete"),
        (0.3, "complete"),
        (2.0, "degraded (the first packet came 2.000 s after the start)"),
    ] {
        let mut world = scanning(site_config(), 5);
        let State::Scanning(scan) = world.player.state() else { panic!("{}", world.state()) };
        let mjd = scan.start.mjd() + after / 86_400.0;
        world.run_for(0.1);
        world.status.insert("HWEXPOSR".into(), "0.001".into());
        world.status.insert("M_STTMJD".into(), format!("{mjd:.10}"));
        run_out(&mut world);
        assert_eq!(says(&world, "verdict"), verdict, "{after} s");
    }
}

#[test]
fn a_clock_set_between_request_and_arm_is_a_reservation() {
    let (mut world, start) = World::starting();
    world.set_clock(1.0);
    world.answer(start).expect("armed");
    world.ask_ok(PlayerCall::Stop);
    world.run_for(3.0);
    assert_eq!(says(&world, "verdict"), "degraded (the clock was set by +1.000 s between request and arm)");
}

#[test]
fn a_leap_second_inside_a_scan_is_an_event() {
    let mut world = World::ready();
    world.clock = Some(Ok(ClockQuality { leap_pending: true, ..good_clock() }));
    world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), Value::Int(86_400))]));
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(0.1);
    assert!(says(&world, "events").contains("a leap second is announced inside this scan"));
}

#[test]
fn a_proof_that_cannot_be_written_is_said_and_does_not_stop_the_scan() {
    let mut world = World::ready();
    world.files_fail = true;
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(0.5);
    assert_eq!(world.state(), "SCANNING");
    assert!(world.shown("last_error").contains("the proof of a scan is not on disk"));
}

#[test]
fn a_status_memory_that_fails_leaves_a_proof_all_the_same() {
    let mut world = scanning(site_config(), 3);
    world.status_fails = true;
    world.run_for(20.0);
    assert_eq!(says(&world, "state"), "ended");
    let verdict = says(&world, "verdict");
    assert!(verdict.starts_with("degraded (status memory: out of order"), "{verdict}");
}

#[test]
fn a_scan_that_is_stopped_at_once_has_a_proof() {
    let mut world = World::ready();
    let start = world.call(PlayerCall::Start(Value::Null));
    while world.is_open(start) {
        assert!(world.step());
    }
    let before = world.now;
    world.ask_ok(PlayerCall::Stop);
    assert_eq!(world.now, before);
    world.run_for(5.0);
    assert_eq!((says(&world, "state"), says(&world, "end.recorded_s")), ("ended".into(), "0.0".into()));
}

// ---------------------------------------------------------------------- what the hardware says itself

#[test]
fn what_was_written_is_read_back_when_the_scan_begins() {
    let mut world = scanning(site_config(), 5);
    world.run_for(2.0);
    run_out(&mut world);
    let Value::Map(written) = at(last(&world), "registers").clone() else { panic!("an object") };
    assert!(written.len() > 5, "{written:?}");
    for (name, value) in &written {
        assert_eq!(at(at(last(&world), "read_back.registers"), name), value, "{name}");
    }
    assert_eq!(at(last(&world), "read_back.contradictions"), &Value::List(vec![]));
    assert_eq!(says(&world, "read_back.i2c.0x38.requested"), "0x09");
    assert!(
        says(&world, "read_back.i2c.0x38.read").starts_with("not verified: "),
        "the world's board has none"
    );
    assert!(says(&world, "software.commit").len() > 6);
    assert!(says(&world, "gateware_hash").starts_with("unverifiable: player.gateware_dir"));
    assert!(says(&world, "switching.tables.ssg_lut_bram").starts_with("0x"));
    let Value::List(states) = at(last(&world), "switching.states").clone() else { panic!("a list") };
    assert_eq!(states.len(), 1);
    assert_eq!(says(&world, "verdict"), "complete");
}

#[test]
fn a_register_that_does_not_read_as_written_is_a_reservation() {
    let mut world = World::with(site_config()).in_mode1();
    world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), Value::Int(5))]));
    world.ask_ok(PlayerCall::Prepare);
    healthy(&mut world);
    // Somebody beside us.
    world.registers.insert("acc_len".into(), vec![0, 0, 0, 1]);
    world.ask_ok(PlayerCall::Start(Value::Null));
    run_out(&mut world);
    let verdict = says(&world, "verdict");
    let expected = "degraded (register acc_len reads 0x00000001, and 0x00000300 was written)";
    assert_eq!(verdict, expected);
    assert!(says(&world, "events").contains("register acc_len reads"), "{}", says(&world, "events"));
}

#[test]
fn a_board_that_does_not_answer_leaves_the_proof_unverified_and_the_scan_alone() {
    let mut world = World::with(site_config()).in_mode1();
    world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), Value::Int(5))]));
    healthy(&mut world);
    let start = world.call(PlayerCall::Start(Value::Null));
    while world.is_open(start) {
        assert!(world.step());
    }
    world.drop_link();
    run_out(&mut world);
    assert_eq!(says(&world, "state"), "ended");
    let register = says(&world, "read_back.registers.acc_len");
    assert!(register.starts_with("not verified: "), "{register}");
    assert!(says(&world, "read_back.synthesizer.end").starts_with("not verified"));
}

#[test]
fn the_gateware_is_summed_where_its_file_is() {
    let rules = ScanRules { gateware_dir: "/bofs".into(), ..ScanRules::default() };
    let mut world = scanning(PlayerConfig { scan: rules, ..site_config() }, 3);
    run_out(&mut world);
    assert_eq!(says(&world, "gateware_hash"), "ab".repeat(32));
}

// ---------------------------------------------------------------------- space for the whole scan

fn long_scan(config: PlayerConfig, space: u64) -> World {
    let mut world = World::with(config).in_mode1();
    world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), Value::Int(3600))]));
    world.ask_ok(PlayerCall::Prepare);
    healthy(&mut world);
    world.space = space;
    world
}

/// Bytes of an hour in MODE1: 1024 channels, 2 products, 4 bytes, every exposure of 1.000341504 s.
const HOUR: u64 = 29_481_132;

#[test]
fn a_scan_that_does_not_fit_is_refused_with_numbers_before_it_is_armed() {
    let mut world = long_scan(site_config(), HOUR - 1000);
    let error = world.ask_err(PlayerCall::Start(Value::Null));
    for part in [
        "start(): refused: the scan needs about 0.029 GB",
        "1024 channels x 2 products",
        "free in /data",
        "player.require_space = false",
    ] {
        assert!(error.message.contains(part), "{part} in {error}");
    }
    assert_eq!(world.state(), "READY");
    assert!(!world.ordered("\"arm\""));
    world.space = HOUR + 1000;
    world.ask_ok(PlayerCall::Start(Value::Null));
    world.run_for(2.0);
    assert_eq!(says(&world, "space.needed_bytes"), HOUR.to_string());
    assert_eq!(says(&world, "space.free_bytes"), (HOUR + 1000).to_string());
    assert_eq!(says(&world, "space.at_least"), "False");
    assert_eq!(at(last(&world), "overrides"), &Value::List(vec![]));
}

#[test]
fn a_site_may_start_without_space_and_the_scan_says_so() {
    let lenient = ScanRules { require_space: false, ..ScanRules::default() };
    let simulated = PlayerConfig { simulate: true, ..site_config() };
    let lenient = PlayerConfig { scan: lenient, ..site_config() };
    for (config, why) in [(lenient, "player.require_space = false"), (simulated, "a simulation may do so")] {
        let mut world = long_scan(config, 1000);
        world.ask_ok(PlayerCall::Start(Value::Null));
        world.run_for(2.0);
        let overrides = says(&world, "overrides");
        assert!(
            overrides.contains("the scan needs about 0.029 GB") && overrides.contains(why),
            "{overrides}"
        );
    }
}

#[test]
fn a_mode_whose_rate_is_not_known_needs_the_least_there_must_be() {
    let mut world = World::new();
    world.ask_ok(set_mode("CODD_MODE_64"));
    let pairs = vec![("obs_mode".into(), "RAW".into()), ("scan_length".into(), Value::Int(3600))];
    world.ask_ok(PlayerCall::SetParam(pairs));
    world.ask_ok(PlayerCall::Prepare);
    healthy(&mut world);
    world.space = 999_999_999;
    let error = world.ask_err(PlayerCall::Start(Value::Null));
    assert!(error.message.contains("needs at least 1.000 GB (the rate of this mode is not known"), "{error}");
}

#[test]
fn a_scan_of_the_builtin_program_without_one_packet_has_failed() {
    let verdict = |packets: bool| {
        let mut world = scanning(builtin_config(), 2);
        world.run_for(1.2);
        if packets {
            let State::Scanning(scan) = world.player.state() else { panic!("{}", world.state()) };
            world.status.insert("M_STTMJD".into(), format!("{:.10}", scan.start.mjd()));
        }
        world.run_for(8.0);
        says(&world, "verdict")
    };
    assert_eq!(verdict(true), "complete");
    assert_eq!(verdict(false), "failed (not one packet came: nothing is recorded)");
}
