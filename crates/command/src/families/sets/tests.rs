//! Promises of sets. The answers are Redis's own, asked of a server of release 7.0; the order of members is the model's.

use crate::execute::{Context, run};
use crate::model::{HERE, Model};
use resp::{Protocol, Writer};
use std::collections::{BTreeMap, BTreeSet};

const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
const MUST_BE_POSITIVE: &str = "-ERR value is out of range, must be positive";
const SYNTAX: &str = "-ERR syntax error";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Sets `s` of a to e and `t` of d to g, and a string.
fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("SADD s a b c d e", ":5"), ("SADD t d e f g", ":4"), ("SET string v", "+OK")]);
    model.events.clear();
    model
}

/// Asks with a seed, and answers the bulk strings of the reply.
fn seeded(model: &mut Model, seed: u64, request: &str) -> Vec<String> {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    let spec = crate::resolve(&args).expect(request);
    let mut out = Vec::new();
    let reply = Writer::new(&mut out, Protocol::Resp2);
    let mut context =
        Context { db: model, database: HERE, target: None, args: &args, reply, seed, has_waited: false };
    run(spec, &mut context).expect(request);
    let text = |frame: &resp::Frame| String::from_utf8_lossy(frame.as_bytes().expect("a bulk")).into_owned();
    let (frame, _) = resp::Frame::parse(&out).expect("well formed").expect("whole");
    match frame.elements() {
        Some(elements) => elements.iter().map(text).collect(),
        None => vec![text(&frame)],
    }
}

#[test]
fn adding_and_taking_out() {
    let mut model = model();
    model.says(&[
        ("SADD s a x x", ":1"),
        ("SADD s a", ":0"),
        ("SCARD s", ":6"),
        ("SISMEMBER s x", ":1"),
        ("SREM s x y", ":1"),
        ("SREM s x y", ":0"),
        ("SISMEMBER s x", ":0"),
        ("SMISMEMBER s a x e", "*3 :1 :0 :1"),
        ("SMEMBERS s", "*5 $1 a $1 b $1 c $1 d $1 e"),
        ("SREM s a b c d e", ":5"),
        ("EXISTS s", ":0"),
        ("SREM s a", ":0"),
        ("SCARD s", ":0"),
        ("SMEMBERS s", "*0"),
        ("SISMEMBER s a", ":0"),
        ("SMISMEMBER s a b", "*2 :0 :0"),
    ]);
    assert_eq!(model.told(), ["sadd s", "srem s", "srem s", "del s"]);
    for request in
        ["SADD string a", "SREM string a", "SCARD string", "SMEMBERS string", "SMISMEMBER string a"]
    {
        assert_eq!(model.ask(request), WRONG_TYPE, "{request}");
    }
    let members = model.request(Protocol::Resp3, &[b"SMEMBERS", b"t"]);
    assert!(members.starts_with(b"~4\r\n"));
    assert_eq!(model.request(Protocol::Resp3, &[b"SMEMBERS", b"none"]), b"~0\r\n");
}

#[test]
fn popping_takes_what_it_answers() {
    let mut model = model();
    let one = seeded(&mut model, 3, "SPOP s");
    assert_eq!(model.ask(&format!("SISMEMBER s {}", one[0])), ":0");
    let two = seeded(&mut model, 3, "SPOP s 2");
    assert!(two.len() == 2 && two[0] != two[1] && !two.contains(&one[0]), "{one:?} {two:?}");
    model.says(&[("SCARD s", ":2"), ("SPOP s 0", "*0")]);
    assert_eq!(model.told(), ["spop s", "spop s"]);
    assert_eq!(seeded(&mut model, 3, "SPOP s 99").len(), 2);
    assert_eq!(model.told(), ["spop s", "del s"]);
    model.says(&[
        ("SPOP s", "$-1"),
        ("SPOP s 1", "*0"),
        ("SPOP s -1", MUST_BE_POSITIVE),
        ("SPOP s x", MUST_BE_POSITIVE),
        ("SPOP s 1 2", SYNTAX),
        ("SPOP string", WRONG_TYPE),
        ("SPOP string 0", WRONG_TYPE),
    ]);
    assert!(model.request(Protocol::Resp3, &[b"SPOP", b"t", b"2"]).starts_with(b"~2\r\n"));
}

