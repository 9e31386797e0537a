use super::*;
use crate::config::finding::{Finding, Severity};
use std::path::Path;

const EXAMPLE: &str = include_str!("../../../config/archon.example.yml");

fn load_with(text: &str, observatory: Option<&str>) -> Result<(ArchonConfig, Vec<Finding>), Vec<Finding>> {
    let env = |name: &str| match name {
        "HOME" => Some("/home/obs".to_owned()),
        "OBSERVATORY" => observatory.map(str::to_owned),
        _ => None,
    };
    ArchonConfig::load(text, Path::new("/etc/appliance/archon.yml"), &env)
}

fn load(text: &str) -> (ArchonConfig, Vec<Finding>) {
    load_with(text, None).unwrap_or_else(|f| panic!("{f:#?}"))
}

/// The only error, as (line, section.key, problem).
fn error(text: &str) -> (usize, String, String) {
    let mut found = load_with(text, None).expect_err(text);
    found.retain(|f| f.severity == Severity::Error);
    assert_eq!(found.len(), 1, "{found:#?}");
    (found[0].line, format!("{}.{}", found[0].section, found[0].key), found[0].problem.clone())
}

const SMALL: &str = "\
controllers:
  sp2: {host: box2, port: 4243, detectors: {z1: {taps: 4}, a1: {taps: 2, gain: [1.5, 2], readnoise: 3}}}
  sp1:
    host: 10.7.45.26
    detectors:
      b1: {taps: 1, serial: 77, type: E2V, gain: '?'}
";

