//! The vocabulary between the store and whoever owns it.

use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{Entry, GroupId, HardState, Index, Membership, NodeId, ReplicaId, Term};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;

/// How a store behaves; the same directory may be opened with other options later.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a segment of the log is. At least [`Options::SEGMENT_BYTES_MIN`] is used.
    pub segment_bytes: u64,
    /// A number that nobody who writes data can guess, new for every start: records carry it, so that a client's value
    /// that looks like a record is never taken for one when a broken log is searched for what is still readable.
    pub salt: u32,
    /// How many bytes of a snapshot are written at most before they are synced, so that the log's next sync doesn't
    /// wait for a whole snapshot.
    pub snapshot_sync_bytes: u64,
}

impl Options {
    /// Segments are never shorter: a segment begins with two copies of its checkpoint in different blocks.
    pub const SEGMENT_BYTES_MIN: u64 = 16 << 10;
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, salt: 0, snapshot_sync_bytes: 1 << 20 }
    }
}

/// Whose directory it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, by its random id.
    pub cluster: u128,
    /// The member of it.
    pub node: NodeId,
    /// Counts the starts of the node: every [`crate::Store::open`] that finds an identity makes the next number durable
    /// before it returns.
    pub start: u64,
    /// For the owner; opaque here.
    pub settings: Bytes,
}

/// A snapshot of a group, by the last entry it contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// The last entry that is in it.
    pub index: Index,
    /// That entry's term.
    pub term: Term,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot at index {} of term {}", self.index.0, self.term.0)
    }
}

/// One piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// How long it is.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc: u32,
}

impl ChunkInfo {
    /// Describes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, crc: crc32c::crc32c(bytes) }
    }
}

/// A complete snapshot: what it covers, who took part, and its chunks in order. It is the manifest that a follower
/// fetches by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// The last entry that is in it.
    pub index: Index,
    /// That entry's term.
    pub term: Term,
    /// The membership as of that entry.
    pub membership: Membership,
    /// Its chunks, numbered from 0.
    pub chunks: Vec<ChunkInfo>,
}

impl SnapshotRecord {
    /// Its name.
    pub fn id(&self) -> SnapshotId {
        SnapshotId { index: self.index, term: self.term }
    }
}

/// Something to make durable. What one [`crate::Store::write`] is given takes effect in order; after a crash a group may
/// have kept any beginning of what was being written for it.
#[derive(Clone, Debug)]
pub enum Op {
    /// Says or changes whose directory it is.
    Identity(Identity),
    /// Begins an empty log for a replica. The group must not have one.
    CreateReplica {
        /// The group.
        group: GroupId,
        /// Which of its replicas.
        replica: ReplicaId,
    },
    /// Forgets a replica: its log, its hard state, its snapshots.
    DropReplica {
        /// The group.
        group: GroupId,
    },
    /// Replaces the hard state.
    HardState {
        /// The group.
        group: GroupId,
        /// What must not be forgotten.
        state: HardState,
    },
    /// Puts entries, contiguous, at their indexes; whatever the log had from the first one's index on is void.
    Append {
        /// The group.
        group: GroupId,
        /// The entries; none is allowed and means nothing.
        entries: Vec<Entry>,
    },
    /// One chunk of a snapshot, in any order. Of one that isn't complete yet it may survive a restart, and is found again
    /// by [`crate::DiskRequest::FindChunks`]; only [`Op::SnapshotDone`] makes it certain. Of a complete one it takes the
    /// place of a chunk that has rotted.
    SnapshotChunk {
        /// The group.
        group: GroupId,
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// Its place, from 0.
        number: u32,
        /// What it says.
        bytes: Bytes,
    },
    /// The snapshot is complete and replaces the one before; the log through its last entry is void.
    SnapshotDone {
        /// The group.
        group: GroupId,
        /// What it covers and consists of; every chunk must have been written.
        snapshot: SnapshotRecord,
        /// It came from a leader: all of the log is void, and goes on behind the snapshot.
        reset_log: bool,
    },
    /// The snapshot won't be completed. Means nothing for one that is complete.
    SnapshotAbandon {
        /// The group.
        group: GroupId,
        /// Which.
        snapshot: SnapshotId,
    },
    /// The [`Doubt`] about the group has been settled by a leader or by all voters; without this it is reported again
    /// after every restart.
    DoubtSettled {
        /// The group.
        group: GroupId,
    },
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Whose directory it is; nobody's yet when it is new.
    pub identity: Option<Identity>,
    /// The replicas that live here.
    pub groups: BTreeMap<GroupId, RecoveredGroup>,
    /// What was repaired, cut or lost, for people.
    pub notes: Vec<Note>,
}

