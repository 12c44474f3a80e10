//! Redis's encoding of values (RDB version 11), for DUMP, RESTORE and snapshots.
//!
//! A value is a type byte and what the type says; a dump adds the version (two bytes, little-endian) and a CRC-64 of
//! everything before it (eight bytes, little-endian). Strings are written plain or, where they are the usual
//! spelling of a 32-bit integer, as that integer; compressed ones are read, not written.

use crate::lzf;
use crc::{CRC_64_REDIS, Crc, Table};
use std::borrow::Cow;

/// The version that is written.
pub const VERSION: u16 = 11;
/// The newest version that is read.
const VERSION_MAX: u16 = 12;
/// Strings are at most this long, in Redis and here.
pub const STRING_BYTES_MAX: usize = 512 << 20;

const TYPE_STRING: u8 = 0;
const FOOTER_BYTES: usize = 10;

const LENGTH_6: u8 = 0b0000_0000;
const LENGTH_14: u8 = 0b0100_0000;
const LENGTH_32: u8 = 0x80;
const LENGTH_64: u8 = 0x81;
const ENCODED: u8 = 0b1100_0000;

/// The checksum that Redis puts under its dumps.
static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The checksum that Redis puts under its dumps.
pub fn crc64(bytes: &[u8]) -> u64 {
    CRC.checksum(bytes)
}

/// The bytes aren't a value that this release reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadValue;

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Bytes.
    String(Cow<'a, [u8]>),
}

/// Appends a string value: its type and its bytes.
pub fn write_string_value(to: &mut Vec<u8>, value: &[u8]) {
    to.push(TYPE_STRING);
    match short_integer(value) {
        Some(integer) => write_integer(to, integer),
        None => {
            write_length(to, value.len());
            to.extend_from_slice(value);
        }
    }
}

/// Takes a value from the front of `from`.
pub fn read_value<'a>(from: &mut &'a [u8]) -> Result<Value<'a>, BadValue> {
    match take_byte(from)? {
        TYPE_STRING => read_string(from).map(Value::String),
        _ => Err(BadValue),
    }
}

/// The dump of a string.
pub fn dump_string(value: &[u8]) -> Vec<u8> {
    let mut dump = Vec::with_capacity(1 + 9 + value.len() + FOOTER_BYTES);
    write_string_value(&mut dump, value);
    dump.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = crc64(&dump);
    dump.extend_from_slice(&checksum.to_le_bytes());
    dump
}

/// The value of a dump.
pub fn read_dump(dump: &[u8]) -> Result<Value<'_>, BadValue> {
    let (checked, checksum) = dump.split_last_chunk::<8>().ok_or(BadValue)?;
    let (mut rest, version) = checked.split_last_chunk::<2>().ok_or(BadValue)?;
    if u16::from_le_bytes(*version) > VERSION_MAX || u64::from_le_bytes(*checksum) != crc64(checked) {
        return Err(BadValue);
    }
    let value = read_value(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(BadValue) }
}

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

fn write_length(to: &mut Vec<u8>, length: usize) {
    if length < 1 << 6 {
        to.push(LENGTH_6 | length as u8);
    } else if length < 1 << 14 {
        to.extend_from_slice(&[LENGTH_14 | (length >> 8) as u8, length as u8]);
    } else if let Ok(length) = u32::try_from(length) {
        to.push(LENGTH_32);
        to.extend_from_slice(&length.to_be_bytes());
    } else {
        to.push(LENGTH_64);
        to.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

fn read_string<'a>(from: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, BadValue> {
    let first = *from.first().ok_or(BadValue)?;
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
            lzf::decompress(compressed, length).map(Cow::Owned).ok_or(BadValue)
        }
        _ => Err(BadValue),
    }
}

/// A length, which is never beyond [`STRING_BYTES_MAX`].
fn read_length(from: &mut &[u8]) -> Result<usize, BadValue> {
    let first = take_byte(from)?;
    let length = match first {
        LENGTH_32 => u64::from(u32::from_be_bytes(take_array(from)?)),
        LENGTH_64 => u64::from_be_bytes(take_array(from)?),
        _ if first & ENCODED == LENGTH_6 => u64::from(first),
        _ if first & ENCODED == LENGTH_14 => u64::from(first & 0x3f) << 8 | u64::from(take_byte(from)?),
        _ => return Err(BadValue),
    };
    usize::try_from(length).ok().filter(|&length| length <= STRING_BYTES_MAX).ok_or(BadValue)
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Result<&'a [u8], BadValue> {
    let (taken, rest) = from.split_at_checked(count).ok_or(BadValue)?;
    *from = rest;
    Ok(taken)
}

