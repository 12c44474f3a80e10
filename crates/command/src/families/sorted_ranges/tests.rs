//! Promises of ranges. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;
use proptest::prelude::*;
use resp::Protocol;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("ZADD z 1 a 2 b 2 c 3 d", ":4"), ("ZADD l 0 a 0 b 0 c 0 d", ":4")]);
    model.events.clear();
    model
}

#[test]
fn ranks_may_be_counted_from_either_end() {
    model().says(&[
        ("ZRANGE z 0 -1", "*4 $1 a $1 b $1 c $1 d"),
        ("ZRANGE z 1 2 WITHSCORES", "*4 $1 b $1 2 $1 c $1 2"),
        ("ZRANGE z -2 100", "*2 $1 c $1 d"),
        ("ZRANGE z -100 0", "*1 $1 a"),
        ("ZRANGE z 2 1", "*0"),
        ("ZRANGE z 9 10", "*0"),
        ("ZRANGE z 0 1 REV", "*2 $1 d $1 c"),
        ("ZREVRANGE z -1 -1", "*1 $1 a"),
        ("ZREVRANGE z 0 -1 WITHSCORES", "*8 $1 d $1 3 $1 c $1 2 $1 b $1 2 $1 a $1 1"),
        ("ZRANGE none 0 -1", "*0"),
        ("ZRANGE z 9223372036854775807 -9223372036854775808", "*0"),
        ("ZRANGE z -9223372036854775808 9223372036854775807 REV", "*4 $1 d $1 c $1 b $1 a"),
    ]);
}

#[test]
fn scores_bound_a_range_with_or_without_themselves() {
    model().says(&[
        ("ZRANGE z 1 2 BYSCORE", "*3 $1 a $1 b $1 c"),
        ("ZRANGEBYSCORE z (1 (3", "*2 $1 b $1 c"),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 1 2", "*2 $1 b $1 c"),
        ("ZRANGEBYSCORE z -inf +inf WITHSCORES LIMIT 3 -1", "*2 $1 d $1 3"),
        ("ZRANGEBYSCORE z 0 9 LIMIT -1 2", "*0"),
        ("ZRANGEBYSCORE z 0 9 LIMIT 0 0", "*0"),
        ("ZRANGEBYSCORE z 0 9 LIMIT 9 1", "*0"),
        ("ZREVRANGEBYSCORE z 3 (1 LIMIT 1 2", "*2 $1 c $1 b"),
        ("ZRANGE z 2 1 BYSCORE REV", "*3 $1 c $1 b $1 a"),
        ("ZRANGEBYSCORE z 3 1", "*0"),
        ("ZCOUNT z 2 +inf", ":3"),
        ("ZCOUNT z (2 1e400", ":1"),
        ("ZCOUNT z 3 1", ":0"),
        ("ZCOUNT none 0 1", ":0"),
    ]);
}

#[test]
fn bytes_bound_a_range_where_scores_are_equal() {
    model().says(&[
        ("ZRANGE l - + BYLEX", "*4 $1 a $1 b $1 c $1 d"),
        ("ZRANGEBYLEX l [b (d", "*2 $1 b $1 c"),
        ("ZRANGEBYLEX l (a + LIMIT 1 1", "*1 $1 c"),
        ("ZREVRANGEBYLEX l + (b", "*2 $1 d $1 c"),
        ("ZRANGE l [c - BYLEX REV LIMIT 0 2", "*2 $1 c $1 b"),
        ("ZRANGEBYLEX l + -", "*0"),
        ("ZLEXCOUNT l [aa [c", ":2"),
        ("ZLEXCOUNT l - (a", ":0"),
        ("ZLEXCOUNT none - +", ":0"),
    ]);
}

