//! The node of a dealer proxy: connections to players around [`crate::dealer`].

pub mod links;
pub mod work;

use super::desk::{Ask, Desk, DeskConfig, Trade};
use super::dialing::Place;
use super::leases::Lease;
use super::timers::Timers;
use super::work as node_work;
use crate::api::bind::Bound;
use crate::api::remote::Remotes;
use crate::api::table::Table;
use crate::api::{Call, CallError, Method};
use crate::dealer::Dealer;
use crate::dealer::lease::Held;
use crate::dealer::link::Protocol;
use crate::dealer::messages::{Index, Input, Output};
use crate::dealer::methods::{self, DealerCall};
use crate::dealer::roster::Roster;
use crate::dealer::rules::Rules;
use crate::dealer::saved::Saved;
use crate::reactor::{App, ConnId, Effect, Effects, Event, JobName, Request, TimerKey, When};
use crate::record::RecordFile;
use crate::units::Now;
use crate::value::Value;
use links::Links;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Blocking work of this node.
pub type Job = node_work::Job<work::Job>;
/// What became of it.
pub type Done = node_work::Done<work::Done>;

const ROLE: TimerKey = TimerKey(1);
/// Who waits until players have been given back their leases: the end.
const STOPPING: u64 = u64::MAX;

/// What a node of a dealer proxy is made of.
pub struct DealerNodeConfig {
    /// Ports, rights, record.
    pub desk: DeskConfig,
    /// Name of this proxy, for clients.
    pub name: String,
    /// Players and where they answer, in the order of the roster.
    pub places: Vec<(String, Place, Protocol)>,
    /// Host names with addresses given by configuration.
    pub resolve: Vec<(String, Ipv4Addr)>,
    /// `bank`, `bank.roach`, `bank.valon` are those of the first active player.
    pub alias: bool,
    /// The scan journal, if kept.
    pub journal: Option<RecordFile>,
    /// What a proxy after this one must know, if kept.
    pub state_file: Option<PathBuf>,
}

/// A dealer proxy with everything around it.
pub struct DealerNode {
    desk: Desk<DealerCall, Output>,
    role: Dealer,
    links: Links,
    remotes: Remotes,
    stopping: bool,
    alias: bool,
    journal: Option<RecordFile>,
    state_file: Option<PathBuf>,
    timers: Timers,
}

impl DealerNode {
    /// Puts a node together.
    pub fn new(config: DealerNodeConfig, roster: Roster, rules: Rules, now: Now) -> DealerNode {
        let mut remotes = Remotes::default();
        let links = Links::new(config.places, config.resolve, &config.name, now);
        let trade = Trade {
            role: "dealer-proxy",
            node: config.name,
            table: table(&roster, config.alias, &mut remotes),
            understand,
            lane_of: |_| None,
            takes_back: |_, _| false,
        };
        let mut desk = Desk::new(config.desk, trade);
        desk.pass_control_on();
        DealerNode {
            desk,
            role: Dealer::new(roster, rules),
            links,
            remotes,
            stopping: false,
            alias: config.alias,
            journal: config.journal,
            state_file: config.state_file,
            timers: Timers::default(),
        }
    }

    /// Passes on everything that has become due, until nothing moves; then sets the timers.
    fn settle(&mut self, now: Now, fx: &mut Effects<Job>) {
        loop {
            let mut moved = false;
            while let Some(output) = self.role.poll() {
                self.carry_out(output, now, fx);
                moved = true;
            }
            for (player, event) in self.links.pump(now, fx) {
                self.role.handle(Input::Link { player, event }, now);
                moved = true;
            }
            moved |= self.pump_desk(now, fx);
            if !moved {
                break;
            }
        }
        self.timers.want(ROLE, self.role.deadline().map(When::Mono), fx);
        self.desk.settle(fx);
    }

    /// The role puts writes in order itself, player by player: it takes every call at once.
    fn pump_desk(&mut self, now: Now, fx: &mut Effects<Job>) -> bool {
        if let Some(held) = self.desk.control_news(now, fx) {
            self.role.set_control(held);
            let (lease, waiting) = self.desk.control_to_pass(now);
            self.role.handle(Input::Control { held: lease.map(held_of), waiting }, now);
            return true;
        }
        let input = match self.desk.next(true, now, fx) {
            None => return false,
            Some(Ask::Call(ticket, call)) => {
                self.desk.defer(ticket);
                let who = match (self.desk.who_of(ticket), self.desk.conn_of(ticket)) {
                    ("", Some(conn)) => nameless(conn),
                    (who, _) => who.to_owned(),
                };
                Input::Call { ticket, call, who }
            }
            Some(Ask::Cancel(ticket)) => Input::Cancel { ticket },
        };
        self.role.handle(input, now);
        true
    }

