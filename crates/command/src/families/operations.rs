//! What those who run a Redis ask of it: to save, to stop, to follow another one, to load modules. The gateway answers
//! what has a meaning here, and says of the rest what to do instead.

use crate::spec::{Categories, Flags as F, Group, Place, Spec};

const fn operation(id: u16, name: &'static str, arity: i32, flags: &[F]) -> Spec {
    Spec::new(id, name, arity, Group::Server, Place::Node).flags(flags).category(Categories::DANGEROUS)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] =
    &[
        operation(850, "save", 1, &[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING, F::NO_MULTI]).docs(
            "1.0.0",
            "O(1)",
            "Answers at once: whatever was acknowledged is on disk already.",
        ),
        operation(851, "bgsave", -1, &[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING]).docs(
            "1.0.0",
            "O(1)",
            "Answers at once: whatever was acknowledged is on disk already.",
        ),
        operation(852, "bgrewriteaof", 1, &[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING]).docs(
            "1.0.0",
            "O(1)",
            "Answers at once: the log is shortened by itself.",
        ),
        operation(853, "lastsave", 1, &[F::LOADING, F::STALE, F::FAST])
            .category(Categories::ADMIN)
            .docs("1.0.0", "O(1)", "Answers the time until which everything is on disk: now.")
            .tips(&["nondeterministic_output"]),
        operation(854, "role", 1, &[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST])
            .category(Categories::ADMIN)
            .docs("2.8.12", "O(1)", "Answers that every node takes writes, as a master does."),
        operation(855, "replicaof", 3, &[F::ADMIN, F::NOSCRIPT, F::STALE, F::NO_ASYNC_LOADING]).docs(
            "5.0.0",
            "O(1)",
            "NO ONE changes nothing; following another server is refused.",
        ),
        operation(856, "slaveof", 3, &[F::ADMIN, F::NOSCRIPT, F::STALE, F::NO_ASYNC_LOADING]).docs(
            "1.0.0",
            "O(1)",
            "What REPLICAOF was called before.",
        ),
        operation(857, "failover", -1, &[F::ADMIN, F::NOSCRIPT, F::STALE]).docs(
            "6.2.0",
            "O(1)",
            "Refused: leaders change by themselves.",
        ),
        operation(
            858,
            "shutdown",
            -1,
            &[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::NO_MULTI, F::ALLOW_BUSY],
        )
        .docs(
            "1.0.0",
            "O(N) for N shards that are handed over",
            "Hands over what this node leads, and stops it.",
        ),
        Spec::new(859, "module", -2, Group::Server, Place::Node)
            .docs("4.0.0", "Depends on the subcommand.", "Lists modules: there are none.")
            .has(&[
                operation(860, "module|list", 2, &[F::ADMIN, F::NOSCRIPT])
                    .docs("4.0.0", "O(1)", "Lists the modules: none.")
                    .tips(&["nondeterministic_output_order"]),
                operation(861, "module|load", -3, &[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING]).docs(
                    "4.0.0",
                    "O(1)",
                    "Refused: there are no modules.",
                ),
                operation(862, "module|loadex", -3, &[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING]).docs(
                    "7.0.0",
                    "O(1)",
                    "Refused: there are no modules.",
                ),
                operation(863, "module|unload", 3, &[F::ADMIN, F::NOSCRIPT, F::NO_ASYNC_LOADING]).docs(
                    "4.0.0",
                    "O(1)",
                    "Refused: there are no modules.",
                ),
                Spec::new(864, "module|help", 2, Group::Server, Place::Node)
                    .flags(&[F::LOADING, F::STALE])
                    .docs("5.0.0", "O(1)", "Explains the subcommands."),
            ]),
    ];
