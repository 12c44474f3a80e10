//! Lists, sets, hashes, sorted sets and streams out of vectors and maps.

use super::{Model, Value};
use base::UnixMillis;
use base::database::hashes::{Hash, Hashes};
use base::database::lists::{List, Lists};
use base::database::sets::{Set, Sets};
use base::database::sorted_sets::{SortedSet, SortedSets};
use base::database::streams::{
    ConsumerInfo, Fields, GroupInfo, PendingEntry, Stream, StreamId, StreamInfo, Streams,
};
use base::database::{Database, Direction, Expiry, WrongType};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListValue(pub(crate) Vec<Vec<u8>>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SetValue(BTreeSet<Vec<u8>>);

/// Values with their deadlines.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HashValue(BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMillis>)>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SortedSetValue(Vec<(f64, Vec<u8>)>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamValue {
    entries: BTreeMap<StreamId, Vec<u8>>,
    info: StreamInfo,
    groups: BTreeMap<Vec<u8>, Group>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    info: GroupInfo,
    consumers: BTreeMap<Vec<u8>, ConsumerInfo>,
    pending: BTreeMap<StreamId, PendingEntry>,
}

/// Indexes from `from` on, as long as they lie within `len`.
fn indexes(len: usize, from: usize, direction: Direction) -> Vec<usize> {
    match direction {
        _ if from >= len => Vec::new(),
        Direction::Forward => (from..len).collect(),
        Direction::Backward => (0..=from).rev().collect(),
    }
}

/// One page of a scan over what is in an order.
fn page<T>(all: impl Iterator<Item = T>, cursor: u64, limit: usize, mut visit: impl FnMut(T)) -> Option<u64> {
    let mut all = all.skip(cursor as usize).peekable();
    let mut next = cursor;
    for _ in 0..limit.max(1) {
        visit(all.next()?);
        next += 1;
    }
    all.peek().is_some().then_some(next)
}

impl List for ListValue {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.get(index).map(|element| &element[..])
    }

    fn walk(&self, from: usize, direction: Direction, visit: &mut dyn FnMut(usize, &[u8]) -> bool) {
        for index in indexes(self.0.len(), from, direction) {
            if !visit(index, &self.0[index]) {
                return;
            }
        }
    }
}

impl Lists for Model {
    fn list(&self, key: &[u8]) -> Result<Option<&dyn List>, WrongType> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(_) => Err(WrongType),
        }
    }

    fn list_insert(&mut self, key: &[u8], at: usize, elements: &[&[u8]]) -> Result<usize, WrongType> {
        self.list(key)?;
        if elements.is_empty() {
            return Ok(self.list(key)?.map_or(0, List::len));
        }
        let Value::List(list) = self.value_or(key, Value::List(ListValue::default())) else {
            return Err(WrongType);
        };
        list.0.splice(at..at, elements.iter().map(|element| element.to_vec()));
        Ok(list.0.len())
    }

    fn list_remove(&mut self, key: &[u8], from: usize, count: usize) -> Result<(), WrongType> {
        if self.list(key)?.is_none() {
            return Ok(());
        }
        let Value::List(list) = self.value_or(key, Value::List(ListValue::default())) else {
            return Err(WrongType);
        };
        let end = from.saturating_add(count).min(list.0.len());
        list.0.drain(from.min(end)..end);
        if list.0.is_empty() {
            self.remove(key);
        }
        Ok(())
    }

    fn list_replace(&mut self, key: &[u8], at: usize, element: &[u8]) -> Result<bool, WrongType> {
        if self.list(key)?.is_none() {
            return Ok(false);
        }
        let Value::List(list) = self.value_or(key, Value::List(ListValue::default())) else {
            return Err(WrongType);
        };
        let found = list.0.get_mut(at);
        Ok(found.map(|old| *old = element.to_vec()).is_some())
    }
}

impl Set for SetValue {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn contains(&self, member: &[u8]) -> bool {
        self.0.contains(member)
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.iter().nth(index).map(|member| &member[..])
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8]) -> bool) {
        let _ = self.0.iter().all(|member| visit(member));
    }

    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8])) -> Option<u64> {
        page(self.0.iter(), cursor, limit, |member| visit(member))
    }
}

