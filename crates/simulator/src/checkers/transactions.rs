//! A transaction takes effect at one moment, whole or not at all, and once; one that watches takes effect only
//! if what it has seen is still so (Redis's MULTI, EXEC and WATCH). Two accounts are one object here, whose commands are
//! whole transactions, and the search of `super::linearizability` looks for an order that explains all that was seen of
//! it. That the sum never changes is a part of this. Whether the two accounts lie on one shard or on two makes no difference.

use super::Finding;
use super::linearizability::{self, Call, Model, Verdict};
use crate::history::{AccountAction, History, Pair};
use crate::workload::accounts::moved;

/// How many configurations the search may visit for one pair.
const CONFIGURATIONS_MAX: usize = 1_000_000;

/// Judges every pair of accounts.
pub fn check(history: &History) -> Vec<Finding> {
    let judged = |kind, pairs: &[Vec<Call<AccountAction, Pair>>]| {
        pairs.iter().enumerate().filter_map(|(pair, calls)| check_pair(kind, pair, calls)).collect::<Vec<_>>()
    };
    [judged("accounts", &history.accounts), judged("accounts on two shards", &history.spread)].concat()
}

fn check_pair(kind: &str, pair: usize, calls: &[Call<AccountAction, Pair>]) -> Option<Finding> {
    let told = |calls_told: &[usize]| {
        let line = |&call: &usize| {
            let Call { called, returned, action, reply, .. } = &calls[call];
            let millis = |nanos: u64| nanos as f64 / 1e6;
            let until = returned.map(millis);
            format!("\n    {:.3} to {until:?} ms {action:?} -> {reply:?}", millis(*called))
        };
        calls_told.iter().map(line).collect::<String>()
    };
    let complaint = match linearizability::check(&Accounts, calls, CONFIGURATIONS_MAX) {
        Verdict::Linearizable => return None,
        Verdict::Undecided => "the search for an order took too long".to_string(),
        Verdict::Violated { explained, stuck } => format!(
            "no order explains all answers; {} can be explained, at last:{}\n  and then none of these can follow:{}",
            explained.len(),
            told(&explained[explained.len().saturating_sub(12)..]),
            told(&stuck)
        ),
    };
    Some(Finding::new("transactions", format!("pair {pair} of {kind}: {complaint}")))
}

/// The model: two accounts that begin empty.
struct Accounts;

impl Model for Accounts {
    type State = Pair;
    type Action = AccountAction;
    type Reply = Pair;

    fn start(&self) -> Pair {
        (0, 0)
    }

    fn step(&self, state: &Pair, action: &AccountAction, reply: Option<&Pair>, next: &mut Vec<Pair>) {
        let after = match *action {
            AccountAction::Look => *state,
            AccountAction::Move(by) => moved(*state, by),
            AccountAction::MoveIfStill(seen, by) if seen == *state => moved(seen, by),
            // Nothing happens, and that isn't answered by what would have.
            AccountAction::MoveIfStill(..) if reply.is_none() => *state,
            AccountAction::MoveIfStill(..) => return,
            AccountAction::Add(by) => (state.0 + by, state.1),
            AccountAction::LookAtFirst => *state,
        };
        let of_first = matches!(action, AccountAction::Add(_) | AccountAction::LookAtFirst);
        if reply.is_none_or(|reply| *reply == after || of_first && reply.0 == after.0) {
            next.push(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::linearizability::Call;
    use super::check;
    use crate::history::{AccountAction, History, Pair};

    /// These, one after the other; without an answer their fate is unknown.
    fn one_by_one(calls: &[(AccountAction, Option<Pair>)]) -> History {
        let call = |(at, (action, reply)): (u64, &(AccountAction, Option<Pair>))| Call {
            called: at * 2,
            returned: reply.map(|_| at * 2 + 1),
            action: *action,
            reply: *reply,
            after: None,
        };
        let accounts = vec![(0..).zip(calls).map(call).collect()];
        History { accounts, ..History::default() }
    }

    #[test]
    fn what_happens_at_one_moment_each_is_right() {
        let calls = [
            (AccountAction::Look, Some((0, 0))),
            (AccountAction::Move(5), Some((-5, 5))),
            (AccountAction::MoveIfStill((-5, 5), 2), Some((-7, 7))),
            (AccountAction::Move(1), None),
            (AccountAction::MoveIfStill((-7, 7), 9), None),
            (AccountAction::Look, Some((-8, 8))),
        ];
        assert_eq!(check(&one_by_one(&calls)), []);
    }

    #[test]
    fn who_watched_and_was_fooled_is_seen() {
        let calls =
            [(AccountAction::Move(5), Some((-5, 5))), (AccountAction::MoveIfStill((0, 0), 2), Some((-2, 2)))];
        assert_eq!(check(&one_by_one(&calls)).len(), 1);
    }

    #[test]
    fn half_a_transaction_and_one_that_happened_twice_are_seen() {
        for seen in [(-5, 0), (-10, 10)] {
            let calls = [(AccountAction::Move(5), None), (AccountAction::Look, Some(seen))];
            assert_eq!(check(&one_by_one(&calls)).len(), 1);
        }
    }
}
