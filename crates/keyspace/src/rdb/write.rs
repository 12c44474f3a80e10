//! Values in the types that are written: small collections in one packed string, as Redis keeps them, others element by
//! element. Each function here appends a value without its type, and answers the type.

use super::listpack::Writer;
use super::read::in_order;
use super::string::{integer, write_number, write_string};
use super::value::{HashField, StreamValue, Value};
use super::{VERSION, intset, stream, types};
use base::UnixMillis;

/// Collections of up to so many members, whose members are of up to so many bytes, are packed: Redis's own defaults, so
/// that it needn't pack or unpack what it gets.
const PACKED_MEMBERS_MAX: usize = 128;
const PACKED_MEMBER_BYTES_MAX: usize = 64;
/// The same for sets of integers.
const INTEGERS_MAX: usize = 512;
/// The size of a list's nodes; longer elements are nodes of their own.
const NODE_BYTES_MAX: usize = 8192;

/// Appends a value with its type.
pub fn write_typed(to: &mut Vec<u8>, value: &Value) {
    let at = to.len();
    to.push(0);
    to[at] = write_value(to, value);
}

/// Appends a value without its type; answers the type.
pub fn write_value(to: &mut Vec<u8>, value: &Value) -> u8 {
    match value {
        Value::String(bytes) => {
            write_string(to, bytes);
            types::STRING
        }
        Value::List(elements) => write_list(to, elements.iter().map(Vec::as_slice)),
        Value::Set(members) => write_set(to, members.iter().map(Vec::as_slice)),
        Value::Hash(fields) => write_hash(to, fields.iter().map(HashField::parts)),
        Value::SortedSet(members) => {
            write_sorted_set(to, members.iter().map(|(member, score)| (member.as_slice(), *score)))
        }
        Value::Stream(value) => write_stream(to, value),
    }
}

/// The same as a file of this version has it: before version 11, sets aren't packed and consumers of streams aren't known to
/// have got something.
pub fn write_value_for(version: u16, to: &mut Vec<u8>, value: &Value) -> u8 {
    if version >= VERSION {
        return write_value(to, value);
    }
    match value {
        Value::Set(members) if !is_intset(members.iter().map(Vec::as_slice)) => {
            write_number(to, members.len() as u64);
            members.iter().for_each(|member| write_string(to, member));
            types::SET
        }
        Value::Stream(value) => {
            stream::write(to, value, false);
            types::STREAM_2
        }
        value => write_value(to, value),
    }
}

fn is_intset<'a>(members: impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
    members.len() <= INTEGERS_MAX && members.into_iter().all(|member| integer(member).is_some())
}

/// Appends a string with its type.
pub fn write_string_value(to: &mut Vec<u8>, value: &[u8]) {
    to.push(types::STRING);
    write_string(to, value);
}

/// Appends a list of these elements; answers the type.
pub fn write_list<'a>(to: &mut Vec<u8>, elements: impl Iterator<Item = &'a [u8]> + Clone) -> u8 {
    const ELEMENT: u64 = 1;
    const PACKED: u64 = 2;
    let mut nodes: u64 = 0;
    let mut body = Vec::new();
    let mut node = Writer::new();
    let flush = |node: &mut Writer, body: &mut Vec<u8>, nodes: &mut u64| {
        if !node.is_empty() {
            *nodes += 1;
            write_number(body, PACKED);
            write_string(body, &std::mem::replace(node, Writer::new()).finish());
        }
    };
    for element in elements {
        if node.len_bytes() + element.len() > NODE_BYTES_MAX {
            flush(&mut node, &mut body, &mut nodes);
        }
        if element.len() > NODE_BYTES_MAX {
            nodes += 1;
            write_number(&mut body, ELEMENT);
            write_string(&mut body, element);
        } else {
            node.push(element);
        }
    }
    flush(&mut node, &mut body, &mut nodes);
    write_number(to, nodes);
    to.extend_from_slice(&body);
    types::LIST_LISTPACKS
}

