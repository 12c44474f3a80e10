//! Raft (Ongaro and Ousterhout, 2014; Ongaro's dissertation), one replica of one group, as a deterministic state
//! machine: see [`Raft`]. A node runs many of them and translates between them, its disk, its peers and its state
//! machines.
//!
//! It never touches a clock, a disk or a socket: `now` is an argument, a finished fsync is an input, and a message is
//! an effect. It never looks into a command, and it never trusts a peer further than Raft's own rules do: what is
//! wrong is dropped.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// What the simulator may break on purpose, to prove that its checkers see it.
#[cfg(feature = "bugs")]
pub mod bugs;
/// What a replica is told at its start: timing, bounds, and what was found on its disk.
pub mod config;
/// What this replica has asked its disk for, and what waits for it.
mod disk;
/// Who leads: timeouts, pre-votes, votes, leader transfer, and stepping down.
mod election;
/// What a replica and its node say to each other: inputs, effects, and refusals.
pub mod interface;
/// The part of the log that is in memory, and which terms the rest has.
pub mod log;
/// Changes of membership: the maths, and why it is safe when they take effect.
pub mod membership;
/// What replicas say to each other.
pub mod message;
/// What a leader knows of each follower: pure.
pub mod progress;
/// What a majority, or two, have decided: pure.
pub mod quorum;
/// The state machine: its state, and the dispatch of its inputs.
pub mod raft;
/// Linearizable reads: the lease, and rounds of asking.
mod read;
/// Getting the log to followers and to the disk, and knowing what is committed.
mod replication;
/// Bringing up a follower that needs what the log no longer has.
mod snapshot;
/// What a rotten or torn end of the log obliges a replica to.
mod tail;

pub use config::{Config, DoubtfulTail, Recovered};
pub use interface::{Effect, Input, ProposeError, ReadRefusal, Role};
pub use message::{AppendResult, Body, Message, VoteAnswer};
pub use progress::{Progress, ProgressState};
pub use raft::Raft;
