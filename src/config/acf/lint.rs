//! Everything there is to say about a configuration before the night.

use super::tables::{assignment, number_of};
use super::{Acf, Line, Tap, vocabulary};
use crate::config::archon::limits::{ControllerLimits, Reason};
use crate::config::archon::{Detector, IntParam};
use crate::config::finding::{Finding, Severity};
use crate::proto::archon::{LINE_MAX, PARAMETER_MAX};
use std::collections::{HashMap, HashSet};

/// What a configuration is held against; what is `None` is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// Parameter with the exposure time, by `archon.yml`.
    pub int_param: Option<IntParam>,
    /// CCDs of the controller, by `archon.yml`.
    pub detectors: Option<&'a [Detector]>,
    /// The site's limits for the controller.
    pub limits: Option<&'a ControllerLimits>,
    /// Source lines by key, from [`super::source_lines`].
    pub lines: Option<&'a HashMap<String, usize>>,
}

/// Stem of numbered keys, the key with their number, whether the controller works without.
const TABLES: &[(&str, &str)] = &[
    ("LINE", "LINES"),
    ("PARAMETER", "PARAMETERS"),
    ("CONSTANT", "CONSTANTS"),
    ("TAPLINE", "TAPLINES"),
    ("STATE", "STATES"),
];

/// Parameters of the SDSS timing script besides the exposure time, and how bad it is if one is missing.
const CONTRACT: &[(&str, Severity)] = &[
    ("Exposures", Severity::Error),
    ("ReadOut", Severity::Error),
    ("AbortExposure", Severity::Error),
    ("DoFlush", Severity::Error),
    ("FlushCount", Severity::Error),
    ("AutoFlush", Severity::Error),
    ("NoIntMS", Severity::Warning),
    ("Lines", Severity::Warning),
    ("Pixels", Severity::Warning),
    ("PreSkipLines", Severity::Note),
    ("PostSkipLines", Severity::Note),
    ("PreSkipPixels", Severity::Note),
    ("PostSkipPixels", Severity::Note),
    ("VerticalBinning", Severity::Note),
    ("HorizontalBinning", Severity::Note),
    ("WaitCount", Severity::Note),
];

/// Taps a controller has room for.
const TAPS_MAX: usize = 64;
/// Outputs that are driven only if they are enabled.
const SWITCHED: &[&str] = &["LVHC", "HVHC", "XVP", "XVN"];

impl Acf {
    /// Remarks, by source line. An error means: do not load it like this.
    pub fn lint(&self, about: &About<'_>) -> Vec<Finding> {
        let mut lint = Lint { acf: self, about, findings: Vec::new() };
        lint.lines();
        lint.counts();
        lint.parameters();
        lint.contract();
        lint.taps();
        lint.frame();
        lint.boot();
        lint.biases();
        lint.limits();
        lint.findings.sort_by_key(|f| f.line);
        lint.findings
    }
}

