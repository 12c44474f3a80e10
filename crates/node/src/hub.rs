//! What all parts of a node share: the clocks, the links to other nodes, the clients, what waits for the disk, what
//! is known of leaders, and the counters. Parts don't call each other; they leave their results here.

use crate::api::{ClientId, Config, Effect, Level};
use crate::clients::{Clients, Ticket};
use crate::disk::DiskQueue;
use crate::invalidations::{By, Change};
use crate::machine::WallClock;
use crate::memory::Memory;
use crate::op::Provenance;
use crate::overview::Counters;
use crate::wire::{Answer, ChunkName, PeerMessage, Reply};
use base::codec::{Encode, Encoder};
use base::{Duration, GroupId, Index, NodeId, Outbox, ReplicaId, Rng, SessionId, Term, Time, UnixMillis};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use storage::{DiskRequest, Op as DiskOp, Token};

/// Who waits for the result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// A client of this node.
    Client(Ticket),
    /// A part of a command over all shards.
    Scatter {
        /// Which command.
        job: u64,
        /// Which part of it.
        group: GroupId,
    },
    /// Somebody who wants to become a member.
    Join(u64),
    /// A client whose command changes the meta group's state.
    Meta(Ticket),
    /// A client that asked for the versions of keys that it watches.
    Watch(Ticket),
    /// A blocking command that is tried.
    Blocked(u64),
    /// A file of all shards asks one of them how far it must reach.
    Export {
        /// Which file.
        job: u64,
        /// Which shard.
        group: GroupId,
    },
    /// A move of keys to another server.
    Migrate {
        /// Which.
        job: u64,
        /// The number of the shard that is asked, or which of its keys is deleted.
        at: u32,
    },
    /// A client whose transaction is carried out.
    Exec(Ticket),
    /// Parts of one or several shards that are to take effect together: whose, is known under this number.
    Commit(u64),
    /// The group's participant, which has proposed it under this number.
    Participant(u64),
    /// A command that runs over several shards: a part of what it asks.
    Run {
        /// Which run.
        run: u64,
        /// Which of its rounds.
        round: u32,
        /// Which part of that.
        part: u32,
    },
    /// A request that this node, as a gateway, has sent to itself as a leader, or that came from another gateway.
    Remote {
        /// The gateway's session; its node gets the answer.
        session: SessionId,
        /// The request's name in its lane.
        id: u64,
    },
    /// Nobody.
    Nobody,
}

impl Waiter {
    /// The client that waits, but for those in [`Waiter::Blocked`].
    pub fn client(&self) -> Option<ClientId> {
        match self {
            Waiter::Client(ticket) | Waiter::Exec(ticket) => Some(ticket.client()),
            _ => None,
        }
    }
}

/// What was asked of a group, encoded as it travels and is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// An operation for its log.
    Write(Bytes),
    /// A query for its leader.
    Read(Bytes),
}

/// What came of an operation that was tried at a group's leader on this node.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Done; the reply.
    Done(Bytes),
    /// An error reply; not done.
    Refused(Bytes),
    /// Not done here, and another leader may do it: what was asked, where it is still known and nothing of its client
    /// can have overtaken it.
    Elsewhere(Option<Work>),
    /// Not done, because something before it is missing.
    Gap,
    /// Perhaps done.
    Unknown,
}

/// Something said about transactions over several shards, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// To whoever leads a shard.
    Request {
        /// The shard.
        to: GroupId,
        /// What is asked.
        request: twophase::Request,
    },
    /// To who asked.
    Reply {
        /// Who asked.
        to: twophase::Party,
        /// The answer.
        reply: twophase::Reply,
    },
}

/// The link to another member.
#[derive(Debug)]
pub struct Peer {
    /// Whether there is a link.
    pub up: bool,
    /// When something came from it last.
    pub heard: Time,
    /// When the link came up.
    pub up_since: Time,
    /// How far its wall clock was ahead of ours when it last said, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// What its last beats said about that. A beat that was late makes its clock look behind by as much, so the highest
    /// of several is the nearest to the truth.
    pub clock_samples: VecDeque<i64>,
    /// Whether it would keep a leadership that it was handed.
    pub willing: bool,
    /// For how many looks in a row it was silent for too long.
    pub silent_looks: u32,
    frame: Vec<u8>,
}

