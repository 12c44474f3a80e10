//! A world for whole nodes: instant links, disks in memory, a clock that the test moves. Everything happens in the order
//! in which it was asked for, so a test is the same on every run.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use base::codec::{Decode, Decoder, Encode};
use base::{Core, Duration, GroupId, Index, NodeId, Outbox, Rng, Time, UnixMillis};
use bytes::Bytes;
use node::api::{Addresses, ClientId, JoinReply, JoinRequest, Level, PeerAddress};
use node::wire::PeerMessage;
use node::{Config, Effect, Input, Node};
use std::collections::{BTreeMap, BTreeSet};
use storage::memory::MemoryDisk;
use storage::{DiskRequest, Options, Store};

/// When the world begins, in Unix milliseconds.
pub const WALL: u64 = 1_700_000_000_000;
/// A world that needs more rounds than this to come to rest never does.
const ROUNDS_MAX: usize = 100_000;

/// A connection to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    node: NodeId,
    id: ClientId,
}

impl Connection {
    /// Its name at its node.
    pub fn id(&self) -> ClientId {
        self.id
    }
}

/// What a client has seen of its connection.
#[derive(Debug, Default)]
pub struct Seen {
    /// What arrived and was not taken.
    pub bytes: Vec<u8>,
    /// Whether the node hung up.
    pub closed: bool,
    /// Whether the node stopped reading.
    pub paused: bool,
}

/// What a node wants to say to another server.
#[derive(Debug)]
pub struct Move {
    /// Its name.
    pub job: u64,
    /// The other server.
    pub address: String,
    /// The requests.
    pub bytes: Bytes,
    /// How many answers they have.
    pub replies: usize,
}

/// One node and what surrounds it.
#[derive(Debug)]
pub struct Member {
    /// `None` while it is down.
    pub node: Option<Node>,
    /// Its disk.
    pub disk: MemoryDisk,
    /// Whether its disk answers.
    pub disk_hangs: bool,
    /// How often its disk answers before it hangs, if that is bounded.
    pub disk_answers: Option<u32>,
    /// Whether its process stands still; what comes for it waits.
    pub paused: bool,
    /// How far its wall clock is ahead of the others'.
    pub clock_ahead_ms: u64,
    /// What it noted.
    pub notes: Vec<(Level, String)>,
    /// Whether it said that it may be stopped.
    pub stopped: bool,
    /// What it wants to say to other servers.
    pub moves: Vec<Move>,
    store: Option<Store<MemoryDisk>>,
    config: Config,
    inbox: Vec<Input>,
    disk_queue: Vec<DiskRequest>,
    bench: node::scripts::Bench,
    wanted: Vec<PeerAddress>,
    clients: BTreeMap<ClientId, Seen>,
}

/// The pieces of one group's snapshots on their way, and which of them are lost.
#[derive(Debug, Default)]
pub struct Pieces {
    /// The group.
    pub group: GroupId,
    /// Who asked whom for which.
    pub asked: Vec<(NodeId, NodeId, u32)>,
    /// Who gave whom which.
    pub given: Vec<(NodeId, NodeId, u32)>,
    /// Who said to whom that it hasn't it.
    pub denied: Vec<(NodeId, NodeId, u32)>,
    /// What these nodes give gets lost.
    pub mute: BTreeSet<NodeId>,
    /// Once so many were given, all others get lost.
    pub limit: Option<usize>,
    /// The most that a node had asked for and not been given.
    pub asked_max: usize,
    /// Who waits for which.
    pub open: BTreeSet<(NodeId, u32)>,
}

/// How a node's copy of the watched group looked after one of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How many keys it has in memory.
    pub keys: u64,
    /// How far it says to have come.
    pub applied: Index,
}

/// All nodes, and time.
#[derive(Debug)]
pub struct World {
    /// What is done with the pieces of snapshots, if they are watched.
    pub pieces: Option<Pieces>,
    /// How this node's copy of this group looked whenever that changed.
    pub watch: Option<(NodeId, GroupId, Vec<Look>)>,
    /// The monotonic clock of all.
    pub now: Time,
    members: BTreeMap<NodeId, Member>,
    links: BTreeSet<(NodeId, NodeId)>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    welcomes: BTreeMap<u64, JoinReply>,
    next_client: u64,
    next_ticket: u64,
    next_wall: Time,
    rng: Rng,
}

