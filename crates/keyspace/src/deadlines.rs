//! Which keys expire when. Only volatile keys are in here, sixteen bytes each and the tree around them: the deadline
//! and the key's position, under which the table finds it.

use crate::position::Position;
use crate::tree::{Element, Tree, place_bytes};
use base::UnixMillis;

/// The deadlines of a database, earliest first.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// Keys with the same deadline at the same position are in here as often as there are such: nearly always once.
    due: Tree<Deadline>,
    /// The earliest, at hand because every read asks for it.
    first: Option<UnixMillis>,
}

/// When a key expires, and where it stands.
type Deadline = (UnixMillis, Position);

impl Element for Deadline {
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }

    fn bytes(&self) -> u64 {
        place_bytes::<Self>()
    }
}

impl Deadlines {
    /// How many keys expire at some time.
    pub(crate) fn len(&self) -> u64 {
        self.due.len() as u64
    }

    /// A key at `position` expires at `at` from now on, if at all.
    #[inline]
    pub(crate) fn add(&mut self, at: Option<UnixMillis>, position: Position) {
        let Some(at) = at else { return };
        let rank = self.rank((at, position));
        self.due.insert(rank, (at, position));
        if rank == 0 {
            self.first = Some(at);
        }
    }

    /// A key at `position` that was to expire at `at`, if at all, doesn't any more.
    #[inline]
    pub(crate) fn forget(&mut self, at: Option<UnixMillis>, position: Position) {
        let Some(at) = at else { return };
        let rank = self.rank((at, position));
        let known = self.due.get(rank) == Some(&(at, position));
        base::invariant!("every volatile key is in the index of deadlines", known);
        self.due.remove(rank);
        if rank == 0 {
            self.first = self.due.first().map(|&(at, _)| at);
        }
    }

    /// How many deadlines come before this one.
    fn rank(&self, deadline: Deadline) -> usize {
        self.due.search(deadline, |other| *other < deadline)
    }

    /// The earliest deadline.
    #[inline]
    pub(crate) fn first(&self) -> Option<UnixMillis> {
        self.first
    }

    /// The latest deadline, and where a key with it stands.
    pub(crate) fn last(&self) -> Option<(UnixMillis, Position)> {
        self.due.last().copied()
    }

    /// The deadline behind `rank` earlier ones, and where a key with it stands.
    pub(crate) fn nth(&self, rank: u64) -> Option<(UnixMillis, Position)> {
        self.due.get(usize::try_from(rank).ok()?).copied()
    }

    /// What is due at `now`, earliest first; a position once for all its keys with that deadline.
    pub(crate) fn due(&self, now: UnixMillis) -> impl Iterator<Item = (UnixMillis, Position)> {
        let mut last = None;
        let due = self.due.iter().copied().take_while(move |&(at, _)| at <= now);
        due.filter(move |&deadline| last.replace(deadline) != Some(deadline))
    }

    /// How many keys are due at `now`.
    pub(crate) fn count_due(&self, now: UnixMillis) -> u64 {
        self.due.search((now, Position::LAST), |&(at, _)| at <= now) as u64
    }

    /// Frees about `limit` deadlines of an index that is not needed any more; whether anything is left.
    pub(crate) fn bury(&mut self, limit: usize) -> bool {
        self.due.bury(limit)
    }
}
