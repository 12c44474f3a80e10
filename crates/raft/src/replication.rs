//! Getting the log to followers and to the disk, and knowing what is committed (Raft, section 5.3 and 5.4.2).
//!
//! A leader sends what is new to its followers and to its own disk at the same time, and counts its own copy only when
//! its disk has confirmed it: so a majority without the leader's disk commits just as well.

use crate::message::{AppendResult, Body};
use crate::progress::{self, Progress, ProgressState};
use crate::quorum::joint;
use crate::raft::{Effect, Raft};
use alloc::vec::Vec;
use base::{ConfigChange, Entry, Index, Outbox, Payload, ReplicaId, Term, Time};

/// Entries on their way from the disk to a follower that is far behind.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    /// What the node was asked for.
    asked: Option<(Index, Index)>,
    /// What it answered; kept for one flush.
    loaded: Vec<Entry>,
}

impl Loads {
    pub(crate) fn clear(&mut self) {
        self.asked = None;
        self.loaded.clear();
    }

    fn slice(&self, first: Index, bytes_max: usize) -> Vec<Entry> {
        let Some(skip) = self.loaded.first().and_then(|entry| first.0.checked_sub(entry.index.0)) else {
            return Vec::new();
        };
        let mut bytes = 0;
        let rest = self.loaded.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
        rest.take_while(|entry| {
            let first = bytes == 0;
            bytes += entry.weight();
            first || bytes <= bytes_max
        })
        .cloned()
        .collect()
    }
}

impl Raft {
    /// Adds an entry of this leader's term to its log.
    pub(crate) fn append(&mut self, payload: Payload) -> Index {
        let entry = Entry { term: self.term, index: self.log.last_index().next(), payload };
        let index = entry.index;
        self.uncommitted_bytes += entry.weight();
        self.log.push(entry);
        index
    }

    /// As leader: counts what its own disk has.
    pub(crate) fn count_own_log(&mut self) {
        let durable = self.disk.durable();
        if let Some(progress) = self.progress.get_mut(&self.config.id)
            && progress.matches(durable)
        {
            self.advance_commit();
        }
    }

    /// As leader: commits what a majority has. Entries of earlier terms are committed only along with one of this term:
    /// a majority may have them and still elect a leader that doesn't (Raft, figure 8).
    pub(crate) fn advance_commit(&mut self) {
        let matched = |id| self.progress.get(&id).map(Progress::matched);
        let Some(reached) = joint::reached(&self.membership, matched) else { return };
        let is_own = self.log.term(reached) == Some(self.term);
        #[cfg(feature = "bugs")]
        let is_own = is_own || self.config.bugs.commit_earlier_term_by_counting;
        if reached <= self.commit || !is_own {
            return;
        }
        self.is_commit_urgent |= self.log.has_config(self.commit.next(), reached);
        self.uncommitted_bytes -= self.log.weight_between(self.commit, reached).min(self.uncommitted_bytes);
        self.commit = reached;
    }

    fn commit_to(&mut self, index: Index) {
        self.commit = self.commit.max(index.min(self.log.last_index()));
    }

    // The follower's side.

    pub(crate) fn on_append(
        &mut self,
        from: ReplicaId,
        (prev_term, prev_index): (Term, Index),
        commit: Index,
        entries: Vec<Entry>,
        sent: Time,
    ) {
        if self.snapshots.is_restoring() {
            base::mark!("raft: an append while the log is being replaced");
            return;
        }
        if prev_index < self.commit {
            // Through the commit index all logs are equal.
            let result = AppendResult::Matched(self.commit);
            self.tail.matched(self.commit);
            self.send_when_durable(from, Body::AppendReply { result, sent });
            return;
        }
        if self.log.term(prev_index) != Some(prev_term) {
            let (hint_index, hint_term) = self.log.agreement(prev_index.min(self.last_index()), prev_term);
            let result = AppendResult::Rejected { rejected: prev_index, hint_index, hint_term };
            self.send(from, Body::AppendReply { result, sent });
            return;
        }
        let last_new = Index(prev_index.0 + entries.len() as u64);
        if !self.take_entries(entries) {
            return;
        }
        self.commit_to(commit.min(last_new));
        self.tail.matched(last_new);
        self.send_when_durable(from, Body::AppendReply { result: AppendResult::Matched(last_new), sent });
        self.settle_tail();
    }

