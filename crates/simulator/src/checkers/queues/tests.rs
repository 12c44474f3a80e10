use super::check;
use crate::history::{History, ORDERED, Operation, Outcome, QUEUES, QueueAction, QueueIndex, Queues, Reply};

/// A second.
const S: u64 = 1_000_000_000;

fn call(action: QueueAction, called: u64, returned: u64, outcome: Outcome) -> Operation<QueueAction> {
    Operation { client: 0, action, called, returned, outcome, after: None }
}

/// An acknowledged push.
fn push(queue: QueueIndex, at: u64) -> Operation<QueueAction> {
    call(QueueAction::Push(queue), at, at + 1, Outcome::Done(Reply::Integer(1)))
}

fn values(values: &[&str]) -> Outcome {
    Outcome::Done(Reply::Values(values.iter().map(|value| Some(value.as_bytes().to_vec())).collect()))
}

fn pop(queue: QueueIndex, at: u64, outcome: Outcome) -> Operation<QueueAction> {
    call(QueueAction::Pop { queues: vec![queue], left: true }, at, at + S, outcome)
}

fn got(queue: QueueIndex, at: u64, element: &str) -> Operation<QueueAction> {
    pop(queue, at, values(&[&format!("{{q}}{queue}"), element]))
}

/// These commands in a world that is whole from 100 s on, and what remained in queue 1 at the end.
fn history(mut calls: Vec<Operation<QueueAction>>, remained: &[&str]) -> History {
    for queue in 0..QUEUES as QueueIndex {
        let outcome = values(if queue == 1 { remained } else { &[] });
        calls.push(call(QueueAction::Rest(queue), 900 * S, 901 * S, outcome));
    }
    let queues = Queues { calls, ..Queues::default() };
    History { queues, quiet_since: Some(100 * S), ..History::default() }
}

fn is_fine(history: &History) {
    assert_eq!(check(history), []);
}

fn is_seen(history: &History, word: &str) {
    let found = check(history);
    assert!(found.len() == 1 && found[0].text.contains(word), "{word}: {found:?}");
}

#[test]
fn popped_once_or_left_over_is_right() {
    is_fine(&history(vec![push(1, 0), push(1, 1), got(1, 2, "0")], &["1"]));
}

#[test]
fn what_came_out_twice_is_seen() {
    is_seen(&history(vec![push(1, 0), got(1, 2, "0"), got(1, 3, "0")], &[]), "twice");
    is_seen(&history(vec![push(1, 0), got(1, 2, "0")], &["0"]), "twice");
    is_seen(&history(vec![push(1, 0)], &["0", "0"]), "twice");
}

#[test]
fn what_was_said_to_nobody_was_popped() {
    let Outcome::Done(said) = values(&["{q}1", "0"]) else { return };
    let mut lost = history(vec![push(1, 200 * S)], &[]);
    is_seen(&lost, "lost");
    lost.queues.said_in_vain.push(said.clone());
    is_fine(&lost);
    let mut doubled = history(vec![push(1, 200 * S)], &["0"]);
    doubled.queues.said_in_vain.push(said);
    is_seen(&doubled, "twice");
}

#[test]
fn what_nobody_pushed_is_seen() {
    is_seen(&history(vec![got(1, 2, "0")], &[]), "nobody had pushed");
    let refused = call(QueueAction::Push(1), 0, 1, Outcome::Refused);
    is_seen(&history(vec![refused.clone(), got(1, 2, "0")], &[]), "nobody had pushed");
    is_seen(&history(vec![refused], &["0"]), "nobody had pushed");
    let later = call(QueueAction::Push(1), 9 * S, 10 * S, Outcome::Unknown);
    is_seen(&history(vec![later, got(1, 2, "0")], &[]), "nobody had pushed");
}

#[test]
fn each_pop_of_unknown_fate_excuses_one_loss_of_what_was_pushed_before_it_was_over() {
    let unknown = || pop(1, 5 * S, Outcome::Unknown);
    is_fine(&history(vec![push(1, 0), unknown()], &[]));
    is_seen(&history(vec![push(1, 0), push(1, 1), unknown()], &[]), "lost");
    is_seen(&history(vec![push(1, 40 * S), unknown()], &[]), "lost");
    is_fine(&history(vec![push(1, 0), push(1, 40 * S), unknown(), pop(1, 50 * S, Outcome::Unknown)], &[]));
    let moved = call(QueueAction::Move(1, 2), 5 * S, 6 * S, Outcome::Unknown);
    is_seen(&history(vec![push(1, 0), moved], &[]), "lost");
    is_seen(&history(vec![push(1, 0), pop(1, 5 * S, Outcome::Refused)], &[]), "lost");
}

#[test]
fn who_goes_away_in_a_whole_world_takes_nothing_along() {
    let mut lost = history(vec![push(1, 200 * S), pop(1, 199 * S, Outcome::Unknown)], &[]);
    lost.queues.left.insert(1);
    is_seen(&lost, "lost");
}

#[test]
fn one_producers_elements_come_in_order_unless_one_was_put_back() {
    let pops = |queue| vec![push(queue, 0), push(queue, 2), got(queue, 50 * S, "1"), got(queue, 52 * S, "0")];
    is_seen(&history(pops(ORDERED), &[]), "pushed it before");
    is_fine(&history(pops(1), &[]));
    let mut away = pops(ORDERED);
    away.push(pop(ORDERED, 40 * S, Outcome::Unknown));
    is_fine(&history(away, &[]));
}
