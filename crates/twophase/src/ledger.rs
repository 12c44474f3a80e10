//! What a shard knows of transactions: a pure function of its log, the same on every replica, part of its snapshots.
//!
//! All that a leader has looked at before it logged something is looked at again here, for between the two others may have been
//! applied, or another may have led.

use crate::ids::{Participants, Timestamp, TxId};
use crate::locks::{LockTable, Locks, Mode};
use crate::operation::{Decision, Operation, Prepare};
use crate::shard::Shard;
use alloc::collections::BTreeMap;
use base::DatabaseId;
use bytes::Bytes;

/// Its bytes in a snapshot.
mod snapshot;

/// The transactions of one shard that aren't forgotten.
#[derive(Clone, Debug)]
pub struct Ledger<U> {
    records: BTreeMap<TxId, Record<U>>,
    /// What the prepared ones hold. Follows from the records.
    locks: LockTable<TxId>,
    /// How many are prepared. Follows from the records.
    prepared: usize,
    floor: Timestamp,
    forgotten: Timestamp,
    /// What is left out on purpose.
    #[cfg(feature = "bugs")]
    pub bugs: crate::bugs::Bugs,
}

/// One transaction.
#[derive(Clone, Debug)]
struct Record<U> {
    participants: Participants,
    state: State<U>,
}

#[derive(Clone, Debug)]
enum State<U> {
    Prepared { locks: Locks, result: Bytes, undo: U },
    Committed { result: Option<Bytes> },
    Aborted(Reason),
}

/// Why a transaction never takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody who wanted to know its outcome had it prevented, before it was prepared here.
    Prevented,
    /// Another transaction holds its locks.
    Locked,
    /// A key that it watches or has read was changed.
    Changed,
    /// Its gateway has started anew since.
    Evicted,
    /// The shard can't do it; what the client is to hear.
    Refused(Bytes),
    /// It was aborted elsewhere.
    Elsewhere,
}

/// What a shard says about a transaction. Everything but [`Finding::Unknown`] and [`Finding::Waiting`] rests on the log, and is as true
/// later as when it was said, in the sense given at each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It isn't known, and may still come: says nothing.
    Unknown,
    /// It isn't prepared, but waits at the leader for its locks.
    Waiting,
    /// It isn't here and never will be: its time was over before it came. How far the floor is.
    Absent(Timestamp),
    /// It will never take effect.
    Aborted(Reason),
    /// It was prepared here, and is unless it has been resolved since; what it answers.
    Prepared(Bytes),
    /// It has taken effect; what it answered, unless that isn't needed any more.
    Committed(Option<Bytes>),
    /// It is resolved on all its shards, or never was and never will be prepared here. To whoever holds it prepared at a later
    /// moment, it is the second. How far the floor is.
    Forgotten(Timestamp),
}

impl<U> Default for Ledger<U> {
    fn default() -> Self {
        Self {
            records: BTreeMap::new(),
            locks: LockTable::default(),
            prepared: 0,
            floor: Timestamp(0),
            forgotten: Timestamp(0),
            #[cfg(feature = "bugs")]
            bugs: crate::bugs::Bugs::default(),
        }
    }
}

impl<U> Ledger<U> {
    /// Carries out what the log says. Answers what is known of the transaction then; nothing for [`Operation::Advance`].
    pub fn apply<S: Shard<Undo = U>>(&mut self, operation: Operation, shard: &mut S) -> Option<Finding> {
        match operation {
            Operation::Prepare(prepare) => Some(self.prepare(prepare, shard)),
            Operation::Prevent { id, participants } => {
                if self.finding(id) == Finding::Unknown {
                    self.abort(id, participants, Reason::Prevented);
                }
                Some(self.finding(id))
            }
            Operation::Resolve { id, participants, decision, answered } => {
                self.resolve(id, participants, decision, answered, shard);
                Some(self.finding(id))
            }
            Operation::Advance { floor, forgotten } => {
                self.advance(floor, forgotten);
                None
            }
        }
    }

