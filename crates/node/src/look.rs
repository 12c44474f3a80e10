//! The node looks at itself: what people, probes and checkers are told.

use crate::meta::Meta;
use crate::node::{Copy, Node};
use crate::overview::{
    CopyOverview, Counters, DatabaseOverview, GroupOverview, NodeOverview, Overview, OwnCopy, Transactions,
};
use crate::replica::Replica;
use base::{GroupId, Index, ReplicaId, Term, Time};
use std::collections::BTreeMap;

/// One own copy of a group, for checkers that look after every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The group.
    pub group: GroupId,
    /// The copy.
    pub replica: ReplicaId,
    /// Its term.
    pub term: Term,
    /// Whether it leads.
    pub leads: bool,
    /// The last entry of its log.
    pub last: Index,
    /// The last entry that it knows to be committed.
    pub committed: Index,
    /// The last entry that it has applied.
    pub applied: Index,
}

impl Node {
    /// Shows every own copy, in the order of the groups.
    pub fn probe(&self, visit: &mut dyn FnMut(Probe)) {
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            visit(Probe {
                group: replica.group,
                replica: replica.id(),
                term: replica.raft.term(),
                leads: replica.raft.is_leader(),
                last: replica.raft.last_index(),
                committed: replica.raft.commit_index(),
                applied: replica.applied(),
            });
        }
    }

    fn transaction_counts(&self) -> Transactions {
        let of_gateway = self.commits.gateway.counters();
        let mut counts = Transactions {
            in_flight: self.commits.gateway.in_flight() as u64,
            begun: of_gateway.begun,
            committed: of_gateway.committed,
            not_executed: of_gateway.not_executed,
            unknown: of_gateway.unknown,
            retries: of_gateway.tried_again,
            reads: of_gateway.reads,
            read_retries: of_gateway.read_again,
            ..self.hub.counters.transactions
        };
        for replica in self.replicas.iter().filter_map(Copy::as_live).filter(|replica| replica.serves()) {
            let transactions = &replica.transactions;
            counts.prepared += replica.machine.ledger.undos().count() as u64;
            counts.waiting += transactions.participant.waiting() as u64;
            counts.parked += transactions.parked() as u64;
            transactions.add_to(&mut counts);
        }
        counts
    }

    fn counters(&self) -> Counters {
        let timings = &self.hub.clients.timings;
        let (lazily_pending, lazily_freed) = self.reclaimed();
        Counters {
            lazily_pending,
            lazily_freed: lazily_freed.saturating_sub(self.before.freed),
            changes: self.changes().saturating_sub(self.before.changes),
            blocked_clients: (self.blocked.len() + self.pause.len()) as u64,
            tracking_clients: self.tracking.len() as u64,
            tracking_totals: self.tracking.totals().map(|total| total as u64),
            commands_by_name: timings
                .all()
                .into_iter()
                .map(|(name, calls)| {
                    let counts = [calls.calls, calls.took_us, calls.rejected, calls.failed];
                    (name, counts, [500, 990, 999].map(|permille| calls.permille_us(permille)))
                })
                .collect(),
            errors: self.hub.clients.errors.clone(),
            access_denied: self.access_log.counts(),
            transactions: self.transaction_counts(),
            ..self.hub.counters.clone()
        }
    }

    /// How much of this node's copies is still to be freed, and how much was freed little by little.
    fn reclaimed(&self) -> (u64, u64) {
        let keyspaces =
            self.replicas.iter().filter_map(Copy::as_live).filter_map(|copy| copy.machine.keyspace());
        keyspaces.map(keyspace::Keyspace::reclaimed).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// How many operations have changed something on this node's copies.
    fn changes(&self) -> u64 {
        self.replicas.iter().filter_map(Copy::as_live).map(|copy| copy.machine.changes).sum()
    }

    /// From now on, what was freed is counted anew.
    pub(crate) fn reset_freed(&mut self) {
        self.before.freed = self.reclaimed().1;
    }

    /// From now on, changes are counted anew.
    pub(crate) fn reset_changes(&mut self) {
        self.before.changes = self.changes();
    }

    /// Everything that INFO, status, metrics and probes render.
    pub fn overview(&self, now: Time) -> Overview {
        let now = self.hub.now.max(now);
        let mut overview = Overview {
            me: self.hub.me,
            loading: self.loading,
            counters: self.counters(),
            memory: self.hub.memory.limits,
            programs: self.count_programs(),
            machine: self.machine_facts.clone(),
            log_bytes: self.disk.log_bytes,
            mirrors_degraded: self.disk.degraded.clone(),
            wall: self.hub.clock.read(now),
            uptime_ms: now.since(self.started).as_millis() as u64,
            version: self.hub.config.version,
            ..Overview::default()
        };
        let Some(meta) = self.meta() else {
            overview.not_ready.push("this node has not heard from its cluster yet".into());
            return overview;
        };
        overview.cluster = meta.cluster();
        overview.epoch = meta.epoch();
        overview.shards = self.view.shards.len() as u32;
        overview.copies_wanted = meta.copies_wanted();
        overview.groups = meta.placement().keys().map(|group| self.group_overview(meta, *group)).collect();
        overview.nodes = self.node_overviews(meta, &overview.groups, now);
        overview.databases = self.database_overviews(meta);
        overview.not_ready = self.reasons(meta, &overview);
        overview.ready = overview.not_ready.is_empty();
        overview
    }

    fn group_overview(&self, meta: &Meta, group: GroupId) -> GroupOverview {
        let slots =
            meta.slots().ranges_of(group).map(|range| (range.first.number(), range.last.number())).collect();
        let mut overview =
            GroupOverview { group, slots, leader: self.leader_of(group), ..Default::default() };
        let hint = self.hub.leaders.get(group.0 as usize);
        overview.term = hint.map_or(Term(0), |hint| hint.term);
        let placement = meta.placement_of(group);
        let wanted = placement.into_iter().flat_map(|placement| {
            let voters = placement.replicas.iter().map(|replica| (*replica, true));
            voters.chain(placement.learners.iter().map(|replica| (*replica, false)))
        });
        overview.copies =
            wanted.map(|(replica, voter)| CopyOverview { replica, voter, durable: None }).collect();
        let Some(own) = self.replicas.get(group.0 as usize).and_then(Copy::as_live) else { return overview };
        overview.term = own.raft.term();
        // What the group has agreed on, not what meta wishes: who votes decides on how many disks a write is.
        if !own.raft.membership().voters.is_empty() {
            overview.copies = copies_of(own);
        }
        overview.own = Some(OwnCopy {
            leads: own.raft.is_leader(),
            last: own.raft.last_index(),
            committed: own.raft.commit_index(),
            applied: own.applied(),
            keys: own
                .machine
                .keyspace()
                .map_or(0, |keyspace| keyspace.database_ids().into_iter().map(|id| keyspace.len(id)).sum()),
            evicted: own.room.evicted,
            memory_bytes: own.machine.keyspace().map_or(0, |keyspace| keyspace.memory_bytes()),
            log_bytes: own.log_bytes,
        });
        overview
    }

    fn node_overviews(&self, meta: &Meta, groups: &[GroupOverview], now: Time) -> Vec<NodeOverview> {
        meta.active()
            .map(|(id, member)| {
                let peer = self.hub.peers.get(&id);
                let me = id == self.hub.me;
                NodeOverview {
                    id,
                    addresses: member.addresses.clone(),
                    linked: me || peer.is_some_and(|peer| peer.up),
                    silent_ms: peer.map_or(0, |peer| now.since(peer.heard).as_millis() as u64),
                    leads: groups.iter().filter(|group| group.leader == Some(id)).count(),
                    copies: meta.copies_on(id).count(),
                    clock_ahead_ms: if me { Some(0) } else { peer.and_then(|peer| peer.clock_ahead_ms) },
                }
            })
            .collect()
    }

    fn database_overviews(&self, meta: &Meta) -> Vec<DatabaseOverview> {
        let mut sums = BTreeMap::new();
        for keyspace in
            self.replicas.iter().filter_map(Copy::as_live).filter_map(|copy| copy.machine.keyspace())
        {
            for id in keyspace.database_ids() {
                let (keys, volatile) = sums.entry(id).or_insert((0, 0));
                *keys += keyspace.len(id);
                *volatile += keyspace.volatile_len(id);
            }
        }
        meta.databases()
            .iter()
            .filter_map(|(index, record)| {
                let (keys, volatile) = sums.get(&record.id).copied().unwrap_or_default();
                let shown = keys > 0 || record.name.is_some();
                let mode = record.mode.name();
                shown.then_some(DatabaseOverview { index: index.0, mode, keys, volatile })
            })
            .collect()
    }

    /// Why this node isn't ready to be sent traffic; empty if it is.
    fn reasons(&self, meta: &Meta, overview: &Overview) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.loading {
            reasons.push("the node is starting".to_string());
        }
        for group in &overview.groups {
            if group.leader.is_none() {
                reasons.push(format!("{} has no leader that this node can reach", group.group));
            }
            let Some(own) = self.replicas.get(group.group.0 as usize).and_then(Copy::as_live) else {
                if meta.placement_of(group.group).is_some_and(|wanted| wanted.on_node(self.hub.me).is_some())
                {
                    reasons.push(format!("this node's copy of {} is not here yet", group.group));
                }
                continue;
            };
            let membership = own.raft.membership();
            let voters = membership.voters.len();
            let wanted = meta.placement_of(group.group).map_or(1, |wanted| wanted.replicas.len());
            // Counted, but no more: with one loss further there might be no majority.
            let gone = membership.voters.iter().find(|voter| meta.active_member(voter.node).is_none());
            if voters < wanted || membership.is_joint() {
                reasons.push(format!("{} has {voters} of {wanted} voting copies", group.group));
            } else if let Some(gone) = gone {
                reasons.push(format!(
                    "{} still counts the copy on {}, which is no member any more",
                    group.group, gone.node
                ));
            }
        }
        reasons
    }
}

fn copies_of(replica: &Replica) -> Vec<CopyOverview> {
    let membership = replica.raft.membership();
    let me = replica.id();
    membership
        .members()
        .into_iter()
        .map(|copy| CopyOverview {
            replica: copy,
            voter: membership.is_voter(copy),
            durable: if !replica.raft.is_leader() {
                None
            } else if copy == me {
                Some(replica.raft.durable_index())
            } else {
                replica.raft.progress_of(copy).map(|progress| progress.matched())
            },
        })
        .collect()
}
