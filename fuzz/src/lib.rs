//! What the targets share: input that is always sealed by right checksums, so that the fuzzer gets past them, and a way
//! to run what is asynchronous without waiting.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls a future that has everything it needs, once.
///
/// # Panics
/// If it waits for something.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here may wait: all bytes are in memory"),
    }
}

/// Replaces the last eight bytes by the CRC-64 of what stands before them, as under a dump and a keyspace's chunk.
pub fn seal_crc64(bytes: &mut [u8]) {
    if let Some((checked, checksum)) = bytes.split_last_chunk_mut::<8>() {
        *checksum = keyspace::rdb::crc64(checked).to_le_bytes();
    }
}

/// A chunk of a keyspace with this revision and content, under its beginning and its checksum.
pub fn keyspace_chunk(revision: u8, content: &[u8]) -> Vec<u8> {
    let revision = u64::from(revision).to_le_bytes();
    let mut chunk = [b"SHKC", &1u16.to_le_bytes()[..], &revision, content, &[0; 8]].concat();
    seal_crc64(&mut chunk);
    chunk
}
