//! Modes whose data path is not built in, on loopback, with real player processes, simulated boards and simulated DAQ
//! programs: a coherent observation of eight banks with one ROACH, a bank of eight subbands, rehearsals,
//! and programs that misbehave.

mod board;
mod house;
mod plans;
#[path = "../failures/processes.rs"]
#[allow(dead_code, reason = "shared with tests that kill more")]
mod processes;

use appliance::sys::clock;
use appliance::value::Value;
use board::Wanted;
use house::{Board, Caller, House, Player, start_argument, text};
use plans::plans;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const BANKS: [&str; 8] = ["BANKA", "BANKB", "BANKC", "BANKD", "BANKE", "BANKF", "BANKG", "BANKH"];
const SIMULATED: (&str, &str) = ("player.daq", "simulated");
/// What a bank with a board has beside its port.
const WITH_BOARD: &str = "has_roach = true
katcp_ip = 127.0.0.1
data_source_host = 127.0.17.65
synth = katcp
synth_port = /dev/ttyS1
synth_ref = external
synth_ref_freq = 10000000
synth_vco_range = 2200, 4400
synth_rf_level = 5
synth_options = 0, 0, 1, 0
filter_bandwidth_bits = 450, 0x00
";
/// What a busy machine may add to the end of a scan.
const LATE: Duration = Duration::from_secs(3);

/// The same call to all players at once; their answers in order.
fn all(players: &[Player], method: &str, args: &[Value]) -> Vec<String> {
    std::thread::scope(|scope| {
        let call = |caller: Caller| scope.spawn(move || caller.done(method, args.to_vec()).to_string());
        let calls: Vec<_> = players.iter().map(|player| call(player.caller())).collect();
        calls.into_iter().map(|c| c.join().expect("why is above")).collect()
    })
}

#[test]
fn eight_banks_observe_coherently_with_one_board() {
    let logs = tempfile::tempdir().expect("a directory");
    let master = Board::start(&logs.path().join("roach-a"));
    // A second bank has a board of its own: in this mode nobody may touch it.
    let idle = Board::start(&logs.path().join("roach-b"));
    let house = House::new(&[
        ("katcp_port = 7147", &format!("katcp_port = {}", master.port)),
        (
            "player_port = 6668\nhas_roach = false\n",
            &format!("player_port = 6668\nkatcp_port = {}\n{WITH_BOARD}", idle.port),
        ),
    ]);
    let players: Vec<Player> = BANKS.iter().map(|bank| house.player(bank, &[SIMULATED])).collect();
    players[..2].iter().for_each(Player::await_board);

    all(&players, "set_mode", &["CODD_MODE_64".into()]);
    let parameters = [("scan_length", Value::Float(60.0)), ("dm", Value::Float(71.0))];
    for player in &players {
        player.set_params(&parameters);
        assert_eq!((player.daq("kind"), player.key("BACKEND")), ("simulated".into(), "GUPPI".into()));
    }
    all(&players, "prepare", &[]);

    let second = players.iter().map(Player::earliest_start).max().expect("eight");
    let answers: BTreeSet<String> = all(&players, "start", &[start_argument(second)]).into_iter().collect();
    assert_eq!(answers.len(), 1, "all start on the same second: {answers:?}");
    assert!(answers.iter().all(|a| a.contains(&second.to_string())), "{answers:?}, asked for {second}");
    let starts: BTreeSet<String> = players.iter().map(|p| p.key("STTMJD")).collect();
    assert_eq!(starts.len(), 1, "{starts:?}");

    // The board is what the plans of the master make of it, and nobody else has one.
    let [set_mode, prepare, start] = plans(&house.dibas, "BANKA", "CODD_MODE_64", &parameters);
    let wanted = Wanted::after(&[&set_mode, &prepare, &start]);
    assert_eq!((wanted.taps.len(), wanted.arp.len()), (8, 8));
    let registers = || wanted.registers.keys().map(|(name, _)| name.as_str());
    for name in
        (0..8).flat_map(|i| [format!("IP_{i}"), format!("PT_{i}")]).chain(["ARM".into(), "N_CHAN".into()])
    {
        assert!(registers().any(|r| r == name), "{name} is not in the plans");
    }
    wanted.holds_on(&mut master.link());
    assert!(!idle.link().is_programmed(), "the board of a slave is left alone");
    for bank in &BANKS[1..] {
        let of_slave = plans(&house.dibas, bank, "CODD_MODE_64", &parameters);
        let slave = Wanted::after(&of_slave.each_ref());
        assert!(
            slave.registers.is_empty() && slave.taps.is_empty(),
            "{bank} writes to no board, nor arms one"
        );
    }

    for player in &players {
        let arms = house.record(&player.bank).contains("write register ARM = 1");
        assert_eq!(arms, player.bank == "BANKA", "{}: only the master arms", player.bank);
    }

    // Each has its own eighth of the band, and its packets.
    let frequencies: BTreeSet<String> = players.iter().map(|p| p.key("OBSFREQ")).collect();
    assert_eq!(frequencies.len(), 8, "{frequencies:?}");
    for (player, node) in players.iter().zip(0..) {
        assert_eq!(player.key("BANKNUM"), node.to_string());
        assert_eq!(player.key("DATAHOST"), format!("127.0.17.{}", 64 + node), "{}", player.bank);
        player.await_key("NETSTAT", "receiving");
        assert_eq!(player.state_name(), "SCANNING");
    }

    all(&players, "stop", &[]);
    for player in players {
        assert_eq!(text(&player.await_state("READY"), &["last_scan", "ended"]), "stopped");
        player.await_key("DAQSTATE", "stopped");
        player.stop();
    }
}

