//! Meta's commands, outcomes and state: what is read is written again as the same, and no series of commands breaks an
//! invariant, also on a state that came from elsewhere.
#![no_main]

use base::codec::{Decode, Encode};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use node::meta::{Meta, MetaCommand, MetaOutcome};

fn reads_back<T: Decode + Encode>(bytes: &[u8]) -> Option<T> {
    let bytes = Bytes::copy_from_slice(bytes);
    let value = T::from_bytes(bytes.clone()).ok()?;
    assert_eq!(value.to_bytes(), bytes);
    Some(value)
}

fuzz_target!(|input: (Vec<(u16, &[u8])>, Vec<&[u8]>)| {
    let (edits, commands) = input;
    let founding = Meta::founding(&node::Config { shards: 4, ..node::Config::default() }, 1, [1, 2]);
    let mut state = founding.to_bytes().to_vec();
    for (at, bytes) in edits {
        let at = usize::from(at) % state.len();
        let end = (at + bytes.len()).min(state.len());
        state[at..end].copy_from_slice(&bytes[..end - at]);
    }
    // An older version of the state is written again in the newest.
    let mut meta = Meta::from_bytes(Bytes::from(state)).unwrap_or(founding);
    assert_eq!(reads_back::<Meta>(&meta.to_bytes()).as_ref(), Some(&meta));
    meta.check();
    for command in commands {
        reads_back::<MetaOutcome>(command);
        let Some(command) = reads_back::<MetaCommand>(command) else { continue };
        meta.apply(command);
        meta.check();
        let bytes = meta.to_bytes();
        assert_eq!(Meta::from_bytes(bytes.clone()).map(|meta| meta.to_bytes()), Ok(bytes));
        let _ = (meta.timing(), meta.password());
    }
});
