//! Replies read back: the same as the crate `redis-protocol` reads, where both take them, and more bytes behind a whole
//! frame change nothing about it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame as Other;
use resp::Frame;

fn from_other(frame: Other) -> Frame {
    match frame {
        Other::SimpleString(text) => Frame::Simple(text),
        Other::Error(text) => Frame::Error(text.into_bytes()),
        Other::Integer(value) => Frame::Integer(value),
        Other::BulkString(bytes) => Frame::Bulk(bytes),
        Other::Array(frames) => Frame::Array(frames.into_iter().map(from_other).collect()),
        Other::Null => Frame::Null,
    }
}

/// The other crate doesn't tell the two kinds of nothing apart.
fn one_null(frame: Frame) -> Frame {
    match frame {
        Frame::NullArray => Frame::Null,
        Frame::Array(frames) => Frame::Array(frames.into_iter().map(one_null).collect()),
        other => other,
    }
}

/// Whether only version 2 has its kinds: where both versions use a sign, the other crate's readers differ.
fn is_plain(frame: &Frame) -> bool {
    match frame {
        Frame::Array(frames) => frames.iter().all(is_plain),
        Frame::Simple(_) | Frame::Error(_) | Frame::Integer(_) | Frame::Bulk(_) => true,
        Frame::Null | Frame::NullArray => true,
        _ => false,
    }
}

fuzz_target!(|input: &[u8]| {
    let Ok(Some((frame, used))) = Frame::parse(input) else { return };
    let again = Frame::parse(&input[..used]).expect("what it took is sound").expect("and whole");
    // Floats may be no numbers, which aren't equal to themselves.
    assert_eq!(format!("{again:?}"), format!("{:?}", (&frame, used)));
    assert!(!matches!(Frame::parse(&input[..used - 1]), Ok(Some((_, all))) if all >= used));
    if is_plain(&frame)
        && let Ok(Some((other, other_used))) = decode(input)
    {
        assert_eq!(used, other_used);
        assert_eq!(one_null(frame), from_other(other));
    }
});
