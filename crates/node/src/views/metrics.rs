//! Prometheus's text exposition, version 0.0.4. Durations are in seconds and sizes in bytes, as is the custom there;
//! what only grows ends in `_total`.

use super::status::lag;
use super::{acknowledged_on_disks, copies_held, copies_voting, keyspace_bytes, leaderless};
use crate::overview::{Counters, GroupOverview, Overview, Transactions};
use std::fmt::{Display, Write};

/// Everything, as one page.
pub fn metrics(overview: &Overview) -> String {
    let mut page = Page { text: String::with_capacity(8 << 10) };
    of_cluster(&mut page, overview);
    of_nodes(&mut page, overview);
    of_groups(&mut page, overview);
    of_databases(&mut page, overview);
    of_counters(&mut page, &overview.counters);
    of_machine(&mut page, overview);
    page.text
}

/// What was counted: the name without prefix and suffix, what it says, the count.
pub(super) fn counted(counters: &Counters) -> [(&'static str, &'static str, u64); 18] {
    [
        ("connections", "Clients accepted.", counters.connections),
        ("connections_refused", "Clients turned away.", counters.connections_refused),
        ("commands", "Commands received from clients.", counters.commands),
        ("forwarded", "Commands forwarded to another node.", counters.forwarded),
        ("bytes_in", "Bytes received from clients.", counters.bytes_in),
        ("bytes_out", "Bytes sent to clients.", counters.bytes_out),
        ("keyspace_hits", "Keys that reads found.", counters.keyspace_hits),
        ("keyspace_misses", "Keys that reads didn't find.", counters.keyspace_misses),
        ("expired", "Keys removed because their time had come.", counters.expired),
        ("evicted", "Keys removed because there was no room for them.", counters.evicted),
        ("proposals", "Log entries proposed as a leader.", counters.proposals),
        ("disk_writes", "Write requests given to the disk.", counters.disk_writes),
        ("lease_reads", "Reads answered under a lease.", counters.lease_reads),
        ("round_reads", "Reads that had to ask a majority.", counters.round_reads),
        ("elections_won", "Elections won.", counters.elections_won),
        ("snapshots_taken", "Snapshots taken of own copies.", counters.snapshots_taken),
        ("snapshots_installed", "Snapshots installed from other nodes.", counters.snapshots_installed),
        ("errors_total", "Errors answered.", counters.errors.values().sum()),
    ]
}

/// What there is at this moment of transactions over several shards: the name, what it says, how many.
pub(super) fn transactions_now(counts: &Transactions) -> [(&'static str, &'static str, u64); 4] {
    [
        (
            "transactions_in_flight",
            "Transactions and reads over shards that clients wait for.",
            counts.in_flight,
        ),
        (
            "transactions_prepared",
            "Prepared in shards that this node leads: their keys are locked.",
            counts.prepared,
        ),
        (
            "transactions_waiting",
            "Transactions and reads that wait for locks of such shards.",
            counts.waiting,
        ),
        ("transactions_commands_waiting", "Plain commands that wait for such locks.", counts.parked),
    ]
}

/// What was counted of them.
pub(super) fn transactions_counted(counts: &Transactions) -> [(&'static str, &'static str, u64); 13] {
    [
        ("transactions_begun", "Transactions over shards begun for clients.", counts.begun),
        ("transactions_committed", "Of those, took effect.", counts.committed),
        ("transactions_not_executed", "Of those, surely didn't.", counts.not_executed),
        ("transactions_unknown", "Of those, may have.", counts.unknown),
        ("transactions_retries", "Tries after the first.", counts.retries),
        ("transactions_rounds", "Quorum rounds that clients waited for, one a try.", counts.rounds()),
        ("transactions_reads", "Reads of several shards at one moment, without the log.", counts.reads),
        ("transactions_read_retries", "Tries of such reads after the first.", counts.read_retries),
        ("transactions_prepares", "Prepares that led shards took into their logs.", counts.prepares),
        ("transactions_waits", "Prepares that had to wait for locks.", counts.waits),
        ("transactions_refused", "Prepares refused without a trace in the log.", counts.refused),
        ("transactions_recoveries", "Prepared transactions whose gateway was silent.", counts.recoveries),
        ("transactions_commands_waited", "Plain commands that had to wait for locks.", counts.parked_total),
    ]
}

