//! Users, through any node: who may log in, what is refused, and what ends when rules change.

mod common;

use base::Duration;
use common::{Connection, World, request};

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
const NO_KEY: &str = "-NOPERM this user has no permissions to access one of the keys used as arguments";
const NO_CHANNEL: &str =
    "-NOPERM this user has no permissions to access one of the channels used as arguments";

/// Every request with its reply.
#[track_caller]
fn answers(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

fn no_command(name: &str) -> String {
    format!("-NOPERM this user has no permissions to run the '{name}' command")
}

/// The value behind a field in a reply of bulk strings.
fn field<'a>(reply: &'a str, name: &str) -> &'a str {
    let (_, rest) = reply.split_once(&format!("\r\n{name}\r\n")).expect(name);
    let mut lines = rest.split("\r\n");
    let first = lines.next().expect("a value");
    if first.starts_with('$') { lines.next().expect("a text") } else { first }
}

/// A connection to a node as this user, once the node knows it.
fn connect_as(world: &mut World, node: u32, user: &str, password: &str) -> Connection {
    let client = world.connect(node);
    for _ in 0..50 {
        if world.call(client, &format!("AUTH {user} {password}")) == "+OK\r\n" {
            return client;
        }
        world.pass(Duration::from_millis(20));
    }
    panic!("{user} can't log in at node {node}");
}

#[test]
fn a_user_logs_in_with_its_password_and_may_do_what_its_rules_say() {
    let mut world = World::single();
    let admin = world.connect(1);
    answers(
        &mut world,
        admin,
        &[
            ("ACL WHOAMI", "$7\r\ndefault"),
            ("ACL SETUSER a\u{0}b", "-ERR Usernames can't contain spaces or null characters"),
            ("ACL SETUSER alice >pw ~a* &news +@read +publish +acl|whoami", "+OK"),
            ("AUTH alice pw", WRONG),
            ("ACL SETUSER alice on", "+OK"),
        ],
    );
    let alice = connect_as(&mut world, 1, "alice", "pw");
    answers(
        &mut world,
        alice,
        &[
            ("ACL WHOAMI", "$5\r\nalice"),
            ("GET a1", "$-1"),
            ("GET b", NO_KEY),
            ("SET a1 x", &no_command("set")),
            ("ACL LIST", &no_command("acl|list")),
            ("PUBLISH news x", ":0"),
            ("PUBLISH other x", NO_CHANNEL),
            ("AUTH alice no", WRONG),
            ("ACL WHOAMI", "$5\r\nalice"),
            ("NOPE", "-ERR unknown command 'NOPE', with args beginning with: "),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
        ],
    );
    assert!(world.call(admin, "CLIENT LIST").contains(" user=alice "));
    assert_eq!(world.call(admin, "CLIENT KILL USER nope"), "-ERR No such user 'nope'\r\n");
    assert_eq!(world.call(admin, "CLIENT KILL USER alice"), ":1\r\n");
    assert!(world.seen(alice).closed);
}

