//! A database of a scratch, as a command that runs there sees it: it answers from what was fetched, notices what wasn't, and keeps what
//! the command does, as effects for the shards of the keys.
//!
//! A key that isn't held looks as if it weren't there, so that the command comes to its end and perhaps names more such keys; what
//! it has answered and done is thrown away then.

use super::Recording;
use super::mutation::{Act, Mutation};
use base::database::streams::{ConsumerInfo, Fields, GroupInfo, PendingEntry, Stream, StreamInfo};
use base::database::{
    BadDump, Database, EventClass, Expiry, Facts, Hash, Hashes, Kind, List, Lists, ScanPosition, Set, Sets,
    SortedSet, SortedSets, StreamId, Streams, WrongType,
};
use base::{DatabaseId, GroupId, UnixMillis};
use bytes::Bytes;
use keyspace::View;
use routing::SlotMap;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Keys by their databases.
pub(super) type KeysOf = BTreeMap<DatabaseId, BTreeSet<Box<[u8]>>>;

/// Whether a key is among them.
pub(super) fn has(keys: &KeysOf, database: DatabaseId, key: &[u8]) -> bool {
    keys.get(&database).is_some_and(|keys| keys.contains(key))
}

/// What is noted while commands run.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Keys that a command has looked at or changed.
    pub(super) touched: KeysOf,
    /// Those of them that it would have to see and that aren't held, or whose values aren't.
    pub(super) missing: KeysOf,
    /// Keys of which only the type and the time to live are held: their values in the scratch mean nothing.
    pub(super) shapes: KeysOf,
    /// What commands have done, by the groups of the keys.
    pub(super) effects: BTreeMap<GroupId, Recording>,
    /// A command asked for something that only a whole shard can say.
    pub(super) wants_all: bool,
}

/// A view that notes what is done through it.
pub(super) struct Recorded<'a> {
    pub(super) view: View<'a>,
    pub(super) database: DatabaseId,
    pub(super) held: &'a KeysOf,
    pub(super) slots: &'a SlotMap,
    pub(super) noted: &'a RefCell<Noted>,
}

impl Recorded<'_> {
    /// A command looks whether a key is there, of which type and until when.
    fn looks(&self, database: DatabaseId, key: &[u8]) {
        let mut noted = self.noted.borrow_mut();
        if !has(&noted.touched, database, key) {
            noted.touched.entry(database).or_default().insert(key.into());
        }
        if !has(self.held, database, key) {
            noted.missing.entry(database).or_default().insert(key.into());
        }
    }

    /// A command looks at a value, or changes a part of it.
    fn reads(&self, database: DatabaseId, key: &[u8]) {
        self.looks(database, key);
        let mut noted = self.noted.borrow_mut();
        if has(&noted.shapes, database, key) {
            noted.missing.entry(database).or_default().insert(key.into());
        }
    }

    /// What a key held is of no interest any more, for it holds something else, or nothing.
    fn replaces(&self, database: DatabaseId, key: &[u8]) {
        self.looks(database, key);
        if let Some(shapes) = self.noted.borrow_mut().shapes.get_mut(&database) {
            shapes.remove(key);
        }
    }

    fn keep(&self, key: &[u8], act: Act<'_>) {
        self.keep_in(self.database, key, act);
    }

    fn keep_in(&self, database: DatabaseId, key: &[u8], act: Act<'_>) {
        let group = self.slots.group_of_key(key);
        let mut noted = self.noted.borrow_mut();
        noted.effects.entry(group).or_default().push(&Mutation { database, key, act });
    }

    /// A change of a part of a value; kept unless it answers that nothing has changed.
    fn edits<'m, T>(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(&mut View<'_>) -> Result<T, WrongType>,
        act: impl FnOnce(&T) -> Option<Act<'m>>,
    ) -> Result<T, WrongType> {
        self.reads(self.database, key);
        let answer = edit(&mut self.view)?;
        if let Some(act) = act(&answer) {
            self.keep(key, act);
        }
        Ok(answer)
    }
}

