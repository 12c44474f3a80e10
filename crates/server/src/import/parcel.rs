//! A key as commands that put it into a node. Most are one RESTORE; what is larger than a node takes at once is put
//! together there, piece by piece.

use base::UnixMillis;
use base::database::streams::Fields;
use node::rdb::file::Key;
use node::rdb::{HashField, StreamValue, Value, write_dump};
use std::collections::BTreeMap;

/// Values of about this size are sent in pieces of about this size: far below what a node takes as one write.
const PIECE_BYTES: usize = 8 << 20;
/// What an element takes beside its bytes, about.
const ELEMENT_BYTES: usize = 16;

/// A command, word by word.
pub type Command = Vec<Vec<u8>>;

/// What puts one key into a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// A RESTORE, which is refused where the key exists.
    pub first: Command,
    /// What follows it, and belongs to the key as much.
    pub rest: Vec<Command>,
}

impl Parcel {
    /// Of this key; `replace`: also where it exists.
    pub fn new(key: &Key, replace: bool) -> Self {
        let whole = approximate_bytes(&key.value) <= PIECE_BYTES;
        let (first, mut rest) = match whole {
            true => (write_dump(&key.value), Vec::new()),
            false => {
                let (first, rest) = pieces(&key.key, &key.value, PIECE_BYTES);
                (write_dump(&first), rest)
            }
        };
        // A key that is put together expires only once it is whole.
        let expires_at = key.expires_at.filter(|_| rest.is_empty());
        let mut command = words(&[b"RESTORE", &key.key]);
        command.push(expires_at.map_or(0, lifetime).to_string().into_bytes());
        command.push(first);
        command.push(b"ABSTTL".to_vec());
        if replace {
            command.push(b"REPLACE".to_vec());
        }
        if let Some(idle_s) = key.idle_s {
            command.extend([b"IDLETIME".to_vec(), idle_s.min(i64::MAX as u64).to_string().into_bytes()]);
        } else if let Some(frequency) = key.frequency {
            command.extend([b"FREQ".to_vec(), frequency.to_string().into_bytes()]);
        }
        if let Some(at) = key.expires_at.filter(|_| !rest.is_empty()) {
            rest.push(words(&[b"PEXPIREAT", &key.key, lifetime(at).to_string().as_bytes()]));
        }
        Self { first: command, rest }
    }
}

/// As RESTORE takes it: 0 would mean that it doesn't expire.
fn lifetime(at: UnixMillis) -> u64 {
    at.0.clamp(1, i64::MAX as u64)
}

fn words(words: &[&[u8]]) -> Command {
    words.iter().map(|word| word.to_vec()).collect()
}

/// The size of a value.
pub fn approximate_bytes(value: &Value) -> usize {
    let sum = |lengths: &mut dyn Iterator<Item = usize>| lengths.map(|length| length + ELEMENT_BYTES).sum();
    match value {
        Value::String(bytes) => bytes.len(),
        Value::List(elements) | Value::Set(elements) => sum(&mut elements.iter().map(Vec::len)),
        Value::Hash(fields) => sum(&mut fields.iter().map(|field| field.field.len() + field.value.len())),
        Value::SortedSet(members) => sum(&mut members.iter().map(|(member, _)| member.len())),
        Value::Stream(stream) => {
            let pending: usize = stream.groups.iter().map(|group| group.pending.len() * 64).sum();
            let entries: usize = sum(&mut stream.entries.iter().map(|(_, fields)| fields.len()));
            entries + pending
        }
    }
}

/// The beginning of a value, and the commands that add the rest.
fn pieces(key: &[u8], value: &Value, piece_bytes: usize) -> (Value, Vec<Command>) {
    match value {
        Value::String(bytes) => {
            let mut chunks = bytes.chunks(piece_bytes);
            let first = Value::String(chunks.next().unwrap_or_default().to_vec());
            (first, chunks.map(|chunk| words(&[b"APPEND", key, chunk])).collect())
        }
        Value::List(elements) => {
            let mut groups = groups(elements, piece_bytes, Vec::len);
            let first = Value::List(groups.next().unwrap_or_default().to_vec());
            (first, groups.map(|group| command(b"RPUSH", key, group.iter().cloned())).collect())
        }
        Value::Set(members) => {
            let mut groups = groups(members, piece_bytes, Vec::len);
            let first = Value::Set(groups.next().unwrap_or_default().to_vec());
            (first, groups.map(|group| command(b"SADD", key, group.iter().cloned())).collect())
        }
        Value::SortedSet(members) => {
            let mut groups = groups(members, piece_bytes, |(member, _)| member.len());
            let first = Value::SortedSet(groups.next().unwrap_or_default().to_vec());
            let scored = |(member, score): &(Vec<u8>, f64)| [spelt(*score), member.clone()];
            let adds = groups.map(|group| command(b"ZADD", key, group.iter().flat_map(scored)));
            (first, adds.collect())
        }
        Value::Hash(fields) => {
            let mut groups = groups(fields, piece_bytes, |field| field.field.len() + field.value.len());
            let first = Value::Hash(groups.next().unwrap_or_default().to_vec());
            (first, groups.flat_map(|group| hash_commands(key, group)).collect())
        }
        Value::Stream(stream) => stream_pieces(key, stream, piece_bytes),
    }
}

