//! The recorded session of the reference, driven by our controller: the same operations send the same commands, case
//! of letters aside - except where the specification asks for better, see [`DIFFERENT_BY_DESIGN`].

use crate::report::{GoldenFile, Report};
use appliance::archon::controller::{
    Answer, Controller, ControllerConfig, Order, OrderKey, Output, Report as Told, Which,
};
use appliance::archon::safety::Consent;
use appliance::config::acf::{Acf, Source};
use appliance::config::archon::limits::{ControllerLimits, Range, SensorLimits, TemperatureUnit};
use appliance::config::archon::{ControllerEntry, IntParam, Timeouts, WindowKey};
use appliance::proto::archon::Command;
use appliance::session::archon_link::{LinkEvent, Token};
use appliance::units::{Mono, Now, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What is normalised before the comparison, and why. Everything else must be equal, in order.
const DIFFERENT_BY_DESIGN: &[(&str, &str)] = &[
    (
        "SYSTEM, STATUS, FRAME, RCONFIG, TIMER, FETCHLOG",
        "questions: we ask more often (read back, locks, freshness)",
    ),
    ("POLLOFF before CLEARCONFIG", "the vendor's order"),
    ("window values already in force", "skipped, and APPLYCDS with them; PIXELS once"),
    ("APPLYMOD2", "APPLYMOD01: slot - 1 in hex"),
    ("heater lines beyond the recorded ACF", "a target needs sensor, ramp and limit; added as overrides"),
];

/// Heater keys the recorded ACF lacks.
const OVERRIDES: [(&str, &str); 5] = [
    ("MOD2/HEATERASENSOR", "0"),
    ("MOD2/HEATERARAMP", "1"),
    ("MOD2/HEATERARAMPRATE", "10"),
    ("MOD2/HEATERUPDATETIME", "1000"),
    ("MOD2/HEATERALIMIT", "10.0"),
];

/// Runs `{"meta": {"acf", ...}, "steps": [{"step", "exchanges", "status_after"}]}`.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(json) = file.json() else { return false };
    let Some(steps) = json.get("steps").and_then(Value::as_array) else { return false };
    if json.get("meta").and_then(|m| m.get("acf")).is_none()
        || !steps.iter().all(|s| s.get("status_after").is_some())
    {
        return false;
    }
    let mut session = match Session::new(steps) {
        Ok(session) => session,
        Err(why) => {
            report.fail(&file.name, &why);
            return true;
        }
    };
    for step in steps {
        let name = step["step"].as_str().unwrap_or("?");
        let case = format!("{} {name} by our controller", file.name);
        if name == "connect" {
            report.skip(&case, "we read the controller when it connects; the reference knows nothing yet");
            continue;
        }
        report.check(&case, session.step(name, step));
    }
    true
}

/// What the reference sent in a step.
fn recorded(step: &Value) -> Vec<String> {
    let exchanges = step["exchanges"].as_array().map(Vec::as_slice).unwrap_or_default();
    let host = exchanges.iter().filter(|e| e["dir"] == "host");
    host.filter_map(|e| Some(e["ascii"].as_str()?.trim_end().get(3..)?.to_owned())).collect()
}

/// The reply to this command in a step.
fn reply_to(step: &Value, command: &str) -> Option<String> {
    let exchanges = step["exchanges"].as_array()?;
    let at = exchanges
        .iter()
        .position(|e| e["ascii"].as_str().is_some_and(|t| t.trim_end().ends_with(command)))?;
    Some(exchanges.get(at + 1)?["ascii"].as_str()?.trim_end().get(3..)?.to_owned())
}

struct Session {
    controller: Controller,
    now: Now,
    keys: u64,
    sent: Vec<String>,
    reports: Vec<Told>,
    coming: VecDeque<(Token, Command)>,
    acf: Arc<Acf>,
    peer: Peer,
    /// Values the reference has in force, to leave out what it repeats.
    in_force: BTreeMap<String, String>,
    began: Vec<u8>,
}

/// The recorded controller.
struct Peer {
    system: String,
    status: String,
    frames: [String; 2],
    blocks: Vec<u8>,
    memory: Vec<String>,
    power: u8,
    count: u64,
    read: bool,
    armed: bool,
    locked: u8,
}