/// Appends a set of these members; answers the type.
pub fn write_set<'a>(to: &mut Vec<u8>, members: impl Iterator<Item = &'a [u8]> + Clone) -> u8 {
    let count = members.clone().count();
    if count <= INTEGERS_MAX
        && let Some(mut integers) = members.clone().map(integer).collect::<Option<Vec<i64>>>()
    {
        integers.sort_unstable();
        write_string(to, &intset::write(&integers));
        return types::SET_INTSET;
    }
    if is_small(count, members.clone()) {
        write_packed(to, members);
        return types::SET_LISTPACK;
    }
    write_number(to, count as u64);
    members.for_each(|member| write_string(to, member));
    types::SET
}

/// Appends a hash of these fields with their values and when they expire; answers the type.
pub fn write_hash<'a>(
    to: &mut Vec<u8>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8], Option<UnixMillis>)> + Clone,
) -> u8 {
    let count = fields.clone().count();
    if let Some(first) = fields.clone().filter_map(|(_, _, expires_at)| expires_at).min() {
        to.extend_from_slice(&first.0.to_le_bytes());
        write_number(to, count as u64);
        for (field, value, expires_at) in fields {
            write_number(to, expires_at.map_or(0, |at| (at.0 - first.0).saturating_add(1)));
            write_string(to, field);
            write_string(to, value);
        }
        return types::HASH_EXPIRY;
    }
    let words = fields.flat_map(|(field, value, _)| [field, value]);
    if is_small(count, words.clone()) {
        write_packed(to, words);
        return types::HASH_LISTPACK;
    }
    write_number(to, count as u64);
    words.for_each(|word| write_string(to, word));
    types::HASH
}

/// Appends a sorted set of these members with their scores, which come in its order; answers the type.
pub fn write_sorted_set<'a>(to: &mut Vec<u8>, members: impl Iterator<Item = (&'a [u8], f64)> + Clone) -> u8 {
    let count = members.clone().count();
    // In a packed one Redis relies on the order.
    let ordered = || members.clone().is_sorted_by(|&a, &b| in_order(a, b).is_lt());
    if is_small(count, members.clone().map(|(member, _)| member)) && ordered() {
        let mut packed = Writer::new();
        for (member, score) in members {
            packed.push(member);
            push_score(&mut packed, score);
        }
        write_string(to, &packed.finish());
        return types::SORTED_SET_LISTPACK;
    }
    write_number(to, count as u64);
    for (member, score) in members {
        write_string(to, member);
        to.extend_from_slice(&score.to_le_bytes());
    }
    types::SORTED_SET
}

/// Appends a stream; answers the type.
///
/// # Panics
/// If an entry is pending by a consumer that isn't there.
pub fn write_stream(to: &mut Vec<u8>, value: &StreamValue) -> u8 {
    stream::write(to, value, true);
    types::STREAM_3
}

fn is_small<'a>(count: usize, mut words: impl Iterator<Item = &'a [u8]>) -> bool {
    count <= PACKED_MEMBERS_MAX && words.all(|word| word.len() <= PACKED_MEMBER_BYTES_MAX)
}

fn write_packed<'a>(to: &mut Vec<u8>, words: impl Iterator<Item = &'a [u8]>) {
    let mut packed = Writer::new();
    words.for_each(|word| packed.push(word));
    write_string(to, &packed.finish());
}

/// A score as an integer or its shortest spelling, which Redis reads back as the same double.
fn push_score(packed: &mut Writer, score: f64) {
    let whole = score as i64;
    // Up to 2^53 every integer is a double of its own. Zero has a sign, which an integer has not.
    if whole as f64 == score && whole.unsigned_abs() <= 1 << 53 && (whole != 0 || score.is_sign_positive()) {
        packed.push_integer(whole);
    } else if score.is_infinite() {
        packed.push(if score > 0.0 { b"inf" } else { b"-inf" });
    } else {
        packed.push(format!("{score:e}").as_bytes());
    }
}
