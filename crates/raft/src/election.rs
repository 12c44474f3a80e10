//! Who leads: timeouts, pre-votes, votes, leader transfer, and stepping down (Raft, section 5.2 and 5.4; Ongaro's
//! dissertation, 3.10 and 9.6).
//!
//! A follower that hears its leader *promises* it to vote for nobody else for one election timeout by its own clock.
//! Leases rest on that promise, so nothing here may shorten it: not a hint, not a restart, not a newer term heard by the
//! way. Only the leader itself can release its followers, by a transfer, and ends its lease first.

use crate::config::Config;
use crate::membership;
use crate::message::{Body, VoteAnswer};
use crate::quorum::{VoteResult, joint};
use crate::raft::{Raft, Role};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use base::{ConfigChange, Duration, Entry, Index, Membership, Payload, ReplicaId, Rng, Term, Time};

fn change_of(entry: &Entry) -> Option<&ConfigChange> {
    if let Payload::Config(change) = &entry.payload { Some(change) } else { None }
}

/// Timers, promises and votes.
#[derive(Debug)]
pub(crate) struct Election {
    rng: Rng,
    /// Since when the follower's or candidate's patience is counted.
    timer_from: Time,
    /// How long it lasts this time.
    patience: Duration,
    /// When the leader was heard last.
    heard_at: Option<Time>,
    /// Until when a promise may bind that was given before the last start.
    quiet_until: Time,
    /// What the others answered to this candidate, and itself.
    votes: BTreeMap<ReplicaId, VoteAnswer>,
    /// Whether the leader asked for this election.
    by_transfer: bool,
    pub(crate) transfer: Option<Transfer>,
    /// The lease of this term was given up for good.
    pub(crate) is_lease_over: bool,
}

/// A leader's handing over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) to: ReplicaId,
    /// When the leader goes on by itself.
    until: Time,
    /// The successor was told to campaign, since the last beat.
    is_told: bool,
}

impl Election {
    pub(crate) fn new(config: &Config, now: Time) -> Self {
        let mut election = Self {
            rng: Rng::new(config.seed),
            timer_from: now,
            patience: config.election_timeout,
            heard_at: None,
            quiet_until: Time::ZERO,
            votes: BTreeMap::new(),
            by_transfer: false,
            transfer: None,
            is_lease_over: false,
        };
        election.draw_patience(config);
        election
    }

    fn draw_patience(&mut self, config: &Config) {
        let least = u64::try_from(config.election_timeout.as_nanos()).unwrap_or(u64::MAX / 2).max(1);
        let more = if config.election_jitter { self.rng.below(least) } else { 0 };
        self.patience = Duration::from_nanos(least.saturating_add(more));
    }

    fn expires(&self) -> Time {
        (self.timer_from + self.patience).max(self.quiet_until)
    }
}

impl Raft {
    /// A voter that starts may have promised something before it stopped.
    pub(crate) fn start_quietly(&mut self, now: Time) {
        #[cfg(feature = "bugs")]
        if self.config.bugs.restart_forgets_promise {
            return;
        }
        if self.config.start_quietly && !self.was_always_sole_voter() {
            self.election.quiet_until = now + self.config.election_timeout;
        }
    }

    /// Whether no configuration that this log knows of, applied or not, lets anybody else vote.
    fn was_always_sole_voter(&self) -> bool {
        let is_sole =
            |members: &Membership| !members.is_joint() && members.voters.iter().eq([&self.config.id]);
        let mut members = self.membership.clone();
        is_sole(&members)
            && self.log.cached().filter_map(|entry| change_of(entry)).all(|change| {
                if let Ok(changed) = membership::changed(&members, change) {
                    members = changed;
                }
                is_sole(&members)
            })
    }

    /// Whether nobody else has a vote. Then nobody was promised anything that could be broken.
    fn is_sole_voter(&self) -> bool {
        !self.membership.is_joint() && self.membership.voters.iter().eq([&self.config.id])
    }

    /// Whether this replica may vote for nobody but its leader.
    pub(crate) fn is_promised(&self, now: Time) -> bool {
        if now < self.election.quiet_until {
            return true;
        }
        if self.is_leader() {
            return self.config.check_quorum;
        }
        let binds = self.config.lease_reads || (self.config.check_quorum && self.leader.is_some());
        binds && self.election.heard_at.is_some_and(|heard| now.since(heard) < self.config.election_timeout)
    }

