//! Starts that were taken back while it was not known whether a player has them: it is stopped as soon as it shows one.
//!
//! A player that was lost, or hung, may still have the order in its connection and obey it when it goes on. So a start
//! is remembered until the player is seen idle after the second it was for: nobody obeys it any longer then.

use super::messages::Index;
use super::seat::Seat;
use crate::units::{Mono, Now, Utc};
use std::time::Duration;

/// Starts remembered; more replace the oldest.
const ORPHANS_MAX: usize = 256;
/// One that goes on although it was asked to stop is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How far players' clocks may be from ours, and more.
const CLOCKS: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Orphan {
    player: Index,
    start: Utc,
    /// When it was asked to stop, if it has not been lost since.
    stopping: Option<Mono>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Orphans {
    all: Vec<Orphan>,
}

impl Orphans {
    /// This player may have the start of this second, which was taken back.
    pub fn add(&mut self, player: Index, start: Utc) {
        if self.all.iter().any(|o| o.player == player && o.start == start) {
            return;
        }
        if self.all.len() >= ORPHANS_MAX {
            self.all.remove(0);
        }
        self.all.push(Orphan { player, start, stopping: None });
    }

    /// It is asked to start again: a scan for this second, or one of a player that does not say for which, is the new
    /// one from now on.
    pub fn begins(&mut self, player: Index, start: Option<Utc>, says_which: bool) {
        self.all.retain(|o| o.player != player || (says_which && Some(o.start) != start));
    }

    /// It is lost: whether the stop has reached it nobody knows.
    pub fn lost(&mut self, player: Index) {
        self.all.iter_mut().filter(|o| o.player == player).for_each(|o| o.stopping = None);
    }

    /// A player says what it does. `true`: it runs what was taken back, and is to be asked to stop.
    pub fn seen(&mut self, player: Index, seat: &Seat, now: Now) -> bool {
        match seat.state_name() {
            Some("STARTING" | "SCANNING") => {
                // A reference player does not say which scan it runs.
                let start = seat.scan_start();
                let mine =
                    |o: &Orphan| o.player == player && start.is_none_or(|start| o.start.to_string() == start);
                let mut found = false;
                for orphan in self.all.iter_mut().filter(|o| mine(o)) {
                    if orphan.stopping.is_none_or(|at| now.mono.since(at) >= ASK_AGAIN) {
                        orphan.stopping = Some(now.mono);
                        found = true;
                    }
                }
                found
            }
            Some("READY" | "NO_MODE") => {
                self.all.retain(|o| o.player != player || now.utc <= o.start + CLOCKS);
                false
            }
            _ => false,
        }
    }
}
