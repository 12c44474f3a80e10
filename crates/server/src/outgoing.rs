//! What waits to be written to one socket, in order, and how it gets there with few system calls: many small pieces
//! are gathered into one write, large ones are handed over where they lie.
//!
//! Nothing here waits: a socket that takes no more leaves the rest for later.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// A piece from this size on is cheaper to hand over than to copy.
const LARGE_BYTES: usize = 8 * 1024;
/// About as much as a socket takes at once.
const GATHER_BYTES: usize = 64 * 1024;
/// Large pieces that go into one write.
const SLICES_MAX: usize = 16;
/// Room for pieces that an empty queue keeps.
const KEPT_PIECES: usize = 8;

/// Bytes on their way to one socket.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Outgoing {
    /// Adds to the end.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes until nothing is left or the socket takes no more (`WouldBlock` ends it without an error; see
    /// [`Outgoing::is_empty`]). `scratch` is where small pieces are gathered; it is shared by all sockets of a thread.
    pub fn write(
        &mut self,
        scratch: &mut Vec<u8>,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while let Some(first) = self.pieces.front() {
            let written = if self.pieces.len() == 1 {
                write(&[IoSlice::new(first)])
            } else if first.len() >= LARGE_BYTES {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                write(&slices[..count])
            } else {
                self.gather(scratch);
                write(&[IoSlice::new(scratch)])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Copies small pieces from the front, at least one.
    fn gather(&self, scratch: &mut Vec<u8>) {
        scratch.clear();
        for piece in &self.pieces {
            if piece.len() >= LARGE_BYTES || scratch.len() + piece.len() > GATHER_BYTES {
                break;
            }
            scratch.extend_from_slice(piece);
        }
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while count > 0 {
            let first = self.pieces.front_mut().expect("a socket takes no more than it was given");
            if first.len() > count {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() && self.pieces.capacity() > KEPT_PIECES {
            self.pieces = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GATHER_BYTES, LARGE_BYTES, Outgoing};
    use base::Rng;
    use bytes::Bytes;
    use std::io;

    /// A socket that takes at most `room` bytes at once, and then refuses once.
    fn deliver(queue: &mut Outgoing, room: impl Fn() -> usize) -> Vec<u8> {
        let mut arrived = Vec::new();
        let mut scratch = Vec::new();
        while !queue.is_empty() {
            let mut refused = false;
            queue
                .write(&mut scratch, |slices| {
                    if refused {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    let mut left = room();
                    let before = arrived.len();
                    for slice in slices {
                        let taken = left.min(slice.len());
                        arrived.extend_from_slice(&slice[..taken]);
                        left -= taken;
                    }
                    refused = left == 0;
                    Ok(arrived.len() - before)
                })
                .expect("the socket is fine");
        }
        arrived
    }

    #[test]
    fn everything_arrives_once_and_in_order_however_little_the_socket_takes() {
        let mut rng = Rng::new(7);
        let sizes =
            [0, 1, 5, 100, LARGE_BYTES - 1, LARGE_BYTES, GATHER_BYTES, GATHER_BYTES + 1, 3 * GATHER_BYTES];
        for room in [1usize << 8, 1 << 12, 1 << 16, 1 << 30] {
            let mut queue = Outgoing::default();
            let mut wanted = Vec::new();
            for _ in 0..60 {
                let size = sizes[rng.next_u64() as usize % sizes.len()];
                let piece: Vec<u8> = (0..size).map(|_| rng.next_u64() as u8).collect();
                wanted.extend_from_slice(&piece);
                queue.push(Bytes::from(piece));
                assert_eq!(queue.bytes(), wanted.len());
            }
            assert!(deliver(&mut queue, || room) == wanted, "with room for {room} bytes");
            assert_eq!(queue.bytes(), 0);
        }
    }

    #[test]
    fn small_replies_leave_in_one_write() {
        let mut queue = Outgoing::default();
        for _ in 0..100 {
            queue.push(Bytes::from_static(b"+PONG\r\n"));
        }
        let mut writes = 0;
        queue
            .write(&mut Vec::new(), |slices| {
                writes += 1;
                Ok(slices.iter().map(|slice| slice.len()).sum())
            })
            .expect("the socket is fine");
        assert_eq!((writes, queue.is_empty()), (1, true));
    }
}
