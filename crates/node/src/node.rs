//! The node: composition and dispatch, nothing else. One input at a time comes in at [`Core::step`]; [`Core::flush`]
//! lets every group that was touched propose, append and persist once for all of them.

use crate::api::{Config, Effect, Input, JoinReply, JoinRequest, Level, Machine as MachineFacts, PeerAddress};
use crate::clients::Ticket;
use crate::hub::{DiskRead, DiskWrite, Hub, Peer, Waiter};
use crate::lanes::Lane;
use crate::machine::{Machine, State, WallClock};
use crate::meta::{Meta, MetaCommand, MetaOutcome, PasswordDigest};
use crate::op::Op;
use crate::replica::Replica;
use crate::scatter::Job;
use crate::start::Loading;
use crate::transfer::serve_piece;
use crate::wire::{Answer, Lead, PeerMessage};
use base::codec::{Decode, Decoder, Encode};
use base::database::ScanPosition;
use base::{
    Core, DatabaseId, Duration, GroupId, Index, NodeId, Outbox, ReplicaId, SessionId, Slot, Time, UnixMillis,
};
use bytes::Bytes;
use raft::Input as RaftInput;
use routing::SlotMap;
use std::collections::{BTreeMap, BTreeSet};
use storage::{DiskCompletion, DiskRequest, Failure, Op as DiskOp, Recovery, SnapshotId, Token, WriteError};

/// How often what has no moment of its own is looked at.
const TICK: Duration = Duration::from_millis(25);
/// A link must have been up for so long before leadership is handed to its other end, so that a node that has just
/// come back isn't burdened at once.
const SETTLE: Duration = Duration::from_millis(500);
/// A link is silent if so many looks in a row found it so; one alone may only say that this node itself was stopped.
const SILENT_LOOKS: u32 = 2;

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
    pub(crate) next_job: u64,
    /// Whether it has just started and doesn't know yet whether its shards serve.
    pub(crate) loading: bool,
    pub(crate) started: Time,
    pub(crate) machine_facts: MachineFacts,
    pub(crate) disk: DiskState,
    joins: BTreeMap<u64, NodeJoin>,
    generations: BTreeMap<GroupId, u32>,
    next_tick: Time,
    next_beat: Time,
    stopping: Option<Time>,
    stopped: bool,
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
    pinned: BTreeSet<GroupId>,
}

