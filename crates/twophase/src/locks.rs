//! Who holds what. A lock is on a key, or on a whole database in this shard (for what looks at all of it: KEYS, DBSIZE, SCAN, RANDOMKEY,
//! FLUSHALL); a lock on a key is an intention on its database (Gray and others, "Granularity of Locks", 1975).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use base::DatabaseId;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use bytes::Bytes;

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// With others that only read.
    Shared,
    /// Alone.
    Exclusive,
}

/// A lock that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lock {
    /// The database.
    pub database: DatabaseId,
    /// The key; `None` for the whole database in this shard.
    pub key: Option<Bytes>,
    /// How.
    pub mode: Mode,
}

/// Locks in order, each name once, in the stronger of the modes in which it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locks(Vec<Lock>);

/// Who holds which locks. Owners that conflict may be in it together only if whoever puts them there has allowed it.
#[derive(Clone, Debug)]
pub struct LockTable<O> {
    databases: BTreeMap<DatabaseId, DatabaseLocks<O>>,
}

#[derive(Clone, Debug)]
struct DatabaseLocks<O> {
    whole: BTreeMap<O, Mode>,
    keys: BTreeMap<Bytes, BTreeMap<O, Mode>>,
    /// The strongest mode in which each owner holds some key.
    intentions: BTreeMap<O, Mode>,
}

impl Mode {
    /// Whether two owners can't hold one thing in these modes.
    pub fn conflicts(self, other: Mode) -> bool {
        self == Mode::Exclusive || other == Mode::Exclusive
    }
}

impl Locks {
    /// These locks, in whatever order.
    pub fn new(locks: impl IntoIterator<Item = Lock>) -> Self {
        let mut locks: Vec<Lock> = locks.into_iter().collect();
        locks.sort_unstable();
        // Equal names are neighbours, the stronger mode behind.
        locks.dedup_by(|later, kept| {
            let same = later.database == kept.database && later.key == kept.key;
            if same {
                kept.mode = later.mode;
            }
            same
        });
        Self(locks)
    }

    /// They, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Lock> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only those that are held alone.
    #[cfg(feature = "bugs")]
    pub(crate) fn exclusive_only(&self) -> Self {
        Self(self.0.iter().filter(|lock| lock.mode == Mode::Exclusive).cloned().collect())
    }
}

impl<O> Default for LockTable<O> {
    fn default() -> Self {
        Self { databases: BTreeMap::new() }
    }
}

impl<O> Default for DatabaseLocks<O> {
    fn default() -> Self {
        Self { whole: BTreeMap::new(), keys: BTreeMap::new(), intentions: BTreeMap::new() }
    }
}

impl<O: Ord + Copy> LockTable<O> {
    /// Whether nobody holds anything: what every command asks first, and mostly last.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// Notes that `owner` holds these.
    pub fn insert(&mut self, owner: O, locks: &Locks) {
        for lock in locks.iter() {
            let database = self.databases.entry(lock.database).or_default();
            match &lock.key {
                None => raise(&mut database.whole, owner, lock.mode),
                Some(key) => {
                    raise(database.keys.entry(key.clone()).or_default(), owner, lock.mode);
                    raise(&mut database.intentions, owner, lock.mode);
                }
            }
        }
    }

