use super::*;
use proptest::prelude::*;

/// A sound file with one bank and one mode, to be damaged by the tests.
const EXAMPLE: &str = include_str!("../../../config/dibas.example.conf");

fn load(text: &str) -> Dibas {
    Dibas::load(text, "test.conf").expect("the essential sections are sound")
}

fn has(findings: &[Finding], severity: Severity, place: &str, words: &str) -> bool {
    let here = |f: &Finding| format!("{}.{}", f.section, f.key) == place && f.problem.contains(words);
    findings.iter().any(|f| f.severity == severity && here(f))
}

#[test]
fn the_example_is_without_fault() {
    let dibas = load(EXAMPLE);
    assert_eq!(dibas.findings, []);
    assert_eq!(
        dibas.mode_names(),
        ["CODD_MODE_64", "INCO_MODE_64", "MODE1", "MODE2", "MODE3", "MODE4", "MODE5", "MODE6"]
    );
    let bank = dibas.bank("BANKA").expect("BANKA");
    assert_eq!((bank.instance(), &bank.usable), (0, &Ok(())));
    assert_eq!(bank.filter_bits, [(450, 0), (1450, 8), (1900, 0x18)]);
    let mode = dibas.mode("MODE1").expect("MODE1");
    assert_eq!(mode.arm_phase.len(), 9);
    assert_eq!(mode.roach_regs[1], ("fftshift".to_owned(), RegisterValue::Word(0x5555)));
    assert_eq!(dibas.arp_table(&|_| None).0, [(1, 0x0200_0000_1701)]);
}

#[test]
fn the_hash_follows_the_text() {
    assert_eq!(load(EXAMPLE).hash, load(EXAMPLE).hash);
    assert_ne!(load(EXAMPLE).hash, load(&EXAMPLE.replace("1500", "1400")).hash);
}

