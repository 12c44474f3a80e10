//! `maxmemory`: how much the copies on one node may hold, and what happens to a command that would add to it.
//!
//! What counts is the account of the keyspaces, a function of their state, summed over all copies on this node; what
//! is proposed and not applied is estimated. A shard's leader asks before it proposes a command that may take memory,
//! so what is refused has left no trace in any log. If the policy lets keys go, room is made first.

use crate::node::{Copy, Node};
use bytes::Bytes;
use keyspace::Keyspace;
use keyspace::usage::Counting;

/// The answer to a command that is refused, as Redis says it.
pub const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// How much more than the limit the estimate of what is under way may come to before a command is refused for it: most
/// of it may replace what is there and add nothing.
pub const OVERSHOOT_BYTES_MAX: u64 = 4 << 20;

/// Whom memory loses when it is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name in CONFIG.
    pub name: &'static str,
    /// By what keys are chosen; `None`: none is, and commands that may take memory are refused.
    pub choice: Option<Choice>,
    /// Whether only keys that expire are chosen.
    pub volatile: bool,
}

/// By what keys are chosen to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By chance.
    Random,
    /// Those that were not used for longest, among some drawn by chance.
    LeastRecent,
    /// Those that are used least often, among some drawn by chance.
    LeastFrequent,
    /// Those that expire next.
    Soonest,
}

impl Policy {
    /// Nobody goes.
    pub const NO_EVICTION: Self = Self { name: "noeviction", choice: None, volatile: false };
    /// Any key that is used least often.
    pub const ALLKEYS_LFU: Self = Self::any("allkeys-lfu", Choice::LeastFrequent);

    /// All of them, as Redis lists them.
    pub const ALL: [Self; 8] = [
        Self::expiring("volatile-lru", Choice::LeastRecent),
        Self::expiring("volatile-lfu", Choice::LeastFrequent),
        Self::expiring("volatile-random", Choice::Random),
        Self::expiring("volatile-ttl", Choice::Soonest),
        Self::any("allkeys-lru", Choice::LeastRecent),
        Self::ALLKEYS_LFU,
        Self::any("allkeys-random", Choice::Random),
        Self::NO_EVICTION,
    ];

    const fn any(name: &'static str, choice: Choice) -> Self {
        Self { name, choice: Some(choice), volatile: false }
    }

    const fn expiring(name: &'static str, choice: Choice) -> Self {
        Self { name, choice: Some(choice), volatile: true }
    }

    /// The policy of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| name.eq_ignore_ascii_case(policy.name))
    }
}

/// A part of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many bytes; 0 means that there is no limit.
    Bytes(u64),
    /// So many hundredths of `maxmemory`.
    Percent(u8),
}

/// What the cluster's settings say about memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `maxmemory`: bytes that the copies on one node may hold; 0 means that there is no limit.
    pub bytes: u64,
    /// `maxmemory-policy`.
    pub policy: Policy,
    /// `maxmemory-samples`: among how many keys, drawn by chance, the next to go is looked for.
    pub samples: u32,
    /// `maxmemory-eviction-tenacity`: how much is done before a command for room, from 0 to 100.
    pub tenacity: u32,
    /// `lfu-log-factor` and `lfu-decay-time`, and whether the policy needs them.
    pub counting: Counting,
    /// `maxmemory-clients`: what all clients of one node may hold.
    pub clients: Share,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 0,
            policy: Policy::NO_EVICTION,
            samples: 5,
            tenacity: 10,
            counting: Counting::default(),
            clients: Share::Bytes(0),
        }
    }
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
    /// What is under way takes away so much.
    pub going: u64,
    /// Whether room was looked for last and not one key found that could go.
    pub exhausted: bool,
}

impl Memory {
    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limits.bytes != 0
    }

    /// How much must go so that what there is and what is under way stay within the limit.
    #[inline]
    pub fn excess(&self) -> u64 {
        if !self.is_limited() {
            return 0;
        }
        (self.used + self.growing).saturating_sub(self.going).saturating_sub(self.limits.bytes)
    }

    /// Whether a command that may take memory must be refused, after room was looked for.
    #[inline]
    pub fn is_full(&self) -> bool {
        let frees = self.limits.policy.choice.is_some() && !self.exhausted;
        self.is_limited()
            && !frees
            && (self.used.saturating_sub(self.going) > self.limits.bytes
                || self.excess() > OVERSHOOT_BYTES_MAX)
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
        let memory = &mut self.hub.memory;
        (memory.used, memory.growing, memory.going) = (0, 0, 0);
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            memory.used += replica.machine.keyspace().map_or(0, Keyspace::memory_bytes);
            for under_way in replica.under_way() {
                memory.growing += under_way.growth;
                memory.going += under_way.freed;
            }
        }
    }
}
