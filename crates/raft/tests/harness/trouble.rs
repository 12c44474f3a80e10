//! One run of trouble: random load, faults and changes of members, then a heal.

use super::{World, ms};
use base::log::ConfigStep;
use base::{ConfigChange, ReplicaId, Rng};
use raft::Config;

/// One seed: ten seconds of faults, then a heal.
pub fn trouble(seed: u64, adjust: impl Fn(&mut Config)) -> u64 {
    let mut dice = Rng::new(seed ^ 0x5eed);
    let count = [1, 3, 3, 3, 5][dice.below(5) as usize];
    let mut world = World::with_config(seed, count, adjust);
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

pub fn any(world: &World, dice: &mut Rng) -> ReplicaId {
    *dice.pick(&world.nodes.keys().copied().collect::<Vec<_>>()).expect("there are replicas")
}

pub fn load(world: &mut World, dice: &mut Rng) {
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
