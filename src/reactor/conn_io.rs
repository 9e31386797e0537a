//! The loop's dealings with connections: accept, establish, read, flush, close.

use super::conn::{Conn, Flushed, Phase, Socket};
use super::poll_loop::{Loop, Ready, Timer};
use super::tokens::Source;
use super::{App, CloseReason, ConnId, ConnectOptions, Event, Peer, READ_BUDGET_MAX, Tag};
use crate::sys::clock;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Connections accepted per turn and listener.
const ACCEPTS_PER_TURN: usize = 64;
/// After an accept that failed for want of something (descriptors, memory).
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl<A: App> Loop<'_, A> {
    pub(super) fn accept_turn(&mut self, serial: u32) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get(&serial) else { return };
            let tag = listener.tag;
            match listener.accept() {
                Ok((socket, peer)) => self.admit(tag, socket, peer),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(e) => {
                    log::warn!("cannot accept connections on {:?}: {e}; trying again", listener.address);
                    let again = clock::mono() + ACCEPT_AGAIN_AFTER;
                    self.mono.set(Timer::AcceptAgain(serial), again.0 as i64);
                    return;
                }
            }
        }
        self.ready.push_back(Ready::Listener(serial));
    }

    fn admit(&mut self, listener: Tag, socket: Socket, peer: Peer) {
        if self.conns.len() >= self.options.connections_max {
            log::warn!("{peer:?} is turned away: {} connections are open already", self.conns.len());
            return;
        }
        match self.add(socket, Phase::Open, ConnectOptions::default()) {
            Ok(conn) => self.tell(Event::Accepted { listener, conn, peer }),
            Err(e) => log::warn!("{peer:?} is turned away: {e}"),
        }
    }

    pub(super) fn add(
        &mut self,
        socket: Socket,
        phase: Phase,
        options: ConnectOptions,
    ) -> io::Result<ConnId> {
        let read_budget = options.read_budget.clamp(1, READ_BUDGET_MAX);
        let options = ConnectOptions { read_budget, ..options };
        let registry = self.poll.registry();
        self.conns.insert(|id| {
            let mut conn = Conn::new(socket, phase, options);
            conn.socket.register(registry, Source::Conn(id).token())?;
            Ok(conn)
        })
    }

    pub(super) fn on_conn(&mut self, id: ConnId, event: &mio::event::Event) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.end_announced |= event.is_read_closed() || event.is_error();
        if let Phase::Connecting { tag } = conn.phase {
            match conn.socket.established() {
                Ok(true) => self.on_established(id, tag),
                Ok(false) => return,
                Err(e) => self.close(id, CloseReason::Error(e.to_string())),
            }
        } else if event.is_writable() {
            self.flush(id);
        }
        self.tell_facts();
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read_turn(id);
        }
    }

    fn on_established(&mut self, id: ConnId, tag: Tag) {
        self.mono.cancel(Timer::Connect(id));
        if let Some(conn) = self.conns.get_mut(id) {
            conn.phase = Phase::Open;
            conn.socket.tune(&conn.options);
        }
        self.tell(Event::Connected { tag, conn: id });
    }

    /// Reads until the socket is empty or the budget of this turn is used up.
    pub(super) fn read_turn(&mut self, id: ConnId) {
        let Some(budget) = self.conns.get_mut(id).map(|conn| conn.options.read_budget) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        if scratch.len() < budget {
            scratch.resize(budget, 0);
        }
        let mut spent = 0;
        while spent < budget {
            let Some(n) = self.read_once(id, &mut scratch[..budget]) else { break };
            spent += n;
        }
        self.scratch = scratch;
        if spent >= budget {
            self.ready.push_back(Ready::Conn(id));
        }
    }

    /// One read. `None`: there is nothing more to be had now.
    fn read_once(&mut self, id: ConnId, scratch: &mut [u8]) -> Option<usize> {
        let conn = self.conns.get_mut(id)?;
        if !conn.wants_input() {
            conn.unread = true;
            return None;
        }
        match conn.socket.read(scratch) {
            Ok(0) => {
                self.end_of_input(id);
                None
            }
            Ok(n) => {
                if conn.options.quick_ack {
                    conn.socket.quick_ack();
                }
                // A short read empties a stream socket; only an end already announced still waits behind it.
                let emptied = n < scratch.len() && !conn.end_announced;
                self.tell(Event::Received { conn: id, bytes: &scratch[..n] });
                (!emptied).then_some(n)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) if e.kind() == ErrorKind::Interrupted => Some(0),
            Err(e) => {
                self.close(id, CloseReason::Error(e.to_string()));
                self.tell_facts();
                None
            }
        }
    }

    /// The peer has finished its half. What is queued for it still goes out.
    fn end_of_input(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.output.len() == 0 {
            self.close(id, CloseReason::PeerClosed);
        } else {
            conn.phase = Phase::Lingering;
            self.facts.push_back(Event::Closed { conn: id, reason: CloseReason::PeerClosed });
        }
        self.tell_facts();
    }

    /// Writes what the peer takes, and draws the conclusions.
    pub(super) fn flush(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if matches!(conn.phase, Phase::Connecting { .. }) {
            return;
        }
        let Conn { output, socket, .. } = conn;
        let flushed = match output.flush(socket) {
            Ok(flushed) => flushed,
            Err(e) => return self.close(id, CloseReason::Error(e.to_string())),
        };
        if conn.was_high && conn.output.len() <= self.options.low_water {
            conn.was_high = false;
            if conn.phase == Phase::Open {
                self.facts.push_back(Event::Drained { conn: id });
            }
        }
        match flushed {
            Flushed::All => {
                if std::mem::take(&mut conn.stalled) {
                    self.mono.cancel(Timer::Stall(id));
                }
                if matches!(conn.phase, Phase::Closing | Phase::Lingering) {
                    self.close(id, CloseReason::Local);
                }
            }
            Flushed::Some(written) => {
                if written > 0 || !conn.stalled {
                    conn.stalled = true;
                    let limit = clock::mono() + self.options.stall_max;
                    self.mono.set(Timer::Stall(id), limit.0 as i64);
                }
            }
        }
    }

    pub(super) fn on_stall(&mut self, id: ConnId) {
        let queued = self.conns.get_mut(id).map_or(0, |c| c.output.len());
        let limit = self.options.stall_max;
        let text = format!("the peer took none of {queued} queued bytes for {limit:?}");
        self.close(id, CloseReason::Overrun(text));
    }

    /// Ends a connection now; the app is told in its turn, once, unless it knows already.
    pub(super) fn close(&mut self, id: ConnId, reason: CloseReason) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        self.mono.cancel(Timer::Connect(id));
        self.mono.cancel(Timer::Stall(id));
        conn.socket.deregister(self.poll.registry());
        match conn.phase {
            Phase::Connecting { tag } => {
                let error = match reason {
                    CloseReason::Error(e) | CloseReason::Overrun(e) => e,
                    CloseReason::PeerClosed | CloseReason::Local => "given up".into(),
                };
                self.facts.push_back(Event::ConnectFailed { tag, error });
                return;
            }
            Phase::Lingering => {}
            Phase::Open | Phase::Closing => self.facts.push_back(Event::Closed { conn: id, reason }),
        }
        if conn.output.len() == 0 {
            conn.socket.finish_writing();
            conn.discard_input();
        }
    }
}
