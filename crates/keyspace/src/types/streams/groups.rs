//! Groups, consumers, and what they owe: by id for the group, and for each consumer which of the ids are its own.

use crate::blob::Blob;
use crate::tree::{Element, Tree, place_bytes};
use base::UnixMillis;
use base::database::streams::{ConsumerInfo, GroupInfo, PendingEntry, StreamId};

/// An entry that was handed out and isn't acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: StreamId,
    pub(super) consumer: Blob,
    pub(super) delivered_at: UnixMillis,
    pub(super) deliveries: u64,
}

/// The id of one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed(StreamId);

#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) name: Blob,
    pub(super) seen_at: UnixMillis,
    pub(super) active_at: Option<UnixMillis>,
    owes: Tree<Owed>,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    name: Blob,
    pub(super) info: GroupInfo,
    /// By name.
    pub(super) consumers: Tree<Consumer>,
    pub(super) pending: Tree<Pending>,
}

impl Element for Pending {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        self.id
    }

    /// A long name is its consumer's, which counts it.
    fn bytes(&self) -> u64 {
        place_bytes::<Self>()
    }
}

impl Element for Owed {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        self.0
    }

    fn bytes(&self) -> u64 {
        place_bytes::<Self>()
    }
}

impl Element for Consumer {
    type Key = ();

    fn key(&self) {}

    fn bytes(&self) -> u64 {
        place_bytes::<Self>() + self.name.heap_bytes() + self.owes.bytes()
    }
}

impl Element for Group {
    type Key = ();

    fn key(&self) {}

    fn bytes(&self) -> u64 {
        place_bytes::<Self>() + self.name.heap_bytes() + self.consumers.bytes() + self.pending.bytes()
    }
}

impl Consumer {
    fn info(&self) -> ConsumerInfo {
        ConsumerInfo { seen_at: self.seen_at, active_at: self.active_at, pending: self.owes.len() }
    }

    fn owe(&mut self, id: StreamId) {
        let rank = self.owes.search(id, |owed| owed.0 < id);
        self.owes.insert(rank, Owed(id));
    }

    fn settle(&mut self, id: StreamId) {
        let rank = self.owes.search(id, |owed| owed.0 < id);
        let owed = self.owes.remove(rank);
        base::invariant!("a consumer knows what it owes", owed.0 == id);
    }
}

impl Pending {
    pub(super) fn entry(&self) -> PendingEntry {
        PendingEntry {
            consumer: self.consumer.bytes().to_vec(),
            delivered_at: self.delivered_at,
            deliveries: self.deliveries,
        }
    }
}

impl Group {
    pub(super) fn new(name: &[u8], info: GroupInfo) -> Self {
        Self { name: Blob::new(name), info, consumers: Tree::default(), pending: Tree::default() }
    }

    pub(super) fn name(&self) -> &[u8] {
        self.name.bytes()
    }

    /// The rank of a consumer (`Ok`), or what it would be (`Err`).
    fn locate(&self, name: &[u8]) -> Result<usize, usize> {
        let rank = self.consumers.search((), |consumer| consumer.name.bytes() < name);
        let found = self.consumers.get(rank).is_some_and(|consumer| consumer.name.bytes() == name);
        if found { Ok(rank) } else { Err(rank) }
    }

    fn with_consumer(&mut self, name: &[u8], change: impl FnOnce(&mut Consumer)) {
        let rank = self.locate(name).ok();
        base::invariant!("who owes is a consumer", rank.is_some());
        if let Some(rank) = rank {
            self.consumers.update(rank, change);
        }
    }