/// Who leads a group, as far as others have said.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaderHint {
    /// In which term.
    pub term: Term,
    /// Who.
    pub node: Option<NodeId>,
    /// When it said so last.
    pub heard: Time,
    /// Since when nobody is known to lead, as judged by the gateway.
    pub missing_since: Option<Time>,
}

/// Who waits for a write to the disk.
#[derive(Clone, Debug)]
pub enum DiskWrite {
    /// Copies whose Raft asked for it, with its token. A group's next copy on this node counts its own tokens from the
    /// beginning, and takes no other's for them.
    Raft(Vec<(GroupId, ReplicaId, u64)>),
    /// A group whose snapshot it is a part of.
    Snapshot(GroupId),
}

/// What a read from the disk is for.
#[derive(Clone, Copy, Debug)]
pub enum DiskRead {
    /// A peer wants a piece of a snapshot.
    Piece {
        /// The peer.
        to: NodeId,
        /// The piece.
        name: ChunkName,
    },
    /// A group loads its snapshot.
    Load(GroupId),
    /// A group looks for pieces of a snapshot that it has begun to fetch.
    Find(GroupId),
    /// A file of all shards is made of a snapshot.
    Export(u64),
    /// A group's leader needs old entries, from this one on.
    Entries(GroupId, Index),
}

/// A frame to a peer is sent once it is this large, so that no frame grows past what a link takes.
const FRAME_BYTES: usize = 4 << 20;

/// What all parts of a node share.
#[derive(Debug)]
pub struct Hub {
    /// What the node was told.
    pub config: Config,
    /// This node.
    pub me: NodeId,
    /// This start of this node.
    pub session: SessionId,
    /// The present input's time.
    pub now: Time,
    /// Wall time by the monotonic clock.
    pub clock: WallClock,
    /// Chance.
    pub rng: Rng,
    /// What the driver shall do.
    pub out: Vec<Effect>,
    /// The clients.
    pub clients: Clients,
    /// The other members.
    pub peers: BTreeMap<NodeId, Peer>,
    /// For the next write to the disk.
    pub disk_ops: Vec<DiskOp>,
    /// Whose `Persisted` the next write answers.
    pub disk_marks: Vec<(GroupId, ReplicaId, u64)>,
    /// What the disk was asked to write, and who waits for it.
    pub disk_writes: BTreeMap<Token, DiskWrite>,
    /// What the disk was asked to read, and what for.
    pub disk_reads: BTreeMap<Token, DiskRead>,
    /// The writes under way, and whether there is room for more.
    pub disk: DiskQueue,
    next_token: u64,
    /// Who leads which group.
    pub leaders: Vec<LeaderHint>,
    /// Results that the gateway must look at.
    pub verdicts: VecDeque<(GroupId, Waiter, Verdict)>,
    /// Groups that must be flushed.
    pub dirty: Vec<GroupId>,
    /// What keyspaces that lead here have told, to be published.
    pub events: Vec<keyspace::keyspace::Event>,
    /// Which events are told, by the cluster's settings.
    pub listening: base::database::EventClasses,
    /// Which encodings OBJECT ENCODING tells of.
    pub encodings: keyspace::Encodings,
    /// What the copies on this node hold in memory, and may.
    pub memory: Memory,
    /// What has changed in the copies here, while clients of this node keep what they have read.
    pub changes: Vec<Change>,
    /// Whether some do.
    pub tracks: bool,
    /// Whose writes are on their way by a lane, of clients that don't want to hear of their own, by group and sequence.
    pub writers: BTreeMap<(GroupId, u64), ClientId>,
    /// Operations of this node's clients that took long, as they were asked for.
    pub slow: Vec<(Ticket, Bytes)>,
    /// Blocking commands of this node's clients that a leader on this node offers to.
    pub offers: Vec<u64>,
    /// What was said about transactions over several shards, and not delivered yet.
    pub said: VecDeque<Said>,
    /// What is counted.
    pub counters: Counters,
    /// Whether the node's clock differs too much from the others'.
    pub clock_off: bool,
}

