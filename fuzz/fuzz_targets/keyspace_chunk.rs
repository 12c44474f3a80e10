//! The chunks of a snapshot: what a shard takes in keeps every invariant, and is given out again as the same.
#![no_main]

use fuzz::{keyspace_chunk, seal_crc64};
use keyspace::Keyspace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<(u8, &[u8])>, Vec<u8>)| {
    let (chunks, mut raw) = input;
    seal_crc64(&mut raw);
    let _ = Keyspace::new([1, 2]).load_chunk(&raw);
    let mut shard = Keyspace::new([1, 2]);
    for (revision, content) in chunks {
        if shard.load_chunk(&keyspace_chunk(revision, content)).is_err() {
            return;
        }
    }
    shard.check();
    // A value of half a gigabyte takes no room in a chunk that holds little of it, and all of it in one that is written.
    if shard.memory_bytes() > 16 << 20 {
        return;
    }
    let mut copy = Keyspace::new([1, 2]);
    shard.begin_snapshot();
    while let Some(chunk) = shard.next_chunk(1_000) {
        copy.load_chunk(&chunk).expect("it was written by ourselves");
    }
    copy.check();
    assert_eq!(copy.digest(), shard.digest());
});
