//! The link to one player against serving sessions: learnt, watched, lost, asked; over both protocols.

use super::world::{bank, ms};
use appliance::api::{Call, CallError, Outcome};
use appliance::dealer::link::{LinkOutput, PlayerLink, Protocol, WireId};
use appliance::dealer::messages::{AskId, Kind, Lane, LinkEvent};
use appliance::proto::rpc_frame::Hello;
use appliance::session::rpc_server::RpcServer;
use appliance::session::zmq_rep::ZmqRep;
use appliance::session::{Server, ServerOutput};
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use proptest::prelude::*;
use std::time::Duration;

const WIRES: [WireId; 2] = [WireId::Look, WireId::Work];

fn clock() -> Now {
    Now { mono: Mono(1_000_000_000), utc: Utc::from_seconds(1_795_228_800) }
}

/// Link and player, and the wires between them.
struct Pair {
    now: Now,
    link: PlayerLink,
    protocol: Protocol,
    kind: Kind,
    wires: [Option<Box<dyn Server>>; 2],
    /// The player reads nothing and says nothing.
    hung: bool,
    /// Connections are refused.
    closed: bool,
    /// Calls to these methods are kept without an answer.
    held: Vec<&'static str>,
    attempts: Vec<Mono>,
    events: Vec<LinkEvent>,
    took: Vec<(WireId, Call)>,
    /// Who the link says it is, as the player heard it last.
    who: String,
    /// When the last call need not be begun any longer.
    begin_by: Option<Mono>,
    listed: usize,
    cancelled: usize,
    dropped: Vec<WireId>,
}

impl Pair {
    fn new(protocol: Protocol, kind: Kind) -> Pair {
        Pair {
            now: clock(),
            link: PlayerLink::new(protocol, "control", clock()),
            protocol,
            kind,
            wires: [None, None],
            hung: false,
            closed: false,
            held: Vec::new(),
            attempts: Vec::new(),
            events: Vec::new(),
            took: Vec::new(),
            who: String::new(),
            begin_by: None,
            listed: 0,
            cancelled: 0,
            dropped: Vec::new(),
        }
    }

    fn up(protocol: Protocol, kind: Kind) -> Pair {
        let mut pair = Pair::new(protocol, kind);
        pair.run(ms(100));
        assert_eq!(pair.kind_said(), Some(kind), "{:?}", pair.events);
        pair
    }

    fn kind_said(&self) -> Option<Kind> {
        self.events.iter().rev().find_map(|e| match e {
            LinkEvent::Up { kind, .. } => Some(*kind),
            _ => None,
        })
    }

    fn replies(&self) -> Vec<(AskId, Outcome)> {
        let reply = |e: &LinkEvent| match e {
            LinkEvent::Reply { id, outcome } => Some((*id, outcome.clone())),
            _ => None,
        };
        self.events.iter().filter_map(reply).collect()
    }

    fn downs(&self) -> usize {
        self.events.iter().filter(|e| matches!(e, LinkEvent::Down(_))).count()
    }

    fn ask(&mut self, id: u64, method: &str, lane: Lane) {
        self.link.ask(AskId(id), bank(method, vec![]), lane, ms(5000), self.now);
        self.drain();
    }

    /// Time passes in steps of 10 ms.
    fn run(&mut self, d: Duration) {
        let end = self.now.mono + d;
        self.drain();
        while self.now.mono < end {
            self.now = Now { mono: self.now.mono + ms(10), utc: self.now.utc + ms(10) };
            for wire in WIRES {
                if let (false, Some(server)) = (self.hung, &mut self.wires[wire as usize]) {
                    server.tick(self.now);
                }
            }
            if self.link.deadline().is_some_and(|t| t <= self.now.mono) {
                self.link.tick(self.now);
            }
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.link.poll() {
                moved = true;
                self.carry_out(output);
            }
            for wire in WIRES {
                moved |= !self.hung && self.serve(wire);
            }
            if !moved {
                return;
            }
        }
    }

