//! What doesn't count leaves no trace: not in the state, not in what is told, not in a snapshot that is on its way.

use super::{HASH_KEY, NOW, ONE, TWO, chunks, loaded, put, shard};
use crate::{Before, ChangedKey, Keyspace};
use base::codec::{Decode, Encode};
use base::database::{Database, EventClass, EventClasses, Expiry, Lists, Sets};
use base::{DatabaseId, Rng, UnixMillis};

const KEYS: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];

fn all_keys() -> impl Iterator<Item = (DatabaseId, &'static [u8])> {
    [ONE, TWO].into_iter().flat_map(|database| KEYS.into_iter().map(move |key| (database, key)))
}

/// Some change of some key, by chance.
fn change(keyspace: &mut Keyspace, rng: &mut Rng) {
    let database = *rng.pick(&[ONE, TWO]).expect("there are two");
    let key = *rng.pick(&KEYS).expect("there are some");
    let other = *rng.pick(&KEYS).expect("there are some");
    let number = rng.next_u64().to_string().into_bytes();
    let mut view = keyspace.database(database, NOW);
    match rng.below(9) {
        0 => view.put_string(key, &number, Expiry::Clear),
        1 => view.put_string(key, &number, Expiry::At(NOW.plus(1_000 + rng.below(5)))),
        2 => _ = view.remove(key),
        3 => _ = view.set_expiry(key, Some(NOW.plus(2_000))),
        4 => _ = view.list_insert(key, 0, &[&number]),
        5 => _ = view.set_add(key, &[&number, b"always"]),
        6 => _ = view.rename(key, other),
        7 => _ = view.copy(key, database, other),
        _ => _ = view.splice_string(key, 2, &number),
    }
}

fn changes(keyspace: &mut Keyspace, rng: &mut Rng, revision: &mut u64) {
    for _ in 0..rng.below(4) {
        *revision += 1;
        keyspace.set_revision(*revision);
        change(keyspace, rng);
    }
}

/// What a snapshot of `keyspace` says, once all of it is written.
fn written(keyspace: &mut Keyspace, mut so_far: Vec<Vec<u8>>) -> Keyspace {
    so_far.extend(chunks(keyspace, 40));
    loaded(&so_far)
}

/// Transactions that are made, count or don't, in all orders with a snapshot that walks on by pieces.
#[test]
fn what_does_not_count_leaves_no_trace_in_the_state_nor_in_a_snapshot() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let (mut keyspace, mut revision) = (shard(), 1);
        for _ in 0..8 {
            changes(&mut keyspace, &mut rng, &mut revision);
        }
        // The snapshot may be begun before, in the middle, or after; and walk some of its way between any two steps.
        let begun_at = rng.below(3);
        let (mut pieces, mut expected) = (Vec::new(), 0);
        let mut begin = |keyspace: &mut Keyspace, step: u64, pieces: &mut Vec<Vec<u8>>, rng: &mut Rng| {
            if step == begun_at {
                expected = keyspace.digest();
                keyspace.begin_snapshot();
            }
            if keyspace.snapshot_running() {
                for _ in 0..rng.below(3) {
                    pieces.extend(keyspace.next_chunk(40));
                }
            }
        };
        begin(&mut keyspace, 0, &mut pieces, &mut rng);
        let before = keyspace.digest();
        revision += 1;
        keyspace.set_revision(revision);
        keyspace.begin_tentative(all_keys());
        for _ in 0..1 + rng.below(6) {
            change(&mut keyspace, &mut rng);
        }
        let mut undo = keyspace.end_tentative();
        keyspace.check();
        let made = keyspace.digest();
        begin(&mut keyspace, 1, &mut pieces, &mut rng);
        if rng.chance(1, 2) {
            let bytes = undo.to_bytes();
            undo = Before::from_bytes(bytes.clone()).expect("it was written here");
            assert_eq!(undo.to_bytes(), bytes, "seed {seed}");
        }
        revision += 1;
        keyspace.set_revision(revision);
        if rng.chance(1, 3) {
            keyspace.confirm(undo);
            assert_eq!(keyspace.digest(), made, "seed {seed}");
        } else {
            keyspace.revert(undo);
            assert_eq!(keyspace.digest(), before, "seed {seed}");
        }
        keyspace.check();
        begin(&mut keyspace, 2, &mut pieces, &mut rng);
        changes(&mut keyspace, &mut rng, &mut revision);
        let snapshot = written(&mut keyspace, pieces);
        assert_eq!(snapshot.digest(), expected, "seed {seed}");
        keyspace.check();
    }
}

