//! Values by their type, in every form that Redis 2.8 to 8 writes.

use super::listpack::Element;
use super::string::{read_number, read_owned, read_string, take_array, take_byte};
use super::value::{HashField, Value};
use super::{BadValue, intset, listpack, stream, types, ziplist};
use base::UnixMillis;
use std::cmp::Ordering;

/// Room for so many elements is made before they are seen, whatever is announced.
const ANNOUNCED_MAX: usize = 4096;

/// Takes a type and a value of it from the front of `from`.
pub fn read_typed(from: &mut &[u8]) -> Result<Value, BadValue> {
    let kind = take_byte(from)?;
    read_value(kind, from)
}

/// Takes a value of type `kind` from the front of `from`. [`BadValue::Short`] means that more bytes might make it one,
/// [`BadValue::Empty`] that `from` is behind it all the same; otherwise `from` is anywhere.
pub fn read_value(kind: u8, from: &mut &[u8]) -> Result<Value, BadValue> {
    match kind {
        types::STRING => read_owned(from).map(Value::String),
        types::LIST => repeated(from, read_owned).and_then(list),
        types::LIST_ZIPLIST => owned_all(&ziplist::read(&read_string(from)?)?).and_then(list),
        types::LIST_ZIPLISTS => list_of_nodes(from, false),
        types::LIST_LISTPACKS => list_of_nodes(from, true),
        types::SET => repeated(from, read_owned).and_then(set),
        types::SET_INTSET => set(intset::read(&read_string(from)?)?
            .iter()
            .map(|integer| integer.to_string().into_bytes())
            .collect()),
        types::SET_LISTPACK => owned_all(&listpack::read(&read_string(from)?)?).and_then(set),
        types::SORTED_SET_TEXT => {
            repeated(from, |from| Ok((read_owned(from)?, text_score(from)?))).and_then(sorted_set)
        }
        types::SORTED_SET => {
            repeated(from, |from| Ok((read_owned(from)?, f64::from_le_bytes(take_array(from)?))))
                .and_then(sorted_set)
        }
        types::SORTED_SET_ZIPLIST => packed_scores(&ziplist::read(&read_string(from)?)?).and_then(sorted_set),
        types::SORTED_SET_LISTPACK => {
            packed_scores(&listpack::read(&read_string(from)?)?).and_then(sorted_set)
        }
        types::HASH => {
            repeated(from, |from| Ok(field(read_owned(from)?, read_owned(from)?, None))).and_then(hash)
        }
        types::HASH_ZIPMAP => {
            let packed = read_string(from)?;
            let pairs = ziplist::read_map(&packed)?;
            hash(pairs.into_iter().map(|(name, value)| field(name.to_vec(), value.to_vec(), None)).collect())
        }
        types::HASH_ZIPLIST => packed_fields(&ziplist::read(&read_string(from)?)?).and_then(hash),
        types::HASH_LISTPACK => packed_fields(&listpack::read(&read_string(from)?)?).and_then(hash),
        types::HASH_EXPIRY_ABSOLUTE => repeated(from, |from| expiring(from, 1)).and_then(hash),
        types::HASH_EXPIRY => {
            let first = u64::from_le_bytes(take_array(from)?);
            repeated(from, |from| expiring(from, first)).and_then(hash)
        }
        types::HASH_EXPIRY_LISTPACK_BARE => {
            packed_expiring(&listpack::read(&read_string(from)?)?).and_then(hash)
        }
        types::HASH_EXPIRY_LISTPACK => {
            // The first of the times; the listpack says them all.
            take_array::<8>(from)?;
            packed_expiring(&listpack::read(&read_string(from)?)?).and_then(hash)
        }
        types::STREAM_1 | types::STREAM_2 | types::STREAM_3 => stream::read(kind, from).map(Value::Stream),
        types::MODULE_WITHOUT_END | types::MODULE => Err(BadValue::Module),
        unknown => Err(BadValue::Type(unknown)),
    }
}

/// A count, and so many of what `read` takes.
pub fn repeated<'a, T>(
    from: &mut &'a [u8],
    mut read: impl FnMut(&mut &'a [u8]) -> Result<T, BadValue>,
) -> Result<Vec<T>, BadValue> {
    let count = read_number(from)?;
    // Nothing takes less than a byte, so that a count beyond the bytes ends as `Short`.
    let mut all = Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(ANNOUNCED_MAX));
    for _ in 0..count {
        all.push(read(from)?);
    }
    Ok(all)
}

/// Whether no two of these are equal.
pub fn distinct<'a>(names: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut sorted: Vec<&[u8]> = names.collect();
    sorted.sort_unstable();
    sorted.is_sorted_by(|a, b| a < b)
}

