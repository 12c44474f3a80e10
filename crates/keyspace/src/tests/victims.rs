//! Whom memory loses: anybody may be drawn, only who has not changed goes, and all copies agree.

use super::{NOW, ONE, TWO, put, shard};
use crate::usage::Counting;
use base::database::{Database, EventClasses, Expiry, Sets};
use base::{Rng, UnixMillis};
use std::collections::BTreeMap;

fn put_until(keyspace: &mut crate::Keyspace, key: &[u8], at: UnixMillis) {
    keyspace.database(ONE, NOW).put_string(key, b"v", Expiry::At(at));
}

#[test]
fn every_key_is_drawn_about_as_often_as_any_other() {
    let mut keyspace = shard();
    for number in 0..60 {
        let key = format!("k{number}");
        let database = if number % 3 == 0 { TWO } else { ONE };
        let expiry = if number % 2 == 0 { Expiry::Clear } else { Expiry::At(NOW.plus(1000 << (number / 4))) };
        keyspace.database(database, NOW).put_string(key.as_bytes(), b"v", expiry);
    }
    let mut rng = Rng::new(3);
    for (volatile, keys) in [(false, 60), (true, 30)] {
        assert_eq!(keyspace.candidates(volatile), keys);
        let mut drawn = BTreeMap::<Vec<u8>, u32>::new();
        for _ in 0..keys * 200 {
            let candidate = keyspace.draw_candidate(volatile, NOW, &mut rng).expect("there are keys");
            assert!(!volatile || candidate.gone_at.is_some());
            *drawn.entry(candidate.key.to_vec()).or_default() += 1;
        }
        assert_eq!(drawn.len() as u64, keys);
        assert!(drawn.values().all(|count| (120..300).contains(count)), "{drawn:?}");
    }
    assert!(shard().draw_candidate(false, NOW, &mut rng).is_none());
}

#[test]
fn the_next_to_expire_is_the_nearest_that_is_not_taken() {
    let mut keyspace = shard();
    for number in 0..50u64 {
        put_until(&mut keyspace, format!("k{number:02}").as_bytes(), NOW.plus(1000 + number));
    }
    keyspace.database(TWO, NOW).put_string(b"first", b"v", Expiry::At(NOW.plus(5)));
    put(&mut keyspace, b"for ever", b"v");
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for step in 0..51usize {
        let is_taken = |_, key: &[u8]| taken.iter().any(|other| other == key);
        let next = keyspace.next_to_expire(NOW, taken.len() as u64, &is_taken).expect("one is left");
        let expected = if step == 0 { "first".to_string() } else { format!("k{:02}", step - 1) };
        assert_eq!(next.key, expected.as_bytes());
        taken.push(next.key.to_vec());
    }
    let is_taken = |_, key: &[u8]| taken.iter().any(|other| other == key);
    assert!(keyspace.next_to_expire(NOW, 51, &is_taken).is_none());
}

#[test]
fn only_who_has_not_changed_goes() {
    let mut keyspace = shard();
    keyspace.listen(EventClasses::ALL);
    put(&mut keyspace, b"same", b"v");
    put(&mut keyspace, b"changed", b"v");
    put_until(&mut keyspace, b"over", NOW.plus(5));
    keyspace.database(ONE, NOW).set_add(b"set", &[b"a", b"b"]).expect("a set");
    keyspace.set_revision(2);
    put(&mut keyspace, b"changed", b"w");
    keyspace.set_revision(3);
    keyspace.take_events();
    let later = NOW.plus(10);
    let keys: [&[u8]; 5] = [b"same", b"changed", b"over", b"set", b"nobody"];
    assert_eq!(keys.map(|key| keyspace.evict(ONE, key, 1, later)), [true, false, true, true, false]);
    assert!(!keyspace.evict(TWO, b"same", 1, later));
    let told: Vec<_> = keyspace.take_events().into_iter().map(|event| (event.event, event.key)).collect();
    let event = |name: &'static str, key: &[u8]| (name.into(), Box::from(key));
    assert_eq!(told, [event("evicted", b"same"), event("expired", b"over"), event("evicted", b"set")]);
    assert_eq!((keyspace.take_evicted(), keyspace.take_evicted()), (2, 0));
    assert_eq!(keyspace.len(ONE), 1);
    keyspace.check();
}

#[test]
fn what_is_known_of_accesses_is_no_part_of_the_state() {
    let (mut used, mut unused) = (shard(), shard());
    used.set_counting(Counting { on: true, log_factor: 1, decay_minutes: 1 });
    for keyspace in [&mut used, &mut unused] {
        put(keyspace, b"k", b"v");
        keyspace.database(ONE, NOW).set_add(b"s", &[b"m"]).expect("a set");
    }
    let later = NOW.plus(60_000);
    for _ in 0..100 {
        assert!(used.database(ONE, later).touch(b"k"));
    }
    let now = used.candidate(ONE, b"k", later).expect("it is there");
    assert!(now.frequency > 10 && now.idle_s == 0, "{now:?}");
    let now = unused.candidate(ONE, b"k", later).expect("it is there");
    assert_eq!((now.frequency, now.idle_s), (4, 60), "it starts with five and has lost one");
    assert_eq!(used.digest(), unused.digest());
    for keyspace in [&mut used, &mut unused] {
        keyspace.begin_snapshot();
    }
    assert_eq!(super::chunks(&mut used, 100), super::chunks(&mut unused, 100));
}

#[test]
fn a_key_that_is_written_again_is_as_popular_as_before() {
    let mut keyspace = shard();
    keyspace.set_counting(Counting { on: true, log_factor: 10, decay_minutes: 1 });
    let frequency = |keyspace: &crate::Keyspace, key: &[u8]| {
        keyspace.candidate(ONE, key, NOW).expect("it is there").frequency
    };
    put(&mut keyspace, b"k", b"v");
    keyspace.database(ONE, NOW).set_usage(b"k", None, Some(100));
    put(&mut keyspace, b"k", b"w");
    assert!(frequency(&keyspace, b"k") >= 100, "in its place");
    put(&mut keyspace, b"k", b"a longer one");
    assert!(frequency(&keyspace, b"k") >= 100, "in another");
    keyspace.database(ONE, NOW).splice_string(b"k", 20, b"more").expect("a string");
    keyspace.database(ONE, NOW).set_expiry(b"k", Some(NOW.plus(1000)));
    assert!(frequency(&keyspace, b"k") >= 100, "grown");
    assert!(keyspace.database(ONE, NOW).rename(b"k", b"other"));
    assert!(frequency(&keyspace, b"other") >= 100, "under another name");
    keyspace.database(ONE, NOW).set_usage(b"other", Some(7_000), None);
    assert_eq!(keyspace.candidate(ONE, b"other", NOW).expect("it is there").idle_s, 7);
}
