//! Bringing what a key's lookup needs into the processor's cache before the lookup. A lookup in a large keyspace waits for memory
//! three times, each time for an address that the one before brought; those of different keys need not wait for each
//! other. Who knows the next keys beforehand takes all of them one step at a time.

use crate::keyspace::Keyspace;
use crate::position::Position;
use crate::slot::Slot;
use base::DatabaseId;
use std::hint::black_box;

/// A lookup to come. It finds nothing and changes nothing, and the lookup itself doesn't rely on it.
#[derive(Clone, Copy, Debug)]
pub struct Prefetch<'a> {
    slot: &'a Slot,
    position: Position,
}

impl Keyspace {
    /// The first step: where the key's slot is.
    #[inline]
    pub fn prefetch(&self, database: DatabaseId, key: &[u8]) -> Option<Prefetch<'_>> {
        let position = self.placement.of(key);
        let slot = self.stores[self.store(database)?].table.slot(position)?;
        Some(Prefetch { slot, position })
    }
}

impl Prefetch<'_> {
    /// The second step, once the slots of all keys were asked for: the part of the slot's array in which the key should be.
    #[inline]
    pub fn entries(self) {
        for entry in self.slot.lines_around(self.position) {
            black_box(entry.position);
        }
    }

    /// The third step: the record.
    #[inline]
    pub fn record(self) {
        if let Some(entry) = self.slot.first_from(self.position) {
            black_box(entry.record.kind());
        }
    }
}
