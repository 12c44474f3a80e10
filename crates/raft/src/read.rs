//! Linearizable reads without a log entry (Ongaro's dissertation, section 6.4): by the lease, or by a round of asking
//! whether this replica still leads. Both see the commit index, and neither does before an entry of the leader's own
//! term is committed, for until then it doesn't know what its predecessors have committed.

use crate::quorum::joint;
use crate::raft::{Effect, Raft, ReadRefusal};
use alloc::vec::Vec;
use base::{Index, Outbox, ReplicaId, Time};

/// Reads that wait.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// They wait for the next round, or for the leader's first commit.
    waiting: Vec<u64>,
    /// They wait for this round's answers, and must see this index.
    asking: Option<(Index, Vec<u64>)>,
    /// The number of the newest round; grows over all terms.
    round: u64,
    /// Reads that can't be served here.
    refused: Vec<u64>,
    /// Until when a lease lets reads be served.
    lease_until: Option<Time>,
}

impl Reads {
    pub(crate) fn lose_leadership(&mut self) {
        self.refused.append(&mut self.waiting);
        if let Some((_, mut tickets)) = self.asking.take() {
            self.refused.append(&mut tickets);
        }
        self.lease_until = None;
    }

    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    pub(crate) fn next_round(&mut self) {
        self.round += 1;
    }
}

impl Raft {
    /// Whether a read of the applied state is linearizable now without asking anybody: then it may be served once
    /// everything through the index is applied. `now` must be read from the clock for this very call, or no earlier than
    /// the request arrived.
    pub fn lease_read(&self, now: Time) -> Result<Index, ReadRefusal> {
        if !self.is_leader() {
            Err(ReadRefusal::NotLeader)
        } else if !self.has_committed_own_term() {
            Err(ReadRefusal::NotReady)
        } else if self.reads.lease_until.is_some_and(|until| now < until) {
            Ok(self.commit)
        } else {
            Err(ReadRefusal::NeedsRound)
        }
    }

    /// Asks for a read by a round of messages; answered by [`Effect::ReadReady`] or [`Effect::ReadRefused`]. Reads that
    /// are asked for while a round is under way share the next one.
    pub fn request_read(&mut self, ticket: u64) {
        let list = if self.is_leader() { &mut self.reads.waiting } else { &mut self.reads.refused };
        list.push(ticket);
    }

    /// Until when the lease lets reads be served; `None` without one.
    pub fn lease_until(&self) -> Option<Time> {
        self.reads.lease_until
    }

    fn has_committed_own_term(&self) -> bool {
        self.log.term(self.commit) == Some(self.term)
    }

    /// A majority promised, when it received what was sent at the lease's start, to vote for nobody else for an election
    /// timeout. It received it later than it was sent, so counting from the sending is on the safe side.
    pub(crate) fn renew_lease(&mut self) {
        let has_lease = self.is_leader()
            && self.config.lease_reads
            && self.election.transfer.is_none()
            && !self.election.is_lease_over;
        if !has_lease {
            self.reads.lease_until = None;
            return;
        }
        let own = self.config.id;
        let sent = |id: ReplicaId| {
            if id == own { Some(Time::MAX) } else { self.progress.get(&id)?.acked_sent() }
        };
        let from = joint::reached(&self.membership, sent).unwrap_or(Time::ZERO);
        self.reads.lease_until = (from > Time::ZERO).then(|| from + self.config.lease_length());
    }

    /// Starts a round for the waiting reads, if none is under way, and answers what needs no round.
    pub(crate) fn answer_reads(&mut self, now: Time, out: &mut Outbox<Effect>) {
        for ticket in self.reads.refused.drain(..) {
            out.push(Effect::ReadRefused { ticket });
        }
        if self.reads.waiting.is_empty() || self.reads.asking.is_some() || !self.has_committed_own_term() {
            return;
        }
        let tickets = core::mem::take(&mut self.reads.waiting);
        self.reads.asking = Some((self.commit, tickets));
        self.reads.round += 1;
        if self.lease_read(now).is_ok() {
            self.finish_round(out);
            return;
        }
        self.finish_round_if_answered(out);
        if self.reads.asking.is_some() {
            self.send_heartbeats(now);
        }
    }

    pub(crate) fn finish_round_if_answered(&mut self, out: &mut Outbox<Effect>) {
        let (own, round) = (self.config.id, self.reads.round);
        let answered = |id: ReplicaId| {
            if id == own { Some(round) } else { self.progress.get(&id).map(|progress| progress.acked_round) }
        };
        if self.reads.asking.is_some()
            && joint::reached(&self.membership, answered).is_none_or(|r| r >= round)
        {
            self.finish_round(out);
        }
    }

    fn finish_round(&mut self, out: &mut Outbox<Effect>) {
        if let Some((index, tickets)) = self.reads.asking.take() {
            for ticket in tickets {
                out.push(Effect::ReadReady { ticket, index });
            }
        }
    }
}
