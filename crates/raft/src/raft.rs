//! The state machine: inputs, effects, and their dispatch.

use crate::config::{Config, Recovered};
use crate::membership::ConfigError;
use crate::message::Message;
use crate::progress::Progress;
use alloc::vec::Vec;
use base::{ConfigChange, Core, Entry, HardState, Index, Membership, Outbox, ReplicaId, Term, Time};
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
    /// There is no lease: ask by [`Raft::request_read`].
    NeedsRound,
}

/// One replica of one group.
#[derive(Debug)]
pub struct Raft {
    pub(crate) config: Config,
}

impl Raft {
    /// Starts a replica with what it found on its disk.
    pub fn new(config: Config, _recovered: Recovered, _now: Time) -> Self {
        Self { config }
    }
    /// Takes a command into the log, if this is the leader; it goes out with the next flush.
    pub fn propose(&mut self, _payload: Bytes) -> Result<Index, ProposeError> {
        Err(ProposeError::NotLeader { leader: None })
    }
    /// Takes a change of membership into the log, if this is the leader and no other is under way.
    pub fn propose_config(&mut self, _change: ConfigChange) -> Result<Index, ProposeError> {
        Err(ProposeError::NotLeader { leader: None })
    }
    /// Whether a read of the applied state is linearizable now without asking anybody: then it may be served once
    /// everything through the index is applied.
    pub fn lease_read(&self, _now: Time) -> Result<Index, ReadRefusal> {
        Err(ReadRefusal::NotLeader)
    }
    /// Asks for a read by a round of messages; answered by [`Effect::ReadReady`] or [`Effect::ReadRefused`].
    pub fn request_read(&mut self, _ticket: u64) {}
    /// Hands leadership to another voter, if it can be; the lease ends at once.
    pub fn transfer(&mut self, _now: Time, _to: ReplicaId) -> bool {
        false
    }
    /// Campaigns now, by pre-vote first.
    pub fn campaign(&mut self, _now: Time) {}
    /// A hint that the leader is gone: campaigns as early as this replica's promise to the leader allows.
    pub fn hint_leader_lost(&mut self, _now: Time) {}
    /// The state as of `index` is durable under this manifest; entries before `keep_from` are no longer needed, in
    /// memory nor on disk.
    pub fn snapshot_taken(&mut self, _index: Index, _manifest: Bytes, _keep_from: Index) {}
    /// Entries through `through` may leave memory, as far as they are durable and applied.
    pub fn release_cached(&mut self, _through: Index) {}
    /// Who this is.
    pub fn id(&self) -> ReplicaId {
        self.config.id
    }
    /// What it is at the moment.
    pub fn role(&self) -> Role {
        Role::Follower
    }
    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        false
    }
    /// Who leads, as far as it knows.
    pub fn leader(&self) -> Option<ReplicaId> {
        None
    }
    /// Its term.
    pub fn term(&self) -> Term {
        Term(0)
    }
    /// How far it knows the log to be committed.
    pub fn commit_index(&self) -> Index {
        Index::ZERO
    }
    /// How far its state machine has applied.
    pub fn applied_index(&self) -> Index {
        Index::ZERO
    }
    /// Where its log ends, durable or not.
    pub fn last_index(&self) -> Index {
        Index::ZERO
    }
    /// How far its own log is durable.
    pub fn durable_index(&self) -> Index {
        Index::ZERO
    }
    /// The oldest entry that its log still has, in memory or on disk.
    pub fn first_index(&self) -> Index {
        Index::ZERO
    }
    /// The members as of what is applied.
    pub fn membership(&self) -> &Membership {
        unimplemented!()
    }
    /// What a leader knows of a follower.
    pub fn progress_of(&self, _peer: ReplicaId) -> Option<&Progress> {
        None
    }
    /// What a leader knows of all members, itself included.
    pub fn progress(&self) -> impl Iterator<Item = (ReplicaId, &Progress)> {
        core::iter::empty()
    }
    /// Until when the lease lets reads be served; `None` without one.
    pub fn lease_until(&self) -> Option<Time> {
        None
    }
    /// Whether leadership is being handed over.
    pub fn transferring_to(&self) -> Option<ReplicaId> {
        None
    }
    /// How many bytes of entries are in memory.
    pub fn log_bytes(&self) -> usize {
        0
    }
    /// Whether the end of the log was unreadable at the start and isn't settled yet.
    pub fn is_tail_doubtful(&self) -> bool {
        false
    }
}

impl Core for Raft {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, _now: Time, _input: Input, _out: &mut Outbox<Effect>) {}
    fn flush(&mut self, _now: Time, _out: &mut Outbox<Effect>) {}
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn check(&self) {}
}