impl Database for Recorded<'_> {
    fn now(&self) -> UnixMillis {
        self.view.now()
    }

    fn kind(&self, key: &[u8]) -> Option<Kind> {
        self.looks(self.database, key);
        self.view.kind(key)
    }

    fn string(&self, key: &[u8]) -> Result<Option<&[u8]>, WrongType> {
        self.reads(self.database, key);
        self.view.string(key)
    }

    fn expires_at(&self, key: &[u8]) -> Option<Option<UnixMillis>> {
        self.looks(self.database, key);
        self.view.expires_at(key)
    }

    fn facts(&self, key: &[u8]) -> Option<Facts> {
        self.reads(self.database, key);
        self.view.facts(key)
    }

    fn len(&self) -> u64 {
        self.noted.borrow_mut().wants_all = true;
        self.view.len()
    }

    fn pick(&self, seed: u64) -> Option<Vec<u8>> {
        self.noted.borrow_mut().wants_all = true;
        self.view.pick(seed)
    }

    fn scan(
        &self,
        from: ScanPosition,
        limit: usize,
        visit: &mut dyn FnMut(&[u8], Kind),
    ) -> Option<ScanPosition> {
        self.noted.borrow_mut().wants_all = true;
        self.view.scan(from, limit, visit)
    }

    fn dump(&self, key: &[u8]) -> Option<Bytes> {
        self.reads(self.database, key);
        self.view.dump(key)
    }

    fn put_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        self.replaces(self.database, key);
        self.view.put_string(key, value, expiry);
        self.keep(key, Act::PutString { value, expiry });
    }

    fn splice_string(&mut self, key: &[u8], offset: usize, part: &[u8]) -> Result<usize, WrongType> {
        let act = Act::Splice { offset: offset as u64, part };
        self.edits(key, |view| view.splice_string(key, offset, part), |_| (!part.is_empty()).then_some(act))
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        self.replaces(self.database, key);
        let was_there = self.view.remove(key);
        if was_there {
            self.keep(key, Act::Remove);
        }
        was_there
    }

    fn set_expiry(&mut self, key: &[u8], at: Option<UnixMillis>) -> bool {
        self.looks(self.database, key);
        let is_there = self.view.set_expiry(key, at);
        if is_there {
            self.keep(key, Act::SetExpiry { at });
        }
        is_there
    }

    fn touch(&mut self, key: &[u8]) -> bool {
        self.looks(self.database, key);
        self.view.touch(key)
    }

    fn set_usage(&mut self, key: &[u8], idle_ms: Option<u64>, frequency: Option<u8>) {
        self.looks(self.database, key);
        self.view.set_usage(key, idle_ms, frequency);
        self.keep(key, Act::SetUsage { idle_ms, frequency });
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> bool {
        let near = self.slots.group_of_key(from) == self.slots.group_of_key(to);
        if !near {
            self.reads(self.database, from);
        }
        self.looks(self.database, from);
        if from == to {
            return self.view.rename(from, to);
        }
        self.replaces(self.database, to);
        let far = (!near).then(|| (self.view.value(from), self.view.expires_at(from).flatten()));
        let was_there = self.view.rename(from, to);
        if !was_there {
            return false;
        }
        match far {
            Some((value, expires_at)) => {
                self.keep(to, Act::Put { value: &value.unwrap_or_default(), expires_at });
                self.keep(from, Act::Remove);
            }
            None => {
                let mut noted = self.noted.borrow_mut();
                let shapes = noted.shapes.entry(self.database).or_default();
                if shapes.remove(from) {
                    shapes.insert(to.into());
                }
                drop(noted);
                self.keep(from, Act::Rename { to });
            }
        }
        true
    }

    fn copy(&mut self, from: &[u8], into: DatabaseId, to: &[u8]) -> bool {
        self.reads(self.database, from);
        if from == to && into == self.database {
            return self.view.copy(from, into, to);
        }
        self.replaces(into, to);
        let far = self.slots.group_of_key(from) != self.slots.group_of_key(to);
        let far = far.then(|| (self.view.value(from), self.view.expires_at(from).flatten()));
        let was_there = self.view.copy(from, into, to);
        match far {
            _ if !was_there => {}
            Some((value, expires_at)) => {
                self.keep_in(into, to, Act::Put { value: &value.unwrap_or_default(), expires_at });
            }
            None => self.keep(from, Act::Copy { into, to }),
        }
        was_there
    }

    fn exists_in(&self, database: DatabaseId, key: &[u8]) -> bool {
        self.looks(database, key);
        self.view.exists_in(database, key)
    }

    fn restore(&mut self, key: &[u8], dump: &[u8], expiry: Expiry) -> Result<(), BadDump> {
        self.replaces(self.database, key);
        self.view.restore(key, dump, expiry)?;
        let expires_at = if let Expiry::At(at) = expiry { Some(at) } else { None };
        // As it came, without version and checksum, which were good.
        let value = &dump[..dump.len() - keyspace::rdb::DUMP_FOOTER_BYTES];
        self.keep(key, Act::Put { value, expires_at });
        Ok(())
    }

    fn clear(&mut self) {
        self.noted.borrow_mut().wants_all = true;
        self.view.clear();
    }

    fn notify(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        self.keep(key, Act::Tell { class, event });
    }

    fn notify_in(&mut self, database: DatabaseId, class: EventClass, event: &'static str, key: &[u8]) {
        self.keep_in(database, key, Act::Tell { class, event });
    }
}

