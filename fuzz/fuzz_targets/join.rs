//! Requests to join, and their answers: what is read is written again as the same.
#![no_main]

use base::codec::{Decode, Encode};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use server::join::{Reply, Request};

fuzz_target!(|input: &[u8]| {
    let input = Bytes::copy_from_slice(input);
    if let Ok(request) = Request::from_bytes(input.clone()) {
        assert_eq!(request.to_bytes(), input);
    }
    if let Ok(reply) = Reply::from_bytes(input.clone()) {
        assert_eq!(reply.to_bytes(), input);
    }
});