#[test]
fn nothing_is_told_of_it_unless_it_counts() {
    let mut keyspace = shard();
    keyspace.listen(EventClasses(EventClass::String as u32));
    keyspace.watch_changes(true);
    put(&mut keyspace, b"before", b"v");
    let mut told = |counts: bool| {
        keyspace.begin_tentative([(ONE, &b"a"[..]), (ONE, b"untouched")]);
        let mut view = keyspace.database(ONE, NOW);
        view.put_string(b"a", b"v", Expiry::Clear);
        view.notify(EventClass::String, "set", b"a");
        view.notify(EventClass::Generic, "expire", b"a");
        let before = keyspace.end_tentative();
        if counts {
            assert_eq!(keyspace.confirm(before), [(ONE, Box::from(&b"a"[..]))]);
        } else {
            keyspace.revert(before);
        }
        let events: Vec<_> = keyspace.take_events().into_iter().map(|event| event.event).collect();
        (events, keyspace.take_changed())
    };
    let (events, changed) = told(false);
    assert_eq!((events, changed.len()), (vec![], 1), "only what was before");
    let (events, changed) = told(true);
    assert_eq!(events, ["set"], "nobody listens to the other");
    assert_eq!(changed, [ChangedKey::One(Box::from(&b"a"[..]))]);
}

#[test]
fn a_database_that_is_emptied_comes_back_as_it_was() {
    let mut keyspace = shard();
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        change(&mut keyspace, &mut rng);
    }
    let (before, memory) = (keyspace.digest(), keyspace.memory_bytes());
    keyspace.begin_snapshot();
    keyspace.set_revision(2);
    keyspace.begin_tentative(all_keys());
    let mut view = keyspace.database(ONE, NOW);
    view.put_string(b"a", b"in between", Expiry::Clear);
    view.clear();
    view.put_string(b"a", b"after", Expiry::Clear);
    view.clear();
    let undo = keyspace.end_tentative();
    assert!(keyspace.take_spoiled_snapshot(), "it can't hold what is set aside");
    assert!(!keyspace.take_spoiled_snapshot() && !keyspace.snapshot_running());
    assert_eq!((keyspace.len(ONE), undo.written_bytes()), (0, None));
    assert!(keyspace.has_altered(&undo, ONE) && !keyspace.has_altered(&undo, TWO));
    keyspace.revert(undo);
    keyspace.check();
    assert_eq!((keyspace.digest(), keyspace.memory_bytes()), (before, memory));
}

#[test]
fn who_only_counts_keys_need_not_wait_for_changes_of_their_values() {
    let mut keyspace = shard();
    put(&mut keyspace, b"a", b"1");
    let mut altered = |change: &dyn Fn(&mut dyn Database)| {
        keyspace.begin_tentative(all_keys());
        change(&mut keyspace.database(ONE, NOW));
        let before = keyspace.end_tentative();
        let altered = keyspace.has_altered(&before, ONE);
        keyspace.revert(before);
        altered
    };
    assert!(!altered(&|view| view.put_string(b"a", b"2", Expiry::Clear)));
    assert!(altered(&|view| _ = view.remove(b"a")));
    assert!(altered(&|view| view.put_string(b"b", b"2", Expiry::Clear)));
    assert!(altered(&|view| {
        view.remove(b"a");
        view.list_insert(b"a", 0, &[b"1"]).expect("it is new");
    }));
}

/// Drawn in `docs/formats/transactions.md`.
#[test]
fn the_bytes_of_what_was_before_never_change() {
    let mut keyspace = Keyspace::new(HASH_KEY);
    keyspace.set_revision(7);
    keyspace.database(ONE, NOW).put_string(b"k", b"v", Expiry::At(UnixMillis(0x0190_0000_0000)));
    keyspace.begin_tentative([(ONE, &b"k"[..]), (ONE, b"n")]);
    keyspace.database(ONE, NOW).notify(EventClass::String, "set", b"k");
    let bytes = keyspace.end_tentative().to_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let dump: String = crate::rdb::dump_string(b"v").iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = [
        "02000000",
        "0100000000000000 01000000 6b 01 0700000000000000 01 0000000090010000 0d000000",
        &dump,
        "0100000000000000 01000000 6e 00",
        "00000000",
        "01000000 0100000000000000 08000000 03000000 736574 01000000 6b",
    ];
    assert_eq!(hex, golden.concat().replace(' ', ""));
    for end in 0..bytes.len() {
        assert!(Before::from_bytes(bytes.slice(..end)).is_err(), "cut at {end}");
    }
}
