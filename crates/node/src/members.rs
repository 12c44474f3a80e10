//! What a group's leader does so that the group becomes what meta wants: brings up missing copies as learners, makes
//! them voters in one joint step once they have caught up, lets go of those that are wanted no longer, and hands
//! leadership to whom it is meant for.

use crate::hub::Hub;
use crate::meta::Placement;
use crate::replica::Replica;
use base::log::{ConfigStep, Transition};
use base::{ConfigChange, Duration, Index, ReplicaId, Time};
use bytes::Bytes;
use raft::ProgressState;

/// A follower that is this many entries behind, or fewer, has caught up: the rest comes with the next append.
const CAUGHT_UP_ENTRIES: u64 = 256;

/// A leader whose successor didn't take over leads on for so long before it tries again: nothing is written while
/// leadership is being handed over.
const HANDED_REST: Duration = Duration::from_secs(3);

impl Replica {
    /// One step towards the wanted membership, if this copy leads and nothing else is under way.
    pub(crate) fn tend_members(&mut self, hub: &mut Hub, wanted: &Placement) {
        if !self.serves() || self.raft.membership().is_joint() || self.raft.transferring_to().is_some() {
            return;
        }
        let Some(change) = self.next_change(hub, wanted) else { return };
        if self.raft.propose_config(change).is_ok() {
            hub.dirty.push(self.group);
        }
    }

    fn next_change(&self, hub: &Hub, wanted: &Placement) -> Option<ConfigChange> {
        let membership = self.raft.membership();
        let everybody = wanted.replicas.iter().chain(&wanted.learners);
        let missing: Vec<ConfigStep> = everybody
            .filter(|replica| !membership.contains(**replica))
            .map(|replica| ConfigStep::AddLearner(*replica))
            .collect();
        if !missing.is_empty() {
            base::mark!("missing_copies_become_learners");
            return Some(change(missing));
        }
        let new_voters: Vec<ReplicaId> =
            wanted.replicas.iter().filter(|replica| !membership.voters.contains(replica)).copied().collect();
        let old_voters: Vec<ReplicaId> =
            membership.voters.iter().filter(|replica| !wanted.replicas.contains(replica)).copied().collect();
        if !new_voters.is_empty() || !old_voters.is_empty() {
            // All new voters come in one step, so that the group is never of an even size in between.
            if !new_voters.iter().all(|replica| self.has_caught_up(hub, *replica)) {
                return None;
            }
            let mut steps: Vec<ConfigStep> = new_voters.into_iter().map(ConfigStep::AddVoter).collect();
            steps.extend(old_voters.into_iter().map(|replica| {
                let stays = wanted.learners.contains(&replica);
                if stays { ConfigStep::AddLearner(replica) } else { ConfigStep::Remove(replica) }
            }));
            return Some(change(steps));
        }
        let surplus: Vec<ConfigStep> = membership
            .learners
            .iter()
            .filter(|replica| !wanted.learners.contains(replica))
            .map(|replica| ConfigStep::Remove(*replica))
            .collect();
        if surplus.is_empty() { None } else { Some(change(surplus)) }
    }

    /// Whether a follower has (nearly) everything and is heard of.
    fn has_caught_up(&self, hub: &Hub, replica: ReplicaId) -> bool {
        let Some(progress) = self.raft.progress_of(replica) else { return false };
        let behind = self.raft.last_index().0.saturating_sub(progress.matched().0);
        progress.matched() > Index::ZERO
            && progress.state() == ProgressState::Replicate
            && behind <= CAUGHT_UP_ENTRIES
            && hub.now.since(progress.heard_at()) < hub.config.election_timeout
    }

    /// Hands leadership to the copy that shall have it, if that one is up to it.
    pub(crate) fn tend_leadership(&mut self, hub: &mut Hub, wanted: &Placement, settle: Duration) {
        let rests = hub.now.since(self.handed_at) < HANDED_REST && self.handed_at > Time::ZERO;
        if !self.serves() || rests || self.raft.transferring_to().is_some() {
            return;
        }
        let Some(preferred) = wanted.replicas.first().copied() else { return };
        let link = hub.peers.get(&preferred.node);
        let steady = link.is_some_and(|peer| {
            peer.up
                && peer.willing
                && hub.now.since(peer.up_since) > settle
                && hub.now.since(peer.heard) < hub.config.heartbeat_interval * 3
        });
        if preferred == self.raft.id() || !steady || !self.raft.membership().voters.contains(&preferred) {
            return;
        }
        if self.has_caught_up(hub, preferred)
            && self.closes_windows(hub.now)
            && self.raft.transfer(hub.now, preferred)
        {
            self.handed_at = hub.now;
            hub.dirty.push(self.group);
        }
    }

    /// Hands leadership to anybody who is up to it, before this node stops. Whether there is somebody.
    pub(crate) fn hand_over(&mut self, hub: &mut Hub) -> bool {
        if !self.raft.is_leader() {
            return false;
        }
        if self.raft.transferring_to().is_some() {
            return true;
        }
        let me = self.raft.id();
        let voters = self.raft.membership().voters.clone();
        let heir = voters
            .into_iter()
            .filter(|replica| *replica != me && self.has_caught_up(hub, *replica))
            .filter(|replica| hub.peers.get(&replica.node).is_some_and(|peer| peer.willing))
            .max_by_key(|replica| self.raft.progress_of(*replica).map(|progress| progress.matched()));
        match heir {
            Some(_) if !self.closes_windows(hub.now) => true,
            Some(heir) => {
                let begun = self.raft.transfer(hub.now, heir);
                hub.dirty.push(self.group);
                begun
            }
            None => false,
        }
    }
}

fn change(steps: Vec<ConfigStep>) -> ConfigChange {
    ConfigChange { transition: Transition::Auto, steps, context: Bytes::new() }
}
