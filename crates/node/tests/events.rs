//! Keyspace events: the cluster's, through any node, of what is committed.

mod common;

use base::Duration;
use common::World;

#[test]
fn a_change_anywhere_is_told_to_listeners_everywhere() {
    let mut world = World::cluster(3);
    let listener = world.connect(2);
    let client = world.connect(1);
    assert_eq!(world.call(client, "CONFIG SET notify-keyspace-events KEA"), "+OK\r\n");
    for node in 1..=3 {
        let asks = world.connect(node);
        while !world.call(asks, "CONFIG GET notify-keyspace-events").contains("AKE") {
            world.pass(Duration::from_millis(50));
        }
    }
    assert!(world.call(listener, "PSUBSCRIBE __key*@0__:*").starts_with('*'));
    for key in ["a", "b", "c", "d"] {
        assert_eq!(world.call(client, &format!("SET {key} 1")), "+OK\r\n");
    }
    assert_eq!(world.call(client, "SET e 1 PX 100"), "+OK\r\n");
    world.pass(Duration::from_secs(2));
    let heard = world.take(listener);
    for key in ["a", "b", "c", "d", "e"] {
        let told =
            format!("$8\r\npmessage\r\n$12\r\n__key*@0__:*\r\n$16\r\n__keyspace@0__:{key}\r\n$3\r\nset\r\n");
        assert_eq!(heard.matches(&told).count(), 1, "{key}: {heard}");
        let told = format!("$18\r\n__keyevent@0__:set\r\n$1\r\n{key}\r\n");
        assert_eq!(heard.matches(&told).count(), 1, "{key}: {heard}");
    }
    assert_eq!(heard.matches("$22\r\n__keyevent@0__:expired\r\n$1\r\ne\r\n").count(), 1, "{heard}");
}

#[test]
fn letters_that_mean_nothing_are_refused() {
    let mut world = World::single();
    let client = world.connect(1);
    let refused = world.call(client, "CONFIG SET notify-keyspace-events KX");
    assert!(
        refused.starts_with("-ERR CONFIG SET failed") && refused.contains("Invalid event class"),
        "{refused}"
    );
}

/// Redis's own tests waited here for ever; nobody was told of copies either.
#[test]
fn a_key_that_comes_to_be_is_told_of_and_so_is_what_comes_to_another_database() {
    let mut world = World::single();
    let (client, listener) = (world.connect(1), world.connect(1));
    assert_eq!(world.call(client, "CONFIG SET notify-keyspace-events Eng"), "+OK\r\n");
    assert!(world.call(listener, "PSUBSCRIBE *").starts_with('*'));
    for command in [
        "SET a 1",
        "SET a 2",
        "RPUSH {a}l x",
        "RPUSH {a}l y",
        "RENAME {a}l {a}m",
        "COPY a {a}c",
        "COPY a {a}c DB 3",
        "MOVE {a}m 3",
        "SETBIT {a}b 9 1",
        "PEXPIRE a 50",
    ] {
        assert!(!world.call(client, command).starts_with('-'), "{command}");
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.call(client, "APPEND a 3"), ":1\r\n");
    world.pass(Duration::from_millis(100));
    let heard = world.take(listener);
    let told: Vec<String> = heard
        .split("__keyevent@")
        .skip(1)
        .map(|event| {
            let mut parts = event.split("\r\n");
            let channel = parts.next().unwrap_or_default().replace("__:", " ");
            format!("{channel} {}", parts.nth(1).unwrap_or_default())
        })
        .collect();
    let expected = [
        "0 new a",
        "0 new {a}l",
        "0 new {a}m",
        "0 rename_from {a}l",
        "0 rename_to {a}m",
        "0 new {a}c",
        "0 copy_to {a}c",
        "3 new {a}c",
        "3 copy_to {a}c",
        "3 new {a}m",
        "0 move_from {a}m",
        "3 move_to {a}m",
        "0 new {a}b",
        "0 expire a",
        "0 new a",
    ];
    assert_eq!(told, expected, "{heard}");
}