impl Sets for Model {
    fn set(&self, key: &[u8]) -> Result<Option<&dyn Set>, WrongType> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Set(set)) => Ok(Some(set)),
            Some(_) => Err(WrongType),
        }
    }

    fn set_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        self.set(key)?;
        if members.is_empty() {
            return Ok(0);
        }
        let Value::Set(set) = self.value_or(key, Value::Set(SetValue::default())) else {
            return Err(WrongType);
        };
        Ok(members.iter().filter(|member| set.0.insert(member.to_vec())).count())
    }

    fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        if self.set(key)?.is_none() {
            return Ok(0);
        }
        let Value::Set(set) = self.value_or(key, Value::Set(SetValue::default())) else {
            return Err(WrongType);
        };
        let gone = members.iter().filter(|member| set.0.remove(**member)).count();
        if set.0.is_empty() {
            self.remove(key);
        }
        Ok(gone)
    }
}

impl HashValue {
    fn live(&self, now: UnixMillis) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.0
            .iter()
            .filter(move |(_, (_, until))| until.is_none_or(|until| until > now))
            .map(|(field, (value, _))| (field, value))
    }
}

impl Hash for HashValue {
    fn len(&self, now: UnixMillis) -> usize {
        self.live(now).count()
    }

    fn get(&self, field: &[u8], now: UnixMillis) -> Option<&[u8]> {
        let (value, until) = self.0.get(field)?;
        until.is_none_or(|until| until > now).then_some(value)
    }

    fn expires_at(&self, field: &[u8], now: UnixMillis) -> Option<Option<UnixMillis>> {
        let (_, until) = self.0.get(field)?;
        until.is_none_or(|until| until > now).then_some(*until)
    }

    fn at(&self, index: usize, now: UnixMillis) -> Option<(&[u8], &[u8])> {
        self.live(now).nth(index).map(|(field, value)| (&field[..], &value[..]))
    }

    fn walk(&self, now: UnixMillis, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let _ = self.live(now).all(|(field, value)| visit(field, value));
    }

    fn scan(
        &self,
        cursor: u64,
        limit: usize,
        now: UnixMillis,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<u64> {
        page(self.live(now), cursor, limit, |(field, value)| visit(field, value))
    }
}

impl Model {
    /// A hash without a field that is there is none.
    fn drop_empty_hash(&mut self, key: &[u8]) {
        let now = self.now;
        if let Some(Value::Hash(hash)) = self.value(key)
            && hash.live(now).next().is_none()
        {
            self.remove(key);
        }
    }
}

impl Hashes for Model {
    fn hash(&self, key: &[u8]) -> Result<Option<&dyn Hash>, WrongType> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(WrongType),
        }
    }

    fn hash_set(
        &mut self,
        key: &[u8],
        fields: &[(&[u8], &[u8])],
        expiry: Expiry,
    ) -> Result<usize, WrongType> {
        self.hash(key)?;
        let now = self.now;
        let Value::Hash(hash) = self.value_or(key, Value::Hash(HashValue::default())) else {
            return Err(WrongType);
        };
        let mut new = 0;
        for (field, value) in fields {
            let before = hash.expires_at(field, now);
            new += usize::from(before.is_none());
            let until = match expiry {
                Expiry::Keep => before.flatten(),
                Expiry::Clear => None,
                Expiry::At(until) => Some(until),
            };
            hash.0.insert(field.to_vec(), (value.to_vec(), until));
        }
        hash.0.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        self.drop_empty_hash(key);
        Ok(new)
    }

    fn hash_remove(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<usize, WrongType> {
        if self.hash(key)?.is_none() {
            return Ok(0);
        }
        let now = self.now;
        let Value::Hash(hash) = self.value_or(key, Value::Hash(HashValue::default())) else {
            return Err(WrongType);
        };
        let before = hash.len(now);
        hash.0.retain(|field, _| !fields.contains(&&field[..]));
        let gone = before - hash.len(now);
        self.drop_empty_hash(key);
        Ok(gone)
    }

    fn hash_set_expiry(
        &mut self,
        key: &[u8],
        field: &[u8],
        at: Option<UnixMillis>,
    ) -> Result<bool, WrongType> {
        let now = self.now;
        if self.hash(key)?.is_none_or(|hash| hash.get(field, now).is_none()) {
            return Ok(false);
        }
        if at.is_some_and(|at| at <= now) {
            return self.hash_remove(key, &[field]).map(|gone| gone > 0);
        }
        let Value::Hash(hash) = self.value_or(key, Value::Hash(HashValue::default())) else {
            return Err(WrongType);
        };
        Ok(hash.0.get_mut(field).map(|(_, until)| *until = at).is_some())
    }
}

