//! Streams: logs whose entries have ids that only grow, and groups of consumers that share the entries among them.
//!
//! A read that finds nothing makes one attempt and says so; the node waits and runs the same words again. Words that mean
//! "what is newest now" must mean the same then, so `blocking_words` puts ids in their place when the waiting begins.

use crate::error::Error;
use crate::spec::{self, Begin, Find, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};

/// XADD, XDEL, XTRIM and XSETID.
mod add;
/// XCLAIM, XAUTOCLAIM and XPENDING.
mod claims;
/// How far a group has read, and how far it lags behind.
mod counters;
/// XGROUP and XACK.
mod groups;
/// Ids and entries, in words and in replies.
mod ids;
/// XINFO.
mod info;
/// XLEN, XRANGE, XREAD and XREADGROUP.
mod read;

pub use read::blocking_words;

const fn stream(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Stream, Place::Keys)
}

/// The one key of a subcommand.
const fn second_key(flags: &[K]) -> KeySpec {
    spec::at(2, 0, 1, flags)
}

/// Keys behind the word STREAMS, as many as there are ids behind them.
const fn keys_before_ids(from: usize) -> KeySpec {
    KeySpec {
        flags: K::RO.with(K::ACCESS),
        begin: Begin::Keyword { keyword: "STREAMS", from },
        find: Find::Range { last: -1, step: 1, limit: 2 },
    }
}

const KEY_TRIMMED: &[KeySpec] = &[spec::at(1, 0, 1, &[K::RW, K::DELETE])];
const VARYING: &[&str] = &["nondeterministic_output"];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    stream(672, "xadd", -5)
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs(
            "5.0.0",
            "O(1), and O(N) for N entries trimmed",
            "Adds an entry, and trims the stream if told to.",
        )
        .tips(VARYING)
        .does(add::xadd),
    stream(673, "xlen", 2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("5.0.0", "O(1)", "Counts the entries.")
        .does(read::xlen),
    stream(674, "xrange", -4)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("5.0.0", "O(log(N)+M) for M entries answered", "Answers entries between two ids.")
        .does(read::xrange),
    stream(675, "xrevrange", -4)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs(
            "5.0.0",
            "O(log(N)+M) for M entries answered",
            "Answers entries between two ids, the newest first.",
        )
        .does(read::xrevrange),
    stream(676, "xdel", -3)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(KEY_TRIMMED)
        .docs(
            "5.0.0",
            "O(log(N)) for each id",
            "Deletes entries by their ids, and counts those that were there.",
        )
        .does(add::xdel),
    stream(677, "xtrim", -4)
        .flags(&[F::WRITE])
        .keys_at(KEY_TRIMMED)
        .docs("5.0.0", "O(N) for N entries trimmed", "Deletes the oldest entries, and counts them.")
        .tips(VARYING)
        .does(add::xtrim),
    stream(678, "xsetid", -3)
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("5.0.0", "O(1)", "Sets what the stream knows beside its entries; meant for replication.")
        .does(add::xsetid),
    stream(679, "xread", -4)
        .flags(&[F::READONLY, F::BLOCKING, F::MOVABLEKEYS])
        .keys_at(&[keys_before_ids(1)])
        .docs(
            "5.0.0",
            "O(log(N)+M) for M entries answered",
            "Answers entries behind given ids, and may wait for them.",
        )
        .does(read::xread),
    stream(680, "xreadgroup", -7)
        .flags(&[F::WRITE, F::BLOCKING, F::MOVABLEKEYS])
        .keys_at(&[keys_before_ids(4)])
        .docs(
            "5.0.0",
            "O(log(N)+M) for M entries answered",
            "Hands entries to a consumer of a group, and may wait for them.",
        )
        .does(read::xreadgroup),
    stream(681, "xgroup", -2)
        .docs("5.0.0", "Depends on the subcommand.", "Makes, changes and deletes groups.")
        .at_node()
        .has(XGROUP),
    stream(689, "xack", -4)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs(
            "5.0.0",
            "O(log(N)) for each id",
            "Notes that a group is done with entries, and counts those that it owed.",
        )
        .does(groups::xack),
    stream(690, "xclaim", -6)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("5.0.0", "O(log(N)) for each id", "Gives entries that a consumer owes to another one.")
        .tips(VARYING)
        .does(claims::xclaim),
    stream(691, "xautoclaim", -6)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(KEY_TRIMMED)
        .docs("6.2.0", "O(1) for a small COUNT", "Gives entries that were owed for long to another consumer.")
        .tips(VARYING)
        .does(claims::xautoclaim),
    stream(692, "xpending", -3)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("5.0.0", "O(N) for N entries looked at", "Answers which entries a group owes.")
        .tips(VARYING)
        .does(claims::xpending),
    stream(693, "xinfo", -2)
        .docs("5.0.0", "Depends on the subcommand.", "Answers what is known of a stream.")
        .at_node()
        .has(XINFO),
];

