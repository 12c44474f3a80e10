//! Bit rot: what is corrupt is never taken for absent. Whatever single byte or block rots, a replica comes back whole, or
//! in doubt, or damaged; it never comes back shorter without saying so, and never forgets a term or a vote.

mod common;

use base::{GroupId, Index, NodeId, Term};
use bytes::Bytes;
use common::*;
use std::collections::BTreeMap;
use storage::memory::MemoryDisk;
use storage::{
    Disk, DiskFile, Doubt, Identity, Op, OpenError, ReadError, RecoveredGroup, Recovery, Store, check,
};

type Model = BTreeMap<GroupId, RecoveredGroup>;

/// A log over several segments: two busy groups, an idle one, one with a snapshot.
fn history() -> (MemoryDisk, Model) {
    let disk = MemoryDisk::new("data");
    let mut model = Model::new();
    let (mut store, _) = open(&disk);
    let identity = Identity { cluster: 1, node: NodeId(1), start: 1, settings: Bytes::new() };
    let idle = GroupId(3);
    let mut ops = vec![Op::Identity(identity), create(G1), create(G2), create(idle), create(GroupId(4))];
    ops.push(append(idle, &[entry(1, 1, "idle"), entry(1, 2, "idle too")]));
    ops.push(state(idle, 7, 2, 1));
    let mut writes = vec![ops];
    writes.push(snapshot(GroupId(4), 10, 3, &["chunk one", "chunk two"], true));
    for index in 1..=40 {
        let text = "x".repeat(300 + index as usize);
        writes.push(vec![append(G1, &[entry(2, index, &text)]), append(G2, &[entry(3, index, "small")])]);
        if index % 15 == 0 {
            writes.push(vec![state(G1, 2 + index, 3, index)]);
        }
    }
    writes.push(vec![state(G2, 9, 1, 40), append(G1, &[entry(5, 39, "overwritten"), entry(6, 40, "last")])]);
    writes.push(vec![append(G2, &[entry(9, 41, "the last of all")])]);
    for ops in writes {
        store.write(&ops).unwrap();
        for op in &ops {
            apply(&mut model, op);
        }
    }
    drop(store);
    (disk, model)
}

fn verify(recovery: &Recovery, model: &Model, context: &str) -> (u32, u32) {
    let (mut doubts, mut damaged) = (0, 0);
    assert_eq!(recovery.identity.as_ref().map(|identity| identity.node), Some(NodeId(1)), "{context}");
    for (id, expected) in model {
        let found = recovery.groups.get(id).unwrap_or_else(|| panic!("{context}: {id} is gone"));
        let promises = |group: &RecoveredGroup| (group.replica, group.hard_state.term, group.hard_state.vote);
        if found.damaged.is_some() {
            damaged += 1;
            continue;
        }
        assert_eq!(promises(found), promises(expected), "{context}: {id}");
        assert_eq!(found.snapshot, expected.snapshot, "{context}: {id}");
        match found.doubt {
            None => assert_eq!(
                found.entries, expected.entries,
                "{context}: {id} came back shorter and doesn't say so"
            ),
            Some(Doubt { last: known }) => {
                doubts += 1;
                if let Some(known) = known {
                    let (index, term) = last(expected);
                    assert_eq!(known, (Term(term), Index(index)), "{context}: {id}");
                }
                let mut agree =
                    found.entries.iter().zip(&expected.entries).filter(|(one, other)| one == other);
                let overwritten = found.entries.len() == 40 && agree.clone().count() == 38;
                assert!(
                    agree.by_ref().count() == found.entries.len() || overwritten,
                    "{context}: {id} has what was never written"
                );
            }
        }
    }
    (doubts, damaged)
}

#[test]
fn whatever_byte_rots_nothing_is_lost_silently() {
    let (disk, model) = history();
    let (mut doubts, mut damaged, mut unharmed) = (0, 0, 0);
    for name in disk.names() {
        let length = disk.content(&name).unwrap().len() as u64;
        for offset in (0..length).step_by(11) {
            let copy = disk.duplicate("copy");
            assert!(copy.rot(&name, offset, 1 << (offset % 8)));
            let context = format!("{name} at {offset}");
            let (store, recovery) = open(&copy);
            let (some, more) = verify(&recovery, &model, &context);
            if some + more == 0 {
                unharmed += 1;
            } else {
                assert!(!recovery.notes.is_empty() || more > 0, "{context}: nobody is told");
            }
            doubts += some;
            damaged += more;
            drop(store);
            let again = open(&copy).1;
            for (id, group) in &recovery.groups {
                assert_eq!(again.groups[id].doubt, group.doubt, "{context}: {id} after another start");
                assert_eq!(again.groups[id].damaged.is_some(), group.damaged.is_some(), "{context}: {id}");
            }
        }
    }
    assert!(doubts > 20 && damaged > 200 && unharmed > 1000, "{doubts} {damaged} {unharmed}");
}

