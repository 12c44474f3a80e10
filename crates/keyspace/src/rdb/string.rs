//! Lengths and strings. Strings are written plain or, where they are the usual spelling of a 32-bit integer, as that
//! integer; compressed ones are read, not written.

use super::BadValue;
use crate::lzf;
use std::borrow::Cow;

/// Strings are at most this long, in Redis and here.
pub const STRING_BYTES_MAX: usize = 512 << 20;

const LENGTH_6: u8 = 0b0000_0000;
const LENGTH_14: u8 = 0b0100_0000;
const LENGTH_32: u8 = 0x80;
const LENGTH_64: u8 = 0x81;
const ENCODED: u8 = 0b1100_0000;

/// The integer that `value` spells in the one usual way, if it fits into 64 bits.
pub fn integer(value: &[u8]) -> Option<i64> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let usual = match digits {
        [b'0'] => digits.len() == value.len(),
        [b'1'..=b'9', rest @ ..] => rest.len() < 19 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !usual {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Appends a string.
pub fn write_string(to: &mut Vec<u8>, value: &[u8]) {
    match short_integer(value) {
        Some(integer) => write_integer(to, integer),
        None => {
            write_number(to, value.len() as u64);
            to.extend_from_slice(value);
        }
    }
}

fn short_integer(value: &[u8]) -> Option<i32> {
    // Eleven characters are the longest 32-bit integer.
    if value.len() > 11 {
        return None;
    }
    integer(value).and_then(|integer| i32::try_from(integer).ok())
}

fn write_integer(to: &mut Vec<u8>, integer: i32) {
    if let Ok(small) = i8::try_from(integer) {
        to.push(ENCODED);
        to.extend_from_slice(&small.to_le_bytes());
    } else if let Ok(medium) = i16::try_from(integer) {
        to.push(ENCODED | 1);
        to.extend_from_slice(&medium.to_le_bytes());
    } else {
        to.push(ENCODED | 2);
        to.extend_from_slice(&integer.to_le_bytes());
    }
}

/// Appends a number in the form that lengths have.
pub fn write_number(to: &mut Vec<u8>, number: u64) {
    if number < 1 << 6 {
        to.push(LENGTH_6 | number as u8);
    } else if number < 1 << 14 {
        to.extend_from_slice(&[LENGTH_14 | (number >> 8) as u8, number as u8]);
    } else if let Ok(number) = u32::try_from(number) {
        to.push(LENGTH_32);
        to.extend_from_slice(&number.to_be_bytes());
    } else {
        to.push(LENGTH_64);
        to.extend_from_slice(&number.to_be_bytes());
    }
}

/// Takes a string from the front.
pub fn read_string<'a>(from: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, BadValue> {
    let first = *from.first().ok_or(BadValue::Short)?;
    if first & ENCODED != ENCODED {
        let length = read_length(from)?;
        return take(from, length).map(Cow::Borrowed);
    }
    *from = &from[1..];
    let spelt = |integer: i64| Ok(Cow::Owned(integer.to_string().into_bytes()));
    match first & !ENCODED {
        0 => spelt(i64::from(i8::from_le_bytes(take_array(from)?))),
        1 => spelt(i64::from(i16::from_le_bytes(take_array(from)?))),
        2 => spelt(i64::from(i32::from_le_bytes(take_array(from)?))),
        3 => {
            let compressed = read_length(from)?;
            let length = read_length(from)?;
            let compressed = take(from, compressed)?;
            lzf::decompress(compressed, length)
                .map(Cow::Owned)
                .ok_or(BadValue::Malformed("a compressed string that can't be unpacked"))
        }
        _ => Err(BadValue::Malformed("a string in an encoding that doesn't exist")),
    }
}

/// Takes a string that the caller keeps.
pub fn read_owned(from: &mut &[u8]) -> Result<Vec<u8>, BadValue> {
    read_string(from).map(Cow::into_owned)
}

/// Takes the length of a string, which is never beyond [`STRING_BYTES_MAX`].
pub fn read_length(from: &mut &[u8]) -> Result<usize, BadValue> {
    usize::try_from(read_number(from)?)
        .ok()
        .filter(|&length| length <= STRING_BYTES_MAX)
        .ok_or(BadValue::Malformed("a string that is too long"))
}

/// Takes a number in the form that lengths have.
pub fn read_number(from: &mut &[u8]) -> Result<u64, BadValue> {
    let first = take_byte(from)?;
    match first {
        LENGTH_32 => Ok(u64::from(u32::from_be_bytes(take_array(from)?))),
        LENGTH_64 => Ok(u64::from_be_bytes(take_array(from)?)),
        _ if first & ENCODED == LENGTH_6 => Ok(u64::from(first)),
        _ if first & ENCODED == LENGTH_14 => Ok(u64::from(first & 0x3f) << 8 | u64::from(take_byte(from)?)),
        _ => Err(BadValue::Malformed("a length in a form that doesn't exist")),
    }
}

/// Takes `count` bytes from the front.
pub fn take<'a>(from: &mut &'a [u8], count: usize) -> Result<&'a [u8], BadValue> {
    let (taken, rest) = from.split_at_checked(count).ok_or(BadValue::Short)?;
    *from = rest;
    Ok(taken)
}

/// Takes `N` bytes from the front.
pub fn take_array<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], BadValue> {
    let (taken, rest) = from.split_first_chunk::<N>().ok_or(BadValue::Short)?;
    *from = rest;
    Ok(*taken)
}

/// Takes a byte from the front.
pub fn take_byte(from: &mut &[u8]) -> Result<u8, BadValue> {
    take_array::<1>(from).map(|[byte]| byte)
}