    /// What is known of a transaction.
    pub fn finding(&self, id: TxId) -> Finding {
        match self.records.get(&id).map(|record| &record.state) {
            Some(State::Prepared { result, .. }) => Finding::Prepared(result.clone()),
            Some(State::Committed { result }) => Finding::Committed(result.clone()),
            Some(State::Aborted(reason)) => Finding::Aborted(reason.clone()),
            #[cfg(feature = "bugs")]
            None if self.bugs.no_floor => Finding::Unknown,
            None if id.timestamp <= self.forgotten => Finding::Forgotten(self.floor),
            None if id.timestamp <= self.floor => Finding::Absent(self.floor),
            None => Finding::Unknown,
        }
    }

    /// What prepared transactions hold. Whatever is applied must respect it: commands, expiry, eviction.
    pub fn locks(&self) -> &LockTable<TxId> {
        &self.locks
    }

    /// Whether a plain command may read or change something, as far as prepared transactions go.
    #[inline]
    pub fn allows(&self, database: DatabaseId, key: Option<&[u8]>, mode: Mode) -> bool {
        !self.locks.is_in_the_way(database, key, mode, |_| true)
    }

    /// Below or at it nothing is prepared any more, and nothing is prepared still.
    pub fn floor(&self) -> Timestamp {
        self.floor
    }

    /// Below or at it everything is forgotten.
    pub fn forgotten(&self) -> Timestamp {
        self.forgotten
    }

    /// How many transactions are remembered.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All that are remembered with their shards, the oldest first.
    pub fn records(&self) -> impl Iterator<Item = (TxId, &Participants)> {
        self.records.iter().map(|(id, record)| (*id, &record.participants))
    }

    /// The shards of a transaction that is prepared.
    pub fn prepared(&self, id: TxId) -> Option<&Participants> {
        let record = self.records.get(&id)?;
        matches!(record.state, State::Prepared { .. }).then_some(&record.participants)
    }

    /// Everything that is prepared, the oldest first.
    pub fn all_prepared(&self) -> impl Iterator<Item = TxId> {
        let prepared =
            self.records.iter().filter(|(_, record)| matches!(record.state, State::Prepared { .. }));
        prepared.map(|(id, _)| *id).take(self.prepared)
    }

    /// What takes the prepared ones back, the oldest first.
    pub fn undos(&self) -> impl Iterator<Item = &U> {
        self.records.values().filter_map(|record| match &record.state {
            State::Prepared { undo, .. } => Some(undo),
            State::Committed { .. } | State::Aborted(_) => None,
        })
    }

    /// Panics naming the broken invariant.
    pub fn check(&self) {
        let count = self.records.values().filter(|r| matches!(r.state, State::Prepared { .. })).count();
        base::invariant!("the prepared are counted", count == self.prepared);
        base::invariant!("what isn't prepared holds nothing", count > 0 || self.locks.is_empty());
        base::invariant!("the floor is above what is forgotten", self.forgotten <= self.floor);
        let first = self.records.keys().next();
        let remembered = first.is_none_or(|id| id.timestamp > self.forgotten);
        base::invariant!("what is forgotten is gone", remembered);
        let below = self.all_prepared().next().is_none_or(|id| id.timestamp > self.floor);
        base::invariant!("nothing is prepared below the floor", below);
    }

    fn prepare<S: Shard<Undo = U>>(&mut self, prepare: Prepare, shard: &mut S) -> Finding {
        let id = prepare.id;
        let known = self.finding(id);
        #[cfg(feature = "bugs")]
        let known = if self.bugs.tombstone_unchecked && matches!(known, Finding::Aborted(_)) {
            Finding::Unknown
        } else {
            known
        };
        if known != Finding::Unknown {
            return known;
        }
        match self.try_execute(&prepare, shard) {
            Err(reason) => self.abort(id, prepare.participants, reason),
            Ok((result, undo)) => {
                let locks = prepare.locks;
                #[cfg(feature = "bugs")]
                let locks = if self.bugs.watch_takes_no_lock { locks.exclusive_only() } else { locks };
                self.locks.insert(id, &locks);
                self.prepared += 1;
                let state = State::Prepared { locks, result, undo };
                self.records.insert(id, Record { participants: prepare.participants, state });
            }
        }
        self.finding(id)
    }

