//! What concerns the node and the cluster: what the commands are called and take. The gateway answers them, except
//! MEMORY USAGE, which a key's shard answers.

use crate::error::Error;
use crate::execute::Context;
use crate::spec::{self, Categories, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};
use crate::words::{integer, is};

const fn node(id: u16, name: &'static str, arity: i32, group: Group) -> Spec {
    Spec::new(id, name, arity, group, Place::Node)
}

const fn server(id: u16, name: &'static str, arity: i32) -> Spec {
    node(id, name, arity, Group::Server)
}

const fn command(id: u16, name: &'static str, arity: i32) -> Spec {
    server(id, name, arity).category(Categories::CONNECTION).flags(&[F::LOADING, F::STALE])
}

const fn config(id: u16, name: &'static str, arity: i32) -> Spec {
    server(id, name, arity).flags(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
}

const fn slowlog(id: u16, name: &'static str, arity: i32) -> Spec {
    server(id, name, arity)
        .flags(&[F::ADMIN, F::LOADING, F::STALE])
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
}

const fn watching(id: u16, name: &'static str, arity: i32) -> Spec {
    server(id, name, arity).flags(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
}

const fn cluster(id: u16, name: &'static str, arity: i32) -> Spec {
    node(id, name, arity, Group::Cluster).flags(&[F::STALE])
}

const fn admin_of_cluster(id: u16, name: &'static str, arity: i32) -> Spec {
    node(id, name, arity, Group::Cluster).flags(&[F::ADMIN, F::STALE])
}

/// What is done by hand in a Redis Cluster and by itself here: it is refused, and the error says what to do.
const fn by_hand(id: u16, name: &'static str, arity: i32, since: &'static str) -> Spec {
    by_hand_with(id, name, arity, since, F::NO_ASYNC_LOADING)
}

const fn by_hand_with(id: u16, name: &'static str, arity: i32, since: &'static str, flag: F) -> Spec {
    node(id, name, arity, Group::Cluster).flags(&[F::ADMIN, F::STALE, flag]).docs(
        since,
        "O(1)",
        "Refused: nodes, slots and copies find their places by themselves.",
    )
}

const MEMORY_KEY: &[KeySpec] = &[spec::at(2, 0, 1, &[K::RO])];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const VARYING: &[&str] = &["nondeterministic_output"];
const VARYING_BY_NODE: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
const VARYING_BY_SHARD: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    server(384, "info", -1)
        .flags(&[F::LOADING, F::STALE])
        .category(Categories::DANGEROUS)
        .docs("1.0.0", "O(1)", "Describes the node and the cluster.")
        .tips(VARYING_BY_SHARD),
    server(385, "time", 1)
        .flags(&[F::LOADING, F::STALE, F::FAST])
        .docs("2.6.0", "O(1)", "Answers the node's Unix time in seconds and microseconds.")
        .tips(VARYING),
    server(386, "swapdb", 3)
        .flags(&[F::WRITE, F::FAST])
        .category(Categories::KEYSPACE)
        .category(Categories::DANGEROUS)
        .docs("4.0.0", "O(N) for N clients of either", "Exchanges two databases."),
    node(387, "wait", 3, Group::Generic)
        .category(Categories::CONNECTION)
        .docs("3.0.0", "O(1)", "Waits until the connection's writes are on so many other nodes.")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    server(388, "sync", 1).flags(&[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING, F::NO_MULTI]).docs(
        "1.0.0",
        "O(N) for N keys",
        "Sends all databases as one RDB file, and hangs up.",
    ),
    server(389, "psync", -3).flags(&[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING, F::NO_MULTI]).docs(
        "2.8.0",
        "O(N) for N keys",
        "Sends all databases as one RDB file, and hangs up.",
    ),
    server(390, "replconf", -1).flags(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::ALLOW_BUSY]).docs(
        "3.0.0",
        "O(1)",
        "Says what SYNC shall send.",
    ),
    node(393, "waitaof", 4, Group::Generic)
        .flags(&[F::BLOCKING])
        .category(Categories::CONNECTION)
        .docs("7.2.0", "O(1)", "Answers on how many disks the connection's writes are for certain.")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    watching(391, "monitor", 1).docs("1.0.0", "O(1)", "Shows every command that this node's clients send."),
    watching(392, "debug", -2).docs(
        "1.0.0",
        "Depends on the subcommand.",
        "For tests of clients and of the server.",
    ),
    server(448, "slowlog", -2)
        .docs("2.2.12", "Depends on the subcommand.", "Answers which commands took long at this node.")
        .has(SLOWLOG),
    server(480, "latency", -2)
        .docs("2.8.13", "Depends on the subcommand.", "Answers when something took long at this node.")
        .has(LATENCY),
    server(739, "lolwut", -1).flags(&[F::READONLY, F::FAST]).docs(
        "5.0.0",
        "O(1)",
        "Draws something, and says which release this is.",
    ),
    command(400, "command", -1)
        .docs("2.8.13", "O(N) for N commands", "Describes commands.")
        .tips(UNORDERED)
        .has(COMMAND),
    server(416, "config", -2)
        .docs("2.0.0", "Depends on the subcommand.", "Reads and changes settings.")
        .has(CONFIG),
    server(432, "memory", -2)
        .docs("4.0.0", "Depends on the subcommand.", "Answers where memory goes.")
        .has(MEMORY),
    server(496, "sihai", -2)
        .docs("7.2.0", "Depends on the subcommand.", "What Redis has no words for.")
        .has(SIHAI),
    node(512, "cluster", -2, Group::Cluster)
        .docs("3.0.0", "Depends on the subcommand.", "Describes nodes, shards and slots.")
        .has(CLUSTER),
];

