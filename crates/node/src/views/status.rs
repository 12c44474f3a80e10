//! The state of the cluster as one node sees it, as JSON. Names are stable: fields are added, never renamed. Ids of 128
//! bits are hex texts, since JavaScript's numbers don't hold them; what isn't known is `null`.

use super::json::{Object, text_of};
use super::{acknowledged_on_disks, copies_held, copies_voting, keyspace_bytes};
use crate::overview::{Counters, DatabaseOverview, GroupOverview, NodeOverview, Overview};
use base::Index;

/// The whole report.
pub fn status(overview: &Overview) -> String {
    text_of(|value| {
        value.object(|report| {
            summary(report, overview);
            report.member("nodes").list(&overview.nodes, |value, node| {
                value.object(|object| of_node(object, overview, node));
            });
            report
                .member("groups")
                .list(&overview.groups, |value, group| value.object(|object| of_group(object, group)));
            report.member("databases").list(&overview.databases, |value, database| {
                value.object(|object| of_database(object, database));
            });
            report.member("disk").object(|disk| {
                disk.number("log_bytes", overview.log_bytes);
                disk.number("free_bytes", overview.machine.disk_free_bytes);
                disk.member("degraded").list(&overview.mirrors_degraded, |value, mirror| value.text(mirror));
            });
            report.member("machine").object(|machine| {
                machine.number("memory_bytes", overview.machine.memory_bytes);
                machine.number("memory_total_bytes", overview.machine.memory_total_bytes);
                machine.number("keyspace_bytes", keyspace_bytes(overview));
                machine.number("cpu_user_us", overview.machine.cpu_us.0);
                machine.number("cpu_system_us", overview.machine.cpu_us.1);
            });
            report.member("counters").object(|object| of_counters(object, &overview.counters));
        });
    })
}

fn summary(report: &mut Object<'_>, overview: &Overview) {
    report.text("version", overview.version);
    report.text("cluster", &format!("{:032x}", overview.cluster));
    report.number("node", overview.me.0);
    report.number("epoch", overview.epoch);
    report.number("wall_ms", overview.wall.0);
    report.number("uptime_ms", overview.uptime_ms);
    report.bool("ready", overview.ready);
    report.member("not_ready").list(&overview.not_ready, |value, why| value.text(why));
    report.bool("loading", overview.loading);
    report.number("shards", overview.shards);
    report.count("copies_wanted", overview.copies_wanted);
    report.count("copies_held", copies_held(overview));
    report.count("copies_voting", copies_voting(overview));
    report.count("acknowledged_on_disks", acknowledged_on_disks(overview));
}

fn of_node(object: &mut Object<'_>, overview: &Overview, node: &NodeOverview) {
    object.number("id", node.id.0);
    object.bool("me", node.id == overview.me);
    object.text("client", &node.addresses.client);
    object.text("peer", &node.addresses.peer);
    object.text("http", &node.addresses.http);
    object.bool("linked", node.linked);
    object.number("silent_ms", node.silent_ms);
    object.count("leads", node.leads);
    object.count("copies", node.copies);
    object.number_or_null("clock_ahead_ms", node.clock_ahead_ms);
}

fn of_group(object: &mut Object<'_>, group: &GroupOverview) {
    object.number("group", group.group.0);
    object.text("name", &group.group.to_string());
    object.member("slots").list(&group.slots, |value, (first, last)| {
        value.list([*first, *last], |value, slot| value.number(slot));
    });
    object.number_or_null("leader", group.leader.map(|leader| leader.0));
    object.number("term", group.term.0);
    let last = group.own.map(|own| own.last);
    object.member("copies").list(&group.copies, |value, copy| {
        value.object(|object| {
            object.number("node", copy.replica.node.0);
            object.number("generation", copy.replica.generation);
            object.bool("voter", copy.voter);
            object.number_or_null("durable", copy.durable.map(|index| index.0));
            object.number_or_null("lag", lag(copy.durable, last));
        });
    });
    match &group.own {
        None => object.member("own").null(),
        Some(own) => object.member("own").object(|object| {
            object.bool("leads", own.leads);
            object.number("last", own.last.0);
            object.number("committed", own.committed.0);
            object.number("applied", own.applied.0);
            object.number("keys", own.keys);
            object.number("memory_bytes", own.memory_bytes);
            object.number("log_bytes", own.log_bytes);
        }),
    }
}

/// How many entries a copy is behind the leader's log, where the leader says so.
pub(super) fn lag(durable: Option<Index>, last: Option<Index>) -> Option<u64> {
    Some(last?.0.saturating_sub(durable?.0))
}

fn of_database(object: &mut Object<'_>, database: &DatabaseOverview) {
    object.number("index", database.index);
    object.text("mode", database.mode);
    object.number("keys", database.keys);
    object.number("volatile", database.volatile);
}

fn of_counters(object: &mut Object<'_>, counters: &Counters) {
    for (name, _, value) in super::metrics::counted(counters) {
        object.number(name, value);
    }
    object.number("clients", counters.clients);
    object.member("errors").object(|errors| {
        for (code, count) in &counters.errors {
            errors.number(code, *count);
        }
    });
}
