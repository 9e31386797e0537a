//! Faces, role and links together: clients of the proxy, and players that are serving sessions, one over each protocol.

use super::world::ms;
use appliance::api::{Call, CallError, Outcome, Terms};
use appliance::config::settings::LeaseRule;
use appliance::dealer::link::Protocol as Spoken;
use appliance::dealer::roster::Roster;
use appliance::dealer::rules::Rules;
use appliance::node::access::Access;
use appliance::node::dealer::{Done, Job};
use appliance::node::dialing::Place;
use appliance::node::faces::{Port, Protocol};
use appliance::node::leases::Leases;
use appliance::node::{DealerNode, DealerNodeConfig, DeskConfig};
use appliance::player::methods::{BANK, SCANS};
use appliance::proto::rpc_frame::Hello;
use appliance::reactor::{
    Address, App, CloseReason, ConnId, Effect, Effects, Event, Peer, Request, Tag, TimerKey, When,
};
use appliance::session::client::{Client, ClientOutput};
use appliance::session::rpc_client::RpcClient;
use appliance::session::rpc_server::RpcServer;
use appliance::session::zmq_rep::ZmqRep;
use appliance::session::{Server, ServerOutput};
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// A player as a client sees it: methods, and who has control.
struct Player {
    leases: Leases,
    /// The lease of a connection.
    bound: HashMap<ConnId, String>,
    /// It takes calls and answers none.
    hangs: bool,
    /// Who called what that changes something.
    wrote: Vec<(String, String)>,
}

impl Player {
    fn answer(&mut self, conn: ConnId, call: &Call, mut terms: Terms, now: Now) -> Outcome {
        if terms.lease.is_empty() {
            terms.lease = self.bound.get(&conn).cloned().unwrap_or_default();
        }
        let token = Some(terms.lease.as_str()).filter(|t| !t.is_empty());
        let text = |n: usize| call.args.get(n).and_then(Value::as_str).unwrap_or_default();
        let seconds = || call.args.get(1).and_then(Value::as_f64).expect("seconds");
        let lease = match (call.interface.as_str(), call.method.as_str()) {
            ("rpc", "describe") => {
                let named = |name: &str| Value::Map(vec![("name".into(), name.into())]);
                return Ok(Value::List(vec![named("prepare"), named("player_state")]));
            }
            ("rpc", "acquire") => self.leases.acquire(text(0), seconds(), text(2), token, now)?,
            ("rpc", "renew") => self.leases.renew(text(0), seconds(), now)?,
            ("rpc", "release") => return Ok(self.leases.release(text(0), now).is_some().into()),
            ("bank", "player_state") => {
                let state =
                    [("mode", "HBW".into()), ("state", "READY".into()), ("lease", self.leases.describe(now))];
                return Ok(Value::Map(state.map(|(k, v)| (k.to_owned(), v)).to_vec()));
            }
            (_, name) => {
                let method = BANK.iter().chain(SCANS).find(|m| m.name == name);
                let method = method.ok_or_else(|| CallError::key_error(name))?;
                self.leases.admit(method, token, now)?;
                self.wrote.push((terms.who, name.to_owned()));
                return Ok(Value::verdict(true, "done"));
            }
        };
        self.bound.insert(conn, lease.token.clone());
        let Value::Map(mut fields) = lease.granted(now) else { panic!("an object") };
        fields.push(("rule".into(), self.leases.rule().name().into()));
        Ok(Value::Map(fields))
    }
}

enum End {
    Client { session: Box<RpcClient>, replies: HashMap<u64, Outcome> },
    Player { player: usize, session: Box<dyn Server> },
}

/// A loop in memory.
struct House {
    node: DealerNode,
    now: Now,
    fx: Effects<Job>,
    timers: HashMap<TimerKey, When>,
    ends: BTreeMap<ConnId, End>,
    players: Vec<Player>,
    unreachable: bool,
    /// Players do not answer this.
    withheld: &'static str,
    withheld_from: Vec<(ConnId, u64)>,
    next_conn: u64,
    facts: VecDeque<Event<'static, Done>>,
    bytes: VecDeque<(ConnId, Vec<u8>)>,
    exit: Option<u8>,
}