struct Page {
    text: String,
}

impl Page {
    /// The lines before a metric's values.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP sihai_{name} {help}\n# TYPE sihai_{name} {kind}"));
    }

    /// A metric with one value.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.line(format_args!("sihai_{name} {value}"));
    }

    /// A metric with a value for each of `items`; labels as they stand between the braces.
    fn gauges<V: Display>(&mut self, name: &str, help: &str, items: impl IntoIterator<Item = (String, V)>) {
        self.family(name, "gauge", help, items);
    }

    fn family<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        items: impl IntoIterator<Item = (String, V)>,
    ) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.head(name, kind, help);
        }
        for (labels, value) in items {
            self.line(format_args!("sihai_{name}{{{labels}}} {value}"));
        }
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a String can't fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// A label with its value in quotes.
fn label(name: &str, value: impl Display) -> String {
    let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

fn of_cluster(page: &mut Page, overview: &Overview) {
    let who = [
        label("version", overview.version),
        label("cluster", format_args!("{:032x}", overview.cluster)),
        label("node", overview.me),
    ];
    page.gauges("info", "Who speaks; always 1.", [(who.join(","), 1)]);
    page.gauge(
        "ready",
        "Whether every shard serves here with the copies that the cluster's size allows.",
        u8::from(overview.ready),
    );
    page.gauge("loading", "Whether the node is still starting.", u8::from(overview.loading));
    page.gauge("uptime_seconds", "Since the start of this node.", seconds(overview.uptime_ms, 3));
    page.gauge("placement_epoch", "Changes of members and placement.", overview.epoch);
    page.gauge("shards", "Shards.", overview.shards);
    page.gauge("shards_without_leader", "Shards whose leader this node doesn't know.", leaderless(overview));
    page.gauge("copies_wanted", "Copies that every shard should have.", overview.copies_wanted);
    page.gauge("copies_held", "Copies of the shard that has the fewest.", copies_held(overview));
    page.gauge("copies_voting", "Voting copies of the shard that has the fewest.", copies_voting(overview));
    page.gauge(
        "acknowledged_on_disks",
        "On how many nodes' disks a write is when it is acknowledged.",
        acknowledged_on_disks(overview),
    );
}

fn of_nodes(page: &mut Page, overview: &Overview) {
    let each = |value: &dyn Fn(&crate::overview::NodeOverview) -> Option<String>| -> Vec<_> {
        let values = overview.nodes.iter().filter_map(|node| Some((label("node", node.id), value(node)?)));
        values.collect()
    };
    page.gauges(
        "node_linked",
        "Whether there is a link to the node.",
        each(&|node| Some(u8::from(node.linked).to_string())),
    );
    page.gauges(
        "node_silent_seconds",
        "Since something came from the node.",
        each(&|node| Some(seconds(node.silent_ms, 3))),
    );
    page.gauges(
        "node_leads",
        "Groups that the node leads, as far as this one knows.",
        each(&|node| Some(node.leads.to_string())),
    );
    page.gauges(
        "node_copies",
        "Copies that the node should keep.",
        each(&|node| Some(node.copies.to_string())),
    );
    let ahead = |node: &crate::overview::NodeOverview| {
        let ms = node.clock_ahead_ms?;
        Some(format!("{}{}", if ms < 0 { "-" } else { "" }, seconds(ms.unsigned_abs(), 3)))
    };
    page.gauges("node_clock_ahead_seconds", "How far the node's wall clock is ahead.", each(&ahead));
}

fn of_groups(page: &mut Page, overview: &Overview) {
    let own = |value: fn(&crate::overview::OwnCopy) -> u64| {
        let groups = overview.groups.iter();
        groups
            .filter_map(move |group| Some((of_group(group), value(group.own.as_ref()?))))
            .collect::<Vec<_>>()
    };
    let terms = overview.groups.iter().map(|group| (of_group(group), group.term.0));
    page.gauges("group_term", "The newest term of the group.", terms);
    page.gauges("group_leads", "Whether this node leads the group.", own(|own| u64::from(own.leads)));
    page.gauges("group_last_index", "The last entry of this node's log.", own(|own| own.last.0));
    page.gauges("group_committed_index", "The last entry known to be committed.", own(|own| own.committed.0));
    page.gauges("group_applied_index", "The last entry applied here.", own(|own| own.applied.0));
    page.gauges("group_keys", "Keys of this node's copy.", own(|own| own.keys));
    page.gauges("group_memory_bytes", "Memory of this node's copy.", own(|own| own.memory_bytes));
    page.family(
        "group_evicted_total",
        "counter",
        "Keys evicted while this node led.",
        own(|own| own.evicted),
    );
    page.gauges("group_log_bytes", "Log since the last snapshot.", own(|own| own.log_bytes));
    let lags = overview.groups.iter().flat_map(|group| {
        let last = group.own.map(|own| own.last);
        group.copies.iter().filter_map(move |copy| {
            let labels = format!("{},{}", of_group(group), label("node", copy.replica.node));
            Some((labels, lag(copy.durable, last)?))
        })
    });
    page.gauges("copy_lag_entries", "Entries that a copy is behind; known to leaders only.", lags);
}

fn of_group(group: &GroupOverview) -> String {
    label("group", group.group.0)
}

fn of_databases(page: &mut Page, overview: &Overview) {
    let labels = |database: &crate::overview::DatabaseOverview| {
        format!("{},{}", label("db", database.index), label("mode", database.mode))
    };
    let databases = || overview.databases.iter();
    page.gauges(
        "database_keys",
        "Keys on this node's copies.",
        databases().map(|database| (labels(database), database.keys)),
    );
    page.gauges(
        "database_volatile_keys",
        "Keys on this node's copies that expire.",
        databases().map(|database| (labels(database), database.volatile)),
    );
}

fn of_counters(page: &mut Page, counters: &Counters) {
    page.gauge("clients", "Clients connected now.", counters.clients);
    // Errors have a metric by kind instead.
    for (name, help, value) in transactions_now(&counters.transactions) {
        page.gauge(name, help, value);
    }
    let transactions = transactions_counted(&counters.transactions);
    let all = counted(counters).into_iter().chain(transactions);
    for (name, help, value) in all.filter(|(name, ..)| *name != "errors_total") {
        let name = format!("{name}_total");
        page.head(&name, "counter", help);
        page.line(format_args!("sihai_{name} {value}"));
    }
    let errors = counters.errors.iter().map(|(code, count)| (label("code", code), count));
    page.family("errors_total", "counter", "Errors answered, by their first word.", errors);
}

fn of_machine(page: &mut Page, overview: &Overview) {
    let machine = &overview.machine;
    page.gauge("memory_bytes", "Resident memory of the process.", machine.memory_bytes);
    page.gauge("machine_memory_bytes", "Memory of the machine.", machine.memory_total_bytes);
    page.gauge(
        "keyspace_bytes_max",
        "What they may take (maxmemory); 0 without a limit.",
        overview.memory.bytes,
    );
    page.gauge("keyspace_bytes", "Memory of the copies on this node.", keyspace_bytes(overview));
    page.gauge("disk_free_bytes", "Bytes free where the data lies.", machine.disk_free_bytes);
    page.gauge("log_bytes", "Bytes of the log on disk.", overview.log_bytes);
    page.gauge("mirrors_degraded", "Directories that failed or differ.", overview.mirrors_degraded.len());
    let (user, system) = machine.cpu_us;
    page.family(
        "cpu_seconds_total",
        "counter",
        "Processor time of the process.",
        [(label("mode", "user"), seconds(user, 6)), (label("mode", "system"), seconds(system, 6))],
    );
}

/// Seconds with `digits` digits after the point, from a count of that fraction.
pub(super) fn seconds(count: u64, digits: u32) -> String {
    let unit = 10u64.pow(digits);
    format!("{}.{:0width$}", count / unit, count % unit, width = digits as usize)
}
