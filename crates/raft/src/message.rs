//! What replicas say to each other, and its bytes.

use alloc::vec::Vec;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{Entry, Index, Membership, ReplicaId, Term, Time};
use bytes::Bytes;

/// One message from one replica of a group to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub from: ReplicaId,
    /// Whom it is for; any other replica drops it.
    pub to: ReplicaId,
    /// The sender's term; in a pre-vote and its grant the term that the candidate would go to.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says. Every `sent` is a reading of the leader's own clock: a follower only echoes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Would you vote for me? Changes nothing at the receiver.
    PreVote {
        /// Where the candidate's log ends.
        last_index: Index,
        /// The term of its last entry.
        last_term: Term,
    },
    /// The answer.
    PreVoteReply {
        /// Whether it would.
        answer: VoteAnswer,
    },
    /// Vote for me.
    Vote {
        /// Where the candidate's log ends.
        last_index: Index,
        /// The term of its last entry.
        last_term: Term,
        /// The leader itself asked for this election and has ended its lease, so that promises to it don't bind.
        transfer: bool,
    },
    /// The answer.
    VoteReply {
        /// Whether the vote was given.
        answer: VoteAnswer,
    },
    /// These entries follow that one.
    Append {
        /// The place before the first of `entries`.
        prev_index: Index,
        /// The term there.
        prev_term: Term,
        /// How far the leader knows the log to be committed.
        commit: Index,
        /// What follows, possibly nothing.
        entries: Vec<Entry>,
        /// When it was sent.
        sent: Time,
    },
    /// The answer.
    AppendReply {
        /// What became of it.
        result: AppendResult,
        /// The append's own `sent`; zero if there was none.
        sent: Time,
    },
    /// I am here.
    Heartbeat {
        /// How far the log is committed, as far as the follower is known to have it.
        commit: Index,
        /// When it was sent.
        sent: Time,
        /// The newest round of asking on behalf of reads.
        round: u64,
    },
    /// The answer.
    HeartbeatReply {
        /// The heartbeat's own `sent`.
        sent: Time,
        /// The heartbeat's own `round`.
        round: u64,
    },
    /// The log no longer has what you need: fetch this state instead.
    Snapshot {
        /// Through which entry the state reaches.
        index: Index,
        /// The term of that entry.
        term: Term,
        /// The members as of that entry.
        membership: Membership,
        /// What is needed to fetch it, opaque to Raft.
        manifest: Bytes,
        /// When it was sent.
        sent: Time,
    },
    /// What became of it.
    SnapshotReply {
        /// Which snapshot.
        index: Index,
        /// Whether the follower has it now, or has given it up.
        installed: bool,
    },
    /// Campaign at once: the leader makes way for you.
    TimeoutNow,
    /// The end of my log could not be read; how far does yours reach?
    TailQuery {
        /// Tells this start of the follower from earlier ones.
        nonce: u64,
        /// The last entry that it still has.
        last_index: Index,
    },
    /// The answer.
    TailAnswer {
        /// From the query.
        nonce: u64,
        /// Where the leader's log ended when it heard the query.
        last_index: Index,
    },
}

/// The answer to a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteAnswer {
    /// No.
    Refused,
    /// Yes.
    Granted,
    /// Yes, if every voter says yes: the end of this voter's log is unreadable, so that alone it can't vouch for what
    /// it acknowledged.
    GrantedIfAll,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendResult {
    /// Everything through this place is on the follower's disk and equal to the leader's.
    Matched(Index),
    /// The follower has no entry of that term before them.
    Rejected {
        /// The append's `prev_index`.
        rejected: Index,
        /// Where the two logs may agree at best.
        hint_index: Index,
        /// The follower's term there.
        hint_term: Term,
    },
}

impl Body {
    const fn tag(&self) -> u8 {
        match self {
            Body::PreVote { .. } => 1,
            Body::PreVoteReply { .. } => 2,
            Body::Vote { .. } => 3,
            Body::VoteReply { .. } => 4,
            Body::Append { .. } => 5,
            Body::AppendReply { .. } => 6,
            Body::Heartbeat { .. } => 7,
            Body::HeartbeatReply { .. } => 8,
            Body::Snapshot { .. } => 9,
            Body::SnapshotReply { .. } => 10,
            Body::TimeoutNow => 11,
            Body::TailQuery { .. } => 12,
            Body::TailAnswer { .. } => 13,
        }
    }
}

impl Encode for Message {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.from.encode(to);
        self.to.encode(to);
        to.u64(self.term.0);
        self.body.encode(to);
    }
}

impl Decode for Message {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            from: ReplicaId::decode(from)?,
            to: ReplicaId::decode(from)?,
            term: Term(from.u64()?),
            body: Body::decode(from)?,
        })
    }
}

