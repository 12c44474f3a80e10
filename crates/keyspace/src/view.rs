//! One database at one moment, as commands see it: reads hide what has expired, and every change goes through the
//! mutators.

use crate::keyspace::Keyspace;
use crate::mutators::{Change, Store};
use crate::pick::pick;
use crate::position::Position;
use crate::rdb::{self, Value};
use crate::record::Record;
use crate::types::Collection;
use crate::usage::access_second;
use base::database::{BadDump, Database, EventClass, Expiry, Facts, KeyUsage, Kind, ScanPosition, WrongType};
use base::{DatabaseId, UnixMillis};
use bytes::Bytes;

/// The longest string that OBJECT ENCODING calls `embstr`.
const EMBEDDED_BYTES_MAX: usize = 44;

/// A database at a moment. Reading marks nothing as accessed: [`Database::touch`] and changes do.
#[derive(Debug)]
pub struct View<'a> {
    keyspace: &'a mut Keyspace,
    store: usize,
    now: UnixMillis,
}

impl<'a> View<'a> {
    #[inline]
    pub(crate) fn new(keyspace: &'a mut Keyspace, store: usize, now: UnixMillis) -> Self {
        Self { keyspace, store, now }
    }

    #[inline]
    fn store(&self) -> &Store {
        &self.keyspace.stores[self.store]
    }

    /// The record of `key`, unless it has expired.
    #[inline]
    fn live(&self, key: &[u8]) -> Option<&Record> {
        self.live_at(self.keyspace.placement.of(key), key)
    }

    #[inline]
    fn live_at(&self, position: Position, key: &[u8]) -> Option<&Record> {
        let record = &self.store().table.get(position, key)?.record;
        record.is_live(self.now).then_some(record)
    }
}

impl View<'_> {
    /// Where `key` stands, and everything that a mutator needs.
    pub(crate) fn change(&mut self, key: &[u8]) -> (Position, Change<'_>) {
        (self.keyspace.placement.of(key), self.keyspace.change(self.store, self.now))
    }

    /// The collection under `key`, if it is there.
    pub(crate) fn collection(&self, key: &[u8]) -> Result<Option<&Collection>, WrongType> {
        match self.live(key) {
            None => Ok(None),
            Some(record) => self.store().table.collection(record).map(Some).ok_or(WrongType),
        }
    }
}

