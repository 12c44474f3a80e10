//! One copy of one group on this node: Raft agrees, the machine applies, and whoever waits is told.
//!
//! What reaches the leader between two flushes becomes one batch, one log entry and one write to the disk. Writes are
//! answered when their entry is applied; reads are answered from the applied state under the leader's lease, or after
//! a round of asking where there is none. A read behind a write of its own lane waits for that write.

use crate::blocking::is_nothing;
use crate::fetch::Fetch;
use crate::hub::{Hub, Verdict, Waiter, Work};
use crate::install::{Install, Partial};
use crate::invalidations::note_changes;
use crate::machine::{Machine, Outcome};
use crate::op::{BatchReader, BatchWriter, Op, Provenance, encode_op};
use crate::serve::Served;
use crate::slowlog::note_slow;
use crate::transfer::Taking;
use crate::waitlist::Waitlist;
use crate::wire::PeerMessage;
use base::{
    Core, Duration, Entry, GroupId, Index, NodeId, Outbox, Payload, ReplicaId, Term, Time, UnixMillis,
};
use bytes::Bytes;
use keyspace::Keyspace;
use locks::{LOCKED, Transactions};
use raft::{Effect, Input, Raft};
use reading::{PlacedRead, Read, read_now};
use room::{Room, UnderWay};
use std::collections::{BTreeMap, VecDeque};
use storage::{Op as DiskOp, SnapshotRecord};

/// Keys whose time has come.
mod expiry;
/// Transactions over several shards, and what they keep plain commands from.
pub(crate) mod locks;
/// Reads of the applied state.
mod reading;
/// Room in memory for what comes.
pub(crate) mod room;

/// A batch is proposed before the next flush once it is this large.
const BATCH_BYTES: usize = 1 << 20;

/// An entry that is under way for longer than this is looked at: somebody may have waited too long for it.
const STUCK: Duration = Duration::from_millis(100);

/// After a refused proposal (leadership is being handed over, or too much waits), for so long nothing expires.
const REST: Duration = Duration::from_millis(25);

/// One copy of one group.
#[derive(Debug)]
pub struct Replica {
    /// The group.
    pub group: GroupId,
    /// Agreement.
    pub raft: Raft,
    /// What is agreed on.
    pub machine: Machine,
    /// The term of which an own entry is applied: only then does the leader know all that is committed.
    serving_term: Term,
    /// The leader's time: what it has shown or proposed last.
    last_time: UnixMillis,
    batch: BatchWriter,
    batch_waiters: Vec<Waiter>,
    batch_reads: Vec<PlacedRead>,
    /// What it does to memory.
    pub(crate) room: Room,
    inflight: VecDeque<Inflight>,
    reads: BTreeMap<Index, Vec<Read>>,
    rounds: BTreeMap<u64, Read>,
    next_round: u64,
    /// Requests of other gateways, and of this node's own, that come through a lane.
    pub(crate) served: BTreeMap<NodeId, Served>,
    /// Who waits for something of this group, while this copy leads.
    pub(crate) waitlist: Waitlist,
    /// What it has to do with transactions over several shards.
    pub(crate) transactions: Transactions,
    /// An expiry or a tick is proposed and not applied.
    housekeeping: bool,
    effects: Outbox<Effect>,
    /// Log since the last snapshot, in bytes.
    pub(crate) log_bytes: u64,
    /// A snapshot that is being taken.
    pub(crate) taking: Option<Taking>,
    /// A snapshot that is being fetched.
    pub(crate) install: Option<Install>,
    /// Pieces on the disk of one that isn't being fetched at the moment.
    pub(crate) partial: Option<Partial>,
    /// The newest durable snapshot; without pieces if there is none yet.
    pub(crate) snapshot: SnapshotRecord,
    /// Its size.
    pub(crate) snapshot_bytes: u64,
    /// Pieces of it that have rotted and are fetched from others.
    pub(crate) mending: Option<Fetch>,
    /// Whether pieces of it have rotted that nobody else has.
    pub(crate) snapshot_rotten: bool,
    /// Whether somebody wants a snapshot that is newer than the present one.
    pub(crate) snapshot_asked: bool,
    /// Whether the newest snapshot holds nothing that transactions over shards have done whose outcome wasn't known.
    pub(crate) snapshot_is_plain: bool,
    /// Whether one that holds no such thing is wanted.
    pub(crate) plain_asked: bool,
    /// Whether a membership that was applied here had this copy in it.
    pub(crate) was_member: bool,
    /// When it last began to hand leadership to whom it is meant for.
    pub(crate) handed_at: Time,
    /// No decision of its own is proposed before this: the last one was refused.
    rests_until: Time,
    /// When a follower last asked for a piece of the present snapshot.
    pub(crate) piece_served_at: Time,
    /// The term of the last entry applied.
    pub(crate) applied_term: Term,
}

