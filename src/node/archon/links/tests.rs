//! The links with real [`ArchonLink`]s, on a clock of our own.

use super::*;
use crate::reactor::Address;
use crate::session::archon_link::LinkError;

const CONTROLLER: Index = Index(0);

struct Bench {
    links: Links,
    now: Now,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Lookup(String, u16),
    Connect(Tag, SocketAddr),
    Sent(ConnId, String),
    Abort(ConnId),
    Pause(ConnId, bool),
    Up(Index),
    Down(Index, String),
    Reply(Index, Token, Result<String, LinkError>),
}

impl Bench {
    fn new(hosts: &[&str]) -> Bench {
        let place = |(host, i): (&&str, u16)| {
            let place = Place { name: format!("sp{i}"), host: (*host).to_owned(), port: 4242 + i };
            (place, Config::default())
        };
        let resolve = vec![("given".to_owned(), Ipv4Addr::new(10, 0, 0, 7))];
        let links = Links::new(hosts.iter().zip(0..).map(place).collect(), resolve);
        let mut bench = Bench { links, now: Now::default() };
        bench.links.start(bench.now);
        bench
    }

    fn seen(&mut self) -> Vec<Seen> {
        let mut fx = Effects::default();
        let events = self.links.pump(self.now, &mut fx);
        let mut seen = orders(fx);
        seen.extend(events.into_iter().filter_map(|(i, event)| match event {
            LinkEvent::Up => Some(Seen::Up(i)),
            LinkEvent::Down { why } => Some(Seen::Down(i, why)),
            LinkEvent::Reply { token, result } => Some(Seen::Reply(i, token, result)),
            LinkEvent::Note(_) => None,
            other => panic!("{other:?}"),
        }));
        seen
    }

    /// Moves to the earliest timer and lets it go off.
    fn step(&mut self) -> Duration {
        let (key, When::Mono(at)) = self
            .links
            .deadlines()
            .filter_map(|(key, at)| Some((key, at?)))
            .min_by_key(|(_, at)| if let When::Mono(at) = at { at.0 } else { u64::MAX })
            .expect("a timer")
        else {
            panic!("links have monotonic timers")
        };
        let waited = at.since(self.now.mono);
        self.now = Now { mono: at, ..self.now };
        assert!(self.links.timer(key, self.now));
        waited
    }

    fn resolved(&mut self, host: &str, port: u16, address: Result<SocketAddr, String>) -> Vec<Seen> {
        let mut fx = Effects::default();
        self.links.resolved(host, port, &address, self.now, &mut fx);
        let mut seen = orders(fx);
        seen.extend(self.seen());
        seen
    }

    /// The tag of the only thing that is wanted: a connection.
    fn connecting(&mut self) -> Tag {
        match self.seen()[..] {
            [Seen::Connect(tag, _)] => tag,
            ref other => panic!("{other:?}"),
        }
    }

    fn connect(&mut self, conn: u64) -> ConnId {
        let tag = self.connecting();
        assert_eq!(self.links.connected(tag, ConnId(conn), self.now), None);
        assert_eq!(self.seen(), [Seen::Up(CONTROLLER)]);
        ConnId(conn)
    }
}

fn orders(mut fx: Effects<Job>) -> Vec<Seen> {
    let seen = |effect| match effect {
        Effect::Connect { tag, address: Address::Tcp(at), .. } => Seen::Connect(tag, at),
        Effect::Work { job: Job::Resolve { host, port }, .. } => Seen::Lookup(host, port),
        Effect::Send { conn, bytes } => Seen::Sent(conn, String::from_utf8_lossy(&bytes).into_owned()),
        Effect::Abort { conn } => Seen::Abort(conn),
        Effect::PauseReading { conn, paused } => Seen::Pause(conn, paused),
        other => panic!("{other:?}"),
    };
    fx.drain().map(seen).collect()
}

fn at(ip: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::from((ip, port))
}

#[test]
fn numbers_and_given_names_are_not_looked_up() {
    let mut bench = Bench::new(&["192.0.2.1", "GIVEN"]);
    let seen = bench.seen();
    let want = [at([192, 0, 2, 1], 4242), at([10, 0, 0, 7], 4243)];
    let places: Vec<SocketAddr> =
        seen.iter().filter_map(|s| if let Seen::Connect(_, at) = s { Some(*at) } else { None }).collect();
    assert_eq!((places, seen.len()), (want.to_vec(), 2), "{seen:?}");
}

#[test]
fn a_name_is_looked_up_and_connected_to() {
    let mut bench = Bench::new(&["ccd.example"]);
    assert_eq!(bench.seen(), [Seen::Lookup("ccd.example".into(), 4242)]);
    let address = at([192, 0, 2, 9], 4242);
    let seen = bench.resolved("ccd.example", 4242, Ok(address));
    assert!(matches!(seen[..], [Seen::Connect(_, a)] if a == address), "{seen:?}");
}

