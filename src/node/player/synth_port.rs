//! The synthesizer on a serial line of this node, or a simulated one: the session with its port.

use super::Job;
use crate::player::bank::{Input, WorkId};
use crate::proto::valon::order::Order;
use crate::reactor::{Address, CloseReason, ConnId, ConnectOptions, Effect, Effects, Tag};
use crate::session::valon_line::{Output, ValonLine};
use crate::sim::valon::Valon;
use crate::units::{Mono, Now};
use std::path::PathBuf;

/// Where the synthesizer is.
pub enum Place {
    /// At this serial port.
    Serial(PathBuf),
    /// Nowhere: it is simulated.
    Simulated(Box<Valon>),
}

/// The synthesizer of a bank with its line.
pub struct SynthPort {
    line: ValonLine,
    at: Place,
    conn: Option<ConnId>,
}

impl SynthPort {
    /// A line that is opened at the first tick.
    pub fn new(at: Place) -> SynthPort {
        SynthPort { line: ValonLine::new(), at, conn: None }
    }

    /// An order of the player.
    pub fn submit(&mut self, id: WorkId, order: Order, now: Now) {
        self.line.submit(id.0, order, now);
    }

    /// Passes on what the line wants; returns what the player has to know.
    pub fn pump(&mut self, tag: Tag, now: Now, fx: &mut Effects<Job>) -> Vec<Input> {
        let mut inputs = Vec::new();
        while let Some(output) = self.line.poll() {
            match (output, &mut self.at) {
                (Output::Open { timeout }, Place::Serial(path)) => {
                    let address = Address::Serial(path.clone());
                    let options = ConnectOptions::default();
                    fx.push(Effect::Connect { tag, address, timeout, options });
                }
                (Output::Open { .. }, Place::Simulated(_)) => self.line.opened(now),
                (Output::Send(bytes), Place::Serial(_)) => {
                    if let Some(conn) = self.conn {
                        fx.send(conn, bytes);
                    }
                }
                (Output::Send(bytes), Place::Simulated(device)) => {
                    let reply = device.receive(&bytes);
                    self.line.receive(&reply, now);
                }
                (Output::State(state), _) => inputs.push(Input::SynthLine(state)),
                (Output::Done(id, result), _) => inputs.push(Input::Synth { id: WorkId(id), result }),
            }
        }
        inputs
    }

    /// The port is open. A second one (the first attempt came late) is not wanted and given back.
    pub fn opened(&mut self, conn: ConnId, now: Now) -> Option<ConnId> {
        if self.conn.is_some() {
            return Some(conn);
        }
        self.conn = Some(conn);
        self.line.opened(now);
        None
    }

    /// The port could not be opened.
    pub fn open_failed(&mut self, error: &str, now: Now) {
        let port = match &self.at {
            Place::Serial(path) => path.display().to_string(),
            Place::Simulated(_) => "the simulated port".into(),
        };
        self.line.closed(&format!("{port}: {error}"), now);
    }

    /// Bytes from the synthesizer, if this is its connection.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        if self.conn == Some(conn) {
            self.line.receive(bytes, now);
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, conn: ConnId, reason: &CloseReason, now: Now) {
        if self.conn == Some(conn) {
            self.conn = None;
            let why = match reason {
                CloseReason::PeerClosed => "the device is gone",
                CloseReason::Local => "closed",
                CloseReason::Error(e) | CloseReason::Overrun(e) => e.as_str(),
            };
            self.open_failed(why, now);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.line.tick(now);
    }

    /// When to call [`SynthPort::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        self.line.deadline()
    }
}
