//! Hosts with their disks and clocks, the network between them, and the clients: everything around a node. The world is
//! one queue of events; whatever happens by chance is drawn from the seed, by one generator a concern, so that a change
//! in one doesn't change the others.
//!
//! It never reads a clock or the system's randomness, and never looks into a node except to check it.

/// A host's two clocks.
pub mod clock;
/// Clients' connections.
mod connections;
/// A disk that can lie.
pub mod disk;
/// Processes: how they start, take turns and end.
mod hosts;
/// How a new node becomes a member.
mod joins;
/// Connections between nodes, and what cuts them.
mod links;
/// What goes wrong with one host.
mod mishaps;
/// What the world runs.
pub mod program;
/// What happens next.
mod queue;
/// The hash over everything that happened.
mod trace;

use crate::checkers::Finding;
use crate::checkers::copies::Copies;
use crate::checkers::elections::Elections;
use crate::checkers::logs::Logs;
use crate::faults::{Director, Style};
use crate::workload::{Order, Parts, Workload};
use base::{NodeId, Rng};
use bytes::Bytes;
use connections::Connections;
use hosts::Host;
use links::Links;
use node::api::{Config, JoinReply, JoinRequest};
use queue::Queue;
use std::collections::{BTreeMap, VecDeque};
use trace::Trace;

pub use program::{Probe, Program};

/// One millisecond, in the world's nanoseconds.
pub const MILLI: u64 = 1_000_000;
/// One second.
pub const SECOND: u64 = 1_000 * MILLI;

/// How often the copies are compared.
const COMPARE_EVERY: u64 = 250 * MILLI;
/// How much of the story is kept.
const STORY_LINES: usize = 60;

/// What kind of world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything that happens by chance.
    pub seed: u64,
    /// How many hosts.
    pub hosts: usize,
    /// How many clients.
    pub clients: usize,
    /// Who else takes part.
    pub parts: Parts,
    /// How many directories each host has: mirrors of each other.
    pub mirrors: usize,
    /// Whether links between nodes reorder, repeat and lose frames, as no TCP connection does.
    pub harsh: bool,
    /// What every node is told, apart from its addresses and its seed.
    pub config: Config,
    /// How long a segment of the log is.
    pub segment_bytes: u64,
    /// What goes wrong mostly.
    pub style: Style,
    /// What the driver does wrong on purpose.
    pub bugs: Bugs,
    /// Whether to tell the story as it happens.
    pub verbose: bool,
}

/// Classic bugs of a driver and its disk; the checkers must find each. Those of a node are in its configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    /// Disks say that something is synced before it is.
    pub acknowledge_before_fsync: bool,
    /// A host that lost its disk comes back under its old name.
    pub wiped_under_old_name: bool,
    /// A log whose end is unreadable is opened as if nothing had been there.
    pub rotten_tail_cut_as_torn: bool,
}

/// What can happen.
#[derive(Debug)]
enum Event {
    /// A process gets its turn.
    Turn { host: usize, token: u64 },
    /// A process starts.
    Boot { host: usize, token: u64 },
    /// A host asks to become a member.
    AskJoin { host: usize, token: u64 },
    /// The request reaches a member.
    JoinAsked { host: usize, asker: usize, token: u64, request: JoinRequest },
    /// The answer reaches who asked.
    JoinAnswered { host: usize, token: u64, reply: JoinReply },
    /// A disk is done with a batch.
    DiskDone { host: usize, start: u64, batch: u64 },
    /// A wall clock is read.
    WallClock { host: usize, start: u64 },
    /// Two hosts try to connect.
    Dial { pair: usize },
    /// One side of a connection learns that it is up.
    LinkUp { pair: usize, connection: u64, side: usize },
    /// One side of a connection learns that it is down.
    LinkDown { host: usize, start: u64, node: NodeId },
    /// A frame arrives.
    Frame { pair: usize, connection: u64, side: usize, bytes: Bytes },
    /// A client's connection reaches the host.
    ClientOpened { connection: u64 },
    /// A client learns that its connection is there.
    ClientConnected { connection: u64 },
    /// A client's bytes arrive.
    ClientSent { connection: u64, bytes: Bytes },
    /// The host learns that a client has gone.
    ClientGone { connection: u64, host: usize, start: u64 },
    /// Replies arrive.
    Replied { connection: u64, bytes: Bytes },
    /// A client learns that its connection broke, or that there was none.
    ClientClosed { client: usize, connection: u64 },
    /// A client's alarm.
    Alarm { client: usize, token: u64 },
    /// The director's turn.
    Fault { number: usize, begins: bool },
    /// The copies are compared.
    Compare,
}

/// Where each kind of chance comes from.
#[derive(Debug)]
struct Chances {
    network: Rng,
    disk: Rng,
    driver: Rng,
    mishaps: Rng,
}

/// A world.
pub struct World<P: Program> {
    settings: Settings,
    now: u64,
    queue: Queue,
    hosts: Vec<Host<P>>,
    /// Where scripts run: at once, and so that nothing of one stays for the next.
    bench: node::scripts::Bench,
    /// On which host each member lives, or lived last.
    homes: BTreeMap<NodeId, usize>,
    links: Links,
    connections: Connections,
    /// The clients.
    pub workload: Workload,
    director: Director,
    orders: Vec<Order>,
    chances: Chances,
    trace: Trace,
    /// Counts what needs a name.
    names: u64,
    elections: Elections,
    logs: Logs,
    copies: Copies,
    findings: Vec<Finding>,
    story: VecDeque<String>,
    /// Turns taken by nodes so far.
    pub turns: u64,
}

