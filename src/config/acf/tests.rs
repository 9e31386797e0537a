use super::*;
use crate::proto::archon::{LINE_MAX, Sample};
use proptest::prelude::*;

const SMALL: &str = "\
# made by hand
[CONFIG]
BIGBUF=0
CONSTANTS=2
CONSTANT0=\"OG_LEVEL=-1.5\"
CONSTANT1=
FRAMEMODE=2
LINECOUNT=20
MOD2\\HEATERATARGET=-110.0
MOD4\\LVLC_LABEL1=\"OG, left\"
MOD4\\LVLC_V1=OG_LEVEL
PARAMETER0=\"Exposures=0\"
PARAMETER2=\"H2RG_rows=-7\"
PARAMETER1=# Switches
PARAMETER10=\"Late=1\"
PARAMETERS=4
PIXELCOUNT=35
STATE0\\NAME=RESET
STATE0\\MOD1=\"RG_HIGH,1,0\"
TAPLINE0=\"AD5L, -1, 1000\"
TAPLINE1=\"AD5R, 1, 1000\"
TAPLINE2=
TAPLINES=3
[SYSTEM]
BACKPLANE_ID=00003FFF1A98CCCF
[MODE_default]
ACF:Exposures=1
ARCH:NUM_DETECT=1
FITS:OBSERVERNAME=me/who was it
";

fn small() -> Acf {
    let (acf, findings) = Acf::parse(SMALL).expect("reads");
    assert_eq!(findings, []);
    acf
}

#[test]
fn lines_go_to_the_wire_in_file_order_without_quotes() {
    let wire = small().wire_lines();
    assert_eq!(wire[2], "CONSTANT0=OG_LEVEL=-1.5");
    assert_eq!(wire[7], "MOD4/LVLC_LABEL1=OG, left");
    assert_eq!(wire[3], "CONSTANT1=");
    assert_eq!(small().system, [("BACKPLANE_ID".into(), "00003FFF1A98CCCF".into())]);
}

#[test]
fn modes_are_read_and_not_uploaded() {
    let acf = small();
    assert_eq!(acf.modes.len(), 1);
    assert_eq!(acf.modes[0].name, "DEFAULT");
    assert_eq!(acf.modes[0].settings, [("Exposures".into(), "1".into())]);
    assert_eq!(acf.modes[0].cards, [("OBSERVER".into(), "me".into(), "who was it".into())]);
    assert_eq!(acf.lines.len(), 21);
}

#[test]
fn tables_honour_counts_and_skip_comments() {
    let acf = small();
    let names: Vec<_> = acf.parameters().into_iter().map(|p| (p.name, p.value, p.line)).collect();
    assert_eq!(names, [("Exposures".into(), 0, 9), ("H2RG_rows".into(), -7, 10)]);
    assert_eq!(acf.parameter("EXPOSURES").map(|p| p.name), Some("Exposures".into()));
    let constants = acf.constants();
    assert_eq!((constants.len(), constants[0].value), (1, -1.5));
    let taps = acf.taps();
    assert_eq!((taps.len(), acf.tap_count()), (2, 2));
    assert_eq!(taps[0], Tap { channel: "AD5L".into(), gain: -1.0, offset: 1000 });
    assert_eq!(taps[1].parts(), Some(("AD", 5, true)));
    assert_eq!(Tap::of("AM53L,1,0").and_then(|t| t.parts().map(|p| p.1)), Some(53));
    for bad in
        ["AD5", "XD5L,1,0", "AD5L,1", "AD5L,1,0,0", "AD0L,1,0", "ADL,1,0", "AD+5L,1,0", "AD5L,nan,0", "", "é"]
    {
        assert_eq!(Tap::of(bad), None, "{bad}");
    }
}

#[test]
fn the_frame_follows_taps_and_mode() {
    let mut acf = small();
    let shape = acf.frame_shape(35, 20);
    assert_eq!((shape.width, shape.height, shape.sample, shape.bytes()), (35, 40, Sample::U16, 2800));
    acf.set("framemode", "0").expect("there");
    assert_eq!((acf.frame_shape(35, 20).width, acf.frame_shape(35, 20).height), (70, 20));
    assert_eq!(acf.buffer_bytes(), 512 << 20);
}

