//! What a rotten or torn end of the log obliges a replica to.
//!
//! The last batch on a disk may be unreadable. Torn by a crash, it was never acknowledged; rotten, it may have been, and
//! a majority may have rested on it. Nobody can tell which, so the replica is *doubtful* until the question is settled:
//!
//! - **Its vote, its own for itself included, is conditional** unless the candidate's log reaches what may have been
//!   lost: it counts only in an election in which every voter agrees (`VoteAnswer::GrantedIfAll`).
//! - Otherwise it takes part like any other; what it acknowledges from now on is on its disk.
//!
//! *Why that is safe.* Let an entry `e` have been committed with the help of this replica D, and its copy be lost here.
//! An election by plain grants alone has a majority of voters whose logs are whole, or for whom the candidate's log
//! reached at least what they may have lost; it meets e's majority in one of them, which has `e` or votes as if it had.
//! So the winner has `e` (Raft, section 5.4.3). In an election in which every voter agrees, the winner's log is at least
//! as up to date as every readable one; if any voter still has `e`, so does the winner. If none has, no rule could
//! bring it back: either it was never durable on a majority, or every good copy is gone.
//!
//! *When it is settled.* As soon as D's log is durably equal to a leader's through a place behind which nothing can have
//! been lost:
//! - the last entry that may have been lost, if it is known and the leader's term isn't older: a leader of the same term
//!   has sent that very entry, and one of a newer term has everything that was committed before its election;
//! - otherwise the end of the leader's log at a time after D's start: whatever D acknowledged in this leader's term lies
//!   before it. D asks for it with a number of its own (`Body::TailQuery`), so that an old answer can't pass for it.
//! - Winning an election settles it too: the winner has everything committed, as shown above.
//!
//! A leader of the same term may still believe that D has what it lost; the query tells it. A late acknowledgement from
//! before the loss then still counts for the commit of `e`, which is right: until it is settled D votes as if it had it.

use crate::config::{Config, DoubtfulTail};
use crate::message::{Body, VoteAnswer};
use crate::raft::{Effect, Raft};
use base::{Index, Outbox, ReplicaId, Rng, Term, Time};

/// The doubt, if there is one.
#[derive(Debug)]
pub(crate) struct Tail {
    doubt: Option<DoubtfulTail>,
    nonce: u64,
    /// Where this term's leader said that its log ended.
    leader_last: Option<Index>,
    /// How far the log is equal to this term's leader's.
    matched: Index,
    is_to_announce: bool,
}

impl Tail {
    pub(crate) fn new(doubt: Option<DoubtfulTail>, config: &Config, now: Time) -> Self {
        #[cfg(feature = "bugs")]
        let doubt = doubt.filter(|_| !config.bugs.doubtful_tail_ignored);
        let nonce = Rng::new(config.seed ^ now.as_nanos().rotate_left(32)).next_u64();
        Self { doubt, nonce, leader_last: None, matched: Index::ZERO, is_to_announce: false }
    }

    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubt.is_some()
    }

    /// What a yes to a candidate whose log ends at `last` amounts to.
    pub(crate) fn answer_to(&self, last: (Term, Index)) -> VoteAnswer {
        match self.doubt {
            None => VoteAnswer::Granted,
            Some(DoubtfulTail { last: Some(lost) }) if last >= lost => VoteAnswer::Granted,
            Some(_) => VoteAnswer::GrantedIfAll,
        }
    }

    /// What an earlier leader said, and how far the log was equal to its own, means nothing for the next.
    pub(crate) fn new_leader(&mut self) {
        self.leader_last = None;
        self.matched = Index::ZERO;
    }

    /// The log is equal to the leader's through `index`.
    pub(crate) fn matched(&mut self, index: Index) {
        self.matched = self.matched.max(index);
    }

    pub(crate) fn settle(&mut self) {
        self.is_to_announce |= self.doubt.take().is_some();
    }

    pub(crate) fn announce(&mut self, out: &mut Outbox<Effect>) {
        if core::mem::take(&mut self.is_to_announce) {
            out.push(Effect::TailSettled);
        }
    }
}

impl Raft {
    /// Asks the leader how far its log goes, until the doubt is settled.
    pub(crate) fn ask_about_tail(&mut self, leader: ReplicaId) {
        if self.tail.is_doubtful() {
            let (nonce, last_index) = (self.tail.nonce, self.log.last_index());
            self.send(leader, Body::TailQuery { nonce, last_index });
        }
    }

    pub(crate) fn on_tail_query(&mut self, from: ReplicaId, nonce: u64, last: Index) {
        if let Some(progress) = self.progress.get_mut(&from) {
            if last < progress.matched() {
                base::mark!("raft: a follower lost what it had acknowledged");
                progress.lost_beyond(last);
                progress.is_due = true;
            }
            let last_index = self.log.last_index();
            self.send(from, Body::TailAnswer { nonce, last_index });
        }
    }

    pub(crate) fn on_tail_answer(&mut self, nonce: u64, last: Index) {
        if self.tail.is_doubtful() && nonce == self.tail.nonce {
            self.tail.leader_last = self.tail.leader_last.or(Some(last));
            self.settle_tail();
        }
    }

    /// Settles the doubt if the log has durably reached far enough.
    pub(crate) fn settle_tail(&mut self) {
        let Some(doubt) = self.tail.doubt else { return };
        let known = doubt.last.filter(|(term, _)| *term <= self.term).map(|(_, index)| index);
        let reached = self.tail.matched.min(self.disk.durable());
        if [known, self.tail.leader_last].into_iter().flatten().any(|target| reached >= target) {
            self.tail.settle();
        }
    }
}
