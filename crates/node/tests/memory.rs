//! `maxmemory`: what is refused has left no trace, nothing is lost that may not go, and copies agree on what goes.

mod common;

use base::{Duration, GroupId, Rng};
use common::{Connection, World, config, request};
use node::Config;

const FULL: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

fn one_shard() -> World {
    World::with(Config { shards: 1, ..config() })
}

/// What the copies on a node hold.
fn used(world: &World, node: u32) -> u64 {
    let overview = world.overview(node);
    overview.groups.iter().filter_map(|group| group.own.as_ref()).map(|own| own.memory_bytes).sum()
}

fn limit(world: &mut World, client: Connection, bytes: u64) {
    assert_eq!(world.call(client, &format!("CONFIG SET maxmemory {bytes}")), "+OK\r\n");
}

/// Every request with its reply.
fn says(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

#[test]
fn what_may_take_memory_is_refused_when_it_is_short_and_nothing_else() {
    let mut world = one_shard();
    let client = world.connect(1);
    says(&mut world, client, &[("SET a 1", "+OK"), ("RPUSH l x y", ":2"), ("SADD s m", ":1")]);
    let before = world.overview(1).groups[1].own.expect("it has a copy").last;
    limit(&mut world, client, 1);
    for command in
        ["SET b 2", "APPEND a x", "LPUSH l z", "INCR n", "MSET b 1 c 2", "COPY a b", "SUNIONSTORE d s"]
    {
        assert_eq!(world.call(client, command), FULL, "{command}");
    }
    let after = world.overview(1).groups[1].own.expect("it has a copy").last;
    assert_eq!(before, after, "what was refused is in no log");
    says(
        &mut world,
        client,
        &[
            ("GET a", "$1\r\n1"),
            ("EXISTS b c d n", ":0"),
            ("EXPIRE a 100", ":1"),
            ("LPOP l", "$1\r\nx"),
            ("RENAME a b", "+OK"),
            ("SREM s m", ":1"),
            ("DEL b", ":1"),
        ],
    );
    limit(&mut world, client, 0);
    says(&mut world, client, &[("SET b 2", "+OK"), ("DBSIZE", ":2")]);
}

#[test]
fn a_transaction_is_refused_as_a_whole() {
    let mut world = one_shard();
    let (client, other) = (world.connect(1), world.connect(1));
    says(&mut world, client, &[("SET x 1", "+OK"), ("MULTI", "+OK"), ("INCR x", "+QUEUED")]);
    limit(&mut world, other, 1);
    let discarded = "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.";
    says(&mut world, client, &[("EXEC", discarded), ("GET x", "$1\r\n1"), ("MULTI", "+OK")]);
    assert_eq!(world.call(client, "GET x"), FULL, "what is gathered takes memory, whatever it is");
    says(&mut world, client, &[("EXEC", "-EXECABORT Transaction discarded because of previous errors.")]);
    limit(&mut world, other, 0);
    says(&mut world, client, &[("MULTI", "+OK"), ("GET x", "+QUEUED"), ("DEL x", "+QUEUED")]);
    limit(&mut world, other, 1);
    says(&mut world, client, &[("EXEC", "*2\r\n$1\r\n1\r\n:1")]);
}

#[test]
fn the_leader_refuses_what_comes_through_another_node_and_what_is_behind_goes_on() {
    let mut world = World::cluster(3);
    let clients: Vec<Connection> = (1..=3).map(|node| world.connect(node)).collect();
    for at in 0..60 {
        assert_eq!(world.call(clients[at % 3], &format!("SET k{at} {at}")), "+OK\r\n");
    }
    limit(&mut world, clients[0], 1);
    // The other nodes hear of it a moment later.
    world.pass(Duration::from_millis(200));
    for at in 0..60 {
        let client = clients[(at + 1) % 3];
        let mut pipeline = request(&["SET", &format!("k{at}"), "other"]);
        pipeline.extend(request(&["EXPIRE", &format!("k{at}"), "1000"]));
        pipeline.extend(request(&["GET", &format!("k{at}")]));
        let value = at.to_string();
        let rest = format!(":1\r\n${}\r\n{value}\r\n", value.len());
        world.send(client, &pipeline);
        world.pass(Duration::from_millis(500));
        assert_eq!(world.take(client), format!("{FULL}{rest}"));
    }
    assert_eq!(world.call(clients[0], "DBSIZE"), ":60\r\n", "nothing is lost");
}

#[test]
fn a_pipeline_overshoots_by_a_bounded_step() {
    let mut world = one_shard();
    let client = world.connect(1);
    limit(&mut world, client, 1 << 20);
    let value = "v".repeat(10_000);
    let pipeline: Vec<u8> = (0..2000).flat_map(|at| request(&["SET", &format!("k{at}"), &value])).collect();
    let replies = world.talk(client, &pipeline);
    let (taken, refused) = (replies.matches("+OK").count(), replies.matches("-OOM").count());
    assert_eq!(taken + refused, 2000);
    assert_eq!(world.call(client, "DBSIZE"), format!(":{taken}\r\n"), "what was taken is there");
    assert!(used(&world, 1) > 1 << 20 && used(&world, 1) < 6 << 20, "{}", used(&world, 1));
}

/// A node whose clients' keys go by this policy once they take more than so many bytes.
fn evicting(world: &mut World, client: Connection, policy: &str, bytes: u64) {
    assert_eq!(world.call(client, &format!("CONFIG SET maxmemory-policy {policy}")), "+OK\r\n");
    limit(world, client, bytes);
}

fn evicted(world: &World, node: u32) -> u64 {
    world.overview(node).counters.evicted
}

/// The most that a node may hold beyond its limit for a moment: what was under way, and what one command brings.
const STEP: u64 = 8 << 10;

#[test]
fn under_any_load_memory_stays_below_the_limit() {
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let mut world = one_shard();
        let client = world.connect(1);
        evicting(&mut world, client, policy, 40_000);
        let mut rng = Rng::new(11);
        for step in 0..250 {
            let mut pipeline = Vec::new();
            for _ in 0..=rng.below(4) {
                let key = format!("k{}", rng.below(400));
                let value = "v".repeat(rng.below(600) as usize);
                pipeline.extend(match rng.below(6) {
                    0 => request(&["SADD", &format!("s{key}"), &value, "a", "b"]),
                    1 => request(&["GET", &key]),
                    2 => request(&["DEL", &key]),
                    _ => request(&["SET", &key, &value, "PX", &(1000 + rng.below(100_000)).to_string()]),
                });
            }
            world.talk(client, &pipeline);
            assert!(used(&world, 1) < 40_000 + STEP, "{policy}, step {step}: {}", used(&world, 1));
        }
        assert!(evicted(&world, 1) > 20, "{policy}: {}", evicted(&world, 1));
    }
}

