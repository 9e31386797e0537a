//! A loop in memory for one [`PlayerNode`]: timers, connections, children and workers as lists.

use crate::world::{BEGIN, builtin_config, dibas, good_clock};
use appliance::api::{Call, Outcome};
use appliance::config::dibas::{Bank, Dibas};
use appliance::config::settings::LeaseRule;
use appliance::fpga::katcp::KatcpFpgaConfig;
use appliance::node::access::Access;
use appliance::node::faces::{Port, Protocol};
use appliance::node::player::board::Board;
use appliance::node::player::mapped::Mapped;
use appliance::node::player::{Done, Job, work};
use appliance::node::recorder::Waiting;
use appliance::node::{DeskConfig, NodeConfig, PlayerNode};
use appliance::proto::status_cards::Dialect;
use appliance::reactor::{
    Address, App, ConnId, Effect, Effects, Event, Exit, Lost, Peer, Request, Tag, TimerKey, When,
};
use appliance::record::RecordFile;
use appliance::session::client::{Client, ClientOutput};
use appliance::session::zmq_req::ZmqReq;
use appliance::shm::{Location, StatusMemory};
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use tempfile::TempDir;

/// The port of the configuration that everybody uses.
pub const OPEN: usize = 0;
/// A port for reading only.
pub const READ_ONLY: usize = 1;

pub struct House {
    node: PlayerNode,
    pub now: Now,
    fx: Effects<Job>,
    timers: HashMap<TimerKey, When>,
    listeners: Vec<Tag>,
    clients: BTreeMap<ConnId, Peered>,
    next_conn: u64,
    /// Jobs nobody has done yet.
    pub jobs: VecDeque<Job>,
    /// The recorder does its work at once.
    pub recorder_works: bool,
    /// How often the clock was looked at.
    pub clock_reads: u32,
    /// What the recorder says.
    pub record_error: Option<String>,
    /// Lines of the record, in the order they were handed over.
    pub record: Vec<String>,
    /// Effects in words.
    pub log: Vec<String>,
    /// Programs start at once.
    pub spawns: bool,
    children: Vec<Tag>,
    facts: VecDeque<Event<'static, Done>>,
    /// Bytes of clients on their way to the node.
    sent: VecDeque<(ConnId, Vec<u8>)>,
    pub exit: Option<u8>,
    dir: TempDir,
}

enum Peered {
    Dealer { session: Box<ZmqReq>, replies: HashMap<u64, Outcome> },
    Raw { received: Vec<u8> },
}

/// What a house is made of; the defaults have no board.
pub struct Plan {
    pub dibas: Dibas,
    pub access: Access,
    pub execute_abandoned: bool,
    pub lease: LeaseRule,
    pub status: bool,
    pub board: bool,
    /// The board's host has to be looked up.
    pub board_host: &'static str,
    /// The board is in mapped memory, at this address.
    pub mapped: Option<String>,
    pub resolve_elsewhere: bool,
    /// The state is saved; nobody does it by itself.
    pub saves: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            dibas: dibas(),
            access: Access::default(),
            execute_abandoned: false,
            lease: LeaseRule::default(),
            status: true,
            board: false,
            board_host: "127.0.0.1",
            mapped: None,
            resolve_elsewhere: false,
            saves: false,
        }
    }
}

fn port(read_only: bool) -> Port {
    let address = Address::Tcp("127.0.0.1:0".parse().expect("an address"));
    Port { protocol: Protocol::Json, address, read_only, player: None }
}

fn bank(plan: &Plan) -> Bank {
    let mut bank = plan.dibas.bank("BANKA").expect("it is in the example").clone();
    bank.has_roach = plan.board || plan.mapped.is_some();
    bank
}

impl House {
    pub fn new() -> House {
        House::of(Plan::default())
    }

