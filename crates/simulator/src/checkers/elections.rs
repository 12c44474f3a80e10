//! Election safety: at most one leader can be elected in a given term; and leader completeness: a leader's log has every
//! entry that was committed in earlier terms (Ongaro and Ousterhout, "In Search of an Understandable Consensus
//! Algorithm", 2014, figure 3). A replica that votes twice in a term, or under a name that isn't its own, breaks both.

use super::Finding;
use crate::world::Probe;
use base::{GroupId, Index, ReplicaId, Term};
use std::collections::BTreeMap;

/// What has been seen of all groups.
#[derive(Debug, Default)]
pub struct Elections {
    leaders: BTreeMap<(GroupId, Term), ReplicaId>,
    /// The furthest commit of each group, and a term in which it was known.
    committed: BTreeMap<GroupId, (Index, Term)>,
}

impl Elections {
    /// Looks at one replica after a step.
    pub fn observe(&mut self, probe: &Probe) -> Option<Finding> {
        let Probe { group, replica, term, last, committed, .. } = *probe;
        let furthest = self.committed.entry(group).or_default();
        if committed > furthest.0 {
            *furthest = (committed, term);
        }
        if !probe.leads {
            return None;
        }
        match self.leaders.insert((group, term), replica) {
            Some(other) if other != replica => {
                let text = format!("{group} has two leaders in term {}: {other} and {replica}", term.0);
                Some(Finding::new("elections", text))
            }
            None if furthest.1 < term && last < furthest.0 => {
                let text = format!(
                    "{replica} leads {group} in term {} with a log up to {}, but {} was committed in term {}",
                    term.0, last.0, furthest.0.0, furthest.1.0
                );
                Some(Finding::new("elections", text))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Elections;
    use crate::world::Probe;
    use base::{GroupId, Index, ReplicaId, Term};

    fn leader(node: u32, term: u64, last: u64, committed: u64) -> Probe {
        Probe {
            group: GroupId(1),
            replica: ReplicaId::new(node, 1),
            term: Term(term),
            leads: true,
            last: Index(last),
            committed: Index(committed),
            applied: Index(committed),
        }
    }

    #[test]
    fn one_leader_a_term_is_right_and_two_are_seen() {
        let mut elections = Elections::default();
        assert_eq!(elections.observe(&leader(1, 1, 1, 1)), None);
        assert_eq!(elections.observe(&leader(2, 2, 2, 2)), None);
        assert_eq!(elections.observe(&leader(1, 1, 1, 1)), None);
        assert!(elections.observe(&leader(3, 2, 5, 2)).is_some());
    }

    #[test]
    fn a_leader_without_a_committed_entry_is_seen() {
        let mut elections = Elections::default();
        assert_eq!(elections.observe(&leader(1, 1, 7, 7)), None);
        assert!(elections.observe(&leader(2, 2, 6, 3)).is_some());
    }
}