struct Lint<'a> {
    acf: &'a Acf,
    about: &'a About<'a>,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn say(&mut self, severity: Severity, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let line = self.about.lines.and_then(|lines| lines.get(&super::normal(key))).copied().unwrap_or(0);
        self.findings.push(Finding {
            severity,
            line,
            section: "CONFIG".to_owned(),
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Each line by itself.
    fn lines(&mut self) {
        for (index, line) in self.acf.lines.iter().enumerate() {
            if line.key.is_empty() {
                let what =
                    if line.value.is_empty() { "empty".to_owned() } else { format!("{:?}", line.value) };
                self.say(
                    Severity::Warning,
                    "",
                    format!("line {index} of the controller is {what}"),
                    "upload the ACF again",
                );
            } else if let Err(e) = line.check() {
                self.say(Severity::Error, &line.key, e.problem, e.remedy);
            } else if let Some(known) = vocabulary::misspelt(&line.key) {
                let problem = format!("unknown key; did you mean '{known}'?");
                self.say(
                    Severity::Warning,
                    &line.key,
                    problem,
                    "the controller ignores keys it does not know",
                );
            }
            if line.chars() > LINE_MAX {
                self.say(
                    Severity::Error,
                    &line.key,
                    format!("{} characters", line.chars()),
                    format!("at most {LINE_MAX}"),
                );
            }
        }
    }

    /// `LINES`, `PARAMETERS`, ... against the entries there are.
    fn counts(&mut self) {
        for (stem, count) in TABLES {
            let numbers = self.numbers(stem);
            let Some(text) = self.acf.get(count) else {
                if !numbers.is_empty() {
                    self.say(
                        Severity::Error,
                        count,
                        format!("missing, with {} entries {stem}n", numbers.len()),
                        format!("write {count}={}", numbers.len()),
                    );
                }
                continue;
            };
            let Ok(said) = text.trim().parse::<u32>() else {
                self.say(
                    Severity::Error,
                    count,
                    format!("'{text}' is no number"),
                    format!("write {count}={}", numbers.len()),
                );
                continue;
            };
            let beyond = numbers.iter().filter(|n| **n >= said).count();
            if beyond > 0 {
                self.say(
                    Severity::Warning,
                    count,
                    format!("{said}, but {beyond} entries {stem}n are beyond and not used"),
                    "correct the number",
                );
            }
            let missing = said as usize - numbers.iter().filter(|n| **n < said).count().min(said as usize);
            if missing > 0 {
                let first = (0..said).find(|n| !numbers.contains(n)).unwrap_or(0);
                self.say(
                    Severity::Warning,
                    count,
                    format!("{said}, but {missing} entries are missing, the first is {stem}{first}"),
                    "correct the number or add them",
                );
            }
        }
    }

    fn numbers(&self, stem: &str) -> HashSet<u32> {
        let heads = self.acf.lines.iter().map(|line| match stem {
            "STATE" => line.key.split_once('/').map_or("", |(head, _)| head),
            _ => line.key.as_str(),
        });
        heads.filter_map(|head| number_of(head, stem)).collect()
    }

    fn parameters(&mut self) {
        let mut names = HashSet::new();
        for (number, _, text) in self.acf.entries("PARAMETER", "PARAMETERS") {
            let key = format!("PARAMETER{number}");
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let Some((name, value)) = assignment(text) else {
                self.say(
                    Severity::Warning,
                    &key,
                    format!("'{text}' is not Name=value"),
                    "it is not compiled; write a name of letters, digits and _",
                );
                continue;
            };
            match value.parse::<i64>() {
                Ok(v) if (0..=i64::from(PARAMETER_MAX)).contains(&v) => {}
                Ok(v) => self.say(
                    Severity::Error,
                    &key,
                    format!("{name}={v} does not fit in 20 bits"),
                    format!("parameters are 0..{PARAMETER_MAX}"),
                ),
                Err(_) => self.say(
                    Severity::Error,
                    &key,
                    format!("the value of {name} is no integer: '{value}'"),
                    "write an integer",
                ),
            }
            if !names.insert(name.to_ascii_uppercase()) {
                self.say(
                    Severity::Warning,
                    &key,
                    format!("parameter {name} is there twice"),
                    "keep one; the last counts here",
                );
            }
        }
    }

    /// What the role sets must be there; a script that has none of it is somebody else's.
    fn contract(&mut self) {
        let names: HashSet<String> =
            self.acf.parameters().into_iter().map(|p| p.name.to_ascii_uppercase()).collect();
        let has = |name: &str| names.contains(&name.to_ascii_uppercase());
        let asked = self.about.int_param.map(|p| if p == IntParam::IntCS { "IntCS" } else { "IntMS" });
        let foreign = asked.is_none() && !has("Exposures");
        if foreign {
            let problem = "no parameter Exposures: not a timing script of SDSS's contract";
            return self.say(Severity::Note, "PARAMETERS", problem, "the role archon cannot expose with it");
        }
        match asked {
            Some(name) if !has(name) => {
                let other = ["IntCS", "IntMS"].into_iter().find(|n| *n != name && has(n));
                let remedy = other.map_or(format!("define {name} in the script"), |o| {
                    format!("write archon.int_param: {o} in archon.yml")
                });
                self.say(Severity::Error, "PARAMETERS", format!("ACF has no parameter {name}"), remedy);
            }
            None if !has("IntCS") && !has("IntMS") => {
                self.say(
                    Severity::Error,
                    "PARAMETERS",
                    "ACF has no parameter IntCS or IntMS",
                    "define one of them in the script",
                );
            }
            _ => {}
        }
        for (name, severity) in CONTRACT.iter().filter(|(name, _)| !has(name)) {
            let remedy = if *severity == Severity::Note {
                "it cannot be set; fine if the script does without"
            } else {
                "define it in the script"
            };
            self.say(*severity, "PARAMETERS", format!("ACF has no parameter {name}"), remedy);
        }
    }

    fn taps(&mut self) {
        let mut channels = HashSet::new();
        for (number, _, text) in self.acf.entries("TAPLINE", "TAPLINES") {
            let key = format!("TAPLINE{number}");
            match Tap::of(text) {
                _ if text.trim().is_empty() => {}
                None => self.say(
                    Severity::Error,
                    &key,
                    format!("'{text}' is no tap"),
                    "write for example \"AD5L, 1, 1000\": AD or AM channel, L or R, gain, offset",
                ),
                Some(tap) if !channels.insert(tap.channel.clone()) => {
                    self.say(
                        Severity::Warning,
                        &key,
                        format!("{} is tapped twice", tap.channel),
                        "each channel belongs to one amplifier",
                    );
                }
                Some(_) => {}
            }
        }
        let taps = self.acf.tap_count();
        if taps > TAPS_MAX {
            self.say(
                Severity::Error,
                "TAPLINES",
                format!("{taps} taps"),
                format!("a controller has {TAPS_MAX}"),
            );
        }
        let Some(detectors) = self.about.detectors.filter(|d| !d.is_empty()) else { return };
        let wanted: usize = detectors.iter().map(|d| d.taps as usize).sum();
        let list =
            || detectors.iter().map(|d| format!("{} {}", d.name, d.taps)).collect::<Vec<_>>().join(", ");
        if wanted > taps {
            self.say(
                Severity::Error,
                "TAPLINES",
                format!("{taps} taps in use, but the CCDs have {wanted} ({})", list()),
                "correct taps in archon.yml, or the TAPLINEs",
            );
        } else if wanted < taps {
            self.say(
                Severity::Warning,
                "TAPLINES",
                format!("{taps} taps in use, but the CCDs have only {wanted} ({})", list()),
                "the rest of the frame is not written",
            );
        }
    }

    fn frame(&mut self) {
        let count = |key| self.acf.get(key).map(|text| text.trim().parse::<u32>());
        let (pixels, lines) = (count("PIXELCOUNT"), count("LINECOUNT"));
        for (key, value) in [("PIXELCOUNT", &pixels), ("LINECOUNT", &lines)] {
            match value {
                Some(Ok(1..=65535)) => {}
                None => self.say(Severity::Error, key, "missing", "the frame has no size without it"),
                Some(_) => {
                    let text = self.acf.get(key).unwrap_or_default();
                    self.say(
                        Severity::Error,
                        key,
                        format!("'{text}' is not 1..65535"),
                        "write the number for each tap",
                    );
                }
            }
        }
        let mode = self.acf.int("FRAMEMODE").unwrap_or(0);
        if !(0..=2).contains(&mode) {
            self.say(
                Severity::Error,
                "FRAMEMODE",
                format!("{mode} is no frame mode"),
                "0 top, 1 bottom, 2 split",
            );
        }
        if mode == 2 && self.acf.tap_count() % 2 == 1 {
            self.say(
                Severity::Error,
                "FRAMEMODE",
                "split, but the number of taps is odd",
                "half of the taps are on top",
            );
        }
        let (Some(Ok(pixels)), Some(Ok(lines))) = (pixels, lines) else { return };
        self.window("LINECOUNT", lines, "Lines", "OverscanLines", "VerticalBinning");
        self.window("PIXELCOUNT", pixels, "Pixels", "OverscanPixels", "HorizontalBinning");
        let (needed, room) = (self.acf.frame_shape(pixels, lines).bytes(), self.acf.buffer_bytes());
        if needed > room {
            let remedy = if self.acf.int("BIGBUF") == Some(1) {
                "make the frame smaller"
            } else {
                "write BIGBUF=1 for two buffers of 768 MiB"
            };
            self.say(
                Severity::Error,
                "BIGBUF",
                format!("a frame has {needed} bytes, a buffer {room}"),
                remedy,
            );
        }
    }

    /// Default window of the parameters: COUNT = (size + overscan) / binning.
    fn window(&mut self, count: &str, said: u32, size: &str, overscan: &str, binning: &str) {
        let of = |name| self.acf.parameter(name).map(|p| p.value);
        let Some(size_value) = of(size) else { return };
        let (over, bin) = (of(overscan).unwrap_or(0), of(binning).unwrap_or(1).max(1));
        let computed = size_value.saturating_add(over) / bin;
        if computed != i64::from(said) {
            let problem = format!(
                "{said}, but ({size} {size_value} + {overscan} {over}) / {binning} {bin} is {computed}"
            );
            self.say(Severity::Warning, count, problem, "the first window that is set changes it");
        }
    }

    fn boot(&mut self) {
        for (key, what) in [("APPLYALL", "applies its configuration"), ("POWERON", "powers the detector")] {
            if self.acf.get(key).is_some_and(|value| !matches!(value.trim(), "0" | "")) {
                self.say(
                    Severity::Error,
                    key,
                    format!("the controller {what} at boot, with nobody there"),
                    format!("write {key}=0"),
                );
            }
        }
    }

    /// A voltage on an output that is switched off is probably not what was meant.
    fn biases(&mut self) {
        for Line { key, value } in &self.acf.lines {
            let upper = key.to_ascii_uppercase();
            let Some((module, name)) = upper.split_once('/') else { continue };
            let Some((output, number)) = name.split_once("_V") else { continue };
            let set = value.trim().parse::<f64>().is_ok_and(|v| v != 0.0);
            if !set
                || !SWITCHED.contains(&output)
                || number.is_empty()
                || !number.bytes().all(|b| b.is_ascii_digit())
            {
                continue;
            }
            let enable = format!("{module}/{output}_ENABLE{number}");
            if self.acf.int(&enable) != Some(1) {
                self.say(
                    Severity::Warning,
                    key,
                    format!("{value} V, but {enable} is not 1"),
                    "enable it, or set it to 0",
                );
            }
        }
    }

    fn limits(&mut self) {
        let Some(limits) = self.about.limits else { return };
        for violation in limits.check_acf(self.acf) {
            let (severity, remedy) = match violation.reason {
                Reason::Unlisted => (
                    Severity::Warning,
                    format!("write [controller.NAME.key.\"{}\"] with min and max", violation.key),
                ),
                _ => (
                    Severity::Error,
                    "correct the value, or the limits file if the detector allows it".to_owned(),
                ),
            };
            self.say(severity, &violation.key, violation.to_string(), remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../config/archon.example.acf");

    fn said(text: &str, about: &About<'_>) -> Vec<(Severity, String)> {
        let (acf, _) = Acf::parse(text).expect("reads");
        let lines = super::super::source_lines(text);
        let about = About { lines: Some(&lines), ..*about };
        acf.lint(&about).into_iter().map(|f| (f.severity, f.to_string())).collect()
    }

    #[test]
    fn our_example_is_clean_for_either_unit() {
        for int_param in [None, Some(IntParam::IntCS), Some(IntParam::IntMS)] {
            assert_eq!(said(EXAMPLE, &About { int_param, ..About::default() }), []);
        }
    }

    #[test]
    fn each_defect_is_said_with_its_line() {
        let cases: &[(&str, &str, Severity, &str)] = &[
            ("LINECOUNT=60", "LINECONT=60", Severity::Warning, "did you mean 'LINECOUNT'"),
            (
                "LINECOUNT=60",
                "LINECOUNT=61",
                Severity::Warning,
                "(Lines 60 + OverscanLines 0) / VerticalBinning 1 is 60",
            ),
            ("LINECOUNT=60", "LINECOUNT=0", Severity::Error, "'0' is not 1..65535"),
            ("LINES=76", "LINES=60", Severity::Warning, "entries LINEn are beyond"),
            ("LINES=76", "LINES=80", Severity::Warning, "the first is LINE76"),
            ("STATES=12", "STATES=x", Severity::Error, "'x' is no number"),
            ("TAPLINES=4\n", "", Severity::Error, "missing, with 4 entries"),
            ("\"IntCS=0\"", "\"IntCS=1048576\"", Severity::Error, "does not fit in 20 bits"),
            ("\"IntCS=0\"", "\"IntCS=1.5\"", Severity::Error, "no integer"),
            ("\"IntCS=0\"", "\"IntMS=0\"", Severity::Warning, "IntMS is there twice"),
            ("\"FlushCount=2\"", "\"Flushes=2\"", Severity::Error, "ACF has no parameter FlushCount"),
            ("\"WaitCount=0\"", "", Severity::Note, "ACF has no parameter WaitCount"),
            ("\"AD1L, 1, 1000\"", "\"XD1L, 1, 1000\"", Severity::Error, "is no tap"),
            ("\"AD1L, 1, 1000\"", "\"AD2R, 1, 1000\"", Severity::Warning, "tapped twice"),
            ("FRAMEMODE=0", "FRAMEMODE=5", Severity::Error, "no frame mode"),
            ("POWERON=0", "POWERON=1", Severity::Error, "powers the detector at boot"),
            ("APPLYALL=0", "APPLYALL=1", Severity::Error, "applies its configuration at boot"),
            ("HVHC_ENABLE1=1", "HVHC_ENABLE1=0", Severity::Warning, "28.0 V, but MOD9/HVHC_ENABLE1 is not 1"),
            ("PIXELCOUNT=90", "PIXELCOUNT=65536", Severity::Error, "not 1..65535"),
        ];
        for (from, to, severity, words) in cases {
            let text = EXAMPLE.replace(from, to);
            assert_ne!(text, EXAMPLE, "{from}");
            let found = said(&text, &About::default());
            let hit = found.iter().any(|(s, text)| s == severity && text.contains(words));
            assert!(hit, "{from} -> {to}: {found:#?}");
        }
    }

    #[test]
    fn a_frame_larger_than_its_buffer_is_an_error() {
        let big =
            EXAMPLE.replace("LINECOUNT=60", "LINECOUNT=65535").replace("PIXELCOUNT=90", "PIXELCOUNT=1200");
        let found = said(&big, &About::default());
        assert!(found.iter().any(|(_, t)| t.contains("write BIGBUF=1")), "{found:?}");
        let found = said(&big.replace("BIGBUF=0", "BIGBUF=1"), &About::default());
        assert!(!found.iter().any(|(_, t)| t.contains("BIGBUF")), "{found:?}");
    }

    #[test]
    fn it_is_held_against_archon_yml_and_the_limits() {
        let ccd = |taps| Detector {
            name: "r1".into(),
            taps,
            sensor: String::new(),
            serial: String::new(),
            kind: String::new(),
            gain: vec![],
            readnoise: vec![],
            areas: vec![],
        };
        for (taps, wanted) in [(3, Some(Severity::Warning)), (4, None), (5, Some(Severity::Error))] {
            let ccds = [ccd(taps)];
            let found = said(EXAMPLE, &About { detectors: Some(&ccds), ..About::default() });
            assert_eq!(found.first().map(|(s, _)| *s), wanted, "{found:?}");
        }
        let only_ms = EXAMPLE.replace("\"IntCS=0\"", "");
        let found = said(&only_ms, &About { int_param: Some(IntParam::IntCS), ..About::default() });
        assert!(
            found[0].1.contains("ACF has no parameter IntCS; write archon.int_param: IntMS"),
            "{found:?}"
        );
        let limits = ControllerLimits::default();
        let found = said(EXAMPLE, &About { limits: Some(&limits), ..About::default() });
        assert!(
            found.iter().any(|(s, t)| *s == Severity::Warning && t.contains("nothing about MOD9/HVHC_V1"))
        );
    }

    #[test]
    fn a_readback_with_holes_says_so() {
        let acf = Acf::from_wire(vec![Some("A=1".into()), None, Some("x".into())]);
        let found = acf.lint(&About::default());
        assert!(found.iter().any(|f| f.problem.contains("line 1 of the controller is empty")), "{found:?}");
    }
}
