//! A night in a box: role, links and simulated controllers, one clock, one directory.

use appliance::api::{Outcome, Ticket};
use appliance::archon::controller::{ControllerConfig, Level};
use appliance::archon::methods::{ArchonCall, Ask, ExposeAsk, Flavour};
use appliance::archon::role::{Archon, Index, Input, Output, RoleConfig};
use appliance::archon::safety::Consent;
use appliance::config::archon::ArchonConfig;
use appliance::frames::jobs::{self, Naming};
use appliance::proto::archon::Sample;
use appliance::session::archon_link::{self, ArchonLink, LinkEvent};
use appliance::sim::archon::{Archon as Box_, ArchonSimConfig, ClientId, FrameSpec, Output as BoxOutput};
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nothing takes longer than this, virtual.
pub const PATIENCE: Duration = Duration::from_secs(900);
/// 2026-11-21T00:00:00 UTC.
const MIDNIGHT: i64 = 1_795_219_200;

/// Frame of two CCDs with one tap each.
pub fn acf(sample: Sample) -> String {
    let sample = u8::from(sample == Sample::U32);
    let parameters = [
        ("Exposures", 0),
        ("IntCS", 0),
        ("IntMS", 0),
        ("NoIntMS", 5),
        ("Pixels", 20),
        ("Lines", 12),
        ("HorizontalBinning", 1),
        ("VerticalBinning", 1),
        ("AbortExposure", 0),
        ("ReadOut", 0),
        ("DoFlush", 0),
        ("AutoFlush", 1),
        ("FlushCount", 2),
        ("PreSkipPixels", 0),
        ("PostSkipPixels", 0),
        ("PreSkipLines", 0),
        ("PostSkipLines", 0),
        ("OverscanPixels", 4),
        ("OverscanLines", 0),
        ("WaitCount", 0),
    ];
    let mut text = format!(
        "[CONFIG]\nBIGBUF=0\nFRAMEMODE=0\nLINECOUNT=12\nLINE0=Main:\nLINES=1\nPIXELCOUNT=24\nSAMPLEMODE={sample}\n"
    );
    for (n, (name, value)) in parameters.iter().enumerate() {
        text.push_str(&format!("PARAMETER{n}=\"{name}={value}\"\n"));
    }
    text.push_str(&format!("PARAMETERS={}\n", parameters.len()));
    text.push_str("TAPLINE0=\"AD5L, 1, 100\"\nTAPLINE1=\"AD5R, 1, 100\"\nTAPLINES=2\n");
    text
}

struct Wire {
    link: ArchonLink,
    /// The connection, numbered anew each time.
    client: Option<ClientId>,
    paused: bool,
}

/// Everything.
pub struct World {
    pub now: Now,
    pub role: Archon,
    pub boxes: Vec<Box_>,
    wires: Vec<Wire>,
    next_client: u64,
    next_ticket: u64,
    pub outcomes: HashMap<Ticket, Outcome>,
    pub said: Vec<(Option<Ticket>, Level, String, Value)>,
    /// (controller, text) in the order they left.
    pub commands: Vec<(usize, String)>,
    /// Every complete frame there ever was, by controller and frame number; a box that was rebooted counts anew.
    pub frames: HashMap<(usize, u64), Vec<FrameSpec>>,
    pub dir: tempfile::TempDir,
    pub finished: bool,
    config: RoleConfig,
    rng: u64,
}

impl World {
    /// One controller, 16 bits, configured and powered.
    pub fn ready() -> World {
        let mut world = World::new(&["sp1"], Sample::U16);
        world.init();
        world
    }

    /// Controllers just switched on.
    pub fn new(names: &[&str], sample: Sample) -> World {
        World::with(names.len(), &acf(sample), &yml(names))
    }

    /// The same; nothing is recovered at the start of the program.
    pub fn quiet() -> World {
        let yml = yml(&["sp1"]).replace("run_recovery_on_start: true", "run_recovery_on_start: false");
        let mut world = World::with(1, &acf(Sample::U16), &yml);
        world.init();
        world
    }

    /// The connection of a controller ends; nobody meant it to.
    pub fn cut(&mut self, n: usize) {
        let client = self.wires[n].client.take().expect("connected");
        self.boxes[n].closed(client);
        self.wires[n].link.closed("the cable was pulled", self.now);
        self.settle();
    }

