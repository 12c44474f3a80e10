//! RAID in one computer: what is on one of several directories is on all of them, or is said not to be.

mod common;

use base::{Index, NodeId, Rng, Term};
use bytes::Bytes;
use common::*;
use std::collections::BTreeMap;
use storage::memory::MemoryDisk;
use storage::{Doubt, Identity, Op, OpenError, SnapshotId, Store, WriteError, check};

fn pair() -> [MemoryDisk; 2] {
    [MemoryDisk::new("a"), MemoryDisk::new("b")]
}

fn identity(cluster: u128) -> Op {
    Op::Identity(Identity { cluster, node: NodeId(1), start: 1, settings: Bytes::new() })
}

fn files(disk: &MemoryDisk) -> BTreeMap<String, Option<Vec<u8>>> {
    let log = |name: &String| name.starts_with("log-") || name.starts_with("snapshot-");
    disk.names().into_iter().filter(log).map(|name| (name.clone(), disk.content(&name))).collect()
}

#[test]
fn mirrors_hold_the_same_bytes() {
    let disks = pair();
    let (mut store, _) = open_all(&disks);
    let (mut model, mut serial, mut rng) = (BTreeMap::new(), 0, Rng::new(4));
    for _ in 0..100 {
        let ops = random_ops(&mut rng, &mut model, &mut serial);
        assert!(store.write(&ops).unwrap().degraded.is_empty());
    }
    assert_eq!(files(&disks[0]), files(&disks[1]));
}

#[test]
fn a_failing_mirror_is_dropped_and_said_and_the_store_goes_on() {
    let disks = pair();
    let (mut store, _) = open_all(&disks);
    store.write(&[create(G1), append(G1, &[entry(1, 1, "on both")])]).unwrap();
    disks[1].fail_nth(1, true);
    let report = store.write(&[append(G1, &[entry(1, 2, "on one")])]).unwrap();
    assert_eq!(report.degraded, ["b"]);
    assert!(report.notes[0].0.contains("b takes part no longer"), "{report:?}");
    let report = store.write(&[append(G1, &[entry(1, 3, "on one, too")])]).unwrap();
    assert_eq!((report.degraded, report.notes), (vec!["b".to_owned()], vec![]));
    drop(store);
    disks[1].kill();
    // It comes back with what it missed, and neither is in doubt.
    let (store, recovery) = open_all(&disks);
    assert_eq!(recovery.groups[&G1].entries.len(), 3);
    assert_eq!(recovery.groups[&G1].doubt, None);
    assert!(
        recovery.notes.iter().any(|note| note.0.contains("b had missed something")),
        "{:?}",
        recovery.notes
    );
    drop(store);
    assert_eq!(files(&disks[0]), files(&disks[1]));
    let (_, recovery) = open(&disks[1]);
    assert_eq!(recovery.groups[&G1].entries.len(), 3);
}

#[test]
fn a_mirror_that_may_have_missed_something_is_in_doubt_when_it_is_alone() {
    let disks = pair();
    let (mut store, _) = open_all(&disks);
    store.write(&[create(G1), append(G1, &[entry(1, 1, "on both")])]).unwrap();
    disks[1].fail_nth(1, true);
    store.write(&[append(G1, &[entry(1, 2, "on one")])]).unwrap();
    drop(store);
    disks[1].kill();
    let (store, recovery) = open(&disks[1]);
    assert_eq!(recovery.groups[&G1].doubt, Some(Doubt { last: None }), "it can't know what it missed");
    assert_eq!(recovery.groups[&G1].entries.len(), 1);
    drop(store);
    // Now each has been used without the other.
    let error = Store::open(vec![disks[0].handle(), disks[1].handle()], options()).unwrap_err();
    assert!(matches!(error, OpenError::Diverged { .. }), "{error}");
    // The one that went on knows that it is alone and is in no doubt.
    let (_, recovery) = open(&disks[0]);
    assert_eq!((recovery.groups[&G1].entries.len(), recovery.groups[&G1].doubt), (2, None));
}

