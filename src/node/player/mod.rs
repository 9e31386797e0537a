//! The node of a player: board, status memory and programs around [`crate::player`].

pub mod board;
pub mod gateware;
pub mod hardware;
pub mod helper;
pub mod mapped;
pub mod programs;
pub mod scan_file;
pub mod status_port;
pub mod synth_port;
pub mod work;

use super::desk::{Ask, Desk, DeskConfig, Trade};
use super::timers::Timers;
use super::work as node_work;
use crate::api::bind::Bound;
use crate::api::{CallError, Family, Method, Outcome};
use crate::config::dibas::{Bank, Dibas, SynthAt};
use crate::fpga::FpgaError;
use crate::player::bank::{Adopted, Input, Output, Player, StatusOrder, Ticket};
use crate::player::config::PlayerConfig;
use crate::player::methods::{self, PlayerCall};
use crate::player::saved::Saved;
use crate::proto::valon::order::SynthError;
use crate::reactor::{App, Effect, Effects, Event, JobName, Lost, Request, Tag, TimerKey, When};
use crate::record::{self, RecordFile};
use crate::shm::StatusMemory;
use crate::units::{Mono, Now};
use crate::value::Value;
use hardware::Hardware;
use programs::{KeepPlace, Programs};
use status_port::StatusPort;
use std::path::PathBuf;
use std::time::Duration;
use synth_port::SynthPort;

const BOARD: Tag = Tag(20);
const SYNTH: Tag = Tag(21);
const PLAYER_MONO: TimerKey = TimerKey(1);
const PLAYER_UTC: TimerKey = TimerKey(2);
const STATUS: TimerKey = TimerKey(3);
const BOARD_TIMER: TimerKey = TimerKey(4);
const PROGRAMS: TimerKey = TimerKey(5);
const SYNTH_TIMER: TimerKey = TimerKey(6);
const CLOCK: TimerKey = TimerKey(8);
/// How often the kernel is asked how good the clock is.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// Kind of an entry of the record with hardware writes, and its member.
const WRITES: &str = "writes";
/// How far the record is read back for them, bytes.
const READ_BACK: u64 = 4 << 20;
/// The player works on one bank: its plans and orders wait in one lane.
const BANK_LANE: usize = 0;

/// Blocking work of this node.
pub type Job = node_work::Job<work::Job>;
/// What became of it.
pub type Done = node_work::Done<work::Done>;

/// What a node of a player is made of.
pub struct NodeConfig {
    /// Ports, rights, record.
    pub desk: DeskConfig,
    /// Host names with addresses given by configuration.
    pub resolve: Vec<(String, std::net::Ipv4Addr)>,
    /// Look up other names in /etc/hosts and DNS (a simulation does not).
    pub resolve_elsewhere: bool,
    /// The site's configuration file, for reloading; `None`: the built-in example.
    pub dibas_conf: Option<PathBuf>,
    /// Programs outlive this process: where their keepers are.
    pub keep: Option<KeepPlace>,
    /// Where the state is kept for the next process.
    pub state_file: Option<PathBuf>,
}

/// A player with everything around it.
pub struct PlayerNode {
    desk: Desk<PlayerCall, Output>,
    player: Player,
    status: StatusPort,
    board: Option<Hardware>,
    synth: Option<SynthPort>,
    hosts: Vec<String>,
    resolve: Vec<(String, std::net::Ipv4Addr)>,
    resolve_elsewhere: bool,
    dibas_conf: Option<PathBuf>,
    programs: Programs,
    state_file: Option<PathBuf>,
    /// The state that is in its file, or on its way there.
    saved: Option<Box<Saved>>,
    /// Calls that wait for the configuration to be read.
    readings: Vec<Ticket>,
    /// When the clock is looked at again; `None`: a worker is at it, or the node has ended.
    clock_due: Option<Mono>,
    /// The order to leave has been given.
    finished: bool,
    timers: Timers,
}

