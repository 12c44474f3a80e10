//! The read model: what this node knows of the cluster and of itself at one moment. INFO, CLUSTER, `sihai status`, the
//! readiness probe, the metrics and the console all render this one structure, so that none of them can disagree.

use crate::api::{Addresses, Machine};
use base::{GroupId, Index, NodeId, ReplicaId, Term, UnixMillis};

/// Everything at once.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The cluster's id.
    pub cluster: u128,
    /// The node that speaks.
    pub me: NodeId,
    /// Scripts and functions.
    pub programs: Programs,
    /// The placement's version.
    pub epoch: u64,
    /// How many shards the slots are spread over.
    pub shards: u32,
    /// How many copies every shard should have, at the cluster's present size.
    pub copies_wanted: usize,
    /// All members, by id.
    pub nodes: Vec<NodeOverview>,
    /// All groups, meta first.
    pub groups: Vec<GroupOverview>,
    /// All databases that hold something or were declared.
    pub databases: Vec<DatabaseOverview>,
    /// Whether every shard serves through this node, with as many copies as the cluster's size allows.
    pub ready: bool,
    /// Why not, as sentences.
    pub not_ready: Vec<String>,
    /// Whether the node has just started and doesn't yet know whether its shards serve.
    pub loading: bool,
    /// Counters of this node since its start.
    pub counters: Counters,
    /// What the cluster's settings say about memory.
    pub memory: crate::memory::Limits,
    /// What the driver measured last.
    pub machine: Machine,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
    /// Directories that failed or differ and are being repaired.
    pub mirrors_degraded: Vec<String>,
    /// The wall clock at this moment.
    pub wall: UnixMillis,
    /// Milliseconds since this node started.
    pub uptime_ms: u64,
    /// The release.
    pub version: &'static str,
}

/// One member.
#[derive(Clone, Debug, Default)]
pub struct NodeOverview {
    /// Who.
    pub id: NodeId,
    /// Where.
    pub addresses: Addresses,
    /// Whether this node has a link to it (true for itself).
    pub linked: bool,
    /// Milliseconds since something came from it; 0 for this node.
    pub silent_ms: u64,
    /// How many groups it leads, as far as this node knows.
    pub leads: usize,
    /// How many copies it should keep.
    pub copies: usize,
    /// How far its wall clock is ahead of this node's, in milliseconds, if known.
    pub clock_ahead_ms: Option<i64>,
}

/// One group, as this node sees it.
#[derive(Clone, Debug, Default)]
pub struct GroupOverview {
    /// Which.
    pub group: GroupId,
    /// Slots of the shard as inclusive ranges; empty for meta.
    pub slots: Vec<(u16, u16)>,
    /// Who leads it, as far as this node knows.
    pub leader: Option<NodeId>,
    /// The newest term this node knows of.
    pub term: Term,
    /// The copies.
    pub copies: Vec<CopyOverview>,
    /// This node's own copy, if it keeps one.
    pub own: Option<OwnCopy>,
}

/// One copy of a group.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyOverview {
    /// Which.
    pub replica: ReplicaId,
    /// Whether it votes.
    pub voter: bool,
    /// Known only to the leader: how far its log is known to be durable.
    pub durable: Option<Index>,
}

/// This node's own copy of a group.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnCopy {
    /// Whether it leads.
    pub leads: bool,
    /// The last entry of its log.
    pub last: Index,
    /// The last entry known to be committed.
    pub committed: Index,
    /// The last entry applied.
    pub applied: Index,
    /// Keys in all databases.
    pub keys: u64,
    /// Memory of the keyspace.
    pub memory_bytes: u64,
    /// Keys that were evicted while it led.
    pub evicted: u64,
    /// Log since the last snapshot.
    pub log_bytes: u64,
}

/// One database, summed over the copies that this node keeps.
#[derive(Clone, Debug, Default)]
pub struct DatabaseOverview {
    /// The number that clients SELECT.
    pub index: u32,
    /// What it prefers when copies can't talk: `consistent`, `available` or `local`.
    pub mode: &'static str,
    /// Keys on this node's copies.
    pub keys: u64,
    /// Those of them that expire.
    pub volatile: u64,
}