#[test]
fn copies_agree_after_evictions_and_a_change_of_leader() {
    let mut world = World::cluster(3);
    let clients: Vec<Connection> = (1..=3).map(|node| world.connect(node)).collect();
    evicting(&mut world, clients[0], "allkeys-lru", 30_000);
    let value = "v".repeat(100);
    let mut rng = Rng::new(5);
    let mut load = |world: &mut World, clients: &[Connection]| {
        for _ in 0..60 {
            let client = clients[rng.below(clients.len() as u64) as usize];
            let pipeline: Vec<u8> =
                (0..10).flat_map(|_| request(&["SET", &format!("k{}", rng.below(1000)), &value])).collect();
            world.talk(client, &pipeline);
        }
    };
    load(&mut world, &clients);
    let before = (1..=3).map(|node| evicted(&world, node)).sum::<u64>();
    assert!(before > 100, "{before}");
    world.crash(1);
    world.pass(Duration::from_secs(5));
    load(&mut world, &clients[1..]);
    world.restart(1);
    world.until_ready();
    let again = world.connect(1);
    load(&mut world, &[again, clients[1], clients[2]]);
    world.pass(Duration::from_secs(1));
    let of = |node| -> Vec<(GroupId, u64)> {
        world.node(node).digests().into_iter().map(|(group, _, digest)| (group, digest)).collect()
    };
    assert_eq!(of(1), of(2));
    assert_eq!(of(1), of(3));
    for node in 1..=3 {
        assert!(used(&world, node) < 30_000 + STEP, "node {node}: {}", used(&world, node));
    }
}

#[test]
fn volatile_policies_leave_what_never_expires_and_then_refuse() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let mut world = one_shard();
        let client = world.connect(1);
        evicting(&mut world, client, policy, 20_000);
        for number in 0..50 {
            assert_eq!(world.call(client, &format!("SET p{number} v")), "+OK\r\n");
        }
        for number in 0..300 {
            assert_eq!(
                world.call(client, &format!("SETEX v{number} {} v", 1000 + number)),
                "+OK\r\n",
                "{policy}"
            );
        }
        assert!(evicted(&world, 1) > 50);
        if policy == "volatile-ttl" {
            assert_eq!(world.call(client, "EXISTS v0 v1 v2 v3"), ":0\r\n", "the nearest go first");
            assert_eq!(world.call(client, "EXISTS v299 v298"), ":2\r\n");
        }
        let mut refused = 0;
        for number in 50..400 {
            let reply = world.call(client, &format!("SET p{number} v"));
            assert!(reply == "+OK\r\n" || reply == FULL, "{reply}");
            refused += usize::from(reply == FULL);
        }
        assert!(refused > 50, "{policy}: nothing is left that may go");
        let persistent: String = (0..50).map(|number| format!(" p{number}")).collect();
        assert_eq!(world.call(client, &format!("EXISTS{persistent}")), ":50\r\n", "{policy}");
    }
}

