//! Channels: what the commands are called and take. The gateway answers them, together with all other nodes.

use crate::spec::{self, Find, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};

const fn pubsub(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::PubSub, Place::Connection)
}

/// What is said to all nodes, and answered by all.
const fn everywhere(id: u16, name: &'static str, arity: i32) -> Spec {
    pubsub(id, name, arity).flags(&[F::PUBSUB, F::LOADING, F::STALE])
}

const fn subscribing(id: u16, name: &'static str, arity: i32) -> Spec {
    pubsub(id, name, arity).flags(&[F::PUBSUB, F::NOSCRIPT, F::LOADING, F::STALE])
}

/// Sharded channels are hashed like keys, and are none.
const SHARD_CHANNEL: &[KeySpec] = &[spec::at(1, 0, 1, &[K::NOT_KEY])];
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec {
    flags: K::NOT_KEY,
    begin: spec::Begin::Index(1),
    find: Find::Range { last: -1, step: 1, limit: 0 },
}];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    subscribing(784, "subscribe", -2).docs("2.0.0", "O(N) for N channels", "Listens to channels."),
    subscribing(785, "unsubscribe", -1).docs("2.0.0", "O(N) for N channels", "Listens to channels no more."),
    subscribing(786, "psubscribe", -2).docs(
        "2.0.0",
        "O(N) for N patterns",
        "Listens to all channels whose names match patterns.",
    ),
    subscribing(787, "punsubscribe", -1).docs("2.0.0", "O(N) for N patterns", "Listens to patterns no more."),
    subscribing(788, "ssubscribe", -2).keys_at(SHARD_CHANNELS).docs(
        "7.0.0",
        "O(N) for N channels",
        "Listens to sharded channels.",
    ),
    subscribing(789, "sunsubscribe", -1).keys_at(SHARD_CHANNELS).docs(
        "7.0.0",
        "O(N) for N channels",
        "Listens to sharded channels no more.",
    ),
    pubsub(790, "publish", 3).flags(&[F::PUBSUB, F::LOADING, F::STALE, F::FAST, F::MAY_REPLICATE]).docs(
        "2.0.0",
        "O(N) for N listeners",
        "Says something on a channel, to listeners at all nodes.",
    ),
    pubsub(791, "spublish", 3)
        .flags(&[F::PUBSUB, F::LOADING, F::STALE, F::FAST, F::MAY_REPLICATE])
        .keys_at(SHARD_CHANNEL)
        .docs(
            "7.0.0",
            "O(N) for N listeners",
            "Says something on a sharded channel, to listeners at all nodes.",
        ),
    pubsub(792, "pubsub", -2)
        .docs("2.8.0", "Depends on the subcommand.", "Answers what is listened to.")
        .has(&[
            everywhere(793, "pubsub|channels", -2).docs(
                "2.8.0",
                "O(N) for N channels",
                "Answers the channels that somebody in the cluster listens to.",
            ),
            everywhere(794, "pubsub|numsub", -2).docs(
                "2.8.0",
                "O(N) for N channels",
                "Counts the listeners of channels in the whole cluster.",
            ),
            everywhere(795, "pubsub|numpat", 2).docs(
                "2.8.0",
                "O(1)",
                "Counts the patterns that are listened to.",
            ),
            everywhere(796, "pubsub|shardchannels", -2).docs(
                "7.0.0",
                "O(N) for N channels",
                "Answers the sharded channels that somebody in the cluster listens to.",
            ),
            everywhere(797, "pubsub|shardnumsub", -2).docs(
                "7.0.0",
                "O(N) for N channels",
                "Counts the listeners of sharded channels in the whole cluster.",
            ),
            pubsub(798, "pubsub|help", 2).flags(&[F::LOADING, F::STALE]).docs(
                "6.2.0",
                "O(1)",
                "Explains the subcommands.",
            ),
        ]),
];
