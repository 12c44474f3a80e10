//! What a shard's leader and its node say to each other: inputs, effects, and what it counts.

use crate::ids::ReadId;
use crate::ledger::Finding;
#[cfg(doc)]
use crate::ledger::Ledger;
#[cfg(doc)]
use crate::message::ReplyBody;
use crate::message::{Party, Reply, Request};
use crate::operation::Operation;
use base::{Duration, GroupId, Time, UnixMillis};
use bytes::Bytes;

/// What can happen to a shard's leader.
#[derive(Clone, Debug)]
pub enum Input {
    /// The wall clock, now.
    Wall(UnixMillis),
    /// This replica leads, and has applied everything that was committed before its term.
    Lead,
    /// It doesn't lead any more.
    Follow,
    /// Somebody asks.
    Request(Request),
    /// A participant that was asked answers.
    Reply(Reply),
    /// What was proposed with this token is applied; what the ledger answered.
    Applied {
        /// That of [`Effect::Propose`].
        token: u64,
        /// What [`Ledger::apply`] answered.
        finding: Option<Finding>,
    },
    /// What was to be proposed with this token wasn't taken by the log.
    NotProposed {
        /// That of [`Effect::Propose`].
        token: u64,
    },
    /// Everything that this leader had proposed before [`Effect::Barrier`] is applied.
    Passed {
        /// That of [`Effect::Barrier`].
        token: u64,
        /// Until when nobody else can lead; `None` without a lease.
        lease_until: Option<Time>,
    },
}

/// What a shard's leader asks of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Take this into the log, behind all that was proposed before; answer by [`Input::Applied`] or [`Input::NotProposed`].
    Propose {
        /// Grows with every one.
        token: u64,
        /// What.
        operation: Operation,
    },
    /// Send this answer.
    Reply {
        /// To whom.
        to: Party,
        /// What.
        reply: Reply,
    },
    /// Ask the leader of another shard.
    Request {
        /// Which shard.
        to: GroupId,
        /// What.
        request: Request,
    },
    /// Say when everything that was proposed so far, of whatever kind, is applied: [`Input::Passed`].
    Barrier {
        /// Which one.
        token: u64,
    },
    /// Answer this query now, from the applied state, and send it as [`ReplyBody::Served`].
    Serve {
        /// Who gets the answer.
        to: Party,
        /// The read.
        read: ReadId,
        /// The query.
        query: Bytes,
        /// For how long its locks hold from now on.
        hold: Duration,
    },
    /// Locks were given back: commands that wait for some may look again.
    Freed,
}

/// What a leader has done since it led, for the statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Prepares that were taken into the log.
    pub prepares: u64,
    /// Prepares that had to wait for locks.
    pub waited: u64,
    /// Prepares that were refused without being logged.
    pub refused: u64,
    /// Prepared transactions that were asked about, because they were old.
    pub recoveries: u64,
    /// Reads at one moment that were served.
    pub reads: u64,
}
