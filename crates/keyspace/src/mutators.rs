//! The mutators' ground: one database and the few ways in which its entries change. Whatever changes goes through here,
//! and with it change the memory account, the index of deadlines, the entry's revision and the running snapshot.

use crate::deadlines::Deadlines;
use crate::position::{Placement, Position};
use crate::record::{About, Record};
use crate::slot::Entry;
use crate::snapshot::Snapshot;
use crate::table::Table;
use base::database::{Expiry, Kind};
use base::{DatabaseId, UnixMillis};

/// One database and its accounts.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) id: DatabaseId,
    pub(crate) table: Table,
    pub(crate) deadlines: Deadlines,
    pub(crate) memory_bytes: u64,
}

/// A change of one database under way.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    store: &'a mut Store,
    snapshot: Option<&'a mut Snapshot>,
    revision: u64,
    now: UnixMillis,
}

/// The second that a record notes as its last access.
pub(crate) fn access_second(now: UnixMillis) -> u32 {
    u32::try_from(now.0 / 1000).unwrap_or(u32::MAX).max(1)
}

impl Store {
    /// An empty database.
    pub(crate) fn new(id: DatabaseId) -> Self {
        Self { id, table: Table::default(), deadlines: Deadlines::default(), memory_bytes: 0 }
    }

    /// Adds a record whose key isn't there; whether it wasn't.
    pub(crate) fn insert_new(&mut self, position: Position, record: Record) -> bool {
        let Err(locus) = self.table.find(position, record.key()) else { return false };
        self.memory_bytes += record.cost();
        self.deadlines.add(record.expires_at(), position);
        self.table.insert(locus, Entry { position, record });
        true
    }

    /// Panics if an account or index doesn't match the entries.
    pub(crate) fn check(&self, placement: &Placement) {
        self.table.check();
        let (mut memory_bytes, mut volatile) = (0, 0);
        for entry in self.table.iter() {
            base::invariant!(
                "an entry stands where its key says",
                entry.position == placement.of(entry.record.key())
            );
            memory_bytes += entry.record.cost();
            volatile += u64::from(entry.record.expires_at().is_some());
        }
        base::invariant!("the memory account is what the entries cost", memory_bytes == self.memory_bytes);
        base::invariant!("only volatile keys have a deadline", volatile == self.deadlines.len());
        let indexed: u64 = self
            .deadlines
            .due(UnixMillis(u64::MAX))
            .map(|(at, position)| {
                let keys = self.table.group(position).iter();
                let count = keys.filter(|entry| entry.record.expires_at() == Some(at)).count() as u64;
                base::invariant!("a deadline belongs to a key", count > 0);
                count
            })
            .sum();
        base::invariant!("every volatile key has its deadline", indexed == volatile);
        base::invariant!(
            "all deadlines are counted",
            self.deadlines.count_due(UnixMillis(u64::MAX)) == volatile
        );
    }
}

impl<'a> Change<'a> {
    /// A change at this revision and time.
    #[inline]
    pub(crate) fn new(
        store: &'a mut Store,
        snapshot: Option<&'a mut Snapshot>,
        revision: u64,
        now: UnixMillis,
    ) -> Self {
        Self { store, snapshot, revision, now }
    }

