//! Promises of HyperLogLogs. The bytes and the estimates are Redis's own, asked of a server of release 7.0.

use crate::model::Model;
use resp::Protocol;

const NOT_ONE: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const CORRUPT: &str = "-INVALIDOBJ Corrupted HLL object detected";
/// A header with an unknown cardinality.
const SPARSE: &[u8] = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";

fn value(model: &mut Model, key: &str) -> Vec<u8> {
    let reply = model.request(Protocol::Resp2, &[b"GET", key.as_bytes()]);
    let start = reply.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    reply[start..reply.len() - 2].to_vec()
}

fn put(model: &mut Model, key: &str, bytes: &[u8]) {
    model.request(Protocol::Resp2, &[b"SET", key.as_bytes(), bytes]);
}

/// FNV-1a: a mark of many bytes.
fn mark(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn elements_count_once() {
    let mut model = Model::new();
    model.put_list(b"list");
    model.says(&[
        ("PFADD h", ":1"),
        ("PFADD h", ":0"),
        ("PFCOUNT h", ":0"),
        ("PFADD h a b c", ":1"),
        ("PFADD h a b c", ":0"),
        ("PFCOUNT h", ":3"),
        ("PFADD other c d", ":1"),
        ("PFCOUNT h other none", ":4"),
        ("PFCOUNT none", ":0"),
        ("PFCOUNT none none", ":0"),
        ("EXPIRE h 10", ":1"),
        ("PFMERGE h other none", "+OK"),
        ("PFCOUNT h", ":4"),
        ("TTL h", ":10"),
        ("PFADD h e", ":1"),
        ("TTL h", ":10"),
        ("PFMERGE new", "+OK"),
        ("PFCOUNT new", ":0"),
        ("PFADD list a", WRONG_TYPE),
        ("PFCOUNT list", WRONG_TYPE),
        ("PFMERGE h list", WRONG_TYPE),
        ("SET s some-string-of-no-special-kind", "+OK"),
        ("PFADD s a", NOT_ONE),
        ("PFCOUNT s h", NOT_ONE),
        ("PFMERGE s h", NOT_ONE),
    ]);
    assert_eq!(value(&mut model, "h")[..4], *b"HYLL");
    let mut told = model.told();
    told.retain(|told| told != "expire h" && told != "set s");
    assert!(told.iter().all(|told| told.starts_with("pfadd ")), "{told:?}");
}

#[test]
fn the_bytes_are_redis_s_at_every_size() {
    let mut model = Model::new();
    let mut added = 0u32;
    for (until, length, digest, count) in [
        (1, 21, 0x323d_a3c3_b4f2_8a1f, 1),
        (3, 27, 0xdb40_9c47_91c5_2ce0, 3),
        (100, 287, 0xac12_d593_e674_f307, 100),
        (500, 1061, 0x5585_9586_ccc8_16ab, 503),
        // Dense from here on.
        (3000, 12304, 0x992b_43a6_7422_4822, 3005),
        (50000, 12304, 0x5077_9238_d99c_334e, 50353),
    ] {
        while added < until {
            added += 1;
            model.request(Protocol::Resp2, &[b"PFADD", b"h", added.to_string().as_bytes()]);
        }
        let bytes = value(&mut model, "h");
        assert_eq!((bytes.len(), mark(&bytes)), (length, digest), "{until} elements");
        model.says(&[("PFCOUNT h", &format!(":{count}"))]);
    }
    model.request(Protocol::Resp2, &[b"PFADD", b"a", b"a"]);
    assert_eq!(value(&mut model, "a"), [SPARSE, b"q\xa6\x84NW"].concat());
    model.request(Protocol::Resp2, &[b"PFADD", b"e"]);
    assert_eq!(value(&mut model, "e"), [SPARSE, b"\x7f\xff"].concat());
}

#[test]
fn merging_is_dense_if_anything_is() {
    let mut model = Model::new();
    model.says(&[("PFADD small a b c", ":1"), ("PFADD other c d", ":1")]);
    for number in 0..3000 {
        model.request(Protocol::Resp2, &[b"PFADD", b"large", format!("x{number}").as_bytes()]);
    }
    assert_eq!(value(&mut model, "large").len(), 12304);
    model.says(&[("PFMERGE sum small other", "+OK"), ("PFCOUNT sum", ":4")]);
    assert!(value(&mut model, "sum").len() < 100);
    model.says(&[("PFMERGE sum large", "+OK")]);
    assert_eq!(value(&mut model, "sum").len(), 12304);
    let count = model.ask("PFCOUNT sum");
    assert_eq!(count, model.ask("PFCOUNT large small other"));
}

#[test]
fn a_cardinality_that_comes_with_a_string_is_believed_until_something_is_added() {
    let mut model = Model::new();
    model.says(&[("PFADD h a", ":1")]);
    let mut bytes = value(&mut model, "h");
    bytes[8..16].copy_from_slice(&77u64.to_le_bytes());
    put(&mut model, "h", &bytes);
    model.says(&[("PFCOUNT h", ":77"), ("PFADD h a", ":0"), ("PFCOUNT h", ":77")]);
    model.says(&[("PFADD h b", ":1"), ("PFCOUNT h", ":2")]);
}

#[test]
fn a_string_whose_runs_are_not_whole_is_refused_and_stays() {
    for (runs, why) in [
        (b"".as_slice(), "no runs"),
        (b"\x7f\xfe", "a register is missing"),
        (b"\x7f\xff\x00", "a register too many"),
        (b"\x7f", "half a run"),
        (b"\x00\x7f\xff", "a run beyond the end"),
    ] {
        let mut model = Model::new();
        let bytes = [SPARSE, runs].concat();
        put(&mut model, "h", &bytes);
        model.says(&[("PFCOUNT h", CORRUPT), ("PFCOUNT h none", CORRUPT), ("PFMERGE new h", CORRUPT)]);
        model.says(&[("EXISTS new", ":0")]);
        assert_eq!(value(&mut model, "h"), bytes, "{why}");
    }
    for wrong in [
        &SPARSE[..15],
        b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\x80",
        b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\x80",
        b"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80",
    ] {
        let mut model = Model::new();
        put(&mut model, "h", wrong);
        model.says(&[("PFADD h a", NOT_ONE), ("PFCOUNT h", NOT_ONE), ("PFMERGE h", NOT_ONE)]);
    }
}

proptest::proptest! {
    /// What a client has put there may be anything.
    #[test]
    fn no_runs_make_it_panic(runs in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40), element: Vec<u8>) {
        let mut model = Model::new();
        put(&mut model, "h", &[SPARSE, &runs].concat());
        for request in [vec![&b"PFADD"[..], b"h", &element], vec![b"PFCOUNT", b"h"], vec![b"PFMERGE", b"new", b"h"]] {
            let reply = model.request(Protocol::Resp2, &request);
            proptest::prop_assert!(matches!(reply[0], b':' | b'+' | b'-'));
        }
    }
}

/// Replies of redis-server 7.0.15 to the same.
#[test]
fn pfdebug_shows_both_forms() {
    let mut model = Model::new();
    model.says(&[
        ("PFADD h a b c d", ":1"),
        ("PFDEBUG ENCODING h", "+sparse"),
        ("PFDEBUG decode h", "$57 Z:7292 v:1,1 Z:1143 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"),
        ("PFDEBUG TODENSE h", ":1"),
        ("PFDEBUG TODENSE h", ":0"),
        ("PFDEBUG ENCODING h", "+dense"),
        ("PFDEBUG DECODE h", "-ERR HLL encoding is not sparse"),
        ("PFCOUNT h", ":4"),
        ("PFDEBUG ENCODING none", "-ERR The specified key does not exist"),
        ("SET s abc", "+OK"),
        ("PFDEBUG ENCODING s", "-WRONGTYPE Key is not a valid HyperLogLog string value."),
    ]);
    super::self_test().unwrap();
}
