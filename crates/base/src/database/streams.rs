//! Streams: entries under ids that only grow, and groups of consumers that share them. A stream stays when it is empty.

use super::{Direction, WrongType};
use crate::time::UnixMillis;
use alloc::vec::Vec;

/// The id of an entry: milliseconds and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, by who added it.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub sequence: u64,
}

impl StreamId {
    /// Before all entries; no entry has it.
    pub const MIN: Self = Self { ms: 0, sequence: 0 };
    /// The last that an entry can have.
    pub const MAX: Self = Self { ms: u64::MAX, sequence: u64::MAX };

    /// The next id, if this isn't the last.
    pub fn next(self) -> Option<Self> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, sequence: 0 }),
        }
    }

    /// The id before this one, if this isn't the first.
    pub fn previous(self) -> Option<Self> {
        match self.sequence.checked_sub(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, sequence: u64::MAX }),
        }
    }
}

/// What a stream knows beside its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamInfo {
    /// The newest id that was ever given out.
    pub last_id: StreamId,
    /// The newest id of an entry that was deleted by its id.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
}

/// What a group knows beside its consumers and what they owe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupInfo {
    /// The newest entry that was handed to a consumer.
    pub last_delivered: StreamId,
    /// How many entries the group has read, where that is known.
    pub entries_read: Option<u64>,
}

/// What a consumer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// When it asked for something last.
    pub seen_at: UnixMillis,
    /// When it got something last.
    pub active_at: Option<UnixMillis>,
    /// How many entries it has not acknowledged; kept by the stream, not by who writes this.
    pub pending: usize,
}

/// An entry that was handed out and isn't acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    /// To whom.
    pub consumer: Vec<u8>,
    /// When, last.
    pub delivered_at: UnixMillis,
    /// How often.
    pub deliveries: u64,
}

/// The fields of an entry with their values, in order, packed: each as four bytes of length (little-endian) and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Fields that [`Fields::pack`] packed.
    pub fn packed(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The packed bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Packs words, each field followed by its value.
    pub fn pack(words: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(words.iter().map(|word| word.len() + 4).sum());
        for word in words {
            // Words come from requests, which are bounded far below 4 GiB.
            bytes.extend_from_slice(&(word.len() as u32).to_le_bytes());
            bytes.extend_from_slice(word);
        }
        bytes
    }

    /// Fields and values in turn.
    pub fn words(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (word, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = behind;
            Some(word)
        })
    }
}

/// A stream to read.
pub trait Stream {
    /// How many entries there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// What it knows beside them.
    fn info(&self) -> StreamInfo;
    /// Visits entries from `from` on (that id itself, if it is there) in `direction`, until `visit` answers false or there are no more.
    /// Finding the first takes logarithmic time.
    fn walk(&self, from: StreamId, direction: Direction, visit: &mut dyn FnMut(StreamId, Fields<'_>) -> bool);
    /// How many entries have an id below `id`; in logarithmic time.
    fn count_below(&self, id: StreamId) -> usize;

    /// A group.
    fn group(&self, group: &[u8]) -> Option<GroupInfo>;
    /// Visits all groups by name, in the order of their names.
    fn walk_groups(&self, visit: &mut dyn FnMut(&[u8], GroupInfo));
    /// A consumer of a group.
    fn consumer(&self, group: &[u8], consumer: &[u8]) -> Option<ConsumerInfo>;
    /// Visits the consumers of a group, in the order of their names.
    fn walk_consumers(&self, group: &[u8], visit: &mut dyn FnMut(&[u8], ConsumerInfo));
    /// How many entries a group's consumers have not acknowledged.
    fn pending_len(&self, group: &[u8]) -> usize;
    /// What is known of an entry that isn't acknowledged in a group.
    fn pending(&self, group: &[u8], id: StreamId) -> Option<PendingEntry>;
    /// Visits what isn't acknowledged in a group (by one consumer, if one is named) from `from` on, in the order of ids, until `visit`
    /// answers false.
    fn walk_pending(
        &self,
        group: &[u8],
        consumer: Option<&[u8]>,
        from: StreamId,
        visit: &mut dyn FnMut(StreamId, &PendingEntry) -> bool,
    );
}

/// What commands do with streams. Where a mutator names a stream, a group or a consumer that isn't there, nothing changes, and it answers
/// false or nothing; only [`Streams::stream_append`] and [`Streams::stream_create`] make a stream.
pub trait Streams {
    /// The stream under `key`.
    fn stream(&self, key: &[u8]) -> Result<Option<&dyn Stream>, WrongType>;

    /// Makes an empty stream if the key is missing; whether it was.
    fn stream_create(&mut self, key: &[u8]) -> Result<bool, WrongType>;
    /// Adds an entry and counts it; a missing key is an empty stream.
    ///
    /// # Panics
    /// If `id` isn't above the stream's last one.
    fn stream_append(&mut self, key: &[u8], id: StreamId, fields: Fields<'_>) -> Result<(), WrongType>;
    /// Deletes entries by their ids, and keeps in mind the newest of them; answers how many were there.
    fn stream_remove(&mut self, key: &[u8], ids: &[StreamId]) -> Result<usize, WrongType>;
    /// Deletes the `count` oldest entries, or as many as there are.
    fn stream_trim(&mut self, key: &[u8], count: usize) -> Result<(), WrongType>;
    /// Sets what the stream knows beside its entries; whether it was there.
    fn stream_set_info(&mut self, key: &[u8], info: StreamInfo) -> Result<bool, WrongType>;

    /// Makes a group, or sets what it knows; whether the stream was there.
    fn group_put(&mut self, key: &[u8], group: &[u8], info: GroupInfo) -> Result<bool, WrongType>;
    /// Deletes a group with all that it knows; whether it was there.
    fn group_remove(&mut self, key: &[u8], group: &[u8]) -> Result<bool, WrongType>;
    /// Makes a consumer, or sets what it knows (its count of pending entries is kept by the stream); whether the group was there.
    fn consumer_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        info: ConsumerInfo,
    ) -> Result<bool, WrongType>;
    /// Deletes a consumer with what it owes; answers how many entries that were, if it was there.
    fn consumer_remove(
        &mut self,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
    ) -> Result<Option<usize>, WrongType>;
    /// Notes that an entry was handed to a consumer, which must be there, whoever had it before; whether that could be noted.
    fn pending_put(
        &mut self,
        key: &[u8],
        group: &[u8],
        id: StreamId,
        pending: PendingEntry,
    ) -> Result<bool, WrongType>;
    /// Notes that an entry is acknowledged; whether it was pending.
    fn pending_remove(&mut self, key: &[u8], group: &[u8], id: StreamId) -> Result<bool, WrongType>;
}
