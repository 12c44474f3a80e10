//! What is answered without a shard, in Redis 7.2's words.

mod common;

use base::Duration;
use common::{WALL, World, config, request};
use node::Config;

/// The text of a bulk reply, in either protocol.
fn text(reply: &str) -> &str {
    let (header, rest) = reply.split_once("\r\n").expect("a reply");
    assert!(header.starts_with(['$', '=']), "{reply}");
    rest.strip_prefix("txt:").unwrap_or(rest).strip_suffix("\r\n").expect("a whole reply")
}

/// A field of a line of CLIENT LIST.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    line.trim_end().split(' ').find_map(|field| field.strip_prefix(&format!("{name}="))).expect(name)
}

/// Every request with its reply.
fn answers(world: &mut World, client: common::Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

#[test]
fn a_connection_says_what_it_means() {
    let mut world = World::single();
    let client = world.connect(1);
    answers(
        &mut world,
        client,
        &[
            ("PING", "+PONG"),
            ("ping hello", "$5\r\nhello"),
            ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
            ("ECHO x", "$1\r\nx"),
            ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
            ("SELECT abc", "-ERR value is not an integer or out of range"),
            ("SELECT 16", "-ERR DB index is out of range"),
            ("SELECT -1", "-ERR DB index is out of range"),
            ("SELECT 15", "+OK"),
            ("SET k v", "+OK"),
            ("SELECT 0", "+OK"),
            ("GET k", "$-1"),
            ("READONLY", "+OK"),
            ("READWRITE", "+OK"),
            ("NOPE a", "-ERR unknown command 'NOPE', with args beginning with: 'a' "),
        ],
    );
    assert_eq!(world.talk(client, b"PING\r\nQUIT\r\nPING\r\n"), "+PONG\r\n+OK\r\n");
    assert!(world.seen(client).closed);
}

#[test]
fn hello_agrees_on_a_protocol() {
    let mut world = World::single();
    let client = world.connect(1);
    let fields = "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$5\r\nproto\r\n:N\r\n$2\r\nid\r\n:1\r\n\
        $4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0";
    answers(
        &mut world,
        client,
        &[
            ("HELLO", &format!("*14\r\n{}", fields.replace(":N", ":2"))),
            ("HELLO 3", &format!("%7\r\n{}", fields.replace(":N", ":3"))),
            ("GET none", "_"),
            ("HELLO 4", "-NOPROTO unsupported protocol version"),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
            ("HELLO 3 foo", "-ERR Syntax error in HELLO option 'foo'"),
            ("HELLO 2 auth a", "-ERR Syntax error in HELLO option 'auth'"),
            ("GET none", "_"),
            ("HELLO 2 AUTH default any SETNAME me", &format!("*14\r\n{}", fields.replace(":N", ":2"))),
            ("CLIENT GETNAME", "$2\r\nme"),
            (
                "HELLO 3 AUTH foo any SETNAME you",
                "-WRONGPASS invalid username-password pair or user is disabled.",
            ),
            ("CLIENT GETNAME", "$2\r\nme"),
            ("GET none", "$-1"),
        ],
    );
}

#[test]
fn a_password_is_asked_for_until_it_is_given() {
    let mut world = World::single();
    let first = world.connect(1);
    answers(
        &mut world,
        first,
        &[
            (
                "AUTH x",
                "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ),
            ("AUTH a b c", "-ERR syntax error"),
            ("AUTH default x", "+OK"),
            ("AUTH foo x", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("CONFIG SET requirepass secret", "+OK"),
            ("PING", "+PONG"),
        ],
    );
    let client = world.connect(1);
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    answers(
        &mut world,
        client,
        &[
            ("PING", "-NOAUTH Authentication required."),
            ("GET k", "-NOAUTH Authentication required."),
            ("AUTH wrong", wrong),
            ("AUTH foo secret", wrong),
            (
                "HELLO 3",
                "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                 <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                 the same time",
            ),
        ],
    );
    // A stranger can't make the node keep large words; who has said the password may send them in the same breath.
    let large = "x".repeat(100_000);
    let mut sent = request(&["AUTH", "secret"]);
    sent.extend(request(&["SET", "k", &large]));
    assert_eq!(world.talk(client, &sent), "+OK\r\n+OK\r\n");
    assert_eq!(world.call(client, "RESET"), "+RESET\r\n");
    assert_eq!(world.call(client, "GET k"), "-NOAUTH Authentication required.\r\n");
    let refusal = world.talk(client, &request(&["SET", "k", &large]));
    assert!(refusal.starts_with("-ERR Protocol error: unauthenticated"), "{refusal}");
    assert!(world.seen(client).closed);
    let waiting = world.connect(1);
    assert_eq!(world.call(waiting, "PING"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(world.call_words(first, &["CONFIG", "SET", "requirepass", ""]), "+OK\r\n");
    assert_eq!(world.call(waiting, "PING"), "+PONG\r\n");
    assert_eq!(world.call_words(waiting, &["SET", "k", &large]), "+OK\r\n");
}

#[test]
fn strangers_are_turned_away_until_there_is_a_password() {
    let mut world = World::single();
    let stranger = world.connect_from(1, false);
    assert!(world.take(stranger).starts_with("-DENIED "));
    assert!(world.seen(stranger).closed);
    let client = world.connect(1);
    assert_eq!(world.call(client, "CONFIG SET requirepass x"), "+OK\r\n");
    let stranger = world.connect_from(1, false);
    assert_eq!(world.call(stranger, "AUTH x"), "+OK\r\n");
}

#[test]
fn reset_makes_a_connection_new() {
    let mut world = World::single();
    let client = world.connect(1);
    world.call(client, "HELLO 3 SETNAME me");
    assert_eq!(world.call(client, "SELECT 3"), "+OK\r\n");
    assert_eq!(world.call(client, "CLIENT NO-EVICT on"), "+OK\r\n");
    assert_eq!(world.talk(client, &request(&["CLIENT", "REPLY", "OFF"])), "");
    assert_eq!(world.call(client, "RESET"), "+RESET\r\n");
    let line = world.call(client, "CLIENT INFO");
    let line = text(&line);
    for (name, value) in [("name", ""), ("db", "0"), ("resp", "2"), ("flags", "N")] {
        assert_eq!(field(line, name), value);
    }
}

#[test]
fn clients_are_named_and_listed() {
    let mut world = World::single();
    let (client, other) = (world.connect(1), world.connect(1));
    answers(
        &mut world,
        client,
        &[
            ("CLIENT ID", ":1"),
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETNAME worker-1", "+OK"),
            ("CLIENT GETNAME", "$8\r\nworker-1"),
            ("CLIENT SETINFO lib-name redis-py", "+OK"),
            ("CLIENT SETINFO LIB-VER 5.0", "+OK"),
            ("CLIENT SETINFO foo bar", "-ERR Unrecognized option 'foo'"),
            ("CLIENT NO-TOUCH on", "+OK"),
            ("CLIENT NO-TOUCH maybe", "-ERR syntax error"),
            ("CLIENT NO-EVICT foo", "-ERR syntax error"),
            ("CLIENT UNBLOCK 2", ":0"),
            ("CLIENT UNBLOCK a", "-ERR value is not an integer or out of range"),
            ("CLIENT UNBLOCK 1 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
            ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
            ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
            ("CLIENT TRACKING FOO", "-ERR syntax error"),
            ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'"),
            ("CLIENT LIST TYPE replica", "$0\r\n"),
            ("CLIENT LIST ID abc", "-ERR Invalid client ID"),
            ("CLIENT LIST ID", "-ERR syntax error"),
            ("CLIENT LIST FOO", "-ERR syntax error"),
        ],
    );
    let name = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
    assert_eq!(world.call_words(client, &["CLIENT", "SETNAME", "a b"]), name);
    assert_eq!(
        world.call_words(client, &["CLIENT", "SETINFO", "lib-ver", "a b"]),
        "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n"
    );
    assert_eq!(world.call(other, "SELECT 2"), "+OK\r\n");
    world.pass(Duration::from_secs(3));
    let list = world.call(client, "CLIENT LIST");
    let lines: Vec<&str> = text(&list).lines().collect();
    assert_eq!(lines.len(), 2);
    for (line, name, value) in [
        (0, "id", "1"),
        (0, "addr", "127.0.0.1:50001"),
        (0, "laddr", "10.0.0.1:6379"),
        (0, "name", "worker-1"),
        (0, "lib-name", "redis-py"),
        (0, "lib-ver", "5.0"),
        (0, "age", "3"),
        (0, "idle", "0"),
        (0, "flags", "T"),
        (0, "cmd", "client|list"),
        (0, "user", "default"),
        (1, "id", "2"),
        (1, "db", "2"),
        (1, "idle", "3"),
        (1, "cmd", "select"),
        (1, "resp", "2"),
        (1, "lib-name", ""),
    ] {
        assert_eq!(field(lines[line], name), value, "{name} of {}", lines[line]);
    }
    let second = world.call(client, "CLIENT LIST ID 2 99");
    assert_eq!(text(&second).lines().count(), 1);
    assert!(text(&second).starts_with("id=2 "));
}

#[test]
fn connections_are_closed_by_who_may() {
    let mut world = World::single();
    let client = world.connect(1);
    let others: Vec<_> = (0..4).map(|_| world.connect(1)).collect();
    answers(
        &mut world,
        client,
        &[
            ("CLIENT KILL 1.2.3.4:5", "-ERR No such client"),
            ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL ID abc", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 99", ":0"),
            ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'"),
            ("CLIENT KILL USER foo", "-ERR No such user 'foo'"),
            ("CLIENT KILL SKIPME maybe", "-ERR syntax error"),
            ("CLIENT KILL ID 2 ADDR", "-ERR syntax error"),
            ("CLIENT KILL MAXAGE 1000", ":0"),
            ("CLIENT KILL TYPE pubsub", ":0"),
            ("CLIENT KILL LADDR 1.1.1.1:1", ":0"),
            ("CLIENT KILL 127.0.0.1:50002", "+OK"),
            ("CLIENT KILL ID 3", ":1"),
            ("CLIENT KILL ID 1", ":0"),
            ("CLIENT KILL ADDR 127.0.0.1:50004 USER default", ":1"),
        ],
    );
    let closed: Vec<bool> = others.iter().map(|other| world.seen(*other).closed).collect();
    assert_eq!(closed, [true, true, true, false]);
    assert_eq!(world.call(client, "CLIENT KILL TYPE normal"), ":1\r\n");
    assert_eq!(world.talk(client, b"CLIENT KILL ID 1 SKIPME no\r\nPING\r\n"), ":1\r\n");
    assert!(world.seen(client).closed && world.seen(others[3]).closed);
}

#[test]
fn replies_are_left_out_where_the_client_wants_none() {
    let mut world = World::single();
    let client = world.connect(1);
    let send = |world: &mut World, lines: &str| world.talk(client, lines.replace('|', "\r\n").as_bytes());
    assert_eq!(
        send(&mut world, "CLIENT REPLY OFF|SET a 1|GET a|NOPE|PING|CLIENT REPLY ON|GET a|"),
        "+OK\r\n$1\r\n1\r\n"
    );
    // What waits for the disk is as silent as what is answered at once, and what was asked before is answered.
    assert_eq!(
        send(&mut world, "SET a 2|CLIENT REPLY SKIP|SET a 3|SET a 4|GET a|"),
        "+OK\r\n+OK\r\n$1\r\n4\r\n"
    );
    assert_eq!(send(&mut world, "SET a 5|CLIENT REPLY OFF|SET a 6|CLIENT REPLY ON|"), "+OK\r\n+OK\r\n");
    assert_eq!(send(&mut world, "CLIENT REPLY SKIP|NOPE|PING|"), "+PONG\r\n");
    assert_eq!(send(&mut world, "CLIENT REPLY maybe|"), "-ERR syntax error\r\n");
}

#[test]
fn the_table_of_commands_describes_itself() {
    let mut world = World::single();
    let client = world.connect(1);
    let count: usize =
        world.call(client, "COMMAND COUNT").trim_matches([':', '\r', '\n']).parse().expect("a number");
    assert!(world.call(client, "COMMAND").starts_with(&format!("*{count}\r\n")));
    assert!(world.call(client, "COMMAND INFO get").starts_with("*1\r\n*10\r\n$3\r\nget\r\n:2\r\n"));
    assert!(world.call(client, "COMMAND DOCS sihai").contains("sihai|status"));
    answers(
        &mut world,
        client,
        &[
            ("COMMAND GETKEYS MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb"),
            ("COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP."),
            ("COMMAND LIST FILTERBY FOO x", "-ERR syntax error"),
        ],
    );
}

#[test]
fn the_node_tells_the_time_and_its_settings() {
    let mut world = World::single();
    let client = world.connect(1);
    let time = world.call(client, "TIME");
    let seconds: u64 = time.split("\r\n").nth(2).expect("seconds").parse().expect("a number");
    assert_eq!(seconds, WALL / 1000 + world.now.as_nanos() / 1_000_000_000);
    answers(
        &mut world,
        client,
        &[
            ("CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000"),
            ("CONFIG SET maxclients 2", "+OK"),
            ("CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$1\r\n2"),
            ("CONFIG REWRITE", "-ERR The server is running without a config file"),
            ("CONFIG FOO", "-ERR unknown subcommand 'FOO'. Try CONFIG HELP."),
            ("CONFIG GET nothing", "*0"),
            ("CONFIG RESETSTAT", "+OK"),
            ("MEMORY PURGE", "+OK"),
            ("MEMORY FOO", "-ERR unknown subcommand 'FOO'. Try MEMORY HELP."),
            ("WAIT a 1", "-ERR value is not an integer or out of range"),
            ("WAIT 0 a", "-ERR timeout is not an integer or out of range"),
            ("WAIT 0 -1", "-ERR timeout is negative"),
            ("WAIT 1 100", ":0"),
        ],
    );
    let refusal = world.call(client, "CONFIG SET requirepass x maxclients 3");
    assert!(refusal.starts_with("-ERR CONFIG SET failed"), "{refusal}");
    assert_eq!(world.call(client, "CONFIG GET maxclients"), "*2\r\n$10\r\nmaxclients\r\n$1\r\n2\r\n");
    let second = world.connect(1);
    let third = world.connect(1);
    assert_eq!(world.take(third), "-ERR max number of clients reached\r\n");
    assert!(world.seen(third).closed && !world.seen(second).closed);
}

#[test]
fn errors_are_counted_wherever_they_come_from() {
    let mut world = World::single();
    let client = world.connect(1);
    for command in ["NOPE", "SET k v", "INCR k", "SETRANGE k -1 x", "APPEND k", "SELECT 99"] {
        world.call(client, command);
    }
    let info = world.call(client, "INFO stats");
    let total = text(&info).lines().find_map(|line| line.strip_prefix("total_error_replies:"));
    assert_eq!(total, Some("5"), "{info}");
    assert_eq!(world.overview(1).counters.errors.get("ERR"), Some(&5));
    assert_eq!(world.call(client, "CONFIG RESETSTAT"), "+OK\r\n");
    assert!(world.overview(1).counters.errors.is_empty());
}

#[test]
fn databases_change_places() {
    let mut world = World::single();
    let client = world.connect(1);
    answers(
        &mut world,
        client,
        &[
            ("SET k zero", "+OK"),
            ("SWAPDB a 1", "-ERR invalid first DB index"),
            ("SWAPDB 0 a", "-ERR invalid second DB index"),
            ("SWAPDB 0 99", "-ERR DB index is out of range"),
            ("SWAPDB 0 0", "+OK"),
        ],
    );
    // In one breath: what comes behind rests on it.
    let sent = b"SET k2 v\r\nSWAPDB 0 1\r\nGET k\r\nSELECT 1\r\nGET k\r\nDBSIZE\r\n";
    assert_eq!(world.talk(client, sent), "+OK\r\n+OK\r\n$-1\r\n+OK\r\n$4\r\nzero\r\n:2\r\n");
}

#[test]
fn the_cluster_is_described() {
    let mut world = World::single();
    let client = world.connect(1);
    answers(
        &mut world,
        client,
        &[
            ("CLUSTER KEYSLOT foo", ":12182"),
            ("CLUSTER FOO", "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP."),
            ("CLUSTER COUNTKEYSINSLOT x", "-ERR value is not an integer or out of range"),
        ],
    );
    assert!(world.call(client, "CLUSTER SLOTS").starts_with("*4\r\n*3\r\n:0\r\n:4095\r\n"));
    assert!(world.call(client, "CLUSTER INFO").contains("cluster_slots_ok:16384"));
    assert_eq!(text(&world.call(client, "CLUSTER MYID")).len(), 40);
    assert_eq!(text(&world.call(client, "CLUSTER MYSHARDID")).len(), 40);
    let status = world.call(client, "SIHAI STATUS");
    assert!(text(&status).contains("\"ready\":true"), "{status}");
    assert!(world.call(client, "SIHAI HELP").contains("REMOVE"));
    let last = world.call(client, "SIHAI REMOVE NODE 1");
    assert!(last.starts_with("-ERR "), "the last node can't be removed: {last}");
    answers(
        &mut world,
        client,
        &[
            ("SIHAI REMOVE NODE x", "-ERR 'x' is no node's id: ids are the numbers of SIHAI STATUS"),
            ("SIHAI REMOVE FOO 1", "-ERR syntax error"),
        ],
    );
}

#[test]
fn replies_keep_the_order_of_their_commands() {
    let mut world = World::with(Config { shards: 16, ..config() });
    let client = world.connect(1);
    world.member(1).disk_hangs = true;
    let sent = b"SET a 1\r\nPING\r\nCLIENT ID\r\nSET b 2\r\nNOPE\r\nECHO x\r\nGET b\r\nDBSIZE\r\nPING\r\n";
    assert_eq!(world.talk(client, sent), "");
    world.unhang(1);
    assert_eq!(
        world.take(client),
        "+OK\r\n+PONG\r\n:1\r\n+OK\r\n-ERR unknown command 'NOPE', with args beginning with: \r\n$1\r\nx\r\n$1\r\n2\r\n:2\r\n+PONG\r\n"
    );
}

#[test]
fn what_has_subcommands_at_shards_explains_them_here() {
    let mut world = World::single();
    let client = world.connect(1);
    for container in ["OBJECT", "XGROUP", "XINFO"] {
        let help = world.call(client, &format!("{container} HELP"));
        assert!(help.starts_with('*') && help.contains(&format!("+{container} <subcommand>")), "{help}");
    }
    let drawing = world.call(client, "LOLWUT VERSION 5 20");
    assert!(text(&drawing).contains("Sihai ver. "), "{drawing}");
}

#[test]
fn who_runs_a_redis_is_answered_what_is_true_here() {
    let mut world = World::single();
    let client = world.connect(1);
    let name = text(&world.call(client, "CLUSTER MYID")).to_string();
    let (replicas, reports) =
        (format!("CLUSTER REPLICAS {name}"), format!("CLUSTER COUNT-FAILURE-REPORTS {name}"));
    answers(
        &mut world,
        client,
        &[
            ("SAVE", "+OK"),
            ("BGSAVE later", "-ERR syntax error"),
            ("REPLICAOF no one", "+OK"),
            ("SLAVEOF NO ONE", "+OK"),
            ("ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0"),
            ("MODULE LIST", "*0"),
            ("MODULE LOAD x.so", "-ERR there are no modules in Sihai"),
            ("PFSELFTEST", "+OK"),
            ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
            ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error"),
            ("SHUTDOWN soon", "-ERR syntax error"),
            ("CLUSTER LINKS", "*0"),
            (&replicas, "*0"),
            (&reports, ":0"),
            ("CLUSTER REPLICAS nobody", "-ERR Unknown node nobody"),
        ],
    );
    for (command, hint) in [
        ("BGSAVE", "+every acknowledged write is on disk already"),
        ("BGREWRITEAOF", "+the log is shortened by itself"),
        ("REPLICAOF 10.0.0.9 6379", "-ERR a node of Sihai follows no other server"),
        ("FAILOVER", "-ERR leaders change by themselves"),
        ("CLUSTER ADDSLOTS 1", "-ERR nodes, slots and copies find their places by themselves"),
        ("CLUSTER FAILOVER FORCE", "-ERR nodes, slots and copies find their places by themselves"),
    ] {
        let reply = world.call(client, command);
        assert!(reply.starts_with(hint), "{command}: {reply}");
    }
    assert_eq!(world.call(client, "LASTSAVE"), format!(":{}\r\n", world.wall().0 / 1000));
    assert!(!world.member(1).stopped);
    world.send(client, &request(&["SHUTDOWN", "NOSAVE"]));
    world.until("it has stopped", |world| world.is_stopped(1));
}