impl Lists for Recorded<'_> {
    fn list(&self, key: &[u8]) -> Result<Option<&dyn List>, WrongType> {
        self.reads(self.database, key);
        self.view.list(key)
    }

    fn list_insert(&mut self, key: &[u8], at: usize, elements: &[&[u8]]) -> Result<usize, WrongType> {
        let act = Act::ListInsert { at: at as u64, elements: elements.to_vec() };
        self.edits(key, |view| view.list_insert(key, at, elements), |_| Some(act))
    }

    fn list_remove(&mut self, key: &[u8], from: usize, count: usize) -> Result<(), WrongType> {
        let act = Act::ListRemove { from: from as u64, count: count as u64 };
        self.edits(key, |view| view.list_remove(key, from, count), |()| (count > 0).then_some(act))
    }

    fn list_replace(&mut self, key: &[u8], at: usize, element: &[u8]) -> Result<bool, WrongType> {
        let act = Act::ListReplace { at: at as u64, element };
        self.edits(key, |view| view.list_replace(key, at, element), |was_there| was_there.then_some(act))
    }
}

impl Sets for Recorded<'_> {
    fn set(&self, key: &[u8]) -> Result<Option<&dyn Set>, WrongType> {
        self.reads(self.database, key);
        self.view.set(key)
    }

    fn set_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let act = Act::SetAdd { members: members.to_vec() };
        self.edits(key, |view| view.set_add(key, members), |new| (*new > 0).then_some(act))
    }

    fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let act = Act::SetRemove { members: members.to_vec() };
        self.edits(key, |view| view.set_remove(key, members), |gone| (*gone > 0).then_some(act))
    }
}

impl Hashes for Recorded<'_> {
    fn hash(&self, key: &[u8]) -> Result<Option<&dyn Hash>, WrongType> {
        self.reads(self.database, key);
        self.view.hash(key)
    }

    fn hash_set(
        &mut self,
        key: &[u8],
        fields: &[(&[u8], &[u8])],
        expiry: Expiry,
    ) -> Result<usize, WrongType> {
        let act = Act::HashSet { fields: fields.to_vec(), expiry };
        self.edits(key, |view| view.hash_set(key, fields, expiry), |_| Some(act))
    }

    fn hash_remove(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<usize, WrongType> {
        let act = Act::HashRemove { fields: fields.to_vec() };
        self.edits(key, |view| view.hash_remove(key, fields), |gone| (*gone > 0).then_some(act))
    }

    fn hash_set_expiry(
        &mut self,
        key: &[u8],
        field: &[u8],
        at: Option<UnixMillis>,
    ) -> Result<bool, WrongType> {
        let act = Act::HashSetExpiry { field, at };
        self.edits(key, |view| view.hash_set_expiry(key, field, at), |was_there| was_there.then_some(act))
    }
}