const CLIENTS: &str = "127.0.0.1:6668";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl House {
    /// BANKA speaks JSON, BANKB the binary RPC; both have this rule, the proxy has none.
    fn new(rule: LeaseRule) -> House {
        House::with(rule, LeaseRule::default())
    }

    fn with(rule: LeaseRule, of_proxy: LeaseRule) -> House {
        House::build(rule, of_proxy).begun()
    }

    fn build(rule: LeaseRule, of_proxy: LeaseRule) -> House {
        let now = Now { mono: Mono(1_000_000_000), utc: Utc::from_seconds(1_795_280_400) };
        let names = ["BANKA", "BANKB"].map(String::from);
        let place = |port| Place::Tcp { host: "127.0.0.1".into(), port };
        let places = vec![
            (names[0].clone(), place(1000), Spoken::Json),
            (names[1].clone(), place(1001), Spoken::Binary),
        ];
        let port = Port {
            protocol: Protocol::Binary,
            address: Address::Tcp(address(CLIENTS)),
            read_only: false,
            player: None,
        };
        let access = Access::default();
        let desk = DeskConfig { ports: vec![port], access, lease: of_proxy, ..DeskConfig::default() };
        let name = "control".to_owned();
        let config = DealerNodeConfig {
            desk,
            name: name.clone(),
            places,
            resolve: Vec::new(),
            alias: true,
            journal: None,
            state_file: None,
        };
        let roster = Roster::new(&names, &BTreeMap::new(), &[], now).expect("sound");
        let player =
            || Player { leases: Leases::new(rule), bound: HashMap::new(), hangs: false, wrote: Vec::new() };
        House {
            node: DealerNode::new(config, roster, Rules { name, ..Rules::default() }, now),
            now,
            fx: Effects::default(),
            timers: HashMap::new(),
            ends: BTreeMap::new(),
            players: vec![player(), player()],
            unreachable: false,
            withheld: "",
            withheld_from: Vec::new(),
            next_conn: 1,
            facts: VecDeque::new(),
            bytes: VecDeque::new(),
            exit: None,
        }
    }

    /// No player answers.
    fn apart() -> House {
        let mut house = House::build(LeaseRule::Cooperative, LeaseRule::Cooperative);
        house.unreachable = true;
        house.begun()
    }

    fn begun(mut self) -> House {
        self.node.start(self.now, &mut self.fx);
        self.run(ms(300));
        self
    }

    fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    fn client(&mut self, who: &str) -> ConnId {
        let conn = self.conn();
        let session = Box::new(RpcClient::new(&Hello::of("client", who), self.now));
        self.ends.insert(conn, End::Client { session, replies: HashMap::new() });
        let peer = Peer { address: Address::Tcp(address("127.0.0.1:50000")), credentials: None };
        self.facts.push_back(Event::Accepted { listener: Tag(100), conn, peer });
        self.run(ms(1));
        self.listen_to(conn);
        conn
    }

    fn ask(&mut self, conn: ConnId, interface: &str, method: &str, args: Vec<Value>) -> Outcome {
        let seq = self.call(conn, interface, method, args, None);
        self.answer(conn, seq)
    }

    fn call(
        &mut self,
        conn: ConnId,
        interface: &str,
        method: &str,
        args: Vec<Value>,
        within: Option<Duration>,
    ) -> u64 {
        let call = Call { interface: interface.into(), method: method.into(), args, kwargs: vec![] };
        let now = self.now;
        let Some(End::Client { session, .. }) = self.ends.get_mut(&conn) else { panic!("no client") };
        let seq = match within {
            None => session.call(call, now),
            Some(within) => session.call_within(call, within, now),
        };
        self.listen_to(conn);
        self.run(ms(1));
        seq
    }

    /// What was withheld is answered now.
    fn let_go(&mut self) {
        self.withheld = "";
        let now = self.now;
        for (conn, seq) in std::mem::take(&mut self.withheld_from) {
            if let Some(End::Player { session, .. }) = self.ends.get_mut(&conn) {
                session.reply(seq, Ok(Value::verdict(true, "done at last")), now);
            }
            self.listen_to(conn);
        }
    }

    /// What players were asked to change, each.
    fn wrote(&self) -> Vec<Vec<&str>> {
        self.players.iter().map(|p| p.wrote.iter().map(|(_, name)| name.as_str()).collect()).collect()
    }

    fn answer(&mut self, conn: ConnId, seq: u64) -> Outcome {
        for _ in 0..500 {
            self.run(ms(10));
            if let Some(End::Client { replies, .. }) = self.ends.get(&conn)
                && let Some(outcome) = replies.get(&seq)
            {
                return outcome.clone();
            }
        }
        panic!("no answer to call {seq}")
    }

    fn run(&mut self, d: Duration) {
        let end = self.now.mono + d;
        loop {
            self.settle();
            let at = |w: &When| match w {
                When::Mono(m) => *m,
                When::Utc(_) => panic!("the proxy waits for no second of the wall clock"),
            };
            let due = self.timers.iter().map(|(k, w)| (at(w), *k)).min_by_key(|(t, k)| (*t, k.0));
            let Some((t, key)) = due.filter(|(t, _)| *t <= end) else { break };
            let d = t.since(self.now.mono);
            self.now = Now { mono: self.now.mono + d, utc: self.now.utc + d };
            self.timers.remove(&key);
            self.node.handle(Event::Timer { key }, self.now, &mut self.fx);
        }
        let d = end.since(self.now.mono);
        self.now = Now { mono: self.now.mono + d, utc: self.now.utc + d };
    }

    fn settle(&mut self) {
        loop {
            let effects: Vec<Effect<Job>> = self.fx.drain().collect();
            for effect in effects {
                self.obey(effect);
            }
            if let Some(fact) = self.facts.pop_front() {
                self.node.handle(fact, self.now, &mut self.fx);
            } else if let Some((conn, bytes)) = self.bytes.pop_front() {
                self.node.handle(Event::Received { conn, bytes: &bytes }, self.now, &mut self.fx);
            } else {
                return;
            }
        }
    }

    fn obey(&mut self, effect: Effect<Job>) {
        match effect {
            Effect::Connect { tag, .. } if self.unreachable => {
                self.facts.push_back(Event::ConnectFailed { tag, error: "connection refused".into() });
            }
            Effect::Connect { tag, address: Address::Tcp(at), .. } => {
                let conn = self.conn();
                let player = usize::from(at.port() - 1000);
                let session: Box<dyn Server> = match player {
                    0 => Box::new(ZmqRep::new(self.now)),
                    _ => Box::new(RpcServer::new(&Hello::of("player", "BANKB"), self.now)),
                };
                self.ends.insert(conn, End::Player { player, session });
                self.facts.push_back(Event::Connected { tag, conn });
                self.listen_to(conn);
            }
            Effect::Send { conn, bytes } => {
                match self.ends.get_mut(&conn) {
                    Some(End::Client { session, .. }) => session.receive(&bytes, self.now),
                    Some(End::Player { session, .. }) => session.receive(&bytes, self.now),
                    None => {}
                }
                self.listen_to(conn);
            }
            Effect::Close { conn } | Effect::Abort { conn } => drop(self.ends.remove(&conn)),
            Effect::SetTimer { key, at } => drop(self.timers.insert(key, at)),
            Effect::CancelTimer { key } => drop(self.timers.remove(&key)),
            Effect::Exit { code } => self.exit = Some(code),
            _ => {}
        }
    }

    /// What an end has to say.
    fn listen_to(&mut self, conn: ConnId) {
        let now = self.now;
        match self.ends.get_mut(&conn) {
            Some(End::Client { session, replies }) => {
                while let Some(output) = session.poll() {
                    match output {
                        ClientOutput::Send(bytes) => self.bytes.push_back((conn, bytes)),
                        ClientOutput::Reply { seq, outcome } => drop(replies.insert(seq, outcome)),
                        _ => {}
                    }
                }
            }
            Some(End::Player { player, session }) => {
                while let Some(output) = session.poll() {
                    match output {
                        ServerOutput::Send(bytes) => self.bytes.push_back((conn, bytes)),
                        ServerOutput::Call { .. } if self.players[*player].hangs => {}
                        ServerOutput::Call { seq, call, .. } if call.method == self.withheld => {
                            self.withheld_from.push((conn, seq));
                        }
                        ServerOutput::Call { seq, call, terms } => {
                            let outcome = self.players[*player].answer(conn, &call, terms, now);
                            session.reply(seq, outcome, now);
                        }
                        _ => {}
                    }
                }
            }
            None => {}
        }
    }
}

