//! A full disk: writes are refused before anything has happened, they keep their order, and writes
//! succeed again when there is room.

mod common;

use base::{Index, Rng};
use common::*;
use std::collections::BTreeMap;
use storage::memory::MemoryDisk;
use storage::{DiskCompletion, DiskRequest, Failure, OpenError, Store, Token, WriteError};

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1)]).unwrap();
    disk.set_capacity(Some(100_000));
    let text = "x".repeat(1000);
    let mut index = 0;
    let error = loop {
        match store.write(&[append(G1, &[entry(1, index + 1, &text)])]) {
            Ok(_) => index += 1,
            Err(error) => break error,
        }
    };
    assert!(index > 30, "{index}");
    assert!(matches!(&error, WriteError::Full(what) if what.contains("free some space")), "{error}");
    assert_eq!(store.entries(G1, Index(index), Index(index + 1), 1 << 20).unwrap().len(), 1);
    // A vote and a snapshot need no new segment, and the snapshot frees some.
    store.write(&[state(G1, 2, 1, index)]).unwrap();
    disk.set_capacity(Some(100_500));
    store.write(&snapshot(G1, index, 1, &["small"], false)).unwrap();
    store.write(&[append(G1, &[entry(2, index + 1, &text)])]).unwrap();
    drop(store);
    let recovery = open(&disk).1;
    assert_eq!(recovery.groups[&G1].entries, [entry(2, index + 1, &text)]);
    assert!(recovery.notes.is_empty(), "{:?}", recovery.notes);
}

/// Raft's writes are promises about everything before them: one that overtakes a refused one would make the node
/// acknowledge what no disk has.
#[test]
fn what_is_durable_is_a_beginning_of_what_was_asked_for_also_when_the_disk_is_full() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1)]).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    let text = "x".repeat(100_000);
    let large = DiskRequest::Write { token: Token(1), ops: vec![append(G1, &[entry(1, 1, &text)])] };
    let small = |token| DiskRequest::Write { token: Token(token), ops: vec![state(G1, 2, 1, 0)] };
    let mut serve = |batch: Vec<DiskRequest>| -> Vec<(u64, bool)> {
        let mut out = Vec::new();
        store.serve(batch, &mut out);
        out.iter()
            .map(|completion| match completion {
                DiskCompletion::Written { token, .. } => (token.0, true),
                DiskCompletion::Failed { token, failure: Failure::Write(WriteError::Full(_)) } => {
                    (token.0, false)
                }
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(serve(vec![large.clone(), small(2)]), [(1, false), (2, false)]);
    assert_eq!(serve(vec![small(2)]), [(2, false)]);
    disk.set_capacity(None);
    assert_eq!(serve(vec![small(2)]), [(2, false)]);
    assert_eq!(serve(vec![large, small(2)]), [(1, true), (2, true)]);
    assert_eq!(serve(vec![small(3)]), [(3, true)]);
}

#[test]
fn a_disk_that_is_full_at_the_start_says_so() {
    let disk = MemoryDisk::new("data");
    disk.set_capacity(Some(10_000));
    let error = Store::open(vec![disk.handle()], options()).unwrap_err();
    assert!(matches!(error, OpenError::Full { .. } | OpenError::Io { .. }), "{error}");
    disk.set_capacity(None);
    open(&disk).0.write(&[create(G1)]).unwrap();
}

#[test]
fn random_histories_survive_a_disk_that_fills_up_and_is_freed() {
    let mut refused = 0;
    for seed in 0..60 {
        let (mut rng, disk) = (Rng::new(seed), MemoryDisk::new("data"));
        let (mut model, mut serial) = (BTreeMap::new(), 0);
        let (mut store, _) = open(&disk);
        for round in 0..150 {
            match round % 50 {
                10 => disk.set_capacity(Some(disk.used_bytes() + rng.below(40_000))),
                40 => disk.set_capacity(None),
                _ => {}
            }
            let mut next = model.clone();
            let ops = random_ops(&mut rng, &mut next, &mut serial);
            match store.write(&ops) {
                Ok(_) => model = next,
                Err(WriteError::Full(_)) => refused += 1,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        drop(store);
        disk.crash(&mut rng);
        for group in model.values_mut() {
            let end = last(group).0;
            group.hard_state.commit = Index(group.hard_state.commit.0.min(end));
        }
        assert_eq!(promised(open(&disk).1.groups), model, "seed {seed}");
    }
    assert!(refused > 200, "{refused}");
}