impl<P: Program> World<P> {
    /// A world in which nothing has happened yet; what goes wrong in it is up to `director`.
    pub fn new(settings: Settings, director: Director) -> Self {
        let mut rng = Rng::new(settings.seed);
        let chances =
            Chances { network: rng.fork(), disk: rng.fork(), driver: rng.fork(), mishaps: rng.fork() };
        let mut hosts_rng = rng.fork();
        let links = Links::new(settings.hosts, settings.harsh, &mut rng.fork());
        let workload = Workload::new(rng.fork(), settings.clients, settings.hosts, settings.parts);
        let mut world = Self {
            now: 0,
            queue: Queue::default(),
            hosts: (0..settings.hosts).map(|host| Host::new(host, &settings, &mut hosts_rng)).collect(),
            bench: node::scripts::Bench::default(),
            homes: BTreeMap::new(),
            links,
            connections: Connections::new(workload.clients()),
            workload,
            director,
            orders: Vec::new(),
            chances,
            trace: Trace::default(),
            names: 0,
            elections: Elections::default(),
            logs: Logs::default(),
            copies: Copies::default(),
            findings: Vec::new(),
            story: VecDeque::new(),
            turns: 0,
            settings,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for host in 0..self.hosts.len() {
            let at = self.chances.driver.below(500) * MILLI;
            self.plan_boot(host, if host == 0 { 0 } else { at });
        }
        for (number, at) in self.director.beginnings() {
            self.queue.plan(at, Event::Fault { number, begins: true });
        }
        self.queue.plan(COMPARE_EVERY, Event::Compare);
        self.workload.begin(&mut self.orders);
        self.carry_out_orders();
    }

    /// The time.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The trace so far.
    pub fn trace(&self) -> u64 {
        self.trace.value()
    }

    /// What is broken.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.iter().chain(&self.workload.findings).cloned().collect()
    }

    /// Adds what somebody else saw.
    pub fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The last things that went wrong, and what nodes said about them.
    pub fn story(&self) -> impl Iterator<Item = &str> {
        self.story.iter().map(String::as_str)
    }

    /// How many faults were carried out.
    pub fn faults(&self) -> usize {
        self.director.carried_out()
    }

    /// Lets time pass until `end`, or until something is found.
    pub fn run_until(&mut self, end: u64) {
        while self.findings.is_empty() && self.workload.findings.is_empty() {
            let Some((at, event)) = self.queue.next(end) else {
                self.now = self.now.max(end);
                return;
            };
            self.now = at;
            self.happen(event);
            self.carry_out_orders();
        }
    }

    /// Everybody stops asking, or reads everything once more.
    pub fn direct_clients(&mut self, direct: impl FnOnce(&mut Workload, u64, &mut Vec<Order>)) {
        direct(&mut self.workload, self.now, &mut self.orders);
        self.carry_out_orders();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn { host, token } => self.turn(host, token),
            Event::Boot { host, token } => self.boot(host, token),
            Event::AskJoin { host, token } => self.ask_join(host, token),
            Event::JoinAsked { host, asker, token, request } => self.join_asked(host, asker, token, request),
            Event::JoinAnswered { host, token, reply } => self.join_answered(host, token, reply),
            Event::DiskDone { host, start, batch } => self.disk_done(host, start, batch),
            Event::WallClock { host, start } => self.read_wall_clock(host, start),
            Event::Dial { pair } => self.dial(pair),
            Event::LinkUp { pair, connection, side } => self.link_up(pair, connection, side),
            Event::LinkDown { host, start, node } => self.link_down(host, start, node),
            Event::Frame { pair, connection, side, bytes } => self.frame(pair, connection, side, bytes),
            Event::ClientOpened { connection } => self.client_opened(connection),
            Event::ClientConnected { connection } => self.client_connected(connection),
            Event::ClientSent { connection, bytes } => self.client_sent(connection, bytes),
            Event::ClientGone { connection, host, start } => self.client_gone(connection, host, start),
            Event::Replied { connection, bytes } => self.replied(connection, &bytes),
            Event::ClientClosed { client, connection } => self.client_closed(client, connection),
            Event::Alarm { client, token } => self.alarm(client, token),
            Event::Fault { number, begins } => self.fault(number, begins),
            Event::Compare => self.compare(),
        }
    }

    fn fault(&mut self, number: usize, begins: bool) {
        let mut director = std::mem::take(&mut self.director);
        let next = if begins { director.begin(self, number) } else { director.end(self, number) };
        self.director = director;
        if let Some((at, begins)) = next {
            self.queue.plan(at, Event::Fault { number, begins });
        }
    }

    /// All that went wrong is put right, and nothing more goes wrong.
    pub fn heal(&mut self) {
        self.tell(|| "the world heals".into());
        let mut director = std::mem::take(&mut self.director);
        director.stop(self);
        self.director = director;
        self.heal_links();
        self.heal_hosts();
    }

    fn compare(&mut self) {
        self.queue.plan(self.now + COMPARE_EVERY, Event::Compare);
        self.compare_copies();
    }

    /// Compares all copies now.
    pub fn compare_copies(&mut self) {
        for host in &self.hosts {
            let Some(process) = &host.process else { continue };
            let finding = self.copies.observe(host.node, &process.program.digests());
            self.findings.extend(finding);
        }
    }

    /// How many states of copies were compared.
    pub fn compared(&self) -> usize {
        self.copies.len()
    }

    /// A name never given before.
    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// Adds a line to the story.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:>10.3} ms  {}", self.now as f64 / 1e6, line());
        if self.settings.verbose {
            eprintln!("{line}");
        }
        if self.story.len() == STORY_LINES {
            self.story.pop_front();
        }
        self.story.push_back(line);
    }
}
