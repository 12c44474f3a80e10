//! INFO, in Redis's format: sections of `field:value`, under Redis's names where the meaning is the same, and a section
//! of our own for what Redis doesn't have.

use super::metrics::{seconds, transactions_counted, transactions_now};
use super::{
    REDIS_VERSION, acknowledged_on_disks, copies_held, copies_voting, keyspace_bytes, leaderless,
    split_address,
};
use crate::api::Config;
use crate::overview::Overview;
use std::fmt::{Display, Write};

/// The sections, in their order: the name by which they are asked for, the title, what fills them.
const SECTIONS: [(&str, &str, Fill); 15] = [
    ("server", "Server", server),
    ("clients", "Clients", clients),
    ("memory", "Memory", memory),
    ("persistence", "Persistence", persistence),
    ("stats", "Stats", stats),
    ("replication", "Replication", replication),
    ("cpu", "CPU", cpu),
    ("modules", "Modules", nothing),
    ("commandstats", "Commandstats", commandstats),
    ("errorstats", "Errorstats", errorstats),
    ("latencystats", "Latencystats", latencystats),
    ("cluster", "Cluster", cluster),
    ("keyspace", "Keyspace", keyspace),
    ("transactions", "Transactions", transactions),
    ("sihai", "Sihai", sihai),
];

/// Only shown to those who ask for them, or for everything.
const DETAILS: [&str; 2] = ["commandstats", "latencystats"];

type Fill = fn(&mut Fields, &Overview, &Config);

/// The answer to INFO with these arguments; none means all sections. Names that no section has add nothing, as in
/// Redis.
pub fn info<A: AsRef<[u8]>>(overview: &Overview, config: &Config, arguments: &[A]) -> String {
    let asked = |name: &str| {
        (arguments.is_empty() && !DETAILS.contains(&name))
            || arguments.iter().any(|argument| {
                let is = |word: &str| argument.as_ref().eq_ignore_ascii_case(word.as_bytes());
                is(name) || is("all") || is("everything") || (is("default") && !DETAILS.contains(&name))
            })
    };
    let mut fields = Fields { text: String::with_capacity(4 << 10) };
    for (name, title, fill) in SECTIONS {
        if !asked(name) {
            continue;
        }
        if !fields.text.is_empty() {
            fields.text.push_str("\r\n");
        }
        fields.line(format_args!("# {title}"));
        fill(&mut fields, overview, config);
    }
    fields.text
}

struct Fields {
    text: String,
}

impl Fields {
    fn field(&mut self, name: impl Display, value: impl Display) {
        self.line(format_args!("{name}:{value}"));
    }

    /// A size, as bytes and as people read it.
    fn size(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(format_args!("{name}_human"), human(bytes));
    }

    fn truth(&mut self, name: &str, value: bool) {
        self.field(name, u8::from(value));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a String can't fail.
        let _ = write!(self.text, "{line}\r\n");
    }
}

/// A size as Redis writes it for people: two digits after the point, from kilobytes on.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = UNITS.len().min((bytes.ilog2() / 10) as usize);
    format!("{:.2}{}", bytes as f64 / 1024f64.powi(power as i32), UNITS[power - 1])
}

fn server(fields: &mut Fields, overview: &Overview, _: &Config) {
    let me = overview.nodes.iter().find(|node| node.id == overview.me);
    fields.field("redis_version", REDIS_VERSION);
    fields.field("redis_mode", "standalone");
    fields.field("arch_bits", usize::BITS);
    if let Some(me) = me {
        fields.field("tcp_port", split_address(&me.addresses.client).1);
    }
    fields.field("server_time_usec", overview.wall.0.saturating_mul(1000));
    fields.field("uptime_in_seconds", overview.uptime_ms / 1000);
    fields.field("uptime_in_days", overview.uptime_ms / 86_400_000);
}

fn clients(fields: &mut Fields, overview: &Overview, config: &Config) {
    fields.field("connected_clients", overview.counters.clients);
    fields.field("maxclients", config.clients_max);
    fields.field("blocked_clients", overview.counters.blocked_clients);
    fields.field("tracking_clients", overview.counters.tracking_clients);
}

