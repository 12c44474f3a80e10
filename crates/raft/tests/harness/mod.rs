//! A small seeded world for one group: replicas with disks that take their time and can crash, a network that loses,
//! doubles, delays and is cut, and clocks that run at different speeds. After every step it checks what Raft promises;
//! every check names the promise that broke.
#![allow(dead_code, reason = "every test file uses its own part of the harness")]

pub mod trouble;

use base::{Core, Entry, HardState, Index, Membership, Outbox, Payload, ReplicaId, Rng, Term};
use base::{Duration, Time};
use bytes::Bytes;
use raft::{Config, DoubtfulTail, Effect, Input, Message, Raft, Recovered, Role};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn replica(node: u32) -> ReplicaId {
    ReplicaId::new(node, 1)
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub hard_state: HardState,
    pub snapshot: Snapshot,
    pub entries: Vec<Entry>,
    /// What the last write that is done appended, for rot.
    pub last_batch: Vec<Entry>,
}

/// A state machine's state as of an entry: a digest of everything applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub index: Index,
    pub term: Term,
    pub membership: Membership,
    pub digest: u64,
}

struct Write {
    token: u64,
    hard_state: Option<HardState>,
    entries: Vec<Entry>,
    due: Time,
}

pub struct Node {
    pub raft: Option<Raft>,
    pub disk: Disk,
    pub config: Config,
    writes: VecDeque<Write>,
    /// Its clock runs at this many millionths of the world's.
    pub clock_speed: u64,
    pub is_paused: bool,
    pub disk_delay: Duration,
    pub is_disk_hung: bool,
    digest: u64,
    applied: Index,
    inbox: Vec<Input>,
    pub roles: Vec<(Role, Term, Option<ReplicaId>)>,
    pub reads: Vec<(u64, Option<Index>)>,
    pub persists: u64,
    pub is_tail_settled: bool,
    wake: Option<Time>,
}

#[derive(Debug)]
enum Event {
    Input(ReplicaId, u64, Box<Input>),
    Wake(ReplicaId),
    Disk(ReplicaId),
}

/// The world.
pub struct World {
    pub now: Time,
    pub rng: Rng,
    pub nodes: BTreeMap<ReplicaId, Node>,
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    /// Starts of nodes, so that what was under way for an earlier start is lost.
    starts: BTreeMap<ReplicaId, u64>,
    pub cuts: BTreeSet<(ReplicaId, ReplicaId)>,
    pub loss_permille: u64,
    pub double_permille: u64,
    pub delay_max: Duration,
    /// Every entry that was ever committed.
    pub committed: BTreeMap<Index, Entry>,
    /// The term of whoever knew first that it was.
    committed_in: BTreeMap<Index, Term>,
    pub commit_max: Index,
    pub leaders: BTreeMap<Term, ReplicaId>,
    digests: BTreeMap<Index, u64>,
    pub snapshot_every: u64,
    pub is_restore_failing: bool,
    pub trace: u64,
}

impl World {
    /// A group of voters on nodes 1 to `count`.
    pub fn new(seed: u64, count: u32) -> Self {
        Self::with_config(seed, count, |_| {})
    }

    pub fn with_config(seed: u64, count: u32, adjust: impl Fn(&mut Config)) -> Self {
        let mut world = Self {
            now: Time::from_millis(1_000),
            rng: Rng::new(seed),
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            starts: BTreeMap::new(),
            cuts: BTreeSet::new(),
            loss_permille: 0,
            double_permille: 0,
            delay_max: ms(2),
            committed: BTreeMap::new(),
            committed_in: BTreeMap::new(),
            commit_max: Index(1),
            leaders: BTreeMap::new(),
            digests: BTreeMap::new(),
            snapshot_every: u64::MAX,
            is_restore_failing: false,
            trace: 0,
        };
        let members = Membership::of_voters((1..=count).map(replica));
        for id in members.voters.clone() {
            let mut config = Config::new(id, 0);
            adjust(&mut config);
            world.add(id, config, Recovered::bootstrap(members.clone()));
        }
        world
    }

