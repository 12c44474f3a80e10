//! Promises of the commands over the whole database.

use super::*;
use crate::model::Model;
use proptest::prelude::*;
use resp::Protocol;
use std::collections::BTreeSet;

fn scan<'a>(request: &'a str) -> Result<Scan<'a>, Error> {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    Scan::parse(&args)
}

fn error(request: &str) -> String {
    scan(request).expect_err(request).to_string()
}

/// Walks as a client does, with nothing but cursors, and counts how often it saw each key.
fn walk(model: &Model, options: &str) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    for _ in 0..10_000 {
        let request = format!("SCAN {cursor} {options}");
        let page = scan(request.trim()).map(|scan| scan_page(model, scan.cursor.position(), &scan));
        let page = page.expect("a valid request");
        let mut reply = Vec::new();
        reply_page(&mut Writer::new(&mut reply, Protocol::Resp2), page.next, &page.keys);
        let (frame, _) = resp::Frame::parse(&reply).expect("well formed").expect("whole");
        let parts = frame.elements().expect("two parts");
        let keys = parts[1].elements().expect("keys");
        seen.extend(keys.iter().map(|key| key.as_bytes().expect("a key").to_vec()));
        cursor = String::from_utf8(parts[0].as_bytes().expect("a cursor").to_vec()).expect("digits");
        if cursor == "0" {
            return seen;
        }
    }
    panic!("the walk has no end");
}

fn filled(mut model: Model, count: usize) -> Model {
    for at in 0..count {
        model.ask(&format!("SET key:{at} v"));
    }
    model.put_list(b"list");
    model
}