    fn carry_out(&mut self, output: LinkOutput) {
        match output {
            LinkOutput::Event(event) => self.events.push(event),
            LinkOutput::Connect { wire, .. } => {
                self.attempts.push(self.now.mono);
                if self.closed {
                    return self.link.closed(wire, "connection refused", self.now);
                }
                self.wires[wire as usize] = Some(match self.protocol {
                    Protocol::Json => Box::new(ZmqRep::new(self.now)),
                    Protocol::Binary => Box::new(RpcServer::new(&Hello::of("player", ""), self.now)),
                });
                self.link.connected(wire, self.now);
            }
            LinkOutput::Send { wire, bytes } => {
                if let (false, Some(server)) = (self.hung, &mut self.wires[wire as usize]) {
                    server.receive(&bytes, self.now);
                }
            }
            LinkOutput::Disconnect { wire, .. } => {
                self.dropped.push(wire);
                self.wires[wire as usize] = None;
            }
        }
    }

    fn serve(&mut self, wire: WireId) -> bool {
        let mut moved = false;
        while let Some(output) = self.wires[wire as usize].as_mut().and_then(|s| s.poll()) {
            moved = true;
            match output {
                ServerOutput::Send(bytes) => self.link.received(wire, &bytes, self.now),
                ServerOutput::Call { seq, call, terms } => {
                    (self.who, self.begin_by) = (terms.who, terms.begin_by);
                    let answer = self.answer(&call);
                    self.took.push((wire, call));
                    if let (Some(outcome), Some(server)) = (answer, &mut self.wires[wire as usize]) {
                        server.reply(seq, outcome, self.now);
                    }
                }
                ServerOutput::ListMethods { seq, .. } => {
                    self.listed += 1;
                    let methods = Value::List(vec![Value::List(vec!["start".into(), "Starts.".into()])]);
                    if let Some(server) = &mut self.wires[wire as usize] {
                        server.reply(seq, Ok(methods), self.now);
                    }
                }
                ServerOutput::Cancel { .. } => self.cancelled += 1,
                ServerOutput::Close(_) => self.wires[wire as usize] = None,
                ServerOutput::Subscribe { .. } | ServerOutput::PauseReading(_) => {}
            }
        }
        moved
    }

    fn answer(&self, call: &Call) -> Option<Outcome> {
        if self.held.contains(&call.method.as_str()) {
            return None;
        }
        let ours = self.kind == Kind::Ours;
        Some(match call.method.as_str() {
            "describe" if ours => Ok(Value::List(vec![Value::Map(vec![("name".into(), "start".into())])])),
            "player_state" if ours => Ok(Value::Map(vec![
                ("mode".into(), "HBW".into()),
                ("state".into(), "READY".into()),
                ("utc_ns".into(), Value::Int(self.now.utc.0 + 25_000_000)),
            ])),
            "describe" | "player_state" => Err(CallError::key_error(&call.method)),
            "get_mode" => Ok("HBW".into()),
            "scan_status" => Ok(Value::List(vec![Value::Bool(true), "NETSTAT=receiving".into()])),
            _ => Ok(Value::verdict(true, "done")),
        })
    }
}

#[test]
fn a_player_of_ours_is_learnt_over_both_protocols_and_its_clock_compared() {
    for protocol in [Protocol::Json, Protocol::Binary] {
        let mut pair = Pair::up(protocol, Kind::Ours);
        pair.run(ms(1100));
        let state = pair.events.iter().any(|e| matches!(e, LinkEvent::State(s) if s.get("mode").is_some()));
        assert!(state, "{protocol:?}: {:?}", pair.events);
        let offset = pair.events.iter().find_map(|e| match e {
            LinkEvent::Clock { offset_ns, .. } => Some(*offset_ns),
            _ => None,
        });
        assert_eq!(offset, Some(25_000_000), "{protocol:?}");
        pair.ask(1, "prepare", Lane::Write);
        assert_eq!(pair.replies(), [(AskId(1), Ok(Value::verdict(true, "done")))]);
        let left = pair.begin_by.map(|by| by.since(pair.now.mono));
        assert_eq!(left, Some(ms(5000)), "{protocol:?}: work that is late is not done");
        assert_eq!(pair.who, "dealer-proxy control", "{protocol:?}: whom the player names in its record");
        pair.ask(2, "start", Lane::Write);
        assert_eq!(
            pair.begin_by, None,
            "{protocol:?}: a start waits for its second, whatever our clock says"
        );
    }
}

