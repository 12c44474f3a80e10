//! What a replica and its node say to each other: inputs, effects, and refusals.

use crate::membership::ConfigError;
use crate::message::Message;
use alloc::vec::Vec;
use base::{Entry, HardState, Index, Membership, ReplicaId, Term};
use bytes::Bytes;

/// What can happen to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A peer said something.
    Message(Message),
    /// Everything of the [`Effect::Persist`] with this token, and of all earlier ones, is durable.
    Persisted {
        /// Its token.
        token: u64,
    },
    /// The state machine has applied everything through `index`. Changes of membership take effect here.
    Applied {
        /// The last entry applied.
        index: Index,
    },
    /// The answer to [`Effect::LoadEntries`]; empty if the entries are gone.
    EntriesLoaded {
        /// From which place on.
        first: Index,
        /// What is there, without gaps.
        entries: Vec<Entry>,
    },
    /// The snapshot of [`Effect::Restore`] is durable and loaded, and the log on disk is replaced by it: nothing of
    /// the old log is left there, and the next entry to be written follows the snapshot.
    SnapshotInstalled {
        /// Which snapshot.
        index: Index,
    },
    /// The snapshot of [`Effect::Restore`] could not be had; state and log are what they were.
    SnapshotFailed {
        /// Which snapshot.
        index: Index,
    },
    /// For a leader, optional: what became of a snapshot on its way to a follower.
    SnapshotSent {
        /// The follower.
        to: ReplicaId,
        /// Whether it arrived.
        ok: bool,
    },
    /// The link to a peer broke: what was sent last may be lost.
    Unreachable {
        /// The peer.
        peer: ReplicaId,
    },
}

/// What a replica asks of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this; it may be lost, doubled, delayed and reordered.
    Send(Message),
    /// Make this durable, in the order of the tokens, and answer with [`Input::Persisted`].
    Persist {
        /// Grows with every one.
        token: u64,
        /// The hard state from now on, if it changed.
        hard_state: Option<HardState>,
        /// Replaces the log from the first of these on.
        entries: Vec<Entry>,
    },
    /// These entries are committed: every entry once, in order. Answer with [`Input::Applied`].
    Apply {
        /// The entries.
        entries: Vec<Entry>,
    },
    /// Fetch this state from peers, make it durable, load it and forget the log, then answer with
    /// [`Input::SnapshotInstalled`] or [`Input::SnapshotFailed`]. Until then the log doesn't change.
    Restore {
        /// Who has it for certain; any other replica that has its chunks may serve them as well.
        from: ReplicaId,
        /// Through which entry it reaches.
        index: Index,
        /// The term of that entry.
        term: Term,
        /// The members as of that entry.
        membership: Membership,
        /// What the leader's node said about it.
        manifest: Bytes,
    },
    /// Read entries from disk that memory no longer has; answer with [`Input::EntriesLoaded`].
    LoadEntries {
        /// From this one.
        first: Index,
        /// Through this one, or fewer.
        through: Index,
        /// About so many bytes, at least one entry.
        bytes_max: usize,
    },
    /// A read that was asked for may be served once everything through `index` is applied.
    ReadReady {
        /// Which read.
        ticket: u64,
        /// What it must see.
        index: Index,
    },
    /// A read that was asked for can't be served here.
    ReadRefused {
        /// Which read.
        ticket: u64,
    },
    /// Role, term or leader changed.
    RoleChanged {
        /// The role now.
        role: Role,
        /// The term now.
        term: Term,
        /// The leader now, if one is known.
        leader: Option<ReplicaId>,
    },
    /// The unreadable end of the log is settled: what it may have held is back, or was never committed. Whoever keeps a
    /// note of it on disk may forget it.
    TailSettled,
}

/// What a replica is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It follows, or waits.
    #[default]
    Follower,
    /// It asks whether it could win an election.
    PreCandidate,
    /// It asks for votes.
    Candidate,
    /// It leads.
    Leader,
}

/// Why a proposal was not taken. None of it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Somebody else leads, or nobody.
    NotLeader {
        /// Who, if known.
        leader: Option<ReplicaId>,
    },
    /// Leadership is being handed over.
    Transferring,
    /// Too many bytes wait for their commit already.
    TooMuchUncommitted,
    /// Another change of membership is not applied yet.
    AlreadyChanging,
    /// The change can't be made to these members.
    Impossible(ConfigError),
}

/// Why a read can't be answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadRefusal {
    /// Somebody else leads, or nobody.
    NotLeader,
    /// The leader is new and doesn't know yet what is committed.
    NotReady,
    /// There is no lease: ask by [`crate::Raft::request_read`].
    NeedsRound,
}