impl SortedSetValue {
    fn sort(&mut self) {
        self.0.sort_by(|(a, left), (b, right)| a.total_cmp(b).then_with(|| left.cmp(right)));
    }
}

impl SortedSet for SortedSetValue {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        self.0.iter().find(|(_, found)| found == member).map(|(score, _)| *score)
    }

    fn rank(&self, member: &[u8]) -> Option<usize> {
        self.0.iter().position(|(_, found)| found == member)
    }

    fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.0.get(rank).map(|(score, member)| (&member[..], *score))
    }

    fn count_below(&self, score: f64, inclusive: bool) -> usize {
        self.0.iter().filter(|(found, _)| *found < score || inclusive && *found == score).count()
    }

    fn count_below_lex(&self, bound: &[u8], inclusive: bool) -> usize {
        self.0.partition_point(|(_, member)| &member[..] < bound || inclusive && member == bound)
    }

    fn walk(&self, rank: usize, direction: Direction, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
        for index in indexes(self.0.len(), rank, direction) {
            let (score, member) = &self.0[index];
            if !visit(member, *score) {
                return;
            }
        }
    }

    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8], f64)) -> Option<u64> {
        page(self.0.iter(), cursor, limit, |(score, member)| visit(member, *score))
    }
}

impl SortedSets for Model {
    fn sorted_set(&self, key: &[u8]) -> Result<Option<&dyn SortedSet>, WrongType> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::SortedSet(set)) => Ok(Some(set)),
            Some(_) => Err(WrongType),
        }
    }

    fn sorted_set_put(&mut self, key: &[u8], members: &[(&[u8], f64)]) -> Result<usize, WrongType> {
        self.sorted_set(key)?;
        if members.is_empty() {
            return Ok(0);
        }
        let Value::SortedSet(set) = self.value_or(key, Value::SortedSet(SortedSetValue::default())) else {
            return Err(WrongType);
        };
        let before = set.0.len();
        for (member, score) in members {
            assert!(!score.is_nan(), "a score is a number");
            set.0.retain(|(_, found)| found != member);
            set.0.push((*score, member.to_vec()));
        }
        set.sort();
        Ok(set.0.len() - before)
    }

    fn sorted_set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        if self.sorted_set(key)?.is_none() {
            return Ok(0);
        }
        let Value::SortedSet(set) = self.value_or(key, Value::SortedSet(SortedSetValue::default())) else {
            return Err(WrongType);
        };
        let before = set.0.len();
        set.0.retain(|(_, found)| !members.contains(&&found[..]));
        let gone = before - set.0.len();
        if set.0.is_empty() {
            self.remove(key);
        }
        Ok(gone)
    }
}

impl Group {
    fn consumer(&self, name: &[u8]) -> Option<ConsumerInfo> {
        let pending = self.pending.values().filter(|entry| entry.consumer == name).count();
        self.consumers.get(name).map(|info| ConsumerInfo { pending, ..*info })
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
        let _ = match direction {
            Direction::Forward => {
                self.entries.range(from..).all(|(id, bytes)| visit(*id, Fields::packed(bytes)))
            }
            Direction::Backward => {
                self.entries.range(..=from).rev().all(|(id, bytes)| visit(*id, Fields::packed(bytes)))
            }
        };
    }

    fn count_below(&self, id: StreamId) -> usize {
        self.entries.range(..id).count()
    }

    fn group(&self, group: &[u8]) -> Option<GroupInfo> {
        self.groups.get(group).map(|group| group.info)
    }

    fn walk_groups(&self, visit: &mut dyn FnMut(&[u8], GroupInfo)) {
        self.groups.iter().for_each(|(name, group)| visit(name, group.info));
    }

    fn consumer(&self, group: &[u8], consumer: &[u8]) -> Option<ConsumerInfo> {
        self.groups.get(group)?.consumer(consumer)
    }

    fn walk_consumers(&self, group: &[u8], visit: &mut dyn FnMut(&[u8], ConsumerInfo)) {
        let Some(group) = self.groups.get(group) else { return };
        for name in group.consumers.keys() {
            visit(name, group.consumer(name).expect("it is there"));
        }
    }

    fn pending_len(&self, group: &[u8]) -> usize {
        self.groups.get(group).map_or(0, |group| group.pending.len())
    }

    fn pending(&self, group: &[u8], id: StreamId) -> Option<PendingEntry> {
        self.groups.get(group)?.pending.get(&id).cloned()
    }

