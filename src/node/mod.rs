//! The composition root: sessions, role and call table put together, for the loop to drive.
//!
//! ```text
//!   bytes ─► faces ─► calls (recorded, in turn) ─► player ─► orders ─► board, status memory, children
//!     ▲                                              │
//!     └───────────────── replies ◄───────────────────┘
//! ```
//!
//! [`PlayerNode`] is pure: events and time in, effects out. It routes and translates; decisions are
//! the player's. After every event everything that has become due is passed on until nothing moves.

pub mod access;
pub mod board;
pub mod calls;
pub mod faces;
pub mod recorder;
pub mod status_port;
pub mod work;

use crate::api::bind::bind;
use crate::api::table::Table;
use crate::api::{Call, CallError, Class, Family, Outcome, builtin};
use crate::config::dibas::{Bank, Dibas};
use crate::fpga::FpgaError;
use crate::plan::Child;
use crate::player::bank::{Input, Output, Player, Ticket};
use crate::player::config::PlayerConfig;
use crate::player::methods::{self, PlayerCall};
use crate::proto::rpc_frame::Hello;
use crate::reactor::{
    App, CloseReason, ConnId, Effect, Effects, Event, Request, Stream, Tag, TimerKey, When,
};
use crate::record::{self, RecordFile};
use crate::shm::StatusMemory;
use crate::units::Now;
use crate::value::Value;
use access::{Access, Right};
use board::Board;
use calls::{Calls, Turn};
use faces::{FaceEvent, Faces, Port};
use recorder::{Recorder, Waiting};
use status_port::StatusPort;
use std::path::PathBuf;
use work::{Announce, Done, Job};

const DAQ: Tag = Tag(10);
const FITS_WRITER: Tag = Tag(11);
const BOARD: Tag = Tag(20);
const PLAYER_MONO: TimerKey = TimerKey(1);
const PLAYER_UTC: TimerKey = TimerKey(2);
const STATUS: TimerKey = TimerKey(3);
const BOARD_TIMER: TimerKey = TimerKey(4);
const RECORD: TimerKey = TimerKey(5);

/// What a node of a player is made of.
pub struct NodeConfig {
    /// Ports to listen on.
    pub ports: Vec<Port>,
    /// Who may do what.
    pub access: Access,
    /// Execute writes whose client has gone.
    pub execute_abandoned: bool,
    /// The append-only record, if kept.
    pub record: Option<RecordFile>,
    /// Whom to tell the bound addresses.
    pub announce: Option<Announce>,
    /// Host names with addresses given by configuration.
    pub resolve: Vec<(String, std::net::Ipv4Addr)>,
    /// Look up other names in /etc/hosts and DNS (a simulation does not).
    pub resolve_elsewhere: bool,
    /// The site's configuration file, for reloading; `None`: the built-in example.
    pub dibas_conf: Option<PathBuf>,
}

/// A player with everything around it.
pub struct PlayerNode {
    config: NodeConfig,
    table: Table,
    faces: Faces,
    calls: Calls,
    player: Player,
    status: StatusPort,
    board: Option<Board>,
    hosts: Vec<String>,
    recorder: Recorder,
    record_failing: bool,
    /// Calls that wait for the configuration to be read.
    readings: Vec<Ticket>,
    timers: [(TimerKey, Option<When>); 5],
}

impl PlayerNode {
    /// Puts a node together. `board`: the link to the ROACH, for banks that have one.
    pub fn new(
        config: NodeConfig,
        player_config: PlayerConfig,
        dibas: Dibas,
        bank: Bank,
        status: Result<StatusMemory, String>,
        board: Option<Board>,
        now: Now,
    ) -> PlayerNode {
        let table = methods::table();
        let hosts = hosts_of(&dibas, &bank);
        let hello = Hello::of("player", &bank.name);
        let player = Player::new(player_config, dibas, bank, true, now);
        let calls = Calls::new(config.execute_abandoned);
        PlayerNode {
            faces: Faces::new(config.ports.clone(), config.access.clone(), hello),
            table,
            calls,
            player,
            status: StatusPort::new(status),
            board,
            hosts,
            recorder: Recorder::default(),
            record_failing: false,
            readings: Vec::new(),
            timers: [
                (PLAYER_MONO, None),
                (PLAYER_UTC, None),
                (STATUS, None),
                (BOARD_TIMER, None),
                (RECORD, None),
            ],
            config,
        }
    }

    /// The status memory, when the node has ended.
    pub fn into_status(self) -> Option<StatusMemory> {
        self.status.into_memory()
    }

