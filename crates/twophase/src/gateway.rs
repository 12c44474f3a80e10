//! Who starts transactions, hears of them, and tells the client: what a node does for its own clients. It remembers nothing over a
//! restart; what it leaves behind, the participants find out among themselves.

use crate::clock::HybridClock;
use crate::config::GatewayConfig;
use crate::ids::{ReadId, Timestamp, TxId};
use crate::locks::Locks;
use crate::message::{Party, Reply, ReplyBody, Request, RequestBody};
use crate::operation::Check;
use alloc::collections::{BTreeMap, BTreeSet};
use base::{Core, GroupId, Outbox, Time, UnixMillis};
use bytes::Bytes;
use reads::Reading;
use resolving::Resolving;
use transaction::Transaction;

/// Reads over several shards.
mod reads;
/// Outcomes on their way to the participants.
mod resolving;
/// One transaction, over all its tries.
mod transaction;

/// What one shard has to do in a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What is read, written or watched there.
    pub locks: Locks,
    /// What must still be as it was read.
    pub checks: alloc::vec::Vec<Check>,
    /// What is to be done, in the shard's language.
    pub operations: Bytes,
}

/// What can happen to a gateway.
#[derive(Clone, Debug)]
pub enum Input {
    /// The wall clock, now.
    Wall(UnixMillis),
    /// This gateway has just started, and there is this shard: it asks how far the shard's floor is, lest its wall clock has gone back
    /// since. Otherwise the first transactions there could be taken for old ones, and their clients hear UNKNOWN.
    Greet(GroupId),
    /// A client wants this to happen on all these shards or on none.
    Begin {
        /// The node's name for it, used for nothing else meanwhile.
        ticket: u64,
        /// What each shard has to do.
        parts: BTreeMap<GroupId, Part>,
        /// When the client is answered at the latest.
        deadline: Time,
    },
    /// A client wants to read this from all these shards at one moment. The parts have neither checks nor changes.
    Read {
        /// The node's name for it, used for nothing else meanwhile.
        ticket: u64,
        /// What each shard has to answer.
        parts: BTreeMap<GroupId, Part>,
        /// When the client is answered at the latest.
        deadline: Time,
    },
    /// A participant answers.
    Reply(Reply),
}

/// What a gateway asks of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the leader of a shard.
    Request {
        /// Which shard.
        to: GroupId,
        /// What.
        request: Request,
    },
    /// Nothing more comes of this; the client can be answered.
    Done {
        /// The node's name for it.
        ticket: u64,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of a transaction or a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect; what each shard answers.
    Done(BTreeMap<GroupId, Bytes>),
    /// Not executed: a key that was watched or read has changed.
    Changed,
    /// Not executed: a shard can't do it; what the client is to hear.
    Refused(Bytes),
    /// Not executed, for want of time or of locks: it can be tried again.
    TryAgain,
    /// It may have been executed, or may still be.
    Unknown,
    /// Not executed: it is beyond a limit.
    TooLarge(Limit),
}

/// A limit of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`GatewayConfig::participants_max`].
    Participants,
    /// [`GatewayConfig::locks_max`].
    Locks,
    /// [`GatewayConfig::operations_bytes_max`].
    Bytes,
}

/// What a gateway has done since it started, for the statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions begun, reads that take locks through the log among them.
    pub begun: u64,
    /// Of them: took effect.
    pub committed: u64,
    /// Of them: surely didn't.
    pub not_executed: u64,
    /// Of them: may have.
    pub unknown: u64,
    /// Tries after the first.
    pub tried_again: u64,
    /// Reads at one moment, by windows.
    pub reads: u64,
    /// Tries of such reads after the first.
    pub read_again: u64,
}

/// A gateway.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    clock: HybridClock,
    /// The last sequence given out.
    sequence: u64,
    transactions: BTreeMap<u64, Transaction>,
    /// The tries that are under way, by name.
    tries: BTreeMap<TxId, u64>,
    readings: BTreeMap<u64, Reading>,
    read_tries: BTreeMap<ReadId, u64>,
    resolving: BTreeMap<TxId, Resolving>,
    alarms: BTreeSet<(Time, Alarm)>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Transaction(u64),
    Reading(u64),
    Resolving(TxId),
}

