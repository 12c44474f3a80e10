//! Many seeds of trouble; after each the group must be whole and equal. What is checked on the way is in the harness.

mod harness;

use base::log::ConfigStep;
use base::{ConfigChange, ReplicaId, Rng};
use harness::{World, ms, replica};
use raft::DoubtfulTail;

/// One seed: ten seconds of faults, then a heal.
fn trouble(seed: u64) -> u64 {
    let mut dice = Rng::new(seed ^ 0x5eed);
    let count = [1, 3, 3, 3, 5][dice.below(5) as usize];
    let mut world = World::new(seed, count);
    world.snapshot_every = [u64::MAX, 20, 50][dice.below(3) as usize];
    world.loss_permille = [0, 10, 100][dice.below(3) as usize];
    world.double_permille = dice.below(50);
    world.delay_max = ms([2, 10, 80][dice.below(3) as usize]);
    world.is_restore_failing = dice.chance(1, 2);
    for node in world.nodes.values_mut() {
        node.clock_speed = dice.between(995_000, 1_005_000);
        node.disk_delay = ms(dice.between(1, 20));
    }
    let mut generation = 1;
    for _ in 0..200 {
        world.run(ms(dice.between(1, 100)));
        world.watch_all();
        load(&mut world, &mut dice);
        if dice.chance(1, 6) {
            fault(&mut world, &mut dice);
        }
        if count > 1 && dice.chance(1, 25) {
            change_members(&mut world, &mut dice, &mut generation);
        }
    }
    world.heal_and_converge();
    world.trace
}

fn any(world: &World, dice: &mut Rng) -> ReplicaId {
    *dice.pick(&world.nodes.keys().copied().collect::<Vec<_>>()).expect("there are replicas")
}

fn load(world: &mut World, dice: &mut Rng) {
    for id in world.nodes.keys().copied().collect::<Vec<_>>() {
        if world.is_up(id) && world.raft(id).is_leader() && !world.nodes[&id].is_paused {
            for _ in 0..dice.below(4) {
                let size = dice.below(40) as usize;
                world.propose(id, vec![b'x'; size]);
            }
            let ticket = world.commit_max.0;
            world.with(id, |raft, _| raft.request_read(ticket));
            check_reads(world, id);
        }
    }
}

/// A ticket is the highest commit index anywhere when the read was asked for.
fn check_reads(world: &mut World, id: ReplicaId) {
    for (ticket, index) in world.nodes.get_mut(&id).expect("known").reads.drain(..) {
        assert!(index.is_none_or(|index| index.0 >= ticket), "a read missed what was committed before it");
    }
}

fn fault(world: &mut World, dice: &mut Rng) {
    let id = any(world, dice);
    match dice.below(12) {
        0 | 1 if world.is_up(id) => world.crash(id),
        2..=4 => {
            for id in world.nodes.keys().copied().collect::<Vec<_>>() {
                if !world.is_up(id) {
                    world.start(id, None);
                }
            }
        }
        5 => world.cut_off(id),
        6 => {
            let other = any(world, dice);
            world.cuts.insert((id, other));
        }
        7 => world.heal(),
        8 if world.is_up(id) => world.nodes.get_mut(&id).expect("known").is_paused = true,
        9 => {
            for id in world.nodes.keys().copied().collect::<Vec<_>>() {
                world.resume(id);
                world.unhang(id);
            }
        }
        10 => world.nodes.get_mut(&id).expect("known").is_disk_hung = true,
        _ => {
            if let Some(leader) = world.leader().filter(|leader| !world.nodes[leader].is_paused) {
                world.with(leader, |raft, now| raft.transfer(now, id));
            }
        }
    }
}

/// Replaces a member by a new replica of its node, adds one, or removes one.
fn change_members(world: &mut World, dice: &mut Rng, generation: &mut u32) {
    let Some(leader) = world.leader().filter(|leader| !world.nodes[leader].is_paused) else { return };
    let members = world.raft(leader).membership().clone();
    let steps = match dice.below(4) {
        0 if members.voters.len() > 2 => {
            let leaving = *dice.pick(&members.voters.iter().copied().collect::<Vec<_>>()).expect("some");
            vec![ConfigStep::Remove(leaving)]
        }
        1 => members.learners.iter().map(|id| ConfigStep::AddVoter(*id)).collect(),
        _ if members.members().len() < 6 => {
            *generation += 1;
            let newcomer = ReplicaId::new(dice.between(1, 7) as u32, *generation);
            let old = members.on_node(newcomer.node);
            if old == Some(leader) {
                return;
            }
            world.join(newcomer);
            let remove = old.map(ConfigStep::Remove);
            remove.into_iter().chain([ConfigStep::AddLearner(newcomer)]).collect()
        }
        _ => return,
    };
    if !steps.is_empty() {
        let change = ConfigChange { steps, ..ConfigChange::default() };
        let _ = world.with(leader, |raft, _| raft.propose_config(change));
    }
}

fn seeds() -> u64 {
    std::env::var("RAFT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn whatever_happens_the_group_agrees_and_recovers() {
    let first = std::env::var("RAFT_SEED").ok().and_then(|text| text.parse().ok());
    let range = first.map_or(0..seeds(), |seed: u64| seed..seed + 1);
    for seed in range {
        let result = std::panic::catch_unwind(|| trouble(seed));
        assert!(result.is_ok(), "replay with: RAFT_SEED={seed} cargo test -p raft --test world");
    }
}

#[test]
fn equal_seeds_give_equal_histories() {
    assert_eq!(trouble(7), trouble(7));
    assert_ne!(trouble(7), trouble(8));
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
