//! The categories of commands that ACLs know. They follow from what the table says: flags, family, and the few that are written there.

use crate::spec::{Categories, Flags, Group, Spec};

/// All of them, in Redis's order.
pub const NAMES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// One of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Category(u8);

impl Category {
    /// The category of this name, in any case.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let at = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()))?;
        Some(Self(at as u8))
    }

    /// Its name, without the `@`.
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    /// Whether a command belongs to it. A subcommand may belong where its container doesn't.
    pub fn has(self, spec: &Spec) -> bool {
        let flag = |flag| spec.flags.has(flag);
        let category = |category| spec.categories.has(category);
        // A container is in no family's category: its subcommands are.
        let of = |group| spec.group == group && spec.subcommands.is_empty();
        match self.name() {
            "keyspace" => category(Categories::KEYSPACE),
            "read" => flag(Flags::READONLY),
            "write" => flag(Flags::WRITE),
            "set" => of(Group::Set) || category(Categories::SET),
            "sortedset" => of(Group::SortedSet) || category(Categories::SORTED_SET),
            "list" => of(Group::List) || category(Categories::LIST),
            "hash" => of(Group::Hash),
            "string" => of(Group::String),
            "bitmap" => of(Group::Bitmap),
            "hyperloglog" => of(Group::HyperLogLog),
            "geo" => of(Group::Geo),
            "stream" => of(Group::Stream),
            "pubsub" => flag(Flags::PUBSUB),
            "admin" => flag(Flags::ADMIN) || category(Categories::ADMIN),
            "fast" => flag(Flags::FAST),
            "slow" => !flag(Flags::FAST),
            "blocking" => flag(Flags::BLOCKING),
            "dangerous" => category(Categories::DANGEROUS) || flag(Flags::ADMIN),
            "connection" => category(Categories::CONNECTION),
            "transaction" => of(Group::Transactions),
            "scripting" => of(Group::Scripting),
            _ => false,
        }
    }

    /// The categories of a command, in Redis's order.
    pub fn of(spec: &Spec) -> impl Iterator<Item = Self> + Clone {
        (0..NAMES.len() as u8).map(Self).filter(move |category| category.has(spec))
    }
}
