//! Promises of the commands that take the first or last members. The answers are Redis's own, asked of a server of
//! release 7.0.

use crate::model::Model;
use resp::Protocol;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("ZADD z 1 a 2 b 3 c", ":3"), ("ZADD y 1 x", ":1")]);
    model.events.clear();
    model
}

fn told(model: &Model) -> Vec<&'static str> {
    model.events.iter().map(|(event, _)| *event).collect()
}

#[test]
fn the_lowest_and_the_highest_are_taken() {
    let mut model = model();
    model.says(&[
        ("ZPOPMIN z", "*2 $1 a $1 1"),
        ("ZPOPMAX z 5", "*4 $1 c $1 3 $1 b $1 2"),
        ("EXISTS z", ":0"),
        ("ZPOPMIN z", "*0"),
        ("ZPOPMIN y 0", "*0"),
        ("ZPOPMIN y -1", "-ERR value is out of range, must be positive"),
        ("ZPOPMIN y x", "-ERR value is out of range, must be positive"),
        ("ZPOPMAX y 1 2", "-ERR syntax error"),
    ]);
    assert_eq!(told(&model), ["zpopmin", "zpopmax", "del"]);
}

#[test]
fn version_3_answers_pairs_where_a_count_is_given() {
    let mut model = model();
    assert_eq!(model.request(Protocol::Resp3, &[b"ZPOPMIN", b"z"]), b"*2\r\n$1\r\na\r\n,1\r\n");
    assert_eq!(model.request(Protocol::Resp3, &[b"ZPOPMIN", b"z", b"1"]), b"*1\r\n*2\r\n$1\r\nb\r\n,2\r\n");
    assert_eq!(model.request(Protocol::Resp3, &[b"ZPOPMIN", b"none"]), b"*0\r\n");
}

#[test]
fn the_first_key_that_has_members_gives_them() {
    let mut model = model();
    model.says(&[
        ("ZMPOP 2 none z MIN COUNT 2", "*2 $1 z *2 *2 $1 a $1 1 *2 $1 b $1 2"),
        ("ZMPOP 2 y z MAX", "*2 $1 y *1 *2 $1 x $1 1"),
        ("ZMPOP 1 y MIN", "*-1"),
        ("ZMPOP 0 y MIN", "-ERR numkeys should be greater than 0"),
        ("ZMPOP x y MIN", "-ERR numkeys should be greater than 0"),
        ("ZMPOP 2 y MIN", "-ERR syntax error"),
        ("ZMPOP 1 y FOO", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0"),
        ("ZMPOP 1 z MIN COUNT 1 COUNT 2", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT", "-ERR syntax error"),
        ("ZCARD z", ":1"),
    ]);
    assert_eq!(told(&model), ["zpopmin", "zpopmax", "del"]);
}

#[test]
fn what_would_wait_makes_one_attempt() {
    let mut model = model();
    model.says(&[
        ("BZPOPMIN none z y 0", "*3 $1 z $1 a $1 1"),
        ("BZPOPMAX z 0.5", "*3 $1 z $1 c $1 3"),
        ("BZMPOP 0 2 none z MIN COUNT 10", "*2 $1 z *1 *2 $1 b $1 2"),
        ("BZPOPMIN z 0", "*-1"),
        ("BZMPOP 0 1 z MIN", "*-1"),
        ("BZPOPMIN y x", "-ERR timeout is not a float or out of range"),
        ("BZPOPMIN y -1", "-ERR timeout is negative"),
        ("BZMPOP -1 1 y MIN", "-ERR timeout is negative"),
        ("BZMPOP 0 1 y FOO", "-ERR syntax error"),
        ("ZCARD y", ":1"),
    ]);
}
