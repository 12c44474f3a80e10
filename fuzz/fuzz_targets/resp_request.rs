//! A client's bytes: cut up in any way they are the same commands, and what is taken for one the crate `redis-protocol`
//! reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use resp::{Limits, Progress, Reader};

/// What a whole stream says: its commands, and whether it ends in an error.
type Said = (Vec<Vec<Vec<u8>>>, bool);

fn read(input: &[u8], step: usize, limits: Limits) -> Said {
    let mut reader = Reader::new(limits);
    let (mut commands, mut begin, mut end) = (Vec::new(), 0, 0);
    loop {
        let window = &input[begin..end];
        match reader.next(window) {
            Ok(Progress::Command { consumed }) => {
                let words: Vec<Vec<u8>> = reader.args(window).map(<[u8]>::to_vec).collect();
                if window[0] == b'*' {
                    let (other, used) = decode(window).expect("well formed").expect("whole");
                    assert_eq!(used, consumed);
                    let same = words.iter().cloned().map(OwnedFrame::BulkString).collect();
                    assert_eq!(other, OwnedFrame::Array(same));
                }
                commands.push(words);
                begin += consumed;
            }
            Ok(Progress::Empty { consumed }) => {
                assert!(consumed > 0);
                begin += consumed;
            }
            Ok(Progress::Incomplete { needed }) => {
                assert!(needed > 0);
                if end == input.len() {
                    return (commands, false);
                }
                end = (end + step).min(input.len());
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return (commands, true);
            }
        }
    }
}

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (step, unauthenticated, stream) = input;
    let limits = Limits { unauthenticated, ..Limits::default() };
    let whole = read(stream, stream.len().max(1), limits);
    assert_eq!(read(stream, usize::from(step).max(1), limits), whole);
});
