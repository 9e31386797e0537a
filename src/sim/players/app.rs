//! Simulated players on listeners, one each: connections to [`SimPlayer`], answers to the loop.

use super::fault::Fault;
use super::player::{Output, SimPlayer};
use crate::proto::rpc_frame::Hello;
use crate::reactor::{Address, App, ConnId, Effect, Effects, Event, Request, Tag, TimerKey, When};
use crate::session::rpc_server::RpcServer;
use crate::session::zmq_rep::ZmqRep;
use crate::session::{Server, ServerOutput};
use crate::units::{Mono, Now};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Most players of one process: each has two connections of a proxy that speaks JSON, and the loop takes 1024.
pub const PLAYERS_MAX: usize = 500;
/// Exit status when a port cannot be had.
pub const EXIT_NO_PORT: u8 = 1;
/// Timer keys of connections have this bit set; the others are players.
const CONNECTION_TIMER: u64 = 1 << 63;

/// Where the players listen.
#[derive(Clone, Debug)]
pub enum Ports {
    /// Ports of this address, counted on from this one; 0 picks each.
    Tcp(IpAddr, u16),
    /// Sockets `NAME.sock` in this directory.
    Unix(PathBuf),
}

/// How many players, and what they are like.
#[derive(Clone, Debug)]
pub struct PlayersConfig {
    /// How many, 1 to [`PLAYERS_MAX`].
    pub count: usize,
    /// They are called `NAME01`, `NAME02`, ...
    pub name: String,
    /// Where they listen.
    pub ports: Ports,
    /// JSON over ZeroMQ instead of the binary RPC.
    pub json: bool,
    /// The mode that is set at the beginning, if one is.
    pub mode: Option<String>,
    /// How long `set_mode` takes.
    pub mode_takes: Duration,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Of everything random.
    pub seed: u64,
}

/// Told the names and addresses of all players, as a proxy's configuration wants them, or why there are none.
pub type ReadyHook = Box<dyn FnMut(Result<String, String>) + Send>;

struct Seat {
    name: String,
    address: Option<String>,
    player: SimPlayer,
    timer: Option<Mono>,
}

struct Connection {
    player: usize,
    session: Box<dyn Server>,
    subscribed: bool,
    timer: Option<Mono>,
}

/// All players as an app of the loop.
pub struct PlayersApp {
    config: PlayersConfig,
    seats: Vec<Seat>,
    connections: BTreeMap<ConnId, Connection>,
    ready: ReadyHook,
}

impl PlayersApp {
    /// Nobody listens yet.
    pub fn new(config: PlayersConfig, ready: ReadyHook) -> PlayersApp {
        let seat = |n: usize| {
            let name = format!("{}{:02}", config.name, n + 1);
            let seed = config.seed.wrapping_add(n as u64);
            let player =
                SimPlayer::new(&name, config.mode.as_deref(), config.mode_takes, &config.faults, seed);
            Seat { name, address: None, player, timer: None }
        };
        let seats = (0..config.count.clamp(1, PLAYERS_MAX)).map(seat).collect();
        PlayersApp { config, seats, connections: BTreeMap::new(), ready }
    }

    fn address(&self, n: usize) -> Address {
        match &self.config.ports {
            Ports::Tcp(ip, 0) => Address::Tcp(SocketAddr::new(*ip, 0)),
            Ports::Tcp(ip, first) => Address::Tcp(SocketAddr::new(*ip, first.wrapping_add(n as u16))),
            Ports::Unix(dir) => Address::Unix(dir.join(format!("{}.sock", self.seats[n].name))),
        }
    }

    fn listening(&mut self, n: usize, address: &Address) {
        let Some(seat) = self.seats.get_mut(n) else { return };
        seat.address = Some(match address {
            Address::Tcp(at) if self.config.json => format!("{}=tcp://{at}", seat.name),
            Address::Tcp(at) => format!("{}=rpc://{at}", seat.name),
            Address::Unix(path) | Address::Serial(path) => format!("{}=unix:{}", seat.name, path.display()),
        });
        let all: Option<Vec<&str>> = self.seats.iter().map(|s| s.address.as_deref()).collect();
        if let Some(all) = all {
            (self.ready)(Ok(all.join(" ")));
        }
    }

    fn accepted(&mut self, player: usize, conn: ConnId, now: Now) {
        let session: Box<dyn Server> = match self.config.json {
            true => Box::new(ZmqRep::new(now)),
            false => Box::new(RpcServer::new(&Hello::of("player", &self.seats[player].name), now)),
        };
        self.connections.insert(conn, Connection { player, session, subscribed: false, timer: None });
    }

    /// Until neither the session nor the player has anything to say.
    fn settle(&mut self, conn: ConnId, now: Now, fx: &mut Effects<()>) {
        let Some(player) = self.connections.get(&conn).map(|c| c.player) else { return };
        while self.hear(conn, now, fx) {
            self.settle_player(player, now, fx);
        }
    }

