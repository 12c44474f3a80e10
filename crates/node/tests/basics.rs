//! What a client may rely on, over a whole node.

mod common;

use base::{Duration, GroupId, slot_of};
use common::{World, config, request};
use node::{Config, Input};
use routing::SlotMap;

/// The shard of a key in a cluster of four.
fn shard(key: &str) -> GroupId {
    SlotMap::even(1, 4).group_of(slot_of(key.as_bytes()))
}

/// A pipeline of requests, words parted by spaces.
fn pipeline(commands: &[&str]) -> Vec<u8> {
    commands.iter().flat_map(|command| request(&command.split_whitespace().collect::<Vec<_>>())).collect()
}

#[test]
fn a_starting_node_answers_loading_and_then_serves() {
    let mut world = World::new(config());
    world.member(1).disk_hangs = true;
    let client = world.connect(1);
    assert!(world.talk(client, &request(&["PING"])).starts_with("-LOADING "));
    world.unhang(1);
    world.until("the node serves", |world| !world.overview(1).loading);
    assert_eq!(world.call(client, "PING"), "+PONG\r\n");
}

#[test]
fn what_was_written_is_read_in_one_pipeline() {
    let mut world = World::single();
    let client = world.connect(1);
    let sent =
        pipeline(&["SET a 1", "INCR a", "GET a", "INCRBY b 5", "GET a", "GET none", "DEL a b", "GET a"]);
    let expected = "+OK\r\n:2\r\n$1\r\n2\r\n:5\r\n$1\r\n2\r\n$-1\r\n";
    let replies = world.talk(client, &sent);
    assert!(replies.starts_with(expected), "{replies}");
}

#[test]
fn bytes_may_arrive_one_by_one() {
    let mut world = World::single();
    let client = world.connect(1);
    for byte in pipeline(&["SET k v", "GET k"]) {
        world.send(client, &[byte]);
        world.settle();
    }
    assert_eq!(world.take(client), "+OK\r\n$1\r\nv\r\n");
}

#[test]
fn keys_of_one_shard_or_of_several_change_together() {
    let mut world = World::single();
    let client = world.connect(1);
    assert_eq!(world.call(client, "MSET {t}a 1 {t}b 2"), "+OK\r\n");
    assert_eq!(world.call(client, "MGET {t}a {t}b {t}c"), "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n");
    let (first, second) = ("a", "b");
    assert_ne!(shard(first), shard(second));
    assert_eq!(world.call(client, "MSET a 1 b 2"), "+OK\r\n");
    assert_eq!(world.call(client, "EXISTS a b"), ":2\r\n");
    assert_eq!(world.call(client, "RENAME a b"), "+OK\r\n");
    assert_eq!(world.call(client, "MGET a b"), "*2\r\n$-1\r\n$1\r\n1\r\n");
}

#[test]
fn keys_that_nobody_can_know_before_are_read_wherever_they_lie() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    for request in ["SORT l BY w*", "SORT_RO l GET # GET n*->f", "SORT {t}l BY {t*}w", "SORT {t}l GET {u}*"] {
        assert_eq!(world.call(client, request), "*0\r\n", "{request}");
    }
    for request in ["SORT l BY nosort", "SORT l GET #", "SORT {t}l BY {t}w*", "SORT {t}l GET x{t}*->{u}"] {
        assert_eq!(world.call(client, request), "*0\r\n", "{request}");
    }
    let mut world = World::with(Config { shards: 1, ..config() });
    let client = world.connect(1);
    assert_eq!(world.call(client, "SORT l BY w* GET n*"), "*0\r\n");
    let talk = pipeline(&[
        "RPUSH l 1 2",
        "MSET w1 9 w2 8 n1 one n2 two",
        "SORT l BY w* GET n* STORE d",
        "LRANGE d 0 -1",
    ]);
    let answer = ":2\r\n+OK\r\n:2\r\n*2\r\n$3\r\ntwo\r\n$3\r\none\r\n";
    assert_eq!(world.talk(client, &talk), answer);
}

