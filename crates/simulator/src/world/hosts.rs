//! Processes: how they start, take turns and end. A turn is what the server's loop does: take the time, step every
//! input that is there, flush once, carry out the effects in order.

use super::clock::{Clock, DRIFT_PPM_MAX};
use super::disk::Platter;
use super::{Event, MILLI, Probe, Program, SECOND, Settings, World};
use crate::checkers::Finding;
use base::{GroupId, Index, NodeId, Outbox, ReplicaId, Rng};
use node::api::{Addresses, ClientId, Config, Effect, Input, Level, Migrated, PeerAddress};
use std::collections::{BTreeMap, VecDeque};
use storage::{DiskCompletion, DiskRequest, OpenError, Options, Recovery, Store};

/// How many turns without an input a process may take within a second.
const IDLE_TURNS_MAX: u32 = 20_000;

/// Every so manieth turn is checked after each of its steps. A node's check walks over all that it holds: done in every
/// turn it would take nine tenths of the time, and find the same a little earlier in a tenth of the worlds.
const CHECKED_TURNS: u64 = 16;

/// A machine.
pub(super) struct Host<P> {
    /// Where its node is reached.
    pub addresses: Addresses,
    pub clock: Clock,
    pub platters: Vec<Platter>,
    /// Who lives here, or lived last.
    pub node: NodeId,
    /// The cluster that it belongs to, or belonged to last.
    pub cluster: u128,
    pub process: Option<Process<P>>,
    /// Names the boot or join under way; earlier ones are ignored.
    pub token: u64,
    /// The join under way.
    pub nonce: Option<u128>,
    /// Who is asked next for membership.
    pub next_target: usize,
    pub paused_until: Option<u64>,
    /// Whether the pause falls between a turn and its effects.
    pub pause_after_turn: bool,
    /// Until when it was stopped, or not yet running.
    pub hindered: u64,
    pub disk: DiskMood,
    pub rng: Rng,
}

/// How a host's disks behave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DiskMood {
    /// How many times slower than usual.
    pub slowness: u64,
    /// No batch is finished before this time.
    pub hung_until: u64,
    /// Whether something is wrong with it now.
    pub broken: bool,
    /// Whether something was wrong with it since the process started, so that it may rightly end.
    pub failing: bool,
    /// Whether bits may have rotted since the disk was last wiped.
    pub rotten: bool,
}

/// One start of a node.
pub(super) struct Process<P> {
    /// Names it, never twice in a world.
    pub start: u64,
    pub program: P,
    store: Store<Platter>,
    inbox: VecDeque<Input>,
    /// The next turn that is planned: its time and its name.
    turn: Option<(u64, u64)>,
    busy_until: u64,
    idle_turns: (u64, u32),
    waiting: Vec<DiskRequest>,
    batch: Option<(u64, Vec<DiskRequest>)>,
    /// Effects that a pause holds back.
    held: Vec<Effect>,
    /// The members that it wants links with, and their hosts.
    pub wanted: BTreeMap<NodeId, usize>,
    pub stopping: bool,
}

impl<P> Host<P> {
    pub(super) fn new(number: usize, settings: &Settings, rng: &mut Rng) -> Self {
        let mut rng = rng.fork();
        let address = |port: u32| format!("10.0.0.{}:{port}", number + 1);
        let ppm = rng.below(2 * DRIFT_PPM_MAX as u64) as i64 - DRIFT_PPM_MAX;
        let mut clock = Clock::new(rng.below(1_000_000 * SECOND), ppm);
        clock.wall_error_ms = rng.below(200) as i64 - 100;
        Self {
            addresses: Addresses { client: address(6379), peer: address(16379), http: address(8379) },
            clock,
            platters: (0..settings.mirrors)
                .map(|mirror| Platter::new(format!("disk {mirror} of host {number}")))
                .collect(),
            node: NodeId::NONE,
            cluster: 0,
            process: None,
            token: 0,
            nonce: None,
            next_target: 0,
            paused_until: None,
            pause_after_turn: false,
            hindered: 0,
            disk: DiskMood { slowness: 1, ..DiskMood::default() },
            rng,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }
}

impl<P: Program> World<P> {
    /// Plans the start of a process.
    pub(super) fn plan_boot(&mut self, host: usize, at: u64) {
        let token = self.name();
        self.hosts[host].token = token;
        self.queue.plan(at, Event::Boot { host, token });
    }

