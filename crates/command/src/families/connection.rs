//! The connection's own commands: what they are called and take. The gateway answers them.

use crate::spec::{Categories, Flags as F, Group, Place, Spec};

const fn connection(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Connection, Place::Connection).category(Categories::CONNECTION)
}

/// Before AUTH, too, and whatever else goes on.
const fn always(id: u16, name: &'static str, arity: i32) -> Spec {
    connection(id, name, arity).flags(&[
        F::NOSCRIPT,
        F::LOADING,
        F::STALE,
        F::FAST,
        F::NO_AUTH,
        F::ALLOW_BUSY,
    ])
}

const fn client(id: u16, name: &'static str, arity: i32) -> Spec {
    connection(id, name, arity).flags(&[F::NOSCRIPT, F::LOADING, F::STALE])
}

/// About other clients than the one that asks.
const fn others(id: u16, name: &'static str, arity: i32) -> Spec {
    let mut spec = client(id, name, arity).flags(&[F::ADMIN]);
    spec.place = Place::Node;
    spec
}

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    connection(256, "ping", -1)
        .flags(&[F::FAST])
        .docs("1.0.0", "O(1)", "Answers PONG, or what it was given.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    connection(257, "echo", 2).flags(&[F::LOADING, F::STALE, F::FAST]).docs(
        "1.0.0",
        "O(1)",
        "Answers what it was given.",
    ),
    always(258, "hello", -1).docs(
        "6.0.0",
        "O(1)",
        "Agrees on a version of the protocol, and introduces the client.",
    ),
    always(259, "auth", -2).docs("1.0.0", "O(1)", "Says who the client is, and proves it."),
    connection(260, "select", 2).flags(&[F::LOADING, F::STALE, F::FAST]).docs(
        "1.0.0",
        "O(1)",
        "Chooses the database for what follows.",
    ),
    always(261, "quit", -1).docs("1.0.0", "O(1)", "Closes the connection."),
    always(262, "reset", 1).docs("6.2.0", "O(1)", "Makes the connection as it was when it was new."),
    connection(263, "readonly", 1).flags(&[F::LOADING, F::STALE, F::FAST]).docs(
        "3.0.0",
        "O(1)",
        "Taken from cluster clients: reads are answered by whoever may answer them, whichever node is asked.",
    ),
    connection(264, "readwrite", 1).flags(&[F::LOADING, F::STALE, F::FAST]).docs(
        "3.0.0",
        "O(1)",
        "Taken from cluster clients: the opposite of READONLY.",
    ),
    connection(265, "asking", 1).flags(&[F::FAST]).docs(
        "3.0.0",
        "O(1)",
        "Taken from cluster clients, which never need it here.",
    ),
    Spec::new(272, "client", -2, Group::Connection, Place::Connection)
        .docs("2.4.0", "Depends on the subcommand.", "About this connection and others.")
        .has(CLIENT),
];

const CLIENT: &[Spec] = &[
    client(273, "client|id", 2).docs("5.0.0", "O(1)", "Answers the connection's number."),
    client(274, "client|getname", 2).docs("2.6.9", "O(1)", "Answers the name that the client gave itself."),
    client(275, "client|setname", 3).docs("2.6.9", "O(1)", "Names the connection.").tips(EVERYWHERE),
    client(276, "client|setinfo", 4)
        .docs("7.2.0", "O(1)", "Notes the client's library and its version.")
        .tips(EVERYWHERE),
    client(277, "client|info", 2)
        .docs("6.2.0", "O(1)", "Describes this connection.")
        .tips(&["nondeterministic_output"]),
    others(278, "client|list", -2)
        .docs("2.4.0", "O(N) for N connections", "Describes connections.")
        .tips(&["nondeterministic_output"]),
    others(279, "client|kill", -3).docs("2.4.0", "O(N) for N connections", "Closes connections."),
    others(280, "client|pause", -3).docs(
        "3.0.0",
        "O(1)",
        "Lets the commands of all clients of this node wait, or only those that change something.",
    ),
    others(281, "client|unpause", 2).docs("6.2.0", "O(N) for N paused clients", "Ends CLIENT PAUSE."),
    others(282, "client|unblock", -3).docs("5.0.0", "O(1)", "Ends the waiting of a blocked client."),
    client(283, "client|reply", 3).docs("3.2.0", "O(1)", "Switches replies on or off."),
    client(284, "client|no-evict", 3).flags(&[F::ADMIN]).docs(
        "7.0.0",
        "O(1)",
        "Keeps the connection when clients take too much memory.",
    ),
    client(285, "client|no-touch", 3).docs(
        "7.2.0",
        "O(1)",
        "Whether this client's commands count as a use of their keys.",
    ),
    client(286, "client|tracking", -3).docs(
        "6.0.0",
        "O(1)",
        "Whether this client keeps what it reads, and hears when that changes.",
    ),
    client(287, "client|caching", 3).docs(
        "6.0.0",
        "O(1)",
        "Whether this client keeps what its next command reads.",
    ),
    client(288, "client|getredir", 2).docs(
        "6.0.0",
        "O(1)",
        "Answers who hears of changes in this client's place.",
    ),
    client(289, "client|trackinginfo", 2).docs(
        "6.2.0",
        "O(1)",
        "Describes how this client hears of changes.",
    ),
    connection(290, "client|help", 2).flags(&[F::LOADING, F::STALE]).docs(
        "5.0.0",
        "O(1)",
        "Explains the subcommands.",
    ),
];
