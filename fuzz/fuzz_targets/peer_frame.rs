//! The stream from another node, cut into frames: however it arrives it is cut alike, and nothing is reserved beyond the
//! limit.
#![no_main]

use bytes::Bytes;
use fuzz::now;
use libfuzzer_sys::fuzz_target;
use server::frame::{FrameReader, header};

const BYTES_MAX: usize = 1 << 20;

fn cut(stream: &[u8], step: usize) -> (Vec<Bytes>, Option<String>) {
    let mut reader = FrameReader::new(BYTES_MAX);
    let mut frames = Vec::new();
    for mut part in stream.chunks(step.max(1)) {
        while !part.is_empty() {
            assert!(now(reader.fill(&mut part)).expect("memory can be read"));
            loop {
                match reader.cut() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error.to_string())),
                }
            }
        }
    }
    (frames, None)
}

fuzz_target!(|input: (u8, Vec<&[u8]>, &[u8])| {
    let (step, bodies, rest) = input;
    let mut stream: Vec<u8> = bodies.iter().flat_map(|body| [&header(body)[..], body].concat()).collect();
    stream.extend_from_slice(rest);
    let whole = cut(&stream, stream.len());
    assert_eq!(cut(&stream, step.into()), whole);
    assert!(whole.0.len() >= bodies.len());
    assert_eq!(whole.0[..bodies.len()], bodies);
});
