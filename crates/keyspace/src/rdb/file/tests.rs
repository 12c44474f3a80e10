//! Files are read as Redis writes them, however the bytes arrive, and written so that Redis reads them.

use super::super::tests::{hash, hex, list, normal, set, unhex};
use super::super::{BadValue, HashField, Value, crc64};
use super::{Item, Key, Mark, NeedsFieldExpiry, Reader, Skipped, Writer};
use base::UnixMillis;
use proptest::prelude::*;

/// Saved by Redis 7.2: a library of functions, a key that expires, and a set in another database, with how often they are used.
const REDIS_7_2: &str = "
    524544495330303131fa0972656469732d76657205372e322e36fa0a72656469732d62697473c040fa056374696d65c28e1a
    076bfa08757365642d6d656dc288051100fa08616f662d62617365c000f5404223216c7561206e616d653d6c0a7265646973
    2e72656769737465725f66756e6374696f6e282766272c2066756e6374696f6e28292072657475726e203120656e6429fe00
    fb0101fc00c0728e4d1e0000f901000161c001fe03fb0100f90512016201020e0e0000000200836f6e65040201fffff13967
    9880195a1f";

/// Saved by Redis 2.8: a key that expires, and a list in another database.
const REDIS_2_8: &str = "
    524544495330303036fe00fc00c0728e4d1e0000000161c001fe030a016212120000000f000000020000036f6e6505f3ffff
    05b99b615ac8c086";

fn read(bytes: &[u8], chunk_bytes: usize) -> Result<Vec<Item>, BadValue> {
    let mut reader = Reader::new();
    let mut items = Vec::new();
    for chunk in bytes.chunks(chunk_bytes) {
        reader.feed(chunk);
        while let Some(item) = reader.next_item()? {
            items.push(item);
        }
    }
    reader.finish();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    assert!(reader.is_complete(), "it neither ended nor failed");
    Ok(items)
}

fn key(database: u64, key: &str, value: Value) -> Key {
    Key { database, key: key.into(), value, expires_at: None, idle_s: None, frequency: None }
}

fn with_header(version: &str, rest: &[u8]) -> Vec<u8> {
    [b"REDIS", version.as_bytes(), rest].concat()
}

