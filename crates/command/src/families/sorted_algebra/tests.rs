//! Promises of unions, intersections and differences. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;
use base::database::Sets;
use resp::Protocol;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("ZADD a 1 x 2 y 3 z", ":3"), ("ZADD b 10 y 20 z 30 w", ":3")]);
    assert_eq!(model.set_add(b"s", &[b"x", b"y"]), Ok(2));
    model.events.clear();
    model
}

#[test]
fn scores_add_up_with_their_weights() {
    model().says(&[
        ("ZUNION 2 a b WITHSCORES", "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30"),
        ("ZUNION 2 a b WEIGHTS 2 0.5 WITHSCORES", "*8 $1 x $1 2 $1 y $1 9 $1 w $2 15 $1 z $2 16"),
        ("ZUNION 2 a b AGGREGATE MIN WITHSCORES", "*8 $1 x $1 1 $1 y $1 2 $1 z $1 3 $1 w $2 30"),
        ("ZINTER 2 a b AGGREGATE MAX WITHSCORES", "*4 $1 y $2 10 $1 z $2 20"),
        ("ZINTER 2 a b", "*2 $1 y $1 z"),
        ("ZINTER 2 a none", "*0"),
        ("ZDIFF 2 a b WITHSCORES", "*2 $1 x $1 1"),
        ("ZDIFF 2 none a", "*0"),
        ("ZDIFF 1 a", "*3 $1 x $1 y $1 z"),
        ("ZINTERCARD 2 a b", ":2"),
        ("ZINTERCARD 2 a b LIMIT 1", ":1"),
        ("ZINTERCARD 2 a b LIMIT 0", ":2"),
        ("ZINTERCARD 2 a none", ":0"),
    ]);
}

#[test]
fn members_of_plain_sets_have_score_1() {
    model().says(&[
        ("ZUNION 2 a s WITHSCORES", "*6 $1 x $1 2 $1 y $1 3 $1 z $1 3"),
        ("ZINTER 2 s b WEIGHTS 5 1 WITHSCORES", "*2 $1 y $2 15"),
        ("ZDIFF 2 a s", "*1 $1 z"),
        ("ZDIFF 2 s b WITHSCORES", "*2 $1 x $1 1"),
    ]);
}

#[test]
fn opposite_infinities_and_nothing_times_infinity_make_zero() {
    model().says(&[
        ("ZADD up inf m", ":1"),
        ("ZADD down -inf m", ":1"),
        ("ZUNION 2 up down WITHSCORES", "*2 $1 m $1 0"),
        ("ZINTER 2 up down WITHSCORES", "*2 $1 m $1 0"),
        ("ZUNION 1 up WEIGHTS 0 WITHSCORES", "*2 $1 m $1 0"),
        ("ZUNION 1 up WEIGHTS -1 WITHSCORES", "*2 $1 m $4 -inf"),
    ]);
}

#[test]
fn what_is_stored_replaces_whatever_was_there() {
    let mut model = model();
    model.says(&[
        ("SET d x", "+OK"),
        ("ZUNIONSTORE d 2 a b", ":4"),
        ("ZSCORE d y", "$2 12"),
        ("ZINTERSTORE a 2 a b WEIGHTS 1 0", ":2"),
        ("ZRANGE a 0 -1 WITHSCORES", "*4 $1 y $1 2 $1 z $1 3"),
        ("ZDIFFSTORE d 2 a b", ":0"),
        ("EXISTS d", ":0"),
        ("ZDIFFSTORE d 2 a b", ":0"),
    ]);
    let told: Vec<_> = model.events.iter().map(|(event, _)| *event).filter(|event| *event != "set").collect();
    assert_eq!(told, ["zunionstore", "zinterstore", "del"]);
}

#[test]
fn wrong_words_are_refused_in_redis_s_words() {
    model().says(&[
        ("ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command"),
        ("ZDIFFSTORE d -1 a", "-ERR at least 1 input key is needed for 'zdiffstore' command"),
        ("ZINTER x a", "-ERR value is not an integer or out of range"),
        ("ZINTER 3 a b", "-ERR syntax error"),
        ("ZINTER 9223372036854775807 a b", "-ERR syntax error"),
        ("ZUNION 2 a b WEIGHTS 1", "-ERR syntax error"),
        ("ZUNION 2 a b WEIGHTS 1 x", "-ERR weight value is not a float"),
        ("ZUNION 2 a b AGGREGATE AVG", "-ERR syntax error"),
        ("ZUNIONSTORE d 1 a WITHSCORES", "-ERR syntax error"),
        ("ZDIFF 1 a WEIGHTS 1", "-ERR syntax error"),
        ("ZINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative"),
        ("ZINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative"),
        ("ZINTERCARD 1 a WITHSCORES", "-ERR syntax error"),
    ]);
}

#[test]
fn version_3_answers_pairs() {
    let pairs = model().request(Protocol::Resp3, &[b"ZDIFF", b"2", b"a", b"b", b"WITHSCORES"]);
    assert_eq!(pairs, b"*1\r\n*2\r\n$1\r\nx\r\n,1\r\n");
}
