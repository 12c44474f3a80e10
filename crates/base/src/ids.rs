//! Names that can't be mixed up: a bare `u64` never crosses a boundary.

use core::fmt;

/// A member of the cluster; given out once by the meta group, from 1, and never again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One copy of one group: the node that keeps it and a generation that is never reused in that group. A node
/// that left and came back, or that lost what it had acknowledged, is another replica, so that an old
/// acknowledgement or vote never counts for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// Where the copy lives.
    pub node: NodeId,
    /// Which of this node's copies, in the order in which meta granted them.
    pub generation: u32,
}

/// A Raft group. Group 0 is meta; the others are shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// One of the 16,384 parts into which Redis Cluster's hash divides the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

/// The number that a client SELECTs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseIndex(pub u32);

/// One incarnation of a database; never reused, so that what was meant for a dropped database can't land in
/// its successor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseId(pub u64);

/// One start of a gateway node: requests that it forwards carry it, so that a retry is recognized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The gateway.
    pub node: NodeId,
    /// Counts the starts of that node; durable before it is used.
    pub start: u64,
}

impl NodeId {
    /// Nobody.
    pub const NONE: Self = Self(0);
}

impl ReplicaId {
    /// Names a replica.
    pub const fn new(node: u32, generation: u32) -> Self {
        Self { node: NodeId(node), generation }
    }
}

impl GroupId {
    /// The group that knows nodes, databases, placement and settings.
    pub const META: Self = Self(0);

    /// Whether this is the meta group.
    pub const fn is_meta(self) -> bool {
        self.0 == 0
    }
}

impl Slot {
    /// How many slots there are.
    pub const COUNT: u16 = 16_384;

    /// The slot with this number, if there is one.
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The slot of a 16-bit hash.
    pub const fn of_hash(hash: u16) -> Self {
        Self(hash % Self::COUNT)
    }

    /// Its number, below [`Slot::COUNT`].
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_meta() { write!(f, "meta") } else { write!(f, "shard {}", self.0) }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node.0, self.generation)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