impl PlayerNode {
    /// Puts a node together. `board`: the way to the ROACH, for banks that have one.
    pub fn new(
        config: NodeConfig,
        player_config: PlayerConfig,
        dibas: Dibas,
        bank: Bank,
        status: Result<StatusMemory, String>,
        board: Option<Hardware>,
        now: Now,
    ) -> PlayerNode {
        let trade = Trade {
            role: "player",
            node: bank.name.clone(),
            table: methods::table_of(bank.has_roach, has_synth(&bank)),
            understand,
            lane_of: lane,
            takes_back,
        };
        let hosts = hosts_of(&dibas, &bank);
        PlayerNode {
            desk: Desk::new(config.desk, trade),
            player: Player::new(player_config, dibas, bank, true, now),
            status: StatusPort::new(status),
            board,
            synth: None,
            hosts,
            resolve: config.resolve,
            resolve_elsewhere: config.resolve_elsewhere,
            dibas_conf: config.dibas_conf,
            programs: Programs::new(config.keep, now),
            state_file: config.state_file,
            saved: None,
            readings: Vec::new(),
            clock_due: None,
            finished: false,
            timers: Timers::default(),
        }
    }

    /// The same node with its synthesizer on a serial line.
    pub fn with_synth(mut self, synth: SynthPort) -> PlayerNode {
        self.synth = Some(synth);
        self
    }

    /// When the loop has ended: the state is in its file. The status memory is given back.
    pub fn leave(self) -> Option<StatusMemory> {
        if let (Some(path), Some(saved)) = (&self.state_file, &self.saved)
            && let Err(why) = work::save(path, saved)
        {
            log::error!("the state was not saved: {why}");
        }
        self.status.into_memory()
    }

    /// Takes up the hardware writes of earlier processes from the record; before the loop.
    pub fn learn_writes(&mut self, record: &RecordFile) {
        let entries = record::last_of(record, WRITES, READ_BACK);
        let writes = entries.into_iter().filter_map(|entry| match entry {
            Value::Map(members) => members.into_iter().find(|(key, _)| key == WRITES).map(|(_, v)| v),
            _ => None,
        });
        let each = writes.flat_map(|list| if let Value::List(all) = list { all } else { Vec::new() });
        self.player.learn_writes(each.collect());
    }

    /// Goes on where an earlier process has left off; before the loop.
    pub fn restore(&mut self, saved: &Saved, now: Now) {
        let adopted: Vec<Adopted> = self.programs.adopted().collect();
        self.player.restore(saved, &adopted, now);
    }

    /// Passes on everything that has become due, until nothing moves; then sets the timers.
    fn settle(&mut self, now: Now, fx: &mut Effects<Job>) {
        loop {
            let mut moved = false;
            while let Some(output) = self.desk.release() {
                self.carry_out(output, now, fx);
                moved = true;
            }
            while let Some(output) = self.player.poll() {
                if let Some(output) = self.desk.hold(output) {
                    self.carry_out(output, now, fx);
                }
                moved = true;
            }
            for (key, answer) in self.status.pump(now) {
                self.player.handle(Input::Status { key, answer }, now);
                moved = true;
            }
            for input in self.programs.tick(now, fx) {
                self.player.handle(input, now);
                moved = true;
            }
            moved |= self.pump_board(now, fx);
            moved |= self.pump_synth(now, fx);
            moved |= self.pump_desk(now, fx);
            if !moved {
                break;
            }
        }
        self.set_timers(fx);
    }

