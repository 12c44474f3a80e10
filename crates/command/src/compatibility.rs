//! What holds of each command of Redis 7.2, as `docs/compatibility.md` lists it: made from the table, with what differs
//! told here.

use crate::spec::{Group, Place, Spec};
use crate::table::COMMANDS;
use std::fmt::Write as _;

/// What a user of Redis would notice, by command or by container. What holds of many commands (keys on several shards,
/// commands about the whole cluster) is told once, in the document.
const DIFFERENCES: &[(&str, &str)] = &[
    ("bgrewriteaof", "Nothing to do: the log is shortened by itself. Answers so."),
    (
        "bgsave",
        "Nothing to do: what was acknowledged is on disk. Answers so; `sihai export` writes an RDB file.",
    ),
    ("bitfield", "`OVERFLOW SAT` saturates at the type's limits also where the sum of 64 bits would wrap."),
    (
        "client",
        "`TRACKING` tells what this node's copies apply, so a change of leader hides nothing; behind the answer of a node that is no leader a change may come a heartbeat later, or be told of twice. Of a shard without a copy on the node, every answer is followed by its invalidation. `REDIRECT`, `LIST`, `KILL` and `PAUSE` are about the clients of one node. `FLUSHDB` and `FLUSHALL` may tell once for each shard.",
    ),
    (
        "cluster",
        "`cluster_enabled` is 0 and `MOVED` is never sent, yet all that describes is answered. What moves slots or \
                 nodes by hand is refused: they find their places by themselves.",
    ),
    ("command", "`COMMAND DOCS` has no `arguments` and no `history` yet."),
    (
        "config",
        "`requirepass`, `notify-keyspace-events`, `maxmemory` and what belongs to it, and the limits of encodings are the \
                whole cluster's; parameters of the cluster and of the node aren't set in one command. Parameters of Redis's \
                files, copies and processes (`save`, `hz`, `repl-backlog-size` …) are taken, kept and shown, and change \
                nothing. `REWRITE` is refused: a node's settings come from its command line and file.",
    ),
    (
        "debug",
        "`SLEEP` holds up nobody else; `SET-ACTIVE-EXPIRE` and `STRINGMATCH-LEN` are taken, all else is refused.",
    ),
    (
        "eval",
        "No script holds up anybody else; it runs where its client is connected, takes effect at one moment, and its keys may lie anywhere, named or not. What differs for scripts stands above.",
    ),
    (
        "evalsha",
        "Scripts that were loaded are known to all nodes; those that were only run, to the node that ran them.",
    ),
    (
        "exec",
        "What the node itself answers (`CONFIG SET`, `ACL SETUSER`, `PUBLISH` …) is carried out right behind what the shard \
                does, each by itself.",
    ),
    ("failover", "Refused: leaders change by themselves."),
    (
        "function",
        "Libraries are the whole cluster's, and stay over restarts. A library is loaded for each call: its variables begin anew. `STATS` and `KILL` are about the node that is asked; what was killed has done nothing.",
    ),
    (
        "info",
        "Sections and fields that have a meaning here; `# Cluster` and `# Replication` describe shards.",
    ),
    ("lastsave", "Now: everything that was acknowledged is on disk."),
    (
        "latency",
        "Of the node that is asked. A command's time counts from its arrival to its answer, agreement included; `aof-fsync-always` is what a write to the disk takes. Histograms have buckets of powers of two.",
    ),
    ("lolwut", "A drawing of our own."),
    ("memory", "`USAGE` is exact whatever `SAMPLES` says; `STATS` has the fields that have a meaning here."),
    (
        "migrate",
        "A key that changes while it is moved stays here, and the reply says so. At most 256 MiB at a time.",
    ),
    ("module", "There are none: `LIST` is empty, the rest is refused."),
    ("monitor", "Shows what the clients of this node send."),
    (
        "object",
        "`ENCODING` follows from what a value holds now, not from what it once held; `REFCOUNT` is 1.",
    ),
    ("pfcount", "Never writes the cardinality that it has computed into the string."),
    ("pfdebug", "`GETREG` leaves the encoding as it is."),
    ("psync", "As SYNC, for who has said `REPLCONF rdb-only 1`; there is no stream of changes for replicas."),
    ("replconf", "What SYNC shall send: `capa eof`, `rdb-only`, and `rdb-version` of our own."),
    (
        "replicaof",
        "`NO ONE` is accepted; following another server is refused: `sihai import --from` copies one.",
    ),
    ("role", "Always `master`: every node takes writes, and copies belong to shards."),
    (
        "save",
        "Nothing to do: what was acknowledged is on disk. `rdb_changes_since_last_save` is counted anew.",
    ),
    (
        "script",
        "`LOAD` and `FLUSH` are the whole cluster's, and what was loaded stays over restarts. `KILL` ends what runs on the node that is asked, also what has written already: nothing of it takes effect. `DEBUG YES` is refused.",
    ),
    (
        "shutdown",
        "Hands over what this node leads first. `SAVE`, `NOSAVE`, `NOW` and `FORCE` make no difference.",
    ),
    ("slaveof", "As REPLICAOF."),
    (
        "slowlog",
        "Of the node that is asked. Time counts from a command's arrival to its answer, agreement included.",
    ),
    (
        "sync",
        "Sends all shards once, as one RDB file, and hangs up; it wants `REPLCONF capa eof` before (`redis-cli --rdb`).",
    ),
    (
        "wait",
        "Answers at once how many other nodes are certain to have the connection's writes on disk: a majority \
              without the leader. It never waits for more.",
    ),
    (
        "waitaof",
        "Answers at once: of the disks that what is acknowledged is on for certain, one counts as local, the others as replicas.",
    ),
    ("xadd", "`~` trims to what was asked exactly."),
    ("xtrim", "`~` trims to what was asked exactly."),
];

