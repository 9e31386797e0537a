//! `traces*.json`: ordered side effects of whole sessions, replayed through the real [`Player`].
//!
//! The player runs on a virtual clock against fakes with the vectors' rules: every register first reads
//! 0xDEADBEEF, programs start at once and exit on `quit`, time passes only where the player waits. What
//! leaves the player is translated into the vectors' events and compared in order.
//!
//! Left out of the comparison: fixed sleeps outside phases (we wait for states instead), how many keys a
//! whole status write has (known deviations change the number), and the DAQSTATE poll after `set_mode`.

use crate::backends::value;
use crate::dibas_site;
use crate::report::Report;
use crate::traces_flag::{self, Core, OURS};
use appliance::api::Outcome;
use appliance::config::dibas::{Dibas, HpcMac};
use appliance::fpga::{FpgaOp, FpgaReply};
use appliance::plan::Child;
use appliance::player::bank::{FpgaKey, Input, Output, Player, StatusOrder, Ticket};
use appliance::player::config::{DaqProgram, PlayerConfig, ScanRules};
use appliance::player::methods::PlayerCall;
use appliance::player::state::Link;
use appliance::reactor::Exit;
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Runs the cases of engines that exist.
pub fn run(name: &str, traces: &Json, report: &mut Report) {
    for case in traces["cases"].as_array().into_iter().flatten() {
        let id = format!("{name} {}", case["id"].as_str().unwrap_or("?"));
        // The beamformer's have no rounding of their own: both must be the same.
        let roundings: &[bool] = if is_flag(traces) { &[true, false] } else { &[true] };
        let replayed = roundings.iter().try_for_each(|reference| {
            replay(traces, case, *reference).map_err(|why| format!("reference rounding {reference}: {why}"))
        });
        report.check(&id, replayed);
    }
}

/// These bring a configuration along.
fn is_flag(traces: &Json) -> bool {
    traces["config_sections"].is_object()
}

fn site(traces: &Json, case: &Json) -> Result<Dibas, String> {
    if is_flag(traces) {
        return traces_flag::site(traces, case);
    }
    if traces["config"].as_str() != Some("dibas.conf.gb") {
        return Err(format!("taken with an unknown configuration: {}", traces["config"]));
    }
    let mut dibas = dibas_site::site(&dibas_site::modes_json()?);
    dibas.hpc_macs = hpc_macs(traces)?;
    Ok(dibas)
}

fn replay(traces: &Json, case: &Json, reference_rounding: bool) -> Result<(), String> {
    let dibas = site(traces, case)?;
    let name = case["mode"].as_str().ok_or("no mode")?;
    let bank = dibas.bank(case["bank"].as_str().unwrap_or("BANKA")).ok_or("no such bank")?.clone();
    let config = config(traces, reference_rounding);
    let mut world = World::new(case, traces, Player::new(config, dibas, bank, true, Now::default()))?;
    for section in case["sections"].as_array().ok_or("no sections")? {
        world.section(name, section)?;
    }
    Ok(())
}

/// The vectors give the table by last octet; any network will do.
fn hpc_macs(traces: &Json) -> Result<Vec<HpcMac>, String> {
    let entry = |(octet, mac): (&String, &Json)| {
        let mac = u64::from_str_radix(mac.as_str().unwrap_or(""), 16).map_err(|e| e.to_string())?;
        Ok(HpcMac { host: format!("10.17.0.{octet}"), mac, line: 0 })
    };
    traces["hpcmacs"].as_object().ok_or("no hpcmacs")?.iter().map(entry).collect()
}

fn config(traces: &Json, reference_rounding: bool) -> PlayerConfig {
    let flag = if is_flag(traces) { &traces_flag::ENVIRONMENT[..] } else { &[] };
    let env = |key: &str| {
        let of_flag = flag.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        traces["env"][key].as_str().or(of_flag).unwrap_or("").to_owned()
    };
    PlayerConfig {
        dibas_dir: env("DIBAS_DIR"),
        data_root: env("DIBAS_DATA"),
        simulate: false,
        reference_rounding,
        set_mode_always_reloads: false,
        clear_status_on_mode_change: true,
        status_memory: String::new(),
        daq: DaqProgram::Site,
        env: Vec::new(),
        surroundings: Default::default(),
        // The traces say nothing of the clock of the host they were taken on.
        scan: ScanRules { require_clock: false, ..ScanRules::default() },
    }
}

