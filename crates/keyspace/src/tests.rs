//! What a shard promises, checked against a map that keeps none of its cleverness.

mod changed;
mod collections;
mod faults;
mod gather;
mod model;
mod order;
mod tentative;
mod types;
mod victims;

use crate::Keyspace;
use base::database::{Database, Expiry, KeyUsage, Kind, ScanPosition};
use base::{DatabaseId, UnixMillis};

const HASH_KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
const ONE: DatabaseId = DatabaseId(1);
const TWO: DatabaseId = DatabaseId(2);
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn shard() -> Keyspace {
    let mut keyspace = Keyspace::new(HASH_KEY);
    keyspace.set_revision(1);
    keyspace
}

fn put(keyspace: &mut Keyspace, key: &[u8], value: &[u8]) {
    keyspace.database(ONE, NOW).put_string(key, value, Expiry::Clear);
}

fn chunks(keyspace: &mut Keyspace, budget_bytes: usize) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| keyspace.next_chunk(budget_bytes)).collect()
}

fn loaded(chunks: &[Vec<u8>]) -> Keyspace {
    let mut keyspace = Keyspace::new(HASH_KEY);
    for chunk in chunks.iter().rev() {
        keyspace.load_chunk(chunk).expect("a chunk that was written here");
    }
    keyspace.check();
    keyspace
}

fn scan_all(keyspace: &mut Keyspace, now: UnixMillis) -> Vec<Vec<u8>> {
    let view = keyspace.database(ONE, now);
    let mut keys = Vec::new();
    let mut from = Some(ScanPosition::default());
    while let Some(position) = from {
        from = view.scan(position, 7, &mut |key, _| keys.push(key.to_vec()));
    }
    keys
}

#[test]
fn an_unknown_database_is_empty_and_costs_nothing() {
    let mut keyspace = shard();
    let view = keyspace.database(ONE, NOW);
    assert!(view.is_empty());
    assert_eq!(view.string(b"k"), Ok(None));
    assert_eq!(view.pick(1), None);
    assert_eq!(view.scan(ScanPosition::default(), 10, &mut |_, _| panic!("there is no key")), None);
    assert_eq!(keyspace.database_ids(), []);
    assert_eq!((keyspace.memory_bytes(), keyspace.next_expiry()), (0, None));
    keyspace.begin_snapshot();
    assert_eq!(keyspace.next_chunk(1000), None);
    assert!(!keyspace.snapshot_running());
}

#[test]
fn an_expired_key_is_hidden_from_every_reading_and_removed_only_by_a_decision() {
    let mut keyspace = shard();
    let due = NOW.plus(10);
    keyspace.database(ONE, NOW).put_string(b"k", b"v", Expiry::At(due));
    keyspace.database(ONE, NOW).put_string(b"other", b"v", Expiry::Clear);
    assert_eq!(keyspace.next_expiry(), Some(due));
    assert_eq!(keyspace.database(ONE, NOW.plus(9)).string(b"k"), Ok(Some(&b"v"[..])));

    let mut view = keyspace.database(ONE, due);
    assert_eq!(view.kind(b"k"), None);
    assert_eq!(view.string(b"k"), Ok(None));
    assert_eq!(view.expires_at(b"k"), None);
    assert_eq!(view.facts(b"k"), None);
    assert_eq!(view.dump(b"k"), None);
    assert_eq!(view.len(), 1);
    assert!(!view.touch(b"k"));
    assert!(!view.exists_in(ONE, b"k"));
    assert!((0..50).all(|seed| view.pick(seed).as_deref() == Some(b"other")));
    assert_eq!(scan_all(&mut keyspace, due), [b"other".to_vec()]);

    assert_eq!(keyspace.len(ONE), 2, "hidden isn't removed");
    assert_eq!(keyspace.expired(NOW.plus(9), 10), []);
    assert_eq!(keyspace.expired(due, 10), [(ONE, Box::from(&b"k"[..]))]);
    assert!(!keyspace.remove_expired(ONE, b"k", NOW.plus(9)), "it is not expired at the decision's time");
    assert!(keyspace.remove_expired(ONE, b"k", due));
    assert!(!keyspace.remove_expired(ONE, b"k", due));
    assert!(!keyspace.remove_expired(ONE, b"other", due));
    assert!(!keyspace.remove_expired(TWO, b"k", due));
    assert_eq!((keyspace.len(ONE), keyspace.volatile_len(ONE), keyspace.next_expiry()), (1, 0, None));
    keyspace.check();
}

#[test]
fn the_earliest_deadlines_of_all_databases_are_proposed_first() {
    let mut keyspace = shard();
    for (number, (database, after)) in [(ONE, 5), (TWO, 1), (ONE, 3), (TWO, 9)].into_iter().enumerate() {
        let at = Expiry::At(NOW.plus(after));
        keyspace.database(database, NOW).put_string(&[number as u8], b"", at);
    }
    let keys =
        |limit| -> Vec<u8> { keyspace.expired(NOW.plus(8), limit).iter().map(|(_, key)| key[0]).collect() };
    assert_eq!(keys(10), [1, 2, 0]);
    assert_eq!(keys(2), [1, 2]);
    assert_eq!(keyspace.next_expiry(), Some(NOW.plus(1)));
}

