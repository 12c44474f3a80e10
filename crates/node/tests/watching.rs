//! What a client can see of others and do about them: CLIENT PAUSE, MONITOR, the slow log, LATENCY, limits of output and of idling.

mod common;

use base::Duration;
use common::{Connection, World, request};
use node::Input;

fn says(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

fn heard(world: &mut World, client: Connection) -> String {
    world.pass(Duration::from_millis(300));
    world.take(client)
}

fn ask(world: &mut World, client: Connection, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    world.send(client, &request(&words));
    world.settle();
}

#[test]
fn paused_clients_go_on_in_their_order_when_they_may() {
    let mut world = World::single();
    let (boss, one, two) = (world.connect(1), world.connect(1), world.connect(1));
    says(&mut world, boss, &[("CLIENT PAUSE 100000 WRITE", "+OK"), ("GET k", "$-1")]);
    ask(&mut world, one, "GET k");
    ask(&mut world, one, "SET k v");
    ask(&mut world, one, "GET k");
    ask(&mut world, two, "PUBLISH c x");
    assert_eq!((heard(&mut world, one), heard(&mut world, two)), ("$-1\r\n".to_string(), String::new()));
    assert!(world.call(boss, "INFO clients").contains("blocked_clients:2"));
    says(&mut world, boss, &[("CLIENT UNPAUSE", "+OK")]);
    assert_eq!(heard(&mut world, one), "+OK\r\n$1\r\nv\r\n");
    assert_eq!(heard(&mut world, two), ":0\r\n");
    assert!(world.call(boss, "INFO clients").contains("blocked_clients:0"));
}

#[test]
fn a_pause_ends_by_itself_and_the_stricter_of_two_counts() {
    let mut world = World::single();
    let (boss, one) = (world.connect(1), world.connect(1));
    says(&mut world, boss, &[("SET k v PX 100", "+OK"), ("CLIENT PAUSE 7000", "+OK")]);
    ask(&mut world, boss, "CLIENT PAUSE 10 WRITE");
    ask(&mut world, one, "GET k");
    ask(&mut world, one, "PING");
    world.pass(Duration::from_millis(6_900));
    assert_eq!(world.take(one), "");
    assert_eq!(world.overview(1).counters.expired, 0);
    // It has waited for longer than any command may, and is carried out all the same.
    assert_eq!(heard(&mut world, one), "$-1\r\n+PONG\r\n");
    assert_eq!(heard(&mut world, boss), "+OK\r\n");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.overview(1).counters.expired, 1);
    for (command, error) in [
        ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
        ("CLIENT PAUSE -1", "-ERR timeout is negative"),
        ("CLIENT PAUSE 1 SOME", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
    ] {
        says(&mut world, boss, &[(command, error)]);
    }
}

#[test]
fn a_transaction_waits_as_a_whole_if_it_writes() {
    let mut world = World::single();
    let (boss, one, two) = (world.connect(1), world.connect(1), world.connect(1));
    says(&mut world, one, &[("MULTI", "+OK"), ("SET k v", "+QUEUED")]);
    says(&mut world, two, &[("MULTI", "+OK"), ("GET k", "+QUEUED")]);
    says(&mut world, boss, &[("CLIENT PAUSE 100000 WRITE", "+OK")]);
    says(&mut world, two, &[("EXEC", "*1\r\n$-1")]);
    ask(&mut world, one, "EXEC");
    assert_eq!(heard(&mut world, one), "");
    world.give(1, Input::Closed { client: one.id() });
    says(&mut world, boss, &[("CLIENT UNPAUSE", "+OK"), ("GET k", "$-1")]);
}

#[test]
fn who_monitors_sees_what_others_send_but_no_secret() {
    let mut world = World::single();
    let (eye, client) = (world.connect(1), world.connect(1));
    says(&mut world, eye, &[("MONITOR", "+OK")]);
    says(
        &mut world,
        client,
        &[("SELECT 2", "+OK"), ("SET k \"x\"", "+OK"), ("MULTI", "+OK"), ("GET k", "+QUEUED")],
    );
    says(&mut world, client, &[("EXEC", "*1\r\n$3\r\n\"x\""), ("CONFIG SET maxclients 10", "+OK")]);
    assert!(world.call(client, "AUTH secret").starts_with("-ERR AUTH"));
    let seen = heard(&mut world, eye);
    let lines: Vec<&str> =
        seen.lines().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest)).collect();
    let from = "127.0.0.1:50002";
    assert_eq!(
        lines,
        [
            format!("[0 {from}] \"SELECT\" \"2\""),
            format!("[2 {from}] \"SET\" \"k\" \"\\\"x\\\"\""),
            format!("[2 {from}] \"MULTI\""),
            format!("[2 {from}] \"GET\" \"k\""),
            format!("[2 {from}] \"EXEC\""),
            format!("[2 {from}] \"AUTH\" \"(redacted)\""),
        ]
    );
    assert!(seen.starts_with("+1700000"), "{seen}");
    says(&mut world, eye, &[("RESET", "+RESET")]);
    says(&mut world, client, &[("GET k", "$3\r\n\"x\"")]);
    assert_eq!(heard(&mut world, eye), "");
}