    pub fn of(plan: Plan) -> House {
        let dir = tempfile::tempdir().expect("a directory");
        let now = Now { mono: Mono(1_000_000_000), utc: BEGIN };
        let config = NodeConfig {
            desk: DeskConfig {
                ports: vec![port(false), port(true)],
                access: plan.access.clone(),
                execute_abandoned: plan.execute_abandoned,
                lease: plan.lease,
                record: Some(RecordFile { path: "record.jsonl".into(), max_bytes: 1 << 20, keep: 1 }),
                announce: None,
            },
            resolve: Vec::new(),
            resolve_elsewhere: plan.resolve_elsewhere,
            dibas_conf: Some("dibas.conf".into()),
            keep: None,
            state_file: plan.saves.then(|| dir.path().join("state")),
        };
        let location = Location::File { dir: dir.path().to_owned() };
        let memory = StatusMemory::create(&location, Dialect::Hashpipe, 0).map_err(|e| e.to_string());
        let memory = if plan.status { memory } else { Err("no status memory here".into()) };
        let katcp =
            KatcpFpgaConfig { board: "roach".into(), link: Default::default(), unverified: Vec::new() };
        let board = plan.board.then(|| Board::new(plan.board_host.into(), 7147, katcp).into());
        let address = plan.mapped.as_ref().map(|text| text.parse().expect("an address"));
        let board = board.or_else(|| address.map(|address| Mapped::new(address).into()));
        let bank = bank(&plan);
        let node = PlayerNode::new(config, builtin_config(), plan.dibas, bank, memory, board, now);
        let mut house = House {
            node,
            now,
            fx: Effects::default(),
            timers: HashMap::new(),
            listeners: Vec::new(),
            clients: BTreeMap::new(),
            next_conn: 1,
            jobs: VecDeque::new(),
            recorder_works: true,
            clock_reads: 0,
            record_error: None,
            record: Vec::new(),
            log: Vec::new(),
            spawns: true,
            children: Vec::new(),
            facts: VecDeque::new(),
            sent: VecDeque::new(),
            exit: None,
            dir,
        };
        house.node.start(now, &mut house.fx);
        house.carry_out();
        house.deliver_facts();
        house
    }

    /// With MODE1 set, and a client that did it.
    pub fn ready() -> (House, ConnId) {
        let mut house = House::new();
        let client = house.dealer();
        assert_eq!(house.ask(client, "set_mode", &["MODE1".into()]), new_mode());
        house.record.clear();
        house.log.clear();
        (house, client)
    }

    // ---------------------------------------------------------------- clients

    /// A Dealer on the open port.
    pub fn dealer(&mut self) -> ConnId {
        self.connect(OPEN, "127.0.0.1:50000").expect("loopback may connect")
    }

    /// Somebody from somewhere on a port; `None`: sent away.
    pub fn connect(&mut self, port: usize, from: &str) -> Option<ConnId> {
        let session = Box::new(ZmqReq::new(self.now));
        let conn = self.accept(port, from, Peered::Dealer { session, replies: HashMap::new() });
        self.pump_client(conn);
        self.clients.contains_key(&conn).then_some(conn)
    }

    /// A connection whose bytes the test makes itself.
    pub fn raw(&mut self) -> ConnId {
        self.accept(OPEN, "127.0.0.1:50001", Peered::Raw { received: Vec::new() })
    }

