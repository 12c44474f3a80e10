//! The counterexamples of the design, as far as whole nodes show them: each broke an earlier version of it, and each of
//! these tests fails when the rule that answers it is taken out. 14 is shown by Raft's own tests.

mod common;

use base::{Duration, GroupId, NodeId, ReplicaId};
use common::{World, request};
use node::Input;
use std::collections::BTreeSet;

/// The group of a key, and its leader as node 1 knows it.
fn home_of(world: &World, key: &str) -> (GroupId, Option<NodeId>) {
    let slot = base::slot_of(key.as_bytes()).number();
    let overview = world.overview(1);
    let has = |ranges: &[(u16, u16)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&slot));
    let group = overview.groups.iter().find(|group| has(&group.slots)).expect("every slot has a group");
    (group.group, group.leader)
}

/// A node other than 1 that leads a shard, and a key of that shard with the value v.
fn a_foreign_key(world: &mut World) -> (u32, String) {
    let client = world.connect(1);
    world.until("somebody else leads a shard", |world| {
        world.overview(1).groups.iter().skip(1).any(|group| group.leader.is_some_and(|node| node.0 != 1))
    });
    for number in 0.. {
        let key = format!("k{number}");
        if let (_, Some(leader)) = home_of(world, &key)
            && leader.0 != 1
        {
            assert_eq!(world.call(client, &format!("SET {key} v")), "+OK\r\n");
            return (leader.0, key);
        }
    }
    unreachable!("there are keys enough")
}

/// The copy of a group on a node.
fn copy_of(world: &World, node: u32, group: GroupId) -> Option<ReplicaId> {
    let mut found = None;
    world.node(node).probe(&mut |probe| {
        if probe.group == group {
            found = Some(probe.replica);
        }
    });
    found
}

/// The terms of all groups, as node 1 knows them: they grow with every change of leader.
fn terms(world: &World) -> Vec<u64> {
    world.overview(1).groups.iter().map(|group| group.term.0).collect()
}

/// 12: a replica id used twice. Rule: a copy whose state is lost comes back as a new one, and never under the name under
/// which it has voted and acknowledged, not even when the node is started again in between.
#[test]
fn a_copy_that_lost_its_state_never_comes_back_under_its_name() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    for number in 0..20 {
        assert_eq!(world.call(client, &format!("SET k{number} v")), "+OK\r\n");
    }
    let group = GroupId(1);
    let before = copy_of(&world, 3, group).expect("node 3 has a copy");
    world.crash(3);
    let names = world.member(3).disk.names();
    let name = names.iter().find(|name| name.starts_with("snapshot-1-")).expect("a copy came by snapshot");
    // Where it came from it has rotted, too, so that nobody can mend it.
    for node in 1..=3 {
        world.member(node).disk.rot(name, 70, 0xff);
    }
    // Nobody can give it a new name yet, and the old leader still calls it by its old one.
    world.isolate(3);
    world.restart(3);
    world.pass(Duration::from_secs(1));
    assert_eq!(copy_of(&world, 3, group), None);
    world.crash(3);
    world.restart(3);
    world.heal();
    let mut seen = BTreeSet::new();
    world.until("it has a copy again", |world| {
        seen.extend(copy_of(world, 3, group));
        !seen.is_empty() && world.overview(3).ready && world.overview(1).ready
    });
    assert!(seen.iter().all(|copy| copy.generation > before.generation), "{before:?} {seen:?}");
    world.crash(2);
    assert_eq!(world.call(client, "SET k0 w"), "+OK\r\n");
}

/// 13: a process that is stopped for longer than its lease and goes on with what came meanwhile. Rule: a lease counts
/// from the sending of what was acknowledged, and is compared with a clock that is read after the request came.
#[test]
fn a_leader_that_was_paused_reads_nothing_old() {
    let mut world = World::cluster(3);
    let (leader, key) = a_foreign_key(&mut world);
    world.pass(Duration::from_secs(1));
    let (own, other) = (world.connect(leader), world.connect(1));
    assert_eq!(world.call(own, &format!("GET {key}")), "$1\r\nv\r\n");
    world.member(leader).paused = true;
    assert_eq!(world.call(other, &format!("SET {key} new")), "+OK\r\n");
    world.pass(Duration::from_secs(4));
    world.send(own, &request(&["GET", &key]));
    world.member(leader).paused = false;
    world
        .until("an answer", |world| world.overview(leader).groups.iter().all(|group| group.leader.is_some()));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.take(own), "$3\r\nnew\r\n");
}

/// 15: five shrink to two without anybody noticing. Rule: never below three without saying so.
#[test]
fn three_nodes_don_t_become_two_by_the_way() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    let refused = world.call(client, "SIHAI REMOVE NODE 3");
    assert!(refused.starts_with("-ERR ") && refused.contains("force"), "{refused}");
    assert_eq!(world.overview(1).nodes.len(), 3);
}

