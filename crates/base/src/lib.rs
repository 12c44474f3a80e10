//! The vocabulary that every other crate speaks.
//!
//! In the order of the journey: who and when ([`ids`], [`time`]), what is agreed on ([`log`]), how it is
//! written down ([`codec`]), how commands read and change it ([`database`]), what a protocol is ([`core`]),
//! and how we know that it holds ([`mod@invariant`], [`marks`], [`rng`]).
//!
//! There is no clock, no file, no socket and no thread here, nor in anything built only on this crate:
//! `no_std` lets the compiler say so.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "marks")]
extern crate std;

/// Binary encoding shared by the wire and the disk: little-endian, length-prefixed, bounded.
pub mod codec;
/// The shape of every protocol: inputs in, effects out, time as an argument.
pub mod core;
/// How commands read and change one database, whatever keeps it.
pub mod database;
/// Names that cannot be mixed up: nodes, replicas, groups, slots, databases.
pub mod ids;
/// A broken promise stops the process, by name.
pub mod invariant;
/// What a group agrees on: entries, terms, votes, membership.
pub mod log;
/// Coverage marks: a subtle branch and the test that claims to reach it.
pub mod marks;
/// Owned, seeded randomness.
pub mod rng;
/// Which slot a key belongs to.
pub mod slot;
/// Monotonic time and wall-clock time, never read, always given.
pub mod time;

pub use crate::core::{Core, Outbox};
pub use crate::ids::{DatabaseId, DatabaseIndex, GroupId, NodeId, ReplicaId, SessionId, Slot};
pub use crate::log::{ConfigChange, Entry, HardState, Index, Membership, Payload, Term};
pub use crate::rng::Rng;
pub use crate::slot::slot_of;
pub use crate::time::{Duration, Time, UnixMillis};