/// More than the player keeps between two command lines.
const COMMAND_GAP: Duration = Duration::from_secs(2);

struct World {
    player: Player,
    now: Now,
    registers: HashMap<String, Vec<u8>>,
    status: Vec<(String, Value)>,
    events: Vec<Json>,
    /// Registers changed by the flush phase being run.
    flush: Option<(serde_json::Map<String, Json>, serde_json::Map<String, Json>)>,
    /// Core being configured by raw writes.
    core: Core,
    reply: Option<Outcome>,
    tickets: u64,
}

impl World {
    fn new(case: &Json, traces: &Json, player: Player) -> Result<World, String> {
        let begin = case["utc_begin"].as_str().or(is_flag(traces).then_some(traces_flag::BEGAN));
        let begin = begin.ok_or("no utc_begin")?;
        let now = Now { mono: Mono(1_000_000_000), utc: utc(begin)? };
        let status = [("NETSTAT", "receiving"), ("DISKSTAT", "waiting"), ("DAQSTATE", "stopped")];
        let status = status.map(|(k, v)| (k.to_owned(), Value::from(v))).to_vec();
        let mut world = World {
            player,
            now,
            registers: HashMap::new(),
            status,
            events: Vec::new(),
            flush: None,
            core: Core::default(),
            reply: None,
            tickets: 0,
        };
        let hosts = traces["hosts"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, ip)| (name.clone(), ip.as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok())));
        world.player.handle(Input::Hosts(hosts.collect()), now);
        world.player.handle(Input::Link(Link::Up), now);
        Ok(world)
    }

    fn section(&mut self, mode: &str, section: &Json) -> Result<(), String> {
        let step = section["step"].as_str().or(section["step"][0].as_str()).ok_or("no step")?;
        self.events.clear();
        self.reply = None;
        match step {
            "construct" => {
                self.call(PlayerCall::SetMode { mode: mode.into(), bandwidth: Value::Null, force: false })
            }
            "prepare" => self.call(PlayerCall::Prepare),
            "set_param" => {
                let name = section["step"][1].as_str().unwrap_or("").to_owned();
                self.call(PlayerCall::SetParam(vec![(name, value(&section["step"][2]))]));
            }
            "earliest_start" => self.call(PlayerCall::EarliestStart),
            "start" => self.call(PlayerCall::Start(start_time(&section["step"][1]))),
            "stop" => self.call(PlayerCall::Stop),
            "monitor" => self.call(PlayerCall::Monitor),
            "scan_status" => self.call(PlayerCall::ScanStatus),
            "disarm_roach" => self.call(PlayerCall::DisarmRoach),
            "arm_roach" => self.call(PlayerCall::ArmRoach),
            "reset_roach" => self.call(PlayerCall::ResetRoach),
            "cleanup" => self.player.handle(Input::Shutdown, self.now),
            other => return Err(format!("step '{other}' is not known")),
        }
        self.run_until_answered(step)?;
        self.compare(step, section)?;
        self.between_sections(section)
    }

    /// The trace's clock includes sleeps we do not copy; and a site's program needs its time between commands.
    fn between_sections(&mut self, section: &Json) -> Result<(), String> {
        let after = match section["utc_after"].as_str() {
            Some(after) => utc(after)?,
            None => self.now.utc + COMMAND_GAP,
        };
        self.now = Now { mono: self.now.mono + COMMAND_GAP, utc: after.max(self.now.utc) };
        self.player.tick(self.now);
        Ok(())
    }

    fn call(&mut self, call: PlayerCall) {
        self.tickets += 1;
        self.player.handle(Input::Call { ticket: Ticket(self.tickets), call }, self.now);
    }

    /// Lets the player run, advancing the clock only when it waits.
    fn run_until_answered(&mut self, step: &str) -> Result<(), String> {
        for _ in 0..10_000 {
            if let Some(output) = self.player.poll() {
                if self.carry_out(output)? {
                    return Ok(());
                }
                continue;
            }
            if self.reply.is_some() {
                return Ok(());
            }
            self.pass_time(step)?;
        }
        Err(format!("{step}: no end"))
    }

    fn pass_time(&mut self, step: &str) -> Result<(), String> {
        let due = self.player.deadlines();
        let from_utc = due.utc.map(|t| t.nanos_since(self.now.utc).max(0) as u64);
        let from_mono = due.mono.map(|m| m.since(self.now.mono).as_nanos() as u64);
        let nanos = [from_utc, from_mono]
            .into_iter()
            .flatten()
            .min()
            .ok_or(format!("{step}: nothing to wait for"))?;
        let phase = self.phase();
        if matches!(phase.as_str(), "net_config" | "reset" | "arm" | "postarm") && nanos > 0 {
            self.events.push(json!(["sleep", nanos as f64 / 1e9]));
        }
        let d = Duration::from_nanos(nanos);
        self.now = Now { mono: self.now.mono + d, utc: self.now.utc + d };
        self.player.tick(self.now);
        Ok(())
    }

    fn phase(&self) -> String {
        let state = self.player.describe(self.now);
        state.get("job").and_then(|j| j.get("phase")).map(Value::to_string).unwrap_or_default()
    }

    /// Does what the player orders; `true` when it has finished for good.
    fn carry_out(&mut self, output: Output) -> Result<bool, String> {
        if !matches!(output, Output::Fpga { .. }) {
            self.end_flush();
        }
        match output {
            Output::Fpga { key, op } => self.fpga(key, op)?,
            Output::Status { key, order } => {
                let answer = match order {
                    StatusOrder::Read(_) => {
                        let pulse = ("DAQPULSE".to_owned(), Value::from(self.now.mono.0.to_string()));
                        self.status.iter().cloned().chain([pulse]).collect()
                    }
                    StatusOrder::Put(pairs) => {
                        self.status_written(pairs);
                        Vec::new()
                    }
                    StatusOrder::Clear => Vec::new(),
                };
                self.player.handle(Input::Status { key, answer: Ok(answer) }, self.now);
            }
            Output::Spawn { child, program } => {
                let argv = std::iter::once(program.path.display().to_string()).chain(program.args);
                self.events.push(json!(["spawn", argv.collect::<Vec<_>>()]));
                self.player.handle(Input::ChildStarted { child, pid: 77 }, self.now);
            }
            Output::RunHelper(program) => {
                let argv = std::iter::once(program.path.display().to_string()).chain(program.args);
                self.events.push(json!(["spawn", argv.collect::<Vec<_>>()]));
                self.player.handle(Input::HelperEnded(Ok(Exit::Code(0))), self.now);
            }
            Output::Line { child, line } => {
                let to = if child == Child::Daq { "to_hpc" } else { "to_fits" };
                self.events.push(json!([to, line]));
                if line == "INIT_GPU\n" {
                    self.status.push(("GPUCTXIN".into(), "TRUE".into()));
                }
                if line == "quit\n" {
                    self.player.handle(Input::ChildExited { child, exit: Exit::Code(0) }, self.now);
                }
            }
            Output::Reply { outcome, .. } => self.reply = Some(outcome),
            Output::Finished => return Ok(true),
            Output::Save(_) => self.player.handle(Input::Saved, self.now),
            Output::CloseInput { .. } | Output::Record(_) | Output::Changed | Output::Synth { .. } => {}
            // The reference keeps no proof of a scan.
            Output::WriteProof(_)
            | Output::MeasureSpace { .. }
            | Output::Written(_)
            | Output::SumGateware { .. } => {}
            other => return Err(format!("unexpected order {other:?}")),
        }
        Ok(false)
    }

    fn status_written(&mut self, pairs: Vec<(String, String)>) {
        let ours = |key: &str| ["SCANREM", "STTMJD"].contains(&key) || OURS.contains(&key);
        if pairs.iter().all(|(key, _)| ours(key)) {
            return; // the watchdog, which the traces do not run; and the commanded start, which is ours
        }
        if pairs.len() > 12 {
            self.events.push(json!(["status_write_all"]));
        } else {
            let map: serde_json::Map<_, _> = pairs.into_iter().map(|(k, v)| (k, Json::String(v))).collect();
            self.events.push(json!(["status_write", map]));
        }
    }

    fn fpga(&mut self, key: FpgaKey, op: FpgaOp) -> Result<(), String> {
        // What the proof of a scan asks for; the reference keeps none.
        if let (FpgaKey::Work(_), FpgaOp::Read { .. } | FpgaOp::I2cRead { .. }) = (key, &op) {
            self.player.handle(Input::Fpga { key, result: Ok(FpgaReply::Done) }, self.now);
            return Ok(());
        }
        let phase = self.phase();
        let flushing = matches!(phase.as_str(), "registers" | "prepare_registers");
        if !flushing {
            self.end_flush();
        }
        let reply = match op {
            FpgaOp::Read { register, .. } => {
                self.flush.get_or_insert_default();
                let bytes =
                    self.registers.get(&register).cloned().unwrap_or(0xDEAD_BEEF_u32.to_be_bytes().to_vec());
                FpgaReply::Bytes(bytes)
            }
            FpgaOp::Write { register, offset, data, verify } if Core::is_one(&register) => {
                self.events.extend(self.core.write(&register, offset, &data, verify)?);
                FpgaReply::Done
            }
            FpgaOp::Write { register, data, .. } => {
                self.write(flushing, &register, &data);
                self.registers.insert(register, data);
                FpgaReply::Done
            }
            // The traces begin after the set-up of the synthesizer, and whether it has locked is asked by us alone.
            FpgaOp::Raw { ref name, .. } if name.starts_with("valon-") && name != "valon-set-frequency" => {
                FpgaReply::Done
            }
            other => {
                self.events.push(event(&other)?);
                FpgaReply::Done
            }
        };
        let result = Ok(reply);
        self.player.handle(Input::Fpga { key, result }, self.now);
        Ok(())
    }

    fn write(&mut self, flushing: bool, register: &str, data: &[u8]) {
        let word = <[u8; 4]>::try_from(data).map(u32::from_be_bytes).unwrap_or_default();
        if !flushing {
            self.events.push(json!(["write_int", register, word]));
            return;
        }
        let (blobs, ints) = self.flush.get_or_insert_default();
        if register == "ssg_lut_bram" || register.ends_with("_lo_ram") {
            blobs.insert(register.to_owned(), json!(data.len()));
        } else {
            ints.insert(register.to_owned(), json!(word));
        }
    }

    fn end_flush(&mut self) {
        if let Some((blobs, ints)) = self.flush.take() {
            self.events.push(json!(["write_registers", { "blobs": blobs, "ints": ints }]));
        }
    }

    fn compare(&mut self, step: &str, section: &Json) -> Result<(), String> {
        self.end_flush();
        let wanted = normalised(section["events"].as_array().ok_or("no events")?);
        // The old coherent engine lost this key on the way (BE-10).
        let announced = json!(["status_write", { "BACKEND": "GUPPI" }]);
        if !wanted.contains(&announced) {
            self.events.retain(|e| *e != announced);
        }
        for (i, (got, want)) in self.events.iter().zip(&wanted).enumerate() {
            if got != want {
                return Err(format!("{step}: event {i}: got {got}, the trace has {want}"));
            }
        }
        if self.events.len() != wanted.len() {
            let (more, whose) =
                if self.events.len() > wanted.len() { (&self.events, "more") } else { (&wanted, "missing") };
            let at = self.events.len().min(wanted.len());
            return Err(format!("{step}: {whose} events from {i}: {e}", i = at, e = more[at]));
        }
        self.compare_result(step, section)
    }

    fn compare_result(&self, step: &str, section: &Json) -> Result<(), String> {
        let Some(want) = section.get("result") else { return Ok(()) };
        let got = match &self.reply {
            Some(Ok(value)) => value.clone(),
            other => return Err(format!("{step}: answered {other:?}, the trace has {want}")),
        };
        if step == "earliest_start" {
            let at = appliance::player::scan::civil_value(utc(want.as_str().unwrap_or(""))?);
            let same = got == Value::List(vec![Value::Bool(true), at]);
            return if same { Ok(()) } else { Err(format!("{step}: {got}, the trace has {want}")) };
        }
        let text = appliance::proto::json::to_text(&got).map_err(|e| e.to_string())?;
        let got: Json = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        if step == "start" && self.now.utc != utc(section["utc_after"].as_str().unwrap_or(""))? {
            return Err(format!("start: ended at {}, the trace at {}", self.now.utc, section["utc_after"]));
        }
        if &got == want { Ok(()) } else { Err(format!("{step}: {got}, the trace has {want}")) }
    }
}

