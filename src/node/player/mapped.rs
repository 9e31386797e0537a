//! A board whose registers are mapped memory: the backend, its opening on a worker, and the names of the player's
//! orders.

use crate::fpga::mmap::{MmapAddress, MmapFpga, Window};
use crate::fpga::{Fpga, FpgaOp, OpId};
use crate::player::bank::{FpgaKey, Input};
use crate::player::state::Link;
use crate::reactor::{Effect, Effects};
use crate::units::{Mono, Now};
use std::collections::HashMap;

use super::Job;
use super::work::{self, BOARD_OPENER};

/// The board of a bank, in this host's address space.
pub struct Mapped {
    fpga: MmapFpga,
    keys: HashMap<OpId, FpgaKey>,
    /// What the player was told last.
    told: Option<Link>,
}

impl Mapped {
    /// A board at an address, not open yet.
    pub fn new(address: MmapAddress) -> Mapped {
        Mapped { fpga: MmapFpga::new(address), keys: HashMap::new(), told: None }
    }

    /// An order of the player.
    pub fn submit(&mut self, key: FpgaKey, op: FpgaOp, now: Now) {
        let id = self.fpga.submit(op, now);
        self.keys.insert(id, key);
    }

    /// Has the device opened where that is due; returns what the player has to know.
    pub fn pump(&mut self, now: Now, fx: &mut Effects<Job>) -> Vec<Input> {
        if self.fpga.take_opening(now) {
            let job = Job::Role(work::Job::OpenBoard { address: Box::new(self.fpga.address().clone()) });
            fx.push(Effect::Work { worker: BOARD_OPENER, job });
        }
        let mut inputs = Vec::new();
        while let Some((id, result)) = self.fpga.poll() {
            if let Some(key) = self.keys.remove(&id) {
                inputs.push(Input::Fpga { key, result });
            }
        }
        let link = match self.fpga.device() {
            Ok(_) => Link::Up,
            Err(why) => Link::Down(why.to_owned()),
        };
        if self.told.as_ref() != Some(&link) {
            self.say(&link);
            self.told = Some(link.clone());
            inputs.push(Input::Link(link));
        }
        inputs
    }

    fn say(&self, link: &Link) {
        match (self.fpga.device(), link) {
            (Ok(window), _) => {
                log::info!("{}: open, {} registers", self.fpga.address(), window.registers().len())
            }
            (Err(_), Link::Down(why)) if self.told.is_some() => log::warn!("{}: {why}", self.fpga.address()),
            _ => {}
        }
    }

    /// What became of the opening.
    pub fn opened(&mut self, result: Result<Window, String>, now: Now) {
        self.fpga.opened(result, now);
    }

    /// The opening may have been lost with its worker: it is tried again.
    pub fn opening_lost(&mut self, why: &str, now: Now) {
        if self.fpga.is_opening() {
            self.fpga.opened(Err(format!("it could not be opened: {why}")), now);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.fpga.tick(now);
    }

    /// When to call [`Mapped::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        self.fpga.deadline()
    }
}
