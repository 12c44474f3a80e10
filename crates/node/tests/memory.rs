//! `maxmemory`: what is refused has left no trace, what is there stays, and what was taken for a client that has gone comes back.

mod common;

use base::Duration;
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
