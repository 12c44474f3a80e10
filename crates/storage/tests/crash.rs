//! Crash consistency: the power goes at every operation that a disk can be asked for, and what comes back is what was
//! acknowledged, or that and a beginning of what was being written.

mod common;

use base::{GroupId, Index, Rng};
use common::*;
use std::collections::BTreeMap;
use storage::memory::MemoryDisk;
use storage::{Op, RecoveredGroup, Recovery, Store, WriteError};

type Model = BTreeMap<GroupId, RecoveredGroup>;

/// What each group may have come back as: the model after each beginning of the ops that were under way.
struct Expected {
    states: Vec<Model>,
}

impl Expected {
    fn new(acknowledged: &Model, pending: &[Op]) -> Self {
        let mut states = vec![acknowledged.clone()];
        for op in pending {
            let mut next = states.last().unwrap().clone();
            apply(&mut next, op);
            states.push(next);
        }
        Self { states }
    }

    fn any(&self, group: GroupId, holds: impl Fn(Option<&RecoveredGroup>) -> bool) -> bool {
        self.states.iter().any(|state| holds(state.get(&group)))
    }

    fn check(&self, recovery: &Recovery, context: &str) {
        let recovered = &recovery.groups;
        for group in (0..4).map(GroupId) {
            let Some(found) = recovered.get(&group) else {
                assert!(self.any(group, |state| state.is_none()), "{context}: {group} is gone");
                continue;
            };
            assert!(found.damaged.is_none(), "{context}: {group}: {:?} {:?}", found.damaged, recovery.notes);
            let promises = (found.hard_state.term, found.hard_state.vote);
            let kept = self.any(group, |state| {
                state.is_some_and(|state| (state.hard_state.term, state.hard_state.vote) == promises)
            });
            assert!(kept, "{context}: {group} came back with {promises:?}");
            let log =
                |state: &RecoveredGroup| state.entries == found.entries && state.snapshot == found.snapshot;
            let kept = self
                .any(group, |state| state.is_some_and(|state| state.replica == found.replica && log(state)));
            // Where entries were lost and a snapshot behind them wasn't, its record counts all the same.
            let void = found.doubt.is_some()
                && self.any(group, |state| {
                    state.is_some_and(|state| {
                        state.snapshot == found.snapshot && state.entries.starts_with(&found.entries)
                    })
                });
            assert!(kept || void, "{context}: {group} came back as {found:?} of {:?}", self.states);
        }
    }
}

