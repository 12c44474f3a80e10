//! Commands that take effect together: what they are called and take. The gateway gathers them, and the shard of their keys carries them
//! out as one operation.

use crate::spec::{self, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};

const fn transactions(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Transactions, Place::Connection)
}

const WATCHED_KEYS: &[KeySpec] = &[spec::at(1, -1, 1, &[K::RO])];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] =
    &[
        transactions(768, "multi", 1)
            .flags(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY])
            .docs("1.2.0", "O(1)", "Begins a transaction: what follows is gathered until EXEC."),
        transactions(769, "exec", 1).flags(&[F::NOSCRIPT, F::LOADING, F::STALE, F::SKIP_SLOWLOG]).docs(
            "1.2.0",
            "As long as its commands take",
            "Carries out what was gathered, all of it at one moment, unless a watched key has changed.",
        ),
        transactions(770, "discard", 1)
            .flags(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY])
            .docs("2.0.0", "O(N) for N gathered commands", "Forgets what was gathered."),
        transactions(771, "watch", -2)
            .flags(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY])
            .keys_at(WATCHED_KEYS)
            .docs(
                "2.2.0",
                "O(1) for every key",
                "Has the next EXEC do nothing if one of the keys changes before it.",
            ),
        transactions(772, "unwatch", 1)
            .flags(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY])
            .docs("2.2.0", "O(1)", "Forgets which keys were watched."),
    ];