#[test]
fn a_mutator_that_meets_an_expired_key_starts_from_nothing() {
    let mut keyspace = shard();
    let due = NOW.plus(10);
    let with_expired = |keyspace: &mut Keyspace| {
        keyspace.database(ONE, NOW).put_string(b"k", b"old", Expiry::At(due));
    };
    with_expired(&mut keyspace);
    keyspace.database(ONE, due).put_string(b"k", b"new", Expiry::Keep);
    assert_eq!(keyspace.database(ONE, due).expires_at(b"k"), Some(None));

    with_expired(&mut keyspace);
    assert_eq!(keyspace.database(ONE, due).splice_string(b"k", 2, b"x"), Ok(3));
    assert_eq!(keyspace.database(ONE, due).string(b"k"), Ok(Some(&b"\0\0x"[..])));
    assert_eq!(keyspace.database(ONE, due).expires_at(b"k"), Some(None));

    for change in [
        |view: &mut crate::View<'_>| view.remove(b"k"),
        |view: &mut crate::View<'_>| view.set_expiry(b"k", None),
        |view: &mut crate::View<'_>| view.rename(b"k", b"l"),
        |view: &mut crate::View<'_>| view.copy(b"k", TWO, b"l"),
    ] {
        with_expired(&mut keyspace);
        assert!(!change(&mut keyspace.database(ONE, due)));
        assert_eq!(keyspace.database(ONE, due).len(), 0);
        keyspace.check();
    }
}

#[test]
fn a_deadline_that_has_passed_deletes() {
    let mut keyspace = shard();
    put(&mut keyspace, b"k", b"v");
    assert!(keyspace.database(ONE, NOW).set_expiry(b"k", Some(NOW)));
    assert_eq!(keyspace.len(ONE), 0);
    put(&mut keyspace, b"k", b"v");
    keyspace.database(ONE, NOW).put_string(b"k", b"w", Expiry::At(NOW));
    assert_eq!(keyspace.len(ONE), 0);
    assert_eq!(keyspace.memory_bytes(), 0);
}

#[test]
fn facts_say_what_redis_says_of_strings() {
    let mut keyspace = shard();
    let mut encoding = |value: &[u8]| {
        put(&mut keyspace, b"k", value);
        keyspace.database(ONE, NOW).facts(b"k").expect("it was just put there").encoding
    };
    assert_eq!(encoding(b"0"), "int");
    assert_eq!(encoding(b"-9223372036854775808"), "int");
    assert_eq!(encoding(b"9223372036854775807"), "int");
    assert_eq!(encoding(b"9223372036854775808"), "embstr");
    for unusual in [&b"-0"[..], b"+1", b"01", b" 1", b"1 ", b"-", b""] {
        assert_eq!(encoding(unusual), "embstr", "{unusual:?}");
    }
    assert_eq!(encoding(&[b'x'; 44]), "embstr");
    assert_eq!(encoding(&[b'x'; 45]), "raw");
}

#[test]
fn facts_know_the_last_change_and_the_last_access() {
    let mut keyspace = shard();
    put(&mut keyspace, b"k", b"v");
    keyspace.set_revision(7);
    let later = NOW.plus(5_000);
    let facts = keyspace.database(ONE, later).facts(b"k").expect("it is there");
    let usage = |idle_ms| Some(KeyUsage { idle_ms, frequency: None });
    assert_eq!((facts.kind, facts.revision, facts.usage), (Kind::String, 1, usage(5_000)));
    assert!(keyspace.database(ONE, later).touch(b"k"));
    assert!(keyspace.database(ONE, later).set_expiry(b"k", Some(later.plus(1))));
    let facts = keyspace.database(ONE, later).facts(b"k").expect("it is there");
    assert_eq!((facts.revision, facts.usage), (7, usage(0)));
    assert_eq!(facts.memory_bytes, keyspace.memory_bytes());
}

#[test]
fn long_keys_and_values_are_kept_whole() {
    let mut keyspace = shard();
    for length in [0usize, 1, 254, 255, 256, 257, 70_000] {
        let key = vec![b'k'; length];
        keyspace.database(ONE, NOW).put_string(&key, &vec![7; length * 3], Expiry::At(NOW.plus(1)));
        let view = keyspace.database(ONE, NOW);
        assert_eq!(view.string(&key), Ok(Some(&vec![7; length * 3][..])));
        assert_eq!(view.expires_at(&key), Some(Some(NOW.plus(1))));
    }
    keyspace.check();
}

#[test]
fn a_flush_is_freed_little_by_little() {
    let mut keyspace = shard();
    for number in 0..10_000u32 {
        let key = if number % 2 == 0 { format!("{{t}}{number}") } else { number.to_string() };
        keyspace.database(ONE, NOW).put_string(key.as_bytes(), b"v", Expiry::At(NOW.plus(5)));
    }
    keyspace.database(ONE, NOW).clear();
    assert_eq!((keyspace.len(ONE), keyspace.volatile_len(ONE), keyspace.memory_bytes()), (0, 0, 0));
    let mut rounds = 0;
    while keyspace.reclaim(100) {
        rounds += 1;
    }
    assert!((150..=250).contains(&rounds), "10,000 entries and 10,000 deadlines took {rounds} rounds of 100");
    keyspace.check();
}