/// The groups in the order of the document.
const GROUPS: [(Group, &str); 16] = [
    (Group::String, "Strings"),
    (Group::Bitmap, "Bitmaps"),
    (Group::List, "Lists"),
    (Group::Set, "Sets"),
    (Group::Hash, "Hashes"),
    (Group::SortedSet, "Sorted sets"),
    (Group::Geo, "Geo"),
    (Group::Stream, "Streams"),
    (Group::HyperLogLog, "HyperLogLog"),
    (Group::Generic, "Keys"),
    (Group::PubSub, "Publish and subscribe"),
    (Group::Transactions, "Transactions"),
    (Group::Scripting, "Scripts and functions"),
    (Group::Connection, "Connections"),
    (Group::Server, "Server"),
    (Group::Cluster, "Cluster"),
];

/// What differs, if anything does.
fn difference(name: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Which node or shard answers.
fn answered(spec: &Spec) -> &'static str {
    match spec.place {
        Place::Keys => "the shard of its keys",
        Place::Cluster => "all shards",
        Place::Script => "any node, for the shards of its keys",
        Place::Connection | Place::Node if spec.subcommands.is_empty() => "any node",
        Place::Connection | Place::Node => "",
    }
}

/// The part of the document that is made from the table: a section for each group, and what isn't there yet.
pub fn document() -> String {
    let mut text = String::new();
    for (group, title) in GROUPS {
        let of_group = || COMMANDS.iter().filter(move |spec| spec.group == group);
        let mut specs: Vec<&Spec> = of_group().collect();
        specs.sort_by_key(|spec| spec.name);
        // A String takes whatever is written.
        let _ = writeln!(
            text,
            "### {title}\n\n| command | since | answered by | what differs |\n|---|---|---|---|"
        );
        for spec in specs {
            let mut name = format!("`{}`", spec.name.to_ascii_uppercase());
            if !spec.subcommands.is_empty() {
                let mut children: Vec<_> = spec.subcommands.iter().map(Spec::short_name).collect();
                children.sort_unstable();
                let _ = write!(name, " {}", children.join(", "));
            }
            let (since, by) = (spec.since, answered(spec));
            let _ = writeln!(text, "| {name} | {since} | {by} | {} |", difference(spec.name).unwrap_or(""));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_of_commands_that_there_are() {
        for (name, _) in DIFFERENCES {
            assert!(COMMANDS.iter().any(|spec| spec.name == *name), "{name}");
        }
        assert!(DIFFERENCES.is_sorted_by_key(|(name, _)| *name), "in order, so that each is found");
    }

    #[test]
    fn every_command_has_its_line() {
        let text = document();
        for spec in &COMMANDS {
            let name = format!("| `{}`", spec.name.to_ascii_uppercase());
            assert_eq!(text.matches(&format!("{name} ")).count(), 1, "{name}");
        }
    }
}
