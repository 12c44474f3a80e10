//! What the world runs: a node, or in the world's own tests something simpler whose behaviour is known.

use base::{Core, GroupId, Index, NodeId, ReplicaId, Term, Time, UnixMillis};
use node::api::{Config, Effect, Input, PeerAddress};
use storage::{Op, Recovery};

/// A core that can be started like a node and looked into.
pub trait Program: Core<Input = Input, Effect = Effect> + Sized {
    /// The first operations of a founding node.
    fn found(config: &Config, cluster: u128) -> Vec<Op>;
    /// The first operations of a node that was welcomed by a cluster.
    fn join(cluster: u128, node: NodeId) -> Vec<Op>;
    /// Starts on what the disk has. `peers` is known only at the first start after joining.
    fn start(
        config: Config,
        recovery: Recovery,
        peers: Vec<PeerAddress>,
        now: Time,
        wall: UnixMillis,
    ) -> Self;
    /// Shows each copy that it keeps.
    fn probe(&self, visit: &mut dyn FnMut(Probe));
    /// For each copy: its group, the last entry applied, and a digest of all that it holds.
    fn digests(&self) -> Vec<(GroupId, Index, u64)>;
    /// Why it isn't ready; nothing if it is.
    fn not_ready(&self, now: Time) -> Vec<String>;
}

/// One copy of a group, as its node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The group.
    pub group: GroupId,
    /// Which copy.
    pub replica: ReplicaId,
    /// Its term.
    pub term: Term,
    /// Whether it leads.
    pub leads: bool,
    /// The last entry of its log.
    pub last: Index,
    /// The last entry that it knows to be committed.
    pub committed: Index,
    /// The last entry applied.
    pub applied: Index,
}
