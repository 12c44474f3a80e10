//! State machine safety: replicas that have applied a group's log up to the same entry hold the same (Raft, figure 3).
//! What they hold is compared by digest, all through the run: an `apply` that depends on anything but the log, or a
//! snapshot that lacks something, shows as soon as two copies differ.

use super::Finding;
use base::{GroupId, Index, NodeId};
use std::collections::BTreeMap;

/// The digests seen so far.
#[derive(Debug, Default)]
pub struct Copies {
    seen: BTreeMap<(GroupId, Index), (u64, NodeId)>,
}

impl Copies {
    /// Looks at what one node says that it holds.
    pub fn observe(&mut self, node: NodeId, digests: &[(GroupId, Index, u64)]) -> Option<Finding> {
        digests.iter().find_map(|&(group, applied, digest)| {
            let (first, other) = *self.seen.entry((group, applied)).or_insert((digest, node));
            let text = || {
                format!("after entry {} of {group}, nodes {other} and {node} hold different data", applied.0)
            };
            (first != digest).then(|| Finding::new("copies", text()))
        })
    }

    /// How many states were seen.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Copies;
    use base::{GroupId, Index, NodeId};

    #[test]
    fn copies_that_differ_after_the_same_entry_are_seen() {
        let mut copies = Copies::default();
        let shard = GroupId(1);
        assert_eq!(copies.observe(NodeId(1), &[(shard, Index(5), 77)]), None);
        assert_eq!(copies.observe(NodeId(2), &[(shard, Index(5), 77), (shard, Index(6), 78)]), None);
        assert!(copies.observe(NodeId(3), &[(shard, Index(6), 79)]).is_some());
        assert_eq!(copies.len(), 2);
    }
}
