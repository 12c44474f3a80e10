//! The mutators' ground: one database and the few ways in which its entries change. Whatever changes goes through here,
//! and with it change the memory account, the index of deadlines, the entry's revision and the running snapshot.

use crate::changed::ChangedKeys;
use crate::deadlines::Deadlines;
use crate::graveyard::Graveyard;
use crate::keyspace::Event;
use crate::position::{MemberOrder, Placement, Position};
use crate::record::{About, Record};
use crate::slot::Entry;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::types::{Collection, Typed};
use crate::usage::{FREQUENCY_INITIAL, Usage, access_second};
use base::database::{EventClass, Expiry, Kind};
use base::{DatabaseId, UnixMillis};

/// One database and its accounts.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) id: DatabaseId,
    pub(crate) table: Table,
    /// From when keys aren't there.
    pub(crate) deadlines: Deadlines,
    /// When the first fields of hashes expire.
    pub(crate) field_deadlines: Deadlines,
    pub(crate) memory_bytes: u64,
}

/// A change of one database under way.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// Where it is told that a key came to be, if somebody listens.
    pub(crate) news: Option<&'a mut Vec<Event>>,
    pub(crate) store: &'a mut Store,
    pub(crate) snapshot: Option<&'a mut Snapshot>,
    pub(crate) graveyard: &'a mut Graveyard,
    pub(crate) changed: &'a mut ChangedKeys,
    pub(crate) usage: &'a mut Usage,
    pub(crate) order: MemberOrder,
    pub(crate) revision: u64,
    pub(crate) now: UnixMillis,
}

impl Store {
    /// An empty database.
    pub(crate) fn new(id: DatabaseId) -> Self {
        Self {
            id,
            table: Table::default(),
            deadlines: Deadlines::default(),
            field_deadlines: Deadlines::default(),
            memory_bytes: 0,
        }
    }

    /// Notes when a record at `position` expires.
    #[inline]
    fn index(&mut self, record: &Record, position: Position) {
        self.deadlines.add(record.gone_at(), position);
        self.field_deadlines.add(record.dues().first, position);
    }

    /// Forgets when a record at `position` was to expire.
    #[inline]
    fn unindex(&mut self, record: &Record, position: Position) {
        self.deadlines.forget(record.gone_at(), position);
        self.field_deadlines.forget(record.dues().first, position);
    }

    /// Adds a record whose key isn't there, and whose collection is already kept; whether it wasn't.
    pub(crate) fn insert_new(&mut self, position: Position, record: Record) -> bool {
        let Err(locus) = self.table.find(position, record.key()) else { return false };
        self.memory_bytes += record.cost();
        self.index(&record, position);
        self.table.insert(locus, Entry { position, record });
        true
    }

    /// Keeps a collection; what a record refers to it by.
    pub(crate) fn keep_collection(&mut self, collection: Collection) -> u32 {
        self.memory_bytes += collection.cost();
        self.table.collections.insert(collection)
    }

    /// Takes out a collection whose record has been taken out.
    fn take_collection(&mut self, record: &Record) -> Option<Collection> {
        if record.kind() == Kind::String {
            return None;
        }
        let collection = self.table.collections.remove(record.reference());
        self.memory_bytes -= collection.cost();
        Some(collection)
    }

    /// Puts a record in the place of that of its key, which is there; the old one comes back, its collection stays.
    fn replace(&mut self, position: Position, record: Record) -> Record {
        let entry = self.table.get_mut(position, record.key()).expect("the caller has seen the key");
        let indexes = [&mut self.deadlines, &mut self.field_deadlines];
        swap(entry, record, &mut self.memory_bytes, indexes)
    }

    /// Changes a collection that is there, and the accounts with it, but for [`Store::note_dues`].
    pub(crate) fn change_collection<R>(
        &mut self,
        reference: u32,
        change: impl FnOnce(&mut Collection) -> R,
    ) -> R {
        let collection = self.table.collections.get_mut(reference);
        let before = collection.cost();
        let result = change(collection);
        collection.contents_mut().settle();
        self.memory_bytes = self.memory_bytes - before + collection.cost();
        result
    }

    /// Lets the record of `key`, which is there, say when the fields of its hash expire.
    pub(crate) fn note_dues(&mut self, position: Position, key: &[u8]) {
        let record = &self.table.get(position, key).expect("the caller has seen the key").record;
        let Some(collection) = self.table.collection(record) else { return };
        let dues = collection.dues();
        if record.dues() != dues {
            let value = Record::reference_value(record.reference(), dues);
            let changed = record.with_value(&value);
            self.replace(position, changed);
        }
    }

