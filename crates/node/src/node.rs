//! The node: composition and dispatch, nothing else. One input at a time comes in at `Core::step`; `Core::flush`
//! lets every group that was touched propose, append and persist once for all of them.

use crate::access::Users;
use crate::answers::Sleeper;
use crate::api::{ClientId, Config, Effect, Input, JoinRequest, Level, Machine as MachineFacts, PeerAddress};
use crate::blocking::Blocked;
use crate::broadcast::Broadcasts;
use crate::clients::Ticket;
use crate::commits::Commits;
use crate::eviction::Pool;
use crate::export::Export;
use crate::hub::Hub;
use crate::invalidations::Change;
use crate::joining::Decided;
use crate::lanes::Lane;
use crate::machine::State;
use crate::meta::Meta;
use crate::migration::Migration;
use crate::pause::Pause;
use crate::replica::Replica;
use crate::runs::Runs;
use crate::scatter::Job;
use crate::scripts::Running;
use crate::slowlog::SlowLog;
use crate::start::Loading;
use crate::subscriptions::Subscriptions;
use crate::tracking::Tracking;
use crate::users::log::AccessLog;
use crate::wire::PeerMessage;
use base::database::ScanPosition;
use base::{Core, DatabaseId, GroupId, Index, NodeId, Outbox, SessionId, Slot, Time, UnixMillis};
use bytes::Bytes;
use command::Spec;
use routing::SlotMap;
use std::collections::{BTreeMap, BTreeSet};
use storage::Recovery;

/// One member of a cluster: its copies of groups, its clients, its links.
#[derive(Debug)]
pub struct Node {
    pub(crate) hub: Hub,
    /// By group.
    pub(crate) replicas: Vec<Copy>,
    /// By group.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) lanes_dirty: BTreeSet<GroupId>,
    /// What was last read out of meta.
    pub(crate) view: View,
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// What concerns several shards.
    pub(crate) commits: Commits,
    /// Commands over several shards that run here.
    pub(crate) runs: Runs,
    /// Who listens to which channels.
    pub(crate) subscriptions: Subscriptions,
    /// Who keeps what it has read.
    pub(crate) tracking: Tracking,
    /// Clients that are shown every command.
    pub(crate) monitors: BTreeSet<ClientId>,
    /// Whether clients are paused.
    pub(crate) pause: Pause,
    /// Commands that took long.
    pub(crate) slow_log: SlowLog,
    /// Clients that DEBUG lets sleep.
    pub(crate) sleepers: Vec<Sleeper>,
    /// Whether the shards that it leads let keys go whose time has come (DEBUG SET-ACTIVE-EXPIRE).
    pub(crate) lets_expire: bool,
    /// What all nodes were asked.
    pub(crate) broadcasts: Broadcasts,
    /// What had been counted when counting began anew.
    pub(crate) before: Before,
    /// `min-replicas-to-write`.
    pub(crate) replicas_min: usize,
    /// Whom memory loses next, perhaps.
    pub(crate) pool: Pool,
    /// Clients that wait for something to come.
    pub(crate) blocked: Blocked,
    /// What was refused to whom.
    pub(crate) access_log: AccessLog,
    /// Scripts that are known, and that run now.
    pub(crate) scripts: Running,
    pub(crate) next_job: u64,
    /// Files of all shards that are under way.
    pub(crate) exports: BTreeMap<u64, Export>,
    /// Keys that are moved to other servers.
    pub(crate) migrations: BTreeMap<u64, Migration>,
    /// Whether it has just started and doesn't know yet whether its shards serve.
    pub(crate) loading: bool,
    pub(crate) started: Time,
    pub(crate) machine_facts: MachineFacts,
    pub(crate) disk: DiskState,
    /// Who asked to become a member and has no answer yet, by the driver's ticket.
    pub(crate) joins: BTreeMap<u64, JoinRequest>,
    /// Changes of meta that clients have asked for, in whose words.
    pub(crate) asked_of_meta: Vec<(Ticket, &'static Spec, Vec<Bytes>)>,
    /// Changes of meta whose clients hear of them once this node has learnt of them.
    pub(crate) decided: Vec<Decided>,
    pub(crate) cluster: u128,
    /// The newest generation of each group that lives here, or did.
    pub(crate) generations: BTreeMap<GroupId, u32>,
    /// Groups of which the disk holds a copy that can't be trusted.
    pub(crate) damaged: BTreeSet<GroupId>,
    /// When it is looked again whether lost copies must be asked for.
    pub(crate) next_ask: Time,
    /// Which copy was the last to take a snapshot.
    pub(crate) last_taken: usize,
    pub(crate) next_tick: Time,
    pub(crate) next_beat: Time,
    pub(crate) stopping: Option<Time>,
    pub(crate) stopped: bool,
}

/// What had been counted of this node's copies when somebody wished that counting begins anew.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// What was freed little by little (CONFIG RESETSTAT).
    pub freed: u64,
    /// Operations that changed something (SAVE, BGSAVE).
    pub changes: u64,
}

