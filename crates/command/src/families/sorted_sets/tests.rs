//! Promises of sorted sets, member by member. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;
use resp::Protocol;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("ZADD z 1 a 2 b 3 c", ":3")]);
    model.events.clear();
    model
}

fn told(model: &Model) -> Vec<&'static str> {
    model.events.iter().map(|(event, _)| *event).collect()
}

#[test]
fn members_get_scores_as_the_options_say() {
    model().says(&[
        ("ZADD z 1 a 5 d 6 d", ":1"),
        ("ZSCORE z d", "$1 6"),
        ("ZADD z NX 9 a 9 e", ":1"),
        ("ZADD z XX CH 9 a 9 f", ":1"),
        ("ZADD z GT CH 8 a 10 b 1 g", ":2"),
        ("ZADD z LT CH 1 b 100 c", ":1"),
        ("ZMSCORE z a b c d e f g", "*7 $1 9 $1 1 $1 3 $1 6 $1 9 $-1 $1 1"),
        ("ZADD none XX 1 a", ":0"),
        ("EXISTS none", ":0"),
        ("ZADD z INCR 1.5 a", "$4 10.5"),
        ("ZADD z NX INCR 1 a", "$-1"),
        ("ZADD z XX INCR 1 none", "$-1"),
        ("ZADD z GT INCR -1 a", "$-1"),
        ("ZINCRBY z 2 new", "$1 2"),
        ("ZINCRBY z -0.5 new", "$3 1.5"),
        ("ZADD z -0 zero", ":1"),
        ("ZSCORE z zero", "$1 0"),
        ("ZADD z INF top -inf bottom", ":2"),
        ("ZSCORE z top", "$3 inf"),
    ]);
}

#[test]
fn wrong_words_change_nothing() {
    let mut model = model();
    model.says(&[
        ("ZADD z 1", "-ERR wrong number of arguments for 'zadd' command"),
        ("ZADD z 1 a 2", "-ERR syntax error"),
        ("ZADD z NX CH XX", "-ERR syntax error"),
        ("ZADD z 5 a x b", "-ERR value is not a valid float"),
        ("ZADD z nan a", "-ERR value is not a valid float"),
        ("ZADD z 1e400 a", "-ERR value is not a valid float"),
        ("ZADD z 1e-400 a", "-ERR value is not a valid float"),
        ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible"),
        ("ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"),
        ("ZINCRBY z x a", "-ERR value is not a valid float"),
        ("ZRANGE z 0 -1 WITHSCORES", "*6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
    ]);
    assert!(model.events.is_empty());
    model.says(&[
        ("ZADD z inf a", ":0"),
        ("ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)"),
        ("ZSCORE z a", "$3 inf"),
    ]);
}

#[test]
fn what_changes_is_told() {
    let mut model = model();
    model.says(&[("ZADD z 1 a", ":0"), ("ZADD z 2 a", ":0"), ("ZINCRBY z 1 a", "$1 3"), ("ZREM z x", ":0")]);
    assert_eq!(told(&model), ["zadd", "zincr"]);
    model.says(&[("ZREM z a b x", ":2"), ("ZREM z c", ":1"), ("EXISTS z", ":0"), ("ZREM z c", ":0")]);
    assert_eq!(told(&model), ["zadd", "zincr", "zrem", "zrem", "del"]);
}

#[test]
fn ranks_count_from_either_end() {
    model().says(&[
        ("ZCARD z", ":3"),
        ("ZCARD none", ":0"),
        ("ZRANK z a", ":0"),
        ("ZREVRANK z a", ":2"),
        ("ZRANK z x", "$-1"),
        ("ZRANK none x", "$-1"),
        ("ZRANK z b WITHSCORE", "*2 :1 $1 2"),
        ("ZREVRANK z c WITHSCORE", "*2 :0 $1 3"),
        ("ZRANK z x WITHSCORE", "*-1"),
        ("ZRANK z a foo", "-ERR syntax error"),
        ("ZRANK z a WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command"),
        ("ZSCORE none a", "$-1"),
        ("ZMSCORE none a b", "*2 $-1 $-1"),
    ]);
}

#[test]
fn picks_and_pages_answer_members_with_scores() {
    let mut model = model();
    assert!(["$1 a", "$1 b", "$1 c"].contains(&&model.ask("ZRANDMEMBER z")[..]));
    model.says(&[
        ("ZRANDMEMBER none", "$-1"),
        ("ZRANDMEMBER none -5", "*0"),
        ("ZRANDMEMBER z 5 WITHSCORES", "*6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
        ("ZRANDMEMBER z 1 WITHVALUES", "-ERR syntax error"),
        ("ZSCAN z 0", "*2 $1 0 *6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
        ("ZSCAN z 0 COUNT 1 MATCH b", "*2 $1 1 *0"),
        ("ZSCAN z 1 COUNT 1 MATCH b", "*2 $1 2 *2 $1 b $1 2"),
        ("ZSCAN z 0 NOVALUES", "-ERR syntax error"),
        ("ZSCAN none 0", "*2 $1 0 *0"),
    ]);
    assert!(model.ask("ZRANDMEMBER z -7").starts_with("*7 "));
    let nested = model.request(Protocol::Resp3, &[b"ZRANDMEMBER", b"z", b"3", b"WITHSCORES"]);
    assert_eq!(nested, b"*3\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2\r\n*2\r\n$1\r\nc\r\n,3\r\n");
}

#[test]
fn what_is_no_sorted_set_is_refused_and_left_alone() {
    let mut model = Model::new();
    model.says(&[("SET s 1", "+OK")]);
    for request in [
        "ZADD s 1 a",
        "ZINCRBY s 1 a",
        "ZREM s a",
        "ZCARD s",
        "ZCOUNT s 0 1",
        "ZLEXCOUNT s - +",
        "ZSCORE s a",
        "ZMSCORE s a",
        "ZRANK s a",
        "ZREVRANK s a",
        "ZRANGE s 0 1",
        "ZRANGESTORE d s 0 1",
        "ZREMRANGEBYRANK s 0 1",
        "ZREMRANGEBYSCORE s 0 1",
        "ZREMRANGEBYLEX s - +",
        "ZPOPMIN s 0",
        "ZPOPMAX s",
        "ZMPOP 2 none s MIN",
        "BZPOPMIN none s 0",
        "BZMPOP 0 1 s MAX",
        "ZRANDMEMBER s",
        "ZSCAN s 0",
        "ZUNION 2 none s junk",
        "ZINTERSTORE d 1 s",
        "ZDIFF 1 s",
        "ZINTERCARD 1 s",
    ] {
        let answer = model.ask(request);
        assert_eq!(answer, "-WRONGTYPE Operation against a key holding the wrong kind of value", "{request}");
    }
    model.says(&[("GET s", "$1 1"), ("EXISTS d", ":0")]);
    assert_eq!(model.told(), ["set s"]);
}
