//! A world for one player: a board with registers, two programs, status memory, a clock.
//!
//! ```text
//!   player --order--> carry_out --(after its time)--> Fact --> player
//!                        |
//!                        rules that always hold are checked here
//! ```
//!
//! Time passes only in [`World::step`], to the next thing due; a minute of scan costs some hundred steps.

use crate::serial::SerialSynth;
use crate::wire::Wire;
use appliance::api::{CallError, Outcome};
use appliance::config::dibas::{Bank, Dibas, SynthAt};
use appliance::fpga::{FpgaError, FpgaOp, FpgaReply};
use appliance::plan::Child;
use appliance::player::bank::{Adopted, FpgaKey, Input, Output, Player, StatusOrder, Ticket};
use appliance::player::config::{DaqProgram, PlayerConfig, ScanRules};
use appliance::player::methods::PlayerCall;
use appliance::player::saved::Saved;
use appliance::player::state::{Link, State};
use appliance::reactor::{ChildSignal, Exit};
use appliance::sys::realtime::ClockQuality;
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

mod board;
mod programs;

pub const EXAMPLE: &str = include_str!("../../config/dibas.example.conf");
/// 2026-11-21 02:35:19.4: with MODE1 set, a moment after the next second has begun.
pub const BEGIN: Utc = Utc(1_795_228_519_400_000_000);
/// One round trip to the board.
const BOARD_TAKES: Duration = Duration::from_millis(1);
/// Between the answers to requests that were sent together; all answers are steps of their own.
const BOARD_NEXT: Duration = Duration::from_micros(50);
const BUFFERS_TAKE: Duration = Duration::from_millis(900);
const STATUS_TAKES: Duration = Duration::from_micros(10);
/// When the back end of a silent board gives up.
const BOARD_TIMEOUT: Duration = Duration::from_secs(5);
/// No test takes longer than an hour of its own time.
const LONGEST: Mono = Mono(3_600_000_000_000);
const SPAWN_TAKES: Duration = Duration::from_millis(5);
const EXIT_TAKES: Duration = Duration::from_millis(20);
/// The states operators know.
const STATES: [&str; 9] = [
    "NO_MODE",
    "SETTING_MODE",
    "READY",
    "PREPARING",
    "OPERATING",
    "STARTING",
    "SCANNING",
    "MONITORING",
    "SHUTTING_DOWN",
];

/// How obedient a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Temper {
    /// Ends on `quit`.
    Good,
    /// Only on SIGTERM.
    NeedsTerm,
    /// Only on SIGKILL.
    NeedsKill,
    /// Not at all.
    Immortal,
}

/// How the board treats requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// Answers.
    Good,
    /// Answers `fail` to the next request.
    FailsOnce,
    /// Leaves the next request without an answer; the link is lost with it and comes back.
    SilentOnce,
    /// The link is down.
    Gone,
}

#[derive(Debug)]
enum Fact {
    Input(Input),
    /// A program's end, if it is still the same process.
    Exit(Child, u32, Exit),
    /// What a DAQ program says in status memory, if it is still the same and has not been stopped since.
    Says {
        pid: u32,
        run: Option<u64>,
        key: &'static str,
        value: &'static str,
    },
    /// The link lost with a request that was never answered is open again.
    LinkBack,
}

