//! What is written is found again; segments come and go; one process has a directory.

mod common;

use base::{GroupId, Index, NodeId, Rng, Term};
use bytes::Bytes;
use common::*;
use std::collections::BTreeMap;
use storage::memory::MemoryDisk;
use storage::{
    DiskCompletion, DiskRequest, Failure, Identity, Op, OpenError, Options, ReadError, SnapshotId, Store,
    Token,
};

#[test]
fn what_was_written_is_found_again() {
    let disk = MemoryDisk::new("data");
    let (mut store, recovery) = open(&disk);
    assert!(recovery.identity.is_none() && recovery.groups.is_empty() && recovery.notes.is_empty());
    let entries = [entry(1, 1, "one"), entry(1, 2, "two"), entry(2, 3, "three")];
    store.write(&[create(G1), state(G1, 2, 1, 0), append(G1, &entries)]).unwrap();
    assert_eq!(store.entries(G1, Index(2), Index(9), 1 << 20).unwrap(), entries[1..]);
    drop(store);
    let (mut store, recovery) = open(&disk);
    let group = &recovery.groups[&G1];
    assert_eq!(group.entries, entries);
    assert_eq!(group.hard_state.term.0, 2);
    assert!(group.doubt.is_none() && group.damaged.is_none() && recovery.notes.is_empty(), "{recovery:?}");
    assert_eq!(store.entries(G1, Index(1), Index(3), 0).unwrap(), entries[..1], "one is given in any case");
}

#[test]
fn one_write_of_many_ops_is_one_sync() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1), create(G2)]).unwrap();
    let before = disk.syncs();
    let ops = [append(G1, &[entry(1, 1, "a")]), append(G2, &[entry(1, 1, "b")]), state(G2, 1, 0, 1)];
    store.write(&ops).unwrap();
    assert_eq!(disk.syncs(), before + 1);
}

/// New blocks make a sync a quarter to a half slower (ext4 converts them in a journal of its own).
#[test]
fn small_batches_seldom_reach_new_blocks() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) =
        Store::open(vec![disk.handle()], Options { segment_bytes: 1 << 20, ..options() }).unwrap();
    store.write(&[create(G1)]).unwrap();
    let value = "v".repeat(100);
    let mut first_writes = Vec::new();
    for segment in 0..3_u64 {
        let before = disk.first_writes();
        for nth in 1..=5000 {
            let index = segment * 5000 + nth;
            store.write(&[append(G1, &[entry(1, index, &value)])]).unwrap();
        }
        store.write(&snapshot(G1, (segment + 1) * 5000, 1, &["all"], false)).unwrap();
        first_writes.push(disk.first_writes() - before);
    }
    // About a megabyte each time, 256 kB at once, and the beginnings of segments and snapshots.
    assert!(first_writes.iter().all(|count| *count <= 16), "{first_writes:?}");
}

#[test]
fn overwritten_entries_are_gone() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1), append(G1, &[entry(1, 1, "a"), entry(1, 2, "b"), entry(1, 3, "c")])]).unwrap();
    store.write(&[append(G1, &[entry(2, 2, "B")])]).unwrap();
    let expected = [entry(1, 1, "a"), entry(2, 2, "B")];
    assert_eq!(store.entries(G1, Index(1), Index(3), 1 << 20).unwrap(), expected);
    drop(store);
    assert_eq!(open(&disk).1.groups[&G1].entries, expected);
}

#[test]
fn starts_are_counted_durably() {
    let disk = MemoryDisk::new("data");
    let identity =
        Identity { cluster: 7 << 90, node: NodeId(3), start: 1, settings: Bytes::from_static(b"settings") };
    let (mut store, _) = open(&disk);
    store.write(&[Op::Identity(identity.clone())]).unwrap();
    drop(store);
    for start in 2..5 {
        let (store, recovery) = open(&disk);
        assert_eq!(recovery.identity, Some(Identity { start, ..identity.clone() }));
        drop(store);
        disk.crash(&mut Rng::new(start));
    }
}

#[test]
fn a_second_process_is_refused_with_a_sentence() {
    let disk = MemoryDisk::new("/var/lib/sihai");
    let _store = open(&disk);
    let error = Store::open(vec![disk.handle()], options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(error.to_string().contains("/var/lib/sihai is in use by another process"), "{error}");
}

#[test]
fn snapshots_free_segments_which_are_used_again() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1), create(G2), append(G2, &[entry(1, 1, "pins the log")])]).unwrap();
    let text = "x".repeat(2000);
    let mut report = None;
    for index in 1..=60 {
        report = Some(store.write(&[append(G1, &[entry(1, index, &text)])]).unwrap());
    }
    let report = report.unwrap();
    assert!(report.segments > 12, "{report:?}");
    assert_eq!(report.oldest_segment_groups, [G1, G2]);
    let report = store.write(&snapshot(G1, 40, 1, &["forty"], false)).unwrap();
    assert_eq!(report.oldest_segment_groups, [G2], "only who still has entries there pins it");
    store.write(&snapshot(G2, 1, 1, &["two"], false)).unwrap();
    let report = store.write(&snapshot(G1, 50, 1, &["fifty"], false)).unwrap();
    assert!(report.segments <= 6, "{report:?}");
    assert!(disk.names().contains(&"spare".to_owned()), "{:?}", disk.names());
    for index in 61..=200 {
        store.write(&[append(G1, &[entry(1, index, &text)])]).unwrap();
        if index % 10 == 0 {
            store.write(&snapshot(G1, index, 1, &["more"], false)).unwrap();
        }
    }
    store.write(&[append(G1, &[entry(1, 201, "last")])]).unwrap();
    drop(store);
    let (mut store, recovery) = open(&disk);
    assert_eq!(recovery.groups[&G1].entries, [entry(1, 201, "last")]);
    assert!(recovery.notes.is_empty(), "{:?}", recovery.notes);
    let report = store.write(&[]).unwrap();
    assert!(report.segments <= 6, "{report:?}");
}

