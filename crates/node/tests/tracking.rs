//! CLIENT TRACKING: who keeps a value hears of every change behind it, through whichever node both go, whatever happens to leaders and
//! links.

mod common;

use base::{Duration, Rng};
use common::{Connection, World, request};
use std::collections::{BTreeMap, VecDeque};

fn says(world: &mut World, client: Connection, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(world.call(client, command), format!("{reply}\r\n"), "{command}");
    }
}

/// What a client has heard by now.
fn heard(world: &mut World, client: Connection) -> String {
    world.pass(Duration::from_millis(300));
    world.take(client)
}

fn invalidates(keys: &[&str]) -> String {
    let keys: String = keys.iter().map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
    let count = keys.matches('$').count();
    format!(">2\r\n$10\r\ninvalidate\r\n*{count}\r\n{keys}")
}

const EVERYTHING: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

/// A client in version 3 of the protocol that keeps values.
fn keeper(world: &mut World, node: u32, options: &str) -> Connection {
    let client = world.connect(node);
    assert!(world.call(client, "HELLO 3").starts_with('%'));
    says(world, client, &[(&format!("CLIENT TRACKING ON {options}"), "+OK")]);
    client
}

fn leader(world: &World, key: &str) -> u32 {
    let slot = base::slot_of(key.as_bytes()).number();
    let groups = world.overview(1).groups;
    let of_key = |group: &&node::overview::GroupOverview| {
        group.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    };
    groups.iter().find(of_key).and_then(|group| group.leader).expect("somebody leads").0
}

#[test]
fn what_was_read_through_any_node_is_heard_of_once_when_any_node_changes_it() {
    let mut world = World::cluster(3);
    let keepers: Vec<Connection> = (1..=3).map(|node| keeper(&mut world, node, "")).collect();
    let writer = world.connect(2);
    for round in 0..3 {
        says(&mut world, writer, &[(&format!("SET k {round}"), "+OK"), ("SET other 1", "+OK")]);
        for client in &keepers {
            assert_eq!(heard(&mut world, *client), "");
            assert_eq!(world.call(*client, "GET k"), format!("$1\r\n{round}\r\n"));
        }
        says(&mut world, writer, &[("SET k x", "+OK"), ("SET k y", "+OK")]);
        for client in &keepers {
            assert_eq!(heard(&mut world, *client), invalidates(&["k"]));
        }
    }
}

#[test]
fn a_client_hears_of_its_own_change_behind_the_answer_unless_it_would_rather_not() {
    let mut world = World::cluster(3);
    for node in 1..=3 {
        let client = keeper(&mut world, node, "");
        says(&mut world, client, &[("SET k v", "+OK")]);
        assert_eq!(heard(&mut world, client), "");
        says(&mut world, client, &[("GET k", "$1\r\nv")]);
        world.send(client, &request(&["APPEND", "k", "w"]));
        assert_eq!(heard(&mut world, client), format!(":2\r\n{}", invalidates(&["k"])));
        let quiet = keeper(&mut world, node, "NOLOOP");
        let other = world.connect(1);
        says(&mut world, quiet, &[("GET k", "$2\r\nvw"), ("SET k own", "+OK"), ("MULTI", "+OK")]);
        says(&mut world, quiet, &[("SET k own", "+QUEUED"), ("EXEC", "*1\r\n+OK")]);
        assert_eq!(heard(&mut world, quiet), "");
        says(&mut world, other, &[("SET k v", "+OK")]);
        assert_eq!(heard(&mut world, quiet), invalidates(&["k"]), "what it wrote itself it may keep");
    }
}

#[test]
fn broadcast_tells_of_all_keys_under_the_prefixes_together() {
    let mut world = World::cluster(3);
    let all = keeper(&mut world, 3, "BCAST");
    let some = keeper(&mut world, 1, "BCAST PREFIX a: PREFIX b:");
    let writer = world.connect(2);
    says(&mut world, writer, &[("MSET {a:1}x 1 {a:1}y 2", "+OK"), ("SET b:{a:1} 1", "+OK")]);
    assert_eq!(heard(&mut world, some), invalidates(&["b:{a:1}"]));
    let told = heard(&mut world, all);
    assert!(told.contains(&invalidates(&["{a:1}x", "{a:1}y"])), "{told}");
    says(&mut world, some, &[("CLIENT TRACKING OFF", "+OK")]);
    says(&mut world, writer, &[("SET a:1 1", "+OK")]);
    assert_eq!(heard(&mut world, some), "");
}