/// `used_memory` is what the data takes, by account, since that is what `maxmemory` is held against; the whole
/// process is `used_memory_rss`.
fn memory(fields: &mut Fields, overview: &Overview, _: &Config) {
    fields.size("used_memory", keyspace_bytes(overview));
    fields.size("used_memory_rss", overview.machine.memory_bytes);
    fields.size("total_system_memory", overview.machine.memory_total_bytes);
    fields.size("maxmemory", overview.memory.bytes);
    fields.field("maxmemory_policy", overview.memory.policy.name);
    let programs = &overview.programs;
    fields.field("number_of_cached_scripts", programs.scripts);
    fields.field("number_of_functions", programs.functions);
    fields.field("number_of_libraries", programs.libraries);
    // All that `used_memory` counts.
    fields.field("mem_not_counted_for_evict", 0);
    fields.field("lazyfree_pending_objects", overview.counters.lazily_pending);
    fields.field("lazyfreed_objects", overview.counters.lazily_freed);
}

/// The log is an append-only file that is always fsynced: tools that look whether data is kept find it so. There are no
/// RDB files, so none is ever being written; changes are counted from the last SAVE on, for who looks whether there were any.
fn persistence(fields: &mut Fields, overview: &Overview, _: &Config) {
    fields.truth("loading", overview.loading);
    fields.field("async_loading", 0);
    fields.field("rdb_changes_since_last_save", overview.counters.changes);
    fields.field("rdb_bgsave_in_progress", 0);
    fields.field("aof_enabled", 1);
    fields.field("aof_rewrite_in_progress", 0);
    fields.field("aof_last_write_status", "ok");
    fields.field("aof_current_size", overview.log_bytes);
}

fn stats(fields: &mut Fields, overview: &Overview, _: &Config) {
    let counters = &overview.counters;
    fields.field("total_connections_received", counters.connections);
    fields.field("total_commands_processed", counters.commands);
    fields.field("total_net_input_bytes", counters.bytes_in);
    fields.field("total_net_output_bytes", counters.bytes_out);
    fields.field("rejected_connections", counters.connections_refused);
    fields.field("expired_keys", counters.expired);
    fields.field("evicted_keys", counters.evicted);
    fields.field("evicted_clients", counters.clients_evicted);
    fields.field("keyspace_hits", counters.keyspace_hits);
    fields.field("keyspace_misses", counters.keyspace_misses);
    let [auth, command, key, channel] = counters.access_denied;
    fields.field("acl_access_denied_auth", auth);
    fields.field("acl_access_denied_cmd", command);
    fields.field("acl_access_denied_key", key);
    fields.field("acl_access_denied_channel", channel);
    let [keys, items, prefixes] = counters.tracking_totals;
    fields.field("tracking_total_keys", keys);
    fields.field("tracking_total_items", items);
    fields.field("tracking_total_prefixes", prefixes);
    fields.field("total_error_replies", counters.errors.values().sum::<u64>());
}

/// Transactions over several shards; those on one are plain entries of its log.
fn transactions(fields: &mut Fields, overview: &Overview, _: &Config) {
    for (name, _, now) in transactions_now(&overview.counters.transactions) {
        fields.field(name, now);
    }
    for (name, _, count) in transactions_counted(&overview.counters.transactions) {
        fields.field(name, count);
    }
}

/// Every node takes reads and writes for every key, so each is a master without replicas to those who ask in these
/// terms; the copies are in the last section.
fn replication(fields: &mut Fields, _: &Overview, _: &Config) {
    fields.field("role", "master");
    fields.field("connected_slaves", 0);
}

fn cpu(fields: &mut Fields, overview: &Overview, _: &Config) {
    let (user, system) = overview.machine.cpu_us;
    fields.field("used_cpu_sys", seconds(system, 6));
    fields.field("used_cpu_user", seconds(user, 6));
}

fn nothing(_: &mut Fields, _: &Overview, _: &Config) {}