pub struct World {
    pub player: Player,
    pub now: Now,
    pub board: Board,
    pub temper: Temper,
    /// What a request to the board takes.
    pub board_takes: Duration,
    /// The next programs cannot be started.
    pub spawn_fails: bool,
    /// Status memory refuses.
    pub status_fails: bool,
    pub status: BTreeMap<String, String>,
    pub programmed: Option<String>,
    /// From START to `NETSTAT=receiving`; `None`: the program does not write that key.
    pub net_takes: Option<Duration>,
    /// From INIT_GPU to `GPUCTXIN=TRUE`.
    pub gpu_takes: Duration,
    /// Is the synthesizer behind the board locked?
    pub locked: bool,
    /// The board behind its KATCP server, in place of the one in this file.
    pub wire: Option<Wire>,
    /// The one on a serial line of the host.
    pub synth: Option<SerialSynth>,
    /// What the player saves gets to its file.
    pub saving: bool,
    /// What a read of a par file gives; `None`: it never comes.
    pub par_file: Option<Result<String, String>>,
    pub registers: BTreeMap<String, Vec<u8>>,
    pub answers: BTreeMap<u64, Option<Outcome>>,
    /// Who places the calls.
    pub client: Option<String>,
    /// Proofs of scans, every version.
    pub proofs: Vec<Value>,
    /// The directory of the data is missing.
    pub files_fail: bool,
    /// What a look at data buffers, or the making of them, gives; `None`: it never ends.
    pub buffers: Option<Result<bool, String>>,
    /// Bytes free on disk.
    pub space: u64,
    /// What the node tells about the clock; `None`: nothing.
    pub clock: Option<Result<ClockQuality, String>>,
    /// Every order in words.
    pub log: Vec<String>,
    pub finished: bool,
    /// The wall clock was set while this start was pending: its times mean nothing.
    clock_set: bool,
    /// This DAQ program hangs: it obeys SIGKILL only.
    hung: Option<u32>,
    /// Stops of the DAQ program so far.
    run: u64,
    /// What the player has saved last.
    saved: Option<Saved>,
    /// What the player was made of.
    made_of: (PlayerConfig, Dibas, Bank),
    alive: BTreeMap<&'static str, u32>,
    board_next: Mono,
    facts: Vec<(Mono, u64, Fact)>,
    serial: u64,
    pid: u32,
    tickets: u64,
}

pub fn dibas() -> Dibas {
    Dibas::load(EXAMPLE, "example").expect("the example is good")
}

/// The site's own programs, with a FITS writer.
pub fn site_config() -> PlayerConfig {
    PlayerConfig {
        status_memory: String::new(),
        dibas_dir: "/opt/dibas".into(),
        data_root: "/data".into(),
        simulate: false,
        reference_rounding: false,
        set_mode_always_reloads: false,
        clear_status_on_mode_change: true,
        daq: DaqProgram::Site,
        env: Vec::new(),
        surroundings: Default::default(),
        scan: ScanRules::default(),
    }
}

/// A clock as it should be.
pub fn good_clock() -> ClockQuality {
    ClockQuality {
        synchronised: true,
        error_max: Duration::from_millis(3),
        offset_us: 12,
        leap_pending: false,
        pps: false,
    }
}

/// Our own DAQ program.
pub fn builtin_config() -> PlayerConfig {
    let daq = DaqProgram::Builtin { path: "/opt/appliance".into(), args: vec!["daq".into()] };
    PlayerConfig { daq, ..site_config() }
}

impl World {
    /// A player with its board connected and its hosts known.
    pub fn new() -> World {
        World::with(site_config())
    }

    pub fn with(config: PlayerConfig) -> World {
        let mut world = World::unconnected(config, dibas(), false);
        world.tell(Input::Link(Link::Up));
        world
    }

    pub fn unconnected(config: PlayerConfig, dibas: Dibas, hosts_awaited: bool) -> World {
        let bank = dibas.bank("BANKA").expect("it is in the example").clone();
        World::of(config, dibas, bank, hosts_awaited)
    }

    /// With any bank.
    pub fn of(config: PlayerConfig, dibas: Dibas, bank: Bank, hosts_awaited: bool) -> World {
        let now = Now { mono: Mono(1_000_000_000), utc: BEGIN };
        let serial = bank.synth.as_ref().is_some_and(|s| s.where_ == SynthAt::Local);
        World {
            made_of: (config.clone(), dibas.clone(), bank.clone()),
            wire: None,
            synth: serial.then(SerialSynth::new),
            player: Player::new(config, dibas, bank, hosts_awaited, now),
            net_takes: None,
            gpu_takes: Duration::ZERO,
            locked: true,
            saving: true,
            hung: None,
            saved: None,
            run: 0,
            now,
            board: Board::Good,
            temper: Temper::Good,
            board_takes: BOARD_TAKES,
            spawn_fails: false,
            status_fails: false,
            status: BTreeMap::new(),
            programmed: None,
            par_file: None,
            registers: BTreeMap::new(),
            answers: BTreeMap::new(),
            client: None,
            proofs: Vec::new(),
            files_fail: false,
            buffers: Some(Ok(false)),
            space: 1 << 40,
            clock: Some(Ok(good_clock())),
            log: Vec::new(),
            finished: false,
            clock_set: false,
            alive: BTreeMap::new(),
            board_next: now.mono,
            facts: Vec::new(),
            serial: 0,
            pid: 100,
            tickets: 0,
        }
    }

