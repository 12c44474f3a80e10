//! How a node begins: the first things that a founder or a newcomer writes to its disk, and the way from what a disk
//! holds to copies that take part.

use crate::api::{Config, Level};
use crate::hub::Waiter;
use crate::install::Partial;
use crate::invalidations::Change;
use crate::load::Load;
use crate::machine::{Machine, State};
use crate::meta::{Meta, MetaCommand};
use crate::node::{Copy, Node};
use crate::op::Op;
use crate::replica::Replica;
use base::codec::{DecodeError, Decoder, Encode, Encoder};
use base::{GroupId, HardState, Index, Membership, NodeId, ReplicaId, Rng, Term};
use bytes::Bytes;
use keyspace::Keyspace;
use raft::Raft;
use std::collections::BTreeMap;
use storage::{ChunkInfo, Identity, Op as DiskOp, RecoveredGroup, SnapshotId, SnapshotRecord};

/// A copy whose snapshot is being read from the disk.
#[derive(Debug)]
pub struct Loading {
    pub(crate) id: ReplicaId,
    recovered: RecoveredGroup,
    pub(crate) load: Load,
}

impl Node {
    /// The first operations of a node that founds a cluster of one: to be written to an empty store, in one write, which
    /// is then opened anew. Every group begins as if a snapshot of nothing had been taken at index 1.
    pub fn found(config: &Config, cluster: u128) -> Vec<DiskOp> {
        let mut rng = Rng::new(config.seed ^ cluster as u64 ^ (cluster >> 64) as u64);
        let hash_key = [rng.next_u64(), rng.next_u64()];
        let meta = Meta::founding(config, cluster, hash_key);
        let mut ops =
            vec![DiskOp::Identity(Identity { cluster, node: NodeId(1), start: 0, settings: Bytes::new() })];
        for (group, placement) in meta.placement() {
            for replica in placement.all() {
                let state = match group.is_meta() {
                    true => State::Meta(Box::new(meta.clone())),
                    false => State::Shard(Keyspace::new(hash_key)),
                };
                ops.extend(found_group(*group, replica, state));
            }
        }
        ops
    }

    /// The first operation of a node that a cluster has welcomed.
    pub fn join(cluster: u128, node: NodeId) -> Vec<DiskOp> {
        vec![DiskOp::Identity(Identity { cluster, node, start: 0, settings: Bytes::new() })]
    }

    /// Reads what the disk holds of every group.
    pub(crate) fn begin_loading(&mut self, identity: &Identity, groups: BTreeMap<GroupId, RecoveredGroup>) {
        match read_generations(identity.settings.clone()) {
            Ok(generations) => self.generations = generations,
            Err(error) => self.hub.fatal(format!("the node's own settings on disk can't be read: {error}")),
        }
        for (group, mut recovered) in groups {
            self.ensure_group(group);
            let id = recovered.replica;
            if let Some(why) = recovered.damaged.take() {
                self.replace_damaged(group, id, &why);
                continue;
            }
            match recovered.snapshot.take() {
                Some(record) => {
                    let load = Load::begin(&mut self.hub, group, record);
                    let loading = Loading { id, recovered, load };
                    self.replicas[group.0 as usize] = Copy::Loading(Box::new(loading));
                }
                None => self.enliven_loaded(
                    group,
                    id,
                    recovered,
                    SnapshotRecord::default(),
                    Machine::new(State::Blank),
                ),
            }
        }
    }

    /// What can't be trusted doesn't take part: meta is asked for a new copy in its place. What is on the disk stays there
    /// until that one comes; if there is no other copy, meta refuses, and a person must decide.
    pub(crate) fn replace_damaged(&mut self, group: GroupId, id: ReplicaId, why: &str) {
        self.hub.note(
            Level::Error,
            format!(
                "this node's copy of {group} can't be trusted ({why}): it takes part no longer and comes back as a new \
                 one from the others. If there are no others, nothing is served of it; restore the directory"
            ),
        );
        self.note_generation(group, id.generation);
        self.damaged.insert(group);
        self.replicas[group.0 as usize] = Copy::None;
        self.ask_for_lost();
    }

    /// Forgets a copy, on disk too, and that its generation must never come again.
    pub(crate) fn drop_copy(&mut self, group: GroupId, id: ReplicaId) {
        self.note_generation(group, id.generation);
        let identity = Identity {
            cluster: self.cluster,
            node: self.hub.me,
            start: self.hub.session.start,
            settings: write_generations(&self.generations),
        };
        // In this order: of one write, a power cut may leave the beginning.
        self.hub.disk_ops.push(DiskOp::Identity(identity));
        self.hub.disk_ops.push(DiskOp::DropReplica { group });
        self.replicas[group.0 as usize] = Copy::None;
        if self.hub.tracks {
            // Nobody tells this node of later changes.
            self.hub.changes.push(Change::anything());
        }
    }

