//! The links to the controllers: connections as each [`ArchonLink`] wants them, and bytes passed on.

use super::Job;
use crate::archon::role::Index;
use crate::node::dialing::{self, Dialing, Failed, Wire};
use crate::proto::archon::Command;
use crate::reactor::{CloseReason, ConnId, ConnectOptions, Effect, Effects, KeepAlive, Tag, TimerKey, When};
use crate::session::archon_link::{ArchonLink, Config, LinkEvent, Output, Token};
use crate::units::Now;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The timer of the first link; the others count on.
const LINK_TIMER: u64 = 0x100;
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

struct Line {
    name: String,
    link: ArchonLink,
}

/// All links, in the order of the configuration.
pub struct Links {
    lines: Vec<Line>,
    dialing: Dialing,
}

/// The only connection of a controller.
fn wire(place: usize) -> Wire {
    Wire { place, wire: 0 }
}

impl Links {
    /// Nothing is connected yet.
    pub fn new(places: Vec<(Place, Config)>, resolve: Vec<(String, Ipv4Addr)>) -> Links {
        let options = ConnectOptions {
            receive_buffer: Some(RECEIVE_BUFFER),
            keep_alive: KEEP_ALIVE,
            read_budget: READ_BUDGET,
            ..ConnectOptions::default()
        };
        let tcp =
            |(place, _): &(Place, Config)| dialing::Place::Tcp { host: place.host.clone(), port: place.port };
        let dialing = Dialing::new("the controller", places.iter().map(tcp), 1, resolve, options);
        let line =
            |(place, config): (Place, Config)| Line { name: place.name, link: ArchonLink::new(config) };
        Links { lines: places.into_iter().map(line).collect(), dialing }
    }

    /// Begins to connect.
    pub fn start(&mut self, now: Now) {
        for line in &mut self.lines {
            line.link.tick(now);
        }
    }

    /// Name of a controller, for the record and the log.
    pub fn name(&self, controller: Index) -> &str {
        self.lines.get(controller.0).map_or("?", |l| l.name.as_str())
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
                match (output, self.dialing.conn(wire(i))) {
                    (Output::Event(event), _) => events.push((Index(i), event)),
                    (Output::Connect { timeout }, _) => self.dialing.dial(wire(i), timeout, now, fx),
                    (Output::Send(bytes), Some(conn)) => fx.send(conn, bytes),
                    (Output::PauseReading(paused), Some(conn)) => {
                        fx.push(Effect::PauseReading { conn, paused });
                    }
                    (Output::Disconnect(why), _) => {
                        log::warn!("controller {}: the connection is dropped: {why}", line.name);
                        self.dialing.hang_up(wire(i), fx);
                    }
                    // Nothing to send to, or to pause.
                    (Output::Send(_) | Output::PauseReading(_), None) => {}
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
        let failed = self.dialing.resolved(host, port, address, fx);
        self.failed(failed, now);
    }

    /// The answer to a lookup may have been lost: it counts as failed, and is tried again.
    pub fn lookup_lost(&mut self, why: &str, now: Now) {
        let failed = self.dialing.lookup_lost(why);
        self.failed(failed, now);
    }

    /// A connection is there. One nobody waits for any longer is given back.
    pub fn connected(&mut self, tag: Tag, conn: ConnId, now: Now) -> Option<ConnId> {
        match self.dialing.connected(tag, conn) {
            Ok(Wire { place, .. }) => {
                let line = &mut self.lines[place];
                log::info!("controller {}: connected", line.name);
                line.link.connected(now);
                None
            }
            Err(conn) => Some(conn),
        }
    }

    /// A connection could not be opened.
    pub fn connect_failed(&mut self, tag: Tag, error: &str, now: Now) {
        let failed = self.dialing.connect_failed(tag, error);
        self.failed(failed, now);
    }

    /// Bytes from a controller.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        if let Some(Wire { place, .. }) = self.dialing.wire_of(conn) {
            self.lines[place].link.receive(bytes, now);
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, conn: ConnId, reason: &CloseReason, now: Now) {
        let failed = self.dialing.closed(conn, reason);
        self.failed(failed, now);
    }

    /// The timers of the links and when they are due.
    pub fn deadlines(&self) -> impl Iterator<Item = (TimerKey, Option<When>)> {
        let due = |i, line: &Line| line.link.deadline().into_iter().chain(self.dialing.deadline(i)).min();
        let all = self.lines.iter().enumerate();
        all.map(move |(i, l)| (TimerKey(LINK_TIMER + i as u64), due(i, l).map(When::Mono)))
    }

    /// A timer is due. `false`: not one of ours.
    pub fn timer(&mut self, key: TimerKey, now: Now) -> bool {
        let line = key.0.checked_sub(LINK_TIMER).map(|i| i as usize).filter(|i| *i < self.lines.len());
        let Some(i) = line else { return false };
        let late = self.dialing.tick(i, now);
        self.failed(late, now);
        self.lines[i].link.tick(now);
        true
    }

    fn failed(&mut self, failed: impl IntoIterator<Item = Failed>, now: Now) {
        for (Wire { place, .. }, why) in failed {
            self.lines[place].link.closed(&why, now);
        }
    }
}

#[cfg(test)]
mod tests;