#[test]
fn missing_essentials_fail_the_file() {
    for (cut, place, words) in [
        ("who_is_master = BANKA", "DEFAULTS.who_is_master", "required"),
        ("[HPCMACS]", "HPCMACS.", "section is required"),
        ("127.0.17.1 = 02:", "HPCMACS.127.0.17.1", "multicast"),
    ] {
        let damaged = match words {
            "multicast" => EXAMPLE.replace(cut, "127.0.17.1 = 01:"),
            _ => EXAMPLE.replace(cut, ""),
        };
        let findings = Dibas::load(&damaged, "test.conf").expect_err(cut);
        assert!(has(&findings, Severity::Error, place, words), "{cut}: {findings:?}");
    }
    let findings = Dibas::load("k = 1\n[A\n", "test.conf").expect_err("grammar");
    assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_bad_bank_or_mode_only_disables_itself() {
    let text =
        EXAMPLE.replace("katcp_port = 7147", "katcp_prot = 7147").replacen("nchan = 1024", "nchan = many", 1);
    let dibas = load(&text);
    let bank = dibas.bank("BANKA").expect("kept");
    assert_eq!(bank.usable, Err("Bad keys found in section BANKA: ['katcp_port']".to_owned()));
    assert_eq!(
        dibas.mode("MODE1").expect("kept").usable,
        Err("Bad keys found in section MODE1: ['nchan']".to_owned())
    );
    assert_eq!(dibas.mode("MODE2").expect("kept").usable, Ok(()));
    assert!(has(&dibas.findings, Severity::Warning, "BANKA.katcp_prot", "did you mean 'katcp_port'"));
    assert!(has(&dibas.findings, Severity::Error, "MODE1.nchan", "'many' is not a whole decimal number"));
    assert_eq!(dibas.mode_names().len(), 8);
}

#[test]
fn colliding_and_oversized_macs_are_errors() {
    let two = EXAMPLE.replace("[DEALER]", "10.0.0.1 = 02:00:00:00:00:09\n[DEALER]");
    let findings = Dibas::load(&two, "t").expect_err("same last octet");
    assert!(has(&findings, Severity::Error, "HPCMACS.10.0.0.1", "last octet 1"));
    let named = load(&EXAMPLE.replace("[DEALER]", "node9 = 02:00:00:00:00:09\n[DEALER]"));
    let (table, findings) = named.arp_table(&|_| Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!((table.len(), findings.len()), (1, 1));
    let (table, findings) = named.arp_table(&|_| None);
    assert_eq!((table.len(), findings[0].severity), (1, Severity::Warning));
}

#[test]
fn not_available_and_quotes() {
    let text =
        EXAMPLE.replace("synth = katcp", "synth = \"N/A\"").replace("has_roach = true", "has_roach = False");
    let bank = load(&text).bank("BANKA").expect("kept").clone();
    assert_eq!((bank.synth, bank.usable), (None, Ok(())));
    let quoted = load(&EXAMPLE.replace("telescope = EXAMPLE", "telescope = \"a\"b\""));
    assert_eq!(quoted.telescope, "a\"b");
}

#[test]
fn key_lists_keep_their_case_and_drop_what_is_missing() {
    let text = EXAMPLE.replacen(
        "shmkeys = BACKEND, MODENAME, _SWSGPLY",
        "shmkeys = Backend,\n  nope,\n  hwexposr,",
        1,
    );
    let dibas = load(&text);
    let keys: Vec<&str> = dibas.modes[0].shm_keys.iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(keys, ["Backend", "hwexposr"]);
    assert!(has(&dibas.findings, Severity::Warning, "MODE1.shmkeys", "'nope'"));
    assert!(has(&dibas.findings, Severity::Warning, "MODE1.shmkeys", "empty name"));
}

#[test]
fn instances_come_from_the_last_letter() {
    let mut bank = load(EXAMPLE).banks.remove(0);
    for (name, instance) in [("BANKH", 7), ("BANKb", 1), ("BANK1", 0), ("", 0)] {
        bank.name = name.to_owned();
        assert_eq!(bank.instance(), instance, "{name}");
    }
}

const LOOPBACK: &str = include_str!("../../../config/dibas.loopback.conf");

#[test]
fn a_beamformer_bank_has_the_instance_of_its_pipeline() {
    let text =
        LOOPBACK.replacen("instance = 0", "instance = 9", 1).replacen("cpus = 0,", "cpus = none, 4,", 1);
    let dibas = load(&text);
    assert_eq!(dibas.findings, []);
    let bank = dibas.bank("BANKA").expect("BANKA");
    assert_eq!((bank.instance(), bank.letter()), (9, 0));
    assert_eq!(
        bank.x_engine.as_ref().map(|x| x.cpus.as_slice()),
        Some(&[4, 1, 2][..]),
        "what is no number is dropped"
    );
    let mode = dibas.mode("MODE42").expect("MODE42");
    assert_eq!(mode.beamformer, Some(Beamformer { fits_process: "bfFitsWriter".into(), sim3: true }));
    assert_eq!(dibas.mode("MODE1").expect("MODE1").beamformer, None);
}

#[test]
fn an_arm_delay_that_leaves_no_time_to_wait_for_packets_is_said() {
    let text = EXAMPLE.replace("needed_arm_delay = 5\n", "needed_arm_delay = 1\n");
    let words = "1 s leave no time to wait for packets";
    for mode in ["INCO_MODE_64", "CODD_MODE_64"] {
        let place = format!("{mode}.needed_arm_delay");
        assert!(has(&load(&text).findings, Severity::Warning, &place, words), "{:?}", load(&text).findings);
    }
    let vegas = EXAMPLE.replace("needed_arm_delay = 4\n", "needed_arm_delay = 1\n");
    assert_eq!(load(&vegas).findings, [], "these modes do not wait");
}

/// A bank that is no X engine can do all other modes.
#[test]
fn beamformer_keys_that_are_wrong_are_named_with_their_line() {
    let bank = |text: &str| load(text).bank("BANKA").expect("BANKA").clone();
    for (from, to, key, words) in [
        ("gpudev = 0\n", "", "gpudev", "missing beside the others"),
        ("xid = 0\n", "xid = 256\n", "xid", "'256' is not a whole number from 0 to 255"),
        ("instance = 0\n", "instance = 64\n", "instance", "0 to 63"),
        ("has_roaches = 0\n", "has_roaches = yes\n", "has_roaches", "'yes' is not 0 or 1"),
        ("cpus = 0, 1, 2\n", "cpus = all\n", "cpus", "'all' is not numbers of cores"),
    ] {
        let text = LOOPBACK.replacen(from, to, 1);
        let damaged = bank(&text);
        assert_eq!((damaged.x_engine, damaged.usable), (None, Ok(())), "{key}");
        let findings = load(&text).findings;
        assert!(has(&findings, Severity::Warning, &format!("BANKA.{key}"), words), "{key}: {findings:?}");
        let wanted = if to.is_empty() { "[BANKA]" } else { to.trim_end() };
        let line = text.lines().position(|l| l == wanted);
        assert!(findings.iter().any(|f| f.key == key && Some(f.line) == line.map(|l| l + 1)), "{findings:?}");
    }
    for (from, to, words) in [
        ("sim3 = 1\n", "sim3 = 2\n", "Bad keys found in section MODE42: ['sim3']"),
        ("fits_process = bfFitsWriter\n", "", "Bad keys found in section MODE42: ['fits_process']"),
        ("fits_process = bf", "fits_process = ../bf", "is a path"),
    ] {
        let dibas = load(&LOOPBACK.replacen(from, to, 1));
        let why = dibas.mode("MODE42").expect("kept").usable.clone().expect_err(to);
        assert!(why.contains(words), "{why}");
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(at in 0usize..6000, junk in ".{0,12}", keep in 0usize..6000) {
        let cut = |i: usize| (0..=i.min(EXAMPLE.len())).rev().find(|i| EXAMPLE.is_char_boundary(*i)).unwrap_or(0);
        let text = format!("{}{junk}{}", &EXAMPLE[..cut(at)], &EXAMPLE[cut(keep)..]);
        let _ = Dibas::load(&text, "damaged");
    }
}

// ---- the shipped files, where they are at hand ----------------------------------------------

fn shipped(name: &str) -> Option<Dibas> {
    let root = std::env::var_os("APPLIANCE_SHARED")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
    let Ok(text) = std::fs::read_to_string(root.join("data/dibas").join(name)) else {
        println!("SKIPPED: no {name} under ../shared/data/dibas");
        return None;
    };
    Some(Dibas::load(&text, name).unwrap_or_else(|f| panic!("{name}: {f:?}")))
}

#[test]
fn the_shipped_files_load_whole() {
    for (name, telescope, macs) in [("dibas.conf.gb", "GBT", 8), ("dibas.conf.shao", "SHAO", 9)] {
        let Some(dibas) = shipped(name) else { continue };
        assert_eq!((dibas.telescope.as_str(), dibas.hpc_macs.len()), (telescope, macs));
        assert_eq!((dibas.banks.len(), dibas.modes.len(), dibas.dealer_players.len()), (8, 45, 8));
        assert!(dibas.banks.iter().all(|b| b.usable.is_ok()) && dibas.modes.iter().all(|m| m.usable.is_ok()));
        let names = dibas.mode_names();
        assert_eq!((names[0].as_str(), names[44].as_str()), ("CODD_MODE_1024", "MODE9"));
        assert!(dibas.findings.iter().all(|f| f.severity != Severity::Error && f.line > 0));
    }
}

#[test]
fn the_oddities_of_the_shipped_files_are_found() {
    for (name, foreign_telescopes, idle_macs) in [("dibas.conf.gb", 0, 0), ("dibas.conf.shao", 15, 1)] {
        let Some(dibas) = shipped(name) else { continue };
        let count = |key: &str, words: &str| {
            dibas
                .findings
                .iter()
                .filter(|f| (key.is_empty() || f.key == key) && f.problem.contains(words))
                .count()
        };
        assert_eq!(count("hpc_program", "again with the same value"), 16);
        assert_eq!(count("file_system", "nothing reads"), 29);
        assert_eq!(count("obs_mode", "no effect"), 26);
        assert_eq!(count("acc_len", "nothing reads"), 5);
        assert_eq!(count("", "'nop' at the end"), 26);
        assert_eq!(count("reset_phase", "once 2"), 26);
        assert_eq!(count("reset_phase", "old Player never ran"), 8);
        assert_eq!(count("gain", "8 values"), 6);
        assert_eq!(count("telescop", "but [DEFAULTS] telescope"), foreign_telescopes);
        assert_eq!(count("", "no bank sends to this host"), idle_macs);
        assert!(has(&dibas.findings, Severity::Warning, "CODD_MODE_512.reset_phase", "'tenGB_resetb'"));
        assert!(has(&dibas.findings, Severity::Warning, "INCO_MODE_64.shmkeys", "'TELESCOP'"));
    }
}
