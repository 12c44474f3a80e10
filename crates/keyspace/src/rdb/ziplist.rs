//! Elements packed into one string, as Redis did before version 7 (and maps, as it did before 2.6). Nothing here writes it.
//!
//! A ziplist is total bytes, offset of the last element (four bytes each), count (two, 65,535 where it isn't known), all
//! little-endian; elements, and an end byte. An element begins with the length of the one before it, so that it can be
//! walked backwards.
//!
//! A zipmap is a count (254 where it isn't known), fields and values in turn, and an end byte. Behind a value there may be
//! bytes that aren't used.

use super::BadValue;
use super::intset::widened;
use super::listpack::Element;

const HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Four bytes of length follow.
const LONG: u8 = 254;

const CUT: BadValue = BadValue::Malformed("a ziplist that is cut");
const CUT_MAP: BadValue = BadValue::Malformed("a zipmap that is cut");

/// The elements in `bytes`.
pub fn read(bytes: &[u8]) -> Result<Vec<Element<'_>>, BadValue> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(CUT)?;
    let [t0, t1, t2, t3, _, _, _, _, n0, n1] = *header;
    if u32::from_le_bytes([t0, t1, t2, t3]) as usize != bytes.len() {
        return Err(BadValue::Malformed("a ziplist with another size than it announces"));
    }
    let Some((&END, mut rest)) = rest.split_last() else { return Err(CUT) };
    let mut elements = Vec::new();
    let mut previous_bytes = 0;
    while !rest.is_empty() {
        let before = rest.len();
        if take_previous_length(&mut rest)? != previous_bytes {
            return Err(BadValue::Malformed("a ziplist that can't be walked backwards"));
        }
        elements.push(take_element(&mut rest)?);
        previous_bytes = before - rest.len();
    }
    let count = u16::from_le_bytes([n0, n1]);
    if count != COUNT_UNKNOWN && usize::from(count) != elements.len() {
        return Err(BadValue::Malformed("a ziplist with another count than it announces"));
    }
    Ok(elements)
}

fn take_previous_length(rest: &mut &[u8]) -> Result<usize, BadValue> {
    match take(rest, 1)?[0] {
        LONG => Ok(widened(take(rest, 4)?) as u32 as usize),
        END => Err(BadValue::Malformed("a ziplist that ends twice")),
        short => Ok(usize::from(short)),
    }
}

fn take_element<'a>(rest: &mut &'a [u8]) -> Result<Element<'a>, BadValue> {
    let first = take(rest, 1)?[0];
    Ok(match first {
        0..=0x3f => Element::Bytes(take(rest, usize::from(first))?),
        0x40..=0x7f => {
            let low = take(rest, 1)?[0];
            Element::Bytes(take(rest, usize::from(first & 0x3f) << 8 | usize::from(low))?)
        }
        // The lower bits of this byte aren't used.
        0x80..=0xbf => {
            let length = take(rest, 4)?.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
            Element::Bytes(take(rest, length)?)
        }
        0xc0 => Element::Integer(widened(take(rest, 2)?)),
        0xd0 => Element::Integer(widened(take(rest, 4)?)),
        0xe0 => Element::Integer(widened(take(rest, 8)?)),
        0xf0 => Element::Integer(widened(take(rest, 3)?)),
        0xfe => Element::Integer(widened(take(rest, 1)?)),
        0xf1..=0xfd => Element::Integer(i64::from(first & 0x0f) - 1),
        _ => return Err(BadValue::Malformed("a ziplist with an element in an encoding that doesn't exist")),
    })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], BadValue> {
    super::string::take(rest, count).map_err(|_| CUT)
}

/// A field of a zipmap and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The fields of a zipmap with their values.
pub fn read_map(bytes: &[u8]) -> Result<Vec<Pair<'_>>, BadValue> {
    let (&count, rest) = bytes.split_first().ok_or(CUT_MAP)?;
    let Some((&END, mut rest)) = rest.split_last() else { return Err(CUT_MAP) };
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let field_bytes = take_map_length(&mut rest)?;
        let field = take_of_map(&mut rest, field_bytes)?;
        let value_bytes = take_map_length(&mut rest)?;
        let unused = take_of_map(&mut rest, 1)?[0];
        let value = take_of_map(&mut rest, value_bytes)?;
        take_of_map(&mut rest, usize::from(unused))?;
        pairs.push((field, value));
    }
    if count < LONG && usize::from(count) != pairs.len() {
        return Err(BadValue::Malformed("a zipmap with another count than it announces"));
    }
    Ok(pairs)
}

fn take_map_length(rest: &mut &[u8]) -> Result<usize, BadValue> {
    match take_of_map(rest, 1)?[0] {
        LONG => Ok(widened(take_of_map(rest, 4)?) as u32 as usize),
        END => Err(BadValue::Malformed("a zipmap that ends twice")),
        short => Ok(usize::from(short)),
    }
}

fn take_of_map<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], BadValue> {
    super::string::take(rest, count).map_err(|_| CUT_MAP)
}
