//! What scripts may do with keys of all shards, and can't do to anybody.

mod common;

use base::{Duration, GroupId, slot_of};
use common::{Connection, World, config};
use routing::SlotMap;

/// The shard of a key in a cluster of four.
fn shard(key: &str) -> GroupId {
    SlotMap::even(1, 4).group_of(slot_of(key.as_bytes()))
}

fn eval(world: &mut World, client: Connection, script: &str, words: &[&str]) -> String {
    let mut all = vec!["EVAL", script];
    all.extend(words);
    world.call_words(client, &all)
}

/// Waits for what a client is owed.
fn reply_of(world: &mut World, client: Connection) -> String {
    for _ in 0..60_000 {
        let reply = world.take(client);
        if !reply.is_empty() {
            return reply;
        }
        world.pass(Duration::from_millis(1));
    }
    panic!("there is no answer within a minute");
}

const SHA_OF_RETURN_1: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

#[test]
fn a_script_reads_and_writes_keys_of_several_shards_named_or_not() {
    let mut world = World::cluster(3);
    assert_ne!(shard("a"), shard("b"));
    let client = world.connect(2);
    let transfer = "local have = tonumber(redis.call('GET', KEYS[1]) or 0) \
                    if have < tonumber(ARGV[1]) then return redis.error_reply('POOR has only ' .. have) end \
                    redis.call('DECRBY', KEYS[1], ARGV[1]) redis.call('INCRBY', 'b', ARGV[1]) \
                    redis.call('RPUSH', 'log', KEYS[1] .. ':' .. ARGV[1]) \
                    return {redis.call('GET', KEYS[1]), redis.call('GET', 'b')}";
    assert_eq!(eval(&mut world, client, transfer, &["1", "a", "5"]), "-POOR has only 0\r\n");
    assert_eq!(world.call(client, "SET a 7"), "+OK\r\n");
    assert_eq!(eval(&mut world, client, transfer, &["1", "a", "5"]), "*2\r\n$1\r\n2\r\n$1\r\n5\r\n");
    let other = world.connect(3);
    assert_eq!(world.call(other, "MGET a b"), "*2\r\n$1\r\n2\r\n$1\r\n5\r\n");
    assert_eq!(world.call(other, "LRANGE log 0 -1"), "*1\r\n$3\r\na:5\r\n");
}

#[test]
fn what_a_script_wrote_before_it_failed_stays_and_what_was_stopped_did_nothing() {
    let mut world = World::cluster(3);
    let client = world.connect(1);
    let fails = eval(&mut world, client, "redis.call('SET', 'a', 1) redis.call('LPUSH', 'a', 2)", &["0"]);
    assert!(fails.starts_with("-WRONGTYPE "), "{fails}");
    assert_eq!(world.call(client, "GET a"), "$1\r\n1\r\n");
    let endless = eval(&mut world, client, "redis.call('SET', 'b', 1) while true do end", &["0"]);
    assert!(
        endless.starts_with("-ERR the script was ended, and nothing that it did took effect"),
        "{endless}"
    );
    assert_eq!(world.call(client, "GET b"), "$-1\r\n");
    let greedy = "redis.call('SET', 'b', 1) local s = 'x' while true do s = s .. s end";
    let greedy = eval(&mut world, client, greedy, &["0"]);
    assert!(greedy.contains("script-memory-bytes-max"), "{greedy}");
    assert_eq!(world.call(client, "GET b"), "$-1\r\n");
}

#[test]
fn scripts_of_many_clients_on_the_same_keys_lose_nothing() {
    let mut world = World::cluster(3);
    let clients: Vec<Connection> = (1..=6).map(|nth| world.connect(nth % 3 + 1)).collect();
    let add = "local n = tonumber(redis.call('GET', KEYS[1]) or 0) redis.call('SET', KEYS[1], n + 1) \
               redis.call('SET', KEYS[2], n + 1) return n + 1";
    for _ in 0..5 {
        for client in &clients {
            world.send(*client, &common::request(&["EVAL", add, "2", "a", "b"]));
        }
        for client in &clients {
            let reply = reply_of(&mut world, *client);
            assert!(reply.starts_with(':'), "{reply}");
        }
    }
    let client = world.connect(1);
    assert_eq!(world.call(client, "MGET a b"), "*2\r\n$2\r\n30\r\n$2\r\n30\r\n");
}

