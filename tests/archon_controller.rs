//! One controller as the role drives it - state machine, link and simulated hardware - on a clock that jumps: from
//! the configuration file to the pixels of an image, every byte of the protocol in between.

use appliance::archon::controller::{
    Answer, Controller, ControllerConfig, Fault, Order, OrderKey, Output, Report, Which,
};
use appliance::archon::safety::Consent;
use appliance::config::acf::Acf;
use appliance::config::archon::ArchonConfig;
use appliance::config::archon::limits::Limits;
use appliance::proto::archon::Command;
use appliance::session::archon_link::{self, ArchonLink};
use appliance::sim::archon::{Archon, ArchonSimConfig, ClientId, Fault as SimFault, Output as SimOutput};
use appliance::units::{Mono, Now, Utc};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const YML: &str = include_str!("../config/archon.example.yml");
const ACF: &str = include_str!("../config/archon.example.acf");
const LIMITS: &str = include_str!("../config/archon.example.limits.toml");
/// Nothing in these tests takes longer, in simulated time.
const WITHIN: Duration = Duration::from_secs(120);
const INTEGRATION: Duration = Duration::from_secs(2);

struct Bench {
    controller: Controller,
    link: ArchonLink,
    hardware: Archon,
    client: Option<ClientId>,
    connections: u64,
    now: Now,
    next: u64,
    done: BTreeMap<OrderKey, Result<Answer, Fault>>,
    /// What left, in order; polls left out.
    sent: Vec<String>,
    records: usize,
    pixels: Vec<u8>,
    integrations: usize,
    alarms: Vec<String>,
}

fn acf() -> Acf {
    Acf::parse(ACF).expect("our own file").0
}

fn config() -> ControllerConfig {
    let (site, findings) =
        ArchonConfig::load(YML, Path::new("archon.yml"), &|name| (name == "HOME").then(|| "/home".into()))
            .expect("our own file");
    assert_eq!(findings, []);
    let entry = site.controllers[0].clone();
    ControllerConfig {
        limits: Limits::load(LIMITS, "limits.toml")
            .expect("our own file")
            .controllers
            .get(&entry.name)
            .cloned(),
        entry,
        timeouts: site.timeouts,
        int_param: site.int_param,
        default_parameters: site.default_parameters,
        reset_on_attach: false,
        upload_depth: 16,
        verify_config: true,
        allow_flash: false,
        status_interval: Duration::from_secs(1),
    }
}

impl Bench {
    fn new(faults: &[&str]) -> Bench {
        let now = Now { mono: Mono(1_000_000_000), utc: Utc(1_795_000_000_000_000_000) };
        let faults: Vec<SimFault> = faults.iter().map(|f| f.parse().expect("a fault")).collect();
        let hardware = ArchonSimConfig { acf: Some(acf()), faults, ..ArchonSimConfig::default() };
        let mut bench = Bench {
            controller: Controller::new(config(), now),
            link: ArchonLink::new(archon_link::Config::default()),
            hardware: Archon::new(hardware, now),
            client: None,
            connections: 0,
            now,
            next: 0,
            done: BTreeMap::new(),
            sent: Vec::new(),
            records: 0,
            pixels: Vec::new(),
            integrations: 0,
            alarms: Vec::new(),
        };
        bench.link.tick(now);
        bench
    }

    fn order(&mut self, order: Order) -> OrderKey {
        self.next += 1;
        self.controller.order(OrderKey(self.next), order, self.now);
        OrderKey(self.next)
    }

    /// Gives an order and lets time pass until it is done.
    fn run(&mut self, order: Order) -> Result<Answer, Fault> {
        let what = format!("{order:?}").chars().take(60).collect::<String>();
        let key = self.order(order);
        self.until(&what, |b| b.done.contains_key(&key));
        self.done.remove(&key).expect("done")
    }

    fn well(&mut self, order: Order) -> Answer {
        self.run(order).unwrap_or_else(|e| panic!("{e}; sent: {:#?}", self.last_sent()))
    }