    /// A message of this term from whom only a leader could send; whether it is the leader.
    pub(crate) fn hear_leader(&mut self, now: Time, from: ReplicaId) -> bool {
        if self.is_leader() || self.leader.is_some_and(|leader| leader != from) {
            base::mark!("raft: a second leader in one term");
            return false;
        }
        if self.role != Role::Follower || self.leader.is_none() {
            self.become_follower(now, self.term, Some(from));
        }
        self.election.timer_from = now;
        self.election.heard_at = Some(now);
        true
    }

    /// Follows in `term`.
    pub(crate) fn become_follower(&mut self, now: Time, term: Term, leader: Option<ReplicaId>) {
        self.enter(now, term, Role::Follower, leader);
    }

    fn enter(&mut self, now: Time, term: Term, role: Role, leader: Option<ReplicaId>) {
        if term > self.term {
            self.term = term;
            self.vote = None;
            self.disk.is_hard_dirty = true;
        }
        // A leader that becomes a follower keeps no promise to itself: its lease ends here.
        self.role = role;
        self.leader = leader;
        self.election.votes.clear();
        self.election.by_transfer = false;
        self.election.transfer = None;
        self.election.is_lease_over = false;
        self.election.timer_from = now;
        self.election.draw_patience(&self.config);
        self.progress.clear();
        self.uncommitted_bytes = 0;
        self.next_beat = Time::MAX;
        self.is_commit_urgent = false;
        self.reads.lose_leadership();
        self.loads.clear();
        self.tail.new_leader();
    }

    /// Campaigns now, by pre-vote first.
    pub fn campaign(&mut self, now: Time) {
        self.start_campaign(now, false);
    }

    /// A hint that the leader is gone: campaigns as early as this replica's promise to the leader allows.
    pub fn hint_leader_lost(&mut self, now: Time) {
        if self.role == Role::Follower && self.leader.is_some() {
            // From here on nothing is drawn, but a promise has its full length.
            self.election.timer_from = self.election.heard_at.unwrap_or(now);
            self.election.patience = self.config.election_timeout;
        }
    }

    fn start_campaign(&mut self, now: Time, by_transfer: bool) {
        let is_bound = self.config.lease_reads && self.is_promised(now) && !by_transfer;
        if self.is_leader() || is_bound || !self.may_campaign(now) {
            return;
        }
        if self.config.pre_vote && !by_transfer && !self.is_sole_voter() {
            self.become_pre_candidate(now);
        } else {
            self.become_candidate(now, by_transfer);
        }
    }

    /// Whether this replica could lead: it has a vote, its disk works, and it knows who votes.
    fn may_campaign(&self, now: Time) -> bool {
        self.membership.is_voter(self.config.id)
            && !self.snapshots.is_restoring()
            && !self.disk.hangs(now, self.config.disk_patience)
            && self.changes.is_empty()
            && !self.log.has_config(self.emitted.next(), self.commit)
    }

    fn become_pre_candidate(&mut self, now: Time) {
        self.enter(now, self.term, Role::PreCandidate, None);
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for peer in self.other_voters() {
            let mut message = self.message(peer, Body::PreVote { last_index, last_term });
            message.term = self.term.next();
            self.outgoing.push(message);
        }
        let answer = self.tail.answer_to((last_term, last_index));
        self.count_vote(now, self.config.id, answer);
    }

    /// Requests leave only when the term is durable. Were they sent before, this replica could crash, come back with
    /// neither the term nor its log's unwritten end, campaign in the same term again, and count a vote that was given
    /// to the longer log.
    fn become_candidate(&mut self, now: Time, by_transfer: bool) {
        self.enter(now, self.term.next(), Role::Candidate, None);
        self.vote = Some(self.config.id);
        self.election.by_transfer = by_transfer;
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for peer in self.other_voters() {
            self.send_when_durable(peer, Body::Vote { last_index, last_term, transfer: by_transfer });
        }
    }

    fn other_voters(&self) -> Vec<ReplicaId> {
        let own = self.config.id;
        self.membership.voters.union(&self.membership.outgoing).copied().filter(|id| *id != own).collect()
    }

    /// A candidate's own vote counts when it is durable, like any other.
    pub(crate) fn count_own_vote(&mut self, now: Time) {
        let own = self.config.id;
        if self.role == Role::Candidate
            && self.disk.is_hard_durable()
            && !self.election.votes.contains_key(&own)
        {
            let answer = self.tail.answer_to((self.log.last_term(), self.log.last_index()));
            self.count_vote(now, own, answer);
        }
    }