    /// Copies that meta wants here and that were given up must come back as new ones: asks for them, until it is so.
    pub(crate) fn ask_for_lost(&mut self) {
        for (group, generation) in self.generations.clone() {
            let replica = ReplicaId { node: self.hub.me, generation };
            let here = !matches!(self.replicas.get(group.0 as usize), None | Some(Copy::None));
            let wanted = self.meta().is_none_or(|meta| {
                meta.placement_of(group).is_some_and(|placement| placement.all().any(|copy| copy == replica))
            });
            if !here && wanted {
                base::mark!("a_lost_copy_is_asked_for");
                let command = MetaCommand::ReplaceReplica { group, replica }.to_bytes();
                self.ensure_group(GroupId::META);
                self.write(GroupId::META, Waiter::Nobody, &Op::Meta(&command));
            }
        }
    }

    /// The snapshot of a copy is loaded: it takes part from now on.
    pub(crate) fn finish_loading(&mut self, group: GroupId, machine: Machine) {
        let Copy::Loading(loading) = std::mem::replace(&mut self.replicas[group.0 as usize], Copy::None)
        else {
            return;
        };
        let Loading { id, recovered, load } = *loading;
        self.enliven_loaded(group, id, recovered, load.record().clone(), machine);
    }

    fn enliven_loaded(
        &mut self,
        group: GroupId,
        id: ReplicaId,
        recovered: RecoveredGroup,
        record: SnapshotRecord,
        machine: Machine,
    ) {
        let log_bytes = recovered.entries.iter().map(|entry| entry.weight() as u64).sum();
        let has_snapshot = record.index > Index::ZERO;
        let raft = self.make_raft(
            id,
            group,
            raft::Recovered {
                hard_state: recovered.hard_state,
                membership: record.membership.clone(),
                snapshot_index: record.index,
                snapshot_term: record.term,
                snapshot_manifest: if has_snapshot { record.to_bytes() } else { Bytes::new() },
                entries: recovered.entries,
                doubtful_tail: recovered.doubt.map(|doubt| raft::DoubtfulTail { last: doubt.last }),
            },
        );
        let mut replica = Replica::new(group, raft, machine);
        replica.log_bytes = log_bytes;
        replica.applied_term = record.term;
        replica.partial = recovered.partial.map(|id| Partial { id, since: self.hub.now });
        let plain = replica.machine.holds_nothing();
        replica.set_snapshot(record, plain);
        self.enliven(replica);
    }

    pub(crate) fn make_raft(&mut self, id: ReplicaId, group: GroupId, recovered: raft::Recovered) -> Raft {
        let config = &self.hub.config;
        let seed = self.hub.rng.next_u64() ^ u64::from(group.0);
        let config = raft::Config {
            election_timeout: config.election_timeout,
            heartbeat_interval: config.heartbeat_interval,
            clock_drift_permille: config.clock_drift_permille,
            lease_reads: config.lease_reads,
            append_bytes_max: config.append_bytes_max,
            #[cfg(feature = "bugs")]
            bugs: config.bugs.raft,
            ..raft::Config::new(id, seed)
        };
        Raft::new(config, recovered, self.hub.now)
    }
}

/// The node's own settings beside its identity: the newest generation of every group that has lived here and was
/// forgotten (a list of u32 group, u32 generation).
fn write_generations(generations: &BTreeMap<GroupId, u32>) -> Bytes {
    let mut bytes = Vec::new();
    let mut to = Encoder::new(&mut bytes);
    to.u32(generations.len() as u32);
    for (group, generation) in generations {
        to.u32(group.0);
        to.u32(*generation);
    }
    bytes.into()
}

fn read_generations(settings: Bytes) -> Result<BTreeMap<GroupId, u32>, DecodeError> {
    let mut from = Decoder::new(settings);
    let mut generations = BTreeMap::new();
    if !from.is_empty() {
        for _ in 0..from.u32()? {
            generations.insert(GroupId(from.u32()?), from.u32()?);
        }
    }
    Ok(generations)
}

/// What makes a group's first copy: it is born with a snapshot of its empty state.
fn found_group(group: GroupId, replica: ReplicaId, state: State) -> Vec<DiskOp> {
    let snapshot = SnapshotId { index: Index(1), term: Term(1) };
    let mut machine = Machine::new(state);
    machine.applied = snapshot.index;
    machine.begin_snapshot();
    let mut ops = vec![DiskOp::CreateReplica { group, replica }];
    let mut chunks = Vec::new();
    while let Some(chunk) = machine.next_chunk(usize::MAX) {
        chunks.push(ChunkInfo::of(&chunk));
        let number = chunks.len() as u32 - 1;
        ops.push(DiskOp::SnapshotChunk { group, snapshot, number, bytes: Bytes::from(chunk) });
    }
    let membership = Membership::of_voters([replica]);
    let record = SnapshotRecord { index: snapshot.index, term: snapshot.term, membership, chunks };
    ops.push(DiskOp::SnapshotDone { group, snapshot: record, reset_log: true });
    let state = HardState { term: snapshot.term, vote: None, commit: snapshot.index };
    ops.push(DiskOp::HardState { group, state });
    ops
}