const COMMAND: &[Spec] = &[
    command(401, "command|count", 2).docs("2.8.13", "O(1)", "Counts the commands."),
    command(402, "command|info", -2)
        .docs("2.8.13", "O(N) for N commands", "Describes commands for programs.")
        .tips(UNORDERED),
    command(403, "command|docs", -2)
        .docs("7.0.0", "O(N) for N commands", "Describes commands for people.")
        .tips(UNORDERED),
    command(404, "command|list", -2)
        .docs("7.0.0", "O(N) for N commands", "Lists the names of commands.")
        .tips(UNORDERED),
    command(405, "command|getkeys", -3).docs("2.8.13", "O(N) for N words", "Finds the keys of a command."),
    command(406, "command|getkeysandflags", -3).docs(
        "7.0.0",
        "O(N) for N words",
        "Finds the keys of a command, and what it does to each.",
    ),
    command(407, "command|help", 2).docs("5.0.0", "O(1)", "Explains the subcommands."),
];

const CONFIG: &[Spec] = &[
    config(417, "config|get", -3).docs("2.0.0", "O(N) for N settings", "Answers settings."),
    config(418, "config|set", -4)
        .docs("2.0.0", "O(N) for N settings", "Changes settings.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    config(419, "config|resetstat", 2)
        .docs("2.0.0", "O(1)", "Begins counting anew.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    config(420, "config|rewrite", 2)
        .docs("2.8.0", "O(1)", "Keeps changed settings over a restart.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    server(421, "config|help", 2).flags(&[F::LOADING, F::STALE]).docs(
        "5.0.0",
        "O(1)",
        "Explains the subcommands.",
    ),
];

const MEMORY: &[Spec] = &[
    Spec::new(433, "memory|usage", -3, Group::Server, Place::Keys)
        .flags(&[F::READONLY])
        .keys_at(MEMORY_KEY)
        .docs("4.0.0", "O(1)", "Answers how many bytes of memory a key and its value take.")
        .does(memory_usage),
    server(434, "memory|stats", 2)
        .docs("4.0.0", "O(1)", "Answers where the node's memory goes.")
        .tips(VARYING_BY_SHARD),
    server(435, "memory|doctor", 2)
        .docs("4.0.0", "O(1)", "Says what is wrong with the node's memory.")
        .tips(VARYING_BY_SHARD),
    server(436, "memory|malloc-stats", 2)
        .docs("4.0.0", "Depends on the allocator.", "Answers what the allocator says of itself.")
        .tips(VARYING_BY_SHARD),
    server(437, "memory|purge", 2)
        .docs("4.0.0", "Depends on the allocator.", "Gives memory that nobody uses back to the system.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    server(438, "memory|help", 2).flags(&[F::LOADING, F::STALE]).docs(
        "4.0.0",
        "O(1)",
        "Explains the subcommands.",
    ),
];

const SLOWLOG: &[Spec] = &[
    slowlog(449, "slowlog|get", -2).docs("2.2.12", "O(N) for N entries", "Answers the newest entries."),
    slowlog(450, "slowlog|len", 2).docs("2.2.12", "O(1)", "Counts the entries."),
    slowlog(451, "slowlog|reset", 2).docs("2.2.12", "O(N) for N entries", "Forgets the entries."),
    server(452, "slowlog|help", 2).flags(&[F::LOADING, F::STALE]).docs(
        "6.2.0",
        "O(1)",
        "Explains the subcommands.",
    ),
];

const LATENCY: &[Spec] = &[
    watching(481, "latency|latest", 2)
        .docs("2.8.13", "O(1)", "Answers the newest sample of each event.")
        .tips(VARYING_BY_NODE),
    watching(482, "latency|history", 3)
        .docs("2.8.13", "O(1)", "Answers the samples of an event.")
        .tips(VARYING_BY_NODE),
    watching(483, "latency|reset", -2)
        .docs("2.8.13", "O(1)", "Forgets the samples of events, or of all.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
    watching(484, "latency|graph", 3)
        .docs("2.8.13", "O(1)", "Draws the samples of an event.")
        .tips(VARYING_BY_NODE),
    watching(485, "latency|doctor", 2)
        .docs("2.8.13", "O(1)", "Says what takes long, and why.")
        .tips(VARYING_BY_NODE),
    watching(486, "latency|histogram", -2)
        .docs("7.0.0", "O(N) for N commands", "Answers how often commands took how long.")
        .tips(VARYING_BY_NODE),
    server(487, "latency|help", 2).flags(&[F::LOADING, F::STALE]).docs(
        "2.8.13",
        "O(1)",
        "Explains the subcommands.",
    ),
];

const SIHAI: &[Spec] = &[
    server(497, "sihai|status", 2)
        .flags(&[F::LOADING, F::STALE])
        .docs("7.2.0", "O(N) for N nodes and shards", "Describes the cluster as this node sees it, as JSON.")
        .tips(VARYING),
    server(498, "sihai|remove", -4).flags(&[F::ADMIN, F::NOSCRIPT]).docs(
        "7.2.0",
        "O(N) for N copies on the node",
        "NODE <id> [FORCE]: takes a node out of the cluster; its copies are made anew elsewhere.",
    ),
    server(499, "sihai|help", 2).flags(&[F::LOADING, F::STALE]).docs(
        "7.2.0",
        "O(1)",
        "Explains the subcommands.",
    ),
];

const CLUSTER: &[Spec] = &[
    cluster(513, "cluster|info", 2).docs("3.0.0", "O(1)", "Says how the cluster is.").tips(VARYING),
    cluster(514, "cluster|myid", 2).docs("3.0.0", "O(1)", "Answers the node's name."),
    cluster(515, "cluster|nodes", 2)
        .docs("3.0.0", "O(N) for N nodes", "Lists the nodes in the format of Redis's cluster file.")
        .tips(VARYING),
    cluster(516, "cluster|slots", 2)
        .flags(&[F::LOADING])
        .docs("3.0.0", "O(N) for N ranges of slots", "Lists which nodes serve which slots.")
        .tips(VARYING),
    cluster(517, "cluster|shards", 2)
        .flags(&[F::LOADING])
        .docs("7.0.0", "O(N) for N nodes", "Lists the shards with their slots and nodes.")
        .tips(VARYING),
    cluster(518, "cluster|keyslot", 3).docs("3.0.0", "O(N) for N bytes of key", "Answers the slot of a key."),
    cluster(519, "cluster|countkeysinslot", 3).docs("3.0.0", "O(N) for N keys", "Counts the keys of a slot."),
    cluster(520, "cluster|getkeysinslot", 4)
        .docs("3.0.0", "O(N) for N keys answered", "Answers keys of a slot.")
        .tips(VARYING),
    cluster(522, "cluster|myshardid", 2)
        .docs("7.2.0", "O(1)", "Answers the name of the nodes that copy each other.")
        .tips(VARYING),
    cluster(880, "cluster|links", 2)
        .docs("7.0.0", "O(N) for N nodes", "Lists the links to other nodes: their details stay inside.")
        .tips(VARYING),
    admin_of_cluster(881, "cluster|replicas", 3)
        .docs("5.0.0", "O(1)", "Lists the replicas of a node: every node takes writes, so there are none.")
        .tips(VARYING),
    admin_of_cluster(882, "cluster|slaves", 3)
        .docs("3.0.0", "O(1)", "What CLUSTER REPLICAS was called before.")
        .tips(VARYING),
    admin_of_cluster(883, "cluster|count-failure-reports", 3)
        .docs("3.0.0", "O(1)", "Answers how many report a node's failure: nodes don't vote on that.")
        .tips(VARYING),
    by_hand(884, "cluster|addslots", -3, "3.0.0"),
    by_hand(885, "cluster|addslotsrange", -4, "7.0.0"),
    by_hand(886, "cluster|bumpepoch", 2, "3.0.0").tips(VARYING),
    by_hand(887, "cluster|delslots", -3, "3.0.0"),
    by_hand(888, "cluster|delslotsrange", -4, "7.0.0"),
    by_hand(889, "cluster|failover", -2, "3.0.0"),
    by_hand(890, "cluster|flushslots", 2, "3.0.0"),
    by_hand(891, "cluster|forget", 3, "3.0.0"),
    by_hand(892, "cluster|meet", -4, "3.0.0"),
    by_hand(893, "cluster|replicate", 3, "3.0.0"),
    by_hand_with(894, "cluster|reset", -2, "3.0.0", F::NOSCRIPT),
    by_hand(895, "cluster|saveconfig", 2, "3.0.0"),
    by_hand(896, "cluster|set-config-epoch", 3, "3.0.0"),
    by_hand(897, "cluster|setslot", -4, "3.0.0"),
    cluster(521, "cluster|help", 2).flags(&[F::LOADING]).docs("5.0.0", "O(1)", "Explains the subcommands."),
];

fn memory_usage(c: &mut Context<'_>) -> Result<(), Error> {
    // How many elements to look at is taken, and not needed: the account of a value is always exact.
    let (options, rest) = c.args[3..].as_chunks::<2>();
    for [option, samples] in options {
        if !is(option, "samples") || integer(samples)? < 0 {
            return Err(Error::Syntax);
        }
    }
    if !rest.is_empty() {
        return Err(Error::Syntax);
    }
    match c.db.facts(c.args[2]) {
        Some(facts) => c.reply.count(facts.memory_bytes),
        None => c.reply.null(),
    }
    Ok(())
}
