//! The Archon simulator on a listener: connections to [`Archon`], its orders to the loop.

use super::archon::{Archon, ArchonSimConfig, ClientId, Output};
use super::roach_app::{EXIT_NO_PORT, ReadyHook};
use crate::reactor::{Address, App, ConnId, Effect, Effects, Event, Request, Tag, TimerKey, When};
use crate::units::Now;
use std::net::SocketAddr;

const LISTENER: Tag = Tag(1);
const DUE: TimerKey = TimerKey(1);
/// Output given to a connection before the loop says how it fares: more waits in the simulator, unmade.
const AHEAD: usize = 4 << 20;

/// The simulator as an app of the loop.
pub struct ArchonApp {
    bind: SocketAddr,
    archon: Archon,
    ready: Option<ReadyHook>,
}

impl ArchonApp {
    /// Serves a controller that boots now on `bind`; port 0 picks one.
    pub fn new(bind: SocketAddr, config: ArchonSimConfig, ready: Option<ReadyHook>, now: Now) -> ArchonApp {
        ArchonApp { bind, archon: Archon::new(config, now), ready }
    }

    /// The controller behind.
    pub fn archon(&self) -> &Archon {
        &self.archon
    }

    fn listening(&mut self, result: Result<SocketAddr, String>) {
        if let Some(ready) = &mut self.ready {
            ready(result);
        }
    }

    fn settle(&mut self, now: Now, fx: &mut Effects<()>) {
        let mut given = 0;
        while given < AHEAD {
            match self.archon.poll() {
                Some(Output::Send(client, bytes)) => {
                    given += bytes.len();
                    fx.send(ConnId(client.0), bytes);
                }
                Some(Output::Close(client)) => fx.push(Effect::Close { conn: ConnId(client.0) }),
                None => break,
            }
        }
        let due = if given < AHEAD { self.archon.deadline() } else { Some(now.mono) };
        match due {
            Some(at) => fx.set_timer(DUE, When::Mono(at)),
            None => fx.cancel_timer(DUE),
        }
    }
}

impl App for ArchonApp {
    type Job = ();
    type Done = ();

    fn start(&mut self, _: Now, fx: &mut Effects<()>) {
        fx.push(Effect::Listen { tag: LISTENER, address: Address::Tcp(self.bind) });
    }

    fn handle(&mut self, event: Event<'_, ()>, now: Now, fx: &mut Effects<()>) {
        match event {
            Event::Listening { address: Address::Tcp(address), .. } => self.listening(Ok(address)),
            Event::ListenFailed { error, .. } => {
                self.listening(Err(error.clone()));
                log::error!("cannot listen on {}: {error}", self.bind);
                fx.push(Effect::Exit { code: EXIT_NO_PORT });
            }
            Event::Accepted { conn, .. } => self.archon.connect(ClientId(conn.0)),
            Event::Received { conn, bytes } => self.archon.receive(ClientId(conn.0), bytes, now),
            Event::Congested { conn } => self.archon.set_congested(ClientId(conn.0), true),
            Event::Drained { conn } => self.archon.set_congested(ClientId(conn.0), false),
            Event::Closed { conn, .. } => self.archon.closed(ClientId(conn.0)),
            Event::Signal(Request::Stop { .. } | Request::HandOver) => fx.push(Effect::Exit { code: 0 }),
            Event::Signal(Request::Dump) => log::info!("simulated controller: {}", self.archon.doing()),
            _ => {}
        }
        self.archon.tick(now);
        self.settle(now, fx);
    }

    fn work((): ()) {}
}
