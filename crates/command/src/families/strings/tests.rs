//! Promises of the string commands. The answers are Redis's own, asked of a server of release 7.0.

use super::*;
use crate::model::Model;
use base::database::Database;
use proptest::prelude::*;
use resp::Protocol;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "-ERR syntax error";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
const TOO_LONG: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";

fn model() -> Model {
    let mut model = Model::new();
    model.put_list(b"list");
    model
}

#[test]
fn set_and_get() {
    model().says(&[
        ("GET a", "$-1"),
        ("SET a 1", "+OK"),
        ("GET a", "$1 1"),
        ("SET a ", "+OK"),
        ("GET a", "$0"),
        ("GET list", WRONG_TYPE),
        ("SET list x", "+OK"),
        ("GET list", "$1 x"),
    ]);
    let mut model = model();
    assert_eq!(model.request(Protocol::Resp3, &[b"GET", b"a"]), b"_\r\n");
}

#[test]
fn set_with_a_condition() {
    model().says(&[
        ("SET a 1 XX", "$-1"),
        ("SET a 1 nx", "+OK"),
        ("SET a 2 NX", "$-1"),
        ("SET a 2 XX", "+OK"),
        ("GET a", "$1 2"),
        ("SET list 1 NX", "$-1"),
        ("TYPE list", "+list"),
        ("SET a 1 NX XX", SYNTAX),
        ("SET a 1 XX NX", SYNTAX),
    ]);
}

#[test]
fn set_answers_what_was_there() {
    model().says(&[
        ("SET a 1 GET", "$-1"),
        ("SET a 2 GET", "$1 1"),
        ("SET a 3 NX GET", "$1 2"),
        ("GET a", "$1 2"),
        ("SET a 3 XX GET", "$1 2"),
        ("SET b 3 XX GET", "$-1"),
        ("EXISTS b", ":0"),
        ("SET b 3 NX GET", "$-1"),
        ("GET b", "$1 3"),
        ("SET list 1 GET", WRONG_TYPE),
        ("TYPE list", "+list"),
        ("SET list 1 EX 0 GET", "-ERR invalid expire time in 'set' command"),
    ]);
}

#[test]
fn set_with_a_time_to_live() {
    const INVALID: &str = "-ERR invalid expire time in 'set' command";
    model().says(&[
        ("SET a 1 EX 10", "+OK"),
        ("PTTL a", ":10000"),
        ("SET a 2 KEEPTTL", "+OK"),
        ("PTTL a", ":10000"),
        ("SET a 3", "+OK"),
        ("PTTL a", ":-1"),
        ("SET a 1 px 1500", "+OK"),
        ("PTTL a", ":1500"),
        ("SET a 1 EXAT 1700000100", "+OK"),
        ("PTTL a", ":100000"),
        ("SET a 1 PXAT 1700000000001", "+OK"),
        ("PTTL a", ":1"),
        ("SET a 1 EX 10 EX 20", "+OK"),
        ("TTL a", ":20"),
        ("SET a 1 EX 0", INVALID),
        ("SET a 1 PX -1", INVALID),
        ("SET a 1 EX 9223372036854775", INVALID),
        ("SET a 1 EX 9223372036854776", INVALID),
        ("SET a 1 PX 9223372036854775807", INVALID),
        ("SET a 1 EXAT 9223372036854775807", INVALID),
        ("SET a 1 PXAT 9223372036854775807", "+OK"),
        ("SET a 1 EX x", NOT_AN_INTEGER),
        ("SET a 1 EX", SYNTAX),
        ("SET a 1 EX 10 PX 10", SYNTAX),
        ("SET a 1 EX 10 KEEPTTL", SYNTAX),
        ("SET a 1 KEEPTTL EX 10", SYNTAX),
        ("SET a 1 PERSIST", SYNTAX),
        ("SET a 1 BLAH", SYNTAX),
        ("SET a 1 EXAT 1", "+OK"),
        ("GET a", "$-1"),
    ]);
}

#[test]
fn a_value_is_gone_when_its_time_is_over() {
    let mut model = model();
    model.says(&[("SET a 1 PX 10", "+OK"), ("GET a", "$1 1")]);
    model.now = model.now.plus(9);
    model.says(&[("GET a", "$1 1"), ("SETNX a 2", ":0")]);
    model.now = model.now.plus(1);
    model.says(&[("GET a", "$-1"), ("SET a 2 XX", "$-1"), ("SET a 2 KEEPTTL", "+OK"), ("TTL a", ":-1")]);
}

