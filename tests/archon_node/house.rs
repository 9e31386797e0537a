//! A loop in memory for one [`ArchonNode`]: two simulated controllers, clients, workers, one clock that jumps.

use appliance::api::{Call, Outcome};
use appliance::archon::controller::ControllerConfig;
use appliance::archon::role::RoleConfig;
use appliance::config::archon::ArchonConfig;
use appliance::config::archon::limits::Limits;
use appliance::frames::jobs::Naming;
use appliance::node::access::Access;
use appliance::node::archon::{Done, Job};
use appliance::node::faces::{Port, Protocol};
use appliance::node::recorder::Waiting;
use appliance::node::{ArchonNode, ArchonNodeConfig, DeskConfig, work as node_work};
use appliance::proto::rpc_frame::Hello;
use appliance::reactor::{
    Address, App, CloseReason, ConnId, Effect, Effects, Event, Lost, Peer, Request, Tag, TimerKey, When,
};
use appliance::record::RecordFile;
use appliance::session::archon_link;
use appliance::session::client::{Client, ClientOutput};
use appliance::session::rpc_client::RpcClient;
use appliance::sim::archon::{Archon, ArchonSimConfig, ClientId, Output};
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const YML: &str = include_str!("../../config/archon.example.yml");
const ACF: &str = include_str!("../../config/archon.example.acf");
const LIMITS: &str = include_str!("../../config/archon.example.limits.toml");
/// Nothing takes longer, in simulated time.
const WITHIN: Duration = Duration::from_secs(300);

struct Peered {
    session: RpcClient,
    replies: HashMap<u64, Outcome>,
}

pub struct House {
    node: ArchonNode,
    pub now: Now,
    fx: Effects<Job>,
    timers: HashMap<TimerKey, When>,
    listeners: Vec<Tag>,
    clients: BTreeMap<ConnId, Peered>,
    controllers: Vec<Archon>,
    /// Connections to the controllers.
    wires: BTreeMap<ConnId, usize>,
    ports: Vec<u16>,
    next_conn: u64,
    facts: VecDeque<Event<'static, Done>>,
    /// The recorder writes what is no procedure ...
    pub records_procedures: bool,
    /// ... and these wait.
    pub procedures: VecDeque<Waiting>,
    /// Lines of the record.
    pub record: Vec<String>,
    /// Workers for files are lost from now on.
    pub no_workers: bool,
    /// (controller, text after the id) in the order they left, polls left out.
    pub sent: Vec<(usize, String)>,
    /// (topic, body) of what a client subscribed to.
    pub events: Vec<(String, Value)>,
    pub exit: Option<u8>,
    dir: TempDir,
}

fn config(dir: &Path) -> ArchonNodeConfig {
    let home = |name: &str| (name == "HOME").then(|| "/nonexistent".to_owned());
    let (mut site, _) = ArchonConfig::load(YML, &dir.join("archon.yml"), &home).expect("our own file");
    site.files.data_dir = dir.join("images");
    let limits = Limits::load(LIMITS, "limits.toml").expect("our own file");
    let controller = |entry: &appliance::config::archon::ControllerEntry| ControllerConfig {
        entry: entry.clone(),
        timeouts: site.timeouts,
        int_param: site.int_param,
        default_parameters: Vec::new(),
        limits: limits.controllers.get(&entry.name).cloned(),
        reset_on_attach: false,
        upload_depth: 16,
        verify_config: true,
        allow_flash: false,
        status_interval: Duration::from_secs(1),
    };
    let port = Port {
        protocol: Protocol::Binary,
        address: Address::Tcp("127.0.0.1:0".parse().expect("an address")),
        read_only: false,
        player: None,
    };
    ArchonNodeConfig {
        desk: DeskConfig {
            ports: vec![port],
            access: Access::default(),
            execute_abandoned: false,
            lease: Default::default(),
            record: Some(RecordFile { path: dir.join("record.jsonl"), max_bytes: 1 << 20, keep: 1 }),
            announce: None,
        },
        role: RoleConfig {
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
        },
        link: archon_link::Config::default(),
        resolve: Vec::new(),
    }
}

