//! `sihai import`, from files and from a Redis, into a node: everything arrives, nothing is overwritten unasked, and what
//! was interrupted goes on.

mod common;

use common::{Dir, Node, Ports, Said, run};
use node::rdb::file::{Key, Writer};
use node::rdb::{HashField, Value};
use node::resp::Frame;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

fn key(database: u64, name: &str, value: Value) -> Key {
    Key { database, key: name.into(), value, expires_at: None, idle_s: None, frequency: None }
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn file_of(keys: &[Key]) -> Vec<u8> {
    let mut writer = Writer::with_field_expiry();
    for key in keys {
        writer.key(key).expect("such a file can hold everything");
    }
    writer.finish()
}

/// A little of everything, in two databases.
fn mixed() -> Vec<Key> {
    let bytes = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let far = Some(base::UnixMillis(33_318_451_200_000));
    let field = HashField { field: b"f".to_vec(), value: b"v".to_vec(), expires_at: far };
    let long = key(3, "long", Value::List(vec![vec![b'x'; 1 << 20]; 12]));
    vec![
        key(0, "string", string("1")),
        Key { expires_at: far, ..key(0, "volatile", string("2")) },
        Key { expires_at: Some(base::UnixMillis(1000)), ..key(0, "over", string("3")) },
        key(0, "list", Value::List(bytes(&["a", "b"]))),
        key(0, "set", Value::Set(bytes(&["a", "1"]))),
        key(3, "hash", Value::Hash(vec![field])),
        key(3, "zset", Value::SortedSet(vec![(b"m".to_vec(), 1.5)])),
        Key { expires_at: far, ..long },
    ]
}

struct World {
    dir: Dir,
    node: Node,
    address: String,
}

impl World {
    fn new(name: &str) -> Self {
        let dir = Dir::new(name);
        let ports = Ports::free();
        let mut node = Node::start(ports, &["--dir", &dir.at("data")]);
        node.wait_ready();
        Self { dir, node, address: format!("127.0.0.1:{}", ports.client) }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.at(name);
        std::fs::write(&path, bytes).expect("the directory can be written");
        path
    }

    fn import(&self, arguments: &[&str]) -> Said {
        run(&[&["import", "--addr", &self.address], arguments].concat())
    }

    fn call(&self, words: &[&str]) -> Frame {
        self.call_in(0, words)
    }

    fn call_in(&self, database: u64, words: &[&str]) -> Frame {
        let mut client = self.node.client();
        client.call(&["SELECT", &database.to_string()]);
        client.call(words)
    }
}

#[test]
fn everything_in_a_file_arrives() {
    let world = World::new("import-file");
    let path = world.file("dump.rdb", &file_of(&mixed()));
    let dry = world.import(&[&path, "--dry-run"]);
    assert_eq!((dry.code, world.call(&["DBSIZE"])), (Some(0), Frame::Integer(0)), "{}", dry.err);
    let said = world.import(&[&path]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("7 of 8 keys are in, 1 had expired, in "), "{}", said.out);
    assert_eq!(world.call(&["DBSIZE"]), Frame::Integer(4));
    assert_eq!(world.call(&["PEXPIRETIME", "volatile"]), Frame::Integer(33_318_451_200_000));
    assert_eq!(world.call(&["LRANGE", "list", "0", "-1"]).elements().map(<[_]>::len), Some(2));
    let in_three = |words: &[&str]| world.call_in(3, words);
    assert_eq!(in_three(&["LLEN", "long"]), Frame::Integer(12));
    assert_eq!(in_three(&["PEXPIRETIME", "long"]), Frame::Integer(33_318_451_200_000));
    let times = in_three(&["HPEXPIRETIME", "hash", "FIELDS", "1", "f"]);
    assert_eq!(times, Frame::Array(vec![Frame::Integer(33_318_451_200_000)]));
    assert!(!std::path::Path::new(&format!("{path}.sihai-import")).exists(), "nothing is left of it");

    let one = world.import(&[&path, "--db", "3", "--into", "5", "--replace"]);
    assert!(one.out.starts_with("3 of 8 keys are in, 5 are of other databases, in "), "{}", one.out);
    assert_eq!(world.call_in(5, &["DBSIZE"]), Frame::Integer(3));
}

#[test]
fn a_key_that_exists_is_overwritten_only_if_that_is_asked_for() {
    let world = World::new("import-existing");
    let keys: Vec<Key> = (0..2000).map(|n| key(0, &format!("k{n}"), string("new"))).collect();
    let path = world.file("dump.rdb", &file_of(&keys));
    world.call(&["SET", "k1500", "old"]);
    let refused = world.import(&[&path]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("\"k1500\" exists already in database 0"), "{}", refused.err);
    assert_eq!(world.call(&["GET", "k1500"]), Frame::Bulk(b"old".to_vec()));

    // What is in of it already, by the state file or beyond, doesn't stand in the way of going on.
    let kept = world.import(&[&path, "--skip-existing"]);
    assert_eq!(kept.code, Some(0), "{}", kept.err);
    assert!(kept.err.contains("going on where an earlier import stopped"), "{}", kept.err);
    assert!(kept.out.starts_with("1,999 of 2,000 keys are in, 1 existed already"), "{}", kept.out);
    assert_eq!(world.call(&["GET", "k1500"]), Frame::Bulk(b"old".to_vec()));
    assert_eq!(world.call(&["DBSIZE"]), Frame::Integer(2000));

    let replaced = world.import(&[&path, "--replace"]);
    assert_eq!(replaced.code, Some(0), "{}", replaced.err);
    assert_eq!(world.call(&["GET", "k1500"]), Frame::Bulk(b"new".to_vec()));
}

#[test]
fn a_damaged_file_says_where_and_another_file_isnt_taken_for_it() {
    let world = World::new("import-damaged");
    let keys: Vec<Key> = (0..2000).map(|n| key(0, &format!("k{n}"), string("value"))).collect();
    let whole = file_of(&keys);
    let path = world.file("dump.rdb", &whole[..whole.len() - 20]);
    let cut = world.import(&[&path]);
    assert_eq!(cut.code, Some(1));
    assert!(cut.err.contains("truncated: what begins at byte "), "{}", cut.err);
    let Frame::Integer(there) = world.call(&["DBSIZE"]) else { panic!("a number") };
    assert!(there >= 1998, "what could be read is in: {there}");

    let again = world.file("dump.rdb", &whole);
    let other = world.import(&[&again]);
    assert_eq!(other.code, Some(1));
    assert!(other.err.contains("another file than this"), "{}", other.err);
    let anew = world.import(&[&again, "--restart", "--replace"]);
    assert_eq!(anew.code, Some(0), "{}", anew.err);
    assert_eq!(world.call(&["DBSIZE"]), Frame::Integer(2000));

    let mut rotten = whole.clone();
    let at = rotten.len() - 30;
    rotten[at] ^= 1;
    let path = world.file("rotten.rdb", &rotten);
    let said = world.import(&[&path, "--dry-run"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("byte "), "{}", said.err);
}

#[test]
fn what_cannot_be_held_is_named_and_the_rest_is_taken() {
    let world = World::new("import-modules");
    let mut file = file_of(&[key(0, "k", string("v"))]);
    // In front of the end and its checksum, a set without members; a checksum of zero is none.
    file.truncate(file.len() - 9);
    file.extend_from_slice(b"\x02\x05empty\x00\xff\0\0\0\0\0\0\0\0");
    let said = world.import(&[&world.file("dump.rdb", &file)]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("NOT taken: \"empty\" of database 0"), "{}", said.err);
    assert!(said.out.contains("1 of 2 keys are in, 1 could NOT be read"), "{}", said.out);
}

/// All keys of a file, in order, with values whose members are in one order.
fn keys_of(path: &str) -> Vec<Key> {
    let mut reader = node::rdb::file::Reader::new();
    reader.feed(&std::fs::read(path).expect("it was written"));
    reader.finish();
    let mut keys = Vec::new();
    while let Some(item) = reader.next_item().expect("it is whole") {
        if let node::rdb::file::Item::Key(mut key) = item {
            key.value = server::import::sender::normal(key.value);
            keys.push(key);
        }
    }
    keys.sort_by(|a, b| (a.database, &a.key).cmp(&(b.database, &b.key)));
    keys
}

#[test]
fn what_was_imported_is_exported_again() {
    let world = World::new("export");
    let mut keys = mixed();
    keys.retain(|key| key.key != b"over");
    keys.extend((0..3000).map(|n| key(n % 3, &format!("k{n}"), string(&"v".repeat(n as usize)))));
    let members = |count: usize| (0..count).map(|n| format!("member {n}").into_bytes()).collect::<Vec<_>>();
    keys.push(key(1, "large set", Value::Set(members(30_000))));
    keys.push(key(1, "large list", Value::List(members(30_000))));
    let scored = members(30_000).into_iter().zip(0..).map(|(member, n)| (member, f64::from(n)));
    keys.push(key(1, "large zset", Value::SortedSet(scored.collect())));
    keys.push(key(1, "large string", Value::String(vec![b'x'; 3 << 20])));
    let path = world.file("in.rdb", &file_of(&keys));
    assert_eq!(world.import(&[&path]).code, Some(0));

    let out = world.dir.at("out.rdb");
    let too_old = run(&["export", "--addr", &world.address, &out]);
    assert_eq!(too_old.code, Some(1));
    assert!(too_old.err.contains("fields of hashes expire"), "{}", too_old.err);
    assert!(!std::path::Path::new(&out).exists(), "no half file");
    let said = run(&["export", "--addr", &world.address, "--rdb-version", "12", &out]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("3,011 keys are in "), "{}", said.out);
    assert_eq!(keys_of(&out), keys_of(&path));
    let again = run(&["export", "--addr", &world.address, "--rdb-version", "12", &out]);
    assert!(again.err.contains("exists already"), "{}", again.err);
    world.call_in(3, &["DEL", "hash"]);
    let older = run(&["export", "--addr", &world.address, "--rdb-version", "10", "--overwrite", &out]);
    assert_eq!(older.code, Some(0), "{}", older.err);
    assert!(std::fs::read(&out).expect("it is there").starts_with(b"REDIS0010"));
    assert_eq!(keys_of(&out).len(), 3010);

    // A replica is told that there is nothing to follow.
    let refused = world.call(&["PSYNC", "?", "-1"]);
    assert!(refused.error().is_some_and(|error| error.contains("no stream of changes")), "{refused:?}");
}

/// Answers as a Redis that sends `data` without knowing their length, then a change, and hangs up.
fn origin(data: Vec<u8>, changes: &'static [u8]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("redis://{}", listener.local_addr().expect("it is bound"));
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("somebody comes");
        let mut reader = BufReader::new(stream.try_clone().expect("it is open"));
        let mut stream = stream;
        let mut heard = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).expect("it is open") == 0 {
                return heard;
            }
            let Some(count) = line.trim().strip_prefix('*').and_then(|count| count.parse().ok()) else {
                panic!("no command: {line}")
            };
            let mut words = Vec::new();
            for _ in 0..count {
                line.clear();
                reader.read_line(&mut line).expect("it is open");
                let length: usize = line.trim()[1..].parse().expect("a length");
                let mut word = vec![0; length + 2];
                reader.read_exact(&mut word).expect("it is open");
                words.push(String::from_utf8_lossy(&word[..length]).into_owned());
            }
            let command = words.join(" ");
            let is_sync = command.starts_with("PSYNC");
            let is_acknowledgement = command.starts_with("REPLCONF ACK");
            heard.push(command);
            if is_sync {
                let mark = "m".repeat(40);
                let head = format!("+FULLRESYNC {} 100\r\n\n\n$EOF:{mark}\r\n", "a".repeat(40));
                stream.write_all(head.as_bytes()).expect("it is open");
                stream.write_all(&data).expect("it is open");
                stream.write_all(mark.as_bytes()).expect("it is open");
            } else if is_acknowledgement {
                stream.write_all(changes).expect("it is open");
                return heard;
            } else {
                stream.write_all(b"+OK\r\n").expect("it is open");
            }
        }
    });
    (url, served)
}

#[test]
fn a_redis_is_copied_and_followed() {
    let world = World::new("import-from");
    let (url, served) = origin(file_of(&mixed()), b"");
    let said = world.import(&["--from", &url]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("7 of 8 keys are in"), "{}", said.out);
    let heard = served.join().expect("it served");
    assert!(heard.contains(&"REPLCONF rdb-only 1".to_string()), "{heard:?}");

    let changes = b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$4\r\nSADD\r\n$1\r\ns\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n\
        *3\r\n$3\r\nDEL\r\n$4\r\nhash\r\n$4\r\nzset\r\n*1\r\n$4\r\nPING\r\n";
    let (url, served) = origin(file_of(&mixed()), changes);
    let said = world.import(&["--from", &url, "--follow", "--replace"]);
    assert!(said.err.contains("hung up at offset 2"), "{}", said.err);
    assert_eq!(world.call_in(3, &["DBSIZE"]), Frame::Integer(2), "the long list, and the new set");
    served.join().expect("it served");
}
