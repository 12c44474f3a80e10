//! What a leader knows of each follower: pure. It decides what may be sent next, never sends.

use alloc::collections::BTreeMap;
use base::{Index, Membership, ReplicaId, Time};

/// Appends that a follower has not answered.
pub mod inflights;

pub use inflights::Inflights;

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

/// How many appends, and how many bytes in them, a follower may leave unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many appends with entries.
    pub messages_max: usize,
    /// How many bytes of entries.
    pub bytes_max: usize,
}

/// What a leader knows of one follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    state: ProgressState,
    matched: Index,
    next: Index,
    /// The highest commit index that it was told.
    sent_commit: Index,
    /// Nothing more is sent before it is heard again.
    is_paused: bool,
    /// The snapshot that it waits for, in state `Snapshot`.
    pending_snapshot: Index,
    inflights: Inflights,
    heard_at: Time,
    acked_sent: Option<Time>,
    pub(crate) acked_round: u64,
    /// An append is due, even an empty one.
    pub(crate) is_due: bool,
    pub(crate) snapshot_sent_at: Time,
}

impl Progress {
    /// Of a follower of which nothing is known but that its log is worth trying from `next`.
    pub fn new(next: Index, window: Window, now: Time) -> Self {
        Self {
            state: ProgressState::Probe,
            matched: Index::ZERO,
            next,
            sent_commit: Index::ZERO,
            is_paused: false,
            pending_snapshot: Index::ZERO,
            inflights: Inflights::new(window.messages_max, window.bytes_max),
            heard_at: now,
            acked_sent: None,
            acked_round: 0,
            is_due: false,
            snapshot_sent_at: Time::ZERO,
        }
    }

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

    /// The appends that it has not answered.
    pub fn inflights(&self) -> &Inflights {
        &self.inflights
    }

    /// The snapshot that it waits for; zero if none.
    pub fn pending_snapshot(&self) -> Index {
        self.pending_snapshot
    }

    /// When it was last heard, by the leader's clock.
    pub fn heard_at(&self) -> Time {
        self.heard_at
    }

    /// When the newest message that it acknowledged was sent, by the leader's clock.
    pub fn acked_sent(&self) -> Option<Time> {
        self.acked_sent
    }

    /// Whether nothing may be sent to it for now.
    pub fn is_paused(&self) -> bool {
        self.state == ProgressState::Snapshot || self.is_paused
    }

    /// It said something.
    pub(crate) fn heard(&mut self, now: Time) {
        self.heard_at = self.heard_at.max(now);
    }

    /// It acknowledged what was sent at `sent`.
    pub(crate) fn acknowledged(&mut self, sent: Time) {
        self.acked_sent = self.acked_sent.max(Some(sent));
    }

    /// It can take one more message: it answered a heartbeat.
    pub(crate) fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Nothing until it is heard again.
    pub(crate) fn pause(&mut self) {
        self.is_paused = true;
    }

    /// An append with `count` entries and the leader's `commit` went out.
    pub(crate) fn sent(&mut self, count: usize, bytes: usize, commit: Index) {
        match self.state {
            ProgressState::Replicate => {
                if count > 0 {
                    self.next = Index(self.next.0 + count as u64);
                    self.inflights.add(self.next.prev(), bytes);
                }
                self.is_paused = self.inflights.is_full();
            }
            ProgressState::Probe => self.is_paused |= count > 0,
            ProgressState::Snapshot => {}
        }
        self.sent_commit = self.sent_commit.max(commit);
    }

    /// It was told of `commit`.
    pub(crate) fn told(&mut self, commit: Index) {
        self.sent_commit = self.sent_commit.max(commit);
    }

    /// Whether a word about `commit` would tell it something: it hasn't heard it, and has been sent entries that it
    /// would commit by it.
    pub(crate) fn can_learn(&self, commit: Index) -> bool {
        commit > self.sent_commit && self.sent_commit < self.next.prev()
    }

    /// It has everything through `index`; whether that is news.
    pub(crate) fn matches(&mut self, index: Index) -> bool {
        if index <= self.matched {
            return false;
        }
        self.matched = index;
        self.next = self.next.max(index.next());
        self.is_paused = false;
        true
    }

    /// It rejected an append after `rejected` and hinted that the logs may agree at `hint`; whether that is news.
    pub(crate) fn rejects(&mut self, rejected: Index, hint: Index) -> bool {
        if self.state == ProgressState::Replicate {
            if rejected <= self.matched {
                return false;
            }
            self.next = self.matched.next();
        } else {
            if self.next.prev() != rejected {
                return false;
            }
            self.next = rejected.min(hint.next()).max(self.matched.next());
            self.is_paused = false;
        }
        self.sent_commit = self.sent_commit.min(self.next.prev());
        true
    }

    /// It has lost what it had beyond `last`: a disk that isn't believed any more said so. Forgetting an
    /// acknowledgement only makes the leader wait longer; what was committed by it stays committed.
    pub(crate) fn lost_beyond(&mut self, last: Index) {
        self.matched = self.matched.min(last);
        self.become_probe();
    }

    fn reset(&mut self, state: ProgressState) {
        self.state = state;
        self.is_paused = false;
        self.pending_snapshot = Index::ZERO;
        self.inflights.clear();
    }

    /// Looks for where the logs agree.
    pub(crate) fn become_probe(&mut self) {
        self.next = self.matched.max(self.pending_snapshot).next();
        self.reset(ProgressState::Probe);
        self.sent_commit = self.sent_commit.min(self.next.prev());
    }

    /// Streams from behind what matches.
    pub(crate) fn become_replicate(&mut self) {
        self.reset(ProgressState::Replicate);
        self.next = self.matched.next();
    }

    /// Waits for the snapshot through `index`.
    pub(crate) fn become_snapshot(&mut self, index: Index, now: Time) {
        self.reset(ProgressState::Snapshot);
        self.pending_snapshot = index;
        self.next = index.next();
        self.sent_commit = index;
        self.snapshot_sent_at = now;
    }

    /// The snapshot didn't arrive.
    pub(crate) fn snapshot_failed(&mut self) {
        self.pending_snapshot = Index::ZERO;
        self.become_probe();
        self.is_paused = true;
    }

    /// Everything sent through `matched` has been answered.
    pub(crate) fn answered(&mut self, matched: Index) {
        self.inflights.answered(matched);
    }
}

/// Adds who is new among `members`, to be tried from the end of the leader's log, and forgets who has gone.
pub fn follow_members(
    progress: &mut BTreeMap<ReplicaId, Progress>,
    members: &Membership,
    last_index: Index,
    window: Window,
    now: Time,
) {
    progress.retain(|id, _| members.contains(*id));
    for id in members.members() {
        progress.entry(id).or_insert_with(|| Progress::new(last_index.max(Index(1)), window, now));
    }
}
