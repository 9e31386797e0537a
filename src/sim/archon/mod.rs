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
mod client;
mod commands;
mod faults;
mod frames;
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
use crate::units::{Mono, Now};
use buffers::Buffers;
use client::Client;
use health::{Health, Power};
use memory::{Geometry, Memory};
use script::{Parameters, Script, State, Wish};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Most log lines kept.
const LOG_MAX: usize = 1024;
/// From this revision (H) on a backplane talks to several clients.
const REVISION_H: u8 = 7;
/// As many.
const CLIENTS_OF_H: usize = 4;
/// Transitions of the script in one go; a script that never waits goes on with the next tick.
const STEPS_MAX: usize = 1000;

/// A client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// How the simulated controller is made.
#[derive(Clone, Debug)]
pub struct ArchonSimConfig {
    /// Seed of the sky.
    pub seed: u64,
    /// Configuration memory at boot; its `[SYSTEM]` says what modules there are. Applied at once if it says
    /// `APPLYALL=1`, and powered if it says `POWERON=1` too, as the hardware does with the one in its flash memory.
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
    /// For so long after REBOOT and WARMBOOT nobody is heard.
    pub boot_time: Duration,
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
            boot_time: Duration::ZERO,
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

/// The controller.
#[derive(Debug)]
pub struct Archon {
    config: ArchonSimConfig,
    system: String,
    clients: BTreeMap<ClientId, Client>,
    /// Clients so far.
    arrivals: u64,
    memory: Memory,
    geometry: Geometry,
    parameters: Parameters,
    script: Script,
    buffers: Buffers,
    health: Health,
    faults: Faults,
    log: VecDeque<String>,
    closing: VecDeque<ClientId>,
    now: Mono,
    /// Nobody is heard before.
    deaf: Mono,
}

impl Archon {
    /// A controller that boots now.
    pub fn new(config: ArchonSimConfig, now: Now) -> Archon {
        let health = Health {
            power: Power::NotConfigured,
            power_time: config.power_time,
            revision: config.revision,
            frozen: None,
            booted: now.mono,
            still: None,
            modules: Vec::new(),
            biases: Vec::new(),
        };
        let mut archon = Archon {
            system: String::new(),
            clients: BTreeMap::new(),
            arrivals: 0,
            memory: Memory::default(),
            geometry: Geometry::default(),
            parameters: Parameters::new(config.case_sensitive),
            script: Script::new(config.flush_time),
            buffers: Buffers::default(),
            health,
            faults: Faults::new(config.faults.clone()),
            log: VecDeque::new(),
            closing: VecDeque::new(),
            now: now.mono,
            deaf: now.mono,
            config,
        };
        archon.boot();
        archon
    }

    /// Modules are looked for, and what flash memory holds is read.
    fn boot(&mut self) {
        let flash = self.config.acf.clone();
        let dead = self.faults.find(|f| if let Fault::DeadModule(slot) = f { Some(*slot) } else { None });
        self.system = health::system(flash.as_ref(), self.config.revision, self.config.backplane, dead);
        self.health.modules = health::modules(&self.system);
        self.health.apply(&Acf::default(), None);
        let flood = self.faults.find(|f| if let Fault::LogFlood(n) = f { Some(*n) } else { None });
        for n in 0..flood.unwrap_or(0) {
            self.say(format!("log line {n}"));
        }
        let Some(acf) = flash else { return };
        for (line, text) in (0..).zip(acf.wire_lines()) {
            self.memory.write(line, &text);
        }
        if acf.int("APPLYALL") == Some(1) {
            let applied = self.apply_all();
            let powered = match acf.int("POWERON") {
                Some(1) => applied.and_then(|()| self.health.power_on(self.now)),
                _ => applied,
            };
            if let Err(why) = powered {
                self.say(format!("boot: {why}"));
            }
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
        matches!(self.health.power, Power::On { .. } | Power::Rising { .. })
    }

    /// What the timing script does, in a word.
    pub fn doing(&self) -> &'static str {
        match self.script.state {
            State::Main { charge: None } => "idle",
            State::Main { charge: Some(_) } => "pending",
            State::Integrating { .. } => "integrating",
            State::Flushing { .. } => "flushing",
            State::Reading { .. } => "reading",
        }
    }

    /// Somebody connected.
    pub fn connect(&mut self, client: ClientId) {
        self.arrivals += 1;
        self.clients.insert(client, Client::new(self.arrivals));
    }

    /// Somebody has gone.
    pub fn closed(&mut self, client: ClientId) {
        let heard = self.hears(client);
        let slow = self.faults.find(|f| if let Fault::SlowRelease(d) = f { Some(*d) } else { None });
        if self.clients.remove(&client).is_some()
            && heard
            && let Some(slow) = slow.filter(|_| self.config.revision < REVISION_H)
        {
            self.deaf = self.deaf.max(self.now + slow);
        }
    }

    /// The client takes less than it is given (or more again).
    pub fn set_congested(&mut self, client: ClientId, congested: bool) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.congested = congested;
        }
    }

    /// A box of revision F hears only whom it heard first.
    fn hears(&self, client: ClientId) -> bool {
        let most = if self.config.revision >= REVISION_H { CLIENTS_OF_H } else { 1 };
        let Some(me) = self.clients.get(&client) else { return false };
        let before_me = self.clients.values().filter(|c| c.arrived < me.arrived).count();
        before_me < most && self.deaf <= self.now
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
        self.health.settle(self.now, &mut self.faults);
        self.run_script();
    }

    fn run_script(&mut self) {
        self.progress();
        for _ in 0..STEPS_MAX {
            let before = self.script.state;
            match self.script.step(&mut self.parameters, self.now) {
                Some(Wish::Begin(charge)) => self.begin_frame(charge),
                Some(Wish::Complete { buffer }) => self.complete(buffer),
                None if self.script.state == before => return,
                None => {}
            }
        }
    }

    /// Everything anew; a warm boot keeps frame memory and its numbers. Connections end.
    pub fn reboot(&mut self, warm: bool) {
        self.memory.clear();
        self.geometry = Geometry::default();
        self.parameters.replace(Vec::new());
        self.script = Script::new(self.config.flush_time);
        if warm {
            self.buffers.locked = 0;
        } else {
            self.buffers = Buffers::default();
            self.health.booted = self.now;
        }
        self.health.power = Power::NotConfigured;
        self.health.frozen = None;
        self.log.clear();
        self.deaf = self.now + self.config.boot_time;
        self.closing.extend(std::mem::take(&mut self.clients).into_keys());
        self.boot();
    }

    fn say(&mut self, line: String) {
        if self.log.len() < LOG_MAX {
            self.log.push_back(line);
        }
    }

    /// When to call [`Archon::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let answers = self.clients.values().filter_map(Client::deadline);
        // Faults strike in the middle of a readout.
        let middle = match (self.script.state, self.script.deadline()) {
            (State::Reading { since, until, .. }, Some(_)) => {
                Some(since + until.since(since) / 2).filter(|m| *m > self.now)
            }
            _ => None,
        };
        let health = self.health.deadline(&self.faults);
        answers.chain(self.script.deadline()).chain(health).chain(middle).min()
    }

    /// The next order; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(id) = self.closing.pop_front() {
            return Some(Output::Close(id));
        }
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        ids.into_iter().find_map(|id| self.output_of(id))
    }
}
