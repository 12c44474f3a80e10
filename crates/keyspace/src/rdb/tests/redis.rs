//! Dumps that servers of Redis gave, from 2.8 to 8: the value in every form in which it was ever packed.

use super::super::{read_dump, types};
use super::*;

const LIST: &str = "one 2 -3 300 70000 5000000000";
const SORTED_SET: &str = "low=-inf one=1 two=2.5 high=inf";
/// 3025-10-28.
const FAR: u64 = 33_318_451_200_000;

fn assert_reads(kind: u8, dump: &str, value: Value) {
    let dump = unhex(dump);
    assert_eq!(dump[0], kind, "the dump isn't of the type that it is here for");
    assert_eq!(read_dump(&dump).map(normal), Ok(normal(value)), "type {kind}");
}

#[test]
fn strings_of_redis_2_8() {
    assert_reads(
        types::STRING,
        "00c30d3c05736968616973e02b0401616906008b17b51c19218a57",
        Value::String(b"sihai".repeat(12)),
    );
}

#[test]
fn collections_of_redis_2_8() {
    assert_reads(
        types::LIST_ZIPLIST,
        "0a28280000001d000000060000036f6e6505f302fefd03c02c0104f070110105e000f2052a01000000ff060095a4b882c0bc2320",
        list(LIST),
    );
    assert_reads(
        types::LIST,
        "0106036f6e65c002c0fdc12c01c2701101000a353030303030303030300600c330bd4d3dc6cc08",
        list(LIST),
    );
    assert_reads(types::SET_INTSET, "0b0e0200000003000000feff01002c010600cde7c0e202c15c99", set("1 -2 300"));
    assert_reads(
        types::SET_INTSET,
        "0b10040000000200000001000000701101000600b1d82bee08336a57",
        set("1 70000"),
    );
    assert_reads(
        types::SET_INTSET,
        "0b180800000002000000000efad5feffffff010000000000000006000afef6871f609fed",
        set("1 -5000000000"),
    );
    assert_reads(types::SET, "0202c002036f6e6506007f93883716bbe5be", set("one 2"));
    assert_reads(types::SET, "0203c12c01c0fec00106005e06eb35c51d3878", set("300 -2 1"));
    assert_reads(
        types::HASH_ZIPLIST,
        "0d1e1e0000001a000000040000046e616d650603616e6e050361676505fe2aff06002ade0ad0bf01439b",
        hash("name=ann age=42"),
    );
    assert_reads(
        types::HASH,
        "0402046e616d6503616e6e03616765c02a0600e086064657f1ae1d",
        hash("name=ann age=42"),
    );
    assert_reads(
        types::SORTED_SET_ZIPLIST,
        "0c32320000002c000000080000036c6f7705042d696e6606036f6e6505f2020374776f0503322e350504686967680603696e66ff
         06009442f7746c06d8a2",
        sorted_set(SORTED_SET),
    );
    assert_reads(
        types::SORTED_SET_TEXT,
        "03040374776f03322e350468696768fe036f6e650131036c6f77ff06003e78fd6315fbcba3",
        sorted_set(SORTED_SET),
    );
}

#[test]
fn collections_of_redis_5() {
    assert_reads(
        types::LIST_ZIPLISTS,
        "0e0128280000001d000000060000036f6e6505f302fefd03c02c0104f070110105e000f2052a01000000ff090098dc06b0d688e8
         0c",
        list(LIST),
    );
    assert_reads(
        types::SORTED_SET,
        "05040468696768000000000000f07f0374776f0000000000000440036f6e65000000000000f03f036c6f77000000000000f0ff09
         00c58624f1b2048483",
        sorted_set(SORTED_SET),
    );
}

#[test]
fn collections_of_redis_7_and_7_2() {
    assert_reads(
        types::LIST_LISTPACKS,
        "12010223230000000600836f6e65040201dffd02c12c02f270110104f400f2052a0100000009ff0a001864a443077035d4",
        list(LIST),
    );
    assert_reads(
        types::LIST_LISTPACKS,
        "120102c31a405110510000000300836f6e6504e0406c6f6e67e0330303420201ff0b0000b3521d06c45b56",
        list(&format!("one {} 2", "long".repeat(16))),
    );
    assert_reads(
        types::HASH_LISTPACK,
        "1019190000000400846e616d650583616e6e0483616765042a01ff0a00b8dd9eb9ae6bd07f",
        hash("name=ann age=42"),
    );
    assert_reads(
        types::SORTED_SET_LISTPACK,
        "112e2e0000000800836c6f7704842d696e6605836f6e650401018374776f0483322e350484686967680583696e6604ff0a00602a
         41d62d810bc8",
        sorted_set(SORTED_SET),
    );
    assert_reads(types::SET_LISTPACK, "140e0e0000000200836f6e65040201ff0b005a13e59334efebc8", set("one 2"));
}