/// As a server reads it back to the bit.
fn spelt(score: f64) -> Vec<u8> {
    if score.is_infinite() {
        return if score > 0.0 { b"inf".to_vec() } else { b"-inf".to_vec() };
    }
    format!("{score:e}").into_bytes()
}

fn command(name: &[u8], key: &[u8], arguments: impl Iterator<Item = Vec<u8>>) -> Command {
    [name.to_vec(), key.to_vec()].into_iter().chain(arguments).collect()
}

fn hash_commands(key: &[u8], fields: &[HashField]) -> Vec<Command> {
    let pairs = fields.iter().flat_map(|field| [field.field.clone(), field.value.clone()]);
    let mut commands = vec![command(b"HSET", key, pairs)];
    let mut due: BTreeMap<UnixMillis, Vec<&HashField>> = BTreeMap::new();
    for field in fields {
        if let Some(at) = field.expires_at {
            due.entry(at).or_default().push(field);
        }
    }
    for (at, fields) in due {
        let mut words = words(&[
            b"HPEXPIREAT",
            key,
            at.0.to_string().as_bytes(),
            b"FIELDS",
            fields.len().to_string().as_bytes(),
        ]);
        words.extend(fields.into_iter().map(|field| field.field.clone()));
        commands.push(words);
    }
    commands
}

/// A stream is added to in the order of its ids; what it says of itself comes with the first piece as far as it fits
/// there, and is set right at the end.
fn stream_pieces(key: &[u8], stream: &StreamValue, piece_bytes: usize) -> (Value, Vec<Command>) {
    let mut groups = groups(&stream.entries, piece_bytes, |(_, fields)| fields.len());
    let entries = groups.next().unwrap_or_default().to_vec();
    let mut info = stream.info;
    if let Some((last, _)) = entries.last() {
        info.last_id = *last;
        info.entries_added = entries.len() as u64;
        info.max_deleted_id = Default::default();
    }
    let first = Value::Stream(StreamValue { entries, info, groups: Vec::new() });
    let id = |id: base::database::streams::StreamId| format!("{}-{}", id.ms, id.sequence).into_bytes();
    let mut rest = Vec::new();
    for (at, fields) in groups.flatten() {
        let fields = Fields::packed(fields).words().map(<[u8]>::to_vec);
        rest.push(command(b"XADD", key, std::iter::once(id(*at)).chain(fields)));
    }
    let StreamValue { info, .. } = stream;
    let (last, deleted) = (id(info.last_id), id(info.max_deleted_id));
    let added = info.entries_added.to_string();
    rest.push(words(&[b"XSETID", key, &last, b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", &deleted]));
    for group in &stream.groups {
        let mut create = words(&[b"XGROUP", b"CREATE", key, &group.name, &id(group.info.last_delivered)]);
        if let Some(read) = group.info.entries_read {
            create.extend([b"ENTRIESREAD".to_vec(), read.to_string().into_bytes()]);
        }
        rest.push(create);
        for consumer in &group.consumers {
            rest.push(words(&[b"XGROUP", b"CREATECONSUMER", key, &group.name, &consumer.name]));
        }
        for (at, pending) in &group.pending {
            let time = pending.delivered_at.0.to_string();
            let count = pending.deliveries.to_string();
            let mut claim = words(&[b"XCLAIM", key, &group.name, &pending.consumer, b"0", &id(*at)]);
            claim.extend(words(&[
                b"TIME",
                time.as_bytes(),
                b"RETRYCOUNT",
                count.as_bytes(),
                b"FORCE",
                b"JUSTID",
            ]));
            rest.push(claim);
        }
    }
    (first, rest)
}

/// Elements in runs of about this size, at least one each.
fn groups<T>(
    elements: &[T],
    piece_bytes: usize,
    length: impl Fn(&T) -> usize + Clone,
) -> impl Iterator<Item = &[T]> {
    let mut rest = elements;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take_while(|element| {
                let fits = bytes < piece_bytes;
                bytes += length(element) + ELEMENT_BYTES;
                fits
            })
            .count();
        let (group, behind) = rest.split_at(count);
        rest = behind;
        (!group.is_empty()).then_some(group)
    })
}

#[cfg(test)]
mod tests;
