//! One node of Sihai, composed of the cores and itself a [`base::Core`]: no socket, no file, no clock, no thread.
//!
//! Its modules read as a command's journey: a client's bytes come in at [`clients`] and [`gateway`], find their shard,
//! travel by [`lanes`] if another node leads it and are taken in by [`serve`], are agreed on by [`replica`] and applied
//! by [`machine`], and the reply goes back the way it came.
#![forbid(unsafe_code)]

/// Whether a client may run a command.
mod access;
/// What is answered here: the connection, the node, the cluster.
mod answers;
/// What a driver gives a node and what it is asked to do: inputs, effects, configuration.
pub mod api;
/// Clients that wait for something to come.
pub mod blocking;
/// What is said to all nodes at once: PUBLISH and PUBSUB.
pub mod broadcast;
/// What clients may hold.
mod client_memory;
/// The connections, and their replies in order.
pub mod clients;
/// What concerns several shards, and happens on all or on none.
mod commits;
/// Writes to the disk, in their order, also over a full disk.
pub mod disk;
/// Keyspace events.
mod events;
/// Whom memory loses when it is short.
mod eviction;
/// All shards as one file.
mod export;
/// Pieces of a snapshot, from whoever has them.
mod fetch;
/// Where clients' commands come in and find their way.
pub mod gateway;
/// What the disk answers, what time brings, and the end.
mod house;
/// What all parts share.
pub mod hub;
/// Fetching a snapshot, and mending the one that is here.
mod install;
/// What has changed is told to whoever keeps it.
pub mod invalidations;
/// Becoming a member.
mod joining;
/// Forwarding to a group's leader, in order, each write once.
pub mod lanes;
/// From a snapshot on the disk to a group's state.
mod load;
/// What an operation reads or changes, as locks.
pub mod locking;
/// The node looks at itself.
pub mod look;
/// Keys of a pipeline, brought near together.
mod look_ahead;
/// What it does: a group's state machine.
pub mod machine;
/// From meta's wishes to a group's membership and leader.
pub mod members;
/// What the copies on a node may hold.
pub mod memory;
/// What every node knows: members, placement, databases, settings.
pub mod meta;
/// Moving keys to another server.
pub mod migration;
/// Clients that are shown what others send.
pub mod monitor;
/// Composition and dispatch.
pub mod node;
/// What has changed is offered to who waits for it.
mod offers;
/// What a group's log says.
pub mod op;
/// The read model that INFO, CLUSTER, status, metrics and the console render.
pub mod overview;
/// Clients whose commands wait until they are let go on.
pub mod pause;
/// The other members: links, beats, messages.
mod peers;
/// One copy of a group: agreement, then application, then answers.
pub mod replica;
/// Where a command goes.
mod routes;
/// Commands over several shards that can't be split by key.
pub mod runs;
/// Commands over all shards.
pub mod scatter;
/// Values of several shards, brought together for commands to run on.
pub mod scratch;
/// Scripts and functions: which there are, and how they run.
pub mod scripts;
/// The leader's side of forwarding.
pub mod serve;
/// Commands that took long.
pub mod slowlog;
/// Commands that their keys split.
mod split;
/// How a node begins.
pub mod start;
/// Who listens to which channels.
pub mod subscriptions;
/// How often commands were called, and how long they took.
pub mod timings;
/// Who keeps what of that which was read.
pub mod tracking;
/// MULTI, EXEC, WATCH: commands that take effect together.
pub mod transactions;
/// Taking snapshots, and serving their pieces.
pub mod transfer;
/// Users, and what they may do.
pub mod users;
/// Who waits at a leader, and for what.
pub mod waitlist;
/// What nodes say to each other.
pub mod wire;

/// How INFO, CLUSTER, CONFIG, status and metrics show it.
pub mod views;

pub use api::{Config, Effect, Input};
pub use keyspace::rdb;
pub use node::Node;
pub use resp;