    /// What a session says. `true`: there were calls.
    fn hear(&mut self, conn: ConnId, now: Now, fx: &mut Effects<()>) -> bool {
        let Some(c) = self.connections.get_mut(&conn) else { return false };
        let mut called = false;
        while let Some(output) = c.session.poll() {
            let player = &mut self.seats[c.player].player;
            match output {
                ServerOutput::Send(bytes) => fx.send(conn, bytes),
                ServerOutput::Call { seq, call, .. } => {
                    player.call((conn.0, seq), call, now);
                    called = true;
                }
                ServerOutput::ListMethods { seq, interface } => {
                    c.session.reply(seq, Ok(player.table().list_methods(&interface)), now);
                }
                ServerOutput::Subscribe { .. } => c.subscribed = true,
                ServerOutput::PauseReading(paused) => fx.push(Effect::PauseReading { conn, paused }),
                ServerOutput::Close(_) => fx.push(Effect::Close { conn }),
                // What a simulated player does is done when it is called.
                ServerOutput::Cancel { .. } => {}
            }
        }
        // Every message puts the deadline off: a timer that is due earlier stays, and finds nothing to do.
        if let Some(due) = c.session.deadline()
            && c.timer.is_none_or(|set| due < set)
        {
            c.timer = Some(due);
            fx.set_timer(TimerKey(conn.0 | CONNECTION_TIMER), When::Mono(due));
        }
        called
    }

    /// Passes on what a player says.
    fn settle_player(&mut self, n: usize, now: Now, fx: &mut Effects<()>) {
        while let Some(output) = self.seats[n].player.poll() {
            match output {
                Output::Reply((conn, seq), outcome) => {
                    let conn = ConnId(conn);
                    if let Some(c) = self.connections.get_mut(&conn) {
                        c.session.reply(seq, outcome, now);
                        self.hear(conn, now, fx);
                    }
                }
                Output::Kill((conn, _)) => fx.push(Effect::Abort { conn: ConnId(conn) }),
                Output::Changed => self.publish(n, now, fx),
            }
        }
        let seat = &mut self.seats[n];
        let due = seat.player.deadline();
        if due != seat.timer {
            seat.timer = due;
            match due {
                Some(due) => fx.set_timer(TimerKey(n as u64), When::Mono(due)),
                None => fx.cancel_timer(TimerKey(n as u64)),
            }
        }
    }

    fn publish(&mut self, n: usize, now: Now, fx: &mut Effects<()>) {
        let state = self.seats[n].player.state(now);
        let of = |(conn, c): (&ConnId, &Connection)| (c.player == n && c.subscribed).then_some(*conn);
        let subscribers: Vec<ConnId> = self.connections.iter().filter_map(of).collect();
        for conn in subscribers {
            if let Some(c) = self.connections.get_mut(&conn) {
                c.session.publish("player_state", &state, now);
                self.hear(conn, now, fx);
            }
        }
    }

    fn closed(&mut self, conn: ConnId, fx: &mut Effects<()>) {
        if self.connections.remove(&conn).is_some_and(|c| c.timer.is_some()) {
            fx.cancel_timer(TimerKey(conn.0 | CONNECTION_TIMER));
        }
    }

    fn timer(&mut self, key: TimerKey, now: Now, fx: &mut Effects<()>) {
        let conn = ConnId(key.0 & !CONNECTION_TIMER);
        if key.0 & CONNECTION_TIMER == 0 {
            let n = key.0 as usize;
            if let Some(seat) = self.seats.get_mut(n) {
                seat.timer = None;
                seat.player.tick(now);
                self.settle_player(n, now, fx);
            }
        } else if let Some(c) = self.connections.get_mut(&conn) {
            c.timer = None;
            c.session.tick(now);
            self.settle(conn, now, fx);
        }
    }
}

impl App for PlayersApp {
    type Job = ();
    type Done = ();

    fn start(&mut self, _: Now, fx: &mut Effects<()>) {
        for n in 0..self.seats.len() {
            fx.push(Effect::Listen { tag: Tag(n as u64), address: self.address(n) });
        }
    }

