//! A snapshot that is being fetched outlives what interrupts it, and one that has rotted can be mended.

mod common;

use base::{GroupId, Index, Rng, Term};
use bytes::Bytes;
use common::*;
use storage::memory::MemoryDisk;
use storage::{ChunkInfo, Op, ReadError, SnapshotId, Store};

const ID: SnapshotId = SnapshotId { index: Index(20), term: Term(2) };

/// Chunks that are each longer than what is written without a sync.
fn texts() -> Vec<String> {
    ["zero", "one", "two", "three"].iter().map(|text| text.repeat(500)).collect()
}

fn ops(texts: &[String]) -> Vec<Op> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    snapshot(G1, ID.index.0, ID.term.0, &texts, true)
}

fn infos(texts: &[String]) -> Vec<(u32, ChunkInfo)> {
    (0..).zip(texts.iter().map(|text| ChunkInfo::of(text.as_bytes()))).collect()
}

fn files(disk: &MemoryDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.starts_with("snapshot-")).collect()
}

/// A store with an older snapshot and these chunks of a newer one.
fn begun(disks: &[MemoryDisk], numbers: &[usize]) -> Store<MemoryDisk> {
    let (mut store, _) = open_all(disks);
    store.write(&[create(G1)]).unwrap();
    store.write(&snapshot(G1, 10, 1, &["old"], true)).unwrap();
    for number in numbers {
        store.write(&ops(&texts())[*number..*number + 1]).unwrap();
    }
    store
}

#[test]
fn chunks_that_were_fetched_outlive_a_power_cut() {
    for seed in 0..50 {
        let disk = MemoryDisk::new("data");
        drop(begun(std::slice::from_ref(&disk), &[2, 0]));
        disk.crash(&mut Rng::new(seed));
        let (mut store, recovery) = open(&disk);
        assert_eq!(recovery.groups[&G1].partial, Some(ID), "seed {seed}");
        assert_eq!(recovery.groups[&G1].snapshot.as_ref().map(|record| record.index), Some(Index(10)));
        assert_eq!(store.find_chunks(G1, ID, &infos(&texts())), [0, 2], "seed {seed}");
        assert_eq!(store.chunk(G1, ID, 2).unwrap(), texts()[2], "others may have it from here");
        assert_eq!(store.chunk(G1, ID, 1), Err(ReadError::Absent));
        let rest = ops(&texts());
        store.write(&[rest[1].clone(), rest[3].clone()]).unwrap();
        store.write(&rest[4..]).unwrap();
        drop(store);
        disk.crash(&mut Rng::new(seed));
        let (mut store, recovery) = open(&disk);
        assert_eq!(recovery.groups[&G1].partial, None);
        for (number, text) in (0..).zip(texts()) {
            assert_eq!(store.chunk(G1, ID, number).unwrap(), text);
        }
    }
}

#[test]
fn a_chunk_that_was_torn_or_is_of_another_manifest_isnt_found() {
    let disk = MemoryDisk::new("data");
    drop(begun(std::slice::from_ref(&disk), &[0, 1, 2]));
    let name = files(&disk).into_iter().find(|name| name.contains("-20-")).unwrap();
    assert!(disk.rot(&name, 64 + 2000 + 64 + 5, 1));
    let (mut store, _) = open(&disk);
    assert_eq!(store.find_chunks(G1, ID, &infos(&texts())), [0, 2]);
    let mut other = infos(&texts());
    other[0].1.crc ^= 1;
    assert_eq!(store.find_chunks(G1, ID, &other), [2]);
    assert_eq!(store.chunk(G1, ID, 1), Err(ReadError::Absent), "nothing was promised");
    // The end of the file is unreadable: it goes before the next chunk comes.
    drop(store);
    let third = 64 + 2000 + 64 + 1500;
    assert!(disk.rot(&name, third, 1));
    let (mut store, _) = open(&disk);
    assert_eq!(store.find_chunks(G1, ID, &infos(&texts())), [0]);
    store.write(&ops(&texts())[1..]).unwrap();
    drop(store);
    let (mut store, _) = open(&disk);
    for (number, text) in (0..).zip(texts()) {
        assert_eq!(store.chunk(G1, ID, number).unwrap(), text);
    }
}

#[test]
fn what_nobody_wants_any_more_is_removed() {
    let disk = MemoryDisk::new("data");
    let mut store = begun(std::slice::from_ref(&disk), &[0]);
    assert_eq!(files(&disk).len(), 2);
    store.write(&[Op::SnapshotAbandon { group: G1, snapshot: ID }]).unwrap();
    assert_eq!(files(&disk), ["snapshot-1-10-1"]);
    // One that is complete stays.
    let complete = SnapshotId { index: Index(10), term: Term(1) };
    store.write(&[Op::SnapshotAbandon { group: G1, snapshot: complete }]).unwrap();
    assert_eq!(store.chunk(G1, complete, 0).unwrap(), "old");
    // Of several, only the newest outlives a start; none does that is older than the complete one.
    for index in [5, 20, 30] {
        store.write(&snapshot(G1, index, 2, &["begun"], true)[..1]).unwrap();
    }
    store.write(&snapshot(GroupId(9), 30, 2, &["of no replica"], true)[..1]).unwrap();
    drop(store);
    let (mut store, recovery) = open(&disk);
    assert_eq!(recovery.groups[&G1].partial, Some(SnapshotId { index: Index(30), term: Term(2) }));
    assert_eq!(files(&disk), ["snapshot-1-10-1", "snapshot-1-30-2"]);
    store.write(&snapshot(G1, 40, 2, &["newer"], true)).unwrap();
    assert_eq!(files(&disk), ["snapshot-1-40-2"]);
    store.write(&snapshot(G1, 50, 2, &["begun"], true)[..1]).unwrap();
    store.write(&[Op::DropReplica { group: G1 }]).unwrap();
    assert!(files(&disk).is_empty());
}

