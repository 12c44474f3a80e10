//! A replica whose peers say anything: it never panics, and its state stays sound. Its own disk and state machine are
//! honest.
#![no_main]

use base::codec::Decode;
use base::{Core, Duration, Index, Membership, Outbox, ReplicaId, Term, Time};
use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use raft::{Body, Config, Effect, Input, Message, Raft, Recovered};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Message { from: u8, term: u8, body: &'a [u8] },
    Raw(&'a [u8]),
    Persist,
    Apply,
    Restored(bool),
    Wait(u16),
    Propose(u8),
    Unreachable(u8),
}

struct World {
    raft: Raft,
    now: Time,
    persists: Vec<u64>,
    to_apply: Option<Index>,
    restores: Vec<Index>,
}

impl World {
    fn input(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.raft.step(self.now, input, &mut out);
        self.raft.check();
        self.raft.flush(self.now, &mut out);
        self.raft.check();
        for effect in out.drain() {
            match effect {
                Effect::Persist { token, .. } => self.persists.push(token),
                Effect::Apply { entries } => self.to_apply = entries.last().map(|entry| entry.index),
                Effect::Restore { index, .. } => self.restores.push(index),
                _ => {}
            }
        }
    }

    fn step(&mut self, step: Step<'_>) {
        let replica = |number: u8| ReplicaId::new(u32::from(number % 4) + 1, u32::from(number / 64) + 1);
        match step {
            Step::Message { from, term, body } => {
                let Ok(body) = Body::from_bytes(Bytes::copy_from_slice(body)) else { return };
                let term = Term(u64::from(term));
                self.input(Input::Message(Message { from: replica(from), to: replica(0), term, body }));
            }
            Step::Raw(bytes) => {
                let Ok(message) = Message::from_bytes(Bytes::copy_from_slice(bytes)) else { return };
                self.input(Input::Message(message));
            }
            Step::Persist => {
                if let Some(token) = self.persists.pop() {
                    self.persists.clear();
                    self.input(Input::Persisted { token });
                }
            }
            Step::Apply => {
                if let Some(index) = self.to_apply.take() {
                    self.input(Input::Applied { index });
                }
            }
            Step::Restored(ok) => {
                if let Some(index) = self.restores.pop() {
                    // What was to be applied before belongs to the state that is replaced.
                    if ok {
                        self.to_apply = None;
                    }
                    let done = Input::SnapshotInstalled { index };
                    self.input(if ok { done } else { Input::SnapshotFailed { index } });
                }
            }
            Step::Wait(ms) => {
                self.now = self.now + Duration::from_millis(u64::from(ms % 2_000));
                let mut out = Outbox::new();
                self.raft.flush(self.now, &mut out);
                self.raft.check();
                for effect in out.drain() {
                    match effect {
                        Effect::Persist { token, .. } => self.persists.push(token),
                        Effect::Apply { entries } => {
                            self.to_apply = entries.last().map(|entry| entry.index);
                        }
                        _ => {}
                    }
                }
            }
            Step::Propose(count) => {
                for _ in 0..count % 4 {
                    let _ = self.raft.propose(Bytes::from_static(b"command"));
                }
            }
            Step::Unreachable(peer) => self.input(Input::Unreachable { peer: replica(peer) }),
        }
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let members = Membership::of_voters([1, 2, 3].map(|node| ReplicaId::new(node, 1)));
    let now = Time::from_millis(1_000);
    let config = Config { append_bytes_max: 60, ..Config::new(ReplicaId::new(1, 1), 1) };
    let raft = Raft::new(config, Recovered::bootstrap(members), now);
    let mut world = World { raft, now, persists: Vec::new(), to_apply: None, restores: Vec::new() };
    world.step(Step::Wait(1_000));
    for step in steps {
        world.step(step);
    }
});
