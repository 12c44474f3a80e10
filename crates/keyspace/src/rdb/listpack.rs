//! Elements packed into one string, as Redis does since version 5: total bytes (four, little-endian), count (two,
//! little-endian, 65,535 where it isn't known), elements, and an end byte. An element is an integer or bytes, behind it
//! its own length once more, so that it can be walked backwards.

use super::BadValue;
use super::intset::widened;
use super::string::integer;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// An element as it was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// As they are.
    Bytes(&'a [u8]),
    /// Stands for its decimal spelling.
    Integer(i64),
}

impl Element<'_> {
    /// The bytes that it stands for.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Element::Bytes(bytes) => bytes.to_vec(),
            Element::Integer(integer) => integer.to_string().into_bytes(),
        }
    }

    /// The integer that it is or spells.
    pub fn integer(self) -> Option<i64> {
        match self {
            Element::Bytes(bytes) => integer(bytes),
            Element::Integer(integer) => Some(integer),
        }
    }
}

const CUT: BadValue = BadValue::Malformed("a listpack that is cut");

/// The elements in `bytes`.
pub fn read(bytes: &[u8]) -> Result<Vec<Element<'_>>, BadValue> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(CUT)?;
    let [t0, t1, t2, t3, n0, n1] = *header;
    if u32::from_le_bytes([t0, t1, t2, t3]) as usize != bytes.len() {
        return Err(BadValue::Malformed("a listpack with another size than it announces"));
    }
    let Some((&END, mut rest)) = rest.split_last() else { return Err(CUT) };
    let mut elements = Vec::new();
    while !rest.is_empty() {
        elements.push(take_element(&mut rest)?);
    }
    let count = u16::from_le_bytes([n0, n1]);
    if count != COUNT_UNKNOWN && usize::from(count) != elements.len() {
        return Err(BadValue::Malformed("a listpack with another count than it announces"));
    }
    Ok(elements)
}

fn take_element<'a>(rest: &mut &'a [u8]) -> Result<Element<'a>, BadValue> {
    let before = *rest;
    let first = *rest.first().ok_or(CUT)?;
    let element = match first {
        0..=0x7f => {
            take(rest, 1)?;
            Element::Integer(i64::from(first))
        }
        0x80..=0xbf => {
            take(rest, 1)?;
            Element::Bytes(take(rest, usize::from(first & 0x3f))?)
        }
        0xc0..=0xdf => {
            let low = take(rest, 2)?[1];
            let thirteen_bits = i64::from(first & 0x1f) << 8 | i64::from(low);
            Element::Integer(if thirteen_bits < 1 << 12 { thirteen_bits } else { thirteen_bits - (1 << 13) })
        }
        0xe0..=0xef => {
            let low = take(rest, 2)?[1];
            Element::Bytes(take(rest, usize::from(first & 0x0f) << 8 | usize::from(low))?)
        }
        0xf0 => {
            let length = widened(&take(rest, 5)?[1..]) as u32;
            Element::Bytes(take(rest, length as usize)?)
        }
        0xf1 => Element::Integer(widened(&take(rest, 3)?[1..])),
        0xf2 => Element::Integer(widened(&take(rest, 4)?[1..])),
        0xf3 => Element::Integer(widened(&take(rest, 5)?[1..])),
        0xf4 => Element::Integer(widened(&take(rest, 9)?[1..])),
        _ => return Err(BadValue::Malformed("a listpack with an element in an encoding that doesn't exist")),
    };
    let (backwards, length) = backward_length(before.len() - rest.len());
    if take(rest, length)? != &backwards[..length] {
        return Err(BadValue::Malformed("a listpack that can't be walked backwards"));
    }
    Ok(element)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], BadValue> {
    super::string::take(rest, count).map_err(|_| CUT)
}

/// The length of an element as it stands behind it, and in how many bytes: seven bits each, the highest first, and all
/// but the first marked.
fn backward_length(length: usize) -> ([u8; 5], usize) {
    let count = match length {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        2_097_152..=268_435_455 => 4,
        _ => 5,
    };
    let mut bytes = [0; 5];
    for (index, byte) in bytes[..count].iter_mut().enumerate() {
        let mark = if index == 0 { 0 } else { 0x80 };
        *byte = (length >> (7 * (count - 1 - index))) as u8 & 0x7f | mark;
    }
    (bytes, count)
}

/// Packs elements.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    /// Nothing so far.
    pub fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes there are so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an element, as an integer where it spells one in the usual way.
    pub fn push(&mut self, element: &[u8]) {
        if let Some(integer) = integer(element) {
            return self.push_integer(integer);
        }
        let before = self.bytes.len();
        let length = element.len();
        match length {
            0..=63 => self.bytes.push(0x80 | length as u8),
            64..=4095 => self.bytes.extend_from_slice(&[0xe0 | (length >> 8) as u8, length as u8]),
            _ => {
                self.bytes.push(0xf0);
                // Strings are bounded far below 4 GiB.
                self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(element);
        self.end_element(before);
    }

    /// Adds an integer.
    pub fn push_integer(&mut self, integer: i64) {
        let before = self.bytes.len();
        let bytes = integer.to_le_bytes();
        match integer {
            0..=127 => self.bytes.push(integer as u8),
            -4096..=4095 => {
                self.bytes.extend_from_slice(&[0xc0 | (integer >> 8) as u8 & 0x1f, integer as u8])
            }
            -0x8000..=0x7fff => self.tagged(0xf1, &bytes[..2]),
            -0x80_0000..=0x7f_ffff => self.tagged(0xf2, &bytes[..3]),
            -0x8000_0000..=0x7fff_ffff => self.tagged(0xf3, &bytes[..4]),
            _ => self.tagged(0xf4, &bytes),
        }
        self.end_element(before);
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(bytes);
    }

    fn end_element(&mut self, before: usize) {
        let (bytes, count) = backward_length(self.bytes.len() - before);
        self.bytes.extend_from_slice(&bytes[..count]);
        self.count += 1;
    }

    /// The listpack.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        // Who packs keeps listpacks small, but for a single long element.
        let total = (self.bytes.len() as u32).to_le_bytes();
        let count = u16::try_from(self.count).unwrap_or(COUNT_UNKNOWN).to_le_bytes();
        self.bytes[..4].copy_from_slice(&total);
        self.bytes[4..6].copy_from_slice(&count);
        self.bytes
    }
}
