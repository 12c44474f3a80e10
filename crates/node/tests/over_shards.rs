//! Commands whose keys lie on several shards: they answer and do what they would on one, at one moment or not at all.

mod common;

use base::{Duration, Rng};
use common::{Connection, World, config, request};
use node::Config;

fn shards(count: u32) -> World {
    World::with(Config { shards: count, ..config() })
}

/// Every request with its reply.
fn says(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

/// The same conversation on one shard and on sixteen.
fn alike(conversation: &[&str]) {
    let (mut one, mut many) = (shards(1), shards(16));
    let (of_one, of_many) = (one.connect(1), many.connect(1));
    for command in conversation {
        let (expected, found) = (one.call(of_one, command), many.call(of_many, command));
        assert_eq!(found, expected, "{command}");
    }
}

#[test]
fn what_only_reads_answers_as_on_one_shard() {
    alike(&[
        "SADD s1 a b c",
        "SADD s2 b c d",
        "SADD s3 c",
        "SINTER s1 s2 s3",
        "SINTERCARD 2 s1 s2",
        "SINTERCARD 2 s1 s2 LIMIT 1",
        "SUNION s1 s2 missing",
        "SDIFF s1 s2",
        "SDIFF s1 string",
        "ZADD z1 1 a 2 b",
        "ZADD z2 3 b 4 c",
        "ZUNION 2 z1 z2 WITHSCORES",
        "ZINTER 2 z1 z2 WITHSCORES",
        "ZDIFF 2 z1 z2",
        "ZINTERCARD 2 z1 z2",
        "ZUNION 3 z1 z2 s1 WITHSCORES",
        "PFADD p1 a b c",
        "PFADD p2 c d",
        "PFCOUNT p1 p2",
        "SET l1 ohmytext",
        "SET l2 mynewtext",
        "LCS l1 l2",
        "LCS l1 l2 IDX",
        "LCS l1 s1",
        "RPUSH list 3 1 2",
        "SET w_1 30",
        "SET w_2 20",
        "SET w_3 10",
        "HSET h_1 name one",
        "HSET h_3 name three",
        "SORT list BY w_*",
        "SORT list BY w_* GET # GET h_*->name",
        "SORT_RO list BY w_* DESC LIMIT 0 2 GET w_*",
        "SORT missing BY w_*",
        "XADD x1 1-0 f v",
        "XADD x2 2-0 f v",
        "XREAD COUNT 5 STREAMS x1 x2 0 0",
        "XREAD STREAMS x1 x2 1 2",
        "SINTERCARD 0 s1 s2",
        "SINTERCARD 2 s1 s2 LIMIT x",
    ]);
}

#[test]
fn what_changes_keys_of_several_shards_does_what_it_does_on_one() {
    alike(&[
        "SET a 1 PX 100000",
        "SET b old",
        "RENAME a b",
        "MGET a b",
        "PERSIST b",
        "RENAME a b",
        "SET c 3",
        "RENAMENX b c",
        "RENAMENX b d",
        "COPY c d",
        "COPY c d REPLACE",
        "COPY c e DB 1",
        "COPY c e DB 1",
        "MGET b c d e",
        "RPUSH l1 1 2 3",
        "LMOVE l1 l2 LEFT RIGHT",
        "RPOPLPUSH l1 l2",
        "LMOVE l1 c LEFT LEFT",
        "LMOVE missing l1 LEFT LEFT",
        "LRANGE l1 0 -1",
        "LRANGE l2 0 -1",
        "LMPOP 3 missing l1 l2 RIGHT COUNT 9",
        "LMPOP 2 l1 l2 LEFT",
        "LMPOP 2 l1 missing LEFT",
        "BLMOVE l2 l3 LEFT RIGHT 0",
        "EXISTS l1 l2 l3",
        "SADD s1 a b c",
        "SADD s2 b",
        "SMOVE s1 s2 a",
        "SMOVE s1 s2 missing",
        "SMOVE s1 c b",
        "SINTERSTORE s3 s1 s2",
        "SUNIONSTORE s4 s1 s2 s3",
        "SDIFFSTORE s4 s1 s1",
        "SMEMBERS s3",
        "EXISTS s4",
        "ZADD z1 1 a 2 b",
        "ZADD z2 3 b 4 c",
        "ZUNIONSTORE z3 2 z1 z2 WEIGHTS 1 10",
        "ZINTERSTORE z4 2 z1 z2",
        "ZDIFFSTORE z5 2 z1 z2",
        "ZRANGESTORE z6 z3 0 1",
        "ZRANGE z3 0 -1 WITHSCORES",
        "ZRANGE z6 0 -1 WITHSCORES",
        "ZMPOP 2 missing z3 MAX COUNT 2",
        "BZPOPMIN none z4 z5 0",
        "PFADD p1 a b",
        "PFADD p2 c",
        "PFMERGE p3 p1 p2",
        "PFCOUNT p3",
        "SET bits1 abc",
        "SET bits2 abd",
        "BITOP XOR bits3 bits1 bits2",
        "GET bits3",
        "BITOP AND c s1 bits1",
        "RPUSH list 3 1 2",
        "MSET w_1 30 w_2 20 w_3 10",
        "SORT list BY w_* STORE sorted",
        "LRANGE sorted 0 -1",
        "GEOADD g1 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "GEOSEARCHSTORE g2 g1 FROMLONLAT 15 37 BYRADIUS 100 km",
        "GEORADIUS g1 15 37 200 km STORE g3",
        "ZRANGE g2 0 -1",
        "ZCARD g3",
        "MSETNX n1 1 n2 2",
        "MSETNX n2 1 n3 2",
        "XADD x1 1-0 f v",
        "XADD x2 2-0 f v",
        "XGROUP CREATE x1 g 0",
        "XGROUP CREATE x2 g 0",
        "XREADGROUP GROUP g me COUNT 1 STREAMS x1 x2 > >",
        "XREADGROUP GROUP g me STREAMS x1 x2 > >",
        "XPENDING x1 g",
        "XPENDING x2 g",
        "XREADGROUP GROUP none me STREAMS x1 x2 > >",
    ]);
}

#[test]
fn a_transaction_with_such_a_command_runs_as_one() {
    alike(&[
        "MSET a 1 b 2",
        "RPUSH list x y",
        "MULTI",
        "RENAME a c",
        "APPEND c 0",
        "GET a",
        "PING",
        "LMOVE list other LEFT LEFT",
        "LRANGE list 0 -1",
        "INCR list",
        "SELECT 1",
        "SET elsewhere 1",
        "MSETNX m1 1 m2 2",
        "MSETNX m2 1 m3 2",
        "EXEC",
        "SELECT 0",
        "MGET a b c",
        "LRANGE other 0 -1",
        "SELECT 1",
        "MGET elsewhere m1 m2 m3",
        "SELECT 0",
        "WATCH a c",
        "MULTI",
        "SUNION s1 s2",
        "GET c",
        "EXEC",
        "SADD s1 1",
        "MULTI",
        "SDIFF s1 s2",
        "NOPE",
        "EXEC",
    ]);
}

#[test]
fn a_watched_key_that_changed_stops_a_transaction_that_runs_here() {
    let mut world = shards(16);
    let (one, other) = (world.connect(1), world.connect(1));
    for (watched, written, reply) in
        [("w", "w", "*-1\r\n"), ("w", "x", "*1\r\n+OK\r\n"), ("a", "a", "*-1\r\n"), ("b", "b", "*-1\r\n")]
    {
        says(&mut world, other, &[("SET a 1", "+OK"), ("SET b 2", "+OK")]);
        says(&mut world, one, &[(&format!("WATCH {watched}"), "+OK")]);
        says(&mut world, other, &[(&format!("SET {written} 3"), "+OK")]);
        says(&mut world, one, &[("MULTI", "+OK"), ("RENAME a b", "+QUEUED")]);
        assert_eq!(world.call(one, "EXEC"), reply, "{watched} {written}");
        let left = if reply.starts_with("*1") { ":1\r\n" } else { ":2\r\n" };
        assert_eq!(world.call(other, "EXISTS a b"), left, "all or nothing");
    }
}

#[test]
fn what_is_too_large_to_be_brought_together_is_refused_and_nothing_is_done() {
    let mut world = shards(16);
    let client = world.connect(1);
    let value = "v".repeat(24 << 20);
    for key in ["a", "b", "c"] {
        assert_eq!(world.call_words(client, &["SET", key, &value]), "+OK\r\n");
    }
    let refusal = world.call(client, "BITOP OR d a b c");
    assert!(refusal.starts_with("-ERR not executed: ") && refusal.contains("scratch-bytes-max"), "{refusal}");
    assert_eq!(world.call(client, "EXISTS d"), ":0\r\n");
    assert_eq!(world.call_words(client, &["APPEND", "a", &value]), format!(":{}\r\n", 48 << 20));
    let refusal = world.call(client, "RENAME a b");
    assert!(refusal.starts_with("-ERR not executed: ") && refusal.contains("write-bytes-max"), "{refusal}");
    says(&mut world, client, &[("EXISTS a b", ":2"), ("RENAME a {a}2", "+OK")]);
}

/// Elements that clients of all nodes move around over shards are neither lost nor doubled, and whoever looks at all lists sees all of them.
#[test]
fn elements_that_move_between_shards_are_there_once_whenever_somebody_looks() {
    let mut world = World::cluster(3);
    let clients: Vec<Connection> = (0..9).map(|at| world.connect(1 + at % 3)).collect();
    let lists = ["l1", "l2", "l3", "l4", "l5"];
    for element in 0..20 {
        let words = ["RPUSH", lists[element % lists.len()], &element.to_string()];
        world.call_words(clients[0], &words);
    }
    let mut rng = Rng::new(7);
    for _ in 0..150 {
        let mut looks = Vec::new();
        for (at, client) in clients.iter().enumerate() {
            let mut list = || lists[rng.below(lists.len() as u64) as usize];
            let words = match at {
                0 | 1 => {
                    looks.push(*client);
                    vec!["SORT", "missing", "BY", "nosort"]
                }
                2 => vec!["RPOPLPUSH", list(), list()],
                _ => vec!["LMOVE", list(), list(), "LEFT", "RIGHT"],
            };
            if at > 1 {
                world.send(*client, &request(&words));
            }
        }
        for client in &looks {
            let mut talk = request(&["MULTI"]);
            lists.iter().for_each(|list| talk.extend(request(&["LLEN", list])));
            talk.extend(request(&["EXEC"]));
            world.send(*client, &talk);
        }
        world.pass(Duration::from_millis(2));
        if rng.chance(1, 10) {
            world.pass(Duration::from_millis(300));
        }
    }
    world.pass(Duration::from_secs(6));
    for client in &clients {
        let text = world.take(*client);
        assert!(!text.contains("-TRYAGAIN") && !text.contains("-UNKNOWN"), "{text}");
        for outcome in text.split("*5\r\n").skip(1) {
            let counts = outcome.lines().take(5).map(|line| line.trim_start_matches(':').trim());
            let sum: u32 = counts.map(|count| count.parse::<u32>().expect("a number")).sum();
            assert_eq!(sum, 20, "{outcome}");
        }
    }
    let mut all: Vec<u32> = Vec::new();
    for list in lists {
        let reply = world.call(clients[0], &format!("LRANGE {list} 0 -1"));
        let elements = reply.lines().filter(|line| !line.starts_with(['*', '$']));
        all.extend(elements.map(|element| element.trim().parse::<u32>().expect("a number")));
    }
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<u32>>());
}