#[test]
fn entries_larger_than_a_segment_are_kept() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    let large = [entry(1, 1, &"l".repeat(700_000)), entry(1, 2, &"m".repeat(300_000)), entry(1, 3, "small")];
    store.write(&[create(G1), append(G1, &large)]).unwrap();
    assert_eq!(store.entries(G1, Index(2), Index(3), u64::MAX).unwrap(), large[1..]);
    drop(store);
    assert_eq!(open(&disk).1.groups[&G1].entries, large);
}

#[test]
fn chunks_are_served_by_number_and_older_snapshots_are_removed() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1)]).unwrap();
    store.write(&snapshot(G1, 10, 2, &["first", "second"], true)).unwrap();
    let id = SnapshotId { index: Index(10), term: base::Term(2) };
    assert_eq!(store.chunk(G1, id, 1).unwrap(), "second");
    assert_eq!(store.chunk(G1, id, 2), Err(ReadError::Absent));
    let unfinished = &snapshot(G1, 20, 2, &["never", "done"], true)[..2];
    store.write(unfinished).unwrap();
    assert_eq!(disk.names().iter().filter(|name| name.starts_with("snapshot-")).count(), 2);
    drop(store);
    let (mut store, recovery) = open(&disk);
    assert_eq!(store.chunk(G1, id, 0).unwrap(), "first");
    assert_eq!(recovery.groups[&G1].snapshot.as_ref().unwrap().id(), id);
    assert_eq!(disk.names().iter().filter(|name| name.starts_with("snapshot-")).count(), 2);
    store.write(&snapshot(G1, 30, 2, &["newer"], true)).unwrap();
    assert_eq!(store.chunk(G1, id, 0), Err(ReadError::Absent));
    assert_eq!(disk.names().iter().filter(|name| name.starts_with("snapshot-")).count(), 1);
    store.write(&[append(G1, &[entry(3, 31, "goes on behind it")])]).unwrap();
    drop(store);
    assert_eq!(open(&disk).1.groups[&G1].entries, [entry(3, 31, "goes on behind it")]);
}

/// A slow disk gets the end of one replica and the first pieces of its successor in one batch.
#[test]
fn dropping_a_replica_spares_what_the_same_batch_writes_for_the_next() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1)]).unwrap();
    store.write(&snapshot(G1, 10, 1, &["old"], false)).unwrap();
    let mut ops = vec![storage::Op::DropReplica { group: G1 }, create(G1)];
    let mut next = snapshot(G1, 20, 2, &["new", "newer"], true);
    let rest = next.split_off(1);
    ops.extend(next);
    store.write(&ops).unwrap();
    store.write(&rest).unwrap();
    let id = SnapshotId { index: Index(20), term: Term(2) };
    assert_eq!(store.chunk(G1, id, 0).unwrap(), "new");
    assert_eq!(disk.names().iter().filter(|name| name.starts_with("snapshot-")).count(), 1);
    drop(store);
    assert_eq!(open(&disk).0.chunk(G1, id, 1).unwrap(), "newer");
}

#[test]
fn waiting_writes_become_one_batch_and_reads_see_them() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    let before = disk.syncs();
    let mut out = Vec::new();
    let requests = vec![
        DiskRequest::ReadEntries {
            token: Token(1),
            group: G1,
            first: Index(1),
            through: Index(1),
            bytes_max: 1,
        },
        DiskRequest::Write { token: Token(2), ops: vec![create(G1)] },
        DiskRequest::Write { token: Token(3), ops: vec![append(G1, &[entry(1, 1, "a")])] },
        DiskRequest::ReadChunk { token: Token(4), group: G1, snapshot: SnapshotId::default(), number: 0 },
    ];
    store.serve(requests, &mut out);
    assert_eq!(disk.syncs(), before + 1);
    assert!(matches!(&out[0], DiskCompletion::Written { token: Token(2), .. }));
    assert!(matches!(&out[1], DiskCompletion::Written { token: Token(3), .. }));
    assert!(
        matches!(&out[2], DiskCompletion::Entries { token: Token(1), entries, .. } if entries.len() == 1)
    );
    let DiskCompletion::Failed { token: Token(4), failure } = &out[3] else { panic!("{:?}", out[3]) };
    assert_eq!(*failure, Failure::Read(ReadError::Absent));
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    use storage::{Disk, DiskFile};
    let disk = MemoryDisk::new("home");
    disk.create("letters.txt").unwrap().write_at(0, b"dear").unwrap();
    let error = Store::open(vec![disk.handle()], Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_eq!(disk.names(), ["letters.txt"]);
}

#[test]
fn a_random_history_is_found_again_after_every_restart() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let disk = MemoryDisk::new("data");
        let mut model: BTreeMap<GroupId, storage::RecoveredGroup> = BTreeMap::new();
        let mut serial = 0;
        for _ in 0..12 {
            let (mut store, recovery) = open(&disk);
            for group in model.values_mut() {
                let end = last(group).0;
                group.hard_state.commit = Index(group.hard_state.commit.0.min(end));
            }
            assert_eq!(recovery.groups, model, "seed {seed}");
            assert!(recovery.notes.is_empty(), "seed {seed}: {:?}", recovery.notes);
            for _ in 0..rng.below(60) {
                let ops = random_ops(&mut rng, &mut model, &mut serial);
                store.write(&ops).unwrap();
            }
            drop(store);
            disk.kill();
        }
    }
}
