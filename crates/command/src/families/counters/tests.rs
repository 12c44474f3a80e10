//! Promises of the counters. The answers are Redis's own, asked of a server of release 7.0.

use crate::model::Model;
use proptest::prelude::*;

const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
const OVERFLOW: &str = "-ERR increment or decrement would overflow";
const NOT_A_FLOAT: &str = "-ERR value is not a valid float";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn model() -> Model {
    let mut model = Model::new();
    model.put_list(b"list");
    model
}

#[test]
fn counting_up_and_down() {
    model().says(&[
        ("INCR a", ":1"),
        ("EXPIRE a 10", ":1"),
        ("INCRBY a 41", ":42"),
        ("DECR a", ":41"),
        ("DECRBY a -9", ":50"),
        ("GET a", "$2 50"),
        ("TTL a", ":10"),
        ("INCR list", WRONG_TYPE),
    ]);
}

#[test]
fn only_canonical_integers_count() {
    for value in ["1.5", "01", "+1", "-0", "", "1x", "9223372036854775808"] {
        model().says(&[
            (&format!("SET a {value}"), "+OK"),
            ("INCR a", NOT_AN_INTEGER),
            (&format!("INCRBY b {value}"), NOT_AN_INTEGER),
            ("EXISTS b", ":0"),
        ]);
    }
}

#[test]
fn a_counter_never_wraps_around() {
    model().says(&[
        ("SET a 9223372036854775807", "+OK"),
        ("INCR a", OVERFLOW),
        ("DECRBY a -1", OVERFLOW),
        ("INCRBY a -1", ":9223372036854775806"),
        ("SET a -9223372036854775808", "+OK"),
        ("DECR a", OVERFLOW),
        ("INCRBY a -1", OVERFLOW),
        ("DECRBY a -9223372036854775808", "-ERR decrement would overflow"),
        ("GET a", "$20 -9223372036854775808"),
    ]);
}

#[test]
fn floating_point_counters_read_well() {
    model().says(&[
        ("INCRBYFLOAT a 0.1", "$3 0.1"),
        ("INCRBYFLOAT a 0.2", "$3 0.3"),
        ("EXPIRE a 10", ":1"),
        ("INCRBYFLOAT a 1e5", "$24 100000.29999999999999716"),
        ("INCRBYFLOAT a -100000.3", "$1 0"),
        ("TTL a", ":10"),
        ("SET a 10.50", "+OK"),
        ("INCRBYFLOAT a 0.1", "$4 10.6"),
        ("INCRBYFLOAT a -5", "$3 5.6"),
        ("SET a 5.0e3", "+OK"),
        ("INCRBYFLOAT a 2.0e2", "$4 5200"),
        ("GET a", "$4 5200"),
    ]);
}

#[test]
fn what_is_no_finite_number_is_refused() {
    const NOT_FINITE: &str = "-ERR increment would produce NaN or Infinity";
    model().says(&[
        ("SET a x", "+OK"),
        ("INCRBYFLOAT a 1", NOT_A_FLOAT),
        ("INCRBYFLOAT b x", NOT_A_FLOAT),
        ("INCRBYFLOAT list x", WRONG_TYPE),
        ("INCRBYFLOAT b inf", NOT_FINITE),
        ("INCRBYFLOAT b -infinity", NOT_FINITE),
        ("INCRBYFLOAT b nan", NOT_A_FLOAT),
        ("INCRBYFLOAT b 1e4933", NOT_A_FLOAT),
        ("SET b inf", "+OK"),
        ("INCRBYFLOAT b -inf", NOT_FINITE),
        ("SET b 1e4932", "+OK"),
        ("INCRBYFLOAT b 1e4932", NOT_FINITE),
        ("GET b", "$6 1e4932"),
    ]);
}

#[test]
fn changes_are_told() {
    let mut model = model();
    model.tells(&[
        ("INCR a", &["incrby a"]),
        ("DECRBY a 3", &["incrby a"]),
        ("INCRBYFLOAT a 1.5", &["incrbyfloat a"]),
        ("INCR a", &[]),
        ("INCR list", &[]),
    ]);
}

proptest! {
    #[test]
    fn integers_add_up_or_overflow(steps in proptest::collection::vec(prop_oneof![any::<i64>(), -5i64..5], 1..20)) {
        let mut model = Model::new();
        let mut sum = 0i64;
        for step in steps {
            let answer = model.ask(&format!("INCRBY a {step}"));
            match sum.checked_add(step) {
                Some(after) => {
                    sum = after;
                    prop_assert_eq!(answer, format!(":{after}"));
                }
                None => prop_assert_eq!(answer, OVERFLOW),
            }
        }
    }
}
