//! Changes of membership: the maths (Ongaro's dissertation, chapter 4). When a change takes effect is at the end of
//! this file: where its entry is applied, on every replica alike.
//!
//! That a change counts only from where it is applied is safe because three rules hold together: a leader proposes
//! the next one only when it has applied the one before; whoever has an entry in its log also knows everything before
//! the previous change to be committed (a commit index travels and is written down with the entries that it came
//! with); and nobody campaigns before it has applied every change that it knows to be committed. So a candidate is
//! behind the newest committed configuration by at most one change, and neighbouring configurations share a majority.

use alloc::collections::BTreeSet;
use base::log::{ConfigStep, Transition};
use base::{ConfigChange, Membership, NodeId, ReplicaId};

/// Why a change of membership can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Two majorities are needed already; that must end before another change.
    AlreadyJoint,
    /// There is no joint configuration to leave.
    NotJoint,
    /// Nobody could decide anything any more.
    NoVoters,
    /// Where nobody votes, two majorities can't be asked.
    NothingToJoin,
    /// Several voters change at once, which only a joint configuration may do.
    TooManyVotersChange,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ConfigError::AlreadyJoint => {
                "an earlier change of members is still under way; retry when it is done"
            }
            ConfigError::NotJoint => "no change of members is under way that could be ended",
            ConfigError::NoVoters => {
                "the group would be left without a voter, and nothing could be decided any more"
            }
            ConfigError::NothingToJoin => "the group has no voters that could agree to the change",
            ConfigError::TooManyVotersChange => {
                "several voters can only be changed together by a joint change"
            }
        })
    }
}

impl core::error::Error for ConfigError {}

/// The members after `change`.
pub fn changed(members: &Membership, change: &ConfigChange) -> Result<Membership, ConfigError> {
    match change.transition {
        Transition::Auto if change.steps.is_empty() => leave_joint(members),
        Transition::Auto => match simple(members, &change.steps) {
            Err(ConfigError::TooManyVotersChange) => enter_joint(members, &change.steps, true),
            result => result,
        },
        Transition::JointImplicit => enter_joint(members, &change.steps, true),
        Transition::JointExplicit => enter_joint(members, &change.steps, false),
    }
}

/// The members after a change of at most one voter and any number of learners.
pub fn simple(members: &Membership, steps: &[ConfigStep]) -> Result<Membership, ConfigError> {
    if members.is_joint() {
        return Err(ConfigError::AlreadyJoint);
    }
    let after = with_steps(members.clone(), steps)?;
    // With none before, the first voters of a group come in.
    if members.voters.symmetric_difference(&after.voters).count() > 1 {
        return Err(ConfigError::TooManyVotersChange);
    }
    Ok(after)
}

/// The members while the voters of before and those of after `steps` both decide.
pub fn enter_joint(
    members: &Membership,
    steps: &[ConfigStep],
    auto_leave: bool,
) -> Result<Membership, ConfigError> {
    if members.is_joint() {
        return Err(ConfigError::AlreadyJoint);
    }
    if members.voters.is_empty() {
        return Err(ConfigError::NothingToJoin);
    }
    let mut joint = members.clone();
    joint.outgoing.clone_from(&members.voters);
    let mut joint = with_steps(joint, steps)?;
    joint.auto_leave = auto_leave;
    Ok(joint)
}

/// The members when only the new voters decide.
pub fn leave_joint(members: &Membership) -> Result<Membership, ConfigError> {
    if !members.is_joint() {
        return Err(ConfigError::NotJoint);
    }
    let mut learners = members.learners.clone();
    learners.extend(&members.learners_next);
    Ok(Membership { voters: members.voters.clone(), learners, ..Membership::default() })
}

fn with_steps(mut members: Membership, steps: &[ConfigStep]) -> Result<Membership, ConfigError> {
    for step in steps {
        match *step {
            // Nobody lives on no node.
            ConfigStep::AddVoter(id) | ConfigStep::AddLearner(id) | ConfigStep::Remove(id)
                if id.node == NodeId::NONE => {}
            ConfigStep::AddVoter(id) => {
                forget(&mut members, id);
                members.voters.insert(id);
            }
            ConfigStep::AddLearner(id) => {
                forget(&mut members, id);
                // Who still decides in the old half can't be a learner yet.
                let outgoing = members.outgoing.contains(&id);
                let set = if outgoing { &mut members.learners_next } else { &mut members.learners };
                set.insert(id);
            }
            ConfigStep::Remove(id) => forget(&mut members, id),
            ConfigStep::Update(_) => {}
        }
    }
    if members.voters.is_empty() { Err(ConfigError::NoVoters) } else { Ok(members) }
}

fn forget(members: &mut Membership, id: ReplicaId) {
    for set in [&mut members.voters, &mut members.learners, &mut members.learners_next] {
        set.remove(&id);
    }
}

/// Whether it can be the membership of a group: what every change keeps true.
pub(crate) fn is_sane(members: &Membership) -> bool {
    let disjoint = |a: &BTreeSet<ReplicaId>, b: &BTreeSet<ReplicaId>| a.intersection(b).next().is_none();
    let Membership { voters, outgoing, learners, learners_next, auto_leave } = members;
    disjoint(learners, voters)
        && disjoint(learners, outgoing)
        && learners_next.is_subset(outgoing)
        && disjoint(learners_next, voters)
        && (members.is_joint() || !auto_leave)
}
