//! Promises of fields that expire by themselves, as Redis 7.4 and 8.0 document them.

use crate::model::Model;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("HSET h a 1 b 2 c 3", ":3")]);
    model.events.clear();
    model
}

fn told(model: &Model) -> Vec<&'static str> {
    model.events.iter().map(|(event, _)| *event).collect()
}

#[test]
fn a_field_lives_as_long_as_it_was_told() {
    let mut model = model();
    model.says(&[
        ("HEXPIRE h 10 FIELDS 2 a none", "*2 :1 :-2"),
        ("HTTL h FIELDS 3 a b none", "*3 :10 :-1 :-2"),
        ("HPTTL h FIELDS 1 a", "*1 :10000"),
        ("HEXPIRETIME h FIELDS 1 a", "*1 :1700000010"),
        ("HPEXPIRETIME h FIELDS 1 a", "*1 :1700000010000"),
        ("HPEXPIRE h 1001 FIELDS 1 a", "*1 :1"),
        ("HTTL h FIELDS 1 a", "*1 :2"),
        ("HEXPIREAT h 1700000003 FIELDS 1 b", "*1 :1"),
        ("HPEXPIREAT h 1700000000005 FIELDS 1 c", "*1 :1"),
        ("HPTTL h FIELDS 3 a b c", "*3 :1001 :3000 :5"),
        ("HTTL none FIELDS 1 a", "*1 :-2"),
        ("HEXPIRE none 1 FIELDS 2 a b", "*2 :-2 :-2"),
        ("HPERSIST none FIELDS 1 a", "*1 :-2"),
    ]);
    model.now = model.now.plus(5);
    model.says(&[("HGETALL h", "*4 $1 a $1 1 $1 b $1 2"), ("HLEN h", ":2"), ("HGET h c", "$-1")]);
    model.says(&[("HPERSIST h FIELDS 3 a a c", "*3 :1 :-1 :-2"), ("HTTL h FIELDS 1 a", "*1 :-1")]);
}

#[test]
fn conditions_decide_which_times_are_set() {
    model().says(&[
        ("HPEXPIRE h 1000 XX FIELDS 1 a", "*1 :0"),
        ("HPEXPIRE h 1000 GT FIELDS 1 a", "*1 :0"),
        ("HPEXPIRE h 1000 LT FIELDS 1 a", "*1 :1"),
        ("HPEXPIRE h 2000 NX FIELDS 2 a b", "*2 :0 :1"),
        ("HPEXPIRE h 1500 GT FIELDS 2 a b", "*2 :1 :0"),
        ("HPEXPIRE h 1200 LT FIELDS 2 a b", "*2 :1 :1"),
        ("HPEXPIRE h 3000 XX FIELDS 2 a c", "*2 :1 :0"),
        ("HPTTL h FIELDS 3 a b c", "*3 :3000 :1200 :-1"),
    ]);
}

#[test]
fn a_time_that_is_past_takes_the_field_out_at_once() {
    let mut model = model();
    model.says(&[("HPEXPIREAT h 1 NX FIELDS 2 a none", "*2 :2 :-2"), ("HKEYS h", "*2 $1 b $1 c")]);
    assert_eq!(told(&model), ["hdel"]);
    model.says(&[("HEXPIRE h 0 FIELDS 2 b c", "*2 :2 :2"), ("EXISTS h", ":0")]);
    assert_eq!(told(&model), ["hdel", "hdel", "del"]);
}

#[test]
fn a_new_value_lives_for_ever_and_a_counted_one_as_long_as_before() {
    model().says(&[
        ("HEXPIRE h 10 FIELDS 3 a b c", "*3 :1 :1 :1"),
        ("HSET h a 5", ":0"),
        ("HINCRBY h b 1", ":3"),
        ("HINCRBYFLOAT h c 1", "$1 4"),
        ("HTTL h FIELDS 3 a b c", "*3 :-1 :10 :10"),
    ]);
}

