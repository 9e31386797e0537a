//! A controller, its box and the link between them on one virtual clock.

use super::judge::Judge;
use super::peer::Peer;
use crate::archon::controller::{
    Answer, Controller, ControllerConfig, Fault, Order, OrderKey, Output, Report,
};
use crate::archon::safety::Consent;
use crate::config::acf::Acf;
use crate::config::archon::limits::{ControllerLimits, Range, SensorLimits, TemperatureUnit};
use crate::config::archon::{ControllerEntry, IntParam, Timeouts};
use crate::proto::archon::{Command, Expect};
use crate::session::archon_link::{LinkError, LinkEvent, Token};
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A small ACF of our own: two taps, the whole parameter contract.
pub const ACF: &str = "[CONFIG]\n\
BIGBUF=0\nFRAMEMODE=0\nSAMPLEMODE=0\nLINECOUNT=40\nPIXELCOUNT=35\nPOWERON=0\nAPPLYALL=0\n\
MOD2\\HEATERAENABLE=0\nMOD2\\HEATERATARGET=-110.0\nMOD2\\HEATERASENSOR=0\nMOD2\\HEATERARAMP=1\n\
MOD2\\HEATERARAMPRATE=10\nMOD2\\HEATERUPDATETIME=1000\nMOD2\\HEATERALIMIT=10.0\n\
MOD4\\LVLC_V1=1.5\nMOD4\\LVLC_LABEL1=\"OG, left\"\n\
PARAMETERS=20\nPARAMETER0=\"Exposures=0\"\nPARAMETER1=\"IntCS=0\"\nPARAMETER2=\"NoIntMS=0\"\n\
PARAMETER3=\"Pixels=30\"\nPARAMETER4=\"Lines=40\"\nPARAMETER5=\"HorizontalBinning=1\"\n\
PARAMETER6=\"VerticalBinning=1\"\nPARAMETER7=\"AbortExposure=0\"\nPARAMETER8=\"ReadOut=0\"\n\
PARAMETER9=\"DoFlush=0\"\nPARAMETER10=\"AutoFlush=1\"\nPARAMETER11=\"FlushCount=2\"\n\
PARAMETER12=\"PreSkipPixels=0\"\nPARAMETER13=\"PostSkipPixels=0\"\nPARAMETER14=\"PreSkipLines=0\"\n\
PARAMETER15=\"PostSkipLines=0\"\nPARAMETER16=\"OverscanPixels=5\"\nPARAMETER17=\"OverscanLines=0\"\n\
PARAMETER18=\"WaitCount=0\"\nPARAMETER19=\"Spare_1=7\"\n\
TAPLINES=2\nTAPLINE0=\"AD5L, -1, 1000\"\nTAPLINE1=\"AD5R, 1, 1000\"\n\
[SYSTEM]\nMOD2_TYPE=11\nMOD2_ID=0000000000000002\nMOD4_TYPE=9\nMOD4_ID=0000000000000004\n\
MOD5_TYPE=2\nMOD5_ID=0000000000000005\n";

pub fn acf() -> Arc<Acf> {
    Arc::new(Acf::parse(ACF).expect("our own ACF is sound").0)
}

pub fn limits() -> ControllerLimits {
    let range = |min, max| Range { min, max };
    ControllerLimits {
        temperature_unit: Some(TemperatureUnit::Celsius),
        keys: BTreeMap::from([("MOD4/LVLC_V1".to_owned(), range(-1.0, 5.0))]),
        sensors: BTreeMap::from([(
            "MOD2/TEMPA".to_owned(),
            SensorLimits { range: range(-130.0, -90.0), max_rate_per_min: Some(2.0), ccd: true },
        )]),
        rails: BTreeMap::new(),
        bias_tolerance_v: Some(0.2),
    }
}

pub fn config() -> ControllerConfig {
    let s = Duration::from_secs;
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
        limits: Some(limits()),
        reset_on_attach: false,
        upload_depth: 1,
        verify_config: true,
        allow_flash: false,
        status_interval: s(1),
    }
}