/// What was counted since this node started.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Clients connected now.
    pub clients: u64,
    /// Of them, those that wait: for something to come, or because of CLIENT PAUSE.
    pub blocked_clients: u64,
    /// Of them, those that keep what they have read (CLIENT TRACKING).
    pub tracking_clients: u64,
    /// Keys that they have read, marks on those keys, and prefixes that are told of.
    pub tracking_totals: [u64; 3],
    /// Clients that were ever accepted.
    pub connections: u64,
    /// Clients that were turned away.
    pub connections_refused: u64,
    /// Commands received from clients.
    pub commands: u64,
    /// Of those, forwarded to another node.
    pub forwarded: u64,
    /// What was counted of each command, by name: calls, microseconds, refused before, answered with an error; and the microseconds
    /// that half, 99 % and 99.9 % of the calls didn't exceed.
    pub commands_by_name: Vec<(&'static str, [u64; 4], [u64; 3])>,
    /// Errors answered, by first word.
    pub errors: std::collections::BTreeMap<String, u64>,
    /// What was refused to users for want of the right password, command, key, channel.
    pub access_denied: [u64; 4],
    /// Bytes received from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
    /// Keys found and not found by reads.
    pub keyspace_hits: u64,
    /// Keys not found by reads.
    pub keyspace_misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Keys removed because there was no room for them.
    pub evicted: u64,
    /// Keys and large collections of this node's copies that were deleted and are still to be freed.
    pub lazily_pending: u64,
    /// Those that were freed little by little.
    pub lazily_freed: u64,
    /// Operations that have changed something on this node's copies since SAVE or BGSAVE was last said.
    pub changes: u64,
    /// Clients that were hung up on because all of them held too much.
    pub clients_evicted: u64,
    /// Entries proposed by this node as a leader.
    pub proposals: u64,
    /// Write requests given to the disk.
    pub disk_writes: u64,
    /// Reads answered under a lease.
    pub lease_reads: u64,
    /// Reads that had to ask a majority.
    pub round_reads: u64,
    /// Elections that this node has won.
    pub elections_won: u64,
    /// Snapshots taken of own copies.
    pub snapshots_taken: u64,
    /// Snapshots installed from other nodes.
    pub snapshots_installed: u64,
    /// Of transactions over several shards.
    pub transactions: Transactions,
}

/// What this node has to do with transactions over several shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// Transactions and reads over shards that clients of this node wait for now.
    pub in_flight: u64,
    /// Prepared now in shards that this node leads: their keys are locked.
    pub prepared: u64,
    /// Transactions and reads that wait now for locks of shards that this node leads.
    pub waiting: u64,
    /// Plain commands of this node's clients that wait now for such locks.
    pub parked: u64,
    /// Begun for clients of this node.
    pub begun: u64,
    /// Of those: took effect.
    pub committed: u64,
    /// Of those: surely didn't.
    pub not_executed: u64,
    /// Of those: may have.
    pub unknown: u64,
    /// Tries after the first, each under a new name.
    pub retries: u64,
    /// Reads of several shards at one moment that logged nothing.
    pub reads: u64,
    /// Tries of such reads after the first.
    pub read_retries: u64,
    /// Prepares that shards led by this node have taken into their logs.
    pub prepares: u64,
    /// Prepares that had to wait there for locks.
    pub waits: u64,
    /// Prepares that were refused there without being logged.
    pub refused: u64,
    /// Prepared transactions that such a shard has asked the others about, because their gateway was silent.
    pub recoveries: u64,
    /// Plain commands that had to wait for locks.
    pub parked_total: u64,
}

impl Transactions {
    /// Quorum rounds that clients have waited for: one for each try.
    pub fn rounds(&self) -> u64 {
        self.begun + self.retries
    }
}

/// Which scripts and functions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// Scripts that this node can run by their SHA-1.
    pub scripts: usize,
    /// Functions of all libraries.
    pub functions: usize,
    /// Libraries.
    pub libraries: usize,
}
