//! One majority.

use super::VoteResult;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use base::ReplicaId;

/// Groups up to this size are counted without an allocation.
const SMALL: usize = 8;

/// The greatest value that a majority of `voters` has reached, where `reached` says how far each one has come; who is
/// silent has come nowhere (`T::default()`). `None` if there are no voters: then nothing limits the value.
pub fn reached<T: Ord + Copy + Default>(
    voters: &BTreeSet<ReplicaId>,
    reached: impl Fn(ReplicaId) -> Option<T>,
) -> Option<T> {
    let count = voters.len();
    let value = |id: &ReplicaId| reached(*id).unwrap_or_default();
    if count == 0 {
        None
    } else if count <= SMALL {
        let mut values = [T::default(); SMALL];
        for (place, id) in values.iter_mut().zip(voters) {
            *place = value(id);
        }
        Some(middle(&mut values[..count]))
    } else {
        let mut values: Vec<T> = voters.iter().map(value).collect();
        Some(middle(&mut values))
    }
}

/// The value that more than half have reached: with 2n+1 or 2n+2 values, the one below which n lie.
fn middle<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[(values.len() - 1) / 2]
}

/// How the vote stands among `voters`. Nobody to ask counts as a yes, so that half of a joint decision that has no
/// voters decides nothing.
pub fn vote_result(voters: &BTreeSet<ReplicaId>, vote: impl Fn(ReplicaId) -> Option<bool>) -> VoteResult {
    let needed = voters.len() / 2 + 1;
    let (mut yes, mut open) = (0, 0);
    for id in voters {
        match vote(*id) {
            Some(true) => yes += 1,
            Some(false) => {}
            None => open += 1,
        }
    }
    if voters.is_empty() || yes >= needed {
        VoteResult::Won
    } else if yes + open >= needed {
        VoteResult::Pending
    } else {
        VoteResult::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::{VoteResult, reached, vote_result};
    use base::ReplicaId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_majority_has_reached_the_answer_and_none_has_reached_more(values in prop::collection::vec(0u64..20, 1..12)) {
            let voters = (0..values.len()).map(|n| ReplicaId::new(n as u32 + 1, 0)).collect();
            let answer = reached(&voters, |id| Some(values[id.node.0 as usize - 1])).expect("there are voters");
            let at_least = |limit: u64| values.iter().filter(|value| **value >= limit).count();
            prop_assert!(at_least(answer) > values.len() / 2);
            prop_assert!(at_least(answer + 1) <= values.len() / 2);
        }

        #[test]
        fn a_decided_vote_stays_decided_whatever_the_rest_say(
            votes in prop::collection::vec(prop::option::of(any::<bool>()), 1..9),
            rest in any::<bool>(),
        ) {
            let voters = (0..votes.len()).map(|n| ReplicaId::new(n as u32 + 1, 0)).collect();
            let said = |id: ReplicaId| votes[id.node.0 as usize - 1];
            let before = vote_result(&voters, said);
            let after = vote_result(&voters, |id| said(id).or(Some(rest)));
            prop_assert_ne!(after, VoteResult::Pending);
            if before != VoteResult::Pending {
                prop_assert_eq!(before, after);
            }
        }
    }
}
