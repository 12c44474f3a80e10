//! MULTI, EXEC and WATCH: together or not at all, in Redis's words.

mod common;

use base::Duration;
use common::{World, config};
use node::Config;

/// Every request with its reply.
fn says(world: &mut World, client: common::Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

fn one_shard() -> World {
    World::with(Config { shards: 1, ..config() })
}

#[test]
fn what_was_gathered_takes_effect_together() {
    let mut world = one_shard();
    let client = world.connect(1);
    says(
        &mut world,
        client,
        &[
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("INCR a", "+QUEUED"),
            ("PING", "+QUEUED"),
            ("SELECT 3", "+QUEUED"),
            ("SET a other", "+QUEUED"),
            ("DBSIZE", "+QUEUED"),
            ("EXEC", "*6\r\n+OK\r\n:2\r\n+PONG\r\n+OK\r\n+OK\r\n:1"),
            ("GET a", "$5\r\nother"),
            ("SELECT 0", "+OK"),
            ("GET a", "$1\r\n2"),
            ("MULTI", "+OK"),
            ("GET a", "+QUEUED"),
            ("KEYS *", "+QUEUED"),
            ("EXEC", "*2\r\n$1\r\n2\r\n*1\r\n$1\r\na"),
            ("MULTI", "+OK"),
            ("EXEC", "*0"),
            ("MULTI", "+OK"),
            ("FLUSHALL", "+QUEUED"),
            ("DBSIZE", "+QUEUED"),
            ("EXEC", "*2\r\n+OK\r\n:0"),
            ("SELECT 3", "+OK"),
            ("DBSIZE", ":0"),
        ],
    );
}

#[test]
fn an_error_while_it_runs_stops_nothing_and_one_while_it_is_gathered_stops_all() {
    let mut world = one_shard();
    let client = world.connect(1);
    says(
        &mut world,
        client,
        &[
            ("SET s text", "+OK"),
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("INCR s", "+QUEUED"),
            ("SET b 2", "+QUEUED"),
            ("EXEC", "*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK"),
            ("GET b", "$1\r\n2"),
            ("MULTI", "+OK"),
            ("SET a 9", "+QUEUED"),
            ("NOPE", "-ERR unknown command 'NOPE', with args beginning with: "),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("GET a", "$1\r\n1"),
            ("EXEC", "-ERR EXEC without MULTI"),
            ("DISCARD", "-ERR DISCARD without MULTI"),
            ("MULTI", "+OK"),
            ("MULTI", "-ERR MULTI calls can not be nested"),
            ("WATCH a", "-ERR WATCH inside MULTI is not allowed"),
            ("SET a 9", "+QUEUED"),
            ("DISCARD", "+OK"),
            ("GET a", "$1\r\n1"),
        ],
    );
}

#[test]
fn a_watched_key_that_changed_stops_the_transaction() {
    let mut world = one_shard();
    let (one, other) = (world.connect(1), world.connect(1));
    let mut attempt = |before: &str, meanwhile: &str, done: bool| {
        assert_ne!(world.call(other, before), "");
        says(&mut world, one, &[("WATCH k missing", "+OK")]);
        if !meanwhile.is_empty() {
            assert_ne!(world.call(other, meanwhile), "");
        }
        says(&mut world, one, &[("MULTI", "+OK"), ("SET seen 1", "+QUEUED")]);
        let reply = world.call(one, "EXEC");
        assert_eq!(reply, if done { "*1\r\n+OK\r\n" } else { "*-1\r\n" }, "{before}; {meanwhile}");
    };
    attempt("SET k 1", "", true);
    attempt("SET k 1", "SET another 1", true);
    attempt("SET k 1", "SET k 1", false);
    attempt("SET k 1", "APPEND k x", false);
    attempt("SET k 1", "DEL k", false);
    attempt("SET k 1", "FLUSHALL", false);
    attempt("SET k 1", "PEXPIRE k 100000", false);
    attempt("SET k 1", "SET missing now", false);
    attempt("DEL missing", "DEL k", false);
    attempt("DEL k", "DEL k", true);
}

/// Found by Redis's own tests: the key that was watched lay in another database by the time of EXEC.
#[test]
fn a_swap_of_the_databases_stops_a_transaction_that_watched_in_one() {
    let mut world = one_shard();
    let client = world.connect(1);
    let swaps = [("SELECT 0", "+OK"), ("SWAPDB 0 1", "+OK")];
    says(&mut world, client, &[("SELECT 1", "+OK"), ("SET k other", "+OK"), ("SELECT 0", "+OK")]);
    says(&mut world, client, &[("WATCH k", "+OK")]);
    says(&mut world, client, &swaps);
    says(&mut world, client, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXEC", "*-1")]);
    says(&mut world, client, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXEC", "*1\r\n$5\r\nother")]);
    // Swapped twice is as before.
    says(&mut world, client, &[("WATCH k", "+OK")]);
    says(&mut world, client, &swaps);
    says(&mut world, client, &swaps);
    says(&mut world, client, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXEC", "*1\r\n$5\r\nother")]);
}

#[test]
fn watching_ends_with_exec_discard_and_unwatch() {
    let mut world = one_shard();
    let (one, other) = (world.connect(1), world.connect(1));
    for end in [&["UNWATCH"][..], &["MULTI", "DISCARD"], &["MULTI", "EXEC"]] {
        says(&mut world, one, &[("WATCH k", "+OK")]);
        for command in end {
            assert!(!world.call(one, command).starts_with('-'), "{command}");
        }
        says(&mut world, other, &[("SET k changed", "+OK")]);
        says(&mut world, one, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXEC", "*1\r\n$7\r\nchanged")]);
    }
}

#[test]
fn a_key_that_expires_meanwhile_has_changed() {
    let mut world = one_shard();
    let one = world.connect(1);
    says(
        &mut world,
        one,
        &[("SET k 1 PX 300", "+OK"), ("WATCH k", "+OK"), ("MULTI", "+OK"), ("SET a 1", "+QUEUED")],
    );
    world.pass(Duration::from_secs(2));
    says(&mut world, one, &[("EXEC", "*-1"), ("EXISTS a", ":0")]);
}

#[test]
fn a_pipelined_transaction_keeps_its_place_among_the_commands_around_it() {
    let mut world = one_shard();
    let client = world.connect(1);
    let answer = world.talk(
        client,
        b"SET n 1\r\nMULTI\r\nINCR n\r\nINCR n\r\nEXEC\r\nINCR n\r\nWATCH n\r\nMULTI\r\nGET n\r\nEXEC\r\nGET n\r\n",
    );
    assert_eq!(
        answer,
        "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:3\r\n:4\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n4\r\n$1\r\n4\r\n"
    );
}

#[test]
fn what_only_whole_shards_can_say_is_refused_beside_what_sees_several_and_nothing_is_executed() {
    let mut world = World::with(Config { shards: 16, ..config() });
    let client = world.connect(1);
    says(
        &mut world,
        client,
        &[
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("LMOVE a b LEFT LEFT", "+QUEUED"),
            ("DBSIZE", "+QUEUED"),
        ],
    );
    let refused = world.call(client, "EXEC");
    assert!(refused.starts_with("-ERR 'dbsize' concerns all keys"), "{refused}");
    says(&mut world, client, &[("EXISTS a b", ":0")]);
}

#[test]
fn a_transaction_through_another_node_is_carried_out_once_though_its_leader_dies() {
    let mut world = World::cluster(3);
    world.until_ready();
    let client = world.connect(1);
    says(
        &mut world,
        client,
        &[("SET {t}n 0", "+OK"), ("WATCH {t}n", "+OK"), ("MULTI", "+OK"), ("INCR {t}n", "+QUEUED")],
    );
    let slot = base::slot_of(b"{t}n").number();
    let of_slot = |group: &node::overview::GroupOverview| {
        group.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    };
    let shard = world.overview(1).groups.into_iter().find(of_slot);
    let leader = shard.and_then(|group| group.leader).expect("somebody leads the shard").0;
    world.send(client, b"EXEC\r\n");
    if leader != 1 {
        world.crash(leader);
    }
    let mut answer = String::new();
    while answer.is_empty() {
        world.pass(Duration::from_millis(50));
        answer = world.take(client);
    }
    assert_eq!(answer, "*1\r\n:1\r\n");
    says(&mut world, client, &[("GET {t}n", "$1\r\n1")]);
}

/// Redis's own tests: a refused command left its client between MULTI and EXEC.
#[test]
fn what_a_node_answers_is_part_of_a_transaction_too_also_what_all_must_agree_on() {
    let mut world = World::cluster(3);
    let client = world.connect(2);
    says(
        &mut world,
        client,
        &[
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("CONFIG SET maxmemory 1gb", "+QUEUED"),
            ("CONFIG GET maxmemory", "+QUEUED"),
            ("REPLICAOF localhost 1", "+QUEUED"),
            ("ACL SETUSER ann on", "+QUEUED"),
            ("CONFIG SET maxmemory much", "+QUEUED"),
            ("GET a", "+QUEUED"),
        ],
    );
    let reply = world.call(client, "EXEC");
    let mut lines = reply.split("\r\n");
    assert_eq!(lines.next(), Some("*7"), "{reply}");
    assert_eq!(lines.next(), Some("+OK"), "{reply}");
    assert_eq!(lines.next(), Some("+OK"), "{reply}");
    assert!(reply.contains("-ERR a node of Sihai follows no other server"), "{reply}");
    assert!(reply.contains("-ERR CONFIG SET failed (possibly related to argument 'maxmemory')"), "{reply}");
    assert!(reply.ends_with("$1\r\n1\r\n"), "{reply}");
    says(
        &mut world,
        client,
        &[
            ("CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$10\r\n1073741824"),
            ("ACL USERS", "*2\r\n$3\r\nann\r\n$7\r\ndefault"),
            ("MULTI", "+OK"),
            ("SAVE", "-ERR Command not allowed inside a transaction"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("PING", "+PONG"),
        ],
    );
}

#[test]
fn nothing_comes_between_the_parts_of_a_reply() {
    let mut world = World::cluster(3);
    let (client, other) = (world.connect(2), world.connect(3));
    assert!(world.call(client, "HELLO 3").starts_with('%'));
    assert!(world.call(client, "SUBSCRIBE c").starts_with(">3"));
    for command in ["MULTI", "PING first", "PUBLISH c one", "PUBLISH c two", "PING last"] {
        assert!(!world.call(client, command).starts_with('-'), "{command}");
    }
    // While the nodes are asked, somebody else speaks.
    world.send(client, &common::request(&["EXEC"]));
    world.send(other, &common::request(&["PUBLISH", "c", "other"]));
    world.pass(Duration::from_millis(300));
    let heard = world.take(client);
    let whole = "*4\r\n$5\r\nfirst\r\n:1\r\n:1\r\n$4\r\nlast\r\n";
    assert!(heard.contains(whole), "{heard}");
    let message = |text: &str| format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${}\r\n{text}\r\n", text.len());
    let own = format!("{}{}", message("one"), message("two"));
    assert!(heard.find(&own) > heard.find(whole), "what one says oneself comes behind the reply: {heard}");
    assert_eq!(heard.len(), whole.len() + own.len() + message("other").len(), "{heard}");
}

/// Redis's own tests, and who wants it so: with three nodes, one other is certain to have what is acknowledged.
#[test]
fn writes_are_refused_that_too_few_nodes_would_have_for_certain() {
    let mut world = World::cluster(3);
    let (client, other) = (world.connect(1), world.connect(2));
    says(&mut world, client, &[("CONFIG SET min-replicas-to-write 1", "+OK"), ("SET k 1", "+OK")]);
    says(&mut world, client, &[("MULTI", "+OK"), ("INCR k", "+QUEUED")]);
    says(&mut world, other, &[("CONFIG SET min-slaves-to-write 2", "+OK")]);
    world.pass(Duration::from_millis(200));
    says(
        &mut world,
        client,
        &[
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.",
            ),
            ("SET k 2", "-NOREPLICAS Not enough good replicas to write."),
            ("GET k", "$1\r\n1"),
            ("MULTI", "+OK"),
            ("SET k 2", "-NOREPLICAS Not enough good replicas to write."),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("CONFIG SET min-replicas-to-write 0", "+OK"),
            ("INCR k", ":2"),
        ],
    );
}