#[test]
fn what_a_damaged_replica_had_begun_is_in_nobodys_way() {
    let disk = MemoryDisk::new("data");
    let mut store = begun(std::slice::from_ref(&disk), &[0]);
    store.write(&[append(G1, &[entry(1, 11, "rots")])]).unwrap();
    store.write(&[append(G1, &[entry(1, 12, "behind")])]).unwrap();
    drop(store);
    for name in disk.names().iter().filter(|name| name.starts_with("log-")) {
        let content = disk.content(name).unwrap();
        if let Some(at) = content.windows(4).position(|window| window == b"rots") {
            disk.rot(name, at as u64, 1);
        }
    }
    let (mut store, recovery) = open(&disk);
    assert!(recovery.groups[&G1].damaged.is_some());
    assert_eq!(files(&disk).len(), 2);
    store.write(&[Op::DropReplica { group: G1 }, create(G1)]).unwrap();
    store.write(&ops(&texts())).unwrap();
    assert_eq!(store.chunk(G1, ID, 3).unwrap(), texts()[3]);
}

#[test]
fn mirrors_agree_on_what_was_fetched() {
    for seed in 0..30 {
        let disks = [MemoryDisk::new("a"), MemoryDisk::new("b")];
        drop(begun(&disks, &[0, 1]));
        let mut rng = Rng::new(seed);
        disks.iter().for_each(|disk| disk.crash(&mut rng));
        let name = files(&disks[1]).into_iter().find(|name| name.contains("-20-")).unwrap();
        // One lost the end of it.
        assert!(disks[1].rot(&name, 64 + 2000, 1));
        let (mut store, recovery) = open_all(&disks);
        assert_eq!(recovery.groups[&G1].partial, Some(ID));
        assert_eq!(store.find_chunks(G1, ID, &infos(&texts())), [0, 1]);
        assert_eq!(disks[0].content(&name), disks[1].content(&name));
        assert!(disks[0].rot(&name, 100, 1));
        assert_eq!(store.find_chunks(G1, ID, &infos(&texts())), [1], "it must be whole on every mirror");
        store.write(&ops(&texts())[..1]).unwrap();
        assert_eq!(store.find_chunks(G1, ID, &infos(&texts())), [0, 1]);
    }
}

/// A complete snapshot of which some byte rots, at rest or while the store is open.
fn rotten(offset: u64, at_rest: bool) -> (MemoryDisk, Store<MemoryDisk>) {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1), append(G1, &[entry(1, 1, "a")])]).unwrap();
    store.write(&ops(&texts())).unwrap();
    assert!(disk.rot("snapshot-1-20-2", offset, 1));
    if !at_rest {
        return (disk, store);
    }
    drop(store);
    let (store, recovery) = open(&disk);
    assert_eq!(recovery.groups[&G1].damaged, None, "others may have what has rotted");
    (disk, store)
}

#[test]
fn a_rotten_chunk_is_mended_by_what_others_have() {
    let length = texts().iter().map(|text| 64 + text.len() as u64).sum::<u64>();
    for at_rest in [false, true] {
        for offset in (0..length).step_by(97) {
            let (disk, mut store) = rotten(offset, at_rest);
            let mut mended = 0;
            for (number, text) in (0..).zip(texts()) {
                match store.chunk(G1, ID, number) {
                    Ok(bytes) => assert_eq!(bytes, text),
                    Err(error) => {
                        assert!(matches!(error, ReadError::Corrupt(_)), "{offset}: {error}");
                        mended += 1;
                        let (group, snapshot, bytes) = (G1, ID, Bytes::from(text));
                        store.write(&[Op::SnapshotChunk { group, snapshot, number, bytes }]).unwrap();
                    }
                }
            }
            assert!(mended >= 1 || !at_rest, "{offset}");
            disk.crash(&mut Rng::new(offset));
            drop(store);
            let (mut store, recovery) = open(&disk);
            if at_rest {
                assert!(recovery.notes.is_empty(), "{offset}: {:?}", recovery.notes);
            }
            for (number, text) in (0..).zip(texts()) {
                let read = store.chunk(G1, ID, number);
                // A header that rots is noticed only at the next start.
                assert!(read.is_ok_and(|bytes| bytes == text) || (mended == 0 && !at_rest), "{offset}");
            }
        }
    }
}

#[test]
fn a_snapshot_taken_anew_at_the_same_entry_spares_the_one_before_until_it_is_done() {
    let (disk, mut store) = rotten(70, false);
    let others: Vec<String> = texts().into_iter().map(|text| text + "!").collect();
    store.write(&ops(&others)[..3]).unwrap();
    store.write(&[Op::SnapshotAbandon { group: G1, snapshot: ID }]).unwrap();
    assert_eq!(store.chunk(G1, ID, 1).unwrap(), texts()[1]);
    assert!(matches!(store.chunk(G1, ID, 0), Err(ReadError::Corrupt(_))));
    drop(store);
    let (mut store, _) = open(&disk);
    assert_eq!(store.chunk(G1, ID, 2).unwrap(), texts()[2]);
    store.write(&ops(&others)).unwrap();
    drop(store);
    let (mut store, recovery) = open(&disk);
    assert!(recovery.notes.is_empty(), "{:?}", recovery.notes);
    for (number, text) in (0..).zip(others) {
        assert_eq!(store.chunk(G1, ID, number).unwrap(), text);
    }
}