#[test]
fn control_of_the_proxy_is_control_of_its_players_and_of_nobody_else() {
    let mut house = House::new(LeaseRule::Required);
    let (ann, ben) = (house.client("ann@hill"), house.client("ben@valley"));
    let free = house.ask(ben, "dealer", "prepare", vec![]).expect("an entry each").to_string();
    assert!(free.contains("rpc.acquire(who, seconds) at the proxy control"), "{free}");

    let got = house.ask(ann, "rpc", "acquire", vec!["ann".into(), 600.into(), "tests".into()]).expect("free");
    let players = got.get("players").expect("what players say").to_string();
    assert_eq!(players, "{'BANKA': [True, 'control is ours'], 'BANKB': [True, 'control is ours']}");
    for player in &house.players {
        assert_eq!(player.leases.holder(house.now).map(|l| l.who.as_str()), Some("ann via control"));
    }
    for method in ["dealer", "BANKA", "BANKB"] {
        let refused = house.ask(ben, method, "prepare", vec![]).expect_err("it is ann's").message;
        assert_eq!(
            refused,
            format!(
                "{method}.prepare refused: control is with ann (tests) until 2026-11-21 17:10:00 UTC; reads and stop \
                 are always allowed"
            )
        );
    }
    let done = house.ask(ann, "dealer", "prepare", vec![]).expect("an entry each").to_string();
    assert_eq!(done, "{'BANKA': [True, 'done'], 'BANKB': [True, 'done']}");
    for player in &house.players {
        assert_eq!(player.wrote, [("dealer-proxy control".to_owned(), "prepare".to_owned())]);
    }
    house.ask(ben, "dealer", "stop", vec![]).expect("always");

    let token = got.get("token").cloned().expect("a token");
    assert_eq!(house.ask(ann, "rpc", "release", vec![token]), Ok(Value::Bool(true)));
    assert!(house.players.iter().all(|p| p.leases.holder(house.now).is_none()), "given back everywhere");
}

