//! The links to the players: sockets as each [`PlayerLink`] wants them, and what it says.
//!
//! Only links something has happened to are looked at: a call to sixty-four players is sixty-four answers, and each
//! must not cost a look at all of them.

use super::Job;
use crate::api::Call;
use crate::dealer::link::{LinkOutput, PlayerLink, Protocol, WireId};
use crate::dealer::messages::{AskId, Index, Lane, LinkEvent};
use crate::node::dialing::{Dialing, Failed, Place, Wire};
use crate::reactor::{CloseReason, ConnId, ConnectOptions, Effects, KeepAlive, Tag, TimerKey, When};
use crate::units::{Mono, Now};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The timer of the first link; the others count on.
const LINK_TIMER: u64 = 0x1000;
/// A host whose power was cut says nothing; our own looks notice it sooner where there are any.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(2), interval: Duration::from_secs(1), probes: 2 };
/// Their places in [`Wire::wire`].
const WIRES: [WireId; 2] = [WireId::Look, WireId::Work];

struct Line {
    name: String,
    link: PlayerLink,
    /// When its timer is due.
    timer: Option<Mono>,
    /// It is in [`Links::moved`].
    moved: bool,
}

/// All links, in the order of the configuration.
pub struct Links {
    lines: Vec<Line>,
    dialing: Dialing,
    /// Links something has happened to since they were looked at, in that order.
    moved: Vec<usize>,
}

impl Links {
    /// Nothing is connected yet. `me`: the name of this proxy, for players.
    pub fn new(
        places: Vec<(String, Place, Protocol)>,
        resolve: Vec<(String, Ipv4Addr)>,
        me: &str,
        now: Now,
    ) -> Links {
        let line = |(name, _, protocol): &(String, Place, Protocol)| Line {
            name: name.clone(),
            link: PlayerLink::new(*protocol, me, now),
            timer: None,
            moved: false,
        };
        let lines = places.iter().map(line).collect();
        let places = places.into_iter().map(|(_, place, _)| place);
        let options = ConnectOptions { keep_alive: KEEP_ALIVE, ..ConnectOptions::default() };
        Links {
            lines,
            dialing: Dialing::new("the player", places, WIRES.len(), resolve, options),
            moved: Vec::new(),
        }
    }

    /// Begins to connect.
    pub fn start(&mut self, now: Now) {
        for i in 0..self.lines.len() {
            self.tell(i, |link| link.tick(now));
        }
    }

    /// Asks a player.
    pub fn ask(&mut self, player: Index, id: AskId, call: Call, lane: Lane, within: Duration, now: Now) {
        self.tell(player.0, |link| link.ask(id, call, lane, within, now));
    }

    /// Nobody waits for this answer.
    pub fn abandon(&mut self, player: Index, id: AskId, now: Now) {
        self.tell(player.0, |link| link.abandon(id, now));
    }

    /// Passes on what the links want, and sets their timers; what the role has to know, in order.
    pub fn pump(&mut self, now: Now, fx: &mut Effects<Job>) -> Vec<(Index, LinkEvent)> {
        let mut events = Vec::new();
        for i in std::mem::take(&mut self.moved) {
            let line = &mut self.lines[i];
            line.moved = false;
            while let Some(output) = line.link.poll() {
                match output {
                    LinkOutput::Event(event) => {
                        line.note(&event);
                        events.push((Index(i), event));
                    }
                    LinkOutput::Connect { wire, timeout } => {
                        self.dialing.dial(Wire { place: i, wire: wire as usize }, timeout, now, fx);
                    }
                    LinkOutput::Send { wire, bytes } => {
                        if let Some(conn) = self.dialing.conn(Wire { place: i, wire: wire as usize }) {
                            fx.send(conn, bytes);
                        }
                    }
                    LinkOutput::Disconnect { wire, why } => {
                        log::debug!("{}: a connection is dropped: {why}", line.name);
                        self.dialing.hang_up(Wire { place: i, wire: wire as usize }, fx);
                    }
                }
            }
            line.arm(i, self.dialing.deadline(i), fx);
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
            Ok(Wire { place, wire }) => {
                self.tell(place, |link| link.connected(WIRES[wire], now));
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

    /// Bytes from a player.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        if let Some(Wire { place, wire }) = self.dialing.wire_of(conn) {
            self.tell(place, |link| link.received(WIRES[wire], bytes, now));
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, conn: ConnId, reason: &CloseReason, now: Now) {
        let failed = self.dialing.closed(conn, reason);
        self.failed(failed, now);
    }

    /// A timer is due. `false`: not one of ours.
    pub fn timer(&mut self, key: TimerKey, now: Now) -> bool {
        let line = key.0.checked_sub(LINK_TIMER).map(|i| i as usize).filter(|i| *i < self.lines.len());
        let Some(i) = line else { return false };
        self.lines[i].timer = None;
        let late = self.dialing.tick(i, now);
        self.failed(late, now);
        self.tell(i, |link| link.tick(now));
        true
    }

    fn failed(&mut self, failed: impl IntoIterator<Item = Failed>, now: Now) {
        for (Wire { place, wire }, why) in failed {
            self.tell(place, |link| link.closed(WIRES[wire], &why, now));
        }
    }

    /// Something happens to a link: it will be looked at.
    fn tell(&mut self, i: usize, what: impl FnOnce(&mut PlayerLink)) {
        let Some(line) = self.lines.get_mut(i) else { return };
        what(&mut line.link);
        if !std::mem::replace(&mut line.moved, true) {
            self.moved.push(i);
        }
    }
}

impl Line {
    /// Sees to it that a timer is due by the link's deadline. Every message puts that off: a timer that is due earlier
    /// stays as it is, finds nothing to do, and is set anew then.
    fn arm(&mut self, i: usize, lookup: Option<Mono>, fx: &mut Effects<Job>) {
        let Some(due) = self.link.deadline().into_iter().chain(lookup).min() else { return };
        if self.timer.is_none_or(|set| due < set) {
            self.timer = Some(due);
            fx.set_timer(TimerKey(LINK_TIMER + i as u64), When::Mono(due));
        }
    }

    fn note(&self, event: &LinkEvent) {
        match event {
            LinkEvent::Up { kind, .. } => log::info!("{}: connected ({kind:?})", self.name),
            LinkEvent::Down(why) => log::warn!("{}: not connected: {why}", self.name),
            _ => {}
        }
    }
}
