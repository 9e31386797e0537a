//! A small controller box on a virtual clock, with the parameter contract of the SDSS timing script.

use crate::archon::safety::understand;
use crate::proto::archon::Command;
use crate::units::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Ticks of 10 ns.
fn ticks(d: Duration) -> u64 {
    d.as_nanos() as u64 / 10
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Buf {
    pub complete: bool,
    pub frame: u64,
    pub timestamp: u64,
    pub width: u32,
    pub height: u32,
    pub lines: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Script {
    Idle,
    Integrating(Mono),
    Waiting,
    Reading { until: Mono, buffer: usize },
}

/// The box.
#[derive(Clone, Debug)]
pub struct Peer {
    pub memory: Vec<String>,
    pub power: u8,
    /// POWER becomes this then.
    pub power_next: Option<(Mono, u8)>,
    pub good: bool,
    pub polling: bool,
    pub count: u64,
    pub counted: Mono,
    pub parameters: BTreeMap<String, u32>,
    pub held: bool,
    pub script: Script,
    pub buffers: [Buf; 3],
    pub locked: usize,
    pub write: usize,
    pub frames: u64,
    pub booted: Mono,
    pub applied: bool,
    pub counts: (u32, u32),
    pub log: Vec<String>,
    pub extra_status: BTreeMap<String, String>,
    pub modules: Vec<(u8, u16)>,
    pub read_time: Duration,
    /// Commands (by beginning) that are carried out without a reply.
    pub lose_reply: BTreeSet<String>,
    /// Commands (by beginning) that are ignored.
    pub ignore: BTreeSet<String>,
    /// Commands (by beginning) that are refused.
    pub refuse: BTreeSet<String>,
    /// POWER after POWERON.
    pub power_reaches: u8,
    /// Buffers whose content was given up for a new frame.
    pub overwritten: Vec<u8>,
}

impl Peer {
    pub fn new() -> Peer {
        Peer {
            memory: Vec::new(),
            power: 1,
            power_next: None,
            good: true,
            polling: true,
            count: 1,
            counted: Mono(0),
            parameters: BTreeMap::new(),
            held: false,
            script: Script::Idle,
            buffers: [Buf::default(); 3],
            locked: 0,
            write: 0,
            frames: 0,
            booted: Mono(0),
            applied: false,
            counts: (0, 0),
            log: Vec::new(),
            extra_status: BTreeMap::new(),
            modules: vec![(4, 9), (5, 2), (2, 11)],
            read_time: Duration::from_secs(2),
            lose_reply: BTreeSet::new(),
            ignore: BTreeSet::new(),
            refuse: BTreeSet::new(),
            power_reaches: 4,
            overwritten: Vec::new(),
        }
    }

    /// Memory and modules of a box that was set up before.
    pub fn configured(lines: &[String]) -> Peer {
        let mut peer = Peer::new();
        peer.memory = lines.to_vec();
        peer.apply_all();
        peer
    }

    pub fn reboot(&mut self, now: Mono) {
        let fresh = Peer::new();
        let keep = std::mem::replace(self, fresh);
        self.modules = keep.modules;
        self.extra_status = keep.extra_status;
        self.booted = now;
        self.power_reaches = keep.power_reaches;
        self.read_time = keep.read_time;
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.memory.iter().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))
    }

    fn load_parameters(&mut self) {
        self.parameters.clear();
        for line in self.memory.clone() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let numbered = key.strip_prefix("PARAMETER").is_some_and(|n| n.parse::<u32>().is_ok());
            if let (true, Some((name, value))) = (numbered, value.split_once('=')) {
                self.parameters.insert(name.to_ascii_uppercase(), value.parse().unwrap_or(0));
            }
        }
    }

    fn apply_cds(&mut self) {
        let number = |key: &str| self.value(key).and_then(|v| v.parse().ok()).unwrap_or(0);
        self.counts = (number("LINECOUNT"), number("PIXELCOUNT"));
    }

    fn apply_all(&mut self) {
        self.applied = true;
        self.power = 2;
        self.power_next = None;
        self.load_parameters();
        self.apply_cds();
    }

    fn parameter(&self, name: &str) -> u32 {
        self.parameters.get(&name.to_ascii_uppercase()).copied().unwrap_or(0)
    }

    /// Lets the script and the supplies go on.
    pub fn run(&mut self, now: Mono) {
        if let Some((at, power)) = self.power_next
            && now >= at
        {
            self.power = power;
            self.power_next = None;
        }
        if self.polling && now.since(self.counted) >= Duration::from_millis(500) {
            self.count += 1;
            self.counted = now;
        }
        loop {
            let before = self.script;
            self.script_step(now);
            if self.script == before {
                return;
            }
        }
    }

    fn script_step(&mut self, now: Mono) {
        if self.held {
            return;
        }
        match self.script {
            Script::Idle if self.parameter("Exposures") > 0 => {
                self.parameters.insert("EXPOSURES".into(), 0);
                let cs = u64::from(self.parameter("IntCS"));
                self.script = Script::Integrating(now + Duration::from_millis(cs * 10));
            }
            Script::Idle | Script::Waiting if self.parameter("ReadOut") > 0 => {
                self.parameters.insert("READOUT".into(), 0);
                self.begin_reading(now);
            }
            Script::Integrating(until) if now >= until || self.parameter("AbortExposure") > 0 => {
                self.parameters.insert("ABORTEXPOSURE".into(), 0);
                self.script = Script::Waiting;
            }
            Script::Reading { until, buffer } if now >= until => {
                let b = &mut self.buffers[buffer];
                b.complete = true;
                b.lines = b.height;
                self.script = Script::Idle;
            }
            _ => {}
        }
    }

    fn begin_reading(&mut self, now: Mono) {
        let buffers = if self.value("BIGBUF") == Some("1") { 2 } else { 3 };
        let next = (1..=buffers).map(|s| (self.write + s - 1) % buffers + 1).find(|n| *n != self.locked);
        let Some(next) = next else { return };
        self.write = next;
        self.overwritten.push(next as u8);
        self.frames += 1;
        self.buffers[next - 1] = Buf {
            complete: false,
            frame: self.frames,
            timestamp: ticks(now.since(self.booted)),
            width: self.counts.1 * 2,
            height: self.counts.0,
            lines: 1,
        };
        self.script = Script::Reading { until: now + self.read_time, buffer: next - 1 };
    }

    /// The reply; `None`: silence.
    pub fn answer(&mut self, command: &Command, now: Mono) -> Option<Result<String, ()>> {
        self.run(now);
        let text = command.text();
        let begins = |set: &BTreeSet<String>| set.iter().any(|word| text.starts_with(word.as_str()));
        if begins(&self.ignore) {
            return None;
        }
        if begins(&self.refuse) {
            return Some(Err(()));
        }
        let lost = begins(&self.lose_reply);
        let reply = self.carry_out(&understand(&text), now);
        self.run(now);
        if lost { None } else { reply }
    }

    fn carry_out(&mut self, command: &Command, now: Mono) -> Option<Result<String, ()>> {
        let done = Some(Ok(String::new()));
        match command {
            Command::System => return Some(Ok(self.system())),
            Command::Status => return Some(Ok(self.status())),
            Command::Frame => return Some(Ok(self.frame(now))),
            Command::Timer => return Some(Ok(format!("TIMER={:016X}", ticks(now.since(self.booted))))),
            Command::FetchLog => {
                let line = if self.log.is_empty() { "(null)".into() } else { self.log.remove(0) };
                return Some(Ok(line));
            }
            Command::ReadConfig { line } => {
                return Some(Ok(self.memory.get(usize::from(*line)).cloned().unwrap_or_default()));
            }
            Command::ClearConfig => self.memory.clear(),
            Command::WriteConfig { line, text } => {
                let line = usize::from(*line);
                if self.memory.len() <= line {
                    self.memory.resize(line + 1, String::new());
                }
                self.memory[line] = text.clone();
            }
            Command::PollOff => self.polling = false,
            Command::PollOn => self.polling = true,
            Command::ApplyAll => self.apply_all(),
            Command::ApplyCds => self.apply_cds(),
            Command::LoadTiming | Command::LoadParams => self.load_parameters(),
            Command::FastLoadParam { name, value } => {
                let name = name.to_ascii_uppercase();
                if !self.parameters.contains_key(&name) {
                    return Some(Err(()));
                }
                self.parameters.insert(name, *value);
            }
            Command::HoldTiming => self.held = true,
            Command::ReleaseTiming => self.held = false,
            Command::ResetTiming => self.script = Script::Idle,
            Command::PowerOn if !self.applied => return Some(Err(())),
            Command::PowerOn => {
                self.power = 3;
                self.power_next = Some((now + Duration::from_secs(3), self.power_reaches));
            }
            Command::PowerOff => {
                self.power = 2;
                self.power_next = None;
            }
            Command::Lock(n) => self.locked = usize::from(*n),
            Command::Reboot | Command::WarmBoot => return None,
            Command::Raw(_) => return None,
            _ => {}
        }
        done
    }

    fn system(&self) -> String {
        let mut text = "BACKPLANE_TYPE=1 BACKPLANE_REV=5 BACKPLANE_ID=0000000000000ABC".to_owned();
        for (slot, kind) in &self.modules {
            text.push_str(&format!(" MOD{slot}_TYPE={kind} MOD{slot}_ID=00000000000000{slot:02X}"));
        }
        text
    }

    fn status(&self) -> String {
        let mut text = format!(
            "VALID=1 COUNT={} LOG={} POWER={} POWERGOOD={} OVERHEAT=0 MOD2/TEMP=25.0 MOD4/TEMP=26.0",
            self.count,
            self.log.len(),
            self.power,
            u8::from(self.good)
        );
        let volts = if self.power == 4 { self.value("MOD4/LVLC_V1").unwrap_or("0") } else { "0.0" };
        text.push_str(&format!(" MOD4/LVLC_V1={volts}"));
        for (key, value) in &self.extra_status {
            text.push_str(&format!(" {key}={value}"));
        }
        text
    }

    fn frame(&self, now: Mono) -> String {
        let mut text =
            format!("TIMER={:016X} RBUF={} WBUF={}", ticks(now.since(self.booted)), self.locked, self.write);
        let bases = [0xA000_0000u64, 0xC000_0000, 0xE000_0000];
        for (i, b) in self.buffers.iter().enumerate() {
            let n = i + 1;
            text.push_str(&format!(
                " BUF{n}SAMPLE=0 BUF{n}COMPLETE={} BUF{n}MODE=0 BUF{n}BASE={} BUF{n}FRAME={} BUF{n}WIDTH={} \
                 BUF{n}HEIGHT={} BUF{n}PIXELS=0 BUF{n}LINES={} BUF{n}TIMESTAMP={:016X}",
                u8::from(b.complete),
                bases[i],
                b.frame,
                b.width,
                b.height,
                b.lines,
                b.timestamp
            ));
        }
        text
    }
}