impl House {
    /// Both controllers attached.
    pub fn new() -> House {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("images")).expect("a directory");
        std::fs::write(dir.path().join("archon.example.acf"), ACF).expect("written");
        let now = Now { mono: Mono(1_000_000_000), utc: Utc(1_795_219_200_000_000_000) };
        let acf = appliance::config::acf::Acf::parse(ACF).expect("our own file").0;
        let controller = |seed| {
            let config = ArchonSimConfig { seed, acf: Some(acf.clone()), ..ArchonSimConfig::default() };
            Archon::new(config, now)
        };
        let config = config(dir.path());
        let ports = config.role.controllers.iter().map(|c| c.entry.port).collect();
        let mut house = House {
            node: ArchonNode::new(config, now),
            now,
            fx: Effects::default(),
            timers: HashMap::new(),
            listeners: Vec::new(),
            clients: BTreeMap::new(),
            controllers: (0..2).map(controller).collect(),
            wires: BTreeMap::new(),
            ports,
            next_conn: 1,
            facts: VecDeque::new(),
            records_procedures: true,
            procedures: VecDeque::new(),
            record: Vec::new(),
            no_workers: false,
            sent: Vec::new(),
            events: Vec::new(),
            exit: None,
            dir,
        };
        house.node.start(now, &mut house.fx);
        house.settle();
        house.run_for(Duration::from_secs(2));
        house
    }

    /// Configured and powered, and a client that did it.
    pub fn ready() -> (House, ConnId) {
        let mut house = House::new();
        let client = house.client();
        house
            .ask(client, "init", &[("bias_consent", Value::Bool(true)), ("thermal", Value::Bool(true))])
            .expect("init");
        house.sent.clear();
        house.record.clear();
        (house, client)
    }

    pub fn images(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    // ---------------------------------------------------------------- clients

    pub fn client(&mut self) -> ConnId {
        let conn = self.conn();
        let session = RpcClient::new(&Hello::of("client", "test"), self.now);
        self.clients.insert(conn, Peered { session, replies: HashMap::new() });
        let address = Address::Tcp("127.0.0.1:50000".parse().expect("an address"));
        let peer = Peer { address, credentials: None };
        self.event(Event::Accepted { listener: self.listeners[0], conn, peer });
        conn
    }

    fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Places a call and names it.
    pub fn call(&mut self, conn: ConnId, interface: &str, method: &str, kwargs: &[(&str, Value)]) -> u64 {
        let kwargs = kwargs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let call = Call { interface: interface.into(), method: method.into(), args: vec![], kwargs };
        let now = self.now;
        let seq = self.clients.get_mut(&conn).expect("a client").session.call(call, now);
        self.settle();
        seq
    }

    pub fn reply(&self, conn: ConnId, seq: u64) -> Option<Outcome> {
        self.clients.get(&conn).and_then(|c| c.replies.get(&seq).cloned())
    }

    /// Calls `archon` and waits.
    pub fn ask(&mut self, conn: ConnId, method: &str, kwargs: &[(&str, Value)]) -> Outcome {
        let seq = self.call(conn, "archon", method, kwargs);
        self.wait(conn, seq)
    }

    pub fn wait(&mut self, conn: ConnId, seq: u64) -> Outcome {
        let until = self.now.mono + WITHIN;
        loop {
            if let Some(outcome) = self.reply(conn, seq) {
                return outcome;
            }
            assert!(self.now.mono < until && self.step(), "no answer; sent: {:#?}", self.sent);
        }
    }

    // ---------------------------------------------------------------- controllers

    /// The connection to a controller breaks.
    pub fn cut(&mut self, controller: usize) {
        let conn = *self.wires.iter().find(|(_, n)| **n == controller).expect("connected").0;
        self.wires.remove(&conn);
        self.controllers[controller].closed(ClientId(conn.0));
        self.event(Event::Closed { conn, reason: CloseReason::Error("cut by the test".into()) });
    }

    /// A fault of a controller from now on.
    pub fn fault(&mut self, controller: usize, fault: &str) {
        self.controllers[controller].faults().add(fault.parse().expect("a fault"));
    }

    pub fn connected(&self, controller: usize) -> bool {
        self.wires.values().any(|n| *n == controller)
    }

    /// What left for a controller since the last look.
    pub fn taken(&mut self, controller: usize) -> Vec<String> {
        let (mine, others): (Vec<_>, _) = self.sent.drain(..).partition(|(n, _)| *n == controller);
        self.sent = others;
        mine.into_iter().map(|(_, text)| text).collect()
    }

    fn pump_controllers(&mut self) -> bool {
        let mut received = Vec::new();
        for controller in &mut self.controllers {
            while let Some(output) = controller.poll() {
                match output {
                    Output::Send(client, bytes) => received.push((ConnId(client.0), Some(bytes))),
                    Output::Close(client) => received.push((ConnId(client.0), None)),
                }
            }
        }
        let moved = !received.is_empty();
        for (conn, bytes) in received {
            match bytes {
                Some(bytes) if self.wires.contains_key(&conn) => {
                    self.node.handle(Event::Received { conn, bytes: &bytes }, self.now, &mut self.fx);
                }
                None if self.wires.remove(&conn).is_some() => {
                    self.facts.push_back(Event::Closed { conn, reason: CloseReason::PeerClosed });
                }
                _ => {}
            }
            self.carry_out();
        }
        moved
    }

    // ---------------------------------------------------------------- the loop

    pub fn event(&mut self, event: Event<'_, Done>) {
        self.node.handle(event, self.now, &mut self.fx);
        self.settle();
    }

    pub fn signal(&mut self, request: Request) {
        self.event(Event::Signal(request));
    }

    fn settle(&mut self) {
        loop {
            self.carry_out();
            if let Some(fact) = self.facts.pop_front() {
                self.node.handle(fact, self.now, &mut self.fx);
            } else if !(self.pump_controllers() | self.pump_clients()) {
                return;
            }
        }
    }

    fn pump_clients(&mut self) -> bool {
        let mut said = Vec::new();
        for (conn, client) in &mut self.clients {
            while let Some(output) = client.session.poll() {
                match output {
                    ClientOutput::Send(bytes) => said.push((*conn, bytes)),
                    ClientOutput::Reply { seq, outcome } => drop(client.replies.insert(seq, outcome)),
                    ClientOutput::Event { topic, body, .. } => self.events.push((topic, body)),
                    _ => {}
                }
            }
        }
        let moved = !said.is_empty();
        for (conn, bytes) in said {
            self.node.handle(Event::Received { conn, bytes: &bytes }, self.now, &mut self.fx);
            self.carry_out();
        }
        moved
    }

    /// Whatever is due next: a timer of the node, or something in a controller. `false`: nothing.
    pub fn step(&mut self) -> bool {
        let now = self.now;
        let at = |w: &When| match w {
            When::Mono(m) => *m,
            When::Utc(t) => now.mono + Duration::from_nanos(t.nanos_since(now.utc).max(0) as u64),
        };
        let timer = self.timers.iter().map(|(k, w)| (at(w), *k)).min();
        let hardware = self.controllers.iter().filter_map(Archon::deadline).min();
        let Some(due) = timer.map(|(at, _)| at).into_iter().chain(hardware).min() else { return false };
        // A client keeps its connection alive on its own clock.
        self.move_to(due.max(now.mono));
        if let Some((at, key)) = timer
            && at <= due
        {
            self.timers.remove(&key);
            self.event(Event::Timer { key });
        }
        true
    }

    fn move_to(&mut self, due: Mono) {
        let step = due.since(self.now.mono);
        self.now = Now { mono: self.now.mono + step, utc: self.now.utc + step };
        for controller in &mut self.controllers {
            controller.tick(self.now);
        }
        for client in self.clients.values_mut() {
            client.session.tick(self.now);
        }
        self.settle();
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now.mono + time;
        let early = Timestamp(until);
        while early.is_before(self) && self.step() {}
        if self.now.mono < until {
            self.move_to(until);
        }
    }

    fn carry_out(&mut self) {
        let effects: Vec<_> = self.fx.drain().collect();
        for effect in effects {
            self.obey(effect);
        }
    }

    fn obey(&mut self, effect: Effect<Job>) {
        match effect {
            Effect::Listen { tag, address } => {
                self.listeners.push(tag);
                self.facts.push_back(Event::Listening { tag, address });
            }
            Effect::Connect { tag, address: Address::Tcp(to), .. } => {
                let n = self.ports.iter().position(|p| *p == to.port()).expect("a controller");
                let conn = self.conn();
                self.wires.insert(conn, n);
                self.controllers[n].connect(ClientId(conn.0));
                self.facts.push_back(Event::Connected { tag, conn });
            }
            Effect::Send { conn, bytes } => self.deliver(conn, &bytes),
            Effect::Close { conn } | Effect::Abort { conn } => {
                if let Some(n) = self.wires.remove(&conn) {
                    self.controllers[n].closed(ClientId(conn.0));
                }
                if self.clients.remove(&conn).is_some() {
                    self.facts.push_back(Event::Closed { conn, reason: CloseReason::Local });
                }
            }
            Effect::SetTimer { key, at } => drop(self.timers.insert(key, at)),
            Effect::CancelTimer { key } => drop(self.timers.remove(&key)),
            Effect::Work { job, .. } => self.work(job),
            Effect::Exit { code } => self.exit = Some(code),
            Effect::PauseReading { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn deliver(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(n) = self.wires.get(&conn).copied() {
            for line in String::from_utf8_lossy(bytes).lines() {
                let text = line.get(3..).unwrap_or_default();
                let poll = ["STATUS", "FRAME", "TIMER", "SYSTEM", "FETCHLOG", "RCONFIG"];
                if !poll.iter().any(|p| text.starts_with(p)) {
                    self.sent.push((n, text.to_owned()));
                }
            }
            self.controllers[n].receive(ClientId(conn.0), bytes, self.now);
        } else if let Some(client) = self.clients.get_mut(&conn) {
            client.session.receive(bytes, self.now);
        }
    }

    // ---------------------------------------------------------------- workers

    fn work(&mut self, job: Job) {
        match job {
            node_work::Job::Record { line, waiting, .. } => {
                self.record.push(line);
                match waiting {
                    Some(waiting @ Waiting::Orders { .. }) if !self.records_procedures => {
                        self.procedures.push_back(waiting);
                    }
                    waiting => self.recorded(waiting),
                }
            }
            job @ node_work::Job::Role(_) if self.no_workers => {
                let why = "worker 'files-1' could not be started".to_owned();
                self.facts.push_back(Event::Done(Err(Lost { job: ArchonNode::name_of(&job), why })));
            }
            job => self.facts.push_back(Event::Done(Ok(ArchonNode::work(job)))),
        }
    }

    fn recorded(&mut self, waiting: Option<Waiting>) {
        self.facts.push_back(Event::Done(Ok(node_work::Done::Recorded { waiting, error: None })));
    }

    /// The recorder writes the oldest procedure that waits for it.
    pub fn record_next(&mut self) {
        let waiting = self.procedures.pop_front();
        assert!(waiting.is_some(), "no procedure waits");
        self.recorded(waiting);
        self.settle();
    }
}

struct Timestamp(Mono);

impl Timestamp {
    /// Something is due before it.
    fn is_before(&self, house: &House) -> bool {
        let now = house.now;
        let at = |w: &When| match w {
            When::Mono(m) => *m,
            When::Utc(t) => now.mono + Duration::from_nanos(t.nanos_since(now.utc).max(0) as u64),
        };
        let timers = house.timers.values().map(at);
        timers
            .chain(house.controllers.iter().filter_map(Archon::deadline))
            .min()
            .is_some_and(|due| due <= self.0)
    }
}
