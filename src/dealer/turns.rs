//! Whose turn it is: writes reach each player in the order in which they came, and two writes to sets of players that
//! overlap never interleave.
//!
//! One queue. A write begins when no earlier one that is not finished has a player in common with it. The order
//! is that of arrival for every player, so that nobody can wait for each other in a circle.

use super::messages::Index;
use std::collections::VecDeque;

/// Writes that wait or run; more are refused.
pub const TURNS_MAX: usize = 256;

#[derive(Debug)]
struct Place<T> {
    id: u64,
    players: Vec<Index>,
    /// `None`: it has begun.
    waiting: Option<T>,
}

/// The queue.
#[derive(Debug)]
pub struct Turns<T> {
    places: VecDeque<Place<T>>,
}

impl<T> Default for Turns<T> {
    fn default() -> Turns<T> {
        Turns { places: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    /// Takes a place; the work is given back when the queue is full.
    pub fn queue(&mut self, id: u64, players: Vec<Index>, work: T) -> Result<(), T> {
        if self.places.len() >= TURNS_MAX {
            return Err(work);
        }
        self.places.push_back(Place { id, players, waiting: Some(work) });
        Ok(())
    }

    /// The first that may begin now.
    pub fn begin_next(&mut self) -> Option<(u64, T)> {
        let mut taken: Vec<Index> = Vec::new();
        for place in &mut self.places {
            let free = place.players.iter().all(|p| !taken.contains(p));
            if free && let Some(work) = place.waiting.take() {
                return Some((place.id, work));
            }
            taken.extend(&place.players);
        }
        None
    }

    /// It is finished.
    pub fn done(&mut self, id: u64) {
        self.places.retain(|p| p.id != id);
    }

    /// Takes one back that has not begun.
    pub fn withdraw_where(&mut self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.places.iter().position(|p| p.waiting.as_ref().is_some_and(&wanted))?;
        self.places.remove(at).and_then(|p| p.waiting)
    }

    /// What has not begun, with its name.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, &T)> {
        self.places.iter().filter_map(|p| Some((p.id, p.waiting.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(players: &[usize]) -> Vec<Index> {
        players.iter().map(|p| Index(*p)).collect()
    }

    #[test]
    fn disjoint_sets_run_together_and_common_ones_in_order() {
        let mut turns = Turns::default();
        turns.queue(1, set(&[0, 1]), "a").expect("room");
        turns.queue(2, set(&[1, 2]), "b").expect("room");
        turns.queue(3, set(&[2]), "c").expect("room");
        turns.queue(4, set(&[3]), "d").expect("room");
        assert_eq!(turns.begin_next(), Some((1, "a")));
        assert_eq!(turns.begin_next(), Some((4, "d")), "3 waits for 2, which came first");
        assert_eq!(turns.begin_next(), None);
        turns.done(1);
        assert_eq!(turns.begin_next(), Some((2, "b")));
        turns.done(2);
        assert_eq!(turns.begin_next(), Some((3, "c")));
    }

    proptest! {
        #[test]
        fn for_every_player_in_order_one_at_a_time_and_all_get_through(
            sets in proptest::collection::vec(proptest::collection::vec(0usize..5, 1..4), 1..30),
            ends in proptest::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let mut turns = Turns::default();
            for (id, players) in sets.iter().enumerate() {
                prop_assert!(turns.queue(id as u64, set(players), ()).is_ok());
            }
            let mut running: Vec<u64> = Vec::new();
            let mut begun: Vec<u64> = Vec::new();
            for end in ends {
                while let Some((id, ())) = turns.begin_next() {
                    for other in &running {
                        let common = sets[id as usize].iter().any(|p| sets[*other as usize].contains(p));
                        prop_assert!(!common, "{id} runs beside {other}");
                    }
                    for earlier in 0..id {
                        let common = sets[id as usize].iter().any(|p| sets[earlier as usize].contains(p));
                        prop_assert!(!common || begun.contains(&earlier), "{id} before {earlier}");
                    }
                    begun.push(id);
                    running.push(id);
                }
                if running.is_empty() {
                    break;
                }
                let id = running.remove(end.index(running.len()));
                turns.done(id);
            }
            prop_assert_eq!(begun.len(), sets.len());
        }
    }
}