    pub(crate) fn on_pre_vote(&mut self, now: Time, from: ReplicaId, term: Term, last: (Term, Index)) {
        if now < self.election.quiet_until {
            return;
        }
        let is_free = self.vote == Some(from) || (self.vote.is_none() && self.leader.is_none());
        if (is_free || term > self.term) && self.is_up_to_date(last) {
            let answer = self.tail.answer_to(last);
            let mut message = self.message(from, Body::PreVoteReply { answer });
            message.term = term;
            self.outgoing.push(message);
        } else {
            self.send(from, Body::PreVoteReply { answer: VoteAnswer::Refused });
        }
    }

    pub(crate) fn on_vote(&mut self, now: Time, from: ReplicaId, last: (Term, Index), transfer: bool) {
        if now < self.election.quiet_until && !transfer {
            base::mark!("raft: a starting voter keeps quiet");
            return;
        }
        let is_free = self.vote == Some(from) || (self.vote.is_none() && self.leader.is_none());
        if is_free && self.is_up_to_date(last) {
            if self.vote.is_none() {
                self.vote = Some(from);
                self.disk.is_hard_dirty = true;
            }
            self.election.timer_from = now;
            let answer = self.tail.answer_to(last);
            self.send_when_durable(from, Body::VoteReply { answer });
        } else {
            self.send(from, Body::VoteReply { answer: VoteAnswer::Refused });
        }
    }

    fn is_up_to_date(&self, last: (Term, Index)) -> bool {
        last >= (self.log.last_term(), self.log.last_index())
    }

    /// `asked` is the role in which this replica asked for the vote.
    pub(crate) fn on_vote_reply(
        &mut self,
        now: Time,
        asked: Role,
        from: ReplicaId,
        term: Term,
        answer: VoteAnswer,
    ) {
        let asked_term = if asked == Role::PreCandidate && answer != VoteAnswer::Refused {
            self.term.next()
        } else {
            self.term
        };
        if self.role == asked && term == asked_term {
            self.count_vote(now, from, answer);
        }
    }

    fn count_vote(&mut self, now: Time, from: ReplicaId, answer: VoteAnswer) {
        self.election.votes.entry(from).or_insert(answer);
        match self.tally() {
            VoteResult::Pending => {}
            VoteResult::Lost => self.become_follower(now, self.term, None),
            VoteResult::Won if self.role == Role::PreCandidate => {
                // The promise may be younger than the pre-vote: a leader was heard of meanwhile.
                if !(self.config.lease_reads && self.is_promised(now)) {
                    self.become_candidate(now, false);
                }
            }
            VoteResult::Won => self.become_leader(now),
        }
    }

    /// A plain grant counts for a majority; a conditional one only in an election in which every voter agrees.
    fn tally(&self) -> VoteResult {
        let votes = &self.election.votes;
        let result = joint::vote_result(&self.membership, |id| match votes.get(&id)? {
            VoteAnswer::Granted => Some(true),
            VoteAnswer::Refused => Some(false),
            VoteAnswer::GrantedIfAll => None,
        });
        let members = &self.membership;
        let agrees = |id: &ReplicaId| votes.get(id).is_some_and(|answer| *answer != VoteAnswer::Refused);
        if result == VoteResult::Pending && members.voters.union(&members.outgoing).all(agrees) {
            base::mark!("raft: all voters settle a doubtful tail");
            VoteResult::Won
        } else {
            result
        }
    }

    fn become_leader(&mut self, now: Time) {
        let own = self.config.id;
        self.enter(now, self.term, Role::Leader, Some(own));
        let last = self.log.last_index();
        self.pending_change = last;
        self.uncommitted_bytes = self.log.weight_between(self.commit, last);
        self.follow_members(now, last.next());
        self.tail.settle();
        self.reads.next_round();
        self.next_beat = self.beat_after(now);
        self.append(Payload::Empty);
        if let Some(progress) = self.progress.get_mut(&own) {
            progress.become_replicate();
        }
        self.count_own_log();
        self.renew_lease();
    }

    pub(crate) fn on_timeout_now(&mut self, now: Time, from: ReplicaId) {
        if self.leader == Some(from) && self.role == Role::Follower {
            self.start_campaign(now, true);
        }
    }

