//! A small seeded world: gateways, shards whose logs are replicated, and a network that loses, doubles, delays and reorders. A shard's
//! leader may die, with a part of what was under way, or be deposed and go on talking. What was executed, committed and reverted is
//! written down and judged after every step.

pub mod chaos;
pub mod checker;
pub mod clients;
pub mod shards;
pub mod store;

use base::codec::{Decode, Encode};
use base::{Core, Duration, GroupId, NodeId, Outbox, Rng, SessionId, Time, UnixMillis};
use bytes::Bytes;
use clients::Client;
use shards::SimShard;
use std::collections::{BTreeMap, BTreeSet};
use twophase::bugs::Bugs;
use twophase::gateway::{Effect, Input};
use twophase::{Gateway, GatewayConfig, Operation, Outcome, Party, Reply, Request, TxId};

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn shard(number: u32) -> GroupId {
    GroupId(number)
}

/// What the network and the nodes do.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Messages lost, of a thousand.
    pub lost: u64,
    /// Messages doubled, of a thousand.
    pub doubled: u64,
    /// The longest that a message takes.
    pub delay: Duration,
    /// Proposals that a log doesn't take, of a thousand.
    pub not_proposed: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Request(GroupId, Bytes),
    Reply(Party, Bytes),
    Committed(GroupId, u64),
    NotProposed(GroupId, u64, u64),
    Lead(GroupId),
    WakeShard(GroupId),
    WakeGateway(NodeId),
    Call(usize),
}

/// A message.
#[derive(Clone, Debug)]
pub enum Sent {
    Request(GroupId, Request),
    Reply(Party, Reply),
}

/// Which messages a test holds back.
type Filter = Box<dyn Fn(&Sent) -> bool>;

/// Something that a test does at a certain time.
type Call = Box<dyn FnOnce(&mut World)>;

pub struct World {
    pub now: Time,
    pub rng: Rng,
    pub faults: Faults,
    pub bugs: Bugs,
    pub shards: BTreeMap<GroupId, SimShard>,
    pub gateways: BTreeMap<NodeId, Gateway>,
    starts: BTreeMap<NodeId, u64>,
    pub clients: BTreeMap<u64, Client>,
    events: BTreeMap<(Time, u64), Event>,
    calls: Vec<Option<Call>>,
    next_event: u64,
    next_ticket: u64,
    /// Events that were handled.
    pub steps: u64,
    /// What broke.
    pub broken: Option<String>,
    /// What is broken is told, not panicked about.
    pub tolerant: bool,
    /// What wall clocks would have shown at the beginning.
    pub wall_at_start: u64,
    /// Everything that was sent and not lost, in order.
    pub sent: Vec<(Time, Sent)>,
    /// Shards that no message reaches or leaves.
    pub cut: BTreeSet<GroupId>,
    filters: Vec<Filter>,
    held_back: Vec<Sent>,
    pub configure_shard: fn(&mut twophase::ParticipantConfig),
    pub configure_gateway: fn(&mut GatewayConfig),
}

impl World {
    pub fn new(seed: u64, shards: u32, gateways: u32) -> Self {
        Self::with(seed, shards, gateways, Bugs::default(), |_| {}, |_| {})
    }

    pub fn with(
        seed: u64,
        shards: u32,
        gateways: u32,
        bugs: Bugs,
        configure_shard: fn(&mut twophase::ParticipantConfig),
        configure_gateway: fn(&mut GatewayConfig),
    ) -> Self {
        let mut world = Self {
            now: Time::from_millis(1),
            rng: Rng::new(seed),
            faults: Faults { lost: 0, doubled: 0, delay: ms(2), not_proposed: 0 },
            bugs,
            shards: BTreeMap::new(),
            gateways: BTreeMap::new(),
            starts: BTreeMap::new(),
            clients: BTreeMap::new(),
            events: BTreeMap::new(),
            calls: Vec::new(),
            next_event: 0,
            next_ticket: 0,
            steps: 0,
            broken: None,
            tolerant: false,
            wall_at_start: 1_000_000_000,
            sent: Vec::new(),
            cut: BTreeSet::new(),
            filters: Vec::new(),
            held_back: Vec::new(),
            configure_shard,
            configure_gateway,
        };
        for number in 1..=shards {
            world.shards.insert(shard(number), SimShard::new(bugs));
            world.lead(shard(number));
        }
        for number in 1..=gateways {
            world.start_gateway(NodeId(number));
        }
        world
    }

    /// The wall clock of a node or shard: each is off by a little.
    pub fn wall(&self, of: u32) -> UnixMillis {
        let clock = self.wall_at_start + self.now.as_nanos() / 1_000_000;
        UnixMillis(clock + u64::from(of) * 7)
    }

