//! Area `katcp`: lines, gateware files and recorded sessions of independent implementations.
//!
//! Files are recognised by the fields of their content. `#log` lines of sessions are compared by level
//! and presence, the free text of the greeting not at all; everything else is exact.

use crate::report::{GoldenFile, Report};
use appliance::api::bind;
use appliance::fpga::model::{BoardConfig, Catalogue, Design, numbered_registers};
use appliance::player::methods;
use appliance::proto::bof::{Bof, Endian};
use appliance::proto::fpg::Fpg;
use appliance::proto::gateware::{Access, Register};
use appliance::proto::json;
use appliance::proto::katcp::{Decoder, Kind, Message, printable};
use appliance::session::katcp_client::{Class, Config, KatcpClient, Output as LinkOutput};
use appliance::sim::roach2::{ClientId, Output, Roach, RoachConfig, Speaks};
use appliance::units::{Mono, Now, Utc};
use serde_json::Value;

const ME: ClientId = ClientId(1);
const NOW: Now = Now { mono: Mono(1_000_000_000), utc: Utc(1_795_227_862_561_000_000) };

type Case = fn(&Value) -> Result<(), String>;

/// Fields that the first case must have, and what a case is.
const LISTS: &[(&[&str], Case)] = &[
    (&["wire_hex", "encoders"], encode),
    (&["wire_hex", "kind", "expect"], decode),
    (&["file_hex", "endian", "payload_hex"], bof),
    (&["file_hex", "meta", "bitstream_len"], fpg),
    (&["wire", "mac_int", "arp_self_index"], tap_start),
];

/// Runs the cases of a file of this area.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(json) = file.json() else { return false };
    if let Some(cases) = json.as_array() {
        return run_list(file, cases, report);
    }
    if json.get("exchanges").is_some() {
        run_session(file, json, report);
        return true;
    }
    if let Some(methods) = json.get("methods").and_then(Value::as_array) {
        for method in methods {
            let name = format!("{}: {}", file.name, method["name"].as_str().unwrap_or("?"));
            report.check(&name, roach_method(method));
        }
        let unlisted = json["also_listed"].as_array().map_or(&[][..], |v| v);
        for name in unlisted.iter().filter_map(Value::as_str) {
            report.check(&format!("{}: {name} is not offered", file.name), not_offered(name));
        }
        return !methods.is_empty();
    }
    false
}

/// Name, arguments in their order, and defaults of a method of the table.
fn roach_method(case: &Value) -> Result<(), String> {
    let name = case["name"].as_str().ok_or("no name")?;
    let table = methods::table();
    let method = table.find("bank.roach", name).map_err(|e| e.to_string())?;
    let wanted = case["args"].as_array().ok_or("no args")?;
    let names: Vec<&str> = wanted.iter().filter_map(|a| a["name"].as_str()).collect();
    same("arguments", method.args.iter().map(|a| a.name).collect(), names)?;
    for (arg, wanted) in method.args.iter().zip(wanted) {
        let default = arg.default.map(|d| json::to_text(&bind::python_literal(d)).map_err(|e| e.to_string()));
        let wanted = wanted.get("default").map(Value::to_string);
        same(&format!("default of {}", arg.name), default.transpose()?, wanted)?;
    }
    same("a doc", method.doc.is_empty(), false)
}

fn not_offered(name: &str) -> Result<(), String> {
    match methods::table().find("bank.roach", name) {
        Ok(_) => Err("is in the table".into()),
        Err(error) => same("class", error.class.name(), "NotImplementedError"),
    }
}

fn run_list(file: &GoldenFile, cases: &[Value], report: &mut Report) -> bool {
    let Some(first) = cases.first() else { return false };
    let kind = LISTS.iter().find(|(fields, _)| fields.iter().all(|f| first.get(f).is_some()));
    let Some((_, case)) = kind else { return false };
    for (n, value) in cases.iter().enumerate() {
        report.check(&format!("{} #{n}", file.name), case(value));
    }
    true
}

