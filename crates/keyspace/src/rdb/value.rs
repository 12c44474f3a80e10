//! What was read, or is to be written: values that own their parts, free of how they were packed.

use base::UnixMillis;
use base::database::Kind;
use base::database::streams::{GroupInfo, PendingEntry, StreamId, StreamInfo};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Bytes.
    String(Vec<u8>),
    /// Elements in their order; at least one.
    List(Vec<Vec<u8>>),
    /// Distinct members, in any order; at least one.
    Set(Vec<Vec<u8>>),
    /// Distinct fields, in any order; at least one.
    Hash(Vec<HashField>),
    /// Distinct members with their scores, none of which is NaN, ordered by score and then by their bytes; at least one.
    SortedSet(Vec<(Vec<u8>, f64)>),
    /// Entries and groups.
    Stream(StreamValue),
}

impl Value {
    /// The type that commands know it by.
    pub fn kind(&self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::Hash(_) => Kind::Hash,
            Value::SortedSet(_) => Kind::SortedSet,
            Value::Stream(_) => Kind::Stream,
        }
    }
}

/// A field of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashField {
    /// Its name.
    pub field: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it expires, if it does by itself.
    pub expires_at: Option<UnixMillis>,
}

impl HashField {
    /// As [`write_hash`](super::write_hash) takes it.
    pub fn parts(&self) -> (&[u8], &[u8], Option<UnixMillis>) {
        (&self.field, &self.value, self.expires_at)
    }
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamValue {
    /// Entries, ids ascending and none above the last one of `info`; each has its fields as
    /// [`Fields::pack`](base::database::streams::Fields::pack) packs them, at least one field.
    pub entries: Vec<(StreamId, Vec<u8>)>,
    /// What is known beside them.
    pub info: StreamInfo,
    /// Groups, with distinct names.
    pub groups: Vec<GroupValue>,
}

impl StreamValue {
    /// The id of the first entry; zero if there is none.
    pub fn first_id(&self) -> StreamId {
        self.entries.first().map_or(StreamId::MIN, |(id, _)| *id)
    }
}

/// A group of consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupValue {
    /// Its name.
    pub name: Vec<u8>,
    /// What it knows.
    pub info: GroupInfo,
    /// Its consumers, with distinct names.
    pub consumers: Vec<ConsumerValue>,
    /// What isn't acknowledged, ids ascending, each by one of the consumers. The entries themselves may be gone.
    pub pending: Vec<(StreamId, PendingEntry)>,
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerValue {
    /// Its name.
    pub name: Vec<u8>,
    /// When it asked for something last.
    pub seen_at: UnixMillis,
    /// When it got something last.
    pub active_at: Option<UnixMillis>,
}