#[test]
fn what_is_flushed_exchanged_or_expires_is_told() {
    let mut world = World::cluster(3);
    let client = keeper(&mut world, 2, "");
    let writer = world.connect(1);
    says(&mut world, writer, &[("SET k v PX 100", "+OK")]);
    says(&mut world, client, &[("GET k", "$1\r\nv")]);
    assert_eq!(heard(&mut world, client), invalidates(&["k"]));
    for command in ["FLUSHDB", "FLUSHALL", "SWAPDB 0 1"] {
        says(&mut world, client, &[("GET k", "_")]);
        says(&mut world, writer, &[(command, "+OK")]);
        assert_eq!(heard(&mut world, client), EVERYTHING, "{command}");
    }
}

#[test]
fn another_connection_can_hear_in_a_clients_place() {
    let mut world = World::single();
    let (ear, client, writer) = (world.connect(1), world.connect(1), world.connect(1));
    let id = world.call(ear, "CLIENT ID").trim_start_matches(':').trim_end().to_string();
    says(
        &mut world,
        client,
        &[
            ("CLIENT GETREDIR", ":-1"),
            ("CLIENT TRACKING ON REDIRECT 999", "-ERR The client ID you want redirect to does not exist"),
            (&format!("CLIENT TRACKING ON REDIRECT {id}"), "+OK"),
            ("CLIENT GETREDIR", &format!(":{id}")),
            ("GET k", "$-1"),
        ],
    );
    assert!(world.call(ear, "SUBSCRIBE __redis__:invalidate").starts_with('*'));
    says(&mut world, writer, &[("SET k v", "+OK")]);
    let message = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n";
    assert_eq!(heard(&mut world, ear), message);
    assert_eq!(heard(&mut world, client), "");
    assert!(world.call(client, "HELLO 3").starts_with('%'));
    says(&mut world, client, &[("GET k", "$1\r\nv")]);
    says(&mut world, writer, &[(&format!("CLIENT KILL ID {id}"), ":1"), ("SET k w", "+OK")]);
    let broken = format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n");
    assert_eq!(heard(&mut world, client), broken);
    let info = world.call(client, "CLIENT TRACKINGINFO");
    assert!(info.contains("broken_redirect"), "{info}");
}

