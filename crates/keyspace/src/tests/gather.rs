//! What a snapshot's chunks give, key by key, is what the shard held when it was begun.

use super::{NOW, ONE, TWO, put, shard};
use crate::{Found, Gatherer, Keyspace};
use base::database::{Database, Expiry, Hashes, Lists, Sets, SortedSets};
use proptest::prelude::*;

fn members(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("member {number}").into_bytes()).collect()
}

/// Long values of several types, and short ones, in two databases.
fn fill(keyspace: &mut Keyspace, count: u32) {
    let all = members(count);
    let words: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let pairs: Vec<(&[u8], &[u8])> = words.iter().map(|word| (*word, &b"value"[..])).collect();
    let scored: Vec<(&[u8], f64)> = words.iter().zip(0..).map(|(word, at)| (*word, f64::from(at))).collect();
    for database in [ONE, TWO] {
        let mut view = keyspace.database(database, NOW);
        view.list_insert(b"list", 0, &words).expect("a list");
        view.set_add(b"set", &words).expect("a set");
        view.hash_set(b"hash", &pairs, Expiry::Clear).expect("a hash");
        view.sorted_set_put(b"zset", &scored).expect("a sorted set");
        view.put_string(b"string", &vec![b'x'; 40 * count as usize], Expiry::At(NOW.plus(9)));
        for word in words.iter().take(50) {
            view.put_string(word, word, Expiry::Clear);
        }
    }
}

/// Its database, a key, its dump and when it expires.
type Held = (u64, Vec<u8>, Vec<u8>, Option<u64>);

/// All keys, in order.
fn held(keyspace: &mut Keyspace) -> Vec<Held> {
    let mut all = Vec::new();
    for database in [ONE, TWO] {
        let view = keyspace.database(database, NOW);
        let mut keys = Vec::new();
        let mut from = Some(base::database::ScanPosition::default());
        while let Some(position) = from {
            from = view.scan(position, 100, &mut |key, _| keys.push(key.to_vec()));
        }
        for key in keys {
            let dump = view.dump(&key).expect("it is there").to_vec();
            let until = view.expires_at(&key).flatten().map(|at| at.0);
            all.push((database.0, key, dump, until));
        }
    }
    all.sort();
    all
}

/// What was found, put into an empty shard.
fn restored(found: Vec<Found>) -> Keyspace {
    let mut keyspace = shard();
    for Found { database, key, value, expires_at } in found {
        let dump = crate::rdb::write_dump(&value);
        let expiry = expires_at.map_or(Expiry::Clear, Expiry::At);
        keyspace.database(database, NOW).restore(&key, &dump, expiry).expect("it was gathered");
    }
    keyspace
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn keys_come_whole_however_the_shard_changes_meanwhile(
        count in 1..9_000u32,
        budget_bytes in 1_000..200_000usize,
        changed in proptest::collection::vec((0..30usize, 0..4usize), 0..8),
    ) {
        let mut keyspace = shard();
        fill(&mut keyspace, count);
        let before = held(&mut keyspace);
        keyspace.begin_snapshot();
        keyspace.set_revision(2);
        let (mut gatherer, mut found) = (Gatherer::default(), Vec::new());
        let mut number = 0;
        while let Some(chunk) = keyspace.next_chunk(budget_bytes) {
            gatherer.take(&chunk, |key| found.push(key)).expect("it was written here");
            for (_, what) in changed.iter().filter(|(at, _)| *at == number) {
                let mut view = keyspace.database(ONE, NOW);
                match what {
                    0 => drop(view.list_insert(b"list", 0, &[b"newer"])),
                    1 => drop(view.set_add(b"set", &[b"newer"])),
                    2 => view.clear(),
                    _ => put(&mut keyspace, b"string", b"newer"),
                }
            }
            number += 1;
        }
        prop_assert!(gatherer.is_empty());
        prop_assert_eq!(found.len(), before.len());
        prop_assert!(held(&mut restored(found)) == before);
    }
}