#[test]
fn a_lease_that_ends_by_itself_ends_at_the_players() {
    let mut house = House::new(LeaseRule::Cooperative);
    let ann = house.client("ann@hill");
    let got = house.ask(ann, "rpc", "acquire", vec!["ann".into(), 5.into()]).expect("free");
    assert_eq!(got.get("rule"), Some(&"cooperative".into()));
    let ben = house.client("ben@valley");
    let done = house.ask(ben, "dealer", "prepare", vec![]).expect("an entry each").to_string();
    assert!(done.contains("'BANKA': [True, 'done']"), "who knows nothing of leases goes on: {done}");
    house.run(ms(6000));
    assert!(house.players.iter().all(|p| p.leases.holder(house.now).is_none()));
    house.ask(ben, "rpc", "acquire", vec!["ben".into(), 5.into()]).expect("free again");
}

#[test]
fn a_write_whose_client_leaves_before_its_turn_is_not_carried_out() {
    let mut house = House::new(LeaseRule::Cooperative);
    let (ann, ben) = (house.client("ann@hill"), house.client("ben@valley"));
    house.withheld = "prepare";
    let first = house.call(ann, "dealer", "prepare", vec![], None);
    house.call(ben, "dealer", "monitor", vec![], None);
    house.ends.remove(&ben);
    house.facts.push_back(Event::Closed { conn: ben, reason: CloseReason::PeerClosed });
    house.run(ms(10));
    house.let_go();
    house.answer(ann, first).expect("an entry each");
    house.ask(ann, "dealer", "arm_roach", vec![]).expect("an entry each");
    assert_eq!(house.wrote(), [["arm_roach"], ["arm_roach"]], "nobody wants to monitor");
}

