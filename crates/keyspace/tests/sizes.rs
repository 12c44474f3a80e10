//! Collections of every size around the bounds at which they change their form, with the bounds that ship: unit tests have
//! smaller ones.

use base::database::{Expiry, Hashes, Lists, Sets, SortedSets};
use base::{DatabaseId, UnixMillis};
use keyspace::{Keyspace, View};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const DATABASE: DatabaseId = DatabaseId(1);
const HASH_KEY: [u64; 2] = [1, 2];
const KEYS: [&[u8]; 4] = [b"list", b"set", b"hash", b"zset"];

/// With a deadline for every seventh field.
fn add(view: &mut View<'_>, number: usize, word: &[u8]) {
    let expiry =
        if number.is_multiple_of(7) { Expiry::At(NOW.plus(1 + number as u64)) } else { Expiry::Clear };
    view.list_insert(KEYS[0], number, &[word]).expect("a list");
    assert_eq!(view.set_add(KEYS[1], &[word]), Ok(1));
    assert_eq!(view.hash_set(KEYS[2], &[(word, b"value")], expiry), Ok(1));
    assert_eq!(view.sorted_set_put(KEYS[3], &[(word, number as f64 * 1.5)]), Ok(1));
}

fn remove(view: &mut View<'_>, number: usize, word: &[u8]) {
    view.list_remove(KEYS[0], number, 1).expect("a list");
    assert_eq!(view.set_remove(KEYS[1], &[word]), Ok(1));
    assert_eq!(view.hash_remove(KEYS[2], &[word]), Ok(1));
    assert_eq!(view.sorted_set_remove(KEYS[3], &[word]), Ok(1));
}

/// A snapshot of it makes an equal shard, that takes the same memory.
fn check(keyspace: &mut Keyspace) {
    keyspace.check();
    keyspace.begin_snapshot();
    let mut copy = Keyspace::new(HASH_KEY);
    while let Some(chunk) = keyspace.next_chunk(1 << 16) {
        copy.load_chunk(&chunk).expect("it was written a moment ago");
    }
    assert_eq!((copy.digest(), copy.memory_bytes()), (keyspace.digest(), keyspace.memory_bytes()));
}

#[test]
fn at_every_size_a_copy_from_a_snapshot_is_equal_and_takes_the_same_memory() {
    for length in [4, 20, 126, 128] {
        let word = |number: usize| format!("{number:0length$}").into_bytes();
        let mut keyspace = Keyspace::new(HASH_KEY);
        let mut costs = vec![0];
        for number in 0..150 {
            keyspace.set_revision(keyspace.revision() + 1);
            add(&mut keyspace.database(DATABASE, NOW), number, &word(number));
            check(&mut keyspace);
            costs.push(keyspace.memory_bytes());
        }
        for number in (0..150).rev() {
            assert_eq!(keyspace.memory_bytes(), costs[number + 1], "however it came to what it has");
            keyspace.set_revision(keyspace.revision() + 1);
            remove(&mut keyspace.database(DATABASE, NOW), number, &word(number));
            check(&mut keyspace);
        }
        assert!(keyspace.is_empty());
    }
}
