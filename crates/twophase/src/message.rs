//! What gateways and participants say to each other. Messages may be lost, doubled, delayed and reordered. What comes from a peer
//! is an answer to be checked against what was asked, never an order.

use crate::ids::{Participants, ReadId, Timestamp, TxId, decode_session, encode_session};
use crate::ledger::{Finding, Reason};
use crate::locks::Locks;
use crate::operation::{Decision, Prepare};
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{Duration, GroupId, SessionId};
use bytes::Bytes;

/// Who asks, and is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A gateway: the node of this session.
    Gateway(SessionId),
    /// A shard: whoever leads it.
    Shard(GroupId),
}

/// A question or an order to a shard's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who wants the answer.
    pub from: Party,
    /// What is asked.
    pub body: RequestBody,
}

/// What is asked of a shard's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// Prepare it. Answered by [`ReplyBody::Status`] or [`ReplyBody::Refused`].
    Prepare(Prepare),
    /// Log that it is never prepared, if it isn't. Answered by [`ReplyBody::Status`] when that is applied.
    Prevent {
        /// The transaction.
        id: TxId,
        /// All its shards.
        participants: Participants,
        /// Comes back with the answer. Not 0: the answer must rest on an entry proposed after this request came.
        round: u64,
    },
    /// What is known of it, without logging anything. Answered by [`ReplyBody::Status`].
    Ask {
        /// The transaction.
        id: TxId,
    },
    /// What became of it. Answered by [`ReplyBody::Resolved`].
    Resolve {
        /// The transaction.
        id: TxId,
        /// All its shards.
        participants: Participants,
        /// What became of it.
        decision: Decision,
        /// Whether its gateway has all results.
        answered: bool,
    },
    /// Raise the floor this far, if it can be. Answered by [`ReplyBody::Floor`].
    AskFloor {
        /// How far.
        wanted: Timestamp,
    },
    /// Lock for a moment, without logging, and answer a query. Answered by [`ReplyBody::Served`] or [`ReplyBody::ReadRefused`].
    Read {
        /// The read.
        read: ReadId,
        /// What it reads.
        locks: Locks,
        /// The query, in the shard's language.
        query: Bytes,
    },
    /// The read's locks aren't needed any more. Not answered.
    Release {
        /// The read.
        read: ReadId,
    },
}

/// An answer of a shard's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The shard.
    pub from: GroupId,
    /// What it says.
    pub body: ReplyBody,
}

/// What a shard's leader answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    /// What is known of a transaction.
    Status {
        /// The transaction.
        id: TxId,
        /// The request's, if the answer rests on an entry that was proposed after it came; else 0.
        round: u64,
        /// What is known.
        finding: Finding,
    },
    /// It wasn't taken into the log. That is no abort: a second copy of the request may be on its way.
    Refused {
        /// The transaction.
        id: TxId,
        /// Why.
        refusal: Refusal,
    },
    /// The outcome is known here, or the transaction is forgotten.
    Resolved {
        /// The transaction.
        id: TxId,
    },
    /// The floor.
    Floor {
        /// How far it is.
        floor: Timestamp,
    },
    /// A query's answer.
    Served {
        /// The read.
        read: ReadId,
        /// For how long after it was answered what it read stays locked, by the leader's clock.
        hold: Duration,
        /// The answer.
        result: Bytes,
    },
    /// A read wasn't served.
    ReadRefused {
        /// The read.
        read: ReadId,
        /// Why.
        refusal: Refusal,
    },
}

/// Why a leader took something not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A younger one holds its locks: come back with a timestamp later than this.
    Older(Timestamp),
    /// It has waited for locks for too long.
    Waited,
    /// Too many wait for locks.
    Busy,
    /// Its timestamp is too far ahead of this node's clock.
    Ahead,
    /// This leader has no lease within which it could promise anything.
    NoLease,
}

impl Encode for Party {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Party::Gateway(session) => {
                to.u8(1);
                encode_session(*session, to);
            }
            Party::Shard(group) => {
                to.u8(2);
                to.u32(group.0);
            }
        }
    }
}

impl Decode for Party {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        match from.u8()? {
            1 => Ok(Party::Gateway(decode_session(from)?)),
            2 => Ok(Party::Shard(GroupId(from.u32()?))),
            _ => Err(DecodeError::Invalid("who asks")),
        }
    }
}

impl Encode for Request {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.from.encode(to);
        match &self.body {
            RequestBody::Prepare(prepare) => {
                to.u8(1);
                prepare.encode(to);
            }
            RequestBody::Prevent { id, participants, round } => {
                to.u8(2);
                id.encode(to);
                participants.encode(to);
                to.u64(*round);
            }
            RequestBody::Ask { id } => {
                to.u8(3);
                id.encode(to);
            }
            RequestBody::Resolve { id, participants, decision, answered } => {
                to.u8(4);
                id.encode(to);
                participants.encode(to);
                decision.encode(to);
                to.bool(*answered);
            }
            RequestBody::AskFloor { wanted } => {
                to.u8(5);
                to.u64(wanted.0);
            }
            RequestBody::Read { read, locks, query } => {
                to.u8(6);
                read.encode(to);
                locks.encode(to);
                to.bytes(query);
            }
            RequestBody::Release { read } => {
                to.u8(7);
                read.encode(to);
            }
        }
    }
}