    fn set_timers(&mut self, fx: &mut Effects<Job>) {
        let due = self.player.deadlines();
        let wanted = [
            (PLAYER_MONO, due.mono.map(When::Mono)),
            (PLAYER_UTC, due.utc.map(When::Utc)),
            (STATUS, self.status.deadline().map(When::Mono)),
            (CLOCK, self.clock_due.map(When::Mono)),
            (BOARD_TIMER, self.board.as_ref().and_then(Hardware::deadline).map(When::Mono)),
            (PROGRAMS, self.programs.deadline().map(When::Mono)),
            (SYNTH_TIMER, self.synth.as_ref().and_then(SynthPort::deadline).map(When::Mono)),
        ];
        for (key, want) in wanted {
            self.timers.want(key, want, fx);
        }
        self.desk.settle(fx);
    }

    /// Gives the player one call at a time: what it orders first goes out first.
    fn pump_desk(&mut self, now: Now, fx: &mut Effects<Job>) -> bool {
        if let Some(held) = self.desk.control_news(now, fx) {
            self.player.set_control(held);
            return true;
        }
        let input = match self.desk.next(!self.player.is_busy(), now, fx) {
            None => return false,
            Some(Ask::Call(ticket, call)) => {
                if call.keeps_client()
                    && let Some(client) = self.desk.client_of(ticket)
                {
                    self.player.handle(Input::Caller { ticket, client }, now);
                }
                Input::Call { ticket, call }
            }
            Some(Ask::Cancel(ticket)) => Input::Cancel { ticket },
        };
        self.player.handle(input, now);
        true
    }

    // ------------------------------------------------------------------ the player's orders

    fn carry_out(&mut self, output: Output, now: Now, fx: &mut Effects<Job>) {
        match output {
            Output::Reply { ticket, outcome } => self.desk.reply(ticket, outcome, now, fx),
            Output::Fpga { key, op } => match &mut self.board {
                Some(board) => board.submit(key, op, now),
                None => {
                    // A bank without a board compiles no FPGA steps; an answer is better than a stuck plan.
                    let result = Err(FpgaError::Unsupported(format!("{op:?} without a board")));
                    self.player.handle(Input::Fpga { key, result }, now);
                }
            },
            Output::Synth { id, order } => match &mut self.synth {
                Some(synth) => synth.submit(id, order, now),
                None => {
                    let result = Err(SynthError::Unreachable("this bank has no serial synthesizer".into()));
                    self.player.handle(Input::Synth { id, result }, now);
                }
            },
            Output::Status { key, order } => {
                if let Some((key, answer)) = self.status.order(key, order, now) {
                    self.player.handle(Input::Status { key, answer }, now);
                }
            }
            Output::Spawn { child, program } => self.programs.spawn(child, program, now, fx),
            Output::Line { child, line } => self.programs.line(child, line, fx),
            Output::CloseInput { child } => self.programs.close_input(child, fx),
            Output::Signal { child, signal } => self.programs.signal(child, signal, fx),
            Output::RunHelper(program) => helper::run(program, fx),
            Output::KillHelper => helper::kill(fx),
            Output::Save(saved) => self.save(saved, now, fx),
            Output::Written(writes) => {
                self.desk.enter_note(WRITES, vec![(WRITES.to_owned(), writes)], now, fx);
            }
            Output::Record(plan) => self.desk.enter_procedure(BANK_LANE, plan, now, fx),
            Output::ReadParFile { path } => {
                let job = Job::Role(work::Job::ReadParFile { path });
                fx.push(Effect::Work { worker: node_work::CLERK, job });
            }
            Output::ReadConfig { ticket } => self.read_config(Some(ticket), now, fx),
            Output::WriteProof(file) => {
                let job = Job::Role(work::Job::WriteProof(file));
                fx.push(Effect::Work { worker: work::PROOF_WRITER, job });
            }
            Output::Buffers { key, order } => {
                let job = Job::Role(work::Job::Buffers { key, order: Box::new(order) });
                fx.push(Effect::Work { worker: work::BUFFER_MAKER, job });
            }
            Output::SumGateware { directory, name } => {
                let job = Job::Role(work::Job::SumGateware { directory, name });
                fx.push(Effect::Work { worker: work::PROOF_WRITER, job });
            }
            Output::MeasureSpace { directory, root } => {
                let job = Job::Role(work::Job::MeasureSpace { directory, root });
                fx.push(Effect::Work { worker: work::PROOF_WRITER, job });
            }
            Output::Changed => {
                let player = &self.player;
                self.desk.publish("player_state", || player.describe(now), now, fx);
            }
            Output::Finished => {
                self.finished = true;
                self.clock_due = None;
                self.answer_rest(now, fx);
                fx.push(Effect::Exit { code: 0 });
            }
        }
    }

