//! Bringing up a follower that needs what the log no longer has. Raft carries only a manifest: the node fetches the
//! chunks that it names, from whoever has them.

use crate::message::{AppendResult, Body};
use crate::progress::{Progress, ProgressState};
use crate::raft::{Effect, Raft};
use base::{Index, Membership, Outbox, ReplicaId, Term, Time};
use bytes::Bytes;

/// The newest snapshot, and the one that is being fetched.
#[derive(Debug)]
pub(crate) struct Snapshots {
    newest: Snapshot,
    restoring: Option<Snapshot>,
}

#[derive(Clone, Debug)]
struct Snapshot {
    index: Index,
    term: Term,
    membership: Membership,
    manifest: Bytes,
}

impl Snapshots {
    pub(crate) fn new(index: Index, term: Term, membership: &Membership, manifest: Bytes) -> Self {
        let newest = Snapshot { index, term, membership: membership.clone(), manifest };
        Self { newest, restoring: None }
    }

    /// Through which entry the newest one reaches.
    pub(crate) fn index(&self) -> Index {
        self.newest.index
    }

    /// Whether the log is being replaced.
    pub(crate) fn is_restoring(&self) -> bool {
        self.restoring.is_some()
    }
}

impl Raft {
    /// Through which entry the newest snapshot reaches.
    pub fn snapshot_index(&self) -> Index {
        self.snapshots.index()
    }

    /// The state as of `index` is durable under this manifest, and serves followers from now on. Entries before
    /// `keep_from`, at most the one after `index`, are no longer needed, in memory nor on disk.
    pub fn snapshot_taken(&mut self, index: Index, manifest: Bytes, keep_from: Index) {
        let Some(term) = self.log.term(index) else { return };
        if index < self.snapshots.newest.index || index > self.applied {
            return;
        }
        let at = self.history.partition_point(|(from, _)| *from <= index);
        self.history.drain(..at.saturating_sub(1));
        let membership =
            self.history.first().map_or_else(Membership::default, |(_, members)| members.clone());
        self.snapshots.newest = Snapshot { index, term, membership, manifest };
        self.log.compact(keep_from.min(index.next()).min(self.disk.log_from));
    }

    /// Entries through `through` may leave memory, as far as they are durable and applied. They stay on disk; a follower
    /// that needs them gets them by [`Effect::LoadEntries`].
    pub fn release_cached(&mut self, through: Index) {
        self.log.release(through.min(self.applied).min(self.disk.durable()));
    }

    // The leader's side.

    pub(crate) fn send_snapshot(&mut self, now: Time, peer: ReplicaId, progress: &mut Progress) {
        if now.since(progress.heard_at()) >= self.config.election_timeout {
            return;
        }
        let Snapshot { index, term, membership, manifest } = self.snapshots.newest.clone();
        progress.become_snapshot(index, now);
        self.send(peer, Body::Snapshot { index, term, membership, manifest, sent: now });
    }

    /// Says it again now and then: the follower may have started anew and know nothing of it.
    pub(crate) fn remind_of_snapshot(&mut self, now: Time, peer: ReplicaId, progress: &mut Progress) {
        if now.since(progress.snapshot_sent_at) >= self.config.election_timeout {
            self.send_snapshot(now, peer, progress);
        }
    }

    pub(crate) fn on_snapshot_reply(&mut self, from: ReplicaId, index: Index, installed: bool) {
        if installed {
            self.on_matched(from, index);
        } else if let Some(progress) = self.progress.get_mut(&from)
            && progress.pending_snapshot() == index
        {
            progress.snapshot_failed();
        }
    }

    pub(crate) fn on_snapshot_sent(&mut self, to: ReplicaId, ok: bool) {
        let Some(progress) = self.progress.get_mut(&to) else { return };
        if progress.state() != ProgressState::Snapshot {
            return;
        }
        if ok {
            progress.become_probe();
            progress.pause();
        } else {
            progress.snapshot_failed();
        }
    }

    // The follower's side.

    pub(crate) fn on_snapshot(
        &mut self,
        from: ReplicaId,
        (term, index): (Term, Index),
        membership: Membership,
        manifest: Bytes,
        out: &mut Outbox<Effect>,
    ) {
        if self.snapshots.is_restoring() {
            return;
        }
        if index <= self.commit || self.log.term(index) == Some(term) {
            // Nothing in it is news: the log has it all.
            self.commit = self.commit.max(index);
            self.tail.matched(self.commit);
            let result = AppendResult::Matched(self.commit);
            self.send_when_durable(from, Body::AppendReply { result, sent: Time::ZERO });
            return;
        }
        let (members, bytes) = (membership.clone(), manifest.clone());
        self.snapshots.restoring = Some(Snapshot { index, term, membership: members, manifest: bytes });
        out.push(Effect::Restore { from, index, term, membership, manifest });
    }

    pub(crate) fn on_snapshot_installed(&mut self, now: Time, index: Index) {
        let Some(restored) = self.snapshots.restoring.take_if(|snapshot| snapshot.index == index) else {
            return;
        };
        self.log = crate::log::Log::new(restored.index, restored.term);
        self.disk.replaced(index);
        (self.commit, self.emitted, self.applied) = (index, index, index);
        self.changes.clear();
        self.history = alloc::vec![(index, restored.membership.clone())];
        self.membership = restored.membership.clone();
        self.snapshots.newest = restored;
        self.members_changed(now);
        self.tail.matched(index);
        self.settle_tail();
        if let Some(leader) = self.leader {
            self.send_when_durable(leader, Body::SnapshotReply { index, installed: true });
        }
    }

    pub(crate) fn on_snapshot_failed(&mut self, index: Index) {
        if self.snapshots.restoring.take_if(|snapshot| snapshot.index == index).is_some()
            && let Some(leader) = self.leader
        {
            self.send(leader, Body::SnapshotReply { index, installed: false });
        }
    }
}
