//! Lists, sets, hashes, sorted sets and streams: not kept yet, so every key that holds something holds another type.

use crate::view::View;
use base::UnixMillis;
use base::database::hashes::{Hash, Hashes};
use base::database::lists::{List, Lists};
use base::database::sets::{Set, Sets};
use base::database::sorted_sets::{SortedSet, SortedSets};
use base::database::streams::{
    ConsumerInfo, Fields, GroupInfo, PendingEntry, Stream, StreamId, StreamInfo, Streams,
};
use base::database::{Database, Expiry, WrongType};

impl View<'_> {
    fn nothing<T>(&self, key: &[u8]) -> Result<Option<T>, WrongType> {
        if self.kind(key).is_some() { Err(WrongType) } else { Ok(None) }
    }
}

impl Lists for View<'_> {
    fn list(&self, key: &[u8]) -> Result<Option<&dyn List>, WrongType> {
        self.nothing(key)
    }
    fn list_insert(&mut self, _: &[u8], _: usize, _: &[&[u8]]) -> Result<usize, WrongType> {
        Err(WrongType)
    }
    fn list_remove(&mut self, _: &[u8], _: usize, _: usize) -> Result<(), WrongType> {
        Err(WrongType)
    }
    fn list_replace(&mut self, _: &[u8], _: usize, _: &[u8]) -> Result<bool, WrongType> {
        Err(WrongType)
    }
}

impl Sets for View<'_> {
    fn set(&self, key: &[u8]) -> Result<Option<&dyn Set>, WrongType> {
        self.nothing(key)
    }
    fn set_add(&mut self, _: &[u8], _: &[&[u8]]) -> Result<usize, WrongType> {
        Err(WrongType)
    }
    fn set_remove(&mut self, _: &[u8], _: &[&[u8]]) -> Result<usize, WrongType> {
        Err(WrongType)
    }
}

impl Hashes for View<'_> {
    fn hash(&self, key: &[u8]) -> Result<Option<&dyn Hash>, WrongType> {
        self.nothing(key)
    }
    fn hash_set(&mut self, _: &[u8], _: &[(&[u8], &[u8])], _: Expiry) -> Result<usize, WrongType> {
        Err(WrongType)
    }
    fn hash_remove(&mut self, _: &[u8], _: &[&[u8]]) -> Result<usize, WrongType> {
        Err(WrongType)
    }
    fn hash_set_expiry(&mut self, _: &[u8], _: &[u8], _: Option<UnixMillis>) -> Result<bool, WrongType> {
        Err(WrongType)
    }
}

impl SortedSets for View<'_> {
    fn sorted_set(&self, key: &[u8]) -> Result<Option<&dyn SortedSet>, WrongType> {
        self.nothing(key)
    }
    fn sorted_set_put(&mut self, _: &[u8], _: &[(&[u8], f64)]) -> Result<usize, WrongType> {
        Err(WrongType)
    }
    fn sorted_set_remove(&mut self, _: &[u8], _: &[&[u8]]) -> Result<usize, WrongType> {
        Err(WrongType)
    }
}

impl Streams for View<'_> {
    fn stream(&self, key: &[u8]) -> Result<Option<&dyn Stream>, WrongType> {
        self.nothing(key)
    }
    fn stream_create(&mut self, _: &[u8]) -> Result<bool, WrongType> {
        Err(WrongType)
    }
    fn stream_append(&mut self, _: &[u8], _: StreamId, _: Fields<'_>) -> Result<(), WrongType> {
        Err(WrongType)
    }
    fn stream_remove(&mut self, _: &[u8], _: &[StreamId]) -> Result<usize, WrongType> {
        Err(WrongType)
    }
    fn stream_trim(&mut self, _: &[u8], _: usize) -> Result<(), WrongType> {
        Err(WrongType)
    }
    fn stream_set_info(&mut self, _: &[u8], _: StreamInfo) -> Result<bool, WrongType> {
        Err(WrongType)
    }
    fn group_put(&mut self, _: &[u8], _: &[u8], _: GroupInfo) -> Result<bool, WrongType> {
        Err(WrongType)
    }
    fn group_remove(&mut self, _: &[u8], _: &[u8]) -> Result<bool, WrongType> {
        Err(WrongType)
    }
    fn consumer_put(&mut self, _: &[u8], _: &[u8], _: &[u8], _: ConsumerInfo) -> Result<bool, WrongType> {
        Err(WrongType)
    }
    fn consumer_remove(&mut self, _: &[u8], _: &[u8], _: &[u8]) -> Result<Option<usize>, WrongType> {
        Err(WrongType)
    }
    fn pending_put(&mut self, _: &[u8], _: &[u8], _: StreamId, _: PendingEntry) -> Result<bool, WrongType> {
        Err(WrongType)
    }
    fn pending_remove(&mut self, _: &[u8], _: &[u8], _: StreamId) -> Result<bool, WrongType> {
        Err(WrongType)
    }
}