    pub(super) fn find_consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(self.locate(name).ok()?)
    }

    pub(super) fn consumer(&self, name: &[u8]) -> Option<ConsumerInfo> {
        self.find_consumer(name).map(Consumer::info)
    }

    pub(super) fn walk_consumers(&self, visit: &mut dyn FnMut(&[u8], ConsumerInfo)) {
        self.consumers.iter().for_each(|consumer| visit(consumer.name.bytes(), consumer.info()));
    }

    pub(super) fn put_consumer(&mut self, name: &[u8], info: ConsumerInfo) {
        let (seen_at, active_at) = (info.seen_at, info.active_at);
        match self.locate(name) {
            Ok(rank) => self.consumers.update(rank, |consumer| {
                consumer.seen_at = seen_at;
                consumer.active_at = active_at;
            }),
            Err(rank) => {
                let name = Blob::new(name);
                self.consumers.insert(rank, Consumer { name, seen_at, active_at, owes: Tree::default() });
            }
        }
    }

    /// Deletes a consumer with what it owes; how many entries that were.
    pub(super) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let rank = self.locate(name).ok()?;
        let consumer = self.consumers.remove(rank);
        for owed in consumer.owes.iter() {
            let rank = self.rank(owed.0);
            self.pending.remove(rank);
        }
        Some(consumer.owes.len())
    }

    fn rank(&self, id: StreamId) -> usize {
        self.pending.search(id, |pending| pending.id < id)
    }

    fn find(&self, id: StreamId) -> Option<(usize, &Pending)> {
        let rank = self.rank(id);
        self.pending.get(rank).filter(|pending| pending.id == id).map(|pending| (rank, pending))
    }

    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn pending(&self, id: StreamId) -> Option<PendingEntry> {
        self.find(id).map(|(_, pending)| pending.entry())
    }

    pub(super) fn walk_pending(
        &self,
        consumer: Option<&[u8]>,
        from: StreamId,
        visit: &mut dyn FnMut(StreamId, &PendingEntry) -> bool,
    ) {
        let mut visit = |pending: &Pending| visit(pending.id, &pending.entry());
        let Some(name) = consumer else {
            let _ = self.pending.iter_from(self.rank(from)).all(visit);
            return;
        };
        let Ok(rank) = self.locate(name) else { return };
        let Some(consumer) = self.consumers.get(rank) else { return };
        let first = consumer.owes.search(from, |owed| owed.0 < from);
        let mut owed = consumer.owes.iter_from(first);
        let _ = owed.all(|owed| self.find(owed.0).is_some_and(|(_, pending)| visit(pending)));
    }

    /// Notes that an entry was handed to a consumer; whether there is such a consumer.
    pub(super) fn put_pending(&mut self, id: StreamId, entry: &PendingEntry) -> bool {
        let Ok(rank) = self.locate(&entry.consumer) else { return false };
        let Some(name) = self.consumers.get(rank).map(|consumer| consumer.name.clone()) else { return false };
        let pending =
            Pending { id, consumer: name, delivered_at: entry.delivered_at, deliveries: entry.deliveries };
        match self.find(id).map(|(rank, _)| rank) {
            Some(at) => {
                let before = self.pending.update(at, |found| std::mem::replace(found, pending));
                if before.consumer.bytes() == entry.consumer {
                    return true;
                }
                self.with_consumer(before.consumer.bytes(), |consumer| consumer.settle(id));
            }
            None => {
                let at = self.rank(id);
                self.pending.insert(at, pending);
            }
        }
        self.consumers.update(rank, |consumer| consumer.owe(id));
        true
    }

    /// Notes that an entry is acknowledged; whether it was pending.
    pub(super) fn remove_pending(&mut self, id: StreamId) -> bool {
        let Some(rank) = self.find(id).map(|(rank, _)| rank) else { return false };
        let pending = self.pending.remove(rank);
        self.with_consumer(pending.consumer.bytes(), |consumer| consumer.settle(id));
        true
    }

    /// How much there is to free.
    pub(super) fn elements(&self) -> usize {
        1 + self.consumers.len() + self.pending.len()
    }

    /// Frees about `limit` of what is owed; whether any is left.
    pub(super) fn bury(&mut self, limit: usize) -> bool {
        if self.pending.bury(limit) {
            return true;
        }
        if let Some(last) = self.consumers.len().checked_sub(1)
            && !self.consumers.update(last, |consumer| consumer.owes.bury(limit))
        {
            self.consumers.remove(last);
        }
        !self.consumers.is_empty()
    }

    pub(super) fn check(&self) {
        self.pending.check(|a, b| a.id < b.id);
        self.consumers.check(|a, b| a.name.bytes() < b.name.bytes());
        let mut owed = 0;
        for consumer in self.consumers.iter() {
            consumer.owes.check(|a, b| a.0 < b.0);
            owed += consumer.owes.len();
            for id in consumer.owes.iter().map(|owed| owed.0) {
                let pending = self.find(id).map(|(_, pending)| pending.consumer.bytes());
                base::invariant!(
                    "what a consumer owes is pending under its name",
                    pending == Some(consumer.name.bytes())
                );
            }
        }
        base::invariant!("what is pending is owed", owed == self.pending.len());
    }
}
