//! What concerns several shards: on all of them or on none, at one moment, and for each in its turn.

mod common;

use base::{Duration, GroupId};
use common::{Connection, World, config};
use node::Config;

fn sixteen() -> World {
    World::with(Config { shards: 16, ..config() })
}

/// Every request with its reply.
fn says(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

/// Of every shard of a node, how far it has applied its log.
fn applied(world: &World, node: u32) -> Vec<(GroupId, u64)> {
    world.node(node).digests().into_iter().map(|(group, index, _)| (group, index.0)).collect()
}

fn bulk(value: &str) -> String {
    format!("${}\r\n{value}", value.len())
}

#[test]
fn commands_that_their_keys_split_work_over_any_shards() {
    for mut world in [sixteen(), World::cluster(3)] {
        let client = world.connect(1);
        says(
            &mut world,
            client,
            &[
                ("MSET a 1 b 2 c 3 d 4 e 5 f 6", "+OK"),
                (
                    "MGET f missing a c b a",
                    "*6\r\n$1\r\n6\r\n$-1\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n2\r\n$1\r\n1",
                ),
                ("EXISTS a b c missing a", ":4"),
                ("TOUCH a b c missing", ":3"),
                ("DEL a b missing", ":2"),
                ("UNLINK c d c", ":2"),
                ("EXISTS a b c d e f", ":2"),
                ("MSETNX a 1 b 2 e 3", ":0"),
                ("MGET a b e", "*3\r\n$-1\r\n$-1\r\n$1\r\n5"),
                ("MSETNX a 1 b 2 c 3", ":1"),
                ("MGET a b c", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3"),
                ("MSETEX 3 a 7 b 8 missing 9 XX", ":0"),
                ("MSETEX 2 a 7 b 8 XX", ":1"),
                ("MSETEX 2 a 9 missing 9 NX", ":0"),
                ("MGET a b c missing", "*4\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n3\r\n$-1"),
                ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
            ],
        );
        // Every node answers the same.
        let other = world.connect(1);
        says(&mut world, other, &[("MGET a b c", "*3\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n3")]);
    }
}

#[test]
fn a_transaction_takes_effect_on_all_its_shards() {
    for (mut world, nodes) in [(sixteen(), 1), (World::cluster(3), 3)] {
        let clients: Vec<Connection> = (1..=nodes).map(|node| world.connect(node)).collect();
        for (round, client) in clients.into_iter().enumerate() {
            let fresh = format!("fresh{round}");
            says(
                &mut world,
                client,
                &[
                    ("MSET a 10 b 20 c x", "+OK"),
                    ("MULTI", "+OK"),
                    ("INCRBY a 5", "+QUEUED"),
                    ("DECRBY b 5", "+QUEUED"),
                    ("INCR c", "+QUEUED"),
                    ("PING", "+QUEUED"),
                    ("MGET a b c", "+QUEUED"),
                    (&format!("SET {fresh} 1"), "+QUEUED"),
                    (&format!("DEL {fresh} nobody c"), "+QUEUED"),
                    (
                        "EXEC",
                        "*7\r\n:15\r\n:15\r\n-ERR value is not an integer or out of range\r\n+PONG\r\n*3\r\n$2\r\n15\r\n$2\r\n15\r\n$1\r\nx\r\n+OK\r\n:2",
                    ),
                    ("MGET a b c", "*3\r\n$2\r\n15\r\n$2\r\n15\r\n$-1"),
                    ("MULTI", "+OK"),
                    ("GET a", "+QUEUED"),
                    ("GET b", "+QUEUED"),
                    ("EXEC", "*2\r\n$2\r\n15\r\n$2\r\n15"),
                ],
            );
        }
    }
}

#[test]
fn watching_works_over_shards() {
    let mut world = sixteen();
    let (one, other) = (world.connect(1), world.connect(1));
    says(&mut world, one, &[("MSET a 1 b 2", "+OK")]);
    for (meanwhile, done) in
        [("SET c 1", true), ("SET a 9", false), ("DEL b", false), ("SET missing 1", false)]
    {
        says(&mut world, one, &[("WATCH a b missing", "+OK")]);
        assert!(!world.call(other, meanwhile).starts_with('-'));
        says(&mut world, one, &[("MULTI", "+OK"), ("SET x 1", "+QUEUED"), ("SET y 1", "+QUEUED")]);
        let reply = if done { "*2\r\n+OK\r\n+OK" } else { "*-1" };
        says(&mut world, one, &[("EXEC", reply)]);
    }
    // One that only reads looks at them, too.
    for (meanwhile, reply) in [("SET c 1", "*1\r\n$1\r\n9"), ("SET a 9", "*-1")] {
        says(&mut world, one, &[("WATCH a b", "+OK")]);
        assert!(!world.call(other, meanwhile).starts_with('-'));
        says(&mut world, one, &[("MULTI", "+OK"), ("GET a", "+QUEUED"), ("EXEC", reply)]);
    }
}

/// Counted, not timed: what a client waits for is one entry on each shard, at the same time.
#[test]
fn a_committed_transaction_costs_one_entry_a_shard_and_its_outcome_another() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    says(&mut world, client, &[("MSET a 1 b 2", "+OK")]);
    world.pass(Duration::from_secs(1));
    let before = applied(&world, 1);
    world.send(client, b"MULTI\r\nINCR a\r\nINCR b\r\nEXEC\r\n");
    world.settle();
    assert_eq!(world.take(client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:3\r\n", "no time has passed");
    world.pass(Duration::from_millis(300));
    let after = applied(&world, 1);
    let entries: Vec<u64> = before
        .iter()
        .zip(&after)
        .map(|((_, before), (_, after))| after - before)
        .filter(|more| *more > 0)
        .collect();
    assert_eq!(entries, [2, 2], "each of the two shards has logged that it is prepared, and the outcome");
}

#[test]
fn an_exec_that_only_reads_logs_nothing() {
    let mut world = World::cluster(3);
    let client = world.connect(2);
    says(&mut world, client, &[("MSET a 1 b 2", "+OK")]);
    world.pass(Duration::from_secs(1));
    let before = applied(&world, 1);
    says(
        &mut world,
        client,
        &[
            ("MULTI", "+OK"),
            ("GET a", "+QUEUED"),
            ("GET b", "+QUEUED"),
            ("EXEC", "*2\r\n$1\r\n1\r\n$1\r\n2"),
            ("MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n2"),
        ],
    );
    assert_eq!(applied(&world, 1), before);
}

#[test]
fn what_looks_at_whole_databases_works_inside_of_multi_over_all_shards() {
    let mut world = sixteen();
    let client = world.connect(1);
    let keys: Vec<String> = (0..40).map(|n| format!("k{n} {n}")).collect();
    says(&mut world, client, &[(&format!("MSET {}", keys.join(" ")), "+OK")]);
    says(
        &mut world,
        client,
        &[
            ("MULTI", "+OK"),
            ("DBSIZE", "+QUEUED"),
            ("SET other 1", "+QUEUED"),
            ("DBSIZE", "+QUEUED"),
            ("KEYS oth*", "+QUEUED"),
            ("FLUSHALL", "+QUEUED"),
            ("DBSIZE", "+QUEUED"),
            ("SET left 1", "+QUEUED"),
            ("RANDOMKEY", "+QUEUED"),
            (
                "EXEC",
                &format!(
                    "*8\r\n:40\r\n+OK\r\n:41\r\n*1\r\n{}\r\n+OK\r\n:0\r\n+OK\r\n{}",
                    bulk("other"),
                    bulk("left")
                ),
            ),
            ("DBSIZE", ":1"),
            ("FLUSHDB", "+OK"),
            ("DBSIZE", ":0"),
        ],
    );
}

#[test]
fn what_happens_over_shards_is_told() {
    let mut world = sixteen();
    let client = world.connect(1);
    says(&mut world, client, &[("MSET a 1 b 2", "+OK"), ("MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n2")]);
    says(&mut world, client, &[("MSETNX a 1 c 2", ":0")]);
    let told = world.call(client, "INFO transactions");
    for line in [
        "transactions_in_flight:0",
        "transactions_begun:2",
        "transactions_committed:1",
        "transactions_not_executed:1",
        "transactions_rounds:2",
        "transactions_reads:1",
        "transactions_prepares:4",
    ] {
        assert!(told.contains(&format!("{line}\r\n")), "{line}: {told}");
    }
}

#[test]
fn what_is_larger_than_a_transaction_may_be_is_refused_and_changes_nothing() {
    let mut world = sixteen();
    let client = world.connect(1);
    let value = "v".repeat(9 << 20);
    says(&mut world, client, &[("MULTI", "+OK")]);
    for (key, reply) in [("a", "+QUEUED"), ("b", "+QUEUED"), ("c", "+QUEUED"), ("d", "-ERR")] {
        let answer = world.call_words(client, &["SET", key, &value]);
        assert!(answer.starts_with(reply), "{answer}");
    }
    says(
        &mut world,
        client,
        &[("EXEC", "-EXECABORT Transaction discarded because of previous errors."), ("EXISTS a b c d", ":0")],
    );
}

/// What came before on the connection has been done everywhere, and what comes behind sees it.
#[test]
fn a_pipeline_over_shards_keeps_its_order() {
    for (mut world, node) in [(sixteen(), 1), (World::cluster(3), 2)] {
        let client = world.connect(node);
        let mut sent = Vec::new();
        let mut expected = String::new();
        for n in 0..20 {
            sent.extend_from_slice(
                format!("SET a {n}\r\nSET b {n}\r\nMGET a b\r\nMSET a x{n} b y{n}\r\nGET b\r\nGET a\r\n")
                    .as_bytes(),
            );
            let both = format!("*2\r\n{0}\r\n{0}\r\n", bulk(&n.to_string()));
            let (x, y) = (bulk(&format!("x{n}")), bulk(&format!("y{n}")));
            expected.push_str(&format!("+OK\r\n+OK\r\n{both}+OK\r\n{y}\r\n{x}\r\n"));
        }
        world.send(client, &sent);
        let mut answer = String::new();
        world.settle();
        while answer.len() < expected.len() {
            world.pass(Duration::from_millis(5));
            answer.push_str(&world.take(client));
            assert!(expected.starts_with(&answer), "{answer}");
        }
    }
}
