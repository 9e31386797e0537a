//! Upload, power, window, parameters, single lines, commands as typed.

use super::bench::{ACF, Bench, acf, config, limits};
use super::peer::Peer;
use crate::archon::controller::{Answer, ControllerConfig, Fault, Order};
use crate::archon::safety::Consent;
use crate::config::acf::Acf;
use crate::config::archon::WindowKey;
use crate::config::archon::limits::{ControllerLimits, Range};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn text(fault: Result<Answer, Fault>) -> String {
    fault.expect_err("it must be refused").to_string()
}

/// A box nobody configured since it booted.
fn fresh(config: ControllerConfig) -> Bench {
    let mut peer = Peer::new();
    peer.extra_status.insert("MOD2/TEMPA".into(), "-110.0".into());
    let mut bench = Bench::with(config, peer);
    bench.link_up();
    bench.run_for(Duration::from_secs(2));
    bench
}

fn changed(from: &str, to: &str) -> Arc<Acf> {
    assert!(ACF.contains(from), "{from}");
    Arc::new(Acf::parse(&ACF.replace(from, to)).expect("sound").0)
}

fn power(on: bool) -> Order {
    Order::Power { on, consent: Consent::default() }
}

#[test]
fn init_uploads_reads_back_applies_powers_and_resets() {
    let mut bench = fresh(config());
    let from = bench.sent.len();
    assert_eq!(bench.does(Bench::load(acf(), true)), Ok(Answer::Done));
    let sent = bench.changes(from);
    let lines = acf().wire_lines().len();
    assert_eq!(sent[..2], ["POLLOFF", "CLEARCONFIG"]);
    assert_eq!(sent[2 + lines..4 + lines], ["POLLON", "APPLYALL"]);
    let rest: Vec<&str> = sent[4 + lines..].iter().map(String::as_str).collect();
    assert_eq!(
        rest[..5],
        [
            "FASTLOADPARAM Exposures 0",
            "FASTLOADPARAM ReadOut 0",
            "FASTLOADPARAM DoFlush 0",
            "LOCK0",
            "POWERON"
        ]
    );
    assert_eq!(rest[5], "HOLDTIMING", "the window is what APPLYALL put into force: nothing to send");
    assert_eq!(rest.last(), Some(&"RELEASETIMING"));
    assert_eq!(bench.peer.power, 4);
    assert_eq!(bench.controller.view().word.names(), ["IDLE", "POWERON"]);
    assert_eq!(bench.controller.view().acf_path, "own.acf");
    assert_eq!(bench.controller.view().acf_hash, acf().hash());
    assert!(bench.said("Powering on"));
}

#[test]
fn a_line_that_reads_back_wrong_ends_the_load_before_it_is_applied() {
    let mut bench = fresh(config());
    bench.peer.ignore.insert("WCONFIG0003".into());
    let fault = bench.does(Bench::load(acf(), true));
    assert!(text(fault).contains("Failed sending line 'WCONFIG0003"));
    assert!(bench.peer.polling, "POLLON on every exit");
    assert!(!bench.changes(0).iter().any(|c| c == "APPLYALL"));
    assert!(text(bench.does(power(true))).contains("half written"));
    bench.peer.ignore.clear();
    assert_eq!(bench.does(Bench::load(acf(), true)), Ok(Answer::Done));
}

#[test]
fn changed_bias_and_thermal_keys_need_consent() {
    let mut bench = Bench::attached();
    let bias = changed("LVLC_V1=1.5", "LVLC_V1=1.7");
    let refused = text(bench.does(Bench::load(bias.clone(), false)));
    assert!(refused.contains("MOD4/LVLC_V1: 1.5 -> 1.7") && refused.contains("say bias"), "{refused}");
    assert_eq!(bench.changes(0), Vec::<String>::new());
    let thermal = changed("HEATERATARGET=-110.0", "HEATERATARGET=-105.0");
    assert!(text(bench.does(Bench::load(thermal, false))).contains("say thermal"));
    let Order::Load { path, apply_all, apply, power, overrides, init, .. } = Bench::load(acf(), false) else {
        unreachable!("load makes a Load")
    };
    let consent = Consent { bias: true, ..Consent::default() };
    let agreed = Order::Load { acf: bias, path, apply_all, apply, power, overrides, init, consent };
    assert_eq!(bench.does(agreed), Ok(Answer::Done));
}

