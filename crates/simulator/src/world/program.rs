//! What the world runs: a node, or in the world's own tests something simpler whose behaviour is known.

use base::{Core, GroupId, Index, NodeId, Time, UnixMillis};
use node::Node;
use node::api::{Config, Effect, Input, PeerAddress};
use node::overview::GroupOverview;
use storage::{Op, Recovery};

pub use node::look::Probe;

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
    /// What it knows of every group, a line each, for people.
    fn describe(&self, now: Time) -> Vec<String>;
}

impl Program for Node {
    fn found(config: &Config, cluster: u128) -> Vec<Op> {
        Node::found(config, cluster)
    }

    fn join(cluster: u128, node: NodeId) -> Vec<Op> {
        Node::join(cluster, node)
    }

    fn start(
        config: Config,
        recovery: Recovery,
        peers: Vec<PeerAddress>,
        now: Time,
        wall: UnixMillis,
    ) -> Self {
        Node::new(config, recovery, peers, now, wall)
    }

    fn probe(&self, visit: &mut dyn FnMut(Probe)) {
        Node::probe(self, visit);
    }

    fn digests(&self) -> Vec<(GroupId, Index, u64)> {
        Node::digests(self)
    }

    fn not_ready(&self, now: Time) -> Vec<String> {
        let overview = self.overview(now);
        match (overview.ready, overview.not_ready.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => vec!["it doesn't say why".into()],
            (false, false) => overview.not_ready,
        }
    }

    fn describe(&self, now: Time) -> Vec<String> {
        self.overview(now).groups.iter().map(describe_group).collect()
    }
}

fn describe_group(group: &GroupOverview) -> String {
    let copies: Vec<String> = group
        .copies
        .iter()
        .map(|copy| format!("{}{}", copy.replica, if copy.voter { "" } else { " (learner)" }))
        .collect();
    let own = group.own.map_or("no own copy".into(), |own| {
        let leads = if own.leads { ", leads" } else { "" };
        format!("last {}, committed {}, applied {}{leads}", own.last.0, own.committed.0, own.applied.0)
    });
    let leader = group.leader.map_or("nobody".into(), |node| format!("node {node}"));
    let (name, term) = (group.group, group.term.0);
    format!("{name}: term {term}, led by {leader}, copies [{}], {own}", copies.join(", "))
}