    /// Hands leadership to another voter, if it can be; the lease ends at once. If nothing comes of it within an
    /// election timeout, this replica leads on.
    pub fn transfer(&mut self, now: Time, to: ReplicaId) -> bool {
        if !self.is_leader() || to == self.config.id || !self.membership.is_voter(to) {
            return false;
        }
        if self.election.transfer.is_some_and(|transfer| transfer.to == to) {
            return true;
        }
        let until = now + self.config.election_timeout;
        self.election.transfer = Some(Transfer { to, until, is_told: false });
        self.renew_lease();
        if let Some(progress) = self.progress.get_mut(&to) {
            progress.is_due = true;
        }
        self.make_way_if_caught_up();
        true
    }

    /// Tells the successor to campaign, when it has everything. Its voters are then released from their promises, and
    /// nobody knows for how long such a message may be under way: so there is no lease any more in this term.
    pub(crate) fn make_way_if_caught_up(&mut self) {
        let Some(transfer) = &mut self.election.transfer else { return };
        let to = transfer.to;
        let matched = self.progress.get(&to).map(crate::Progress::matched);
        if matched == Some(self.log.last_index()) && !core::mem::replace(&mut transfer.is_told, true) {
            self.election.is_lease_over = true;
            self.renew_lease();
            self.send(to, Body::TimeoutNow);
        }
    }

    /// Tells the successor again with the next beat: it may not have heard, or not been ready (a change of membership
    /// that it has yet to apply, say).
    pub(crate) fn remind_successor(&mut self) {
        if let Some(transfer) = &mut self.election.transfer {
            transfer.is_told = false;
            self.make_way_if_caught_up();
        }
    }

    /// Does what is due by now.
    pub(crate) fn check_timers(&mut self, now: Time) {
        if self.is_leader() {
            self.check_leadership(now);
        } else if self.is_sole_voter() && now >= self.election.quiet_until {
            if now >= self.election.expires() {
                self.election.timer_from = now;
            }
            if self.role == Role::Follower && self.config.elects_itself {
                self.start_campaign(now, false);
            }
        } else if now >= self.election.expires() {
            self.election.timer_from = now;
            self.start_campaign(now, false);
        }
    }

    fn check_leadership(&mut self, now: Time) {
        if self.election.transfer.is_some_and(|transfer| now >= transfer.until) {
            self.election.transfer = None;
            self.renew_lease();
        }
        if self.config.check_quorum && !self.hears_quorum(now) {
            base::mark!("raft: a leader that hears no majority steps down");
            self.become_follower(now, self.term, None);
            return;
        }
        if self.disk.hangs(now, self.config.disk_patience) && !self.is_sole_voter() {
            self.flee_disk(now);
        }
    }

    /// Whether a majority was heard within an election timeout.
    fn hears_quorum(&self, now: Time) -> bool {
        let own = self.config.id;
        let heard =
            |id| if id == own { Some(now) } else { self.progress.get(&id).map(crate::Progress::heard_at) };
        joint::reached(&self.membership, heard).is_none_or(|at| now.since(at) < self.config.election_timeout)
    }

    /// This leader's disk hangs: whoever has everything is better off leading. With nobody to hand over to, it steps
    /// down after twice the time, so that an election can find somebody.
    fn flee_disk(&mut self, now: Time) {
        if self.election.transfer.is_none() {
            let last = self.log.last_index();
            let successor = self
                .other_voters()
                .into_iter()
                .find(|id| self.progress.get(id).is_some_and(|progress| progress.matched() == last));
            if let Some(to) = successor {
                base::mark!("raft: leadership flees a hung disk");
                self.transfer(now, to);
                return;
            }
        }
        if self.disk.hangs(now, self.config.disk_patience * 2) {
            base::mark!("raft: a leader with a hung disk steps down");
            self.become_follower(now, self.term, None);
        }
    }

    /// Forgets who leads, in the same term: the next candidate gets this replica's vote. Refused where a lease rests on
    /// its promise.
    pub fn forget_leader(&mut self) {
        if self.role == Role::Follower && !self.config.lease_reads {
            self.leader = None;
            self.election.heard_at = None;
        }
    }

    /// For tests that set timeouts: how long the current patience lasts.
    #[doc(hidden)]
    pub fn set_patience(&mut self, patience: Duration) {
        self.election.patience = patience;
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let deadline = if self.is_leader() {
            // What else a leader watches over, its disk and its majority, is looked at with every heartbeat.
            let transfer = self.election.transfer.map_or(Time::MAX, |transfer| transfer.until);
            self.next_beat.min(transfer)
        } else if self.membership.is_voter(self.config.id) {
            self.election.expires()
        } else {
            return None;
        };
        Some(deadline)
    }
}
