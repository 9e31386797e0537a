//! Carrying out the app's orders, one by one and in order. What they cause at once (a port taken, a
//! program that is not there) becomes a fact the app is told afterwards, never a nested call.

use super::child::Child;
use super::conn::{Phase, Socket};
use super::listen::Listener;
use super::poll_loop::{Leaving, Loop, Ready, Timer};
use super::tokens::Source;
use super::{Address, App, CloseReason, ConnId, ConnectOptions, Effect, Event, Program, Tag, TimerKey, When};
use crate::sys::clock;
use std::time::Duration;

impl<A: App> Loop<'_, A> {
    pub(super) fn carry_out(&mut self) {
        let mut orders = std::mem::take(&mut self.fx);
        let mut written: Vec<ConnId> = Vec::new();
        for order in orders.drain() {
            match order {
                Effect::Send { conn, bytes } => {
                    if self.queue(conn, bytes) && written.last() != Some(&conn) {
                        written.push(conn);
                    }
                }
                other => self.obey(other),
            }
        }
        self.fx = orders;
        for conn in written {
            self.flush(conn);
        }
    }

    fn obey(&mut self, order: Effect<A::Job>) {
        match order {
            Effect::Listen { tag, address } => self.listen(tag, address),
            Effect::Unlisten { tag } => self.unlisten(tag),
            Effect::Connect { tag, address, timeout, options } => {
                self.connect(tag, &address, timeout, options)
            }
            Effect::Send { conn, bytes } => drop(self.queue(conn, bytes)),
            Effect::Close { conn } => self.close_when_flushed(conn),
            Effect::Abort { conn } => self.close(conn, CloseReason::Local),
            Effect::PauseReading { conn, paused } => self.pause(conn, paused),
            Effect::SetTimer { key, at } => self.set_timer(key, at),
            Effect::CancelTimer { key } => {
                self.mono.cancel(Timer::App(key));
                self.wall.cancel(key);
            }
            Effect::Spawn { tag, program } => self.spawn(tag, &program),
            Effect::WriteChild { tag, bytes } => self.write_child(tag, &bytes),
            Effect::CloseChildInput { tag } => {
                if let Some(child) = self.child_mut(tag) {
                    child.close_input();
                }
            }
            Effect::SignalChild { tag, signal } => {
                if let Some(Err(e)) = self.child_mut(tag).map(|child| child.signal(signal)) {
                    log::warn!("cannot send {signal:?} to child {}: {e}", tag.0);
                }
            }
            Effect::Work { worker, job } => {
                if let Err(lost) = self.workers.submit(worker, job) {
                    self.facts.push_back(Event::Done(Err(lost)));
                }
            }
            Effect::Exit { code } => self.leaving = Some(self.leaving.unwrap_or(Leaving::Orderly(code))),
        }
    }

    fn next_serial(&mut self) -> u32 {
        self.serial =
            self.serial.checked_add(1).expect("nobody opens 2^32 listeners and children in one run");
        self.serial
    }

    fn listen(&mut self, tag: Tag, address: Address) {
        let serial = self.next_serial();
        let opened = Listener::open(tag, &address, self.poll.registry(), Source::Listener(serial).token());
        self.facts.push_back(match opened {
            Ok(listener) => {
                let address = listener.address.clone();
                self.listeners.insert(serial, listener);
                Event::Listening { tag, address }
            }
            Err(e) => Event::ListenFailed { tag, address, error: e.to_string() },
        });
    }

    fn unlisten(&mut self, tag: Tag) {
        let registry = self.poll.registry();
        self.listeners.retain(|_, listener| {
            let keep = listener.tag != tag;
            if !keep {
                listener.deregister(registry);
            }
            keep
        });
    }

    fn connect(&mut self, tag: Tag, address: &Address, timeout: Duration, options: ConnectOptions) {
        let started = if self.conns.len() >= self.options.connections_max {
            Err(std::io::Error::other(format!("{} connections are open already", self.conns.len())))
        } else {
            Socket::connect(address).and_then(|socket| self.add(socket, Phase::Connecting { tag }, options))
        };
        match started {
            Ok(id) => self.mono.set(Timer::Connect(id), (clock::mono() + timeout).0 as i64),
            Err(e) => self.facts.push_back(Event::ConnectFailed { tag, error: e.to_string() }),
        }
    }

    /// Queues bytes for a peer. `false`: it takes none any more.
    fn queue(&mut self, id: ConnId, bytes: Vec<u8>) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if conn.phase != Phase::Open {
            return false;
        }
        let queued = conn.output.len() + bytes.len();
        if queued > self.options.output_max {
            let text = format!("{queued} bytes are queued for the peer, {} may be", self.options.output_max);
            self.close(id, CloseReason::Overrun(text));
            return false;
        }
        conn.output.push(bytes);
        if queued > self.options.high_water && !conn.was_high {
            conn.was_high = true;
            self.facts.push_back(Event::Congested { conn: id });
        }
        true
    }

    fn close_when_flushed(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.phase == Phase::Open
        {
            conn.phase = Phase::Closing;
            self.flush(id);
        }
    }

    fn pause(&mut self, id: ConnId, paused: bool) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.paused = paused;
        if !paused && std::mem::take(&mut conn.unread) {
            self.ready.push_back(Ready::Conn(id));
        }
    }

    fn set_timer(&mut self, key: TimerKey, at: When) {
        match at {
            When::Mono(at) => {
                self.wall.cancel(key);
                self.mono.set(Timer::App(key), i64::try_from(at.0).unwrap_or(i64::MAX));
            }
            When::Utc(at) => {
                self.mono.cancel(Timer::App(key));
                self.wall.set(key, at.0);
            }
        }
    }

    fn spawn(&mut self, tag: Tag, program: &Program) {
        if self.child_with(tag).is_some() {
            let error = "the child started before under this name still runs".into();
            self.facts.push_back(Event::SpawnFailed { tag, error });
            return;
        }
        let serial = self.next_serial();
        self.facts.push_back(match Child::spawn(tag, program, serial, self.poll.registry()) {
            Ok(child) => {
                let pid = child.pid;
                self.children.insert(serial, child);
                Event::ChildStarted { tag, pid }
            }
            Err(e) => Event::SpawnFailed { tag, error: format!("{}: {e}", program.path.display()) },
        });
    }

    fn write_child(&mut self, tag: Tag, bytes: &[u8]) {
        if let Some(child) = self.child_mut(tag)
            && !child.write(bytes)
        {
            child.shut_input();
            self.facts.push_back(Event::ChildInputClosed { tag });
        }
    }

    fn child_mut(&mut self, tag: Tag) -> Option<&mut Child> {
        let serial = self.child_with(tag)?;
        self.children.get_mut(&serial)
    }
}