    pub fn fail(&mut self, what: String) {
        if !self.tolerant {
            let last = self.sent.len().saturating_sub(30);
            for (at, sent) in &self.sent[last..] {
                println!("{:>9} {sent:?}", at.as_nanos() / 1000);
            }
            panic!("{what}\nafter {} steps, at {:?}", self.steps, self.now);
        }
        self.broken.get_or_insert(what);
    }

    // Gateways.

    pub fn start_gateway(&mut self, node: NodeId) {
        let start = self.starts.entry(node).or_default();
        *start += 1;
        let session = SessionId { node, start: *start };
        let mut config = GatewayConfig::new(session);
        config.bugs = self.bugs;
        (self.configure_gateway)(&mut config);
        self.gateways.insert(node, Gateway::new(config));
        let wall = self.wall(node.0);
        self.step_gateway(node, Input::Wall(wall));
        let groups: Vec<GroupId> = self.shards.keys().copied().collect();
        for group in groups {
            self.step_gateway(node, Input::Greet(group));
        }
    }

    /// Its clients never hear of what they wait for.
    pub fn kill_gateway(&mut self, node: NodeId) {
        self.gateways.remove(&node);
    }

    pub fn step_gateway(&mut self, node: NodeId, input: Input) {
        let Some(gateway) = self.gateways.get_mut(&node) else { return };
        let mut out = Outbox::new();
        gateway.step(self.now, input, &mut out);
        gateway.flush(self.now, &mut out);
        gateway.check();
        if let Some(at) = gateway.deadline() {
            self.schedule(at, Event::WakeGateway(node));
        }
        for effect in out.drain() {
            match effect {
                Effect::Request { to, request } => self.send_request(to, &request),
                Effect::Done { ticket, outcome } => self.done(ticket, outcome),
            }
        }
    }

