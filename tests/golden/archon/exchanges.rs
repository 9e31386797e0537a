//! Recorded conversations: our decoder reads every answer, and our simulator gives the same kind of answer
//! wherever the recorded controller behaved as the hardware does.

use super::fetch::unhex;
use crate::report::{GoldenFile, Report};
use appliance::archon::safety::understand;
use appliance::proto::archon::host::Lines;
use appliance::proto::archon::{BLOCK, Colon, Command, Decoder, Item, host};
use appliance::sim::archon::{Archon, ArchonSimConfig, ClientId, Output};
use appliance::units::{Mono, Now};
use serde_json::Value;

/// Where the recorded emulator is not like the hardware, by the beginning of the command, and why.
const UNLIKE_HARDWARE: &[(&str, &str)] = &[
    (">03FRAME", "the emulator refuses FRAME before it knows BIGBUF"),
    (">14RCONFIG", "the emulator refuses an unset line, hardware answers with empty text"),
    (">15WCONFIG", "the emulator checks lines when they are written"),
    (">16WCONFIG", "the emulator refuses an empty parameter"),
    (">1AFASTLOADPARAM", "the emulator minds the case of parameters"),
    (">23FETCH", "this address lies in a buffer"),
    (">30SYSTEM", "the emulator loses commands that share a segment"),
];

#[derive(Debug, PartialEq)]
enum Answer {
    Silence,
    Text(String),
    Refused,
    Blocks(usize),
}

/// Runs `{"exchanges": [{"send_ascii", "recv_ascii" | "recv_hex"}]}` and `{"steps": [{"exchanges"}]}`.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(json) = file.json() else { return false };
    if let Some(exchanges) = json.get("exchanges").and_then(Value::as_array)
        && exchanges.iter().all(|e| e.get("send_ascii").is_some())
    {
        emulator(file, exchanges, report);
        return true;
    }
    let steps = json.get("steps").and_then(Value::as_array);
    let Some(steps) = steps.filter(|s| s.iter().all(|s| s.get("exchanges").is_some())) else { return false };
    reference(file, steps, report);
    true
}

fn emulator(file: &GoldenFile, exchanges: &[Value], report: &mut Report) {
    let mut box_ = Box_::new(ArchonSimConfig { case_sensitive: false, ..ArchonSimConfig::default() });
    for exchange in exchanges {
        let sent = exchange["send_ascii"].as_str().unwrap_or_default();
        let case = format!("{} {}", file.name, sent.trim_end().escape_debug());
        let received = match (&exchange["recv_ascii"], &exchange["recv_hex"]) {
            (Value::String(text), _) => text.bytes().collect(),
            (_, Value::String(hex)) => unhex(hex),
            _ => Vec::new(),
        };
        let fetches = sent.contains("FETCHA");
        match read(&received, fetches) {
            Err(why) => report.fail(&case, &why),
            Ok(want) => {
                report.check(&format!("{case} (line)"), same_line(sent).and(same_text(exchange, &want)));
                let got = box_.ask(sent, 50, fetches);
                match UNLIKE_HARDWARE.iter().find(|(begin, _)| sent.starts_with(begin)) {
                    Some((_, why)) => report.skip(&case, why),
                    None => report.check(&case, same_kind(&want, &got)),
                }
            }
        }
    }
}

fn reference(file: &GoldenFile, steps: &[Value], report: &mut Report) {
    let mut box_ = Box_::new(ArchonSimConfig::default());
    for step in steps {
        let case = format!("{} {} on the simulator", file.name, step["step"]);
        let exchanges = step["exchanges"].as_array().map_or(&[][..], Vec::as_slice);
        report.check(&case, replay(exchanges, &mut box_));
        // Between steps an operator, an integration, a readout.
        box_.pass(1000);
    }
}

fn replay(exchanges: &[Value], box_: &mut Box_) -> Result<(), String> {
    let mut rest = exchanges.iter().peekable();
    while let Some(host) = rest.next() {
        let line = host["ascii"].as_str().ok_or("no line of the host")?;
        let mut received: Vec<u8> = Vec::new();
        while let Some(answer) = rest.next_if(|e| e["dir"] == "archon") {
            match (answer["ascii"].as_str(), answer["block_hex"].as_str()) {
                (Some(text), _) => received.extend(text.bytes()),
                (_, Some(hex)) => received.extend(unhex(hex)),
                _ => return Err("an answer without bytes".into()),
            }
        }
        if line.ends_with("APPLYMOD2\n") {
            // A slip of the reference: the module in slot 2 is 01 on the wire.
            continue;
        }
        let fetches = line.contains("FETCHA");
        let got = box_.ask(line, 20, fetches);
        same_kind(&read(&received, fetches)?, &got).map_err(|e| format!("{}: {e}", line.trim_end()))?;
    }
    Ok(())
}