#[test]
fn what_takes_long_is_in_the_slow_log_through_any_node() {
    let mut world = World::cluster(3);
    for node in 1..=3 {
        let client = world.connect(node);
        says(&mut world, client, &[("CLIENT SETNAME me", "+OK"), ("SLOWLOG LEN", ":0")]);
        // So long that no leader takes a link or a disk for dead.
        for other in 1..=3 {
            world.member(other).disk_hangs = true;
        }
        ask(&mut world, client, "SET k v");
        world.pass(Duration::from_millis(50));
        assert_eq!(world.take(client), "");
        for other in 1..=3 {
            world.unhang(other);
        }
        assert_eq!(heard(&mut world, client), "+OK\r\n");
        let log = world.call(client, "SLOWLOG GET");
        assert!(log.contains("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$15\r\n127.0.0.1:"), "{log}");
        assert!(log.ends_with("$2\r\nme\r\n") && log.starts_with("*1\r\n*6\r\n:0\r\n:17000"), "{log}");
    }
}

#[test]
fn the_slow_log_keeps_what_it_is_told_to() {
    let mut world = World::single();
    let client = world.connect(1);
    says(&mut world, client, &[("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3", "+OK")]);
    says(
        &mut world,
        client,
        &[("SLOWLOG RESET", "+OK"), ("SET k v", "+OK"), ("DBSIZE", ":1"), ("MULTI", "+OK")],
    );
    says(&mut world, client, &[("GET k", "+QUEUED"), ("EXEC", "*1\r\n$1\r\nv"), ("SLOWLOG LEN", ":3")]);
    let log = world.call(client, "SLOWLOG GET -1");
    let order = ["SLOWLOG", "GET", "MULTI"].map(|word| log.find(&format!("\r\n{word}\r\n")));
    assert!(order.is_sorted() && order.iter().all(Option::is_some), "{log}");
    says(
        &mut world,
        client,
        &[
            ("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1"),
            ("CONFIG SET slowlog-log-slower-than -1", "+OK"),
            ("SLOWLOG RESET", "+OK"),
            ("SLOWLOG LEN", ":0"),
        ],
    );
}

#[test]
fn what_takes_too_long_is_an_event_and_calls_are_counted() {
    let mut world = World::single();
    let (client, other) = (world.connect(1), world.connect(1));
    says(
        &mut world,
        client,
        &[("CONFIG SET latency-monitor-threshold 100", "+OK"), ("CONFIG RESETSTAT", "+OK")],
    );
    ask(&mut world, client, "DEBUG SLEEP 0.2");
    says(
        &mut world,
        other,
        &[("PING", "+PONG"), ("GET k", "$-1"), ("SET k", "-ERR wrong number of arguments for 'set' command")],
    );
    world.pass(Duration::from_millis(300));
    assert_eq!(world.take(client), "+OK\r\n");
    says(&mut world, client, &[("SLOWLOG LEN", ":1")]);
    let latest = world.call(client, "LATENCY LATEST");
    assert!(latest.starts_with("*1\r\n*4\r\n$7\r\ncommand\r\n:1700000"), "{latest}");
    let history = world.call(client, "LATENCY HISTORY command");
    assert!(history.starts_with("*1\r\n*2\r\n:1700000") && history.contains("\r\n:2"), "{history}");
    assert!(world.call(client, "LATENCY GRAPH command").contains("all time high 2"));
    assert!(world.call(client, "LATENCY DOCTOR").contains("worst all time event"));
    says(
        &mut world,
        client,
        &[
            ("LATENCY GRAPH x", "-ERR No samples available for event 'x'"),
            ("LATENCY RESET", ":1"),
            ("LATENCY LATEST", "*0"),
            (
                "LATENCY HISTOGRAM get",
                "*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:1\r\n$14\r\nhistogram_usec\r\n*2\r\n:1\r\n:1",
            ),
        ],
    );
    let stats = world.call(client, "INFO commandstats");
    assert!(
        stats.contains("cmdstat_get:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0"),
        "{stats}"
    );
    assert!(
        stats.contains("cmdstat_set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"),
        "{stats}"
    );
    assert!(!world.call(client, "INFO").contains("cmdstat_"));
}

