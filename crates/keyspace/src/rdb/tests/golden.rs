//! The bytes that are written, pinned. When one of these changes, the format has changed: see docs/formats/keyspace.md.

use super::super::write_dump;
use super::*;

fn assert_written(value: &Value, golden: &str) {
    let golden = golden.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    assert_eq!(hex(&write_dump(value)), golden);
    assert_eq!(super::super::read_dump(&unhex(&golden)).as_ref(), Ok(value));
}

fn numbered(count: usize, word: impl Fn(usize) -> String) -> String {
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn values_are_written_as_the_format_says() {
    assert_written(&Value::String(bytes("sihai")), "000573696861690b0049046bf3b5eb5d3b");
    assert_written(
        &list("one 2 -3 300 70000 5000000000"),
        "12010223230000000600836f6e65040201dffd02c12c02f270110104f400f205
         2a0100000009ff0b0071bb1930faefdc5d",
    );
    assert_written(&set("-2 1 300"), "0b0e0200000003000000feff01002c010b0032d515110a0b8983");
    assert_written(&set("1 70000"), "0b10040000000200000001000000701101000b004eeafe1d00f9bf4d");
    assert_written(
        &set("-5000000000 1"),
        "0b180800000002000000000efad5feffffff01000000000000000b00f5cc2374
         17aa4af7",
    );
    assert_written(&set("one 2"), "140e0e0000000200836f6e65040201ff0b005a13e59334efebc8");
    assert_written(
        &hash("name=ann age=42"),
        "1019190000000400846e616d650583616e6e0483616765042a01ff0b00d10223
         ca53f439f6",
    );
    assert_written(
        &hash("name=ann age=42@33318451200000 city=x@33318451200500"),
        "1800c0728e4d1e00000300046e616d6503616e6e0103616765c02a41f5046369
         747901780c00552b52cf9d0efa0d",
    );
    assert_written(
        &sorted_set("low=-inf -e=-1.5e-7 zero=0 one=1 two=2.5 huge=1e300 high=inf"),
        "114052520000000e00836c6f7704842d696e6605822d6503872d312e35652d37
         08847a65726f050001836f6e650401018374776f0485322e3565300684687567
         65058531653330300684686967680583696e6604ff0b00c74f9d85dbb7bf18",
    );
    assert_written(
        &Value::Stream(stream(1_700_000_000_000, true)),
        "150110000000000000000100000000000000013e3e0000001300020100010201
         846e616d65058361676504000102010001000183616e6e042a01050100010401
         dfff020101856f74686572068178020601ff0205000101010203010167010202
         02000000000000000100000000000000010068e5cf8b01000001000000000000
         000100000000000000020068e5cf8b010000010305616c6963650068e5cf8b01
         00000068e5cf8b010000010000000000000001000000000000000103626f6200
         68e5cf8b0100000068e5cf8b0100000100000000000000010000000000000002
         0469646c650068e5cf8b010000ffffffffffffffff000b00f6dc2895fbfc16e7",
    );
    assert_written(&Value::Stream(StreamValue::default()), "15000000000000000000000b009316a5ef446cecfe");
}

#[test]
fn collections_beyond_the_small_ones_are_written_element_by_element() {
    for (value, kind, head) in [
        (set(&numbered(128, |i| format!("m{i}"))), 20, "14"),
        (set(&numbered(129, |i| format!("m{i}"))), 2, "02408102"),
        (set(&format!("a {}", "x".repeat(65))), 2, "020201614041"),
        (set(&numbered(512, |i| i.to_string())), 11, "0b"),
        (set(&numbered(513, |i| i.to_string())), 2, "024201"),
        (hash(&numbered(128, |i| format!("f{i}=v"))), 16, "10"),
        (hash(&numbered(129, |i| format!("f{i}=v"))), 4, "044081"),
        (hash(&format!("f={}", "x".repeat(65))), 4, "0401"),
        (sorted_set(&numbered(128, |i| format!("m{i}={i}"))), 17, "11"),
        (sorted_set(&numbered(129, |i| format!("m{i}={i}"))), 5, "054081"),
        (list(&"x".repeat(8193)), 18, "1201016001".trim_end_matches("6001")),
        (list(&numbered(5000, |i| i.to_string())), 18, "12"),
    ] {
        let bytes = written(&value);
        assert_eq!(bytes[0], kind);
        assert!(bytes.starts_with(&unhex(head)), "{:02x?}", &bytes[..8]);
        assert_eq!(read(&bytes).map(normal), Ok(normal(value)));
    }
}

#[test]
fn a_sorted_set_out_of_order_is_not_packed() {
    let Value::SortedSet(mut members) = sorted_set("a=1 b=2") else { panic!("it is one") };
    members.reverse();
    let bytes = written(&Value::SortedSet(members));
    assert_eq!(bytes[0], 5);
    assert_eq!(read(&bytes), Ok(sorted_set("a=1 b=2")));
}