#[test]
fn a_bank_of_eight_subbands_waits_for_its_gpu_and_scans_to_the_second() {
    let logs = tempfile::tempdir().expect("a directory");
    let board = Board::start(&logs.path().join("roach"));
    let house = House::new(&[("katcp_port = 7147", &format!("katcp_port = {}", board.port))]);
    let gpu = Duration::from_millis(1500);
    let options = format!("--gpu-delay, {}", gpu.as_secs_f64());
    let player = house.player("BANKA", &[SIMULATED, ("player.sim_daq", &options)]);
    player.await_board();
    let before = clock::mono();
    player.done("set_mode", vec!["MODE6".into()]);
    assert!(clock::mono().since(before) >= gpu, "the GPU takes its time");
    assert_eq!(player.key("GPUCTXIN"), "TRUE");

    let subbands: Vec<Value> = (0..8).map(|i| Value::Float(200e6 + 31e6 * f64::from(i))).collect();
    let parameters = [
        ("scan_length", Value::Float(3.0)),
        ("exposure", Value::Float(0.5)),
        ("subband_freq", Value::List(subbands)),
    ];
    player.set_params(&parameters);
    player.done("prepare", vec![]);
    let [set_mode, prepare, start] = plans(&house.dibas, "BANKA", "MODE6", &parameters);
    let wanted = Wanted::after(&[&set_mode, &prepare, &start]);
    let second = player.earliest_start();
    player.done("start", vec![start_argument(second)]);
    wanted.holds_on(&mut board.link());
    assert_eq!(wanted.named("_mixer_cnt").len(), 8, "one a subband");
    assert_eq!(wanted.named("_quant_gain").len(), 8);
    let tables: BTreeSet<&[u8]> = wanted.named("_lo_ram").into_iter().collect();
    assert!(tables.len() >= 8, "eight frequencies, so the oscillators differ");

    let state = player.await_state("READY");
    let ended = clock::now().utc;
    assert_eq!(text(&state, &["last_scan", "ended"]), "complete");
    // One second more is for the last data.
    let due = second + Duration::from_secs(4);
    let late = ended.nanos_since(due);
    assert!((0..=LATE.as_nanos() as i64).contains(&late), "ended {late} ns after its time");
    player.await_key("DAQSTATE", "stopped");
    player.stop();
}

#[test]
fn a_beamformer_bank_is_told_its_scan_and_its_board_where_the_x_engines_are() {
    let logs = tempfile::tempdir().expect("a directory");
    let board = Board::start(&logs.path().join("roach"));
    let house = House::new(&[("katcp_port = 7147", &format!("katcp_port = {}", board.port))]);
    let player = house.player("BANKA", &[SIMULATED]);
    player.await_board();
    player.done("set_mode", vec!["MODE42".into()]);
    assert_eq!((player.key("BACKEND"), player.key("COVMODE")), ("VEGAS".into(), "HI".into()));
    assert_ne!(player.key("DAQPULSE"), "", "the mode is set when the program lives");

    let parameters = [("int_length", Value::Float(0.5)), ("project_id", "AGBT26A_001".into())];
    player.set_params(&parameters);
    player.done("prepare", vec![]);
    assert_eq!((player.key("PROJID"), player.key("REQSTI")), ("AGBT26A_001".into(), "0.5".into()));
    let [set_mode, prepare, start] = plans(&house.dibas, "BANKA", "MODE42", &parameters);
    let wanted = Wanted::after(&[&set_mode, &prepare, &start]);

    let asked = clock::now().utc;
    let reply = player.done("startin", vec![Value::Float(5.0), Value::Float(2.0)]).to_string();
    assert!(reply.contains("Successfully started roach"), "{reply}");
    assert_eq!(player.key("SCANLEN"), "2.0");
    let start_s: f64 = player.key("STRTDMJD").parse().expect("a time");
    let ahead = (start_s - asked.mjd()) * 86_400.0;
    assert!((4.9..7.0).contains(&ahead), "five seconds and the rest of one: {ahead}");
    let mut link = board.link();
    wanted.holds_on(&mut link);
    assert_eq!((wanted.taps.len(), wanted.named("part2_x_port").len()), (0, 1));
    let ids: Vec<u8> = (0..20).map(|n| link.read(&format!("part2_x_id{n}"), 0, 4)[3]).collect();
    assert_eq!(ids[..8], [0, 1, 2, 3, 0, 1, 2, 3], "four hosts in turn");
    assert_eq!(link.read("part2_x_ip5", 0, 4), [127, 0, 17, 2]);
    let mut arp = |octet: u32| link.read("part2_gbe3", 0x3000 + 8 * octet, 8);
    assert_eq!(arp(8), [0, 0, 2, 0, 0, 0, 0x17, 8]);

    assert_eq!(text(&player.await_state("READY"), &["last_scan", "ended"]), "complete");
    player.await_key("DAQSTATE", "stopped");
    player.stop();
}