/// Orders that are one event each.
fn event(op: &FpgaOp) -> Result<Json, String> {
    Ok(match op {
        FpgaOp::ListDev => json!(["listdev"]),
        FpgaOp::Program { image: None } => json!(["katcp", "progdev"]),
        FpgaOp::Program { image: Some(image) } => json!(["progdev", image]),
        FpgaOp::TapStart { tap, device, mac, ip, port } => {
            let b = mac.to_be_bytes();
            let mac = b[2..].iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":");
            json!(["tap_start", tap, device, mac, ip.to_string(), port])
        }
        FpgaOp::SetArp { device, entries } => {
            let map: serde_json::Map<_, _> = entries
                .iter()
                .map(|(octet, mac)| (octet.to_string(), json!(format!("{mac:012x}"))))
                .collect();
            json!(["write_arp", device, 0x3000, map])
        }
        FpgaOp::I2cWrite { address, data } => {
            let hex: String = data.iter().map(|b| format!("{b:02x}")).collect();
            json!(["i2c_write", address, data.len(), hex])
        }
        FpgaOp::Raw { name, args } if name == "valon-set-frequency" => {
            let text = |i: usize| String::from_utf8_lossy(&args[i]).into_owned();
            let channel = if text(0) == "synth_a" { 0 } else { 8 };
            json!(["valon_set_frequency", channel, text(1).parse::<f64>().map_err(|e| e.to_string())?])
        }
        other => return Err(format!("the reference does nothing like {other:?}")),
    })
}