    /// Adds a replica and starts it.
    pub fn add(&mut self, id: ReplicaId, config: Config, recovered: Recovered) {
        let disk = Disk {
            hard_state: recovered.hard_state,
            snapshot: Snapshot {
                index: recovered.snapshot_index,
                term: recovered.snapshot_term,
                membership: recovered.membership.clone(),
                digest: 0,
            },
            entries: recovered.entries.clone(),
            last_batch: Vec::new(),
        };
        let node = Node {
            raft: None,
            disk,
            config,
            writes: VecDeque::new(),
            clock_speed: 1_000_000,
            is_paused: false,
            disk_delay: ms(1),
            is_disk_hung: false,
            digest: 0,
            applied: Index::ZERO,
            inbox: Vec::new(),
            roles: Vec::new(),
            reads: Vec::new(),
            persists: 0,
            is_tail_settled: false,
            wake: None,
        };
        self.nodes.insert(id, node);
        self.start(id, None);
    }

    /// A replica that joins with nothing.
    pub fn join(&mut self, id: ReplicaId) {
        let mut config = self.nodes.values().next().expect("there is a replica").config.clone();
        config.id = id;
        self.add(id, config, Recovered::joining());
    }

    pub fn clock(&self, id: ReplicaId) -> Time {
        let speed = u128::from(self.nodes[&id].clock_speed);
        Time::from_nanos((u128::from(self.now.as_nanos()) * speed / 1_000_000) as u64)
    }

