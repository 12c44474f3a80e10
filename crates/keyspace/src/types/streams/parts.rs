//! Parts of streams: all say what the stream knows; entries come first, then each group with its consumers and what they
//! owe. A part of a group says what the group knows, and has the consumers of what it has.

use super::groups::{Consumer, Group, Pending};
use super::{Entry, StreamValue};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::part::{Budget, Cursor};
use crate::rdb;
use crate::types::digest_bytes;
use base::database::streams::{ConsumerInfo, GroupInfo, StreamId, StreamInfo};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

impl Consumer {
    fn value(&self) -> rdb::ConsumerValue {
        let name = self.name.bytes().to_vec();
        rdb::ConsumerValue { name, seen_at: self.seen_at, active_at: self.active_at }
    }
}

impl Group {
    /// Consumers and what they owe, from `rank` on; where to go on.
    fn part(&self, rank: usize, budget: &mut Budget) -> (rdb::GroupValue, Option<usize>) {
        let consumers: Vec<rdb::ConsumerValue> = self
            .consumers
            .iter_from(rank)
            .take_while(|consumer| budget.take(consumer.name.bytes().len()))
            .map(Consumer::value)
            .collect();
        let mut at = rank + consumers.len();
        let mut part =
            rdb::GroupValue { name: self.name().to_vec(), info: self.info, consumers, pending: Vec::new() };
        if at < self.consumers.len() {
            return (part, Some(at));
        }
        let pending = self.pending.iter_from(at - self.consumers.len());
        let taken: Vec<&Pending> =
            pending.take_while(|pending| budget.take(16 + pending.consumer.bytes().len())).collect();
        at += taken.len();
        part.pending = taken.iter().map(|pending| (pending.id, pending.entry())).collect();
        if rank > 0 {
            let mut owing: Vec<&[u8]> = taken.iter().map(|pending| pending.consumer.bytes()).collect();
            owing.sort_unstable();
            owing.dedup();
            let is_absent = |name: &&[u8]| part.consumers.iter().all(|consumer| consumer.name != *name);
            let absent: Vec<_> = owing.into_iter().filter(is_absent).collect();
            part.consumers
                .extend(absent.into_iter().filter_map(|name| self.find_consumer(name)).map(Consumer::value));
        }
        (part, (at < self.consumers.len() + self.pending.len()).then_some(at))
    }

    fn take_in(&mut self, part: rdb::GroupValue) -> Result<(), BadChunk> {
        for consumer in part.consumers {
            let (seen_at, active_at) = (consumer.seen_at, consumer.active_at);
            self.put_consumer(&consumer.name, ConsumerInfo { seen_at, active_at, pending: 0 });
        }
        for (id, entry) in part.pending {
            if self.pending(id).is_some() {
                return Err(BadChunk("a pending entry that is there already"));
            }
            if !self.put_pending(id, &entry) {
                return Err(BadChunk("a pending entry without its consumer"));
            }
        }
        Ok(())
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        let GroupInfo { last_delivered, entries_read } = self.info;
        digest_bytes(hasher, self.name());
        digest_id(hasher, last_delivered);
        hasher.write(&[u8::from(entries_read.is_some())]);
        digest_numbers(hasher, &[entries_read.unwrap_or(0), self.consumers.len() as u64]);
        for consumer in self.consumers.iter() {
            digest_bytes(hasher, consumer.name.bytes());
            hasher.write(&[u8::from(consumer.active_at.is_some())]);
            digest_numbers(hasher, &[consumer.seen_at.0, consumer.active_at.map_or(0, |at| at.0)]);
        }
        digest_numbers(hasher, &[self.pending.len() as u64]);
        for pending in self.pending.iter() {
            digest_id(hasher, pending.id);
            digest_bytes(hasher, pending.consumer.bytes());
            digest_numbers(hasher, &[pending.delivered_at.0, pending.deliveries]);
        }
    }
}

impl StreamValue {
    pub(super) fn part_from(
        &self,
        cursor: Cursor,
        budget_bytes: usize,
    ) -> (rdb::StreamValue, Option<Cursor>) {
        let mut budget = Budget::new(budget_bytes);
        let mut part = rdb::StreamValue { info: self.info, ..rdb::StreamValue::default() };
        let Cursor { mut group, mut rank } = cursor;
        if group == 0 {
            let entries = self.entries.iter_from(rank);
            let taken = entries.take_while(|entry| budget.take(16 + entry.fields.bytes().len()));
            part.entries = taken.map(|entry| (entry.id, entry.fields.bytes().to_vec())).collect();
            rank += part.entries.len();
            if rank < self.entries.len() {
                return (part, Some(Cursor { group, rank }));
            }
            (group, rank) = (1, 0);
        }
        for found in self.groups.iter_from(group - 1) {
            if !budget.take(found.name().len()) {
                return (part, Some(Cursor { group, rank }));
            }
            let (value, next) = found.part(rank, &mut budget);
            part.groups.push(value);
            if let Some(rank) = next {
                return (part, Some(Cursor { group, rank }));
            }
            (group, rank) = (group + 1, 0);
        }
        (part, None)
    }

    pub(super) fn take_in_part(&mut self, part: rdb::StreamValue) -> Result<(), BadChunk> {
        self.info = part.info;
        for (id, fields) in part.entries {
            let rank = self.rank(id);
            if self.entries.get(rank).is_some_and(|entry| entry.id == id) {
                return Err(BadChunk("an entry that is there already"));
            }
            self.entries.insert(rank, Entry { id, fields: Blob::new(&fields) });
        }
        if self.entries.last().is_some_and(|last| last.id > self.info.last_id) {
            return Err(BadChunk("an entry that its stream never gave out"));
        }
        for group in part.groups {
            self.put_group(&group.name, group.info);
            let name = group.name.clone();
            self.with_group(&name, |found| found.take_in(group)).unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    pub(super) fn digest_all(&self, hasher: &mut SipHasher13) {
        let StreamInfo { last_id, max_deleted_id, entries_added } = self.info;
        digest_id(hasher, last_id);
        digest_id(hasher, max_deleted_id);
        digest_numbers(hasher, &[entries_added, self.groups.len() as u64]);
        for entry in self.entries.iter() {
            digest_id(hasher, entry.id);
            digest_bytes(hasher, entry.fields.bytes());
        }
        self.groups.iter().for_each(|group| group.digest(hasher));
    }
}

fn digest_numbers(hasher: &mut SipHasher13, numbers: &[u64]) {
    numbers.iter().for_each(|number| hasher.write(&number.to_le_bytes()));
}

fn digest_id(hasher: &mut SipHasher13, id: StreamId) {
    digest_numbers(hasher, &[id.ms, id.sequence]);
}