    /// With MODE1 set.
    pub fn ready() -> World {
        World::new().in_mode1()
    }

    pub fn in_mode1(mut self) -> World {
        let outcome = self.ask(set_mode("MODE1"));
        assert_eq!(outcome, Ok(Value::verdict(true, "New mode MODE1 set!")));
        self.log.clear();
        self
    }

    /// With a scan of 5 s running.
    pub fn scanning() -> World {
        let mut world = World::ready();
        world.ask_ok(PlayerCall::SetParam(vec![("scan_length".into(), Value::Int(5))]));
        world.ask_ok(PlayerCall::Start(Value::Null));
        assert_eq!(world.state(), "SCANNING");
        world.log.clear();
        world
    }

    /// With a start pending.
    pub fn starting() -> (World, u64) {
        let mut world = World::ready();
        let start = world.call(PlayerCall::Start(Value::Null));
        world.run_for(1.0);
        assert_eq!(world.state(), "STARTING");
        world.log.clear();
        (world, start)
    }

    // ---------------------------------------------------------------- calls

    /// Places a call.
    pub fn call(&mut self, call: PlayerCall) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.answers.insert(ticket, None);
        self.look_at_clock();
        if let Some(client) = self.client.clone() {
            self.tell(Input::Caller { ticket: Ticket(ticket), client });
        }
        self.tell(Input::Call { ticket: Ticket(ticket), call });
        ticket
    }

    /// Places a call and lets time pass until it is answered.
    pub fn ask(&mut self, call: PlayerCall) -> Outcome {
        let ticket = self.call(call);
        self.answer(ticket)
    }

    pub fn ask_ok(&mut self, call: PlayerCall) -> Value {
        let what = format!("{call:?}");
        self.ask(call).unwrap_or_else(|e| panic!("{what}: {e}"))
    }

    pub fn ask_err(&mut self, call: PlayerCall) -> CallError {
        let what = format!("{call:?}");
        self.ask(call).map(|v| panic!("{what} was answered {v}")).expect_err("checked")
    }

    /// Lets time pass until the call is answered, at most two minutes.
    pub fn answer(&mut self, ticket: u64) -> Outcome {
        let until = self.now.mono + Duration::from_secs(120);
        while self.answers[&ticket].is_none() {
            assert!(self.now.mono < until && self.step(), "call {ticket} is never answered: {:?}", self.log);
        }
        self.answers[&ticket].clone().expect("looked at above")
    }

    pub fn is_open(&self, ticket: u64) -> bool {
        self.answers[&ticket].is_none()
    }

    // ---------------------------------------------------------------- time

    /// Tells the player something and does what it orders.
    pub fn tell(&mut self, input: Input) {
        self.player.handle(input, self.now);
        self.settle();
    }

    /// When something happens next.
    fn next_due(&self) -> Option<Mono> {
        let due = self.player.deadlines();
        let wall = due.utc.map(|t| Mono(self.now.mono.0 + t.nanos_since(self.now.utc).max(0) as u64));
        let fact = self.facts.iter().map(|(at, ..)| *at).min();
        let synth = self.synth.as_ref().and_then(SerialSynth::deadline);
        let wire = self.wire.as_ref().and_then(|wire| wire.deadline(self.now));
        [due.mono, wall, fact, synth, wire].into_iter().flatten().min()
    }

    /// Moves to the next thing due. `false`: nothing will ever happen.
    pub fn step(&mut self) -> bool {
        assert!(self.now.mono < LONGEST, "this goes on for ever, in {}", self.state());
        let Some(next) = self.next_due() else { return false };
        self.pass(next.since(self.now.mono));
        true
    }

    /// Lets time pass, event by event.
    pub fn run_for(&mut self, seconds: f64) {
        let until = self.now.mono + Duration::from_secs_f64(seconds);
        while self.next_due().is_some_and(|next| next <= until) {
            self.step();
        }
        self.pass(until.since(self.now.mono));
    }

    fn pass(&mut self, d: Duration) {
        self.now = Now { mono: self.now.mono + d, utc: self.now.utc + d };
        while let Some(i) = self.due_fact() {
            let (_, _, fact) = self.facts.swap_remove(i);
            self.deliver(fact);
        }
        self.look_at_clock();
        self.tick();
    }

    /// The node looks once a second, the world more often.
    fn look_at_clock(&mut self) {
        if let Some(clock) = self.clock.clone() {
            self.tell(Input::Clock(clock));
        }
    }

    fn due_fact(&self) -> Option<usize> {
        let due = self.facts.iter().enumerate().filter(|(_, (at, ..))| *at <= self.now.mono);
        due.min_by_key(|(_, (at, serial, _))| (*at, *serial)).map(|(i, _)| i)
    }

    /// The loop's timer.
    pub fn tick(&mut self) {
        if let Some(synth) = &mut self.synth {
            synth.tick(self.now);
        }
        if let Some(wire) = &mut self.wire {
            wire.tick(self.now);
        }
        self.settle();
        self.player.tick(self.now);
        self.settle();
        let due = self.player.deadlines();
        assert!(due.mono.is_none_or(|m| m > self.now.mono), "busy loop: {due:?} at {:?}", self.now);
        assert!(due.utc.is_none_or(|t| t > self.now.utc), "busy loop: {due:?} at {:?}", self.now);
    }

    /// The wall clock is set.
    pub fn set_clock(&mut self, by_seconds: f64) {
        self.now.utc = Utc(self.now.utc.0 + (by_seconds * 1e9) as i64);
        // The arm phase that has begun goes on; before it the start is judged by the clock as it is then.
        self.clock_set = self.phase() == "arm";
        self.tick();
    }

    // ---------------------------------------------------------------- looking

    pub fn state(&self) -> &'static str {
        self.player.state().name()
    }

    /// A member of `player_state`, as text.
    pub fn shown(&self, key: &str) -> String {
        self.player.describe(self.now).get(key).map(Value::to_string).expect("a key of player_state")
    }

    pub fn phase(&self) -> String {
        let all = self.player.describe(self.now);
        all.get("job").and_then(|j| j.get("phase")).map(Value::to_string).unwrap_or_default()
    }

    /// Was an order like this given?
    pub fn ordered(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }

    pub fn unanswered(&self) -> Vec<u64> {
        self.answers.iter().filter(|(_, a)| a.is_none()).map(|(t, _)| *t).collect()
    }

    // ---------------------------------------------------------------- faults

    /// A process of the player was replaced in order: the next one finds what the last one has saved.
    pub fn succeed(&mut self) {
        assert!(self.finished, "it has not ended");
        let saved = self.saved.clone().expect("a player that had something to do has saved it");
        let running = |child| {
            let pid = self.alive.get(name(child)).copied();
            pid.map(|pid| Adopted { child, pid, since: self.now })
        };
        let adopted: Vec<Adopted> = [Child::Daq, Child::FitsWriter].into_iter().filter_map(running).collect();
        // A program that was being started is not left alone: its keeper has it.
        self.facts.retain(|(_, _, fact)| matches!(fact, Fact::Exit(..) | Fact::Says { .. } | Fact::LinkBack));
        let (config, dibas, bank) = self.made_of.clone();
        self.synth = self.synth.is_some().then(SerialSynth::new);
        self.player = Player::new(config, dibas, bank, false, self.now);
        self.finished = false;
        self.player.restore(&saved, &adopted, self.now);
        self.settle();
        match &mut self.wire {
            Some(wire) => wire.restart(self.now),
            None if self.board != Board::Gone => self.tell(Input::Link(Link::Up)),
            None => {}
        }
    }

    /// Board, programs and status memory work again.
    pub fn repair(&mut self) {
        self.temper = Temper::Good;
        self.spawn_fails = false;
        self.status_fails = false;
        self.board_takes = BOARD_TAKES;
        self.locked = true;
        if let Some(wire) = &mut self.wire {
            wire.lock(None);
        }
        if let Some(synth) = &mut self.synth {
            synth.repair();
        }
        self.link_back();
    }

    /// The player is killed; another one takes its place `away` seconds later. The programs run on.
    pub fn restart(&mut self, config: PlayerConfig, away: f64) {
        let saved = Saved::parse(&self.player.saved().text()).expect("what it writes it can read");
        self.facts.clear();
        let d = Duration::from_secs_f64(away);
        self.now = Now { mono: self.now.mono + d, utc: self.now.utc + d };
        let bank = dibas().bank("BANKA").expect("it is in the example").clone();
        self.player = Player::new(config, dibas(), bank, false, self.now);
        let since = self.now;
        let child = |name: &str| if name == "daq" { Child::Daq } else { Child::FitsWriter };
        let adopted: Vec<Adopted> =
            self.alive.iter().map(|(name, pid)| Adopted { child: child(name), pid: *pid, since }).collect();
        self.player.restore(&saved, &adopted, self.now);
        self.look_at_clock();
        self.tell(Input::Link(Link::Up));
    }

    /// Ends the player and checks that nothing is left behind.
    pub fn end(&mut self) {
        self.tell(Input::Shutdown);
        let until = self.now.mono + Duration::from_secs(60);
        while !self.finished {
            assert!(self.now.mono < until && self.step(), "the player does not end: {:?}", self.log);
        }
        self.run_for(30.0);
        assert_eq!(self.unanswered(), Vec::<u64>::new(), "calls were never answered");
        assert_eq!(self.player.deadlines(), Default::default(), "it still waits for something");
    }

    // ---------------------------------------------------------------- orders

    fn settle(&mut self) {
        loop {
            while let Some(output) = self.player.poll() {
                assert!(!self.finished || is_harmless(&output), "an order after the end: {output:?}");
                self.carry_out(output);
            }
            let mut inputs = self.synth.as_mut().map(|synth| synth.pump(self.now)).unwrap_or_default();
            inputs.extend(self.wire.as_mut().map(|wire| wire.pump(self.now)).unwrap_or_default());
            if inputs.is_empty() {
                break;
            }
            inputs.into_iter().for_each(|input| self.player.handle(input, self.now));
        }
        assert!(STATES.contains(&self.state()), "{} is no state", self.state());
        if !matches!(self.player.state(), State::Starting(_)) {
            self.clock_set = false;
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Reply { ticket, outcome } => {
                let slot = self.answers.get_mut(&ticket.0).expect("a ticket that was given");
                assert!(slot.is_none(), "call {} is answered twice: {slot:?} and {outcome:?}", ticket.0);
                *slot = Some(outcome);
            }
            Output::Fpga { key, op } => self.fpga(key, op),
            Output::Status { key, order } => {
                let answer = self.status(order);
                self.later(STATUS_TAKES, Fact::Input(Input::Status { key, answer }));
            }
            Output::Spawn { child, .. } => self.spawn(child),
            Output::Line { child, line } => self.line(child, &line),
            Output::RunHelper(program) => panic!("the example has no helper programs: {:?}", program.path),
            Output::KillHelper => panic!("no helper program was started"),
            Output::Signal { child, signal } => {
                self.log.push(format!("{child}: {signal:?}"));
                let (obeys, number) = match signal {
                    ChildSignal::Term if child == Child::Daq && self.is_hung() => (false, 15),
                    ChildSignal::Term => (self.temper <= Temper::NeedsTerm, 15),
                    ChildSignal::Kill => (self.temper <= Temper::NeedsKill, 9),
                };
                if obeys {
                    self.exit_soon(child, Exit::Signal(number));
                }
            }
            Output::Save(saved) => {
                self.saved = Some(*saved);
                if self.saving {
                    self.later(STATUS_TAKES, Fact::Input(Input::Saved));
                }
            }
            Output::CloseInput { .. } | Output::Changed | Output::Record(_) | Output::Written(_) => {}
            Output::ReadParFile { path } => {
                self.log.push(format!("read {path}"));
                if let Some(text) = self.par_file.clone() {
                    self.later(STATUS_TAKES, Fact::Input(Input::ParFile { path, text }));
                }
            }
            Output::Synth { id, order } => {
                self.log.push(format!("synth: {order}"));
                let synth = self.synth.as_mut().expect("this bank has no serial synthesizer");
                synth.submit(id, order, self.now);
            }
            Output::WriteProof(file) => {
                assert!(!self.finished, "a proof after the end");
                let proof = appliance::proto::json::read(file.text.as_bytes()).expect("JSON");
                let path = format!("{}/{}.scan.json", file.directory, file.base);
                let result = if self.files_fail { Err("No such file or directory".into()) } else { Ok(path) };
                self.proofs.push(proof);
                self.later(STATUS_TAKES, Fact::Input(Input::ProofWritten { id: file.id, result }));
            }
            Output::Buffers { key, order } => {
                let what = if order.look_only { "looked at" } else { "wanted" };
                self.log.push(format!("{}: {what}", order.layout));
                assert!(
                    order.look_only || self.alive.is_empty(),
                    "buffers made under programs: {:?}",
                    self.log
                );
                if let Some(result) = self.buffers.clone() {
                    self.later(BUFFERS_TAKE, Fact::Input(Input::Buffers { key, result }));
                }
            }
            Output::SumGateware { name, .. } => {
                let sum = Ok("ab".repeat(32));
                self.later(STATUS_TAKES, Fact::Input(Input::GatewareSummed { name, sum }));
            }
            Output::MeasureSpace { .. } => {
                let free = Ok(self.space);
                self.later(STATUS_TAKES, Fact::Input(Input::Space(free)));
            }
            Output::ReadConfig { ticket } => {
                self.tell(Input::Reloaded(Box::new(dibas())));
                self.carry_out(Output::Reply { ticket, outcome: Ok("config file loaded.".into()) });
            }
            Output::Finished => {
                assert!(!self.finished, "finished twice");
                self.finished = true;
            }
        }
    }

    fn later(&mut self, d: Duration, fact: Fact) {
        self.serial += 1;
        self.facts.push((self.now.mono + d, self.serial, fact));
    }

    fn deliver(&mut self, fact: Fact) {
        match fact {
            Fact::Input(input) => self.tell(input),
            Fact::Exit(child, pid, exit) => {
                if self.alive.get(name(child)) == Some(&pid) {
                    self.alive.remove(name(child));
                    self.tell(Input::ChildExited { child, exit });
                }
            }
            Fact::Says { pid, run, key, value } => {
                let same = self.alive.get(name(Child::Daq)) == Some(&pid) && !self.is_hung();
                if same && run.is_none_or(|run| run == self.run) {
                    self.status.insert(key.into(), value.into());
                }
            }
            Fact::LinkBack => {
                if self.board == Board::Good {
                    self.tell(Input::Link(Link::Up));
                }
            }
        }
    }

    fn status(&mut self, order: StatusOrder) -> Result<Vec<(String, Value)>, String> {
        if self.status_fails {
            return Err("the lock is lost".into());
        }
        match order {
            StatusOrder::Read(names) => {
                let wanted =
                    |k: &String| names.as_ref().is_none_or(|n| n.iter().any(|n| n.eq_ignore_ascii_case(k)));
                let cards = self.status.iter().filter(|(k, _)| wanted(k));
                return Ok(cards.map(|(k, v)| (k.clone(), Value::Str(v.clone()))).collect());
            }
            StatusOrder::Put(pairs) => {
                self.log.push(format!("status: {pairs:?}"));
                self.status.extend(pairs);
            }
            StatusOrder::Clear => self.status.clear(),
        }
        Ok(Vec::new())
    }
}

pub fn set_mode(mode: &str) -> PlayerCall {
    PlayerCall::SetMode { mode: mode.into(), bandwidth: Value::Null, force: false }
}

pub fn force_mode(mode: &str) -> PlayerCall {
    PlayerCall::SetMode { mode: mode.into(), bandwidth: Value::Null, force: true }
}

fn name(child: Child) -> &'static str {
    match child {
        Child::Daq => "daq",
        Child::FitsWriter => "fits_writer",
    }
}

/// Answers may follow the end, and what a read needs; other orders may not.
fn is_harmless(output: &Output) -> bool {
    matches!(
        output,
        Output::Reply { .. } | Output::Changed | Output::Save(_) | Output::Status { .. } | Output::Written(_)
    )
}