#[test]
fn whoever_reads_too_slowly_or_says_nothing_is_hung_up_on() {
    let mut world = World::single();
    let (boss, slow, idle) = (world.connect(1), world.connect(1), world.connect(1));
    says(
        &mut world,
        boss,
        &[(
            "CONFIG SET client-output-buffer-limit pubsub",
            "-ERR CONFIG SET failed (possibly related to argument \
        'client-output-buffer-limit') - Wrong number of arguments in buffer limit configuration.",
        )],
    );
    let set = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 100kb 10kb 2"];
    assert_eq!(world.call_words(boss, &set), "+OK\r\n");
    let shown = world.call(boss, "CONFIG GET client-output-buffer-limit");
    assert!(shown.contains("normal 0 0 0 slave 268435456 67108864 60 pubsub 102400 10240 2"), "{shown}");
    assert!(world.call(slow, "SUBSCRIBE c").starts_with('*'));
    let backlog = |world: &mut World, bytes| {
        world.give(1, Input::Backlog { client: slow.id(), bytes });
        world.settle();
    };
    backlog(&mut world, 20_000);
    world.pass(Duration::from_millis(1_500));
    backlog(&mut world, 5_000);
    backlog(&mut world, 20_000);
    world.pass(Duration::from_millis(1_500));
    assert!(!world.seen(slow).closed, "it was below the limit in between");
    world.pass(Duration::from_millis(1_000));
    assert!(world.seen(slow).closed);
    let greedy = world.connect(1);
    assert!(world.call(greedy, "SUBSCRIBE c").starts_with('*'));
    world.give(1, Input::Backlog { client: greedy.id(), bytes: 102_401 });
    world.settle();
    assert!(world.seen(greedy).closed);
    let waits = world.connect(1);
    ask(&mut world, waits, "BLPOP l 0");
    says(&mut world, boss, &[("CONFIG SET timeout 2", "+OK")]);
    assert!(!world.seen(idle).closed);
    world.pass(Duration::from_secs(4));
    assert!(world.seen(idle).closed && !world.seen(waits).closed);
}

#[test]
fn waiting_for_disks_tells_on_how_many_what_is_acknowledged_is() {
    let mut world = World::single();
    let client = world.connect(1);
    says(
        &mut world,
        client,
        &[
            ("WAITAOF 1 0 0", "*2\r\n:1\r\n:0"),
            ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1"),
            ("WAITAOF 1 -1 0", "-ERR value is out of range, must be positive"),
            ("WAITAOF 1 0 -1", "-ERR timeout is negative"),
            ("DEBUG STRINGMATCH-LEN 10 a*", ":1"),
            ("DEBUG SET-ACTIVE-EXPIRE 1", "+OK"),
        ],
    );
    assert!(world.call(client, "DEBUG JMAP").starts_with("-ERR DEBUG jmap is not answered here"));
    let mut world = World::cluster(3);
    let client = world.connect(2);
    says(&mut world, client, &[("WAITAOF 1 2 0", "*2\r\n:1\r\n:1")]);
}

/// Found by Redis's own tests.
#[test]
fn what_all_must_agree_on_is_slow_as_well_and_its_secrets_are_kept_back() {
    let mut world = World::cluster(3);
    let client = world.connect(2);
    for command in [
        "CONFIG SET slowlog-log-slower-than 0",
        "SLOWLOG RESET",
        "CONFIG SET masterauth ",
        "ACL SETUSER ann on >secret",
        "CONFIG SET maxmemory 1gb",
        "CONFIG SET slowlog-log-slower-than -1",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(world.call_words(client, &words), "+OK\r\n", "{command}");
    }
    let log = world.call(client, "SLOWLOG GET").to_lowercase();
    for shown in ["(redacted)", "masterauth", "setuser", "maxmemory"] {
        assert!(log.contains(shown), "{shown}: {log}");
    }
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn the_largest_clients_are_hung_up_on_when_all_hold_too_much() {
    let mut world = World::single();
    let (boss, large, larger, spared) =
        (world.connect(1), world.connect(1), world.connect(1), world.connect(1));
    says(&mut world, spared, &[("CLIENT NO-EVICT on", "+OK")]);
    // What is gathered between MULTI and EXEC is held.
    for (client, kilobytes) in [(large, 400), (larger, 600), (spared, 2000)] {
        says(&mut world, client, &[("MULTI", "+OK")]);
        let value = "x".repeat(kilobytes << 10);
        assert_eq!(world.call_words(client, &["SET", "k", &value]), "+QUEUED\r\n");
    }
    says(&mut world, boss, &[("CONFIG SET maxmemory-clients 800kb", "+OK")]);
    world.until_closed(larger);
    world.pass(Duration::from_secs(1));
    assert!(!world.seen(large).closed && !world.seen(spared).closed && !world.seen(boss).closed);
    assert!(world.call(boss, "INFO stats").contains("evicted_clients:1\r\n"));
    says(&mut world, boss, &[("CONFIG SET maxmemory 1mb maxmemory-clients 10%", "+OK")]);
    world.until_closed(large);
    let refused = world.call(boss, "CONFIG SET maxmemory-clients 200%");
    assert!(refused.ends_with("percentage argument must be less or equal to 100\r\n"), "{refused}");
}
