//! Snapshots in detail, their bytes, and what happens to bytes that aren't right.

use super::{HASH_KEY, NOW, ONE, TWO, chunks, loaded, put, shard};
use crate::rdb::crc64;
use crate::snapshot::WHOLE_BYTES_MAX;
use crate::{BadChunk, Keyspace};
use base::database::{BadDump, Database, Expiry};
use base::{DatabaseId, Rng};
use proptest::prelude::*;

/// Every kind of item that a chunk can have.
fn small_state() -> Keyspace {
    let mut keyspace = Keyspace::new(HASH_KEY);
    keyspace.set_revision(0x0102);
    keyspace.database(ONE, NOW).put_string(b"plain", b"value", Expiry::Clear);
    keyspace.set_revision(0x0304);
    keyspace.database(ONE, NOW).put_string(b"due", b"-1000", Expiry::At(NOW.plus(1)));
    keyspace.database(DatabaseId(0x55), NOW).put_string(b"", b"", Expiry::Clear);
    keyspace
}

#[test]
fn a_chunk_is_what_the_format_says() {
    let mut keyspace = small_state();
    keyspace.begin_snapshot();
    let chunks = chunks(&mut keyspace, 1 << 20);
    let written: String = chunks[0].iter().map(|byte| format!("{byte:02x}")).collect();
    let due = "82 0403000000000000 0168e5cf8b010000 03000000 647565 00 c118fc";
    let plain = "02 0201000000000000 05000000 706c61696e 00 0576616c7565";
    let expected = format!(
        "53484b43 0100 0403000000000000 \
         01 0100000000000000 {due} {plain} \
         01 5500000000000000 02 0403000000000000 00000000 00 00"
    )
    .replace(' ', "");
    assert_eq!(chunks.len(), 1);
    let (body, checksum) = written.split_at(written.len() - 16);
    assert_eq!(body, expected);
    let checked = &chunks[0][..chunks[0].len() - 8];
    assert_eq!(checksum, crc64(checked).to_le_bytes().map(|byte| format!("{byte:02x}")).concat());
    assert_eq!(loaded(&chunks).digest(), keyspace.digest());
}

#[test]
fn a_long_value_is_written_in_pieces_that_keep_to_the_budget() {
    let mut keyspace = shard();
    let value: Vec<u8> = (0..10 * WHOLE_BYTES_MAX + 1).map(|index| index as u8).collect();
    put(&mut keyspace, b"long", &value);
    put(&mut keyspace, b"short", b"v");
    let digest = keyspace.digest();
    keyspace.begin_snapshot();
    let chunks = chunks(&mut keyspace, WHOLE_BYTES_MAX);
    assert!(chunks.len() >= 10);
    assert!(chunks.iter().all(|chunk| chunk.len() < 2 * WHOLE_BYTES_MAX + 200));
    assert_eq!(loaded(&chunks).digest(), digest);
}

#[test]
fn a_long_value_that_changes_between_its_pieces_is_written_as_it_was() {
    type Change = fn(&mut Keyspace);
    let changes: [Change; 7] = [
        |keyspace| put(keyspace, b"long", b"new"),
        |keyspace| _ = keyspace.database(ONE, NOW).splice_string(b"long", 5, b"new"),
        |keyspace| _ = keyspace.database(ONE, NOW).remove(b"long"),
        |keyspace| _ = keyspace.database(ONE, NOW).rename(b"long", b"other"),
        |keyspace| _ = keyspace.database(ONE, NOW).set_expiry(b"long", Some(NOW.plus(1))),
        |keyspace| keyspace.database(ONE, NOW).clear(),
        |keyspace| keyspace.drop_database(ONE),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut keyspace = shard();
        let value: Vec<u8> = (0..5 * WHOLE_BYTES_MAX).map(|index| (index / 7) as u8).collect();
        put(&mut keyspace, b"long", &value);
        let digest = keyspace.digest();
        keyspace.begin_snapshot();
        let mut written = vec![keyspace.next_chunk(1).expect("the first piece")];
        keyspace.set_revision(2);
        change(&mut keyspace);
        keyspace.check();
        written.extend(keyspace.next_chunk(1));
        keyspace.set_revision(3);
        put(&mut keyspace, b"long", b"newer");
        written.extend(chunks(&mut keyspace, 1));
        assert_eq!(written.len(), 5, "change {number}");
        assert_eq!(loaded(&written).digest(), digest, "change {number}");
        assert_eq!(keyspace.retained_bytes(), 0);
    }
}

