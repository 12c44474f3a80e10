//! Which keys expire when. Only volatile keys are in here, sixteen bytes each and the tree around them: the deadline
//! and the key's position, under which the table finds it.

use crate::position::Position;
use base::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// The deadlines of a database, earliest first.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    due: BTreeSet<(UnixMillis, Position)>,
    /// How many more keys have the same deadline at the same position: nearly always none at all.
    twins: BTreeMap<(UnixMillis, Position), u64>,
    len: u64,
}

impl Deadlines {
    /// How many keys expire at some time.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// A key at `position` expires at `at` from now on, if at all.
    #[inline]
    pub(crate) fn add(&mut self, at: Option<UnixMillis>, position: Position) {
        let Some(at) = at else { return };
        self.len += 1;
        if !self.due.insert((at, position)) {
            *self.twins.entry((at, position)).or_default() += 1;
        }
    }

    /// A key at `position` that was to expire at `at`, if at all, doesn't any more.
    #[inline]
    pub(crate) fn forget(&mut self, at: Option<UnixMillis>, position: Position) {
        let Some(at) = at else { return };
        self.len -= 1;
        if !self.twins.is_empty()
            && let Some(twins) = self.twins.get_mut(&(at, position))
        {
            *twins -= 1;
            if *twins == 0 {
                self.twins.remove(&(at, position));
            }
            return;
        }
        let known = self.due.remove(&(at, position));
        base::invariant!("every volatile key is in the index of deadlines", known);
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<UnixMillis> {
        self.due.first().map(|&(at, _)| at)
    }

    /// The latest deadline, and where a key with it stands.
    pub(crate) fn last(&self) -> Option<(UnixMillis, Position)> {
        self.due.last().copied()
    }

    /// What is due at `now`, earliest first; a position once for all its keys with that deadline.
    pub(crate) fn due(&self, now: UnixMillis) -> impl Iterator<Item = (UnixMillis, Position)> {
        self.due.iter().copied().take_while(move |&(at, _)| at <= now)
    }

    /// How many keys are due at `now`. Takes as long as there are such keys.
    pub(crate) fn count_due(&self, now: UnixMillis) -> u64 {
        let twins: u64 = self.twins.iter().take_while(|&(&(at, _), _)| at <= now).map(|(_, more)| more).sum();
        self.due(now).count() as u64 + twins
    }

    /// Frees about `limit` deadlines of an index that is not needed any more; whether anything is left.
    pub(crate) fn bury(&mut self, limit: usize) -> bool {
        for _ in 0..limit {
            self.twins.pop_last();
            self.due.pop_last();
        }
        !self.due.is_empty()
    }
}