    /// Takes what is new, in place of what conflicts with it. Refuses to replace what is committed: no leader asks for it.
    fn take_entries(&mut self, entries: Vec<Entry>) -> bool {
        let is_known = |entry: &Entry| self.log.term(entry.index) == Some(entry.term);
        let known = entries.iter().take_while(|entry| is_known(entry)).count();
        let Some(first) = entries.get(known).map(|entry| entry.index) else { return true };
        if first <= self.commit {
            base::mark!("raft: a peer would replace what is committed");
            return false;
        }
        if first <= self.log.last_index() {
            self.log.truncate(first);
            self.disk.truncated(first);
        }
        for entry in entries.into_iter().skip(known) {
            self.log.push(entry);
        }
        true
    }

    pub(crate) fn on_heartbeat(&mut self, from: ReplicaId, commit: Index, sent: Time, round: u64) {
        // A leader names no more than it knows this log to have; more than it has, only if its end was lost.
        if !self.snapshots.is_restoring() && commit <= self.log.last_index() {
            self.commit_to(commit);
        }
        // This promises nothing that a crash could break: a starting voter keeps quiet for as long as the promise to
        // the leader would bind, and whoever elected it has the term on disk.
        self.send(from, Body::HeartbeatReply { sent, round });
        self.ask_about_tail(from);
    }

    // The leader's side.

    /// An answer of this term from a member; whether it counts.
    pub(crate) fn hear_follower(&mut self, now: Time, from: ReplicaId, sent: Time) -> bool {
        let Some(progress) = self.progress.get_mut(&from) else { return false };
        progress.heard(now);
        if sent > Time::ZERO && sent <= now {
            #[cfg(feature = "bugs")]
            let sent = if self.config.bugs.lease_over_pause { now } else { sent };
            progress.acknowledged(sent);
            self.renew_lease();
        }
        true
    }

    pub(crate) fn on_matched(&mut self, from: ReplicaId, index: Index) {
        let (last, first) = (self.log.last_index(), self.log.first_index());
        let Some(progress) = self.progress.get_mut(&from).filter(|_| index <= last) else { return };
        let is_news = progress.matches(index);
        // No news, but for a follower that was thought lost: it can be streamed to again.
        let is_found = progress.matched() == index && progress.state() == ProgressState::Probe;
        if !is_news && !is_found {
            return;
        }
        match progress.state() {
            ProgressState::Probe => progress.become_replicate(),
            ProgressState::Snapshot if progress.matched().next() >= first => progress.become_replicate(),
            ProgressState::Snapshot => {}
            ProgressState::Replicate => progress.answered(index),
        }
        self.advance_commit();
        if self.transferring_to() == Some(from) {
            self.make_way_if_caught_up();
        }
    }

    pub(crate) fn on_rejected(&mut self, from: ReplicaId, rejected: Index, hint: Index, hint_term: Term) {
        let hint = if hint_term > Term(0) { self.log.agreement(hint, hint_term).0 } else { hint };
        let Some(progress) = self.progress.get_mut(&from) else { return };
        if progress.rejects(rejected, hint) {
            if progress.state() == ProgressState::Replicate {
                progress.become_probe();
            }
            progress.is_due = true;
        }
    }

    pub(crate) fn on_heartbeat_reply(&mut self, from: ReplicaId, round: u64, out: &mut Outbox<Effect>) {
        let last = self.log.last_index();
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.resume();
        progress.is_due |= progress.matched() < last || progress.state() == ProgressState::Probe;
        progress.acked_round = progress.acked_round.max(round.min(self.reads.round()));
        self.finish_round_if_answered(out);
    }

    pub(crate) fn on_unreachable(&mut self, peer: ReplicaId) {
        if let Some(progress) = self.progress.get_mut(&peer)
            && progress.state() == ProgressState::Replicate
            && peer != self.config.id
        {
            progress.become_probe();
        }
    }

    /// As leader: sends every follower what it can take.
    pub(crate) fn replicate(&mut self, now: Time, out: &mut Outbox<Effect>) {
        let mut progress = core::mem::take(&mut self.progress);
        for (peer, progress) in &mut progress {
            if *peer != self.config.id {
                self.feed(now, *peer, progress, out);
            }
        }
        self.progress = progress;
        self.is_commit_urgent = false;
        self.loads.loaded.clear();
    }

    fn feed(&mut self, now: Time, peer: ReplicaId, progress: &mut Progress, out: &mut Outbox<Effect>) {
        let is_notice = self.config.commit_notices || self.is_commit_urgent;
        let mut even_if_empty = core::mem::take(&mut progress.is_due);
        even_if_empty |= is_notice && progress.can_learn(self.commit);
        if progress.state() == ProgressState::Snapshot {
            self.remind_of_snapshot(now, peer, progress);
        }
        while self.send_append(now, peer, progress, even_if_empty, out) {
            even_if_empty = false;
        }
    }