impl Peer {
    fn answer(&mut self, command: &Command, now: Mono) -> String {
        let text = command.text();
        match command {
            Command::System => return self.system.clone(),
            Command::Status => {
                self.count += 1;
                let fresh = |pair: &str| match pair.split_once('=') {
                    Some(("COUNT", _)) => format!("COUNT={}", self.count),
                    Some(("POWER", _)) => format!("POWER={}", self.power),
                    _ => pair.to_owned(),
                };
                return self.status.split(' ').map(fresh).collect::<Vec<_>>().join(" ");
            }
            Command::Frame => {
                let fresh = |pair: &str| match pair.split_once('=') {
                    Some(("TIMER", _)) => format!("TIMER={:016X}", now.0 / 10),
                    Some(("RBUF", _)) => format!("RBUF={}", self.locked),
                    _ => pair.to_owned(),
                };
                return self.frames[usize::from(self.read)]
                    .split(' ')
                    .map(fresh)
                    .collect::<Vec<_>>()
                    .join(" ");
            }
            Command::Timer => return format!("TIMER={:016X}", now.0 / 10),
            Command::ReadConfig { line } => {
                return self.memory.get(usize::from(*line)).cloned().unwrap_or_default();
            }
            Command::ClearConfig => self.memory.clear(),
            Command::WriteConfig { line, text } => {
                let line = usize::from(*line);
                if self.memory.len() <= line {
                    self.memory.resize(line + 1, String::new());
                }
                self.memory[line] = text.clone();
            }
            Command::ApplyAll | Command::PowerOff => self.power = 2,
            Command::PowerOn => self.power = 4,
            Command::FastLoadParam { name, value } if name == "READOUT" => self.armed = *value == 1,
            Command::ReleaseTiming if self.armed => self.read = true,
            Command::Lock(n) => self.locked = *n,
            _ if text == "FETCHLOG" => return "(null)".into(),
            _ => {}
        }
        String::new()
    }
}

impl Session {
    fn new(steps: &[Value]) -> Result<Session, String> {
        let step = |name: &str| steps.iter().find(|s| s["step"] == name).ok_or(format!("no step {name}"));
        let reply = |name: &str, command: &str| {
            step(name).and_then(|s| reply_to(s, command).ok_or(format!("no reply to {command} in {name}")))
        };
        let lines = recorded(step("write_config_applyall")?);
        let config: Vec<Option<String>> = lines
            .iter()
            .filter_map(|l| Some(Some(l.strip_prefix("WCONFIG")?.get(4..)?.to_owned())))
            .collect();
        // The window writes LINECOUNT and PIXELCOUNT once more after the upload.
        let upload = config.len() - 2;
        let acf = Arc::new(Acf { source: Source::File, ..Acf::from_wire(config[..upload].to_vec()) });
        let fetch = step("fetch")?["exchanges"].as_array().ok_or("no exchanges")?;
        let blocks = fetch.iter().filter_map(|e| e["block_hex"].as_str()).flat_map(|hex| {
            let bytes = hex.as_bytes().chunks(2).filter_map(|c| std::str::from_utf8(c).ok());
            bytes.filter_map(|c| u8::from_str_radix(c, 16).ok()).skip(4).collect::<Vec<_>>()
        });
        let peer = Peer {
            system: reply("get_system", "SYSTEM")?,
            status: reply("power_on", "STATUS")?,
            frames: [reply("get_frame", "FRAME")?, reply("readout", "FRAME")?],
            blocks: blocks.collect(),
            memory: Vec::new(),
            power: 1,
            count: 0,
            read: false,
            armed: false,
            locked: 0,
        };
        let now = Now { mono: Mono(1_000_000_000_000), utc: Utc::from_seconds(1_800_000_000) };
        let mut session = Session {
            controller: Controller::new(config_of_site(), now),
            now,
            keys: 0,
            sent: Vec::new(),
            reports: Vec::new(),
            coming: VecDeque::new(),
            in_force: acf.parameters().into_iter().map(|p| (p.name, p.value.to_string())).collect(),
            acf,
            peer,
            began: Vec::new(),
        };
        session.controller.link(LinkEvent::Up, session.now);
        session.run_for(Duration::from_secs(3));
        Ok(session)
    }

    fn step(&mut self, name: &str, step: &Value) -> Result<(), String> {
        let from = self.sent.len();
        self.operate(name, step)?;
        let ours: Vec<String> = self.sent[from..].iter().filter_map(|text| self.comparable(text)).collect();
        let theirs = self.expected(name, step);
        if ours != theirs {
            return Err(format!(
                "we sent {ours:?}, the reference {theirs:?} ({} rules)",
                DIFFERENT_BY_DESIGN.len()
            ));
        }
        let word = u64::from(self.controller.view().word.0);
        let names = self.controller.view().word.names();
        if step["status_after"].as_u64() != Some(word) {
            return Err(format!("the status word is {word} {names:?}, recorded is {}", step["status_after"]));
        }
        Ok(())
    }

