//! What keys hold, from the leaders of their shards: the first half of a command over several shards. A question names keys, and how much
//! of each; the answer of a shard is of one moment.

use crate::op::{BadBatch, Wanted, What, byte, put_slice, put_varint, slice, varint};
use base::database::{Database, Kind};
use base::{DatabaseId, UnixMillis};
use bytes::Bytes;
use keyspace::View;

/// The most memory that values may take which one command reads over several shards, together: they are brought to its gateway.
pub const SCRATCH_BYTES_MAX: u64 = 64 << 20;

/// The error where that isn't enough.
pub fn too_large() -> Bytes {
    Bytes::from(format!(
        "-ERR not executed: the values that it reads take more than {SCRATCH_BYTES_MAX} bytes (scratch-bytes-max), the most that \
         a command over several shards may bring together. Keys with the same {{tag}} share a shard, where there is no such limit\r\n"
    ))
}

/// What a shard says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its database.
    pub database: DatabaseId,
    /// The key.
    pub key: Bytes,
    /// The shard revision of its last change; 0 if it isn't there; `CHANGING` if it is just being changed.
    pub version: u64,
    /// What it holds, if it is there and that was asked.
    pub content: Option<Content>,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The type.
    pub kind: Kind,
    /// When the key expires.
    pub expires_at: Option<UnixMillis>,
    /// Until when nothing of it expires.
    pub lives_until: Option<UnixMillis>,
    /// The value, as `rdb::write_typed` writes it; `None` if only its shape was asked for.
    pub value: Option<Bytes>,
}

/// A shard's answer: when, and what to each question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The shard's time.
    pub time: UnixMillis,
    /// In the order of the questions.
    pub keys: Vec<Fetched>,
}

/// Writes a shard's answer about a key, whose version is known.
pub fn write(to: &mut Vec<u8>, db: &mut View<'_>, wanted: &Wanted<'_>, version: u64) {
    put_varint(to, version);
    let Some(kind) = db.kind(wanted.key).filter(|_| wanted.what != What::Version) else {
        to.push(NOTHING);
        return;
    };
    to.push(kind as u8 + 1);
    let maybe = |at: Option<UnixMillis>| at.map_or(0, |at| at.0.saturating_add(1));
    put_varint(to, maybe(db.expires_at(wanted.key).flatten()));
    put_varint(to, maybe(db.lives_until(wanted.key)));
    if wanted.what == What::Value {
        db.touch(wanted.key);
        put_slice(to, &db.value(wanted.key).unwrap_or_default());
    }
}

const NOTHING: u8 = 0;

/// Reads a shard's answer to these questions.
pub fn read<'q>(
    answer: &Bytes,
    questions: impl IntoIterator<Item = &'q (DatabaseId, Bytes, What)>,
) -> Result<Answer, BadBatch> {
    let mut rest = &answer[..];
    let (time, after) = rest.split_first_chunk::<8>().ok_or(BadBatch("a shard's time"))?;
    rest = after;
    let mut keys = Vec::new();
    for (database, key, what) in questions {
        let version = varint(&mut rest)?;
        let content = match byte(&mut rest)? {
            NOTHING => None,
            kind => {
                let kind = kind_of(kind - 1).ok_or(BadBatch("a type of value"))?;
                let maybe = |number: u64| number.checked_sub(1).map(UnixMillis);
                let (expires_at, lives_until) = (maybe(varint(&mut rest)?), maybe(varint(&mut rest)?));
                let value = match what {
                    What::Value => Some(answer.slice_ref(slice(&mut rest)?)),
                    What::Shape | What::Version => None,
                };
                Some(Content { kind, expires_at, lives_until, value })
            }
        };
        keys.push(Fetched { database: *database, key: key.clone(), version, content });
    }
    if rest.is_empty() {
        Ok(Answer { time: UnixMillis(u64::from_le_bytes(*time)), keys })
    } else {
        Err(BadBatch("the end"))
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    [Kind::String, Kind::List, Kind::Set, Kind::Hash, Kind::SortedSet, Kind::Stream]
        .into_iter()
        .find(|kind| *kind as u8 == code)
}