    fn send_append(
        &mut self,
        now: Time,
        peer: ReplicaId,
        progress: &mut Progress,
        even_if_empty: bool,
        out: &mut Outbox<Effect>,
    ) -> bool {
        if progress.is_paused() {
            return false;
        }
        let prev_index = progress.next().prev();
        let Some(prev_term) = self.log.term(prev_index) else {
            self.send_snapshot(now, peer, progress);
            return false;
        };
        let is_full = progress.state() == ProgressState::Replicate && progress.inflights().is_full();
        let entries = if is_full || progress.next() > self.log.last_index() {
            Vec::new()
        } else if let Some(entries) = self.entries_from(progress.next(), out) {
            entries
        } else {
            return false;
        };
        if entries.is_empty() && !even_if_empty {
            return false;
        }
        progress.sent(entries.len(), entries.iter().map(Entry::weight).sum(), self.commit);
        let commit = self.commit;
        self.send(peer, Body::Append { prev_index, prev_term, commit, entries, sent: now });
        true
    }

    /// Entries from `first` on for one append, from memory or from what was loaded; otherwise they are asked for.
    fn entries_from(&mut self, first: Index, out: &mut Outbox<Effect>) -> Option<Vec<Entry>> {
        let bytes_max = self.config.append_bytes_max;
        if first >= self.log.cached_from() {
            return Some(self.log.slice(first, self.log.last_index(), bytes_max));
        }
        let loaded = self.loads.slice(first, bytes_max);
        if !loaded.is_empty() {
            return Some(loaded);
        }
        if self.loads.asked.is_none() {
            let through = self.log.cached_from().prev();
            self.loads.asked = Some((first, through));
            out.push(Effect::LoadEntries { first, through, bytes_max: bytes_max.saturating_mul(4) });
        }
        None
    }

    pub(crate) fn on_entries_loaded(&mut self, first: Index, entries: Vec<Entry>) {
        let Some((_, through)) = self.loads.asked.take_if(|(asked, _)| *asked == first) else { return };
        let fits = |(place, entry): (usize, &Entry)| {
            entry.index.0 == first.0 + place as u64 && self.log.term(entry.index) == Some(entry.term)
        };
        if !entries.is_empty() && entries.iter().enumerate().all(fits) {
            self.loads.loaded = entries;
            return;
        }
        base::mark!("raft: entries that only a snapshot can replace");
        self.log.compact(through.min(self.snapshots.index()).next());
        for progress in self.progress.values_mut().filter(|progress| progress.next() <= through) {
            if self.log.term(progress.next().prev()).is_some() {
                progress.pause();
            }
        }
    }

    /// As leader: says that it is there, on a grid that all groups of a node share.
    pub(crate) fn beat(&mut self, now: Time) {
        if self.is_leader() && now >= self.next_beat {
            self.next_beat = self.beat_after(now);
            self.send_heartbeats(now);
            self.remind_successor();
        }
    }

    pub(crate) fn beat_after(&self, now: Time) -> Time {
        let interval = u64::try_from(self.config.heartbeat_interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Time::from_nanos((now.as_nanos() / interval).saturating_add(1).saturating_mul(interval))
    }

    pub(crate) fn send_heartbeats(&mut self, now: Time) {
        let (own, round, committed) = (self.config.id, self.reads.round(), self.commit);
        let mut progress = core::mem::take(&mut self.progress);
        for (peer, progress) in progress.iter_mut().filter(|(peer, _)| **peer != own) {
            let commit = progress.matched().min(committed);
            progress.told(commit);
            self.send(*peer, Body::Heartbeat { commit, sent: now, round });
        }
        self.progress = progress;
    }

    // Membership.

    pub(crate) fn follow_members(&mut self, now: Time, next: Index) {
        let window = self.window();
        progress::follow_members(&mut self.progress, &self.membership, next, window, now);
    }

    /// The members have changed.
    pub(crate) fn members_changed(&mut self, now: Time) {
        if !self.is_leader() {
            return;
        }
        if !self.membership.is_voter(self.config.id) && self.config.step_down_on_removal {
            self.become_follower(now, self.term, None);
            return;
        }
        self.follow_members(now, self.log.last_index());
        if self.transferring_to().is_some_and(|to| !self.membership.is_voter(to)) {
            self.election.transfer = None;
        }
        self.count_own_log();
        self.advance_commit();
        self.renew_lease();
    }

    /// As leader: ends a joint configuration that asked for it, as soon as it is applied.
    pub(crate) fn leave_joint_if_due(&mut self) {
        let is_due = self.is_leader()
            && self.membership.is_joint()
            && self.membership.auto_leave
            && self.applied >= self.pending_change
            && self.election.transfer.is_none();
        if is_due {
            self.pending_change = self.append(Payload::Config(ConfigChange::default()));
        }
    }
}