    /// Passes on everything that has become due, until nothing moves; then sets the timers.
    fn settle(&mut self, now: Now, fx: &mut Effects<Job>) {
        loop {
            let mut moved = false;
            while let Some(output) = self.recorder.release() {
                self.carry_out(output, now, fx);
                moved = true;
            }
            while let Some(output) = self.player.poll() {
                if let Some(output) = self.recorder.hold(output) {
                    self.carry_out(output, now, fx);
                }
                moved = true;
            }
            for (key, answer) in self.status.pump(now) {
                self.player.handle(Input::Status { key, answer }, now);
                moved = true;
            }
            moved |= self.pump_board(now, fx);
            moved |= self.pump_calls(now, fx);
            if !moved {
                break;
            }
        }
        self.set_timers(fx);
    }

    fn set_timers(&mut self, fx: &mut Effects<Job>) {
        let due = self.player.deadlines();
        let wanted = [
            due.mono.map(When::Mono),
            due.utc.map(When::Utc),
            self.status.deadline().map(When::Mono),
            self.board.as_ref().and_then(Board::deadline).map(When::Mono),
            self.recorder.deadline().map(When::Mono),
        ];
        for ((key, set), want) in self.timers.iter_mut().zip(wanted) {
            if *set != want {
                *set = want;
                match want {
                    Some(at) => fx.set_timer(*key, at),
                    None => fx.cancel_timer(*key),
                }
            }
        }
    }

    // ------------------------------------------------------------------ calls

    /// What a session asks. What it says to the answer, if there is one at once, is drained by the caller.
    fn face_event(&mut self, event: FaceEvent, now: Now, fx: &mut Effects<Job>) {
        match event {
            FaceEvent::ListMethods { conn, seq, interface } => {
                let methods = self.table.list_methods(&interface);
                self.faces.reply(conn, seq, Ok(methods), now);
            }
            FaceEvent::Cancel { conn, seq } => self.cancel(conn, seq, now),
            FaceEvent::Call { conn, seq, call } => {
                if let Err(error) = self.admit(conn, seq, call, now, fx) {
                    self.faces.reply(conn, seq, Err(error), now);
                }
            }
        }
    }

    fn admit(
        &mut self,
        conn: ConnId,
        seq: u64,
        call: Call,
        now: Now,
        fx: &mut Effects<Job>,
    ) -> Result<(), CallError> {
        let method = self.table.find(&call.interface, &call.method)?;
        let (peer, right) = self.faces.peer(conn).map_or(("", Right::Nothing), |(p, r)| (p, r));
        if method.class != Class::Read && right != Right::Write {
            return Err(CallError::exception(format!(
                "{}.{} changes things, which is not allowed for {peer}: this port is read-only, or the address is not in listen.allow_write",
                method.interface, method.name
            )));
        }
        let entry = (method.class != Class::Read).then(|| (peer.to_owned(), call.clone()));
        let bound = bind(method, call)?;
        if method.interface == builtin::INTERFACE {
            let outcome = builtin::answer(&self.table, method, &bound);
            self.faces.reply(conn, seq, outcome, now);
            return Ok(());
        }
        let call = PlayerCall::from_bound(method.name, &bound)?;
        let ticket = self.calls.admit(conn, seq, method, call, now).ok_or_else(|| {
            CallError::exception(format!(
                "busy: {} writes already wait{}",
                calls::QUEUE_MAX,
                self.player.job_title().map(|t| format!(" behind {t}")).unwrap_or_default()
            ))
        })?;
        match entry {
            Some((peer, call)) => self.record_call(ticket, &peer, call, now, fx),
            None => self.start_immediate(ticket, now),
        }
        Ok(())
    }

    fn record_call(&mut self, ticket: Ticket, peer: &str, call: Call, now: Now, fx: &mut Effects<Job>) {
        let fields = vec![
            ("id".into(), Value::Int(ticket.0 as i64)),
            ("peer".into(), peer.into()),
            ("method".into(), Value::Str(format!("{}.{}", call.interface, call.method))),
            ("args".into(), record::shortened(&Value::List(call.args))),
            ("kwargs".into(), record::shortened(&Value::Map(call.kwargs))),
        ];
        if !self.record("call", fields, Some(Waiting::Call(ticket)), now, fx) {
            self.recorded(ticket, now);
        }
    }