fn hex(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or_else(|| format!("no hex text: {value}"))?;
    let pair = |n: usize| text.get(n..n + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
    (0..text.len()).step_by(2).map(|n| pair(n).ok_or_else(|| format!("bad hex at {n}"))).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: got {got:?}, wanted {wanted:?}")) }
}

fn message(value: &Value) -> Result<Message, String> {
    let kind = match value["type"].as_str() {
        Some("?") => Kind::Request,
        Some("!") => Kind::Reply,
        Some("#") => Kind::Inform,
        other => return Err(format!("message type {other:?}")),
    };
    let args = value["args_hex"].as_array().ok_or("no args_hex")?;
    let args = args.iter().map(hex).collect::<Result<Vec<_>, _>>()?;
    let id = value["mid"].as_u64().map(|v| u32::try_from(v).unwrap_or(0));
    Ok(Message::new(kind, value["name"].as_str().ok_or("no name")?).args(args).with_id(id))
}

fn encode(case: &Value) -> Result<(), String> {
    let wire = hex(&case["wire_hex"])?;
    let wanted = message(case)?;
    same("encoded", printable(&wanted.to_bytes(), 400), printable(&wire, 400))?;
    same("encoded bytes", wanted.to_bytes() == wire, true)?;
    same("decoded", lines(&wire), vec![Some(wanted)])
}

/// Messages, or `None` for a bad line; the bytes arrive one by one.
fn lines(wire: &[u8]) -> Vec<Option<Message>> {
    let mut decoder = Decoder::default();
    let mut all = Vec::new();
    for byte in wire {
        decoder.feed(&[*byte]);
        all.extend(std::iter::from_fn(|| decoder.next_message()).map(Result::ok));
    }
    all
}

fn decode(case: &Value) -> Result<(), String> {
    let got = lines(&hex(&case["wire_hex"])?);
    match case["kind"].as_str() {
        Some("message") => same("decoded", got, vec![Some(message(&case["expect"])?)]),
        Some("blank") => same("decoded", got, vec![]),
        Some("error") => same("decoded", got, vec![None]),
        other => Err(format!("kind {other:?}")),
    }
}

fn number(value: &Value) -> Result<u32, String> {
    value.as_u64().and_then(|v| u32::try_from(v).ok()).ok_or_else(|| format!("no u32: {value}"))
}

/// Name, offset, size; mode where the file has one.
fn registers(case: &Value) -> Result<Vec<Register>, String> {
    let list = case["registers"].as_array().ok_or("no registers")?;
    let one = |r: &Value| {
        let access = match r["mode"].as_u64() {
            Some(1) => Access::Read,
            Some(2) => Access::Write,
            Some(3) | None => Access::ReadWrite,
            Some(_) => Access::None,
        };
        let name = r["name"].as_str().ok_or("no name")?.to_owned();
        Ok(Register { name, offset: number(&r["offset"])?, size: number(&r["size"])?, access })
    };
    list.iter().map(one).collect()
}

fn bof(case: &Value) -> Result<(), String> {
    let file = hex(&case["file_hex"])?;
    let parsed = Bof::parse(&file).map_err(|e| e.to_string())?;
    let endian = if case["endian"] == "big" { Endian::Big } else { Endian::Little };
    same("byte order", parsed.endian, endian)?;
    same("registers", parsed.registers.iter().cloned().collect(), registers(case)?)?;
    same("payload", file[parsed.payload].to_vec(), hex(&case["payload_hex"])?)
}

fn fpg(case: &Value) -> Result<(), String> {
    let file = hex(&case["file_hex"])?;
    let parsed = Fpg::parse(&file).map_err(|e| e.to_string())?;
    same("registers", parsed.registers.iter().cloned().collect(), registers(case)?)?;
    let meta: Vec<Value> =
        parsed.meta.iter().map(|m| serde_json::json!([m.name, m.tag, m.param, m.value])).collect();
    same("meta", Value::from(meta), case["meta"].clone())?;
    same("bitstream", (file.len() - parsed.bitstream) as u64, case["bitstream_len"].as_u64().unwrap_or(0))
}

/// The request is asked of the simulator, then the core is read back.
fn tap_start(case: &Value) -> Result<(), String> {
    let mut roach = simulator(Speaks::V4, "any.bof", None);
    ask(&mut roach, b"?progdev any.bof\n");
    let wire = format!("{}\n", case["wire"].as_str().ok_or("no wire")?);
    same("reply", ask(&mut roach, wire.as_bytes()), b"!tap-start ok\n".to_vec())?;
    let read = |offset, len| roach.board().read("gbe0", offset, len, NOW.utc).map_err(|e| e.to_string());
    let (mut got, mut wanted) = (read(0, 0x40)?, hex(&case["regs_0x00_0x40_hex"])?);
    let (from, to) = (number(&case["ignore"][0])? as usize, number(&case["ignore"][1])? as usize);
    got[from..to].fill(0);
    wanted[from..to].fill(0);
    same("registers", got, wanted)?;
    let own = u64::from(number(&case["arp_self_index"])?);
    same("own ARP entry", read(0x3000 + 8 * own, 8)?, hex(&case["arp_self_hex"])?)?;
    same("other ARP entry", read(0x3000 + 8 * ((own + 1) % 256), 8)?, hex(&case["arp_other_hex"])?)
}

fn simulator(speaks: Speaks, image: &str, design: Option<Design>) -> Roach {
    let mut catalogue = Catalogue::accepting_any();
    if let Some(design) = design {
        catalogue.add(Design { name: image.to_owned(), ..design });
    }
    let board = BoardConfig { catalogue, ..BoardConfig::default() };
    let mut roach = Roach::new(RoachConfig { speaks, board, ..RoachConfig::default() });
    roach.connect(ME, "127.0.0.1:1", NOW);
    output(&mut roach);
    roach
}

fn output(roach: &mut Roach) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(output) = roach.poll() {
        if let Output::Send(_, bytes) = output {
            all.extend(bytes);
        }
    }
    all
}

fn ask(roach: &mut Roach, bytes: &[u8]) -> Vec<u8> {
    roach.receive(ME, bytes, NOW);
    output(roach)
}

