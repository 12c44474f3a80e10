//! A group's state machine: what its log's entries do. Pure: the same entries give the same state, the same replies and
//! the same snapshots on every replica.
//!
//! Around the state itself (a shard's keyspace, or the meta group's records) it keeps what makes a distributed command
//! behave as one on a single machine: the group's time, and what every gateway's session has done already.

use crate::locking::KeyOf;
use crate::meta::{Meta, MetaCommand, MetaOutcome};
use crate::op::{
    BadBatch, BatchReader, Evicted, Invocation, Op, Provenance, Transaction, Wanted, What, seed_of,
};
use crate::scatter::{run_alone, run_part};
use crate::scratch::fetch::{self, SCRATCH_BYTES_MAX};
use crate::scratch::replay::carry_out;
use crate::transactions::CHANGING;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::database::Database;
use base::{Index, NodeId, Time, UnixMillis, invariant};
use bytes::Bytes;
use command::Error;
use keyspace::{Before, Keyspace};
use resp::Writer;
use std::collections::{BTreeMap, VecDeque};
use twophase::{Finding, Ledger};

/// What a transaction over several shards does here.
pub(crate) mod shard;

/// How far ahead of a batch's time the group's ceiling is logged, in milliseconds. Reads never pass the ceiling, and a
/// new leader starts at it, so a key may expire this much too early after a change of leader, and never lives again.
pub const CEILING_AHEAD_MS: u64 = 250;

const SNAPSHOT_VERSION: u8 = 2;

/// The version of snapshots before there were transactions over several shards: they have no ledger.
const SNAPSHOT_WITHOUT_LEDGER: u8 = 1;

/// A snapshot waits while what it would have to say of prepared transactions takes more than this.
const LEDGER_BYTES_MAX: u64 = 8 << 20;

/// A group's state, and how far it has come.
#[derive(Debug)]
pub struct Machine {
    /// What the group keeps.
    pub state: State,
    /// The last entry that was applied.
    pub applied: Index,
    /// The group's time: never goes back, equal on all replicas at equal `applied`.
    pub time: UnixMillis,
    /// No read or write sees a later time than this before it is moved on by another entry.
    pub ceiling: UnixMillis,
    /// What a shard knows of transactions over several shards.
    pub(crate) ledger: Ledger<Before>,
    /// Keys that such transactions have changed whose outcome was applied, while somebody waits for keys.
    pub(crate) stirred: Vec<KeyOf>,
    sessions: BTreeMap<NodeId, Session>,
    /// How many operations have changed something since this copy came to life; not part of the state.
    pub changes: u64,
    scratch: Vec<u8>,
    /// Whether a read is answered between two operations of one entry.
    pub(crate) in_entry: bool,
    snapshot_header: Option<Vec<u8>>,
    /// What is broken on purpose.
    #[cfg(feature = "bugs")]
    pub bugs: crate::api::Bugs,
}

/// What a group keeps.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are shards, and every command goes through one")]
pub enum State {
    /// Group 0.
    Meta(Box<Meta>),
    /// A shard.
    Shard(Keyspace),
    /// Nothing yet: a new copy, until its leader has sent a snapshot.
    Blank,
}

/// What one gateway has done in this group since its last start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    start: u64,
    last: u64,
    /// Replies from the lowest sequence that the gateway still waits for.
    replies: VecDeque<(u64, Bytes)>,
}

/// What came of one operation of a batch.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It took effect; its reply.
    Done(&'a [u8]),
    /// It had taken effect before; the reply of that time, unless the gateway had said that it needs it no more.
    Repeated(Option<Bytes>),
    /// It didn't: an earlier write of its lane is missing.
    Gap,
    /// It didn't: the gateway has been started anew since.
    Stale,
    /// It didn't: a transaction over several shards holds a key of it.
    Locked,
    /// It was about such a transaction; what is known of it then.
    Found(Option<Finding>),
}

impl Machine {
    /// The state before the first entry.
    pub fn new(state: State) -> Self {
        Self {
            state,
            applied: Index::ZERO,
            time: UnixMillis(0),
            ceiling: UnixMillis(0),
            ledger: Ledger::default(),
            stirred: Vec::new(),
            sessions: BTreeMap::new(),
            changes: 0,
            scratch: Vec::new(),
            in_entry: false,
            snapshot_header: None,
            #[cfg(feature = "bugs")]
            bugs: crate::api::Bugs::default(),
        }
    }

