//! What only grows while a replica's process lives: its term, what it knows to be committed and what it has applied; and
//! applied never passes committed, nor committed the log (Raft, section 5.1 and figure 2). A restart may forget what
//! wasn't durable yet and so wasn't told to anybody; what it may not forget shows in `super::elections`.

use super::Finding;
use crate::world::Probe;
use base::{GroupId, ReplicaId};
use std::collections::BTreeMap;

/// What has been seen of all replicas.
#[derive(Debug, Default)]
pub struct Logs {
    seen: BTreeMap<(GroupId, ReplicaId), Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Which start of the process.
    start: u64,
    probe: Probe,
}

impl Logs {
    /// Looks at one replica after a step; `start` names the start of its process, never twice.
    pub fn observe(&mut self, start: u64, probe: &Probe) -> Option<Finding> {
        let before = self.seen.insert((probe.group, probe.replica), Seen { start, probe: *probe });
        let broken = if probe.applied > probe.committed {
            Some("has applied what isn't committed")
        } else if probe.committed > probe.last {
            Some("has committed what isn't in its log")
        } else if let Some(Seen { start: earlier, probe: before }) = &before {
            if *earlier != start {
                None
            } else if probe.term < before.term {
                Some("went back to an earlier term")
            } else if probe.committed < before.committed {
                Some("forgot a commit")
            } else if probe.applied < before.applied {
                Some("applied backwards")
            } else {
                None
            }
        } else {
            None
        };
        let before = before.map(|seen| seen.probe);
        broken.map(|what| {
            let Probe { group, replica, .. } = probe;
            Finding::new("logs", format!("{replica} of {group} {what}: {probe:?} after {before:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Logs;
    use crate::world::Probe;
    use base::{GroupId, Index, ReplicaId, Term};

    fn probe(term: u64, last: u64, committed: u64, applied: u64) -> Probe {
        Probe {
            group: GroupId(1),
            replica: ReplicaId::new(1, 1),
            term: Term(term),
            leads: false,
            last: Index(last),
            committed: Index(committed),
            applied: Index(applied),
        }
    }

    #[test]
    fn a_restart_may_forget_what_nobody_was_told() {
        let mut logs = Logs::default();
        assert_eq!(logs.observe(1, &probe(3, 9, 8, 8)), None);
        assert_eq!(logs.observe(2, &probe(2, 9, 0, 0)), None);
        assert!(logs.observe(2, &probe(1, 9, 0, 0)).is_some());
    }

    #[test]
    fn nothing_goes_back_and_nothing_overtakes() {
        for broken in
            [probe(2, 9, 8, 8), probe(3, 9, 7, 7), probe(3, 9, 8, 7), probe(3, 9, 8, 9), probe(3, 7, 8, 8)]
        {
            let mut logs = Logs::default();
            assert_eq!(logs.observe(1, &probe(3, 9, 8, 8)), None);
            assert!(logs.observe(1, &broken).is_some(), "{broken:?}");
        }
    }
}
