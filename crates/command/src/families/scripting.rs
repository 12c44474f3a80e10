//! Scripts and functions: what the commands are called and take. They run at their gateway, on values of the keys that they touch; what
//! libraries there are, the meta group agrees on.

use crate::spec::{Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec, counted};

const CHANGED: &[KeySpec] = &[counted(2, 1, &[K::RW, K::ACCESS, K::UPDATE])];
const READ: &[KeySpec] = &[counted(2, 1, &[K::RO, K::ACCESS])];

const fn runs(id: u16, name: &'static str) -> Spec {
    Spec::new(id, name, -3, Group::Scripting, Place::Script)
        .flags(&[
            F::NOSCRIPT,
            F::STALE,
            F::SKIP_MONITOR,
            F::MAY_REPLICATE,
            F::NO_MANDATORY_KEYS,
            F::MOVABLEKEYS,
        ])
        .keys_at(CHANGED)
}

const fn runs_reading(id: u16, name: &'static str) -> Spec {
    Spec::new(id, name, -3, Group::Scripting, Place::Script)
        .flags(&[F::READONLY, F::NOSCRIPT, F::STALE, F::SKIP_MONITOR, F::NO_MANDATORY_KEYS, F::MOVABLEKEYS])
        .keys_at(READ)
}

const fn here(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Scripting, Place::Node).flags(&[F::NOSCRIPT])
}

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const ONE_OF_ALL: &[&str] = &["request_policy:all_shards", "response_policy:one_succeeded"];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    runs(900, "eval").docs(
        "2.6.0",
        "Depends on the script.",
        "script numkeys [key …] [arg …]: runs a script of Lua.",
    ),
    runs(901, "evalsha").docs(
        "2.6.0",
        "Depends on the script.",
        "sha1 numkeys [key …] [arg …]: runs a script that was run or loaded before.",
    ),
    runs_reading(902, "eval_ro").docs(
        "7.0.0",
        "Depends on the script.",
        "script numkeys [key …] [arg …]: runs a script that only reads.",
    ),
    runs_reading(903, "evalsha_ro").docs(
        "7.0.0",
        "Depends on the script.",
        "sha1 numkeys [key …] [arg …]: runs a script that was run or loaded before, and only reads.",
    ),
    runs(904, "fcall").docs(
        "7.0.0",
        "Depends on the function.",
        "function numkeys [key …] [arg …]: runs a function of a library.",
    ),
    runs_reading(905, "fcall_ro").docs(
        "7.0.0",
        "Depends on the function.",
        "function numkeys [key …] [arg …]: runs a function that only reads.",
    ),
    Spec::new(930, "script", -2, Group::Scripting, Place::Node)
        .docs("2.6.0", "Depends on the subcommand.", "Scripts that can be run by their SHA-1.")
        .has(&[
            here(931, "script|load", 3)
                .flags(&[F::STALE])
                .docs(
                    "2.6.0",
                    "O(N) for N bytes",
                    "script: makes a script known to all nodes, and answers its SHA-1.",
                )
                .tips(EVERYWHERE),
            here(932, "script|exists", -3)
                .docs("2.6.0", "O(N) for N scripts", "sha1 …: says which scripts are known.")
                .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
            here(933, "script|flush", -2)
                .docs("2.6.0", "O(N) for N scripts", "[ASYNC | SYNC]: forgets all scripts, on all nodes.")
                .tips(EVERYWHERE),
            here(934, "script|kill", 2)
                .flags(&[F::ALLOW_BUSY])
                .docs(
                    "2.6.0",
                    "O(1)",
                    "Ends the scripts that run on this node; nothing that they did takes effect.",
                )
                .tips(ONE_OF_ALL),
            here(935, "script|debug", 3).docs(
                "3.2.0",
                "O(1)",
                "NO; YES and SYNC are refused: there is no debugger.",
            ),
            Spec::new(936, "script|help", 2, Group::Scripting, Place::Node)
                .flags(&[F::LOADING, F::STALE])
                .docs("5.0.0", "O(1)", "Explains the subcommands."),
        ]),
    Spec::new(940, "function", -2, Group::Scripting, Place::Node)
        .docs("7.0.0", "Depends on the subcommand.", "Libraries of functions.")
        .has(&[
            here(941, "function|load", -3)
                .flags(&[F::WRITE, F::DENYOOM])
                .docs("7.0.0", "O(1)", "[REPLACE] code: makes a library known to all nodes, for good.")
                .tips(ALL_SHARDS),
            here(942, "function|delete", 3)
                .flags(&[F::WRITE])
                .docs("7.0.0", "O(1)", "library: deletes a library.")
                .tips(ALL_SHARDS),
            here(943, "function|list", -2)
                .docs(
                    "7.0.0",
                    "O(N) for N functions",
                    "[LIBRARYNAME pattern] [WITHCODE]: lists libraries and their functions.",
                )
                .tips(&["nondeterministic_output_order"]),
            here(944, "function|stats", 2)
                .flags(&[F::ALLOW_BUSY])
                .docs(
                    "7.0.0",
                    "O(1)",
                    "Says which function runs on this node, and how many libraries there are.",
                )
                .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
            here(945, "function|dump", 2).docs(
                "7.0.0",
                "O(N) for N functions",
                "All libraries as bytes, for RESTORE.",
            ),
            here(946, "function|restore", -3)
                .flags(&[F::WRITE, F::DENYOOM])
                .docs(
                    "7.0.0",
                    "O(N) for N functions",
                    "bytes [FLUSH | APPEND | REPLACE]: takes in what DUMP has answered.",
                )
                .tips(ALL_SHARDS),
            here(947, "function|flush", -2)
                .flags(&[F::WRITE])
                .docs("7.0.0", "O(N) for N functions", "[ASYNC | SYNC]: deletes all libraries.")
                .tips(ALL_SHARDS),
            here(948, "function|kill", 2)
                .flags(&[F::ALLOW_BUSY])
                .docs(
                    "7.0.0",
                    "O(1)",
                    "Ends the functions that run on this node; nothing that they did takes effect.",
                )
                .tips(ONE_OF_ALL),
            Spec::new(949, "function|help", 2, Group::Scripting, Place::Node)
                .flags(&[F::LOADING, F::STALE])
                .docs("7.0.0", "O(1)", "Explains the subcommands."),
        ]),
];
