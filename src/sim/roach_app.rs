//! The ROACH simulator on a listener: connections to [`Roach`], its orders to the loop.

use super::roach2::{ClientId, Output, Roach, RoachConfig};
use crate::fpga::model::BoardEvent;
use crate::reactor::{
    Address, App, CloseReason, ConnId, Effect, Effects, Event, Peer, Request, Tag, TimerKey, When,
};
use crate::units::{Now, Utc};
use std::net::SocketAddr;

const LISTENER: Tag = Tag(1);
/// Listeners for uploads count on from here.
const FIRST_UPLOAD: Tag = Tag(2);
const OUTPUT_DUE: TimerKey = TimerKey(1);
const NEXT_PULSE: TimerKey = TimerKey(2);
/// Exit status when the port cannot be had.
pub const EXIT_NO_PORT: u8 = 1;

/// Told about the simulated ROACH and a time.
pub type BoardHook = Box<dyn FnMut(&Roach, Utc) + Send>;
/// Told the address listened on, or why there is none.
pub type ReadyHook = Box<dyn FnMut(Result<SocketAddr, String>) + Send>;

/// What the world around wants to know.
#[derive(Default)]
pub struct Hooks {
    /// The listener is there (port 0 has become a number) or cannot be.
    pub ready: Option<ReadyHook>,
    /// The instrument started at this PPS.
    pub started: Option<BoardHook>,
    /// The instrument was re-armed or lost its design.
    pub stopped: Option<BoardHook>,
}

/// The simulator as an app of the loop.
pub struct RoachApp {
    bind: SocketAddr,
    roach: Roach,
    hooks: Hooks,
    /// The listener of the latest upload; what comes under another tag is late.
    upload_tag: Tag,
    /// Its connection.
    upload: Option<ConnId>,
}

impl RoachApp {
    /// Serves a fresh board on `bind`; port 0 picks one.
    pub fn new(bind: SocketAddr, config: RoachConfig, hooks: Hooks) -> RoachApp {
        RoachApp { bind, roach: Roach::new(config), hooks, upload_tag: FIRST_UPLOAD, upload: None }
    }

    /// The server behind.
    pub fn roach(&self) -> &Roach {
        &self.roach
    }

    fn listening(&mut self, result: Result<SocketAddr, String>) {
        if let Some(ready) = &mut self.hooks.ready {
            ready(result);
        }
    }

    fn settle(&mut self, fx: &mut Effects<()>) {
        while let Some(output) = self.roach.poll() {
            match output {
                Output::Send(client, bytes) => fx.send(ConnId(client.0), bytes),
                Output::Close(client) => fx.push(Effect::Close { conn: ConnId(client.0) }),
                Output::Board(event) => self.board_event(event),
                Output::Listen(port) => self.listen_for_upload(port, fx),
                Output::StopUpload => self.stop_upload(fx),
            }
        }
        let (output, pulse) = self.roach.deadlines();
        arrange(OUTPUT_DUE, output.map(When::Mono), fx);
        arrange(NEXT_PULSE, pulse.map(When::Utc), fx);
    }

    fn listen_for_upload(&mut self, port: u16, fx: &mut Effects<()>) {
        self.upload_tag = Tag(self.upload_tag.0 + 1);
        let address = Address::Tcp(SocketAddr::new(self.bind.ip(), port));
        fx.push(Effect::Listen { tag: self.upload_tag, address });
    }

    fn stop_upload(&mut self, fx: &mut Effects<()>) {
        fx.push(Effect::Unlisten { tag: self.upload_tag });
        if let Some(conn) = self.upload.take() {
            fx.push(Effect::Close { conn });
        }
    }

    fn accepted(&mut self, listener: Tag, conn: ConnId, peer: &Peer, now: Now, fx: &mut Effects<()>) {
        if listener == LISTENER {
            return self.roach.connect(ClientId(conn.0), &name_of(peer), now);
        }
        if listener == self.upload_tag && self.upload.is_none() {
            self.upload = Some(conn);
            fx.push(Effect::Unlisten { tag: listener });
        } else {
            fx.push(Effect::Abort { conn });
        }
    }

    fn board_event(&mut self, event: BoardEvent) {
        let (hook, at) = match event {
            BoardEvent::Started(at) => (&mut self.hooks.started, at),
            BoardEvent::Stopped(at) => (&mut self.hooks.stopped, at),
        };
        let what = if matches!(event, BoardEvent::Started(_)) { "started" } else { "stopped" };
        log::info!("simulated board: instrument {what} at {at} UTC");
        if let Some(hook) = hook {
            hook(&self.roach, at);
        }
    }
}

fn name_of(peer: &Peer) -> String {
    match &peer.address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) | Address::Serial(path) => path.display().to_string(),
    }
}

fn end_of_file(reason: CloseReason) -> Result<(), String> {
    match reason {
        CloseReason::PeerClosed => Ok(()),
        CloseReason::Local => Err("closed here".into()),
        CloseReason::Error(why) | CloseReason::Overrun(why) => Err(why),
    }
}

fn arrange(key: TimerKey, at: Option<When>, fx: &mut Effects<()>) {
    match at {
        Some(at) => fx.set_timer(key, at),
        None => fx.cancel_timer(key),
    }
}

impl App for RoachApp {
    type Job = ();
    type Done = ();

