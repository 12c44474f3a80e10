//! CLUSTER, in the shapes of Redis 7.2, so that cluster clients find the leaders by themselves.
//!
//! What Redis calls a shard (a master with its replicas) is a group here, and a node takes part in many: it is the
//! master where it leads and a replica elsewhere. Every node answers the same, as far as it knows; nobody is ever sent
//! away by MOVED, so an answer that is out of date costs a hop and nothing else.

use super::{node_name, shards, split_address};
use crate::overview::{GroupOverview, NodeOverview, Overview};
use base::{NodeId, Slot, slot_of};
use resp::Writer;
use std::fmt::Write;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterCommand {
    /// Ranges of slots with those who serve them.
    Slots,
    /// The same by shard, with roles and health.
    Shards,
    /// One line a node.
    Nodes,
    /// Whether all slots are served.
    Info,
    /// This node's name.
    MyId,
    /// The name of those who copy each other.
    MyShardId,
    /// The slot of a key.
    KeySlot(Slot),
    /// How many keys a slot has; the caller counts.
    CountKeysInSlot(Slot),
    /// Some keys of a slot; the caller finds them.
    GetKeysInSlot {
        /// The slot.
        slot: Slot,
        /// At most so many.
        count: u64,
    },
    /// The nodes that there are links to.
    Links,
    /// The replicas of a node, by its name.
    Replicas(String),
    /// How many say that a node has failed.
    FailureReports(String),
    /// What can be asked.
    Help,
}

impl ClusterCommand {
    /// Reads the arguments after CLUSTER, or says what is wrong with them as an error reply does.
    pub fn parse<A: AsRef<[u8]>>(arguments: &[A]) -> Result<Self, String> {
        let Some((name, rest)) = arguments.split_first() else {
            return Err("ERR wrong number of arguments for 'cluster' command".to_string());
        };
        let name = String::from_utf8_lossy(name.as_ref()).into_owned();
        let rest: Vec<&[u8]> = rest.iter().map(AsRef::as_ref).collect();
        let lower = name.to_ascii_lowercase();
        Ok(match (lower.as_str(), rest.as_slice()) {
            ("slots", []) => Self::Slots,
            ("shards", []) => Self::Shards,
            ("nodes", []) => Self::Nodes,
            ("info", []) => Self::Info,
            ("myid", []) => Self::MyId,
            ("myshardid", []) => Self::MyShardId,
            ("links", []) => Self::Links,
            ("replicas" | "slaves", [node]) => Self::Replicas(String::from_utf8_lossy(node).into_owned()),
            ("count-failure-reports", [node]) => {
                Self::FailureReports(String::from_utf8_lossy(node).into_owned())
            }
            (
                "addslots" | "addslotsrange" | "bumpepoch" | "delslots" | "delslotsrange" | "failover"
                | "flushslots" | "forget" | "meet" | "replicate" | "reset" | "saveconfig"
                | "set-config-epoch" | "setslot",
                _,
            ) => {
                return Err("ERR nodes, slots and copies find their places by themselves: a node comes by \
                    'sihai serve --join HOST:PEERPORT', stops by SHUTDOWN, and leaves for good by SIHAI REMOVE NODE <id>"
                    .to_string());
            }
            ("help", []) => Self::Help,
            ("keyslot", [key]) => Self::KeySlot(slot_of(key)),
            ("countkeysinslot", [slot]) => {
                Self::CountKeysInSlot(valid_slot(integer(slot)?).ok_or("ERR Invalid slot")?)
            }
            ("getkeysinslot", [slot, count]) => {
                let (slot, count) = (valid_slot(integer(slot)?), u64::try_from(integer(count)?));
                let (Some(slot), Ok(count)) = (slot, count) else {
                    return Err("ERR Invalid slot or number of keys".to_string());
                };
                Self::GetKeysInSlot { slot, count }
            }
            (
                known @ ("slots" | "shards" | "nodes" | "info" | "myid" | "myshardid" | "help" | "keyslot"
                | "countkeysinslot" | "getkeysinslot"),
                _,
            ) => return Err(format!("ERR wrong number of arguments for 'cluster|{known}' command")),
            _ => {
                let shown: String = name.chars().take(128).collect();
                return Err(format!("ERR unknown subcommand '{shown}'. Try CLUSTER HELP."));
            }
        })
    }