    fn handle(&mut self, event: Event<'_, ()>, now: Now, fx: &mut Effects<()>) {
        match event {
            Event::Listening { tag, address } => self.listening(tag.0 as usize, &address),
            Event::ListenFailed { address, error, .. } => {
                (self.ready)(Err(format!("{address:?}: {error}")));
                fx.push(Effect::Exit { code: EXIT_NO_PORT });
            }
            Event::Accepted { listener, conn, .. } => {
                self.accepted(listener.0 as usize, conn, now);
                self.settle(conn, now, fx);
            }
            Event::Received { conn, bytes } => {
                if let Some(c) = self.connections.get_mut(&conn) {
                    c.session.receive(bytes, now);
                    self.settle(conn, now, fx);
                }
            }
            Event::Congested { conn } | Event::Drained { conn } => {
                let congested = matches!(event, Event::Congested { .. });
                if let Some(c) = self.connections.get_mut(&conn) {
                    c.session.set_congested(congested, now);
                    self.settle(conn, now, fx);
                }
            }
            Event::Closed { conn, .. } => self.closed(conn, fx),
            Event::Timer { key } => self.timer(key, now, fx),
            Event::Signal(Request::Stop { .. } | Request::HandOver) => fx.push(Effect::Exit { code: 0 }),
            _ => {}
        }
    }

    fn work((): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dealer::procedure::bank;
    use crate::reactor::Peer;
    use crate::session::client::{Client, ClientOutput};
    use crate::session::rpc_client::RpcClient;
    use crate::value::Value;

    const CONN: ConnId = ConnId(7);

    fn app(count: usize, faults: &[&str]) -> PlayersApp {
        let config = PlayersConfig {
            count,
            name: "SIM".into(),
            ports: Ports::Unix("/nowhere".into()),
            json: false,
            mode: Some("MODE1".into()),
            mode_takes: Duration::ZERO,
            faults: faults.iter().map(|t| t.parse().expect("a fault")).collect(),
            seed: 1,
        };
        PlayersApp::new(config, Box::new(|_| {}))
    }

    /// Sends what the client has to say to player `n`; what comes back, and whether the connection was ended.
    fn exchange(app: &mut PlayersApp, client: &mut RpcClient) -> (Vec<ClientOutput>, bool) {
        let (now, mut fx) = (Now::default(), Effects::default());
        let (mut heard, mut ended) = (Vec::new(), false);
        loop {
            let said: Vec<ClientOutput> = std::iter::from_fn(|| client.poll()).collect();
            let sent: Vec<u8> = said
                .iter()
                .flat_map(|o| match o {
                    ClientOutput::Send(bytes) => bytes.clone(),
                    _ => Vec::new(),
                })
                .collect();
            heard.extend(said.into_iter().filter(|o| !matches!(o, ClientOutput::Send(_))));
            if sent.is_empty() {
                return (heard, ended);
            }
            app.handle(Event::Received { conn: CONN, bytes: &sent }, now, &mut fx);
            for effect in fx.drain() {
                match effect {
                    Effect::Send { bytes, .. } => client.receive(&bytes, now),
                    Effect::Abort { .. } => ended = true,
                    _ => {}
                }
            }
        }
    }

    fn connected(app: &mut PlayersApp, n: u64) -> RpcClient {
        let mut fx = Effects::default();
        let peer = Peer { address: Address::Unix("/nowhere".into()), credentials: None };
        app.handle(Event::Accepted { listener: Tag(n), conn: CONN, peer }, Now::default(), &mut fx);
        let mut client = RpcClient::new(&Hello::of("client", "test"), Now::default());
        for effect in fx.drain() {
            if let Effect::Send { bytes, .. } = effect {
                client.receive(&bytes, Now::default());
            }
        }
        let (heard, _) = exchange(app, &mut client);
        assert_eq!(heard, [ClientOutput::Open]);
        client
    }

    #[test]
    fn each_listener_is_a_player_of_its_own() {
        let mut app = app(3, &[]);
        let mut client = connected(&mut app, 2);
        let seq = client.call(bank("get_status", vec!["BANKNAM".into()]), Now::default());
        let (heard, _) = exchange(&mut app, &mut client);
        assert_eq!(heard, [ClientOutput::Reply { seq, outcome: Ok(Value::from("SIM03")) }]);
    }

    #[test]
    fn a_fault_kills_the_connection() {
        let mut app = app(1, &["kill=get_mode"]);
        let mut client = connected(&mut app, 0);
        client.call(bank("get_mode", vec![]), Now::default());
        assert_eq!(exchange(&mut app, &mut client), (vec![], true));
    }

    #[test]
    fn all_addresses_are_told_at_once() {
        let (tell, told) = std::sync::mpsc::channel();
        let mut app = app(2, &[]);
        app.ready = Box::new(move |text| tell.send(text).expect("the test listens"));
        let mut fx = Effects::default();
        app.start(Now::default(), &mut fx);
        let listens: Vec<Effect<()>> = fx.drain().collect();
        for effect in listens {
            let Effect::Listen { tag, address } = effect else { panic!("only listeners are ordered") };
            app.handle(Event::Listening { tag, address }, Now::default(), &mut fx);
        }
        assert_eq!(
            told.try_recv(),
            Ok(Ok("SIM01=unix:/nowhere/SIM01.sock SIM02=unix:/nowhere/SIM02.sock".into()))
        );
    }
}
