//! Connections by [`ConnId`]: a slab whose keys carry a generation, so that an event or an order
//! meant for a connection that is gone can never reach its successor in the same slot.

use super::ConnId;
use slab::Slab;

/// Generations are 31 bits wide: the top bit of a poll token tells other sources apart.
const GENERATION_MAX: u32 = u32::MAX >> 1;

pub(super) struct Generations<T> {
    slots: Slab<(ConnId, T)>,
    generation: u32,
}

impl<T> Generations<T> {
    pub(super) fn new() -> Self {
        Generations { slots: Slab::new(), generation: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Stores what `make` builds from its id-to-be.
    pub(super) fn insert<E>(&mut self, make: impl FnOnce(ConnId) -> Result<T, E>) -> Result<ConnId, E> {
        self.generation = if self.generation == GENERATION_MAX { 1 } else { self.generation + 1 };
        let entry = self.slots.vacant_entry();
        let id = ConnId(u64::from(self.generation) << 32 | entry.key() as u64);
        entry.insert((id, make(id)?));
        Ok(id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.slots.get_mut(index(id)) {
            Some((stored, value)) if *stored == id => Some(value),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get_mut(id)?;
        self.slots.try_remove(index(id)).map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|(_, (_, value))| value)
    }
}

fn index(id: ConnId) -> usize {
    (id.0 & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &mut Generations<char>, value: char) -> ConnId {
        table.insert::<()>(|_| Ok(value)).expect("cannot fail")
    }

    #[test]
    fn a_stale_id_never_reaches_the_successor() {
        let mut table = Generations::new();
        let a = put(&mut table, 'a');
        assert_eq!(table.remove(a), Some('a'));
        let b = put(&mut table, 'b');
        assert_eq!(index(a), index(b), "the slot is reused");
        assert_ne!(a, b, "the id is not");
        assert_eq!(table.get_mut(a), None);
        assert_eq!(table.remove(a), None);
        assert_eq!(table.get_mut(b), Some(&mut 'b'));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_failed_insert_leaves_no_slot_behind() {
        let mut table = Generations::<char>::new();
        assert_eq!(table.insert(|_| Err("no")), Err("no"));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn generations_wrap_without_touching_the_top_bit() {
        let mut table = Generations::new();
        table.generation = GENERATION_MAX - 1;
        assert_eq!(put(&mut table, 'a').0 >> 63, 0);
        assert_eq!(put(&mut table, 'b').0 >> 32, 1);
    }
}