    /// Writes the answer; whether it could, which it can't where the keys of a slot are asked for.
    pub fn answer(&self, overview: &Overview, reply: &mut Writer<'_>) -> bool {
        match self {
            Self::Slots => slots(overview, reply),
            Self::Shards => shards_with_roles(overview, reply),
            Self::Nodes => reply.verbatim(*b"txt", nodes(overview).as_bytes()),
            Self::Info => reply.verbatim(*b"txt", info(overview).as_bytes()),
            Self::MyId => reply.text(&node_name(overview.cluster, overview.me)),
            // Those who copy each other are all nodes: every one shares some group with every other, or may tomorrow.
            Self::MyShardId => reply.text(&node_name(overview.cluster, NodeId::NONE)),
            Self::KeySlot(slot) => reply.integer(i64::from(slot.number())),
            Self::Help => help(reply),
            Self::Links => links(overview, reply),
            // Every node takes writes, and copies belong to shards: CLUSTER SHARDS lists them.
            Self::Replicas(node) => of_node(overview, node, reply, |reply| reply.array(0)),
            // Whether a leader is gone is found out shard by shard, by those who hear nothing from it.
            Self::FailureReports(node) => of_node(overview, node, reply, |reply| reply.integer(0)),
            Self::CountKeysInSlot(_) | Self::GetKeysInSlot { .. } => return false,
        }
        true
    }
}

fn integer(argument: &[u8]) -> Result<i64, String> {
    let number = std::str::from_utf8(argument).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| "ERR value is not an integer or out of range".to_string())
}

fn valid_slot(number: i64) -> Option<Slot> {
    u16::try_from(number).ok().and_then(Slot::new)
}

/// The nodes with a copy of the shard: its leader first if it is known, then those who vote, then those who learn.
fn serving<'a>(overview: &'a Overview, shard: &GroupOverview) -> Vec<&'a NodeOverview> {
    let mut copies: Vec<_> = shard.copies.iter().collect();
    copies.sort_by_key(|copy| (Some(copy.replica.node) != shard.leader, !copy.voter, copy.replica));
    let node = |id: NodeId| overview.nodes.iter().find(|node| node.id == id);
    let mut serving: Vec<&NodeOverview> =
        copies.into_iter().filter_map(|copy| node(copy.replica.node)).collect();
    serving.dedup_by_key(|node| node.id);
    serving
}

fn slots(overview: &Overview, reply: &mut Writer<'_>) {
    let mut ranges: Vec<_> =
        shards(overview).flat_map(|shard| shard.slots.iter().map(move |range| (*range, shard))).collect();
    ranges.sort_by_key(|(range, _)| *range);
    reply.array(ranges.len());
    for ((first, last), shard) in ranges {
        let serving = serving(overview, shard);
        reply.array(2 + serving.len());
        reply.integer(i64::from(first));
        reply.integer(i64::from(last));
        for node in serving {
            let (host, port) = split_address(&node.addresses.client);
            reply.array(4);
            reply.text(host);
            reply.integer(i64::from(port));
            reply.text(&node_name(overview.cluster, node.id));
            // No other names of the node are known than the preferred one.
            reply.map(0);
        }
    }
}

fn shards_with_roles(overview: &Overview, reply: &mut Writer<'_>) {
    reply.array(shards(overview).count());
    for shard in shards(overview) {
        reply.map(2);
        reply.text("slots");
        reply.array(2 * shard.slots.len());
        for (first, last) in &shard.slots {
            reply.integer(i64::from(*first));
            reply.integer(i64::from(*last));
        }
        reply.text("nodes");
        let serving = serving(overview, shard);
        reply.array(serving.len());
        for node in serving {
            let (host, port) = split_address(&node.addresses.client);
            let leads = shard.leader == Some(node.id);
            reply.map(7);
            reply.text("id");
            reply.text(&node_name(overview.cluster, node.id));
            reply.text("port");
            reply.integer(i64::from(port));
            reply.text("ip");
            reply.text(host);
            reply.text("endpoint");
            reply.text(host);
            reply.text("role");
            reply.text(if leads { "master" } else { "replica" });
            reply.text("replication-offset");
            reply.count(offset_of(shard, overview.me, node.id));
            reply.text("health");
            reply.text(if node.linked { "online" } else { "failed" });
        }
    }
}

/// How far a copy is, as far as this node knows: the leader knows all, others themselves. 0 where it isn't known.
fn offset_of(shard: &GroupOverview, me: NodeId, node: NodeId) -> u64 {
    let own = shard.own.filter(|_| node == me).map(|own| own.applied);
    let told = shard.copies.iter().find(|copy| copy.replica.node == node).and_then(|copy| copy.durable);
    own.or(told).map_or(0, |index| index.0)
}