#[test]
fn who_waits_over_shards_is_served_in_turn_and_nothing_is_lost() {
    let mut world = World::cluster(3);
    let waiters: Vec<Connection> = (0..4).map(|at| world.connect(1 + at % 3)).collect();
    let giver = world.connect(2);
    for (at, waiter) in waiters.iter().enumerate() {
        let target = format!("target{at}");
        world.send(*waiter, &request(&["BLMOVE", "source", &target, "LEFT", "LEFT", "0"]));
        world.pass(Duration::from_millis(20));
    }
    for waiter in &waiters {
        assert_eq!(world.take(*waiter), "", "there is nothing yet");
    }
    for at in 0..waiters.len() {
        world.call_words(giver, &["RPUSH", "source", &at.to_string()]);
        world.pass(Duration::from_millis(100));
        for (other, waiter) in waiters.iter().enumerate() {
            let expected = if other == at { format!("$1\r\n{at}\r\n") } else { String::new() };
            assert_eq!(world.take(*waiter), expected, "waiter {other} after {at}");
        }
    }
    assert_eq!(world.call(giver, "EXISTS source target0 target1 target2 target3"), ":4\r\n");
}

#[test]
fn who_waits_for_keys_of_several_shards_gets_the_first_that_comes() {
    let mut world = World::cluster(3);
    let (one, two, giver) = (world.connect(1), world.connect(2), world.connect(3));
    world.send(one, &request(&["BLPOP", "q1", "q2", "q3", "0"]));
    world.pass(Duration::from_millis(20));
    world.send(two, &request(&["BRPOP", "q3", "q2", "0"]));
    world.pass(Duration::from_millis(20));
    assert_eq!(world.call(giver, "RPUSH q2 a"), ":1\r\n");
    world.pass(Duration::from_millis(100));
    assert_eq!(world.take(one), "*2\r\n$2\r\nq2\r\n$1\r\na\r\n");
    assert_eq!(world.take(two), "");
    assert_eq!(world.call(giver, "RPUSH q3 b c"), ":2\r\n");
    world.pass(Duration::from_millis(100));
    assert_eq!(world.take(two), "*2\r\n$2\r\nq3\r\n$1\r\nc\r\n");
    // A time that is over, over several shards.
    world.send(one, &request(&["BZPOPMIN", "z1", "z2", "z3", "0.2"]));
    world.pass(Duration::from_millis(150));
    assert_eq!(world.take(one), "");
    world.pass(Duration::from_millis(200));
    assert_eq!(world.take(one), "*-1\r\n");
    // XREAD waits behind what was there when it began.
    assert_eq!(world.call(giver, "XADD x1 1-0 f old"), "$3\r\n1-0\r\n");
    world.send(one, &request(&["XREAD", "BLOCK", "0", "STREAMS", "x1", "x2", "$", "$"]));
    world.pass(Duration::from_millis(50));
    assert_eq!(world.take(one), "");
    assert_eq!(world.call(giver, "XADD x2 1-0 f new"), "$3\r\n1-0\r\n");
    world.pass(Duration::from_millis(100));
    let entry = "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$3\r\nnew\r\n";
    assert_eq!(world.take(one), format!("*1\r\n*2\r\n$2\r\nx2\r\n*1\r\n{entry}"));
}