/// What this node has of a group.
#[derive(Debug)]
pub enum Copy {
    /// Nothing.
    None,
    /// Its snapshot is being read from the disk.
    Loading(Box<Loading>),
    /// A copy that takes part.
    Live(Box<Replica>),
}

/// The disk, as the node sees it.
#[derive(Debug, Default)]
pub(crate) struct DiskState {
    /// What the last write said about the log.
    pub log_bytes: u64,
    pub degraded: Vec<String>,
    pub pinned: BTreeSet<GroupId>,
}

/// What is read out of meta at every command, kept at hand.
#[derive(Debug)]
pub(crate) struct View {
    /// As of this entry of meta's log.
    as_of: Index,
    pub known: bool,
    pub slots: SlotMap,
    /// The shards, in order.
    pub shards: Vec<GroupId>,
    pub databases: Vec<Option<DatabaseId>>,
    pub users: Users,
    pub addresses: Vec<PeerAddress>,
}

impl Copy {
    /// The copy, if it takes part.
    #[inline]
    pub fn live(&mut self) -> Option<&mut Replica> {
        match self {
            Copy::Live(replica) => Some(replica),
            Copy::None | Copy::Loading(_) => None,
        }
    }

    /// The copy, to look at.
    pub fn as_live(&self) -> Option<&Replica> {
        match self {
            Copy::Live(replica) => Some(replica),
            Copy::None | Copy::Loading(_) => None,
        }
    }
}

impl View {
    fn unknown() -> Self {
        Self {
            as_of: Index::ZERO,
            known: false,
            slots: SlotMap::even(1, 1),
            shards: Vec::new(),
            databases: Vec::new(),
            users: Users::unknown(),
            addresses: Vec::new(),
        }
    }

    /// The first slot behind those of `group` that another group keeps: where a walk over all keys goes on.
    pub fn first_slot_after(&self, group: GroupId) -> Option<ScanPosition> {
        let last = self.slots.ranges_of(group).last()?.last;
        Slot::new(last.number() + 1).map(|slot| ScanPosition { slot, hash: 0 })
    }
}

impl Node {
    /// Starts a node from what its disk holds. An identity must have been recovered. `peers`: who could be reached when
    /// it joined, for its first start, when it knows nobody else.
    ///
    /// # Panics
    /// If there is no identity: then the node must first found or join a cluster.
    pub fn new(
        config: Config,
        recovery: Recovery,
        peers: Vec<PeerAddress>,
        now: Time,
        wall: UnixMillis,
    ) -> Self {
        let identity = recovery.identity.expect("a node is started in a directory that has an identity");
        let session = SessionId { node: identity.node, start: identity.start };
        let gateway = twophase::GatewayConfig {
            clock_drift_permille: config.clock_drift_permille,
            #[cfg(feature = "bugs")]
            bugs: config.bugs.twophase,
            ..twophase::GatewayConfig::new(session)
        };
        let mut node = Self {
            commits: Commits::new(gateway),
            hub: Hub::new(config, session, 0, now, wall),
            replicas: Vec::new(),
            lanes: Vec::new(),
            lanes_dirty: BTreeSet::new(),
            view: View::unknown(),
            jobs: BTreeMap::new(),
            runs: Runs::default(),
            scripts: Running::default(),
            subscriptions: Subscriptions::default(),
            tracking: Tracking::default(),
            monitors: BTreeSet::new(),
            pause: Pause::default(),
            slow_log: SlowLog::default(),
            sleepers: Vec::new(),
            lets_expire: true,
            broadcasts: Broadcasts::default(),
            before: Before::default(),
            replicas_min: 0,
            pool: Pool::default(),
            blocked: Blocked::default(),
            access_log: AccessLog::default(),
            next_job: 0,
            exports: BTreeMap::new(),
            migrations: BTreeMap::new(),
            loading: true,
            started: now,
            machine_facts: MachineFacts::default(),
            disk: DiskState::default(),
            joins: BTreeMap::new(),
            asked_of_meta: Vec::new(),
            decided: Vec::new(),
            cluster: identity.cluster,
            generations: BTreeMap::new(),
            damaged: BTreeSet::new(),
            next_ask: now,
            last_taken: 0,
            next_tick: now,
            next_beat: now,
            stopping: None,
            stopped: false,
        };
        for note in recovery.notes {
            node.hub.note(Level::Warn, note.0);
        }
        node.tell_wall();
        node.begin_loading(&identity, recovery.groups);
        node.view.addresses = peers;
        node.tell_peers();
        node
    }