    fn walk_pending(
        &self,
        group: &[u8],
        consumer: Option<&[u8]>,
        from: StreamId,
        visit: &mut dyn FnMut(StreamId, &PendingEntry) -> bool,
    ) {
        let Some(group) = self.groups.get(group) else { return };
        let _ = group
            .pending
            .range(from..)
            .filter(|(_, entry)| consumer.is_none_or(|consumer| entry.consumer == consumer))
            .all(|(id, entry)| visit(*id, entry));
    }
}

impl Model {
    fn stream_mut(&mut self, key: &[u8]) -> Result<Option<&mut StreamValue>, WrongType> {
        if self.stream(key)?.is_none() {
            return Ok(None);
        }
        match self.value_or(key, Value::Stream(StreamValue::default())) {
            Value::Stream(stream) => Ok(Some(stream)),
            _ => Err(WrongType),
        }
    }

    fn group_mut(&mut self, key: &[u8], group: &[u8]) -> Result<Option<&mut Group>, WrongType> {
        Ok(self.stream_mut(key)?.and_then(|stream| stream.groups.get_mut(group)))
    }
}

impl Streams for Model {
    fn stream(&self, key: &[u8]) -> Result<Option<&dyn Stream>, WrongType> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(_) => Err(WrongType),
        }
    }

    fn stream_create(&mut self, key: &[u8]) -> Result<bool, WrongType> {
        let new = self.stream(key)?.is_none();
        self.value_or(key, Value::Stream(StreamValue::default()));
        Ok(new)
    }

    fn stream_append(&mut self, key: &[u8], id: StreamId, fields: Fields<'_>) -> Result<(), WrongType> {
        self.stream_create(key)?;
        let stream = self.stream_mut(key)?.expect("it is there");
        assert!(id > stream.info.last_id, "ids only grow");
        stream.entries.insert(id, fields.bytes().to_vec());
        stream.info.last_id = id;
        stream.info.entries_added += 1;
        Ok(())
    }

    fn stream_remove(&mut self, key: &[u8], ids: &[StreamId]) -> Result<usize, WrongType> {
        let Some(stream) = self.stream_mut(key)? else { return Ok(0) };
        let mut gone = 0;
        for id in ids {
            if stream.entries.remove(id).is_some() {
                gone += 1;
                stream.info.max_deleted_id = stream.info.max_deleted_id.max(*id);
            }
        }
        Ok(gone)
    }

    fn stream_trim(&mut self, key: &[u8], count: usize) -> Result<(), WrongType> {
        if let Some(stream) = self.stream_mut(key)? {
            for _ in 0..count {
                stream.entries.pop_first();
            }
        }
        Ok(())
    }

    fn stream_set_info(&mut self, key: &[u8], info: StreamInfo) -> Result<bool, WrongType> {
        Ok(self.stream_mut(key)?.map(|stream| stream.info = info).is_some())
    }

    fn group_put(&mut self, key: &[u8], group: &[u8], info: GroupInfo) -> Result<bool, WrongType> {
        let Some(stream) = self.stream_mut(key)? else { return Ok(false) };
        stream.groups.entry(group.to_vec()).or_default().info = info;
        Ok(true)
    }

    fn group_remove(&mut self, key: &[u8], group: &[u8]) -> Result<bool, WrongType> {
        Ok(self.stream_mut(key)?.is_some_and(|stream| stream.groups.remove(group).is_some()))
    }

    fn consumer_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        info: ConsumerInfo,
    ) -> Result<bool, WrongType> {
        let Some(group) = self.group_mut(key, group)? else { return Ok(false) };
        group.consumers.insert(consumer.to_vec(), info);
        Ok(true)
    }

    fn consumer_remove(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
    ) -> Result<Option<usize>, WrongType> {
        let Some(group) = self.group_mut(key, group)? else { return Ok(None) };
        let owed = group.consumer(consumer).map(|info| info.pending);
        group.consumers.remove(consumer);
        group.pending.retain(|_, entry| entry.consumer != consumer);
        Ok(owed)
    }

    fn pending_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        id: StreamId,
        pending: PendingEntry,
    ) -> Result<bool, WrongType> {
        let Some(group) = self.group_mut(key, group)? else { return Ok(false) };
        let known = group.consumers.contains_key(&pending.consumer);
        if known {
            group.pending.insert(id, pending);
        }
        Ok(known)
    }

    fn pending_remove(&mut self, key: &[u8], group: &[u8], id: StreamId) -> Result<bool, WrongType> {
        Ok(self.group_mut(key, group)?.is_some_and(|group| group.pending.remove(&id).is_some()))
    }
}