#[test]
fn an_empty_file_is_the_reference_default() {
    let (c, findings) = load("");
    assert_eq!(c.files.data_dir, Path::new("/home/obs"));
    assert_eq!((c.files.template.as_str(), c.files.use_sjd), ("sdR-{ccd}-{exposure_no:08d}.fits.gz", false));
    assert_eq!(c.checksum, Checksum { write: true, mode: ChecksumMode::Md5, file: "{SJD}.md5sum".into() });
    assert_eq!((c.int_param, c.observatory.as_str()), (IntParam::IntCS, "LCO"));
    assert_eq!((c.timeouts, c.actor), (Timeouts::default(), Actor::default()));
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn controllers_and_ccds_keep_their_order() {
    let (c, findings) = load(SMALL);
    assert_eq!(findings, []);
    let names: Vec<_> = c.controllers.iter().map(|c| (c.name.as_str(), c.port)).collect();
    assert_eq!(names, [("sp2", 4243), ("sp1", 4242)]);
    let ccds: Vec<_> = c.controllers[0].detectors.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(ccds, ["z1", "a1"]);
    assert_eq!(c.controllers[0].detectors[1].gain, [1.5, 2.0]);
    assert_eq!(c.controllers[0].detectors[1].readnoise, [3.0]);
    let b1 = &c.controllers[1].detectors[0];
    assert_eq!((b1.serial.as_str(), b1.kind.as_str(), b1.gain.len()), ("77", "E2V", 0));
}

#[test]
fn only_enabled_controllers_are_there_and_none_named_means_all() {
    let (c, _) = load(&format!("{SMALL}enabled_controllers: [sp1]\n"));
    assert_eq!(c.controllers.len(), 1);
    let (c, findings) = load(&format!("{SMALL}enabled_controllers: [sp1, sp3]\n"));
    assert_eq!((c.controllers.len(), findings.len()), (1, 1));
}

#[test]
fn overrides_are_what_python_prints() {
    let text = "archon:\n  acf_overrides:\n    global: {MOD2/HEATERAP: 10, MOD2/X: 1.50, MOD2/Y: -115.5}\n    sp1: {mod2\\HEATERAP: 'a, b', MOD2/Z: 1.0}\n";
    let (c, _) = load(&format!("{SMALL}{text}"));
    let merged = c.overrides_for("sp1");
    let wanted = [("MOD2/HEATERAP", "a, b"), ("MOD2/X", "1.5"), ("MOD2/Y", "-115.5"), ("MOD2/Z", "1.0")];
    assert_eq!(merged, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(c.overrides_for("sp2").len(), 3);
}

#[test]
fn acf_files_for_all_or_each() {
    let (c, _) = load(&format!("{SMALL}archon: {{acf_file: '{{archon_etc}}/a.acf'}}\n"));
    assert_eq!(c.acf_file.of("sp1"), Some(Path::new("/etc/appliance/a.acf")));
    let (c, findings) = load(&format!("{SMALL}archon: {{acf_file: {{sp1: b.acf, sp9: c.acf}}}}\n"));
    assert_eq!((c.acf_file.of("sp1"), c.acf_file.of("sp2")), (Some(Path::new("b.acf")), None));
    assert!(findings.iter().any(|f| f.problem.contains("no controller 'sp9'")), "{findings:?}");
}

#[test]
fn header_keywords() {
    let text = "
header:
  observer: [Me, Who observes]
  N: 1
  TEMP: {command: status, detectors: {b1: ['MOD2/TEMPA', 'A comment', 2], r1: wrong}}
  BACK: {command: system, value: [backplane_id]}
  BAD: {detectors: {}}
  ODD: {command: frame, value: [x]}
  'AB/C': 1
";
    let (c, findings) = load(text);
    assert_eq!(c.header[0].from, HeaderFrom::Fixed("Me".into(), "Who observes".into()));
    assert_eq!(
        (c.header[0].key.as_str(), &c.header[1].from),
        ("OBSERVER", &HeaderFrom::Fixed(1.into(), String::new()))
    );
    let key = ReplyKey { key: "mod2/tempa".into(), comment: "A comment".into(), digits: Some(2) };
    let of = ReplyOf::Each(vec![("b1".into(), key)]);
    assert_eq!(c.header[2].from, HeaderFrom::Reply { command: "status".into(), of });
    for index in [4, 6] {
        assert!(matches!(c.header[index].from, HeaderFrom::Unusable(_)), "{:?}", c.header[index]);
    }
    assert!(findings.iter().any(|f| f.problem == "Invalid command frame."), "{findings:?}");
    assert_eq!(findings.iter().filter(|f| f.line > 0).count(), 4, "{findings:#?}");
}

#[test]
fn unknown_keys_are_warned_about_with_a_suggestion() {
    let (_, findings) = load(&format!("{SMALL}files:\n  use_sdj: true\n  split: true\n"));
    let found: Vec<_> = findings.iter().map(|f| (f.line, f.severity, f.problem.as_str())).collect();
    let typo = "unknown key; did you mean 'use_sjd'?";
    assert_eq!(found, [(8, Severity::Warning, typo), (9, Severity::Note, "not used")]);
}

#[test]
fn what_cannot_be_used_is_an_error_with_its_line() {
    for (text, line, key, problem) in [
        ("a: [\n", 0, ".", ""),
        ("controllers: [sp1]\n", 1, ".controllers", "a list where a map"),
        ("controllers:\n  sp1:\n    detectors: {a: {taps: 1}}\n", 3, "controllers.sp1.host", "no host"),
        ("controllers:\n  sp1: {host: a, port: 99999}\n", 2, "controllers.sp1.port", "out of range"),
        (
            "controllers:\n  sp1: {host: a, detectors: {x: {}}}\n",
            2,
            "controllers.sp1.detectors.x.taps",
            "number of taps",
        ),
        (
            "controllers:\n  sp1: {host: a, detectors: {a/b: {taps: 1}}}\n",
            2,
            "controllers.sp1.detectors.a/b",
            "cannot be a name",
        ),
        ("archon: {int_param: IntXS}\n", 1, "archon.int_param", "Invalid archon.int_param 'IntXS'."),
        (
            "archon:\n  default_parameters: {A: 1048576}\n",
            2,
            "archon.default_parameters.A",
            "no parameter value",
        ),
        (
            "archon:\n  acf_overrides: {global: {A: [1]}}\n",
            2,
            "archon.acf_overrides.global.A",
            "a list cannot be",
        ),
        ("checksum: {mode: crc}\n", 1, "checksum.mode", "Invalid checksum mode 'crc'."),
        ("files: {template: 'x{cdd}{exposure_no}'}\n", 1, "files.template", "no field 'cdd'"),
        ("files: {use_sjd: maybe}\n", 1, "files.use_sjd", "text where true or false"),
        ("files: {data_dir: ~root/x}\n", 1, "files.data_dir", "other users"),
        ("timeouts: {flushing: -1}\n", 1, "timeouts.flushing", "no wait"),
        ("observatory: Kitt Peak\nfiles: {use_sjd: on}\n", 0, "files.use_sjd", "SJD is defined"),
    ] {
        let found = error(text);
        let at = found.0 == line || line == 0;
        assert!(at && found.1.ends_with(key) && found.2.contains(problem), "{text}: {found:?}");
    }
    let same = format!("{SMALL}  sp9: {{host: c, detectors: {{b1: {{taps: 1}}}}}}\n");
    assert!(error(&same).2.contains("another controller"));
    assert!(error(&format!("{SMALL}files: {{template: 'x{{exposure_no}}'}}\n")).2.contains("same name"));
}

#[test]
fn the_observatory_is_that_of_the_file_or_of_the_environment() {
    let of = |text, env| load_with(text, env).expect("fine").0.observatory;
    assert_eq!(of("observatory: apo", Some("LCO")), "APO");
    assert_eq!(
        (of("", Some("apo")), of("", Some(" ")), of("", None)),
        ("APO".into(), "LCO".into(), "LCO".into())
    );
}

#[test]
fn areas_are_read() {
    let text = "controllers: {a: {host: b, detectors: {c: {taps: 1, areas: [{x0: 0, x1: 5, y0: 1, y1: 2, flip_x: true, to_y: 3}]}}}}";
    let (c, _) = load(text);
    let area = Area { x0: 0, x1: 5, y0: 1, y1: 2, flip_x: true, flip_y: false, to_x: 0, to_y: 3 };
    assert_eq!(c.controllers[0].detectors[0].areas, [area]);
    error(&text.replace("x1: 5", "x1: 0"));
}

#[test]
fn our_example_is_clean() {
    let (c, findings) = load(EXAMPLE);
    assert_eq!(findings, []);
    assert_eq!(c.controllers.len(), 2);
}

/// Files of the site, not of ours: the package's defaults and a test configuration with oddities.
#[test]
fn files_of_the_reference_load_as_they_are() {
    let root = match std::env::var_os("APPLIANCE_SHARED") {
        Some(dir) => std::path::PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    let read = |name: &str| std::fs::read_to_string(root.join("data/archon").join(name));
    let (Ok(defaults), Ok(site)) = (read("archon.yml"), read("actor-test-config.yml")) else {
        return println!("SKIPPED: no data/archon below {}", root.display());
    };
    let (config, _) = load(&defaults);
    // What the package says are our defaults.
    assert_eq!(config, load("").0);
    let (config, findings) = load(&site);
    let ccds: Vec<_> = config.controllers[0].detectors.iter().map(|d| (d.name.as_str(), d.taps)).collect();
    assert_eq!(ccds, [("r1", 4), ("b1", 4), ("z1", 4)]);
    assert_eq!(config.acf_file, AcfFiles::All("../data/BOSS_extra.acf".into()));
    assert_eq!(config.window_modes[0].1, [(WindowKey::Lines, 50), (WindowKey::Pixels, 50)]);
    assert_eq!((config.header.len(), config.actor.version.as_deref()), (2, Some("1.2.3")));
    assert!(config.files.use_sjd && !config.actor.run_recovery_on_start);
    assert_eq!(findings.iter().filter(|f| f.severity == Severity::Warning).count(), 2, "{findings:?}");
}
