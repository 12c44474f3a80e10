//! A ledger in a snapshot. The locks follow from the records and aren't written; undo records are written by the shard's own
//! encoding, and only now.

use super::{Ledger, Reason, Record, State};
use crate::ids::{Participants, Timestamp, TxId};
use crate::locks::{LockTable, Locks};
use alloc::collections::BTreeMap;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use bytes::Bytes;

/// The version of a ledger's bytes that this release writes.
const VERSION: u8 = 1;

impl<U: Encode> Encode for Ledger<U> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(VERSION);
        to.u64(self.floor.0);
        to.u64(self.forgotten.0);
        to.u32(self.records.len() as u32);
        for (id, record) in &self.records {
            id.encode(to);
            record.participants.encode(to);
            match &record.state {
                State::Prepared { locks, result, undo } => {
                    to.u8(1);
                    locks.encode(to);
                    to.bytes(result);
                    undo.encode(to);
                }
                State::Committed { result } => {
                    to.u8(2);
                    to.option(result.as_ref());
                }
                State::Aborted(reason) => {
                    to.u8(3);
                    reason.encode(to);
                }
            }
        }
    }
}

impl<U: Decode> Decode for Ledger<U> {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        if from.u8()? != VERSION {
            return Err(DecodeError::Invalid("a ledger of another version"));
        }
        let (floor, forgotten) = (Timestamp(from.u64()?), Timestamp(from.u64()?));
        if forgotten > floor {
            return Err(DecodeError::Invalid("a ledger's floor"));
        }
        let (mut records, mut locks, mut prepared) = (BTreeMap::new(), LockTable::default(), 0);
        for _ in 0..from.u32()? {
            let id = TxId::decode(from)?;
            let participants = Participants::decode(from)?;
            if records.last_key_value().is_some_and(|(last, _)| *last >= id) || id.timestamp <= forgotten {
                return Err(DecodeError::Invalid("transactions out of order"));
            }
            let state = match from.u8()? {
                1 => {
                    // Out of the snapshot's memory, which is large and would be pinned.
                    let held = unpinned(Locks::decode(from)?);
                    if id.timestamp <= floor {
                        return Err(DecodeError::Invalid("a transaction prepared below the floor"));
                    }
                    locks.insert(id, &held);
                    prepared += 1;
                    let result = Bytes::copy_from_slice(&from.bytes()?);
                    State::Prepared { locks: held, result, undo: U::decode(from)? }
                }
                2 => {
                    let result: Option<Bytes> = from.option()?;
                    State::Committed { result: result.map(|bytes| Bytes::copy_from_slice(&bytes)) }
                }
                3 => State::Aborted(Reason::decode(from)?),
                _ => return Err(DecodeError::Invalid("a transaction's state")),
            };
            records.insert(id, Record { participants, state });
        }
        let mut ledger = Self::default();
        (ledger.records, ledger.locks, ledger.prepared) = (records, locks, prepared);
        (ledger.floor, ledger.forgotten) = (floor, forgotten);
        Ok(ledger)
    }
}

fn unpinned(locks: Locks) -> Locks {
    Locks::new(locks.iter().map(|lock| {
        let mut lock = lock.clone();
        lock.key = lock.key.map(|key| Bytes::copy_from_slice(&key));
        lock
    }))
}

impl Encode for Reason {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(match self {
            Reason::Prevented => 1,
            Reason::Locked => 2,
            Reason::Changed => 3,
            Reason::Evicted => 4,
            Reason::Refused(_) => 5,
            Reason::Elsewhere => 6,
        });
        if let Reason::Refused(what) = self {
            to.bytes(what);
        }
    }
}

impl Decode for Reason {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Reason::Prevented,
            2 => Reason::Locked,
            3 => Reason::Changed,
            4 => Reason::Evicted,
            5 => Reason::Refused(Bytes::copy_from_slice(&from.bytes()?)),
            6 => Reason::Elsewhere,
            _ => return Err(DecodeError::Invalid("why a transaction was aborted")),
        })
    }
}
