//! Connections between nodes. On one connection frames arrive in order, as over TCP; they are lost only with it, when
//! it breaks. A cut network breaks a connection, or lets what is sent wait until it has healed. A harsh world reorders,
//! repeats and loses frames besides, which no TCP does and the cores must bear.

use super::{Event, MILLI, Program, SECOND, World};
use base::{NodeId, Rng};
use bytes::Bytes;
use node::api::{Input, PeerAddress};
use std::collections::{BTreeMap, VecDeque};

/// All links.
#[derive(Debug)]
pub(super) struct Links {
    hosts: usize,
    harsh: bool,
    pairs: Vec<Link>,
}

/// The way between two hosts; side 0 is the lower one's.
#[derive(Debug, Default)]
struct Link {
    up: Option<Connection>,
    dialing: bool,
    /// How many cuts lie on the way away from each side.
    cuts: [u32; 2],
    /// How long the way usually takes.
    usual: u64,
    /// How much longer it takes at the moment.
    extra: u64,
    /// Until when each side is still busy with what came before.
    clear: [u64; 2],
    /// A side that believes in a connection that is no more: its process and the other's name.
    believes: [Option<(u64, NodeId)>; 2],
}

#[derive(Debug)]
struct Connection {
    name: u64,
    /// The processes at its ends.
    starts: [u64; 2],
    nodes: [NodeId; 2],
    /// Whether each side knows of it.
    known: [bool; 2],
    /// What each side has sent into a cut.
    stuck: [VecDeque<Bytes>; 2],
}

impl Links {
    pub(super) fn new(hosts: usize, harsh: bool, rng: &mut Rng) -> Self {
        let link = |_| Link { usual: rng.between(50, 1_500) * 1_000, ..Link::default() };
        Self { hosts, harsh, pairs: (0..hosts * hosts).map(link).collect() }
    }

    fn pair(&self, a: usize, b: usize) -> usize {
        a.min(b) * self.hosts + a.max(b)
    }

    fn ends(&self, pair: usize) -> [usize; 2] {
        [pair / self.hosts, pair % self.hosts]
    }
}

impl Link {
    fn latency(&self, rng: &mut Rng) -> u64 {
        let usual = self.usual + rng.below(self.usual);
        let tail = if rng.chance(1, 200) { rng.between(1, 40) * MILLI } else { 0 };
        usual + tail + if self.extra > 0 { rng.below(self.extra) } else { 0 }
    }

    fn is_open(&self) -> bool {
        self.cuts == [0, 0]
    }
}

impl<P: Program> World<P> {
    /// Whether nothing lies between two hosts.
    pub(super) fn is_open(&self, a: usize, b: usize) -> bool {
        self.links.pairs[self.links.pair(a, b)].is_open()
    }

    pub(super) fn set_peers(&mut self, host: usize, peers: &[PeerAddress]) {
        let home = |peer: &PeerAddress| {
            let host = self.hosts.iter().position(|host| host.addresses.peer == peer.address)?;
            Some((peer.node, host))
        };
        let wanted: BTreeMap<NodeId, usize> =
            peers.iter().filter_map(home).filter(|(_, other)| *other != host).collect();
        let others: Vec<usize> = wanted.values().copied().collect();
        if let Some(process) = &mut self.hosts[host].process {
            process.wanted = wanted;
        }
        others.into_iter().for_each(|other| self.consider(host, other, 5));
    }

    /// Whether one of the two wants a link with who lives at the other now.
    fn wants(&self, a: usize, b: usize) -> bool {
        let wants = |from: usize, to: usize| {
            let there = &self.hosts[to];
            let wanted = self.hosts[from].process.as_ref().map(|process| &process.wanted);
            there.process.is_some() && wanted.is_some_and(|wanted| wanted.get(&there.node) == Some(&to))
        };
        wants(a, b) || wants(b, a)
    }

    fn consider(&mut self, a: usize, b: usize, within_ms: u64) {
        let pair = self.links.pair(a, b);
        let link = &mut self.links.pairs[pair];
        if link.up.is_none() && !link.dialing {
            link.dialing = true;
            let at = self.now + self.chances.network.between(1, within_ms * 1_000) * 1_000;
            self.queue.plan(at, Event::Dial { pair });
        }
    }

