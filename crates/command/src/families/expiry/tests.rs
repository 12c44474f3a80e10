//! Promises of the commands about time. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("SET a 1", "+OK")]);
    model
}

#[test]
fn a_key_lives_as_long_as_it_was_told() {
    let mut model = model();
    model.says(&[
        ("TTL a", ":-1"),
        ("EXPIRE a 100", ":1"),
        ("TTL a", ":100"),
        ("PTTL a", ":100000"),
        ("EXPIRETIME a", ":1700000100"),
        ("PEXPIRETIME a", ":1700000100000"),
        ("PEXPIRE a 1499", ":1"),
        ("TTL a", ":1"),
        ("PEXPIRE a 1500", ":1"),
        ("TTL a", ":2"),
        ("EXPIREAT a 1700000050", ":1"),
        ("PTTL a", ":50000"),
        ("PEXPIREAT a 1700000000005", ":1"),
        ("PTTL a", ":5"),
    ]);
    model.now = model.now.plus(4);
    model.says(&[("EXISTS a", ":1"), ("PTTL a", ":1")]);
    model.now = model.now.plus(1);
    model.says(&[("EXISTS a", ":0"), ("PTTL a", ":-2"), ("PERSIST a", ":0"), ("EXPIRE a 10", ":0")]);
}

#[test]
fn a_key_that_is_not_there_has_no_time() {
    model().says(&[
        ("TTL none", ":-2"),
        ("PTTL none", ":-2"),
        ("EXPIRETIME none", ":-2"),
        ("PEXPIRETIME none", ":-2"),
        ("PEXPIRETIME a", ":-1"),
        ("EXPIRE none 1", ":0"),
        ("PERSIST none", ":0"),
    ]);
}

#[test]
fn persist_lets_it_live_for_ever() {
    model().says(&[("PERSIST a", ":0"), ("EXPIRE a 5", ":1"), ("PERSIST a", ":1"), ("TTL a", ":-1")]);
}

#[test]
fn a_time_that_is_past_deletes_at_once() {
    for request in [
        "EXPIRE a 0",
        "EXPIRE a -1",
        "PEXPIRE a -5",
        "EXPIREAT a 1",
        "PEXPIREAT a 1700000000000",
        "PEXPIREAT a -1",
        "EXPIRE a -9223372036854775",
    ] {
        model().says(&[(request, ":1"), ("EXISTS a", ":0")]);
    }
}

#[test]
fn conditions_compare_with_what_was() {
    model().says(&[
        // A key that lives for ever: nothing is longer, everything is shorter.
        ("EXPIRE a 10 XX", ":0"),
        ("EXPIRE a 10 GT", ":0"),
        ("EXPIRE a 10 GT XX", ":0"),
        ("EXPIRE a 10 LT XX", ":0"),
        ("TTL a", ":-1"),
        ("EXPIRE a 10 LT", ":1"),
        ("TTL a", ":10"),
        ("EXPIRE a 20 nx", ":0"),
        ("EXPIRE a 10 GT", ":0"),
        ("EXPIRE a 10 LT", ":0"),
        ("EXPIRE a 20 GT", ":1"),
        ("EXPIRE a 5 GT", ":0"),
        ("EXPIRE a 30 LT", ":0"),
        ("EXPIRE a 30 XX GT", ":1"),
        ("EXPIRE a 5 XX LT", ":1"),
        ("TTL a", ":5"),
        ("PERSIST a", ":1"),
        ("EXPIRE a 7 NX NX", ":1"),
        ("EXPIRE a -1 GT", ":0"),
        ("EXPIRE a -1 LT", ":1"),
        ("EXISTS a", ":0"),
    ]);
}

#[test]
fn impossible_times_and_conditions_are_refused() {
    const BOTH: &str = "-ERR NX and XX, GT or LT options at the same time are not compatible";
    const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
    model().says(&[
        ("EXPIRE a 1 NX XX", BOTH),
        ("EXPIRE a 1 NX GT", BOTH),
        ("EXPIRE a 1 NX LT", BOTH),
        ("EXPIRE a 1 GT LT", "-ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE a x GT LT", "-ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE a 1 FOO", "-ERR Unsupported option FOO"),
        ("EXPIRE a x", NOT_AN_INTEGER),
        ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("EXPIRE a 9223372036854775", "-ERR invalid expire time in 'expire' command"),
        ("EXPIRE a -9223372036854775808", "-ERR invalid expire time in 'expire' command"),
        ("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
        ("EXPIREAT a 9223372036854775807", "-ERR invalid expire time in 'expireat' command"),
        ("EXPIRE none 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("PEXPIREAT a 9223372036854775807", ":1"),
        ("PEXPIRETIME a", ":9223372036854775807"),
        ("EXPIRETIME a", ":9223372036854776"),
    ]);
}

#[test]
fn changes_are_told() {
    let mut model = Model::new();
    model.tells(&[
        ("EXPIRE a 10", &[]),
        ("SET a v", &["set a"]),
        ("PERSIST a", &[]),
        ("EXPIRE a 10", &["expire a"]),
        ("PEXPIRE a 5 GT", &[]),
        ("PERSIST a", &["persist a"]),
        ("EXPIREAT a 1", &["del a"]),
        ("EXPIREAT a 1", &[]),
    ]);
}