#[test]
fn whatever_block_rots_nothing_is_lost_silently() {
    let (disk, model) = history();
    for name in disk.names() {
        let length = disk.content(&name).unwrap().len() as u64;
        for start in (0..length).step_by(4096) {
            for bytes in [512, 4096] {
                let copy = disk.duplicate("copy");
                for offset in start..(start + bytes).min(length) {
                    copy.rot(&name, offset, 0x5a);
                }
                let context = format!("{name}: {bytes} bytes from {start}");
                verify(&open(&copy).1, &model, &context);
            }
        }
    }
}

#[test]
fn a_mirror_makes_rot_harmless() {
    let (disk, model) = history();
    let mirrored = [disk.duplicate("a"), MemoryDisk::new("b")];
    drop(open_all(&mirrored));
    for rotten in 0..2 {
        for name in mirrored[rotten].names() {
            let length = mirrored[rotten].content(&name).unwrap().len() as u64;
            for offset in (0..length).step_by(173) {
                let copies = [mirrored[0].duplicate("a"), mirrored[1].duplicate("b")];
                for offset in offset..(offset + 100).min(length) {
                    copies[rotten].rot(&name, offset, 0xff);
                }
                let context = format!("mirror {rotten}: {name} at {offset}");
                let (_, recovery) = open_all(&copies);
                assert_eq!(verify(&recovery, &model, &context), (0, 0), "{context}");
            }
        }
    }
}

/// Where `text` lies in one of the segments.
fn find(disk: &MemoryDisk, text: &str) -> (String, u64) {
    for name in disk.names().into_iter().filter(|name| name.starts_with("log-")) {
        let content = disk.content(&name).unwrap();
        if let Some(at) = content.windows(text.len()).position(|window| window == text.as_bytes()) {
            return (name, at as u64);
        }
    }
    panic!("{text} isn't in the log");
}

#[test]
fn a_rotten_tail_isnt_cut_as_torn() {
    let (disk, model) = history();
    let (name, at) = find(&disk, "the last of all");
    disk.rot(&name, at, 1);
    let (mut store, recovery) = open(&disk);
    let expected = Some(Doubt { last: Some((Term(9), Index(41))) });
    assert_eq!(recovery.groups[&G2].doubt, expected, "its header still tells what was there");
    assert_eq!(recovery.groups[&G2].entries, model[&G2].entries[..40]);
    assert!(recovery.groups[&G1].doubt.is_none(), "no other group is concerned");
    drop(store);
    (store, _) = open(&disk);
    store.write(&[append(G2, &[entry(10, 41, "from a leader")])]).unwrap();
    drop(store);
    let (mut store, recovery) = open(&disk);
    assert_eq!(recovery.groups[&G2].doubt, expected, "only who settles it ends it");
    store.write(&[Op::DoubtSettled { group: G2 }]).unwrap();
    drop(store);
    assert_eq!(open(&disk).1.groups[&G2].doubt, None);
}

#[test]
fn rot_in_the_middle_damages_the_group_until_it_comes_back_as_a_new_replica() {
    let (disk, _) = history();
    let (name, at) = find(&disk, &"x".repeat(310));
    disk.rot(&name, at, 1);
    let (mut store, recovery) = open(&disk);
    let why = recovery.groups[&G1].damaged.as_deref().unwrap();
    assert!(why.contains("have rotted"), "{why}");
    assert!(recovery.groups[&G2].damaged.is_none());
    let replica = base::ReplicaId::new(1, 99);
    store.write(&[Op::DropReplica { group: G1 }, Op::CreateReplica { group: G1, replica }]).unwrap();
    drop(store);
    let group = &open(&disk).1.groups[&G1];
    assert_eq!((group.replica, &group.damaged), (replica, &None));
}

#[test]
fn a_lost_overwrite_isnt_hidden_by_entries_that_fit_behind_it() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store
        .write(&[create(G1), create(G2), append(G1, &[entry(1, 1, "a"), entry(1, 2, "b"), entry(1, 3, "c")])])
        .unwrap();
    store.write(&[append(G2, &[entry(1, 1, "idle")])]).unwrap();
    store.write(&[append(G1, &[entry(2, 2, "overwrites"), entry(2, 3, "too")])]).unwrap();
    store.write(&[append(G1, &[entry(2, 4, "fits")])]).unwrap();
    drop(store);
    let (name, at) = find(&disk, "overwrites");
    // Header, term before, and the entry's own 21 bytes come before its text.
    assert!(disk.rot(&name, at - 21 - 8 - 64, 1));
    let (_, recovery) = open(&disk);
    let why = recovery.groups[&G1].damaged.as_deref().expect("its log has a hole");
    assert!(why.contains("before 4"), "{why}");
    assert!(recovery.groups[&G2].damaged.is_some(), "nothing proves that the unreadable record wasn't its");
}

