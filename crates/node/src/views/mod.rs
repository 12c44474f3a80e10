//! What people and tools read: the read model of `crate::overview` as INFO, CLUSTER, JSON and Prometheus text, and
//! the configuration as CONFIG. Pure functions: they ask nobody, and they say only what is known. A field that Redis
//! has and Sihai has no true value for is left out, never invented.

/// CLUSTER: the slots and who serves them, in Redis's shapes.
pub mod cluster;
/// CONFIG: parameters, their values, and what may be changed while running.
pub mod config;
/// INFO, section by section.
pub mod info;
/// A writer of JSON that can't write anything else.
pub mod json;
/// What Prometheus scrapes.
pub mod metrics;
/// What `sihai status`, the console and the HTTP port's `/status` show, as JSON.
pub mod status;

use crate::overview::{GroupOverview, Overview};
use base::NodeId;

/// The release of Redis whose surface is offered: clients choose by it what they may send.
pub const REDIS_VERSION: &str = "7.2.0";

/// A node's name in the forty hex digits of Redis Cluster: the cluster's id, then the node's. The same on every node and
/// after every restart.
pub fn node_name(cluster: u128, node: NodeId) -> String {
    format!("{cluster:032x}{:08x}", node.0)
}

/// The host and the port of `host:port`; the port is 0 if there is none. Brackets around an IPv6 address are removed.
pub fn split_address(address: &str) -> (&str, u16) {
    let Some((host, port)) = address.rsplit_once(':') else { return (address, 0) };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host, port.parse().unwrap_or(0))
}

/// The shards, without meta.
fn shards(overview: &Overview) -> impl Iterator<Item = &GroupOverview> {
    overview.groups.iter().filter(|group| !group.group.is_meta())
}

/// How many copies have a vote.
fn voters(group: &GroupOverview) -> usize {
    group.copies.iter().filter(|copy| copy.voter).count()
}

/// How many copies the shard with the fewest has, those included that only learn and may still be catching up.
fn copies_held(overview: &Overview) -> usize {
    shards(overview).map(|shard| shard.copies.len()).min().unwrap_or(0)
}

/// How many copies that vote, and so are full, the shard with the fewest has.
fn copies_voting(overview: &Overview) -> usize {
    shards(overview).map(voters).min().unwrap_or(0)
}

/// On how many nodes' disks a write is when it is acknowledged, in the shard where they are fewest: a majority of the
/// voters.
fn acknowledged_on_disks(overview: &Overview) -> usize {
    shards(overview)
        .map(|shard| if voters(shard) == 0 { 0 } else { voters(shard) / 2 + 1 })
        .min()
        .unwrap_or(0)
}

/// How many shards have no leader that this node knows of.
fn leaderless(overview: &Overview) -> usize {
    shards(overview).filter(|shard| shard.leader.is_none()).count()
}

/// Keyspace memory of the copies on this node.
fn keyspace_bytes(overview: &Overview) -> u64 {
    overview.groups.iter().filter_map(|group| group.own.as_ref()).map(|own| own.memory_bytes).sum()
}

#[cfg(test)]
mod tests;
