//! The serving side: ports, connections, and the session on each connection.
//!
//! A face turns bytes into calls and outcomes into bytes; it knows neither roles nor their state.

use super::access::{Access, Right, peer_name};
use crate::api::{Outcome, Terms};
use crate::proto::rpc_frame::Hello;
use crate::reactor::{Address, ConnId, Effects, Peer, Tag, TimerKey, When};
use crate::session::rpc_server::RpcServer;
use crate::session::zmq_rep::ZmqRep;
use crate::session::{Server, ServerOutput};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::BTreeMap;

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// JSON over ZeroMQ REQ/REP.
    Json,
    /// The binary RPC.
    Binary,
}

/// A port to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where.
    pub address: Address,
    /// Methods that change anything are refused here.
    pub read_only: bool,
    /// `bank` is this player's here, and so are `bank.roach` and `bank.valon` (ports of a dealer proxy).
    pub player: Option<String>,
}

impl Port {
    /// `json tcp://127.0.0.1:6667`, with the address actually bound.
    pub fn describe(&self, bound: &Address) -> String {
        match (self.protocol, bound) {
            (Protocol::Json, Address::Tcp(a)) => match &self.player {
                Some(player) => format!("{player}=tcp://{a}"),
                None => format!("json=tcp://{a}"),
            },
            (Protocol::Binary, Address::Tcp(a)) => format!("rpc=rpc://{a}"),
            (_, Address::Serial(p)) => format!("serial={}", p.display()),
            (_, Address::Unix(p)) => format!("rpc=unix:{}", p.display()),
        }
    }
}

struct Connection {
    session: Box<dyn Server>,
    name: String,
    right: Right,
    /// What `bank` means on the port it came in.
    player: Option<String>,
    subscribed: bool,
    since: Now,
    /// The name the client gave itself last; empty if it gave none.
    who: String,
    /// The lease it holds, or held: calls that name none are made under it.
    lease: Option<String>,
    /// What it called last, and when.
    last: Option<(String, Now)>,
    /// When the timer that is set is due.
    timer: Option<Mono>,
}

impl Connection {
    /// On a port of one player its interfaces have the names they have at the player itself.
    fn meant(&self, interface: String) -> String {
        match (&self.player, interface.strip_prefix("bank")) {
            (Some(player), Some(rest)) if rest.is_empty() || rest.starts_with('.') => {
                format!("{player}{rest}")
            }
            _ => interface,
        }
    }

    /// `tcp://127.0.0.1:50122`, or `ann (tcp://127.0.0.1:50122)`.
    fn title(&self) -> String {
        match self.who.as_str() {
            "" => self.name.clone(),
            who => format!("{who} ({})", self.name),
        }
    }

    /// A client need not say its name with every call, nor its lease on the connection that acquired it.
    fn complete(&mut self, mut terms: Terms) -> Terms {
        if !terms.who.is_empty() {
            self.who.clone_from(&terms.who);
        }
        terms.who.clone_from(&self.who);
        if terms.lease.is_empty() {
            terms.lease = self.lease.clone().unwrap_or_default();
        }
        terms
    }

    /// One line of `rpc.clients`.
    fn describe(&self) -> Value {
        let time = |now: &Now| Value::Str(now.utc.to_string());
        let last = self.last.as_ref();
        Value::Map(vec![
            ("address".into(), self.name.as_str().into()),
            ("who".into(), self.who.as_str().into()),
            ("software".into(), self.session.software().into()),
            ("may_write".into(), (self.right == Right::Write).into()),
            ("subscribed".into(), self.subscribed.into()),
            ("since".into(), time(&self.since)),
            ("last_call".into(), last.map_or(Value::Null, |(method, _)| method.as_str().into())),
            ("last_call_at".into(), last.map_or(Value::Null, |(_, at)| time(at))),
        ])
    }

    /// Sees to it that a timer is due by the session's deadline. Every message puts that deadline off: a timer
    /// that is due earlier stays as it is, finds nothing to do, and is set anew then.
    fn arm<J>(&mut self, conn: ConnId, fx: &mut Effects<J>) {
        let Some(deadline) = self.session.deadline() else { return };
        if self.timer.is_none_or(|set| deadline < set) {
            self.timer = Some(deadline);
            fx.set_timer(TimerKey(conn.0 | CONNECTION_TIMER), When::Mono(deadline));
        }
    }
}

/// What the node has to act on.
#[derive(Debug)]
pub enum FaceEvent {
    /// Somebody calls.
    Call {
        /// The connection.
        conn: ConnId,
        /// Number of the call within its session.
        seq: u64,
        /// The call.
        call: crate::api::Call,
        /// What the client says beside it, and what it said before.
        terms: Terms,
    },
    /// Somebody asks for the methods of an interface.
    ListMethods {
        /// The connection.
        conn: ConnId,
        /// Number of the call within its session.
        seq: u64,
        /// The interface.
        interface: String,
    },
    /// A client withdraws a call.
    Cancel {
        /// The connection.
        conn: ConnId,
        /// Number of the call within its session.
        seq: u64,
    },
}