#[test]
fn an_unreadable_record_damages_only_those_whose_log_nothing_proves_whole() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1), create(G2)]).unwrap();
    store.write(&[append(G1, &[entry(1, 1, "rots")])]).unwrap();
    store.write(&[append(G1, &[entry(1, 2, "behind")]), append(G2, &[entry(1, 1, "behind")])]).unwrap();
    drop(store);
    let (name, at) = find(&disk, "rots");
    assert!(disk.rot(&name, at - 21 - 8 - 64, 1));
    let (_, recovery) = open(&disk);
    assert!(recovery.groups[&G1].damaged.is_some());
    assert_eq!(recovery.groups[&G2].damaged, None);
    assert_eq!(recovery.groups[&G2].entries, [entry(1, 1, "behind")]);
}

#[test]
fn what_rots_while_the_store_is_open_is_noticed_when_it_is_read() {
    let (disk, _) = history();
    let mirrored = [disk.duplicate("a"), MemoryDisk::new("b")];
    let (mut store, _) = open_all(&mirrored);
    let (name, at) = find(&mirrored[0], &"x".repeat(310));
    mirrored[0].rot(&name, at, 1);
    assert_eq!(store.entries(G1, Index(10), Index(10), 1).unwrap().len(), 1);
    let report = store.write(&[]).unwrap();
    assert!(report.notes[0].0.contains("repaired from another mirror"), "{report:?}");
    assert_eq!(mirrored[0].content(&name), mirrored[1].content(&name));
    for disk in &mirrored {
        disk.rot(&name, at, 1);
    }
    let error = store.entries(G1, Index(10), Index(10), 1).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt(_)), "{error}");
    let id = store.write(&[]).map(|_| storage::SnapshotId { index: Index(10), term: Term(3) }).unwrap();
    let file = mirrored[0].names().into_iter().find(|name| name.starts_with("snapshot-4")).unwrap();
    mirrored[0].rot(&file, 70, 1);
    assert_eq!(store.chunk(GroupId(4), id, 0).unwrap(), "chunk one");
    assert_eq!(mirrored[0].content(&file), mirrored[1].content(&file));
}

#[test]
fn check_finds_what_rotted_and_changes_nothing() {
    let (disk, model) = history();
    let sound = check(vec![disk.handle()]).unwrap();
    assert!(sound.is_sound(), "{sound}");
    assert_eq!(sound.groups.len(), model.len());
    assert!(sound.to_string().ends_with("all is well\n"), "{sound}");
    let (name, at) = find(&disk, &"x".repeat(310));
    disk.rot(&name, at, 1);
    let snapshot = disk.names().into_iter().find(|name| name.starts_with("snapshot-4")).unwrap();
    disk.rot(&snapshot, 70, 1);
    let before: Vec<_> = disk.names().iter().map(|name| disk.content(name)).collect();
    let report = check(vec![disk.handle()]).unwrap();
    assert_eq!(report.faults.len(), 2, "{report}");
    let after: Vec<_> = disk.names().iter().map(|name| disk.content(name)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_log_that_is_gone_isnt_taken_for_a_new_one() {
    use storage::Disk;
    let (disk, _) = history();
    for name in disk.names().iter().filter(|name| name.starts_with("log-")) {
        disk.remove(name).unwrap();
    }
    let error = Store::open(vec![disk.handle()], options()).unwrap_err();
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
}

#[test]
fn a_file_whose_number_no_log_reaches_is_no_segment() {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    store.write(&[create(G1), append(G1, &[entry(1, 1, "kept")])]).expect("there is room");
    drop(store);
    disk.create("log-ffffffff").and_then(|file| file.write_at(0, b"not ours")).expect("it can be made");
    let (store, recovery) = open(&disk);
    assert_eq!(recovery.groups[&G1].entries, [entry(1, 1, "kept")]);
    drop(store);
}

/// Found by seed 1032: a disk that failed just when the last segment was read was said to have rotted, and its owner was
/// told to empty it.
#[test]
fn what_a_disk_fails_to_show_is_neither_rotten_nor_absent() {
    let (disk, model) = history();
    let (mut refusals, mut nth) = (0, 0);
    loop {
        nth += 1;
        let copy = disk.duplicate("data");
        copy.fail_nth(nth, false);
        match Store::open(vec![copy.handle()], options()) {
            Err(OpenError::Io { .. }) => refusals += 1,
            Err(other) => panic!("operation {nth} failed: {other}"),
            Ok((_, recovery)) => {
                let context = format!("operation {nth} failed");
                assert_eq!(verify(&recovery, &model, &context), (0, 0), "{context}");
                if copy.operations() < nth {
                    break;
                }
            }
        }
        // It works again, and nothing is lost.
        copy.kill();
        let (_, recovery) = open(&copy);
        assert_eq!(verify(&recovery, &model, &format!("after operation {nth}")), (0, 0));
    }
    assert!(refusals > 10, "{refusals} of {nth}");
}
