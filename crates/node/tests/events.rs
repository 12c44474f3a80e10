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
