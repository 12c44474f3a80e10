//! The keys of a snapshot with their whole values, for export: from its chunks in the order in which they were written.
//! What comes in pieces or parts is kept until it is whole, so memory holds a chunk and the long values that are open.

use crate::chunk::{BadChunk, Body, Head, Reader};
use crate::rdb::{GroupValue, StreamValue, Value};
use base::{DatabaseId, UnixMillis};
use std::collections::BTreeMap;

const OTHER_VALUE: BadChunk = BadChunk("pieces of different values of one key");

/// A key of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its database.
    pub database: DatabaseId,
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Value,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
}

/// Puts keys together.
#[derive(Debug, Default)]
pub struct Gatherer {
    open: BTreeMap<(DatabaseId, Vec<u8>), Value>,
}

impl Gatherer {
    /// Takes the next chunk, and gives the keys that are whole with it.
    pub fn take(&mut self, chunk: &[u8], mut give: impl FnMut(Found)) -> Result<(), BadChunk> {
        let mut reader = Reader::new(chunk)?;
        while let Some((head, body)) = reader.next_item()? {
            let whole = match body {
                Body::Whole(value) => Some(value),
                Body::Piece { length, offset, bytes } => self.piece(&head, length, offset, bytes)?,
                Body::Part(part, value) => {
                    let is_list = matches!(value, Value::List(_));
                    let open = self.open.entry((head.database, head.key.to_vec()));
                    let count = join(open.or_insert_with(|| empty_like(&value)), value)?;
                    let is_last = if is_list { count == part.total } else { part.total == 1 };
                    is_last.then(|| self.close(&head)).flatten()
                }
            };
            if let Some(value) = whole {
                let (database, key, expires_at) = (head.database, head.key.to_vec(), head.expires_at);
                give(Found { database, key, value, expires_at });
            }
        }
        Ok(())
    }

    /// Whether nothing waits for its rest, as must be after the last chunk.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn close(&mut self, head: &Head<'_>) -> Option<Value> {
        self.open.remove(&(head.database, head.key.to_vec()))
    }

    fn piece(
        &mut self,
        head: &Head<'_>,
        length: usize,
        offset: usize,
        bytes: &[u8],
    ) -> Result<Option<Value>, BadChunk> {
        let open = self.open.entry((head.database, head.key.to_vec()));
        let Value::String(value) = open.or_insert_with(|| Value::String(Vec::new())) else {
            return Err(OTHER_VALUE);
        };
        if value.len() != offset {
            return Err(OTHER_VALUE);
        }
        value.extend_from_slice(bytes);
        let is_whole = value.len() == length;
        Ok(is_whole.then(|| self.close(head)).flatten())
    }
}

fn empty_like(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::String(Vec::new()),
        Value::List(_) => Value::List(Vec::new()),
        Value::Set(_) => Value::Set(Vec::new()),
        Value::Hash(_) => Value::Hash(Vec::new()),
        Value::SortedSet(_) => Value::SortedSet(Vec::new()),
        Value::Stream(_) => Value::Stream(StreamValue::default()),
    }
}

/// Adds a part at the end; answers how many elements there are now.
fn join(whole: &mut Value, part: Value) -> Result<u64, BadChunk> {
    let count = match (whole, part) {
        (Value::List(whole), Value::List(mut part)) | (Value::Set(whole), Value::Set(mut part)) => {
            whole.append(&mut part);
            whole.len()
        }
        (Value::Hash(whole), Value::Hash(mut part)) => {
            whole.append(&mut part);
            whole.len()
        }
        (Value::SortedSet(whole), Value::SortedSet(mut part)) => {
            whole.append(&mut part);
            whole.len()
        }
        (Value::Stream(whole), Value::Stream(mut part)) => {
            whole.info = part.info;
            whole.entries.append(&mut part.entries);
            part.groups.into_iter().for_each(|group| join_group(&mut whole.groups, group));
            whole.entries.len()
        }
        _ => return Err(OTHER_VALUE),
    };
    Ok(count as u64)
}

/// A part of a group has the consumers of what it has, which earlier parts may have had, too.
fn join_group(groups: &mut Vec<GroupValue>, mut part: GroupValue) {
    match groups.last_mut().filter(|last| last.name == part.name) {
        Some(group) => {
            for consumer in part.consumers {
                if !group.consumers.iter().any(|known| known.name == consumer.name) {
                    group.consumers.push(consumer);
                }
            }
            group.pending.append(&mut part.pending);
        }
        None => groups.push(part),
    }
}