    pub(super) fn dial(&mut self, pair: usize) {
        let [a, b] = self.links.ends(pair);
        self.links.pairs[pair].dialing = false;
        let wanted = self.hosts[a]
            .process
            .as_ref()
            .is_some_and(|process| process.wanted.values().any(|&h| h == b))
            || self.hosts[b].process.as_ref().is_some_and(|process| process.wanted.values().any(|&h| h == a));
        if !wanted || self.links.pairs[pair].up.is_some() {
            return;
        }
        let answers = |host: usize| self.hosts[host].process.is_some() && !self.hosts[host].is_paused();
        if !answers(a) || !answers(b) || !self.wants(a, b) || !self.is_open(a, b) {
            return self.consider(a, b, 100);
        }
        let name = self.name();
        let start = |host: usize| self.hosts[host].process.as_ref().map_or(0, |process| process.start);
        let connection = Connection {
            name,
            starts: [start(a), start(b)],
            nodes: [self.hosts[a].node, self.hosts[b].node],
            known: [false; 2],
            stuck: Default::default(),
        };
        self.links.pairs[pair].up = Some(connection);
        for side in 0..2 {
            // Who still believes in an earlier connection learns now that it is no more.
            self.disabuse(pair, side);
            let link = &mut self.links.pairs[pair];
            let at = (self.now + link.latency(&mut self.chances.network)).max(link.clear[side] + 1);
            link.clear[side] = at;
            self.queue.plan(at, Event::LinkUp { pair, connection: name, side });
        }
    }

    fn disabuse(&mut self, pair: usize, side: usize) {
        let host = self.links.ends(pair)[side];
        let link = &mut self.links.pairs[pair];
        if let Some((start, node)) = link.believes[side].take() {
            let at = self.now.max(link.clear[side] + 1);
            link.clear[side] = at;
            self.queue.plan(at, Event::LinkDown { host, start, node });
        }
    }

    pub(super) fn link_up(&mut self, pair: usize, connection: u64, side: usize) {
        let host = self.links.ends(pair)[side];
        let Some(up) = self.links.pairs[pair].up.as_mut().filter(|up| up.name == connection) else { return };
        let (start, node) = (up.starts[side], up.nodes[1 - side]);
        up.known[side] = true;
        if self.process(host, start).is_some() {
            self.give(host, Input::PeerUp { node });
        }
    }

    pub(super) fn link_down(&mut self, host: usize, start: u64, node: NodeId) {
        if self.process(host, start).is_some() {
            self.give(host, Input::PeerDown { node });
        }
    }

    pub(super) fn send_frame(&mut self, host: usize, to: NodeId, bytes: Bytes) {
        let Some(&other) = self.homes.get(&to) else { return };
        if other == host {
            return;
        }
        let pair = self.links.pair(host, other);
        let side = usize::from(host > other);
        let harsh = self.links.harsh;
        let link = &mut self.links.pairs[pair];
        let cut = link.cuts[side] > 0;
        let Some(up) = link.up.as_mut().filter(|up| up.known[side] && up.nodes[1 - side] == to) else {
            return;
        };
        let connection = up.name;
        if cut {
            return up.stuck[side].push_back(bytes);
        }
        let rng = &mut self.chances.network;
        let latency = link.latency(rng);
        let arrives = (self.now + latency).max(link.clear[1 - side] + 1);
        if harsh && rng.chance(1, 150) {
            return;
        }
        if harsh && rng.chance(1, 60) {
            let late = arrives + rng.below(80) * MILLI;
            let event = Event::Frame { pair, connection, side: 1 - side, bytes: bytes.clone() };
            self.queue.plan(late, event);
        }
        let straggles = harsh && rng.chance(1, 40);
        let at = if straggles { arrives + rng.below(60) * MILLI } else { arrives };
        if !straggles {
            self.links.pairs[pair].clear[1 - side] = arrives;
        }
        self.queue.plan(at, Event::Frame { pair, connection, side: 1 - side, bytes });
    }