/// The trace without what is not compared (see the head of this file).
fn normalised(events: &[Json]) -> Vec<Json> {
    let mut kept = Vec::new();
    let mut in_phase = false;
    for e in events {
        match e[0].as_str().unwrap_or("") {
            "status_attach" | "read" => {}
            // The beamformer's old engine prepared nothing.
            "status_write" if e[1] == json!({}) => {}
            "write_registers" if e[1] == json!({ "blobs": {}, "ints": {} }) => {}
            "sleep" if !in_phase => {}
            "sleep" => kept.push(e.clone()),
            "status_write_all" => kept.push(json!(["status_write_all"])),
            kind => {
                // A phase follows the network and the registers; it may begin with a wait.
                in_phase = match kind {
                    "write_arp" | "write_registers" | "config_10gbe_core" => true,
                    "write_int" => !is_destination(e[1].as_str().unwrap_or("")),
                    _ => false,
                };
                kept.extend(traces_flag::wanted(e));
            }
        }
    }
    kept
}

/// Registers of the network set-up.
fn is_destination(register: &str) -> bool {
    register.to_ascii_lowercase().starts_with("dest_")
}

fn start_time(step: &Json) -> Value {
    match step.as_array() {
        Some(fields) => Value::List(fields.iter().filter_map(Json::as_i64).map(Value::Int).collect()),
        None => Value::Null,
    }
}

/// `2026-03-04T05:06:14.250000`.
fn utc(text: &str) -> Result<Utc, String> {
    let numbers: Vec<i64> =
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let [year, month, day, hour, minute, second, microsecond] = numbers[..] else {
        return Err(format!("'{text}' is no time"));
    };
    let civil = appliance::units::Civil {
        year,
        month: month as u32,
        day: day as u32,
        hour: hour as u32,
        minute: minute as u32,
        second: second as u32,
        microsecond: microsecond as u32,
    };
    Utc::from_civil(civil).ok_or_else(|| format!("'{text}' is no time"))
}