#[test]
fn a_write_that_cannot_begin_in_time_is_answered_then_and_never_carried_out() {
    let mut house = House::new(LeaseRule::Cooperative);
    let (ann, ben) = (house.client("ann@hill"), house.client("ben@valley"));
    house.withheld = "prepare";
    house.call(ann, "dealer", "prepare", vec![], None);
    let late = house.call(ben, "dealer", "monitor", vec![], Some(ms(300)));
    house.run(ms(310));
    let Some(End::Client { replies, .. }) = house.ends.get(&ben) else { panic!("a client") };
    let error = replies.get(&late).expect("answered in time").clone().expect_err("too late").message;
    assert_eq!(error, "dealer.monitor could not begin within the caller's deadline, and was not carried out");
    house.let_go();
    house.run(ms(500));
    assert_eq!(house.wrote(), [[""; 0], [""; 0]]);
}

#[test]
fn a_write_that_waited_while_control_went_to_another_is_refused() {
    let mut house = House::with(LeaseRule::Cooperative, LeaseRule::Binding);
    let (ann, ben) = (house.client("ann@hill"), house.client("ben@valley"));
    house.withheld = "prepare";
    house.call(ann, "dealer", "prepare", vec![], None);
    let waiting = house.call(ann, "dealer", "monitor", vec![], None);
    house.ask(ben, "rpc", "acquire", vec!["ben".into(), 600.into()]).expect("free");
    house.let_go();
    let error = house.answer(ann, waiting).expect_err("it is ben's").message;
    assert!(error.starts_with("dealer.monitor refused: control is with ben"), "{error}");
    assert_eq!(house.wrote(), [[""; 0], [""; 0]]);
}

#[test]
fn a_player_that_was_never_seen_is_lost_and_not_unknown() {
    let mut house = House::apart();
    let ann = house.client("ann@hill");
    for interface in ["BANKA", "BANKA.valon", "bank"] {
        let error = house.ask(ann, interface, "get_mode", vec![]).expect_err("not there").message;
        assert_eq!(error, "Lost connection to server for BANKA.");
    }
}

#[test]
fn a_proxy_that_is_stopped_gives_its_players_back_first_and_does_not_wait_for_one_that_hangs() {
    for hangs in [false, true] {
        let mut house = House::new(LeaseRule::Binding);
        house.node.handle(Event::Signal(Request::Stop { count: 1 }), house.now, &mut house.fx);
        house.settle();
        assert_eq!(house.exit, Some(0), "nothing to give back: at once");

        let mut house = House::new(LeaseRule::Binding);
        let ann = house.client("ann@hill");
        house.ask(ann, "rpc", "acquire", vec!["ann".into(), 600.into()]).expect("free");
        house.players[1].hangs = hangs;
        house.node.handle(Event::Signal(Request::Stop { count: 1 }), house.now, &mut house.fx);
        house.run(ms(2100));
        assert_eq!(house.exit, Some(0));
        let held = |n: usize| house.players[n].leases.holder(house.now).is_some();
        assert_eq!((held(0), held(1)), (false, hangs));
    }
}
