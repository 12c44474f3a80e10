//! What the encoding promises: everything that Redis writes is read, everything that is written here is read back the same
//! and by Redis, and nothing that is read can harm.

mod golden;
mod redis;
mod refusals;
mod round_trips;
mod strings;

use super::value::{ConsumerValue, GroupValue, HashField, StreamValue, Value};
use super::{BadValue, read_typed, write_typed};
use base::UnixMillis;
use base::database::streams::{Fields, GroupInfo, PendingEntry, StreamId, StreamInfo};

/// A value as it is written, with its type.
fn written(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_typed(&mut bytes, value);
    bytes
}

/// The value that all these bytes are.
fn read(mut bytes: &[u8]) -> Result<Value, BadValue> {
    let value = read_typed(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(BadValue::Malformed("more bytes")) }
}

/// The same value for all that are equal as far as order doesn't matter.
pub(super) fn normal(mut value: Value) -> Value {
    match &mut value {
        Value::Set(members) => members.sort(),
        Value::Hash(fields) => fields.sort_by(|a, b| a.field.cmp(&b.field)),
        Value::Stream(stream) => {
            stream.groups.sort_by(|a, b| a.name.cmp(&b.name));
            for group in &mut stream.groups {
                group.consumers.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        Value::String(_) | Value::List(_) | Value::SortedSet(_) => {}
    }
    value
}

fn id(ms: u64, sequence: u64) -> StreamId {
    StreamId { ms, sequence }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(super) fn list(words: &str) -> Value {
    Value::List(words.split(' ').map(bytes).collect())
}

pub(super) fn set(words: &str) -> Value {
    Value::Set(words.split(' ').map(bytes).collect())
}

/// Fields as `name=value`, or `name=value@time`.
pub(super) fn hash(words: &str) -> Value {
    let field = |word: &str| {
        let (field, rest) = word.split_once('=').expect("a field has a value");
        let (value, at) = rest.split_once('@').map_or((rest, None), |(value, at)| (value, Some(at)));
        let expires_at = at.map(|at| UnixMillis(at.parse().expect("a time")));
        HashField { field: bytes(field), value: bytes(value), expires_at }
    };
    Value::Hash(words.split(' ').map(field).collect())
}

/// Members as `name=score`.
fn sorted_set(words: &str) -> Value {
    let member = |word: &str| {
        let (member, score) = word.split_once('=').expect("a member has a score");
        (bytes(member), score.parse().expect("a score"))
    };
    Value::SortedSet(words.split(' ').map(member).collect())
}

/// Bytes that are spelt in hexadecimal.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("it was filtered") as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// In lines of 32 bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(32).map(line).collect::<Vec<_>>().join("\n")
}

/// A stream with three entries, one of which was deleted, and a group that has read two of them at `at`.
fn stream(at: u64, idle: bool) -> StreamValue {
    let pack = |words: &str| Fields::pack(&words.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    let at = UnixMillis(at);
    let consumer = |name: &str| ConsumerValue { name: bytes(name), seen_at: at, active_at: Some(at) };
    let owed = |name: &str| PendingEntry { consumer: bytes(name), delivered_at: at, deliveries: 1 };
    let mut consumers = vec![consumer("alice"), consumer("bob")];
    if idle {
        consumers.push(ConsumerValue { active_at: None, ..consumer("idle") });
    }
    StreamValue {
        entries: vec![(id(1, 1), pack("name ann age 42")), (id(5, 0), pack("other x"))],
        info: StreamInfo { last_id: id(5, 0), max_deleted_id: id(1, 2), entries_added: 3 },
        groups: vec![GroupValue {
            name: bytes("g"),
            info: GroupInfo { last_delivered: id(1, 2), entries_read: Some(2) },
            consumers,
            pending: vec![(id(1, 1), owed("alice")), (id(1, 2), owed("bob"))],
        }],
    }
}