const XGROUP: &[Spec] = &[
    stream(682, "xgroup|create", -5)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[second_key(&[K::RW, K::INSERT])])
        .docs("5.0.0", "O(1)", "Makes a group.")
        .does(groups::create),
    stream(683, "xgroup|setid", -5)
        .flags(&[F::WRITE])
        .keys_at(&[second_key(&[K::RW, K::UPDATE])])
        .docs("5.0.0", "O(1)", "Sets the entry behind which a group goes on.")
        .does(groups::setid),
    stream(684, "xgroup|destroy", 4)
        .flags(&[F::WRITE])
        .keys_at(&[second_key(&[K::RW, K::DELETE])])
        .docs("5.0.0", "O(N) for N entries that it owes", "Deletes a group.")
        .does(groups::destroy),
    stream(685, "xgroup|createconsumer", 5)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[second_key(&[K::RW, K::INSERT])])
        .docs("6.2.0", "O(1)", "Makes a consumer.")
        .does(groups::create_consumer),
    stream(686, "xgroup|delconsumer", 5)
        .flags(&[F::WRITE])
        .keys_at(&[second_key(&[K::RW, K::DELETE])])
        .docs("5.0.0", "O(N) for N entries that it owes", "Deletes a consumer, and counts what it owed.")
        .does(groups::delete_consumer),
    stream(687, "xgroup|help", 2).at_node().flags(&[F::LOADING, F::STALE]).docs(
        "5.0.0",
        "O(1)",
        "Explains the subcommands.",
    ),
];

const XINFO: &[Spec] = &[
    stream(694, "xinfo|consumers", 4)
        .flags(&[F::READONLY])
        .keys_at(&[second_key(&[K::RO, K::ACCESS])])
        .docs("5.0.0", "O(N) for N consumers", "Describes the consumers of a group.")
        .tips(VARYING)
        .does(info::consumers),
    stream(695, "xinfo|groups", 3)
        .flags(&[F::READONLY])
        .keys_at(&[second_key(&[K::RO, K::ACCESS])])
        .docs("5.0.0", "O(N) for N groups", "Describes the groups of a stream.")
        .does(info::groups),
    stream(696, "xinfo|stream", -3)
        .flags(&[F::READONLY])
        .keys_at(&[second_key(&[K::RO, K::ACCESS])])
        .docs("5.0.0", "O(1), and O(N) for N entries with FULL", "Describes a stream.")
        .does(info::stream),
    stream(697, "xinfo|help", 2).at_node().flags(&[F::LOADING, F::STALE]).docs(
        "5.0.0",
        "O(1)",
        "Explains the subcommands.",
    ),
];

/// What a subcommand answers to options that it doesn't know.
fn wrong_options(word: &[u8], container: &str) -> Error {
    let shown = String::from_utf8_lossy(word);
    Error::Said(
        format!("ERR unknown subcommand or wrong number of arguments for '{shown}'. Try {container} HELP.")
            .into(),
    )
}

#[cfg(test)]
mod tests;