    /// Whether the snapshot has still to write down this record as it is.
    #[inline]
    fn is_owed(&self, position: Position, record: &Record) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_owed(self.store.id, position, record))
    }

    /// A record was replaced or taken out: the snapshot gets it if it hasn't seen it.
    fn retire(&mut self, position: Position, old: Record) {
        let id = self.store.id;
        if let Some(snapshot) = &mut self.snapshot
            && snapshot.is_owed(id, position, &old)
        {
            snapshot.keep(id, position, old);
        }
    }

    /// What the record of a changed key says of itself.
    fn about(&self, kind: Kind, expires_at: Option<UnixMillis>) -> About {
        About { kind, expires_at, revision: self.revision, access: access_second(self.now) }
    }

    /// Makes `key` hold this string, whatever it held.
    pub(crate) fn put_string(&mut self, position: Position, key: &[u8], value: &[u8], expiry: Expiry) {
        if matches!(expiry, Expiry::At(at) if at <= self.now) {
            self.remove(position, key);
            return;
        }
        let now = self.now;
        let mut about = self.about(Kind::String, None);
        let expires_at = |old: Option<UnixMillis>| match expiry {
            Expiry::Keep => old.filter(|&at| at > now),
            Expiry::Clear => None,
            Expiry::At(at) => Some(at),
        };
        let store = &mut *self.store;
        match store.table.find(position, key) {
            Ok(entry) => {
                let before = entry.record.expires_at();
                about.expires_at = expires_at(before);
                let fits = entry.record.kind() == Kind::String
                    && entry.record.value().len() == value.len()
                    && before.is_some() == about.expires_at.is_some();
                let is_owed =
                    self.snapshot.as_ref().is_some_and(|s| s.is_owed(store.id, position, &entry.record));
                if before != about.expires_at {
                    store.deadlines.forget(before, position);
                    store.deadlines.add(about.expires_at, position);
                }
                if fits && !is_owed {
                    if let Some(at) = about.expires_at {
                        entry.record.replace_expiry(at);
                    }
                    entry.record.value_mut().copy_from_slice(value);
                    entry.record.stamp(about.revision, about.access);
                } else {
                    let record = Record::new(about, key, value, &[]);
                    store.memory_bytes = store.memory_bytes - entry.record.cost() + record.cost();
                    let old = std::mem::replace(&mut entry.record, record);
                    self.retire(position, old);
                }
            }
            Err(locus) => {
                about.expires_at = expires_at(None);
                let record = Record::new(about, key, value, &[]);
                store.memory_bytes += record.cost();
                store.deadlines.add(about.expires_at, position);
                store.table.insert(locus, Entry { position, record });
            }
        }
    }

    /// Puts a whole record in the place of what its key held.
    pub(crate) fn put(&mut self, position: Position, record: Record) {
        let store = &mut *self.store;
        match store.table.find(position, record.key()) {
            Ok(entry) => {
                let (before, after) = (entry.record.expires_at(), record.expires_at());
                store.memory_bytes = store.memory_bytes - entry.record.cost() + record.cost();
                if before != after {
                    store.deadlines.forget(before, position);
                    store.deadlines.add(after, position);
                }
                let old = std::mem::replace(&mut entry.record, record);
                self.retire(position, old);
            }
            Err(locus) => {
                store.memory_bytes += record.cost();
                store.deadlines.add(record.expires_at(), position);
                store.table.insert(locus, Entry { position, record });
            }
        }
    }

    /// Puts a value that was made here or elsewhere under `key`, with its time to live.
    pub(crate) fn put_copy(
        &mut self,
        position: Position,
        key: &[u8],
        kind: Kind,
        value: &[u8],
        expires_at: Option<UnixMillis>,
    ) {
        let record = Record::new(self.about(kind, expires_at), key, value, &[]);
        self.put(position, record);
    }

    /// Makes `key` a string of `offset` zero bytes and `part`.
    pub(crate) fn put_padded(&mut self, position: Position, key: &[u8], offset: usize, part: &[u8]) {
        let mut record = Record::zeroed(self.about(Kind::String, None), key, offset + part.len());
        record.value_mut()[offset..].copy_from_slice(part);
        self.put(position, record);
    }

    /// Gives `to` the value and the time to live of `from`, which is there.
    pub(crate) fn put_renamed(&mut self, old: Position, from: &[u8], new: Position, to: &[u8]) {
        let record = &self.store.table.get(old, from).expect("the caller has seen the key").record;
        let renamed = Record::new(self.about(record.kind(), record.expires_at()), to, record.value(), &[]);
        self.put(new, renamed);
    }

    /// Takes `key` out, expired or not; whether it was there and had not expired.
    pub(crate) fn remove(&mut self, position: Position, key: &[u8]) -> bool {
        let Some(Entry { record, .. }) = self.store.table.remove(position, key) else { return false };
        self.store.memory_bytes -= record.cost();
        self.store.deadlines.forget(record.expires_at(), position);
        let was_live = record.is_live(self.now);
        self.retire(position, record);
        was_live
    }

    /// Writes `part` into the string of `key`, which is there and has not expired. Answers its new length.
    pub(crate) fn splice(&mut self, position: Position, key: &[u8], offset: usize, part: &[u8]) -> usize {
        let entry = self.store.table.get(position, key).expect("the caller has seen the key");
        let end = offset + part.len();
        let length = entry.record.value().len().max(end);
        let owed = self.is_owed(position, &entry.record).then(|| entry.record.clone());
        let (revision, access) = (self.revision, access_second(self.now));
        let store = &mut *self.store;
        let record = &mut store.table.get_mut(position, key).expect("it is still there").record;
        let cost = record.cost();
        if record.value().len() < length {
            record.resize_value(length);
        }
        record.value_mut()[offset..end].copy_from_slice(part);
        record.stamp(revision, access);
        store.memory_bytes = store.memory_bytes - cost + record.cost();
        if let (Some(old), Some(snapshot)) = (owed, &mut self.snapshot) {
            snapshot.keep(store.id, position, old);
        }
        length
    }

    /// Sets or clears when `key` expires; whether it was there.
    pub(crate) fn set_expiry(&mut self, position: Position, key: &[u8], at: Option<UnixMillis>) -> bool {
        if at.is_some_and(|at| at <= self.now) {
            return self.remove(position, key);
        }
        let Some(entry) = self.store.table.get(position, key) else { return false };
        if !entry.record.is_live(self.now) {
            self.remove(position, key);
            return false;
        }
        let before = entry.record.expires_at();
        if before.is_none() && at.is_none() {
            return true;
        }
        if before.is_some() != at.is_some() || self.is_owed(position, &entry.record) {
            let mut record = entry.record.with_expiry(at);
            record.stamp(self.revision, record.access());
            self.put(position, record);
            return true;
        }
        let store = &mut *self.store;
        let record = &mut store.table.get_mut(position, key).expect("it is still there").record;
        if let Some(at) = at {
            record.replace_expiry(at);
        }
        record.stamp(self.revision, record.access());
        store.deadlines.forget(before, position);
        store.deadlines.add(at, position);
        true
    }
}