    fn pump_board(&mut self, now: Now, fx: &mut Effects<Job>) -> bool {
        let Some(board) = &mut self.board else { return false };
        let inputs = board.pump(BOARD, &self.resolve, now, fx);
        let moved = !inputs.is_empty();
        for input in inputs {
            self.player.handle(input, now);
        }
        moved
    }

    fn pump_synth(&mut self, now: Now, fx: &mut Effects<Job>) -> bool {
        let Some(synth) = &mut self.synth else { return false };
        let inputs = synth.pump(SYNTH, now, fx);
        let moved = !inputs.is_empty();
        for input in inputs {
            self.player.handle(input, now);
        }
        moved
    }

    // ------------------------------------------------------------------ workers

    fn work_done(&mut self, done: work::Done, now: Now, fx: &mut Effects<Job>) {
        match done {
            work::Done::Resolved { hosts } => {
                for (name, _) in hosts.iter().filter(|(_, ip)| ip.is_none()) {
                    log::warn!(
                        "host '{name}' of dibas.conf has no known address; modes that need it will say so"
                    );
                }
                self.player.handle(Input::Hosts(hosts), now);
            }
            work::Done::BoardResolved { host, address } => {
                if let Some(board) = self.board.as_mut().and_then(Hardware::katcp) {
                    board.resolved(&host, address, BOARD, now, fx);
                }
            }
            work::Done::BoardOpened { result } => {
                if let Some(board) = self.board.as_mut().and_then(Hardware::mapped) {
                    board.opened(result.map(|window| *window), now);
                }
            }
            work::Done::ParFileRead { path, text } => self.player.handle(Input::ParFile { path, text }, now),
            work::Done::ClockRead(quality) => {
                self.look_at_clock_later(now);
                self.player.handle(Input::Clock(quality), now);
            }
            work::Done::ProofWritten { id, result } => {
                self.player.handle(Input::ProofWritten { id, result }, now);
            }
            work::Done::Buffers { key, result } => self.player.handle(Input::Buffers { key, result }, now),
            work::Done::GatewareSummed { name, sum } => {
                self.player.handle(Input::GatewareSummed { name, sum }, now);
            }
            work::Done::SpaceMeasured(free) => self.player.handle(Input::Space(free), now),
            work::Done::ConfigRead { ticket, result } => self.config_read(ticket, result, now, fx),
            work::Done::Saved { error } => {
                if let Some(why) = error {
                    log::error!("the state was not saved, a restart would not know of it: {why}");
                }
                self.player.handle(Input::Saved, now);
            }
        }
    }

    /// At the end of the loop there are no workers: [`PlayerNode::leave`] does it then.
    fn save(&mut self, saved: Box<Saved>, now: Now, fx: &mut Effects<Job>) {
        self.saved = Some(saved.clone());
        match self.state_file.clone() {
            Some(path) => {
                // The recorder's jobs run in order: the state is there before the entry of what comes of it.
                let job = Job::Role(work::Job::Save { path, saved });
                fx.push(Effect::Work { worker: node_work::RECORDER, job });
            }
            None => self.player.handle(Input::Saved, now),
        }
    }

    fn look_at_clock(fx: &mut Effects<Job>) {
        fx.push(Effect::Work { worker: work::CLOCK_READER, job: Job::Role(work::Job::ReadClock) });
    }

    fn look_at_clock_later(&mut self, now: Now) {
        self.clock_due = (!self.finished).then(|| now.mono + CLOCK_EVERY);
    }

