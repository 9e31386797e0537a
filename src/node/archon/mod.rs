//! The node of the role `archon`: links, file workers and hooks around [`crate::archon::role`].
//!
//! ```text
//!   calls ─► desk ─► role ─► commands (after their procedure is in the record) ─► links ─► controllers
//!                     │ ▲                                                           │
//!      file workers ◄─┘ └───────────────── replies, pieces of a frame ◄─────────────┘
//! ```

pub mod files;
pub mod hooks;
pub mod links;
pub mod news;
pub mod work;

use super::desk::{Ask, Desk, DeskConfig, Trade};
use super::timers::Timers;
use super::work as node_work;
use crate::archon::methods::{self, ArchonCall};
use crate::archon::role::{Archon, FileKey, Index, Input, Output, RoleConfig};
use crate::reactor::{App, Effect, Effects, Event, JobName, Lost, Request, TimerKey, When};
use crate::session::archon_link::{self, LinkError, LinkEvent};
use crate::units::Now;
use files::Files;
use links::{Links, Place};
use std::net::Ipv4Addr;

const ROLE: TimerKey = TimerKey(1);

/// Blocking work of this node.
pub type Job = node_work::Job<work::Job>;
/// What became of it.
pub type Done = node_work::Done<work::Done>;

/// What a node of the role `archon` is made of.
pub struct ArchonNodeConfig {
    /// Ports, rights, record.
    pub desk: DeskConfig,
    /// The role and its controllers.
    pub role: RoleConfig,
    /// Times and bounds of the links; each gets a seed of its own.
    pub link: archon_link::Config,
    /// Host names with addresses given by configuration.
    pub resolve: Vec<(String, Ipv4Addr)>,
}

/// The role with everything around it.
pub struct ArchonNode {
    desk: Desk<ArchonCall, Output>,
    role: Archon,
    links: Links,
    files: Files,
    timers: Timers,
}

impl ArchonNode {
    /// Puts a node together.
    pub fn new(config: ArchonNodeConfig, now: Now) -> ArchonNode {
        let entries: Vec<_> = config.role.controllers.iter().map(|c| c.entry.clone()).collect();
        let names: Vec<String> = entries.iter().map(|e| e.name.clone()).collect();
        let trade = Trade {
            role: "archon",
            node: config.role.site.actor.name.clone(),
            table: methods::table(&names),
            understand: methods::call,
            lane_of: lane,
            takes_back: |_, _| false,
        };
        let link = |(entry, i): (crate::config::archon::ControllerEntry, u64)| {
            let seed = config.link.seed.wrapping_add(i);
            let place = Place { name: entry.name, host: entry.host, port: entry.port };
            (place, archon_link::Config { seed, ..config.link.clone() })
        };
        let links = Links::new(entries.into_iter().zip(0..).map(link).collect(), config.resolve);
        ArchonNode {
            desk: Desk::new(config.desk, trade),
            role: Archon::new(config.role, now),
            links,
            files: Files::default(),
            timers: Timers::default(),
        }
    }

    /// Passes on everything that has become due, until nothing moves; then sets the timers.
    fn settle(&mut self, now: Now, fx: &mut Effects<Job>) {
        loop {
            let mut moved = false;
            while let Some(output) = self.desk.release() {
                self.carry_out(output, now, fx);
                moved = true;
            }
            while let Some(output) = self.role.poll() {
                if let Some(output) = self.desk.hold(output) {
                    self.carry_out(output, now, fx);
                }
                moved = true;
            }
            for (controller, event) in self.links.pump(now, fx) {
                self.link_event(controller, event, now);
                moved = true;
            }
            moved |= self.pump_desk(now, fx);
            if !moved {
                break;
            }
        }
        self.timers.want(ROLE, self.role.deadline().map(When::Mono), fx);
        for (key, want) in self.links.deadlines() {
            self.timers.want(key, want, fx);
        }
        self.desk.settle(fx);
    }

    /// Gives the role one call at a time: what it orders first goes out first.
    fn pump_desk(&mut self, now: Now, fx: &mut Effects<Job>) -> bool {
        if let Some(held) = self.desk.control_news(now, fx) {
            self.role.set_control(held);
            return true;
        }
        let input = match self.desk.next(self.role.idle(), now, fx) {
            None => return false,
            Some(Ask::Call(ticket, call)) => Input::Call { ticket, call },
            Some(Ask::Cancel(ticket)) => Input::Cancel { ticket },
        };
        self.role.handle(input, now);
        true
    }

    /// A connection's beginning and end are the end of every command that has not left: it was meant for the
    /// controller as it was known then.
    fn link_event(&mut self, controller: Index, event: LinkEvent, now: Now) {
        let why = match &event {
            LinkEvent::Up => Some("the connection is new"),
            LinkEvent::Down { why } => Some(why.as_str()),
            _ => None,
        };
        if let Some(why) = why.map(str::to_owned) {
            for order in self.desk.withdraw(controller.0) {
                if let Output::Command { token, command, .. } = order {
                    let down = LinkError::Down { command: command.text(), why: why.clone(), sent: false };
                    let event = LinkEvent::Reply { token, result: Err(down) };
                    self.role.handle(Input::Link { controller, event }, now);
                }
            }
        }
        self.role.handle(Input::Link { controller, event }, now);
    }

