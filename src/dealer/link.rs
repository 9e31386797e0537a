//! The link to one player: found, known for what it is, watched, asked.
//!
//! ```text
//!   apart ──connected──► learning ──rpc.describe / list_methods──► known ──silence, loss──► apart
//!     ▲  0.1 s .. 5 s between attempts                               │ polled each second, asked
//!     └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! Over the binary RPC one wire carries everything. Over JSON there are two: one for reads (and `stop`), one for writes,
//! which are answered when they are done. Calls wait here, not in a wire, so that a wire can be replaced without losing
//! or repeating what was not sent. Not here: sockets (`node::dealer`), deadlines of asks (`role`).

use super::messages::{AskId, Kind, Lane, LinkEvent, RemoteMethod};
use crate::api::{Call, Outcome, builtin};
use crate::proto::rpc_frame::Hello;
use crate::session::client::{Client, ClientOutput, connection_lost};
use crate::session::rpc_client::RpcClient;
use crate::session::zmq_req::ZmqReq;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A connection that is not there by then is not.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A peer that is not known by then is none of ours.
const LEARN_WITHIN: Duration = Duration::from_secs(5);
/// Time between two looks at a player.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// The same while a write is on its way over JSON: what it does is seen in the player's state only.
const POLL_BUSY: Duration = Duration::from_millis(250);
/// A player of ours that leaves a look unanswered for so long is gone.
const SILENT: Duration = Duration::from_secs(3);
/// Between two attempts.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Asks that wait on a wire; more are answered as lost.
const QUEUE_MAX: usize = 256;
/// The wall clock goes as the monotonic one but for this, and for 1 in 1000; otherwise it was set.
const CLOCK_DRIFT_NS: i64 = 1_000_000;
/// The interfaces of a player.
const INTERFACES: [&str; 3] = ["bank", "bank.roach", "bank.valon"];

/// What is spoken to a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// JSON over ZeroMQ.
    Json,
    /// The binary RPC.
    Binary,
}

/// Which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireId {
    /// Reads and `stop`; everything over the binary RPC.
    Look = 0,
    /// Writes over JSON.
    Work = 1,
}

