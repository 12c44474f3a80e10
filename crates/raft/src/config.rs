//! What a replica is told at its start: timing, bounds, and what was found on its disk.

use alloc::vec::Vec;
use base::{Duration, Entry, HardState, Index, Membership, ReplicaId, Term};
use bytes::Bytes;

/// How one replica behaves. All replicas of a group must agree on the timing and on `lease_reads`: a lease is worth
/// what the others promise.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who this replica is.
    pub id: ReplicaId,
    /// How long a follower that heard its leader votes for nobody else, and the least time after which it campaigns.
    pub election_timeout: Duration,
    /// How often a leader says that it is there. Beats fall on multiples of this, so that all groups of a node beat
    /// in the same flush.
    pub heartbeat_interval: Duration,
    /// By how much the clocks of two nodes may differ in speed; a lease is shortened by it.
    pub clock_drift_permille: u32,
    /// Whether a leader may answer reads on the strength of its lease.
    pub lease_reads: bool,
    /// About how many bytes of entries one append carries; at least one entry, however large.
    pub append_bytes_max: usize,
    /// How many unanswered appends with entries a follower may have.
    pub inflight_messages_max: usize,
    /// How many bytes of entries a follower may have unanswered, beyond which nothing more is sent to it.
    pub inflight_bytes_max: usize,
    /// How many bytes of proposals may wait for their commit; a single one may be larger.
    pub uncommitted_bytes_max: usize,
    /// Where this replica's random numbers start; another one for every start of every replica.
    pub seed: u64,
    /// Whether timeouts are drawn from one to two election timeouts; off only where a test sets them.
    pub election_jitter: bool,
    /// Whether a candidate asks first if it could win, so that a returning replica doesn't disturb a leader.
    pub pre_vote: bool,
    /// Whether a leader that hears no majority steps down, and followers ignore candidates while they hear a leader.
    pub check_quorum: bool,
    /// Whether a starting voter keeps the promise that it may have given before it stopped: no vote and no campaign
    /// for one election timeout.
    pub start_quietly: bool,
    /// Whether followers are told of every commit at once, by a message of its own if need be. Without it they learn
    /// it from the next append or heartbeat, which is all they need: only leaders answer.
    pub commit_notices: bool,
    /// Whether a leader that a change of membership removed or made a learner steps down when it applies the change.
    pub step_down_on_removal: bool,
    /// How long a write may take before the disk counts as hung: then a leader hands over to a voter that has
    /// everything, or after twice the time steps down, and nobody campaigns.
    pub disk_patience: Duration,
    /// Whether a group's only voter becomes its leader at once, without waiting for anything.
    pub elects_itself: bool,
    /// What is broken on purpose.
    #[cfg(feature = "bugs")]
    pub bugs: crate::bugs::Bugs,
}

impl Config {
    /// Sihai's defaults for this replica: a dead leader is replaced in about half a second.
    pub fn new(id: ReplicaId, seed: u64) -> Self {
        Self {
            id,
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(50),
            clock_drift_permille: 20,
            lease_reads: true,
            append_bytes_max: 1 << 20,
            inflight_messages_max: 256,
            inflight_bytes_max: 16 << 20,
            uncommitted_bytes_max: 64 << 20,
            seed,
            election_jitter: true,
            pre_vote: true,
            check_quorum: true,
            start_quietly: true,
            commit_notices: false,
            step_down_on_removal: true,
            disk_patience: Duration::from_millis(300),
            elects_itself: true,
            #[cfg(feature = "bugs")]
            bugs: crate::bugs::Bugs::default(),
        }
    }

    /// For how long after it was sent an acknowledged message lets its leader answer reads: the time for which the
    /// follower keeps its promise, less what their clocks may differ by.
    pub fn lease_length(&self) -> Duration {
        let millionths = 1_000_000u64.saturating_sub(u64::from(self.clock_drift_permille) * 1_000);
        let nanos = self.election_timeout.as_nanos() * u128::from(millionths) / 1_000_000;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What a replica finds on its disk when it starts.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Term, vote, and a lower bound of what is committed.
    pub hard_state: HardState,
    /// The members as of the snapshot.
    pub membership: Membership,
    /// Through which entry the snapshot reaches.
    pub snapshot_index: Index,
    /// The term of that entry.
    pub snapshot_term: Term,
    /// What a peer needs to fetch the snapshot; Raft doesn't look inside.
    pub snapshot_manifest: Bytes,
    /// What the log holds, without gaps. It may begin before the end of the snapshot; what lies before it then still
    /// serves followers.
    pub entries: Vec<Entry>,
    /// That the end of the log could not be read: torn by a crash, or rotten; nobody can tell.
    pub doubtful_tail: Option<DoubtfulTail>,
}

/// The end of the log could not be read. What was there may have been acknowledged, so until it is settled this
/// replica doesn't act as if it had never been: see the module `tail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubtfulTail {
    /// The last entry that may have been there; `None` if even that is unknown.
    pub last: Option<(Term, Index)>,
}

impl Recovered {
    /// A new group with these first members: it begins as if a snapshot of nothing had been taken at index 1, so that
    /// whoever joins later gets the first membership by snapshot too. All first members start with the same.
    pub fn bootstrap(membership: Membership) -> Self {
        Self {
            hard_state: HardState { term: Term(1), vote: None, commit: Index(1) },
            membership,
            snapshot_index: Index(1),
            snapshot_term: Term(1),
            ..Self::default()
        }
    }

    /// A replica that joins an existing group and knows nothing yet: it waits until a leader finds it.
    pub fn joining() -> Self {
        Self::default()
    }
}