#[test]
fn keys_match_in_any_spelling_and_keep_theirs() {
    let mut acf = small();
    assert_eq!(acf.get("mod4\\lvlc_label1"), Some("OG, left"));
    assert_eq!(acf.set("mod2\\heateratarget", "-115.5"), Ok(6));
    assert_eq!(acf.wire_lines()[6], "MOD2/HEATERATARGET=-115.5");
    let error = acf.set("MOD2/HEATERATARGT", "1").expect_err("typo");
    assert!(error.problem.starts_with("Invalid keyword MOD2/HEATERATARGT; did you mean"), "{error}");
    acf.set("LINECOUNT", "1\n2").expect_err("a second line");
    acf.set("LINECOUNT", &"x".repeat(LINE_MAX)).expect_err("too long");
    assert_eq!(acf.get("LINECOUNT"), Some("20"));
    assert_eq!(acf.get(""), None);
}

#[test]
fn overrides_replace_or_append() {
    let acf = small();
    let changed = acf
        .with_overrides(&[("mod2/heateratarget".into(), "-115.5".into()), ("MOD9\\NEW".into(), "1".into())])
        .expect("fine");
    assert_eq!(changed.lines.len(), acf.lines.len() + 1);
    assert_eq!(changed.index("MOD9/NEW"), Some(21));
    assert_eq!(changed.wire_lines()[6], "MOD2/HEATERATARGET=-115.5");
    acf.with_overrides(&[("=".into(), "1".into())]).expect_err("no key");
}

#[test]
fn of_duplicates_the_last_value_and_the_first_place_count() {
    let (acf, findings) = Acf::parse("[CONFIG]\nA=1\nB=2\na=3\n").expect("reads");
    assert_eq!(acf.wire_lines(), ["A=3", "B=2"]);
    assert_eq!((findings.len(), findings[0].line), (1, 4));
}

#[test]
fn what_is_no_configuration_is_refused_with_its_line() {
    for (text, line, word) in [
        ("", 0, "CONFIG section"),
        ("[SYSTEM]\nA=1\n", 0, "CONFIG section"),
        ("A=1\n[CONFIG]\n", 1, "before any section"),
        ("[CONFIG]\nA=1\nhello\n", 3, "not KEY=VALUE"),
        ("[CONFIG]\n=1\n", 2, "no key"),
        ("[CONFIG]\nA=\u{3b1}\n", 2, "character"),
        ("[CONFIG\n", 1, "no section"),
        ("[CONFIG]\n[MODE_A]\n[MODE_a]\n", 3, "twice"),
        ("[CONFIG]\n[MODE_A]\nFITS:X\n", 3, "no card"),
    ] {
        let error = Acf::parse(text).expect_err(text);
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.problem.contains(word), "{text:?}: {error}");
    }
    let long = format!("[CONFIG]\nA={}\n", "x".repeat(LINE_MAX));
    assert_eq!(Acf::parse(&long).expect_err("too long").line, 2);
    let many: String = (0..=0x4000).map(|k| format!("LINE{k}=x\n")).collect();
    assert!(Acf::parse(&format!("[CONFIG]\n{many}")).is_err());
}

#[test]
fn percent_and_the_end_of_line_of_windows_are_nothing_special() {
    let (acf, _) = Acf::parse("\u{feff}[CONFIG]\r\nA=50%\r\nB= \" x \" \r\n").expect("reads");
    assert_eq!(acf.wire_lines(), ["A=50%", "B= x "]);
    assert_eq!(Acf::decode(b"A=\xb0C"), "A=\u{b0}C");
}

#[test]
fn a_readback_keeps_its_indices() {
    let reply = |text: &str| Some(text.to_owned());
    let acf = Acf::from_wire(vec![reply("A=1"), None, reply("noise"), reply("B=x=2"), reply(""), None]);
    assert_eq!(acf.wire_lines(), ["A=1", "", "noise", "B=x=2"]);
    assert_eq!(acf.index("B"), Some(3));
    let text = acf.to_text();
    assert!(text.contains("; line 2 of the controller"), "{text}");
    let (read, _) = Acf::parse(&text).expect("reads");
    assert_eq!(read, acf.without_holes());
}

