//! Snapshots on the move: any copy that holds one may serve it, what has come is not fetched again, the old state and the
//! new one are never both in memory, and what rots is mended.

mod common;

use base::{Duration, GroupId, NodeId, ReplicaId};
use common::{Connection, Pieces, World};
use std::collections::BTreeSet;

/// The only shard.
const SHARD: GroupId = GroupId(1);
const KEYS: usize = 120;

/// One node with a snapshot of many small pieces. Its log is so long that no other snapshot comes by itself.
fn founder() -> (World, Connection) {
    let config = node::Config {
        shards: 1,
        log_bytes_max: 12 << 10,
        log_cache_bytes: 1 << 10,
        snapshot_chunk_bytes: 300,
        ..common::config()
    };
    let mut world = World::with(config);
    let client = world.connect(1);
    for key in 0..KEYS {
        assert_eq!(world.call(client, &format!("SET k{key} {}", value(key))), "+OK\r\n");
    }
    world.pass(Duration::from_secs(3));
    let (pieces, files) = (pieces_of(&mut world, 1), files(&mut world, 1));
    assert!(pieces > 30, "{pieces} {files:?}");
    (world, client)
}

fn value(key: usize) -> String {
    format!("{key}{}", "x".repeat(100))
}

fn files(world: &mut World, node: u32) -> Vec<String> {
    let names = world.member(node).disk.names();
    names.into_iter().filter(|name| name.starts_with("snapshot-1-")).collect()
}

/// About how many pieces the newest snapshot on a node's disk has.
fn pieces_of(world: &mut World, node: u32) -> usize {
    let name = files(world, node).pop().expect("a snapshot");
    let content = world.member(node).disk.content(&name).expect("it is there");
    content.windows(8).filter(|window| *window == b"SIHAISNP").count()
}

fn read_all(world: &mut World, node: u32) {
    let client = world.connect(node);
    for key in 0..KEYS {
        let value = value(key);
        assert_eq!(world.call(client, &format!("GET k{key}")), format!("${}\r\n{value}\r\n", value.len()));
    }
}

/// All nodes have applied the same and agree on it.
fn agree(world: &mut World, nodes: &[u32]) {
    world.pass(Duration::from_secs(1));
    let first = world.node(nodes[0]).digests();
    for node in nodes {
        assert_eq!(world.node(*node).digests(), first, "node {node} and node {}", nodes[0]);
    }
}

fn copy_of(world: &World, node: u32) -> Option<ReplicaId> {
    let mut found = None;
    world.node(node).probe(&mut |probe| {
        if probe.group == SHARD {
            found = Some(probe.replica);
        }
    });
    found
}

fn notes(world: &mut World, node: u32, text: &str) -> usize {
    world.member(node).notes.iter().filter(|(_, note)| note.contains(text)).count()
}

fn pieces(world: &mut World) -> &mut Pieces {
    world.pieces.as_mut().expect("they are watched")
}

/// Lets a third node come, and everything on its way end after so many pieces.
fn stopped_after(limit: usize) -> (World, usize) {
    let (mut world, _) = founder();
    let total = pieces_of(&mut world, 1);
    world.join_ready();
    world.pieces = Some(Pieces { limit: Some(limit), ..Pieces::of(SHARD) });
    world.join();
    world.until("some pieces have come", |world| {
        world.pieces.as_ref().is_some_and(|pieces| pieces.given.len() == limit)
    });
    (world, total)
}

#[test]
fn a_few_pieces_are_under_way_at_a_time() {
    let (mut world, _) = founder();
    let total = pieces_of(&mut world, 1);
    world.pieces = Some(Pieces::of(SHARD));
    world.join_ready();
    let pieces = pieces(&mut world);
    assert_eq!(pieces.given.len(), total, "each comes once");
    assert!((2..=4).contains(&pieces.asked_max), "{}", pieces.asked_max);
}

#[test]
fn where_the_sender_is_silent_another_copy_serves() {
    let (mut world, _) = founder();
    world.join_ready();
    world.pieces = Some(Pieces { mute: BTreeSet::from([NodeId(1)]), ..Pieces::of(SHARD) });
    world.join_ready();
    let pieces = pieces(&mut world);
    assert_eq!(pieces.asked[0].1, NodeId(1), "the sender is asked first");
    assert!(pieces.given.iter().all(|(from, to, _)| (from.0, to.0) == (2, 3)), "{:?}", pieces.given);
    agree(&mut world, &[1, 2, 3]);
    read_all(&mut world, 3);
}