#[test]
fn a_reference_player_is_learnt_by_list_methods_and_shown_in_our_words() {
    let mut pair = Pair::up(Protocol::Json, Kind::Reference);
    assert_eq!(pair.listed, 3, "one for each interface");
    pair.run(ms(100));
    let state = pair.events.iter().find_map(|e| match e {
        LinkEvent::State(state) => Some(state.clone()),
        _ => None,
    });
    assert_eq!(state.and_then(|s| s.get("state").cloned()), Some("SCANNING".into()));
}

#[test]
fn a_player_of_ours_that_is_silent_is_gone_in_4_s_and_found_again() {
    for protocol in [Protocol::Json, Protocol::Binary] {
        let mut pair = Pair::up(protocol, Kind::Ours);
        pair.hung = true;
        pair.run(ms(4100));
        assert_eq!(pair.downs(), 1, "{protocol:?}: looked at each second, silent for 3 s");
        pair.hung = false;
        pair.events.clear();
        pair.run(ms(12_000));
        assert_eq!(pair.kind_said(), Some(Kind::Ours), "{protocol:?}");
    }
}

#[test]
fn attempts_come_from_0_1_s_on_and_every_5_s_in_the_end() {
    let mut pair = Pair::new(Protocol::Binary, Kind::Ours);
    pair.closed = true;
    pair.run(ms(60_000));
    let gaps: Vec<u64> = pair.attempts.windows(2).map(|w| w[1].since(w[0]).as_millis() as u64).collect();
    assert!((90..=120).contains(&gaps[0]), "{gaps:?}");
    assert!(gaps.windows(2).all(|g| g[1] + 20 >= g[0]), "{gaps:?}");
    let last = gaps.last().copied().unwrap_or_default();
    assert!((4980..=5040).contains(&last), "{gaps:?}");
}

#[test]
fn stop_and_reads_pass_a_write_that_is_on_its_way() {
    let mut pair = Pair::up(Protocol::Json, Kind::Ours);
    pair.held.push("start");
    pair.ask(1, "start", Lane::Write);
    pair.ask(2, "stop", Lane::Write);
    pair.ask(3, "get_mode", Lane::Read);
    let answered: Vec<u64> = pair.replies().iter().map(|(id, _)| id.0).collect();
    assert_eq!(answered, [2, 3]);
    // What it does is looked at more often meanwhile.
    let before = pair.took.iter().filter(|(_, c)| c.method == "player_state").count();
    pair.run(ms(1000));
    let looks = pair.took.iter().filter(|(_, c)| c.method == "player_state").count() - before;
    assert!((3..=5).contains(&looks), "{looks}");
}

#[test]
fn a_player_is_looked_at_after_a_write_and_not_after_a_read() {
    for protocol in [Protocol::Json, Protocol::Binary] {
        let mut pair = Pair::up(protocol, Kind::Ours);
        let looks = |pair: &Pair| pair.took.iter().filter(|(_, c)| c.method == "player_state").count();
        for (lane, more) in [(Lane::Read, 0), (Lane::Write, 1)] {
            let before = looks(&pair);
            pair.ask(1, "prepare", lane);
            pair.run(ms(20));
            assert_eq!(looks(&pair) - before, more, "{protocol:?} {lane:?}");
        }
    }
}