#[test]
fn what_is_kept_can_be_chosen_and_is_bounded() {
    let mut world = World::single();
    let writer = world.connect(1);
    let choosy = keeper(&mut world, 1, "OPTIN");
    says(
        &mut world,
        choosy,
        &[("GET {k}a", "_"), ("CLIENT CACHING YES", "+OK"), ("GET {k}b", "_"), ("GET {k}c", "_")],
    );
    says(&mut world, writer, &[("MSET {k}a 1 {k}b 1 {k}c 1", "+OK")]);
    assert_eq!(heard(&mut world, choosy), invalidates(&["{k}b"]));
    let careful = keeper(&mut world, 1, "OPTOUT");
    says(
        &mut world,
        careful,
        &[("GET {k}a", "$1\r\n1"), ("CLIENT CACHING NO", "+OK"), ("GET {k}b", "$1\r\n1")],
    );
    says(&mut world, writer, &[("MSET {k}a 2 {k}b 2", "+OK")]);
    assert_eq!(heard(&mut world, careful), invalidates(&["{k}a"]));
    says(&mut world, writer, &[("CONFIG SET tracking-table-max-keys 1", "+OK")]);
    says(&mut world, careful, &[("GET {k}a", "$1\r\n2")]);
    assert_eq!(world.call(careful, "GET {k}b"), format!("{}$1\r\n2\r\n", invalidates(&["{k}a"])));
    for (command, error) in [
        (
            "CLIENT CACHING YES",
            "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        ("CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled"),
        ("CLIENT TRACKING ON BCAST OPTIN", "-ERR You can't switch BCAST mode on/off before"),
        ("CLIENT TRACKING ON OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode"),
        ("CLIENT TRACKING MAYBE", "-ERR syntax error"),
    ] {
        assert!(world.call(careful, command).starts_with(error), "{command}");
    }
}

#[test]
fn who_hears_nothing_more_of_a_shard_throws_everything_away() {
    let mut world = World::cluster(3);
    let lost = 3;
    let client = keeper(&mut world, lost, "");
    assert_eq!(world.call(client, "GET k"), "_\r\n");
    world.isolate(lost);
    world.until("it knows that it hears nothing", |world| {
        world.overview(lost).groups.iter().skip(1).all(|group| group.leader.is_none())
    });
    world.pass(Duration::from_secs(1));
    let told = heard(&mut world, client);
    assert!(told.starts_with(EVERYTHING), "{told}");
    assert_eq!(told.matches("invalidate").count(), 1, "{told}");
    world.heal();
    world.until_ready();
    let writer = world.connect(1);
    world.pass(Duration::from_secs(1));
    let _ = world.take(client);
    assert_eq!(world.call(client, "GET k"), "_\r\n");
    says(&mut world, writer, &[("SET k v", "+OK")]);
    assert_eq!(heard(&mut world, client), invalidates(&["k"]));
}

#[test]
fn a_change_of_leader_loses_no_change() {
    let mut world = World::cluster(3);
    let lost = leader(&world, "k");
    let keepers: Vec<(u32, Connection)> =
        (1..=3).filter(|node| *node != lost).map(|node| (node, keeper(&mut world, node, ""))).collect();
    for (_, client) in &keepers {
        assert_eq!(world.call(*client, "GET k"), "_\r\n");
    }
    world.crash(lost);
    let (_, first) = keepers[0];
    let writer = world.connect(keepers[0].0);
    world.until("a write succeeds", |_| true);
    let mut reply = world.call(writer, "SET k v");
    while reply != "+OK\r\n" {
        world.pass(Duration::from_millis(100));
        reply = world.call(writer, "SET k v");
    }
    for (_, client) in &keepers {
        let told = heard(&mut world, *client);
        assert!(told.contains(&invalidates(&["k"])) || told.contains(EVERYTHING), "{told}");
    }
    assert!(world.call(first, "GET k").contains('v'));
}

/// A client that keeps what it reads, as an application would.
struct Cache {
    client: Connection,
    node: u32,
    asked: VecDeque<String>,
    kept: BTreeMap<String, String>,
    bytes: String,
    /// How often it was told something.
    told: usize,
}

impl Cache {
    fn ask(&mut self, world: &mut World, key: &str) {
        world.send(self.client, &request(&["GET", key]));
        self.asked.push_back(key.to_string());
    }

    /// Reads what has come, in its order.
    fn read(&mut self, world: &mut World) {
        self.bytes.push_str(&world.take(self.client));
        while let Some(taken) = self.next() {
            self.bytes.drain(..taken);
        }
    }

    /// Takes in the first reply or message, if it is whole; answers how long it is.
    fn next(&mut self) -> Option<usize> {
        let mut lines = self.bytes.split_inclusive("\r\n").filter(|line| line.ends_with("\r\n"));
        let first = lines.next()?.to_string();
        let mut taken = first.len();
        let mut line = |taken: &mut usize| {
            let line = lines.next()?;
            *taken += line.len();
            Some(line.trim_end().to_string())
        };
        match first.as_bytes()[0] {
            b'>' => {
                let (_, what) = (line(&mut taken)?, line(&mut taken)?);
                assert_eq!(what, "invalidate");
                let count = line(&mut taken)?;
                let mut keys = Vec::new();
                for _ in 0..count.trim_start_matches('*').parse().unwrap_or(0) {
                    line(&mut taken)?;
                    keys.push(line(&mut taken)?);
                }
                self.told += 1;
                if count == "_" {
                    self.kept.clear();
                }
                for key in keys {
                    self.kept.remove(&key);
                }
            }
            b'$' => {
                let value = line(&mut taken)?;
                let key = self.asked.pop_front().expect("it was asked for");
                self.kept.insert(key, value);
            }
            b'_' => {
                let key = self.asked.pop_front().expect("it was asked for");
                self.kept.insert(key, String::new());
            }
            b'-' => {
                let key = self.asked.pop_front().expect("it was asked for");
                self.kept.remove(&key);
            }
            other => panic!("unexpected {:?} in {:?}", other as char, self.bytes),
        }
        Some(taken)
    }
}

/// Caches on all nodes read while others write, and nodes are cut off and crash; whatever a cache holds in the end is true.
fn caches_are_true_in_the_end(seed: u64, options: &str) -> (usize, usize) {
    let mut rng = Rng::new(seed);
    let mut world = World::cluster(3);
    let mut caches: Vec<Cache> = (0..6)
        .map(|number| {
            let node = number % 3 + 1;
            let client = keeper(&mut world, node, options);
            Cache {
                client,
                node,
                asked: VecDeque::new(),
                kept: BTreeMap::new(),
                bytes: String::new(),
                told: 0,
            }
        })
        .collect();
    let mut writers: Vec<Connection> = (1..=3).map(|node| world.connect(node)).collect();
    let mut down = None;
    for step in 0..1_500u32 {
        let key = format!("k{}", rng.below(8));
        match rng.below(100) {
            0 if down.is_none() => {
                let node = rng.between(1, 3) as u32;
                world.isolate(node);
                down = Some((node, false));
            }
            1 if down.is_none() => {
                let node = rng.between(1, 3) as u32;
                world.crash(node);
                caches.retain(|cache| cache.node != node);
                down = Some((node, true));
            }
            2..5 => {
                if let Some((node, crashed)) = down.take() {
                    if crashed {
                        world.restart(node);
                        writers[node as usize - 1] = world.connect(node);
                    } else {
                        world.heal();
                    }
                }
            }
            5..50 => {
                let at = rng.below(3) as usize;
                if down != Some((at as u32 + 1, true)) {
                    let value = step.to_string();
                    let words: &[&str] = match rng.below(4) {
                        0 => &["DEL", &key],
                        1 => &["SET", &key, &value, "PX", "20"],
                        _ => &["SET", &key, &value],
                    };
                    world.send(writers[at], &request(words));
                }
            }
            _ => {
                let at = rng.below(caches.len().max(1) as u64) as usize;
                if let Some(cache) = caches.get_mut(at) {
                    cache.ask(&mut world, &key);
                }
            }
        }
        if rng.chance(1, 3) {
            world.pass(Duration::from_millis(rng.below(40)));
        }
        for cache in &mut caches {
            cache.read(&mut world);
        }
    }
    if let Some((node, true)) = down {
        world.restart(node);
    }
    world.heal();
    world.until_ready();
    world.pass(Duration::from_secs(12));
    let judge = world.connect(1);
    let mut kept = 0;
    for cache in &mut caches {
        cache.read(&mut world);
        assert!(cache.asked.is_empty(), "every read was answered");
        for (key, value) in &cache.kept {
            kept += 1;
            let truth = world.call(judge, &format!("GET {key}"));
            let truth = truth.split("\r\n").nth(1).unwrap_or_default();
            assert_eq!(truth, value, "seed {seed}: the cache at node {} is wrong about {key}", cache.node);
        }
    }
    (kept, caches.iter().map(|cache| cache.told).sum())
}

#[test]
fn whatever_a_cache_keeps_is_true_in_the_end() {
    let (mut kept, mut told) = (0, 0);
    for seed in 0..6 {
        let (more, times) = caches_are_true_in_the_end(seed, if seed % 2 == 0 { "" } else { "BCAST" });
        kept += more;
        told += times;
    }
    assert!(kept > 20 && told > 500, "{kept} {told}");
}
