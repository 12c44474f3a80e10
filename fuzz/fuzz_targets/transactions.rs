//! A shard's leader and a gateway whose peers say anything about transactions: they never panic, and what the ledger says stays sound. A
//! snapshot's ledger is taken in only if it can go on.
#![no_main]

use base::codec::{Decode, Encode};
use base::{Core, DatabaseId, Duration, GroupId, NodeId, Outbox, SessionId, Time, UnixMillis};
use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, VecDeque};
use twophase::participant::{self, Participant};
use twophase::{
    Gateway, GatewayConfig, Ledger, Lock, Locks, Mode, Operation, Part, ParticipantConfig, Reply, Request, Shard,
    TxId, gateway,
};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Request(&'a [u8]),
    Reply(&'a [u8]),
    /// What a gateway of this node asks of the shard, and is answered.
    Begin { key: u8, shards: u8 },
    Read { key: u8 },
    Operation(&'a [u8]),
    Ledger(&'a [u8]),
    Apply(u8),
    NotProposed,
    Pass,
    Lead(bool),
    Wait(u16),
}

/// A shard that counts.
struct Counter;

impl Shard for Counter {
    type Undo = u64;

    fn version(&self, _: DatabaseId, key: &[u8]) -> u64 {
        u64::from(key.first().copied().unwrap_or(0) % 2)
    }

    fn is_evicted(&self, session: SessionId) -> bool {
        session.start == 7
    }

    fn execute(&mut self, id: TxId, operations: &Bytes) -> Result<(Bytes, u64), Bytes> {
        if operations.first() == Some(&0) { Err(Bytes::new()) } else { Ok((operations.clone(), id.sequence)) }
    }

    fn commit(&mut self, _: u64) {}

    fn revert(&mut self, _: u64) {}
}

struct World {
    now: Time,
    ledger: Ledger<u64>,
    participant: Participant,
    gateway: Gateway,
    proposed: VecDeque<(u64, Operation)>,
    barriers: VecDeque<u64>,
    ticket: u64,
}

const OWN: GroupId = GroupId(1);

impl World {
    fn shard(&mut self, input: participant::Input) {
        let mut out = Outbox::new();
        self.participant.step(self.now, &self.ledger, input, &mut out);
        self.participant.flush(self.now, &self.ledger, &mut out);
        self.participant.check(&self.ledger);
        for effect in out.drain() {
            match effect {
                participant::Effect::Propose { token, operation } => self.proposed.push_back((token, operation)),
                participant::Effect::Barrier { token } => self.barriers.push_back(token),
                participant::Effect::Reply { reply, .. } => self.client(gateway::Input::Reply(reply)),
                participant::Effect::Request { .. }
                | participant::Effect::Serve { .. }
                | participant::Effect::Freed => {}
            }
        }
    }

    fn client(&mut self, input: gateway::Input) {
        let mut out = Outbox::new();
        self.gateway.step(self.now, input, &mut out);
        self.gateway.flush(self.now, &mut out);
        self.gateway.check();
        let asked: Vec<Request> = out
            .drain()
            .filter_map(|effect| match effect {
                gateway::Effect::Request { to, request } if to == OWN => Some(request),
                _ => None,
            })
            .collect();
        for request in asked {
            self.shard(participant::Input::Request(request));
        }
    }

    fn part(key: u8, mode: Mode) -> Part {
        let lock = Lock { database: DatabaseId(1), key: Some(Bytes::copy_from_slice(&[key % 4])), mode };
        Part { locks: Locks::new([lock]), operations: Bytes::copy_from_slice(&[key]), ..Part::default() }
    }

    fn step(&mut self, step: Step<'_>) {
        let deadline = self.now + Duration::from_millis(5_000);
        match step {
            Step::Request(bytes) => {
                if let Ok(request) = Request::from_bytes(Bytes::copy_from_slice(bytes)) {
                    self.shard(participant::Input::Request(request));
                }
            }
            Step::Reply(bytes) => {
                if let Ok(reply) = Reply::from_bytes(Bytes::copy_from_slice(bytes)) {
                    self.shard(participant::Input::Reply(reply.clone()));
                    self.client(gateway::Input::Reply(reply));
                }
            }
            Step::Begin { key, shards } => {
                self.ticket += 1;
                let groups = (1..=u32::from(shards % 3) + 1).map(GroupId);
                let parts = groups.map(|group| (group, Self::part(key, Mode::Exclusive))).collect();
                self.client(gateway::Input::Begin { ticket: self.ticket, parts, deadline });
            }
            Step::Read { key } => {
                self.ticket += 1;
                let parts = BTreeMap::from([(OWN, Self::part(key, Mode::Shared))]);
                self.client(gateway::Input::Read { ticket: self.ticket, parts, deadline });
            }
            Step::Operation(bytes) => {
                if let Ok(operation) = Operation::from_bytes(Bytes::copy_from_slice(bytes)) {
                    let mut ledger = self.ledger.clone();
                    ledger.apply(operation, &mut Counter);
                    ledger.check();
                }
            }
            Step::Ledger(bytes) => {
                if let Ok(ledger) = Ledger::<u64>::from_bytes(Bytes::copy_from_slice(bytes)) {
                    ledger.check();
                    let again = Ledger::<u64>::from_bytes(ledger.to_bytes()).expect("what was written reads back");
                    assert_eq!(again.to_bytes(), ledger.to_bytes());
                }
            }
            Step::Apply(count) => {
                for _ in 0..=count % 4 {
                    let Some((token, operation)) = self.proposed.pop_front() else { return };
                    let finding = self.ledger.apply(operation, &mut Counter);
                    self.shard(participant::Input::Applied { token, finding });
                }
            }
            Step::NotProposed => {
                if let Some((token, _)) = self.proposed.pop_back() {
                    self.shard(participant::Input::NotProposed { token });
                }
            }
            Step::Pass => {
                if let Some(token) = self.barriers.pop_front() {
                    let lease_until = Some(self.now + Duration::from_millis(50));
                    self.shard(participant::Input::Passed { token, lease_until });
                }
            }
            Step::Lead(leads) => {
                self.proposed.clear();
                self.barriers.clear();
                self.shard(if leads { participant::Input::Lead } else { participant::Input::Follow });
            }
            Step::Wait(ms) => {
                self.now = self.now + Duration::from_millis(u64::from(ms % 4_000));
                let wall = UnixMillis(1_000_000 + self.now.as_nanos() / 1_000_000);
                self.shard(participant::Input::Wall(wall));
                self.client(gateway::Input::Wall(wall));
            }
        }
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let session = SessionId { node: NodeId(1), start: 1 };
    let mut world = World {
        now: Time::from_millis(1),
        ledger: Ledger::default(),
        participant: Participant::new(ParticipantConfig::new(OWN)),
        gateway: Gateway::new(GatewayConfig::new(session)),
        proposed: VecDeque::new(),
        barriers: VecDeque::new(),
        ticket: 0,
    };
    world.step(Step::Wait(1));
    world.step(Step::Lead(true));
    for step in steps {
        world.step(step);
    }
});