    /// Panics if an account or index doesn't match the entries.
    pub(crate) fn check(&self, placement: &Placement) {
        self.table.check();
        let (mut memory_bytes, mut collections) = (0, 0);
        for Entry { position, record } in self.table.iter() {
            base::invariant!("an entry stands where its key says", *position == placement.of(record.key()));
            memory_bytes += self.table.cost(record);
            if let Some(collection) = self.table.collection(record) {
                collections += 1;
                collection.contents().check(placement.members());
                base::invariant!("a record has its type of collection", collection.kind() == record.kind());
                base::invariant!("a record knows when fields expire", collection.dues() == record.dues());
                let is_kept = collection.contents().count() > 0 || record.kind() == Kind::Stream;
                base::invariant!("an empty collection takes its key with it", is_kept);
            }
        }
        base::invariant!("the memory account is what the entries cost", memory_bytes == self.memory_bytes);
        base::invariant!("every collection has its key", collections == self.table.collections.len());
        self.check_deadlines(&self.deadlines, Record::gone_at);
        self.check_deadlines(&self.field_deadlines, |record| record.dues().first);
    }

    fn check_deadlines(&self, deadlines: &Deadlines, of: impl Fn(&Record) -> Option<UnixMillis>) {
        let volatile = self.table.iter().filter(|entry| of(&entry.record).is_some()).count() as u64;
        base::invariant!("only what expires has a deadline", volatile == deadlines.len());
        let indexed: u64 = deadlines
            .due(UnixMillis(u64::MAX))
            .map(|(at, position)| {
                let keys = self.table.group(position).iter();
                let count = keys.filter(|entry| of(&entry.record) == Some(at)).count() as u64;
                base::invariant!("a deadline belongs to a key", count > 0);
                count
            })
            .sum();
        base::invariant!("everything that expires has its deadline", indexed == volatile);
        let first = deadlines.nth(0).map(|(at, _)| at);
        base::invariant!("the earliest deadline is at hand", deadlines.first() == first);
        base::invariant!("all deadlines are counted", deadlines.count_due(UnixMillis(u64::MAX)) == volatile);
    }
}

/// Puts a record into an entry, and what it says into the accounts and indexes; the old one comes back.
#[inline]
fn swap(entry: &mut Entry, record: Record, memory_bytes: &mut u64, indexes: [&mut Deadlines; 2]) -> Record {
    let old = std::mem::replace(&mut entry.record, record);
    let (position, new) = (entry.position, &entry.record);
    *memory_bytes = *memory_bytes - old.cost() + new.cost();
    let before = [old.gone_at(), old.dues().first];
    for ((index, before), after) in indexes.into_iter().zip(before).zip([new.gone_at(), new.dues().first]) {
        if before != after {
            index.forget(before, position);
            index.add(after, position);
        }
    }
    old
}