    fn world_time(&self, id: ReplicaId, local: Time) -> Time {
        let speed = u128::from(self.nodes[&id].clock_speed);
        let nanos = (u128::from(local.as_nanos()) * 1_000_000).div_ceil(speed);
        Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Starts a replica from its disk.
    pub fn start(&mut self, id: ReplicaId, doubtful_tail: Option<DoubtfulTail>) {
        let seed = self.rng.next_u64();
        let now = self.clock(id);
        *self.starts.entry(id).or_default() += 1;
        let node = self.nodes.get_mut(&id).expect("the replica is known");
        let disk = &node.disk;
        let recovered = Recovered {
            hard_state: disk.hard_state,
            membership: disk.snapshot.membership.clone(),
            snapshot_index: disk.snapshot.index,
            snapshot_term: disk.snapshot.term,
            snapshot_manifest: manifest(&disk.snapshot),
            entries: disk.entries.clone(),
            doubtful_tail,
        };
        node.config.seed = seed;
        node.digest = disk.snapshot.digest;
        node.applied = disk.snapshot.index;
        node.is_tail_settled = false;
        node.wake = None;
        node.raft = Some(Raft::new(node.config.clone(), recovered, now));
        self.step(id, None);
    }

    /// Stops a replica; writes under way are lost from a random one on.
    pub fn crash(&mut self, id: ReplicaId) {
        let keep = self.rng.below(self.nodes[&id].writes.len() as u64 + 1);
        self.crash_keeping(id, keep);
    }

    /// Stops a replica; of the writes under way so many were done.
    pub fn crash_keeping(&mut self, id: ReplicaId, keep: u64) {
        let node = self.nodes.get_mut(&id).expect("the replica is known");
        node.raft = None;
        node.inbox.clear();
        for write in node.writes.drain(..).take(keep as usize) {
            write_down(&mut node.disk, write);
        }
        node.is_paused = false;
        node.is_disk_hung = false;
    }

    /// The last batch on a stopped replica's disk becomes unreadable: what it had, if that is known.
    pub fn rot(&mut self, id: ReplicaId) -> Option<(Term, Index)> {
        let disk = &mut self.nodes.get_mut(&id).expect("the replica is known").disk;
        let batch = std::mem::take(&mut disk.last_batch);
        let (first, last) = (batch.first()?, batch.last()?);
        if disk.entries.last().map(|entry| (entry.term, entry.index)) != Some((last.term, last.index)) {
            return None;
        }
        disk.entries.retain(|entry| entry.index < first.index);
        Some((last.term, last.index))
    }

    pub fn raft(&self, id: ReplicaId) -> &Raft {
        self.nodes[&id].raft.as_ref().expect("the replica runs")
    }

    pub fn is_up(&self, id: ReplicaId) -> bool {
        self.nodes[&id].raft.is_some()
    }

    /// Calls one of a replica's methods, and does what follows.
    pub fn with<T>(&mut self, id: ReplicaId, call: impl FnOnce(&mut Raft, Time) -> T) -> T {
        let now = self.clock(id);
        let result = call(self.nodes.get_mut(&id).expect("known").raft.as_mut().expect("it runs"), now);
        self.step(id, None);
        result
    }

    /// The leader of the newest term that is up, if there is one.
    pub fn leader(&self) -> Option<ReplicaId> {
        let leads = |node: &Node| node.raft.as_ref().filter(|raft| raft.is_leader()).map(Raft::term);
        self.nodes.iter().filter_map(|(id, node)| leads(node).map(|term| (term, *id))).max().map(|(_, id)| id)
    }

    pub fn propose(&mut self, id: ReplicaId, what: impl Into<Vec<u8>>) -> Option<Index> {
        let payload = Bytes::from(what.into());
        self.with(id, |raft, _| raft.propose(payload)).ok()
    }

    pub fn cut_off(&mut self, id: ReplicaId) {
        for peer in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.cuts.insert((id, peer));
            self.cuts.insert((peer, id));
        }
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// Runs for `span`.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((&(at, sequence), _)) = self.events.first_key_value() {
            if at > end {
                break;
            }
            let event = self.events.remove(&(at, sequence)).expect("it is the first");
            self.now = self.now.max(at);
            self.handle(event);
        }
        self.now = end;
    }

    /// Runs until `done`, at most for `span`; panics naming `what` if it doesn't come.
    pub fn run_until(&mut self, what: &str, span: Duration, done: impl Fn(&World) -> bool) {
        let end = self.now + span;
        while !done(self) {
            assert!(self.now < end, "it didn't come: {what}\n{}", self.describe());
            self.run(ms(1));
        }
    }

    pub fn elect(&mut self) -> ReplicaId {
        self.run_until("a leader that has committed", ms(5_000), |world| {
            world.leader().is_some_and(|id| {
                let raft = world.raft(id);
                raft.log().term(raft.commit_index()) == Some(raft.term())
            })
        });
        self.leader().expect("there is one")
    }

    pub fn describe(&self) -> String {
        let mut text = format!("at {:?}\n", self.now);
        for (id, node) in &self.nodes {
            let Some(raft) = &node.raft else {
                text += &format!("{id} down\n");
                continue;
            };
            text += &format!(
                "{id} {:?} term {} leader {:?} commit {} applied {} last {} durable {} first {} members {:?}\n",
                raft.role(),
                raft.term().0,
                raft.leader(),
                raft.commit_index().0,
                raft.applied_index().0,
                raft.last_index().0,
                raft.durable_index().0,
                raft.first_index().0,
                raft.membership(),
            );
            for (peer, progress) in raft.progress() {
                text += &format!("   {peer} {progress:?}\n");
            }
        }
        text
    }

    fn at(&mut self, time: Time, event: Event) {
        self.sequence += 1;
        self.events.insert((time.max(self.now), self.sequence), event);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Input(id, start, input) => {
                if self.starts.get(&id) == Some(&start) && self.nodes[&id].raft.is_some() {
                    if self.nodes[&id].is_paused {
                        self.nodes.get_mut(&id).expect("known").inbox.push(*input);
                    } else {
                        self.step(id, Some(*input));
                    }
                }
            }
            Event::Wake(id) => {
                self.nodes.get_mut(&id).expect("known").wake = None;
                if self.is_up(id) && !self.nodes[&id].is_paused {
                    self.step(id, None);
                }
            }
            Event::Disk(id) => self.disk_turn(id),
        }
    }

    fn disk_turn(&mut self, id: ReplicaId) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).expect("known");
        if node.is_disk_hung {
            return;
        }
        let mut token = None;
        while node.writes.front().is_some_and(|write| write.due <= now) {
            let write = node.writes.pop_front().expect("it is the first");
            token = Some(write.token);
            write_down(&mut node.disk, write);
        }
        if let Some(token) = token {
            self.input(id, Input::Persisted { token });
        }
    }

    pub fn hang(&mut self, id: ReplicaId) {
        self.node(id).is_disk_hung = true;
    }

    /// The disk goes on.
    pub fn unhang(&mut self, id: ReplicaId) {
        self.nodes.get_mut(&id).expect("known").is_disk_hung = false;
        self.disk_turn(id);
    }

    /// A paused replica goes on, with everything that arrived meanwhile at once.
    pub fn resume(&mut self, id: ReplicaId) {
        let node = self.nodes.get_mut(&id).expect("known");
        node.is_paused = false;
        let inbox = std::mem::take(&mut node.inbox);
        if node.raft.is_some() {
            for input in inbox {
                self.step(id, Some(input));
            }
            self.step(id, None);
        }
    }

    fn input(&mut self, id: ReplicaId, input: Input) {
        let start = self.starts[&id];
        self.at(self.now, Event::Input(id, start, Box::new(input)));
    }

    pub fn step(&mut self, id: ReplicaId, input: Option<Input>) {
        let now = self.clock(id);
        let node = self.nodes.get_mut(&id).expect("known");
        let Some(raft) = node.raft.as_mut() else { return };
        let mut out = Outbox::new();
        if let Some(input) = input {
            raft.step(now, input, &mut out);
            raft.check();
        }
        raft.flush(now, &mut out);
        raft.check();
        let deadline = raft.deadline();
        assert!(
            deadline.is_none_or(|at| at > now),
            "after a flush nothing is due, or a driver would spin, on {id}"
        );
        let effects: Vec<Effect> = out.drain().collect();
        for effect in effects {
            self.effect(id, effect);
        }
        self.watch(id);
        if let Some(deadline) = deadline {
            // A clock's reading comes late, never early.
            let at = self.world_time(id, deadline).max(self.now + Duration::from_micros(10));
            let node = self.nodes.get_mut(&id).expect("known");
            if node.wake.is_none_or(|wake| at < wake) {
                node.wake = Some(at);
                self.at(at, Event::Wake(id));
            }
        }
    }

    fn effect(&mut self, id: ReplicaId, effect: Effect) {
        let digest = format!("{effect:?}").bytes().fold(self.trace ^ 0xcbf2_9ce4_8422_2325, fnv);
        self.trace = digest;
        match effect {
            Effect::Send(message) => self.send(message),
            Effect::Persist { token, hard_state, entries } => {
                let delay = self.nodes[&id].disk_delay;
                let due = self.now + delay / 2 + delay * self.rng.below(1000) as u32 / 1000;
                let node = self.nodes.get_mut(&id).expect("known");
                node.persists += 1;
                let due = node.writes.back().map_or(due, |write| write.due.max(due));
                node.writes.push_back(Write { token, hard_state, entries, due });
                self.at(due, Event::Disk(id));
            }
            Effect::Apply { entries } => self.apply(id, entries),
            Effect::Restore { from, index, manifest, .. } => self.restore(id, from, index, &manifest),
            Effect::LoadEntries { first, through, .. } => {
                let range = first..=through;
                let disk = &self.nodes[&id].disk;
                let entries: Vec<_> =
                    disk.entries.iter().filter(|entry| range.contains(&entry.index)).cloned().collect();
                self.input(id, Input::EntriesLoaded { first, entries });
            }
            Effect::ReadReady { ticket, index } => self.node(id).reads.push((ticket, Some(index))),
            Effect::ReadRefused { ticket } => self.node(id).reads.push((ticket, None)),
            Effect::RoleChanged { role, term, leader } => self.role_changed(id, role, term, leader),
            Effect::TailSettled => self.node(id).is_tail_settled = true,
        }
    }

    fn node(&mut self, id: ReplicaId) -> &mut Node {
        self.nodes.get_mut(&id).expect("known")
    }

    fn send(&mut self, message: Message) {
        if self.cuts.contains(&(message.from, message.to)) || !self.nodes.contains_key(&message.to) {
            return;
        }
        if self.rng.chance(self.loss_permille, 1000) {
            return;
        }
        let copies = if self.rng.chance(self.double_permille, 1000) { 2 } else { 1 };
        for _ in 0..copies {
            let micros = self.rng.below(self.delay_max.as_micros() as u64 + 1).max(50);
            let at = self.now + Duration::from_micros(micros);
            let start = self.starts.get(&message.to).copied().unwrap_or(0);
            self.at(at, Event::Input(message.to, start, Box::new(Input::Message(message.clone()))));
        }
    }

    fn apply(&mut self, id: ReplicaId, entries: Vec<Entry>) {
        let term = self.raft(id).term();
        for entry in entries {
            self.committed_in.entry(entry.index).or_insert(term);
            let node = self.nodes.get_mut(&id).expect("known");
            assert_eq!(entry.index, node.applied.next(), "every entry is applied once and in order, on {id}");
            node.applied = entry.index;
            node.digest = format!("{entry:?}").bytes().fold(node.digest, fnv);
            let (digest, index) = (node.digest, entry.index);
            let known = self.committed.entry(index).or_insert_with(|| entry.clone());
            assert_eq!(*known, entry, "state machine safety: two entries were committed at one index");
            let digest_known = *self.digests.entry(index).or_insert(digest);
            assert_eq!(digest_known, digest, "all replicas have the same state at {index:?}");
        }
        let index = self.nodes[&id].applied;
        self.input(id, Input::Applied { index });
        if self.snapshot_every != u64::MAX
            && index.0 / self.snapshot_every > self.nodes[&id].disk.snapshot.index.0 / self.snapshot_every
        {
            self.snapshot_soon(id);
        }
    }

    /// Takes a snapshot of what the replica has applied by its own account.
    pub fn snapshot_soon(&mut self, id: ReplicaId) {
        let raft = self.raft(id);
        let index = raft.applied_index();
        let (Some(term), membership) = (raft.log().term(index), raft.membership().clone()) else { return };
        if index <= self.nodes[&id].disk.snapshot.index {
            return;
        }
        let snapshot = Snapshot { index, term, membership, digest: self.digests[&index] };
        let keep_from = Index(index.0 - self.rng.below(4).min(index.0 - 1) + 1);
        let node = self.nodes.get_mut(&id).expect("known");
        node.disk.snapshot = snapshot.clone();
        // Writes under way may still bring entries before it; they do no harm.
        node.disk.entries.retain(|entry| entry.index >= keep_from);
        let bytes = manifest(&snapshot);
        let raft = node.raft.as_mut().expect("it runs");
        raft.snapshot_taken(index, bytes, keep_from);
        raft.release_cached(Index(index.0 + 2));
        raft.check();
    }

    fn restore(&mut self, id: ReplicaId, from: ReplicaId, index: Index, manifest_bytes: &Bytes) {
        let holder = self.nodes[&from].disk.snapshot.clone();
        let reachable = !self.cuts.contains(&(from, id)) && self.is_up(from);
        let start = self.starts[&id];
        let at = self.now + ms(self.rng.below(50));
        let fails = self.is_restore_failing && self.rng.chance(1, 3);
        let input = if reachable && !fails && manifest(&holder) == *manifest_bytes {
            // What was asked of the disk before comes first.
            let node = self.nodes.get_mut(&id).expect("known");
            let writes: Vec<Write> = node.writes.drain(..).collect();
            let token = writes.last().map(|write| write.token);
            for write in writes {
                write_down(&mut node.disk, write);
            }
            node.disk.entries.clear();
            node.disk.last_batch.clear();
            node.digest = holder.digest;
            node.applied = holder.index;
            node.disk.snapshot = holder;
            if let Some(token) = token {
                self.input(id, Input::Persisted { token });
            }
            Input::SnapshotInstalled { index }
        } else {
            Input::SnapshotFailed { index }
        };
        self.at(at, Event::Input(id, start, Box::new(input)));
    }

    fn role_changed(&mut self, id: ReplicaId, role: Role, term: Term, leader: Option<ReplicaId>) {
        self.node(id).roles.push((role, term, leader));
        if role != Role::Leader {
            return;
        }
        let first = *self.leaders.entry(term).or_insert(id);
        assert_eq!(first, id, "election safety: two leaders in {term:?}");
        let raft = self.raft(id);
        let earlier = |index: &Index| self.committed_in[index] < term;
        for (index, entry) in self.committed.range(raft.first_index()..).filter(|(index, _)| earlier(index)) {
            assert_eq!(
                raft.log().term(*index),
                Some(entry.term),
                "leader completeness: {id} leads in {term:?} without {index:?}\n{}",
                self.describe()
            );
        }
    }

    /// What must hold between replicas at every moment.
    fn watch(&mut self, id: ReplicaId) {
        let now = self.clock(id);
        self.commit_max = self.commit_max.max(self.raft(id).commit_index());
        let raft = self.raft(id);
        if let Ok(index) = raft.lease_read(now) {
            assert!(
                index >= self.commit_max,
                "a lease read on {id} missed what was committed\n{}",
                self.describe()
            );
        }
    }

    /// No replica that is up reads less by lease than was committed anywhere.
    pub fn watch_all(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            if self.is_up(id) {
                self.watch(id);
            }
        }
    }

    /// All faults end; the group must elect a leader, take a write, and become equal everywhere.
    pub fn heal_and_converge(&mut self) {
        self.cuts.clear();
        (self.loss_permille, self.double_permille, self.delay_max) = (0, 0, ms(2));
        self.is_restore_failing = false;
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let node = self.node(id);
            node.disk_delay = ms(1);
            if node.raft.is_none() {
                self.start(id, None);
            }
            self.unhang(id);
            self.resume(id);
        }
        let mut index = None;
        for _ in 0..40 {
            self.run(ms(250));
            if let Some(leader) = self.leader() {
                index = self.propose(leader, "after the heal");
                self.run(ms(500));
                if index.is_some_and(|index| self.commit_max >= index) {
                    break;
                }
            }
        }
        let index = index.unwrap_or_else(|| panic!("nobody leads after the heal\n{}", self.describe()));
        assert!(self.commit_max >= index, "nothing is committed after the heal\n{}", self.describe());
        self.run(ms(3_000));
        let leader = self.leader().expect("somebody leads after the heal");
        let (members, commit) = (self.raft(leader).membership().members(), self.raft(leader).commit_index());
        for id in members {
            let applied = self.raft(id).applied_index();
            assert_eq!(applied, commit, "{id} doesn't catch up after the heal\n{}", self.describe());
        }
    }
}

pub fn manifest(snapshot: &Snapshot) -> Bytes {
    Bytes::from(format!("{}/{}", snapshot.index.0, snapshot.digest))
}

fn write_down(disk: &mut Disk, write: Write) {
    if let Some(hard_state) = write.hard_state {
        disk.hard_state = hard_state;
    }
    if let Some(first) = write.entries.first() {
        disk.entries.retain(|entry| entry.index < first.index);
        disk.last_batch.clone_from(&write.entries);
        disk.entries.extend(write.entries);
    }
}

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

pub fn is_command(entry: &Entry) -> bool {
    matches!(entry.payload, Payload::Command(_))
}
