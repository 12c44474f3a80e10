//! How long things wait, and how large they may be. What a participant forgets must be older than anything that a gateway
//! still waits for: `floor_lag` is longer than the longest deadline.

use base::{Duration, GroupId, SessionId};

/// How a shard's leader behaves.
#[derive(Clone, Debug)]
pub struct ParticipantConfig {
    /// The shard.
    pub group: GroupId,
    /// For how long a transaction or a read waits for locks before it is refused.
    pub wait_max: Duration,
    /// How many may wait for locks; more are refused.
    pub waiting_max: usize,
    /// A lock as old as this is asked about, for its gateway may have died.
    pub ask_after: Duration,
    /// How often it is asked about.
    pub ask_every: Duration,
    /// A lock as old as this is resolved by tombstones where its transaction isn't prepared. Longer than `wait_max`, so that who
    /// only waits isn't killed by whom it keeps waiting.
    pub prevent_after: Duration,
    /// How far ahead of this leader's hybrid clock a transaction's timestamp may be. Nothing but the order of transactions rests on
    /// timestamps, so this only keeps out what would use them up.
    pub ahead_max: Duration,
    /// How far behind the clock the floor stays.
    pub floor_lag: Duration,
    /// How often it is looked for outcomes that can be forgotten, while there are any.
    pub forget_every: Duration,
    /// For how long a read over several shards holds its locks, if it isn't released before.
    pub read_window: Duration,
    /// What is left out on purpose.
    #[cfg(feature = "bugs")]
    pub bugs: crate::bugs::Bugs,
}

/// How a gateway behaves.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// This start of this gateway.
    pub session: SessionId,
    /// How often what wasn't answered is sent again.
    pub resend_every: Duration,
    /// So long before its deadline a transaction that isn't prepared everywhere begins to be settled, so that the client hears
    /// "not executed" rather than "unknown".
    pub settle_before: Duration,
    /// How often an outcome is sent to a participant that doesn't confirm it; then the participants find it out among themselves.
    pub resolve_tries: u32,
    /// How often a read over several shards is tried by windows before it takes locks through the log.
    pub read_tries: u32,
    /// By how much the clocks of two nodes may differ in speed; windows are shortened by it.
    pub clock_drift_permille: u32,
    /// How many shards a transaction may touch.
    pub participants_max: usize,
    /// How many locks a transaction may ask for, all shards together.
    pub locks_max: usize,
    /// How many bytes its operations may have, all shards together.
    pub operations_bytes_max: usize,
    /// What is left out on purpose.
    #[cfg(feature = "bugs")]
    pub bugs: crate::bugs::Bugs,
}

impl ParticipantConfig {
    /// Sihai's defaults: a dead gateway's locks are free after about a second.
    pub fn new(group: GroupId) -> Self {
        Self {
            group,
            wait_max: Duration::from_millis(1_000),
            waiting_max: 10_000,
            ask_after: Duration::from_millis(300),
            ask_every: Duration::from_millis(200),
            prevent_after: Duration::from_millis(1_200),
            ahead_max: Duration::from_millis(24 * 3_600_000),
            floor_lag: Duration::from_millis(10_000),
            forget_every: Duration::from_millis(1_000),
            read_window: Duration::from_millis(100),
            #[cfg(feature = "bugs")]
            bugs: crate::bugs::Bugs::default(),
        }
    }
}

impl GatewayConfig {
    /// Sihai's defaults.
    pub fn new(session: SessionId) -> Self {
        Self {
            session,
            resend_every: Duration::from_millis(200),
            settle_before: Duration::from_millis(1_500),
            resolve_tries: 10,
            read_tries: 3,
            clock_drift_permille: 20,
            participants_max: 4_096,
            locks_max: 1_000_000,
            operations_bytes_max: 64 << 20,
            #[cfg(feature = "bugs")]
            bugs: crate::bugs::Bugs::default(),
        }
    }
}