/// All ports and connections.
pub struct Faces {
    ports: Vec<Port>,
    bound: Vec<Option<Address>>,
    access: Access,
    hello: Hello,
    connections: BTreeMap<ConnId, Connection>,
}

/// First tag of the listeners.
const PORT_TAGS: u64 = 100;
/// Timer keys of connections have this bit set.
const CONNECTION_TIMER: u64 = 1 << 63;

impl Faces {
    /// For these ports; `hello` is how binary peers are greeted.
    pub fn new(ports: Vec<Port>, access: Access, hello: Hello) -> Faces {
        Faces { bound: vec![None; ports.len()], ports, access, hello, connections: BTreeMap::new() }
    }

    /// Orders the listeners.
    pub fn listen<J>(&self, fx: &mut Effects<J>) {
        for (i, port) in self.ports.iter().enumerate() {
            let tag = Tag(PORT_TAGS + i as u64);
            fx.push(crate::reactor::Effect::Listen { tag, address: port.address.clone() });
        }
    }

    /// A listener is open. When all are: how a parent is told, one `face=address` for each.
    pub fn listening(&mut self, tag: Tag, address: Address) -> Option<String> {
        let i = (tag.0 - PORT_TAGS) as usize;
        log::info!("listening: {}", self.ports[i].describe(&address));
        self.bound[i] = Some(address);
        let all: Option<Vec<String>> =
            self.ports.iter().zip(&self.bound).map(|(p, b)| b.as_ref().map(|a| p.describe(a))).collect();
        all.map(|a| a.join(" "))
    }

    /// Somebody connected.
    pub fn accepted<J>(&mut self, listener: Tag, conn: ConnId, peer: &Peer, now: Now, fx: &mut Effects<J>) {
        let port = &self.ports[(listener.0 - PORT_TAGS) as usize];
        let right = self.access.right(peer, port.read_only);
        let name = peer_name(peer);
        if right == Right::Nothing {
            log::warn!("refused {name}: not in listen.allow");
            fx.push(crate::reactor::Effect::Abort { conn });
            return;
        }
        log::debug!("{name} connected");
        let session: Box<dyn Server> = match port.protocol {
            Protocol::Json => Box::new(ZmqRep::new(now)),
            Protocol::Binary => Box::new(RpcServer::new(&self.hello, now)),
        };
        self.connections.insert(
            conn,
            Connection {
                session,
                name,
                right,
                player: port.player.clone(),
                subscribed: false,
                since: now,
                who: String::new(),
                lease: None,
                last: None,
                timer: None,
            },
        );
    }