/// A proposed entry and who waits for its operations, by their place.
#[derive(Debug)]
struct Inflight {
    index: Index,
    term: Term,
    time: UnixMillis,
    since: Time,
    waiters: Vec<Waiter>,
    reads: Vec<PlacedRead>,
    /// What waits for all that was proposed up to here to be applied.
    barriers: Vec<u64>,
    memory: UnderWay,
}

impl Replica {
    /// A copy whose state is loaded through the snapshot that `raft` starts from.
    pub fn new(group: GroupId, raft: Raft, machine: Machine) -> Self {
        Self {
            group,
            raft,
            machine,
            serving_term: Term(0),
            last_time: UnixMillis(0),
            batch: BatchWriter::default(),
            batch_waiters: Vec::new(),
            batch_reads: Vec::new(),
            room: Room::default(),
            inflight: VecDeque::new(),
            reads: BTreeMap::new(),
            rounds: BTreeMap::new(),
            next_round: 0,
            served: BTreeMap::new(),
            waitlist: Waitlist::default(),
            transactions: Transactions::new(twophase::ParticipantConfig::new(group)),
            housekeeping: false,
            effects: Outbox::new(),
            log_bytes: 0,
            taking: None,
            install: None,
            partial: None,
            snapshot: SnapshotRecord::default(),
            snapshot_bytes: 0,
            mending: None,
            snapshot_rotten: false,
            snapshot_asked: false,
            snapshot_is_plain: false,
            plain_asked: false,
            was_member: false,
            handed_at: Time::ZERO,
            rests_until: Time::ZERO,
            piece_served_at: Time::ZERO,
            applied_term: Term(0),
        }
    }

    /// Whose copy it is.
    pub fn id(&self) -> ReplicaId {
        self.raft.id()
    }

    /// Whether it leads and knows all that is committed, so that it may serve.
    #[inline]
    pub fn serves(&self) -> bool {
        self.raft.is_leader() && self.serving_term == self.raft.term()
    }

    /// How far its state has come, or had come before a newer one began to be loaded in its place.
    pub fn applied(&self) -> Index {
        if self.is_loading() { self.raft.applied_index() } else { self.machine.applied }
    }

    /// Whether nothing that was proposed waits to be applied.
    pub fn is_settled(&self) -> bool {
        self.inflight.is_empty() && self.batch.is_empty()
    }

    /// Gives Raft an input; what follows from it happens at the next flush.
    pub fn step(&mut self, hub: &mut Hub, input: Input) {
        self.raft.step(hub.now, input, &mut self.effects);
        hub.dirty.push(self.group);
    }

    // Writing.

    /// Takes an operation into the next batch. The caller has checked that this copy serves.
    #[inline]
    pub fn write(&mut self, hub: &mut Hub, waiter: Waiter, op: &Op<'_>) {
        self.batch.push(None, op);
        self.wrote(hub, waiter);
    }

    /// Takes an encoded operation of a gateway's lane into the next batch.
    pub fn write_encoded(&mut self, hub: &mut Hub, waiter: Waiter, from: Option<Provenance>, op: &[u8]) {
        self.batch.push_encoded(from, op);
        self.wrote(hub, waiter);
    }

    #[inline]
    fn wrote(&mut self, hub: &mut Hub, waiter: Waiter) {
        if self.batch_waiters.is_empty() {
            hub.dirty.push(self.group);
        }
        self.batch_waiters.push(waiter);
        if self.batch.len() >= BATCH_BYTES {
            self.propose(hub);
        }
    }

    fn propose(&mut self, hub: &mut Hub) {
        if self.batch.is_empty() {
            return;
        }
        let time = hub.time_from(self.last_time);
        self.last_time = time;
        let batch = Bytes::from(self.batch.finish(time, hub.rng.next_u64()));
        let waiters = std::mem::take(&mut self.batch_waiters);
        let reads = std::mem::take(&mut self.batch_reads);
        let barriers = std::mem::take(&mut self.transactions.barriers);
        let memory = std::mem::take(&mut self.room.batch);
        match self.raft.propose(batch.clone()) {
            Ok(index) => {
                hub.counters.proposals += 1;
                let term = self.raft.term();
                let since = hub.now;
                self.inflight.push_back(Inflight {
                    index,
                    term,
                    time,
                    since,
                    waiters,
                    reads,
                    barriers,
                    memory,
                });
            }
            Err(_) => {
                self.room.acquit(memory);
                self.hand_back(hub, &batch, waiters, reads);
                // Behind what is still under way.
                barriers.into_iter().for_each(|token| self.barrier(hub, token));
            }
        }
    }