/// 17: a lone fourth node doesn't know which database has which mode. Rule: every node holds meta durably.
#[test]
fn a_node_without_copies_that_is_alone_knows_every_mode() {
    let mut world = World::cluster(4);
    world.pass(Duration::from_secs(1));
    for node in 1..=4 {
        world.crash(node);
    }
    for alone in 1..=4 {
        world.restart(alone);
        world.until("it has looked around", |world| !world.overview(alone).loading);
        let client = world.connect(alone);
        assert_eq!(world.call(client, "SET k v").split(' ').next(), Some("-NOQUORUM"));
        world.crash(alone);
    }
}

/// 18: the leader hides a key, and the next leader's clock is behind. Rule: a group's time is monotone through a logged
/// ceiling that reads never pass, and at which a new leader starts.
#[test]
fn what_was_seen_expired_never_comes_back() {
    let config = node::Config { clock_skew_max: Duration::from_secs(60), ..common::config() };
    let mut world = World::with(config);
    world.join();
    world.join();
    world.until_ready();
    let (leader, key) = a_foreign_key(&mut world);
    world.pass(Duration::from_secs(1));
    world.member(leader).clock_ahead_ms = 5_000;
    let wall = world.wall().plus(5_000);
    world.give(leader, Input::WallClock(wall));
    let (own, other) = (world.connect(leader), world.connect(1));
    assert_eq!(world.call(own, &format!("PEXPIRE {key} 100")), ":1\r\n");
    // Its lease and the ceiling let it read for a while, but nobody hears that the key has expired.
    world.isolate(leader);
    world.pass(Duration::from_millis(110));
    assert_eq!(world.talk(own, &request(&["GET", &key])), "$-1\r\n");
    assert_eq!(world.call(other, &format!("GET {key}")), "$-1\r\n");
    world.heal();
    world.until_ready();
    assert_eq!(world.call(other, &format!("GET {key}")), "$-1\r\n");
}

/// 20: SCAN over a change of leader misses a key that was there all the time. Rule: its cursor is a place in an order that
/// is the same on every replica.
#[test]
fn a_scan_over_changes_of_leader_misses_nothing() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    for number in 0..300 {
        assert_eq!(world.call(client, &format!("SET k{number} v")), "+OK\r\n");
    }
    let (mut cursor, mut seen, mut page) = ("0".to_string(), BTreeSet::new(), 0);
    loop {
        let reply = world.call(client, &format!("SCAN {cursor} COUNT 10"));
        let lines: Vec<&str> = reply.split("\r\n").collect();
        cursor = lines[2].to_string();
        seen.extend(lines[3..].iter().filter(|line| line.starts_with('k')).map(|line| line.to_string()));
        if cursor == "0" {
            break;
        }
        page += 1;
        if page % 8 == 0 {
            let (_, leader) = home_of(&world, &format!("k{page}"));
            if let Some(leader) = leader.filter(|leader| leader.0 != 1) {
                world.crash(leader.0);
                world.restart(leader.0);
            }
        }
    }
    assert_eq!(seen.len(), 300);
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

/// The names of members in replies: whatever begins with an m.
fn members(replies: &str) -> Vec<String> {
    replies.split("\r\n").filter(|line| line.starts_with('m')).map(str::to_owned).collect()
}

/// 19: pipelined random picks, resolved against one state. Rule: a pick is made where it takes effect, by a seed of its own from
/// the log, on what the picks before it have left, and over an order that is the same on all replicas.
#[test]
fn no_two_pops_of_one_batch_take_one_member() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    let all: Vec<String> = (0..100).map(|number| format!("m{number}")).collect();
    assert_eq!(world.call(client, &format!("SADD s {}", all.join(" "))), ":100\r\n");
    let (one, other) = (world.connect(1), world.connect(2));
    for _ in 0..10 {
        let pops = [request(&["SPOP", "s"]), request(&["SPOP", "s"]), request(&["SPOP", "s", "2"])].concat();
        world.send(one, &pops);
        world.send(other, &pops);
    }
    world.pass(Duration::from_secs(1));
    let mut popped = members(&world.take(one));
    popped.extend(members(&world.take(other)));
    assert_eq!(popped.len(), 80);
    let left = world.call(client, "SMEMBERS s");
    let mut found: Vec<String> = popped.into_iter().chain(members(&left)).collect();
    found.sort();
    let mut expected = all;
    expected.sort();
    assert_eq!(found, expected, "every member is popped once or left");
    let (_, leader) = home_of(&world, "s");
    let leader = leader.expect("it has answered").0;
    let survivor = world.connect(if leader == 3 { 2 } else { 3 });
    world.crash(leader);
    assert_eq!(world.call(survivor, "SMEMBERS s"), left, "another replica has popped the same");
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