#[test]
fn a_lookup_has_a_deadline_and_only_one_waits_at_the_resolver() {
    let mut bench = Bench::new(&["nobody.example"]);
    assert_eq!(bench.seen(), [Seen::Lookup("nobody.example".into(), 4242)]);
    assert_eq!(bench.step(), Config::default().connect_timeout);
    assert_eq!(bench.seen(), [], "not connected before, so that nothing was lost");
    bench.step();
    assert_eq!(bench.seen(), [], "the first lookup is still at the resolver");
    // Its late answer serves the attempt that waits now.
    let seen = bench.resolved("nobody.example", 4242, Ok(at([192, 0, 2, 9], 4242)));
    assert!(matches!(seen[..], [Seen::Connect(..)]), "{seen:?}");
}

#[test]
fn a_name_without_address_and_a_lost_answer_are_tried_again() {
    let mut bench = Bench::new(&["nobody.example"]);
    bench.seen();
    assert_eq!(bench.resolved("nobody.example", 4242, Err("not known".into())), []);
    bench.step();
    assert_eq!(bench.seen(), [Seen::Lookup("nobody.example".into(), 4242)]);
    bench.links.lookup_lost("no thread", bench.now);
    bench.step();
    assert_eq!(bench.seen(), [Seen::Lookup("nobody.example".into(), 4242)]);
}

#[test]
fn a_command_goes_out_and_its_reply_comes_back() {
    let mut bench = Bench::new(&["192.0.2.1"]);
    let conn = bench.connect(7);
    bench.links.submit(CONTROLLER, Token(3), Command::Status, bench.now);
    let Some(Seen::Sent(to, line)) = bench.seen().pop() else { panic!("nothing sent") };
    assert_eq!(to, conn);
    let id = line.strip_prefix('>').and_then(|l| l.strip_suffix("STATUS\n")).expect("a command").to_owned();
    bench.links.received(conn, format!("<{id}VALID=1\n").as_bytes(), bench.now);
    assert_eq!(bench.seen(), [Seen::Reply(CONTROLLER, Token(3), Ok("VALID=1".into()))]);
    bench.links.received(ConnId(99), b"<00\n", bench.now);
    assert_eq!(bench.seen(), [], "somebody else's bytes");
}

#[test]
fn after_a_loss_the_commands_are_answered_and_the_connection_is_made_anew() {
    let mut bench = Bench::new(&["192.0.2.1"]);
    let conn = bench.connect(7);
    bench.links.submit(CONTROLLER, Token(3), Command::Status, bench.now);
    bench.seen();
    bench.links.closed(conn, &CloseReason::PeerClosed, bench.now);
    let why = "the controller closed the connection".to_owned();
    let down = LinkError::Down { command: "STATUS".into(), why: why.clone(), sent: true };
    assert_eq!(bench.seen(), [Seen::Reply(CONTROLLER, Token(3), Err(down)), Seen::Down(CONTROLLER, why)]);
    bench.step();
    bench.connect(8);
}

#[test]
fn the_answer_to_an_attempt_given_up_is_not_the_next_ones() {
    let mut bench = Bench::new(&["192.0.2.1"]);
    let first = bench.connecting();
    bench.links.set_open(CONTROLLER, false, "an operator", bench.now);
    bench.links.set_open(CONTROLLER, true, "an operator", bench.now);
    let second = bench.connecting();
    assert_ne!(first, second);
    bench.links.connect_failed(first, "refused", bench.now);
    assert_eq!(bench.links.connected(first, ConnId(1), bench.now), Some(ConnId(1)), "given back");
    assert_eq!(bench.links.connected(second, ConnId(2), bench.now), None);
    assert_eq!(bench.seen(), [Seen::Up(CONTROLLER)]);
}

#[test]
fn an_operators_disconnect_closes_and_stays_closed() {
    let mut bench = Bench::new(&["192.0.2.1"]);
    let conn = bench.connect(7);
    bench.links.set_open(CONTROLLER, false, "an operator", bench.now);
    let seen = bench.seen();
    assert_eq!(seen, [Seen::Abort(conn), Seen::Down(CONTROLLER, "an operator".into())]);
    assert!(bench.links.deadlines().all(|(_, due)| due.is_none()));
    bench.links.closed(conn, &CloseReason::Local, bench.now);
    assert_eq!(bench.seen(), [], "its end is known already");
}

#[test]
fn a_full_consumer_pauses_the_socket() {
    let mut bench = Bench::new(&["192.0.2.1"]);
    let conn = bench.connect(7);
    bench.links.set_paused(CONTROLLER, true, bench.now);
    bench.links.set_paused(CONTROLLER, false, bench.now);
    assert_eq!(bench.seen(), [Seen::Pause(conn, true), Seen::Pause(conn, false)]);
}