    /// The batch was not proposed: each operation may be done by another leader, in the same order.
    fn hand_back(&mut self, hub: &mut Hub, batch: &[u8], waiters: Vec<Waiter>, reads: Vec<PlacedRead>) {
        self.housekeeping = false;
        self.rests_until = hub.now + REST;
        let mut reader = BatchReader::new(batch).expect("the batch was written here");
        let mut reads = reads.into_iter().peekable();
        for (place, waiter) in waiters.into_iter().enumerate() {
            let Ok(Some((from, op))) = reader.next() else { unreachable!("the batch was written here") };
            if let Some(from) = from {
                self.unserve(from);
            }
            let work = if waiter == Waiter::Nobody {
                None
            } else if let Waiter::Participant(token) = waiter {
                self.participate(hub, twophase::participant::Input::NotProposed { token });
                None
            } else {
                let mut bytes = Vec::new();
                encode_op(&mut bytes, &op);
                Some(Work::Write(bytes.into()))
            };
            hub.tell(self.group, waiter, Verdict::Elsewhere(work));
            while let Some((_, read)) = reads.next_if(|(behind, _)| *behind == place + 1) {
                hub.tell(self.group, read.waiter, Verdict::Elsewhere(Some(Work::Read(read.query))));
            }
        }
    }

    // Agreeing.

    /// Proposes what waits and carries out what Raft asks for.
    pub fn flush(&mut self, hub: &mut Hub) {
        loop {
            let asked = self.flush_participant(hub);
            self.propose(hub);
            self.raft.flush(hub.now, &mut self.effects);
            if self.effects.is_empty() {
                if asked {
                    continue;
                }
                break;
            }
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.drain() {
                self.carry_out(hub, effect);
            }
            if self.effects.is_empty() {
                self.effects = effects;
            }
        }
    }

    fn carry_out(&mut self, hub: &mut Hub, effect: Effect) {
        match effect {
            Effect::Send(message) => {
                let to = message.to.node;
                hub.send(to, &PeerMessage::Raft { group: self.group, message });
            }
            Effect::Persist { token, hard_state, entries } => self.persist(hub, token, hard_state, entries),
            Effect::Apply { entries } => self.apply(hub, entries),
            Effect::Restore { from, index, term, membership, manifest } => {
                self.begin_install(hub, from, index, term, membership, manifest);
            }
            Effect::LoadEntries { first, through, bytes_max } => {
                hub.load_entries(self.group, first, through, bytes_max as u64);
            }
            Effect::ReadReady { ticket, index } => {
                if let Some(read) = self.rounds.remove(&ticket) {
                    if index <= self.machine.applied {
                        self.answer(hub, read);
                    } else {
                        self.reads.entry(index).or_default().push(read);
                    }
                    self.serve_held(hub);
                }
            }
            Effect::ReadRefused { ticket } => {
                if let Some(read) = self.rounds.remove(&ticket) {
                    hub.tell(self.group, read.waiter, Verdict::Elsewhere(Some(Work::Read(read.query))));
                }
            }
            Effect::RoleChanged { leader, term, .. } => self.role_changed(hub, leader, term),
            Effect::TailSettled => hub.disk_ops.push(DiskOp::DoubtSettled { group: self.group }),
        }
    }

    fn persist(&mut self, hub: &mut Hub, token: u64, state: Option<base::HardState>, entries: Vec<Entry>) {
        self.log_bytes += entries.iter().map(|entry| entry.weight() as u64).sum::<u64>();
        if let Some(state) = state {
            hub.disk_ops.push(DiskOp::HardState { group: self.group, state });
        }
        if !entries.is_empty() {
            hub.disk_ops.push(DiskOp::Append { group: self.group, entries });
        }
        hub.disk_marks.push((self.group, self.raft.id(), token));
    }

    fn role_changed(&mut self, hub: &mut Hub, leader: Option<ReplicaId>, term: Term) {
        if self.raft.is_leader() {
            hub.counters.elections_won += 1;
        }
        hub.heard_of_leader(self.group, term, leader.map(|replica| replica.node));
        self.stop_serving(hub);
        self.stop_participating(hub);
        // The next leader hears from the gateways who waits.
        self.waitlist = Waitlist::default();
        self.housekeeping = false;
        if !self.raft.is_leader() {
            self.strand_reads(hub);
        }
    }

