//! What a shard's log says about transactions. The bytes are drawn in `docs/formats/transactions.md` and pinned by the tests.

use crate::ids::{Participants, Timestamp, TxId};
use crate::locks::Locks;
use alloc::vec::Vec;
use base::DatabaseId;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use bytes::Bytes;

/// One thing that a ledger does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Lock, check and execute, so that it can be taken back.
    Prepare(Prepare),
    /// Never prepare it, if it isn't prepared: the tombstone.
    Prevent {
        /// The transaction.
        id: TxId,
        /// All its shards.
        participants: Participants,
    },
    /// What became of it.
    Resolve {
        /// The transaction.
        id: TxId,
        /// All its shards.
        participants: Participants,
        /// What became of it.
        decision: Decision,
        /// Whether its gateway has all results, so that this one needn't be kept.
        answered: bool,
    },
    /// Prepare nothing any more that is as old as `floor`, and forget what is as old as `forgotten`.
    Advance {
        /// Stays below what is prepared, whatever is said here.
        floor: Timestamp,
        /// Stays at or below the floor, whatever is said here.
        forgotten: Timestamp,
    },
}

/// One shard's part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// The transaction.
    pub id: TxId,
    /// All its shards.
    pub participants: Participants,
    /// What it reads, writes or watches here.
    pub locks: Locks,
    /// What must still be as it was read.
    pub checks: Vec<Check>,
    /// What is to be done, in the shard's language; may be nothing at all.
    pub operations: Bytes,
}

/// A key that must still have this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The database.
    pub database: DatabaseId,
    /// The key.
    pub key: Bytes,
    /// Its version when it was read, 0 if it wasn't there.
    pub version: u64,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// It was prepared everywhere.
    Commit,
    /// Somewhere it never will be.
    Abort,
}

impl Encode for Operation {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Operation::Prepare(prepare) => {
                to.u8(1);
                prepare.encode(to);
            }
            Operation::Prevent { id, participants } => {
                to.u8(2);
                id.encode(to);
                participants.encode(to);
            }
            Operation::Resolve { id, participants, decision, answered } => {
                to.u8(3);
                id.encode(to);
                participants.encode(to);
                decision.encode(to);
                to.bool(*answered);
            }
            Operation::Advance { floor, forgotten } => {
                to.u8(4);
                to.u64(floor.0);
                to.u64(forgotten.0);
            }
        }
    }
}

impl Decode for Operation {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Operation::Prepare(Prepare::decode(from)?),
            2 => Operation::Prevent { id: TxId::decode(from)?, participants: Participants::decode(from)? },
            3 => Operation::Resolve {
                id: TxId::decode(from)?,
                participants: Participants::decode(from)?,
                decision: Decision::decode(from)?,
                answered: from.bool()?,
            },
            4 => Operation::Advance { floor: Timestamp(from.u64()?), forgotten: Timestamp(from.u64()?) },
            _ => return Err(DecodeError::Invalid("an operation of a transaction")),
        })
    }
}

impl Encode for Prepare {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.id.encode(to);
        self.participants.encode(to);
        self.locks.encode(to);
        to.list(self.checks.iter());
        to.bytes(&self.operations);
    }
}

impl Decode for Prepare {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            id: TxId::decode(from)?,
            participants: Participants::decode(from)?,
            locks: Locks::decode(from)?,
            checks: from.list()?,
            operations: from.bytes()?,
        })
    }
}

impl Encode for Check {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.database.0);
        to.bytes(&self.key);
        to.u64(self.version);
    }
}

impl Decode for Check {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { database: DatabaseId(from.u64()?), key: from.bytes()?, version: from.u64()? })
    }
}

impl Encode for Decision {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bool(*self == Decision::Commit);
    }
}

impl Decode for Decision {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(if from.bool()? { Decision::Commit } else { Decision::Abort })
    }
}
