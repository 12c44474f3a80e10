//! The state machine: its state, and the dispatch of its inputs. What happens in each case is in the modules beside this one.
//!
//! Inputs change the state; what follows from it for the disk, the state machine and the peers is said once for many
//! inputs, in `Core::flush`. Only answers to a single message leave a step by themselves.

use crate::config::{Config, Recovered};
use crate::disk::Disk;
use crate::election::Election;
pub use crate::interface::{Effect, Input, ProposeError, ReadRefusal, Role};
use crate::log::Log;
use crate::membership;
use crate::message::{AppendResult, Body, Message, VoteAnswer};
use crate::progress::{Progress, Window};
use crate::read::Reads;
use crate::replication::Loads;
use crate::snapshot::Snapshots;
use crate::tail::Tail;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use base::{ConfigChange, Core, Entry, HardState, Index, Membership, Outbox, Payload, ReplicaId, Term, Time};
use bytes::Bytes;

/// One replica of one group.
#[derive(Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) term: Term,
    pub(crate) vote: Option<ReplicaId>,
    pub(crate) role: Role,
    pub(crate) leader: Option<ReplicaId>,
    pub(crate) election: Election,
    pub(crate) log: Log,
    pub(crate) disk: Disk,
    pub(crate) commit: Index,
    /// How far entries were handed to the state machine.
    pub(crate) emitted: Index,
    pub(crate) applied: Index,
    pub(crate) membership: Membership,
    /// The members from each place on, oldest first, since the snapshot.
    pub(crate) history: Vec<(Index, Membership)>,
    /// Changes of membership that the state machine was handed and has not passed yet.
    pub(crate) changes: VecDeque<(Index, ConfigChange)>,
    /// As leader: no further change of membership before this one is applied.
    pub(crate) pending_change: Index,
    /// As leader: what it knows of all members, itself among them.
    pub(crate) progress: BTreeMap<ReplicaId, Progress>,
    /// As leader: bytes proposed and not yet committed.
    pub(crate) uncommitted_bytes: usize,
    /// As leader: when the next heartbeat is due.
    pub(crate) next_beat: Time,
    /// As leader: a commit that followers should hear of without delay.
    pub(crate) is_commit_urgent: bool,
    pub(crate) reads: Reads,
    pub(crate) loads: Loads,
    pub(crate) snapshots: Snapshots,
    pub(crate) tail: Tail,
    /// What leaves with the end of this step.
    pub(crate) outgoing: Vec<Message>,
    announced: (Role, Term, Option<ReplicaId>),
}

impl Raft {
    /// Starts a replica with what it found on its disk.
    pub fn new(config: Config, recovered: Recovered, now: Time) -> Self {
        let Recovered { hard_state, membership, snapshot_index, snapshot_term, .. } = recovered;
        let log = recovered_log(recovered.entries, snapshot_index, snapshot_term);
        let commit = hard_state.commit.min(log.last_index()).max(snapshot_index);
        let snapshots =
            Snapshots::new(snapshot_index, snapshot_term, &membership, recovered.snapshot_manifest);
        let mut raft = Self {
            term: hard_state.term,
            vote: hard_state.vote,
            role: Role::Follower,
            leader: None,
            election: Election::new(&config, now),
            disk: Disk::new(log.last_index(), hard_state.commit),
            commit,
            emitted: snapshot_index,
            applied: snapshot_index,
            history: alloc::vec![(snapshot_index, membership.clone())],
            membership,
            changes: VecDeque::new(),
            pending_change: Index::ZERO,
            progress: BTreeMap::new(),
            uncommitted_bytes: 0,
            next_beat: Time::MAX,
            is_commit_urgent: false,
            reads: Reads::default(),
            loads: Loads::default(),
            snapshots,
            tail: Tail::new(recovered.doubtful_tail, &config, now),
            outgoing: Vec::new(),
            announced: (Role::Follower, hard_state.term, None),
            log,
            config,
        };
        if raft.log.last_index() > snapshot_index {
            // A log never has a term that its owner doesn't know.
            raft.term = raft.term.max(raft.log.last_term());
        }
        raft.start_quietly(now);
        raft
    }