impl Database for View<'_> {
    fn now(&self) -> UnixMillis {
        self.now
    }

    #[inline]
    fn kind(&self, key: &[u8]) -> Option<Kind> {
        self.live(key).map(Record::kind)
    }

    #[inline]
    fn string(&self, key: &[u8]) -> Result<Option<&[u8]>, WrongType> {
        match self.live(key) {
            None => Ok(None),
            Some(record) if record.kind() == Kind::String => Ok(Some(record.value())),
            Some(_) => Err(WrongType),
        }
    }

    fn expires_at(&self, key: &[u8]) -> Option<Option<UnixMillis>> {
        self.live(key).map(Record::expires_at)
    }

    fn facts(&self, key: &[u8]) -> Option<Facts> {
        let record = self.live(key)?;
        let idle_s = match record.access() {
            0 => 0,
            access => access_second(self.keyspace.usage.at(self.now)).saturating_sub(access),
        };
        let usage = &self.keyspace.usage;
        Some(Facts {
            kind: record.kind(),
            encoding: match (self.store().table.collection(record), record.value()) {
                (Some(collection), _) => collection.contents().encoding(&self.keyspace.encodings),
                (None, value) if rdb::integer(value).is_some() => "int",
                (None, value) if value.len() <= EMBEDDED_BYTES_MAX => "embstr",
                _ => "raw",
            },
            memory_bytes: self.store().table.cost(record),
            usage: (!usage.hidden).then(|| KeyUsage {
                idle_ms: u64::from(idle_s) * 1000,
                frequency: usage.counts().then(|| usage.counting.frequency(record, usage.at(self.now))),
            }),
            revision: record.revision(),
        })
    }

    fn len(&self) -> u64 {
        let store = self.store();
        store.table.len() - store.deadlines.count_due(self.now)
    }

    fn pick(&self, seed: u64) -> Option<Vec<u8>> {
        pick(self.store(), self.now, seed).map(|record| record.key().to_vec())
    }

    fn scan(
        &self,
        from: ScanPosition,
        limit: usize,
        visit: &mut dyn FnMut(&[u8], Kind),
    ) -> Option<ScanPosition> {
        let mut from = Position::of_scan(from);
        // Hidden keys count, so that a scan over a million of them is no pause.
        let mut left = limit.max(1);
        loop {
            let slice = self.store().table.slice_from(from);
            let mut last = None;
            for entry in slice {
                if left == 0 && last != Some(entry.position) {
                    return Some(entry.position.to_scan());
                }
                if entry.record.is_live(self.now) {
                    visit(entry.record.key(), entry.record.kind());
                }
                left = left.saturating_sub(1);
                last = Some(entry.position);
            }
            from = last?.next()?;
        }
    }

    fn dump(&self, key: &[u8]) -> Option<Bytes> {
        let record = self.live(key)?;
        Some(Bytes::from(match self.store().table.collection(record) {
            Some(collection) => rdb::write_dump(&collection.value()),
            None => rdb::dump_string(record.value()),
        }))
    }

    fn put_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        let position = self.keyspace.placement.of(key);
        self.keyspace.change(self.store, self.now).put_string(position, key, value, expiry);
    }

    /// An empty part changes nothing, and makes no key.
    fn splice_string(&mut self, key: &[u8], offset: usize, part: &[u8]) -> Result<usize, WrongType> {
        let position = self.keyspace.placement.of(key);
        let length = match self.live_at(position, key) {
            None => None,
            Some(record) if record.kind() == Kind::String => Some(record.value().len()),
            Some(_) => return Err(WrongType),
        };
        if part.is_empty() {
            return Ok(length.unwrap_or(0));
        }
        let mut change = self.keyspace.change(self.store, self.now);
        if length.is_some() {
            return Ok(change.splice(position, key, offset, part));
        }
        if offset == 0 {
            change.put_string(position, key, part, Expiry::Clear);
        } else {
            change.put_padded(position, key, offset, part);
        }
        Ok(offset + part.len())
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let position = self.keyspace.placement.of(key);
        self.keyspace.change(self.store, self.now).remove(position, key)
    }

    fn set_expiry(&mut self, key: &[u8], at: Option<UnixMillis>) -> bool {
        let position = self.keyspace.placement.of(key);
        self.keyspace.change(self.store, self.now).set_expiry(position, key, at)
    }

    fn touch(&mut self, key: &[u8]) -> bool {
        let position = self.keyspace.placement.of(key);
        let now = self.now;
        let entry = self.keyspace.stores[self.store].table.get_mut(position, key);
        let Some(entry) = entry.filter(|entry| entry.record.is_live(now)) else { return false };
        self.keyspace.usage.touch(&mut entry.record, now);
        true
    }

    fn set_usage(&mut self, key: &[u8], idle_ms: Option<u64>, frequency: Option<u8>) {
        let position = self.keyspace.placement.of(key);
        let now = self.keyspace.usage.at(self.now);
        let Some(entry) = self.keyspace.stores[self.store].table.get_mut(position, key) else { return };
        if let Some(idle) = idle_ms {
            let at = UnixMillis(now.0.saturating_sub(idle));
            entry.record.set_access(access_second(at));
        }
        if let Some(frequency) = frequency {
            entry.record.set_frequency(frequency);
        }
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> bool {
        let (old, new) = (self.keyspace.placement.of(from), self.keyspace.placement.of(to));
        let is_there = self.live_at(old, from).is_some();
        if from == to {
            return is_there;
        }
        let mut change = self.keyspace.change(self.store, self.now);
        if is_there {
            change.rename(old, from, new, to);
        } else {
            change.remove(old, from);
        }
        is_there
    }

    fn copy(&mut self, from: &[u8], into: DatabaseId, to: &[u8]) -> bool {
        let (old, new) = (self.keyspace.placement.of(from), self.keyspace.placement.of(to));
        let Some(record) = self.live_at(old, from) else { return false };
        if from == to && into == self.store().id {
            return true;
        }
        let expires_at = record.expires_at();
        let collection = self.store().table.collection(record).cloned();
        let value = if collection.is_none() { record.value().to_vec() } else { Vec::new() };
        let own = self.store().id;
        let target = self.keyspace.store_or_new(into);
        self.store = self.keyspace.store(own).expect("a view's database is there");
        let mut change = self.keyspace.change(target, self.now);
        match collection {
            Some(collection) => change.put_collection(new, to, collection, expires_at),
            None => change.put_copy(new, to, &value, expires_at),
        }
        true
    }

    fn exists_in(&self, database: DatabaseId, key: &[u8]) -> bool {
        let position = self.keyspace.placement.of(key);
        self.keyspace
            .store(database)
            .and_then(|store| self.keyspace.stores[store].table.get(position, key))
            .is_some_and(|entry| entry.record.is_live(self.now))
    }

    fn restore(&mut self, key: &[u8], dump: &[u8], expiry: Expiry) -> Result<(), BadDump> {
        let value = rdb::read_dump(dump).map_err(|_| BadDump)?;
        let expires_at = if let Expiry::At(at) = expiry { Some(at) } else { None };
        if let Value::String(value) = value {
            self.put_string(key, &value, expires_at.map_or(Expiry::Clear, Expiry::At));
            return Ok(());
        }
        let collection = Collection::of_value(value, self.keyspace.placement.members()).ok_or(BadDump)?;
        let (position, mut change) = self.change(key);
        change.put_collection(position, key, collection, expires_at);
        Ok(())
    }

    fn clear(&mut self) {
        self.keyspace.clear(self.store);
    }

    fn notify(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        let database = self.store().id;
        self.keyspace.note_event(database, class, event, key);
    }

    fn notify_in(&mut self, database: DatabaseId, class: EventClass, event: &'static str, key: &[u8]) {
        self.keyspace.note_event(database, class, event, key);
    }
}
