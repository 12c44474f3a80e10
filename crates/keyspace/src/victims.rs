//! Keys to lose when memory is short: drawn by chance, or the next to expire, and removed by a logged decision.
//!
//! Which key is drawn is the leader's choice, and depends on the copy's own knowledge of how keys are used
//! ([`usage`](crate::usage)); what a decision does to the state is the same on every copy.

use crate::keyspace::Keyspace;
use crate::mutators::Store;
use crate::pick::draw_any;
use crate::record::Record;
use crate::usage::{Counting, access_second};
use base::database::EventClass;
use base::{DatabaseId, Rng, UnixMillis};

/// A key that may be evicted, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its database.
    pub database: DatabaseId,
    /// The key.
    pub key: &'a [u8],
    /// The shard revision of its last change: only as long as it has this does the decision concern it.
    pub revision: u64,
    /// Bytes of memory that it takes.
    pub memory_bytes: u64,
    /// From when it isn't there, if at all.
    pub gone_at: Option<UnixMillis>,
    /// Seconds since it was last used; `u32::MAX` if that isn't known.
    pub idle_s: u32,
    /// How often it is used, as a logarithm.
    pub frequency: u8,
}

impl Keyspace {
    /// Among how many keys a victim can be drawn: all, or those that expire.
    pub fn candidates(&self, volatile: bool) -> u64 {
        self.stores.iter().map(|store| count(store, volatile)).sum()
    }

    /// A key by chance, each as likely as any other or nearly so: of all, or of those that expire.
    pub fn draw_candidate(&self, volatile: bool, now: UnixMillis, rng: &mut Rng) -> Option<Candidate<'_>> {
        let total = self.candidates(volatile);
        if total == 0 {
            return None;
        }
        let mut nth = rng.below(total);
        let store = self.stores.iter().find(|store| {
            let len = count(store, volatile);
            let found = nth < len;
            if !found {
                nth -= len;
            }
            found
        })?;
        let record = if volatile { expiring(store, nth)? } else { draw_any(store, nth, rng) };
        Some(self.candidate_of(store, record, now))
    }

    /// The key that expires next and isn't taken. `taken`: about how many are, most of them those that expire next.
    pub fn next_to_expire(
        &self,
        now: UnixMillis,
        taken: u64,
        is_taken: &dyn Fn(DatabaseId, &[u8]) -> bool,
    ) -> Option<Candidate<'_>> {
        let firsts = self.stores.iter().filter_map(|store| {
            let (mut low, mut high) = (0, taken.min(store.deadlines.len()));
            while low < high {
                let middle = low.midpoint(high);
                if free(store, middle, is_taken).is_some() {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            Some((store, free(store, low, is_taken)?))
        });
        let (store, record) = firsts.min_by_key(|(_, record)| record.gone_at())?;
        Some(self.candidate_of(store, record, now))
    }

    /// A key as it is now, if it is there.
    pub fn candidate(&self, database: DatabaseId, key: &[u8], now: UnixMillis) -> Option<Candidate<'_>> {
        let store = &self.stores[self.store(database)?];
        let entry = store.table.get(self.placement.of(key), key)?;
        Some(self.candidate_of(store, &entry.record, now))
    }

    fn candidate_of<'a>(&self, store: &'a Store, record: &'a Record, now: UnixMillis) -> Candidate<'a> {
        Candidate {
            database: store.id,
            key: record.key(),
            revision: record.revision(),
            memory_bytes: store.table.cost(record),
            gone_at: record.gone_at(),
            idle_s: match record.access() {
                0 => u32::MAX,
                access => access_second(now).saturating_sub(access),
            },
            frequency: self.usage.counting.frequency(record, now),
        }
    }

    /// Carries out a logged decision: removes the key, if it has not changed since this revision. Whether it was removed; an
    /// expired one is, as such.
    pub fn evict(&mut self, id: DatabaseId, key: &[u8], revision: u64, now: UnixMillis) -> bool {
        let position = self.placement.of(key);
        let Some(index) = self.store(id) else { return false };
        let Some(entry) = self.stores[index].table.get(position, key) else { return false };
        if entry.record.revision() != revision {
            return false;
        }
        if !entry.record.is_live(now) {
            return self.remove_expired(id, key, now);
        }
        self.change(index, now).remove(position, key);
        self.note_event(id, EventClass::Evicted, "evicted", key);
        self.evicted += 1;
        true
    }

    /// How many keys were evicted since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// From now on accesses are counted like this.
    pub fn set_counting(&mut self, counting: Counting) {
        self.usage.counting = counting;
    }

    /// It is so late by the node's clock; from now on accesses are noted as of then.
    #[inline]
    pub fn set_clock(&mut self, wall: UnixMillis) {
        self.usage.clock = wall;
    }

    /// Whether what is known of accesses is hidden from commands for now: what they answer must be the same on every copy.
    pub fn hide_usage(&mut self, hidden: bool) {
        self.usage.hidden = hidden;
    }
}

fn count(store: &Store, volatile: bool) -> u64 {
    if volatile { store.deadlines.len() } else { store.table.len() }
}

/// The record of the key that expires behind so many others, if it isn't taken.
fn free<'a>(store: &'a Store, rank: u64, is_taken: &dyn Fn(DatabaseId, &[u8]) -> bool) -> Option<&'a Record> {
    expiring(store, rank).filter(|record| !is_taken(store.id, record.key()))
}

/// The record of the key that expires behind so many others.
fn expiring(store: &Store, rank: u64) -> Option<&Record> {
    let (at, position) = store.deadlines.nth(rank)?;
    store.table.group(position).iter().map(|entry| &entry.record).find(|record| record.gone_at() == Some(at))
}