#[test]
fn differences_say_what_they_are_about() {
    let old = small();
    let mut new = old.with_overrides(&[("MOD1/NEW".into(), "1".into())]).expect("fine");
    new.set("CONSTANT0", "OG_LEVEL=-2.5").expect("there");
    new.set("PARAMETER0", "Exposures=1").expect("there");
    new.set("MOD2/HEATERATARGET", "-100").expect("there");
    new.lines.retain(|l| l.key != "LINECOUNT");
    let found: Vec<_> = old.diff(&new).into_iter().map(|d| (d.key, d.new, d.family)).collect();
    let wanted = [
        ("CONSTANT0", Some("OG_LEVEL=-2.5"), Family::Bias),
        ("LINECOUNT", None, Family::Frame),
        ("MOD2/HEATERATARGET", Some("-100"), Family::Heater),
        ("PARAMETER0", Some("Exposures=1"), Family::Timing),
        ("MOD1/NEW", Some("1"), Family::Other),
    ];
    assert_eq!(found, wanted.map(|(k, v, f)| (k.to_owned(), v.map(str::to_owned), f)));
    assert_eq!(old.diff(&old), []);
}

#[test]
fn families() {
    for (key, wanted) in [
        ("MOD4\\LVLC_V1", Family::Bias),
        ("mod12/xvn_enable2", Family::Bias),
        ("MOD4/LVLC_LABEL1", Family::Other),
        ("STATE12/MOD4", Family::Clock),
        ("MOD1/FASTSLEWRATE3", Family::Clock),
        ("MOD11/HEATERAP", Family::Heater),
        ("MOD11/SENSORCTYPE", Family::Sensor),
        ("POWERON", Family::Boot),
        ("APPLYALL", Family::Boot),
        ("LINES", Family::Timing),
        ("LINE12", Family::Timing),
        ("LINECOUNT", Family::Frame),
        ("LINESCAN", Family::Frame),
        ("RAWSEL", Family::Frame),
        ("TAPLINE0", Family::Frame),
        ("IP", Family::Other),
        ("TRIGOUTFORCE", Family::Other),
    ] {
        assert_eq!(family(key), wanted, "{key}");
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "[ \t\"=;,#\\\\/%]{0,12}", "[\u{20}-\u{7e}\u{a0}-\u{ff}]{0,20}"]
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::btree_map("[A-Z][A-Z0-9_/%\"]{0,12}", value(), 0..20)
        .prop_map(|m| m.into_iter().collect())
}

fn clean() -> impl Strategy<Value = String> {
    "([!-.0-~]([ -.0-~]{0,10}[!-.0-~])?)?"
}

fn mode() -> impl Strategy<Value = Mode> {
    let card = ("[A-Z][A-Z0-9]{0,7}", clean(), clean());
    ("[A-Z]{1,8}", pairs(), pairs(), proptest::collection::vec(card, 0..4))
        .prop_map(|(name, settings, architecture, cards)| Mode { name, settings, architecture, cards })
}

prop_compose! {
    fn any_acf()(lines in pairs(), system in pairs(), modes in proptest::collection::vec(mode(), 0..3)) -> Acf {
        let mut modes = modes;
        modes.sort_by(|a, b| a.name.cmp(&b.name));
        modes.dedup_by(|a, b| a.name == b.name);
        Acf { lines: lines.into_iter().map(|(key, value)| Line { key, value }).collect(), system, modes, source: Source::File }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(acf in any_acf()) {
        let (read, findings) = Acf::parse(&acf.to_text()).expect("our own text");
        prop_assert_eq!(&read, &acf);
        prop_assert_eq!(findings, []);
    }

    #[test]
    fn any_text_is_read_or_refused_and_then_stable(text in "\\PC{0,200}", lines in proptest::collection::vec("[A-F\\\\/=\"; #\\[\\]]{0,12}", 0..12)) {
        let _ = Acf::parse(&text);
        let text = format!("[CONFIG]\n{}\n", lines.join("\n"));
        if let Ok((acf, _)) = Acf::parse(&text) {
            prop_assert_eq!(Acf::parse(&acf.to_text()).expect("our own text").0, acf);
        }
    }

    #[test]
    fn any_readback_goes_through_a_file(replies in proptest::collection::vec(proptest::option::of("[A-C =\\\\\\[;#\"\r\u{e9}]{0,8}"), 0..12)) {
        let acf = Acf::from_wire(replies.clone());
        for (line, reply) in acf.lines.iter().zip(&replies) {
            prop_assert_eq!(line.wire(), reply.clone().unwrap_or_default());
        }
        // Duplicates on a controller become one line of a file.
        let (read, _) = Acf::parse(&acf.to_text()).expect("our own text");
        for line in &read.lines {
            prop_assert_eq!(acf.get(&line.key), Some(line.value.as_str()));
        }
    }
}