impl Encode for Body {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(self.tag());
        match self {
            Body::PreVote { last_index, last_term } => {
                to.u64(last_index.0);
                to.u64(last_term.0);
            }
            Body::Vote { last_index, last_term, transfer } => {
                to.u64(last_index.0);
                to.u64(last_term.0);
                to.bool(*transfer);
            }
            Body::PreVoteReply { answer } | Body::VoteReply { answer } => answer.encode(to),
            Body::Append { prev_index, prev_term, commit, entries, sent } => {
                to.u64(prev_index.0);
                to.u64(prev_term.0);
                to.u64(commit.0);
                to.list(entries.iter());
                to.u64(sent.as_nanos());
            }
            Body::AppendReply { result, sent } => {
                result.encode(to);
                to.u64(sent.as_nanos());
            }
            Body::Heartbeat { commit, sent, round } => {
                to.u64(commit.0);
                to.u64(sent.as_nanos());
                to.u64(*round);
            }
            Body::HeartbeatReply { sent, round } => {
                to.u64(sent.as_nanos());
                to.u64(*round);
            }
            Body::Snapshot { index, term, membership, manifest, sent } => {
                to.u64(index.0);
                to.u64(term.0);
                membership.encode(to);
                to.bytes(manifest);
                to.u64(sent.as_nanos());
            }
            Body::SnapshotReply { index, installed } => {
                to.u64(index.0);
                to.bool(*installed);
            }
            Body::TimeoutNow => {}
            Body::TailQuery { nonce, last_index } | Body::TailAnswer { nonce, last_index } => {
                to.u64(*nonce);
                to.u64(last_index.0);
            }
        }
    }
}

impl Decode for Body {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Body::PreVote { last_index: index(from)?, last_term: term(from)? },
            2 => Body::PreVoteReply { answer: VoteAnswer::decode(from)? },
            3 => Body::Vote { last_index: index(from)?, last_term: term(from)?, transfer: from.bool()? },
            4 => Body::VoteReply { answer: VoteAnswer::decode(from)? },
            5 => Body::Append {
                prev_index: index(from)?,
                prev_term: term(from)?,
                commit: index(from)?,
                entries: from.list()?,
                sent: time(from)?,
            },
            6 => Body::AppendReply { result: AppendResult::decode(from)?, sent: time(from)? },
            7 => Body::Heartbeat { commit: index(from)?, sent: time(from)?, round: from.u64()? },
            8 => Body::HeartbeatReply { sent: time(from)?, round: from.u64()? },
            9 => Body::Snapshot {
                index: index(from)?,
                term: term(from)?,
                membership: Membership::decode(from)?,
                manifest: from.bytes()?,
                sent: time(from)?,
            },
            10 => Body::SnapshotReply { index: index(from)?, installed: from.bool()? },
            11 => Body::TimeoutNow,
            12 => Body::TailQuery { nonce: from.u64()?, last_index: index(from)? },
            13 => Body::TailAnswer { nonce: from.u64()?, last_index: index(from)? },
            _ => return Err(DecodeError::Invalid("a Raft message")),
        })
    }
}

impl Encode for VoteAnswer {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(match self {
            VoteAnswer::Refused => 0,
            VoteAnswer::Granted => 1,
            VoteAnswer::GrantedIfAll => 2,
        });
    }
}

impl Decode for VoteAnswer {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        match from.u8()? {
            0 => Ok(VoteAnswer::Refused),
            1 => Ok(VoteAnswer::Granted),
            2 => Ok(VoteAnswer::GrantedIfAll),
            _ => Err(DecodeError::Invalid("an answer to a candidate")),
        }
    }
}

impl Encode for AppendResult {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            AppendResult::Matched(matched) => {
                to.u8(0);
                to.u64(matched.0);
            }
            AppendResult::Rejected { rejected, hint_index, hint_term } => {
                to.u8(1);
                to.u64(rejected.0);
                to.u64(hint_index.0);
                to.u64(hint_term.0);
            }
        }
    }
}

impl Decode for AppendResult {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        match from.u8()? {
            0 => Ok(AppendResult::Matched(index(from)?)),
            1 => Ok(AppendResult::Rejected {
                rejected: index(from)?,
                hint_index: index(from)?,
                hint_term: term(from)?,
            }),
            _ => Err(DecodeError::Invalid("an answer to an append")),
        }
    }
}

fn index(from: &mut Decoder) -> Result<Index, DecodeError> {
    from.u64().map(Index)
}

fn term(from: &mut Decoder) -> Result<Term, DecodeError> {
    from.u64().map(Term)
}

fn time(from: &mut Decoder) -> Result<Time, DecodeError> {
    from.u64().map(Time::from_nanos)
}

/// No index and no term ever reaches this; what claims to is not from a replica of ours.
const SANE_MAX: u64 = 1 << 60;

impl Message {
    /// Whether its numbers can be counted on with, and its entries follow each other. What a peer says may be wrong in
    /// other ways; those are met where it matters.
    pub(crate) fn is_sane(&self) -> bool {
        let place = |index: Index, term: Term| index.0 < SANE_MAX && term.0 < SANE_MAX;
        self.term.0 < SANE_MAX
            && match &self.body {
                Body::PreVote { last_index, last_term } | Body::Vote { last_index, last_term, .. } => {
                    place(*last_index, *last_term)
                }
                Body::Append { prev_index, prev_term, entries, .. } => {
                    place(*prev_index, *prev_term)
                        && follow_each_other(*prev_index, *prev_term, self.term, entries)
                }
                Body::AppendReply {
                    result: AppendResult::Rejected { rejected, hint_index, hint_term },
                    ..
                } => place(*rejected, Term(0)) && place(*hint_index, *hint_term),
                Body::Snapshot { index, term, membership, .. } => {
                    place(*index, *term) && *term <= self.term && crate::membership::is_sane(membership)
                }
                _ => true,
            }
    }
}

fn follow_each_other(prev_index: Index, prev_term: Term, newest: Term, entries: &[Entry]) -> bool {
    let (mut index, mut term) = (prev_index, prev_term);
    prev_term <= newest
        && entries.iter().all(|entry| {
            let follows = entry.index == index.next() && entry.term >= term && entry.term <= newest;
            (index, term) = (entry.index, entry.term);
            follows
        })
}

#[cfg(test)]
mod tests;