    /// So many controllers, with this configuration; `DIR` in it is the world's directory.
    pub fn with(controllers: usize, acf: &str, yml: &str) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("images")).expect("a directory");
        std::fs::write(dir.path().join("test.acf"), acf).expect("written");
        let config = role_config(&yml.replace("DIR", &dir.path().display().to_string()), dir.path());
        let now = Now { mono: Mono(1_000_000_000), utc: Utc::from_seconds(MIDNIGHT) };
        let boxes = (0..controllers as u64).map(|n| {
            let config = ArchonSimConfig { seed: 5 + n, backplane: 0xA000 + n, ..ArchonSimConfig::default() };
            Box_::new(config, now)
        });
        let mut world = World {
            now,
            role: Archon::new(config.clone(), now),
            boxes: boxes.collect(),
            wires: Vec::new(),
            next_client: 0,
            next_ticket: 0,
            outcomes: HashMap::new(),
            said: Vec::new(),
            commands: Vec::new(),
            frames: HashMap::new(),
            dir,
            finished: false,
            config,
            rng: 0x9E37_79B9,
        };
        world.wires = world.new_wires();
        world.settle();
        world.pass(Duration::from_secs(2));
        world
    }

    fn new_wires(&self) -> Vec<Wire> {
        let wire = |n: usize| {
            let config =
                archon_link::Config { chunk: 512, seed: n as u64 + 1, ..archon_link::Config::default() };
            let mut link = ArchonLink::new(config);
            link.tick(self.now);
            Wire { link, client: None, paused: false }
        };
        (0..self.boxes.len()).map(wire).collect()
    }

    /// The program ends without a word and is started again: the controllers go on.
    pub fn kill(&mut self) {
        for n in 0..self.wires.len() {
            if let Some(client) = self.wires[n].client.take() {
                self.boxes[n].closed(client);
            }
        }
        self.role = Archon::new(self.config.clone(), self.now);
        self.wires = self.new_wires();
        self.outcomes.clear();
        self.settle();
        self.pass(Duration::from_secs(2));
    }

    pub fn images(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    /// Files of the night with this ending, sorted.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.images()];
        while let Some(dir) = dirs.pop() {
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
                if path.is_dir() {
                    dirs.push(path);
                } else if path.to_string_lossy().ends_with(ending) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    // ------------------------------------------------------------------ calls

    pub fn begin(&mut self, ask: Ask) -> Ticket {
        self.begin_on(Vec::new(), ask)
    }

    pub fn begin_on(&mut self, controllers: Vec<String>, ask: Ask) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.role.handle(Input::Call { ticket, call: ArchonCall { controllers, ask } }, self.now);
        self.settle();
        ticket
    }

    /// The answer, as soon as there is one.
    pub fn answer(&mut self, ticket: Ticket) -> Outcome {
        let limit = self.now.mono + PATIENCE;
        while !self.outcomes.contains_key(&ticket) {
            assert!(self.now.mono < limit, "no answer: {:?}\n{}", self.role.describe(self.now), self.story());
            self.step(limit);
        }
        self.outcomes.remove(&ticket).expect("just seen")
    }

    pub fn call(&mut self, ask: Ask) -> Outcome {
        let ticket = self.begin(ask);
        self.answer(ticket)
    }

    /// The value of a call that goes well.
    pub fn done(&mut self, ask: Ask) -> Value {
        let shown = format!("{ask:?}");
        self.call(ask).unwrap_or_else(|e| panic!("{shown}: {e}\n{}", self.story()))
    }

    /// The words of a call that fails.
    pub fn refused(&mut self, ask: Ask) -> String {
        let shown = format!("{ask:?}");
        match self.call(ask) {
            Err(e) => e.message,
            Ok(value) => panic!("{shown} went well: {value:?}"),
        }
    }

    pub fn init(&mut self) {
        let consent = Consent { unchecked: true, thermal: true, bias: true, ..Consent::default() };
        self.done(Ask::Init { acf: None, apply: Vec::new(), power: true, consent });
    }

    // ------------------------------------------------------------------ time

    /// Lets this much time pass.
    pub fn pass(&mut self, time: Duration) {
        let limit = self.now.mono + time;
        while self.now.mono < limit {
            self.step(limit);
        }
    }

    /// To the next deadline of anybody, at most to `limit`.
    pub fn step(&mut self, limit: Mono) {
        let deadlines = self.role.deadline().into_iter();
        let deadlines = deadlines.chain(self.wires.iter().filter_map(|w| w.link.deadline()));
        let next = deadlines.chain(self.boxes.iter().filter_map(|b| b.deadline())).min().unwrap_or(limit);
        let next = next.min(limit).max(self.now.mono + Duration::from_micros(1));
        let step = next.since(self.now.mono);
        self.now = Now { mono: next, utc: Utc(self.now.utc.0 + step.as_nanos() as i64) };
        for b in &mut self.boxes {
            b.tick(self.now);
        }
        for wire in &mut self.wires {
            wire.link.tick(self.now);
        }
        self.role.tick(self.now);
        self.settle();
    }

    /// Passes everything on until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.role.poll() {
                moved = true;
                self.carry_out(output);
            }
            for n in 0..self.wires.len() {
                moved |= self.pump(n);
            }
            if !moved {
                return self.remember_frames();
            }
        }
    }

    fn remember_frames(&mut self) {
        for (n, b) in self.boxes.iter().enumerate() {
            for spec in (1..=3).filter_map(|buffer| b.frame(buffer)) {
                let known = self.frames.entry((n, spec.frame)).or_default();
                if !known.contains(spec) {
                    known.push(spec.clone());
                }
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Reply { ticket, outcome } => {
                let twice = self.outcomes.insert(ticket, outcome);
                assert!(twice.is_none(), "{ticket:?} was answered twice");
            }
            Output::Say { ticket, level, body } => {
                for (key, value) in body {
                    self.said.push((ticket, level, key.to_owned(), value));
                }
            }
            Output::Command { controller, token, command } => {
                self.commands.push((controller.0, command.text()));
                self.wires[controller.0].link.submit(token, command, self.now);
            }
            Output::Record { .. } | Output::Changed => {}
            Output::Link { controller, open: true, .. } => self.wires[controller.0].link.open(self.now),
            Output::Link { controller, why, .. } => self.wires[controller.0].link.close(&why, self.now),
            Output::Pause { controller, paused } => {
                self.wires[controller.0].link.set_paused(paused, self.now)
            }
            Output::Recycle { controller, bytes } => self.wires[controller.0].link.recycle(bytes),
            Output::File { key, job, .. } => {
                let done = Ok(Box::new(jobs::work(job)));
                self.role.handle(Input::File { key, done }, self.now);
            }
            Output::SpawnHook(..) | Output::TellHook(..) | Output::EndHook(_) | Output::SignalHook(..) => {}
            Output::Finished => self.finished = true,
        }
    }

    fn pump(&mut self, n: usize) -> bool {
        let mut moved = false;
        while let Some(output) = self.wires[n].link.poll() {
            moved = true;
            match output {
                archon_link::Output::Connect { .. } => {
                    self.next_client += 1;
                    let client = ClientId(self.next_client);
                    self.boxes[n].connect(client);
                    self.wires[n].client = Some(client);
                    self.wires[n].link.connected(self.now);
                }
                archon_link::Output::Send(bytes) => {
                    if let Some(client) = self.wires[n].client {
                        self.boxes[n].receive(client, &bytes, self.now);
                    }
                }
                archon_link::Output::Disconnect(_) => {
                    if let Some(client) = self.wires[n].client.take() {
                        self.boxes[n].closed(client);
                    }
                }
                archon_link::Output::PauseReading(paused) => self.wires[n].paused = paused,
                archon_link::Output::Event(event) => self.link_event(n, event),
            }
        }
        // One thing a turn: what comes of it may end the connection.
        if !self.wires[n].paused
            && let Some(output) = self.boxes[n].poll()
        {
            moved = true;
            match output {
                BoxOutput::Send(client, bytes) if self.wires[n].client == Some(client) => {
                    self.deliver(n, &bytes)
                }
                BoxOutput::Close(client) if self.wires[n].client == Some(client) => {
                    self.wires[n].client = None;
                    self.wires[n].link.closed("the peer closed the connection", self.now);
                }
                _ => {}
            }
        }
        moved
    }

    /// In pieces of any size.
    fn deliver(&mut self, n: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.rng = self.rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = ((self.rng >> 40) as usize % 700 + 1).min(bytes.len());
            self.wires[n].link.receive(&bytes[..size], self.now);
            bytes = &bytes[size..];
        }
    }

    fn link_event(&mut self, n: usize, event: LinkEvent) {
        self.role.handle(Input::Link { controller: Index(n), event }, self.now);
    }

    /// The frame of a controller that was not rebooted.
    pub fn frame(&self, n: usize, number: u64) -> FrameSpec {
        self.frames[&(n, number)][0].clone()
    }

    /// What was said and done lately, for a failing test.
    pub fn story(&self) -> String {
        let said =
            self.said.iter().rev().take(30).rev().map(|(t, l, k, v)| format!("{t:?} {l:?} {k}: {v:?}"));
        let commands = self.commands.iter().rev().take(30).rev().map(|(n, c)| format!("  -> {n} {c}"));
        let boxes = self.boxes.iter().map(|b| format!("box: {} locked {}", b.doing(), b.locked()));
        said.chain(commands).chain(boxes).collect::<Vec<_>>().join("\n")
    }
}

