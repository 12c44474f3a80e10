//! Streams: entries by id, and groups whose consumers owe some of them.

use super::{COLLECTION_BYTES, Collection, Contents, OTHER_TYPE, Typed};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::part::Cursor;
use crate::position::MemberOrder;
use crate::rdb::Value;
use crate::tree::{Element, Tree, place_bytes};
use crate::view::View;
use base::database::streams::{
    ConsumerInfo, Fields, GroupInfo, PendingEntry, Stream, StreamId, StreamInfo, Streams,
};
use base::database::{Direction, WrongType};
use groups::Group;
use siphasher::sip::SipHasher13;

/// Groups, consumers, and what they owe.
mod groups;
/// Parts of streams, and what is digested of them.
mod parts;

/// An entry.
#[derive(Clone, Debug)]
struct Entry {
    id: StreamId,
    /// Packed.
    fields: Blob,
}

impl Element for Entry {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        self.id
    }

    fn bytes(&self) -> u64 {
        place_bytes::<Self>() + self.fields.heap_bytes()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StreamValue {
    entries: Tree<Entry>,
    info: StreamInfo,
    /// By name.
    groups: Tree<Group>,
}

impl StreamValue {
    /// The rank of a group (`Ok`), or what it would be (`Err`).
    fn locate_group(&self, name: &[u8]) -> Result<usize, usize> {
        let rank = self.groups.search((), |group| group.name() < name);
        if self.groups.get(rank).is_some_and(|group| group.name() == name) { Ok(rank) } else { Err(rank) }
    }

    fn find_group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(self.locate_group(name).ok()?)
    }

    /// Changes a group, if it is there.
    fn with_group<R>(&mut self, name: &[u8], change: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let rank = self.locate_group(name).ok()?;
        Some(self.groups.update(rank, change))
    }

    fn put_group(&mut self, name: &[u8], info: GroupInfo) {
        match self.locate_group(name) {
            Ok(rank) => self.groups.update(rank, |group| group.info = info),
            Err(rank) => self.groups.insert(rank, Group::new(name, info)),
        }
    }

    /// How much there is to free: entries, groups, and what they hold.
    pub(super) fn elements(&self) -> usize {
        self.entries.len() + self.groups.iter().map(Group::elements).sum::<usize>()
    }

    /// How many entries have an id below this one.
    fn rank(&self, id: StreamId) -> usize {
        self.entries.search(id, |entry| entry.id < id)
    }

    /// Deletes an entry; whether it was there.
    fn remove(&mut self, id: StreamId) -> bool {
        let rank = self.rank(id);
        let is_there = self.entries.get(rank).is_some_and(|entry| entry.id == id);
        if is_there {
            self.entries.remove(rank);
            self.info.max_deleted_id = self.info.max_deleted_id.max(id);
        }
        is_there
    }
}

impl Typed for StreamValue {
    fn of(collection: &Collection) -> Option<&Self> {
        if let Collection::Stream(stream) = collection { Some(stream) } else { None }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        if let Collection::Stream(stream) = collection { Some(stream) } else { None }
    }

    fn into_collection(self) -> Collection {
        Collection::Stream(Box::new(self))
    }
}

impl Contents for StreamValue {
    fn count(&self) -> usize {
        self.entries.len()
    }

    fn cost(&self) -> u64 {
        COLLECTION_BYTES + size_of::<Self>() as u64 + self.entries.bytes() + self.groups.bytes()
    }

    fn settle(&mut self) {}

    fn encoding(&self, _: &Encodings) -> &'static str {
        "stream"
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        self.digest_all(hasher);
    }

    fn part(&self, cursor: Cursor, budget_bytes: usize) -> (Value, Option<Cursor>) {
        let (part, next) = self.part_from(cursor, budget_bytes);
        (Value::Stream(part), next)
    }

    fn take_in(&mut self, part: Value, _: MemberOrder) -> Result<(), BadChunk> {
        match part {
            Value::Stream(part) => self.take_in_part(part),
            _ => Err(OTHER_TYPE),
        }
    }

    fn bury(&mut self, limit: usize) -> bool {
        if self.entries.bury(limit) {
            return true;
        }
        if let Some(last) = self.groups.len().checked_sub(1)
            && !self.groups.update(last, |group| group.bury(limit))
        {
            self.groups.remove(last);
        }
        !self.groups.is_empty()
    }

    fn check(&self, _: MemberOrder) {
        self.entries.check(|a, b| a.id < b.id);
        let last = self.entries.last().map(|entry| entry.id);
        base::invariant!("a stream gave out the ids it has", last.is_none_or(|id| id <= self.info.last_id));
        self.groups.check(|a, b| a.name() < b.name());
        self.groups.iter().for_each(Group::check);
    }
}

impl Stream for StreamValue {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn info(&self) -> StreamInfo {
        self.info
    }