    fn apply(&mut self, hub: &mut Hub, entries: Vec<Entry>) {
        // Events are the cluster's: the leader tells them.
        let listening = if self.raft.is_leader() { hub.listening } else { Default::default() };
        if let Some(keyspace) = self.machine.keyspace_mut() {
            keyspace.listen(listening);
            keyspace.set_encodings(hub.encodings);
            keyspace.watch_changes(hub.tracks);
            keyspace.set_counting(hub.memory.limits.counting);
        }
        for entry in entries {
            let (waiters, reads, barriers) = self.claim(hub, &entry);
            match &entry.payload {
                Payload::Empty => {
                    self.machine.apply_empty(entry.index);
                    if self.raft.is_leader() && entry.term == self.raft.term() {
                        self.serving_term = entry.term;
                        self.last_time = self.last_time.max(self.machine.time);
                        if !self.group.is_meta() {
                            self.begin_participating(hub);
                        }
                    }
                }
                Payload::Config(_) => self.machine.skip(entry.index),
                Payload::Command(batch) => self.apply_batch(hub, entry.index, batch, &waiters, reads),
            }
            for token in barriers {
                self.passed(hub, token);
            }
            self.applied_term = entry.term;
            self.raft.step(hub.now, Input::Applied { index: entry.index }, &mut self.effects);
            while let Some(first) = self.reads.first_entry() {
                if *first.key() > entry.index {
                    break;
                }
                // A majority was asked already; to ask again would let what came behind it in its lane overtake it.
                for read in first.remove() {
                    self.answer(hub, read);
                }
            }
        }
        self.count_evicted(hub);
        if listening != Default::default()
            && let Some(keyspace) = self.machine.keyspace_mut()
        {
            hub.events.extend(keyspace.take_events());
        }
    }

    fn apply_batch(
        &mut self,
        hub: &mut Hub,
        index: Index,
        batch: &[u8],
        waiters: &[Waiter],
        reads: Vec<PlacedRead>,
    ) {
        let group = self.group;
        let mut reads = reads.into_iter().peekable();
        let awaited = !self.waitlist.is_empty();
        let transactions = &mut self.transactions;
        let (mut nothing, mut held_up) = (Vec::new(), Vec::new());
        note_slow(hub, batch, waiters);
        let applied = self.machine.apply(index, batch, |machine, place, from, outcome| {
            let waiter = waiters.get(place).copied().unwrap_or(Waiter::Nobody);
            if hub.tracks {
                note_changes(machine, hub, group, from, waiter);
            }
            if awaited && matches!(outcome, Outcome::Done(reply) if is_nothing(reply)) {
                nothing.push(place);
            }
            match outcome {
                Outcome::Done(reply) => hub.tell_done(group, waiter, reply),
                Outcome::Repeated(Some(reply)) => hub.tell_done(group, waiter, &reply),
                Outcome::Repeated(None) | Outcome::Stale => hub.tell(group, waiter, Verdict::Unknown),
                Outcome::Gap => hub.tell(group, waiter, Verdict::Gap),
                Outcome::Locked => {
                    hub.tell(group, waiter, Verdict::Refused(Bytes::from_static(LOCKED)));
                    held_up.extend(from);
                }
                Outcome::Found(finding) => {
                    if let Waiter::Participant(token) = waiter {
                        transactions.applied(hub, machine, group, token, finding);
                    }
                }
            }
            while let Some((_, read)) = reads.next_if(|(behind, _)| *behind == place + 1) {
                let time = machine.time;
                machine.in_entry = true;
                read_now(machine, hub, group, read, time);
                machine.in_entry = false;
            }
        });
        held_up.into_iter().for_each(|from| self.unserve(from));
        self.note_quiet();
        if let Err(bad) = applied {
            let what = bad.0;
            hub.fatal(format!(
                "{group}'s log says something that this release can't read ({what}): start a release that can; \
                 nothing is lost"
            ));
        }
        self.housekeeping = self.housekeeping && !self.is_settled();
        let changed = std::mem::take(&mut self.machine.stirred);
        if awaited {
            let mut stirred = self.stirred(batch, &nothing);
            stirred.keys.extend(changed);
            self.offer_stirred(hub, stirred);
        }
        if self.machine.keyspace_mut().is_some_and(Keyspace::take_spoiled_snapshot) {
            self.abandon_taking(hub);
            self.snapshot_asked = true;
        }
    }

