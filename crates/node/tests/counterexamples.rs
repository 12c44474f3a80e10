//! The counterexamples of the design, as far as whole nodes show them: each broke an earlier version of it, and each of
//! these tests fails when the rule that answers it is taken out.

mod common;

use base::{Duration, NodeId};
use common::World;
use node::Input;

/// A node other than 1 that leads a shard, and a key of that shard with a value.
fn a_foreign_key(world: &mut World) -> (u32, String) {
    let client = world.connect(1);
    world.until("somebody else leads a shard", |world| {
        world.overview(1).groups.iter().skip(1).any(|group| group.leader.is_some_and(|node| node.0 != 1))
    });
    for number in 0.. {
        let key = format!("k{number}");
        let slot = base::slot_of(key.as_bytes()).number();
        let overview = world.overview(1);
        let group = overview
            .groups
            .iter()
            .find(|group| group.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot)))
            .expect("every slot has a group");
        if let Some(leader) = group.leader.filter(|leader| leader.0 != 1) {
            assert_eq!(world.call(client, &format!("SET {key} v")), "+OK\r\n");
            return (leader.0, key);
        }
    }
    unreachable!("there are keys enough")
}

/// The terms of all groups, as node 1 knows them: they grow with every change of leader.
fn terms(world: &World) -> Vec<u64> {
    world.overview(1).groups.iter().map(|group| group.term.0).collect()
}

/// 18: a leader whose clock jumps ten years ahead would delete every volatile key. Rule: a clock is compared with the
/// majority's before a group's time follows it, and a node whose clock is off neither leads nor expires.
#[test]
fn a_leader_ten_years_ahead_lets_no_key_expire() {
    let mut world = World::cluster(3);
    let (leader, key) = a_foreign_key(&mut world);
    let client = world.connect(1);
    assert_eq!(world.call(client, &format!("PEXPIRE {key} 60000")), ":1\r\n");
    world.pass(Duration::from_secs(2));
    let ahead = 10 * 365 * 86_400_000;
    world.member(leader).clock_ahead_ms = ahead;
    let wall = world.wall().plus(ahead);
    world.give(leader, Input::WallClock(wall));
    let own = world.connect(leader);
    assert_eq!(world.call(own, &format!("GET {key}")), "$1\r\nv\r\n");
    world.until("it leads nothing", |world| {
        world.overview(1).groups.iter().all(|group| group.leader.is_some_and(|node| node != NodeId(leader)))
    });
    let settled = terms(&world);
    world.pass(Duration::from_secs(5));
    assert_eq!(terms(&world), settled, "leaderships are not handed to and fro");
    assert!(
        world.overview(1).groups.iter().all(|group| group.leader.is_some_and(|node| node != NodeId(leader))),
        "nobody hands leadership to a node whose clock is off"
    );
    assert_eq!(world.call(client, &format!("GET {key}")), "$1\r\nv\r\n");
}

/// 16: a node that lives on while its disk, or its engine, does not must not be given leaderships again and again; every
/// handing over that comes to nothing makes the group wait. The same for one that is about to stop.
#[test]
fn leadership_is_handed_to_nobody_who_could_not_keep_it() {
    let mut world = World::cluster(3);
    let (leader, _) = a_foreign_key(&mut world);
    world.pass(Duration::from_secs(3));
    world.member(leader).disk_hangs = true;
    let client = world.connect(1);
    for number in 0..20 {
        assert_eq!(world.call(client, &format!("SET k{number} v")), "+OK\r\n");
    }
    world.until("it leads nothing", |world| {
        world.overview(1).groups.iter().all(|group| group.leader.is_some_and(|node| node != NodeId(leader)))
    });
    world.pass(Duration::from_secs(1));
    let (settled, began) = (terms(&world), world.now);
    for number in 0..40 {
        assert_eq!(world.call(client, &format!("SET k{number} w")), "+OK\r\n");
    }
    assert_eq!(terms(&world), settled);
    assert!(world.now.since(began) < Duration::from_millis(100), "writes wait: {:?}", world.now.since(began));
}

/// A graceful end is one handing over of each group, not a game of catch with those who would like to hand it back.
#[test]
fn a_node_that_stops_is_given_nothing_back() {
    let mut world = World::cluster(3);
    let (leader, _) = a_foreign_key(&mut world);
    world.pass(Duration::from_secs(3));
    let before = terms(&world);
    world.give(leader, Input::Shutdown);
    world.pass(Duration::from_secs(2));
    assert!(world.member(leader).stopped);
    let after = terms(&world);
    for (before, after) in before.iter().zip(&after) {
        assert!(after - before <= 1, "{before} {after}");
    }
    assert!(
        world.overview(1).groups.iter().all(|group| group.leader.is_some_and(|node| node != NodeId(leader)))
    );
}