    fn read_config(&mut self, ticket: Option<Ticket>, now: Now, fx: &mut Effects<Job>) {
        match self.dibas_conf.clone() {
            Some(path) => {
                self.readings.extend(ticket);
                let job = Job::Role(work::Job::ReadConfig { path, ticket });
                fx.push(Effect::Work { worker: node_work::CLERK, job });
            }
            None => {
                let why = "the built-in example configuration is in use, there is no file to read".to_owned();
                self.config_read(ticket, Err(why), now, fx);
            }
        }
    }

    fn config_read(
        &mut self,
        ticket: Option<Ticket>,
        result: Result<Box<Dibas>, String>,
        now: Now,
        fx: &mut Effects<Job>,
    ) {
        let outcome = match result {
            Ok(dibas) => {
                log::info!("configuration read again");
                self.look_up(mac_hosts(&dibas), fx);
                self.player.handle(Input::Reloaded(dibas), now);
                Ok(Value::Str("config file loaded.".into()))
            }
            Err(text) => {
                log::error!("the configuration stays as it was: {text}");
                Err(CallError::new(crate::api::ErrorClass::Exception, Family::Environment, text))
            }
        };
        if let Some(ticket) = ticket {
            self.readings.retain(|t| *t != ticket);
            self.desk.reply(ticket, outcome, now, fx);
        }
    }

    /// Addresses of hosts: those of the configuration are known at once, the others are asked for unless this
    /// node does not ask (`false`).
    fn look_up(&mut self, hosts: Vec<String>, fx: &mut Effects<Job>) -> bool {
        let given =
            |host: &str| self.resolve.iter().find(|(n, _)| n.eq_ignore_ascii_case(host)).map(|(_, ip)| *ip);
        let with_address = hosts.into_iter().map(|host| {
            let address = given(&host);
            (host, address)
        });
        let (known, unknown): (Vec<_>, Vec<_>) = with_address.partition(|(_, ip)| ip.is_some());
        self.player.learn_hosts(known);
        let hosts = unknown.into_iter().map(|(host, _)| host).collect();
        if self.resolve_elsewhere {
            let job = Job::Role(work::Job::Resolve { hosts });
            fx.push(Effect::Work { worker: node_work::RESOLVER, job });
        }
        self.resolve_elsewhere
    }

    /// The end: calls that wait for status memory or a file are answered while their clients are still there.
    fn answer_rest(&mut self, now: Now, fx: &mut Effects<Job>) {
        for ticket in std::mem::take(&mut self.readings) {
            let error = CallError::exception("the player ends; the configuration was not read");
            self.desk.reply(ticket, Err(error), now, fx);
        }
        for (key, answer) in self.status.give_up() {
            self.player.handle(Input::Status { key, answer }, now);
        }
    }

    /// A job will not be done: who waits for it is told, and nobody else.
    fn work_lost(&mut self, lost: Lost, now: Now, fx: &mut Effects<Job>) {
        let Lost { job, why } = lost;
        let input = match job.kind {
            work::SAVE => {
                log::error!("the state was not saved, a restart would not know of it: {why}");
                Input::Saved
            }
            work::READ_CONFIG => return self.readings_lost(&job.of, &why, now, fx),
            work::READ_PAR_FILE => Input::ParFile { path: job.of, text: Err(why) },
            work::WRITE_PROOF => Input::ProofWritten { id: job.of, result: Err(why) },
            work::MEASURE_SPACE => Input::Space(Err(why)),
            work::BUFFERS => match self.player.waits_for_buffers(&job.of) {
                Some(key) => Input::Buffers { key, result: Err(why) },
                None => return,
            },
            work::SUM_GATEWARE => Input::GatewareSummed { name: job.of, sum: Err(why) },
            // Addresses that are not known are told by the modes that need them.
            work::RESOLVE => Input::Hosts(Vec::new()),
            work::READ_CLOCK => {
                self.look_at_clock_later(now);
                Input::Clock(Err(why))
            }
            work::BOARD => {
                if let Some(board) = &mut self.board {
                    board.work_lost(&why, now);
                }
                return;
            }
            _ => return,
        };
        self.player.handle(input, now);
    }

