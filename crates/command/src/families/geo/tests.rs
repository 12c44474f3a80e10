//! Promises of places in sorted sets. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;
use resp::Protocol;

fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("GEOADD g 13.361389 38.115556 palermo 15.087269 37.502669 catania", ":2")]);
    model
}

#[test]
fn members_keep_their_places() {
    let mut model = model();
    model.says(&[
        ("ZSCORE g palermo", "$16 3479099956230698"),
        ("GEOPOS g palermo none", "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1"),
        ("GEOHASH g palermo catania none", "*3 $11 sqc8b49rny0 $11 sqdtr74hyu0 $-1"),
        ("GEODIST g palermo catania", "$11 166274.1516"),
        ("GEODIST g palermo catania km", "$8 166.2742"),
        ("GEODIST g palermo none", "$-1"),
        ("GEODIST none palermo catania", "$-1"),
        ("GEOPOS none a b", "*2 *-1 *-1"),
        ("GEOHASH none a", "*1 $-1"),
        ("GEOADD g NX 1 1 palermo 1 1 new", ":1"),
        ("GEOADD g XX CH 2 2 new 2 2 newer", ":1"),
    ]);
    let place = model.request(Protocol::Resp3, &[b"GEOPOS", b"g", b"palermo"]);
    assert_eq!(place, b"*1\r\n*2\r\n,13.36138933897018433\r\n,38.11555639549629859\r\n");
}

#[test]
fn wrong_words_change_nothing() {
    model().says(&[
        ("GEOADD g 1 1 a 200 100 b", "-ERR invalid longitude,latitude pair 200.000000,100.000000"),
        ("GEOADD g x 1 a", "-ERR value is not a valid float"),
        ("GEOADD g 1 1 a 2", "-ERR syntax error"),
        ("GEOADD g NX XX 1 1 a", "-ERR syntax error"),
        ("GEODIST g palermo catania parsec", "-ERR unsupported unit provided. please use M, KM, FT, MI"),
        ("GEODIST g palermo catania m x", "-ERR syntax error"),
        ("ZCARD g", ":2"),
    ]);
}