#[test]
fn hashes_whose_fields_expire_of_redis_8() {
    assert_reads(
        types::HASH_EXPIRY_LISTPACK,
        "1900c0728e4d1e00003838000000090083616765042a01f400c0728e4d1e000009846369747905817802f4f4c1728e4d1e000009
         846e616d650583616e6e040001ff0c0079a623f135b41b47",
        hash(&format!("name=ann age=42@{FAR} city=x@{}", FAR + 500)),
    );
    assert_reads(
        types::HASH_EXPIRY,
        "1800c0728e4d1e00000441f5046369747901780103616765c02a00046e616d6503616e6e00036e6577c0010c008da2fed70ee001
         7e",
        hash(&format!("name=ann age=42@{FAR} city=x@{} new=1", FAR + 500)),
    );
}

#[test]
fn hashes_whose_fields_expire_of_release_candidates() {
    // No server at hand writes these: they follow from those above, without the first of the times.
    let far = "810000 1e4d8e72c000".replace(' ', "");
    let absolute = format!("1602 00046e616d6503616e6e {far}03616765c02a");
    assert_eq!(read(&unhex(&absolute)), Ok(hash(&format!("name=ann age=42@{FAR}"))));
    let bare = "17 2525000000060083616765042a01f400c0728e4d1e000009846e616d650583616e6e040001ff";
    assert_eq!(read(&unhex(bare)), Ok(hash(&format!("age=42@{FAR} name=ann"))));
    assert_eq!(read(&unhex(bare)).map(|_| unhex(bare)[0]), Ok(types::HASH_EXPIRY_LISTPACK_BARE));
}

#[test]
fn zipmaps_are_read() {
    // name and ann, age and 42 with three bytes that aren't used, and a long field.
    let map = format!(
        "03 046e616d6503 00 616e6e 0361676502 03 3432 000000 fe2c010000 {} 0000 ff",
        "66".repeat(300)
    );
    let map = unhex(&map);
    let packed = [&[types::HASH_ZIPMAP, 0x40 | (map.len() >> 8) as u8, map.len() as u8][..], &map].concat();
    assert_eq!(read(&packed), Ok(hash(&format!("name=ann age=42 {}=", "f".repeat(300)))));
}

/// The nodes that all of them have for the same entries, up to the last id.
const NODES: &str =
    "1000000000000000010000000000000001404d4d0000001900020101010201846e616d65058361676504000102010001
    000183616e6e042a01050103010001010183626f62040701050100010401dfff020101856f74686572068178020601ff020500";

#[test]
fn streams_of_redis_5() {
    let dump = format!(
        "0f01{NODES}01016701020200000000000000010000000000000001b112c213a20100000100000000000000010000000000000002b1
         12c213a2010000010205616c696365b112c213a2010000010000000000000001000000000000000103626f62b112c213a20100000100
         00000000000001000000000000000209007b9ce5719fa0b9ce"
    );
    let mut expected = super::stream(0x01a2_13c2_12b1, false);
    // That wasn't counted yet.
    expected.info.max_deleted_id = StreamId::MIN;
    expected.info.entries_added = 2;
    expected.groups[0].info.entries_read = None;
    assert_reads(types::STREAM_1, &dump, Value::Stream(expected));
}

#[test]
fn streams_of_redis_7_and_7_2() {
    let at_first_and_deleted = "01010102030101670102020200000000000000010000000000000001";
    let dump = format!(
        "1301{NODES}{at_first_and_deleted}18fbbd13a2010000010000000000000001000000000000000218fbbd13a2010000010305616c
         69636518fbbd13a2010000010000000000000001000000000000000103626f6218fbbd13a20100000100000000000000010000000000
         0000020469646c6518fbbd13a2010000000a0071ebd56e7b096c15"
    );
    let at = 0x01a2_13bd_fb18;
    let mut expected = super::stream(at, true);
    // A consumer was as active as it was seen.
    expected.groups[0].consumers[2].active_at = Some(UnixMillis(at));
    assert_reads(types::STREAM_2, &dump, Value::Stream(expected));

    let dump = format!(
        "1501{NODES}{at_first_and_deleted}62febd13a2010000010000000000000001000000000000000262febd13a2010000010305616c
         69636562febd13a201000062febd13a2010000010000000000000001000000000000000103626f6262febd13a201000062febd13a201
         000001000000000000000100000000000000020469646c6562febd13a2010000ffffffffffffffff000b00c225c29c5d02730c"
    );
    assert_reads(types::STREAM_3, &dump, Value::Stream(super::stream(0x01a2_13bd_fe62, true)));
}