/// One replica as the disk has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredGroup {
    /// Which replica of the group.
    pub replica: ReplicaId,
    /// Its hard state, whole: a term and a vote stand in two places on every disk.
    pub hard_state: HardState,
    /// Its snapshot, if it has one. A chunk may have rotted; who reads it hears of it.
    pub snapshot: Option<SnapshotRecord>,
    /// A newer snapshot of which some chunks may be here; it goes when it is abandoned or another one is done.
    pub partial: Option<SnapshotId>,
    /// The log after the snapshot.
    pub entries: Vec<Entry>,
    /// Whether the last thing written may be lost.
    pub doubt: Option<Doubt>,
    /// Why the replica can't be trusted; it must come back as a new one. What is readable is in the other fields.
    pub damaged: Option<String>,
}

/// The end of the log is unreadable: an interrupted write that nobody was told of, or something acknowledged that
/// rotted. Which one can't be told from here, so the replica refuses its vote to shorter logs until it is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// The last entry that the lost part may have held; `None` if even that is unreadable.
    pub last: Option<(Term, Index)>,
}

/// A sentence for the person who runs the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(pub String);

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a write says beside that it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The directories that no longer take part, by name.
    pub degraded: Vec<String>,
    /// What has happened to mirrors since the last report, for people.
    pub notes: Vec<Note>,
    /// Bytes that the log's segments take, on each disk.
    pub log_bytes: u64,
    /// Bytes that complete snapshots take, on each disk.
    pub snapshot_bytes: u64,
    /// How many segments the log has.
    pub segments: u32,
    /// Groups whose entries keep the oldest segment from being used again, if there is more than one segment: a snapshot
    /// of each would free it.
    pub oldest_segment_groups: Vec<GroupId>,
}

impl Encode for ChunkInfo {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.bytes);
        to.u32(self.crc);
    }
}

impl Decode for ChunkInfo {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { bytes: from.u64()?, crc: from.u32()? })
    }
}

impl Encode for SnapshotId {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.index.0);
        to.u64(self.term.0);
    }
}

impl Decode for SnapshotId {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { index: Index(from.u64()?), term: Term(from.u64()?) })
    }
}

impl Encode for SnapshotRecord {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.id().encode(to);
        self.membership.encode(to);
        to.list(self.chunks.iter());
    }
}

impl Decode for SnapshotRecord {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let SnapshotId { index, term } = SnapshotId::decode(from)?;
        Ok(Self { index, term, membership: Membership::decode(from)?, chunks: from.list()? })
    }
}

impl Encode for Identity {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.cluster as u64);
        to.u64((self.cluster >> 64) as u64);
        to.u32(self.node.0);
        to.u64(self.start);
        to.bytes(&self.settings);
    }
}

impl Decode for Identity {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (low, high) = (from.u64()?, from.u64()?);
        Ok(Self {
            cluster: u128::from(low) | u128::from(high) << 64,
            node: NodeId(from.u32()?),
            start: from.u64()?,
            settings: from.bytes()?,
        })
    }
}

impl Encode for Doubt {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bool(self.last.is_some());
        if let Some((term, index)) = self.last {
            to.u64(term.0);
            to.u64(index.0);
        }
    }
}

impl Decode for Doubt {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let last = if from.bool()? { Some((Term(from.u64()?), Index(from.u64()?))) } else { None };
        Ok(Self { last })
    }
}