#[test]
fn a_bias_outside_the_limits_is_refused_on_file_override_and_single_write() {
    let mut bench = Bench::attached();
    let file = text(bench.does(Bench::load(changed("LVLC_V1=1.5", "LVLC_V1=15"), false)));
    assert!(file.contains("outside -1..5"), "{file}");
    let Order::Load { acf, path, apply_all, apply, power, init, consent, .. } = Bench::load(acf(), false)
    else {
        unreachable!("load makes a Load")
    };
    let overrides = vec![("mod4/lvlc_v1".to_owned(), "9".to_owned())];
    let order = Order::Load { acf, path, apply_all, apply, power, overrides, init, consent };
    assert!(text(bench.does(order)).contains("outside -1..5"));
    let write = |value: &str| Order::WriteLine {
        key: "MOD4\\LVLC_V1".into(),
        value: value.into(),
        apply: true,
        consent: Consent { unchecked: true, ..Consent::default() },
    };
    assert!(text(bench.does(write("6"))).contains("outside -1..5"));
    assert!(text(bench.does(Order::Talk("wconfig000eMOD4/LVLC_V1=6".into()))).contains("outside -1..5"));
    assert_eq!(bench.changes(0), Vec::<String>::new());
    assert_eq!(bench.does(write("2.5")), Ok(Answer::Done));
    assert_eq!(bench.changes(0), ["WCONFIG000EMOD4/LVLC_V1=2.5", "APPLYMOD03"]);
}

#[test]
fn clock_levels_are_limited_also_through_the_constants_they_name() {
    let limits = ControllerLimits {
        keys: BTreeMap::from([
            ("MOD4/LVLC_V1".to_owned(), Range { min: -1.0, max: 5.0 }),
            ("STATE/MOD1/2".to_owned(), Range { min: -7.0, max: 5.0 }),
        ]),
        ..limits()
    };
    let states = "CONSTANTS=1\nCONSTANT0=\"PHI=4\"\nSTATES=1\nSTATE0\\NAME=High\nSTATE0\\MOD1=\"9,1,1,PHI,1,0\"\nPARAMETERS=20";
    let file = ACF.replacen("PARAMETERS=20", states, 1);
    let acf = Arc::new(Acf::parse(&file).expect("sound").0);
    let mut bench = fresh(ControllerConfig { limits: Some(limits), ..config() });
    let bad = Arc::new(Acf::parse(&file.replace("PHI=4", "PHI=12")).expect("sound").0);
    let why = text(bench.does(Bench::load(bad, true)));
    assert!(why.contains("STATE0/MOD1") && why.contains("outside -7..5"), "{why}");
    assert_eq!(bench.does(Bench::load(acf, true)), Ok(Answer::Done));
    // Another level, and the constant of the one that is there.
    let write = |key: &str, value: &str| Order::WriteLine {
        key: key.into(),
        value: value.into(),
        apply: false,
        consent: Consent { unchecked: true, ..Consent::default() },
    };
    for (key, value) in [("STATE0/MOD1", "9,1,1,-8,1,0"), ("CONSTANT0", "PHI=6")] {
        let why = text(bench.does(write(key, value)));
        assert!(why.contains("outside -7..5"), "{key}: {why}");
    }
    assert_eq!(bench.does(write("STATE0/MOD1", "9,1,1,-6,1,0")), Ok(Answer::Done));
}

#[test]
fn heater_targets_need_sensor_unit_range_ramp_and_a_valid_reading() {
    let mut bench = Bench::attached();
    let write = |value: &str| Order::WriteLine {
        key: "MOD2/HEATERATARGET".into(),
        value: value.into(),
        apply: true,
        consent: Consent::default(),
    };
    assert!(text(bench.does(write("-80"))).contains("outside -130..-90 of MOD2/TEMPA"));
    bench.peer.extra_status.insert("MOD2/TEMPA".into(), "-273.150016".into());
    bench.run_for(Duration::from_secs(2));
    assert!(text(bench.does(write("-115.5"))).contains("reads nothing"));
    bench.peer.extra_status.insert("MOD2/TEMPA".into(), "-110.0".into());
    bench.run_for(Duration::from_secs(2));
    assert_eq!(bench.does(write("-115.5")), Ok(Answer::Done));
    assert_eq!(bench.changes(0), ["WCONFIG0008MOD2/HEATERATARGET=-115.5", "APPLYMOD01"]);
    let force = Order::WriteLine {
        key: "MOD2/HEATERARAMPRATE".into(),
        value: "5000".into(),
        apply: false,
        consent: Consent::default(),
    };
    assert_eq!(bench.does(force), Ok(Answer::Done), "a heater that is off may be configured");
    let enable = Order::WriteLine {
        key: "MOD2/HEATERAENABLE".into(),
        value: "1".into(),
        apply: true,
        consent: Consent::default(),
    };
    assert!(text(bench.does(enable)).contains("ramp is 300.000 K/min"));
}

