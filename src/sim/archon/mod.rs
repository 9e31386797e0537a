//! A simulated Archon controller with the semantics of the hardware.
//!
//! One box: configuration memory and what was applied of it, power, a timing script that keeps the
//! parameter contract of the reference's scripts, frame memory with its locks, and a seeded sky. Pure:
//! bytes and time in, bytes out; [`crate::sim::archon_app`] gives it a port.
//!
//! As the hardware: unknown commands get no answer, an unset configuration line reads as empty text,
//! FRAME groups its keys by kind, the last block is padded with 0xFF, POWERON is refused before the first
//! APPLYALL, APPLYALL drops power, and a backplane of revision F talks to one client only.

mod buffers;
mod commands;
mod faults;
mod health;
mod memory;
mod script;
pub mod sky;
mod stream;
#[cfg(test)]
mod tests;

pub use faults::{Fault, Faults, Pattern};
pub use sky::FrameSpec;

use crate::config::acf::Acf;
use crate::proto::archon::{BLOCK, Sample, TICKS_PER_SECOND, host};
use crate::units::{Mono, Now};
use buffers::Buffers;
use health::{Health, Power};
use memory::Memory;
use script::{Parameters, Script, State, Wish};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use stream::Stream;

/// Most log lines kept.
const LOG_MAX: usize = 1024;
/// Answers waiting behind a stream, per client; more are dropped.
const ANSWERS_MAX: usize = 4096;

/// A client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// How the simulated controller is made.
#[derive(Clone, Debug)]
pub struct ArchonSimConfig {
    /// Seed of the sky.
    pub seed: u64,
    /// Configuration memory at boot, applied; its `[SYSTEM]` says what modules there are.
    pub acf: Option<Acf>,
    /// BACKPLANE_ID.
    pub backplane: u64,
    /// BACKPLANE_REV: up to 5 (F) one client, from 7 (H) four.
    pub revision: u8,
    /// Bytes handed to the network at once.
    pub segment: usize,
    /// Time to read one line of a tap.
    pub line_time: Duration,
    /// Time of one flush.
    pub flush_time: Duration,
    /// Time from POWERON to power.
    pub power_time: Duration,
    /// Parameter names are matched letter by letter.
    pub case_sensitive: bool,
    /// Pixels are only a counter: as fast as can be.
    pub counter: bool,
    /// Faults.
    pub faults: Vec<Fault>,
}

impl Default for ArchonSimConfig {
    fn default() -> Self {
        ArchonSimConfig {
            seed: 1,
            acf: None,
            backplane: 0x0000_3FFF_1A99_02F6,
            revision: 5,
            segment: 128 << 10,
            line_time: Duration::from_micros(200),
            flush_time: Duration::from_millis(100),
            power_time: Duration::from_millis(200),
            case_sensitive: false,
            counter: false,
            faults: Vec::new(),
        }
    }
}

/// An order of the simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these bytes.
    Send(ClientId, Vec<u8>),
    /// Close the connection.
    Close(ClientId),
}

#[derive(Debug, Default)]
struct Client {
    lines: host::Lines,
    /// (due, bytes)
    answers: VecDeque<(Mono, Vec<u8>)>,
    stream: Option<Stream>,
    congested: bool,
    sent: u64,
}

/// The controller.
#[derive(Debug)]
pub struct Archon {
    config: ArchonSimConfig,
    system: String,
    clients: BTreeMap<ClientId, Client>,
    memory: Memory,
    applied: Acf,
    parameters: Parameters,
    script: Script,
    buffers: Buffers,
    health: Health,
    faults: Faults,
    log: VecDeque<String>,
    closing: VecDeque<ClientId>,
    now: Mono,
}

impl Archon {
    /// A controller that boots now.
    pub fn new(config: ArchonSimConfig, now: Now) -> Archon {
        let system = health::system(config.acf.as_ref(), config.revision, config.backplane);
        let mut health = Health {
            power: Power::NotConfigured,
            power_time: config.power_time,
            frozen: None,
            booted: now.mono,
            modules: health::modules(&system),
            biases: Vec::new(),
        };
        health.apply(&Acf::default());
        let mut archon = Archon {
            system,
            clients: BTreeMap::new(),
            memory: Memory::default(),
            applied: Acf::default(),
            parameters: Parameters::new(config.case_sensitive),
            script: Script::new(config.flush_time),
            buffers: Buffers::default(),
            health,
            faults: Faults::new(config.faults.clone()),
            log: VecDeque::new(),
            closing: VecDeque::new(),
            now: now.mono,
            config,
        };
        archon.boot_configuration();
        archon
    }

    /// What flash memory would hold: written, not applied.
    fn boot_configuration(&mut self) {
        let Some(acf) = self.config.acf.clone() else { return };
        for (line, text) in acf.wire_lines().iter().enumerate() {
            self.memory.write(line as u16, text);
        }
        let flood = self.faults.find(|f| if let Fault::LogFlood(n) = f { Some(*n) } else { None });
        for n in 0..flood.unwrap_or(0) {
            self.say(format!("log line {n}"));
        }
    }