#[test]
fn what_a_snapshot_holds_back_is_counted_and_given_back() {
    let mut keyspace = shard();
    for number in 0..1_000u32 {
        put(&mut keyspace, &number.to_le_bytes(), &[7; 100]);
    }
    let memory = keyspace.memory_bytes();
    keyspace.begin_snapshot();
    assert_eq!(keyspace.retained_bytes(), 0, "to begin copies nothing");
    keyspace.set_revision(2);
    for number in 0..1_000u32 {
        put(&mut keyspace, &number.to_le_bytes(), &[8; 100]);
        put(&mut keyspace, &number.to_le_bytes(), &[9; 100]);
    }
    assert_eq!((keyspace.memory_bytes(), keyspace.retained_bytes()), (memory, memory), "each old value once");
    keyspace.abandon_snapshot();
    assert_eq!(keyspace.retained_bytes(), 0);
    keyspace.begin_snapshot();
    assert_eq!(loaded(&chunks(&mut keyspace, 1_000)).digest(), keyspace.digest());
}

#[test]
fn a_flush_during_a_snapshot_keeps_the_rest_for_it() {
    let mut keyspace = shard();
    for number in 0..5_000u32 {
        put(&mut keyspace, &number.to_le_bytes(), b"v");
        keyspace.database(TWO, NOW).put_string(&number.to_le_bytes(), b"w", Expiry::At(NOW.plus(9)));
    }
    let digest = keyspace.digest();
    keyspace.begin_snapshot();
    let mut written = vec![keyspace.next_chunk(10_000).expect("a first part")];
    for revision in 2..5 {
        keyspace.set_revision(revision);
        for database in [ONE, TWO] {
            keyspace.database(database, NOW).clear();
            keyspace.database(database, NOW).put_string(b"new", b"", Expiry::Clear);
        }
        written.extend(keyspace.next_chunk(10_000));
    }
    keyspace.drop_database(TWO);
    written.extend(chunks(&mut keyspace, 10_000));
    assert_eq!(loaded(&written).digest(), digest);
    while keyspace.reclaim(1_000) {}
    keyspace.check();
}

#[test]
#[should_panic(expected = "what changes during a snapshot has a later revision than it")]
fn a_change_at_the_revision_of_the_running_snapshot_is_a_bug() {
    let mut keyspace = shard();
    put(&mut keyspace, b"k", b"v");
    keyspace.begin_snapshot();
    put(&mut keyspace, b"k", b"w");
}

#[test]
fn a_digest_sees_every_part_of_the_state() {
    let digest = |change: fn(&mut Keyspace)| {
        let mut keyspace = small_state();
        change(&mut keyspace);
        keyspace.digest()
    };
    let digests = [
        digest(|_| ()),
        digest(|keyspace| keyspace.database(ONE, NOW).put_string(b"plain", b"valuE", Expiry::Clear)),
        digest(|keyspace| _ = keyspace.database(ONE, NOW).rename(b"plain", b"plaiN")),
        digest(|keyspace| _ = keyspace.database(ONE, NOW).set_expiry(b"due", Some(NOW.plus(2)))),
        digest(|keyspace| _ = keyspace.database(ONE, NOW).set_expiry(b"due", None)),
        digest(|keyspace| _ = keyspace.database(ONE, NOW).copy(b"plain", TWO, b"plain")),
        digest(|keyspace| _ = keyspace.database(ONE, NOW).remove(b"plain")),
        digest(|keyspace| keyspace.drop_database(DatabaseId(0x55))),
    ];
    let distinct: std::collections::BTreeSet<u64> = digests.into_iter().collect();
    assert_eq!(distinct.len(), digests.len());
    assert_eq!(digests[0], digest(|keyspace| _ = keyspace.database(ONE, NOW).touch(b"plain")));
    assert_eq!(digests[0], digest(|keyspace| _ = keyspace.database(TWO, NOW).is_empty()));
}