    pub(super) fn frame(&mut self, pair: usize, connection: u64, side: usize, bytes: Bytes) {
        let host = self.links.ends(pair)[side];
        let Some(up) = self.links.pairs[pair].up.as_ref().filter(|up| up.name == connection) else { return };
        let (start, from) = (up.starts[side], up.nodes[1 - side]);
        if up.known[side] && self.process(host, start).is_some() {
            self.give(host, Input::Peer { from, bytes });
        }
    }

    /// Breaks the connection of two hosts. Each side is told within so many milliseconds, or never.
    pub(crate) fn break_link(&mut self, a: usize, b: usize, told_within_ms: Option<u64>) {
        let pair = self.links.pair(a, b);
        let Some(up) = self.links.pairs[pair].up.take() else { return };
        for (side, host) in self.links.ends(pair).into_iter().enumerate() {
            let link = &mut self.links.pairs[pair];
            let (start, node) = (up.starts[side], up.nodes[1 - side]);
            match told_within_ms {
                Some(within) => {
                    let delay = self.chances.network.between(1, within * 1_000 + 2) * 1_000;
                    let at = (self.now + delay).max(link.clear[side] + 1);
                    link.clear[side] = at;
                    self.queue.plan(at, Event::LinkDown { host, start, node });
                }
                None => link.believes[side] = Some((start, node)),
            }
        }
        self.consider(a, b, 60);
    }

    pub(super) fn relink(&mut self, host: usize, node: NodeId) {
        let Some(&other) = self.homes.get(&node) else { return };
        if other == host {
            return;
        }
        let (pair, side) = (self.links.pair(host, other), usize::from(host > other));
        let cut = !self.is_open(host, other);
        // Across a cut the other side hears nothing of it.
        self.break_link(host, other, (!cut).then_some(1));
        self.disabuse(pair, side);
        self.consider(host, other, 60);
    }

    /// The process at `host` ended. With `told`, its peers' machines say so; otherwise they believe in it still.
    pub(super) fn host_left(&mut self, host: usize, told: bool) {
        for other in (0..self.hosts.len()).filter(|&other| other != host) {
            let pair = self.links.pair(host, other);
            let tells = told && self.is_open(host, other);
            self.break_link(host, other, tells.then_some(1));
            self.links.pairs[pair].believes[usize::from(host > other)] = None;
        }
    }

    /// Cuts the way from `from` to `to`. With `breaks`, connections break at once; otherwise what is sent waits.
    pub(crate) fn cut(&mut self, from: usize, to: usize, breaks: bool) {
        let pair = self.links.pair(from, to);
        self.links.pairs[pair].cuts[usize::from(from > to)] += 1;
        if breaks {
            self.break_link(from, to, Some(200));
        }
    }

    /// Takes one cut away.
    pub(crate) fn uncut(&mut self, from: usize, to: usize) {
        let pair = self.links.pair(from, to);
        let side = usize::from(from > to);
        let link = &mut self.links.pairs[pair];
        link.cuts[side] = link.cuts[side].saturating_sub(1);
        if link.cuts[side] > 0 {
            return;
        }
        let Some(up) = &mut link.up else { return };
        let connection = up.name;
        let stuck = std::mem::take(&mut up.stuck[side]);
        // The next retransmission brings it over.
        let again = self.now + self.chances.network.between(1, 400) * MILLI;
        for bytes in stuck {
            let at = again.max(link.clear[1 - side] + 1);
            link.clear[1 - side] = at;
            self.queue.plan(at, Event::Frame { pair, connection, side: 1 - side, bytes });
        }
    }

    /// Makes the way between two hosts longer by up to `extra`.
    pub(crate) fn slow_link(&mut self, a: usize, b: usize, extra: u64) {
        let pair = self.links.pair(a, b);
        self.links.pairs[pair].extra = extra;
    }

    pub(super) fn heal_links(&mut self) {
        for pair in 0..self.links.pairs.len() {
            let [a, b] = self.links.ends(pair);
            if a >= b {
                continue;
            }
            self.links.pairs[pair].extra = 0;
            for (from, to) in [(a, b), (b, a)] {
                while self.links.pairs[pair].cuts[usize::from(from > to)] > 0 {
                    self.uncut(from, to);
                }
            }
        }
        debug_assert!(self.now < 3_600 * SECOND, "a world lasts minutes");
    }
}