    /// Faults from now on.
    pub fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// The frame in a buffer (1..=3), if there is a complete one: what FETCH of it gives.
    pub fn frame(&self, buffer: u8) -> Option<&FrameSpec> {
        self.buffers.get(buffer).filter(|b| b.complete).and_then(|b| b.spec.as_ref())
    }

    /// The buffer that is locked for reading; 0: none.
    pub fn locked(&self) -> u8 {
        self.buffers.locked
    }

    /// CCD power is on or coming.
    pub fn powered(&self) -> bool {
        matches!(self.health.power, Power::On | Power::Rising { .. })
    }

    /// What the timing script does, in a word.
    pub fn doing(&self) -> &'static str {
        match self.script.state {
            State::Idle => "idle",
            State::Integrating { .. } => "integrating",
            State::Pending { .. } => "pending",
            State::Flushing { .. } => "flushing",
            State::Reading { .. } => "reading",
        }
    }

    /// Somebody connected.
    pub fn connect(&mut self, client: ClientId) {
        self.clients.insert(client, Client::default());
    }

    /// Somebody has gone.
    pub fn closed(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    /// The client takes less than it is given (or more again).
    pub fn set_congested(&mut self, client: ClientId, congested: bool) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.congested = congested;
        }
    }

    /// A box of revision F hears only whom it heard first.
    fn hears(&self, client: ClientId) -> bool {
        let most = if self.config.revision >= 7 { 4 } else { 1 };
        self.clients.keys().take(most).any(|c| *c == client)
    }

    /// Bytes from a client, in any pieces.
    pub fn receive(&mut self, id: ClientId, mut bytes: &[u8], now: Now) {
        self.tick(now);
        if !self.hears(id) {
            return;
        }
        while let Some(line) = {
            let client = self.clients.get_mut(&id);
            client.and_then(|c| c.lines.next(&mut bytes))
        } {
            self.command(id, &line);
            self.run_script();
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.now = self.now.max(now.mono);
        self.health.settle(self.now, &self.faults);
        self.run_script();
    }

    fn run_script(&mut self) {
        self.progress();
        loop {
            let before = self.script.state;
            match self.script.step(&mut self.parameters, self.now) {
                Some(Wish::Begin { began, ended, shifted }) => self.begin_frame(began, ended, shifted),
                Some(Wish::Complete { buffer }) => self.complete(buffer),
                None if self.script.state == before => return,
                None => {}
            }
        }
    }

    /// Ticks since boot.
    fn ticks(&self, at: Mono) -> u64 {
        (at.since(self.health.booted).as_nanos() / (1_000_000_000 / u128::from(TICKS_PER_SECOND))) as u64
    }

    fn begin_frame(&mut self, began: Mono, ended: Mono, shifted: u32) {
        let slow = self.faults.find(|f| if let Fault::SlowReadout(d) = f { Some(*d) } else { None });
        let wait =
            Duration::from_secs(u64::from(self.parameters.get("WaitCount"))) + slow.unwrap_or_default();
        let dead = Duration::from_millis(u64::from(self.parameters.get("NoIntMS")));
        let number = self.buffers.begin_frame();
        let spec = self.spec(began, ended, shifted);
        let lines = spec.lines;
        let (timestamp, rising, falling) = (self.ticks(self.now), self.ticks(began), self.ticks(ended));
        let short = self.faults.find(|f| if let Fault::ShortFrame(n) = f { Some(*n) } else { None });
        if let Some(buffer) = self.buffers.get_mut(number) {
            let told_width = short.map(|n| spec.width().saturating_sub(n));
            *buffer = buffers::Buffer {
                spec: Some(spec),
                complete: false,
                timestamp,
                rising,
                falling,
                lines: 0,
                told_width,
            };
        }
        let until = self.now + dead + wait + self.config.line_time * lines;
        self.script.state = State::Reading { since: self.now + dead, until, buffer: number };
    }

    fn spec(&self, began: Mono, ended: Mono, shifted: u32) -> FrameSpec {
        let number = |key: &str| self.applied.int(key).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let binning = self.parameters.get("HorizontalBinning").max(1);
        FrameSpec {
            seed: self.config.seed,
            frame: self.buffers.last_frame,
            taps: self.applied.tap_count() as u32,
            pixels: number("PIXELCOUNT"),
            lines: number("LINECOUNT"),
            mode: number("FRAMEMODE") as u8,
            sample: if number("SAMPLEMODE") == 0 { Sample::U16 } else { Sample::U32 },
            overscan: self.parameters.get("OverscanPixels") / binning,
            integration_ms: ended.since(began).as_millis() as u64,
            shifted,
            counter: self.config.counter,
        }
    }

    fn complete(&mut self, number: u8) {
        if let Some(buffer) = self.buffers.get_mut(number) {
            buffer.complete = true;
            buffer.lines = buffer.spec.as_ref().map_or(0, |s| s.lines);
        }
    }

    /// Lines read so far; a fault that waits for the middle of a readout strikes here.
    fn progress(&mut self) {
        let State::Reading { since, until, buffer } = self.script.state else { return };
        let whole = until.since(since).as_secs_f64();
        let part = if whole > 0.0 { self.now.since(since).as_secs_f64() / whole } else { 1.0 };
        if let Some(b) = self.buffers.get_mut(buffer) {
            let lines = b.spec.as_ref().map_or(0, |s| s.lines);
            b.lines = (f64::from(lines) * part.min(1.0)) as u32;
        }
        if part >= 0.5 {
            if self.faults.once(|f| matches!(f, Fault::RebootInReadout).then_some(())).is_some() {
                self.reboot(false);
            } else if self.faults.once(|f| matches!(f, Fault::WarmBootInReadout).then_some(())).is_some() {
                self.reboot(true);
            }
        }
    }

    /// Everything anew; a warm boot keeps frame memory and its numbers. Connections end.
    pub fn reboot(&mut self, warm: bool) {
        self.memory.clear();
        self.applied = Acf::default();
        self.health.apply(&self.applied);
        self.parameters.replace(Vec::new());
        self.script.held = false;
        self.script.restart();
        if warm {
            self.buffers.locked = 0;
        } else {
            self.buffers = Buffers::default();
            self.health.booted = self.now;
        }
        self.health.power = Power::NotConfigured;
        self.health.frozen = None;
        self.boot_configuration();
        for id in std::mem::take(&mut self.clients).into_keys() {
            self.closing.push_back(id);
        }
    }

    fn say(&mut self, line: String) {
        if self.log.len() < LOG_MAX {
            self.log.push_back(line);
        }
    }

    /// When to call [`Archon::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let answers = self.clients.values().filter(|c| c.stream.is_none() && !c.congested);
        let answers = answers.filter_map(|c| c.answers.front().map(|(due, _)| *due));
        let middle = match self.script.state {
            State::Reading { since, until, .. } => {
                Some(since + until.since(since) / 2).filter(|m| *m > self.now)
            }
            _ => None,
        };
        answers.chain(self.script.deadline()).chain(self.health.deadline()).chain(middle).min()
    }

    /// The next order; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(id) = self.closing.pop_front() {
            return Some(Output::Close(id));
        }
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        ids.into_iter().find_map(|id| self.output_of(id))
    }

    fn output_of(&mut self, id: ClientId) -> Option<Output> {
        let limit = self.faults.find(|f| if let Fault::DropAfter(n) = f { Some(*n) } else { None });
        let client = self.clients.get_mut(&id)?;
        if client.congested {
            return None;
        }
        let mut bytes = Vec::new();
        let interleave = self.faults.has(&Fault::Interleave);
        let mut end = false;
        if client.stream.is_none() || interleave {
            while let Some((_, answer)) = client.answers.pop_front_if(|(due, _)| *due <= self.now) {
                bytes.extend(answer);
            }
        }
        if client.stream.is_some() {
            end = blocks(client, &mut self.faults, self.config.segment, &mut bytes);
        }
        if let Some(limit) = limit
            && client.sent + bytes.len() as u64 >= limit
        {
            bytes.truncate((limit - client.sent.min(limit)) as usize);
            self.faults.once(|f| matches!(f, Fault::DropAfter(_)).then_some(()));
            end = true;
        }
        client.sent += bytes.len() as u64;
        if end {
            self.clients.remove(&id);
            self.closing.push_back(id);
        }
        match (bytes.is_empty(), end) {
            (false, _) => Some(Output::Send(id, bytes)),
            (true, true) => self.closing.pop_front().map(Output::Close),
            (true, false) => None,
        }
    }

    fn answer(&mut self, id: ClientId, bytes: Vec<u8>) {
        let due = self.now + self.faults.delay();
        if let Some(client) = self.clients.get_mut(&id)
            && client.answers.len() < ANSWERS_MAX
        {
            client.answers.push_back((due, bytes));
        }
    }
}

/// Appends a segment of the stream; `true`: the connection ends here.
fn blocks(client: &mut Client, faults: &mut Faults, segment: usize, bytes: &mut Vec<u8>) -> bool {
    let Some(stream) = &mut client.stream else { return false };
    let mut left = (segment / BLOCK).max(1);
    while left > 0 && !stream.is_done() {
        let here = stream.block;
        let at = |wanted: u32| (wanted == here).then_some(());
        if faults.once(|f| if let Fault::DropInFetch(b) = f { at(*b) } else { None }).is_some() {
            return true;
        }
        if faults.once(|f| if let Fault::CutFetch(b) = f { at(*b) } else { None }).is_some() {
            client.stream = None;
            return false;
        }
        let garbage = faults.once(|f| if let Fault::GarbageInFetch(b) = f { at(*b) } else { None }).is_some();
        stream.next_block(bytes, garbage);
        left -= 1;
    }
    if stream.is_done() {
        client.stream = None;
    }
    false
}
