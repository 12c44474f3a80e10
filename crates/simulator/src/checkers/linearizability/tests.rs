use super::{CALLS_MAX, Call, Model, Verdict, check};
use base::Rng;

/// A register of numbers: write `Some`, read `None`.
struct Register;

impl Model for Register {
    type State = u64;
    type Action = Option<u64>;
    type Reply = u64;

    fn start(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, action: &Option<u64>, reply: Option<&u64>, next: &mut Vec<u64>) {
        match action {
            Some(value) => next.push(*value),
            None if reply.is_none_or(|reply| reply == state) => next.push(*state),
            None => {}
        }
    }
}

/// What really happened to one register, with calls that overlap and some whose fate is unknown.
fn run(rng: &mut Rng, calls: usize) -> Vec<Call<Option<u64>, u64>> {
    let mut state = 0;
    let mut now = 0;
    (1..=calls as u64)
        .map(|number| {
            now += rng.below(20);
            // It takes effect at `now`, within its call.
            let (called, returned) = (now.saturating_sub(rng.below(60)), now + rng.below(60));
            let action = rng.chance(1, 2).then_some(number);
            let lost = action.is_some() && rng.chance(1, 8);
            if let Some(value) = action
                && !(lost && rng.chance(1, 2))
            {
                state = value;
            }
            Call {
                called,
                returned: (!lost).then_some(returned),
                action,
                reply: (!lost).then_some(state),
                after: None,
            }
        })
        .collect()
}

#[test]
fn what_really_happened_is_explained_however_long_and_uncertain() {
    let mut rng = Rng::new(1);
    for _ in 0..60 {
        let calls = run(&mut rng, CALLS_MAX);
        assert_eq!(check(&Register, &calls, 2_000_000), Verdict::Linearizable);
    }
}

#[test]
fn a_read_of_what_was_overwritten_long_ago_is_found_anywhere() {
    let mut rng = Rng::new(2);
    let mut found = 0;
    for _ in 0..60 {
        let mut calls = run(&mut rng, 60);
        let end = calls.iter().filter_map(|call| call.returned).max().unwrap_or(0);
        let write = |value, at| Call {
            called: at,
            returned: Some(at),
            action: Some(value),
            reply: Some(value),
            after: None,
        };
        calls.push(write(1_000, end + 1));
        calls.push(write(1_001, end + 2));
        calls.push(Call {
            called: end + 3,
            returned: Some(end + 4),
            action: None,
            reply: Some(1_000),
            after: None,
        });
        match check(&Register, &calls, 2_000_000) {
            Verdict::Violated { stuck, .. } => {
                assert_eq!(stuck, [62]);
                found += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, 60);
}

/// Tries all orders, without memory or cleverness.
fn brute_force(calls: &[Call<Option<u64>, u64>], done: u32, state: u64) -> bool {
    let open = |call: usize| done & (1 << call) == 0;
    if (0..calls.len()).all(|call| !open(call) || calls[call].returned.is_none()) {
        return true;
    }
    let horizon = (0..calls.len()).filter(|&call| open(call)).filter_map(|call| calls[call].returned).min();
    (0..calls.len()).filter(|&call| open(call) && horizon.is_none_or(|end| calls[call].called <= end)).any(
        |call| {
            let mut next = Vec::new();
            Register.step(&state, &calls[call].action, calls[call].reply.as_ref(), &mut next);
            next.into_iter().any(|state| brute_force(calls, done | 1 << call, state))
        },
    )
}

#[test]
fn it_agrees_with_trying_all_orders() {
    let mut rng = Rng::new(3);
    let (mut right, mut wrong) = (0, 0);
    for _ in 0..3_000 {
        let mut calls = run(&mut rng, 6);
        // Half of the histories get an answer that may not fit.
        if rng.chance(1, 2) {
            let which = rng.below(6) as usize;
            if calls[which].action.is_none() {
                calls[which].reply = Some(rng.below(7));
            }
        }
        let expected = brute_force(&calls, 0, 0);
        assert_eq!(check(&Register, &calls, 100_000) == Verdict::Linearizable, expected, "{calls:?}");
        if expected { right += 1 } else { wrong += 1 }
    }
    assert!(right > 300 && wrong > 300, "{right} {wrong}");
}
