//! A program whose behaviour is known, to test the world and the checkers by: node 1 has the only copy and executes
//! everything, the others forward to it. What it doesn't know it refuses. It loses nothing unless its disk does.

use crate::world::{Probe, Program};
use base::{
    Core, Duration, Entry, GroupId, Index, NodeId, Outbox, Payload, ReplicaId, Term, Time, UnixMillis,
};
use bytes::Bytes;
use node::api::{ClientId, Config, Effect, Input, JoinReply, PeerAddress};
use node::resp::{Limits, Progress, Reader};
use std::collections::{BTreeMap, VecDeque};
use storage::{DiskCompletion, DiskRequest, Identity, Op, Recovery, Token};

const CHIEF: NodeId = NodeId(1);
const CHIEF_ADDRESS: &str = "10.0.0.1:16379";
const GROUP: GroupId = GroupId(1);
const PATIENCE: Duration = Duration::from_millis(4_000);

pub struct Toy {
    me: NodeId,
    cluster: u128,
    data: BTreeMap<Vec<u8>, Vec<u8>>,
    applied: u64,
    durable: u64,
    entries: Vec<Entry>,
    /// Replies that wait for the disk, by the entry that must be durable.
    held: VecDeque<(u64, Asker, Vec<u8>)>,
    clients: BTreeMap<ClientId, Client>,
    asked: BTreeMap<u64, (ClientId, Time)>,
    next: u64,
    linked: bool,
    peers: Vec<PeerAddress>,
    greeted: bool,
}

#[derive(Clone, Copy)]
enum Asker {
    Client(ClientId, u64),
    Node(NodeId, u64),
}

#[derive(Default)]
struct Client {
    input: Vec<u8>,
    replies: VecDeque<(u64, Option<Vec<u8>>)>,
}

impl Toy {
    fn parse(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut reader = Reader::new(Limits::default());
        match reader.next(input) {
            Ok(Progress::Command { consumed }) => {
                Some((reader.args(input).map(<[u8]>::to_vec).collect(), consumed))
            }
            _ => None,
        }
    }

    /// Executes a command; whether it changed anything.
    fn execute(&mut self, words: &[Vec<u8>]) -> (Vec<u8>, bool) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let integer = |number: usize| format!(":{number}\r\n").into_bytes();
        match words[..] {
            [b"GET", key] => (bulk(self.data.get(key).map(Vec::as_slice)), false),
            [b"SET", key, value] => {
                self.data.insert(key.to_vec(), value.to_vec());
                (b"+OK\r\n".to_vec(), true)
            }
            [b"INCR", key] => {
                let old = self.data.get(key).map(|digits| String::from_utf8_lossy(digits).parse::<usize>());
                let new = old.unwrap_or(Ok(0)).unwrap_or(0) + 1;
                self.data.insert(key.to_vec(), new.to_string().into_bytes());
                (integer(new), true)
            }
            [b"APPEND", key, piece] => {
                let value = self.data.entry(key.to_vec()).or_default();
                value.extend_from_slice(piece);
                (integer(value.len()), true)
            }
            [b"MGET", ref keys @ ..] => {
                let values = keys.iter().map(|&key| bulk(self.data.get(key).map(Vec::as_slice)));
                let head = format!("*{}\r\n", keys.len()).into_bytes();
                (values.fold(head, |all, value| [all, value].concat()), false)
            }
            [b"DBSIZE"] => (integer(self.data.len()), false),
            [b"KEYS", _] => (self.keys(), false),
            [b"SCAN", ..] => ([b"*2\r\n$1\r\n0\r\n".to_vec(), self.keys()].concat(), false),
            _ => (b"-TRYAGAIN I am a toy\r\n".to_vec(), false),
        }
    }

    fn keys(&self) -> Vec<u8> {
        let head = format!("*{}\r\n", self.data.len()).into_bytes();
        self.data.keys().fold(head, |all, key| [all, bulk(Some(key))].concat())
    }

    fn run(&mut self, asker: Asker, command: &[u8]) {
        let Some((words, _)) = Self::parse(command) else { return };
        let (reply, changed) = self.execute(&words);
        if changed {
            self.applied += 1;
            let payload = Payload::Command(Bytes::copy_from_slice(command));
            self.entries.push(Entry { term: Term(1), index: Index(self.applied), payload });
        }
        self.held.push_back((self.applied, asker, reply));
    }

    fn received(&mut self, now: Time, client: ClientId, bytes: &[u8], out: &mut Outbox<Effect>) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.input.extend_from_slice(bytes);
        let mut input = std::mem::take(&mut state.input);
        while let Some((_, used)) = Self::parse(&input) {
            let command: Vec<u8> = input.drain(..used).collect();
            self.next += 1;
            let id = self.next;
            self.clients.entry(client).or_default().replies.push_back((id, None));
            if self.me == CHIEF {
                self.run(Asker::Client(client, id), &command);
            } else if self.linked {
                self.asked.insert(id, (client, now + PATIENCE));
                let bytes = [b"?".to_vec(), id.to_le_bytes().to_vec(), command].concat();
                out.push(Effect::Peer { to: CHIEF, bytes: bytes.into() });
            } else {
                self.answer(client, id, b"-NOQUORUM no link\r\n".to_vec(), out);
            }
        }
        self.clients.entry(client).or_default().input = input;
    }

    fn answer(&mut self, client: ClientId, id: u64, reply: Vec<u8>, out: &mut Outbox<Effect>) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        if let Some(place) = state.replies.iter_mut().find(|(other, _)| *other == id) {
            place.1 = Some(reply);
        }
        while let Some((_, Some(reply))) = state.replies.front_mut() {
            out.push(Effect::Send { client, bytes: std::mem::take(reply).into() });
            state.replies.pop_front();
        }
    }

    fn peer(&mut self, from: NodeId, bytes: &Bytes, out: &mut Outbox<Effect>) {
        let Some((head, rest)) = bytes.split_first_chunk::<9>() else { return };
        let id = head[1..].try_into().map_or(0, u64::from_le_bytes);
        if head[0] == b'?' {
            self.run(Asker::Node(from, id), rest);
        } else if let Some((client, _)) = self.asked.remove(&id) {
            self.answer(client, id, rest.to_vec(), out);
        }
    }
}