impl Gateway {
    /// A gateway that has just started, as the session that its configuration names.
    pub fn new(config: GatewayConfig) -> Self {
        Self {
            clock: HybridClock::default(),
            config,
            sequence: 0,
            transactions: BTreeMap::new(),
            tries: BTreeMap::new(),
            readings: BTreeMap::new(),
            read_tries: BTreeMap::new(),
            resolving: BTreeMap::new(),
            alarms: BTreeSet::new(),
            counters: Counters::default(),
        }
    }

    /// What it has done since it started.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many transactions and reads its clients wait for.
    pub fn in_flight(&self) -> usize {
        self.transactions.len() + self.readings.len()
    }

    fn over_a_limit(&self, parts: &BTreeMap<GroupId, Part>) -> Option<Limit> {
        let locks: usize = parts.values().map(|part| part.locks.len() + part.checks.len()).sum();
        let bytes: usize = parts.values().map(|part| part.operations.len()).sum();
        if parts.len() > self.config.participants_max {
            Some(Limit::Participants)
        } else if locks > self.config.locks_max {
            Some(Limit::Locks)
        } else if bytes > self.config.operations_bytes_max {
            Some(Limit::Bytes)
        } else {
            None
        }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn next_id(&mut self, now: Time) -> TxId {
        let timestamp: Timestamp = self.clock.next(now);
        TxId { timestamp, session: self.config.session, sequence: self.next_sequence() }
    }

    fn ask(&self, to: GroupId, body: RequestBody, out: &mut Outbox<Effect>) {
        out.push(Effect::Request {
            to,
            request: Request { from: Party::Gateway(self.config.session), body },
        });
    }

    fn ring(&mut self, now: Time, alarm: Alarm, out: &mut Outbox<Effect>) {
        match alarm {
            Alarm::Transaction(ticket) => self.tend_transaction(now, ticket, out),
            Alarm::Reading(ticket) => self.tend_reading(now, ticket, out),
            Alarm::Resolving(id) => self.tend_resolving(now, id, out),
        }
    }
}

impl Core for Gateway {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Outbox<Effect>) {
        match input {
            Input::Wall(wall) => self.clock.tell(now, wall),
            Input::Greet(group) => {
                let wanted = Timestamp::default();
                self.ask(group, RequestBody::AskFloor { wanted }, out);
            }
            Input::Begin { ticket, parts, deadline } => self.begin(now, ticket, parts, deadline, out),
            Input::Read { ticket, parts, deadline } => {
                self.counters.reads += 1;
                self.begin_reading(now, ticket, parts, deadline, out);
            }
            Input::Reply(Reply { from, body }) => match body {
                ReplyBody::Status { id, round, finding } => self.status(now, from, id, round, finding, out),
                ReplyBody::Refused { id, refusal } => self.refused(now, from, id, refusal, out),
                ReplyBody::Resolved { id } => self.resolved(from, id),
                ReplyBody::Served { read, hold, result } => self.served(now, from, read, hold, result, out),
                ReplyBody::ReadRefused { read, refusal } => self.read_refused(now, from, read, refusal, out),
                ReplyBody::Floor { floor } => self.clock.catch_up(now, floor),
            },
        }
    }

    fn flush(&mut self, now: Time, out: &mut Outbox<Effect>) {
        while let Some((at, alarm)) = self.alarms.first().copied()
            && at <= now
        {
            self.alarms.remove(&(at, alarm));
            self.ring(now, alarm, out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.alarms.first().map(|(at, _)| *at)
    }

    fn check(&self) {
        let known = self.tries.values().all(|ticket| self.transactions.contains_key(ticket));
        base::invariant!(
            "a try belongs to a transaction",
            known && self.tries.len() <= self.transactions.len()
        );
        let known = self.read_tries.values().all(|ticket| self.readings.contains_key(ticket));
        base::invariant!("a try belongs to a read", known && self.read_tries.len() == self.readings.len());
    }
}
