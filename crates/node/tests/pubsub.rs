//! Channels: what is said at one node is heard at all of them, once and in order.

mod common;

use base::Duration;
use common::{Connection, World, request};

fn says(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

/// What a client has heard by now.
fn heard(world: &mut World, client: Connection) -> String {
    world.pass(Duration::from_millis(200));
    world.take(client)
}

#[test]
fn what_is_said_at_one_node_is_heard_at_all_and_counted() {
    let mut world = World::cluster(3);
    let listeners: Vec<Connection> = (1..=3).map(|node| world.connect(node)).collect();
    for listener in &listeners {
        says(&mut world, *listener, &[("SUBSCRIBE news", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1")]);
    }
    says(&mut world, listeners[0], &[("PSUBSCRIBE n*", "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:2")]);
    let speaker = world.connect(2);
    says(
        &mut world,
        speaker,
        &[
            ("PUBLISH news hello", ":4"),
            ("PUBLISH nothing hello", ":1"),
            ("PUBLISH other hello", ":0"),
            ("PUBSUB NUMSUB news other", "*4\r\n$4\r\nnews\r\n:3\r\n$5\r\nother\r\n:0"),
            ("PUBSUB NUMPAT", ":1"),
            ("PUBSUB CHANNELS", "*1\r\n$4\r\nnews"),
            ("PUBSUB CHANNELS x*", "*0"),
        ],
    );
    let message = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n";
    let by_pattern = |channel: &str| {
        format!("*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n${}\r\n{channel}\r\n$5\r\nhello\r\n", channel.len())
    };
    assert_eq!(
        heard(&mut world, listeners[0]),
        format!("{message}{}{}", by_pattern("news"), by_pattern("nothing"))
    );
    assert_eq!(heard(&mut world, listeners[1]), message);
    assert_eq!(heard(&mut world, listeners[2]), message);
}

/// Redis's own tests waited here for ever.
#[test]
fn messages_come_although_replies_are_off() {
    let mut world = World::single();
    let (listener, speaker) = (world.connect(1), world.connect(1));
    world.send(listener, &request(&["CLIENT", "REPLY", "OFF"]));
    world.send(listener, &request(&["SUBSCRIBE", "c"]));
    assert_eq!(heard(&mut world, listener), "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    says(&mut world, speaker, &[("PUBLISH c x", ":1")]);
    assert_eq!(heard(&mut world, listener), "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
    world.send(listener, &request(&["UNSUBSCRIBE", "c"]));
    assert_eq!(heard(&mut world, listener), "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
    world.send(listener, &request(&["PING"]));
    assert_eq!(heard(&mut world, listener), "", "answers are still off");
    world.send(listener, &request(&["CLIENT", "REPLY", "ON"]));
    assert_eq!(heard(&mut world, listener), "+OK\r\n");
}

#[test]
fn who_is_cut_off_hears_nothing_and_holds_nobody_up() {
    let mut world = World::cluster(3);
    let (near, far) = (world.connect(1), world.connect(3));
    for listener in [near, far] {
        assert!(world.call(listener, "SUBSCRIBE c").starts_with('*'));
    }
    world.isolate(3);
    let speaker = world.connect(1);
    assert!([":1\r\n", ":2\r\n"].contains(&world.call(speaker, "PUBLISH c one").as_str()));
    assert!(heard(&mut world, near).contains("one"));
    assert_eq!(heard(&mut world, far), "");
}

#[test]
fn sharded_channels_are_apart_from_the_others() {
    let mut world = World::single();
    let (listener, speaker) = (world.connect(1), world.connect(1));
    says(&mut world, listener, &[("SSUBSCRIBE c", "*3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1")]);
    says(
        &mut world,
        speaker,
        &[
            ("PUBLISH c x", ":0"),
            ("SPUBLISH c x", ":1"),
            ("PUBSUB SHARDCHANNELS", "*1\r\n$1\r\nc"),
            ("PUBSUB CHANNELS", "*0"),
        ],
    );
    assert_eq!(heard(&mut world, listener), "*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
}

#[test]
fn a_client_that_listens_says_nothing_else_in_version_2_and_everything_in_version_3() {
    let mut world = World::single();
    let two = world.connect(1);
    says(
        &mut world,
        two,
        &[("SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1"), ("PING", "*2\r\n$4\r\npong\r\n$0\r\n")],
    );
    assert!(world.call(two, "GET k").starts_with("-ERR Can't execute 'get'"));
    says(
        &mut world,
        two,
        &[
            ("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0"),
            ("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0"),
            ("GET k", "$-1"),
        ],
    );
    let three = world.connect(1);
    assert!(world.call(three, "HELLO 3").starts_with('%'));
    says(
        &mut world,
        three,
        &[
            ("SUBSCRIBE c", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1"),
            ("SET k v", "+OK"),
            ("PUBLISH c self", ":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nself"),
        ],
    );
    says(&mut world, three, &[("RESET", "+RESET"), ("PUBLISH c x", ":0")]);
}

#[test]
fn what_a_transaction_says_is_said_when_it_takes_effect() {
    let mut world = World::single();
    let (listener, speaker) = (world.connect(1), world.connect(1));
    assert!(world.call(listener, "SUBSCRIBE c").starts_with('*'));
    says(&mut world, speaker, &[("MULTI", "+OK"), ("SET k v", "+QUEUED"), ("PUBLISH c x", "+QUEUED")]);
    assert_eq!(heard(&mut world, listener), "");
    says(&mut world, speaker, &[("EXEC", "*2\r\n+OK\r\n:1")]);
    assert!(heard(&mut world, listener).ends_with("$1\r\nx\r\n"));
}

#[test]
fn a_client_that_has_gone_listens_no_more() {
    let mut world = World::single();
    let (listener, speaker) = (world.connect(1), world.connect(1));
    assert!(world.call(listener, "SUBSCRIBE c d").starts_with('*'));
    says(
        &mut world,
        speaker,
        &[("CLIENT KILL TYPE pubsub", ":1"), ("PUBSUB CHANNELS", "*0"), ("PUBLISH c x", ":0")],
    );
}

/// As in Redis 7.2, found by its tests.
#[test]
fn what_one_says_to_oneself_comes_behind_the_answer() {
    let mut world = World::cluster(3);
    for node in 1..=3 {
        let client = world.connect(node);
        assert!(world.call(client, "HELLO 3").starts_with('%'));
        assert!(world.call(client, "SUBSCRIBE c").starts_with(">3"));
        world.send(client, &request(&["PUBLISH", "c", "x"]));
        world.send(client, &request(&["PUBLISH", "c", "y"]));
        let message = |text: &str| format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n{text}\r\n");
        let heard = heard(&mut world, client);
        assert_eq!(heard, format!(":{node}\r\n{}:{node}\r\n{}", message("x"), message("y")));
    }
}