#[test]
fn power_on_without_an_acf_of_ours_is_refused() {
    let mut bench = Bench::attached();
    bench.does(power(false)).expect("off");
    assert_eq!(bench.controller.view().word.names(), ["IDLE", "POWEROFF"]);
    let refused = text(bench.does(power(true)));
    assert!(refused.contains("no ACF was applied and read back since the controller booted"), "{refused}");
    assert!(text(bench.does(Order::Talk("poweron".into()))).contains("no ACF was applied"));
    bench.does(Bench::load(acf(), false)).expect("loaded");
    bench.does(power(true)).expect("on");
    assert!(text(bench.does(power(true))).contains("POWER is on already"));
}

#[test]
fn power_on_needs_modules_limits_and_a_cold_ccd() {
    let mut bench = fresh(config());
    bench.does(Bench::load(acf(), false)).expect("loaded");
    bench.peer.modules[0] = (4, 16);
    assert!(text(bench.does(power(true))).contains("MOD4_TYPE is 16, the ACF is for 9"));
    bench.peer.modules[0] = (4, 9);
    bench.peer.extra_status.insert("MOD2/TEMPA".into(), "15.0".into());
    assert!(text(bench.does(power(true))).contains("MOD2/TEMPA is 15, outside -130..-90"));
    let warm = Consent { warm: Some("bench test".into()), ..Consent::default() };
    assert_eq!(bench.does(Order::Power { on: true, consent: warm }), Ok(Answer::Done));

    let mut unlimited = fresh(crate::archon::controller::ControllerConfig { limits: None, ..config() });
    unlimited.does(Bench::load(acf(), false)).expect("loaded");
    assert!(text(unlimited.does(power(true))).contains("say unchecked"));
    let unchecked = Consent { unchecked: true, ..Consent::default() };
    assert_eq!(unlimited.does(Order::Power { on: true, consent: unchecked }), Ok(Answer::Done));
    let mut open = limits();
    open.keys.clear();
    let mut unlisted = fresh(crate::archon::controller::ControllerConfig { limits: Some(open), ..config() });
    unlisted.does(Bench::load(acf(), false)).expect("loaded");
    assert!(text(unlisted.does(power(true))).contains("says nothing about MOD4/LVLC_V1"));
}

#[test]
fn power_that_does_not_come_up_is_taken_back_once() {
    let mut bench = fresh(config());
    bench.does(Bench::load(acf(), false)).expect("loaded");
    bench.peer.power_reaches = 3;
    let from = bench.sent.len();
    let fault = bench.does(power(true));
    assert!(matches!(fault, Err(Fault::Timeout { .. })));
    assert!(text(fault).contains("POWER is Intermediate"));
    assert_eq!(bench.changes(from), ["POWERON", "POWEROFF"]);
    assert_eq!(bench.peer.power, 2);
}

#[test]
fn a_lost_reply_to_poweron_means_maybe_and_is_found_out() {
    let mut bench = fresh(config());
    bench.does(Bench::load(acf(), false)).expect("loaded");
    bench.peer.lose_reply.insert("POWERON".into());
    let from = bench.sent.len();
    assert_eq!(bench.does(power(true)), Ok(Answer::Done));
    assert_eq!(bench.changes(from), ["POWERON"], "never repeated");
}

#[test]
fn a_reboot_is_noticed_and_forgets_what_was_applied() {
    let mut bench = fresh(config());
    bench.does(Bench::load(acf(), false)).expect("loaded");
    bench.link_down();
    bench.peer.reboot(bench.now.mono);
    bench.peer.memory = acf().wire_lines();
    bench.peer.power = 2;
    bench.run_for(Duration::from_secs(5));
    bench.link_up();
    bench.run_for(Duration::from_secs(3));
    assert!(bench.said("was restarted"));
    assert!(text(bench.does(power(true))).contains("no ACF was applied"));
}

