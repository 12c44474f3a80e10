//! How far a group has read, and how far it lags behind, in numbers of entries.
//!
//! A stream counts the entries it was ever given, but no entry knows its number. So a group counts what it reads, as long as
//! no entry was deleted ahead of it; and where its count is lost, the number of an id can still be told at a few places: at the
//! ends of a stream that has no holes. Everywhere else the answer is that nobody knows.

use super::ids;
use base::database::streams::{GroupInfo, StreamInfo};
use base::database::{Stream, StreamId};

/// What the numbers are made of.
pub(super) struct Counters {
    info: StreamInfo,
    /// The oldest entry; zero if there is none.
    first: StreamId,
    len: u64,
}

impl Counters {
    pub(super) fn of(stream: &dyn Stream) -> Self {
        let first = ids::oldest(stream).unwrap_or_default();
        Self { info: stream.info(), first, len: stream.len() as u64 }
    }

    /// Whether an entry that lay at `from` or behind may have been deleted out of the midst.
    fn has_holes_from(&self, from: StreamId) -> bool {
        let hole = self.info.max_deleted_id;
        self.len > 0 && hole != StreamId::MIN && self.first <= hole && from <= hole
    }

    /// How many entries were added up to `id`, that one included, where that can be told.
    fn number_of(&self, id: StreamId) -> Option<u64> {
        let StreamInfo { last_id, max_deleted_id, entries_added } = self.info;
        if entries_added == 0 {
            return Some(0);
        }
        if id == last_id || self.len == 0 && id < last_id {
            return Some(entries_added);
        }
        let whole = max_deleted_id == StreamId::MIN || max_deleted_id < self.first;
        if id > last_id || !whole || id > self.first {
            return None;
        }
        Some(entries_added.wrapping_sub(self.len).wrapping_add(u64::from(id == self.first)))
    }

    /// Notes in `group` that it was handed the entry `id`.
    pub(super) fn advance(&self, group: &mut GroupInfo, id: StreamId) {
        group.entries_read = match group.entries_read {
            Some(read) if !self.has_holes_from(id) => Some(read.saturating_add(1)),
            unknown if self.info.entries_added == 0 => unknown,
            _ => self.number_of(id),
        };
        group.last_delivered = id;
    }

    /// How many entries the group has still to be handed, where that can be told.
    pub(super) fn lag(&self, group: GroupInfo) -> Option<i64> {
        if self.info.entries_added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_holes_from(group.last_delivered) => read,
            _ => self.number_of(group.last_delivered)?,
        };
        Some(self.info.entries_added.wrapping_sub(read).cast_signed())
    }
}