impl Hub {
    /// For a node that starts.
    pub fn new(config: Config, session: SessionId, groups: usize, now: Time, wall: UnixMillis) -> Self {
        let rng = Rng::new(config.seed ^ (u64::from(session.node.0) << 32) ^ session.start);
        Self {
            me: session.node,
            session,
            now,
            clock: WallClock::new(now, wall),
            rng,
            out: Vec::new(),
            clients: Clients::default(),
            peers: BTreeMap::new(),
            disk_ops: Vec::new(),
            disk_marks: Vec::new(),
            disk_writes: BTreeMap::new(),
            disk_reads: BTreeMap::new(),
            disk: DiskQueue::default(),
            next_token: 0,
            leaders: vec![LeaderHint::default(); groups],
            verdicts: VecDeque::new(),
            dirty: Vec::new(),
            events: Vec::new(),
            listening: base::database::EventClasses::default(),
            encodings: keyspace::Encodings::default(),
            memory: Memory::default(),
            changes: Vec::new(),
            tracks: false,
            slow: Vec::new(),
            writers: BTreeMap::new(),
            offers: Vec::new(),
            said: VecDeque::new(),
            counters: Counters::default(),
            clock_off: false,
            config,
        }
    }

    /// An operation, encoded as it was asked for, is answered: if that took long, the slow log hears of it.
    #[inline]
    pub fn note_slow(&mut self, waiter: Waiter, op: &[u8]) {
        let (Waiter::Client(ticket) | Waiter::Exec(ticket)) = waiter else { return };
        if self.config.slower_than.is_some_and(|least| self.now.since(ticket.since()) >= least) {
            self.slow.push((ticket, Bytes::copy_from_slice(op)));
        }
    }

    /// By whom of this node's clients an operation was asked for: it came through a lane of this node, or was waited for here.
    pub fn changer(&mut self, group: GroupId, from: Option<Provenance>, waiter: Waiter) -> By {
        if let Some(from) = from.filter(|from| from.session == self.session) {
            // What is below has been applied, or never will be.
            let later = self.writers.split_off(&(group, from.sequence));
            let other_groups = std::mem::replace(&mut self.writers, later);
            self.writers.extend(other_groups.into_iter().filter(|((of, _), _)| *of != group));
            return self.writers.remove(&(group, from.sequence)).map_or(By::Nobody, By::Client);
        }
        match waiter {
            Waiter::Blocked(id) => By::Blocked(id),
            Waiter::Commit(id) => By::Commit(id),
            waiter => waiter.client().map_or(By::Nobody, By::Client),
        }
    }

    /// It is so late now.
    #[inline]
    pub fn set_now(&mut self, now: Time) {
        self.now = self.now.max(now);
        (self.clients.now, self.clients.clock) = (self.now, self.clock);
    }

    /// The wall clock now.
    pub fn wall(&self) -> UnixMillis {
        self.clock.read(self.now)
    }

    /// The time for a group whose time has come as far as `least`. A clock that is off moves no group's time on: that
    /// would hide keys for ever whose time hasn't come.
    pub fn time_from(&self, least: UnixMillis) -> UnixMillis {
        if self.clock_off { least } else { self.wall().max(least) }
    }

    /// Something a person should know.
    pub fn note(&mut self, level: Level, text: impl Into<String>) {
        self.out.push(Effect::Note(level, text.into()));
    }

