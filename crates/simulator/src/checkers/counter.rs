//! Every INCR that was acknowledged took effect once, in real-time order: no two have the same answer, and one that was
//! sent after another's answer answers more (a counter's strongest checkable facts; the same reasoning as Jepsen's
//! `counter` and `unique-ids` workloads). A request that was forwarded twice and executed twice shows in the sum.

use super::Finding;
use crate::history::{History, Operation, Outcome, Reply};
use std::collections::BTreeMap;

/// Judges the one counter that all clients share.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(repeated(&history.counter));
    findings.extend(out_of_order(&history.counter));
    if let Some(read) = &history.counter_read {
        findings.extend(wrong_sum(&history.counter, read));
    }
    findings
}

/// Calls that were answered with a number: (called, returned, number).
fn answered(calls: &[Operation<()>]) -> impl Iterator<Item = (u64, u64, i64)> {
    calls.iter().filter_map(|call| match call.outcome {
        Outcome::Done(Reply::Integer(number)) => Some((call.called, call.returned, number)),
        _ => None,
    })
}

fn repeated(calls: &[Operation<()>]) -> Option<Finding> {
    let mut seen = BTreeMap::new();
    answered(calls).find_map(|(called, _, number)| {
        let before = seen.insert(number, called)?;
        let text = format!("two INCR answered {number}: those sent at {before} and {called} ns");
        Some(Finding::new("counter", text))
    })
}

fn out_of_order(calls: &[Operation<()>]) -> Option<Finding> {
    let mut by_call: Vec<_> = answered(calls).collect();
    let mut by_return = by_call.clone();
    by_call.sort_by_key(|&(called, _, _)| called);
    by_return.sort_by_key(|&(_, returned, _)| returned);
    let mut heard = by_return.into_iter().peekable();
    let mut highest: Option<(i64, u64)> = None;
    for (called, _, number) in by_call {
        while let Some((_, returned, earlier)) = heard.next_if(|&(_, returned, _)| returned < called) {
            highest = highest.max(Some((earlier, returned)));
        }
        if let Some((earlier, returned)) = highest
            && number <= earlier
        {
            let text = format!(
                "INCR sent at {called} ns answered {number}, though {earlier} was heard at {returned} ns"
            );
            return Some(Finding::new("counter", text));
        }
    }
    None
}

fn wrong_sum(calls: &[Operation<()>], read: &Reply) -> Option<Finding> {
    let sure = answered(calls).count() as i64;
    let perhaps =
        calls.iter().filter(|call| matches!(call.outcome, Outcome::Unknown | Outcome::Open)).count() as i64;
    let sum = match read {
        Reply::Nil => 0,
        Reply::Value(digits) => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return Some(Finding::new("counter", format!("GET answered {read:?}"))),
    };
    if (sure..=sure + perhaps).contains(&sum) {
        return None;
    }
    let text = format!(
        "the counter is {sum}, but {sure} INCR were acknowledged and {perhaps} more may have happened"
    );
    Some(Finding::new("counter", text))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::{History, Operation, Outcome, Reply};

    fn increments(answers: &[(u64, u64, Option<i64>)], sum: i64) -> History {
        let counter = answers
            .iter()
            .map(|&(called, returned, answer)| Operation {
                client: 0,
                action: (),
                called,
                returned,
                outcome: answer.map_or(Outcome::Unknown, |number| Outcome::Done(Reply::Integer(number))),
                after: None,
            })
            .collect();
        let read = Reply::Value(sum.to_string().into_bytes());
        History { counter, counter_read: Some(read), ..History::default() }
    }

    #[test]
    fn one_count_for_each_increment_is_right() {
        let history = increments(&[(0, 5, Some(2)), (1, 4, Some(1)), (6, 9, Some(4)), (2, 0, None)], 4);
        assert!(check(&history).is_empty(), "{:?}", check(&history));
    }

    #[test]
    fn an_increment_that_ran_twice_is_seen() {
        assert_eq!(check(&increments(&[(0, 1, Some(1)), (2, 3, Some(3))], 3)).len(), 1);
    }

    #[test]
    fn a_lost_increment_is_seen() {
        assert_eq!(check(&increments(&[(0, 1, Some(1)), (2, 3, Some(2))], 1)).len(), 1);
    }

    #[test]
    fn an_answer_given_twice_is_seen() {
        assert_eq!(check(&increments(&[(0, 5, Some(1)), (0, 5, Some(1)), (0, 5, None)], 2)).len(), 1);
    }

    #[test]
    fn an_answer_from_the_past_is_seen() {
        assert_eq!(check(&increments(&[(0, 1, Some(2)), (2, 3, Some(1))], 2)).len(), 1);
    }
}