    /// Hands an entry to the recorder. `false`: no record is kept.
    fn record(
        &mut self,
        kind: &str,
        fields: Vec<(String, Value)>,
        waiting: Option<Waiting>,
        now: Now,
        fx: &mut Effects<Job>,
    ) -> bool {
        let Some(file) = self.config.record.clone() else { return false };
        let line = record::entry(now.utc, kind, fields);
        if let Some(waiting) = waiting {
            self.recorder.submitted(waiting, now);
        }
        fx.push(Effect::Work { worker: work::RECORDER, job: Job::Record { file, line, waiting } });
        true
    }

    fn recorded(&mut self, ticket: Ticket, now: Now) {
        self.calls.recorded(ticket);
        self.start_immediate(ticket, now);
    }

    /// An entry is written, or nobody waits for it any longer.
    fn no_longer_waiting(&mut self, waiting: Waiting, now: Now) {
        self.recorder.answered(waiting);
        if let Waiting::Call(ticket) = waiting {
            self.recorded(ticket, now);
        }
    }

    /// The recorder does not answer in time: go on without it, and say so.
    fn record_late(&mut self, now: Now) {
        for waiting in self.recorder.overdue(now) {
            log::error!("the record is not written in time; going on without it ({waiting:?})");
            self.no_longer_waiting(waiting, now);
        }
    }

    /// An answer of the recorder will not come: nothing may wait for it.
    fn record_lost(&mut self, now: Now) {
        for waiting in self.recorder.give_up() {
            self.no_longer_waiting(waiting, now);
        }
    }

    fn start_immediate(&mut self, ticket: Ticket, now: Now) {
        if let Some(call) = self.calls.immediate(ticket) {
            self.player.handle(Input::Call { ticket, call }, now);
        }
    }

    /// Gives the next write its turn when the player is idle.
    fn pump_calls(&mut self, now: Now, fx: &mut Effects<Job>) -> bool {
        if self.player.is_busy() {
            return false;
        }
        match self.calls.next_turn() {
            None => false,
            Some(Turn::Start(ticket, call)) => {
                self.player.handle(Input::Call { ticket, call }, now);
                true
            }
            Some(Turn::Drop(ticket)) => {
                log::warn!("call {} dropped: its client has gone", ticket.0);
                self.record("dropped", vec![("id".into(), Value::Int(ticket.0 as i64))], None, now, fx);
                true
            }
        }
    }

    /// A client withdraws a call: only cancellable ones can be ended.
    fn cancel(&mut self, conn: ConnId, seq: u64, now: Now) {
        let Some(ticket) = self.calls.find(conn, seq) else { return };
        if self.calls.method(ticket).is_some_and(|m| m.cancellable) {
            self.player.handle(Input::Cancel { ticket }, now);
        }
    }

    fn reply(&mut self, ticket: Ticket, outcome: Outcome, now: Now, fx: &mut Effects<Job>) {
        let Some(call) = self.calls.close(ticket) else { return };
        if call.method.class != Class::Read {
            self.record("reply", calls::reply_fields(ticket, &call, &outcome, now), None, now, fx);
        }
        if let Some(conn) = call.conn {
            self.faces.reply(conn, call.seq, outcome, now);
            self.drain_face(conn, now, fx);
        }
    }

    /// Until the session has nothing more to say. A loop: a peer that sends a thousand requests at once must not
    /// decide how deep our stack is.
    fn drain_face(&mut self, conn: ConnId, now: Now, fx: &mut Effects<Job>) {
        loop {
            let events = self.faces.drain(conn, fx);
            if events.is_empty() {
                return;
            }
            for event in events {
                self.face_event(event, now, fx);
            }
        }
    }

    // ------------------------------------------------------------------ the player's orders

    fn carry_out(&mut self, output: Output, now: Now, fx: &mut Effects<Job>) {
        match output {
            Output::Reply { ticket, outcome } => self.reply(ticket, outcome, now, fx),
            Output::Fpga { key, op } => match &mut self.board {
                Some(board) => board.submit(key, op, now),
                None => {
                    // A bank without a board compiles no FPGA steps; an answer is better than a stuck plan.
                    let result = Err(FpgaError::Unsupported(format!("{op:?} without a board")));
                    self.player.handle(Input::Fpga { key, result }, now);
                }
            },
            Output::Status { key, order } => {
                if let Some((key, answer)) = self.status.order(key, order, now) {
                    self.player.handle(Input::Status { key, answer }, now);
                }
            }
            Output::Spawn { child, program } => fx.push(Effect::Spawn { tag: tag_of(child), program }),
            Output::Line { child, line } => {
                log::info!("{child} <- {}", line.trim_end());
                fx.push(Effect::WriteChild { tag: tag_of(child), bytes: line.into_bytes() });
            }
            Output::CloseInput { child } => fx.push(Effect::CloseChildInput { tag: tag_of(child) }),
            Output::Signal { child, signal } => fx.push(Effect::SignalChild { tag: tag_of(child), signal }),
            Output::Record(plan) => {
                let fields = match plan {
                    Value::Map(fields) => fields,
                    other => vec![("plan".to_owned(), other)],
                };
                self.record("plan", fields, Some(Waiting::Plan), now, fx);
            }
            Output::ReadConfig { ticket } => self.read_config(Some(ticket), now, fx),
            Output::Changed => {
                let player = &self.player;
                for conn in self.faces.publish("player_state", || player.describe(now), now) {
                    self.drain_face(conn, now, fx);
                }
            }
            Output::Finished => fx.push(Effect::Exit { code: 0 }),
        }
    }