#[test]
fn the_sites_own_programs_set_up_and_arm_its_boards() {
    let dir = tempfile::tempdir().expect("a directory");
    let board = Board::start(&dir.path().join("roach"));
    let mut link = board.link();
    link.program("flag_example.bof");
    let script = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
        path.display().to_string()
    };
    let told = dir.path().join("told");
    let setup = script("setup", "cat; test ! -e \"$1.broken\" || exit 7; echo setup \"$2\" >> \"$1\"");
    let arm = script("arm", "echo arm \"$2\" >> \"$1\"");
    let file = told.display();
    let boards =
        format!("has_roaches = 1\nroaches_setup = {setup} {file} $(x)\nroaches_arm = {arm} {file} -s");
    let house = House::new(&[
        ("katcp_port = 7147", &format!("katcp_port = {}", board.port)),
        ("sim3 = 1", "sim3 = 0"),
        ("has_roaches = 0", &boards),
    ]);
    let player = house.player("BANKA", &[SIMULATED]);
    player.await_board();

    let broken = dir.path().join("told.broken");
    std::fs::write(&broken, "").expect("written");
    let why = player.fails("set_mode", vec!["MODE42".into()]);
    assert!(why.contains("setup_boards") && why.contains("exit status 7"), "{why}");
    std::fs::remove_file(&broken).expect("removed");

    player.done("set_mode", vec!["MODE42".into()]);
    let told = || std::fs::read_to_string(&told).unwrap_or_default();
    assert_eq!(told(), "setup $(x)\n", "no shell looks at the words");
    assert_eq!(link.read("part2_x_id7", 0, 4), [0, 0, 0, 7], "the site's boards are not four");
    player.set_params(&[("scan_length", Value::Float(1.0))]);
    player.done("prepare", vec![]);
    player.done("start", vec![]);
    assert_eq!(told(), "setup $(x)\narm -s\n");
    assert!(!house.record("BANKA").contains("write register ARM"), "nobody else arms");
    assert_eq!(text(&player.await_state("READY"), &["last_scan", "ended"]), "complete");
    player.stop();
}

#[test]
fn a_rehearsal_says_which_modes_it_does_not_record() {
    let house = House::new(&[]);
    let player = house.player("BANKA", &[("player.simulate", "true")]);
    player.await_board();
    let simulated = "rehearsed with a simulated DAQ program (appliance sim daq): nothing is recorded";
    player.done("set_mode", vec!["MODE1".into()]);
    assert_eq!(player.daq("kind"), "builtin");
    assert!(!player.log().contains(simulated));
    for mode in ["MODE4", "MODE5", "INCO_MODE_64", "MODE42"] {
        player.done("set_mode", vec![mode.into()]);
        assert_eq!(player.daq("kind"), "simulated", "{mode}");
        assert!(player.log().contains(&format!("{mode} is {simulated}")), "{mode}");
        player.set_params(&[("scan_length", Value::Float(1.0))]);
        player.done("prepare", vec![]);
        player.done("start", vec![]);
        assert_eq!(text(&player.await_state("READY"), &["last_scan", "ended"]), "complete", "{mode}");
    }
    player.stop();
}

#[test]
fn a_program_that_misbehaves_is_noticed() {
    let logs = tempfile::tempdir().expect("a directory");
    let board = Board::start(&logs.path().join("roach"));
    let house = House::new(&[("katcp_port = 7147", &format!("katcp_port = {}", board.port))]);
    let with = |fault: &str| {
        let player = house.player("BANKA", &[SIMULATED, ("player.sim_daq", &format!("--fault, {fault}"))]);
        player.await_board();
        player.done("set_mode", vec!["INCO_MODE_64".into()]);
        player.done("prepare", vec![]);
        player
    };
    let player = with("no-netstat");
    let why = player.fails("start", vec![]);
    assert!(why.contains("NETSTAT=receiving"), "{why}");
    assert_eq!(player.state_name(), "READY");
    player.stop();

    let player = with("die-after=8");
    player.done("start", vec![]);
    let ended = text(&player.await_state("READY"), &["last_scan", "ended"]);
    assert!(ended.contains("died: exit status 1"), "{ended}");
    player.stop();

    // It obeys nothing but SIGKILL, or SIGTERM: the player comes to an end all the same.
    for (fault, start, how) in
        [("ignore-quit", None, "exit status 0"), ("hang", Some("DAQSTATE"), "killed by signal 9")]
    {
        let player = with(fault);
        if let Some(key) = start {
            let why = player.fails("start", vec![]);
            assert!(why.contains(key), "{why}");
        }
        player.done("set_mode", vec!["INCO_MODE_64".into(), Value::Null, true.into()]);
        assert_eq!(player.daq("last_exit"), how, "{fault}");
        player.stop();
    }
}