#[test]
fn replacing_and_taking() {
    model().says(&[
        ("GETSET a 1", "$-1"),
        ("EXPIRE a 10", ":1"),
        ("GETSET a 2", "$1 1"),
        ("TTL a", ":-1"),
        ("GETSET list 2", WRONG_TYPE),
        ("GETDEL a", "$1 2"),
        ("GETDEL a", "$-1"),
        ("GETDEL list", WRONG_TYPE),
        ("TYPE list", "+list"),
        ("SETNX a 1", ":1"),
        ("SETNX a 2", ":0"),
        ("SETNX list 2", ":0"),
    ]);
}

#[test]
fn getex_changes_only_the_time_to_live() {
    const INVALID: &str = "-ERR invalid expire time in 'getex' command";
    model().says(&[
        ("SET a v EX 5", "+OK"),
        ("GETEX a", "$1 v"),
        ("TTL a", ":5"),
        ("GETEX a EX 100", "$1 v"),
        ("TTL a", ":100"),
        ("GETEX a PERSIST", "$1 v"),
        ("TTL a", ":-1"),
        ("GETEX a PXAT 1700000000500", "$1 v"),
        ("PTTL a", ":500"),
        ("GETEX a KEEPTTL", SYNTAX),
        ("GETEX a NX", SYNTAX),
        ("GETEX a EX", SYNTAX),
        ("GETEX a PERSIST EX 1", SYNTAX),
        ("GETEX a EX 0", INVALID),
        ("GETEX a EX x", NOT_AN_INTEGER),
        ("GETEX none EX 0", "$-1"),
        ("GETEX list EX 0", WRONG_TYPE),
        ("GETEX a PXAT 1", "$1 v"),
        ("EXISTS a", ":0"),
    ]);
}

#[test]
fn setex_and_psetex() {
    model().says(&[
        ("SETEX a 10 v", "+OK"),
        ("PTTL a", ":10000"),
        ("PSETEX a 10 v", "+OK"),
        ("PTTL a", ":10"),
        ("SETEX a 0 v", "-ERR invalid expire time in 'setex' command"),
        ("PSETEX a -5 v", "-ERR invalid expire time in 'psetex' command"),
        ("SETEX a x v", NOT_AN_INTEGER),
    ]);
}

