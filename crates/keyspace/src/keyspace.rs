//! One shard: its databases, what they have in common (the placement of keys, the revision, a snapshot under way), and
//! what the shard's log decides about them (the removal of expired keys, the drop of a database).

use crate::chunk::{BadChunk, Item, Reader};
use crate::graveyard::Graveyard;
use crate::mutators::{Change, Store};
use crate::position::Placement;
use crate::rdb::Value;
use crate::record::{About, Record};
use crate::snapshot::Snapshot;
use crate::view::View;
use base::database::Kind;
use base::{DatabaseId, UnixMillis};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// How many entries of flushed and dropped databases are freed with every change.
const FREED_PER_CHANGE: usize = 32;

/// The state of one shard.
#[derive(Debug)]
pub struct Keyspace {
    pub(crate) placement: Placement,
    /// In order of id.
    pub(crate) stores: Vec<Store>,
    revision: u64,
    snapshot: Option<Snapshot>,
    graveyard: Graveyard,
}

impl Keyspace {
    /// An empty shard whose entries are ordered under this secret key, the same on every replica.
    pub fn new(hash_key: [u64; 2]) -> Self {
        Self::with_placement(Placement::new(hash_key))
    }

    /// The secret key under which entries are ordered.
    pub fn hash_key(&self) -> [u64; 2] {
        self.placement.hash_key()
    }

    pub(crate) fn with_placement(placement: Placement) -> Self {
        Self { placement, stores: Vec::new(), revision: 0, snapshot: None, graveyard: Graveyard::default() }
    }

