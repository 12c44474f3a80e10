//! Promises of BITFIELD. The answers are Redis's own, asked of a server of release 7.0.

use super::*;
use crate::model::Model;
use proptest::prelude::*;

#[test]
fn integers_are_read_and_changed_at_any_bit() {
    let mut model = Model::new();
    model.put_list(b"list");
    model.says(&[
        ("BITFIELD a GET u8 0", "*1 :0"),
        ("EXISTS a", ":0"),
        ("BITFIELD a SET u8 0 255 GET i8 0 GET u4 #1", "*3 :0 :-1 :15"),
        ("EXPIRE a 10", ":1"),
        ("BITFIELD a SET i5 100 -3 GET i5 100 GET u5 100", "*3 :0 :-3 :29"),
        ("TTL a", ":10"),
        ("STRLEN a", ":14"),
        (
            "BITFIELD a INCRBY u2 100 1 INCRBY i64 7 -1 GET i64 7 GET u63 7",
            "*4 :0 :9223372036854775807 :9223372036854775807 :4611686018427387903",
        ),
        ("BITFIELD_RO a GET i64 7 GET u1 1000", "*2 :9223372036854775807 :0"),
        ("BITFIELD list GET u8 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("BITFIELD list SET u8 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("BITFIELD a", "*0"),
    ]);
    assert_eq!(model.events.iter().filter(|(event, _)| *event == "setbit").count(), 3);
}

#[test]
fn what_does_not_fit_wraps_or_stops_or_fails() {
    let mut model = Model::new();
    model.says(&[
        ("BITFIELD a SET u8 0 300 GET u8 0", "*2 :0 :44"),
        ("BITFIELD a OVERFLOW SAT SET u8 0 300 INCRBY u8 0 10 INCRBY u8 0 -300", "*3 :44 :255 :0"),
        ("BITFIELD a OVERFLOW SAT SET u8 0 -1 GET u8 0", "*2 :0 :255"),
        ("BITFIELD a OVERFLOW FAIL INCRBY u8 0 1 OVERFLOW WRAP INCRBY u8 0 1", "*2 $-1 :0"),
        ("BITFIELD a OVERFLOW SAT INCRBY i8 8 200 INCRBY i8 8 -400 OVERFLOW FAIL SET i8 8 128", "*3 :127 :-128 $-1"),
        (
            "BITFIELD a SET i64 64 9223372036854775807 OVERFLOW SAT INCRBY i64 64 9223372036854775807 OVERFLOW WRAP \
             INCRBY i64 64 1",
            "*3 :0 :9223372036854775807 :-9223372036854775808",
        ),
        // Room is made even for what doesn't fit.
        ("BITFIELD b OVERFLOW FAIL SET u8 8 256", "*1 $-1"),
        ("STRLEN b", ":2"),
    ]);
}

#[test]
fn words_that_make_no_sense_change_nothing() {
    const TYPE: &str =
        "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    const OFFSET: &str = "-ERR bit offset is not an integer or out of range";
    let mut model = Model::new();
    for request in ["GET u64 0", "GET i65 0", "GET u0 0", "GET x8 0", "GET u 0", "SET u8 0 1 GET i-1 0"] {
        model.says(&[(&format!("BITFIELD a {request}"), TYPE)]);
    }
    for request in
        ["GET u8 -1", "GET u8 x", "GET u8 #", "GET u8 4294967290", "SET u8 #536870912 1", "SET u8 #-1 1"]
    {
        model.says(&[(&format!("BITFIELD a {request}"), OFFSET)]);
    }
    model.says(&[
        ("BITFIELD a SET u8 0 1 SET u8 0 x", "-ERR value is not an integer or out of range"),
        ("BITFIELD a SET u8 0 1 OVERFLOW FOO", "-ERR Invalid OVERFLOW type specified"),
        ("BITFIELD a SET u8 0 1 SET u8 0", "-ERR syntax error"),
        ("BITFIELD a GET u8", "-ERR syntax error"),
        ("BITFIELD_RO a GET u8 0 SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"),
        ("BITFIELD_RO a SET x 0 1", TYPE),
        ("EXISTS a", ":0"),
    ]);
}

proptest! {
    #[test]
    fn what_was_put_is_there_and_nothing_else_changes(
        bytes in proptest::collection::vec(any::<u8>(), 20..=20),
        signed: bool,
        bits in 1u32..64,
        at in 0usize..90,
        number: i64,
    ) {
        let step = Step { action: Action::Get, overflow: Overflow::Wrap, width: Width { signed, bits }, at };
        let mut after = bytes.clone();
        put(&mut after, &step, number);
        prop_assert_eq!(get(&after, &step), step.width.wrap(i128::from(number)));
        for bit in (0..160).filter(|bit| !(at..at + bits as usize).contains(bit)) {
            prop_assert_eq!(after[bit / 8] >> (7 - bit % 8) & 1, bytes[bit / 8] >> (7 - bit % 8) & 1);
        }
    }
}
