//! The links to the controllers: names looked up, connections opened and dropped as each
//! [`ArchonLink`] wants, and bytes passed on.

use super::Job;
use super::work::{self, RESOLVER};
use crate::archon::role::Index;
use crate::proto::archon::Command;
use crate::reactor::{
    Address, CloseReason, ConnId, ConnectOptions, Effect, Effects, KeepAlive, Tag, TimerKey, When,
};
use crate::session::archon_link::{ArchonLink, Config, LinkEvent, Output, Token};
use crate::units::{Mono, Now};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The timer of the first link; the others count on.
const LINK_TIMER: u64 = 0x100;
/// Bits of a connection's tag that say which link; the others count its attempts, so that the answer to an
/// attempt that was given up is not taken for the next one's.
const LINK_BITS: u32 = 16;
/// A frame comes at the speed of the network: larger reads than from callers (see `benches`).
const READ_BUDGET: usize = 256 << 10;
/// The kernel goes on taking a frame while a file is synced, bytes.
const RECEIVE_BUFFER: usize = 4 << 20;
/// A controller whose power was cut says nothing: it counts as gone after 5 + 3 * 5 s.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(5), interval: Duration::from_secs(5), probes: 3 };

/// Where a controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// None, and none is wanted now.
    Closed,
    /// The host's name is being looked up, until then at the latest.
    LookingUp { timeout: Duration, until: Mono },
    /// Being opened.
    Opening,
    /// There.
    Open(ConnId),
}

struct Line {
    place: Place,
    link: ArchonLink,
    stage: Stage,
    attempt: u64,
    /// A lookup is at the resolver: another one would only wait behind it.
    asked: bool,
}

/// All links, in the order of the configuration.
pub struct Links {
    lines: Vec<Line>,
    /// Host names with addresses given by configuration.
    resolve: Vec<(String, Ipv4Addr)>,
}

impl Links {
    /// Nothing is connected yet.
    pub fn new(places: Vec<(Place, Config)>, resolve: Vec<(String, Ipv4Addr)>) -> Links {
        let line = |(place, config)| Line {
            place,
            link: ArchonLink::new(config),
            stage: Stage::Closed,
            attempt: 0,
            asked: false,
        };
        Links { lines: places.into_iter().map(line).collect(), resolve }
    }

    /// Begins to connect.
    pub fn start(&mut self, now: Now) {
        for line in &mut self.lines {
            line.link.tick(now);
        }
    }

    /// Name of a controller, for the record and the log.
    pub fn name(&self, controller: Index) -> &str {
        self.lines.get(controller.0).map_or("?", |l| l.place.name.as_str())
    }

    /// The link of a controller, for its orders.
    fn link(&mut self, controller: Index) -> Option<&mut ArchonLink> {
        self.lines.get_mut(controller.0).map(|l| &mut l.link)
    }

    /// Sends a command.
    pub fn submit(&mut self, controller: Index, token: Token, command: Command, now: Now) {
        if let Some(link) = self.link(controller) {
            link.submit(token, command, now);
        }
    }

    /// Opens the link (again), or leaves it closed.
    pub fn set_open(&mut self, controller: Index, open: bool, why: &str, now: Now) {
        let Some(link) = self.link(controller) else { return };
        if open {
            link.open(now);
        } else {
            link.close(why, now);
        }
    }

    /// The consumer of a fetch is (not) full.
    pub fn set_paused(&mut self, controller: Index, paused: bool, now: Now) {
        if let Some(link) = self.link(controller) {
            link.set_paused(paused, now);
        }
    }

    /// A piece of a fetch to be filled again.
    pub fn recycle(&mut self, controller: Index, bytes: Vec<u8>) {
        if let Some(link) = self.link(controller) {
            link.recycle(bytes);
        }
    }

    /// Passes on what the links want; what the role has to know, in order.
    pub fn pump(&mut self, now: Now, fx: &mut Effects<Job>) -> Vec<(Index, LinkEvent)> {
        let mut events = Vec::new();
        for (i, line) in self.lines.iter_mut().enumerate() {
            while let Some(output) = line.link.poll() {
                match output {
                    Output::Event(event) => events.push((Index(i), event)),
                    output => line.obey(i, output, &self.resolve, now, fx),
                }
            }
        }
        events
    }

    // ------------------------------------------------------------------ facts

    /// The resolver has answered. Every link waiting for this host is told.
    pub fn resolved(
        &mut self,
        host: &str,
        port: u16,
        address: &Result<SocketAddr, String>,
        now: Now,
        fx: &mut Effects<Job>,
    ) {
        for (i, line) in self.lines.iter_mut().enumerate() {
            if !line.asked || line.place.host != host || line.place.port != port {
                continue;
            }
            line.asked = false;
            let Stage::LookingUp { timeout, .. } = line.stage else { continue };
            match address {
                Ok(address) => line.connect(i, *address, timeout, fx),
                Err(why) => line.failed(&format!("host '{host}' has no known address: {why}"), now),
            }
        }
    }

    /// The answer to a lookup may have been lost: it counts as failed, and is tried again.
    pub fn lookup_lost(&mut self, why: &str, now: Now) {
        for line in self.lines.iter_mut().filter(|l| l.asked) {
            line.asked = false;
            if matches!(line.stage, Stage::LookingUp { .. }) {
                let text = format!("host '{}' could not be looked up: {why}", line.place.host);
                line.failed(&text, now);
            }
        }
    }