fn bulk(value: Option<&[u8]>) -> Vec<u8> {
    match value {
        None => b"$-1\r\n".to_vec(),
        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
    }
}

impl Core for Toy {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Outbox<Effect>) {
        match input {
            Input::Connected { client, .. } => drop(self.clients.insert(client, Client::default())),
            Input::Received { client, bytes } => self.received(now, client, &bytes, out),
            Input::Closed { client } => drop(self.clients.remove(&client)),
            Input::PeerUp { node } if node == CHIEF => self.linked = true,
            Input::PeerDown { node } if node == CHIEF => self.linked = false,
            Input::Peer { from, bytes } => self.peer(from, &bytes, out),
            Input::Join { ticket, request } if self.me == CHIEF => {
                let host = request.addresses.peer.split(['.', ':']).nth(3).and_then(|text| text.parse().ok());
                let node = NodeId(host.unwrap_or(0));
                let peers = vec![PeerAddress { node: CHIEF, address: CHIEF_ADDRESS.into() }];
                let reply = JoinReply::Welcome { cluster: self.cluster, node, peers };
                out.push(Effect::JoinReply { ticket, reply });
            }
            Input::Disk(DiskCompletion::Written { token, .. }) => self.durable = token.0,
            Input::Disk(DiskCompletion::Failed { .. }) => out.push(Effect::Fatal("my disk failed".into())),
            Input::Shutdown => out.push(Effect::Stopped),
            _ => {}
        }
    }

    fn flush(&mut self, now: Time, out: &mut Outbox<Effect>) {
        if !std::mem::replace(&mut self.greeted, true) {
            out.push(Effect::Peers(self.peers.clone()));
        }
        if !self.entries.is_empty() {
            let ops = vec![Op::Append { group: GROUP, entries: std::mem::take(&mut self.entries) }];
            out.push(Effect::Disk(DiskRequest::Write { token: Token(self.applied), ops }));
        }
        while let Some((_, asker, reply)) = self.held.pop_front_if(|(needs, _, _)| *needs <= self.durable) {
            match asker {
                Asker::Client(client, id) => self.answer(client, id, reply, out),
                Asker::Node(to, id) => {
                    let bytes = [b"!".to_vec(), id.to_le_bytes().to_vec(), reply].concat();
                    out.push(Effect::Peer { to, bytes: bytes.into() });
                }
            }
        }
        let late: Vec<u64> =
            self.asked.iter().filter(|(_, (_, end))| *end <= now).map(|(&id, _)| id).collect();
        for id in late {
            if let Some((client, _)) = self.asked.remove(&id) {
                self.answer(client, id, b"-UNKNOWN no answer\r\n".to_vec(), out);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.asked.values().map(|(_, end)| *end).min()
    }

    fn check(&self) {
        base::invariant!("durable is applied", self.durable <= self.applied);
    }
}

impl Program for Toy {
    fn found(_: &Config, cluster: u128) -> Vec<Op> {
        let replica = ReplicaId::new(1, 1);
        let mut ops = Self::join(cluster, CHIEF);
        ops.push(Op::CreateReplica { group: GROUP, replica });
        ops
    }

    fn join(cluster: u128, node: NodeId) -> Vec<Op> {
        vec![Op::Identity(Identity { cluster, node, start: 0, settings: Bytes::new() })]
    }

    fn start(_: Config, recovery: Recovery, _: Vec<PeerAddress>, _: Time, _: UnixMillis) -> Self {
        let identity = recovery.identity.expect("a node has an identity");
        let chief = PeerAddress { node: CHIEF, address: CHIEF_ADDRESS.into() };
        let mut toy = Self {
            me: identity.node,
            cluster: identity.cluster,
            data: BTreeMap::new(),
            applied: 0,
            durable: 0,
            entries: Vec::new(),
            held: VecDeque::new(),
            clients: BTreeMap::new(),
            asked: BTreeMap::new(),
            // No answer to an earlier start may be taken for one to this.
            next: identity.start << 32,
            linked: false,
            peers: if identity.node == CHIEF { Vec::new() } else { vec![chief] },
            greeted: false,
        };
        for entry in recovery.groups.get(&GROUP).map_or(&[][..], |group| &group.entries) {
            let Payload::Command(command) = &entry.payload else { continue };
            if let Some((words, _)) = Self::parse(command) {
                toy.execute(&words);
            }
            (toy.applied, toy.durable) = (entry.index.0, entry.index.0);
        }
        toy
    }

    fn probe(&self, visit: &mut dyn FnMut(Probe)) {
        if self.me == CHIEF {
            visit(Probe {
                group: GROUP,
                replica: ReplicaId::new(1, 1),
                term: Term(1),
                leads: true,
                last: Index(self.applied),
                committed: Index(self.applied),
                applied: Index(self.applied),
            });
        }
    }

    fn digests(&self) -> Vec<(GroupId, Index, u64)> {
        Vec::new()
    }

    fn describe(&self, _: Time) -> Vec<String> {
        Vec::new()
    }

    fn not_ready(&self, _: Time) -> Vec<String> {
        if self.me == CHIEF || self.linked { Vec::new() } else { vec!["no link".into()] }
    }
}

mod tests {
    use super::Toy;
    use crate::faults::{Fault, Style};
    use crate::run::{Outcome, plan, run_plan, settings};
    use crate::workload::Parts;
    use crate::world::{Bugs, Settings};

    /// A toy has one copy, so nothing that destroys one may happen to it.
    fn run(seed: u64, bugs: Bugs) -> Outcome {
        // Nor does it know what those do who have a trade.
        let parts = Parts::default();
        let settings = Settings { bugs, parts, harsh: false, style: Style::Mixed, ..settings(seed) };
        let mut plan = plan(&settings);
        plan.retain(|planned| {
            !matches!(
                planned.fault,
                Fault::Rot(..) | Fault::RotTail(_) | Fault::Replace(_) | Fault::RotWhileLeaderIsCutOff(_)
            )
        });
        run_plan::<Toy>(settings, plan)
    }

    #[test]
    fn equal_seeds_give_equal_worlds() {
        let (first, second) = (run(1, Bugs::default()), run(1, Bugs::default()));
        assert_eq!(first.trace, second.trace);
        assert_eq!(first.story, second.story);
        assert_ne!(first.trace, run(2, Bugs::default()).trace);
    }

    #[test]
    fn what_keeps_its_word_is_found_to_keep_it() {
        for seed in 10..20 {
            let outcome = run(seed, Bugs::default());
            assert!(
                outcome.findings.is_empty(),
                "seed {seed}: {}\n{}",
                outcome.findings[0],
                outcome.story.join("\n")
            );
            assert!(outcome.size.answered > 200, "seed {seed}: {}", outcome.size);
        }
    }

    #[test]
    fn acknowledging_before_the_disk_has_it_is_found() {
        let bugs = Bugs { acknowledge_before_fsync: true, ..Bugs::default() };
        let found = (30..50).find(|&seed| !run(seed, bugs).findings.is_empty());
        assert!(found.is_some(), "no seed of twenty found it");
    }
}
