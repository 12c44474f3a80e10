//! Rules that are left out one at a time, by tests that must notice. They exist only with the feature `bugs`. Most are mutations of
//! the model in `docs/models`, by the same name.

/// Which rules are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    /// A shard says "absent" without a tombstone.
    pub prevent_unlogged: bool,
    /// An outcome is forgotten although others may still be prepared.
    pub forget_early: bool,
    /// A Prepare below the floor is taken.
    pub no_floor: bool,
    /// The floor passes over what is prepared.
    pub floor_over_prepared: bool,
    /// A leader's refusal, which isn't logged, counts as an abort.
    pub refusal_is_an_abort: bool,
    /// FORGOTTEN counts as "not executed".
    pub forgotten_is_absent: bool,
    /// After FORGOTTEN, "prepared" is believed whenever it was said.
    pub forgotten_and_stale: bool,
    /// A gateway that has waited long enough aborts without a tombstone.
    pub gateway_aborts_alone: bool,
    /// An outcome that arrives late replaces the one that is there.
    pub late_resolve_wins: bool,
    /// Applying a Prepare doesn't look for a tombstone.
    pub tombstone_unchecked: bool,
    /// Applying a Prepare doesn't look at versions.
    pub versions_unchecked: bool,
    /// Neither applying a Prepare looks at locks, nor does the leader see those that are under way.
    pub locks_unchecked: bool,
    /// What is only read or watched isn't locked.
    pub watch_takes_no_lock: bool,
    /// A read over several shards doesn't wait for what is under way when it locks.
    pub reads_skip_the_barrier: bool,
    /// A read over several shards is accepted although its windows don't overlap.
    pub windows_not_compared: bool,
    /// The older waits for the younger, too.
    pub older_waits_too: bool,
}
