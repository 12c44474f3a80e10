//! The order of entries: scans, picks, and slots of every size.

use super::{HASH_KEY, NOW, ONE, chunks, loaded, put, scan_all, shard};
use crate::Keyspace;
use crate::position::Placement;
use base::database::{Database, Expiry, ScanPosition};
use base::{Rng, UnixMillis, slot_of};
use std::collections::{BTreeMap, BTreeSet};

fn tagged(number: u32) -> Vec<u8> {
    format!("{{tag}}{number}").into_bytes()
}

#[test]
fn a_slot_grows_and_shrinks_and_stays_in_order() {
    let mut rng = Rng::new(3);
    for hash_bits in [50, 12, 6, 1] {
        let mut keyspace = Keyspace::with_placement(Placement::colliding(HASH_KEY, hash_bits));
        keyspace.set_revision(1);
        let count = if hash_bits < 10 { 1_500 } else { 12_000 };
        let mut present = BTreeSet::new();
        // Up, down to almost nothing, up again, and down to nothing.
        for (target, check_every) in [(count, 700), (20, 700), (count / 4, 300), (0, 300)] {
            let mut since = 0;
            while present.len() != target {
                let number = rng.below(2 * count as u64) as u32;
                if present.len() < target {
                    put(&mut keyspace, &tagged(number), &number.to_le_bytes());
                    present.insert(number);
                } else {
                    let nearest = present.range(number..).next().or(present.first()).copied();
                    let number = nearest.expect("there is one left");
                    assert!(keyspace.database(ONE, NOW).remove(&tagged(number)));
                    present.remove(&number);
                }
                since += 1;
                if since % check_every == 0 {
                    keyspace.check();
                }
            }
            keyspace.check();
            let view = keyspace.database(ONE, NOW);
            assert!(
                present
                    .iter()
                    .all(|number| { view.string(&tagged(*number)) == Ok(Some(&number.to_le_bytes()[..])) })
            );
            assert_eq!(scan_all(&mut keyspace, NOW).len(), present.len());
        }
        assert_eq!(keyspace.memory_bytes(), 0);
    }
}

#[test]
fn a_scan_gives_every_key_that_is_there_throughout_whatever_changes_in_between() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut keyspace = shard();
        let name = |number: u32, lasting: bool| {
            let tag = if number.is_multiple_of(2) { "{tag}" } else { "" };
            format!("{tag}{}{number}", if lasting { "lasting" } else { "passing" }).into_bytes()
        };
        let lasting: BTreeSet<Vec<u8>> = (0..1_000).map(|number| name(number, true)).collect();
        for key in &lasting {
            put(&mut keyspace, key, b"");
        }
        let mut seen = BTreeSet::new();
        let mut from = Some(ScanPosition::default());
        while let Some(position) = from {
            from = keyspace
                .database(ONE, NOW)
                .scan(position, 1 + rng.below(30) as usize, &mut |key, _| _ = seen.insert(key.to_vec()));
            // Thousands come and go: arrays are divided and united under the scan. Values change, too.
            let add = rng.chance(1, 2);
            for _ in 0..rng.below(400) {
                let number = rng.below(4_000) as u32;
                if add {
                    put(&mut keyspace, &name(number, false), b"passing");
                } else {
                    keyspace.database(ONE, NOW).remove(&name(number, false));
                }
            }
            put(&mut keyspace, &name(rng.below(1_000) as u32, true), b"changed");
            // And the replica that answers next is another one, that was made from a snapshot.
            if rng.chance(1, 10) {
                keyspace.begin_snapshot();
                let snapshot = chunks(&mut keyspace, 1 << 16);
                keyspace = loaded(&snapshot);
            }
        }
        assert!(lasting.is_subset(&seen), "seed {seed}: {} missed", lasting.difference(&seen).count());
    }
}

#[test]
fn a_scan_is_ordered_by_slot_and_keeps_to_its_limit() {
    let mut keyspace = shard();
    for number in 0..3_000u32 {
        put(&mut keyspace, number.to_string().as_bytes(), b"");
    }
    let keys = scan_all(&mut keyspace, NOW);
    assert!(keys.is_sorted_by_key(|key| slot_of(key)));
    let mut count = 0;
    let next = keyspace.database(ONE, NOW).scan(ScanPosition::default(), 100, &mut |_, _| count += 1);
    assert_eq!(count, 100);
    let next = next.expect("there are more");
    assert_eq!(next.hash & 0x3fff, 0, "slot and hash fit into a cursor of 64 bits");
    assert_eq!(next.slot, slot_of(&keys[100]));
}

#[test]
fn a_pick_depends_on_the_keys_alone() {
    let mut grown = shard();
    for number in 0..6_000 {
        put(&mut grown, &tagged(number), b"v");
        put(&mut grown, number.to_string().as_bytes(), b"v");
    }
    for number in 2_500..6_000 {
        grown.database(ONE, NOW).remove(&tagged(number));
        grown.database(ONE, NOW).remove(number.to_string().as_bytes());
    }
    // The same keys, but never more of them, and in another order: their arrays are divided otherwise.
    let mut direct = shard();
    for number in (0..2_500).rev() {
        put(&mut direct, number.to_string().as_bytes(), b"v");
        put(&mut direct, &tagged(number), b"v");
    }
    grown.begin_snapshot();
    let mut copy = loaded(&chunks(&mut grown, 5_000));
    for seed in 0..2_000 {
        let picked = grown.database(ONE, NOW).pick(seed);
        assert!(picked.is_some());
        assert_eq!(picked, direct.database(ONE, NOW).pick(seed));
        assert_eq!(picked, copy.database(ONE, NOW).pick(seed));
    }
}

#[test]
fn every_key_is_picked_about_as_often_as_any_other() {
    for (name, count) in [("one array", 50), ("several", 600), ("windows", 2_000)] {
        let mut keyspace = shard();
        for number in 0..count {
            put(&mut keyspace, &tagged(number), b"");
        }
        let view = keyspace.database(ONE, NOW);
        let mut picked = BTreeMap::<Vec<u8>, u64>::new();
        for seed in 0..u64::from(count) * 100 {
            *picked.entry(view.pick(seed).expect("there are keys")).or_default() += 1;
        }
        assert_eq!(picked.len(), count as usize, "{name}");
        // A hundred times each; the deviation of a fair choice is ten.
        assert!(picked.values().all(|&times| (50..=155).contains(&times)), "{name}: {picked:?}");
        let variance =
            picked.values().map(|&times| (times as f64 - 100.0).powi(2)).sum::<f64>() / count as f64;
        assert!((50.0..160.0).contains(&variance), "{name}: {variance}");
    }
}

#[test]
fn a_pick_finds_the_few_that_have_not_expired() {
    let mut keyspace = shard();
    for number in 0..3_000 {
        keyspace.database(ONE, NOW).put_string(&tagged(number), b"", Expiry::At(NOW.plus(1)));
    }
    let later = NOW.plus(2);
    let pick = |keyspace: &mut Keyspace, now: UnixMillis| keyspace.database(ONE, now).pick(1);
    assert_eq!(pick(&mut keyspace, later), None);
    keyspace.database(ONE, NOW).put_string(b"lasts longer", b"", Expiry::At(NOW.plus(5)));
    assert_eq!(pick(&mut keyspace, later).as_deref(), Some(&b"lasts longer"[..]));
    assert_eq!(pick(&mut keyspace, NOW.plus(5)), None);
    put(&mut keyspace, b"lasts for ever", b"");
    assert_eq!(pick(&mut keyspace, NOW.plus(5)).as_deref(), Some(&b"lasts for ever"[..]));
}
