//! What a shard promises of collections, case by case.

use super::{HASH_KEY, NOW, ONE, TWO, chunks, loaded, shard};
use crate::rdb::crc64;
use crate::tree::visited;
use crate::{Event, Keyspace};
use base::database::streams::{ConsumerInfo, Fields, GroupInfo, PendingEntry, StreamId};
use base::database::{
    BadDump, Database, Direction, EventClass, EventClasses, Expiry, Hashes, Kind, Lists, Sets, SortedSets,
    Streams, WrongType,
};
use base::{Rng, UnixMillis};
use std::collections::BTreeSet;

fn numbers(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_string().into_bytes()).collect()
}

fn words(all: &[Vec<u8>]) -> Vec<&[u8]> {
    all.iter().map(|word| &word[..]).collect()
}

/// One key of every type, small.
fn every_type(keyspace: &mut Keyspace) {
    let mut view = keyspace.database(ONE, NOW);
    view.put_string(b"string", b"value", Expiry::Clear);
    view.list_insert(b"list", 0, &[b"a", b"b"]).expect("a list");
    view.set_add(b"set", &[b"a", b"1"]).expect("a set");
    view.hash_set(b"hash", &[(b"f", b"v")], Expiry::Clear).expect("a hash");
    view.hash_set(b"hash", &[(b"g", b"w")], Expiry::At(NOW.plus(5))).expect("a hash");
    view.sorted_set_put(b"zset", &[(b"m", 1.5), (b"n", -0.0)]).expect("a sorted set");
    let id = StreamId { ms: 5, sequence: 1 };
    view.stream_append(b"stream", id, Fields::packed(&Fields::pack(&[b"f", b"v"]))).expect("a stream");
    view.group_put(b"stream", b"g", GroupInfo { last_delivered: id, entries_read: Some(1) })
        .expect("a stream");
    let info = ConsumerInfo { seen_at: NOW, active_at: None, pending: 0 };
    view.consumer_put(b"stream", b"g", b"c", info).expect("a stream");
    let pending = PendingEntry { consumer: b"c".to_vec(), delivered_at: NOW, deliveries: 2 };
    view.pending_put(b"stream", b"g", id, pending).expect("a stream");
}

#[test]
fn a_part_of_a_collection_is_what_the_format_says() {
    let mut keyspace = shard();
    let element = vec![b'x'; 70_000];
    keyspace.database(ONE, NOW).list_insert(b"l", 0, &[b"first", &element]).expect("a list");
    keyspace.database(ONE, NOW).set_expiry(b"l", Some(NOW.plus(1)));
    keyspace.begin_snapshot();
    let chunks = chunks(&mut keyspace, 1 << 20);
    assert_eq!(chunks.len(), 1);
    let head = "53484b43 0100 0100000000000000 01 0100000000000000";
    let item = "84 0100000000000000 0168e5cf8b010000 01000000 6c 0200000000000000 0000000000000000";
    // Two nodes: a listpack of one element, and an element that is too long for one.
    let value = "12 02 02 0e 0e000000 0100 856669727374 06 ff 01 80 00011170";
    let expected = format!("{head} {item} {value}").replace(' ', "");
    let written: String = chunks[0].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written[..expected.len()], expected);
    assert_eq!(chunks[0].len(), expected.len() / 2 + 70_000 + 8);
    assert_eq!(loaded(&chunks).digest(), keyspace.digest());
}

#[test]
fn a_key_of_one_type_is_no_other() {
    let mut keyspace = shard();
    every_type(&mut keyspace);
    let mut view = keyspace.database(ONE, NOW);
    for key in [&b"string"[..], b"list", b"set", b"hash", b"zset", b"stream"] {
        let kind = view.kind(key).expect("it is there");
        assert_eq!(view.string(key).is_ok(), kind == Kind::String);
        assert_eq!(view.splice_string(key, 0, b"x").is_ok(), kind == Kind::String);
        assert_eq!(view.list(key).is_ok(), kind == Kind::List);
        assert_eq!(view.list_insert(key, 0, &[b"x"]).is_ok(), kind == Kind::List);
        assert_eq!(view.set_add(key, &[b"x"]).is_ok(), kind == Kind::Set);
        assert_eq!(view.hash_set(key, &[(b"x", b"")], Expiry::Keep).is_ok(), kind == Kind::Hash);
        assert_eq!(view.sorted_set_put(key, &[(b"x", 0.0)]).is_ok(), kind == Kind::SortedSet);
        assert_eq!(view.stream_create(key), if kind == Kind::Stream { Ok(false) } else { Err(WrongType) });
    }
    keyspace.check();
}