    fn pump_board(&mut self, now: Now, fx: &mut Effects<Job>) -> bool {
        let Some(board) = &mut self.board else { return false };
        let inputs = board.pump(BOARD, &self.config.resolve, now, fx);
        let moved = !inputs.is_empty();
        for input in inputs {
            self.player.handle(input, now);
        }
        moved
    }

    // ------------------------------------------------------------------ workers

    fn work_done(&mut self, done: Done, now: Now, fx: &mut Effects<Job>) {
        match done {
            Done::Recorded { waiting, error } => {
                if error.is_some() != self.record_failing {
                    match &error {
                        Some(e) => log::error!("the record cannot be written, calls go on without it: {e}"),
                        None => log::info!("the record is written again"),
                    }
                    self.record_failing = error.is_some();
                }
                if let Some(waiting) = waiting {
                    self.no_longer_waiting(waiting, now);
                }
            }
            Done::Resolved { hosts } => {
                for (name, _) in hosts.iter().filter(|(_, ip)| ip.is_none()) {
                    log::warn!(
                        "host '{name}' of dibas.conf has no known address; modes that need it will say so"
                    );
                }
                self.player.handle(Input::Hosts(hosts), now);
            }
            Done::BoardResolved { host, address } => {
                if let Some(board) = &mut self.board {
                    board.resolved(&host, address, BOARD, now, fx);
                }
            }
            Done::ConfigRead { ticket, result } => self.config_read(ticket, result, now, fx),
            Done::Announced { error } => {
                if let Some(e) = error {
                    log::warn!("the bound addresses could not be announced: {e}");
                }
            }
        }
    }