    /// Makes room for a group that was heard of.
    pub(crate) fn ensure_group(&mut self, group: GroupId) {
        let count = group.0 as usize + 1;
        while self.replicas.len() < count {
            self.lanes.push(Lane::new(GroupId(self.replicas.len() as u32)));
            self.replicas.push(Copy::None);
        }
        let now = self.hub.now;
        while self.hub.leaders.len() < count {
            let hint = crate::hub::LeaderHint { missing_since: Some(now), ..Default::default() };
            self.hub.leaders.push(hint);
        }
    }

    /// Up to which entry of meta's log this node knows it.
    pub(crate) fn view_as_of(&self) -> Index {
        self.view.as_of
    }

    /// The meta group's state, as far as this node has it.
    pub(crate) fn meta(&self) -> Option<&Meta> {
        self.replicas.first()?.as_live()?.machine.meta()
    }

    /// A copy comes to life.
    pub(crate) fn enliven(&mut self, replica: Replica) {
        let group = replica.group;
        #[cfg(feature = "bugs")]
        let replica = {
            let mut replica = replica;
            replica.machine.bugs = self.hub.config.bugs;
            replica.machine.ledger.bugs = self.hub.config.bugs.twophase;
            replica.set_bugs(self.hub.config.bugs.twophase);
            replica
        };
        self.ensure_group(group);
        self.note_generation(group, replica.id().generation);
        self.replicas[group.0 as usize] = Copy::Live(Box::new(replica));
        self.hub.dirty.push(group);
    }

    /// Copies up to this generation have lived here: none of them may come again.
    pub(crate) fn note_generation(&mut self, group: GroupId, generation: u32) {
        let newest = self.generations.entry(group).or_default();
        *newest = generation.max(*newest);
    }

    /// Who leads a group, as far as this node knows, if it can be reached.
    pub(crate) fn leader_of(&self, group: GroupId) -> Option<NodeId> {
        let own = self.replicas.get(group.0 as usize)?.as_live();
        if let Some(replica) = own
            && let Some(leader) = replica.raft.leader()
        {
            if leader.node == self.hub.me {
                return Some(leader.node).filter(|_| replica.serves());
            }
            if self.hub.peers.get(&leader.node).is_some_and(|peer| peer.up) {
                return Some(leader.node);
            }
        }
        let hinted = self.hub.leader_hint(group)?;
        let reachable = self.hub.peers.get(&hinted).is_some_and(|peer| peer.up);
        (hinted != self.hub.me && reachable).then_some(hinted)
    }

