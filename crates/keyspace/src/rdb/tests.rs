//! What the encoding promises: everything that Redis writes is read, everything that is written here is read back the same
//! and by Redis, and nothing that is read can harm.

mod round_trips;
mod strings;

use super::value::{GroupValue, HashField, StreamValue, Value};
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
fn normal(mut value: Value) -> Value {
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