/// Everything under test.
pub struct Bench {
    pub controller: Controller,
    pub now: Now,
    pub peer: Peer,
    /// Commands in the order they left, polls included.
    pub sent: Vec<Command>,
    /// Orders that changed something, as recorded.
    pub records: Vec<Value>,
    pub reports: Vec<Report>,
    pub relinks: usize,
    pub up: bool,
    /// Pieces of the fetches are handed on by hand.
    pub hold_fetch: bool,
    pub fetches: Vec<(Token, u32)>,
    pub judge: Judge,
    keys: u64,
    texts: HashMap<Token, String>,
    coming: VecDeque<(Mono, Token, Result<String, LinkError>)>,
}

impl Bench {
    pub fn with(config: ControllerConfig, peer: Peer) -> Bench {
        let now = Now { mono: Mono(1_000_000_000_000), utc: Utc::from_seconds(1_800_000_000) };
        Bench {
            controller: Controller::new(config, now),
            now,
            peer,
            sent: Vec::new(),
            records: Vec::new(),
            reports: Vec::new(),
            relinks: 0,
            up: false,
            hold_fetch: false,
            fetches: Vec::new(),
            judge: Judge::default(),
            keys: 0,
            texts: HashMap::new(),
            coming: VecDeque::new(),
        }
    }

    /// Attached to a box that was configured before, power on, cold.
    pub fn attached() -> Bench {
        Bench::attached_with(config())
    }

    pub fn attached_with(config: ControllerConfig) -> Bench {
        let mut peer = Peer::configured(&acf().wire_lines());
        peer.power = 4;
        peer.extra_status.insert("MOD2/TEMPA".into(), "-110.0".into());
        let mut bench = Bench::with(config, peer);
        bench.link_up();
        bench.run_for(Duration::from_secs(2));
        assert!(bench.controller.view().attached, "{:?}", bench.reports);
        bench
    }

    pub fn link_up(&mut self) {
        self.up = true;
        self.judge.link(true);
        self.controller.link(LinkEvent::Up, self.now);
        self.carry();
    }

    pub fn link_down(&mut self) {
        self.up = false;
        self.judge.link(false);
        let lost: Vec<Token> = self.coming.drain(..).map(|(_, t, _)| t).collect();
        let fetches = self.fetches.drain(..).map(|(t, _)| t);
        for token in lost.into_iter().chain(fetches.collect::<Vec<_>>()) {
            let error = LinkError::Down { command: String::new(), why: "cut".into(), sent: true };
            self.controller.link(LinkEvent::Reply { token, result: Err(error) }, self.now);
        }
        self.controller.link(LinkEvent::Down { why: "cut".into() }, self.now);
        self.carry();
    }

    /// Carries out what the controller ordered.
    pub fn carry(&mut self) {
        while let Some(output) = self.controller.poll() {
            match output {
                Output::Command { token, command } => self.send(token, command),
                Output::Record(entry) => self.records.push(entry),
                Output::Relink(_) => {
                    self.relinks += 1;
                    self.link_down();
                }
                Output::Report(report) => {
                    self.judge.report(&report, self.now.mono);
                    self.reports.push(report);
                }
            }
        }
    }

    fn send(&mut self, token: Token, command: Command) {
        self.sent.push(command.clone());
        if !self.up {
            let error = LinkError::Down { command: command.text(), why: "cut".into(), sent: false };
            self.coming.push_back((self.now.mono, token, Err(error)));
            return;
        }
        if let Expect::Blocks(blocks) = command.expects() {
            self.fetches.push((token, blocks));
            if !self.hold_fetch {
                self.finish_fetch();
            }
            return;
        }
        self.peer.run(self.now.mono);
        self.writer_moved();
        self.judge.command(&command.text(), &self.peer, self.now.mono);
        self.texts.insert(token, command.text());
        let reply = self.peer.answer(&command, self.now.mono);
        self.writer_moved();
        let silent = || LinkError::Timeout { command: command.text(), waited_ms: 2000 };
        let (after, result) = match reply {
            Some(Ok(text)) => (Duration::from_micros(300), Ok(text)),
            Some(Err(())) => {
                (Duration::from_micros(300), Err(LinkError::Refused { command: command.text() }))
            }
            None => (command.timeout(&crate::proto::archon::Timeouts::default()), Err(silent())),
        };
        self.coming.push_back((self.now.mono + after, token, result));
        self.coming.make_contiguous().sort_by_key(|(at, ..)| *at);
    }