    fn readings_lost(&mut self, name: &str, why: &str, now: Now, fx: &mut Effects<Job>) {
        let lost = self.readings.iter().position(|ticket| work::config_name(*ticket) == name);
        let Some(ticket) = lost.map(|at| self.readings.remove(at)) else { return };
        let text = format!("the configuration was not read: {why}");
        let outcome: Outcome =
            Err(CallError::new(crate::api::ErrorClass::Exception, Family::Environment, text));
        self.desk.reply(ticket, outcome, now, fx);
    }

    fn signal(&mut self, request: Request, now: Now, fx: &mut Effects<Job>) {
        match request {
            Request::HandOver if self.programs.outlive_us() => {
                log::info!("handing over to the next player");
                self.player.handle(Input::HandOver, now);
            }
            Request::Stop { .. } | Request::HandOver => {
                log::info!("stopping");
                self.player.handle(Input::Shutdown, now);
            }
            Request::Reload => self.read_config(None, now, fx),
            Request::Dump => match crate::proto::json::to_text(&self.player.describe(now)) {
                Ok(text) => log::info!("state: {text}"),
                Err(e) => log::error!("state cannot be shown: {e}"),
            },
        }
    }

    fn timer(&mut self, key: TimerKey, now: Now, fx: &mut Effects<Job>) {
        self.timers.fired(key);
        match key {
            PLAYER_MONO | PLAYER_UTC => self.player.tick(now),
            BOARD_TIMER => {
                if let Some(board) = &mut self.board {
                    board.tick(now);
                }
            }
            SYNTH_TIMER => {
                if let Some(synth) = &mut self.synth {
                    synth.tick(now);
                }
            }
            CLOCK => {
                self.clock_due = None;
                Self::look_at_clock(fx);
            }
            // Orders that wait for the lock are tried again by `settle`.
            _ => {}
        }
    }

    /// What is not the desk's.
    fn role_event(&mut self, event: Event<'_, Done>, now: Now, fx: &mut Effects<Job>) {
        match event {
            Event::Received { conn, bytes } => {
                if let Some(board) = self.board.as_mut().and_then(Hardware::katcp) {
                    board.received(conn, bytes, now);
                }
                if let Some(synth) = &mut self.synth {
                    synth.received(conn, bytes, now);
                }
            }
            Event::Closed { conn, reason } => {
                if let Some(board) = self.board.as_mut().and_then(Hardware::katcp) {
                    board.closed(conn, &reason, now);
                }
                if let Some(synth) = &mut self.synth {
                    synth.closed(conn, &reason, now);
                }
            }
            Event::Connected { conn, tag: SYNTH } => {
                if let Some(conn) = self.synth.as_mut().and_then(|synth| synth.opened(conn, now)) {
                    fx.push(Effect::Abort { conn });
                }
            }
            Event::ConnectFailed { error, tag: SYNTH } => {
                if let Some(synth) = &mut self.synth {
                    synth.open_failed(&error, now);
                }
            }
            Event::Connected { conn, .. } => {
                if let Some(conn) = self.board.as_mut().and_then(Hardware::katcp).and_then(|board| board.connected(conn, now)) {
                    fx.push(Effect::Abort { conn });
                }
            }
            Event::ConnectFailed { error, .. } => {
                if let Some(board) = self.board.as_mut().and_then(Hardware::katcp) {
                    board.connect_failed(&error, now);
                }
            }
            Event::Timer { key } => self.timer(key, now, fx),
            Event::ClockSet => {
                log::warn!("the wall clock was set to {} UTC", now.utc);
                self.player.tick(now);
            }
            Event::Done(Ok(node_work::Done::Role(done))) => self.work_done(done, now, fx),
            Event::Done(Err(lost)) => self.work_lost(lost, now, fx),
            Event::Signal(request) => self.signal(request, now, fx),
            // The desk's, which it has taken.
            Event::Listening { .. }
            | Event::ListenFailed { .. }
            | Event::Accepted { .. }
            | Event::Congested { .. }
            | Event::Drained { .. }
            | Event::Done(Ok(_))
            // The programs' likewise.
            | Event::ChildStarted { .. }
            | Event::SpawnFailed { .. }
            | Event::ChildLine { .. }
            | Event::ChildInputClosed { .. }
            | Event::ChildExited { .. } => {}
        }
    }
}

