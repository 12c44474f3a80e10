//! The other members: links, beats, and where each of their messages goes.

use crate::api::{Effect, Level, PeerAddress};
use crate::hub::{Peer, Verdict, Waiter};
use crate::machine::{Machine, State, WallClock};
use crate::node::{Copy, Node};
use crate::replica::Replica;
use crate::transfer::serve_piece;
use crate::waitlist::WaitToken;
use crate::wire::{Answer, Lead, PeerMessage};
use base::codec::{Decode, Decoder};
use base::{GroupId, NodeId, ReplicaId, UnixMillis};
use bytes::Bytes;
use raft::Input as RaftInput;
use storage::Op as DiskOp;

/// A link is silent if so many looks in a row found it so; one alone may only say that this node itself was stopped.
const SILENT_LOOKS: u32 = 2;

/// How many beats it takes to judge a clock.
const CLOCK_SAMPLES: usize = 8;
/// A clock that seems to be off by more than this is, whatever its beats took.
const CLOCK_GROSS_MS: u64 = 30_000;
/// A wall clock that is this far from where it should be by the monotonic one has been set.
const CLOCK_JUMP_MS: u64 = 50;

impl Node {
    pub(crate) fn tell_peers(&mut self) {
        let me = self.hub.me;
        let others: Vec<PeerAddress> =
            self.view.addresses.iter().filter(|peer| peer.node != me).cloned().collect();
        let now = self.hub.now;
        for peer in &others {
            self.hub.peers.entry(peer.node).or_insert_with(|| Peer::new(now));
        }
        // A newcomer may have linked up before this node has heard from meta who it is: the link is news that comes once.
        self.hub.peers.retain(|node, peer| peer.up || others.iter().any(|listed| listed.node == *node));
        self.hub.out.push(Effect::Peers(others));
    }

    pub(crate) fn peer_up(&mut self, node: NodeId) {
        let now = self.hub.now;
        let peer = self.hub.peers.entry(node).or_insert_with(|| Peer::new(now));
        peer.up = true;
        peer.up_since = now;
        peer.heard = now;
        for group in 0..self.lanes.len() {
            self.lanes_dirty.insert(GroupId(group as u32));
        }
    }

    pub(crate) fn peer_down(&mut self, node: NodeId) {
        if let Some(peer) = self.hub.peers.get_mut(&node) {
            peer.cut();
        }
        for lane in &mut self.lanes {
            lane.link_lost(node);
        }
        for at in 0..self.replicas.len() {
            let Some(replica) = self.replicas[at].live() else { continue };
            replica.release_node(&mut self.hub, node);
            if let Some(peer) = replica.raft.membership().on_node(node)
                && replica.raft.is_leader()
            {
                replica.step(&mut self.hub, RaftInput::Unreachable { peer });
            }
        }
    }

