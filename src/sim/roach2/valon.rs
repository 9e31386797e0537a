//! The synthesizer behind the board's serial port: what is set is what is got.

use super::commands::Reply;
use crate::proto::katcp::Message;
use crate::sim::valon::LockFault;
use std::collections::BTreeMap;

/// Longest value kept, bytes.
const MAX_VALUE: usize = 64;

/// One setting: `valon-get-NAME`, `valon-set-NAME`.
struct Setting {
    name: &'static str,
    /// The first argument names one of the two synthesizers.
    per_synth: bool,
    /// The reply of `get` begins with that name.
    echo: bool,
    settable: bool,
    default: &'static [&'static str],
}

const SETTINGS: &[Setting] = &[
    Setting { name: "frequency", per_synth: true, echo: true, settable: true, default: &["1000.0"] },
    Setting { name: "label", per_synth: true, echo: false, settable: true, default: &["synthesizer"] },
    Setting { name: "options", per_synth: true, echo: true, settable: true, default: &["0", "0", "0", "1"] },
    Setting { name: "phase-lock", per_synth: true, echo: false, settable: false, default: &["1"] },
    Setting { name: "ref-select", per_synth: false, echo: false, settable: true, default: &["0"] },
    Setting { name: "reference", per_synth: false, echo: false, settable: true, default: &["10000000"] },
    Setting { name: "rf-level", per_synth: true, echo: true, settable: true, default: &["5"] },
    Setting { name: "vco-range", per_synth: true, echo: true, settable: true, default: &["1200", "2200"] },
];

/// What was set so far.
#[derive(Debug, Default)]
pub(super) struct Valon {
    values: BTreeMap<(&'static str, String), Vec<Vec<u8>>>,
    fault: Option<LockFault>,
    /// How often the lock was looked at.
    looks: u64,
}

impl Valon {
    pub(super) fn new(fault: Option<LockFault>) -> Valon {
        Valon { fault, ..Valon::default() }
    }

    pub(super) fn set_fault(&mut self, fault: Option<LockFault>) {
        (self.fault, self.looks) = (fault, 0);
    }

    /// Frequency of a synthesizer, MHz; `None` until it is set.
    pub(super) fn frequency_mhz(&self, synth: &str) -> Option<f64> {
        let value = self.values.get(&("frequency", synth.to_owned()))?.first()?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// `None`: no such request.
pub(super) fn run(valon: &mut Valon, request: &Message) -> Option<Reply> {
    let name = request.name.strip_prefix("valon-")?;
    if matches!(name, "new-port" | "flash") {
        return Some(Reply::ok());
    }
    let (verb, name) = name.split_once('-')?;
    let setting = SETTINGS.iter().find(|s| s.name == name)?;
    match verb {
        "get" => Some(access(valon, setting, request, get)),
        "set" if setting.settable => Some(access(valon, setting, request, set)),
        _ => None,
    }
}

type Action = fn(&mut Valon, &Setting, String, &[Vec<u8>]) -> Reply;

fn access(valon: &mut Valon, setting: &'static Setting, request: &Message, action: Action) -> Reply {
    if !setting.per_synth {
        return action(valon, setting, String::new(), &request.args);
    }
    match request.text(0).as_ref() {
        synth @ ("synth_a" | "synth_b") => action(valon, setting, synth.to_owned(), &request.args[1..]),
        other => Reply::fail(format!("no synthesizer '{other}'")),
    }
}

fn get(valon: &mut Valon, setting: &Setting, synth: String, _: &[Vec<u8>]) -> Reply {
    if setting.name == "phase-lock" {
        valon.looks += 1;
        if valon.fault.is_some_and(|fault| fault.strikes(valon.looks)) {
            return Reply::with([b"0".to_vec()]);
        }
    }
    let echo = setting.echo.then(|| synth.clone().into_bytes());
    let default = || setting.default.iter().map(|d| d.as_bytes().to_vec()).collect();
    let values = valon.values.get(&(setting.name, synth)).cloned().unwrap_or_else(default);
    Reply::with(echo.into_iter().chain(values))
}

/// Keeps as many values as the setting has; `set-frequency` also gives a channel spacing.
fn set(valon: &mut Valon, setting: &Setting, synth: String, values: &[Vec<u8>]) -> Reply {
    let Some(values) = values.get(..setting.default.len()) else {
        return Reply::fail(format!("{} takes {} values", setting.name, setting.default.len()));
    };
    if values.iter().any(|v| v.len() > MAX_VALUE) {
        return Reply::fail("value too long");
    }
    valon.values.insert((setting.name, synth), values.to_vec());
    Reply::ok()
}