    /// A view of one database at shard time `now`. A database that is unknown is empty.
    #[inline]
    pub fn database(&mut self, id: DatabaseId, now: UnixMillis) -> View<'_> {
        let store = self.store_or_new(id);
        View::new(self, store, now)
    }

    /// Forgets a database and all its keys. They are freed little by little.
    pub fn drop_database(&mut self, id: DatabaseId) {
        if let Some(index) = self.store(id) {
            self.clear(index);
            self.stores.remove(index);
        }
    }

    /// How many keys a database has, with those that have expired and aren't removed yet.
    pub fn len(&self, id: DatabaseId) -> u64 {
        self.store(id).map_or(0, |index| self.stores[index].table.len())
    }

    /// How many of them expire at some time.
    pub fn volatile_len(&self, id: DatabaseId) -> u64 {
        self.store(id).map_or(0, |index| self.stores[index].deadlines.len())
    }

    /// Whether no database has a key.
    pub fn is_empty(&self) -> bool {
        self.stores.iter().all(|store| store.table.len() == 0)
    }

    /// The databases that have keys, in order.
    pub fn database_ids(&self) -> Vec<DatabaseId> {
        self.stores.iter().filter(|store| store.table.len() > 0).map(|store| store.id).collect()
    }

    /// The earliest deadline of any key: until then nothing expires.
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        self.stores.iter().filter_map(|store| store.deadlines.first()).min()
    }

    /// Up to `limit` keys that have expired at `now`, those of the earliest deadlines: what the leader proposes to
    /// remove.
    pub fn expired(&self, now: UnixMillis, limit: usize) -> Vec<(DatabaseId, Box<[u8]>)> {
        let mut due: Vec<_> = self
            .stores
            .iter()
            .flat_map(|store| {
                store.deadlines.due(now).take(limit).map(move |(at, position)| (at, store, position))
            })
            .collect();
        due.sort_by_key(|&(at, ..)| at);
        due.iter()
            .flat_map(|&(at, store, position)| {
                let keys = store.table.group(position).iter().map(|entry| &entry.record);
                keys.filter(move |record| record.expires_at() == Some(at))
                    .map(|record| (store.id, Box::from(record.key())))
            })
            .take(limit)
            .collect()
    }

    /// Carries out a logged decision: removes the key if it is expired at `now`, which it may no longer be. Whether
    /// it was removed.
    pub fn remove_expired(&mut self, id: DatabaseId, key: &[u8], now: UnixMillis) -> bool {
        let position = self.placement.of(key);
        let Some(index) = self.store(id) else { return false };
        let is_expired =
            self.stores[index].table.get(position, key).is_some_and(|entry| !entry.record.is_live(now));
        if is_expired {
            self.change(index, now).remove(position, key);
        }
        is_expired
    }

    /// Bytes of memory that all keys and values take, with all overhead. A function of the state: replicas agree.
    pub fn memory_bytes(&self) -> u64 {
        self.stores.iter().map(|store| store.memory_bytes).sum()
    }

    /// Bytes that a running snapshot keeps beside them: old values that it has still to write down.
    pub fn retained_bytes(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, Snapshot::retained_bytes)
    }

    /// The shard's revision, which every change notes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The changes that follow have this revision: the log index of their entry. It never goes back, and after
    /// [`Keyspace::begin_snapshot`] it must go on before anything changes.
    pub fn set_revision(&mut self, revision: u64) {
        base::invariant!("a shard's revision never goes back", revision >= self.revision);
        self.revision = revision;
    }

    /// Frees up to about `limit` entries of flushed and dropped databases, beside those that every change frees;
    /// whether any are left. For an idle moment.
    pub fn reclaim(&mut self, limit: usize) -> bool {
        self.graveyard.dig(limit)
    }

    /// Fixes the state as it is now, for [`Keyspace::next_chunk`] to write down.
    ///
    /// # Panics
    /// If a snapshot is running.
    pub fn begin_snapshot(&mut self) {
        base::invariant!("one snapshot of a shard at a time", self.snapshot.is_none());
        self.snapshot = Some(Snapshot::new(self.revision));
    }

    /// Whether a snapshot was begun and is neither complete nor abandoned.
    pub fn snapshot_running(&self) -> bool {
        self.snapshot.is_some()
    }

    /// The next part of the state that was fixed, about `budget_bytes` long; `None` when all of it was given, which
    /// ends the snapshot, or when there is none.
    pub fn next_chunk(&mut self, budget_bytes: usize) -> Option<Vec<u8>> {
        let chunk = self.snapshot.as_mut()?.next_chunk(&self.stores, &mut self.graveyard, budget_bytes);
        if chunk.is_none() {
            self.snapshot = None;
        }
        chunk
    }

    /// Ends a snapshot that nobody needs any more.
    pub fn abandon_snapshot(&mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            snapshot.bury(&mut self.graveyard);
        }
    }

    /// Takes in one chunk of a snapshot; all its chunks, in any order, make a new shard equal to the one that was
    /// written down. After an error the shard is of no use.
    pub fn load_chunk(&mut self, chunk: &[u8]) -> Result<(), BadChunk> {
        let mut reader = Reader::new(chunk)?;
        self.revision = self.revision.max(reader.revision());
        while let Some(item) = reader.next_item()? {
            match item {
                Item::Whole { database, revision, expires_at, key, value } => {
                    let Value::String(value) = value else {
                        return Err(BadChunk("a value of a type that isn't kept yet"));
                    };
                    let about = About { kind: Kind::String, expires_at, revision, access: 0 };
                    self.load(database, Record::new(about, key, &value, &[]))?;
                }
                Item::Piece { database, revision, expires_at, key, length, offset, bytes } => {
                    let position = self.placement.of(key);
                    let index = self.store_or_new(database);
                    if self.stores[index].table.get(position, key).is_none() {
                        let about = About { kind: Kind::String, expires_at, revision, access: 0 };
                        self.load(database, Record::zeroed(about, key, length))?;
                    }
                    let entry = self.stores[index].table.get_mut(position, key);
                    let record = &mut entry.expect("it was there or has just been put there").record;
                    if record.revision() != revision || record.value().len() != length {
                        return Err(BadChunk("pieces of different values of one key"));
                    }
                    record.value_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, database: DatabaseId, record: Record) -> Result<(), BadChunk> {
        let position = self.placement.of(record.key());
        let index = self.store_or_new(database);
        let is_new = self.stores[index].insert_new(position, record);
        if is_new { Ok(()) } else { Err(BadChunk("a key that is there already")) }
    }

    /// A number that stands for the whole state: databases, keys, values, deadlines and revisions. Equal states give
    /// equal numbers however they came about, also over a snapshot. Reads everything.
    pub fn digest(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        for store in self.stores.iter().filter(|store| store.table.len() > 0) {
            hasher.write(&store.id.0.to_le_bytes());
            hasher.write(&store.table.len().to_le_bytes());
            for entry in store.table.iter() {
                let record = &entry.record;
                let deadline = record.expires_at().map_or([0; 9], |at| {
                    let mut marked = [1; 9];
                    marked[1..].copy_from_slice(&at.0.to_le_bytes());
                    marked
                });
                hasher.write(record.kind().name().as_bytes());
                hasher.write(&deadline);
                hasher.write(&record.revision().to_le_bytes());
                for bytes in [record.key(), record.value()] {
                    hasher.write(&(bytes.len() as u64).to_le_bytes());
                    hasher.write(bytes);
                }
            }
        }
        hasher.finish()
    }

    /// Panics naming the invariant if order, shape, accounts or indexes don't match the entries. Reads everything.
    pub fn check(&self) {
        base::invariant!("databases are ordered", self.stores.is_sorted_by(|a, b| a.id < b.id));
        for store in &self.stores {
            store.check(&self.placement);
        }
    }

    /// The index of a database.
    #[inline]
    pub(crate) fn store(&self, id: DatabaseId) -> Option<usize> {
        self.stores.binary_search_by_key(&id, |store| store.id).ok()
    }

    /// The index of a database, which is made if it is unknown; indexes known before may change.
    #[inline]
    pub(crate) fn store_or_new(&mut self, id: DatabaseId) -> usize {
        match self.stores.binary_search_by_key(&id, |store| store.id) {
            Ok(index) => index,
            Err(index) => {
                self.stores.insert(index, Store::new(id));
                index
            }
        }
    }

    /// Everything that a mutator needs to change a database at `now`.
    #[inline]
    pub(crate) fn change(&mut self, store: usize, now: UnixMillis) -> Change<'_> {
        self.graveyard.dig(FREED_PER_CHANGE);
        if let Some(snapshot) = &self.snapshot {
            base::invariant!(
                "what changes during a snapshot has a later revision than it",
                self.revision > snapshot.revision(),
                "{}",
                self.revision
            );
        }
        Change::new(&mut self.stores[store], self.snapshot.as_mut(), self.revision, now)
    }

    /// Deletes all keys of a database. A running snapshot takes over what it hasn't seen, as a whole.
    pub(crate) fn clear(&mut self, store: usize) {
        let store = &mut self.stores[store];
        let table = std::mem::take(&mut store.table);
        self.graveyard.bury_deadlines(std::mem::take(&mut store.deadlines));
        store.memory_bytes = 0;
        let unneeded = match &mut self.snapshot {
            Some(snapshot) => snapshot.take_over(store.id, table),
            None => Some(table),
        };
        if let Some(table) = unneeded {
            self.graveyard.bury_table(table);
        }
    }
}
