//! One shard's side of a transaction over several: what `twophase` asks of the data, and what it does to them in an entry.

use super::{Machine, Session, State, run_transaction};
use crate::locking::{self, Manner};
use crate::op::{BadBatch, Op};
use base::codec::Decode;
use base::{DatabaseId, NodeId, SessionId, UnixMillis};
use bytes::Bytes;
use keyspace::{Before, Keyspace};
use std::collections::BTreeMap;
use twophase::{Finding, Mode, Operation, Shard, TxId};

/// The data of a shard, while an entry is applied.
struct Data<'a> {
    keyspace: &'a mut Keyspace,
    sessions: &'a BTreeMap<NodeId, Session>,
    stirred: &'a mut Vec<(DatabaseId, Bytes)>,
    now: UnixMillis,
    seed: u64,
    #[cfg(feature = "bugs")]
    bugs: crate::api::Bugs,
}

impl Machine {
    /// Carries out what the log says about a transaction over several shards; what is known of it then.
    pub(super) fn transactional(&mut self, operation: &[u8], seed: u64) -> Result<Option<Finding>, BadBatch> {
        let operation = Operation::from_bytes(Bytes::copy_from_slice(operation))
            .map_err(|_| BadBatch("an operation of a transaction over several shards"))?;
        let State::Shard(keyspace) = &mut self.state else { return Ok(None) };
        let mut data = Data {
            keyspace,
            sessions: &self.sessions,
            stirred: &mut self.stirred,
            now: self.time,
            seed,
            #[cfg(feature = "bugs")]
            bugs: self.bugs,
        };
        Ok(self.ledger.apply(operation, &mut data))
    }

    /// Whether a transaction whose outcome isn't known here holds something that an operation reads or changes.
    pub(crate) fn is_locked(&self, op: &Op<'_>) -> bool {
        !locking::all(op, &mut |database, key, mode| match (key, mode) {
            // Who only counts or lists keys need not wait for changes of their values.
            (None, Mode::Shared) => !self.is_altered(database),
            _ => self.ledger.allows(database, key, mode),
        })
    }

    /// Whether keys of a database have come or gone in transactions whose outcome isn't known here.
    fn is_altered(&self, database: DatabaseId) -> bool {
        let State::Shard(keyspace) = &self.state else { return false };
        self.ledger.undos().any(|before| keyspace.has_altered(before, database))
    }

    /// Answers a part of a transaction that only reads, at `now`, as [`Machine::read`].
    pub(crate) fn read_part(&mut self, query: &[u8], now: UnixMillis, seed: u64) -> Option<Bytes> {
        let State::Shard(keyspace) = &mut self.state else { return None };
        let (_, transaction) = locking::decode(query)?;
        if transaction.commands.iter().any(|invocation| invocation.spec.is_write()) {
            return None;
        }
        let mut result = Vec::new();
        run_transaction(keyspace, &transaction, false, now, seed, &mut result);
        Some(result.into())
    }

    /// Whether no transaction is prepared, so that the state is nothing but what counts.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.ledger.undos().next().is_none()
    }

    /// Whether a snapshot can hold what is known of prepared transactions: not while a whole database is set aside, nor while it takes too
    /// much. It waits until they are resolved.
    pub(crate) fn can_be_written(&self) -> bool {
        let mut bytes = 0;
        self.ledger.undos().all(|before| {
            before.written_bytes().is_some_and(|more| {
                bytes += more;
                bytes <= super::LEDGER_BYTES_MAX
            })
        })
    }
}

impl Shard for Data<'_> {
    type Undo = Before;

    fn version(&self, database: DatabaseId, key: &[u8]) -> u64 {
        let found = self.keyspace.candidate(database, key, self.now);
        let live = found.filter(|found| found.gone_at.is_none_or(|at| at > self.now));
        live.map_or(0, |found| found.revision)
    }

    fn is_evicted(&self, session: SessionId) -> bool {
        self.sessions.get(&session.node).is_some_and(|known| known.start > session.start)
    }

    fn execute(&mut self, _id: TxId, operations: &Bytes) -> Result<(Bytes, Before), Bytes> {
        let unknown = || Bytes::from_static(b"-ERR a node of another release asked something unknown\r\n");
        let (manner, transaction) = locking::decode(operations).ok_or_else(unknown)?;
        if manner == Manner::Refuse {
            return Err(operations.slice(1..));
        }
        let locks = locking::locks_of(&transaction);
        let changed = locks.iter().filter(|lock| lock.mode == Mode::Exclusive);
        let keys = changed.filter_map(|lock| Some((lock.database, lock.key.as_deref()?)));
        self.keyspace.begin_tentative(keys);
        self.keyspace.hide_usage(true);
        let mut outcome = Vec::new();
        run_transaction(self.keyspace, &transaction, false, self.now, self.seed, &mut outcome);
        self.keyspace.hide_usage(false);
        let before = self.keyspace.end_tentative();
        // Behind its length, as `run_transaction` writes each.
        let refusal: &[u8] = b"\x04\0\0\0:0\r\n";
        if manner == Manner::AllOrNone && outcome.get(1..) == Some(refusal) {
            self.keyspace.revert(before);
            return Err(Bytes::from_static(b":0\r\n"));
        }
        Ok((outcome.into(), before))
    }

    fn commit(&mut self, undo: Before) {
        let changed = self.keyspace.confirm(undo);
        self.stirred.extend(changed.into_iter().map(|(database, key)| (database, Bytes::from(key))));
    }

    fn revert(&mut self, undo: Before) {
        #[cfg(feature = "bugs")]
        if self.bugs.aborted_stays {
            self.keyspace.confirm(undo);
            return;
        }
        self.keyspace.revert(undo);
    }
}