impl Change<'_> {
    /// Whether the snapshot has still to write down this record as it is.
    #[inline]
    fn is_owed(&self, position: Position, record: &Record) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_owed(self.store.id, position, record))
    }

    /// A record was replaced or taken out, and its collection goes with it: the snapshot gets them if it hasn't seen
    /// them.
    fn retire(&mut self, position: Position, old: Record) {
        let collection = self.store.take_collection(&old);
        if self.is_owed(position, &old) {
            self.keep(position, old, collection);
        } else if let Some(collection) = collection {
            collection.retire(self.graveyard);
        }
    }

    /// A record was replaced or taken out, and its collection stays under another: the snapshot gets a copy, which
    /// shares all that doesn't change.
    fn retire_record(&mut self, position: Position, old: Record) {
        if self.is_owed(position, &old) {
            let collection = self.store.table.collection(&old).cloned();
            self.keep(position, old, collection);
        }
    }

    fn keep(&mut self, position: Position, old: Record, collection: Option<Collection>) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.keep(self.store.id, position, old, collection);
        }
    }

    /// A key comes to be.
    #[inline]
    fn tell_new(&mut self, key: &[u8]) {
        if let Some(news) = &mut self.news {
            let (database, class) = (self.store.id, EventClass::New);
            news.push(Event { database, class, event: "new".into(), key: Box::from(key) });
        }
    }

    /// What the record of a new key says of itself.
    fn about(&self, kind: Kind, expires_at: Option<UnixMillis>) -> About {
        let access = access_second(self.now);
        About { kind, expires_at, revision: self.revision, access, frequency: FREQUENCY_INITIAL }
    }

    /// What the record says of itself that takes the place of what `key` held.
    fn about_next(
        &mut self,
        position: Position,
        key: &[u8],
        kind: Kind,
        expires_at: Option<UnixMillis>,
    ) -> About {
        let mut about = self.about(kind, expires_at);
        if self.usage.counts()
            && let Some(entry) = self.store.table.get(position, key)
        {
            about.frequency = self.usage.next_frequency(&entry.record, self.now);
        }
        about
    }

    /// Makes `key` hold this string, whatever it held.
    pub(crate) fn put_string(&mut self, position: Position, key: &[u8], value: &[u8], expiry: Expiry) {
        if matches!(expiry, Expiry::At(at) if at <= self.now) {
            self.remove(position, key);
            return;
        }
        self.changed.note(key);
        let now = self.now;
        if self.news.is_some()
            && !self.store.table.get(position, key).is_some_and(|entry| entry.record.is_live(now))
        {
            self.tell_new(key);
        }
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
                about.frequency = self.usage.next_frequency(&entry.record, now);
                about.expires_at = expires_at(before.filter(|_| entry.record.is_live(now)));
                let fits = entry.record.kind() == Kind::String
                    && entry.record.value().len() == value.len()
                    && before.is_some() == about.expires_at.is_some();
                let is_owed =
                    self.snapshot.as_ref().is_some_and(|s| s.is_owed(store.id, position, &entry.record));
                if fits && !is_owed {
                    if let Some(at) = about.expires_at {
                        entry.record.replace_expiry(at);
                    }
                    entry.record.value_mut().copy_from_slice(value);
                    entry.record.set_revision(about.revision);
                    entry.record.set_access(about.access);
                    entry.record.set_frequency(about.frequency);
                    if before != about.expires_at {
                        store.deadlines.forget(before, position);
                        store.deadlines.add(about.expires_at, position);
                    }
                } else {
                    let indexes = [&mut store.deadlines, &mut store.field_deadlines];
                    let record = Record::new(about, key, value, &[]);
                    let old = swap(entry, record, &mut store.memory_bytes, indexes);
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
    fn put(&mut self, position: Position, record: Record) {
        self.changed.note(record.key());
        let found = self.store.table.get(position, record.key());
        if !found.is_some_and(|entry| entry.record.is_live(self.now)) {
            self.tell_new(record.key());
        }
        if self.store.table.get(position, record.key()).is_some() {
            let old = self.store.replace(position, record);
            self.retire(position, old);
        } else {
            self.store.insert_new(position, record);
        }
    }

    /// Puts a collection under `key`, whatever it held, with its time to live. An empty one puts nothing.
    pub(crate) fn put_collection(
        &mut self,
        position: Position,
        key: &[u8],
        mut collection: Collection,
        expires_at: Option<UnixMillis>,
    ) {
        collection.contents_mut().settle();
        if collection.is_gone(self.now) || expires_at.is_some_and(|at| at <= self.now) {
            self.remove(position, key);
            collection.retire(self.graveyard);
            return;
        }
        let (kind, dues) = (collection.kind(), collection.dues());
        let value = Record::reference_value(self.store.keep_collection(collection), dues);
        let about = self.about_next(position, key, kind, expires_at);
        self.put(position, Record::new(about, key, &value, &[]));
    }

    /// Changes the collection of `key`, which has the right type if it is there. One that is missing becomes an empty one if
    /// `creates`; otherwise nothing happens. `change` says, beside its answer, whether it has changed anything.
    pub(crate) fn edit<T: Typed, R>(
        &mut self,
        position: Position,
        key: &[u8],
        creates: bool,
        change: impl FnOnce(&mut T, MemberOrder, &mut Graveyard) -> (R, bool),
    ) -> Option<R> {
        let found = self.store.table.get(position, key).map(|entry| &entry.record);
        let Some(record) = found.filter(|record| record.is_live(self.now)) else {
            let mut made = creates.then(T::default)?;
            let (result, _) = change(&mut made, self.order, self.graveyard);
            self.put_collection(position, key, made.into_collection(), None);
            return Some(result);
        };
        let (reference, is_owed) = (record.reference(), self.is_owed(position, record));
        let before = is_owed.then(|| self.store.table.collections.get(reference).clone());
        let (order, graveyard) = (self.order, &mut *self.graveyard);
        let (result, changed) = self.store.change_collection(reference, |collection| {
            change(T::of_mut(collection).expect("the caller has seen the type"), order, graveyard)
        });
        if !changed {
            return Some(result);
        }
        self.changed.note(key);
        let record = &mut self.store.table.get_mut(position, key).expect("it is still there").record;
        let owed = before.map(|before| (record.clone(), before));
        record.set_revision(self.revision);
        self.usage.touch(record, self.now);
        if let Some((record, before)) = owed {
            self.keep(position, record, Some(before));
        }
        if self.store.table.collections.get(reference).is_gone(self.now) {
            self.remove(position, key);
        } else {
            self.store.note_dues(position, key);
        }
        Some(result)
    }

    /// Makes `key` a string of `offset` zero bytes and `part`.
    pub(crate) fn put_padded(&mut self, position: Position, key: &[u8], offset: usize, part: &[u8]) {
        let about = self.about_next(position, key, Kind::String, None);
        let mut record = Record::zeroed(about, key, offset + part.len());
        record.value_mut()[offset..].copy_from_slice(part);
        self.put(position, record);
    }

    /// Puts a string that was made here or elsewhere under `key`, with its time to live.
    pub(crate) fn put_copy(
        &mut self,
        position: Position,
        key: &[u8],
        value: &[u8],
        expires_at: Option<UnixMillis>,
    ) {
        let about = self.about_next(position, key, Kind::String, expires_at);
        self.put(position, Record::new(about, key, value, &[]));
    }

    /// Moves the value and the time to live of `from`, which is there, to `to`, another key.
    pub(crate) fn rename(&mut self, old: Position, from: &[u8], new: Position, to: &[u8]) {
        let Entry { record, .. } = self.store.table.remove(old, from).expect("the caller has seen the key");
        self.changed.note(from);
        self.store.memory_bytes -= record.cost();
        self.store.unindex(&record, old);
        let about = self.about(record.kind(), record.expires_at());
        let about = About { frequency: record.frequency(), ..about };
        let renamed = Record::new(about, to, record.value(), &[]);
        self.put(new, renamed);
        self.retire_record(old, record);
    }

    /// Takes `key` out, expired or not; whether it was there and had not expired.
    pub(crate) fn remove(&mut self, position: Position, key: &[u8]) -> bool {
        let Some(Entry { record, .. }) = self.store.table.remove(position, key) else { return false };
        self.changed.note(key);
        self.store.memory_bytes -= record.cost();
        self.store.unindex(&record, position);
        let was_live = record.is_live(self.now);
        self.retire(position, record);
        was_live
    }

    /// Puts back what `key` held before a change that doesn't count, with the revision of that time. Nobody is told: nobody has
    /// seen the change.
    pub(crate) fn put_back(
        &mut self,
        position: Position,
        key: &[u8],
        before: Option<(Record, Option<Collection>)>,
    ) {
        if let Some(Entry { record, .. }) = self.store.table.remove(position, key) {
            self.store.memory_bytes -= record.cost();
            self.store.unindex(&record, position);
            self.retire(position, record);
        }
        let Some((record, collection)) = before else { return };
        let record = match collection {
            None => record,
            Some(collection) => {
                let dues = collection.dues();
                record.with_value(&Record::reference_value(self.store.keep_collection(collection), dues))
            }
        };
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.restored(self.store.id, position, &record);
        }
        self.store.insert_new(position, record);
    }

    /// Writes `part` into the string of `key`, which is there and has not expired. Answers its new length.
    pub(crate) fn splice(&mut self, position: Position, key: &[u8], offset: usize, part: &[u8]) -> usize {
        let entry = self.store.table.get(position, key).expect("the caller has seen the key");
        self.changed.note(key);
        let end = offset + part.len();
        let length = entry.record.value().len().max(end);
        let owed = self.is_owed(position, &entry.record).then(|| entry.record.clone());
        let store = &mut *self.store;
        let record = &mut store.table.get_mut(position, key).expect("it is still there").record;
        let cost = record.cost();
        if record.value().len() < length {
            record.resize_value(length);
        }
        record.value_mut()[offset..end].copy_from_slice(part);
        record.set_revision(self.revision);
        self.usage.touch(record, self.now);
        store.memory_bytes = store.memory_bytes - cost + record.cost();
        if let (Some(old), Some(snapshot)) = (owed, &mut self.snapshot) {
            snapshot.keep(store.id, position, old, None);
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
        let before = (entry.record.expires_at(), entry.record.gone_at());
        if before.0.is_none() && at.is_none() {
            return true;
        }
        self.changed.note(key);
        if before.0.is_some() != at.is_some() || self.is_owed(position, &entry.record) {
            let mut record = entry.record.with_expiry(at);
            record.set_revision(self.revision);
            let old = self.store.replace(position, record);
            self.retire_record(position, old);
            return true;
        }
        let store = &mut *self.store;
        let record = &mut store.table.get_mut(position, key).expect("it is still there").record;
        if let Some(at) = at {
            record.replace_expiry(at);
        }
        record.set_revision(self.revision);
        store.deadlines.forget(before.1, position);
        store.deadlines.add(record.gone_at(), position);
        true
    }
}