/// The lines as our own encoder writes them; those with a meaning as the command they are.
fn same_line(sent: &str) -> Result<(), String> {
    let mut input = sent.as_bytes();
    let mut lines = Lines::default();
    let mut written = String::new();
    while let Some(line) = lines.next(&mut input) {
        let digits = String::from_utf8_lossy(&line.id).into_owned();
        let id = u8::from_str_radix(&digits, 16).map_err(|e| e.to_string())?;
        let ours = String::from_utf8(host::line(id, &line.text)).map_err(|e| e.to_string())?;
        // We write ids in upper case; both are read.
        written.push_str(&ours.replacen(&format!(">{id:02X}"), &format!(">{digits}"), 1));
        let command = understand(&line.text);
        if line.text == line.text.trim().to_uppercase() && command.text() != line.text {
            return Err(format!("{:?} is understood as {:?}", line.text, command.text()));
        }
        if !matches!(command, Command::Raw(_)) {
            command.check()?;
        }
    }
    let want = sent.replace("\r\n", "\n");
    let want = if want.starts_with('>') { want } else { String::new() };
    if written == want { Ok(()) } else { Err(format!("{written:?}, expected {want:?}")) }
}

/// A text is given on whole, without header and line end.
fn same_text(exchange: &Value, read: &Answer) -> Result<(), String> {
    let (Answer::Text(text), Some(wire)) = (read, exchange["recv_ascii"].as_str()) else { return Ok(()) };
    let want = wire.get(3..).and_then(|t| t.strip_suffix('\n'));
    if want == Some(text) { Ok(()) } else { Err(format!("{text:?}, expected {want:?}")) }
}

fn read(bytes: &[u8], fetches: bool) -> Result<Answer, String> {
    let mut decoder = Decoder::default();
    let mut input = bytes;
    let mut answer = Answer::Silence;
    let mut payload = 0;
    let colon = |_| if fetches { Colon::Block } else { Colon::Text };
    while let Some(item) = decoder.next(&mut input, colon).map_err(|e| e.to_string())? {
        match item {
            Item::Text { text, .. } => answer = Answer::Text(text),
            Item::Refused { .. } => answer = Answer::Refused,
            Item::Data { bytes, .. } => {
                payload += bytes.len();
                answer = Answer::Blocks(payload / BLOCK);
            }
        }
    }
    if payload % BLOCK == 0 { Ok(answer) } else { Err(format!("{payload} bytes are no whole blocks")) }
}

/// Texts agree in the keys they have in common order-free: values are another controller's.
fn same_kind(want: &Answer, got: &Answer) -> Result<(), String> {
    let same = match (want, got) {
        (Answer::Text(a), Answer::Text(b)) => a.is_empty() == b.is_empty(),
        (a, b) => a == b,
    };
    if same { Ok(()) } else { Err(format!("answered {got:?}, expected {want:?}")) }
}

struct Box_ {
    archon: Archon,
    ms: u64,
}

impl Box_ {
    fn new(config: ArchonSimConfig) -> Box_ {
        let mut archon = Archon::new(config, Now::default());
        archon.connect(ClientId(1));
        Box_ { archon, ms: 0 }
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.ms * 1_000_000), ..Now::default() }
    }

    fn pass(&mut self, ms: u64) {
        // In steps: the script goes through its states one by one.
        for _ in 0..ms / 10 {
            self.ms += 10;
            self.archon.tick(self.now());
        }
    }

    fn ask(&mut self, line: &str, ms: u64, fetches: bool) -> Answer {
        self.archon.receive(ClientId(1), line.as_bytes(), self.now());
        let mut bytes = Vec::new();
        while let Some(output) = self.archon.poll() {
            if let Output::Send(_, sent) = output {
                bytes.extend(sent);
            }
        }
        self.pass(ms);
        read(&bytes, fetches).unwrap_or(Answer::Silence)
    }
}
