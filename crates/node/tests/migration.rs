//! MIGRATE: nothing is deleted here that the other server hasn't taken as it is.

mod common;

use common::{Connection, Move, World, request};
use node::Input;
use node::api::Migrated;

/// Begins to move something; what the node wants to say to the other server.
fn begins(world: &mut World, client: Connection, command: &str) -> Move {
    let words: Vec<&str> = command.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
    world.send(client, &request(&words));
    world.pass(base::Duration::from_millis(100));
    assert_eq!(world.take(client), "");
    world.member(2).moves.pop().expect("the other server is asked")
}

fn ends(world: &mut World, client: Connection, job: u64, outcome: Migrated) -> String {
    world.give(2, Input::Migrated { job, outcome });
    world.pass(base::Duration::from_millis(100));
    world.take(client)
}

fn answers(text: &str) -> Migrated {
    Migrated::Answered(text.as_bytes().to_vec())
}

#[test]
fn what_the_other_server_has_taken_goes_here() {
    let mut world = World::cluster(3);
    let client = world.connect(2);
    for command in ["MSET a 1", "SET b 2 PX 500000", "RPUSH c x y"] {
        assert!(!world.call(client, command).starts_with('-'), "{command}");
    }
    let moving = begins(&mut world, client, "MIGRATE there 7000 '' 3 50 AUTH2 ann secret KEYS a b missing c");
    assert_eq!(moving.address, "there:7000");
    assert_eq!(moving.replies, 5, "credentials, the database, three keys");
    let said = String::from_utf8_lossy(&moving.bytes).into_owned();
    assert!(
        said.starts_with(
            "*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
        ),
        "{said}"
    );
    assert!(said.contains("RESTORE\r\n$1\r\na\r\n$1\r\n0\r\n") && !said.contains("REPLACE"), "{said}");
    assert!(said.contains("RESTORE\r\n$1\r\nb\r\n$6\r\n"), "it lives on there: {said}");
    let heard = ends(
        &mut world,
        client,
        moving.job,
        answers("+OK\r\n+OK\r\n+OK\r\n-BUSYKEY Target key name already exists.\r\n+OK\r\n"),
    );
    assert_eq!(heard, "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n");
    assert_eq!(world.call(client, "EXISTS a"), ":0\r\n");
    assert_eq!(world.call(client, "EXISTS b"), ":1\r\n", "it was refused there");
    assert_eq!(world.call(client, "EXISTS c"), ":0\r\n");
}

#[test]
fn what_changes_meanwhile_stays() {
    let mut world = World::cluster(3);
    let (client, other) = (world.connect(2), world.connect(3));
    assert_eq!(world.call(client, "SET k old"), "+OK\r\n");
    let moving = begins(&mut world, client, "MIGRATE there 7000 k 0 50 REPLACE");
    assert!(String::from_utf8_lossy(&moving.bytes).ends_with("$7\r\nREPLACE\r\n"));
    assert_eq!(world.call(other, "SET k new"), "+OK\r\n");
    let heard = ends(&mut world, client, moving.job, answers("+OK\r\n+OK\r\n"));
    assert!(heard.starts_with("-ERR 'k' has changed while it was moved: it stays here"), "{heard}");
    assert_eq!(world.call(client, "GET k"), "$3\r\nnew\r\n");
}

#[test]
fn a_copy_leaves_the_key_and_so_does_whatever_goes_wrong() {
    let mut world = World::cluster(3);
    let client = world.connect(2);
    assert_eq!(world.call(client, "SET k v"), "+OK\r\n");
    assert_eq!(world.call(client, "MIGRATE there 7000 missing 0 50"), "+NOKEY\r\n");
    assert_eq!(world.call(client, "MIGRATE there 7000 k 0 50 nonsense"), "-ERR syntax error\r\n");
    for (options, outcome, reply) in [
        (" COPY", answers("+OK\r\n+OK\r\n"), "+OK\r\n"),
        ("", Migrated::Unreachable, "-IOERR error or timeout connecting to the client\r\n"),
        ("", Migrated::Broke(b"+OK\r\n".to_vec()), "-IOERR error or timeout reading to target instance\r\n"),
        (
            " AUTH wrong",
            answers("-WRONGPASS no\r\n-NOAUTH no\r\n-NOAUTH no\r\n"),
            "-ERR Target instance replied with error: WRONGPASS no\r\n",
        ),
        (
            "",
            answers("-ERR no such database\r\n+OK\r\n"),
            "-ERR Target instance replied with error: ERR no such database\r\n",
        ),
    ] {
        let moving = begins(&mut world, client, &format!("MIGRATE there 7000 k 99 50{options}"));
        assert_eq!(ends(&mut world, client, moving.job, outcome), reply);
        assert_eq!(world.call(client, "GET k"), "$1\r\nv\r\n", "{reply}");
    }
}
