//! Everything at once, from seeds: what must hold whatever the network, the leaders and the gateways do.

use crate::harness::chaos::chaos;
use std::collections::BTreeMap;
use twophase::Outcome;
use twophase::bugs::Bugs;

#[test]
fn whatever_happens_transactions_are_whole_in_one_order_and_nothing_stays_locked() {
    let mut heard: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..400 {
        let mut world = chaos(seed, Bugs::default());
        world.settle_and_judge();
        for client in world.clients.values() {
            let name = match client.outcome {
                Some(Outcome::Done(_)) => "done",
                Some(Outcome::Unknown) => "unknown",
                Some(Outcome::TryAgain) => "try again",
                Some(_) => "other",
                None => "nothing",
            };
            *heard.entry(name).or_default() += 1;
        }
    }
    println!("{heard:?}");
    assert!(heard["done"] > 6_000, "{heard:?}");
}