    /// Who waits for this entry. Where another leader's entry has taken the place of our proposals, those are lost:
    /// terms only grow along a log, so nothing of an earlier term comes behind it.
    fn claim(&mut self, hub: &mut Hub, entry: &Entry) -> (Vec<Waiter>, Vec<PlacedRead>, Vec<u64>) {
        while let Some(first) = self.inflight.front() {
            if first.index == entry.index && first.term == entry.term {
                let Some(found) = self.inflight.pop_front() else { break };
                self.room.acquit(found.memory);
                return (found.waiters, found.reads, found.barriers);
            }
            if first.index > entry.index && first.term >= entry.term {
                break;
            }
            base::mark!("proposal_overwritten_by_another_leader");
            self.housekeeping = false;
            let Some(mut lost) = self.inflight.pop_front() else { break };
            self.room.acquit(std::mem::take(&mut lost.memory));
            let readers = lost.reads.iter().map(|(_, read)| read.waiter);
            // The participant of a copy that leads no longer waits for nothing.
            for waiter in lost.waiters.iter().copied().chain(readers) {
                hub.tell(self.group, waiter, Verdict::Elsewhere(None));
            }
        }
        Default::default()
    }

    /// A snapshot has replaced the state: what became of the proposals that it covers is not known here.
    pub(crate) fn forget_inflight(&mut self, hub: &mut Hub) {
        for inflight in std::mem::take(&mut self.inflight) {
            self.room.acquit(inflight.memory);
            for waiter in inflight.waiters {
                // What has a name in a session can be asked again: the group knows whether it was done.
                let named = matches!(waiter, Waiter::Remote { .. });
                let verdict = if named { Verdict::Elsewhere(None) } else { Verdict::Unknown };
                hub.tell(self.group, waiter, verdict);
            }
            for (_, read) in inflight.reads {
                hub.tell(self.group, read.waiter, Verdict::Elsewhere(None));
            }
        }
        self.housekeeping = false;
    }

    /// This copy is no more, perhaps between two flushes: whoever waits for something here is told to look elsewhere.
    pub(crate) fn abandon(&mut self, hub: &mut Hub) {
        self.stop_serving(hub);
        self.stop_participating(hub);
        if !self.batch.is_empty() {
            let batch = self.batch.finish(self.last_time, 0);
            let memory = std::mem::take(&mut self.room.batch);
            self.room.acquit(memory);
            let (waiters, reads) =
                (std::mem::take(&mut self.batch_waiters), std::mem::take(&mut self.batch_reads));
            self.hand_back(hub, &batch, waiters, reads);
        }
        self.forget_inflight(hub);
        self.strand_reads(hub);
    }

    // Keeping house.

    /// Gives up waiting for what has waited too long; the proposals may still be carried out.
    pub fn time_out(&mut self, hub: &mut Hub) {
        let (now, limit) = (hub.now, hub.config.request_timeout);
        // Who has waited elsewhere before has waited all the same, so everybody's own time counts; but nobody's is looked
        // at while entries go through at once.
        if self.inflight.front().is_none_or(|first| now.since(first.since) < STUCK) {
            return;
        }
        for inflight in &mut self.inflight {
            let since = inflight.since;
            let is_over = |waiter: &Waiter| match waiter {
                Waiter::Client(ticket)
                | Waiter::Meta(ticket)
                | Waiter::Watch(ticket)
                | Waiter::Exec(ticket) => now.since(ticket.since()) >= limit,
                // It must hear of what it has proposed whenever that is applied.
                Waiter::Participant(_) => false,
                _ => now.since(since) >= limit,
            };
            for waiter in inflight.waiters.iter_mut().filter(|waiter| is_over(waiter)) {
                hub.tell(self.group, std::mem::replace(waiter, Waiter::Nobody), Verdict::Unknown);
            }
            let (over, rest) =
                std::mem::take(&mut inflight.reads).into_iter().partition(|(_, read)| is_over(&read.waiter));
            inflight.reads = rest;
            let over: Vec<PlacedRead> = over;
            for (_, read) in over {
                hub.tell(self.group, read.waiter, Verdict::Elsewhere(None));
            }
        }
    }

    /// Panics naming the broken invariant.
    pub fn check(&self) {
        if let Some(keyspace) = self.machine.keyspace() {
            keyspace.check();
        }
        self.transactions.participant.check(&self.machine.ledger);
        base::invariant!(
            "a group's machine has applied what its Raft says",
            self.machine.applied == self.raft.applied_index() || self.is_loading(),
            "{}: {:?} {:?}",
            self.group,
            self.machine.applied,
            self.raft.applied_index()
        );
    }
}