    fn last_sent(&self) -> &[String] {
        &self.sent[self.sent.len().saturating_sub(20)..]
    }

    /// Lets time pass until something holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Bench) -> bool) {
        let end = self.now.mono + WITHIN;
        self.settle();
        while !holds(self) {
            let due = [self.controller.deadline(), self.link.deadline(), self.hardware.deadline()];
            let due =
                due.into_iter().flatten().min().unwrap_or_else(|| panic!("{what}: nothing is due any more"));
            assert!(due < end, "{what}: not within {WITHIN:?}; sent: {:#?}", self.last_sent());
            let step = due.since(self.now.mono).max(Duration::from_nanos(1));
            self.now = Now { mono: self.now.mono + step, utc: self.now.utc + step };
            self.controller.tick(self.now);
            self.link.tick(self.now);
            self.hardware.tick(self.now);
            self.settle();
        }
    }

    /// Passes everything on until nothing moves.
    fn settle(&mut self) {
        loop {
            let moved = self.pump_controller() | self.pump_link() | self.pump_hardware();
            if !moved {
                return;
            }
        }
    }

    fn pump_controller(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.controller.poll() {
            moved = true;
            match output {
                Output::Command { token, command } => {
                    if !command.is_query() || matches!(command, Command::Fetch { .. }) {
                        self.sent.push(command.text());
                    }
                    self.link.submit(token, command, self.now);
                }
                Output::Record(_) => self.records += 1,
                Output::Relink(_) => self.link.open(self.now),
                Output::Report(Report::Done { key, result }) => drop(self.done.insert(key, result)),
                Output::Report(Report::Data { bytes, .. }) => {
                    self.pixels.extend_from_slice(&bytes);
                    self.link.recycle(bytes);
                }
                Output::Report(Report::IntegrationOver { .. }) => self.integrations += 1,
                Output::Report(Report::Alarm(alarm)) => {
                    self.alarms.push(format!("{} {}", alarm.name, alarm.on))
                }
                Output::Report(_) => {}
            }
        }
        moved
    }

    fn pump_link(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.link.poll() {
            moved = true;
            match output {
                archon_link::Output::Connect { .. } => {
                    self.connections += 1;
                    let client = ClientId(self.connections);
                    self.client = Some(client);
                    self.hardware.connect(client);
                    self.link.connected(self.now);
                }
                archon_link::Output::Send(bytes) => {
                    if let Some(client) = self.client {
                        self.hardware.receive(client, &bytes, self.now);
                    }
                }
                archon_link::Output::Disconnect(_) => self.hang_up(),
                archon_link::Output::PauseReading(_) => {}
                archon_link::Output::Event(event) => self.controller.link(event, self.now),
            }
        }
        moved
    }

    fn pump_hardware(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.hardware.poll() {
            moved = true;
            match output {
                SimOutput::Send(client, bytes) if self.client == Some(client) => {
                    self.link.receive(&bytes, self.now);
                    self.pump_link();
                }
                SimOutput::Close(client) if self.client == Some(client) => self.lose(),
                SimOutput::Send(..) | SimOutput::Close(_) => {}
            }
        }
        moved
    }

    fn hang_up(&mut self) {
        if let Some(client) = self.client.take() {
            self.hardware.closed(client);
        }
    }

    /// The connection breaks.
    fn lose(&mut self) {
        self.hang_up();
        self.link.closed("cut by the test", self.now);
    }

    fn configured() -> Bench {
        Bench::configured_with(&[])
    }

    fn configured_with(faults: &[&str]) -> Bench {
        let mut bench = Bench::new(faults);
        bench.until("attach", |b| b.controller.view().attached);
        bench.well(load());
        bench
    }

    /// Integrates and reads out; which buffer and frame.
    fn expose(&mut self) -> (u8, u64) {
        self.well(Order::Prepare { integration: INTEGRATION, exposure: 1 });
        self.well(Order::Release);
        let before = self.integrations;
        self.until("integration", |b| b.integrations > before);
        match self.well(Order::Readout { delay: 0 }) {
            Answer::ReadOut { buffer, frame, .. } => (buffer, frame),
            other => panic!("{other:?}"),
        }
    }
}

