//! The state of one shard: its databases, their keys and values, when they expire, and snapshots of it all.
//!
//! In the order of the journey: a [`Keyspace`] gives a [`View`] of one database at one moment, through which commands
//! read and change it; a snapshot of it is made of chunks that another replica loads. Values are written down as
//! Redis writes them ([`rdb`]).
//!
//! Nothing here reads a clock, draws a random number or iterates in an order that isn't state: replicas that apply the
//! same commands at the same logged times are equal, byte for byte.
#![forbid(unsafe_code)]

/// One shard: its databases, what they have in common, and what the shard's log decides about them.
pub mod keyspace;
/// Lookups to come, brought near.
pub mod prefetch;
/// Lists, sets, hashes, sorted sets and streams.
mod types;
/// How recently and how often keys are used.
pub mod usage;
/// Keys to lose when memory is short.
pub mod victims;
/// One database at one moment, as commands see it.
pub mod view;

/// Reading what LZF compressed.
pub mod lzf;
/// Redis's encoding of values, for DUMP, RESTORE and snapshots.
pub mod rdb;

/// The bytes of elements, cheap to copy.
mod blob;
/// Which keys have changed.
mod changed;
/// The bytes of a snapshot's chunks.
mod chunk;
/// Which keys expire when.
mod deadlines;
/// When a collection is called by the name of a compact encoding.
mod encodings;
/// The keys of a snapshot, from its chunks.
mod gather;
/// What was deleted at once and is freed little by little.
mod graveyard;
/// One database, and the few ways in which it changes.
mod mutators;
/// Small collections, as rows in one allocation.
mod packed;
/// How far the writing of a value in parts has come.
mod part;
/// Choosing a key by a seed.
mod pick;
/// Where an entry stands in the order of all entries.
mod position;
/// Key, value and all that is known of them, in one allocation.
mod record;
/// The entries of one slot, in order.
mod slot;
/// A snapshot under way: what it has seen, and what it must still be told.
mod snapshot;
/// The entries of one database, in order.
mod table;
/// Changes that may be taken back.
mod tentative;
/// The persistent tree under all collections.
mod tree;

pub use crate::changed::ChangedKey;
pub use crate::chunk::BadChunk;
pub use crate::encodings::{Compact, Encodings};
pub use crate::gather::{Found, Gatherer};
pub use crate::keyspace::{Event, Keyspace};
pub use crate::tentative::Before;
pub use crate::view::View;

#[cfg(test)]
mod tests;