#[test]
fn a_consumer_that_waits_for_streams_of_several_shards_is_handed_what_comes_once() {
    let mut world = World::cluster(3);
    let (one, two, giver) = (world.connect(1), world.connect(2), world.connect(3));
    for stream in ["x1", "x2"] {
        assert_eq!(world.call(giver, &format!("XGROUP CREATE {stream} g $ MKSTREAM")), "+OK\r\n");
    }
    for (client, name) in [(one, "a"), (two, "b")] {
        let words = ["XREADGROUP", "GROUP", "g", name, "BLOCK", "0", "STREAMS", "x1", "x2", ">", ">"];
        world.send(client, &request(&words));
        world.pass(Duration::from_millis(50));
        assert_eq!(world.take(client), "");
    }
    let entries = |world: &World| -> u64 {
        let groups = world.overview(1).groups;
        groups.iter().filter_map(|group| group.own.as_ref()).map(|own| own.committed.0).sum()
    };
    let before = entries(&world);
    world.pass(Duration::from_secs(2));
    let more = entries(&world) - before;
    assert!(more < 50, "who waits leaves the logs alone, and doesn't wake itself: {more}");
    for (stream, client) in [("x2", one), ("x1", two)] {
        assert_eq!(world.call(giver, &format!("XADD {stream} 1-0 f v")), "$3\r\n1-0\r\n");
        world.pass(Duration::from_millis(500));
        let entry = "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
        assert_eq!(world.take(client), format!("*1\r\n*2\r\n$2\r\n{stream}\r\n*1\r\n{entry}"));
    }
    assert_eq!((world.take(one), world.take(two)), (String::new(), String::new()));
}

#[test]
fn what_a_command_over_shards_changes_wakes_who_waits_and_is_told_to_who_listens() {
    let mut world = World::cluster(3);
    let (waiter, listener, client) = (world.connect(1), world.connect(2), world.connect(3));
    says(&mut world, client, &[("CONFIG SET notify-keyspace-events Eg", "+OK"), ("RPUSH from x", ":1")]);
    assert!(world.call(listener, "PSUBSCRIBE __keyevent@0__:*").starts_with("*3\r\n$10\r\npsubscribe\r\n"));
    world.send(waiter, &request(&["BLPOP", "to", "0"]));
    world.pass(Duration::from_millis(50));
    says(&mut world, client, &[("RENAME from to", "+OK")]);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.take(waiter), "*2\r\n$2\r\nto\r\n$1\r\nx\r\n");
    let told = world.take(listener);
    let events: Vec<&str> = ["rename_from", "rename_to"]
        .into_iter()
        .filter(|event| told.contains(&format!("__keyevent@0__:{event}\r\n")))
        .collect();
    assert_eq!(events, ["rename_from", "rename_to"], "{told}");
}
