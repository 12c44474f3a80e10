//! Many seeds of trouble; after each the group must be whole and equal. What is checked on the way is in the harness.
#![allow(clippy::disallowed_methods, reason = "a seed to replay is given in the environment")]

mod harness;

use base::{ReplicaId, Rng};
use harness::trouble::{any, load, trouble};
use harness::{World, ms, replica};
use raft::DoubtfulTail;

fn seeds() -> u64 {
    std::env::var("RAFT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn whatever_happens_the_group_agrees_and_recovers() {
    let first = std::env::var("RAFT_SEED").ok().and_then(|text| text.parse().ok());
    let range = first.map_or(0..seeds(), |seed: u64| seed..seed + 1);
    for seed in range {
        let result = std::panic::catch_unwind(|| trouble(seed, |_| {}));
        assert!(result.is_ok(), "replay with: RAFT_SEED={seed} cargo test -p raft --test world");
    }
}

#[test]
fn equal_seeds_give_equal_histories() {
    assert_eq!(trouble(7, |_| {}), trouble(7, |_| {}));
    assert_ne!(trouble(7, |_| {}), trouble(8, |_| {}));
}

/// Every crash leaves the last batch unreadable on one replica at a time, so that a good copy of everything stays.
fn rot(seed: u64) {
    let mut dice = Rng::new(seed ^ 0x0707);
    let mut world = World::new(seed, 3);
    world.delay_max = ms(10);
    for _ in 0..60 {
        world.run(ms(dice.between(20, 400)));
        load(&mut world, &mut dice);
        let id = any(&world, &mut dice);
        let is_doubtful = |id: &ReplicaId| world.is_up(*id) && world.raft(*id).is_tail_doubtful();
        if !world.nodes.keys().any(is_doubtful) && world.is_up(id) {
            world.crash(id);
            let last = world.rot(id);
            world.run(ms(dice.below(50)));
            let last = last.filter(|_| dice.chance(1, 2));
            world.start(id, Some(DoubtfulTail { last }));
        }
        if dice.chance(1, 4) {
            let id = replica(dice.between(1, 4) as u32);
            world.cut_off(id);
        } else if dice.chance(1, 2) {
            world.heal();
        }
    }
    world.heal_and_converge();
    for id in world.nodes.keys() {
        assert!(!world.raft(*id).is_tail_doubtful(), "{id} stays in doubt\n{}", world.describe());
    }
}

#[test]
fn a_rotten_tail_never_loses_what_was_acknowledged() {
    for seed in 0..seeds() {
        let result = std::panic::catch_unwind(|| rot(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}
