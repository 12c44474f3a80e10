//! Promises of hashes. The answers are Redis's own, asked of a server of release 7.0; fields come in the model's order.

use crate::model::Model;
use resp::Protocol;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("HSET h a 1 b 2 c 3", ":3")]);
    model.events.clear();
    model
}

#[test]
fn fields_keep_what_they_were_given() {
    let mut model = model();
    model.says(&[
        ("HSET h a 10 d 4", ":1"),
        ("HGET h a", "$2 10"),
        ("HGET h none", "$-1"),
        ("HGET none a", "$-1"),
        ("HMGET h a none c", "*3 $2 10 $-1 $1 3"),
        ("HMGET none a", "*1 $-1"),
        ("HGETALL h", "*8 $1 a $2 10 $1 b $1 2 $1 c $1 3 $1 d $1 4"),
        ("HKEYS h", "*4 $1 a $1 b $1 c $1 d"),
        ("HVALS h", "*4 $2 10 $1 2 $1 3 $1 4"),
        ("HLEN h", ":4"),
        ("HEXISTS h a", ":1"),
        ("HEXISTS h x", ":0"),
        ("HSTRLEN h a", ":2"),
        ("HSTRLEN h x", ":0"),
        ("HSETNX h a 5", ":0"),
        ("HSETNX h e 5", ":1"),
        ("HMSET h a 1 e 6", "+OK"),
        ("HMGET h a e", "*2 $1 1 $1 6"),
        ("HSET h a", "-ERR wrong number of arguments for 'hset' command"),
        ("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command"),
    ]);
    for request in ["HGETALL none", "HKEYS none", "HVALS none"] {
        assert_eq!(model.ask(request), "*0", "{request}");
    }
    for request in ["HLEN none", "HEXISTS none a", "HSTRLEN none a", "HDEL none a"] {
        assert_eq!(model.ask(request), ":0", "{request}");
    }
}

#[test]
fn with_the_last_field_goes_the_key() {
    let mut model = model();
    model.says(&[("HDEL h a x a", ":1"), ("HDEL h b c", ":2"), ("EXISTS h", ":0"), ("HDEL h a", ":0")]);
    let told: Vec<_> = model.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, ["hdel", "hdel", "del"]);
}

#[test]
fn numbers_in_fields_are_counted_exactly() {
    let mut model = model();
    model.says(&[
        ("HINCRBY h a 5", ":6"),
        ("HINCRBY h new -3", ":-3"),
        ("HINCRBY h a x", "-ERR value is not an integer or out of range"),
        ("HSET h big 9223372036854775807 text abc", ":2"),
        ("HINCRBY h big 1", "-ERR increment or decrement would overflow"),
        ("HINCRBY h text 1", "-ERR hash value is not an integer"),
        ("HINCRBYFLOAT h f 0.1", "$3 0.1"),
        ("HINCRBYFLOAT h f 0.2", "$3 0.3"),
        ("HINCRBYFLOAT h a -0.5", "$3 5.5"),
        ("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity"),
        ("HINCRBYFLOAT h f x", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT h text 1", "-ERR hash value is not a float"),
        ("HGET h text", "$3 abc"),
    ]);
}

#[test]
fn picks_are_fields_of_the_hash_in_the_shape_that_was_asked_for() {
    let mut model = model();
    assert!(["$1 a", "$1 b", "$1 c"].contains(&&model.ask("HRANDFIELD h")[..]));
    model.says(&[
        ("HRANDFIELD none", "$-1"),
        ("HRANDFIELD none 2", "*0"),
        ("HRANDFIELD h 0", "*0"),
        ("HRANDFIELD h 9", "*3 $1 a $1 b $1 c"),
        ("HRANDFIELD h 9 WITHVALUES", "*6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
        ("HRANDFIELD h x", "-ERR value is not an integer or out of range"),
        ("HRANDFIELD h 1 foo", "-ERR syntax error"),
        ("HRANDFIELD none 1 WITHVALUES x", "-ERR syntax error"),
        ("HRANDFIELD h 9223372036854775807 WITHVALUES", "-ERR value is out of range"),
        (
            "HRANDFIELD h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        (
            "HRANDFIELD h -1000000000",
            "-ERR the reply would be longer than 512 MB, nothing was done: ask for less at once",
        ),
    ]);
    assert!(model.ask("HRANDFIELD h -20").starts_with("*20 "));
    let nested = model.request(Protocol::Resp3, &[b"HRANDFIELD", b"h", b"5", b"withvalues"]);
    assert_eq!(
        nested,
        b"*3\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n"
    );
}

#[test]
fn a_walk_answers_pages_of_fields_with_or_without_values() {
    model().says(&[
        ("HSCAN h 0", "*2 $1 0 *6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
        ("HSCAN h 0 COUNT 2", "*2 $1 2 *4 $1 a $1 1 $1 b $1 2"),
        ("HSCAN h 2 COUNT 2", "*2 $1 0 *2 $1 c $1 3"),
        ("HSCAN h 0 NOVALUES MATCH [ab]", "*2 $1 0 *2 $1 a $1 b"),
        ("HSCAN none 0 whatever", "*2 $1 0 *0"),
        ("HSCAN none x", "-ERR invalid cursor"),
        ("HSCAN h 18446744073709551616", "-ERR invalid cursor"),
        ("HSCAN h 0 COUNT 0", "-ERR syntax error"),
        ("HSCAN h 0 COUNT x", "-ERR value is not an integer or out of range"),
        ("HSCAN h 0 MATCH", "-ERR syntax error"),
    ]);
}

#[test]
fn what_is_no_hash_is_refused_and_left_alone() {
    let mut model = Model::new();
    model.says(&[("SET s 1", "+OK")]);
    for request in [
        "HSET s a 1",
        "HSETNX s a 1",
        "HMSET s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HDEL s a",
        "HEXISTS s a",
        "HLEN s",
        "HKEYS s",
        "HVALS s",
        "HSTRLEN s a",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HRANDFIELD s 1",
        "HSCAN s 0 foo",
    ] {
        let answer = model.ask(request);
        assert_eq!(answer, "-WRONGTYPE Operation against a key holding the wrong kind of value", "{request}");
    }
    model.says(&[("GET s", "$1 1")]);
    assert_eq!(model.told(), ["set s"]);
}

#[test]
fn version_3_has_maps() {
    let mut model = model();
    assert!(model.request(Protocol::Resp3, &[b"HGETALL", b"h"]).starts_with(b"%3\r\n"));
    assert_eq!(model.request(Protocol::Resp3, &[b"HGETALL", b"none"]), b"%0\r\n");
}
