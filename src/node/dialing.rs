//! Places that are dialled: names looked up, connections opened, and each told from the one before it.
//!
//! ```text
//!   none ──dial──► looking up ──resolved──► opening ──connected──► open ──closed──► none
//!                      └── not known, lost, late ──┴── refused, late ── hung up ──────┘
//! ```
//!
//! A place has one connection or several (its wires). Who wants them, and when again after a failure, is the links'
//! decision; here is only how. Not here: bytes.

use super::work::{Job, RESOLVER};
use crate::reactor::{Address, CloseReason, ConnId, ConnectOptions, Effect, Effects, Tag};
use crate::units::{Mono, Now};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Bits of a connection's tag that say which place, and after them which of its wires; the others count attempts, so
/// that the answer to an attempt that was given up is not taken for the next one's.
const PLACE_BITS: u32 = 16;
const WIRE_BITS: u32 = 4;

/// Where somebody answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port of a host.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A socket of this host.
    Unix(PathBuf),
}

/// A connection of a place, there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The place: its number in the order they were given.
    pub place: usize,
    /// Which of its connections, from 0, less than 16.
    pub wire: usize,
}

/// A connection that could not be had or has ended, and why.
pub type Failed = (Wire, String);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    None,
    /// The host's name is being looked up, until then at the latest.
    LookingUp {
        timeout: Duration,
        until: Mono,
    },
    /// Being opened, as this attempt.
    Opening(u64),
    Open(ConnId),
}

#[derive(Debug)]
struct Dialled {
    place: Place,
    wires: Vec<Stage>,
    /// A lookup is at the resolver: another one would only wait behind it.
    asked: bool,
}

/// All places of a node and the connections to them.
#[derive(Debug)]
pub struct Dialing {
    /// Who answers there, for messages: `the player`.
    peer: &'static str,
    places: Vec<Dialled>,
    /// Host names with addresses given by configuration.
    resolve: Vec<(String, Ipv4Addr)>,
    options: ConnectOptions,
    attempts: u64,
    open: BTreeMap<ConnId, Wire>,
}

impl Dialing {
    /// Nothing is dialled yet. `peer`: who answers, for messages; `wires`: how many connections each place has.
    pub fn new(
        peer: &'static str,
        places: impl IntoIterator<Item = Place>,
        wires: usize,
        resolve: Vec<(String, Ipv4Addr)>,
        options: ConnectOptions,
    ) -> Dialing {
        let dialled = |place| Dialled { place, wires: vec![Stage::None; wires], asked: false };
        let places = places.into_iter().map(dialled).collect();
        Dialing { peer, places, resolve, options, attempts: 0, open: BTreeMap::new() }
    }

    /// Opens a connection, looking the host's name up first if it has to be; given up after `timeout`, and again so
    /// long for the opening itself.
    pub fn dial<R>(&mut self, wire: Wire, timeout: Duration, now: Now, fx: &mut Effects<Job<R>>) {
        let Some(dialled) = self.places.get_mut(wire.place) else { return };
        let address = match &dialled.place {
            Place::Unix(path) => Some(Address::Unix(path.clone())),
            Place::Tcp { host, port } => {
                let given = self.resolve.iter().find(|(name, _)| name.eq_ignore_ascii_case(host));
                let ip = given.map(|(_, ip)| (*ip).into()).or_else(|| host.parse().ok());
                ip.map(|ip| Address::Tcp(SocketAddr::new(ip, *port)))
            }
        };
        if let Some(address) = address {
            return self.open(wire, address, timeout, fx);
        }
        dialled.wires[wire.wire] = Stage::LookingUp { timeout, until: now.mono + timeout };
        if let Place::Tcp { host, port } = &dialled.place
            && !std::mem::replace(&mut dialled.asked, true)
        {
            let job = Job::Resolve { host: host.clone(), port: *port };
            fx.push(Effect::Work { worker: RESOLVER, job });
        }
    }

    fn open<J>(&mut self, wire: Wire, address: Address, timeout: Duration, fx: &mut Effects<J>) {
        self.attempts += 1;
        self.places[wire.place].wires[wire.wire] = Stage::Opening(self.attempts);
        let tag = self.attempts << (PLACE_BITS + WIRE_BITS) | (wire.wire << PLACE_BITS | wire.place) as u64;
        fx.push(Effect::Connect { tag: Tag(tag), address, timeout, options: self.options });
    }

    /// Ends a connection, or the attempt to have one.
    pub fn hang_up<J>(&mut self, wire: Wire, fx: &mut Effects<J>) {
        let Some(dialled) = self.places.get_mut(wire.place) else { return };
        if let Stage::Open(conn) = std::mem::take(&mut dialled.wires[wire.wire]) {
            self.open.remove(&conn);
            fx.push(Effect::Abort { conn });
        }
    }