/// Runs a random history on `disks`, one of which (or all) fails for ever at its `nth` operation; then the power goes.
fn crash_at(seed: u64, nth: u64, mirrors: usize) -> bool {
    let mut rng = Rng::new(seed);
    let disks: Vec<MemoryDisk> = (0..mirrors).map(|nth| MemoryDisk::new(format!("disk {nth}"))).collect();
    let (mut model, mut serial) = (Model::new(), 0);
    let (mut store, _) = open_all(&disks);
    for _ in 0..rng.below(25) {
        let ops = random_ops(&mut rng, &mut model, &mut serial);
        store.write(&ops).unwrap();
    }
    for disk in &disks {
        disk.fail_nth(nth, true);
    }
    let (mut pending, mut reached) = (Vec::new(), false);
    let mut acknowledged = model.clone();
    for _ in 0..20 {
        pending = random_ops(&mut rng, &mut model, &mut serial);
        match store.write(&pending) {
            Ok(_) => acknowledged = model.clone(),
            Err(WriteError::Fatal(_)) => {
                reached = true;
                break;
            }
            Err(error) => panic!("{error}"),
        }
        pending.clear();
    }
    drop(store);
    for disk in &disks {
        disk.crash(&mut rng);
    }
    let expected = Expected::new(&acknowledged, &pending);
    let (mut store, recovery) = open_all(&disks);
    let context = format!("seed {seed}, operation {nth}, {mirrors} mirrors");
    expected.check(&recovery, &context);
    // What came back goes on, and comes back again, with the doubts that nobody has settled.
    let mut model = recovery.groups.clone();
    for _ in 0..10 {
        let ops = random_ops(&mut rng, &mut model, &mut serial);
        store.write(&ops).unwrap();
    }
    drop(store);
    let again = open_all(&disks).1;
    for group in model.values_mut() {
        let end = last(group).0;
        group.hard_state.commit = Index(group.hard_state.commit.0.min(end));
    }
    assert_eq!(again.groups, model, "{context}");
    reached
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_goes() {
    let mut reached = 0;
    for seed in 0..60 {
        for nth in 1..40 {
            reached += u32::from(crash_at(seed, nth, 1));
        }
    }
    assert!(reached > 2000, "{reached}");
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_goes_with_mirrors() {
    let mut reached = 0;
    for seed in 1000..1030 {
        for nth in 1..25 {
            reached += u32::from(crash_at(seed, nth, 2));
        }
    }
    assert!(reached > 600, "{reached}");
}

#[test]
fn the_power_may_go_while_the_store_is_opened_again_and_again() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let disks: Vec<MemoryDisk> =
            (0..1 + seed % 2).map(|nth| MemoryDisk::new(format!("disk {nth}"))).collect();
        let (mut model, mut serial) = (Model::new(), 0);
        let (mut store, _) = open_all(&disks);
        for _ in 0..30 {
            let ops = random_ops(&mut rng, &mut model, &mut serial);
            store.write(&ops).unwrap();
        }
        let acknowledged = model.clone();
        for disk in &disks {
            disk.fail_nth(rng.between(1, 6), true);
        }
        let pending = random_ops(&mut rng, &mut model, &mut serial);
        let written = store.write(&pending).is_ok();
        drop(store);
        for disk in &disks {
            disk.crash(&mut rng);
        }
        let expected =
            Expected::new(if written { &model } else { &acknowledged }, if written { &[] } else { &pending });
        let mut doubts = Vec::new();
        for nth in 1..60 {
            for disk in &disks {
                disk.fail_nth(nth, true);
            }
            let opened = Store::open(disks.iter().map(MemoryDisk::handle).collect(), options());
            if let Ok((_, recovery)) = &opened {
                expected.check(recovery, &format!("seed {seed}, opening {nth}"));
            }
            drop(opened);
            for disk in &disks {
                disk.crash(&mut rng);
            }
            let (store, recovery) = open_all(&disks);
            expected.check(&recovery, &format!("seed {seed}, after opening {nth}"));
            let now: Vec<GroupId> = recovery
                .groups
                .iter()
                .filter(|(_, group)| group.doubt.is_some())
                .map(|(id, _)| *id)
                .collect();
            assert!(
                doubts.iter().all(|id| now.contains(id)),
                "seed {seed}, opening {nth}: a doubt was forgotten"
            );
            doubts = now;
            drop(store);
            for disk in &disks {
                disk.kill();
            }
        }
    }
}

#[test]
fn one_failed_operation_never_makes_a_store_lie() {
    for seed in 0..60 {
        for nth in 1..25 {
            let mut rng = Rng::new(seed);
            let disk = MemoryDisk::new("data");
            let (mut model, mut serial) = (Model::new(), 0);
            let (mut store, _) = open(&disk);
            for _ in 0..10 {
                let ops = random_ops(&mut rng, &mut model, &mut serial);
                store.write(&ops).unwrap();
            }
            disk.fail_nth(nth, false);
            let (mut acknowledged, mut pending) = (model.clone(), Vec::new());
            for _ in 0..20 {
                let ops = random_ops(&mut rng, &mut model, &mut serial);
                if let Err(error) = store.write(&ops) {
                    assert!(matches!(error, WriteError::Fatal(_)), "{error}");
                    assert_eq!(store.write(&[]), Err(error), "once failed, for ever");
                    pending = ops;
                    break;
                }
                acknowledged = model.clone();
            }
            drop(store);
            disk.crash(&mut rng);
            let context = format!("seed {seed}, operation {nth}");
            Expected::new(&acknowledged, &pending).check(&open(&disk).1, &context);
        }
    }
}
