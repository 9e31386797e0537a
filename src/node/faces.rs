//! The serving side: ports, connections, and the session on each connection.
//!
//! A face turns bytes into calls and outcomes into bytes; it knows neither roles nor their state.

use super::access::{Access, Right, peer_name};
use crate::api::Outcome;
use crate::proto::rpc_frame::Hello;
use crate::reactor::{Address, ConnId, Effects, Peer, Tag, TimerKey, When};
use crate::session::rpc_server::RpcServer;
use crate::session::zmq_rep::ZmqRep;
use crate::session::{Server, ServerOutput};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::HashMap;

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
}

impl Port {
    /// `json tcp://127.0.0.1:6667`, with the address actually bound.
    pub fn describe(&self, bound: &Address) -> String {
        match (self.protocol, bound) {
            (Protocol::Json, Address::Tcp(a)) => format!("json=tcp://{a}"),
            (Protocol::Binary, Address::Tcp(a)) => format!("rpc=rpc://{a}"),
            (_, Address::Unix(p)) => format!("rpc=unix:{}", p.display()),
        }
    }
}

struct Connection {
    session: Box<dyn Server>,
    name: String,
    right: Right,
    subscribed: bool,
    timer: Option<Mono>,
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
    connections: HashMap<ConnId, Connection>,
}

/// First tag of the listeners.
const PORT_TAGS: u64 = 100;
/// Timer keys of connections have this bit set.
const CONNECTION_TIMER: u64 = 1 << 63;

impl Faces {
    /// For these ports; `hello` is how binary peers are greeted.
    pub fn new(ports: Vec<Port>, access: Access, hello: Hello) -> Faces {
        Faces { bound: vec![None; ports.len()], ports, access, hello, connections: HashMap::new() }
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
        self.connections.insert(conn, Connection { session, name, right, subscribed: false, timer: None });
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
    pub fn closed(&mut self, conn: ConnId) -> bool {
        self.connections.remove(&conn).is_some()
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
                ServerOutput::Call { seq, call } => events.push(FaceEvent::Call { conn, seq, call }),
                ServerOutput::ListMethods { seq, interface } => {
                    events.push(FaceEvent::ListMethods { conn, seq, interface });
                }
                ServerOutput::Cancel { seq } => events.push(FaceEvent::Cancel { conn, seq }),
                ServerOutput::Subscribe { .. } => c.subscribed = true,
                ServerOutput::PauseReading(paused) => fx.push(Effect::PauseReading { conn, paused }),
                ServerOutput::Close(why) => {
                    log::info!("closing {}: {why}", c.name);
                    fx.push(Effect::Close { conn });
                }
            }
        }
        let deadline = c.session.deadline();
        if deadline != c.timer {
            c.timer = deadline;
            let key = TimerKey(conn.0 | CONNECTION_TIMER);
            match deadline {
                Some(at) => fx.set_timer(key, When::Mono(at)),
                None => fx.cancel_timer(key),
            }
        }
        events
    }
}
