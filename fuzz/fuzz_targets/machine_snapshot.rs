//! A snapshot as another replica sends it: what is taken in can go on with the next entry, and gives a snapshot that is
//! read as the same state.
#![no_main]

use base::Index;
use bytes::Bytes;
use fuzz::keyspace_chunk;
use libfuzzer_sys::fuzz_target;
use node::machine::Machine;

fuzz_target!(|input: (&[u8], Vec<(u8, &[u8])>)| {
    let (header, chunks) = input;
    let Ok(mut machine) = Machine::from_header(Bytes::copy_from_slice(header)) else { return };
    for (revision, content) in chunks {
        if machine.load_chunk(&keyspace_chunk(revision, content)).is_err() {
            return;
        }
    }
    if machine.keyspace().is_some_and(|keyspace| keyspace.memory_bytes() > 16 << 20) {
        return;
    }
    // Raft refuses a snapshot of an entry beyond this.
    if machine.applied.0 < 1 << 60 {
        machine.apply_empty(Index(machine.applied.0 + 1));
    }
    let digest = machine.digest();
    machine.begin_snapshot();
    let header = machine.next_chunk(1_000).expect("the header comes first");
    let mut copy = Machine::from_header(Bytes::from(header)).expect("it was written by ourselves");
    while let Some(chunk) = machine.next_chunk(1_000) {
        copy.load_chunk(&chunk).expect("it was written by ourselves");
    }
    assert_eq!(copy.digest(), digest);
    if let Some(keyspace) = copy.keyspace() {
        keyspace.check();
    }
});