    fn operate(&mut self, name: &str, step: &Value) -> Result<(), String> {
        let consent = Consent { unchecked: true, ..Consent::default() };
        let window = |changes: &[(WindowKey, i64)], s: &Session| {
            let mut window = s.controller.view().default_window.ok_or("no window")?;
            changes.iter().for_each(|(key, value)| window.set(*key, *value));
            Ok::<_, String>(Order::SetWindow(window))
        };
        match name {
            "write_config_applyall" => self.does(Order::Load {
                acf: self.acf.clone(),
                path: "mini.acf".into(),
                apply_all: true,
                apply: Vec::new(),
                power: false,
                overrides: OVERRIDES.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
                init: false,
                consent,
            }),
            "power_on" => self.does(Order::Power { on: true, consent }),
            "power_off" => self.does(Order::Power { on: false, consent }),
            "get_system" => self.does(Order::System),
            "get_device_status" => self.does(Order::Status),
            "get_frame" => self.does(Order::Frame),
            "set_param_Lines_40" => self.does(Order::SetParameter { name: "Lines".into(), value: 40 }),
            "set_window_binned" => {
                use WindowKey::{HBin, Lines, Pixels, VBin};
                let order = window(&[(Lines, 20), (Pixels, 10), (HBin, 2), (VBin, 2)], self)?;
                self.does(order)
            }
            "reset_window" => {
                let order = window(&[], self)?;
                self.does(order)
            }
            "write_line_heater" => self.does(Order::WriteLine {
                key: "MOD2\\HEATERATARGET".into(),
                value: "-115.5".into(),
                apply: true,
                consent,
            }),
            "expose_start_noreadout" => self.expose(Duration::from_millis(100)),
            "expose_start_2" => self.expose(Duration::from_secs(5)),
            "expose_wait" => {
                self.run_for(Duration::from_millis(150));
                Ok(Answer::Done)
            }
            "readout" => self.does(Order::Readout { delay: 0 }),
            "fetch" => return self.fetch(step),
            "abort_noreadout" => self.does(Order::Abort { readout: false }),
            "reset_reset_timing" => self.does(Order::Reset { timing: true }),
            "reset_plain" => self.does(Order::Reset { timing: false }),
            "flush_1" => self.does(Order::Flush { count: 1 }),
            other => return Err(format!("no operation of ours for the step {other}")),
        }
        .map(drop)
    }

    fn expose(&mut self, integration: Duration) -> Result<Answer, String> {
        self.does(Order::Prepare { integration, exposure: 1 })?;
        self.does(Order::Release)
    }

    fn fetch(&mut self, step: &Value) -> Result<(), String> {
        let Answer::Locked(locked) = self.does(Order::Lock(Which::Newest))? else {
            return Err("not locked".into());
        };
        let shape = [u64::from(locked.geometry.height), u64::from(locked.geometry.width)];
        if step["result"]["shape"] != serde_json::json!(shape) {
            return Err(format!("shape {shape:?}, recorded {}", step["result"]["shape"]));
        }
        self.began.clear();
        self.does(Order::Fetch { from_block: 0 })?;
        self.does(Order::Unlock)?;
        let sum: String = Sha256::digest(&self.began).iter().map(|b| format!("{b:02x}")).collect();
        if step["result"]["sha256_le"].as_str() == Some(sum.as_str()) {
            return Ok(());
        }
        Err(format!("pixels have the sum {sum}, recorded is {}", step["result"]["sha256_le"]))
    }

    fn does(&mut self, order: Order) -> Result<Answer, String> {
        self.keys += 1;
        let key = OrderKey(self.keys);
        let what = format!("{order:?}").chars().take(60).collect::<String>();
        self.controller.order(key, order, self.now);
        for _ in 0..1_000_000 {
            self.drain();
            let done = self.reports.iter().find_map(|r| match r {
                Told::Done { key: k, result } if *k == key => Some(result.clone()),
                _ => None,
            });
            if let Some(result) = done {
                return result.map_err(|fault| format!("{what}: {fault}"));
            }
            self.turn(Mono(u64::MAX));
        }
        Err(format!("{what} is never done"))
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while self.turn(until) {}
    }

    fn drain(&mut self) {
        while let Some(output) = self.controller.poll() {
            match output {
                Output::Command { token, command } => {
                    self.sent.push(command.text());
                    self.coming.push_back((token, command));
                }
                Output::Report(Told::Data { bytes, .. }) => self.began.extend(bytes),
                Output::Report(report) => self.reports.push(report),
                Output::Record(_) | Output::Relink(_) => {}
            }
        }
    }

