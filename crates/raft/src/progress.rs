//! What a leader knows of each follower: pure.

use base::Index;

/// How a leader feeds a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressState {
    /// Looking for where the logs agree: one append at a time.
    Probe,
    /// Streaming.
    Replicate,
    /// Waiting until it has a snapshot.
    Snapshot,
}

/// What a leader knows of one follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    state: ProgressState,
    matched: Index,
    next: Index,
}

impl Progress {
    /// How it is fed.
    pub fn state(&self) -> ProgressState {
        self.state
    }
    /// How far its log is known to be durable and equal to the leader's.
    pub fn matched(&self) -> Index {
        self.matched
    }
    /// What is sent to it next.
    pub fn next(&self) -> Index {
        self.next
    }
}