#[derive(Debug)]
struct NodeJoin {
    request: JoinRequest,
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
    password: Option<PasswordDigest>,
    addresses: Vec<PeerAddress>,
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
            password: None,
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
    pub fn new(config: Config, recovery: Recovery, peers: Vec<PeerAddress>, now: Time, wall: UnixMillis) -> Self {
        let identity = recovery.identity.expect("a node is started in a directory that has an identity");
        let session = SessionId { node: identity.node, start: identity.start };
        let mut node = Self {
            hub: Hub::new(config, session, 0, now, wall),
            replicas: Vec::new(),
            lanes: Vec::new(),
            lanes_dirty: BTreeSet::new(),
            view: View::unknown(),
            jobs: BTreeMap::new(),
            next_job: 0,
            loading: true,
            started: now,
            machine_facts: MachineFacts::default(),
            disk: DiskState::default(),
            joins: BTreeMap::new(),
            generations: BTreeMap::new(),
            next_tick: now,
            next_beat: now,
            stopping: None,
            stopped: false,
        };
        for note in recovery.notes {
            node.hub.note(Level::Warn, note.0);
        }
        node.begin_loading(identity.cluster, recovery.groups);
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

    pub(crate) fn password(&self) -> Option<&PasswordDigest> {
        self.view.password.as_ref()
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

    // Peers.

    fn tell_peers(&mut self) {
        let me = self.hub.me;
        let others: Vec<PeerAddress> = self.view.addresses.iter().filter(|peer| peer.node != me).cloned().collect();
        let now = self.hub.now;
        for peer in &others {
            self.hub.peers.entry(peer.node).or_insert_with(|| Peer::new(now));
        }
        self.hub.peers.retain(|node, _| others.iter().any(|peer| peer.node == *node));
        self.hub.out.push(Effect::Peers(others));
    }

    fn peer_up(&mut self, node: NodeId) {
        let now = self.hub.now;
        let peer = self.hub.peers.entry(node).or_insert_with(|| Peer::new(now));
        peer.up = true;
        peer.up_since = now;
        peer.heard = now;
        for group in 0..self.lanes.len() {
            self.lanes_dirty.insert(GroupId(group as u32));
        }
    }

    fn peer_down(&mut self, node: NodeId) {
        if let Some(peer) = self.hub.peers.get_mut(&node) {
            peer.cut();
        }
        for lane in &mut self.lanes {
            lane.link_lost(node);
        }
        for at in 0..self.replicas.len() {
            let Some(replica) = self.replicas[at].live() else { continue };
            if let Some(peer) = replica.raft.membership().on_node(node)
                && replica.raft.is_leader()
            {
                replica.step(&mut self.hub, RaftInput::Unreachable { peer });
            }
        }
    }

    fn peer_frame(&mut self, from: NodeId, bytes: Bytes) {
        let now = self.hub.now;
        let Some(peer) = self.hub.peers.get_mut(&from) else { return };
        peer.heard = now;
        let mut decoder = Decoder::new(bytes);
        while !decoder.is_empty() {
            match PeerMessage::decode(&mut decoder) {
                Ok(message) => self.peer_message(from, message),
                Err(error) => {
                    self.hub.note(
                        Level::Warn,
                        format!("node {from} sent something that can't be read ({error}); the rest of it was dropped"),
                    );
                    return;
                }
            }
        }
    }

    fn peer_message(&mut self, from: NodeId, message: PeerMessage) {
        match message {
            PeerMessage::Raft { group, message } => self.raft_message(from, group, message),
            PeerMessage::Beat { wall_ms, leads } => self.beat_heard(from, wall_ms, leads),
            PeerMessage::Request(request) => {
                let waiter = Waiter::Remote { session: request.session, id: request.id };
                let group = request.group;
                if request.session.node != from {
                    return;
                }
                match self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    Some(replica) => replica.serve(&mut self.hub, request),
                    None => self.hub.tell(group, waiter, crate::hub::Verdict::Elsewhere(None)),
                }
            }
            PeerMessage::Reply(reply) if reply.session == self.hub.session => {
                let Some(lane) = self.lanes.get_mut(reply.group.0 as usize) else { return };
                let verdict = match reply.answer {
                    Answer::Done(bytes) => crate::hub::Verdict::Done(bytes),
                    Answer::NotLeader(_) => crate::hub::Verdict::Elsewhere(None),
                    Answer::Gap => crate::hub::Verdict::Gap,
                    Answer::Refused(error) => crate::hub::Verdict::Refused(error),
                    Answer::Forgotten => crate::hub::Verdict::Unknown,
                };
                lane.answered(&mut self.hub, from, reply.id, verdict);
                self.lanes_dirty.insert(reply.group);
            }
            PeerMessage::Reply(_) => {}
            PeerMessage::ChunkRequest(name) => {
                if let Some(replica) = self.replicas.get_mut(name.group.0 as usize).and_then(Copy::live) {
                    replica.piece_served_at = self.hub.now;
                    serve_piece(&mut self.hub, from, name);
                }
            }
            PeerMessage::Chunk { name, bytes } => {
                if let Some(replica) = self.replicas.get_mut(name.group.0 as usize).and_then(Copy::live) {
                    replica.piece_arrived(&mut self.hub, name, bytes);
                }
            }
            PeerMessage::Removed { group, replica } => self.removed(group, replica),
        }
    }

    /// The most groups that a node will hear of; what names more is not from a node of ours.
    const GROUPS_MAX: u32 = 1 << 16;

    fn raft_message(&mut self, from: NodeId, group: GroupId, message: raft::Message) {
        if message.from.node != from || message.to.node != self.hub.me || group.0 >= Self::GROUPS_MAX {
            return;
        }
        self.ensure_group(group);
        let at = group.0 as usize;
        match &mut self.replicas[at] {
            Copy::Loading(_) => {}
            Copy::Live(replica) if replica.id() == message.to => {
                let stranger = !replica.raft.membership().contains(message.from);
                if stranger && replica.serves() && !replica.raft.membership().is_joint() {
                    let note = PeerMessage::Removed { group, replica: message.from };
                    self.hub.send(from, &note);
                }
                replica.step(&mut self.hub, RaftInput::Message(message));
            }
            _ => {
                if self.generations.get(&group).is_none_or(|last| message.to.generation > *last) {
                    self.create_replica(group, message.to);
                    if let Some(replica) = self.replicas[at].live() {
                        replica.step(&mut self.hub, RaftInput::Message(message));
                    }
                }
            }
        }
    }

    /// A group's leader has called a new copy into being on this node.
    fn create_replica(&mut self, group: GroupId, id: ReplicaId) {
        if self.replicas[group.0 as usize].as_live().is_some() {
            self.hub.disk_ops.push(DiskOp::DropReplica { group });
        }
        self.hub.disk_ops.push(DiskOp::CreateReplica { group, replica: id });
        let raft = self.make_raft(id, group, raft::Recovered::joining());
        self.enliven(Replica::new(group, raft, Machine::new(State::Blank)));
    }

    /// The leader says that this copy is in the group no longer.
    fn removed(&mut self, group: GroupId, id: ReplicaId) {
        let at = group.0 as usize;
        let placement = self.meta().and_then(|meta| meta.placement_of(group));
        let unwanted = placement.is_some_and(|placement| placement.all().all(|wanted| wanted != id));
        let Some(replica) = self.replicas.get_mut(at).and_then(Copy::live).filter(|_| unwanted) else { return };
        if replica.id() != id || replica.raft.is_leader() {
            return;
        }
        replica.forget_inflight(&mut self.hub);
        self.hub.note(Level::Info, format!("this node's copy of {group} is wanted no longer and was removed"));
        self.hub.disk_ops.push(DiskOp::DropReplica { group });
        self.replicas[at] = Copy::None;
    }

    fn beat_heard(&mut self, from: NodeId, wall_ms: u64, leads: Vec<Lead>) {
        let mine = self.hub.wall().0;
        if let Some(peer) = self.hub.peers.get_mut(&from) {
            peer.clock_ahead_ms = Some(wall_ms as i64 - mine as i64);
        }
        for lead in leads {
            if lead.group.0 >= Self::GROUPS_MAX {
                continue;
            }
            self.ensure_group(lead.group);
            let before = self.hub.leaders[lead.group.0 as usize].node;
            self.hub.heard_of_leader(lead.group, lead.term, Some(from));
            if before != self.hub.leaders[lead.group.0 as usize].node {
                self.lanes_dirty.insert(lead.group);
            }
        }
    }

    fn beat(&mut self) {
        let leads = self.replicas.iter().filter_map(Copy::as_live).filter(|replica| replica.serves());
        let leads = leads.map(|replica| Lead { group: replica.group, term: replica.raft.term() }).collect();
        let message = PeerMessage::Beat { wall_ms: self.hub.wall().0, leads };
        let peers: Vec<NodeId> = self.hub.peers.keys().copied().collect();
        for node in peers {
            self.hub.send(node, &message);
        }
        self.judge_clock();
    }

    /// Replaces links on which nothing has come for two heartbeats.
    fn replace_silent_links(&mut self) {
        let silence = self.hub.config.heartbeat_interval * 2;
        let now = self.hub.now;
        let mut silent = Vec::new();
        for (node, peer) in &mut self.hub.peers {
            if !peer.up || now.since(peer.heard.max(peer.up_since)) <= silence {
                peer.silent_looks = 0;
                continue;
            }
            peer.silent_looks += 1;
            if peer.silent_looks > SILENT_LOOKS {
                peer.silent_looks = 0;
                silent.push(*node);
            }
        }
        for node in silent {
            self.peer_down(node);
            self.hub.out.push(Effect::Relink { node });
        }
    }

    /// Whether this node's clock is off from the majority's: the median of all clocks, its own among them.
    fn judge_clock(&mut self) {
        let mut ahead: Vec<i64> = self.hub.peers.values().filter_map(|peer| peer.clock_ahead_ms).collect();
        ahead.push(0);
        ahead.sort_unstable();
        let median = ahead[ahead.len() / 2];
        let bound = self.hub.config.clock_skew_max.as_millis() as i64;
        // Of two clocks nobody can say which is off.
        let off = ahead.len() > 2 && median.abs() > bound;
        if off != self.hub.clock_off {
            self.hub.clock_off = off;
            let text = if off {
                format!(
                    "this node's clock is {} ms {} the majority's: it hands its leaderships over and lets no key expire \
                     until the clock is right",
                    median.abs(),
                    if median > 0 { "behind" } else { "ahead of" }
                )
            } else {
                "this node's clock agrees with the majority's again".to_string()
            };
            self.hub.note(if off { Level::Error } else { Level::Info }, text);
        }
    }

    // Joining.

    fn asked_to_join(&mut self, ticket: u64, request: JoinRequest) {
        let command = MetaCommand::AddNode { request: request.clone() }.to_bytes();
        self.joins.insert(ticket, NodeJoin { request });
        self.ensure_group(GroupId::META);
        self.write(GroupId::META, Waiter::Join(ticket), &Op::Meta(&command));
    }

    pub(crate) fn join_decided(&mut self, ticket: u64, outcome: Option<Bytes>) {
        let Some(join) = self.joins.remove(&ticket) else { return };
        let Some(outcome) = outcome.and_then(|bytes| MetaOutcome::from_bytes(bytes).ok()) else { return };
        let reply = match outcome {
            MetaOutcome::Joined { node } => {
                let Some(meta) = self.meta() else { return };
                let mut peers: Vec<PeerAddress> = meta
                    .active()
                    .filter(|(id, _)| *id != node)
                    .map(|(id, member)| PeerAddress { node: id, address: member.addresses.peer.clone() })
                    .collect();
                // The node that answers may not have applied its own joining yet; it is a member all the same.
                if peers.iter().all(|peer| peer.node != self.hub.me) {
                    let address = self.hub.config.addresses.peer.clone();
                    peers.push(PeerAddress { node: self.hub.me, address });
                }
                self.hub.note(Level::Info, format!("node {node} at {} has joined", join.request.addresses.peer));
                JoinReply::Welcome { cluster: meta_cluster(self), node, peers }
            }
            MetaOutcome::Refused(why) => JoinReply::Refused(why),
            MetaOutcome::Done | MetaOutcome::Replaced { .. } => return,
        };
        self.hub.out.push(Effect::JoinReply { ticket, reply });
    }

    /// A client's change of meta's state was decided.
    pub(crate) fn meta_decided(&mut self, ticket: Ticket, reply: Result<Bytes, Bytes>) {
        let reply = reply.and_then(|bytes| match MetaOutcome::from_bytes(bytes) {
            Ok(MetaOutcome::Refused(why)) => Err(Bytes::from(format!("-ERR {why}\r\n"))),
            Ok(_) => Ok(Bytes::from_static(b"+OK\r\n")),
            Err(_) => Err(Bytes::from_static(b"-ERR a node of another release answered something unknown\r\n")),
        });
        let reply = reply.unwrap_or_else(|error| error);
        self.hub.clients.answer(ticket, &reply);
    }

    // The disk.

    fn disk_done(&mut self, completion: DiskCompletion) {
        match completion {
            DiskCompletion::Written { token, report } => {
                self.hub.disk.written(token);
                if self.hub.disk.has_room(&mut self.hub.out) {
                    self.hub.note(Level::Info, "the disk has room again; writes go on");
                }
                self.disk.log_bytes = report.log_bytes;
                for note in report.notes {
                    self.hub.note(Level::Warn, note.0);
                }
                self.disk.degraded = report.degraded;
                self.disk.pinned = report.oldest_segment_groups.into_iter().collect();
                match self.hub.disk_writes.remove(&token) {
                    Some(DiskWrite::Raft(marks)) => {
                        for (group, token) in marks {
                            if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                                replica.step(&mut self.hub, RaftInput::Persisted { token });
                            }
                        }
                    }
                    Some(DiskWrite::Snapshot { group, sealed }) => {
                        if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                            replica.snapshot_written(&mut self.hub, sealed);
                        }
                    }
                    None => {}
                }
            }
            DiskCompletion::Entries { token, entries, .. } => self.disk_read(token, Some(entries), None),
            DiskCompletion::Chunk { token, bytes, .. } => self.disk_read(token, None, Some(bytes)),
            DiskCompletion::Failed { token, failure } => self.disk_failed(token, failure),
        }
    }

    fn disk_read(&mut self, token: Token, entries: Option<Vec<base::Entry>>, bytes: Option<Bytes>) {
        match self.hub.disk_reads.remove(&token) {
            Some(DiskRead::Piece { to, name }) => self.hub.send(to, &PeerMessage::Chunk { name, bytes }),
            Some(DiskRead::Load(group)) => self.loaded(group, bytes),
            Some(DiskRead::Entries(group, first)) => {
                if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    let entries = entries.unwrap_or_default();
                    replica.step(&mut self.hub, RaftInput::EntriesLoaded { first, entries });
                }
            }
            None => {}
        }
    }

    fn disk_failed(&mut self, token: Token, failure: Failure) {
        match failure {
            Failure::Read(error) => {
                self.hub.note(Level::Warn, format!("reading from the disk failed: {error}"));
                self.disk_read(token, None, None);
            }
            Failure::Write(error @ WriteError::Full(_)) => {
                if self.hub.disk.found_full(token, self.hub.now) {
                    self.hub.note(
                        Level::Error,
                        format!("{error}; nothing acknowledged is lost. Writes are refused until there is room"),
                    );
                }
            }
            Failure::Write(error) => self.hub.fatal(error.to_string()),
        }
    }

    // Time.

    fn tick(&mut self) {
        self.next_tick = self.hub.now + TICK;
        self.refresh_view();
        let now = self.hub.now;
        if now >= self.next_beat {
            self.next_beat = now + self.hub.config.heartbeat_interval;
            self.beat();
        }
        self.replace_silent_links();
        let placements: BTreeMap<GroupId, crate::meta::Placement> =
            self.meta().map(|meta| meta.placement().clone()).unwrap_or_default();
        let log_bytes_max = self.hub.config.log_bytes_max;
        let stopping = self.stopping.is_some() || self.hub.clock_off;
        for at in 0..self.replicas.len() {
            let Some(replica) = self.replicas[at].live() else { continue };
            let pinned = self.disk.pinned.contains(&replica.group);
            replica.tend_snapshot(&mut self.hub, log_bytes_max, pinned);
            replica.tend_install(&mut self.hub);
            replica.tend_cache(&self.hub.config);
            replica.time_out(&mut self.hub);
            if stopping {
                replica.hand_over(&mut self.hub);
            } else if let Some(wanted) = placements.get(&replica.group) {
                replica.tend_members(&mut self.hub, wanted);
                replica.tend_leadership(&mut self.hub, wanted, SETTLE);
            }
        }
        self.tend_lanes();
        self.tend_loading();
        self.hub.disk.retry(now, &mut self.hub.out);
        self.tend_stopping();
    }

    fn tend_lanes(&mut self) {
        let now = self.hub.now;
        let patience = self.hub.patience();
        for at in 0..self.lanes.len() {
            let group = GroupId(at as u32);
            let leader = self.leader_of(group);
            let hint = &mut self.hub.leaders[at];
            let missing = match leader {
                Some(_) => {
                    hint.missing_since = None;
                    false
                }
                None => now.since(*hint.missing_since.get_or_insert(now)) > patience,
            };
            if !self.lanes[at].is_empty() {
                self.lanes[at].give_up(&mut self.hub, missing);
                self.lanes_dirty.insert(group);
            }
        }
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
    fn refresh_view(&mut self) {
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
        let databases = (0..count).map(|index| meta.database(base::DatabaseIndex(index)).map(|(id, _)| id)).collect();
        let password = meta.password();
        let removed = meta.is_removed(self.hub.me);
        let moved = addresses != self.view.addresses;
        let shards: Vec<GroupId> = slots.groups().into_iter().collect();
        if let Some(last) = shards.last() {
            self.ensure_group(*last);
        }
        self.view = View { as_of, known: true, slots, shards, databases, password, addresses };
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

    fn tend_loading(&mut self) {
        if !self.loading || !self.view.known {
            return;
        }
        let waited = self.hub.now.since(self.started) > self.hub.patience();
        let decided = |group: GroupId| {
            let copy = &self.replicas[group.0 as usize];
            let led = self.leader_of(group).is_some();
            !matches!(copy, Copy::Loading(_)) && (led || waited)
        };
        if self.view.shards.iter().copied().all(decided) {
            self.loading = false;
        }
    }

    fn tend_stopping(&mut self) {
        let Some(since) = self.stopping else { return };
        let leads = self.replicas.iter().filter_map(Copy::as_live).any(|replica| {
            replica.raft.is_leader() && replica.raft.membership().voters.len() > 1
        });
        let unsettled = self.replicas.iter().filter_map(Copy::as_live).any(|replica| !replica.is_settled());
        let patience = self.hub.config.request_timeout / 2;
        if ((!leads && !unsettled) || self.hub.now.since(since) > patience) && !self.stopped {
            self.stopped = true;
            self.hub.out.push(Effect::Stopped);
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

    fn expire(&mut self) {
        for at in 0..self.replicas.len() {
            if let Some(replica) = self.replicas[at].live() {
                replica.expire(&mut self.hub);
            }
        }
    }
}

fn meta_cluster(node: &Node) -> u128 {
    node.meta().map_or(0, Meta::cluster)
}

impl Core for Node {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, _out: &mut Outbox<Effect>) {
        self.hub.now = self.hub.now.max(now);
        match input {
            Input::Connected { client, address, loopback } => self.connected(client, address, loopback),
            Input::Received { client, bytes } => self.received(client, bytes),
            Input::Backlog { client, bytes } => {
                if let Some(slot) = self.hub.clients.slot(client) {
                    self.hub.clients.backlog(slot, bytes);
                }
            }
            Input::Closed { client } => {
                self.hub.clients.close(client);
            }
            Input::PeerUp { node } => self.peer_up(node),
            Input::PeerDown { node } => self.peer_down(node),
            Input::Peer { from, bytes } => self.peer_frame(from, bytes),
            Input::Join { ticket, request } => self.asked_to_join(ticket, request),
            Input::Disk(completion) => self.disk_done(completion),
            Input::WallClock(wall) => self.hub.clock = WallClock::new(self.hub.now, wall),
            Input::Machine(facts) => self.machine_facts = facts,
            Input::Shutdown => {
                self.stopping.get_or_insert(now);
                self.next_tick = now;
            }
        }
    }

    fn flush(&mut self, now: Time, out: &mut Outbox<Effect>) {
        self.hub.now = self.hub.now.max(now);
        if self.hub.now >= self.next_tick {
            self.tick();
        }
        self.expire();
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            if replica.raft.deadline().is_some_and(|at| at <= self.hub.now) {
                self.hub.dirty.push(replica.group);
            }
        }
        for (at, lane) in self.lanes.iter().enumerate() {
            if !lane.is_empty() {
                self.lanes_dirty.insert(GroupId(at as u32));
            }
        }
        // Applying frees clients to go on, what they then ask wants groups and lanes again, and so on until all is
        // quiet.
        loop {
            self.flush_lanes();
            self.flush_groups();
            self.settle_all();
            self.resume_clients();
            self.refresh_view();
            if self.hub.dirty.is_empty() && self.lanes_dirty.is_empty() && self.hub.verdicts.is_empty() {
                break;
            }
        }
        self.hub.counters.clients = self.hub.clients.len() as u64;
        self.hub.flush(out);
    }

    fn deadline(&self) -> Option<Time> {
        let mut first = self.next_tick;
        for replica in self.replicas.iter().filter_map(Copy::as_live) {
            if let Some(at) = replica.raft.deadline() {
                first = first.min(at);
            }
            if let Some(at) = replica.next_expiry() {
                first = first.min(self.hub.clock.when(at));
            }
        }
        // A lane that pauses goes on by itself; one that waits for a leader is woken by the news of it.
        for at in self.lanes.iter().filter_map(Lane::deadline).filter(|at| *at > self.hub.now) {
            first = first.min(at);
        }
        Some(first)
    }

    fn check(&self) {
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

    pub(crate) fn read_chunk(&mut self, group: GroupId, snapshot: SnapshotId, number: u32) {
        let token = self.hub.disk_token();
        self.hub.disk_reads.insert(token, DiskRead::Load(group));
        self.hub.out.push(Effect::Disk(DiskRequest::ReadChunk { token, group, snapshot, number }));
    }
}
