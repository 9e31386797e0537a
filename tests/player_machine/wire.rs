//! The board as it is: the KATCP back end with the simulated ROACH at the other end of a cable, in virtual time.

use appliance::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use appliance::fpga::model::{BoardConfig, Catalogue};
use appliance::fpga::{Fpga, FpgaOp, OpId};
use appliance::player::bank::{FpgaKey, Input};
use appliance::player::state::Link;
use appliance::session::katcp_client::LinkState;
use appliance::sim::roach2::{ClientId, Fault, Faults, Output, Roach, RoachConfig};
use appliance::units::{Mono, Now};
use std::collections::HashMap;
use std::time::Duration;

/// One way along the cable.
const CABLE: Duration = Duration::from_micros(250);
const OPEN_TAKES: Duration = Duration::from_millis(1);

enum Way {
    ToBoard,
    ToUs,
}

pub struct Wire {
    fpga: KatcpFpga,
    roach: Roach,
    keys: HashMap<OpId, FpgaKey>,
    client: ClientId,
    joined: bool,
    plugged: bool,
    why: String,
    opening: Option<Mono>,
    coming: Vec<(Mono, Way, Vec<u8>)>,
}

fn fpga() -> KatcpFpga {
    KatcpFpga::new(KatcpFpgaConfig { board: "sim".into(), ..KatcpFpgaConfig::default() })
}

fn roach() -> Roach {
    let board = BoardConfig { catalogue: Catalogue::accepting_any(), ..BoardConfig::default() };
    Roach::new(RoachConfig { board, ..RoachConfig::default() })
}

impl Wire {
    pub fn new(now: Now) -> Wire {
        let mut wire = Wire {
            fpga: fpga(),
            roach: roach(),
            keys: HashMap::new(),
            client: ClientId(0),
            joined: false,
            plugged: true,
            why: "not connected yet".into(),
            opening: None,
            coming: Vec::new(),
        };
        wire.fpga.tick(now);
        wire
    }

    pub fn submit(&mut self, key: FpgaKey, op: FpgaOp, now: Now) {
        let id = self.fpga.submit(op, now);
        self.keys.insert(id, key);
    }

    /// The next request is answered `fail`.
    pub fn fail_next(&mut self) {
        self.roach.set_faults(Faults(vec![Fault::Fail(self.roach.requests() + 1)]));
    }

    /// From the next request on nothing is answered, until there is a new connection.
    pub fn mute(&mut self) {
        self.roach.set_faults(Faults(vec![Fault::Mute(self.roach.requests() + 1)]));
    }

    pub fn lock(&mut self, fault: Option<appliance::sim::valon::LockFault>) {
        self.roach.set_lock_fault(fault);
    }

    pub fn is_programmed(&self) -> bool {
        self.roach.board().image().is_some()
    }

    /// The cable is pulled.
    pub fn pull_out(&mut self, now: Now) {
        self.plugged = false;
        self.part("the cable was pulled", now);
    }

    pub fn plug_in(&mut self) {
        self.plugged = true;
    }

    /// The board was switched off and on.
    pub fn power_cycle(&mut self, now: Now) {
        self.part("the board was restarted", now);
        self.roach = roach();
    }

    /// Another process opens its own connection.
    pub fn restart(&mut self, now: Now) {
        self.part("closed", now);
        self.keys.clear();
        self.fpga = fpga();
        self.fpga.tick(now);
    }

    fn part(&mut self, why: &str, now: Now) {
        self.why = why.into();
        self.opening = None;
        self.coming.clear();
        if std::mem::take(&mut self.joined) {
            self.roach.closed(self.client);
            self.fpga.closed(why, now);
        }
    }

    pub fn deadline(&self, now: Now) -> Option<Mono> {
        let (mono, utc) = self.roach.deadlines();
        let wall = utc.map(|t| Mono(now.mono.0 + t.nanos_since(now.utc).max(0) as u64));
        let coming = self.coming.iter().map(|(at, ..)| *at);
        coming.chain(self.opening).chain(self.fpga.deadline()).chain(mono).chain(wall).min()
    }

    pub fn tick(&mut self, now: Now) {
        if self.opening.take_if(|at| *at <= now.mono).is_some() {
            match self.plugged {
                true => self.join(now),
                false => self.fpga.closed("no route to the board", now),
            }
        }
        while let Some(i) = self.coming.iter().position(|(at, ..)| *at <= now.mono) {
            match self.coming.remove(i) {
                (_, Way::ToBoard, bytes) => self.roach.receive(self.client, &bytes, now),
                (_, Way::ToUs, bytes) => self.fpga.receive(&bytes, now),
            }
        }
        self.roach.tick(now);
        self.fpga.tick(now);
    }

    fn join(&mut self, now: Now) {
        self.client = ClientId(self.client.0 + 1);
        self.roach.set_faults(Faults::default());
        self.roach.connect(self.client, "test", now);
        self.joined = true;
        self.fpga.connected(now);
    }

    /// What the player has to know.
    pub fn pump(&mut self, now: Now) -> Vec<Input> {
        let mut inputs = Vec::new();
        while let Some(output) = self.fpga.poll_link() {
            match output {
                LinkOutput::Connect { .. } => self.opening = Some(now.mono + OPEN_TAKES),
                LinkOutput::Send(bytes) if self.joined => {
                    self.coming.push((now.mono + CABLE, Way::ToBoard, bytes));
                }
                LinkOutput::Disconnect(why) => {
                    self.why = why;
                    self.coming.clear();
                    if std::mem::take(&mut self.joined) {
                        self.roach.closed(self.client);
                    }
                }
                LinkOutput::StateChanged(LinkState::Up(_)) => inputs.push(Input::Link(Link::Up)),
                LinkOutput::StateChanged(LinkState::Down) => {
                    inputs.push(Input::Link(Link::Down(self.why.clone())));
                }
                _ => {}
            }
        }
        while let Some((id, result)) = self.fpga.poll() {
            if let Some(key) = self.keys.remove(&id) {
                inputs.push(Input::Fpga { key, result });
            }
        }
        while let Some(output) = self.roach.poll() {
            if let Output::Send(to, bytes) = output
                && self.joined
                && to == self.client
            {
                self.coming.push((now.mono + CABLE, Way::ToUs, bytes));
            }
        }
        inputs
    }
}
