//! One shard: its databases, what they have in common (the placement of keys, the revision, a snapshot under way), and
//! what the shard's log decides about them (the removal of expired keys, the drop of a database).

use crate::changed::{ChangedKey, ChangedKeys};
use crate::chunk::{BadChunk, Body, Head, Part, Reader};
use crate::encodings::Encodings;
use crate::graveyard::Graveyard;
use crate::mutators::{Change, Store};
use crate::position::Placement;
use crate::rdb::Value;
use crate::record::{About, REVISION_MAX, Record};
use crate::snapshot::Snapshot;
use crate::tentative::Tentative;
use crate::types::hashes::HashValue;
use crate::types::{Collection, Dues, digest_bytes};
use crate::usage::Usage;
use crate::view::View;
use base::database::{EventClass, EventClasses, Kind};
use base::{DatabaseId, UnixMillis};
use siphasher::sip::SipHasher13;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// How many entries of flushed and dropped databases are freed with every change.
const FREED_PER_CHANGE: usize = 32;

const OTHER_VALUE: BadChunk = BadChunk("pieces of different values of one key");

/// The state of one shard.
#[derive(Debug)]
pub struct Keyspace {
    pub(crate) placement: Placement,
    /// In order of id.
    pub(crate) stores: Vec<Store>,
    revision: u64,
    pub(crate) snapshot: Option<Snapshot>,
    /// A snapshot was given up because it can't hold what has happened since it was begun.
    pub(crate) snapshot_spoiled: bool,
    /// What happens at the moment may be taken back.
    pub(crate) tentative: Option<Box<Tentative>>,
    pub(crate) graveyard: Graveyard,
    /// How accesses are noted.
    pub(crate) usage: Usage,
    /// Keys evicted since this was last asked.
    pub(crate) evicted: u64,
    pub(crate) listening: EventClasses,
    /// How encodings are called; not part of the state.
    pub(crate) encodings: Encodings,
    pub(crate) events: Vec<Event>,
    pub(crate) changed: ChangedKeys,
    /// Whether anything has changed since this was last asked.
    pub(crate) dirty: bool,
    /// Lists that come in pieces, until all are here.
    arriving: BTreeMap<(DatabaseId, Box<[u8]>), Pieces>,
}

/// How many elements each piece of a list has, by where it begins.
type Pieces = BTreeMap<u64, u64>;

