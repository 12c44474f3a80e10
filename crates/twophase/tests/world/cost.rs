//! What a transaction costs, counted: entries in logs and messages, not time.

use crate::harness::store::{Action, key};
use crate::harness::{Sent, World, ms, shard};
use std::collections::BTreeMap;
use twophase::{Operation, Outcome, RequestBody};

#[test]
fn a_committed_transaction_costs_one_round_and_one_entry_for_each_shard() {
    for shards in 2..=8 {
        let mut world = World::new(3, shards, 1);
        // The gateway has greeted the shards.
        world.run(ms(10));
        let before = world.sent.len();
        let wish = (1..=shards).map(|n| (shard(n), vec![Action::Append(key("k"), 1)])).collect();
        let client = world.begin(1, wish);
        world.run_until("it is done", ms(100), |world| world.outcome(client).is_some());
        assert!(matches!(world.outcome(client), Some(Outcome::Done(_))));
        // When the client is answered: one request to each, one entry at each, one answer of each, and what follows isn't applied yet.
        let prepares = |sent: &&(base::Time, Sent)| matches!(&sent.1, Sent::Request(_, request) if matches!(request.body, RequestBody::Prepare(_)));
        assert_eq!(world.sent[before..].iter().filter(prepares).count(), shards as usize);
        let replies = world.sent[before..].iter().filter(|sent| matches!(sent.1, Sent::Reply(..))).count();
        assert_eq!(replies, shards as usize);
        assert_eq!(world.logged(|_| true), shards as usize);
        assert_eq!(world.logged(|operation| matches!(operation, Operation::Prepare(_))), shards as usize);
        let counters = world.gateways[&base::NodeId(1)].counters();
        assert_eq!((counters.begun, counters.committed, counters.tried_again), (1, 1, 0));
        // Afterwards one more for each, lazily, and nothing else until it is forgotten.
        world.run(ms(2_000));
        assert_eq!(world.logged(|operation| matches!(operation, Operation::Resolve { .. })), shards as usize);
        assert_eq!(world.logged(|_| true), 2 * shards as usize);
        world.settle_and_judge();
    }
}

#[test]
fn a_read_over_shards_writes_nothing() {
    let mut world = World::new(4, 4, 1);
    let wish = (1..=4).map(|n| (shard(n), vec![Action::Read(key("k"))])).collect();
    let client = world.begin(1, (1..=4).map(|n| (shard(n), vec![Action::Append(key("k"), 1)])).collect());
    world.run(ms(50));
    assert!(world.outcome(client).is_some());
    let before = world.logged(|_| true);
    let reader = world.read(1, wish);
    world.run_until("it has read", ms(20), |world| world.outcome(reader).is_some());
    assert_eq!(world.lists(reader), vec![vec![1]; 4]);
    assert_eq!(world.logged(|_| true), before);
    let reads = world.sent.iter().filter(|sent| {
        matches!(&sent.1, Sent::Request(_, request) if matches!(request.body, RequestBody::Read { .. }))
    });
    assert_eq!(reads.count(), 4, "one round trip");
    world.settle_and_judge();
}

#[test]
fn an_idle_shard_says_nothing() {
    let mut world = World::new(5, 3, 1);
    world.begin(1, (1..=3).map(|n| (shard(n), vec![Action::Append(key("k"), 1)])).collect());
    world.settle_and_judge();
    let (steps, sent) = (world.steps, world.sent.len());
    world.run(ms(3_600_000));
    assert_eq!((world.steps, world.sent.len()), (steps, sent));
}

/// All on one hot key of two shards, a new one as soon as one is answered: how many get through, and who waited longest.
fn throughput(clients: u64, hot: bool) -> (usize, u64) {
    let mut world = World::new(6, 2, 2);
    let mut running: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut value, mut done, mut longest) = (0, 0, 0);
    let end = world.now + ms(10_000);
    for client in 0..clients {
        start(&mut world, &mut running, client, &mut value, hot);
    }
    while world.step_until(end) {
        let answered: Vec<u64> =
            running.keys().copied().filter(|ticket| world.outcome(*ticket).is_some()).collect();
        for ticket in answered {
            let client = running.remove(&ticket).expect("it runs");
            let seen = &world.clients[&ticket];
            assert!(matches!(seen.outcome, Some(Outcome::Done(_))), "{:?}", seen.outcome);
            longest = longest.max(seen.ended.expect("it ended").since(seen.began).as_millis() as u64);
            done += 1;
            start(&mut world, &mut running, client, &mut value, hot);
        }
    }
    world.now = end;
    (done, longest)
}

fn start(world: &mut World, running: &mut BTreeMap<u64, u64>, client: u64, value: &mut u64, hot: bool) {
    *value += 1;
    let name = if hot { key("hot") } else { key(&format!("own{client}")) };
    let gateway = 1 + (client % 2) as u32;
    let actions = vec![Action::Append(name, *value)];
    let ticket = world.begin(gateway, [1, 2].map(|n| (shard(n), actions.clone())).into());
    running.insert(ticket, client);
}

#[test]
fn all_on_one_hot_key_there_is_no_livelock() {
    // One at a time is all that a hot key allows; more who want it must not make it less than a fifth of that.
    let (alone, _) = throughput(1, false);
    let (contended, longest) = throughput(16, true);
    println!("alone {alone}, sixteen on one key {contended}, the longest wait {longest} ms");
    assert!(contended * 5 > alone, "alone {alone}, contended {contended}");
    assert!(longest < 3_500, "somebody waited for {longest} ms");
}