fn owned_all(elements: &[Element<'_>]) -> Result<Vec<Vec<u8>>, BadValue> {
    Ok(elements.iter().map(|element| element.to_bytes()).collect())
}

fn list(elements: Vec<Vec<u8>>) -> Result<Value, BadValue> {
    if elements.is_empty() { Err(BadValue::Empty) } else { Ok(Value::List(elements)) }
}

fn set(members: Vec<Vec<u8>>) -> Result<Value, BadValue> {
    if members.is_empty() {
        return Err(BadValue::Empty);
    }
    if !distinct(members.iter().map(Vec::as_slice)) {
        return Err(BadValue::Malformed("a set with a member twice"));
    }
    Ok(Value::Set(members))
}

fn hash(fields: Vec<HashField>) -> Result<Value, BadValue> {
    if fields.is_empty() {
        return Err(BadValue::Empty);
    }
    if !distinct(fields.iter().map(|field| field.field.as_slice())) {
        return Err(BadValue::Malformed("a hash with a field twice"));
    }
    Ok(Value::Hash(fields))
}

fn sorted_set(mut members: Vec<(Vec<u8>, f64)>) -> Result<Value, BadValue> {
    if members.is_empty() {
        return Err(BadValue::Empty);
    }
    if members.iter().any(|(_, score)| score.is_nan()) {
        return Err(BadValue::Malformed("a sorted set with a score that is no number"));
    }
    if !distinct(members.iter().map(|(member, _)| member.as_slice())) {
        return Err(BadValue::Malformed("a sorted set with a member twice"));
    }
    // Redis writes large ones from the highest score down.
    members.sort_by(|(a, a_score), (b, b_score)| in_order((a, *a_score), (b, *b_score)));
    Ok(Value::SortedSet(members))
}

/// How members of a sorted set stand to each other. No score is NaN.
pub fn in_order((a, a_score): (&[u8], f64), (b, b_score): (&[u8], f64)) -> Ordering {
    a_score.partial_cmp(&b_score).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
}

/// A list whose nodes are packed; the newer form also has nodes that are one long element.
fn list_of_nodes(from: &mut &[u8], newer: bool) -> Result<Value, BadValue> {
    const ELEMENT: u64 = 1;
    const PACKED: u64 = 2;
    let mut elements = Vec::new();
    for _ in 0..read_number(from)? {
        let container = if newer { read_number(from)? } else { PACKED };
        let node = read_string(from)?;
        match container {
            ELEMENT => elements.push(node.into_owned()),
            PACKED => {
                let packed = if newer { listpack::read(&node)? } else { ziplist::read(&node)? };
                elements.extend(packed.into_iter().map(Element::to_bytes));
            }
            _ => return Err(BadValue::Malformed("a list with a node in a form that doesn't exist")),
        }
    }
    list(elements)
}

fn text_score(from: &mut &[u8]) -> Result<f64, BadValue> {
    match take_byte(from)? {
        255 => Ok(f64::NEG_INFINITY),
        254 => Ok(f64::INFINITY),
        253 => Ok(f64::NAN),
        length => spelt_score(super::string::take(from, usize::from(length))?),
    }
}

fn spelt_score(text: &[u8]) -> Result<f64, BadValue> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(BadValue::Malformed("a sorted set with a score that is no number"))
}

/// Members and scores in turn.
fn packed_scores(elements: &[Element<'_>]) -> Result<Vec<(Vec<u8>, f64)>, BadValue> {
    let (pairs, []) = elements.as_chunks::<2>() else {
        return Err(BadValue::Malformed("a sorted set with a member without a score"));
    };
    let score = |element| match element {
        Element::Integer(integer) => Ok(integer as f64),
        Element::Bytes(text) => spelt_score(text),
    };
    pairs.iter().map(|&[member, element]| Ok((member.to_bytes(), score(element)?))).collect()
}

fn field(field: Vec<u8>, value: Vec<u8>, expires_at: Option<UnixMillis>) -> HashField {
    HashField { field, value, expires_at }
}

/// Fields and values in turn.
fn packed_fields(elements: &[Element<'_>]) -> Result<Vec<HashField>, BadValue> {
    let (pairs, []) = elements.as_chunks::<2>() else {
        return Err(BadValue::Malformed("a hash with a field without a value"));
    };
    Ok(pairs.iter().map(|[name, value]| field(name.to_bytes(), value.to_bytes(), None)).collect())
}

/// Fields, values and when they expire in turn, zero if they don't.
fn packed_expiring(elements: &[Element<'_>]) -> Result<Vec<HashField>, BadValue> {
    let (triples, []) = elements.as_chunks::<3>() else {
        return Err(BadValue::Malformed("a hash with a field without a value or a time"));
    };
    let expires_at = |time: Element<'_>| match time.integer().map(u64::try_from) {
        Some(Ok(0)) => Ok(None),
        Some(Ok(at)) => Ok(Some(UnixMillis(at))),
        _ => Err(BadValue::Malformed("a hash with a field that expires at no time")),
    };
    triples
        .iter()
        .map(|&[name, value, time]| Ok(field(name.to_bytes(), value.to_bytes(), expires_at(time)?)))
        .collect()
}

/// When a field expires (zero if it doesn't, otherwise one more than what is added to `first`), the field and its value.
fn expiring(from: &mut &[u8], first: u64) -> Result<HashField, BadValue> {
    let expires_at = match read_number(from)? {
        0 => None,
        later => {
            let at = first.checked_add(later - 1);
            Some(UnixMillis(at.ok_or(BadValue::Malformed("a hash with a field that expires at no time"))?))
        }
    };
    Ok(field(read_owned(from)?, read_owned(from)?, expires_at))
}