#[test]
fn a_loaded_script_is_known_to_every_node_and_a_flushed_one_to_none() {
    let mut world = World::cluster(3);
    let (one, two) = (world.connect(1), world.connect(2));
    let unknown = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    assert_eq!(world.call(one, &format!("EVALSHA {SHA_OF_RETURN_1} 0")), unknown);
    assert_eq!(eval(&mut world, one, "return 1", &["0"]), ":1\r\n");
    // Who has run it knows it.
    assert_eq!(world.call(one, &format!("EVALSHA {SHA_OF_RETURN_1} 0")), ":1\r\n");
    assert_eq!(world.call(two, &format!("EVALSHA {SHA_OF_RETURN_1} 0")), unknown);
    let loaded = format!("$40\r\n{SHA_OF_RETURN_1}\r\n");
    assert_eq!(world.call_words(one, &["SCRIPT", "LOAD", "return 1"]), loaded);
    world.pass(Duration::from_millis(500));
    assert_eq!(world.call(two, &format!("EVALSHA {} 0", SHA_OF_RETURN_1.to_uppercase())), ":1\r\n");
    assert_eq!(world.call(two, &format!("SCRIPT EXISTS {SHA_OF_RETURN_1} nosuch")), "*2\r\n:1\r\n:0\r\n");
    assert_eq!(world.call(two, "SCRIPT FLUSH"), "+OK\r\n");
    world.pass(Duration::from_millis(500));
    assert_eq!(world.call(one, &format!("EVALSHA {SHA_OF_RETURN_1} 0")), unknown);
    assert_eq!(world.call(one, "SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.\r\n");
    let wrong = world.call_words(one, &["SCRIPT", "LOAD", "return ("]);
    assert!(wrong.starts_with("-ERR Error compiling script (new function): user_script:1: "), "{wrong}");
}

#[test]
fn libraries_are_the_whole_clusters_and_survive_it() {
    let mut world = World::cluster(3);
    let (one, two) = (world.connect(1), world.connect(2));
    let code = "#!lua name=lib\nredis.register_function('put', function(keys, args) return redis.call('SET', keys[1], \
                args[1]) end)\nredis.register_function{function_name='see', callback=function(keys) return \
                redis.call('GET', keys[1]) end, flags={'no-writes'}}";
    assert_eq!(world.call_words(one, &["FUNCTION", "LOAD", code]), "$3\r\nlib\r\n");
    assert_eq!(world.call_words(one, &["FUNCTION", "LOAD", code]), "-ERR Library 'lib' already exists\r\n");
    world.pass(Duration::from_millis(500));
    assert_eq!(world.call(two, "FCALL put 1 k v"), "+OK\r\n");
    assert_eq!(world.call(two, "FCALL_RO see 1 k"), "$1\r\nv\r\n");
    assert_eq!(
        world.call(two, "FCALL_RO put 1 k v"),
        "-ERR Can not execute a script with write flag using *_ro command.\r\n"
    );
    assert_eq!(world.call(two, "FCALL nosuch 0"), "-ERR Function not found\r\n");
    for node in 1..=3 {
        world.crash(node);
    }
    for node in 1..=3 {
        world.restart(node);
    }
    world.until_ready();
    let three = world.connect(3);
    assert_eq!(world.call(three, "FCALL see 1 k"), "$1\r\nv\r\n");
    let dump = world.call(three, "FUNCTION DUMP");
    assert!(dump.starts_with('$'), "{dump}");
    assert_eq!(world.call(three, "FUNCTION DELETE lib"), "+OK\r\n");
    assert_eq!(world.call(three, "FUNCTION DELETE lib"), "-ERR Library not found\r\n");
    assert_eq!(world.call(three, "FUNCTION LIST"), "*0\r\n");
}

#[test]
fn a_script_is_part_of_a_transaction_and_of_what_it_watches() {
    let mut world = World::cluster(3);
    let (client, other) = (world.connect(1), world.connect(2));
    for command in ["WATCH a", "MULTI", "SET b 1"] {
        world.call(client, command);
    }
    assert_eq!(eval(&mut world, client, "return redis.call('INCR', 'b')", &["0"]), "+QUEUED\r\n");
    assert_eq!(world.call(client, "EXEC"), "*2\r\n+OK\r\n:2\r\n");
    for command in ["WATCH a", "MULTI"] {
        world.call(client, command);
    }
    assert_eq!(eval(&mut world, client, "return redis.call('INCR', 'b')", &["0"]), "+QUEUED\r\n");
    assert_eq!(world.call(other, "SET a 1"), "+OK\r\n");
    assert_eq!(world.call(client, "EXEC"), "*-1\r\n");
    assert_eq!(world.call(client, "GET b"), "$1\r\n2\r\n");
    world.call(client, "MULTI");
    assert_eq!(world.call(client, &format!("EVALSHA {SHA_OF_RETURN_1} 0")), "+QUEUED\r\n");
    assert_eq!(world.call(client, "INCR b"), "+QUEUED\r\n");
    let both = world.call(client, "EXEC");
    assert_eq!(both, "*2\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n:3\r\n");
}

#[test]
fn a_script_may_do_what_its_user_may_do() {
    let mut world = World::single();
    let admin = world.connect(1);
    assert_eq!(world.call(admin, "ACL SETUSER bob on >pw ~own:* +@all -set"), "+OK\r\n");
    let client = world.connect(1);
    assert_eq!(world.call(client, "AUTH bob pw"), "+OK\r\n");
    let set = eval(&mut world, client, "return redis.call('SET', 'own:a', 1)", &["0"]);
    assert!(
        set.starts_with("-ERR ACL failure in script: User bob has no permissions to run the 'set' command"),
        "{set}"
    );
    let get = eval(&mut world, client, "return redis.call('GET', 'a')", &["0"]);
    assert!(get.starts_with("-ERR ACL failure in script: No permissions to access a key"), "{get}");
    assert_eq!(eval(&mut world, client, "return redis.call('INCR', 'own:a')", &["0"]), ":1\r\n");
    let may = "return {redis.acl_check_cmd('set', 'own:a', 1), redis.acl_check_cmd('get', 'own:a')}";
    assert_eq!(eval(&mut world, client, may, &["0"]), "*2\r\n$-1\r\n:1\r\n");
    let log = world.call(admin, "ACL LOG");
    assert!(log.contains("lua") && log.contains("bob"), "{log}");
}

#[test]
fn what_a_script_publishes_is_heard_once_it_has_taken_effect() {
    let mut world = World::cluster(3);
    let (client, listener) = (world.connect(1), world.connect(2));
    world.call(listener, "SUBSCRIBE news");
    assert_eq!(
        eval(
            &mut world,
            client,
            "redis.call('SET', 'a', 1) return redis.call('PUBLISH', 'news', 'a')",
            &["0"]
        ),
        ":0\r\n"
    );
    world.settle();
    assert_eq!(world.take(listener), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\na\r\n");
    let endless = "redis.call('PUBLISH', 'news', 'never') while true do end";
    assert!(eval(&mut world, client, endless, &["0"]).starts_with("-ERR the script was ended"));
    world.settle();
    assert_eq!(world.take(listener), "");
}

#[test]
fn a_script_that_only_reads_writes_nothing() {
    let mut world = World::with(config());
    let client = world.connect(1);
    let refused = "-ERR Write commands are not allowed from read-only scripts.";
    for command in ["SET', 'a', 1", "PUBLISH', 'news', 'a'"] {
        let script = format!("return redis.call('{command})");
        let reply = world.call_words(client, &["EVAL_RO", &script, "0"]);
        assert!(reply.starts_with(refused), "{reply}");
    }
    let flagged = eval(&mut world, client, "#!lua flags=no-writes\nreturn redis.call('SET', 'a', 1)", &["0"]);
    assert!(flagged.starts_with(refused), "{flagged}");
    let one = format!("EVAL_RO {} 0", "return#KEYS");
    assert_eq!(world.call(client, &one), ":0\r\n");
    assert_eq!(world.call(client, "EVAL x a"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(
        world.call(client, "EVAL x 1"),
        "-ERR Number of keys can't be greater than number of args\r\n"
    );
    assert_eq!(world.call(client, "EVAL x -1"), "-ERR Number of keys can't be negative\r\n");
}
