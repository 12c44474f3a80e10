//! What a command has done elsewhere, as calls of mutators: the effects that a run on a scratch leaves, for the shards of the keys that it
//! has changed. They rest on the values that the run has read, and so travel together with the versions of those.
//!
//! The bytes are drawn in `docs/formats/operations.md` and pinned by the tests beside. What they say is checked where it is carried
//! out: effects that don't fit the state do nothing, on every replica alike.

use crate::op::{BadBatch, byte, put_slice, put_varint, slice, varint};
use base::database::streams::{ConsumerInfo, Fields, GroupInfo, PendingEntry, StreamInfo};
use base::database::{EventClass, Expiry, StreamId};
use base::{DatabaseId, UnixMillis};

/// One call of a mutator.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation<'a> {
    /// The database of the key.
    pub database: DatabaseId,
    /// The key.
    pub key: &'a [u8],
    /// What is done to it.
    pub act: Act<'a>,
}

/// What is done to a key: the mutators of [`base::database`], by their names, and what is told of it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are the mutators' arguments, which are explained there")]
pub enum Act<'a> {
    /// It holds a value that came from elsewhere, as [`keyspace::rdb::write_typed`] writes it.
    Put { value: &'a [u8], expires_at: Option<UnixMillis> },
    /// It is a string.
    PutString { value: &'a [u8], expiry: Expiry },
    /// A part of a string is overwritten.
    Splice { offset: u64, part: &'a [u8] },
    /// It is deleted.
    Remove,
    /// When it expires.
    SetExpiry { at: Option<UnixMillis> },
    /// How it was used elsewhere.
    SetUsage { idle_ms: Option<u64>, frequency: Option<u8> },
    /// Its value moves to another key of the shard.
    Rename { to: &'a [u8] },
    /// Its value is copied to another key of the shard, perhaps in another database.
    Copy { into: DatabaseId, to: &'a [u8] },
    /// Elements are inserted into a list.
    ListInsert { at: u64, elements: Vec<&'a [u8]> },
    /// Elements are taken out of a list.
    ListRemove { from: u64, count: u64 },
    /// An element of a list is replaced.
    ListReplace { at: u64, element: &'a [u8] },
    /// Members come into a set.
    SetAdd { members: Vec<&'a [u8]> },
    /// Members go out of a set.
    SetRemove { members: Vec<&'a [u8]> },
    /// Fields of a hash get values.
    HashSet { fields: Vec<(&'a [u8], &'a [u8])>, expiry: Expiry },
    /// Fields go out of a hash.
    HashRemove { fields: Vec<&'a [u8]> },
    /// When a field of a hash expires.
    HashSetExpiry { field: &'a [u8], at: Option<UnixMillis> },
    /// Members of a sorted set get scores.
    SortedSetPut { members: Vec<(&'a [u8], f64)> },
    /// Members go out of a sorted set.
    SortedSetRemove { members: Vec<&'a [u8]> },
    /// An empty stream is made.
    StreamCreate,
    /// An entry is added to a stream, its fields packed.
    StreamAppend { id: StreamId, fields: Fields<'a> },
    /// Entries of a stream are deleted.
    StreamRemove { ids: Vec<StreamId> },
    /// The oldest entries of a stream are deleted.
    StreamTrim { count: u64 },
    /// What a stream knows beside its entries.
    StreamSetInfo { info: StreamInfo },
    /// A group is made, or what it knows is set.
    GroupPut { group: &'a [u8], info: GroupInfo },
    /// A group is deleted.
    GroupRemove { group: &'a [u8] },
    /// A consumer is made, or what it knows is set; its count of pending entries is kept by the stream.
    ConsumerPut { group: &'a [u8], consumer: &'a [u8], info: ConsumerInfo },
    /// A consumer is deleted.
    ConsumerRemove { group: &'a [u8], consumer: &'a [u8] },
    /// An entry was handed to a consumer.
    PendingPut { group: &'a [u8], id: StreamId, pending: PendingEntry },
    /// An entry is acknowledged.
    PendingRemove { group: &'a [u8], id: StreamId },
    /// Whoever listens to keyspace events is told this.
    Tell { class: EventClass, event: &'a str },
}

impl Mutation<'_> {
    /// Appends it.
    pub fn encode(&self, to: &mut Vec<u8>) {
        put_varint(to, self.database.0);
        put_slice(to, self.key);
        self.act.encode(to);
    }
}

impl<'a> Mutation<'a> {
    /// The keys that it changes, each with its database; none if it only tells of something.
    pub fn places(&self) -> impl Iterator<Item = (DatabaseId, &'a [u8])> {
        let own =
            (!matches!(self.act, Act::Tell { .. } | Act::Copy { .. })).then_some((self.database, self.key));
        let other = match self.act {
            Act::Rename { to } => Some((self.database, to)),
            Act::Copy { into, to } => Some((into, to)),
            _ => None,
        };
        own.into_iter().chain(other)
    }

    /// Reads one from the front of `rest`.
    pub fn decode(rest: &mut &'a [u8]) -> Result<Self, BadBatch> {
        let database = DatabaseId(varint(rest)?);
        let key = slice(rest)?;
        Ok(Self { database, key, act: Act::decode(rest)? })
    }
}

impl Act<'_> {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Act::Put { .. }
            | Act::PutString { .. }
            | Act::Splice { .. }
            | Act::Remove
            | Act::SetExpiry { .. }
            | Act::SetUsage { .. }
            | Act::Rename { .. }
            | Act::Copy { .. }
            | Act::Tell { .. } => self.encode_generic(to),
            Act::ListInsert { at, elements } => {
                to.push(9);
                put_varint(to, *at);
                put_slices(to, elements);
            }
            Act::ListRemove { from, count } => {
                to.push(10);
                put_varint(to, *from);
                put_varint(to, *count);
            }
            Act::ListReplace { at, element } => {
                to.push(11);
                put_varint(to, *at);
                put_slice(to, element);
            }
            Act::SetAdd { members } => {
                to.push(12);
                put_slices(to, members);
            }
            Act::SetRemove { members } => {
                to.push(13);
                put_slices(to, members);
            }
            Act::HashSet { fields, expiry } => {
                to.push(14);
                put_expiry(to, *expiry);
                put_varint(to, fields.len() as u64);
                for (field, value) in fields {
                    put_slice(to, field);
                    put_slice(to, value);
                }
            }
            Act::HashRemove { fields } => {
                to.push(15);
                put_slices(to, fields);
            }
            Act::HashSetExpiry { field, at } => {
                to.push(16);
                put_slice(to, field);
                put_maybe(to, at.map(|at| at.0));
            }
            Act::SortedSetPut { members } => {
                to.push(17);
                put_varint(to, members.len() as u64);
                for (member, score) in members {
                    put_slice(to, member);
                    to.extend_from_slice(&score.to_bits().to_le_bytes());
                }
            }
            Act::SortedSetRemove { members } => {
                to.push(18);
                put_slices(to, members);
            }
            _ => self.encode_of_stream(to),
        }
    }

    fn encode_generic(&self, to: &mut Vec<u8>) {
        match self {
            Act::Put { value, expires_at } => {
                to.push(1);
                put_maybe(to, expires_at.map(|at| at.0));
                put_slice(to, value);
            }
            Act::PutString { value, expiry } => {
                to.push(2);
                put_expiry(to, *expiry);
                put_slice(to, value);
            }
            Act::Splice { offset, part } => {
                to.push(3);
                put_varint(to, *offset);
                put_slice(to, part);
            }
            Act::Remove => to.push(4),
            Act::SetExpiry { at } => {
                to.push(5);
                put_maybe(to, at.map(|at| at.0));
            }
            Act::SetUsage { idle_ms, frequency } => {
                to.push(6);
                put_maybe(to, *idle_ms);
                put_maybe(to, frequency.map(u64::from));
            }
            Act::Rename { to: key } => {
                to.push(7);
                put_slice(to, key);
            }
            Act::Copy { into, to: key } => {
                to.push(8);
                put_varint(to, into.0);
                put_slice(to, key);
            }
            Act::Tell { class, event } => {
                to.push(30);
                put_varint(to, u64::from(*class as u32));
                put_slice(to, event.as_bytes());
            }
            _ => unreachable!("the other acts are of one type of value"),
        }
    }

    fn encode_of_stream(&self, to: &mut Vec<u8>) {
        match self {
            Act::StreamCreate => to.push(19),
            Act::StreamAppend { id, fields } => {
                to.push(20);
                put_id(to, *id);
                put_slice(to, fields.bytes());
            }
            Act::StreamRemove { ids } => {
                to.push(21);
                put_varint(to, ids.len() as u64);
                ids.iter().for_each(|id| put_id(to, *id));
            }
            Act::StreamTrim { count } => {
                to.push(22);
                put_varint(to, *count);
            }
            Act::StreamSetInfo { info } => {
                to.push(23);
                put_id(to, info.last_id);
                put_id(to, info.max_deleted_id);
                put_varint(to, info.entries_added);
            }
            Act::GroupPut { group, info } => {
                to.push(24);
                put_slice(to, group);
                put_id(to, info.last_delivered);
                put_maybe(to, info.entries_read);
            }
            Act::GroupRemove { group } => {
                to.push(25);
                put_slice(to, group);
            }
            Act::ConsumerPut { group, consumer, info } => {
                to.push(26);
                put_slice(to, group);
                put_slice(to, consumer);
                put_varint(to, info.seen_at.0);
                put_maybe(to, info.active_at.map(|at| at.0));
            }
            Act::ConsumerRemove { group, consumer } => {
                to.push(27);
                put_slice(to, group);
                put_slice(to, consumer);
            }
            Act::PendingPut { group, id, pending } => {
                to.push(28);
                put_slice(to, group);
                put_id(to, *id);
                put_slice(to, &pending.consumer);
                put_varint(to, pending.delivered_at.0);
                put_varint(to, pending.deliveries);
            }
            Act::PendingRemove { group, id } => {
                to.push(29);
                put_slice(to, group);
                put_id(to, *id);
            }
            _ => unreachable!("the other acts aren't of streams"),
        }
    }
}

impl<'a> Act<'a> {
    fn decode(rest: &mut &'a [u8]) -> Result<Self, BadBatch> {
        Ok(match byte(rest)? {
            1 => Act::Put { expires_at: maybe(rest)?.map(UnixMillis), value: slice(rest)? },
            2 => Act::PutString { expiry: expiry(rest)?, value: slice(rest)? },
            3 => Act::Splice { offset: varint(rest)?, part: slice(rest)? },
            4 => Act::Remove,
            5 => Act::SetExpiry { at: maybe(rest)?.map(UnixMillis) },
            6 => {
                let idle_ms = maybe(rest)?;
                let frequency = maybe(rest)?.map(u8::try_from).transpose();
                Act::SetUsage { idle_ms, frequency: frequency.map_err(|_| BadBatch("a frequency"))? }
            }
            7 => Act::Rename { to: slice(rest)? },
            8 => Act::Copy { into: DatabaseId(varint(rest)?), to: slice(rest)? },
            9 => Act::ListInsert { at: varint(rest)?, elements: slices(rest)? },
            10 => Act::ListRemove { from: varint(rest)?, count: varint(rest)? },
            11 => Act::ListReplace { at: varint(rest)?, element: slice(rest)? },
            12 => Act::SetAdd { members: slices(rest)? },
            13 => Act::SetRemove { members: slices(rest)? },
            14 => Act::HashSet {
                expiry: expiry(rest)?,
                fields: many(rest, |rest| Ok((slice(rest)?, slice(rest)?)))?,
            },
            15 => Act::HashRemove { fields: slices(rest)? },
            16 => Act::HashSetExpiry { field: slice(rest)?, at: maybe(rest)?.map(UnixMillis) },
            17 => Act::SortedSetPut { members: many(rest, |rest| Ok((slice(rest)?, score(rest)?)))? },
            18 => Act::SortedSetRemove { members: slices(rest)? },
            30 => {
                let class = u32::try_from(varint(rest)?).ok().and_then(EventClass::of_bit);
                let class = class.ok_or(BadBatch("a class of events"))?;
                let event = std::str::from_utf8(slice(rest)?).map_err(|_| BadBatch("an event's name"))?;
                Act::Tell { class, event }
            }
            kind => Self::decode_of_stream(kind, rest)?,
        })
    }

    fn decode_of_stream(kind: u8, rest: &mut &'a [u8]) -> Result<Self, BadBatch> {
        Ok(match kind {
            19 => Act::StreamCreate,
            20 => Act::StreamAppend { id: id(rest)?, fields: Fields::packed(slice(rest)?) },
            21 => Act::StreamRemove { ids: many(rest, id)? },
            22 => Act::StreamTrim { count: varint(rest)? },
            23 => {
                let (last_id, max_deleted_id) = (id(rest)?, id(rest)?);
                let info = StreamInfo { last_id, max_deleted_id, entries_added: varint(rest)? };
                Act::StreamSetInfo { info }
            }
            24 => {
                let group = slice(rest)?;
                let info = GroupInfo { last_delivered: id(rest)?, entries_read: maybe(rest)? };
                Act::GroupPut { group, info }
            }
            25 => Act::GroupRemove { group: slice(rest)? },
            26 => {
                let (group, consumer) = (slice(rest)?, slice(rest)?);
                let seen_at = UnixMillis(varint(rest)?);
                let active_at = maybe(rest)?.map(UnixMillis);
                Act::ConsumerPut { group, consumer, info: ConsumerInfo { seen_at, active_at, pending: 0 } }
            }
            27 => Act::ConsumerRemove { group: slice(rest)?, consumer: slice(rest)? },
            28 => {
                let (group, id) = (slice(rest)?, id(rest)?);
                let consumer = slice(rest)?.to_vec();
                let delivered_at = UnixMillis(varint(rest)?);
                let pending = PendingEntry { consumer, delivered_at, deliveries: varint(rest)? };
                Act::PendingPut { group, id, pending }
            }
            29 => Act::PendingRemove { group: slice(rest)?, id: id(rest)? },
            _ => return Err(BadBatch("an effect's kind")),
        })
    }
}

fn put_slices(to: &mut Vec<u8>, slices: &[&[u8]]) {
    put_varint(to, slices.len() as u64);
    slices.iter().for_each(|slice| put_slice(to, slice));
}

fn put_id(to: &mut Vec<u8>, id: StreamId) {
    put_varint(to, id.ms);
    put_varint(to, id.sequence);
}

/// 0 for nothing, or one more than the number; the greatest number isn't told from the one before it, and no time is so late.
fn put_maybe(to: &mut Vec<u8>, number: Option<u64>) {
    put_varint(to, number.map_or(0, |number| number.saturating_add(1)));
}

/// 0 to keep it, 1 to clear it, or two more than the time.
fn put_expiry(to: &mut Vec<u8>, expiry: Expiry) {
    put_varint(
        to,
        match expiry {
            Expiry::Keep => 0,
            Expiry::Clear => 1,
            Expiry::At(at) => at.0.saturating_add(2),
        },
    );
}

fn many<'a, T>(
    rest: &mut &'a [u8],
    mut one: impl FnMut(&mut &'a [u8]) -> Result<T, BadBatch>,
) -> Result<Vec<T>, BadBatch> {
    let count = varint(rest)?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(one(rest)?);
    }
    Ok(all)
}

fn slices<'a>(rest: &mut &'a [u8]) -> Result<Vec<&'a [u8]>, BadBatch> {
    many(rest, slice)
}

fn maybe(rest: &mut &[u8]) -> Result<Option<u64>, BadBatch> {
    Ok(varint(rest)?.checked_sub(1))
}

fn expiry(rest: &mut &[u8]) -> Result<Expiry, BadBatch> {
    Ok(match varint(rest)? {
        0 => Expiry::Keep,
        1 => Expiry::Clear,
        at => Expiry::At(UnixMillis(at - 2)),
    })
}

fn id(rest: &mut &[u8]) -> Result<StreamId, BadBatch> {
    Ok(StreamId { ms: varint(rest)?, sequence: varint(rest)? })
}

fn score(rest: &mut &[u8]) -> Result<f64, BadBatch> {
    let (bits, after) = rest.split_first_chunk::<8>().ok_or(BadBatch("a score"))?;
    *rest = after;
    let score = f64::from_bits(u64::from_le_bytes(*bits));
    if score.is_nan() { Err(BadBatch("a score that is no number")) } else { Ok(score) }
}

#[cfg(test)]
mod tests;
