//! The links of a proxy to its players: what happens to one costs nothing for the others.

use appliance::dealer::link::Protocol;
use appliance::node::dealer::Job;
use appliance::node::dealer::links::Links;
use appliance::node::dialing::Place;
use appliance::reactor::{ConnId, Effect, Effects, Tag, TimerKey};
use appliance::units::{Mono, Now};

struct Bench {
    links: Links,
    now: Now,
}

#[derive(Debug, PartialEq)]
enum Ordered {
    Connect(Tag),
    Send(ConnId),
    Timer(TimerKey),
    Abort(ConnId),
}

impl Bench {
    fn new(players: usize) -> Bench {
        let now = Now { mono: Mono(1_000_000_000), ..Now::default() };
        let place = |n| (format!("P{n}"), Place::Unix(format!("/run/p{n}.sock").into()), Protocol::Binary);
        let mut links = Links::new((0..players).map(place).collect(), Vec::new(), "control", now);
        links.start(now);
        Bench { links, now }
    }

    fn ordered(&mut self) -> Vec<Ordered> {
        let mut fx: Effects<Job> = Effects::default();
        self.links.pump(self.now, &mut fx);
        let one = |effect| match effect {
            Effect::Connect { tag, .. } => Ordered::Connect(tag),
            Effect::Send { conn, .. } => Ordered::Send(conn),
            Effect::SetTimer { key, .. } => Ordered::Timer(key),
            Effect::Abort { conn } => Ordered::Abort(conn),
            other => panic!("{other:?}"),
        };
        fx.drain().map(one).collect()
    }

    /// The tags of what is being connected to.
    fn connecting(&mut self) -> Vec<Tag> {
        let tag = |o| if let Ordered::Connect(tag) = o { Some(tag) } else { None };
        self.ordered().into_iter().filter_map(tag).collect()
    }
}

#[test]
fn only_links_something_has_happened_to_are_looked_at() {
    let mut bench = Bench::new(3);
    let tags = bench.connecting();
    assert_eq!(tags.len(), 3);
    assert_eq!(bench.ordered(), [], "nothing has happened since");
    assert_eq!(bench.links.connected(tags[1], ConnId(7), bench.now), None);
    let ordered = bench.ordered();
    assert_eq!(ordered.first(), Some(&Ordered::Send(ConnId(7))), "it says hello");
    let others = |o: &Ordered| !matches!(o, Ordered::Send(ConnId(7)) | Ordered::Timer(_));
    assert!(ordered.len() <= 2 && !ordered.iter().any(others), "{ordered:?}");
}

#[test]
fn a_connection_nobody_waits_for_is_given_back() {
    let mut bench = Bench::new(1);
    let tags = bench.connecting();
    bench.links.connect_failed(tags[0], "refused", bench.now);
    assert_eq!(bench.links.connected(tags[0], ConnId(7), bench.now), Some(ConnId(7)));
}

#[test]
fn timers_are_told_apart_from_those_of_others() {
    let mut bench = Bench::new(2);
    let timers: Vec<TimerKey> = bench
        .ordered()
        .into_iter()
        .filter_map(|o| if let Ordered::Timer(key) = o { Some(key) } else { None })
        .collect();
    assert_eq!(timers.len(), 2, "one for each link");
    assert!(timers.iter().all(|key| bench.links.timer(*key, bench.now)));
    assert!(!bench.links.timer(TimerKey(1), bench.now), "the role's");
    assert!(!bench.links.timer(TimerKey(timers[1].0 + 1), bench.now), "there is no third link");
}