fn addresses(number: u64) -> Addresses {
    Addresses {
        client: format!("10.0.0.{number}:6379"),
        peer: format!("10.0.0.{number}:16379"),
        http: format!("10.0.0.{number}:8379"),
    }
}

fn open(disk: &MemoryDisk, salt: u32) -> (Store<MemoryDisk>, storage::Recovery) {
    let options = Options { segment_bytes: 256 << 10, salt, snapshot_sync_bytes: 256 };
    Store::open(vec![disk.handle()], options).expect("the store opens")
}

/// Both ends of a link, in order.
fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

/// A request as clients send it.
pub fn request(words: &[&str]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    request_of(&words)
}

/// A request with words of any bytes.
pub fn request_of(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A small configuration.
pub fn config() -> Config {
    Config { shards: 4, seed: 7, ..Config::default() }
}

impl Pieces {
    /// Watches the pieces of this group.
    pub fn of(group: GroupId) -> Self {
        Self { group, ..Self::default() }
    }

    /// What is left of a frame.
    fn pass(&mut self, from: NodeId, to: NodeId, frame: Bytes) -> Bytes {
        let (mut decoder, mut rest) = (Decoder::new(frame), Vec::new());
        while !decoder.is_empty() {
            let message = PeerMessage::decode(&mut decoder).expect("a node's frame can be read");
            if self.passes(from, to, &message) {
                rest.extend_from_slice(&message.to_bytes());
            }
        }
        rest.into()
    }

    fn passes(&mut self, from: NodeId, to: NodeId, message: &PeerMessage) -> bool {
        match message {
            PeerMessage::ChunkRequest(name) if name.group == self.group => {
                self.asked.push((from, to, name.number));
                self.open.insert((from, name.number));
                self.asked_max =
                    self.asked_max.max(self.open.iter().filter(|(node, _)| *node == from).count());
            }
            PeerMessage::Chunk { name, bytes } if name.group == self.group => {
                if self.mute.contains(&from) || self.limit.is_some_and(|limit| self.given.len() >= limit) {
                    return false;
                }
                if bytes.is_some() {
                    self.given.push((from, to, name.number));
                    self.open.remove(&(to, name.number));
                } else {
                    self.denied.push((from, to, name.number));
                }
            }
            _ => {}
        }
        true
    }
}

impl World {
    /// A cluster of one node, not yet started far enough to serve.
    pub fn new(config: Config) -> Self {
        let mut world = Self {
            pieces: None,
            watch: None,
            now: Time::from_millis(1_000),
            members: BTreeMap::new(),
            links: BTreeSet::new(),
            cuts: BTreeSet::new(),
            welcomes: BTreeMap::new(),
            next_client: 0,
            next_ticket: 0,
            next_wall: Time::ZERO,
            rng: Rng::new(config.seed),
        };
        let config = Config { addresses: addresses(1), ..config };
        let disk = MemoryDisk::new("node 1");
        let (mut store, _) = open(&disk, 1);
        store.write(&Node::found(&config, 0xabc)).expect("an empty disk takes the first operations");
        drop(store);
        world.add(NodeId(1), disk, config, Vec::new());
        world
    }

    /// A cluster of one node that serves.
    pub fn single() -> Self {
        Self::with(config())
    }

    /// A cluster of one node of this configuration that serves.
    pub fn with(config: Config) -> Self {
        let mut world = Self::new(config);
        world.until("the node serves", |world| !world.overview(1).loading);
        world
    }

    /// A cluster of so many nodes, with all copies where they should be.
    pub fn cluster(nodes: u64) -> Self {
        Self::cluster_with(nodes, config())
    }

    /// As [`World::cluster`], of this configuration.
    pub fn cluster_with(nodes: u64, config: Config) -> Self {
        let mut world = Self::with(config);
        for _ in 1..nodes {
            world.join();
        }
        world.until_ready();
        world
    }

    fn add(&mut self, id: NodeId, disk: MemoryDisk, config: Config, peers: Vec<PeerAddress>) {
        let member = Member {
            node: None,
            disk,
            disk_hangs: false,
            disk_answers: None,
            paused: false,
            clock_ahead_ms: 0,
            notes: Vec::new(),
            stopped: false,
            moves: Vec::new(),
            store: None,
            config,
            inbox: Vec::new(),
            bench: node::scripts::Bench::default(),
            disk_queue: Vec::new(),
            wanted: Vec::new(),
            clients: BTreeMap::new(),
        };
        self.members.insert(id, member);
        self.start(id.0, peers);
    }

    fn start(&mut self, node: u32, peers: Vec<PeerAddress>) {
        let (now, wall) = (self.now, self.wall());
        let salt = self.rng.next_u64() as u32;
        let member = self.member(node);
        let (store, recovery) = open(&member.disk, salt);
        member.store = Some(store);
        member.stopped = false;
        member.node = Some(Node::new(member.config.clone(), recovery, peers, now, wall));
        member.inbox.push(Input::WallClock(wall));
    }

    /// A further node asks node 1 to be taken in, starts, and has all its copies once this answers its number.
    pub fn join_ready(&mut self) -> u32 {
        let number = self.join();
        self.until_ready();
        number
    }

    /// A further node asks node 1 to be taken in, and starts; answers its number.
    pub fn join(&mut self) -> u32 {
        let number = self.members.len() as u64 + 1;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let request = JoinRequest { nonce: u128::from(number), addresses: addresses(number) };
        self.member(1).inbox.push(Input::Join { ticket, request });
        self.until("the newcomer is welcome", |world| world.welcomes.contains_key(&ticket));
        let Some(JoinReply::Welcome { cluster, node, peers }) = self.welcomes.remove(&ticket) else {
            panic!("the newcomer was refused");
        };
        let disk = MemoryDisk::new(format!("node {}", node.0));
        let (mut store, _) = open(&disk, 1);
        store.write(&Node::join(cluster, node)).expect("an empty disk takes the first operations");
        drop(store);
        let config = Config { addresses: addresses(number), ..self.member(1).config.clone() };
        self.add(node, disk, config, peers);
        node.0
    }

    /// The power of a node fails: what its disk had not synced may be lost, whole or in part.
    pub fn crash(&mut self, node: u32) {
        let id = NodeId(node);
        let member = self.members.get_mut(&id).expect("a member");
        member.node = None;
        member.store = None;
        member.inbox.clear();
        member.disk_queue.clear();
        member.disk_hangs = false;
        member.wanted.clear();
        member.disk.crash(&mut self.rng);
        for seen in member.clients.values_mut() {
            seen.closed = true;
        }
        self.relink();
    }

    /// A crashed node comes back.
    pub fn restart(&mut self, node: u32) {
        self.start(node, Vec::new());
    }

    /// Cuts a node off from all others.
    pub fn isolate(&mut self, node: u32) {
        let id = NodeId(node);
        self.cuts = self.members.keys().filter(|other| **other != id).map(|other| pair(id, *other)).collect();
        self.relink();
    }

    /// All links work again.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.relink();
    }

    /// A node and what surrounds it.
    pub fn member(&mut self, node: u32) -> &mut Member {
        self.members.get_mut(&NodeId(node)).expect("a member")
    }

    /// Whether a node has said that it may be stopped.
    pub fn is_stopped(&self, node: u32) -> bool {
        self.members[&NodeId(node)].stopped
    }

    /// The running node.
    pub fn node(&self, node: u32) -> &Node {
        self.members[&NodeId(node)].node.as_ref().expect("the node is up")
    }

    /// What a node knows.
    pub fn overview(&self, node: u32) -> node::overview::Overview {
        self.node(node).overview(self.now)
    }

    /// The wall clock of all.
    pub fn wall(&self) -> UnixMillis {
        UnixMillis(WALL + self.now.as_nanos() / 1_000_000)
    }

    /// Gives a node something to do at the next chance.
    pub fn give(&mut self, node: u32, input: Input) {
        self.member(node).inbox.push(input);
    }

    // Clients.

    /// A client of this machine connects.
    pub fn connect(&mut self, node: u32) -> Connection {
        self.connect_from(node, true)
    }

    /// A client connects, from this machine or elsewhere.
    pub fn connect_from(&mut self, node: u32, loopback: bool) -> Connection {
        self.next_client += 1;
        let id = ClientId(self.next_client);
        let address = format!("127.0.0.1:{}", 50_000 + id.0);
        let member = self.member(node);
        member.clients.insert(id, Seen::default());
        member.inbox.push(Input::Connected { client: id, address, loopback });
        self.settle();
        Connection { node: NodeId(node), id }
    }

    /// A client sends bytes; nothing is done yet.
    pub fn send(&mut self, to: Connection, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.member(to.node.0).inbox.push(Input::Received { client: to.id, bytes });
    }

    /// A client sends no more.
    pub fn finish(&mut self, of: Connection) {
        self.member(of.node.0).inbox.push(Input::Finished { client: of.id });
        self.settle();
    }

    /// What a client has seen.
    pub fn seen(&mut self, of: Connection) -> &mut Seen {
        self.member(of.node.0).clients.get_mut(&of.id).expect("a client")
    }

    /// What arrived at a client since the last time.
    pub fn take(&mut self, of: Connection) -> String {
        let bytes = std::mem::take(&mut self.seen(of).bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends bytes and answers what comes back without time passing.
    pub fn talk(&mut self, to: Connection, bytes: &[u8]) -> String {
        self.send(to, bytes);
        self.settle();
        self.take(to)
    }

    /// Sends one command, its words parted by spaces, and answers its reply, waiting for it.
    pub fn call(&mut self, to: Connection, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        self.call_words(to, &words)
    }

    /// Sends one command and answers its reply, waiting for it.
    pub fn call_words(&mut self, to: Connection, words: &[&str]) -> String {
        self.send(to, &request(words));
        self.until(words[0], |world| {
            let seen = &world.members[&to.node].clients[&to.id];
            seen.closed || !seen.bytes.is_empty()
        });
        self.take(to)
    }

    /// Waits until a client is hung up on.
    pub fn until_closed(&mut self, of: Connection) {
        self.until("it is hung up on", |world| world.members[&of.node].clients[&of.id].closed);
    }

    // Time.

    /// Waits until something is so, a minute at most.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&World) -> bool) {
        let limit = self.now + Duration::from_secs(60);
        self.settle();
        while !done(self) {
            assert!(self.now < limit, "{what} didn't come to pass within a minute");
            self.advance(limit);
        }
    }

    /// Waits until every node says that it is ready.
    pub fn until_ready(&mut self) {
        self.until("all nodes are ready", |world| {
            world
                .members
                .values()
                .filter_map(|member| member.node.as_ref())
                .all(|node| node.overview(world.now).ready)
        });
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while self.now < end {
            self.advance(end);
        }
    }

    /// To the next moment at which something happens by itself, or to `end`.
    fn advance(&mut self, end: Time) {
        let running =
            self.members.values().filter(|member| !member.paused).filter_map(|member| member.node.as_ref());
        let next = running.filter_map(Node::deadline).min().unwrap_or(end);
        self.now =
            next.clamp(self.now + Duration::from_micros(1), end.max(self.now + Duration::from_micros(1)));
        if self.now >= self.next_wall {
            self.next_wall = self.now + Duration::from_secs(1);
            let wall = self.wall();
            for member in self.members.values_mut().filter(|member| member.node.is_some()) {
                member.inbox.push(Input::WallClock(wall.plus(member.clock_ahead_ms)));
            }
        }
        self.settle();
    }

    /// Everything that can happen without time passing.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if !self.round() {
                return;
            }
        }
        panic!("the world doesn't come to rest at {:?}: some node's deadline stays in the past", self.now);
    }

    fn round(&mut self) -> bool {
        let ids: Vec<NodeId> = self.members.keys().copied().collect();
        let mut busy = false;
        for id in ids {
            busy |= self.step(id);
        }
        busy
    }

    fn step(&mut self, id: NodeId) -> bool {
        let now = self.now;
        let member = self.members.get_mut(&id).expect("a member");
        let Some(node) = &mut member.node else {
            member.inbox.clear();
            return false;
        };
        if member.paused {
            return false;
        }
        if member.inbox.is_empty() && node.deadline().is_none_or(|at| at > now) {
            return false;
        }
        let mut out = Outbox::new();
        for input in member.inbox.drain(..) {
            node.step(now, input, &mut out);
            node.check();
        }
        node.flush(now, &mut out);
        node.check();
        let mut relink = false;
        if let Some((watched, group, looks)) = &mut self.watch
            && *watched == id
            && let Some(own) =
                node.overview(now).groups.get(group.0 as usize).and_then(|group| group.own.as_ref())
        {
            let look = Look { keys: own.keys, applied: own.applied };
            if looks.last() != Some(&look) {
                looks.push(look);
            }
        }
        for effect in out.drain() {
            relink |= self.carry_out(id, effect);
        }
        self.serve_disk(id);
        if relink {
            self.relink();
        }
        true
    }

    fn serve_disk(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member");
        if member.disk_hangs || member.disk_queue.is_empty() {
            return;
        }
        if let Some(answers) = &mut member.disk_answers {
            let Some(left) = answers.checked_sub(1) else { return };
            *answers = left;
        }
        let batch = std::mem::take(&mut member.disk_queue);
        let mut answers = Vec::new();
        member.store.as_mut().expect("a running node has a store").serve(batch, &mut answers);
        member.inbox.extend(answers.into_iter().map(Input::Disk));
    }

    /// Lets a disk that hung answer.
    pub fn unhang(&mut self, node: u32) {
        self.member(node).disk_hangs = false;
        self.serve_disk(NodeId(node));
        self.settle();
    }

    /// Whether links must be looked at.
    fn carry_out(&mut self, id: NodeId, effect: Effect) -> bool {
        let linked = |to| self.links.contains(&pair(id, to));
        let member = self.members.get_mut(&id).expect("a member");
        match effect {
            Effect::Send { client, bytes } => {
                if let Some(seen) = member.clients.get_mut(&client).filter(|seen| !seen.closed) {
                    seen.bytes.extend_from_slice(&bytes);
                }
            }
            Effect::Close { client } => {
                if let Some(seen) = member.clients.get_mut(&client).filter(|seen| !seen.closed) {
                    seen.closed = true;
                    member.inbox.push(Input::Closed { client });
                }
            }
            Effect::Reading { client, on } => {
                if let Some(seen) = member.clients.get_mut(&client) {
                    seen.paused = !on;
                }
            }
            Effect::Peer { to, bytes } => {
                let bytes = match &mut self.pieces {
                    Some(pieces) if linked(to) => pieces.pass(id, to, bytes),
                    _ => bytes,
                };
                if linked(to)
                    && let Some(peer) = self.members.get_mut(&to)
                {
                    peer.inbox.push(Input::Peer { from: id, bytes });
                }
            }
            Effect::Peers(peers) => {
                member.wanted = peers;
                return true;
            }
            Effect::Relink { node } => {
                self.unlink(id, node);
                return true;
            }
            Effect::JoinReply { ticket, reply } => {
                self.welcomes.insert(ticket, reply);
            }
            Effect::Disk(request) => member.disk_queue.push(request),
            Effect::Migrate { job, address, bytes, replies, .. } => {
                member.moves.push(Move { job, address, bytes, replies });
            }
            Effect::Work(mut work) => {
                work.carry_out(&mut member.bench);
                member.inbox.push(Input::Worked(work));
            }
            Effect::Note(level, text) => member.notes.push((level, text)),
            Effect::Stopped => member.stopped = true,
            Effect::Fatal(why) => panic!("node {id} can't go on: {why}"),
        }
        false
    }

    // Links.

    fn unlink(&mut self, a: NodeId, b: NodeId) {
        if !self.links.remove(&pair(a, b)) {
            return;
        }
        for (one, other) in [(a, b), (b, a)] {
            if let Some(member) = self.members.get_mut(&one).filter(|member| member.node.is_some()) {
                member.inbox.retain(|input| !matches!(input, Input::Peer { from, .. } if *from == other));
                member.inbox.push(Input::PeerDown { node: other });
            }
        }
    }

    /// Makes the links that should be, and breaks the others.
    fn relink(&mut self) {
        let up: BTreeSet<NodeId> =
            self.members.iter().filter(|(_, member)| member.node.is_some()).map(|(id, _)| *id).collect();
        let mut wanted = BTreeSet::new();
        for (id, member) in self.members.iter().filter(|(id, _)| up.contains(id)) {
            for peer in member.wanted.iter().filter(|peer| up.contains(&peer.node)) {
                wanted.insert(pair(*id, peer.node));
            }
        }
        let wanted: BTreeSet<_> = wanted.difference(&self.cuts).copied().collect();
        let broken: Vec<_> = self.links.difference(&wanted).copied().collect();
        for (a, b) in broken {
            self.unlink(a, b);
        }
        for (a, b) in wanted {
            if self.links.insert((a, b)) {
                self.member(a.0).inbox.push(Input::PeerUp { node: b });
                self.member(b.0).inbox.push(Input::PeerUp { node: a });
            }
        }
    }
}
