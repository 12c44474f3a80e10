//! Strings, lengths and the frame of a dump.

use super::super::{
    BadValue, STRING_BYTES_MAX, VERSION, Value, crc64, dump_string, integer, read_dump, write_string_value,
};
use super::read;

fn written(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_string_value(&mut bytes, value);
    bytes
}

fn string(bytes: &[u8]) -> Result<Value, BadValue> {
    Ok(Value::String(bytes.to_vec()))
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
        assert_eq!(read_dump(dump), string(b"10"));
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
        assert_eq!(read(&written(value.as_bytes())), string(value.as_bytes()));
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
        assert_eq!(read(&bytes), Ok(Value::String(value)));
    }
    assert_eq!(read(b"\x00\x81\0\0\0\0\0\0\0\x01x"), string(b"x"));
}

#[test]
fn compressed_strings_are_read() {
    let malformed = Err(BadValue::Malformed("a compressed string that can't be unpacked"));
    assert_eq!(read(&[0, 0xc3, 5, 10, 0, b'a', 0xe0, 0, 0]), string(&[b'a'; 10]));
    assert_eq!(read(&[0, 0xc3, 5, 11, 0, b'a', 0xe0, 0, 0]), malformed);
    assert_eq!(read(&[0, 0xc3, 6, 10, 0, b'a', 0xe0, 0, 0]), Err(BadValue::Short));
}

#[test]
fn what_is_no_value_is_refused() {
    assert_eq!(read(&[]), Err(BadValue::Short));
    assert_eq!(read(&[0, 5, b'x']), Err(BadValue::Short));
    assert_eq!(read(&[0, 0xc4]), Err(BadValue::Malformed("a string in an encoding that doesn't exist")));
    assert_eq!(read(&[0, 0x82]), Err(BadValue::Malformed("a length in a form that doesn't exist")));
    let too_long = (STRING_BYTES_MAX as u32 + 1).to_be_bytes();
    assert_eq!(
        read(&[&[0, 0x80][..], &too_long].concat()),
        Err(BadValue::Malformed("a string that is too long"))
    );
    assert_eq!(read(&[6, 0]), Err(BadValue::Module));
    assert_eq!(read(&[7, 0]), Err(BadValue::Module));
    assert_eq!(read(&[8, 0]), Err(BadValue::Type(8)));
    assert_eq!(read(&[200, 0]), Err(BadValue::Type(200)));
}

#[test]
fn dumps_are_checked_before_they_are_believed() {
    let resealed = |version: u16, unchecked: bool| {
        let mut dump = dump_string(b"value");
        let end = dump.len() - 10;
        dump.truncate(end);
        dump.extend_from_slice(&version.to_le_bytes());
        let checksum = if unchecked { 0 } else { crc64(&dump) };
        dump.extend_from_slice(&checksum.to_le_bytes());
        read_dump(&dump)
    };
    for version in [1, VERSION, 12] {
        assert_eq!(resealed(version, false), string(b"value"));
        assert_eq!(
            resealed(version, true),
            Err(BadValue::Checksum),
            "zero is no checksum here, nor in Redis"
        );
    }
    assert_eq!(resealed(13, false), Err(BadValue::Version(13)));
    let mut rotten = dump_string(b"value");
    rotten[3] ^= 1;
    assert_eq!(read_dump(&rotten), Err(BadValue::Checksum));
    assert_eq!(read_dump(&[0; 9]), Err(BadValue::Short));
    assert_eq!(read_dump(&[]), Err(BadValue::Short));
}