    fn carry_out(&mut self, output: Output, now: Now, fx: &mut Effects<Job>) {
        match output {
            Output::Reply { ticket, outcome } => self.desk.reply(ticket, outcome, now, fx),
            Output::Turn(ticket) => {
                let go = self.desk.begin(ticket, now);
                self.role.handle(Input::Turn { ticket, go }, now);
            }
            Output::Ask { player, id, call, lane, within } => {
                self.links.ask(player, id, call, lane, within, now);
            }
            Output::Abandon { player, id } => self.links.abandon(player, id, now),
            Output::ControlPassed { waiting, .. } if waiting.contains(&STOPPING) => {
                fx.push(Effect::Exit { code: 0 });
            }
            Output::ControlPassed { waiting, players } => {
                self.desk.control_passed(&waiting, &players, now, fx);
            }
            Output::Save(saved) => self.save(saved, now, fx),
            Output::ControlBinds(binding) => self.desk.bind_others(binding),
            Output::Journal(line) => self.write_journal(&line, fx),
            Output::Changed => {
                let role = &self.role;
                self.desk.publish("snapshot", || role.snapshot(now), now, fx);
            }
            Output::Methods(player) => self.learn(player),
        }
    }

    /// Each is answered, in order.
    fn save(&mut self, saved: Saved, now: Now, fx: &mut Effects<Job>) {
        match self.state_file.clone() {
            Some(path) => {
                let job = Job::Role(work::Job::Save { path, saved });
                fx.push(Effect::Work { worker: node_work::RECORDER, job });
            }
            None => self.role.handle(Input::Saved, now),
        }
    }

    /// Goes on where a proxy before this one has left off; before the loop.
    pub fn restore(&mut self, saved: &Saved, now: Now) {
        self.role.restore(saved, now);
    }

    fn write_journal(&mut self, line: &Value, fx: &mut Effects<Job>) {
        let Some(file) = self.journal.clone() else { return };
        match crate::proto::json::to_text(line) {
            Ok(text) => {
                let job = Job::Role(work::Job::Journal { file, line: format!("{text}\n") });
                fx.push(Effect::Work { worker: node_work::CLERK, job });
            }
            Err(e) => log::error!("a scan cannot be written into the journal: {e}"),
        }
    }

    /// A player's methods become those of its interfaces here.
    fn learn(&mut self, player: Index) {
        let roster = self.role.roster();
        let name = roster.name(player).to_owned();
        let first = roster.active("").first() == Some(&player);
        let methods = roster.seat(player).methods.clone();
        for (suffix, of) in [("", "bank"), (".roach", "bank.roach"), (".valon", "bank.valon")] {
            let mut interfaces = vec![format!("{name}{suffix}")];
            if self.alias && first {
                interfaces.push(of.to_owned());
            }
            for interface in interfaces {
                let interface = self.remotes.name(&interface);
                let here = methods.iter().filter(|m| m.interface == of);
                let here = here.filter_map(|m| self.remotes.method(interface, &m.description)).collect();
                self.desk.table_mut().replace_interface(interface, here);
            }
        }
    }

    fn signal(&mut self, request: Request, now: Now, fx: &mut Effects<Job>) {
        match request {
            // Players go on by themselves: nothing is to be ended but our control of them.
            Request::Stop { .. } if !self.stopping => {
                log::info!("stopping; the players go on");
                self.stopping = true;
                self.role.handle(Input::Control { held: None, waiting: vec![STOPPING] }, now);
            }
            // The next proxy gives back what it finds in the file.
            Request::Stop { .. } | Request::HandOver => fx.push(Effect::Exit { code: 0 }),
            Request::Reload => {
                log::warn!("the configuration of a dealer proxy is read at start only: restart it")
            }
            Request::Dump => match crate::proto::json::to_text(&self.role.snapshot(now)) {
                Ok(text) => log::info!("state: {text}"),
                Err(e) => log::error!("state cannot be shown: {e}"),
            },
        }
    }