    /// Reads what every command needs out of meta, if it has changed.
    pub(crate) fn refresh_view(&mut self) {
        let Some(replica) = self.replicas.first().and_then(Copy::as_live) else { return };
        let as_of = replica.machine.applied;
        if self.view.as_of == as_of && self.view.known {
            return;
        }
        let Some(meta) = replica.machine.meta() else { return };
        let timing = meta.timing();
        let slots = meta.slots().clone();
        let addresses: Vec<PeerAddress> = meta
            .active()
            .map(|(node, member)| PeerAddress { node, address: member.addresses.peer.clone() })
            .collect();
        let count = meta.databases().keys().map(|index| index.0 + 1).max().unwrap_or(0);
        let databases =
            (0..count).map(|index| meta.database(base::DatabaseIndex(index)).map(|(id, _)| id)).collect();
        let listening = meta.events();
        let encodings = crate::views::config::encodings::of(meta);
        let memory = crate::views::config::memory::of(meta);
        let replicas_min = crate::views::config::durability::of(meta).replicas_min;
        let removed = meta.is_removed(self.hub.me);
        let moved = addresses != self.view.addresses;
        let swapped = databases != self.view.databases;
        if self.hub.tracks && swapped {
            // Databases were exchanged, or one was dropped.
            self.hub.changes.push(Change::anything());
        }
        let shards: Vec<GroupId> = slots.groups().into_iter().collect();
        if let Some(last) = shards.last() {
            self.ensure_group(*last);
        }
        self.meet_shards(&shards);
        self.hub.listening = listening;
        self.hub.encodings = encodings;
        self.hub.memory.limits = memory;
        self.replicas_min = replicas_min;
        for replica in self.replicas.iter_mut().filter_map(Copy::live) {
            if let Some(keyspace) = replica.machine.keyspace_mut() {
                keyspace.set_encodings(encodings);
                keyspace.set_counting(memory.counting);
            }
        }
        let users = std::mem::replace(&mut self.view.users, Users::unknown());
        self.view = View { as_of, known: true, slots, shards, databases, users, addresses };
        self.refresh_users();
        if swapped {
            self.follow_databases();
        }
        self.measure_memory();
        if removed {
            self.hub.fatal(
                "this node was removed from its cluster, or another one took its place: start it with an empty \
                 directory to join anew"
                    .to_string(),
            );
        }
        let config = &self.hub.config;
        if timing.election_timeout != config.election_timeout
            || timing.clock_drift_permille != config.clock_drift_permille
            || timing.lease_reads != config.lease_reads
        {
            self.hub.fatal(format!(
                "this cluster was founded with an election timeout of {} ms, a clock drift of {} permille and lease reads \
                 {}, on which its leases rest: start this node with the same",
                timing.election_timeout.as_millis(),
                timing.clock_drift_permille,
                if timing.lease_reads { "on" } else { "off" }
            ));
        }
        if moved {
            self.tell_peers();
        }
    }

    /// Sends what waits in lanes whose leader is known.
    fn flush_lanes(&mut self) {
        for group in std::mem::take(&mut self.lanes_dirty) {
            let at = group.0 as usize;
            let leader = self.leader_of(group);
            let Some(lane) = self.lanes.get_mut(at) else { continue };
            let due = lane.due(&mut self.hub, leader);
            for request in due {
                if leader == Some(self.hub.me) {
                    self.free_memory();
                    if let Some(replica) = self.replicas[at].live() {
                        replica.serve(&mut self.hub, request);
                    }
                } else if let Some(leader) = leader {
                    self.hub.send(leader, &PeerMessage::Request(request));
                }
            }
        }
    }

    fn flush_groups(&mut self) {
        while !self.hub.dirty.is_empty() {
            let mut dirty = std::mem::take(&mut self.hub.dirty);
            dirty.sort_unstable();
            dirty.dedup();
            for group in &dirty {
                if let Some(replica) = self.replicas[group.0 as usize].live() {
                    replica.flush(&mut self.hub);
                }
            }
            dirty.clear();
            if self.hub.dirty.is_empty() {
                self.hub.dirty = dirty;
                break;
            }
        }
    }

    fn settle_all(&mut self) {
        while let Some((group, waiter, verdict)) = self.hub.verdicts.pop_front() {
            self.settle(group, waiter, verdict);
        }
    }

    /// Whether the shards that this node leads let keys go.
    fn may_expire(&self) -> bool {
        self.lets_expire && !self.pause.is_on() && !self.hub.clock_off
    }

    fn expire(&mut self) {
        if !self.may_expire() {
            return;
        }
        for at in 0..self.replicas.len() {
            if let Some(replica) = self.replicas[at].live() {
                replica.expire(&mut self.hub);
            }
        }
    }
}