#[test]
fn a_walk_sees_every_key_once_while_nothing_changes() {
    let model = filled(Model::new(), 500);
    for options in ["", "COUNT 1", "COUNT 7", "COUNT 100000"] {
        let seen = walk(&model, options);
        assert_eq!(seen.len(), 501, "{options}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 501);
    }
}

#[test]
fn a_walk_answers_what_is_asked_for() {
    let model = filled(Model::new(), 100);
    assert_eq!(walk(&model, "MATCH key:5*").len(), 11);
    assert_eq!(walk(&model, "TYPE list"), [b"list"]);
    assert_eq!(walk(&model, "type STRING MATCH *:50 COUNT 3"), [b"key:50"]);
    assert!(walk(&model, "TYPE nonsense").is_empty());
}

/// All hashes lie in three buckets of a cursor, one of them at the very beginning.
fn crowded(key: &[u8]) -> ScanPosition {
    let number = key.iter().fold(0u64, |sum, byte| sum * 31 + u64::from(*byte));
    ScanPosition {
        slot: Slot::default(),
        hash: ((number % 3) << DROPPED_BITS) | ((number / 3) % (1 << DROPPED_BITS)),
    }
}

#[test]
fn keys_that_a_cursor_cannot_tell_apart_do_not_stop_the_walk() {
    let model = filled(Model::with_positions(crowded), 300);
    for options in ["COUNT 1", "COUNT 10"] {
        let seen: BTreeSet<_> = walk(&model, options).into_iter().collect();
        assert_eq!(seen.len(), 301, "{options}");
    }
}

#[test]
fn what_is_there_throughout_is_seen_whatever_changes() {
    let mut model = filled(Model::new(), 200);
    let mut seen = BTreeSet::new();
    let mut from = ScanPosition::default();
    let request = scan("SCAN 0 COUNT 3").expect("valid");
    for turn in 0.. {
        let page = scan_page(&model, from, &request);
        seen.extend(page.keys);
        let Some(next) = page.next else { break };
        from = next;
        model.ask(&format!("SET new:{turn} v"));
        model.ask(&format!("DEL key:{turn}"));
        model.ask(&format!("DEL new:{}", turn / 2));
    }
    let kept = (0..200).map(|at| format!("key:{at}").into_bytes());
    let there: Vec<_> = kept.filter(|key| db_has(&model, key)).collect();
    assert!(!there.is_empty() && there.iter().all(|key| seen.contains(key)));
}

fn db_has(model: &Model, key: &[u8]) -> bool {
    model.kind(key).is_some()
}

#[test]
fn the_words_of_scan_are_checked() {
    assert_eq!(error("SCAN x"), "ERR invalid cursor");
    assert_eq!(error("SCAN -1"), "ERR invalid cursor");
    assert_eq!(error("SCAN 18446744073709551616"), "ERR invalid cursor");
    assert_eq!(error("SCAN x COUNT 0"), "ERR invalid cursor");
    assert_eq!(error("SCAN 0 COUNT 0"), "ERR syntax error");
    assert_eq!(error("SCAN 0 COUNT"), "ERR syntax error");
    assert_eq!(error("SCAN 0 FOO 1"), "ERR syntax error");
    assert_eq!(error("SCAN 0 COUNT x"), "ERR value is not an integer or out of range");
    assert_eq!(scan("SCAN 18446744073709551615").map(|scan| scan.cursor), Ok(Cursor(u64::MAX)));
    let all = scan("SCAN 0 match * count 99999999999 type hash");
    let expected = Scan { cursor: Cursor(0), count: 99_999_999_999, pattern: None, kind: Some(b"hash") };
    assert_eq!(all, Ok(expected));
}

#[test]
fn keys_answers_what_matches() {
    let model = filled(Model::new(), 100);
    assert_eq!(keys_matching(&model, b"*").len(), 101);
    assert_eq!(keys_matching(&model, b"key:?").len(), 10);
    assert_eq!(keys_matching(&model, b"list"), [b"list"]);
}

#[test]
fn the_keys_of_a_slot_are_found() {
    let model = filled(Model::new(), 300);
    let slot_of = |key: &[u8]| model_slot(key);
    let slot = slot_of(b"key:7");
    let found = keys_in_slot(&model, slot, 100, slot_of);
    assert!(found.contains(&b"key:7".to_vec()) && found.iter().all(|key| slot_of(key) == slot));
    assert!(keys_in_slot(&model, slot, 0, slot_of).is_empty());
}

/// Where the model puts a key, found by asking it.
fn model_slot(key: &[u8]) -> Slot {
    crate::model::spread(key).slot
}

#[test]
fn a_shard_is_chosen_as_often_as_its_keys_deserve() {
    let mut chosen = [0; 4];
    for seed in 0..10_000 {
        chosen[random_shard(&[10, 0, 30, 60], seed).expect("there are keys")] += 1;
    }
    assert_eq!(chosen[1], 0);
    for (count, share) in chosen.into_iter().zip([1000, 0, 3000, 6000]) {
        assert!(i32::abs(count - share) <= share / 5, "{chosen:?}");
    }
    assert_eq!(random_shard(&[], 1), None);
    assert_eq!(random_shard(&[0, 0], 1), None);
}

#[test]
fn flushing_leaves_nothing() {
    let mut model = filled(Model::new(), 10);
    model.says(&[("FLUSHDB NOW", "-ERR syntax error"), ("EXISTS key:1", ":1"), ("FLUSHDB async", "+OK")]);
    assert!(model.is_empty());
    filled(Model::new(), 10).says(&[("FLUSHALL SYNC", "+OK"), ("EXISTS key:1", ":0")]);
}

proptest! {
    #[test]
    fn a_cursor_is_a_place_and_back(number: u64) {
        prop_assert_eq!(Cursor::of(Cursor(number).position()), Cursor(number));
        prop_assert_eq!(Cursor::parse(number.to_string().as_bytes()), Ok(Cursor(number)));
    }

    #[test]
    fn cursors_are_in_the_order_of_places(a in (0u16..16_384, any::<u64>()), b in (0u16..16_384, any::<u64>())) {
        let place = |(slot, hash)| ScanPosition { slot: Slot::of_hash(slot), hash };
        let (a, b) = (place(a), place(b));
        prop_assert!(a > b || Cursor::of(a) <= Cursor::of(b));
        prop_assert!(Cursor::of(a).position() <= a);
    }
}