    /// The connection, while it is open.
    pub fn conn(&self, wire: Wire) -> Option<ConnId> {
        match self.places.get(wire.place)?.wires[wire.wire] {
            Stage::Open(conn) => Some(conn),
            _ => None,
        }
    }

    /// Which one this is, if it is one of ours.
    pub fn wire_of(&self, conn: ConnId) -> Option<Wire> {
        self.open.get(&conn).copied()
    }

    // ------------------------------------------------------------------ facts

    /// The resolver has answered: connections that wait for this host are opened, or have failed.
    pub fn resolved<J>(
        &mut self,
        host: &str,
        port: u16,
        address: &Result<SocketAddr, String>,
        fx: &mut Effects<J>,
    ) -> Vec<Failed> {
        let is_it = |p: &Place| matches!(p, Place::Tcp { host: h, port: p } if h == host && *p == port);
        let mut failed = Vec::new();
        for (wire, timeout) in self.no_longer_asked(is_it) {
            match address {
                Ok(address) => self.open(wire, Address::Tcp(*address), timeout, fx),
                Err(why) => {
                    failed.push(self.failed(wire, format!("host '{host}' has no known address: {why}")))
                }
            }
        }
        failed
    }

    /// The answer to a lookup may have been lost: whatever waits for one has failed.
    pub fn lookup_lost(&mut self, why: &str) -> Vec<Failed> {
        let waiting = self.no_longer_asked(|_| true);
        let text = |d: &Dialing, wire: Wire| format!("{} could not be looked up: {why}", d.host(wire));
        waiting.into_iter().map(|(wire, _)| self.failed(wire, text(self, wire))).collect()
    }

    /// A connection is there: which. `Err`: nobody waits for it any longer, and it is to be ended.
    pub fn connected(&mut self, tag: Tag, conn: ConnId) -> Result<Wire, ConnId> {
        let wire = self.of_attempt(tag).ok_or(conn)?;
        self.places[wire.place].wires[wire.wire] = Stage::Open(conn);
        self.open.insert(conn, wire);
        Ok(wire)
    }

    /// A connection could not be opened.
    pub fn connect_failed(&mut self, tag: Tag, error: &str) -> Option<Failed> {
        let wire = self.of_attempt(tag)?;
        let place = match &self.places[wire.place].place {
            Place::Tcp { host, port } => format!("{host}:{port}"),
            Place::Unix(path) => path.display().to_string(),
        };
        Some(self.failed(wire, format!("{place}: {error}")))
    }

    /// A connection has ended. `None`: not one of ours, or we ended it ourselves.
    pub fn closed(&mut self, conn: ConnId, reason: &CloseReason) -> Option<Failed> {
        let wire = self.open.remove(&conn)?;
        let why = match reason {
            CloseReason::PeerClosed => format!("{} closed the connection", self.peer),
            CloseReason::Local => "closed".to_owned(),
            CloseReason::Error(e) | CloseReason::Overrun(e) => e.clone(),
        };
        Some(self.failed(wire, why))
    }

    /// When the lookup for a place takes too long.
    pub fn deadline(&self, place: usize) -> Option<Mono> {
        let until = |stage: &Stage| match stage {
            Stage::LookingUp { until, .. } => Some(*until),
            _ => None,
        };
        self.places.get(place)?.wires.iter().filter_map(until).min()
    }

    /// Time has passed for a place: connections whose lookup takes too long have failed. Its late answer serves whoever
    /// waits then.
    pub fn tick(&mut self, place: usize, now: Now) -> Vec<Failed> {
        let Some(dialled) = self.places.get(place) else { return Vec::new() };
        let late = |(wire, stage): (usize, &Stage)| match stage {
            Stage::LookingUp { timeout, until } if *until <= now.mono => {
                Some((Wire { place, wire }, *timeout))
            }
            _ => None,
        };
        let late: Vec<(Wire, Duration)> = dialled.wires.iter().enumerate().filter_map(late).collect();
        let text =
            |d: &Dialing, wire, timeout| format!("{} was not looked up within {timeout:?}", d.host(wire));
        late.into_iter().map(|(wire, timeout)| self.failed(wire, text(self, wire, timeout))).collect()
    }

    // ------------------------------------------------------------------ helpers

    /// The resolver owes nothing to these places any more: the wires that wait for it.
    fn no_longer_asked(&mut self, whose: impl Fn(&Place) -> bool) -> Vec<(Wire, Duration)> {
        let mut waiting = Vec::new();
        for (place, dialled) in self.places.iter_mut().enumerate() {
            if !dialled.asked || !whose(&dialled.place) {
                continue;
            }
            dialled.asked = false;
            for (wire, stage) in dialled.wires.iter().enumerate() {
                if let Stage::LookingUp { timeout, .. } = stage {
                    waiting.push((Wire { place, wire }, *timeout));
                }
            }
        }
        waiting
    }