    fn writer_moved(&mut self) {
        for buffer in std::mem::take(&mut self.peer.overwritten) {
            self.judge.overwrites(buffer);
        }
    }

    /// The box loses its power and boots.
    pub fn reboot(&mut self) {
        if self.up {
            self.link_down();
        }
        self.peer.reboot(self.now.mono);
        self.judge.booted();
    }

    /// All blocks of the fetch, then its end.
    pub fn finish_fetch(&mut self) {
        for (token, blocks) in std::mem::take(&mut self.fetches) {
            for _ in 0..blocks {
                self.controller.link(LinkEvent::Data { token, bytes: vec![7; 1024] }, self.now);
            }
            self.coming.push_back((self.now.mono, token, Ok(String::new())));
        }
    }

    /// Moves to the next thing that happens, not beyond `until`. `false`: nothing happens before.
    pub fn step(&mut self, until: Mono) -> bool {
        self.carry();
        let reply = self.coming.front().map(|(at, ..)| *at);
        let next = [reply, self.controller.deadline()].into_iter().flatten().min();
        let Some(at) = next.filter(|at| *at <= until) else {
            self.set(until);
            return false;
        };
        self.set(at.max(self.now.mono));
        if reply.is_some_and(|r| r <= at) {
            if let Some((_, token, result)) = self.coming.pop_front() {
                if let (Ok(reply), Some(text)) = (&result, self.texts.remove(&token)) {
                    self.judge.reply(&text, reply, &self.peer, self.now.mono);
                }
                self.controller.link(LinkEvent::Reply { token, result }, self.now);
            }
        } else {
            self.controller.tick(self.now);
        }
        self.carry();
        true
    }

    fn set(&mut self, to: Mono) {
        let passed = to.since(self.now.mono);
        self.now = Now { mono: to, utc: self.now.utc + passed };
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now.mono + time;
        let mut turns = 0;
        while self.step(until) {
            turns += 1;
            assert!(turns < 2_000_000, "it never rests");
        }
    }

    pub fn order(&mut self, order: Order) -> OrderKey {
        self.keys += 1;
        let key = OrderKey(self.keys);
        self.judge.order(key, &order);
        self.controller.order(key, order, self.now);
        self.carry();
        key
    }

    pub fn result(&self, key: OrderKey) -> Option<Result<Answer, Fault>> {
        self.reports.iter().find_map(|r| match r {
            Report::Done { key: k, result } if *k == key => Some(result.clone()),
            _ => None,
        })
    }

    /// Orders and waits, at most ten minutes.
    pub fn does(&mut self, order: Order) -> Result<Answer, Fault> {
        let key = self.order(order);
        self.wait(key)
    }

    pub fn wait(&mut self, key: OrderKey) -> Result<Answer, Fault> {
        let until = self.now.mono + Duration::from_secs(600);
        loop {
            if let Some(result) = self.result(key) {
                return result;
            }
            assert!(self.step(until), "{key:?} is never done; last sent {:?}", self.sent.last());
        }
    }

    /// Texts of what left since `from`, polls and questions left out.
    pub fn changes(&self, from: usize) -> Vec<String> {
        self.sent[from..].iter().filter(|c| !c.is_query()).map(Command::text).collect()
    }

    pub fn load(acf: Arc<Acf>, power: bool) -> Order {
        Order::Load {
            acf,
            path: "own.acf".into(),
            apply_all: true,
            apply: Vec::new(),
            power,
            overrides: Vec::new(),
            init: true,
            consent: Consent::default(),
        }
    }

    pub fn said(&self, text: &str) -> bool {
        self.reports.iter().any(|r| match r {
            Report::Step { text: t, .. } | Report::Log(t) => t.contains(text),
            _ => false,
        })
    }

    pub fn alarms(&self) -> Vec<(&'static str, String, bool)> {
        let one = |r: &Report| match r {
            Report::Alarm(a) => Some((a.name, a.subject.clone(), a.on)),
            _ => None,
        };
        self.reports.iter().filter_map(one).collect()
    }
}