#[test]
fn a_dump_of_every_type_makes_an_equal_value() {
    let mut keyspace = shard();
    every_type(&mut keyspace);
    let mut copy = shard();
    for key in [&b"string"[..], b"list", b"set", b"hash", b"zset", b"stream"] {
        let dump = keyspace.database(ONE, NOW).dump(key).expect("it is there");
        assert_eq!(copy.database(ONE, NOW).restore(key, &dump, Expiry::Clear), Ok(()));
        let mut broken = dump.to_vec();
        broken[0] ^= 1;
        assert_eq!(copy.database(ONE, NOW).restore(b"broken", &broken, Expiry::Clear), Err(BadDump));
        broken[0] = 99;
        let checked = broken.len() - 8;
        let checksum = crc64(&broken[..checked]).to_le_bytes();
        broken[checked..].copy_from_slice(&checksum);
        assert_eq!(copy.database(ONE, NOW).restore(b"broken", &broken, Expiry::Clear), Err(BadDump));
    }
    copy.check();
    assert_eq!(copy.digest(), keyspace.digest());
    assert_eq!(copy.memory_bytes(), keyspace.memory_bytes());
    // A hash whose fields have all expired when it is restored is none.
    let later = NOW.plus(10);
    keyspace.database(ONE, NOW).hash_remove(b"hash", &[b"f"]).expect("a hash");
    let dump = keyspace.database(ONE, NOW).dump(b"hash").expect("it is there");
    assert_eq!(copy.database(TWO, later).restore(b"hash", &dump, Expiry::Clear), Ok(()));
    assert_eq!(copy.database(TWO, later).kind(b"hash"), None);
    copy.check();
}

#[test]
fn facts_say_what_redis_says_of_collections() {
    let mut keyspace = shard();
    let mut view = keyspace.database(ONE, NOW);
    let long = vec![b'x'; 65];
    let encoding = |view: &crate::View<'_>| view.facts(b"k").expect("it is there").encoding;

    view.list_insert(b"k", 0, &[&[b'x'; 8_000]]).expect("a list");
    assert_eq!(encoding(&view), "listpack");
    view.list_insert(b"k", 0, &[&[b'x'; 200]]).expect("a list");
    assert_eq!(encoding(&view), "quicklist");

    let all = numbers(513);
    view.remove(b"k");
    view.set_add(b"k", &words(&all[..512])).expect("a set");
    assert_eq!(encoding(&view), "intset");
    view.set_add(b"k", &words(&all)).expect("a set");
    assert_eq!(encoding(&view), "hashtable");
    view.set_remove(b"k", &words(&all[127..])).expect("a set");
    view.set_add(b"k", &[b"word"]).expect("a set");
    assert_eq!(encoding(&view), "listpack");
    view.set_remove(b"k", &[b"1"]).expect("a set");
    view.set_add(b"k", &[&long]).expect("a set");
    assert_eq!(encoding(&view), "hashtable");

    view.remove(b"k");
    let fields: Vec<(&[u8], &[u8])> = all[..128].iter().map(|field| (&field[..], &b"v"[..])).collect();
    view.hash_set(b"k", &fields, Expiry::Clear).expect("a hash");
    assert_eq!(encoding(&view), "listpack");
    view.hash_set(b"k", &[(b"1", &long)], Expiry::Clear).expect("a hash");
    assert_eq!(encoding(&view), "hashtable");

    view.remove(b"k");
    let members: Vec<(&[u8], f64)> = all[..128].iter().map(|member| (&member[..], 1.0)).collect();
    view.sorted_set_put(b"k", &members).expect("a sorted set");
    assert_eq!(encoding(&view), "listpack");
    view.sorted_set_put(b"k", &[(b"another", 1.0)]).expect("a sorted set");
    assert_eq!(encoding(&view), "skiplist");

    view.remove(b"k");
    view.stream_create(b"k").expect("a stream");
    assert_eq!(encoding(&view), "stream");
}