impl App for PlayerNode {
    type Job = Job;
    type Done = Done;

    fn start(&mut self, now: Now, fx: &mut Effects<Job>) {
        self.desk.start(fx);
        let hosts = std::mem::take(&mut self.hosts);
        if !self.look_up(hosts, fx) {
            self.player.handle(Input::Hosts(Vec::new()), now);
        }
        if let Some(board) = &mut self.board {
            board.start(now);
        }
        if let Some(synth) = &mut self.synth {
            synth.tick(now);
        }
        Self::look_at_clock(fx);
        self.settle(now, fx);
    }

    fn handle(&mut self, event: Event<'_, Done>, now: Now, fx: &mut Effects<Job>) {
        if let Some(event) = self.desk.handle(event, now, fx) {
            match helper::take(event) {
                Ok(fact) => fact.into_iter().for_each(|fact| self.player.handle(fact, now)),
                Err(event) => match self.programs.handle(event, now, fx) {
                    Ok(facts) => facts.into_iter().for_each(|fact| self.player.handle(fact, now)),
                    Err(event) => self.role_event(event, now, fx),
                },
            }
        }
        self.settle(now, fx);
    }

    fn name_of(job: &Job) -> JobName {
        node_work::name_of(job, work::name_of)
    }

    fn work(job: Job) -> Done {
        node_work::work(job, work::work)
    }
}

fn understand(method: &'static Method, bound: Bound) -> Result<PlayerCall, CallError> {
    PlayerCall::from_bound(method, &bound)
}

/// A start that waits for its turn is over with a `stop` that comes later.
fn takes_back(urgent: &Method, queued: &Method) -> bool {
    urgent.name == "stop" && queued.interface == urgent.interface && queued.cancellable
}

/// Orders that change hardware wait for the plan's entry in the record.
fn lane(output: &Output) -> Option<usize> {
    let hardware = match output {
        Output::Fpga { .. }
        | Output::Synth { .. }
        | Output::Spawn { .. }
        | Output::Line { .. }
        | Output::CloseInput { .. }
        | Output::Signal { .. }
        | Output::RunHelper(_)
        | Output::KillHelper => true,
        Output::Status { order, .. } => !matches!(order, StatusOrder::Read(_)),
        Output::Buffers { order, .. } => !order.look_only,
        _ => false,
    };
    hardware.then_some(BANK_LANE)
}

/// A synthesizer behind the board needs the board.
fn has_synth(bank: &Bank) -> bool {
    bank.synth.as_ref().is_some_and(|s| bank.has_roach || s.where_ == SynthAt::Local)
}

/// The hosts of the ARP table.
fn mac_hosts(dibas: &Dibas) -> Vec<String> {
    dibas.hpc_macs.iter().map(|m| m.host.clone()).collect()
}

/// Every host name a mode of this bank may need.
fn hosts_of(dibas: &Dibas, bank: &Bank) -> Vec<String> {
    let mut hosts = mac_hosts(dibas);
    hosts.extend(bank.data_source_host.clone());
    hosts.push(bank.data_destination_host.clone());
    hosts.retain(|h| !h.is_empty());
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}