#[test]
fn users_are_told_as_redis_tells_them() {
    let mut world = World::single();
    let admin = world.connect(1);
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    answers(
        &mut world,
        admin,
        &[
            ("ACL SETUSER bob on >abc %R~r* ~b &c -@all +get (+set ~s)", "+OK"),
            ("ACL USERS", "*2\r\n$3\r\nbob\r\n$7\r\ndefault"),
            ("ACL GETUSER nobody", "$-1"),
            ("ACL DELUSER default", "-ERR The 'default' user cannot be removed"),
            ("ACL DELUSER nobody", ":0"),
            ("ACL SAVE", "+OK"),
            (
                "ACL GENPASS 0",
                "-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
            ),
            ("ACL GENPASS x", "-ERR value is not an integer or out of range"),
            ("ACL CAT nope", "-ERR Unknown category 'nope'"),
            ("ACL cat a b", "-ERR unknown subcommand or wrong number of arguments for 'cat'. Try ACL HELP."),
            ("ACL DRYRUN nobody get a", "-ERR User 'nobody' not found"),
            ("ACL DRYRUN bob nope", "-ERR Command 'nope' not found"),
            ("ACL DRYRUN bob get", "-ERR wrong number of arguments for 'get' command"),
            ("ACL DRYRUN bob get b", "+OK"),
            ("ACL DRYRUN bob set s 1", "+OK"),
            ("ACL DRYRUN bob set b 1", "$50\r\nThis user has no permissions to access the 'b' key"),
            ("ACL DRYRUN bob ping", "$54\r\nThis user has no permissions to run the 'ping' command"),
        ],
    );
    let list = world.call(admin, "ACL LIST");
    let line = format!(
        "user bob on sanitize-payload #{digest} %R~r* ~b resetchannels &c -@all +get (~s resetchannels -@all +set)"
    );
    assert!(list.contains(&line), "{list}");
    assert!(list.contains("user default on nopass sanitize-payload ~* &* +@all"), "{list}");
    assert_eq!(world.call(admin, "HELLO 3").chars().next(), Some('%'));
    let user = world.call(admin, "ACL GETUSER bob");
    assert!(user.starts_with("%6\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$16\r\nsanitize-payload\r\n"), "{user}");
    assert_eq!(field(&user, "keys"), "%R~r* ~b");
    assert_eq!(field(&user, "channels"), "&c");
    assert_eq!(field(&user, "commands"), "-@all +get");
    assert!(user.contains(digest) && user.contains("selectors\r\n*1\r\n%3\r\n"), "{user}");
    assert!(
        world
            .call(admin, "ACL LOAD")
            .starts_with("-ERR This Redis instance is not configured to use an ACL file")
    );
    let words: Vec<String> = (0..2).map(|_| world.call(admin, "ACL GENPASS")).collect();
    assert!(words[0] != words[1] && words.iter().all(|word| word.starts_with("$64\r\n")), "{words:?}");
    assert_eq!(world.call(admin, "ACL GENPASS 5").len(), "$2\r\nxx\r\n".len());
    assert!(world.call(admin, "ACL CAT transaction").contains("multi"));
    assert!(world.call(admin, "ACL CAT").starts_with("*21\r\n$8\r\nkeyspace\r\n"));
}

#[test]
fn what_is_refused_is_logged_with_its_reason_and_place() {
    let mut world = World::single();
    let admin = world.connect(1);
    assert_eq!(world.call(admin, "ACL SETUSER carl on >pw ~k +get +multi +exec +publish"), "+OK\r\n");
    let carl = connect_as(&mut world, 1, "carl", "pw");
    answers(&mut world, carl, &[("SET k v", &no_command("set")), ("set k v", &no_command("set"))]);
    answers(&mut world, carl, &[("GET other", NO_KEY), ("PUBLISH c x", NO_CHANNEL), ("auth carl no", WRONG)]);
    let log = world.call(admin, "ACL LOG");
    assert!(log.starts_with("*4\r\n*20\r\n"), "{log}");
    let entries: Vec<&str> = log.split("*20\r\n").skip(1).collect();
    for (entry, reason, object) in [
        (entries[0], "auth", "auth"),
        (entries[1], "channel", "c"),
        (entries[2], "key", "other"),
        (entries[3], "command", "set"),
    ] {
        let entry = format!("\r\n{entry}");
        assert_eq!((field(&entry, "reason"), field(&entry, "object")), (reason, object));
        assert_eq!((field(&entry, "username"), field(&entry, "context")), ("carl", "toplevel"));
        assert!(field(&entry, "client-info").contains(" user=carl "), "{entry}");
    }
    assert_eq!(field(&format!("\r\n{}", entries[3]), "count"), ":2");
    // A refusal between MULTI and EXEC ends in no transaction.
    answers(
        &mut world,
        carl,
        &[
            ("MULTI", "+OK"),
            ("INCR k", &no_command("incr")),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
        ],
    );
    let log = world.call(admin, "ACL LOG 1");
    assert_eq!((field(&log, "context"), field(&log, "object")), ("multi", "incr"));
    let stats = world.call(admin, "INFO stats");
    for line in ["auth:1", "cmd:3", "key:1", "channel:1"] {
        assert!(stats.contains(&format!("acl_access_denied_{line}\r\n")), "{stats}");
    }
    answers(&mut world, admin, &[("CONFIG SET acllog-max-len 2", "+OK"), ("ACL LOG -1", "*0")]);
    assert_eq!(world.call(carl, "GET z"), format!("{NO_KEY}\r\n"));
    assert!(world.call(admin, "ACL LOG").starts_with("*2\r\n"));
    answers(&mut world, admin, &[("ACL LOG RESET", "+OK"), ("ACL LOG", "*0")]);
}

