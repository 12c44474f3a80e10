//! Frames between nodes: how a stream of bytes is cut into messages, and how damage on the way is noticed.
//!
//! ```text
//! length: u32 | crc32c of the body: u32 | body        (little-endian)
//! ```
//!
//! The checksum is against faulty hardware between two honest nodes, not against anybody's intention.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest body of a frame.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What comes before the body.
pub const HEADER_BYTES: usize = 8;
/// How much is read at once, at least.
const READ_BYTES: usize = 64 * 1024;
/// Shorter bodies are copied out of the buffer.
const COPIED_BYTES_MAX: usize = READ_BYTES / 4;

/// What comes before `body`.
pub fn header(body: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut to = &mut header[..];
    to.put_u32_le(u32::try_from(body.len()).expect("frames are bounded far below 4 GiB"));
    to.put_u32_le(crc32c::crc32c(body));
    header
}

/// Why a stream can't be cut into frames any further.
#[derive(Debug)]
pub enum FrameError {
    /// A body longer than allowed is announced.
    TooLong {
        /// As announced.
        bytes: usize,
        /// As allowed.
        max: usize,
    },
    /// The body isn't what was sent.
    Damaged,
    /// The connection broke.
    Io(std::io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong { bytes, max } => {
                write!(f, "a message of {bytes} bytes is announced, and {max} are allowed")
            }
            FrameError::Damaged => write!(f, "a message was damaged on the way: its checksum differs"),
            FrameError::Io(error) => write!(f, "{error}"),
        }
    }
}

/// Cuts what is read from one connection into frames.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    bytes_max: usize,
}

impl FrameReader {
    /// For bodies of at most `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), bytes_max }
    }

    /// The next whole frame, if there is one. A large one isn't copied; a small one is, because something of it may be
    /// kept for long (an entry in a log's cache), and must not keep the whole buffer.
    pub fn cut(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(mut header) = self.buffer.get(..HEADER_BYTES) else { return Ok(None) };
        let (bytes, checksum) = (header.get_u32_le() as usize, header.get_u32_le());
        if bytes > self.bytes_max {
            return Err(FrameError::TooLong { bytes, max: self.bytes_max });
        }
        if self.buffer.len() < HEADER_BYTES + bytes {
            // Room for the whole frame at once; the other side has shown who it is, and the length is bounded.
            self.buffer.reserve(HEADER_BYTES + bytes - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let body = if bytes < COPIED_BYTES_MAX {
            let body = Bytes::copy_from_slice(&self.buffer[..bytes]);
            self.buffer.advance(bytes);
            body
        } else {
            self.buffer.split_to(bytes).freeze()
        };
        if crc32c::crc32c(&body) == checksum { Ok(Some(body)) } else { Err(FrameError::Damaged) }
    }

    /// Reads what is there; whether the stream goes on.
    pub async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<bool, FrameError> {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        Ok(from.read_buf(&mut self.buffer).await.map_err(FrameError::Io)? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, FrameError, FrameReader, header};
    use bytes::Bytes;

    fn framed(body: &[u8]) -> Vec<u8> {
        [&header(body)[..], body].concat()
    }

    /// Everything that is read from `stream` if it arrives `step` bytes at a time.
    async fn cut(stream: &[u8], step: usize) -> Result<Vec<Bytes>, FrameError> {
        let mut reader = FrameReader::new(BYTES_MAX);
        let mut frames = Vec::new();
        for mut part in stream.chunks(step) {
            while !part.is_empty() {
                assert!(reader.fill(&mut part).await?);
                while let Some(frame) = reader.cut()? {
                    frames.push(frame);
                }
            }
        }
        Ok(frames)
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_however_they_are_cut_up() {
        let bodies = [&b""[..], b"a", &[7; 1000], b"", &[1; 200_000], b"end"];
        let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        for step in [1, 3, 7, 8, 9, 4096, stream.len()] {
            let frames = cut(&stream, step).await.expect("nothing is wrong with it");
            assert_eq!(frames, bodies, "{step} bytes at a time");
        }
    }

    #[test]
    fn the_bytes_of_a_frame_are_those_of_version_1() {
        // The checksum is the one that RFC 3720 gives for 32 zero bytes.
        assert_eq!(header(&[0; 32]), [32, 0, 0, 0, 0xaa, 0x36, 0x91, 0x8a]);
    }

    #[tokio::test]
    async fn a_flipped_bit_is_noticed() {
        let mut stream = framed(b"something");
        *stream.last_mut().expect("not empty") ^= 4;
        assert!(matches!(cut(&stream, 100).await, Err(FrameError::Damaged)));
    }

    #[tokio::test]
    async fn a_small_frame_that_is_kept_does_not_keep_the_buffer() {
        let mut reader = FrameReader::new(BYTES_MAX);
        assert!(reader.fill(&mut &framed(b"kept")[..]).await.expect("it can be read"));
        let kept = reader.cut().expect("nothing is wrong with it").expect("it is whole");
        let capacity = reader.buffer.capacity();
        assert!(reader.buffer.try_reclaim(capacity + 1), "the room of what was cut is used again");
        assert_eq!(kept, &b"kept"[..]);
    }

    #[tokio::test]
    async fn nothing_is_reserved_for_a_length_beyond_the_limit() {
        let stream = [&u32::MAX.to_le_bytes()[..], &[0; 4]].concat();
        let mut reader = FrameReader::new(BYTES_MAX);
        assert!(reader.fill(&mut &stream[..]).await.expect("it can be read"));
        assert!(matches!(reader.cut(), Err(FrameError::TooLong { bytes, .. }) if bytes == u32::MAX as usize));
        assert!(reader.buffer.capacity() < 1 << 20);
    }
}
