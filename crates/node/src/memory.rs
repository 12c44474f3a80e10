//! `maxmemory`: how much the copies on one node may hold, and what happens to a command that would add to it.
//!
//! What counts is the account of the keyspaces, a function of their state, summed over all copies on this node; what
//! is proposed and not applied is estimated. A shard's leader asks before it proposes a command that may take memory,
//! so what is refused has left no trace in any log.

use crate::node::{Copy, Node};
use bytes::Bytes;
use keyspace::Keyspace;

/// The answer to a command that is refused, as Redis says it.
pub const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// How much more than the limit the estimate of what is under way may come to before a command is refused for it: most
/// of it may replace what is there and add nothing.
pub const OVERSHOOT_BYTES_MAX: u64 = 4 << 20;

/// Whom memory loses when it is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nobody: commands that may take memory are refused.
    #[default]
    NoEviction,
}

impl Policy {
    /// All of them, as Redis lists them.
    pub const ALL: [Self; 1] = [Self::NoEviction];

    /// Its name in CONFIG.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoEviction => "noeviction",
        }
    }

    /// The policy of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| name.eq_ignore_ascii_case(policy.name()))
    }
}

/// What the cluster's settings say about memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `maxmemory`: bytes that the copies on one node may hold; 0 means that there is no limit.
    pub bytes: u64,
    /// `maxmemory-policy`.
    pub policy: Policy,
}

/// The memory of the copies on this node.
#[derive(Debug, Default)]
pub struct Memory {
    /// The limits that hold.
    pub limits: Limits,
    /// What the applied states take.
    pub used: u64,
    /// What is under way may add so much.
    pub growing: u64,
}

impl Memory {
    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limits.bytes != 0
    }

    /// Whether a command that may take memory must be refused.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.is_limited()
            && (self.used > self.limits.bytes
                || self.used + self.growing > self.limits.bytes.saturating_add(OVERSHOOT_BYTES_MAX))
    }

    /// The error for a command that is refused.
    pub fn full_error() -> Bytes {
        Bytes::from(format!("-{OUT_OF_MEMORY}\r\n"))
    }
}

impl Node {
    /// Looks how much the copies on this node hold, if there is a limit.
    pub(crate) fn measure_memory(&mut self) {
        if !self.hub.memory.is_limited() {
            return;
        }
        let (mut used, mut growing) = (0, 0);
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            used += replica.machine.keyspace().map_or(0, Keyspace::memory_bytes);
            growing += replica.growth();
        }
        (self.hub.memory.used, self.hub.memory.growing) = (used, growing);
    }
}