/// One line a node. All are masters, as all take writes; the slots of each are those it leads.
fn nodes(overview: &Overview) -> String {
    let mut text = String::new();
    for node in &overview.nodes {
        let me = node.id == overview.me;
        let (host, port) = split_address(&node.addresses.client);
        let bus_port = split_address(&node.addresses.peer).1;
        let flags = match (me, node.linked) {
            (true, _) => "myself,master",
            (false, true) => "master",
            (false, false) => "master,fail?",
        };
        let heard = if me { 0 } else { overview.wall.0.saturating_sub(node.silent_ms) };
        let link = if node.linked || me { "connected" } else { "disconnected" };
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "{} {host}:{port}@{bus_port} {flags} - 0 {heard} {} {link}",
            node_name(overview.cluster, node.id),
            overview.epoch
        );
        let led = shards(overview).filter(|shard| shard.leader == Some(node.id));
        let mut ranges: Vec<_> = led.flat_map(|shard| shard.slots.iter().copied()).collect();
        ranges.sort_unstable();
        for (first, last) in joined(ranges) {
            let _ = if first == last { write!(text, " {first}") } else { write!(text, " {first}-{last}") };
        }
        text.push('\n');
    }
    text
}

/// Ranges in order, with neighbours made one.
fn joined(ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(first) => before.1 = last,
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn info(overview: &Overview) -> String {
    let count = |led: bool| -> u32 {
        let chosen = shards(overview).filter(|shard| shard.leader.is_some() == led);
        chosen.flat_map(|shard| &shard.slots).map(|(first, last)| u32::from(last - first) + 1).sum()
    };
    let (served, unserved) = (count(true), count(false));
    let leaders = overview
        .nodes
        .iter()
        .filter(|node| shards(overview).any(|shard| shard.leader == Some(node.id)))
        .count();
    let fields = [
        ("cluster_state", if unserved == 0 { "ok".to_string() } else { "fail".to_string() }),
        ("cluster_slots_assigned", (served + unserved).to_string()),
        ("cluster_slots_ok", served.to_string()),
        ("cluster_slots_pfail", "0".to_string()),
        ("cluster_slots_fail", unserved.to_string()),
        ("cluster_known_nodes", overview.nodes.len().to_string()),
        ("cluster_size", leaders.to_string()),
        ("cluster_current_epoch", overview.epoch.to_string()),
        ("cluster_my_epoch", overview.epoch.to_string()),
    ];
    fields.into_iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect()
}

/// One link a node, which goes both ways.
fn links(overview: &Overview, reply: &mut Writer<'_>) {
    let others = || overview.nodes.iter().filter(|node| node.linked && node.id != overview.me);
    reply.array(others().count());
    for node in others() {
        reply.map(2);
        reply.text("direction");
        reply.text("to");
        reply.text("node");
        reply.text(&node_name(overview.cluster, node.id));
    }
}

fn of_node(overview: &Overview, name: &str, reply: &mut Writer<'_>, answer: impl FnOnce(&mut Writer<'_>)) {
    if overview.nodes.iter().any(|node| node_name(overview.cluster, node.id).eq_ignore_ascii_case(name)) {
        answer(reply);
    } else {
        reply.error(format!("ERR Unknown node {}", name.chars().take(128).collect::<String>()));
    }
}

fn help(reply: &mut Writer<'_>) {
    const LINES: [&str; 27] = [
        "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "COUNTKEYSINSLOT <slot>",
        "    Return the number of keys in <slot>.",
        "GETKEYSINSLOT <slot> <count>",
        "    Return key names stored in <slot>, at most <count>.",
        "INFO",
        "    Return whether all slots are served.",
        "KEYSLOT <key>",
        "    Return the slot of <key>.",
        "COUNT-FAILURE-REPORTS <node-id>",
        "    Return 0: nodes don't vote on who has failed.",
        "LINKS",
        "    Return the nodes that this one has a link to.",
        "REPLICAS <node-id>",
        "    Return nothing: every node takes writes, and copies belong to shards.",
        "MYID",
        "    Return the node's name.",
        "MYSHARDID",
        "    Return the name of the nodes that copy each other.",
        "NODES",
        "    Return one line for each node, with the slots that it leads.",
        "SHARDS",
        "    Return the shards with their slots, nodes and roles.",
        "SLOTS",
        "    Return the ranges of slots, each with its leader and then the other copies.",
        "HELP",
        "    Print this help.",
    ];
    reply.array(LINES.len());
    LINES.iter().for_each(|line| reply.simple(line));
}