fn commandstats(fields: &mut Fields, overview: &Overview, _: &Config) {
    for (name, [calls, took_us, rejected, failed], _) in &overview.counters.commands_by_name {
        let each = if *calls == 0 { 0.0 } else { *took_us as f64 / *calls as f64 };
        fields.field(
            format_args!("cmdstat_{name}"),
            format_args!(
                "calls={calls},usec={took_us},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

/// By the buckets of LATENCY HISTOGRAM, so at most twice as much as it was.
fn latencystats(fields: &mut Fields, overview: &Overview, _: &Config) {
    let called = overview.counters.commands_by_name.iter().filter(|(_, [calls, ..], _)| *calls > 0);
    for (name, _, [half, most, nearly]) in called {
        fields.field(
            format_args!("latency_percentiles_usec_{name}"),
            format_args!("p50={half}.000,p99={most}.000,p99.9={nearly}.000"),
        );
    }
}

fn errorstats(fields: &mut Fields, overview: &Overview, _: &Config) {
    for (code, count) in &overview.counters.errors {
        fields.field(format_args!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn cluster(fields: &mut Fields, _: &Overview, _: &Config) {
    fields.field("cluster_enabled", 0);
}

/// `avg_ttl` is not measured, which Redis writes as 0.
fn keyspace(fields: &mut Fields, overview: &Overview, _: &Config) {
    for database in overview.databases.iter().filter(|database| database.keys > 0) {
        fields.field(
            format_args!("db{}", database.index),
            format_args!("keys={},expires={},avg_ttl=0", database.keys, database.volatile),
        );
    }
}

fn sihai(fields: &mut Fields, overview: &Overview, config: &Config) {
    fields.field("sihai_version", overview.version);
    fields.field("cluster_id", format_args!("{:032x}", overview.cluster));
    fields.field("node_id", overview.me);
    fields.truth("ready", overview.ready);
    for (number, why) in overview.not_ready.iter().enumerate() {
        fields.field(format_args!("not_ready_{number}"), one_line(why));
    }
    fields.field("nodes", overview.nodes.len());
    fields.field("nodes_linked", overview.nodes.iter().filter(|node| node.linked).count());
    fields.field("placement_epoch", overview.epoch);
    fields.field("shards", overview.shards);
    fields.field("shards_without_leader", leaderless(overview));
    // Where a node doesn't keep all shards, the section before this one counts only the keys of those it keeps.
    let kept = super::shards(overview).filter(|shard| shard.own.is_some()).count();
    fields.field("shards_kept_here", kept);
    fields.field("copies_wanted", overview.copies_wanted);
    fields.field("copies_held", copies_held(overview));
    fields.field("copies_voting", copies_voting(overview));
    let disks = acknowledged_on_disks(overview);
    let meaning = match disks {
        0 => "not known: no copy is known that votes".to_string(),
        1 => "an acknowledged write is on 1 disk".to_string(),
        _ => format!("an acknowledged write is on {disks} nodes' disks"),
    };
    fields.field("acknowledged_on_disks", disks);
    fields.field("durability", meaning);
    for database in &overview.databases {
        fields.field(format_args!("db{}_mode", database.index), database.mode);
    }
    for node in &overview.nodes {
        let clock = node.clock_ahead_ms.map(|ms| format!(",clock_ahead_ms={ms}")).unwrap_or_default();
        fields.field(
            format_args!("node{}", node.id),
            format_args!(
                "client={},linked={},leads={},copies={}{clock}",
                one_line(&node.addresses.client),
                u8::from(node.linked),
                node.leads,
                node.copies
            ),
        );
    }
    fields.truth("lease_reads", config.lease_reads);
    fields.field("disk_free_bytes", overview.machine.disk_free_bytes);
    fields.field("mirrors_degraded", overview.mirrors_degraded.len());
    for (number, mirror) in overview.mirrors_degraded.iter().enumerate() {
        fields.field(format_args!("mirror_degraded_{number}"), one_line(mirror));
    }
}

/// A text from elsewhere must not begin a line of its own.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}