    /// Applies one batch and tells the outcome of each operation, by its place in the batch and with whose it was, together with
    /// the state that it has left.
    ///
    /// # Errors
    /// If this release can't read the batch. Every replica of the same release meets the same, so the node must stop:
    /// to go on would be to diverge.
    pub fn apply(
        &mut self,
        index: Index,
        batch: &[u8],
        mut tell: impl FnMut(&mut Self, usize, Option<Provenance>, Outcome<'_>),
    ) -> Result<(), BadBatch> {
        self.advance(index);
        let mut batch = BatchReader::new(batch)?;
        self.time = self.time.max(batch.time);
        self.ceiling = self.ceiling.max(self.time.plus(CEILING_AHEAD_MS));
        let mut place = 0;
        while let Some((provenance, op)) = batch.next()? {
            if let Op::Transactional(operation) = op {
                let seed = seed_of(batch.seed, place as u64);
                let finding = self.transactional(operation, seed)?;
                tell(self, place, provenance, Outcome::Found(finding));
                place += 1;
                continue;
            }
            match self.admit(provenance) {
                // Who leads has looked, and what it has proposed keeps this order. Should it ever not, nothing happens.
                Admission::Run if !self.ledger.locks().is_empty() && self.is_locked(&op) => {
                    base::mark!("a_plain_operation_met_a_lock_when_applied");
                    tell(self, place, provenance, Outcome::Locked);
                }
                Admission::Run => {
                    self.scratch.clear();
                    self.run(&op, seed_of(batch.seed, place as u64));
                    self.changes += u64::from(self.keyspace_mut().is_some_and(Keyspace::take_dirty));
                    if let Some(from) = provenance {
                        self.complete(from);
                    }
                    let reply = std::mem::take(&mut self.scratch);
                    tell(self, place, provenance, Outcome::Done(&reply));
                    self.scratch = reply;
                }
                Admission::Answer(outcome) => tell(self, place, provenance, outcome),
            }
            place += 1;
        }
        Ok(())
    }

    /// Applies an entry without operations. A new leader's first one raises the time to the ceiling: what any earlier
    /// leader has shown as expired stays so.
    pub fn apply_empty(&mut self, index: Index) {
        self.advance(index);
        self.time = self.time.max(self.ceiling);
    }

    /// Steps over an entry that concerns only the group itself.
    pub fn skip(&mut self, index: Index) {
        self.advance(index);
    }

    fn advance(&mut self, index: Index) {
        invariant!(
            "entries are applied in order",
            index == self.applied.next(),
            "{index:?} {:?}",
            self.applied
        );
        self.applied = index;
        if let State::Shard(keyspace) = &mut self.state {
            keyspace.set_revision(index.0);
        }
    }

    /// Answers a read at `now`, a time that the caller has kept between [`Machine::time`] and the ceiling.
    pub fn read(&mut self, invocation: &Invocation<'_>, now: UnixMillis, seed: u64, to: &mut Vec<u8>) {
        self.read_for(invocation, false, now, seed, to);
    }

    /// As [`Machine::read`], perhaps for a client that waits and tries again.
    pub fn read_for(
        &mut self,
        invocation: &Invocation<'_>,
        has_waited: bool,
        now: UnixMillis,
        seed: u64,
        to: &mut Vec<u8>,
    ) {
        match &mut self.state {
            State::Shard(keyspace) if invocation.spec.place == command::Place::Cluster => {
                run_part(invocation, &keyspace.database(invocation.database, now), seed, to);
            }
            State::Shard(_) if invocation.spec.execute.is_none() => self.versions(invocation, now, to),
            State::Shard(keyspace) => {
                if let Err(Error::WouldBlock(_)) =
                    run_command(keyspace, invocation, has_waited, now, seed, to)
                {
                    push_words_to_wait_with(keyspace, invocation, now, to);
                }
            }
            State::Meta(_) | State::Blank => {
                Writer::new(to, invocation.protocol).error("ERR this group answers no commands");
            }
        }
    }

    /// Tells the shard how late it is by the node's clock, for what is known of how keys are used.
    #[inline]
    pub fn set_clock(&mut self, wall: UnixMillis) {
        if let State::Shard(keyspace) = &mut self.state {
            keyspace.set_clock(wall);
        }
    }

    /// Answers a transaction that only reads, as [`Machine::read`].
    pub fn read_transaction(
        &mut self,
        transaction: &Transaction<'_>,
        now: UnixMillis,
        seed: u64,
        to: &mut Vec<u8>,
    ) {
        match &mut self.state {
            State::Shard(keyspace) => run_transaction(keyspace, transaction, true, now, seed, to),
            State::Meta(_) | State::Blank => {}
        }
    }

    /// The version of each key, for WATCH, as little-endian numbers: the revision of its last change, 0 if it isn't there. Of no
    /// key at all, for SYNC: the shard's, which nothing that was acknowledged lies beyond.
    fn versions(&mut self, invocation: &Invocation<'_>, now: UnixMillis, to: &mut Vec<u8>) {
        let State::Shard(keyspace) = &mut self.state else { return };
        if invocation.words.len() == 1 {
            to.extend_from_slice(&self.applied.0.to_le_bytes());
            return;
        }
        let view = keyspace.database(invocation.database, now);
        for key in &invocation.words[1..] {
            let revision = view.facts(key).map_or(0, |facts| facts.revision);
            let changing = self.in_entry && revision == self.applied.0;
            to.extend_from_slice(&(if changing { CHANGING } else { revision }).to_le_bytes());
        }
    }

    /// What keys hold, for a command that runs elsewhere: the shard's time and then, for each key, what
    /// [`fetch::write`] says. Nothing if that is more than anybody may fetch.
    pub(crate) fn fetch(&mut self, wanted: &[Wanted<'_>], now: UnixMillis) -> Option<Vec<u8>> {
        let State::Shard(keyspace) = &mut self.state else { return None };
        let mut to = now.0.to_le_bytes().to_vec();
        let mut bytes = 0;
        for wanted in wanted {
            let mut view = keyspace.database(wanted.database, now);
            let facts = view.facts(wanted.key);
            if wanted.what == What::Value {
                bytes += facts.map_or(0, |facts| facts.memory_bytes);
                if bytes > SCRATCH_BYTES_MAX {
                    return None;
                }
            }
            let version = facts.map_or(0, |facts| facts.revision);
            let changing = self.in_entry && version == self.applied.0;
            fetch::write(&mut to, &mut view, wanted, if changing { CHANGING } else { version });
        }
        Some(to)
    }

    /// The last write of a session that took effect here.
    pub fn last_sequence(&self, session: base::SessionId) -> u64 {
        self.sessions
            .get(&session.node)
            .filter(|known| known.start == session.start)
            .map_or(0, |known| known.last)
    }

    /// The reply to a session's write, as long as the gateway waits for it.
    pub fn reply_of(&self, session: base::SessionId, sequence: u64) -> Option<Bytes> {
        let known = self.sessions.get(&session.node).filter(|known| known.start == session.start)?;
        known.replies.iter().find(|(kept, _)| *kept == sequence).map(|(_, reply)| reply.clone())
    }

    /// The keyspace, if this is a shard.
    pub fn keyspace(&self) -> Option<&Keyspace> {
        match &self.state {
            State::Shard(keyspace) => Some(keyspace),
            State::Meta(_) | State::Blank => None,
        }
    }

    /// The keyspace, to look at through a view.
    pub(crate) fn keyspace_mut(&mut self) -> Option<&mut Keyspace> {
        match &mut self.state {
            State::Shard(keyspace) => Some(keyspace),
            State::Meta(_) | State::Blank => None,
        }
    }

    /// The meta group's state, if this is that group.
    pub fn meta(&self) -> Option<&Meta> {
        match &self.state {
            State::Meta(meta) => Some(meta),
            State::Shard(_) | State::Blank => None,
        }
    }

    fn admit(&mut self, provenance: Option<Provenance>) -> Admission {
        let Some(from) = provenance else { return Admission::Run };
        #[cfg(feature = "bugs")]
        if self.bugs.forward_runs_twice {
            return Admission::Run;
        }
        let session = self.sessions.entry(from.session.node).or_default();
        if from.session.start < session.start {
            base::mark!("request_of_an_earlier_start");
            return Admission::Answer(Outcome::Stale);
        }
        if from.session.start > session.start {
            *session = Session { start: from.session.start, ..Session::default() };
        }
        while session.replies.front().is_some_and(|(sequence, _)| *sequence < from.floor) {
            session.replies.pop_front();
        }
        if from.sequence <= session.last {
            base::mark!("request_came_again");
            let kept = session.replies.iter().find(|(sequence, _)| *sequence == from.sequence);
            return Admission::Answer(Outcome::Repeated(kept.map(|(_, reply)| reply.clone())));
        }
        // What lies between must have been given up by the gateway, or must come first.
        if from.sequence > session.last.max(from.floor.saturating_sub(1)) + 1 {
            base::mark!("request_after_a_gap");
            return Admission::Answer(Outcome::Gap);
        }
        Admission::Run
    }

    fn complete(&mut self, from: Provenance) {
        let session = self.sessions.entry(from.session.node).or_default();
        session.last = session.last.max(from.sequence);
        session.replies.push_back((from.sequence, Bytes::copy_from_slice(&self.scratch)));
    }

    fn run(&mut self, op: &Op<'_>, seed: u64) {
        match (&mut self.state, op) {
            (State::Shard(keyspace), Op::Command(invocation)) => {
                // The reply says what came of it; a refused command has changed nothing.
                let _ = run_command(keyspace, invocation, false, self.time, seed, &mut self.scratch);
            }
            (State::Shard(keyspace), Op::Offered { invocation, .. }) => {
                #[cfg(feature = "bugs")]
                if self.bugs.offers_run_twice {
                    let _ = run_command(keyspace, invocation, true, self.time, seed, &mut Vec::new());
                }
                // The reply says what came of it; a refused command has changed nothing.
                let _ = run_command(keyspace, invocation, true, self.time, seed, &mut self.scratch);
            }
            (State::Shard(keyspace), Op::Expire(keys)) => {
                for (database, key) in keys {
                    if self.ledger.allows(*database, Some(key), twophase::Mode::Exclusive) {
                        keyspace.remove_expired(*database, key, self.time);
                    }
                }
            }
            (State::Shard(keyspace), Op::Evict(keys)) => {
                let free = |evicted: &&Evicted<'_>| {
                    self.ledger.allows(evicted.database, Some(evicted.key), twophase::Mode::Exclusive)
                };
                for evicted in keys.iter().filter(free) {
                    keyspace.evict(evicted.database, evicted.key, evicted.revision, self.time);
                }
            }
            (State::Shard(keyspace), Op::Drop(database)) => keyspace.drop_database(*database),
            (State::Shard(keyspace), Op::Transaction(transaction)) => {
                keyspace.hide_usage(true);
                #[cfg(feature = "bugs")]
                let blind = Transaction { watched: Vec::new(), ..transaction.clone() };
                #[cfg(feature = "bugs")]
                let transaction = if self.bugs.exec_ignores_watch { &blind } else { transaction };
                run_transaction(keyspace, transaction, true, self.time, seed, &mut self.scratch);
                keyspace.hide_usage(false);
            }
            (State::Meta(meta), Op::Meta(command)) => {
                let outcome = match MetaCommand::from_bytes(Bytes::copy_from_slice(command)) {
                    Ok(command) => meta.apply(command),
                    Err(_) => MetaOutcome::Refused("this cluster's release doesn't know the change".into()),
                };
                let mut to = Encoder::new(&mut self.scratch);
                outcome.encode(&mut to);
                // So that a gateway can wait until its own copy of meta has come so far.
                to.u64(self.applied.0);
            }
            (_, Op::Tick | Op::Fetch(_) | Op::Transactional(_)) => {}
            // An operation for the other kind of group does nothing, on every replica alike.
            (State::Shard(_), Op::Meta(_)) | (State::Meta(_) | State::Blank, _) => {}
        }
    }

    /// Fixes the state as a snapshot. Its pieces are taken by [`Machine::next_chunk`] while entries go on being applied.
    pub fn begin_snapshot(&mut self) {
        let mut header = Vec::new();
        let mut to = Encoder::new(&mut header);
        to.u8(SNAPSHOT_VERSION);
        to.u64(self.applied.0);
        to.u64(self.time.0);
        to.u64(self.ceiling.0);
        to.u32(self.sessions.len() as u32);
        for (node, session) in &self.sessions {
            to.u32(node.0);
            to.u64(session.start);
            to.u64(session.last);
            to.u32(session.replies.len() as u32);
            for (sequence, reply) in &session.replies {
                to.u64(*sequence);
                to.bytes(reply);
            }
        }
        match &mut self.state {
            State::Meta(meta) => {
                to.u8(0);
                meta.encode(&mut to);
            }
            State::Shard(keyspace) => {
                to.u8(1);
                let [first, second] = keyspace.hash_key();
                to.u64(first);
                to.u64(second);
                self.ledger.encode(&mut to);
                keyspace.begin_snapshot();
            }
            State::Blank => unreachable!("a blank copy has applied nothing and takes no snapshot"),
        }
        self.snapshot_header = Some(header);
    }

    /// The next piece of the snapshot, about this large; `None` when it is complete. The first piece is the header.
    pub fn next_chunk(&mut self, bytes: usize) -> Option<Vec<u8>> {
        if let Some(header) = self.snapshot_header.take() {
            return Some(header);
        }
        match &mut self.state {
            State::Meta(_) | State::Blank => None,
            State::Shard(keyspace) => keyspace.next_chunk(bytes),
        }
    }

    /// Gives up a snapshot that isn't needed.
    pub fn abandon_snapshot(&mut self) {
        self.snapshot_header = None;
        if let State::Shard(keyspace) = &mut self.state {
            keyspace.abandon_snapshot();
        }
    }

    /// The state that begins with this first piece of a snapshot.
    pub fn from_header(header: Bytes) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(header);
        let version = from.u8()?;
        if version != SNAPSHOT_VERSION && version != SNAPSHOT_WITHOUT_LEDGER {
            return Err(DecodeError::Invalid("a snapshot of another version"));
        }
        let (applied, time, ceiling) = (Index(from.u64()?), UnixMillis(from.u64()?), UnixMillis(from.u64()?));
        let mut sessions = BTreeMap::new();
        for _ in 0..from.u32()? {
            let node = NodeId(from.u32()?);
            let mut session = Session { start: from.u64()?, last: from.u64()?, replies: VecDeque::new() };
            for _ in 0..from.u32()? {
                // Out of the snapshot's memory, which is large and would be pinned.
                session.replies.push_back((from.u64()?, Bytes::copy_from_slice(&from.bytes()?)));
            }
            sessions.insert(node, session);
        }
        let state = match from.u8()? {
            0 => State::Meta(Box::new(Meta::decode(&mut from)?)),
            1 => State::Shard(Keyspace::new([from.u64()?, from.u64()?])),
            _ => return Err(DecodeError::Invalid("a kind of group")),
        };
        let mut ledger = Ledger::default();
        if matches!(state, State::Shard(_)) && version != SNAPSHOT_WITHOUT_LEDGER {
            ledger = Ledger::decode(&mut from)?;
        }
        Ok(Self { applied, time, ceiling, sessions, ledger, ..Self::new(state) })
    }