    /// Takes a command into the log, if this is the leader; it goes out with the next flush.
    pub fn propose(&mut self, payload: Bytes) -> Result<Index, ProposeError> {
        self.may_propose()?;
        let room = self.config.uncommitted_bytes_max.saturating_sub(self.uncommitted_bytes);
        if self.uncommitted_bytes > 0 && payload.len() > room {
            return Err(ProposeError::TooMuchUncommitted);
        }
        Ok(self.append(Payload::Command(payload)))
    }

    /// Takes a change of membership into the log, if this is the leader and no other is under way.
    pub fn propose_config(&mut self, change: ConfigChange) -> Result<Index, ProposeError> {
        self.may_propose()?;
        if self.pending_change > self.applied {
            return Err(ProposeError::AlreadyChanging);
        }
        membership::changed(&self.membership, &change).map_err(ProposeError::Impossible)?;
        self.pending_change = self.append(Payload::Config(change));
        Ok(self.pending_change)
    }

    fn may_propose(&self) -> Result<(), ProposeError> {
        if !self.is_leader() {
            Err(ProposeError::NotLeader { leader: self.leader })
        } else if !self.membership.contains(self.config.id) {
            Err(ProposeError::NotLeader { leader: None })
        } else if self.election.transfer.is_some() {
            Err(ProposeError::Transferring)
        } else {
            Ok(())
        }
    }

    /// Who this is.
    pub fn id(&self) -> ReplicaId {
        self.config.id
    }

    /// What it is at the moment.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    /// Who leads, as far as it knows.
    pub fn leader(&self) -> Option<ReplicaId> {
        self.leader
    }

    /// Its term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// For whom it voted in its term.
    pub fn vote(&self) -> Option<ReplicaId> {
        self.vote
    }

    /// How far it knows the log to be committed.
    pub fn commit_index(&self) -> Index {
        self.commit
    }

    /// How far its state machine has applied.
    pub fn applied_index(&self) -> Index {
        self.applied
    }

    /// Where its log ends, durable or not.
    pub fn last_index(&self) -> Index {
        self.log.last_index()
    }

    /// How far its own log is durable.
    pub fn durable_index(&self) -> Index {
        self.disk.durable()
    }