#[test]
fn what_is_used_stays() {
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        let mut world = one_shard();
        let client = world.connect(1);
        evicting(&mut world, client, policy, 40_000);
        for number in 0..30 {
            assert_eq!(world.call(client, &format!("SET hot{number} v")), "+OK\r\n");
        }
        for number in 0..900 {
            if number % 20 == 0 {
                // Access times are seconds.
                world.pass(Duration::from_millis(1100));
                let reads: Vec<u8> =
                    (0..30).flat_map(|hot| request(&["GET", &format!("hot{hot}")])).collect();
                world.talk(client, &reads);
            }
            assert_eq!(world.call(client, &format!("SET cold{number} v")), "+OK\r\n");
        }
        assert!(evicted(&world, 1) > 200, "{}", evicted(&world, 1));
        let hot: String = (0..30).map(|number| format!(" hot{number}")).collect();
        let left: u32 = world.call(client, &format!("EXISTS{hot}")).trim()[1..].parse().expect("a number");
        assert!(left >= 27, "{policy}: {left} of 30 that were used are left");
    }
}

#[test]
fn keys_of_all_shards_make_room_and_lowering_the_limit_does_so_by_itself() {
    let mut world = World::with(Config { shards: 4, ..config() });
    let client = world.connect(1);
    for number in 0..300 {
        assert_eq!(world.call(client, &format!("SET k{number} v")), "+OK\r\n");
    }
    let before = used(&world, 1);
    evicting(&mut world, client, "allkeys-random", before / 2);
    world.pass(Duration::from_secs(1));
    assert!(used(&world, 1) <= before / 2, "nobody has asked for anything");
    assert!(evicted(&world, 1) > 100);
    // All new keys lie on one shard, and keys of all make room for them.
    for number in 0..200 {
        assert_eq!(world.call(client, &format!("SET {{tag}}{number} v")), "+OK\r\n");
    }
    let keys: Vec<u64> =
        world.overview(1).groups.iter().filter_map(|group| group.own.as_ref()).map(|own| own.keys).collect();
    let fullest = keys[1..].iter().max().expect("there are shards");
    assert!(*fullest > 60, "{keys:?}");
    assert!(used(&world, 1) <= before / 2 + STEP);
}

#[test]
fn evictions_are_told_and_watched_keys_that_go_have_changed() {
    let mut world = one_shard();
    let (client, listener) = (world.connect(1), world.connect(1));
    assert_eq!(world.call(client, "CONFIG SET notify-keyspace-events Ee"), "+OK\r\n");
    world.call(listener, "PSUBSCRIBE *");
    says(&mut world, client, &[("SET foo bar", "+OK"), ("WATCH foo", "+OK")]);
    let other = world.connect(1);
    evicting(&mut world, other, "allkeys-lru", 1);
    world.pass(Duration::from_millis(200));
    let heard = world.take(listener);
    assert!(heard.contains("__keyevent@0__:evicted\r\n$3\r\nfoo"), "{heard}");
    limit(&mut world, other, 0);
    says(
        &mut world,
        client,
        &[("MULTI", "+OK"), ("PING", "+QUEUED"), ("SET foo 1", "+QUEUED"), ("EXEC", "*-1")],
    );
}

#[test]
fn how_a_key_is_used_is_answered_by_policy() {
    let mut world = one_shard();
    let client = world.connect(1);
    let lru = "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
               policies at runtime LRU and LFU data will take some time to adjust.";
    let lfu = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
               switching between policies at runtime LRU and LFU data will take some time to adjust.";
    says(&mut world, client, &[("SET k v", "+OK"), ("OBJECT FREQ k", lfu), ("OBJECT FREQ none", "$-1")]);
    world.pass(Duration::from_secs(10));
    says(
        &mut world,
        client,
        &[("OBJECT IDLETIME k", ":10"), ("TYPE k", "+string"), ("OBJECT IDLETIME k", ":10")],
    );
    says(&mut world, client, &[("GET k", "$1\r\nv"), ("OBJECT IDLETIME k", ":0")]);
    assert_eq!(world.call(client, "CONFIG SET maxmemory-policy allkeys-lfu"), "+OK\r\n");
    says(
        &mut world,
        client,
        &[("OBJECT FREQ k", ":5"), ("OBJECT IDLETIME k", lru), ("OBJECT IDLETIME none", "$-1")],
    );
    says(
        &mut world,
        client,
        &[("SET n 1", "+OK"), ("OBJECT FREQ n", ":5"), ("GET n", "$1\r\n1"), ("OBJECT FREQ n", ":6")],
    );
    // What a log's entry answers must be the same on every copy.
    says(&mut world, client, &[("MULTI", "+OK"), ("SET n 2", "+QUEUED"), ("OBJECT FREQ n", "+QUEUED")]);
    assert!(world.call(client, "EXEC").contains("-ERR how a key is used is known to each copy by itself"));
}