/// What a change told, for whoever listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// In which database.
    pub database: DatabaseId,
    /// Its class.
    pub class: EventClass,
    /// Its name; not always known to this release's commands, for it may have come with another shard's effects.
    pub event: Cow<'static, str>,
    /// Of which key.
    pub key: Box<[u8]>,
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
        Self {
            usage: Usage::new(placement.hash_key()[0]),
            evicted: 0,
            placement,
            stores: Vec::new(),
            revision: 0,
            snapshot: None,
            snapshot_spoiled: false,
            tentative: None,
            graveyard: Graveyard::default(),
            listening: EventClasses::default(),
            encodings: Encodings::default(),
            events: Vec::new(),
            changed: ChangedKeys::default(),
            dirty: false,
            arriving: BTreeMap::new(),
        }
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

    /// How many of them expire at some time, hashes whose fields all do included.
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

    /// The earliest deadline of any key or field: until then nothing expires.
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        let firsts = |store: &Store| [store.deadlines.first(), store.field_deadlines.first()];
        self.stores.iter().flat_map(firsts).flatten().min()
    }

    /// Whether some field of a hash expires.
    pub fn has_expiring_fields(&self) -> bool {
        self.stores.iter().any(|store| store.field_deadlines.len() > 0)
    }

    /// Up to `limit` keys that have expired at `now`, or have fields that have, those of the earliest deadlines: what the
    /// leader proposes to remove.
    pub fn expired(&self, now: UnixMillis, limit: usize) -> Vec<(DatabaseId, Box<[u8]>)> {
        let mut due: Vec<_> = self
            .stores
            .iter()
            .flat_map(|store| {
                let keys = store.deadlines.due(now).take(limit).map(move |due| (due, store, true));
                keys.chain(store.field_deadlines.due(now).take(limit).map(move |due| (due, store, false)))
            })
            .collect();
        due.sort_by_key(|&((at, _), ..)| at);
        due.iter()
            .flat_map(|&((at, position), store, is_key)| {
                let records = store.table.group(position).iter().map(|entry| &entry.record);
                records
                    .filter(move |record| {
                        // A hash that isn't there any more is found once, as such.
                        if is_key {
                            record.gone_at() == Some(at)
                        } else {
                            record.dues().first == Some(at) && record.is_live(now)
                        }
                    })
                    .map(|record| (store.id, Box::from(record.key())))
            })
            .take(limit)
            .collect()
    }

    /// Carries out a logged decision: removes the key if it is expired at `now`, or those of its fields that are, which
    /// they may no longer be. Whether anything was removed.
    pub fn remove_expired(&mut self, id: DatabaseId, key: &[u8], now: UnixMillis) -> bool {
        let position = self.placement.of(key);
        let Some(index) = self.store(id) else { return false };
        let Some(entry) = self.stores[index].table.get(position, key) else { return false };
        let has_due_fields = entry.record.dues().first.is_some_and(|at| at <= now);
        if entry.record.is_live(now) {
            if has_due_fields {
                let mut change = self.change(index, now);
                change.edit(position, key, false, |hash: &mut HashValue, _, _| (hash.remove_due(now), true));
                self.note_event(id, EventClass::Hash, "hexpired", key);
            }
            return has_due_fields;
        }
        let by_itself = entry.record.expires_at().is_some_and(|at| at <= now);
        self.change(index, now).remove(position, key);
        if by_itself {
            self.note_event(id, EventClass::Expired, "expired", key);
        } else {
            self.note_event(id, EventClass::Hash, "hexpired", key);
            self.note_event(id, EventClass::Generic, "del", key);
        }
        true
    }

    /// From now on events of these classes are kept until they are taken; of others, nothing.
    pub fn listen(&mut self, classes: EventClasses) {
        self.listening = classes;
    }

    /// Which limits OBJECT ENCODING answers by from now on.
    pub fn set_encodings(&mut self, encodings: Encodings) {
        self.encodings = encodings;
    }

    /// What changes have told since this was last asked, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Notes an event if somebody listens.
    #[inline]
    pub(crate) fn note_event(
        &mut self,
        database: DatabaseId,
        class: EventClass,
        event: &'static str,
        key: &[u8],
    ) {
        if self.listening.has(class) {
            let event = Cow::Borrowed(event);
            self.events.push(Event { database, class, event, key: Box::from(key) });
        }
    }

    /// Notes an event that was told elsewhere, where the command ran, if somebody listens.
    pub fn note_told(&mut self, database: DatabaseId, class: EventClass, event: &str, key: &[u8]) {
        if self.listening.has(class) {
            let event = Cow::Owned(event.to_owned());
            self.events.push(Event { database, class, event, key: Box::from(key) });
        }
    }

    /// Whether from now on the keys that change are kept until they are taken.
    pub fn watch_changes(&mut self, wanted: bool) {
        self.changed.want(wanted);
    }

    /// The keys that have changed since this was last asked, in order.
    #[inline]
    pub fn take_changed(&mut self) -> Vec<ChangedKey> {
        self.changed.take()
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
        base::invariant!("a record can note every revision", revision <= REVISION_MAX);
        self.revision = revision;
    }

    /// Frees up to about `limit` entries of flushed and dropped databases, beside those that every change frees;
    /// whether any are left. For an idle moment.
    pub fn reclaim(&mut self, limit: usize) -> bool {
        self.graveyard.dig(limit)
    }

    /// Whether anything has changed since this was last asked.
    #[inline]
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// How many keys and large collections are still to be freed, and how many were freed so, ever.
    pub fn reclaimed(&self) -> (u64, u64) {
        (self.graveyard.len(), self.graveyard.freed())
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
        while let Some((head, body)) = reader.next_item()? {
            if head.revision > reader.revision() {
                // The next snapshot would take it for newer than itself, and leave it out.
                return Err(BadChunk("a key that was changed later than the state that it is a part of"));
            }
            match body {
                Body::Whole(Value::String(value)) => {
                    let about = About { kind: Kind::String, ..head.about() };
                    self.load(head.database, Record::new(about, head.key, &value, &[]))?;
                }
                Body::Whole(value) => self.load_collection(&head, None, value)?,
                Body::Piece { length, offset, bytes } => self.load_piece(&head, length, offset, bytes)?,
                Body::Part(part, value) => self.load_collection(&head, Some(part), value)?,
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

    /// A piece of a long string.
    fn load_piece(
        &mut self,
        head: &Head<'_>,
        length: usize,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), BadChunk> {
        let position = self.placement.of(head.key);
        let index = self.store_or_new(head.database);
        if self.stores[index].table.get(position, head.key).is_none() {
            let about = About { kind: Kind::String, ..head.about() };
            self.load(head.database, Record::zeroed(about, head.key, length))?;
        }
        let entry = self.stores[index].table.get_mut(position, head.key);
        let record = &mut entry.expect("it was there or has just been put there").record;
        if !head.fits(record, Kind::String) || record.value().len() != length {
            return Err(OTHER_VALUE);
        }
        record.value_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// A collection, or a part of one.
    fn load_collection(&mut self, head: &Head<'_>, part: Option<Part>, value: Value) -> Result<(), BadChunk> {
        let position = self.placement.of(head.key);
        let (order, kind) = (self.placement.members(), value.kind());
        let index = self.store_or_new(head.database);
        if self.stores[index].table.get(position, head.key).is_none() {
            let empty = Collection::empty(kind).ok_or(BadChunk("a part of what has no parts"))?;
            let reference = self.stores[index].keep_collection(empty);
            let about = About { kind, ..head.about() };
            let refers = Record::reference_value(reference, Dues::default());
            self.load(head.database, Record::new(about, head.key, &refers, &[]))?;
        } else if part.is_none() {
            return Err(BadChunk("a key that is there already"));
        }
        let store = &mut self.stores[index];
        let entry = store.table.get(position, head.key);
        let record = &entry.expect("it was there or has just been put there").record;
        if !head.fits(record, kind) {
            return Err(OTHER_VALUE);
        }
        let (reference, arriving) = (record.reference(), &mut self.arriving);
        store.change_collection(reference, |collection| match (collection, value, part) {
            (Collection::List(list), Value::List(elements), Some(part)) => {
                let name = (head.database, Box::from(head.key));
                let pieces = arriving.entry(name.clone()).or_default();
                if pieces.values().sum::<u64>() != list.count() as u64 {
                    return Err(OTHER_VALUE);
                }
                let before = pieces.range(..part.offset).map(|(_, count)| *count).sum::<u64>();
                let count = elements.len() as u64;
                let elements: Vec<&[u8]> = elements.iter().map(|element| &element[..]).collect();
                list.insert_all(before as usize, &elements, order);
                let here = list.count() as u64;
                if here > part.total || pieces.insert(part.offset, count).is_some() {
                    return Err(OTHER_VALUE);
                }
                if here == part.total {
                    arriving.remove(&name);
                }
                Ok(())
            }
            (collection, value, _) => collection.contents_mut().take_in(value, order),
        })?;
        store.note_dues(position, head.key);
        Ok(())
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
                digest_bytes(&mut hasher, record.key());
                match store.table.collection(record) {
                    Some(collection) => {
                        hasher.write(&(collection.contents().count() as u64).to_le_bytes());
                        collection.contents().digest(&mut hasher);
                    }
                    None => digest_bytes(&mut hasher, record.value()),
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
        self.dirty = true;
        if let Some(snapshot) = &self.snapshot {
            base::invariant!(
                "what changes during a snapshot has a later revision than it",
                self.revision > snapshot.revision(),
                "{}",
                self.revision
            );
        }
        let tells_new = self.listening.has(EventClass::New);
        Change {
            news: tells_new.then_some(&mut self.events),
            store: &mut self.stores[store],
            snapshot: self.snapshot.as_mut(),
            graveyard: &mut self.graveyard,
            changed: &mut self.changed,
            usage: &mut self.usage,
            order: self.placement.members(),
            revision: self.revision,
            now,
        }
    }

    /// Deletes all keys of a database. A running snapshot takes over what it hasn't seen, as a whole.
    pub(crate) fn clear(&mut self, store: usize) {
        if self.tentative.is_some() {
            return self.set_aside(store);
        }
        self.changed.note_all();
        self.dirty = true;
        let store = &mut self.stores[store];
        let table = std::mem::take(&mut store.table);
        self.graveyard.bury_deadlines(std::mem::take(&mut store.deadlines));
        self.graveyard.bury_deadlines(std::mem::take(&mut store.field_deadlines));
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
