//! Promises of SORT. The answers are Redis's own, asked of a server of release 7.0.

use super::*;
use crate::model::Model;
use base::database::{Expiry, Hashes, SortedSets};

const SYNTAX: &str = "-ERR syntax error";
const NOT_NUMBERS: &str = "-ERR One or more scores can't be converted into double";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Numbers in a list, words in a set, members of a sorted set, and what weights and names say about the numbers.
fn model() -> Model {
    let mut model = Model::new();
    model.says(&[
        ("RPUSH l 3 10 1 2", ":4"),
        ("SADD s b a c", ":3"),
        ("MSET w1 4 w2 3 w3 2 w10 1 n1 one n2 two n3 three", "+OK"),
        ("SET string v", "+OK"),
    ]);
    model.sorted_set_put(b"z", &[(&b"9"[..], 1.0), (b"8", 2.0), (b"7", 3.0)]).expect("a new key");
    for (key, name, age) in [(&b"h1"[..], &b"x"[..], &b"30"[..]), (b"h2", b"y", b"20"), (b"h3", b"z", b"40")]
    {
        model.hash_set(key, &[(&b"name"[..], name), (&b"age"[..], age)], Expiry::Clear).expect("a new key");
    }
    model.events.clear();
    model
}

#[test]
fn numbers_and_words_are_sorted() {
    model().says(&[
        ("SORT l", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT l DESC", "*4 $2 10 $1 3 $1 2 $1 1"),
        ("SORT l DESC asc", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT l ALPHA", "*4 $1 1 $2 10 $1 2 $1 3"),
        ("SORT_RO l alpha desc", "*4 $1 3 $1 2 $2 10 $1 1"),
        ("SORT s ALPHA", "*3 $1 a $1 b $1 c"),
        ("SORT s", NOT_NUMBERS),
        ("SORT z", "*3 $1 7 $1 8 $1 9"),
        ("SORT none", "*0"),
        ("SORT string", WRONG_TYPE),
        ("SORT h1", WRONG_TYPE),
    ]);
}

#[test]
fn a_part_of_the_results_is_answered() {
    model().says(&[
        ("SORT l LIMIT 1 2", "*2 $1 2 $1 3"),
        ("SORT l LIMIT 3 99", "*1 $2 10"),
        ("SORT l LIMIT 4 1", "*0"),
        ("SORT l LIMIT -5 1", "*1 $1 1"),
        ("SORT l LIMIT 2 -1", "*2 $1 3 $2 10"),
        ("SORT l LIMIT 0 0", "*0"),
        ("SORT l LIMIT 1 9223372036854775807", "*3 $1 2 $1 3 $2 10"),
        ("SORT l LIMIT x 1", "-ERR value is not an integer or out of range"),
        ("SORT l LIMIT 1", SYNTAX),
        ("SORT l BY", SYNTAX),
        ("SORT l FOO", SYNTAX),
        ("SORT_RO l STORE d", SYNTAX),
    ]);
}

#[test]
fn other_keys_say_the_order() {
    model().says(&[
        ("SORT l BY w*", "*4 $2 10 $1 3 $1 2 $1 1"),
        ("SORT l BY w* DESC", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT l BY n* ALPHA", "*4 $2 10 $1 1 $1 3 $1 2"),
        ("SORT l BY n*", NOT_NUMBERS),
        // Nothing counts as zero, and equal numbers go by the elements' bytes.
        ("SORT l BY h*->age", "*4 $2 10 $1 2 $1 1 $1 3"),
        ("SORT l BY nope*", "*4 $1 1 $2 10 $1 2 $1 3"),
        ("SORT l BY nope* DESC", "*4 $1 3 $1 2 $2 10 $1 1"),
        ("SORT l BY h*->", "*4 $1 1 $2 10 $1 2 $1 3"),
        ("SORT l BY h*", "*4 $1 1 $2 10 $1 2 $1 3"),
    ]);
}

#[test]
fn without_an_order_elements_stay_as_they_are() {
    model().says(&[
        ("SORT l BY nosort", "*4 $1 3 $2 10 $1 1 $1 2"),
        ("SORT l BY nosort DESC LIMIT 1 2", "*2 $2 10 $1 1"),
        ("SORT z BY nosort", "*3 $1 9 $1 8 $1 7"),
        ("SORT z BY nosort DESC", "*3 $1 7 $1 8 $1 9"),
        ("SORT z BY nosort DESC LIMIT 1 1", "*1 $1 8"),
        ("SORT z BY nosort LIMIT 2 5", "*1 $1 7"),
        ("SORT s BY nosort STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $1 a $1 b $1 c"),
    ]);
}

#[test]
fn other_keys_are_answered() {
    model().says(&[
        ("SORT l GET n*", "*4 $3 one $3 two $5 three $-1"),
        ("SORT l LIMIT 0 2 GET # GET h*->name", "*4 $1 1 $1 x $1 2 $1 y"),
        ("SORT l LIMIT 0 1 GET plain", "*1 $-1"),
        ("SORT l LIMIT 0 1 GET h* GET n*->name", "*2 $-1 $-1"),
        ("SORT l BY w* LIMIT 1 1 GET n*", "*1 $5 three"),
    ]);
}

#[test]
fn results_are_stored() {
    let mut model = model();
    model.says(&[
        ("SORT l STORE string", ":4"),
        ("LRANGE string 0 -1", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT l GET n* STORE l", ":4"),
        ("LRANGE l 0 -1", "*4 $3 one $3 two $5 three $0"),
        ("SORT none STORE string", ":0"),
        ("EXISTS string", ":0"),
        ("SORT none STORE string", ":0"),
        ("SORT s STORE s", NOT_NUMBERS),
        ("SCARD s", ":3"),
    ]);
    let told: Vec<_> = model.events.iter().map(|(event, key)| (*event, &key[..])).collect();
    assert_eq!(told, [("sortstore", &b"string"[..]), ("sortstore", b"l"), ("del", b"string")]);
}

#[test]
fn numbers_are_read_as_c_reads_them() {
    for (text, expected) in [
        ("", Some(0.0)),
        (" 5", Some(5.0)),
        ("\t-2.5e1", Some(-25.0)),
        ("+.5", Some(0.5)),
        ("inf", Some(f64::INFINITY)),
        ("-Infinity", Some(f64::NEG_INFINITY)),
        ("0e999", Some(0.0)),
        ("nan", None),
        ("5 ", None),
        (" ", None),
        ("x", None),
        ("1e400", None),
        ("1e-400", None),
        ("5x", None),
    ] {
        assert_eq!(number(text.as_bytes()), expected, "{text:?}");
    }
    assert_eq!(number(b"\xff"), None);
}

#[test]
fn the_keys_among_the_words_are_found() {
    let keys = |request: &str| {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let spec = crate::resolve(&args).expect(request);
        let text = |keys: Keys<'_>| {
            keys.iter().map(|key| String::from_utf8_lossy(key)).collect::<Vec<_>>().join(" ")
        };
        (text(spec.keys(&args)), text(spec.key_patterns(&args)))
    };
    let found = |keys: &str, patterns: &str| (keys.to_owned(), patterns.to_owned());
    assert_eq!(keys("SORT l"), found("l", ""));
    assert_eq!(keys("SORT l BY w* GET # GET n*->x store d"), found("l d", "w* n*->x"));
    assert_eq!(keys("SORT l BY store STORE d STORE e"), found("l e", ""));
    assert_eq!(keys("SORT l GET STORE"), found("l", ""));
    assert_eq!(keys("SORT l STORE"), found("l", ""));
    assert_eq!(keys("SORT_RO l BY nosort GET a*"), found("l", "a*"));
    assert_eq!(keys("GET l*"), found("l*", ""));
}
