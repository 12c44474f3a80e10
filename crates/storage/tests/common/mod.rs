//! What the tests share: a small cluster's worth of operations, and a model of what they mean.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use base::log::Payload;
use base::{Entry, GroupId, HardState, Index, Membership, ReplicaId, Rng, Term};
use bytes::Bytes;
use std::collections::BTreeMap;
use storage::memory::MemoryDisk;
use storage::{ChunkInfo, Op, Options, RecoveredGroup, Recovery, SnapshotId, SnapshotRecord, Store};

pub const G1: GroupId = GroupId(1);
pub const G2: GroupId = GroupId(2);

/// Segments as short as they can be.
pub fn options() -> Options {
    Options { segment_bytes: Options::SEGMENT_BYTES_MIN, salt: 0x5a17, snapshot_sync_bytes: 1024 }
}

pub fn open(disk: &MemoryDisk) -> (Store<MemoryDisk>, Recovery) {
    open_all(std::slice::from_ref(disk))
}

pub fn open_all(disks: &[MemoryDisk]) -> (Store<MemoryDisk>, Recovery) {
    Store::open(disks.iter().map(MemoryDisk::handle).collect(), options()).expect("the store opens")
}

pub fn entry(term: u64, index: u64, text: &str) -> Entry {
    let payload = Payload::Command(Bytes::copy_from_slice(text.as_bytes()));
    Entry { term: Term(term), index: Index(index), payload }
}

pub fn create(group: GroupId) -> Op {
    Op::CreateReplica { group, replica: ReplicaId::new(1, group.0) }
}

pub fn append(group: GroupId, entries: &[Entry]) -> Op {
    Op::Append { group, entries: entries.to_vec() }
}

pub fn state(group: GroupId, term: u64, vote: u32, commit: u64) -> Op {
    let vote = (vote > 0).then(|| ReplicaId::new(vote, 1));
    Op::HardState { group, state: HardState { term: Term(term), vote, commit: Index(commit) } }
}

/// The ops that write a snapshot of these chunks.
pub fn snapshot(group: GroupId, index: u64, term: u64, chunks: &[&str], reset_log: bool) -> Vec<Op> {
    let id = SnapshotId { index: Index(index), term: Term(term) };
    let mut ops = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        ops.push(Op::SnapshotChunk {
            group,
            snapshot: id,
            number: number as u32,
            bytes: Bytes::copy_from_slice(chunk.as_bytes()),
        });
    }
    let snapshot = SnapshotRecord {
        index: id.index,
        term: id.term,
        membership: Membership::of_voters([ReplicaId::new(1, 1)]),
        chunks: chunks.iter().map(|chunk| ChunkInfo::of(chunk.as_bytes())).collect(),
    };
    ops.push(Op::SnapshotDone { group, snapshot, reset_log });
    ops
}

/// Applies an op to the model, which is what recovery would say.
pub fn apply(model: &mut BTreeMap<GroupId, RecoveredGroup>, op: &Op) {
    match op {
        Op::CreateReplica { group, replica } => {
            model.insert(*group, RecoveredGroup { replica: *replica, ..RecoveredGroup::default() });
        }
        Op::DropReplica { group } => {
            model.remove(group);
        }
        Op::HardState { group, state } => model.get_mut(group).expect("a replica").hard_state = *state,
        Op::Append { group, entries } => {
            let log = &mut model.get_mut(group).expect("a replica").entries;
            if let Some(first) = entries.first() {
                log.retain(|entry| entry.index < first.index);
                log.extend(entries.iter().cloned());
            }
        }
        Op::SnapshotDone { group, snapshot, reset_log } => {
            let here = model.get_mut(group).expect("a replica");
            here.entries.retain(|entry| !reset_log && entry.index > snapshot.index);
            here.snapshot = Some(snapshot.clone());
            here.partial = here.partial.filter(|partial| partial.index > snapshot.index);
        }
        Op::DoubtSettled { group } => model.get_mut(group).expect("a replica").doubt = None,
        Op::Identity(_) | Op::SnapshotChunk { .. } | Op::SnapshotAbandon { .. } => {}
    }
}

/// What is promised of what recovery says: chunks of a snapshot that wasn't done may be here or not.
pub fn promised(mut groups: BTreeMap<GroupId, RecoveredGroup>) -> BTreeMap<GroupId, RecoveredGroup> {
    for group in groups.values_mut() {
        group.partial = None;
    }
    groups
}

/// The last index and term of a replica in the model.
pub fn last(group: &RecoveredGroup) -> (u64, u64) {
    let snapshot = group.snapshot.as_ref().map_or((0, 0), |record| (record.index.0, record.term.0));
    group.entries.last().map_or(snapshot, |entry| (entry.index.0, entry.term.0))
}

/// A few random ops that make sense after `model`, which they are applied to.
pub fn random_ops(rng: &mut Rng, model: &mut BTreeMap<GroupId, RecoveredGroup>, serial: &mut u64) -> Vec<Op> {
    let mut ops = Vec::new();
    for _ in 0..rng.between(1, 4) {
        let group = GroupId(rng.below(4) as u32);
        let made = random_op(rng, model.get(&group), group, serial);
        for op in &made {
            apply(model, op);
        }
        ops.extend(made);
    }
    ops
}

fn random_op(rng: &mut Rng, here: Option<&RecoveredGroup>, group: GroupId, serial: &mut u64) -> Vec<Op> {
    *serial += 1;
    let Some(here) = here else {
        return vec![Op::CreateReplica { group, replica: ReplicaId::new(1, *serial as u32) }];
    };
    let (last_index, last_term) = last(here);
    match rng.below(20) {
        0 => vec![Op::DropReplica { group }],
        1..=3 => {
            let term = here.hard_state.term.0.max(last_term) + rng.below(2);
            vec![state(group, term, rng.below(4) as u32, last_index)]
        }
        4..=5 => {
            let upto = rng.below(here.entries.len() as u64 + 1) as usize;
            let Some(covered) = upto.checked_sub(1).map(|nth| &here.entries[nth]) else { return Vec::new() };
            let text = "s".repeat(rng.below(700) as usize);
            snapshot(group, covered.index.0, covered.term.0, &[&text, "second"], false)
        }
        6 => {
            let (index, term) = (last_index + rng.between(1, 50), last_term + 1);
            snapshot(group, index, term, &["whole"], true)
        }
        7 if here.doubt.is_some() => vec![Op::DoubtSettled { group }],
        _ => {
            let back = if rng.chance(1, 5) { rng.below(here.entries.len() as u64 + 1) } else { 0 };
            let first = last_index + 1 - back;
            let term = last_term.max(1) + u64::from(back > 0);
            let mut entries = Vec::new();
            for index in first..first + rng.between(1, 6) {
                let text = format!("{serial}:{index}:").repeat(1 + rng.below(40) as usize);
                entries.push(entry(term, index, &text));
            }
            vec![append(group, &entries)]
        }
    }
}
