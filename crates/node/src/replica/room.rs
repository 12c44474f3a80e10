//! What a leader asks of memory before it proposes, and what it has under way there.

use super::Replica;
use crate::hub::Hub;
use crate::op::{Invocation, Op};
use crate::waitlist::KeyOf;
use base::{DatabaseId, UnixMillis};
use bytes::Bytes;
use command::Flags;
use std::collections::{BTreeMap, BTreeSet};

/// What a key takes beside its bytes, about: for the estimate of what is under way.
const KEY_OVERHEAD_BYTES: u64 = 64;

/// What one copy does to memory.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// What the batch does that is being filled.
    pub(super) batch: UnderWay,
    /// Keys whose removal is under way, so that none is chosen twice.
    condemned: BTreeMap<DatabaseId, BTreeSet<Bytes>>,
    /// Keys that were evicted while this copy led.
    pub(crate) evicted: u64,
}

/// What operations that are proposed, or about to be, do to memory.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    /// What they may add, about.
    pub(crate) growth: u64,
    /// What the keys take that they remove for room.
    pub(crate) freed: u64,
    /// Those keys.
    keys: Vec<KeyOf>,
}

impl Room {
    /// Whether the removal of a key is under way.
    pub(crate) fn is_condemned(&self, database: DatabaseId, key: &[u8]) -> bool {
        self.condemned.get(&database).is_some_and(|keys| keys.contains(key))
    }

    /// The removal of how many keys is under way.
    pub(crate) fn condemned(&self) -> u64 {
        self.condemned.values().map(|keys| keys.len() as u64).sum()
    }

    /// What was under way is done, or never will be.
    pub(super) fn acquit(&mut self, done: UnderWay) {
        for (database, key) in done.keys {
            if let Some(keys) = self.condemned.get_mut(&database) {
                keys.remove(&key);
            }
        }
    }
}

impl Replica {
    /// Whether there is room for an operation, of which note is taken if there is. What was offered to a command that
    /// waits only changes its place.
    pub(crate) fn has_room(&mut self, hub: &mut Hub, op: &Op<'_>) -> bool {
        let takes = |invocation: &Invocation<'_>| invocation.spec.flags.has(Flags::DENYOOM);
        let bytes = match op {
            Op::Command(invocation) if takes(invocation) => bytes_of(invocation),
            Op::Transaction(transaction)
                if transaction.commands.iter().any(takes)
                    || transaction.effects.is_some_and(|effects| effects.grows) =>
            {
                let effects = transaction.effects.map_or(0, |effects| effects.len() as u64);
                transaction.commands.iter().map(bytes_of).sum::<u64>() + effects
            }
            _ => return true,
        };
        if hub.memory.is_full() {
            return false;
        }
        self.room.batch.growth += bytes;
        hub.memory.growing += bytes;
        true
    }

    /// What is under way, the present batch included.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &UnderWay> {
        self.inflight.iter().map(|inflight| &inflight.memory).chain([&self.room.batch])
    }

    /// Whether it may decide something by itself now: it serves, and its last decision wasn't refused just before.
    pub(crate) fn may_decide(&self, hub: &Hub) -> bool {
        hub.now >= self.rests_until && self.serves()
    }

    /// A key that takes so many bytes is removed by the operation that comes next.
    pub(crate) fn condemn(&mut self, hub: &mut Hub, (database, key): KeyOf, bytes: u64) {
        if self.room.condemned.entry(database).or_default().insert(key.clone()) {
            self.room.batch.freed += bytes;
            self.room.batch.keys.push((database, key));
            hub.memory.going += bytes;
        }
    }

    /// The operation that comes next removes those of these keys that have expired.
    pub(super) fn condemn_expired(
        &mut self,
        hub: &mut Hub,
        keys: &[(DatabaseId, Box<[u8]>)],
        now: UnixMillis,
    ) {
        for (database, key) in keys {
            let Some(keyspace) = self.machine.keyspace() else { return };
            let Some(candidate) = keyspace.candidate(*database, key, now) else { continue };
            // Of others, only fields have expired.
            if candidate.gone_at.is_some_and(|at| at <= now) {
                let bytes = candidate.memory_bytes;
                self.condemn(hub, (*database, Bytes::copy_from_slice(key)), bytes);
            }
        }
    }

    /// Counts what was evicted by what was just applied; every copy evicts the same, and the leader tells.
    pub(super) fn count_evicted(&mut self, hub: &mut Hub) {
        let Some(keyspace) = self.machine.keyspace_mut() else { return };
        let evicted = keyspace.take_evicted();
        if self.raft.is_leader() {
            hub.counters.evicted += evicted;
            self.room.evicted += evicted;
        }
    }
}

/// What a command may add, about.
fn bytes_of(invocation: &Invocation<'_>) -> u64 {
    invocation.words.iter().map(|word| word.len() as u64).sum::<u64>() + KEY_OVERHEAD_BYTES
}