    /// A connection is there. One nobody waits for any longer is given back.
    pub fn connected(&mut self, tag: Tag, conn: ConnId, now: Now) -> Option<ConnId> {
        match self.of_attempt(tag) {
            Some(line) if line.stage == Stage::Opening => {
                log::info!("controller {}: connected", line.place.name);
                line.stage = Stage::Open(conn);
                line.link.connected(now);
                None
            }
            _ => Some(conn),
        }
    }

    /// A connection could not be opened.
    pub fn connect_failed(&mut self, tag: Tag, error: &str, now: Now) {
        if let Some(line) = self.of_attempt(tag)
            && line.stage == Stage::Opening
        {
            let text = format!("{}:{}: {error}", line.place.host, line.place.port);
            line.failed(&text, now);
        }
    }

    /// Bytes from a controller.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        if let Some(line) = self.lines.iter_mut().find(|l| l.stage == Stage::Open(conn)) {
            line.link.receive(bytes, now);
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, conn: ConnId, reason: &CloseReason, now: Now) {
        if let Some(line) = self.lines.iter_mut().find(|l| l.stage == Stage::Open(conn)) {
            let why = match reason {
                CloseReason::PeerClosed => "the controller closed the connection",
                CloseReason::Local => "closed",
                CloseReason::Error(e) | CloseReason::Overrun(e) => e.as_str(),
            };
            line.failed(why, now);
        }
    }

    /// The timers of the links and when they are due.
    pub fn deadlines(&self) -> impl Iterator<Item = (TimerKey, Option<When>)> {
        let due = |line: &Line| match line.stage {
            Stage::LookingUp { until, .. } => Some(line.link.deadline().map_or(until, |d| d.min(until))),
            _ => line.link.deadline(),
        };
        self.lines
            .iter()
            .enumerate()
            .map(move |(i, l)| (TimerKey(LINK_TIMER + i as u64), due(l).map(When::Mono)))
    }

    /// A timer is due. `false`: not one of ours.
    pub fn timer(&mut self, key: TimerKey, now: Now) -> bool {
        let line = key.0.checked_sub(LINK_TIMER).and_then(|i| self.lines.get_mut(i as usize));
        let Some(line) = line else { return false };
        match line.stage {
            Stage::LookingUp { timeout, until } if until <= now.mono => {
                let host = &line.place.host;
                line.failed(&format!("host '{host}' was not looked up within {timeout:?}"), now);
            }
            _ => line.link.tick(now),
        }
        true
    }

    fn of_attempt(&mut self, tag: Tag) -> Option<&mut Line> {
        let line = self.lines.get_mut((tag.0 & ((1 << LINK_BITS) - 1)) as usize)?;
        (line.attempt == tag.0 >> LINK_BITS).then_some(line)
    }
}

impl Line {
    fn obey(
        &mut self,
        i: usize,
        output: Output,
        resolve: &[(String, Ipv4Addr)],
        now: Now,
        fx: &mut Effects<Job>,
    ) {
        match (output, self.stage) {
            (Output::Connect { timeout }, _) => self.look_up(i, timeout, resolve, now, fx),
            (Output::Send(bytes), Stage::Open(conn)) => fx.send(conn, bytes),
            (Output::PauseReading(paused), Stage::Open(conn)) => {
                fx.push(Effect::PauseReading { conn, paused });
            }
            (Output::Disconnect(why), stage) => {
                log::warn!("controller {}: the connection is dropped: {why}", self.place.name);
                self.stage = Stage::Closed;
                if let Stage::Open(conn) = stage {
                    fx.push(Effect::Abort { conn });
                }
            }
            // Nothing to send to, or to pause; events were taken out before.
            (Output::Send(_) | Output::PauseReading(_) | Output::Event(_), _) => {}
        }
    }

    fn look_up(
        &mut self,
        i: usize,
        timeout: Duration,
        resolve: &[(String, Ipv4Addr)],
        now: Now,
        fx: &mut Effects<Job>,
    ) {
        let Place { host, port, .. } = &self.place;
        let configured =
            resolve.iter().find(|(n, _)| n.eq_ignore_ascii_case(host)).map(|(_, ip)| (*ip).into());
        if let Some(ip) = configured.or_else(|| host.parse().ok()) {
            return self.connect(i, SocketAddr::new(ip, *port), timeout, fx);
        }
        self.stage = Stage::LookingUp { timeout, until: now.mono + timeout };
        if !std::mem::replace(&mut self.asked, true) {
            let job = Job::Role(work::Job::Resolve { host: host.clone(), port: *port });
            fx.push(Effect::Work { worker: RESOLVER, job });
        }
    }

    fn connect(&mut self, i: usize, address: SocketAddr, timeout: Duration, fx: &mut Effects<Job>) {
        self.attempt += 1;
        self.stage = Stage::Opening;
        let tag = Tag(self.attempt << LINK_BITS | i as u64);
        let options = ConnectOptions {
            receive_buffer: Some(RECEIVE_BUFFER),
            keep_alive: KEEP_ALIVE,
            read_budget: READ_BUDGET,
            ..ConnectOptions::default()
        };
        fx.push(Effect::Connect { tag, address: Address::Tcp(address), timeout, options });
    }

    fn failed(&mut self, why: &str, now: Now) {
        self.stage = Stage::Closed;
        self.link.closed(why, now);
    }
}

#[cfg(test)]
mod tests;
