//! The link to the ROACH: the KATCP backend with its connection and the names of the player's orders.

use crate::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use crate::fpga::{Fpga, FpgaOp, OpId};
use crate::player::bank::{FpgaKey, Input};
use crate::player::state::Link;
use crate::reactor::{Address, CloseReason, ConnId, ConnectOptions, Effect, Effects, Tag};
use crate::session::katcp_client::LinkState;
use crate::units::{Mono, Now};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Job;
use super::work::{self, BOARD_RESOLVER};

/// The board of a bank.
pub struct Board {
    fpga: KatcpFpga,
    host: String,
    port: u16,
    conn: Option<ConnId>,
    /// The time limit of the connection being opened.
    connecting: Option<Duration>,
    keys: HashMap<OpId, FpgaKey>,
    /// Why the link went down last.
    why: String,
    inputs: Vec<Input>,
}

impl Board {
    /// A board at `host:port`.
    pub fn new(host: String, port: u16, config: KatcpFpgaConfig) -> Board {
        Board {
            fpga: KatcpFpga::new(config),
            host,
            port,
            conn: None,
            connecting: None,
            keys: HashMap::new(),
            why: "not connected yet".into(),
            inputs: Vec::new(),
        }
    }

    /// Begins to connect.
    pub fn start(&mut self, now: Now) {
        self.fpga.tick(now);
    }

    /// An order of the player.
    pub fn submit(&mut self, key: FpgaKey, op: FpgaOp, now: Now) {
        let id = self.fpga.submit(op, now);
        self.keys.insert(id, key);
    }

    /// Passes on what the backend wants; returns what the player has to know.
    pub fn pump(
        &mut self,
        tag: Tag,
        names: &[(String, Ipv4Addr)],
        now: Now,
        fx: &mut Effects<Job>,
    ) -> Vec<Input> {
        while let Some(output) = self.fpga.poll_link() {
            match output {
                LinkOutput::Connect { timeout } => self.open(timeout, tag, names, now, fx),
                LinkOutput::Send(bytes) => {
                    if let Some(conn) = self.conn {
                        fx.send(conn, bytes);
                    }
                }
                LinkOutput::Disconnect(why) => {
                    log::warn!("dropping the connection to {}:{}: {why}", self.host, self.port);
                    self.why.clone_from(&why);
                    if let Some(conn) = self.conn.take() {
                        fx.push(Effect::Abort { conn });
                    }
                }
                LinkOutput::StateChanged(state) => self.state_changed(state),
                LinkOutput::Inform(message) => log::debug!("katcp {}: {message:?}", self.host),
                LinkOutput::Log { level, text, peer } => {
                    let whose = if peer { "" } else { "link: " };
                    log::log!(target: "katcp", level, "{}: {whose}{text}", self.host);
                }
            }
        }
        while let Some((id, result)) = self.fpga.poll() {
            if let Some(key) = self.keys.remove(&id) {
                self.inputs.push(Input::Fpga { key, result });
            }
        }
        std::mem::take(&mut self.inputs)
    }

    fn state_changed(&mut self, state: LinkState) {
        let link = match state {
            LinkState::Up(protocol) => {
                log::info!("ROACH {}:{} connected ({protocol:?})", self.host, self.port);
                Link::Up
            }
            LinkState::Opening => return,
            LinkState::Down => Link::Down(self.why.clone()),
        };
        self.inputs.push(Input::Link(link));
    }

    fn open(
        &mut self,
        timeout: Duration,
        tag: Tag,
        names: &[(String, Ipv4Addr)],
        now: Now,
        fx: &mut Effects<Job>,
    ) {
        self.connecting = Some(timeout);
        let configured = names.iter().find(|(n, _)| n.eq_ignore_ascii_case(&self.host)).map(|(_, ip)| *ip);
        match configured.or_else(|| self.host.parse().ok()) {
            Some(ip) => self.resolved(&self.host.clone(), Some(ip), tag, now, fx),
            None => fx.push(Effect::Work {
                worker: BOARD_RESOLVER,
                job: Job::Role(work::Job::ResolveBoard { host: self.host.clone() }),
            }),
        }
    }

    /// The host's address is known, or it has none.
    pub fn resolved(&mut self, host: &str, ip: Option<Ipv4Addr>, tag: Tag, now: Now, fx: &mut Effects<Job>) {
        let Some(timeout) = self.connecting.take() else { return };
        match ip {
            Some(ip) => {
                let address = Address::Tcp(SocketAddr::from((ip, self.port)));
                let options = ConnectOptions { quick_ack: true, ..ConnectOptions::default() };
                fx.push(Effect::Connect { tag, address, timeout, options });
            }
            None => self.lost(&format!("host '{host}' has no known address"), now),
        }
    }

    /// The answer to a lookup of the host may have been lost: it counts as failed, and is tried again.
    pub fn lookup_lost(&mut self, why: &str, now: Now) {
        if self.connecting.take().is_some() {
            self.lost(&format!("host '{}' could not be looked up: {why}", self.host), now);
        }
    }

    /// The connection is there. A second one (the first attempt came late) is not wanted and given back.
    pub fn connected(&mut self, conn: ConnId, now: Now) -> Option<ConnId> {
        if self.conn.is_some() {
            return Some(conn);
        }
        self.conn = Some(conn);
        self.fpga.connected(now);
        None
    }

    /// The connection could not be opened.
    pub fn connect_failed(&mut self, error: &str, now: Now) {
        self.lost(&format!("{}:{}: {error}", self.host, self.port), now);
    }

    fn lost(&mut self, why: &str, now: Now) {
        self.why = why.to_owned();
        self.inputs.push(Input::Link(Link::Down(why.to_owned())));
        self.fpga.closed(why, now);
    }

    /// Bytes from the board.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        if self.conn == Some(conn) {
            self.fpga.receive(bytes, now);
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, conn: ConnId, reason: &CloseReason, now: Now) {
        if self.conn == Some(conn) {
            self.conn = None;
            let why = match reason {
                CloseReason::PeerClosed => "the ROACH closed the connection".to_owned(),
                CloseReason::Local => "closed".to_owned(),
                CloseReason::Error(e) | CloseReason::Overrun(e) => e.clone(),
            };
            self.lost(&why, now);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.fpga.tick(now);
    }

    /// When to call [`Board::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        self.fpga.deadline()
    }
}
