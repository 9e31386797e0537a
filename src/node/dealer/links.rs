//! The connections to the players: names looked up, sockets opened and dropped as each [`PlayerLink`] wants.

use super::Job;
use super::work;
use crate::api::Call;
use crate::dealer::link::{LinkOutput, PlayerLink, Protocol, WireId};
use crate::dealer::messages::{AskId, Index, Lane, LinkEvent};
use crate::node::work::{Job as NodeJob, RESOLVER};
use crate::reactor::{
    Address, CloseReason, ConnId, ConnectOptions, Effect, Effects, KeepAlive, Tag, TimerKey, When,
};
use crate::units::Now;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The timer of the first link; the others count on.
const LINK_TIMER: u64 = 0x1000;
/// Bits of a connection's tag that say which link; one more says which wire, the others count attempts, so that the
/// answer to an attempt that was given up is not taken for the next one's.
const LINK_BITS: u32 = 16;
/// A host whose power was cut says nothing; our own looks notice it sooner where there are any.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(2), interval: Duration::from_secs(1), probes: 2 };

/// Where a player answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// JSON or binary RPC over TCP.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// What is spoken.
        protocol: Protocol,
    },
    /// The binary RPC on a socket of this host.
    Unix(PathBuf),
}

impl Place {
    fn protocol(&self) -> Protocol {
        match self {
            Place::Tcp { protocol, .. } => *protocol,
            Place::Unix(_) => Protocol::Binary,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Socket {
    #[default]
    None,
    /// The host's name is being looked up.
    LookingUp(Duration),
    Opening(u64),
    Open(ConnId),
}

struct Line {
    name: String,
    place: Place,
    link: PlayerLink,
    sockets: [Socket; 2],
    attempts: u64,
    /// A lookup is at the resolver: another one would only wait behind it.
    asked: bool,
}

/// All links, in the order of the configuration.
pub struct Links {
    lines: Vec<Line>,
    resolve: Vec<(String, Ipv4Addr)>,
    /// Which link and wire a connection is of.
    open: BTreeMap<ConnId, (usize, WireId)>,
}

const WIRES: [WireId; 2] = [WireId::Look, WireId::Work];

impl Links {
    /// Nothing is connected yet. `me`: the name of this proxy, for players.
    pub fn new(places: Vec<(String, Place)>, resolve: Vec<(String, Ipv4Addr)>, me: &str, now: Now) -> Links {
        let line = |(name, place): (String, Place)| Line {
            name,
            link: PlayerLink::new(place.protocol(), me, now),
            place,
            sockets: Default::default(),
            attempts: 0,
            asked: false,
        };
        Links { lines: places.into_iter().map(line).collect(), resolve, open: BTreeMap::new() }
    }

    /// Begins to connect.
    pub fn start(&mut self, now: Now) {
        self.lines.iter_mut().for_each(|l| l.link.tick(now));
    }

    /// Asks a player.
    pub fn ask(&mut self, player: Index, id: AskId, call: Call, lane: Lane, within: Duration, now: Now) {
        if let Some(line) = self.lines.get_mut(player.0) {
            line.link.ask(id, call, lane, within, now);
        }
    }

    /// Nobody waits for this answer.
    pub fn abandon(&mut self, player: Index, id: AskId, now: Now) {
        if let Some(line) = self.lines.get_mut(player.0) {
            line.link.abandon(id, now);
        }
    }

    /// Passes on what the links want; what the role has to know, in order.
    pub fn pump(&mut self, fx: &mut Effects<Job>) -> Vec<(Index, LinkEvent)> {
        let mut events = Vec::new();
        for i in 0..self.lines.len() {
            while let Some(output) = self.lines[i].link.poll() {
                match output {
                    LinkOutput::Event(event) => {
                        self.lines[i].note(&event);
                        events.push((Index(i), event));
                    }
                    LinkOutput::Connect { wire, timeout } => self.connect(i, wire, timeout, fx),
                    LinkOutput::Send { wire, bytes } => {
                        if let Socket::Open(conn) = self.lines[i].sockets[wire as usize] {
                            fx.send(conn, bytes);
                        }
                    }
                    LinkOutput::Disconnect { wire, why } => {
                        log::debug!("{}: a connection is dropped: {why}", self.lines[i].name);
                        let socket = std::mem::take(&mut self.lines[i].sockets[wire as usize]);
                        if let Socket::Open(conn) = socket {
                            self.open.remove(&conn);
                            fx.push(Effect::Abort { conn });
                        }
                    }
                }
            }
        }
        events
    }

    fn connect(&mut self, i: usize, wire: WireId, timeout: Duration, fx: &mut Effects<Job>) {
        let line = &mut self.lines[i];
        match &line.place {
            Place::Unix(path) => {
                let address = Address::Unix(path.clone());
                line.open(i, wire, address, timeout, fx);
            }
            Place::Tcp { host, port, .. } => {
                let given = self
                    .resolve
                    .iter()
                    .find(|(n, _)| n.eq_ignore_ascii_case(host))
                    .map(|(_, ip)| (*ip).into());
                if let Some(ip) = given.or_else(|| host.parse().ok()) {
                    let address = Address::Tcp(SocketAddr::new(ip, *port));
                    return line.open(i, wire, address, timeout, fx);
                }
                line.sockets[wire as usize] = Socket::LookingUp(timeout);
                if !std::mem::replace(&mut line.asked, true) {
                    let job = NodeJob::Role(work::Job::Resolve { host: host.clone(), port: *port });
                    fx.push(Effect::Work { worker: RESOLVER, job });
                }
            }
        }
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
            let here = matches!(&line.place, Place::Tcp { host: h, port: p, .. } if h == host && *p == port);
            if !line.asked || !here {
                continue;
            }
            line.asked = false;
            for wire in WIRES {
                let Socket::LookingUp(timeout) = line.sockets[wire as usize] else { continue };
                match address {
                    Ok(address) => line.open(i, wire, Address::Tcp(*address), timeout, fx),
                    Err(why) => {
                        let text = format!("host '{host}' has no known address: {why}");
                        line.failed(wire, &text, now);
                    }
                }
            }
        }
    }

    /// The answer to a lookup may have been lost: it counts as failed, and is tried again.
    pub fn lookup_lost(&mut self, why: &str, now: Now) {
        for line in self.lines.iter_mut().filter(|l| l.asked) {
            line.asked = false;
            for wire in WIRES {
                if matches!(line.sockets[wire as usize], Socket::LookingUp(_)) {
                    line.failed(wire, &format!("its host could not be looked up: {why}"), now);
                }
            }
        }
    }

    /// A connection is there. One nobody waits for any longer is given back.
    pub fn connected(&mut self, tag: Tag, conn: ConnId, now: Now) -> Option<ConnId> {
        let Some((i, wire)) = self.of_attempt(tag) else { return Some(conn) };
        self.lines[i].sockets[wire as usize] = Socket::Open(conn);
        self.open.insert(conn, (i, wire));
        self.lines[i].link.connected(wire, now);
        None
    }

    /// A connection could not be opened.
    pub fn connect_failed(&mut self, tag: Tag, error: &str, now: Now) {
        if let Some((i, wire)) = self.of_attempt(tag) {
            self.lines[i].failed(wire, error, now);
        }
    }

    /// Bytes from a player.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        if let Some((i, wire)) = self.open.get(&conn) {
            self.lines[*i].link.received(*wire, bytes, now);
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, conn: ConnId, reason: &CloseReason, now: Now) {
        if let Some((i, wire)) = self.open.remove(&conn) {
            let why = match reason {
                CloseReason::PeerClosed => "it closed the connection",
                CloseReason::Local => "closed",
                CloseReason::Error(e) | CloseReason::Overrun(e) => e.as_str(),
            };
            self.lines[i].failed(wire, why, now);
        }
    }

    /// The timers of the links and when they are due.
    pub fn deadlines(&self) -> impl Iterator<Item = (TimerKey, Option<When>)> {
        let all = self.lines.iter().enumerate();
        all.map(|(i, l)| (TimerKey(LINK_TIMER + i as u64), l.link.deadline().map(When::Mono)))
    }

    /// A timer is due. `false`: not one of ours.
    pub fn timer(&mut self, key: TimerKey, now: Now) -> bool {
        let line = key.0.checked_sub(LINK_TIMER).and_then(|i| self.lines.get_mut(i as usize));
        line.map(|l| l.link.tick(now)).is_some()
    }

    fn of_attempt(&mut self, tag: Tag) -> Option<(usize, WireId)> {
        let i = (tag.0 & ((1 << LINK_BITS) - 1)) as usize;
        let wire = WIRES[(tag.0 >> LINK_BITS & 1) as usize];
        let attempt = tag.0 >> (LINK_BITS + 1);
        let line = self.lines.get(i)?;
        (line.sockets[wire as usize] == Socket::Opening(attempt)).then_some((i, wire))
    }
}

impl Line {
    fn open(&mut self, i: usize, wire: WireId, address: Address, timeout: Duration, fx: &mut Effects<Job>) {
        self.attempts += 1;
        self.sockets[wire as usize] = Socket::Opening(self.attempts);
        let tag = Tag(self.attempts << (LINK_BITS + 1) | (wire as u64) << LINK_BITS | i as u64);
        let options = ConnectOptions { keep_alive: KEEP_ALIVE, ..ConnectOptions::default() };
        fx.push(Effect::Connect { tag, address, timeout, options });
    }

    fn failed(&mut self, wire: WireId, why: &str, now: Now) {
        self.sockets[wire as usize] = Socket::None;
        self.link.closed(wire, why, now);
    }

    fn note(&self, event: &LinkEvent) {
        match event {
            LinkEvent::Up { kind, .. } => log::info!("{}: connected ({kind:?})", self.name),
            LinkEvent::Down(why) => log::warn!("{}: not connected: {why}", self.name),
            _ => {}
        }
    }
}
