//! Clients that wait for something to come: who came first is served first, whoever leads, and nothing is taken for who has gone.

mod common;

use base::Duration;
use common::{Connection, World, config, request};
use node::Config;

/// What a client has been answered by now.
fn heard(world: &mut World, client: Connection) -> String {
    world.pass(Duration::from_millis(200));
    world.take(client)
}

/// A client that waits.
fn waits(world: &mut World, node: u32, command: &[&str]) -> Connection {
    let client = world.connect(node);
    world.send(client, &request(command));
    assert_eq!(heard(world, client), "", "{command:?}");
    client
}

const POPPED: &str = "*2\r\n$1\r\nl\r\n$1\r\nx\r\n";

#[test]
fn who_came_first_is_served_first_through_whichever_node() {
    let mut world = World::cluster(3);
    let first = waits(&mut world, 2, &["BLPOP", "l", "0"]);
    let second = waits(&mut world, 3, &["BRPOP", "l", "0"]);
    let third = waits(&mut world, 1, &["BLPOP", "l", "0"]);
    let pusher = world.connect(1);
    for (client, others) in [(first, vec![second, third]), (second, vec![third]), (third, vec![])] {
        assert_eq!(world.call(pusher, "RPUSH l x"), ":1\r\n");
        assert_eq!(heard(&mut world, client), POPPED);
        for other in others {
            assert_eq!(world.take(other), "");
        }
    }
    assert_eq!(world.call(pusher, "EXISTS l"), ":0\r\n");
}

#[test]
fn several_elements_at_once_serve_as_many_clients() {
    let mut world = World::single();
    let clients: Vec<Connection> = (0..3).map(|_| waits(&mut world, 1, &["BLPOP", "l", "0"])).collect();
    let pusher = world.connect(1);
    assert_eq!(world.call(pusher, "RPUSH l x x x y"), ":4\r\n");
    for client in clients {
        assert_eq!(heard(&mut world, client), POPPED);
    }
    assert_eq!(world.call(pusher, "LRANGE l 0 -1"), "*1\r\n$1\r\ny\r\n");
}

#[test]
fn waiting_ends_with_its_time() {
    let mut world = World::single();
    let client = waits(&mut world, 1, &["BLPOP", "l", "1.5"]);
    let mover = waits(&mut world, 1, &["BLMOVE", "{l}", "{l}m", "LEFT", "LEFT", "1.5"]);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.take(client), "");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.take(client), "*-1\r\n");
    assert_eq!(world.take(mover), "*-1\r\n", "as in Redis, though it answers one element");
    let pusher = world.connect(1);
    assert_eq!(world.call(pusher, "RPUSH l x"), ":1\r\n");
    assert_eq!(world.call(pusher, "LLEN l"), ":1\r\n", "nobody waits any more");
}

#[test]
fn who_has_gone_takes_nothing() {
    let mut world = World::single();
    let client = waits(&mut world, 1, &["BLPOP", "l", "0"]);
    let other = waits(&mut world, 1, &["BLPOP", "l", "0"]);
    world.finish(client);
    world.pass(Duration::from_millis(200));
    let pusher = world.connect(1);
    assert_eq!(world.call(pusher, "RPUSH l x"), ":1\r\n");
    assert_eq!(heard(&mut world, other), POPPED);
}

