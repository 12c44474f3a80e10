//! A key with a time to live is there until its time has come, and then it isn't, give or take what clocks may be wrong
//! by: a node whose clock is further off than that neither leads nor expires (DESIGN.md, section 6), so that one clock
//! ten years ahead deletes nothing (COUNTEREXAMPLES.md, 18). And what has been seen to be gone doesn't come back.

use super::Finding;
use crate::history::{History, MortalKey, Outcome};

const MILLI: u64 = 1_000_000;
/// How wrong a shard's time may be: the clocks of two leaders, each within 500 ms of the majority's, and what the
/// majority itself may be off.
const TOLERANCE: u64 = 1_300 * MILLI;

/// Judges the keys that were written with a time to live.
pub fn check(history: &History) -> Vec<Finding> {
    history.mortals.iter().enumerate().filter_map(|(number, key)| judge(number, key)).collect()
}

fn judge(number: usize, key: &MortalKey) -> Option<Finding> {
    if !matches!(key.outcome, Outcome::Done(_)) {
        return None;
    }
    let life = key.millis * MILLI;
    // It was written some time between its call and its answer.
    let too_early = (key.called + life).saturating_sub(TOLERANCE);
    let too_late = key.returned + life + TOLERANCE;
    let mut gone: Option<u64> = None;
    let mut looks = key.looks.clone();
    looks.sort_unstable();
    for &(called, returned, alive) in &looks {
        let what = if alive && called > too_late {
            "is still there"
        } else if !alive && called > key.returned && returned < too_early {
            "is gone already"
        } else if alive && gone.is_some_and(|gone| gone < called) {
            "is back"
        } else {
            if !alive && called > key.returned {
                gone = Some(gone.map_or(returned, |gone| gone.min(returned)));
            }
            continue;
        };
        let text = format!(
            "mortal key {number}, written at {}..{} ms to live {} ms, {what} at {}..{} ms",
            key.called / MILLI,
            key.returned / MILLI,
            key.millis,
            called / MILLI,
            returned / MILLI
        );
        return Some(Finding::new("expiry", text));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{MILLI, check};
    use crate::history::{History, MortalKey, Outcome, Reply};

    /// A key written at 1000..1010 ms to live 5000 ms, looked at at these milliseconds.
    fn looked_at(looks: &[(u64, bool)]) -> History {
        let looks = looks.iter().map(|&(at, alive)| (at * MILLI, (at + 2) * MILLI, alive)).collect();
        let outcome = Outcome::Done(Reply::Ok);
        let key = MortalKey { called: 1_000 * MILLI, returned: 1_010 * MILLI, outcome, millis: 5_000, looks };
        History { mortals: vec![key], ..History::default() }
    }

    #[test]
    fn a_key_lives_as_long_as_it_was_given_give_or_take_what_clocks_may_be_wrong_by() {
        assert!(
            check(&looked_at(&[(1_020, true), (5_900, true), (6_100, false), (9_000, false)])).is_empty()
        );
        assert!(check(&looked_at(&[(1_001, false), (5_200, false), (7_000, false)])).is_empty());
    }

    #[test]
    fn dying_early_living_on_and_coming_back_are_seen() {
        assert_eq!(check(&looked_at(&[(1_020, false)])).len(), 1);
        assert_eq!(check(&looked_at(&[(7_400, true)])).len(), 1);
        assert_eq!(check(&looked_at(&[(5_500, false), (5_600, true)])).len(), 1);
    }
}