fn run_session(file: &GoldenFile, json: &Value, report: &mut Report) {
    let ids = json["greeting"].to_string().contains("version-connect");
    let exchanges = json["exchanges"].as_array().map_or(&[][..], |v| v);
    let played = if ids { play_v5(file, json, exchanges, report) } else { play_v4(file, exchanges, report) };
    report.check(&format!("{} as a whole", file.name), played);
}

/// The register map of the recorded session is the first `.bof` of the neighbouring vectors.
fn recorded_design(file: &GoldenFile) -> Result<Design, String> {
    let dir = file.path.parent().ok_or("no directory")?;
    let entries = std::fs::read_dir(dir).map_err(|e| e.to_string())?;
    let files = entries.filter_map(|e| GoldenFile::read(&e.ok()?.path()).ok());
    let image = files
        .filter_map(|f| f.json().and_then(|j| j.get(0)).filter(|c| c.get("payload_hex").is_some()).cloned())
        .next()
        .ok_or("no .bof vectors beside the session")?;
    let parsed = Bof::parse(&hex(&image["file_hex"])?).map_err(|e| e.to_string())?;
    Ok(Design { name: "v13_test.bof".into(), registers: parsed.registers })
}

fn play_v4(file: &GoldenFile, exchanges: &[Value], report: &mut Report) -> Result<(), String> {
    let mut roach = simulator(Speaks::V4, "v13_test.bof", Some(recorded_design(file)?));
    for (n, exchange) in exchanges.iter().enumerate() {
        let wanted = exchange["recv_hex"].as_array().ok_or("no recv_hex")?;
        let wanted = wanted.iter().map(hex).collect::<Result<Vec<_>, _>>()?.concat();
        let got = ask(&mut roach, &hex(&exchange["send_hex"])?);
        let name = format!("{} #{n} {}", file.name, exchange["send"].as_str().unwrap_or(""));
        report.check(&name, same("lines", comparable(&got), comparable(&wanted)));
    }
    Ok(())
}

/// Lines as text; of `#log` only the level.
fn comparable(bytes: &[u8]) -> Vec<String> {
    let line = |line: &[u8]| match line.strip_prefix(b"#log ") {
        Some(rest) => format!("#log {}", printable(rest.split(|b| *b == b' ').next().unwrap_or(b""), 20)),
        None => printable(line, usize::MAX),
    };
    bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(line).collect()
}

/// Both ends: our client must send the recorded requests and understand the recorded replies, and
/// the simulator must answer them (error texts are free).
fn play_v5(file: &GoldenFile, json: &Value, exchanges: &[Value], report: &mut Report) -> Result<(), String> {
    let design = Design { name: String::new(), registers: numbered_registers(16) };
    let mut roach = simulator(Speaks::V5, "r.bof", Some(design));
    let mut client = greeted(json)?;
    for (n, exchange) in exchanges.iter().enumerate() {
        // The recorded server keeps its registers when deprogrammed.
        if roach.board().image().is_none() {
            roach.board_mut().program("r.bof", NOW.utc);
        }
        let send = hex(&exchange["send_hex"])?;
        let recv = hex(&exchange["recv_hex"])?;
        let name = format!("{} #{n} {}", file.name, exchange["send"].as_str().unwrap_or(""));
        report.check(&format!("{name} (simulator)"), same_reply(&ask(&mut roach, &send), &recv));
        report.check(&format!("{name} (client)"), client_exchange(&mut client, &send, &recv));
    }
    Ok(())
}

fn greeted(json: &Value) -> Result<KatcpClient, String> {
    let mut client = KatcpClient::new(Config::default());
    client.tick(NOW);
    client.connected(NOW);
    for line in json["greeting"].as_array().ok_or("no greeting")? {
        client.receive(format!("{}\n", line.as_str().unwrap_or("")).as_bytes(), NOW);
    }
    while client.poll().is_some() {}
    Ok(client)
}

/// The reply alone, without the text of a failure.
fn same_reply(got: &[u8], wanted: &[u8]) -> Result<(), String> {
    let replies = |bytes: &[u8]| {
        let replies = lines(bytes).into_iter().flatten().filter(|m| m.kind == Kind::Reply);
        replies.map(without_reason).collect::<Vec<_>>()
    };
    same("reply", replies(got), replies(wanted))
}

fn without_reason(mut reply: Message) -> Message {
    if reply.args.first().is_none_or(|a| a != b"ok") {
        reply.args.truncate(1);
    }
    reply
}

fn client_exchange(client: &mut KatcpClient, send: &[u8], recv: &[u8]) -> Result<(), String> {
    let request = lines(send).into_iter().flatten().next().ok_or("no request")?;
    let reply = lines(recv).into_iter().flatten().next_back();
    let id = client.request(request.with_id(None), Class::Normal, NOW);
    client.receive(recv, NOW);
    let (mut sent, mut answer) = (Vec::new(), None);
    while let Some(output) = client.poll() {
        match output {
            LinkOutput::Send(bytes) => sent.extend(bytes),
            LinkOutput::Done { request, result } if request == id => answer = result.ok().map(|a| a.reply),
            _ => {}
        }
    }
    same("request", printable(&sent, 400), printable(send, 400))?;
    same("reply", answer, reply)
}