    pub(super) fn boot(&mut self, host: usize, token: u64) {
        let this = &self.hosts[host];
        if token != this.token || this.process.is_some() {
            return;
        }
        let ready = this.disk.hung_until.max(this.paused_until.unwrap_or(0));
        if ready > self.now {
            return self.plan_boot(host, ready + MILLI);
        }
        match self.open(host) {
            Ok((store, recovery)) if recovery.identity.is_none() => {
                // Who founds or joins opens it anew.
                drop(store);
                self.begin_membership(host);
            }
            Ok((store, recovery)) => self.start(host, store, recovery, Vec::new()),
            Err(error) => self.could_not_open(host, &error),
        }
    }

    pub(super) fn open(&mut self, host: usize) -> Result<(Store<Platter>, Recovery), OpenError> {
        let lies = self.settings.bugs.acknowledge_before_fsync;
        let this = &mut self.hosts[host];
        this.platters.iter().for_each(|platter| platter.set_lies(false));
        let options = Options {
            segment_bytes: self.settings.segment_bytes,
            salt: this.rng.next_u64() as u32,
            snapshot_sync_bytes: 4 << 10,
        };
        let opened = Store::open(this.platters.iter().map(Platter::handle).collect(), options);
        this.platters.iter().for_each(|platter| platter.set_lies(lies));
        opened
    }

    fn could_not_open(&mut self, host: usize, error: &OpenError) {
        self.tell(|| format!("host {host} can't open its disks: {error}"));
        let mood = self.hosts[host].disk;
        match error {
            OpenError::Unreadable { .. } if mood.rotten => self.replace(host),
            OpenError::Io { .. } | OpenError::Full { .. } if mood.failing => {
                self.plan_boot(host, self.now + 300 * MILLI);
            }
            _ => self.find(Finding::new("disk", format!("host {host} can't open its disks: {error}"))),
        }
    }

    pub(super) fn start(
        &mut self,
        host: usize,
        store: Store<Platter>,
        mut recovery: Recovery,
        peers: Vec<PeerAddress>,
    ) {
        let identity = recovery.identity.as_ref().expect("an identity was written before");
        let (node, cluster) = (identity.node, identity.cluster);
        self.homes.insert(node, host);
        for note in &recovery.notes {
            self.tell(|| format!("host {host} recovers: {note}"));
        }
        let (mood, lies) = (self.hosts[host].disk, self.settings.bugs.acknowledge_before_fsync);
        if let Some((group, why)) =
            recovery.groups.iter().find_map(|(group, found)| Some((group, found.damaged.clone()?)))
            && !mood.rotten
            && !lies
        {
            let text = format!("host {host} lost its copy of {group} on a disk that never rotted: {why}");
            self.find(Finding::new("disk", text));
        }
        if self.settings.bugs.rotten_tail_cut_as_torn {
            recovery.groups.values_mut().for_each(|group| group.doubt = None);
        }
        let start = self.name();
        self.tell(|| format!("host {host} starts as node {node}"));
        let this = &mut self.hosts[host];
        (this.node, this.cluster, this.nonce, this.hindered) = (node, cluster, None, self.now);
        this.disk.failing = this.disk.broken;
        let config = Config {
            addresses: this.addresses.clone(),
            seed: this.rng.next_u64(),
            ..self.settings.config.clone()
        };
        let (now, wall) = (this.clock.monotonic(self.now), this.clock.wall(self.now));
        this.process = Some(Process {
            start,
            program: P::start(config, recovery, peers, now, wall),
            store,
            inbox: VecDeque::new(),
            turn: None,
            busy_until: self.now,
            idle_turns: (0, 0),
            waiting: Vec::new(),
            batch: None,
            held: Vec::new(),
            wanted: BTreeMap::new(),
            stopping: false,
        });
        self.read_wall_clock(host, start);
    }