#[test]
fn exec_asks_again_what_was_allowed_when_it_was_gathered() {
    let mut world = World::single();
    let admin = world.connect(1);
    assert_eq!(world.call(admin, "ACL SETUSER dora on nopass ~k &c +@all"), "+OK\r\n");
    let dora = connect_as(&mut world, 1, "dora", "any");
    answers(
        &mut world,
        dora,
        &[
            ("MULTI", "+OK"),
            ("INCR k", "+QUEUED"),
            ("GET k", "+QUEUED"),
            ("PUBLISH c x", "+QUEUED"),
            ("SORT k GET x", "+QUEUED"),
        ],
    );
    assert_eq!(world.call(admin, "ACL SETUSER dora -incr resetchannels"), "+OK\r\n");
    let no_more = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                   command is no longer allowed for the following reason: no permission to";
    let expected = format!(
        "*4\r\n{no_more} execute the command or subcommand\r\n$-1\r\n\
         {no_more} access one of the channels used as arguments to the command\r\n\
         -ERR GET option of SORT denied due to insufficient ACL permissions."
    );
    answers(&mut world, dora, &[("EXEC", &expected)]);
    let log = world.call(admin, "ACL LOG");
    assert!(log.starts_with("*2\r\n"), "{log}");
    assert_eq!((field(&log, "context"), field(&log, "reason")), ("multi", "channel"));
    // EXEC itself may be what is not allowed.
    answers(&mut world, dora, &[("MULTI", "+OK"), ("GET k", "+QUEUED")]);
    assert_eq!(world.call(admin, "ACL SETUSER dora -exec"), "+OK\r\n");
    let refused = no_command("exec");
    answers(
        &mut world,
        dora,
        &[
            ("EXEC", &format!("-EXECABORT Transaction discarded because of: {}", &refused[1..])),
            ("GET k", "$-1"),
        ],
    );
}

#[test]
fn a_user_made_through_one_node_is_known_through_all_until_it_is_removed() {
    let mut world = World::cluster(3);
    let admin = world.connect(1);
    assert_eq!(world.call(admin, "ACL SETUSER eve on >pw ~* +@all"), "+OK\r\n");
    let eves: Vec<Connection> = (1..=3).map(|node| connect_as(&mut world, node, "eve", "pw")).collect();
    for eve in &eves {
        assert_eq!(world.call(*eve, "SET k v"), "+OK\r\n");
    }
    // Changed through another.
    let other = world.connect(2);
    assert_eq!(world.call(other, "ACL SETUSER eve resetkeys ~e*"), "+OK\r\n");
    for eve in &eves {
        let (eve, refusal) = (*eve, format!("{NO_KEY}\r\n"));
        let mut answer = world.call(eve, "GET k");
        for _ in 0..50 {
            if answer == refusal {
                break;
            }
            world.pass(Duration::from_millis(20));
            answer = world.call(eve, "GET k");
        }
        assert_eq!(answer, refusal);
    }
    let third = world.connect(3);
    assert_eq!(world.call(third, "ACL DELUSER eve nobody"), ":1\r\n");
    for eve in eves {
        world.until_closed(eve);
    }
    let client = world.connect(1);
    assert_eq!(world.call(client, "AUTH eve pw"), format!("{WRONG}\r\n"));
}

#[test]
fn who_removes_itself_is_answered_before_its_connection_ends() {
    let mut world = World::single();
    let admin = world.connect(1);
    assert_eq!(world.call(admin, "ACL SETUSER finn on nopass ~* +@all"), "+OK\r\n");
    let finn = connect_as(&mut world, 1, "finn", "x");
    let waiting = connect_as(&mut world, 1, "finn", "x");
    world.send(waiting, &request(&["BLPOP", "l", "0"]));
    world.pass(Duration::from_millis(50));
    // What comes behind is not carried out any more.
    let sent = [request(&["ACL", "DELUSER", "finn"]), request(&["SET", "k", "v"])].concat();
    assert_eq!(world.talk(finn, &sent), ":1\r\n");
    world.until_closed(finn);
    world.until_closed(waiting);
    assert_eq!(world.call(admin, "GET k"), "$-1\r\n");
}

