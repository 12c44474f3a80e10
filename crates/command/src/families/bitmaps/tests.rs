//! Promises of the bit commands. The answers are Redis's own, asked of a server of release 7.0, except where 7.2 checks
//! the words of a request before it looks for the key.

use super::*;
use crate::model::Model;
use proptest::prelude::*;
use resp::Protocol;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";

fn model() -> Model {
    let mut model = Model::new();
    model.put_list(b"list");
    model.says(&[("SET a foobar", "+OK")]);
    for (key, value) in
        [(b"b".as_slice(), b"\xff\xf0\x00".as_slice()), (b"ones", b"\xff\xff\xff"), (b"empty", b"")]
    {
        model.request(Protocol::Resp2, &[b"SET", key, value]);
    }
    model
}

#[test]
fn bits_are_set_and_read() {
    const OFFSET: &str = "-ERR bit offset is not an integer or out of range";
    const VALUE: &str = "-ERR bit is not an integer or out of range";
    model().says(&[
        ("SETBIT c 7 1", ":0"),
        ("SETBIT c 7 1", ":1"),
        ("GET c", "$1 \u{1}"),
        ("EXPIRE c 10", ":1"),
        ("SETBIT c 100 0", ":0"),
        ("STRLEN c", ":13"),
        ("TTL c", ":10"),
        ("GETBIT c 7", ":1"),
        ("GETBIT c 6", ":0"),
        ("GETBIT c 100000", ":0"),
        ("GETBIT none 0", ":0"),
        ("SETBIT c -1 1", OFFSET),
        ("SETBIT c 4294967296 1", OFFSET),
        ("GETBIT c x", OFFSET),
        ("SETBIT c 1 2", VALUE),
        ("SETBIT c 1 x", VALUE),
        ("SETBIT list 1 1", WRONG_TYPE),
        ("GETBIT list 1", WRONG_TYPE),
    ]);
}

#[test]
fn set_bits_are_counted() {
    model().says(&[
        ("BITCOUNT a", ":26"),
        ("BITCOUNT a 0 0", ":4"),
        ("BITCOUNT a 1 1 byte", ":6"),
        ("BITCOUNT a 5 30 BIT", ":17"),
        ("BITCOUNT a -2 -4", ":0"),
        ("BITCOUNT a 100 200", ":0"),
        ("BITCOUNT none", ":0"),
        ("BITCOUNT empty", ":0"),
        ("BITCOUNT a 0", SYNTAX),
        ("BITCOUNT a 0 1 FOO", SYNTAX),
        ("BITCOUNT a 0 1 BIT x", SYNTAX),
        ("BITCOUNT none x 1", NOT_AN_INTEGER),
        ("BITCOUNT list", WRONG_TYPE),
    ]);
}

#[test]
fn the_first_bit_is_found() {
    model().says(&[
        ("BITPOS b 0", ":12"),
        ("BITPOS b 1", ":0"),
        ("BITPOS b 1 2", ":-1"),
        ("BITPOS b 0 0 0", ":-1"),
        ("BITPOS b 0 7 15 BIT", ":12"),
        ("BITPOS b 1 -2", ":8"),
        // Behind the end there are zeros, unless the end was named.
        ("BITPOS ones 0", ":24"),
        ("BITPOS ones 0 1", ":24"),
        ("BITPOS ones 0 0 -1", ":-1"),
        ("BITPOS ones 0 10", ":-1"),
        ("BITPOS none 0", ":0"),
        ("BITPOS none 1", ":-1"),
        ("BITPOS empty 0", ":-1"),
        ("BITPOS b 2", "-ERR The bit argument must be 1 or 0."),
        ("BITPOS b x", NOT_AN_INTEGER),
        ("BITPOS b 1 0 x", NOT_AN_INTEGER),
        ("BITPOS b 1 0 1 FOO", SYNTAX),
        ("BITPOS b 1 0 1 BIT x", SYNTAX),
        ("BITPOS list 0", WRONG_TYPE),
    ]);
}

#[test]
fn strings_are_combined_bit_by_bit() {
    let mut model = model();
    model.says(&[("SET x abcd", "+OK"), ("SET y ab", "+OK"), ("SET z zz", "+OK"), ("EXPIRE z 10", ":1")]);
    for (request, result) in [
        ("AND to x y", b"ab\0\0".as_slice()),
        ("or to x y", b"abcd"),
        ("XOR to x y none", b"\0\0cd"),
        ("NOT to y", b"\x9e\x9d"),
        ("DIFF to x y", b"\0\0cd"),
        ("DIFF1 to y x", b"\0\0cd"),
        ("ANDOR to x y none", b"ab\0\0"),
        ("ONE to x y y", b"\0\0cd"),
        ("OR z x", b"abcd"),
    ] {
        let to = if request.contains(" z ") { "z" } else { "to" };
        model.says(&[(&format!("BITOP {request}"), &format!(":{}", result.len()))]);
        let reply = model.request(Protocol::Resp2, &[b"GET", to.as_bytes()]);
        assert_eq!(
            reply,
            [format!("${}\r\n", result.len()).as_bytes(), result, b"\r\n"].concat(),
            "{request}"
        );
    }
    model.says(&[
        ("TTL z", ":-1"),
        ("BITOP AND to none", ":0"),
        ("EXISTS to", ":0"),
        ("BITOP AND to none", ":0"),
        ("BITOP AND list x", ":4"),
        ("TYPE list", "+string"),
        ("BITOP NOT to x y", "-ERR BITOP NOT must be called with a single source key."),
        ("BITOP DIFF to x", "-ERR BITOP DIFF must be called with at least two source keys."),
        ("BITOP FOO to x", SYNTAX),
    ]);
    model.put_list(b"list");
    model.says(&[("BITOP OR to x list", WRONG_TYPE)]);
    let told: Vec<_> =
        model.events.iter().map(|(event, _)| *event).filter(|event| *event != "expire").collect();
    assert_eq!(told.iter().filter(|event| **event == "del").count(), 1);
}

fn bits(value: &[u8]) -> Vec<bool> {
    (0..value.len() * 8).map(|at| bit_at(value, at).0).collect()
}

#[test]
fn changes_are_told() {
    let mut model = Model::new();
    model.tells(&[("SETBIT a 7 1", &["setbit a"]), ("SETBIT a 7 2", &[]), ("GETBIT a 7", &[])]);
}

proptest! {
    #[test]
    fn counting_and_finding_agree_with_looking_at_each_bit(
        value in proptest::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 1..40),
        first in 0usize..320,
        last in 0usize..320,
        on: bool,
    ) {
        let all = bits(&value);
        let (first, last) = (first % all.len(), last % all.len());
        prop_assume!(first <= last);
        let part = &all[first..=last];
        prop_assert_eq!(count_ones(&value, first, last), part.iter().filter(|bit| **bit).count() as u64);
        prop_assert_eq!(find_bit(&value, first, last, on), part.iter().position(|bit| *bit == on).map(|at| first + at));
    }
}