#[test]
fn wrong_words_change_nothing() {
    let missing = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let unequal = "-ERR The `numfields` parameter must match the number of arguments";
    let mut model = model();
    model.says(&[
        ("HEXPIRE h x FIELDS 1 a", "-ERR value is not an integer or out of range"),
        ("HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h 70368744178 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIREAT h 70368744177663 FIELDS 1 none", "*1 :-2"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 none", "-ERR invalid expire time in 'hpexpireat' command"),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HEXPIRE h 1 NX XX FIELDS 1 a", missing),
        ("HEXPIRE h 1 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 1 FIELDS 2 a", unequal),
        ("HEXPIRE h 1 NX FIELDS 1", unequal),
        ("HTTL h FIELD 1 a", missing),
        ("HTTL h FIELDS 0 a", "-ERR Number of fields must be a positive integer"),
        ("HPERSIST h FIELDS 1 a b", unequal),
        ("HGETDEL h FIELDS -1 a", "-ERR Number of fields must be a positive integer"),
        ("HGETDEL h XFIELDX 1 a", missing),
        ("HGETEX h PXAT 1 1", missing),
        ("HGETEX h PERSIST 1 FIELDS 1 a", missing),
        ("HGETEX h PX -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
        ("HTTL h FIELDS 3 a b c", "*3 :-1 :-1 :-1"),
    ]);
    assert!(model.events.is_empty());
}

#[test]
fn values_are_answered_before_they_go() {
    let mut model = model();
    model.says(&[
        ("HGETDEL h FIELDS 3 a a none", "*3 $1 1 $-1 $-1"),
        ("HGETDEL none FIELDS 1 a", "*1 $-1"),
        ("HGETDEL h FIELDS 2 b c", "*2 $1 2 $1 3"),
        ("EXISTS h", ":0"),
    ]);
    assert_eq!(told(&model), ["hdel", "hdel", "del"]);
}

#[test]
fn reading_may_change_how_long_fields_live() {
    let mut model = model();
    model.says(&[
        ("HGETEX h FIELDS 2 a none", "*2 $1 1 $-1"),
        ("HGETEX none EX 1 FIELDS 1 a", "*1 $-1"),
        ("HGETEX h EX 10 FIELDS 2 a b", "*2 $1 1 $1 2"),
        ("HGETEX h PERSIST FIELDS 2 b c", "*2 $1 2 $1 3"),
        ("HTTL h FIELDS 3 a b c", "*3 :10 :-1 :-1"),
        ("HGETEX h PXAT 1 FIELDS 3 a b c", "*3 $1 1 $1 2 $1 3"),
        ("EXISTS h", ":0"),
    ]);
    assert_eq!(told(&model), ["hexpire", "hpersist", "hdel", "del"]);
}

#[test]
fn writing_may_say_how_long_fields_live() {
    let mut model = model();
    model.says(&[
        ("HSETEX h EX 10 FIELDS 2 a 5 d 6", ":1"),
        ("HTTL h FIELDS 3 a b d", "*3 :10 :-1 :10"),
        ("HSETEX h KEEPTTL FIELDS 1 a 7", ":1"),
        ("HTTL h FIELDS 1 a", "*1 :10"),
        ("HSETEX h FIELDS 1 a 8", ":1"),
        ("HTTL h FIELDS 1 a", "*1 :-1"),
        ("HSETEX h FXX FIELDS 2 a 9 new 1", ":0"),
        ("HSETEX h FNX FIELDS 2 a 9 new 1", ":0"),
        ("HSETEX h FNX PX 5 FIELDS 1 new 1", ":1"),
        ("HMGET h a new", "*2 $1 8 $1 1"),
        ("HSETEX none FXX FIELDS 1 a 1", ":0"),
        ("EXISTS none", ":0"),
        ("HSETEX past PXAT 1 FIELDS 1 a 1", ":1"),
        ("EXISTS past", ":0"),
    ]);
    model.events.clear();
    model.says(&[
        ("HSETEX h FIELDS 2 a b", "-ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 2 a b c", "-ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 1 a b c", "-ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 0 a b", "-ERR invalid number of fields"),
        ("HSETEX h FIELDS x a b", "-ERR invalid number of fields"),
        ("HSETEX h nx FIELDS 1 a b", "-ERR unknown argument: nx"),
        ("HSETEX h EX FIELDS 1 a b", "-ERR value is not an integer or out of range"),
        ("HSETEX h FNX FXX FIELDS 1 a b", "-ERR Only one of FXX or FNX arguments can be specified"),
        (
            "HSETEX h EX 1 KEEPTTL FIELDS 1 a b",
            "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        ),
    ]);
    assert!(model.events.is_empty());
}