impl Decode for Request {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let asker = Party::decode(from)?;
        let body = match from.u8()? {
            1 => RequestBody::Prepare(Prepare::decode(from)?),
            2 => RequestBody::Prevent {
                id: TxId::decode(from)?,
                participants: Participants::decode(from)?,
                round: from.u64()?,
            },
            3 => RequestBody::Ask { id: TxId::decode(from)? },
            4 => RequestBody::Resolve {
                id: TxId::decode(from)?,
                participants: Participants::decode(from)?,
                decision: Decision::decode(from)?,
                answered: from.bool()?,
            },
            5 => RequestBody::AskFloor { wanted: Timestamp(from.u64()?) },
            6 => RequestBody::Read {
                read: ReadId::decode(from)?,
                locks: Locks::decode(from)?,
                query: from.bytes()?,
            },
            7 => RequestBody::Release { read: ReadId::decode(from)? },
            _ => return Err(DecodeError::Invalid("a request about a transaction")),
        };
        Ok(Self { from: asker, body })
    }
}

impl Encode for Reply {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.from.0);
        match &self.body {
            ReplyBody::Status { id, round, finding } => {
                to.u8(1);
                id.encode(to);
                to.u64(*round);
                finding.encode(to);
            }
            ReplyBody::Refused { id, refusal } => {
                to.u8(2);
                id.encode(to);
                refusal.encode(to);
            }
            ReplyBody::Resolved { id } => {
                to.u8(3);
                id.encode(to);
            }
            ReplyBody::Floor { floor } => {
                to.u8(4);
                to.u64(floor.0);
            }
            ReplyBody::Served { read, hold, result } => {
                to.u8(5);
                read.encode(to);
                to.u64(u64::try_from(hold.as_nanos()).unwrap_or(u64::MAX));
                to.bytes(result);
            }
            ReplyBody::ReadRefused { read, refusal } => {
                to.u8(6);
                read.encode(to);
                refusal.encode(to);
            }
        }
    }
}

impl Decode for Reply {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let group = GroupId(from.u32()?);
        let body = match from.u8()? {
            1 => ReplyBody::Status {
                id: TxId::decode(from)?,
                round: from.u64()?,
                finding: Finding::decode(from)?,
            },
            2 => ReplyBody::Refused { id: TxId::decode(from)?, refusal: Refusal::decode(from)? },
            3 => ReplyBody::Resolved { id: TxId::decode(from)? },
            4 => ReplyBody::Floor { floor: Timestamp(from.u64()?) },
            5 => ReplyBody::Served {
                read: ReadId::decode(from)?,
                hold: Duration::from_nanos(from.u64()?),
                result: from.bytes()?,
            },
            6 => ReplyBody::ReadRefused { read: ReadId::decode(from)?, refusal: Refusal::decode(from)? },
            _ => return Err(DecodeError::Invalid("an answer about a transaction")),
        };
        Ok(Self { from: group, body })
    }
}

impl Encode for Finding {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Finding::Unknown => to.u8(1),
            Finding::Waiting => to.u8(2),
            Finding::Absent(floor) => {
                to.u8(3);
                to.u64(floor.0);
            }
            Finding::Aborted(reason) => {
                to.u8(4);
                reason.encode(to);
            }
            Finding::Prepared(result) => {
                to.u8(5);
                to.bytes(result);
            }
            Finding::Committed(result) => {
                to.u8(6);
                to.option(result.as_ref());
            }
            Finding::Forgotten(floor) => {
                to.u8(7);
                to.u64(floor.0);
            }
        }
    }
}

impl Decode for Finding {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Finding::Unknown,
            2 => Finding::Waiting,
            3 => Finding::Absent(Timestamp(from.u64()?)),
            4 => Finding::Aborted(Reason::decode(from)?),
            5 => Finding::Prepared(from.bytes()?),
            6 => Finding::Committed(from.option()?),
            7 => Finding::Forgotten(Timestamp(from.u64()?)),
            _ => return Err(DecodeError::Invalid("what is known of a transaction")),
        })
    }
}

impl Encode for Refusal {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Refusal::Older(than) => {
                to.u8(1);
                to.u64(than.0);
            }
            Refusal::Waited => to.u8(2),
            Refusal::Busy => to.u8(3),
            Refusal::Ahead => to.u8(4),
            Refusal::NoLease => to.u8(5),
        }
    }
}

impl Decode for Refusal {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Refusal::Older(Timestamp(from.u64()?)),
            2 => Refusal::Waited,
            3 => Refusal::Busy,
            4 => Refusal::Ahead,
            5 => Refusal::NoLease,
            _ => return Err(DecodeError::Invalid("why something was refused")),
        })
    }
}

#[cfg(test)]
mod tests;