#[test]
fn a_window_sends_only_what_changes() {
    let mut bench = fresh(config());
    bench.does(Bench::load(acf(), false)).expect("loaded");
    let mut window = bench.controller.view().window.expect("known");
    let from = bench.sent.len();
    bench.does(Order::SetWindow(window)).expect("same");
    assert_eq!(bench.changes(from), Vec::<String>::new());
    for (key, value) in
        [(WindowKey::Lines, 20), (WindowKey::Pixels, 10), (WindowKey::HBin, 2), (WindowKey::VBin, 2)]
    {
        window.set(key, value);
    }
    bench.does(Order::SetWindow(window)).expect("set");
    assert_eq!(
        bench.changes(from),
        [
            "FASTLOADPARAM Lines 20",
            "FASTLOADPARAM Pixels 10",
            "FASTLOADPARAM VerticalBinning 2",
            "FASTLOADPARAM HorizontalBinning 2",
            "WCONFIG0003LINECOUNT=10",
            "WCONFIG0004PIXELCOUNT=7",
            "APPLYCDS",
        ]
    );
    assert_eq!(bench.controller.view().window, Some(window));
    assert_eq!(bench.controller.expected_frame().map(|f| (f.width, f.height)), Some((14, 10)));
    window.set(WindowKey::VBin, 0);
    assert!(text(bench.does(Order::SetWindow(window))).contains("VerticalBinning = 0"));
}

#[test]
fn parameters_and_lines_that_do_not_exist_send_nothing() {
    let mut bench = Bench::attached();
    let set = |name: &str, value| Order::SetParameter { name: name.into(), value };
    assert!(text(bench.does(set("Nope", 1))).contains("Trying to set unknown parameter NOPE."));
    assert!(text(bench.does(set("IntCS", 1 << 20))).contains("20 bit"));
    assert_eq!(bench.changes(0), Vec::<String>::new());
    bench.does(set("spare_1", 9)).expect("any case");
    assert_eq!(bench.changes(0), ["FASTLOADPARAM Spare_1 9"]);
    let line = |key: &str, apply| Order::WriteLine {
        key: key.into(),
        value: "1".into(),
        apply,
        consent: Consent::default(),
    };
    assert!(text(bench.does(line("NOKEY", false))).contains("Invalid keyword NOKEY"));
    assert!(text(bench.does(line("FRAMEMODE", true))).contains("Apply can only be used with modules."));
}

#[test]
fn typed_commands_meet_the_same_rules() {
    let mut bench = Bench::attached();
    let talk = |text: &str| Order::Talk(text.into());
    let Ok(Answer::Talk { command, response, ok: true }) = bench.does(talk("TIMER")) else {
        panic!("TIMER is answered")
    };
    assert!(command.starts_with('>') && command.ends_with("TIMER") && response.contains("TIMER="));
    for (typed, why) in [
        ("FLASHACTIVECONFIG", "allow_flash"),
        ("reboot", "allow_flash"),
        ("APPLYALL\nPOWERON", "one line"),
        ("FETCHA000000000000001", "does not include it"),
        ("POLLOFF", "does not include it"),
        ("CLEARCONFIG", "does not include it"),
        ("FASTLOADPARAM x 2000000", "20 bit"),
        ("APPLYMODZZ", "is not one"),
    ] {
        let refused = text(bench.does(talk(typed)));
        assert!(refused.contains(why), "{typed}: {refused}");
    }
    assert_eq!(bench.changes(0), Vec::<String>::new());
    assert!(matches!(bench.does(talk("NONSENSE")), Err(Fault::Timeout { .. })), "silence ends after 5 s");
    bench.peer.refuse.insert("NONSENSE".into());
    assert!(matches!(bench.does(talk("NONSENSE")), Ok(Answer::Talk { ok: false, .. })));
}

#[test]
fn differences_are_told_and_nothing_is_written() {
    let mut bench = Bench::attached();
    let Ok(Answer::Diff(list)) = bench.does(Order::Diff { acf: changed("LINECOUNT=40", "LINECOUNT=50") })
    else {
        panic!("no answer")
    };
    assert_eq!(list.iter().map(|d| d.key.as_str()).collect::<Vec<_>>(), ["LINECOUNT"]);
    assert_eq!(bench.changes(0), Vec::<String>::new());
}

#[test]
fn start_mode_reset_sets_window_and_resets_once() {
    let mut bench = Bench::attached_with(crate::archon::controller::ControllerConfig {
        reset_on_attach: true,
        ..config()
    });
    let sent = bench.changes(0);
    assert_eq!(sent.first().map(String::as_str), Some("FASTLOADPARAM Lines 40"));
    assert_eq!(sent.last().map(String::as_str), Some("RELEASETIMING"));
    bench.link_down();
    let from = bench.sent.len();
    bench.link_up();
    bench.run_for(Duration::from_secs(2));
    assert_eq!(bench.changes(from), Vec::<String>::new(), "not after a reconnect");
}