#[test]
fn a_client_is_let_go_on_request() {
    let mut world = World::single();
    let waiting = waits(&mut world, 1, &["BLPOP", "l", "0"]);
    let other = world.connect(1);
    let list = world.call(other, "CLIENT LIST");
    let line = list.lines().find(|line| line.contains("cmd=blpop")).expect("it is listed");
    assert!(line.contains("flags=b"), "{line}");
    let id = line
        .trim_start_matches("txt:")
        .split(' ')
        .find_map(|field| field.strip_prefix("id="))
        .expect("an id");
    assert_eq!(world.call(other, &format!("CLIENT UNBLOCK {id} ERROR")), ":1\r\n");
    assert_eq!(heard(&mut world, waiting), "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    assert_eq!(world.call(other, &format!("CLIENT UNBLOCK {id}")), ":0\r\n");
    assert_eq!(world.call(waiting, "PING"), "+PONG\r\n", "it goes on with what comes next");
}

/// Found by Redis's own tests. Only who comes anew hears of a key of another type.
#[test]
fn a_key_of_another_type_holds_nothing_for_who_waits() {
    let mut world = World::cluster(3);
    let popping = waits(&mut world, 2, &["BLPOP", "{l}other", "l", "0"]);
    let moving = waits(&mut world, 3, &["BLMOVE", "l", "{l}target", "LEFT", "LEFT", "0"]);
    let lowest = waits(&mut world, 1, &["BZPOPMIN", "l", "0"]);
    let reading = waits(&mut world, 2, &["XREAD", "BLOCK", "0", "STREAMS", "l", "$"]);
    let client = world.connect(1);
    assert_eq!(world.call(client, "SET {l}other text"), "+OK\r\n");
    assert_eq!(world.call(client, "SET l text"), "+OK\r\n");
    for waiting in [popping, moving, lowest, reading] {
        assert_eq!(heard(&mut world, waiting), "");
    }
    let refused = world.call(client, "BLPOP l 0");
    assert!(refused.starts_with("-WRONGTYPE"), "{refused}");
    assert_eq!(world.call(client, "DEL l"), ":1\r\n");
    assert_eq!(world.call(client, "RPUSH l x y"), ":2\r\n");
    assert_eq!(heard(&mut world, popping), POPPED);
    assert_eq!(heard(&mut world, moving), "$1\r\ny\r\n");
    assert_eq!(world.call(client, "ZADD l 1 m"), ":1\r\n");
    assert_eq!(heard(&mut world, lowest), "*3\r\n$1\r\nl\r\n$1\r\nm\r\n$1\r\n1\r\n");
    assert_eq!(heard(&mut world, reading), "");
    assert_eq!(world.call(client, "XADD l 9-1 f v"), "$3\r\n9-1\r\n");
    assert!(heard(&mut world, reading).contains("9-1"));
}

#[test]
fn what_is_moved_on_serves_who_waits_there() {
    let mut world = World::single();
    let mover = waits(&mut world, 1, &["BLMOVE", "{k}l", "{k}m", "LEFT", "RIGHT", "0"]);
    let popper = waits(&mut world, 1, &["BLPOP", "{k}m", "0"]);
    let pusher = world.connect(1);
    assert_eq!(world.call(pusher, "LPUSH {k}l x"), ":1\r\n");
    assert_eq!(heard(&mut world, mover), "$1\r\nx\r\n");
    assert_eq!(heard(&mut world, popper), "*2\r\n$4\r\n{k}m\r\n$1\r\nx\r\n");
}

#[test]
fn sorted_sets_and_streams_are_waited_for_as_well() {
    let mut world = World::single();
    let popper = waits(&mut world, 1, &["BZPOPMIN", "z", "0"]);
    let readers: Vec<Connection> =
        (0..2).map(|_| waits(&mut world, 1, &["XREAD", "BLOCK", "0", "STREAMS", "s", "$"])).collect();
    let writer = world.connect(1);
    assert_eq!(world.call(writer, "ZADD z 2 b 1 a"), ":2\r\n");
    assert_eq!(heard(&mut world, popper), "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n");
    assert_eq!(world.call(writer, "XADD s 1-1 f v"), "$3\r\n1-1\r\n");
    for reader in readers {
        assert_eq!(
            heard(&mut world, reader),
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
        );
    }
    assert_eq!(
        world.call(writer, "XREAD STREAMS s $"),
        "*-1\r\n",
        "who doesn't wait hears that there is nothing"
    );
}

#[test]
fn a_transaction_serves_who_waits_only_with_what_it_leaves() {
    let mut world = World::single();
    let waiting = waits(&mut world, 1, &["BLPOP", "l", "0"]);
    let other = world.connect(1);
    for command in ["MULTI", "RPUSH l x", "DEL l", "EXEC"] {
        assert!(!world.call(other, command).starts_with('-'));
    }
    assert_eq!(heard(&mut world, waiting), "");
    for command in ["MULTI", "BLPOP l 0", "EXEC"] {
        world.call(other, command);
    }
    assert_eq!(world.call(other, "RPUSH l x"), ":1\r\n");
    assert_eq!(heard(&mut world, waiting), POPPED);
}

#[test]
fn waiting_survives_the_loss_of_the_leader() {
    let mut world = World::cluster(3);
    let slot = base::slot_of(b"l").number();
    let leader = |world: &World, node: u32| {
        let groups = world.overview(node).groups;
        let of_slot = |group: &node::overview::GroupOverview| {
            group.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
        };
        groups.into_iter().find(of_slot).and_then(|group| group.leader).map(|node| node.0)
    };
    let lost = leader(&world, 1).expect("somebody leads");
    let survivor = if lost == 1 { 2 } else { 1 };
    let first = waits(&mut world, survivor, &["BLPOP", "l", "0"]);
    let second = waits(&mut world, survivor, &["BLPOP", "l", "0"]);
    world.crash(lost);
    world.until("another leads", |world| leader(world, survivor).is_some_and(|now| now != lost));
    world.pass(Duration::from_secs(2));
    let pusher = world.connect(survivor);
    assert_eq!(world.call(pusher, "RPUSH l x"), ":1\r\n");
    assert_eq!(heard(&mut world, first), POPPED);
    assert_eq!(heard(&mut world, second), "");
    assert_eq!(world.call(pusher, "RPUSH l x"), ":1\r\n");
    assert_eq!(heard(&mut world, second), POPPED);
}

#[test]
fn what_comes_behind_a_command_that_must_wait_its_turn_is_done_at_once() {
    let mut world = World::cluster(3);
    for gateway in 1..=3 {
        let waiting = waits(&mut world, gateway, &["BLPOP", "l", "0"]);
        let (later, writers) = (world.connect(gateway), [world.connect(gateway), world.connect(gateway)]);
        // All of them reach the gateway before it has heard anything.
        world.send(later, &request(&["BLPOP", "l", "0"]));
        for writer in writers {
            world.send(writer, &request(&["SET", "{l}x", "1"]));
        }
        for writer in writers {
            assert_eq!(heard(&mut world, writer), "+OK\r\n", "through node {gateway}");
        }
        let pusher = world.connect(gateway);
        assert_eq!(world.call(pusher, "RPUSH l x x"), ":2\r\n");
        assert_eq!(heard(&mut world, waiting), POPPED);
        assert_eq!(heard(&mut world, later), POPPED);
    }
}

/// Redis's own tests waited here for ever. The words behind the colon are those of Redis 7.0, the others those of 7.2.
#[test]
fn who_reads_for_a_group_hears_that_its_stream_is_gone() {
    const GONE: &str = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option: the stream key no longer exists\r\n";
    const OTHER: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value: the stream key no longer exists\r\n";
    const NO_GROUP: &str =
        "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
    let reads = ["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"];
    let mut world = World::cluster_with(3, Config { shards: 1, ..config() });
    let client = world.connect(1);
    for (ends, answer) in [
        (&["DEL s"][..], GONE),
        (&["SET s text"], OTHER),
        (&["MULTI", "DEL s", "SADD s m", "EXEC"], OTHER),
        (&["MULTI", "FLUSHDB", "EXEC"], GONE),
        (&["FLUSHALL"], GONE),
        (&["PEXPIRE s 30"], GONE),
        (&["XGROUP DESTROY s g"], NO_GROUP),
        (&["XGROUP CREATE {s}t other $ MKSTREAM", "RENAME {s}t s"], NO_GROUP),
    ] {
        world.call(client, "DEL s");
        let patient = waits(&mut world, 3, &["BLPOP", "s", "0"]);
        assert_eq!(world.call(client, "XGROUP CREATE s g $ MKSTREAM"), "+OK\r\n");
        let waiting: Vec<Connection> = [2, 3, 2].map(|node| waits(&mut world, node, &reads)).into();
        for command in ends {
            let reply = world.call(client, command);
            assert!(!reply.starts_with('-'), "{command}: {reply}");
        }
        for reader in waiting {
            assert_eq!(heard(&mut world, reader), answer, "{ends:?}");
        }
        assert_eq!(heard(&mut world, patient), "", "who waits for a list waits on");
        world.finish(patient);
    }
}

#[test]
fn a_stream_that_is_there_again_serves_who_reads_it() {
    let mut world = World::single();
    let reader = waits(&mut world, 1, &["XREAD", "BLOCK", "0", "STREAMS", "{s}other", "s", "$", "$"]);
    let client = world.connect(1);
    assert_eq!(world.call(client, "SET {s}other text"), "+OK\r\n");
    assert_eq!(heard(&mut world, reader), "");
    assert_eq!(world.call(client, "XADD s 1-1 f v"), "$3\r\n1-1\r\n");
    assert!(heard(&mut world, reader).contains("1-1"), "the other one is no reason to be refused");
}

/// Found by Redis's own tests.
#[test]
fn what_comes_with_a_swapped_database_serves_who_waits_there() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    assert_eq!(world.call(client, "SELECT 1"), "+OK\r\n");
    assert_eq!(world.call(client, "RPUSH l x"), ":1\r\n");
    let first = waits(&mut world, 2, &["BLPOP", "l", "0"]);
    let second = waits(&mut world, 3, &["BLPOP", "l", "0"]);
    assert_eq!(world.call(client, "SWAPDB 0 1"), "+OK\r\n");
    let served = [heard(&mut world, first), heard(&mut world, second)];
    assert!(served.contains(&POPPED.to_string()) && served.contains(&String::new()), "{served:?}");
    assert_eq!(world.call(client, "SELECT 0"), "+OK\r\n");
    assert_eq!(world.call(client, "RPUSH l x"), ":1\r\n");
    let served = [heard(&mut world, first), heard(&mut world, second)];
    assert!(served.contains(&POPPED.to_string()), "they wait for the number, not for what was behind it");
    world.call(client, "SELECT 1");
    assert_eq!(world.call(client, "RPUSH l x"), ":1\r\n");
    world.pass(Duration::from_millis(200));
    assert_eq!(world.call(client, "LLEN l"), ":1\r\n");
}