#[test]
fn only_what_changes_is_stamped() {
    let mut keyspace = shard();
    every_type(&mut keyspace);
    let digest = keyspace.digest();
    keyspace.set_revision(2);
    let mut view = keyspace.database(ONE, NOW);
    assert_eq!(view.set_add(b"set", &[b"a"]), Ok(0));
    assert_eq!(view.set_remove(b"set", &[b"other"]), Ok(0));
    assert_eq!(view.sorted_set_put(b"zset", &[(b"m", 1.5)]), Ok(0));
    assert_eq!(view.hash_remove(b"hash", &[b"other"]), Ok(0));
    assert_eq!(view.list_replace(b"list", 2, b"x"), Ok(false));
    assert_eq!(view.list_remove(b"list", 1, 0), Ok(()));
    assert_eq!(view.pending_remove(b"stream", b"g", StreamId::MAX), Ok(false));
    assert_eq!(keyspace.digest(), digest);
    let revision = |keyspace: &mut Keyspace, key: &[u8]| {
        keyspace.database(ONE, NOW).facts(key).expect("it is there").revision
    };
    assert_eq!(revision(&mut keyspace, b"set"), 1);
    keyspace.database(ONE, NOW).set_add(b"set", &[b"new"]).expect("a set");
    assert_eq!(revision(&mut keyspace, b"set"), 2);
    assert_ne!(keyspace.digest(), digest);
}

#[test]
fn a_hash_whose_fields_have_all_expired_is_hidden_and_its_due_fields_are_removed_by_a_decision() {
    let mut keyspace = shard();
    keyspace.listen(EventClasses::ALL);
    let mut view = keyspace.database(ONE, NOW);
    view.hash_set(b"h", &[(b"a", b"1")], Expiry::At(NOW.plus(5))).expect("a hash");
    view.hash_set(b"h", &[(b"b", b"2")], Expiry::At(NOW.plus(9))).expect("a hash");
    view.put_string(b"other", b"", Expiry::At(NOW.plus(20)));
    assert_eq!(keyspace.next_expiry(), Some(NOW.plus(5)));
    let len = |keyspace: &mut Keyspace, now: UnixMillis| {
        let view = keyspace.database(ONE, now);
        let hash = view.hash(b"h").expect("a hash");
        (view.len(), hash.map(|hash| hash.len(now)))
    };
    assert_eq!(len(&mut keyspace, NOW.plus(4)), (2, Some(2)));
    assert_eq!(len(&mut keyspace, NOW.plus(5)), (2, Some(1)));
    assert_eq!(len(&mut keyspace, NOW.plus(9)), (1, None));

    assert_eq!(keyspace.expired(NOW.plus(4), 10), []);
    assert_eq!(keyspace.expired(NOW.plus(5), 10), [(ONE, Box::from(&b"h"[..]))]);
    assert!(!keyspace.remove_expired(ONE, b"h", NOW.plus(4)));
    assert!(keyspace.remove_expired(ONE, b"h", NOW.plus(5)));
    assert!(!keyspace.remove_expired(ONE, b"h", NOW.plus(5)));
    keyspace.check();
    assert_eq!(keyspace.next_expiry(), Some(NOW.plus(9)));
    assert_eq!(keyspace.expired(NOW.plus(9), 10).len(), 1, "a hash that is gone is found once");
    assert!(keyspace.remove_expired(ONE, b"h", NOW.plus(9)));
    assert!(keyspace.remove_expired(ONE, b"other", NOW.plus(20)));
    assert_eq!((keyspace.len(ONE), keyspace.memory_bytes(), keyspace.next_expiry()), (0, 0, None));

    let event = |class, event: &'static str, key: &[u8]| Event {
        database: ONE,
        class,
        event: event.into(),
        key: Box::from(key),
    };
    assert_eq!(
        keyspace.take_events(),
        [
            event(EventClass::Hash, "hexpired", b"h"),
            event(EventClass::Hash, "hexpired", b"h"),
            event(EventClass::Generic, "del", b"h"),
            event(EventClass::Expired, "expired", b"other"),
        ]
    );
    assert_eq!(keyspace.take_events(), []);
}