    fn done(&mut self, ticket: u64, outcome: Outcome) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&ticket) else { return };
        let answered_before = client.ended.is_some();
        client.ended = Some(now);
        client.outcome = Some(outcome);
        client.steps = self.steps;
        if answered_before {
            self.fail(format!("client {ticket} was answered twice"));
        }
    }

    pub fn new_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    // The network.

    /// Holds back messages like this from now on.
    pub fn hold(&mut self, filter: impl Fn(&Sent) -> bool + 'static) {
        self.filters.push(Box::new(filter));
    }

    /// Holds nothing back any more, and delivers what was, in order.
    pub fn release(&mut self) {
        self.filters.clear();
        for sent in std::mem::take(&mut self.held_back) {
            self.send(sent);
        }
    }

    /// Takes the first message like this out of what is held back.
    pub fn take_back(&mut self, filter: impl Fn(&Sent) -> bool) -> Option<Sent> {
        let at = self.held_back.iter().position(filter)?;
        Some(self.held_back.remove(at))
    }

    /// Takes all messages like this out of what is held back.
    pub fn take_back_all(&mut self, filter: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        let (taken, left) = std::mem::take(&mut self.held_back).into_iter().partition(filter);
        self.held_back = left;
        taken
    }

    /// Delivers what is held back of this kind, and goes on holding the like.
    pub fn release_only(&mut self, filter: impl Fn(&Sent) -> bool) {
        for sent in self.take_back_all(filter) {
            self.deliver(sent);
        }
    }

    /// What was held back is lost.
    pub fn lose_held_back(&mut self) {
        self.filters.clear();
        self.held_back.clear();
    }

    pub fn send_request(&mut self, to: GroupId, request: &Request) {
        self.send(Sent::Request(to, request.clone()));
    }

    pub fn send_reply(&mut self, to: Party, reply: &Reply) {
        self.send(Sent::Reply(to, reply.clone()));
    }

    fn send(&mut self, sent: Sent) {
        if self.filters.iter().any(|filter| filter(&sent)) {
            return self.held_back.push(sent);
        }
        self.deliver(sent);
    }

    /// Sends a message, whatever is held back.
    pub fn deliver(&mut self, sent: Sent) {
        for at in self.arrivals() {
            self.sent.push((self.now, sent.clone()));
            let event = match &sent {
                Sent::Request(to, request) => Event::Request(*to, request.to_bytes()),
                Sent::Reply(to, reply) => Event::Reply(*to, reply.to_bytes()),
            };
            self.schedule(at, event);
        }
    }

    fn arrivals(&mut self) -> Vec<Time> {
        let count = if self.rng.chance(self.faults.lost, 1000) {
            0
        } else if self.rng.chance(self.faults.doubled, 1000) {
            2
        } else {
            1
        };
        let longest = self.faults.delay.as_nanos() as u64;
        (0..count)
            .map(|copy| {
                // A second copy may be very late.
                let scale = if copy > 0 && self.rng.chance(1, 4) { 300 } else { 1 };
                self.now + Duration::from_nanos(self.rng.between(longest / 10, longest) * scale)
            })
            .collect()
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.next_event += 1;
        self.events.insert((at.max(self.now), self.next_event), event);
    }

    pub fn schedule_commit(&mut self, at: Time, group: GroupId, term: u64) {
        self.schedule(at, Event::Committed(group, term));
    }

    pub fn schedule_not_proposed(&mut self, group: GroupId, term: u64, token: u64) {
        self.schedule(self.now, Event::NotProposed(group, term, token));
    }

    pub fn schedule_lead(&mut self, at: Time, group: GroupId) {
        self.schedule(at, Event::Lead(group));
    }

    pub fn wake_shard(&mut self, at: Time, group: GroupId) {
        self.schedule(at, Event::WakeShard(group));
    }

    /// Has a test do something later.
    pub fn call(&mut self, after: Duration, what: impl FnOnce(&mut World) + 'static) {
        self.calls.push(Some(Box::new(what)));
        let at = self.now + after;
        self.schedule(at, Event::Call(self.calls.len() - 1));
    }

    // Time.

    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step_until(end) {}
        self.now = end;
    }

    /// Runs until something is so.
    pub fn run_until(&mut self, what: &str, longest: Duration, is: impl Fn(&World) -> bool) {
        let end = self.now + longest;
        while !is(self) {
            assert!(self.step_until(end), "{what} isn't so after {longest:?}");
        }
    }

    /// Handles one event that is due before `end`.
    pub fn step_until(&mut self, end: Time) -> bool {
        let Some((&(at, _), _)) = self.events.first_key_value() else { return false };
        if at > end || self.broken.is_some() {
            return false;
        }
        let Some((_, event)) = self.events.pop_first() else { return false };
        self.now = at;
        self.steps += 1;
        match event {
            Event::Request(to, bytes) => {
                let request = Request::from_bytes(bytes).expect("a request reads back");
                if !self.cut.contains(&to) {
                    self.request_arrives(to, request);
                }
            }
            Event::Reply(to, bytes) => {
                let reply = Reply::from_bytes(bytes).expect("an answer reads back");
                match to {
                    _ if self.cut.contains(&reply.from) => {}
                    Party::Gateway(session) if self.starts.get(&session.node) == Some(&session.start) => {
                        self.step_gateway(session.node, Input::Reply(reply));
                    }
                    Party::Gateway(_) => {}
                    Party::Shard(group) => self.reply_arrives(group, reply),
                }
            }
            Event::Committed(group, term) => self.committed(group, term),
            Event::NotProposed(group, term, token) => self.not_proposed(group, term, token),
            Event::Lead(group) => self.lead(group),
            Event::WakeShard(group) => self.shard_wakes(group),
            Event::WakeGateway(node) => {
                let due =
                    self.gateways.get(&node).and_then(Core::deadline).is_some_and(|due| due <= self.now);
                if due {
                    let wall = self.wall(node.0);
                    self.step_gateway(node, Input::Wall(wall));
                }
            }
            Event::Call(at) => {
                if let Some(call) = self.calls[at].take() {
                    call(self);
                }
            }
        }
        true
    }

    /// Nothing is lost any more; all shards have leaders; the network is quick.
    pub fn heal(&mut self) {
        self.release();
        self.faults = Faults { lost: 0, doubled: 0, delay: ms(2), not_proposed: 0 };
        self.cut.clear();
        let groups: Vec<GroupId> = self.shards.keys().copied().collect();
        for group in groups {
            self.shards.get_mut(&group).expect("it is there").has_quorum = true;
            self.forget_deposed(group);
            self.resume(group);
        }
    }

    /// What became of transactions, over all shards.
    pub fn check_atomicity(&mut self) {
        use store::Step;
        let mut outcomes: BTreeMap<TxId, BTreeMap<GroupId, Vec<Step>>> = BTreeMap::new();
        for (group, shard) in &self.shards {
            for (id, step) in &shard.store.journal {
                outcomes.entry(*id).or_default().entry(*group).or_default().push(*step);
            }
        }
        let mut faults = Vec::new();
        for (id, shards) in &outcomes {
            let has = |step| shards.values().any(|steps| steps.contains(&step));
            if has(Step::Committed) && has(Step::Reverted) {
                faults.push(format!("{id:?} was committed here and reverted there: {shards:?}"));
            }
            if shards.values().any(|steps| steps.len() > 2) {
                faults.push(format!("{id:?} was executed twice on a shard: {shards:?}"));
            }
        }
        faults.into_iter().for_each(|fault| self.fail(fault));
    }

    /// Operations that were put into logs so far.
    pub fn logged(&self, is: impl Fn(&Operation) -> bool) -> usize {
        self.shards.values().flat_map(|shard| &shard.logged).filter(|operation| is(operation)).count()
    }
}
