//! Users and what they may do: what the commands are called and take. The gateway answers them, and the meta group makes the changes.

use crate::spec::{Flags as F, Group, Place, Spec};

const fn acl(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Server, Place::Node).flags(&[F::NOSCRIPT, F::LOADING, F::STALE])
}

const fn administer(id: u16, name: &'static str, arity: i32) -> Spec {
    acl(id, name, arity).flags(&[F::ADMIN])
}

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[Spec::new(464, "acl", -2, Group::Server, Place::Node)
    .docs("6.0.0", "Depends on the subcommand.", "Users of the cluster, and what they may do.")
    .has(&[
        acl(465, "acl|cat", -2).docs(
            "6.0.0",
            "O(1)",
            "[category]: lists the categories of commands, or the commands of one.",
        ),
        administer(466, "acl|deluser", -3)
            .docs("6.0.0", "O(1) for every user", "user …: removes users and closes their connections.")
            .tips(EVERYWHERE),
        administer(467, "acl|dryrun", -4).docs(
            "7.0.0",
            "O(1)",
            "user command [word …]: says whether a user may run a command, without running it.",
        ),
        acl(468, "acl|genpass", -2).docs(
            "6.0.0",
            "O(1)",
            "[bits]: makes a password that nobody guesses, of 256 bits if nothing else is said.",
        ),
        administer(469, "acl|getuser", 3).docs(
            "6.0.0",
            "O(N) for N rules and passwords",
            "user: says what a user may do.",
        ),
        administer(470, "acl|list", 2).docs(
            "6.0.0",
            "O(N) for N users",
            "Lists all users with their rules, as SETUSER takes them.",
        ),
        administer(471, "acl|load", 2).docs(
            "6.0.0",
            "O(1)",
            "Refused: users live in the cluster, and there is no file to load them from.",
        ),
        administer(472, "acl|log", -2).docs(
            "6.0.0",
            "O(N) for N entries",
            "[count | RESET]: lists what this node has refused to whom, or forgets it.",
        ),
        administer(473, "acl|save", 2)
            .docs("6.0.0", "O(1)", "Nothing is left to do: users are on disk when SETUSER has answered.")
            .tips(EVERYWHERE),
        administer(474, "acl|setuser", -3)
            .docs("6.0.0", "O(N) for N rules", "user [rule …]: makes a user or changes what it may do.")
            .tips(EVERYWHERE),
        administer(475, "acl|users", 2).docs("6.0.0", "O(N) for N users", "Lists the names of all users."),
        acl(476, "acl|whoami", 2).docs("6.0.0", "O(1)", "Answers the connection's user."),
        Spec::new(477, "acl|help", 2, Group::Server, Place::Node).flags(&[F::LOADING, F::STALE]).docs(
            "6.0.0",
            "O(1)",
            "Explains the subcommands.",
        ),
    ])];
