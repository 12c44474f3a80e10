//! Which keys an operation reads or changes, as transactions over several shards lock them: single keys, or a database in this shard
//! where all of it is looked at.

use crate::op::{Effects, Invocation, Op, Transaction, decode_op, encode_op};
use base::DatabaseId;
use bytes::Bytes;
use command::Place;
use twophase::{Check, Lock, Locks, Mode, Part};

/// A key in a database.
pub type KeyOf = (DatabaseId, Bytes);

/// How a shard takes its part of a transaction over several shards: the first byte of `twophase::Prepare::operations`, drawn in
/// `docs/formats/operations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The commands are carried out; one that fails stops none of the others.
    Each,
    /// If a command answers 0, nothing is done anywhere, and that is the answer (MSETNX, MSETEX).
    AllOrNone,
    /// Nothing is done; the rest are the bytes that the client is to hear.
    Refuse,
}

impl Manner {
    const fn code(self) -> u8 {
        match self {
            Manner::Each => 1,
            Manner::AllOrNone => 2,
            Manner::Refuse => 3,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [Manner::Each, Manner::AllOrNone, Manner::Refuse].into_iter().find(|manner| manner.code() == code)
    }
}

/// Shows every lock that an operation needs. As long as `visit` says so, it goes on.
pub(crate) fn all(op: &Op<'_>, visit: &mut impl FnMut(DatabaseId, Option<&[u8]>, Mode) -> bool) -> bool {
    match op {
        Op::Command(invocation) | Op::Offered { invocation, .. } => of_command(invocation, visit),
        Op::Transaction(transaction) => of_transaction(transaction, visit),
        Op::Fetch(wanted) => {
            wanted.iter().all(|wanted| visit(wanted.database, Some(wanted.key), Mode::Shared))
        }
        Op::Drop(database) => visit(*database, None, Mode::Exclusive),
        // What has expired, or goes for room, is looked at key by key where it goes.
        Op::Meta(_) | Op::Expire(_) | Op::Tick | Op::Evict(_) | Op::Transactional(_) => true,
    }
}

fn of_transaction(
    transaction: &Transaction<'_>,
    visit: &mut impl FnMut(DatabaseId, Option<&[u8]>, Mode) -> bool,
) -> bool {
    transaction.watched.iter().all(|watched| visit(watched.database, Some(watched.key), Mode::Shared))
        && transaction.commands.iter().all(|command| of_command(command, visit))
        && transaction.effects.iter().flat_map(Effects::mutations).all(|mutation| {
            mutation.places().all(|(database, key)| visit(database, Some(key), Mode::Exclusive))
        })
}

fn of_command(
    invocation: &Invocation<'_>,
    visit: &mut impl FnMut(DatabaseId, Option<&[u8]>, Mode) -> bool,
) -> bool {
    let Invocation { spec, database, target, words, .. } = invocation;
    // Of a command that writes, all keys: what it has changed must be known to be taken back, and some specs say "read" of what is
    // changed all the same (XREADGROUP).
    let mode = if spec.is_write() { Mode::Exclusive } else { Mode::Shared };
    if spec.place == Place::Cluster {
        // SYNC and its like ask for no key.
        return spec.name == "sync" || visit(*database, None, mode);
    }
    let keys = spec.keys(words);
    let databases = || std::iter::once(*database).chain(*target);
    let named = databases().all(|database| keys.iter().all(|key| visit(database, Some(key), mode)));
    named && (spec.key_patterns(words).is_empty() || visit(*database, None, Mode::Shared))
}

/// The locks of a transaction's part.
pub(crate) fn locks_of(transaction: &Transaction<'_>) -> Locks {
    let mut locks = Vec::new();
    of_transaction(transaction, &mut |database, key, mode| {
        locks.push(Lock { database, key: key.map(Bytes::copy_from_slice), mode });
        true
    });
    Locks::new(locks)
}

/// What a gateway asks of a shard for a part of a transaction that changes something.
pub(crate) fn part_that_changes(manner: Manner, transaction: &Transaction<'_>) -> Part {
    let locks = locks_of(transaction);
    let checks = transaction.watched.iter().map(|watched| Check {
        database: watched.database,
        key: Bytes::copy_from_slice(watched.key),
        version: watched.version,
    });
    let commands = Transaction { watched: Vec::new(), ..transaction.clone() };
    Part { locks, checks: checks.collect(), operations: encode(manner, commands) }
}

/// What a gateway asks of a shard for a part of a transaction that only reads: the versions are looked at where it is read.
pub(crate) fn part_that_reads(transaction: Transaction<'_>) -> Part {
    Part { locks: locks_of(&transaction), checks: Vec::new(), operations: encode(Manner::Each, transaction) }
}

/// Operations that are refused wherever they are applied.
pub(crate) fn refusal(error: &[u8]) -> Bytes {
    let mut bytes = vec![Manner::Refuse.code()];
    bytes.extend_from_slice(error);
    bytes.into()
}

fn encode(manner: Manner, transaction: Transaction<'_>) -> Bytes {
    let mut bytes = vec![manner.code()];
    encode_op(&mut bytes, &Op::Transaction(transaction));
    bytes.into()
}

/// What a part's operations say.
pub(crate) fn decode(operations: &[u8]) -> Option<(Manner, Transaction<'_>)> {
    let (code, mut rest) = operations.split_first()?;
    match Manner::of_code(*code)? {
        Manner::Refuse => Some((Manner::Refuse, Transaction::default())),
        manner => match decode_op(&mut rest).ok()? {
            Op::Transaction(transaction) if rest.is_empty() => Some((manner, transaction)),
            _ => None,
        },
    }
}