    fn read_config(&mut self, ticket: Option<Ticket>, now: Now, fx: &mut Effects<Job>) {
        match self.config.dibas_conf.clone() {
            Some(path) => {
                self.readings.extend(ticket);
                fx.push(Effect::Work { worker: work::CLERK, job: Job::ReadConfig { path, ticket } });
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
            self.reply(ticket, outcome, now, fx);
        }
    }

    fn signal(&mut self, request: Request, now: Now, fx: &mut Effects<Job>) {
        match request {
            Request::Stop { .. } => {
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

    fn connection_closed(&mut self, conn: ConnId, reason: &CloseReason, now: Now, fx: &mut Effects<Job>) {
        if self.faces.closed(conn, fx) {
            self.calls.forget(conn);
        } else if let Some(board) = &mut self.board {
            board.closed(conn, reason, now);
        }
    }
}

impl App for PlayerNode {
    type Job = Job;
    type Done = Done;

    fn start(&mut self, now: Now, fx: &mut Effects<Job>) {
        self.faces.listen(fx);
        let hosts = std::mem::take(&mut self.hosts);
        if !self.look_up(hosts, fx) {
            self.player.handle(Input::Hosts(Vec::new()), now);
        }
        if let Some(board) = &mut self.board {
            board.start(now);
        }
        self.settle(now, fx);
    }

    fn handle(&mut self, event: Event<'_, Done>, now: Now, fx: &mut Effects<Job>) {
        match event {
            Event::Listening { tag, address } => {
                if let (Some(text), Some(to)) = (self.faces.listening(tag, address), self.config.announce) {
                    fx.push(Effect::Work { worker: work::CLERK, job: Job::Announce { to, text } });
                }
            }
            Event::ListenFailed { address, error, .. } => {
                log::error!("cannot listen on {address:?}: {error}; is another player running on this port?");
                fx.push(Effect::Exit { code: 1 });
            }
            Event::Accepted { listener, conn, peer } => {
                self.faces.accepted(listener, conn, &peer, now, fx);
                self.drain_face(conn, now, fx);
            }
            Event::Received { conn, bytes } => {
                if self.faces.received(conn, bytes, now) {
                    self.drain_face(conn, now, fx);
                } else if let Some(board) = &mut self.board {
                    board.received(conn, bytes, now);
                }
            }
            Event::Congested { conn } => self.faces.set_congested(conn, true, now),
            Event::Drained { conn } => {
                self.faces.set_congested(conn, false, now);
                self.drain_face(conn, now, fx);
            }
            Event::Closed { conn, reason } => self.connection_closed(conn, &reason, now, fx),
            Event::Connected { conn, .. } => {
                if let Some(conn) = self.board.as_mut().and_then(|board| board.connected(conn, now)) {
                    fx.push(Effect::Abort { conn });
                }
            }
            Event::ConnectFailed { error, .. } => {
                if let Some(board) = &mut self.board {
                    board.connect_failed(&error, now);
                }
            }
            Event::Timer { key } => match self.faces.timer(key, now) {
                Some(conn) => self.drain_face(conn, now, fx),
                None => self.role_timer(key, now),
            },
            Event::ClockSet => {
                log::warn!("the wall clock was set to {} UTC", now.utc);
                self.player.tick(now);
            }
            Event::ChildStarted { tag, pid } => {
                self.player.handle(Input::ChildStarted { child: child_of(tag), pid }, now);
            }
            Event::SpawnFailed { tag, error } => {
                self.player.handle(Input::SpawnFailed { child: child_of(tag), error }, now);
            }
            Event::ChildLine { tag, stream, line } => {
                let level = if stream == Stream::Stderr { log::Level::Warn } else { log::Level::Info };
                log::log!(level, "{}: {}", child_of(tag), String::from_utf8_lossy(line));
            }
            Event::ChildInputClosed { tag } => {
                log::warn!("{} no longer reads commands", child_of(tag));
            }
            Event::ChildExited { tag, exit } => {
                self.player.handle(Input::ChildExited { child: child_of(tag), exit }, now);
            }
            Event::Done(Ok(done)) => self.work_done(done, now, fx),
            Event::Done(Err(panic)) => {
                log::error!("a worker failed: {panic}");
                self.work_lost(&panic, now, fx);
            }
            Event::Signal(request) => self.signal(request, now, fx),
        }
        self.settle(now, fx);
    }

    fn work(job: Job) -> Done {
        work::work(job)
    }
}

impl PlayerNode {
    /// Addresses of hosts: those of the configuration are known at once, the others are asked for unless this
    /// node does not ask (`false`).
    fn look_up(&mut self, hosts: Vec<String>, fx: &mut Effects<Job>) -> bool {
        let given = |host: &str| {
            self.config.resolve.iter().find(|(n, _)| n.eq_ignore_ascii_case(host)).map(|(_, ip)| *ip)
        };
        let with_address = hosts.into_iter().map(|host| {
            let address = given(&host);
            (host, address)
        });
        let (known, unknown): (Vec<_>, Vec<_>) = with_address.partition(|(_, ip)| ip.is_some());
        self.player.learn_hosts(known);
        let hosts = unknown.into_iter().map(|(host, _)| host).collect();
        if self.config.resolve_elsewhere {
            fx.push(Effect::Work { worker: work::RESOLVER, job: Job::Resolve { hosts } });
        }
        self.config.resolve_elsewhere
    }

    /// Which job a worker lost is not known: whoever waits for one is told, and nobody waits for ever.
    fn work_lost(&mut self, why: &str, now: Now, fx: &mut Effects<Job>) {
        self.record_lost(now);
        for ticket in std::mem::take(&mut self.readings) {
            let text = format!("the configuration was not read: {why}");
            self.reply(
                ticket,
                Err(CallError::new(crate::api::ErrorClass::Exception, Family::Environment, text)),
                now,
                fx,
            );
        }
        if let Some(board) = &mut self.board {
            board.lookup_lost(why, now);
        }
    }

    fn role_timer(&mut self, key: TimerKey, now: Now) {
        if let Some((_, set)) = self.timers.iter_mut().find(|(k, _)| *k == key) {
            *set = None;
        }
        match key {
            PLAYER_MONO | PLAYER_UTC => self.player.tick(now),
            BOARD_TIMER => {
                if let Some(board) = &mut self.board {
                    board.tick(now);
                }
            }
            RECORD => self.record_late(now),
            // Orders that wait for the lock are tried again by `settle`.
            _ => {}
        }
    }
}

fn tag_of(child: Child) -> Tag {
    match child {
        Child::Daq => DAQ,
        Child::FitsWriter => FITS_WRITER,
    }
}

fn child_of(tag: Tag) -> Child {
    if tag == FITS_WRITER { Child::FitsWriter } else { Child::Daq }
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