    /// Notes that `owner` holds none of these any more; they are all that it has.
    pub fn remove(&mut self, owner: O, locks: &Locks) {
        for lock in locks.iter() {
            let Some(database) = self.databases.get_mut(&lock.database) else { continue };
            match &lock.key {
                None => {
                    database.whole.remove(&owner);
                }
                Some(key) => {
                    database.intentions.remove(&owner);
                    if let Some(holders) = database.keys.get_mut(key.as_ref()) {
                        holders.remove(&owner);
                        if holders.is_empty() {
                            database.keys.remove(key.as_ref());
                        }
                    }
                }
            }
            if database.whole.is_empty() && database.keys.is_empty() {
                self.databases.remove(&lock.database);
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.databases.clear();
    }

    /// The last, in the order of owners, of those who hold what these locks conflict with and of whom `counts` is true. Owners
    /// are transactions by age: it is the youngest.
    pub fn last_in_the_way(&self, locks: &Locks, counts: impl Fn(O) -> bool) -> Option<O> {
        if self.is_empty() {
            return None;
        }
        let holders = |lock: &'_ Lock| {
            self.holders(lock.database, lock.key.as_deref(), lock.mode).filter(|o| counts(*o)).max()
        };
        locks.iter().filter_map(holders).max()
    }

    /// Whether somebody of whom `counts` is true holds what these locks conflict with.
    pub fn are_in_the_way(&self, locks: &Locks, counts: impl Fn(O) -> bool) -> bool {
        !self.is_empty()
            && locks.iter().any(|lock| self.is_held(lock.database, lock.key.as_deref(), lock.mode, &counts))
    }

    /// Whether somebody of whom `counts` is true holds what this one lock conflicts with.
    #[inline]
    pub fn is_in_the_way(
        &self,
        database: DatabaseId,
        key: Option<&[u8]>,
        mode: Mode,
        counts: impl Fn(O) -> bool,
    ) -> bool {
        !self.is_empty() && self.is_held(database, key, mode, &counts)
    }

    /// All who hold what this one lock conflicts with.
    pub fn all_in_the_way<'a>(
        &'a self,
        database: DatabaseId,
        key: Option<&'a [u8]>,
        mode: Mode,
    ) -> impl Iterator<Item = O> + 'a {
        self.holders(database, key, mode)
    }

    /// The keys of a database that somebody holds alone.
    pub fn changing_keys(&self, database: DatabaseId) -> impl Iterator<Item = &[u8]> {
        let keys = self.databases.get(&database).into_iter().flat_map(|database| &database.keys);
        let changing = keys.filter(|(_, holders)| holders.values().any(|mode| *mode == Mode::Exclusive));
        changing.map(|(key, _)| &key[..])
    }

    fn is_held(
        &self,
        database: DatabaseId,
        key: Option<&[u8]>,
        mode: Mode,
        counts: &impl Fn(O) -> bool,
    ) -> bool {
        self.holders(database, key, mode).any(counts)
    }

    fn holders<'a>(
        &'a self,
        database: DatabaseId,
        key: Option<&'a [u8]>,
        mode: Mode,
    ) -> impl Iterator<Item = O> + 'a {
        let database = self.databases.get(&database);
        let finer = database.and_then(|database| match key {
            // Whoever wants all of it meets whoever intends some of it.
            None => Some(&database.intentions),
            Some(key) => database.keys.get(key),
        });
        let whole = database.map(|database| &database.whole);
        let both = whole.into_iter().chain(finer).flatten();
        both.filter(move |(_, held)| held.conflicts(mode)).map(|(owner, _)| *owner)
    }
}

fn raise<O: Ord>(holders: &mut BTreeMap<O, Mode>, owner: O, mode: Mode) {
    let held = holders.entry(owner).or_insert(mode);
    *held = (*held).max(mode);
}

impl Encode for Lock {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.database.0);
        to.u8(u8::from(self.mode == Mode::Exclusive) | u8::from(self.key.is_none()) << 1);
        if let Some(key) = &self.key {
            to.bytes(key);
        }
    }
}

impl Decode for Lock {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let database = DatabaseId(from.u64()?);
        let flags = from.u8()?;
        if flags > 3 {
            return Err(DecodeError::Invalid("a lock"));
        }
        let mode = if flags & 1 == 0 { Mode::Shared } else { Mode::Exclusive };
        let key = if flags & 2 == 0 { Some(from.bytes()?) } else { None };
        Ok(Self { database, key, mode })
    }
}

impl Encode for Locks {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.list(self.0.iter());
    }
}

impl Decode for Locks {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let locks: Vec<Lock> = from.list()?;
        let ordered = |pair: &[Lock]| (pair[0].database, &pair[0].key) < (pair[1].database, &pair[1].key);
        if !locks.windows(2).all(ordered) {
            return Err(DecodeError::Invalid("locks out of order"));
        }
        Ok(Self(locks))
    }
}

#[cfg(test)]
mod tests;