#[test]
fn chunks_that_are_not_right_are_refused() {
    let mut keyspace = small_state();
    keyspace.begin_snapshot();
    let chunk = keyspace.next_chunk(1 << 20).expect("there are keys");
    let refused = |chunk: &[u8]| Keyspace::new(HASH_KEY).load_chunk(chunk).expect_err("it is broken");
    for length in 0..chunk.len() {
        refused(&chunk[..length]);
    }
    for index in 0..chunk.len() {
        let mut flipped = chunk.clone();
        flipped[index] ^= 1 << (index % 8);
        refused(&flipped);
    }
    let mut twice = loaded(std::slice::from_ref(&chunk));
    assert_eq!(twice.load_chunk(&chunk), Err(BadChunk("a key that is there already")));
    // The next snapshot would leave such a key out.
    let mut earlier = chunk;
    earlier[6..14].copy_from_slice(&0x0303u64.to_le_bytes());
    let checked = earlier.len() - 8;
    let checksum = crc64(&earlier[..checked]).to_le_bytes();
    earlier[checked..].copy_from_slice(&checksum);
    assert!(refused(&earlier).to_string().contains("changed later than the state"));
    assert_eq!(
        refused(b"PK-not-a-chunk-at-all").to_string(),
        "the snapshot can't be loaded: a chunk has another beginning than a keyspace chunk"
    );
}

proptest! {
    #[test]
    fn a_chunk_with_a_right_checksum_and_wrong_contents_breaks_nothing(
        seed in any::<u64>(), changes in 1..12usize
    ) {
        let mut keyspace = small_state();
        put(&mut keyspace, b"long", &vec![1; WHOLE_BYTES_MAX + 1]);
        keyspace.begin_snapshot();
        let mut chunk = keyspace.next_chunk(1 << 20).expect("there are keys");
        let mut rng = Rng::new(seed);
        for _ in 0..changes {
            // The long value's bytes in the middle are of no interest.
            let index = 6 + rng.below(120.min(chunk.len() as u64 - 14)) as usize;
            chunk[index] = if rng.chance(1, 2) { rng.next_u64() as u8 } else { chunk[index] ^ 0x80 };
        }
        let checked = chunk.len() - 8;
        let checksum = crc64(&chunk[..checked]).to_le_bytes();
        chunk[checked..].copy_from_slice(&checksum);
        let mut copy = Keyspace::new(HASH_KEY);
        if copy.load_chunk(&chunk).is_ok() {
            copy.check();
        }
    }

    #[test]
    fn a_dump_gives_back_what_was_dumped(value in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut keyspace = shard();
        put(&mut keyspace, b"k", &value);
        let mut view = keyspace.database(ONE, NOW);
        let dump = view.dump(b"k").expect("it is there");
        prop_assert_eq!(view.restore(b"l", &dump, Expiry::Clear), Ok(()));
        prop_assert_eq!(view.string(b"l"), Ok(Some(&value[..])));
        let mut broken = dump.to_vec();
        let index = value.first().map_or(0, |&byte| usize::from(byte)) % broken.len();
        broken[index] ^= 1;
        prop_assert_eq!(view.restore(b"m", &broken, Expiry::Clear), Err(BadDump));
        prop_assert_eq!(view.string(b"m"), Ok(None));
    }
}