    /// The process of `host`, if it is the one that was started as `start`.
    pub(super) fn process(&mut self, host: usize, start: u64) -> Option<&mut Process<P>> {
        self.hosts[host].process.as_mut().filter(|process| process.start == start)
    }

    pub(super) fn read_wall_clock(&mut self, host: usize, start: u64) {
        if self.process(host, start).is_some() {
            let wall = self.hosts[host].clock.wall(self.now);
            self.give(host, Input::WallClock(wall));
            self.queue.plan(self.now + SECOND * 9 / 10, Event::WallClock { host, start });
        }
    }

    /// Puts an input before a node that runs.
    pub(super) fn give(&mut self, host: usize, input: Input) {
        let delay = self.chances.driver.between(1_000, 20_000);
        if let Some(process) = &mut self.hosts[host].process {
            process.inbox.push_back(input);
            self.plan_turn(host, self.now + delay);
        }
    }

    pub(super) fn plan_turn(&mut self, host: usize, at: u64) {
        let token = self.names + 1;
        let Some(process) = &mut self.hosts[host].process else { return };
        let at = at.max(process.busy_until);
        if process.turn.is_none_or(|(planned, _)| planned > at) {
            process.turn = Some((at, token));
            self.names = token;
            self.queue.plan(at, Event::Turn { host, token });
        }
    }

    pub(super) fn turn(&mut self, host: usize, token: u64) {
        let this = &mut self.hosts[host];
        let Some(process) = &mut this.process else { return };
        if process.turn.is_none_or(|(_, planned)| planned != token) {
            return;
        }
        process.turn = None;
        let holds = this.paused_until.is_some() && std::mem::take(&mut this.pause_after_turn);
        if let Some(until) = this.paused_until
            && !holds
        {
            return self.plan_turn(host, until);
        }
        let held = std::mem::take(&mut process.held);
        self.carry_out(host, held);
        let effects = self.step(host);
        let Some(process) = &mut self.hosts[host].process else { return };
        if holds {
            process.held = effects;
        } else {
            self.carry_out(host, effects);
        }
        self.plan_next_turn(host);
    }

    /// One turn of the core: the time is taken after the last input has arrived.
    fn step(&mut self, host: usize) -> Vec<Effect> {
        self.turns += 1;
        let checks = self.turns.is_multiple_of(CHECKED_TURNS);
        let this = &mut self.hosts[host];
        let Some(process) = &mut this.process else { return Vec::new() };
        let now = this.clock.monotonic(self.now);
        let mut out = Outbox::new();
        let inputs = process.inbox.len() as u64;
        self.trace.turn(self.now, host, now);
        for input in process.inbox.drain(..) {
            self.trace.input(&input);
            process.program.step(now, input, &mut out);
            if checks {
                process.program.check();
            }
        }
        process.program.flush(now, &mut out);
        if checks {
            process.program.check();
        }
        process.busy_until = self.now + 5_000 + 3_000 * inputs;
        let second = self.now / SECOND;
        process.idle_turns = match process.idle_turns {
            (then, turns) if then == second && inputs == 0 => (then, turns + 1),
            _ => (second, 0),
        };
        if process.idle_turns.1 > IDLE_TURNS_MAX {
            let text = format!("host {host} wakes up again and again with nothing to do");
            self.findings.push(Finding::new("deadlines", text));
        }
        let start = process.start;
        let (elections, logs, findings) = (&mut self.elections, &mut self.logs, &mut self.findings);
        process.program.probe(&mut |probe: Probe| {
            findings.extend(logs.observe(start, &probe));
            findings.extend(elections.observe(&probe));
        });
        let effects: Vec<Effect> = out.drain().collect();
        effects.iter().for_each(|effect| self.trace.effect(effect));
        effects
    }

    fn plan_next_turn(&mut self, host: usize) {
        let this = &self.hosts[host];
        let Some(process) = &this.process else { return };
        let deadline = process.program.deadline().map(|at| this.clock.moment_of(at));
        let waits = !process.inbox.is_empty();
        if let Some(at) = if waits { Some(self.now) } else { deadline } {
            self.plan_turn(host, at);
        }
    }