    fn start(&mut self, _: Now, fx: &mut Effects<()>) {
        fx.push(Effect::Listen { tag: LISTENER, address: Address::Tcp(self.bind) });
    }

    fn handle(&mut self, event: Event<'_, ()>, now: Now, fx: &mut Effects<()>) {
        match event {
            Event::Listening { tag: LISTENER, address: Address::Tcp(address) } => self.listening(Ok(address)),
            Event::Listening { tag, address: Address::Tcp(address) } if tag == self.upload_tag => {
                self.roach.upload_listening(Ok(address.port()), now);
            }
            Event::ListenFailed { tag, error, .. } if tag == self.upload_tag => {
                self.roach.upload_listening(Err(error), now);
            }
            Event::ListenFailed { tag: LISTENER, error, .. } => {
                log::error!("cannot listen on {}: {error}", self.bind);
                self.listening(Err(error));
                fx.push(Effect::Exit { code: EXIT_NO_PORT });
            }
            Event::Accepted { listener, conn, peer } => self.accepted(listener, conn, &peer, now, fx),
            Event::Received { conn, bytes } if self.upload == Some(conn) => {
                self.roach.upload_bytes(bytes, now)
            }
            Event::Closed { conn, reason } if self.upload == Some(conn) => {
                self.upload = None;
                self.roach.upload_closed(end_of_file(reason), now);
            }
            Event::Received { conn, bytes } => self.roach.receive(ClientId(conn.0), bytes, now),
            Event::Closed { conn, .. } => self.roach.closed(ClientId(conn.0)),
            Event::Timer { .. } | Event::ClockSet => self.roach.tick(now),
            Event::Signal(Request::Stop { .. } | Request::HandOver) => fx.push(Effect::Exit { code: 0 }),
            _ => {}
        }
        self.settle(fx);
    }

    fn work((): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fpga::model::{BoardConfig, Catalogue};
    use crate::units::{Mono, NANOS};
    use std::sync::mpsc::channel;

    fn at(seconds: f64) -> Now {
        Now { mono: Mono((seconds * 1e9) as u64), utc: Utc((seconds * NANOS as f64) as i64) }
    }

    #[test]
    fn arming_sets_a_timer_and_the_pulse_calls_the_hook() {
        let (tell, told) = channel();
        let started: BoardHook = Box::new(move |roach, at| {
            let board = roach.board();
            tell.send((board.image().map(str::to_owned), at)).expect("the test listens");
        });
        let board = BoardConfig { catalogue: Catalogue::accepting_any(), ..BoardConfig::default() };
        let config = RoachConfig { board, ..RoachConfig::default() };
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut app = RoachApp::new(bind, config, Hooks { started: Some(started), ..Hooks::default() });
        let mut fx = Effects::default();
        app.start(at(1.0), &mut fx);
        let conn = ConnId(7);
        let peer = Peer { address: Address::Tcp(bind), credentials: None };
        app.handle(Event::Accepted { listener: LISTENER, conn, peer }, at(1.0), &mut fx);
        fx.drain();
        let bytes = b"?progdev h1k.bof\n?wordwrite arm 0 0\n?wordwrite arm 0 1\n";
        app.handle(Event::Received { conn, bytes }, at(1.25), &mut fx);
        let pulse = fx.drain().find_map(|e| match e {
            Effect::SetTimer { key: NEXT_PULSE, at } => Some(at),
            _ => None,
        });
        assert_eq!(pulse, Some(When::Utc(at(2.0).utc)));
        app.handle(Event::Timer { key: NEXT_PULSE }, at(2.0), &mut fx);
        assert_eq!(told.try_recv(), Ok((Some("h1k.bof".into()), at(2.0).utc)));
    }

    #[test]
    fn an_upload_gets_a_listener_for_one_connection() {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut app = RoachApp::new(bind, RoachConfig::default(), Hooks::default());
        let mut fx = Effects::default();
        let peer = || Peer { address: Address::Tcp(bind), credentials: None };
        let client = ConnId(7);
        app.handle(Event::Accepted { listener: LISTENER, conn: client, peer: peer() }, at(1.0), &mut fx);
        app.handle(Event::Received { conn: client, bytes: b"?upload 7146\n" }, at(1.0), &mut fx);
        let wanted = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 7146)));
        let tag = fx.drain().find_map(|e| match e {
            Effect::Listen { tag, address } if address == wanted => Some(tag),
            _ => None,
        });
        let tag = tag.expect("a listener is ordered");
        app.handle(Event::Listening { tag, address: wanted }, at(1.1), &mut fx);
        let (conn, second) = (ConnId(8), ConnId(9));
        app.handle(Event::Accepted { listener: tag, conn, peer: peer() }, at(1.2), &mut fx);
        assert!(fx.drain().any(|e| matches!(e, Effect::Unlisten { tag: t } if t == tag)));
        app.handle(Event::Accepted { listener: tag, conn: second, peer: peer() }, at(1.2), &mut fx);
        assert!(fx.drain().any(|e| matches!(e, Effect::Abort { conn } if conn == second)));
        app.handle(Event::Received { conn, bytes: b"?register a 0x0 0x4\n?quit\n" }, at(1.3), &mut fx);
        app.handle(Event::Closed { conn, reason: CloseReason::PeerClosed }, at(1.4), &mut fx);
        assert_eq!(app.roach().board().image(), Some("upload.fpg"));
    }
}
