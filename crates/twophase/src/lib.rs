//! Transactions over several shards, in one quorum round, as deterministic state machines. The rule is Sihai's own (see
//! `docs/decisions/0006-one-round-commit.md`, checked by `docs/models/commit_model.py`); its relatives are two-phase commit
//! without a coordinator's log (Gray and Lamport, "Consensus on Transaction Commit", 2006), the parallel commits of
//! CockroachDB (Taft and others, 2020), and wait-die (Rosenkrantz, Stearns and Lewis, 1978).
//!
//! In the order of the journey: a [`Gateway`] asks all shards at once ([`message`]); the leader of each, a [`Participant`], lets
//! the transaction wait or takes it into its log ([`operation`]); the log makes the [`Ledger`] of every replica say
//! "prepared"; prepared everywhere is committed. If the gateway dies, the participants ask each other.
//!
//! Nothing here knows what an operation does, touches a clock, a disk or a socket, or iterates over anything unordered: keys,
//! operations and results are bytes, and the shard's data are behind [`Shard`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// What tests may leave out on purpose, to prove that their checkers see it.
#[cfg(feature = "bugs")]
pub mod bugs;
/// Hybrid logical time: what orders transactions by age.
pub mod clock;
/// How long things wait, and how large they may be.
pub mod config;
/// Who starts transactions, hears of them, and tells the client.
pub mod gateway;
/// Names: timestamps, transactions, reads, participants.
pub mod ids;
/// What a shard knows of transactions: replicated, and in its snapshots.
pub mod ledger;
/// Who holds what, and what that keeps others from.
pub mod locks;
/// What gateways and participants say to each other.
pub mod message;
/// What a shard's log says about transactions.
pub mod operation;
/// What a shard's leader does beside its log: who waits, who is asked, what is forgotten.
pub mod participant;
/// The data that a transaction works on.
pub mod shard;

pub use clock::HybridClock;
pub use config::{GatewayConfig, ParticipantConfig};
pub use gateway::{Gateway, Outcome, Part};
pub use ids::{Participants, ReadId, Timestamp, TxId};
pub use ledger::{Finding, Ledger, Reason};
pub use locks::{Lock, LockTable, Locks, Mode};
pub use message::{Party, Refusal, Reply, ReplyBody, Request, RequestBody};
pub use operation::{Check, Decision, Operation, Prepare};
pub use participant::Participant;
pub use shard::Shard;