    fn try_execute<S: Shard<Undo = U>>(
        &self,
        prepare: &Prepare,
        shard: &mut S,
    ) -> Result<(Bytes, U), Reason> {
        if shard.is_evicted(prepare.id.session) {
            return Err(Reason::Evicted);
        }
        let locked = self.locks.are_in_the_way(&prepare.locks, |owner| owner != prepare.id);
        #[cfg(feature = "bugs")]
        let locked = locked && !self.bugs.locks_unchecked;
        if locked {
            base::mark!("locked_when_applied");
            return Err(Reason::Locked);
        }
        let changed =
            prepare.checks.iter().any(|check| shard.version(check.database, &check.key) != check.version);
        #[cfg(feature = "bugs")]
        let changed = changed && !self.bugs.versions_unchecked;
        if changed {
            return Err(Reason::Changed);
        }
        shard.execute(prepare.id, &prepare.operations).map_err(Reason::Refused)
    }

    fn abort(&mut self, id: TxId, participants: Participants, reason: Reason) {
        self.records.insert(id, Record { participants, state: State::Aborted(reason) });
    }

    fn resolve<S: Shard<Undo = U>>(
        &mut self,
        id: TxId,
        participants: Participants,
        decision: Decision,
        answered: bool,
        shard: &mut S,
    ) {
        #[cfg(feature = "bugs")]
        self.let_late_resolve_win(id, decision);
        if self.prepared(id).is_none() {
            // Resolved stays resolved. An abort that comes before the Prepare is a tombstone; a commit can't come before it.
            if decision == Decision::Abort && self.finding(id) == Finding::Unknown {
                self.abort(id, participants, Reason::Elsewhere);
            } else if answered && let Some(State::Committed { result }) = self.state_mut(id) {
                *result = None;
            }
            return;
        }
        let Some(Record { state: State::Prepared { locks, result, undo }, participants }) =
            self.records.remove(&id)
        else {
            return;
        };
        self.locks.remove(id, &locks);
        self.prepared -= 1;
        let state = match decision {
            Decision::Commit => {
                shard.commit(undo);
                State::Committed { result: (!answered).then_some(result) }
            }
            Decision::Abort => {
                shard.revert(undo);
                State::Aborted(Reason::Elsewhere)
            }
        };
        self.records.insert(id, Record { participants, state });
    }

    fn state_mut(&mut self, id: TxId) -> Option<&mut State<U>> {
        self.records.get_mut(&id).map(|record| &mut record.state)
    }

    fn advance(&mut self, floor: Timestamp, forgotten: Timestamp) {
        let oldest = self.all_prepared().next().map(|id| id.timestamp.before());
        #[cfg(feature = "bugs")]
        let oldest = if self.bugs.floor_over_prepared { None } else { oldest };
        self.floor = self.floor.max(floor.min(oldest.unwrap_or(floor)));
        self.forgotten = self.forgotten.max(forgotten.min(self.floor));
        while let Some(first) = self.records.first_entry() {
            if first.key().timestamp > self.forgotten || matches!(first.get().state, State::Prepared { .. }) {
                break;
            }
            first.remove();
        }
    }

    #[cfg(feature = "bugs")]
    fn let_late_resolve_win(&mut self, id: TxId, decision: Decision) {
        if self.bugs.late_resolve_wins
            && let Some(state) = self.state_mut(id)
        {
            match (&state, decision) {
                (State::Committed { .. }, Decision::Abort) => *state = State::Aborted(Reason::Elsewhere),
                (State::Aborted(_), Decision::Commit) => *state = State::Committed { result: None },
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