/// What the link wants.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkOutput {
    /// Open a connection; answered by [`PlayerLink::connected`] or [`PlayerLink::closed`].
    Connect {
        /// Which.
        wire: WireId,
        /// Give up after this.
        timeout: Duration,
    },
    /// Write.
    Send {
        /// Where.
        wire: WireId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Drop a connection.
    Disconnect {
        /// Which.
        wire: WireId,
        /// For the log.
        why: String,
    },
    /// For the role.
    Event(LinkEvent),
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Purpose {
    /// An ask of the role.
    Ask(AskId, Lane),
    /// An ask of the role about a lease: its answer says under which we call.
    Control(AskId),
    /// Nobody waits any longer.
    Nobody,
    /// What interface this is.
    Learn(usize),
    /// How it is, asked then.
    Look(Now),
}

impl Purpose {
    fn ask(self) -> Option<AskId> {
        match self {
            Purpose::Ask(id, _) | Purpose::Control(id) => Some(id),
            _ => None,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Stage {
    Closed,
    Connecting,
    Open,
}

/// One connection with its session.
struct Wire {
    stage: Stage,
    session: Option<Box<dyn Client>>,
    sent: BTreeMap<u64, Purpose>,
    queue: VecDeque<(Purpose, Call, Duration)>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("stage", &self.stage).field("sent", &self.sent).finish_non_exhaustive()
    }
}

#[derive(Debug, PartialEq)]
enum Phase {
    /// Nothing; again then.
    Apart { again: Mono },
    /// Being connected and asked what it is.
    Learning { until: Mono, kind: Option<Kind>, next: usize },
    /// Known.
    Known(Kind),
}

/// The link to one player.
#[derive(Debug)]
pub struct PlayerLink {
    protocol: Protocol,
    /// Who we say we are.
    me: Hello,
    /// Token of the lease calls are made under; empty for none.
    lease: String,
    phase: Phase,
    wires: [Wire; 2],
    back_off: Duration,
    methods: Vec<RemoteMethod>,
    next_look: Mono,
    looking_since: Option<Mono>,
    /// Of a reference player, until both parts of its state are there.
    mode_said: Option<Value>,
    out: VecDeque<LinkOutput>,
}

impl PlayerLink {
    /// Connects at the first tick. `name`: of this proxy, for the player's own list of clients.
    pub fn new(protocol: Protocol, name: &str, now: Now) -> PlayerLink {
        let wire =
            || Wire { stage: Stage::Closed, session: None, sent: BTreeMap::new(), queue: VecDeque::new() };
        PlayerLink {
            protocol,
            me: Hello::of("dealer-proxy", name),
            lease: String::new(),
            phase: Phase::Apart { again: now.mono },
            wires: [wire(), wire()],
            back_off: BACK_OFF.0,
            methods: Vec::new(),
            next_look: now.mono,
            looking_since: None,
            mode_said: None,
            out: VecDeque::new(),
        }
    }

    /// Asks the player. Answered by an event, unless it is abandoned.
    pub fn ask(&mut self, id: AskId, call: Call, lane: Lane, within: Duration, now: Now) {
        if !matches!(self.phase, Phase::Known(_)) {
            let outcome = Err(crate::api::CallError::exception("not connected"));
            self.out.push_back(LinkOutput::Event(LinkEvent::Reply { id, outcome }));
            return;
        }
        let wire = self.wire_of(&call, lane);
        let queue = &mut self.wires[wire as usize].queue;
        if queue.len() >= QUEUE_MAX {
            let text = format!("{QUEUE_MAX} calls wait on this player already");
            let outcome = Err(crate::api::CallError::exception(text));
            self.out.push_back(LinkOutput::Event(LinkEvent::Reply { id, outcome }));
            return;
        }
        let about_lease = call.interface == builtin::INTERFACE;
        let purpose = if about_lease { Purpose::Control(id) } else { Purpose::Ask(id, lane) };
        queue.push_back((purpose, call, within));
        if wire == WireId::Work {
            self.next_look = self.next_look.min(now.mono + POLL_BUSY);
        }
        self.feed(now);
    }

    /// `stop` never waits behind what it is to stop, nor control behind what needs it.
    fn wire_of(&self, call: &Call, lane: Lane) -> WireId {
        let stop = call.method == "stop" && call.interface == "bank";
        let control = call.interface == builtin::INTERFACE;
        match (self.protocol, lane) {
            (Protocol::Json, Lane::Write) if !stop && !control => WireId::Work,
            _ => WireId::Look,
        }
    }

    /// Nobody waits for this answer. What was not sent is not sent; what was is taken back where the protocol can, and
    /// a wire on which a write does not come back is replaced.
    pub fn abandon(&mut self, id: AskId, now: Now) {
        for wire in [WireId::Look, WireId::Work] {
            let w = &mut self.wires[wire as usize];
            w.queue.retain(|(p, ..)| p.ask() != Some(id));
            let sent = w.sent.iter().find(|(_, p)| p.ask() == Some(id)).map(|(seq, _)| *seq);
            let Some(seq) = sent else { continue };
            w.sent.insert(seq, Purpose::Nobody);
            match (self.protocol, wire) {
                (Protocol::Binary, _) => {
                    if let Some(session) = &mut w.session {
                        session.cancel(seq, now);
                    }
                }
                (Protocol::Json, WireId::Work) => self.replace(wire),
                // A read, or a stop, of a player that is blocked: its answer comes some time, and is passed over.
                (Protocol::Json, WireId::Look) => {}
            }
        }
        self.drain(now);
    }

    fn replace(&mut self, wire: WireId) {
        let w = &mut self.wires[wire as usize];
        w.session = None;
        w.sent.clear();
        if w.stage != Stage::Closed {
            let why = "a call on it was given up".to_owned();
            self.out.push_back(LinkOutput::Disconnect { wire, why });
        }
        self.connect(wire);
    }

    fn connect(&mut self, wire: WireId) {
        self.wires[wire as usize].stage = Stage::Connecting;
        self.out.push_back(LinkOutput::Connect { wire, timeout: CONNECT_WITHIN });
    }

    /// A connection is there.
    pub fn connected(&mut self, wire: WireId, now: Now) {
        let mut session: Box<dyn Client> = match self.protocol {
            Protocol::Json => Box::new(ZmqReq::watchful(&self.me.who(), now)),
            Protocol::Binary => Box::new(RpcClient::new(&self.me, now)),
        };
        let w = &mut self.wires[wire as usize];
        w.stage = Stage::Open;
        session.set_lease(&self.lease);
        w.session = Some(session);
        if wire == WireId::Look
            && let Phase::Learning { next: 0, kind: None, .. } = self.phase
        {
            self.learn(0, None);
        }
        self.feed(now);
    }

    /// A connection could not be opened, or has ended.
    pub fn closed(&mut self, wire: WireId, why: &str, now: Now) {
        let w = &mut self.wires[wire as usize];
        if w.stage == Stage::Closed {
            return;
        }
        w.stage = Stage::Closed;
        self.part(why, now);
    }

    /// Bytes of a connection.
    pub fn received(&mut self, wire: WireId, bytes: &[u8], now: Now) {
        if let Some(session) = &mut self.wires[wire as usize].session {
            session.receive(bytes, now);
        }
        self.drain(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        for w in &mut self.wires {
            if let Some(session) = &mut w.session {
                session.tick(now);
            }
        }
        match self.phase {
            Phase::Apart { again } if now.mono >= again => {
                self.phase = Phase::Learning { until: now.mono + LEARN_WITHIN, kind: None, next: 0 };
                self.connect(WireId::Look);
                if self.protocol == Protocol::Json {
                    self.connect(WireId::Work);
                }
            }
            Phase::Learning { until, .. } if now.mono >= until => {
                self.part(&format!("it did not say what it is within {} s", LEARN_WITHIN.as_secs()), now);
            }
            Phase::Known(kind) => self.watch(kind, now),
            _ => {}
        }
        self.drain(now);
    }

    fn watch(&mut self, kind: Kind, now: Now) {
        match self.looking_since {
            // A reference player is blocked while it works: its heartbeats say whether it lives.
            Some(since) if kind == Kind::Ours && self.look_sent() && now.mono.since(since) >= SILENT => {
                self.part(&format!("it has not answered for {} s", SILENT.as_secs()), now);
            }
            None if now.mono >= self.next_look => {
                self.looking_since = Some(now.mono);
                self.next_look = now.mono + self.look_every(kind);
                let method = if kind == Kind::Ours { "player_state" } else { "get_mode" };
                self.look(method, now);
            }
            _ => {}
        }
    }

    /// The look has left. Over JSON it may wait for the answer to a `stop`.
    fn look_sent(&self) -> bool {
        self.wires[WireId::Look as usize].sent.values().any(|p| matches!(p, Purpose::Look(_)))
    }

    fn look_every(&self, kind: Kind) -> Duration {
        let busy = !self.wires[WireId::Work as usize].sent.is_empty();
        if busy && kind == Kind::Ours { POLL_BUSY } else { POLL_EVERY }
    }

    fn look(&mut self, method: &str, now: Now) {
        let call = super::procedure::bank(method, Vec::new());
        self.wires[WireId::Look as usize].queue.push_front((Purpose::Look(now), call, SILENT));
        self.feed(now);
    }

    /// When to call [`PlayerLink::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let sessions = self.wires.iter().filter_map(|w| w.session.as_ref()?.deadline());
        let own = match self.phase {
            Phase::Apart { again } => Some(again),
            Phase::Learning { until, .. } => Some(until),
            Phase::Known(kind) => match (self.looking_since, kind) {
                (Some(since), Kind::Ours) if self.look_sent() => Some(since + SILENT),
                (Some(_), _) => None,
                (None, _) => Some(self.next_look),
            },
        };
        sessions.chain(own).min()
    }

    /// Drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<LinkOutput> {
        self.out.pop_front()
    }

    // ------------------------------------------------------------------ learning

    fn learn(&mut self, interface: usize, kind: Option<Kind>) {
        let name = INTERFACES[interface];
        let call = match kind {
            // Whoever can be asked this way is one of ours.
            None | Some(Kind::Ours) => Call {
                interface: "rpc".into(),
                method: "describe".into(),
                args: vec![name.into()],
                kwargs: Vec::new(),
            },
            Some(Kind::Reference) => Call {
                interface: name.into(),
                method: crate::proto::json_rpc::LIST_METHODS.into(),
                args: Vec::new(),
                kwargs: Vec::new(),
            },
        };
        let queue = &mut self.wires[WireId::Look as usize].queue;
        queue.push_back((Purpose::Learn(interface), call, LEARN_WITHIN));
    }

    fn learned(&mut self, interface: usize, outcome: Outcome, now: Now) {
        let Phase::Learning { until, kind, .. } = self.phase else { return };
        let kind = match (kind, &outcome) {
            (None, Ok(Value::List(methods))) if methods.iter().all(|m| m.get("name").is_some()) => Kind::Ours,
            (None, _) => {
                self.methods.clear();
                self.phase = Phase::Learning { until, kind: Some(Kind::Reference), next: 0 };
                self.learn(0, Some(Kind::Reference));
                return self.feed(now);
            }
            (Some(kind), _) => kind,
        };
        if interface == 0 {
            self.methods.clear();
        }
        if let Ok(Value::List(methods)) = outcome {
            self.methods.extend(methods.into_iter().filter_map(|m| remote(INTERFACES[interface], kind, m)));
        }
        let next = interface + 1;
        self.phase = Phase::Learning { until, kind: Some(kind), next };
        if next < INTERFACES.len() {
            self.learn(next, Some(kind));
            return self.feed(now);
        }
        self.known(now);
    }

    /// Both wires are there and it is known what answers: the link is up.
    fn known(&mut self, now: Now) {
        let Phase::Learning { kind: Some(kind), next, .. } = self.phase else { return };
        let working =
            self.protocol == Protocol::Binary || self.wires[WireId::Work as usize].stage == Stage::Open;
        if next < INTERFACES.len() || !working {
            return;
        }
        self.phase = Phase::Known(kind);
        self.back_off = BACK_OFF.0;
        self.next_look = now.mono;
        self.looking_since = None;
        let methods = self.methods.clone();
        self.out.push_back(LinkOutput::Event(LinkEvent::Up { kind, methods }));
        if self.protocol == Protocol::Binary {
            let call = Call {
                interface: builtin::INTERFACE.into(),
                method: builtin::SUBSCRIBE.into(),
                args: vec!["player_state".into()],
                kwargs: Vec::new(),
            };
            self.wires[WireId::Look as usize].queue.push_back((Purpose::Nobody, call, SILENT));
        }
        self.watch(kind, now);
    }

    // ------------------------------------------------------------------ answers

    /// Gives sessions what waits, one call at a time over JSON.
    fn feed(&mut self, now: Now) {
        for w in &mut self.wires {
            let Some(session) = w.session.as_mut().filter(|_| w.stage == Stage::Open) else { continue };
            while (self.protocol == Protocol::Binary || w.sent.is_empty())
                && let Some((purpose, call, within)) = w.queue.pop_front()
            {
                // The time a look takes is counted from here.
                let purpose = match purpose {
                    Purpose::Look(_) => {
                        self.looking_since = Some(now.mono);
                        Purpose::Look(now)
                    }
                    other => other,
                };
                // A start is too late by its own second, and our clock may be set while it waits for that.
                let seq = match call.method == "start" {
                    true => session.call(call, now),
                    false => session.call_within(call, within, now),
                };
                w.sent.insert(seq, purpose);
            }
        }
        self.drain(now);
    }

    fn drain(&mut self, now: Now) {
        for wire in [WireId::Look, WireId::Work] {
            loop {
                let outputs = self.spoken(wire);
                if outputs.is_empty() {
                    break;
                }
                for output in outputs {
                    if let ClientOutput::Close(why) = output {
                        self.part(&why, now);
                        return;
                    }
                    self.heard(wire, output, now);
                }
            }
        }
        self.known(now);
    }

    /// What a session has to say. One that ends answers everything that is open with the loss of the connection; here
    /// that is no answer of the player: the role is told of the loss instead.
    fn spoken(&mut self, wire: WireId) -> Vec<ClientOutput> {
        let Some(session) = &mut self.wires[wire as usize].session else { return Vec::new() };
        let mut all: Vec<ClientOutput> = std::iter::from_fn(|| session.poll()).collect();
        let why = all.iter().find_map(|o| match o {
            ClientOutput::Close(why) => Some(why.clone()),
            _ => None,
        });
        if let Some(why) = why {
            let lost = Err(connection_lost(&why));
            all.retain(|o| !matches!(o, ClientOutput::Reply { outcome, .. } if *outcome == lost));
        }
        all
    }

    fn heard(&mut self, wire: WireId, output: ClientOutput, now: Now) {
        match output {
            ClientOutput::Send(bytes) => self.out.push_back(LinkOutput::Send { wire, bytes }),
            ClientOutput::Reply { seq, outcome } => {
                if let Some(purpose) = self.wires[wire as usize].sent.remove(&seq) {
                    self.answered(purpose, outcome, now);
                    self.feed(now);
                }
            }
            ClientOutput::Event { topic, body, .. } if topic == "player_state" => {
                self.out.push_back(LinkOutput::Event(LinkEvent::State(body)));
            }
            ClientOutput::Open | ClientOutput::Event { .. } | ClientOutput::Close(_) => {}
        }
    }

    fn answered(&mut self, purpose: Purpose, outcome: Outcome, now: Now) {
        match purpose {
            Purpose::Nobody => {}
            Purpose::Control(id) => {
                self.under(&outcome);
                self.out.push_back(LinkOutput::Event(LinkEvent::Reply { id, outcome }));
            }
            Purpose::Ask(id, lane) => {
                self.out.push_back(LinkOutput::Event(LinkEvent::Reply { id, outcome }));
                // What it did may have changed what it is. A read has not: looking again would double its price.
                if lane == Lane::Write {
                    self.next_look = now.mono;
                }
            }
            Purpose::Learn(interface) => self.learned(interface, outcome, now),
            Purpose::Look(asked) => self.looked(asked, outcome, now),
        }
    }

    /// Calls on all wires are made under the lease that was given; after a release, or a refusal, under none.
    fn under(&mut self, outcome: &Outcome) {
        let token = outcome.as_ref().ok().and_then(|granted| granted.get("token")?.as_str());
        self.lease = token.unwrap_or_default().to_owned();
        for session in self.wires.iter_mut().filter_map(|w| w.session.as_mut()) {
            session.set_lease(&self.lease);
        }
    }

    fn looked(&mut self, asked: Now, outcome: Outcome, now: Now) {
        match self.phase {
            Phase::Known(Kind::Ours) => {
                self.looking_since = None;
                if let Ok(state) = outcome {
                    if let Some(event) = clock_of(&state, asked, now) {
                        self.out.push_back(LinkOutput::Event(event));
                    }
                    self.out.push_back(LinkOutput::Event(LinkEvent::State(state)));
                }
            }
            Phase::Known(Kind::Reference) => match self.mode_said.take() {
                None => {
                    self.mode_said = Some(outcome.unwrap_or(Value::Null));
                    self.look("scan_status", now);
                }
                Some(mode) => {
                    self.looking_since = None;
                    let state = reference_state(mode, outcome.ok());
                    self.out.push_back(LinkOutput::Event(LinkEvent::State(state)));
                }
            },
            _ => {}
        }
    }

    /// The link is lost.
    fn part(&mut self, why: &str, now: Now) {
        for wire in [WireId::Look, WireId::Work] {
            let w = &mut self.wires[wire as usize];
            w.session = None;
            w.sent.clear();
            w.queue.clear();
            if w.stage != Stage::Closed {
                w.stage = Stage::Closed;
                self.out.push_back(LinkOutput::Disconnect { wire, why: why.to_owned() });
            }
        }
        if matches!(self.phase, Phase::Apart { .. }) {
            return;
        }
        self.looking_since = None;
        self.mode_said = None;
        self.phase = Phase::Apart { again: now.mono + self.back_off };
        self.back_off = (self.back_off * 2).min(BACK_OFF.1);
        self.out.push_back(LinkOutput::Event(LinkEvent::Down(why.to_owned())));
    }
}

/// A method of `rpc.describe`, or `[name, doc]` of `list_methods`.
fn remote(interface: &str, kind: Kind, method: Value) -> Option<RemoteMethod> {
    let description = match (kind, method) {
        (Kind::Ours, described @ Value::Map(_)) => described,
        (Kind::Reference, Value::List(mut pair)) if !pair.is_empty() => {
            let doc = if pair.len() > 1 { pair.swap_remove(1) } else { Value::Null };
            let name = pair.swap_remove(0);
            Value::Map(vec![("name".into(), name), ("doc".into(), doc)])
        }
        _ => return None,
    };
    description.get("name")?.as_str()?;
    Some(RemoteMethod { interface: interface.to_owned(), description })
}

/// The words of `player_state` for a player that has no such method.
fn reference_state(mode: Value, scan_status: Option<Value>) -> Value {
    let running = match &scan_status {
        Some(Value::List(items)) => items.first() == Some(&Value::Bool(true)),
        _ => false,
    };
    let mode = if mode.as_str().is_some() { mode } else { Value::Null };
    let state = match (running, &mode) {
        (true, _) => "SCANNING",
        (false, Value::Null) => "NO_MODE",
        (false, _) => "READY",
    };
    Value::Map(vec![
        ("mode".into(), mode),
        ("state".into(), state.into()),
        ("scan_status".into(), scan_status.unwrap_or(Value::Null)),
    ])
}

/// The player's clock against ours: its word was true at some moment between question and answer.
fn clock_of(state: &Value, asked: Now, now: Now) -> Option<LinkEvent> {
    let Value::Int(theirs) = state.get("utc_ns")? else { return None };
    let round_trip = i64::try_from(now.mono.since(asked.mono).as_nanos()).ok()?;
    // Our clock was set meanwhile: what "asked" was is not known any longer.
    let stepped = (now.utc.nanos_since(asked.utc) - round_trip).abs();
    if stepped > CLOCK_DRIFT_NS + round_trip / 1000 {
        return None;
    }
    let middle = asked.utc.0 + round_trip / 2;
    Some(LinkEvent::Clock { offset_ns: theirs - middle, uncertainty_ns: round_trip / 2 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Utc;

    #[test]
    fn a_clock_that_was_set_while_a_player_was_asked_measures_nothing() {
        let at = |mono_ms: u64, utc_ms: u64| Now {
            mono: Mono(mono_ms * 1_000_000),
            utc: Utc::from_seconds(1_795_228_800) + Duration::from_millis(utc_ms),
        };
        let state = Value::Map(vec![("utc_ns".into(), Value::Int(at(0, 5).utc.0))]);
        let offset = clock_of(&state, at(0, 0), at(10, 10));
        assert_eq!(offset, Some(LinkEvent::Clock { offset_ns: 0, uncertainty_ns: 5_000_000 }));
        for set_to in [0, 5, 15, 610] {
            assert_eq!(clock_of(&state, at(0, 0), at(10, set_to)), None, "{set_to} ms");
        }
        // A clock that is only steered goes on measuring.
        assert!(clock_of(&state, at(0, 0), at(3000, 3001)).is_some());
    }
}