    fn walk(
        &self,
        from: StreamId,
        direction: Direction,
        visit: &mut dyn FnMut(StreamId, Fields<'_>) -> bool,
    ) {
        let mut visit = |entry: &Entry| visit(entry.id, Fields::packed(entry.fields.bytes()));
        let below = self.rank(from);
        let _ = match direction {
            Direction::Forward => self.entries.iter_from(below).all(&mut visit),
            Direction::Backward => {
                let is_there = self.entries.get(below).is_some_and(|entry| entry.id == from);
                match (below + usize::from(is_there)).checked_sub(1) {
                    Some(rank) => self.entries.iter_back_from(rank).all(&mut visit),
                    None => true,
                }
            }
        };
    }

    fn count_below(&self, id: StreamId) -> usize {
        self.rank(id)
    }

    fn group(&self, group: &[u8]) -> Option<GroupInfo> {
        self.find_group(group).map(|group| group.info)
    }

    fn walk_groups(&self, visit: &mut dyn FnMut(&[u8], GroupInfo)) {
        self.groups.iter().for_each(|group| visit(group.name(), group.info));
    }

    fn consumer(&self, group: &[u8], consumer: &[u8]) -> Option<ConsumerInfo> {
        self.find_group(group)?.consumer(consumer)
    }

    fn walk_consumers(&self, group: &[u8], visit: &mut dyn FnMut(&[u8], ConsumerInfo)) {
        if let Some(group) = self.find_group(group) {
            group.walk_consumers(visit);
        }
    }

    fn pending_len(&self, group: &[u8]) -> usize {
        self.find_group(group).map_or(0, Group::pending_len)
    }

    fn pending(&self, group: &[u8], id: StreamId) -> Option<PendingEntry> {
        self.find_group(group)?.pending(id)
    }

    fn walk_pending(
        &self,
        group: &[u8],
        consumer: Option<&[u8]>,
        from: StreamId,
        visit: &mut dyn FnMut(StreamId, &PendingEntry) -> bool,
    ) {
        if let Some(group) = self.find_group(group) {
            group.walk_pending(consumer, from, visit);
        }
    }
}

impl View<'_> {
    fn edit_group<R: Default>(
        &mut self,
        key: &[u8],
        group: &[u8],
        change: impl FnOnce(&mut Group) -> (R, bool),
    ) -> Result<R, WrongType> {
        let changed = self.edit(key, false, |stream: &mut StreamValue, _, _| {
            stream.with_group(group, change).unwrap_or_default()
        })?;
        Ok(changed.unwrap_or_default())
    }
}

impl Streams for View<'_> {
    fn stream(&self, key: &[u8]) -> Result<Option<&dyn Stream>, WrongType> {
        Ok(self.typed::<StreamValue>(key)?.map(|stream| stream as &dyn Stream))
    }

    fn stream_create(&mut self, key: &[u8]) -> Result<bool, WrongType> {
        if self.stream(key)?.is_some() {
            return Ok(false);
        }
        self.edit(key, true, |_: &mut StreamValue, _, _| ((), true))?;
        Ok(true)
    }

    fn stream_append(&mut self, key: &[u8], id: StreamId, fields: Fields<'_>) -> Result<(), WrongType> {
        self.edit(key, true, |stream: &mut StreamValue, _, _| {
            assert!(id > stream.info.last_id, "ids only grow");
            stream.entries.push(Entry { id, fields: Blob::new(fields.bytes()) });
            stream.info.last_id = id;
            stream.info.entries_added += 1;
            ((), true)
        })?;
        Ok(())
    }

    fn stream_remove(&mut self, key: &[u8], ids: &[StreamId]) -> Result<usize, WrongType> {
        let removed = self.edit(key, false, |stream: &mut StreamValue, _, _| {
            let gone = ids.iter().filter(|id| stream.remove(**id)).count();
            (gone, gone > 0)
        })?;
        Ok(removed.unwrap_or(0))
    }

    fn stream_trim(&mut self, key: &[u8], count: usize) -> Result<(), WrongType> {
        self.edit(key, false, |stream: &mut StreamValue, _, graveyard| {
            let entries = stream.entries.remove_range(0, count);
            let changed = !entries.is_empty();
            StreamValue { entries, ..StreamValue::default() }.into_collection().retire(graveyard);
            ((), changed)
        })?;
        Ok(())
    }

    fn stream_set_info(&mut self, key: &[u8], info: StreamInfo) -> Result<bool, WrongType> {
        let set = self.edit(key, false, |stream: &mut StreamValue, _, _| {
            // What was given out stays given out.
            let newest = stream.entries.last().map_or(StreamId::MIN, |entry| entry.id);
            stream.info = StreamInfo { last_id: info.last_id.max(newest), ..info };
            (true, true)
        })?;
        Ok(set.unwrap_or(false))
    }

    fn group_put(&mut self, key: &[u8], group: &[u8], info: GroupInfo) -> Result<bool, WrongType> {
        let put = self.edit(key, false, |stream: &mut StreamValue, _, _| {
            stream.put_group(group, info);
            (true, true)
        })?;
        Ok(put.unwrap_or(false))
    }

    fn group_remove(&mut self, key: &[u8], group: &[u8]) -> Result<bool, WrongType> {
        let removed = self.edit(key, false, |stream: &mut StreamValue, _, graveyard| {
            let Ok(rank) = stream.locate_group(group) else { return (false, false) };
            let groups = stream.groups.remove_range(rank, 1);
            StreamValue { groups, ..StreamValue::default() }.into_collection().retire(graveyard);
            (true, true)
        })?;
        Ok(removed.unwrap_or(false))
    }

    fn consumer_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        info: ConsumerInfo,
    ) -> Result<bool, WrongType> {
        self.edit_group(key, group, |group| {
            group.put_consumer(consumer, info);
            (true, true)
        })
    }

    fn consumer_remove(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
    ) -> Result<Option<usize>, WrongType> {
        self.edit_group(key, group, |group| {
            let owed = group.remove_consumer(consumer);
            (owed, owed.is_some())
        })
    }

    fn pending_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        id: StreamId,
        pending: PendingEntry,
    ) -> Result<bool, WrongType> {
        self.edit_group(key, group, |group| {
            let noted = group.put_pending(id, &pending);
            (noted, noted)
        })
    }

    fn pending_remove(&mut self, key: &[u8], group: &[u8], id: StreamId) -> Result<bool, WrongType> {
        self.edit_group(key, group, |group| {
            let removed = group.remove_pending(id);
            (removed, removed)
        })
    }
}