impl SortedSets for Recorded<'_> {
    fn sorted_set(&self, key: &[u8]) -> Result<Option<&dyn SortedSet>, WrongType> {
        self.reads(self.database, key);
        self.view.sorted_set(key)
    }

    fn sorted_set_put(&mut self, key: &[u8], members: &[(&[u8], f64)]) -> Result<usize, WrongType> {
        let act = Act::SortedSetPut { members: members.to_vec() };
        self.edits(key, |view| view.sorted_set_put(key, members), |_| Some(act))
    }

    fn sorted_set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let act = Act::SortedSetRemove { members: members.to_vec() };
        self.edits(key, |view| view.sorted_set_remove(key, members), |gone| (*gone > 0).then_some(act))
    }
}

impl Streams for Recorded<'_> {
    fn stream(&self, key: &[u8]) -> Result<Option<&dyn Stream>, WrongType> {
        self.reads(self.database, key);
        self.view.stream(key)
    }

    fn stream_create(&mut self, key: &[u8]) -> Result<bool, WrongType> {
        self.edits(key, |view| view.stream_create(key), |is_new| is_new.then_some(Act::StreamCreate))
    }

    fn stream_append(&mut self, key: &[u8], id: StreamId, fields: Fields<'_>) -> Result<(), WrongType> {
        self.edits(
            key,
            |view| view.stream_append(key, id, fields),
            |()| Some(Act::StreamAppend { id, fields }),
        )
    }

    fn stream_remove(&mut self, key: &[u8], ids: &[StreamId]) -> Result<usize, WrongType> {
        let act = Act::StreamRemove { ids: ids.to_vec() };
        self.edits(key, |view| view.stream_remove(key, ids), |gone| (*gone > 0).then_some(act))
    }

    fn stream_trim(&mut self, key: &[u8], count: usize) -> Result<(), WrongType> {
        let act = Act::StreamTrim { count: count as u64 };
        self.edits(key, |view| view.stream_trim(key, count), |()| (count > 0).then_some(act))
    }

    fn stream_set_info(&mut self, key: &[u8], info: StreamInfo) -> Result<bool, WrongType> {
        let act = Act::StreamSetInfo { info };
        self.edits(key, |view| view.stream_set_info(key, info), |was_there| was_there.then_some(act))
    }

    fn group_put(&mut self, key: &[u8], group: &[u8], info: GroupInfo) -> Result<bool, WrongType> {
        let act = Act::GroupPut { group, info };
        self.edits(key, |view| view.group_put(key, group, info), |was_there| was_there.then_some(act))
    }

    fn group_remove(&mut self, key: &[u8], group: &[u8]) -> Result<bool, WrongType> {
        let act = Act::GroupRemove { group };
        self.edits(key, |view| view.group_remove(key, group), |was_there| was_there.then_some(act))
    }

    fn consumer_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        info: ConsumerInfo,
    ) -> Result<bool, WrongType> {
        let act = Act::ConsumerPut { group, consumer, info };
        let put = |view: &mut View<'_>| view.consumer_put(key, group, consumer, info);
        self.edits(key, put, |was_there| was_there.then_some(act))
    }

    fn consumer_remove(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
    ) -> Result<Option<usize>, WrongType> {
        let act = Act::ConsumerRemove { group, consumer };
        let remove = |view: &mut View<'_>| view.consumer_remove(key, group, consumer);
        self.edits(key, remove, |owed| owed.is_some().then_some(act))
    }

    fn pending_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        id: StreamId,
        pending: PendingEntry,
    ) -> Result<bool, WrongType> {
        let act = Act::PendingPut { group, id, pending: pending.clone() };
        self.edits(key, |view| view.pending_put(key, group, id, pending), |noted| noted.then_some(act))
    }

    fn pending_remove(&mut self, key: &[u8], group: &[u8], id: StreamId) -> Result<bool, WrongType> {
        let act = Act::PendingRemove { group, id };
        self.edits(key, |view| view.pending_remove(key, group, id), |gone| gone.then_some(act))
    }
}