fn yml(names: &[&str]) -> String {
    let mut yml = String::from("controllers:\n");
    for name in names {
        yml.push_str(&format!(
            "  {name}:\n    host: 127.0.0.1\n    port: 4242\n    detectors:\n      r_{name}: {{taps: 1}}\n      b_{name}: {{taps: 1, serial: X}}\n"
        ));
    }
    yml.push_str(
        "archon:\n  acf_file: DIR/test.acf\nfiles:\n  data_dir: DIR/images\n  template: 'sdR-{ccd}-{exposure_no:08d}.fits'\n\
         window_modes:\n  small: {lines: 6, pixels: 10}\n  binned: {hbin: 2, vbin: 2}\nactor: {run_recovery_on_start: true}\n\
         observatory: LCO\nheader:\n  PROJECT: ['test', 'The project']\n",
    );
    yml
}

fn role_config(yml: &str, dir: &Path) -> RoleConfig {
    let (site, _) =
        ArchonConfig::load(yml, &dir.join("archon.yml"), &|_| None).expect("a good configuration");
    let controller = |entry: &appliance::config::archon::ControllerEntry| ControllerConfig {
        entry: entry.clone(),
        timeouts: site.timeouts,
        int_param: site.int_param,
        default_parameters: site.default_parameters.clone(),
        limits: None,
        reset_on_attach: false,
        upload_depth: 8,
        verify_config: true,
        allow_flash: false,
        status_interval: Duration::from_secs(1),
    };
    RoleConfig {
        controllers: site.controllers.iter().map(controller).collect(),
        naming: Naming {
            files: site.files.clone(),
            checksum: site.checksum.clone(),
            observatory: site.observatory.clone(),
            require_mount: false,
            spare_bytes: 0,
        },
        base_dir: dir.to_owned(),
        hooks: Vec::new(),
        power_off_on_exit: false,
        simulated: true,
        roots: Vec::new(),
        site,
    }
}