    /// Adds a further piece of the snapshot.
    pub fn load_chunk(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        match &mut self.state {
            State::Meta(_) | State::Blank => Err(DecodeError::Invalid("a second piece of meta")),
            State::Shard(keyspace) => {
                keyspace.load_chunk(chunk).map_err(|_| DecodeError::Invalid("a piece of a keyspace"))?;
                // The entries that follow would find keys changed by entries behind them.
                if keyspace.revision() > self.applied.0 {
                    return Err(DecodeError::Invalid("a piece of a later state"));
                }
                Ok(())
            }
        }
    }

    /// Equal on replicas that have applied the same entries.
    pub fn digest(&self) -> u64 {
        let mut header = Vec::new();
        let mut to = Encoder::new(&mut header);
        to.u64(self.time.0);
        to.u64(self.ceiling.0);
        for (node, session) in &self.sessions {
            to.u32(node.0);
            to.u64(session.start);
            to.u64(session.last);
            for (sequence, reply) in &session.replies {
                to.u64(*sequence);
                to.bytes(reply);
            }
        }
        self.ledger.encode(&mut to);
        let state = match &self.state {
            State::Meta(meta) => meta.digest(),
            State::Shard(keyspace) => keyspace.digest(),
            State::Blank => 0,
        };
        // FNV-1a, folded with the state's own digest: only equality matters.
        header.iter().fold(state ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

enum Admission {
    Run,
    Answer(Outcome<'static>),
}

fn run_command(
    keyspace: &mut Keyspace,
    invocation: &Invocation<'_>,
    has_waited: bool,
    now: UnixMillis,
    seed: u64,
    to: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut view = keyspace.database(invocation.database, now);
    let mut context = command::Context {
        db: &mut view,
        database: invocation.database,
        target: invocation.target,
        args: &invocation.words,
        reply: Writer::new(to, invocation.protocol),
        seed,
        has_waited,
    };
    let result = command::run(invocation.spec, &mut context);
    if invocation.spec.uses_what_it_reads() {
        for key in invocation.spec.keys(&invocation.words) {
            view.touch(key);
        }
    }
    result
}

/// Appends to the reply of a read that found nothing the words with which its gateway is to try again, each behind its length (four
/// bytes, little-endian); nothing if those are the words that it came with.
fn push_words_to_wait_with(
    keyspace: &mut Keyspace,
    invocation: &Invocation<'_>,
    now: UnixMillis,
    to: &mut Vec<u8>,
) {
    let view = keyspace.database(invocation.database, now);
    let words = invocation.spec.blocking_words(&view, &invocation.words);
    push_words(words.unwrap_or_default(), to);
}

/// Appends words to the reply of a read that found nothing.
pub(crate) fn push_words(words: Vec<Vec<u8>>, to: &mut Vec<u8>) {
    for word in words {
        // Words come from requests, which are bounded far below 4 GiB.
        to.extend_from_slice(&(word.len() as u32).to_le_bytes());
        to.extend_from_slice(&word);
    }
}

/// Carries out a transaction. Its outcome is a byte, 1 if it took effect and 0 if a watched key had changed, and then every command's
/// reply, each behind its length (four bytes, little-endian); the gateway makes the client's reply of them. `alone`: no other shard
/// takes part, so a command over all shards is answered as to a client; otherwise with this shard's part, to be merged.
fn run_transaction(
    keyspace: &mut Keyspace,
    transaction: &Transaction<'_>,
    alone: bool,
    now: UnixMillis,
    seed: u64,
    to: &mut Vec<u8>,
) {
    let unchanged = transaction.watched.iter().all(|watched| {
        let facts = keyspace.database(watched.database, now).facts(watched.key);
        facts.map_or(0, |facts| facts.revision) == watched.version
    });
    to.push(u8::from(unchanged));
    if !unchanged {
        return;
    }
    for (place, invocation) in transaction.commands.iter().enumerate() {
        let length_at = to.len();
        to.extend_from_slice(&[0; 4]);
        // Another mixing than that of a batch's places, so that no two commands of one batch draw alike.
        let seed = seed.rotate_left(32) ^ seed_of(0, place as u64 + 1);
        if invocation.spec.place == command::Place::Cluster && !invocation.spec.is_write() {
            let database = keyspace.database(invocation.database, now);
            let run = if alone { run_alone } else { run_part };
            run(invocation, &database, seed, to);
        } else {
            let _ = run_command(keyspace, invocation, false, now, seed, to);
        }
        // Replies are bounded far below 4 GiB.
        let length = (to.len() - length_at - 4) as u32;
        to[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
    if let Some(effects) = &transaction.effects {
        carry_out(keyspace, effects.mutations(), now);
    }
}

/// A wall clock that is read through the node's monotonic one: the driver tells the difference now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock {
    at: Time,
    wall: UnixMillis,
}

impl WallClock {
    /// Both clocks, read together.
    pub fn new(at: Time, wall: UnixMillis) -> Self {
        Self { at, wall }
    }

    /// The wall clock at `now`.
    pub fn read(&self, now: Time) -> UnixMillis {
        self.wall.plus(now.since(self.at).as_millis() as u64)
    }

    /// When the wall clock will show `wall`.
    pub fn when(&self, wall: UnixMillis) -> Time {
        self.at + base::Duration::from_millis(self.wall.until(wall))
    }
}

#[cfg(test)]
mod tests;