    /// Bytes of a connection. `false`: not one of ours.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) -> bool {
        match self.connections.get_mut(&conn) {
            Some(c) => {
                c.session.receive(bytes, now);
                true
            }
            None => false,
        }
    }

    /// A connection has ended.
    pub fn closed<J>(&mut self, conn: ConnId, fx: &mut Effects<J>) -> bool {
        let Some(connection) = self.connections.remove(&conn) else { return false };
        if connection.timer.is_some() {
            fx.cancel_timer(TimerKey(conn.0 | CONNECTION_TIMER));
        }
        true
    }

    /// The peer takes less than it is given (or takes it again): its events wait, the oldest are dropped and counted.
    pub fn set_congested(&mut self, conn: ConnId, congested: bool, now: Now) {
        if let Some(c) = self.connections.get_mut(&conn) {
            c.session.set_congested(congested, now);
        }
    }

    /// A timer is due. `false`: not one of ours.
    pub fn timer(&mut self, key: TimerKey, now: Now) -> Option<ConnId> {
        if key.0 & CONNECTION_TIMER == 0 {
            return None;
        }
        let conn = ConnId(key.0 & !CONNECTION_TIMER);
        if let Some(c) = self.connections.get_mut(&conn) {
            c.timer = None;
            c.session.tick(now);
        }
        Some(conn)
    }

    /// An outcome for a call.
    pub fn reply(&mut self, conn: ConnId, seq: u64, outcome: Outcome, now: Now) {
        if let Some(c) = self.connections.get_mut(&conn) {
            c.session.reply(seq, outcome, now);
        }
    }

    /// What a peer may do, and its name.
    pub fn peer(&self, conn: ConnId) -> Option<(&str, Right)> {
        self.connections.get(&conn).map(|c| (c.name.as_str(), c.right))
    }

    /// A peer with the name it gave itself.
    pub fn title(&self, conn: ConnId) -> Option<String> {
        self.connections.get(&conn).map(Connection::title)
    }

    /// What a client calls, for [`Faces::clients`].
    pub fn called(&mut self, conn: ConnId, method: String, now: Now) {
        if let Some(c) = self.connections.get_mut(&conn) {
            c.last = Some((method, now));
        }
    }

    /// From now on the calls of this connection are made under this lease, or none.
    pub fn bind_lease(&mut self, conn: ConnId, token: Option<String>) {
        if let Some(c) = self.connections.get_mut(&conn) {
            c.lease = token;
        }
    }

    /// Everybody who is connected.
    pub fn clients(&self) -> Value {
        Value::List(self.connections.values().map(Connection::describe).collect())
    }

    /// A state change for all subscribers; returns whom it went to.
    pub fn publish(&mut self, topic: &str, body: impl FnOnce() -> Value, now: Now) -> Vec<ConnId> {
        let subscribers: Vec<ConnId> =
            self.connections.iter().filter(|(_, c)| c.subscribed).map(|(id, _)| *id).collect();
        if !subscribers.is_empty() {
            let body = body();
            for conn in &subscribers {
                if let Some(c) = self.connections.get_mut(conn) {
                    c.session.publish(topic, &body, now);
                }
            }
        }
        subscribers
    }

    /// Passes on what a session wants; returns what the node has to act on.
    pub fn drain<J>(&mut self, conn: ConnId, fx: &mut Effects<J>) -> Vec<FaceEvent> {
        use crate::reactor::Effect;
        let mut events = Vec::new();
        let Some(c) = self.connections.get_mut(&conn) else { return events };
        while let Some(output) = c.session.poll() {
            match output {
                ServerOutput::Send(bytes) => fx.send(conn, bytes),
                ServerOutput::Call { seq, mut call, terms } => {
                    call.interface = c.meant(call.interface);
                    let terms = c.complete(terms);
                    events.push(FaceEvent::Call { conn, seq, call, terms });
                }
                ServerOutput::ListMethods { seq, interface } => {
                    let interface = c.meant(interface);
                    events.push(FaceEvent::ListMethods { conn, seq, interface });
                }
                ServerOutput::Cancel { seq } => events.push(FaceEvent::Cancel { conn, seq }),
                ServerOutput::Subscribe { .. } => c.subscribed = true,
                ServerOutput::PauseReading(paused) => fx.push(Effect::PauseReading { conn, paused }),
                ServerOutput::Close(why) => {
                    log::info!("closing {}: {why}", c.title());
                    fx.push(Effect::Close { conn });
                }
            }
        }
        c.arm(conn, fx);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Effect;
    use crate::session::liveness::{ASK_AFTER, HANDSHAKE};

    const CONN: ConnId = ConnId(7);

    fn at(s: u64) -> Now {
        Now { mono: Mono(s * 1_000_000_000), ..Now::default() }
    }

    /// The timers ordered by draining the connection.
    fn timers(faces: &mut Faces) -> Vec<(TimerKey, When)> {
        let mut fx = Effects::<()>::default();
        faces.drain(CONN, &mut fx);
        let timer = |e| if let Effect::SetTimer { key, at } = e { Some((key, at)) } else { None };
        fx.drain().filter_map(timer).collect()
    }

    fn connected() -> Faces {
        let address = Address::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        let port =
            Port { protocol: Protocol::Binary, address: address.clone(), read_only: false, player: None };
        let mut faces = Faces::new(vec![port], Access::default(), Hello::of("player", "TEST"));
        let peer = Peer { address, credentials: None };
        faces.accepted::<()>(Tag(PORT_TAGS), CONN, &peer, at(0), &mut Effects::default());
        faces
    }

    #[test]
    fn a_message_does_not_move_the_timer_and_the_timer_moves_itself() {
        let key = TimerKey(CONN.0 | CONNECTION_TIMER);
        let mut faces = connected();
        assert_eq!(timers(&mut faces), [(key, When::Mono(at(0).mono + HANDSHAKE))]);
        let hello = Hello::of("client", "test");
        let client = crate::session::rpc_client::RpcClient::new(&hello, at(1));
        let mut client: Box<dyn crate::session::client::Client> = Box::new(client);
        let Some(crate::session::client::ClientOutput::Send(greeting)) = client.poll() else {
            panic!("a client begins with its hello")
        };
        assert!(faces.received(CONN, &greeting, at(1)));
        let first = at(1).mono + ASK_AFTER;
        assert_eq!(timers(&mut faces), [(key, When::Mono(first))], "earlier than what is set: moved");
        assert!(faces.received(CONN, b"", at(5)));
        assert_eq!(timers(&mut faces), [], "later than what is set: not touched");
        assert_eq!(faces.timer(key, Now { mono: first, ..Now::default() }), Some(CONN));
        assert_eq!(timers(&mut faces), [(key, When::Mono(at(5).mono + ASK_AFTER))], "found early, set anew");
    }
}
