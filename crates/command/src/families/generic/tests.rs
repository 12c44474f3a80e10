//! Promises of the commands on any key. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;
use resp::Protocol;

fn model() -> Model {
    let mut model = Model::new();
    model.put_list(b"list");
    model.says(&[("MSET a 1 b 2", "+OK")]);
    model
}

#[test]
fn keys_are_deleted_and_counted() {
    model().says(&[
        ("EXISTS a a none list", ":3"),
        ("TOUCH a none list", ":2"),
        ("DEL a a none", ":1"),
        ("UNLINK b list none", ":2"),
        ("EXISTS a b list", ":0"),
    ]);
}

#[test]
fn every_key_has_a_type() {
    model().says(&[("TYPE a", "+string"), ("TYPE list", "+list"), ("TYPE none", "+none")]);
}

#[test]
fn rename_takes_the_time_to_live_along_and_overwrites() {
    model().says(&[
        ("EXPIRE a 10", ":1"),
        ("RENAME a list", "+OK"),
        ("TYPE list", "+string"),
        ("TTL list", ":10"),
        ("EXISTS a", ":0"),
        ("RENAME a b", "-ERR no such key"),
        ("RENAME a a", "-ERR no such key"),
        ("RENAME b b", "+OK"),
        ("RENAME b list", "+OK"),
        ("TTL list", ":-1"),
    ]);
}

#[test]
fn renamenx_overwrites_nothing() {
    model().says(&[
        ("RENAMENX a b", ":0"),
        ("RENAMENX a a", ":0"),
        ("RENAMENX none c", "-ERR no such key"),
        ("RENAMENX a c", ":1"),
        ("GET c", "$1 1"),
        ("EXISTS a", ":0"),
    ]);
}

#[test]
fn copy_within_a_database() {
    const SAME: &str = "-ERR source and destination objects are the same";
    model().says(&[
        ("EXPIRE a 10", ":1"),
        ("COPY a c", ":1"),
        ("TTL c", ":10"),
        ("GET a", "$1 1"),
        ("COPY a b", ":0"),
        ("GET b", "$1 2"),
        ("COPY a b replace", ":1"),
        ("GET b", "$1 1"),
        ("COPY none c REPLACE", ":0"),
        ("GET c", "$1 1"),
        ("COPY a a", SAME),
        ("COPY none none", SAME),
        ("COPY a a DB 0", SAME),
        ("COPY a b FOO", "-ERR syntax error"),
        ("COPY a b DB", "-ERR syntax error"),
    ]);
}

#[test]
fn copy_and_move_to_another_database() {
    const SAME: &str = "-ERR source and destination objects are the same";
    model().says(&[
        ("COPY a a DB 1", ":1"),
        ("COPY a a DB 1", ":0"),
        ("COPY b a DB 1", ":0"),
        ("COPY b a DB 1 REPLACE", ":1"),
        ("EXISTS a b", ":2"),
        ("MOVE a 1", ":0"),
        ("MOVE b 1", ":1"),
        ("EXISTS a b", ":1"),
        ("MOVE b 1", ":0"),
        ("MOVE a 0", SAME),
    ]);
}

#[test]
fn what_was_dumped_can_be_restored() {
    let mut model = model();
    let dump = model.request(Protocol::Resp2, &[b"DUMP", b"a"]);
    assert_eq!(dump, b"$6\r\ndump:1\r\n");
    model.says(&[
        ("DUMP none", "$-1"),
        ("RESTORE c 0 dump:1", "+OK"),
        ("GET c", "$1 1"),
        ("TTL c", ":-1"),
        ("RESTORE c 0 dump:2", "-BUSYKEY Target key name already exists."),
        ("RESTORE c 5000 dump:2 REPLACE", "+OK"),
        ("GET c", "$1 2"),
        ("PTTL c", ":5000"),
        ("RESTORE c 1700000000007 dump:3 replace ABSTTL IDLETIME 5", "+OK"),
        ("PTTL c", ":7"),
        ("RESTORE c 1 dump:3 ABSTTL REPLACE FREQ 255", "+OK"),
        ("EXISTS c", ":0"),
    ]);
}