fn load() -> Order {
    Order::Load {
        acf: Arc::new(acf()),
        path: "archon.example.acf".into(),
        apply_all: true,
        apply: Vec::new(),
        power: true,
        overrides: Vec::new(),
        init: true,
        consent: Consent { bias: true, thermal: true, ..Consent::default() },
    }
}

#[test]
fn attaching_changes_nothing() {
    let mut bench = Bench::new(&[]);
    bench.until("attach", |b| b.controller.view().attached);
    assert_eq!(bench.sent, [] as [String; 0]);
    assert_eq!(bench.records, 0);
    assert!(!bench.hardware.powered());
}

#[test]
fn from_the_configuration_to_the_pixels() {
    let mut bench = Bench::configured();
    assert!(bench.hardware.powered(), "init powers on: {:#?}", bench.last_sent());
    assert!(bench.records > 0, "procedures are recorded");
    let (buffer, _) = bench.expose();
    let want = bench.hardware.frame(buffer).expect("a frame").clone();
    let Answer::Locked(locked) = bench.well(Order::Lock(Which::Buffer(buffer))) else { panic!("not locked") };
    assert_eq!((locked.geometry.width, locked.geometry.height), (want.width(), want.height()));
    assert_eq!(Some(locked.geometry), bench.controller.expected_frame());
    assert_eq!(bench.hardware.locked(), buffer);
    bench.well(Order::Fetch { from_block: 0 });
    let whole = want.whole();
    assert!(
        bench.pixels.len() >= whole.len() && bench.pixels[..whole.len()] == whole[..],
        "not these pixels"
    );
    assert_eq!(bench.hardware.locked(), buffer, "held until the file is safe");
    bench.well(Order::Unlock);
    assert_eq!(bench.hardware.locked(), 0);
    assert_eq!(want.shifted, 0, "AutoFlush was off between integration and readout");
    assert_eq!(want.integration_ms, INTEGRATION.as_millis() as u64);
}

#[test]
fn a_second_exposure_while_the_first_frame_is_locked() {
    let mut bench = Bench::configured();
    let (first, number) = bench.expose();
    bench.well(Order::Lock(Which::Buffer(first)));
    let (second, next) = bench.expose();
    assert!(second != first && next == number + 1, "{first}:{number} {second}:{next}");
    // Both buffers of BIGBUF (or two of three) hold frames nobody has: what is locked is still there.
    bench.well(Order::Fetch { from_block: 0 });
    bench.well(Order::Unlock);
}

#[test]
fn a_fetch_that_was_cut_off_is_finished_on_the_next_connection() {
    let mut bench = Bench::configured_with(&["drop-in-fetch=3"]);
    let (buffer, _) = bench.expose();
    let Answer::Locked(locked) = bench.well(Order::Lock(Which::Buffer(buffer))) else { panic!("not locked") };
    let failed = bench.run(Order::Fetch { from_block: 0 });
    assert!(failed.is_err(), "{failed:?}");
    bench.until("reconnect", |b| b.controller.view().attached);
    bench.pixels.clear();
    bench.well(Order::Lock(Which::Frame(locked.id)));
    bench.well(Order::Fetch { from_block: 0 });
    let whole = bench.hardware.frame(buffer).expect("a frame").whole();
    assert!(bench.pixels[..whole.len()] == whole[..], "not these pixels");
}

#[test]
fn after_a_loss_nothing_but_questions_leaves() {
    let mut bench = Bench::configured();
    bench.sent.clear();
    let records = bench.records;
    bench.lose();
    bench.until("loss seen", |b| !b.controller.view().connected);
    bench.until("reconnect", |b| b.controller.view().attached);
    assert_eq!((bench.sent.clone(), bench.records), (vec![], records));
    assert!(bench.hardware.powered(), "nothing was switched");
    assert_eq!(bench.alarms, ["link_lost true", "link_lost false"]);
}
