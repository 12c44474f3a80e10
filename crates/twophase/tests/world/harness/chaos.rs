//! Everything at once, from a seed: clients of all kinds, a bad network, gateways and leaders that die, logs without a majority.

use super::store::{Action, key};
use super::{Faults, World, ms, shard};
use base::{GroupId, NodeId};
use std::collections::BTreeMap;
use twophase::bugs::Bugs;
use twophase::{GatewayConfig, ParticipantConfig};

/// A transaction over some shards, a read over some, or a command on one; lists first read, then appended to.
fn something(world: &mut World, value: u64, keys: u64) {
    let gateway = 1 + world.rng.below(world.gateways.len().max(1) as u64) as u32;
    let kind = world.rng.below(10);
    let count = if kind < 3 { 1 } else { 2 + world.rng.below(2) };
    let mut wish: BTreeMap<GroupId, Vec<Action>> = BTreeMap::new();
    for _ in 0..count {
        let group = shard(1 + world.rng.below(world.shards.len() as u64) as u32);
        let name = key(&format!("k{}", world.rng.below(keys)));
        let actions = wish.entry(group).or_default();
        let appended = actions.iter().any(|action| matches!(action, Action::Append(..)));
        if !appended {
            actions.push(Action::Read(name.clone()));
            if kind != 0 && kind < 8 {
                actions.push(Action::Append(name, value));
            }
        }
    }
    match kind {
        0..3 => {
            if let Some((group, actions)) = wish.into_iter().next() {
                world.plain(group, actions);
            }
        }
        3..6 => {
            world.begin(gateway, wish);
        }
        6..8 => {
            // Two rounds: what it has seen in the first must be so in the second.
            let group = shard(1 + world.rng.below(world.shards.len() as u64) as u32);
            let name = key(&format!("k{}", world.rng.below(keys)));
            if let Some(seen) = world.peek(group, &name) {
                let seen = BTreeMap::from([((group, name), seen)]);
                let pause = world.rng.below(15);
                world.run(ms(pause));
                world.begin_checked(gateway, wish, seen);
            }
        }
        _ => {
            world.read(gateway, wish);
        }
    }
}

/// What a seed brings. In every second one shards forget as fast as they can, so that messages
/// come late; in every third gateways lose patience at once.
pub fn chaos(seed: u64, bugs: Bugs) -> World {
    let forgets: fn(&mut ParticipantConfig) = |config| {
        config.floor_lag = ms(60);
        config.forget_every = ms(20);
    };
    let keeps: fn(&mut ParticipantConfig) = |_| {};
    let configure = if seed.is_multiple_of(2) { keeps } else { forgets };
    let patient: fn(&mut GatewayConfig) = |_| {};
    let hasty: fn(&mut GatewayConfig) = |config| {
        config.settle_before = ms(4_960);
        config.resend_every = ms(15);
    };
    let mut world =
        World::with(seed, 3, 3, bugs, configure, if seed.is_multiple_of(3) { hasty } else { patient });
    world.tolerant = bugs != Bugs::default();
    world.faults = Faults { lost: 50, doubled: 100, delay: ms(20), not_proposed: 20 };
    for value in 1..=80 {
        let keys = 1 + seed % 4;
        let pause = world.rng.below(40);
        something(&mut world, value, keys);
        world.run(ms(pause));
        match world.rng.below(60) {
            0 => {
                let node = NodeId(1 + world.rng.below(3) as u32);
                world.kill_gateway(node);
                world.call(ms(500), move |world| world.start_gateway(node));
            }
            1 => {
                let group = shard(1 + world.rng.below(3) as u32);
                let talks = world.rng.chance(1, 2);
                world.lose_leader(group, talks);
                world.call(ms(900), move |world| world.forget_deposed(group));
            }
            2 => {
                let group = shard(1 + world.rng.below(3) as u32);
                world.shards.get_mut(&group).expect("it is there").has_quorum = false;
                world.call(ms(400), move |world| {
                    world.shards.get_mut(&group).expect("it is there").has_quorum = true;
                    world.resume(group);
                });
            }
            _ => {}
        }
    }
    world
}