#[test]
fn several_keys_at_once() {
    model().says(&[
        ("MSET a 1 b 2", "+OK"),
        ("MGET a none list b a", "*5 $1 1 $-1 $-1 $1 2 $1 1"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("MSETNX c 3 a 9", ":0"),
        ("EXISTS c", ":0"),
        ("MSETNX c 3 d 4 c 5", ":1"),
        ("MGET c d", "*2 $1 5 $1 4"),
        ("MSETNX c 3 d", "-ERR wrong number of arguments for 'msetnx' command"),
        ("MSET list 1 a 3", "+OK"),
        ("MGET list a", "*2 $1 1 $1 3"),
    ]);
}

#[test]
fn append_and_strlen() {
    model().says(&[
        ("APPEND a Hello", ":5"),
        ("EXPIRE a 10", ":1"),
        ("APPEND a World", ":10"),
        ("TTL a", ":10"),
        ("GET a", "$10 HelloWorld"),
        ("STRLEN a", ":10"),
        ("STRLEN none", ":0"),
        ("STRLEN list", WRONG_TYPE),
        ("APPEND list x", WRONG_TYPE),
        ("APPEND empty ", ":0"),
        ("EXISTS empty", ":1"),
    ]);
}

#[test]
fn getrange() {
    model().says(&[
        ("SET a HelloWorld", "+OK"),
        ("GETRANGE a 0 4", "$5 Hello"),
        ("SUBSTR a -5 -1", "$5 World"),
        ("GETRANGE a 0 -1", "$10 HelloWorld"),
        ("GETRANGE a -100 2", "$3 Hel"),
        ("GETRANGE a 8 100", "$2 ld"),
        ("GETRANGE a 5 2", "$0"),
        ("GETRANGE a -1 -5", "$0"),
        ("GETRANGE a 100 200", "$0"),
        ("GETRANGE a -100 -50", "$1 H"),
        ("GETRANGE a -9223372036854775808 9223372036854775807", "$10 HelloWorld"),
        ("GETRANGE none 0 -1", "$0"),
        ("GETRANGE a x 1", NOT_AN_INTEGER),
        ("GETRANGE list 0 1", WRONG_TYPE),
    ]);
}

#[test]
fn setrange() {
    const OFFSET: &str = "-ERR offset is out of range";
    let mut model = model();
    model.says(&[
        ("SET a HelloWorld", "+OK"),
        ("SETRANGE a 5 Redis!", ":11"),
        ("GET a", "$11 HelloRedis!"),
        ("SETRANGE a 1 ", ":11"),
        ("SETRANGE none 5 ", ":0"),
        ("EXISTS none", ":0"),
        ("SETRANGE b 2 xy", ":4"),
        ("GET b", "$4 \0\0xy"),
        ("SETRANGE a -1 x", OFFSET),
        ("SETRANGE list -1 x", OFFSET),
        ("SETRANGE a x y", NOT_AN_INTEGER),
        ("SETRANGE list 0 x", WRONG_TYPE),
        ("SETRANGE list 0 ", WRONG_TYPE),
        ("SETRANGE a 536870912 x", TOO_LONG),
        ("SETRANGE a 536870911 xx", TOO_LONG),
        ("SETRANGE a 9223372036854775807 x", TOO_LONG),
        ("SETRANGE none 536870912 ", ":0"),
    ]);
}

#[test]
fn no_string_grows_beyond_the_limit() {
    assert_eq!(check_length(STRING_BYTES_MAX, 0), Ok(()));
    assert_eq!(check_length(STRING_BYTES_MAX - 1, 1), Ok(()));
    assert_eq!(check_length(STRING_BYTES_MAX, 1), Err(Error::StringTooLong));
    assert_eq!(check_length(usize::MAX, 1), Err(Error::StringTooLong));
}

#[test]
fn changes_are_told() {
    let mut model = model();
    model.tells(&[
        ("SET a v", &["set a"]),
        ("SET a v NX", &[]),
        ("SET a v EX 10", &["set a", "expire a"]),
        ("SET a v KEEPTTL GET", &["set a"]),
        ("SETEX a 10 v", &["set a", "expire a"]),
        ("PSETEX a 10 v", &["set a", "expire a"]),
        ("GETSET a w", &["set a"]),
        ("SETNX a v", &[]),
        ("SETNX b v", &["set b"]),
        ("MSET a 1 b 2", &["set a", "set b"]),
        ("MSETNX a 1 c 2", &[]),
        ("MSETNX c 1 d 2", &["set c", "set d"]),
        ("APPEND a x", &["append a"]),
        ("APPEND e x", &["append e"]),
        ("SETRANGE a 1 y", &["setrange a"]),
        ("SETRANGE none 1 ", &[]),
        ("SETRANGE list 1 x", &[]),
        ("GETEX a", &[]),
        ("GETEX a PERSIST", &[]),
        ("GETEX a EX 10", &["expire a"]),
        ("GETEX a PERSIST", &["persist a"]),
        ("GETEX a PXAT 1", &["del a"]),
        ("GETEX a EX 10", &[]),
        ("GETDEL a", &[]),
        ("GETDEL b", &["del b"]),
        ("GET c", &[]),
        ("SET c v EX x", &[]),
    ]);
}

proptest! {
    /// APPEND and SETRANGE against a plain vector of bytes.
    #[test]
    fn edits_are_what_they_are_on_a_vector(
        edits in proptest::collection::vec((any::<bool>(), 0usize..40, proptest::collection::vec(any::<u8>(), 0..12)), 0..20)
    ) {
        let mut model = Model::new();
        let mut bytes: Vec<u8> = Vec::new();
        for (append, offset, part) in edits {
            let reply = if append {
                bytes.extend_from_slice(&part);
                model.request(Protocol::Resp2, &[b"APPEND", b"k", &part])
            } else {
                if !part.is_empty() {
                    bytes.resize(bytes.len().max(offset + part.len()), 0);
                    bytes[offset..offset + part.len()].copy_from_slice(&part);
                }
                model.request(Protocol::Resp2, &[b"SETRANGE", b"k", offset.to_string().as_bytes(), &part])
            };
            prop_assert_eq!(reply, format!(":{}\r\n", bytes.len()).into_bytes());
            prop_assert_eq!(model.string(b"k").unwrap().unwrap_or_default(), bytes.as_slice());
        }
    }

    #[test]
    fn a_range_is_a_part_of_the_value(value in proptest::collection::vec(any::<u8>(), 0..20), start in -30i64..30, end in -30i64..30) {
        let part = range(&value, start, end);
        let place = |at: i64| if at < 0 { (at + value.len() as i64).max(0) } else { at };
        let expected: Vec<u8> = if start < 0 && end < 0 && start > end {
            Vec::new()
        } else {
            value.iter().enumerate().filter(|(at, _)| (place(start)..=place(end)).contains(&(*at as i64))).map(|(_, byte)| *byte).collect()
        };
        prop_assert_eq!(part, expected.as_slice());
    }
}
