//! The synthesizer on a serial line of the host: the session with the simulated device, in virtual time.

use appliance::player::bank::{Input, WorkId};
use appliance::proto::valon::NACK;
use appliance::proto::valon::order::Order;
use appliance::session::valon_line::{Output, ValonLine};
use appliance::sim::valon::Valon;
use appliance::units::{Mono, Now};
use std::time::Duration;

/// From a request to its reply.
const REPLY_TAKES: Duration = Duration::from_millis(2);
const OPEN_TAKES: Duration = Duration::from_millis(5);

/// What the device does with the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Answers.
    Good,
    /// Refuses it.
    RefusesOnce,
    /// Says nothing.
    SilentOnce,
}

pub struct SerialSynth {
    line: ValonLine,
    pub valon: Valon,
    pub device: Device,
    plugged: bool,
    opening: Option<Mono>,
    coming: Vec<(Mono, Vec<u8>)>,
}

impl SerialSynth {
    pub fn new() -> SerialSynth {
        SerialSynth {
            line: ValonLine::new(),
            valon: Valon::default(),
            device: Device::Good,
            plugged: true,
            opening: None,
            coming: Vec::new(),
        }
    }

    pub fn submit(&mut self, id: WorkId, order: Order, now: Now) {
        self.line.submit(id.0, order, now);
    }

    /// The cable is pulled.
    pub fn pull_out(&mut self, now: Now) {
        self.plugged = false;
        self.coming.clear();
        self.opening = None;
        self.line.closed("the device is gone", now);
    }

    pub fn repair(&mut self) {
        self.plugged = true;
        self.device = Device::Good;
        self.valon.set_fault(None);
    }

    pub fn deadline(&self) -> Option<Mono> {
        let coming = self.coming.iter().map(|(at, _)| *at);
        coming.chain(self.opening).chain(self.line.deadline()).min()
    }

    pub fn tick(&mut self, now: Now) {
        if self.opening.take_if(|at| *at <= now.mono).is_some() {
            match self.plugged {
                true => self.line.opened(now),
                false => self.line.closed("/dev/ttyS1: No such file or directory", now),
            }
        }
        while let Some(i) = self.coming.iter().position(|(at, _)| *at <= now.mono) {
            let (_, bytes) = self.coming.remove(i);
            self.line.receive(&bytes, now);
        }
        self.line.tick(now);
    }

    /// What the player has to know.
    pub fn pump(&mut self, now: Now) -> Vec<Input> {
        let mut inputs = Vec::new();
        while let Some(output) = self.line.poll() {
            match output {
                Output::Open { .. } => self.opening = Some(now.mono + OPEN_TAKES),
                Output::Send(bytes) => {
                    let reply = match std::mem::replace(&mut self.device, Device::Good) {
                        Device::Good => self.valon.receive(&bytes),
                        Device::RefusesOnce => vec![NACK],
                        Device::SilentOnce => continue,
                    };
                    self.coming.push((now.mono + REPLY_TAKES, reply));
                }
                Output::State(state) => inputs.push(Input::SynthLine(state)),
                Output::Done(id, result) => inputs.push(Input::Synth { id: WorkId(id), result }),
            }
        }
        inputs
    }
}
