//! Somebody dies at every step of the protocol, one step after the other: the gateway, or the leader of a shard, which may go on talking.

use crate::harness::store::{Action, key};
use crate::harness::{World, ms, shard};
use base::NodeId;
use std::collections::BTreeMap;
use twophase::bugs::Bugs;

#[derive(Clone, Copy, Debug)]
enum Victim {
    Gateway,
    Leader { of: u32, goes_on_talking: bool },
    AllLeaders,
}

/// Two clients that want the same two lists in opposite order, a third over three shards, and a reader. Somebody dies behind so many events.
fn run(victim: Victim, at: u64, refuses: bool) -> (World, bool) {
    let mut world = World::with(7, 3, 2, Bugs::default(), |_| {}, |_| {});
    let append = |name: &str, value| vec![Action::Read(key(name)), Action::Append(key(name), value)];
    let last = if refuses { vec![Action::Refuse] } else { append("z", 1) };
    world
        .begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1)), (shard(3), last)]));
    world.begin(2, BTreeMap::from([(shard(1), append("x", 2)), (shard(2), append("y", 2))]));
    world.read(
        2,
        BTreeMap::from([(shard(1), vec![Action::Read(key("x"))]), (shard(2), vec![Action::Read(key("y"))])]),
    );
    let end = world.now + ms(3_000);
    let began = world.steps;
    let mut died = false;
    loop {
        if world.steps - began == at {
            died = true;
            match victim {
                Victim::Gateway => world.kill_gateway(NodeId(1)),
                Victim::Leader { of, goes_on_talking } => world.lose_leader(shard(of), goes_on_talking),
                Victim::AllLeaders => {
                    [1, 2, 3].map(shard).into_iter().for_each(|group| world.lose_leader(group, false))
                }
            }
        }
        if !world.step_until(end) {
            break;
        }
    }
    world.now = end;
    // All shards have a quorum: within five seconds of the death every lock is free.
    world.run(ms(2_000));
    for (group, shard) in &world.shards {
        assert!(shard.ledger.locks().is_empty(), "{victim:?} died at step {at}: locks of {group} are held");
    }
    world.settle_and_judge();
    (world, died)
}

fn at_every_step(victim: Victim) {
    for refuses in [false, true] {
        let mut steps = 0;
        while run(victim, steps, refuses).1 {
            steps += 1;
        }
        println!("{victim:?} died at each of {steps} steps");
        assert!(steps > 40, "the protocol has more steps than {steps}");
    }
}

#[test]
fn a_gateway_may_die_at_every_step() {
    at_every_step(Victim::Gateway);
}

#[test]
fn a_leader_may_die_at_every_step() {
    for of in [1, 2, 3] {
        at_every_step(Victim::Leader { of, goes_on_talking: false });
    }
}

#[test]
fn a_leader_may_be_deposed_at_every_step_and_go_on_talking() {
    for of in [1, 2, 3] {
        at_every_step(Victim::Leader { of, goes_on_talking: true });
    }
}

#[test]
fn all_leaders_may_die_at_every_step_at_once() {
    at_every_step(Victim::AllLeaders);
}