    fn carry_out(&mut self, host: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { client, bytes } => self.reply(host, client, bytes),
                Effect::Close { client } => self.hang_up_on(client),
                Effect::Reading { client, on } => self.set_reading(host, client, on),
                Effect::Peer { to, bytes } => self.send_frame(host, to, bytes),
                Effect::Peers(peers) => self.set_peers(host, &peers),
                Effect::Relink { node } => self.relink(host, node),
                Effect::JoinReply { ticket, reply } => self.answer_join(host, ticket, reply),
                Effect::Disk(request) => self.ask_disk(host, request),
                // There is no other server in this world.
                Effect::Migrate { job, .. } => {
                    self.give(host, Input::Migrated { job, outcome: Migrated::Unreachable });
                }
                Effect::Work(mut work) => {
                    work.carry_out(&mut self.bench);
                    self.give(host, Input::Worked(work));
                }
                Effect::Note(level, text) => self.note(host, level, &text),
                Effect::Stopped => return self.stopped(host),
                Effect::Fatal(why) => return self.fatal(host, &why),
            }
        }
    }

    fn note(&mut self, host: usize, level: Level, text: &str) {
        if self.settings.verbose || level != Level::Info {
            self.tell(|| format!("host {host} says: {text}"));
        }
    }

    fn stopped(&mut self, host: usize) {
        self.tell(|| format!("host {host} has stopped"));
        self.end_process(host, true);
        self.hosts[host].platters.iter().for_each(|platter| platter.disk.kill());
    }

    fn fatal(&mut self, host: usize, why: &str) {
        self.tell(|| format!("host {host} gives up: {why}"));
        let mood = self.hosts[host].disk;
        if !mood.failing && !mood.rotten {
            self.find(Finding::new("disk", format!("host {host} gave up without a reason: {why}")));
        }
        self.end_process(host, true);
        self.hosts[host].platters.iter().for_each(|platter| platter.disk.kill());
        self.plan_boot(host, self.now + 500 * MILLI);
    }

    /// The process is gone; what is on the disk is its caller's business. With `told`, the others hear it.
    pub(super) fn end_process(&mut self, host: usize, told: bool) {
        self.hosts[host].token = self.names + 1;
        self.names += 1;
        self.hosts[host].nonce = None;
        if self.hosts[host].process.take().is_some() {
            self.host_left(host, told);
            self.host_left_clients(host);
        }
    }

    fn ask_disk(&mut self, host: usize, request: DiskRequest) {
        if let Some(process) = &mut self.hosts[host].process {
            process.waiting.push(request);
            self.start_batch(host);
        }
    }

    /// Everything that waits becomes one batch as soon as the disk is free, as in the server's disk thread.
    fn start_batch(&mut self, host: usize) {
        let name = self.names + 1;
        let this = &mut self.hosts[host];
        let Some(process) = &mut this.process else { return };
        if process.batch.is_some() || process.waiting.is_empty() {
            return;
        }
        let rng = &mut self.chances.disk;
        let usual = rng.between(60, 500) * 1_000;
        let tail = if rng.chance(1, 50) { rng.between(1, 30) * MILLI } else { 0 };
        let done = (self.now + (usual + tail) * this.disk.slowness).max(this.disk.hung_until);
        process.batch = Some((name, std::mem::take(&mut process.waiting)));
        self.names = name;
        self.queue.plan(done, Event::DiskDone { host, start: process.start, batch: name });
    }

    pub(super) fn disk_done(&mut self, host: usize, start: u64, batch: u64) {
        let hung_until = self.hosts[host].disk.hung_until;
        let now = self.now;
        let Some(process) = self.process(host, start) else { return };
        if hung_until > now {
            // It hung after the batch had begun.
            return self.queue.plan(hung_until, Event::DiskDone { host, start, batch });
        }
        let Some((_, requests)) = process.batch.take_if(|(name, _)| *name == batch) else { return };
        let mut done: Vec<DiskCompletion> = Vec::new();
        process.store.serve(requests, &mut done);
        for completion in done {
            self.give(host, Input::Disk(completion));
        }
        self.start_batch(host);
    }

    /// What the power's going leaves of the batch that was under way: the disk stops somewhere in its middle.
    pub(super) fn tear_batch(&mut self, host: usize) {
        let this = &mut self.hosts[host];
        let Some(process) = &mut this.process else { return };
        let Some((_, requests)) = process.batch.take() else { return };
        let rng = &mut self.chances.mishaps;
        if rng.chance(1, 3) {
            return;
        }
        for platter in &this.platters {
            platter.disk.fail_nth(rng.between(1, 8), true);
        }
        process.store.serve(requests, &mut Vec::new());
    }

    /// After a pause, what has gathered comes in whatever order the sockets are read in: in order only on each.
    pub(super) fn shuffle_inbox(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let mut sources: BTreeMap<(u8, u64), VecDeque<Input>> = BTreeMap::new();
        for input in process.inbox.drain(..) {
            sources.entry(source_of(&input)).or_default().push_back(input);
        }
        let mut order: Vec<VecDeque<Input>> = sources.into_values().collect();
        while !order.is_empty() {
            let which = self.chances.driver.below(order.len() as u64) as usize;
            process.inbox.append(&mut order.swap_remove(which));
        }
    }

    /// Why nodes aren't ready, by host; a host without a process isn't.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for (number, host) in self.hosts.iter().enumerate() {
            match &host.process {
                None => reasons.push(format!("host {number} isn't running")),
                Some(process) => {
                    let now = host.clock.monotonic(self.now);
                    let why = process.program.not_ready(now);
                    reasons.extend(why.into_iter().map(|why| format!("host {number}: {why}")));
                }
            }
        }
        reasons
    }

    /// What every node knows of every group goes into the story.
    pub fn describe(&mut self) {
        for host in 0..self.hosts.len() {
            let this = &self.hosts[host];
            let (node, now) = (this.node, this.clock.monotonic(self.now));
            let lines =
                this.process.as_ref().map(|process| process.program.describe(now)).unwrap_or_default();
            for line in lines {
                self.tell(|| format!("host {host} (node {node}) knows {line}"));
            }
        }
    }

    /// The groups that haven't been applied equally far wherever they are kept, with how far where.
    pub fn unequal(&self) -> Vec<String> {
        let mut applied: BTreeMap<GroupId, Vec<(ReplicaId, Index)>> = BTreeMap::new();
        for process in self.hosts.iter().filter_map(|host| host.process.as_ref()) {
            process.program.probe(&mut |probe: Probe| {
                applied.entry(probe.group).or_default().push((probe.replica, probe.applied));
            });
        }
        applied.retain(|_, copies| copies.iter().any(|copy| copy.1 != copies[0].1));
        let copy = |(replica, applied): &(ReplicaId, Index)| format!("{replica} to {}", applied.0);
        let line = |(group, copies): (&GroupId, &Vec<(ReplicaId, Index)>)| {
            format!("{group}: {}", copies.iter().map(copy).collect::<Vec<_>>().join(", "))
        };
        applied.iter().map(line).collect()
    }
}

/// Which socket an input comes from.
fn source_of(input: &Input) -> (u8, u64) {
    let client = |client: &ClientId| (0, client.0);
    match input {
        Input::Connected { client: id, .. }
        | Input::Received { client: id, .. }
        | Input::Backlog { client: id, .. }
        | Input::Finished { client: id }
        | Input::Closed { client: id } => client(id),
        Input::PeerUp { node } | Input::PeerDown { node } | Input::Peer { from: node, .. } => {
            (1, node.0.into())
        }
        Input::Join { ticket, .. } => (2, *ticket),
        Input::Disk(_) | Input::Worked(_) => (3, 0),
        Input::WallClock(_) | Input::Machine(_) | Input::Shutdown => (4, 0),
        Input::Migrated { job, .. } => (5, *job),
    }
}
