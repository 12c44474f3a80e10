//! One node's durable state: an append stream that all its Raft groups share, and their snapshots, on one or several
//! directories that can fail.
//!
//! [`Store`] is a blocking object with one owner. The server runs it on a thread of its own, so that an engine never
//! waits for a disk; the simulator runs it inline on [`memory::MemoryDisk`] and adds the delays itself. Both go through
//! [`Store::serve`], so that what is simulated is what ships.
//!
//! What it must never do: say that something is durable before every mirror that counts has synced it; sync a file
//! again after a sync failed; take corrupt for absent; read a clock, draw a random number, or touch a file except
//! through [`disk::Disk`]. The format is drawn byte for byte in `docs/formats/log.md` and `docs/formats/snapshot.md`.
#![forbid(unsafe_code)]

/// The bytes of one batch.
mod batch;
/// Verifies a stopped node's directories.
pub mod check;
/// The chunks of snapshots: written, found again, read, mended.
mod chunks;
/// What the store asks of a disk, and how a disk says no.
pub mod disk;
/// Why opening, writing or reading failed, as sentences for the person who reads them.
pub mod error;
/// The file that says that a directory is one of ours.
mod format;
/// What the log says, in memory.
mod index;
/// A disk in memory that loses power, tears writes, rots and fills up, for tests and the simulator.
pub mod memory;
/// The directories that hold the same.
mod mirror;
/// The vocabulary: what can be written, what recovery finds, what a write reports.
pub mod op;
/// Opening: what was there before, made whole again.
mod open;
/// Records, byte for byte.
mod record;
/// Decides what the records say, and about what is unreadable.
mod replay;
/// Reads one segment from all mirrors.
mod scan;
/// The life of the log's segments.
mod segments;
/// Requests and completions, and the group commit over all that wait.
pub mod serve;
/// The files of snapshots.
mod snapshot;
/// The store itself: write, read.
pub mod store;
/// Which directories there are, and which of them hold the newest.
mod survey;

pub use check::{CheckReport, GroupReport, check};
pub use disk::{Disk, DiskFile, LockError};
pub use error::{OpenError, ReadError, WriteError};
pub use op::{
    ChunkInfo, Doubt, Identity, Note, Op, Options, RecoveredGroup, Recovery, Report, SnapshotId,
    SnapshotRecord,
};
pub use serve::{DiskCompletion, DiskRequest, Failure, Token};
pub use store::Store;