#[test]
fn a_mutator_that_meets_a_hash_without_live_fields_starts_from_nothing() {
    let mut keyspace = shard();
    keyspace.database(ONE, NOW).hash_set(b"h", &[(b"a", b"1")], Expiry::At(NOW.plus(5))).expect("a hash");
    let mut view = keyspace.database(ONE, NOW.plus(5));
    assert_eq!(view.set_add(b"h", &[b"member"]), Ok(1), "it is no hash any more");
    assert_eq!(view.expires_at(b"h"), Some(None));
    keyspace.check();
    assert_eq!(keyspace.next_expiry(), None);
}

#[test]
fn events_are_kept_only_for_who_listens() {
    let mut keyspace = shard();
    keyspace.database(ONE, NOW).notify(EventClass::List, "lpush", b"k");
    assert_eq!(keyspace.take_events(), []);
    keyspace.listen(EventClasses(EventClass::List as u32));
    keyspace.database(ONE, NOW).notify(EventClass::List, "lpush", b"k");
    keyspace.database(ONE, NOW).notify(EventClass::Set, "sadd", b"k");
    let told: Vec<_> = keyspace.take_events().into_iter().map(|event| event.event).collect();
    assert_eq!(told, ["lpush"]);
}

/// Hundreds of thousands of elements, in every type.
fn large() -> Keyspace {
    let mut keyspace = shard();
    let all = numbers(100_000);
    let mut view = keyspace.database(ONE, NOW);
    view.list_insert(b"list", 0, &words(&all)).expect("a list");
    view.set_add(b"set", &words(&all)).expect("a set");
    let fields: Vec<(&[u8], &[u8])> = all.iter().map(|word| (&word[..], &word[..])).collect();
    view.hash_set(b"hash", &fields, Expiry::At(NOW.plus(1_000))).expect("a hash");
    let members: Vec<(&[u8], f64)> = all.iter().map(|word| (&word[..], word.len() as f64)).collect();
    view.sorted_set_put(b"zset", &members).expect("a sorted set");
    view.stream_create(b"stream").expect("a stream");
    view.group_put(b"stream", b"g", GroupInfo::default()).expect("a stream");
    let info = ConsumerInfo { seen_at: NOW, active_at: Some(NOW), pending: 0 };
    view.consumer_put(b"stream", b"g", b"c", info).expect("a stream");
    for number in 1..=20_000 {
        let id = StreamId { ms: number, sequence: 0 };
        view.stream_append(b"stream", id, Fields::packed(&Fields::pack(&[b"f", b"v"]))).expect("a stream");
        let pending = PendingEntry { consumer: b"c".to_vec(), delivered_at: NOW, deliveries: 1 };
        view.pending_put(b"stream", b"g", id, pending).expect("a stream");
    }
    keyspace
}

const LARGE: [&[u8]; 5] = [b"list", b"set", b"hash", b"zset", b"stream"];

#[test]
fn a_large_collection_that_changes_during_a_snapshot_is_written_as_it_was_in_small_pieces() {
    let mut keyspace = large();
    let (digest, memory) = (keyspace.digest(), keyspace.memory_bytes());
    keyspace.begin_snapshot();
    let mut written = Vec::new();
    let mut rng = Rng::new(1);
    let mut revision = 1;
    while let Some(chunk) = keyspace.next_chunk(64 << 10) {
        assert!(chunk.len() < 3 * (64 << 10), "{}", chunk.len());
        written.push(chunk);
        revision += 1;
        keyspace.set_revision(revision);
        let mut view = keyspace.database(ONE, NOW);
        let name = rng.below(200_000).to_string().into_bytes();
        let at = rng.below(100_000) as usize;
        visited();
        view.list_replace(b"list", at, &name).expect("a list");
        view.set_remove(b"set", &[&name]).expect("a set");
        view.hash_set(b"hash", &[(&name, b"new")], Expiry::Keep).expect("a hash");
        view.sorted_set_put(b"zset", &[(&name, 0.5)]).expect("a sorted set");
        view.pending_remove(b"stream", b"g", StreamId { ms: at as u64, sequence: 0 }).expect("a stream");
        assert!(visited() < 400, "a change costs what it costs without a snapshot");
    }
    assert!(written.len() > 40);
    let copy = loaded(&written);
    assert_eq!((copy.digest(), copy.memory_bytes()), (digest, memory));
    keyspace.check();
}