/// `expose` of an object for so many milliseconds.
pub fn expose(ms: u64) -> ExposeAsk {
    ExposeAsk {
        time: Some(Duration::from_millis(ms)),
        flavour: Flavour::Object,
        window_mode: None,
        readout: true,
        async_readout: false,
        header: Value::Map(Vec::new()),
        delay: 0,
        count: 1,
        no_write: false,
        no_shutter: false,
        with_dark: false,
        seqno: None,
    }
}

/// The file's cards and its pixels as the controller sent them.
pub struct Fits {
    pub cards: Vec<(String, String)>,
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u32>,
}

impl Fits {
    pub fn read(path: &Path) -> Fits {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut cards = Vec::new();
        let mut at = 0;
        loop {
            let card = String::from_utf8_lossy(&bytes[at..at + 80]).into_owned();
            at += 80;
            if card.starts_with("END ") || card.trim_end() == "END" {
                break;
            }
            if let Some((key, rest)) = card.split_once('=') {
                let value = rest.split(" /").next().unwrap_or("").trim().trim_matches('\'').trim_end();
                cards.push((key.trim().to_owned(), value.to_owned()));
            }
        }
        let mut fits = Fits { cards, width: 0, height: 0, pixels: Vec::new() };
        fits.width = fits.number("NAXIS1") as usize;
        fits.height = fits.number("NAXIS2") as usize;
        let data = &bytes[at.next_multiple_of(2880)..];
        let count = fits.width * fits.height;
        fits.pixels = match fits.number("BITPIX") {
            16 => data[..2 * count]
                .chunks(2)
                .map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]) ^ 0x8000))
                .collect(),
            _ => data[..4 * count]
                .chunks(4)
                .map(|p| u32::from_be_bytes([p[0], p[1], p[2], p[3]]) ^ 0x8000_0000)
                .collect(),
        };
        fits
    }

    pub fn card(&self, key: &str) -> &str {
        let found = self.cards.iter().find(|(k, _)| k == key);
        &found.unwrap_or_else(|| panic!("no {key} in {:?}", self.cards)).1
    }

    pub fn number(&self, key: &str) -> i64 {
        self.card(key).parse().unwrap_or_else(|_| panic!("{key} = {}", self.card(key)))
    }

    /// Is this the cut of `tap` of this frame?
    pub fn is_tap(&self, spec: &FrameSpec, tap: u32) -> bool {
        let (pixels, lines) = (spec.pixels as usize, spec.lines as usize);
        if (self.width, self.height) != (pixels, lines) {
            return false;
        }
        let whole = spec.whole();
        let size = spec.sample.bytes();
        let value = |x: usize, y: usize| {
            let at = (y * spec.width() as usize + x) * size;
            (0..size).rev().fold(0u32, |v, i| v << 8 | u32::from(whole[at + i]))
        };
        let first = tap as usize * pixels;
        (0..lines).all(|y| (0..pixels).all(|x| value(first + x, y) == self.pixels[y * pixels + x]))
    }
}