#[test]
fn commands_over_all_shards_see_every_key() {
    let mut world = World::single();
    let client = world.connect(1);
    for key in 0..200 {
        assert_eq!(world.call(client, &format!("SET key:{key} {key}")), "+OK\r\n");
    }
    assert_eq!(world.call(client, "DBSIZE"), ":200\r\n");
    let mut keys = std::collections::BTreeSet::new();
    let mut cursor = "0".to_string();
    loop {
        let reply = world.call(client, &format!("SCAN {cursor} COUNT 7"));
        let mut lines = reply.split("\r\n").filter(|line| !line.starts_with(['*', '$']) && !line.is_empty());
        cursor = lines.next().expect("a cursor").to_string();
        keys.extend(lines.map(str::to_string));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(keys.len(), 200);
    assert!(world.call(client, "RANDOMKEY").contains("key:"));
    assert!(world.call(client, "KEYS key:19*").starts_with("*11\r\n"));
    assert_eq!(world.call(client, "SELECT 1"), "+OK\r\n");
    assert_eq!(world.call(client, "DBSIZE"), ":0\r\n");
    assert_eq!(world.call(client, "SET other 1"), "+OK\r\n");
    assert_eq!(world.call(client, "FLUSHDB"), "+OK\r\n");
    assert_eq!(world.call(client, "DBSIZE"), ":0\r\n");
    assert_eq!(world.call(client, "SET other 1"), "+OK\r\n");
    assert_eq!(world.call(client, "FLUSHALL"), "+OK\r\n");
    assert_eq!(world.call(client, "SELECT 0"), "+OK\r\n");
    assert_eq!(
        world.talk(client, &pipeline(&["SET x 1", "DBSIZE", "DEL x", "DBSIZE"])),
        "+OK\r\n:1\r\n:1\r\n:0\r\n"
    );
}

#[test]
fn the_keys_of_a_slot_are_counted_and_named() {
    let mut world = World::single();
    let client = world.connect(1);
    for key in ["{s}1", "{s}2", "{s}3", "foo"] {
        assert_eq!(world.call(client, &format!("SET {key} v")), "+OK\r\n");
    }
    let slot = slot_of(b"s").number();
    assert_eq!(world.call(client, &format!("CLUSTER COUNTKEYSINSLOT {slot}")), ":3\r\n");
    let all = world.call(client, &format!("CLUSTER GETKEYSINSLOT {slot} 10"));
    assert_eq!(all, "*3\r\n$4\r\n{s}1\r\n$4\r\n{s}2\r\n$4\r\n{s}3\r\n");
    assert!(world.call(client, &format!("CLUSTER GETKEYSINSLOT {slot} 2")).starts_with("*2\r\n"));
    assert_eq!(world.call(client, "CLUSTER COUNTKEYSINSLOT 1"), ":0\r\n");
    assert_eq!(world.call(client, "CLUSTER GETKEYSINSLOT 1 1"), "*0\r\n");
    assert_eq!(world.call(client, "CLUSTER COUNTKEYSINSLOT 99999"), "-ERR Invalid slot\r\n");
}

#[test]
fn an_expired_key_is_hidden_by_time_and_removed_by_a_logged_decision() {
    let mut world = World::single();
    let client = world.connect(1);
    assert_eq!(world.call(client, "SET short 1 PX 400"), "+OK\r\n");
    assert_eq!(world.call(client, "SET long 1 EX 100"), "+OK\r\n");
    assert_eq!(world.call(client, "DBSIZE"), ":2\r\n");
    let keys = |world: &World| -> u64 {
        world.overview(1).groups.iter().filter_map(|group| group.own).map(|own| own.keys).sum()
    };
    let applied =
        |world: &World| world.overview(1).groups[shard("short").0 as usize].own.expect("a copy").applied;
    world.pass(Duration::from_millis(390));
    let before = applied(&world);
    assert_eq!(world.call(client, "EXISTS short"), ":1\r\n");
    world.until("the key is removed", |world| keys(world) == 1);
    assert!(applied(&world) > before, "only an entry of the log removes a key");
    assert_eq!(world.call(client, "GET short"), "$-1\r\n");
    assert_eq!(world.call(client, "DBSIZE"), ":1\r\n");
    let left = world.call(client, "TTL long");
    assert!(left == ":100\r\n" || left == ":99\r\n", "{left}");
    // Nothing is left to do: nobody is woken all the time for the key that is gone.
    let quiet = applied(&world);
    world.pass(Duration::from_secs(2));
    assert_eq!(applied(&world), quiet);
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let mut world = World::single();
    for round in 0..5 {
        let client = world.connect(1);
        for key in 0..40 {
            assert_eq!(world.call(client, &format!("SET k{key} {round}-{key}")), "+OK\r\n");
        }
        world.crash(1);
        world.restart(1);
        world.until("the node serves", |world| !world.overview(1).loading);
        let client = world.connect(1);
        for key in 0..40 {
            let value = format!("{round}-{key}");
            assert_eq!(
                world.call(client, &format!("GET k{key}")),
                format!("${}\r\n{value}\r\n", value.len())
            );
        }
        assert_eq!(world.call(client, "DBSIZE"), ":40\r\n");
    }
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let mut world = World::single();
    let client = world.connect(1);
    assert_eq!(world.call(client, "SET a 1"), "+OK\r\n");
    world.member(1).disk_hangs = true;
    assert_eq!(world.talk(client, &pipeline(&["SET a 2", "GET a"])), "");
    let other = world.connect(1);
    assert_eq!(world.talk(other, &request(&["GET", "a"])), "$1\r\n1\r\n");
    world.unhang(1);
    assert_eq!(world.take(client), "+OK\r\n$1\r\n2\r\n");
}

#[test]
fn snapshots_are_taken_and_started_from() {
    let mut world = World::with(Config { log_bytes_max: 8 << 10, snapshot_chunk_bytes: 2 << 10, ..config() });
    let client = world.connect(1);
    let value = "x".repeat(500);
    for key in 0..200 {
        assert_eq!(world.call(client, &format!("SET k{} {key}{value}", key % 60)), "+OK\r\n");
    }
    world.until("a snapshot is taken", |world| world.overview(1).counters.snapshots_taken >= 4);
    world.pass(Duration::from_secs(1));
    world.crash(1);
    world.restart(1);
    world.until("the node serves", |world| !world.overview(1).loading);
    let client = world.connect(1);
    assert_eq!(world.call(client, "DBSIZE"), ":60\r\n");
    for key in 140..200 {
        let expected = format!("{key}{value}");
        assert_eq!(
            world.call(client, &format!("GET k{}", key % 60)),
            format!("${}\r\n{expected}\r\n", expected.len())
        );
    }
}

#[test]
fn a_deep_pipeline_stops_the_reading_until_it_is_answered() {
    let mut world = World::with(Config { client_pending_max: 10, ..config() });
    let client = world.connect(1);
    world.member(1).disk_hangs = true;
    let sent: Vec<u8> = (0..50).flat_map(|_| request(&["INCR", "n"])).collect();
    assert_eq!(world.talk(client, &sent), "");
    assert!(world.seen(client).paused);
    world.unhang(1);
    let expected: String = (1..=50).map(|number| format!(":{number}\r\n")).collect();
    assert_eq!(world.take(client), expected);
    assert!(!world.seen(client).paused);
}

#[test]
fn a_slow_reader_is_not_read_from_until_it_has_caught_up() {
    let mut world = World::with(Config { client_output_bytes_max: 80_000, ..config() });
    let client = world.connect(1);
    let value = "v".repeat(6_000);
    assert_eq!(world.call(client, &format!("SET k {value}")), "+OK\r\n");
    let id = node::api::ClientId(1);
    world.give(1, Input::Backlog { client: id, bytes: 20_000 });
    world.settle();
    let first = world.talk(client, &pipeline(&["GET k", "GET k", "GET k"]));
    assert!(world.seen(client).paused, "a reader with a backlog is read from");
    assert!(first.len() < 2 * 6_100, "{}", first.len());
    world.give(1, Input::Backlog { client: id, bytes: 0 });
    world.settle();
    let rest = world.take(client);
    assert_eq!(first.len() + rest.len(), 3 * (6_000 + 7 + 2));
    assert!(!world.seen(client).paused);
    world.give(1, Input::Backlog { client: id, bytes: 90_000 });
    world.settle();
    assert!(world.seen(client).closed, "who never reads is hung up on");
}

#[test]
fn a_stopping_node_says_when_everything_is_durable() {
    let mut world = World::single();
    let client = world.connect(1);
    assert_eq!(world.call(client, "SET a 1"), "+OK\r\n");
    world.give(1, Input::Shutdown);
    world.settle();
    assert!(world.member(1).stopped);
}

#[test]
fn who_goes_on_sending_while_an_answer_is_waited_for_is_not_read_from() {
    let mut world = World::single();
    let client = world.connect(1);
    world.member(1).disk_hangs = true;
    // FLUSHALL holds up what comes behind it.
    world.send(client, &pipeline(&["FLUSHALL", "PING"]));
    let value = "v".repeat(700_000);
    for _ in 0..2 {
        world.settle();
        assert!(!world.seen(client).paused);
        world.send(client, &request(&["SET", "k", &value]));
    }
    world.settle();
    assert!(world.seen(client).paused);
    world.unhang(1);
    assert_eq!(world.take(client), "+OK\r\n+PONG\r\n+OK\r\n+OK\r\n");
    assert!(!world.seen(client).paused);
}

#[test]
fn a_full_disk_refuses_nothing_that_it_has_acknowledged_and_goes_on_when_there_is_room() {
    let mut world = World::single();
    let client = world.connect(1);
    assert_eq!(world.call(client, "SET a 1"), "+OK\r\n");
    let used = world.member(1).disk.used_bytes();
    world.member(1).disk.set_capacity(Some(used));
    let value = "v".repeat(600_000);
    assert_eq!(world.talk(client, &request(&["SET", "big", &value])), "");
    let other = world.connect(1);
    assert_eq!(world.call(other, "GET a"), "$1\r\n1\r\n");
    world.member(1).disk.set_capacity(None);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.take(client), "+OK\r\n");
    assert_eq!(world.call(client, "STRLEN big"), ":600000\r\n");
}

#[test]
fn who_has_sent_its_last_is_answered_in_full_and_then_hung_up_on() {
    let mut world = World::single();
    // So many that reading stops in between, and commands that wait for all before them.
    let mut sent = pipeline(&["SET a 1", "DBSIZE"]);
    let mut expected = String::from("+OK\r\n:1\r\n");
    for number in 2..20_002 {
        sent.extend(pipeline(&["INCR a"]));
        expected.push_str(&format!(":{number}\r\n"));
    }
    sent.extend(pipeline(&["DBSIZE", "GET a"]));
    expected.push_str(":1\r\n$5\r\n20001\r\n");
    sent.extend(b"*2\r\n$3\r\nGET");

    let client = world.connect(1);
    world.member(1).disk_hangs = true;
    world.send(client, &sent);
    world.finish(client);
    assert!(!world.seen(client).closed, "it is owed {} replies", 20_004);
    world.unhang(1);
    world.until_closed(client);
    assert!(world.take(client) == expected);
}

#[test]
fn who_has_sent_its_last_and_is_owed_nothing_is_hung_up_on_at_once() {
    let mut world = World::single();
    let client = world.connect(1);
    world.finish(client);
    assert!(world.seen(client).closed);
}
