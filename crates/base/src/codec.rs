//! Binary encoding shared by the wire and the disk: little-endian integers, byte strings and lists with a
//! 32-bit length before them. A decoder never trusts a length further than the bytes that are there, and hands
//! out slices of what it was given instead of copies.

use alloc::vec::Vec;
use bytes::Bytes;

/// Something that can be written down.
pub trait Encode {
    /// Appends its bytes.
    fn encode(&self, to: &mut Encoder<'_>);

    /// Its bytes alone.
    fn to_bytes(&self) -> Bytes {
        let mut buffer = Vec::new();
        self.encode(&mut Encoder::new(&mut buffer));
        Bytes::from(buffer)
    }
}

/// Something that can be read back.
pub trait Decode: Sized {
    /// Reads it from the front of what is left.
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError>;

    /// Reads it from `bytes`, all of which it must use.
    fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let value = Self::decode(&mut decoder)?;
        if decoder.is_empty() { Ok(value) } else { Err(DecodeError::Invalid("trailing bytes")) }
    }
}

/// Why bytes could not be read. The bytes came from a peer or a disk: this is news about them, never a bug here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They end too early.
    Short,
    /// They say something that has no meaning; what was being read.
    Invalid(&'static str),
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            DecodeError::Short => write!(f, "the bytes end too early"),
            DecodeError::Invalid(what) => write!(f, "{what} has no meaning"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Appends values to a buffer.
#[derive(Debug)]
pub struct Encoder<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// Appends to `buffer`.
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// A length and that many bytes.
    ///
    /// # Panics
    /// If there are 4 GiB or more: every limit in Sihai is far below.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).expect("byte strings are bounded far below 4 GiB"));
        self.buffer.extend_from_slice(value);
    }

    /// A text, as bytes.
    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// 0, or 1 and the value.
    pub fn option<T: Encode>(&mut self, value: Option<&T>) {
        self.bool(value.is_some());
        if let Some(value) = value {
            value.encode(self);
        }
    }

    /// A count and that many values.
    pub fn list<'v, T: Encode + 'v>(&mut self, values: impl ExactSizeIterator<Item = &'v T>) {
        self.u32(u32::try_from(values.len()).expect("lists are bounded far below 4 Gi elements"));
        for value in values {
            value.encode(self);
        }
    }
}

/// Takes values from the front of some bytes.
#[derive(Debug)]
pub struct Decoder {
    rest: Bytes,
}

impl Decoder {
    /// Reads from `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Exactly `count` bytes, shared with the source.
    pub fn take(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::Short);
        }
        Ok(self.rest.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, _) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        let head = *head;
        let _ = self.rest.split_to(N);
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// One byte that must be 0 or 1.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid("a flag")),
        }
    }

    /// A length and that many bytes, shared with the source.
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let count = self.u32()? as usize;
        self.take(count)
    }

    /// A text.
    pub fn string(&mut self) -> Result<alloc::string::String, DecodeError> {
        let bytes = self.bytes()?;
        core::str::from_utf8(&bytes).map(Into::into).map_err(|_| DecodeError::Invalid("a text"))
    }

    /// 0, or 1 and a value.
    pub fn option<T: Decode>(&mut self) -> Result<Option<T>, DecodeError> {
        if self.bool()? { T::decode(self).map(Some) } else { Ok(None) }
    }

    /// A count and that many values. Memory is reserved for what arrives, not for what is announced.
    pub fn list<T: Decode>(&mut self) -> Result<Vec<T>, DecodeError> {
        let count = self.u32()? as usize;
        // Every element takes at least one byte.
        if count > self.rest.len() {
            return Err(DecodeError::Short);
        }
        let mut values = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            values.push(T::decode(self)?);
        }
        Ok(values)
    }
}

impl Encode for u64 {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(*self);
    }
}

impl Decode for u64 {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        from.u64()
    }
}

impl Encode for Bytes {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bytes(self);
    }
}

impl Decode for Bytes {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        from.bytes()
    }
}