impl Core for Node {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, _out: &mut Outbox<Effect>) {
        self.hub.set_now(now);
        match input {
            Input::Connected { client, address, loopback } => self.connected(client, address, loopback),
            Input::Received { client, bytes } => self.received(client, bytes),
            Input::Backlog { client, bytes } => {
                if let Some(slot) = self.hub.clients.slot(client) {
                    self.hub.clients.backlog(slot, bytes);
                }
            }
            Input::Finished { client } => {
                // Who waits without end and says that nothing follows has gone.
                self.blocked_client_gone(client);
                self.hub.clients.finish(client);
            }
            Input::Closed { client } => {
                self.client_gone(client);
            }
            Input::PeerUp { node } => self.peer_up(node),
            Input::PeerDown { node } => self.peer_down(node),
            Input::Peer { from, bytes } => self.peer_frame(from, bytes),
            Input::Join { ticket, request } => self.asked_to_join(ticket, request),
            Input::Disk(completion) => self.disk_done(completion),
            Input::Worked(work) => self.worked(*work),
            Input::WallClock(wall) => self.set_clock(wall),
            Input::Migrated { job, outcome } => self.migrated(job, outcome),
            Input::Machine(facts) => self.machine_facts = facts,
            Input::Shutdown => self.stop(),
        }
    }

    fn flush(&mut self, now: Time, out: &mut Outbox<Effect>) {
        self.hub.set_now(now);
        if self.hub.now >= self.next_tick {
            self.tick();
        }
        self.expire();
        self.measure_memory();
        self.free_memory();
        self.wake_runs();
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            let deadlines = [replica.raft.deadline(), replica.transactions.participant.deadline()];
            if deadlines.into_iter().flatten().any(|at| at <= self.hub.now) {
                self.hub.dirty.push(replica.group);
            }
        }
        for (at, lane) in self.lanes.iter().enumerate() {
            if !lane.is_empty() || lane.has_due(self.hub.now) {
                self.lanes_dirty.insert(GroupId(at as u32));
            }
        }
        if !self.exports.is_empty() {
            self.go_on_exporting();
        }
        // Applying frees clients to go on, what they then ask wants groups and lanes again, and so on until all is
        // quiet.
        loop {
            self.flush_lanes();
            self.flush_groups();
            self.tend_commits();
            self.measure_memory();
            self.name_changers();
            self.tell_slow();
            self.settle_all();
            for id in std::mem::take(&mut self.hub.offers) {
                self.offered(id);
            }
            self.publish_events();
            // What clients ask next must rest on what they were told.
            self.refresh_view();
            self.tell_changes();
            self.answer_decided();
            self.resume_clients();
            if self.hub.dirty.is_empty()
                && self.lanes_dirty.is_empty()
                && self.hub.verdicts.is_empty()
                && self.hub.offers.is_empty()
                && self.hub.said.is_empty()
                && !self.commits.has_effects()
            {
                break;
            }
        }
        self.hub.counters.clients = self.hub.clients.len() as u64;
        self.hub.flush(out);
    }

    fn deadline(&self) -> Option<Time> {
        if self.hub.clients.has_resumable() {
            return Some(self.hub.now);
        }
        let mut first = self.next_tick;
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            let deadlines = [replica.raft.deadline(), replica.transactions.participant.deadline()];
            for at in deadlines.into_iter().flatten() {
                first = first.min(at);
            }
            if let Some(at) = replica.next_expiry(self.hub.now).filter(|_| self.may_expire()) {
                first = first.min(self.hub.clock.when(at));
            }
        }
        first = self.runs.deadline().map_or(first, |at| first.min(at));
        // A lane that pauses goes on by itself; one that waits for a leader is woken by the news of it.
        for at in self.lanes.iter().filter_map(Lane::deadline).filter(|at| *at > self.hub.now) {
            first = first.min(at);
        }
        if let Some(at) = self.commits.gateway.deadline() {
            first = first.min(at);
        }
        Some(first)
    }

    fn check(&self) {
        self.commits.gateway.check();
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            replica.raft.check();
            replica.check();
        }
        if let Some(meta) = self.meta() {
            meta.check();
        }
    }
}

impl Node {
    /// What every group of this node has applied, and a digest of its state, for checkers.
    pub fn digests(&self) -> Vec<(GroupId, Index, u64)> {
        let live = self.replicas.iter().filter_map(Copy::as_live);
        live.filter(|replica| !matches!(replica.machine.state, State::Blank))
            .map(|replica| (replica.group, replica.machine.applied, replica.machine.digest()))
            .collect()
    }
}