fn take_array<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], BadValue> {
    let (taken, rest) = from.split_first_chunk::<N>().ok_or(BadValue)?;
    *from = rest;
    Ok(*taken)
}

fn take_byte(from: &mut &[u8]) -> Result<u8, BadValue> {
    take_array::<1>(from).map(|[byte]| byte)
}

#[cfg(test)]
mod tests {
    use super::{
        STRING_BYTES_MAX, VERSION, Value, crc64, dump_string, integer, read_dump, read_value,
        write_string_value,
    };
    use std::borrow::Cow;

    fn written(value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_string_value(&mut bytes, value);
        bytes
    }

    fn read(mut bytes: &[u8]) -> Option<Vec<u8>> {
        let Value::String(value) = read_value(&mut bytes).ok()?;
        bytes.is_empty().then(|| value.into_owned())
    }

    #[test]
    fn the_checksum_is_the_one_of_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn dumps_of_redis_are_read() {
        // What DUMP of the string 10 is in Redis 2.6 and in Redis 7.0, by its documentation.
        let old = b"\x00\xc0\n\x06\x00\xf8r?\xc5\xfb\xfb_(";
        let new = b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb";
        for dump in [&old[..], new] {
            assert_eq!(read_dump(dump), Ok(Value::String(Cow::Borrowed(b"10"))));
        }
    }

    #[test]
    fn integers_are_written_as_short_as_they_can_be() {
        assert_eq!(written(b"10"), [0, 0xc0, 10]);
        assert_eq!(written(b"-128"), [0, 0xc0, 0x80]);
        assert_eq!(written(b"128"), [0, 0xc1, 0x80, 0]);
        assert_eq!(written(b"-32769"), [0, 0xc2, 0xff, 0x7f, 0xff, 0xff]);
        assert_eq!(written(b"2147483648"), *b"\x00\x0a2147483648");
        for unusual in ["", "-", "-0", "007", "+7", "7 "] {
            assert_eq!(written(unusual.as_bytes())[1], unusual.len() as u8, "{unusual:?}");
        }
        for value in ["0", "-1", "127", "32767", "-32768", "2147483647", "-2147483648", "99999999999"] {
            assert_eq!(read(&written(value.as_bytes())).as_deref(), Some(value.as_bytes()));
        }
        assert_eq!(integer(b"99999999999999999999"), None);
    }

    #[test]
    fn lengths_are_written_as_short_as_they_can_be() {
        for (length, head) in [
            (63, &[0, 63][..]),
            (64, &[0, 0x40, 64]),
            (16_383, &[0, 0x7f, 0xff]),
            (16_384, &[0, 0x80, 0, 0, 0x40, 0]),
        ] {
            let value = vec![b'x'; length];
            let bytes = written(&value);
            assert_eq!(bytes[..head.len()], *head);
            assert_eq!(bytes.len(), head.len() + length);
            assert_eq!(read(&bytes), Some(value));
        }
        assert_eq!(read(b"\x00\x81\0\0\0\0\0\0\0\x01x").as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn compressed_strings_are_read() {
        assert_eq!(read(&[0, 0xc3, 5, 10, 0, b'a', 0xe0, 0, 0]), Some(vec![b'a'; 10]));
        assert_eq!(read(&[0, 0xc3, 5, 11, 0, b'a', 0xe0, 0, 0]), None);
        assert_eq!(read(&[0, 0xc3, 6, 10, 0, b'a', 0xe0, 0, 0]), None);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[1, 0]), None, "a list");
        assert_eq!(read(&[0, 5, b'x']), None, "cut");
        assert_eq!(read(&[0, 0xc4]), None, "an encoding that doesn't exist");
        assert_eq!(read(&[0, 0x82]), None, "a length that doesn't exist");
        let too_long = (STRING_BYTES_MAX as u32 + 1).to_be_bytes();
        assert_eq!(read(&[&[0, 0x80][..], &too_long].concat()), None);

        let resealed = |version: u16| {
            let mut dump = dump_string(b"value");
            let end = dump.len() - 10;
            dump.truncate(end);
            dump.extend_from_slice(&version.to_le_bytes());
            let checksum = crc64(&dump);
            dump.extend_from_slice(&checksum.to_le_bytes());
            read_dump(&dump).is_ok()
        };
        assert!(resealed(1) && resealed(VERSION) && resealed(12));
        assert!(!resealed(13), "a version that isn't known yet");
        assert!(read_dump(&[0; 9]).is_err() && read_dump(&[]).is_err());
    }
}