    // ------------------------------------------------------------------ the role's orders

    fn carry_out(&mut self, output: Output, now: Now, fx: &mut Effects<Job>) {
        match output {
            Output::Reply { ticket, outcome } => self.desk.reply(ticket, outcome, now, fx),
            Output::Say { ticket, level, body } => {
                let call = ticket.map(|t| self.desk.call_name(t));
                news::log(call.as_deref(), level, &body);
                let (topic, event) = news::event(ticket, level, body);
                self.desk.publish(topic, || event, now, fx);
            }
            Output::Command { controller, token, command } => {
                self.links.submit(controller, token, command, now);
            }
            Output::Record { controller, entry } => {
                let entry = news::of_controller(entry, self.links.name(controller));
                self.desk.enter_procedure(controller.0, entry, now, fx);
            }
            Output::Link { controller, open, why } => self.links.set_open(controller, open, &why, now),
            Output::Pause { controller, paused } => self.links.set_paused(controller, paused, now),
            Output::Recycle { controller, bytes } => self.links.recycle(controller, bytes),
            Output::File { key, lane, job } => {
                if let Some(why) = self.files.submit(key, lane, job, fx) {
                    self.role.handle(Input::File { key, done: Err(why) }, now);
                }
            }
            Output::SpawnHook(which, program) => hooks::spawn(which, program, fx),
            Output::TellHook(which, line) => hooks::tell(which, line, fx),
            Output::EndHook(which) => hooks::end(which, fx),
            Output::SignalHook(which, signal) => hooks::signal(which, signal, fx),
            Output::Changed => {
                let role = &self.role;
                self.desk.publish("state", || role.describe(now), now, fx);
            }
            Output::Finished => fx.push(Effect::Exit { code: 0 }),
        }
    }

    // ------------------------------------------------------------------ events

    fn file_done(&mut self, key: FileKey, done: Result<Box<crate::frames::jobs::Done>, String>, now: Now) {
        if self.files.done(key) {
            self.role.handle(Input::File { key, done }, now);
        }
    }

    /// A worker could not be had: whoever waits for a job of its kind is told.
    fn work_lost(&mut self, lost: &Lost, now: Now) {
        match lost.job.kind {
            work::FILE => {
                for key in self.files.give_up() {
                    self.role.handle(Input::File { key, done: Err(lost.why.clone()) }, now);
                }
            }
            node_work::LOOK_UP => self.links.lookup_lost(&lost.why, now),
            _ => {}
        }
    }

    fn signal(&mut self, request: Request, now: Now) {
        match request {
            // An exposure is finished in either case: its frame is in a box that nobody else reads out.
            Request::Stop { .. } | Request::HandOver => {
                log::info!("stopping");
                self.role.handle(Input::Shutdown, now);
            }
            Request::Reload => {
                log::warn!(
                    "archon.yml, limits and appliance.toml are read at start only (a controller must not \
                     change its rules in the middle of an exposure): restart to use a changed file"
                );
            }
            Request::Dump => match crate::proto::json::to_text(&self.role.describe(now)) {
                Ok(text) => log::info!("state: {text}"),
                Err(e) => log::error!("state cannot be shown: {e}"),
            },
        }
    }

    fn timer(&mut self, key: TimerKey, now: Now) {
        self.timers.fired(key);
        if !self.links.timer(key, now) {
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
            Event::ClockSet => {
                log::warn!("the wall clock was set to {} UTC", now.utc);
                self.role.tick(now);
            }
            Event::Done(Ok(node_work::Done::Role(work::Done { key, done }))) => {
                self.file_done(key, done, now);
            }
            Event::Done(Ok(node_work::Done::Resolved { host, port, address })) => {
                self.links.resolved(&host, port, &address, now, fx);
            }
            Event::Done(Err(lost)) => self.work_lost(&lost, now),
            Event::Signal(request) => self.signal(request, now),
            child => {
                if let Some(input) = hooks::heard(child) {
                    self.role.handle(input, now);
                }
            }
        }
    }
}

impl App for ArchonNode {
    type Job = Job;
    type Done = Done;

    fn start(&mut self, now: Now, fx: &mut Effects<Job>) {
        self.desk.start(fx);
        self.links.start(now);
        self.settle(now, fx);
    }

    fn handle(&mut self, event: Event<'_, Done>, now: Now, fx: &mut Effects<Job>) {
        if let Some(event) = self.desk.handle(event, now, fx) {
            self.role_event(event, now, fx);
        }
        self.settle(now, fx);
    }

    fn panicked(&mut self, text: &str, now: Now, fx: &mut Effects<Job>) {
        self.role.panicked(text, now);
        self.settle(now, fx);
    }

    fn name_of(job: &Job) -> JobName {
        node_work::name_of(job, work::name_of)
    }

    fn work(job: Job) -> Done {
        node_work::work(job, work::work)
    }
}

/// Commands that change a controller wait for their procedure's entry in the record.
fn lane(output: &Output) -> Option<usize> {
    match output {
        Output::Command { controller, command, .. } if !command.is_query() => Some(controller.0),
        _ => None,
    }
}
