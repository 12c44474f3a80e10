//! Two majorities at once: while membership changes, nothing is decided without the old voters and the new ones.

use super::{VoteResult, majority};
use base::{Membership, ReplicaId};

/// The greatest value that a majority of each half has reached. `None` if nobody votes in either.
pub fn reached<T: Ord + Copy + Default>(
    members: &Membership,
    value: impl Fn(ReplicaId) -> Option<T>,
) -> Option<T> {
    let incoming = majority::reached(&members.voters, &value);
    let outgoing = majority::reached(&members.outgoing, &value);
    match (incoming, outgoing) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How the vote stands: won only if both halves are, lost if one is.
pub fn vote_result(members: &Membership, vote: impl Fn(ReplicaId) -> Option<bool>) -> VoteResult {
    let incoming = majority::vote_result(&members.voters, &vote);
    let outgoing = majority::vote_result(&members.outgoing, &vote);
    match (incoming, outgoing) {
        (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
        (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
        _ => VoteResult::Pending,
    }
}
