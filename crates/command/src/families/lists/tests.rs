//! Promises of lists. The answers are Redis's own, asked of a server of release 7.0; RANK's lower bound is that of 7.2.

use crate::model::Model;
use proptest::prelude::*;
use resp::Protocol;
use std::collections::VecDeque;

const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
const MUST_BE_POSITIVE: &str = "-ERR value is out of range, must be positive";
const SYNTAX: &str = "-ERR syntax error";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// A list `l` of a to e, and a string.
fn model() -> Model {
    let mut model = Model::new();
    model.says(&[("RPUSH l a b c d e", ":5"), ("SET string v", "+OK")]);
    model.events.clear();
    model
}

fn list(model: &mut Model, key: &str) -> String {
    let reply = model.request(Protocol::Resp2, &[b"LRANGE", key.as_bytes(), b"0", b"-1"]);
    let (frame, _) = resp::Frame::parse(&reply).expect("well formed").expect("whole");
    let elements = frame.elements().expect("an array").iter();
    let text =
        |element: &resp::Frame| String::from_utf8_lossy(element.as_bytes().expect("a bulk")).into_owned();
    elements.map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn pushing_at_both_ends() {
    let mut model = Model::new();
    model.says(&[
        ("RPUSH k a b", ":2"),
        ("LPUSH k c d", ":4"),
        ("LLEN k", ":4"),
        ("RPUSHX k e", ":5"),
        ("LPUSHX k f g", ":7"),
        ("LRANGE k 0 -1", "*7 $1 g $1 f $1 d $1 c $1 a $1 b $1 e"),
        ("RPUSHX none x", ":0"),
        ("LPUSHX none x", ":0"),
        ("EXISTS none", ":0"),
        ("LLEN none", ":0"),
        ("SET s v", "+OK"),
        ("RPUSH s a", WRONG_TYPE),
        ("LPUSHX s a", WRONG_TYPE),
        ("LLEN s", WRONG_TYPE),
        ("RPUSH k", "-ERR wrong number of arguments for 'rpush' command"),
    ]);
    assert_eq!(model.told(), ["rpush k", "lpush k", "rpush k", "lpush k", "set s"]);
}

#[test]
fn popping_from_both_ends() {
    let mut model = model();
    model.says(&[
        ("LPOP l", "$1 a"),
        ("RPOP l", "$1 e"),
        ("RPOP l 2", "*2 $1 d $1 c"),
        ("LPOP l 0", "*0"),
        ("LPOP l 100", "*1 $1 b"),
        ("EXISTS l", ":0"),
        ("LPOP l", "$-1"),
        ("RPOP l 1", "*-1"),
        ("RPOP l 0", "*-1"),
        ("LPOP l -1", MUST_BE_POSITIVE),
        ("LPOP l foo", MUST_BE_POSITIVE),
        ("LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command"),
        ("RPOP string", WRONG_TYPE),
        ("RPOP string 0", WRONG_TYPE),
    ]);
    assert_eq!(model.told(), ["lpop l", "rpop l", "rpop l", "lpop l", "del l"]);
}

#[test]
fn elements_by_their_index() {
    let mut model = model();
    model.says(&[
        ("LINDEX l 0", "$1 a"),
        ("LINDEX l -1", "$1 e"),
        ("LINDEX l 5", "$-1"),
        ("LINDEX l -6", "$-1"),
        ("LINDEX l -9223372036854775808", "$-1"),
        ("LINDEX l foo", NOT_AN_INTEGER),
        ("LINDEX none foo", "$-1"),
        ("LINDEX string 0", WRONG_TYPE),
        ("LSET l 1 B", "+OK"),
        ("LSET l -1 E", "+OK"),
        ("LSET l 5 x", "-ERR index out of range"),
        ("LSET l -6 x", "-ERR index out of range"),
        ("LSET l foo x", NOT_AN_INTEGER),
        ("LSET none foo x", "-ERR no such key"),
        ("LSET string 0 x", WRONG_TYPE),
    ]);
    assert_eq!(list(&mut model, "l"), "a B c d E");
    assert_eq!(model.told(), ["lset l", "lset l"]);
}

#[test]
fn inserting_beside_another() {
    let mut model = model();
    model.says(&[
        ("LINSERT l BEFORE a x", ":6"),
        ("LINSERT l after e y", ":7"),
        ("LINSERT l AFTER b z", ":8"),
        ("LINSERT l AFTER nope z", ":-1"),
        ("LINSERT none AFTER nope z", ":0"),
        ("LINSERT none BESIDE nope z", SYNTAX),
        ("LINSERT string AFTER nope z", WRONG_TYPE),
    ]);
    assert_eq!(list(&mut model, "l"), "x a b z c d e y");
    assert_eq!(model.told(), ["linsert l", "linsert l", "linsert l"]);
}

#[test]
fn ranges() {
    model().says(&[
        ("LRANGE l 1 2", "*2 $1 b $1 c"),
        ("LRANGE l -2 100", "*2 $1 d $1 e"),
        ("LRANGE l -100 0", "*1 $1 a"),
        ("LRANGE l -100 -100", "*0"),
        ("LRANGE l 3 1", "*0"),
        ("LRANGE l 5 9", "*0"),
        ("LRANGE l -9223372036854775808 9223372036854775807", "*5 $1 a $1 b $1 c $1 d $1 e"),
        ("LRANGE none 0 -1", "*0"),
        ("LRANGE none 0 x", NOT_AN_INTEGER),
        ("LRANGE string x 0", NOT_AN_INTEGER),
        ("LRANGE string 0 0", WRONG_TYPE),
    ]);
}

#[test]
fn trimming_keeps_a_range() {
    for (range, kept) in
        [("1 -2", "b c d"), ("0 -1", "a b c d e"), ("-1 -1", "e"), ("3 100", "d e"), ("0 0", "a")]
    {
        let mut model = model();
        assert_eq!(model.ask(&format!("LTRIM l {range}")), "+OK");
        assert_eq!(list(&mut model, "l"), kept, "{range}");
        assert_eq!(model.told(), ["ltrim l"]);
    }
    for range in ["5 9", "3 1", "-100 -100"] {
        let mut model = model();
        model.says(&[(&format!("LTRIM l {range}"), "+OK"), ("EXISTS l", ":0")]);
        assert_eq!(model.told(), ["ltrim l", "del l"]);
    }
    let mut model = model();
    model.says(&[
        ("LTRIM none 0 0", "+OK"),
        ("LTRIM l 0 x", NOT_AN_INTEGER),
        ("LTRIM string 0 0", WRONG_TYPE),
    ]);
    assert!(model.told().is_empty());
}

#[test]
fn taking_out_what_equals() {
    for (count, gone, left) in
        [("0", 4, "b c"), ("2", 2, "b a c a"), ("-2", 2, "a a b c"), ("-3", 3, "a b c"), ("99", 4, "b c")]
    {
        let mut model = Model::new();
        model.says(&[("RPUSH l a a b a c a", ":6"), (&format!("LREM l {count} a"), &format!(":{gone}"))]);
        assert_eq!(list(&mut model, "l"), left, "{count}");
        assert_eq!(model.told(), ["rpush l", "lrem l"]);
    }
    let mut model = Model::new();
    model.says(&[
        ("RPUSH l a a", ":2"),
        ("LREM l 0 x", ":0"),
        ("LREM l -9223372036854775808 a", ":2"),
        ("EXISTS l", ":0"),
        ("LREM l 0 x", ":0"),
        ("LREM l x x", NOT_AN_INTEGER),
    ]);
    assert_eq!(model.told(), ["rpush l", "lrem l", "del l"]);
}

#[test]
fn finding_where_elements_are() {
    let mut model = Model::new();
    model.says(&[
        ("RPUSH l a b c 1 2 3 c c", ":8"),
        ("LPOS l c", ":2"),
        ("LPOS l c RANK 2", ":6"),
        ("LPOS l c RANK -1", ":7"),
        ("LPOS l c RANK 4", "$-1"),
        ("LPOS l c COUNT 2", "*2 :2 :6"),
        ("LPOS l c COUNT 0", "*3 :2 :6 :7"),
        ("LPOS l c COUNT 0 RANK -2", "*2 :6 :2"),
        ("LPOS l c COUNT 0 MAXLEN 7", "*2 :2 :6"),
        ("LPOS l c MAXLEN 2", "$-1"),
        ("LPOS l c RANK -1 MAXLEN 0", ":7"),
        ("LPOS l x", "$-1"),
        ("LPOS l x COUNT 3", "*0"),
        ("LPOS none x", "$-1"),
        ("LPOS none x COUNT 0", "*0"),
        ("LPOS l c RANK foo", NOT_AN_INTEGER),
        ("LPOS l c COUNT foo", "-ERR COUNT can't be negative"),
        ("LPOS l c COUNT -1", "-ERR COUNT can't be negative"),
        ("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative"),
        ("LPOS l c MAXLEN", SYNTAX),
        ("LPOS l c FOO 1", SYNTAX),
        (
            "LPOS l c RANK -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
    ]);
    assert!(model.ask("LPOS l c RANK 0").starts_with("-ERR RANK can't be zero: use 1 to start from"));
}

#[test]
fn moving_from_one_list_to_another() {
    let mut model = model();
    model.says(&[
        ("LMOVE l m LEFT RIGHT", "$1 a"),
        ("LMOVE l m RIGHT LEFT", "$1 e"),
        ("RPOPLPUSH l m", "$1 d"),
        ("LRANGE m 0 -1", "*3 $1 d $1 e $1 a"),
        ("LRANGE l 0 -1", "*2 $1 b $1 c"),
        ("LMOVE none string LEFT LEFT", "$-1"),
        ("RPOPLPUSH none string", "$-1"),
        ("LMOVE l string LEFT LEFT", WRONG_TYPE),
        ("LMOVE string l LEFT LEFT", WRONG_TYPE),
        ("LMOVE l m UP LEFT", SYNTAX),
        ("LRANGE l 0 -1", "*2 $1 b $1 c"),
    ]);
    let expected = ["rpush m", "lpop l", "lpush m", "rpop l", "lpush m", "rpop l"];
    assert_eq!(model.told(), expected);
    model.says(&[("LMOVE l m LEFT LEFT", "$1 b"), ("LMOVE l m LEFT LEFT", "$1 c"), ("EXISTS l", ":0")]);
    assert_eq!(model.told(), ["lpush m", "lpop l", "lpush m", "lpop l", "del l"]);
}

#[test]
fn moving_within_one_list() {
    for (ends, answer, after) in [
        ("LEFT RIGHT", "$1 a", "b c d e a"),
        ("RIGHT LEFT", "$1 e", "e a b c d"),
        ("LEFT LEFT", "$1 a", "a b c d e"),
        ("RIGHT RIGHT", "$1 e", "a b c d e"),
    ] {
        let mut model = model();
        assert_eq!(model.ask(&format!("LMOVE l l {ends}")), answer);
        assert_eq!(list(&mut model, "l"), after, "{ends}");
    }
}

#[test]
fn the_only_element_of_a_list_moves_within_it_and_the_list_lives_as_long_as_before() {
    for ends in ["LEFT RIGHT", "RIGHT LEFT", "LEFT LEFT", "RIGHT RIGHT"] {
        let mut model = Model::new();
        model.says(&[("RPUSH l a", ":1"), ("EXPIRE l 10", ":1")]);
        model.events.clear();
        model.says(&[(&format!("LMOVE l l {ends}"), "$1 a"), ("LRANGE l 0 -1", "*1 $1 a"), ("TTL l", ":10")]);
        assert!(!model.told().contains(&"del l".to_owned()));
    }
}

#[test]
fn popping_from_the_first_list_that_is_there() {
    let mut model = model();
    model.says(&[
        ("LMPOP 2 none l LEFT", "*2 $1 l *1 $1 a"),
        ("LMPOP 1 l right COUNT 2", "*2 $1 l *2 $1 e $1 d"),
        ("LMPOP 2 none other LEFT COUNT 2", "*-1"),
        ("LMPOP 2 none string LEFT", WRONG_TYPE),
        ("LMPOP 2 l string LEFT COUNT 99", "*2 $1 l *2 $1 b $1 c"),
        ("EXISTS l", ":0"),
        ("LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0"),
        ("LMPOP x a LEFT", "-ERR numkeys should be greater than 0"),
        ("LMPOP 2 a LEFT", SYNTAX),
        ("LMPOP 1 a UP", SYNTAX),
        ("LMPOP 1 a LEFT COUNT", SYNTAX),
        ("LMPOP 1 a LEFT COUNT 0", "-ERR count should be greater than 0"),
        ("LMPOP 1 a LEFT COUNT 1 COUNT 1", SYNTAX),
        ("LMPOP 9223372036854775807 a LEFT", SYNTAX),
    ]);
    assert_eq!(model.told(), ["lpop l", "rpop l", "lpop l", "del l"]);
}

#[test]
fn what_blocks_takes_what_is_there() {
    let mut model = model();
    model.says(&[
        ("BLPOP none l 0", "*2 $1 l $1 a"),
        ("BRPOP l none 1.5", "*2 $1 l $1 e"),
        ("BLMOVE l m LEFT RIGHT 0", "$1 b"),
        ("BRPOPLPUSH l m 0", "$1 d"),
        ("BLMPOP 0 2 none l LEFT COUNT 5", "*2 $1 l *1 $1 c"),
        ("LRANGE m 0 -1", "*2 $1 d $1 b"),
    ]);
}

#[test]
fn what_blocks_says_so_when_there_is_nothing_and_changes_nothing() {
    let mut model = model();
    // What is answered to those who can't wait.
    model.says(&[
        ("BLPOP a b 0", "*-1"),
        ("BRPOP a b 0", "*-1"),
        ("BLMOVE a string LEFT RIGHT 0", "$-1"),
        ("BRPOPLPUSH a string 0", "$-1"),
        ("BLMPOP 0 2 a b LEFT", "*-1"),
    ]);
    assert!(model.told().is_empty());
    model.says(&[
        ("BLPOP a string 0", WRONG_TYPE),
        ("BLMOVE string a LEFT RIGHT 0", WRONG_TYPE),
        ("BLMPOP 0 1 string LEFT", WRONG_TYPE),
        ("BLPOP a -1", "-ERR timeout is negative"),
        ("BLPOP l x", "-ERR timeout is not a float or out of range"),
        ("BRPOPLPUSH l m -1", "-ERR timeout is negative"),
        ("BLMOVE l m UP LEFT x", SYNTAX),
        ("BLMOVE l m LEFT LEFT x", "-ERR timeout is not a float or out of range"),
        ("BLMPOP x 1 l LEFT", "-ERR timeout is not a float or out of range"),
        ("BLMPOP 0 0 l LEFT", "-ERR numkeys should be greater than 0"),
        ("LLEN l", ":5"),
    ]);
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<u8>),
    Pop(bool, usize),
    Trim(i64, i64),
    Remove(i64, u8),
    Rotate(bool, bool),
    Insert(bool, u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let letter = b'a'..b'e';
    let step = prop_oneof![
        4 => (any::<bool>(), proptest::collection::vec(letter.clone(), 1..5)).prop_map(|(l, e)| Step::Push(l, e)),
        2 => (any::<bool>(), 0usize..4).prop_map(|(l, n)| Step::Pop(l, n)),
        1 => (-12i64..12, -12i64..12).prop_map(|(a, b)| Step::Trim(a, b)),
        2 => (-4i64..4, letter.clone()).prop_map(|(n, e)| Step::Remove(n, e)),
        2 => any::<(bool, bool)>().prop_map(|(a, b)| Step::Rotate(a, b)),
        2 => (any::<bool>(), letter.clone(), letter).prop_map(|(a, p, e)| Step::Insert(a, p, e)),
    ];
    proptest::collection::vec(step, 1..40)
}

fn end(left: bool) -> &'static str {
    if left { "LEFT" } else { "RIGHT" }
}

/// What a step does, said once more and in the simplest way; and the request that asks for it.
fn simply(list: &mut VecDeque<u8>, step: &Step) -> String {
    match step {
        Step::Push(left, elements) => {
            for element in elements {
                if *left { list.push_front(*element) } else { list.push_back(*element) }
            }
            let words: Vec<_> = elements.iter().map(|element| char::from(*element).to_string()).collect();
            format!("{} l {}", if *left { "LPUSH" } else { "RPUSH" }, words.join(" "))
        }
        Step::Pop(left, count) => {
            for _ in 0..*count {
                if *left {
                    list.pop_front()
                } else {
                    list.pop_back()
                };
            }
            format!("{} l {count}", if *left { "LPOP" } else { "RPOP" })
        }
        Step::Trim(start, stop) => {
            let length = list.len() as i64;
            let place = |at: i64| if at < 0 { at + length } else { at };
            let range = place(*start)..=place(*stop);
            *list = (0..).zip(list.iter()).filter(|(at, _)| range.contains(at)).map(|(_, e)| *e).collect();
            format!("LTRIM l {start} {stop}")
        }
        Step::Remove(count, element) => {
            for _ in 0..if *count == 0 { list.len() as u64 } else { count.unsigned_abs() } {
                let found = |e: &u8| e == element;
                let at = if *count < 0 { list.iter().rposition(found) } else { list.iter().position(found) };
                at.map(|at| list.remove(at));
            }
            format!("LREM l {count} {}", char::from(*element))
        }
        Step::Rotate(from, to) => {
            if let Some(element) = if *from { list.pop_front() } else { list.pop_back() } {
                if *to { list.push_front(element) } else { list.push_back(element) }
            }
            format!("LMOVE l l {} {}", end(*from), end(*to))
        }
        Step::Insert(after, pivot, element) => {
            if let Some(at) = list.iter().position(|e| e == pivot) {
                list.insert(at + usize::from(*after), *element);
            }
            let place = if *after { "AFTER" } else { "BEFORE" };
            format!("LINSERT l {place} {} {}", char::from(*pivot), char::from(*element))
        }
    }
}

proptest! {
    #[test]
    fn a_list_is_what_was_done_to_it(steps in steps()) {
        let mut model = Model::new();
        let mut simple = VecDeque::new();
        for step in steps {
            let request = simply(&mut simple, &step);
            let answer = model.ask(&request);
            prop_assert!(!answer.starts_with('-'), "{request}: {answer}");
            let expected: Vec<_> = simple.iter().map(|element| char::from(*element).to_string()).collect();
            prop_assert_eq!(list(&mut model, "l"), expected.join(" "), "{}", request);
            prop_assert_eq!(model.ask("EXISTS l"), if simple.is_empty() { ":0" } else { ":1" });
        }
    }
}
