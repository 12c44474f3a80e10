//! How commands read and change one database. Commands are written once, against `Database`; what keeps the data
//! (the keyspace of a consistent or local database, replicated data types in an available one) implements it.
//!
//! Every change goes through one of the mutators below, which alone keep the accounts that must stay true: memory,
//! the expiry index, what a running snapshot has not seen yet, and later undo and deltas. A command reads; a mutator
//! writes.
//!
//! All reads see the database at `Database::now`: what has expired by then isn't there.

/// What a change tells the outside.
pub mod events;
/// Fields with values.
pub mod hashes;
/// Elements in an order.
pub mod lists;
/// Distinct members.
pub mod sets;
/// Members ordered by score.
pub mod sorted_sets;
/// Logs with groups of consumers.
pub mod streams;

pub use events::{EventClass, EventClasses};
pub use hashes::{Hash, Hashes};
pub use lists::{List, Lists};
pub use sets::{Set, Sets};
pub use sorted_sets::{SortedSet, SortedSets};
pub use streams::{Stream, StreamId, Streams};

use crate::ids::{DatabaseId, Slot};
use crate::time::UnixMillis;
use alloc::vec::Vec;
use bytes::Bytes;

/// The types of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Bytes.
    String,
    /// An ordered sequence.
    List,
    /// Distinct members.
    Set,
    /// Fields with values.
    Hash,
    /// Members ordered by score.
    SortedSet,
    /// An append-only log with consumer groups.
    Stream,
}

impl Kind {
    /// What TYPE answers.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Hash => "hash",
            Kind::SortedSet => "zset",
            Kind::Stream => "stream",
        }
    }
}

/// The key holds another type than the command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the end.
    Forward,
    /// To the beginning.
    Backward,
}

/// What becomes of a key's time to live when its value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It stays as it is.
    Keep,
    /// The key lives until it is deleted.
    Clear,
    /// The key is gone from this time on.
    At(UnixMillis),
}

/// Where a scan goes on: entries are ordered by slot and then by their keyed hash, on every replica alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScanPosition {
    /// The slot to go on in.
    pub slot: Slot,
    /// The first hash not yet visited.
    pub hash: u64,
}

/// What is known of a key beside its value, for OBJECT and MEMORY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The type.
    pub kind: Kind,
    /// What OBJECT ENCODING answers.
    pub encoding: &'static str,
    /// Bytes of memory that the key and its value take, with all overhead.
    pub memory_bytes: u64,
    /// How it is used; `None` where that can't be told, because copies would answer differently.
    pub usage: Option<KeyUsage>,
    /// The shard revision of its last change.
    pub revision: u64,
}

/// How a key is used, as one copy knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// Milliseconds since the key was last read or written on this replica.
    pub idle_ms: u64,
    /// How often, as the logarithm that OBJECT FREQ answers; `None` if accesses aren't counted.
    pub frequency: Option<u8>,
}

/// One database of one shard, at one moment: what all types have in common, and by its supertraits each type.
///
/// Commands find a value by its key, read it through a view of its type, and change it by a mutator that names the key again. A mutator
/// that takes the last element of a list, a set, a hash or a sorted set takes the key with it.
pub trait Database: Lists + Sets + Hashes + SortedSets + Streams {
    /// The time at which everything below is judged.
    fn now(&self) -> UnixMillis;

    // Reading.

    /// The type of `key`, if it is there.
    fn kind(&self, key: &[u8]) -> Option<Kind>;
    /// The bytes of a string.
    fn string(&self, key: &[u8]) -> Result<Option<&[u8]>, WrongType>;
    /// When `key` expires: `None` if it isn't there, `Some(None)` if it never does.
    fn expires_at(&self, key: &[u8]) -> Option<Option<UnixMillis>>;
    /// What is known of `key` beside its value.
    fn facts(&self, key: &[u8]) -> Option<Facts>;
    /// How many keys there are.
    fn len(&self) -> u64;
    /// Whether there is no key.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A key chosen by `seed`, each as likely as any other or nearly so; the same seed on the same state gives the
    /// same key on every replica.
    fn pick(&self, seed: u64) -> Option<Vec<u8>>;
    /// Visits keys from `from` on, in order, about `limit` of them or a few more (keys with one hash stay together);
    /// answers where to go on, or `None` at the end. A key that is there from the first call of a walk to its last is
    /// visited at least once, whatever changes in between and whichever replica answers.
    fn scan(
        &self,
        from: ScanPosition,
        limit: usize,
        visit: &mut dyn FnMut(&[u8], Kind),
    ) -> Option<ScanPosition>;
    /// The value of `key` as DUMP answers it: Redis's RDB encoding with version and checksum.
    fn dump(&self, key: &[u8]) -> Option<Bytes>;

    // Mutators.

    /// Makes `key` a string, whatever it was.
    fn put_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry);
    /// Overwrites a part of a string in place, from `offset` on; zero bytes fill what lies between its end and
    /// `offset`. A missing key is an empty string. Keeps the time to live. Answers the new length.
    fn splice_string(&mut self, key: &[u8], offset: usize, part: &[u8]) -> Result<usize, WrongType>;
    /// Deletes `key`; whether it was there.
    fn remove(&mut self, key: &[u8]) -> bool;
    /// Sets or clears (`None`) when `key` expires; whether it was there. A time not after [`Database::now`] deletes it.
    fn set_expiry(&mut self, key: &[u8], at: Option<UnixMillis>) -> bool;
    /// Notes a reading of `key`, for OBJECT IDLETIME; local to this replica. Whether it was there.
    fn touch(&mut self, key: &[u8]) -> bool;
    /// Notes how recently and how often `key` was used elsewhere, where that is given.
    fn set_usage(&mut self, key: &[u8], idle_ms: Option<u64>, frequency: Option<u8>);
    /// Moves the value and its time to live, overwriting `to`; whether `from` was there.
    fn rename(&mut self, from: &[u8], to: &[u8]) -> bool;
    /// Copies the value and its time to live into database `into`, overwriting; whether `from` was there.
    fn copy(&mut self, from: &[u8], into: DatabaseId, to: &[u8]) -> bool;
    /// Whether `key` is there in another database of this shard.
    fn exists_in(&self, database: DatabaseId, key: &[u8]) -> bool;
    /// Puts what [`Database::dump`] gave; the key must not hold anything. Says so if the bytes are no such value.
    fn restore(&mut self, key: &[u8], dump: &[u8], expiry: Expiry) -> Result<(), BadDump>;
    /// Deletes everything.
    fn clear(&mut self);

    // Telling.

    /// A command says what it has done to `key`, for whoever listens to keyspace events. They are told when it is known that it counts.
    fn notify(&mut self, class: EventClass, event: &'static str, key: &[u8]);
    /// The same of a key in another database of this shard, or in this one.
    fn notify_in(&mut self, database: DatabaseId, class: EventClass, event: &'static str, key: &[u8]);
}

/// The bytes aren't a value in RDB encoding that this release reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDump;