#[test]
fn an_empty_directory_becomes_a_mirror() {
    let disks = pair();
    let (mut store, _) = open(&disks[0]);
    let text = "x".repeat(3000);
    store.write(&[create(G1), create(G2)]).unwrap();
    for index in 1..30 {
        store.write(&[append(G1, &[entry(1, index, &text)])]).unwrap();
    }
    store.write(&snapshot(G2, 9, 1, &["snapshots", "too"], true)).unwrap();
    drop(store);
    let (store, recovery) = open_all(&disks);
    assert!(recovery.notes[0].0.contains("b is a new mirror"), "{:?}", recovery.notes);
    assert_eq!(files(&disks[0]), files(&disks[1]));
    drop(store);
    disks[0].wipe();
    let (mut store, recovery) = open_all(&disks);
    assert_eq!(recovery.groups[&G1].entries.len(), 29);
    assert_eq!(store.chunk(G2, SnapshotId { index: Index(9), term: Term(1) }, 1).unwrap(), "too");
    drop(store);
    let report = check(disks.iter().map(MemoryDisk::handle).collect()).unwrap();
    assert!(report.is_sound() && report.mirrors.len() == 2, "{report}");
    let (_, recovery) = open(&disks[0]);
    assert_eq!(recovery.groups[&G1].entries.len(), 29);
}

#[test]
fn a_lost_snapshot_file_is_copied_back() {
    use storage::Disk;
    let disks = pair();
    let (mut store, _) = open_all(&disks);
    store.write(&[create(G1)]).unwrap();
    store.write(&snapshot(G1, 9, 1, &["kept"], true)).unwrap();
    drop(store);
    let name = disks[0].names().into_iter().find(|name| name.starts_with("snapshot-")).unwrap();
    disks[0].remove(&name).unwrap();
    let (store, recovery) = open_all(&disks);
    assert!(recovery.groups[&G1].damaged.is_none());
    assert!(recovery.notes[0].0.contains("it was copied from another mirror"), "{:?}", recovery.notes);
    drop(store);
    assert_eq!(files(&disks[0]), files(&disks[1]));
}

#[test]
fn directories_of_two_nodes_are_refused() {
    let disks = pair();
    for (nth, disk) in disks.iter().enumerate() {
        open(disk).0.write(&[identity(7 + nth as u128)]).unwrap();
    }
    let before = [files(&disks[0]), files(&disks[1])];
    let error = Store::open(disks.iter().map(MemoryDisk::handle).collect(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Identities { .. }), "{error}");
    assert!(error.to_string().contains("nothing was touched"), "{error}");
    assert_eq!(before, [files(&disks[0]), files(&disks[1])]);
}

#[test]
fn the_last_disk_that_fails_stops_the_store() {
    let disks = pair();
    let (mut store, _) = open_all(&disks);
    store.write(&[create(G1)]).unwrap();
    disks[0].fail_nth(1, true);
    store.write(&[append(G1, &[entry(1, 1, "on one")])]).unwrap();
    disks[1].fail_nth(1, false);
    let error = store.write(&[append(G1, &[entry(1, 2, "on none")])]).unwrap_err();
    assert!(matches!(error, WriteError::Fatal(_)), "{error}");
    assert_eq!(
        store.write(&[append(G1, &[entry(1, 2, "again")])]),
        Err(error),
        "a failed disk is never tried again"
    );
}

#[test]
fn a_mirror_may_fail_at_any_moment_and_nothing_acknowledged_is_lost() {
    for seed in 0..30 {
        for nth in 1..20 {
            let (disks, mut rng) = (pair(), Rng::new(seed));
            let (mut model, mut serial) = (BTreeMap::new(), 0);
            let (mut store, _) = open_all(&disks);
            for round in 0..20 {
                if round == 10 {
                    disks[seed as usize % 2].fail_nth(nth, true);
                }
                let ops = random_ops(&mut rng, &mut model, &mut serial);
                store.write(&ops).unwrap();
            }
            drop(store);
            for disk in &disks {
                disk.crash(&mut rng);
            }
            for group in model.values_mut() {
                let end = last(group).0;
                group.hard_state.commit = Index(group.hard_state.commit.0.min(end));
            }
            let (store, recovery) = open_all(&disks);
            let notes = recovery.notes;
            assert_eq!(promised(recovery.groups), model, "seed {seed}, operation {nth}: {notes:?}");
            drop(store);
            assert_eq!(files(&disks[0]), files(&disks[1]), "seed {seed}, operation {nth}");
        }
    }
}
