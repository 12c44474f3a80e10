//! Promises of searches. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[
        ("GEOADD g 13.361389 38.115556 palermo 15.087269 37.502669 catania", ":2"),
        ("GEOADD g 12.758489 38.788135 edge1 17.241510 38.788135 edge2", ":2"),
    ]);
    model.events.clear();
    model
}

#[test]
fn circles_and_boxes_hold_what_lies_in_them() {
    let mut model = model();
    model.says(&[
        ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC", "*2 $7 catania $7 palermo"),
        ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC", "*2 $7 palermo $7 catania"),
        ("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC", "*4 $7 catania $7 palermo $5 edge2 $5 edge1"),
        ("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km COUNT 1", "*1 $7 catania"),
        ("GEORADIUS g 15 37 200 km WITHDIST ASC", "*2 *2 $7 catania $7 56.4413 *2 $7 palermo $8 190.4424"),
        ("GEORADIUS_RO g 15 37 100 km WITHHASH", "*1 *2 $7 catania :3479447370796909"),
        ("GEORADIUSBYMEMBER g palermo 100 km ASC", "*2 $7 palermo $5 edge1"),
        ("GEORADIUSBYMEMBER_RO g palermo 1 m", "*1 $7 palermo"),
        ("GEOSEARCH none FROMMEMBER x BYRADIUS 1 m", "*0"),
    ]);
    assert!(model.ask("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km COUNT 3 ANY").starts_with("*3 "));
    assert!(model.events.is_empty());
}

#[test]
fn what_is_found_may_be_stored() {
    let mut model = model();
    model.says(&[
        ("GEORADIUS g 15 37 200 km STORE d", ":2"),
        ("ZSCORE d palermo", "$16 3479099956230698"),
        ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST", ":2"),
        ("ZRANGEBYSCORE d 56.44 56.45", "*1 $7 catania"),
        ("GEORADIUSBYMEMBER g palermo 1 km STOREDIST d", ":1"),
        ("ZRANGE d 0 -1 WITHSCORES", "*2 $7 palermo $1 0"),
        ("GEORADIUS g 0 0 1 m STORE d", ":0"),
        ("EXISTS d", ":0"),
        ("GEORADIUS none 0 0 1 m STORE g", ":0"),
        ("EXISTS g", ":0"),
    ]);
    let told: Vec<_> = model.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, ["georadiusstore", "geosearchstore", "georadiusstore", "del", "del"]);
}

#[test]
fn wrong_words_are_refused_in_redis_s_words() {
    model().says(&[
        ("GEOSEARCH g FROMMEMBER nobody BYRADIUS 1 m", "-ERR could not decode requested zset member"),
        ("GEOSEARCH g FROMMEMBER palermo FROMLONLAT 1 1 BYRADIUS 1 m", "-ERR syntax error"),
        ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 m BYBOX 1 1 m", "-ERR syntax error"),
        (
            "GEOSEARCH g FROMLONLAT 15 37 ASC DESC ASC",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        ),
        (
            "geosearch g BYRADIUS 1 m ASC ASC",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch",
        ),
        ("GEORADIUS g 1 1 x m", "-ERR need numeric radius"),
        ("GEORADIUS g 1 1 -1 m", "-ERR radius cannot be negative"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 -1 m", "-ERR height or width cannot be negative"),
        ("GEORADIUS g 1 1 1 m COUNT 0", "-ERR COUNT must be > 0"),
        ("GEORADIUS g 1 1 1 m ANY", "-ERR the ANY argument requires COUNT argument"),
        ("GEORADIUS_RO g 1 1 1 m STORE d", "-ERR syntax error"),
        (
            "GEORADIUS g 1 1 1 m WITHDIST STORE d",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        (
            "GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 1 m WITHDIST",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
    ]);
}

/// Redis would write to the last key that is named; here the request may have come to a shard that doesn't have it.
#[test]
fn a_key_that_the_table_does_not_find_is_never_written_to() {
    let mut model = model();
    model.says(&[
        ("GEORADIUS g 15 37 200 km STORE a STORE b", "-ERR syntax error"),
        ("GEORADIUS g 15 37 200 km STOREDIST STORE STORE b", "-ERR syntax error"),
        ("EXISTS a b STORE", ":0"),
        ("GEORADIUS g 15 37 200 km STORE a STOREDIST b", ":2"),
    ]);
    assert!(model.ask("EXISTS b") == ":1" && model.ask("EXISTS a") == ":0");
}