    /// The oldest entry that its log still has, in memory or on disk.
    pub fn first_index(&self) -> Index {
        self.log.first_index()
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The members as of what is applied.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// What a leader knows of a member.
    pub fn progress_of(&self, peer: ReplicaId) -> Option<&Progress> {
        self.progress.get(&peer)
    }

    /// What a leader knows of all members, itself included.
    pub fn progress(&self) -> impl Iterator<Item = (ReplicaId, &Progress)> {
        self.progress.iter().map(|(id, progress)| (*id, progress))
    }

    /// Whether leadership is being handed over, and to whom.
    pub fn transferring_to(&self) -> Option<ReplicaId> {
        self.election.transfer.map(|transfer| transfer.to)
    }

    /// How many bytes of entries are in memory.
    pub fn log_bytes(&self) -> usize {
        self.log.bytes()
    }

    /// How many bytes of entries are proposed and not yet committed.
    pub fn uncommitted_bytes(&self) -> usize {
        self.uncommitted_bytes
    }

    /// Whether the end of the log was unreadable at the start and isn't settled yet.
    pub fn is_tail_doubtful(&self) -> bool {
        self.tail.is_doubtful()
    }

    pub(crate) fn window(&self) -> Window {
        Window { messages_max: self.config.inflight_messages_max, bytes_max: self.config.inflight_bytes_max }
    }

    pub(crate) fn message(&self, to: ReplicaId, body: Body) -> Message {
        Message { from: self.config.id, to, term: self.term, body }
    }

    /// Sends at once.
    pub(crate) fn send(&mut self, to: ReplicaId, body: Body) {
        let message = self.message(to, body);
        self.outgoing.push(message);
    }

    /// Sends when everything decided so far is durable.
    pub(crate) fn send_when_durable(&mut self, to: ReplicaId, body: Body) {
        let message = self.message(to, body);
        #[cfg(feature = "bugs")]
        if self.config.bugs.acknowledge_before_fsync {
            self.outgoing.push(message);
            return;
        }
        self.disk.hold(message);
    }

    fn on_message(&mut self, now: Time, message: Message, out: &mut Outbox<Effect>) {
        if !self.is_credible(&message) {
            base::mark!("raft: a message that can't be for us");
            return;
        }
        if message.term > self.term && !self.meet_newer_term(now, &message) {
            return;
        }
        if message.term < self.term {
            self.meet_older_term(&message);
            return;
        }
        self.dispatch(now, message, out);
    }

    /// Whether `message` may be looked at: it is for this replica, from another one that has no successor, and its
    /// numbers can be counted on with.
    fn is_credible(&self, message: &Message) -> bool {
        let Message { from, to, .. } = message;
        *to == self.config.id && *from != self.config.id && !self.is_superseded(*from) && message.is_sane()
    }

    /// Whether `replica` has a successor on its node: then whatever it says or said doesn't count.
    fn is_superseded(&self, replica: ReplicaId) -> bool {
        let members = &self.membership;
        let newest = ReplicaId { generation: u32::MAX, ..replica };
        [&members.voters, &members.outgoing, &members.learners]
            .iter()
            .any(|set| set.range(replica..=newest).next_back().is_some_and(|member| *member != replica))
    }

    /// Goes to a newer term if the message calls for it; whether the message is to be looked at.
    fn meet_newer_term(&mut self, now: Time, message: &Message) -> bool {
        match message.body {
            Body::PreVote { .. } if self.is_promised(now) => return false,
            Body::Vote { transfer: false, .. } if self.is_promised(now) => {
                base::mark!("raft: a promise to the leader keeps a vote back");
                return false;
            }
            // These speak of a term that nobody has begun yet.
            Body::PreVote { .. }
            | Body::PreVoteReply { answer: VoteAnswer::Granted | VoteAnswer::GrantedIfAll } => {}
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot { .. } => {
                self.become_follower(now, message.term, Some(message.from));
            }
            _ => self.become_follower(now, message.term, None),
        }
        true
    }

    /// Lets a sender whose term is over know, where it would otherwise never hear of it.
    fn meet_older_term(&mut self, message: &Message) {
        match message.body {
            // A leader that was cut off while others went on, or that a candidate overtook which nobody elected.
            Body::Append { sent, .. } | Body::Heartbeat { sent, .. } | Body::Snapshot { sent, .. }
                if self.config.check_quorum || self.config.pre_vote =>
            {
                self.send(message.from, Body::HeartbeatReply { sent, round: 0 });
            }
            Body::PreVote { .. } => {
                self.send(message.from, Body::PreVoteReply { answer: VoteAnswer::Refused });
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, now: Time, message: Message, out: &mut Outbox<Effect>) {
        let Message { from, term, body, .. } = message;
        match body {
            Body::PreVote { last_index, last_term } => {
                self.on_pre_vote(now, from, term, (last_term, last_index))
            }
            Body::Vote { last_index, last_term, transfer } => {
                self.on_vote(now, from, (last_term, last_index), transfer);
            }
            Body::PreVoteReply { answer } => self.on_vote_reply(now, Role::PreCandidate, from, term, answer),
            Body::VoteReply { answer } => self.on_vote_reply(now, Role::Candidate, from, term, answer),
            Body::Append { prev_index, prev_term, commit, entries, sent } => {
                if self.hear_leader(now, from) {
                    self.on_append(from, (prev_term, prev_index), commit, entries, sent);
                }
            }
            Body::Heartbeat { commit, sent, round } => {
                if self.hear_leader(now, from) {
                    self.on_heartbeat(from, commit, sent, round);
                }
            }
            Body::Snapshot { index, term, membership, manifest, .. } => {
                if self.hear_leader(now, from) {
                    self.on_snapshot(from, (term, index), membership, manifest, out);
                }
            }
            Body::AppendReply { result, sent } => {
                if self.hear_follower(now, from, sent) {
                    match result {
                        AppendResult::Matched(index) => self.on_matched(from, index),
                        AppendResult::Rejected { rejected, hint_index, hint_term } => {
                            self.on_rejected(from, rejected, hint_index, hint_term);
                        }
                    }
                }
            }
            Body::HeartbeatReply { sent, round } => {
                if self.hear_follower(now, from, sent) {
                    self.on_heartbeat_reply(from, round, out);
                }
            }
            Body::SnapshotReply { index, installed } => {
                if self.hear_follower(now, from, Time::ZERO) {
                    self.on_snapshot_reply(from, index, installed);
                }
            }
            Body::TimeoutNow => self.on_timeout_now(now, from),
            Body::TailQuery { nonce, last_index } => {
                if self.hear_follower(now, from, Time::ZERO) {
                    self.on_tail_query(from, nonce, last_index);
                }
            }
            Body::TailAnswer { nonce, last_index } => {
                if self.leader == Some(from) {
                    self.on_tail_answer(nonce, last_index);
                }
            }
        }
    }

    fn on_persisted(&mut self, now: Time, token: u64) {
        let (term, outgoing) = (self.term, &mut self.outgoing);
        let release = |message: Message| {
            // What was promised in an older term matters to nobody any more.
            if message.term == term {
                outgoing.push(message);
            } else {
                base::mark!("raft: a held message's term is over");
            }
        };
        if !self.disk.persisted(token, release) {
            return;
        }
        self.count_own_vote(now);
        self.count_own_log();
        self.settle_tail();
    }

    fn on_applied(&mut self, now: Time, index: Index) {
        self.applied = self.applied.max(index.min(self.emitted));
        while let Some((index, change)) = self.changes.pop_front() {
            if index > self.applied {
                self.changes.push_front((index, change));
                break;
            }
            self.apply_change(now, index, &change);
        }
    }

    fn apply_change(&mut self, now: Time, index: Index, change: &ConfigChange) {
        let Ok(members) = membership::changed(&self.membership, change) else {
            // Every replica has the same members here, so that all of them pass over it.
            base::mark!("raft: a change of members that can't be made");
            return;
        };
        self.history.push((index, members.clone()));
        self.membership = members;
        self.members_changed(now);
    }

    fn announce(&mut self, out: &mut Outbox<Effect>) {
        let current = (self.role, self.term, self.leader);
        if self.announced != current {
            self.announced = current;
            out.push(Effect::RoleChanged { role: self.role, term: self.term, leader: self.leader });
        }
    }

    /// Hands what is new in the log and in the hard state to the disk. A commit index alone isn't worth a write: it is
    /// a hint that shortens a restart.
    fn persist(&mut self, now: Time, out: &mut Outbox<Effect>) {
        let last = self.log.last_index();
        let has_entries = self.disk.log_from <= last;
        if has_entries || self.disk.is_hard_dirty {
            let entries = self.log.slice(self.disk.log_from, last, usize::MAX);
            let has_commit = self.disk.hard_commit != self.commit;
            let hard_state = (self.disk.is_hard_dirty || has_commit).then(|| self.hard_state());
            self.disk.hard_commit = self.commit;
            let token = self.disk.issue(last, now);
            out.push(Effect::Persist { token, hard_state, entries });
        }
        self.disk.bind(&mut self.outgoing);
    }

    fn hard_state(&self) -> HardState {
        #[cfg(feature = "bugs")]
        if self.config.bugs.forget_vote_on_restart {
            return HardState { term: self.term, vote: None, commit: self.commit };
        }
        HardState { term: self.term, vote: self.vote, commit: self.commit }
    }

    /// Hands what is committed to the state machine. It need not be durable here: it is on a majority.
    fn apply(&mut self, out: &mut Outbox<Effect>) {
        if self.emitted >= self.commit {
            return;
        }
        let entries = self.log.slice(self.emitted.next(), self.commit, usize::MAX);
        base::invariant!("what is not applied yet is in memory", {
            entries.len() as u64 == self.commit.0 - self.emitted.0
        });
        for entry in &entries {
            if let Payload::Config(change) = &entry.payload {
                self.changes.push_back((entry.index, change.clone()));
            }
        }
        self.emitted = self.commit;
        out.push(Effect::Apply { entries });
    }

    fn send_outgoing(&mut self, out: &mut Outbox<Effect>) {
        for message in self.outgoing.drain(..) {
            out.push(Effect::Send(message));
        }
    }
}

/// The log as far as it can be used: without gaps, and reaching at least to the snapshot.
fn recovered_log(entries: Vec<Entry>, snapshot_index: Index, snapshot_term: Term) -> Log {
    let mut log = Log::new(snapshot_index, snapshot_term);
    if let Some(first) = entries.first() {
        let reaches = entries.last().is_some_and(|last| last.index >= snapshot_index);
        if first.index <= snapshot_index && reaches {
            // The term before the first entry is unknown, so the first entry only tells its term.
            log = Log::new(first.index, first.term);
        }
    }
    let from = log.last_index();
    for entry in entries.into_iter().skip_while(|entry| entry.index <= from) {
        if entry.index != log.last_index().next() || entry.term < log.last_term() {
            break;
        }
        log.push(entry);
    }
    if log.last_index() < snapshot_index || log.term(snapshot_index) != Some(snapshot_term) {
        return Log::new(snapshot_index, snapshot_term);
    }
    log
}

impl Core for Raft {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Outbox<Effect>) {
        match input {
            Input::Message(message) => self.on_message(now, message, out),
            Input::Persisted { token } => self.on_persisted(now, token),
            Input::Applied { index } => self.on_applied(now, index),
            Input::EntriesLoaded { first, entries } => self.on_entries_loaded(first, entries),
            Input::SnapshotInstalled { index } => self.on_snapshot_installed(now, index),
            Input::SnapshotFailed { index } => self.on_snapshot_failed(index),
            Input::SnapshotSent { to, ok } => self.on_snapshot_sent(to, ok),
            Input::Unreachable { peer } => self.on_unreachable(peer),
        }
        self.send_outgoing(out);
    }

    fn flush(&mut self, now: Time, out: &mut Outbox<Effect>) {
        self.apply(out);
        self.check_timers(now);
        self.announce(out);
        self.leave_joint_if_due();
        self.persist(now, out);
        self.replicate(now, out);
        self.answer_reads(now, out);
        self.beat(now);
        self.tail.announce(out);
        self.send_outgoing(out);
    }

    fn deadline(&self) -> Option<Time> {
        self.next_deadline()
    }

    fn check(&self) {
        let id = self.config.id;
        self.log.check();
        self.disk.check(self.log.last_index());
        base::invariant!("the members have one role each", membership::is_sane(&self.membership));
        base::invariant!("only what is in the log is committed", self.commit <= self.log.last_index());
        base::invariant!(
            "only what is committed is applied",
            self.applied <= self.emitted && self.emitted <= self.commit
        );
        base::invariant!(
            "the log keeps what is not in the snapshot",
            self.log.first_index() <= self.snapshots.index().next()
        );
        base::invariant!("the term is at least that of the log", {
            self.log.last_index() == self.snapshots.index() || self.term >= self.log.last_term()
        });
        base::invariant!("a leader knows that it leads", self.is_leader() == (self.leader == Some(id)));
        base::invariant!("only a leader has followers", self.is_leader() || self.progress.is_empty());
        base::invariant!("only a leader has a lease", self.is_leader() || self.lease_until().is_none());
        base::invariant!("only a leader hands over", self.is_leader() || self.election.transfer.is_none());
        for (peer, progress) in &self.progress {
            base::invariant!("a leader follows its members", self.membership.contains(*peer), "{peer}");
            base::invariant!(
                "nobody has more than the leader",
                progress.matched() <= self.log.last_index(),
                "{peer}"
            );
            base::invariant!("what matches isn't sent again", progress.matched() < progress.next(), "{peer}");
        }
        let own = self.progress.get(&id).map_or(Index::ZERO, Progress::matched);
        base::invariant!("a leader counts its own log only when it is durable", own <= self.disk.durable());
    }
}