    /// Sends a message to a member, with the next flush. Without a link it is lost, as on the wire.
    pub fn send(&mut self, to: NodeId, message: &PeerMessage) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if !peer.up {
            return;
        }
        message.encode(&mut Encoder::new(&mut peer.frame));
        if peer.frame.len() >= FRAME_BYTES {
            let bytes = Bytes::from(std::mem::take(&mut peer.frame));
            self.out.push(Effect::Peer { to, bytes });
        }
    }

    /// Tells whoever waits what came of an operation of `group`.
    pub fn tell(&mut self, group: GroupId, waiter: Waiter, verdict: Verdict) {
        match (waiter, verdict) {
            (Waiter::Nobody, _) => {}
            (Waiter::Client(ticket), Verdict::Done(reply) | Verdict::Refused(reply)) => {
                self.clients.answer(ticket, &reply);
            }
            (Waiter::Remote { session, id }, verdict) if session != self.session => {
                self.reply(group, session, id, verdict);
            }
            (waiter, verdict) => self.verdicts.push_back((group, waiter, verdict)),
        }
    }

    /// Tells whoever waits that an operation is done; for a client of this node without a copy on the way.
    #[inline]
    pub fn tell_done(&mut self, group: GroupId, waiter: Waiter, reply: &[u8]) {
        match waiter {
            Waiter::Nobody => {}
            Waiter::Client(ticket) => self.clients.answer(ticket, reply),
            waiter => self.tell(group, waiter, Verdict::Done(Bytes::copy_from_slice(reply))),
        }
    }

    fn reply(&mut self, group: GroupId, session: SessionId, id: u64, verdict: Verdict) {
        let answer = match verdict {
            Verdict::Done(reply) => Answer::Done(reply),
            Verdict::Refused(error) => Answer::Refused(error),
            Verdict::Elsewhere(_) => Answer::NotLeader(self.leader_hint(group)),
            Verdict::Gap => Answer::Gap,
            Verdict::Unknown => Answer::Forgotten,
        };
        self.send(session.node, &PeerMessage::Reply(Reply { group, session, id, answer }));
    }

    /// The process must end.
    pub fn fatal(&mut self, why: String) {
        self.out.push(Effect::Fatal(why));
    }

    /// A new name for a request to the disk.
    pub fn disk_token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// Gives the disk what waits for it, as one write.
    pub fn flush_disk(&mut self) {
        if self.disk_ops.is_empty() && self.disk_marks.is_empty() {
            return;
        }
        let waits = DiskWrite::Raft(std::mem::take(&mut self.disk_marks));
        let ops = std::mem::take(&mut self.disk_ops);
        self.write_disk(waits, ops);
    }

    /// Writes a part of a snapshot, behind all that was given to the disk before; answers the write's name.
    pub fn write_apart(&mut self, group: GroupId, op: DiskOp) -> Token {
        self.flush_disk();
        self.write_disk(DiskWrite::Snapshot(group), vec![op])
    }

    fn write_disk(&mut self, waits: DiskWrite, ops: Vec<DiskOp>) -> Token {
        let token = self.disk_token();
        self.counters.disk_writes += 1;
        self.disk_writes.insert(token, waits);
        self.disk.write(token, ops, self.now, &mut self.out);
        token
    }

    /// Reads entries that memory no longer has.
    pub fn load_entries(&mut self, group: GroupId, first: Index, through: Index, bytes_max: u64) {
        // What was given to the disk before must be there when it reads.
        self.flush_disk();
        let token = self.disk_token();
        self.disk_reads.insert(token, DiskRead::Entries(group, first));
        self.out.push(Effect::Disk(DiskRequest::ReadEntries { token, group, first, through, bytes_max }));
    }

    /// Somebody leads a group, or nobody does (any more), in a term.
    pub fn heard_of_leader(&mut self, group: GroupId, term: Term, node: Option<NodeId>) {
        let now = self.now;
        let Some(hint) = self.leaders.get_mut(group.0 as usize) else { return };
        if term < hint.term || (term == hint.term && node.is_none() && hint.node != Some(self.me)) {
            return;
        }
        hint.term = term;
        hint.node = node;
        hint.heard = now;
    }

    /// Whom others have named as the group's leader lately.
    pub fn leader_hint(&self, group: GroupId) -> Option<NodeId> {
        let hint = self.leaders.get(group.0 as usize)?;
        let fresh = self.now.since(hint.heard) <= self.patience();
        hint.node.filter(|node| *node == self.me || fresh)
    }

    /// For how long silence says nothing yet.
    pub fn patience(&self) -> Duration {
        self.config.election_timeout * 2
    }

    /// Hands what waits to the driver: frames to peers, replies to clients, one write to the disk.
    pub fn flush(&mut self, out: &mut Outbox<Effect>) {
        self.flush_disk();
        for (to, peer) in &mut self.peers {
            if !peer.frame.is_empty() {
                let bytes = Bytes::from(std::mem::take(&mut peer.frame));
                self.out.push(Effect::Peer { to: *to, bytes });
            }
        }
        for effect in self.out.drain(..) {
            out.push(effect);
        }
        self.counters.bytes_out +=
            self.clients.flush(self.config.client_output_bytes_max, &self.config.output_limits, out);
    }
}

impl Peer {
    /// A member with which there is no link yet.
    pub fn new(now: Time) -> Self {
        Self {
            up: false,
            heard: now,
            up_since: now,
            clock_ahead_ms: None,
            clock_samples: VecDeque::new(),
            willing: false,
            silent_looks: 0,
            frame: Vec::new(),
        }
    }

    /// Drops what waits, as a broken link does.
    pub fn cut(&mut self) {
        self.up = false;
        self.frame = Vec::new();
    }
}
