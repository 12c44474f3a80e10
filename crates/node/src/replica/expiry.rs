//! The leader sees that keys' time has come, and logs that they go.

use super::Replica;
use crate::hub::{Hub, Waiter};
use crate::op::{Op, encode_op};
use base::{Time, UnixMillis};

/// Keys that one logged decision removes at most.
const EXPIRE_KEYS_MAX: usize = 1000;

impl Replica {
    /// Logs that keys have expired, if some have and this copy leads.
    pub fn expire(&mut self, hub: &mut Hub) {
        if self.housekeeping || hub.clock_off || hub.now < self.rests_until || !self.serves() {
            return;
        }
        let Some(keyspace) = self.machine.keyspace() else { return };
        let wall = hub.time_from(self.last_time);
        if keyspace.next_expiry().is_none_or(|first| first > wall) {
            return;
        }
        let mut keys = keyspace.expired(wall, EXPIRE_KEYS_MAX);
        keys.retain(|(database, key)| self.may_let_go(*database, key));
        if keys.is_empty() {
            // They are held by transactions whose outcome isn't known yet.
            self.rests_until = hub.now + super::REST;
            return;
        }
        hub.counters.expired += keys.len() as u64;
        if hub.memory.is_limited() {
            self.condemn_expired(hub, &keys, wall);
        }
        let op = Op::Expire(keys.iter().map(|(database, key)| (*database, &key[..])).collect());
        let mut bytes = Vec::new();
        encode_op(&mut bytes, &op);
        self.housekeeping = true;
        self.last_time = wall;
        self.write_encoded(hub, Waiter::Nobody, None, &bytes);
    }

    /// When a key of this copy expires next, if it leads.
    pub fn next_expiry(&self, now: Time) -> Option<UnixMillis> {
        if self.housekeeping || now < self.rests_until || !self.serves() {
            return None;
        }
        self.machine.keyspace()?.next_expiry()
    }
}