/// The end, with a checksum that says that there is none.
const END: &[u8] = &[0xff, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_file_of_redis_7_2_is_read_however_it_arrives() {
    let bytes = unhex(REDIS_7_2);
    let far = Some(UnixMillis(33_318_451_200_000));
    for chunk_bytes in 1..=bytes.len() {
        let items = read(&bytes, chunk_bytes).expect("Redis wrote it");
        let (notes, rest) = items.split_at(5);
        assert!(notes.iter().all(|item| matches!(item, Item::Aux { .. })));
        assert_eq!(notes[0], Item::Aux { name: b"redis-ver".to_vec(), value: b"7.2.6".to_vec() });
        let source = b"#!lua name=l\nredis.register_function('f', function() return 1 end)";
        let string = Value::String(b"1".to_vec());
        assert_eq!(
            rest,
            [
                Item::Function(source.to_vec()),
                Item::Key(Key { expires_at: far, frequency: Some(1), ..key(0, "a", string) }),
                Item::Key(Key { frequency: Some(5), ..key(3, "b", list("one 2")) }),
            ]
        );
    }
}

#[test]
fn a_file_of_redis_2_8_is_read() {
    let far = Some(UnixMillis(33_318_451_200_000));
    let string = Value::String(b"1".to_vec());
    let expected =
        [Item::Key(Key { expires_at: far, ..key(0, "a", string) }), Item::Key(key(3, "b", list("one 2")))];
    assert_eq!(read(&unhex(REDIS_2_8), 7), Ok(expected.to_vec()));
}

#[test]
fn a_file_that_is_cut_or_rotten_is_refused() {
    let whole = unhex(REDIS_7_2);
    for cut in 0..whole.len() {
        assert_eq!(read(&whole[..cut], 11), Err(BadValue::Short), "cut after {cut} bytes");
    }
    for at in 0..whole.len() {
        let mut rotten = whole.clone();
        rotten[at] ^= 4;
        assert!(read(&rotten, 64).is_err(), "byte {at} is another");
    }
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(read(&longer, 1000), Err(BadValue::Malformed("more bytes behind the end of the file")));
}

#[test]
fn reading_goes_on_at_any_mark() {
    let bytes = unhex(REDIS_7_2);
    let all = read(&bytes, 1000).expect("Redis wrote it");
    let mut reader = Reader::new();
    reader.feed(&bytes);
    let mut seen = 0;
    while reader.next_item().expect("Redis wrote it").is_some() {
        seen += 1;
        let mark = reader.mark().expect("it is between two items");
        let (before, behind) = bytes.split_at(mark.position as usize);
        assert_eq!(mark.checksum, crc64(before));
        assert_eq!(reader.position(), mark.position);
        let mut resumed = Reader::resume(mark);
        assert_eq!(resumed.mark(), Some(mark));
        resumed.feed(behind);
        let mut rest = Vec::new();
        while let Some(item) = resumed.next_item().expect("the checksum is of both parts") {
            rest.push(item);
        }
        assert!(resumed.is_complete());
        assert_eq!(rest, all[seen..]);
        let mut other = Reader::resume(Mark { checksum: mark.checksum ^ 1, ..mark });
        other.feed(behind);
        let end = std::iter::repeat_with(|| other.next_item()).find(|item| !matches!(item, Ok(Some(_))));
        assert_eq!(end, Some(Err(BadValue::Checksum)), "it is the end of another file");
    }
    assert_eq!(seen, all.len());
}

#[test]
fn there_is_no_mark_between_a_time_and_its_key() {
    let mut reader = Reader::new();
    reader.feed(&with_header("0011", b"\xf8\x05"));
    assert_eq!(reader.next_item(), Ok(None));
    assert_eq!((reader.mark(), reader.position()), (None, 11));
}

#[test]
fn a_checksum_of_zero_is_none() {
    assert_eq!(read(&with_header("0011", END), 100), Ok(vec![]));
    assert_eq!(read(&with_header("0004", &[0xff]), 100), Ok(vec![]), "before there were checksums");
    assert_eq!(read(&with_header("0013", END), 100), Err(BadValue::Version(13)));
    let no_file = BadValue::Malformed("another beginning than a file of Redis");
    assert_eq!(read(b"ROBIS0011", 1), Err(no_file));
    assert_eq!(read(b"REDIS00x1", 100), Err(no_file));
}

#[test]
fn seconds_and_hints_and_idle_times_are_read() {
    let items = b"\xfe\x02\xfb\x03\x01\xf4\x01\x02\x03\xfd\x10\x00\x00\x00\xf8\x41\x00\x00\x01k\x01v";
    let expected = Key {
        expires_at: Some(UnixMillis(16_000)),
        idle_s: Some(256),
        ..key(2, "k", Value::String(b"v".to_vec()))
    };
    assert_eq!(read(&with_header("0012", &[items, END].concat()), 100), Ok(vec![Item::Key(expected)]));
}

#[test]
fn what_cannot_be_read_is_told() {
    // The module type "Sihai-Seq" of version 1.
    let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place =
        |character| characters.iter().position(|&known| known == character).expect("it is known") as u64;
    let id = b"Sihai-Seq".iter().fold(0, |id, &character| id << 6 | place(character)) << 10 | 1;
    let data = b"\x02\x01\x01\x05\x03\0\0\0\0\x04\0\0\0\0\0\0\0\0\x05\x03abc\0";
    let bytes = [
        &b"\xf7\x81"[..],
        &id.to_be_bytes(),
        data,
        b"\x07\x01m\x81",
        &id.to_be_bytes(),
        data,
        b"\x02\x01e\0",
        b"\0\x01k\x01v",
        END,
    ]
    .concat();
    let module = || String::from("Sihai-Seq");
    let expected = vec![
        Item::Skipped(Skipped::ModuleData { module: module() }),
        Item::Skipped(Skipped::ModuleValue { database: 0, key: b"m".to_vec(), module: module() }),
        Item::Skipped(Skipped::Empty { database: 0, key: b"e".to_vec() }),
        Item::Key(key(0, "k", Value::String(b"v".to_vec()))),
    ];
    for chunk_bytes in [1, 5, 1000] {
        assert_eq!(read(&with_header("0011", &bytes), chunk_bytes), Ok(expected.clone()));
    }
    assert_eq!(read(&with_header("0011", b"\x06\x01m\x01"), 100), Err(BadValue::Module));
    assert_eq!(read(&with_header("0011", b"\x1a\x01m\x01"), 100), Err(BadValue::Type(26)));
    assert_eq!(read(&with_header("0011", b"\xf6"), 100), Err(BadValue::Type(0xf6)));
}

#[test]
fn files_are_written_as_the_format_says() {
    let mut writer = Writer::new();
    writer.aux(b"sihai-version", b"1");
    writer.function(b"#!lua name=l");
    writer.sizes(0, 1, 1);
    let expiring = Key { expires_at: Some(UnixMillis(33_318_451_200_000)), ..key(0, "a", list("one 2")) };
    writer.key(&expiring).expect("no field expires");
    let used = Key { idle_s: Some(256), frequency: Some(7), ..key(3, "b", set("1 2")) };
    writer.key(&used).expect("no field expires");
    let mut bytes = writer.take();
    let refused = writer.key(&key(0, "h", hash("f=v@33318451200000")));
    assert_eq!(refused, Err(NeedsFieldExpiry));
    bytes.extend(writer.finish());
    assert_eq!(
        hex(&bytes),
        "524544495330303131fa0d73696861692d76657273696f6ec001f50c23216c75\n\
         61206e616d653d6cfe00fb0101fc00c0728e4d1e000012016101020e0e000000\n\
         0200836f6e65040201fffe03f84100f9070b01620c0200000002000000010002\n\
         00ff18fb416b8b1aec96"
    );
    let expected = vec![
        Item::Aux { name: b"sihai-version".to_vec(), value: b"1".to_vec() },
        Item::Function(b"#!lua name=l".to_vec()),
        Item::Key(expiring),
        Item::Key(used),
    ];
    assert_eq!(read(&bytes, 10), Ok(expected));
}

#[test]
fn a_file_for_redis_7_0_has_no_newer_types() {
    let mut writer = Writer::for_version(10).expect("it is written");
    let keys = [key(0, "s", set("a 1")), key(0, "i", set("1 2")), key(0, "l", list("a"))];
    keys.iter().for_each(|key| writer.key(key).expect("no field expires"));
    let bytes = writer.finish();
    assert!(bytes.starts_with(b"REDIS0010\xfe\x00\x02\x01s\x02\x01a\xc0\x01\x0b\x01i"), "{}", hex(&bytes));
    assert_eq!(read(&bytes, 3), Ok(keys.map(Item::Key).to_vec()));
    assert!(Writer::for_version(9).is_none() && Writer::for_version(13).is_none());
}

#[test]
fn fields_that_expire_take_a_newer_file() {
    let mut writer = Writer::with_field_expiry();
    let expiring = key(0, "h", hash("f=v@33318451200000"));
    writer.key(&expiring).expect("the file is new enough");
    let bytes = writer.finish();
    assert!(bytes.starts_with(b"REDIS0012"));
    assert_eq!(read(&bytes, 3), Ok(vec![Item::Key(expiring)]));
}

proptest! {
    #[test]
    fn keys_come_back_from_a_file(
        keys in proptest::collection::vec(
            (0..3_u64, proptest::collection::vec(any::<u8>(), 0..300), any::<Option<u32>>(), any::<bool>()),
            0..20,
        ),
        chunk_bytes in 1..400_usize,
    ) {
        let keys: Vec<Key> = keys
            .into_iter()
            .map(|(database, bytes, expires_at, plain)| {
                let field = HashField { field: bytes.clone(), value: bytes.clone(), expires_at: None };
                let value = if plain { Value::String(bytes.clone()) } else { Value::Hash(vec![field]) };
                let expires_at = expires_at.map(|at| UnixMillis(u64::from(at)));
                Key { database, key: bytes, value, expires_at, idle_s: None, frequency: None }
            })
            .collect();
        let mut writer = Writer::new();
        let mut bytes = Vec::new();
        for key in &keys {
            writer.key(key).expect("no field expires");
            bytes.extend(writer.take());
        }
        bytes.extend(writer.finish());
        let items = read(&bytes, chunk_bytes).expect("it was written here");
        let back: Vec<Key> = items
            .into_iter()
            .filter_map(|item| match item {
                Item::Key(key) => Some(Key { value: normal(key.value.clone()), ..key }),
                _ => None,
            })
            .collect();
        prop_assert_eq!(back, keys);
    }

    #[test]
    fn no_damage_to_a_file_does_harm(
        flips in proptest::collection::vec((9..197_usize, 1..=u8::MAX), 1..4),
        chunk_bytes in 1..300_usize,
    ) {
        let mut rotten = unhex(REDIS_7_2);
        flips.into_iter().for_each(|(at, flip)| rotten[at] ^= flip);
        // Without a checksum, so that what is behind it is reached.
        let end = rotten.len() - 8;
        rotten[end..].fill(0);
        let mut reader = Reader::new();
        'chunks: for chunk in rotten.chunks(chunk_bytes) {
            reader.feed(chunk);
            while let Some(item) = match reader.next_item() {
                Ok(item) => item,
                Err(_) => break 'chunks,
            } {
                drop(item);
            }
        }
    }
}