#[test]
fn a_copy_that_is_fetching_serves_what_it_has() {
    let (mut world, _) = stopped_after(20);
    let has = pieces(&mut world).given[7].2;
    let wants = (0..).find(|number| pieces(&mut world).given.iter().all(|(_, _, given)| given != number));
    // Those that have the whole snapshot aren't heard, so that it gets no further.
    *pieces(&mut world) = Pieces { mute: BTreeSet::from([NodeId(1), NodeId(2)]), ..Pieces::of(SHARD) };
    for number in [has, wants.expect("a number")] {
        let frame = snapshot_request(&mut world, number);
        world.give(3, node::Input::Peer { from: NodeId(2), bytes: frame });
    }
    world.settle();
    assert_eq!(pieces(&mut world).given, [(NodeId(3), NodeId(2), has)]);
    assert_eq!(pieces(&mut world).denied, [(NodeId(3), NodeId(2), wants.expect("a number"))]);
}

fn snapshot_request(world: &mut World, number: u32) -> bytes::Bytes {
    use base::codec::Encode;
    let name = files(world, 1).pop().expect("a snapshot");
    let parts: Vec<u64> = name.split('-').skip(1).map(|part| part.parse().expect("a number")).collect();
    let name = node::wire::ChunkName {
        group: SHARD,
        index: base::Index(parts[1]),
        term: base::Term(parts[2]),
        number,
    };
    node::wire::PeerMessage::ChunkRequest(name).to_bytes()
}

#[test]
fn a_sender_that_dies_is_replaced_by_another_copy() {
    let (mut world, total) = stopped_after(10);
    world.crash(1);
    *pieces(&mut world) = Pieces::of(SHARD);
    world.until("the rest has come", |world| {
        world.pieces.as_ref().is_some_and(|pieces| pieces.given.len() == total - 10)
    });
    assert!(pieces(&mut world).given.iter().all(|(from, to, _)| (from.0, to.0) == (2, 3)));
    // With nobody who leads, the copy is whole already.
    let shard = |node: u32| world.node(node).digests().last().map(|(group, _, digest)| (*group, *digest));
    assert!(shard(3).is_some() && shard(3) == shard(2));
    world.restart(1);
    world.until_ready();
    agree(&mut world, &[1, 2, 3]);
    read_all(&mut world, 3);
}

#[test]
fn a_broken_link_and_a_new_term_cost_no_piece_that_has_come() {
    let (mut world, total) = stopped_after(20);
    world.isolate(3);
    // Long enough that the fetch is given up, and that the founder leads in another term.
    world.crash(1);
    world.pass(Duration::from_secs(15));
    assert_eq!(notes(&mut world, 3, "fetching a snapshot stopped"), 1);
    world.restart(1);
    world.pass(Duration::from_secs(5));
    *pieces(&mut world) = Pieces::of(SHARD);
    world.heal();
    world.until_ready();
    assert_eq!(pieces(&mut world).given.len(), total - 20);
    assert_eq!(notes(&mut world, 3, &format!("20 of {total} pieces")), 1);
    agree(&mut world, &[1, 2, 3]);
    read_all(&mut world, 3);
}

#[test]
fn a_restart_costs_no_piece_that_has_come() {
    let (mut world, total) = stopped_after(20);
    world.pass(Duration::from_millis(10));
    world.crash(3);
    *pieces(&mut world) = Pieces::of(SHARD);
    world.restart(3);
    world.until_ready();
    assert_eq!(pieces(&mut world).given.len(), total - 20);
    agree(&mut world, &[1, 2, 3]);
    read_all(&mut world, 3);
}

#[test]
fn pieces_that_nobody_asks_for_go_in_the_end() {
    let (mut world, _) = stopped_after(20);
    assert_eq!(files(&mut world, 3).len(), 1);
    world.crash(3);
    world.isolate(3);
    world.restart(3);
    world.pass(Duration::from_secs(30));
    assert_eq!(files(&mut world, 3).len(), 1);
    world.pass(Duration::from_secs(60));
    assert!(files(&mut world, 3).is_empty());
    pieces(&mut world).limit = None;
    world.heal();
    world.until_ready();
    read_all(&mut world, 3);
}

#[test]
fn the_old_state_goes_before_the_new_one_is_loaded() {
    let (mut world, client) = founder();
    world.join_ready();
    world.join_ready();
    // Its log falls behind what the others keep.
    world.isolate(3);
    let keys = world.overview(3).groups[1].own.as_ref().expect("a copy").keys;
    assert!(keys > 0);
    for round in 0..4 {
        for key in 0..KEYS {
            assert_eq!(world.call(client, &format!("SET r{round}k{key} {}", value(key))), "+OK\r\n");
        }
    }
    world.pass(Duration::from_secs(5));
    world.watch = Some((NodeId(3), SHARD, Vec::new()));
    world.heal();
    world.until_ready();
    world.pass(Duration::from_secs(2));
    let (_, _, looks) = world.watch.take().expect("it is watched");
    let empty = looks
        .iter()
        .position(|look| look.keys == 0)
        .unwrap_or_else(|| panic!("the old state stays: {looks:?}"));
    assert!(empty > 0 && looks[empty].applied == looks[empty - 1].applied, "{looks:?}");
    let next = looks[empty + 1];
    assert!(next.keys > keys && next.applied > looks[empty].applied, "it comes as a whole: {looks:?}");
    agree(&mut world, &[1, 2, 3]);
}