#[test]
fn wrong_words_are_refused_in_redis_s_words() {
    let lex = "-ERR min or max not valid string range item";
    let score = "-ERR min or max is not a float";
    model().says(&[
        ("ZRANGE z a b", "-ERR value is not an integer or out of range"),
        ("ZRANGE z (1 nan BYSCORE", score),
        ("ZCOUNT z ((1 2", score),
        ("ZRANGE l a [b BYLEX", lex),
        ("ZLEXCOUNT l [a ++", lex),
        ("ZREMRANGEBYSCORE z x 1", score),
        ("ZREMRANGEBYLEX l - x", lex),
        ("ZREMRANGEBYRANK z 0 1.5", "-ERR value is not an integer or out of range"),
        (
            "ZRANGE z 0 1 LIMIT 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        (
            "ZRANGEBYLEX l - + WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("ZRANGE z 0 1 BYSCORE BYLEX", "-ERR syntax error"),
        ("ZREVRANGE z 0 1 REV", "-ERR syntax error"),
        ("ZRANGEBYSCORE z 0 1 BYSCORE", "-ERR syntax error"),
        ("ZRANGE z 0 1 LIMIT 1", "-ERR syntax error"),
        ("ZRANGESTORE d z 0 1 WITHSCORES", "-ERR syntax error"),
    ]);
}

#[test]
fn a_stored_range_replaces_whatever_was_there() {
    let mut model = model();
    model.says(&[
        ("SET d x", "+OK"),
        ("EXPIRE d 100", ":1"),
        ("ZRANGESTORE d z 2 3 BYSCORE LIMIT 1 2", ":2"),
        ("ZRANGE d 0 -1 WITHSCORES", "*4 $1 c $1 2 $1 d $1 3"),
        ("TTL d", ":-1"),
        ("ZRANGESTORE z z 0 0 REV", ":1"),
        ("ZRANGE z 0 -1", "*1 $1 d"),
        ("ZRANGESTORE d none 0 -1", ":0"),
        ("EXISTS d", ":0"),
        ("ZRANGESTORE d none 0 -1", ":0"),
    ]);
    let told: Vec<_> =
        model.events.iter().map(|(event, _)| *event).filter(|event| *event != "expire").collect();
    assert_eq!(told[told.len() - 3..], ["zrangestore", "zrangestore", "del"]);
}

#[test]
fn ranges_are_taken_out_and_with_the_last_member_the_key() {
    let mut model = model();
    model.says(&[
        ("ZREMRANGEBYRANK z 0 0", ":1"),
        ("ZREMRANGEBYSCORE z (2 3", ":1"),
        ("ZREMRANGEBYSCORE z 7 9", ":0"),
        ("ZRANGE z 0 -1", "*2 $1 b $1 c"),
        ("ZREMRANGEBYLEX l [b [c", ":2"),
        ("ZREMRANGEBYRANK l 0 -1", ":2"),
        ("EXISTS l", ":0"),
        ("ZREMRANGEBYRANK none 0 -1", ":0"),
    ]);
    let told: Vec<_> = model.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, ["zremrangebyrank", "zremrangebyscore", "zremrangebylex", "zremrangebyrank", "del"]);
}

#[test]
fn version_3_answers_pairs() {
    let pairs = model().request(Protocol::Resp3, &[b"ZRANGE", b"z", b"0", b"1", b"withscores"]);
    assert_eq!(pairs, b"*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2\r\n");
}

proptest! {
    /// Whatever the ends and the limit: what is answered is what one would pick by hand.
    #[test]
    fn ranges_by_score_are_what_a_filter_finds(
        scores in proptest::collection::vec(-5i32..5, 0..12),
        low in -6i32..6, high in -6i32..6, above: bool, below: bool, backwards: bool,
        offset in 0usize..5, count in -1i64..5,
    ) {
        let mut model = Model::new();
        for (index, score) in scores.iter().enumerate() {
            model.ask(&format!("ZADD z {score} m{index:02}"));
        }
        let mut all: Vec<_> = scores.iter().enumerate().map(|(index, score)| (*score, index)).collect();
        all.sort_unstable();
        all.retain(|(score, _)| *score >= low + i32::from(above) && *score <= high - i32::from(below));
        if backwards {
            all.reverse();
        }
        let count_max = usize::try_from(count).unwrap_or(usize::MAX);
        let mut wanted: Vec<_> = all.iter().skip(offset).take(count_max).map(|(_, index)| format!("$3 m{index:02}")).collect();
        wanted.insert(0, format!("*{}", wanted.len()));
        let low = format!("{}{low}", if above { "(" } else { "" });
        let high = format!("{}{high}", if below { "(" } else { "" });
        let (first, last, rev) = if backwards { (high, low, " REV") } else { (low, high, "") };
        let answer = model.ask(&format!("ZRANGE z {first} {last} BYSCORE{rev} LIMIT {offset} {count}"));
        prop_assert_eq!(answer, wanted.join(" "));
    }
}
