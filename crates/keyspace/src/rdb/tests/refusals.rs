//! What no writer writes is refused, and what is announced isn't paid for.

use super::super::{listpack, types};
use super::*;

fn packed(kind: u8, words: &[&str]) -> Vec<u8> {
    let mut writer = listpack::Writer::new();
    words.iter().for_each(|word| writer.push(word.as_bytes()));
    let listpack = writer.finish();
    let length = u8::try_from(listpack.len()).expect("it is short");
    assert!(length < 64);
    [&[kind, length][..], &listpack].concat()
}

fn malformed(what: &'static str) -> Result<Value, BadValue> {
    Err(BadValue::Malformed(what))
}

#[test]
fn what_appears_twice_is_refused() {
    assert_eq!(read(&packed(types::SET_LISTPACK, &["a", "b", "a"])), malformed("a set with a member twice"));
    assert_eq!(read(b"\x02\x02\x01a\x01a"), malformed("a set with a member twice"));
    assert_eq!(
        read(&packed(types::HASH_LISTPACK, &["f", "1", "f", "2"])),
        malformed("a hash with a field twice")
    );
    assert_eq!(
        read(&packed(types::SORTED_SET_LISTPACK, &["m", "1", "m", "2"])),
        malformed("a sorted set with a member twice")
    );
}

#[test]
fn collections_without_elements_are_refused() {
    for kind in [types::LIST, types::SET, types::HASH, types::SORTED_SET, types::LIST_LISTPACKS] {
        assert_eq!(read(&[kind, 0]), Err(BadValue::Empty));
    }
    for kind in [types::SET_LISTPACK, types::HASH_LISTPACK, types::SORTED_SET_LISTPACK] {
        assert_eq!(read(&packed(kind, &[])), Err(BadValue::Empty));
    }
}

#[test]
fn halves_of_pairs_are_refused() {
    assert_eq!(
        read(&packed(types::HASH_LISTPACK, &["f", "1", "g"])),
        malformed("a hash with a field without a value")
    );
    assert_eq!(
        read(&packed(types::SORTED_SET_LISTPACK, &["f"])),
        malformed("a sorted set with a member without a score")
    );
    assert_eq!(
        read(&packed(types::HASH_EXPIRY_LISTPACK_BARE, &["f", "1"])),
        malformed("a hash with a field without a value or a time")
    );
    assert_eq!(
        read(&packed(types::HASH_EXPIRY_LISTPACK_BARE, &["f", "1", "-1"])),
        malformed("a hash with a field that expires at no time")
    );
}

#[test]
fn scores_are_numbers() {
    let no_number = malformed("a sorted set with a score that is no number");
    assert_eq!(read(b"\x03\x01\x01m\xfd"), no_number);
    assert_eq!(read(b"\x03\x01\x01m\x01x"), no_number);
    assert_eq!(read(&packed(types::SORTED_SET_LISTPACK, &["m", "nan"])), no_number);
    assert_eq!(read(&packed(types::SORTED_SET_LISTPACK, &["m", "one"])), no_number);
    let binary = [&[types::SORTED_SET, 1, 1, b'm'][..], &f64::NAN.to_le_bytes()].concat();
    assert_eq!(read(&binary), no_number);
}

#[test]
fn integers_in_sets_ascend_and_are_counted() {
    let intset = |bytes: &[u8]| read(&[&[types::SET_INTSET, bytes.len() as u8][..], bytes].concat());
    assert_eq!(intset(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0]), Ok(set("1 2")));
    assert_eq!(
        intset(&[2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0]),
        malformed("a set of integers that aren't ascending")
    );
    assert_eq!(
        intset(&[2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 2, 0]),
        malformed("a set of integers with another size than it announces")
    );
    assert_eq!(
        intset(&[3, 0, 0, 0, 0, 0, 0, 0]),
        malformed("a set of integers of a width that doesn't exist")
    );
    assert_eq!(intset(&[2, 0, 0]), malformed("a set of integers without its header"));
}

#[test]
fn a_stream_that_contradicts_itself_is_refused() {
    let changed = |change: fn(&mut StreamValue)| {
        let mut value = stream(1, true);
        change(&mut value);
        read(&written(&Value::Stream(value)))
    };
    assert!(changed(|_| {}).is_ok());
    assert_eq!(changed(|stream| stream.entries.swap(0, 1)), malformed("a stream whose ids don't ascend"));
    assert_eq!(
        changed(|stream| stream.info.last_id = id(4, 9)),
        malformed("a stream with an entry above its last id")
    );
    assert_eq!(
        changed(|stream| stream.groups.push(stream.groups[0].clone())),
        malformed("a stream with a group twice")
    );
    assert_eq!(
        changed(|stream| stream.groups[0].consumers.extend_from_within(2..)),
        malformed("a stream with a consumer twice")
    );
    assert_eq!(
        changed(|stream| stream.entries[1].1.clear()),
        malformed("a stream with an entry without fields")
    );
    assert_eq!(
        changed(|stream| stream.groups[0].pending.extend_from_within(1..)),
        malformed("a stream with an entry that is pending twice")
    );
}

#[test]
fn announcements_are_not_paid_for() {
    // A number of elements that no memory holds, and nothing behind it.
    let many = u64::MAX.to_be_bytes();
    for kind in
        [types::LIST, types::SET, types::HASH, types::SORTED_SET, types::LIST_LISTPACKS, types::STREAM_3]
    {
        assert_eq!(read(&[&[kind, 0x81][..], &many].concat()), Err(BadValue::Short));
    }
    // Long fields that many short entries share.
    let mut node = listpack::Writer::new();
    for integer in [2000, 0, 1] {
        node.push_integer(integer);
    }
    node.push(&[b'f'; 60_000]);
    node.push_integer(0);
    for sequence in 0..2000 {
        for integer in [2, 0, sequence, 7, 4] {
            node.push_integer(integer);
        }
    }
    let node = node.finish();
    let mut bytes = vec![types::STREAM_3, 1, 16];
    bytes.extend_from_slice(&[0; 16]);
    bytes.push(0x80);
    bytes.extend_from_slice(&(node.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&node);
    assert_eq!(read(&bytes), malformed("a stream with entries that are too long for their node"));
}
