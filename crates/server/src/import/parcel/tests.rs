//! Keys become the commands that a Redis, too, would take.

use super::*;
use node::rdb::read_dump;

fn key(value: Value) -> Key {
    Key { database: 0, key: b"k".to_vec(), value, expires_at: None, idle_s: None, frequency: None }
}

fn text(command: &Command) -> String {
    command.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

fn bytes(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn what_is_small_is_one_restore_with_all_that_is_known_of_the_key() {
    let value = Value::List(bytes(&["a", "b"]));
    let expiring = Key { expires_at: Some(UnixMillis(7)), frequency: Some(3), ..key(value.clone()) };
    let parcel = Parcel::new(&expiring, true);
    assert_eq!(parcel.rest, Vec::<Command>::new());
    assert_eq!(read_dump(&parcel.first[3]), Ok(value));
    let shown: Command =
        parcel.first.iter().enumerate().filter(|(at, _)| *at != 3).map(|(_, word)| word.clone()).collect();
    assert_eq!(text(&shown), "RESTORE k 7 ABSTTL REPLACE FREQ 3");
    let idle = Key { expires_at: Some(UnixMillis(0)), idle_s: Some(5), ..key(Value::String(b"x".to_vec())) };
    let parcel = Parcel::new(&idle, false);
    assert_eq!(text(&parcel.first[4..].to_vec()), "ABSTTL IDLETIME 5");
    assert_eq!(parcel.first[2], b"1", "a time that was over in 1970 is over, not none");
}

#[test]
fn a_large_key_expires_once_it_is_whole() {
    let long = Key { expires_at: Some(UnixMillis(9)), ..key(Value::String(vec![b'x'; PIECE_BYTES + 1])) };
    let parcel = Parcel::new(&long, false);
    assert_eq!(parcel.first[2], b"0");
    assert_eq!(parcel.rest.iter().map(text).collect::<Vec<_>>(), ["APPEND k x", "PEXPIREAT k 9"]);
}

#[test]
fn collections_are_put_together_in_their_order() {
    let piece = |value: &Value| {
        let (first, rest) = pieces(b"k", value, 20);
        (first, rest.iter().map(text).collect::<Vec<_>>())
    };
    let (first, rest) = piece(&Value::List(bytes(&["a", "b", "c", "d", "e"])));
    assert_eq!(first, Value::List(bytes(&["a", "b"])));
    assert_eq!(rest, ["RPUSH k c d", "RPUSH k e"]);
    let (_, rest) = piece(&Value::Set(bytes(&["a", "b", "c"])));
    assert_eq!(rest, ["SADD k c"]);
    let scores = [("a", 0.1), ("b", 1e300), ("c", f64::NEG_INFINITY), ("d", -0.0)];
    let scored = scores.map(|(member, score)| (member.as_bytes().to_vec(), score));
    let (_, rest) = piece(&Value::SortedSet(scored.to_vec()));
    assert_eq!(rest, ["ZADD k -inf c -0e0 d"]);
    let field = |name: &str, at: Option<u64>| HashField {
        field: name.into(),
        value: b"v".to_vec(),
        expires_at: at.map(UnixMillis),
    };
    let fields = vec![field("a", None), field("b", None), field("c", Some(8)), field("d", Some(8))];
    let (_, rest) = piece(&Value::Hash(fields));
    assert_eq!(rest, ["HSET k c v d v", "HPEXPIREAT k 8 FIELDS 2 c d"]);
}

#[test]
fn a_stream_gets_its_groups_when_its_entries_are_there() {
    use base::database::streams::{GroupInfo, PendingEntry, StreamId, StreamInfo};
    use node::rdb::{ConsumerValue, GroupValue};
    let id = |ms| StreamId { ms, sequence: 0 };
    let entry = |ms| (id(ms), Fields::pack(&[b"f", b"value of some length"]));
    let group = GroupValue {
        name: b"g".to_vec(),
        info: GroupInfo { last_delivered: id(2), entries_read: Some(2) },
        consumers: vec![ConsumerValue { name: b"c".to_vec(), seen_at: UnixMillis(1), active_at: None }],
        pending: vec![(
            id(2),
            PendingEntry { consumer: b"c".to_vec(), delivered_at: UnixMillis(5), deliveries: 3 },
        )],
    };
    let info = StreamInfo { last_id: id(9), max_deleted_id: id(8), entries_added: 7 };
    let stream = StreamValue { entries: vec![entry(1), entry(2)], info, groups: vec![group] };
    let (first, rest) = pieces(b"k", &Value::Stream(stream), 10);
    let Value::Stream(first) = first else { panic!("it is a stream") };
    assert_eq!((first.entries.len(), first.info.last_id, first.groups.len()), (1, id(1), 0));
    assert_eq!(
        rest.iter().map(text).collect::<Vec<_>>(),
        [
            "XADD k 2-0 f value of some length",
            "XSETID k 9-0 ENTRIESADDED 7 MAXDELETEDID 8-0",
            "XGROUP CREATE k g 2-0 ENTRIESREAD 2",
            "XGROUP CREATECONSUMER k g c",
            "XCLAIM k g c 0 2-0 TIME 5 RETRYCOUNT 3 FORCE JUSTID",
        ]
    );
}
