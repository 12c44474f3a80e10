//! Transactions over several shards whose gateway, leaders or majorities are lost in the middle: what is locked comes free, whole or not
//! at all, and nobody hears a lie.

mod common;

use base::Duration;
use common::{Connection, World, config};
use node::Config;
use node::overview::GroupOverview;
use std::collections::BTreeSet;

/// Where a key lies: who leads its shard, and which nodes have copies.
#[derive(Clone, Debug)]
struct Place {
    key: String,
    leader: u32,
    copies: BTreeSet<u32>,
}

fn of_slot(group: &GroupOverview, slot: u16) -> bool {
    group.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
}

/// One key of every shard.
fn places(world: &World) -> Vec<Place> {
    let overview = world.overview(1);
    let shards = overview.groups.into_iter().filter(|group| !group.group.is_meta());
    shards
        .filter_map(|group| {
            let key = (0..1_000).map(|n| format!("k{n}"));
            let key = key.into_iter().find(|key| of_slot(&group, base::slot_of(key.as_bytes()).number()))?;
            let copies = group.copies.iter().filter(|copy| copy.voter).map(|copy| copy.replica.node.0);
            Some(Place { key, leader: group.leader?.0, copies: copies.collect() })
        })
        .collect()
}

fn says(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

fn five() -> World {
    let mut world = World::with(Config { shards: 16, ..config() });
    for _ in 1..5 {
        world.join();
    }
    world.until_ready();
    // Leaderships find their places.
    world.pass(Duration::from_secs(20));
    world
}

/// Asks until the answer is no refusal for the moment; how long that took.
fn until_served(world: &mut World, client: Connection, command: &str) -> (String, Duration) {
    let begun = world.now;
    loop {
        let reply = world.call(client, command);
        if !reply.starts_with("-TRYAGAIN") && !reply.starts_with("-NOQUORUM") {
            return (reply, world.now.since(begun));
        }
        let waited = world.now.since(begun);
        assert!(waited < Duration::from_secs(30), "{command}: {reply}");
        world.pass(Duration::from_millis(20));
    }
}

/// Two keys whose shards two nodes lead, and a third node.
fn two_shards(world: &World) -> Option<(Place, Place, u32)> {
    let places = places(world);
    places.iter().find_map(|a| {
        let b = places.iter().find(|b| b.leader != a.leader)?;
        let gateway = (1..=5).find(|node| *node != a.leader && *node != b.leader)?;
        Some((a.clone(), b.clone(), gateway))
    })
}

fn begin(world: &mut World, gateway: u32, a: &Place, b: &Place) -> Connection {
    let client = world.connect(gateway);
    says(world, client, &[(&format!("MSET {} 10 {} 20", a.key, b.key), "+OK")]);
    // The outcome is told.
    world.pass(Duration::from_millis(500));
    client
}

fn send_transfer(world: &mut World, client: Connection, a: &Place, b: &Place) {
    let text = format!("MULTI\r\nDECRBY {} 3\r\nINCRBY {} 3\r\nEXEC\r\n", a.key, b.key);
    world.send(client, text.as_bytes());
    world.settle();
}

#[test]
fn a_dead_gateways_transaction_that_is_prepared_everywhere_counts_and_its_keys_come_free() {
    let mut world = five();
    let (a, b, gateway) = two_shards(&world).expect("somebody leads two shards");
    let client = begin(&mut world, gateway, &a, &b);
    // Both leaders have it in their logs, and it is committed when its gateway is no more.
    let others: Vec<u32> = (1..=5).filter(|node| *node != gateway).collect();
    for node in &others {
        world.member(*node).disk_hangs = true;
    }
    send_transfer(&mut world, client, &a, &b);
    assert_eq!(world.take(client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    world.crash(gateway);
    others.iter().for_each(|node| world.unhang(*node));
    let other = world.connect(a.leader);
    let (reply, took) = until_served(&mut world, other, &format!("GET {}", a.key));
    assert_eq!(reply, "$1\r\n7\r\n");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (reply, took) = until_served(&mut world, other, &format!("MGET {} {}", a.key, b.key));
    assert_eq!(reply, "*2\r\n$1\r\n7\r\n$2\r\n23\r\n");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let transfer = format!("MSET {} 0 {} 0", a.key, b.key);
    assert_eq!(until_served(&mut world, other, &transfer).0, "+OK\r\n");
}

#[test]
fn a_dead_gateways_transaction_that_one_shard_never_heard_of_is_taken_back() {
    let mut world = five();
    let (a, b, gateway) = two_shards(&world).expect("somebody leads two shards");
    let client = begin(&mut world, gateway, &a, &b);
    world.member(b.leader).paused = true;
    send_transfer(&mut world, client, &a, &b);
    world.crash(gateway);
    // What it was sent is lost with it.
    world.crash(b.leader);
    world.member(b.leader).paused = false;
    world.restart(b.leader);
    let other = world.connect(a.leader);
    let (reply, took) = until_served(&mut world, other, &format!("GET {}", a.key));
    assert_eq!(reply, "$2\r\n10\r\n", "as it was before");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (reply, _) = until_served(&mut world, other, &format!("MGET {} {}", a.key, b.key));
    assert_eq!(reply, "*2\r\n$2\r\n10\r\n$2\r\n20\r\n");
    assert_eq!(until_served(&mut world, other, &format!("INCR {}", a.key)).0, ":11\r\n");
}

/// Counterexample 8.
#[test]
fn while_a_shard_lacks_a_majority_what_it_holds_elsewhere_is_refused_and_no_outcome_is_made_up() {
    let mut world = five();
    let all = places(&world);
    let found = all.iter().find_map(|a| {
        all.iter().find_map(|b| {
            let lost: Vec<u32> = [b.leader]
                .into_iter()
                .chain(b.copies.iter().copied().filter(|n| *n != b.leader))
                .take(2)
                .collect();
            let gateway = (1..=5).find(|n| !lost.contains(n) && *n != a.leader && *n != 1)?;
            let dead: BTreeSet<u32> = lost.iter().copied().chain([gateway]).collect();
            let left = a.copies.iter().filter(|n| !dead.contains(n)).count();
            (!dead.contains(&a.leader) && left >= 2).then(|| (a.clone(), b.clone(), gateway, lost))
        })
    });
    let (a, b, gateway, lost) = found.expect("copies are spread");
    let client = begin(&mut world, gateway, &a, &b);
    world.member(b.leader).paused = true;
    send_transfer(&mut world, client, &a, &b);
    world.crash(gateway);
    lost.iter().for_each(|node| world.crash(*node));
    world.member(b.leader).paused = false;
    let other = world.connect(a.leader);
    let third = world.connect(a.leader);
    for command in [format!("GET {}", a.key), format!("INCR {}", a.key)] {
        let begun = world.now;
        let reply = world.call(other, &command);
        assert!(reply.starts_with("-TRYAGAIN "), "{reply}");
        assert!(world.now.since(begun) <= Duration::from_secs(6), "{:?}", world.now.since(begun));
        // Others of the shard are unharmed meanwhile.
        says(&mut world, third, &[(&format!("SET {{{}}}other 1", a.key), "+OK")]);
    }
    let reply = world.call(other, &format!("MGET {} {}", a.key, b.key));
    assert!(reply.starts_with("-TRYAGAIN ") || reply.starts_with("-NOQUORUM "), "{reply}");
    lost.iter().for_each(|node| world.restart(*node));
    let (reply, took) = until_served(&mut world, other, &format!("GET {}", a.key));
    assert_eq!(reply, "$2\r\n10\r\n");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn who_meets_a_lock_waits_for_the_outcome_and_sees_it() {
    let mut world = five();
    let (a, b, gateway) = two_shards(&world).expect("somebody leads two shards");
    let client = begin(&mut world, gateway, &a, &b);
    world.member(b.leader).paused = true;
    send_transfer(&mut world, client, &a, &b);
    assert_eq!(world.take(client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    // Here, and by a lane; a command on the key, and one that watches it.
    let near = world.connect(a.leader);
    let far = (1..=5).find(|node| *node != a.leader && *node != b.leader && *node != gateway);
    let far = world.connect(far.expect("there are five"));
    let watching = world.connect(a.leader);
    for client in [near, far] {
        world.send(client, format!("INCR {}\r\n", a.key).as_bytes());
    }
    world.send(watching, format!("WATCH {}\r\n", a.key).as_bytes());
    world.settle();
    for client in [near, far, watching] {
        assert_eq!(world.take(client), "");
    }
    world.member(b.leader).paused = false;
    world.pass(Duration::from_millis(200));
    assert_eq!(world.take(client), "*2\r\n:7\r\n:23\r\n");
    let mut seen = [world.take(near), world.take(far)];
    seen.sort();
    assert_eq!(seen, [":8\r\n", ":9\r\n"]);
    assert_eq!(world.take(watching), "+OK\r\n");
    says(&mut world, watching, &[("MULTI", "+OK"), ("PING", "+QUEUED")]);
}