#[test]
fn a_bad_dump_changes_nothing() {
    const BAD: &str = "-ERR DUMP payload version or checksum are wrong";
    model().says(&[
        ("RESTORE c 0 nonsense", BAD),
        ("EXISTS c", ":0"),
        ("EXPIRE a 10", ":1"),
        ("RESTORE a 0 nonsense REPLACE", BAD),
        ("GET a", "$1 1"),
        ("TTL a", ":10"),
        ("RESTORE list 0 nonsense REPLACE", BAD),
        ("TYPE list", "+list"),
    ]);
}

#[test]
fn restore_checks_its_words() {
    model().says(&[
        ("RESTORE c -1 dump:1", "-ERR Invalid TTL value, must be >= 0"),
        ("RESTORE c x dump:1", "-ERR value is not an integer or out of range"),
        ("RESTORE a x dump:1", "-BUSYKEY Target key name already exists."),
        ("RESTORE c 0 dump:1 FOO", "-ERR syntax error"),
        ("RESTORE c 0 dump:1 IDLETIME", "-ERR syntax error"),
        ("RESTORE c 0 dump:1 IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"),
        ("RESTORE c 0 dump:1 FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
        ("RESTORE c 0 dump:1 IDLETIME 1 FREQ 1", "-ERR syntax error"),
        ("EXISTS c", ":0"),
    ]);
}

#[test]
fn what_is_known_of_a_key() {
    let mut model = model();
    model.says(&[
        ("OBJECT ENCODING a", "$3 raw"),
        ("OBJECT IDLETIME a", ":2"),
        ("OBJECT REFCOUNT a", ":1"),
        ("OBJECT ENCODING none", "$-1"),
        ("OBJECT IDLETIME none", "$-1"),
        ("OBJECT REFCOUNT none", "$-1"),
        ("OBJECT FREQ none", "$-1"),
        ("MEMORY USAGE a", ":56"),
        ("MEMORY USAGE a SAMPLES 5", ":56"),
        ("MEMORY USAGE none", "$-1"),
        ("MEMORY USAGE a SAMPLES", "-ERR syntax error"),
        ("MEMORY USAGE a SAMPLES -1", "-ERR syntax error"),
        ("MEMORY USAGE a SAMPLES x", "-ERR value is not an integer or out of range"),
        ("MEMORY USAGE a FOO 1", "-ERR syntax error"),
    ]);
    assert!(model.ask("OBJECT FREQ a").starts_with("-ERR An LFU maxmemory policy is not selected, "));
}

#[test]
fn changes_are_told() {
    let mut model = Model::new();
    model.tells(&[
        ("MSET a 1 b 2 c 3", &["set a", "set b", "set c"]),
        ("DEL a none b", &["del a", "del b"]),
        ("UNLINK a", &[]),
        ("RENAME c c", &[]),
        ("RENAME c a", &["rename_from c", "rename_to a"]),
        ("RENAME c a", &[]),
        ("RENAMENX a a", &[]),
        ("RENAMENX a b", &["rename_from a", "rename_to b"]),
        ("COPY b c", &["copy_to c"]),
        ("COPY b c", &[]),
        ("COPY b c REPLACE DB 1", &["there:copy_to c"]),
        ("MOVE c 1", &[]),
        ("MOVE b 1", &["move_from b", "there:move_to b"]),
        ("RESTORE a 0 dump:x", &["restore a"]),
        ("RESTORE a 0 dump:x", &[]),
        ("RESTORE a 0 nonsense REPLACE", &[]),
        ("RESTORE a 10 dump:y REPLACE", &["restore a"]),
        ("RESTORE a 1 dump:y ABSTTL REPLACE", &["del a"]),
        ("RESTORE a 1 dump:y ABSTTL", &[]),
        ("TOUCH b", &[]),
    ]);
}
