//! The board, whichever way it is reached.

use super::Job;
use super::board::Board;
use super::mapped::Mapped;
use crate::fpga::FpgaOp;
use crate::player::bank::{FpgaKey, Input};
use crate::reactor::{Effects, Tag};
use crate::units::{Mono, Now};
use std::net::Ipv4Addr;

/// A way to the board of a bank.
pub enum Hardware {
    /// Through its KATCP server.
    Katcp(Box<Board>),
    /// Through mapped memory.
    Mapped(Box<Mapped>),
}

impl Hardware {
    /// Begins to connect; mapped memory is opened when it is first looked at.
    pub fn start(&mut self, now: Now) {
        if let Hardware::Katcp(board) = self {
            board.start(now);
        }
    }

    /// An order of the player.
    pub fn submit(&mut self, key: FpgaKey, op: FpgaOp, now: Now) {
        match self {
            Hardware::Katcp(board) => board.submit(key, op, now),
            Hardware::Mapped(board) => board.submit(key, op, now),
        }
    }

    /// Passes on what the board wants; returns what the player has to know.
    pub fn pump(
        &mut self,
        tag: Tag,
        names: &[(String, Ipv4Addr)],
        now: Now,
        fx: &mut Effects<Job>,
    ) -> Vec<Input> {
        match self {
            Hardware::Katcp(board) => board.pump(tag, names, now, fx),
            Hardware::Mapped(board) => board.pump(now, fx),
        }
    }

    /// Work of the board may have been lost with its worker: it counts as failed, and is tried again.
    pub fn work_lost(&mut self, why: &str, now: Now) {
        match self {
            Hardware::Katcp(board) => board.lookup_lost(why, now),
            Hardware::Mapped(board) => board.opening_lost(why, now),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        match self {
            Hardware::Katcp(board) => board.tick(now),
            Hardware::Mapped(board) => board.tick(now),
        }
    }

    /// When to call [`Hardware::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match self {
            Hardware::Katcp(board) => board.deadline(),
            Hardware::Mapped(board) => board.deadline(),
        }
    }

    /// The board with a connection.
    pub fn katcp(&mut self) -> Option<&mut Board> {
        match self {
            Hardware::Katcp(board) => Some(board),
            Hardware::Mapped(_) => None,
        }
    }

    /// The board in mapped memory.
    pub fn mapped(&mut self) -> Option<&mut Mapped> {
        match self {
            Hardware::Katcp(_) => None,
            Hardware::Mapped(board) => Some(board),
        }
    }
}

impl From<Board> for Hardware {
    fn from(board: Board) -> Hardware {
        Hardware::Katcp(Box::new(board))
    }
}

impl From<Mapped> for Hardware {
    fn from(board: Mapped) -> Hardware {
        Hardware::Mapped(Box::new(board))
    }
}