#[test]
fn who_may_no_longer_listen_or_wait_for_what_it_does_is_let_go() {
    let mut world = World::single();
    let admin = world.connect(1);
    assert_eq!(world.call(admin, "ACL SETUSER gina on nopass ~* &a &b* &s +@all"), "+OK\r\n");
    let listens = |world: &mut World, command: &str| {
        let gina = connect_as(world, 1, "gina", "x");
        assert!(world.call(gina, command).starts_with('*'), "{command}");
        gina
    };
    let channel = listens(&mut world, "SUBSCRIBE a");
    let pattern = listens(&mut world, "PSUBSCRIBE b*");
    let sharded = listens(&mut world, "SSUBSCRIBE s");
    let waits = connect_as(&mut world, 1, "gina", "x");
    world.send(waits, &request(&["BLPOP", "l", "0"]));
    world.pass(Duration::from_millis(50));
    // More is no reason to go.
    assert_eq!(world.call(admin, "ACL SETUSER gina &c"), "+OK\r\n");
    assert_eq!(world.call(admin, "PUBLISH a x"), ":1\r\n");
    for (rules, gone) in [("&a &b*", sharded), ("&a", pattern), ("&b*", channel)] {
        assert!(!world.seen(gone).closed);
        assert_eq!(world.call(admin, &format!("ACL SETUSER gina resetchannels {rules}")), "+OK\r\n");
        world.until_closed(gone);
    }
    assert_eq!(world.call(admin, "ACL SETUSER gina resetkeys"), "+OK\r\n");
    world.pass(Duration::from_millis(50));
    assert_eq!(world.take(waits), format!("{NO_KEY}\r\n"));
    assert_eq!(world.call(waits, "PING"), "+PONG\r\n");
    assert_eq!(world.call(admin, "RPUSH l x"), ":1\r\n");
    assert_eq!(world.call(admin, "LLEN l"), ":1\r\n");
}

#[test]
fn the_password_of_a_cluster_is_the_default_users() {
    let mut world = World::single();
    let admin = world.connect(1);
    answers(&mut world, admin, &[("CONFIG SET requirepass secret", "+OK")]);
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    assert!(
        world.call(admin, "ACL LIST").contains(&format!("user default on sanitize-payload #{digest} ~*"))
    );
    answers(&mut world, admin, &[("ACL SETUSER default >more", "+OK")]);
    let client = world.connect(1);
    answers(
        &mut world,
        client,
        &[("PING", "-NOAUTH Authentication required."), ("AUTH more", "+OK"), ("AUTH default secret", "+OK")],
    );
    answers(
        &mut world,
        admin,
        &[
            ("ACL SETUSER default nopass", "+OK"),
            ("CONFIG GET requirepass", "*2\r\n$11\r\nrequirepass\r\n$0\r\n"),
        ],
    );
    // Off: nobody is the default user without saying so, and nobody can say so.
    answers(&mut world, admin, &[("ACL SETUSER default off", "+OK"), ("PING", "+PONG")]);
    let client = world.connect(1);
    answers(&mut world, client, &[("PING", "-NOAUTH Authentication required."), ("AUTH default x", WRONG)]);
    answers(&mut world, admin, &[("ACL SETUSER default on", "+OK")]);
    answers(&mut world, client, &[("PING", "+PONG")]);
}

#[test]
fn users_survive_restarts_and_come_with_snapshots() {
    let mut world = World::with(node::Config {
        log_bytes_max: 4 << 10,
        snapshot_chunk_bytes: 1 << 10,
        ..common::config()
    });
    let admin = world.connect(1);
    for number in 0..200 {
        let key = "k".repeat(50);
        assert_eq!(
            world.call(admin, &format!("ACL SETUSER user{number} on >pw{number} ~{key}{number} +get")),
            "+OK\r\n"
        );
    }
    world.pass(Duration::from_secs(2));
    let expected = world.call(admin, "ACL LIST");
    assert!(world.overview(1).counters.snapshots_taken > 0, "the log was cut behind a snapshot");
    world.crash(1);
    world.restart(1);
    world.until_ready();
    let admin = world.connect(1);
    assert_eq!(world.call(admin, "ACL LIST"), expected);
    world.join();
    world.join();
    world.until_ready();
    let user = connect_as(&mut world, 3, "user7", "pw7");
    assert_eq!(world.call(user, &format!("GET {}7", "k".repeat(50))), "$-1\r\n");
    let admin = world.connect(3);
    assert_eq!(world.call(admin, "ACL LIST"), expected);
}