#[test]
fn every_member_is_as_likely_to_be_popped() {
    let mut popped = BTreeMap::new();
    for seed in 0..5_000 {
        for member in seeded(&mut model(), seed, "SPOP s 2") {
            *popped.entry(member).or_insert(0) += 1;
        }
    }
    assert_eq!(popped.len(), 5);
    assert!(popped.values().all(|count| (1_800..2_200).contains(count)), "{popped:?}");
}

#[test]
fn equal_seeds_pick_equal_members() {
    for request in ["SPOP s", "SPOP s 3", "SRANDMEMBER s", "SRANDMEMBER s 3", "SRANDMEMBER s -9"] {
        assert_eq!(seeded(&mut model(), 11, request), seeded(&mut model(), 11, request), "{request}");
    }
}

#[test]
fn members_by_chance() {
    let mut model = model();
    let all: BTreeSet<_> = (0..100).flat_map(|seed| seeded(&mut model, seed, "SRANDMEMBER s")).collect();
    assert_eq!(all.len(), 5);
    for (count, distinct) in [(3, true), (5, true), (99, true), (-3, false), (-99, false)] {
        let picked = seeded(&mut model, 7, &format!("SRANDMEMBER s {count}"));
        let different: BTreeSet<_> = picked.iter().collect();
        assert_eq!(picked.len() as i64, if distinct { count.min(5) } else { -count });
        assert!(!distinct || different.len() == picked.len(), "{picked:?}");
        assert!(picked.iter().all(|member| all.contains(member)));
    }
    model.says(&[
        ("SRANDMEMBER none", "$-1"),
        ("SRANDMEMBER none 3", "*0"),
        ("SRANDMEMBER none -3", "*0"),
        ("SRANDMEMBER s 0", "*0"),
        ("SRANDMEMBER s x", NOT_AN_INTEGER),
        ("SRANDMEMBER s 1 2", SYNTAX),
        (
            "SRANDMEMBER s -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        ("SRANDMEMBER string 1", WRONG_TYPE),
        ("SCARD s", ":5"),
    ]);
    assert!(model.events.is_empty());
}

#[test]
fn a_reply_that_would_be_too_long_is_refused() {
    let mut model = Model::new();
    model.request(Protocol::Resp2, &[b"SADD", b"s", &[b'x'; 1 << 20]]);
    for count in ["-600", "-1000000000", "-9223372036854775807"] {
        let answer = model.ask(&format!("SRANDMEMBER s {count}"));
        assert!(answer.starts_with("-ERR the reply would be longer"), "{count}: {answer:.80}");
    }
}

#[test]
fn moving_a_member() {
    let mut model = model();
    model.says(&[
        ("SMOVE s t a", ":1"),
        ("SMOVE s t d", ":1"),
        ("SMOVE s t nope", ":0"),
        ("SMOVE s s b", ":1"),
        ("SMOVE s s nope", ":0"),
        ("SMOVE none string a", ":0"),
        ("SMOVE s string nope", WRONG_TYPE),
        ("SMOVE string s a", WRONG_TYPE),
        ("SMEMBERS s", "*3 $1 b $1 c $1 e"),
        ("SMEMBERS t", "*5 $1 a $1 d $1 e $1 f $1 g"),
    ]);
    assert_eq!(model.told(), ["srem s", "sadd t", "srem s"]);
    model.says(&[
        ("SADD one x", ":1"),
        ("SMOVE one new x", ":1"),
        ("EXISTS one", ":0"),
        ("SMEMBERS new", "*1 $1 x"),
    ]);
    assert_eq!(model.told(), ["sadd one", "srem one", "del one", "sadd new"]);
}

#[test]
fn sets_together() {
    let mut model = model();
    model.says(&[
        ("SADD u e", ":1"),
        ("SINTER s t", "*2 $1 d $1 e"),
        ("SINTER s t u", "*1 $1 e"),
        ("SINTER s none t", "*0"),
        ("SUNION s t none", "*7 $1 a $1 b $1 c $1 d $1 e $1 f $1 g"),
        ("SUNION none", "*0"),
        ("SDIFF s t", "*3 $1 a $1 b $1 c"),
        ("SDIFF s none u", "*4 $1 a $1 b $1 c $1 d"),
        ("SDIFF none s", "*0"),
        ("SDIFF s s", "*0"),
        ("SINTER none string", WRONG_TYPE),
        ("SUNION s string", WRONG_TYPE),
        ("SDIFF none string", WRONG_TYPE),
        ("SINTERCARD 2 s t", ":2"),
        ("SINTERCARD 2 s t LIMIT 1", ":1"),
        ("SINTERCARD 2 s t LIMIT 0", ":2"),
        ("SINTERCARD 2 s none", ":0"),
        ("SINTERCARD 2 none string", WRONG_TYPE),
        ("SINTERCARD 0 s", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD x s", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD 3 s t", "-ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 1 s LIMIT -1", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 s LIMIT x", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 s LIMIT", SYNTAX),
        ("SINTERCARD 1 s FOO 1", SYNTAX),
    ]);
    assert!(model.request(Protocol::Resp3, &[b"SUNION", b"s", b"t"]).starts_with(b"~7\r\n"));
}

#[test]
fn storing_what_sets_make_together() {
    let mut model = model();
    model.says(&[
        ("SET d v", "+OK"),
        ("EXPIRE d 10", ":1"),
        ("SINTERSTORE d s t", ":2"),
        ("TTL d", ":-1"),
        ("SMEMBERS d", "*2 $1 d $1 e"),
        ("SUNIONSTORE s s t", ":7"),
        ("SCARD s", ":7"),
        ("SDIFFSTORE s s t", ":3"),
        ("SMEMBERS s", "*3 $1 a $1 b $1 c"),
        ("SDIFFSTORE d s s", ":0"),
        ("EXISTS d", ":0"),
        ("SINTERSTORE d s none", ":0"),
        ("SUNIONSTORE s t string", WRONG_TYPE),
        ("SMEMBERS s", "*3 $1 a $1 b $1 c"),
    ]);
    let expected = ["set d", "expire d", "sinterstore d", "sunionstore s", "sdiffstore s", "del d"];
    assert_eq!(model.told(), expected);
}

#[test]
fn a_walk_over_a_set_sees_every_member() {
    let mut model = Model::new();
    let members: Vec<String> = (0..100).map(|at| format!("m{at}")).collect();
    model.ask(&format!("SADD s {}", members.join(" ")));
    for options in ["", " COUNT 7", " COUNT 1000", " MATCH *", " MATCH m* COUNT 3"] {
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let reply = model.ask(&format!("SSCAN s {cursor}{options}"));
            let words: Vec<&str> = reply.split(' ').collect();
            cursor = words[2].to_owned();
            seen.extend(words[4..].iter().skip(1).step_by(2).map(|word| (*word).to_owned()));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen, members.iter().cloned().collect(), "{options}");
    }
    model.says(&[
        ("SSCAN s 0 MATCH m5 COUNT 100", "*2 $1 0 *1 $2 m5"),
        ("SSCAN none 0", "*2 $1 0 *0"),
        ("SSCAN none 0 FOO", "*2 $1 0 *0"),
        ("SSCAN none x", "-ERR invalid cursor"),
        ("SSCAN s 0 FOO", SYNTAX),
        ("SSCAN s 0 COUNT 0", SYNTAX),
        ("SSCAN s 0 COUNT x", NOT_AN_INTEGER),
        ("SSCAN s 0 TYPE string", SYNTAX),
        ("SET string v", "+OK"),
        ("SSCAN string 0", WRONG_TYPE),
    ]);
}
