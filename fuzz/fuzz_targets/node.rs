//! A whole node, to which a client and a member say anything: it never panics and keeps every invariant, and an honest
//! client beside them is answered.
#![no_main]

#[path = "../../crates/node/tests/common/mod.rs"]
mod common;

use base::{Duration, NodeId};
use bytes::Bytes;
use common::{World, config, request_of};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use node::Input;
use node::api::{Addresses, JoinRequest};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Raw(&'a [u8]),
    Command(Vec<&'a [u8]>),
    Peer(&'a [u8]),
    Wait(u16),
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut world = World::with(node::Config { shards: 1, ..config() });
    let addresses = Addresses { client: "b:1".into(), peer: "b:2".into(), http: "b:3".into() };
    world.give(1, Input::Join { ticket: 1, request: JoinRequest { nonce: 2, addresses } });
    world.settle();
    world.give(1, Input::PeerUp { node: NodeId(2) });
    let strange = world.connect(1);
    for step in steps.iter().take(64) {
        match step {
            Step::Raw(bytes) => drop(world.talk(strange, bytes)),
            Step::Command(words) => drop(world.talk(strange, &request_of(words))),
            Step::Peer(bytes) => {
                world.give(1, Input::Peer { from: NodeId(2), bytes: Bytes::copy_from_slice(bytes) });
                world.settle();
            }
            Step::Wait(ms) => world.pass(Duration::from_millis(u64::from(ms % 1_000))),
        }
    }
    let honest = world.connect(1);
    assert!(!world.talk(honest, b"PING\r\n").is_empty());
});