    fn accept(&mut self, port: usize, from: &str, peered: Peered) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.clients.insert(conn, peered);
        let peer = Peer { address: Address::Tcp(from.parse().expect("an address")), credentials: None };
        self.event(Event::Accepted { listener: self.listeners[port], conn, peer });
        conn
    }

    /// Bytes on a raw connection.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        self.event(Event::Received { conn, bytes });
    }

    /// What came on a raw connection since the last look.
    pub fn received(&mut self, conn: ConnId) -> Vec<u8> {
        match self.clients.get_mut(&conn) {
            Some(Peered::Raw { received }) => std::mem::take(received),
            _ => Vec::new(),
        }
    }

    /// Places a call to `bank` and names it.
    pub fn call(&mut self, conn: ConnId, method: &str, args: &[Value]) -> u64 {
        self.call_of(conn, "bank", method, args)
    }

    pub fn call_of(&mut self, conn: ConnId, interface: &str, method: &str, args: &[Value]) -> u64 {
        let call =
            Call { interface: interface.into(), method: method.into(), args: args.to_vec(), kwargs: vec![] };
        let now = self.now;
        let Some(Peered::Dealer { session, .. }) = self.clients.get_mut(&conn) else { panic!("no dealer") };
        let seq = session.call(call, now);
        self.pump_client(conn);
        seq
    }

    pub fn reply(&self, conn: ConnId, seq: u64) -> Option<Outcome> {
        match self.clients.get(&conn) {
            Some(Peered::Dealer { replies, .. }) => replies.get(&seq).cloned(),
            _ => None,
        }
    }

    /// Calls and waits, at most a minute.
    pub fn ask(&mut self, conn: ConnId, method: &str, args: &[Value]) -> Outcome {
        let seq = self.call(conn, method, args);
        self.wait(conn, seq)
    }

    pub fn wait(&mut self, conn: ConnId, seq: u64) -> Outcome {
        let until = self.now.mono + Duration::from_secs(60);
        loop {
            if let Some(outcome) = self.reply(conn, seq) {
                return outcome;
            }
            assert!(self.now.mono < until && self.step(), "no answer: {:?}", self.log);
        }
    }

    /// The client goes.
    pub fn hang_up(&mut self, conn: ConnId) {
        self.clients.remove(&conn);
        self.event(Event::Closed { conn, reason: appliance::reactor::CloseReason::PeerClosed });
    }

    fn pump_client(&mut self, conn: ConnId) {
        self.take_from_client(conn);
        self.deliver_facts();
    }

    fn take_from_client(&mut self, conn: ConnId) {
        let mut bytes = Vec::new();
        if let Some(Peered::Dealer { session, replies }) = self.clients.get_mut(&conn) {
            while let Some(output) = session.poll() {
                match output {
                    ClientOutput::Send(b) => bytes.extend(b),
                    ClientOutput::Reply { seq, outcome } => drop(replies.insert(seq, outcome)),
                    _ => {}
                }
            }
        }
        if !bytes.is_empty() {
            self.sent.push_back((conn, bytes));
        }
    }

    // ---------------------------------------------------------------- the loop

    pub fn event(&mut self, event: Event<'_, Done>) {
        assert!(self.exit.is_none() || !matches!(event, Event::Timer { .. }), "a timer after the end");
        self.node.handle(event, self.now, &mut self.fx);
        self.carry_out();
        self.deliver_facts();
    }

    /// What the orders led to is told afterwards, never within.
    fn deliver_facts(&mut self) {
        loop {
            if let Some(fact) = self.facts.pop_front() {
                self.node.handle(fact, self.now, &mut self.fx);
            } else if let Some((conn, bytes)) = self.sent.pop_front() {
                self.node.handle(Event::Received { conn, bytes: &bytes }, self.now, &mut self.fx);
            } else {
                return;
            }
            self.carry_out();
        }
    }

    pub fn signal(&mut self, request: Request) {
        self.event(Event::Signal(request));
    }

    /// The next timer. `false`: there is none.
    pub fn step(&mut self) -> bool {
        let now = self.now;
        let nanos = |w: &When| match w {
            When::Mono(m) => m.since(now.mono).as_nanos() as u64,
            When::Utc(t) => t.nanos_since(now.utc).max(0) as u64,
        };
        let Some((key, d)) = self.timers.iter().map(|(k, w)| (*k, nanos(w))).min_by_key(|(k, d)| (*d, *k))
        else {
            return false;
        };
        let d = Duration::from_nanos(d);
        self.now = Now { mono: now.mono + d, utc: now.utc + d };
        self.timers.remove(&key);
        self.event(Event::Timer { key });
        true
    }

    pub fn run_for(&mut self, seconds: f64) {
        let until = self.now.mono + Duration::from_secs_f64(seconds);
        let due = |house: &House| {
            let now = house.now;
            let at = |w: &When| match w {
                When::Mono(m) => *m,
                When::Utc(t) => now.mono + Duration::from_nanos(t.nanos_since(now.utc).max(0) as u64),
            };
            house.timers.values().map(at).min()
        };
        while due(self).is_some_and(|at| at <= until) {
            self.step();
        }
        let d = until.since(self.now.mono);
        self.now = Now { mono: self.now.mono + d, utc: Utc((self.now.utc + d).0) };
    }

    fn carry_out(&mut self) {
        let effects: Vec<_> = self.fx.drain().collect();
        for effect in effects {
            assert!(self.exit.is_none() || is_harmless(&effect), "after the end: {effect:?}");
            self.obey(effect);
        }
    }

    fn obey(&mut self, effect: Effect<Job>) {
        match effect {
            Effect::Listen { tag, address } => {
                self.listeners.push(tag);
                self.facts.push_back(Event::Listening { tag, address });
            }
            Effect::Send { conn, bytes } => self.deliver(conn, bytes),
            Effect::Close { conn } | Effect::Abort { conn } => {
                self.log.push(format!("close {}", conn.0));
                if self.clients.remove(&conn).is_some() {
                    self.facts
                        .push_back(Event::Closed { conn, reason: appliance::reactor::CloseReason::Local });
                }
            }
            Effect::PauseReading { conn, paused } => self.log.push(format!("pause {} {paused}", conn.0)),
            Effect::SetTimer { key, at } => drop(self.timers.insert(key, at)),
            Effect::CancelTimer { key } => drop(self.timers.remove(&key)),
            Effect::Spawn { tag, program } => {
                self.log.push(format!("spawn {}", program.path.display()));
                assert!(!self.children.contains(&tag), "two of them");
                self.children.push(tag);
                if self.spawns {
                    self.facts.push_back(Event::ChildStarted { tag, pid: 77 });
                }
            }
            Effect::WriteChild { tag, bytes } => {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                match line.to_ascii_lowercase().as_str() {
                    "quit" => self.child_exits(tag, Exit::Code(0)),
                    "start" | "monitor" => self.daq_says("running"),
                    "stop" => self.daq_says("stopped"),
                    _ => {}
                }
                self.log.push(format!("child: {line}"));
            }
            Effect::CloseChildInput { .. } => {}
            Effect::SignalChild { tag, signal } => {
                self.log.push(format!("{signal:?} {}", tag.0));
                self.child_exits(tag, Exit::Signal(15));
            }
            Effect::Work { job, .. } => self.work(job),
            Effect::Exit { code } => {
                assert!(self.exit.is_none(), "two exits");
                self.exit = Some(code);
            }
            Effect::Connect { .. } => self.log.push("connect".into()),
            Effect::Unlisten { .. } => {}
        }
    }

    fn deliver(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let now = self.now;
        match self.clients.get_mut(&conn) {
            Some(Peered::Dealer { session, .. }) => {
                session.receive(&bytes, now);
                self.take_from_client(conn);
            }
            Some(Peered::Raw { received }) => received.extend(bytes),
            None => {}
        }
    }

    fn child_exits(&mut self, tag: Tag, exit: Exit) {
        if let Some(i) = self.children.iter().position(|t| *t == tag) {
            self.children.remove(i);
            self.facts.push_back(Event::ChildExited { tag, exit });
        }
    }

    /// The withheld answer to a spawn.
    pub fn children_start(&mut self) {
        self.spawns = true;
        for tag in self.children.clone() {
            self.event(Event::ChildStarted { tag, pid: 78 });
        }
    }

    /// The DAQ program writes its state, as a second user of the same memory.
    fn daq_says(&mut self, state: &str) {
        let location = Location::File { dir: self.dir.path().to_owned() };
        if let Ok(mut memory) = StatusMemory::attach(&location, Dialect::Hashpipe, 0) {
            memory.try_set_all(&[("DAQSTATE", state)]).expect("nobody holds the lock");
        }
    }

    // ---------------------------------------------------------------- workers

    fn work(&mut self, job: Job) {
        if let Job::Record { line, .. } = &job {
            self.record.push(line.clone());
        }
        match job {
            Job::Record { waiting, .. } if self.recorder_works => self.recorded(waiting),
            Job::Role(work::Job::ReadClock) => {
                self.clock_reads += 1;
                let done = work::Done::ClockRead(Ok(good_clock()));
                self.facts.push_back(Event::Done(Ok(Done::Role(done))));
            }
            job => self.jobs.push_back(job),
        }
    }

    fn recorded(&mut self, waiting: Option<Waiting>) {
        let error = self.record_error.clone();
        self.facts.push_back(Event::Done(Ok(Done::Recorded { waiting, error })));
    }

    /// The recorder does the oldest entry that waits for it.
    pub fn record_next(&mut self) {
        let i = self.jobs.iter().position(|j| matches!(j, Job::Record { .. })).expect("an entry waits");
        if let Some(Job::Record { waiting, .. }) = self.jobs.remove(i) {
            self.recorded(waiting);
        }
        self.deliver_facts();
    }

    /// The recorder does what waits for it.
    pub fn record_now(&mut self) {
        self.recorder_works = true;
        while let Some(i) = self.jobs.iter().position(|j| matches!(j, Job::Record { .. })) {
            if let Some(Job::Record { waiting, .. }) = self.jobs.remove(i) {
                self.recorded(waiting);
            }
        }
        self.deliver_facts();
    }

    /// The opener of mapped boards does what waits for it.
    pub fn open_boards(&mut self) {
        let is_opening = |j: &Job| matches!(j, Job::Role(work::Job::OpenBoard { .. }));
        while let Some(i) = self.jobs.iter().position(is_opening) {
            let job = self.jobs.remove(i).expect("it was just found");
            self.event(Event::Done(Ok(PlayerNode::work(job))));
        }
    }

    /// A worker panics over every job like this; how many there were.
    pub fn worker_panics_over(&mut self, like: fn(&Job) -> bool) -> usize {
        let mut lost = 0;
        while let Some(at) = self.jobs.iter().position(like) {
            let job = self.jobs.remove(at).expect("it was just found");
            self.jobs.push_front(job);
            self.worker_panics();
            lost += 1;
        }
        lost
    }

    /// A worker panics over the oldest job.
    pub fn worker_panics(&mut self) -> Job {
        let job = self.jobs.pop_front().expect("a job");
        let lost = Lost { job: PlayerNode::name_of(&job), why: "index out of bounds".into() };
        self.event(Event::Done(Err(lost)));
        job
    }

    /// Kinds of the entries in the record, with their methods.
    pub fn entries(&self) -> Vec<String> {
        let entry = |line: &String| {
            let value = appliance::proto::json::read(line.trim_end().as_bytes()).expect("JSON");
            let text = |key: &str| value.get(key).map(Value::to_string).unwrap_or_default();
            format!("{} {}{}", text("kind"), text("method"), text("title"))
        };
        self.record.iter().map(entry).collect()
    }

    pub fn ordered(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }

    /// A member of `player_state`, as another client sees it.
    pub fn shown(&mut self, key: &str) -> String {
        let client = self.dealer();
        let state = self.ask(client, "player_state", &[]).expect("always answered");
        self.hang_up(client);
        state.get(key).map(Value::to_string).expect("a key of player_state")
    }
}

/// What may follow the order to leave: answers and the record of them.
fn is_harmless(effect: &Effect<Job>) -> bool {
    matches!(
        effect,
        Effect::Send { .. }
            | Effect::Work { job: Job::Record { .. }, .. }
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
    )
}

pub fn new_mode() -> Outcome {
    Ok(Value::verdict(true, "New mode MODE1 set!"))
}