#[test]
fn a_write_that_is_given_up_replaces_its_wire_and_what_waits_behind_it_is_sent_once() {
    let mut pair = Pair::up(Protocol::Json, Kind::Ours);
    pair.held.push("set_mode");
    pair.ask(1, "set_mode", Lane::Write);
    pair.ask(2, "prepare", Lane::Write);
    pair.run(ms(50));
    assert!(pair.replies().is_empty());
    pair.link.abandon(AskId(1), pair.now);
    pair.run(ms(50));
    assert_eq!(pair.dropped, [WireId::Work]);
    assert_eq!(pair.replies(), [(AskId(2), Ok(Value::verdict(true, "done")))]);
    assert_eq!(pair.took.iter().filter(|(_, c)| c.method == "prepare").count(), 1);
    assert_eq!(pair.downs(), 0, "the other wire goes on");
}

#[test]
fn a_call_that_is_given_up_is_taken_back_over_the_binary_rpc() {
    let mut pair = Pair::up(Protocol::Binary, Kind::Ours);
    pair.held.push("set_mode");
    pair.ask(1, "set_mode", Lane::Write);
    pair.link.abandon(AskId(1), pair.now);
    pair.run(ms(50));
    assert_eq!((pair.cancelled, pair.downs()), (1, 0));
    assert!(pair.dropped.is_empty());
}

#[test]
fn an_ask_while_it_is_away_is_answered_at_once() {
    let mut pair = Pair::new(Protocol::Json, Kind::Ours);
    pair.closed = true;
    pair.run(ms(100));
    pair.ask(7, "get_mode", Lane::Read);
    assert!(matches!(pair.replies().as_slice(), [(AskId(7), Err(_))]));
}

#[derive(Clone, Debug)]
enum Push {
    Connected(bool),
    Closed(bool),
    Bytes(bool, Vec<u8>),
    Tick(u16),
    Ask(u8, bool, bool),
    Abandon(u8),
}

fn push() -> impl Strategy<Value = Push> {
    prop_oneof![
        any::<bool>().prop_map(Push::Connected),
        any::<bool>().prop_map(Push::Closed),
        (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..80)).prop_map(|(w, b)| Push::Bytes(w, b)),
        (0u16..7000).prop_map(Push::Tick),
        (any::<u8>(), any::<bool>(), any::<bool>()).prop_map(|(n, w, s)| Push::Ask(n, w, s)),
        any::<u8>().prop_map(Push::Abandon),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_is_borne(
        binary: bool,
        known: bool,
        pushes in proptest::collection::vec(push(), 0..60),
    ) {
        let protocol = if binary { Protocol::Binary } else { Protocol::Json };
        let mut pair =
            if known { Pair::up(protocol, Kind::Ours) } else { Pair::new(protocol, Kind::Ours) };
        let wire = |work: bool| if work { WireId::Work } else { WireId::Look };
        for push in pushes {
            let now = pair.now;
            match push {
                Push::Connected(work) => pair.link.connected(wire(work), now),
                Push::Closed(work) => pair.link.closed(wire(work), "gone", now),
                Push::Bytes(work, bytes) => pair.link.received(wire(work), &bytes, now),
                Push::Tick(after) => {
                    pair.now = Now { mono: now.mono + ms(u64::from(after)), utc: now.utc };
                    pair.link.tick(pair.now);
                }
                Push::Ask(id, write, stop) => {
                    let lane = if write { Lane::Write } else { Lane::Read };
                    let method = if stop { "stop" } else { "get_mode" };
                    pair.link.ask(AskId(u64::from(id)), bank(method, vec![]), lane, ms(1000), now);
                }
                Push::Abandon(id) => pair.link.abandon(AskId(u64::from(id)), now),
            }
            let mut outputs = 0;
            while pair.link.poll().is_some() {
                outputs += 1;
                prop_assert!(outputs < 1000, "it never rests");
            }
        }
    }
}

#[test]
fn a_stop_that_takes_its_time_is_no_silence() {
    let mut pair = Pair::up(Protocol::Json, Kind::Ours);
    pair.held.push("stop");
    pair.ask(1, "stop", Lane::Write);
    pair.run(ms(6000));
    assert_eq!(pair.downs(), 0, "looks wait behind it, the connection lives");
    pair.hung = true;
    pair.run(ms(4100));
    assert_eq!(pair.downs(), 1, "a dead one is found all the same");
}
