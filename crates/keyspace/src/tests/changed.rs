//! Whoever asks hears of every key that has changed.

use super::{NOW, ONE, TWO, shard};
use crate::{ChangedKey, Keyspace};
use base::database::{Database, Expiry, Sets};
use base::{Rng, UnixMillis};
use std::collections::BTreeSet;

const KEYS: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];

/// What there is of a key: its value and when it goes.
fn looks(
    keyspace: &mut Keyspace,
    now: UnixMillis,
) -> Vec<(Option<bytes::Bytes>, Option<Option<UnixMillis>>)> {
    let view = keyspace.database(ONE, now);
    KEYS.iter().map(|key| (view.dump(key), view.expires_at(key))).collect()
}

fn taken(keyspace: &mut Keyspace) -> (BTreeSet<Vec<u8>>, bool) {
    let changed = keyspace.take_changed();
    let all = changed.contains(&ChangedKey::All);
    let keys = changed.into_iter().filter_map(|changed| match changed {
        ChangedKey::One(key) => Some(key.to_vec()),
        ChangedKey::All => None,
    });
    (keys.collect(), all)
}

/// One change of some kind; some change nothing.
fn change(keyspace: &mut Keyspace, rng: &mut Rng, now: UnixMillis) {
    let mut pick = || KEYS[rng.below(KEYS.len() as u64) as usize];
    let (key, other) = (pick(), pick());
    let later = now.plus(rng.below(3) * 10);
    let kind = rng.below(12);
    let mut view = keyspace.database(ONE, now);
    match kind {
        0 => view.put_string(key, b"v", Expiry::Clear),
        1 => view.put_string(key, b"longer", Expiry::At(later)),
        2 => _ = view.splice_string(key, 2, b"xyz"),
        3 => _ = view.remove(key),
        4 => _ = view.set_expiry(key, Some(later)),
        5 => _ = view.set_expiry(key, None),
        6 => _ = view.rename(key, other),
        7 => _ = view.copy(key, ONE, other),
        8 => {
            view.remove(key);
            _ = view.set_add(key, &[b"1", b"2"]);
        }
        9 => _ = view.set_add(key, &[b"m"]),
        10 => _ = keyspace.remove_expired(ONE, key, now),
        _ => {
            let dump = view.dump(other);
            if let Some(dump) = dump {
                view.restore(key, &dump, Expiry::Clear).expect("a dump of our own");
            }
        }
    }
}

#[test]
fn every_key_that_looks_different_was_told() {
    let mut rng = Rng::new(5);
    let mut keyspace = shard();
    keyspace.watch_changes(true);
    let (mut told, mut spared) = (0, 0);
    for step in 0..20_000u64 {
        keyspace.set_revision(step + 2);
        let now = NOW.plus(step);
        let before = looks(&mut keyspace, now);
        change(&mut keyspace, &mut rng, now);
        let after = looks(&mut keyspace, now);
        let (keys, all) = taken(&mut keyspace);
        assert!(!all);
        for (at, key) in KEYS.iter().enumerate() {
            let different = before[at] != after[at];
            assert!(!different || keys.contains(*key), "step {step}: a change of {key:?} was not told");
            told += u32::from(different);
            spared += u32::from(!different && !keys.contains(*key));
        }
    }
    assert!(told > 5_000 && spared > 50_000, "{told} {spared}");
}

#[test]
fn a_flushed_database_is_told_as_a_whole_and_nothing_is_kept_for_nobody() {
    let mut keyspace = shard();
    keyspace.database(ONE, NOW).put_string(b"k", b"v", Expiry::Clear);
    assert!(keyspace.take_changed().is_empty());
    keyspace.watch_changes(true);
    keyspace.database(TWO, NOW).clear();
    assert_eq!(keyspace.take_changed(), [ChangedKey::All]);
    keyspace.database(ONE, NOW).put_string(b"k", b"w", Expiry::Clear);
    keyspace.watch_changes(false);
    assert!(keyspace.take_changed().is_empty());
}