    fn failed(&mut self, wire: Wire, why: String) -> Failed {
        self.places[wire.place].wires[wire.wire] = Stage::None;
        (wire, why)
    }

    fn host(&self, wire: Wire) -> String {
        match &self.places[wire.place].place {
            Place::Tcp { host, .. } => format!("host '{host}'"),
            Place::Unix(path) => path.display().to_string(),
        }
    }

    fn of_attempt(&self, tag: Tag) -> Option<Wire> {
        let bits = |from: u32, count: u32| (tag.0 >> from & ((1 << count) - 1)) as usize;
        let wire = Wire { place: bits(0, PLACE_BITS), wire: bits(PLACE_BITS, WIRE_BITS) };
        let stage = self.places.get(wire.place)?.wires.get(wire.wire)?;
        (*stage == Stage::Opening(tag.0 >> (PLACE_BITS + WIRE_BITS))).then_some(wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(3);
    const FIRST: Wire = Wire { place: 0, wire: 0 };
    const SECOND: Wire = Wire { place: 0, wire: 1 };

    fn at(seconds: u64) -> Now {
        Now { mono: Mono(seconds * 1_000_000_000), ..Now::default() }
    }

    /// One place with two wires, and what has been ordered for it.
    struct Bench {
        dialing: Dialing,
        fx: Effects<Job<()>>,
    }

    #[derive(Debug, PartialEq)]
    enum Ordered {
        Lookup(String),
        Connect(Tag, Address),
        Abort(ConnId),
    }

    impl Bench {
        fn new(place: Place) -> Bench {
            let resolve = vec![("given".to_owned(), Ipv4Addr::new(10, 0, 0, 7))];
            let dialing = Dialing::new("the player", [place], 2, resolve, ConnectOptions::default());
            Bench { dialing, fx: Effects::default() }
        }

        fn host(host: &str) -> Bench {
            Bench::new(Place::Tcp { host: host.into(), port: 6667 })
        }

        fn dial(&mut self, wire: Wire, now: Now) -> Vec<Ordered> {
            self.dialing.dial(wire, TIMEOUT, now, &mut self.fx);
            self.ordered()
        }

        fn ordered(&mut self) -> Vec<Ordered> {
            let one = |effect| match effect {
                Effect::Work { job: Job::Resolve { host, .. }, .. } => Ordered::Lookup(host),
                Effect::Connect { tag, address, .. } => Ordered::Connect(tag, address),
                Effect::Abort { conn } => Ordered::Abort(conn),
                other => panic!("{other:?}"),
            };
            self.fx.drain().map(one).collect()
        }

        fn tag(&mut self, wire: Wire) -> Tag {
            match self.dial(wire, at(0))[..] {
                [Ordered::Connect(tag, _)] => tag,
                ref other => panic!("{other:?}"),
            }
        }

        fn resolved(&mut self, host: &str, address: Result<SocketAddr, String>) -> Vec<Failed> {
            self.dialing.resolved(host, 6667, &address, &mut self.fx)
        }
    }

    fn known() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 9], 6667))
    }

    #[test]
    fn numbers_given_names_and_sockets_are_not_looked_up() {
        let given = Address::Tcp(SocketAddr::from(([10, 0, 0, 7], 6667)));
        for (place, want) in [
            (Place::Tcp { host: "192.0.2.9".into(), port: 6667 }, Address::Tcp(known())),
            (Place::Tcp { host: "GIVEN".into(), port: 6667 }, given),
            (Place::Unix("/run/p.sock".into()), Address::Unix("/run/p.sock".into())),
        ] {
            let orders = Bench::new(place).dial(FIRST, at(0));
            assert!(matches!(&orders[..], [Ordered::Connect(_, a)] if *a == want), "{orders:?}");
        }
    }

    #[test]
    fn one_lookup_serves_both_wires_of_a_place() {
        let mut bench = Bench::host("bank-a");
        assert_eq!(bench.dial(FIRST, at(0)), [Ordered::Lookup("bank-a".into())]);
        assert_eq!(bench.dial(SECOND, at(0)), [], "it is asked already");
        assert_eq!(bench.resolved("bank-b", Ok(known())), [], "somebody else's");
        assert_eq!(bench.resolved("bank-a", Ok(known())), []);
        let orders = bench.ordered();
        assert!(
            matches!(orders[..], [Ordered::Connect(a, _), Ordered::Connect(b, _)] if a != b),
            "{orders:?}"
        );
    }

    #[test]
    fn two_wires_of_a_place_are_told_apart() {
        let mut bench = Bench::host("192.0.2.9");
        let (first, second) = (bench.tag(FIRST), bench.tag(SECOND));
        assert_eq!(bench.dialing.connected(second, ConnId(8)), Ok(SECOND));
        assert_eq!(bench.dialing.connected(first, ConnId(7)), Ok(FIRST));
        assert_eq!(
            (bench.dialing.wire_of(ConnId(7)), bench.dialing.conn(SECOND)),
            (Some(FIRST), Some(ConnId(8)))
        );
        let failed = bench.dialing.closed(ConnId(7), &CloseReason::PeerClosed);
        assert_eq!(failed, Some((FIRST, "the player closed the connection".into())));
        assert_eq!((bench.dialing.conn(FIRST), bench.dialing.conn(SECOND)), (None, Some(ConnId(8))));
    }

    #[test]
    fn an_attempt_that_was_given_up_is_given_back() {
        let mut bench = Bench::host("192.0.2.9");
        let stale = bench.tag(FIRST);
        bench.dialing.hang_up(FIRST, &mut bench.fx);
        assert_eq!(bench.ordered(), [], "there is no connection to end");
        assert_eq!(bench.dialing.connected(stale, ConnId(7)), Err(ConnId(7)), "nothing is wanted");
        let fresh = bench.tag(FIRST);
        assert_eq!(bench.dialing.connect_failed(stale, "refused"), None);
        assert_eq!(bench.dialing.connected(stale, ConnId(7)), Err(ConnId(7)), "the next attempt is wanted");
        assert_eq!(bench.dialing.connected(fresh, ConnId(8)), Ok(FIRST));
        assert_eq!(bench.dialing.connected(fresh, ConnId(9)), Err(ConnId(9)), "there is one");
    }

    #[test]
    fn a_connection_that_is_hung_up_is_ended_and_its_end_is_no_news() {
        let mut bench = Bench::host("192.0.2.9");
        let tag = bench.tag(FIRST);
        assert_eq!(bench.dialing.connected(tag, ConnId(7)), Ok(FIRST));
        bench.dialing.hang_up(FIRST, &mut bench.fx);
        assert_eq!(bench.ordered(), [Ordered::Abort(ConnId(7))]);
        assert_eq!(bench.dialing.closed(ConnId(7), &CloseReason::Local), None);
        assert_eq!(bench.dialing.wire_of(ConnId(7)), None);
    }

    #[test]
    fn hung_up_while_looking_up_the_answer_opens_nothing() {
        let mut bench = Bench::host("bank-a");
        bench.dial(FIRST, at(0));
        bench.dialing.hang_up(FIRST, &mut bench.fx);
        assert_eq!(bench.dialing.deadline(0), None);
        assert_eq!(bench.resolved("bank-a", Ok(known())), []);
        assert_eq!(bench.ordered(), []);
        assert_eq!(bench.dial(FIRST, at(1)), [Ordered::Lookup("bank-a".into())], "asked anew");
    }

    #[test]
    fn a_lookup_that_is_lost_or_knows_nothing_fails_and_is_asked_again() {
        let mut bench = Bench::host("bank-a");
        bench.dial(FIRST, at(0));
        bench.dial(SECOND, at(0));
        let lost = bench.dialing.lookup_lost("no thread");
        let why = "host 'bank-a' could not be looked up: no thread".to_owned();
        assert_eq!(lost, [(FIRST, why.clone()), (SECOND, why)]);
        assert_eq!(bench.dial(FIRST, at(1)), [Ordered::Lookup("bank-a".into())]);
        let unknown = bench.resolved("bank-a", Err("not known".into()));
        assert_eq!(unknown, [(FIRST, "host 'bank-a' has no known address: not known".into())]);
        assert_eq!(bench.dial(FIRST, at(2)), [Ordered::Lookup("bank-a".into())]);
    }

    #[test]
    fn a_lookup_has_a_deadline_and_its_late_answer_serves_who_waits_then() {
        let mut bench = Bench::host("bank-a");
        bench.dial(FIRST, at(0));
        assert_eq!(bench.dialing.deadline(0), Some(at(3).mono));
        assert_eq!(bench.dialing.tick(0, at(2)), []);
        let late = bench.dialing.tick(0, at(3));
        assert_eq!(late, [(FIRST, "host 'bank-a' was not looked up within 3s".into())]);
        assert_eq!(bench.dial(FIRST, at(4)), [], "the first question is still at the resolver");
        assert_eq!(bench.resolved("bank-a", Ok(known())), []);
        assert!(matches!(bench.ordered()[..], [Ordered::Connect(..)]));
    }
}
