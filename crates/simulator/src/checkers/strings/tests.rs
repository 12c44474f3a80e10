use super::check;
use crate::history::{Action, Condition, History, Lifetime, Operation, Outcome, Reply};

fn set(value: &str) -> Action {
    with_lifetime(value, Lifetime::Forever)
}

fn with_lifetime(value: &str, lifetime: Lifetime) -> Action {
    Action::Set { key: 0, value: value.into(), condition: Condition::Always, get: false, lifetime }
}

fn value(text: &str) -> Reply {
    Reply::Value(text.into())
}

/// Calls as (called, returned, action, answer); no answer means that nobody knows.
fn history(calls: &[(u64, u64, Action, Option<Reply>)]) -> History {
    let operations = calls
        .iter()
        .map(|(called, returned, action, reply)| Operation {
            client: 0,
            action: action.clone(),
            called: *called,
            returned: *returned,
            outcome: reply.clone().map_or(Outcome::Unknown, Outcome::Done),
            after: None,
        })
        .collect();
    History { families: vec![operations], ..History::default() }
}

fn is_explained(calls: &[(u64, u64, Action, Option<Reply>)]) -> bool {
    check(&history(calls)).is_empty()
}

#[test]
fn a_read_beside_a_write_may_see_either_value() {
    for seen in [Reply::Nil, value("a")] {
        assert!(is_explained(&[(0, 10, set("a"), Some(Reply::Ok)), (5, 8, Action::Get(0), Some(seen))]));
    }
}

#[test]
fn a_stale_read_has_no_explanation() {
    assert!(!is_explained(&[
        (0, 1, set("a"), Some(Reply::Ok)),
        (2, 3, set("b"), Some(Reply::Ok)),
        (4, 5, Action::Get(0), Some(value("a"))),
    ]));
}

#[test]
fn a_lost_write_has_no_explanation() {
    assert!(!is_explained(&[(0, 1, set("a"), Some(Reply::Ok)), (2, 3, Action::Get(0), Some(Reply::Nil))]));
}

#[test]
fn a_write_of_unknown_fate_may_show_late_or_never_but_not_come_and_go() {
    let unknown = (0, 1, set("a"), None);
    let other = (0, 1, set("b"), Some(Reply::Ok));
    let read = |at: u64, seen: &str| (at, at + 1, Action::Get(0), Some(value(seen)));
    assert!(is_explained(&[unknown.clone(), other.clone(), read(10, "b"), read(20, "b")]));
    assert!(is_explained(&[unknown.clone(), other.clone(), read(10, "b"), read(20, "a")]));
    assert!(!is_explained(&[unknown, other, read(10, "a"), read(20, "b"), read(30, "a")]));
}

#[test]
fn an_append_that_ran_twice_has_no_explanation() {
    let append = Action::Append(0, b"xy".to_vec());
    assert!(!is_explained(&[
        (0, 1, append, Some(Reply::Integer(2))),
        (2, 3, Action::Get(0), Some(value("xyxy"))),
    ]));
}

#[test]
fn a_volatile_key_may_go_but_not_come_back() {
    let start = (0, 1, with_lifetime("a", Lifetime::Millis(100)), Some(Reply::Ok));
    let gone = (2, 3, Action::Get(0), Some(Reply::Nil));
    let back = (4, 5, Action::Get(0), Some(value("a")));
    assert!(is_explained(&[start.clone(), gone.clone()]));
    assert!(!is_explained(&[start, gone, back]));
}

#[test]
fn keys_change_together() {
    let both = Action::SetMany(vec![(0, b"a".to_vec()), (1, b"a".to_vec())]);
    let half = Reply::Values(vec![Some(b"a".to_vec()), None]);
    assert!(!is_explained(
        &[(0, 9, both, Some(Reply::Ok)), (1, 2, Action::GetMany(vec![0, 1]), Some(half)),]
    ));
}

#[test]
fn a_pipeline_takes_effect_in_order() {
    let calls = [
        (0, 9, set("a"), Some(Reply::Ok)),
        (0, 9, set("b"), Some(Reply::Ok)),
        (10, 11, Action::Get(0), Some(value("a"))),
    ];
    let mut history = history(&calls);
    assert!(check(&history).is_empty());
    history.families[0][1].after = Some(0);
    assert_eq!(check(&history).len(), 1);
}

#[test]
fn conditions_and_old_values_are_those_of_redis() {
    let conditional = |condition, get| Action::Set {
        key: 0,
        value: b"b".to_vec(),
        condition,
        get,
        lifetime: Lifetime::Forever,
    };
    let first = (0, 1, set("a"), Some(Reply::Ok));
    let then = |action, reply| [first.clone(), (2, 3, action, Some(reply))];
    assert!(is_explained(&then(conditional(Condition::Absent, false), Reply::Nil)));
    assert!(!is_explained(&then(conditional(Condition::Absent, false), Reply::Ok)));
    assert!(is_explained(&then(conditional(Condition::Present, true), value("a"))));
    assert!(is_explained(&then(Action::Rename(0, 1), Reply::Ok)));
    assert!(!is_explained(&then(Action::Rename(1, 0), Reply::Ok)));
    assert!(is_explained(&then(Action::Rename(1, 0), Reply::Error("ERR no such key".into()))));
    assert!(is_explained(&then(Action::Copy(0, 1, false), Reply::Integer(1))));
    assert!(is_explained(&then(Action::Delete(vec![0, 1]), Reply::Integer(1))));
    assert!(is_explained(&then(Action::TimeToLive(0), Reply::Integer(-1))));
    assert!(!is_explained(&then(Action::Increase(0, 1), Reply::Integer(1))));
}