#[test]
fn a_power_cut_at_any_moment_costs_nothing() {
    let (mut reached, mut sealed) = (BTreeSet::new(), false);
    for answers in (1..50).step_by(4) {
        let (mut world, total) = stopped_after(20);
        pieces(&mut world).limit = None;
        world.member(3).disk_answers = Some(answers);
        world.pass(Duration::from_millis(600));
        let given = pieces(&mut world).given.len();
        reached.insert(given.min(total));
        let done = world.overview(3).groups.iter().any(|group| {
            let own = group.own.as_ref().filter(|_| group.group == SHARD);
            own.is_some_and(|own| own.keys > 0)
        });
        sealed |= given >= total && !done;
        world.crash(3);
        world.member(3).disk_answers = None;
        world.restart(3);
        world.until_ready();
        agree(&mut world, &[1, 2, 3]);
    }
    assert!(reached.len() > 2 && sealed, "{reached:?} {sealed}");
}

/// Rots a byte of two pieces, or of all but the first, of a node's snapshot of the shard.
fn rot(world: &mut World, node: u32, all: bool) {
    let name = files(world, node).pop().expect("a snapshot");
    let disk = &world.member(node).disk;
    let content = disk.content(&name).expect("it is there");
    let headers = content.windows(8).enumerate().filter(|(_, window)| *window == b"SIHAISNP");
    let bodies: Vec<u64> = headers.map(|(at, _)| at as u64 + 56 + 3).skip(1).collect();
    for offset in &bodies[..if all { bodies.len() } else { 2 }] {
        assert!(disk.rot(&name, *offset, 1));
    }
}

#[test]
fn what_rots_under_a_running_node_comes_from_others_and_is_mended() {
    let (mut world, _) = founder();
    world.join_ready();
    rot(&mut world, 1, false);
    let before = files(&mut world, 1);
    world.pieces = Some(Pieces::of(SHARD));
    world.join_ready();
    world.pass(Duration::from_secs(1));
    assert_eq!(pieces(&mut world).denied.iter().filter(|(from, _, _)| from.0 == 1).count(), 2);
    assert_eq!(notes(&mut world, 1, "it was repaired from node 2"), 2);
    assert_eq!(files(&mut world, 1), before, "it is the same snapshot");
    read_all(&mut world, 3);
    // Alone, it starts from what was mended.
    for node in 1..=3 {
        world.crash(node);
    }
    world.restart(1);
    world.pass(Duration::from_secs(1));
    assert_eq!(notes(&mut world, 1, "can't be trusted"), 0);
    assert!(copy_of(&world, 1).is_some());
}

#[test]
fn what_rots_and_nobody_else_has_is_taken_anew() {
    let (mut world, _) = founder();
    rot(&mut world, 1, true);
    world.join_ready();
    assert_eq!(notes(&mut world, 1, "a new snapshot takes its place"), 1);
    agree(&mut world, &[1, 2]);
    world.crash(1);
    world.restart(1);
    world.until_ready();
    assert_eq!(notes(&mut world, 1, "can't be trusted"), 0);
    read_all(&mut world, 1);
}

#[test]
fn what_rotted_while_a_node_was_down_comes_from_others() {
    for headers in [false, true] {
        let (mut world, _) = founder();
        world.join_ready();
        world.join_ready();
        let before = copy_of(&world, 3);
        world.crash(3);
        if headers {
            let name = files(&mut world, 3).pop().expect("a snapshot");
            assert!(world.member(3).disk.rot(&name, 20, 1), "all behind the first header is lost");
        } else {
            rot(&mut world, 3, true);
        }
        world.isolate(3);
        world.restart(3);
        world.pass(Duration::from_secs(5));
        assert_eq!(copy_of(&world, 3), None, "it takes no part before it is whole");
        world.heal();
        world.until_ready();
        assert_eq!(copy_of(&world, 3), before, "it is the same copy");
        assert!(notes(&mut world, 3, "it was repaired from node") > 30);
        agree(&mut world, &[1, 2, 3]);
        // What came was written down.
        world.crash(3);
        world.member(3).notes.clear();
        world.restart(3);
        world.until_ready();
        assert_eq!(notes(&mut world, 3, "repaired"), 0);
        assert_eq!(copy_of(&world, 3), before);
    }
}

#[test]
fn what_rotted_and_nobody_else_has_makes_a_copy_come_back_as_a_new_one() {
    let (mut world, _) = founder();
    world.join_ready();
    world.join_ready();
    let before = copy_of(&world, 3).expect("a copy");
    world.crash(3);
    for node in 1..=3 {
        rot(&mut world, node, true);
    }
    world.restart(3);
    world.until_ready();
    assert_eq!(notes(&mut world, 3, "can't be trusted"), 1);
    assert!(copy_of(&world, 3).expect("a copy").generation > before.generation);
    agree(&mut world, &[1, 2, 3]);
}
