//! What keeps whom from what.

use super::*;

const DB: DatabaseId = DatabaseId(1);

fn lock(key: &'static str, mode: Mode) -> Lock {
    let key = if key == "*" { None } else { Some(Bytes::from_static(key.as_bytes())) };
    Lock { database: DB, key, mode }
}

fn locks(all: &[(&'static str, Mode)]) -> Locks {
    Locks::new(all.iter().map(|(key, mode)| lock(key, *mode)))
}

/// Whether the second is kept waiting by the first.
fn meets(first: (&'static str, Mode), second: (&'static str, Mode)) -> bool {
    let mut table = LockTable::default();
    table.insert(1u32, &locks(&[first]));
    table.are_in_the_way(&locks(&[second]), |owner| owner != 2)
}

#[test]
fn readers_share_and_writers_do_not() {
    use Mode::{Exclusive, Shared};
    assert!(!meets(("a", Shared), ("a", Shared)));
    assert!(meets(("a", Shared), ("a", Exclusive)));
    assert!(meets(("a", Exclusive), ("a", Shared)));
    assert!(!meets(("a", Exclusive), ("b", Exclusive)));
}

#[test]
fn who_looks_at_a_whole_database_meets_who_changes_a_part_of_it() {
    use Mode::{Exclusive, Shared};
    for (part, whole, conflict) in [
        (Shared, Shared, false),
        (Shared, Exclusive, true),
        (Exclusive, Shared, true),
        (Exclusive, Exclusive, true),
    ] {
        assert_eq!(meets(("a", part), ("*", whole)), conflict, "{part:?} before {whole:?}");
        assert_eq!(meets(("*", whole), ("a", part)), conflict, "{whole:?} before {part:?}");
    }
}

#[test]
fn another_database_is_another_matter() {
    let mut table = LockTable::default();
    table.insert(1u32, &locks(&[("*", Mode::Exclusive)]));
    assert!(!table.is_in_the_way(DatabaseId(2), Some(b"a"), Mode::Exclusive, |_| true));
    assert!(table.is_in_the_way(DB, Some(b"a"), Mode::Shared, |_| true));
}

#[test]
fn nobody_is_in_his_own_way_and_the_youngest_is_named() {
    let mut table = LockTable::default();
    for owner in [3u32, 1, 2] {
        table.insert(owner, &locks(&[("a", Mode::Shared), ("b", Mode::Shared)]));
    }
    let wanted = locks(&[("a", Mode::Exclusive)]);
    assert_eq!(table.last_in_the_way(&wanted, |_| true), Some(3));
    assert_eq!(table.last_in_the_way(&wanted, |owner| owner != 3), Some(2));
    assert!(!table.are_in_the_way(&wanted, |owner| owner > 3));
}

#[test]
fn what_is_given_back_leaves_nothing_behind() {
    let mut table = LockTable::default();
    let both = locks(&[("a", Mode::Exclusive), ("*", Mode::Shared), ("b", Mode::Shared)]);
    table.insert(1u32, &both);
    table.insert(2u32, &both);
    table.remove(1, &both);
    assert!(table.is_in_the_way(DB, Some(b"a"), Mode::Shared, |_| true));
    table.remove(2, &both);
    assert!(table.is_empty());
}

#[test]
fn a_name_asked_for_twice_is_locked_in_the_stronger_mode() {
    let once = locks(&[("a", Mode::Shared), ("b", Mode::Shared), ("a", Mode::Exclusive)]);
    assert_eq!(once, locks(&[("b", Mode::Shared), ("a", Mode::Exclusive)]));
}
