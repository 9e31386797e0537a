//! Starts that players may have and should not: stopped as soon as they show.
//!
//! ```text
//!   arming ──► on all: forgotten                   (a procedure is at work on it)
//!     │    └─► taken back, and stopped: forgotten
//!     │    └─► taken back, not known whether it has it ──► watched until it is seen idle after the second
//!     └─ the proxy is killed: found in its file ──► on all: goes on; otherwise taken back
//! ```
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
/// Whoever does not show an inherited start so long before its second does not have it.
const DECIDED_BEFORE: Duration = Duration::from_millis(1500);

/// A start at one player.
#[derive(Clone, Debug, PartialEq)]
pub struct Orphan {
    /// Who.
    pub player: Index,
    /// Its second.
    pub start: Utc,
    /// It is not to be; otherwise it is under way.
    pub taken_back: bool,
    /// A procedure is at work on it: nothing is done here.
    live: bool,
    /// It is of a proxy before this one.
    inherited: bool,
    /// Does the player have it? Of an inherited start that is not decided.
    shows: Option<bool>,
    /// When it was asked to stop, if it has not been lost since.
    stopping: Option<Mono>,
}

/// What is to be done about a player.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// It runs what was taken back: it is to be stopped.
    Stop,
    /// An inherited start is on all players: it goes on.
    GoesOn(Utc),
    /// It runs something and does not say what; that may be the inherited start of this second.
    Doubt(Utc),
}

/// All of them.
#[derive(Debug, Default)]
pub struct Orphans {
    all: Vec<Orphan>,
    changed: bool,
}

impl Orphans {
    /// These players are about to be asked to start.
    pub fn arming(&mut self, players: &[Index], start: Utc) {
        for player in players {
            self.all.retain(|o| o.player != *player || o.start != start);
            self.push(Orphan { live: true, ..Orphan::new(*player, start, false) });
        }
    }

    /// The procedure takes this start back.
    pub fn taken_back(&mut self, start: Utc) {
        let of = |o: &&mut Orphan| o.live && o.start == start;
        self.all.iter_mut().filter(of).for_each(|o| o.taken_back = true);
        self.changed = true;
    }

    /// The procedure has come to an end: what is known of this start is known.
    pub fn over(&mut self, start: Utc) {
        self.all.retain(|o| !o.live || o.start != start);
        self.changed = true;
    }

    /// This player may have the start of this second, which was taken back.
    pub fn add(&mut self, player: Index, start: Utc) {
        if self.all.iter().any(|o| o.player == player && o.start == start && !o.live) {
            return;
        }
        self.all.retain(|o| o.player != player || o.start != start);
        self.push(Orphan::new(player, start, true));
    }

    /// What a proxy before this one has left.
    pub fn inherit(&mut self, player: Index, start: Utc, taken_back: bool) {
        self.push(Orphan { inherited: true, ..Orphan::new(player, start, taken_back) });
    }

    fn push(&mut self, orphan: Orphan) {
        if self.all.len() >= ORPHANS_MAX {
            self.all.remove(0);
        }
        self.all.push(orphan);
        self.changed = true;
    }

    /// All, to be kept.
    pub fn iter(&self) -> impl Iterator<Item = &Orphan> {
        self.all.iter()
    }

    /// Is there something to be kept that was not there when this was asked last?
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// It is asked to start again: a scan for this second, or one of a player that does not say for which, is the new
    /// one from now on.
    pub fn begins(&mut self, player: Index, start: Option<Utc>, says_which: bool) {
        let before = self.all.len();
        self.all.retain(|o| o.live || o.player != player || (says_which && Some(o.start) != start));
        self.changed |= self.all.len() != before;
    }

    /// It is lost: whether the stop has reached it nobody knows.
    pub fn lost(&mut self, player: Index) {
        self.all.iter_mut().filter(|o| o.player == player).for_each(|o| o.stopping = None);
    }

    /// A player says what it does.
    pub fn seen(&mut self, player: Index, seat: &Seat, now: Now) -> Vec<Sight> {
        let mut sights: Vec<Sight> = self.decide(player, seat, now).map(Sight::GoesOn).into_iter().collect();
        match seat.state_name() {
            Some("STARTING" | "SCANNING") => sights.extend(self.runs(player, seat.scan_start(), now)),
            Some("READY" | "NO_MODE") => {
                let before = self.all.len();
                let idle = |o: &Orphan| !o.live && o.player == player && now.utc > o.start + CLOCKS;
                self.all.retain(|o| !idle(o));
                self.changed |= self.all.len() != before;
            }
            _ => {}
        }
        sights
    }

    /// It runs the scan of this second; a reference player does not say which.
    fn runs(&mut self, player: Index, start: Option<&str>, now: Now) -> Option<Sight> {
        let mut found = None;
        let watched = |o: &&mut Orphan| o.player == player && o.taken_back && !o.live;
        for orphan in self.all.iter_mut().filter(watched) {
            let mine = start.is_none_or(|start| orphan.start.to_string() == start);
            if !mine || orphan.stopping.is_some_and(|at| now.mono.since(at) < ASK_AGAIN) {
                continue;
            }
            let doubt = start.is_none() && orphan.inherited;
            if doubt && orphan.stopping.is_some() {
                continue;
            }
            orphan.stopping = Some(now.mono);
            found = Some(if doubt { Sight::Doubt(orphan.start) } else { Sight::Stop });
        }
        found
    }

    /// An inherited start that was under way: when all players have been seen, or it is too late for them, it is known
    /// whether it goes on.
    fn decide(&mut self, player: Index, seat: &Seat, now: Now) -> Option<Utc> {
        let open = |o: &Orphan| o.inherited && !o.taken_back;
        let start = self.all.iter().find(|o| o.player == player && open(o))?.start;
        let shows = seat.scan_start() == Some(start.to_string().as_str());
        let of_it = |o: &Orphan| open(o) && o.start == start;
        let mine = self.all.iter_mut().filter(|o| o.player == player && of_it(o));
        mine.for_each(|o| o.shows = Some(shows));
        let late = now.utc + DECIDED_BEFORE > start;
        let decided = late || self.all.iter().filter(|o| of_it(o)).all(|o| o.shows.is_some());
        if !decided {
            return None;
        }
        self.changed = true;
        if self.all.iter().filter(|o| of_it(o)).all(|o| o.shows == Some(true)) {
            self.all.retain(|o| !of_it(o));
            return Some(start);
        }
        self.all.iter_mut().filter(|o| of_it(o)).for_each(|o| o.taken_back = true);
        None
    }
}

impl Orphan {
    fn new(player: Index, start: Utc, taken_back: bool) -> Orphan {
        Orphan { player, start, taken_back, live: false, inherited: false, shows: None, stopping: None }
    }
}
