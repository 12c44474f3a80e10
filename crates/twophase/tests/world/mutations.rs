//! Rules that are left out, one at a time: the checkers must notice. A checker that can't fail proves nothing. Those that chance finds too
//! seldom (`forgotten_and_stale`, `late_resolve_wins`, `older_waits_too`, `refusal_is_an_abort`) are among the counterexamples.

use crate::harness::chaos::chaos;
use twophase::bugs::Bugs;

/// The first of these seeds at which what is left out shows, and how.
fn first_fault(bugs: Bugs, seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| {
        let mut world = chaos(seed, bugs);
        world.settle_and_judge();
        world.broken.map(|what| (seed, what))
    })
}

macro_rules! caught {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let bugs = Bugs { $name: true, ..Bugs::default() };
                let found = first_fault(bugs, 1_000);
                println!("{found:?}");
                assert!(found.is_some(), "nobody noticed");
            }
        )*
    };
}

caught! {
    prevent_unlogged
    forget_early
    no_floor
    floor_over_prepared
    forgotten_is_absent
    gateway_aborts_alone
    tombstone_unchecked
    versions_unchecked
    locks_unchecked
    watch_takes_no_lock
    reads_skip_the_barrier
    windows_not_compared
}