    fn timer(&mut self, key: TimerKey, now: Now) {
        if !self.links.timer(key, now) {
            self.timers.fired(key);
            self.role.tick(now);
        }
    }

    /// What is not the desk's.
    fn role_event(&mut self, event: Event<'_, Done>, now: Now, fx: &mut Effects<Job>) {
        match event {
            Event::Received { conn, bytes } => self.links.received(conn, bytes, now),
            Event::Closed { conn, reason } => self.links.closed(conn, &reason, now),
            Event::Connected { tag, conn } => {
                if let Some(conn) = self.links.connected(tag, conn, now) {
                    fx.push(Effect::Abort { conn });
                }
            }
            Event::ConnectFailed { tag, error } => self.links.connect_failed(tag, &error, now),
            Event::Timer { key } => self.timer(key, now),
            Event::Done(Ok(node_work::Done::Resolved { host, port, address })) => {
                self.links.resolved(&host, port, &address, now, fx);
            }
            Event::Done(Ok(node_work::Done::Role(work::Done::Written { error: Some(why) }))) => {
                log::error!("the scan journal is not written: {why}");
            }
            Event::Done(Ok(node_work::Done::Role(work::Done::Saved { error }))) => {
                if let Some(why) = error {
                    log::error!("the state was not saved, a restart would not know of it: {why}");
                }
                self.role.handle(Input::Saved, now);
            }
            Event::Done(Err(lost)) if lost.job.kind == work::SAVE => self.role.handle(Input::Saved, now),
            // A lookup that is not answered would never be asked again.
            Event::Done(Err(lost)) if lost.job.kind == node_work::LOOK_UP => {
                self.links.lookup_lost(&lost.why, now);
            }
            Event::Signal(request) => self.signal(request, now, fx),
            Event::ClockSet => {
                log::warn!("the wall clock was set to {} UTC", now.utc);
                self.role.handle(Input::ClockSet, now);
            }
            _ => {}
        }
    }
}

impl App for DealerNode {
    type Job = Job;
    type Done = Done;

    fn start(&mut self, now: Now, fx: &mut Effects<Job>) {
        self.desk.start(fx);
        self.links.start(now);
        self.settle(now, fx);
    }

    fn handle(&mut self, event: Event<'_, Done>, now: Now, fx: &mut Effects<Job>) {
        if let Event::Closed { conn, .. } = event {
            self.role.client_gone(&nameless(conn));
        }
        if let Some(event) = self.desk.handle(event, now, fx) {
            self.role_event(event, now, fx);
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

/// Session of a client that has given itself no name: no name can have a space at its begin.
fn nameless(conn: ConnId) -> String {
    format!(" {}", conn.0)
}

fn held_of(lease: Lease) -> Held {
    Held { until: lease.until(), token: lease.token, who: lease.who, purpose: lease.purpose }
}

/// The interfaces of all players are there before the players are.
fn table(roster: &Roster, alias: bool, remotes: &mut Remotes) -> Table {
    let mut table = methods::table();
    let own = roster.all().map(|p| (roster.name(p).to_owned(), p));
    let first = roster.active("").first().filter(|_| alias).map(|p| ("bank".to_owned(), *p));
    for (name, player) in own.chain(first) {
        // In the words of the reference, which it meant to use: scripts look for them.
        let lost = remotes.name(&format!("Lost connection to server for {}.", roster.name(player)));
        for suffix in ["", ".roach", ".valon"] {
            table = table.with_awaited(remotes.name(&format!("{name}{suffix}")), lost);
        }
    }
    table
}

/// A call of `dealer`, or of a player's own interface, which is passed on as it is.
fn understand(method: &'static Method, bound: Bound) -> Result<DealerCall, CallError> {
    if method.interface == methods::INTERFACE {
        return methods::call(method, bound);
    }
    let (player, rest) = match method.interface.split_once('.') {
        Some((player, rest)) => (player, format!("bank.{rest}")),
        None => (method.interface, "bank".to_owned()),
    };
    let call = Call {
        interface: rest,
        method: method.name.to_owned(),
        args: bound.to_args(method, &[]),
        kwargs: bound.keywords().to_vec(),
    };
    let player = (player != "bank").then(|| player.to_owned());
    Ok(DealerCall::Pass { player, call, class: method.class })
}