    pub(crate) fn peer_frame(&mut self, from: NodeId, bytes: Bytes) {
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
            PeerMessage::Beat { wall_ms, willing, leads } => {
                if let Some(peer) = self.hub.peers.get_mut(&from) {
                    peer.willing = willing;
                }
                self.beat_heard(from, wall_ms, leads);
            }
            PeerMessage::Request(request) => {
                let waiter = Waiter::Remote { session: request.session, id: request.id };
                let group = request.group;
                if request.session.node != from {
                    return;
                }
                self.free_memory();
                match self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    Some(replica) => replica.serve(&mut self.hub, request),
                    None => self.hub.tell(group, waiter, Verdict::Elsewhere(None)),
                }
            }
            PeerMessage::Reply(reply) if reply.session == self.hub.session => {
                let Some(lane) = self.lanes.get_mut(reply.group.0 as usize) else { return };
                let verdict = match reply.answer {
                    Answer::Done(bytes) => Verdict::Done(bytes),
                    Answer::NotLeader(_) => Verdict::Elsewhere(None),
                    Answer::Gap => Verdict::Gap,
                    Answer::Refused(error) => Verdict::Refused(error),
                    Answer::Forgotten => Verdict::Unknown,
                };
                lane.answered(&mut self.hub, from, reply.id, verdict);
                self.lanes_dirty.insert(reply.group);
            }
            PeerMessage::Reply(_) => {}
            PeerMessage::ChunkRequest(name) => {
                if let Some(replica) = self.replicas.get_mut(name.group.0 as usize).and_then(Copy::live) {
                    replica.piece_served_at = self.hub.now;
                }
                // What the disk has is as good from a copy that is still loading.
                serve_piece(&mut self.hub, from, name);
            }
            PeerMessage::Chunk { name, bytes } => self.piece_arrived(from, name, bytes),
            PeerMessage::Removed { group, replica } => self.removed(group, replica),
            PeerMessage::StillMember { group, replica } if replica.node == from => {
                if self.excludes(group, replica) {
                    self.hub.send(from, &PeerMessage::Removed { group, replica });
                }
            }
            PeerMessage::StillMember { .. } => {}
            PeerMessage::Wait { group, session, id, waiting } if session.node == from => {
                if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    replica.register(&mut self.hub, WaitToken { session, id }, waiting);
                }
            }
            PeerMessage::WaitNoMore { group, session, id } if session.node == from => {
                if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    replica.release(&mut self.hub, WaitToken { session, id });
                }
            }
            PeerMessage::WaitTried { group, session, id } if session.node == from => {
                if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    replica.wait_tried(&mut self.hub, WaitToken { session, id });
                }
            }
            PeerMessage::Wait { .. } | PeerMessage::WaitNoMore { .. } | PeerMessage::WaitTried { .. } => {}
            PeerMessage::Offer { session, id } if session == self.hub.session => self.offered(id),
            PeerMessage::Offer { .. } => {}
            PeerMessage::Transactional(said) => self.heard_of_transactions(from, said),
            PeerMessage::Question { id, question } => self.asked_by(from, id, &question),
            PeerMessage::Findings { id, findings } => self.found_by(from, id, findings),
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
                let sender = message.from;
                replica.step(&mut self.hub, RaftInput::Message(message));
                if self.excludes(group, sender) {
                    self.hub.send(from, &PeerMessage::Removed { group, replica: sender });
                }
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
        let last = self.replicas[group.0 as usize].live();
        if let Some(last) = last {
            last.abandon(&mut self.hub);
        }
        let was_here = self.replicas[group.0 as usize].as_live().is_some();
        if self.damaged.remove(&group) || was_here {
            let generation = self.generations.get(&group).copied().unwrap_or_default();
            self.drop_copy(group, ReplicaId { node: self.hub.me, generation });
        }
        self.hub.disk_ops.push(DiskOp::CreateReplica { group, replica: id });
        let raft = self.make_raft(id, group, raft::Recovered::joining());
        self.enliven(Replica::new(group, raft, Machine::new(State::Blank)));
    }

    /// Whether this node leads the group and a committed configuration in force is without `replica`.
    fn excludes(&self, group: GroupId, replica: ReplicaId) -> bool {
        let own = self.replicas.get(group.0 as usize).and_then(Copy::as_live);
        own.is_some_and(|own| {
            own.serves() && !own.raft.membership().is_joint() && !own.raft.membership().contains(replica)
        })
    }

    /// Whether meta has granted such a copy and wants it no longer. What this node has of meta may be older than the
    /// grant, and then says nothing.
    fn is_unwanted(&self, group: GroupId, id: ReplicaId) -> bool {
        let Some(meta) = self.meta().filter(|meta| meta.has_granted(id)) else { return false };
        meta.placement_of(group).is_some_and(|placement| placement.all().all(|wanted| wanted != id))
    }

    /// The leader says that this copy is in the group no longer.
    fn removed(&mut self, group: GroupId, id: ReplicaId) {
        let unwanted = self.is_unwanted(group, id);
        let at = group.0 as usize;
        let Some(replica) = self.replicas.get_mut(at).and_then(Copy::live) else { return };
        if !unwanted || replica.id() != id || replica.raft.is_leader() {
            return;
        }
        replica.abandon(&mut self.hub);
        self.hub
            .note(Level::Info, format!("this node's copy of {group} is wanted no longer and was removed"));
        self.drop_copy(group, id);
    }

    /// Copies that meta wants no longer go as soon as their group has let go of them: a copy that has applied its own
    /// removal knows it (one that has not yet applied its own coming doesn't), any other asks the leader.
    pub(crate) fn shed_copies(&mut self) {
        for at in 0..self.replicas.len() {
            let group = GroupId(at as u32);
            let Some(replica) = self.replicas[at].live() else { continue };
            let id = replica.id();
            let is_member = replica.raft.membership().contains(id);
            replica.was_member |= is_member;
            let has_left = replica.was_member && !is_member;
            if !self.is_unwanted(group, id) {
                continue;
            }
            if has_left {
                self.removed(group, id);
            } else if let Some(leader) = self.leader_of(group).filter(|leader| *leader != self.hub.me) {
                self.hub.send(leader, &PeerMessage::StillMember { group, replica: id });
            }
        }
    }

    fn beat_heard(&mut self, from: NodeId, wall_ms: u64, leads: Vec<Lead>) {
        let mine = self.hub.wall().0;
        if let Some(peer) = self.hub.peers.get_mut(&from) {
            if peer.clock_samples.len() == CLOCK_SAMPLES {
                peer.clock_samples.pop_front();
            }
            peer.clock_samples.push_back(wall_ms as i64 - mine as i64);
            let ahead = peer.clock_samples.iter().copied().max();
            // No beat is so late that it could make up for this.
            let gross = ahead.is_some_and(|ahead| ahead.unsigned_abs() > CLOCK_GROSS_MS);
            if peer.clock_samples.len() == CLOCK_SAMPLES || gross {
                peer.clock_ahead_ms = ahead;
            }
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

    pub(crate) fn beat(&mut self) {
        let leads = self.replicas.iter().filter_map(Copy::as_live).filter(|replica| replica.serves());
        let leads = leads.map(|replica| Lead { group: replica.group, term: replica.raft.term() }).collect();
        let disk_is_well = self.hub.disk.is_prompt(self.hub.now, self.hub.config.election_timeout);
        let willing = self.stopping.is_none() && !self.hub.clock_off && disk_is_well;
        let message = PeerMessage::Beat { wall_ms: self.hub.wall().0, willing, leads };
        let peers: Vec<NodeId> = self.hub.peers.keys().copied().collect();
        for node in peers {
            self.hub.send(node, &message);
        }
        self.judge_clock();
    }

    /// Replaces links on which nothing has come for two heartbeats.
    pub(crate) fn replace_silent_links(&mut self) {
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

    /// The wall clock was read. If it has jumped, the others' clocks have not: they are off from it by as much, and whether
    /// it is wrong now must be known before anything is done by it.
    pub(crate) fn set_clock(&mut self, wall: UnixMillis) {
        let jump = wall.0 as i64 - self.hub.wall().0 as i64;
        self.hub.clock = WallClock::new(self.hub.now, wall);
        self.tell_wall();
        if jump.unsigned_abs() > CLOCK_JUMP_MS {
            for peer in self.hub.peers.values_mut() {
                for ahead in peer.clock_samples.iter_mut().chain(&mut peer.clock_ahead_ms) {
                    *ahead -= jump;
                }
            }
            self.judge_clock();
        }
    }

    /// Whether this node's clock is off from the majority's: the median of all clocks, its own among them.
    pub(crate) fn judge_clock(&mut self) {
        let mut ahead: Vec<i64> = self.hub.peers.values().filter_map(|peer| peer.clock_ahead_ms).collect();
        ahead.push(0);
        ahead.sort_unstable();
        let median = ahead[ahead.len() / 2];
        let bound = self.hub.config.clock_skew_max.as_millis() as i64;
        // Of two clocks nobody can say which is off.
        let off = ahead.len() > 2 && median.abs() > bound;
        #[cfg(feature = "bugs")]
        let off = off && !self.hub.config.bugs.trusts_any_clock;
        if off != self.hub.clock_off {
            self.hub.clock_off = off;
            (self.next_tick, self.next_beat) = (self.hub.now, self.hub.now);
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
}