    /// The next thing that happens, not later than `until`.
    fn turn(&mut self, until: Mono) -> bool {
        self.drain();
        if let Some((token, command)) = self.coming.pop_front() {
            self.now.mono = self.now.mono + Duration::from_micros(100);
            if matches!(command, Command::Fetch { .. }) {
                let bytes = self.peer.blocks.clone();
                self.controller.link(LinkEvent::Data { token, bytes }, self.now);
            }
            let reply = self.peer.answer(&command, self.now.mono);
            self.controller.link(LinkEvent::Reply { token, result: Ok(reply) }, self.now);
            return true;
        }
        match self.controller.deadline().filter(|at| *at <= until) {
            Some(at) => {
                self.now.mono = at.max(self.now.mono);
                self.controller.tick(self.now);
                true
            }
            None => {
                self.now.mono = until.min(self.now.mono + Duration::from_secs(3600));
                false
            }
        }
    }

    /// One of our commands, or `None` for what is not compared.
    fn comparable(&self, text: &str) -> Option<String> {
        let upper = text.to_uppercase();
        let questions = ["SYSTEM", "STATUS", "FRAME", "RCONFIG", "TIMER", "FETCHLOG"];
        let ours = OVERRIDES.iter().any(|(key, _)| upper.contains(&format!("{key}=")));
        (!questions.contains(&upper.as_str()) && !upper.starts_with("RCONFIG") && !ours).then_some(upper)
    }

    /// The recorded commands of a step after the rules of [`DIFFERENT_BY_DESIGN`].
    fn expected(&mut self, name: &str, step: &Value) -> Vec<String> {
        let mut theirs: Vec<String> =
            recorded(step).iter().filter_map(|text| self.comparable(text)).collect();
        if theirs.first().is_some_and(|c| c == "CLEARCONFIG") && theirs.get(1).is_some_and(|c| c == "POLLOFF")
        {
            theirs.swap(0, 1);
        }
        for command in &mut theirs {
            if command == "APPLYMOD2" {
                *command = "APPLYMOD01".into();
            }
        }
        let windows = matches!(name, "write_config_applyall" | "set_window_binned" | "reset_window");
        if windows { self.without_repeats(theirs) } else { theirs }
    }

    fn without_repeats(&mut self, commands: Vec<String>) -> Vec<String> {
        let applied = commands.iter().position(|c| c == "APPLYALL").map_or(0, |at| at + 1);
        let (upload, window) = commands.split_at(applied);
        let mut kept = upload.to_vec();
        let mut counts_changed = false;
        for line in upload.iter().filter_map(|c| c.get(11..)).filter_map(|l| l.split_once('=')) {
            if line.0.ends_with("COUNT") {
                self.in_force.insert(line.0.to_owned(), line.1.to_owned());
            }
        }
        for command in window {
            let value = match command.strip_prefix("FASTLOADPARAM ").and_then(|c| c.split_once(' ')) {
                Some((name, value)) => Some((name.to_owned(), value.to_owned())),
                None if command.starts_with("WCONFIG") => command
                    .get(11..)
                    .and_then(|l| l.split_once('='))
                    .map(|(k, v)| (k.to_owned(), v.to_owned())),
                None => None,
            };
            let windowed = |name: &str| {
                let words = ["LINES", "PIXELS", "SKIP", "BINNING", "LINECOUNT", "PIXELCOUNT", "OVERSCAN"];
                words.iter().any(|w| name.contains(w))
            };
            match value {
                Some((name, value)) if windowed(&name) => {
                    if self.in_force.get(&name) == Some(&value) {
                        continue;
                    }
                    counts_changed |= name.ends_with("COUNT");
                    self.in_force.insert(name, value);
                }
                None if command == "APPLYCDS" && !counts_changed => continue,
                _ => {}
            }
            kept.push(command.clone());
        }
        kept
    }
}

fn config_of_site() -> ControllerConfig {
    let s = Duration::from_secs;
    let range = |min, max| Range { min, max };
    let sensor = SensorLimits { range: range(-130.0, -90.0), max_rate_per_min: Some(2.0), ccd: true };
    let limits = ControllerLimits {
        temperature_unit: Some(TemperatureUnit::Celsius),
        keys: BTreeMap::from([("MOD4/LVLC_V1".to_owned(), range(-1.0, 5.0))]),
        sensors: BTreeMap::from([("MOD2/TEMPA".to_owned(), sensor)]),
        rails: BTreeMap::new(),
        bias_tolerance_v: None,
    };
    ControllerConfig {
        entry: ControllerEntry {
            name: "sp1".into(),
            host: "127.0.0.1".into(),
            port: 4242,
            detectors: Vec::new(),
        },
        timeouts: Timeouts {
            controller_connect: s(5),
            write_config: s(2),
            write_config_delay: Duration::ZERO,
            readout_max: s(60),
            fetching_max: s(10),
            flushing: Duration::from_millis(1200),
        },
        int_param: IntParam::IntCS,
        default_parameters: Vec::new(),
        limits: Some(limits),
        reset_on_attach: false,
        upload_depth: 1,
        verify_config: true,
        allow_flash: false,
        status_interval: s(1),
    }
}