#[test]
fn large_collections_are_freed_little_by_little() {
    let mut keyspace = large();
    for key in LARGE {
        assert!(keyspace.database(ONE, NOW).remove(key));
    }
    assert_eq!(keyspace.memory_bytes(), 0);
    let mut rounds = 0;
    while keyspace.reclaim(1_000) {
        rounds += 1;
    }
    assert!(rounds > 300, "{rounds} rounds of 1,000");

    let mut keyspace = large();
    keyspace.database(ONE, NOW).list_remove(b"list", 10, 90_000).expect("a list");
    keyspace.database(ONE, NOW).stream_trim(b"stream", 19_000).expect("a stream");
    assert!(keyspace.reclaim(1_000), "what was cut out waits to be freed");
    keyspace.drop_database(ONE);
    while keyspace.reclaim(1_000) {}
    assert!(keyspace.is_empty());
}

#[test]
fn what_reads_a_part_of_a_large_collection_visits_a_part_of_it() {
    let mut keyspace = large();
    let view = keyspace.database(ONE, NOW);
    visited();
    let list = view.list(b"list").expect("a list").expect("it is there");
    let mut count = 0;
    list.walk(70_000, Direction::Backward, &mut |_, _| {
        count += 1;
        count < 100
    });
    assert_eq!(list.get(50_000), Some(&b"50000"[..]));
    let set = view.sorted_set(b"zset").expect("a sorted set").expect("it is there");
    assert_eq!(set.rank(b"99999"), Some(99_999));
    assert_eq!(set.count_below(5.0, false), 10_000);
    assert_eq!(set.at(0), Some((&b"0"[..], 1.0)));
    let stream = view.stream(b"stream").expect("a stream").expect("it is there");
    assert_eq!(stream.count_below(StreamId { ms: 15_000, sequence: 0 }), 14_999);
    assert!(view.set(b"set").expect("a set").expect("it is there").contains(b"77777"));
    assert!(view.hash(b"hash").expect("a hash").expect("it is there").at(77_777, NOW).is_some());
    let nodes = visited();
    assert!(nodes < 300, "{nodes} nodes");
}

#[test]
fn a_copy_costs_a_step_and_goes_its_own_way() {
    let mut keyspace = large();
    visited();
    let mut view = keyspace.database(ONE, NOW);
    for key in LARGE {
        assert!(view.copy(key, TWO, key));
        assert!(view.rename(key, &[key, b" renamed"].concat()));
    }
    let nodes = visited();
    assert!(nodes < 50, "{nodes} nodes");
    let (one, two) = (keyspace.database(ONE, NOW).len(), keyspace.database(TWO, NOW).len());
    assert_eq!((one, two), (5, 5));
    keyspace.database(TWO, NOW).list_remove(b"list", 0, 99_999).expect("a list");
    let view = keyspace.database(ONE, NOW);
    assert_eq!(view.list(b"list renamed").expect("a list").expect("it is there").len(), 100_000);
    keyspace.check();
}

#[test]
fn a_scan_of_a_collection_gives_all_that_is_there_throughout_on_whichever_replica() {
    let mut keyspace = shard();
    let all = numbers(3_000);
    keyspace.database(ONE, NOW).set_add(b"set", &words(&all)).expect("a set");
    let mut rng = Rng::new(9);
    let (mut seen, mut next) = (BTreeSet::new(), Some(0));
    while let Some(cursor) = next {
        let mut view = keyspace.database(ONE, NOW);
        let set = view.set(b"set").expect("a set").expect("it is there");
        let mut count = 0;
        next = set.scan(cursor, 20, &mut |member| {
            count += 1;
            seen.insert(member.to_vec());
        });
        assert!(count <= 20);
        for _ in 0..200 {
            let passing = format!("passing {}", rng.below(5_000)).into_bytes();
            if rng.chance(1, 2) {
                view.set_add(b"set", &[&passing]).expect("a set");
            } else {
                view.set_remove(b"set", &[&passing]).expect("a set");
            }
        }
        if rng.chance(1, 10) {
            keyspace.begin_snapshot();
            keyspace = loaded(&chunks(&mut keyspace, 1 << 16));
        }
    }
    assert!(all.iter().all(|member| seen.contains(member)));
    assert_eq!(keyspace.hash_key(), HASH_KEY);
}
